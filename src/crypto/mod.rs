//! Cryptography as this program uses it: thin wrappers that leave no way to misuse what is below them.
//!
//! Nothing here is of our own making: RSA, AES-GCM, HKDF, X-Wing come from the RustCrypto crates, and only this module
//! names those. Randomness is always a parameter.

pub mod aead;
pub mod kdf;
pub mod kem;
pub mod rsa;
pub mod secret;
