//! What goes to the message log: what is said, who comes and goes, what is decided. Plain values; made only if there is such a
//! log.

use std::sync::Arc;

use super::{Hub, Output};
use crate::model::{RoomName, SessionId, UserName};
use crate::proto::message::{Act, Status};

/// Something that happened in the chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Somebody said something: the event as those in the room get it.
    Said(Arc<[u8]>),
    /// A session began.
    Connected {
        /// The session.
        session: SessionId,
        /// Whose it is.
        user: UserName,
        /// The client's software and version, as it says.
        client: Box<str>,
    },
    /// A session ended.
    Disconnected {
        /// The session.
        session: SessionId,
        /// Whose it was.
        user: UserName,
    },
    /// A room was made.
    Made {
        /// The room.
        room: RoomName,
        /// Who owns it.
        by: UserName,
        /// Whether it is private.
        private: bool,
    },
    /// A user became a member of a room that everyone may join.
    Joined {
        /// The room.
        room: RoomName,
        /// Who.
        user: UserName,
    },
    /// A user is a member no longer, by his own will.
    Left {
        /// The room.
        room: RoomName,
        /// Who.
        user: UserName,
    },
    /// Somebody decided something.
    Decided {
        /// Over this room; without it, over the server.
        room: Option<RoomName>,
        /// Who.
        by: UserName,
        /// What.
        act: Act,
    },
    /// A user said whether he wants to be talked to.
    Status {
        /// Who.
        user: UserName,
        /// What he said.
        status: Status,
    },
}

impl Hub {
    pub(super) fn record(&mut self, record: impl FnOnce() -> Record) {
        if self.settings.records {
            self.outputs.push_back(Output::Record(record()));
        }
    }
}
