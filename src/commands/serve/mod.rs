//! `rsachat serve`: prepares the server's files, runs it, and ends it in order when a signal or the operator says so.

mod console;
mod logging;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::ServeArgs;
use crate::config::{ServerConfig, ServerPaths};
use crate::crypto::rsa::{Bits, PrivateKey};
use crate::error::{Error, Exit};
use crate::keys::file::Existing;
use crate::keys::identity::{self, KeyFile, Problem};
use crate::keys::registry::{self, Loaded, Registry};
use crate::server::{Event, Options, Server, StartError};
use crate::term::{Term, sanitise};

/// How long a shutdown may take; what was accepted is on disk all the time.
const SHUTDOWN: Duration = Duration::from_secs(4);

/// Runs the server until it is told to end.
pub(super) fn run(term: &Term, args: &ServeArgs) -> Result<(), Error> {
    let paths = ServerPaths::new(&args.data_dir, args.config.as_deref());
    let config = ServerConfig::load(&paths, &args.settings)?;
    if args.check {
        return check(term, &paths);
    }
    let _log = logging::start(args.log_format, term);
    create_keys_directory(&paths.keys)?;
    let registered = registry::load(&paths.keys, &Registry::default());
    for refusal in &registered.refusals {
        term.warn(sanitise(&refusal.to_string()));
    }
    let users = registered.registry.len();
    let key = server_key(term, &paths)?;

    // Signals are caught before anything is announced: whoever waits for the announcement may send one.
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(Error::failure)?;
    if config.message_log.is_some() {
        // Without such a log there is nothing to go on with, and it ends the program as it always does.
        signals.add_signal(SIGHUP).map_err(Error::failure)?;
    }
    // Up to where there is a server to end in order, every signal ends the program.
    let starting = Arc::new(AtomicBool::new(true));
    for (signal, exit) in [(SIGINT, Exit::Interrupted), (SIGTERM, Exit::Terminated)] {
        signal_hook::flag::register_conditional_shutdown(signal, exit.code().into(), Arc::clone(&starting))
            .map_err(Error::failure)?;
    }
    // The first interrupt arms the second, which ends the program wherever it is.
    let armed = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register_conditional_shutdown(SIGINT, Exit::Interrupted.code().into(), Arc::clone(&armed))
        .and_then(|_| signal_hook::flag::register(SIGINT, armed))
        .map_err(Error::failure)?;

    let server = Server::start(Options {
        config: &config,
        key,
        keys: &paths.keys,
        registered,
        database: &paths.database,
        invites: &paths.invites,
        ticket_keys: &paths.ticket_keys,
        directory: &paths.directory,
    })
    .map_err(start_error)?;
    starting.store(false, Ordering::Relaxed);
    let control = server.control();
    // Who doesn't read it can do without.
    let _ = announce(term, &server, users, &paths);
    std::thread::spawn(move || {
        for signal in signals.forever() {
            match signal {
                SIGHUP => control.reopen_message_log(),
                SIGINT => control.shut_down("an interrupt"),
                _ => control.shut_down("SIGTERM"),
            }
        }
    });
    if term.commands() {
        console::start(term, server.control());
    }
    serve(term, server)
}

/// Waits for the end.
fn serve(term: &Term, server: Server) -> Result<(), Error> {
    let mut deadline: Option<Instant> = None;
    let result = loop {
        let patience = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => {
                tracing::warn!("some connections did not end in time");
                break Ok(());
            }
            Some(left) => left,
            None => Duration::from_secs(60),
        };
        match server.next_event(patience) {
            // An operator who can't be told is no reason to end.
            Some(Event::Console(line)) => drop(term.out(line)),
            Some(Event::Stopping) => deadline = Some(Instant::now() + SHUTDOWN),
            Some(Event::Stopped) => break Ok(()),
            Some(Event::Failed(text)) => break Err(Error::failure(text)),
            None => {}
        }
    };
    server.end();
    if result.is_ok() {
        tracing::info!("stopped");
    }
    result
}

