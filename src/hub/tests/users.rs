//! Registered or not, coming and going, presence, people, admins, the end.

use super::*;

fn presence(came: &[&str], left: &[&str]) -> ServerMessage {
    let names = |names: &[&str]| names.iter().map(|user| name(user)).collect();
    ServerMessage::Presence(Presence {
        room: RoomName::lobby(),
        came: names(came),
        left: names(left),
        changed: Vec::new(),
    })
}

fn shutdown(world: &mut World) {
    world.handle(Input::Shutdown { reason: "SIGTERM".to_owned() });
}

#[test]
fn a_session_is_welcomed_first() {
    let mut world = World::new();
    world.register("admin");
    let session = world.open("admin");
    let expected = ServerMessage::Welcome(Welcome {
        server: "rsachat/test".to_owned(),
        user: name("admin"),
        admin: true,
        incarnation: Incarnation(1),
        time: world.wall,
        message_bytes: 8192,
        history_limit: 100,
        rooms: vec![RoomName::lobby()],

        waiting: Vec::new(),
    });
    assert_eq!(world.inbox(session), [expected]);
}

#[test]
fn who_is_not_registered_or_came_with_another_key_is_put_out() {
    let mut world = World::new();
    let stranger = world.open("eve");
    assert_eq!(world.closed(stranger), Some(CloseCode::KeyRemoved));
    world.handle(registered(name("eve"), Fingerprint([9; 32])));
    let old_key = world.open("eve");
    assert_eq!(world.closed(old_key), Some(CloseCode::KeyRemoved));
    assert!(matches!(world.log[..], [LogEvent::SessionRefused { .. }, LogEvent::SessionRefused { .. }]));
    // Nothing it says is heard.
    world.request(old_key, Request::People(People { room: RoomName::lobby() }));
    world.gone(old_key);
    world.gone(stranger);
    assert!(world.hub.closing.is_empty());
}

#[test]
fn a_removed_or_replaced_key_ends_its_sessions_at_once() {
    let mut world = World::new();
    let (a, b, bob) = (world.member("alice"), world.member("alice"), world.member("bob"));
    world.post(a, "last words");
    world.handle(Input::Unregistered { user: name("alice") });
    assert_eq!([world.closed(a), world.closed(b)], [Some(CloseCode::KeyRemoved); 2]);
    assert_eq!(world.log, [LogEvent::KeyRemoved { user: name("alice"), sessions: 2 }]);
    // The post is stored all the same; then nothing of alice is left in memory.
    world.commit();
    assert_eq!(world.disk.records.len(), 1);
    assert!(!world.hub.users.contains_key(&name("alice")));

    world.handle(registered(name("bob"), key(name("bob"))));
    assert_eq!(world.closed(bob), None, "the same key again is no change");
    world.handle(registered(name("bob"), Fingerprint([9; 32])));
    assert_eq!(world.closed(bob), Some(CloseCode::KeyRemoved));
}

#[test]
fn posts_of_a_user_who_comes_back_while_they_wait_are_counted_once() {
    let mut world = World::new();
    let session = world.member("alice");
    world.post(session, "1");
    world.handle(Input::Unregistered { user: name("alice") });
    world.register("alice");
    assert_eq!(world.hub.users[&name("alice")].unacknowledged, 1);
    world.commit();
    assert_eq!(world.hub.users[&name("alice")].unacknowledged, 0);
}

#[test]
fn presence_is_told_together_and_not_when_nothing_came_of_it() {
    let mut world = World::new();
    let alice = world.member("alice");
    world.pass(PRESENCE_DELAY);
    assert_eq!(world.inbox(alice), [presence(&["alice"], &[])]);
    assert_eq!(world.hub.poll_timeout(), None);

    let bob = world.member("bob");
    let carol = world.member("carol");
    assert_eq!(world.hub.poll_timeout(), Some(world.now + PRESENCE_DELAY));
    world.pass(PRESENCE_DELAY / 2);
    assert_eq!(world.inbox(alice), []);
    world.pass(PRESENCE_DELAY / 2);
    assert_eq!(world.inbox(alice), [presence(&["bob", "carol"], &[])]);

    // Bob is quickly back; carol has a second session when the first goes.
    world.gone(bob);
    world.gone(carol);
    world.member("bob");
    let second = world.member("carol");
    world.member("carol");
    world.gone(second);
    world.pass(PRESENCE_DELAY);
    assert_eq!(world.inbox(alice), []);

    world.handle(Input::Console(ConsoleCommand::Kick(name("carol"))));
    world.pass(PRESENCE_DELAY);
    assert_eq!(world.inbox(alice), [presence(&[], &["carol"])]);
}

