//! The world: what there is, what happens when, and what time it is.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rsachat::client::session::Attempt;
use rsachat::crypto::rsa::PrivateKey;
use rsachat::hub::Input;
use rsachat::model::{SessionId, Timestamp, UserName};
use rsachat::proto::handshake::{client, server};
use rsachat::proto::ticket::TicketKeys;

use super::client::Client;
use super::disk::Disk;
use super::plan::{Plan, up_to};
use super::process::Process;
use super::said::Said;
use super::trace::Trace;
use super::wire::{Way, Wire, WireId};

/// The wall's clock when a run begins, milliseconds since 1970.
const BEGINNING: u64 = 1_700_000_000_000;
/// How long after the last fault everything may take to be as it should.
const PATIENCE: Duration = Duration::from_secs(300);
/// The longest way of a byte, and the longest commit, when nothing goes wrong.
const CALM: Duration = Duration::from_millis(50);
/// More steps than this without any time passing are a loop.
const SPIN: u32 = 20_000;

/// The keys of everybody, of 2048 bits, from the tests' data.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) server: Arc<PrivateKey>,
    pub(super) people: [Arc<PrivateKey>; 2],
}

impl Keys {
    fn read() -> &'static Self {
        static KEYS: LazyLock<Keys> = LazyLock::new(|| {
            let read = |text| Arc::new(PrivateKey::from_pem(text, None).unwrap());
            Keys {
                server: read(include_str!("../../data/keys/test_server.private.pem")),
                people: [
                    read(include_str!("../../data/keys/test_alice.private.pem")),
                    read(include_str!("../../data/keys/test_bob.private.pem")),
                ],
            }
        });
        &KEYS
    }
}

/// Something that happens at its time. What belongs to a run of the server or a life of a client that is over is
/// nothing.
#[derive(Debug)]
pub(super) enum Happening {
    Arrive { wire: WireId, way: Way },
    Connect { client: usize, life: u64, attempt: Attempt, refused: bool },
    ClientJob { client: usize, life: u64, attempt: Attempt, job: client::Job },
    Act { client: usize },
    Begin { client: usize },
    ServerJob { run: u64, session: SessionId, job: server::Job },
    Mail { run: u64, reactor: usize },
    Sweep { run: u64 },
    Commit { run: u64 },
    Retry { run: u64 },
    Report { run: u64 },
    Crash { run: u64 },
    Start,
    Fault,
    DiskFree,
    Told { run: u64, input: Input },
    KeyBack { user: UserName, key: usize },
}

/// How often something happened that the checks are about: a simulation in which nothing goes wrong proves nothing.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    pub(super) steps: u64,
    pub(super) accepted: u64,
    pub(super) crashes: u32,
    pub(super) restarts: u32,
    pub(super) committed_untold: u32,
    pub(super) failed_commits: u32,
    pub(super) lookups: u32,
    pub(super) reads: u32,
    pub(super) found: u32,
    pub(super) resumed: u32,
    pub(super) too_slow: u32,
    pub(super) pages: u32,
    pub(super) more: u32,
    pub(super) gone: u32,
    pub(super) withdrawals: u32,
    pub(super) withdrawn: u64,
    pub(super) put_out: u32,
    pub(super) late_bytes: u32,
    pub(super) presence: u32,
    pub(super) refusals: BTreeMap<String, u32>,
}

impl std::ops::AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.accepted += other.accepted;
        self.crashes += other.crashes;
        self.restarts += other.restarts;
        self.committed_untold += other.committed_untold;
        self.failed_commits += other.failed_commits;
        self.lookups += other.lookups;
        self.reads += other.reads;
        self.found += other.found;
        self.resumed += other.resumed;
        self.too_slow += other.too_slow;
        self.pages += other.pages;
        self.more += other.more;
        self.gone += other.gone;
        self.withdrawals += other.withdrawals;
        self.withdrawn += other.withdrawn;
        self.put_out += other.put_out;
        self.late_bytes += other.late_bytes;
        self.presence += other.presence;
        for (code, count) in other.refusals {
            *self.refusals.entry(code).or_default() += count;
        }
    }
}

