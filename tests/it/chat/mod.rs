//! The client against a real server: on a (pseudo-)terminal and in pipes.

mod agent;
mod ask;
mod examples;
mod invite;
mod json;
mod known_names;
mod pipes;
mod sealed;
mod send;
mod settings;
mod tail;
mod terminal;
mod tickets;

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use expectrl::process::unix::WaitStatus;
use expectrl::session::OsSession;
use expectrl::{Eof, Expect as _, Session};
use serde_json::json;
use tempfile::TempDir;

use crate::support::PATIENCE;

const PROGRAM: &str = env!("CARGO_BIN_EXE_rsachat");

/// A server and the directories of its users, gone when it is dropped.
struct World {
    dir: TempDir,
    port: u16,
    server: Option<Child>,
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keys").join(name)
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = dir.path().join("server");
        fs::create_dir_all(server.join("keys")).unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        fs::create_dir(dir.path().join("run")).unwrap();
        fs::write(server.join("config.json"), r#"{"server_ip": "127.0.0.1", "server_port": 0, "admins": ["alice"]}"#)
            .unwrap();
        copy_private(&data("test_server.private.pem"), &server.join("server_private_key.pem"));
        for user in ["alice", "bob"] {
            fs::copy(data(&format!("test_{user}.pem")), server.join(format!("keys/key_{user}.pem"))).unwrap();
            fs::create_dir(dir.path().join(user)).unwrap();
            let own = dir.path().join(user).join(format!("key_{user}.private.pem"));
            copy_private(&data(&format!("test_{user}.private.pem")), &own);
        }
        let mut world = Self { dir, port: 0, server: None };
        world.start_server();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the server, on the port that it had before.
    fn start_server(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(self.path("server/log")).unwrap();
        let mut server = Command::new(PROGRAM)
            .args(["serve", "--server-port", &self.port.to_string(), "--log-format", "json"])
            .current_dir(self.path("server"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut out = BufReader::new(server.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening") {
            line.clear();
            assert!(out.read_line(&mut line).unwrap() > 0, "the server has ended");
        }
        self.port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
        // It may say more; nobody reads it, and it is less than a pipe holds.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        self.server = Some(server);
    }

    fn kill_server(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A command in a user's directory, with a home of its own.
    fn command(&self, user: &str, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path(user))
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("TERM", "xterm")
            .env("TZ", "UTC")
            .env("NO_COLOR", "1")
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            .env_remove("XDG_STATE_HOME");
        command
    }

    /// A command of a user who has rsachat in his PATH, and in his directory his name and the server.
    fn settled(&self, user: &str, program: &str) -> Command {
        let settings = json!({
            "username": user,
            "server_ip": "127.0.0.1",
            "server_port": self.port,
            "server_key": data("test_server.pem"),
        });
        fs::write(self.path(user).join("user_config.json"), settings.to_string()).unwrap();
        let own = Path::new(PROGRAM).parent().unwrap().to_owned();
        let others = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&others))).unwrap();
        let mut command = self.command(user, program);
        command.env("PATH", path);
        command
    }

    /// What a user types to connect, with the server's key known.
    fn connect(&self, user: &str) -> Vec<String> {
        let key = data("test_server.pem").display().to_string();
        ["connect", &self.address(), "--user", user, "--server-key", &key].map(str::to_owned).to_vec()
    }

    /// A user without a terminal.
    fn pipe(&self, user: &str) -> Pipe {
        self.pipe_with(user, &[])
    }

    fn pipe_with(&self, user: &str, arguments: &[&str]) -> Pipe {
        let mut all = self.connect(user);
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self.pipe_of(user, &all)
    }

    /// A user without a terminal, who connects to another port than the server's.
    fn pipe_at(&self, user: &str, port: u16) -> Pipe {
        let arguments = self.connect(user).into_iter();
        let address = self.address();
        let there = |argument| if argument == address { format!("127.0.0.1:{port}") } else { argument };
        self.pipe_of(user, &arguments.map(there).collect::<Vec<String>>())
    }

    fn pipe_of(&self, user: &str, arguments: &[String]) -> Pipe {
        let mut command = self.command(user, PROGRAM);
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Pipe { child, lines }
    }

    /// A user at a terminal of 24 rows and 80 columns.
    fn terminal(&self, user: &str, arguments: &[String]) -> OsSession {
        self.terminal_of(user, arguments, 80)
    }

    fn terminal_of(&self, user: &str, arguments: &[String], columns: u16) -> OsSession {
        let mut command = self.command(user, "sh");
        // It comes without echo; with it, one can see when the program turns it off.
        let script = format!("stty echo rows 24 cols {columns} && exec \"$@\"");
        command.args(["-c", &script, "sh", PROGRAM]).args(arguments);
        let mut session = Session::spawn(command).unwrap();
        session.set_expect_timeout(Some(PATIENCE));
        session
    }

    /// A user at a terminal who is in the room.
    fn chatting(&self, user: &str) -> OsSession {
        let mut session = self.terminal(user, &self.connect(user));
        session.expect("you are in #common").unwrap();
        session
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.kill_server();
        }
    }
}

fn copy_private(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o600)).unwrap();
}

struct Pipe {
    child: Child,
    lines: Receiver<String>,
}

impl Pipe {
    fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits for a line of output that ends so.
    fn hears(&mut self, end: &str) -> String {
        let mut heard = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.ends_with(end) => return line,
                Ok(line) => heard.push(line),
                Err(error) => {
                    let mut errors = String::new();
                    let _ = self.child.kill();
                    let _ = self.child.stderr.take().unwrap().read_to_string(&mut errors);
                    panic!("{end}: {error}; heard {heard:#?}, and {errors}");
                }
            }
        }
    }

    /// The input ends; what it still prints, and how it ends.
    fn end(mut self) -> (Vec<String>, String, ExitStatus) {
        drop(self.child.stdin.take());
        let lines = self.lines.iter().collect();
        let output = self.child.wait_with_output().unwrap();
        (lines, String::from_utf8(output.stderr).unwrap(), output.status)
    }
}

/// The rest of what a program on a terminal prints, and how it ends.
fn end(mut session: OsSession) -> (String, i32) {
    let rest = session.expect(Eof).unwrap();
    let text = String::from_utf8_lossy(rest.as_bytes()).into_owned();
    match session.get_process().wait().unwrap() {
        WaitStatus::Exited(_, code) => (text, code),
        status => panic!("{status:?} after {text:?}"),
    }
}

/// Waits until something holds.
fn until(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "it does not come to pass");
        std::thread::yield_now();
    }
}
