//! The town: who is there, what happens next, and how it ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rsachat::client::session::{Ask, Command, Event, Input, Known, Seal, Until};
use rsachat::crypto::rsa::PrivateKey;
use rsachat::hub::{Creation, Hub, Settings};
use rsachat::journal::{Restored, StoreCommand, StoreEvent};
use rsachat::model::{RoomName, Timestamp, UserName};
use rsachat::proto::ticket::TicketKeys;
use rsachat::store::Running;
use tempfile::TempDir;

use super::client::Client;
use super::liar::Liar;
use super::truth::Truth;

const BEGINNING: Timestamp = Timestamp(1_700_000_000_000);
/// What users do in one run.
const ACTS: usize = 120;
/// How long everything may take to come to rest, in seconds.
const PATIENCE: u64 = 600;

pub(super) fn admin() -> UserName {
    "alice".parse().unwrap()
}

pub(super) fn pick<T: Copy>(rng: &mut StdRng, from: &[T]) -> T {
    from[rng.random_range(0..from.len())]
}

/// How often something happened that the checks are about.
#[derive(Debug, Default)]
pub(super) struct Seen {
    accepted: u64,
    sealed: u64,
    unreadable: u64,
    found_out: u64,
    opened_at_the_end: usize,
    pub(super) restarts: u64,
    pub(super) lies: u64,
}

impl Seen {
    pub(super) fn saw(&mut self, event: &Event) {
        match event {
            Event::Accepted { .. } => self.accepted += 1,
            Event::Message { seal: Seal::Sealed(_), .. } => self.sealed += 1,
            Event::Message { seal: Seal::Unreadable(_), .. } => self.unreadable += 1,
            Event::Withheld { .. } | Event::Repeated { .. } | Event::BadRoster { .. } | Event::KeyChanged { .. } => {
                self.found_out += 1;
            }
            _ => {}
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.sealed += other.sealed;
        self.unreadable += other.unreadable;
        self.found_out += other.found_out;
        self.opened_at_the_end += other.opened_at_the_end;
        self.restarts += other.restarts;
        self.lies += other.lies;
    }

    /// A simulation in which nothing happens proves nothing.
    pub(super) fn check(&self, lies: bool) {
        assert!(self.accepted > 0 && self.sealed > 0 && self.restarts > 0, "{self:?}");
        if lies {
            assert!(self.lies > 0 && self.unreadable > 0 && self.found_out > 0, "{self:?}");
        } else {
            assert!(self.opened_at_the_end > 0, "{self:?}");
        }
    }
}

/// Everything.
pub(super) struct Town {
    pub(super) rng: StdRng,
    beginning: Instant,
    pub(super) now: Instant,
    pub(super) directory: TempDir,
    pub(super) server_key: Arc<PrivateKey>,
    pub(super) tickets: Arc<TicketKeys>,
    pub(super) hub: Hub,
    pub(super) store: Option<(Running, Receiver<StoreEvent>)>,
    pub(super) commands: VecDeque<StoreCommand>,
    pub(super) keys: BTreeMap<UserName, PrivateKey>,
    /// What each user remembers, on all his clients.
    pub(super) known: BTreeMap<UserName, Known>,
    pub(super) clients: Vec<Client>,
    pub(super) next_session: u64,
    pub(super) lines: u64,
    /// What was decided over rooms, and what of it no crash undoes.
    pub(super) decided: Decided,
    pub(super) written: Decided,
    pub(super) liar: Option<Liar>,
    pub(super) truth: Truth,
    pub(super) seen: Seen,
    story: Vec<String>,
}

/// Who owns rooms, and who was let into private ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Decided {
    pub(super) owners: BTreeMap<RoomName, UserName>,
    pub(super) inside: BTreeMap<RoomName, BTreeSet<UserName>>,
}

/// The private keys of the tests' data.
fn key(name: &str) -> PrivateKey {
    let path = format!("{}/tests/data/keys/test_{name}.private.pem", env!("CARGO_MANIFEST_DIR"));
    PrivateKey::from_pem(&std::fs::read_to_string(path).unwrap(), None).unwrap()
}

