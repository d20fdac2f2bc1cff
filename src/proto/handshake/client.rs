//! The client's side of the handshake.

use std::fmt;

use rand::CryptoRng;

use super::wire::{self, ClientHello, LayoutError, Preamble, ResumeHello, ServerHello, VERSION};
use super::{Finish, Identity, Invited, Traffic, mix, open, seal, traffic_secrets, transcript, zeros};
use crate::crypto::aead::TAG_BYTES;
use crate::crypto::invite::InviteToken;
use crate::crypto::kdf::{Label, Transcript, expand, extract};
use crate::crypto::kem::EphemeralKey;
use crate::crypto::rsa::{Label as OaepLabel, OperationError, OwnKey, PublicKey};
use crate::crypto::secret::Secret;
use crate::model::UserName;
use crate::proto::frame::{HEADER_BYTES, Kind, frame};

/// The frame with which a client that knows no key of the server asks for it. What comes back proves nothing: it is for
/// a person to judge by its fingerprint.
#[must_use]
pub fn key_request() -> Vec<u8> {
    frame(Kind::KeyRequest, &Preamble::ours())
}

/// Reads the payload of the answer: DER SubjectPublicKeyInfo.
///
/// # Errors
/// [`LayoutError`] if it is of another version.
pub fn key_reply(payload: &[u8]) -> Result<&[u8], LayoutError> {
    match payload.split_first() {
        Some((&VERSION, public_key)) => Ok(public_key),
        _ => Err(LayoutError("key reply")),
    }
}

/// What this program calls itself.
pub const SOFTWARE: &str = concat!("rsachat/", env!("CARGO_PKG_VERSION"));

/// What a client keeps of a session to resume it: the ticket that the server gave, and the secret that goes with it.
pub struct Resumption {
    /// Opaque.
    pub ticket: Vec<u8>,
    /// Shared with the server.
    pub secret: Secret,
}

impl fmt::Debug for Resumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resumption(..)")
    }
}

/// The expensive parts of a client's handshake.
#[derive(Debug)]
pub enum Job {
    /// Makes a client hello: an ephemeral key and one RSA public-key operation.
    Hello {
        /// The server to talk to, and to nobody else.
        server: PublicKey,
        /// Who the client says it is.
        user: UserName,
    },
    /// The same for somebody who was invited: asks to be registered with his key, unless he is already.
    InvitedHello {
        /// The server to talk to, and to nobody else.
        server: PublicKey,
        /// Who was invited.
        user: UserName,
        /// By what the server knows that.
        token: InviteToken,
    },
    /// Makes a resume hello: an ephemeral key.
    Resume(Resumption),
    /// Reads a server hello: a decapsulation, and one RSA private-key operation after a client hello.
    Finish(Box<ExpectServerHello>, Vec<u8>),
}

/// What a job found out.
#[derive(Debug)]
pub enum Answer {
    /// A first message, a whole frame, and what to do with the server's answer to it.
    Hello(Vec<u8>, Box<ExpectServerHello>),
    /// The last message, a whole frame, and the connection that it leaves.
    Finish(Vec<u8>, Finished),
}

/// Awaits the server's hello.
#[derive(Debug)]
pub struct ExpectServerHello {
    early: Secret,
    key: EphemeralKey,
    transcript: Transcript,
    resuming: bool,
}

/// A connection to a server that has proved itself.
#[derive(Debug)]
pub struct Finished {
    /// The keys of the connection.
    pub traffic: Box<Traffic>,
    /// Goes with the ticket that the server will send.
    pub resumption: Secret,
}

/// Why a client gives up on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The server's message breaks its layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The server could not read what only the holder of its key can read.
    #[error("the server does not have the private key to its public key")]
    NotTheServer,
    /// Not the server's fault: the user's own key did not do its part.
    #[error(transparent)]
    OwnKey(#[from] OperationError),
}

