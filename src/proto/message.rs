//! What travels inside records: requests, replies and events, as CBOR (RFC 8949).
//!
//! A message is `[type, request id, body]`: type an unsigned integer, body a map with integer keys, of which a reader
//! ignores those it doesn't know. On the wire each is preceded by its length:
//!
//! ```text
//!  0        3                                    3 + length
//!  +--------+------------------------------------+
//!  | length |  CBOR: [type, request id, {body}]  |
//!  +--------+------------------------------------+
//! ```
//!
//! Types below 32 are requests (client to server), 32 to 63 answers to the request with that id, 64 and above events
//! (id 0). A request gets exactly one answer, after zero or more [`ServerMessage::Part`]s.
//!
//! Encoders here return the length-prefixed bytes, ready to be shared by any number of recipients; decoders take a
//! message without its prefix. This module never keeps state and never looks at who sent what.

use std::sync::Arc;

use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::data::Type;
use minicbor::encode::Write;
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::model::{Fingerprint, Incarnation, MessageId, RoomName, Seq, Timestamp, UserName};

/// Bytes of the length that precedes a message on the wire.
pub const PREFIX_BYTES: usize = 3;
/// The largest message a client accepts, prefix not counted. A server accepts its `message_bytes` and
/// [`POST_OVERHEAD`].
pub const MESSAGE_BYTES: usize = 1 << 20;
/// Room for everything in a post but its text: names, identifiers, CBOR.
pub const POST_OVERHEAD: usize = 512;

/// Ties an answer to its request; chosen by the client, never 0.
pub type RequestId = u64;

/// Bytes that are not a message of this protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0}")]
pub struct Malformed(String);

impl From<minicbor::decode::Error> for Malformed {
    fn from(error: minicbor::decode::Error) -> Self {
        Self(error.to_string())
    }
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Subscribe to a room, and get what was missed.
    Join(Join),
    /// Say something in a room.
    Post(Post),
    /// Read earlier messages of a room.
    History(History),
    /// Who is in a room.
    People(People),
    /// Who is this user.
    Whois(Whois),
    /// End the server (admins).
    Shutdown(Shutdown),
    /// A type this version doesn't know; answered with [`ErrorCode::UnknownRequest`].
    Unknown(u64),
}

/// Body of request 1. Answered by [`Joined`] after the missed messages as parts, at most 256 KiB of them, but one at
/// least. When that says it is not caught up, the client asks again from the last part.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Join {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// What the client has already; nothing for a first visit, which gets the server's `join_backlog` last messages.
    #[n(1)]
    pub after: Option<Position>,
}

/// A place in a conversation, as one incarnation of the server numbered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Position {
    /// The incarnation that delivered the message.
    #[n(0)]
    pub incarnation: Incarnation,
    /// The message's number.
    #[n(1)]
    pub seq: Seq,
}

/// Body of request 2. Answered by [`Accepted`] when the message is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Post {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// The client's identifier for this message.
    #[n(1)]
    pub message: MessageId,
    /// What it says.
    #[n(2)]
    pub body: Body,
    /// Set when this message was sent before, on a connection that broke: the server then looks for it first.
    #[n(3)]
    #[cbor(default)]
    pub retry: bool,
}

/// What a message says. Kinds that come later (sealed ones) join here.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub enum Body {
    /// Something said.
    #[n(0)]
    Text {
        /// What is said.
        #[n(0)]
        text: String,
    },
    /// Something done, as `/me` tells it: the text continues the sender's name.
    #[n(1)]
    Action {
        /// What is done.
        #[n(0)]
        text: String,
    },
}

impl Body {
    /// The text, whatever kind it is.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Text { text } | Self::Action { text } => text,
        }
    }

    /// The body alone, as the database keeps it.
    #[must_use]
    pub fn to_cbor(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text().len() + 8);
        // Writing into a Vec can't fail, and no encoder here refuses a value.
        let _ = Encoder::new(&mut out).encode(self);
        out
    }

    /// Reads what [`Body::to_cbor`] wrote.
    ///
    /// # Errors
    /// [`Malformed`] for anything but one body of a kind that this version knows.
    pub fn from_cbor(bytes: &[u8]) -> Result<Self, Malformed> {
        decode_whole(bytes)
    }
}

