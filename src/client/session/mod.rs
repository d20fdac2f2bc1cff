//! One user's chat with one server, over as many connections as it takes: a state machine without input or output.
//!
//! ```text
//! Waiting -> Connecting -> Linked (Handshaking, Online) -> Waiting ... -> Over
//! ```
//!
//! It is driven as [the link](crate::proto::link) and the server's hub are: [`handle`](Session::handle) an input, then
//! [`poll`](Session::poll) until that gives nothing, then wait for input or [`poll_timeout`](Session::poll_timeout).
//! Making a connection and the expensive parts of a handshake are outputs with the number of an [`Attempt`], what comes
//! of them inputs with that number; what comes for an attempt that is over is ignored.
//!
//! What it sees to, so that no face of the client has to:
//!
//! - A connection that is lost is made anew, later after every failure, with a ticket where there is one. It ends only
//!   for what no new connection would change: [`Outcome`].
//! - Of each room, messages come in the order of their numbers, each once, none left out without a word: what was
//!   missed is asked for, what the server lost before it was on its disk is [withdrawn](Event::Withdrawn).
//! - What the user says gets an identifier and is sent under it until the server has answered, over any number of
//!   connections, in the order in which it was said.
//!
//! It touches no socket, file, thread or clock; time and the random generator are parameters. Whatever a server sends,
//! its memory is bounded.

mod asks;
mod backoff;
mod ending;
mod io;
mod keys;
mod online;
mod outgoing;
mod posts;
mod private;
mod room;
mod sealed;
mod sealer;
mod settings;
mod signing;
mod ticket;
mod trust;
mod vault;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;

use self::asks::Asks;
pub(crate) use self::backoff::Backoff;
use self::io::Work;
use self::outgoing::Outgoing;
use self::posts::Fate;
use self::room::{Broken, Entry, Room};
use self::signing::Signing;
use self::ticket::HeldTicket;
use crate::crypto::rsa::OperationError;
use crate::crypto::secret::Secret;
use crate::model::{Fingerprint, MessageId, RoomName, Timestamp, UserName};
use crate::proto::close::{CloseCode, CloseReason};
use crate::proto::handshake::client::{ClientError, Job};
use crate::proto::link::{self, Client, Limits, Link};
use crate::proto::message::{ErrorCode, MESSAGE_BYTES, RequestId, Welcome};

pub use self::io::{
    Answer, Arrival, Ask, Attempt, Command, Event, Input, Network, Outcome, Output, Preference, Said, Seal, Seen,
    Until, Visit, WorkId,
};
pub use self::private::BadRoster;
pub use self::settings::{Purpose, Settings};
pub use self::ticket::KeptTicket;
pub use self::trust::{Known, Pin, Trust};
pub use self::vault::Unreadable;

/// A connection has to be there by then.
const CONNECT: Duration = Duration::from_secs(20);
/// A server has to welcome us so soon after the handshake.
const WELCOME: Duration = Duration::from_secs(15);

/// One user's chat with one server.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    limits: Arc<Limits>,
    rng: StdRng,
    began: (Instant, Timestamp),
    phase: Phase,
    attempt: Attempt,
    backoff: Backoff,
    ticket: Option<HeldTicket>,
    rooms: BTreeMap<RoomName, Room>,
    asks: Asks,
    // The server has told once which rooms the user is in.
    was_online: bool,
    // Rooms in which something was said before it is known whether the user is in them.
    hopes: BTreeSet<RoomName>,
    // Rooms that are left, and are to be joined afterwards.
    rejoin: BTreeSet<RoomName>,
    // Those that wait for an answer, oldest first.
    requests: BTreeMap<RequestId, Asked>,
    next_request: RequestId,
    known: Known,
    // Keys that the server says users have now, and that are not trusted.
    untrusted: BTreeMap<UserName, Fingerprint>,
    // Users whose keys are to be trusted, whatever they are.
    trusting: BTreeSet<UserName>,
    // How much the user has said and asked for.
    commands: u64,
    // A change of who is in a private room, on its way to be signed.
    signing: Option<Signing>,
    // Work that is not done yet.
    works: BTreeMap<WorkId, Work>,
    next_work: u64,
    // Since when there is no connection, and why.
    offline: Option<(Instant, String)>,
    leaving: Option<Leaving>,
    // The user ended the server.
    ended_server: bool,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum Phase {
    Waiting { until: Instant },
    Connecting { deadline: Instant },
    Linked(Box<Connection>),
    Over,
}

