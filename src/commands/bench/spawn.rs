//! A server of this program's, started for a measurement and ended after it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::commands::throwaway;
use crate::config::ServerPaths;
use crate::crypto::rsa::PublicKey;
use crate::error::{Context as _, Error};
use crate::keys::file::Existing;
use crate::keys::{identity, registry};
use crate::load::{Identity, Process, Target};
use crate::model::UserName;
use crate::term::Term;

/// How long a server may take to end in order.
const END: Duration = Duration::from_secs(10);

/// The server.
#[derive(Debug)]
pub(super) struct Spawned {
    running: Running,
    config: Option<PathBuf>,
    connections: u32,
    key: PublicKey,
    address: SocketAddr,
    // Of the process that runs now, for the thread that waits for signals.
    pid: Arc<AtomicI32>,
    directory: TempDir,
}

#[derive(Debug)]
struct Running {
    child: Child,
    // Kept open: a server whose announcements nobody can read any more would be told so.
    _announcements: BufReader<ChildStdout>,
}

impl Spawned {
    /// Starts a server for so many connections, with so many users.
    pub(super) fn start(
        term: &Term,
        config: Option<PathBuf>,
        connections: u32,
        users: u32,
    ) -> Result<(Self, Vec<Identity>), Error> {
        let mut keys = throwaway::keys(term, users as usize + 1)?;
        let server_key = keys.pop().ok_or_else(|| Error::failure("a key is missing"))?;
        let directory = tempfile::Builder::new()
            .prefix("rsachat-bench-")
            .tempdir()
            .map_err(|error| Error::failure(error).context("can't make a temporary directory"))?;
        let pid = Arc::new(AtomicI32::new(0));
        clean_up_at_signals(directory.path().to_owned(), Arc::clone(&pid))?;

        let paths = ServerPaths::new(directory.path(), None);
        fs::create_dir(&paths.keys).context(|| paths.keys.display().to_string())?;
        let mut identities = Vec::new();
        for (number, key) in keys.into_iter().enumerate() {
            let user: UserName = format!("bench{}", number + 1).parse().map_err(Error::failure)?;
            identity::write_public(&registry::file_of(&paths.keys, &user), key.public(), Existing::Keep)?;
            identities.push(Identity { user, key });
        }
        let mut rng = rand::rng();
        identity::write_pair(&paths.private_key, &paths.public_key, &server_key, None, Existing::Keep, &mut rng)?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (running, address) = run(&directory, config.as_deref(), connections, any, &pid)?;
        let key = server_key.public().clone();
        Ok((Self { running, config, connections, key, address, pid, directory }, identities))
    }

    pub(super) fn target(&self) -> Target {
        Target { address: self.address, key: self.key.clone() }
    }

    pub(super) fn process(&self) -> Process {
        Process(self.running.child.id())
    }

    /// Ends the server as a power cut would, and starts it again, at the same address.
    pub(super) fn restart(&mut self) -> Result<(), Error> {
        self.running.child.kill().and_then(|()| self.running.child.wait()).map_err(Error::failure)?;
        (self.running, _) = run(&self.directory, self.config.as_deref(), self.connections, self.address, &self.pid)?;
        Ok(())
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        let child = &mut self.running.child;
        if let Some(pid) = Pid::from_raw(self.pid.swap(0, Ordering::Relaxed)) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            match child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                _ => return,
            }
        }
        let _ = child.kill().and_then(|()| child.wait());
    }
}

fn run(
    directory: &TempDir,
    config: Option<&std::path::Path>,
    connections: u32,
    address: SocketAddr,
    pid: &AtomicI32,
) -> Result<(Running, SocketAddr), Error> {
    let program = std::env::current_exe().context(|| "can't find this program")?;
    let log_path = directory.path().join("server.log");
    let log = File::options().create(true).append(true).open(&log_path).context(|| log_path.display().to_string())?;
    // Beside those that are measured: what is left of those that ended just now.
    let connections = connections.saturating_add(100).to_string();
    let mut command = Command::new(program);
    command.arg("serve").arg("--data-dir").arg(directory.path());
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    for (flag, value) in [
        ("--server-ip", &*address.ip().to_string()),
        ("--server-port", &*address.port().to_string()),
        ("--max-connections", &connections),
        ("--max-connections-per-address", "0"),
        ("--max-connections-per-user", &connections),
        ("--handshakes-per-second-per-address", "0"),
        ("--message-rate", "100000"),
        ("--message-burst", "100000"),
    ] {
        command.arg(flag).arg(value);
    }
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().context(|| "can't start a server")?;
    pid.store(i32::try_from(child.id()).unwrap_or_default(), Ordering::Relaxed);
    let stdout = child.stdout.take().ok_or_else(|| Error::failure("the server has no output"))?;
    let mut announcements = BufReader::new(stdout);
    let mut line = String::new();
    let read = announcements.read_line(&mut line).context(|| "the server does not start")?;
    let address = line.trim_end().strip_prefix("listening at ").and_then(|text| text.parse().ok());
    match address {
        Some(address) if read > 0 => Ok((Running { child, _announcements: announcements }, address)),
        _ => {
            let _ = child.kill().and_then(|()| child.wait());
            let said = fs::read_to_string(&log_path).unwrap_or_default();
            let last = said.lines().last().unwrap_or("it said nothing");
            Err(Error::failure(last.trim_start_matches("rsachat: error: ")).context("the server does not start"))
        }
    }
}

fn clean_up_at_signals(directory: PathBuf, pid: Arc<AtomicI32>) -> Result<(), Error> {
    throwaway::at_signals(move || {
        let server = Pid::from_raw(pid.load(Ordering::Relaxed));
        let signal = |signal| server.map(|pid| kill_process(pid, signal));
        // Stopped, it neither writes what is being removed, nor closes connections, which the measurement would take for
        // a failure and end the program with that. Killed, it has nothing to lose.
        signal(Signal::STOP);
        let _ = fs::remove_dir_all(directory);
        signal(Signal::KILL);
    })
}
