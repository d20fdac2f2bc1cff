//! Sessions and the real hub, under one seed: connections break at any byte, the server is killed with what it had not
//! committed, and comes back.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU32;

use rand::RngExt as _;

use super::*;
use crate::hub::{self, Hub};
use crate::journal::{Restored, RestoredRoom, StoreCommand, StoreEvent};
use crate::model::{SessionId, StoreToken, StoredRecord};

/// A user's end, and what was shown there.
struct End {
    session: Session,
    attempt: Attempt,
    // The server's number for the present connection.
    connection: Option<SessionId>,
    // On the way, in both directions.
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    // What stands on the screen.
    shown: BTreeMap<Seq, MessageId>,
    said: Vec<MessageId>,
    accepted: BTreeMap<MessageId, Seq>,
}

struct Town {
    now: Instant,
    rng: StdRng,
    context: Context,
    limits: Arc<Limits>,
    hub: Hub,
    links: BTreeMap<SessionId, (usize, Link<Server>)>,
    inside: HashSet<SessionId>,
    next_session: u64,
    incarnation: u64,
    // Asked of the store and not done; and what is on disk.
    asked: VecDeque<StoreCommand>,
    disk: Vec<StoredRecord>,
    starts: Vec<(Incarnation, Seq)>,
    ends: Vec<End>,
}

fn new_hub(incarnation: u64, disk: &[StoredRecord], starts: &[(Incarnation, Seq)]) -> Hub {
    let settings = hub::Settings {
        server: "rsachat/test".to_owned(),
        message_bytes: 8192,
        message_rate: NonZeroU32::new(20).unwrap(),
        message_burst: NonZeroU32::new(5).unwrap(),
        history_limit: 1000,
        connections_per_user: 64,
        join_backlog: 1000,
        default_rooms: vec![RoomName::lobby()],
        records: false,
        creation: hub::Creation::Everyone,
        max_rooms: 20,
        max_rooms_per_user: 3,
        direct_quota: 5,
        admins: HashSet::new(),
    };
    let rooms = disk.last().map(|last| RestoredRoom {
        last: last.seq,
        window: disk.to_vec(),
        starts: starts.to_vec(),
        ..RestoredRoom::new(lobby())
    });
    let rooms = rooms.into_iter().collect();
    let restored = Restored { incarnation: Incarnation(incarnation), rooms, ..Restored::default() };
    let mut hub = Hub::new(settings, restored);
    let fingerprint = test_keys::alice().public().fingerprint();
    let registered = hub::Input::Registered { user: "alice".parse().unwrap(), fingerprint, spki: Arc::from([]) };
    hub.handle(registered, Instant::now(), Timestamp(0));
    hub
}

impl Town {
    fn new(seed: u64, users: usize) -> Self {
        let now = Instant::now();
        let world = World::with(settings());
        let ends = (0..users).map(|n| End {
            session: Session::new(settings(), StdRng::seed_from_u64(seed ^ n as u64), now, Timestamp(0)),
            attempt: Attempt(0),
            connection: None,
            to_server: Vec::new(),
            to_client: Vec::new(),
            shown: BTreeMap::new(),
            said: Vec::new(),
            accepted: BTreeMap::new(),
        });
        Self {
            now,
            rng: StdRng::seed_from_u64(seed),
            limits: Arc::clone(&world.session.limits),
            context: world.context,
            hub: new_hub(1, &[], &[]),
            links: BTreeMap::new(),
            inside: HashSet::new(),
            next_session: 0,
            incarnation: 1,
            asked: VecDeque::new(),
            disk: Vec::new(),
            starts: Vec::new(),
            ends: ends.collect(),
        }
    }

