//! What the hub decides, carried out on this reactor's connections: each message is linked into the lists of those who get
//! it, and each connection that got something is flushed once a turn.

use std::sync::Arc;
use std::time::Instant;

use super::Reactor;
use super::ending::LINGER;
use crate::hub::Output;
use crate::proto::close::{CloseCode, CloseReason};
use crate::proto::link;
use crate::server::connection::Fate;
use crate::server::turn::Message;

impl Reactor {
    pub(super) fn carry_out(&mut self, output: &Output, now: Instant) {
        match output {
            Output::ToRoom { room, bytes } => {
                let Some(slots) = self.rooms.get(room) else { return };
                let message = self.turn.add(Arc::clone(bytes));
                for &slot in slots {
                    if let Some(connection) = self.connections.get_mut(slot) {
                        self.turn.push(&mut connection.list, message);
                        if !connection.dirty {
                            connection.dirty = true;
                            self.dirty.push(slot);
                        }
                    }
                }
            }
            Output::To { session, bytes } => {
                if let Some(slot) = self.find(*session) {
                    let message = self.turn.add(Arc::clone(bytes));
                    self.deliver(slot, message);
                }
            }
            Output::Enter { session, room } => {
                if let Some(slot) = self.find(*session)
                    && let Some(connection) = self.connections.get_mut(slot)
                    && matches!(connection.fate, Fate::Serving)
                    && !connection.rooms.contains(room)
                {
                    connection.rooms.push(*room);
                    self.rooms.entry(*room).or_default().push(slot);
                }
            }
            Output::Close { session, reason } => {
                if let Some(slot) = self.find(*session) {
                    self.forget_rooms(slot);
                    if let Some(connection) = self.connections.get_mut(slot)
                        && matches!(connection.fate, Fate::Serving)
                    {
                        connection.fate = Fate::Draining { reason: reason.clone(), deadline: now + LINGER };
                        self.touch(slot);
                    }
                }
            }
            Output::Store(_) | Output::Console(_) | Output::Log(_) | Output::Stopped => {}
        }
    }

    pub(super) fn deliver(&mut self, slot: usize, message: Message) {
        if let Some(connection) = self.connections.get_mut(slot)
            && matches!(connection.fate, Fate::Serving)
        {
            self.turn.push(&mut connection.list, message);
            self.touch(slot);
        }
    }

    pub(super) fn touch(&mut self, slot: usize) {
        if let Some(connection) = self.connections.get_mut(slot)
            && !connection.dirty
        {
            connection.dirty = true;
            self.dirty.push(slot);
        }
    }

    /// Flushes the connections that got something.
    pub(super) fn flush(&mut self, now: Instant) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for slot in dirty.drain(..) {
            self.flush_one(slot, now);
        }
        self.dirty = dirty;
        self.turn.clear();
    }

    fn flush_one(&mut self, slot: usize, now: Instant) {
        let limit = self.shared.outbound_queue_bytes;
        loop {
            let Some(connection) = self.connections.get_mut(slot) else { return };
            connection.dirty = false;
            let drained = match connection.flush(&self.turn, &mut self.scratch) {
                Ok(drained) => drained,
                Err(error) => {
                    tracing::debug!(session = connection.id.0, %error, "connection lost");
                    return self.remove(slot);
                }
            };
            let reason = match &connection.fate {
                Fate::Serving if connection.waiting() > limit => {
                    tracing::info!(session = connection.id.0, bytes = connection.waiting(), "reads too slowly");
                    connection.drop_queue();
                    let text = "you read too slowly; what you missed is in the history";
                    CloseReason::new(CloseCode::TooSlow, text)
                }
                Fate::Draining { reason, .. } if drained => reason.clone(),
                Fate::Leaving { .. } if drained => return connection.shut_down(),
                _ => return,
            };
            let deadline = match connection.fate {
                Fate::Draining { deadline, .. } => deadline,
                Fate::Serving | Fate::Leaving { .. } => now + LINGER,
            };
            connection.fate = Fate::Leaving { deadline };
            connection.link.handle(link::Input::Close(reason), now);
            while let Some(output) = connection.link.poll() {
                if let link::Output::Transmit(bytes) = output {
                    connection.push_sealed(bytes);
                }
            }
            self.forget_rooms(slot);
        }
    }
}
