//! The clients: a session each, its socket, and a user who talks, leaves and comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rsachat::client::session::{
    Answer, Ask, Attempt, Command, Event, Input, KeptTicket, Known, Network, Outcome, Output, Purpose, Session,
    Settings, Until,
};
use rsachat::crypto::rsa::PrivateKey;
use rsachat::model::{RoomName, Seq, UserName};
use rsachat::proto::close::CloseCode;
use rsachat::proto::handshake::client::Job;
use rsachat::proto::message::Body;

use super::plan::{Fault, pick, up_to};
use super::screen::{Screen, Truth};
use super::wire::{Arrived, Pipe, Way, Wire, WireId};
use super::world::{Happening, World};

/// A client, over all its lives.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) user: UserName,
    /// How often it was started.
    life: u64,
    alive: Option<Alive>,
    /// What its last life left to the next one, and the key it is for.
    kept: Option<(Arc<PrivateKey>, KeptTicket)>,
    /// Its connection.
    pub(super) wire: Option<WireId>,
    /// How often it was woken since time last passed.
    pub(super) spins: u32,
}

#[derive(Debug)]
struct Alive {
    session: Session,
    key: Arc<PrivateKey>,
    screen: Screen,
    /// Its user wants to leave, and waits no longer than this.
    leaving: Option<Instant>,
    lines: u64,
}

/// What everybody is asked at the end.
fn last_questions() -> [Ask; 2] {
    let room = RoomName::lobby();
    [Ask::History { room, until: Until::Latest, limit: None }, Ask::People { room }]
}

impl Client {
    pub(super) fn new(user: UserName) -> Self {
        Self { user, life: 0, alive: None, kept: None, wire: None, spins: 0 }
    }

    /// When its session wants to be woken.
    pub(super) fn due(&self) -> Option<Instant> {
        self.alive.as_ref()?.session.poll_timeout()
    }

    /// How many messages were withdrawn from its screen.
    pub(super) fn withdrawn(&self) -> u64 {
        self.alive.as_ref().map_or(0, |alive| alive.screen.withdrawn as u64)
    }

    /// Why it is not as it should be at the end.
    pub(super) fn unsettled(&self, world: &World) -> Option<String> {
        let key = world.keys_directory.get(&self.user);
        let Some(alive) = &self.alive else { return key.map(|_| "is not running".to_owned()) };
        let why = if key.is_none_or(|key| !Arc::ptr_eq(&alive.key, key)) {
            "runs with a key that is not registered"
        } else if !alive.screen.online {
            "is not online"
        } else if !alive.screen.entered {
            "has not entered"
        } else if alive.session.outstanding() > 0 {
            "waits for acknowledgements"
        } else if !alive.screen.asked.is_empty() {
            "waits for answers"
        } else if alive.leaving.is_some() {
            "is leaving"
        } else {
            return None;
        };
        Some(why.to_owned())
    }
}

impl World {
    /// A client is started, if its user has a key to start it with.
    pub(super) fn begin_client(&mut self, number: usize) {
        let wall = self.wall();
        let client = &mut self.clients[number];
        let Some(key) = self.keys_directory.get(&client.user).filter(|_| client.alive.is_none()) else { return };
        let settings = Settings {
            server: self.keys.server.public().clone(),
            user: client.user,
            own: key.public().clone(),
            known: Known::default(),
            invite: None,
            receipts: true,
            room: RoomName::lobby(),
            purpose: Purpose::Chat,
            give_up: self.rng.random_bool(0.1).then_some(Duration::from_secs(20)),
        };
        client.life += 1;
        let mut session = Session::new(settings, StdRng::seed_from_u64(self.rng.random()), self.now, wall);
        if let Some((_, ticket)) = client.kept.take().filter(|(whose, _)| Arc::ptr_eq(whose, key)) {
            session.handle(Input::Ticket(ticket), self.now);
        }
        client.alive = Some(Alive {
            session,
            key: Arc::clone(key),
            screen: Screen::new(client.user, key.public().fingerprint()),
            leaving: None,
            lines: 0,
        });
        self.say(|| format!("client {number} starts"));
        self.pump(number);
        if self.is_asked() {
            self.ask_last(number);
        }
    }

