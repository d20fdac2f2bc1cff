//! The server's side of the handshake.
//!
//! [`Job::run`] holds all that is expensive, for a worker thread; [`ExpectFinish::finish`] is cheap. Whether a user is
//! registered, and with which key, never shows: whoever lacks the user's private key gets a server hello either way, and
//! fails at the client's finish. Whether an RSA ciphertext was well-formed never shows either: one that was not fails at
//! the tag of the sealed identity, as does a changed tag. All of them end in the same "authentication failed".

use std::sync::Arc;

use rand::CryptoRng;

use super::wire::{self, ClientHello, LayoutError, Preamble, RefusalCode, ResumeHello, ServerHello, VERSION};
use super::{CLIENT_BYTES, Finish, Identity, Invited, Traffic, mix, open, seal, traffic_secrets, transcript, zeros};
use crate::crypto::aead::TAG_BYTES;
use crate::crypto::invite::InviteToken;
use crate::crypto::kdf::{Label, Transcript, expand, extract};
use crate::crypto::kem;
use crate::crypto::rsa::{Label as OaepLabel, PrivateKey, PublicKey};
use crate::crypto::secret::Secret;
use crate::model::{Fingerprint, Timestamp, UserName};
use crate::proto::frame::HEADER_BYTES;
use crate::proto::message::decode_whole;
use crate::proto::ticket::{Contents, TicketKeys};

/// The registered users, as of now.
pub trait Directory: Send + Sync {
    /// The key registered for `user`.
    fn find(&self, user: &UserName) -> Option<PublicKey>;

    /// Registers `user` with `key` if that is what the token is good for. [`find`](Self::find) tells whether it was. May take
    /// as long as files do. Without an implementation nobody is invited.
    fn enrol(&self, _user: &UserName, _token: &InviteToken, _key: &PublicKey) {}
}

/// What the jobs work with.
#[derive(Clone)]
pub struct Context {
    /// The server's key.
    pub key: Arc<PrivateKey>,
    /// The registered users.
    pub directory: Arc<dyn Directory>,
    /// The ticket keys.
    pub tickets: Arc<TicketKeys>,
    /// The time.
    pub now: Timestamp,
}

/// The expensive part of answering a hello: a whole frame, header included, whose kind is known.
#[derive(Debug, PartialEq, Eq)]
pub enum Job {
    /// A client hello: one RSA private-key operation, one RSA public-key operation, one encapsulation; for somebody who was
    /// invited, files are read and written.
    Full(Vec<u8>),
    /// A resume hello: one encapsulation.
    Resume(Vec<u8>),
}

/// What a job found out.
#[derive(Debug)]
pub struct Accepted {
    /// The server hello, a whole frame.
    pub hello: Vec<u8>,
    /// What to do with the client's finish.
    pub expect: ExpectFinish,
}

/// Awaits the client's finish.
#[derive(Debug)]
pub struct ExpectFinish {
    auth: Secret,
    transcript: Transcript,
    ticket: Vec<u8>,
    user: UserName,
    fingerprint: Fingerprint,
    proof: Proof,
}

/// By what the client's finish is to prove who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// The private key to the one that is registered.
    Key,
    /// The secret that belongs to a ticket.
    Ticket,
    /// A key that nobody but the server has: no finish can then be right.
    Decoy,
}

/// A client that has proved who it is.
#[derive(Debug)]
pub struct Authenticated {
    /// Its user.
    pub user: UserName,
    /// Its key.
    pub fingerprint: Fingerprint,
    /// Its software, as it says.
    pub client: String,
    /// It came by a ticket, without a look at its key.
    pub resumed: bool,
    /// A ticket to come back with.
    pub ticket: Vec<u8>,
    /// The keys of the connection.
    pub traffic: Box<Traffic>,
}

impl From<LayoutError> for RefusalCode {
    fn from(_: LayoutError) -> Self {
        Self::Malformed
    }
}

impl Job {
    /// Does the work.
    ///
    /// # Errors
    /// The refusal to send.
    pub fn run(self, context: &Context, rng: &mut dyn CryptoRng) -> Result<Box<Accepted>, RefusalCode> {
        match self {
            Self::Full(frame) => run_full(&frame, context, rng),
            Self::Resume(frame) => run_resume(&frame, context, rng),
        }
    }
}

/// Checks the versions, before anything that depends on them; returns the rest of the payload.
fn supported(frame: &[u8]) -> Result<&[u8], RefusalCode> {
    let payload = frame.get(HEADER_BYTES..).unwrap_or_default();
    let (preamble, rest) = Preamble::split(payload)?;
    // A server that speaks several versions must refuse, likewise, a client that speaks a higher one of them than it was
    // talked into.
    let supported = preamble.version == VERSION && preamble.version <= preamble.max_version;
    if supported { Ok(rest) } else { Err(RefusalCode::UnsupportedVersion) }
}

/// Judges a first message before any work is spent on it.
///
/// # Errors
/// The refusal to send.
pub fn check_versions(frame: &[u8]) -> Result<(), RefusalCode> {
    supported(frame).map(|_| ())
}

/// Judges a key request, a whole frame of that kind.
///
/// # Errors
/// The refusal to send.
pub fn check_key_request(frame: &[u8]) -> Result<(), RefusalCode> {
    if supported(frame)?.is_empty() { Ok(()) } else { Err(RefusalCode::Malformed) }
}

