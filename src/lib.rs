//! rsachat: encrypted chat for a team, from the shell.
pub mod cli;
pub mod commands;
pub mod error;
pub mod model;
pub mod proto;
pub mod term;
