//! Sealed rooms: what is said in them is opened before it is told, in its order, however long its key takes to come; and sealed
//! before it is sent.

use std::collections::VecDeque;
use std::time::Instant;

use super::io::{Said, Seal};
use super::posts::{may_pass, retry_after};
use super::private::Private;
use super::room::Broken;
use super::sealer::Sealer;
use super::trust::Trust;
use super::vault::{self, Look, Unreadable, Vault};
use super::{Answer, Arrival, Ask, Asker, Event, Output, Session};
use crate::crypto::rsa::PublicKey;
use crate::model::{Fingerprint, MessageId, RoomName, SenderKeyId, Seq, UserName};
use crate::proto::message::{
    Body, Position, Receipt, Refused, Reply, Request, RequestId, RoomList, Seen, Stored, Waiting,
};

/// Most that waits to be opened; with more, the server withholds what opens it.
const HELD: usize = 20_000;

/// What a sealed room has beside any other.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    pub(super) sealer: Sealer,
    pub(super) vault: Vault,
    /// What a private room has beside a direct one.
    pub(super) private: Option<Private>,
    /// So many messages were said while the user was not in the room, and that was not told yet.
    before: u64,
    /// What is told when everything before it could be opened.
    held: VecDeque<Held>,
    progress: Progress,
    /// Sender keys are not asked for before.
    pub(super) keys_not_before: Option<Instant>,
}

/// Something to tell.
#[derive(Debug)]
pub(super) enum Held {
    Event(Event),
    Message(Stored, Arrival),
    /// What was said in a private room just now; its roster had so many statements then, as far as we had heard.
    Live(Stored, u64),
    History {
        ask: Ask,
        messages: Vec<Stored>,
        more: bool,
    },
}

/// How far the room's messages have come, and what the server knows of that.
#[derive(Debug, Default)]
struct Progress {
    delivered: Seq,
    read: Option<Seq>,
    told: (Seq, Option<Seq>),
    asked: Option<RequestId>,
    not_before: Option<Instant>,
}

impl Sealed {
    /// Of a private room.
    pub(super) fn private(name: RoomName) -> Self {
        Self { private: Some(Private::new(name)), ..Self::default() }
    }

    /// When there is something to do, if nothing happens before.
    pub(super) fn not_before(&self) -> Option<Instant> {
        let roster = self.private.as_ref().and_then(Private::not_before);
        [self.sealer.not_before(), self.progress.not_before, self.keys_not_before, roster].into_iter().flatten().min()
    }

    /// Whether everything that came was told.
    pub(super) fn is_settled(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn disconnected(&mut self) {
        self.sealer.forget_readers();
        self.vault.disconnected();
        if let Some(private) = &mut self.private {
            private.disconnected();
        }
        (self.progress.asked, self.progress.not_before, self.keys_not_before) = (None, None, None);
    }

    /// Seals what is to be said next.
    pub(super) fn seal(&mut self, message: MessageId, body: &Body) -> Option<Body> {
        self.sealer.seal(message, body)
    }
}

impl Session {
    /// Tells something of a room, after what came before it.
    pub(super) fn tell_in(&mut self, name: RoomName, held: Held) {
        match (self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()), held) {
            (Some(sealed), held) => {
                sealed.held.push_back(held);
                self.release(name);
            }
            (None, Held::Event(event)) => self.event(event),
            (None, Held::Message(message, arrival)) => self.show(message, arrival, Seal::Open),
            (None, Held::Live(message, _)) => self.show(message, Arrival::Live, Seal::Open),
            (None, Held::History { ask, messages, more }) => {
                let messages = messages.into_iter().map(|message| Said { message, seal: Seal::Open }).collect();
                self.event(Event::Answered { ask, answer: Ok(Answer::History { messages, more }) });
            }
        }
    }

