//! Events as lines.

use super::VERSION;
use super::line::{
    BodyLine, ChangedLine, ErrorLine, Hash, Id, Key, Line, MessageLine, Name, PersonLine, ReceiptLine, Ref, RoomLine,
    StatusLine, Time, WithdrawnLine, arrival, visit,
};
use crate::client::address::Address;
use crate::client::session::{Answer, Ask, Event, Outcome, Preference, Said, Seal, Trust, Unreadable};
use crate::client::ui::About;
use crate::model::{Incarnation, RoomName, Seq, UserName};
use crate::proto::handshake::client::SOFTWARE;
use crate::proto::message::{
    Act, Acted, Availability, Body, ErrorCode, Position, Receipt, Refused, RoomInfo, Status, Stored, Welcome,
};

/// Makes lines for one user.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    me: UserName,
    address: Address,
    /// The present one, as soon as it is known.
    incarnation: Option<Incarnation>,
}

impl Lines {
    pub(crate) fn new(about: &About) -> Self {
        let address = Address { fingerprint: Some(about.server), ..about.address.clone() };
        Self { me: about.me, address, incarnation: None }
    }

    /// The first line.
    pub(crate) fn hello(&self, about: &About) -> Line {
        Line::Hello {
            version: VERSION,
            program: SOFTWARE,
            user: Name(about.me),
            key: Key(about.own),
            server: about.address.server.name.to_string(),
            server_key: Key(about.server),
            room: self.room(about.room),
        }
    }

    /// The last line.
    pub(crate) fn end(outcome: &Outcome, undelivered: usize) -> Line {
        let (outcome, reason) = match outcome {
            Outcome::Left => ("left", None),
            Outcome::ServerEnded => ("server_ended", None),
            Outcome::AuthenticationFailed { .. } => ("authentication_failed", None),
            Outcome::PutOut(reason) => ("put_out", Some(reason.to_string())),
            Outcome::ServerKeyChanged | Outcome::NotTheServer => ("server_key_changed", None),
            Outcome::KeyOutOfReach => ("key_out_of_reach", None),
            Outcome::Version { .. } => ("version", None),
            Outcome::GaveUp { reason } => ("gave_up", Some(reason.clone())),
        };
        Line::End { outcome, reason, undelivered }
    }

    /// The user.
    pub(crate) fn me(&self) -> UserName {
        self.me
    }

    /// There is a connection, to this start of the server.
    pub(crate) fn is_online(&mut self, welcome: &Welcome) {
        self.incarnation = Some(welcome.incarnation);
    }

    /// A room as this user names it.
    pub(crate) fn room(&self, room: RoomName) -> String {
        room.seen_by(self.me)
    }

    /// A place in a room, for a program to come back to.
    fn position(&self, seq: Seq) -> Option<Position> {
        self.incarnation.map(|incarnation| Position { incarnation, seq })
    }

