//! The server: the hub, the store, and each connection's end of the link.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use rsachat::client::session::{Attempt, Input as ClientInput, Network};
use rsachat::crypto::rsa::PublicKey;
use rsachat::hub::{Hub, Input, Output};
use rsachat::journal::StoreEvent;
use rsachat::model::{RoomName, SessionId, UserName};
use rsachat::proto::close::CloseReason;
use rsachat::proto::handshake::server::{Context, Directory};
use rsachat::proto::link::{self, Limits, Link, Peer, Server};
use rsachat::proto::message::{Act, PREFIX_BYTES, Request, ServerMessage};
use rsachat::store::{self, Keep, Store};

use super::world::Town;

/// One connection, with what is on its way.
#[derive(Debug)]
pub(super) struct Line {
    attempt: Attempt,
    link: Link<Server>,
    session: SessionId,
    user: Option<UserName>,
    rooms: BTreeSet<RoomName>,
    pub(super) up: VecDeque<Vec<u8>>,
    pub(super) down: VecDeque<Down>,
    closing: Option<CloseReason>,
}

/// What the client gets.
#[derive(Debug)]
pub(super) enum Down {
    /// Bytes of the handshake.
    Bytes(Vec<u8>),
    /// Messages, to be sealed when they leave.
    Messages(Vec<ServerMessage>),
}

impl Line {
    pub(super) fn has_down(&self) -> bool {
        !self.down.is_empty() || self.closing.is_some()
    }

    fn deliver(&mut self, messages: Vec<ServerMessage>) {
        self.down.push_back(Down::Messages(messages));
    }
}

/// The registered users.
struct Registered(Vec<(UserName, PublicKey)>);

impl Directory for Registered {
    fn find(&self, user: &UserName) -> Option<PublicKey> {
        self.0.iter().find(|(name, _)| name == user).map(|(_, key)| key.clone())
    }
}

fn limits() -> Arc<Limits> {
    const LONG: Duration = Duration::from_secs(1_000_000);
    let (handshake_bytes, message_bytes) = (16 * 1024, 1 << 20);
    Arc::new(Limits { handshake_bytes, handshake: LONG, message_bytes, ping: LONG, idle: LONG, linger: LONG })
}

impl Town {
    pub(super) fn start_server(&mut self) {
        let settings = store::Settings {
            path: self.directory.path().join("rsachat.db"),
            keep: Keep::Count(10_000),
            direct_days: 1000,
            window: 5,
            window_bytes: 1 << 20,
        };
        let (store, restored) = Store::open(&settings, self.wall()).unwrap();
        let (report, reports) = channel();
        self.store = Some((store.start(move |event| drop(report.send(event))).unwrap(), reports));
        self.hub = Hub::new(Self::hub_settings(), restored);
        self.tell(|| "the server starts".to_owned());
        let users: Vec<Input> = self
            .keys
            .iter()
            .map(|(user, key)| Input::Registered {
                user: *user,
                fingerprint: key.public().fingerprint(),
                spki: key.public().spki_der().into(),
            })
            .collect();
        for user in users {
            self.step(user);
        }
    }

    /// kill -9, and a new start on what is on the disk.
    pub(super) fn restart_server(&mut self) {
        self.seen.restarts += 1;
        for number in 0..self.clients.len() {
            self.cut(number);
        }
        // What the store was given is written; what it had to say of it nobody hears.
        self.commands.clear();
        self.decided = self.written.clone();
        let (store, _) = self.store.take().unwrap();
        store.stop().unwrap();
        self.start_server();
    }

    pub(super) fn hub_tick(&mut self) {
        self.step(Input::Tick);
    }

