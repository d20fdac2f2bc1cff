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

mod answer;
mod body;
mod encoded;
mod people;
mod request;
mod rooms;
mod sealed;
mod values;

use minicbor::data::Type;
use minicbor::{Decode, Decoder, Encode, Encoder};

pub use self::answer::{
    Accepted, Done, ErrorCode, HistoryEnd, Joined, PeopleList, Person, Refused, Stored, Ticket, UserInfo, Welcome,
};
pub use self::body::Body;
pub use self::encoded::{Encoded, Sighting};
pub use self::people::{Availability, Changed, InviteUser, Invited, Presence, SetIdle, SetStatus, Status};
pub use self::request::{History, Join, People, Position, PositionError, Post, Shutdown, Whois};
pub use self::rooms::{
    Act, Acted, Ban, Create, HandOver, Invite, Kick, Leave, Membership, Mute, RoomInfo, RoomList, Rooms, SetTopic,
    Unban, Unmute,
};
pub use self::sealed::{
    AddSenderKey, KeptSenderKey, KeyChanged, KeyList, Keys, Receipt, Recipient, Roster, RosterEntry, RosterPage, Seen,
    SenderKeyList, SenderKeys, UserKey, Waiting,
};

/// Bytes of the length that precedes a message on the wire.
pub const PREFIX_BYTES: usize = 3;
/// The largest message a client accepts, prefix not counted. For a server, see [`longest_request`].
pub const MESSAGE_BYTES: usize = 1 << 20;
/// Room for everything in a post but what it says: names, identifiers, CBOR.
const POST_OVERHEAD: usize = 512;
/// The longest request but for a post.
const REQUEST_BYTES: usize = 24 << 10;

/// How long what is said can be when it is sealed, by the length of its text: structures, signature, and the padding,
/// which adds an eighth at most.
#[must_use]
pub const fn sealed_bytes(text: usize) -> usize {
    text + text / 8 + 320
}

/// The longest message that a server accepts that takes texts of so many bytes, prefix not counted.
#[must_use]
pub fn longest_request(text: usize) -> usize {
    (sealed_bytes(text) + POST_OVERHEAD).max(REQUEST_BYTES)
}

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
    /// Make a room.
    Create(Create),
    /// Be in a room no longer.
    Leave(Leave),
    /// Which rooms there are.
    Rooms(Rooms),
    /// Say what a room is about.
    SetTopic(SetTopic),
    /// Make a user a member of a room.
    Invite(Invite),
    /// Put a user out of a room. In a box, as the next one.
    Kick(Box<Kick>),
    /// Put a user out of a room or of the server, for longer. In a box, so that this rare one makes no post larger.
    Ban(Box<Ban>),
    /// Let a user back.
    Unban(Unban),
    /// Let a user read, but not speak.
    Mute(Mute),
    /// Let a user speak again.
    Unmute(Unmute),
    /// Make a member the owner of a room.
    HandOver(HandOver),
    /// Say whether one wants to be talked to.
    SetStatus(SetStatus),
    /// Say whether somebody is at this session.
    SetIdle(SetIdle),
    /// What are these users' public keys.
    Keys(Keys),
    /// Keep a sender key.
    AddSenderKey(Box<AddSenderKey>),
    /// What sender keys are kept.
    SenderKeys(SenderKeys),
    /// What has come of a direct room.
    Seen(Seen),
    /// Who is in a private room, as its owners have signed it.
    Roster(Roster),
    /// Let somebody in who is not registered.
    InviteUser(InviteUser),
    /// A type this version doesn't know; answered with [`ErrorCode::UnknownRequest`].
    Unknown(u64),
}

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
    /// Somebody decided something over a joined room.
    Acted(Acted),
    /// The user is a member of a room now, or no longer.
    Membership(Membership),
    /// Something was said in a direct room that the session is not in.
    Waiting(Waiting),
    /// How far a direct room's messages have come.
    Receipt(Receipt),
    /// Somebody has another key.
    KeyChanged(KeyChanged),
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
    /// To [`Rooms`].
    Rooms(RoomList),
    /// To [`Keys`].
    Keys(KeyList),
    /// To [`SenderKeys`].
    SenderKeys(SenderKeyList),
    /// To [`Roster`].
    Roster(RosterPage),
    /// To [`InviteUser`].
    Invited(Invited),
    /// It could not be done.
    Error(Refused),
}

