//! `rsachat connect --json`, as a program meets it. Every line is held against the schema, with nothing besides.

use std::sync::LazyLock;

use boon::{Compiler, SchemaIndex, Schemas};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::*;

/// The schema of lines out and of commands; in that of lines out nothing is allowed that it does not name.
static SCHEMA: LazyLock<(Schemas, [SchemaIndex; 2])> = LazyLock::new(|| {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man/rsachat-json.schema.json")).unwrap();
    let mut schema = serde_json::from_str(&text).unwrap();
    close(&mut schema);
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("file:///schema.json", schema).unwrap();
    let mut compile = |name| compiler.compile(&format!("file:///schema.json#/$defs/{name}"), &mut schemas).unwrap();
    let indices = ["event", "command"].map(&mut compile);
    (schemas, indices)
});

fn close(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut()
        && object.contains_key("properties")
    {
        object.entry("additionalProperties").or_insert(json!(false));
    }
    match schema {
        Value::Object(object) => object.values_mut().for_each(close),
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}

/// Why a line out is not what the schema says, if it is not.
pub(super) fn invalid(line: &Value) -> Option<String> {
    let (schemas, [event, _]) = &*SCHEMA;
    schemas.validate(line, *event).err().map(|error| format!("{error:#}"))
}

fn invalid_command(line: &Value) -> Option<String> {
    let (schemas, [_, command]) = &*SCHEMA;
    schemas.validate(line, *command).err().map(|error| format!("{error:#}"))
}

pub(super) struct Program {
    pipe: Pipe,
    /// What it has heard, and up to where that was looked at.
    all: Vec<Value>,
    seen: usize,
}

impl World {
    pub(super) fn program(&self, user: &str, arguments: &[&str]) -> Program {
        Program { pipe: self.pipe_with(user, &[&["--json"], arguments].concat()), all: Vec::new(), seen: 0 }
    }
}

impl Program {
    #[track_caller]
    fn next(&mut self) -> Option<Value> {
        let line = match self.pipe.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return None,
            Err(error) => panic!("{error} after {:#?}", self.all),
        };
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(invalid(&line), None, "{line}");
        self.all.push(line.clone());
        Some(line)
    }

    /// Waits for a line that has these fields, behind the one that was waited for before.
    #[track_caller]
    pub(super) fn hears(&mut self, wanted: &Value) -> Value {
        while self.seen < self.all.len() || self.next().is_some() {
            let line = &self.all[self.seen];
            self.seen += 1;
            if has(line, wanted) {
                return line.clone();
            }
        }
        panic!("it ends without {wanted}: {:#?}", self.all);
    }

    /// A command that the schema knows.
    #[track_caller]
    pub(super) fn asks(&mut self, command: &Value) {
        assert_eq!(invalid_command(command), None, "{command}");
        self.pipe.say(&command.to_string());
    }

    /// A command, and the line that answers it.
    #[track_caller]
    fn asked(&mut self, mut command: Value) -> Value {
        let reference = json!(self.all.len());
        command["ref"] = reference.clone();
        self.asks(&command);
        loop {
            let line = self.next().unwrap_or_else(|| panic!("it ends: {:#?}", self.all));
            if line.get("ref") == Some(&reference) && line["type"] != "pending" {
                return line;
            }
        }
    }

    /// The input ends; what it still writes, and how it ends.
    pub(super) fn end(mut self) -> (Vec<Value>, String, ExitStatus) {
        drop(self.pipe.child.stdin.take());
        while self.next().is_some() {}
        let output = self.pipe.child.wait_with_output().unwrap();
        (self.all, String::from_utf8(output.stderr).unwrap(), output.status)
    }
}

pub(super) fn has(line: &Value, wanted: &Value) -> bool {
    match (line, wanted) {
        (Value::Object(line), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| line.get(key).is_some_and(|value| has(value, wanted)))
        }
        _ => line == wanted,
    }
}

#[track_caller]
fn is(line: &Value, wanted: &Value) {
    assert!(has(line, wanted), "{line} is not {wanted}");
}

