//! The users that a server admits: the public keys in its `keys/` directory, one file `key_USER.pem` each.
//!
//! [`load`] turns the directory into a [`Registry`], which never changes: a change of the directory makes another one.
//! One bad file is a [`Refusal`] of that file and of nothing else, and changes nothing for the user it names: who had a
//! key before keeps it. A key belongs to one name. Where two files hold the same key, it stays with the name that had it
//! before; among new ones it goes to the first in the order of names.
//!
//! Only `key_*.pem` files count. Any other `*.pem` is refused, as it is probably a mistake; the rest (hidden files too)
//! is ignored, so that notes, editors' copies and files on their way in do no harm.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file::{self, ReadError};
use super::identity::KEY_FILE_BYTES;
use crate::crypto::rsa::{PublicKey, PublicKeyError};
use crate::model::{Fingerprint, NameError, UserName};

/// Who is registered, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    keys: BTreeMap<UserName, PublicKey>,
    names: HashMap<Fingerprint, UserName>,
}

impl Registry {
    fn new(keys: BTreeMap<UserName, PublicKey>) -> Self {
        let names = keys.iter().map(|(user, key)| (key.fingerprint(), *user)).collect();
        Self { keys, names }
    }

    /// The key of a user.
    #[must_use]
    pub fn find(&self, user: &UserName) -> Option<&PublicKey> {
        self.keys.get(user)
    }

    /// The user with this key.
    #[must_use]
    pub fn find_fingerprint(&self, fingerprint: &Fingerprint) -> Option<UserName> {
        self.names.get(fingerprint).copied()
    }

    /// All users with their keys, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (UserName, &PublicKey)> {
        self.keys.iter().map(|(user, key)| (*user, key))
    }

    /// How many users there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What is different in `newer`, in the order of names.
    #[must_use]
    pub fn changes(&self, newer: &Self) -> Vec<Change> {
        let gone =
            self.keys.keys().filter(|user| newer.find(user).is_none()).map(|user| Change::Removed { user: *user });
        let now = newer.iter().filter_map(|(user, key)| match self.find(&user) {
            None => Some(Change::Added { user, key: key.clone() }),
            Some(old) if old == key => None,
            Some(_) => Some(Change::Replaced { user, key: key.clone() }),
        });
        let mut changes: Vec<Change> = gone.chain(now).collect();
        changes.sort_by_key(Change::user);
        changes
    }
}

/// A difference between two registries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A user who was not there before.
    Added {
        /// Who.
        user: UserName,
        /// The key.
        key: PublicKey,
    },
    /// A user who is no longer there.
    Removed {
        /// Who.
        user: UserName,
    },
    /// A user with another key than before.
    Replaced {
        /// Who.
        user: UserName,
        /// The new key.
        key: PublicKey,
    },
}

impl Change {
    /// Whose entry is different.
    #[must_use]
    pub fn user(&self) -> UserName {
        match self {
            Self::Added { user, .. } | Self::Removed { user } | Self::Replaced { user, .. } => *user,
        }
    }
}

/// A file that does not count, or the directory itself. Shown as `PATH: REASON`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

/// Why a file does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A `.pem` file of another name than `key_USER.pem`.
    #[error("the file's name is not key_USER.pem, so it registers nobody")]
    Misnamed,
    /// The part of the file's name between `key_` and `.pem` is no user name.
    #[error("the file's name does not name a user: {0}")]
    BadName(#[source] NameError),
    /// Another file names the same user: names are the same in upper and lower case.
    #[error("{} names the same user", other.display())]
    SameUser {
        /// The file that counts.
        other: PathBuf,
    },
    /// Another user has this key.
    #[error("{user} has the same key")]
    SameKey {
        /// Who.
        user: UserName,
    },
    /// A link to a file outside the directory.
    #[error("it is a link that leads outside the directory")]
    OutsideLink,
    /// Not a file.
    #[error("it is not a regular file")]
    NotRegular,
    /// More than [`KEY_FILE_BYTES`].
    #[error("it is larger than {} KiB", KEY_FILE_BYTES / 1024)]
    TooLarge,
    /// It can't be read; what the system says.
    #[error("it can't be read: {0}")]
    Unreadable(String),
    /// What is in it is no acceptable public key.
    #[error(transparent)]
    Key(#[from] PublicKeyError),
}

impl Reason {
    /// Whether it may be just a file that somebody has not finished writing.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        matches!(self, Self::Key(PublicKeyError::Empty | PublicKeyError::Unfinished))
    }
}

impl From<ReadError> for Reason {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotRegular => Self::NotRegular,
            ReadError::TooLarge { .. } => Self::TooLarge,
            ReadError::Io(error) => error.into(),
        }
    }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// What was found in the directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Who is registered.
    pub registry: Registry,
    /// What does not count, in the order of file names.
    pub refusals: Vec<Refusal>,
}

/// The file in which `directory` has the key of `user`.
#[must_use]
pub fn file_of(directory: &Path, user: &UserName) -> PathBuf {
    directory.join(format!("key_{user}.pem"))
}

