//! When a reactor sends: at once while that is cheap, and a few milliseconds' messages together when it is not.
//!
//! A call of write costs the same for one message as for fifty. A reactor that spends much of its time on such calls
//! therefore gathers what rooms say for [`GATHER`] before it sends again, and so pays once for all of it. While there is
//! little to do, which is nearly always, nothing waits.
//!
//! It never holds back an answer, nor anything but for [`GATHER`] at most.

use std::time::{Duration, Instant};

/// How long messages are gathered: far below what a person notices, and well above the time between two messages where
/// it matters.
const GATHER: Duration = Duration::from_millis(4);
/// Over how long the time spent is judged.
const WINDOW: Duration = Duration::from_millis(50);
/// Gathers when it has spent more than one part in so many of its time on sending.
const BUSY: u32 = 8;
/// Ceases when it has spent less than one part in so many: less than [`BUSY`], because gathering itself makes it less.
const QUIET: u32 = 32;

/// Decides when to send.
#[derive(Debug)]
pub(super) struct Pacing {
    gathering: bool,
    last: Instant,
    window: Instant,
    spent: Duration,
}

impl Pacing {
    pub(super) fn new(now: Instant) -> Self {
        Self { gathering: false, last: now, window: now, spent: Duration::ZERO }
    }

    /// When what rooms say is to be sent, if there is something.
    pub(super) fn due(&self) -> Instant {
        if self.gathering { self.last + GATHER } else { self.last }
    }

    /// Sending has taken from `start` to `end`; `gathered` if what rooms say was sent, and not answers alone.
    pub(super) fn sent(&mut self, start: Instant, end: Instant, gathered: bool) {
        if gathered {
            self.last = end;
        }
        self.spent += end - start;
        let elapsed = end - self.window;
        if elapsed >= WINDOW {
            let share = if self.gathering { QUIET } else { BUSY };
            self.gathering = self.spent * share > elapsed;
            self.window = end;
            self.spent = Duration::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends for `cost` every `period`, twenty times; says whether messages wait after that.
    fn run(pacing: &mut Pacing, now: &mut Instant, period_us: u64, cost_us: u64) -> bool {
        for _ in 0..20 {
            *now += Duration::from_micros(period_us - cost_us);
            let end = *now + Duration::from_micros(cost_us);
            pacing.sent(*now, end, true);
            *now = end;
        }
        pacing.due() > *now
    }

    #[test]
    fn gathers_under_load_and_not_otherwise() {
        let mut now = Instant::now();
        let mut pacing = Pacing::new(now);
        assert!(pacing.due() <= now, "the first message waits");
        // A message in 50 ms, with a room of a thousand members.
        assert!(!run(&mut pacing, &mut now, 50_000, 4_000));
        // Messages without end.
        assert!(run(&mut pacing, &mut now, 3_000, 1_000));
        assert_eq!(pacing.due(), now + GATHER);
        // Gathered, the same costs less, and that is no reason to cease.
        assert!(run(&mut pacing, &mut now, 6_000, 500));
        assert!(!run(&mut pacing, &mut now, 50_000, 1_000));
    }

    #[test]
    fn one_costly_turn_is_not_load() {
        let mut now = Instant::now();
        let mut pacing = Pacing::new(now);
        run(&mut pacing, &mut now, 10_000, 10);
        pacing.sent(now, now + Duration::from_millis(5), true);
        assert!(!run(&mut pacing, &mut now, 10_000, 10));
    }
}
