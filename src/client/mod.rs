//! The client: what a user's chat is ([`session`]), the socket under it ([`driver`]),
//! what outlives it ([`memory`], [`tickets`]), and its faces ([`ui`]).
//!
//! A face knows the session's events and commands, and nothing of connections.

pub mod address;
pub mod commands;
pub mod driver;
pub mod follow;
pub(crate) mod gate;
pub(crate) mod json;
pub mod memory;
pub mod session;
pub(crate) mod signals;
pub mod tickets;
pub mod ui;
pub mod verification;
