//! What a link lets somebody in by: 16 random bytes, known to who made the link and to whoever has it.
//!
//! Like all secrets here it is wiped when dropped and never shown, but for the link itself.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use rand::CryptoRng;
use zeroize::Zeroizing;

use super::kdf;

/// Bytes of a token: nobody guesses 128 bits, and links stay short.
pub const TOKEN_BYTES: usize = 16;

/// The token of an invitation.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteToken(Zeroizing<[u8; TOKEN_BYTES]>);

/// A text that is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an invitation has 22 letters, digits, - and _")]
pub struct NoToken;

impl InviteToken {
    /// A fresh one.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut token = Self(Zeroizing::default());
        rng.fill_bytes(&mut *token.0);
        token
    }

    /// The one with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; TOKEN_BYTES]) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; TOKEN_BYTES] {
        &self.0
    }

    /// As it stands in a link: base64url without padding (RFC 4648, section 5).
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Base64UrlUnpadded::encode_string(&self.0[..]).into()
    }

    /// What somebody can keep to know it again: SHA-256. Of 128 random bits it tells nothing.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        kdf::digest(&self.0[..])
    }
}

impl FromStr for InviteToken {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        let mut token = Self(Zeroizing::default());
        match Base64UrlUnpadded::decode(text, &mut *token.0) {
            Ok(bytes) if bytes.len() == TOKEN_BYTES => Ok(token),
            _ => Err(NoToken),
        }
    }
}

impl fmt::Debug for InviteToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_its_text_alone() {
        let token = InviteToken::random(&mut rand::rng());
        let text = token.to_text();
        assert_eq!((text.len(), text.parse()), (22, Ok(token.clone())));
        for wrong in ["", "abc", "AbCdEfGhIjKlMnOpQrSt+w", "AbCdEfGhIjKlMnOpQrStw", &format!("{}A", *text)] {
            assert_eq!(wrong.parse::<InviteToken>(), Err(NoToken), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "InviteToken(..)");
    }
}
