//! The wire protocol, version 1 ("RSAC1"), without any input or output: frames, handshake, records, messages, and the
//! [`link`] that ties them into one connection. rsachat-protocol(7) specifies it.
//!
//! Everything here is pure: no socket, file, thread, lock, clock or ambient randomness.

pub mod close;
pub mod frame;
pub mod handshake;
pub mod link;
pub mod message;
pub mod record;
pub mod ticket;
