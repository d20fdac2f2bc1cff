//! Alice owns #ops, bob is let in and put out; the server, and others, do what they can.

use super::super::SenderKey;
use super::*;
use crate::crypto::rsa::{PrivateKey, test_keys};

fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

fn room() -> RoomName {
    "#ops".parse().unwrap()
}

fn alice() -> Member {
    Member { user: user("alice"), key: test_keys::alice().public().fingerprint() }
}

fn bob() -> Member {
    Member { user: user("bob"), key: test_keys::bob().public().fingerprint() }
}

fn sign(roster: &Roster, change: Change, identity: &PrivateKey) -> Vec<u8> {
    roster.draft(change).sign(identity, &mut rand::rng()).unwrap()
}

/// Made by alice, with bob in it.
fn both() -> (Roster, Vec<Vec<u8>>) {
    let (mut roster, mut statements) = (Roster::new(room()), Vec::new());
    for change in [Change::Found { owner: alice() }, Change::Add { member: bob() }] {
        let statement = sign(&roster, change, test_keys::alice());
        assert_eq!(roster.append(&statement), Ok(change));
        statements.push(statement);
    }
    (roster, statements)
}

fn sender_key(roster: &Roster, sender: Member, identity: &PrivateKey, to: &PrivateKey) -> OpenedKey {
    let membership = Membership::Roster { head: roster.head().unwrap() };
    let recipients = [identity.public().clone(), to.public().clone()];
    let rng = &mut rand::rng();
    let (key, package) = SenderKey::make(room(), sender.user, &membership, &recipients, identity, rng).unwrap();
    let part = (&*package.head, &*package.recipients[1].1);
    OpenedKey::open(package.id, key.context(), part, to, rng).unwrap().unwrap()
}

#[test]
fn owners_decide_who_is_in_and_who_decides() {
    let (mut roster, _) = both();
    assert_eq!((roster.owner(), roster.length()), (Some(alice()), 2));
    assert_eq!(roster.members().collect::<Vec<_>>(), [alice(), bob()]);
    let handed = sign(&roster, Change::HandOver { user: user("bob") }, test_keys::alice());
    roster.append(&handed).unwrap();
    assert_eq!(roster.owner(), Some(bob()));
    // Alice decides no longer.
    let by_alice = sign(&roster, Change::Remove { user: user("alice") }, test_keys::alice());
    assert_eq!(roster.append(&by_alice), Err(Invalid::NotOwner));
    let by_bob = sign(&roster, Change::Remove { user: user("alice") }, test_keys::bob());
    roster.append(&by_bob).unwrap();
    assert_eq!(roster.members().collect::<Vec<_>>(), [bob()]);
    assert!(!roster.has_member(alice()));
}

#[test]
fn an_owner_moves_to_another_key_with_the_one_before() {
    let (mut roster, _) = both();
    let new = Member { key: test_keys::server().public().fingerprint(), ..alice() };
    let statement = sign(&roster, Change::Add { member: new }, test_keys::alice());
    roster.append(&statement).unwrap();
    let bobs_end = Change::Remove { user: user("bob") };
    let earlier = sign(&roster, bobs_end, test_keys::alice());
    assert_eq!(roster.append(&earlier), Err(Invalid::NotOwner));
    let later = sign(&roster, bobs_end, test_keys::server());
    assert_eq!(roster.append(&later), Ok(bobs_end));
}

#[test]
fn nobody_but_the_owner_changes_a_roster() {
    let (mut roster, statements) = both();
    let ghost =
        Change::Add { member: Member { user: user("mallory"), key: test_keys::server().public().fingerprint() } };
    for identity in [test_keys::bob(), test_keys::server()] {
        let statement = sign(&roster, ghost, identity);
        assert_eq!(roster.append(&statement), Err(Invalid::NotOwner));
    }
    // Found again, by whoever wants to own it.
    let found = Change::Found { owner: bob() };
    let statement = sign(&roster, found, test_keys::bob());
    assert_eq!(roster.append(&statement), Err(Invalid::Impossible));
    // With alice's name, not her key.
    let foreign = Change::Found { owner: alice() };
    let statement = sign(&Roster::new(room()), foreign, test_keys::bob());
    assert_eq!(Roster::new(room()).append(&statement), Err(Invalid::NotOwner));
    // The first statement can be nothing else.
    let early = sign(&Roster::new(room()), Change::Add { member: bob() }, test_keys::alice());
    assert_eq!(Roster::new(room()).append(&early), Err(Invalid::Impossible));
    assert_eq!(roster.length(), statements.len() as u64);
}

