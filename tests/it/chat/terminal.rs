//! The line client.

use super::*;

const ENTER: &str = "\r";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";

#[test]
fn a_half_typed_line_survives_what_arrives() {
    let world = World::new();
    let mut alice = world.chatting("alice");
    let mut bob = world.pipe("bob");
    alice.expect("bob came").unwrap();
    alice.send("half a li").unwrap();
    // With the first character the line is drawn anew.
    alice.expect("alf a li").unwrap();
    for text in ["one", "two", "three"] {
        bob.say(text);
        alice.expect(format!("<bob> {text}")).unwrap();
        // The prompt comes back with what was typed.
        alice.expect("[#common] alice> half a li").unwrap();
    }
    alice.send(format!("ne{ENTER}")).unwrap();
    bob.hears("<alice> half a line");
    // It is shown as everyone sees it, and the prompt is empty again.
    alice.expect("<alice> half a line").unwrap();
    alice.expect("[#common] alice> ").unwrap();
    alice.send(format!("/exit{ENTER}")).unwrap();
    assert_eq!(end(alice).1, 0);
}

#[test]
fn the_keys_that_leave() {
    let world = World::new();
    for (keys, code) in [(CTRL_D, 0), (CTRL_C, 130), ("half\x03\x03", 130), ("/quit\r", 0)] {
        let mut alice = world.chatting("alice");
        alice.send(keys).unwrap();
        let (text, exit) = end(alice);
        assert_eq!(exit, code, "{keys:?}: {text}");
        // The terminal is as it was.
        assert!(text.contains("\x1b[?2004l"), "{text:?}");
    }
}

#[test]
fn a_signal_ends_it_and_restores_the_terminal() {
    let world = World::new();
    let mut alice = world.chatting("alice");
    alice.send("half a line").unwrap();
    alice.expect("alf a line").unwrap();
    let pid = alice.get_process().pid().as_raw();
    let kill = Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap();
    assert!(kill.success());
    let (text, code) = end(alice);
    assert_eq!(code, 143, "{text}");
    assert!(text.contains("\x1b[?2004l"), "{text:?}");
}

#[test]
fn commands_answer_above_the_line_and_mistakes_stay_in_it() {
    let world = World::new();
    let mut alice = world.chatting("alice");
    let bob = world.pipe("bob");
    alice.expect("bob came").unwrap();
    for (line, answer) in [
        ("/help", "/history [N]"),
        ("/who", "2 users in #common"),
        ("/whois bob", "key SHA256:"),
        ("/fingerprint", "server  SHA256:"),
        ("/me waves", "* alice waves"),
        ("//etc", "<alice> /etc"),
        ("/history", "end of the history"),
    ] {
        alice.send(format!("{line}{ENTER}")).unwrap();
        alice.expect(answer).unwrap();
        alice.expect("[#common] alice> ").unwrap();
    }
    alice.send(format!("/shutdwon{ENTER}")).unwrap();
    alice.expect("there is no command /shutdwon").unwrap();
    alice.expect("/shutdown, or //shutdwon to say it").unwrap();
    alice.expect("[#common] alice> /shutdwon").unwrap();
    alice.send(CTRL_C).unwrap();
    // What was entered comes back with the arrow key.
    alice.send(format!("\x1b[A{ENTER}")).unwrap();
    alice.expect("end of the history").unwrap();
    alice.send(format!("/shutdown{ENTER}")).unwrap();
    assert_eq!(end(alice).1, 0);
    let (lines, ..) = bob.end();
    assert!(lines.iter().any(|line| line.ends_with("* alice waves")), "{lines:?}");
}

#[test]
fn several_pasted_lines_are_one_message() {
    let world = World::new();
    let mut alice = world.chatting("alice");
    let mut bob = world.pipe("bob");
    alice.expect("bob came").unwrap();
    alice.send("\x1b[200~one\r\ntwo\x1b[201~").unwrap();
    alice.send(ENTER).unwrap();
    bob.hears("<alice> one");
    assert_eq!(bob.hears("two"), "      | two");
    bob.say("done");
    alice.expect("<bob> done").unwrap();
    alice.send(CTRL_D).unwrap();
    assert_eq!(end(alice).1, 0);
}

