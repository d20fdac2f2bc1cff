//! What an owner decides over a private room: signed, in its order, and attached to that room alone.

use super::*;

fn invite(user: &str) -> Ask {
    Ask::Do(Request::Invite(Invite { room: ops(), user: name(user), roster: None }))
}

fn is_invite(request: &Request) -> bool {
    matches!(request, Request::Invite(_))
}

/// The statement that comes with an invitation.
fn statement((_, request): &(RequestId, Request)) -> Vec<u8> {
    let Request::Invite(Invite { roster: Some(entry), .. }) = request else { panic!("{request:?}") };
    entry.statement.to_vec()
}

#[test]
fn an_owner_lets_somebody_in_whose_key_he_knows() {
    let mut kept = Kept { roster: Roster::new(ops()), statements: Vec::new() };
    kept.add(Change::Found { owner: alice() }, test_keys::alice());
    let mut world = World::in_ops(&kept);
    let invite = invite("bob");
    world.command(Command::Ask(invite.clone()));
    world.tell_keys(&[("bob", test_keys::bob().public())]);
    let (id, request) = world.take(|request| matches!(request, Request::Invite(_)));
    let Request::Invite(Invite { roster: Some(RosterEntry { number: 2, statement }), .. }) = request else {
        panic!("{request:?}")
    };
    assert_eq!(kept.roster.append(&statement), Ok(Change::Add { member: bob() }));
    world.tell(&[ServerMessage::Reply(id, Reply::Done)]);
    assert!(world.events().contains(&Event::Answered { ask: invite, answer: Ok(Answer::Done) }));
    assert!(world.remembered.iter().any(|(user, pin)| *user == name("bob") && pin.key == bob().key));
}

#[test]
fn decisions_are_made_one_after_the_other() {
    let mut kept = Kept { roster: Roster::new(ops()), statements: Vec::new() };
    kept.add(Change::Found { owner: alice() }, test_keys::alice());
    let mut world = World::in_ops(&kept);
    world.command(Command::Ask(invite("bob")));
    world.command(Command::Ask(invite("carol")));
    world.command(Command::Ask(Ask::Do(Request::SetTopic(SetTopic { room: ops(), topic: "work".to_owned() }))));
    world.tell_keys(&[("bob", test_keys::bob().public())]);
    let first = world.take(is_invite);
    assert_eq!(kept.take(&statement(&first)), Change::Add { member: bob() });
    assert_eq!(world.requests, [], "the next statement depends on what becomes of the first");
    world.tell(&[ServerMessage::Reply(first.0, Reply::Done)]);
    world.tell_roster(kept.page(1));
    world.tell_keys(&[("carol", third().public())]);
    let second = world.take(is_invite);
    assert_eq!(kept.take(&statement(&second)), Change::Add { member: member("carol", third()) });
    assert!(matches!(&world.requests[..], [(_, Request::SetTopic(_))]), "{:?}", world.requests);
}

#[test]
fn a_room_that_one_is_in_is_entered_again_although_it_is_to_be_made() {
    let mut kept = Kept { roster: Roster::new(ops()), statements: Vec::new() };
    kept.add(Change::Found { owner: alice() }, test_keys::alice());
    let mut world = World::in_ops(&kept);
    world.rooms = vec![lobby(), ops()];
    world.command(Command::Ask(invite("bob")));
    world.cut();
    // Its signature waits for that of the first, and that for the room.
    world.command(Command::Ask(Ask::Create { room: ops(), private: true }));
    world.requests.clear();
    world.come_back();
    world.take(|request| matches!(request, Request::Join(message::Join { room, .. }) if *room == ops()));
}

#[test]
fn what_is_done_to_a_room_waits_until_it_is_made() {
    let mut world = World::in_lobby(0);
    let topic = Request::SetTopic(SetTopic { room: ops(), topic: "work".to_owned() });
    world.command(Command::Ask(Ask::Create { room: ops(), private: true }));
    world.command(Command::Join { room: ops() });
    world.command(Command::Ask(invite("bob")));
    world.command(Command::Ask(Ask::Do(topic.clone())));
    let (id, Request::Create(create)) = world.take(|request| matches!(request, Request::Create(_))) else { panic!() };
    assert_eq!(world.requests, []);
    let mut kept = Kept { roster: Roster::new(ops()), statements: Vec::new() };
    kept.take(&create.roster.unwrap().statement);
    world.tell(&[ServerMessage::Reply(id, Reply::Done)]);
    world.let_into_ops(1);
    world.tell_roster(kept.page(0));
    world.tell_keys(&[("bob", test_keys::bob().public())]);
    assert_eq!(kept.take(&statement(&world.take(is_invite))), Change::Add { member: bob() });
    assert_eq!(world.take(|request| matches!(request, Request::SetTopic(_))).1, topic);
}

