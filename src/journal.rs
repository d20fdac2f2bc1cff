//! What the hub asks of the store, and what the store tells the hub: the contract between the two, which know nothing else
//! of each other. Plain values; nothing here does anything.

use crate::model::{
    Epoch, Fingerprint, Incarnation, MessageId, RoomName, SenderKeyId, Seq, StoreToken, StoredRecord, Timestamp,
    UserName,
};

/// What an earlier run left: where the hub begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// Which start of the server on this database this is; on disk already.
    pub incarnation: Incarnation,
    /// Rooms that were made, or in which something was said.
    pub rooms: Vec<RestoredRoom>,
    /// Who may not come to the server.
    pub banned: Vec<Sanction>,
    /// What users say of themselves, encoded as the hub does it.
    pub statuses: Vec<(UserName, Vec<u8>)>,
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
    /// What it is about.
    pub topic: String,
    /// Who decides over it.
    pub owner: Option<UserName>,
    /// Who is in it, whether connected or not.
    pub members: Vec<UserName>,
    /// Who may not come back to it.
    pub banned: Vec<Sanction>,
    /// Who may not speak in it.
    pub muted: Vec<Sanction>,
    /// Of a direct room, how far its messages have come with whom, and up to where they were shown.
    pub progress: Vec<(UserName, Seq, Seq)>,
    /// Of a private room, how many statements its roster has; 0 of others.
    pub roster: u64,
}

impl RestoredRoom {
    /// A room in which nothing was said, that nobody is in.
    #[must_use]
    pub fn new(room: RoomName) -> Self {
        let (window, starts, members, topic) = (Vec::new(), Vec::new(), Vec::new(), String::new());
        let (banned, muted, progress) = (Vec::new(), Vec::new(), Vec::new());
        Self { room, last: Seq(0), window, starts, topic, owner: None, members, banned, muted, progress, roster: 0 }
    }
}

/// Something that a user may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sanction {
    /// The user.
    pub user: UserName,
    /// Until then; without it, until it is lifted.
    pub until: Option<Timestamp>,
}

/// A change of what a room is, of who is in it, or of who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// What a room is; it is made if there is none of the name.
    Room {
        /// The room.
        room: RoomName,
        /// What it is about.
        topic: String,
        /// Who decides over it.
        owner: Option<UserName>,
    },
    /// Somebody is in a room.
    Member {
        /// The room.
        room: RoomName,
        /// Who.
        user: UserName,
    },
    /// Somebody is in a room no longer.
    NoMember {
        /// The room.
        room: RoomName,
        /// Who.
        user: UserName,
    },
    /// Somebody may not come back.
    Ban {
        /// To this room; without it, to the server.
        room: Option<RoomName>,
        /// Who.
        sanction: Sanction,
    },
    /// Somebody may come back.
    Unban {
        /// To this room; without it, to the server.
        room: Option<RoomName>,
        /// Who.
        user: UserName,
    },
    /// Somebody may not speak.
    Mute {
        /// The room.
        room: RoomName,
        /// Who.
        sanction: Sanction,
    },
    /// Somebody may speak again.
    Unmute {
        /// The room.
        room: RoomName,
        /// Who.
        user: UserName,
    },
    /// How far a direct room's messages have come with somebody.
    Progress {
        /// The room.
        room: RoomName,
        /// Who.
        user: UserName,
        /// They came to him up to here.
        delivered: Seq,
        /// They were shown to him up to here.
        read: Seq,
    },
    /// A sender key for the members of a room; one that is kept already is left as it is.
    SenderKey {
        /// The room.
        room: RoomName,
        /// Its name.
        id: SenderKeyId,
        /// The room's epoch.
        epoch: Epoch,
        /// Whose key it is.
        sender: UserName,
        /// What all members get.
        head: Vec<u8>,
        /// What each member gets besides, by his key.
        parts: Vec<(Fingerprint, Vec<u8>)>,
        /// When it came.
        time: Timestamp,
    },
    /// The next statement of a private room's roster.
    Roster {
        /// The room.
        room: RoomName,
        /// Its number.
        number: u64,
        /// What its owner has signed; the store doesn't look inside.
        statement: Vec<u8>,
    },
    /// What somebody says of himself.
    Status {
        /// Who.
        user: UserName,
        /// What, encoded as on the wire; the store doesn't look inside. Nothing if he says nothing any more.
        status: Option<Vec<u8>>,
    },
}

