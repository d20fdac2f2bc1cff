//! What changes rooms: making them, being in them or no longer, who owns them. A change holds at once; who asked for it is
//! told when it is on disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::requests::{no_room, refused, refused_with_hint};
use super::rights::Right;
use super::rooms::Room;
use super::sessions::count;
use super::{At, Hub, Output, ROOMS_PER_USER, Record};
use crate::journal::{Change, StoreCommand};
use crate::model::{RoomName, SessionId, StoreToken, UserName};
use crate::proto::message::{
    Act, Acted, Create, ErrorCode, HandOver, Invite, Join, Kick, Membership, Refused, Reply, RequestId, ServerMessage,
    SetTopic,
};

/// Longest topic, and longest reason for a decision, bytes.
const LINE_BYTES: usize = 256;

/// A change that the store has not written yet.
#[derive(Debug)]
pub(super) struct Changing {
    pub(super) user: UserName,
    session: SessionId,
    id: RequestId,
    then: Then,
}

/// What follows when a change is on disk.
#[derive(Debug)]
pub(super) enum Then {
    /// Nothing but the answer.
    Done,
    /// The session enters the room of which its user is a member now.
    Enter(Join),
}

impl Hub {
    pub(super) fn create(&mut self, session: SessionId, id: RequestId, create: Create, at: At) -> Result<(), Refused> {
        let Create { room: name, roster } = create;
        let user = self.may(session, Right::Create)?;
        if name.is_direct() {
            return Err(refused(ErrorCode::Malformed, "nobody makes a direct room"));
        }
        if let Some(room) = self.rooms.get(&name) {
            let text = format!("there is a room {name} already");
            let hint = if room.is_visible_to(user) {
                format!("/join {name}, or choose another name")
            } else {
                "choose another name".to_owned()
            };
            return Err(refused_with_hint(ErrorCode::Conflict, text, hint));
        }
        if self.rooms.values().filter(|room| !room.is_direct).count() >= self.settings.max_rooms as usize {
            let text = format!("the server has {}, and takes no more", count(self.rooms.len(), "room"));
            return Err(refused(ErrorCode::Conflict, text));
        }
        self.must_own_fewer(user)?;
        self.must_be_in_fewer(user)?;
        let is_private = roster.is_some();
        let signed = Self::check_entry(name, 0, is_private, roster)?;
        self.admit_change(user, at)?;
        let mut room = Room { owner: Some(user), roster: is_private.into(), ..Room::default() };
        room.members.insert(user);
        self.rooms.insert(name, room);
        self.memberships.entry(user).or_default().insert(name);
        let made = Change::Room { room: name, topic: String::new(), owner: Some(user) };
        let changes = [made, Change::Member { room: name, user }].into_iter().chain(signed).collect();
        self.commit(session, id, user, changes, Then::Done);
        self.tell_others(session, user, Membership { room: name, member: true, by: user, reason: None });
        self.record(|| Record::Made { room: name, by: user, private: is_private });
        Ok(())
    }

    /// Makes the user who asks a member of a room that everyone may join, before the session enters it.
    pub(super) fn become_member(
        &mut self,
        session: SessionId,
        id: RequestId,
        join: Join,
        user: UserName,
        at: At,
    ) -> Result<(), Refused> {
        let name = join.room;
        self.must_be_in_fewer(user)?;
        self.admit_change(user, at)?;
        self.add_member(name, user);
        self.commit(session, id, user, vec![Change::Member { room: name, user }], Then::Enter(join));
        self.record(|| Record::Joined { room: name, user });
        self.tell_others(session, user, Membership { room: name, member: true, by: user, reason: None });
        Ok(())
    }

