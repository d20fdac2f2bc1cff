//! rsachat and nats-server, both with AES-256-GCM (NATS over TLS 1.3), in one run and by turns: how long a message
//! takes to reach a room, and what that costs the server.
//!
//! The two do not promise the same: rsachat numbers all messages of a room, writes them to disk and acknowledges them,
//! core NATS hands them on. What is compared is what a member notices, the time until a message is there. Both are
//! measured from one thread, from the moment a message was to be sent (no coordinated omission) to the return of the
//! read that brought it to a member; `rsachat::load` and `nats/crowd.rs` do the same in the same order.
//!
//! `cargo bench --bench nats -- latency` measures that alone, `throughput` the rest. `RSACHAT_BENCH_ROUNDS` is the
//! number of rounds of each server; there are 5 where it is not set.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench, with helpers of the tests of which it needs a few"
)]

#[path = "nats/crowd.rs"]
mod crowd;
#[path = "nats/member.rs"]
mod member;
#[path = "nats/ours.rs"]
mod ours;
#[path = "nats/outcome.rs"]
mod outcome;
#[path = "nats/server.rs"]
mod server;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use rsachat::load::{Amount, FanOut, Latency, Pace, Process};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ClientConfig;

use crowd::Crowd;
use ours::Ours;
use outcome::Outcome;
use server::Server;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(5);
/// Of the rounds in which as much is sent as goes.
const FULL_ROUND: Duration = Duration::from_secs(2);
const MEMBERS: usize = 100;
const MOST_MEMBERS: usize = 1000;
const RATE: f64 = 20.0;
const SENDERS: usize = 10;
/// Messages of a sender that are under way: not acknowledged by rsachat, or not heard by the sender itself from NATS.
const WINDOW: u32 = 16;

struct Stand {
    ours: Ours,
    nats: Server,
    config: Arc<ClientConfig>,
    rounds: usize,
}

impl Stand {
    /// Rounds of rsachat and of NATS by turns, each with connections of its own.
    fn compare(&mut self, members: usize, plan: &FanOut, mut told: impl FnMut(&str, &Outcome)) -> [Outcome; 2] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 1..=self.rounds {
            let outcome = self.ours.fan_out(members, plan);
            told(&format!("{round} rsachat"), &outcome);
            ours.push(outcome);
            let mut crowd = Crowd::enter(self.nats.address, &self.config, members);
            let outcome = crowd.fan_out(plan, Process(self.nats.pid()));
            told(&format!("{round} nats"), &outcome);
            theirs.push(outcome);
        }
        [ours, theirs].map(|rounds| Outcome::merge(&rounds))
    }

    fn latency(&mut self) {
        let plan = FanOut { senders: 1, size: 64, pace: Pace::Rate(RATE), amount: Amount::Time(ROUND) };
        println!("delivery to each of {MEMBERS} members, {RATE} messages a second of one sender, 64 bytes");
        println!(
            "{:<12}{:>9}{:>9}{:>9}{:>9}{:>14}{:>9}",
            "", "p50 ms", "p99", "p99.9", "max", "server CPU s", "RSS MiB"
        );
        let both = self.compare(MEMBERS, &plan, tell_latency);
        let [ours, theirs] = &both;
        tell_latency("all rsachat", ours);
        tell_latency("all nats", theirs);
        let [a, b] = both.each_ref().map(Outcome::delivery);
        println!(
            "rsachat / nats: p50 {:.2}, p99 {:.2}, p99.9 {:.2}, server CPU {:.2}",
            a.p50_ms / b.p50_ms,
            a.p99_ms / b.p99_ms,
            a.p99_9_ms / b.p99_9_ms,
            ours.server_cpu_s / theirs.server_cpu_s
        );
        println!("{:<12}{}   on disk; core NATS has none\n", "acknowledged", words(&ours.acceptance().unwrap()));
    }

    fn throughput(&mut self) {
        println!("as much as goes: {SENDERS} senders, {WINDOW} messages of each under way");
        println!(
            "{:<26}{:>14}{:>22}{:>22}{:>9}{:>9}",
            "", "deliveries/s", "server CPU s/million", "client CPU s/million", "p50 ms", "p99"
        );
        for (members, size) in [(MEMBERS, 64), (MEMBERS, 1024), (MOST_MEMBERS, 64)] {
            let pace = Pace::Window(WINDOW);
            let plan = FanOut { senders: SENDERS, size, pace, amount: Amount::Time(FULL_ROUND) };
            let both = self.compare(members, &plan, |_, _| {});
            for (name, outcome) in ["rsachat", "nats"].iter().zip(&both) {
                let Latency { p50_ms, p99_ms, .. } = outcome.delivery();
                println!(
                    "{:<26}{:>14.0}{:>22.3}{:>22.3}{p50_ms:>9.2}{p99_ms:>9.2}",
                    format!("{members} members, {size} B {name}"),
                    outcome.delivered as f64 / outcome.seconds,
                    outcome.per_million(outcome.server_cpu_s),
                    outcome.per_million(outcome.client_cpu_s)
                );
            }
            let [ours, theirs] = both.map(|outcome| outcome.per_million(outcome.server_cpu_s));
            println!("{:<26}{:>14}{:>22.2}", "rsachat / nats", "", ours / theirs);
        }
    }
}

fn tell_latency(name: &str, outcome: &Outcome) {
    let (cpu, mib) = (outcome.server_cpu_s, outcome.resident as f64 / f64::from(1 << 20));
    println!("{name:<12}{}{cpu:>14.3}{mib:>9.1}", words(&outcome.delivery()));
}

fn words(latency: &Latency) -> String {
    let Latency { p50_ms, p99_ms, p99_9_ms, max_ms, .. } = latency;
    format!("{p50_ms:>9.3}{p99_ms:>9.3}{p99_9_ms:>9.3}{max_ms:>9.3}")
}

fn main() {
    let Some(nats) = Server::start() else {
        println!("nats-server is not installed: apt-get install nats-server");
        return;
    };
    // A room of the largest size, twice: those who left may not be gone yet.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let rounds = std::env::var("RSACHAT_BENCH_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let config = member::config(&nats.certificate());
    let mut stand = Stand { ours: Ours::start(), nats, config, rounds };
    // Cargo adds `--bench`.
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let is_asked = |part: &str| asked.is_empty() || asked.iter().any(|asked| asked == part);
    if is_asked("latency") {
        stand.latency();
    }
    if is_asked("throughput") {
        stand.throughput();
    }
}
