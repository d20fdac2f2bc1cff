//! The shell around a [`Session`]: one thread that owns the socket and the clock, and what does the private key's work.
//!
//! Commands go in through a [`Handle`], what the session tells comes out through a function that is called on the
//! thread. If that blocks, no more is read from the server, so that whoever can't keep up holds up nobody's memory: the
//! server hangs up in the end, and the session catches up later. Everything else here never blocks; names are resolved
//! on a thread of their own, and the RSA operations of a handshake, some milliseconds each, run in between; an agent that
//! does them is waited for, some seconds at most.

mod dial;
mod first_contact;

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use self::dial::{Dial, Dialed};
use super::memory::{Memory, MemoryError};
use super::session::{Attempt, Command, Event, Input, Known, Network, Outcome, Output, Session, Settings};
use super::tickets::Tickets;
use crate::crypto::rsa::OwnKey;
use crate::model::{RoomName, Timestamp};
use crate::proto::message::Position;

pub use self::first_contact::{FirstContactError, fetch_server_key};

const WAKE: Token = Token(0);
/// Reads in a row before anything else has its turn.
const READS: usize = 16;
const READ_BYTES: usize = 64 * 1024;
/// How often it is looked whether another client has remembered something, and what was read is written.
const RECALL: Duration = Duration::from_secs(1);
/// Bytes that wait for a server that doesn't read them; with more, it is taken for dead.
const UNSENT_BYTES: usize = 8 << 20;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What a session tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "the small one comes once")]
pub enum Told {
    /// Something happened.
    Event(Event),
    /// It has ended. Nothing follows.
    Over {
        /// Why.
        outcome: Outcome,
        /// How many messages were said and never acknowledged.
        undelivered: usize,
    },
}

/// What outlives a session, as far as anything does.
#[derive(Debug, Default)]
pub struct Kept {
    /// What is remembered; else it forgets whom it has met.
    pub memory: Option<Memory>,
    /// Tickets; else the first connection begins with a full handshake.
    pub tickets: Option<Tickets>,
}

/// A running session.
#[derive(Debug)]
pub struct Driver {
    handle: Handle,
    thread: JoinHandle<()>,
}

/// Takes commands to a session, from any thread.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: Sender<Command>,
    waker: Arc<Waker>,
}

impl Handle {
    /// Hands over a command. One that comes after the end of the session is dropped.
    pub fn send(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            // It fails only where the thread is gone.
            let _ = self.waker.wake();
        }
    }
}

impl Driver {
    /// Starts a session. `tell` is called on its thread.
    ///
    /// # Errors
    /// What the system says if it has no thread or no poll to give.
    pub fn start(
        settings: Settings,
        target: Target,
        identity: Box<dyn OwnKey>,
        kept: Kept,
        tell: impl FnMut(Told) + Send + 'static,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (sender, commands) = mpsc::channel();
        let handle = Handle { commands: sender, waker: Arc::clone(&waker) };
        let Kept { memory, tickets } = kept;
        let (now, wall) = (Instant::now(), Timestamp::now());
        // Who comes by an invitation wants to be registered: no ticket helps him.
        let ticket = tickets.as_ref().filter(|_| settings.invite.is_none()).and_then(|tickets| tickets.take(wall));
        let mut session = Session::new(settings, StdRng::from_rng(&mut rand::rng()), now, wall);
        if let Some(ticket) = ticket {
            session.handle(Input::Ticket(ticket), now);
        }
        let shell = Shell {
            session,
            poll,
            commands,
            identity,
            memory,
            tickets,
            recalled: Instant::now(),
            read: BTreeMap::new(),
            tell,
            dial: Dial::new(target, waker),
            attempt: Attempt(0),
            wire: None,
            sockets: WAKE.0,
            over: false,
        };
        let thread = std::thread::Builder::new().name("session".to_owned()).spawn(move || shell.run())?;
        Ok(Self { handle, thread })
    }

