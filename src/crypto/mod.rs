//! Cryptography as this program uses it: thin wrappers that leave no way to misuse what is below them.
//!
//! Nothing here is of our own making: RSA, AES-GCM, HKDF, X-Wing, Ed25519 come from the RustCrypto crates, or from AWS-LC with
//! the feature `aws-lc`, and only this module names those. Randomness is always a parameter: with the same, both
//! backends give the same bytes. Therefore AWS-LC does what its Rust interface leaves no choice in, where that is the
//! bulk of the time:
//!
//! | operation                       | with `aws-lc` | why                                                          |
//! |---------------------------------|---------------|--------------------------------------------------------------|
//! | AES-256-GCM                     | AWS-LC        | each record; its result is fixed by key and nonce            |
//! | RSA-OAEP decryption             | AWS-LC        | most of a handshake; its result is fixed by key and text     |
//! | RSA-OAEP encryption             | RustCrypto    | AWS-LC draws the seed itself; cheap                          |
//! | RSA-PSS signing                 | RustCrypto    | AWS-LC draws the salt itself; no connection needs it         |
//! | RSA-PSS verification            | RustCrypto    | no connection needs it                                       |
//! | X-Wing                          | RustCrypto    | AWS-LC draws ML-KEM's seeds itself                           |
//! | key files, making keys          | RustCrypto    | one judge of what a key is                                   |
//! | SHA-256, HKDF                   | RustCrypto    | uses the processor's instructions already                    |
//! | Ed25519                         | RustCrypto    | a message at a time; cheap                                   |

pub mod aead;
pub mod ed25519;
pub mod invite;
pub mod kdf;
pub mod kem;
pub mod rsa;
pub mod secret;
