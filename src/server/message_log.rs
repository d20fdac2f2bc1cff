//! The message log: what happens in the chat, one JSON object a line, for programs and for the operator. Written by a thread of
//! its own, which the chat never waits for: what can't be written is left out, and counted.

mod file;
mod line;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

pub use self::file::OpenError;
use self::file::{LogFile, Rotation};
use self::line::Line;
use crate::config::MessageLog;
use crate::hub::Record;
use crate::model::Timestamp;

/// Most records that wait to be written.
const WAITING: usize = 8192;
/// Lines are written together, up to so many bytes.
const BATCH: usize = 64 << 10;

enum Task {
    Write(Timestamp, Record),
    /// There is something to do apart from writing: see [`Shared`].
    Look,
    Stop,
}

/// What has to get through also when nothing more can wait.
#[derive(Default)]
struct Shared {
    /// Records that could not be written, and were not told yet.
    lost: AtomicU64,
    /// Whether the file is to be opened again.
    reopen: AtomicBool,
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
        if let Err(TrySendError::Full(_)) = self.tasks.try_send(Task::Write(time, record)) {
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
    thread: JoinHandle<()>,
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
        let thread = std::thread::Builder::new().name("message-log".to_owned()).spawn(move || {
            let _alarm = alarm;
            writer.run(&received);
        });
        let thread = thread.map_err(|source| OpenError::Thread { source })?;
        Ok(Self { recorder: Recorder { tasks, shared }, thread })
    }

    pub(super) fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// Writes what was handed in, and ends.
    pub(super) fn stop(self) {
        // Waits for room: the thread goes on as long as there is something to write.
        let _ = self.recorder.tasks.send(Task::Stop);
        if self.thread.join().is_err() {
            tracing::error!("a thread has panicked");
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
        while let Ok(first) = tasks.recv() {
            let (mut next, mut count) = (Some(first), 0);
            let mut ends = false;
            while let Some(task) = next.take() {
                match task {
                    Task::Write(time, record) => {
                        Line::of(time, &record).append(&mut lines);
                        count += 1;
                    }
                    Task::Look => {}
                    Task::Stop => {
                        ends = true;
                        break;
                    }
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
            if ends {
                break;
            }
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
