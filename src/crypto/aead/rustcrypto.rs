//! AES-256-GCM by the `aes-gcm` crate, in Rust.
//!
//! It finds out at run time what the processor has (AES-NI, VAES with 256 and 512 bits, PCLMULQDQ; the extensions of
//! ARMv8) and needs no compiler flags for it. Without them it is slow, but still takes the same time for all keys.

use aes_gcm::aead::{AeadInOut as _, Tag};
use aes_gcm::{Aes256Gcm, KeyInit as _};

use super::{NONCE_BYTES, TAG_BYTES};

/// The round keys, and those of GHASH; wiped by their crates.
pub(super) struct Cipher(Aes256Gcm);

impl Cipher {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }

    /// `None` past GCM's limit.
    pub(super) fn seal(&self, nonce: &[u8; NONCE_BYTES], aad: &[u8], buffer: &mut [u8]) -> Option<[u8; TAG_BYTES]> {
        self.0.encrypt_inout_detached(nonce.into(), aad, buffer.into()).ok().map(Into::into)
    }

    /// `None` if the tag does not match.
    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Option<()> {
        let tag: &Tag<Aes256Gcm> = tag.into();
        self.0.decrypt_inout_detached(nonce.into(), aad, buffer.into(), tag).ok()
    }
}
