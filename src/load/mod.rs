//! Load: many connections to a server at once, what they measure, and whether the server kept its promises meanwhile.
//!
//! One thread, one poll, one process for all connections, so that all times come from one clock. A delivery has to cost
//! this side less than it costs the server, which is what is measured: messages are counted, timed and checked for their
//! order, but a text is never decoded, and an event that many get is decoded once.
//!
//! A member is a real client as far as the protocol goes: it authenticates, joins the room, answers the server's signs
//! of life. It keeps no history, and comes back after a broken connection only where that is what is measured.

mod crowd;
mod fan_out;
mod heard;
mod idle;
mod member;
mod meter;
mod report;
mod storm;
mod tally;

use std::io;
use std::net::SocketAddr;

use crate::crypto::rsa::{PrivateKey, PublicKey};
use crate::model::UserName;
use crate::proto::link::Ended;

pub use self::crowd::{Crowd, Entry};
pub use self::fan_out::{Amount, FanOut, Pace, fan_out};
pub use self::idle::idle;
pub use self::meter::{Process, Usage};
pub use self::report::{Cost, FanOutReport, Faults, IdleReport, Latency, StormReport};
pub use self::storm::{come_back, storm};

/// Connections that are under way at a time, where nothing else is asked for: few enough that a server with default
/// settings queues them all.
const PARALLEL: usize = 32;

/// Which server.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it is.
    pub address: SocketAddr,
    /// Its key; any other is refused.
    pub key: PublicKey,
}

/// A registered user, under whose name some of the connections are made.
#[derive(Debug)]
pub struct Identity {
    /// The name.
    pub user: UserName,
    /// The key that is registered for it.
    pub key: PrivateKey,
}

/// Why a measurement came to no end.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The system gave no socket, or no poll.
    #[error("no more connections can be made: {0}")]
    System(#[from] io::Error),
    /// A connection ended while it was made.
    #[error("connection {0}: {1}")]
    Lost(usize, Ended),
    /// The server would not let a connection into the room.
    #[error("connection {0}: {1}")]
    Refused(usize, String),
    /// Not all came in.
    #[error("only {0} of {1} connections got into the room")]
    Slow(usize, usize),
}

/// Tells how far a measurement is; called a few times a second.
pub type Progress<'a> = &'a mut dyn FnMut(Stage, f64);

/// What is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Connections are made.
    Connecting,
    /// Not measured yet.
    WarmingUp,
    /// Measured.
    Measuring,
    /// What was sent is waited for.
    Finishing,
}
