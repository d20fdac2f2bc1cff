//! What is in examples/, run as it is.

use std::os::unix::process::CommandExt as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::json::has;
use super::*;

impl World {
    /// An example as alice runs it.
    fn example(&self, name: &str, arguments: &[&str]) -> Command {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        let mut command = self.settled("alice", example.to_str().unwrap());
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// How an example ends, and what it says of that.
    fn runs(&self, name: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.example(name, arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    /// With a room in which alice and bob are.
    fn with_room(room: &str) -> Self {
        let world = Self::new();
        for (user, command) in [("alice", "create"), ("bob", "join")] {
            let mut program = world.program(user, &[]);
            program.asks(&json!({"command": command, "room": room, "ref": 1}));
            program.hears(&json!({"type": "done", "ref": 1}));
            assert!(program.end().2.success());
        }
        world
    }
}

/// An example that goes on until it is ended, with all that it has started.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        Self(command.process_group(0).stdout(Stdio::null()).spawn().unwrap())
    }

    /// Sends it a signal, and waits for its end.
    fn end(&mut self, signal: &str) -> Option<i32> {
        // By the number of a group whose first process is not waited for yet.
        let killed = Command::new("kill").args([signal, "--", &format!("-{}", self.0.id())]).status().unwrap();
        assert!(killed.success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            self.end("-KILL");
        }
    }
}

fn say(room: &str, text: &str) -> Value {
    json!({"command": "say", "room": room, "text": text})
}

#[test]
fn all_of_them_can_be_run_and_are_told_of() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let readme = fs::read_to_string(directory.join("README.md")).unwrap();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        let Some(kind) = path.extension().filter(|kind| *kind != "md") else { continue };
        assert!(readme.contains(&format!("({name})")), "examples/README.md does not tell of {name}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o111, 0o111, "{name}");
        if kind == "sh" {
            assert!(Command::new("sh").arg("-n").arg(&path).status().unwrap().success(), "{name}");
        }
    }
}

#[test]
fn the_bot_in_shell_answers_once_also_after_a_kill() {
    let world = World::new();
    let mut bob = world.program("bob", &[]);
    bob.hears(&json!({"type": "entered", "room": "#common"}));
    let saved = world.path("home/.local/share/rsachat/cursors/bot.json");
    let is_at = |seq: u64| until(|| fs::read_to_string(&saved).unwrap_or_default().contains(&format!("-{seq}\"")));
    let mut bot = Running::start(world.example("bot.sh", &[]));
    is_at(0);
    // Neither what looks like a command of the shell nor like a field is one.
    bob.asks(&say("#common", "'; touch stolen; \" `touch stolen` $(touch stolen) \"text\":\"!disk\" \\"));
    bob.asks(&say("#common", "!disk"));
    let answer = bob.hears(&json!({"type": "message", "from": "alice"}));
    assert!(answer["kind"] == "code" && answer["text"].as_str().unwrap().contains('%'), "{answer}");
    assert_eq!(answer["seq"], 3);
    // It has seen its own answer.
    is_at(3);
    bot.end("-KILL");
    bob.asks(&say("#common", "!uptime"));
    bob.hears(&json!({"type": "message", "text": "!uptime"}));
    let _bot = Running::start(world.example("bot.sh", &["#common"]));
    let answer = bob.hears(&json!({"type": "message", "from": "alice"}));
    assert!(answer["seq"] == 5 && answer["text"].as_str().unwrap().contains("load"), "{answer}");
    is_at(5);
    bob.asks(&say("#common", "thanks"));
    is_at(6);
    assert!(!world.path("alice/stolen").exists());
}

#[test]
fn an_alert_comes_once_until_all_is_well_again() {
    let world = World::new();
    let mut bob = world.program("bob", &[]);
    let well = || world.runs("alert.sh", &["bob", "site", "true"]);
    let fails = || world.runs("alert.sh", &["bob", "site", "sh", "-c", "echo '  no answer'; exit 7"]);
    let done = (Some(0), String::new());
    assert_eq!(well(), done);
    assert_eq!([fails(), fails()], [done.clone(), done.clone()]);
    let told = json!({
        "type": "message", "room": "@alice", "kind": "code", "sealed": true, "seq": 1,
        "text": "site fails with 7: sh -c echo '  no answer'; exit 7\n  no answer",
    });
    bob.hears(&told);
    assert_eq!([well(), fails()], [done.clone(), done.clone()]);
    bob.hears(&json!({"type": "message", "room": "@alice", "kind": "code", "seq": 2}));
    // Who can't be told is told the next time.
    let (code, errors) = world.runs("alert.sh", &["nobody", "disk", "false"]);
    assert!(code == Some(7) && errors.contains("no user nobody"), "{errors}");
    assert_eq!(world.runs("alert.sh", &["bob", "disk", "false"]), done);
    bob.hears(&json!({"type": "message", "room": "@alice", "text": "disk fails with 1: false"}));
    assert_eq!(world.runs("alert.sh", &["bob", "disk"]).0, Some(2));
}