#[test]
fn the_server_goes_away_and_comes_back_and_nothing_is_lost() {
    let mut world = World::new();
    let mut alice = world.chatting("alice");
    alice.send(format!("before{ENTER}")).unwrap();
    alice.expect("<alice> before").unwrap();
    world.kill_server();
    alice.expect("connection lost").unwrap();
    alice.send(format!("meanwhile{ENTER}")).unwrap();
    alice.expect("meanwhile (not on the server's disk yet)").unwrap();
    world.start_server();
    alice.expect("back in #common").unwrap();
    alice.expect("<alice> meanwhile").unwrap();
    let (lines, _, status) = world.pipe("bob").end();
    assert!(status.success());
    let texts: Vec<&str> = lines.iter().filter_map(|line| line.split_once("> ")).map(|(_, text)| text).collect();
    assert_eq!(texts, ["before", "meanwhile"]);
    alice.send(CTRL_D).unwrap();
    assert_eq!(end(alice).1, 0);
}

#[test]
fn whoever_is_put_out_is_told_why() {
    let world = World::new();
    let mut alice = world.chatting("alice");
    alice.send("half a line").unwrap();
    alice.expect("alf a line").unwrap();
    fs::remove_file(world.path("server/keys/key_alice.pem")).unwrap();
    let (text, code) = end(alice);
    assert_eq!(code, 4, "{text}");
    assert!(text.contains("rsachat: error: put out by the server: "), "{text}");
}

#[test]
fn on_a_narrow_terminal_rows_are_broken_where_no_message_can_begin() {
    let world = World::new();
    let mut alice = world.terminal_of("alice", &world.connect("alice"), 40);
    alice.expect("you are in #common").unwrap();
    let mut bob = world.pipe("bob");
    alice.expect("bob came").unwrap();
    bob.say(&format!("{}12:00 <alice> forged", "word ".repeat(10)));
    alice.expect("forged").unwrap();
    bob.say("end");
    let text = alice.expect("<bob> end").unwrap();
    assert!(!String::from_utf8_lossy(text.as_bytes()).contains("\n12:00 <alice>"));
    alice.send(CTRL_D).unwrap();
    assert_eq!(end(alice).1, 0);
}

#[test]
fn a_server_that_is_down_is_waited_for() {
    let mut world = World::new();
    world.kill_server();
    let mut alice = world.terminal("alice", &world.connect("alice"));
    alice.expect("connection refused").unwrap();
    world.start_server();
    alice.expect("you are in #common").unwrap();
    alice.send(CTRL_D).unwrap();
    assert_eq!(end(alice).1, 0);
}

#[test]
fn one_looks_at_one_room_while_others_are_spoken_in() {
    let world = World::new();
    let mut alice = world.chatting("alice");
    alice.send(format!("/create #dev{ENTER}")).unwrap();
    alice.expect("[#dev] alice> ").unwrap();
    alice.send(format!("/topic on call: alice{ENTER}")).unwrap();
    alice.expect("alice set the topic: on call: alice").unwrap();
    let mut bob = world.pipe("bob");
    bob.say("/join #dev");
    bob.say("in dev");
    alice.expect("<bob> in dev").unwrap();
    alice.expect("bob came").unwrap();
    // What is typed is still there when another room is looked at, whatever is said in the one that was left.
    alice.send(format!("/1{ENTER}half a li")).unwrap();
    alice.expect("[#common] alice> half a li").unwrap();
    for number in 1..=40 {
        bob.say(&format!("number {number}"));
    }
    bob.say("look, @alice");
    alice.expect("bob mentioned you in #dev; /2 goes there").unwrap();
    alice.expect("[#common] alice> half a li").unwrap();
    alice.send(format!("ne{ENTER}")).unwrap();
    alice.expect("<alice> half a line").unwrap();
    // What was not seen stands behind the prompt, once nothing is typed.
    alice.expect("[#common] alice> #dev 41").unwrap();
    alice.send(format!("/rooms{ENTER}")).unwrap();
    alice.expect("2 #dev").unwrap();
    alice.expect("yours, 41 unread: on call: alice").unwrap();
    alice.send(format!("/2{ENTER}")).unwrap();
    alice.expect("#dev: on call: alice").unwrap();
    for number in 1..=40 {
        alice.expect(format!("<bob> number {number}")).unwrap();
    }
    alice.expect("[#dev] alice> ").unwrap();
    alice.send(format!("answer{ENTER}")).unwrap();
    bob.hears("<alice> answer");
    let (lines, _, status) = bob.end();
    assert!(status.success());
    assert!(!lines.iter().any(|line| line.contains("half a line")), "said in another room: {lines:?}");
    alice.expect("bob left").unwrap();
    alice.send(format!("/leave{ENTER}")).unwrap();
    alice.expect("you have left #dev").unwrap();
    alice.expect("[#common] alice> ").unwrap();
    alice.send(CTRL_D).unwrap();
    assert_eq!(end(alice).1, 0);
}