#[test]
fn a_statement_fits_nowhere_else() {
    let (roster, statements) = both();
    // Twice, left out, in another order, in another room.
    assert_eq!(roster.clone().append(&statements[1]), Err(Invalid::Misplaced));
    assert_eq!(roster.clone().append(&statements[0]), Err(Invalid::Misplaced));
    assert_eq!(Roster::new(room()).append(&statements[1]), Err(Invalid::Misplaced));
    assert_eq!(Roster::new("#dev".parse().unwrap()).append(&statements[0]), Err(Invalid::Forged));
    // The second of another history of the same room, by the same owner.
    let mut other = Roster::new(room());
    other.append(&sign(&other, Change::Found { owner: alice() }, test_keys::alice())).unwrap();
    assert_eq!(other.clone().append(&statements[1]), Err(Invalid::Misplaced));
    assert_ne!(other.head(), Some(Head { number: 1, ..roster.head().unwrap() }));
    assert_eq!(roster.has(other.head().unwrap()), Some(false));
    assert_eq!(other.has(roster.head().unwrap()), None);
}

#[test]
fn no_byte_of_a_statement_can_be_changed() {
    let (roster, statements) = both();
    let mut shorter = Roster::new(room());
    shorter.append(&statements[0]).unwrap();
    for at in 0..statements[1].len() {
        let mut changed = statements[1].clone();
        changed[at] ^= 1;
        assert!(shorter.clone().append(&changed).is_err(), "byte {at}");
    }
    for end in 0..statements[1].len() {
        assert!(shorter.clone().append(&statements[1][..end]).is_err(), "{end} bytes");
    }
    shorter.append(&statements[1]).unwrap();
    assert_eq!(shorter.head(), roster.head());
}

#[test]
fn what_can_not_be_is_refused() {
    let (mut roster, _) = both();
    for change in [
        Change::Remove { user: user("alice") },
        Change::Remove { user: user("carol") },
        Change::HandOver { user: user("alice") },
        Change::HandOver { user: user("carol") },
    ] {
        let statement = sign(&roster, change, test_keys::alice());
        assert_eq!(roster.append(&statement), Err(Invalid::Impossible), "{change:?}");
    }
}

#[test]
fn a_sender_key_is_for_those_who_were_in_the_room_when_it_was_made() {
    let (mut roster, _) = both();
    let then = sender_key(&roster, bob(), test_keys::bob(), test_keys::alice());
    assert_eq!(roster.admits(&then, alice()), Some(Ok(())));
    // Alice under another key than the roster's would not have been told.
    let other = Member { key: test_keys::server().public().fingerprint(), ..alice() };
    assert_eq!(roster.admits(&then, other), Some(Err(Unusable::Misdirected)));
    let without = roster.clone();
    let put_out = sign(&roster, Change::Remove { user: user("bob") }, test_keys::alice());
    roster.append(&put_out).unwrap();
    // What bob said then stays; what he says now is nobody's.
    assert_eq!(roster.admits(&then, alice()), Some(Ok(())));
    let now = sender_key(&roster, bob(), test_keys::bob(), test_keys::alice());
    assert_eq!(roster.admits(&now, alice()), Some(Err(Unusable::NotMember)));
    // Nor does he get what alice says now.
    let alices = sender_key(&roster, alice(), test_keys::alice(), test_keys::bob());
    assert_eq!(roster.admits(&alices, bob()), Some(Err(Unusable::Misdirected)));
    // Who doesn't know that statement yet can't tell.
    assert_eq!(without.admits(&now, alice()), None);
    // Bob with a key that is not his.
    let forged = sender_key(&without, bob(), test_keys::server(), test_keys::alice());
    assert_eq!(roster.admits(&forged, alice()), Some(Err(Unusable::NotMember)));
    // For another history of the room.
    let mut fork = Roster::new(room());
    fork.append(&sign(&fork, Change::Found { owner: alice() }, test_keys::alice())).unwrap();
    let forked = sender_key(&fork, alice(), test_keys::alice(), test_keys::bob());
    assert_eq!(roster.admits(&forked, bob()), Some(Err(Unusable::OtherRoster)));
}

#[test]
fn the_membership_of_a_direct_room_is_none_of_a_private_one() {
    let (roster, _) = both();
    let direct = RoomName::direct(user("alice"), user("bob")).unwrap();
    let membership = Membership::direct(direct, alice(), bob()).unwrap();
    let recipients = [test_keys::bob().public().clone()];
    let made = |room, membership: &Membership| {
        let rng = &mut rand::rng();
        let made = SenderKey::make(room, user("alice"), membership, &recipients, test_keys::alice(), rng);
        let (key, package) = made.unwrap();
        let part = (&*package.head, &*package.recipients[0].1);
        OpenedKey::open(package.id, key.context(), part, test_keys::bob(), rng).unwrap()
    };
    let here = Membership::Roster { head: roster.head().unwrap() };
    assert_eq!(made(room(), &membership).unwrap_err(), Unusable::Foreign);
    assert_eq!(made(direct, &here).unwrap_err(), Unusable::Foreign);
    let direct = made(direct, &membership).unwrap();
    assert_eq!(roster.admits(&direct, bob()), Some(Err(Unusable::Foreign)));
}
