//! Whose keys are trusted: each user's first one, until the user of this client says otherwise.

use std::collections::{BTreeMap, BTreeSet};

use super::io::Preference;
use crate::e2e::Head;
use crate::model::{Fingerprint, RoomName, UserName};
use crate::proto::message::Position;

/// What is known of a user's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The key that is trusted.
    pub key: Fingerprint,
    /// Whether it was compared over another way than the server's.
    pub verified: bool,
    /// Those that were trusted before it: what was said with them stays what it was.
    pub earlier: Vec<Fingerprint>,
}

/// Most earlier keys that are remembered of one user.
const EARLIER: usize = 16;
/// Most users whose keys are remembered at their first sight: a server can name as many as it likes.
const PINS: usize = 16_384;
/// Most private rooms whose rosters are remembered.
const ROSTERS: usize = 1024;

/// What is remembered from one session to the next: whose keys are trusted, what was read, and what the user does without.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    pins: BTreeMap<UserName, Pin>,
    read: BTreeMap<RoomName, Position>,
    ignored: BTreeSet<UserName>,
    hushed: BTreeSet<RoomName>,
    rosters: BTreeMap<RoomName, Head>,
}

/// How far a user's key is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It is our own.
    Own,
    /// It is the first one that was seen of this user, or the user of this client has accepted it.
    Pinned,
    /// It was compared.
    Verified,
    /// It was trusted, before another one took its place.
    Earlier,
    /// Another one is trusted.
    Changed,
}

impl Known {
    /// This was remembered of a user.
    pub fn recall(&mut self, user: UserName, pin: Pin) {
        self.pins.insert(user, pin);
    }

    /// Another client of the user has remembered this; `read` is whether what was read there is of interest.
    pub fn merge(&mut self, other: Self, read: bool) {
        self.pins.extend(other.pins);
        other.read.into_iter().filter(|_| read).for_each(|(room, position)| self.has_read(room, position));
        (self.ignored, self.hushed) = (other.ignored, other.hushed);
        other.rosters.into_iter().for_each(|(room, head)| self.has_roster(room, head));
    }

    /// What the user does without, or no longer.
    pub fn prefer(&mut self, preference: Preference) {
        match preference {
            Preference::Ignore(user, true) => drop(self.ignored.insert(user)),
            Preference::Ignore(user, false) => drop(self.ignored.remove(&user)),
            Preference::Hush(room, true) => drop(self.hushed.insert(room)),
            Preference::Hush(room, false) => drop(self.hushed.remove(&room)),
        }
    }

    /// All that the user does without.
    pub fn preferences(&self) -> impl Iterator<Item = Preference> {
        let ignored = self.ignored.iter().map(|user| Preference::Ignore(*user, true));
        ignored.chain(self.hushed.iter().map(|room| Preference::Hush(*room, true)))
    }

    /// A room's messages were read, up to here.
    pub fn has_read(&mut self, room: RoomName, position: Position) {
        let read = self.read.entry(room).or_insert(position);
        *read = position.max(*read);
    }

    /// What was read is this, and nothing else.
    pub fn read_only_up_to(&mut self, read: &BTreeMap<RoomName, Position>) {
        self.read.clone_from(read);
    }

    /// A room is left, or its server has lost what was read there.
    pub fn forget_read(&mut self, room: RoomName) {
        self.read.remove(&room);
    }

    /// Up to where a room's messages were read.
    #[must_use]
    pub fn read(&self, room: RoomName) -> Option<Position> {
        self.read.get(&room).copied()
    }

    /// The rooms of which something is known.
    pub fn rooms(&self) -> impl Iterator<Item = RoomName> {
        self.read.keys().chain(&self.hushed).chain(self.rosters.keys()).copied()
    }

    /// Whether something is known of what was read in direct rooms.
    #[must_use]
    pub fn has_directs(&self) -> bool {
        self.read.keys().any(RoomName::is_direct)
    }

    /// A private room's roster was seen up to this statement.
    pub fn has_roster(&mut self, room: RoomName, head: Head) {
        let known = self.rosters.entry(room).or_insert(head);
        if known.number < head.number {
            *known = head;
        }
    }

    /// Whether no other room's roster can be remembered.
    #[must_use]
    pub fn is_full_of_rosters(&self) -> bool {
        self.rosters.len() >= ROSTERS
    }

