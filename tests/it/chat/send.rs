//! `rsachat send`: what scripts say, and what they are told.

use super::*;

pub(super) struct Sent {
    pub(super) code: Option<i32>,
    err: String,
}

impl World {
    pub(super) fn sender(&self, user: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(user, PROGRAM);
        let key = data("test_server.pem");
        command.args(["send", "--server", &self.address(), "--user", user, "--server-key"]).arg(key).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn send_from(&self, user: &str, arguments: &[&str], input: &[u8]) -> Sent {
        let mut child = self.sender(user, arguments).spawn().unwrap();
        // It may have ended already, if it takes nothing from there.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        assert!(output.stdout.is_empty());
        Sent { code: output.status.code(), err: String::from_utf8(output.stderr).unwrap() }
    }

    pub(super) fn send(&self, user: &str, arguments: &[&str]) -> Sent {
        self.send_from(user, arguments, b"")
    }

    /// What a new client of a user is shown of a room.
    fn shown(&self, user: &str, room: &str) -> Vec<String> {
        let (lines, ..) = self.pipe_with(user, &["--room", room]).end();
        lines.iter().filter_map(|line| line.split_once("<alice> ")).map(|(_, text)| text.to_owned()).collect()
    }
}

impl Sent {
    #[track_caller]
    pub(super) fn is(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.err);
        for part in parts {
            assert!(self.err.contains(part), "no {part:?} in: {}", self.err);
        }
        assert!(code != 0 || !parts.is_empty() || self.err.is_empty(), "{}", self.err);
    }
}

#[test]
fn what_is_said_is_stored_when_it_returns() {
    let mut world = World::new();
    world.send("alice", &["the", "build is", "green"]).is(0, &[]);
    world.send_from("alice", &[], b"from input\n").is(0, &[]);
    world.send_from("alice", &["-"], b"two\nlines\n\n").is(0, &[]);
    world.send_from("alice", &["--lines"], b"first\n\nsecond\nthird without an end").is(0, &[]);
    world.send("alice", &["--", "--room"]).is(0, &[]);
    world.kill_server();
    world.start_server();
    let all = ["the build is green", "from input", "two", "first", "second", "third without an end", "--room"];
    assert_eq!(world.shown("bob", "#common"), all);
}

#[test]
fn what_is_too_long_for_a_message_is_said_in_parts() {
    let world = World::new();
    let line = "x".repeat(5000);
    world.send_from("alice", &[], format!("{line}\n{line}\nend").as_bytes()).is(0, &["said in 2"]);
    assert_eq!(world.shown("bob", "#common"), [line.as_str(), line.as_str()]);
}

#[test]
fn each_cause_has_its_exit_code() {
    let mut world = World::new();
    world.send("alice", &["--to", "nobody", "hello"]).is(7, &["no user nobody is registered"]);
    world.send("alice", &["--room", "#nowhere", "hello"]).is(8, &["you are not in #nowhere", "--room '#nowhere'"]);
    // A room that he could join: it makes nobody a member.
    let mut bob = world.pipe("bob");
    for line in ["/create #dev", "/status dnd 2h on call"] {
        bob.say(line);
    }
    assert!(bob.end().2.success());
    world.send("alice", &["--room", "#dev", "hello"]).is(8, &["you are not in #dev"]);
    world.send("alice", &["--to", "bob", "hello"]).is(9, &["bob does not want to be disturbed: on call"]);
    world.send("alice", &["--to", "bob", "--urgent", "fire"]).is(0, &[]);
    let mut bob = world.pipe("bob");
    bob.say("/back");
    assert!(bob.end().2.success());
    // Muted, and so refused.
    let mut alice = world.pipe("alice");
    alice.say("/mute bob 1h");
    assert!(alice.end().2.success());
    world.send("bob", &["hello"]).is(6, &["you are muted in #common"]);
    // Another key than the one that alice has met.
    fs::copy(data("test_mallory.pem"), world.path("server/keys/key_bob.pem")).unwrap();
    until(|| world.send("alice", &["--to", "bob", "hello"]).code != Some(0));
    world.send("alice", &["--to", "bob", "hello"]).is(5, &["bob has another key than before", "/trust bob"]);
    world.send("bob", &["hello"]).is(4, &["does not let bob in"]);
    world.send("alice", &["--to", "alice", "hello"]).is(2, &["alice is you"]);
    world.send("alice", &["--wait", "read", "hello"]).is(2, &["--to USER"]);
    world.send_from("alice", &[], b" \n").is(2, &["there is nothing to say"]);
    world.kill_server();
    world.send("alice", &["--timeout", "1s", "hello"]).is(3, &["no connection to 127.0.0.1"]);
}

#[test]
fn it_waits_for_whom_it_is_for() {
    let world = World::new();
    let wait = |what| ["--to", "bob", "--wait", what, "--timeout", "5s", "are you there?"];
    world.send("alice", &wait("delivered")).is(10, &["stored, but not delivered within 5 s"]);
    let bob = world.pipe("bob");
    until(|| world.send("alice", &wait("delivered")).code == Some(0));
    // A pipe has it, and nobody has read it.
    world.send("alice", &wait("read")).is(10, &["stored, but not read within 5 s"]);
    assert!(bob.end().2.success());
    let mut bob =
        world.terminal("bob", &[world.connect("bob"), vec!["--room".to_owned(), "@alice".to_owned()]].concat());
    bob.expect("are you there?").unwrap();
    world.send("alice", &["--to", "bob", "--wait", "read", "and now?"]).is(0, &[]);
    bob.expect("and now?").unwrap();
    bob.send("\x04").unwrap();
    assert_eq!(end(bob).1, 0);
}

#[test]
fn fifty_at_once_disturb_nobody() {
    let world = World::new();
    let mut alice = world.pipe("alice");
    alice.say("before");
    alice.hears("<alice> before");
    let children: Vec<Child> =
        (0..50).map(|number| world.sender("alice", &[&format!("number {number}")]).spawn().unwrap()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    alice.say("after");
    alice.hears("<alice> after");
    let (_, err, status) = alice.end();
    assert!(status.success() && !err.contains("connection lost"), "{err}");
    let mut bob = world.pipe("bob");
    bob.say("/history");
    let (lines, ..) = bob.end();
    let history = lines.iter().rev().take_while(|line| !line.ends_with("<alice> before"));
    let mut numbers: Vec<u32> = history
        .filter_map(|line| line.split_once("<alice> number "))
        .map(|(_, number)| number.parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>(), "each is stored, once");
}

#[test]
fn what_was_for_the_user_stays_new_to_him() {
    let world = World::new();
    world.send("bob", &["--to", "alice", "for you"]).is(0, &[]);
    world.send("alice", &["--to", "bob", "from a script"]).is(0, &[]);
    // It was neither delivered to her nor read by that.
    let waits = ["--to", "alice", "--wait", "delivered", "--timeout", "5s", "still there?"];
    world.send("bob", &waits).is(10, &["not delivered"]);
    let mut alice = world.chatting("alice");
    alice.expect("@bob 2").unwrap();
    alice.send("\x04").unwrap();
    assert_eq!(end(alice).1, 0);
}