    pub(super) fn client_input(&mut self, number: usize, input: Input<'_>) {
        let now = self.now;
        if let Some(alive) = &mut self.clients[number].alive {
            alive.session.handle(input, now);
            self.pump(number);
        }
    }

    fn network(&mut self, number: usize, life: u64, attempt: Attempt, what: Network<'_>) {
        if self.clients[number].life == life {
            self.client_input(number, Input::Network(attempt, what));
        }
    }

    pub(super) fn client_received(&mut self, number: usize, life: u64, attempt: Attempt, arrived: Arrived) {
        for mut piece in arrived.pieces {
            self.network(number, life, attempt, Network::Received(&mut piece));
        }
        if arrived.eof {
            self.network(number, life, attempt, Network::Eof);
        }
    }

    /// Does what a session wants done.
    fn pump(&mut self, number: usize) {
        loop {
            let client = &mut self.clients[number];
            let (life, wire) = (client.life, client.wire);
            let Some(output) = client.alive.as_mut().and_then(|alive| alive.session.poll()) else { return };
            match output {
                Output::Connect(attempt) => {
                    let late = up_to(&mut self.rng, self.plan.delay * 3);
                    let refused = self.rng.random_bool(0.03);
                    if !(self.is_busy() && self.rng.random_bool(0.02)) {
                        self.at_in(late, Happening::Connect { client: number, life, attempt, refused });
                    }
                }
                Output::Transmit(bytes) => {
                    if let Some(wire) = wire {
                        self.transmit(wire, Way::Up, bytes);
                    }
                }
                Output::Job(attempt, job) => {
                    let late = up_to(&mut self.rng, Duration::from_millis(20));
                    self.at_in(late, Happening::ClientJob { client: number, life, attempt, job });
                }
                Output::Work(..)
                | Output::Meet(..)
                | Output::Decide(..)
                | Output::HasRead(..)
                | Output::Prefer(_)
                | Output::HasRoster(..) => {
                    panic!("nobody says anything to one alone")
                }
                Output::Ticket(ticket) => {
                    client.kept = client.alive.as_ref().map(|alive| (Arc::clone(&alive.key), ticket));
                }
                Output::Disconnect => self.hang_up(number),
                Output::Event(event) => self.see(number, event),
                Output::Over { outcome, undelivered } => self.over(number, &outcome, undelivered),
            }
        }
    }

    fn see(&mut self, number: usize, event: Event) {
        self.say(|| format!("client {number}: {event:?}"));
        let truth = Truth {
            disk: &self.disk,
            said: &self.said,
            window: u64::from(self.plan.history_limit).min(self.plan.keep),
            highest: self.said.highest(),
        };
        let Some(alive) = &mut self.clients[number].alive else { return };
        self.seen.accepted += u64::from(matches!(event, Event::Accepted { .. }));
        alive.screen.see(event, truth);
    }

    fn over(&mut self, number: usize, outcome: &Outcome, undelivered: usize) {
        self.say(|| format!("client {number} ends: {outcome:?}, {undelivered} undelivered"));
        self.hang_up(number);
        let Some(alive) = self.clients[number].alive.take() else { return };
        alive.screen.check_end(undelivered);
        self.seen.withdrawn += alive.screen.withdrawn as u64;
        assert_eq!(alive.session.poll_timeout(), None, "a session that is over wants to be woken");
        match outcome {
            Outcome::Left => {
                let until = alive.leaving.expect("somebody wanted to leave");
                assert!(undelivered == 0 || self.now >= until, "left too early, with {undelivered} undelivered");
            }
            Outcome::PutOut(reason) => {
                self.seen.put_out += 1;
                assert!(matches!(reason.code, CloseCode::KeyRemoved | CloseCode::Kicked));
            }
            // Only a changed keys directory can have led to it.
            Outcome::AuthenticationFailed { .. } => assert!(self.key_changes > 0, "a registered user is refused"),
            Outcome::GaveUp { .. } => {}
            other => panic!("{other:?}"),
        }
        let late = up_to(&mut self.rng, Duration::from_secs(3));
        self.at_in(late, Happening::Begin { client: number });
    }

