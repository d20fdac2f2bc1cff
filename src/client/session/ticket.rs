//! The ticket with which a session comes back: of an earlier session at first, then the one that each connection brings.
//!
//! It never waits for one, and shows none after its time. What it got and did not show is left to the next session.

use std::time::{Duration, Instant};

use super::{Phase, Session};
use crate::model::Timestamp;
use crate::proto::handshake::client::Resumption;
use crate::proto::message::Ticket;

/// The longest ticket that is kept.
const TICKET_BYTES: usize = 4096;

/// A ticket as one session leaves it to the next: no server has seen it since it was given.
#[derive(Debug)]
pub struct KeptTicket {
    /// The ticket, and the secret that goes with it.
    pub resumption: Resumption,
    /// Until when it is good, by this machine's clock.
    pub not_after: Timestamp,
}

/// A session's ticket.
#[derive(Debug)]
pub(super) struct HeldTicket {
    kept: KeptTicket,
    // It was sent at least once. This session may send it again, so that a server that was busy, or cut off, is not asked
    // for a full handshake; no other session may.
    presented: bool,
}

impl Session {
    /// An earlier session has left this.
    pub(super) fn begin_with(&mut self, kept: KeptTicket) {
        self.ticket = Some(HeldTicket { kept, presented: false });
    }

    /// The server gives this, in the place of what it gave before.
    pub(super) fn take_ticket(&mut self, ticket: &Ticket, now: Instant) {
        let Phase::Linked(connection) = &self.phase else { return };
        let Some(secret) = &connection.secret else { return };
        if ticket.ticket.len() <= TICKET_BYTES {
            let resumption = Resumption { ticket: ticket.ticket.to_vec(), secret: secret.duplicate() };
            let not_after = self.wall(now).after(Duration::from_secs(u64::from(ticket.lifetime_s)));
            self.begin_with(KeptTicket { resumption, not_after });
        }
    }

    /// What to come back with, if there is something.
    pub(super) fn present_ticket(&mut self, now: Instant) -> Option<Resumption> {
        let wall = self.wall(now);
        self.ticket.take_if(|held| held.kept.not_after <= wall);
        let held = self.ticket.as_mut()?;
        held.presented = true;
        let Resumption { ticket, secret } = &held.kept.resumption;
        Some(Resumption { ticket: ticket.clone(), secret: secret.duplicate() })
    }

    /// What nobody was shown, for the next session.
    pub(super) fn leave_ticket(&mut self) -> Option<KeptTicket> {
        self.ticket.take().filter(|held| !held.presented).map(|held| held.kept)
    }
}
