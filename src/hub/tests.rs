//! The hub under a shell that is all in memory, and that checks what every client may rely on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::*;
use crate::journal::{RestoredRoom, Span, StoreCommand};
use crate::model::{Fingerprint, Seq, StoredRecord};
use crate::proto::close::{CloseCode, CloseReason};
use crate::proto::message::{
    Accepted, Body, ErrorCode, History, Join, Joined, PREFIX_BYTES, People, Position, Post, Presence, Refused, Reply,
    Request, RequestId, RoomInfo, Stored, Welcome, Whois,
};

mod direct;
mod invitations;
mod joining;
mod posting;
mod private;
mod properties;
mod rooms;
mod status;
mod users;

fn settings() -> Settings {
    Settings {
        server: "rsachat/test".to_owned(),
        message_bytes: 8192,
        message_rate: NonZeroU32::new(5).unwrap(),
        message_burst: NonZeroU32::new(20).unwrap(),
        history_limit: 100,
        connections_per_user: 64,
        join_backlog: 10,
        default_rooms: vec![RoomName::lobby()],
        records: false,
        creation: Creation::Everyone,
        max_rooms: 20,
        max_rooms_per_user: 3,
        direct_quota: 5,
        admins: HashSet::from([name("admin")]),
    }
}

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

/// Has a key that is not looked at.
fn registered(user: UserName, fingerprint: Fingerprint) -> Input {
    Input::Registered { user, fingerprint, spki: Arc::from(user.as_str().as_bytes()) }
}

fn key(user: UserName) -> Fingerprint {
    let mut key = [0; 32];
    key[..user.as_str().len()].copy_from_slice(user.as_str().as_bytes());
    Fingerprint(key)
}

fn text(text: &str) -> Body {
    Body::Text { text: text.to_owned() }
}

/// What a client at the other end of a session knows.
#[derive(Debug, Default)]
struct Peer {
    inbox: Vec<ServerMessage>,
    closed: Option<CloseReason>,
    gone: bool,
    in_room: bool,
    /// Requests without an answer.
    open: BTreeSet<RequestId>,
    next_id: RequestId,
    /// The number of the last message of the lobby that it got, once it is in there.
    last: Option<Seq>,
    view: View,
    /// Joins without an answer, and the parts that came for each request.
    joins: BTreeMap<RequestId, Join>,
    parts: BTreeMap<RequestId, Vec<Stored>>,
}

/// What a client has seen of the lobby: survives its connections and the server.
#[derive(Debug, Clone, Default)]
struct View {
    messages: BTreeMap<Seq, MessageId>,
    position: Option<Position>,
    /// It once asked for a join from somewhere else than its position, so that it may be wrong.
    muddled: bool,
}

impl Peer {
    /// Does what a client does with the answer to a join, if what it says is possible.
    fn check_join(&mut self, join: &Join, joined: &Joined, parts: &[Stored], incarnation: Incarnation) {
        assert!(parts.windows(2).all(|pair| pair[0].seq.next() == pair[1].seq), "a gap in {parts:?}");
        let after = join.after;
        if let Some(after) = after {
            assert!(joined.withdrawn_after.is_none_or(|valid| valid < after.seq));
            let from = joined.withdrawn_after.unwrap_or(after.seq).0 + joined.gone;
            let given = from + parts.len() as u64;
            // What was said last may begin before what was missed.
            let more = join.backlog && joined.gone == 0 && parts.first().is_some_and(|part| part.seq.0 <= from);
            assert!(joined.last.0 == given || more, "{join:?} {joined:?}");
        } else {
            assert_eq!((joined.gone, joined.withdrawn_after), (0, None));
        }
        assert!(parts.last().is_none_or(|part| part.seq == joined.last));
        if after != self.view.position && self.view.position.is_some() {
            self.view.muddled = true;
        }
        if let Some(valid) = joined.withdrawn_after {
            self.view.messages.split_off(&valid.next());
        }
        for part in parts {
            self.view.add(part, incarnation);
        }
        self.view.position = Some(Position { incarnation, seq: joined.last });
        if joined.caught_up {
            self.last = Some(joined.last);
        }
    }
}

impl View {
    fn add(&mut self, stored: &Stored, incarnation: Incarnation) {
        self.messages.insert(stored.seq, stored.message);
        self.position = Some(Position { incarnation, seq: stored.seq });
    }

