use std::fs;

use super::*;
use crate::client::session::Seal;
use crate::model::{MessageId, RoomName, Seq};
use crate::proto::message::{Act, Acted, Availability, Changed, Membership, Presence, RoomInfo, RoomList};
use crate::proto::message::{Body, Stored};

pub(super) fn renderer() -> Renderer {
    Renderer::new("alice".parse().unwrap(), Paint::new(false), TimeZone::UTC, Form::Screen)
}

pub(super) fn stored(sender: &str, text: &str, minutes: u64) -> Stored {
    Stored {
        room: RoomName::lobby(),
        seq: Seq(1),
        time: Timestamp(1_000_000_000_000 + minutes * 60_000),
        sender: sender.parse().unwrap(),
        message: MessageId([0; 16]),
        body: Some(Body::Text { text: text.to_owned() }),
    }
}

pub(super) fn texts(pieces: Vec<Piece>) -> Vec<String> {
    pieces
        .into_iter()
        .map(|piece| match piece {
            Piece::Chat(text) | Piece::Answer(text) | Piece::Notice(text) => text,
            Piece::Bell => "(bell)".to_owned(),
        })
        .collect()
}

#[test]
fn messages_have_a_local_time_and_a_new_day_is_announced() {
    let mut renderer = renderer();
    let lines: Vec<String> = [("bob", "hello", 0), ("bob", "again", 1), ("carol", "next day", 1440)]
        .into_iter()
        .flat_map(|(sender, text, minutes)| texts(renderer.message(&stored(sender, text, minutes), Seal::Open)))
        .collect();
    assert_eq!(
        lines,
        [
            "-- Sunday, 9 September 2001",
            "01:46 <bob> hello",
            "01:47 <bob> again",
            "-- Monday, 10 September 2001",
            "01:46 <carol> next day",
        ]
    );
}

#[test]
fn actions_unknown_kinds_and_impossible_times_have_words() {
    let mut renderer = renderer();
    let mut message = stored("bob", "", 0);
    message.body = Some(Body::Action { text: "waves".to_owned() });
    assert_eq!(texts(renderer.message(&message, Seal::Open))[1], "01:46 * bob waves");
    message.body = None;
    assert!(texts(renderer.message(&message, Seal::Open))[0].contains("does not know"));
    message.time = Timestamp(u64::MAX);
    assert!(!texts(renderer.message(&message, Seal::Open)).is_empty());
}

#[test]
fn further_lines_of_a_message_cannot_pass_for_messages() {
    let mut renderer = renderer();
    let lines = texts(renderer.message(&stored("bob", "one\n01:47 <carol> forged", 0), Seal::Open));
    assert_eq!(lines[1], "01:46 <bob> one\n      | 01:47 <carol> forged");
}

#[test]
fn no_row_of_a_long_message_begins_where_messages_begin() {
    let mut renderer = renderer();
    for width in [20, 40, 80] {
        renderer.set_width(width);
        // Spaces up to the end of a row, then what looks like a message.
        let forged = format!("{}01:47 <carol> forged{}", " ".repeat(width), "x".repeat(200));
        let shown = texts(renderer.message(&stored("bob", &forged, 0), Seal::Open)).pop().unwrap();
        let rows: Vec<&str> = shown.split('\n').collect();
        assert!(rows.len() > 2 && rows[0].starts_with("01:46 <bob> "));
        assert!(rows[1..].iter().all(|row| row.starts_with("      | ")), "{rows:?}");
        assert!(rows.iter().all(|row| row.len() < width), "{rows:?}");
    }
}

#[test]
fn a_pipe_gets_days_and_whole_lines() {
    let mut renderer = Renderer::new("alice".parse().unwrap(), Paint::new(false), TimeZone::UTC, Form::Lines);
    let long = "x ".repeat(200);
    let lines = texts(renderer.message(&stored("bob", &long, 0), Seal::Open));
    assert_eq!(lines, [format!("2001-09-09 01:46 <bob> {long}")]);
    let lines = texts(renderer.message(&stored("bob", "one\ntwo", 0), Seal::Open));
    assert_eq!(lines, ["2001-09-09 01:46 <bob> one\n      | two"]);
}

