//! How long to wait before the next try: longer after every failure, and never as long as everybody else.

use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::StdRng;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// A connection that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How many tries have failed since the last good connection.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// A connection ended that was good `since` then, if it ever was. Returns how long to wait.
    pub(crate) fn failed(&mut self, online_since: Option<Instant>, now: Instant, rng: &mut StdRng) -> Duration {
        if online_since.is_some_and(|since| now.saturating_duration_since(since) >= GOOD) {
            self.failures = 0;
        }
        let most = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        // From a tenth of it to all of it: after a restart of the server, thousands come back, and not at once.
        most.mul_f64(rng.random_range(0.1..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn waits_grow_to_a_limit_and_begin_anew_after_a_good_connection() {
        let mut rng = StdRng::seed_from_u64(1);
        let now = Instant::now();
        let mut backoff = Backoff::default();
        for most in [1, 2, 4, 8, 16, 30, 30, 30] {
            let wait = backoff.failed(None, now, &mut rng);
            assert!(wait >= Duration::from_secs(most) / 10 && wait <= Duration::from_secs(most), "{wait:?} of {most}");
        }
        // A connection that broke at once was not a good one.
        assert!(backoff.failed(Some(now), now, &mut rng) >= LONGEST / 10);
        assert!(backoff.failed(Some(now), now + GOOD, &mut rng) <= FIRST);
        for _ in 0..100 {
            assert!(backoff.failed(None, now, &mut rng) <= LONGEST);
        }
    }
}
