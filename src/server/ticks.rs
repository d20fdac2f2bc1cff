//! When the answers to full handshakes leave: on ticks counted from the hello, not when the arithmetic ends.
//!
//! Nothing that the arithmetic does shows in between, not even here: the thread that did it leaves the answer without
//! waking this one, which looks for it when the tick comes. If it were woken, it would wait anew for the tick, and since
//! the system counts such waits in whole milliseconds, when it was woken would show in when the answer leaves.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::model::SessionId;
use crate::proto::handshake::server::Accepted;
use crate::proto::handshake::wire::RefusalCode;

/// What the time from a hello to its answer is rounded up to: more than the private-key operation takes with a key of
/// 3072 bits, so that an idle server answers after one tick whatever the operation found.
const TICK: Duration = Duration::from_millis(10);

type Answer = Result<Box<Accepted>, RefusalCode>;

/// The answers that are awaited, and those whose tick has not come.
#[derive(Debug, Default)]
pub(super) struct Ticks {
    due: BTreeSet<(Instant, SessionId)>,
    answers: HashMap<SessionId, Answer>,
}

impl Ticks {
    /// A hello came, which will be answered.
    pub(super) fn expect(&mut self, connection: SessionId, now: Instant) {
        self.due.insert((now + TICK, connection));
    }

    /// This is the answer.
    pub(super) fn hold(&mut self, connection: SessionId, answer: Answer) {
        self.answers.insert(connection, answer);
    }

    /// When the next tick is.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|&(due, _)| due)
    }

    /// An answer whose tick has come. One that is not there by then waits for the next tick.
    pub(super) fn release(&mut self, now: Instant) -> Option<(SessionId, Answer)> {
        while let Some(&(due, connection)) = self.due.first()
            && due <= now
        {
            self.due.pop_first();
            if let Some(answer) = self.answers.remove(&connection) {
                return Some((connection, answer));
            }
            self.due.insert((due + TICK, connection));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_leave_on_ticks_counted_from_the_hello() {
        let start = Instant::now();
        let at = |us: u64| start + Duration::from_micros(us);
        for (done_us, ticks) in [(0, 1), (9_999, 1), (10_001, 2), (35_000, 4)] {
            let mut ticking = Ticks::default();
            ticking.expect(SessionId(7), start);
            let mut left = None;
            for us in (0..50_000).step_by(500) {
                if us >= done_us && us < done_us + 500 {
                    ticking.hold(SessionId(7), Err(RefusalCode::AuthenticationFailed));
                }
                if let Some((connection, _)) = ticking.release(at(us)) {
                    left = left.or(Some((us, connection)));
                }
            }
            assert_eq!(left, Some((ticks * 10_000, SessionId(7))), "done after {done_us} microseconds");
            assert_eq!((ticking.next(), ticking.answers.len()), (None, 0));
        }
    }
}