#[test]
fn what_is_signed_goes_to_the_room_that_it_was_signed_for() {
    let mut kept = Kept { roster: Roster::new(ops()), statements: Vec::new() };
    kept.add(Change::Found { owner: alice() }, test_keys::alice());
    let mut world = World::in_ops(&kept);
    // Another room, which is entered only when the decision over the first one is about to be signed.
    let dev: RoomName = "#dev".parse().unwrap();
    world.command(Command::Join { room: dev });
    let (join, _) = world.take(|request| matches!(request, Request::Join(_)));
    let into_dev = Invite { room: dev, user: name("carol"), roster: None };
    world.command(Command::Ask(Ask::Do(Request::Invite(into_dev))));
    world.command(Command::Ask(invite("bob")));
    let (keys, _) = world.take(|request| matches!(request, Request::Keys(_)));
    let info = RoomInfo { roster: 1, ..RoomInfo::new(dev) };
    let joined = Joined { info, caught_up: true, last: Seq(0), gone: 0, withdrawn_after: None };
    let bobs = UserKey { user: name("bob"), key: test_keys::bob().public().spki_der().to_vec().into() };
    world.tell(&[
        ServerMessage::Reply(join, Reply::Joined(joined)),
        ServerMessage::Reply(keys, Reply::Keys(KeyList { keys: vec![bobs] })),
    ]);
    let signed = world.take(is_invite);
    assert!(matches!(&signed.1, Request::Invite(invite) if invite.room == ops() && invite.user == name("bob")));
    assert_eq!(kept.take(&statement(&signed)), Change::Add { member: bob() });
}

#[test]
fn an_owner_lets_nobody_in_whose_key_has_changed() {
    let kept = Kept::alices();
    let mut world = World::in_ops(&kept);
    let mut known = Known::default();
    known.trust(name("bob"), bob().key, false);
    world.handle(Input::Recalled(known));
    world.command(Command::Ask(invite("bob")));
    world.tell_keys(&[("bob", third().public())]);
    let events = world.events();
    assert!(events.iter().any(|event| matches!(event, Event::Answered { answer: Err(_), .. })), "{events:?}");
    assert_eq!(world.requests, []);
}

#[test]
fn what_an_owner_decides_is_signed_and_what_others_decide_is_not_asked_for() {
    let mut kept = Kept::alices();
    let mut world = World::in_ops(&kept);
    let kick = |user: &str| {
        Ask::Do(Request::Kick(Box::new(Kick { room: ops(), user: name(user), reason: None, roster: None })))
    };
    world.command(Command::Ask(kick("bob")));
    let (id, Request::Kick(asked)) = world.take(|request| matches!(request, Request::Kick(_))) else { panic!() };
    let statement = asked.roster.unwrap().statement;
    assert_eq!(kept.take(&statement), Change::Remove { user: name("bob") });
    world.tell(&[ServerMessage::Reply(id, Reply::Done)]);
    world.tell_roster(kept.page(2));
    world.command(Command::Ask(kick("carol")));
    let refused = |code: ErrorCode| move |event: &Event| matches!(event, Event::Answered { answer: Err(refused), .. } if refused.code == code);
    assert!(world.events().iter().any(refused(ErrorCode::Conflict)));
    let mut world = World::in_ops(&Kept::bobs());
    world.command(Command::Ask(kick("bob")));
    assert!(world.events().iter().any(refused(ErrorCode::Forbidden)));
    assert_eq!(world.requests, []);
}

#[test]
fn a_private_room_is_made_with_the_first_statement_of_its_roster() {
    let mut world = World::in_lobby(0);
    world.command(Command::Ask(Ask::Create { room: ops(), private: true }));
    let (id, Request::Create(create)) = world.take(|request| matches!(request, Request::Create(_))) else { panic!() };
    let RosterEntry { number, statement } = create.roster.unwrap();
    let mut roster = Roster::new(ops());
    assert_eq!((number, roster.append(&statement)), (1, Ok(Change::Found { owner: alice() })));
    world.tell(&[ServerMessage::Reply(id, Reply::Done)]);
    world.let_into_ops(1);
    world.tell_roster(RosterPage { statements: vec![statement], length: 1, members: vec![name("alice")] });
    world.speak("to myself");
    assert_eq!(world.keep_key_there().0, [alice().key]);
}

#[test]
fn what_is_decided_over_a_room_that_lets_nobody_in_is_answered() {
    let mut world = World::with(known(Some(Kept::alices().roster.head().unwrap())));
    world.run();
    world.let_in(0);
    world.command(Command::Join { room: ops() });
    let (id, _) = world.take(|request| matches!(request, Request::Join(_)));
    let refused = Refused { code: ErrorCode::NotFound, text: "no".to_owned(), hint: None, retry_after_ms: None };
    world.tell(&[ServerMessage::Reply(id, Reply::Error(refused.clone()))]);
    world.command(Command::Ask(invite("bob")));
    let (id, _) = world.take(is_invite);
    world.tell(&[ServerMessage::Reply(id, Reply::Error(refused.clone()))]);
    assert!(world.events().contains(&Event::Answered { ask: invite("bob"), answer: Err(refused) }));
}