#[derive(Debug)]
struct Connection {
    link: Link<Client>,
    resuming: bool,
    // Goes with the ticket that will come.
    secret: Option<Secret>,
    // When the server has to have welcomed us.
    welcome_by: Option<Instant>,
    welcome: Option<(Welcome, Instant)>,
    outgoing: Outgoing,
    // We have said goodbye.
    bye: bool,
}

/// A request that waits for its answer.
#[derive(Debug, Clone, Copy)]
struct Asked {
    by: Asker,
    at: Instant,
}

/// Whose request it was.
#[derive(Debug, Clone, Copy)]
enum Asker {
    Join(RoomName),
    Post(RoomName),
    User,
    /// What a user's key is, to trust it.
    Trust(UserName),
    /// What the partner's key in a direct room is.
    Keys(RoomName),
    /// To keep a sender key.
    KeepKey(RoomName),
    SenderKeys(RoomName),
    Seen(RoomName),
    Roster(RoomName),
    /// What the key is of a user who is to be let into a private room.
    Invited(RoomName, UserName),
    /// In which direct rooms something is unread.
    Directs,
}

#[derive(Debug, Clone, Copy)]
struct Leaving {
    until: Option<Instant>,
}

/// What a client tolerates of a server.
pub(crate) fn limits() -> Arc<Limits> {
    Arc::new(Limits {
        handshake_bytes: 64 * 1024,
        handshake: Duration::from_secs(20),
        message_bytes: MESSAGE_BYTES,
        ping: Duration::from_secs(20),
        idle: Duration::from_secs(45),
        linger: Duration::from_secs(1),
    })
}

impl Session {
    /// A session that begins with its first try to connect. `wall` is the time of this machine's clock now.
    #[must_use]
    pub fn new(mut settings: Settings, rng: StdRng, now: Instant, wall: Timestamp) -> Self {
        let mut known = std::mem::take(&mut settings.known);
        let rooms = match &settings.purpose {
            Purpose::Chat | Purpose::Speak => BTreeSet::from([settings.room]),
            Purpose::Follow { rooms, from } => {
                known.read_only_up_to(from);
                rooms.clone()
            }
        };
        let mut session = Self {
            rooms: rooms.into_iter().map(|room| (room, Room::new(room, &known))).collect(),
            settings,
            limits: limits(),
            rng,
            began: (now, wall),
            phase: Phase::Waiting { until: now },
            attempt: Attempt(0),
            backoff: Backoff::default(),
            ticket: None,
            asks: Asks::default(),
            was_online: false,
            hopes: BTreeSet::new(),
            rejoin: BTreeSet::new(),
            requests: BTreeMap::new(),
            next_request: 1,
            known,
            untrusted: BTreeMap::new(),
            trusting: BTreeSet::new(),
            commands: 0,
            signing: None,
            works: BTreeMap::new(),
            next_work: 0,
            offline: Some((now, "not connected yet".to_owned())),
            leaving: None,
            ended_server: false,
            outputs: VecDeque::new(),
        };
        let preferences: Vec<Preference> = session.known.preferences().collect();
        for preference in preferences {
            session.event(Event::Preferred(preference));
        }
        session.advance(now);
        session
    }

