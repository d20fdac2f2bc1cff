//! What goes into a session and what comes out of it. [`Event`]s and [`Command`]s are all that a face of the client
//! knows of the chat, be it lines, JSON, a full screen or a browser.

use std::time::Duration;

use super::private::BadRoster;
use super::ticket::KeptTicket;
use super::trust::{Known, Pin, Trust};
use super::vault::Unreadable;
use crate::crypto::rsa::OperationError;
use crate::e2e::{self, Head};
use crate::model::{Fingerprint, MessageId, RoomName, SenderKeyId, Seq, Timestamp, UserName};
use crate::proto::close::CloseReason;
use crate::proto::handshake::client::{Answer as JobAnswer, ClientError, Job};
use crate::proto::message::{
    Acted, Body, Invited, Membership, PeopleList, Position, Presence, Receipt, Refused, Request, RoomInfo, RoomList,
    Stored, UserInfo, Welcome,
};

/// One try to have a connection. What comes for an earlier one is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Attempt(pub u64);

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// Something happened to the connection of this attempt.
    Network(Attempt, Network<'a>),
    /// The user wants something.
    Command(Command),
    /// Work is done, or can't be.
    Worked(WorkId, Result<e2e::Answer, OperationError>),
    /// Another client of the user has remembered this.
    Recalled(Known),
    /// An earlier session has left this ticket, for the first connection.
    Ticket(KeptTicket),
    /// The time that [`poll_timeout`](super::Session::poll_timeout) named has come.
    Tick,
}

/// Some work that is done elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct WorkId(pub u64);

/// What some work is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    /// To speak in this room.
    Make(RoomName),
    /// To read what was said in this room under this sender key.
    Open(RoomName, SenderKeyId),
    /// To change who is in a private room.
    Sign,
}

/// What happened to a connection.
#[derive(Debug)]
pub enum Network<'a> {
    /// It is there.
    Connected,
    /// It can't be had, for this reason.
    Failed(String),
    /// These bytes came; they are decrypted where they stand.
    Received(&'a mut [u8]),
    /// No more bytes come, or it broke.
    Eof,
    /// A job is done.
    Answer(Result<JobAnswer, ClientError>),
}

/// What a user can want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Say something. Leads to [`Event::Pending`] at once, then to [`Event::Accepted`] or [`Event::Refused`].
    Post {
        /// Where.
        room: RoomName,
        /// What.
        body: Body,
        /// Whether it is to reach also who does not want to be disturbed, where the user may do that.
        urgent: bool,
    },
    /// Be in a room. Leads to [`Event::Entered`] or [`Event::NotEntered`], unless it is in it already.
    Join {
        /// The room.
        room: RoomName,
    },
    /// What was said in a room has been seen up to here.
    Read {
        /// The room.
        room: RoomName,
        /// The last message that was seen.
        seq: Seq,
    },
    /// Trust a key of a user's. Leads to [`Event::Trusted`], or to [`Event::Notice`] if the server has none.
    Trust {
        /// Whose.
        user: UserName,
        /// Which; without it, the one that was told by [`Event::KeyChanged`], else the one that the server says he has.
        key: Option<Fingerprint>,
        /// It was compared with the user's own over another way than the server's.
        verified: bool,
    },
    /// Do without something, or no longer. Leads to [`Event::Preferred`].
    Prefer(Preference),
    /// Ask the server for something. Leads to one [`Event::Answered`].
    Ask(Ask),
    /// Leave: as soon as the first messages of the rooms are here, everything said is acknowledged and everything asked
    /// is answered; at once when this much time has passed.
    Leave {
        /// How long to wait for that.
        patience: Duration,
    },
}

/// What a user wants to do without, on all of his clients; or no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preference {
    /// What this user says.
    Ignore(UserName, bool),
    /// To be told that something was said in this room.
    Hush(RoomName, bool),
}

/// A question to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Earlier messages.
    History {
        /// Of this room.
        room: RoomName,
        /// Up to where.
        until: Until,
        /// At most so many; without it, as many as the server gives at once.
        limit: Option<u32>,
    },
    /// Who is in a room.
    People {
        /// The room.
        room: RoomName,
    },
    /// Who is this.
    Whois {
        /// The user.
        user: UserName,
    },
    /// Which rooms there are.
    Rooms {
        /// Whether to say who is where.
        people: bool,
    },
    /// To make a room, and own it. As [`Ask::Do`].
    Create {
        /// Its name.
        room: RoomName,
        /// Whether only those whom its owner lets in are to know of it, and to read what is said there.
        private: bool,
    },
    /// To do something: a request that [`Reply::Done`](crate::proto::message::Reply::Done) answers, or with what came of it
    /// [`Reply::Invited`](crate::proto::message::Reply::Invited). It is asked once, over no second connection.
    Do(Request),
}

