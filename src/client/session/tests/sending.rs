//! What the user says and asks: sent, sent again, in order, and answered.

use super::*;
use crate::proto::message::{History, HistoryEnd};

fn texts(posts: &[(RequestId, String, bool)]) -> Vec<&str> {
    posts.iter().map(|(_, text, _)| text.as_str()).collect()
}

#[test]
fn a_message_is_pending_until_it_is_accepted() {
    let mut world = World::in_lobby(0);
    let id = world.say("hello");
    let posts = world.posts();
    assert_eq!((texts(&posts), posts[0].2), (vec!["hello"], false));
    assert_eq!(world.session.outstanding(), 1);
    world.accept(posts[0].0, 1);
    let accepted = Event::Accepted { id, room: lobby(), seq: Seq(1), time: Timestamp(0) };
    assert_eq!(world.events.last(), Some(&accepted));
    assert_eq!(world.session.outstanding(), 0);
}

#[test]
fn what_is_typed_before_the_room_is_there_waits_for_it() {
    let mut world = World::with(settings());
    for line in ["a", "b"] {
        world.handle(Input::Command(Command::Post { room: lobby(), body: text(line), urgent: false }));
    }
    world.run();
    world.let_in(0);
    assert_eq!(texts(&world.posts()), ["a", "b"]);
}

#[test]
fn unanswered_messages_are_sent_again_first_and_in_order() {
    let mut world = World::in_lobby(0);
    world.say("a");
    let first = world.posts();
    // What is said meanwhile waits for the answer.
    world.say("b");
    world.say("c");
    assert!(world.requests.is_empty());
    world.accept(first[0].0, 1);
    let second = world.posts();
    assert_eq!(texts(&second), ["b", "c"]);
    world.accept(second[0].0, 2);
    world.cut();
    world.say("d");
    world.come_back();
    world.let_in(0);
    let third = world.posts();
    assert_eq!((texts(&third), third[0].2), (vec!["c"], true));
    world.accept(third[0].0, 3);
    let fourth = world.posts();
    assert_eq!((texts(&fourth), fourth[0].2), (vec!["d"], false));
}

#[test]
fn a_batch_is_what_one_record_holds() {
    let mut world = World::in_lobby(0);
    world.say("first");
    let long = "x".repeat(7000);
    for _ in 0..5 {
        world.say(&long);
    }
    let first = world.posts();
    world.accept(first[0].0, 1);
    let second = world.posts();
    assert_eq!(second.len(), 2);
    world.accept(second[1].0, 2);
    assert!(world.requests.is_empty());
    world.accept(second[0].0, 3);
    assert_eq!(world.posts().len(), 2);
}

#[test]
fn a_time_that_has_come_wakes_nobody_while_a_batch_is_under_way() {
    let mut world = World::in_lobby(0);
    world.say("first");
    let first = world.posts();
    world.say("a");
    world.say("b");
    world.accept(first[0].0, 1);
    let posts = world.posts();
    world.refuse(posts[0].0, ErrorCode::RateLimited, Some(10));
    world.now += Duration::from_millis(11);
    world.handle(Input::Tick);
    assert!(world.requests.is_empty());
    assert!(world.session.poll_timeout() > Some(world.now));
    world.accept(posts[1].0, 2);
    assert_eq!(texts(&world.posts()), ["a"]);
}

