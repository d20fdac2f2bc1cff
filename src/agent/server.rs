//! The thread that owns the keys: takes connections, one request each, until its time is over or it is told to end.
//!
//! Nobody can hold it up: no call blocks, a request has to be whole within some seconds, and connections are bounded; those
//! above the bound wait until another one has ended. Peers of other users are not listened to.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::net::{UnixListener, UnixStream};
use mio::{Events, Interest, Poll, Token, Waker};
use zeroize::Zeroizing;

use super::keyring::Keyring;
use super::place::{Place, PlaceError};
use super::wire::{self, Answer, CONTENT_BYTES, HEADER_BYTES, Malformed, Refusal, Request};
use super::{is_own, peer};
use crate::model::Timestamp;

const WAKE: Token = Token(0);
const LISTEN: Token = Token(1);
/// Most connections at once.
const VISITORS: usize = 64;
/// How long a connection may take from its first moment to its last.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the clock on the wall is looked at: the other one stands still while a machine sleeps.
const GLANCE: Duration = Duration::from_secs(60);
/// When to try again to take a connection for which the system had no means.
const RETRY: Duration = Duration::from_secs(1);

/// Why an agent has not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no socket for it.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The system has no means for it.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Why an agent has ended.
#[derive(Debug)]
pub enum Ended {
    /// Its time is over.
    Over,
    /// It was told to.
    Told,
    /// The system has no means for it any more.
    Failed(io::Error),
}

/// An agent that can be connected to.
pub struct Agent {
    // Dropped in this order: the place is free when the keys are wiped.
    keyring: Keyring,
    listener: UnixListener,
    _place: Place,
    poll: Poll,
    stopper: Stopper,
    over: Instant,
}

/// Ends an agent, from any thread.
#[derive(Debug, Clone)]
pub struct Stopper {
    told: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stopper {
    /// Has the agent end.
    pub fn stop(&self) {
        self.told.store(true, Ordering::Relaxed);
        // It fails only where there is no agent any more.
        let _ = self.waker.wake();
    }
}

/// Somebody who has connected.
struct Visitor {
    stream: UnixStream,
    state: State,
    until: Instant,
}

enum State {
    /// The request is on its way; so many bytes of it are here.
    Asking { frame: Zeroizing<Vec<u8>>, filled: usize },
    /// The answer is on its way; so many bytes of it are sent. Perhaps all ends with it.
    Answering { frame: Zeroizing<Vec<u8>>, sent: usize, last: bool },
}

/// How things stand with a visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waits,
    Done,
    /// The agent is to end.
    Stop,
}

impl Agent {
    /// Listens. The keys are held for `lifetime` at most, by either clock.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn start(place: Place, keyring: Keyring, lifetime: Duration) -> Result<Self, StartError> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let mut listener = UnixListener::from_std(place.listen()?);
        poll.registry().register(&mut listener, LISTEN, Interest::READABLE)?;
        let stopper = Stopper { told: Arc::default(), waker };
        Ok(Self { keyring, listener, _place: place, poll, stopper, over: Instant::now() + lifetime })
    }

    /// What ends it.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Answers until the end. Then the keys are wiped, and the socket is gone.
    #[must_use]
    pub fn run(mut self) -> Ended {
        let mut visitors = BTreeMap::new();
        let ended = self.serve(&mut visitors);
        // Whoever has told it to end waits for his connection's end: by then there is nothing left.
        drop(self);
        drop(visitors);
        ended
    }

    fn serve(&mut self, visitors: &mut BTreeMap<Token, Visitor>) -> Ended {
        let mut events = Events::with_capacity(VISITORS);
        let mut next = LISTEN.0;
        loop {
            let retry = self.accept(visitors, &mut next).is_err().then_some(RETRY);
            let now = Instant::now();
            let deadlines = visitors.values().map(|visitor| visitor.until).chain([self.over]).min();
            let wait = deadlines.map(|due| due.saturating_duration_since(now) + Duration::from_millis(1));
            match self.poll.poll(&mut events, [wait, retry, Some(GLANCE)].into_iter().flatten().min()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Ended::Failed(error),
                _ => {}
            }
            for event in &events {
                if self.stopper.told.load(Ordering::Relaxed) {
                    return Ended::Told;
                }
                if self.is_over() {
                    return Ended::Over;
                }
                let Some(visitor) = visitors.get_mut(&event.token()) else { continue };
                match visitor.advance(&self.keyring) {
                    Ok(Progress::Waits) => {}
                    Ok(Progress::Done) | Err(_) => drop(visitors.remove(&event.token())),
                    Ok(Progress::Stop) => return Ended::Told,
                }
            }
            if self.is_over() {
                return Ended::Over;
            }
            let now = Instant::now();
            visitors.retain(|_, visitor| visitor.until > now);
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.over || Timestamp::now() >= self.keyring.until()
    }

    /// Takes the connections that wait, as far as there is room.
    fn accept(&self, visitors: &mut BTreeMap<Token, Visitor>, next: &mut usize) -> io::Result<()> {
        while visitors.len() < VISITORS {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if !is_own(peer(&stream)) {
                continue;
            }
            // Never used again, so that a late event is nobody else's.
            *next += 1;
            self.poll.registry().register(&mut stream, Token(*next), Interest::READABLE | Interest::WRITABLE)?;
            visitors.insert(Token(*next), Visitor::new(stream));
        }
        Ok(())
    }
}

impl Visitor {
    fn new(stream: UnixStream) -> Self {
        let frame = Zeroizing::new(vec![0; HEADER_BYTES + CONTENT_BYTES]);
        Self { stream, state: State::Asking { frame, filled: 0 }, until: Instant::now() + PATIENCE }
    }

    /// Reads and writes what can be, and answers in between. An error is the end of the connection.
    fn advance(&mut self, keyring: &Keyring) -> io::Result<Progress> {
        loop {
            let moved = match &mut self.state {
                State::Asking { frame, filled } => self.stream.read(frame.get_mut(*filled..).unwrap_or_default()),
                State::Answering { frame, sent, .. } => self.stream.write(frame.get(*sent..).unwrap_or_default()),
            };
            let count = match moved {
                Ok(0) => return Ok(Progress::Done),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Progress::Waits),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            match &mut self.state {
                State::Asking { frame, filled } => {
                    *filled += count;
                    if let Some(answering) = answer(frame.get(..*filled).unwrap_or_default(), keyring) {
                        self.state = answering;
                    }
                }
                State::Answering { frame, sent, last } => {
                    *sent += count;
                    if *sent >= frame.len() {
                        return Ok(if *last { Progress::Stop } else { Progress::Done });
                    }
                }
            }
        }
    }
}

/// The answer to what has come, as soon as that is a request, or can be none.
fn answer(bytes: &[u8], keyring: &Keyring) -> Option<State> {
    let request = match wire::content(bytes) {
        Ok(content) => wire::read::<Request<'_>>(content?),
        Err(Malformed) => Err(Malformed),
    };
    let (answer, last) = match request {
        Ok(request) => (keyring.answer(request, &mut rand::rng()), request == Request::Stop {}),
        Err(Malformed) => (Answer::Refused { why: Refusal::Malformed }, false),
    };
    Some(State::Answering { frame: wire::frame(&answer), sent: 0, last })
}
