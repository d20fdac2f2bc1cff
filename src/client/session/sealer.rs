//! How what is said in a direct room comes to be sealed: the partner's key is asked for, on each connection anew; a sender key is
//! made for it; the server has it on its disk; then messages are sealed under it, each once, in their order.

use std::time::{Duration, Instant};

use crate::crypto::rsa::PublicKey;
use crate::e2e::{Job, Member, Membership, Package, SenderKey};
use crate::model::{Fingerprint, MessageId, RoomName, UserName};
use crate::proto::message::{AddSenderKey, Body, Recipient, Request, RequestId};

use super::io::WorkId;

/// A sender key that is so old makes room for another one.
const LONGEST_USE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How often the server may say that the partner has another key than it has told, before what was said is refused.
const CONFLICTS: u32 = 3;

/// Seals what is said in a direct room.
#[derive(Debug, Default)]
pub(super) struct Sealer {
    /// The partner's key, as the server has told it on this connection; it is trusted.
    partner: Option<PublicKey>,
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
    /// It is being made, for this key of the partner's.
    Making(WorkId, Fingerprint),
    /// The server is to keep it.
    Made { key: Box<SenderKey>, package: Package, to: Fingerprint },
    /// The server has it.
    Ready { key: Box<SenderKey>, to: Fingerprint, since: Instant },
}

/// What is to be done before something can be sealed.
#[derive(Debug)]
pub(super) enum Step {
    /// Wait for an answer, or for time to pass.
    Wait,
    /// Ask for the partner's key.
    AskKey,
    /// Make a sender key for this one.
    Make(PublicKey),
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
    pub(super) fn next(&mut self, room: RoomName, now: Instant) -> Step {
        if self.asked.is_some() || self.not_before.is_some_and(|due| due > now) {
            return Step::Wait;
        }
        self.not_before = None;
        let Some(partner) = &self.partner else { return Step::AskKey };
        let wanted = partner.fingerprint();
        match &self.key {
            Key::Making(..) => Step::Wait,
            Key::Made { key, package, to } if *to == wanted => Step::Add(add(room, key, package)),
            Key::Ready { to, since, .. } if *to == wanted && now.saturating_duration_since(*since) < LONGEST_USE => {
                Step::Ready
            }
            Key::None | Key::Made { .. } | Key::Ready { .. } => {
                self.key = Key::None;
                Step::Make(partner.clone())
            }
        }
    }

    /// The server was asked, for the partner's key or to keep the sender key.
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

    pub(super) fn making(&mut self, work: WorkId, partner: &PublicKey) {
        self.key = Key::Making(work, partner.fingerprint());
    }

    /// The partner has this key, and it is trusted.
    pub(super) fn partner_has(&mut self, key: PublicKey) {
        self.partner = Some(key);
    }

    /// The partner may have another key than the one that was told; or there is a new connection.
    pub(super) fn forget_partner(&mut self) {
        self.partner = None;
        self.asked = None;
        self.not_before = None;
    }

    /// The server knows another key of the partner than the one that it has told. Whether it may be asked again.
    pub(super) fn conflict(&mut self) -> bool {
        self.forget_partner();
        self.key = Key::None;
        self.conflicts += 1;
        self.conflicts < CONFLICTS
    }

    /// A sender key was made. Nothing comes of it if nobody waits for it any more.
    pub(super) fn made(&mut self, work: WorkId, made: Option<(Box<SenderKey>, Package)>) -> Option<&SenderKey> {
        let Key::Making(awaited, to) = self.key else { return None };
        if awaited != work {
            return None;
        }
        self.key = made.map_or(Key::None, |(key, package)| Key::Made { key, package, to });
        match &self.key {
            Key::Made { key, .. } => Some(key),
            _ => None,
        }
    }

    /// The server has it on its disk.
    pub(super) fn kept(&mut self, now: Instant) {
        self.asked = None;
        self.conflicts = 0;
        self.key = match std::mem::take(&mut self.key) {
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
        // To a partner of whom it is not known what key he has now, nothing is.
        let wanted = self.partner.as_ref()?.fingerprint();
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

fn add(room: RoomName, key: &SenderKey, package: &Package) -> Request {
    let recipients =
        package.recipients.iter().map(|(member, part)| Recipient { member: *member, part: part.clone().into() });
    Request::AddSenderKey(Box::new(AddSenderKey {
        room,
        id: package.id,
        epoch: key.context().epoch,
        head: package.head.clone().into(),
        recipients: recipients.collect(),
    }))
}

/// The work of making a sender key for a direct room.
pub(super) fn make(room: RoomName, sender: UserName, own: &PublicKey, partner: &PublicKey) -> Option<Job> {
    let other = Member { user: room.partner(sender)?, key: partner.fingerprint() };
    let membership = Membership::direct(room, Member { user: sender, key: own.fingerprint() }, other)?;
    Some(Job::Make { room, sender, membership, recipients: vec![own.clone(), partner.clone()] })
}
