//! Sessions that follow rooms, beside what their user reads.

use super::*;
use crate::proto::message::{Join, Membership, RoomList, Rooms, Waiting};

fn at(seq: u64) -> Position {
    Position { incarnation: Incarnation(1), seq: Seq(seq) }
}

fn dev() -> RoomName {
    "#dev".parse().unwrap()
}

fn alone() -> RoomName {
    RoomName::direct("alice".parse().unwrap(), "bob".parse().unwrap()).unwrap()
}

/// A session that follows these, of a user who has read the lobby up to the fifth message.
fn following(rooms: &[RoomName], from: &[(RoomName, Position)]) -> World {
    let mut known = Known::default();
    known.has_read(lobby(), at(5));
    let purpose = Purpose::Follow { rooms: rooms.iter().copied().collect(), from: from.iter().copied().collect() };
    World::with(Settings { known, purpose, ..settings() })
}

fn joins(world: &World) -> Vec<Join> {
    let join = |request: &Request| if let Request::Join(join) = request { Some(join.clone()) } else { None };
    world.requests.iter().filter_map(|(_, request)| join(request)).collect()
}

#[test]
fn a_place_of_its_own_counts_and_what_the_user_has_read_does_not() {
    let mut world = following(&[], &[(lobby(), at(2))]);
    world.run();
    assert_eq!(joins(&world), [Join { room: lobby(), after: Some(at(2)), backlog: false }]);
    let mut world = following(&[], &[]);
    world.run();
    assert_eq!(joins(&world), [Join { room: lobby(), after: None, backlog: false }]);
    // Nor does what he reads meanwhile, or what is read here.
    let mut elsewhere = Known::default();
    elsewhere.has_read(dev(), at(9));
    world.handle(Input::Recalled(elsewhere));
    world.tell(&[ServerMessage::Membership(Membership {
        room: dev(),
        member: true,
        by: "bob".parse().unwrap(),
        reason: None,
    })]);
    assert!(joins(&world).contains(&Join { room: dev(), after: None, backlog: false }));
    let (id, _) = world.take(|request| matches!(request, Request::Join(join) if join.room == lobby()));
    world.tell(&[joined(id, 7)]);
    world.command(Command::Read { room: lobby(), seq: Seq(7) });
    assert_eq!(world.read, []);
}

#[test]
fn it_is_in_the_rooms_that_it_is_to_follow_and_in_no_other() {
    let mut world = following(&[dev(), alone()], &[]);
    world.rooms = vec![lobby(), dev()];
    world.run();
    let rooms: Vec<RoomName> = joins(&world).iter().map(|join| join.room).collect();
    assert_eq!(rooms, [alone(), dev()]);
    let others = RoomName::direct("alice".parse().unwrap(), "carol".parse().unwrap()).unwrap();
    world.tell(&[ServerMessage::Waiting(Waiting { room: others, last: Seq(1) })]);
    assert_eq!(joins(&world).len(), 2);
}

#[test]
fn it_makes_nobody_a_member() {
    let mut world = following(&[dev()], &[]);
    world.run();
    assert_eq!(joins(&world), []);
    assert!(world.events().iter().any(|event| matches!(event, Event::NotEntered { room, .. } if *room == dev())));
}

#[test]
fn who_follows_everything_follows_what_was_said_to_him_alone_before() {
    let mut world = following(&[], &[]);
    world.run();
    let (id, request) = world.take(|request| matches!(request, Request::Rooms(_)));
    assert_eq!(request, Request::Rooms(Rooms { people: false }));
    let info = RoomInfo { last: Seq(3), ..RoomInfo::new(alone()) };
    world.tell(&[ServerMessage::Reply(id, Reply::Rooms(RoomList { rooms: vec![info] }))]);
    assert!(joins(&world).contains(&Join { room: alone(), after: None, backlog: false }));
}
