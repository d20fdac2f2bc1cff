//! What sessions ask for, but for posts: joins, history, people, who is who, the end.

use std::time::Duration;

use super::shutdown::Phase;
use super::{At, Hub, LogEvent, Output, PEOPLE};
use crate::model::{RoomName, SessionId};
use crate::proto::close::{CloseCode, CloseReason};
use crate::proto::message::{
    ErrorCode, History, HistoryEnd, Join, Joined, PeopleList, Person, Refused, Reply, Request, RequestId,
    ServerMessage, UserInfo, Whois,
};

/// What a refusal costs a user: a thousand a second may be caused in the long run ...
const REFUSAL: Duration = Duration::from_millis(1);
/// ... and ten thousand at once. With more, the connection that asks is closed.
const REFUSALS: Duration = Duration::from_secs(10);

/// A refusal without a hint.
pub(super) fn refused(code: ErrorCode, text: impl Into<String>) -> Refused {
    Refused { code, text: text.into(), hint: None, retry_after_ms: None }
}

/// A refusal that says what to do about it.
pub(super) fn refused_with_hint(code: ErrorCode, text: impl Into<String>, hint: impl Into<String>) -> Refused {
    Refused { hint: Some(hint.into()), ..refused(code, text) }
}

/// A refusal that time cures.
pub(super) fn refused_for(wait: Duration, code: ErrorCode, text: impl Into<String>) -> Refused {
    // Rounded up, so that who waits just so long is not refused again.
    let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    Refused { retry_after_ms: Some(millis), ..refused(code, text) }
}

/// The refusal of everything while the server ends.
pub(super) fn ending() -> Refused {
    refused(ErrorCode::ShuttingDown, "the server is ending")
}

/// The refusal of what concerns a room that isn't there.
pub(super) fn no_room(room: RoomName) -> Refused {
    refused(ErrorCode::NotFound, format!("there is no room {room}"))
}

impl Hub {
    pub(super) fn request(&mut self, session: SessionId, id: RequestId, request: Request, at: At) {
        if !self.sessions.contains_key(&session) {
            return;
        }
        let answered = if self.phase != Phase::Running {
            Err(ending())
        } else if id == 0 {
            Err(refused(ErrorCode::Malformed, "a request's id is never 0"))
        } else {
            match request {
                Request::Post(post) => self.post(session, id, post, at),
                Request::Join(join) => self.join(session, id, &join, at),
                Request::History(history) => self.history(session, id, &history, at),
                Request::People(people) => self.people(session, id, people.room, at),
                Request::Whois(whois) => self.whois(session, id, &whois, at),
                Request::Shutdown(_) => self.shutdown_request(session, id, at),
                Request::Unknown(kind) => Err(refused_with_hint(
                    ErrorCode::UnknownRequest,
                    format!("this server doesn't know requests of type {kind}"),
                    "the server may be older than the client: ask its operator for an update",
                )),
            }
        };
        if let Err(refusal) = answered {
            self.refuse(session, id, refusal, at);
        }
    }

    /// Answers a request with a refusal, and logs it if it tells an operator something.
    fn refuse(&mut self, session: SessionId, id: RequestId, refusal: Refused, at: At) {
        let Some(asking) = self.sessions.get_mut(&session) else { return };
        let (user, code) = (asking.user, refusal.code);
        let telling = match code {
            ErrorCode::Malformed | ErrorCode::UnknownRequest | ErrorCode::Forbidden | ErrorCode::RateLimited => true,
            ErrorCode::NotFound
            | ErrorCode::TooLarge
            | ErrorCode::StorageUnavailable
            | ErrorCode::ShuttingDown
            | ErrorCode::Other(_) => false,
        };
        if telling && !asking.logged.contains(&code) {
            asking.logged.push(code);
            self.log(LogEvent::RequestRefused { session, user, code });
        }
        self.send(session, &ServerMessage::Reply(id, Reply::Error(refusal)));
        // A refusal is an answer as well. Who goes on asking for what is refused would have the server keep refusals that
        // nobody reads.
        let Some(user) = self.users.get_mut(&user) else { return };
        if user.refused.wait(REFUSAL, REFUSALS, at.now).is_zero() {
            user.refused.take(REFUSAL, at.now);
        } else {
            let text = "too many requests that can't be granted";
            self.close(session, CloseReason::new(CloseCode::ProtocolError, text), at);
        }
    }