/// The user whom a file of this name registers.
///
/// # Errors
/// [`Reason::Misnamed`] or [`Reason::BadName`].
pub fn user_of(file: &OsStr) -> Result<UserName, Reason> {
    let name = file.to_str().and_then(|name| name.strip_prefix("key_")?.strip_suffix(".pem"));
    name.ok_or(Reason::Misnamed)?.parse().map_err(Reason::BadName)
}

/// Reads the directory. `previous` is what it held before: it decides who keeps a key, and what a bad file leaves in
/// force. A directory that does not exist registers nobody; one that can't be read changes nothing. Both are refusals,
/// with the directory's path.
#[must_use]
pub fn load(directory: &Path, previous: &Registry) -> Loaded {
    let files = match pem_files(directory) {
        Ok(files) => files,
        Err(error) => {
            let missing = error.kind() == io::ErrorKind::NotFound;
            let registry = if missing { Registry::default() } else { previous.clone() };
            return Loaded { registry, refusals: vec![Refusal { path: directory.to_owned(), reason: error.into() }] };
        }
    };
    let mut reading = Reading { directory, previous, claims: BTreeMap::new(), refusals: BTreeMap::new() };
    for file in files {
        reading.take(file);
    }
    reading.settle();
    let keys = reading.claims.into_iter().filter_map(|(user, claim)| Some((user, claim.key?))).collect();
    let refusals = reading.refusals.into_iter().map(|(path, reason)| Refusal { path, reason }).collect();
    Loaded { registry: Registry::new(keys), refusals }
}

/// The `*.pem` files in a directory that are not hidden; for each user the one that is named in lower case first.
fn pem_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().map(OsStr::as_encoded_bytes).unwrap_or_default();
        if name.ends_with(b".pem") && !name.starts_with(b".") {
            files.push(path);
        }
    }
    files.sort_by_cached_key(|path| {
        let name = path.file_name().map(OsStr::as_encoded_bytes).unwrap_or_default();
        (name.iter().any(u8::is_ascii_uppercase), name.to_owned())
    });
    Ok(files)
}

/// A directory being read.
struct Reading<'a> {
    directory: &'a Path,
    previous: &'a Registry,
    claims: BTreeMap<UserName, Claim>,
    refusals: BTreeMap<PathBuf, Reason>,
}

/// The key that a user's file gives him; after a refusal the one he had before, if any.
struct Claim {
    file: PathBuf,
    key: Option<PublicKey>,
}

impl Reading<'_> {
    fn take(&mut self, file: PathBuf) {
        let user = match user_of(file.file_name().unwrap_or_default()) {
            Ok(user) => user,
            Err(reason) => {
                self.refusals.insert(file, reason);
                return;
            }
        };
        if let Some(claim) = self.claims.get(&user) {
            let other = PathBuf::from(claim.file.file_name().unwrap_or_default());
            self.refusals.insert(file, Reason::SameUser { other });
            return;
        }
        let key = match read_key(self.directory, &file) {
            Ok(key) => Some(key),
            // Removed since the directory was listed.
            Err(_) if fs::symlink_metadata(&file).is_err() => return,
            // A link to what was removed.
            Err(reason) if fs::metadata(&file).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) => {
                self.refusals.insert(file, reason);
                return;
            }
            Err(reason) => {
                self.refusals.insert(file.clone(), reason);
                self.previous.find(&user).cloned()
            }
        };
        self.claims.insert(user, Claim { file, key });
    }

    /// Gives each key to one user. Who loses a key falls back to the one he had before, which nobody may take from him:
    /// so this goes on until nobody loses. It ends, since each user falls back once at most.
    fn settle(&mut self) {
        loop {
            let mut holders: HashMap<Fingerprint, UserName> = HashMap::new();
            for (user, claim) in &self.claims {
                let Some(key) = &claim.key else { continue };
                let holder = holders.entry(key.fingerprint()).or_insert(*user);
                if self.had_before(user, key) {
                    *holder = *user;
                }
            }
            let lost = |user: &UserName, claim: &Claim| {
                let holder = holders.get(&claim.key.as_ref()?.fingerprint())?;
                (holder != user).then_some(*holder)
            };
            let losers: Vec<(UserName, UserName)> =
                self.claims.iter().filter_map(|(user, claim)| Some((*user, lost(user, claim)?))).collect();
            if losers.is_empty() {
                return;
            }
            for (user, holder) in losers {
                if let Some(claim) = self.claims.get_mut(&user) {
                    self.refusals.insert(claim.file.clone(), Reason::SameKey { user: holder });
                    claim.key = self.previous.find(&user).cloned();
                }
            }
        }
    }

    fn had_before(&self, user: &UserName, key: &PublicKey) -> bool {
        self.previous.find_fingerprint(&key.fingerprint()) == Some(*user)
    }
}

fn read_key(directory: &Path, file: &Path) -> Result<PublicKey, Reason> {
    // What is opened is the end of the chain of links that was looked at.
    let target = fs::canonicalize(file)?;
    if !target.starts_with(fs::canonicalize(directory)?) {
        return Err(Reason::OutsideLink);
    }
    let contents = file::read(&target, KEY_FILE_BYTES)?;
    let text = std::str::from_utf8(&contents.bytes).map_err(|_| PublicKeyError::NotPem)?;
    Ok(PublicKey::from_pem(text)?)
}

#[cfg(test)]
mod tests;
