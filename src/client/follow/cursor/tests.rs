use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc::channel;

use super::*;
use crate::model::{Incarnation, Seq};
use crate::proto::message::Body;

fn open(directory: &Path) -> Cursor {
    let (user, name) = ("alice".parse().unwrap(), "bot".parse().unwrap());
    Cursor::open(directory, name, (user, Fingerprint([1; 32])), Fingerprint([2; 32]), || panic!("in use")).unwrap()
}

fn message(seq: u64) -> Stored {
    Stored {
        room: RoomName::lobby(),
        seq: Seq(seq),
        time: Timestamp(0),
        sender: "bob".parse().unwrap(),
        message: MessageId([u8::try_from(seq % 251).unwrap(); 16]),
        body: Some(Body::Text { text: String::new() }),
    }
}

fn place(seq: u64) -> Position {
    Position { incarnation: Incarnation(3), seq: Seq(seq) }
}

#[test]
fn what_was_taken_is_known_to_the_next_run_and_what_was_only_handed_out_is_marked() {
    let directory = tempfile::tempdir().unwrap();
    let mut cursor = open(directory.path());
    assert!(cursor.made().is_none() && cursor.places().is_empty());
    cursor.begin(Timestamp(5));
    cursor.hand(&message(1));
    cursor.take(&message(1), place(1));
    cursor.hand(&message(2));
    cursor.save().unwrap();
    let mode = fs::metadata(directory.path().join("bot.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(cursor);

    let mut cursor = open(directory.path());
    assert_eq!(
        (cursor.made(), cursor.places()),
        (Some(Timestamp(5)), &BTreeMap::from([(RoomName::lobby(), place(1))]))
    );
    cursor.begin(Timestamp(9));
    assert_eq!(cursor.made(), Some(Timestamp(5)));
    assert!(cursor.was_taken(&message(1)) && !cursor.was_handed(&message(1)));
    assert!(cursor.was_handed(&message(2)) && !cursor.was_handed(&message(3)));
    cursor.take(&message(2), place(2));
    cursor.save().unwrap();
    drop(cursor);
    assert!(!open(directory.path()).was_handed(&message(2)));
}

#[test]
fn what_the_server_has_lost_is_taken_again_and_known_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let mut cursor = open(directory.path());
    for seq in 1..=5 {
        cursor.take(&message(seq), place(seq));
    }
    cursor.withdraw(RoomName::lobby(), place(3));
    assert_eq!(cursor.places().get(&RoomName::lobby()), Some(&place(3)));
    let again = Stored { seq: Seq(4), ..message(5) };
    assert!(cursor.was_taken(&again));
    for seq in 0..1000 {
        cursor.take(&message(seq), place(seq));
    }
    assert_eq!(cursor.recent.len(), RECENT);
    // Another one's message of the same name is another one.
    let other = Stored { sender: "mallory".parse().unwrap(), ..message(999) };
    assert!(cursor.was_taken(&message(999)) && !cursor.was_taken(&other));
    for seq in 0..2 * u64::try_from(HANDED).unwrap() {
        let id = MessageId(u128::from(seq).to_be_bytes());
        cursor.hand(&Stored { message: id, ..message(1) });
    }
    assert_eq!(cursor.handed.len(), HANDED);
}

#[test]
fn a_cursor_of_somebody_else_or_a_damaged_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).save().unwrap();
    let (alice, name) = ("alice".parse().unwrap(), "bot".parse().unwrap());
    let (own, server) = (Fingerprint([1; 32]), Fingerprint([2; 32]));
    for (user, own, server) in [
        ("bob".parse().unwrap(), own, server),
        (alice, Fingerprint([3; 32]), server),
        (alice, own, Fingerprint([3; 32])),
    ] {
        let refused = Cursor::open(directory.path(), name, (user, own), server, || ());
        assert!(matches!(refused, Err(CursorError::Foreign { .. })), "{refused:?}");
    }
    for text in ["", "{}", r#"{"version":2}"#, "x"] {
        fs::write(directory.path().join("bot.json"), text).unwrap();
        let refused = Cursor::open(directory.path(), name, (alice, own), server, || ());
        assert!(matches!(refused, Err(CursorError::Damaged { .. })), "{text}: {refused:?}");
    }
    for name in ["", "../bot", "a/b", ".hidden"] {
        assert!(name.parse::<CursorName>().is_err(), "{name}");
    }
}

#[test]
fn one_program_at_a_time_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path());
    let (sender, waits) = channel();
    let path = directory.path().to_owned();
    let second = std::thread::spawn(move || {
        let (user, name) = ("alice".parse().unwrap(), "bot".parse().unwrap());
        let wait = || sender.send(()).unwrap();
        Cursor::open(&path, name, (user, Fingerprint([1; 32])), Fingerprint([2; 32]), wait).unwrap();
    });
    waits.recv().unwrap();
    drop(first);
    second.join().unwrap();
}
