//! A server with users, many rooms, and a store that takes everything at once.

use super::super::*;
use super::create;
use crate::journal::{Change, KeptKey, Sanction};
use crate::model::SenderKeyId;
use crate::proto::message::{RoomList, Rooms};

const EVERYONE: [&str; 4] = ["admin", "alice", "bob", "carol"];

pub(crate) fn room(text: &str) -> RoomName {
    text.parse().unwrap()
}

/// A server with users, and what is on its disk.
pub(crate) struct Town {
    pub(crate) hub: Hub,
    pub(crate) now: Instant,
    pub(crate) wall: Timestamp,
    pub(crate) inboxes: BTreeMap<SessionId, Vec<ServerMessage>>,
    pub(crate) inside: BTreeSet<(RoomName, SessionId)>,
    pub(crate) closed: BTreeMap<SessionId, CloseReason>,
    disk: Restored,
    kept: Vec<StoredRecord>,
    keys: Vec<Change>,
    rosters: Vec<(RoomName, u64, Vec<u8>)>,
    asked: VecDeque<StoreCommand>,
    /// Those that nobody has made yet.
    pub(crate) invitations: VecDeque<Invitation>,
    pub(crate) next: u64,
    /// The time before each request: so long that nobody is slowed down.
    pub(crate) pace: Duration,
}

impl Town {
    pub(crate) fn new() -> Self {
        Self::start(settings(), Restored::default())
    }

    pub(crate) fn start(settings: Settings, disk: Restored) -> Self {
        let mut town = Self {
            hub: Hub::new(settings, disk.clone()),
            now: Instant::now(),
            wall: Timestamp(1_000_000),
            inboxes: BTreeMap::new(),
            inside: BTreeSet::new(),
            closed: BTreeMap::new(),
            disk,
            kept: Vec::new(),
            keys: Vec::new(),
            rosters: Vec::new(),
            asked: VecDeque::new(),
            invitations: VecDeque::new(),
            next: 0,
            pace: Duration::from_secs(1),
        };
        for user in EVERYONE.map(name) {
            town.handle(registered(user, key(user)));
        }
        town
    }

    /// The server is killed, and starts again on what is on its disk.
    pub(crate) fn restart(self) -> Self {
        let disk = Restored { incarnation: Incarnation(self.disk.incarnation.0 + 1), ..self.disk };
        Self { kept: self.kept, keys: self.keys, rosters: self.rosters, ..Self::start(self.hub.settings.clone(), disk) }
    }

    pub(crate) fn handle(&mut self, input: Input) {
        self.hub.handle(input, self.now, self.wall);
        assert_eq!(self.hub.check_invariants(), Ok(()));
        while let Some(output) = self.hub.poll() {
            match output {
                Output::To { session, bytes } => self.inboxes.get_mut(&session).unwrap().extend(messages(&bytes)),
                Output::ToRoom { room, bytes } => {
                    for (_, session) in self.inside.iter().filter(|(inside, _)| *inside == room) {
                        self.inboxes.get_mut(session).unwrap().extend(messages(&bytes));
                    }
                }
                Output::Enter { session, room } => assert!(self.inside.insert((room, session)), "entered twice"),
                Output::Exit { session, room } => assert!(self.inside.remove(&(room, session)), "left twice"),
                Output::Close { session, reason } => {
                    self.inside.retain(|(_, inside)| *inside != session);
                    self.closed.insert(session, reason);
                }
                Output::Store(command) => self.asked.push_back(command),
                Output::Invite(invitation) => self.invitations.push_back(invitation),
                Output::Log(_) | Output::Console(_) | Output::Record(_) | Output::Stopped => {}
            }
        }
    }

