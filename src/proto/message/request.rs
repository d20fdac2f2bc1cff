//! The bodies of requests.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

use super::Body;
use crate::model::{Incarnation, MessageId, RoomName, Seq, UserName};

/// Body of request 1: be a member of a room, and get what is said there. Answered by [`Joined`](super::Joined) after the
/// missed messages as parts, at most 256 KiB of them, but one at least. When that says it is not caught up, the client
/// asks again from the last part.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Join {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// What the client has already; nothing for a first visit, which gets the server's `join_backlog` last messages.
    #[n(1)]
    pub after: Option<Position>,
    /// Whether to give those last messages beside what was missed: what the client has is from another session of its.
    #[n(2)]
    #[cbor(default)]
    pub backlog: bool,
}

/// A place in a conversation, as one incarnation of the server numbered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(map)]
pub struct Position {
    /// The incarnation that delivered the message.
    #[n(0)]
    pub incarnation: Incarnation,
    /// The message's number.
    #[n(1)]
    pub seq: Seq,
}

/// `INCARNATION-SEQ`.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.incarnation.0, self.seq.0)
    }
}

/// A text that is not two numbers with a hyphen in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a place in a room is two numbers, as 3-17")]
pub struct PositionError;

impl FromStr for Position {
    type Err = PositionError;
    fn from_str(text: &str) -> Result<Self, PositionError> {
        let (incarnation, seq) = text.split_once('-').ok_or(PositionError)?;
        let number = |text: &str| text.parse().map_err(|_| PositionError);
        Ok(Self { incarnation: Incarnation(number(incarnation)?), seq: Seq(number(seq)?) })
    }
}

/// Body of request 2. Answered by [`Accepted`](super::Accepted) when the message is on disk.
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
    /// The post before this one, if that is not answered yet: if it is refused for now, so is this one.
    #[n(4)]
    pub after: Option<MessageId>,
    /// Whether it is to reach also who does not want to be disturbed. In a direct room, from an admin or the owner of a
    /// room that both are in.
    #[n(5)]
    #[cbor(default)]
    pub urgent: bool,
}

/// Body of request 3. Answered by [`HistoryEnd`](super::HistoryEnd) after the messages as parts, oldest first: the latest of those that
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

/// Body of request 4. Answered by [`PeopleList`](super::PeopleList).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct People {
    /// The room.
    #[n(0)]
    pub room: RoomName,
}

/// Body of request 5. Answered by [`UserInfo`](super::UserInfo).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Whois {
    /// The user asked about.
    #[n(0)]
    pub user: UserName,
}

/// Body of request 6. Answered by [`Reply::Done`](super::Reply::Done); the connection's close follows.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Shutdown {}