mod kind {
    pub(super) const JOIN: u64 = 1;
    pub(super) const POST: u64 = 2;
    pub(super) const HISTORY: u64 = 3;
    pub(super) const PEOPLE: u64 = 4;
    pub(super) const WHOIS: u64 = 5;
    pub(super) const SHUTDOWN: u64 = 6;
    pub(super) const CREATE: u64 = 7;
    pub(super) const LEAVE: u64 = 8;
    pub(super) const ROOMS: u64 = 9;
    pub(super) const SET_TOPIC: u64 = 10;
    pub(super) const INVITE: u64 = 11;
    pub(super) const KICK: u64 = 12;
    pub(super) const BAN: u64 = 13;
    pub(super) const UNBAN: u64 = 14;
    pub(super) const MUTE: u64 = 15;
    pub(super) const UNMUTE: u64 = 16;
    pub(super) const HAND_OVER: u64 = 17;
    pub(super) const SET_STATUS: u64 = 18;
    pub(super) const SET_IDLE: u64 = 19;
    pub(super) const KEYS: u64 = 20;
    pub(super) const ADD_SENDER_KEY: u64 = 21;
    pub(super) const SENDER_KEYS: u64 = 22;
    pub(super) const SEEN: u64 = 23;
    pub(super) const ROSTER: u64 = 24;
    pub(super) const INVITE_USER: u64 = 25;
    pub(super) const DONE: u64 = 32;
    pub(super) const JOINED: u64 = 33;
    pub(super) const ACCEPTED: u64 = 34;
    pub(super) const HISTORY_END: u64 = 35;
    pub(super) const PEOPLE_LIST: u64 = 36;
    pub(super) const USER_INFO: u64 = 37;
    pub(super) const ROOM_LIST: u64 = 38;
    pub(super) const KEY_LIST: u64 = 39;
    pub(super) const SENDER_KEY_LIST: u64 = 40;
    pub(super) const ROSTER_PAGE: u64 = 41;
    pub(super) const INVITED: u64 = 42;
    pub(super) const PART: u64 = 62;
    pub(super) const ERROR: u64 = 63;
    pub(super) const TICKET: u64 = 64;
    pub(super) const WELCOME: u64 = 65;
    pub(super) const MESSAGE: u64 = 66;
    pub(super) const PRESENCE: u64 = 67;
    pub(super) const ACTED: u64 = 68;
    pub(super) const MEMBERSHIP: u64 = 69;
    pub(super) const WAITING: u64 = 70;
    pub(super) const RECEIPT: u64 = 71;
    pub(super) const KEY_CHANGED: u64 = 72;
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
            Self::Create(body) => encode(kind::CREATE, id, body),
            Self::Leave(body) => encode(kind::LEAVE, id, body),
            Self::Rooms(body) => encode(kind::ROOMS, id, body),
            Self::SetTopic(body) => encode(kind::SET_TOPIC, id, body),
            Self::Invite(body) => encode(kind::INVITE, id, body),
            Self::Kick(body) => encode(kind::KICK, id, body),
            Self::Ban(body) => encode(kind::BAN, id, body),
            Self::Unban(body) => encode(kind::UNBAN, id, body),
            Self::Mute(body) => encode(kind::MUTE, id, body),
            Self::Unmute(body) => encode(kind::UNMUTE, id, body),
            Self::HandOver(body) => encode(kind::HAND_OVER, id, body),
            Self::SetStatus(body) => encode(kind::SET_STATUS, id, body),
            Self::SetIdle(body) => encode(kind::SET_IDLE, id, body),
            Self::Keys(body) => encode(kind::KEYS, id, body),
            Self::AddSenderKey(body) => encode(kind::ADD_SENDER_KEY, id, body),
            Self::SenderKeys(body) => encode(kind::SENDER_KEYS, id, body),
            Self::Seen(body) => encode(kind::SEEN, id, body),
            Self::Roster(body) => encode(kind::ROSTER, id, body),
            Self::InviteUser(body) => encode(kind::INVITE_USER, id, body),
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
            kind::CREATE => Self::Create(body.decode()?),
            kind::LEAVE => Self::Leave(body.decode()?),
            kind::ROOMS => Self::Rooms(body.decode()?),
            kind::SET_TOPIC => Self::SetTopic(body.decode()?),
            kind::INVITE => Self::Invite(body.decode()?),
            kind::KICK => Self::Kick(body.decode()?),
            kind::BAN => Self::Ban(body.decode()?),
            kind::UNBAN => Self::Unban(body.decode()?),
            kind::MUTE => Self::Mute(body.decode()?),
            kind::UNMUTE => Self::Unmute(body.decode()?),
            kind::HAND_OVER => Self::HandOver(body.decode()?),
            kind::SET_STATUS => Self::SetStatus(body.decode()?),
            kind::SET_IDLE => Self::SetIdle(body.decode()?),
            kind::KEYS => Self::Keys(body.decode()?),
            kind::ADD_SENDER_KEY => Self::AddSenderKey(body.decode()?),
            kind::SENDER_KEYS => Self::SenderKeys(body.decode()?),
            kind::SEEN => Self::Seen(body.decode()?),
            kind::ROSTER => Self::Roster(body.decode()?),
            kind::INVITE_USER => Self::InviteUser(body.decode()?),
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
                Reply::Rooms(body) => encode(kind::ROOM_LIST, *id, body),
                Reply::Keys(body) => encode(kind::KEY_LIST, *id, body),
                Reply::SenderKeys(body) => encode(kind::SENDER_KEY_LIST, *id, body),
                Reply::Roster(body) => encode(kind::ROSTER_PAGE, *id, body),
                Reply::Invited(body) => encode(kind::INVITED, *id, body),
                Reply::Error(body) => encode(kind::ERROR, *id, body),
            },
            Self::Part(id, body) => encode(kind::PART, *id, body),
            Self::Ticket(body) => encode(kind::TICKET, 0, body),
            Self::Welcome(body) => encode(kind::WELCOME, 0, body),
            Self::Message(body) => encode(kind::MESSAGE, 0, body),
            Self::Presence(body) => encode(kind::PRESENCE, 0, body),
            Self::Acted(body) => encode(kind::ACTED, 0, body),
            Self::Membership(body) => encode(kind::MEMBERSHIP, 0, body),
            Self::Waiting(body) => encode(kind::WAITING, 0, body),
            Self::Receipt(body) => encode(kind::RECEIPT, 0, body),
            Self::KeyChanged(body) => encode(kind::KEY_CHANGED, 0, body),
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
            kind::ROOM_LIST => Self::Reply(id, Reply::Rooms(body.decode()?)),
            kind::KEY_LIST => Self::Reply(id, Reply::Keys(body.decode()?)),
            kind::SENDER_KEY_LIST => Self::Reply(id, Reply::SenderKeys(body.decode()?)),
            kind::ROSTER_PAGE => Self::Reply(id, Reply::Roster(body.decode()?)),
            kind::INVITED => Self::Reply(id, Reply::Invited(body.decode()?)),
            kind::ERROR => Self::Reply(id, Reply::Error(body.decode()?)),
            kind::PART => Self::Part(id, body.decode()?),
            kind::TICKET..=kind::KEY_CHANGED if id != 0 => {
                return Err(Malformed("an event with the id of a request".to_owned()));
            }
            kind::TICKET => Self::Ticket(body.decode()?),
            kind::WELCOME => Self::Welcome(body.decode()?),
            kind::MESSAGE => Self::Message(body.decode()?),
            kind::PRESENCE => Self::Presence(body.decode()?),
            kind::ACTED => Self::Acted(body.decode()?),
            kind::MEMBERSHIP => Self::Membership(body.decode()?),
            kind::WAITING => Self::Waiting(body.decode()?),
            kind::RECEIPT => Self::Receipt(body.decode()?),
            kind::KEY_CHANGED => Self::KeyChanged(body.decode()?),
            other => {
                body.skip()?;
                Self::Unknown(other)
            }
        };
        finish(&body)?;
        Ok(message)
    }
}

// Inlined into one function for all messages, encoders are too much for the compiler, and it inlines them no further.
#[inline(never)]
fn encode<T: Encode<()>>(kind: u64, id: RequestId, body: &T) -> Vec<u8> {
    // Most messages fit.
    let mut out = Vec::with_capacity(256);
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
pub(crate) fn decode_whole<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, Malformed> {
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

#[cfg(test)]
mod tests;
