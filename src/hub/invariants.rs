//! What holds between any two inputs.

use std::collections::{BTreeSet, HashMap};

use super::posts::Stage;
use super::rooms::Room;
use super::shutdown::Phase;
use super::{Hub, PRESENCE_USERS, UNACKNOWLEDGED, WINDOW_BYTES};
use crate::model::{RoomName, Seq, UserName};

/// `Ok` if it holds, else what doesn't.
fn holds(condition: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(what()) }
}

impl Hub {
    /// Checks what must hold between inputs. Its cost grows with all that the hub knows; debug builds call it by
    /// themselves.
    ///
    /// # Errors
    /// Says what doesn't hold: a bug of the hub.
    pub fn check_invariants(&self) -> Result<(), String> {
        self.check_users()?;
        self.check_rooms()?;
        self.check_pending()?;
        holds(self.presence_due.is_some() != self.presence_rooms.is_empty(), || "presence without timer".to_owned())?;
        let ended = self.sessions.is_empty() && self.closing.is_empty() && self.awaits_nothing();
        holds(self.phase != Phase::Stopped || ended, || "stopped too early".to_owned())
    }

    fn check_users(&self) -> Result<(), String> {
        let mut sessions = 0;
        for (name, user) in &self.users {
            sessions += user.sessions.len();
            holds(user.key.is_some() || user.sessions.is_empty(), || format!("{name} is connected without a key"))?;
            holds(user.key.is_some() || user.unacknowledged > 0, || format!("{name} is not forgotten"))?;
            holds(user.unacknowledged <= UNACKNOWLEDGED, || format!("{name} has too many posts under way"))?;
            holds(user.sessions.is_empty() != self.online.contains(name), || format!("{name} online or not"))?;
            for (opened, (id, _)) in &user.sessions {
                let session = self.sessions.get(id).ok_or_else(|| format!("{name}: no session {id:?}"))?;
                holds(session.user == *name && session.opened == *opened, || format!("{id:?} is not {name}'s"))?;
            }
        }
        holds(sessions == self.sessions.len(), || "sessions without user".to_owned())?;
        holds(self.online.iter().all(|name| self.users.contains_key(name)), || "unknown user online".to_owned())?;
        holds(!self.closing.iter().any(|id| self.sessions.contains_key(id)), || "open and closing".to_owned())
    }

