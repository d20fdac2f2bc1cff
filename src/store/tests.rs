//! The store on real files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::thread::Turns;
use super::*;
use crate::journal::{Change, Restored, RestoredRoom, Sanction, StoreCommand, StoreEvent};
use crate::model::{Incarnation, MessageId, RoomName, Seq, StoreToken, StoredRecord, Timestamp, UserName};

mod refused;
mod sealed;

const DAY: u64 = 24 * 60 * 60 * 1000;
/// When the tests begin: far enough from 1970 for days to be subtracted.
const START: Timestamp = Timestamp(1_000 * DAY);

fn settings(directory: &TempDir) -> Settings {
    Settings {
        path: directory.path().join("rsachat.db"),
        keep: Keep::Count(100),
        window: 100,
        window_bytes: usize::MAX,
        direct_days: 90,
    }
}

fn open(settings: &Settings) -> (Store, Restored) {
    Store::open(settings, START).unwrap()
}

fn refused(settings: &Settings) -> OpenError {
    let error = Store::open(settings, START).expect_err("opened");
    assert!(!error.hint().is_empty());
    error
}

fn user(text: &str) -> UserName {
    text.parse().unwrap()
}

fn id(number: u64) -> MessageId {
    MessageId(u128::from(number).to_be_bytes())
}

fn record(seq: u64, time: Timestamp) -> StoredRecord {
    let (room, sender) = (RoomName::lobby(), user("alice"));
    let body = format!("body {seq}").into_bytes();
    StoredRecord { room, seq: Seq(seq), time, sender, message: id(seq), body }
}

fn append(seq: u64) -> StoreCommand {
    append_at(seq, START)
}

fn append_at(seq: u64, time: Timestamp) -> StoreCommand {
    StoreCommand::Append { token: StoreToken(seq), record: record(seq, time), key: None }
}

fn lookup(token: u64, sender: &str, number: u64) -> StoreCommand {
    StoreCommand::Lookup { token: StoreToken(token), user: user(sender), message: id(number) }
}

fn stored(seqs: impl IntoIterator<Item = u64>) -> StoreEvent {
    StoreEvent::Stored { tokens: seqs.into_iter().map(StoreToken).collect() }
}

fn found(token: u64, place: Option<u64>) -> StoreEvent {
    StoreEvent::Found { token: StoreToken(token), place: place.map(|seq| (Seq(seq), START)) }
}

/// A running store, and what it says.
fn start(settings: &Settings) -> (Running, Receiver<StoreEvent>, Restored) {
    let (store, loaded) = open(settings);
    let (report, events) = channel();
    let running = store.start(move |event| report.send(event).unwrap()).unwrap();
    (running, events, loaded)
}

fn next(events: &Receiver<StoreEvent>) -> StoreEvent {
    events.recv_timeout(Duration::from_secs(20)).unwrap()
}

fn seqs(loaded: &Restored) -> Vec<u64> {
    loaded.rooms.iter().flat_map(|room| &room.window).map(|record| record.seq.0).collect()
}

/// Every file in a directory, with its bytes.
fn bytes(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(directory).unwrap().map(|entry| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    });
    files.collect()
}

/// A database with messages in it, closed.
fn filled(directory: &TempDir, count: u64) -> Settings {
    let settings = settings(directory);
    let (mut store, _) = open(&settings);
    store.carry_out(&(1..=count).map(append).collect::<Vec<_>>()).unwrap();
    settings
}

#[test]
fn a_new_database_is_its_owners_alone() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let (mut store, loaded) = open(&settings);
    assert_eq!(loaded, Restored { incarnation: Incarnation(START.0 / 1000), ..Restored::default() });
    store.carry_out(&[append(1)]).unwrap();
    for file in fs::read_dir(directory.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
}

#[test]
fn what_was_stored_is_there_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let (running, events, _) = start(&settings);
    for seq in 1..=250 {
        running.sender().send(vec![append(seq)]);
    }
    running.stop().unwrap();
    let tokens: Vec<StoreToken> = events
        .iter()
        .flat_map(|event| if let StoreEvent::Stored { tokens } = event { tokens } else { panic!("{event:?}") })
        .collect();
    assert_eq!(tokens, (1..=250).map(StoreToken).collect::<Vec<_>>());
    assert_eq!(bytes(directory.path()).len(), 1, "closed cleanly");

    let (_, loaded) = open(&settings);
    let [room] = &loaded.rooms[..] else { panic!("{loaded:?}") };
    assert_eq!((room.room, room.last), (RoomName::lobby(), Seq(250)));
    assert_eq!(room.window, (151..=250).map(|seq| record(seq, START)).collect::<Vec<_>>());
}

