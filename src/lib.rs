//! rsachat: encrypted chat for a team, from the shell.
pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod crypto;
pub mod e2e;
pub mod error;
pub mod hub;
pub mod journal;
pub mod keys;
pub mod load;
pub mod model;
pub mod proto;
pub mod server;
pub mod store;
pub mod term;
pub mod time;
