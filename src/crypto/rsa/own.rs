//! The user's own key, wherever it is: what needs it says what is to be decrypted or signed, and never sees the key.
//!
//! A [`PrivateKey`] does it here; an agent does it for those who can't unlock the key themselves. A server's key is none of
//! these: it is always here.

use rand::CryptoRng;

use super::{Label, OperationError, PrivateKey, PublicKey};
use crate::crypto::secret::Secret;

/// A private key that one may use, and perhaps not have.
pub trait OwnKey: Send {
    /// The public half.
    fn public(&self) -> &PublicKey;

    /// As [`PrivateKey::decrypt`]: what is wrong with the ciphertext is no error, and gives a random secret.
    ///
    /// # Errors
    /// [`OperationError::OutOfReach`].
    fn decrypt(&self, label: Label, ciphertext: &[u8], rng: &mut dyn CryptoRng) -> Result<Secret, OperationError>;

    /// As [`PrivateKey::sign`].
    ///
    /// # Errors
    /// [`OperationError`].
    fn sign(&self, message: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, OperationError>;
}

impl OwnKey for PrivateKey {
    fn public(&self) -> &PublicKey {
        self.public()
    }

    fn decrypt(&self, label: Label, ciphertext: &[u8], rng: &mut dyn CryptoRng) -> Result<Secret, OperationError> {
        Ok(self.decrypt(label, ciphertext, rng))
    }

    fn sign(&self, message: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, OperationError> {
        self.sign(message, rng)
    }
}
