//! Judges every step of a run's hub by what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use rsachat::hub::{ConsoleCommand, DRAIN, Input, Output};
use rsachat::journal::{StoreCommand, StoreEvent};
use rsachat::model::{Fingerprint, Incarnation, Seq, SessionId, UserName};
use rsachat::proto::close::CloseCode;
use rsachat::proto::message::{PREFIX_BYTES, PeopleList, Presence, Reply, Request, RequestId, ServerMessage, Stored};

use super::disk::Disk;
use super::said::{Registered, Said};
use super::world::Seen;

/// What is known of a run's hub.
#[derive(Debug)]
pub(super) struct Judge {
    incarnation: Incarnation,
    registered: Registered,
    /// Who is connected, until the hub is told that he is gone.
    sessions: BTreeMap<SessionId, (UserName, Fingerprint)>,
    /// Sessions that have to go, because their key was removed or they were kicked, with the number of the hub's first output after that.
    barred: BTreeMap<SessionId, u64>,
    told_to_close: BTreeSet<SessionId>,
    /// Sessions in the room.
    inside: BTreeSet<SessionId>,
    /// Who is in the room, as far as it was told.
    told: BTreeSet<UserName>,
    now: Instant,
    store_fails: bool,
    /// The hub was told to end: it tells nobody any more who comes and leaves, and waits for the store until then ...
    ending: Option<Instant>,
    /// ... and hears nothing any more once it has.
    stopped: bool,
    /// Requests without answers.
    open: BTreeMap<(SessionId, RequestId), Request>,
    /// Up to where the sessions that have entered were given all.
    given: BTreeMap<SessionId, Seq>,
    /// What was said, by the number of the hub's output that says it.
    numbers: BTreeMap<u64, Seq>,
    /// How many outputs the hub has given.
    outputs: u64,
    /// The last number that was given.
    last: Seq,
}

impl Judge {
    pub(super) fn new(incarnation: Incarnation, last: Seq, now: Instant) -> Self {
        Self {
            incarnation,
            registered: Registered::new(),
            sessions: BTreeMap::new(),
            barred: BTreeMap::new(),
            told_to_close: BTreeSet::new(),
            inside: BTreeSet::new(),
            told: BTreeSet::new(),
            now,
            store_fails: false,
            ending: None,
            stopped: false,
            open: BTreeMap::new(),
            given: BTreeMap::new(),
            numbers: BTreeMap::new(),
            outputs: 0,
            last,
        }
    }

    /// Notes what the hub is about to be told; `due` if it is time to tell who came and left.
    pub(super) fn before(&mut self, input: &Input, now: Instant, due: bool) {
        self.now = now;
        if due && self.inside.is_empty() {
            // Nobody is there to be told.
            self.told.clear();
        }
        match input {
            Input::Registered { user, fingerprint, .. } => {
                self.registered.insert(*user, *fingerprint);
                self.bar(|(of, key)| of == user && key != fingerprint);
            }
            Input::Unregistered { user } => {
                self.registered.remove(user);
                self.bar(|(of, _)| of == user);
            }
            Input::Opened { session, user, fingerprint, .. } => {
                if self.registered.get(user) == Some(fingerprint) {
                    self.sessions.insert(*session, (*user, *fingerprint));
                } else {
                    self.barred.insert(*session, self.outputs);
                }
            }
            Input::Request { session, id, request }
                if self.sessions.contains_key(session) && !self.told_to_close.contains(session) =>
            {
                let before = self.open.insert((*session, *id), request.clone());
                assert_eq!(before, None, "a request's id is used twice");
            }
            Input::Gone { session } => {
                self.sessions.remove(session);
                self.over(*session);
            }
            Input::Console(ConsoleCommand::Kick(user)) => self.bar(|(of, _)| of == user),
            Input::Store(StoreEvent::Failing { .. }) => self.store_fails = true,
            Input::Store(StoreEvent::Recovered) => self.store_fails = false,
            Input::Shutdown { .. } => self.ending = Some(now + DRAIN),
            _ => {}
        }
    }

