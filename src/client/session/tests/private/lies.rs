//! A server that shows a roster as it likes, or none.

use super::*;

#[test]
fn a_ghost_that_the_owner_has_not_signed_is_found_out() {
    let mut forged = Kept::bobs();
    let ghost = Change::Add { member: member("mallory", third()) };
    let statement = forged.roster.draft(ghost).sign(third(), &mut rand::rng()).unwrap();
    forged.statements.push(statement);
    let mut world = World::entering_ops(settings(), 3);
    world.tell_roster(RosterPage { length: 3, ..forged.page(0) });
    world.does_not_send(BadRoster::Invalid(Invalid::NotOwner));
}

#[test]
fn a_roster_that_is_shorter_or_other_than_before_is_found_out() {
    let mut kept = Kept::bobs();
    let two = kept.clone();
    kept.add(Change::Remove { user: name("alice") }, test_keys::bob());
    kept.add(Change::Add { member: alice() }, test_keys::bob());
    let mut world = World::entering_ops(known(kept.roster.head()), 2);
    world.tell_roster(two.page(0));
    world.does_not_send(BadRoster::Withheld);
    // Signed by its owner, too, another time.
    let mut world = World::entering_ops(known(kept.roster.head()), 4);
    let mut other = Kept::bobs();
    other.add(Change::Add { member: member("mallory", third()) }, test_keys::bob());
    other.add(Change::Add { member: alice() }, test_keys::bob());
    world.tell_roster(other.page(0));
    world.does_not_send(BadRoster::Other);
    // Cut short, and said to be all there is.
    let mut world = World::entering_ops(settings(), 4);
    world.tell_roster(RosterPage { length: 4, ..two.page(0) });
    world.tell_roster(RosterPage { length: 4, ..two.page(2) });
    world.does_not_send(BadRoster::Withheld);
}

#[test]
fn rooms_without_end_are_not_remembered() {
    let kept = Kept::bobs();
    let mut known = Known::default();
    let head = kept.roster.head().unwrap();
    for number in 0.. {
        if known.is_full_of_rosters() {
            break;
        }
        known.has_roster(format!("#r{number}").parse().unwrap(), head);
    }
    let mut world = World::entering_ops(Settings { known: known.clone(), ..settings() }, kept.length());
    world.tell_roster(kept.page(0));
    world.does_not_send(BadRoster::TooMany);
    // One that is among them is as good as ever.
    known.forget_roster("#r0".parse().unwrap());
    known.has_roster(ops(), head);
    let mut world = World::entering_ops(Settings { known, ..settings() }, kept.length());
    world.tell_roster(kept.page(0));
    assert!(!world.events().iter().any(|event| matches!(event, Event::BadRoster { .. })));
}

#[test]
fn a_room_that_was_private_is_not_spoken_in_as_if_it_were_open() {
    let kept = Kept::bobs();
    let mut world = World::entering_ops(known(kept.roster.head()), 0);
    world.does_not_send(BadRoster::Open);
}

#[test]
fn a_room_that_was_just_made_private_is_not_spoken_in_as_if_it_were_open() {
    let mut world = World::in_lobby(0);
    world.command(Command::Ask(Ask::Create { room: ops(), private: true }));
    // Before it is known that it is made.
    world.command(Command::Join { room: ops() });
    world.speak("for us");
    let (id, _) = world.take(|request| matches!(request, Request::Create(_)));
    world.tell(&[ServerMessage::Reply(id, Reply::Done)]);
    world.let_into_ops(0);
    assert!(world.events().contains(&Event::BadRoster { room: ops(), why: BadRoster::Open }));
    assert_eq!(world.requests, []);
}

#[test]
fn nothing_is_sent_to_a_key_of_the_roster_that_is_not_the_pinned_one() {
    let kept = Kept::bobs();
    let mut known = Known::default();
    known.trust(name("bob"), third().public().fingerprint(), true);
    let mut world = World::entering_ops(Settings { known, ..settings() }, kept.length());
    world.tell_roster(kept.page(0));
    world.speak("secret");
    world.tell_keys(&[("bob", test_keys::bob().public())]);
    let events = world.events();
    assert!(events.iter().any(|event| matches!(event, Event::KeyChanged { user, .. } if *user == name("bob"))));
    assert!(events.iter().any(|event| matches!(event, Event::Refused { .. })));
    assert_eq!(world.requests, []);
}

#[test]
fn a_message_from_a_longer_roster_waits_for_it_and_not_for_ever() {
    let mut kept = Kept::bobs();
    let mut world = World::in_ops(&kept);
    kept.add(Change::Add { member: member("carol", third()) }, test_keys::bob());
    let (key, said) = speech(&kept.roster, "bob", test_keys::bob());
    world.tell(std::slice::from_ref(&said));
    world.give(vec![key.clone()]);
    assert_eq!(world.seals(), []);
    world.tell_roster(kept.page(2));
    assert_eq!(world.seals(), [Seal::Sealed(Trust::Pinned)]);
    // A server that doesn't have that statement.
    let before = Kept::bobs();
    let mut world = World::in_ops(&before);
    world.tell(&[said]);
    world.give(vec![key]);
    world.tell_roster(before.page(2));
    assert_eq!(world.seals(), [Seal::Unreadable(Unreadable::Unusable(Unusable::OtherRoster))]);
}

#[test]
fn nothing_is_believed_in_a_room_whose_roster_goes_bad() {
    let kept = Kept::bobs();
    let mut world = World::in_ops(&kept);
    let (key, said) = speech(&kept.roster, "bob", test_keys::bob());
    let ServerMessage::Message(again) = said.clone() else { panic!() };
    world.tell(&[said]);
    world.give(vec![key]);
    assert_eq!(world.seals(), [Seal::Sealed(Trust::Pinned)]);
    world.acted(message::Act::Topic { topic: "x".to_owned() });
    world.tell_roster(RosterPage { length: 1, ..kept.page(2) });
    world.tell(&[ServerMessage::Message(Stored { seq: Seq(2), ..again })]);
    assert_eq!(world.seals(), [Seal::Unreadable(Unreadable::Doubtful)]);
}

#[test]
fn a_server_that_says_that_somebody_is_out_and_shows_a_roster_with_him_is_found_out() {
    let kept = Kept::alices();
    let mut world = World::in_ops(&kept);
    let kick = Ask::Do(Request::Kick(Box::new(Kick { room: ops(), user: name("bob"), reason: None, roster: None })));
    world.command(Command::Ask(kick));
    let (id, _) = world.take(|request| matches!(request, Request::Kick(_)));
    world.tell(&[ServerMessage::Reply(id, Reply::Done)]);
    world.tell_roster(kept.page(2));
    world.does_not_send(BadRoster::Withheld);
}
