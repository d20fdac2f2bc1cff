//! How what is said in a sealed room comes to be sealed: who is to read it is found out, on each connection anew; a sender
//! key is made for them; the server has it on its disk; then messages are sealed under it, each once, in their order.

use std::time::{Duration, Instant};

use crate::crypto::rsa::PublicKey;
use crate::e2e::{Job, Membership, Package, SenderKey};
use crate::model::{Fingerprint, MessageId, RoomName, UserName};
use crate::proto::message::{AddSenderKey, Body, Recipient, Request, RequestId};

use super::io::WorkId;

/// A sender key that is so old makes room for another one.
const LONGEST_USE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Most members' parts of a sender key in one request.
const PARTS: usize = 16;
/// How often the server may say that somebody has another key than it has told, before what was said is refused.
const CONFLICTS: u32 = 3;

/// Who is to read what is said.
#[derive(Debug)]
pub(super) struct Readers {
    pub(super) membership: Membership,
    /// Their keys, as the server has told them on this connection; they are trusted. The user's own is among them.
    pub(super) keys: Vec<PublicKey>,
}

/// Whom a sender key is for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Recipients {
    membership: Membership,
    keys: Vec<Fingerprint>,
}

/// Seals what is said in a sealed room.
#[derive(Debug, Default)]
pub(super) struct Sealer {
    readers: Option<Readers>,
    asked: Option<RequestId>,
    key: Key,
    /// Nothing is asked before.
    not_before: Option<Instant>,
    conflicts: u32,
}

#[derive(Debug, Default)]
enum Key {
    #[default]
    None,
    /// It is being made.
    Making(WorkId, Recipients),
    /// The server is to keep it; it has it for so many.
    Made { key: Box<SenderKey>, package: Package, to: Recipients, kept: usize },
    /// The server has it.
    Ready { key: Box<SenderKey>, to: Recipients, since: Instant },
}

/// What is to be done before something can be sealed.
#[derive(Debug)]
pub(super) enum Step {
    /// Wait for an answer, or for time to pass.
    Wait,
    /// Find out who is to read it.
    FindReaders,
    /// Make a sender key for them.
    Make(Job),
    /// Ask the server to keep it.
    Add(Request),
    /// Nothing: messages can be sealed.
    Ready,
}

impl Sealer {
    /// When to look again, if nothing happens before.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    /// What is next, for what waits to be said.
    pub(super) fn next(&mut self, room: RoomName, sender: UserName, now: Instant) -> Step {
        if self.asked.is_some() || self.not_before.is_some_and(|due| due > now) {
            return Step::Wait;
        }
        self.not_before = None;
        let Some(readers) = &self.readers else { return Step::FindReaders };
        let wanted = readers.recipients();
        match &self.key {
            Key::Making(..) => Step::Wait,
            Key::Made { key, package, to, kept } if *to == wanted => Step::Add(add(room, key, package, *kept)),
            Key::Ready { to, since, .. } if *to == wanted && now.saturating_duration_since(*since) < LONGEST_USE => {
                Step::Ready
            }
            Key::None | Key::Made { .. } | Key::Ready { .. } => {
                self.key = Key::None;
                let (membership, recipients) = (readers.membership.clone(), readers.keys.clone());
                Step::Make(Job::Make { room, sender, membership, recipients })
            }
        }
    }

    /// The server was asked, for somebody's key or to keep the sender key.
    pub(super) fn asked(&mut self, id: RequestId) {
        self.asked = Some(id);
    }

    /// It answered.
    pub(super) fn answered(&mut self) {
        self.asked = None;
    }

    /// It will be asked again, later.
    pub(super) fn put_off(&mut self, until: Instant) {
        self.asked = None;
        self.not_before = Some(until);
    }

    pub(super) fn making(&mut self, work: WorkId) {
        if let Some(readers) = &self.readers {
            self.key = Key::Making(work, readers.recipients());
        }
    }

    /// These are to read it.
    pub(super) fn read_by(&mut self, readers: Readers) {
        self.readers = Some(readers);
    }

    /// Somebody may have another key than the one that was told, or be in the room no longer; or there is a new connection.
    pub(super) fn forget_readers(&mut self) {
        self.readers = None;
        self.asked = None;
        self.not_before = None;
    }

    /// The server knows another key of somebody than the one that it has told. Whether it may be asked again.
    pub(super) fn conflict(&mut self) -> bool {
        self.forget_readers();
        self.key = Key::None;
        self.conflicts += 1;
        self.conflicts < CONFLICTS
    }

    /// A sender key was made. Nothing comes of it if nobody waits for it any more.
    pub(super) fn made(&mut self, work: WorkId, made: Option<(Box<SenderKey>, Package)>) -> Option<&SenderKey> {
        let to = match std::mem::take(&mut self.key) {
            Key::Making(awaited, to) if awaited == work => to,
            other => {
                self.key = other;
                return None;
            }
        };
        self.key = made.map_or(Key::None, |(key, package)| Key::Made { key, package, to, kept: 0 });
        match &self.key {
            Key::Made { key, .. } => Some(key),
            _ => None,
        }
    }

    /// The server has it on its disk, for those for whom it was asked to.
    pub(super) fn kept(&mut self, now: Instant) {
        self.asked = None;
        self.conflicts = 0;
        self.key = match std::mem::take(&mut self.key) {
            Key::Made { key, package, to, kept } if kept + PARTS < package.recipients.len() => {
                Key::Made { key, package, to, kept: kept + PARTS }
            }
            Key::Made { key, to, .. } => Key::Ready { key, to, since: now },
            other => other,
        };
    }

    /// A message under the sender key was refused for good: its number is missing, and no other is to follow it.
    pub(super) fn retire(&mut self) {
        if let Key::Ready { .. } = self.key {
            self.key = Key::None;
        }
    }

    /// Seals a message. Nothing if another sender key is needed first.
    pub(super) fn seal(&mut self, message: MessageId, body: &Body) -> Option<Body> {
        // While it is not known who is to read it, nothing is.
        let wanted = self.readers.as_ref()?.recipients();
        let Key::Ready { key, to, .. } = &mut self.key else { return None };
        if *to != wanted {
            return None;
        }
        let Some(sealed) = key.seal(message, &body.to_cbor()) else {
            self.key = Key::None;
            return None;
        };
        Some(Body::Sealed { key: key.id(), sealed: sealed.into() })
    }
}

impl Readers {
    fn recipients(&self) -> Recipients {
        let keys = self.keys.iter().map(PublicKey::fingerprint).collect();
        Recipients { membership: self.membership.clone(), keys }
    }
}

fn add(room: RoomName, key: &SenderKey, package: &Package, kept: usize) -> Request {
    let recipients = package
        .recipients
        .iter()
        .skip(kept)
        .take(PARTS)
        .map(|(member, part)| Recipient { member: *member, part: part.clone().into() });
    Request::AddSenderKey(Box::new(AddSenderKey {
        room,
        id: package.id,
        epoch: key.context().epoch,
        head: package.head.clone().into(),
        recipients: recipients.collect(),
    }))
}
