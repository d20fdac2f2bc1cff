//! The connections of a measurement, under one poll.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::heard::{Ear, Seen};
use super::member::{Happening, Member};
use super::{Identity, LoadError, PARALLEL, Target};
use crate::client::session::{Backoff, limits};
use crate::model::Seq;
use crate::proto::handshake::client::{Job, Resumption};
use crate::proto::link::Limits;

/// How long connections may take to be let in when none of them makes headway.
const PATIENCE: Duration = Duration::from_secs(20);
const READ_BYTES: usize = 64 * 1024;
/// How often connections are asked whether they owe a sign of life.
const TICK: Duration = Duration::from_secs(1);

/// How connections authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Each by its user's RSA key.
    Full,
    /// The first of each user by the RSA key, the others by the ticket that this one got.
    Resumed,
}

/// Many connections to one server.
#[derive(Debug)]
pub struct Crowd {
    target: Target,
    identities: Vec<Identity>,
    // What the first connection of each identity got to come back with.
    tickets: Vec<Option<Resumption>>,
    places: Vec<Place>,
    seen: Rc<RefCell<Seen>>,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    limits: Arc<Limits>,
    next_tick: Instant,
}

/// A connection, or where one was, with what it may come back by.
#[derive(Debug, Default)]
struct Place {
    member: Option<Member>,
    ticket: Option<Resumption>,
}

impl Crowd {
    /// Nobody yet. Connections will be made under these users by turns; there has to be one.
    ///
    /// # Errors
    /// What the system says if it has no poll to give.
    pub fn new(target: Target, identities: Vec<Identity>) -> io::Result<Self> {
        Ok(Self {
            target,
            tickets: identities.iter().map(|_| None).collect(),
            identities,
            places: Vec::new(),
            seen: Rc::default(),
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            buffer: vec![0; READ_BYTES],
            limits: limits(),
            next_tick: Instant::now() + TICK,
        })
    }