    /// Nothing in it was withdrawn without a word.
    fn check(&self, truth: &BTreeMap<Seq, MessageId>) {
        if !self.muddled {
            for (seq, message) in &self.messages {
                assert_eq!(truth.get(seq), Some(message), "number {seq}");
            }
        }
    }
}

/// What a database holds, committed and not.
#[derive(Debug, Default)]
struct Disk {
    waiting: VecDeque<StoreCommand>,
    records: Vec<StoredRecord>,
    starts: Vec<(Incarnation, Seq)>,
}

/// The shell around one hub.
struct World {
    hub: Hub,
    now: Instant,
    wall: Timestamp,
    disk: Disk,
    peers: BTreeMap<SessionId, Peer>,
    next_session: u64,
    console: Vec<String>,
    log: Vec<LogEvent>,
    stopped: bool,
    /// What is in the lobby, as all that are there must see it.
    truth: BTreeMap<Seq, MessageId>,
    next_message: u128,
    incarnation: Incarnation,
}

impl World {
    fn new() -> Self {
        Self::with(settings())
    }

    fn with(settings: Settings) -> Self {
        Self::start(settings, Disk::default(), 1)
    }

    fn start(settings: Settings, disk: Disk, incarnation: u64) -> Self {
        let incarnation = Incarnation(incarnation);
        let last = disk.records.last().map_or(Seq(0), |record| record.seq);
        let window = disk.records.iter().rev().take(settings.history_limit as usize).rev().cloned().collect();
        let room = RestoredRoom { last, window, starts: disk.starts.clone(), ..RestoredRoom::new(RoomName::lobby()) };
        let truth = disk.records.iter().map(|record| (record.seq, record.message)).collect();
        let rooms = if last == Seq(0) { Vec::new() } else { vec![room] };
        Self {
            hub: Hub::new(settings, Restored { incarnation, rooms, ..Restored::default() }),
            now: Instant::now(),
            wall: Timestamp(1_000_000),
            disk,
            peers: BTreeMap::new(),
            next_session: 1,
            console: Vec::new(),
            log: Vec::new(),
            stopped: false,
            truth,
            next_message: 0,
            incarnation,
        }
    }

    /// A server that is killed, and starts again on what was committed.
    fn restart(self) -> Self {
        let settings = self.hub.settings.clone();
        let mut disk = self.disk;
        disk.waiting.clear();
        let mut world = Self::start(settings, disk, self.incarnation.0 + 1);
        world.next_message = self.next_message;
        world
    }

    fn handle(&mut self, input: Input) {
        self.hub.handle(input, self.now, self.wall);
        while let Some(output) = self.hub.poll() {
            self.perform(output);
        }
    }

    fn perform(&mut self, output: Output) {
        assert!(!self.stopped, "{output:?} after Stopped");
        match output {
            Output::To { session, bytes } => self.deliver(session, &bytes),
            Output::ToRoom { room, bytes } => {
                assert_eq!(room, RoomName::lobby());
                for message in messages(&bytes) {
                    if let ServerMessage::Message(stored) = message {
                        let newest = self.truth.last_key_value().map_or(Seq(0), |(seq, _)| *seq);
                        assert_eq!(stored.seq, newest.next());
                        self.truth.insert(stored.seq, stored.message);
                    }
                }
                let members: Vec<SessionId> =
                    self.peers.iter().filter(|(_, peer)| peer.in_room).map(|(id, _)| *id).collect();
                for session in members {
                    self.deliver(session, &bytes);
                }
            }
            Output::Enter { session, room } => {
                assert_eq!(room, RoomName::lobby());
                let peer = self.peers.get_mut(&session).unwrap();
                assert!(!peer.gone && peer.closed.is_none() && !peer.in_room);
                let joined = peer.inbox.last();
                assert!(
                    matches!(joined, Some(ServerMessage::Reply(_, Reply::Joined(Joined { caught_up: true, .. })))),
                    "{joined:?}"
                );
                peer.in_room = true;
            }
            Output::Exit { .. } => panic!("everyone is in the lobby"),
            Output::Invite(invitation) => panic!("nobody is invited: {invitation:?}"),
            Output::Record(record) => panic!("there is no message log: {record:?}"),
            Output::Close { session, reason } => {
                let peer = self.peers.get_mut(&session).unwrap();
                assert!(!peer.gone && peer.closed.is_none());
                peer.closed = Some(reason);
                peer.in_room = false;
            }
            Output::Store(command) => self.disk.waiting.push_back(command),
            Output::Console(line) => self.console.push(line),
            Output::Log(event) => self.log.push(event),
            Output::Stopped => self.stopped = true,
        }
    }

