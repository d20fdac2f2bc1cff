//! One thread of the server: an event loop over its own connections.
//!
//! A turn of the loop reads everything that is ready, hands what that means to the hub under one lock, queues what
//! follows, and flushes every connection that got something, once. It never does an RSA or ML-KEM operation, never
//! touches a file, and never waits for anything but its poll.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::acceptor::Acceptor;
use super::admission::Admission;
use super::connection::{Connection, Fate, Read};
use super::effects::Switchboard;
use super::mailbox::{Mail, Mailbox};
use super::outbox::Outbox;
use super::pacing::Pacing;
use super::session_ids::{MAX_SLOTS, reactor_of, session_id, slot_of};
use super::strangers::Strangers;
use super::ticks::Ticks;
use super::workers::{Task, Work, Workers};
use crate::hub::Input;
use crate::model::SessionId;
use crate::proto::handshake::server::{Accepted, Job};
use crate::proto::handshake::wire::RefusalCode;
use crate::proto::link::{self, Ended, Limits, Link, Peer};
use crate::proto::message::{ServerMessage, Ticket};
use crate::proto::ticket;
use crate::term::sanitise;

mod delivery;
mod ending;

use ending::{LINGER, SWEEP, log_end};

/// What all reactors share.
pub(super) struct Shared {
    pub(super) switchboard: Switchboard,
    pub(super) workers: Workers,
    pub(super) admission: Admission,
    pub(super) limits: Arc<Limits>,
    /// DER SubjectPublicKeyInfo.
    pub(super) public_key: Arc<[u8]>,
    pub(super) outbound_queue_bytes: usize,
    pub(super) mailboxes: Vec<Arc<Mailbox>>,
}

/// Wakes a reactor whose mailbox has something.
pub(super) const WAKER: Token = Token(usize::MAX);
// Listeners have the tokens from here on, downwards from the waker's.
const LISTENERS: usize = usize::MAX - 256;

/// Bytes read from one connection before the others have their turn.
const READ_BYTES: usize = 16 * 1024;
/// Requests taken from one connection before the others have their turn: thousands would fit in what is read at once.
const REQUESTS_OF_ONE: usize = 64;
/// Requests taken from all connections before they are handed to the hub: it is locked meanwhile, and each of them may
/// have an answer.
const REQUESTS_PER_TURN: usize = 1024;

/// An event loop.
pub(super) struct Reactor {
    index: usize,
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    poll: Poll,
    acceptor: Acceptor,
    connections: Slab<Connection>,
    serial: u32,
    ticks: Ticks,
    // What this turn has for the hub.
    inputs: Vec<Input>,
    outbox: Outbox,
    pacing: Pacing,
    // Connections that have something to send beside what rooms say.
    dirty: Vec<usize>,
    // Connections with more to read, or to take from what was read, than one turn allows; the system won't tell of them
    // again.
    unread: Vec<usize>,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
    mail: Vec<Mail>,
    hub_due: Option<Instant>,
    next_sweep: Instant,
    strangers: Strangers,
    stopping: bool,
}

impl Reactor {
    /// A reactor on `poll`, with `listeners` if it is the one that accepts.
    pub(super) fn new(index: usize, shared: Arc<Shared>, poll: Poll, listeners: Vec<TcpListener>) -> io::Result<Self> {
        let mailbox = shared.mailboxes.get(index).ok_or(io::ErrorKind::NotFound)?;
        let mailbox = Arc::clone(mailbox);
        let acceptor = Acceptor::new(index, listeners, poll.registry(), |number| Token(LISTENERS + number))?;
        Ok(Self {
            index,
            shared,
            mailbox,
            poll,
            acceptor,
            connections: Slab::new(),
            serial: 0,
            ticks: Ticks::default(),
            inputs: Vec::new(),
            outbox: Outbox::default(),
            pacing: Pacing::new(Instant::now()),
            dirty: Vec::new(),
            unread: Vec::new(),
            buffer: vec![0; READ_BYTES],
            scratch: Vec::new(),
            mail: Vec::new(),
            hub_due: None,
            next_sweep: Instant::now() + SWEEP,
            strangers: Strangers::default(),
            stopping: false,
        })
    }

