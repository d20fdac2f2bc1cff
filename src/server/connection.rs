//! One connection of a reactor: its socket, its link, and what it has not been able to send.
//!
//! What is to be sent waits as plaintext until the socket takes it: then as many messages as fit are sealed into one
//! record in a buffer of the reactor's, and written with one call. Only what the socket doesn't take is kept here.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Shutdown};
use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;

use super::turn::{List, Turn};
use crate::model::{RoomName, SessionId, UserName};
use crate::proto::close::CloseReason;
use crate::proto::frame::RECORD_BYTES;
use crate::proto::link::{Link, Server};

/// Records sealed for one call of write, at most.
const RECORDS_PER_WRITE: usize = 4;

/// Memory for a message in a queue, beside its bytes: its place there, and an allocation of its own if nobody else gets
/// it.
const MESSAGE_OVERHEAD: usize = 64;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: SessionId,
    pub(super) address: IpAddr,
    pub(super) stream: TcpStream,
    pub(super) link: Link<Server>,
    /// Who it is, once that is proved.
    pub(super) user: Option<UserName>,
    pub(super) rooms: Vec<RoomName>,
    pub(super) fate: Fate,
    /// Whether this turn's flush will look at it.
    pub(super) dirty: bool,
    /// Whether the next turn will read from it, whatever the system says.
    pub(super) unread: bool,
    /// What this turn delivers to it.
    pub(super) list: List,
    // Set while the socket takes nothing; cleared when it is writable again.
    blocked: bool,
    // Sealed, and not yet taken by the socket from `sent` on.
    unsent: Vec<u8>,
    sent: usize,
    // Messages not yet sealed, the first from `started` on.
    queue: VecDeque<Arc<[u8]>>,
    started: usize,
    queued: usize,
}

/// Whether a connection is to go on.
#[derive(Debug)]
pub(super) enum Fate {
    /// Yes.
    Serving,
    /// It gets what is queued, then the reason, then it ends; at the deadline it ends anyway.
    Draining { reason: CloseReason, deadline: Instant },
    /// The link has ended: what is sealed may still be sent, and then the peer may hang up, until the deadline.
    Leaving { deadline: Instant },
}

/// What reading gave.
#[derive(Debug)]
pub(super) enum Read<'a> {
    /// These bytes, and whether there may be more.
    Bytes(&'a mut [u8], bool),
    /// The peer sends no more.
    Eof,
    /// Nothing now.
    Nothing,
}

impl Connection {
    pub(super) fn new(id: SessionId, address: IpAddr, stream: TcpStream, link: Link<Server>) -> Self {
        Self {
            id,
            address,
            stream,
            link,
            user: None,
            rooms: Vec::new(),
            fate: Fate::Serving,
            dirty: false,
            unread: false,
            list: List::default(),
            blocked: false,
            unsent: Vec::new(),
            sent: 0,
            queue: VecDeque::new(),
            started: 0,
            queued: 0,
        }
    }

    pub(super) fn read<'a>(&mut self, buffer: &'a mut [u8]) -> io::Result<Read<'a>> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Ok(Read::Eof),
                // The notification is edge-triggered, and less than was asked for means that the socket is empty.
                Ok(count) => {
                    let more = count == buffer.len();
                    return Ok(Read::Bytes(buffer.get_mut(..count).unwrap_or_default(), more));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Read::Nothing),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The socket takes bytes again.
    pub(super) fn writable(&mut self) {
        self.blocked = false;
    }

    /// Queues bytes that are sealed already.
    pub(super) fn push_sealed(&mut self, mut bytes: Vec<u8>) {
        if self.unsent.is_empty() {
            self.unsent = bytes;
        } else {
            self.unsent.append(&mut bytes);
        }
    }

    /// Forgets what is not sealed yet.
    pub(super) fn drop_queue(&mut self) {
        self.queue = VecDeque::new();
        self.started = 0;
        self.queued = 0;
        self.list = List::default();
    }

    /// Bytes that wait for the socket, with what it takes to keep them.
    pub(super) fn waiting(&self) -> usize {
        self.unsent.len() - self.sent + self.queued + self.queue.len() * MESSAGE_OVERHEAD + self.list.bytes()
    }

    /// Sends what the socket takes. Says whether that was everything. `scratch` is anybody's between calls.
    pub(super) fn flush(&mut self, turn: &Turn, scratch: &mut Vec<u8>) -> io::Result<bool> {
        if !self.blocked && self.send_unsent()? {
            loop {
                scratch.clear();
                self.seal(turn, scratch);
                if scratch.is_empty() {
                    return Ok(true);
                }
                let count = self.write(scratch)?;
                if count < scratch.len() {
                    self.unsent = scratch.get(count..).unwrap_or_default().to_vec();
                    break;
                }
                if self.queue.is_empty() {
                    return Ok(true);
                }
            }
        }
        self.keep(turn);
        Ok(false)
    }

    /// Tells the peer that nothing more will come.
    pub(super) fn shut_down(&self) {
        // A peer that is gone already has no use for it.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn send_unsent(&mut self) -> io::Result<bool> {
        while self.sent < self.unsent.len() {
            let bytes = std::mem::take(&mut self.unsent);
            let count = self.write(bytes.get(self.sent..).unwrap_or_default());
            self.unsent = bytes;
            self.sent += count?;
            if self.blocked {
                return Ok(self.sent == self.unsent.len());
            }
        }
        self.unsent = Vec::new();
        self.sent = 0;
        Ok(true)
    }

    /// One call of write. If it takes less than all, the socket is full.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.stream.write(bytes) {
                Ok(count) => {
                    self.blocked = count < bytes.len();
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Ok(0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Seals into `out` what comes next: nothing, if nothing waits.
    fn seal(&mut self, turn: &Turn, out: &mut Vec<u8>) {
        if self.queue.is_empty() && self.list.bytes() <= RECORD_BYTES {
            if !self.list.is_empty() {
                self.link.seal(out, |out| turn.iter(self.list).for_each(|bytes| out.extend_from_slice(bytes)));
                self.list = List::default();
            }
            return;
        }
        self.keep(turn);
        for _ in 0..RECORDS_PER_WRITE {
            if self.queue.is_empty() {
                break;
            }
            let Self { link, queue, started, queued, .. } = self;
            link.seal(out, |out| fill(out, queue, started, queued));
        }
    }

    /// Moves what this turn delivers to the queue.
    fn keep(&mut self, turn: &Turn) {
        self.queue.extend(turn.iter(self.list).map(Arc::clone));
        self.queued += self.list.bytes();
        self.list = List::default();
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }
}

/// Takes one record's plaintext from the front of the queue.
fn fill(out: &mut Vec<u8>, queue: &mut VecDeque<Arc<[u8]>>, started: &mut usize, queued: &mut usize) {
    let mut room = RECORD_BYTES;
    while let Some(first) = queue.front() {
        let rest = first.get(*started..).unwrap_or_default();
        let taken = rest.get(..room).unwrap_or(rest);
        out.extend_from_slice(taken);
        room -= taken.len();
        *queued -= taken.len();
        if taken.len() < rest.len() {
            *started += taken.len();
            return;
        }
        queue.pop_front();
        *started = 0;
    }
}