    fn deliver(&mut self, session: SessionId, bytes: &[u8]) {
        let peer = self.peers.get_mut(&session).unwrap();
        assert!(!peer.gone && peer.closed.is_none(), "bytes for a session that has ended");
        for message in messages(bytes) {
            match &message {
                ServerMessage::Reply(id, reply) => {
                    assert!(peer.open.remove(id), "a second answer to {id}: {message:?}");
                    let parts = peer.parts.remove(id).unwrap_or_default();
                    match reply {
                        Reply::Accepted(Accepted { seq, .. }) => {
                            let stored = self.disk.records.iter().any(|record| record.seq == *seq);
                            assert!(stored, "not on disk: {seq}");
                        }
                        Reply::Joined(joined) => {
                            let join = peer.joins.remove(id).unwrap();
                            peer.check_join(&join, joined, &parts, self.incarnation);
                            peer.view.check(&self.truth);
                        }
                        Reply::HistoryEnd(_) => {}
                        _ => assert_eq!(parts, []),
                    }
                }
                ServerMessage::Part(id, stored) => {
                    assert!(peer.open.contains(id), "a part after the answer to {id}");
                    assert_eq!(self.truth.get(&stored.seq), Some(&stored.message));
                    peer.parts.entry(*id).or_default().push(stored.clone());
                }
                ServerMessage::Message(stored) => {
                    assert_eq!(peer.last.map(Seq::next), Some(stored.seq));
                    peer.last = Some(stored.seq);
                    peer.view.add(stored, self.incarnation);
                }
                ServerMessage::Welcome(_) => assert!(peer.inbox.is_empty()),
                ServerMessage::Presence(_) => {}
                other => panic!("unexpected {other:?}"),
            }
            peer.inbox.push(message);
        }
    }

    fn register(&mut self, user: &str) {
        let user = name(user);
        self.handle(registered(user, key(user)));
    }

    fn open(&mut self, user: &str) -> SessionId {
        let (session, user) = (SessionId(self.next_session), name(user));
        self.next_session += 1;
        self.peers.insert(session, Peer { next_id: 1, ..Peer::default() });
        let client = "test/1 \u{1b}[31m".to_owned();
        self.handle(Input::Opened { session, user, fingerprint: key(user), client });
        session
    }

    /// A registered user's session, in the lobby, with an empty inbox.
    fn member(&mut self, user: &str) -> SessionId {
        self.register(user);
        let session = self.open(user);
        self.join(session, None);
        self.inbox(session);
        session
    }

    fn request(&mut self, session: SessionId, request: Request) -> RequestId {
        let peer = self.peers.get_mut(&session).unwrap();
        let id = peer.next_id;
        peer.next_id += 1;
        if !peer.gone && peer.closed.is_none() {
            peer.open.insert(id);
            if let Request::Join(join) = &request {
                peer.joins.insert(id, join.clone());
            }
        }
        self.handle(Input::Request { session, id, request });
        id
    }

    /// Asks for something that is answered at once, or when the store has read it.
    fn ask(&mut self, session: SessionId, request: Request) -> Reply {
        let id = self.request(session, request);
        loop {
            let answer = self.peers.get(&session).unwrap().inbox.iter().rev().find_map(|message| match message {
                ServerMessage::Reply(answered, reply) if *answered == id => Some(reply.clone()),
                _ => None,
            });
            if let Some(answer) = answer {
                return answer;
            }
            assert!(self.store_step(), "no answer");
        }
    }

    fn join(&mut self, session: SessionId, after: Option<(u64, u64)>) -> Joined {
        let after = after.map(|(incarnation, seq)| Position { incarnation: Incarnation(incarnation), seq: Seq(seq) });
        match self.ask(session, Request::Join(Join { room: RoomName::lobby(), after, backlog: false })) {
            // What the room is, is told elsewhere.
            Reply::Joined(joined) => Joined { info: RoomInfo::new(joined.info.room), ..joined },
            other => panic!("{other:?}"),
        }
    }

    fn message_id(&mut self) -> MessageId {
        self.next_message += 1;
        MessageId(self.next_message.to_be_bytes())
    }

    fn post(&mut self, session: SessionId, what: &str) -> RequestId {
        let message = self.message_id();
        self.post_as(session, what, message, false)
    }

    fn post_as(&mut self, session: SessionId, what: &str, message: MessageId, retry: bool) -> RequestId {
        self.request(
            session,
            Request::Post(Post {
                room: RoomName::lobby(),
                message,
                body: text(what),
                retry,
                after: None,
                urgent: false,
            }),
        )
    }