    fn bar(&mut self, concerns: impl Fn(&(UserName, Fingerprint)) -> bool) {
        let out = self.sessions.iter().filter(|(_, session)| concerns(session)).map(|(id, _)| (*id, self.outputs));
        out.for_each(|(id, since)| {
            self.barred.entry(id).or_insert(since);
        });
    }

    /// Nothing is due to a session any more.
    fn over(&mut self, session: SessionId) {
        self.inside.remove(&session);
        self.open.retain(|(of, _), _| *of != session);
    }

    /// Judges what the hub wants done. Returns which of its outputs it is.
    pub(super) fn output(&mut self, output: &Output, disk: &Disk, said: &mut Said, seen: &mut Seen) -> u64 {
        let index = self.outputs;
        self.outputs += 1;
        match output {
            Output::To { session, bytes } => {
                assert!(!self.barred.contains_key(session), "{session:?} is out, and is told something");
                assert!(self.sessions.contains_key(session), "{session:?} is unknown, and is told something");
                assert!(!self.told_to_close.contains(session), "something after the close of {session:?}");
                for message in decode(bytes) {
                    match message {
                        ServerMessage::Reply(id, reply) => self.answered(*session, id, &reply, disk, seen),
                        ServerMessage::Part(id, _) => {
                            assert!(self.open.contains_key(&(*session, id)), "a part of no answer");
                        }
                        ServerMessage::Message(_) => panic!("something said, to one alone"),
                        _ => {}
                    }
                }
            }
            Output::ToRoom { bytes, .. } => {
                for message in decode(bytes) {
                    match message {
                        ServerMessage::Message(message) => {
                            assert_eq!(message.seq, self.last.next(), "a number was left out or used twice");
                            self.last = message.seq;
                            assert!(self.is_wanted(&message), "{message:?}: nobody is there who posts it");
                            self.numbers.insert(index, message.seq);
                            said.add(self.incarnation, message, &self.registered);
                        }
                        ServerMessage::Presence(presence) => self.came_and_left(&presence, seen),
                        other => panic!("{other:?}, to a room"),
                    }
                }
            }
            Output::Enter { session, .. } => {
                assert!(self.sessions.contains_key(session) && !self.barred.contains_key(session));
                assert!(self.given.contains_key(session), "{session:?} enters before it was given what it missed");
                assert!(self.inside.insert(*session), "{session:?} enters twice");
            }
            Output::Exit { .. } => panic!("everyone is in the lobby"),
            Output::Close { session, reason } => {
                if reason.code == CloseCode::Shutdown
                    && !self.store_fails
                    && self.ending.is_some_and(|end| self.now < end)
                {
                    let of = (*session, RequestId::MIN)..=(*session, RequestId::MAX);
                    let post = self.open.range(of).find(|(_, request)| matches!(request, Request::Post(_)));
                    assert_eq!(post, None, "closed too early");
                }
                self.told_to_close.insert(*session);
                self.over(*session);
            }
            Output::Store(StoreCommand::Append { record, .. }) => {
                assert_eq!(record.seq, self.last, "stored under another number than said");
            }
            Output::Store(
                StoreCommand::Change { .. } | StoreCommand::ReadKeys { .. } | StoreCommand::ReadRoster { .. },
            ) => {
                panic!("nobody decides anything")
            }
            Output::Invite(_) => panic!("nobody invites"),
            Output::Record(_) => panic!("there is no message log"),
            Output::Stopped => self.stopped = true,
            Output::Store(StoreCommand::Lookup { .. } | StoreCommand::Read { .. })
            | Output::Console(_)
            | Output::Log(_) => {}
        }
        index
    }

    /// The hub has said all that follows from an input; `quiet` if nothing is to be told later.
    pub(super) fn after(&mut self, quiet: bool) {
        if self.stopped {
            return;
        }
        let goes_on = self.barred.keys().find(|session| !self.told_to_close.contains(session));
        assert_eq!(goes_on, None, "a session that has to go goes on");
        if quiet && self.ending.is_none() {
            assert_eq!(self.told, self.people(), "the room was not told who is there");
        }
    }

