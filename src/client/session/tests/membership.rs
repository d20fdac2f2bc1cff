//! Being in several rooms: coming into them, by the user's will or another's, and leaving them.

use super::*;
use crate::proto::message::{Create, Join, Kick, Leave, Membership, Position, RoomList, Rooms};

fn dev() -> RoomName {
    "#dev".parse().unwrap()
}

fn joined_dev(id: RequestId, last: u64) -> ServerMessage {
    let info = RoomInfo { topic: "work".to_owned(), ..RoomInfo::new(dev()) };
    let joined = Joined { info, caught_up: true, last: Seq(last), gone: 0, withdrawn_after: None };
    ServerMessage::Reply(id, Reply::Joined(joined))
}

fn done(id: RequestId) -> ServerMessage {
    ServerMessage::Reply(id, Reply::Done)
}

fn in_dev(seq: u64, what: &str) -> Stored {
    Stored { room: dev(), ..stored(seq, "bob", what) }
}

fn membership(member: bool) -> ServerMessage {
    ServerMessage::Membership(Membership { room: dev(), member, by: "bob".parse().unwrap(), reason: None })
}

/// A session that is in the lobby and in #dev.
fn in_both() -> World {
    let mut world = World::in_lobby(0);
    world.command(Command::Join { room: dev() });
    let (id, request) = world.request();
    assert_eq!(request, Request::Join(Join { room: dev(), after: None, backlog: false }));
    world.tell(&[joined_dev(id, 0)]);
    assert!(matches!(&world.events()[..], [Event::Entered { info, visit: Visit::First }] if info.topic == "work"));
    world
}

#[test]
fn messages_of_each_room_come_and_go_by_themselves() {
    let mut world = in_both();
    world.tell(&[ServerMessage::Message(in_dev(1, "there")), ServerMessage::Message(stored(1, "bob", "here"))]);
    assert_eq!(world.shown(), ["1 there", "1 here"]);
    world.command(Command::Post { room: dev(), body: text("to dev"), urgent: false });
    let (_, request) = world.request();
    assert!(matches!(request, Request::Post(post) if post.room == dev()));
}

#[test]
fn rooms_are_joined_again_after_a_cut() {
    let mut world = in_both();
    world.rooms.push(dev());
    world.come_back();
    let rooms: Vec<_> = world.requests.iter().map(|(_, request)| request.clone()).collect();
    let after = |room| {
        Request::Join(Join { room, after: Some(Position { incarnation: Incarnation(1), seq: Seq(0) }), backlog: false })
    };
    assert_eq!(rooms, [after(lobby()), after(dev())]);
}

