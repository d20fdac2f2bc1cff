//! How connections end: which of them are made anew, and which end the session.

use std::time::{Duration, Instant};

use super::room::Room;
use super::signing::{Awaits, Signing};
use super::{Asker, Event, Outcome, Output, Phase, Session};
use crate::proto::close::{CloseCode, CloseReason};
use crate::proto::handshake::client::ClientError;
use crate::proto::handshake::wire::{Refusal, RefusalCode};
use crate::proto::link::{self, Ended, Violation};

/// How long a refusal may keep us from trying again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Session {
    pub(super) fn violation(&mut self, text: &str, now: Instant) {
        if let Phase::Linked(connection) = &mut self.phase {
            connection.link.handle(link::Input::Close(CloseReason::new(CloseCode::ProtocolError, text)), now);
            while let Some(output) = connection.link.poll() {
                if let link::Output::Transmit(bytes) = output {
                    self.outputs.push_back(Output::Transmit(bytes));
                }
            }
        }
        self.lost(format!("the server broke the protocol: {text}"), Duration::ZERO, now);
    }

    pub(super) fn ended(&mut self, ended: Ended, now: Instant) {
        let said_bye = self.said_bye();
        match ended {
            Ended::Refused(refusal) => self.refused(refusal, now),
            Ended::Closed(reason) if self.is_final(reason.code) => self.over(Outcome::PutOut(reason)),
            Ended::Closed(CloseReason { code: CloseCode::Shutdown, .. }) if self.ended_server => {
                self.over(Outcome::ServerEnded);
            }
            _ if said_bye => self.over(Outcome::Left),
            Ended::Closed(reason) => self.lost(reason.to_string(), Duration::ZERO, now),
            Ended::Violation(Violation::Server(ClientError::NotTheServer)) if !self.resumes() => {
                self.over(Outcome::NotTheServer);
            }
            Ended::Violation(Violation::Server(_)) if self.resumes() => self.without_ticket(now),
            other => self.lost(other.to_string(), Duration::ZERO, now),
        }
    }

    /// Whether we are not to come back after a close.
    fn is_final(&self, code: CloseCode) -> bool {
        match code {
            // A code of a later version may say that we are not wanted.
            CloseCode::KeyRemoved | CloseCode::Kicked | CloseCode::Other(_) => true,
            // Whoever controls the network can bring this about by changing a byte, and must not end a session by that.
            // Where nobody watches, it would go on for ever if it is we who are wrong.
            CloseCode::ProtocolError => self.settings.give_up.is_some(),
            CloseCode::Bye | CloseCode::Shutdown | CloseCode::TooSlow | CloseCode::IdleTimeout => false,
        }
    }

    pub(super) fn resumes(&self) -> bool {
        matches!(&self.phase, Phase::Linked(connection) if connection.resuming)
    }

    pub(super) fn refused(&mut self, refusal: Refusal, now: Instant) {
        match refusal.code {
            RefusalCode::TicketRefused | RefusalCode::AuthenticationFailed if self.resumes() => {
                self.without_ticket(now);
            }
            RefusalCode::AuthenticationFailed => {
                self.over(Outcome::AuthenticationFailed { invited: self.settings.invite.is_some() });
            }
            RefusalCode::UnknownServerKey => self.over(Outcome::ServerKeyChanged),
            RefusalCode::UnsupportedVersion => {
                self.over(Outcome::Version { min: refusal.min_version, max: refusal.max_version });
            }
            RefusalCode::Busy | RefusalCode::TicketRefused | RefusalCode::Malformed | RefusalCode::Other(_) => {
                // Anybody on the way can say so: it is believed no further than we would wait by ourselves.
                let wait = Duration::from_secs(u64::from(refusal.retry_after_s)).min(LONGEST_WAIT);
                self.lost(refusal.code.to_string(), wait, now);
            }
        }
    }

    /// The ticket is of no use: a full handshake, at once.
    pub(super) fn without_ticket(&mut self, now: Instant) {
        self.ticket = None;
        self.hang_up();
        self.phase = Phase::Waiting { until: now };
    }

    pub(super) fn hang_up(&mut self) {
        self.outputs.push_back(Output::Disconnect);
        // What was not answered is asked again.
        let trusting = self.requests.values().filter_map(|asked| match asked.by {
            Asker::Trust(user) => Some(user),
            _ => None,
        });
        self.trusting.extend(trusting);
        self.requests.clear();
        if let Some(Signing { awaits: Awaits::Key, .. }) = self.signing {
            self.signing = None;
        }
        self.rooms.values_mut().for_each(Room::disconnected);
        for (ask, refused) in self.asks.disconnected() {
            self.event(Event::Answered { ask, answer: Err(refused) });
        }
    }

    /// There is no connection any more, or still none. The next try is made `at_least` so much later.
    pub(super) fn lost(&mut self, reason: String, at_least: Duration, now: Instant) {
        let online = match &self.phase {
            Phase::Linked(connection) => connection.welcome.as_ref().map(|(_, since)| *since),
            _ => None,
        };
        self.hang_up();
        let retry_in = self.backoff.failed(online, now, &mut self.rng).max(at_least);
        self.phase = Phase::Waiting { until: now + retry_in };
        let since = self.offline.as_ref().map_or(now, |(since, _)| *since);
        self.offline = Some((since, reason.clone()));
        let failures = if online.is_some() { 0 } else { self.backoff.failures() };
        self.event(Event::Offline { reason, retry_in, failures });
    }

    pub(super) fn over(&mut self, outcome: Outcome) {
        if !matches!(self.phase, Phase::Waiting { .. } | Phase::Over) {
            self.outputs.push_back(Output::Disconnect);
        }
        self.phase = Phase::Over;
        let undelivered = self.outstanding();
        let rooms = self.rooms.iter_mut();
        let left = rooms.flat_map(|(&room, state)| {
            state.posts.drain().map(move |(id, body)| Event::Undelivered { id, room, body })
        });
        self.outputs.extend(left.map(Output::Event));
        let ticket = self.leave_ticket();
        self.outputs.extend(ticket.map(Output::Ticket));
        self.outputs.push_back(Output::Over { outcome, undelivered });
    }
}
