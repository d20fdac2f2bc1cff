//! Asks a server for its public key. What it says proves nothing: it is for a person to judge by its fingerprint.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use super::Target;
use super::dial::{by_turns, plain};
use crate::crypto::rsa::{PublicKey, PublicKeyError};
use crate::proto::frame::{FrameError, HEADER_BYTES, Header, Kind};
use crate::proto::handshake::client::{key_reply, key_request};
use crate::proto::handshake::wire::{LayoutError, Refusal, RefusalCode};

/// Why a server's key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FirstContactError {
    /// There is no such name.
    #[error("can't find {host}: {error}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system says.
        error: io::Error,
    },
    /// No connection, or it broke.
    #[error("{0}")]
    Connection(String),
    /// The time is over.
    #[error("the server does not answer")]
    TimedOut,
    /// What answers speaks another protocol.
    #[error("it is no rsachat server: {0}")]
    Frame(#[from] FrameError),
    /// The answer can't be read.
    #[error("it is no rsachat server: {0}")]
    Layout(#[from] LayoutError),
    /// The answer is to another question.
    #[error("it is no rsachat server: unexpected {0:?} message")]
    Unexpected(Kind),
    /// The server's versions of the protocol are others.
    #[error("the server speaks version {min} to {max} of the protocol")]
    Version {
        /// The lowest.
        min: u8,
        /// The highest.
        max: u8,
    },
    /// The server would not say.
    #[error("{0}")]
    Refused(RefusalCode),
    /// The key is not acceptable.
    #[error("the server's key is not acceptable: {0}")]
    Key(#[from] PublicKeyError),
}

impl FirstContactError {
    fn io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::TimedOut,
            io::ErrorKind::UnexpectedEof => Self::Connection("the connection was cut".to_owned()),
            _ => Self::Connection(plain(error)),
        }
    }
}

/// The key that a server says it has, if it says so within `patience`. Blocks; the search for a name is not limited.
///
/// # Errors
/// [`FirstContactError`] with what went wrong.
pub fn fetch_server_key(target: &Target, patience: Duration) -> Result<PublicKey, FirstContactError> {
    let resolved = (target.host.as_str(), target.port).to_socket_addrs();
    let addresses = resolved.map_err(|error| FirstContactError::Resolve { host: target.host.clone(), error })?;
    let until = Instant::now() + patience;
    let mut failure = FirstContactError::Connection("the name has no address".to_owned());
    let mut rest = by_turns(addresses.collect());
    while let Some(address) = rest.pop_front() {
        // The others get their turn too.
        let share = left(until)? / u32::try_from(rest.len() + 1).unwrap_or(u32::MAX);
        match TcpStream::connect_timeout(&address, share.max(Duration::from_millis(1))) {
            Ok(stream) => return ask(stream, until),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => failure = FirstContactError::TimedOut,
            Err(error) => {
                failure = FirstContactError::Connection(format!("can't connect to {address}: {}", plain(&error)));
            }
        }
    }
    Err(failure)
}

fn ask(mut stream: TcpStream, until: Instant) -> Result<PublicKey, FirstContactError> {
    let failed = |error: io::Error| FirstContactError::io(&error);
    stream.set_write_timeout(Some(left(until)?)).map_err(failed)?;
    stream.write_all(&key_request()).map_err(failed)?;
    let mut header = [0; HEADER_BYTES];
    read(&mut stream, &mut header, until)?;
    let Some(Header { kind, length }) = Header::read(&header)? else { return Err(FirstContactError::TimedOut) };
    let mut payload = vec![0; length];
    read(&mut stream, &mut payload, until)?;
    match kind {
        Kind::KeyReply => Ok(PublicKey::from_spki_der(key_reply(&payload)?)?),
        Kind::Refusal => match Refusal::parse(&payload)? {
            Refusal { code: RefusalCode::UnsupportedVersion, min_version: min, max_version: max, .. } => {
                Err(FirstContactError::Version { min, max })
            }
            refusal => Err(FirstContactError::Refused(refusal.code)),
        },
        kind => Err(FirstContactError::Unexpected(kind)),
    }
}

fn read(stream: &mut TcpStream, mut buffer: &mut [u8], until: Instant) -> Result<(), FirstContactError> {
    while !buffer.is_empty() {
        stream.set_read_timeout(Some(left(until)?)).map_err(|error| FirstContactError::io(&error))?;
        match stream.read(buffer) {
            Ok(0) => return Err(FirstContactError::io(&io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => buffer = buffer.split_at_mut(count).1,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FirstContactError::io(&error)),
        }
    }
    Ok(())
}

/// The time that is left, never zero.
fn left(until: Instant) -> Result<Duration, FirstContactError> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(FirstContactError::TimedOut) } else { Ok(left) }
}
