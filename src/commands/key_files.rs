//! What the commands that use key files share: opening them, asking for passphrases, and words for what goes wrong.

use std::path::Path;

use zeroize::Zeroizing;

use crate::agent::client::{self, AskError};
use crate::config::ClientPaths;
use crate::crypto::rsa::{OperationError, OwnKey, PrivateKey, PrivateKeyError, PublicKey, PublicKeyError};
use crate::error::{Error, Exit};
use crate::keys::file::Existing;
use crate::keys::identity::{self, IdentityError, KeyFile, Problem};
use crate::term::{Term, passphrase_file};

/// How a passphrase is given where nobody can be asked.
pub(super) const PASSPHRASE_FILE: &str = "--passphrase-file FILE";
/// How often a person may try a passphrase.
const TRIES: usize = 3;

impl From<IdentityError> for Error {
    fn from(error: IdentityError) -> Self {
        let exit = match &error.problem {
            Problem::Private(PrivateKeyError::NeedsPassphrase | PrivateKeyError::WrongPassphrase) => {
                Exit::Authentication
            }
            _ => Exit::Failure,
        };
        let hint = error.hint();
        Self { hint, ..Self::new(exit, error) }
    }
}

impl From<OperationError> for Error {
    fn from(error: OperationError) -> Self {
        match error {
            OperationError::Failed => Self::failure(error),
            OperationError::OutOfReach => Self::authentication(error).hint("rsachat agent starts another one"),
        }
    }
}

/// The user's own key, for those who talk to a server with it: one that takes a passphrase, and is given none, from the
/// agent if that holds it; else as [`unlock`].
pub(super) fn own_key(
    term: &Term,
    paths: &ClientPaths,
    path: &Path,
    from_file: Option<&Path>,
) -> Result<Box<dyn OwnKey>, Error> {
    let file = KeyFile::read(path)?;
    if let Some(from_file) = from_file {
        return Ok(Box::new(open_with(&file, from_file)?));
    }
    if !file.is_encrypted() {
        return Ok(Box::new(file.open(None)?));
    }
    let how = match client::find(&paths.agent_socket(), file.digest()) {
        Ok(Some(key)) => return Ok(Box::new(key)),
        Ok(None) => "--passphrase-file FILE, or an rsachat agent that has read this file: the one that runs has not",
        Err(AskError::NotRunning) => "--passphrase-file FILE, or have rsachat agent hold the key",
        Err(error) => {
            term.warn(error);
            PASSPHRASE_FILE
        }
    };
    Ok(Box::new(open(term, &file, how)?))
}

/// Opens a private key. Its passphrase, if it has one, comes from `from_file` or from the person at the terminal.
pub(super) fn unlock(term: &Term, path: &Path, from_file: Option<&Path>) -> Result<PrivateKey, Error> {
    let file = KeyFile::read(path)?;
    match from_file {
        Some(from_file) => open_with(&file, from_file),
        None => open(term, &file, PASSPHRASE_FILE),
    }
}

fn open_with(file: &KeyFile, from_file: &Path) -> Result<PrivateKey, Error> {
    if file.is_encrypted() { Ok(file.open(Some(&passphrase_file(from_file)?))?) } else { Ok(file.open(None)?) }
}

/// Opens a key file. Its passphrase, if it has one, comes from the person at the terminal; `how` it is given where nobody
/// can be asked.
pub(super) fn open(term: &Term, file: &KeyFile, how: &str) -> Result<PrivateKey, Error> {
    if !file.is_encrypted() {
        return Ok(file.open(None)?);
    }
    let path = file.path().display();
    if !term.asks() {
        return Err(Error::authentication(format_args!("{path} needs its passphrase")).hint(format_args!("use {how}")));
    }
    let mut tries = 1;
    loop {
        let passphrase = term.password(&format!("Passphrase of {path}"), PASSPHRASE_FILE)?;
        match file.open(Some(&passphrase)) {
            Err(IdentityError { problem: Problem::Private(PrivateKeyError::WrongPassphrase), .. }) if tries < TRIES => {
                term.warn("that is not its passphrase; try again");
                tries += 1;
            }
            result => return Ok(result?),
        }
    }
}

/// A key in a file, and which kind of file it is.
pub(super) enum AnyKey {
    Public(PublicKey),
    Private(Box<PrivateKey>),
}

impl AnyKey {
    /// Reads a public or a private key.
    pub(super) fn read(term: &Term, path: &Path, passphrase: Option<&Path>) -> Result<Self, Error> {
        match identity::read_public(path) {
            Ok(key) => Ok(Self::Public(key)),
            Err(IdentityError { problem: Problem::Public(PublicKeyError::PrivateKey), .. }) => {
                unlock(term, path, passphrase).map(|key| Self::Private(Box::new(key)))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn public(&self) -> &PublicKey {
        match self {
            Self::Public(key) => key,
            Self::Private(key) => key.public(),
        }
    }
}

/// Where the passphrase of a key that is written comes from: none, a file, or the person at the terminal.
pub(super) struct NewPassphrase<'a> {
    pub(super) none: bool,
    pub(super) file: Option<&'a Path>,
    /// How it is given where nobody can be asked.
    pub(super) flags: &'a str,
}

impl NewPassphrase<'_> {
    /// The passphrase; `None` if the key is not to be encrypted.
    pub(super) fn get(&self, term: &Term, path: &Path) -> Result<Option<Zeroizing<String>>, Error> {
        if self.none {
            return Ok(None);
        }
        let passphrase = match self.file {
            Some(file) => passphrase_file(file)?,
            None => term.new_password(&format!("New passphrase for {}", path.display()), self.flags)?,
        };
        if passphrase.is_empty() {
            return Err(Error::usage("the passphrase is empty").hint("--no-passphrase leaves the key unencrypted"));
        }
        Ok(Some(passphrase))
    }
}

/// Whether files may be written where some may be already: asks the person at the terminal if there are, unless
/// `force` has answered.
pub(super) fn replace(term: &Term, paths: &[&Path], force: bool) -> Result<Existing, Error> {
    if force {
        return Ok(Existing::Replace);
    }
    let Some(path) = paths.iter().find(|path| path.symlink_metadata().is_ok()) else {
        return Ok(Existing::Keep);
    };
    if !term.asks() {
        return Err(Error::failure(format!("{} exists already", path.display())).hint("--force replaces it"));
    }
    if term.confirm(&format!("{} exists already. Replace it?", path.display()), false, "--force")? {
        return Ok(Existing::Replace);
    }
    Err(Error::failure("nothing was changed"))
}
