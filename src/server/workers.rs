//! The threads that do what is too expensive for a reactor: the RSA and X-Wing operations of handshakes.
//!
//! The queue is bounded: what doesn't fit is refused at once, with a time to come back, rather than kept waiting until
//! its client has given up. Resumptions, which cost a fiftieth of a full handshake, go first. The answer to a full
//! handshake leaves on a tick of [`TICK`] counted from its hello, not when the arithmetic ends.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Alarm;
use super::context::Contexts;
use super::mailbox::{Mail, Mailbox};
use crate::model::SessionId;
use crate::proto::handshake::server::Job;

/// What the time from a hello to its answer is rounded up to: more than the private-key operation takes with a key of
/// 3072 bits, so that an idle server answers after one tick whatever the operation found.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// Full handshakes that wait for each worker, at most: a few seconds of work, well below a client's patience.
const QUEUE_PER_WORKER: usize = 256;
/// Resumptions that wait for each worker, at most: ten thousand clients may come back at once.
const RESUMPTIONS_PER_WORKER: usize = 16 * 1024;
/// When a refused client may come back: a full queue is worked off by then, at about 6 ms a full handshake.
const RETRY_AFTER_S: u16 = 2;

/// A job and whom its answer is for.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) connection: SessionId,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) received: Instant,
    pub(super) job: Job,
}

/// No room for another job.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Busy {
    pub(super) retry_after_s: u16,
}

#[derive(Debug, Default)]
struct Waiting {
    resumptions: VecDeque<Task>,
    full: VecDeque<Task>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    ready: Condvar,
}

/// The pool.
#[derive(Debug)]
pub(super) struct Workers {
    queue: Arc<Queue>,
    count: usize,
}

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// What the system says if it gives no threads.
    pub(super) fn start(
        count: usize,
        contexts: &Arc<Contexts>,
        alarm: impl Fn() -> Alarm,
    ) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let queue = Arc::new(Queue::default());
        let threads = (0..count)
            .map(|index| {
                let (queue, contexts, alarm) = (Arc::clone(&queue), Arc::clone(contexts), alarm());
                std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
                    let _held = alarm;
                    work(&queue, &contexts);
                })
            })
            .collect::<Result<_, _>>()?;
        Ok((Self { queue, count }, threads))
    }

    /// Queues a task.
    ///
    /// # Errors
    /// [`Busy`] if there are too many.
    pub(super) fn submit(&self, task: Task) -> Result<(), Busy> {
        let mut waiting = self.queue.lock();
        let (tasks, limit) = match task.job {
            Job::Resume(_) => (&mut waiting.resumptions, RESUMPTIONS_PER_WORKER * self.count),
            Job::Full(_) => (&mut waiting.full, QUEUE_PER_WORKER * self.count),
        };
        if tasks.len() >= limit {
            return Err(Busy { retry_after_s: RETRY_AFTER_S });
        }
        tasks.push_back(task);
        drop(waiting);
        self.queue.ready.notify_one();
        Ok(())
    }

    /// Lets the threads end; what waits is dropped.
    pub(super) fn close(&self) {
        self.queue.lock().closed = true;
        self.queue.ready.notify_all();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Task> {
        let mut waiting = self.lock();
        loop {
            if waiting.closed {
                return None;
            }
            let task = waiting.resumptions.pop_front().or_else(|| waiting.full.pop_front());
            if task.is_some() {
                return task;
            }
            waiting = self.ready.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn work(queue: &Queue, contexts: &Contexts) {
    let mut rng = rand::rng();
    while let Some(Task { connection, mailbox, received, job }) = queue.next() {
        let full = matches!(job, Job::Full(_));
        let answer = job.run(&contexts.current(), &mut rng);
        let done = Instant::now();
        let release = if full { next_tick(received, done) } else { done };
        mailbox.post(Mail::Answer { connection, release, answer });
    }
}

/// The first tick counted from `start` that is not before `now`.
fn next_tick(start: Instant, now: Instant) -> Instant {
    let ticks = (now - start).as_nanos().div_ceil(TICK.as_nanos()).max(1);
    start + TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_leave_on_ticks_counted_from_the_hello() {
        let start = Instant::now();
        for (took_us, ticks) in [(0, 1), (1, 1), (9_999, 1), (10_000, 1), (10_001, 2), (35_000, 4)] {
            let now = start + Duration::from_micros(took_us);
            assert_eq!(next_tick(start, now), start + TICK * ticks, "{took_us} microseconds");
        }
    }
}
