//! AES-256-GCM by AWS-LC, in assembler that interleaves encryption and GHASH.
//!
//! The expanded key is on AWS-LC's heap, whose `OPENSSL_free` wipes all that it frees. What the assembler leaves on the
//! stack and in registers is not wiped.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{NONCE_BYTES, TAG_BYTES};

pub(super) struct Cipher(LessSafeKey);

impl Cipher {
    /// # Panics
    /// If there is no memory left for a key.
    #[expect(clippy::expect_used, reason = "fails for a key of another length only, or as every allocation does")]
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("a key of 32 bytes")))
    }

    /// `None` past GCM's limit.
    pub(super) fn seal(&self, nonce: &[u8; NONCE_BYTES], aad: &[u8], buffer: &mut [u8]) -> Option<[u8; TAG_BYTES]> {
        let mut tag = [0; TAG_BYTES];
        // The variant that writes the tag where it is told to: the others return one of any length, to be copied.
        self.0.seal_in_place_scatter(Nonce::from(nonce), Aad::from(aad), buffer, &[], &mut tag).ok().map(|()| tag)
    }

    /// `None` if the tag does not match.
    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Option<()> {
        self.0.open_in_place_separate_tag(Nonce::from(nonce), Aad::from(aad), tag, buffer).ok().map(|_| ())
    }
}