#[test]
fn the_window_is_what_is_asked_for() {
    let directory = TempDir::new().unwrap();
    let settings = Settings { window: 3, ..filled(&directory, 10) };
    assert_eq!(seqs(&open(&settings).1), [8, 9, 10]);
}

#[test]
fn incarnations_grow_and_their_first_numbers_are_kept() {
    let directory = TempDir::new().unwrap();
    let settings = filled(&directory, 3);
    let first = Incarnation(START.0 / 1000);
    let after = |incarnation: Incarnation, n| Incarnation(incarnation.0 + n);
    // The clock stands still: it counts on. Nothing is said in the second incarnation.
    assert_eq!(open(&settings).1.incarnation, after(first, 1));
    let (mut store, loaded) = open(&settings);
    assert_eq!((loaded.incarnation, &loaded.rooms[0].starts[..]), (after(first, 2), &[(first, Seq(1))][..]));
    store.carry_out(&[append(4)]).unwrap();
    store.carry_out(&[append(5), append(6)]).unwrap();
    drop(store);
    // The clock has gone on: a copy of the database, made before, would never give this number.
    let (_, loaded) = Store::open(&settings, Timestamp(START.0 + DAY)).unwrap();
    assert_eq!(loaded.incarnation, Incarnation((START.0 + DAY) / 1000));
    assert_eq!(loaded.rooms[0].starts, [(first, Seq(1)), (after(first, 2), Seq(4))]);
    // The clock went back.
    assert_eq!(open(&settings).1.incarnation, after(loaded.incarnation, 1));
}

#[test]
fn rooms_are_kept_apart() {
    let directory = TempDir::new().unwrap();
    let settings = Settings { keep: Keep::Count(2), ..settings(&directory) };
    let (mut store, _) = open(&settings);
    let other: RoomName = "#other".parse().unwrap();
    let elsewhere = |seq| StoreCommand::Append {
        token: StoreToken(100 + seq),
        record: StoredRecord { room: other, message: id(100 + seq), ..record(seq, START) },
        key: None,
    };
    store.carry_out(&[append(1), elsewhere(1), append(2), elsewhere(2), append(3), append(4)]).unwrap();
    drop(store);
    let (_, loaded) = open(&settings);
    let kept: Vec<_> = loaded.rooms.iter().map(|room| (room.room, room.last.0, room.window[0].seq.0)).collect();
    assert_eq!(kept, [(RoomName::lobby(), 4, 3), (other, 2, 1)]);
}

#[test]
fn old_messages_go_by_count() {
    let directory = TempDir::new().unwrap();
    let settings = Settings { keep: Keep::Count(5), ..settings(&directory) };
    let (mut store, _) = open(&settings);
    for seq in 1..=8 {
        store.carry_out(&[append(seq)]).unwrap();
    }
    let rows: u64 = store.connection.query_row("SELECT count(*) FROM message", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 5);
    drop(store);
    // Fewer are to be kept from now on, and then none.
    let fewer = Settings { keep: Keep::Count(2), ..settings.clone() };
    assert_eq!(seqs(&open(&fewer).1), [7, 8]);
    let (_, loaded) = open(&Settings { keep: Keep::Count(0), ..settings });
    assert_eq!((seqs(&loaded), loaded.rooms[0].last), (vec![], Seq(8)), "numbers go on where they were");
}

