//! rsachat: encrypted chat for a team, from the shell.
pub mod crypto;
pub mod model;
pub mod proto;
