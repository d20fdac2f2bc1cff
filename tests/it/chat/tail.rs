//! `rsachat tail`: what is handed out, once, whatever happens to it.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};

use super::json::{has, invalid};
use super::*;

impl World {
    fn tail(&self, user: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(user, PROGRAM);
        let key = data("test_server.pem");
        command.args(["tail", "--server", &self.address(), "--user", user, "--server-key"]).arg(key).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn says(&self, user: &str, arguments: &[&str], text: &str) {
        let mut command = self.command(user, PROGRAM);
        let key = data("test_server.pem");
        command.args(["send", "--server", &self.address(), "--user", user, "--server-key"]).arg(key);
        let output = command.args(arguments).arg("--").arg(text).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

/// A running one.
struct Tail {
    child: Child,
    lines: Receiver<String>,
}

impl Tail {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    #[track_caller]
    fn next(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    #[track_caller]
    fn message(&self) -> Value {
        let line = serde_json::from_str(&self.next()).unwrap();
        assert_eq!(invalid(&line), None, "{line}");
        line
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end: its exit code, and what it has said of it.
    fn ended(mut self) -> (Option<i32>, String) {
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (self.child.wait().unwrap().code(), errors)
    }

    fn end(self, signal: Signal) -> (Option<i32>, String) {
        self.signal(signal);
        self.ended()
    }
}

/// Kills it, at once.
impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_said_comes_once_from_where_one_wants_it() {
    let world = World::new();
    for number in 1..=5 {
        world.says("bob", &[], &format!("number {number}"));
    }
    let all = Tail::start(&mut world.tail("alice", &["--json", "--since", "1h"]));
    for number in 1..=5 {
        let message = all.message();
        assert!(
            has(&message, &json!({"type": "message", "seq": number, "from": "bob", "room": "#common"})),
            "{message}"
        );
    }
    let last = Tail::start(&mut world.tail("alice", &["--room", "#common", "--since", "2"]));
    assert!(last.next().ends_with("<bob> number 4"));
    assert!(last.next().ends_with("<bob> number 5"));
    world.says("bob", &[], "number 6");
    let six = all.message();
    assert!(last.next().ends_with("<bob> number 6"));
    // Behind a place; and to her alone, for who follows everything.
    world.says("bob", &["--to", "alice"], "secret");
    let secret = all.message();
    assert!(has(&secret, &json!({"room": "@bob", "text": "secret", "sealed": true, "trust": "pinned"})), "{secret}");
    world.says("bob", &[], "number 7");
    let cursor = six["cursor"].as_str().unwrap();
    let behind = Tail::start(&mut world.tail("alice", &["--json", "--room", "#common", "--since", cursor]));
    assert_eq!(behind.message()["text"], "number 7");
    assert!(last.next().ends_with("<bob> number 7"));
    assert_eq!(all.message()["text"], "number 7");
    assert_eq!(all.end(Signal::TERM).0, Some(143));
    assert_eq!(last.end(Signal::INT).0, Some(130));
    drop(behind);
    // Nothing of it was read by alice.
    let (lines, ..) = world.pipe_with("alice", &["--room", "@bob"]).end();
    assert!(lines.iter().any(|line| line.ends_with("secret")));
}

#[test]
fn nothing_is_left_out_where_a_lot_was_said_or_somebody_is_new() {
    const LINES: usize = 250;
    let mut world = World::new();
    world.kill_server();
    let config = r#"{"server_ip": "127.0.0.1", "server_port": 0, "history_keep": "30d"}"#;
    fs::write(world.path("server/config.json"), config).unwrap();
    world.start_server();
    let arguments = ["--json", "--cursor", "bot"];
    let saved = world.path("home/.local/share/rsachat/cursors/bot.json");
    let first = Tail::start(&mut world.tail("alice", &arguments));
    until(|| fs::read_to_string(&saved).unwrap_or_default().contains("common"));
    drop(first);
    // More than the server gives at once.
    let mut lines = world.command("bob", PROGRAM);
    let key = data("test_server.pem");
    lines.args(["send", "--lines", "--server", &world.address(), "--user", "bob", "--server-key"]).arg(key);
    let mut bob = lines.stdin(Stdio::piped()).spawn().unwrap();
    let text: Vec<String> = (1..=LINES).map(|number| format!("number {number}\n")).collect();
    bob.stdin.take().unwrap().write_all(text.concat().as_bytes()).unwrap();
    assert!(bob.wait().unwrap().success());
    let second = Tail::start(&mut world.tail("alice", &arguments));
    for number in 1..=LINES {
        let message = second.message();
        assert_eq!(message["text"], format!("number {number}"), "{message}");
    }
    // His first word to her alone.
    world.says("bob", &["--to", "alice"], "for the first time");
    assert_eq!(second.message()["text"], "for the first time");
    second.end(Signal::TERM);
}

#[test]
fn whoever_leaves_a_room_and_comes_back_is_handed_nothing_twice() {
    let world = World::new();
    let mut alice = world.pipe("alice");
    alice.say("/create #dev");
    alice.say("/invite bob");
    alice.say("one");
    alice.say("/list");
    alice.hears("in #dev");
    let all = Tail::start(&mut world.tail("bob", &["--json", "--since", "1h"]));
    let named = Tail::start(&mut world.tail("bob", &["--json", "--since", "1h", "--room", "#dev"]));
    assert_eq!((all.message()["text"].clone(), named.message()["text"].clone()), (json!("one"), json!("one")));
    alice.say("/kick bob");
    // Where he is not, there is nothing to follow.
    let (code, errors) = named.ended();
    assert_eq!(code, Some(8), "{errors}");
    alice.say("two");
    alice.say("/invite bob");
    alice.say("three");
    assert_eq!((all.message()["text"].clone(), all.message()["text"].clone()), (json!("two"), json!("three")));
}

#[test]
fn where_a_command_fails_at_once_nothing_of_the_beginning_is_lost() {
    let world = World::new();
    for number in 1..=4 {
        world.says("bob", &[], &format!("number {number}"));
    }
    let log = world.path("log");
    let failing = ["--room", "#common", "--cursor", "bot", "--since", "3", "--exec", "exit 3"];
    let output = world.tail("alice", &failing).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let command = format!("cat >> {}", log.display());
    let working = ["--room", "#common", "--cursor", "bot", "--since", "3", "--exec", &command];
    let tail = Tail::start(&mut world.tail("alice", &working));
    until(|| fs::read_to_string(&log).unwrap_or_default().contains("number 4"));
    tail.end(Signal::TERM);
    let lines = fs::read_to_string(&log).unwrap();
    let texts: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts: Vec<&Value> = texts.iter().map(|line: &Value| &line["text"]).collect();
    assert_eq!(texts, ["number 2", "number 3", "number 4"]);
}

#[test]
fn the_signal_to_end_ends_it_between_two_commands() {
    let world = World::new();
    for number in 1..=5 {
        world.says("bob", &[], &format!("number {number}"));
    }
    let (log, gate) = (world.path("log"), world.path("gate"));
    // The first command waits for somebody to open the pipe for writing, and no other one would.
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let command = format!("cat >> {}; read -r _ < {gate}; rm {gate}; true", log.display(), gate = gate.display());
    let tail = Tail::start(&mut world.tail("alice", &["--room", "#common", "--since", "5", "--exec", &command]));
    until(|| fs::read_to_string(&log).unwrap_or_default().contains("number 1\""));
    tail.signal(Signal::TERM);
    fs::write(&gate, "go on\n").unwrap();
    let (code, errors) = tail.ended();
    assert_eq!(code, Some(143), "{errors}");
    assert!(!fs::read_to_string(&log).unwrap().contains("number 2\""));
}

#[test]
fn an_interrupt_at_a_terminal_ends_it_and_its_command_in_silence() {
    let world = World::new();
    world.says("bob", &[], "hello");
    let (log, gate) = (world.path("log"), world.path("gate"));
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    // It waits for what nobody writes.
    let command = format!("cat >> {}; read -r _ < {}", log.display(), gate.display());
    let arguments = ["--room", "#common", "--since", "1", "--cursor", "bot", "--exec"];
    let mut tail = world.tail("alice", &[&arguments[..], &[&command]].concat());
    let tail = Tail::start(tail.process_group(0));
    until(|| fs::read_to_string(&log).unwrap_or_default().contains("hello"));
    // A terminal sends it to all of them.
    kill_process_group(Pid::from_child(&tail.child), Signal::INT).unwrap();
    let (code, errors) = tail.ended();
    assert_eq!(code, Some(130), "{errors}");
    assert!(!errors.contains("error"), "{errors}");
    // It was not done with.
    let command = format!("cat >> {}", log.display());
    let _again = Tail::start(&mut world.tail("alice", &[&arguments[..], &[&command]].concat()));
    until(|| fs::read_to_string(&log).unwrap().lines().count() == 2);
    assert!(fs::read_to_string(&log).unwrap().contains("\"again\":true"));
}

#[test]
fn a_cursor_goes_on_where_it_was() {
    let mut world = World::new();
    let arguments = ["--json", "--cursor", "bot"];
    let first = Tail::start(&mut world.tail("alice", &arguments));
    let saved = world.path("home/.local/share/rsachat/cursors/bot.json");
    let at = |seq: u64| {
        let text = fs::read_to_string(&saved).unwrap_or_default();
        text.contains(&format!("-{seq}\""))
    };
    // It begins with what is said from now on.
    until(|| at(0));
    world.says("bob", &[], "one");
    assert_eq!(first.message()["text"], "one");
    until(|| at(1));
    drop(first);
    world.says("bob", &[], "two");
    world.says("bob", &["--to", "alice"], "alone");
    world.kill_server();
    world.start_server();
    world.says("bob", &[], "three");
    let second = Tail::start(&mut world.tail("alice", &arguments));
    let mut texts: Vec<String> = (0..3).map(|_| second.message()["text"].as_str().unwrap().to_owned()).collect();
    texts.sort();
    assert_eq!(texts, ["alone", "three", "two"]);
    // Another one waits until this one has ended.
    let mut third = Tail::start(&mut world.tail("alice", &arguments));
    let mut note = String::new();
    BufReader::new(third.child.stderr.take().unwrap()).read_line(&mut note).unwrap();
    assert!(note.contains("waiting for another rsachat tail"), "{note}");
    until(|| at(3));
    second.end(Signal::TERM);
    world.says("bob", &[], "four");
    assert_eq!(third.message()["text"], "four");
}

#[test]
fn a_command_runs_for_each_message_and_its_failure_ends_it() {
    let world = World::new();
    let log = world.path("log");
    let command = format!("cat >> {} && grep -q bad {0} && exit 3; true", log.display());
    let arguments = ["--room", "#common", "--cursor", "bot", "--exec", &command, "--since", "1h"];
    let first = Tail::start(&mut world.tail("alice", &arguments));
    world.says("bob", &[], "good");
    until(|| fs::read_to_string(&log).unwrap_or_default().contains("good"));
    world.says("bob", &[], "bad");
    world.says("bob", &[], "behind it");
    let (code, errors) = first.ended();
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("at message #common 2: the command of --exec has failed"), "{errors}");
    // Once more, now that it works; and it is told that it may have been there before.
    fs::write(&log, "").unwrap();
    let command = format!("cat >> {}", log.display());
    let again = ["--room", "#common", "--cursor", "bot", "--exec", &command];
    let second = Tail::start(&mut world.tail("alice", &again));
    until(|| fs::read_to_string(&log).unwrap().contains("behind it"));
    second.end(Signal::TERM);
    let lines = fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(has(&lines[0], &json!({"text": "bad", "again": true})), "{lines:?}");
    assert!(lines[1].get("again").is_none() && lines[1]["text"] == "behind it", "{lines:?}");
}

#[test]
fn what_cannot_be_followed_has_its_exit_code() {
    let world = World::new();
    for (arguments, code, text) in [
        (&["--room", "#nowhere"][..], 8, "rsachat connect --room '#nowhere'"),
        (&["--room", "@nobody"], 7, "nobody"),
        (&["--room", "@alice"], 2, "alice is you"),
        (&["--since", "3-17"], 2, "--room"),
        (&["--since", "soon"], 2, "a number of messages"),
        (&["--cursor", "../up"], 2, "name"),
        (&["--json", "--exec", "true"], 2, "--exec"),
    ] {
        let output = world.tail("alice", arguments).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(text), "{arguments:?}: {errors}");
    }
    // A reader that has gone away.
    world.says("bob", &[], "hello");
    let mut head = world.tail("alice", &["--since", "1"]);
    let mut head = head.spawn().unwrap();
    drop(head.stdout.take());
    let output = head.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

/// What was given to the command, and to which run of the program; in order.
fn handed(log: &Path) -> Vec<(usize, Value)> {
    let text = fs::read_to_string(log).unwrap_or_default();
    // The last line may be on its way.
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(|line| {
        let (run, line) = line.split_once(' ').unwrap();
        (run.parse().unwrap(), serde_json::from_str(line).unwrap())
    });
    lines.collect()
}

#[test]
fn nothing_is_missed_or_repeated_whenever_it_is_killed() {
    const ROUNDS: usize = 50;
    let world = World::new();
    let log = world.path("log");
    let mut rng = StdRng::seed_from_u64(1);
    // Somebody talks all the time.
    let mut bob = world.pipe("bob");
    let mut said = 0;
    // A first run, so that the cursor begins before that.
    let start = |run: usize| {
        // One write for a line, so that it is there or not.
        let command = format!("read -r line && echo \"{run} $line\" >> {}", log.display());
        let arguments = ["--room", "#common", "--cursor", "bot", "--exec", &command];
        Tail::start(&mut world.tail("alice", &arguments))
    };
    let saved = world.path("home/.local/share/rsachat/cursors/bot.json");
    let mut tail = start(0);
    until(|| fs::read_to_string(&saved).unwrap_or_default().contains("-0\""));
    for run in 1..=ROUNDS {
        for _ in 0..rng.random_range(1..6) {
            said += 1;
            bob.say(&format!("number {said}"));
        }
        // It is killed at some point of what it does for these.
        let wanted = said - rng.random_range(0..3).min(said - 1);
        until(|| handed(&log).iter().any(|(_, message)| message["text"] == format!("number {wanted}")));
        for _ in 0..rng.random_range(0..2000) {
            std::hint::spin_loop();
        }
        drop(tail);
        tail = start(run);
    }
    until(|| handed(&log).iter().any(|(_, message)| message["text"] == format!("number {said}")));
    drop(tail);
    let handed = handed(&log);
    let mut first: BTreeMap<u64, usize> = BTreeMap::new();
    let mut last = 0;
    for (run, message) in &handed {
        let seq = message["seq"].as_u64().unwrap();
        match first.get(&seq) {
            None => {
                assert_eq!(seq, last + 1, "left out: {message}");
                last = seq;
            }
            // Again only where it was the last one of a run that was killed; and it says so.
            Some(before) => {
                assert!(seq == last && before < run, "repeated: {message}");
                assert_eq!(message["again"], true, "repeated in silence: {message}");
            }
        }
        first.entry(seq).or_insert(*run);
    }
    assert_eq!(last, said);
}