#[test]
fn who_was_put_out_in_his_absence_does_not_join_again() {
    let mut world = in_both();
    world.cut();
    world.command(Command::Post { room: dev(), body: text("too late"), urgent: false });
    world.events();
    world.come_back();
    assert!(matches!(world.request().1, Request::Join(Join { room, .. }) if room == lobby()));
    let events = world.events();
    let is_told = |event: &Event| matches!(event, Event::NotEntered { room, .. } if *room == dev());
    assert!(events.iter().any(is_told), "{events:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Refused { .. })), "{events:?}");
}

#[test]
fn a_room_that_was_made_is_joined() {
    let mut world = World::in_lobby(0);
    world.command(Command::Ask(Ask::Create { room: dev(), private: false }));
    let (id, _) = world.request();
    world.tell(&[done(id)]);
    let (_, request) = world.request();
    assert_eq!(request, Request::Join(Join { room: dev(), after: None, backlog: false }));
}

#[test]
fn who_is_brought_in_joins_and_who_is_put_out_hears_nothing_more() {
    let mut world = World::in_lobby(0);
    world.tell(&[membership(true)]);
    let (id, _) = world.request();
    world.tell(&[joined_dev(id, 0)]);
    // The first is under way when it happens, the second waits for its answer.
    world.command(Command::Post { room: dev(), body: text("perhaps stored"), urgent: false });
    world.command(Command::Post { room: dev(), body: text("too late"), urgent: false });
    world.request();
    world.events();
    world.tell(&[membership(false), ServerMessage::Message(in_dev(1, "behind his back"))]);
    let events = world.events();
    let [Event::Undelivered { body: first, .. }, Event::Refused { body: second, .. }, Event::Membership(_)] =
        &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((first.text(), second.text()), ("perhaps stored", "too late"));
    world.come_back();
    assert!(matches!(world.request().1, Request::Join(Join { room, .. }) if room == lobby()));
}

#[test]
fn who_leaves_is_told_when_it_is_done() {
    let mut world = in_both();
    world.command(Command::Ask(Ask::Do(Request::Leave(Leave { room: dev() }))));
    let (id, _) = world.request();
    assert!(world.events().is_empty());
    world.tell(&[done(id)]);
    assert!(matches!(&world.events()[..], [Event::Answered { .. }, Event::Left { room }] if *room == dev()));
    world.tell(&[ServerMessage::Message(in_dev(1, "not for him"))]);
    assert!(world.shown().is_empty());
}

#[test]
fn what_was_said_before_leaving_is_said_before_also_where_one_is_not_in_yet() {
    let mut world = World::in_lobby(0);
    let say = || Command::Post { room: dev(), body: text("on my way"), urgent: false };
    let leave = || Command::Ask(Ask::Do(Request::Leave(Leave { room: dev() })));
    for let_in in [true, false] {
        for command in [Command::Join { room: dev() }, say(), leave()] {
            world.command(command);
        }
        let (id, request) = world.request();
        assert!(matches!(request, Request::Join(_)), "{request:?}");
        if let_in {
            world.tell(&[joined_dev(id, 0)]);
            let post = world.posts().remove(0);
            assert_eq!(post.1, "on my way");
            world.accept(post.0, 1);
        } else {
            world.refuse(id, ErrorCode::Forbidden, None);
        }
        let (id, request) = world.request();
        assert!(matches!(request, Request::Leave(_)), "{request:?}");
        world.tell(&[done(id)]);
    }
}

#[test]
fn what_is_said_in_a_room_that_is_being_made_is_said_when_it_is_made() {
    let create = Ask::Create { room: dev(), private: false };
    let say = || Command::Post { room: dev(), body: text("the first"), urgent: false };
    // Before the first connection, and later.
    for early in [true, false] {
        for made in [true, false] {
            let mut world = if early { World::with(settings()) } else { World::in_lobby(0) };
            world.command(Command::Ask(create.clone()));
            world.command(say());
            if early {
                world.pass(Duration::from_secs(1));
            }
            let (id, _) = world.take(|request| matches!(request, Request::Create(_)));
            world.requests.clear();
            world.events();
            if !made {
                world.refuse(id, ErrorCode::Conflict, None);
                let events = world.events();
                let [Event::Answered { answer: Err(_), .. }, Event::Refused { body, .. }, Event::NotEntered { .. }] =
                    &events[..]
                else {
                    panic!("{events:?}");
                };
                assert_eq!(body.text(), "the first");
                continue;
            }
            world.tell(&[done(id)]);
            let (id, request) = world.request();
            assert!(matches!(request, Request::Join(Join { room, .. }) if room == dev()), "{request:?}");
            world.tell(&[joined_dev(id, 0)]);
            assert_eq!(world.posts().remove(0).1, "the first");
        }
    }
}

#[test]
fn what_is_meant_for_a_private_room_is_not_said_in_an_open_one_of_its_name() {
    let mut world = in_both();
    world.command(Command::Ask(Ask::Create { room: dev(), private: true }));
    let (id, _) = world.take(|request| matches!(request, Request::Create(_)));
    let say = |what| Command::Post { room: dev(), body: text(what), urgent: false };
    world.command(say("a secret"));
    world.refuse(id, ErrorCode::Conflict, None);
    assert!(world.posts().is_empty());
    world.command(say("no secret"));
    assert_eq!(world.posts().remove(0).1, "no secret");
}

#[test]
fn a_room_that_was_refused_is_entered_once_the_user_is_in_it() {
    let create = |world: &mut World| {
        world.command(Command::Ask(Ask::Create { room: dev(), private: false }));
        let (id, _) = world.request();
        world.tell(&[done(id)]);
    };
    let invite = |world: &mut World| world.tell(&[membership(true)]);
    for bring_in in [&create as &dyn Fn(&mut World), &invite] {
        let mut world = World::in_lobby(0);
        world.command(Command::Join { room: dev() });
        let (id, _) = world.request();
        world.refuse(id, ErrorCode::NotFound, None);
        bring_in(&mut world);
        let (id, request) = world.request();
        assert!(matches!(request, Request::Join(Join { room, .. }) if room == dev()), "{request:?}");
        world.tell(&[joined_dev(id, 0)]);
        assert!(world.events().iter().any(|event| matches!(event, Event::Entered { info, .. } if info.room == dev())));
    }
}

#[test]
fn of_two_rooms_of_one_name_the_first_is_made() {
    let mut world = World::with(settings());
    for private in [true, false] {
        world.command(Command::Ask(Ask::Create { room: dev(), private }));
    }
    world.pass(Duration::from_secs(1));
    let (first, request) = world.take(|request| matches!(request, Request::Create(_)));
    assert!(matches!(request, Request::Create(Create { roster: Some(_), .. })), "{request:?}");
    assert!(!world.requests.iter().any(|(_, request)| matches!(request, Request::Create(_))));
    world.tell(&[done(first)]);
    let (_, request) = world.take(|request| matches!(request, Request::Create(_)));
    assert!(matches!(request, Request::Create(Create { roster: None, .. })), "{request:?}");
}

#[test]
fn an_answer_to_an_earlier_stay_is_ignored() {
    let mut world = World::in_lobby(0);
    world.command(Command::Join { room: dev() });
    let (first, _) = world.request();
    world.tell(&[membership(false)]);
    world.command(Command::Join { room: dev() });
    let (second, _) = world.request();
    world.events();
    world.tell(&[ServerMessage::Part(first, in_dev(1, "old")), joined_dev(first, 1)]);
    assert!(world.events().is_empty());
    world.tell(&[ServerMessage::Part(second, in_dev(2, "new")), joined_dev(second, 2)]);
    assert_eq!(world.shown(), ["2 new"]);
}

#[test]
fn there_is_an_end_of_rooms() {
    let mut world = World::in_lobby(0);
    for number in 0..70 {
        world.command(Command::Join { room: format!("#room-{number}").parse().unwrap() });
    }
    let refused = world.events().into_iter().filter(|event| matches!(event, Event::NotEntered { .. })).count();
    assert_eq!((world.requests.len(), refused), (63, 7));
}

#[test]
fn what_is_decided_is_asked_once_and_what_is_asked_again_and_again() {
    let mut world = World::in_lobby(0);
    let kick =
        Request::Kick(Box::new(Kick { room: lobby(), user: "bob".parse().unwrap(), reason: None, roster: None }));
    world.command(Command::Ask(Ask::Do(kick)));
    world.command(Command::Ask(Ask::Rooms { people: true }));
    world.requests.clear();
    world.cut();
    assert!(matches!(&world.events()[0], Event::Answered { ask: Ask::Do(_), answer: Err(_) }));
    world.come_back();
    let (id, _) = world.requests.remove(0);
    world.tell(&[joined(id, 0)]);
    world.events();
    let (id, request) = world.request();
    assert_eq!(request, Request::Rooms(Rooms { people: true }));
    world.tell(&[ServerMessage::Reply(id, Reply::Rooms(RoomList { rooms: Vec::new() }))]);
    assert!(matches!(&world.events()[..], [Event::Answered { answer: Ok(Answer::Rooms(_)), .. }]));
}

fn in_dev_alone(room: RoomName) -> World {
    World::with(Settings { room, purpose: Purpose::Speak, ..settings() })
}

#[test]
fn a_session_of_one_room_is_in_no_other() {
    let mut world = in_dev_alone(dev());
    world.rooms = vec![lobby(), dev()];
    world.run();
    let (id, request) = world.request();
    // From the end: it takes nothing of what was said.
    let after = Some(Position { incarnation: Incarnation(1), seq: Seq(u64::MAX) });
    assert_eq!(request, Request::Join(Join { room: dev(), after, backlog: false }));
    let info = RoomInfo::new(dev());
    let entered = Joined { info, caught_up: true, last: Seq(7), gone: 0, withdrawn_after: Some(Seq(7)) };
    world.tell(&[ServerMessage::Reply(id, Reply::Joined(entered)), ServerMessage::Message(in_dev(8, "to others"))]);
    assert!(matches!(&world.events()[..], [Event::Online(_), Event::Entered { .. }]));
    let ops = "#ops".parse().unwrap();
    world.tell(&[ServerMessage::Membership(Membership {
        room: ops,
        member: true,
        by: "bob".parse().unwrap(),
        reason: None,
    })]);
    let direct = RoomName::direct("alice".parse().unwrap(), "bob".parse().unwrap()).unwrap();
    world.tell(&[ServerMessage::Waiting(crate::proto::message::Waiting { room: direct, last: Seq(1) })]);
    assert_eq!(world.requests, []);
    // What it missed when it comes back it does without, too.
    world.come_back();
    let (id, request) = world.request();
    let after = Some(Position { incarnation: Incarnation(1), seq: Seq(8) });
    assert_eq!(request, Request::Join(Join { room: dev(), after, backlog: false }));
    world.tell(&[ServerMessage::Part(id, in_dev(9, "x")), joined_dev(id, 9)]);
    assert_eq!(world.shown(), Vec::<String>::new());
}

#[test]
fn a_session_of_one_room_makes_nobody_a_member() {
    let mut world = in_dev_alone(dev());
    world.run();
    assert_eq!(world.requests, []);
    let is_told = |event: &Event| matches!(event, Event::NotEntered { room, .. } if *room == dev());
    assert!(world.events().iter().any(is_told));
    world.command(Command::Post { room: dev(), body: text("hello"), urgent: false });
    let refused =
        |event: &Event| matches!(event, Event::Refused { refused, .. } if refused.code == ErrorCode::Forbidden);
    assert!(world.events().iter().any(refused));
}

#[test]
fn a_session_of_one_direct_room_tells_nothing_of_what_came_there() {
    let direct = RoomName::direct("alice".parse().unwrap(), "bob".parse().unwrap()).unwrap();
    for purpose in [Purpose::Chat, Purpose::Speak] {
        let mut world = World::with(Settings { room: direct, purpose: purpose.clone(), ..settings() });
        world.rooms.clear();
        world.run();
        let (id, _) = world.take(|request| matches!(request, Request::Join(join) if join.room == direct));
        let message = Stored { room: direct, ..stored(1, "bob", "not even sealed") };
        let info = RoomInfo::new(direct);
        let entered = Joined { info, caught_up: true, last: Seq(1), gone: 0, withdrawn_after: None };
        world.tell(&[ServerMessage::Part(id, message), ServerMessage::Reply(id, Reply::Joined(entered))]);
        assert_eq!(
            world.requests.iter().any(|(_, request)| matches!(request, Request::Seen(_))),
            purpose == Purpose::Chat
        );
    }
}