#[test]
fn what_is_new_since_the_last_session_is_told_apart() {
    let (mut screen, dev) = (renderer(), "#dev".parse().unwrap());
    let event = |room, arrival| Event::Message {
        message: Stored { room, ..stored("bob", "x", 0) },
        arrival,
        own: false,
        seal: Seal::Open,
    };
    let (lobby, old, new) = (RoomName::lobby(), Arrival::Backlog, Arrival::Missed);
    let mut shown = |form, events: &[(RoomName, Arrival)]| {
        screen.form = form;
        events.iter().flat_map(|(room, arrival)| texts(screen.event(&event(*room, *arrival)))).collect::<Vec<_>>()
    };
    let marks = |lines: Vec<String>| lines.iter().map(|line| line == "-- new since you were here").collect::<Vec<_>>();
    // The first line names the day.
    let lines = shown(Form::Screen, &[(lobby, old), (lobby, old), (lobby, new), (lobby, new), (lobby, Arrival::Live)]);
    assert_eq!(marks(lines), [false, false, false, true, false, false, false]);
    assert!(
        !marks(shown(Form::Screen, &[(dev, old), (lobby, new), (lobby, old), (lobby, Arrival::Live)])).contains(&true)
    );
    assert!(!marks(shown(Form::Lines, &[(lobby, old), (lobby, new)])).contains(&true));
}

#[test]
fn a_mention_rings_when_it_is_said_and_stands_out_always() {
    let renderer = Renderer::new("alice".parse().unwrap(), Paint::new(true), TimeZone::UTC, Form::Screen);
    let event = |sender: &str, text: &str, arrival| Event::Message {
        message: stored(sender, text, 0),
        arrival,
        own: sender == "alice",
        seal: Seal::Open,
    };
    assert!(renderer.rings(&event("bob", "hi alice", Arrival::Live)));
    assert!(!renderer.rings(&event("bob", "hi alice", Arrival::Missed)));
    assert!(!renderer.rings(&event("bob", "hi", Arrival::Live)));
    assert!(!renderer.rings(&event("alice", "I am alice", Arrival::Live)));
    let shown =
        renderer.said(Timestamp(0), "bob".parse().unwrap(), "", Ok(&Body::Text { text: "hi alice".to_owned() }));
    assert!(shown.contains("\x1b[1mhi alice\x1b[0m"), "{shown:?}");
}

#[test]
fn nothing_of_an_attack_reaches_the_terminal() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/terminal-attacks");
    let mut attacks = vec!["\x1b[2J".to_owned(), "a\r\x1b[31mb".to_owned(), "\u{9b}31m\u{202e}x".to_owned()];
    for entry in fs::read_dir(directory).unwrap() {
        attacks.push(String::from_utf8_lossy(&fs::read(entry.unwrap().path()).unwrap()).into_owned());
    }
    assert!(attacks.len() > 3, "the corpus is not there");
    let refused = |text: &str| Refused {
        code: crate::proto::message::ErrorCode::Forbidden,
        text: text.to_owned(),
        hint: Some(text.to_owned()),
        retry_after_ms: None,
    };
    let mut renderer = renderer();
    for attack in attacks {
        let mut shown = texts(renderer.message(&stored("bob", &attack, 0), Seal::Open));
        for event in [
            Event::Notice(attack.clone()),
            Event::Offline { reason: attack.clone(), retry_in: std::time::Duration::ZERO, failures: 0 },
            Event::NotEntered { room: RoomName::lobby(), refused: refused(&attack) },
            Event::Refused {
                id: MessageId([0; 16]),
                room: RoomName::lobby(),
                body: Body::Text { text: attack.clone() },
                refused: refused(&attack),
            },
            Event::Undelivered {
                id: MessageId([0; 16]),
                room: RoomName::lobby(),
                body: Body::Text { text: attack.clone() },
            },
        ] {
            shown.extend(texts(renderer.event(&event)));
        }
        for line in shown {
            let bad = |c: char| {
                (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            };
            assert!(!line.contains(bad), "{attack:?} is shown as {line:?}");
        }
    }
}

#[test]
fn many_comings_are_one_line_without_oneself() {
    let came = ["alice", "b", "c", "d", "e", "f", "g"].map(|name| name.parse().unwrap()).to_vec();
    let event = Event::Presence(Presence { room: RoomName::lobby(), came, left: vec![], changed: vec![] });
    assert_eq!(texts(renderer().event(&event)), ["-- b, c, d, e, f and 1 more came"]);
}

