//! Makes a connection: resolves the name, and tries one address after the other without ever blocking.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Registry, Token, Waker};

use super::{INTEREST, Target};

/// So long an address has to answer before the next one is tried. The last one has the time that the session gives.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most addresses of one name that are tried.
const ADDRESSES: usize = 16;

/// How trying has ended.
pub(super) enum Dialed {
    /// The stream, already registered under this token.
    Connected(TcpStream, Token),
    Failed(String),
}

pub(super) struct Dial {
    target: Target,
    waker: Arc<Waker>,
    state: State,
    // A resolver at work: it can't be stopped, so an attempt that finds one waits for it rather than start another.
    resolving: Option<Receiver<io::Result<Vec<SocketAddr>>>>,
}

enum State {
    Idle,
    Resolving,
    Trying { rest: VecDeque<SocketAddr>, current: Option<Current>, failure: String },
}

struct Current {
    stream: TcpStream,
    token: Token,
    address: SocketAddr,
    ready: bool,
    until: Instant,
}

impl Dial {
    pub(super) fn new(target: Target, waker: Arc<Waker>) -> Self {
        Self { target, waker, state: State::Idle, resolving: None }
    }

    /// Begins anew.
    pub(super) fn start(&mut self) {
        let host = self.target.host.as_str();
        if let Ok(address) = host.parse::<IpAddr>() {
            self.state = trying(vec![SocketAddr::new(address, self.target.port)]);
            return;
        }
        self.state = State::Resolving;
        if self.resolving.is_some() {
            return;
        }
        let (answer, receiver) = mpsc::channel();
        let (name, waker) = ((host.to_owned(), self.target.port), Arc::clone(&self.waker));
        let thread = std::thread::Builder::new().name("resolver".to_owned()).spawn(move || {
            // It fails only where nobody waits any more.
            let _ = answer.send(name.to_socket_addrs().map(Iterator::collect));
            let _ = waker.wake();
        });
        if thread.is_ok() {
            self.resolving = Some(receiver);
        }
    }

    pub(super) fn stop(&mut self) {
        // A stream that is dropped leaves the poll by itself.
        self.state = State::Idle;
    }

    /// The poll has told something about this token.
    pub(super) fn ready(&mut self, token: Token) {
        if let State::Trying { current: Some(current), .. } = &mut self.state
            && current.token == token
        {
            current.ready = true;
        }
    }

    /// When [`advance`](Self::advance) has something to do, if nothing happens before.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Trying { rest, current: Some(current), .. } if !rest.is_empty() => Some(current.until),
            _ => None,
        }
    }

    /// Goes on. `sockets` counts the tokens that were used.
    pub(super) fn advance(&mut self, registry: &Registry, sockets: &mut usize, now: Instant) -> Option<Dialed> {
        if let State::Resolving = self.state {
            match self.resolved()? {
                Ok(addresses) => self.state = trying(addresses),
                Err(error) => {
                    self.state = State::Idle;
                    return Some(Dialed::Failed(format!("can't find {}: {error}", self.target.host)));
                }
            }
        }
        let State::Trying { rest, current, failure } = &mut self.state else { return None };
        loop {
            if let Some(trying) = current {
                match connected(trying) {
                    Ok(true) => {
                        let trying = current.take()?;
                        self.state = State::Idle;
                        return Some(Dialed::Connected(trying.stream, trying.token));
                    }
                    Ok(false) if rest.is_empty() || trying.until > now => return None,
                    Ok(false) => *failure = format!("{} does not answer", trying.address),
                    Err(error) => *failure = format!("can't connect to {}: {}", trying.address, plain(&error)),
                }
                *current = None;
            }
            let Some(address) = rest.pop_front() else {
                let failure = std::mem::take(failure);
                self.state = State::Idle;
                return Some(Dialed::Failed(failure));
            };
            *sockets += 1;
            match open(address, registry, Token(*sockets)) {
                Ok(stream) => {
                    let (token, until) = (Token(*sockets), now + PATIENCE);
                    *current = Some(Current { stream, token, address, ready: false, until });
                }
                Err(error) => *failure = format!("can't connect to {address}: {}", plain(&error)),
            }
        }
    }

    /// The resolver's answer; nothing if it is still at work.
    fn resolved(&mut self) -> Option<io::Result<Vec<SocketAddr>>> {
        let answer = match &self.resolving {
            None => Err(io::Error::other("no thread to look for it")),
            Some(receiver) => match receiver.try_recv() {
                Ok(answer) => answer,
                Err(mpsc::TryRecvError::Empty) => return None,
                Err(mpsc::TryRecvError::Disconnected) => Err(io::Error::other("the search was broken off")),
            },
        };
        self.resolving = None;
        Some(answer)
    }
}

/// An error of the system without its number.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    let text = text.get(..end).unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// The addresses in the order in which they are tried: as the system gives them, but the two families by turns, so that
/// one that leads nowhere doesn't hold up the other.
pub(super) fn by_turns(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut turns = VecDeque::new();
    while !(one.is_empty() && other.is_empty()) {
        turns.extend(one.pop_front());
        turns.extend(other.pop_front());
    }
    turns.truncate(ADDRESSES);
    turns
}

fn trying(addresses: Vec<SocketAddr>) -> State {
    State::Trying { rest: by_turns(addresses), current: None, failure: "the name has no address".to_owned() }
}

fn open(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    registry.register(&mut stream, token, INTEREST)?;
    Ok(stream)
}

/// Whether the connection is there; an error if it won't be.
fn connected(current: &Current) -> io::Result<bool> {
    if !current.ready {
        return Ok(false);
    }
    if let Some(error) = current.stream.take_error()? {
        return Err(error);
    }
    match current.stream.peer_addr() {
        Ok(_) => {
            // Small messages are not to wait for each other. Without it they do, no more.
            let _ = current.stream.set_nodelay(true);
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns() {
        let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"];
        let turns = by_turns(addresses.iter().map(|text| text.parse().unwrap()).collect());
        let texts: Vec<String> = turns.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
    }

    #[test]
    fn errors_are_said_plainly() {
        let error = io::Error::from_raw_os_error(111);
        assert_eq!(plain(&error), "connection refused");
    }
}
