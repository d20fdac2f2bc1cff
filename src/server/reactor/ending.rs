//! How connections leave a reactor: by their link's end, by the hub's word, or because their time is up.

use std::time::{Duration, Instant};

use super::Reactor;
use crate::hub::Input;
use crate::proto::handshake::wire::RefusalCode;
use crate::proto::link::{self, Ended};
use crate::server::connection::{Connection, Fate};
use crate::server::strangers::Strangers;
use crate::term::sanitise;

/// How often connections are looked at whether their time is up.
pub(super) const SWEEP: Duration = Duration::from_secs(1);
/// How long a connection that ends may take to read what is left for it, and to hang up.
pub(super) const LINGER: Duration = Duration::from_secs(2);

impl Reactor {
    /// Gives a connection whose link has ended until `deadline` to read what is left.
    pub(super) fn leave(&mut self, slot: usize, deadline: Instant) {
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.drop_queue();
            connection.fate = Fate::Leaving { deadline };
            self.touch(slot);
        }
    }

    pub(super) fn sweep(&mut self, now: Instant) {
        self.next_sweep = now + SWEEP;
        let untold = self.strangers.begin_second();
        if untold > 0 {
            tracing::warn!(untold, "more came from peers that were not let in");
        }
        let mut due = Vec::new();
        for (slot, connection) in &self.connections {
            let time = match &connection.fate {
                Fate::Serving => connection.link.poll_timeout(),
                Fate::Draining { deadline, .. } | Fate::Leaving { deadline } => Some(*deadline),
            };
            if time.is_some_and(|time| time <= now) {
                due.push(slot);
            }
        }
        for slot in due {
            match self.connections.get_mut(slot) {
                Some(connection) if matches!(connection.fate, Fate::Serving) => {
                    connection.link.handle(link::Input::Tick, now);
                    self.follow(slot, now);
                }
                _ => self.remove(slot),
            }
        }
        self.acceptor.tick(&self.shared, &mut self.strangers);
    }

    pub(super) fn forget_rooms(&mut self, slot: usize) {
        if let Some(connection) = self.connections.get_mut(slot) {
            self.outbox.leave_all(slot, &mut connection.reader);
        }
    }

    pub(super) fn remove(&mut self, slot: usize) {
        self.forget_rooms(slot);
        let Some(mut connection) = self.connections.try_remove(slot) else { return };
        // Closing the socket would do as well; an error means that it is gone already.
        let _ = self.poll.registry().deregister(&mut connection.stream);
        self.shared.admission.leave(connection.address);
        let known = connection.user.is_some();
        if known {
            self.inputs.push(Input::Gone { session: connection.id });
        }
        if known || self.strangers.may_be_told() {
            tracing::info!(session = connection.id.0, "disconnected");
        }
    }
}

/// Writes the end of a connection's link into the log.
pub(super) fn log_end(connection: &Connection, ended: &Ended, strangers: &mut Strangers) {
    let session = connection.id.0;
    let address = connection.address;
    match (&connection.user, ended) {
        (Some(user), ended) => {
            // A client's own words, perhaps.
            let reason = ended.to_string();
            tracing::info!(session, %user, reason = &*sanitise(&reason), "session ended");
        }
        (None, Ended::Refused(refusal)) if refusal.code != RefusalCode::Busy => {
            if strangers.may_be_told() {
                tracing::warn!(session, %address, reason = %refusal.code, "handshake refused");
            }
        }
        (None, ended) => tracing::debug!(session, %address, reason = %ended, "handshake ended"),
    }
}