/// Where earlier messages end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// With the latest.
    Latest,
    /// Before this one.
    Before(Seq),
    /// Before the first one of the last answer about that room; with the latest, if there was none.
    Older,
}

/// The answer to an [`Ask`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Messages, oldest first.
    History {
        /// The messages.
        messages: Vec<Said>,
        /// Whether the server has messages before them.
        more: bool,
    },
    /// Who is there.
    People(PeopleList),
    /// Who this is, and how far his key is trusted; nothing if it was never seen.
    User(Box<UserInfo>, Option<Trust>),
    /// Which rooms there are.
    Rooms(RoomList),
    /// It is done.
    Done,
    /// Somebody can be let in by this.
    Invited(Invited),
}

/// What to do.
#[derive(Debug)]
pub enum Output {
    /// Make a connection to the server.
    Connect(Attempt),
    /// Send these bytes on it, after all before.
    Transmit(Vec<u8>),
    /// Run this, and hand in its answer.
    Job(Attempt, Job),
    /// Run this, and hand in what comes of it; no connection is needed for it.
    Work(WorkId, e2e::Job),
    /// Remember this of a user, for later sessions; if another client has already done so, tell what.
    Meet(UserName, Pin),
    /// Remember this of a user, for later sessions, in the place of what was remembered before.
    Decide(UserName, Pin),
    /// Remember up to where a room was read; nothing if it is left, or if the server has lost that.
    HasRead(RoomName, Option<Position>),
    /// Remember what the user does without.
    Prefer(Preference),
    /// Remember up to where a private room's roster was seen; nothing if the room is left.
    HasRoster(RoomName, Option<Head>),
    /// Hang up, once the bytes before this are sent; or stop trying to connect.
    Disconnect,
    /// Keep this for a later session: at the end, if there is a ticket that was not used.
    Ticket(KeptTicket),
    /// Tell the user.
    Event(Event),
    /// The session has ended. Nothing follows.
    Over {
        /// Why.
        outcome: Outcome,
        /// How many messages were said and never acknowledged.
        undelivered: usize,
    },
}