#[test]
fn rooms_are_listed_with_what_concerns_the_user() {
    let room = |name: &str| name.parse::<RoomName>().unwrap();
    let bob = Some("bob".parse().unwrap());
    let dev = RoomInfo {
        topic: "work\x1b[2J".to_owned(),
        owner: Some("alice".parse().unwrap()),
        members: 2,
        present: 1,
        joined: true,
        people: bob.into_iter().collect(),
        ..RoomInfo::new(room("#dev"))
    };
    let lobby = RoomInfo { members: 3, present: 3, joined: true, ..RoomInfo::new(RoomName::lobby()) };
    let ops = RoomInfo { owner: bob, members: 1, ..RoomInfo::new(room("#ops")) };
    let list = RoomList { rooms: vec![lobby, dev, ops] };
    let mark = |name| (name == room("#dev")).then_some(Mark { number: 2, unread: 7 });
    assert_eq!(
        texts(renderer().rooms(&list, mark)),
        [
            " * #common  3 of 3 members here, open",
            " 2 #dev     1 of 2 members here, open, yours, 7 unread: work\\x1b[2J",
            "            bob",
            "   #ops     0 of 1 member here, open, bob's",
        ]
    );
}

#[test]
fn decisions_are_told_in_words() {
    let (by, user) = ("bob".parse().unwrap(), "carol".parse().unwrap());
    let room = RoomName::lobby();
    let reason = || Some("loud\u{202e}".to_owned());
    let until = Some(Timestamp(1_000_000_000_000));
    for (act, words) in [
        (Act::Topic { topic: "work".to_owned() }, "bob set the topic: work"),
        (Act::Topic { topic: String::new() }, "bob took the topic away"),
        (Act::Invited { user }, "bob brought carol in"),
        (Act::Kicked { user, reason: reason() }, "bob put carol out: loud\\u{202e}"),
        (Act::Kicked { user, reason: None }, "bob put carol out"),
        (Act::Banned { user, until, reason: None }, "bob banned carol until 2001-09-09 01:46"),
        (Act::Banned { user, until: None, reason: reason() }, "bob banned carol: loud\\u{202e}"),
        (Act::Unbanned { user }, "bob let carol come back"),
        (Act::Muted { user, until }, "bob muted carol until 2001-09-09 01:46"),
        (Act::Unmuted { user }, "bob let carol speak again"),
        (Act::HandedOver { user }, "bob made carol the owner"),
    ] {
        let event = Event::Acted(Acted { room, by, act: Some(act) });
        assert_eq!(texts(renderer().event(&event)), [format!("-- {words}")]);
    }
    assert_eq!(renderer().event(&Event::Acted(Acted { room, by, act: None })), []);
    let membership = |member, by: &str, reason| {
        let event = Event::Membership(Membership { room, member, by: by.parse().unwrap(), reason });
        texts(renderer().event(&event)).remove(0)
    };
    assert_eq!(membership(false, "bob", reason()), "-- bob put you out of #common: loud\\u{202e}");
    assert_eq!(membership(false, "alice", None), "-- you have left #common, with another of your sessions");
    assert_eq!(membership(true, "alice", None), "-- you are in #common, by another of your sessions");
}

#[test]
fn statuses_are_told_in_words() {
    let status = |availability, text: Option<&str>, until: Option<u64>| Status {
        availability,
        text: text.map(str::to_owned),
        until: until.map(Timestamp),
    };
    let changed = |user: &str, status| Changed { user: user.parse().unwrap(), status };
    let event = Event::Presence(Presence {
        room: RoomName::lobby(),
        came: vec![],
        left: vec![],
        changed: vec![
            changed("bob", status(Availability::DoNotDisturb, Some("on\x1b call"), Some(1_000_000_000_000))),
            changed("carol", status(Availability::Away, None, None)),
            changed("alice", Status::ONLINE),
            changed("dave", status(Availability::Other(9), None, None)),
        ],
    });
    assert_eq!(
        texts(renderer().event(&event)),
        [
            "-- bob is not to be disturbed, until 2001-09-09 01:46: on\\x1b call",
            "-- carol is away",
            "-- you are online",
            "-- dave is in a state that this version does not know",
        ]
    );
}
