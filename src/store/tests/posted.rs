//! Retries are recognised by what was posted, wherever that is by now.

use super::super::posted::RUN;
use super::*;

fn at(day: u64) -> Timestamp {
    Timestamp(START.0 + day * DAY)
}

/// Adds `count` messages, the first with the number `first`.
fn fill(store: &mut Store, first: usize, count: usize) {
    let seqs: Vec<u64> = (first..first + count).map(|seq| seq as u64).collect();
    for batch in seqs.chunks(1000) {
        store.carry_out(&batch.iter().copied().map(append).collect::<Vec<_>>()).unwrap();
    }
}

fn count(store: &Store, what: &str) -> usize {
    store.connection.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn a_message_is_found_by_its_writer_and_identifier() {
    let directory = TempDir::new().unwrap();
    let settings = Settings { keep: Keep::Count(1), ..settings(&directory) };
    let (running, events, _) = start(&settings);
    let sender = running.sender();
    // In one transaction, most likely: the answers come in order, and see what was asked before.
    for command in
        [append(1), lookup(2, "alice", 1), lookup(3, "alice", 2), append(2), append(3), lookup(4, "alice", 2)]
    {
        sender.send(command);
    }
    sender.send(lookup(5, "bob", 1));
    running.stop().unwrap();
    let mut events: Vec<StoreEvent> = events.iter().collect();
    events.retain(|event| !matches!(event, StoreEvent::Stored { .. }));
    assert_eq!(events, [found(2, Some(1)), found(3, None), found(4, Some(2)), found(5, None)]);
    // After a restart, and when the message itself is long gone.
    let (mut store, _) = open(&settings);
    assert_eq!(store.carry_out(&[lookup(6, "alice", 1)]).unwrap(), [found(6, Some(1))]);
}

#[test]
fn one_identifier_twice_is_found_where_it_was_first() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let (mut store, _) = open(&settings);
    let again = |seq, of| {
        let record = StoredRecord { message: id(of), ..record(seq, START) };
        StoreCommand::Append { token: PostToken(seq), record }
    };
    store.carry_out(&[append(1), again(2, 1)]).unwrap();
    store.carry_out(&[again(3, 1)]).unwrap();
    let places = |store: &mut Store| store.carry_out(&[lookup(4, "alice", 1)]).unwrap();
    assert_eq!(places(&mut store), [found(4, Some(1))]);
    drop(store);
    let (mut store, _) = open(&settings);
    assert_eq!(places(&mut store), [found(4, Some(1))], "after a restart");
    fill(&mut store, 4, RUN);
    assert_eq!((places(&mut store), count(&store, "run")), (vec![found(4, Some(1))], 1), "from a run");
    let again = again(RUN as u64 + 4, 1);
    store.carry_out(&[again]).unwrap();
    assert_eq!(places(&mut store), [found(4, Some(1))], "from a run, with a later one that is in none");
}

#[test]
fn posts_are_found_in_runs_and_before_they_are_in_one() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let (mut store, _) = open(&settings);
    // A run is made at the end of a batch.
    let total = 2 * RUN + 2500;
    fill(&mut store, 1, total);
    for restarted in [false, true] {
        if restarted {
            drop(store);
            store = open(&settings).0;
        }
        assert_eq!(count(&store, "run"), 2);
        assert_eq!(count(&store, "posted") + count(&store, "recent"), total);
        assert!(count(&store, "recent") < RUN);
        for seq in (1..=total as u64).step_by(499).chain([9000, 9001, total as u64]) {
            assert_eq!(store.carry_out(&[lookup(0, "alice", seq)]).unwrap(), [found(0, Some(seq))], "{seq}");
        }
        // Those of these identifiers that a filter does not know, and those that it takes for others.
        for seq in (total as u64 + 1..).step_by(4999).take(100) {
            assert_eq!(store.carry_out(&[lookup(0, "alice", seq)]).unwrap(), [found(0, None)], "{seq}");
        }
        assert_eq!(store.carry_out(&[lookup(0, "bob", 1)]).unwrap(), [found(0, None)]);
    }
}

#[test]
fn what_could_not_be_committed_is_not_found() {
    let directory = TempDir::new().unwrap();
    let (mut store, _) = open(&settings(&directory));
    fill(&mut store, 1, RUN - 1);
    // It would make a run.
    store
        .connection
        .execute_batch("CREATE TEMP TRIGGER t BEFORE INSERT ON run BEGIN SELECT raise(FAIL, ''); END")
        .unwrap();
    let last = RUN as u64;
    store.carry_out(&[append(last)]).unwrap_err();
    let lookups = [lookup(1, "alice", last), lookup(2, "alice", 1)];
    assert_eq!(store.carry_out(&lookups).unwrap(), [found(1, None), found(2, Some(1))]);
    store.connection.execute_batch("DROP TRIGGER t").unwrap();
    store.carry_out(&[append(last)]).unwrap();
    assert_eq!((count(&store, "run"), count(&store, "recent")), (1, 0));
    assert_eq!(store.carry_out(&lookups).unwrap(), [found(1, Some(last)), found(2, Some(1))]);
}

#[test]
fn identifiers_are_forgotten_after_a_week_and_a_day() {
    let directory = TempDir::new().unwrap();
    let (mut store, _) = open(&settings(&directory));
    let place = |store: &mut Store, seq| match &store.carry_out(&[lookup(0, "alice", seq)]).unwrap()[..] {
        [StoreEvent::Found { place, .. }] => place.map(|(seq, _)| seq.0),
        events => panic!("{events:?}"),
    };
    // A day makes a run.
    store.carry_out(&[append_at(1, at(0)), append_at(2, Timestamp(at(1).0 - 1))]).unwrap();
    assert_eq!(count(&store, "run"), 0);
    store.carry_out(&[append_at(3, at(1))]).unwrap();
    assert_eq!((count(&store, "run"), count(&store, "recent")), (1, 0));
    store.carry_out(&[append_at(4, at(2))]).unwrap();
    store.prune_all(at(8)).unwrap();
    assert_eq!([1, 2, 3, 4].map(|seq| place(&mut store, seq)), [Some(1), Some(2), Some(3), Some(4)]);
    store.prune_all(Timestamp(at(8).0 + 1)).unwrap();
    assert_eq!([1, 2, 3, 4].map(|seq| place(&mut store, seq)), [None, None, None, Some(4)]);
    assert_eq!((count(&store, "run"), count(&store, "posted"), count(&store, "recent")), (1, 1, 0));
    // Without anything new.
    store.prune_all(at(10)).unwrap();
    assert_eq!((count(&store, "run"), place(&mut store, 4)), (0, None));
}
