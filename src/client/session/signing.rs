//! What the owner of a private room decides over it, on its way to the server: who is let in has to be known by his key, and
//! what is decided has to be signed, before it is asked for.

use std::collections::BTreeSet;
use std::time::Instant;

use super::io::{Work, WorkId};
use super::posts::here;
use super::private::BadRoster;
use super::room::{Broken, Entry};
use super::trust::Trust;
use super::{Ask, Asker, Event, Session};
use crate::crypto::rsa::PublicKey;
use crate::e2e::{Change, Draft, Head, Job, Member, Roster};
use crate::model::{PRIVATE_MEMBERS, RoomName, UserName};
use crate::proto::message::{Create, ErrorCode, HandOver, Invite, Keys, Refused, Reply, Request, RosterEntry};

/// A decision that is about to be signed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signing {
    /// Where it stands among all that the user has said and asked. Others may come to be signed meanwhile.
    order: u64,
    pub(super) awaits: Awaits,
}

/// What a decision waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Awaits {
    /// The key of who is to be let in.
    Key,
    /// The signature, under a statement of this number.
    Work(WorkId, u64),
}

impl Session {
    /// Does the next thing that is needed before decisions over private rooms can be asked for.
    pub(super) fn sign(&mut self, now: Instant) {
        let (rooms, making) = (&self.rooms, self.asks.making().collect::<BTreeSet<_>>());
        self.asks.decide(|ask| match ask {
            Ask::Create { private, .. } => Some(*private),
            Ask::Do(request) => match decides_over(request).map(|room| rooms.get(&room)) {
                Some(Some(room)) => match room.entry {
                    Entry::Inside => Some(room.sealed.as_ref().is_some_and(|sealed| sealed.private.is_some())),
                    // Its roster will not come: the server says why not.
                    Entry::Refused => Some(false),
                    // It is not known yet whether it is private.
                    Entry::Outside(_) | Entry::Asked(..) => None,
                },
                // Whether it will be private is about to be seen.
                Some(None) if decides_over(request).is_some_and(|room| making.contains(&room)) => None,
                Some(None) | None => Some(false),
            },
            _ => Some(false),
        });
        if self.signing.is_some() {
            return;
        }
        let Some((ask, order)) = self.asks.unsigned().map(|(ask, order)| (ask.clone(), order)) else { return };
        if let Ask::Do(request) = &ask
            && let Some(name) = decides_over(request)
        {
            // What was said before this is for those who are there now; what was decided before it changes what is signed.
            let said = self.rooms.get(&name).is_some_and(|room| room.posts.waits_for_sealing(order));
            if said || self.asks.first_decision(name) < order {
                return;
            }
        }
        match ask {
            Ask::Create { room, .. } => {
                let draft = Roster::new(room).draft(Change::Found { owner: self.me() });
                self.begin(order, draft);
            }
            Ask::Do(Request::Invite(Invite { room, user, .. })) => match self.owned(room) {
                Some(Ok(_)) if user == self.settings.user => {
                    self.not_signed(order, here(ErrorCode::Conflict, "that is you"));
                }
                Some(Ok(_)) => {
                    self.signing = Some(Signing { order, awaits: Awaits::Key });
                    let request = Request::Keys(Keys { users: vec![user] });
                    self.request(&request, Asker::Invited(room, user), now);
                }
                Some(Err(refused)) => self.not_signed(order, refused),
                None => {}
            },
            Ask::Do(Request::Kick(kick)) => self.draft(order, kick.room, Change::Remove { user: kick.user }),
            Ask::Do(Request::HandOver(HandOver { room, user, .. })) => match self.owned(room) {
                // With another key than the roster has for him he could decide nothing, and nobody else could.
                Some(Ok(roster))
                    if user != self.settings.user && roster.members().any(|member| member.user == user) =>
                {
                    self.signing = Some(Signing { order, awaits: Awaits::Key });
                    self.request(&Request::Keys(Keys { users: vec![user] }), Asker::Invited(room, user), now);
                }
                Some(_) => self.draft(order, room, Change::HandOver { user }),
                None => {}
            },
            _ => {}
        }
    }

    /// The roster of a room that we own, as soon as all of it is here.
    fn owned(&self, name: RoomName) -> Option<Result<&Roster, Refused>> {
        let room = self.rooms.get(&name).filter(|room| !matches!(room.entry, Entry::Refused));
        let private = room.and_then(|room| room.sealed.as_ref()?.private.as_ref());
        let Some(private) = private else {
            return Some(Err(here(ErrorCode::Forbidden, "you are not in this room any more")));
        };
        let roster = match private.roster()? {
            Ok(roster) => roster,
            Err(bad) => return Some(Err(nothing_signed(name, bad))),
        };
        match roster.owner() {
            Some(owner) if owner == self.me() => Some(Ok(roster)),
            Some(owner) => {
                let text = format!("only the owner of {name}, {}, decides who is in it", owner.user);
                Some(Err(here(ErrorCode::Forbidden, text)))
            }
            None => Some(Err(nothing_signed(name, BadRoster::Withheld))),
        }
    }

