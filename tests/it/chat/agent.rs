//! `rsachat agent`: passphrases that are typed once, and keys that work where nobody can type.

use std::process::Output;

use rsachat::crypto::rsa::PrivateKey;
use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::support::terminal::type_secret;

const PASSPHRASE: &str = "correct horse";
const KEY: &str = "key_alice.private.pem";

/// A running agent with alice's key.
struct Agent {
    child: Child,
    /// What it says.
    lines: Receiver<String>,
    holding: String,
}

impl Agent {
    /// It has ended, or does so without further ado.
    fn end(mut self) -> (Option<i32>, Vec<String>) {
        let code = self.child.wait().unwrap().code();
        (code, self.lines.iter().collect())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl World {
    /// Where alice's key takes a passphrase.
    fn with_passphrase() -> Self {
        let world = Self::new();
        let key = PrivateKey::from_pem(&fs::read_to_string(data("test_alice.private.pem")).unwrap(), None).unwrap();
        let pem = key.to_encrypted_pem(PASSPHRASE, &mut rand::rng()).unwrap();
        fs::write(world.path("alice").join(KEY), &*pem).unwrap();
        fs::write(world.path("alice/passphrase"), PASSPHRASE).unwrap();
        world
    }

    fn socket(&self) -> PathBuf {
        self.path("run/rsachat/agent.sock")
    }

    fn agent_with(&self, arguments: &[&str]) -> Agent {
        let mut command = self.command("alice", PROGRAM);
        command.args(["agent", "--user", "alice"]).args(arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let errors = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let next = || lines.recv_timeout(PATIENCE).unwrap();
        let (holding, at) = (next(), next());
        assert!(at.contains("/run/rsachat/agent.sock, until 2"), "{holding}\n{at}");
        Agent { child, lines, holding }
    }

    fn agent(&self) -> Agent {
        self.agent_with(&["--passphrase-file", "passphrase"])
    }

    /// What alice's crontab has: no terminal, and hardly any environment.
    fn cron(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.env_clear().env("HOME", self.path("home")).env("XDG_RUNTIME_DIR", self.path("run"));
        command.current_dir(self.path("alice")).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    fn cron_sends(&self, arguments: &[&str]) -> Output {
        let (key, address) = (data("test_server.pem").display().to_string(), self.address());
        let first = ["send", "--no-input", "--server", &address, "--user", "alice", "--server-key", &key];
        self.cron(&[&first, arguments].concat())
    }
}

/// How a command has ended, and that it has said all that on standard error.
#[track_caller]
fn is(output: &Output, code: i32, parts: &[&str]) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{err}");
    for part in parts {
        assert!(err.contains(part), "no {part:?} in: {err}");
    }
}

#[test]
fn a_key_with_a_passphrase_works_from_cron_as_long_as_the_agent_runs() {
    let world = World::with_passphrase();
    is(&world.cron_sends(&["too early"]), 4, &["needs its passphrase", "hint: ", "rsachat agent"]);
    is(&world.cron(&["agent", "--list"]), 1, &["no agent is running", "hint: rsachat agent"]);
    let agent = world.agent();
    is(&world.cron_sends(&["the build", "is green"]), 0, &[]);
    is(&world.cron_sends(&["--to", "bob", "for you alone"]), 0, &[]);
    let list = world.cron(&["agent", "--list"]);
    is(&list, 0, &["held until 2"]);
    let fingerprint = String::from_utf8(list.stdout).unwrap();
    assert!(fingerprint.starts_with("SHA256:") && agent.holding.contains(fingerprint.trim()), "{}", agent.holding);
    // Others read it, and she reads what others say to her alone.
    let mut bob = world.pipe("bob");
    bob.say("/join @alice");
    bob.hears("<alice> for you alone");
    bob.say("for you, too");
    bob.hears("<bob> for you, too");
    assert!(bob.end().2.success());
    let mut alice = world.pipe("alice");
    alice.say("/join @bob");
    alice.hears("<alice> for you alone");
    alice.hears("<bob> for you, too");
    assert!(alice.end().2.success());
    let trust = world.cron(&["trust", "list", "--user", "alice", "--no-input"]);
    is(&trust, 0, &[]);
    assert!(String::from_utf8_lossy(&trust.stdout).contains("bob"));
    // There is one.
    is(&world.cron(&["agent", "--user", "alice", "--passphrase-file", "passphrase"]), 1, &["runs already", "--stop"]);
    is(&world.cron(&["agent", "--stop"]), 0, &[]);
    assert!(!world.socket().exists());
    assert_eq!(agent.end(), (Some(0), vec![]));
    is(&world.cron_sends(&["too late"]), 4, &["needs its passphrase", "hint: ", "rsachat agent"]);
    is(&world.cron(&["agent", "--stop"]), 1, &["no agent is running"]);
}

#[test]
fn its_time_is_over_by_itself() {
    let world = World::with_passphrase();
    let agent = world.agent_with(&["--passphrase-file", "passphrase", "--lifetime", "1s"]);
    assert_eq!(agent.end(), (Some(0), vec!["rsachat: the agent's time is over".to_owned()]));
    is(&world.cron_sends(&["too late"]), 4, &["needs its passphrase", "rsachat agent"]);
    assert!(!world.socket().exists());
}

#[test]
fn a_chat_whose_agent_has_ended_goes_on_until_it_needs_the_key() {
    let world = World::with_passphrase();
    let agent = world.agent();
    let mut alice = world.pipe("alice");
    alice.say("before");
    alice.hears("<alice> before");
    is(&world.cron(&["agent", "--stop"]), 0, &[]);
    assert_eq!(agent.end().0, Some(0));
    alice.say("after");
    alice.hears("<alice> after");
    alice.say("/msg bob only for you");
    assert_eq!(alice.child.wait().unwrap().code(), Some(4));
    let (_, err, _) = alice.end();
    assert!(err.contains("error: the agent that holds your key does not answer any more"), "{err}");
    assert!(err.contains("hint: rsachat agent starts another one"), "{err}");
}

#[test]
fn signals_end_it_and_what_a_killed_one_leaves_behind_disturbs_nobody() {
    let world = World::with_passphrase();
    for signal in [Signal::TERM, Signal::INT] {
        let agent = world.agent();
        agent.signal(signal);
        assert_eq!(agent.end(), (Some(0), vec![]));
        assert!(!world.socket().exists());
    }
    let agent = world.agent();
    agent.signal(Signal::KILL);
    assert_eq!(agent.end().0, None);
    assert!(world.socket().exists());
    is(&world.cron(&["agent", "--list"]), 1, &["no agent is running"]);
    is(&world.cron_sends(&["nobody holds it"]), 4, &["rsachat agent"]);
    let _agent = world.agent();
    is(&world.cron_sends(&["somebody does"]), 0, &[]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&world.socket()), mode(world.socket().parent().unwrap())), (0o600, 0o700));
}

#[test]
fn each_thing_that_keeps_it_from_starting_is_said() {
    let world = World::with_passphrase();
    let agent = |arguments: &[&str]| world.cron(&[&["agent", "--no-input"], arguments].concat());
    is(&agent(&[]), 2, &["whose key?", "hint: --user NAME, --identity FILE"]);
    is(&agent(&["--user", "carol"]), 2, &["no private key for carol", "keygen carol"]);
    is(&agent(&["--user", "alice"]), 4, &["needs its passphrase", "--passphrase-file FILE"]);
    fs::write(world.path("alice/wrong"), "incorrect horse").unwrap();
    is(&agent(&["--user", "alice", "--passphrase-file", "wrong"]), 4, &["the passphrase is wrong"]);
    is(&agent(&["--stop", "--user", "alice"]), 2, &["cannot be used with"]);
    // Somebody else's eyes.
    fs::set_permissions(world.path("run/rsachat"), fs::Permissions::from_mode(0o750)).unwrap();
    is(&agent(&["--user", "alice", "--passphrase-file", "passphrase"]), 1, &["run/rsachat: ", "hint: "]);
}

#[test]
fn it_holds_the_files_that_it_has_read_and_no_others() {
    let world = World::with_passphrase();
    let _agent = world.agent();
    let passwd = ["key", "passwd", KEY, "--passphrase-file", "passphrase", "--new-passphrase-file", "passphrase"];
    is(&world.cron(&passwd), 0, &[]);
    is(&world.cron_sends(&["with another file"]), 4, &["an rsachat agent that has read this file"]);
    is(&world.cron_sends(&["--passphrase-file", "passphrase", "with its passphrase"]), 0, &[]);
}

#[test]
fn on_a_terminal_the_passphrase_is_typed_once() {
    let world = World::with_passphrase();
    let arguments = ["agent", "--user", "alice"].map(str::to_owned);
    let mut agent = world.terminal("alice", &arguments);
    type_secret(&mut agent, "Passphrase of key_alice.private.pem", "incorrect horse");
    agent.expect("that is not its passphrase").unwrap();
    type_secret(&mut agent, "Passphrase of key_alice.private.pem", PASSPHRASE);
    agent.expect("holding SHA256:").unwrap();
    agent.expect("until 2").unwrap();
    let mut alice = world.chatting("alice");
    alice.send("\x04").unwrap();
    assert_eq!(end(alice).1, 0);
    agent.send("\x03").unwrap();
    assert_eq!(end(agent).1, 0);
}