#[test]
fn whoever_is_brought_in_and_put_out_is_told_where_he_is() {
    let world = World::new();
    let mut alice = world.chatting("alice");
    let mut bob = world.chatting("bob");
    alice.expect("bob came").unwrap();
    alice.send(format!("/create #dev{ENTER}")).unwrap();
    alice.expect("[#dev] alice> ").unwrap();
    alice.send(format!("/invite bob{ENTER}")).unwrap();
    bob.expect("alice brought you into #dev; /join #dev goes there").unwrap();
    bob.send(format!("/join #dev{ENTER}")).unwrap();
    bob.expect("[#dev] bob> ").unwrap();
    alice.send(format!("/mute bob 30m{ENTER}")).unwrap();
    bob.expect("alice muted bob until").unwrap();
    bob.send(format!("hello?{ENTER}")).unwrap();
    bob.expect("not sent: you are muted in #dev for another 30 min").unwrap();
    bob.expect("it was: hello?").unwrap();
    alice.send(format!("/ban bob 7d too loud{ENTER}")).unwrap();
    bob.expect("alice put you out of #dev: too loud").unwrap();
    bob.expect("[#common] bob> ").unwrap();
    bob.send(format!("/join #dev{ENTER}")).unwrap();
    bob.expect("can't enter #dev: you are banned from #dev for another 7 days").unwrap();
    bob.expect("[#common] bob> ").unwrap();
    bob.send(CTRL_D).unwrap();
    assert_eq!(end(bob).1, 0);
    alice.send(CTRL_D).unwrap();
    assert_eq!(end(alice).1, 0);
}

#[test]
fn whoever_comes_back_finds_what_was_said_in_each_room_in_that_room() {
    let world = World::new();
    let mut bob = world.chatting("bob");
    bob.send(format!("/create #dev{ENTER}")).unwrap();
    bob.expect("[#dev] bob> ").unwrap();
    for (user, room) in [("alice", "#dev"), ("alice", "#common")] {
        let mut pipe = world.pipe_with(user, &["--room", room]);
        pipe.say(&format!("said in {room}"));
        assert!(pipe.end().2.success());
    }
    let mut alice = world.chatting("alice");
    alice.send(format!("/2{ENTER}")).unwrap();
    let before = alice.expect("-- #dev").unwrap();
    let before = String::from_utf8_lossy(before.before()).into_owned();
    assert!(!before.contains("said in #dev"), "{before}");
    alice.expect("said in #dev").unwrap();
    alice.expect("[#dev] alice> ").unwrap();
    for terminal in [&mut alice, &mut bob] {
        terminal.send(CTRL_D).unwrap();
    }
    assert_eq!((end(alice).1, end(bob).1), (0, 0));
}

#[test]
fn whoever_starts_anew_goes_on_where_he_has_read() {
    let world = World::new();
    let mut alice = world.chatting("alice");
    alice.send(format!("/create #dev{ENTER}")).unwrap();
    alice.expect("[#dev] alice> ").unwrap();
    alice.send(format!("/1{ENTER}")).unwrap();
    alice.expect("[#common] alice> ").unwrap();
    let say = |room: &str, text: &str| {
        let mut pipe = world.pipe_with("bob", &["--room", room]);
        pipe.say(text);
        assert!(pipe.end().2.success());
    };
    say("#common", "one");
    say("#dev", "in dev");
    alice.expect("<bob> one").unwrap();
    alice.expect("[#common] alice> #dev 1").unwrap();
    alice.send(CTRL_D).unwrap();
    assert_eq!(end(alice).1, 0);
    say("#common", "two");
    say("#dev", "more");
    let mut alice = world.chatting("alice");
    alice.expect("#dev 2").unwrap();
    alice.send(format!("/history{ENTER}")).unwrap();
    alice.expect("end of the history").unwrap();
    alice.send(format!("/2{ENTER}")).unwrap();
    alice.expect("<bob> in dev").unwrap();
    alice.expect("<bob> more").unwrap();
    alice.expect("[#dev] alice> ").unwrap();
    alice.send(CTRL_D).unwrap();
    assert_eq!(end(alice).1, 0);
    // Everything is read now: it is shown, and is nothing new.
    let mut alice = world.chatting("alice");
    alice.send(format!("/rooms{ENTER}")).unwrap();
    let before = alice.expect("2 #dev").unwrap();
    let before = String::from_utf8_lossy(before.before()).into_owned();
    assert!(!before.contains("new since"), "{before}");
    let rooms = alice.expect("[#common] alice> ").unwrap();
    let rooms = String::from_utf8_lossy(rooms.before()).into_owned();
    assert!(!rooms.contains("unread"), "{rooms}");
    alice.send(CTRL_D).unwrap();
    assert_eq!(end(alice).1, 0);
}

