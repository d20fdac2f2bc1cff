//! Private rooms: the roster is fetched and checked before anything is sealed, or believed of a sealed message. What the
//! server says beside it can only take somebody out of those who are to read, never add one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::posts::{here, may_pass, retry_after};
use super::sealed::{Held, Sealed};
use super::sealer::Readers;
use super::trust::Trust;
use super::vault::Unreadable;
use super::{Arrival, Asker, Event, Output, Seal, Session};
use crate::crypto::rsa::PublicKey;
use crate::e2e::{Head, Invalid, Member, Membership, OpenedKey, Roster, Unusable};
use crate::model::{RoomName, UserName};
use crate::proto::message::{self, ErrorCode, KeyList, Refused, Request, RosterPage, Stored};

/// Most users whose keys are asked for at once.
const ASKED: usize = 64;

/// What a private room has beside a direct one.
#[derive(Debug)]
pub(super) struct Private {
    roster: Roster,
    /// How many statements there are, as far as we have heard.
    heard: u64,
    /// The server may have more of it.
    stale: bool,
    asked: bool,
    /// It is not asked for before.
    not_before: Option<Instant>,
    bad: Option<BadRoster>,
    /// Who is a member, as far as the server goes.
    members: BTreeSet<UserName>,
    /// Sender keys that were opened, and that the roster may admit; with whether it was asked for since.
    pub(super) unchecked: Vec<(Arc<OpenedKey>, bool)>,
    /// The members' keys, as the server has told them on this connection; nothing for those who have none.
    keys: BTreeMap<UserName, Option<PublicKey>>,
    asking: Vec<UserName>,
    /// Of whom it was told that they can't read.
    shut_out: BTreeSet<UserName>,
}

/// What came of looking for those who are to read something.
pub(super) enum Found {
    Readers,
    /// The keys of these have to be asked for first.
    Unknown(Vec<UserName>),
}

/// What is wrong with a roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRoster {
    /// It does not go on from what was seen of it.
    #[error("who is in it was signed otherwise when you were here before: another room of this name, or a forged one")]
    Other,
    /// The server has less of it than it had.
    #[error("the server does not show all of what was signed about who is in it")]
    Withheld,
    /// It has a statement that does not follow.
    #[error("who is in it was not signed by its owner: {0}")]
    Invalid(Invalid),
    /// The server says that there is none.
    #[error("the server says that it is not private any more")]
    Open,
    /// What was seen of it can't be remembered.
    #[error("what is signed about who is in it can't be remembered: too many private rooms are")]
    TooMany,
}

impl Private {
    pub(super) fn new(name: RoomName) -> Self {
        Self {
            roster: Roster::new(name),
            heard: 0,
            stale: true,
            asked: false,
            not_before: None,
            bad: None,
            members: BTreeSet::new(),
            unchecked: Vec::new(),
            keys: BTreeMap::new(),
            asking: Vec::new(),
            shut_out: BTreeSet::new(),
        }
    }

    pub(super) fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    pub(super) fn disconnected(&mut self) {
        (self.stale, self.asked, self.not_before) = (true, false, None);
        self.keys.clear();
    }

    /// Somebody has another key.
    pub(super) fn forget_key(&mut self, user: UserName) {
        self.keys.remove(&user);
        self.shut_out.remove(&user);
    }

    pub(super) fn is_bad(&self) -> bool {
        self.bad.is_some()
    }

    /// Whether somebody was put out by this statement; nothing until all of the roster is here.
    pub(super) fn is_put_out(&self, user: UserName, heard: u64) -> Option<bool> {
        self.roster().map(|roster| roster.is_ok_and(|roster| !roster.had_user(heard, user)))
    }

    /// The roster, as soon as all of it is here; or what is wrong with it.
    pub(super) fn roster(&self) -> Option<Result<&Roster, BadRoster>> {
        match self.bad {
            Some(bad) => Some(Err(bad)),
            None if self.stale || self.asked => None,
            None => Some(Ok(&self.roster)),
        }
    }
}

impl Session {
    fn private(&mut self, name: RoomName) -> Option<(&mut Private, &mut super::sealer::Sealer)> {
        let sealed = self.rooms.get_mut(&name)?.sealed.as_mut()?;
        Some((sealed.private.as_mut()?, &mut sealed.sealer))
    }

    pub(super) fn me(&self) -> Member {
        Member { user: self.settings.user, key: self.settings.own.fingerprint() }
    }