#[test]
fn a_crowd_sends_no_presence() {
    let mut world = World::new();
    let first = world.member("first");
    for number in 0..PRESENCE_USERS {
        world.register(&format!("u{number}"));
    }
    let mut crowd = Vec::new();
    for number in 0..PRESENCE_USERS {
        let session = world.open(&format!("u{number}"));
        world.join(session, None);
        crowd.push(session);
    }
    world.pass(PRESENCE_DELAY);
    world.gone(crowd[0]);
    world.pass(PRESENCE_DELAY);
    assert_eq!(world.inbox(first), [presence(&[], &["u0"])], "500 are not too many");
}

#[test]
fn people_are_listed_by_name_and_not_endlessly() {
    let mut world = World::new();
    let alice = world.member("alice");
    world.pass(Duration::from_secs(60));
    world.member("alice");
    for number in 0..PEOPLE {
        world.member(&format!("u{number:04}"));
    }
    let Reply::People(list) = world.ask(alice, Request::People(People { room: RoomName::lobby() })) else { panic!() };
    assert_eq!((list.people.len(), list.total), (PEOPLE, PEOPLE as u64 + 1));
    assert_eq!(list.people[0].user, name("alice"));
    assert_eq!((list.people[0].since, list.people[0].sessions), (Timestamp(1_000_000), 2));
    assert!(list.people.is_sorted_by_key(|person| person.user));

    world.handle(Input::Console(ConsoleCommand::List));
    assert_eq!(world.console.len(), PEOPLE + 2);
    assert_eq!(world.console[0], format!("{:<32}  2 connections, 1 min  test/1[31m", "alice"));
    assert_eq!(world.console[PEOPLE..], ["... and 1 more", "1001 users, 1002 connections"]);
}

#[test]
fn whois_knows_who_is_away_and_not_who_is_unknown() {
    let mut world = World::new();
    let alice = world.member("alice");
    world.register("admin");
    let ask = |world: &mut World, user: &str| world.ask(alice, Request::Whois(Whois { user: name(user) }));
    let Reply::User(info) = ask(&mut world, "admin") else { panic!() };
    assert_eq!((info.fingerprint, info.admin, info.since, info.sessions), (key(name("admin")), true, None, 0));
    let Reply::User(info) = ask(&mut world, "alice") else { panic!() };
    assert_eq!((info.admin, info.since, info.sessions), (false, Some(Timestamp(1_000_000)), 1));
    assert!(matches!(ask(&mut world, "eve"), Reply::Error(Refused { code: ErrorCode::NotFound, .. })));
}

#[test]
fn unknown_requests_and_the_id_0_are_refused_and_logged_once() {
    let mut world = World::new();
    let alice = world.member("alice");
    for kind in [7, 31, 1 << 40] {
        let reply = world.ask(alice, Request::Unknown(kind));
        assert!(matches!(reply, Reply::Error(Refused { code: ErrorCode::UnknownRequest, hint: Some(_), .. })));
    }
    world.peers.get_mut(&alice).unwrap().next_id = 0;
    let reply = world.ask(alice, Request::People(People { room: RoomName::lobby() }));
    assert!(matches!(reply, Reply::Error(Refused { code: ErrorCode::Malformed, .. })));
    assert_eq!(world.log.len(), 2);
}

#[test]
fn reading_without_end_is_slowed_down() {
    let mut world = World::new();
    let alice = world.member("alice");
    let people = || Request::People(People { room: RoomName::lobby() });
    let refused = (0..3000).find_map(|_| match world.ask(alice, people()) {
        Reply::Error(refused) => Some(refused),
        _ => None,
    });
    let refused = refused.unwrap();
    assert_eq!(refused.code, ErrorCode::RateLimited);
    let (again, bob) = (world.open("alice"), world.member("bob"));
    assert!(matches!(world.ask(again, people()), Reply::Error(_)), "a second session reads as much again");
    assert!(matches!(world.ask(bob, people()), Reply::People(_)));
    world.pass(Duration::from_millis(refused.retry_after_ms.unwrap()));
    assert!(matches!(world.ask(alice, people()), Reply::People(_)));
}

