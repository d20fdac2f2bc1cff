//! What is shown of a room: in order, once, without gaps, whatever happens to connections and servers.

use super::*;
use crate::proto::message::{HistoryEnd, Join, Position, Presence};

fn position(incarnation: u64, seq: u64) -> Position {
    Position { incarnation: Incarnation(incarnation), seq: Seq(seq) }
}

fn part(id: RequestId, seq: u64, what: &str) -> ServerMessage {
    ServerMessage::Part(id, stored(seq, "bob", what))
}

#[test]
fn a_first_visit_gets_the_last_messages_and_then_what_is_said() {
    let mut world = World::welcomed();
    assert!(matches!(world.events().as_slice(), [Event::Online(_)]));
    let (id, request) = world.request();
    assert_eq!(request, Request::Join(Join { room: lobby(), after: None, backlog: false }));
    world.tell(&[part(id, 8, "a"), part(id, 9, "b"), joined(id, 9)]);
    world.tell(&[ServerMessage::Message(stored(10, "alice", "c"))]);
    let arrivals: Vec<(u64, Arrival, bool)> = world
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Message { message, arrival, own, .. } => Some((message.seq.0, *arrival, *own)),
            _ => None,
        })
        .collect();
    assert_eq!(arrivals, [(8, Arrival::Backlog, false), (9, Arrival::Backlog, false), (10, Arrival::Live, true)]);
    assert!(world.events.contains(&Event::Entered { info: RoomInfo::new(lobby()), visit: Visit::First }));
}

#[test]
fn after_a_cut_just_what_was_missed_is_asked_for_with_a_ticket() {
    let mut world = World::in_lobby(5);
    world.tell(&[ServerMessage::Message(stored(6, "bob", "x"))]);
    world.come_back();
    assert_eq!(world.resumed, [false, true]);
    let offline = world.events().into_iter().find_map(|event| match event {
        Event::Offline { failures, .. } => Some(failures),
        _ => None,
    });
    assert_eq!(offline, Some(0));
    let (id, request) = world.request();
    assert_eq!(request, Request::Join(Join { room: lobby(), after: Some(position(1, 6)), backlog: false }));
    world.tell(&[part(id, 7, "y"), joined(id, 7)]);
    assert_eq!(world.shown(), ["7 y"]);
}

#[test]
fn a_long_absence_is_caught_up_with_in_pages_and_what_is_gone_is_counted() {
    let mut world = World::in_lobby(5);
    world.come_back();
    world.events.clear();
    let (id, _) = world.request();
    let page = |id, last, gone| {
        let joined =
            Joined { info: RoomInfo::new(lobby()), caught_up: false, last: Seq(last), gone, withdrawn_after: None };
        ServerMessage::Reply(id, Reply::Joined(joined))
    };
    world.tell(&[part(id, 10, "a"), part(id, 11, "b"), page(id, 11, 4)]);
    let (id, request) = world.request();
    assert_eq!(request, Request::Join(Join { room: lobby(), after: Some(position(1, 11)), backlog: false }));
    world.tell(&[part(id, 12, "c"), joined(id, 12)]);
    assert!(world.events.contains(&Event::Missed { room: lobby(), gone: 4 }));
    assert_eq!(world.shown(), ["10 a", "11 b", "12 c"]);
}

#[test]
fn what_the_server_lost_is_withdrawn_and_its_numbers_are_used_anew() {
    let mut world = World::in_lobby(5);
    for seq in 6..=8 {
        world.tell(&[ServerMessage::Message(stored(seq, "bob", "old"))]);
    }
    world.events.clear();
    world.incarnation = 4;
    world.come_back();
    let (id, request) = world.request();
    assert_eq!(request, Request::Join(Join { room: lobby(), after: Some(position(1, 8)), backlog: false }));
    let answer =
        Joined { info: RoomInfo::new(lobby()), caught_up: true, last: Seq(7), gone: 0, withdrawn_after: Some(Seq(6)) };
    world.tell(&[part(id, 7, "new"), ServerMessage::Reply(id, Reply::Joined(answer))]);
    let withdrawn = world.events.iter().find_map(|event| match event {
        Event::Withdrawn { after, messages, .. } => Some((*after, messages.iter().map(|seen| seen.seq.0).collect())),
        _ => None,
    });
    assert_eq!(withdrawn, Some((Seq(6), vec![7, 8])));
    assert_eq!(world.shown(), ["7 new"]);
    world.tell(&[ServerMessage::Message(stored(8, "bob", "newer"))]);
    assert_eq!(world.shown(), ["8 newer"]);
    // It now belongs to the new incarnation.
    world.come_back();
    assert_eq!(world.request().1, Request::Join(Join { room: lobby(), after: Some(position(4, 8)), backlog: false }));
}

