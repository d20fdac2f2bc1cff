//! The frame around everything on the wire, handshake messages and records alike.
//!
//! ```text
//!  0      1               4                4 + length
//!  +------+---------------+----------------+
//!  | kind | length (24)   | payload        |
//!  +------+---------------+----------------+
//! ```
//!
//! `length` counts the payload, big-endian. Only a header's kind and length are judged here, never a payload.

/// Bytes of a header.
pub const HEADER_BYTES: usize = 4;
/// The largest handshake payload that either side accepts: about five times what this version sends, so that a later
/// version with longer keys is still refused by its version and not by its size.
pub const HANDSHAKE_BYTES: usize = 16 * 1024;
/// The most plaintext that one record carries.
pub const RECORD_BYTES: usize = 16 * 1024;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 1: a client opens a full handshake.
    ClientHello,
    /// 2: the server's answer to either hello.
    ServerHello,
    /// 3: the client's last handshake message.
    ClientFinish,
    /// 4: a client asks for the server's public key.
    KeyRequest,
    /// 5: the server's public key.
    KeyReply,
    /// 6: the server will not go on.
    Refusal,
    /// 7: a client opens a resuming handshake.
    ResumeHello,
    /// 16: a record of messages.
    Data,
    /// 17: a record that ends the connection.
    Close,
    /// 18: a record that asks for a [`Kind::Pong`].
    Ping,
    /// 19: a record that answers a [`Kind::Ping`].
    Pong,
}

/// A header that no peer of this protocol sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A kind that this version doesn't know.
    #[error("unknown frame kind {0}")]
    UnknownKind(u8),
    /// A payload longer than its kind allows.
    #[error("a frame of {length} bytes where at most {limit} are allowed")]
    TooLong {
        /// What the header says.
        length: usize,
        /// The most for this kind.
        limit: usize,
    },
}

impl Kind {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::ClientHello => 1,
            Self::ServerHello => 2,
            Self::ClientFinish => 3,
            Self::KeyRequest => 4,
            Self::KeyReply => 5,
            Self::Refusal => 6,
            Self::ResumeHello => 7,
            Self::Data => 16,
            Self::Close => 17,
            Self::Ping => 18,
            Self::Pong => 19,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::ClientHello,
            2 => Self::ServerHello,
            3 => Self::ClientFinish,
            4 => Self::KeyRequest,
            5 => Self::KeyReply,
            6 => Self::Refusal,
            7 => Self::ResumeHello,
            16 => Self::Data,
            17 => Self::Close,
            18 => Self::Ping,
            19 => Self::Pong,
            _ => return None,
        })
    }

    /// Whether this is a record, sealed under a traffic key.
    #[must_use]
    pub fn is_record(self) -> bool {
        matches!(self, Self::Data | Self::Close | Self::Ping | Self::Pong)
    }

    fn limit(self) -> usize {
        if self.is_record() { RECORD_BYTES + crate::crypto::aead::TAG_BYTES } else { HANDSHAKE_BYTES }
    }
}

/// A frame's first bytes, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame holds.
    pub kind: Kind,
    /// Bytes of its payload.
    pub length: usize,
}

impl Header {
    /// Reads a header from the first [`HEADER_BYTES`] of `bytes`; nothing if there are fewer.
    ///
    /// # Errors
    /// [`FrameError`] as soon as the header is known to be bad, before any of its payload.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some(&[kind, a, b, c]) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let kind = Kind::from_number(kind).ok_or(FrameError::UnknownKind(kind))?;
        let length = (usize::from(a) << 16) | (usize::from(b) << 8) | usize::from(c);
        let limit = kind.limit();
        if length > limit {
            return Err(FrameError::TooLong { length, limit });
        }
        Ok(Some(Self { kind, length }))
    }

    /// The header's bytes.
    #[must_use]
    pub fn bytes(self) -> [u8; HEADER_BYTES] {
        let [_, a, b, c] = u32::try_from(self.length).unwrap_or(u32::MAX).to_be_bytes();
        [self.kind.number(), a, b, c]
    }
}

/// A whole frame around `payload`.
#[must_use]
pub fn frame(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + payload.len());
    out.extend_from_slice(&Header { kind, length: payload.len() }.bytes());
    out.extend_from_slice(payload);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_four_bytes_are_an_error_or_read_back(bytes: [u8; 4]) {
            if let Ok(Some(header)) = Header::read(&bytes) {
                prop_assert_eq!(header.bytes(), bytes);
            }
        }

        #[test]
        fn fewer_bytes_say_nothing_yet(bytes in proptest::collection::vec(any::<u8>(), 0..4)) {
            prop_assert_eq!(Header::read(&bytes), Ok(None));
        }
    }

    #[test]
    fn a_long_frame_is_refused_by_its_header() {
        let header = Header { kind: Kind::Data, length: RECORD_BYTES + 17 };
        assert!(matches!(Header::read(&header.bytes()), Err(FrameError::TooLong { .. })));
        let header = Header { kind: Kind::ClientHello, length: HANDSHAKE_BYTES + 1 };
        assert!(matches!(Header::read(&header.bytes()), Err(FrameError::TooLong { .. })));
    }
}