/// Body of request 3. Answered by [`HistoryEnd`] after the messages as parts, oldest first: the latest of those that
/// qualify, at most 256 KiB of them, but one at least. For more, the client asks again before the first part.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct History {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// Only messages before this one; without it, up to the latest.
    #[n(1)]
    pub before: Option<Seq>,
    /// At most so many, the latest of those that qualify; the server's `history_limit` if it is lower.
    #[n(2)]
    pub limit: u32,
}

/// Body of request 4. Answered by [`PeopleList`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct People {
    /// The room.
    #[n(0)]
    pub room: RoomName,
}

/// Body of request 5. Answered by [`UserInfo`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Whois {
    /// The user asked about.
    #[n(0)]
    pub user: UserName,
}

/// Body of request 6. Answered by [`Reply::Done`]; the connection's close follows.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Shutdown {}

/// What a server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerMessage {
    /// The answer to a request.
    Reply(RequestId, Reply),
    /// A message that belongs to the answer of a request, before it.
    Part(RequestId, Stored),
    /// Something to resume this session with.
    Ticket(Ticket),
    /// The connection is open.
    Welcome(Welcome),
    /// Somebody said something in a joined room.
    Message(Stored),
    /// People came to or left a joined room.
    Presence(Presence),
    /// A type this version doesn't know: skipped.
    Unknown(u64),
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Done, and there is no more to say.
    Done,
    /// To [`Join`].
    Joined(Joined),
    /// To [`Post`].
    Accepted(Accepted),
    /// To [`History`].
    HistoryEnd(HistoryEnd),
    /// To [`People`].
    People(PeopleList),
    /// To [`Whois`].
    User(UserInfo),
    /// It could not be done.
    Error(Refused),
}

/// Body of answer 32.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Done {}

/// Body of answer 33.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Joined {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// Whether the session now gets this room's messages as they come. If not, there was too much for one answer.
    #[n(1)]
    pub caught_up: bool,
    /// The room's last message, or the last part if not caught up.
    #[n(2)]
    pub last: Seq,
    /// How many messages between the client's position and the first part the server no longer has.
    #[n(3)]
    pub gone: u64,
    /// If set, messages after this one that the client got from an earlier incarnation were never stored: they are
    /// withdrawn, and their numbers are used anew.
    #[n(4)]
    pub withdrawn_after: Option<Seq>,
}

/// Body of answer 34: the message is on the server's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Accepted {
    /// The message's number in its room.
    #[n(0)]
    pub seq: Seq,
    /// When the server got it.
    #[n(1)]
    pub time: Timestamp,
}

/// Body of answer 35.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct HistoryEnd {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// Whether the server has messages before the first part.
    #[n(1)]
    pub more: bool,
}

/// Body of answer 36.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PeopleList {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// Who is there, by name; at most 1,000.
    #[n(1)]
    pub people: Vec<Person>,
    /// How many are there.
    #[n(2)]
    pub total: u64,
}

/// One who is in a room.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Person {
    /// The user.
    #[n(0)]
    pub user: UserName,
    /// Since when, with the oldest of the user's connections.
    #[n(1)]
    pub since: Timestamp,
    /// How many connections the user has.
    #[n(2)]
    pub sessions: u32,
}

/// Body of answer 37.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct UserInfo {
    /// The user.
    #[n(0)]
    pub user: UserName,
    /// Of the user's registered key.
    #[n(1)]
    pub fingerprint: Fingerprint,
    /// Whether the user may do what admins may.
    #[n(2)]
    pub admin: bool,
    /// Since when the user is connected; nothing when not.
    #[n(3)]
    pub since: Option<Timestamp>,
    /// How many connections the user has.
    #[n(4)]
    pub sessions: u32,
}