/// What the store is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreCommand {
    /// Write a message, the next of its room; answered by [`StoreEvent::Stored`].
    Append {
        /// Ties the answer to this.
        token: StoreToken,
        /// The message.
        record: StoredRecord,
        /// The sender key that opens it, if it is sealed.
        key: Option<SenderKeyId>,
    },
    /// Look whether a message was written in the last 7 days, be it kept or not; answered by [`StoreEvent::Found`].
    Lookup {
        /// Ties the answer to this.
        token: StoreToken,
        /// Who wrote the message.
        user: UserName,
        /// The writer's identifier for it.
        message: MessageId,
    },
    /// Read messages that are kept; answered by [`StoreEvent::Page`]. Given after messages of the room were, it finds them.
    Read {
        /// Ties the answer to this.
        token: StoreToken,
        /// Which.
        span: Span,
    },
    /// Read sender keys, as a member with this key gets them; answered by [`StoreEvent::Keys`].
    ReadKeys {
        /// Ties the answer to this.
        token: StoreToken,
        /// The room.
        room: RoomName,
        /// Which.
        ids: Vec<SenderKeyId>,
        /// The member's key.
        member: Fingerprint,
    },
    /// Read the roster of a private room; answered by [`StoreEvent::Roster`].
    ReadRoster {
        /// Ties the answer to this.
        token: StoreToken,
        /// The room.
        room: RoomName,
        /// Only what follows this statement.
        after: u64,
        /// At most so many bytes, but one statement at least.
        bytes: usize,
    },
    /// Write changes, all or none of them; answered by [`StoreEvent::Stored`].
    Change {
        /// Ties the answer to this.
        token: StoreToken,
        /// In this order.
        changes: Vec<Change>,
    },
}

/// Messages of a room that are next to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The room.
    pub room: RoomName,
    /// Those after this one ...
    pub after: Seq,
    /// ... and before this one.
    pub before: Seq,
    /// If there are more than fit, the last of them, not the first.
    pub latest: bool,
    /// At most so many.
    pub limit: u32,
    /// At most so many bytes of what they say, but one message at least.
    pub bytes: usize,
}

/// A sender key, as one member gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptKey {
    /// Its name.
    pub id: SenderKeyId,
    /// The room's epoch.
    pub epoch: Epoch,
    /// Whose key it is.
    pub sender: UserName,
    /// What all members get.
    pub head: Vec<u8>,
    /// What this member gets besides, if there is something for his key.
    pub part: Option<Vec<u8>>,
}

/// What the store has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreEvent {
    /// These messages and changes are on disk.
    Stored {
        /// Their tokens, in the order of asking.
        tokens: Vec<StoreToken>,
    },
    /// The answer to a lookup.
    Found {
        /// Its token.
        token: StoreToken,
        /// Where the message is or was, if it was written.
        place: Option<(Seq, Timestamp)>,
    },
    /// The answer to a reading.
    Page {
        /// Its token.
        token: StoreToken,
        /// The messages that are kept, oldest first.
        records: Vec<StoredRecord>,
        /// Whether there are others in the span.
        more: bool,
    },
    /// The answer to a reading of sender keys.
    Keys {
        /// Its token.
        token: StoreToken,
        /// Those that are kept.
        keys: Vec<KeptKey>,
    },
    /// The answer to a reading of a roster.
    Roster {
        /// Its token.
        token: StoreToken,
        /// The next statements, in their order.
        statements: Vec<Vec<u8>>,
    },
    /// Writing fails, for this reason since now. What was asked is kept, and tried again every second.
    Failing {
        /// Why, for people.
        text: String,
    },
    /// Writing works again; the answers to what was kept follow.
    Recovered,
}
