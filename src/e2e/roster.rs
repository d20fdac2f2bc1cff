//! Rosters: who is in a private room, as its owners have signed it, one statement after the other. Each has the hash of the
//! one before it, so that who knows one knows all that led to it, and two who know the same number can compare.

use std::collections::BTreeMap;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use rand::CryptoRng;

use super::cose::{self, Bad, Signed};
use super::membership::of_roster;
use super::{Member, Membership, OpenedKey, Unusable};
use crate::crypto::kdf;
use crate::crypto::rsa::{OperationError, OwnKey, PublicKey};
use crate::model::{Fingerprint, LONGEST_ROSTER, PRIVATE_MEMBERS, RoomName, RosterHash, STATEMENT_BYTES, UserName};

/// A statement of a roster, and with it all that came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Head {
    /// Its number, from 1.
    #[n(0)]
    pub number: u64,
    /// Its hash.
    #[n(1)]
    pub hash: RosterHash,
}

impl Head {
    /// Of a statement.
    #[must_use]
    pub fn of(number: u64, statement: &[u8]) -> Self {
        Self { number, hash: RosterHash(kdf::digest(statement)) }
    }
}

/// What a statement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Change {
    /// The room is made, and this one, who signs, is its owner. The first statement, and no other.
    #[n(0)]
    Found {
        /// The owner.
        #[n(0)]
        owner: Member,
    },
    /// Somebody is in the room, with this key from now on.
    #[n(1)]
    Add {
        /// Who.
        #[n(0)]
        member: Member,
    },
    /// Somebody is in it no longer.
    #[n(2)]
    Remove {
        /// Who; not the owner.
        #[n(0)]
        user: UserName,
    },
    /// Another member decides from now on.
    #[n(3)]
    HandOver {
        /// Who.
        #[n(0)]
        user: UserName,
    },
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Statement {
    #[n(0)]
    number: u64,
    /// The hash of the one before.
    #[n(1)]
    previous: Option<RosterHash>,
    #[n(2)]
    change: Change,
    /// The DER SubjectPublicKeyInfo of the key that signs this.
    #[n(3)]
    signer: ByteVec,
}

/// A statement that does not follow from those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is no statement by the rules.
    #[error("it is no statement of a roster")]
    Malformed,
    /// It follows another one.
    #[error("it does not follow the statement before it")]
    Misplaced,
    /// The signature is not that of the key that it names.
    #[error("it was not signed by who is said to have signed it")]
    Forged,
    /// Who has signed it decides nothing here.
    #[error("it was not signed by the room's owner")]
    NotOwner,
    /// It changes what can't be changed so.
    #[error("it says what can't be")]
    Impossible,
}

/// A statement that is to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draft {
    room: RoomName,
    number: u64,
    previous: Option<RosterHash>,
    change: Change,
}

/// The statements of a room, checked.
#[derive(Debug, Clone)]
pub struct Roster {
    room: RoomName,
    statements: Vec<(RosterHash, Change)>,
    owner: Option<UserName>,
    members: BTreeMap<UserName, Fingerprint>,
}

impl Draft {
    /// The number of the statement.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Signs it. Some milliseconds of work.
    ///
    /// # Errors
    /// If the identity does not sign.
    pub fn sign(&self, identity: &dyn OwnKey, rng: &mut dyn CryptoRng) -> Result<Vec<u8>, OperationError> {
        let Self { room, number, previous, change } = *self;
        let statement = Statement { number, previous, change, signer: identity.public().spki_der().to_vec().into() };
        let payload = minicbor::to_vec(&statement).map_err(|_| OperationError::Failed)?;
        let header = cose::statement_header(identity.public().fingerprint());
        cose::sign(header, payload, &of_roster(room, number), |bytes| identity.sign(bytes, rng))
    }
}

impl Roster {
    /// A room's, before its first statement.
    #[must_use]
    pub fn new(room: RoomName) -> Self {
        Self { room, statements: Vec::new(), owner: None, members: BTreeMap::new() }
    }