#[test]
fn old_messages_go_by_days() {
    let directory = TempDir::new().unwrap();
    let settings = Settings { keep: Keep::Days(3), ..settings(&directory) };
    let at = |day: u64| Timestamp(START.0 + day * DAY);
    let (mut store, _) = open(&settings);
    for (seq, day) in [(1, 0), (2, 0), (3, 2), (4, 3), (5, 4)] {
        store.carry_out(&[append_at(seq, at(day))]).unwrap();
    }
    let kept = |store: &Store| -> Vec<u64> {
        let mut rows = store.connection.prepare("SELECT place & 0xffffffffff FROM message ORDER BY place").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(kept(&store), [3, 4, 5]);
    // Nothing is said any more.
    store.prune_all(at(6)).unwrap();
    assert_eq!(kept(&store), [4, 5]);
    drop(store);
    let (_, loaded) = Store::open(&settings, at(20)).unwrap();
    assert_eq!((seqs(&loaded), loaded.rooms[0].last), (vec![], Seq(5)));
}

#[test]
fn a_message_is_found_by_its_writer_and_identifier() {
    let directory = TempDir::new().unwrap();
    let settings = Settings { keep: Keep::Count(1), ..settings(&directory) };
    let (running, events, _) = start(&settings);
    let sender = running.sender();
    // In one transaction, most likely: the answers come in order, and see what was asked before.
    sender.send(vec![append(1), lookup(2, "alice", 1), lookup(3, "alice", 2)]);
    sender.send(vec![append(2), append(3), lookup(4, "alice", 2)]);
    sender.send(vec![lookup(5, "bob", 1)]);
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
    let (mut store, _) = open(&settings(&directory));
    let again = StoreCommand::Append {
        token: StoreToken(9),
        record: StoredRecord { message: id(1), ..record(2, START) },
        key: None,
    };
    store.carry_out(&[append(1), again]).unwrap();
    assert_eq!(store.carry_out(&[lookup(3, "alice", 1)]).unwrap(), [found(3, Some(1))]);
}

#[test]
fn identifiers_are_forgotten_after_a_week() {
    let directory = TempDir::new().unwrap();
    let (mut store, _) = open(&settings(&directory));
    let at = |day: u64| Timestamp(START.0 + day * DAY);
    store.carry_out(&[append_at(1, at(0)), append_at(2, at(6))]).unwrap();
    store.carry_out(&[append_at(3, at(7))]).unwrap();
    assert_eq!(store.carry_out(&[lookup(4, "alice", 1)]).unwrap(), [found(4, Some(1))]);
    store.carry_out(&[append_at(4, Timestamp(at(7).0 + 1))]).unwrap();
    let events = store.carry_out(&[lookup(5, "alice", 1), lookup(6, "alice", 2)]).unwrap();
    assert_eq!(events, [found(5, None), StoreEvent::Found { token: StoreToken(6), place: Some((Seq(2), at(6))) }]);
}

/// Takes turns by hand, so that what fails can be repaired in between.
fn with_turns(run: impl FnOnce(&mut Turns<Box<dyn FnMut(StoreEvent)>>, &Receiver<StoreEvent>)) {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let (report, events) = channel();
    let report: Box<dyn FnMut(StoreEvent)> = Box::new(move |event| report.send(event).unwrap());
    let mut turns = Turns::new(open(&settings).0, report);
    turns.batch.push(append(1));
    turns.attempt();
    assert_eq!(next(&events), stored([1]));
    run(&mut turns, &events);
}

fn big(seq: u64) -> StoreCommand {
    let record = StoredRecord { body: vec![7; 100_000], ..record(seq, START) };
    StoreCommand::Append { token: StoreToken(seq), record, key: None }
}

#[test]
fn a_full_disk_loses_nothing() {
    with_turns(|turns, events| {
        let limit = |turns: &Turns<_>, pages: u32| {
            let set = format!("PRAGMA max_page_count = {pages}");
            let _: u32 = turns.store.connection.query_row(&set, [], |row| row.get(0)).unwrap();
        };
        limit(turns, 30);
        turns.batch.extend([big(2), big(3), lookup(4, "alice", 2)]);
        turns.attempt();
        let text = "there is no room left on the disk".to_owned();
        assert_eq!(next(events), StoreEvent::Failing { text });
        // Still full: said once.
        turns.batch.push(append(4));
        turns.attempt();
        assert!(events.try_recv().is_err());
        limit(turns, 10_000);
        turns.attempt();
        let said: Vec<StoreEvent> = events.try_iter().collect();
        assert_eq!(said, [StoreEvent::Recovered, stored([2, 3]), found(4, Some(2)), stored([4])]);
        turns.batch.push(append(5));
        turns.attempt();
        assert_eq!(next(events), stored([5]));
    });
}

#[test]
fn a_read_only_disk_loses_nothing() {
    with_turns(|turns, events| {
        turns.store.connection.pragma_update(None, "query_only", true).unwrap();
        turns.batch.push(append(2));
        turns.attempt();
        let text = "the database or its disk is read-only".to_owned();
        assert_eq!(next(events), StoreEvent::Failing { text });
        turns.store.connection.pragma_update(None, "query_only", false).unwrap();
        turns.attempt();
        assert_eq!(events.try_iter().collect::<Vec<_>>(), [StoreEvent::Recovered, stored([2])]);
    });
}

#[test]
fn the_first_message_of_a_room_may_fail() {
    let directory = TempDir::new().unwrap();
    let (mut store, _) = open(&settings(&directory));
    store.connection.pragma_update(None, "query_only", true).unwrap();
    store.carry_out(&[append(1)]).unwrap_err();
    store.connection.pragma_update(None, "query_only", false).unwrap();
    store.carry_out(&[append(1)]).unwrap();
    store.carry_out(&[append(2)]).unwrap();
}

#[test]
fn a_store_that_fails_at_the_end_says_so() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let (store, _) = open(&settings);
    store.connection.pragma_update(None, "query_only", true).unwrap();
    let (report, events) = channel();
    let running = store.start(move |event| report.send(event).unwrap()).unwrap();
    running.sender().send(vec![append(1)]);
    assert!(matches!(next(&events), StoreEvent::Failing { .. }));
    let late = running.sender();
    late.send(vec![append(2)]);
    let error = running.stop().unwrap_err();
    assert_eq!(error.to_string(), "2 messages could not be stored: the database or its disk is read-only");
    late.send(vec![append(3)]);
    assert!(open(&settings).1.rooms.is_empty());
}

