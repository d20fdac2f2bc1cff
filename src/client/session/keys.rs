//! What sealed rooms need before something is sealed or opened: users' keys and sender keys, which are asked for, and the work
//! with them, which is done elsewhere.

use std::time::Instant;

use super::io::{Work, WorkId};
use super::posts::{here, may_pass, retry_after};
use super::private::Found;
use super::room::{Broken, Entry};
use super::sealer::{Readers, Step};
use super::trust::Trust;
use super::vault::Unreadable;
use super::{Asked, Asker, Event, Outcome, Output, Phase, Session};
use crate::crypto::rsa::{OperationError, PublicKey};
use crate::e2e::{self, Context, Member, Membership, Package, SenderKey};
use crate::model::{Fingerprint, RoomName, UserName};
use crate::proto::message::{ErrorCode, KeyList, Keys, Refused, Reply, Request, RequestId, SenderKeyList, SenderKeys};

impl Session {
    /// Asks the server for what sealed rooms need now.
    pub(super) fn ask_for_keys(&mut self, now: Instant) {
        // First, so that what is said next knows of it.
        for user in std::mem::take(&mut self.trusting) {
            self.request(&Request::Keys(Keys { users: vec![user] }), Asker::Trust(user), now);
        }
        let inside = self.rooms.iter().filter(|(_, room)| room.sealed.is_some() && matches!(room.entry, Entry::Inside));
        let names: Vec<RoomName> = inside.map(|(name, _)| *name).collect();
        for name in names {
            self.prepare_sealing(name, now);
            let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) else { continue };
            let ids = sealed.vault.wanted();
            if !ids.is_empty() && sealed.keys_not_before.is_none_or(|due| due <= now) {
                sealed.keys_not_before = None;
                let request = Request::SenderKeys(SenderKeys { room: name, ids: ids.clone() });
                let id = self.request(&request, Asker::SenderKeys(name), now);
                if let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) {
                    sealed.vault.asked(&ids, id);
                }
            }
            self.tell_progress(name, now);
            self.ask_for_roster(name, now);
        }
    }

    /// Does the next thing that is needed before what waits can be sealed.
    fn prepare_sealing(&mut self, name: RoomName, now: Instant) {
        let before = self.asks.first_decision(name);
        let Some(room) = self.rooms.get_mut(&name).filter(|room| room.posts.waits_for_sealing(before)) else { return };
        let Some(sealed) = &mut room.sealed else { return };
        let request = match sealed.sealer.next(name, self.settings.user, now) {
            Step::Wait | Step::Ready => return,
            Step::FindReaders => match name.partner(self.settings.user) {
                Some(partner) => (Request::Keys(Keys { users: vec![partner] }), Asker::Keys(name)),
                None => match self.find_readers(name) {
                    Some(Found::Unknown(users)) => (Request::Keys(Keys { users }), Asker::Keys(name)),
                    Some(Found::Readers) => return self.prepare_sealing(name, now),
                    None => return,
                },
            },
            Step::Add(request) => (request, Asker::KeepKey(name)),
            Step::Make(job) => {
                let work = self.work(Work::Make(name), job);
                if let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) {
                    sealed.sealer.making(work);
                }
                return;
            }
        };
        let id = self.request(&request.0, request.1, now);
        if let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) {
            sealed.sealer.asked(id);
        }
    }

    pub(super) fn request(&mut self, request: &Request, by: Asker, now: Instant) -> RequestId {
        self.next_request += 1;
        let id = self.next_request;
        if let Phase::Linked(connection) = &mut self.phase {
            connection.outgoing.push(&request.encode(id));
            self.requests.insert(id, Asked { by, at: now });
        }
        id
    }

    pub(super) fn work(&mut self, what: Work, job: e2e::Job) -> WorkId {
        self.next_work += 1;
        let id = WorkId(self.next_work);
        self.works.insert(id, what);
        self.outputs.push_back(Output::Work(id, job));
        id
    }

    /// Work is done, or can't be.
    pub(super) fn worked(&mut self, id: WorkId, answer: Result<e2e::Answer, OperationError>) {
        let work = self.works.remove(&id);
        let answer = match answer {
            // Without the key nothing more can be sealed, opened or decided.
            Err(OperationError::OutOfReach) => return self.over(Outcome::KeyOutOfReach),
            answer => answer.ok(),
        };
        match (work, answer) {
            (Some(Work::Make(name)), Some(e2e::Answer::Made(key, package))) => {
                self.made(name, id, Some((key, package)));
            }
            (Some(Work::Make(name)), None) => self.made(name, id, None),
            (Some(Work::Sign), Some(e2e::Answer::Signed(signed))) => self.signed(id, Some(signed)),
            (Some(Work::Sign), None) => self.signed(id, None),
            (Some(Work::Open(name, key)), opened) => {
                let opened = match opened {
                    Some(e2e::Answer::Opened(opened)) => opened,
                    _ => Err(e2e::Unusable::Undecryptable),
                };
                let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) else { return };
                match (opened, &mut sealed.private) {
                    (Ok(opened), None) => sealed.vault.hold((*opened).into()),
                    (Ok(opened), Some(private)) => {
                        private.unchecked.push(((*opened).into(), false));
                        self.check_keys(name);
                    }
                    (Err(why), _) => sealed.vault.is_unusable(key, why.into()),
                }
                self.release(name);
            }
            _ => {}
        }
    }

    fn made(&mut self, name: RoomName, id: WorkId, made: Option<(Box<SenderKey>, Package)>) {
        let Some(room) = self.rooms.get_mut(&name) else { return };
        let Some(sealed) = &mut room.sealed else { return };
        let failed = made.is_none();
        if let Some(key) = sealed.sealer.made(id, made) {
            // What we say comes back to us.
            let opened = std::sync::Arc::clone(key.opened());
            sealed.vault.hold(opened);
        }
        if failed {
            self.refuse_posts(name, &here(ErrorCode::Malformed, "your key can't sign"));
        }
    }

    pub(super) fn refuse_posts(&mut self, name: RoomName, refused: &Refused) {
        let Some(room) = self.rooms.get_mut(&name) else { return };
        for fate in room.posts.refuse_all(refused) {
            self.tell(name, fate);
        }
    }

    /// The server has answered what was asked for the sake of sealing.
    pub(super) fn keys_replied(&mut self, by: Asker, id: RequestId, reply: Reply, now: Instant) -> Result<(), Broken> {
        const BROKEN: Broken = Broken("an answer to another question");
        match (by, reply) {
            (Asker::Trust(user), reply) => self.told_to_trust(user, reply)?,
            (Asker::Roster(name), Reply::Roster(page)) => self.told_roster(name, &page),
            (Asker::Roster(name), Reply::Error(refused)) => self.no_roster(name, &refused, now),
            (Asker::Invited(name, user), reply) => self.told_invited(name, user, reply)?,
            (Asker::Keys(name), Reply::Keys(list)) if name.is_direct() => self.told_key(name, &list, now),
            (Asker::Keys(name), Reply::Keys(list)) => self.told_keys(name, &list),
            (Asker::Keys(name), Reply::Error(refused)) => self.not_sealed(name, &refused, now),
            (Asker::KeepKey(name), Reply::Done) => {
                if let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) {
                    sealed.sealer.kept(now);
                }
            }
            (Asker::KeepKey(name), Reply::Error(refused)) => {
                if refused.code == ErrorCode::Conflict {
                    self.forget_members(name);
                }
                let sealed = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut());
                let again =
                    refused.code == ErrorCode::Conflict && sealed.is_some_and(|sealed| sealed.sealer.conflict());
                if !again {
                    self.not_sealed(name, &refused, now);
                }
            }
            (Asker::SenderKeys(name), Reply::SenderKeys(list)) => self.told_sender_keys(name, id, &list),
            (Asker::SenderKeys(name), Reply::Error(refused)) => self.no_sender_keys(name, id, &refused, now),
            (Asker::Directs, Reply::Rooms(list)) => self.told_directs(&list),
            (Asker::Directs, Reply::Error(_)) => {}
            (Asker::Seen(name), Reply::Done) => self.progress_told(name, None, now),
            (Asker::Seen(name), Reply::Error(refused)) => self.progress_told(name, Some(&refused), now),
            _ => return Err(BROKEN),
        }
        Ok(())
    }

    /// The server doesn't do what is needed for sealing: later, or what was said is refused.
    pub(super) fn not_sealed(&mut self, name: RoomName, refused: &Refused, now: Instant) {
        let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) else { return };
        if may_pass(refused) {
            sealed.sealer.put_off(now + retry_after(refused));
        } else {
            sealed.sealer.forget_readers();
            self.refuse_posts(name, refused);
        }
    }

    /// The server tells the partner's key.
    fn told_key(&mut self, name: RoomName, list: &KeyList, now: Instant) {
        let Some(partner) = name.partner(self.settings.user) else { return };
        let told = list.keys.iter().find(|key| key.user == partner);
        let key = told.map(|told| PublicKey::from_spki_der(&told.key));
        let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) else { return };
        sealed.sealer.answered();
        let key = match key {
            Some(Ok(key)) => key,
            Some(Err(_)) => {
                let text = format!("the key that the server has for {partner} is none that can be used");
                return self.not_sealed(name, &here(ErrorCode::Conflict, text), now);
            }
            None => {
                let text = format!("no user {partner} is registered");
                return self.not_sealed(name, &here(ErrorCode::NotFound, text), now);
            }
        };
        match self.known.judge(partner, key.fingerprint()) {
            Some(Trust::Pinned | Trust::Verified) => {}
            None => self.meet(partner, key.fingerprint()),
            Some(Trust::Changed | Trust::Earlier | Trust::Own) => {
                let refused = self.distrust(partner, key.fingerprint());
                return self.refuse_posts(name, &refused);
            }
        }
        self.untrusted.remove(&partner);
        let own = self.settings.own.clone();
        let me = Member { user: self.settings.user, key: own.fingerprint() };
        let other = Member { user: partner, key: key.fingerprint() };
        let Some(membership) = Membership::direct(name, me, other) else { return };
        if let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) {
            sealed.sealer.read_by(Readers { membership, keys: vec![own, key] });
        }
    }

    /// The server says that somebody has another key than the one that is trusted. Why nothing is sent to it.
    pub(super) fn distrust(&mut self, user: UserName, key: Fingerprint) -> Refused {
        let known = self.known.pin(user).map(|pin| pin.key);
        self.event(Event::KeyChanged { user, key, known });
        self.untrusted.insert(user, key);
        Refused {
            hint: Some(format!("compare the new fingerprint with {user}, then /trust {user}")),
            ..here(ErrorCode::Conflict, format!("{user} has another key than before: nothing is sent to it"))
        }
    }

    fn told_sender_keys(&mut self, name: RoomName, request: RequestId, list: &SenderKeyList) {
        let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) else { return };
        let mut jobs = Vec::new();
        for id in sealed.vault.asked_with(request) {
            match list.keys.iter().find(|key| key.id == id) {
                None => sealed.vault.is_unusable(id, Unreadable::NoKey),
                Some(key) => match &key.part {
                    None if sealed.private.is_some() => sealed.vault.is_unusable(id, Unreadable::NotThen),
                    None => sealed.vault.is_unusable(id, Unreadable::Unusable(e2e::Unusable::Undecryptable)),
                    Some(part) => {
                        let context = Context { room: name, epoch: key.epoch, sender: key.sender };
                        let (head, part) = (key.head.to_vec(), part.to_vec());
                        jobs.push((id, e2e::Job::Open { id, context, head, part }));
                    }
                },
            }
        }
        for (key, job) in jobs {
            self.work(Work::Open(name, key), job);
            if let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) {
                sealed.vault.opening(key);
            }
        }
        self.release(name);
    }

    fn no_sender_keys(&mut self, name: RoomName, request: RequestId, refused: &Refused, now: Instant) {
        let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) else { return };
        for id in sealed.vault.asked_with(request) {
            if may_pass(refused) {
                sealed.vault.want(id);
                sealed.keys_not_before = Some(now + retry_after(refused));
            } else {
                sealed.vault.is_unusable(id, Unreadable::NoKey);
            }
        }
        self.release(name);
    }
}
