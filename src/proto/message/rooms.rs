//! The bodies of what concerns rooms themselves: making them, being in them, deciding over them.

use minicbor::{Decode, Encode};

use super::{Receipt, RosterEntry};
use crate::model::{RoomName, Seq, Timestamp, UserName};

/// Body of request 7: make a room that everyone may join, or a private one, and own it. Answered by
/// [`Reply::Done`](super::Reply::Done).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Create {
    /// Its name, which no other room has.
    #[n(0)]
    pub room: RoomName,
    /// The first statement of its roster, if it is to be private.
    #[n(1)]
    pub roster: Option<RosterEntry>,
}

/// Body of request 8: be in a room no longer, with any session. Answered by [`Reply::Done`](super::Reply::Done).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Leave {
    /// The room.
    #[n(0)]
    pub room: RoomName,
}

/// Body of request 9. Answered by [`RoomList`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Rooms {
    /// Whether to say who is where.
    #[n(0)]
    pub people: bool,
}

/// Body of request 10: say what a room is about. Answered by [`Reply::Done`](super::Reply::Done).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SetTopic {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// One line, at most 256 bytes; empty for none.
    #[n(1)]
    pub topic: String,
}

/// Body of request 11: make a user a member of a room. Answered by [`Reply::Done`](super::Reply::Done).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Invite {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// The user.
    #[n(1)]
    pub user: UserName,
    /// Of a private room, what says so.
    #[n(2)]
    pub roster: Option<RosterEntry>,
}

/// Body of request 12: a user is a member of a room no longer, but may come back. Answered by
/// [`Reply::Done`](super::Reply::Done).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Kick {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// The user.
    #[n(1)]
    pub user: UserName,
    /// Why, for people; at most 256 bytes.
    #[n(2)]
    pub reason: Option<String>,
    /// Of a private room, what says so.
    #[n(3)]
    pub roster: Option<RosterEntry>,
}

/// Body of request 13: a user may not come back. Answered by [`Reply::Done`](super::Reply::Done).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Ban {
    /// To this room; without it, to the server.
    #[n(0)]
    pub room: Option<RoomName>,
    /// The user.
    #[n(1)]
    pub user: UserName,
    /// For so many seconds; without it, until it is lifted.
    #[n(2)]
    pub seconds: Option<u32>,
    /// Why, for people; at most 256 bytes.
    #[n(3)]
    pub reason: Option<String>,
}

/// Body of request 14: lift a ban. Answered by [`Reply::Done`](super::Reply::Done).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Unban {
    /// From this room; without it, from the server.
    #[n(0)]
    pub room: Option<RoomName>,
    /// The user.
    #[n(1)]
    pub user: UserName,
}

/// Body of request 15: a user may read in a room, but not speak. Answered by [`Reply::Done`](super::Reply::Done).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Mute {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// The user.
    #[n(1)]
    pub user: UserName,
    /// For so many seconds; without it, until it is lifted.
    #[n(2)]
    pub seconds: Option<u32>,
}

/// Body of request 16: a user may speak again. Answered by [`Reply::Done`](super::Reply::Done).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Unmute {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// The user.
    #[n(1)]
    pub user: UserName,
}

/// Body of request 17: another member owns a room from now on. Answered by [`Reply::Done`](super::Reply::Done).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct HandOver {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// Its new owner.
    #[n(1)]
    pub user: UserName,
    /// Of a private room, what says so.
    #[n(2)]
    pub roster: Option<RosterEntry>,
}

/// Body of answer 38.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RoomList {
    /// The rooms that the user may see, by name.
    #[n(0)]
    pub rooms: Vec<RoomInfo>,
}

/// A room, as it looks to the user who is told.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RoomInfo {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// What it is about; empty if nobody has said.
    #[n(1)]
    pub topic: String,
    /// Who decides over it; nobody but admins if nobody is named.
    #[n(2)]
    pub owner: Option<UserName>,
    /// How many users are its members. Of a room that everyone is in, how many are registered.
    #[n(3)]
    pub members: u64,
    /// How many of them are connected, and in it.
    #[n(4)]
    pub present: u64,
    /// Whether the user is a member.
    #[n(5)]
    pub joined: bool,
    /// The number of its last message.
    #[n(6)]
    pub last: Seq,
    /// Who is in it, by name, if that was asked for; over all rooms of a list at most 1,000 names.
    #[n(7)]
    pub people: Vec<UserName>,
    /// Whether what is said in it is sealed.
    #[n(8)]
    pub sealed: bool,
    /// Of a direct room, how far its messages have come with each of the two.
    #[n(9)]
    pub receipts: Vec<Receipt>,
    /// Of a private room, how many statements its roster has; 0 of others.
    #[n(10)]
    pub roster: u64,
}

impl RoomInfo {
    /// A room of which nothing is known but its name.
    #[must_use]
    pub fn new(room: RoomName) -> Self {
        let (topic, people) = (String::new(), Vec::new());
        let (sealed, receipts) = (room.is_direct(), Vec::new());
        let (members, present, roster) = (0, 0, 0);
        Self {
            room,
            topic,
            owner: None,
            members,
            present,
            joined: false,
            last: Seq(0),
            people,
            sealed,
            receipts,
            roster,
        }
    }
}

/// Body of event 68: somebody decided something over a room that the session is in.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Acted {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// Who did it.
    #[n(1)]
    pub by: UserName,
    /// What; nothing if it is of a kind that this version doesn't know.
    #[n(2)]
    pub act: Option<Act>,
}

/// What somebody decided.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub enum Act {
    /// What the room is about.
    #[n(0)]
    Topic {
        /// Empty for nothing.
        #[n(0)]
        topic: String,
    },
    /// Somebody is a member.
    #[n(1)]
    Invited {
        /// Who.
        #[n(0)]
        user: UserName,
    },
    /// Somebody is one no longer.
    #[n(2)]
    Kicked {
        /// Who.
        #[n(0)]
        user: UserName,
        /// Why.
        #[n(1)]
        reason: Option<String>,
    },
    /// Somebody is one no longer, and may not come back.
    #[n(3)]
    Banned {
        /// Who.
        #[n(0)]
        user: UserName,
        /// Until then; without it, until it is lifted.
        #[n(1)]
        until: Option<Timestamp>,
        /// Why.
        #[n(2)]
        reason: Option<String>,
    },
    /// Somebody may come back.
    #[n(4)]
    Unbanned {
        /// Who.
        #[n(0)]
        user: UserName,
    },
    /// Somebody may not speak.
    #[n(5)]
    Muted {
        /// Who.
        #[n(0)]
        user: UserName,
        /// Until then; without it, until it is lifted.
        #[n(1)]
        until: Option<Timestamp>,
    },
    /// Somebody may speak again.
    #[n(6)]
    Unmuted {
        /// Who.
        #[n(0)]
        user: UserName,
    },
    /// Somebody else decides from now on.
    #[n(7)]
    HandedOver {
        /// Who.
        #[n(0)]
        user: UserName,
    },
    /// Who did it is a member of a private room no longer, by his own will.
    #[n(8)]
    Left {},
}

/// Body of event 69: the user is a member of a room now, or no longer, and it was not this session that asked for it. Who
/// is one may [`Join`](super::Join); who is none gets nothing of it from here on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Membership {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// Whether the user is a member.
    #[n(1)]
    pub member: bool,
    /// Whose doing it is; the user's own, if with another session.
    #[n(2)]
    pub by: UserName,
    /// Why, for people.
    #[n(3)]
    pub reason: Option<String>,
}
