//! rsachat: encrypted chat for a team, from the shell.
pub mod model;
pub mod proto;
