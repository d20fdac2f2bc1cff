//! The bodies of what concerns sealed rooms: users' keys, sender keys, and how far messages have come.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use crate::model::{Epoch, Fingerprint, RoomName, SenderKeyId, Seq, UserName};

/// Body of request 20: the public keys of users. Answered by [`KeyList`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Keys {
    /// Whose; at most 64.
    #[n(0)]
    pub users: Vec<UserName>,
}

/// Body of request 21: keep a sender key for the members of a room. Answered by [`Reply::Done`](super::Reply::Done) when it is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AddSenderKey {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// Its name.
    #[n(1)]
    pub id: SenderKeyId,
    /// The room's epoch.
    #[n(2)]
    pub epoch: Epoch,
    /// What all members get; at most 4 KiB.
    #[n(3)]
    pub head: ByteVec,
    /// What each member gets besides; at most 16 at once, the others with further requests of the same name.
    #[n(4)]
    pub recipients: Vec<Recipient>,
}

/// What one member gets of a sender key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Recipient {
    /// Of the key that it is encrypted with.
    #[n(0)]
    pub member: Fingerprint,
    /// At most 1 KiB.
    #[n(1)]
    pub part: ByteVec,
}

/// Body of request 22: sender keys that were kept. Answered by [`SenderKeyList`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SenderKeys {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// Which; at most 32.
    #[n(1)]
    pub ids: Vec<SenderKeyId>,
}

/// Body of request 24: the roster of a private room ([`crate::e2e`]). Answered by [`RosterPage`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Roster {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// How many statements the client has.
    #[n(1)]
    pub after: u64,
}

/// A statement of a private room's roster, for the server to keep with what it changes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RosterEntry {
    /// Its number: one more than the last one's.
    #[n(0)]
    pub number: u64,
    /// COSE_Sign1; at most 4 KiB.
    #[n(1)]
    pub statement: ByteVec,
}

/// Body of request 23: what the user has of a direct room. Answered by [`Reply::Done`](super::Reply::Done).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Seen {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// How far its messages have come to one of the user's clients.
    #[n(1)]
    pub delivered: Seq,
    /// How far they were shown; nothing if that is nobody's business.
    #[n(2)]
    pub read: Option<Seq>,
}

/// Body of answer 39.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyList {
    /// Of those users who are registered.
    #[n(0)]
    pub keys: Vec<UserKey>,
}

/// A user's public key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct UserKey {
    /// Whose.
    #[n(0)]
    pub user: UserName,
    /// The DER SubjectPublicKeyInfo.
    #[n(1)]
    pub key: ByteVec,
}

/// Body of answer 40.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SenderKeyList {
    /// Those that the server has.
    #[n(0)]
    pub keys: Vec<KeptSenderKey>,
}

/// A sender key, as one member gets it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeptSenderKey {
    /// Its name.
    #[n(0)]
    pub id: SenderKeyId,
    /// The room's epoch.
    #[n(1)]
    pub epoch: Epoch,
    /// Whose key it is.
    #[n(2)]
    pub sender: UserName,
    /// What all members get.
    #[n(3)]
    pub head: ByteVec,
    /// What this member gets besides; nothing if it was not sealed to the key that the member has now.
    #[n(4)]
    pub part: Option<ByteVec>,
}

/// Body of answer 41.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RosterPage {
    /// The next statements, in their order: at most 256 KiB of them, but one at least if there are more.
    #[n(0)]
    pub statements: Vec<ByteVec>,
    /// How many the roster has.
    #[n(1)]
    pub length: u64,
    /// Who is a member, as far as the server goes: who has left is still in the roster.
    #[n(2)]
    pub members: Vec<UserName>,
}

/// Body of event 70: there is something new in a direct room that the session is not in, and also of [`Welcome`](super::Welcome)'s list.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Waiting {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// The number of its last message.
    #[n(1)]
    pub last: Seq,
}

/// Body of event 71: how far a direct room's messages have come with a user.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Receipt {
    /// The room.
    #[n(0)]
    pub room: RoomName,
    /// Whose.
    #[n(1)]
    pub user: UserName,
    /// They have come to one of the user's clients up to here.
    #[n(2)]
    pub delivered: Seq,
    /// They were shown up to here, as far as the user tells.
    #[n(3)]
    pub read: Seq,
}

/// Body of event 72: a user whose direct room the session is in has another key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyChanged {
    /// Who.
    #[n(0)]
    pub user: UserName,
}