    /// For those who tell the session what to do.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until the session has ended.
    pub fn join(self) {
        // A panic there was reported by the thread itself.
        let _ = self.thread.join();
    }
}

struct Shell<F> {
    session: Session,
    poll: Poll,
    commands: Receiver<Command>,
    identity: Box<dyn OwnKey>,
    // What is remembered for later sessions, if anything is; and when it was looked whether another client has written.
    memory: Option<Memory>,
    recalled: Instant,
    tickets: Option<Tickets>,
    // What was read, and is not written yet.
    read: BTreeMap<RoomName, Position>,
    tell: F,
    dial: Dial,
    attempt: Attempt,
    wire: Option<Wire>,
    // The token of the last socket: never used again, so that a late event can't be taken for another socket's.
    sockets: usize,
    over: bool,
}

/// The socket of a connection.
struct Wire {
    stream: TcpStream,
    token: Token,
    // There may be more to read: the poll tells only once.
    readable: bool,
    unsent: Vec<u8>,
}

impl<F: FnMut(Told)> Shell<F> {
    fn run(mut self) {
        let mut events = Events::with_capacity(16);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            self.carry_out();
            if self.over {
                return;
            }
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    // Not to be expected of a poll; a busy loop would be worse.
                    std::thread::sleep(Duration::from_millis(100));
                }
                _ => {}
            }
            for event in &events {
                match &mut self.wire {
                    Some(wire) if wire.token == event.token() => {
                        wire.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                    }
                    _ => self.dial.ready(event.token()),
                }
            }
            if self.recalled.elapsed() >= RECALL {
                self.recalled = Instant::now();
                self.remember_read();
                self.remember(Memory::news);
            }
            while let Ok(command) = self.commands.try_recv() {
                self.input(Input::Command(command));
            }
            self.dial();
            self.flush();
            self.read(&mut buffer);
            self.input(Input::Tick);
        }
    }

    /// How long there is nothing to do, unless something happens.
    fn patience(&self) -> Option<Duration> {
        if self.wire.as_ref().is_some_and(|wire| wire.readable) {
            return Some(Duration::ZERO);
        }
        let write = (!self.read.is_empty()).then(|| self.recalled + RECALL);
        let due = [self.session.poll_timeout(), self.dial.poll_timeout(), write].into_iter().flatten().min()?;
        // Rounded up: the poll counts whole milliseconds, and would come back too early.
        Some(due.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
    }

    fn input(&mut self, input: Input<'_>) {
        self.session.handle(input, Instant::now());
        self.carry_out();
    }

    fn network(&mut self, what: Network<'_>) {
        let attempt = self.attempt;
        self.input(Input::Network(attempt, what));
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Connect(attempt) => {
                    self.attempt = attempt;
                    self.dial.start();
                    self.dial();
                }
                Output::Transmit(bytes) => {
                    if let Some(wire) = &mut self.wire {
                        wire.unsent.extend_from_slice(&bytes);
                    }
                    self.flush();
                }
                Output::Job(attempt, job) => {
                    let answer = job.run(&*self.identity, &mut rand::rng());
                    self.session.handle(Input::Network(attempt, Network::Answer(answer)), Instant::now());
                }
                Output::Work(id, job) => {
                    let answer = job.run(&*self.identity, &mut rand::rng());
                    self.session.handle(Input::Worked(id, answer), Instant::now());
                }
                Output::Meet(user, pin) => self.remember(|memory| {
                    let before = memory.meet(user, &pin, &mut rand::rng())?;
                    Ok(before.map(|before| {
                        let mut known = Known::default();
                        known.recall(user, before);
                        known
                    }))
                }),
                Output::Prefer(preference) => {
                    self.remember(|memory| memory.prefer(preference, &mut rand::rng()).map(|()| None));
                }
                Output::HasRoster(room, head) => {
                    self.remember(|memory| memory.has_roster(room, head, &mut rand::rng()).map(|()| None));
                }
                // Written with the next ones: whoever looks at a busy room reads a lot.
                Output::HasRead(room, Some(position)) => drop(self.read.insert(room, position)),
                Output::HasRead(room, None) => {
                    self.read.remove(&room);
                    self.remember(|memory| memory.forget_read(room).map(|()| None));
                }
                Output::Decide(user, pin) => {
                    self.remember(|memory| memory.decide(user, &pin, &mut rand::rng()).map(|()| None));
                }
                Output::Ticket(ticket) => {
                    if let Some(tickets) = &self.tickets {
                        // It can be done without.
                        let _ = tickets.put(&ticket, Timestamp::now());
                    }
                }
                Output::Disconnect => self.hang_up(),
                Output::Event(event) => (self.tell)(Told::Event(event)),
                Output::Over { outcome, undelivered } => {
                    self.over = true;
                    self.remember_read();
                    (self.tell)(Told::Over { outcome, undelivered });
                }
            }
        }
    }

    /// Reads or writes what is remembered, and tells the session what another client has.
    fn remember(&mut self, what: impl FnOnce(&mut Memory) -> Result<Option<Known>, MemoryError>) {
        match self.memory.as_mut().map(what) {
            Some(Ok(Some(known))) => self.session.handle(Input::Recalled(known), Instant::now()),
            Some(Err(error)) => {
                // Said once: without it, this session goes on.
                self.memory = None;
                let text = format!("what is known of others' keys can't be remembered: {error}");
                (self.tell)(Told::Event(Event::Notice(text)));
            }
            Some(Ok(None)) | None => {}
        }
    }

    /// Writes what was read.
    fn remember_read(&mut self) {
        let read = std::mem::take(&mut self.read);
        if !read.is_empty() {
            self.remember(|memory| memory.has_read(&read, &mut rand::rng()).map(|()| None));
        }
    }

    /// Goes on with making a connection.
    fn dial(&mut self) {
        match self.dial.advance(self.poll.registry(), &mut self.sockets, Instant::now()) {
            None => {}
            Some(Dialed::Connected(stream, token)) => {
                self.wire = Some(Wire { stream, token, readable: true, unsent: Vec::new() });
                self.network(Network::Connected);
            }
            Some(Dialed::Failed(text)) => self.network(Network::Failed(text)),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) {
        for _ in 0..READS {
            let Some(wire) = self.wire.as_mut().filter(|wire| wire.readable) else { return };
            match wire.stream.read(buffer) {
                Ok(0) => {
                    wire.readable = false;
                    self.network(Network::Eof);
                }
                Ok(length) => self.network(Network::Received(buffer.get_mut(..length).unwrap_or_default())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wire.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    wire.readable = false;
                    self.network(Network::Eof);
                }
            }
        }
    }

    /// Sends what the socket takes.
    fn flush(&mut self) {
        let Some(wire) = &mut self.wire else { return };
        let mut sent = 0;
        while let Some(rest) = wire.unsent.get(sent..).filter(|rest| !rest.is_empty()) {
            match wire.stream.write(rest) {
                Ok(count) if count > 0 => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A broken connection shows when it is read.
                _ => break,
            }
        }
        wire.unsent.drain(..sent);
        if wire.unsent.is_empty() {
            wire.unsent = Vec::new();
        } else if wire.unsent.len() > UNSENT_BYTES {
            // The next read sees the end of it.
            wire.unsent = Vec::new();
            let _ = wire.stream.shutdown(Shutdown::Both);
            wire.readable = true;
        }
    }

    fn hang_up(&mut self) {
        self.flush();
        self.dial.stop();
        if let Some(mut wire) = self.wire.take() {
            let _ = self.poll.registry().deregister(&mut wire.stream);
            let _ = wire.stream.shutdown(Shutdown::Both);
        }
    }
}

/// A socket is watched for both directions at once: the poll tells changes, not states.
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

#[cfg(test)]
mod tests;
