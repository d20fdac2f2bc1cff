//! Tickets that a session leaves to the next one, so that it comes in without an RSA operation on either side: files of
//! their user's alone, in a directory of his that goes away when he logs out.
//!
//! ```text
//! USER-KEY-SERVER.NOT_AFTER.RANDOM     CBOR {0: version, 1: ticket, 2: secret}
//! ```
//!
//! A ticket is taken once: one that is sent twice tells the network that the two connections are one user's (RFC 8446,
//! C.4). Whoever removes its file has it, so that of several clients that find it at once one does. The others make full
//! handshakes, and leave tickets of their own, up to a few, for as many clients at once the next time.
//!
//! It is a cache, and so never fails aloud: a file that is damaged, of another version, or readable by others is removed,
//! and costs a full handshake. It judges nothing: whether a ticket is good the server says.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use super::session::KeptTicket;
use crate::crypto::secret::Secret;
use crate::keys::file::{self, Access, Existing};
use crate::model::{Fingerprint, Timestamp, UserName};
use crate::proto::handshake::client::Resumption;
use crate::proto::message::decode_whole;
use crate::proto::ticket::secret_bytes;

/// Most tickets that are kept for one user at one server.
const FILES: usize = 8;
/// The longest ticket that a session keeps has 4096 bytes.
const FILE_BYTES: u64 = 8192;
const VERSION: u32 = 1;

#[derive(Encode, Decode)]
#[cbor(map)]
struct Contents {
    #[n(0)]
    version: u32,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    ticket: Vec<u8>,
    #[n(2)]
    #[cbor(with = "secret_bytes")]
    secret: Secret,
}

/// The tickets of one user, by his key, for one server, by its.
#[derive(Debug)]
pub struct Tickets {
    directory: PathBuf,
    name: String,
}

impl Tickets {
    /// Those in this directory, which is made if it is missing.
    ///
    /// # Errors
    /// If it can't be made, or is not this user's alone.
    pub fn open(directory: &Path, user: UserName, own: Fingerprint, server: Fingerprint) -> io::Result<Self> {
        file::private_dir(directory)?;
        Ok(Self { directory: directory.to_owned(), name: format!("{user}-{}-{}", hex(own), hex(server)) })
    }

    /// Takes the newest one. Nobody else will get it.
    #[must_use]
    pub fn take(&self, now: Timestamp) -> Option<KeptTicket> {
        self.files(now).into_iter().rev().find_map(|(not_after, path)| claim(&path, not_after))
    }

    /// Keeps one for whoever comes next, unless it is too old.
    ///
    /// # Errors
    /// What the system says.
    pub fn put(&self, kept: &KeptTicket, now: Timestamp) -> io::Result<()> {
        let KeptTicket { resumption: Resumption { ticket, secret }, not_after } = kept;
        if *not_after <= now {
            return Ok(());
        }
        let contents = Contents { version: VERSION, ticket: ticket.clone(), secret: secret.duplicate() };
        // All the space at once: a vector that grows leaves copies of what it held.
        let mut bytes = Zeroizing::new(Vec::with_capacity(ticket.len() + 64));
        // Writing into a Vec can't fail.
        let _ = minicbor::encode(&contents, &mut *bytes);
        let name = format!("{}.{:016x}.{:016x}", self.name, not_after.0, rand::random::<u64>());
        file::write(&self.directory.join(name), &bytes, Access::Owner, Existing::Keep)?;
        // Afterwards: of many clients that end at once the last one sees the files of all.
        for (_, path) in self.files(now).iter().rev().skip(FILES) {
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    /// The files of this user and server, those that are good longest last. Removes what is too old, whosever it is.
    fn files(&self, now: Timestamp) -> Vec<(Timestamp, PathBuf)> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().map_while(Result::ok);
        let mut files: Vec<_> = entries
            .filter_map(|entry| {
                let (name, not_after) = parse(entry.file_name().to_str()?)?;
                if not_after <= now {
                    let _ = fs::remove_file(entry.path());
                    return None;
                }
                (name == self.name).then(|| (not_after, entry.path()))
            })
            .collect();
        files.sort();
        files
    }
}

/// Whose a file is, and until when it is good. Nothing for what is none of ours.
fn parse(file: &str) -> Option<(String, Timestamp)> {
    let mut parts = file.rsplitn(3, '.');
    let (random, not_after, name) = (parts.next()?, parts.next()?, parts.next()?);
    u64::from_str_radix(random, 16).ok()?;
    Some((name.to_owned(), Timestamp(u64::from_str_radix(not_after, 16).ok()?)))
}

/// The ticket in a file, if it is this process that removes it.
fn claim(path: &Path, not_after: Timestamp) -> Option<KeptTicket> {
    let contents = file::read(path, FILE_BYTES);
    fs::remove_file(path).ok()?;
    let contents = contents.ok()?;
    if contents.mode & 0o077 != 0 {
        return None;
    }
    let Contents { version, ticket, secret } = decode_whole(&contents.bytes).ok()?;
    (version == VERSION).then_some(KeptTicket { resumption: Resumption { ticket, secret }, not_after })
}

fn hex(Fingerprint(bytes): Fingerprint) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests;