    /// Tells the hub what happened, and queues what follows.
    fn step(&mut self, input: Input) {
        let (now, wall) = (self.now, self.wall());
        self.hub.handle(input, now, wall);
        assert_eq!(self.hub.check_invariants(), Ok(()));
        while let Some(output) = self.hub.poll() {
            match output {
                Output::To { session, bytes } => {
                    let messages = decode(&bytes);
                    if let Some(line) = self.lines().find(|line| line.session == session) {
                        line.deliver(messages);
                    }
                }
                Output::ToRoom { room, bytes } => {
                    let messages = decode(&bytes);
                    // Who is lied to may decide without being there, and then nobody is told.
                    if self.liar.is_none() {
                        self.judge(room, &messages);
                    }
                    for line in self.lines().filter(|line| line.rooms.contains(&room)) {
                        line.deliver(messages.clone());
                    }
                }
                Output::Enter { session, room } => {
                    if let Some(line) = self.lines().find(|line| line.session == session) {
                        line.rooms.insert(room);
                    }
                }
                Output::Exit { session, room } => {
                    if let Some(line) = self.lines().find(|line| line.session == session) {
                        line.rooms.remove(&room);
                    }
                }
                Output::Close { session, reason } => {
                    if let Some(line) = self.lines().find(|line| line.session == session) {
                        line.closing = Some(reason);
                    }
                }
                Output::Store(command) => self.commands.push_back(command),
                Output::Log(_) | Output::Console(_) => {}
                Output::Invite(_) | Output::Record(_) | Output::Stopped => panic!("nobody asked for {output:?}"),
            }
        }
    }

    fn lines(&mut self) -> impl Iterator<Item = &mut Line> {
        self.clients.iter_mut().filter_map(|client| client.alive.as_mut()?.line.as_mut())
    }

    /// Whether what goes to a room may go there: decisions of who decides there, and words to who was let in.
    fn judge(&mut self, room: RoomName, messages: &[ServerMessage]) {
        for message in messages {
            if let ServerMessage::Acted(acted) = message {
                let owner = self.decided.owners.get(&room).copied();
                let admin = acted.by == super::world::admin() && !self.decided.inside.contains_key(&room);
                let by_right = owner == Some(acted.by) || admin;
                assert!(by_right || acted.act == Some(Act::Left {}), "{acted:?}, and {owner:?} owns it");
                match (&acted.act, self.decided.inside.get_mut(&room)) {
                    (Some(Act::HandedOver { user }), _) => drop(self.decided.owners.insert(room, *user)),
                    (Some(Act::Invited { user }), Some(inside)) => drop(inside.insert(*user)),
                    (Some(Act::Kicked { user, .. }), Some(inside)) => drop(inside.remove(user)),
                    (Some(Act::Left {}), Some(inside)) => drop(inside.remove(&acted.by)),
                    _ => {}
                }
            }
            if let (ServerMessage::Message(said), Some(inside)) = (message, self.decided.inside.get(&room)) {
                let inside = inside.clone();
                for line in self.lines().filter(|line| line.rooms.contains(&room)) {
                    assert!(inside.contains(&line.user.unwrap()), "{:?} gets {said:?}", line.user);
                }
            }
        }
    }

    /// The store does all that it was asked to.
    pub(super) fn commit(&mut self) {
        while let Some(command) = self.commands.pop_front() {
            let (store, reports) = self.store.as_ref().unwrap();
            store.sender().send(vec![command]);
            let event = reports.recv().unwrap();
            assert!(!matches!(event, StoreEvent::Failing { .. }), "{event:?}");
            self.step(Input::Store(event));
        }
        self.written = self.decided.clone();
    }

    pub(super) fn connect(&mut self, number: usize, attempt: Attempt) {
        self.next_session += 1;
        let link = Link::server(self.server_key.public().spki_der().into(), limits(), self.now);
        let session = SessionId(self.next_session);
        let alive = self.clients[number].alive.as_mut().unwrap();
        let (up, down) = (VecDeque::new(), VecDeque::new());
        alive.line = Some(Line { attempt, link, session, user: None, rooms: BTreeSet::new(), up, down, closing: None });
        self.input(number, ClientInput::Network(attempt, Network::Connected));
    }

    /// A connection breaks, for both of its ends.
    pub(super) fn cut(&mut self, number: usize) {
        let line = self.clients[number].alive.as_mut().and_then(|alive| alive.line.take());
        let Some(line) = line else { return };
        self.step(Input::Gone { session: line.session });
        self.input(number, ClientInput::Network(line.attempt, Network::Eof));
    }

    /// What a client has sent reaches the server.
    pub(super) fn up(&mut self, number: usize) {
        let now = self.now;
        let Some(line) = self.clients[number].alive.as_mut().and_then(|alive| alive.line.as_mut()) else { return };
        let Some(mut bytes) = line.up.pop_front() else { return };
        line.link.handle(link::Input::Received(&mut bytes), now);
        self.follow(number);
    }