#[test]
fn a_program_talks_and_is_told_everything() {
    let world = World::new();
    let mut alice = world.program("alice", &[]);
    is(&alice.next().unwrap(), &json!({"type": "hello", "version": 1, "user": "alice", "room": "#common"}));
    alice.hears(&json!({"type": "entered", "room": "#common", "visit": "first"}));
    let mut bob = world.program("bob", &[]);
    bob.hears(&json!({"type": "entered", "room": "#common"}));

    is(&alice.asked(json!({"command": "say", "text": "one\ntwo \u{1b}[2J"})), &json!({"type": "accepted", "seq": 1}));
    let said = bob.hears(&json!({"type": "message", "from": "alice", "kind": "text", "text": "one\ntwo \u{1b}[2J"}));
    is(&said, &json!({"arrival": "live", "own": false, "sealed": false, "trust": null, "seq": 1}));
    alice.asked(json!({"command": "say", "kind": "code", "text": "  a\n    b"}));
    bob.hears(&json!({"type": "message", "kind": "code", "text": "  a\n    b"}));
    alice.asked(json!({"command": "say", "kind": "action", "text": "waves", "room": "#common"}));
    bob.hears(&json!({"type": "message", "kind": "action", "text": "waves"}));

    // To bob alone, and what becomes of it.
    is(
        &alice.asked(json!({"command": "say", "room": "@bob", "text": "hi"})),
        &json!({"type": "accepted", "room": "@bob"}),
    );
    let hi = bob.hears(&json!({"type": "message", "room": "@alice", "sealed": true, "trust": "pinned", "text": "hi"}));
    bob.asked(json!({"command": "read", "room": "@alice", "seq": hi["seq"]}));
    alice.hears(&json!({"type": "receipt", "room": "@bob", "read": hi["seq"]}));

    let history = alice.asked(json!({"command": "history", "limit": 2}));
    assert_eq!(history["messages"].as_array().unwrap().len(), 2);
    is(&history, &json!({"type": "history", "room": "#common", "more": true}));
    let history = alice.asked(json!({"command": "history", "before": 2}));
    is(&history["messages"][0], &json!({"seq": 1, "arrival": null}));
    is(&alice.asked(json!({"command": "people"})), &json!({"type": "people", "total": 2}));
    is(&alice.asked(json!({"command": "whois", "user": "bob"})), &json!({"type": "user", "trust": "pinned"}));
    is(&alice.asked(json!({"command": "rooms", "people": true})), &json!({"type": "rooms"}));

    let (lines, errors, status) = alice.end();
    is(lines.last().unwrap(), &json!({"type": "end", "outcome": "left", "undelivered": 0}));
    assert!(status.success() && errors.is_empty(), "{errors}");
}

