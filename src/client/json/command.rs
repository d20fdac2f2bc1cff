//! The lines that come in: commands. rsachat-json(5) describes them.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::line::Ref;
use crate::client::commands::{Decision, Place};
use crate::client::session::{Ask, Command, Preference, Until};
use crate::model::{Choice, Choices, Fingerprint, MessageId, QuestionHash, RoomName, Seq, UserName};
use crate::proto::message::{self, Availability, Body, Request, SetStatus};

/// Most bytes of what a program names a command by.
const REF_BYTES: usize = 128;

/// What a line asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) reference: Option<Ref>,
    pub(crate) wish: Wish,
}

/// What is to be done for it.
#[derive(Debug)]
pub(crate) enum Wish {
    /// To be said, in this order; the last one is the one that is answered.
    Session(Vec<Command>),
    /// To be in a room.
    Join(RoomName),
    /// What to compare with a user.
    Verify(UserName),
    /// To leave.
    Exit,
}

/// Why a line can't be taken.
#[derive(Debug)]
pub(crate) struct Bad {
    pub(crate) reference: Option<Ref>,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Say {
        #[serde(default)]
        room: Option<Text<Place>>,
        text: String,
        #[serde(default)]
        kind: Kind,
        #[serde(default)]
        urgent: bool,
    },
    Ask {
        #[serde(default)]
        room: Option<Text<Place>>,
        text: String,
        choices: Vec<Text<Choice>>,
    },
    Answer {
        user: Text<UserName>,
        question: Text<MessageId>,
        asked: Text<QuestionHash>,
        choice: Text<Choice>,
    },
    Read {
        #[serde(default)]
        room: Option<Text<Place>>,
        seq: u64,
    },
    History {
        #[serde(default)]
        room: Option<Text<Place>>,
        #[serde(default)]
        before: Option<u64>,
        #[serde(default)]
        limit: Option<u32>,
    },
    People {
        #[serde(default)]
        room: Option<Text<Place>>,
    },
    Rooms {
        #[serde(default)]
        people: bool,
    },
    Whois {
        user: Text<UserName>,
    },
    Join {
        room: Text<Place>,
    },
    Create {
        room: Text<RoomName>,
        #[serde(default)]
        private: bool,
    },
    Leave {
        room: Text<Place>,
    },
    Topic {
        #[serde(default)]
        room: Option<Text<Place>>,
        text: String,
    },
    Invite {
        #[serde(default)]
        room: Option<Text<Place>>,
        user: Text<UserName>,
    },
    Kick {
        #[serde(default)]
        room: Option<Text<Place>>,
        user: Text<UserName>,
        #[serde(default)]
        reason: Option<String>,
    },
    Ban {
        #[serde(default)]
        room: Option<Text<Place>>,
        #[serde(default)]
        server: bool,
        user: Text<UserName>,
        #[serde(default)]
        seconds: Option<u32>,
        #[serde(default)]
        reason: Option<String>,
    },
    Unban {
        #[serde(default)]
        room: Option<Text<Place>>,
        #[serde(default)]
        server: bool,
        user: Text<UserName>,
    },
    Mute {
        #[serde(default)]
        room: Option<Text<Place>>,
        user: Text<UserName>,
        #[serde(default)]
        seconds: Option<u32>,
    },
    Unmute {
        #[serde(default)]
        room: Option<Text<Place>>,
        user: Text<UserName>,
    },
    Owner {
        #[serde(default)]
        room: Option<Text<Place>>,
        user: Text<UserName>,
    },
    Status {
        status: StatusKind,
        #[serde(default)]
        text: Option<String>,
        #[serde(default)]
        seconds: Option<u32>,
    },
    Ignore {
        user: Text<UserName>,
        #[serde(default = "yes")]
        on: bool,
    },
    Hush {
        #[serde(default)]
        room: Option<Text<Place>>,
        #[serde(default = "yes")]
        on: bool,
    },
    Verify {
        user: Text<UserName>,
    },
    Trust {
        user: Text<UserName>,
        #[serde(default)]
        key: Option<Text<Fingerprint>>,
        #[serde(default)]
        verified: bool,
    },
    InviteUser {
        user: Text<UserName>,
        #[serde(default)]
        seconds: Option<u32>,
    },
    Shutdown {},
    Exit {},
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Text,
    Action,
    Code,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StatusKind {
    Online,
    Away,
    Dnd,
}

/// Something that is written as a text.
#[derive(Debug)]
struct Text<T>(T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(de::Error::custom)
    }
}

fn yes() -> bool {
    true
}

