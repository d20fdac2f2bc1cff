//! Private keys in files: the user's, and the server's.
//!
//! A file that others can read is refused, as ssh does: the key in it may be known to them already. Files are written
//! with mode 0600, and never over another unless told.

use std::io;
use std::path::{Path, PathBuf};

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::file::{self, Access, Existing, ReadError};
use crate::crypto::kdf;
use crate::crypto::rsa::{OperationError, PrivateKey, PrivateKeyError, PublicKey, PublicKeyError};

/// The most bytes that a key file may have; a 4096-bit key takes about 3500.
pub const KEY_FILE_BYTES: u64 = 64 * 1024;

/// Why a key file could not be used. The text begins with the file's path.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct IdentityError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a key file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// There is none.
    #[error("no such file")]
    Missing,
    /// There is one already, and it was not to be replaced.
    #[error("the file exists already")]
    Exists,
    /// Others than its owner can read or change it.
    #[error("others can read this private key (mode {mode:04o})")]
    ReadableByOthers {
        /// The permission bits.
        mode: u32,
    },
    /// It can't be read.
    #[error(transparent)]
    Unreadable(ReadError),
    /// It can't be written.
    #[error(transparent)]
    Unwritable(io::Error),
    /// There is no usable private key in it, or the passphrase does not open it.
    #[error(transparent)]
    Private(#[from] PrivateKeyError),
    /// There is no usable public key in it.
    #[error(transparent)]
    Public(#[from] PublicKeyError),
    /// A key could not be encoded.
    #[error(transparent)]
    Operation(#[from] OperationError),
}

impl IdentityError {
    /// What to type about it, if there is such a thing.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let file = shell_word(&self.path);
        match &self.problem {
            Problem::ReadableByOthers { .. } => Some(format!("chmod 600 {file}")),
            Problem::Private(PrivateKeyError::LegacyEncryption | PrivateKeyError::OtherEncryption) => {
                Some(format!("convert it: openssl pkcs8 -topk8 -v2 aes256 -in {file} -out NEW_FILE"))
            }
            Problem::Private(PrivateKeyError::OpenSsh) => {
                Some(format!("convert it in place (ssh still reads it then): ssh-keygen -p -m PKCS8 -f {file}"))
            }
            Problem::Public(PublicKeyError::OpenSsh) => {
                Some(format!("convert it: ssh-keygen -e -m PKCS8 -f {file} > NEW_FILE"))
            }
            Problem::Public(PublicKeyError::PrivateKey) => {
                Some(format!("keep it secret; its public half: rsachat key public {file}"))
            }
            _ => None,
        }
    }
}

/// The path as a shell takes it.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// A private key file that has been read, but not opened: whether it takes a passphrase is known now.
pub struct KeyFile {
    path: PathBuf,
    text: Zeroizing<String>,
}

impl KeyFile {
    /// Reads the file.
    ///
    /// # Errors
    /// If it is missing, can't be read, or others can read it.
    pub fn read(path: &Path) -> Result<Self, IdentityError> {
        let contents = read(path)?;
        // A public key is told apart below: to complain about its mode would mislead.
        if contents.mode & 0o077 != 0 && contains(&contents.bytes, b"PRIVATE KEY-----") {
            return Err(failed(path, Problem::ReadableByOthers { mode: contents.mode }));
        }
        let text = std::str::from_utf8(&contents.bytes).map_err(|_| failed(path, PrivateKeyError::NotPem))?;
        Ok(Self { path: path.to_owned(), text: Zeroizing::new(text.to_owned()) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether opening it takes a passphrase.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    }

    /// SHA-256 over what is in the file. Of one that is encrypted it tells nothing about the key.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        kdf::digest(self.text.as_bytes())
    }

    /// The key. The passphrase is not looked at where none is needed.
    ///
    /// # Errors
    /// If there is no usable key in the file, or the passphrase is missing or wrong.
    pub fn open(&self, passphrase: Option<&str>) -> Result<PrivateKey, IdentityError> {
        PrivateKey::from_pem(&self.text, passphrase).map_err(|error| failed(&self.path, error))
    }
}

/// Reads a public key file.
///
/// # Errors
/// If it is missing, can't be read, or there is no usable public key in it.
pub fn read_public(path: &Path) -> Result<PublicKey, IdentityError> {
    let contents = read(path)?;
    let text = std::str::from_utf8(&contents.bytes).map_err(|_| failed(path, PublicKeyError::NotPem))?;
    PublicKey::from_pem(text).map_err(|error| failed(path, error))
}

/// Writes a private key file, mode 0600, under a passphrase if there is one.
///
/// # Errors
/// If there is a file that is not to be replaced, or the system refuses.
pub fn write_private(
    path: &Path,
    key: &PrivateKey,
    passphrase: Option<&str>,
    existing: Existing,
    rng: &mut dyn CryptoRng,
) -> Result<(), IdentityError> {
    let pem = match passphrase {
        Some(passphrase) => key.to_encrypted_pem(passphrase, rng),
        None => key.to_pem(),
    };
    let pem = pem.map_err(|error| failed(path, error))?;
    write(path, pem.as_bytes(), Access::Owner, existing)
}

/// Writes a public key file.
///
/// # Errors
/// As [`write_private`].
pub fn write_public(path: &Path, key: &PublicKey, existing: Existing) -> Result<(), IdentityError> {
    write(path, key.to_pem().as_bytes(), Access::Everyone, existing)
}

/// Writes both files of a key. The private one is written first: the public one can always be made from it.
///
/// # Errors
/// As [`write_private`].
pub fn write_pair(
    private: &Path,
    public: &Path,
    key: &PrivateKey,
    passphrase: Option<&str>,
    existing: Existing,
    rng: &mut dyn CryptoRng,
) -> Result<(), IdentityError> {
    write_private(private, key, passphrase, existing, rng)?;
    write_public(public, key.public(), existing)
}

fn read(path: &Path) -> Result<file::Contents, IdentityError> {
    file::read(path, KEY_FILE_BYTES).map_err(|error| match error {
        ReadError::Io(error) if error.kind() == io::ErrorKind::NotFound => failed(path, Problem::Missing),
        error => failed(path, Problem::Unreadable(error)),
    })
}

fn write(path: &Path, contents: &[u8], access: Access, existing: Existing) -> Result<(), IdentityError> {
    file::write(path, contents, access, existing).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => failed(path, Problem::Exists),
        _ => failed(path, Problem::Unwritable(error)),
    })
}

fn failed(path: &Path, problem: impl Into<Problem>) -> IdentityError {
    IdentityError { path: path.to_owned(), problem: problem.into() }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests;
