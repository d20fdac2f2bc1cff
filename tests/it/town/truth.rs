//! What was really said and decided, and what must never be shown or sent.

use std::collections::{BTreeMap, BTreeSet};

use rsachat::client::session::{Answer, Arrival, Ask, Event, Known, Seal};
use rsachat::model::{Fingerprint, MessageId, RoomName, SenderKeyId, UserName};
use rsachat::proto::message::{Body, Membership, Post, Request, Stored};

/// A message, as somebody has typed it.
#[derive(Debug, Clone)]
struct Said {
    client: usize,
    user: UserName,
    room: RoomName,
    body: Body,
    /// Its place among all that was typed.
    number: u64,
    /// Whom its writer knew to be put out of the room, with how often he had been let in by then.
    out: BTreeMap<UserName, usize>,
    accepted: bool,
}

/// What everybody has typed.
#[derive(Debug, Default)]
pub(super) struct Truth {
    said: BTreeMap<MessageId, Said>,
    /// Of everybody's true key.
    keys: BTreeMap<UserName, Fingerprint>,
    /// Whom the owners of private rooms have let in at some time, themselves included.
    let_in: BTreeMap<RoomName, BTreeSet<UserName>>,
    /// How often somebody was to be let in, and how many of these have not been answered. Of a room that was handed on all that
    /// is said of it is forgotten.
    invitations: BTreeMap<(RoomName, UserName), (usize, usize)>,
    handed_on: BTreeSet<RoomName>,
    /// For whom sender keys are.
    readers: BTreeMap<SenderKeyId, BTreeSet<Fingerprint>>,
    /// Under which sender key a message was sealed.
    sealed: BTreeMap<MessageId, SenderKeyId>,
}

/// What one client has shown, over one life.
#[derive(Debug, Default)]
pub(super) struct Screen {
    shown: BTreeSet<MessageId>,
    /// The last message of each client in each room.
    last: BTreeMap<(RoomName, usize), u64>,
    /// Whom its user has put out, with how often they had been let in by then.
    out: BTreeMap<RoomName, BTreeMap<UserName, usize>>,
    /// Where it has shown something, or has said that something is not shown.
    begun: BTreeSet<RoomName>,
}

impl Truth {
    pub(super) fn new(keys: BTreeMap<UserName, Fingerprint>) -> Self {
        Self { keys, ..Self::default() }
    }

    /// A user makes a private room, or lets somebody into one: the only way to be let in.
    pub(super) fn asked(&mut self, user: UserName, ask: &Ask) {
        match ask {
            Ask::Create { room, private: true } => drop(self.let_in.entry(*room).or_default().insert(user)),
            Ask::Do(Request::Invite(invite)) => {
                self.let_in.entry(invite.room).or_default().insert(invite.user);
                let (times, open) = self.invitations.entry((invite.room, invite.user)).or_default();
                (*times, *open) = (*times + 1, *open + 1);
            }
            Ask::Do(Request::HandOver(to)) => drop(self.handed_on.insert(to.room)),
            _ => {}
        }
    }

    /// What a client's user sees.
    pub(super) fn sees(&mut self, client: usize, user: UserName, screen: &mut Screen, known: &Known, event: &Event) {
        match event {
            Event::Pending { id, room, body } => {
                let number = self.said.len() as u64;
                let out = screen.out.get(room).cloned().unwrap_or_default();
                let (room, body) = (*room, body.clone());
                self.said.insert(*id, Said { client, user, room, body, number, out, accepted: false });
            }
            Event::Accepted { id, .. } => {
                if let Some(said) = self.said.get_mut(id) {
                    said.accepted = true;
                }
            }
            Event::Message { message, arrival, seal, .. } => {
                self.check(message, *seal, known);
                let read = known.read(message.room).filter(|_| screen.begun.insert(message.room));
                assert!(
                    read.is_none_or(|read| message.seq <= read.seq.next()),
                    "read up to {read:?}, then {message:?}"
                );
                if let Seal::Sealed(_) = seal {
                    assert!(screen.shown.insert(message.message), "shown twice: {message:?}");
                    let said = &self.said[&message.message];
                    let last = screen.last.insert((said.room, said.client), said.number);
                    let ordered = last.is_none_or(|last| last < said.number);
                    assert!(ordered || *arrival == Arrival::Backlog, "shown in another order than said: {message:?}");
                }
            }
            Event::Answered { ask: Ask::Do(Request::Kick(kick)), answer: Ok(_) } => {
                let (times, open) = self.invitations.get(&(kick.room, kick.user)).copied().unwrap_or_default();
                // Of a room that a client does not know as private, a server may say that anything is done.
                if open == 0 && known.roster(kick.room).is_some() {
                    screen.out.entry(kick.room).or_default().insert(kick.user, times);
                }
            }
            Event::Answered { ask: Ask::Do(Request::Invite(invite)), .. } => {
                if let Some((_, open)) = self.invitations.get_mut(&(invite.room, invite.user)) {
                    *open -= 1;
                }
            }
            Event::Answered { answer: Ok(Answer::History { messages, .. }), .. } => {
                for said in messages {
                    self.check(&said.message, said.seal, known);
                }
            }
            Event::Missed { room, .. } | Event::BeforeYou { room, .. } | Event::Repeated { room, .. } => {
                screen.begun.insert(*room);
            }
            // What comes again from there on, or when he comes anew, is no repetition.
            Event::Withdrawn { room, .. }
            | Event::Left { room }
            | Event::NotEntered { room, .. }
            | Event::Membership(Membership { room, member: false, .. }) => {
                screen.begun.insert(*room);
                screen.shown.retain(|id| self.said.get(id).is_none_or(|said| said.room != *room));
                screen.last.retain(|(of, _), _| of != room);
            }
            _ => {}
        }
    }

