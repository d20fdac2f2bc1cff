//! What goes wrong, and when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rsachat::hub::{ConsoleCommand, Input};
use rsachat::model::UserName;

use super::plan::{Fault, pick, up_to};
use super::server::registered;
use super::wire::{Way, WireId};
use super::world::{Happening, World};

/// The longest that nothing arrives on a connection that is not broken: longer than both ends' patience.
const STALL: Duration = Duration::from_secs(70);

impl World {
    /// Something goes wrong.
    pub(super) fn fault(&mut self) {
        if !self.is_busy() {
            return;
        }
        let next = up_to(&mut self.rng, self.plan.between_faults * 2);
        self.at_in(next, Happening::Fault);
        let Some(fault) = self.plan.fault(&mut self.rng) else { return };
        self.say(|| format!("{fault:?}"));
        match fault {
            Fault::Cut => self.with_wire(Self::cut),
            Fault::Stall => self.with_wire(Self::stall),
            Fault::Crash => self.crash(),
            Fault::Restart => {
                self.seen.restarts += u32::from(self.process.is_some());
                self.shut_down();
            }
            Fault::DiskFull => {
                self.disk.full = true;
                let free = up_to(&mut self.rng, Duration::from_secs(6));
                self.at_in(free, Happening::DiskFree);
            }
            Fault::KeyRemoved => self.change_key(),
            Fault::Kick => {
                let number = self.rng.random_range(0..self.clients.len());
                self.tell(Input::Console(ConsoleCommand::Kick(self.clients[number].user)));
            }
            Fault::ClientKilled => self.with_client(Self::kill_client),
            Fault::ClientLeaves => self.with_client(Self::leave),
            Fault::ClockSet => self.skew_ms = self.rng.random_range(-3_600_000..3_600_000),
            Fault::ReactorPaused => {
                let until = self.now + up_to(&mut self.rng, Duration::from_secs(4));
                let number = self.rng.random_range(0..self.plan.reactors);
                if let Some(process) = &mut self.process {
                    process.reactors[number].paused = Some(until);
                }
            }
        }
    }

    /// Whether this goes wrong at a moment at which it matters most.
    pub(super) fn happens_here(&mut self, fault: Fault, probability: f64) -> bool {
        let possible = self.is_busy() && self.plan.faults.iter().any(|(one, _)| *one == fault);
        possible && self.rng.random_bool(probability)
    }

    pub(super) fn crash(&mut self) {
        self.say(|| "kill -9".to_owned());
        self.seen.crashes += u32::from(self.process.is_some());
        let is_on_disk = self.rng.random();
        self.crash_store(is_on_disk);
        self.kill();
    }

    fn with_client(&mut self, what: impl FnOnce(&mut Self, usize)) {
        let running = self.running();
        if !running.is_empty() {
            let number = pick(&mut self.rng, &running);
            what(self, number);
        }
    }

    fn with_wire(&mut self, what: impl FnOnce(&mut Self, WireId)) {
        let wires: Vec<WireId> = self.wires.keys().copied().collect();
        if !wires.is_empty() {
            let wire = pick(&mut self.rng, &wires);
            what(self, wire);
        }
    }

    pub(super) fn cut(&mut self, id: WireId) {
        // A client that hears at once, and comes back while what it sent is still on its way: through a proxy, say.
        let overtaken = self.rng.random_bool(0.3);
        for way in [Way::Up, Way::Down] {
            let kind = if overtaken { usize::from(way == Way::Down) } else { self.rng.random_range(0..5) };
            let Some(wire) = self.wires.get_mut(&id) else { return };
            let pipe = wire.pipe(way);
            match kind {
                // What was sent arrives, but late.
                0 => {
                    let until = self.now + up_to(&mut self.rng, Duration::from_secs(10));
                    self.stall_until(id, way, until);
                    self.shut(id, way);
                }
                1 => self.shut(id, way),
                // This end never hears of it.
                2 => pipe.vanish(),
                _ => {
                    pipe.tear(&mut self.rng);
                    self.shut(id, way);
                }
            }
        }
    }

    fn stall(&mut self, one: WireId) {
        // One connection, or all of its client, or all.
        let client = self.wires.get(&one).map(|wire| wire.client);
        let kind = self.rng.random_range(0..4);
        let ids: Vec<WireId> = self.wires.keys().copied().collect();
        let until = self.now + up_to(&mut self.rng, STALL);
        let ways = pick(&mut self.rng, &[&[Way::Up][..], &[Way::Down], &[Way::Up, Way::Down]]);
        for id in ids {
            let Some(wire) = self.wires.get_mut(&id) else { continue };
            let concerned = kind == 3 || id == one || kind == 2 && Some(wire.client) == client;
            for way in ways.iter().copied().filter(|_| concerned) {
                self.stall_until(id, way, until);
            }
        }
    }

    pub(super) fn stall_until(&mut self, wire: WireId, way: Way, until: Instant) {
        if self.wires.get_mut(&wire).is_some_and(|wire| wire.pipe(way).stall(until)) {
            self.at(until, Happening::Arrive { wire, way });
        }
    }

    fn tell(&mut self, input: Input) {
        let late = up_to(&mut self.rng, Duration::from_millis(20));
        self.at_in(late, Happening::Told { run: self.runs, input });
    }

    /// A key is taken from the keys directory, or another one put in its place. Those who handshake from then on find
    /// it so; the hub is told a little later.
    fn change_key(&mut self) {
        let users: Vec<UserName> = self.keys_directory.keys().copied().collect();
        if users.is_empty() {
            return;
        }
        let user = pick(&mut self.rng, &users);
        let key = self.rng.random_range(0..self.keys.people.len());
        self.key_changes += 1;
        if self.rng.random_bool(0.3) {
            self.key_back(user, key);
            return;
        }
        self.keys_directory.remove(&user);
        self.tell(Input::Unregistered { user });
        if self.rng.random_bool(0.8) {
            let away = Duration::from_millis(50) + up_to(&mut self.rng, Duration::from_secs(4));
            self.at_in(away, Happening::KeyBack { user, key });
        }
    }

    /// A key is put into the keys directory.
    pub(super) fn key_back(&mut self, user: UserName, key: usize) {
        let key = Arc::clone(&self.keys.people[key]);
        self.tell(registered(user, key.public()));
        self.keys_directory.insert(user, key);
        for number in 0..self.clients.len() {
            if self.clients[number].user == user {
                let late = up_to(&mut self.rng, Duration::from_secs(2));
                self.at_in(late, Happening::Begin { client: number });
            }
        }
    }
}