    /// An event; nothing for one that another line tells. `reference` is what the command is named that it answers.
    pub(crate) fn event(&mut self, event: Event, reference: Option<Ref>) -> Option<Line> {
        Some(match event {
            Event::Online(welcome) => {
                self.is_online(&welcome);
                Line::Online {
                    admin: welcome.admin,
                    time: Time(welcome.time),
                    message_bytes: welcome.message_bytes,
                    history_limit: welcome.history_limit,
                    rooms: welcome.rooms.iter().map(|room| self.room(*room)).collect(),
                }
            }
            Event::Offline { reason, retry_in, failures } => {
                let retry_ms = u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX);
                Line::Offline { reason, retry_ms, failures }
            }
            Event::Entered { info, visit: kind } => Line::Entered { room: self.info(&info), visit: visit(kind) },
            Event::NotEntered { room, refused } => Line::NotEntered { room: self.room(room), error: error(&refused) },
            Event::Left { room } => Line::Left { room: self.room(room) },
            Event::Membership(membership) => Line::Membership {
                room: self.room(membership.room),
                member: membership.member,
                by: Name(membership.by),
                reason: membership.reason,
            },
            Event::Message { message, arrival: when, seal, .. } => {
                let arrival = Some(arrival(when));
                Line::Message(MessageLine { arrival, ..self.message(&message, seal) })
            }
            Event::Withheld { room, sender, count } => {
                Line::Withheld { room: self.room(room), from: Name(sender), count }
            }
            Event::Repeated { room, sender } => Line::Repeated { room: self.room(room), from: Name(sender) },
            Event::BeforeYou { room, count } => Line::BeforeYou { room: self.room(room), count },
            Event::Missed { room, gone } => Line::Missed { room: self.room(room), count: gone },
            Event::Withdrawn { room, after, messages } => Line::Withdrawn {
                room: self.room(room),
                after: after.0,
                messages: messages
                    .into_iter()
                    .map(|seen| WithdrawnLine {
                        seq: seen.seq.0,
                        id: Id(seen.message),
                        from: Name(seen.sender),
                        text: seen.text,
                    })
                    .collect(),
            },
            Event::Receipt(receipt) => Line::Receipt(self.receipt(&receipt)),
            Event::Presence(presence) => Line::Presence {
                room: self.room(presence.room),
                came: presence.came.into_iter().map(Name).collect(),
                left: presence.left.into_iter().map(Name).collect(),
                changed: presence
                    .changed
                    .into_iter()
                    .map(|changed| ChangedLine { user: Name(changed.user), status: status(changed.status) })
                    .collect(),
            },
            Event::Acted(acted) => self.acted(acted)?,
            Event::KeyChanged { user, key, known } => {
                Line::KeyChanged { user: Name(user), key: Key(key), trusted: known.map(Key) }
            }
            Event::Trusted { user, pin } => {
                Line::Trusted { user: Name(user), key: Key(pin.key), verified: pin.verified }
            }
            Event::ShutOut { room, user } => Line::ShutOut { room: self.room(room), user: Name(user) },
            Event::BadRoster { room, why } => Line::BadRoster { room: self.room(room), why: why.to_string() },
            Event::Preferred(Preference::Ignore(user, on)) => Line::Ignored { user: Name(user), on },
            Event::Preferred(Preference::Hush(room, on)) => Line::Hushed { room: self.room(room), on },
            Event::Pending { id, room, .. } => Line::Pending { id: Id(id), room: self.room(room), reference },
            Event::Delayed { id, room, refused, retry_in } => Line::Delayed {
                id: Id(id),
                room: self.room(room),
                error: error(&refused),
                retry_ms: u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX),
            },
            Event::Accepted { id, room, seq, time } => {
                Line::Accepted { id: Id(id), room: self.room(room), seq: seq.0, time: Time(time), reference }
            }
            Event::Refused { id, room, refused, .. } => {
                Line::Refused { id: Id(id), room: self.room(room), error: error(&refused), reference }
            }
            Event::Undelivered { id, room, .. } => Line::Undelivered { id: Id(id), room: self.room(room), reference },
            Event::Answered { ask, answer: Ok(answer) } => self.answer(&ask, answer, reference),
            Event::Answered { answer: Err(refused), .. } => {
                Line::Error { error: error(&refused), line: None, reference }
            }
            Event::Notice(text) => Line::Notice { text },
        })
    }

    fn answer(&self, ask: &Ask, answer: Answer, reference: Option<Ref>) -> Line {
        match answer {
            Answer::History { messages, more } => Line::History {
                room: if let Ask::History { room, .. } = ask { self.room(*room) } else { String::new() },
                messages: messages.into_iter().map(|Said { message, seal }| self.message(&message, seal)).collect(),
                more,
                reference,
            },
            Answer::People(list) => Line::People {
                room: self.room(list.room),
                people: list
                    .people
                    .into_iter()
                    .map(|person| PersonLine {
                        user: Name(person.user),
                        since: Time(person.since),
                        sessions: person.sessions,
                        status: status(person.status),
                    })
                    .collect(),
                total: list.total,
                reference,
            },
            Answer::User(user, trusted) => Line::User {
                user: Name(user.user),
                key: Key(user.fingerprint),
                trust: trusted.map(trust),
                admin: user.admin,
                since: user.since.map(Time),
                sessions: user.sessions,
                status: status(user.status),
                reference,
            },
            Answer::Rooms(list) => {
                Line::Rooms { rooms: list.rooms.iter().map(|info| self.info(info)).collect(), reference }
            }
            Answer::Invited(invited) => {
                let (user, token) = (invited.user, invited.token);
                let address = Address { user: Some(user), invite: Some(token), ..self.address.clone() };
                Line::Invited { user: Name(user), address: address.to_string(), until: Time(invited.until), reference }
            }
            Answer::Done => Line::Done { reference },
        }
    }

    /// A message, wherever it comes from.
    pub(crate) fn message(&self, message: &Stored, seal: Seal) -> MessageLine {
        let sealed = !matches!(seal, Seal::Open);
        let said = message.body.as_ref().ok_or(Unreadable::UnknownKind);
        let (said, trust) = match seal {
            Seal::Unreadable(why) => (Err(why), None),
            Seal::Open => (said, None),
            Seal::Sealed(trusted) => (said, Some(trust(trusted))),
        };
        let position = self.position(message.seq);
        MessageLine {
            room: self.room(message.room),
            seq: message.seq.0,
            cursor: position.map(|position| position.to_string()),
            id: Id(message.message),
            time: Time(message.time),
            from: Name(message.sender),
            own: message.sender == self.me,
            arrival: None,
            sealed,
            trust,
            body: body(said),
            again: false,
        }
    }

    fn info(&self, info: &RoomInfo) -> RoomLine {
        RoomLine {
            room: self.room(info.room),
            topic: info.topic.clone(),
            owner: info.owner.map(Name),
            members: info.members,
            present: info.present,
            joined: info.joined,
            last: info.last.0,
            people: info.people.iter().copied().map(Name).collect(),
            sealed: info.sealed,
            receipts: info.receipts.iter().map(|receipt| self.receipt(receipt)).collect(),
        }
    }

    fn receipt(&self, receipt: &Receipt) -> ReceiptLine {
        ReceiptLine {
            room: self.room(receipt.room),
            user: Name(receipt.user),
            delivered: receipt.delivered.0,
            read: receipt.read.0,
        }
    }

    /// Nothing for a decision of a kind that this version doesn't know.
    fn acted(&self, acted: Acted) -> Option<Line> {
        let (act, user, text, until) = match acted.act? {
            Act::Topic { topic } => ("topic", None, Some(topic), None),
            Act::Invited { user } => ("invite", Some(user), None, None),
            Act::Kicked { user, reason } => ("kick", Some(user), reason, None),
            Act::Banned { user, until, reason } => ("ban", Some(user), reason, until),
            Act::Unbanned { user } => ("unban", Some(user), None, None),
            Act::Muted { user, until } => ("mute", Some(user), None, until),
            Act::Unmuted { user } => ("unmute", Some(user), None, None),
            Act::HandedOver { user } => ("owner", Some(user), None, None),
            Act::Left {} => ("leave", None, None, None),
        };
        let (room, by) = (self.room(acted.room), Name(acted.by));
        Some(Line::Acted { room, by, act, user: user.map(Name), text, until: until.map(Time) })
    }
}

