//! The handshake: RSA key transport both ways for authentication, X-Wing for secrecy.
//!
//! ```text
//! C -> S  ClientHello   preamble, server key id, X-Wing key, OAEP(server key, k_s), AEAD(identity or invitation)
//! S -> C  ServerHello   X-Wing ciphertext, AEAD( OAEP(client key, k_c) )
//! C -> S  ClientFinish  AEAD( client, capabilities )
//!
//! C -> S  ResumeHello   preamble, X-Wing key, ticket, AEAD( )
//! S -> C  ServerHello   X-Wing ciphertext, AEAD( )
//! C -> S  ClientFinish  AEAD( client, capabilities )
//! ```
//!
//! Whoever decrypts is who he says he is, as in SKEME and KEMTLS: the server proves itself by the tag of its hello, the
//! client by that of its finish. Every AEAD here has a key of its own, derived from the secret so far and the transcript
//! so far, a nonce of zeros, and the transcript hash as associated data.
//!
//! ```text
//!           0 -> Extract <- k_s, or the ticket's secret          = early    -> "identity" | "binder"
//! "derived" of early -> Extract <- X-Wing secret                 = hello    -> "server hello"
//! "derived" of hello -> Extract <- k_c, or 32 zeros if resuming  = auth     -> "client finish", "client traffic",
//!                                                                              "server traffic", "resumption"
//! ```
//!
//! A handshake here is a state machine without input or output. Its RSA and X-Wing operations are [`Job`](server::Job)s
//! that somebody else runs; it never waits, never looks at a clock, and draws no random numbers outside its jobs.

pub mod client;
pub mod server;
pub mod wire;

use minicbor::{Decode, Encode};

use crate::crypto::aead::{Key, NONCE_BYTES, OpenError, TAG_BYTES};
use crate::crypto::invite::InviteToken;
use crate::crypto::kdf::{Label, Transcript, expand, extract};
use crate::crypto::secret::Secret;
use crate::model::{Fingerprint, UserName};
use crate::proto::record::Direction;

/// Who a client says it is: the content of the block in a client hello.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct Identity {
    #[n(0)]
    user: UserName,
    #[n(1)]
    fingerprint: Fingerprint,
}

/// Who a client says it is, if it was invited and is not registered yet: the content of the block in a client hello that
/// is as long as these need.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
struct Invited {
    #[n(0)]
    user: UserName,
    #[n(2)]
    token: InviteToken,
    // The client's key, DER SubjectPublicKeyInfo.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    key: Vec<u8>,
}

/// What a client says last: the content of the block in a client finish.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct Finish {
    // The client's software and version, for the server's log.
    #[n(0)]
    client: String,
    // What the client can do beyond this version of the protocol; none are defined yet.
    #[n(1)]
    capabilities: Vec<u32>,
}

// The longest name of a client's software that a server takes, bytes.
const CLIENT_BYTES: usize = 64;

fn transcript() -> Transcript {
    Transcript::new(b"RSAC1")
}

fn zeros() -> Secret {
    Secret::filled_by(|_| ())
}

/// The secret after `next` is mixed into `secret`.
fn mix(secret: &Secret, next: &Secret) -> Secret {
    extract(&expand(secret, Label::Derived, &[0; 32]), next)
}

/// Seals `block` under the key for `label`, appends it and its tag to `frame`, and all of it to the transcript.
fn seal(secret: &Secret, label: Label, transcript: &mut Transcript, frame: &mut Vec<u8>, block: &[u8]) {
    transcript.update(frame);
    let hash = transcript.hash();
    let start = frame.len();
    frame.extend_from_slice(block);
    let sealed = frame.get_mut(start..).unwrap_or_default();
    let tag = Key::new(&expand(secret, label, &hash)).seal(&[0; NONCE_BYTES], &hash, sealed);
    frame.extend_from_slice(&tag);
    transcript.update(frame.get(start..).unwrap_or_default());
}

/// Opens the sealed end of `frame`, and appends all of it to the transcript.
fn open(
    secret: &Secret,
    label: Label,
    transcript: &mut Transcript,
    frame: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, OpenError> {
    let head = frame.len().checked_sub(sealed.len()).and_then(|length| frame.get(..length)).ok_or(OpenError)?;
    let (block, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(OpenError)?;
    transcript.update(head);
    let hash = transcript.hash();
    let mut block = block.to_vec();
    Key::new(&expand(secret, label, &hash)).open(&[0; NONCE_BYTES], &hash, &mut block, tag)?;
    transcript.update(sealed);
    Ok(block)
}

/// The keys of a connection, as its handshake leaves them.
#[derive(Debug)]
pub struct Traffic {
    /// Seals what this end sends.
    pub send: Direction,
    /// Opens what it gets.
    pub receive: Direction,
}

/// The first traffic secrets: from client to server, from server to client.
fn traffic_secrets(auth: &Secret, transcript: &Transcript) -> (Direction, Direction) {
    let hash = transcript.hash();
    let direction = |label| Direction::new(expand(auth, label, &hash));
    (direction(Label::ClientTraffic), direction(Label::ServerTraffic))
}

#[cfg(test)]
mod tests;
