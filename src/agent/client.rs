//! Who asks an agent: which keys it has, and a key that is with it as one's own.
//!
//! Each question is a connection of its own: no agent has to remember anybody, and one that is started anew with the same
//! key serves who has known the one before. An agent of another user is not asked anything.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use minicbor::bytes::ByteSlice;
use rand::CryptoRng;
use socket2::{Domain, SockAddr, Socket, Type};
use zeroize::Zeroizing;

use super::wire::{self, Answer, CONTENT_BYTES, HEADER_BYTES, Malformed, Purpose, Refusal, Request};
use super::{is_own, peer};
use crate::crypto::rsa::{Label, OperationError, OwnKey, PublicKey};
use crate::crypto::secret::Secret;
use crate::model::{Fingerprint, Timestamp};

/// How long an agent may take for each step: it does one thing at a time, and many may ask at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no answer of an agent.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is none.
    #[error("no agent is running")]
    NotRunning,
    /// Another user listens where the agent should.
    #[error("{} is another user's: nothing is asked there", .0.display())]
    Foreign(PathBuf),
    /// It does not answer, or not to the end.
    #[error("the agent does not answer: {0}")]
    Silent(io::Error),
    /// It answers something else than what it was asked.
    #[error("the agent can't be understood: {0}")]
    Malformed(#[from] Malformed),
    /// It does not do it.
    #[error("the agent refuses: {0}")]
    Refused(Refusal),
}

/// A key that an agent holds.
#[derive(Debug, Clone)]
pub struct RemoteKey {
    socket: PathBuf,
    public: PublicKey,
}

impl RemoteKey {
    /// The key's fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.public.fingerprint()
    }
}

/// What an agent holds.
#[derive(Debug)]
pub struct Held {
    /// The keys, each with SHA-256 over the file that it was read from.
    pub keys: Vec<([u8; 32], RemoteKey)>,
    /// When its time is over.
    pub until: Timestamp,
}

/// What the agent at a socket holds.
///
/// # Errors
/// [`AskError`]
pub fn list(socket: &Path) -> Result<Held, AskError> {
    let (Answer::Keys { keys, until }, _) = ask(socket, Request::List {})? else { return Err(Malformed.into()) };
    let mut held = Held { keys: Vec::new(), until };
    for key in keys {
        let public = PublicKey::from_spki_der(&key.public).map_err(|_| Malformed)?;
        held.keys.push((*key.file, RemoteKey { socket: socket.to_owned(), public }));
    }
    Ok(held)
}

/// The key that the agent has read from this file, given by SHA-256 over it.
///
/// # Errors
/// [`AskError`]
pub fn find(socket: &Path, file: [u8; 32]) -> Result<Option<RemoteKey>, AskError> {
    let found = list(socket)?.keys.into_iter().find(|(digest, _)| *digest == file);
    Ok(found.map(|(_, key)| key))
}

/// Ends the agent at a socket, and waits until it has ended.
///
/// # Errors
/// [`AskError`]
pub fn stop(socket: &Path) -> Result<(), AskError> {
    let (Answer::Stopping {}, mut stream) = ask(socket, Request::Stop {})? else { return Err(Malformed.into()) };
    match stream.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Malformed.into()),
        Err(error) => Err(silent(error)),
    }
}

/// What the system says of a time that is over is of no help.
fn silent(error: io::Error) -> AskError {
    AskError::Silent(match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "it takes too long"),
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "it has hung up"),
        _ => error,
    })
}

impl OwnKey for RemoteKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn decrypt(&self, label: Label, ciphertext: &[u8], _: &mut dyn CryptoRng) -> Result<Secret, OperationError> {
        let purpose = Purpose::of(label).ok_or(OperationError::Failed)?;
        let ciphertext: &ByteSlice = ciphertext.into();
        match ask(&self.socket, Request::Decrypt { key: self.fingerprint(), purpose, ciphertext }) {
            Ok((Answer::Secret { secret }, _)) => Ok(secret),
            _ => Err(OperationError::OutOfReach),
        }
    }

    fn sign(&self, message: &[u8], _: &mut dyn CryptoRng) -> Result<Vec<u8>, OperationError> {
        match ask(&self.socket, Request::Sign { key: self.fingerprint(), message: message.into() }) {
            Ok((Answer::Signature { signature }, _)) => Ok(signature.into()),
            Err(AskError::Refused(Refusal::Failed | Refusal::Foreign)) => Err(OperationError::Failed),
            _ => Err(OperationError::OutOfReach),
        }
    }
}

/// Asks, and gives the answer with the connection, on which nothing more comes.
fn ask(socket: &Path, request: Request<'_>) -> Result<(Answer, UnixStream), AskError> {
    let mut stream = connect(socket)?;
    if !is_own(peer(&stream)) {
        return Err(AskError::Foreign(socket.to_owned()));
    }
    stream.write_all(&wire::frame(&request)).map_err(silent)?;
    let mut frame = Zeroizing::new(vec![0; HEADER_BYTES + CONTENT_BYTES]);
    let mut filled = 0;
    loop {
        match stream.read(frame.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => return Err(silent(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(silent(error)),
        }
        if let Some(content) = wire::content(frame.get(..filled).unwrap_or_default())? {
            return match wire::read(content)? {
                Answer::Refused { why } => Err(AskError::Refused(why)),
                answer => Ok((answer, stream)),
            };
        }
    }
}

fn connect(socket: &Path) -> Result<UnixStream, AskError> {
    let connect = || {
        let stream = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // The time for writing is also that for connecting to somebody whose queue is full.
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.connect(&SockAddr::unix(socket)?)?;
        Ok(stream.into())
    };
    connect().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::NotRunning,
        _ => silent(error),
    })
}
