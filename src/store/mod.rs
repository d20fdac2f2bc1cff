//! What was said, on disk: SQLite, written by one thread.
//!
//! [`Store::open`] checks the database and says what an earlier run left in it; [`Store::start`] gives it to its thread.
//! From then on commands go in and events come out, in the same order ([`crate::journal`]). All that waits is committed
//! together, in one transaction with one sync (group commit). A message is reported stored when that is done, and not
//! before.
//!
//! When the disk is full, read-only or broken, nothing is lost and nothing is reported stored: the thread says that it
//! fails, keeps what it was asked, and tries again every second.
//!
//! The store knows nothing of the hub, of sessions or of the wire, and never looks inside a message's body. It never
//! changes a file that it refuses to open.

use std::path::PathBuf;

mod changes;
mod open;
mod read;
mod sender_keys;
mod thread;
mod upgrade;
mod writer;

pub use open::OpenError;
pub use thread::{Running, StopError, StoreSender};
pub use writer::Store;

/// Where to store, and how much.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The database's file; made if it isn't there, in a directory that is.
    pub path: PathBuf,
    /// How long messages of shared rooms are kept, and those of direct ones.
    pub keep: Keep,
    /// Days.
    pub direct_days: u32,
    /// How many messages of each shared room are loaded at the start, the latest; direct ones are read when they are wanted.
    pub window: u32,
    /// At most so many bytes of what they say, in each room.
    pub window_bytes: usize,
}

/// How long messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// So many of each room, the latest.
    Count(u64),
    /// Those of the last days.
    Days(u32),
}

#[cfg(test)]
mod tests;