    pub(super) fn leave(&mut self, session: SessionId, id: RequestId, name: RoomName, at: At) -> Result<(), Refused> {
        if name.is_direct() {
            return self.leave_direct(session, id, name, at);
        }
        let Some(user) = self.sessions.get(&session).map(|session| session.user) else { return Ok(()) };
        let room = self.rooms.get(&name).ok_or_else(|| no_room(name))?;
        if room.is_everyones {
            let text = format!("everyone is in {name}");
            return Err(refused(ErrorCode::Conflict, text));
        }
        if !room.is_visible_to(user) {
            return Err(no_room(name));
        }
        if !room.members.contains(&user) {
            return Err(refused(ErrorCode::Conflict, format!("you are not in {name}")));
        }
        let is_private = room.is_private();
        if is_private && room.owner == Some(user) && room.members.len() > 1 {
            // Else nobody would ever let somebody in again, or put somebody out.
            let hint = "/owner USER does that; or put them out first";
            return Err(refused_with_hint(
                ErrorCode::Conflict,
                format!("you own {name}: hand it on to somebody"),
                hint,
            ));
        }
        self.admit_change(user, at)?;
        let changes = self.remove_member(name, user, Some(session), user, None, at).into_iter().collect();
        if is_private {
            // Nobody has signed it: those who stay are told, to seal to him no longer.
            self.tell_room(name, user, Act::Left {});
        } else {
            self.record(|| Record::Left { room: name, user });
        }
        self.commit(session, id, user, changes, Then::Done);
        Ok(())
    }

    pub(super) fn set_topic(
        &mut self,
        session: SessionId,
        id: RequestId,
        set: SetTopic,
        at: At,
    ) -> Result<(), Refused> {
        let SetTopic { room: name, topic } = set;
        let user = self.may_in(session, name, Right::Topic, at)?;
        check_line(Some(&topic))?;
        self.admit_change(user, at)?;
        let Some(room) = self.rooms.get_mut(&name) else { return Ok(()) };
        room.topic.clone_from(&topic);
        let change = Change::Room { room: name, topic: topic.clone(), owner: room.owner };
        self.tell_room(name, user, Act::Topic { topic });
        self.commit(session, id, user, vec![change], Then::Done);
        Ok(())
    }

    pub(super) fn invite(&mut self, session: SessionId, id: RequestId, invite: Invite, at: At) -> Result<(), Refused> {
        let Invite { room: name, user, roster } = invite;
        let by = self.may_in(session, name, Right::Invite, at)?;
        self.must_be_registered(user)?;
        let room = self.rooms.get(&name).ok_or_else(|| no_room(name))?;
        // Into a private room also who is in it: with another key than before.
        if room.has_member(user) && !room.is_private() {
            return Err(refused(ErrorCode::Conflict, format!("{user} is in {name} already")));
        }
        if room.banned.in_force(user, at.wall).is_some() {
            let hint = format!("/unban {user} first");
            return Err(refused_with_hint(ErrorCode::Conflict, format!("{user} is banned from {name}"), hint));
        }
        let comes = !room.has_member(user);
        if comes {
            self.must_be_in_fewer(user)?;
            Self::must_have_room(name, room)?;
        }
        let signed = self.sign_on(name, roster, at, by)?;
        self.tell_room(name, by, Act::Invited { user });
        if comes {
            self.add_member(name, user);
            self.tell_others(session, user, Membership { room: name, member: true, by, reason: None });
        }
        let member = comes.then_some(Change::Member { room: name, user });
        self.commit(session, id, by, member.into_iter().chain(signed).collect(), Then::Done);
        Ok(())
    }

    pub(super) fn kick(&mut self, session: SessionId, id: RequestId, kick: Kick, at: At) -> Result<(), Refused> {
        let Kick { room: name, user, reason, roster } = kick;
        let by = self.may_in(session, name, Right::Kick, at)?;
        self.may_touch(by, user, Some(name))?;
        check_line(reason.as_deref())?;
        self.must_not_be_everyones(name)?;
        // Who has left a private room may be in its roster still.
        if !self.is_private(name) {
            self.must_be_in(name, user)?;
        }
        let signed = self.sign_on(name, roster, at, by)?;
        self.tell_room(name, by, Act::Kicked { user, reason: reason.clone() });
        let removed = self.remove_member(name, user, None, by, reason.as_deref(), at);
        let changes = removed.into_iter().chain(signed).collect();
        self.commit(session, id, by, changes, Then::Done);
        Ok(())
    }

