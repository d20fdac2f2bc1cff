//! The agent: a process that holds unlocked keys and works with them for other runs of this program, by the same user on
//! the same machine, so that a key with a passphrase works where nobody can type it.
//!
//! ```text
//! place    where it listens: a directory that is the user's alone, a lock, a socket
//! wire     what is said there: one request a connection, and its answer
//! keyring  the keys, and what is done with them
//! server   the thread that owns both
//! client   who asks: a key that is with the agent, as one's own
//! ```
//!
//! No request hands out a key. The agent decrypts what was encrypted to a key for one of the purposes of this program's
//! client, and signs this program's statements, and nothing else. It asks nobody before it does so: whoever runs as the
//! user may use the keys as long as it runs, and not afterwards. It never writes to a disk.

pub mod client;
pub mod keyring;
pub mod place;
pub mod server;
pub mod wire;

use std::os::fd::AsFd;

use rustix::process::Uid;

/// Who is at the other end of a local socket, as the system says. Where it doesn't say, the directory that the socket is in
/// has to be enough: nobody else gets to it.
#[cfg(target_os = "linux")]
fn peer(socket: impl AsFd) -> Option<Uid> {
    rustix::net::sockopt::socket_peercred(socket).ok().map(|peer| peer.uid)
}

#[cfg(not(target_os = "linux"))]
fn peer(_: impl AsFd) -> Option<Uid> {
    Some(rustix::process::geteuid())
}

/// Whether a peer may be talked to: it runs as this very user. root, who can do it all anyway, is another one.
fn is_own(peer: Option<Uid>) -> bool {
    peer == Some(rustix::process::geteuid())
}
#[cfg(test)]
mod tests;
