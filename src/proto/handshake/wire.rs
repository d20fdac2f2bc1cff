//! The layout of handshake messages, without their cryptography.
//!
//! Lengths are in bytes, numbers big-endian. Parsing is exact: bytes that parse are the bytes that their value encodes
//! to. Nothing here is secret, and nothing is judged but the layout.

use crate::crypto::{aead, kem};
use crate::proto::frame::{HEADER_BYTES, Header, Kind};

/// What opens every first message of a client.
pub const MAGIC: [u8; 4] = *b"RSAC";
/// The one version that this program speaks.
pub const VERSION: u8 = 1;

/// A handshake message that breaks its layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0} message")]
pub struct LayoutError(pub &'static str);

/// The versions a client names, before anything that depends on them.
///
/// ```text
/// "RSAC" (4) | version (1) | max version (1) | rest, as `version` lays it out
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preamble {
    /// The version that the rest of the message is written in.
    pub version: u8,
    /// The highest version that the client speaks; the server refuses to be talked down below its own.
    pub max_version: u8,
}

impl Preamble {
    /// Bytes on the wire.
    pub const BYTES: usize = 6;

    /// This program's.
    #[must_use]
    pub fn ours() -> [u8; Self::BYTES] {
        let [a, b, c, d] = MAGIC;
        [a, b, c, d, VERSION, VERSION]
    }

    /// Reads a preamble, and returns what follows it.
    ///
    /// # Errors
    /// [`LayoutError`] if the magic is not there.
    pub fn split(payload: &[u8]) -> Result<(Self, &[u8]), LayoutError> {
        match payload.split_first_chunk::<{ Self::BYTES }>() {
            Some((&[a, b, c, d, version, max_version], rest)) if [a, b, c, d] == MAGIC => {
                Ok((Self { version, max_version }, rest))
            }
            _ => Err(LayoutError("first")),
        }
    }
}

/// Opens a full handshake.
///
/// ```text
/// preamble (6) | server key id (32) | X-Wing public key (1216) | n (2) | OAEP ciphertext (n) | sealed (144 or 784)
/// ```
///
/// Sealed is an identity, or, for somebody who was invited, the token and his key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// The fingerprint of the server key that the OAEP ciphertext is for.
    pub server_key_id: &'a [u8; 32],
    /// The client's ephemeral key.
    pub kem_key: &'a [u8],
    /// `k_s`, for the server's RSA key.
    pub encrypted_key: &'a [u8],
    /// Who the client is, and the tag.
    pub sealed: &'a [u8],
}

impl<'a> ClientHello<'a> {
    /// Parses what follows the preamble.
    ///
    /// # Errors
    /// [`LayoutError`] if a part is missing or the sealed block has a length that none has.
    pub fn parse(rest: &'a [u8]) -> Result<Self, LayoutError> {
        const ERROR: LayoutError = LayoutError("client hello");
        let (server_key_id, rest) = rest.split_first_chunk().ok_or(ERROR)?;
        let (kem_key, rest) = rest.split_at_checked(kem::PUBLIC_KEY_BYTES).ok_or(ERROR)?;
        let (encrypted_key, sealed) = counted(rest).ok_or(ERROR)?;
        if ![SHORT_BLOCK, INVITED_BLOCK].contains(&sealed.len().saturating_sub(aead::TAG_BYTES)) {
            return Err(ERROR);
        }
        Ok(Self { server_key_id, kem_key, encrypted_key, sealed })
    }

    /// A frame up to the sealed block, of which `sealed` bytes will follow.
    #[must_use]
    pub fn head(server_key_id: &[u8; 32], kem_key: &[u8], encrypted_key: &[u8], sealed: usize) -> Vec<u8> {
        let payload = [&Preamble::ours(), &server_key_id[..], kem_key, &count(encrypted_key), encrypted_key].concat();
        head(Kind::ClientHello, &payload, sealed)
    }
}

