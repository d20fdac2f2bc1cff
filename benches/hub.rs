//! What a post costs under the hub's lock: taken, numbered, delivered to a room of so many, and acknowledged.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rsachat::hub::{Hub, Input, Output, Settings};
use rsachat::journal::{Restored, StoreCommand, StoreEvent};
use rsachat::model::{Fingerprint, MessageId, RoomName, SessionId, Timestamp, UserName};
use rsachat::proto::message::{Body, Join, Post, Request};

const WALL: Timestamp = Timestamp(1_700_000_000_000);

fn crowded(members: u64) -> Hub {
    let settings = Settings {
        server: "rsachat/bench".to_owned(),
        message_bytes: 8192,
        message_rate: NonZeroU32::MAX,
        message_burst: NonZeroU32::MAX,
        history_limit: 100,
        connections_per_user: 1,
        join_backlog: 10,
        admins: HashSet::new(),
    };
    let mut hub = Hub::new(settings, Restored::default());
    let now = Instant::now();
    let fingerprint = Fingerprint([0; 32]);
    for number in 0..members {
        let user: UserName = format!("user{number}").parse().expect("a name");
        let session = SessionId(number);
        hub.handle(Input::Registered { user, fingerprint }, now, WALL);
        hub.handle(Input::Opened { session, user, fingerprint, client: String::new() }, now, WALL);
        let request = Request::Join(Join { room: RoomName::lobby(), after: None });
        hub.handle(Input::Request { session, id: 1, request }, now, WALL);
        while hub.poll().is_some() {}
    }
    hub
}

fn post(hub: &mut Hub, number: u64, members: u64) {
    let post = Post {
        room: RoomName::lobby(),
        message: MessageId(u128::from(number).to_be_bytes()),
        body: Body::Text { text: "Shall we meet at the usual place, or is it raining there, too?".to_owned() },
        retry: false,
        after: None,
    };
    let (session, now) = (SessionId(number % members), Instant::now());
    hub.handle(Input::Request { session, id: number + 2, request: Request::Post(post) }, now, WALL);
    let mut commits = Vec::new();
    while let Some(output) = hub.poll() {
        if let Output::Store(StoreCommand::Append { token, .. }) = black_box(output) {
            commits.push(token);
        }
    }
    hub.handle(Input::Store(StoreEvent::Stored { tokens: commits }), now, WALL);
    while let Some(output) = hub.poll() {
        black_box(output);
    }
}

fn posts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hub/post");
    group.throughput(Throughput::Elements(1));
    for members in [1, 100, 10_000] {
        let mut hub = crowded(members);
        let mut number = 0;
        group.bench_function(BenchmarkId::from_parameter(members), |bencher| {
            bencher.iter(|| {
                number += 1;
                post(&mut hub, number, members);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, posts);
criterion_main!(benches);