/// Reads a line, for a user who means `usual` where he names no room.
pub(crate) fn read(line: &[u8], me: UserName, usual: RoomName) -> Result<Asked, Bad> {
    let value: Value = serde_json::from_slice(line.trim_ascii_end()).map_err(|error| {
        let place = format!(" at line {} column ", error.line());
        Bad { reference: None, code: "bad_json", message: error.to_string().replace(&place, " at column ") }
    })?;
    let Value::Object(mut object) = value else {
        return Err(Bad { reference: None, code: "bad_json", message: "an object is expected".to_owned() });
    };
    let reference = object.remove("ref");
    let bad = |reference, message| Bad { reference, code: "bad_command", message };
    match &reference {
        None => {}
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => {}
        Some(Value::String(text)) if text.len() <= REF_BYTES => {}
        Some(_) => {
            return Err(bad(None, format!("ref: a text of at most {REF_BYTES} bytes or an integer is expected")));
        }
    }
    let wish = serde_json::from_value(Value::Object(object))
        .map_err(|error: serde_json::Error| error.to_string())
        .and_then(|line: Line| line.wish(me, usual));
    match wish {
        Ok(wish) => Ok(Asked { reference, wish }),
        Err(message) => Err(bad(reference, message)),
    }
}

impl Line {
    fn wish(self, me: UserName, usual: RoomName) -> Result<Wish, String> {
        let oneself = || format!("{me} is you");
        let at = |room: Option<Text<Place>>| room.map_or(Some(usual), |Text(place)| place.room(me)).ok_or_else(oneself);
        let decide = |room, decision: Decision| Ok(ask(Ask::Do(decision.request(at(room)?))));
        let shared = |Text(place): Text<Place>| place.room(me).ok_or_else(oneself);
        match self {
            Self::Say { room, text, kind, urgent } => {
                if text.trim().is_empty() {
                    return Err("text: there is nothing to say".to_owned());
                }
                let body = match kind {
                    Kind::Text => Body::Text { text },
                    Kind::Action => Body::Action { text },
                    Kind::Code => Body::Code { text },
                };
                Ok(say(at(room)?, body, urgent))
            }
            Self::Ask { room, text, choices } => {
                let choices = Choices::new(choices.into_iter().map(|Text(choice)| choice).collect());
                let choices = choices.map_err(|error| format!("choices: {error}"))?;
                Ok(say(at(room)?, Body::Question { text, choices }, false))
            }
            Self::Answer { user: Text(user), question: Text(question), asked: Text(asked), choice: Text(choice) } => {
                let room = RoomName::direct(me, user).ok_or_else(oneself)?;
                Ok(say(room, Body::Answer { question, asked: Box::new(asked), choice }, false))
            }
            Self::Read { room, seq } => Ok(Wish::Session(vec![Command::Read { room: at(room)?, seq: Seq(seq) }])),
            Self::History { room, before, limit } => {
                let until = before.map_or(Until::Latest, |before| Until::Before(Seq(before)));
                Ok(ask(Ask::History { room: at(room)?, until, limit }))
            }
            Self::People { room } => Ok(ask(Ask::People { room: at(room)? })),
            Self::Rooms { people } => Ok(ask(Ask::Rooms { people })),
            Self::Whois { user: Text(user) } => Ok(ask(Ask::Whois { user })),
            Self::Join { room } => shared(room).map(Wish::Join),
            Self::Create { room: Text(room), private } => Ok(ask(Ask::Create { room, private })),
            Self::Leave { room } => Ok(ask(Ask::Do(Request::Leave(message::Leave { room: shared(room)? })))),
            Self::Topic { room, text } => decide(room, Decision::Topic(text)),
            Self::Invite { room, user: Text(user) } => decide(room, Decision::Invite(user)),
            Self::Kick { room, user: Text(user), reason } => decide(room, Decision::Kick(user, reason)),
            Self::Ban { room, server, user: Text(user), seconds, reason } => {
                let time = seconds.map(|seconds| std::time::Duration::from_secs(seconds.into()));
                decide(room, Decision::Ban { user, server, time, reason })
            }
            Self::Unban { room, server, user: Text(user) } => decide(room, Decision::Unban { user, server }),
            Self::Mute { room, user: Text(user), seconds } => {
                let time = seconds.map(|seconds| std::time::Duration::from_secs(seconds.into()));
                decide(room, Decision::Mute(user, time))
            }
            Self::Unmute { room, user: Text(user) } => decide(room, Decision::Unmute(user)),
            Self::Owner { room, user: Text(user) } => decide(room, Decision::HandOver(user)),
            Self::Status { status, text, seconds } => {
                let availability = match status {
                    StatusKind::Online => Availability::Online,
                    StatusKind::Away => Availability::Away,
                    StatusKind::Dnd => Availability::DoNotDisturb,
                };
                Ok(ask(Ask::Do(Request::SetStatus(SetStatus { availability, text, seconds }))))
            }
            Self::Ignore { user: Text(user), .. } if user == me => Err(oneself()),
            Self::Ignore { user: Text(user), on } => Ok(prefer(Preference::Ignore(user, on))),
            Self::Hush { room, on } => Ok(prefer(Preference::Hush(at(room)?, on))),
            Self::Verify { user: Text(user) } if user == me => Err(oneself()),
            Self::Verify { user: Text(user) } => Ok(Wish::Verify(user)),
            Self::Trust { user: Text(user), key, verified } => {
                let key = key.map(|Text(key)| key);
                if verified && key.is_none() {
                    return Err("verified: the key that was compared is missing".to_owned());
                }
                Ok(Wish::Session(vec![Command::Trust { user, key, verified }]))
            }
            Self::InviteUser { user: Text(user), seconds } => {
                Ok(ask(Ask::Do(Request::InviteUser(message::InviteUser { user, seconds }))))
            }
            Self::Shutdown {} => Ok(ask(Ask::Do(Request::Shutdown(message::Shutdown {})))),
            Self::Exit {} => Ok(Wish::Exit),
        }
    }
}

