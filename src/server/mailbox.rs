//! What reaches a reactor from other threads: new connections, answers of workers, outputs of the hub.
//!
//! One entry carries a whole turn's outputs for all of a reactor's connections, and only the first of several entries
//! wakes the reactor.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use mio::net::TcpStream;

use crate::hub::{Input, Output};
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
        /// Whether it is to leave on a tick, so that its timing tells nothing.
        at_tick: bool,
        /// The answer.
        answer: Result<Box<Accepted>, RefusalCode>,
    },
    /// What a worker did for the hub.
    Input(Input),
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
    entries: Mutex<Entries>,
    waker: mio::Waker,
}

#[derive(Debug, Default)]
struct Entries {
    mail: Vec<Mail>,
    // Whether the reactor was woken for them.
    announced: bool,
}

impl Mailbox {
    pub(super) fn new(waker: mio::Waker) -> Self {
        Self { entries: Mutex::default(), waker }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves an entry, and wakes the reactor unless that was done for another one.
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

    /// Leaves an entry, and says whether the reactor is to be woken for it, unless this thread is that reactor.
    pub(super) fn leave(&self, mail: Mail) -> bool {
        let mut entries = self.entries();
        entries.mail.push(mail);
        !std::mem::replace(&mut entries.announced, true)
    }

    /// Leaves an entry for when the reactor looks next.
    pub(super) fn leave_quietly(&self, mail: Mail) {
        self.entries().mail.push(mail);
    }

    /// Moves all entries to `into`, which is empty.
    pub(super) fn take(&self, into: &mut Vec<Mail>) {
        let mut entries = self.entries();
        std::mem::swap(&mut entries.mail, into);
        entries.announced = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_wakes_and_a_quiet_one_takes_nobodys_place() {
        let poll = mio::Poll::new().unwrap();
        let mailbox = Mailbox::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap());
        mailbox.leave_quietly(Mail::Stop);
        assert!(mailbox.leave(Mail::Stop));
        assert!(!mailbox.leave(Mail::Stop));
        let mut mail = Vec::new();
        mailbox.take(&mut mail);
        assert_eq!(mail.len(), 3);
        mail.clear();
        assert!(mailbox.leave(Mail::Stop));
    }
}
