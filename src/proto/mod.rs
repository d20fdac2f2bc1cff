//! The wire protocol, version 1 ("RSAC1"), without any input or output.
pub mod close;
pub mod message;