    pub(super) fn hand_over(&mut self, session: SessionId, id: RequestId, to: HandOver, at: At) -> Result<(), Refused> {
        let HandOver { room: name, user, roster } = to;
        let by = self.may_in(session, name, Right::HandOver, at)?;
        self.must_be_registered(user)?;
        self.must_be_in(name, user)?;
        if self.rooms.get(&name).is_some_and(|room| room.owner == Some(user)) {
            return Err(refused(ErrorCode::Conflict, format!("{user} owns {name} already")));
        }
        self.must_own_fewer(user)?;
        let signed = self.sign_on(name, roster, at, by)?;
        let Some(room) = self.rooms.get_mut(&name) else { return Ok(()) };
        room.owner = Some(user);
        let change = Change::Room { room: name, topic: room.topic.clone(), owner: room.owner };
        self.tell_room(name, by, Act::HandedOver { user });
        self.commit(session, id, by, [change].into_iter().chain(signed).collect(), Then::Done);
        Ok(())
    }

    fn add_member(&mut self, name: RoomName, user: UserName) {
        if let Some(room) = self.rooms.get_mut(&name) {
            room.members.insert(user);
            self.memberships.entry(user).or_default().insert(name);
        }
    }

    /// A user is a member no longer, and gets nothing more of the room. All of the user's sessions are told, but for the
    /// one that asked. Returns the change, if the user was a member.
    pub(super) fn remove_member(
        &mut self,
        name: RoomName,
        user: UserName,
        asking: Option<SessionId>,
        by: UserName,
        reason: Option<&str>,
        at: At,
    ) -> Option<Change> {
        let was_member = self.rooms.get_mut(&name)?.members.remove(&user);
        if let Some(rooms) = self.memberships.get_mut(&user) {
            rooms.remove(&name);
            if rooms.is_empty() {
                self.memberships.remove(&user);
            }
        }
        for session in self.sessions_of(user) {
            self.exit(session, name, at);
            if was_member && Some(session) != asking {
                let reason = reason.map(str::to_owned);
                let membership = Membership { room: name, member: false, by, reason };
                self.send(session, &ServerMessage::Membership(membership));
            }
        }
        was_member.then_some(Change::NoMember { room: name, user })
    }

    /// A session gets nothing more of a room.
    pub(super) fn exit(&mut self, session: SessionId, name: RoomName, at: At) {
        let Some(known) = self.sessions.get_mut(&session) else { return };
        let Some(place) = known.rooms.iter().position(|room| *room == name) else { return };
        known.rooms.swap_remove(place);
        known.put_off.retain(|(room, _)| *room != name);
        let user = known.user;
        if let Some(room) = self.rooms.get_mut(&name) {
            room.leave(user);
        }
        self.outputs.push_back(Output::Exit { session, room: name });
        self.presence_changed(name, at.now);
        self.tidy_direct(name);
    }

    /// Tells those who are in a room what was decided.
    pub(super) fn tell_room(&mut self, room: RoomName, by: UserName, act: Act) {
        self.record(|| Record::Decided { room: Some(room), by, act: act.clone() });
        let bytes = Arc::from(ServerMessage::Acted(Acted { room, by, act: Some(act) }).encode());
        self.outputs.push_back(Output::ToRoom { room, bytes });
    }

    /// Tells a user's sessions, but for the one that asked.
    fn tell_others(&mut self, asking: SessionId, user: UserName, membership: Membership) {
        let bytes: Arc<[u8]> = Arc::from(ServerMessage::Membership(membership).encode());
        for session in self.sessions_of(user) {
            if session != asking {
                self.outputs.push_back(Output::To { session, bytes: Arc::clone(&bytes) });
            }
        }
    }

