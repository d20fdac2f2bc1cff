//! The lines that go out. rsachat-json(5) describes them.

use serde::{Serialize, Serializer};

use crate::client::session::{Arrival, Visit};
use crate::model::{Fingerprint, MessageId, QuestionHash, Timestamp, UserName};
use crate::time::rfc_3339;

/// What a program has named a command by, to know its answer.
pub(crate) type Ref = serde_json::Value;

/// A line. What has a `reference` answers the command that has given it.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Line {
    Hello {
        version: u32,
        program: &'static str,
        user: Name,
        key: Key,
        server: String,
        server_key: Key,
        room: String,
    },
    Online {
        admin: bool,
        time: Time,
        message_bytes: u32,
        history_limit: u32,
        rooms: Vec<String>,
    },
    Offline {
        reason: String,
        retry_ms: u64,
        failures: u32,
    },
    Entered {
        #[serde(flatten)]
        room: RoomLine,
        visit: &'static str,
    },
    NotEntered {
        room: String,
        #[serde(flatten)]
        error: ErrorLine,
    },
    Left {
        room: String,
    },
    Membership {
        room: String,
        member: bool,
        by: Name,
        reason: Option<String>,
    },
    Message(MessageLine),
    Withheld {
        room: String,
        from: Name,
        count: u64,
    },
    Repeated {
        room: String,
        from: Name,
    },
    BeforeYou {
        room: String,
        count: u64,
    },
    Missed {
        room: String,
        count: u64,
    },
    Withdrawn {
        room: String,
        after: u64,
        messages: Vec<WithdrawnLine>,
    },
    Receipt(ReceiptLine),
    Presence {
        room: String,
        came: Vec<Name>,
        left: Vec<Name>,
        changed: Vec<ChangedLine>,
    },
    Acted {
        room: String,
        by: Name,
        act: &'static str,
        user: Option<Name>,
        text: Option<String>,
        until: Option<Time>,
    },
    KeyChanged {
        user: Name,
        key: Key,
        trusted: Option<Key>,
    },
    Trusted {
        user: Name,
        key: Key,
        verified: bool,
    },
    ShutOut {
        room: String,
        user: Name,
    },
    BadRoster {
        room: String,
        why: String,
    },
    Ignored {
        user: Name,
        on: bool,
    },
    Hushed {
        room: String,
        on: bool,
    },
    Pending {
        id: Id,
        room: String,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    Delayed {
        id: Id,
        room: String,
        #[serde(flatten)]
        error: ErrorLine,
        retry_ms: u64,
    },
    Accepted {
        id: Id,
        room: String,
        seq: u64,
        time: Time,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    Refused {
        id: Id,
        room: String,
        #[serde(flatten)]
        error: ErrorLine,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    Undelivered {
        id: Id,
        room: String,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    History {
        room: String,
        messages: Vec<MessageLine>,
        more: bool,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    People {
        room: String,
        people: Vec<PersonLine>,
        total: u64,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    User {
        user: Name,
        key: Key,
        trust: Option<&'static str>,
        admin: bool,
        since: Option<Time>,
        sessions: u32,
        #[serde(flatten)]
        status: StatusLine,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    Rooms {
        rooms: Vec<RoomLine>,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    Invited {
        user: Name,
        address: String,
        until: Time,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    Verification {
        user: Name,
        key: Key,
        digits: String,
        words: String,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    Done {
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    Error {
        #[serde(flatten)]
        error: ErrorLine,
        /// Of the input, if it could not be taken.
        line: Option<u64>,
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Ref>,
    },
    Notice {
        text: String,
    },
    End {
        outcome: &'static str,
        reason: Option<String>,
        undelivered: usize,
    },
}

/// A message.
#[derive(Debug, Serialize)]
pub(crate) struct MessageLine {
    pub(crate) room: String,
    pub(crate) seq: u64,
    pub(crate) cursor: Option<String>,
    pub(crate) id: Id,
    pub(crate) time: Time,
    pub(crate) from: Name,
    pub(crate) own: bool,
    pub(crate) arrival: Option<&'static str>,
    pub(crate) sealed: bool,
    pub(crate) trust: Option<&'static str>,
    #[serde(flatten)]
    pub(crate) body: BodyLine,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) again: bool,
}

/// What it says.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum BodyLine {
    Text { text: String },
    Action { text: String },
    Code { text: String },
    Question { text: String, choices: Vec<String>, asked: Hash },
    Answer { text: String, question: Id, asked: Hash },
    Unreadable { why: String },
}

#[derive(Debug, Serialize)]
pub(crate) struct WithdrawnLine {
    pub(crate) seq: u64,
    pub(crate) id: Id,
    pub(crate) from: Name,
    pub(crate) text: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct ReceiptLine {
    pub(crate) room: String,
    pub(crate) user: Name,
    pub(crate) delivered: u64,
    pub(crate) read: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct ChangedLine {
    pub(crate) user: Name,
    #[serde(flatten)]
    pub(crate) status: StatusLine,
}

#[derive(Debug, Serialize)]
pub(crate) struct StatusLine {
    pub(crate) status: &'static str,
    pub(crate) status_text: Option<String>,
    pub(crate) status_until: Option<Time>,
}

#[derive(Debug, Serialize)]
pub(crate) struct PersonLine {
    pub(crate) user: Name,
    pub(crate) since: Time,
    pub(crate) sessions: u32,
    #[serde(flatten)]
    pub(crate) status: StatusLine,
}

#[derive(Debug, Serialize)]
pub(crate) struct RoomLine {
    pub(crate) room: String,
    pub(crate) topic: String,
    pub(crate) owner: Option<Name>,
    pub(crate) members: u64,
    pub(crate) present: u64,
    pub(crate) joined: bool,
    pub(crate) last: u64,
    pub(crate) people: Vec<Name>,
    pub(crate) sealed: bool,
    pub(crate) receipts: Vec<ReceiptLine>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct ErrorLine {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// A user's name.
#[derive(Debug)]
pub(crate) struct Name(pub(crate) UserName);

/// A fingerprint.
#[derive(Debug)]
pub(crate) struct Key(pub(crate) Fingerprint);

/// The name of a message.
#[derive(Debug)]
pub(crate) struct Id(pub(crate) MessageId);

/// A time (RFC 3339, UTC).
#[derive(Debug)]
pub(crate) struct Time(pub(crate) Timestamp);

/// What a question asked, in hexadecimal digits.
#[derive(Debug)]
pub(crate) struct Hash(pub(crate) QuestionHash);

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&rfc_3339(self.0))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// When a message arrives.
#[must_use]
pub(crate) fn arrival(arrival: Arrival) -> &'static str {
    match arrival {
        Arrival::Backlog => "backlog",
        Arrival::Missed => "missed",
        Arrival::Live => "live",
    }
}

/// Whether it is new that the user is in a room.
#[must_use]
pub(crate) fn visit(visit: Visit) -> &'static str {
    match visit {
        Visit::First => "first",
        Visit::Return => "return",
        Visit::Again => "again",
    }
}