    pub(crate) fn commit(&mut self) {
        while let Some(command) = self.asked.pop_front() {
            let token = match command {
                StoreCommand::Append { token, record, .. } => {
                    let at = known(&mut self.disk, record.room);
                    let incarnation = self.disk.incarnation;
                    let room = &mut self.disk.rooms[at];
                    room.last = record.seq;
                    if room.starts.last().is_none_or(|(start, _)| *start < incarnation) {
                        room.starts.push((incarnation, record.seq));
                    }
                    self.kept.push(record);
                    token
                }
                StoreCommand::Read { token, span } => {
                    let (records, more) = page(self.kept.iter(), &span);
                    self.handle(Input::Store(StoreEvent::Page { token, records, more }));
                    continue;
                }
                StoreCommand::ReadKeys { token, room, ids, member } => {
                    let keys = keys(&self.keys, room, &ids, member);
                    self.handle(Input::Store(StoreEvent::Keys { token, keys }));
                    continue;
                }
                StoreCommand::ReadRoster { token, room, after, .. } => {
                    let statements = self.rosters.iter().filter(|(of, number, _)| *of == room && *number > after);
                    let statements = statements.map(|(_, _, statement)| statement.clone()).collect();
                    self.handle(Input::Store(StoreEvent::Roster { token, statements }));
                    continue;
                }
                StoreCommand::Lookup { token, .. } => {
                    self.handle(Input::Store(StoreEvent::Found { token, place: None }));
                    continue;
                }
                StoreCommand::Change { token, changes } => {
                    for change in changes {
                        match change {
                            Change::SenderKey { .. } => self.keys.push(change),
                            Change::Roster { room, number, statement } => {
                                let at = known(&mut self.disk, room);
                                self.disk.rooms[at].roster = number;
                                self.rosters.push((room, number, statement));
                            }
                            change => write(&mut self.disk, change),
                        }
                    }
                    token
                }
            };
            self.handle(Input::Store(StoreEvent::Stored { tokens: vec![token] }));
        }
    }

    /// The store finds what it was asked for.
    pub(crate) fn find(&mut self, place: (Seq, Timestamp)) {
        let Some(StoreCommand::Lookup { token, .. }) = self.asked.pop_front() else { panic!("nothing is looked for") };
        self.handle(Input::Store(StoreEvent::Found { token, place: Some(place) }));
    }

    pub(crate) fn comes(&mut self, user: &str) -> SessionId {
        self.next += 1;
        let (session, user) = (SessionId(self.next), name(user));
        self.inboxes.insert(session, Vec::new());
        self.handle(Input::Opened { session, user, fingerprint: key(user), client: String::new() });
        session
    }

    /// The rooms that a session is told to join.
    pub(crate) fn welcomed_to(&mut self, session: SessionId) -> Vec<String> {
        let welcome = self.inboxes[&session].iter().find_map(|message| match message {
            ServerMessage::Welcome(welcome) => Some(welcome.rooms.iter().map(ToString::to_string).collect()),
            _ => None,
        });
        welcome.unwrap()
    }

    pub(crate) fn begin(&mut self, session: SessionId, request: Request) -> RequestId {
        self.now += self.pace;
        self.next += 1;
        let id = self.next;
        self.handle(Input::Request { session, id, request });
        id
    }

    pub(crate) fn answer(&mut self, session: SessionId, id: RequestId) -> Option<Result<Reply, Refused>> {
        let inbox = self.inboxes.get_mut(&session).unwrap();
        let at = inbox.iter().position(|message| matches!(message, ServerMessage::Reply(of, _) if *of == id))?;
        match inbox.remove(at) {
            ServerMessage::Reply(_, Reply::Error(refused)) => Some(Err(refused)),
            ServerMessage::Reply(_, reply) => Some(Ok(reply)),
            _ => None,
        }
    }

    pub(crate) fn ask(&mut self, session: SessionId, request: Request) -> Result<Reply, Refused> {
        let id = self.begin(session, request);
        self.commit();
        self.answer(session, id).expect("an answer")
    }

    pub(crate) fn done(&mut self, session: SessionId, request: Request) {
        let what = format!("{request:?}");
        assert_eq!(self.ask(session, request), Ok(Reply::Done), "{what}");
    }

    pub(crate) fn refused(&mut self, session: SessionId, request: Request, code: ErrorCode, text: &str) {
        let what = format!("{request:?}");
        let refused = self.ask(session, request).expect_err(&what);
        assert_eq!((refused.code, &*refused.text), (code, text), "{what}");
    }

    pub(crate) fn join(&mut self, session: SessionId, name: &str) {
        let joined = self.ask(session, Request::Join(Join { room: room(name), after: None, backlog: false }));
        assert!(matches!(&joined, Ok(Reply::Joined(joined)) if joined.caught_up && joined.info.joined), "{joined:?}");
        assert!(self.inside.contains(&(room(name), session)));
    }

