//! The servers that a client trusts: the file `known_servers`, one server a line.
//!
//! ```text
//! # Comments and empty lines are kept.
//! chat.example.org:5000 SHA256:<43 characters of base64> <SubjectPublicKeyInfo in base64>
//! ```
//!
//! A server's first key is remembered here once its user has trusted it, and any other is a mismatch from then on. The
//! fingerprint is there for people; it must be the key's. A line that can't be understood is an error, not skipped: it
//! may be the one that would have told an impostor.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding as _};

use super::file::{self, Access, Existing, ReadError};
use crate::crypto::rsa::{PublicKey, PublicKeyError};
use crate::model::Fingerprint;

/// The most bytes that the file may have: some 1500 servers.
const TRUST_FILE_BYTES: u64 = 1024 * 1024;

/// A server as its user names it: host and port, in one spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerName(String);

impl ServerName {
    /// The name of `host`, a DNS name or an IP address without brackets; `None` if it can't be one.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if host.parse::<IpAddr>().is_err() && (host.is_empty() || !host.bytes().all(plain)) {
            return None;
        }
        let host = host.trim_end_matches('.').to_lowercase();
        Some(Self(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }))
    }

    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Self::new(host, port.parse().ok()?)
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A server's key that has been trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The server.
    pub server: ServerName,
    /// Its key.
    pub key: PublicKey,
    /// The line of the file, from 1.
    pub line: usize,
}

/// What the pins say about the key that a server shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The server has not been seen before.
    Unknown,
    /// It is the pinned key.
    Trusted,
    /// Another key is pinned.
    Mismatch {
        /// The pinned key's.
        pinned: Fingerprint,
        /// The line of the file that has it, from 1.
        line: usize,
    },
}

/// Why the file could not be used. The text begins with the file's path.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct TrustError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It can't be read.
    #[error(transparent)]
    Unreadable(ReadError),
    /// It can't be written.
    #[error("it can't be written: {0}")]
    Unwritable(io::Error),
    /// It is no text.
    #[error("it is not UTF-8 text")]
    NotText,
    /// A line can't be understood.
    #[error("line {line}: {defect}")]
    Garbled {
        /// Which, from 1.
        line: usize,
        /// Why.
        defect: Defect,
    },
    /// Another key is pinned already.
    #[error("line {line} has another key for this server")]
    Pinned {
        /// Where, from 1.
        line: usize,
    },
}

/// Why a line can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// Not three words.
    #[error("HOST:PORT SHA256:... KEY is expected")]
    Shape,
    /// The first word is no server.
    #[error("{0:?} is not HOST:PORT")]
    Server(String),
    /// The key is not base64.
    #[error("the key is not base64")]
    Base64,
    /// The key is not acceptable.
    #[error("the key is not acceptable: {0}")]
    Key(#[from] PublicKeyError),
    /// The fingerprint is not the key's.
    #[error("the fingerprint is not the key's")]
    Fingerprint,
    /// The server is there twice.
    #[error("line {first} is for the same server")]
    Twice {
        /// The other line, from 1.
        first: usize,
    },
}

/// The file `known_servers`.
#[derive(Debug)]
pub struct KnownServers {
    path: PathBuf,
    text: String,
    pins: Vec<Pin>,
}

impl KnownServers {
    /// Reads the file. One that does not exist is as an empty one.
    ///
    /// # Errors
    /// If it can't be read, or a line can't be understood.
    pub fn load(path: &Path) -> Result<Self, TrustError> {
        let failed = |problem| TrustError { path: path.to_owned(), problem };
        let text = match file::read(path, TRUST_FILE_BYTES) {
            Ok(contents) => std::str::from_utf8(&contents.bytes).map_err(|_| failed(Problem::NotText))?.to_owned(),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(Problem::Unreadable(error))),
        };
        let mut pins: Vec<Pin> = Vec::new();
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let pin = parse(content, line).map_err(|defect| failed(Problem::Garbled { line, defect }))?;
            if let Some(other) = pins.iter().find(|other| other.server == pin.server) {
                let defect = Defect::Twice { first: other.line };
                return Err(failed(Problem::Garbled { line, defect }));
            }
            pins.push(pin);
        }
        Ok(Self { path: path.to_owned(), text, pins })
    }

    /// All of them, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Pin> {
        self.pins.iter()
    }

    /// The pin of a server.
    #[must_use]
    pub fn find(&self, server: &ServerName) -> Option<&Pin> {
        self.pins.iter().find(|pin| pin.server == *server)
    }

    /// Whether `key` may be this server's.
    #[must_use]
    pub fn check(&self, server: &ServerName, key: &PublicKey) -> Verdict {
        match self.find(server) {
            None => Verdict::Unknown,
            Some(pin) if pin.key == *key => Verdict::Trusted,
            Some(pin) => Verdict::Mismatch { pinned: pin.key.fingerprint(), line: pin.line },
        }
    }

    /// Locks the file's directory: the file itself is replaced when it is written.
    fn lock(&self) -> Result<File, TrustError> {
        let directory = self.path.parent().filter(|directory| !directory.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let locked = fs::create_dir_all(directory).and_then(|()| File::open(directory)).and_then(|opened| {
            opened.lock()?;
            Ok(opened)
        });
        locked.map_err(|error| TrustError { path: self.path.clone(), problem: Problem::Unwritable(error) })
    }

    /// Remembers a server's key, after its user has trusted it. The file is read again first: another client may have
    /// written it meanwhile.
    ///
    /// # Errors
    /// If another key is pinned, or the file can't be read or written.
    pub fn pin(&mut self, server: &ServerName, key: &PublicKey) -> Result<(), TrustError> {
        // Until this is dropped, others who want to pin wait.
        let _lock = self.lock()?;
        let mut current = Self::load(&self.path)?;
        match current.check(server, key) {
            Verdict::Unknown => {}
            Verdict::Trusted => {
                *self = current;
                return Ok(());
            }
            Verdict::Mismatch { line, .. } => {
                return Err(TrustError { path: self.path.clone(), problem: Problem::Pinned { line } });
            }
        }
        if !current.text.is_empty() && !current.text.ends_with('\n') {
            current.text.push('\n');
        }
        let line = current.text.lines().count() + 1;
        current.text.push_str(&written(server, key));
        file::write(&self.path, current.text.as_bytes(), Access::Owner, Existing::Replace)
            .map_err(|error| TrustError { path: self.path.clone(), problem: Problem::Unwritable(error) })?;
        current.pins.push(Pin { server: server.clone(), key: key.clone(), line });
        *self = current;
        Ok(())
    }
}

fn written(server: &ServerName, key: &PublicKey) -> String {
    format!("{server} {} {}\n", key.fingerprint(), Base64::encode_string(key.spki_der()))
}

fn parse(content: &str, line: usize) -> Result<Pin, Defect> {
    let mut words = content.split_whitespace();
    let (Some(server), Some(fingerprint), Some(encoded), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Defect::Shape);
    };
    let server = ServerName::parse(server).ok_or_else(|| Defect::Server(server.to_owned()))?;
    let der = Base64::decode_vec(encoded).map_err(|_| Defect::Base64)?;
    let key = PublicKey::from_spki_der(&der)?;
    if fingerprint.parse() == Ok(key.fingerprint()) { Ok(Pin { server, key, line }) } else { Err(Defect::Fingerprint) }
}

#[cfg(test)]
mod tests;
