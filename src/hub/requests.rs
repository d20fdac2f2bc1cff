//! What sessions ask for, but for posts: joins, history, people, who is who, the end.

use std::time::Duration;

use super::changes::no_user;
use super::rights::Right;
use super::rooms::Room;
use super::shutdown::Phase;
use super::{At, Hub, LogEvent, PEOPLE};
use crate::model::{RoomName, SessionId, UserName};
use crate::proto::close::{CloseCode, CloseReason};
use crate::proto::message::{
    ErrorCode, Join, PeopleList, Person, Refused, Reply, Request, RequestId, RoomInfo, RoomList, ServerMessage,
    UserInfo, Whois,
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

/// The refusal of who may not come back.
pub(super) fn banned(room: RoomName, how_long: &str) -> Refused {
    refused(ErrorCode::Forbidden, format!("you are banned from {room} {how_long}"))
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
                Request::Join(join) => self.join(session, id, join, at),
                Request::History(history) => self.history(session, id, &history, at),
                Request::People(people) => self.people(session, id, people.room, at),
                Request::Whois(whois) => self.whois(session, id, &whois, at),
                Request::Shutdown(_) => self.shutdown_request(session, id, at),
                Request::Create(create) => self.create(session, id, create, at),
                Request::Leave(leave) => self.leave(session, id, leave.room, at),
                Request::Rooms(rooms) => self.list_rooms(session, id, rooms.people, at),
                Request::SetTopic(set) => self.set_topic(session, id, set, at),
                Request::Invite(invite) => self.invite(session, id, invite, at),
                Request::Kick(kick) => self.kick(session, id, *kick, at),
                Request::Ban(ban) => self.ban(session, id, *ban, at),
                Request::Unban(unban) => self.unban(session, id, &unban, at),
                Request::Mute(mute) => self.mute(session, id, &mute, at),
                Request::Unmute(unmute) => self.unmute(session, id, &unmute, at),
                Request::HandOver(to) => self.hand_over(session, id, to, at),
                Request::SetStatus(set) => self.set_status(session, id, set, at),
                Request::SetIdle(set) => self.set_idle(session, id, &set, at),
                Request::Keys(keys) => self.keys(session, id, &keys, at),
                Request::AddSenderKey(add) => self.add_sender_key(session, id, *add, at),
                Request::SenderKeys(keys) => self.sender_keys(session, id, keys, at),
                Request::Seen(seen) => self.seen(session, id, &seen, at),
                Request::Roster(roster) => self.roster(session, id, &roster, at),
                Request::InviteUser(invite) => self.invite_user(session, id, &invite, at),
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
    pub(super) fn refuse(&mut self, session: SessionId, id: RequestId, refusal: Refused, at: At) {
        let Some(asking) = self.sessions.get_mut(&session) else { return };
        let (user, code) = (asking.user, refusal.code);
        let telling = match code {
            ErrorCode::Malformed | ErrorCode::UnknownRequest | ErrorCode::Forbidden | ErrorCode::RateLimited => true,
            ErrorCode::NotFound
            | ErrorCode::TooLarge
            | ErrorCode::StorageUnavailable
            | ErrorCode::ShuttingDown
            | ErrorCode::Conflict
            | ErrorCode::DoNotDisturb
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

    pub(super) fn may_read(&self, session: SessionId, at: At) -> Result<(), Refused> {
        let user = self.sessions.get(&session).and_then(|session| self.users.get(&session.user));
        let wait = user.map(|user| user.reading.wait(at.now)).unwrap_or_default();
        if wait.is_zero() {
            Ok(())
        } else {
            Err(refused_for(wait, ErrorCode::RateLimited, "you ask for too much in too short a time"))
        }
    }

    /// A room that the user may look into.
    pub(super) fn room_to_see(&self, session: SessionId, name: RoomName, at: At) -> Result<&Room, Refused> {
        let user = self.asking(session)?;
        let room = self.rooms.get(&name).filter(|room| room.is_visible_to(user)).ok_or_else(|| no_room(name))?;
        match room.banned.in_force(user, at.wall) {
            Some(how_long) => Err(banned(name, &how_long)),
            None => Ok(room),
        }
    }

    /// Sends parts and the reply that ends them, in one piece, and charges the user for it.
    pub(super) fn answer(&mut self, session: SessionId, id: RequestId, mut parts: Vec<u8>, reply: Reply, at: At) {
        parts.extend_from_slice(&ServerMessage::Reply(id, reply).encode());
        let user = self.sessions.get(&session).map(|session| session.user);
        if let Some(user) = user.and_then(|user| self.users.get_mut(&user)) {
            user.reading.charge(parts.len(), at.now);
        }
        self.send_bytes(session, parts);
    }

    fn join(&mut self, session: SessionId, id: RequestId, join: Join, at: At) -> Result<(), Refused> {
        let Some(user) = self.sessions.get(&session).map(|session| session.user) else { return Ok(()) };
        let name = join.room;
        if name.is_direct() {
            return self.join_direct(session, id, &join, at);
        }
        let room = self.rooms.get(&name).ok_or_else(|| no_room(name))?;
        if room.has_member(user) {
            return self.enter(session, id, &join, at);
        }
        self.room_to_see(session, name, at)?;
        self.become_member(session, id, join, user, at)
    }

    /// A session is in a room from now on. Whether it was not before.
    pub(super) fn become_present(&mut self, session: SessionId, name: RoomName, at: At) -> bool {
        let Some(asking) = self.sessions.get_mut(&session).filter(|asking| !asking.rooms.contains(&name)) else {
            return false;
        };
        let Some(room) = self.rooms.get_mut(&name) else { return false };
        asking.rooms.push(name);
        room.enter(asking.user);
        self.presence_changed(name, at.now);
        true
    }

    fn people(&mut self, session: SessionId, id: RequestId, name: RoomName, at: At) -> Result<(), Refused> {
        self.may_read(session, at)?;
        self.tell_who_left(name, at.wall);
        let room = self.room_to_see(session, name, at)?;
        // In a direct room, who is connected; whether he looks at it is his business.
        let present = room.present.keys().filter(|_| !room.is_direct);
        let connected = room.members.iter().filter(|user| room.is_direct && self.online.contains(user));
        let here: Vec<&UserName> = present.chain(connected).collect();
        let people = here.iter().copied().take(PEOPLE).filter_map(|name| {
            let user = self.users.get(name)?;
            let status = self.status(*name, at.wall);
            Some(Person { user: *name, since: user.since()?, sessions: user.session_count(), status })
        });
        let list = PeopleList { room: name, people: people.collect(), total: here.len() as u64 };
        self.answer(session, id, Vec::new(), Reply::People(list), at);
        Ok(())
    }

    fn list_rooms(&mut self, session: SessionId, id: RequestId, people: bool, at: At) -> Result<(), Refused> {
        self.may_read(session, at)?;
        let Some(user) = self.sessions.get(&session).map(|session| session.user) else { return Ok(()) };
        let mut rooms: Vec<RoomInfo> = self
            .rooms
            .iter()
            .filter(|(_, room)| room.is_visible_to(user))
            .map(|(name, room)| self.info(*name, room, user))
            .collect();
        rooms.sort_unstable_by_key(|info| info.room);
        if people {
            let mut names = PEOPLE;
            for info in &mut rooms {
                let Some(room) = self.rooms.get(&info.room) else { continue };
                let sees = room.banned.in_force(user, at.wall).is_none();
                info.people.extend(room.present.keys().take(if sees { names } else { 0 }));
                names -= info.people.len();
            }
        }
        self.answer(session, id, Vec::new(), Reply::Rooms(RoomList { rooms }), at);
        Ok(())
    }

    /// A room as a user may know it.
    pub(super) fn info(&self, name: RoomName, room: &Room, user: UserName) -> RoomInfo {
        let members = if room.is_everyones { self.users.len() } else { room.members.len() };
        RoomInfo {
            topic: room.topic.clone(),
            owner: room.owner,
            members: members as u64,
            present: room.present.len() as u64,
            joined: room.has_member(user),
            last: room.last,
            sealed: room.is_sealed(),
            receipts: room.receipts(name),
            roster: room.roster,
            ..RoomInfo::new(name)
        }
    }

    fn whois(&mut self, session: SessionId, id: RequestId, whois: &Whois, at: At) -> Result<(), Refused> {
        self.may_read(session, at)?;
        let name = whois.user;
        let known = self.users.get(&name).and_then(|user| user.key.map(|key| (user, key)));
        let (user, fingerprint) = known.ok_or_else(|| no_user(name))?;
        let info = UserInfo {
            user: name,
            fingerprint,
            admin: self.settings.admins.contains(&name),
            since: user.since(),
            sessions: user.session_count(),
            status: self.status(name, at.wall),
        };
        self.answer(session, id, Vec::new(), Reply::User(info), at);
        Ok(())
    }

    fn shutdown_request(&mut self, session: SessionId, id: RequestId, at: At) -> Result<(), Refused> {
        let user = self.may(session, Right::EndServer)?;
        self.send(session, &ServerMessage::Reply(id, Reply::Done));
        self.begin_shutdown(format!("by {user}"), at);
        Ok(())
    }
}