#[test]
fn long_queues_are_committed_whole_at_the_end() {
    let directory = TempDir::new().unwrap();
    let settings = Settings { keep: Keep::Count(10_000), window: 10_000, ..settings(&directory) };
    let (running, _events, _) = start(&settings);
    for seq in 1..=3000 {
        running.sender().send(vec![append(seq)]);
    }
    running.stop().unwrap();
    assert_eq!(seqs(&open(&settings).1), (1..=3000).collect::<Vec<_>>());
}

#[test]
fn a_crash_leaves_a_database_that_opens() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let copies = TempDir::new().unwrap();
    let (mut store, _) = open(&settings);
    store.carry_out(&[append(1), append(2)]).unwrap();
    for (file, content) in bytes(directory.path()) {
        fs::write(copies.path().join(file), content).unwrap();
    }
    let copy = Settings { path: copies.path().join("rsachat.db"), ..settings.clone() };
    assert_eq!(seqs(&open(&copy).1), [1, 2]);
}

#[test]
fn rooms_do_not_run_into_each_other() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let last = (1 << 40) - 1;
    let (mut store, _) = open(&settings);
    store.carry_out(&[append(last)]).unwrap();
    store.carry_out(&[append(last + 1)]).unwrap_err();
    drop(store);
    assert_eq!(seqs(&open(&settings).1), [last]);
}

#[test]
fn a_database_of_the_first_format_is_brought_to_this_one() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    Connection::open(&settings.path).unwrap().execute_batch(include_str!("tests/format_1.sql")).unwrap();
    let (mut store, loaded) = open(&settings);
    let rooms: Vec<_> =
        loaded.rooms.iter().map(|room| (room.room.to_string(), room.last.0, room.starts.len())).collect();
    assert_eq!(rooms, [("#common".to_owned(), 5, 2), ("#other".to_owned(), 1, 1)]);
    assert_eq!(seqs(&loaded), [4, 5, 1]);
    assert_eq!(loaded.rooms[0].window[1], StoredRecord { body: vec![5], ..record(5, START) });
    assert!(loaded.incarnation > Incarnation(7));
    let events = store.carry_out(&[append(6), lookup(1, "alice", 3), lookup(2, "alice", 6)]).unwrap();
    assert_eq!(events, [stored([6]), found(1, Some(3)), found(2, Some(6))]);
    drop(store);
    let (store, loaded) = open(&settings);
    assert_eq!(seqs(&loaded), [4, 5, 6, 1]);
    assert_eq!(tables(&store), TABLES);
}

#[test]
fn a_database_of_the_second_format_is_brought_to_this_one() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    Connection::open(&settings.path).unwrap().execute_batch(include_str!("tests/format_2.sql")).unwrap();
    let (mut store, loaded) = open(&settings);
    assert_eq!((seqs(&loaded), loaded.rooms[0].last), (vec![4, 5], Seq(5)));
    assert_eq!((loaded.rooms[0].starts.len(), &*loaded.rooms[0].topic), (2, ""));
    let topic = Change::Room { room: RoomName::lobby(), topic: "new".to_owned(), owner: Some(user("bob")) };
    store.carry_out(&[append(6), change(1, [topic])]).unwrap();
    drop(store);
    let (store, loaded) = open(&settings);
    assert_eq!((seqs(&loaded), &*loaded.rooms[0].topic), (vec![4, 5, 6], "new"));
    assert_eq!(tables(&store), TABLES);
}