    /// A reactor gives what an output says to a session that it takes to be in the room.
    pub(super) fn delivered(&mut self, session: SessionId, index: u64) {
        let barred = self.barred.get(&session).is_some_and(|since| *since <= index);
        assert!(!barred, "{session:?} is out, and gets what is said");
        if let Some(seq) = self.numbers.get(&index) {
            let before = self.given.insert(session, *seq).map(Seq::next);
            assert_eq!(before, Some(*seq), "{session:?} is given something too early, twice or not at all");
        }
    }

    /// What must hold when everything is settled.
    pub(super) fn check_final(&self) {
        assert_eq!(self.open, BTreeMap::new(), "requests without an answer");
    }

    /// Whether its sender is there, and waits for an answer to just this.
    fn is_wanted(&self, said: &Stored) -> bool {
        self.open.iter().any(|((session, _), request)| {
            let Request::Post(post) = request else { return false };
            let from = self.sessions.get(session).map(|(user, _)| *user);
            (from, post.message, Some(&post.body)) == (Some(said.sender), said.message, said.body.as_ref())
        })
    }

    fn people(&self) -> BTreeSet<UserName> {
        self.inside.iter().map(|session| self.sessions[session].0).collect()
    }

    fn came_and_left(&mut self, presence: &Presence, seen: &mut Seen) {
        seen.presence += 1;
        let set = |users: &[UserName]| users.iter().copied().collect::<BTreeSet<_>>();
        let people = self.people();
        let came: BTreeSet<_> = people.difference(&self.told).copied().collect();
        let left: BTreeSet<_> = self.told.difference(&people).copied().collect();
        assert_eq!((set(&presence.came), set(&presence.left)), (came, left), "who came, and who left");
        self.told = people;
    }

    fn check_people(&self, list: &PeopleList) {
        let named: BTreeSet<_> = list.people.iter().map(|person| person.user).collect();
        assert_eq!(named, self.people(), "who is said to be there, and who is");
        for person in &list.people {
            let sessions = self.sessions.iter().filter(|(session, _)| !self.told_to_close.contains(session));
            let count = sessions.filter(|(_, (user, _))| *user == person.user).count();
            assert_eq!(person.sessions as usize, count, "connections of {}", person.user);
        }
    }

    fn answered(&mut self, session: SessionId, id: RequestId, reply: &Reply, disk: &Disk, seen: &mut Seen) {
        let asked = self.open.remove(&(session, id));
        let asked = asked.unwrap_or_else(|| panic!("{session:?} got an answer to {id} twice, or to no request"));
        match reply {
            Reply::Accepted(accepted) => {
                let (user, _) = self.sessions[&session];
                let Request::Post(post) = asked else { panic!("{asked:?} is accepted") };
                let place = disk.find(user, post.message);
                assert_eq!(place, Some((accepted.seq, accepted.time)), "acknowledged and not on disk");
            }
            Reply::Joined(joined) => {
                seen.pages += u32::from(!joined.caught_up);
                if joined.caught_up {
                    self.given.insert(session, joined.last);
                }
                seen.gone += u32::from(joined.gone > 0);
                seen.withdrawals += u32::from(joined.withdrawn_after.is_some());
            }
            Reply::HistoryEnd(end) => seen.more += u32::from(end.more),
            Reply::People(list) => self.check_people(list),
            Reply::Error(refused) => *seen.refusals.entry(format!("{:?}", refused.code)).or_default() += 1,
            _ => {}
        }
    }
}

/// The messages in a buffer.
fn decode(mut bytes: &[u8]) -> Vec<ServerMessage> {
    let mut messages = Vec::new();
    while let Some((&[a, b, c], rest)) = bytes.split_first_chunk::<PREFIX_BYTES>() {
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        messages.push(ServerMessage::decode(&rest[..length]).unwrap());
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty(), "half a message");
    messages
}
