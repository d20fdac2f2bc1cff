//! `rsachat keys`: who is registered with a server, as its keys directory has it. A running server notices by itself.

use std::fs;
use std::io;
use std::path::Path;

use super::key_files::replace;
use crate::cli::{KeysAddArgs, KeysArgs, KeysCommand, KeysRemoveArgs};
use crate::config::ServerPaths;
use crate::error::{Context as _, Error};
use crate::keys::identity;
use crate::keys::invites::Invites;
use crate::keys::registry::{self, Reason, Registry};
use crate::model::{Timestamp, UserName};
use crate::term::{Term, sanitise};
use crate::time::rfc_3339;

pub(super) fn run(term: &Term, args: &KeysArgs) -> Result<(), Error> {
    let paths = ServerPaths::new(&args.data_dir, None);
    let (directory, invites) = (paths.keys, Invites::new(&paths.invites));
    match &args.command {
        KeysCommand::List => list(term, &directory, &invites),
        KeysCommand::Add(args) => add(term, &directory, &invites, args),
        KeysCommand::Remove(args) => remove(term, &directory, &invites, args),
    }
}

fn list(term: &Term, directory: &Path, invites: &Invites) -> Result<(), Error> {
    fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
    let loaded = registry::load(directory, &Registry::default());
    let invited = invites.list().context(|| "can't read the invitations")?;
    let users = loaded.registry.iter().map(|(user, _)| user).chain(invited.iter().map(|(user, _)| *user));
    let width = users.map(|user| user.as_str().len()).max().unwrap_or(0);
    for (user, key) in loaded.registry.iter() {
        term.out(format_args!("{user:width$}  {}  {}", key.fingerprint(), key.bits()))?;
    }
    for (user, expires) in invited {
        let state = if expires > Timestamp::now() { "invited until" } else { "invitation ended" };
        term.out(format_args!("{user:width$}  {state} {}", rfc_3339(expires)))?;
    }
    for refusal in &loaded.refusals {
        term.warn(sanitise(&refusal.to_string()));
    }
    if loaded.registry.is_empty() {
        term.note(format_args!("nobody is registered in {}", directory.display()));
        term.hint("rsachat keys add key_USER.pem, or rsachat invite USER");
    }
    Ok(())
}

fn add(term: &Term, directory: &Path, invites: &Invites, args: &KeysAddArgs) -> Result<(), Error> {
    let user = match args.user {
        Some(user) => user,
        None => user_in_name(&args.file)?,
    };
    let key = identity::read_public(&args.file)?;
    let registry = registry::load(directory, &Registry::default()).registry;
    match registry.find_fingerprint(&key.fingerprint()) {
        Some(holder) if holder == user => {
            term.note(format_args!("{user} is registered with this key already"));
            return Ok(());
        }
        Some(holder) => {
            let reason = Reason::SameKey { user: holder };
            return Err(Error::failure(format!("{}: {reason}", args.file.display()))
                .hint("a key belongs to one user: each makes his own with rsachat keygen"));
        }
        None => {}
    }
    fs::create_dir_all(directory).context(|| format!("can't make {}", directory.display()))?;
    let target = registry::file_of(directory, &user);
    let existing = replace(term, &[&target], args.force)?;
    identity::write_public(&target, &key, existing)?;
    // He needs none any more, and it would bring him back once he is removed.
    invites.withdraw(&user).context(|| format!("can't remove the invitation of {user}"))?;
    term.out(format_args!("{user}  {}", key.fingerprint()))
}

fn remove(term: &Term, directory: &Path, invites: &Invites, args: &KeysRemoveArgs) -> Result<(), Error> {
    let user = args.user;
    // Nobody comes in by it between the two.
    let _held = directory.exists().then(|| invites.lock().ok());
    let mut removed = invites.withdraw(&user).context(|| format!("can't remove the invitation of {user}"))?;
    if removed {
        term.note(format_args!("{user} is invited no longer"));
    }
    for entry in fs::read_dir(directory).map_err(|error| unreadable(directory, &error))? {
        let entry = entry.map_err(|error| unreadable(directory, &error))?;
        // Also one that is spelled with upper case, or refused: nothing may bring the user back.
        if registry::user_of(&entry.file_name()) == Ok(user) {
            let path = entry.path();
            fs::remove_file(&path).context(|| format!("can't remove {}", path.display()))?;
            term.note(format_args!("removed {}", path.display()));
            removed = true;
        }
    }
    if removed {
        Ok(())
    } else {
        Err(Error::failure(format!("{user} is neither registered nor invited")).hint("rsachat keys list"))
    }
}

fn user_in_name(file: &Path) -> Result<UserName, Error> {
    let name = file.file_name().unwrap_or_default();
    registry::user_of(name).map_err(|reason| {
        Error::usage(format!("{}: {reason}", file.display())).hint("--user NAME says whose key it is")
    })
}

fn unreadable(directory: &Path, error: &io::Error) -> Error {
    let error_text = Error::failure(format!("can't read {}: {error}", directory.display()));
    match error.kind() {
        io::ErrorKind::NotFound => error_text.hint("--data-dir DIR says where the server's directory is"),
        _ => error_text,
    }
}
