//! A line of the log: a record as a JSON object.

use std::fmt::Write as _;

use serde::Serialize;

use crate::crypto::kdf;
use crate::hub::Record;
use crate::model::{Timestamp, UserName};
use crate::proto::message::{Act, Availability, Body, PREFIX_BYTES, ServerMessage};
use crate::time::rfc_3339;

/// What a line may say, in this order.
#[derive(Debug, Default, Serialize)]
pub(super) struct Line {
    time: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<String>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// To whom it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// What a question can be answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    choices: Option<Vec<String>>,
    /// The message that an answer is to.
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<String>,
    /// Of what is sealed: SHA-256 over the ciphertext.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    private: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

impl Line {
    /// What a record says.
    pub(super) fn of(time: Timestamp, record: &Record) -> Self {
        let line = |event| Self { time: rfc_3339(time), event, ..Self::default() };
        match record {
            Record::Said(event) => Self::said(event).unwrap_or_else(|| line("message")),
            Record::Connected { session, user, client } => Self {
                user: Some(user.to_string()),
                session: Some(session.0),
                client: Some(client.to_string()),
                ..line("connect")
            },
            Record::Disconnected { session, user } => {
                Self { user: Some(user.to_string()), session: Some(session.0), ..line("disconnect") }
            }
            Record::Made { room, by, private } => Self {
                room: Some(room.to_string()),
                user: Some(by.to_string()),
                private: Some(*private),
                ..line("create")
            },
            Record::Joined { room, user } => {
                Self { room: Some(room.to_string()), user: Some(user.to_string()), ..line("join") }
            }
            Record::Left { room, user } => {
                Self { room: Some(room.to_string()), user: Some(user.to_string()), ..line("leave") }
            }
            Record::Status { user, status } => Self {
                user: Some(user.to_string()),
                status: Some(match status.availability {
                    Availability::Online => "online",
                    Availability::Away => "away",
                    Availability::DoNotDisturb => "dnd",
                    Availability::Other(_) => "other",
                }),
                text: status.text.clone(),
                until: status.until.map(rfc_3339),
                ..line("status")
            },
            Record::Decided { room, by, act } => {
                let base =
                    |event| Self { room: room.map(|room| room.to_string()), user: Some(by.to_string()), ..line(event) };
                let about = |event, user: UserName| Self { target: Some(user.to_string()), ..base(event) };
                match act {
                    Act::Topic { topic } => Self { text: Some(topic.clone()), ..base("topic") },
                    Act::Invited { user } => about("invite", *user),
                    Act::Kicked { user, reason } => Self { text: reason.clone(), ..about("kick", *user) },
                    Act::Banned { user, until, reason } => {
                        Self { text: reason.clone(), until: until.map(rfc_3339), ..about("ban", *user) }
                    }
                    Act::Unbanned { user } => about("unban", *user),
                    Act::Muted { user, until } => Self { until: until.map(rfc_3339), ..about("mute", *user) },
                    Act::Unmuted { user } => about("unmute", *user),
                    Act::HandedOver { user } => about("owner", *user),
                    Act::Left {} => base("leave"),
                }
            }
        }
    }

    fn said(event: &[u8]) -> Option<Self> {
        let decoded = event.get(PREFIX_BYTES..).map(ServerMessage::decode);
        let Some(Ok(ServerMessage::Message(said))) = decoded else { return None };
        let line = |event| Self {
            time: rfc_3339(said.time),
            event,
            room: Some(said.room.to_string()),
            user: Some(said.sender.to_string()),
            seq: Some(said.seq.0),
            id: Some(said.message.to_string()),
            ..Self::default()
        };
        Some(match said.body {
            Some(Body::Text { text }) => Self { text: Some(text), ..line("message") },
            Some(Body::Action { text }) => Self { text: Some(text), ..line("action") },
            Some(Body::Code { text }) => Self { text: Some(text), ..line("code") },
            Some(Body::Question { text, choices }) => {
                let choices = choices.iter().map(|choice| choice.as_str().to_owned()).collect();
                Self { text: Some(text), choices: Some(choices), ..line("question") }
            }
            Some(Body::Answer { question, choice, .. }) => {
                Self { text: Some(choice.as_str().to_owned()), question: Some(question.to_string()), ..line("answer") }
            }
            Some(Body::Sealed { sealed, .. }) => Self { sha256: Some(hex(&kdf::digest(&sealed))), ..line("sealed") },
            None => line("message"),
        })
    }

    /// So many records are not in the log.
    pub(super) fn lost(time: Timestamp, count: u64) -> Self {
        Self { time: rfc_3339(time), event: "lost", count: Some(count), ..Self::default() }
    }

    /// As a line.
    pub(super) fn append(&self, out: &mut Vec<u8>) {
        // Writing into a Vec can't fail, and a Line has nothing that JSON has not.
        let _ = serde_json::to_writer(&mut *out, self);
        out.push(b'\n');
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