#[test]
fn a_database_of_the_third_format_is_brought_to_this_one() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    Connection::open(&settings.path).unwrap().execute_batch(include_str!("tests/format_3.sql")).unwrap();
    let (mut store, before) = open(&settings);
    assert_eq!((seqs(&before), &*before.rooms[0].topic), (vec![4, 5], "work"));
    assert_eq!((&before.rooms[1].members[..], before.rooms[1].banned.len()), (&[user("bob")][..], 1));
    assert_eq!(before.statuses, [(user("bob"), vec![0xa1])]);
    store.carry_out(&[append(6), change(1, [sealed::sender_key(1, "alice", START)])]).unwrap();
    drop(store);
    let (store, loaded) = open(&settings);
    assert_eq!((seqs(&loaded), &loaded.rooms[1]), (vec![4, 5, 6], &before.rooms[1]));
    assert_eq!(tables(&store), TABLES);
}

#[test]
fn a_database_of_the_fourth_format_is_brought_to_this_one() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let (mut store, _) = open(&settings);
    store.carry_out(&[append(1)]).unwrap();
    // All that it didn't have.
    store.connection.execute_batch("DROP TABLE roster; PRAGMA user_version = 4").unwrap();
    drop(store);
    let (store, loaded) = open(&settings);
    assert_eq!(seqs(&loaded), [1]);
    assert_eq!(tables(&store), TABLES);
}

const TABLES: &str = "member,message,meta,posted,progress,room,roster,sanction,sender_key,sender_key_part,start,status";

fn tables(store: &Store) -> String {
    let tables = "SELECT group_concat(name ORDER BY name) FROM sqlite_schema WHERE type = 'table'";
    store.connection.query_row(tables, [], |row| row.get(0)).unwrap()
}

fn change(token: u64, changes: impl Into<Vec<Change>>) -> StoreCommand {
    StoreCommand::Change { token: StoreToken(token), changes: changes.into() }
}

#[test]
fn what_is_decided_is_there_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let (dev, alice, bob) = ("#dev".parse().unwrap(), user("alice"), user("bob"));
    let (mut store, _) = open(&settings);
    let sanction = |user, until: Option<u64>| Sanction { user, until: until.map(Timestamp) };
    let made = [
        Change::Room { room: dev, topic: String::new(), owner: Some(alice) },
        Change::Member { room: dev, user: alice },
        Change::Member { room: dev, user: bob },
        Change::Member { room: dev, user: bob },
        Change::Mute { room: dev, sanction: sanction(bob, None) },
        Change::Ban { room: None, sanction: sanction(bob, Some(7)) },
        Change::Status { user: alice, status: Some(vec![1]) },
        Change::Status { user: alice, status: Some(vec![2]) },
        Change::Status { user: bob, status: Some(vec![3]) },
        Change::Status { user: bob, status: None },
    ];
    let decided = [
        Change::Room { room: dev, topic: "work".to_owned(), owner: None },
        Change::Mute { room: dev, sanction: sanction(bob, Some(9)) },
        Change::Ban { room: Some(dev), sanction: sanction(alice, None) },
        Change::NoMember { room: dev, user: alice },
    ];
    let events = store.carry_out(&[change(1, made), append(1), change(2, decided)]).unwrap();
    assert_eq!(events, [StoreEvent::Stored { tokens: [1, 1, 2].map(StoreToken).to_vec() }]);
    drop(store);
    let (mut store, loaded) = open(&settings);
    let room = loaded.rooms.iter().find(|room| room.room == dev).unwrap();
    let expected = RestoredRoom {
        topic: "work".to_owned(),
        members: vec![bob],
        muted: vec![sanction(bob, Some(9))],
        banned: vec![sanction(alice, None)],
        ..RestoredRoom::new(dev)
    };
    assert_eq!(*room, expected);
    assert_eq!(loaded.banned, [sanction(bob, Some(7))]);
    assert_eq!(loaded.statuses, [(alice, vec![2])]);
    let lifted = [
        Change::Unmute { room: dev, user: bob },
        Change::Unban { room: Some(dev), user: alice },
        Change::Unban { room: None, user: bob },
        Change::NoMember { room: dev, user: bob },
    ];
    store.carry_out(&[change(3, lifted)]).unwrap();
    drop(store);
    let (_, loaded) = open(&settings);
    let room = loaded.rooms.iter().find(|room| room.room == dev).unwrap();
    assert_eq!(*room, RestoredRoom { topic: "work".to_owned(), ..RestoredRoom::new(dev) });
    assert_eq!(loaded.banned, []);
}