#[test]
fn the_operator_kicks() {
    let mut world = World::new();
    let alice = world.member("alice");
    world.handle(Input::Console(ConsoleCommand::Kick(name("alice"))));
    assert_eq!(world.closed(alice), Some(CloseCode::Kicked));
    world.handle(Input::Console(ConsoleCommand::Kick(name("alice"))));
    world.handle(Input::Console(ConsoleCommand::List));
    let lines =
        ["alice is out: 1 connection closed", "alice is not connected; /list shows who is", "nobody is connected"];
    assert_eq!(world.console, lines);
    assert_eq!(world.log, [LogEvent::Kicked { user: name("alice"), sessions: 1 }]);
    let back = world.open("alice");
    assert_eq!(world.closed(back), None);
}

#[test]
fn with_one_connection_too_many_the_oldest_of_the_user_gives_way() {
    let mut world = World::with(Settings { connections_per_user: 2, ..settings() });
    let bob = world.member("bob");
    let sessions = [(); 4].map(|()| world.member("alice"));
    let closed = sessions.map(|session| world.closed(session));
    assert_eq!(closed, [Some(CloseCode::Kicked), Some(CloseCode::Kicked), None, None]);
    assert_eq!(world.closed(bob), None);
}

#[test]
fn who_goes_on_asking_for_what_is_refused_is_put_out() {
    let mut world = World::new();
    let (alice, bob) = (world.member("alice"), world.member("bob"));
    let unknown = |kind| Request::Unknown(kind);
    for _ in 0..10_000 {
        world.request(alice, unknown(31));
    }
    assert_eq!(world.closed(alice), None);
    for _ in 0..5_000 {
        world.request(alice, unknown(31));
    }
    assert_eq!(world.closed(alice), Some(CloseCode::ProtocolError));
    assert!(matches!(world.ask(bob, Request::People(People { room: RoomName::lobby() })), Reply::People(_)));
}

#[test]
fn only_admins_end_the_server() {
    let mut world = World::new();
    let (alice, admin) = (world.member("alice"), world.member("admin"));
    let end = || Request::Shutdown(crate::proto::message::Shutdown {});
    assert!(matches!(world.ask(alice, end()), Reply::Error(Refused { code: ErrorCode::Forbidden, .. })));
    assert_eq!(world.ask(admin, end()), Reply::Done);
    for session in [alice, admin] {
        let reason = world.peers[&session].closed.clone().unwrap();
        assert_eq!(reason, CloseReason::new(CloseCode::Shutdown, "the server is ending: by admin"));
        assert!(!world.stopped);
        world.gone(session);
    }
    assert!(world.stopped);
}

#[test]
fn the_end_waits_for_what_was_posted() {
    let mut world = World::new();
    let (alice, bob) = (world.member("alice"), world.member("bob"));
    world.post(alice, "last words");
    shutdown(&mut world);
    assert_eq!(world.closed(alice), None);
    world.post(bob, "too late");
    assert_eq!(world.refusals(bob), [ErrorCode::ShuttingDown]);
    let late = world.open("alice");
    assert_eq!(world.closed(late), Some(CloseCode::Shutdown));
    world.commit();
    assert!(matches!(world.inbox(alice).last(), Some(ServerMessage::Reply(_, Reply::Accepted(_)))));
    assert_eq!([world.closed(alice), world.closed(bob)], [Some(CloseCode::Shutdown); 2]);
    shutdown(&mut world);
    for session in [alice, bob, late] {
        world.gone(session);
    }
    assert!(world.stopped);
    assert_eq!(world.hub.poll_timeout(), None);
}

#[test]
fn the_end_does_not_wait_for_ever() {
    let mut world = World::new();
    let alice = world.member("alice");
    world.pass(PRESENCE_DELAY);
    world.post(alice, "slow disk");
    shutdown(&mut world);
    assert_eq!(world.hub.poll_timeout(), Some(world.now + DRAIN));
    world.pass(DRAIN);
    assert_eq!(world.closed(alice), Some(CloseCode::Shutdown));
    world.gone(alice);
    assert!(!world.stopped, "the post still waits for the store");
    world.commit();
    assert!(world.stopped);
}

#[test]
fn the_end_of_a_server_without_anyone_is_immediate() {
    let mut world = World::new();
    world.handle(Input::Console(ConsoleCommand::Shutdown));
    assert!(world.stopped);
    world.handle(Input::Console(ConsoleCommand::List));
    assert!(world.console.is_empty());
}