    fn draft(&mut self, order: u64, name: RoomName, change: Change) {
        let drafted = match self.owned(name) {
            None => return,
            Some(Err(refused)) => Err(refused),
            Some(Ok(roster)) => match change {
                Change::Remove { user } | Change::HandOver { user }
                    if !roster.members().any(|member| member.user == user) =>
                {
                    Err(here(ErrorCode::Conflict, format!("{user} is not in {name}")))
                }
                Change::Remove { user } | Change::HandOver { user } if user == self.settings.user => {
                    Err(here(ErrorCode::Conflict, "that is you"))
                }
                _ if !roster.takes(change) => {
                    let hint = Some("/kick those who have left".to_owned());
                    let text = format!("{PRIVATE_MEMBERS} users have been let into {name}, and not put out");
                    Err(Refused { hint, ..here(ErrorCode::Conflict, text) })
                }
                _ => Ok(roster.draft(change)),
            },
        };
        match drafted {
            Ok(draft) => self.begin(order, draft),
            Err(refused) => self.not_signed(order, refused),
        }
    }

    fn begin(&mut self, order: u64, draft: Draft) {
        let work = self.work(Work::Sign, Job::Sign { draft });
        self.signing = Some(Signing { order, awaits: Awaits::Work(work, draft.number()) });
    }

    /// The server tells the key of who is to be let in.
    pub(super) fn told_invited(&mut self, name: RoomName, user: UserName, reply: Reply) -> Result<(), Broken> {
        let told = match reply {
            Reply::Keys(list) => Ok(list.keys.into_iter().find(|key| key.user == user)),
            Reply::Error(refused) => Err(refused),
            _ => return Err(Broken("an answer to another question")),
        };
        let Some(Signing { order, awaits: Awaits::Key }) = self.signing.take() else { return Ok(()) };
        let told = match told {
            Ok(told) => told,
            Err(refused) => {
                self.not_signed(order, refused);
                return Ok(());
            }
        };
        match told.map(|told| PublicKey::from_spki_der(&told.key)) {
            None => self.not_signed(order, here(ErrorCode::NotFound, format!("no user {user} is registered"))),
            Some(Err(_)) => {
                let text = format!("the key that the server has for {user} is none that can be used");
                self.not_signed(order, here(ErrorCode::Conflict, text));
            }
            Some(Ok(key)) if matches!(self.asks.unsigned_at(order), Some(Ask::Do(Request::HandOver(_)))) => {
                let member = Member { user, key: key.fingerprint() };
                match self.owned(name) {
                    Some(Ok(roster)) if !roster.has_member(member) => {
                        let text = format!("{user} has another key than when you let him in");
                        let hint = Some(format!("/invite {user} first"));
                        self.not_signed(order, Refused { hint, ..here(ErrorCode::Conflict, text) });
                    }
                    _ => self.draft(order, name, Change::HandOver { user }),
                }
            }
            Some(Ok(key)) => {
                let key = key.fingerprint();
                match self.known.judge(user, key) {
                    Some(Trust::Pinned | Trust::Verified) => {}
                    None => self.meet(user, key),
                    Some(Trust::Changed | Trust::Earlier | Trust::Own) => {
                        let refused = self.distrust(user, key);
                        self.not_signed(order, refused);
                        return Ok(());
                    }
                }
                self.draft(order, name, Change::Add { member: Member { user, key } });
            }
        }
        Ok(())
    }

    /// A statement is signed.
    pub(super) fn signed(&mut self, id: WorkId, statement: Option<Vec<u8>>) {
        let Some(Signing { order, awaits: Awaits::Work(awaited, number) }) = self.signing else { return };
        if awaited != id {
            return;
        }
        self.signing = None;
        let Some(statement) = statement else {
            return self.not_signed(order, here(ErrorCode::Malformed, "your key can't sign"));
        };
        let roster = Some(RosterEntry { number, statement: statement.into() });
        let request = match self.asks.unsigned_at(order).cloned() {
            Some(Ask::Create { room, .. }) => Request::Create(Create { room, roster }),
            Some(Ask::Do(Request::Invite(invite))) => Request::Invite(Invite { roster, ..invite }),
            Some(Ask::Do(Request::Kick(mut kick))) => {
                kick.roster = roster;
                Request::Kick(kick)
            }
            Some(Ask::Do(Request::HandOver(mut to))) => {
                to.roster = roster;
                Request::HandOver(to)
            }
            _ => return,
        };
        self.asks.sign(order, request);
    }

    /// The server has done what was signed: it must not show a roster without it any more.
    pub(super) fn decided(&mut self, request: Request) {
        let (room, entry) = match request {
            Request::Create(Create { room, roster }) | Request::Invite(Invite { room, roster, .. }) => (room, roster),
            Request::Kick(kick) => (kick.room, kick.roster),
            Request::HandOver(to) => (to.room, to.roster),
            _ => return,
        };
        if let Some(RosterEntry { number, statement }) = entry {
            self.saw_roster(room, Head::of(number, &statement));
            self.roster_grows(room);
        }
    }

    /// A decision will not be signed, for this reason.
    fn not_signed(&mut self, order: u64, refused: Refused) {
        if let Some(ask) = self.asks.refuse_unsigned(order) {
            self.event(Event::Answered { ask, answer: Err(refused) });
        }
    }
}

/// The room in which somebody is to be let in or put out, or which is to be handed on.
pub(super) fn decides_over(request: &Request) -> Option<RoomName> {
    match request {
        Request::Invite(invite) => Some(invite.room),
        Request::Kick(kick) => Some(kick.room),
        Request::HandOver(to) => Some(to.room),
        _ => None,
    }
}

fn nothing_signed(name: RoomName, bad: BadRoster) -> Refused {
    here(ErrorCode::Conflict, format!("nothing is decided over {name}: {bad}"))
}
