//! What the hub asks of the store, and what the store tells the hub: the contract between the two, which know nothing else
//! of each other. Plain values; nothing here does anything.

use crate::model::{Incarnation, MessageId, PostToken, RoomName, Seq, StoredRecord, Timestamp, UserName};

/// What an earlier run left: where the hub begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// Which start of the server on this database this is; on disk already.
    pub incarnation: Incarnation,
    /// Rooms in which something was said.
    pub rooms: Vec<RestoredRoom>,
}

/// One room of [`Restored`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredRoom {
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