    fn may_read(&self, session: SessionId, at: At) -> Result<(), Refused> {
        let user = self.sessions.get(&session).and_then(|session| self.users.get(&session.user));
        let wait = user.map(|user| user.reading.wait(at.now)).unwrap_or_default();
        if wait.is_zero() {
            Ok(())
        } else {
            Err(refused_for(wait, ErrorCode::RateLimited, "you ask for too much in too short a time"))
        }
    }

    /// Sends parts and the reply that ends them, in one piece, and charges the user for it.
    fn answer(&mut self, session: SessionId, id: RequestId, mut parts: Vec<u8>, reply: Reply, at: At) {
        parts.extend_from_slice(&ServerMessage::Reply(id, reply).encode());
        let user = self.sessions.get(&session).map(|session| session.user);
        if let Some(user) = user.and_then(|user| self.users.get_mut(&user)) {
            user.reading.charge(parts.len(), at.now);
        }
        self.send_bytes(session, parts);
    }

    fn join(&mut self, session: SessionId, id: RequestId, join: &Join, at: At) -> Result<(), Refused> {
        self.may_read(session, at)?;
        let name = join.room;
        let room = self.rooms.get(&name).ok_or_else(|| no_room(name))?;
        let resume = room.resume(join.after, self.incarnation, self.settings.join_backlog);
        let mut parts = Vec::new();
        let (last, caught_up) = room.page_after(resume.from, id, &mut parts);
        let joined = Joined { room: name, caught_up, last, gone: resume.gone, withdrawn_after: resume.withdrawn_after };
        self.answer(session, id, parts, Reply::Joined(joined), at);
        if caught_up
            && let Some(asking) = self.sessions.get_mut(&session)
            && !asking.rooms.contains(&name)
            && let Some(room) = self.rooms.get_mut(&name)
        {
            asking.rooms.push(name);
            room.enter(asking.user);
            self.outputs.push_back(Output::Enter { session, room: name });
            self.presence_changed(name, at.now);
        }
        Ok(())
    }

    fn history(&mut self, session: SessionId, id: RequestId, history: &History, at: At) -> Result<(), Refused> {
        self.may_read(session, at)?;
        let room = self.rooms.get(&history.room).ok_or_else(|| no_room(history.room))?;
        let mut parts = Vec::new();
        let limit = history.limit.min(self.settings.history_limit);
        let more = room.page_before(history.before, limit, id, &mut parts);
        self.answer(session, id, parts, Reply::HistoryEnd(HistoryEnd { room: history.room, more }), at);
        Ok(())
    }

    fn people(&mut self, session: SessionId, id: RequestId, name: RoomName, at: At) -> Result<(), Refused> {
        self.may_read(session, at)?;
        let room = self.rooms.get(&name).ok_or_else(|| no_room(name))?;
        let people = room.members.keys().take(PEOPLE).filter_map(|name| {
            let user = self.users.get(name)?;
            Some(Person { user: *name, since: user.since()?, sessions: user.session_count() })
        });
        let list = PeopleList { room: name, people: people.collect(), total: room.members.len() as u64 };
        self.answer(session, id, Vec::new(), Reply::People(list), at);
        Ok(())
    }

    fn whois(&mut self, session: SessionId, id: RequestId, whois: &Whois, at: At) -> Result<(), Refused> {
        self.may_read(session, at)?;
        let name = whois.user;
        let known = self.users.get(&name).and_then(|user| user.key.map(|key| (user, key)));
        let (user, fingerprint) = known.ok_or_else(|| {
            refused_with_hint(ErrorCode::NotFound, format!("no user {name} is registered"), "check the name")
        })?;
        let info = UserInfo {
            user: name,
            fingerprint,
            admin: self.settings.admins.contains(&name),
            since: user.since(),
            sessions: user.session_count(),
        };
        self.answer(session, id, Vec::new(), Reply::User(info), at);
        Ok(())
    }

    fn shutdown_request(&mut self, session: SessionId, id: RequestId, at: At) -> Result<(), Refused> {
        let user = self.sessions.get(&session).map(|session| session.user);
        let Some(user) = user.filter(|user| self.settings.admins.contains(user)) else {
            return Err(refused_with_hint(
                ErrorCode::Forbidden,
                "only admins may end the server",
                "the server's operator names admins in its config.json, under \"admins\"",
            ));
        };
        self.send(session, &ServerMessage::Reply(id, Reply::Done));
        self.begin_shutdown(format!("by {user}"), at);
        Ok(())
    }
}
