//! `rsachat agent`: unlocks keys and holds them for other runs of the program; or says which are held, or ends that.

use std::path::{Path, PathBuf};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{key_files, link};
use crate::agent::client::{self, AskError};
use crate::agent::keyring::{Keyring, MOST_KEYS};
use crate::agent::place::{Place, PlaceError};
use crate::agent::server::{Agent, Ended, StartError};
use crate::cli::AgentArgs;
use crate::config::ClientPaths;
use crate::crypto::rsa::PrivateKey;
use crate::error::Error;
use crate::keys::identity::KeyFile;
use crate::model::Timestamp;
use crate::term::{Term, passphrase_file};
use crate::time;

/// Holds keys until their time is over, or does what is to be done with the agent that runs.
pub(super) fn run(term: &Term, args: &AgentArgs) -> Result<(), Error> {
    let paths = ClientPaths::here();
    let socket = paths.agent_socket();
    if args.list {
        return list(term, &socket);
    }
    if args.stop {
        return Ok(client::stop(&socket)?);
    }
    hide_memory();
    // Before anybody is asked for a passphrase in vain.
    let place = Place::take(&socket)?;
    let files = files(args, &paths)?;
    let keys = unlock(term, &files, args.passphrase_file.as_deref())?;
    let fingerprints: Vec<_> = keys.iter().map(|(_, key)| key.public().fingerprint()).collect();
    let until = end_of(args.lifetime);
    let keyring = Keyring::new(keys, until)
        .ok_or_else(|| Error::usage(format_args!("an agent holds {MOST_KEYS} keys, and no more")))?;
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(Error::failure)?;
    let agent = Agent::start(place, keyring, args.lifetime)?;
    let stopper = agent.stopper();
    std::thread::spawn(move || signals.forever().for_each(|_| stopper.stop()));
    for (file, fingerprint) in files.iter().zip(fingerprints) {
        term.note(format_args!("holding {fingerprint} ({})", file.display()));
    }
    term.note(format_args!("at {}, until {}", socket.display(), time::local(until)));
    match agent.run() {
        Ended::Told => Ok(()),
        Ended::Over => {
            term.note("the agent's time is over");
            Ok(())
        }
        Ended::Failed(error) => Err(Error::failure(error).context("the agent can't go on")),
    }
}

fn list(term: &Term, socket: &Path) -> Result<(), Error> {
    let held = client::list(socket)?;
    for (_, key) in &held.keys {
        term.out(key.fingerprint())?;
    }
    term.note(format_args!("held until {}", time::local(held.until)));
    Ok(())
}

/// Keeps debuggers and core dumps away from the keys, where the system can do that: the user's own, too. Without it, they
/// are no worse off than in a program that was just asked for the passphrase.
fn hide_memory() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// The files of the keys.
fn files(args: &AgentArgs, paths: &ClientPaths) -> Result<Vec<PathBuf>, Error> {
    if !args.identity.is_empty() {
        return Ok(args.identity.clone());
    }
    let config = link::config(paths)?;
    let Some(user) = args.user.or(config.username) else {
        return Err(Error::usage("whose key?").hint("--user NAME, --identity FILE, or username in user_config.json"));
    };
    link::identity(None, &config, paths, user).map(|file| vec![file]).ok_or_else(|| link::no_identity(user, paths))
}

/// The keys, each with SHA-256 over its file.
fn unlock(term: &Term, paths: &[PathBuf], from_file: Option<&Path>) -> Result<Vec<([u8; 32], PrivateKey)>, Error> {
    let files = paths.iter().map(|path| KeyFile::read(path)).collect::<Result<Vec<_>, _>>()?;
    let passphrase = from_file.map(passphrase_file).transpose()?;
    let open = |file: &KeyFile| {
        let key = match &passphrase {
            Some(passphrase) => file.open(Some(passphrase))?,
            None => key_files::open(term, file, key_files::PASSPHRASE_FILE)?,
        };
        Ok((file.digest(), key))
    };
    files.iter().map(open).collect()
}

fn end_of(lifetime: Duration) -> Timestamp {
    let millis = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
    Timestamp(Timestamp::now().0.saturating_add(millis))
}

impl From<AskError> for Error {
    fn from(error: AskError) -> Self {
        match error {
            AskError::NotRunning => Self::failure(error).hint("rsachat agent starts one"),
            AskError::Silent(_) => Self::network(error).hint("end it by its process, and start another one"),
            AskError::Foreign(_) => Self::authentication(error),
            AskError::Malformed(_) | AskError::Refused(_) => {
                Self::failure(error).hint("end it by the program that has started it, or by its process")
            }
        }
    }
}

impl From<PlaceError> for Error {
    fn from(error: PlaceError) -> Self {
        let hint = match &error {
            PlaceError::Directory { .. } => "it has to be yours alone, as $XDG_RUNTIME_DIR is, which names another one",
            PlaceError::Taken(_) => "rsachat agent --list shows what it holds, rsachat agent --stop ends it",
            PlaceError::Socket { .. } => {
                "another directory, by XDG_RUNTIME_DIR, may have room for it, and a shorter path"
            }
        };
        Self::failure(error).hint(hint)
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Place(error) => error.into(),
            StartError::System(error) => Self::failure(error).context("can't start the agent"),
        }
    }
}
