//! The simulated disk against the real store: asked for the same, they answer the same, and load the same afterwards.

use std::sync::mpsc::channel;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rsachat::journal::{Restored, Span, StoreCommand, StoreEvent};
use rsachat::model::{MessageId, RoomName, Seq, StoreToken, StoredRecord, Timestamp};
use rsachat::store::{self, Keep, Store};

use super::disk::Disk;

/// An answer to one command.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Stored(StoreToken),
    Found(StoreToken, Option<(Seq, Timestamp)>),
    Page(StoreToken, Vec<StoredRecord>, bool),
}

fn answers(events: impl IntoIterator<Item = StoreEvent>) -> Vec<Answer> {
    let answers = events.into_iter().flat_map(|event| match event {
        StoreEvent::Stored { tokens } => tokens.into_iter().map(Answer::Stored).collect(),
        StoreEvent::Found { token, place } => vec![Answer::Found(token, place)],
        StoreEvent::Page { token, records, more } => vec![Answer::Page(token, records, more)],
        other => panic!("{other:?}"),
    });
    answers.collect()
}

/// Opens a store, has it do all this, and closes it. Returns what it had loaded, and its answers.
fn run_store(settings: &store::Settings, wall: Timestamp, batch: &[StoreCommand]) -> (Restored, Vec<Answer>) {
    let (store, restored) = Store::open(settings, wall).unwrap();
    let (report, reports) = channel();
    let running = store.start(move |event| report.send(event).unwrap()).unwrap();
    for command in batch {
        running.sender().send(vec![command.clone()]);
    }
    running.stop().unwrap();
    (restored, answers(reports))
}

#[test]
fn the_simulated_disk_is_like_the_store() {
    for seed in 0..10 {
        let mut rng = StdRng::seed_from_u64(seed);
        let directory = tempfile::tempdir().unwrap();
        // The store removes what is too old at the end of a transaction, and its thread decides how much is in one: what is
        // read in between is known only where nothing is removed.
        let reads = seed % 2 == 0;
        let (keep, window) = (if reads { 1000 } else { rng.random_range(1..8) }, rng.random_range(1..8));
        let settings = store::Settings {
            path: directory.path().join("rsachat.db"),
            keep: Keep::Count(keep),
            window,
            window_bytes: usize::MAX,
            direct_days: 90,
        };
        let mut disk = Disk::default();
        let mut last = Seq(0);
        for _ in 0..5 {
            let wall = Timestamp(1_700_000_000_000 + rng.random_range(0..10_000));
            let restored = disk.open(wall, window);
            let batch: Vec<StoreCommand> = (0..rng.random_range(0..8))
                .map(|number| {
                    let (token, user) = (StoreToken(number), "alice".parse().unwrap());
                    if reads && rng.random_bool(0.3) {
                        let span = Span {
                            room: RoomName::lobby(),
                            after: Seq(rng.random_range(0..10)),
                            before: Seq(rng.random_range(0..20)),
                            latest: rng.random(),
                            limit: rng.random_range(0..5),
                            bytes: rng.random_range(1..12),
                        };
                        return StoreCommand::Read { token, span };
                    }
                    if rng.random() {
                        let message = MessageId([rng.random_range(0..30); 16]);
                        return StoreCommand::Lookup { token, user, message };
                    }
                    last = last.next();
                    let message = MessageId([u8::try_from(last.0).unwrap(); 16]);
                    let (room, time, body) = (RoomName::lobby(), wall, vec![1, 2, 3]);
                    let record = StoredRecord { room, seq: last, time, sender: user, message, body };
                    StoreCommand::Append { token, record, key: None }
                })
                .collect();
            let (loaded, answered) = run_store(&settings, wall, &batch);
            assert_eq!(restored, loaded, "seed {seed}");
            assert_eq!(answers(disk.commit(&batch, keep)), answered, "seed {seed}");
        }
    }
}
