//! How much a peer may ask for.

use std::time::{Duration, Instant};

/// What reading costs a user: a byte of an answer, and the least for any answer. A user may read 1 MB a second in the
/// long run, over all sessions: who opens a thousand can't keep the server busy with them ...
const READ_BYTE: Duration = Duration::from_micros(1);
const READ_LEAST: usize = 1000;
/// ... and 2 MB at once: several times what is missed at most with the default settings.
const READ_CAPACITY: Duration = Duration::from_secs(2);

/// A leaky bucket: what is taken from it comes back with time. All amounts are the times in which they come back, so
/// one number is the whole state.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket {
    /// When all that was taken is back.
    full_at: Option<Instant>,
}

impl Bucket {
    /// How long until `amount` can be taken from a bucket that holds `capacity`; zero if it can be now.
    pub(super) fn wait(&self, amount: Duration, capacity: Duration, now: Instant) -> Duration {
        let missing = self.full_at.map_or(Duration::ZERO, |full_at| full_at.saturating_duration_since(now));
        missing.saturating_add(amount).saturating_sub(capacity)
    }

    /// Takes `amount`, whether it is there or not.
    pub(super) fn take(&mut self, amount: Duration, now: Instant) {
        let from = self.full_at.map_or(now, |full_at| full_at.max(now));
        self.full_at = Some(from.checked_add(amount).unwrap_or(from));
    }
}

/// What a user may read. An answer's length is known only when it is made, so a user may overdraw with one answer, and
/// then waits until that is paid off.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reading(Bucket);

impl Reading {
    /// How long the user has to wait before the next answer; zero if not at all.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.0.wait(Duration::ZERO, READ_CAPACITY, now)
    }

    /// Charges an answer.
    pub(super) fn charge(&mut self, bytes: usize, now: Instant) {
        let units = u32::try_from(bytes.max(READ_LEAST)).unwrap_or(u32::MAX);
        self.0.take(READ_BYTE.saturating_mul(units), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_gives_its_capacity_at_once_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::default();
        for _ in 0..3 {
            assert_eq!(bucket.wait(SECOND, 3 * SECOND, start), Duration::ZERO);
            bucket.take(SECOND, start);
        }
        assert_eq!(bucket.wait(SECOND, 3 * SECOND, start), SECOND);
        assert_eq!(bucket.wait(SECOND, 3 * SECOND, start + SECOND / 2), SECOND / 2);
        assert_eq!(bucket.wait(SECOND, 3 * SECOND, start + SECOND), Duration::ZERO);
        bucket.take(SECOND, start + SECOND);
        assert_eq!(bucket.wait(SECOND, 3 * SECOND, start + SECOND), SECOND);
        // After a long silence it is full, and no fuller.
        bucket.take(3 * SECOND, start + 100 * SECOND);
        assert_eq!(bucket.wait(SECOND, 3 * SECOND, start + 100 * SECOND), SECOND);
    }

    #[test]
    fn reading_may_overdraw_once() {
        let now = Instant::now();
        let mut reading = Reading::default();
        reading.charge(1_999_999, now);
        assert_eq!(reading.wait(now), Duration::ZERO);
        reading.charge(500_001, now);
        assert_eq!(reading.wait(now), SECOND / 2);
        assert_eq!(reading.wait(now + SECOND / 2), Duration::ZERO);
    }
}
