//! How long it takes until a message is on disk: alone, and with others in one commit.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::sync::mpsc::channel;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rsachat::journal::{StoreCommand, StoreEvent};
use rsachat::model::{MessageId, RoomName, Seq, StoreToken, StoredRecord, Timestamp, UserName};
use rsachat::store::{Keep, Settings, Store};

const WALL: Timestamp = Timestamp(1_700_000_000_000);

fn commits(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = Settings {
        path: directory.path().join("bench.db"),
        keep: Keep::Count(100),
        window: 100,
        window_bytes: usize::MAX,
        direct_days: 90,
    };
    let (store, _) = Store::open(&settings, WALL).expect("a new database");
    let (report, events) = channel();
    let store = store.start(move |event| drop(report.send(event))).expect("a thread");
    let queue = store.sender();
    let senders: [UserName; 10] = std::array::from_fn(|n| format!("user{n}").parse().expect("a name"));
    let mut last = 0;

    let mut group = criterion.benchmark_group("store/commit");
    for together in [1, 10, 100, 1000] {
        group.throughput(Throughput::Elements(together as u64));
        group.bench_function(BenchmarkId::from_parameter(together), |bencher| {
            bencher.iter(|| {
                let mut commands = Vec::new();
                for sender in senders.iter().cycle().take(together) {
                    last += 1;
                    let record = StoredRecord {
                        room: RoomName::lobby(),
                        seq: Seq(last),
                        time: WALL,
                        sender: *sender,
                        message: MessageId::new(Timestamp::now(), &mut rand::rng()),
                        body: vec![b'x'; 64],
                    };
                    commands.push(StoreCommand::Append { token: StoreToken(last), record, key: None });
                }
                queue.send(commands);
                let mut stored = 0;
                while stored < together {
                    if let Ok(StoreEvent::Stored { tokens }) = events.recv() {
                        stored += tokens.len();
                    }
                }
            });
        });
    }
    group.finish();
    store.stop().expect("everything is committed");
}

criterion_group!(benches, commits);
criterion_main!(benches);
