//! Who a room is sealed to, and the contexts that everything sealed is bound to.

use minicbor::{Decode, Decoder, Encode, Encoder};

use super::roster::Head;
use crate::crypto::kdf;
use crate::model::{Epoch, Fingerprint, MessageId, RoomName, SenderKeyId, UserName};

/// How the contexts of what concerns a sender key begin, and of what concerns a roster.
const SENDER_KEY: &str = "rsachat sender key";
const ROSTER: &str = "rsachat roster";

/// A user with the key that he has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Member {
    /// Who.
    #[n(0)]
    pub user: UserName,
    /// Of the user's key.
    #[n(1)]
    pub key: Fingerprint,
}

/// Who a room is sealed to.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Membership {
    /// The two of a direct room, in the order of their names.
    #[n(0)]
    Direct {
        /// The first.
        #[n(0)]
        first: Member,
        /// The second.
        #[n(1)]
        second: Member,
    },
    /// Of a private room, those of its roster up to this statement.
    #[n(1)]
    Roster {
        /// The statement.
        #[n(0)]
        head: Head,
    },
}

impl Membership {
    /// The membership of a direct room; nothing if these are not the two whose room it is.
    #[must_use]
    pub fn direct(room: RoomName, one: Member, other: Member) -> Option<Self> {
        let (first, second) = if one.user < other.user { (one, other) } else { (other, one) };
        (room.pair() == Some((first.user, second.user))).then_some(Self::Direct { first, second })
    }

    /// The epoch of a room with these members: SHA-256 over the CBOR `[room, membership]`.
    #[must_use]
    pub fn epoch(&self, room: RoomName) -> Epoch {
        Epoch(kdf::digest(&encoded(|e| e.array(2)?.encode(room)?.encode(self)?.ok())))
    }

    /// Whether it can be one of this room.
    #[must_use]
    pub fn fits(&self, room: RoomName) -> bool {
        match self {
            Self::Direct { first, second } => room.pair() == Some((first.user, second.user)),
            Self::Roster { .. } => !room.is_direct(),
        }
    }

    /// Whether somebody is in it, with this key, as far as it says that itself.
    #[must_use]
    pub fn may_have(&self, member: Member) -> bool {
        match self {
            Self::Direct { first, second } => [*first, *second].contains(&member),
            Self::Roster { .. } => true,
        }
    }

    /// Whether something can be sealed to this key, as far as it says that itself.
    #[must_use]
    pub fn may_have_key(&self, key: Fingerprint) -> bool {
        match self {
            Self::Direct { first, second } => first.key == key || second.key == key,
            Self::Roster { .. } => true,
        }
    }
}

/// Where a sender key belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The room.
    pub room: RoomName,
    /// The room's epoch.
    pub epoch: Epoch,
    /// Whose key it is.
    pub sender: UserName,
}

impl Context {
    /// What the statement of a sender key is signed with.
    pub(super) fn of_statement(&self) -> Vec<u8> {
        encoded(|e| e.array(4)?.str(SENDER_KEY)?.encode(self)?.ok())
    }

    /// What the statement is encrypted with.
    pub(super) fn of_package(&self, id: SenderKeyId) -> Vec<u8> {
        encoded(|e| e.array(5)?.str(SENDER_KEY)?.encode(self)?.encode(id)?.ok())
    }

    /// What a message is signed and encrypted with.
    pub(super) fn of_message(&self, id: SenderKeyId, index: u64, message: MessageId) -> Vec<u8> {
        encoded(|e| e.array(7)?.str("rsachat message")?.encode(self)?.encode(id)?.u64(index)?.encode(message)?.ok())
    }
}

// Three items of the array that it stands in.
impl<C> Encode<C> for Context {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.encode(self.room)?.encode(self.epoch)?.encode(self.sender)?.ok()
    }
}

/// Whether these bytes are what a user's key signs of a sender key or a roster, whatever is stated there: a Sig_structure
/// (RFC 9052, section 4.4) for a statement of ours. Nothing else that is signed anywhere looks so.
#[must_use]
pub fn is_statement(to_be_signed: &[u8]) -> bool {
    let mut decoder = Decoder::new(to_be_signed);
    let mut read = || {
        let is_signature = decoder.array()? == Some(4) && decoder.str()? == "Signature1";
        let (_header, context, _payload) = (decoder.bytes()?, decoder.bytes()?, decoder.bytes()?);
        let mut context = Decoder::new(context);
        context.array()?;
        let is_ours = [SENDER_KEY, ROSTER].contains(&context.str()?);
        Ok::<_, minicbor::decode::Error>(is_signature && is_ours && decoder.position() == to_be_signed.len())
    };
    read().unwrap_or_default()
}

/// What a statement of a room's roster is signed with.
pub(super) fn of_roster(room: RoomName, number: u64) -> Vec<u8> {
    encoded(|e| e.array(3)?.str(ROSTER)?.encode(room)?.u64(number)?.ok())
}

type Outcome = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn encoded(write: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Outcome) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing into a Vec can't fail, and no encoder here refuses a value.
    let _ = write(&mut Encoder::new(&mut out));
    out
}
