//! RSA decryption by AWS-LC.
//!
//! AWS-LC draws the randomness of its blinding itself, when a key is first used and every 32 operations; between, it
//! squares it. No result depends on it.
//!
//! The key is on AWS-LC's heap, whose `OPENSSL_free` wipes all that it frees. Not wiped are the 32 bytes of an OAEP seed,
//! which AWS-LC leaves on the stack: with the ciphertext's other half they would give the plaintext.

use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use pkcs8::EncodePrivateKey as _;
use rand::CryptoRng;
use zeroize::Zeroizing;

use ::rsa::RsaPrivateKey;

/// A private key twice: as it was read, to be written and to sign, and as AWS-LC decrypts with it. Wiped by their
/// libraries.
pub(in crate::crypto::rsa) struct Key {
    key: RsaPrivateKey,
    decrypting: OaepPrivateDecryptingKey,
}

impl Key {
    /// `None` if AWS-LC refuses the key, which it checks by rules of its own. The tests know none that it alone refuses.
    pub(super) fn new(key: RsaPrivateKey) -> Option<Self> {
        let der = key.to_pkcs8_der().ok()?;
        let parsed = PrivateDecryptingKey::from_pkcs8(der.as_bytes()).ok()?;
        let decrypting = OaepPrivateDecryptingKey::new(parsed).ok()?;
        Some(Self { key, decrypting })
    }

    pub(super) fn rsa(&self) -> &RsaPrivateKey {
        &self.key
    }

    /// RSAES-OAEP-DECRYPT (RFC 8017, 7.1.2), blinded.
    pub(in crate::crypto::rsa) fn decrypt(
        &self,
        label: &[u8],
        ciphertext: &[u8],
        _: &mut dyn CryptoRng,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let mut plaintext = Zeroizing::new(vec![0; self.decrypting.min_output_size()]);
        let size =
            self.decrypting.decrypt(&OAEP_SHA256_MGF1SHA256, ciphertext, &mut plaintext, Some(label)).ok()?.len();
        plaintext.truncate(size);
        Some(plaintext)
    }
}