#[test]
fn a_refusal_for_now_is_waited_out_and_keeps_the_order() {
    for code in [ErrorCode::RateLimited, ErrorCode::StorageUnavailable, ErrorCode::ShuttingDown] {
        let mut world = World::in_lobby(0);
        world.say("first");
        for line in ["a", "b", "c"] {
            world.say(line);
        }
        let first = world.posts();
        world.accept(first[0].0, 1);
        let posts = world.posts();
        world.accept(posts[0].0, 2);
        world.refuse(posts[1].0, code, Some(500));
        world.refuse(posts[2].0, code, Some(400));
        world.say("d");
        assert!(matches!(world.events.iter().rev().nth(1), Some(Event::Delayed { .. })));
        world.pass(Duration::from_millis(499));
        assert!(world.requests.is_empty());
        world.pass(Duration::from_millis(1));
        // One at first, then more.
        let again = world.posts();
        assert_eq!((texts(&again), again[0].2), (vec!["b"], false), "it was refused, not lost");
        world.accept(again[0].0, 3);
        assert_eq!(texts(&world.posts()), ["c", "d"]);
    }
}

#[test]
fn a_refusal_for_good_is_reported_with_what_was_said() {
    let mut world = World::in_lobby(0);
    let id = world.say("x");
    let posts = world.posts();
    world.refuse(posts[0].0, ErrorCode::Forbidden, None);
    match world.events.last() {
        Some(Event::Refused { id: refused, body, .. }) => assert_eq!((*refused, body.text()), (id, "x")),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.session.outstanding(), 0);
}

#[test]
fn a_disk_that_stays_full_is_given_up_on_where_nobody_waits() {
    let mut world = World::with(Settings { give_up: Some(Duration::from_secs(10)), ..settings() });
    world.run();
    world.let_in(0);
    world.say("x");
    for _ in 0..5 {
        let posts = world.posts();
        world.refuse(posts[0].0, ErrorCode::StorageUnavailable, Some(2000));
        world.pass(Duration::from_secs(2));
    }
    assert_eq!(world.requests.len(), 1);
    let posts = world.posts();
    world.refuse(posts[0].0, ErrorCode::StorageUnavailable, Some(2000));
    assert!(matches!(world.events.last(), Some(Event::Refused { .. })));
}

#[test]
fn a_message_too_long_for_the_server_is_never_sent() {
    let mut world = World::in_lobby(0);
    world.say(&"x".repeat(8193));
    assert!(world.requests.is_empty());
    assert!(matches!(world.events.last(), Some(Event::Refused { .. })));
    world.say(&"x".repeat(8192));
    assert_eq!(world.posts().len(), 1);
}

#[test]
fn the_queue_is_bounded() {
    let mut world = World::with(settings());
    world.listening = false;
    world.run();
    for n in 0..1100 {
        world.handle(Input::Command(Command::Post { room: lobby(), body: text(&n.to_string()), urgent: false }));
    }
    world.run();
    assert_eq!(world.session.outstanding(), 1024);
    let refused = world.events.iter().filter(|event| matches!(event, Event::Refused { .. })).count();
    assert_eq!(refused, 1100 - 1024);
}

