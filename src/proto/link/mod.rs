//! One connection, from its first byte to its last: Handshaking, then Open, then Closing, then Closed.
//!
//! # The contract of a state machine without input and output
//!
//! The link, the server's hub and the client's session are driven alike, by a shell that owns sockets, threads and
//! clocks:
//!
//! ```text
//! loop {
//!     wait for bytes, an answer, or the time that poll_timeout() named
//!     machine.handle(input, now)
//!     while let Some(output) = machine.poll() { carry it out }
//! }
//! ```
//!
//! After every `handle`, `poll` is called until it gives nothing, and `poll_timeout` is asked anew. Work that is too
//! expensive here is an output, its result an input; a result that comes too late is ignored. `now` never goes back.
//!
//! The link knows nothing of rooms or users. It never reads a clock, never draws a random number, and keeps no buffer
//! while nothing is half received.

mod role;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use role::{Client, Messages, Peer, Reader, Requests, Role, Server};
use role::{Handshake, Step};

use super::close::{CloseCode, CloseReason};
use super::frame::{FrameError, HEADER_BYTES, Header, Kind};
use super::handshake::Traffic;
use super::handshake::client::ClientError;
use super::handshake::wire::{LayoutError, Refusal, RefusalCode};
use super::message::{Malformed, PREFIX_BYTES};
use crate::crypto::aead::OpenError;

/// What a link tolerates, shared by all links of a program.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes that a peer may send before it has authenticated.
    pub handshake_bytes: usize,
    /// Time for the whole handshake.
    pub handshake: Duration,
    /// The longest message from the peer, prefix not counted.
    pub message_bytes: usize,
    /// After so much silence the peer is asked for a sign of life.
    pub ping: Duration,
    /// After so much silence the peer is taken for dead.
    pub idle: Duration,
    /// After its close was sent, a peer has so long to hang up.
    pub linger: Duration,
}

/// What happened.
#[derive(Debug)]
pub enum Input<'a, R: Role> {
    /// These bytes came; they are decrypted where they stand.
    Received(&'a mut [u8]),
    /// The peer sends no more.
    Eof,
    /// A job is done.
    Answer(R::Answer),
    /// No job can be taken now: refuse the client, and let it try again in so many seconds.
    Busy(u16),
    /// The connection is to end, with a reason for the peer.
    Close(CloseReason),
    /// The time that [`Link::poll_timeout`] named has come.
    Tick,
}

/// What to do.
#[derive(Debug)]
pub enum Output<R: Role> {
    /// Send these bytes after all that was sealed before.
    Transmit(Vec<u8>),
    /// Run this, and hand in its answer.
    Job(R::Job),
    /// Both sides have proved themselves, as far as this side can tell; messages may be sealed from now on.
    Opened(R::Opened),
    /// The peer said this.
    Message(<R::Reader as Reader>::Message),
    /// The connection is over: hang up when the bytes before this are sent. Nothing follows.
    Ended(Ended),
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The peer closed it, and said why.
    #[error("{0}")]
    Closed(CloseReason),
    /// This side closed it.
    #[error("closed")]
    Here,
    /// The server would not go on with the handshake, or this server with its client.
    #[error("{}", .0.code)]
    Refused(Refusal),
    /// The bytes ended without a close: cut, by whoever can.
    #[error("the connection was cut")]
    Truncated,
    /// The peer did not answer in time.
    #[error("the other side does not answer")]
    TimedOut,
    /// The peer broke the protocol, or somebody in between did.
    #[error("protocol violation: {0}")]
    Violation(Violation),
}

