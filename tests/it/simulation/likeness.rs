//! The simulated disk against the real store: asked for the same, they answer the same, and load the same afterwards.

use std::sync::mpsc::channel;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rsachat::hub::{Input, RestoredRoom, StoreCommand};
use rsachat::model::{MessageId, PostToken, RoomName, Seq, StoredRecord, Timestamp};
use rsachat::store::{self, Keep, LoadedRoom, Store, StoreEvent};

use super::disk::Disk;

/// An answer to one command.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Stored(PostToken),
    Found(PostToken, Option<(Seq, Timestamp)>),
}

fn for_the_store(command: &StoreCommand) -> store::StoreCommand {
    match command.clone() {
        StoreCommand::Append { token, record } => store::StoreCommand::Append { token, record },
        StoreCommand::Lookup { token, user, message } => store::StoreCommand::Lookup { token, user, message },
    }
}

/// Opens a store, has it do all this, and closes it. Returns what it had loaded, and its answers.
fn run_store(settings: &store::Settings, wall: Timestamp, batch: &[StoreCommand]) -> (store::Loaded, Vec<Answer>) {
    let (store, loaded) = Store::open(settings, wall).unwrap();
    let (report, reports) = channel();
    let running = store.start(move |event| report.send(event).unwrap()).unwrap();
    for command in batch {
        running.sender().send(for_the_store(command));
    }
    running.stop().unwrap();
    let answers = reports.iter().flat_map(|event| match event {
        StoreEvent::Stored { tokens } => tokens.into_iter().map(Answer::Stored).collect(),
        StoreEvent::Found { token, place } => vec![Answer::Found(token, place)],
        other => panic!("{other:?}"),
    });
    (loaded, answers.collect())
}

fn run_disk(disk: &mut Disk, batch: &[StoreCommand], keep: u64) -> Vec<Answer> {
    let answers = disk.commit(batch, keep).into_iter().flat_map(|input| match input {
        Input::Stored { commits } => commits.into_iter().map(Answer::Stored).collect(),
        Input::Found { token, place } => vec![Answer::Found(token, place)],
        other => panic!("{other:?}"),
    });
    answers.collect()
}

#[test]
fn the_simulated_disk_is_like_the_store() {
    for seed in 0..10 {
        let mut rng = StdRng::seed_from_u64(seed);
        let directory = tempfile::tempdir().unwrap();
        let (keep, window) = (rng.random_range(1..8), rng.random_range(1..8));
        let settings = store::Settings { path: directory.path().join("rsachat.db"), keep: Keep::Count(keep), window };
        let mut disk = Disk::default();
        let mut last = Seq(0);
        for _ in 0..5 {
            let wall = Timestamp(1_700_000_000_000 + rng.random_range(0..10_000));
            let restored = disk.open(wall, window);
            let batch: Vec<StoreCommand> = (0..rng.random_range(0..8))
                .map(|number| {
                    let (token, user) = (PostToken(number), "alice".parse().unwrap());
                    if rng.random() {
                        let message = MessageId([rng.random_range(0..30); 16]);
                        return StoreCommand::Lookup { token, user, message };
                    }
                    last = last.next();
                    let message = MessageId([u8::try_from(last.0).unwrap(); 16]);
                    let (room, time, body) = (RoomName::lobby(), wall, vec![1, 2, 3]);
                    let record = StoredRecord { room, seq: last, time, sender: user, message, body };
                    StoreCommand::Append { token, record }
                })
                .collect();
            let (loaded, answers) = run_store(&settings, wall, &batch);
            let rooms = restored.rooms.into_iter().map(|room| {
                let RestoredRoom { room, last, window, starts } = room;
                LoadedRoom { room, last, window, starts }
            });
            let restored = store::Loaded { incarnation: restored.incarnation, rooms: rooms.collect() };
            assert_eq!(restored, loaded, "seed {seed}");
            assert_eq!(run_disk(&mut disk, &batch, keep), answers, "seed {seed}");
        }
    }
}
