use std::fs;

use super::*;
use crate::model::{MessageId, RoomName, Seq};
use crate::proto::message::Presence;

fn renderer() -> Renderer {
    Renderer::new("alice".parse().unwrap(), Paint::new(false), TimeZone::UTC)
}

fn stored(sender: &str, text: &str, minutes: u64) -> Stored {
    Stored {
        room: RoomName::lobby(),
        seq: Seq(1),
        time: Timestamp(1_000_000_000_000 + minutes * 60_000),
        sender: sender.parse().unwrap(),
        message: MessageId([0; 16]),
        body: Some(Body::Text { text: text.to_owned() }),
    }
}

fn texts(pieces: Vec<Piece>) -> Vec<String> {
    pieces
        .into_iter()
        .map(|piece| match piece {
            Piece::Chat(text) | Piece::Notice(text) => text,
            Piece::Bell => "(bell)".to_owned(),
        })
        .collect()
}

#[test]
fn messages_have_a_local_time_and_a_new_day_is_announced() {
    let mut renderer = renderer();
    let lines: Vec<String> = [("bob", "hello", 0), ("bob", "again", 1), ("carol", "next day", 1440)]
        .into_iter()
        .flat_map(|(sender, text, minutes)| texts(renderer.message(&stored(sender, text, minutes), Arrival::Live)))
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
    assert_eq!(texts(renderer.message(&message, Arrival::Live))[1], "01:46 * bob waves");
    message.body = None;
    assert!(texts(renderer.message(&message, Arrival::Live))[0].contains("does not know"));
    message.time = Timestamp(u64::MAX);
    assert!(!texts(renderer.message(&message, Arrival::Live)).is_empty());
}

#[test]
fn further_lines_of_a_message_cannot_pass_for_messages() {
    let mut renderer = renderer();
    let lines = texts(renderer.message(&stored("bob", "one\n01:47 <carol> forged", 0), Arrival::Live));
    assert_eq!(lines[1], "01:46 <bob> one\n      | 01:47 <carol> forged");
}

#[test]
fn names_are_mentioned_as_words_only() {
    let alice = "alice".parse().unwrap();
    for text in ["alice", "hi Alice!", "@alice: look", "(alice)", "alice."] {
        assert!(mentions(text, alice), "{text}");
    }
    for text in ["malice", "alice2", "al ice", "alice-bot", ""] {
        assert!(!mentions(text, alice), "{text}");
    }
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
        let mut shown = texts(renderer.message(&stored("bob", &attack, 0), Arrival::Live));
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
    let event = Event::Presence(Presence { room: RoomName::lobby(), came, left: vec![] });
    assert_eq!(texts(renderer().event(&event)), ["-- b, c, d, e, f and 1 more came"]);
}
