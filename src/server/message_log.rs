//! The message log: what happens in the chat, one JSON object a line, for programs and for the operator. Written by a thread of
//! its own, which the chat never waits for: what can't be written is left out, and counted.

mod file;
mod line;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::time::Duration;

pub use self::file::OpenError;
use self::file::{LogFile, Rotation};
use self::line::Line;
use crate::config::MessageLog;
use crate::hub::Record;
use crate::model::Timestamp;

/// Most records that wait to be written, and most bytes of messages among them.
const WAITING: usize = 8192;
const WAITING_BYTES: usize = 16 << 20;
/// How long the end waits for the disk.
const PATIENCE: Duration = Duration::from_secs(4);
/// Lines are written together, up to so many bytes.
const BATCH: usize = 64 << 10;

enum Task {
    Write(Timestamp, Record),
    /// There is something to do apart from writing: see [`Shared`].
    Look,
}

/// What has to get through also when nothing more can wait.
#[derive(Default)]
struct Shared {
    /// Records that could not be written, and were not told yet.
    lost: AtomicU64,
    /// Bytes of the messages that wait.
    bytes: AtomicUsize,
    /// Whether the file is to be opened again.
    reopen: AtomicBool,
    /// Whether to end, once nothing waits any more.
    stop: AtomicBool,
}

/// What a record holds of a message; the others are small.
fn message_bytes(record: &Record) -> usize {
    if let Record::Said(event) = record { event.len() } else { 0 }
}

/// Where records are handed in.
#[derive(Clone)]
pub(super) struct Recorder {
    tasks: SyncSender<Task>,
    shared: Arc<Shared>,
}

impl Recorder {
    /// Hands a record in, and never waits.
    pub(super) fn write(&self, time: Timestamp, record: Record) {
        let bytes = message_bytes(&record);
        let fits = self.shared.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= WAITING_BYTES;
        if !fits || matches!(self.tasks.try_send(Task::Write(time, record)), Err(TrySendError::Full(_))) {
            self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// From here on, writes to what the file's name stands for then.
    pub(super) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        // Where nothing more can wait, the thread is awake, and looks by itself.
        let _ = self.tasks.try_send(Task::Look);
    }
}

/// The log, and its thread.
pub(super) struct Running {
    recorder: Recorder,
    /// Nothing comes; it ends with the thread.
    ended: Receiver<Infallible>,
}

impl Running {
    /// Opens the file, and starts the thread. `alarm` is held by it.
    ///
    /// # Errors
    /// [`OpenError`] if the file can't be opened, or is none.
    pub(super) fn start(
        settings: &MessageLog,
        directory: &Path,
        alarm: impl Send + 'static,
    ) -> Result<Self, OpenError> {
        let rotation = Rotation { bytes: settings.bytes, kept: settings.files };
        let file = LogFile::open(&directory.join(&settings.path), rotation)?;
        let (tasks, received) = sync_channel(WAITING);
        let shared = Arc::new(Shared::default());
        let mut writer = Writer { file, shared: Arc::clone(&shared), failing: false };
        let (ends, ended) = channel();
        let thread = std::thread::Builder::new().name("message-log".to_owned()).spawn(move || {
            let _held = (alarm, ends);
            writer.run(&received);
        });
        thread.map_err(|source| OpenError::Thread { source })?;
        Ok(Self { recorder: Recorder { tasks, shared }, ended })
    }

    pub(super) fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// Writes what was handed in, and ends; without waiting for a disk that does not answer.
    pub(super) fn stop(self) {
        self.recorder.shared.stop.store(true, Ordering::Release);
        let _ = self.recorder.tasks.try_send(Task::Look);
        if self.ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the message log's disk does not answer: what happened last is not in it");
        }
    }
}

struct Writer {
    file: LogFile,
    shared: Arc<Shared>,
    failing: bool,
}

impl Writer {
    fn run(&mut self, tasks: &Receiver<Task>) {
        let mut lines = Vec::new();
        loop {
            let stops = self.shared.stop.load(Ordering::Acquire);
            let Some(first) = (if stops { tasks.try_recv().ok() } else { tasks.recv().ok() }) else { break };
            let (mut next, mut count) = (Some(first), 0);
            while let Some(task) = next.take() {
                match task {
                    Task::Write(time, record) => {
                        self.shared.bytes.fetch_sub(message_bytes(&record), Ordering::Relaxed);
                        Line::of(time, &record).append(&mut lines);
                        count += 1;
                    }
                    Task::Look => {}
                }
                if lines.len() < BATCH {
                    next = tasks.try_recv().ok();
                }
            }
            if self.shared.reopen.swap(false, Ordering::Acquire) {
                let reopened = self.file.reopen();
                self.tell(reopened);
            }
            self.write(&mut lines, count);
        }
        let synced = self.file.sync();
        self.tell(synced);
    }

    /// Writes these lines, or counts them as lost.
    fn write(&mut self, lines: &mut Vec<u8>, count: u64) {
        if lines.is_empty() {
            return;
        }
        let lost = self.shared.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let mut all = Vec::new();
            Line::lost(Timestamp::now(), lost).append(&mut all);
            all.append(lines);
            *lines = all;
        }
        let written = self.file.write(lines);
        if written.is_err() {
            self.shared.lost.fetch_add(lost + count, Ordering::Relaxed);
        }
        self.tell(written);
        lines.clear();
    }

    /// The operator is told once that writing fails, and once that it works again.
    fn tell(&mut self, result: std::io::Result<()>) {
        match result {
            Err(error) if !self.failing => {
                let file = self.file.path().display().to_string();
                tracing::error!(%error, file, "the message log can't be written: what happens is left out there");
                self.failing = true;
            }
            Ok(()) if self.failing => {
                tracing::info!("the message log can be written again");
                self.failing = false;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