#[test]
fn a_program_decides_over_rooms_and_keys() {
    let world = World::new();
    let mut alice = world.program("alice", &[]);
    let mut bob = world.program("bob", &[]);
    bob.hears(&json!({"type": "entered"}));
    let done = json!({"type": "done"});
    is(&alice.asked(json!({"command": "create", "room": "#ops", "private": true})), &done);
    is(&alice.asked(json!({"command": "invite", "room": "#ops", "user": "bob"})), &done);
    bob.hears(&json!({"type": "membership", "room": "#ops", "member": true, "by": "alice"}));
    bob.hears(&json!({"type": "entered", "room": "#ops"}));
    is(&alice.asked(json!({"command": "topic", "room": "#ops", "text": "on call"})), &done);
    bob.hears(&json!({"type": "acted", "act": "topic", "text": "on call"}));
    is(&alice.asked(json!({"command": "say", "room": "#ops", "text": "between us"})), &json!({"type": "accepted"}));
    bob.hears(&json!({"type": "message", "room": "#ops", "sealed": true, "text": "between us"}));
    is(&alice.asked(json!({"command": "mute", "room": "#ops", "user": "bob", "seconds": 60})), &done);
    let refused = bob.asked(json!({"command": "say", "room": "#ops", "text": "no"}));
    is(&refused, &json!({"type": "refused", "code": "forbidden"}));
    for (command, act) in [("unmute", "unmute"), ("kick", "kick")] {
        is(&alice.asked(json!({"command": command, "room": "#ops", "user": "bob"})), &done);
        alice.hears(&json!({"type": "acted", "act": act, "user": "bob"}));
    }
    bob.hears(&json!({"type": "membership", "room": "#ops", "member": false}));
    is(&alice.asked(json!({"command": "leave", "room": "#ops"})), &done);

    is(&bob.asked(json!({"command": "create", "room": "#dev"})), &done);
    is(&alice.asked(json!({"command": "join", "room": "#dev"})), &done);
    // Once more, where he is already.
    is(&alice.asked(json!({"command": "join", "room": "#dev"})), &done);
    is(&bob.asked(json!({"command": "owner", "room": "#dev", "user": "alice"})), &done);
    is(&alice.asked(json!({"command": "ban", "room": "#dev", "user": "bob", "reason": "noise"})), &done);
    bob.hears(&json!({"type": "membership", "room": "#dev", "member": false}));
    is(&bob.asked(json!({"command": "join", "room": "#dev"})), &json!({"type": "error", "code": "forbidden"}));
    is(&alice.asked(json!({"command": "unban", "room": "#dev", "user": "bob"})), &done);

    is(&bob.asked(json!({"command": "status", "status": "dnd", "text": "busy"})), &done);
    alice.hears(&json!({"type": "presence", "changed": [{"user": "bob", "status": "dnd", "status_text": "busy", "status_until": null}]}));
    is(&alice.asked(json!({"command": "ignore", "user": "bob"})), &done);
    alice.hears(&json!({"type": "ignored", "user": "bob", "on": true}));
    is(&alice.asked(json!({"command": "hush", "on": false})), &done);
    let code = alice.asked(json!({"command": "verify", "user": "bob"}));
    is(&code, &json!({"type": "verification", "user": "bob"}));
    assert_eq!(bob.asked(json!({"command": "verify", "user": "alice"}))["digits"], code["digits"]);
    is(&alice.asked(json!({"command": "trust", "user": "bob", "key": code["key"], "verified": true})), &done);
    alice.hears(&json!({"type": "trusted", "user": "bob", "verified": true}));
    let invited = alice.asked(json!({"command": "invite_user", "user": "carol"}));
    assert!(invited["address"].as_str().unwrap().starts_with("rsachat://carol@127.0.0.1:"), "{invited}");
    is(&bob.asked(json!({"command": "shutdown"})), &json!({"type": "error", "code": "forbidden"}));
    is(&alice.asked(json!({"command": "shutdown"})), &done);
    // The input stays open until then: its end would be a way to leave.
    let end = alice.hears(&json!({"type": "end", "outcome": "server_ended"}));
    let (lines, _, status) = alice.end();
    assert_eq!(lines.last(), Some(&end));
    assert!(status.success());
}

