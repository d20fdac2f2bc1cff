//! Which key the server has to have: what the user says, or has trusted before, or trusts now.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::link::FIRST_CONTACT;
use crate::client::address::Server;
use crate::client::driver::{FirstContactError, fetch_server_key};
use crate::config::{ClientConfig, ClientPaths};
use crate::crypto::rsa::PublicKey;
use crate::error::{Context as _, Error, Exit};
use crate::keys::identity::read_public;
use crate::keys::trust::{KnownServers, TrustError};
use crate::model::Fingerprint;
use crate::term::Term;

/// How long to wait before a server that is not there is asked for its key again.
const AGAIN: Duration = Duration::from_secs(2);

/// A server's key, and why it is trusted.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) key: PublicKey,
    because: Because,
}

#[derive(Debug)]
enum Because {
    /// A file has it.
    File(PathBuf),
    /// The user, or the user's configuration, gave its fingerprint.
    Fingerprint,
    /// A line of `known_servers` has it.
    Known(PathBuf, usize),
}

impl Trusted {
    /// The server is not the one that is trusted, loudly.
    pub(super) fn mismatch(&self, server: &Server, new: Option<&PublicKey>) -> Error {
        let old = self.key.fingerprint();
        let (from, change) = match &self.because {
            Because::File(file) => (format!(" ({})", file.display()), format!("replace {}", file.display())),
            Because::Fingerprint => (String::new(), "give the new fingerprint".to_owned()),
            Because::Known(file, line) => {
                (format!(" ({}:{line})", file.display()), format!("delete line {line} of {}", file.display()))
            }
        };
        mismatch(server, &format!("{old}{from}"), new.map(PublicKey::fingerprint), &change)
    }
}

fn mismatch(server: &Server, trusted: &str, new: Option<Fingerprint>, change: &str) -> Error {
    let shows = match new {
        Some(new) => format!("it shows {new}"),
        None => "it could not prove that it has that key".to_owned(),
    };
    Error::pin_mismatch(format_args!(
        "THE SERVER'S KEY IS NOT THE ONE THAT IS TRUSTED. Somebody may be listening in, or the operator has changed \
         the key.\n{} must have {trusted}\n{shows}",
        server.name,
    ))
    .hint(format_args!("ask the server's operator, over another channel; if the new key is right, {change}"))
}

/// The key that the server has to have: that in `file`, or with this fingerprint, if the user says so.
pub(super) fn find(
    term: &Term,
    file: Option<&Path>,
    fingerprint: Option<Fingerprint>,
    config: &ClientConfig,
    paths: &ClientPaths,
    server: &Server,
) -> Result<Trusted, Error> {
    // What the configuration says of a server's key is about the server that it names.
    let same = || {
        let theirs = config.server_ip.as_deref().and_then(|host| Server::new(host, config.server_port).ok());
        theirs.is_none_or(|theirs| theirs.name == server.name)
    };
    if let Some(file) = file {
        return from_file(file);
    }
    let wanted = fingerprint.or_else(|| config.fingerprint.filter(|_| same()));
    if let Some(file) = config.server_key.as_ref().filter(|_| wanted.is_none() && same()) {
        return from_file(file);
    }
    let mut known = KnownServers::load(&paths.known_servers())?;
    if let Some(wanted) = wanted {
        return by_fingerprint(term, wanted, paths, &mut known, server);
    }
    if let Some(file) = paths.server_key() {
        return from_file(&file);
    }
    if let Some(pin) = known.find(&server.name) {
        return Ok(Trusted { key: pin.key.clone(), because: Because::Known(paths.known_servers(), pin.line) });
    }
    first_contact(term, paths, &mut known, server)
}

fn from_file(file: &Path) -> Result<Trusted, Error> {
    Ok(Trusted { key: read_public(file)?, because: Because::File(file.to_owned()) })
}

/// The key with this fingerprint: one that is here already, or else the server's.
fn by_fingerprint(
    term: &Term,
    wanted: Fingerprint,
    paths: &ClientPaths,
    known: &mut KnownServers,
    server: &Server,
) -> Result<Trusted, Error> {
    let because = Because::Fingerprint;
    let pinned = known.find(&server.name).map(|pin| (pin.key.clone(), pin.line));
    if let Some((key, _)) = pinned.clone().filter(|(key, _)| key.fingerprint() == wanted) {
        return Ok(Trusted { key, because });
    }
    let file = paths.server_key().and_then(|file| read_public(&file).ok());
    if let Some(key) = file.filter(|key| key.fingerprint() == wanted) {
        return Ok(Trusted { key, because });
    }
    let key = shown_key(term, server)?;
    if key.fingerprint() != wanted {
        return Err(mismatch(server, &wanted.to_string(), Some(key.fingerprint()), "give its fingerprint"));
    }
    match pinned {
        // It was given for this time. What is remembered stays.
        Some((_, line)) => term.warn(format_args!(
            "line {line} of {} has another key for {}",
            paths.known_servers().display(),
            server.name
        )),
        // The fingerprint can be given again, so that a file that can't be written is no reason to end.
        None => {
            if let Err(error) = remember(paths, known, server, &key) {
                term.warn(error);
            }
        }
    }
    Ok(Trusted { key, because })
}

/// Nothing is known of the server: whoever is at the terminal decides.
fn first_contact(
    term: &Term,
    paths: &ClientPaths,
    known: &mut KnownServers,
    server: &Server,
) -> Result<Trusted, Error> {
    if !term.asks() {
        let error = Error::authentication(format_args!("the key of {} is not known", server.name));
        return Err(error.hint("--server-key FILE or --fingerprint SHA256:... says which key to trust"));
    }
    let key = shown_key(term, server)?;
    term.note(format_args!("{} has not been seen before. The fingerprint of its key:", server.name));
    term.note(key.fingerprint());
    term.note("Compare it with what the operator tells you over another channel.");
    if !term.confirm(
        "Is it the same? Then it is remembered, and any other refused",
        false,
        "--fingerprint SHA256:...",
    )? {
        return Err(Error::authentication("the server's key is not trusted"));
    }
    remember(paths, known, server, &key)?;
    let line = known.find(&server.name).map_or(0, |pin| pin.line);
    Ok(Trusted { key, because: Because::Known(paths.known_servers(), line) })
}

fn remember(paths: &ClientPaths, known: &mut KnownServers, server: &Server, key: &PublicKey) -> Result<(), Error> {
    let file = paths.known_servers();
    if let Some(dir) = file.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).context(|| format!("can't make {}", dir.display()))?;
    }
    Ok(known.pin(&server.name, key)?)
}

/// The key that the server shows. Where somebody waits, it is asked until it answers.
fn shown_key(term: &Term, server: &Server) -> Result<PublicKey, Error> {
    let mut said = false;
    loop {
        match fetch_server_key(&server.target, FIRST_CONTACT) {
            Ok(key) => return Ok(key),
            Err(error) => {
                let passes = matches!(
                    error,
                    FirstContactError::Resolve { .. } | FirstContactError::Connection(_) | FirstContactError::TimedOut
                );
                if !(passes && term.asks()) {
                    return Err(Error::from(error).context(&server.name));
                }
                if !std::mem::replace(&mut said, true) {
                    term.note(format_args!("no connection ({error}), trying on; Ctrl-C ends"));
                }
                std::thread::sleep(AGAIN);
            }
        }
    }
}

impl From<TrustError> for Error {
    fn from(error: TrustError) -> Self {
        Self::new(Exit::Failure, error)
    }
}