    /// The server says how long the roster of a room is that we enter; 0 if it has none.
    pub(super) fn is_private(&mut self, name: RoomName, length: u64) {
        // What it was when we made it, or came before, counts more than what the server says now.
        let known = self.known.roster(name).is_some();
        let Some(room) = self.rooms.get_mut(&name) else { return };
        if known && room.sealed.is_none() {
            room.sealed = Some(Box::new(Sealed::private(name)));
        }
        match &mut room.sealed {
            None if length > 0 => room.sealed = Some(Box::new(Sealed::private(name))),
            Some(sealed) if sealed.private.is_some() && length == 0 => self.bad_roster(name, BadRoster::Open),
            Some(_) => self.roster_grows(name),
            None => {}
        }
        if let Some((private, _)) = self.private(name) {
            private.heard = private.heard.max(length);
        }
    }

    /// Who is in a private room may have changed.
    pub(super) fn roster_grows(&mut self, name: RoomName) {
        if let Some((private, sealer)) = self.private(name) {
            private.stale = true;
            sealer.forget_readers();
        }
    }

    pub(super) fn ask_for_roster(&mut self, name: RoomName, now: Instant) {
        let Some((private, _)) = self.private(name) else { return };
        let waits = private.asked || private.not_before.is_some_and(|due| due > now);
        if !private.stale || private.bad.is_some() || waits {
            return;
        }
        (private.stale, private.asked, private.not_before) = (false, true, None);
        let after = private.roster.length();
        self.request(&Request::Roster(message::Roster { room: name, after }), Asker::Roster(name), now);
    }

    pub(super) fn told_roster(&mut self, name: RoomName, page: &RosterPage) {
        let (known, is_full) = (self.known.roster(name), self.known.is_full_of_rosters());
        let Some((private, sealer)) = self.private(name) else { return };
        private.asked = false;
        for statement in &page.statements {
            if let Err(invalid) = private.roster.append(statement) {
                return self.bad_roster(name, BadRoster::Invalid(invalid));
            }
        }
        if private.roster.length() < page.length && !page.statements.is_empty() {
            private.stale = true;
            return;
        }
        let bad = match known.map(|known| private.roster.has(known)) {
            _ if private.roster.length() != page.length => Some(BadRoster::Withheld),
            Some(Some(false)) => Some(BadRoster::Other),
            Some(None) => Some(BadRoster::Withheld),
            None if is_full => Some(BadRoster::TooMany),
            Some(Some(true)) | None => None,
        };
        if let Some(bad) = bad {
            return self.bad_roster(name, bad);
        }
        private.heard = private.heard.max(page.length);
        private.members = page.members.iter().copied().collect();
        sealer.forget_readers();
        let head = private.roster.head();
        if let Some(head) = head.filter(|_| head != known) {
            self.saw_roster(name, head);
        }
        self.check_keys(name);
        self.release(name);
    }

    /// A roster without this statement is not the whole one.
    pub(super) fn saw_roster(&mut self, name: RoomName, head: Head) {
        self.known.has_roster(name, head);
        self.outputs.push_back(Output::HasRoster(name, Some(head)));
    }

    pub(super) fn no_roster(&mut self, name: RoomName, refused: &Refused, now: Instant) {
        // It has let us out, and the answer to that comes later than this one.
        let leaving = self.asks.is_leaving(name);
        let Some((private, _)) = self.private(name) else { return };
        private.asked = false;
        if may_pass(refused) || leaving {
            (private.stale, private.not_before) = (true, Some(now + retry_after(refused)));
        } else {
            self.bad_roster(name, BadRoster::Withheld);
        }
    }

    /// Nothing is sent to a room of which it is not certain who is in it, and nothing believed that comes from there.
    fn bad_roster(&mut self, name: RoomName, bad: BadRoster) {
        let Some((private, _)) = self.private(name) else { return };
        if private.bad.is_none() {
            private.bad = Some(bad);
            self.event(Event::BadRoster { room: name, why: bad });
        }
        self.check_keys(name);
        self.release(name);
    }

    /// Room for another roster of that name.
    pub(super) fn forget_roster(&mut self, name: RoomName) {
        if self.known.roster(name).is_some() {
            self.known.forget_roster(name);
            self.outputs.push_back(Output::HasRoster(name, None));
        }
    }