    /// What is shown as sealed is what was said; what has to be sealed is.
    fn check(&self, message: &Stored, seal: Seal, known: &Known) {
        match seal {
            Seal::Sealed(_) => {
                let said = self.said.get(&message.message).unwrap_or_else(|| panic!("nobody said {message:?}"));
                assert_eq!((message.sender, message.room), (said.user, said.room), "{message:?}");
                assert_eq!(message.body.as_ref(), Some(&said.body), "{message:?}");
            }
            Seal::Open => {
                let sealed = message.room.is_direct() || known.roster(message.room).is_some();
                assert!(!sealed, "shown, and was not sealed: {message:?}");
            }
            Seal::Unreadable(_) => {}
        }
    }

    /// What a client sends.
    pub(super) fn sends(&mut self, user: UserName, known: &Known, request: &Request) {
        match request {
            Request::AddSenderKey(add) => {
                let allowed: BTreeSet<UserName> = match add.room.pair() {
                    Some((one, other)) => [one, other].into(),
                    None => self.let_in.get(&add.room).cloned().unwrap_or_default(),
                };
                let allowed: BTreeSet<Fingerprint> =
                    allowed.iter().filter_map(|user| self.keys.get(user)).copied().collect();
                for recipient in &add.recipients {
                    assert!(allowed.contains(&recipient.member), "{user} seals to somebody else in {}", add.room);
                    self.readers.entry(add.id).or_default().insert(recipient.member);
                }
            }
            Request::Post(Post { room, body: Body::Sealed { key, .. }, message, .. }) => {
                let said = &self.said[message];
                assert_eq!(said.room, *room);
                for (out, times) in &said.out {
                    let again = self.invitations.get(&(*room, *out)).is_some_and(|(now, _)| now > times);
                    if again || self.handed_on.contains(room) {
                        continue;
                    }
                    let reads = self.readers.get(key).is_some_and(|readers| readers.contains(&self.keys[out]));
                    assert!(!reads, "{user} has put {out} out of {room}, and seals to him: {said:?}");
                }
                self.sealed.insert(*message, *key);
            }
            Request::Post(post) => {
                let sealed = post.room.is_direct() || known.roster(post.room).is_some();
                assert!(!sealed, "{user} sends to {}, and does not seal: {post:?}", post.room);
            }
            _ => {}
        }
    }

    /// Those in whose history a message has to be, in its words if they are among its readers: all that was accepted.
    pub(super) fn check_history(
        &self,
        user: UserName,
        room: RoomName,
        shown: &[rsachat::client::session::Said],
    ) -> usize {
        let mine = self.keys[&user];
        let mut opened = 0;
        for (id, said) in self.said.iter().filter(|(_, said)| said.room == room && said.accepted) {
            let found = shown.iter().find(|shown| shown.message.message == *id);
            let found = found.unwrap_or_else(|| panic!("{user} is not told of {said:?}"));
            let is_for = self.sealed.get(id).is_none_or(|key| self.readers[key].contains(&mine));
            let reads = !matches!(found.seal, Seal::Unreadable(_));
            assert_eq!(reads, is_for, "{user} reads what is for him: {:?}, {said:?}", found.seal);
            opened += usize::from(reads && self.sealed.contains_key(id));
        }
        opened
    }

    /// All rooms that somebody has spoken in.
    pub(super) fn rooms(&self) -> BTreeSet<RoomName> {
        self.said.values().map(|said| said.room).collect()
    }
}
