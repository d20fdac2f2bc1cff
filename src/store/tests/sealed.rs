//! Direct rooms and sender keys on disk.

use super::*;
use crate::journal::Span;
use crate::model::{Epoch, Fingerprint, SenderKeyId};

fn direct() -> RoomName {
    RoomName::direct(user("alice"), user("bob")).unwrap()
}

fn key(number: u8) -> SenderKeyId {
    SenderKeyId([number; 32])
}

pub(super) fn sender_key(number: u8, sender: &str, time: Timestamp) -> Change {
    let (room, id, epoch, sender) = (direct(), key(number), Epoch([7; 32]), user(sender));
    let parts = vec![(Fingerprint([1; 32]), vec![1, number]), (Fingerprint([2; 32]), vec![2, number])];
    Change::SenderKey { room, id, epoch, sender, head: vec![number], parts, time }
}

/// The sender keys of these that are kept, with what the member gets.
fn kept(store: &mut Store, numbers: impl IntoIterator<Item = u8>, member: u8) -> Vec<(u8, Option<Vec<u8>>)> {
    let (room, ids) = (direct(), numbers.into_iter().map(key).collect());
    let read = StoreCommand::ReadKeys { token: StoreToken(1), room, ids, member: Fingerprint([member; 32]) };
    let events = store.carry_out(&[read]).unwrap();
    let [StoreEvent::Keys { keys, .. }] = &events[..] else { panic!("{events:?}") };
    keys.iter().map(|key| (key.head[0], key.part.clone())).collect()
}

fn numbers(store: &mut Store, among: impl IntoIterator<Item = u8>) -> Vec<u8> {
    kept(store, among, 1).into_iter().map(|(number, _)| number).collect()
}

fn sealed(seq: u64, key: SenderKeyId, time: Timestamp) -> StoreCommand {
    let record = StoredRecord { room: direct(), ..record(seq, time) };
    StoreCommand::Append { token: StoreToken(seq), record, key: Some(key) }
}

#[test]
fn each_member_finds_his_part_of_a_sender_key() {
    let directory = TempDir::new().unwrap();
    let (mut store, _) = open(&settings(&directory));
    store.carry_out(&[change(1, [sender_key(3, "alice", START)])]).unwrap();
    // Kept already; and one that somebody else calls his own.
    let more = |sender: &str, part: u8| {
        let parts = vec![(Fingerprint([part; 32]), vec![part])];
        let (room, id, epoch, sender) = (direct(), key(3), Epoch([7; 32]), user(sender));
        Change::SenderKey { room, id, epoch, sender, head: vec![3], parts, time: START }
    };
    store.carry_out(&[change(2, [more("alice", 4), more("bob", 5)])]).unwrap();
    for (member, part) in [(1, Some(vec![1, 3])), (2, Some(vec![2, 3])), (4, Some(vec![4])), (5, None), (9, None)] {
        assert_eq!(kept(&mut store, [3, 8], member), [(3, part)], "{member}");
    }
}

#[test]
fn sender_keys_are_kept_as_long_as_messages_that_they_open() {
    let directory = TempDir::new().unwrap();
    let settings = Settings { direct_days: 10, ..settings(&directory) };
    let (mut store, _) = open(&settings);
    let later = |days| Timestamp(START.0 + days * DAY);
    store
        .carry_out(&[
            change(1, [1, 2, 3].map(|number| sender_key(number, "alice", START))),
            sealed(1, key(1), START),
            sealed(2, key(2), later(5)),
        ])
        .unwrap();
    store.prune_all(later(6)).unwrap();
    assert_eq!(numbers(&mut store, 1..=3), [1, 2, 3]);
    // One that opens nothing goes after a week, the others with their messages.
    for (day, left) in [(8, vec![1, 2]), (11, vec![2]), (16, vec![])] {
        store.prune_all(later(day)).unwrap();
        assert_eq!(numbers(&mut store, 1..=3), left, "{day}");
    }
    let parts = "SELECT count(*) FROM sender_key_part";
    assert_eq!(store.connection.query_row(parts, [], |row| row.get::<_, u32>(0)).unwrap(), 0);
}

#[test]
fn sender_keys_that_nobody_uses_make_room_for_others() {
    let directory = TempDir::new().unwrap();
    let (mut store, _) = open(&settings(&directory));
    let add = |number: u8| change(number.into(), [sender_key(number, "alice", Timestamp(START.0 + u64::from(number)))]);
    store.carry_out(&[add(1), sealed(1, key(1), START), change(2, [sender_key(200, "bob", START)])]).unwrap();
    let many: Vec<StoreCommand> = (2..=21).map(add).collect();
    store.carry_out(&many).unwrap();
    assert_eq!(numbers(&mut store, 1..=255), [vec![1], (6..=21).collect(), vec![200]].concat());
}

#[test]
fn direct_rooms_are_kept_by_age_and_read_when_they_are_wanted() {
    let directory = TempDir::new().unwrap();
    let settings = Settings { keep: Keep::Count(1), ..settings(&directory) };
    let (mut store, _) = open(&settings);
    let progress = Change::Progress { room: direct(), user: user("bob"), delivered: Seq(3), read: Seq(2) };
    let messages = [1, 2, 3].map(|seq| sealed(seq, key(1), START));
    store.carry_out(&[&messages[..], &[change(9, [progress])]].concat()).unwrap();
    let span = Span { room: direct(), after: Seq(0), before: Seq(9), latest: true, limit: 2, bytes: 1000 };
    let events = store.carry_out(&[StoreCommand::Read { token: StoreToken(1), span }]).unwrap();
    let [StoreEvent::Page { records, more: true, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(records.iter().map(|record| record.seq.0).collect::<Vec<_>>(), [2, 3]);
    drop(store);
    let (_, loaded) = open(&settings);
    assert_eq!((loaded.rooms[0].last, loaded.rooms[0].window.len()), (Seq(3), 0));
    assert_eq!(loaded.rooms[0].progress, [(user("bob"), Seq(3), Seq(2))]);
}

#[test]
fn a_roster_is_kept_with_what_it_changes_and_read_in_pages() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let (mut store, _) = open(&settings);
    let room: RoomName = "#ops".parse().unwrap();
    let entry = |number: u8| Change::Roster { room, number: number.into(), statement: vec![number; 100] };
    let made = Change::Room { room, topic: String::new(), owner: Some(user("alice")) };
    store.carry_out(&[change(1, [made, entry(1), entry(2)]), change(2, [entry(3)])]).unwrap();
    let read = |store: &mut Store, after, bytes| {
        let read = StoreCommand::ReadRoster { token: StoreToken(9), room, after, bytes };
        let events = store.carry_out(&[read]).unwrap();
        let [StoreEvent::Roster { statements, .. }] = &events[..] else { panic!("{events:?}") };
        statements.iter().map(|statement| (statement[0], statement.len())).collect::<Vec<_>>()
    };
    assert_eq!(read(&mut store, 0, 1000), [(1, 100), (2, 100), (3, 100)]);
    assert_eq!(read(&mut store, 0, 250), [(1, 100), (2, 100)]);
    assert_eq!(read(&mut store, 2, 1), [(3, 100)]);
    assert_eq!(read(&mut store, 3, 1000), []);
    // One number is given once.
    store.carry_out(&[change(3, [entry(3)])]).unwrap_err();
    drop(store);
    let (_, restored) = open(&settings);
    let lengths: Vec<_> = restored.rooms.iter().map(|room| (room.room.to_string(), room.roster)).collect();
    assert_eq!(lengths, [("#ops".to_owned(), 3)]);
}