    /// The last statement.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        let &(hash, _) = self.statements.last()?;
        Some(Head { number: self.length(), hash })
    }

    /// How many statements it has.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.statements.len() as u64
    }

    /// Whether this statement is one of it; nothing if it is not that long.
    #[must_use]
    pub fn has(&self, head: Head) -> Option<bool> {
        if head.number > self.length() {
            return None;
        }
        Some(self.before(head.number).last().is_some_and(|&(hash, _)| hash == head.hash))
    }

    /// Who decides.
    #[must_use]
    pub fn owner(&self) -> Option<Member> {
        let user = self.owner?;
        self.members.get(&user).map(|key| Member { user, key: *key })
    }

    /// Who is in the room, by name.
    pub fn members(&self) -> impl Iterator<Item = Member> {
        self.members.iter().map(|(user, key)| Member { user: *user, key: *key })
    }

    /// Whether somebody is in it, with this key.
    #[must_use]
    pub fn has_member(&self, member: Member) -> bool {
        self.members.get(&member.user) == Some(&member.key)
    }

    /// Whether somebody was in it by this statement; by the last one, if there are fewer.
    #[must_use]
    pub fn had_user(&self, number: u64, user: UserName) -> bool {
        self.key_at(number.min(self.length()), user).is_some()
    }

    /// The next statement, to be signed by the owner.
    #[must_use]
    pub fn draft(&self, change: Change) -> Draft {
        let previous = self.statements.last().map(|&(hash, _)| hash);
        Draft { room: self.room, number: self.length() + 1, previous, change }
    }

    /// Whether there is room for it.
    #[must_use]
    pub fn takes(&self, change: Change) -> bool {
        match change {
            Change::Add { member } => self.members.len() < PRIVATE_MEMBERS || self.members.contains_key(&member.user),
            _ => true,
        }
    }

    /// Takes the next statement.
    ///
    /// # Errors
    /// [`Invalid`], by its reason; the roster is as it was.
    pub fn append(&mut self, statement: &[u8]) -> Result<Change, Invalid> {
        if statement.len() > STATEMENT_BYTES {
            return Err(Invalid::Malformed);
        }
        let hash = RosterHash(kdf::digest(statement));
        let malformed = |Bad| Invalid::Malformed;
        let signed = Signed::read(statement).map_err(malformed)?;
        let read: Statement = minicbor::decode(signed.unchecked_payload()).map_err(|_| Invalid::Malformed)?;
        let signer = PublicKey::from_spki_der(&read.signer).map_err(|_| Invalid::Malformed)?;
        let place = (self.length() + 1, self.statements.last().map(|&(hash, _)| hash));
        if (read.number, read.previous) != place || read.number > LONGEST_ROSTER {
            return Err(Invalid::Misplaced);
        }
        let header = cose::statement_header(signer.fingerprint());
        signed
            .check(&header, &of_roster(self.room, read.number), |bytes, signature| signer.verify(bytes, signature))
            .map_err(|Bad| Invalid::Forged)?;
        let decides = match (read.change, self.owner()) {
            (Change::Found { owner }, None) => owner.key,
            (Change::Found { .. }, Some(_)) | (_, None) => return Err(Invalid::Impossible),
            (_, Some(owner)) => owner.key,
        };
        if decides != signer.fingerprint() {
            return Err(Invalid::NotOwner);
        }
        match read.change {
            Change::Found { owner } => {
                self.members.insert(owner.user, owner.key);
                self.owner = Some(owner.user);
            }
            Change::Add { .. } if !self.takes(read.change) => return Err(Invalid::Impossible),
            Change::Add { member } => drop(self.members.insert(member.user, member.key)),
            Change::Remove { user } => {
                if self.owner == Some(user) || self.members.remove(&user).is_none() {
                    return Err(Invalid::Impossible);
                }
            }
            Change::HandOver { user } => {
                if self.owner == Some(user) || !self.members.contains_key(&user) {
                    return Err(Invalid::Impossible);
                }
                self.owner = Some(user);
            }
        }
        self.statements.push((hash, read.change));
        Ok(read.change)
    }

    /// Whether a sender key is one of this room: its sender was in the room by the statement that it names, and so was
    /// `me`. Nothing if the roster is not that long.
    #[must_use]
    pub fn admits(&self, key: &OpenedKey, me: Member) -> Option<Result<(), Unusable>> {
        let Membership::Roster { head } = *key.membership() else { return Some(Err(Unusable::Foreign)) };
        if !self.has(head)? {
            return Some(Err(Unusable::OtherRoster));
        }
        if self.key_at(head.number, key.context().sender) != Some(key.signer().fingerprint()) {
            return Some(Err(Unusable::NotMember));
        }
        // Who was told another key as ours, by a server that has that one, would never hear of it.
        let is_ours = self.key_at(head.number, me.user) == Some(me.key);
        Some(if is_ours { Ok(()) } else { Err(Unusable::Misdirected) })
    }

    /// The key that a user had by this statement, if he was in the room.
    fn key_at(&self, number: u64, of: UserName) -> Option<Fingerprint> {
        let changes = self.before(number).iter().rev();
        let mut decisive = changes.filter_map(|(_, change)| match *change {
            Change::Found { owner: member } | Change::Add { member } if member.user == of => Some(Some(member.key)),
            Change::Remove { user } if user == of => Some(None),
            _ => None,
        });
        decisive.next()?
    }

    /// The statements up to this number.
    fn before(&self, number: u64) -> &[(RosterHash, Change)] {
        let end = usize::try_from(number).unwrap_or(usize::MAX).min(self.statements.len());
        self.statements.get(..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
