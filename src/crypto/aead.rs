//! AES-256-GCM (NIST SP 800-38D), in place, with the tag apart.
//!
//! A [`Key`] never chooses a nonce: callers own the argument why theirs never repeats under one key.

use aes_gcm::aead::{AeadInOut as _, Tag};
use aes_gcm::{Aes256Gcm, KeyInit as _};

use crate::crypto::secret::Secret;

/// Bytes of a tag.
pub const TAG_BYTES: usize = 16;
/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 12;

/// The bytes are not what the holder of the key sealed under this nonce and associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the authentication tag does not match")]
pub struct OpenError;

/// An expanded AES-256-GCM key.
#[derive(Clone)]
pub struct Key(Aes256Gcm);

impl Key {
    /// Expands the 32 bytes of `secret`.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self(Aes256Gcm::new(secret.expose().into()))
    }

    /// Encrypts `buffer` in place and returns the tag.
    ///
    /// # Panics
    /// Past 2^36 bytes, of which callers stay clear by six orders of magnitude.
    #[must_use]
    #[expect(clippy::expect_used, reason = "see Panics")]
    pub fn seal(&self, nonce: &[u8; NONCE_BYTES], associated_data: &[u8], buffer: &mut [u8]) -> [u8; TAG_BYTES] {
        self.0
            .encrypt_inout_detached(nonce.into(), associated_data, buffer.into())
            .expect("a buffer within GCM's limit")
            .into()
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
        let tag: &Tag<Aes256Gcm> = tag.into();
        self.0.decrypt_inout_detached(nonce.into(), associated_data, buffer.into(), tag).map_err(|_| OpenError)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

#[cfg(test)]
mod tests;
