//! roster.json: the roster of a private room, and what doesn't follow from it.

use rsachat::crypto::rsa::PrivateKey;
use rsachat::e2e::{Change, Invalid, Member, Roster};
use rsachat::model::{RoomName, UserName};
use serde::Serialize;

use super::{Fixed, compare, hex, key, seed};

#[derive(Serialize)]
struct Vectors {
    room: &'static str,
    /// Each of them follows from those before it.
    statements: Vec<Step>,
    /// None of them follows from the first two.
    statements_that_do_not_follow: Vec<Bad>,
}

#[derive(Serialize)]
struct Step {
    name: &'static str,
    number: u64,
    signed_by: &'static str,
    statement: String,
    hash: String,
    owner: String,
    /// Who is in the room then, with the fingerprints of their keys.
    members: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Bad {
    name: &'static str,
    why: String,
    statement: String,
}

fn room() -> RoomName {
    "#ops".parse().unwrap()
}

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

fn member(user: &str, key: &PrivateKey) -> Member {
    Member { user: name(user), key: key.public().fingerprint() }
}

fn sign(roster: &Roster, change: Change, by: &PrivateKey, random: &'static str) -> Vec<u8> {
    roster.draft(change).sign(by, &mut Fixed::new(random)).unwrap()
}

#[test]
fn roster() {
    let (alice, bob, other) = (key("alice"), key("bob"), key("server"));
    let found = Change::Found { owner: member("alice", &alice) };
    let add = Change::Add { member: member("bob", &bob) };
    let steps = [
        ("the room is made", "alice", &alice, found),
        ("somebody is let in", "alice", &alice, add),
        ("somebody is let in with another key", "alice", &alice, Change::Add { member: member("carol", &other) }),
        ("it is handed on", "alice", &alice, Change::HandOver { user: name("bob") }),
        ("somebody is put out", "bob", &bob, Change::Remove { user: name("alice") }),
    ];
    let (mut roster, mut early) = (Roster::new(room()), None);
    let statements = steps.map(|(name, signed_by, by, change)| {
        let statement = sign(&roster, change, by, name);
        assert_eq!(roster.append(&statement), Ok(change), "{name}");
        seed("roster", name, &statement);
        let head = roster.head().unwrap();
        if head.number == 2 {
            early = Some((roster.clone(), statement.clone()));
        }
        let members = roster.members().map(|member| (member.user.to_string(), hex(&member.key.0))).collect();
        let owner = roster.owner().unwrap().user.to_string();
        let (number, statement, hash) = (head.number, hex(&statement), hex(&head.hash.0));
        Step { name, number, signed_by, statement, hash, owner, members }
    });
    let (early, second) = early.unwrap();
    let elsewhere = Roster::new("#dev".parse().unwrap());
    let mut other_history = Roster::new(room());
    other_history.append(&sign(&other_history, found, &alice, "another history")).unwrap();
    other_history.append(&sign(&other_history, add, &alice, "another history, too")).unwrap();
    let remove = Change::Remove { user: name("bob") };
    let good = sign(&early, remove, &alice, "good");
    let flipped = |at: usize| {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        flipped
    };
    let cases = [
        ("signed by a member who is not the owner", Invalid::NotOwner, sign(&early, remove, &bob, "not the owner")),
        ("signed by nobody of them", Invalid::NotOwner, sign(&early, remove, &other, "nobody")),
        ("made again", Invalid::Impossible, sign(&early, found, &alice, "made again")),
        (
            "the owner is put out",
            Invalid::Impossible,
            sign(&early, Change::Remove { user: name("alice") }, &alice, "the owner"),
        ),
        (
            "who is not there is put out",
            Invalid::Impossible,
            sign(&early, Change::Remove { user: name("carol") }, &alice, "not there"),
        ),
        (
            "handed on to who is not there",
            Invalid::Impossible,
            sign(&early, Change::HandOver { user: name("carol") }, &alice, "handed on"),
        ),
        ("the second once more", Invalid::Misplaced, second),
        ("of another history", Invalid::Misplaced, sign(&other_history, remove, &alice, "another history still")),
        ("of another room", Invalid::Misplaced, sign(&elsewhere, found, &alice, "another room")),
        ("with a bit of the signature changed", Invalid::Forged, flipped(good.len() - 1)),
        ("cut", Invalid::Malformed, good[..good.len() - 1].to_vec()),
        ("nothing", Invalid::Malformed, Vec::new()),
    ];
    let bad = cases.map(|(name, why, statement)| {
        assert_eq!(early.clone().append(&statement), Err(why), "{name}");
        seed("roster", name, &statement);
        Bad { name, why: why.to_string(), statement: hex(&statement) }
    });
    let (statements, statements_that_do_not_follow) = (statements.into(), bad.into());
    compare("roster.json", &Vectors { room: "ops", statements, statements_that_do_not_follow });
}
