//! Tests of the program as its users run it, in one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::large_stack_arrays,
    reason = "a test ends where something is not as it should be; clippy.toml allows it in test functions, not in helpers"
)]

#[cfg(target_os = "linux")]
mod bench;
#[cfg(unix)]
mod chat;
mod cmd;
mod fuzz;
mod generated;
mod judges;
#[cfg(unix)]
mod prompts;
#[cfg(target_os = "linux")]
mod server;
mod simulation;
mod streams;
#[cfg(target_os = "linux")]
mod support;
mod town;
mod vectors;
