//! What differs between the two ends of a link: the handshake, and which messages come.
//!
//! The states are named after what they await. No state here is ever open: that is the link's.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

use super::{Ended, Failure, Limits, Link, Violation};
use crate::crypto::secret::Secret;
use crate::proto::frame::{HEADER_BYTES, Header, Kind, frame};
use crate::proto::handshake::wire::{Refusal, RefusalCode, VERSION};
use crate::proto::handshake::{Traffic, client, server};
use crate::proto::message::{Malformed, Request, RequestId, ServerMessage};

/// One end of a link.
pub trait Role: Sized + Debug {
    /// What reads the peer's messages.
    type Reader: Reader;
    /// What somebody else has to compute.
    type Job: Debug;
    /// What that gave.
    type Answer: Debug;
    /// What is known when the link opens.
    type Opened: Debug;
    /// The state of the handshake.
    #[expect(private_bounds, reason = "nobody outside names the steps of a handshake")]
    type Handshake: Handshake<Self> + Debug;
    /// Whether this end refuses in the clear.
    const REFUSES: bool;
}

/// What makes messages of the bytes that stand for them.
pub trait Reader: Debug {
    /// What the peer says: all of it, or as much as this side has a use for.
    type Message: Debug;

    /// Reads a message, without its prefix.
    ///
    /// # Errors
    /// [`Malformed`] if it is none.
    fn read(&mut self, bytes: &[u8]) -> Result<Self::Message, Malformed>;
}

/// A handshake as the link drives it.
pub(super) trait Handshake<R: Role>: Sized {
    /// A whole frame came.
    fn frame(self, header: Header, frame: &[u8]) -> Result<Step<R>, Failure>;
    /// A job is done.
    fn answer(self, answer: R::Answer) -> Result<Step<R>, Failure>;
}

/// Where a step of the handshake leads.
#[derive(Debug)]
pub(super) enum Step<R: Role> {
    Continue { handshake: R::Handshake, transmit: Option<Vec<u8>>, job: Option<R::Job> },
    Open { traffic: Box<Traffic>, transmit: Option<Vec<u8>>, opened: R::Opened, confirmed: bool },
}

impl<R: Role> Step<R> {
    fn await_job(handshake: R::Handshake, job: R::Job) -> Self {
        Self::Continue { handshake, transmit: None, job: Some(job) }
    }

    fn transmit(handshake: R::Handshake, frame: Vec<u8>) -> Self {
        Self::Continue { handshake, transmit: Some(frame), job: None }
    }
}

/// The server's end.
#[derive(Debug)]
pub struct Server;

/// Reads all that a client says.
#[derive(Debug)]
pub struct Requests;

impl Reader for Requests {
    type Message = (RequestId, Request);

    fn read(&mut self, bytes: &[u8]) -> Result<Self::Message, Malformed> {
        Request::decode(bytes)
    }
}

/// What a server knows of a client whose link opens.
#[derive(Debug)]
pub struct Peer {
    /// The user.
    pub user: crate::model::UserName,
    /// The user's key.
    pub fingerprint: crate::model::Fingerprint,
    /// The client's software, as it says.
    pub client: String,
    /// Whether it came by a ticket.
    pub resumed: bool,
    /// A ticket for the client to come back with.
    pub ticket: Vec<u8>,
}

/// The server's handshake.
#[derive(Debug)]
pub enum ServerHandshake {
    /// Nothing of the client yet.
    ExpectHello {
        /// The server's public key, DER SubjectPublicKeyInfo, for clients that ask.
        public_key: Arc<[u8]>,
        /// Whether this one has asked.
        asked: bool,
    },
    /// A worker is at it.
    AwaitAnswer,
    /// The server has answered the hello.
    ExpectFinish(Box<server::ExpectFinish>),
}

impl Role for Server {
    type Reader = Requests;
    type Job = server::Job;
    type Answer = Result<Box<server::Accepted>, RefusalCode>;
    type Opened = Peer;
    type Handshake = ServerHandshake;
    const REFUSES: bool = true;
}

impl Link<Server> {
    /// A connection that a client has just made. `public_key`: DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn server(public_key: Arc<[u8]>, limits: Arc<Limits>, now: Instant) -> Self {
        Self::start(ServerHandshake::ExpectHello { public_key, asked: false }, Requests, limits, now)
    }
}