    fn follow(&mut self, number: usize) {
        let now = self.now;
        let user = self.clients[number].user;
        while let Some(line) = self.clients[number].alive.as_mut().and_then(|alive| alive.line.as_mut())
            && let Some(output) = line.link.poll()
        {
            let session = line.session;
            match output {
                link::Output::Transmit(bytes) => line.down.push_back(Down::Bytes(bytes)),
                link::Output::Job(job) => {
                    let directory = self.keys.iter().map(|(user, key)| (*user, key.public().clone())).collect();
                    let context = Context {
                        key: Arc::clone(&self.server_key),
                        directory: Arc::new(Registered(directory)),
                        tickets: Arc::clone(&self.tickets),
                        now: self.wall(),
                    };
                    let answer = job.run(&context, &mut self.rng);
                    let line = self.clients[number].alive.as_mut().and_then(|alive| alive.line.as_mut()).unwrap();
                    line.link.handle(link::Input::Answer(answer), now);
                }
                link::Output::Opened(Peer { user, fingerprint, client, .. }) => {
                    line.user = Some(user);
                    self.step(Input::Opened { session, user, fingerprint, client });
                }
                link::Output::Message((id, request)) => {
                    let known = &self.clients[number].alive.as_ref().unwrap().known;
                    self.truth.sends(user, known, &request);
                    self.tell(|| format!("    {session:?} {user}: {id} {request:?}"));
                    self.requested(number, session, id, request);
                }
                link::Output::Ended(_) => return self.cut(number),
            }
        }
    }

    fn requested(&mut self, number: usize, session: SessionId, id: u64, request: Request) {
        let user = self.clients[number].user;
        if let Some(liar) = &mut self.liar
            && let Some(answer) = liar.pretends(&mut self.rng, id, &request)
        {
            self.tell(|| format!("    pretended: {answer:?}"));
            if let Some(line) = self.clients[number].alive.as_mut().and_then(|alive| alive.line.as_mut()) {
                line.deliver(vec![answer]);
            }
            return;
        }
        if let Request::Create(create) = &request
            && !self.decided.owners.contains_key(&create.room)
        {
            // Nothing that these ask for is refused.
            self.decided.owners.insert(create.room, user);
            if create.roster.is_some() {
                self.decided.inside.insert(create.room, [user].into());
            }
        }
        self.step(Input::Request { session, id, request });
    }

    /// What is on its way to a client reaches it, as a liar wants it, if the server is one.
    pub(super) fn down(&mut self, number: usize) {
        let now = self.now;
        let Some(alive) = self.clients[number].alive.as_mut() else { return };
        let Some(line) = alive.line.as_mut() else { return };
        let attempt = line.attempt;
        let mut bytes = match line.down.pop_front() {
            Some(Down::Bytes(bytes)) => bytes,
            Some(Down::Messages(messages)) => {
                let messages = match &mut self.liar {
                    Some(liar) => liar.twists(&mut self.rng, self.clients[number].user, messages),
                    None => messages,
                };
                let line = self.clients[number].alive.as_mut().and_then(|alive| alive.line.as_mut()).unwrap();
                let mut bytes = Vec::new();
                for message in messages {
                    line.link.seal(&mut bytes, |out| out.extend_from_slice(&message.encode()));
                }
                bytes
            }
            None => {
                if let Some(reason) = line.closing.take() {
                    line.link.handle(link::Input::Close(reason), now);
                    self.follow(number);
                }
                return;
            }
        };
        if !bytes.is_empty() {
            self.input(number, ClientInput::Network(attempt, Network::Received(&mut bytes)));
        }
    }
}

/// The messages in a buffer.
pub(super) fn decode(mut bytes: &[u8]) -> Vec<ServerMessage> {
    let mut messages = Vec::new();
    while let Some((&[a, b, c], rest)) = bytes.split_first_chunk::<PREFIX_BYTES>() {
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        messages.push(ServerMessage::decode(&rest[..length]).unwrap());
        bytes = &rest[length..];
    }
    messages
}
