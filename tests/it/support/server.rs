//! The real server, as a process on a free port of loopback.

use std::fs;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use rsachat::model::MessageId;
use rusqlite::Connection;
use rustix::process::Signal;

use super::data_dir::DataDir;
use super::process::{Ended, Process};

/// A server that has announced itself. Killed when dropped; and if it has panicked anywhere, the test fails.
pub(crate) struct Server {
    // Nothing once it has ended.
    process: Option<Process>,
    pub(crate) address: SocketAddr,
}

/// `rsachat serve` on this directory.
pub(crate) fn serve(dir: &Path) -> Command {
    wrapped("", dir)
}

/// `rsachat serve` on this directory, by a shell that does something before, as `ulimit -n 64;`.
pub(crate) fn wrapped(before: &str, dir: &Path) -> Command {
    let mut command = if before.is_empty() {
        Command::new(env!("CARGO_BIN_EXE_rsachat"))
    } else {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{before} exec \"$@\""), "sh", env!("CARGO_BIN_EXE_rsachat")]);
        command
    };
    command.args(["serve", "--data-dir"]).arg(dir);
    command
}

/// Runs what is expected to end by itself soon.
pub(crate) fn run(mut command: Command) -> Ended {
    Process::start(&mut command).wait()
}

impl Server {
    pub(crate) fn start(dir: &DataDir) -> Self {
        Self::launch(serve(dir.path()))
    }

    pub(crate) fn launch(mut command: Command) -> Self {
        let process = Process::start(&mut command);
        let announced = process.out.wait("the announcement", |text| {
            assert!(!text.closed, "the server did not start: {}", process.err.text());
            text.text.contains("to connect").then(|| text.text.clone())
        });
        let address = announced.lines().find_map(|line| line.strip_prefix("listening at ")?.parse().ok());
        Self { process: Some(process), address: address.unwrap_or_else(|| panic!("no address in {announced:?}")) }
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(mut self) -> Ended {
        let ended = self.process.take().unwrap().wait();
        assert!(!ended.err.contains("panicked"), "{}", ended.err);
        ended
    }

    /// kill -9.
    pub(crate) fn kill(self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Resident memory, KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Open files, by what they are. One that is closed meanwhile is left out.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        files.filter_map(|file| fs::read_link(file.unwrap().path()).ok()).collect()
    }
}

impl Deref for Server {
    type Target = Process;
    fn deref(&self) -> &Process {
        self.process.as_ref().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(process) = self.process.take() else { return };
        let log = process.err.text();
        if std::thread::panicking() {
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            eprintln!("the end of the server's log:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        } else {
            assert!(!log.contains("panicked"), "{log}");
        }
    }
}

/// The identifiers of the messages in the database of a server that has ended, in the order of their numbers.
pub(crate) fn stored(dir: &DataDir) -> Vec<MessageId> {
    let database = Connection::open(dir.file("rsachat.db")).unwrap();
    let mut rows = database.prepare("SELECT id FROM message ORDER BY place").unwrap();
    rows.query_map([], |row| row.get(0).map(MessageId)).unwrap().map(Result::unwrap).collect()
}
