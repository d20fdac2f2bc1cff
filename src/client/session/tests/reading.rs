//! What was read, from one session to the next.

use super::*;
use crate::proto::message::{Join, Leave, Membership, RoomList, Rooms};

fn at(incarnation: u64, seq: u64) -> Position {
    Position { incarnation: Incarnation(incarnation), seq: Seq(seq) }
}

fn join(after: Option<Position>, backlog: bool) -> Request {
    Request::Join(Join { room: lobby(), after, backlog })
}

fn part(id: RequestId, seq: u64) -> ServerMessage {
    ServerMessage::Part(id, stored(seq, "bob", "x"))
}

fn answer(id: RequestId, last: u64, gone: u64, withdrawn_after: Option<u64>) -> ServerMessage {
    let withdrawn_after = withdrawn_after.map(Seq);
    let joined = Joined { info: RoomInfo::new(lobby()), caught_up: true, last: Seq(last), gone, withdrawn_after };
    ServerMessage::Reply(id, Reply::Joined(joined))
}

impl World {
    /// A new session of a user who has read the lobby up to here, and asks to join it.
    fn having_read(position: Position) -> Self {
        let mut known = Known::default();
        known.has_read(lobby(), position);
        let mut world = Self::with(Settings { known, ..settings() });
        world.run();
        world
    }

    fn arrivals(&mut self) -> Vec<(u64, Arrival)> {
        let events = self.events();
        let arrivals = events.iter().filter_map(|event| match event {
            Event::Message { message, arrival, .. } => Some((message.seq.0, *arrival)),
            _ => None,
        });
        arrivals.collect()
    }
}

#[test]
fn a_session_goes_on_where_an_earlier_one_was_read() {
    let mut world = World::having_read(at(1, 5));
    let (id, request) = world.request();
    assert_eq!(request, join(Some(at(1, 5)), true));
    // The last ones that were said, and those that were missed.
    world.tell(&[part(id, 4), part(id, 5), part(id, 6), part(id, 7), answer(id, 7, 0, None)]);
    assert!(matches!(world.events.last(), Some(Event::Entered { visit: Visit::Return, .. })));
    let (old, new) = (Arrival::Backlog, Arrival::Missed);
    assert_eq!(world.arrivals(), [(4, old), (5, old), (6, new), (7, new)]);
    // What was shown is not read yet, and not asked for again.
    world.come_back();
    let (id, request) = world.request();
    assert_eq!(request, join(Some(at(1, 7)), false));
    world.tell(&[part(id, 8), answer(id, 8, 0, None)]);
    assert!(matches!(world.events.last(), Some(Event::Entered { visit: Visit::Again, .. })));
    assert_eq!((world.arrivals(), world.read), (vec![(8, new)], vec![]));
}

#[test]
fn what_was_missed_and_is_further_back_than_the_server_goes_is_counted() {
    let mut world = World::having_read(at(1, 5));
    let (id, _) = world.request();
    world.tell(&[part(id, 9), part(id, 10), answer(id, 10, 3, None)]);
    assert!(world.events.contains(&Event::Missed { room: lobby(), gone: 3 }));
    assert_eq!(world.arrivals(), [(9, Arrival::Missed), (10, Arrival::Missed)]);
}

#[test]
fn what_is_read_is_remembered_once_and_no_further_than_it_was_shown() {
    let mut world = World::in_lobby(5);
    world.tell(&[ServerMessage::Message(stored(6, "bob", "x"))]);
    for seq in [6, 6, 5, 99] {
        world.command(Command::Read { room: lobby(), seq: Seq(seq) });
    }
    world.command(Command::Read { room: "#nowhere".parse().unwrap(), seq: Seq(1) });
    assert_eq!(world.read, [(lobby(), Some(at(1, 6)))]);
}

#[test]
fn what_the_server_lost_is_not_read_any_more() {
    // Since an earlier session, and since a connection of this one.
    for mut world in [World::having_read(at(1, 8)), {
        let mut world = World::in_lobby(8);
        world.command(Command::Read { room: lobby(), seq: Seq(8) });
        world.read.clear();
        world
    }] {
        world.requests.clear();
        world.incarnation = 4;
        world.come_back();
        let (id, _) = world.request();
        world.tell(&[part(id, 7), answer(id, 7, 0, Some(6))]);
        assert_eq!(world.read, [(lobby(), None), (lobby(), Some(at(4, 6)))]);
        let withdrawn = |event: &Event| matches!(event, Event::Withdrawn { after: Seq(6), .. });
        assert!(world.events.iter().any(withdrawn));
        assert_eq!(world.arrivals(), [(7, Arrival::Missed)]);
    }
}

