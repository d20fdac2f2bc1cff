//! How long honest clients wait while something else goes on.

use std::fmt;
use std::time::{Duration, Instant};

use super::client::Client;

/// Round trips of one kind.
#[derive(Default)]
pub(crate) struct Meter(Vec<Duration>);

impl Meter {
    pub(crate) fn time<T>(&mut self, action: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = action();
        self.0.push(start.elapsed());
        result
    }

    /// What so many in a thousand stay below.
    pub(crate) fn per_mille(&self, share: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * share).div_ceil(1000).saturating_sub(1);
        sorted.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, most, all] = [500, 990, 1000].map(|share| self.per_mille(share).as_secs_f64() * 1000.0);
        write!(f, "median {half:.1} ms, 99 % {most:.1} ms, longest {all:.1} ms of {}", self.0.len())
    }
}

/// What an honest member of the room notices.
#[derive(Default)]
pub(crate) struct RoundTrips {
    pub(crate) post: Meter,
    pub(crate) people: Meter,
}

impl RoundTrips {
    /// Says something and asks who is here, `rounds` times.
    pub(crate) fn measure(&mut self, client: &mut Client, rounds: usize) {
        for _ in 0..rounds {
            self.post.time(|| client.post("an honest word"));
            self.people.time(|| client.people());
            client.conn.inbox.clear();
        }
    }
}

impl fmt::Display for RoundTrips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "post to accepted: {}; people to reply: {}", self.post, self.people)
    }
}
