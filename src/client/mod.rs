//! The client: what a user's chat is ([`session`]), and the thread and the socket it runs on ([`driver`]).
//!
//! A face of the client knows the session's events and commands, and nothing of connections.

pub mod driver;
pub mod session;