#[test]
fn what_was_said_to_one_alone_stays_new_until_it_is_looked_at() {
    let world = World::new();
    let mut alice = world.chatting("alice");
    let mut bob = world.pipe("bob");
    bob.say("/msg alice psst");
    assert!(bob.end().2.success());
    alice.expect("bob says something to you alone").unwrap();
    alice.expect("[#common] alice> @bob 1").unwrap();
    alice.send(CTRL_D).unwrap();
    assert_eq!(end(alice).1, 0);
    // It has come to her, and she has not looked at it.
    let mut alice = world.chatting("alice");
    alice.expect("[#common] alice> @bob 1").unwrap();
    alice.send(format!("/2{ENTER}")).unwrap();
    alice.expect("<bob> psst").unwrap();
    alice.expect("[@bob] alice> ").unwrap();
    alice.send(CTRL_D).unwrap();
    assert_eq!(end(alice).1, 0);
    let mut alice = world.chatting("alice");
    alice.send(format!("/rooms{ENTER}")).unwrap();
    let shown = alice.expect("@bob").unwrap();
    let shown = String::from_utf8_lossy(shown.before()).into_owned();
    assert!(!shown.contains("to you alone"), "{shown}");
    let rest = alice.expect("[#common] alice> ").unwrap();
    assert!(!String::from_utf8_lossy(rest.before()).contains("unread"));
    alice.send(CTRL_D).unwrap();
    assert_eq!(end(alice).1, 0);
}

/// Reads what the terminal shows, until this is among it.
fn read(session: &mut OsSession, text: &str, shown: &mut String) {
    if !shown.contains(text) {
        let found = session.expect(text).unwrap();
        shown.push_str(&String::from_utf8_lossy(found.as_bytes()));
    }
}

#[test]
fn rooms_are_switched_while_people_speak_in_them() {
    const ROUNDS: usize = 12;
    let world = World::new();
    let mut alice = world.chatting("alice");
    alice.send(format!("/create #dev{ENTER}")).unwrap();
    alice.expect("[#dev] alice> ").unwrap();
    let mut common = world.pipe("bob");
    let mut dev = world.pipe("bob");
    dev.say("/join #dev");
    let mut shown = String::new();
    for round in 0..ROUNDS {
        // While these come, she goes from one room to the other, and back.
        for number in 4 * round..4 * round + 4 {
            common.say(&format!("c{number}."));
            dev.say(&format!("d{number}."));
        }
        alice.send(format!("/1{ENTER}")).unwrap();
        alice.send(format!("/2{ENTER}")).unwrap();
        alice.send(format!("/1{ENTER}")).unwrap();
        let last = 4 * round + 3;
        read(&mut alice, &format!("<bob> c{last}."), &mut shown);
        alice.send(format!("/2{ENTER}")).unwrap();
        read(&mut alice, &format!("<bob> d{last}."), &mut shown);
    }
    assert!(common.end().2.success() && dev.end().2.success());
    alice.send(format!("/exit{ENTER}")).unwrap();
    let (rest, code) = end(alice);
    assert_eq!(code, 0);
    shown.push_str(&rest);
    for letter in ['c', 'd'] {
        let mut after = 0;
        for number in 0..4 * ROUNDS {
            let text = format!("<bob> {letter}{number}.");
            assert_eq!(shown.matches(&text).count(), 1, "{text} in {shown:?}");
            let at = shown.find(&text).unwrap();
            assert!(at >= after, "{text} comes too early in {shown:?}");
            after = at;
        }
    }
}
