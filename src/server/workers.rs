//! The threads that do what is too expensive for a reactor: the RSA and X-Wing operations of handshakes, and invitations,
//! which are files.
//!
//! The queue is bounded: what doesn't fit is refused at once, with a time to come back, rather than kept waiting until
//! its client has given up. Resumptions, which cost a small part of a full handshake, go first, many to one. When the
//! answer to a full handshake leaves is not decided here: see `ticks`.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::Alarm;
use super::context::Contexts;
use super::mailbox::{Mail, Mailbox};
use crate::hub::{Input, Invitation};
use crate::model::SessionId;
use crate::proto::handshake::server::Job;

/// Full handshakes that wait for each worker, at most: a few seconds of work, well below a client's patience.
const QUEUE_PER_WORKER: usize = 256;
/// Resumptions that wait for each worker, at most: ten thousand clients may come back at once.
const RESUMPTIONS_PER_WORKER: usize = 16 * 1024;
/// Resumptions before a full handshake has its turn: about what that costs.
const STREAK: u32 = 32;
/// When a refused client may come back: a full queue is worked off by then, at about 6 ms a full handshake.
const RETRY_AFTER_S: u16 = 2;

/// Something to do, and the reactor that is told what came of it.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) work: Work,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Work {
    /// A step of this connection's handshake.
    Handshake(SessionId, Job),
    /// What an admin asks for.
    Invite(Invitation),
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
    // Resumptions since the last full handshake.
    streak: u32,
    closed: bool,
}

impl Waiting {
    /// The next task: resumptions first, but not so that nobody else gets in.
    fn pop(&mut self) -> Option<Task> {
        if self.streak < STREAK
            && let Some(task) = self.resumptions.pop_front()
        {
            self.streak += 1;
            return Some(task);
        }
        self.streak = 0;
        self.full.pop_front().or_else(|| self.resumptions.pop_front())
    }
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
        let (tasks, limit) = match task.work {
            Work::Handshake(_, Job::Resume(_)) => (&mut waiting.resumptions, RESUMPTIONS_PER_WORKER * self.count),
            Work::Handshake(_, Job::Full(_)) | Work::Invite(_) => (&mut waiting.full, QUEUE_PER_WORKER * self.count),
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
            if let Some(task) = waiting.pop() {
                return Some(task);
            }
            waiting = self.ready.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn work(queue: &Queue, contexts: &Contexts) {
    let mut rng = rand::rng();
    while let Some(Task { mailbox, work }) = queue.next() {
        match work {
            Work::Handshake(connection, job) => {
                let at_tick = matches!(job, Job::Full(_));
                let answer = job.run(&contexts.current(), &mut rng);
                let mail = Mail::Answer { connection, at_tick, answer };
                if at_tick {
                    mailbox.leave_quietly(mail);
                } else {
                    mailbox.post(mail);
                }
            }
            Work::Invite(invitation) => {
                let token = contexts.registered.enrolment.invite(&invitation.user, invitation.until);
                mailbox.post(Mail::Input(Input::Invited(invitation, token.map_err(|error| error.to_string()))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resumptions_go_first_but_never_alone() {
        let waker = || mio::Waker::new(mio::Poll::new().unwrap().registry(), mio::Token(0)).unwrap();
        let mailbox = Arc::new(Mailbox::new(waker()));
        let task = |job| Task { mailbox: Arc::clone(&mailbox), work: Work::Handshake(SessionId(0), job) };
        let mut waiting = Waiting::default();
        waiting.full.extend((0..2).map(|_| task(Job::Full(Vec::new()))));
        waiting.resumptions.extend((0..100).map(|_| task(Job::Resume(Vec::new()))));
        let order: Vec<bool> = std::iter::from_fn(|| waiting.pop())
            .map(|task| matches!(task.work, Work::Handshake(_, Job::Full(_))))
            .collect();
        let full: Vec<usize> = (0..order.len()).filter(|&at| order[at]).collect();
        assert_eq!((order.len(), full), (102, vec![STREAK as usize, 2 * STREAK as usize + 1]));
    }
}