fn ask(ask: Ask) -> Wish {
    Wish::Session(vec![Command::Ask(ask)])
}

fn prefer(preference: Preference) -> Wish {
    Wish::Session(vec![Command::Prefer(preference)])
}

fn say(room: RoomName, body: Body, urgent: bool) -> Wish {
    // A direct room is made by whoever speaks there first.
    let join = room.is_direct().then_some(Command::Join { room });
    Wish::Session(join.into_iter().chain([Command::Post { room, body, urgent }]).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn alice(line: &[u8]) -> Result<Asked, Bad> {
        read(line, "alice".parse().unwrap(), RoomName::lobby())
    }

    #[test]
    fn what_is_not_named_is_the_usual_room_and_what_is_named_is_that() {
        let wish = |line: &str| alice(line.as_bytes()).unwrap().wish;
        let Wish::Session(commands) = wish(r#"{"command":"say","text":"hi"}"#) else { panic!("nothing is said") };
        let body = || Body::Text { text: "hi".to_owned() };
        assert_eq!(commands, [Command::Post { room: RoomName::lobby(), body: body(), urgent: false }]);
        let Wish::Session(commands) = wish(r#"{"command":"say","room":"@bob","text":"hi","urgent":true}"#) else {
            panic!("nothing is said")
        };
        let room = RoomName::direct("alice".parse().unwrap(), "bob".parse().unwrap()).unwrap();
        assert_eq!(commands, [Command::Join { room }, Command::Post { room, body: body(), urgent: true }]);
        assert!(matches!(wish(r#"{"command":"exit"}"#), Wish::Exit));
    }

    #[test]
    fn a_command_is_named_by_a_short_text_or_a_number() {
        let reference = |value: &str| alice(format!(r#"{{"command":"rooms","ref":{value}}}"#).as_bytes());
        for value in ["1", "-15", "18446744073709551615", "\"x\"", &format!("\"{}\"", "x".repeat(REF_BYTES))] {
            assert_eq!(reference(value).unwrap().reference.unwrap().to_string(), value);
        }
        for value in
            ["null", "1.5", "123456789012345678901", "[]", "{}", "true", &format!("\"{}\"", "x".repeat(REF_BYTES + 1))]
        {
            let bad = reference(value).unwrap_err();
            assert_eq!((bad.code, bad.reference), ("bad_command", None), "{value}");
        }
        // It is told with what is wrong.
        let bad = alice(br#"{"command":"sing","ref":"x"}"#).unwrap_err();
        assert_eq!((bad.code, bad.reference), ("bad_command", Some("x".into())));
    }

    const LINES: &[&str] = &[
        r##"{"command":"say","room":"#ops","text":"hi","kind":"code","urgent":false,"ref":1}"##,
        r#"{"command":"ask","text":"deploy?","choices":["yes","no"]}"#,
        r#"{"command":"ban","user":"bob","server":true,"seconds":60,"reason":"noise"}"#,
        r#"{"command":"trust","user":"bob","key":"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","verified":true}"#,
        r#"{"command":"status","status":"dnd","text":null}"#,
    ];

    proptest! {
        #[test]
        fn any_line_is_a_command_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Err(bad) = alice(&bytes) {
                prop_assert!(["bad_json", "bad_command"].contains(&bad.code) && !bad.message.is_empty());
            }
        }

        #[test]
        fn so_is_any_that_was_a_command(line in 0..LINES.len(), at in 0..200_usize, byte in any::<u8>(), cut in any::<bool>()) {
            let mut bytes = LINES[line].as_bytes().to_vec();
            prop_assert!(alice(&bytes).is_ok(), "{}", LINES[line]);
            let at = at % bytes.len();
            if cut {
                bytes.truncate(at);
                prop_assert_eq!(alice(&bytes).unwrap_err().code, "bad_json");
            } else {
                bytes[at] = byte;
                let _ = alice(&bytes);
            }
        }
    }
}
