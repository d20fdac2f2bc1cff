//! Ed25519 (RFC 8032): the signatures of messages, by keys that an RSA identity vouches for.

use ed25519_dalek::{Signer as _, SigningKey as Inner, VerifyingKey as Public};
use rand::CryptoRng;

use crate::crypto::secret::Secret;

/// Bytes of a public key.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// It is not this key's signature over these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not this key's")]
pub struct BadSignature;

/// Bytes that are no public key, or one of those under which anything verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 public key")]
pub struct BadPublicKey;

/// The private half of a pair. Wiped when dropped.
pub struct SigningKey(Inner);

impl SigningKey {
    /// Makes a pair.
    #[must_use]
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        Self(Inner::from_bytes(Secret::random(rng).expose()))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// Signs; the same message always gives the same signature.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(message).to_bytes()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// The public half of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey(Public);

impl VerifyingKey {
    /// Reads a public key.
    ///
    /// # Errors
    /// [`BadPublicKey`] for bytes that are none, or one of small order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadPublicKey> {
        let key = Public::try_from(bytes).map_err(|_| BadPublicKey)?;
        if key.is_weak() { Err(BadPublicKey) } else { Ok(Self(key)) }
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; PUBLIC_KEY_BYTES] {
        self.0.to_bytes()
    }

    /// Checks a signature, by the strict rules: there is one signature for a message, and no second that verifies too.
    ///
    /// # Errors
    /// [`BadSignature`] if it is not this key's over these bytes.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| BadSignature)?;
        self.0.verify_strict(message, &signature).map_err(|_| BadSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
            .collect()
    }

    // RFC 8032, section 7.1, test 2.
    #[test]
    fn signatures_are_those_of_the_rfc() {
        let secret = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let key = SigningKey(Inner::from_bytes(secret.as_slice().try_into().unwrap()));
        let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        assert_eq!(key.public().to_bytes()[..], public);
        let signature = hex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        assert_eq!(key.sign(&[0x72])[..], signature);
        let public = VerifyingKey::from_bytes(&public).unwrap();
        assert_eq!(public.verify(&[0x72], &signature), Ok(()));
        assert_eq!(public.verify(&[0x73], &signature), Err(BadSignature));
        assert_eq!(public.verify(&[0x72], &signature[..63]), Err(BadSignature));
    }

    #[test]
    fn keys_under_which_anything_verifies_are_none() {
        // The neutral element, and a point of order 4.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        for weak in [neutral, [0; 32]] {
            assert_eq!(VerifyingKey::from_bytes(&weak), Err(BadPublicKey));
        }
        assert_eq!(VerifyingKey::from_bytes(&[0; 31]), Err(BadPublicKey));
    }
}
