//! What the tests of the real server share: its directory, its process, clients of it, and peers that mean harm.

pub(crate) mod client;
pub(crate) mod crowd;
pub(crate) mod data_dir;
pub(crate) mod impostor;
pub(crate) mod meter;
pub(crate) mod process;
pub(crate) mod server;
pub(crate) mod terminal;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a test waits for what has to happen. Far more than it takes, even on a busy machine: a test that waits in
/// vain fails after it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Held by tests that measure, or that keep the whole machine busy: one at a time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A test that failed while it held it says so itself.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
