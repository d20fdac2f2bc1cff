//! Who came and who left, told together and not too often.

use std::sync::Arc;
use std::time::Instant;

use super::shutdown::Phase;
use super::{Hub, Output, PRESENCE_DELAY, PRESENCE_USERS};
use crate::model::RoomName;
use crate::proto::message::{Presence, ServerMessage};

impl Hub {
    /// A room has changes to tell.
    pub(super) fn presence_changed(&mut self, room: RoomName, now: Instant) {
        self.presence_rooms.insert(room);
        self.presence_due.get_or_insert(now.checked_add(PRESENCE_DELAY).unwrap_or(now));
    }

    /// Tells the gathered changes if it is time.
    pub(super) fn presence_timer(&mut self, now: Instant) {
        if self.presence_due.is_none_or(|due| now < due) {
            return;
        }
        self.presence_due = None;
        for name in std::mem::take(&mut self.presence_rooms) {
            self.tell_presence(name);
        }
    }

    /// Tells a room's changes at once if somebody left: who is given a list without him has to hear of it if he is back
    /// in a moment.
    pub(super) fn tell_who_left(&mut self, name: RoomName) {
        let Some(room) = self.rooms.get(&name) else { return };
        if room.changes.iter().any(|(user, was_here)| *was_here && !room.present.contains_key(user)) {
            self.presence_rooms.remove(&name);
            if self.presence_rooms.is_empty() {
                self.presence_due = None;
            }
            self.tell_presence(name);
        }
    }

    fn tell_presence(&mut self, name: RoomName) {
        let Some(room) = self.rooms.get_mut(&name) else { return };
        let changes = std::mem::take(&mut room.changes);
        let too_many = std::mem::take(&mut room.too_many_changes) || room.present.len() > PRESENCE_USERS;
        if too_many || room.present.is_empty() || self.phase != Phase::Running {
            return;
        }
        // Who came and left again, or left and came back, did neither.
        let mut presence = Presence { room: name, came: Vec::new(), left: Vec::new() };
        for (user, was_here) in changes {
            match (was_here, room.present.contains_key(&user)) {
                (false, true) => presence.came.push(user),
                (true, false) => presence.left.push(user),
                _ => {}
            }
        }
        if !(presence.came.is_empty() && presence.left.is_empty()) {
            let bytes = Arc::from(ServerMessage::Presence(presence).encode());
            self.outputs.push_back(Output::ToRoom { room: name, bytes });
        }
    }
}