/// How a peer broke the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A header that can't be.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A record that doesn't open.
    #[error(transparent)]
    Record(#[from] OpenError),
    /// A handshake message that breaks its layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A message that doesn't decode.
    #[error(transparent)]
    Message(#[from] Malformed),
    /// A server that is not the one its key says.
    #[error(transparent)]
    Server(#[from] ClientError),
    /// A frame that has no place here.
    #[error("unexpected {0:?} frame")]
    Unexpected(Kind),
    /// More bytes before authentication than allowed.
    #[error("too many bytes in the handshake")]
    HandshakeTooLong,
    /// A message longer than this side takes.
    #[error("a message of {0} bytes")]
    MessageTooLong(usize),
}

/// One connection.
#[derive(Debug)]
pub struct Link<R: Role> {
    state: State<R>,
    reader: R::Reader,
    limits: Arc<Limits>,
    // The first part of a frame whose rest has not come; empty, without memory, in between.
    frame: Vec<u8>,
    // The first part of a message whose rest is in a later record; likewise.
    message: Vec<u8>,
    outputs: VecDeque<Output<R>>,
}

#[derive(Debug)]
enum State<R: Role> {
    Handshaking { handshake: R::Handshake, received: usize, deadline: Instant },
    Open(Box<Open>),
    Closing { deadline: Instant },
    Closed,
}

/// The keys of an open connection, and when it was last heard of.
#[derive(Debug)]
struct Open {
    traffic: Traffic,
    heard: Instant,
    pinged: bool,
    // Whether a record of the peer has opened: until then, a server may still refuse in the clear.
    confirmed: bool,
}

impl<R: Role> Link<R> {
    fn start(handshake: R::Handshake, reader: R::Reader, limits: Arc<Limits>, now: Instant) -> Self {
        let deadline = now + limits.handshake;
        let state = State::Handshaking { handshake, received: 0, deadline };
        Self { state, reader, limits, frame: Vec::new(), message: Vec::new(), outputs: VecDeque::new() }
    }

    /// Takes an input. To be followed by [`poll`](Self::poll) until that gives nothing.
    pub fn handle(&mut self, input: Input<'_, R>, now: Instant) {
        match input {
            Input::Received(bytes) => self.receive(bytes, now),
            Input::Eof => match self.state {
                State::Handshaking { .. } | State::Open(_) => self.end(Ended::Truncated),
                State::Closing { .. } => self.end(Ended::Here),
                State::Closed => {}
            },
            Input::Answer(answer) => self.step(now, |handshake| handshake.answer(answer)),
            Input::Busy(retry_after_s) => {
                if let State::Handshaking { .. } = self.state {
                    self.refuse(Refusal::busy(retry_after_s));
                }
            }
            Input::Close(reason) => self.close(&reason, now),
            Input::Tick => self.tick(now),
        }
    }

    /// The next thing to do, if there is one.
    pub fn poll(&mut self) -> Option<Output<R>> {
        let output = self.outputs.pop_front();
        if self.outputs.is_empty() {
            // An idle connection owns no buffers.
            self.outputs = VecDeque::new();
        }
        output
    }

    /// When to call [`handle`](Self::handle) with [`Input::Tick`], if nothing else happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Handshaking { deadline, .. } | State::Closing { deadline } => Some(*deadline),
            State::Open(open) if open.pinged => Some(open.heard + self.limits.idle),
            State::Open(open) => Some(open.heard + self.limits.ping.min(self.limits.idle)),
            State::Closed => None,
        }
    }

    /// Whether messages can be sealed now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Appends one record to `out`: `write` appends its plaintext, a piece of the stream of messages, at most
    /// [`RECORD_BYTES`](super::frame::RECORD_BYTES). Records must be sent in the order in which they were sealed, those
    /// of [`Output::Transmit`] included. Does nothing on a link that is not open.
    pub fn seal(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        if let State::Open(open) = &mut self.state {
            open.traffic.send.seal(Kind::Data, out, write);
        }
    }

    fn receive(&mut self, mut bytes: &mut [u8], now: Instant) {
        while !bytes.is_empty() && matches!(self.state, State::Handshaking { .. } | State::Open(_)) {
            if self.frame.is_empty() {
                match self.frame_bytes(bytes) {
                    Err(violation) => return self.violation(violation),
                    Ok(Some(wanted)) if bytes.len() >= wanted => {
                        // The whole frame is here: it is read where it stands.
                        let (frame, rest) = bytes.split_at_mut(wanted);
                        bytes = rest;
                        self.receive_frame(frame, now);
                        continue;
                    }
                    Ok(_) => {}
                }
            }
            // First the rest of the header, then, when that is judged, the rest of the frame.
            for _ in 0..2 {
                match self.frame_bytes(&self.frame) {
                    Err(violation) => return self.violation(violation),
                    Ok(wanted) => {
                        let missing = wanted.unwrap_or(HEADER_BYTES).saturating_sub(self.frame.len()).min(bytes.len());
                        let (part, rest) = bytes.split_at_mut(missing);
                        bytes = rest;
                        self.frame.extend_from_slice(part);
                    }
                }
            }
            if let Ok(Some(wanted)) = self.frame_bytes(&self.frame)
                && self.frame.len() == wanted
            {
                let mut frame = std::mem::take(&mut self.frame);
                self.receive_frame(&mut frame, now);
            }
        }
    }

    /// Bytes of the frame that begins with `known`, judged by its header before any of it is kept; nothing if the header
    /// is not whole yet.
    fn frame_bytes(&self, known: &[u8]) -> Result<Option<usize>, Violation> {
        let Some(header) = Header::read(known)? else { return Ok(None) };
        let wanted = HEADER_BYTES + header.length;
        match self.state {
            State::Handshaking { received, .. } if received + wanted > self.limits.handshake_bytes => {
                Err(Violation::HandshakeTooLong)
            }
            _ => Ok(Some(wanted)),
        }
    }

    fn receive_frame(&mut self, frame: &mut [u8], now: Instant) {
        let Ok(Some(header)) = Header::read(frame) else { return };
        match &mut self.state {
            State::Handshaking { received, .. } => {
                *received += frame.len();
                self.step(now, |handshake| handshake.frame(header, frame));
            }
            State::Open(open) if header.kind.is_record() => {
                let Some((_, payload)) = frame.split_first_chunk_mut::<HEADER_BYTES>() else { return };
                match open.traffic.receive.open(header, payload) {
                    Ok(plaintext) => {
                        open.heard = now;
                        open.pinged = false;
                        open.confirmed = true;
                        // The borrow of the keys ends here: what follows may close the link.
                        let plaintext = &*plaintext;
                        self.receive_record(header.kind, plaintext);
                    }
                    Err(error) => self.violation(error.into()),
                }
            }
            State::Open(open) if !open.confirmed && header.kind == Kind::Refusal => {
                match Refusal::parse(frame.get(HEADER_BYTES..).unwrap_or_default()) {
                    Ok(refusal) => self.end(Ended::Refused(refusal)),
                    Err(error) => self.violation(error.into()),
                }
            }
            State::Open(_) => self.violation(Violation::Unexpected(header.kind)),
            State::Closing { .. } | State::Closed => {}
        }
    }

    fn receive_record(&mut self, kind: Kind, plaintext: &[u8]) {
        match kind {
            Kind::Data => {
                if let Err(violation) = self.receive_stream(plaintext) {
                    self.violation(violation);
                }
            }
            Kind::Close => match CloseReason::decode(plaintext) {
                Ok(reason) => self.end(Ended::Closed(reason)),
                Err(error) => self.violation(error.into()),
            },
            Kind::Ping => self.transmit(Kind::Pong, &[]),
            _ => {}
        }
    }

    /// Cuts the stream of messages at their prefixes, wherever records begin and end.
    fn receive_stream(&mut self, mut plaintext: &[u8]) -> Result<(), Violation> {
        while !plaintext.is_empty() {
            if self.message.is_empty()
                && let Some(wanted) = self.message_bytes(plaintext)?
                && let Some((whole, rest)) = plaintext.split_at_checked(wanted)
            {
                plaintext = rest;
                self.receive_message(whole)?;
                continue;
            }
            // First the rest of the prefix, then, when that is judged, the rest of the message.
            for _ in 0..2 {
                let wanted = self.message_bytes(&self.message)?.unwrap_or(PREFIX_BYTES);
                let missing = wanted.saturating_sub(self.message.len()).min(plaintext.len());
                let (part, rest) = plaintext.split_at(missing);
                plaintext = rest;
                self.message.extend_from_slice(part);
            }
            if self.message_bytes(&self.message)? == Some(self.message.len()) {
                let message = std::mem::take(&mut self.message);
                self.receive_message(&message)?;
            }
        }
        Ok(())
    }

    /// Bytes of the message that begins with `known`, its prefix included; nothing if that is not whole yet.
    fn message_bytes(&self, known: &[u8]) -> Result<Option<usize>, Violation> {
        let Some(&[a, b, c]) = known.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        if length > self.limits.message_bytes {
            return Err(Violation::MessageTooLong(length));
        }
        Ok(Some(PREFIX_BYTES + length))
    }

    fn receive_message(&mut self, message: &[u8]) -> Result<(), Violation> {
        let message = self.reader.read(message.get(PREFIX_BYTES..).unwrap_or_default())?;
        self.outputs.push_back(Output::Message(message));
        Ok(())
    }

    /// Takes one step of the handshake, if there is one to take.
    fn step(&mut self, now: Instant, step: impl FnOnce(R::Handshake) -> Result<Step<R>, Failure>) {
        let (handshake, received, deadline) = match std::mem::replace(&mut self.state, State::Closed) {
            State::Handshaking { handshake, received, deadline } => (handshake, received, deadline),
            // An answer that comes after the end.
            state => {
                self.state = state;
                return;
            }
        };
        match step(handshake) {
            Ok(Step::Continue { handshake, transmit, job }) => {
                self.state = State::Handshaking { handshake, received, deadline };
                self.outputs.extend(transmit.map(Output::Transmit));
                self.outputs.extend(job.map(Output::Job));
            }
            Ok(Step::Open { traffic, transmit, opened, confirmed }) => {
                self.state = State::Open(Box::new(Open { traffic: *traffic, heard: now, pinged: false, confirmed }));
                self.outputs.extend(transmit.map(Output::Transmit));
                self.outputs.push_back(Output::Opened(opened));
            }
            Err(Failure::Refuse(code)) => self.refuse(Refusal::new(code)),
            Err(Failure::End(ended)) => self.end(ended),
        }
    }

    fn tick(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|due| due > now) {
            return;
        }
        match &mut self.state {
            State::Open(open) if !open.pinged && now < open.heard + self.limits.idle => {
                open.pinged = true;
                self.transmit(Kind::Ping, &[]);
            }
            State::Open(_) => {
                let reason = CloseReason::new(CloseCode::IdleTimeout, "nothing was heard for too long");
                self.transmit(Kind::Close, &reason.encode());
                self.end(Ended::TimedOut);
            }
            State::Handshaking { .. } => self.end(Ended::TimedOut),
            State::Closing { .. } => self.end(Ended::Here),
            State::Closed => {}
        }
    }

    fn close(&mut self, reason: &CloseReason, now: Instant) {
        match &self.state {
            State::Open(_) => {
                self.transmit(Kind::Close, &reason.encode());
                self.state = State::Closing { deadline: now + self.limits.linger };
                // What is half received is not waited for.
                self.frame = Vec::new();
                self.message = Vec::new();
            }
            State::Handshaking { .. } => self.end(Ended::Here),
            State::Closing { .. } | State::Closed => {}
        }
    }

    fn transmit(&mut self, kind: Kind, plaintext: &[u8]) {
        if let State::Open(open) = &mut self.state {
            let mut record = Vec::new();
            open.traffic.send.seal(kind, &mut record, |out| out.extend_from_slice(plaintext));
            self.outputs.push_back(Output::Transmit(record));
        }
    }

    fn violation(&mut self, violation: Violation) {
        match &self.state {
            State::Handshaking { .. } if R::REFUSES => {
                self.outputs.push_back(Output::Transmit(Refusal::new(RefusalCode::Malformed).frame()));
            }
            State::Open(_) => {
                let reason = CloseReason::new(CloseCode::ProtocolError, violation.to_string());
                self.transmit(Kind::Close, &reason.encode());
            }
            _ => {}
        }
        self.end(Ended::Violation(violation));
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.outputs.push_back(Output::Transmit(refusal.frame()));
        self.end(Ended::Refused(refusal));
    }

    fn end(&mut self, ended: Ended) {
        self.state = State::Closed;
        self.frame = Vec::new();
        self.message = Vec::new();
        self.outputs.push_back(Output::Ended(ended));
    }
}

/// How a step of the handshake fails.
#[derive(Debug)]
enum Failure {
    Refuse(RefusalCode),
    End(Ended),
}

impl<T: Into<Violation>> From<T> for Failure {
    fn from(violation: T) -> Self {
        Self::End(Ended::Violation(violation.into()))
    }
}

#[cfg(test)]
mod tests;
