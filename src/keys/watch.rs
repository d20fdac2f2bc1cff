//! Keeps a [`Registry`] current while its directory changes.
//!
//! The system tells (through `notify`) when something stirs in the directory; once it has been quiet for a moment, all
//! of it is read again, and if anything is really different the callback gets to know. What is told only starts a look,
//! it is never believed: events can be lost, doubled or late. For the same reason the directory itself is looked at
//! every two seconds, which notices when it was replaced, or comes back after it was removed; and where the system has
//! no more watches to give, that is how all changes are noticed.
//!
//! A file that is being written is no event: an unfinished one changes nothing (see [`registry::load`]) and is only
//! reported if it still is unfinished two seconds later.
//!
//! This module decides nothing about users, and its callback runs on its own thread.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use super::registry::{self, Change, Loaded, Reason, Refusal, Registry};

/// What is different since the last update, or since the start.
#[derive(Debug, Clone)]
pub struct Update {
    /// Who is registered now.
    pub registry: Arc<Registry>,
    /// The differences to the registry before, in the order of names.
    pub changes: Vec<Change>,
    /// The refusals that were not there before.
    pub refusals: Vec<Refusal>,
}

/// Asks for a look at a directory that is being watched.
#[derive(Debug, Clone)]
pub struct Looker(Bell);

impl Looker {
    /// Has the directory read now, and waits until what is new in it was told. Says whether that was done: not if it takes
    /// longer than `patience`, or nobody watches any more.
    #[must_use]
    pub fn look(&self, patience: Duration) -> bool {
        let Self(bell) = self;
        let (done, looked) = sync_channel(1);
        bell.asking().push(done);
        bell.ring();
        // The last look may have been before this was asked for.
        !bell.stopped() && looked.recv_timeout(patience).is_ok()
    }
}

/// A directory being watched, until this is dropped.
#[derive(Debug)]
pub struct Watch {
    bell: Bell,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts to watch `directory`, which `loaded` came from, on a thread of its own. `on_update` is called there, for
    /// what has changed since and for what will.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        directory: &Path,
        loaded: &Loaded,
        on_update: impl FnMut(Update) + Send + 'static,
    ) -> io::Result<Self> {
        Self::start_timed(directory, loaded, TIMING, on_update)
    }

    /// To have it looked at without delay.
    #[must_use]
    pub fn looker(&self) -> Looker {
        Looker(self.bell.clone())
    }

    fn start_timed(
        directory: &Path,
        loaded: &Loaded,
        timing: Timing,
        on_update: impl FnMut(Update) + Send + 'static,
    ) -> io::Result<Self> {
        let (ring, rung) = sync_channel(1);
        let bell = Bell { ring, stop: Arc::default(), asking: Arc::default() };
        let mut watcher = Watcher {
            directory: directory.to_owned(),
            timing,
            bell: bell.clone(),
            rung,
            registry: Arc::new(loaded.registry.clone()),
            reported: loaded.refusals.clone(),
            unfinished: HashMap::new(),
            place: None,
            complete: false,
            system: None,
            on_update,
        };
        let thread = thread::Builder::new().name("keys".to_owned()).spawn(move || watcher.run())?;
        Ok(Self { bell, thread: Some(thread) })
    }
}