    /// How many connections there are, or were.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn member(&mut self, index: usize) -> Option<&mut Member> {
        self.places.get_mut(index)?.member.as_mut()
    }

    /// Makes `count` more connections, at most `parallel` at a time, and waits until all are in the room. Tells of each
    /// the number of the room's last message, and how long it took.
    ///
    /// # Errors
    /// [`LoadError`] if one of them doesn't get in.
    pub(super) fn enter(
        &mut self,
        count: usize,
        parallel: usize,
        entry: Entry,
        mut entered: impl FnMut(Seq, Duration),
    ) -> Result<(), LoadError> {
        let goal = self.places.len() + count;
        let mut under_way = 0;
        let mut headway = Instant::now();
        while under_way > 0 || self.places.len() < goal {
            while under_way < parallel && self.places.len() < goal {
                let index = self.places.len();
                let ticket = self.tickets.get(self.identity(index)).and_then(Option::as_ref).map(duplicate);
                if entry == Entry::Resumed && ticket.is_none() && index >= self.identities.len() {
                    // The first of this user is still on its way.
                    break;
                }
                self.places.push(Place::default());
                self.begin(index, ticket.filter(|_| entry == Entry::Resumed))?;
                under_way += 1;
            }
            let mut result = Ok(());
            let mut came = Vec::new();
            self.turn(headway + PATIENCE, |index, happening, now| match happening {
                Happening::Entered(last) => came.push((index, last, now)),
                Happening::Refused(_, refused) => result = Err(LoadError::Refused(index, refused.text)),
                Happening::Gone(ended) => result = Err(LoadError::Lost(index, ended)),
                Happening::Said(_) | Happening::Accepted(..) => {}
            })?;
            result?;
            for (index, last, now) in came {
                under_way -= 1;
                headway = now;
                let identity = self.identity(index);
                let Some(member) = self.member(index) else { continue };
                entered(last, now - member.began);
                let ticket = member.resumption();
                if let Some(slot @ None) = self.tickets.get_mut(identity) {
                    *slot = ticket;
                }
            }
            if headway + PATIENCE <= Instant::now() {
                return Err(LoadError::Slow(self.places.len() - under_way, goal));
            }
        }
        Ok(())
    }

    /// Gets a ticket for each user, by a connection that ends again.
    ///
    /// # Errors
    /// [`LoadError`] if one doesn't get in.
    pub(super) fn get_tickets(&mut self) -> Result<(), LoadError> {
        self.enter(self.identities.len(), PARALLEL, Entry::Full, |_, _| {})?;
        self.leave();
        Ok(())
    }

    /// After a fall of the server at `fallen`: lets all come back as clients do, by their tickets, each after its own
    /// delay and, if that fails, after longer ones. Tells of each how long after the fall it was back. Returns how many
    /// attempts that took in all.
    ///
    /// # Errors
    /// [`LoadError`] if not all are back within three minutes, or one is refused for good.
    pub(super) fn come_back(&mut self, fallen: Instant, mut entered: impl FnMut(Duration)) -> Result<u64, LoadError> {
        let mut rng = StdRng::from_rng(&mut rand::rng());
        let mut backoffs: Vec<(Backoff, bool)> = self.places.iter().map(|_| Default::default()).collect();
        let mut due: BTreeSet<(Instant, usize)> = BTreeSet::new();
        let (mut back, mut attempts) = (0, 0);
        let deadline = fallen + PATIENCE * 9;
        while back < self.places.len() {
            let now = Instant::now();
            if now > deadline {
                return Err(LoadError::Slow(back, self.places.len()));
            }
            while let Some(&(time, index)) = due.first()
                && time <= now
            {
                due.pop_first();
                attempts += 1;
                let ticket = self.places.get(index).and_then(|place| place.ticket.as_ref()).map(duplicate);
                self.begin(index, ticket)?;
            }
            let until = due.first().map_or(deadline, |(time, _)| *time);
            self.turn(until, |index, happening, now| match happening {
                Happening::Entered(_) => {
                    back += 1;
                    entered(now - fallen);
                    if let Some((_, is_back)) = backoffs.get_mut(index) {
                        *is_back = true;
                    }
                }
                Happening::Gone(_) => {
                    if let Some((backoff, is_back)) = backoffs.get_mut(index) {
                        back -= usize::from(std::mem::take(is_back));
                        due.insert((now + backoff.failed(None, now, &mut rng), index));
                    }
                }
                Happening::Said(_) | Happening::Accepted(..) | Happening::Refused(..) => {}
            })?;
        }
        Ok(attempts)
    }

    /// Says that all leave, and forgets them.
    pub fn leave(&mut self) {
        let now = Instant::now();
        for place in self.places.drain(..) {
            if let Some(mut member) = place.member {
                member.leave(now);
            }
        }
    }

    fn identity(&self, index: usize) -> usize {
        index % self.identities.len().max(1)
    }

    /// Begins a connection.
    fn begin(&mut self, index: usize, ticket: Option<Resumption>) -> Result<(), LoadError> {
        let identity = self.identity(index);
        let Some(Identity { user, .. }) = self.identities.get(identity) else { return Ok(()) };
        let first = match ticket {
            Some(ticket) => Job::Resume(ticket),
            None => Job::Hello { server: self.target.key.clone(), user: *user },
        };
        let mut stream = TcpStream::connect(self.target.address)?;
        stream.set_nodelay(true)?;
        self.poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        let member =
            Member::new(stream, first, Ear::new(Rc::clone(&self.seen)), Arc::clone(&self.limits), Instant::now());
        if let Some(place) = self.places.get_mut(index) {
            place.member = Some(member);
        }
        Ok(())
    }

    /// Lets happen what happens before `until`, once.
    pub(super) fn turn(
        &mut self,
        until: Instant,
        mut happened: impl FnMut(usize, Happening, Instant),
    ) -> io::Result<()> {
        let wait = until.min(self.next_tick).saturating_duration_since(Instant::now());
        // The poll counts whole milliseconds, rounded up. The last one is spent asking again and again: a message that is
        // sent too late would be measured as one that took too long.
        let wait = Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_sub(1));
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        let Self { places, identities, events, buffer, .. } = self;
        for event in &*events {
            advance(places, identities, buffer, event.token().0, &mut happened);
        }
        let now = Instant::now();
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            for index in 0..places.len() {
                let member = places.get_mut(index).and_then(|place| place.member.as_mut());
                if member.is_some_and(|member| member.tick(now)) {
                    advance(places, identities, buffer, index, &mut happened);
                }
            }
        }
        Ok(())
    }
}

/// Does what there is to do on a connection.
fn advance(
    places: &mut [Place],
    identities: &[Identity],
    buffer: &mut [u8],
    index: usize,
    happened: &mut impl FnMut(usize, Happening, Instant),
) {
    let Some(place) = places.get_mut(index) else { return };
    let Some(identity) = identities.get(index % identities.len().max(1)) else { return };
    let Some(member) = &mut place.member else { return };
    let mut gone = false;
    member.advance(identity, buffer, |happening, now| {
        gone |= matches!(happening, Happening::Gone(_));
        happened(index, happening, now);
    });
    if gone {
        place.ticket = member.resumption().or(place.ticket.take());
        place.member = None;
    }
}

fn duplicate(resumption: &Resumption) -> Resumption {
    Resumption { ticket: resumption.ticket.clone(), secret: resumption.secret.duplicate() }
}