    pub(super) fn sessions_of(&self, user: UserName) -> Vec<SessionId> {
        self.users
            .get(&user)
            .map(|user| user.sessions.values().map(|(session, _)| *session).collect())
            .unwrap_or_default()
    }

    pub(super) fn must_be_registered(&self, user: UserName) -> Result<(), Refused> {
        if self.users.get(&user).is_some_and(|user| user.key.is_some()) { Ok(()) } else { Err(no_user(user)) }
    }

    /// Nobody can be put out of a room that everyone is in.
    pub(super) fn must_not_be_everyones(&self, name: RoomName) -> Result<(), Refused> {
        if self.rooms.get(&name).is_some_and(|room| room.is_everyones) {
            let hint = "/mute silences somebody there; admins may /ban USER --server";
            return Err(refused_with_hint(ErrorCode::Conflict, format!("everyone is in {name}"), hint));
        }
        Ok(())
    }

    fn must_be_in(&self, name: RoomName, user: UserName) -> Result<(), Refused> {
        if self.rooms.get(&name).is_some_and(|room| room.has_member(user)) {
            return Ok(());
        }
        Err(refused(ErrorCode::Conflict, format!("{user} is not in {name}")))
    }

    fn must_own_fewer(&self, user: UserName) -> Result<(), Refused> {
        let most = self.settings.max_rooms_per_user as usize;
        if self.rooms.values().filter(|room| room.owner == Some(user)).count() < most {
            return Ok(());
        }
        Err(refused(ErrorCode::Conflict, format!("{user} owns {}, and may own no more", count(most, "room"))))
    }

    fn must_be_in_fewer(&self, user: UserName) -> Result<(), Refused> {
        if self.memberships.get(&user).map_or(0, BTreeSet::len) < ROOMS_PER_USER {
            return Ok(());
        }
        let text = format!("{user} is in {ROOMS_PER_USER} rooms, and can't be in more");
        Err(refused_with_hint(ErrorCode::Conflict, text, "/leave one first"))
    }

    /// Hands a change to the store. [`Hub::admit_change`] has admitted it.
    pub(super) fn commit(
        &mut self,
        session: SessionId,
        id: RequestId,
        user: UserName,
        changes: Vec<Change>,
        then: Then,
    ) {
        let token = self.next_token();
        self.changing.insert(token, Changing { user, session, id, then });
        self.outputs.push_back(Output::Store(StoreCommand::Change { token, changes }));
    }

    /// A change is on disk. Whether it is one.
    pub(super) fn changed(&mut self, token: StoreToken, at: At) -> bool {
        let Some(Changing { user, session, id, then }) = self.changing.remove(&token) else { return false };
        self.release(user, 1);
        if self.sessions.contains_key(&session) {
            match then {
                Then::Done => self.send(session, &ServerMessage::Reply(id, Reply::Done)),
                Then::Enter(join) => {
                    if let Err(refusal) = self.enter(session, id, &join, at) {
                        self.send(session, &ServerMessage::Reply(id, Reply::Error(refusal)));
                    }
                }
            }
        }
        true
    }
}

/// The refusal of what concerns a user who isn't there.
pub(super) fn no_user(user: UserName) -> Refused {
    refused_with_hint(ErrorCode::NotFound, format!("no user {user} is registered"), "check the name")
}

/// Checks a text of one line: a topic, a reason.
pub(super) fn check_line(text: Option<&str>) -> Result<(), Refused> {
    let text = text.unwrap_or_default();
    if text.len() > LINE_BYTES {
        return Err(refused(
            ErrorCode::TooLarge,
            format!("it has {} bytes, the server takes {LINE_BYTES}", text.len()),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(refused(ErrorCode::Malformed, "it has control characters, or several lines"));
    }
    Ok(())
}
