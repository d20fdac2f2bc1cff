//! The client: what a user's chat is ([`session`]).
//!
//! A face of the client knows the session's events and commands, and nothing of connections.

pub mod session;
