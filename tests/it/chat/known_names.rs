//! `rsachat known-names`, and the completion script of bash, which asks it.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::*;

impl World {
    /// In which alice was in #ops, has met bob, and follows #dev with a cursor.
    fn that_alice_knows(self) -> Self {
        let mut alice = self.program("alice", &[]);
        alice.asks(&json!({"command": "create", "room": "#ops", "ref": 1}));
        alice.hears(&json!({"type": "done", "ref": 1}));
        for room in ["#ops", "@bob"] {
            alice.asks(&json!({"command": "say", "room": room, "text": "hello"}));
            let seq = alice.hears(&json!({"type": "accepted", "room": room}))["seq"].clone();
            alice.asks(&json!({"command": "read", "room": room, "seq": seq, "ref": room}));
            alice.hears(&json!({"type": "done", "ref": room}));
        }
        assert!(alice.end().2.success());
        let cursors = self.path("home/.local/share/rsachat/cursors");
        fs::create_dir_all(&cursors).unwrap();
        for (name, user, room) in [("bot", "alice", "dev"), ("other", "bob", "secret")] {
            let cursor = json!({
                "version": 1, "user": user, "key": "", "server": "", "made": null,
                "rooms": {room: "1-1"}, "recent": [], "handed": [],
            });
            fs::write(cursors.join(format!("{name}.json")), cursor.to_string()).unwrap();
        }
        fs::write(cursors.join("damaged.json"), "{").unwrap();
        self
    }

    /// What the last of these words may become.
    #[track_caller]
    fn completes(&self, words: &[&str]) -> Vec<String> {
        let output = self.settled("alice", PROGRAM).args(["known-names", "--"]).args(words).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }
}

/// Something is this, at last: on a machine that is busy the program may not wait for all names.
#[track_caller]
fn comes_to(names: impl Fn() -> Vec<String>, wanted: &[&str], of: &[&str]) {
    let start = Instant::now();
    let mut found = names();
    while found != wanted && start.elapsed() < PATIENCE {
        found = names();
    }
    assert_eq!(found, wanted, "{of:?}");
}

#[test]
fn names_come_from_what_is_known_here() {
    let mut world = World::new().that_alice_knows();
    // Also without a server.
    world.kill_server();
    let places = ["#common", "#dev", "#ops", "@bob"];
    for (words, names) in [
        (&["send", "--room", ""][..], &places[..]),
        (&["connect", "--room=#o"], &["#ops"]),
        (&["tail", "--room", "#ops", "--room", "@"], &["@bob"]),
        (&["send", "--to", ""], &["bob"]),
        (&["ask", "#c"], &["#common"]),
        (&["ask", "b"], &["bob"]),
        (&["ask", "#ops", "deploy?", "--from", "carol,b"], &["carol,bob"]),
        (&["trust", "remove", ""], &["bob"]),
        (&["tail", "--cursor", ""], &["bot", "damaged", "other"]),
        (&["keys", "--data-dir", "../server", "remove", ""], &["alice", "bob"]),
        (&["send", "--room", "#none"], &[]),
        (&["send", ""], &[]),
        (&["send", "--wait", ""], &[]),
        (&["send", "--identity", "/nowhere", "--to", ""], &[]),
        (&["nonsense", "--room", ""], &[]),
        (&[], &[]),
    ] {
        comes_to(|| world.completes(words), names, words);
    }
}

#[test]
fn it_asks_nobody_for_a_passphrase_and_waits_for_no_agent() {
    let world = World::new().that_alice_knows();
    let passphrase = world.path("alice/passphrase");
    fs::write(&passphrase, "correct horse").unwrap();
    let passwd = ["key", "passwd", "key_alice.private.pem", "--new-passphrase-file", "passphrase"];
    assert!(world.command("alice", PROGRAM).args(passwd).stderr(Stdio::null()).status().unwrap().success());
    let places = ["send", "--room", ""];
    comes_to(|| world.completes(&places), &["#common", "#dev"], &places);
    let mut agent = world.command("alice", PROGRAM);
    agent.args(["agent", "--user", "alice", "--passphrase-file", "passphrase"]).stderr(Stdio::piped());
    let mut agent = agent.spawn().unwrap();
    let mut lines = BufReader::new(agent.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("until")));
    comes_to(|| world.completes(&places), &["#common", "#dev", "#ops", "@bob"], &places);
    let pid = Pid::from_child(&agent);
    kill_process(pid, Signal::STOP).unwrap();
    comes_to(|| world.completes(&places), &["#common", "#dev"], &places);
    agent.kill().unwrap();
    agent.wait().unwrap();
}

#[test]
fn looking_changes_nothing() {
    let world = World::new();
    for (words, names) in [(["send", "--room", ""], &["#common"][..]), (["tail", "--cursor", ""], &[])] {
        comes_to(|| world.completes(&words), names, &words);
    }
    assert_eq!(fs::read_dir(world.path("home")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(world.path("run")).unwrap().count(), 0);
}

#[test]
fn bash_completes_names_and_all_else() {
    let bash = Command::new("bash").arg("--version").stdout(Stdio::null()).status();
    assert!(bash.is_ok_and(|status| status.success()), "the completions of bash need bash in the PATH");
    let world = World::new().that_alice_knows();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions/rsachat.bash");
    // As bash calls it: the word and the one before it, and all words, of which it also makes some of = and @. Only at a
    // prompt is there compopt.
    for (words, typed, names) in [
        (&["send", "--room", "'#o"][..], "#o", &["#ops"][..]),
        (&["send", "--room", "\"#o"], "#o", &["#ops"]),
        (&["send", "--room", "#o"], "#o", &["\\#ops"]),
        (&["send", "--room", "\\#o"], "\\#o", &["\\#ops"]),
        (&["send", "--room", "=", "#o"], "#o", &["\\#ops"]),
        (&["send", "--room", "="], "", &["\\#common", "\\#dev", "\\#ops", "@bob"]),
        (&["send", "--room", "@", "b"], "@b", &["@bob"]),
        (&["send", "--room", "=@", "b"], "@b", &["@bob"]),
        (&["ask", "#ops", "?", "--from", "carol,b"], "carol,b", &["carol,bob"]),
        (&["tail", "--cursor", "b"], "b", &["bot"]),
        (&["send", "--wait", "d"], "d", &["delivered"]),
        (&["tail", "--cur"], "--cur", &["--cursor"]),
        (&["conn"], "conn", &["connect"]),
    ] {
        let run = "compopt() { :; }; source \"$1\"; typed=$2; shift 2; COMP_WORDS=(rsachat \"$@\"); COMP_CWORD=$#
                   _rsachat rsachat \"$typed\" \"${COMP_WORDS[COMP_CWORD-1]}\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
        let complete = || {
            let mut command = world.settled("alice", "bash");
            let output =
                command.args(["--norc", "-c", run, "bash"]).arg(&script).arg(typed).args(words).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {output:?}");
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
        };
        comes_to(complete, names, words);
    }
}
