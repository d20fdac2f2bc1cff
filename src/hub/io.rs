//! What goes into the hub and what comes out of it.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::invitations::Invitation;
use super::records::Record;
use crate::crypto::invite::InviteToken;
use crate::journal::{StoreCommand, StoreEvent};
use crate::model::{Fingerprint, RoomName, SessionId, UserName};
use crate::proto::close::CloseReason;
use crate::proto::message::{ErrorCode, Request, RequestId};

/// What the operator decides.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's software and version, for [`Welcome`](crate::proto::message::Welcome).
    pub server: String,
    /// Connections of one user; the oldest gives way to one more.
    pub connections_per_user: u32,
    /// Longest text of a message, bytes.
    pub message_bytes: u32,
    /// Messages a user may post in a second, in the long run.
    pub message_rate: NonZeroU32,
    /// Messages a user may post at once after a silence.
    pub message_burst: NonZeroU32,
    /// Messages of each room kept in memory, to be read back.
    pub history_limit: u32,
    /// Messages sent to who joins a room for the first time.
    pub join_backlog: u32,
    /// Who may do what admins may.
    pub admins: HashSet<UserName>,
    /// Rooms of which every user is a member.
    pub default_rooms: Vec<RoomName>,
    /// Whether there is a message log.
    pub records: bool,
    /// Who may make rooms.
    pub creation: Creation,
    /// Rooms in all.
    pub max_rooms: u32,
    /// Messages of a direct room that wait for one of the two.
    pub direct_quota: u32,
    /// Rooms that a user may own.
    pub max_rooms_per_user: u32,
}

/// Who may make rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// Every user.
    Everyone,
    /// Admins.
    Admins,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// A user's key is registered; for a known user, it is another key now.
    Registered {
        /// The user.
        user: UserName,
        /// Of the user's key.
        fingerprint: Fingerprint,
        /// The key, as DER SubjectPublicKeyInfo, for those who seal something to the user.
        spki: Arc<[u8]>,
    },
    /// A user's key is no longer registered.
    Unregistered {
        /// The user.
        user: UserName,
    },
    /// A connection has authenticated. The hub checks that the key is still registered, and sends the
    /// [`Welcome`](crate::proto::message::Welcome).
    Opened {
        /// The connection, under a number that was never used before.
        session: SessionId,
        /// Whose it is.
        user: UserName,
        /// Of the key that authenticated it.
        fingerprint: Fingerprint,
        /// The client's software and version, as it says.
        client: String,
    },
    /// A session asks for something.
    Request {
        /// The session.
        session: SessionId,
        /// The request's id.
        id: RequestId,
        /// What it asks for.
        request: Request,
    },
    /// The answer to [`Output::Invite`]: the token, or why there is none.
    Invited(Invitation, Result<InviteToken, String>),
    /// A connection has ended, for whatever reason; also the answer to [`Output::Close`].
    Gone {
        /// The session.
        session: SessionId,
    },
    /// The store has something to say.
    Store(StoreEvent),
    /// The operator typed a command.
    Console(ConsoleCommand),
    /// The server is to end.
    Shutdown {
        /// Why, for people: a signal's name.
        reason: String,
    },
    /// [`Hub::poll_timeout`](super::Hub::poll_timeout) has passed.
    Tick,
}

/// What the operator may type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsoleCommand {
    /// Who is connected.
    List,
    /// Close a user's connections.
    Kick(UserName),
    /// End the server.
    Shutdown,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this to a session.
    To {
        /// The session.
        session: SessionId,
        /// Encoded messages with their prefixes, one or several.
        bytes: Arc<[u8]>,
    },
    /// Send this to every session in a room.
    ToRoom {
        /// The room.
        room: RoomName,
        /// Encoded messages with their prefixes, one or several.
        bytes: Arc<[u8]>,
    },
    /// From here on the session gets what is sent to the room.
    Enter {
        /// The session.
        session: SessionId,
        /// The room.
        room: RoomName,
    },
    /// From here on the session gets nothing of the room.
    Exit {
        /// The session.
        session: SessionId,
        /// The room.
        room: RoomName,
    },
    /// Send the session what is queued for it, then the reason, then close; and say [`Input::Gone`] when that is done or
    /// has failed. The session is in no room any more.
    Close {
        /// The session.
        session: SessionId,
        /// Why.
        reason: CloseReason,
    },
    /// Make this invitation, and say [`Input::Invited`].
    Invite(Invitation),
    /// The store is to do this.
    Store(StoreCommand),
    /// A line for the operator's terminal.
    Console(String),
    /// Something for the log.
    Log(LogEvent),
    /// Something for the message log.
    Record(Record),
    /// After a shutdown: no session is left and nothing awaits the store. Comes once, and last; not at all while the
    /// store fails or a session is not [`Input::Gone`], so the shell has a deadline of its own.
    Stopped,
}

/// What is worth a line in the log. Never holds what people say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// A session authenticated with a key that is no longer registered, or came while the server ends.
    SessionRefused {
        /// The session.
        session: SessionId,
        /// Whose it is.
        user: UserName,
        /// Why.
        reason: CloseReason,
    },
    /// A request was refused in a way that an operator may want to know. Only the first with its code on a session is
    /// logged, so that no peer fills the log.
    RequestRefused {
        /// The session.
        session: SessionId,
        /// Whose it is.
        user: UserName,
        /// Why.
        code: ErrorCode,
    },
    /// A user's key was removed or replaced while the user was connected.
    KeyRemoved {
        /// The user.
        user: UserName,
        /// How many sessions are closed for it.
        sessions: usize,
    },
    /// The operator closed a user's sessions.
    Kicked {
        /// The user.
        user: UserName,
        /// How many.
        sessions: usize,
    },
    /// The server begins to end.
    ShutdownBegun {
        /// Who or what ends it.
        by: String,
        /// How many sessions are closed for it.
        sessions: usize,
    },
    /// The store can't write.
    StoreFailing {
        /// Why.
        text: String,
    },
    /// The store can write again.
    StoreRecovered,
}
