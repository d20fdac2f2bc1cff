//! What a seed's run is like, drawn before it begins: who is there, how good the network and the disk are, and which
//! faults happen at all. Each seed has only some of them (swarm testing), so that one kind doesn't hide another.

use std::num::NonZeroU32;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rsachat::hub::PAGE_BYTES;

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A connection breaks, at any byte, and the ends notice when they do.
    Cut,
    /// Nothing arrives for a while, in one direction or both.
    Stall,
    /// kill -9 of the server.
    Crash,
    /// The server is told to end, and starts again.
    Restart,
    /// The disk takes nothing for a while.
    DiskFull,
    /// A user's key is removed, and comes back later, or another one does.
    KeyRemoved,
    /// The operator closes a user's connections.
    Kick,
    /// A client is killed, and started anew.
    ClientKilled,
    /// A client leaves as it should, and is started anew.
    ClientLeaves,
    /// The clock on the wall is set.
    ClockSet,
    /// One of the server's threads gets no time for a while.
    ReactorPaused,
}

const FAULTS: [(Fault, u32); 11] = [
    (Fault::Cut, 10),
    (Fault::Stall, 6),
    (Fault::Crash, 3),
    (Fault::Restart, 1),
    (Fault::DiskFull, 2),
    (Fault::KeyRemoved, 1),
    (Fault::Kick, 1),
    (Fault::ClientKilled, 1),
    (Fault::ClientLeaves, 1),
    (Fault::ClockSet, 1),
    (Fault::ReactorPaused, 4),
];

/// A run's conditions.
#[derive(Debug)]
pub(super) struct Plan {
    /// How many users; each has at least one client.
    pub(super) users: usize,
    pub(super) clients: usize,
    pub(super) reactors: usize,
    /// How long people talk and things go wrong.
    pub(super) busy: Duration,
    /// The longest pause of a client's user.
    pub(super) pause: Duration,
    /// The longest time between two faults.
    pub(super) between_faults: Duration,
    /// Which faults happen, with their weights.
    pub(super) faults: Vec<(Fault, u32)>,
    /// The longest way of a byte.
    pub(super) delay: Duration,
    /// Bytes on the way to a client, at most.
    pub(super) capacity: usize,
    pub(super) outbound_queue_bytes: usize,
    /// The longest commit.
    pub(super) commit: Duration,
    /// Messages of a room that the disk keeps.
    pub(super) keep: u64,
    pub(super) history_limit: u32,
    pub(super) join_backlog: u32,
    pub(super) message_rate: NonZeroU32,
    pub(super) message_burst: NonZeroU32,
    pub(super) message_bytes: u32,
    /// The longest text said.
    pub(super) text: usize,
    /// Whether most texts are that long.
    pub(super) long: bool,
}

impl Plan {
    pub(super) fn draw(rng: &mut StdRng) -> Self {
        let mut faults: Vec<_> = FAULTS.into_iter().filter(|_| rng.random_bool(0.5)).collect();
        if rng.random_bool(0.05) {
            faults.clear();
        }
        let users = rng.random_range(1..=3);
        // Now and then, messages so long that an answer doesn't hold all that is missed.
        let long = rng.random_bool(0.05);
        let (message_bytes, text) = if long { (14_000, 14_001) } else { (300, 301) };
        let history_limit = if long { 100 } else { pick(rng, &[1, 3, 10, 10, 100]) };
        // As the configuration has it: room for two of the longest answers at least.
        let page = (history_limit as usize * (text + 150)).min(PAGE_BYTES + text + 150);
        let number = |number| NonZeroU32::new(number).unwrap();
        Self {
            users,
            clients: users + rng.random_range(0..=2),
            reactors: rng.random_range(1..=3),
            busy: Duration::from_millis(rng.random_range(1_000..10_000)),
            pause: Duration::from_millis(pick(rng, &[300, 1_000, 3_000])),
            between_faults: Duration::from_millis(pick(rng, &[200, 700, 3_000])),
            faults,
            delay: Duration::from_millis(pick(rng, &[1, 20, 150, 600])),
            capacity: pick(rng, &[2_000, 2_000, 20_000, 200_000]),
            outbound_queue_bytes: (page * pick(rng, &[2, 2, 8])).max(6_000),
            commit: Duration::from_millis(pick(rng, &[2, 20, 200, 1_500, 5_000])),
            keep: pick(rng, &[u64::from(history_limit), 2, 1_000]),
            history_limit,
            join_backlog: pick(rng, &[0, 1, 10, 100]),
            message_rate: number(if long { 100 } else { pick(rng, &[2, 10, 100]) }),
            message_burst: number(if long { 100 } else { pick(rng, &[1, 10, 100]) }),
            message_bytes,
            text,
            long,
        }
    }

    /// What goes wrong next.
    pub(super) fn fault(&self, rng: &mut StdRng) -> Option<Fault> {
        let all = self.faults.iter().map(|(_, weight)| weight).sum();
        let mut at = if all == 0 { return None } else { rng.random_range(0..all) };
        let fault = self.faults.iter().find(|(_, weight)| {
            let found = at < *weight;
            at = at.saturating_sub(*weight);
            found
        });
        fault.map(|(fault, _)| *fault)
    }
}

/// One of these.
pub(super) fn pick<T: Copy>(rng: &mut StdRng, from: &[T]) -> T {
    from[rng.random_range(0..from.len())]
}

/// A time up to `most`; mostly a short one.
pub(super) fn up_to(rng: &mut StdRng, most: Duration) -> Duration {
    let part: f64 = rng.random_range(0.0..1.0);
    most.mul_f64(part * part)
}