#[test]
fn history_comes_in_as_many_pages_as_it_takes() {
    let mut world = World::in_lobby(20);
    let ask = Ask::History { room: lobby(), until: Until::Latest, limit: Some(5) };
    world.command(Command::Ask(ask.clone()));
    let (id, request) = world.request();
    assert_eq!(request, Request::History(History { room: lobby(), before: None, limit: 5 }));
    let end = |id, more| ServerMessage::Reply(id, Reply::HistoryEnd(HistoryEnd { room: lobby(), more }));
    let part = |id, seq| ServerMessage::Part(id, stored(seq, "bob", "x"));
    world.tell(&[part(id, 18), part(id, 19), part(id, 20), end(id, true)]);
    let (id, request) = world.request();
    assert_eq!(request, Request::History(History { room: lobby(), before: Some(Seq(18)), limit: 2 }));
    world.tell(&[part(id, 16), part(id, 17), end(id, true)]);
    match world.events.pop() {
        Some(Event::Answered { ask: asked, answer: Ok(Answer::History { messages, more: true }) }) => {
            let seqs: Vec<u64> = messages.iter().map(|said| said.message.seq.0).collect();
            assert_eq!((asked, seqs), (ask, vec![16, 17, 18, 19, 20]));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_history_without_an_end_is_taken_to_a_bound() {
    let mut world = World::in_lobby(0);
    world.command(Command::Ask(Ask::History { room: lobby(), until: Until::Latest, limit: None }));
    for page in (0..100).rev() {
        let Some((id, _)) = world.requests.pop() else {
            assert!(matches!(world.events.last(), Some(Event::Answered { answer: Ok(_), .. })));
            return;
        };
        let end = Reply::HistoryEnd(HistoryEnd { room: lobby(), more: true });
        let parts = (1..=1000).map(|seq| ServerMessage::Part(id, stored(page * 1000 + seq, "bob", "")));
        let messages: Vec<_> = parts.chain([ServerMessage::Reply(id, end)]).collect();
        world.tell(&messages);
    }
    panic!("it takes everything");
}

#[test]
fn a_history_that_repeats_itself_ends_the_connection() {
    for seqs in [[7, 7], [8, 6], [6, 9]] {
        let mut world = World::in_lobby(0);
        world.command(Command::Ask(Ask::History { room: lobby(), until: Until::Before(Seq(9)), limit: None }));
        let (id, _) = world.request();
        world.tell(&seqs.map(|seq| ServerMessage::Part(id, stored(seq, "bob", "x"))));
        assert!(world.link.is_none(), "{seqs:?}");
    }
}

#[test]
fn questions_are_asked_again_after_a_cut_but_a_shutdown_is_not() {
    let mut world = World::in_lobby(0);
    let whois = Ask::Whois { user: "bob".parse().unwrap() };
    world.command(Command::Ask(whois));
    world.command(Command::Ask(shutdown()));
    assert_eq!(world.requests.len(), 2);
    world.requests.clear();
    world.come_back();
    let answered: Vec<bool> = world
        .events()
        .iter()
        .filter_map(|event| match event {
            Event::Answered { ask: Ask::Do(Request::Shutdown(_)), answer } => Some(answer.is_ok()),
            _ => None,
        })
        .collect();
    assert_eq!(answered, [false]);
    let asked: Vec<bool> = world.requests.iter().map(|(_, request)| matches!(request, Request::Whois(_))).collect();
    assert_eq!(asked.iter().filter(|whois| **whois).count(), 1, "{:?}", world.requests);
}

#[test]
fn a_question_refused_for_now_is_asked_again_later() {
    let mut world = World::in_lobby(0);
    world.command(Command::Ask(Ask::People { room: lobby() }));
    let (id, _) = world.request();
    world.refuse(id, ErrorCode::RateLimited, Some(300));
    world.pass(Duration::from_millis(300));
    let (id, request) = world.request();
    assert!(matches!(request, Request::People(_)));
    world.refuse(id, ErrorCode::Forbidden, None);
    assert!(matches!(world.events.last(), Some(Event::Answered { answer: Err(_), .. })));
}

#[test]
fn earlier_messages_are_asked_for_one_after_the_other() {
    let mut world = World::in_lobby(0);
    let history = |limit| Ask::History { room: lobby(), until: Until::Latest, limit: Some(limit) };
    for ask in [history(1), history(2), Ask::People { room: lobby() }] {
        world.command(Command::Ask(ask));
    }
    let requests = std::mem::take(&mut world.requests);
    assert!(matches!(requests[..], [(_, Request::History(_)), (_, Request::People(_))]), "{requests:?}");
    world.refuse(requests[0].0, ErrorCode::RateLimited, Some(10));
    let (second, _) = world.request();
    world.now += Duration::from_millis(11);
    world.handle(Input::Tick);
    assert!(world.session.poll_timeout() > Some(world.now));
    world.tell(&[ServerMessage::Reply(second, Reply::HistoryEnd(HistoryEnd { room: lobby(), more: false }))]);
    let (_, again) = world.request();
    assert_eq!(again, Request::History(History { room: lobby(), before: None, limit: 1 }));
}