#[test]
fn a_server_that_lost_everything_begins_anew() {
    let mut world = World::in_lobby(5);
    world.come_back();
    let (id, _) = world.request();
    let answer =
        Joined { info: RoomInfo::new(lobby()), caught_up: true, last: Seq(2), gone: 1, withdrawn_after: Some(Seq(0)) };
    world.tell(&[part(id, 2, "x"), ServerMessage::Reply(id, Reply::Joined(answer))]);
    assert_eq!(world.shown(), ["2 x"]);
}

#[test]
fn a_gap_breaks_the_connection_and_is_closed_by_the_next_one() {
    let mut world = World::in_lobby(5);
    world.tell(&[ServerMessage::Message(stored(7, "bob", "y"))]);
    assert_eq!(world.closed_by_session.take().unwrap().code, CloseCode::ProtocolError);
    assert!(world.link.is_none());
    world.come_back();
    let (id, request) = world.request();
    assert_eq!(request, Request::Join(Join { room: lobby(), after: Some(position(1, 5)), backlog: false }));
    world.tell(&[part(id, 6, "x"), part(id, 7, "y"), joined(id, 7)]);
    assert_eq!(world.shown(), ["6 x", "7 y"]);
}

#[test]
fn a_repeated_message_is_shown_once() {
    let mut world = World::in_lobby(5);
    for _ in 0..2 {
        world.tell(&[ServerMessage::Message(stored(6, "bob", "x"))]);
    }
    assert_eq!(world.shown(), ["6 x"]);
    assert!(world.link.is_some());
}

#[test]
fn an_answer_that_does_not_fit_is_refused_and_the_room_begins_anew() {
    for (parts, last) in [(vec![8], 8), (vec![6, 8], 8), (vec![6], 7), (vec![], 4), (vec![6, 6], 6)] {
        let mut world = World::in_lobby(5);
        world.come_back();
        let (id, _) = world.request();
        let mut answer: Vec<ServerMessage> = parts.iter().map(|seq| part(id, *seq, "x")).collect();
        answer.push(joined(id, last));
        world.tell(&answer);
        assert!(world.link.is_none(), "{parts:?} {last}");
        assert!(world.shown().is_empty());
        world.come_back();
        assert_eq!(world.request().1, Request::Join(Join { room: lobby(), after: None, backlog: false }));
    }
}

#[test]
fn half_an_answer_is_not_shown() {
    let mut world = World::welcomed();
    let (id, _) = world.request();
    world.tell(&[part(id, 1, "x")]);
    world.come_back();
    assert!(world.shown().is_empty());
    assert_eq!(world.request().1, Request::Join(Join { room: lobby(), after: None, backlog: false }));
}

#[test]
fn an_endless_answer_ends_the_connection() {
    let mut world = World::welcomed();
    let (id, _) = world.request();
    let long = "x".repeat(100_000);
    for seq in 1..50 {
        if world.link.is_none() {
            return;
        }
        world.tell(&[part(id, seq, &long)]);
    }
    panic!("it takes everything");
}

#[test]
fn what_breaks_the_protocol_ends_the_connection() {
    let presence = || Presence { room: lobby(), came: vec![], left: vec![], changed: vec![] };
    let done = |id| ServerMessage::Reply(id, Reply::Done);
    let end = HistoryEnd { room: lobby(), more: false };
    for message in
        [done(77), ServerMessage::Part(77, stored(1, "bob", "x")), ServerMessage::Reply(2, Reply::HistoryEnd(end))]
    {
        let mut world = World::welcomed();
        assert_eq!(world.requests[0].0, 2);
        world.tell(&[ServerMessage::Presence(presence()), message]);
        assert!(world.link.is_none());
        assert!(world.events.iter().any(|event| matches!(event, Event::Offline { .. })));
    }
}

#[test]
fn a_room_that_is_refused_is_named_and_one_that_is_for_later_is_asked_for_again() {
    let mut world = World::welcomed();
    let (id, _) = world.request();
    world.refuse(id, ErrorCode::RateLimited, Some(3000));
    world.pass(Duration::from_millis(2999));
    assert!(world.requests.is_empty());
    world.pass(Duration::from_millis(1));
    let (id, _) = world.request();
    world.refuse(id, ErrorCode::NotFound, None);
    assert!(matches!(world.events.last(), Some(Event::NotEntered { .. })));
    world.say("x");
    assert!(matches!(world.events.last(), Some(Event::Refused { .. })));
}
