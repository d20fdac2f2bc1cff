//! The bodies of answers and events.

use minicbor::bytes::ByteVec;
use minicbor::encode::Write;
use minicbor::{Decode, Decoder, Encode, Encoder};

use super::{Body, RoomInfo, Status, Waiting};
use crate::model::{Fingerprint, Incarnation, MessageId, RoomName, Seq, Timestamp, UserName};

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
    pub info: RoomInfo,
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
    /// What the user says of himself.
    #[n(3)]
    pub status: Status,
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
    /// What the user says of himself, connected or not.
    #[n(5)]
    pub status: Status,
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
    /// 9: it can't be done as things are: a name is taken, a limit is reached.
    Conflict,
    /// 10: the other one does not want to be disturbed.
    DoNotDisturb,
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
    /// How many messages of a room can be read back at once.
    #[n(6)]
    pub history_limit: u32,
    /// Rooms to join without being asked: those of which the user is a member.
    #[n(7)]
    pub rooms: Vec<RoomName>,
    /// The user's direct rooms in which there is something that none of his clients has got; at most 1,000.
    #[n(8)]
    pub waiting: Vec<Waiting>,
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
            Self::Conflict => 9,
            Self::DoNotDisturb => 10,
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
            9 => Self::Conflict,
            10 => Self::DoNotDisturb,
            number => Self::Other(number),
        })
    }
}