/// Opens a resuming handshake.
///
/// ```text
/// preamble (6) | X-Wing public key (1216) | n (2) | ticket (n) | binder (16)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumeHello<'a> {
    /// The client's ephemeral key.
    pub kem_key: &'a [u8],
    /// As the server gave it.
    pub ticket: &'a [u8],
    /// The tag over nothing.
    pub sealed: &'a [u8],
}

impl<'a> ResumeHello<'a> {
    /// Parses what follows the preamble.
    ///
    /// # Errors
    /// [`LayoutError`] if a part is missing or the binder is not one tag long.
    pub fn parse(rest: &'a [u8]) -> Result<Self, LayoutError> {
        const ERROR: LayoutError = LayoutError("resume hello");
        let (kem_key, rest) = rest.split_at_checked(kem::PUBLIC_KEY_BYTES).ok_or(ERROR)?;
        let (ticket, sealed) = counted(rest).ok_or(ERROR)?;
        if sealed.len() != aead::TAG_BYTES {
            return Err(ERROR);
        }
        Ok(Self { kem_key, ticket, sealed })
    }

    /// A frame up to the binder.
    #[must_use]
    pub fn head(kem_key: &[u8], ticket: &[u8]) -> Vec<u8> {
        let payload = [&Preamble::ours()[..], kem_key, &count(ticket), ticket].concat();
        head(Kind::ResumeHello, &payload, aead::TAG_BYTES)
    }
}

/// The server's answer to either hello.
///
/// ```text
/// version (1) | X-Wing ciphertext (1120) | sealed (530 or 16)
/// ```
///
/// Sealed is, after a client hello, a block of 514 bytes with the OAEP ciphertext of `k_c`; after a resume hello,
/// nothing. A tag follows in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerHello<'a> {
    /// For the client's ephemeral key.
    pub kem_ciphertext: &'a [u8; kem::CIPHERTEXT_BYTES],
    /// The block, if there is one, and the tag.
    pub sealed: &'a [u8],
}

impl<'a> ServerHello<'a> {
    /// Parses a payload: the answer to a resume hello if `resuming`, else to a client hello.
    ///
    /// # Errors
    /// [`LayoutError`] if a part is missing, the version is another, or the sealed part has not the length it has in
    /// such an answer.
    pub fn parse(payload: &'a [u8], resuming: bool) -> Result<Self, LayoutError> {
        const ERROR: LayoutError = LayoutError("server hello");
        let (&[version], rest) = payload.split_first_chunk().ok_or(ERROR)?;
        let (kem_ciphertext, sealed) = rest.split_first_chunk().ok_or(ERROR)?;
        let block = if resuming { 0 } else { LONG_BLOCK };
        if version != VERSION || sealed.len() != block + aead::TAG_BYTES {
            return Err(ERROR);
        }
        Ok(Self { kem_ciphertext, sealed })
    }

    /// A frame up to the sealed part, of which `sealed` bytes will follow.
    #[must_use]
    pub fn head(kem_ciphertext: &[u8], sealed: usize) -> Vec<u8> {
        head(Kind::ServerHello, &[&[VERSION], kem_ciphertext].concat(), sealed)
    }
}

/// A header and the first part of a payload that `sealed` more bytes complete.
#[must_use]
pub fn head(kind: Kind, payload: &[u8], sealed: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + payload.len() + sealed);
    out.extend_from_slice(&Header { kind, length: payload.len() + sealed }.bytes());
    out.extend_from_slice(payload);
    out
}

/// Bytes of the block in a client hello or a client finish: the same whoever speaks.
pub const SHORT_BLOCK: usize = 128;
/// Bytes of the block in the client hello of somebody who was invited: a key of 4096 bits fits.
pub const INVITED_BLOCK: usize = 768;
/// Bytes of the block in a server hello: the longest OAEP ciphertext and its length.
pub const LONG_BLOCK: usize = 514;