fn check(term: &Term, paths: &ServerPaths) -> Result<(), Error> {
    // serve makes the directory.
    let loaded =
        if paths.keys.exists() { registry::load(&paths.keys, &Registry::default()) } else { Loaded::default() };
    for refusal in &loaded.refusals {
        term.warn(sanitise(&refusal.to_string()));
    }
    let key = match KeyFile::read(&paths.private_key).and_then(|file| file.open(None)) {
        Ok(key) => format!("server key {}", key.public().fingerprint()),
        Err(error) if matches!(error.problem, Problem::Missing) => "no server key yet: serve makes one".to_owned(),
        Err(error) => return Err(error.into()),
    };
    if loaded.refusals.is_empty() {
        term.out(format_args!("configuration is valid, {} registered, {key}", users(loaded.registry.len())))
    } else {
        Err(Error::failure("the configuration is valid, but there are key files that do not count")
            .hint("mend or remove the files named above"))
    }
}

fn create_keys_directory(path: &Path) -> Result<(), Error> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Error::failure(format_args!("can't make the directory {}: {error}", path.display()))
                .hint("--data-dir DIR names the server's directory, which has to exist and to be writable"))
        }
        _ => Ok(()),
    }
}

/// The server's key: the one that is there, or a new pair.
fn server_key(term: &Term, paths: &ServerPaths) -> Result<PrivateKey, Error> {
    match KeyFile::read(&paths.private_key).and_then(|file| file.open(None)) {
        Ok(key) => {
            check_public_key(term, paths, &key);
            Ok(key)
        }
        Err(error) if matches!(error.problem, Problem::Missing) => {
            let mut rng = rand::rng();
            let key = {
                let _spinner = term.spinner("making the server's key pair");
                PrivateKey::generate(Bits::B3072, &mut rng).map_err(Error::failure)?
            };
            // The private half last: whoever finds it finds both.
            identity::write_public(&paths.public_key, key.public(), Existing::Replace)?;
            identity::write_private(&paths.private_key, &key, None, Existing::Keep, &mut rng)?;
            term.note(format_args!("made {} and {}", paths.private_key.display(), paths.public_key.display()));
            Ok(key)
        }
        Err(error) => Err(error.into()),
    }
}

/// The public key is what operators hand out: it has to be there, and to be this one.
fn check_public_key(term: &Term, paths: &ServerPaths, key: &PrivateKey) {
    let (public, private) = (paths.public_key.display(), paths.private_key.display());
    match identity::read_public(&paths.public_key) {
        Ok(found) if found == *key.public() => {}
        Err(error) if matches!(error.problem, Problem::Missing) => {
            match identity::write_public(&paths.public_key, key.public(), Existing::Keep) {
                Ok(()) => term.note(format_args!("made {public}")),
                Err(error) => term.warn(error),
            }
        }
        Ok(_) | Err(_) => {
            term.warn(format_args!("{public} is not the public half of {private}"));
            term.hint(format_args!("rsachat key public {private} > {public}"));
        }
    }
}

fn announce(term: &Term, server: &Server, users_count: usize, paths: &ServerPaths) -> Result<(), Error> {
    for address in server.addresses() {
        term.out(format_args!("listening at {address}"))?;
    }
    term.out(format_args!("fingerprint  {}", server.fingerprint()))?;
    term.out(format_args!("registered   {} in {}", users(users_count), paths.keys.display()))?;
    if let Some(address) = server.addresses().first() {
        let host = if address.ip().is_unspecified() { "HOST".to_owned() } else { host(address.ip()) };
        let port = address.port();
        term.out(format_args!("to connect   rsachat connect {host}:{port} --user NAME"))?;
    }
    Ok(())
}

fn host(ip: std::net::IpAddr) -> String {
    if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }
}

fn users(count: usize) -> String {
    if count == 1 { "1 user".to_owned() } else { format!("{count} users") }
}

pub(super) fn start_error(error: StartError) -> Error {
    use std::io::ErrorKind;
    let shown = Error::failure(&error);
    match error {
        StartError::Listen(error) => match error.error.kind() {
            ErrorKind::AddrInUse => shown.hint(format_args!(
                "another program listens there: end it, or take another port (--server-port), as in --server-port {}",
                error.address.port().wrapping_add(1).max(1024)
            )),
            ErrorKind::PermissionDenied => {
                shown.hint("ports below 1024 need a privilege: take another (--server-port 5000)")
            }
            ErrorKind::AddrNotAvailable => shown.hint("this machine does not have that address: see --server-ip"),
            _ => shown,
        },
        StartError::Store(error) => {
            let hint = error.hint();
            shown.hint(hint)
        }
        StartError::MessageLog(_) => {
            shown.hint("message_log in config.json has to name a file that the server's user can write to, or null")
        }
        StartError::System(_) => shown,
    }
}