    /// A session of `user`, in #dev, which is alice's.
    pub(crate) fn in_dev(&mut self, user: &str) -> SessionId {
        let session = self.comes(user);
        if self.hub.rooms.contains_key(&room("#dev")) {
            self.join(session, "#dev");
        } else {
            self.done(session, create("#dev"));
            self.join(session, "#dev");
        }
        session
    }

    pub(crate) fn post(&mut self, session: SessionId, to: &str) -> Result<Reply, Refused> {
        let message = MessageId(u128::from(self.next).to_be_bytes());
        let post = Post { room: room(to), message, body: text("hello"), retry: false, after: None, urgent: false };
        self.ask(session, Request::Post(post))
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.wall.0 += u64::try_from(time.as_millis()).unwrap();
        self.handle(Input::Tick);
    }

    /// What a session got that is no answer and nobody's coming.
    pub(crate) fn inbox(&mut self, session: SessionId) -> Vec<ServerMessage> {
        let inbox = std::mem::take(self.inboxes.get_mut(&session).unwrap()).into_iter();
        inbox.filter(|message| !matches!(message, ServerMessage::Presence(_) | ServerMessage::Welcome(_))).collect()
    }

    pub(crate) fn rooms(&mut self, session: SessionId) -> Vec<RoomInfo> {
        match self.ask(session, Request::Rooms(Rooms { people: true })) {
            Ok(Reply::Rooms(RoomList { rooms })) => rooms,
            other => panic!("{other:?}"),
        }
    }
}

/// What the store finds among the sender keys that it was given.
fn keys(given: &[Change], of: RoomName, ids: &[SenderKeyId], member: Fingerprint) -> Vec<KeptKey> {
    let kept = |wanted: &SenderKeyId| {
        given.iter().find_map(|change| match change {
            Change::SenderKey { room, id, epoch, sender, head, parts, .. } if (id, room) == (wanted, &of) => {
                let part = parts.iter().find(|(key, _)| *key == member).map(|(_, part)| part.clone());
                Some(KeptKey { id: *id, epoch: *epoch, sender: *sender, head: head.clone(), part })
            }
            _ => None,
        })
    };
    ids.iter().filter_map(kept).collect()
}

/// Where a room is on the disk; now it is there.
fn known(disk: &mut Restored, name: RoomName) -> usize {
    let at = disk.rooms.iter().position(|room| room.room == name);
    at.unwrap_or_else(|| {
        disk.rooms.push(RestoredRoom::new(name));
        disk.rooms.len() - 1
    })
}

/// What the store does with a change.
fn write(disk: &mut Restored, change: Change) {
    let replace = |list: &mut Vec<Sanction>, sanction: Sanction| {
        list.retain(|other| other.user != sanction.user);
        list.push(sanction);
    };
    match change {
        Change::SenderKey { .. } | Change::Roster { .. } => {}
        Change::Progress { room, user, delivered, read } => {
            let at = known(disk, room);
            disk.rooms[at].progress.retain(|(other, ..)| *other != user);
            disk.rooms[at].progress.push((user, delivered, read));
        }
        Change::Room { room, topic, owner } => {
            let at = known(disk, room);
            (disk.rooms[at].topic, disk.rooms[at].owner) = (topic, owner);
        }
        Change::Member { room, user } => {
            let at = known(disk, room);
            disk.rooms[at].members.push(user);
        }
        Change::NoMember { room, user } => {
            let at = known(disk, room);
            disk.rooms[at].members.retain(|other| *other != user);
        }
        Change::Ban { room: Some(room), sanction } => {
            let at = known(disk, room);
            replace(&mut disk.rooms[at].banned, sanction);
        }
        Change::Ban { room: None, sanction } => replace(&mut disk.banned, sanction),
        Change::Unban { room: Some(room), user } => {
            let at = known(disk, room);
            disk.rooms[at].banned.retain(|other| other.user != user);
        }
        Change::Unban { room: None, user } => disk.banned.retain(|other| other.user != user),
        Change::Mute { room, sanction } => {
            let at = known(disk, room);
            replace(&mut disk.rooms[at].muted, sanction);
        }
        Change::Unmute { room, user } => {
            let at = known(disk, room);
            disk.rooms[at].muted.retain(|other| other.user != user);
        }
        Change::Status { user, status } => {
            disk.statuses.retain(|(other, _)| *other != user);
            disk.statuses.extend(status.map(|status| (user, status)));
        }
    }
}