    fn check_rooms(&self) -> Result<(), String> {
        let mut present: HashMap<(RoomName, UserName), u32> = HashMap::new();
        for (id, session) in &self.sessions {
            let distinct: BTreeSet<_> = session.rooms.iter().collect();
            holds(distinct.len() == session.rooms.len(), || format!("{id:?} is twice in a room"))?;
            for room in &session.rooms {
                holds(self.rooms.contains_key(room), || format!("{id:?} is in no room {room}"))?;
                *present.entry((*room, session.user)).or_default() += 1;
            }
        }
        for (name, room) in &self.rooms {
            for (user, sessions) in &room.present {
                holds(room.has_member(*user), || format!("{user} is in {name}, and no member"))?;
                let counted = present.remove(&(*name, *user));
                holds(counted == Some(*sessions), || format!("{user} in {name}: {sessions}, not {counted:?}"))?;
            }
            holds(room.window.len() <= self.settings.history_limit as usize, || format!("{name}: window too long"))?;
            let bytes: usize = room.window.iter().map(|(_, encoded)| encoded.event().len()).sum();
            let fits = bytes <= WINDOW_BYTES || room.window.len() == 1;
            holds(bytes == room.window_bytes && fits, || format!("{name}: {bytes} bytes in the window"))?;
            let mut expected = room.last;
            for (seq, _) in room.window.iter().rev() {
                holds(*seq == expected && *seq > Seq(0), || format!("{name}: {seq} instead of {expected}"))?;
                expected = Seq(expected.0.saturating_sub(1));
            }
            let ascending = room.starts.iter().zip(room.starts.iter().skip(1)).all(|(a, b)| a.0 < b.0 && a.1 < b.1);
            holds(ascending, || format!("{name}: starts out of order"))?;
            holds(room.starts.iter().all(|start| start.1 <= room.last), || format!("{name}: start beyond last"))?;
            holds(room.changes.len() <= PRESENCE_USERS, || format!("{name}: too many changes"))?;
            let here = |user: &UserName| room.present.contains_key(user) || room.changes.contains_key(user);
            let known = room.told.keys().all(here) || room.too_many_changes || room.present.len() > PRESENCE_USERS;
            holds(known, || format!("{name}: a status of who is not here"))?;
            let unsettled = !room.changes.is_empty() || !room.statuses.is_empty() || room.too_many_changes;
            holds(!unsettled || self.presence_rooms.contains(name), || format!("{name}: untold changes"))?;
        }
        holds(present.is_empty(), || format!("in a room that doesn't know: {present:?}"))?;
        let memberships: usize = self.memberships.values().map(BTreeSet::len).sum();
        let members: usize = self.rooms.values().filter(|room| !room.is_direct).map(|room| room.members.len()).sum();
        let directs = self.rooms.iter().filter(|(_, room)| room.is_direct);
        let two = |(name, room): (&RoomName, &Room)| {
            let known = |user| self.directs.get(user).is_some_and(|rooms| rooms.contains(name));
            room.members.len() == 2
                && room.members.iter().all(known)
                && !(room.present.is_empty() && room.last == Seq(0))
        };
        let of_users: usize = self.directs.values().map(BTreeSet::len).sum();
        holds(directs.clone().count() * 2 == of_users && directs.clone().all(two), || "direct rooms".to_owned())?;
        let both = |(user, rooms): (&UserName, &BTreeSet<RoomName>)| {
            !rooms.is_empty()
                && rooms.iter().all(|name| self.rooms.get(name).is_some_and(|room| room.members.contains(user)))
        };
        holds(memberships == members && self.memberships.iter().all(both), || "members and memberships".to_owned())
    }

    fn check_pending(&self) -> Result<(), String> {
        let mut waiting: HashMap<UserName, u32> = HashMap::new();
        let mut last: HashMap<RoomName, Seq> = HashMap::new();
        for (token, pending) in &self.pending {
            holds(token.0 < self.next_token, || format!("{token:?} was never given"))?;
            let found = self.in_flight.get(&(pending.user, pending.message));
            holds(found == Some(token), || format!("{token:?} is not in flight"))?;
            let room = self.rooms.get(&pending.room).ok_or_else(|| format!("{token:?} is for no room"))?;
            if let Stage::Writing(seq, _) = pending.stage {
                let before = last.insert(pending.room, seq);
                holds(before < Some(seq) && seq <= room.last, || format!("{token:?} is out of order"))?;
            }
            *waiting.entry(pending.user).or_default() += pending.waiters.count();
        }
        for (token, changing) in &self.changing {
            holds(token.0 < self.next_token, || format!("{token:?} was never given"))?;
            *waiting.entry(changing.user).or_default() += 1;
        }
        let mut reads: HashMap<UserName, u32> = HashMap::new();
        for (token, reading) in &self.readings {
            holds(token.0 < self.next_token, || format!("{token:?} was never given"))?;
            *reads.entry(reading.user).or_default() += 1;
        }
        for (token, reading) in &self.key_readings {
            holds(token.0 < self.next_token, || format!("{token:?} was never given"))?;
            *reads.entry(reading.user).or_default() += 1;
        }
        for (name, user) in &self.users {
            holds(user.reads <= reads.remove(name).unwrap_or(0), || format!("{name} reads without end"))?;
        }
        holds(self.in_flight.len() == self.pending.len(), || "in flight, but not pending".to_owned())?;
        for (name, user) in &self.users {
            let counted = waiting.remove(name).unwrap_or(0);
            holds(counted == user.unacknowledged, || format!("{name}: {counted} posts under way"))?;
        }
        holds(waiting.is_empty(), || format!("posts of forgotten users: {waiting:?}"))
    }
}
