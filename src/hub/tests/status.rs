//! Whether people want to be talked to.

use super::rooms::town::{Town, room};
use super::*;
use crate::proto::message::{Availability, SetIdle, SetStatus, Status};

fn set(availability: Availability, text: Option<&str>, seconds: Option<u32>) -> Request {
    Request::SetStatus(SetStatus { availability, text: text.map(str::to_owned), seconds })
}

fn idle(idle: bool) -> Request {
    Request::SetIdle(SetIdle { idle })
}

fn status(availability: Availability, text: Option<&str>, until: Option<u64>) -> Status {
    Status { availability, text: text.map(str::to_owned), until: until.map(Timestamp) }
}

fn away() -> Status {
    status(Availability::Away, None, None)
}

/// What alice is told of bob, once it is time, and what a list says.
fn told(town: &mut Town, alice: SessionId) -> Vec<Status> {
    town.pass(PRESENCE_DELAY);
    let inbox = std::mem::take(town.inboxes.get_mut(&alice).unwrap()).into_iter();
    let told: Vec<Status> = inbox
        .filter_map(|message| match message {
            ServerMessage::Presence(presence) => Some(presence.changed),
            _ => None,
        })
        .flatten()
        .inspect(|changed| assert_eq!(changed.user, name("bob")))
        .map(|changed| changed.status)
        .collect();
    let list = town.ask(alice, Request::People(People { room: room("#dev") }));
    let Ok(Reply::People(list)) = list else { panic!("{list:?}") };
    if let (Some(last), Some(bob)) = (told.last(), list.people.iter().find(|person| person.user == name("bob"))) {
        assert_eq!(bob.status, *last, "the list says something else");
    }
    told
}

fn both() -> (Town, SessionId, SessionId) {
    let mut town = Town::new();
    let (alice, bob) = (town.in_dev("alice"), town.in_dev("bob"));
    assert_eq!(told(&mut town, alice), []);
    (town, alice, bob)
}

#[test]
fn what_one_says_is_told_to_those_around() {
    let (mut town, alice, bob) = both();
    town.done(bob, set(Availability::DoNotDisturb, Some("on call"), None));
    assert_eq!(told(&mut town, alice), [status(Availability::DoNotDisturb, Some("on call"), None)]);
    town.done(bob, set(Availability::Online, None, None));
    assert_eq!(told(&mut town, alice), [Status::ONLINE]);
    let info = town.ask(alice, Request::Whois(Whois { user: name("bob") }));
    assert!(matches!(info, Ok(Reply::User(info)) if info.status == Status::ONLINE));
    town.refused(bob, set(Availability::Away, None, Some(0)), ErrorCode::Malformed, "a time of 0 seconds");
    town.refused(bob, set(Availability::Other(7), None, None), ErrorCode::Malformed, "there is no such status");
    let text = "it has control characters, or several lines";
    town.refused(bob, set(Availability::Away, Some("\x1b[2J"), None), ErrorCode::Malformed, text);
}

#[test]
fn a_status_ends_when_it_was_said_to_end() {
    let (mut town, alice, bob) = both();
    let until = town.wall.0 + 60_000;
    town.done(bob, set(Availability::Away, None, Some(60)));
    assert_eq!(told(&mut town, alice).len(), 1);
    // The clock on the wall is behind here: it is looked at too early, and then again.
    while let Some(due) = town.hub.poll_timeout() {
        town.pass(due - town.now);
    }
    assert!(town.wall.0 >= until && town.wall.0 < until + 1000, "{:?}", town.wall);
    assert_eq!(told(&mut town, alice), [Status::ONLINE]);
    assert_eq!(town.hub.poll_timeout(), None);
    // Another one takes its place, with another end.
    town.done(bob, set(Availability::Away, None, Some(600)));
    town.done(bob, set(Availability::DoNotDisturb, None, Some(60)));
    told(&mut town, alice);
    let due = town.hub.poll_timeout().unwrap();
    assert!(due - town.now < Duration::from_secs(61));
}

#[test]
fn a_status_outlives_the_server_but_not_its_end() {
    let (mut town, _, bob) = both();
    town.done(bob, set(Availability::DoNotDisturb, Some("on call"), Some(3600)));
    let carol = town.comes("carol");
    town.done(carol, set(Availability::Away, None, Some(1)));
    let (wall, mut town) = (town.wall, town.restart());
    town.wall = Timestamp(wall.0 + 2000);
    let alice = town.in_dev("alice");
    town.in_dev("bob");
    let until = wall.0 + 3_600_000;
    assert_eq!(told(&mut town, alice), [status(Availability::DoNotDisturb, Some("on call"), Some(until))]);
    let info = town.ask(alice, Request::Whois(Whois { user: name("carol") }));
    assert!(matches!(info, Ok(Reply::User(info)) if info.status == Status::ONLINE));
}

#[test]
fn who_is_at_none_of_his_sessions_is_away() {
    let (mut town, alice, bob) = both();
    let second = town.in_dev("bob");
    town.done(bob, idle(true));
    assert_eq!(told(&mut town, alice), []);
    town.done(second, idle(true));
    assert_eq!(told(&mut town, alice), [away()]);
    town.done(bob, idle(false));
    assert_eq!(told(&mut town, alice), [Status::ONLINE]);
    town.handle(Input::Gone { session: bob });
    assert_eq!(told(&mut town, alice), [away()]);
    // Said again, it is not told again.
    town.done(second, set(Availability::Away, Some(" "), None));
    assert_eq!(told(&mut town, alice), []);
    town.done(second, set(Availability::Online, None, None));
    // Whoever comes is there.
    let third = town.comes("bob");
    assert_eq!(told(&mut town, alice), [Status::ONLINE]);
    // What he says himself counts more.
    town.done(third, set(Availability::DoNotDisturb, None, None));
    town.done(third, idle(true));
    assert_eq!(told(&mut town, alice), [status(Availability::DoNotDisturb, None, None)]);
}

#[test]
fn who_is_back_in_a_moment_with_another_status_is_told_with_it() {
    let (mut town, alice, bob) = both();
    town.done(bob, idle(true));
    assert_eq!(told(&mut town, alice), [away()]);
    // The connection is cut, and the next one is there before anybody was told.
    town.pace = Duration::ZERO;
    town.handle(Input::Gone { session: bob });
    let bob = town.in_dev("bob");
    assert_eq!(told(&mut town, alice), [Status::ONLINE]);
    town.handle(Input::Gone { session: bob });
    let bob = town.comes("bob");
    town.done(bob, set(Availability::DoNotDisturb, None, None));
    town.join(bob, "#dev");
    assert_eq!(told(&mut town, alice), [status(Availability::DoNotDisturb, None, None)]);
}

#[test]
fn nothing_is_kept_of_those_who_have_left_a_room() {
    let (mut town, alice, bob) = both();
    town.done(bob, set(Availability::Away, None, None));
    told(&mut town, alice);
    town.handle(Input::Gone { session: bob });
    town.handle(Input::Gone { session: alice });
    town.pass(PRESENCE_DELAY);
    assert!(town.hub.rooms.values().all(|room| room.told.is_empty() && room.statuses.is_empty()));
}
