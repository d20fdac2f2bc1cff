//! The client without a terminal.

use super::*;

#[test]
fn lines_are_messages_and_the_end_waits_for_them() {
    let world = World::new();
    let mut alice = world.pipe("alice");
    for line in ["hello", "/me waves", "", "//slash", "/list", "/fingerprint"] {
        alice.say(line);
    }
    let (lines, errors, status) = alice.end();
    assert_eq!(status.code(), Some(0), "{errors}");
    let all = lines.join("\n");
    for part in ["<alice> hello", "* alice waves", "<alice> /slash", "1 user in #common", "server  SHA256:"] {
        assert!(all.contains(part), "{all}");
    }
    // Day and time stand before what is said.
    let said = lines.iter().find(|line| line.ends_with("<alice> hello")).unwrap();
    assert_eq!(said.len(), "2026-01-01 00:00 <alice> hello".len());
}

#[test]
fn hundreds_of_lines_arrive_in_order_whatever_the_server_allows_a_second() {
    let world = World::new();
    let mut bob = world.pipe("bob");
    // He is there before the first of them.
    bob.say("ready");
    bob.hears("<bob> ready");
    let mut alice = world.pipe("alice");
    let count = 160;
    for number in 0..count {
        alice.say(&format!("number {number}"));
    }
    let (_, errors, status) = alice.end();
    assert_eq!(status.code(), Some(0), "{errors}");
    let mut heard = Vec::new();
    while heard.len() < count {
        let line = bob.lines.recv_timeout(PATIENCE).unwrap();
        heard.extend(line.split_once("<alice> number ").map(|(_, number)| number.parse::<usize>().unwrap()));
    }
    assert!(heard.iter().copied().eq(0..count), "{heard:?}");
    assert_eq!(bob.end().2.code(), Some(0));
}

#[test]
fn without_input_it_shows_what_was_said_and_leaves() {
    let world = World::new();
    let mut alice = world.pipe("alice");
    alice.say("kept");
    alice.end();
    let (lines, _, status) = world.pipe("bob").end();
    assert_eq!(status.code(), Some(0));
    assert!(lines.iter().any(|line| line.ends_with("<alice> kept")), "{lines:?}");
    // Not even an empty one.
    let closed = world
        .command("bob", "sh")
        .args(["-c", "exec \"$@\" <&-", "sh", PROGRAM])
        .args(world.connect("bob"))
        .output()
        .unwrap();
    assert_eq!(closed.status.code(), Some(0), "{}", String::from_utf8_lossy(&closed.stderr));
    assert!(String::from_utf8_lossy(&closed.stdout).contains("<alice> kept"));
}

#[test]
fn what_comes_to_nothing_shows_in_the_exit_code() {
    let world = World::new();
    for (line, error) in [
        ("/nope", "there is no command /nope"),
        ("/shutdown", "rsachat: -- /shutdown: "),
        ("/whois nobody", "rsachat: -- /whois: "),
        (&"x".repeat(10_000), "rsachat: -- not sent: the message has 10000 bytes"),
    ] {
        let mut bob = world.pipe("bob");
        bob.say(line);
        let (_, errors, status) = bob.end();
        assert!(errors.contains(error), "{errors}");
        assert_eq!(status.code(), Some(6), "{line}: {errors}");
    }
}