/// Body of answer 63.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Refused {
    /// For programs.
    #[n(0)]
    pub code: ErrorCode,
    /// What went wrong, for people.
    #[n(1)]
    pub text: String,
    /// What to do about it, for people.
    #[n(2)]
    pub hint: Option<String>,
    /// When trying again makes sense, milliseconds from now.
    #[n(3)]
    pub retry_after_ms: Option<u64>,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// 1: the request's fields make no sense.
    Malformed,
    /// 2: the server doesn't know this type of request.
    UnknownRequest,
    /// 3: needs a role that the user doesn't have.
    Forbidden,
    /// 4: no such user or room.
    NotFound,
    /// 5: the message is longer than the server takes.
    TooLarge,
    /// 6: too many messages in too short a time.
    RateLimited,
    /// 7: the server can't write to its disk.
    StorageUnavailable,
    /// 8: the server is ending.
    ShuttingDown,
    /// Any other number, from a newer server.
    Other(u64),
}

/// Body of event 64. Tickets are opaque to clients.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Ticket {
    /// What the client presents.
    #[n(0)]
    pub ticket: ByteVec,
    /// How long it is worth presenting, seconds.
    #[n(1)]
    pub lifetime_s: u32,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("lifetime_s", &self.lifetime_s).finish_non_exhaustive()
    }
}

/// Body of event 65, in the server's first record.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Welcome {
    /// The server's software and version, as `rsachat/0.1.0`.
    #[n(0)]
    pub server: String,
    /// Whom the server took the client for.
    #[n(1)]
    pub user: UserName,
    /// Whether that user is an admin.
    #[n(2)]
    pub admin: bool,
    /// Which start of the server this is.
    #[n(3)]
    pub incarnation: Incarnation,
    /// The server's clock.
    #[n(4)]
    pub time: Timestamp,
    /// The longest text of a message, bytes.
    #[n(5)]
    pub message_bytes: u32,
    /// How many messages of a room can be read back.
    #[n(6)]
    pub history_limit: u32,
    /// Rooms to join without being asked.
    #[n(7)]
    pub rooms: Vec<RoomName>,
}

/// A message with its place: body of event 66 and of part 62.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Stored {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// Its number in the room.
    #[n(1)]
    pub seq: Seq,
    /// When the server got it.
    #[n(2)]
    pub time: Timestamp,
    /// Who said it.
    #[n(3)]
    pub sender: UserName,
    /// The sender's identifier for it.
    #[n(4)]
    pub message: MessageId,
    /// What it says; nothing if it is of a kind that this version doesn't know.
    #[n(5)]
    pub body: Option<Body>,
}

/// Body of event 67: changes of a short while, together; the user's own coming is among them. A room of more than 500
/// users sends none: there a client asks with [`People`] when it wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Presence {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// Who came.
    #[n(1)]
    pub came: Vec<UserName>,
    /// Who left.
    #[n(2)]
    pub left: Vec<UserName>,
}

mod kind {
    pub(super) const JOIN: u64 = 1;
    pub(super) const POST: u64 = 2;
    pub(super) const HISTORY: u64 = 3;
    pub(super) const PEOPLE: u64 = 4;
    pub(super) const WHOIS: u64 = 5;
    pub(super) const SHUTDOWN: u64 = 6;
    pub(super) const DONE: u64 = 32;
    pub(super) const JOINED: u64 = 33;
    pub(super) const ACCEPTED: u64 = 34;
    pub(super) const HISTORY_END: u64 = 35;
    pub(super) const PEOPLE_LIST: u64 = 36;
    pub(super) const USER_INFO: u64 = 37;
    pub(super) const PART: u64 = 62;
    pub(super) const ERROR: u64 = 63;
    pub(super) const TICKET: u64 = 64;
    pub(super) const WELCOME: u64 = 65;
    pub(super) const MESSAGE: u64 = 66;
    pub(super) const PRESENCE: u64 = 67;
}

impl Request {
    /// The request on the wire, with its prefix.
    #[must_use]
    pub fn encode(&self, id: RequestId) -> Vec<u8> {
        match self {
            Self::Join(body) => encode(kind::JOIN, id, body),
            Self::Post(body) => encode(kind::POST, id, body),
            Self::History(body) => encode(kind::HISTORY, id, body),
            Self::People(body) => encode(kind::PEOPLE, id, body),
            Self::Whois(body) => encode(kind::WHOIS, id, body),
            Self::Shutdown(body) => encode(kind::SHUTDOWN, id, body),
            Self::Unknown(kind) => encode(*kind, id, &Done {}),
        }
    }

