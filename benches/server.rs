//! The whole server, as a process: messages a second into a room of 100 members, and what a delivery costs it.
//!
//! Ten of the members say 64 bytes each, a few at once, and all members get all of it. The load comes from one thread of
//! this process, which shares the machine with the server, and on two cores is the slower of the two: the processor time
//! of the server itself, which is printed beside, says more about the server.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench, with helpers of the tests of which it needs a few"
)]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::fs;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rsachat::model::RoomName;
use rsachat::proto::message::{Join, Request};
use serde_json::json;

use support::client::{Client, Conn, Login, Origin, duplicate, message_id, post};
use support::crowd::Crowd;
use support::data_dir::{DataDir, bob};
use support::server::Server;

const MEMBERS: usize = 100;
const SENDERS: usize = 10;
/// Messages of a sender that are not acknowledged yet.
const UNDER_WAY: u64 = 16;

/// Has `messages` said and heard by everybody; returns how long that took.
fn talk(crowd: &mut Crowd, messages: u64) -> Duration {
    let start = Instant::now();
    let text = "0123456789abcdef".repeat(4);
    let goal = crowd.conns[0].heard + messages;
    let mut asked = crowd.conns.iter().map(|conn| conn.answers).collect::<Vec<u64>>();
    let mut left = messages;
    loop {
        for (conn, asked) in crowd.conns.iter_mut().zip(&mut asked).take(SENDERS) {
            while left > 0 && *asked < conn.answers + UNDER_WAY {
                conn.send(&post(message_id(), &text, false));
                *asked += 1;
                left -= 1;
            }
            conn.advance();
            assert_eq!(conn.refusals, 0);
        }
        let done = |(conn, asked): (&Conn, &u64)| conn.heard >= goal && conn.answers >= *asked;
        if left == 0 && crowd.conns.iter().zip(&asked).all(done) {
            return start.elapsed();
        }
        crowd.turn(Duration::from_millis(100));
    }
}

/// The processor time that a process has used.
fn processor_time(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanoseconds = tasks.map(|task| {
        let text = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<u64>().unwrap()
    });
    Duration::from_nanos(nanoseconds.sum())
}

fn room_of_100(criterion: &mut Criterion) {
    let dir = DataDir::new(json!({
        "message_rate": 100_000, "message_burst": 100_000, "max_connections_per_address": 0, "max_connections_per_user": 200, "join_backlog": 0,
    }));
    let server = Server::start(&dir);
    let ticket = Client::login(server.address, bob()).resumption();
    let login = || Login::Resume(bob(), duplicate(&ticket));
    let mut crowd = Crowd::new((0..MEMBERS).map(|_| Conn::new(server.address, Origin::default(), login())));
    crowd.enter();
    crowd.ask(&Request::Join(Join { room: RoomName::lobby(), after: None }));
    for conn in &mut crowd.conns {
        conn.keeping = false;
    }

    let mut group = criterion.benchmark_group("server");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(10));
    let (mut messages, mut spent, mut took) = (0, Duration::ZERO, Duration::ZERO);
    group.bench_function("messages into a room of 100", |bencher| {
        bencher.iter_custom(|iterations| {
            let before = processor_time(server.pid());
            let elapsed = talk(&mut crowd, iterations);
            spent += processor_time(server.pid()).saturating_sub(before);
            took += elapsed;
            messages += iterations;
            elapsed
        });
    });
    group.finish();
    let deliveries = messages as f64 * MEMBERS as f64;
    println!(
        "{messages} messages to {MEMBERS} members in {:.1} s: {:.0} messages and {:.0} deliveries a second; {:.2} s of the \
         server's processor time for a million deliveries\n",
        took.as_secs_f64(),
        messages as f64 / took.as_secs_f64(),
        deliveries / took.as_secs_f64(),
        spent.as_secs_f64() / deliveries * 1e6,
    );
}

criterion_group!(benches, room_of_100);
criterion_main!(benches);
