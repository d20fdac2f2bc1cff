//! What reaches a reactor from other threads: new connections, answers of workers, outputs of the hub.
//!
//! One entry carries a whole turn's outputs for all of a reactor's connections, and only the entry that makes an empty
//! mailbox full wakes the reactor.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use mio::net::TcpStream;

use crate::hub::Output;
use crate::model::SessionId;
use crate::proto::handshake::server::Accepted;
use crate::proto::handshake::wire::RefusalCode;

/// An entry.
#[derive(Debug)]
pub(super) enum Mail {
    /// A connection for this reactor to serve.
    Connection(TcpStream, SocketAddr),
    /// What a worker found out about a hello.
    Answer {
        /// The connection that waits for it, if it is still there.
        connection: SessionId,
        /// Not to be handed over before: answers leave on a coarse tick, so that their timing tells nothing.
        release: Instant,
        /// The answer.
        answer: Result<Box<Accepted>, RefusalCode>,
    },
    /// What the hub wants done, some of it by this reactor.
    Outputs(Arc<[Output]>),
    /// The hub wants to be told when this time has come.
    HubDue(Instant),
    /// Everything is done: end.
    Stop,
}

/// A reactor's mailbox.
#[derive(Debug)]
pub(super) struct Mailbox {
    mail: Mutex<Vec<Mail>>,
    waker: mio::Waker,
}

impl Mailbox {
    pub(super) fn new(waker: mio::Waker) -> Self {
        Self { mail: Mutex::new(Vec::new()), waker }
    }

    /// Leaves an entry, and wakes the reactor if it has nothing else to read.
    pub(super) fn post(&self, mail: Mail) {
        if self.leave(mail) {
            self.wake();
        }
    }

    /// Wakes the reactor.
    pub(super) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "a reactor can't be woken");
        }
    }

    /// Leaves an entry, and says whether the mailbox was empty: then the reactor is to be woken, unless this thread is
    /// that reactor.
    pub(super) fn leave(&self, mail: Mail) -> bool {
        let mut entries = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(mail);
        entries.len() == 1
    }

    /// Moves all entries to `into`, which is empty.
    pub(super) fn take(&self, into: &mut Vec<Mail>) {
        std::mem::swap(&mut *self.mail.lock().unwrap_or_else(PoisonError::into_inner), into);
    }
}