impl Drop for Watch {
    /// Waits for the thread, and so for a callback that is running.
    fn drop(&mut self) {
        self.bell.stop.store(true, Ordering::Relaxed);
        self.bell.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Wakes the thread. Rings once however often it is pulled: what there is to see, the thread looks up itself.
#[derive(Debug, Clone)]
struct Bell {
    ring: SyncSender<()>,
    stop: Arc<AtomicBool>,
    /// Those who wait for the next look.
    asking: Arc<Mutex<Vec<SyncSender<()>>>>,
}

impl Bell {
    fn ring(&self) {
        let _ = self.ring.try_send(());
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn asking(&self) -> MutexGuard<'_, Vec<SyncSender<()>>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone, Copy)]
struct Timing {
    /// How long nothing must stir before the directory is read.
    quiet: Duration,
    /// It is read after this long even if it never is quiet.
    patience: Duration,
    /// How long a file may be unfinished before that is reported.
    settle: Duration,
    /// How often the directory itself is looked at.
    look: Duration,
}

const TIMING: Timing = Timing {
    quiet: Duration::from_millis(200),
    patience: Duration::from_secs(1),
    settle: Duration::from_secs(2),
    look: Duration::from_secs(2),
};

/// Which directory is at the path, and when an entry in it last came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

impl Place {
    fn of(directory: &Path) -> Option<Self> {
        let metadata = fs::metadata(directory).ok()?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Some(Self { device: metadata.dev(), inode: metadata.ino(), modified })
    }

    fn is_same_directory(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

struct Watcher<F> {
    directory: PathBuf,
    timing: Timing,
    bell: Bell,
    rung: Receiver<()>,
    registry: Arc<Registry>,
    reported: Vec<Refusal>,
    /// Files that were unfinished at the last look, and since when.
    unfinished: HashMap<PathBuf, Instant>,
    place: Option<Place>,
    /// Whether the last look saw everything: what the system would not let it read is looked at again.
    complete: bool,
    /// What the system tells through, while it does.
    system: Option<RecommendedWatcher>,
    on_update: F,
}

impl<F: FnMut(Update)> Watcher<F> {
    fn run(&mut self) {
        // What happened between loading and this moment was told to nobody.
        self.look();
        while !self.bell.stopped() {
            match self.rung.recv_timeout(self.until_next_look()) {
                Ok(()) => self.wait_until_quiet(),
                Err(RecvTimeoutError::Timeout) if self.nothing_to_see() => continue,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if !self.bell.stopped() {
                self.look();
            }
        }
        // Nobody is answered any more.
        self.bell.asking().clear();
    }

    fn until_next_look(&self) -> Duration {
        let settled = self.unfinished.values().min().map(|since| *since + self.timing.settle);
        let left = settled.map(|at| at.saturating_duration_since(Instant::now()));
        left.map_or(self.timing.look, |left| left.min(self.timing.look))
    }

    fn nothing_to_see(&self) -> bool {
        self.system.is_some() && self.complete && self.place == Place::of(&self.directory) && self.unfinished.is_empty()
    }

    fn wait_until_quiet(&self) {
        let latest = Instant::now() + self.timing.patience;
        loop {
            let left = latest.saturating_duration_since(Instant::now());
            let urgent = !self.bell.asking().is_empty();
            if urgent
                || left.is_zero()
                || self.bell.stopped()
                || self.rung.recv_timeout(left.min(self.timing.quiet)).is_err()
            {
                return;
            }
        }
    }

    fn look(&mut self) {
        let asking = std::mem::take(&mut *self.bell.asking());
        self.look_now();
        for done in asking {
            // Who asked may wait no longer.
            let _ = done.try_send(());
        }
    }

    fn look_now(&mut self) {
        let place = Place::of(&self.directory);
        let same = place.zip(self.place).is_some_and(|(now, before)| now.is_same_directory(before));
        self.place = place;
        if !same || self.system.is_none() {
            // Before reading: what happens while it is read must not be missed.
            self.system = self.listen().ok();
        }
        let Loaded { registry, refusals } = registry::load(&self.directory, &self.registry);
        self.complete = !refusals.iter().any(|refusal| matches!(refusal.reason, Reason::Unreadable(_)));
        let refusals = self.settled(refusals);
        let new: Vec<Refusal> = refusals.iter().filter(|refusal| !self.reported.contains(refusal)).cloned().collect();
        self.reported = refusals;
        let changes = self.registry.changes(&registry);
        if !changes.is_empty() {
            self.registry = Arc::new(registry);
        }
        if !changes.is_empty() || !new.is_empty() {
            (self.on_update)(Update { registry: Arc::clone(&self.registry), changes, refusals: new });
        }
    }

    fn listen(&self) -> notify::Result<RecommendedWatcher> {
        let bell = self.bell.clone();
        let mut system = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if stirs(&event) {
                bell.ring();
            }
        })?;
        system.watch(&self.directory, RecursiveMode::NonRecursive)?;
        Ok(system)
    }

    /// Takes out the refusals of files that may be about to be finished.
    fn settled(&mut self, refusals: Vec<Refusal>) -> Vec<Refusal> {
        let now = Instant::now();
        let before = std::mem::take(&mut self.unfinished);
        let mut settled = Vec::new();
        for refusal in refusals {
            let since = before.get(&refusal.path).copied().unwrap_or(now);
            let known = self.reported.contains(&refusal);
            if !refusal.reason.is_unfinished() || known || now.duration_since(since) >= self.timing.settle {
                settled.push(refusal);
            } else {
                self.unfinished.insert(refusal.path, since);
            }
        }
        settled
    }
}

/// Whether an event is a reason to look. That files are opened and read is none: the look itself does that.
fn stirs(event: &notify::Result<notify::Event>) -> bool {
    match event {
        Ok(event) => match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
            EventKind::Access(_) => false,
            _ => true,
        },
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests;