    /// Reads a request, without its prefix.
    ///
    /// # Errors
    /// [`Malformed`] for anything but one well-formed request of a known type, or of an unknown one with any body.
    pub fn decode(bytes: &[u8]) -> Result<(RequestId, Self), Malformed> {
        let (kind, id, mut body) = envelope(bytes)?;
        let request = match kind {
            kind::JOIN => Self::Join(body.decode()?),
            kind::POST => Self::Post(body.decode()?),
            kind::HISTORY => Self::History(body.decode()?),
            kind::PEOPLE => Self::People(body.decode()?),
            kind::WHOIS => Self::Whois(body.decode()?),
            kind::SHUTDOWN => Self::Shutdown(body.decode()?),
            other => {
                body.skip()?;
                Self::Unknown(other)
            }
        };
        finish(&body)?;
        Ok((id, request))
    }
}

impl ServerMessage {
    /// The message on the wire, with its prefix.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Reply(id, reply) => match reply {
                Reply::Done => encode(kind::DONE, *id, &Done {}),
                Reply::Joined(body) => encode(kind::JOINED, *id, body),
                Reply::Accepted(body) => encode(kind::ACCEPTED, *id, body),
                Reply::HistoryEnd(body) => encode(kind::HISTORY_END, *id, body),
                Reply::People(body) => encode(kind::PEOPLE_LIST, *id, body),
                Reply::User(body) => encode(kind::USER_INFO, *id, body),
                Reply::Error(body) => encode(kind::ERROR, *id, body),
            },
            Self::Part(id, body) => encode(kind::PART, *id, body),
            Self::Ticket(body) => encode(kind::TICKET, 0, body),
            Self::Welcome(body) => encode(kind::WELCOME, 0, body),
            Self::Message(body) => encode(kind::MESSAGE, 0, body),
            Self::Presence(body) => encode(kind::PRESENCE, 0, body),
            Self::Unknown(kind) => encode(*kind, 0, &Done {}),
        }
    }

    /// Reads a message, without its prefix.
    ///
    /// # Errors
    /// [`Malformed`] for anything but one well-formed message of a known type, or of an unknown one with any body.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (kind, id, mut body) = envelope(bytes)?;
        let message = match kind {
            kind::DONE => {
                let Done {} = body.decode()?;
                Self::Reply(id, Reply::Done)
            }
            kind::JOINED => Self::Reply(id, Reply::Joined(body.decode()?)),
            kind::ACCEPTED => Self::Reply(id, Reply::Accepted(body.decode()?)),
            kind::HISTORY_END => Self::Reply(id, Reply::HistoryEnd(body.decode()?)),
            kind::PEOPLE_LIST => Self::Reply(id, Reply::People(body.decode()?)),
            kind::USER_INFO => Self::Reply(id, Reply::User(body.decode()?)),
            kind::ERROR => Self::Reply(id, Reply::Error(body.decode()?)),
            kind::PART => Self::Part(id, body.decode()?),
            kind::TICKET | kind::WELCOME | kind::MESSAGE | kind::PRESENCE if id != 0 => {
                return Err(Malformed("an event with the id of a request".to_owned()));
            }
            kind::TICKET => Self::Ticket(body.decode()?),
            kind::WELCOME => Self::Welcome(body.decode()?),
            kind::MESSAGE => Self::Message(body.decode()?),
            kind::PRESENCE => Self::Presence(body.decode()?),
            other => {
                body.skip()?;
                Self::Unknown(other)
            }
        };
        finish(&body)?;
        Ok(message)
    }
}

/// A stored message encoded once, for everyone who gets it: as an event as it stands, as part of an answer under that
/// request's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded(Arc<[u8]>);

impl Encoded {
    // [array of 3, type 66 in two bytes, id 0]: what precedes the body in an event.
    const HEAD: usize = PREFIX_BYTES + 4;

    /// Encodes it, as event 66.
    #[must_use]
    pub fn new(message: &Stored) -> Self {
        Self(encode(kind::MESSAGE, 0, message).into())
    }