#[test]
fn a_reader_that_has_gone_away_ends_it_quietly_and_what_was_said_is_kept() {
    let world = World::new();
    let mut alice = world.pipe("alice");
    alice.say("first");
    alice.hears("<alice> first");
    let output = world
        .command("bob", "sh")
        .args(["-c", "(echo one; sleep 3) | \"$@\" | true", "sh", PROGRAM])
        .args(world.connect("bob"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    alice.hears("<bob> one");
    assert_eq!(alice.end().2.code(), Some(0));
}

#[test]
fn a_signal_ends_it_with_its_code() {
    let world = World::new();
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let mut alice = world.pipe("alice");
        alice.say(signal);
        alice.hears(&format!("<alice> {signal}"));
        let kill = Command::new("kill").args([signal, &alice.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        // Its input stays open: the end of that would be another reason to leave.
        let _input = alice.child.stdin.take();
        let status = alice.child.wait().unwrap();
        assert_eq!(status.code(), Some(code));
    }
}

#[test]
fn the_wrong_keys_have_their_exit_codes() {
    let world = World::new();
    let run = |arguments: &[&str]| {
        let output = world.command("alice", PROGRAM).args(arguments).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (address, server) = (world.address(), data("test_server.pem").display().to_string());
    let (code, errors) =
        run(&["connect", &address, "--user", "bob", "--identity", "key_alice.private.pem", "--server-key", &server]);
    assert_eq!(code, Some(4), "{errors}");
    assert!(errors.contains("rsachat keys add key_bob.pem"), "{errors}");

    let other = data("test_bob.pem").display().to_string();
    let (code, errors) = run(&["connect", &address, "--user", "alice", "--server-key", &other]);
    assert_eq!(code, Some(5), "{errors}");
    assert!(errors.contains("THE SERVER'S KEY IS NOT THE ONE THAT IS TRUSTED"), "{errors}");

    let zeros = format!("SHA256:{}", "A".repeat(43));
    let (code, errors) = run(&["connect", &address, "--user", "alice", "--fingerprint", &zeros]);
    assert_eq!(code, Some(5), "{errors}");

    let (code, errors) = run(&["connect", &address, "--user", "alice"]);
    assert_eq!(code, Some(4), "{errors}");
    assert!(errors.contains("--server-key FILE or --fingerprint SHA256:..."), "{errors}");
}

#[test]
fn the_second_signal_ends_it_even_while_nobody_reads_what_it_writes() {
    let world = World::new();
    let mut alice = world.command("alice", PROGRAM);
    let mut alice = alice.args(world.connect("alice")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut bob = world.pipe("bob");
    for _ in 0..40 {
        bob.say(&"much to read ".repeat(600));
    }
    // Blocked in write(2), system call 1.
    until(|| fs::read_to_string(format!("/proc/{}/syscall", alice.id())).unwrap().starts_with("1 "));
    // Two that come together are one to the system.
    until(|| {
        let _ = Command::new("kill").arg(alice.id().to_string()).stderr(Stdio::null()).status();
        alice.try_wait().unwrap().is_some()
    });
    assert_eq!(alice.wait().unwrap().code(), Some(143));
}

#[test]
fn an_input_that_can_not_be_read_shows_in_the_exit_code() {
    let world = World::new();
    let directory = fs::File::open(world.path("alice")).unwrap();
    let output = world.command("alice", PROGRAM).args(world.connect("alice")).stdin(directory).output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    assert!(String::from_utf8_lossy(&output.stderr).contains("can't read standard input"));
}

#[test]
fn a_pipe_speaks_in_the_room_that_it_joined_or_made_last() {
    let world = World::new();
    let mut alice = world.pipe("alice");
    for line in ["in common", "/create #dev", "/topic work", "/rooms"] {
        alice.say(line);
    }
    let (lines, errors, status) = alice.end();
    assert_eq!(status.code(), Some(0), "{errors}");
    assert!(lines.iter().any(|line| line.contains("#dev") && line.ends_with("open, yours: work")), "{lines:?}");
    let mut bob = world.pipe("bob");
    bob.say("/join #dev");
    bob.say("in dev");
    bob.say("/3");
    let (lines, errors, status) = bob.end();
    assert_eq!(status.code(), Some(6), "{errors}");
    assert!(errors.contains("/join #ROOM or /join @USER goes there"), "{errors}");
    assert!(lines.iter().any(|line| line.ends_with("<bob> in dev")), "{lines:?}");
    let (lines, ..) = world.pipe_with("alice", &["--room", "#dev"]).end();
    let said: Vec<&str> = lines.iter().filter_map(|line| line.split_once("> ")).map(|(_, text)| text).collect();
    assert_eq!(said, ["in dev"]);
}

#[test]
fn what_was_for_a_room_that_can_not_be_made_is_said_nowhere() {
    let world = World::new();
    assert!(world.pipe("bob").end().2.success());
    let mut alice = world.pipe("alice");
    for line in
        ["/create #dev", "/create #dev --private", "a secret", "/invite bob", "/msg bob hello", "/join #dev", "open"]
    {
        alice.say(line);
    }
    let (_, errors, status) = alice.end();
    assert_eq!(status.code(), Some(6), "{errors}");
    assert!(errors.contains("/create: there is a room #dev already"), "{errors}");
    assert_eq!(errors.matches("you are in no room: the last one could not be made").count(), 2, "{errors}");
    for room in ["#common", "#dev"] {
        let (lines, ..) = world.pipe_with("alice", &["--room", room]).end();
        assert!(!lines.iter().any(|line| line.contains("secret")), "{lines:?}");
        assert_eq!(lines.iter().any(|line| line.ends_with("<alice> open")), room == "#dev", "{lines:?}");
    }
}

#[test]
fn whoever_is_ignored_is_not_shown_on_any_client_until_that_is_ended() {
    let world = World::new();
    let mut bob = world.pipe("bob");
    bob.say("from bob");
    bob.hears("<bob> from bob");
    let mut alice = world.pipe("alice");
    alice.hears("<bob> from bob");
    alice.say("/ignore bob");
    assert!(alice.end().2.success());
    let shown = |command: &str| {
        let mut alice = world.pipe("alice");
        alice.say("here");
        // What came before she entered has come.
        alice.hears("<alice> here");
        alice.say(command);
        alice.say("/history");
        let (lines, errors, status) = alice.end();
        assert!(status.success(), "{errors}");
        lines.iter().filter(|line| line.ends_with("<bob> from bob")).count()
    };
    assert_eq!(shown("something else"), 0);
    // Only by /history: what came while he was ignored is not shown once more.
    assert_eq!(shown("/unignore bob"), 1);
    assert!(bob.end().2.success());
    let mut alice = world.pipe("alice");
    alice.say("/ignore alice");
    let (_, errors, status) = alice.end();
    assert!(status.code() == Some(6) && errors.contains("alice is you"), "{errors}");
}

#[test]
fn what_is_said_where_one_does_not_look_waits_there() {
    let world = World::new();
    let (mut alice, mut bob) = (world.pipe("alice"), world.pipe("bob"));
    for line in ["/create #dev", "/join #dev", "/invite bob", "in dev", "more in dev"] {
        alice.say(line);
    }
    alice.hears("<alice> more in dev");
    alice.say("/join #common");
    alice.say("in common");
    bob.hears("<alice> in common");
    // He is in the room already, since he was brought in.
    bob.say("/join #dev");
    bob.hears("<alice> in dev");
    bob.hears("<alice> more in dev");
    alice.say("/join #dev");
    alice.say("and now");
    bob.hears("<alice> and now");
    let (rest, _, status) = bob.end();
    assert!(status.success() && rest.is_empty(), "{rest:?}");
}

#[test]
fn what_is_asked_of_a_room_that_one_does_not_get_into_is_answered() {
    let world = World::new();
    let mut bob = world.pipe("bob");
    for line in ["/join #nowhere", "/history", "/list"] {
        bob.say(line);
    }
    let (lines, errors, status) = bob.end();
    assert_eq!((lines.len(), status.code()), (0, Some(6)), "{errors}");
    for what in ["can't enter #nowhere", "/history: you are not in #nowhere", "/list: you are not in #nowhere"] {
        assert!(errors.contains(what), "{what}: {errors}");
    }
}
