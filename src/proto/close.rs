//! Why a connection ends, as the last thing either side says on it: CBOR `{0: code, 1: text}`.
//!
//! The code is for programs and decides what a client does next (reconnect or not); the text is for people. A text is
//! at most [`TEXT_BYTES`] long: the encoder cuts what is longer, the decoder refuses it. Codes and keys that this version
//! doesn't know are kept or skipped, so that versions can meet.

use std::fmt;

use minicbor::encode::Write;
use minicbor::{Decode, Decoder, Encode, Encoder};

use super::message::{Malformed, decode_whole};

/// Longest text of a close, in bytes.
pub const TEXT_BYTES: usize = 512;

/// What either side says before it closes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CloseReason {
    /// For programs.
    #[n(0)]
    pub code: CloseCode,
    /// For people.
    #[n(1)]
    pub text: String,
}

/// The kind of ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCode {
    /// 0: the client leaves.
    Bye,
    /// 1: the server ends.
    Shutdown,
    /// 2: the user's key is no longer registered, or is another one now.
    KeyRemoved,
    /// 3: an admin closed the user's connections.
    Kicked,
    /// 4: the peer read too slowly, and its outbound queue is full.
    TooSlow,
    /// 5: the peer broke the protocol.
    ProtocolError,
    /// 6: nothing came from the peer for too long.
    IdleTimeout,
    /// Any other number, from a newer peer.
    Other(u64),
}

impl CloseReason {
    /// A reason with its text.
    #[must_use]
    pub fn new(code: CloseCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// The reason as CBOR. A text over [`TEXT_BYTES`] is cut at a character's boundary.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut end = self.text.len().min(TEXT_BYTES);
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let text = self.text.get(..end).unwrap_or_default();
        let mut out = Vec::with_capacity(text.len() + 16);
        // Writing into a Vec can't fail.
        let _ = Encoder::new(&mut out)
            .map(2)
            .and_then(|e| e.u8(0))
            .and_then(|e| e.encode(self.code))
            .and_then(|e| e.u8(1))
            .and_then(|e| e.str(text));
        out
    }

    /// Reads a reason.
    ///
    /// # Errors
    /// [`Malformed`] for anything but one well-formed reason with a text of at most [`TEXT_BYTES`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let reason: Self = decode_whole(bytes)?;
        if reason.text.len() > TEXT_BYTES {
            return Err(minicbor::decode::Error::message("the reason's text is too long").into());
        }
        Ok(reason)
    }
}

impl fmt::Display for CloseReason {
    /// The text, or what the code means if there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.text.is_empty() {
            return f.write_str(&self.text);
        }
        f.write_str(match self.code {
            CloseCode::Bye => "goodbye",
            CloseCode::Shutdown => "the server is ending",
            CloseCode::KeyRemoved => "the key is no longer registered",
            CloseCode::Kicked => "an admin closed the connection",
            CloseCode::TooSlow => "too slow a reader",
            CloseCode::ProtocolError => "a breach of the protocol",
            CloseCode::IdleTimeout => "silent for too long",
            CloseCode::Other(code) => return write!(f, "reason {code}"),
        })
    }
}

impl CloseCode {
    fn number(self) -> u64 {
        match self {
            Self::Bye => 0,
            Self::Shutdown => 1,
            Self::KeyRemoved => 2,
            Self::Kicked => 3,
            Self::TooSlow => 4,
            Self::ProtocolError => 5,
            Self::IdleTimeout => 6,
            Self::Other(number) => number,
        }
    }
}

impl<C> Encode<C> for CloseCode {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u64(self.number())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for CloseCode {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(match d.u64()? {
            0 => Self::Bye,
            1 => Self::Shutdown,
            2 => Self::KeyRemoved,
            3 => Self::Kicked,
            4 => Self::TooSlow,
            5 => Self::ProtocolError,
            6 => Self::IdleTimeout,
            number => Self::Other(number),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_reads_back_and_has_these_bytes() {
        let reason = CloseReason::new(CloseCode::Kicked, "by bob");
        assert_eq!(reason.encode(), b"\xa2\x00\x03\x01\x66by bob");
        for number in 0..12 {
            let bytes = [0xa2, 0x00, number, 0x01, 0x60];
            let reason = CloseReason::decode(&bytes).unwrap();
            assert_eq!(reason.code.number(), u64::from(number));
            assert_eq!(reason.encode(), bytes);
        }
    }

    #[test]
    fn a_reason_without_a_text_says_what_its_code_means() {
        let shown = |code, text: &str| CloseReason::new(code, text).to_string();
        assert_eq!(shown(CloseCode::Bye, ""), "goodbye");
        assert_eq!(shown(CloseCode::Other(99), ""), "reason 99");
        assert_eq!(shown(CloseCode::Kicked, "enough"), "enough");
    }

    #[test]
    fn a_long_text_is_cut_by_the_encoder_and_refused_by_the_decoder() {
        let long = CloseReason::new(CloseCode::Bye, "ä".repeat(TEXT_BYTES));
        assert_eq!(CloseReason::decode(&long.encode()).unwrap().text, "ä".repeat(TEXT_BYTES / 2));

        let mut forged = vec![0xa2, 0x00, 0x00, 0x01, 0x79, 0x02, 0x01];
        forged.extend_from_slice(&[b'a'; TEXT_BYTES + 1]);
        assert!(CloseReason::decode(&forged).is_err());
    }

    #[test]
    fn what_is_not_one_reason_is_refused_and_unknown_keys_are_skipped() {
        for bytes in [&b""[..], b"\xa0", b"\xa1\x00\x00", b"\x80", b"\xa2\x00\x00\x01\x60\x00", b"\xa2\x00\x60\x01\x60"]
        {
            assert!(CloseReason::decode(bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(
            CloseReason::decode(b"\xa3\x00\x01\x01\x61x\x09\x83\x01\x02\x03"),
            Ok(CloseReason::new(CloseCode::Shutdown, "x"))
        );
    }
}