    /// Takes an input. To be followed by [`poll`](Self::poll) until that gives nothing.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        if let Phase::Over = self.phase {
            return;
        }
        match input {
            Input::Network(attempt, what) if attempt == self.attempt => self.network(what, now),
            Input::Network(..) | Input::Tick => {}
            Input::Command(command) => self.command(command, now),
            Input::Worked(id, answer) => self.worked(id, answer),
            Input::Recalled(known) => {
                let read = !self.follows();
                self.known.merge(known, read);
            }
            Input::Ticket(kept) => self.begin_with(kept),
        }
        self.advance(now);
    }

    /// The next thing to do, if there is one.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`handle`](Self::handle) with [`Input::Tick`], if nothing else happens before. Nothing once the
    /// session is over.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::Over => return None,
            Phase::Waiting { until } => Some(*until),
            Phase::Connecting { deadline } => Some(*deadline),
            Phase::Linked(connection) => {
                [connection.link.poll_timeout(), connection.welcome_by].into_iter().flatten().min()
            }
        };
        let online = self.is_online();
        let rooms = self.rooms.values().filter(|_| online).flat_map(|room| match room.entry {
            Entry::Outside(due) => [due, None],
            Entry::Inside => [room.posts.not_before(), room.sealed.as_ref().and_then(|sealed| sealed.not_before())],
            Entry::Asked(..) | Entry::Refused => [None, None],
        });
        let asks = self.asks.not_before().filter(|_| online);
        let leave = self.leaving.and_then(|leaving| leaving.until).filter(|_| !self.said_bye());
        let rest = [phase, asks, leave, self.gives_up_at()];
        rooms.flatten().chain(rest.into_iter().flatten()).min()
    }

    /// How many messages were said and are not acknowledged.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.rooms.values().map(|room| room.posts.len()).sum()
    }

    fn is_online(&self) -> bool {
        matches!(&self.phase, Phase::Linked(connection) if connection.welcome.is_some() && !connection.bye)
    }

    /// Whether somebody's key is on its way to be trusted.
    fn is_trusting(&self) -> bool {
        !self.trusting.is_empty() || self.requests.values().any(|asked| matches!(asked.by, Asker::Trust(_)))
    }

    fn said_bye(&self) -> bool {
        matches!(&self.phase, Phase::Linked(connection) if connection.bye)
    }

    fn gives_up_at(&self) -> Option<Instant> {
        let offline = self.offline.as_ref().map(|(since, _)| *since);
        let unanswered = || self.requests.values().next().map(|asked| asked.at);
        offline.or_else(unanswered)?.checked_add(self.settings.give_up?)
    }

    /// The time of this machine's clock.
    fn wall(&self, now: Instant) -> Timestamp {
        let (began, wall) = self.began;
        wall.after(now.saturating_duration_since(began))
    }

    fn new_id(&mut self, now: Instant) -> MessageId {
        MessageId::new(self.wall(now), &mut self.rng)
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn command(&mut self, command: Command, now: Instant) {
        self.commands += 1;
        let order = self.commands;
        match command {
            Command::Post { room, body, urgent } => {
                self.hope_for(room);
                let id = self.new_id(now);
                self.event(Event::Pending { id, room, body: body.clone() });
                let refused = |code, text| Some(Fate::Refused(id, body.clone(), posts::here(code, text)));
                let fate = match self.rooms.get_mut(&room) {
                    _ if self.leaving.is_some() => refused(ErrorCode::ShuttingDown, "you are leaving"),
                    // Where he is already everybody could read what is meant for the private one.
                    Some(_) if self.asks.is_making_private(room) && !self.hopes.contains(&room) => {
                        refused(ErrorCode::Conflict, "you are in a room of this name that is not the one to be made")
                    }
                    Some(room) if !matches!(room.entry, Entry::Refused) => room.posts.push(id, body, urgent, order),
                    _ => refused(ErrorCode::Forbidden, "you are not in this room"),
                };
                if let Some(fate) = fate {
                    self.tell(room, fate);
                }
            }
            // As soon as that is answered.
            Command::Join { room } if self.asks.leaves(room) => drop(self.rejoin.insert(room)),
            Command::Join { room } => {
                if self.may_join(room) {
                    self.know(room);
                } else {
                    let refused = posts::here(ErrorCode::Conflict, "you are in too many rooms");
                    self.event(Event::NotEntered { room, refused });
                }
            }
            Command::Prefer(preference) => {
                self.known.prefer(preference);
                self.outputs.push_back(Output::Prefer(preference));
                self.event(Event::Preferred(preference));
            }
            Command::Read { room, seq } => self.has_read(room, seq),
            Command::Trust { user, key, verified } => self.trust_now(user, key, verified),
            Command::Ask(ask) => {
                if let Some((ask, refused)) = self.asks.push(ask, order) {
                    self.event(Event::Answered { ask, answer: Err(refused) });
                }
            }
            Command::Leave { patience } => {
                // Who asks twice is not made to wait longer.
                let before = self.leaving.and_then(|leaving| leaving.until);
                let until = now.checked_add(patience).into_iter().chain(before).min();
                self.leaving = Some(Leaving { until });
            }
        }
    }

    fn tell(&mut self, room: RoomName, fate: Fate) {
        self.event(match fate {
            Fate::Accepted(id, accepted) => Event::Accepted { id, room, seq: accepted.seq, time: accepted.time },
            Fate::Refused(id, body, refused) => Event::Refused { id, room, body, refused },
            Fate::Unknown(id, body) => Event::Undelivered { id, room, body },
            Fate::Delayed(id, refused, retry_in) => Event::Delayed { id, room, refused, retry_in },
        });
    }

    fn network(&mut self, what: Network<'_>, now: Instant) {
        match (&mut self.phase, what) {
            (Phase::Connecting { .. }, Network::Connected) => self.greet(now),
            (Phase::Connecting { .. }, Network::Failed(reason)) => self.lost(reason, Duration::ZERO, now),
            (Phase::Connecting { .. }, Network::Eof) => {
                self.lost("the connection was cut".to_owned(), Duration::ZERO, now);
            }
            (Phase::Linked(connection), Network::Received(bytes)) => {
                connection.link.handle(link::Input::Received(bytes), now);
            }
            (Phase::Linked(connection), Network::Eof) => connection.link.handle(link::Input::Eof, now),
            (Phase::Linked(_), Network::Answer(Err(ClientError::OwnKey(OperationError::OutOfReach)))) => {
                self.over(Outcome::KeyOutOfReach);
            }
            (Phase::Linked(connection), Network::Answer(answer)) => {
                connection.link.handle(link::Input::Answer(answer), now);
            }
            _ => {}
        }
        self.drain(now);
    }

    /// A connection is there: the first message of a handshake goes out, with a ticket if there is one.
    fn greet(&mut self, now: Instant) {
        let ticket = self.present_ticket(now);
        let resuming = ticket.is_some();
        let Settings { server, user, invite, .. } = &self.settings;
        let (server, user) = (server.clone(), *user);
        let first = match (ticket, invite.clone()) {
            (Some(resumption), _) => Job::Resume(resumption),
            (None, Some(token)) => Job::InvitedHello { server, user, token },
            (None, None) => Job::Hello { server, user },
        };
        self.phase = Phase::Linked(Box::new(Connection {
            link: Link::client(first, Arc::clone(&self.limits), now),
            resuming,
            secret: None,
            welcome_by: None,
            welcome: None,
            outgoing: Outgoing::default(),
            bye: false,
        }));
    }

    /// Does what the link says.
    fn drain(&mut self, now: Instant) {
        while let Phase::Linked(connection) = &mut self.phase {
            let Some(output) = connection.link.poll() else { return };
            match output {
                link::Output::Transmit(bytes) => self.outputs.push_back(Output::Transmit(bytes)),
                link::Output::Job(job) => self.outputs.push_back(Output::Job(self.attempt, job)),
                link::Output::Opened(secret) => {
                    connection.secret = Some(secret);
                    connection.welcome_by = Some(now + WELCOME);
                }
                link::Output::Message(message) => {
                    if let Err(Broken(text)) = self.message(message, now) {
                        self.violation(text, now);
                    }
                }
                link::Output::Ended(ended) => self.ended(ended, now),
            }
        }
    }

    /// Does what is due, and what has become possible.
    fn advance(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Over => return,
            Phase::Waiting { until } if *until <= now => {
                self.attempt = Attempt(self.attempt.0 + 1);
                self.phase = Phase::Connecting { deadline: now + CONNECT };
                self.outputs.push_back(Output::Connect(self.attempt));
            }
            Phase::Connecting { deadline } if *deadline <= now => {
                self.lost("the server does not answer".to_owned(), Duration::ZERO, now);
            }
            Phase::Linked(connection) if connection.welcome_by.is_some_and(|due| due <= now) => {
                self.violation("no welcome", now);
            }
            Phase::Linked(connection) if connection.link.poll_timeout().is_some_and(|due| due <= now) => {
                connection.link.handle(link::Input::Tick, now);
                self.drain(now);
            }
            Phase::Waiting { .. } | Phase::Connecting { .. } | Phase::Linked(_) => {}
        }
        if self.is_online() {
            self.ask_for_keys(now);
            self.sign(now);
            self.give_up_hope();
            self.refuse_outside();
            self.ask(now);
            self.flush();
            self.drain(now);
        }
        self.leave_if_done(now);
        if !matches!(self.phase, Phase::Over) && self.gives_up_at().is_some_and(|due| due <= now) {
            let reason = self.offline.take().map(|(_, reason)| reason);
            self.over(Outcome::GaveUp { reason: reason.unwrap_or_else(|| "the server does not answer".to_owned()) });
        }
    }

    fn leave_if_done(&mut self, now: Instant) {
        let Some(leaving) = self.leaving else { return };
        let done = self.outstanding() == 0
            && self.asks.is_empty()
            && !self.is_trusting()
            && self.rooms.values().all(Room::is_settled);
        if !done && leaving.until.is_none_or(|due| due > now) {
            return;
        }
        match &mut self.phase {
            Phase::Over => {}
            Phase::Linked(connection) if connection.bye => {}
            Phase::Linked(connection) if connection.link.is_open() => {
                connection.bye = true;
                connection.link.handle(link::Input::Close(CloseReason::new(CloseCode::Bye, "")), now);
                self.drain(now);
            }
            _ => self.over(Outcome::Left),
        }
    }
}

#[cfg(test)]
mod tests;