impl Seen {
    /// Everything happened that should.
    pub(super) fn check(&self) {
        let counts = [
            self.crashes,
            self.restarts,
            self.committed_untold,
            self.failed_commits,
            self.found,
            self.lookups - self.found,
            self.reads,
            self.resumed,
            self.too_slow,
            self.pages,
            self.more,
            self.gone,
            self.withdrawals,
            self.put_out,
            self.late_bytes,
            self.presence,
        ];
        assert!(counts.iter().all(|count| *count > 0), "something never happened: {self:?}");
    }
}

/// What still goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// People talk, and things go wrong.
    Busy,
    /// Nothing new is said, and nothing goes wrong any more.
    Calm,
    /// Everybody was asked what he sees.
    Asked,
}

/// Everything.
pub(super) struct World {
    pub(super) now: Instant,
    beginning: Instant,
    pub(super) skew_ms: i64,
    pub(super) rng: StdRng,
    pub(super) plan: Plan,
    agenda: BTreeMap<(Instant, u64), Happening>,
    next: u64,
    stage: Stage,
    pub(super) keys: &'static Keys,
    pub(super) tickets: Arc<TicketKeys>,
    pub(super) keys_directory: BTreeMap<UserName, Arc<PrivateKey>>,
    /// How often the keys directory was changed.
    pub(super) key_changes: u32,
    pub(super) process: Option<Process>,
    pub(super) runs: u64,
    pub(super) disk: Disk,
    pub(super) wires: BTreeMap<WireId, Wire>,
    pub(super) next_wire: u64,
    pub(super) clients: Vec<Client>,
    pub(super) said: Said,
    pub(super) seen: Seen,
    pub(super) trace: Trace,
}

impl World {
    /// Runs a seed to its end. Panics where something is not as it should be.
    pub(super) fn run(seed: u64, trace: &Trace) -> Seen {
        let beginning = Instant::now();
        let mut rng = StdRng::seed_from_u64(seed);
        let plan = Plan::draw(&mut rng);
        let keys = Keys::read();
        let name = |n: usize| ["alice", "bob", "carol"][n].parse().unwrap();
        let key = |n: usize| Arc::clone(&keys.people[n % keys.people.len()]);
        let mut world = Self {
            now: beginning,
            beginning,
            skew_ms: 0,
            agenda: BTreeMap::new(),
            next: 0,
            stage: Stage::Busy,
            keys,
            tickets: Arc::new(TicketKeys::generate(Timestamp(BEGINNING), &mut rng)),
            keys_directory: (0..plan.users).map(|n| (name(n), key(n))).collect(),
            key_changes: 0,
            process: None,
            runs: 0,
            disk: Disk::default(),
            wires: BTreeMap::new(),
            next_wire: 0,
            clients: (0..plan.clients).map(|n| Client::new(name(n % plan.users))).collect(),
            said: Said::default(),
            seen: Seen::default(),
            trace: trace.clone(),
            plan,
            rng,
        };
        trace.begin(beginning);
        world.say(|| format!("{:?}", world.plan));
        world.begin();
        while world.advance() {}
        world.seen
    }

    fn begin(&mut self) {
        self.at_in(Duration::ZERO, Happening::Start);
        for client in 0..self.clients.len() {
            let late = up_to(&mut self.rng, self.plan.busy / 2);
            self.at_in(late, Happening::Begin { client });
            self.at_in(late, Happening::Act { client });
        }
        let first = up_to(&mut self.rng, self.plan.between_faults * 2);
        self.at_in(first, Happening::Fault);
    }

    pub(super) fn wall(&self) -> Timestamp {
        let since = u64::try_from((self.now - self.beginning).as_millis()).unwrap();
        Timestamp((BEGINNING + since).saturating_add_signed(self.skew_ms))
    }

    pub(super) fn at(&mut self, due: Instant, what: Happening) {
        self.next += 1;
        self.agenda.insert((due, self.next), what);
    }

    pub(super) fn at_in(&mut self, late: Duration, what: Happening) {
        self.at(self.now + late, what);
    }

    /// Everybody was asked what he sees: who comes now is asked too.
    pub(super) fn is_asked(&self) -> bool {
        self.stage == Stage::Asked
    }