/// `content` in a block of `size` bytes: its length (2), itself, zeros.
///
/// # Errors
/// [`LayoutError`] if it doesn't fit.
pub fn pad(content: &[u8], size: usize) -> Result<Vec<u8>, LayoutError> {
    if content.len() + 2 > size {
        return Err(LayoutError("padded"));
    }
    let mut block = Vec::with_capacity(size + aead::TAG_BYTES);
    block.extend_from_slice(&count(content));
    block.extend_from_slice(content);
    block.resize(size, 0);
    Ok(block)
}

/// What a block holds.
///
/// # Errors
/// [`LayoutError`] if the length runs over the block or the padding is not zeros.
pub fn unpad(block: &[u8]) -> Result<&[u8], LayoutError> {
    match counted(block) {
        Some((content, padding)) if padding.iter().all(|&byte| byte == 0) => Ok(content),
        _ => Err(LayoutError("padded")),
    }
}

fn count(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes()
}

fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// The server will not go on. Sent in the clear, before any key is agreed on: a hint, never proof.
///
/// ```text
/// code (1) | retry after, seconds (2) | lowest version (1) | highest version (1)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub code: RefusalCode,
    /// When trying again makes sense, seconds from now; 0 if it never does.
    pub retry_after_s: u16,
    /// The lowest version that the server speaks.
    pub min_version: u8,
    /// The highest version that the server speaks.
    pub max_version: u8,
}

/// Why a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefusalCode {
    /// 1: none of the client's versions is one of the server's.
    #[error("no protocol version in common")]
    UnsupportedVersion,
    /// 2: the hello was for another server key.
    #[error("the server has another key now")]
    UnknownServerKey,
    /// 3: the client is not who it says, whatever the reason.
    #[error("authentication failed")]
    AuthenticationFailed,
    /// 4: too much to do, or too many connections.
    #[error("the server is busy")]
    Busy,
    /// 5: the ticket is not, or no longer, good: a full handshake is needed.
    #[error("the ticket was refused")]
    TicketRefused,
    /// 6: the client's bytes make no sense.
    #[error("the server could not read the request")]
    Malformed,
    /// Any other number, from a newer server.
    #[error("refused with code {0}")]
    Other(u8),
}

impl Refusal {
    /// A refusal for good.
    #[must_use]
    pub fn new(code: RefusalCode) -> Self {
        Self { code, retry_after_s: 0, min_version: VERSION, max_version: VERSION }
    }

    /// A refusal for now.
    #[must_use]
    pub fn busy(retry_after_s: u16) -> Self {
        Self { retry_after_s, ..Self::new(RefusalCode::Busy) }
    }

    /// The frame.
    #[must_use]
    pub fn frame(self) -> Vec<u8> {
        let [a, b] = self.retry_after_s.to_be_bytes();
        crate::proto::frame::frame(Kind::Refusal, &[self.code.number(), a, b, self.min_version, self.max_version])
    }

    /// Parses a payload. Bytes after those of this version are a newer server's, and ignored.
    ///
    /// # Errors
    /// [`LayoutError`] if there are fewer.
    pub fn parse(payload: &[u8]) -> Result<Self, LayoutError> {
        let &[code, a, b, min_version, max_version] = payload.first_chunk().ok_or(LayoutError("refusal"))?;
        let code = RefusalCode::from_number(code);
        Ok(Self { code, retry_after_s: u16::from_be_bytes([a, b]), min_version, max_version })
    }
}

impl RefusalCode {
    fn number(self) -> u8 {
        match self {
            Self::UnsupportedVersion => 1,
            Self::UnknownServerKey => 2,
            Self::AuthenticationFailed => 3,
            Self::Busy => 4,
            Self::TicketRefused => 5,
            Self::Malformed => 6,
            Self::Other(number) => number,
        }
    }

    fn from_number(number: u8) -> Self {
        match number {
            1 => Self::UnsupportedVersion,
            2 => Self::UnknownServerKey,
            3 => Self::AuthenticationFailed,
            4 => Self::Busy,
            5 => Self::TicketRefused,
            6 => Self::Malformed,
            number => Self::Other(number),
        }
    }
}
