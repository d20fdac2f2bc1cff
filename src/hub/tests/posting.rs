//! From a post to its acknowledgement, with all that can come in between.

use super::*;

#[test]
fn everyone_gets_it_at_once_and_the_sender_an_answer_after_the_commit() {
    let mut world = World::new();
    let (a, b, bob) = (world.member("alice"), world.member("alice"), world.member("bob"));
    let message = world.message_id();
    let id = world.post_as(a, "hello", message, false);
    let stored = Stored {
        room: RoomName::lobby(),
        seq: Seq(1),
        time: world.wall,
        sender: name("alice"),
        message,
        body: Some(text("hello")),
    };
    for session in [a, b, bob] {
        assert_eq!(world.inbox(session), [ServerMessage::Message(stored.clone())]);
    }
    let [StoreCommand::Append { record, .. }] = world.disk.waiting.make_contiguous() else { panic!() };
    assert_eq!((record.seq, Body::from_cbor(&record.body)), (Seq(1), Ok(text("hello"))));
    world.commit();
    let accepted = Accepted { seq: Seq(1), time: world.wall };
    assert_eq!(world.inbox(a), [ServerMessage::Reply(id, Reply::Accepted(accepted))]);
    assert_eq!(world.inbox(bob), []);
}

#[test]
fn texts_that_make_no_sense_are_refused() {
    let mut world = World::with(Settings { message_bytes: 10, ..settings() });
    let alice = world.member("alice");
    for (what, code) in [
        ("", ErrorCode::Malformed),
        (" \t\n\u{3000}", ErrorCode::Malformed),
        ("a\0b", ErrorCode::Malformed),
        ("12345678901", ErrorCode::TooLarge),
        ("ääääää", ErrorCode::TooLarge),
    ] {
        world.post(alice, what);
        assert_eq!(world.refusals(alice), [code], "{what:?}");
    }
    world.post(alice, "1234567890");
    assert_eq!(world.refusals(alice), []);
}

#[test]
fn only_who_is_in_a_room_talks_in_it() {
    let mut world = World::new();
    world.register("alice");
    let alice = world.open("alice");
    world.post(alice, "hello");
    assert_eq!(world.refusals(alice), [ErrorCode::Forbidden]);
}

#[test]
fn a_user_has_one_rate_over_all_sessions() {
    let mut world = World::new();
    let (a, b) = (world.member("alice"), world.member("alice"));
    for number in 0..20 {
        world.post(if number % 2 == 0 { a } else { b }, "x");
    }
    world.commit();
    world.inbox(a);
    world.inbox(b);
    let id = world.post(b, "one too many");
    let inbox = world.inbox(b);
    let [ServerMessage::Reply(answered, Reply::Error(refused))] = &inbox[..] else { panic!("{inbox:?}") };
    assert_eq!((*answered, refused.code, refused.retry_after_ms), (id, ErrorCode::RateLimited, Some(200)));
    world.pass(Duration::from_millis(200));
    world.inbox(b);
    world.post(b, "now");
    assert_eq!(world.refusals(b), []);
    // Leaving and coming back doesn't help.
    world.gone(a);
    world.gone(b);
    let c = world.member("alice");
    world.post(c, "and now?");
    assert_eq!(world.refusals(c), [ErrorCode::RateLimited]);
}

#[test]
fn too_many_unacknowledged_posts_are_refused() {
    let many = NonZeroU32::new(1_000_000).unwrap();
    let mut world = World::with(Settings { message_rate: many, message_burst: many, ..settings() });
    let alice = world.member("alice");
    for _ in 0..UNACKNOWLEDGED {
        world.post(alice, "x");
    }
    assert_eq!(world.refusals(alice), []);
    world.post(alice, "x");
    assert_eq!(world.refusals(alice), [ErrorCode::RateLimited]);
    world.store_step();
    world.post(alice, "x");
    assert_eq!(world.refusals(alice), []);
    // A new connection doesn't help; the old one's posts still wait.
    world.gone(alice);
    let again = world.member("alice");
    world.post(again, "x");
    assert_eq!(world.refusals(again), [ErrorCode::RateLimited]);
}

