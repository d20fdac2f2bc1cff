//! The orderly end: nothing new is taken, what was posted is written and acknowledged, everyone is told, then closed.

use std::time::Instant;

use super::{At, DRAIN, Hub, LogEvent, Output};
use crate::model::SessionId;
use crate::proto::close::{CloseCode, CloseReason};

/// How far the end has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// Posts wait for the store; who posted them should hear of it before the connection closes.
    Draining {
        until: Instant,
        reason: CloseReason,
    },
    /// All sessions were told to close.
    Closing,
    /// [`Output::Stopped`] was given.
    Stopped,
}

impl Phase {
    pub(super) fn timeout(&self) -> Option<Instant> {
        match self {
            Self::Draining { until, .. } => Some(*until),
            Self::Running | Self::Closing | Self::Stopped => None,
        }
    }
}

impl Hub {
    pub(super) fn begin_shutdown(&mut self, by: String, at: At) {
        if self.phase != Phase::Running {
            return;
        }
        let reason = CloseReason::new(CloseCode::Shutdown, format!("the server is ending: {by}"));
        self.log(LogEvent::ShutdownBegun { by, sessions: self.sessions.len() });
        self.phase = Phase::Draining { until: at.now.checked_add(DRAIN).unwrap_or(at.now), reason };
    }

    /// Whether the store has answered everything.
    pub(super) fn awaits_nothing(&self) -> bool {
        self.pending.is_empty() && self.changing.is_empty()
    }

    /// Takes the next step of a shutdown, if its time has come.
    pub(super) fn proceed_with_shutdown(&mut self, at: At) {
        if let Phase::Draining { until, reason } = &self.phase
            && (self.awaits_nothing() || self.store_failing || at.now >= *until)
        {
            let reason = reason.clone();
            self.phase = Phase::Closing;
            // In an order that doesn't depend on the map's hashes, so that a simulation can be replayed.
            let mut sessions: Vec<SessionId> = self.sessions.keys().copied().collect();
            sessions.sort_unstable();
            for session in sessions {
                self.close(session, reason.clone(), at);
            }
        }
        if self.phase == Phase::Closing && self.closing.is_empty() && self.awaits_nothing() {
            self.phase = Phase::Stopped;
            self.outputs.push_back(Output::Stopped);
        }
    }
}