impl Handshake<Server> for ServerHandshake {
    fn frame(self, header: Header, bytes: &[u8]) -> Result<Step<Server>, Failure> {
        match (self, header.kind) {
            (Self::ExpectHello { public_key, asked: false }, Kind::KeyRequest) => {
                server::check_key_request(bytes).map_err(Failure::Refuse)?;
                let reply = frame(Kind::KeyReply, &[&[VERSION], &public_key[..]].concat());
                Ok(Step::transmit(Self::ExpectHello { public_key, asked: true }, reply))
            }
            (Self::ExpectHello { .. }, Kind::ClientHello) => {
                server::check_versions(bytes).map_err(Failure::Refuse)?;
                Ok(Step::await_job(Self::AwaitAnswer, server::Job::Full(bytes.to_vec())))
            }
            (Self::ExpectHello { .. }, Kind::ResumeHello) => {
                server::check_versions(bytes).map_err(Failure::Refuse)?;
                Ok(Step::await_job(Self::AwaitAnswer, server::Job::Resume(bytes.to_vec())))
            }
            (Self::ExpectFinish(expect), Kind::ClientFinish) => {
                let done = expect.finish(bytes).map_err(Failure::Refuse)?;
                let server::Authenticated { user, fingerprint, client, resumed, ticket, traffic } = done;
                let opened = Peer { user, fingerprint, client, resumed, ticket };
                Ok(Step::Open { traffic, transmit: None, opened, confirmed: true })
            }
            (Self::ExpectHello { .. } | Self::AwaitAnswer | Self::ExpectFinish(_), _) => {
                Err(Failure::Refuse(RefusalCode::Malformed))
            }
        }
    }

    fn answer(self, answer: Result<Box<server::Accepted>, RefusalCode>) -> Result<Step<Server>, Failure> {
        match self {
            Self::AwaitAnswer => {
                let server::Accepted { hello, expect } = *answer.map_err(Failure::Refuse)?;
                Ok(Step::transmit(Self::ExpectFinish(Box::new(expect)), hello))
            }
            // No job is out in these states: an answer belongs to nobody.
            Self::ExpectHello { .. } | Self::ExpectFinish(_) => {
                Ok(Step::Continue { handshake: self, transmit: None, job: None })
            }
        }
    }
}

/// The client's end, whose messages an `M` reads.
#[derive(Debug)]
pub struct Client<M = Messages>(PhantomData<M>);

/// Reads all that a server says.
#[derive(Debug)]
pub struct Messages;

impl Reader for Messages {
    type Message = ServerMessage;

    fn read(&mut self, bytes: &[u8]) -> Result<Self::Message, Malformed> {
        ServerMessage::decode(bytes)
    }
}

/// The client's handshake.
#[derive(Debug)]
pub enum ClientHandshake {
    /// The job that makes the first message is out.
    AwaitHello,
    /// The first message is sent.
    ExpectServerHello(Box<client::ExpectServerHello>),
    /// The job that makes the last message is out.
    AwaitFinish,
}

impl<M: Reader> Role for Client<M> {
    type Reader = M;
    type Job = client::Job;
    type Answer = Result<client::Answer, client::ClientError>;
    // Goes with the ticket that the server will send.
    type Opened = Secret;
    type Handshake = ClientHandshake;
    const REFUSES: bool = false;
}

impl Link<Client> {
    /// A connection that was just made to a server. `first` is [`client::Job::Hello`] or [`client::Job::Resume`].
    #[must_use]
    pub fn client(first: client::Job, limits: Arc<Limits>, now: Instant) -> Self {
        Self::client_with(Messages, first, limits, now)
    }
}

impl<M: Reader> Link<Client<M>> {
    /// The same, for a client that reads messages in its own way.
    #[must_use]
    pub fn client_with(reader: M, first: client::Job, limits: Arc<Limits>, now: Instant) -> Self {
        let mut link = Self::start(ClientHandshake::AwaitHello, reader, limits, now);
        link.outputs.push_back(super::Output::Job(first));
        link
    }
}

impl<M: Reader> Handshake<Client<M>> for ClientHandshake {
    fn frame(self, header: Header, bytes: &[u8]) -> Result<Step<Client<M>>, Failure> {
        match (self, header.kind) {
            (_, Kind::Refusal) => {
                let refusal = Refusal::parse(bytes.get(HEADER_BYTES..).unwrap_or_default())?;
                Err(Failure::End(Ended::Refused(refusal)))
            }
            (Self::ExpectServerHello(expect), Kind::ServerHello) => {
                Ok(Step::await_job(Self::AwaitFinish, client::Job::Finish(expect, bytes.to_vec())))
            }
            (_, kind) => Err(Violation::Unexpected(kind).into()),
        }
    }

    fn answer(self, answer: Result<client::Answer, client::ClientError>) -> Result<Step<Client<M>>, Failure> {
        match (self, answer?) {
            (Self::AwaitHello, client::Answer::Hello(frame, expect)) => {
                Ok(Step::transmit(Self::ExpectServerHello(expect), frame))
            }
            (Self::AwaitFinish, client::Answer::Finish(frame, finished)) => {
                let client::Finished { traffic, resumption } = finished;
                Ok(Step::Open { traffic, transmit: Some(frame), opened: resumption, confirmed: false })
            }
            // An answer to another job than the one that is out belongs to nobody.
            (handshake, _) => Ok(Step::Continue { handshake, transmit: None, job: None }),
        }
    }
}
