//! Who came and who left, told together and not too often.

use std::sync::Arc;
use std::time::Instant;

use super::shutdown::Phase;
use super::{At, Hub, Output, PRESENCE_DELAY, PRESENCE_USERS};
use crate::model::{RoomName, Timestamp};
use crate::proto::message::{Changed, Presence, ServerMessage, Status};

impl Hub {
    /// A room has changes to tell.
    pub(super) fn presence_changed(&mut self, room: RoomName, now: Instant) {
        if room.is_direct() {
            // There, who is connected is what counts.
            return;
        }
        self.presence_rooms.insert(room);
        self.presence_due.get_or_insert(now.checked_add(PRESENCE_DELAY).unwrap_or(now));
    }

    /// Tells the gathered changes if it is time.
    pub(super) fn presence_timer(&mut self, at: At) {
        if self.presence_due.is_none_or(|due| at.now < due) {
            return;
        }
        self.presence_due = None;
        for name in std::mem::take(&mut self.presence_rooms) {
            self.tell_presence(name, at.wall);
        }
    }

    /// Tells a room's changes at once if somebody left: who is given a list without him has to hear of it if he is back
    /// in a moment.
    pub(super) fn tell_who_left(&mut self, name: RoomName, wall: Timestamp) {
        let Some(room) = self.rooms.get(&name) else { return };
        if room.changes.iter().any(|(user, was_here)| *was_here && !room.present.contains_key(user)) {
            self.presence_rooms.remove(&name);
            if self.presence_rooms.is_empty() {
                self.presence_due = None;
            }
            self.tell_presence(name, wall);
        }
    }

    fn tell_presence(&mut self, name: RoomName, wall: Timestamp) {
        let Some(room) = self.rooms.get_mut(&name) else { return };
        let changes = std::mem::take(&mut room.changes);
        let mut statuses = std::mem::take(&mut room.statuses);
        let too_many = std::mem::take(&mut room.too_many_changes) || room.present.len() > PRESENCE_USERS;
        if too_many || room.present.is_empty() || self.phase != Phase::Running {
            // Nobody knows anything of anybody from here on.
            room.told.clear();
            return;
        }
        // Who came and left again, or left and came back, did neither.
        let mut presence = Presence { room: name, came: Vec::new(), left: Vec::new(), changed: Vec::new() };
        for (user, was_here) in changes {
            match (was_here, room.present.contains_key(&user)) {
                (false, true) => presence.came.push(user),
                (true, false) => {
                    presence.left.push(user);
                    room.told.remove(&user);
                }
                _ => {}
            }
            statuses.insert(user);
        }
        statuses.retain(|user| room.present.contains_key(user));
        for user in statuses {
            let status = self.status(user, wall);
            let Some(room) = self.rooms.get_mut(&name) else { return };
            let told =
                if status == Status::ONLINE { room.told.remove(&user) } else { room.told.insert(user, status.clone()) };
            if told.unwrap_or(Status::ONLINE) != status {
                presence.changed.push(Changed { user, status });
            }
        }
        if !(presence.came.is_empty() && presence.left.is_empty() && presence.changed.is_empty()) {
            let bytes = Arc::from(ServerMessage::Presence(presence).encode());
            self.outputs.push_back(Output::ToRoom { room: name, bytes });
        }
    }
}