    /// Judges the sender keys that were opened, as far as the roster is here.
    pub(super) fn check_keys(&mut self, name: RoomName) {
        let me = self.me();
        let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) else { return };
        let Some(private) = &mut sealed.private else { return };
        for (key, asked) in std::mem::take(&mut private.unchecked) {
            let judged = match private.roster() {
                Some(Ok(roster)) => roster.admits(&key, me),
                Some(Err(_)) => Some(Err(Unusable::OtherRoster)),
                None => {
                    private.unchecked.push((key, asked));
                    continue;
                }
            };
            match judged {
                Some(Ok(())) => sealed.vault.hold(key),
                Some(Err(why)) => sealed.vault.is_unusable(key.id(), why.into()),
                // For a statement that came after the roster was asked for; or that there never was.
                None if asked => sealed.vault.is_unusable(key.id(), Unusable::OtherRoster.into()),
                None => {
                    private.stale = true;
                    private.unchecked.push((key, true));
                }
            }
        }
    }

    /// Something that is said just now: who says it has to be in the room, by all that was heard of that.
    pub(super) fn live(&mut self, message: Stored) -> Held {
        match self.private(message.room) {
            Some((private, _)) => Held::Live(message, private.heard),
            None => Held::Message(message, Arrival::Live),
        }
    }

    /// Tells it, unless its sender was put out before: then the server should not have taken it.
    pub(super) fn open_unless_put_out(&mut self, name: RoomName, mut message: Stored, heard: u64) {
        let put_out = self.private(name).and_then(|(private, _)| private.is_put_out(message.sender, heard));
        if put_out == Some(true) {
            message.body = None;
            self.show(message, Arrival::Live, Seal::Unreadable(Unreadable::PutOut));
        } else {
            self.open(name, message, Arrival::Live);
        }
    }

    /// Who is in a private room, or with which key, is not as it was told.
    pub(super) fn forget_members(&mut self, name: RoomName) {
        if let Some((private, _)) = self.private(name) {
            private.keys.clear();
            private.stale = true;
        }
    }

    /// Somebody has decided who is in a private room: there is another statement.
    pub(super) fn heard_of_statement(&mut self, name: RoomName) {
        if let Some((private, _)) = self.private(name) {
            private.heard += 1;
        }
    }

    /// Finds out who is to read what is said: those of the roster who still have the key that it names. Nothing if the roster
    /// isn't there yet, or if what was said has been refused.
    pub(super) fn find_readers(&mut self, name: RoomName) -> Option<Found> {
        let me = self.me();
        let (private, _) = self.private(name)?;
        let roster = match private.roster()? {
            Ok(roster) => roster,
            Err(bad) => {
                let hint = format!("ask its owner; /leave {name} forgets what you know of it");
                let refused = here(ErrorCode::Conflict, format!("nothing is sent to {name}: {bad}"));
                self.refuse_posts(name, &Refused { hint: Some(hint), ..refused });
                return None;
            }
        };
        if !roster.has_member(me) {
            let owner = roster.owner().map_or_else(|| "its owner".to_owned(), |owner| owner.user.to_string());
            let refused = here(ErrorCode::Conflict, format!("{name} is not sealed to the key that you have now"));
            let hint = Some(format!("{owner} has to /invite you again"));
            self.refuse_posts(name, &Refused { hint, ..refused });
            return None;
        }
        let others: Vec<Member> = roster.members().filter(|member| member.user != me.user).collect();
        let head = roster.head()?;
        let here = |member: &&Member| private.members.contains(&member.user);
        let unknown: Vec<UserName> = others
            .iter()
            .filter(here)
            .map(|member| member.user)
            .filter(|user| !private.keys.contains_key(user))
            .take(ASKED)
            .collect();
        if !unknown.is_empty() {
            private.asking.clone_from(&unknown);
            return Some(Found::Unknown(unknown));
        }
        let keyed = others.iter().filter(here).filter_map(|member| {
            let key = private.keys.get(&member.user)?.clone()?;
            Some((*member, key))
        });
        let (readers, strangers): (Vec<_>, Vec<_>) = keyed.partition(|(member, key)| key.fingerprint() == member.key);
        let strangers: Vec<UserName> = strangers.into_iter().map(|(member, _)| member.user).collect();
        let news: Vec<UserName> = strangers.into_iter().filter(|user| private.shut_out.insert(*user)).collect();
        for user in news {
            self.event(Event::ShutOut { room: name, user });
        }
        for (member, _) in &readers {
            match self.known.judge(member.user, member.key) {
                Some(Trust::Pinned | Trust::Verified) => {}
                None => self.meet(member.user, member.key),
                Some(Trust::Changed | Trust::Earlier | Trust::Own) => {
                    let refused = self.distrust(member.user, member.key);
                    self.refuse_posts(name, &refused);
                    return None;
                }
            }
        }
        let keys = std::iter::once(self.settings.own.clone()).chain(readers.into_iter().map(|(_, key)| key)).collect();
        let (_, sealer) = self.private(name)?;
        sealer.read_by(Readers { membership: Membership::Roster { head }, keys });
        Some(Found::Readers)
    }

    /// The server tells keys of members.
    pub(super) fn told_keys(&mut self, name: RoomName, list: &KeyList) {
        let Some((private, sealer)) = self.private(name) else { return };
        sealer.answered();
        for user in std::mem::take(&mut private.asking) {
            let told = list.keys.iter().find(|key| key.user == user);
            // One that can't be used is none.
            private.keys.insert(user, told.and_then(|told| PublicKey::from_spki_der(&told.key).ok()));
        }
    }
}
