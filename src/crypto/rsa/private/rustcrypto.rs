//! RSA decryption by the `rsa` crate.
//!
//! It draws a new blinding factor for every operation.

use ::rsa::{Oaep, RsaPrivateKey};
use rand::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

/// A private key, ready to decrypt. Wiped by its crate.
pub(in crate::crypto::rsa) struct Key(RsaPrivateKey);

impl Key {
    #[expect(clippy::unnecessary_wraps, reason = "the other backend may dislike a key")]
    pub(super) fn new(key: RsaPrivateKey) -> Option<Self> {
        Some(Self(key))
    }

    pub(super) fn rsa(&self) -> &RsaPrivateKey {
        &self.0
    }

    /// RSAES-OAEP-DECRYPT (RFC 8017, 7.1.2), blinded.
    pub(in crate::crypto::rsa) fn decrypt(
        &self,
        label: &[u8],
        ciphertext: &[u8],
        blinding: &mut dyn CryptoRng,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let padding = Oaep::<Sha256>::new_with_label(label);
        self.0.decrypt_blinded(blinding, padding, ciphertext).ok().map(Zeroizing::new)
    }
}
