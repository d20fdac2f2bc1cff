//! Thin wrappers around the cryptographic crates, made so that misuse does not compile.
//!
//! Each module here is the only user of the crates it wraps. Nothing here opens a file or a socket, or draws
//! randomness of its own: the generator is a parameter.

pub mod rsa;
pub mod secret;