    /// Posts and commits, leaving time for the rate limit.
    fn say(&mut self, session: SessionId, what: &str) {
        self.post(session, what);
        self.commit();
        self.pass(Duration::from_secs(1));
    }

    /// The store does the next thing it was asked.
    fn store_step(&mut self) -> bool {
        let Some(command) = self.disk.waiting.pop_front() else { return false };
        match command {
            StoreCommand::Append { token, record, .. } => {
                let last = self.disk.records.last().map_or(Seq(0), |record| record.seq);
                assert_eq!(record.seq, last.next(), "a gap on disk");
                if self.disk.starts.last().is_none_or(|start| start.0 < self.incarnation) {
                    self.disk.starts.push((self.incarnation, record.seq));
                }
                self.disk.records.push(record);
                self.handle(Input::Store(StoreEvent::Stored { tokens: vec![token] }));
            }
            StoreCommand::Lookup { token, user, message } => {
                let found = self.disk.records.iter().find(|record| record.sender == user && record.message == message);
                let place = found.map(|record| (record.seq, record.time));
                self.handle(Input::Store(StoreEvent::Found { token, place }));
            }
            StoreCommand::Read { token, span } => {
                let (records, more) = page(self.disk.records.iter(), &span);
                self.handle(Input::Store(StoreEvent::Page { token, records, more }));
            }
            StoreCommand::Change { .. } | StoreCommand::ReadKeys { .. } | StoreCommand::ReadRoster { .. } => {
                panic!("nobody decides anything")
            }
        }
        true
    }

    fn commit(&mut self) {
        while self.store_step() {}
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.wall.0 += u64::try_from(time.as_millis()).unwrap();
        self.handle(Input::Tick);
    }

    fn gone(&mut self, session: SessionId) {
        let peer = self.peers.get_mut(&session).unwrap();
        peer.gone = true;
        peer.in_room = false;
        self.handle(Input::Gone { session });
    }

    fn inbox(&mut self, session: SessionId) -> Vec<ServerMessage> {
        std::mem::take(&mut self.peers.get_mut(&session).unwrap().inbox)
    }

    fn closed(&self, session: SessionId) -> Option<CloseCode> {
        self.peers[&session].closed.as_ref().map(|reason| reason.code)
    }

    /// The refusals in an inbox, which is emptied.
    fn refusals(&mut self, session: SessionId) -> Vec<ErrorCode> {
        let refusal = |message| match message {
            ServerMessage::Reply(_, Reply::Error(refused)) => Some(refused.code),
            _ => None,
        };
        self.inbox(session).into_iter().filter_map(refusal).collect()
    }
}

fn messages(mut bytes: &[u8]) -> Vec<ServerMessage> {
    let mut messages = Vec::new();
    while let [a, b, c, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        assert_eq!(PREFIX_BYTES, 3);
        let (message, rest) = rest.split_at(length);
        messages.push(ServerMessage::decode(message).unwrap());
        bytes = rest;
    }
    assert!(bytes.is_empty());
    messages
}

/// The texts of the messages and parts in an inbox.
fn texts(inbox: &[ServerMessage]) -> Vec<String> {
    let stored = inbox.iter().filter_map(|message| match message {
        ServerMessage::Message(stored) | ServerMessage::Part(_, stored) => Some(stored),
        _ => None,
    });
    stored.map(|stored: &Stored| stored.body.as_ref().unwrap().text().to_owned()).collect()
}

/// What a store that keeps `records` finds in a span, and whether there is more.
pub(crate) fn page<'a>(
    records: impl DoubleEndedIterator<Item = &'a StoredRecord>,
    span: &Span,
) -> (Vec<StoredRecord>, bool) {
    let within =
        |record: &&StoredRecord| record.seq > span.after && record.seq < span.before && record.room == span.room;
    let mut found: Vec<StoredRecord> = records.filter(within).cloned().collect();
    if span.latest {
        found.reverse();
    }
    let mut bytes = 0;
    let fits = |record: &StoredRecord| {
        bytes += record.body.len();
        bytes <= span.bytes
    };
    let fitting = found.iter().map(fits).take_while(|fits| *fits).count();
    let given = found.len().min(span.limit as usize).min(fitting.max(1));
    let more = found.len() > given;
    found.truncate(given);
    if span.latest {
        found.reverse();
    }
    (found, more)
}
