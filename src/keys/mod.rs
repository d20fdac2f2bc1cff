//! Keys as files: the user's own ([`identity`]), those a server admits ([`registry`], kept current by [`watch`]) or
//! has invited ([`invites`]), and those a client trusts ([`trust`]).
//!
//! What a key is, and which are accepted, is decided in [`crate::crypto::rsa`]; this module knows where they are, who
//! may read them, and what happens when a file changes. It never asks or tells a person anything: its errors are typed,
//! and a command puts them into words for its user.

pub mod file;
pub mod identity;
pub mod invites;
pub mod registry;
pub mod trust;
pub mod watch;