    fn hub(&mut self, input: hub::Input) {
        self.hub.handle(input, self.now, Timestamp(0));
        while let Some(output) = self.hub.poll() {
            match output {
                hub::Output::To { session, bytes } => self.send(session, &bytes),
                hub::Output::ToRoom { bytes, .. } => {
                    for session in self.inside.clone() {
                        self.send(session, &bytes);
                    }
                }
                hub::Output::Enter { session, .. } => drop(self.inside.insert(session)),
                hub::Output::Store(command) => self.asked.push_back(command),
                hub::Output::Log(_) | hub::Output::Console(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn send(&mut self, session: SessionId, bytes: &[u8]) {
        let Some((end, link)) = self.links.get_mut(&session) else { return };
        let mut out = Vec::new();
        for piece in bytes.chunks(crate::proto::frame::RECORD_BYTES) {
            link.seal(&mut out, |out| out.extend_from_slice(piece));
        }
        self.ends[*end].to_client.extend(out);
    }

    /// Carries out what a user's session wants.
    fn client(&mut self, end: usize) {
        while let Some(output) = self.ends[end].session.poll() {
            match output {
                Output::Connect(attempt) => {
                    self.hang_up(end);
                    self.next_session += 1;
                    let connection = SessionId(self.next_session);
                    let key = self.context.key.public().spki_der().into();
                    let link = Link::server(key, Arc::clone(&self.limits), self.now);
                    self.links.insert(connection, (end, link));
                    let user = &mut self.ends[end];
                    (user.attempt, user.connection) = (attempt, Some(connection));
                    user.session.handle(Input::Network(attempt, Network::Connected), self.now);
                }
                Output::Transmit(bytes) => self.ends[end].to_server.extend(bytes),
                Output::Job(attempt, job) => {
                    let answer = job.run(test_keys::alice(), &mut self.rng);
                    self.ends[end].session.handle(Input::Network(attempt, Network::Answer(answer)), self.now);
                }
                Output::Disconnect => self.hang_up(end),
                Output::Event(event) => self.ends[end].see(event),
                other => panic!("{other:?}"),
            }
        }
    }

    fn hang_up(&mut self, end: usize) {
        let user = &mut self.ends[end];
        user.to_server.clear();
        user.to_client.clear();
        if let Some(connection) = user.connection.take() {
            self.links.remove(&connection);
            self.inside.remove(&connection);
            self.hub(hub::Input::Gone { session: connection });
        }
    }

    fn server(&mut self, connection: SessionId) {
        while let Some((end, link)) = self.links.get_mut(&connection)
            && let Some(output) = link.poll()
        {
            match output {
                link::Output::Transmit(bytes) => self.ends[*end].to_client.extend(bytes),
                link::Output::Job(job) => {
                    let answer = job.run(&self.context, &mut self.rng);
                    link.handle(link::Input::Answer(answer), self.now);
                }
                link::Output::Opened(peer) => {
                    let ticket = Ticket { ticket: peer.ticket.into(), lifetime_s: 3600 };
                    let opened = hub::Input::Opened {
                        session: connection,
                        user: peer.user,
                        fingerprint: peer.fingerprint,
                        client: peer.client,
                    };
                    self.hub(opened);
                    self.send(connection, &ServerMessage::Ticket(ticket).encode());
                }
                link::Output::Message((id, request)) => {
                    self.hub(hub::Input::Request { session: connection, id, request });
                }
                link::Output::Ended(ended) => panic!("the server says {ended:?}"),
            }
        }
    }

    /// Some of the bytes that are on their way arrive.
    fn deliver(&mut self, end: usize) {
        let user = &mut self.ends[end];
        let up = user.to_server.len().min(self.rng.random_range(0..3000));
        let mut bytes: Vec<u8> = user.to_server.drain(..up).collect();
        if let Some(connection) = user.connection
            && let Some((_, link)) = self.links.get_mut(&connection)
        {
            link.handle(link::Input::Received(&mut bytes), self.now);
            self.server(connection);
        }
        let user = &mut self.ends[end];
        let down = user.to_client.len().min(self.rng.random_range(0..3000));
        let mut bytes: Vec<u8> = user.to_client.drain(..down).collect();
        let attempt = user.attempt;
        user.session.handle(Input::Network(attempt, Network::Received(&mut bytes)), self.now);
        self.client(end);
    }

    fn cut(&mut self, end: usize) {
        self.hang_up(end);
        let user = &mut self.ends[end];
        user.session.handle(Input::Network(user.attempt, Network::Eof), self.now);
        self.client(end);
    }

    /// The store does some of what it was asked, in order.
    fn store(&mut self) {
        for _ in 0..self.rng.random_range(0..4) {
            match self.asked.pop_front() {
                Some(StoreCommand::Append { token, record, .. }) => {
                    if self.starts.last().is_none_or(|(start, _)| start.0 < self.incarnation) {
                        self.starts.push((Incarnation(self.incarnation), record.seq));
                    }
                    self.disk.push(record);
                    self.stored(token);
                }
                Some(StoreCommand::Lookup { token, message, .. }) => {
                    let place = self.disk.iter().find(|record| record.message == message);
                    let place = place.map(|record| (record.seq, record.time));
                    self.hub(hub::Input::Store(StoreEvent::Found { token, place }));
                }
                Some(StoreCommand::Read { token, span }) => {
                    let (records, more) = hub::tests::page(self.disk.iter(), &span);
                    self.hub(hub::Input::Store(StoreEvent::Page { token, records, more }));
                }
                Some(StoreCommand::Change { .. } | StoreCommand::ReadKeys { .. } | StoreCommand::ReadRoster { .. }) => {
                    panic!("nobody decides anything")
                }
                None => return,
            }
        }
    }

    fn stored(&mut self, token: StoreToken) {
        self.hub(hub::Input::Store(StoreEvent::Stored { tokens: vec![token] }));
    }

    /// kill -9, and a new start.
    fn crash(&mut self) {
        self.asked.clear();
        self.inside.clear();
        self.links.clear();
        self.incarnation += 1;
        self.hub = new_hub(self.incarnation, &self.disk, &self.starts);
        for end in 0..self.ends.len() {
            self.ends[end].connection = None;
            self.cut(end);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.hub(hub::Input::Tick);
        for end in 0..self.ends.len() {
            self.ends[end].session.handle(Input::Tick, self.now);
            self.client(end);
        }
    }

    fn step(&mut self) {
        let end = self.rng.random_range(0..self.ends.len());
        match self.rng.random_range(0..1000) {
            0..4 => self.crash(),
            4..20 => self.cut(end),
            20..150 => {
                let body = text(&format!("{}", self.ends[end].said.len()));
                self.ends[end]
                    .session
                    .handle(Input::Command(Command::Post { room: lobby(), body, urgent: false }), self.now);
                self.client(end);
            }
            150..400 => self.store(),
            400..500 => {
                let time = Duration::from_millis(self.rng.random_range(0..200));
                self.pass(time);
            }
            _ => self.deliver(end),
        }
    }

    fn settle(&mut self) {
        for _ in 0..4000 {
            self.store();
            self.pass(Duration::from_millis(50));
            for end in 0..self.ends.len() {
                self.deliver(end);
            }
        }
    }

    fn check(&self) {
        let disk: BTreeMap<Seq, MessageId> = self.disk.iter().map(|record| (record.seq, record.message)).collect();
        let ids: HashSet<MessageId> = disk.values().copied().collect();
        assert_eq!(ids.len(), self.disk.len(), "a message is stored twice");
        for user in &self.ends {
            assert_eq!(user.session.outstanding(), 0);
            assert_eq!(user.shown, disk, "what is shown is not what is stored");
            let stored: Vec<MessageId> = disk.values().filter(|id| user.said.contains(id)).copied().collect();
            assert_eq!(stored, user.said, "not all, or not in order");
            for (id, seq) in &user.accepted {
                assert_eq!(disk.get(seq), Some(id), "acknowledged and lost");
            }
        }
    }
}

impl End {
    fn see(&mut self, event: Event) {
        match event {
            Event::Message { message, .. } => {
                let last = self.shown.last_key_value().map_or(Seq(0), |(seq, _)| *seq);
                assert_eq!(message.seq, last.next(), "out of order");
                self.shown.insert(message.seq, message.message);
            }
            Event::Withdrawn { after, messages, .. } => {
                let gone = self.shown.split_off(&after.next());
                let told: BTreeMap<Seq, MessageId> = messages.iter().map(|seen| (seen.seq, seen.message)).collect();
                assert_eq!(gone, told);
                let lost = |id: &MessageId| self.accepted.contains_key(id);
                assert!(!gone.values().any(lost), "acknowledged and withdrawn");
            }
            Event::Pending { id, .. } => self.said.push(id),
            Event::Accepted { id, seq, .. } => {
                assert_eq!(self.accepted.insert(id, seq), None, "accepted twice");
            }
            Event::Refused { refused, .. } => panic!("{refused:?}"),
            Event::Missed { .. } => panic!("nothing is pruned here"),
            _ => {}
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_nothing_comes_twice_or_out_of_order() {
    let seeds: Vec<u64> = match std::env::var("RSACHAT_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..std::env::var("RSACHAT_SEEDS").map_or(12, |count| count.parse().unwrap())).collect(),
    };
    for seed in seeds {
        eprintln!("RSACHAT_SEED={seed}");
        let mut town = Town::new(seed, 3);
        for end in 0..3 {
            town.client(end);
        }
        for _ in 0..1500 {
            town.step();
        }
        town.settle();
        town.check();
    }
}