    pub(super) fn say(&self, what: impl FnOnce() -> String) {
        self.trace.say(self.now, what);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.stage == Stage::Busy
    }

    /// How long something takes that can take so long at most, while things go wrong.
    pub(super) fn takes(&mut self, most: Duration) -> Duration {
        let most = if self.is_busy() { most } else { most.min(CALM) };
        up_to(&mut self.rng, most)
    }

    fn travels(&mut self) -> Duration {
        self.takes(self.plan.delay)
    }

    /// Sends bytes on a connection.
    pub(super) fn transmit(&mut self, wire: WireId, way: Way, bytes: Vec<u8>) {
        let late = self.travels();
        let Some(pipe) = self.wires.get_mut(&wire).map(|wire| wire.pipe(way)) else { return };
        if let Some(due) = pipe.send(bytes, self.now, late) {
            self.at(due, Happening::Arrive { wire, way });
        }
    }

    /// Nothing more will be sent on a connection.
    pub(super) fn shut(&mut self, wire: WireId, way: Way) {
        let late = self.travels();
        let Some(pipe) = self.wires.get_mut(&wire).map(|wire| wire.pipe(way)) else { return };
        if let Some(due) = pipe.shut(self.now, late) {
            self.at(due, Happening::Arrive { wire, way });
        }
    }

    /// What happens next; returns whether something did.
    fn advance(&mut self) -> bool {
        let happening = self.agenda.first_key_value().map(|((due, _), _)| *due);
        let sessions = self.clients.iter().enumerate().filter_map(|(n, client)| Some((client.due()?, n)));
        let session = sessions.min();
        let hub = self.process.as_ref().and_then(|process| process.hub.poll_timeout());
        let due = [happening, session.map(|(due, _)| due), hub].into_iter().flatten().min();
        let due = due.expect("something always happens").max(self.now);
        if self.stage == Stage::Busy && due >= self.beginning + self.plan.busy {
            self.calm_down();
            return true;
        }
        self.pass_to(due);
        if happening.is_some_and(|happening| happening <= due)
            && let Some((_, what)) = self.agenda.pop_first()
        {
            self.happen(what);
        } else if let Some((_, client)) = session.filter(|(at, _)| *at <= due) {
            self.tick(client);
        } else {
            self.step(None, vec![Input::Tick]);
            self.end_if_stopped();
        }
        self.stage == Stage::Busy || !self.is_settled()
    }

    fn pass_to(&mut self, due: Instant) {
        self.seen.steps += 1;
        self.clients.iter_mut().for_each(|client| client.spins = if due > self.now { 0 } else { client.spins });
        self.now = due;
        let limit = self.beginning + self.plan.busy + PATIENCE;
        assert!(self.now < limit, "it doesn't settle: {}", self.unsettled().unwrap_or_default());
    }

