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

use super::outbox::{Outbox, Passage, Pending, Reader};
use crate::model::{SessionId, UserName};
use crate::proto::close::CloseReason;
use crate::proto::frame::RECORD_BYTES;
use crate::proto::link::{Link, Server};

/// Records sealed for one call of write, at most.
const RECORDS_PER_WRITE: usize = 4;
/// What they hold, in bytes.
pub(super) const WRITE_BYTES: usize = RECORDS_PER_WRITE * RECORD_BYTES;

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
    pub(super) fate: Fate,
    /// Whether this turn's flush will look at it, whatever rooms say.
    pub(super) dirty: bool,
    /// Whether the next turn will read from it, whatever the system says.
    pub(super) unread: bool,
    /// Its rooms, and how far it is with what is to be sent.
    pub(super) reader: Reader,
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
            fate: Fate::Serving,
            dirty: false,
            unread: false,
            reader: Reader::default(),
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
    }

    /// Bytes that wait for the socket, with what it takes to keep them.
    pub(super) fn waiting(&self) -> usize {
        self.unsent.len() - self.sent + self.queued + self.queue.len() * MESSAGE_OVERHEAD
    }

    /// Sends what the socket takes. Says whether that was everything. `scratch` is anybody's between calls.
    pub(super) fn flush(&mut self, outbox: &Outbox, scratch: &mut Vec<u8>) -> io::Result<bool> {
        if self.blocked || !self.send_unsent()? {
            self.keep(outbox);
            return Ok(false);
        }
        if self.queue.is_empty() {
            match outbox.pending(&self.reader) {
                Pending::Nothing => return Ok(true),
                Pending::Passage(passage) => {
                    outbox.taken(&mut self.reader);
                    return self.send_passage(&passage, scratch);
                }
                Pending::Messages(messages) if bytes(&messages) <= RECORD_BYTES => {
                    outbox.taken(&mut self.reader);
                    scratch.clear();
                    self.link.seal(scratch, |out| messages.iter().for_each(|bytes| out.extend_from_slice(bytes)));
                    return self.send(scratch);
                }
                Pending::Messages(_) => {}
            }
        }
        self.keep(outbox);
        while !self.queue.is_empty() {
            scratch.clear();
            for _ in 0..RECORDS_PER_WRITE {
                let Self { link, queue, started, queued, .. } = self;
                if !queue.is_empty() {
                    link.seal(scratch, |out| fill(out, queue, started, queued));
                }
            }
            if scratch.is_empty() {
                // A link that is closed seals nothing.
                break;
            }
            if !self.send(scratch)? {
                return Ok(false);
            }
        }
        self.drop_queue();
        Ok(true)
    }

    /// Moves what there is for this connection to its queue.
    pub(super) fn keep(&mut self, outbox: &Outbox) {
        match outbox.pending(&self.reader) {
            Pending::Nothing => {}
            Pending::Passage(passage) => self.enqueue(passage.messages()),
            Pending::Messages(messages) => self.enqueue(messages.into_iter()),
        }
        outbox.taken(&mut self.reader);
    }

    fn enqueue<'a>(&mut self, messages: impl Iterator<Item = &'a Arc<[u8]>>) {
        for bytes in messages {
            self.queued += bytes.len();
            self.queue.push_back(Arc::clone(bytes));
        }
    }

    /// Sends what a room said. Nothing else waits for the socket.
    fn send_passage(&mut self, passage: &Passage<'_>, scratch: &mut Vec<u8>) -> io::Result<bool> {
        let mut rest = passage.text;
        while !rest.is_empty() {
            scratch.clear();
            for _ in 0..RECORDS_PER_WRITE {
                let (record, more) = rest.split_at(rest.len().min(RECORD_BYTES));
                if !record.is_empty() {
                    self.link.seal(scratch, |out| out.extend_from_slice(record));
                }
                rest = more;
            }
            if !self.send(scratch)? {
                // What is not sealed yet is kept as messages, which are shared: the text is not.
                self.enqueue(passage.messages());
                let mut sealed = passage.text.len() - rest.len();
                self.queued -= sealed;
                while let Some(first) = self.queue.front().filter(|first| first.len() <= sealed) {
                    sealed -= first.len();
                    self.queue.pop_front();
                }
                self.started = sealed;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes what was sealed just now. Says whether the socket took all of it; what it didn't take is kept.
    fn send(&mut self, sealed: &[u8]) -> io::Result<bool> {
        let count = self.write(sealed)?;
        self.unsent = sealed.get(count..).unwrap_or_default().to_vec();
        Ok(self.unsent.is_empty())
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
}

fn bytes(messages: &[&Arc<[u8]>]) -> usize {
    messages.iter().map(|bytes| bytes.len()).sum()
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