#[test]
fn a_retry_of_what_is_stored_gets_the_old_place() {
    let mut world = World::new();
    let alice = world.member("alice");
    let message = world.message_id();
    world.post_as(alice, "hello", message, false);
    let time = world.wall;
    world.store_step();
    world.pass(Duration::from_secs(5));
    world.inbox(alice);
    let id = world.post_as(alice, "hello", message, true);
    world.commit();
    let accepted = Accepted { seq: Seq(1), time };
    assert_eq!(world.inbox(alice), [ServerMessage::Reply(id, Reply::Accepted(accepted))]);
    assert_eq!(world.disk.records.len(), 1);
}

#[test]
fn retries_of_what_is_not_stored_are_posted_in_order() {
    let mut world = World::new();
    let alice = world.member("alice");
    for number in 0..30 {
        let message = world.message_id();
        world.post_as(alice, &number.to_string(), message, true);
    }
    world.commit();
    let expected: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    assert_eq!(texts(&world.inbox(alice)), expected, "beyond the burst, as it was within it before");
    world.post(alice, "something new");
    assert_eq!(world.refusals(alice), [ErrorCode::RateLimited]);
}

#[test]
fn a_retry_while_the_first_is_under_way_is_answered_with_it() {
    let mut world = World::new();
    let old = world.member("alice");
    let message = world.message_id();
    world.post_as(old, "hello", message, false);
    world.gone(old);
    let new = world.member("alice");
    let first = world.post_as(new, "hello", message, true);
    let second = world.post_as(new, "hello", message, true);
    assert_eq!(world.hub.users[&name("alice")].unacknowledged, 3);
    world.commit();
    let accepted = Reply::Accepted(Accepted { seq: Seq(1), time: world.wall });
    let answers = [first, second].map(|id| ServerMessage::Reply(id, accepted.clone()));
    assert_eq!(world.inbox(new), answers);
    assert_eq!(world.disk.records.len(), 1);
    assert_eq!(world.hub.users[&name("alice")].unacknowledged, 0);
}

#[test]
fn two_retries_at_once_are_posted_once() {
    let mut world = World::new();
    let (a, b) = (world.member("alice"), world.member("alice"));
    let message = world.message_id();
    world.post_as(a, "hello", message, true);
    world.post_as(b, "hello", message, true);
    world.gone(a);
    world.commit();
    assert_eq!(texts(&world.inbox(b)), ["hello"]);
    assert_eq!(world.disk.records.len(), 1);
}

#[test]
fn retries_keep_their_order_when_some_were_dropped_in_between() {
    let mut world = World::new();
    let old = world.member("alice");
    let [one, two] = [(); 2].map(|()| world.message_id());
    world.post_as(old, "one", one, true);
    world.post_as(old, "two", two, true);
    world.gone(old);
    assert!(world.store_step(), "nobody waits for the first answer");
    let new = world.member("alice");
    world.post_as(new, "one", one, true);
    world.post_as(new, "two", two, true);
    world.commit();
    assert_eq!(texts(&world.inbox(new)), ["one", "two"]);
    assert_eq!(world.hub.users[&name("alice")].unacknowledged, 0);
}