    fn tick(&mut self, client: usize) {
        self.clients[client].spins += 1;
        assert!(self.clients[client].spins < SPIN, "client {client} wants to be woken again and again");
        self.client_input(client, rsachat::client::session::Input::Tick);
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Arrive { wire, way } => self.arrive(wire, way),
            Happening::Connect { client, life, attempt, refused } => self.connect(client, life, attempt, refused),
            Happening::ClientJob { client, life, attempt, job } => self.client_job(client, life, attempt, job),
            Happening::Act { client } => self.act(client),
            Happening::Begin { client } => self.begin_client(client),
            Happening::ServerJob { run, session, job } => self.server_job(run, session, job),
            Happening::Mail { run, reactor } => self.mail(run, reactor),
            Happening::Sweep { run } => self.sweep(run),
            Happening::Commit { run } => self.commit(run),
            Happening::Retry { run } => self.retry(run),
            Happening::Report { run } => self.report(run),
            Happening::Crash { run } => {
                if self.process.as_ref().is_some_and(|process| process.run == run) {
                    self.crash();
                }
            }
            Happening::Start => self.start_server(),
            Happening::Fault => self.fault(),
            Happening::DiskFree => self.disk.full = false,
            Happening::Told { run, input } => {
                if self.process.as_ref().is_some_and(|process| process.run == run) {
                    self.step(None, vec![input]);
                    self.end_if_stopped();
                }
            }
            Happening::KeyBack { user, key } => self.key_back(user, key),
        }
    }

    /// A reactor looks into its mailbox, unless it gets no time.
    fn mail(&mut self, run: u64, number: usize) {
        let now = self.now;
        let Some(process) = self.process.as_mut().filter(|process| process.run == run) else { return };
        let reactor = &mut process.reactors[number];
        if let Some(until) = reactor.paused.filter(|until| *until > now) {
            self.at(until, Happening::Mail { run, reactor: number });
            return;
        }
        reactor.woken = false;
        reactor.paused = None;
        self.turn(number);
    }

    /// Bytes reach an end of a connection.
    fn arrive(&mut self, id: WireId, way: Way) {
        let now = self.now;
        let Some(wire) = self.wires.get_mut(&id) else { return };
        let (run, session, client, life, attempt) = (wire.run, wire.session, wire.client, wire.life, wire.attempt);
        if way == Way::Up
            && let Some(process) = self.process.as_ref().filter(|process| process.run == run)
            && let Some(until) = process.reactors[process.reactor_of(session)].paused.filter(|until| *until > now)
        {
            // Its reactor gets no time: the system keeps the bytes.
            return self.at(until, Happening::Arrive { wire: id, way });
        }
        let (arrived, again) = wire.pipe(way).arrive(now, &mut self.rng);
        if wire.is_over() {
            self.wires.remove(&id);
        }
        if let Some(due) = again {
            self.at(due, Happening::Arrive { wire: id, way });
        }
        if arrived.pieces.is_empty() && !arrived.eof {
            return;
        }
        match way {
            Way::Up => {
                let abandoned = self.clients[client].wire != Some(id);
                self.seen.late_bytes += u32::from(abandoned && !arrived.pieces.is_empty());
                self.received(run, session, arrived);
            }
            Way::Down => {
                self.client_received(client, life, attempt, arrived);
                if self.process.as_ref().is_some_and(|process| process.run == run) {
                    self.flush(session);
                }
            }
        }
    }

    fn calm_down(&mut self) {
        self.pass_to(self.beginning + self.plan.busy);
        self.say(|| "calm".to_owned());
        self.stage = Stage::Calm;
        self.disk.full = false;
    }

    fn is_settled(&mut self) -> bool {
        if self.unsettled().is_some() {
            return false;
        }
        let asked = std::mem::replace(&mut self.stage, Stage::Asked) == Stage::Asked;
        if asked {
            self.check_final();
            self.clients.iter().for_each(|client| self.seen.withdrawn += client.withdrawn());
        } else {
            (0..self.clients.len()).for_each(|number| self.ask_last(number));
        }
        asked
    }

    /// Why the end is not reached.
    fn unsettled(&self) -> Option<String> {
        let Some(process) = &self.process else { return Some("the server is down".to_owned()) };
        let store = &process.store;
        if !(store.waiting.is_empty() && store.batch.is_empty() && store.reports.is_empty()) {
            return Some("the store has something to do".to_owned());
        }
        if process.ending.is_some() || process.reactors.iter().any(|reactor| !reactor.mail.is_empty()) {
            return Some("the server has something to do".to_owned());
        }
        if process.hub.poll_timeout().is_some() {
            return Some("the hub has something to tell".to_owned());
        }
        if self.agenda.values().any(|what| matches!(what, Happening::Told { .. } | Happening::KeyBack { .. })) {
            return Some("a key changes".to_owned());
        }
        let mut unsettled = self.clients.iter().enumerate();
        unsettled.find_map(|(n, client)| client.unsettled(self).map(|why| format!("client {n} {why}")))
    }

    fn check_final(&self) {
        let process = self.process.as_ref().unwrap();
        process.judge.check_final();
        let ids: std::collections::HashSet<_> = self.disk.log.iter().map(|(_, it)| (it.sender, it.message)).collect();
        assert_eq!(ids.len(), self.disk.log.len(), "a message is stored twice");
        for number in 0..self.clients.len() {
            self.check_client(number);
        }
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("seen", &self.seen).finish_non_exhaustive()
    }
}
