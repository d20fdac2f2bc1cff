//! What a session is for, and between whom.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Known, Session};
use crate::crypto::invite::InviteToken;
use crate::crypto::rsa::PublicKey;
use crate::model::{RoomName, UserName};
use crate::proto::message::Position;

/// Who talks to whom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's key: whoever has another one is not talked to.
    pub server: PublicKey,
    /// Who the user is.
    pub user: UserName,
    /// By what the user was invited, if he may not be registered yet.
    pub invite: Option<InviteToken>,
    /// The user's own key.
    pub own: PublicKey,
    /// What is known of other users' keys.
    pub known: Known,
    /// Whether others are told what was read of theirs.
    pub receipts: bool,
    /// The room to be in.
    pub room: RoomName,
    /// What the session is for.
    pub purpose: Purpose,
    /// How long to go on without a connection, without an answer, or with a server whose disk takes nothing; for ever if
    /// not set.
    pub give_up: Option<Duration>,
}

/// What a session is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// To chat: it is in all rooms of the user's, and in the one that it is to be in. What he has read is remembered.
    Chat,
    /// To follow what is said: in these rooms, as far as the user is a member of them; if there are none, in all of his. What
    /// he has read is neither looked at nor changed.
    Follow {
        /// The rooms.
        rooms: BTreeSet<RoomName>,
        /// What is known already of rooms, up to here.
        from: BTreeMap<RoomName, Position>,
    },
    /// To speak: it is in the one room alone, if the user is a member of it, and tells nothing of what is said there.
    Speak,
}

impl Session {
    /// Whether it tells what is said.
    pub(super) fn listens(&self) -> bool {
        self.settings.purpose != Purpose::Speak
    }

    /// Whether it is beside what the user reads.
    pub(super) fn follows(&self) -> bool {
        matches!(self.settings.purpose, Purpose::Follow { .. })
    }

    /// Whether it is in this room if the user is.
    pub(super) fn is_about(&self, room: RoomName) -> bool {
        match &self.settings.purpose {
            Purpose::Chat => true,
            Purpose::Follow { rooms, .. } => rooms.is_empty() || rooms.contains(&room),
            Purpose::Speak => false,
        }
    }
}
