//! `rsachat trust`: whose keys a user trusts, on which server; and forgetting one.

use std::path::Path;

use super::key_files::own_key;
use crate::cli::{TrustArgs, TrustCommand, WhoseArgs};
use crate::client::memory::{Memory, MemoryError};
use crate::config::{ClientConfig, ClientPaths};
use crate::error::Error;
use crate::keys::trust::KnownServers;
use crate::model::UserName;
use crate::term::Term;

/// Lists what is remembered, or forgets some of it.
pub(super) fn run(term: &Term, args: &TrustArgs) -> Result<(), Error> {
    match &args.command {
        TrustCommand::List { whose } => list(term, whose),
        TrustCommand::Remove { user, whose } => remove(term, *user, whose),
    }
}

fn list(term: &Term, whose: &WhoseArgs) -> Result<(), Error> {
    let memories = memories(term, whose)?;
    for (server, memory) in &memories {
        term.out(server)?;
        for (user, pin) in memory.known()?.pins() {
            let how = if pin.verified { "verified" } else { "trusted" };
            term.out(format_args!("  {user:<16} {how:<8}  {}", pin.key))?;
        }
    }
    if memories.is_empty() {
        term.note("nobody's key is remembered yet");
    }
    Ok(())
}

fn remove(term: &Term, user: UserName, whose: &WhoseArgs) -> Result<(), Error> {
    let mut forgotten = false;
    for (server, mut memory) in memories(term, whose)? {
        if memory.forget(user)? {
            forgotten = true;
            term.note(format_args!("{user}'s key is forgotten on {server}: the next one that is seen is trusted"));
        }
    }
    if forgotten {
        return Ok(());
    }
    Err(Error::failure(format_args!("no key of {user} is remembered")).hint("rsachat trust list"))
}

/// What the user remembers, for each server that he was on with this key.
fn memories(term: &Term, whose: &WhoseArgs) -> Result<Vec<(String, Memory)>, Error> {
    let paths = ClientPaths::here();
    let config = match paths.user_config() {
        Some(file) => ClientConfig::load(&file)?,
        None => ClientConfig::default(),
    };
    let Some(user) = whose.user.or(config.username) else {
        return Err(Error::usage("whose?").hint("--user NAME, or username in user_config.json"));
    };
    let Some(identity) = whose.identity.clone().or(config.identity).or_else(|| paths.identity(&user)) else {
        let error = Error::usage(format_args!("there is no private key for {user}"));
        return Err(error.hint("--identity FILE names one"));
    };
    let key = own_key(term, &paths, &identity, whose.passphrase_file.as_deref())?;
    let files = paths.all_known_users(&user, key.public().fingerprint());
    let servers = KnownServers::load(&paths.known_servers())?;
    let mut memories = Vec::new();
    for (server, file) in files {
        let (memory, _) = Memory::open(&file, &*key, &mut rand::rng())?;
        memories.push((name(&servers, &server, &file), memory));
    }
    Ok(memories)
}

/// A server by its names, or by the beginning of its fingerprint.
fn name(servers: &KnownServers, server: &str, file: &Path) -> String {
    let names: Vec<String> = servers
        .iter()
        .filter(|pin| ClientPaths::short(pin.key.fingerprint()) == server)
        .map(|pin| pin.server.to_string())
        .collect();
    if names.is_empty() { format!("{server} ({})", file.display()) } else { names.join(", ") }
}

impl From<MemoryError> for Error {
    fn from(error: MemoryError) -> Self {
        let hint = match &error {
            MemoryError::Key(error) => return (*error).into(),
            MemoryError::Foreign { .. } => "move it away to begin anew: then every key counts as one never seen before",
            MemoryError::Io { .. } | MemoryError::Database { .. } => {
                "you must be able to write to it and its directory"
            }
        };
        Self::failure(error).hint(hint)
    }
}
