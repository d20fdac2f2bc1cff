//! The thread that owns the database.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;

use super::Store;
use crate::journal::{StoreCommand, StoreEvent};
use crate::model::Timestamp;

/// Most commands in one transaction, so that the first one's answer doesn't wait for a long queue.
const BATCH: usize = 1024;
/// How long the thread waits before it tries a failed batch again.
const RETRY: Duration = Duration::from_secs(1);
/// How often it removes what has become too old, when nothing is said.
const IDLE: Duration = Duration::from_secs(60 * 60);

/// What is sent to the thread.
enum Message {
    Commands(Vec<StoreCommand>),
    Stop,
}

/// Gives commands to the store's thread, from any thread, and never waits.
///
/// The queue has no bound of its own. What is in it is what the hub waits for, and the hub bounds that: so many
/// unacknowledged posts for each registered user, however often the user reconnects, and none that are new while the
/// store fails. A second bound here could only block the hub or lose what it has numbered already.
#[derive(Debug, Clone)]
pub struct StoreSender(Sender<Message>);

impl StoreSender {
    /// Queues commands. After [`Running::stop`] they are dropped, and never answered.
    pub fn send(&self, commands: Vec<StoreCommand>) {
        if !commands.is_empty() {
            let _ = self.0.send(Message::Commands(commands));
        }
    }
}

/// A store whose thread runs.
#[derive(Debug)]
pub struct Running {
    sender: Sender<Message>,
    thread: JoinHandle<Result<(), StopError>>,
}

/// What was queued could not be committed before the end. It was not reported stored.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopError {
    /// The disk didn't take it.
    #[error("{messages} messages could not be stored: {text}")]
    Unwritten {
        /// How many.
        messages: usize,
        /// Why.
        text: String,
    },
    /// The thread ended before: a bug.
    #[error("the store's thread has failed")]
    Died,
}

impl Store {
    /// Starts the thread. It calls `report` for every event; `report` should be quick.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(self, report: impl FnMut(StoreEvent) + Send + 'static) -> std::io::Result<Running> {
        let (sender, queue) = channel();
        let turns = Turns::new(self, report);
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || turns.run(&queue))?;
        Ok(Running { sender, thread })
    }
}

impl Running {
    /// For giving it commands.
    #[must_use]
    pub fn sender(&self) -> StoreSender {
        StoreSender(self.sender.clone())
    }

    /// Commits everything that was sent before, closes the database, and ends the thread. A store that fails tries once
    /// more.
    ///
    /// # Errors
    /// [`StopError`] if something could not be committed.
    pub fn stop(self) -> Result<(), StopError> {
        let _ = self.sender.send(Message::Stop);
        self.thread.join().unwrap_or(Err(StopError::Died))
    }
}

/// What the thread does, one turn after the other.
pub(super) struct Turns<F> {
    pub(super) store: Store,
    report: F,
    /// Not done yet, in the order of asking.
    pub(super) batch: Vec<StoreCommand>,
    /// Why the last attempt failed.
    failing: Option<String>,
}

impl<F: FnMut(StoreEvent)> Turns<F> {
    pub(super) fn new(store: Store, report: F) -> Self {
        Self { store, report, batch: Vec::new(), failing: None }
    }

    fn run(mut self, queue: &Receiver<Message>) -> Result<(), StopError> {
        loop {
            let go_on = self.gather(queue);
            self.attempt();
            if !go_on {
                // All that was sent before is in the batch: what a single transaction didn't take follows.
                while self.failing.is_none() && !self.batch.is_empty() {
                    self.attempt();
                }
                return self.leftover();
            }
        }
    }

    /// Waits until there is something to do, and takes it. Returns whether there may be more: not after a stop.
    fn gather(&mut self, queue: &Receiver<Message>) -> bool {
        let wait = if self.failing.is_some() { RETRY } else { IDLE };
        let until = Instant::now() + wait;
        loop {
            // While it fails, what comes is only queued; else it is taken as long as it is there.
            let patience = if self.failing.is_some() || self.batch.is_empty() {
                until.saturating_duration_since(Instant::now())
            } else {
                Duration::ZERO
            };
            match queue.recv_timeout(patience) {
                Ok(Message::Commands(commands)) => self.batch.extend(commands),
                Err(RecvTimeoutError::Timeout) => {
                    if self.batch.is_empty() {
                        self.prune();
                    }
                    return true;
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
            }
            if self.failing.is_none() && self.batch.len() >= BATCH {
                return true;
            }
        }
    }

    /// Tries to carry out what is waiting.
    pub(super) fn attempt(&mut self) {
        let size = self.batch.len().min(BATCH);
        let Some(batch) = self.batch.get(..size).filter(|batch| !batch.is_empty()) else { return };
        match self.store.carry_out(batch) {
            Ok(events) => {
                self.batch.drain(..size);
                if self.failing.take().is_some() {
                    (self.report)(StoreEvent::Recovered);
                }
                events.into_iter().for_each(&mut self.report);
            }
            Err(error) => {
                let text = explain(&error);
                if self.failing.as_ref() != Some(&text) {
                    self.failing = Some(text.clone());
                    (self.report)(StoreEvent::Failing { text });
                }
                // Who wants to read does not wait for room on the disk.
                let events = self.store.carry_out_readings(&mut self.batch);
                events.into_iter().for_each(&mut self.report);
            }
        }
    }

    fn prune(&mut self) {
        // If it fails, the next post will, too, and that is reported.
        let _ = self.store.prune_all(Timestamp::now());
    }

    fn leftover(self) -> Result<(), StopError> {
        let messages = self.batch.iter().filter(|command| matches!(command, StoreCommand::Append { .. })).count();
        match self.failing {
            Some(text) if messages > 0 => Err(StopError::Unwritten { messages, text }),
            _ => Ok(()),
        }
    }
}

/// What the operator should read.
fn explain(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "there is no room left on the disk".to_owned(),
        Some(ErrorCode::ReadOnly) => "the database or its disk is read-only".to_owned(),
        Some(ErrorCode::SystemIoFailure) => format!("the disk fails: {error}"),
        _ => error.to_string(),
    }
}
