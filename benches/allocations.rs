//! What a message costs in heap allocations: printed, and held to the limits that stand here.
//!
//! The server runs in this process and its members in another one, so that only the server's allocations are counted.
//! Those of SQLite, which has an allocator of its own, are not.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    dead_code,
    reason = "a bench, with helpers of the tests of which it needs a few"
)]

mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::alloc::System;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use common::{Crowd, direction, links, post, receive, record, stored};
use rsachat::config::{ServerConfig, ServerFlags, ServerPaths};
use rsachat::crypto::rsa::PrivateKey;
use rsachat::keys::registry::{self, Registry};
use rsachat::model::RoomName;
use rsachat::proto::frame::Kind;
use rsachat::proto::message::{Encoded, Join, PREFIX_BYTES, Request};
use rsachat::server::{Event, Options, Server};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::client::{Client, Conn, Login, Origin, duplicate, message_id};
use support::crowd;
use support::data_dir::{DataDir, bob, pem};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Times that each thing is done.
const TIMES: usize = 1000;
const MEMBERS: usize = 100;
const SENDERS: usize = 10;
/// 64 bytes.
const TEXT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Prints what `run` allocates for each of `count` things. Returns whether that is within the limits.
fn measure(what: &str, count: usize, (allocations, bytes): (f64, f64), run: impl FnOnce()) -> bool {
    let region = Region::new(HEAP);
    run();
    let change = region.change();
    let each = |number: usize| number as f64 / count as f64;
    let (made, taken) = (each(change.allocations + change.reallocations), each(change.bytes_allocated));
    println!("{what:58} {made:7.2} of {allocations:7.2} allocations {taken:8.0} of {bytes:8.0} B");
    made <= allocations && taken <= bytes
}

/// What the parts without input and output allocate.
fn parts() -> bool {
    let plaintext = [7; 1024];
    let (mut from, mut out) = (direction(), Vec::with_capacity(2048));
    let sealed = measure("a record of 1 KiB, sealed", TIMES, (0.0, 0.0), || {
        for _ in 0..TIMES {
            out.clear();
            from.seal(Kind::Data, &mut out, |out| out.extend_from_slice(&plaintext));
            black_box(&out);
        }
    });

    let bytes = Request::Post(post(1)).encode(1).split_off(PREFIX_BYTES);
    let decoded = measure("a post, decoded", TIMES, (1.0, 64.0), || {
        for _ in 0..TIMES {
            drop(black_box(Request::decode(&bytes)));
        }
    });
    let message = stored(1);
    let encoded = measure("a message, encoded for its room", TIMES, (2.0, 448.0), || {
        for _ in 0..TIMES {
            drop(black_box(Encoded::new(&message)));
        }
    });

    let (mut client, mut server) = links();
    let now = Instant::now();
    let mut records = |posts| (0..TIMES).map(|_| record(&mut client, posts)).collect::<Vec<_>>();
    let (mut single, mut sixteen) = (records(1), records(16));
    let opened = measure("a post, alone in its record, opened and decoded", TIMES, (2.0, 768.0), || {
        for record in &mut single {
            receive(&mut server, record, now);
        }
    });
    let together = measure("a post, with 15 others in a record, opened and decoded", 16 * TIMES, (1.2, 256.0), || {
        for record in &mut sixteen {
            receive(&mut server, record, now);
        }
    });

    let mut crowd = Crowd::new(MEMBERS as u64);
    let mut posts = (0..2 * TIMES).map(|_| crowd.next()).collect::<Vec<_>>().into_iter();
    // After the first thousand all queues are as long as they become.
    posts.by_ref().take(TIMES).for_each(|post| crowd.take(post));
    let taken = measure("a post in a room of 100, by the hub, with its outputs", TIMES, (6.01, 1024.0), || {
        posts.for_each(|post| crowd.take(post));
    });
    sealed & decoded & encoded & opened & together & taken
}

/// What the whole server allocates.
fn server() -> bool {
    let dir = DataDir::new(json!({
        "message_rate": 100_000, "message_burst": 100_000, "max_connections_per_address": 0,
        "max_connections_per_user": 2 * MEMBERS, "join_backlog": 0, "reactors": 2, "workers": 1,
    }));
    let paths = ServerPaths::new(dir.path(), None);
    let config = ServerConfig::load(&paths, &ServerFlags::default()).unwrap();
    let server = Server::start(Options {
        config: &config,
        key: PrivateKey::from_pem(&pem("test_server.private.pem"), None).unwrap(),
        keys: &paths.keys,
        registered: registry::load(&paths.keys, &Registry::default()),
        database: &paths.database,
        invites: &paths.invites,
        ticket_keys: &paths.ticket_keys,
        directory: &paths.directory,
    });
    let server = server.unwrap();
    let mut members = Members::start(server.addresses()[0]);
    members.say(1);
    members.say(40);
    let alone = measure("a message to 100, by the server, one at a time", 200, (30.0, 6000.0), || {
        for _ in 0..200 {
            members.say(1);
        }
    });
    let together = measure("a message to 100, by the server, with 39 others", 50 * 40, (15.0, 3500.0), || {
        for _ in 0..50 {
            members.say(40);
        }
    });
    members.end();
    server.control().shut_down("the end of the bench");
    while !matches!(server.next_event(support::PATIENCE), Some(Event::Stopped) | None) {}
    server.end();
    alone & together
}

/// The process in which the members of the room are.
struct Members {
    process: Child,
    line: String,
}

impl Members {
    fn start(server: SocketAddr) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let command = command.args(["members", &server.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut members = Self { process: command.spawn().unwrap(), line: String::new() };
        members.wait();
        members
    }

    /// Has so many things said, at once, and heard by all.
    fn say(&mut self, messages: u32) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{messages}").unwrap();
        self.wait();
    }

    fn wait(&mut self) {
        self.line.clear();
        BufReader::with_capacity(16, self.process.stdout.as_mut().unwrap()).read_line(&mut self.line).unwrap();
        assert_eq!(self.line, "done\n");
    }

    fn end(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }
}

/// What that process does.
fn members(server: SocketAddr) {
    let ticket = Client::login(server, bob()).resumption();
    let login = || Login::Resume(bob(), duplicate(&ticket));
    let mut crowd = crowd::Crowd::new((0..MEMBERS).map(|_| Conn::new(server, Origin::default(), login())));
    crowd.enter();
    crowd.ask(&Request::Join(Join { room: RoomName::lobby(), after: None, backlog: false }));
    for conn in &mut crowd.conns {
        conn.keeping = false;
    }
    println!("done");
    for line in std::io::stdin().lines() {
        let messages: usize = line.unwrap().parse().unwrap();
        let answers = |conns: &[Conn]| conns.iter().map(|conn| conn.answers).sum::<u64>();
        let (heard, answered) = (crowd.conns[0].heard + messages as u64, answers(&crowd.conns) + messages as u64);
        for number in 0..messages {
            let conn = &mut crowd.conns[number % SENDERS];
            conn.send(&support::client::post(message_id(), TEXT, false));
            conn.advance();
        }
        crowd
            .wait("all to hear it", |conns| conns.iter().all(|conn| conn.heard >= heard) && answers(conns) >= answered);
        println!("done");
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("members") {
        return members(arguments.next().unwrap().parse().unwrap());
    }
    // Both, also when the first is above its limits.
    if !(parts() & server()) {
        eprintln!("more is allocated than the limits in benches/allocations.rs allow");
        std::process::exit(1);
    }
}