impl Town {
    /// Runs a seed to its end, and leaves its story.
    pub(super) fn run(seed: u64, lies: bool, story: &mut Vec<String>) -> Seen {
        let mut town = Self::new(seed, lies);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| town.live()));
        *story = std::mem::take(&mut town.story);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
        town.seen
    }

    fn new(seed: u64, lies: bool) -> Self {
        static SERVER: LazyLock<Arc<PrivateKey>> = LazyLock::new(|| Arc::new(key("server")));
        let mut rng = StdRng::seed_from_u64(seed);
        let keys: BTreeMap<UserName, PrivateKey> = [("alice", "alice"), ("bob", "bob"), ("carol", "mallory")]
            .map(|(user, file)| (user.parse().unwrap(), key(file)))
            .into();
        // Everybody has met everybody: what a lie at the first meeting does is said in SECURITY.md.
        let mut known = Known::default();
        for (user, key) in &keys {
            known.trust(*user, key.public().fingerprint(), false);
        }
        let users: Vec<UserName> = keys.keys().copied().collect();
        let client = |user: UserName| Client { user, alive: None };
        let now = Instant::now();
        Self {
            beginning: now,
            now,
            directory: tempfile::tempdir().unwrap(),
            server_key: Arc::clone(&SERVER),
            tickets: Arc::new(TicketKeys::generate(BEGINNING, &mut rng)),
            hub: Hub::new(Self::hub_settings(), Restored::default()),
            store: None,
            commands: VecDeque::new(),
            known: users.iter().map(|user| (*user, known.clone())).collect(),
            truth: Truth::new(keys.iter().map(|(user, key)| (*user, key.public().fingerprint())).collect()),
            // The last of them has two.
            clients: users.iter().copied().chain([users[rng.random_range(0..users.len())]]).map(client).collect(),
            keys,
            next_session: 0,
            lines: 0,
            decided: Decided::default(),
            written: Decided::default(),
            liar: lies.then(|| Liar::new(key("server"), users.clone())),
            seen: Seen::default(),
            story: Vec::new(),
            rng,
        }
    }

    pub(super) fn hub_settings() -> Settings {
        let thousand = std::num::NonZeroU32::new(1000).unwrap();
        Settings {
            server: "rsachat/town".to_owned(),
            connections_per_user: 64,
            message_bytes: 1000,
            message_rate: thousand,
            message_burst: thousand,
            history_limit: 1000,
            join_backlog: 10,
            admins: [admin()].into(),
            default_rooms: vec![RoomName::lobby()],
            records: false,
            creation: Creation::Everyone,
            max_rooms: 20,
            direct_quota: 1000,
            max_rooms_per_user: 10,
        }
    }

    pub(super) fn wall(&self) -> Timestamp {
        BEGINNING.after(self.now - self.beginning)
    }

    pub(super) fn tell(&mut self, what: impl FnOnce() -> String) {
        self.story.push(what());
    }

    fn live(&mut self) {
        self.start_server();
        (0..self.clients.len()).for_each(|number| self.start_client(number));
        let mut acts = 0;
        while acts < ACTS {
            if self.rng.random_bool(0.08) {
                acts += 1;
                let number = self.rng.random_range(0..self.clients.len());
                match self.rng.random_range(0..60) {
                    0 => self.restart_server(),
                    1 => self.kill_client(number),
                    2 => self.cut(number),
                    _ if self.clients[number].alive.is_none() => self.start_client(number),
                    _ => self.act(number),
                }
            } else if !self.something() {
                let late = Duration::from_millis(self.rng.random_range(1..300));
                self.pass(late);
            }
        }
        self.settle();
        if self.liar.is_none() {
            self.compare();
        }
        self.seen.lies = self.liar.as_ref().map_or(0, |liar| liar.told);
    }

    /// One of the things that can happen does. Says whether there was one.
    fn something(&mut self) -> bool {
        let mut can: Vec<(u8, usize)> = Vec::new();
        for (number, client) in self.clients.iter().enumerate() {
            let Some(alive) = &client.alive else { continue };
            can.extend((!alive.errands.is_empty()).then_some((0, number)));
            if let Some(line) = &alive.line {
                can.extend((!line.up.is_empty()).then_some((1, number)));
                can.extend(line.has_down().then_some((2, number)));
            }
        }
        can.extend((!self.commands.is_empty()).then_some((3, 0)));
        if can.is_empty() {
            return false;
        }
        match pick(&mut self.rng, &can) {
            (0, number) => self.errand(number),
            (1, number) => self.up(number),
            (2, number) => self.down(number),
            _ => self.commit(),
        }
        true
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        (0..self.clients.len()).for_each(|number| self.tick(number));
        self.tick_hub();
    }

    /// Nothing new is said, until everything has come to its end.
    fn settle(&mut self) {
        for number in 0..self.clients.len() {
            if self.clients[number].alive.is_none() {
                self.start_client(number);
            }
        }
        let end = self.now + Duration::from_secs(PATIENCE);
        loop {
            while self.something() {}
            let unsettled = (0..self.clients.len()).find_map(|number| self.unsettled(number));
            let Some(why) = unsettled else { return };
            if self.now >= end {
                // Who is lied to may wait for ever.
                assert!(self.liar.is_some(), "it doesn't come to rest: {why}");
                return;
            }
            self.pass(Duration::from_millis(500));
        }
    }

    /// Everybody looks at all rooms that he is in, and sees there what was said.
    fn compare(&mut self) {
        for number in 0..self.clients.len() {
            let user = self.clients[number].user;
            let rooms = self.truth.rooms();
            for room in rooms.iter().copied().filter(|room| room.partner(user).is_some()) {
                self.input(number, Input::Command(Command::Join { room }));
            }
            self.settle();
            let alive = self.clients[number].alive.as_mut().unwrap();
            alive.history.clear();
            let inside = alive.inside.clone();
            for room in rooms.into_iter().filter(|room| inside.contains(room)) {
                self.ask(number, Ask::History { room, until: Until::Latest, limit: None });
                self.settle();
            }
            let alive = self.clients[number].alive.as_mut().unwrap();
            let histories: BTreeMap<_, _> = std::mem::take(&mut alive.history).into_iter().collect();
            for (room, shown) in &histories {
                self.seen.opened_at_the_end += self.truth.check_history(user, *room, shown);
            }
        }
    }

    fn tick_hub(&mut self) {
        if self.hub.poll_timeout().is_some_and(|due| due <= self.now) {
            self.hub_tick();
        }
    }
}
