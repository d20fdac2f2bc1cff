//! What was said, on disk: SQLite, written by one thread.
//!
//! [`Store::open`] checks the database and says what an earlier run left in it; [`Store::start`] gives it to its thread.
//! From then on [`StoreCommand`]s go in and [`StoreEvent`]s come out, in the same order. All that waits is committed
//! together, in one transaction with one sync (group commit). A message is reported stored when that is done, and not
//! before.
//!
//! When the disk is full, read-only or broken, nothing is lost and nothing is reported stored: the thread says
//! [`StoreEvent::Failing`], keeps what it was asked, and tries again every second.
//!
//! The store knows nothing of the hub, of sessions or of the wire, and never looks inside a message's body. It never
//! changes a file that it refuses to open.

use std::path::PathBuf;

use crate::model::{Incarnation, MessageId, PostToken, RoomName, Seq, StoredRecord, Timestamp, UserName};

mod open;
mod thread;
mod writer;

pub use open::OpenError;
pub use thread::{Running, StopError, StoreSender};
pub use writer::Store;

/// Where to store, and how much.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The database's file; made if it isn't there, in a directory that is.
    pub path: PathBuf,
    /// How long messages are kept.
    pub keep: Keep,
    /// How many messages of each room are loaded at the start.
    pub window: u32,
}

/// How long messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// So many of each room, the latest.
    Count(u64),
    /// Those of the last days.
    Days(u32),
}

/// What an earlier run left: where the hub begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Which start of the server on this database this is; on disk already.
    pub incarnation: Incarnation,
    /// Rooms in which something was said.
    pub rooms: Vec<LoadedRoom>,
}

/// One room of [`Loaded`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedRoom {
    /// The room.
    pub room: RoomName,
    /// The number of its last message, whether that is still kept or not.
    pub last: Seq,
    /// Its last messages that are kept, oldest first.
    pub window: Vec<StoredRecord>,
    /// For each incarnation in which something was said here, the first number it gave; oldest first.
    pub starts: Vec<(Incarnation, Seq)>,
}

/// What the store is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreCommand {
    /// Write a message, the next of its room; answered by [`StoreEvent::Stored`].
    Append {
        /// Ties the answer to this.
        token: PostToken,
        /// The message.
        record: StoredRecord,
    },
    /// Look whether a message was written in the last 7 days, be it kept or not; answered by [`StoreEvent::Found`].
    Lookup {
        /// Ties the answer to this.
        token: PostToken,
        /// Who wrote the message.
        user: UserName,
        /// The writer's identifier for it.
        message: MessageId,
    },
}

/// What the store has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreEvent {
    /// These messages are on disk.
    Stored {
        /// Their tokens, in the order in which they were appended.
        tokens: Vec<PostToken>,
    },
    /// The answer to a lookup.
    Found {
        /// Its token.
        token: PostToken,
        /// Where the message is or was, if it was written.
        place: Option<(Seq, Timestamp)>,
    },
    /// Writing fails, for this reason since now. What was asked is kept, and tried again every second.
    Failing {
        /// Why, for people.
        text: String,
    },
    /// Writing works again; the answers to what was kept follow.
    Recovered,
}

#[cfg(test)]
mod tests;