#[test]
fn an_answer_that_does_not_fit_to_what_was_read_begins_anew() {
    // A gap after what was read, or among what is older; something older beside what is gone; something missing at the end.
    for (parts, last, gone) in [(vec![7], 7, 0), (vec![3, 5, 6], 6, 0), (vec![5, 6], 6, 1), (vec![4, 5], 6, 0)] {
        let mut world = World::having_read(at(1, 5));
        let (id, _) = world.request();
        let messages = parts.iter().map(|seq| part(id, *seq));
        world.tell(&messages.chain([answer(id, last, gone, None)]).collect::<Vec<_>>());
        assert!(world.link.is_none(), "{parts:?} {last}");
        assert_eq!((world.arrivals(), &world.read[..]), (vec![], &[(lobby(), None)][..]));
        world.come_back();
        assert_eq!(world.request().1, join(None, false));
    }
}

#[test]
fn who_leaves_a_room_comes_anew_and_goes_on_in_a_direct_one() {
    let dev: RoomName = "#dev".parse().unwrap();
    let direct = RoomName::direct("alice".parse().unwrap(), "bob".parse().unwrap()).unwrap();
    let by_himself = |room| Command::Ask(Ask::Do(Request::Leave(Leave { room })));
    for (room, put_out, forgotten) in [(dev, false, true), (dev, true, true), (direct, false, false)] {
        let mut known = Known::default();
        known.has_read(room, at(1, 5));
        let mut world = World::with(Settings { known, ..settings() });
        world.run();
        world.requests.retain(|(_, request)| !matches!(request, Request::Rooms(_)));
        world.let_in(0);
        world.command(Command::Join { room });
        let (id, request) = world.request();
        assert_eq!(request, Request::Join(Join { room, after: Some(at(1, 5)), backlog: true }));
        let info = RoomInfo::new(room);
        let entered = Joined { info, caught_up: true, last: Seq(5), gone: 0, withdrawn_after: None };
        world.tell(&[ServerMessage::Reply(id, Reply::Joined(entered))]);
        world.requests.clear();
        if put_out {
            let by = "bob".parse().unwrap();
            world.tell(&[ServerMessage::Membership(Membership { room, member: false, by, reason: None })]);
        } else {
            world.command(by_himself(room));
            let (id, _) = world.take(|request| matches!(request, Request::Leave(_)));
            world.tell(&[ServerMessage::Reply(id, Reply::Done)]);
        }
        assert_eq!(world.read, if forgotten { vec![(room, None)] } else { vec![] });
    }
}

#[test]
fn what_came_to_an_earlier_client_and_was_not_read_is_fetched() {
    let direct = |user: &str| RoomName::direct("alice".parse().unwrap(), user.parse().unwrap()).unwrap();
    let mut known = Known::default();
    for user in ["bob", "carol"] {
        known.has_read(direct(user), at(1, 5));
    }
    let mut world = World::with(Settings { known, ..settings() });
    world.run();
    let (id, _) = world.take(|request| *request == Request::Rooms(Rooms { people: false }));
    world.let_in(0);
    let info = |room, last| RoomInfo { last: Seq(last), ..RoomInfo::new(room) };
    // Of the last one nothing is known here; and one is others'.
    let others = RoomName::direct("bob".parse().unwrap(), "carol".parse().unwrap()).unwrap();
    let rooms = vec![info(direct("bob"), 6), info(direct("carol"), 5), info(direct("dave"), 3), info(others, 9)];
    world.tell(&[ServerMessage::Reply(id, Reply::Rooms(RoomList { rooms }))]);
    let (_, request) = world.request();
    assert_eq!(request, Request::Join(Join { room: direct("bob"), after: Some(at(1, 5)), backlog: true }));
}

#[test]
fn a_direct_room_in_which_nothing_was_read_is_remembered() {
    let room = RoomName::direct("alice".parse().unwrap(), "bob".parse().unwrap()).unwrap();
    for (parts, last, position) in [(vec![4, 5], 5, 3), (vec![], 7, 7)] {
        let mut world = World::in_lobby(0);
        world.command(Command::Join { room });
        let (id, _) = world.request();
        let part = |seq| ServerMessage::Part(id, Stored { room, ..stored(seq, "bob", "x") });
        let entered =
            Joined { info: RoomInfo::new(room), caught_up: true, last: Seq(last), gone: 0, withdrawn_after: None };
        let answer = [ServerMessage::Reply(id, Reply::Joined(entered))];
        world.tell(&parts.into_iter().map(part).chain(answer).collect::<Vec<_>>());
        assert_eq!(world.read, [(room, Some(at(1, position)))]);
    }
}
