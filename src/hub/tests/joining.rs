//! What a client gets that comes, comes back, or reads back.

use super::*;

/// A lobby with messages "1" to `count` on disk, and someone in it.
fn lobby(count: u32) -> (World, SessionId) {
    lobby_of(settings(), count, |number| number.to_string())
}

fn lobby_of(settings: Settings, count: u32, what: impl Fn(u32) -> String) -> (World, SessionId) {
    let mut world = World::with(settings);
    let session = world.member("talker");
    for number in 1..=count {
        world.say(session, &what(number));
    }
    world.inbox(session);
    world.register("alice");
    (world, session)
}

fn numbers(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn joined(last: u64, gone: u64, withdrawn_after: Option<u64>) -> Joined {
    let withdrawn_after = withdrawn_after.map(Seq);
    Joined { info: RoomInfo::new(RoomName::lobby()), caught_up: true, last: Seq(last), gone, withdrawn_after }
}

#[test]
fn a_first_visit_gets_the_backlog() {
    let (mut world, _) = lobby(25);
    let alice = world.open("alice");
    assert_eq!(world.join(alice, None), joined(25, 0, None));
    assert_eq!(texts(&world.inbox(alice)), numbers(16..=25));

    let mut empty = World::new();
    empty.register("alice");
    let alice = empty.open("alice");
    assert_eq!(empty.join(alice, None), joined(0, 0, None));
}

#[test]
fn who_comes_back_gets_just_what_was_missed() {
    let (mut world, _) = lobby(25);
    let alice = world.open("alice");
    assert_eq!(world.join(alice, Some((1, 20))), joined(25, 0, None));
    assert_eq!(texts(&world.inbox(alice)), numbers(21..=25));
    assert_eq!(world.join(alice, Some((1, 25))), joined(25, 0, None));
    assert!(texts(&world.inbox(alice)).is_empty(), "a second join is harmless");
}

#[test]
fn who_begins_anew_gets_the_backlog_and_what_was_missed() {
    let begin = |limit, backlog, after| {
        let settings = Settings { history_limit: limit, join_backlog: backlog, ..settings() };
        let (mut world, _) = lobby_of(settings, 25, |number| number.to_string());
        let alice = world.open("alice");
        let after = Some(Position { incarnation: Incarnation(1), seq: Seq(after) });
        let join = Join { room: RoomName::lobby(), after, backlog: true };
        let Reply::Joined(Joined { last, gone, withdrawn_after, .. }) = world.ask(alice, Request::Join(join)) else {
            panic!("not let in");
        };
        assert_eq!(last, Seq(25));
        (gone, withdrawn_after, texts(&world.inbox(alice)))
    };
    assert_eq!(begin(100, 10, 25), (0, None, numbers(16..=25)));
    assert_eq!(begin(100, 10, 20), (0, None, numbers(16..=25)));
    assert_eq!(begin(100, 10, 3), (0, None, numbers(4..=25)));
    assert_eq!(begin(100, 0, 20), (0, None, numbers(21..=25)));
    assert_eq!(begin(15, 10, 9), (1, None, numbers(11..=25)));
    // What the client has is less than it thinks.
    assert_eq!(begin(100, 10, 40), (0, Some(Seq(25)), numbers(16..=25)));
    // A server may be told to give less than that.
    assert_eq!(begin(5, 10, 25), (0, None, numbers(21..=25)));
}

#[test]
fn what_left_the_window_is_counted_as_gone() {
    let (mut world, _) = lobby_of(Settings { history_limit: 10, ..settings() }, 25, |number| number.to_string());
    for (after, gone, first) in [(0, 15, 16), (14, 1, 16), (15, 0, 16), (20, 0, 21)] {
        let alice = world.open("alice");
        assert_eq!(world.join(alice, Some((1, after))), joined(25, gone, None), "{after}");
        assert_eq!(texts(&world.inbox(alice)), numbers(first..=25), "{after}");
    }
}

#[test]
fn without_a_window_all_that_was_missed_is_gone() {
    let (mut world, _) = lobby_of(Settings { history_limit: 0, ..settings() }, 5, |number| number.to_string());
    let alice = world.open("alice");
    assert_eq!(world.join(alice, None), joined(5, 0, None));
    assert_eq!(world.join(alice, Some((1, 2))), joined(5, 3, None));
}

#[test]
fn what_was_never_stored_is_withdrawn() {
    // Alice saw 1 to 5 of incarnation 1, of which 4 and 5 did not reach the disk before the server was killed.
    let (mut world, talker) = lobby(3);
    world.post(talker, "4");
    world.post(talker, "5");
    let mut world = world.restart();
    let talker = world.member("talker");
    world.register("alice");
    let ask = |world: &mut World, after| {
        let alice = world.open("alice");
        let joined = world.join(alice, Some(after));
        (joined, texts(&world.inbox(alice)))
    };
    // Nobody said anything since.
    assert_eq!(ask(&mut world, (1, 5)), (joined(3, 0, Some(3)), vec![]));
    assert_eq!(ask(&mut world, (1, 3)), (joined(3, 0, None), vec![]));
    // The numbers are used anew.
    for number in 4..=7 {
        world.say(talker, &format!("{number} again"));
    }
    let again = |range: std::ops::RangeInclusive<u32>| range.map(|n| format!("{n} again")).collect::<Vec<_>>();
    assert_eq!(ask(&mut world, (1, 5)), (joined(7, 0, Some(3)), again(4..=7)));
    assert_eq!(ask(&mut world, (1, 3)), (joined(7, 0, None), again(4..=7)));
    assert_eq!(ask(&mut world, (1, 2)), (joined(7, 0, None), [numbers(3..=3), again(4..=7)].concat()));
    assert_eq!(ask(&mut world, (2, 5)), (joined(7, 0, None), again(6..=7)));

    // Two starts later the same holds, whether something was said in between or not.
    let mut world = world.restart().restart();
    world.register("alice");
    assert_eq!(ask(&mut world, (1, 5)), (joined(7, 0, Some(3)), again(4..=7)));
    assert_eq!(ask(&mut world, (2, 8)), (joined(7, 0, Some(7)), vec![]));
    assert_eq!(ask(&mut world, (3, 7)), (joined(7, 0, None), vec![]));
}

#[test]
fn a_position_in_the_future_is_withdrawn() {
    let (mut world, _) = lobby(5);
    let alice = world.open("alice");
    assert_eq!(world.join(alice, Some((1, 9))), joined(5, 0, Some(5)));
    assert_eq!(world.join(alice, Some((1, u64::MAX))), joined(5, 0, Some(5)));
    world.inbox(alice);
    // An incarnation that this database has not had: it is older than what the client saw.
    assert_eq!(world.join(alice, Some((u64::MAX, 3))), joined(5, 0, Some(0)));
    assert_eq!(texts(&world.inbox(alice)), numbers(1..=5));
}

#[test]
fn a_long_absence_is_made_up_for_in_pages() {
    let long = "x".repeat(8000);
    let (mut world, talker) = lobby_of(settings(), 80, |number| format!("{number} {long}"));
    let alice = world.open("alice");
    let mut after = 0;
    let mut pages = 0;
    loop {
        let joined = world.join(alice, Some((1, after)));
        assert_eq!(joined.gone, 0);
        pages += 1;
        let inbox = world.inbox(alice);
        let bytes: usize = texts(&inbox).iter().map(String::len).sum();
        assert!(bytes > 0 && bytes <= PAGE_BYTES);
        assert_eq!(joined.last.0 - after, texts(&inbox).len() as u64);
        after = joined.last.0;
        if joined.caught_up {
            break;
        }
        // What is said meanwhile does not come as an event, but with the next page.
        world.say(talker, "meanwhile");
        assert_eq!(world.inbox(alice), []);
    }
    assert_eq!((pages, after), (3, 82));
    world.say(talker, "here you are");
    assert_eq!(texts(&world.inbox(alice)), ["here you are"]);
}

#[test]
fn history_is_read_backwards() {
    let (mut world, talker) = lobby(30);
    let mut read = |before: Option<u64>, limit| {
        let request = Request::History(History { room: RoomName::lobby(), before: before.map(Seq), limit });
        let Reply::HistoryEnd(end) = world.ask(talker, request) else { panic!() };
        (texts(&world.inbox(talker)), end.more)
    };
    assert_eq!(read(None, 5), (numbers(26..=30), true));
    assert_eq!(read(Some(26), 5), (numbers(21..=25), true));
    assert_eq!(read(Some(4), 5), (numbers(1..=3), false));
    assert_eq!(read(Some(6), 5), (numbers(1..=5), false));
    assert_eq!(read(Some(1), 5), (vec![], false));
    assert_eq!(read(Some(0), 5), (vec![], false));
    assert_eq!(read(Some(u64::MAX), u32::MAX), (numbers(1..=30), false));
    assert_eq!(read(None, 0), (vec![], true));
}

fn history(world: &mut World, session: SessionId, before: Option<u64>, limit: u32) -> Reply {
    let room = RoomName::lobby();
    world.ask(session, Request::History(History { room, before: before.map(Seq), limit }))
}

#[test]
fn history_goes_back_beyond_what_is_in_memory() {
    let (mut world, talker) = lobby_of(Settings { history_limit: 10, ..settings() }, 25, |number| number.to_string());
    let mut read = |before: Option<u64>, limit| {
        let Reply::HistoryEnd(end) = history(&mut world, talker, before, limit) else { panic!() };
        (texts(&world.inbox(talker)), end.more)
    };
    assert_eq!(read(None, 100), (numbers(16..=25), true));
    assert_eq!(read(Some(16), 100), (numbers(6..=15), true));
    assert_eq!(read(Some(6), 100), (numbers(1..=5), false));
    assert_eq!(read(Some(12), 4), (numbers(8..=11), true));
}

#[test]
fn a_reading_waits_for_what_is_written_before_it_and_is_refused_while_that_fails() {
    let (mut world, talker) = lobby_of(Settings { history_limit: 1, ..settings() }, 5, |number| number.to_string());
    for what in ["6", "7"] {
        world.post(talker, what);
    }
    world.inbox(talker);
    world.handle(Input::Store(StoreEvent::Failing { text: "disk full".to_owned() }));
    let room = RoomName::lobby();
    let id = world.request(talker, Request::History(History { room, before: Some(Seq(7)), limit: 1 }));
    // What is not on disk is not found.
    let Some(StoreCommand::Read { token, .. }) = world.disk.waiting.pop_back() else { panic!() };
    world.handle(Input::Store(StoreEvent::Page { token, records: Vec::new(), more: false }));
    let inbox = world.inbox(talker);
    let refused = |message: &ServerMessage| matches!(message, ServerMessage::Reply(answered, Reply::Error(refused)) if *answered == id && refused.code == ErrorCode::StorageUnavailable);
    assert!(inbox.iter().any(refused), "{inbox:?}");
    world.handle(Input::Store(StoreEvent::Recovered));
    assert!(matches!(history(&mut world, talker, Some(7), 1), Reply::HistoryEnd(_)));
    assert_eq!(texts(&world.inbox(talker)), ["6"]);
}

#[test]
fn nobody_makes_the_store_read_without_end() {
    let (mut world, talker) = lobby_of(Settings { history_limit: 1, ..settings() }, 5, |number| number.to_string());
    let room = RoomName::lobby();
    for _ in 0..8 {
        world.request(talker, Request::History(History { room, before: Some(Seq(3)), limit: 1 }));
    }
    assert_eq!(world.refusals(talker), []);
    world.request(talker, Request::History(History { room, before: Some(Seq(3)), limit: 1 }));
    assert_eq!(world.refusals(talker), [ErrorCode::RateLimited]);
    world.commit();
    assert!(matches!(history(&mut world, talker, Some(3), 1), Reply::HistoryEnd(_)));
}

#[test]
fn a_page_of_history_is_the_latest_that_fits() {
    let long = "x".repeat(8000);
    let (mut world, talker) = lobby_of(settings(), 60, |_| long.clone());
    let request = Request::History(History { room: RoomName::lobby(), before: None, limit: 100 });
    let Reply::HistoryEnd(end) = world.ask(talker, request) else { panic!() };
    assert!(end.more);
    let seqs: Vec<u64> = world
        .inbox(talker)
        .iter()
        .filter_map(|message| if let ServerMessage::Part(_, stored) = message { Some(stored.seq.0) } else { None })
        .collect();
    assert_eq!(seqs, (29..=60).collect::<Vec<_>>());
}

#[test]
fn history_outlives_the_server() {
    let (world, _) = lobby(30);
    let mut world = world.restart();
    let alice = world.member("alice");
    let request = Request::History(History { room: RoomName::lobby(), before: None, limit: 3 });
    world.ask(alice, request);
    assert_eq!(texts(&world.inbox(alice)), numbers(28..=30));
}

#[test]
fn a_damaged_window_is_used_as_far_as_it_goes() {
    let (world, _) = lobby(5);
    let mut records = world.disk.records;
    records.remove(2);
    let room = RestoredRoom { last: Seq(5), window: records, ..RestoredRoom::new(RoomName::lobby()) };
    let hub = Hub::new(settings(), Restored { incarnation: Incarnation(2), rooms: vec![room], ..Restored::default() });
    hub.check_invariants().unwrap();
    assert_eq!(hub.rooms[&RoomName::lobby()].window.len(), 2);
}

#[test]
fn rooms_that_are_not_there_are_not_found() {
    let (mut world, talker) = lobby(0);
    let room = "#nowhere".parse().unwrap();
    world.request(talker, Request::Join(Join { room, after: None, backlog: false }));
    world.request(talker, Request::History(History { room, before: None, limit: 1 }));
    world.request(talker, Request::People(People { room }));
    let message = world.message_id();
    world.request(
        talker,
        Request::Post(Post { room, message, body: text("x"), retry: false, after: None, urgent: false }),
    );
    assert_eq!(world.refusals(talker), [ErrorCode::NotFound; 4]);
}
