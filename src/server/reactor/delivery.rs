//! What the hub decides, carried out on this reactor's connections: each message goes into the outbox, and each connection
//! that gets some of it is flushed once.

use std::sync::Arc;
use std::time::Instant;

use super::Reactor;
use super::ending::LINGER;
use crate::hub::{Input, Output};
use crate::proto::close::{CloseCode, CloseReason};
use crate::proto::link;
use crate::server::connection::{Fate, WRITE_BYTES};
use crate::server::workers::{Busy, Task, Work};

impl Reactor {
    pub(super) fn carry_out(&mut self, output: &Output, now: Instant) {
        match output {
            Output::ToRoom { room, bytes } => self.outbox.say(room, bytes),
            Output::To { session, bytes } => {
                if let Some(slot) = self.find(*session) {
                    self.deliver(slot, Arc::clone(bytes));
                }
            }
            Output::Enter { session, room } => {
                if let Some(slot) = self.find(*session)
                    && let Some(connection) = self.connections.get_mut(slot)
                    && matches!(connection.fate, Fate::Serving)
                {
                    self.outbox.enter(*room, slot, &mut connection.reader);
                }
            }
            Output::Exit { session, room } => {
                if let Some(slot) = self.find(*session)
                    && let Some(connection) = self.connections.get_mut(slot)
                {
                    // What the room said up to now is still for it.
                    connection.keep(&self.outbox);
                    self.outbox.leave(*room, slot, &mut connection.reader);
                    self.touch(slot);
                }
            }
            Output::Close { session, reason } => {
                if let Some(slot) = self.find(*session) {
                    if let Some(connection) = self.connections.get_mut(slot) {
                        // What its rooms said up to now is still for it.
                        connection.keep(&self.outbox);
                    }
                    self.forget_rooms(slot);
                    if let Some(connection) = self.connections.get_mut(slot)
                        && matches!(connection.fate, Fate::Serving)
                    {
                        connection.fate = Fate::Draining { reason: reason.clone(), deadline: now + LINGER };
                        self.touch(slot);
                    }
                }
            }
            Output::Invite(invitation) if self.find(invitation.session).is_some() => {
                let work = Work::Invite(invitation.clone());
                if let Err(Busy { retry_after_s }) =
                    self.shared.workers.submit(Task { mailbox: Arc::clone(&self.mailbox), work })
                {
                    let why = format!("it is busy; try again in {retry_after_s} s");
                    self.inputs.push(Input::Invited(invitation.clone(), Err(why)));
                }
            }
            // Another reactor's, or nobody's here.
            Output::Invite(_)
            | Output::Store(_)
            | Output::Console(_)
            | Output::Log(_)
            | Output::Record(_)
            | Output::Stopped => {}
        }
    }

    pub(super) fn deliver(&mut self, slot: usize, bytes: Arc<[u8]>) {
        if let Some(connection) = self.connections.get_mut(slot)
            && matches!(connection.fate, Fate::Serving)
        {
            self.outbox.tell(&mut connection.reader, bytes);
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

    /// Flushes the connections that got something of their own, and, unless that is to be gathered for a while, those
    /// for which rooms have something.
    pub(super) fn flush(&mut self, now: Instant) {
        let rooms_too = self.outbox.bytes() >= WRITE_BYTES || self.pacing.due() <= now;
        let mut slots = std::mem::take(&mut self.dirty);
        if rooms_too {
            self.outbox.recipients(&mut slots);
        }
        if !slots.is_empty() {
            let start = Instant::now();
            for slot in slots.drain(..) {
                self.flush_one(slot, now);
            }
            self.pacing.sent(start, Instant::now(), rooms_too);
        }
        self.dirty = slots;
        if rooms_too || !self.outbox.has_rooms() {
            self.outbox.clear();
        }
    }

    fn flush_one(&mut self, slot: usize, now: Instant) {
        let limit = self.shared.outbound_queue_bytes;
        loop {
            let Some(connection) = self.connections.get_mut(slot) else { return };
            connection.dirty = false;
            let drained = match connection.flush(&self.outbox, &mut self.scratch) {
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