fn body(body: Result<&Body, Unreadable>) -> BodyLine {
    match body {
        Ok(Body::Text { text }) => BodyLine::Text { text: text.clone() },
        Ok(Body::Action { text }) => BodyLine::Action { text: text.clone() },
        Ok(Body::Code { text }) => BodyLine::Code { text: text.clone() },
        Ok(question @ Body::Question { text, choices }) => BodyLine::Question {
            text: text.clone(),
            choices: choices.iter().map(ToString::to_string).collect(),
            asked: Hash(question.hash()),
        },
        Ok(Body::Answer { question, asked, choice }) => {
            BodyLine::Answer { text: choice.to_string(), question: Id(*question), asked: Hash(**asked) }
        }
        Ok(Body::Sealed { .. }) => BodyLine::Unreadable { why: Unreadable::UnknownKind.to_string() },
        Err(why) => BodyLine::Unreadable { why: why.to_string() },
    }
}

fn trust(trust: Trust) -> &'static str {
    match trust {
        Trust::Own => "own",
        Trust::Pinned => "pinned",
        Trust::Verified => "verified",
        Trust::Earlier => "earlier",
        Trust::Changed => "changed",
    }
}

fn status(status: Status) -> StatusLine {
    let word = match status.availability {
        Availability::Online => "online",
        Availability::Away => "away",
        Availability::DoNotDisturb => "dnd",
        Availability::Other(_) => "other",
    };
    StatusLine { status: word, status_text: status.text, status_until: status.until.map(Time) }
}

fn error(refused: &Refused) -> ErrorLine {
    let code = match refused.code {
        ErrorCode::Malformed => "malformed",
        ErrorCode::UnknownRequest => "unknown_request",
        ErrorCode::Forbidden => "forbidden",
        ErrorCode::NotFound => "not_found",
        ErrorCode::TooLarge => "too_large",
        ErrorCode::RateLimited => "rate_limited",
        ErrorCode::StorageUnavailable => "storage_unavailable",
        ErrorCode::ShuttingDown => "shutting_down",
        ErrorCode::Conflict => "conflict",
        ErrorCode::DoNotDisturb => "do_not_disturb",
        ErrorCode::Other(_) => "other",
    };
    ErrorLine { code, message: refused.text.clone(), hint: refused.hint.clone() }
}
