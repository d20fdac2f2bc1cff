//! What is said between an agent and who asks it: one request, one answer, and the connection ends.
//!
//! ```text
//! frame = version (1 byte) | length (2 bytes, big-endian) | CBOR
//! ```
//!
//! Every byte may come from anybody. What is longer than a frame can be is refused by its header, before it is waited for.

use minicbor::bytes::{ByteArray, ByteSlice, ByteVec};
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use crate::crypto::rsa::Label;
use crate::crypto::secret::Secret;
use crate::model::{Fingerprint, Timestamp};
use crate::proto::message::decode_whole;
use crate::proto::ticket::secret_bytes;

/// What both sides have to speak.
pub const VERSION: u8 = 1;
/// Bytes before the CBOR.
pub const HEADER_BYTES: usize = 3;
/// The most bytes of CBOR.
pub const CONTENT_BYTES: usize = 16 * 1024;

/// What an agent is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Request<'a> {
    /// Which keys it has, and how long.
    #[n(0)]
    List {},
    /// To decrypt a secret.
    #[n(1)]
    Decrypt {
        /// With this key.
        #[n(0)]
        key: Fingerprint,
        /// What the secret is for.
        #[n(1)]
        purpose: Purpose,
        /// The secret, encrypted.
        #[b(2)]
        ciphertext: &'a ByteSlice,
    },
    /// To sign.
    #[n(2)]
    Sign {
        /// With this key.
        #[n(0)]
        key: Fingerprint,
        /// A statement of this program. That of a sender key has a secret in it, which is why it is not copied.
        #[b(1)]
        message: &'a ByteSlice,
    },
    /// To end.
    #[n(3)]
    Stop {},
}

/// What a client's secrets are for: a server's are none of an agent's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Purpose {
    /// [`Label::ClientHandshake`].
    #[n(0)]
    Handshake,
    /// [`Label::SenderKey`].
    #[n(1)]
    SenderKey,
    /// [`Label::ClientMemory`].
    #[n(2)]
    Memory,
}

impl Purpose {
    /// Of a label, if a client has a use for it.
    #[must_use]
    pub fn of(label: Label) -> Option<Self> {
        match label {
            Label::ServerHandshake => None,
            Label::ClientHandshake => Some(Self::Handshake),
            Label::SenderKey => Some(Self::SenderKey),
            Label::ClientMemory => Some(Self::Memory),
        }
    }

    /// The label.
    #[must_use]
    pub fn label(self) -> Label {
        match self {
            Self::Handshake => Label::ClientHandshake,
            Self::SenderKey => Label::SenderKey,
            Self::Memory => Label::ClientMemory,
        }
    }
}

/// What an agent says to it.
#[derive(Debug, Encode, Decode)]
pub enum Answer {
    /// These are the keys.
    #[n(0)]
    Keys {
        /// Each.
        #[n(0)]
        keys: Vec<HeldKey>,
        /// When its time is over.
        #[n(1)]
        until: Timestamp,
    },
    /// What was decrypted; a random secret, if that was none.
    #[n(1)]
    Secret {
        /// It.
        #[n(0)]
        #[cbor(with = "secret_bytes")]
        secret: Secret,
    },
    /// The signature.
    #[n(2)]
    Signature {
        /// It.
        #[n(0)]
        signature: ByteVec,
    },
    /// It ends; when it has ended, so does the connection.
    #[n(3)]
    Stopping {},
    /// It does not do that.
    #[n(4)]
    Refused {
        /// Why.
        #[n(0)]
        why: Refusal,
    },
}

/// A key that an agent has.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HeldKey {
    /// SHA-256 over the file that it was read from: an encrypted file does not tell whose key it has.
    #[n(0)]
    pub file: ByteArray<32>,
    /// The public half, DER SubjectPublicKeyInfo.
    #[n(1)]
    pub public: ByteVec,
}

/// Why an agent does not do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, thiserror::Error)]
#[cbor(index_only)]
pub enum Refusal {
    /// It does not understand the request.
    #[n(0)]
    #[error("it does not understand what it was asked: is it of another version of rsachat?")]
    Malformed,
    /// It has no such key.
    #[n(1)]
    #[error("it does not have this key")]
    NotHeld,
    /// It is no statement of this program.
    #[n(2)]
    #[error("it signs nothing but what rsachat signs")]
    Foreign,
    /// The machine miscalculated.
    #[n(3)]
    #[error("the RSA operation failed")]
    Failed,
}

/// Bytes that are no frame, or not what was expected in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it speaks another language: is it of another version of rsachat?")]
pub struct Malformed;

/// What is in a frame, as soon as all of it is here.
///
/// # Errors
/// [`Malformed`] as soon as it can be no frame, or if something follows it.
pub fn content(bytes: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    if bytes.first().is_some_and(|version| *version != VERSION) {
        return Err(Malformed);
    }
    let Some((&[_, high, low], content)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > CONTENT_BYTES || content.len() > length {
        return Err(Malformed);
    }
    Ok((content.len() == length).then_some(content))
}

/// A frame, wiped when dropped: there may be a secret in it.
#[must_use]
pub fn frame(content: &impl Encode<()>) -> Zeroizing<Vec<u8>> {
    // All the space at once: a vector that grows leaves copies of what it held.
    let mut frame = Zeroizing::new(Vec::with_capacity(HEADER_BYTES + CONTENT_BYTES));
    frame.extend_from_slice(&[VERSION, 0, 0]);
    // Writing into a Vec can't fail.
    let _ = minicbor::encode(content, &mut *frame);
    let length = u16::try_from(frame.len() - HEADER_BYTES).unwrap_or(u16::MAX).to_be_bytes();
    if let Some(place) = frame.get_mut(1..HEADER_BYTES) {
        place.copy_from_slice(&length);
    }
    frame
}

/// Reads the content of a frame.
///
/// # Errors
/// [`Malformed`] if it is something else than one `T`.
pub fn read<'a, T: Decode<'a, ()>>(content: &'a [u8]) -> Result<T, Malformed> {
    decode_whole(content).map_err(|_| Malformed)
}