#[test]
fn what_makes_no_sense_is_answered_with_its_line_and_the_session_goes_on() {
    let world = World::new();
    let mut alice = world.program("alice", &[]);
    alice.hears(&json!({"type": "entered"}));
    let cases: &[(&[u8], &str)] = &[
        (b"hello", "bad_json"),
        (b"{\"command\":\"say\",\"text\":\"cut", "bad_json"),
        (b"[]", "bad_json"),
        (b"{\"command\":\"say\",\"text\":\"\xff\"}", "bad_json"),
        (b"{}", "bad_command"),
        (b"{\"command\":\"sing\"}", "bad_command"),
        (b"{\"command\":\"say\"}", "bad_command"),
        (b"{\"command\":\"say\",\"text\":\" \"}", "bad_command"),
        (b"{\"command\":\"say\",\"text\":\"x\",\"urgnet\":true}", "bad_command"),
        (b"{\"command\":\"say\",\"text\":\"x\",\"text\":\"y\",\"ref\":1,\"ref\":{}}", "bad_command"),
        (b"{\"command\":\"say\",\"text\":\"x\",\"room\":\"common\"}", "bad_command"),
        (b"{\"command\":\"say\",\"text\":\"x\",\"room\":\"@alice\"}", "bad_command"),
        (b"{\"command\":\"ask\",\"text\":\"x\",\"choices\":[\"yes\"]}", "bad_command"),
        (
            b"{\"command\":\"answer\",\"user\":\"bob\",\"question\":\"0\",\"asked\":\"0\",\"choice\":\"yes\"}",
            "bad_command",
        ),
        (b"{\"command\":\"whois\",\"user\":\"../bob\"}", "bad_command"),
        (b"{\"command\":\"history\",\"limit\":-1}", "bad_command"),
        (b"{\"command\":\"trust\",\"user\":\"bob\",\"verified\":true}", "bad_command"),
    ];
    let mut stdin = alice.pipe.child.stdin.take().unwrap();
    for (number, (line, code)) in (1..).zip(cases) {
        stdin.write_all(&[line, &b"\n"[..]].concat()).unwrap();
        let error = alice.next().unwrap();
        is(&error, &json!({"type": "error", "code": code, "line": number}));
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
    // Nested without end, and without the end of a line.
    stdin.write_all(&[&[b'['; 4 << 20][..], b"\n\n \n"].concat()).unwrap();
    let number = cases.len() + 1;
    is(&alice.next().unwrap(), &json!({"type": "error", "code": "bad_json", "line": number}));
    stdin.write_all(b"{\"command\":\"whois\",\"ref\":\"x\"}\n").unwrap();
    is(&alice.next().unwrap(), &json!({"type": "error", "line": number + 3, "ref": "x"}));
    alice.pipe.child.stdin = Some(stdin);
    is(&alice.asked(json!({"command": "say", "text": "still here"})), &json!({"type": "accepted"}));
    is(&alice.asked(json!({"command": "exit"})), &json!({"type": "done"}));
    let (.., status) = alice.end();
    assert!(status.success());
}

#[test]
fn commands_are_done_in_their_order_and_each_is_answered_to_the_end() {
    let mut world = World::new();
    let mut alice = world.program("alice", &[]);
    alice.asked(json!({"command": "create", "room": "#ops"}));
    assert!(alice.end().2.success());
    // At once, before the server has said in which rooms she is.
    let mut alice = world.program("alice", &[]);
    alice.asks(&json!({"command": "say", "room": "#ops", "text": "first", "ref": "said"}));
    alice.asks(&json!({"command": "say", "room": "#nowhere", "text": "first", "ref": "nowhere"}));
    alice.hears(&json!({"type": "refused", "ref": "nowhere", "room": "#nowhere"}));
    alice.hears(&json!({"type": "accepted", "ref": "said", "room": "#ops"}));
    alice.asks(&json!({"command": "leave", "room": "#ops", "ref": "out"}));
    alice.asks(&json!({"command": "join", "room": "#ops", "ref": "in"}));
    alice.hears(&json!({"type": "done", "ref": "out"}));
    alice.hears(&json!({"type": "done", "ref": "in"}));
    is(&alice.asked(json!({"command": "people", "room": "#ops"})), &json!({"type": "people", "total": 1}));
    // Twice where she is not let in, the second time at the end of the input.
    is(&alice.asked(json!({"command": "join", "room": "#nope"})), &json!({"type": "error"}));
    alice.asks(&json!({"command": "join", "room": "#nope", "ref": "last"}));
    let (lines, ..) = alice.end();
    assert!(lines.iter().any(|line| has(line, &json!({"type": "error", "ref": "last"}))), "{lines:#?}");
    // And where the server never answers.
    world.kill_server();
    let mut alice = world.program("alice", &[]);
    for number in 0..20 {
        alice.asks(&json!({"command": "whois", "user": "bob", "ref": number}));
    }
    alice.asks(&json!({"command": "join", "room": "#dev", "ref": 20}));
    alice.hears(&json!({"type": "offline"}));
    let killed = Command::new("kill").args(["-TERM", &alice.pipe.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    for number in 0..=20 {
        alice.hears(&json!({"type": "error", "code": "shutting_down", "ref": number}));
    }
    alice.hears(&json!({"type": "end"}));
    assert_eq!(alice.pipe.child.wait().unwrap().code(), Some(143));
}

#[test]
fn any_nonsense_is_answered_in_its_order() {
    const LINES: u64 = 2000;
    let world = World::new();
    let mut alice = world.program("alice", &[]);
    alice.hears(&json!({"type": "entered"}));
    let mut rng = StdRng::seed_from_u64(1);
    let whole = br#"{"command":"say","room":"@bob","text":"\u00e4 \"quoted\"","urgent":false,"ref":17}"#;
    let mut input = Vec::new();
    for _ in 0..LINES {
        // The beginning of a command is none, and neither is what doesn't begin as one.
        let mut line: Vec<u8> = match rng.random_range(0..3) {
            0 => whole[..rng.random_range(1..whole.len())].to_vec(),
            1 => (0..rng.random_range(1..100)).map(|_| rng.random()).collect(),
            _ => (0..rng.random_range(1..100)).map(|_| b"{}[]\",:0truenull"[rng.random_range(0..16)]).collect(),
        };
        line.retain(|byte| *byte != b'\n');
        line.insert(0, b'!');
        if line[1..].starts_with(b"{\"") {
            line.remove(0);
        }
        input.extend(line);
        input.push(b'\n');
    }
    let mut stdin = alice.pipe.child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        stdin.write_all(&input).unwrap();
        stdin
    });
    for number in 1..=LINES {
        let error = alice.hears(&json!({"type": "error"}));
        assert_eq!((&error["line"], &error["code"]), (&json!(number), &json!("bad_json")), "{error}");
    }
    alice.pipe.child.stdin = Some(writer.join().unwrap());
    is(&alice.asked(json!({"command": "say", "text": "still here"})), &json!({"type": "accepted"}));
}

#[test]
fn with_nothing_to_read_it_leaves_and_with_nobody_who_reads_too() {
    let world = World::new();
    let mut closed = world.command("alice", "sh");
    closed.args(["-c", "exec \"$@\" <&-", "sh", PROGRAM]).args(world.connect("alice")).arg("--json");
    let output = closed.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let last: Value =
        serde_json::from_slice(output.stdout.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap()).unwrap();
    is(&last, &json!({"type": "end", "outcome": "left"}));
    // SIGPIPE is nobody's business.
    let mut command = world.command("alice", "sh");
    let script = "\"$@\" | head -n 1 >/dev/null";
    command.args(["-c", script, "sh", PROGRAM]).args(world.connect("alice")).arg("--json").stdin(Stdio::piped());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_question_is_answered_by_who_was_asked() {
    let world = World::new();
    let (mut alice, mut bob) = (world.program("alice", &[]), world.program("bob", &[]));
    bob.hears(&json!({"type": "entered"}));
    let asked = alice.asked(json!({"command": "ask", "text": "deploy?", "choices": ["yes", "no"]}));
    let question = bob.hears(&json!({"type": "message", "kind": "question", "choices": ["yes", "no"]}));
    assert_eq!(question["id"], asked["id"]);
    let answer = json!({
        "command": "answer", "user": question["from"], "question": question["id"], "asked": question["asked"],
        "choice": "yes",
    });
    is(&bob.asked(answer), &json!({"type": "accepted", "room": "@alice"}));
    let answer = alice.hears(&json!({"type": "message", "kind": "answer", "room": "@bob"}));
    is(&answer, &json!({"text": "yes", "trust": "pinned", "question": asked["id"], "asked": question["asked"]}));
}

#[test]
fn a_reader_that_is_slow_is_waited_for_and_one_that_has_gone_ends_it_quietly() {
    const MESSAGES: usize = 100;
    let world = World::new();
    let mut slow = world.command("alice", PROGRAM);
    slow.args(world.connect("alice")).arg("--json").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut slow = slow.spawn().unwrap();
    let mut out = BufReader::new(slow.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"entered\"") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0);
    }
    // More than the pipe holds, while nobody reads.
    let lines: Vec<String> = (0..MESSAGES).map(|number| format!("{number} {}\n", "x".repeat(8000))).collect();
    let mut bob = world.command("bob", PROGRAM);
    let key = data("test_server.pem");
    bob.args(["send", "--lines", "--server", &world.address(), "--user", "bob", "--server-key"]).arg(key);
    let mut bob = bob.stdin(Stdio::piped()).spawn().unwrap();
    bob.stdin.take().unwrap().write_all(lines.concat().as_bytes()).unwrap();
    assert!(bob.wait().unwrap().success());
    for number in 0..MESSAGES {
        loop {
            line.clear();
            assert!(out.read_line(&mut line).unwrap() > 0, "it ends before {number}");
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["type"] == "message" {
                assert!(line["text"].as_str().unwrap().starts_with(&format!("{number} ")), "{line} for {number}");
                break;
            }
        }
    }
    // Now nobody reads any more.
    drop(out);
    assert!(world.pipe("bob").end().2.success());
    let output = slow.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
