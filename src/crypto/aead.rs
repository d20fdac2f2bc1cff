//! AES-256-GCM (NIST SP 800-38D), in place, with the tag apart.
//!
//! A [`Key`] never chooses a nonce: callers own the argument why theirs never repeats under one key.

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(not(feature = "aws-lc"))]
mod rustcrypto;

#[cfg(feature = "aws-lc")]
use aws_lc::Cipher;
#[cfg(not(feature = "aws-lc"))]
use rustcrypto::Cipher;

use crate::crypto::secret::Secret;

/// Bytes of a tag.
pub const TAG_BYTES: usize = 16;
/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 12;

/// The bytes are not what the holder of the key sealed under this nonce and associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the authentication tag does not match")]
pub struct OpenError;

/// An expanded AES-256-GCM key. Wiped when dropped.
pub struct Key(Cipher);

impl Key {
    /// Expands the 32 bytes of `secret`.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self(Cipher::new(secret.expose()))
    }

    /// Encrypts `buffer` in place and returns the tag.
    ///
    /// # Panics
    /// Past 2^36 bytes, of which callers stay clear by six orders of magnitude.
    #[must_use]
    #[expect(clippy::expect_used, reason = "see Panics")]
    pub fn seal(&self, nonce: &[u8; NONCE_BYTES], associated_data: &[u8], buffer: &mut [u8]) -> [u8; TAG_BYTES] {
        self.0.seal(nonce, associated_data, buffer).expect("a buffer within GCM's limit")
    }

    /// Decrypts `buffer` in place.
    ///
    /// # Errors
    /// [`OpenError`] if the tag does not match; what `buffer` holds then must not be used.
    pub fn open(
        &self,
        nonce: &[u8; NONCE_BYTES],
        associated_data: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), OpenError> {
        self.0.open(nonce, associated_data, buffer, tag).ok_or(OpenError)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

#[cfg(test)]
mod tests;