    /// A client's try to connect comes to its end.
    pub(super) fn connect(&mut self, number: usize, life: u64, attempt: Attempt, refused: bool) {
        let id = WireId(self.next_wire);
        let accepted = if refused { None } else { self.accept(id) };
        let Some((run, session)) = accepted else {
            return self.network(number, life, attempt, Network::Failed("connection refused".to_owned()));
        };
        self.next_wire += 1;
        let (up, down) = (Pipe::new(self.now), Pipe::new(self.now));
        self.wires.insert(id, Wire { client: number, life, attempt, run, session, up, down });
        if self.clients[number].life == life && self.clients[number].alive.is_some() {
            self.hang_up(number);
            self.clients[number].wire = Some(id);
            self.network(number, life, attempt, Network::Connected);
        } else {
            // It was killed meanwhile.
            self.shut(id, Way::Up);
        }
    }

    pub(super) fn client_job(&mut self, number: usize, life: u64, attempt: Attempt, job: Job) {
        let client = &self.clients[number];
        let Some(alive) = client.alive.as_ref().filter(|_| client.life == life) else { return };
        let answer = job.run(&*alive.key, &mut self.rng);
        self.network(number, life, attempt, Network::Answer(answer));
    }

    /// The client's socket is closed. What is on its way may still arrive, however late.
    pub(super) fn hang_up(&mut self, number: usize) {
        let Some(id) = self.clients[number].wire.take() else { return };
        let Some(wire) = self.wires.get_mut(&id) else { return };
        wire.down.vanish();
        if self.rng.random_bool(0.3) {
            wire.up.tear(&mut self.rng);
        }
        self.shut(id, Way::Up);
    }

    /// kill -9 of a client.
    pub(super) fn kill_client(&mut self, number: usize) {
        self.hang_up(number);
        if let Some(alive) = self.clients[number].alive.take() {
            self.say(|| format!("client {number} is killed"));
            alive.screen.check_end(alive.screen.pending());
            let late = up_to(&mut self.rng, Duration::from_secs(2));
            self.at_in(late, Happening::Begin { client: number });
        }
    }

    /// A client's user leaves.
    pub(super) fn leave(&mut self, number: usize) {
        let patience = up_to(&mut self.rng, Duration::from_secs(5));
        let until = self.now + patience;
        if let Some(alive) = &mut self.clients[number].alive {
            alive.leaving = Some(alive.leaving.map_or(until, |before| before.min(until)));
            self.client_input(number, Input::Command(Command::Leave { patience }));
        }
    }

    /// A user does something.
    pub(super) fn act(&mut self, number: usize) {
        if !self.is_busy() {
            return;
        }
        let late = up_to(&mut self.rng, self.plan.pause);
        self.at_in(late, Happening::Act { client: number });
        let room = RoomName::lobby();
        match self.rng.random_range(0..40) {
            0 => {
                let limit = self.rng.random_bool(0.5).then_some(5);
                // What is on disk stays there: the last message before it is known.
                let stored = self.disk.log.len() as u64;
                let until = match self.rng.random_range(0..4) {
                    0 => Until::Older,
                    1 => Until::Latest,
                    _ => Until::Before(Seq(self.rng.random_range(1..=stored.max(1)))),
                };
                self.ask(number, Ask::History { room, until, limit });
            }
            1 => self.ask(number, Ask::People { room }),
            2 => self.ask(number, Ask::Whois { user: self.clients[0].user }),
            3 => self.post_much(number),
            _ => self.post(number, self.plan.long),
        }
    }

