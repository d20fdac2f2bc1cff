//! Direct rooms: of two users, from the first message on for as long as it is kept. Nobody makes them, and nobody decides
//! over them. What is said in them is sealed, and waits for who is away.

use std::sync::Arc;
use std::time::Duration;

use super::posts::not_in;
use super::requests::{no_room, refused, refused_for, refused_with_hint};
use super::rooms::Room;
use super::{At, Hub, Output};
use crate::journal::{Change, StoreCommand};
use crate::model::{RoomName, Seq, SessionId, UserName};
use crate::proto::message::{
    Availability, Body, ErrorCode, Join, Receipt, Refused, Reply, RequestId, Seen, ServerMessage, Waiting,
};

/// Direct rooms of one user; more are not begun.
const ROOMS: usize = 1000;
/// When to say again how far one has come, after too much of that.
const RETRY: Duration = Duration::from_secs(1);

/// How far a direct room's messages have come with a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Progress {
    pub(super) delivered: Seq,
    pub(super) read: Seq,
}

impl Room {
    /// A direct room of these two.
    pub(super) fn direct(first: UserName, second: UserName) -> Self {
        Self { members: [first, second].into(), is_direct: true, ..Self::default() }
    }

    pub(super) fn receipts(&self, name: RoomName) -> Vec<Receipt> {
        let receipt = |(user, progress): (&UserName, &Progress)| Receipt {
            room: name,
            user: *user,
            delivered: progress.delivered,
            read: progress.read,
        };
        self.progress.iter().map(receipt).collect()
    }
}

impl Hub {
    /// Lets a session into a direct room, which is there as soon as somebody looks.
    pub(super) fn join_direct(
        &mut self,
        session: SessionId,
        id: RequestId,
        join: &Join,
        at: At,
    ) -> Result<(), Refused> {
        let user = self.asking(session)?;
        let partner = join.room.partner(user).ok_or_else(|| no_room(join.room))?;
        if !self.rooms.contains_key(&join.room) {
            self.must_be_registered(partner)?;
            for user in [user, partner] {
                if self.directs.get(&user).is_some_and(|rooms| rooms.len() >= ROOMS) {
                    return Err(refused(ErrorCode::Conflict, format!("{user} can't have more direct conversations")));
                }
            }
            self.rooms.insert(join.room, Room::direct(user, partner));
            for user in [user, partner] {
                self.directs.entry(user).or_default().insert(join.room);
            }
        }
        self.enter(session, id, join, at)
    }

    /// A session is in a direct room no longer; its user is, for ever.
    pub(super) fn leave_direct(
        &mut self,
        session: SessionId,
        id: RequestId,
        name: RoomName,
        at: At,
    ) -> Result<(), Refused> {
        let user = self.asking(session)?;
        name.partner(user).ok_or_else(|| no_room(name))?;
        self.charge(user, at)?;
        self.exit(session, name, at);
        self.send(session, &ServerMessage::Reply(id, Reply::Done));
        Ok(())
    }

    /// A session has left a direct room: nothing of it is kept in memory for nobody, and nothing at all of one in which
    /// nothing was said.
    pub(super) fn tidy_direct(&mut self, name: RoomName) {
        let Some(room) = self.rooms.get_mut(&name).filter(|room| room.is_direct && room.present.is_empty()) else {
            return;
        };
        room.forget_window();
        if room.last == Seq(0) {
            self.rooms.remove(&name);
            for user in name.pair().into_iter().flat_map(|(first, second)| [first, second]) {
                if let Some(rooms) = self.directs.get_mut(&user) {
                    rooms.remove(&name);
                    if rooms.is_empty() {
                        self.directs.remove(&user);
                    }
                }
            }
        }
    }

    /// Whether something is sealed where it has to be, and nowhere else.
    pub(super) fn check_sealed(&self, room: RoomName, body: &Body) -> Result<(), Refused> {
        match (self.rooms.get(&room).is_some_and(Room::is_sealed), matches!(body, Body::Sealed { .. })) {
            (true, false) => Err(refused(ErrorCode::Malformed, "what is said in this room is sealed")),
            (false, true) => Err(refused(ErrorCode::Malformed, "what is said in this room is not sealed")),
            (true, true) | (false, false) => Ok(()),
        }
    }

