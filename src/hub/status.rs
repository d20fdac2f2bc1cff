//! Whether people want to be talked to: what they say of it, for how long, and whether somebody is at their sessions.

use std::time::Duration;

use super::changes::{Then, check_line};
use super::requests::refused;
use super::sanctions::until;
use super::{At, Hub, Record};
use crate::journal::Change;
use crate::model::{SessionId, Timestamp, UserName};
use crate::proto::message::{
    Availability, ErrorCode, Refused, Reply, RequestId, ServerMessage, SetIdle, SetStatus, Status,
};

impl Hub {
    pub(super) fn set_status(
        &mut self,
        session: SessionId,
        id: RequestId,
        set: SetStatus,
        at: At,
    ) -> Result<(), Refused> {
        let Some(user) = self.sessions.get(&session).map(|session| session.user) else { return Ok(()) };
        let SetStatus { availability, text, seconds } = set;
        if let Availability::Other(_) = availability {
            return Err(refused(ErrorCode::Malformed, "there is no such status"));
        }
        check_line(text.as_deref())?;
        let text = text.filter(|text| !text.trim().is_empty());
        let until = until(seconds, at)?;
        self.admit_change(user, at)?;
        let status = Status { availability, text, until };
        self.replace_status(user, status.clone(), at);
        self.record(|| Record::Status { user, status: status.clone() });
        let kept = (status != Status::ONLINE).then(|| status.to_cbor());
        self.commit(session, id, user, vec![Change::Status { user, status: kept }], Then::Done);
        Ok(())
    }

    pub(super) fn set_idle(&mut self, session: SessionId, id: RequestId, set: &SetIdle, at: At) -> Result<(), Refused> {
        let Some(user) = self.sessions.get(&session).map(|session| session.user) else { return Ok(()) };
        self.charge(user, at)?;
        let before = self.status(user, at.wall);
        if let Some(session) = self.sessions.get_mut(&session) {
            session.idle = set.idle;
        }
        self.compare_status(user, &before, at);
        self.send(session, &ServerMessage::Reply(id, Reply::Done));
        Ok(())
    }

    /// What others are told of a user.
    pub(super) fn status(&self, user: UserName, wall: Timestamp) -> Status {
        match self.status_in_force(user, wall) {
            Some(status) => status.clone(),
            None if self.is_nobody_there(user) => Status { availability: Availability::Away, ..Status::ONLINE },
            None => Status::ONLINE,
        }
    }

    /// What a user says of himself, if he does.
    pub(super) fn status_in_force(&self, user: UserName, wall: Timestamp) -> Option<&Status> {
        self.statuses.get(&user).filter(|status| status.until.is_none_or(|until| until > wall))
    }

    fn is_nobody_there(&self, user: UserName) -> bool {
        let mut sessions = self.users.get(&user).into_iter().flat_map(|user| user.sessions.values()).peekable();
        sessions.peek().is_some()
            && sessions.all(|(session, _)| self.sessions.get(session).is_some_and(|session| session.idle))
    }

    fn replace_status(&mut self, user: UserName, status: Status, at: At) {
        let until = status.until;
        let before =
            if status == Status::ONLINE { self.statuses.remove(&user) } else { self.statuses.insert(user, status) };
        if let Some(until) = before.and_then(|before| before.until) {
            self.status_ends.remove(&(until, user));
        }
        self.status_ends.extend(until.map(|until| (until, user)));
        self.status_due = None;
        self.status_changed(user, at);
    }

    /// A user's rooms are to hear if his status is another one now.
    pub(super) fn compare_status(&mut self, user: UserName, before: &Status, at: At) {
        if self.status(user, at.wall) != *before {
            self.status_changed(user, at);
        }
    }

    fn status_changed(&mut self, user: UserName, at: At) {
        let sessions = self.users.get(&user).into_iter().flat_map(|user| user.sessions.values());
        let rooms = sessions.filter_map(|(session, _)| self.sessions.get(session)).flat_map(|session| &session.rooms);
        let rooms: Vec<_> = rooms.copied().collect();
        for name in rooms {
            if let Some(room) = self.rooms.get_mut(&name).filter(|room| !room.is_direct) {
                room.statuses.insert(user);
                self.presence_changed(name, at.now);
            }
        }
    }

    /// Ends what is over, and notes when the next one is.
    pub(super) fn status_timer(&mut self, at: At) {
        while let Some(&(until, user)) = self.status_ends.first() {
            if until > at.wall {
                // The clock on the wall may be set: then this is looked at too early or too late, once.
                let wait = Duration::from_millis(until.0 - at.wall.0);
                self.status_due = at.now.checked_add(wait);
                return;
            }
            self.replace_status(user, Status::ONLINE, at);
        }
        self.status_due = None;
    }
}