    /// Tells what can be told now.
    pub(super) fn release(&mut self, name: RoomName) {
        loop {
            let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) else { return };
            let Some(first) = sealed.held.pop_front() else { return };
            if !sealed.is_openable(&first) {
                sealed.held.push_front(first);
                return;
            }
            if let Held::Event(Event::Withdrawn { .. } | Event::Missed { .. }) = first {
                // Numbers come again, or are left out. What came before this may have waited until now.
                sealed.vault.follow_anew();
            }
            if matches!(first, Held::Event(_) | Held::History { .. }) {
                self.tell_before(name);
            }
            match first {
                Held::Event(event) => self.event(event),
                Held::Message(message, arrival) => self.open(name, message, arrival),
                Held::Live(message, heard) => self.open_unless_put_out(name, message, heard),
                Held::History { ask, messages, more } => {
                    let messages = messages.into_iter().map(|message| self.said(name, message)).collect();
                    self.event(Event::Answered { ask, answer: Ok(Answer::History { messages, more }) });
                }
            }
        }
    }

    /// Tells a message in the order of its room.
    pub(super) fn open(&mut self, name: RoomName, mut message: Stored, arrival: Arrival) {
        let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) else { return };
        sealed.progress.delivered = message.seq;
        let (sender, id) = (message.sender, message.message);
        let opened = match &message.body {
            _ if sealed.private.as_ref().is_some_and(Private::is_bad) => Err(Unreadable::Doubtful),
            Some(Body::Sealed { key, sealed: bytes }) => match sealed.vault.look(*key) {
                Look::Unusable(why) => Err(why),
                Look::Open(_) | Look::Missing => {
                    sealed.vault.open(*key, sender, id, bytes).map(|opened| (*key, opened))
                }
            },
            Some(_) => Err(Unreadable::Unsealed),
            None => Err(Unreadable::UnknownKind),
        };
        let seal = match opened {
            Ok((_, opened)) if opened.repeated => {
                return self.event(Event::Repeated { room: name, sender });
            }
            Ok((key, opened)) => {
                if opened.missing > 0 {
                    self.event(Event::Withheld { room: name, sender, count: opened.missing });
                }
                message.body = Some(opened.body);
                Seal::Sealed(self.trust_in(name, key, sender))
            }
            Err(Unreadable::NotThen) if arrival != Arrival::Live => {
                sealed.before += 1;
                return;
            }
            Err(why) => Seal::Unreadable(why),
        };
        self.tell_before(name);
        self.show(message, arrival, seal);
    }

    /// Tells what waits for keys that will not come, since we are in the room no longer: what was asked is refused for this
    /// reason.
    pub(super) fn tell_held(&mut self, name: RoomName, why: &Refused) {
        let sealed = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut());
        for held in sealed.map(|sealed| std::mem::take(&mut sealed.held)).unwrap_or_default() {
            match held {
                Held::Event(event) => self.event(event),
                Held::History { ask, .. } => self.event(Event::Answered { ask, answer: Err(why.clone()) }),
                Held::Message(message, arrival) => self.show_unopened(message, arrival),
                Held::Live(message, _) => self.show_unopened(message, Arrival::Live),
            }
        }
    }

    fn show_unopened(&mut self, mut message: Stored, arrival: Arrival) {
        message.body = None;
        self.show(message, arrival, Seal::Unreadable(Unreadable::NoKey));
    }

    /// Tells how much could not be read since the user was not there.
    fn tell_before(&mut self, name: RoomName) {
        let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) else { return };
        let count = std::mem::take(&mut sealed.before);
        if count > 0 {
            self.event(Event::BeforeYou { room: name, count });
        }
    }

    /// A message from the history.
    fn said(&mut self, name: RoomName, mut message: Stored) -> Said {
        let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) else {
            return Said { message, seal: Seal::Unreadable(Unreadable::NoKey) };
        };
        let (sender, id) = (message.sender, message.message);
        let opened = match &message.body {
            _ if sealed.private.as_ref().is_some_and(Private::is_bad) => Err(Unreadable::Doubtful),
            Some(Body::Sealed { key, sealed: bytes }) => match sealed.vault.look(*key) {
                Look::Unusable(why) => Err(why),
                Look::Missing => Err(Unreadable::NoKey),
                Look::Open(opened) => vault::open(opened, sender, id, bytes).map(|(_, body)| (*key, body)),
            },
            Some(_) => Err(Unreadable::Unsealed),
            None => Err(Unreadable::UnknownKind),
        };
        let seal = match opened {
            Ok((key, body)) => {
                message.body = Some(body);
                Seal::Sealed(self.trust_in(name, key, sender))
            }
            Err(why) => Seal::Unreadable(why),
        };
        Said { message, seal }
    }

    /// How far the key is trusted that has signed a sender key. The first one that is seen of somebody is trusted from then on.
    fn trust_in(&mut self, name: RoomName, key: SenderKeyId, sender: UserName) -> Trust {
        let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) else {
            return Trust::Changed;
        };
        let Look::Open(opened) = sealed.vault.look(key) else { return Trust::Changed };
        let signer = opened.signer().fingerprint();
        if sender == self.settings.user {
            return if signer == self.settings.own.fingerprint() { Trust::Own } else { Trust::Changed };
        }
        self.known.judge(sender, signer).unwrap_or_else(|| {
            self.meet(sender, signer);
            Trust::Pinned
        })
    }

    /// Trusts the first key of a user that is seen, and sees to it that this is remembered.
    pub(super) fn meet(&mut self, user: UserName, key: Fingerprint) {
        let pin = self.known.trust(user, key, false).clone();
        self.outputs.push_back(Output::Meet(user, pin));
    }

    /// The user trusts somebody's key: this one, or the one that the server says he has now.
    pub(super) fn trust_now(&mut self, user: UserName, key: Option<Fingerprint>, verified: bool) {
        match key.or_else(|| self.untrusted.get(&user).copied()) {
            Some(key) => self.trust(user, key, verified),
            None => drop(self.trusting.insert(user)),
        }
    }

    fn trust(&mut self, user: UserName, key: Fingerprint, verified: bool) {
        self.untrusted.remove(&user);
        let pin = self.known.trust(user, key, verified).clone();
        self.outputs.push_back(Output::Decide(user, pin.clone()));
        self.key_changed(user);
        self.event(Event::Trusted { user, pin });
    }

    /// Something is new in a direct room.
    pub(super) fn waits(&mut self, waiting: &Waiting) {
        let Waiting { room, last } = *waiting;
        if room.partner(self.settings.user).is_none() || !self.is_about(room) {
            return;
        }
        if self.may_join(room) {
            self.know(room);
        } else if last > Seq(0) {
            let text = format!("something was said in {room}, and you are in too many rooms to see it: /leave one");
            self.event(Event::Notice(text));
        }
    }

    /// In which direct rooms there is something that was not read.
    pub(super) fn told_directs(&mut self, list: &RoomList) {
        for info in &list.rooms {
            let nothing = self.follows().then_some(Seq(0));
            let read = self.known.read(info.room).map(|read| read.seq).or(nothing);
            let is_unread = self.is_about(info.room) && read.is_some_and(|read| info.last > read);
            if is_unread && info.room.partner(self.settings.user).is_some() && self.may_join(info.room) {
                self.know(info.room);
            }
        }
    }

    /// Somebody has another key.
    pub(super) fn key_changed(&mut self, user: UserName) {
        for (name, room) in &mut self.rooms {
            let Some(sealed) = &mut room.sealed else { continue };
            match &mut sealed.private {
                Some(private) => private.forget_key(user),
                None if name.partner(self.settings.user) == Some(user) => {}
                None => continue,
            }
            sealed.sealer.forget_readers();
        }
    }

    /// A user of this client has seen what was said, up to this message.
    pub(super) fn has_read(&mut self, name: RoomName, seq: Seq) {
        let Some(position) = self.rooms.get(&name).and_then(|room| room.position(seq)) else { return };
        let before = self.known.read(name);
        self.known.has_read(name, position);
        if self.known.read(name) != before {
            self.remember_read(name, Some(position));
        }
        if self.settings.receipts
            && let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut())
        {
            sealed.progress.read = sealed.progress.read.max(Some(seq));
        }
    }

    /// The server has lost what came after this position.
    pub(super) fn lost_read(&mut self, name: RoomName, position: Position) {
        if self.known.read(name).is_some_and(|read| read.seq > position.seq) {
            self.forget_read(name);
            self.known.has_read(name, position);
            self.remember_read(name, Some(position));
        }
    }

    /// What was read of a room means nothing any more.
    pub(super) fn forget_read(&mut self, name: RoomName) {
        if self.known.read(name).is_some() {
            self.known.forget_read(name);
            self.remember_read(name, None);
        }
    }

    /// For the user's next session, if this one is one of those in which he reads.
    pub(super) fn remember_read(&mut self, name: RoomName, position: Option<Position>) {
        if !self.follows() {
            self.outputs.push_back(Output::HasRead(name, position));
        }
    }

    /// The server says which key somebody has whom the user wants to trust.
    pub(super) fn told_to_trust(&mut self, user: UserName, reply: Reply) -> Result<(), Broken> {
        let key = match reply {
            Reply::Keys(list) => list.keys.iter().find(|key| key.user == user).map(|key| key.key.clone()),
            Reply::Error(_) => None,
            _ => return Err(Broken("an answer to another question")),
        };
        match key.map(|key| PublicKey::from_spki_der(&key)) {
            Some(Ok(key)) => self.trust(user, key.fingerprint(), false),
            Some(Err(_)) | None => {
                self.event(Event::Notice(format!("the server has no key of {user}: nothing to trust")));
            }
        }
        Ok(())
    }

    pub(super) fn tell_progress(&mut self, name: RoomName, now: Instant) {
        if !self.listens() {
            // Nobody is told of what comes.
            return;
        }
        let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) else { return };
        let progress = &mut sealed.progress;
        let read = progress.read.map(|read| read.min(progress.delivered));
        let current = (progress.delivered, read);
        let waits = progress.asked.is_some() || progress.not_before.is_some_and(|due| due > now);
        if sealed.private.is_some() || waits || current == progress.told || !sealed.held.is_empty() {
            return;
        }
        progress.not_before = None;
        progress.told = current;
        let request = Request::Seen(Seen { room: name, delivered: current.0, read });
        let id = self.request(&request, Asker::Seen(name), now);
        if let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) {
            sealed.progress.asked = Some(id);
        }
    }

    /// The server has taken that, or not.
    pub(super) fn progress_told(&mut self, name: RoomName, refused: Option<&Refused>, now: Instant) {
        let Some(sealed) = self.rooms.get_mut(&name).and_then(|room| room.sealed.as_mut()) else { return };
        sealed.progress.asked = None;
        if let Some(refused) = refused.filter(|refused| may_pass(refused)) {
            sealed.progress.told = Default::default();
            sealed.progress.not_before = Some(now + retry_after(refused));
        }
    }

    /// How far what was said in a room has come with somebody.
    pub(super) fn receipt(&mut self, receipt: Receipt) {
        if receipt.user != self.settings.user && self.rooms.contains_key(&receipt.room) {
            self.tell_in(receipt.room, Held::Event(Event::Receipt(receipt)));
        }
    }

    /// What is still to be told is not more than a server may have us wait for.
    pub(super) fn check_held(&self, name: RoomName) -> Result<(), Broken> {
        let held = self.rooms.get(&name).and_then(|room| room.sealed.as_ref()).map_or(0, |sealed| sealed.held.len());
        if held > HELD { Err(Broken("the keys of messages don't come")) } else { Ok(()) }
    }
}

impl Sealed {
    /// Whether everything that is needed to tell this is here; what is not is asked for.
    fn is_openable(&mut self, held: &Held) -> bool {
        let messages = match held {
            Held::Event(_) => return true,
            Held::Live(message, heard) => {
                match self.private.as_ref().map(|private| private.is_put_out(message.sender, *heard)) {
                    // It is about to be told.
                    Some(None) => return false,
                    // No key is needed to know that.
                    Some(Some(true)) => return true,
                    Some(Some(false)) | None => std::slice::from_ref(message),
                }
            }
            Held::Message(message, _) => std::slice::from_ref(message),
            Held::History { messages, .. } => messages,
        };
        let mut openable = true;
        for message in messages {
            if let Some(Body::Sealed { key, .. }) = &message.body {
                openable &= !matches!(self.vault.look(*key), Look::Missing);
            }
        }
        openable
    }

    /// A message was refused for good.
    pub(super) fn retire(&mut self) {
        self.sealer.retire();
    }
}