    /// Whether a user's partner can be reached in a direct room, and wants to be; in another one there is none.
    pub(super) fn check_partner(&self, user: UserName, name: RoomName, urgent: bool, at: At) -> Result<(), Refused> {
        let Some(partner) = name.partner(user) else { return Ok(()) };
        self.must_be_registered(partner)?;
        let status = self.status_in_force(partner, at.wall);
        if let Some(status) = status.filter(|status| status.availability == Availability::DoNotDisturb)
            && !(urgent && self.may_disturb(user, partner))
        {
            let why = status.text.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
            return Err(refused(ErrorCode::DoNotDisturb, format!("{partner} does not want to be disturbed{why}")));
        }
        let Some(room) = self.rooms.get(&name) else { return Ok(()) };
        let delivered = room.progress.get(&partner).map_or(Seq(0), |progress| progress.delivered);
        let quota = self.settings.direct_quota;
        if room.last.0.saturating_sub(delivered.0) >= u64::from(quota) {
            let text = format!("{quota} messages here have not come to {partner} yet, and the server keeps no more");
            return Err(refused_with_hint(ErrorCode::Conflict, text, format!("{partner} gets them on coming back")));
        }
        Ok(())
    }

    /// Whether a user gets through to one who does not want to be disturbed.
    fn may_disturb(&self, user: UserName, partner: UserName) -> bool {
        let shared = || self.memberships.get(&partner).into_iter().flatten();
        self.settings.admins.contains(&user)
            || shared()
                .any(|room| self.rooms.get(room).is_some_and(|room| room.owner == Some(user) && room.has_member(user)))
    }

    /// Something was said in a direct room: those sessions of the two that are not in it are told, and who said it has it.
    pub(super) fn announce_direct(&mut self, name: RoomName, sender: UserName) {
        let Some((first, second)) = name.pair() else { return };
        let Some(room) = self.rooms.get_mut(&name) else { return };
        let last = room.last;
        let progress = room.progress.entry(sender).or_default();
        if progress.delivered.next() == last {
            progress.delivered = last;
            progress.read = if progress.read.next() == last { last } else { progress.read };
            let Progress { delivered, read } = *progress;
            self.keep_progress(name, sender, delivered, read);
        }
        let bytes: Arc<[u8]> = Arc::from(ServerMessage::Waiting(Waiting { room: name, last }).encode());
        for session in self.sessions_of(first).into_iter().chain(self.sessions_of(second)) {
            if self.sessions.get(&session).is_some_and(|session| !session.rooms.contains(&name)) {
                self.outputs.push_back(Output::To { session, bytes: Arc::clone(&bytes) });
            }
        }
    }

    /// The direct rooms in which something waits for a user.
    pub(super) fn waiting_for(&self, user: UserName) -> Vec<Waiting> {
        let rooms = self.directs.get(&user).into_iter().flatten();
        let waiting = rooms.filter_map(|name| {
            let room = self.rooms.get(name)?;
            let delivered = room.progress.get(&user).map_or(Seq(0), |progress| progress.delivered);
            (room.last > delivered).then_some(Waiting { room: *name, last: room.last })
        });
        waiting.collect()
    }

    /// A user has got, and perhaps read, what was said in a direct room.
    pub(super) fn seen(&mut self, session: SessionId, id: RequestId, seen: &Seen, at: At) -> Result<(), Refused> {
        let user = self.asking(session)?;
        if self.store_failing {
            return Err(refused_for(RETRY, ErrorCode::StorageUnavailable, "the server can't write to its disk"));
        }
        if !seen.room.is_direct() {
            return Err(refused(ErrorCode::Conflict, "receipts are for direct rooms"));
        }
        seen.room.partner(user).ok_or_else(|| no_room(seen.room))?;
        if !self.is_in(session, seen.room) {
            return Err(not_in(seen.room));
        }
        self.may_read(session, at)?;
        let Some(room) = self.rooms.get_mut(&seen.room) else { return Err(no_room(seen.room)) };
        let progress = room.progress.entry(user).or_default();
        let before = *progress;
        let read = seen.read.unwrap_or_default().min(room.last);
        progress.delivered = progress.delivered.max(seen.delivered.min(room.last)).max(read);
        progress.read = progress.read.max(read);
        let Progress { delivered, read } = *progress;
        if *progress != before {
            let receipt = Receipt { room: seen.room, user, delivered, read };
            let bytes = Arc::from(ServerMessage::Receipt(receipt).encode());
            self.outputs.push_back(Output::ToRoom { room: seen.room, bytes });
            self.keep_progress(seen.room, user, delivered, read);
        }
        self.answer(session, id, Vec::new(), Reply::Done, at);
        Ok(())
    }

    /// Nobody waits for it: what is lost in a crash is said again.
    fn keep_progress(&mut self, room: RoomName, user: UserName, delivered: Seq, read: Seq) {
        let token = self.next_token();
        let changes = vec![Change::Progress { room, user, delivered, read }];
        self.outputs.push_back(Output::Store(StoreCommand::Change { token, changes }));
    }
}
