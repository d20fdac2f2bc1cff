//! A secret of 32 bytes that is wiped when it is dropped and never shown.
//!
//! It is not `Clone` and not `Display`, and its `Debug` says nothing about its bytes.

use std::fmt;

use rand::CryptoRng;
use zeroize::Zeroize;

/// 32 secret bytes, on the heap, so that moving the value leaves no copy behind; wiped on drop.
pub struct Secret(Box<[u8; 32]>);

impl Secret {
    /// A fresh secret from `rng`.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        Self::filled_by(|bytes| rng.fill_bytes(bytes))
    }

    /// A secret that `fill` writes in place: what derives or decrypts one needs no copy outside it.
    #[must_use]
    pub fn filled_by(fill: impl FnOnce(&mut [u8; 32])) -> Self {
        let mut secret = Self(Box::new([0; 32]));
        fill(&mut secret.0);
        secret
    }

    /// A second copy: not `Clone`, so that every copy is one that somebody meant.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::filled_by(|bytes| bytes.copy_from_slice(&self.0[..]))
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::filled_by(|bytes| bytes.fill(0x41));
        assert_eq!(format!("{secret:?} {secret:#?}"), "Secret(..) Secret(..)");
    }

    #[test]
    fn random_secrets_differ() {
        let mut rng = rand::rng();
        assert_ne!(Secret::random(&mut rng).expose(), Secret::random(&mut rng).expose());
    }
}
