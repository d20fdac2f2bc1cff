//! Takes new connections from the listeners, and deals them out to the reactors by turns.
//!
//! It belongs to one reactor, whose loop tells it what is ready; it serves nobody itself.

use std::io;
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use super::mailbox::Mail;
use super::reactor::Shared;
use super::strangers::Strangers;
use crate::proto::handshake::wire::Refusal;

/// Connections accepted before those that are here have their turn.
const ACCEPTS_PER_TURN: usize = 64;
/// When a refused client may come back.
const RETRY_AFTER_S: u16 = 5;

/// The listeners.
pub(super) struct Acceptor {
    listeners: Vec<TcpListener>,
    // Of the reactor that it belongs to.
    index: usize,
    // The reactor that gets the next connection.
    turn_of: usize,
    // Listeners with more to accept than one turn allows: the system won't tell of them again.
    unaccepted: Vec<usize>,
    // The system had no more files for new connections.
    exhausted: bool,
}

impl Acceptor {
    /// Listens from now on: the listener with number n under `token(n)`.
    pub(super) fn new(
        index: usize,
        mut listeners: Vec<TcpListener>,
        registry: &Registry,
        token: impl Fn(usize) -> Token,
    ) -> io::Result<Self> {
        for (number, listener) in listeners.iter_mut().enumerate() {
            registry.register(listener, token(number), Interest::READABLE)?;
        }
        Ok(Self { listeners, index, turn_of: 0, unaccepted: Vec::new(), exhausted: false })
    }

    /// Whether there is something to accept that the system won't tell of again.
    pub(super) fn has_more(&self) -> bool {
        !self.unaccepted.is_empty()
    }

    /// Goes on where the last turn stopped.
    pub(super) fn accept_more(&mut self, shared: &Shared, strangers: &mut Strangers) {
        for number in std::mem::take(&mut self.unaccepted) {
            self.accept(number, shared, strangers);
        }
    }

    /// A second has passed: looks again whether the system has files for those who wait.
    pub(super) fn tick(&mut self, shared: &Shared, strangers: &mut Strangers) {
        if !self.listeners.is_empty() {
            shared.admission.forget();
        }
        if self.exhausted {
            (0..self.listeners.len()).for_each(|number| self.accept(number, shared, strangers));
        }
    }

    /// Accepts what waits at a listener, as far as one turn allows.
    pub(super) fn accept(&mut self, number: usize, shared: &Shared, strangers: &mut Strangers) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = self.listeners.get(number) else { return };
            match listener.accept() {
                Ok((stream, address)) => self.admit(stream, address, shared, strangers),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.exhausted = false;
                    return;
                }
                Err(error) if is_exhaustion(&error) => {
                    // Those who wait are looked at again in a while; those who are here go on.
                    if !self.exhausted {
                        tracing::warn!(%error, "no more connections can be taken for now");
                    }
                    self.exhausted = true;
                    return;
                }
                // The client is gone already.
                Err(error) => tracing::debug!(%error, "a connection could not be accepted"),
            }
        }
        if !self.unaccepted.contains(&number) {
            self.unaccepted.push(number);
        }
    }

    fn admit(&mut self, stream: TcpStream, address: SocketAddr, shared: &Shared, strangers: &mut Strangers) {
        if let Err(refused) = shared.admission.enter(address.ip()) {
            if strangers.may_be_told() {
                tracing::info!(%address, reason = %refused, "connection refused");
            }
            // The buffer of a new socket has room for it, and a client that doesn't get it sees a cut.
            let _ = io::Write::write(&mut &stream, &Refusal::busy(RETRY_AFTER_S).frame());
            return;
        }
        let reactor = self.turn_of;
        self.turn_of = (reactor + 1) % shared.mailboxes.len().max(1);
        let Some(mailbox) = shared.mailboxes.get(reactor) else { return };
        // This thread looks into its own mailbox before it waits again.
        if mailbox.leave(Mail::Connection(stream, address)) && reactor != self.index {
            mailbox.wake();
        }
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    // EMFILE, ENFILE, ENOBUFS, ENOMEM: this process or the system has no more to give.
    use rustix::io::Errno;
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| exhausted.iter().any(|errno| errno.raw_os_error() == code))
}
