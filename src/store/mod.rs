//! What was said, on disk: SQLite, written by one thread.
//!
//! [`StoreCommand`]s go in, [`StoreEvent`]s come out in the same order. A message is reported stored when its
//! transaction is committed and synced, and not before; all that waits is committed together. The store knows nothing of
//! the hub, of sessions or of the wire, and never looks inside a message's body.

use crate::model::{Incarnation, MessageId, PostToken, RoomName, Seq, StoredRecord, Timestamp, UserName};

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
    /// Its last messages, oldest first, up to `last`, without gaps.
    pub window: Vec<StoredRecord>,
    /// For each incarnation in which something was said here, the first number it gave; oldest first.
    pub starts: Vec<(Incarnation, Seq)>,
}

/// What the store is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreCommand {
    /// Write a message; answered by [`StoreEvent::Stored`].
    Append {
        /// Ties the answer to this.
        token: PostToken,
        /// The message.
        record: StoredRecord,
    },
    /// Look whether a message was written before, be it kept or not; answered by [`StoreEvent::Found`].
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
    /// Writing fails. What was asked is kept, and tried again every second.
    Failing {
        /// Why, for people.
        text: String,
    },
    /// Writing works again; what was kept is on disk.
    Recovered,
}