    fn ask(&mut self, number: usize, ask: Ask) {
        if let Some(alive) = &mut self.clients[number].alive {
            alive.screen.asked.push(ask.clone());
            self.client_input(number, Input::Command(Command::Ask(ask)));
        }
    }

    /// A text of many lines is pasted, perhaps while somebody reads nothing.
    fn post_much(&mut self, number: usize) {
        let readers: Vec<WireId> = self.wires.keys().copied().collect();
        if !readers.is_empty() && self.happens_here(Fault::Stall, 0.5) {
            let until = self.now + up_to(&mut self.rng, Duration::from_secs(40));
            let reader = pick(&mut self.rng, &readers);
            self.stall_until(reader, Way::Down, until);
        }
        let lines = self.rng.random_range(1..40);
        let long = self.rng.random();
        (0..lines).for_each(|_| self.post(number, long));
    }

    /// Something is said; something long perhaps, and mostly if `long`.
    fn post(&mut self, number: usize, long: bool) {
        // More could not be sent before patience ends.
        let most = self.plan.message_rate.get() as usize * 10;
        let alive = self.clients[number].alive.as_mut();
        let Some(alive) = alive.filter(|alive| alive.session.outstanding() < most) else { return };
        alive.lines += 1;
        let mut text = format!("{}", alive.lines);
        match self.rng.random_range(0..50) {
            0 => " ".clone_into(&mut text),
            1 => text.push_str(&"x".repeat(self.plan.text)),
            2..10 => text.push_str(&"x".repeat(self.rng.random_range(0..self.plan.text - 10))),
            _ if long => text.push_str(&"x".repeat(self.plan.text - 10)),
            _ => {}
        }
        let body = Body::Text { text };
        self.client_input(number, Input::Command(Command::Post { room: RoomName::lobby(), body, urgent: false }));
        let client = &self.clients[number];
        let wire = client.wire.filter(|_| client.alive.as_ref().is_some_and(|alive| alive.screen.entered));
        if let Some(wire) = wire
            && self.happens_here(Fault::Cut, 0.05)
        {
            self.say(|| format!("client {number}: cut while it says that"));
            self.cut(wire);
        }
    }

    /// A client asks for what the server has, and who is there.
    pub(super) fn ask_last(&mut self, number: usize) {
        for ask in last_questions() {
            self.ask(number, ask);
        }
    }

    /// Checks what a client has at the end.
    pub(super) fn check_client(&self, number: usize) {
        let client = &self.clients[number];
        let Some(Alive { session, screen, .. }) = &client.alive else { return };
        let log = &self.disk.log;
        screen.check_final(log, u64::from(self.plan.join_backlog));
        let [history, people] = last_questions();
        let Some(Answer::History { messages, .. }) = screen.last_answer(&history) else { panic!("no history") };
        let Some(Answer::People(people)) = screen.last_answer(&people) else { panic!("no people") };
        assert_eq!(
            messages.last().map_or(0, |last| last.message.seq.0),
            log.len() as u64,
            "the last message is missing"
        );
        if self.plan.message_bytes < 1_000 {
            let least = u64::from(self.plan.history_limit).min(self.plan.keep).min(log.len() as u64);
            assert!(messages.len() as u64 >= least, "{} of {least} messages", messages.len());
        }
        assert!(people.people.iter().any(|person| person.user == client.user), "who asks is not there: {people:?}");
        if number == 0 {
            // Its whole state, spelled out: a bound for the memory that it takes when there is nothing to do.
            let state = format!("{session:?}").len();
            assert!(state < 400_000, "an idle session of {state} bytes");
        }
    }

    /// Who is running.
    pub(super) fn running(&self) -> Vec<usize> {
        (0..self.clients.len()).filter(|number| self.clients[*number].alive.is_some()).collect()
    }
}