fn run_full(frame: &[u8], context: &Context, rng: &mut dyn CryptoRng) -> Result<Box<Accepted>, RefusalCode> {
    let hello = ClientHello::parse(supported(frame)?)?;
    if *hello.server_key_id != context.key.public().fingerprint().0 {
        return Err(RefusalCode::UnknownServerKey);
    }
    let (kem_ciphertext, shared) =
        kem::encapsulate(hello.kem_key, rng).map_err(|kem::BadPublicKey| RefusalCode::Malformed)?;
    let early = extract(&zeros(), &context.key.decrypt(OaepLabel::ServerHandshake, hello.encrypted_key, rng));
    let mut transcript = transcript();
    let block = open(&early, Label::Identity, &mut transcript, frame, hello.sealed)
        .map_err(|_| RefusalCode::AuthenticationFailed)?;
    let identity = identify(&block, context).ok_or(RefusalCode::AuthenticationFailed)?;

    let registered = context.directory.find(&identity.user).filter(|key| key.fingerprint() == identity.fingerprint);
    // The decoy is the server's own key: nobody else can decrypt what is sent under it.
    let client_key = registered.as_ref().unwrap_or_else(|| context.key.public());
    let k_c = Secret::random(rng);
    let block = wire::pad(&client_key.encrypt(OaepLabel::ClientHandshake, &k_c, rng), wire::LONG_BLOCK)?;

    let secret = mix(&early, &shared);
    let mut hello = ServerHello::head(&kem_ciphertext, block.len() + TAG_BYTES);
    seal(&secret, Label::ServerHello, &mut transcript, &mut hello, &block);
    let auth = mix(&secret, &k_c);
    let proof = if registered.is_some() { Proof::Key } else { Proof::Decoy };
    accept(hello, auth, transcript, &identity, (proof, context.now), context, rng)
}

/// Who a hello is from, by its block. Who comes with an invitation is registered by it here, before he has proved that the
/// key is his: he will have to before he gets in, and so will whoever comes after him.
fn identify(block: &[u8], context: &Context) -> Option<Identity> {
    let content = wire::unpad(block).ok()?;
    if block.len() == wire::SHORT_BLOCK {
        return decode_whole(content).ok();
    }
    let Invited { user, token, key } = decode_whole(content).ok()?;
    let key = PublicKey::from_spki_der(&key).ok()?;
    context.directory.enrol(&user, &token, &key);
    Some(Identity { user, fingerprint: key.fingerprint() })
}

fn run_resume(frame: &[u8], context: &Context, rng: &mut dyn CryptoRng) -> Result<Box<Accepted>, RefusalCode> {
    let hello = ResumeHello::parse(supported(frame)?)?;
    let server = context.key.public().fingerprint();
    let ticket = context.tickets.open(hello.ticket, server, context.now).map_err(|_| RefusalCode::TicketRefused)?;
    let early = extract(&zeros(), &ticket.secret);
    let mut transcript = transcript();
    open(&early, Label::Binder, &mut transcript, frame, hello.sealed).map_err(|_| RefusalCode::TicketRefused)?;
    let key = context.directory.find(&ticket.user).ok_or(RefusalCode::TicketRefused)?;
    if key.fingerprint() != ticket.fingerprint {
        return Err(RefusalCode::TicketRefused);
    }
    let (kem_ciphertext, shared) =
        kem::encapsulate(hello.kem_key, rng).map_err(|kem::BadPublicKey| RefusalCode::Malformed)?;

    let secret = mix(&early, &shared);
    let mut hello = ServerHello::head(&kem_ciphertext, TAG_BYTES);
    seal(&secret, Label::ServerHello, &mut transcript, &mut hello, &[]);
    let auth = mix(&secret, &zeros());
    let identity = Identity { user: ticket.user, fingerprint: ticket.fingerprint };
    accept(hello, auth, transcript, &identity, (Proof::Ticket, ticket.proved), context, rng)
}

fn accept(
    hello: Vec<u8>,
    auth: Secret,
    transcript: Transcript,
    identity: &Identity,
    (proof, proved): (Proof, Timestamp),
    context: &Context,
    rng: &mut dyn CryptoRng,
) -> Result<Box<Accepted>, RefusalCode> {
    let &Identity { user, fingerprint } = identity;
    let secret = expand(&auth, Label::Resumption, &transcript.hash());
    let contents = Contents { user, fingerprint, secret, issued: context.now, proved };
    let ticket = context.tickets.seal(&contents, context.key.public().fingerprint(), rng)?;
    let expect = ExpectFinish { auth, transcript, ticket, user, fingerprint, proof };
    Ok(Box::new(Accepted { hello, expect }))
}

impl ExpectFinish {
    /// Judges the client's finish, a whole frame of that kind.
    ///
    /// # Errors
    /// The refusal to send: always [`RefusalCode::AuthenticationFailed`].
    pub fn finish(mut self, frame: &[u8]) -> Result<Authenticated, RefusalCode> {
        const ERROR: RefusalCode = RefusalCode::AuthenticationFailed;
        let sealed = frame.get(HEADER_BYTES..).unwrap_or_default();
        let block = open(&self.auth, Label::ClientFinish, &mut self.transcript, frame, sealed).map_err(|_| ERROR)?;
        let finish: Finish = decode_whole(wire::unpad(&block).map_err(|_| ERROR)?).map_err(|_| ERROR)?;
        if self.proof == Proof::Decoy || block.len() != wire::SHORT_BLOCK || finish.client.len() > CLIENT_BYTES {
            return Err(ERROR);
        }
        let (receive, send) = traffic_secrets(&self.auth, &self.transcript);
        Ok(Authenticated {
            user: self.user,
            fingerprint: self.fingerprint,
            client: finish.client,
            resumed: self.proof == Proof::Ticket,
            ticket: self.ticket,
            traffic: Box::new(Traffic { send, receive }),
        })
    }
}
