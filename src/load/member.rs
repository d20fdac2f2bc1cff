//! One connection of the load: its socket, its link, and how far it has come.

use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;

use super::Identity;
use super::heard::{Ear, Heard};
use crate::crypto::secret::Secret;
use crate::model::{RoomName, Seq};
use crate::proto::close::{CloseCode, CloseReason};
use crate::proto::frame::RECORD_BYTES;
use crate::proto::handshake::client::{Job, Resumption};
use crate::proto::link::{self, Client, Ended, Limits, Link};
use crate::proto::message::{Join, Refused, Reply, Request, RequestId, ServerMessage, Sighting, Ticket};

/// The request with which a member joins the room; those of messages come after it.
pub(super) const JOIN: RequestId = 1;

/// What happens on a connection.
#[derive(Debug)]
pub(super) enum Happening {
    /// It is in the room, whose last message has this number.
    Entered(Seq),
    /// Somebody said something.
    Said(Sighting),
    /// The request was done: what it posted has this number, and is on the server's disk.
    Accepted(RequestId, Seq),
    /// The request was refused.
    Refused(RequestId, Refused),
    /// It is over. Nothing follows.
    Gone(Ended),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) stream: TcpStream,
    link: Link<Client<Ear>>,
    /// When it was begun.
    pub(super) began: Instant,
    // Requests that are not sealed yet, and records that the socket has not taken yet.
    requests: Vec<u8>,
    unsent: Vec<u8>,
    secret: Option<Secret>,
    resumption: Option<Resumption>,
    over: bool,
}

impl Member {
    pub(super) fn new(stream: TcpStream, first: Job, ear: Ear, limits: Arc<Limits>, now: Instant) -> Self {
        Self {
            stream,
            link: Link::client_with(ear, first, limits, now),
            began: now,
            requests: Vec::new(),
            unsent: Vec::new(),
            secret: None,
            resumption: None,
            over: false,
        }
    }

    /// What to come back with, once the server has given it.
    pub(super) fn resumption(&self) -> Option<Resumption> {
        let Resumption { ticket, secret } = self.resumption.as_ref()?;
        Some(Resumption { ticket: ticket.clone(), secret: secret.duplicate() })
    }

    /// Whether there is so much to send that more would only be kept here.
    pub(super) fn is_clogged(&self) -> bool {
        self.requests.len() + self.unsent.len() > 1 << 20
    }

    /// Queues a request, for the next [`flush`](Self::flush).
    pub(super) fn ask(&mut self, id: RequestId, request: &Request) {
        self.requests.extend_from_slice(&request.encode(id));
    }

    /// Lets time pass. Returns whether that left something to do: a connection that was silent for long gives a sign of
    /// life.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        let is_due = self.link.poll_timeout().is_some_and(|due| due <= now);
        if is_due {
            self.link.handle(link::Input::Tick, now);
        }
        is_due
    }

    /// Does what there is to do on it, and tells what happened with the time at which that was read.
    pub(super) fn advance(
        &mut self,
        identity: &Identity,
        buffer: &mut [u8],
        mut happened: impl FnMut(Happening, Instant),
    ) {
        self.follow(identity, Instant::now(), &mut happened);
        self.flush();
        while !self.over {
            let count = match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::NotConnected => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(count) => count,
                Err(_) => 0,
            };
            let now = Instant::now();
            match buffer.get_mut(..count) {
                Some(bytes) if count > 0 => self.link.handle(link::Input::Received(bytes), now),
                _ => self.link.handle(link::Input::Eof, now),
            }
            self.follow(identity, now, &mut happened);
            if count > 0 && count < buffer.len() {
                // The socket is empty; an end that comes behind is told by an event of its own.
                break;
            }
        }
        self.flush();
    }

    fn follow(&mut self, identity: &Identity, now: Instant, happened: &mut impl FnMut(Happening, Instant)) {
        while let Some(output) = self.link.poll() {
            match output {
                link::Output::Transmit(bytes) => self.unsent.extend(bytes),
                link::Output::Job(job) => {
                    let answer = job.run(&identity.key, &mut rand::rng());
                    self.link.handle(link::Input::Answer(answer), now);
                }
                link::Output::Opened(secret) => {
                    self.secret = Some(secret);
                    self.ask(JOIN, &Request::Join(Join { room: RoomName::lobby(), after: None, backlog: false }));
                }
                link::Output::Message(Heard::Said(sighting)) => happened(Happening::Said(sighting), now),
                link::Output::Message(Heard::Else(message)) => self.told(*message, now, happened),
                link::Output::Ended(ended) => {
                    self.over = true;
                    happened(Happening::Gone(ended), now);
                }
            }
        }
    }

    fn told(&mut self, message: ServerMessage, now: Instant, happened: &mut impl FnMut(Happening, Instant)) {
        match message {
            ServerMessage::Ticket(Ticket { ticket, .. }) => {
                let secret = self.secret.as_ref().map(Secret::duplicate);
                self.resumption = secret.map(|secret| Resumption { ticket: ticket.into(), secret });
            }
            ServerMessage::Reply(_, Reply::Joined(joined)) => happened(Happening::Entered(joined.last), now),
            ServerMessage::Reply(id, Reply::Accepted(accepted)) => happened(Happening::Accepted(id, accepted.seq), now),
            ServerMessage::Reply(id, Reply::Error(refused)) => happened(Happening::Refused(id, refused), now),
            _ => {}
        }
    }

    /// Sends what the socket takes.
    pub(super) fn flush(&mut self) {
        if self.link.is_open() && !self.requests.is_empty() {
            let requests = std::mem::take(&mut self.requests);
            for record in requests.chunks(RECORD_BYTES) {
                self.link.seal(&mut self.unsent, |out| out.extend_from_slice(record));
            }
        }
        let mut sent = 0;
        while let Some(rest) = self.unsent.get(sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(count) if count > 0 => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The socket is full, or broken: which one shows when it is read.
                _ => break,
            }
        }
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
    }

    /// Says that it leaves.
    pub(super) fn leave(&mut self, now: Instant) {
        self.link.handle(link::Input::Close(CloseReason::new(CloseCode::Bye, "")), now);
        while let Some(output) = self.link.poll() {
            if let link::Output::Transmit(bytes) = output {
                self.unsent.extend(bytes);
            }
        }
        self.flush();
    }
}