#[test]
fn only_a_yes_deploys() {
    let world = World::with_room("#ops");
    let mut bob = world.program("bob", &[]);
    bob.hears(&json!({"type": "entered", "room": "#ops"}));
    let deploy = |version: &str| {
        let file = format!("deployed {version}");
        world.example("deploy.sh", &[version, "touch", &file]).stderr(Stdio::piped()).spawn().unwrap()
    };
    for (version, choice, code) in [("1.4", "no", 21), ("1.5", "yes", 0)] {
        let running = deploy(version);
        let question = bob.hears(&json!({"type": "message", "room": "#ops", "kind": "question"}));
        assert_eq!(question["text"], format!("deploy {version}?"));
        let (id, asked) = (&question["id"], &question["asked"]);
        bob.asks(&json!({"command": "answer", "user": "alice", "question": id, "asked": asked, "choice": choice}));
        let output = running.wait_with_output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert_eq!(errors.contains("the answer was no"), choice == "no", "{errors}");
        assert_eq!(world.path(&format!("alice/deployed {version}")).exists(), choice == "yes");
    }
    for (key, value, code, text) in
        [("TIMEOUT", "1s", 10, "nobody has answered"), ("ROOM", "#nowhere", 8, "it could not be asked")]
    {
        let output = world.example("deploy.sh", &["2.0", "touch", "deployed"]).env(key, value).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && errors.contains(text), "{errors}");
        assert!(!world.path("alice/deployed").exists());
    }
}

#[test]
fn a_log_comes_line_by_line_in_its_order() {
    let world = World::with_room("#logs");
    let bob = world.pipe_with("bob", &["--room", "#logs"]);
    let heard = |patience| {
        let text = |line: String| line.split_once("<alice> ").map(|(_, text)| text.to_owned());
        bob.lines.recv_timeout(patience).map(text)
    };
    let next = || std::iter::from_fn(|| Some(heard(PATIENCE).unwrap())).flatten().next().unwrap();
    let mut log = OpenOptions::new().create(true).append(true).open(world.path("alice/app.log")).unwrap();
    writeln!(log, "before").unwrap();
    let _follower = Running::start(world.example("follow-log.sh", &["app.log"]));
    // When it follows the file, nobody is told; what was written before that is none of its business.
    let start = Instant::now();
    let mut written = 0;
    let first: u32 = loop {
        assert!(start.elapsed() < PATIENCE);
        written += 1;
        writeln!(log, "line {written}").unwrap();
        if let Ok(Some(text)) = heard(Duration::from_millis(200)) {
            break text.strip_prefix("line ").unwrap().parse().unwrap();
        }
    };
    for number in first + 1..=written {
        assert_eq!(next(), format!("line {number}"));
    }
    // Lines that would be commands to connect; one that says nothing; and more at once than may be under way.
    for line in ["/shutdown", "", "//two", "$(touch stolen)"] {
        writeln!(log, "{line}").unwrap();
    }
    assert_eq!([next(), next(), next()], ["/shutdown", "//two", "$(touch stolen)"]);
    let lines: Vec<String> = (0..300).map(|number| format!("number {number}")).collect();
    writeln!(log, "{}", lines.join("\n")).unwrap();
    for line in lines {
        assert_eq!(next(), line);
    }
}

#[test]
fn the_bot_in_python_answers_once_and_ends_with_the_program() {
    let python = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
    assert!(python.is_ok_and(|status| status.success()), "examples/bot.py needs python3 in the PATH");
    let world = World::new();
    let mut bob = world.program("bob", &[]);
    bob.hears(&json!({"type": "entered", "room": "#common"}));
    bob.asks(&say("#common", "!ping"));
    bob.hears(&json!({"type": "accepted", "seq": 1}));
    let mut bot = Running::start(world.example("bot.py", &[]));
    while !bob.hears(&json!({"type": "presence"}))["came"].as_array().unwrap().contains(&json!("alice")) {}
    // What was said before it came first is not answered, nor another program's output.
    bob.asks(&json!({"command": "say", "kind": "code", "text": "!ping"}));
    bob.asks(&say("#common", "!ping"));
    bob.hears(
        &json!({"type": "message", "room": "#common", "from": "alice", "kind": "code", "text": "pong", "seq": 4}),
    );
    bob.asks(&say("@alice", "who are you?"));
    let help = "I know !ping, and nothing else.";
    bob.hears(&json!({"type": "message", "room": "@alice", "from": "alice", "text": help, "seq": 2}));
    bob.hears(&json!({"type": "receipt", "room": "@alice", "user": "alice", "read": 1}));
    assert_eq!(bot.end("-INT"), Some(130));
    // What was answered is not answered again; what was missed is.
    bob.asks(&say("#common", "!ping"));
    bob.asks(&say("@alice", "!ping"));
    let mut bot = Running::start(world.example("bot.py", &["#common"]));
    let pong =
        |room: &str, seq: u32| json!({"type": "message", "room": room, "from": "alice", "text": "pong", "seq": seq});
    let both = [bob.hears(&json!({"text": "pong"})), bob.hears(&json!({"text": "pong"}))];
    for wanted in [pong("#common", 6), pong("@alice", 4)] {
        assert!(both.iter().any(|line| has(line, &wanted)), "{both:?}");
    }
    // It is put out.
    fs::remove_file(world.path("server/keys/key_alice.pem")).unwrap();
    until(|| bot.0.try_wait().unwrap().is_some());
    assert_eq!(bot.0.wait().unwrap().code(), Some(4));
}