    /// The event on the wire, with its prefix.
    #[must_use]
    pub fn event(&self) -> &Arc<[u8]> {
        &self.0
    }

    /// Appends the message as a part of the answer to request `id`, with its prefix.
    pub fn append_part(&self, id: RequestId, out: &mut Vec<u8>) {
        let body = self.0.get(Self::HEAD..).unwrap_or_default();
        append(kind::PART, id, |out| out.extend_from_slice(body), out);
    }
}

fn encode<T: Encode<()>>(kind: u64, id: RequestId, body: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    let write = |out: &mut Vec<u8>| {
        // Writing into a Vec can't fail, and no encoder here refuses a value.
        let _ = Encoder::new(out).encode(body);
    };
    append(kind, id, write, &mut out);
    out
}

fn append(kind: u64, id: RequestId, body: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    let _ = Encoder::new(&mut *out).array(3).and_then(|e| e.u64(kind)).and_then(|e| e.u64(id));
    body(out);
    let length = out.len() - start - PREFIX_BYTES;
    if let (Some(prefix), [_, length @ ..]) =
        (out.get_mut(start..start + PREFIX_BYTES), u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes())
    {
        prefix.copy_from_slice(&length);
    }
}

fn envelope(bytes: &[u8]) -> Result<(u64, RequestId, Decoder<'_>), Malformed> {
    let mut decoder = Decoder::new(bytes);
    match decoder.array()? {
        Some(3) => {}
        _ => return Err(Malformed("not an array of three".to_owned())),
    }
    let kind = decoder.u64()?;
    let id = decoder.u64()?;
    if decoder.datatype()? != Type::Map {
        return Err(Malformed("the body is not a map".to_owned()));
    }
    Ok((kind, id, decoder))
}

/// Reads one value, and nothing after it.
pub(super) fn decode_whole<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, Malformed> {
    let mut decoder = Decoder::new(bytes);
    let value = decoder.decode()?;
    finish(&decoder)?;
    Ok(value)
}

fn finish(decoder: &Decoder<'_>) -> Result<(), Malformed> {
    if decoder.position() == decoder.input().len() {
        Ok(())
    } else {
        Err(Malformed("bytes after the message".to_owned()))
    }
}

macro_rules! as_text {
    ($($name:ty),*) => {$(
        impl<C> Encode<C> for $name {
            fn encode<W: Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.str(self.as_str())?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                <$name>::from_wire(d.str()?).ok_or_else(|| minicbor::decode::Error::message("bad name"))
            }
        }
    )*};
}

macro_rules! as_bytes {
    ($($name:ident($size:literal)),*) => {$(
        impl<C> Encode<C> for $name {
            fn encode<W: Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
                let bytes: ByteArray<$size> = Decode::decode(d, ctx)?;
                Ok(Self(*bytes))
            }
        }
    )*};
}

macro_rules! as_number {
    ($($name:ident),*) => {$(
        impl<C> Encode<C> for $name {
            fn encode<W: Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.u64(self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                Ok(Self(d.u64()?))
            }
        }
    )*};
}

as_text!(UserName, RoomName);
as_bytes!(MessageId(16), Fingerprint(32));
as_number!(Seq, Incarnation, Timestamp);

impl ErrorCode {
    fn number(self) -> u64 {
        match self {
            Self::Malformed => 1,
            Self::UnknownRequest => 2,
            Self::Forbidden => 3,
            Self::NotFound => 4,
            Self::TooLarge => 5,
            Self::RateLimited => 6,
            Self::StorageUnavailable => 7,
            Self::ShuttingDown => 8,
            Self::Other(number) => number,
        }
    }
}

impl<C> Encode<C> for ErrorCode {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u64(self.number())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for ErrorCode {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(match d.u64()? {
            1 => Self::Malformed,
            2 => Self::UnknownRequest,
            3 => Self::Forbidden,
            4 => Self::NotFound,
            5 => Self::TooLarge,
            6 => Self::RateLimited,
            7 => Self::StorageUnavailable,
            8 => Self::ShuttingDown,
            number => Self::Other(number),
        })
    }
}

#[cfg(test)]
mod tests;