    /// Turns until it is told to stop.
    ///
    /// # Errors
    /// What the system says if polling fails, which it doesn't while there is memory.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        while !self.stopping {
            match self.poll.poll(&mut events, Some(self.patience(Instant::now()))) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let now = Instant::now();
            self.acceptor.accept_more(&self.shared, &mut self.strangers);
            for slot in std::mem::take(&mut self.unread) {
                if let Some(connection) = self.connections.get_mut(slot) {
                    connection.unread = false;
                    self.readable(slot, true, now);
                }
            }
            for event in &events {
                match event.token() {
                    WAKER => {}
                    Token(token) if token >= LISTENERS => {
                        self.acceptor.accept(token - LISTENERS, &self.shared, &mut self.strangers);
                    }
                    Token(slot) => {
                        if event.is_writable()
                            && let Some(connection) = self.connections.get_mut(slot)
                        {
                            connection.writable();
                            self.touch(slot);
                        }
                        if event.is_readable() || event.is_read_closed() || event.is_error() {
                            self.readable(slot, event.is_read_closed(), now);
                        }
                    }
                }
            }
            self.read_mail(now);
            self.release(now);
            if now >= self.next_sweep {
                self.sweep(now);
            }
            if !self.inputs.is_empty() || self.hub_due.is_some_and(|due| due <= now) {
                let ticks = self.hub_due.is_some_and(|due| due <= now).then_some(Input::Tick);
                let inputs = self.inputs.drain(..).chain(ticks);
                self.hub_due = self.shared.switchboard.step(Some(self.index), inputs);
            }
            self.read_mail(now);
            self.flush(now);
        }
        Ok(())
    }

    /// How long to wait for events.
    fn patience(&self, now: Instant) -> Duration {
        if !self.unread.is_empty() || self.acceptor.has_more() || !self.inputs.is_empty() {
            return Duration::ZERO;
        }
        let gathered = self.outbox.has_rooms().then(|| self.pacing.due());
        let first =
            [self.ticks.next(), gathered, self.hub_due].into_iter().flatten().fold(self.next_sweep, Instant::min);
        first.saturating_duration_since(now)
    }

    /// Serves a new connection.
    fn adopt(&mut self, mut stream: TcpStream, address: SocketAddr, now: Instant) {
        let entry = self.connections.vacant_entry();
        let slot = entry.key();
        let registered = if slot < MAX_SLOTS {
            // Records are written whole: there is nothing for the system to gather.
            stream.set_nodelay(true).and_then(|()| {
                self.poll.registry().register(&mut stream, Token(slot), Interest::READABLE | Interest::WRITABLE)
            })
        } else {
            Err(io::ErrorKind::QuotaExceeded.into())
        };
        if let Err(error) = registered {
            tracing::warn!(%address, %error, "a connection could not be served");
            self.shared.admission.leave(address.ip());
            return;
        }
        let id = session_id(self.serial, self.index, slot);
        self.serial = self.serial.wrapping_add(1);
        if self.strangers.may_be_told() {
            tracing::info!(session = id.0, %address, "connected");
        }
        let link = Link::server(Arc::clone(&self.shared.public_key), Arc::clone(&self.shared.limits), now);
        entry.insert(Connection::new(id, address.ip(), stream, link));
    }

    /// Reads what is there, as far as one turn allows. `again`: the system won't tell of what is left.
    fn readable(&mut self, slot: usize, again: bool, now: Instant) {
        // What was read before comes first.
        if !self.follow(slot, now) {
            return;
        }
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let serving = matches!(connection.fate, Fate::Serving);
        let mut buffer = std::mem::take(&mut self.buffer);
        match connection.read(&mut buffer) {
            Ok(Read::Bytes(bytes, more)) => {
                if serving {
                    connection.link.handle(link::Input::Received(bytes), now);
                    self.follow(slot, now);
                }
                if more || again {
                    self.read_later(slot);
                }
            }
            Ok(Read::Eof) => {
                if serving {
                    connection.link.handle(link::Input::Eof, now);
                    self.follow(slot, now);
                } else {
                    self.remove(slot);
                }
            }
            Ok(Read::Nothing) => {}
            Err(error) => {
                tracing::debug!(session = connection.id.0, %error, "connection lost");
                self.remove(slot);
            }
        }
        self.buffer = buffer;
    }

    fn read_later(&mut self, slot: usize) {
        if let Some(connection) = self.connections.get_mut(slot)
            && !connection.unread
        {
            connection.unread = true;
            self.unread.push(slot);
        }
    }

    /// Does what a connection's link wants done. Returns whether that was all; if not, the next turn goes on.
    fn follow(&mut self, slot: usize, now: Instant) -> bool {
        let mut requests = 0;
        while let Some(connection) = self.connections.get_mut(slot) {
            if requests == REQUESTS_OF_ONE || self.inputs.len() >= REQUESTS_PER_TURN {
                self.read_later(slot);
                return false;
            }
            let id = connection.id;
            match connection.link.poll() {
                None => return true,
                Some(link::Output::Transmit(bytes)) => {
                    connection.push_sealed(bytes);
                    self.touch(slot);
                }
                Some(link::Output::Job(job)) => {
                    let address = connection.address;
                    if let Err(retry_after_s) = self.submit(id, address, job, now)
                        && let Some(connection) = self.connections.get_mut(slot)
                    {
                        if self.strangers.may_be_told() {
                            tracing::info!(session = id.0, %address, retry_after_s, "handshake put off");
                        }
                        connection.link.handle(link::Input::Busy(retry_after_s), now);
                    }
                }
                Some(link::Output::Opened(peer)) => self.opened(slot, peer),
                Some(link::Output::Message((request_id, request))) => {
                    self.inputs.push(Input::Request { session: id, id: request_id, request });
                    requests += 1;
                }
                Some(link::Output::Ended(ended)) => {
                    log_end(connection, &ended, &mut self.strangers);
                    let authenticated = connection.user.is_some();
                    self.forget_rooms(slot);
                    match ended {
                        // The peer has nothing more to say or to hear.
                        Ended::Closed(_) | Ended::Truncated | Ended::Here => self.remove(slot),
                        Ended::TimedOut if !authenticated => self.remove(slot),
                        // It gets the reason, and time to read it.
                        Ended::Refused(_) | Ended::Violation(_) | Ended::TimedOut => self.leave(slot, now + LINGER),
                    }
                    return true;
                }
            }
        }
        true
    }

    /// Hands a job to the workers, or says after how many seconds the client may try again.
    fn submit(&mut self, connection: SessionId, address: IpAddr, job: Job, now: Instant) -> Result<(), u16> {
        let full = matches!(job, Job::Full(_));
        if full {
            self.shared.admission.handshake(address)?;
        }
        let task = Task { mailbox: Arc::clone(&self.mailbox), work: Work::Handshake(connection, job) };
        self.shared.workers.submit(task).map_err(|busy| busy.retry_after_s)?;
        if full {
            self.ticks.expect(connection, now);
        }
        Ok(())
    }

    fn opened(&mut self, slot: usize, peer: Peer) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let Peer { user, fingerprint, client, resumed, ticket } = peer;
        let session = connection.id;
        let shown = &*sanitise(&client);
        tracing::info!(session = session.0, address = %connection.address, %user, client = shown, resumed, "authenticated");
        connection.user = Some(user);
        let ticket = ServerMessage::Ticket(Ticket { ticket: ticket.into(), lifetime_s: ticket::LIFETIME_S });
        self.deliver(slot, ticket.encode().into());
        self.inputs.push(Input::Opened { session, user, fingerprint, client });
    }

    fn read_mail(&mut self, now: Instant) {
        let mut mail = std::mem::take(&mut self.mail);
        self.mailbox.take(&mut mail);
        for entry in mail.drain(..) {
            match entry {
                Mail::Connection(stream, address) => self.adopt(stream, address, now),
                Mail::Answer { connection, at_tick: true, answer } => self.ticks.hold(connection, answer),
                Mail::Answer { connection, at_tick: false, answer } => self.answer(connection, answer, now),
                Mail::Input(input) => self.inputs.push(input),
                Mail::Outputs(outputs) => outputs.iter().for_each(|output| self.carry_out(output, now)),
                Mail::HubDue(due) => self.hub_due = Some(self.hub_due.map_or(due, |sooner| sooner.min(due))),
                Mail::Stop => self.stopping = true,
            }
        }
        self.mail = mail;
    }

    /// Hands over the answers whose tick has come.
    fn release(&mut self, now: Instant) {
        while let Some((connection, answer)) = self.ticks.release(now) {
            self.answer(connection, answer, now);
        }
    }

    fn answer(&mut self, id: SessionId, answer: Result<Box<Accepted>, RefusalCode>, now: Instant) {
        if let Some(slot) = self.find(id)
            && let Some(connection) = self.connections.get_mut(slot)
        {
            connection.link.handle(link::Input::Answer(answer), now);
            self.follow(slot, now);
        }
    }

    /// Where a connection is, if it is one of this reactor's and still there.
    fn find(&self, id: SessionId) -> Option<usize> {
        let slot = slot_of(id);
        let here = reactor_of(id) == self.index && self.connections.get(slot).is_some_and(|found| found.id == id);
        here.then_some(slot)
    }
}