#[test]
fn what_comes_behind_a_post_that_is_refused_for_now_is_refused_too() {
    let mut world = World::with(Settings {
        message_rate: 10.try_into().unwrap(),
        message_burst: 2.try_into().unwrap(),
        ..settings()
    });
    let alice = world.member("alice");
    let posts: Vec<MessageId> = (0..6).map(|_| world.message_id()).collect();
    let post = |at: usize| {
        let after = at.checked_sub(1).map(|before| posts[before]);
        Request::Post(Post {
            room: RoomName::lobby(),
            message: posts[at],
            body: text(&at.to_string()),
            retry: false,
            after,
            urgent: false,
        })
    };
    for at in 0..6 {
        world.request(alice, post(at));
        // The third one is too much; the fourth one would not be.
        world.now += Duration::from_millis(40);
    }
    world.commit();
    assert_eq!(texts(&world.inbox(alice)), ["0", "1"]);
    // Said again in order, without a word about what was refused.
    let again = Request::Post(Post {
        room: RoomName::lobby(),
        message: posts[2],
        body: text("2"),
        retry: false,
        after: None,
        urgent: false,
    });
    world.request(alice, again);
    world.request(alice, post(3));
    world.commit();
    assert_eq!(texts(&world.inbox(alice)), ["2", "3"]);
}

#[test]
fn what_arrives_late_on_an_old_connection_is_not_posted_after_its_retry() {
    let mut world = World::new();
    let (old, new) = (world.member("alice"), world.member("alice"));
    let [message, other] = [(); 2].map(|()| world.message_id());
    world.post_as(new, "hello", message, true);
    world.commit();
    world.post_as(old, "hello", message, false);
    // What was not posted yet is posted, and in order.
    world.post_as(old, "there", other, false);
    world.post(old, "!");
    world.commit();
    assert_eq!(texts(&world.inbox(new)), ["hello", "there", "!"]);
    assert_eq!(world.disk.records.len(), 3);
    // A new connection has nothing that is late.
    let newest = world.member("alice");
    world.post(newest, "at once");
    assert_eq!(texts(&world.inbox(newest)), ["at once"]);
}

#[test]
fn a_retry_of_someone_who_left_is_dropped_and_another_users_id_is_not_mixed_up() {
    let mut world = World::new();
    let (alice, bob) = (world.member("alice"), world.member("bob"));
    let message = world.message_id();
    world.post_as(alice, "from alice", message, true);
    world.post_as(bob, "from bob", message, true);
    world.gone(alice);
    world.commit();
    assert_eq!(texts(&world.inbox(bob)), ["from bob"]);
    assert!(world.hub.pending.is_empty() && world.hub.in_flight.is_empty());
}

#[test]
fn a_failing_store_refuses_what_is_new_and_keeps_what_is_under_way() {
    let mut world = World::new();
    let alice = world.member("alice");
    world.post(alice, "before");
    let message = world.message_id();
    world.post_as(alice, "again", message, true);
    world.handle(Input::Store(StoreEvent::Failing { text: "disk full".to_owned() }));
    world.post(alice, "meanwhile");
    let message = world.message_id();
    world.post_as(alice, "meanwhile", message, true);
    assert_eq!(world.refusals(alice), [ErrorCode::StorageUnavailable; 2]);
    world.handle(Input::Store(StoreEvent::Recovered));
    world.commit();
    world.post(alice, "after");
    world.commit();
    let said: Vec<Body> = world.disk.records.iter().map(|r| Body::from_cbor(&r.body).unwrap()).collect();
    assert_eq!(said, [text("before"), text("again"), text("after")]);
    assert_eq!(world.log, [LogEvent::StoreFailing { text: "disk full".to_owned() }, LogEvent::StoreRecovered]);
    assert!(world.peers[&alice].open.is_empty());
}

#[test]
fn answers_that_nobody_waits_for_are_ignored() {
    let mut world = World::new();
    let alice = world.member("alice");
    world.post(alice, "hello");
    world.handle(Input::Store(StoreEvent::Found { token: StoreToken(0), place: None }));
    world.handle(Input::Store(StoreEvent::Stored { tokens: vec![StoreToken(1), StoreToken(u64::MAX)] }));
    world.handle(Input::Gone { session: SessionId(99) });
    world.commit();
    world.handle(Input::Store(StoreEvent::Stored { tokens: vec![StoreToken(0)] }));
    assert!(world.peers[&alice].open.is_empty());
}
