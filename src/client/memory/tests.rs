//! What is remembered, by whom, and what was changed by somebody else.

use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;
use crate::crypto::rsa::PrivateKey;
use crate::crypto::rsa::test_keys::{alice, bob};
use crate::model::{Incarnation, Seq};

fn user(text: &str) -> UserName {
    text.parse().unwrap()
}

fn pin(number: u8) -> Pin {
    Pin { key: Fingerprint([number; 32]), verified: false, earlier: Vec::new() }
}

fn at(incarnation: u64, seq: u64) -> Position {
    Position { incarnation: Incarnation(incarnation), seq: Seq(seq) }
}

fn open(path: &Path) -> (Memory, Known) {
    Memory::open(path, alice(), &mut rand::rng()).unwrap()
}

fn why(path: &Path, identity: &PrivateKey) -> &'static str {
    match Memory::open(path, identity, &mut rand::rng()) {
        Err(MemoryError::Foreign { what, .. }) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_decided_is_remembered_and_belongs_to_the_user_alone() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("state/memory.db");
    let (mut memory, known) = open(&path);
    assert_eq!(known, Known::default());
    let decided = Pin { verified: true, earlier: vec![Fingerprint([9; 32])], ..pin(1) };
    memory.decide(user("bob"), &decided, &mut rand::rng()).unwrap();
    assert_eq!(memory.meet(user("carol"), &pin(2), &mut rand::rng()).unwrap(), None);
    let room = RoomName::direct(user("alice"), user("bob")).unwrap();
    memory.has_read(&[(room, at(1, 7))].into(), &mut rand::rng()).unwrap();
    drop(memory);
    let (_, known) = open(&path);
    assert_eq!((known.pin(user("bob")), known.pin(user("carol"))), (Some(&decided), Some(&pin(2))));
    assert_eq!((known.read(room), known.read(RoomName::lobby())), (Some(at(1, 7)), None));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // Nothing of it is in the clear.
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(32).any(|window| window == [1; 32] || window == [2; 32]));
    assert!(!bytes.windows(5).any(|window| window == b"carol"));
}

#[test]
fn looking_at_it_neither_begins_it_nor_waits_for_who_writes() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("memory.db");
    let look = |identity| Memory::look(&path, identity, &mut rand::rng());
    assert!(matches!(look(alice()), Err(MemoryError::Database { .. })));
    assert!(!path.exists());
    let (mut memory, _) = open(&path);
    memory.has_read(&[(RoomName::lobby(), at(1, 7))].into(), &mut rand::rng()).unwrap();
    assert_eq!(look(alice()).unwrap().rooms().collect::<Vec<_>>(), [RoomName::lobby()]);
    assert!(matches!(look(bob()), Err(MemoryError::Foreign { .. })));
    let writer = Connection::open(&path).unwrap();
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let start = std::time::Instant::now();
    assert!(matches!(look(alice()), Err(MemoryError::Database { .. })));
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn what_the_user_does_without_is_remembered_until_he_wants_it_again() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("memory.db");
    let (ignore, hush) = (|on| Preference::Ignore(user("eve"), on), |on| Preference::Hush(RoomName::lobby(), on));
    for (wanted, remembered) in [
        (vec![ignore(true), hush(true)], vec![ignore(true), hush(true)]),
        (vec![hush(false)], vec![ignore(true)]),
        (vec![ignore(true), ignore(false), hush(false)], vec![]),
    ] {
        let (mut memory, _) = open(&path);
        for preference in wanted {
            memory.prefer(preference, &mut rand::rng()).unwrap();
        }
        assert_eq!(open(&path).1.preferences().collect::<Vec<_>>(), remembered);
    }
}

#[test]
fn what_one_client_has_read_no_other_one_takes_back() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("memory.db");
    let ((mut one, _), (mut other, _)) = (open(&path), open(&path));
    let (lobby, dev) = (RoomName::lobby(), "#dev".parse().unwrap());
    one.has_read(&[(lobby, at(2, 7)), (dev, at(2, 1))].into(), &mut rand::rng()).unwrap();
    // It has not heard of that, and knows what an earlier start of the server has lost.
    other.has_read(&[(lobby, at(1, 9)), (dev, at(2, 3))].into(), &mut rand::rng()).unwrap();
    for mut memory in [one, other] {
        let known = memory.known().unwrap();
        assert_eq!((known.read(lobby), known.read(dev)), (Some(at(2, 7)), Some(at(2, 3))));
        memory.forget_read(dev).unwrap();
        assert_eq!(memory.known().unwrap().read(dev), None);
        memory.has_read(&[(dev, at(2, 3))].into(), &mut rand::rng()).unwrap();
    }
}

#[test]
fn two_clients_agree_on_the_first_key_that_one_of_them_saw() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("memory.db");
    let ((mut one, _), (mut other, _)) = (open(&path), open(&path));
    assert!(one.news().unwrap().is_none());
    assert_eq!(one.meet(user("bob"), &pin(1), &mut rand::rng()).unwrap(), None);
    assert_eq!(other.meet(user("bob"), &pin(2), &mut rand::rng()).unwrap(), Some(pin(1)));
    assert_eq!(other.news().unwrap().unwrap().pin(user("bob")), Some(&pin(1)));
    assert!(other.news().unwrap().is_none());
    other.decide(user("bob"), &pin(3), &mut rand::rng()).unwrap();
    assert_eq!(one.news().unwrap().unwrap().pin(user("bob")), Some(&pin(3)));
}

#[test]
fn what_somebody_else_has_written_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("memory.db");
    let (mut memory, _) = open(&path);
    memory.decide(user("bob"), &pin(1), &mut rand::rng()).unwrap();
    memory.decide(user("carol"), &pin(2), &mut rand::rng()).unwrap();
    drop(memory);
    assert_eq!(why(&path, bob()), "its key is not signed by yours");
    let change = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    // Another one's key, which anybody can encrypt to alice.
    let forged = directory.path().join("forged.db");
    drop(Memory::open(&forged, bob(), &mut rand::rng()).unwrap());
    assert_eq!(why(&forged, alice()), "its key is not signed by yours");
    // One in the place of the other.
    change(
        "UPDATE entry SET sealed = (SELECT sealed FROM entry ORDER BY id DESC LIMIT 1)
         WHERE id = (SELECT min(id) FROM entry)",
    );
    assert_eq!(why(&path, alice()), "an entry was changed");
    change("DELETE FROM entry WHERE id = (SELECT min(id) FROM entry)");
    drop(open(&path));
    change("UPDATE entry SET id = zeroblob(32)");
    assert_eq!(why(&path, alice()), "an entry was changed");
    change(&format!("PRAGMA user_version = {}", FORMAT + 1));
    assert_eq!(why(&path, alice()), "it is of another version of rsachat");
    change("PRAGMA application_id = 7");
    assert_eq!(why(&path, alice()), "it is another program's");
}
