//! Connections: two pipes each, which deliver bytes in their order, late, in any pieces, or not at all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::StdRng;
use rsachat::client::session::Attempt;
use rsachat::model::SessionId;

/// Names a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WireId(pub(super) u64);

/// One of a connection's directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) client: usize,
    /// Which of the client's lives made it, and in which try.
    pub(super) life: u64,
    pub(super) attempt: Attempt,
    /// Which run of the server took it, and as what.
    pub(super) run: u64,
    pub(super) session: SessionId,
    pub(super) up: Pipe,
    pub(super) down: Pipe,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Pipe {
    flying: VecDeque<(Instant, Flight)>,
    /// Bytes on the way.
    pub(super) bytes: usize,
    last: Instant,
    /// Until when nothing arrives.
    stalled: Option<Instant>,
    /// Nothing more leaves.
    shut: bool,
}

#[derive(Debug)]
enum Flight {
    Bytes(Vec<u8>),
    Eof,
}

/// What arrives at once.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) eof: bool,
}

impl Wire {
    pub(super) fn pipe(&mut self, way: Way) -> &mut Pipe {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    /// Nothing will come of it any more.
    pub(super) fn is_over(&self) -> bool {
        [&self.up, &self.down].iter().all(|pipe| pipe.shut && pipe.flying.is_empty())
    }
}

impl Pipe {
    pub(super) fn new(now: Instant) -> Self {
        Self { flying: VecDeque::new(), bytes: 0, last: now, stalled: None, shut: false }
    }

    /// Sends; returns when that arrives.
    pub(super) fn send(&mut self, bytes: Vec<u8>, now: Instant, delay: Duration) -> Option<Instant> {
        if self.shut || bytes.is_empty() {
            return None;
        }
        self.bytes += bytes.len();
        Some(self.fly(Flight::Bytes(bytes), now + delay))
    }

    /// Nothing follows what was sent; returns when that is noticed.
    pub(super) fn shut(&mut self, now: Instant, delay: Duration) -> Option<Instant> {
        if std::mem::replace(&mut self.shut, true) {
            return None;
        }
        Some(self.fly(Flight::Eof, now + delay))
    }

    fn fly(&mut self, flight: Flight, due: Instant) -> Instant {
        self.last = self.last.max(due);
        self.flying.push_back((self.last, flight));
        self.last.max(self.stalled.unwrap_or(self.last))
    }

    /// Everything on the way from some byte on is lost, and nothing follows.
    pub(super) fn tear(&mut self, rng: &mut StdRng) {
        let mut keep = rng.random_range(0..=self.bytes);
        self.flying.retain_mut(|(_, flight)| match flight {
            Flight::Bytes(bytes) => {
                bytes.truncate(keep);
                keep -= bytes.len();
                !bytes.is_empty()
            }
            Flight::Eof => false,
        });
        self.bytes = self.flying.iter().map(|(_, flight)| flight.len()).sum();
        self.shut = false;
    }

    /// Everything on the way is lost, and nobody hears of it.
    pub(super) fn vanish(&mut self) {
        self.flying.clear();
        self.bytes = 0;
        self.shut = true;
    }

    /// Nothing arrives before `until`; returns whether something will then.
    pub(super) fn stall(&mut self, until: Instant) -> bool {
        self.stalled = Some(self.stalled.map_or(until, |other| other.max(until)));
        !self.flying.is_empty()
    }

    /// What has arrived, in pieces that are none of its own. Some may be left for later: then this says when to look.
    pub(super) fn arrive(&mut self, now: Instant, rng: &mut StdRng) -> (Arrived, Option<Instant>) {
        let mut arrived = Arrived::default();
        if let Some(until) = self.stalled {
            if until > now {
                return (arrived, (!self.flying.is_empty()).then_some(until));
            }
            self.stalled = None;
        }
        let mut bytes = Vec::new();
        while let Some((due, _)) = self.flying.front()
            && *due <= now
            && !arrived.eof
        {
            match self.flying.pop_front() {
                Some((_, Flight::Bytes(more))) => bytes.extend(more),
                Some((_, Flight::Eof)) | None => arrived.eof = true,
            }
        }
        let mut again = None;
        if bytes.len() > 1 && !arrived.eof && rng.random_bool(0.1) {
            let rest = bytes.split_off(rng.random_range(1..bytes.len()));
            let due = now + Duration::from_micros(rng.random_range(1..5_000));
            self.flying.push_front((due, Flight::Bytes(rest)));
            again = Some(due);
        }
        self.bytes -= bytes.len();
        while bytes.len() > 1 && rng.random_bool(0.3) {
            let rest = bytes.split_off(rng.random_range(1..bytes.len().min(40)));
            arrived.pieces.push(std::mem::replace(&mut bytes, rest));
        }
        if !bytes.is_empty() {
            arrived.pieces.push(bytes);
        }
        (arrived, again)
    }
}

impl Flight {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Eof => 0,
        }
    }
}
