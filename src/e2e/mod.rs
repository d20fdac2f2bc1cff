//! Sealed conversations: what members of a room make of their messages so that the server can't read them. Who gets what,
//! and when, is the business of the client's session.
//!
//! ```text
//! sender key   COSE_Encrypt (A256GCM; RSAES-OAEP-SHA-256 for each member) around
//!              COSE_Sign1 (PS256, by the sender's RSA key) around
//!              {symmetric key and base IV, Ed25519 public key, who it is sealed to, the sender's RSA public key}
//! message      COSE_Encrypt0 (A256GCM, under the sender key) around
//!              COSE_Sign1 (EdDSA, by the sender key) around
//!              what is said, padded
//! roster       one COSE_Sign1 (PS256, by the owner's RSA key) after the other, each around
//!              {number, SHA-256 of the one before, who is in the room now or no longer, the owner's RSA public key}
//! ```
//!
//! The structures are COSE (RFC 9052, algorithms of RFC 9053 and RFC 8230), so that any COSE library can check them. Where
//! each belongs, room, epoch, sender, number, is bound in as external_aad at every layer: a ciphertext or a signature that
//! is moved elsewhere does not open there ("Defective Sign & Encrypt in S/MIME, PKCS#7, MOSS, PEM, PGP, and XML", D. Davis, 2001).
//!
//! A sender key is made by one client, for one [`Epoch`](crate::model::Epoch) of a room, and numbers its messages from 0. It is never
//! shared between two that send: so no nonce repeats, and who receives sees if one is missing.
//!
//! This module touches no socket, file, thread, lock or clock; randomness is a parameter. It never decides whether a key
//! is to be trusted: it says whose signature it has checked.

mod cose;
mod job;
mod membership;
mod message;
mod padding;
mod roster;
mod sender_key;

pub use self::job::{Answer, Job};
pub use self::membership::{Context, Member, Membership, is_statement};
pub use self::message::Unopened;
pub use self::roster::{Change, Draft, Head, Invalid, Roster};
pub use self::sender_key::{MESSAGES_PER_KEY, OpenedKey, Package, SenderKey, Unusable};

#[cfg(test)]
mod tests;