/// What a user may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server knows us.
    Online(Welcome),
    /// No connection, for now.
    Offline {
        /// Why.
        reason: String,
        /// When the next try is made.
        retry_in: Duration,
        /// How many tries have failed in a row; 0 if a working connection was lost.
        failures: u32,
    },
    /// All of a room's messages up to now have been shown: from here on they come as they are said.
    Entered {
        /// The room.
        info: RoomInfo,
        /// Whether that is new.
        visit: Visit,
    },
    /// The server doesn't let us into a room.
    NotEntered {
        /// The room.
        room: RoomName,
        /// Why.
        refused: Refused,
    },
    /// Somebody said something.
    Message {
        /// What.
        message: Stored,
        /// When it comes.
        arrival: Arrival,
        /// Whether it is the user's own, from this session or another.
        own: bool,
        /// Whether others could read it, and whose it is.
        seal: Seal,
    },
    /// So many messages of somebody should be before the next one, and are not: they were refused, or withheld.
    Withheld {
        /// Where.
        room: RoomName,
        /// Whose.
        sender: UserName,
        /// How many.
        count: u64,
    },
    /// The server has sent an earlier message of somebody as a new one. It is not told as said.
    Repeated {
        /// Where.
        room: RoomName,
        /// Whose.
        sender: UserName,
    },
    /// How far what was said in a direct room has come with the other one.
    Receipt(Receipt),
    /// The server says that somebody has another key than the trusted one.
    KeyChanged {
        /// Who.
        user: UserName,
        /// The new key's.
        key: Fingerprint,
        /// The trusted one's.
        known: Option<Fingerprint>,
    },
    /// A user's key is trusted from now on.
    Trusted {
        /// Whose.
        user: UserName,
        /// What is known of it.
        pin: Pin,
    },
    /// Something that this user said is under way.
    Pending {
        /// Names it from now on.
        id: MessageId,
        /// Where.
        room: RoomName,
        /// What.
        body: Body,
    },
    /// It can't be stored now, and is sent again later, without the user's doing.
    Delayed {
        /// Which.
        id: MessageId,
        /// Where.
        room: RoomName,
        /// Why.
        refused: Refused,
        /// When.
        retry_in: Duration,
    },
    /// It is on the server's disk.
    Accepted {
        /// Which.
        id: MessageId,
        /// Where.
        room: RoomName,
        /// Its number there.
        seq: Seq,
        /// When the server got it.
        time: Timestamp,
    },
    /// It will not be sent again.
    Refused {
        /// Which.
        id: MessageId,
        /// Where.
        room: RoomName,
        /// What was said.
        body: Body,
        /// Why.
        refused: Refused,
    },
    /// It is not sent again, as the session ends or we are not in the room any more, and nobody knows whether the server
    /// has it: it was never acknowledged.
    Undelivered {
        /// Which.
        id: MessageId,
        /// Where.
        room: RoomName,
        /// What was said.
        body: Body,
    },
    /// The server lost messages that were shown, before they were on its disk. None of them was acknowledged.
    Withdrawn {
        /// Where.
        room: RoomName,
        /// Those after this one.
        after: Seq,
        /// What is still known of them.
        messages: Vec<Seen>,
    },
    /// So many messages were said in our absence, and the server has them no longer.
    Missed {
        /// Where.
        room: RoomName,
        /// How many.
        gone: u64,
    },
    /// People came or left.
    Presence(Presence),
    /// Somebody decided something over a room.
    Acted(Acted),
    /// We are in a room now, and enter it, or no longer. Not our doing, or another session's.
    Membership(Membership),
    /// We are in a room no longer, as we asked.
    Left {
        /// The room.
        room: RoomName,
    },
    /// This many messages before this were said while the user was not in the private room.
    BeforeYou {
        /// The room.
        room: RoomName,
        /// How many.
        count: u64,
    },
    /// Somebody in a private room has another key than when he was let in: he can't read what is said from now on.
    ShutOut {
        /// The room.
        room: RoomName,
        /// Who.
        user: UserName,
    },
    /// A private room's roster is not what it should be: nothing is sent there.
    BadRoster {
        /// The room.
        room: RoomName,
        /// Why.
        why: BadRoster,
    },
    /// What the user does without: told at the start, and when it changes.
    Preferred(Preference),
    /// A question was answered, or will not be.
    Answered {
        /// The question.
        ask: Ask,
        /// The answer, or why there is none.
        answer: Result<Answer, Refused>,
    },
    /// Something else that the user should know.
    Notice(String),
}

/// A message with what is known of its seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The message, opened if it was sealed and could be.
    pub message: Stored,
    /// Whether others could read it, and whose it is.
    pub seal: Seal,
}

/// Who could read a message, and how far it is known whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// It was said where everybody may read it: whose it is is the server's word.
    Open,
    /// Only the room's members could read it, and its sender has signed it with a key that is trusted so far.
    Sealed(Trust),
    /// It can't be read, for this reason.
    Unreadable(Unreadable),
}

/// Whether it is new that the user is in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visit {
    /// Nothing was ever read there: what was said before is nothing that was missed.
    First,
    /// What was read there is remembered from an earlier session.
    Return,
    /// This session had been there before.
    Again,
}

/// When a message arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// As one of the last before this session; nothing new, or said before the user's first visit.
    Backlog,
    /// Late: it was said while we were away, and nobody has read it.
    Missed,
    /// As it is said.
    Live,
}

/// What is kept of a message that was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub seq: Seq,
    /// The sender's identifier for it.
    pub message: MessageId,
    /// Who said it.
    pub sender: UserName,
    /// How it begins.
    pub text: String,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The user left.
    Left,
    /// The server ended, because the user told it to.
    ServerEnded,
    /// The server doesn't take the user for who he says he is.
    AuthenticationFailed {
        /// He came by an invitation, and was never let in.
        invited: bool,
    },
    /// The user was put out: the key was removed, or an admin did it.
    PutOut(CloseReason),
    /// The server says that it has another key than the trusted one.
    ServerKeyChanged,
    /// The server could not prove that it has the trusted key.
    NotTheServer,
    /// The user's own key was needed, and who holds it does not answer any more.
    KeyOutOfReach,
    /// The server speaks only these versions of the protocol.
    Version {
        /// From this one ...
        min: u8,
        /// ... to this one.
        max: u8,
    },
    /// There was no connection for too long.
    GaveUp {
        /// Why the last try failed.
        reason: String,
    },
}