impl Job {
    /// Does the work, with the user's own key.
    ///
    /// # Errors
    /// [`ClientError`], after which the connection is of no use.
    pub fn run(self, identity: &dyn OwnKey, rng: &mut dyn CryptoRng) -> Result<Answer, ClientError> {
        match self {
            Self::Hello { server, user } => {
                let identity = Identity { user, fingerprint: identity.public().fingerprint() };
                hello(&server, &identity, wire::SHORT_BLOCK, rng)
            }
            Self::InvitedHello { server, user, token } => {
                let key = identity.public().spki_der().to_vec();
                hello(&server, &Invited { user, token, key }, wire::INVITED_BLOCK, rng)
            }
            Self::Resume(resumption) => Ok(resume(&resumption, rng)),
            Self::Finish(expect, frame) => expect.finish(&frame, identity, rng),
        }
    }
}

/// `content` says who the client is; `size` is that of the block for such content, bytes.
fn hello(
    server: &PublicKey,
    content: &impl minicbor::Encode<()>,
    size: usize,
    rng: &mut dyn CryptoRng,
) -> Result<Answer, ClientError> {
    let k_s = Secret::random(rng);
    let key = EphemeralKey::generate(rng);
    let mut encoded = Vec::new();
    // Writing into a Vec can't fail.
    let _ = minicbor::encode(content, &mut encoded);
    let block = wire::pad(&encoded, size)?;
    let encrypted_key = server.encrypt(OaepLabel::ServerHandshake, &k_s, rng);
    let sealed = block.len() + TAG_BYTES;
    let mut frame = ClientHello::head(&server.fingerprint().0, &key.public(), &encrypted_key, sealed);
    let early = extract(&zeros(), &k_s);
    let mut transcript = transcript();
    seal(&early, Label::Identity, &mut transcript, &mut frame, &block);
    Ok(Answer::Hello(frame, Box::new(ExpectServerHello { early, key, transcript, resuming: false })))
}

fn resume(resumption: &Resumption, rng: &mut dyn CryptoRng) -> Answer {
    let key = EphemeralKey::generate(rng);
    let mut frame = ResumeHello::head(&key.public(), &resumption.ticket);
    let early = extract(&zeros(), &resumption.secret);
    let mut transcript = transcript();
    seal(&early, Label::Binder, &mut transcript, &mut frame, &[]);
    Answer::Hello(frame, Box::new(ExpectServerHello { early, key, transcript, resuming: true }))
}

impl ExpectServerHello {
    fn finish(mut self, frame: &[u8], identity: &dyn OwnKey, rng: &mut dyn CryptoRng) -> Result<Answer, ClientError> {
        let hello = ServerHello::parse(frame.get(HEADER_BYTES..).unwrap_or_default(), self.resuming)?;
        let secret = mix(&self.early, &self.key.decapsulate(hello.kem_ciphertext));
        let block = open(&secret, Label::ServerHello, &mut self.transcript, frame, hello.sealed)
            .map_err(|_| ClientError::NotTheServer)?;
        let k_c = if self.resuming {
            zeros()
        } else {
            // A key that the server does not have for this user gives a random secret here, and "authentication
            // failed" from the server.
            identity.decrypt(OaepLabel::ClientHandshake, wire::unpad(&block)?, rng)?
        };
        let auth = mix(&secret, &k_c);
        let resumption = expand(&auth, Label::Resumption, &self.transcript.hash());

        let mut finish = Vec::new();
        let _ = minicbor::encode(&Finish { client: SOFTWARE.to_owned(), capabilities: Vec::new() }, &mut finish);
        let block = wire::pad(&finish, wire::SHORT_BLOCK)?;
        let mut frame = wire::head(Kind::ClientFinish, &[], block.len() + TAG_BYTES);
        seal(&auth, Label::ClientFinish, &mut self.transcript, &mut frame, &block);
        let (send, receive) = traffic_secrets(&auth, &self.transcript);
        Ok(Answer::Finish(frame, Finished { traffic: Box::new(Traffic { send, receive }), resumption }))
    }
}
