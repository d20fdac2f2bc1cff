//! X-Wing (draft-connolly-cfrg-xwing-kem): X25519 and ML-KEM-768 (FIPS 203) as one key encapsulation mechanism.
//!
//! Used for ephemeral keys alone: a pair is made for one handshake and gone after it.

use rand::CryptoRng;
use x_wing::kem::{Decapsulate as _, Decapsulator as _, Encapsulate as _, KeyExport as _};
use x_wing::{Ciphertext, DecapsulationKey, EncapsulationKey};

use crate::crypto::secret::Secret;

/// Bytes of a public key.
pub const PUBLIC_KEY_BYTES: usize = x_wing::ENCAPSULATION_KEY_SIZE;
/// Bytes of a ciphertext.
pub const CIPHERTEXT_BYTES: usize = x_wing::CIPHERTEXT_SIZE;

/// Bytes that are no X-Wing public key (FIPS 203, section 7.2, checks the modulus).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an X-Wing public key")]
pub struct BadPublicKey;

/// The private half of an ephemeral pair.
pub struct EphemeralKey(DecapsulationKey);

impl EphemeralKey {
    /// Makes a pair.
    #[must_use]
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        Self(DecapsulationKey::from(*Secret::random(rng).expose()))
    }

    /// The public half, [`PUBLIC_KEY_BYTES`] long.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        self.0.encapsulation_key().to_bytes().to_vec()
    }

    /// The secret that `ciphertext` carries. A ciphertext made for another key gives another secret, never an error
    /// (FIPS 203's implicit rejection).
    #[must_use]
    pub fn decapsulate(&self, ciphertext: &[u8; CIPHERTEXT_BYTES]) -> Secret {
        let ciphertext: &Ciphertext = ciphertext.into();
        let secret = self.0.decapsulate(ciphertext);
        Secret::filled_by(|out| out.copy_from_slice(&secret))
    }
}

impl std::fmt::Debug for EphemeralKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EphemeralKey(..)")
    }
}

/// Makes a secret for the holder of `public`: the ciphertext to send, [`CIPHERTEXT_BYTES`] long, and the secret.
///
/// # Errors
/// [`BadPublicKey`] if `public` is none.
pub fn encapsulate(public: &[u8], rng: &mut dyn CryptoRng) -> Result<(Vec<u8>, Secret), BadPublicKey> {
    let public = EncapsulationKey::try_from(public).map_err(|_| BadPublicKey)?;
    let (ciphertext, secret) = public.encapsulate_with_rng(rng);
    Ok((ciphertext.to_vec(), Secret::filled_by(|out| out.copy_from_slice(&secret))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_get_one_secret_and_another_key_gets_another() {
        let mut rng = rand::rng();
        let (key, other) = (EphemeralKey::generate(&mut rng), EphemeralKey::generate(&mut rng));
        let (ciphertext, secret) = encapsulate(&key.public(), &mut rng).unwrap();
        let ciphertext = ciphertext.as_slice().try_into().unwrap();
        assert_eq!(key.decapsulate(ciphertext).expose(), secret.expose());
        assert_ne!(other.decapsulate(ciphertext).expose(), secret.expose());
    }

    #[test]
    fn bytes_out_of_range_are_no_key() {
        let mut rng = rand::rng();
        assert_eq!(encapsulate(&[0xff; PUBLIC_KEY_BYTES], &mut rng).unwrap_err(), BadPublicKey);
        assert_eq!(encapsulate(&[0; 12], &mut rng).unwrap_err(), BadPublicKey);
        assert_eq!(format!("{:?}", EphemeralKey::generate(&mut rng)), "EphemeralKey(..)");
    }
}