    /// A private room is left: another one of its name may come.
    pub fn forget_roster(&mut self, room: RoomName) {
        self.rosters.remove(&room);
    }

    /// Up to where a private room's roster was seen. Of a room that is not private, nothing.
    #[must_use]
    pub fn roster(&self, room: RoomName) -> Option<Head> {
        self.rosters.get(&room).copied()
    }

    /// Everybody whose key is known, by name.
    pub fn pins(&self) -> impl Iterator<Item = (UserName, &Pin)> {
        self.pins.iter().map(|(user, pin)| (*user, pin))
    }

    /// What is known of a user.
    #[must_use]
    pub fn pin(&self, user: UserName) -> Option<&Pin> {
        self.pins.get(&user)
    }

    /// What is to be thought of a user's key; nothing if none was ever seen. If too many were seen, it is not trusted
    /// unless the user says so.
    #[must_use]
    pub fn judge(&self, user: UserName, key: Fingerprint) -> Option<Trust> {
        let Some(pin) = self.pins.get(&user) else { return (self.pins.len() >= PINS).then_some(Trust::Changed) };
        Some(match pin {
            Pin { key: pinned, verified: true, .. } if *pinned == key => Trust::Verified,
            Pin { key: pinned, .. } if *pinned == key => Trust::Pinned,
            Pin { earlier, .. } if earlier.contains(&key) => Trust::Earlier,
            _ => Trust::Changed,
        })
    }

    /// Trusts a key from now on. The one that was trusted before stays known.
    pub fn trust(&mut self, user: UserName, key: Fingerprint, verified: bool) -> &Pin {
        let pin = self.pins.entry(user).or_insert_with(|| Pin { key, verified, earlier: Vec::new() });
        if pin.key != key {
            pin.earlier.retain(|earlier| *earlier != key);
            pin.earlier.push(pin.key);
            let surplus = pin.earlier.len().saturating_sub(EARLIER);
            pin.earlier.drain(..surplus);
            pin.verified = false;
        }
        pin.key = key;
        pin.verified |= verified;
        pin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_is_trusted_until_the_user_says_otherwise() {
        let (bob, key) = ("bob".parse().unwrap(), |number| Fingerprint([number; 32]));
        let mut known = Known::default();
        assert_eq!(known.judge(bob, key(1)), None);
        known.trust(bob, key(1), false);
        assert_eq!([1, 2].map(|number| known.judge(bob, key(number)).unwrap()), [Trust::Pinned, Trust::Changed]);
        known.trust(bob, key(1), true);
        known.trust(bob, key(1), false);
        assert_eq!(known.judge(bob, key(1)), Some(Trust::Verified));
        // Another key is another one to compare.
        known.trust(bob, key(2), false);
        assert_eq!([1, 2].map(|number| known.judge(bob, key(number)).unwrap()), [Trust::Earlier, Trust::Pinned]);
        known.trust(bob, key(1), false);
        assert_eq!([1, 2].map(|number| known.judge(bob, key(number)).unwrap()), [Trust::Pinned, Trust::Earlier]);
        assert_eq!(known.judge("carol".parse().unwrap(), key(1)), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let bob = "bob".parse().unwrap();
        let mut known = Known::default();
        for number in 0..=255 {
            known.trust(bob, Fingerprint([number; 32]), false);
        }
        assert_eq!(known.pin(bob).unwrap().earlier.len(), EARLIER);
        assert_eq!(known.judge(bob, Fingerprint([254; 32])), Some(Trust::Earlier));
        let mut known = Known::default();
        let user = |number: usize| format!("user{number}").parse().unwrap();
        for number in 0..PINS {
            assert_eq!(known.judge(user(number), Fingerprint([1; 32])), None);
            known.trust(user(number), Fingerprint([1; 32]), false);
        }
        // Nobody else is trusted because he was seen, but if the user says so.
        assert_eq!(known.judge(bob, Fingerprint([1; 32])), Some(Trust::Changed));
        known.trust(bob, Fingerprint([1; 32]), false);
        assert_eq!(known.judge(bob, Fingerprint([1; 32])), Some(Trust::Pinned));
        assert_eq!(known.judge(user(0), Fingerprint([1; 32])), Some(Trust::Pinned));
    }
}
