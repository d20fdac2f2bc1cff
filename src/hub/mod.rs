//! Who is connected, what is said, who gets it: one state machine for the whole server, without input or output.
//!
//! # The run loop
//!
//! The shell owns the sockets, the clock and the database, and calls, under one lock:
//!
//! ```text
//! loop {
//!     hub.handle(input, now, wall);               // something happened
//!     while let Some(output) = hub.poll() { .. }  // do what follows from it, in this order
//!     wait until hub.poll_timeout(), or for input // then: Input::Tick
//! }
//! ```
//!
//! - [`Hub::handle`] takes one input. `now` never goes back; `wall` is what the clock on the wall shows, and may.
//!   Several inputs may be handled before the outputs are fetched.
//! - [`Hub::poll`] gives the outputs, oldest first, and `None` when there are none until the next input. Their order is
//!   part of the contract, for each session and room and for the store: whoever fetches them under the lock also queues
//!   them under it.
//! - [`Hub::poll_timeout`] says when [`Input::Tick`] is due, if nothing else happens before. It may change with every
//!   input.
//!
//! Work that happens elsewhere is an output with a [`StoreToken`], its answer an input with that token; an answer that
//! nobody waits for any more is ignored, and so is everything from a session that is gone or was told to close.
//!
//! # Fan-out
//!
//! A message to a room is one output however many are in it. The shell keeps, for each of its threads, which of its own
//! sessions are in which room: [`Output::Enter`] adds one, [`Output::Exit`] and the connection's end remove it. A session gets
//! the [`Output::ToRoom`]s that come between the two, and no others.
//!
//! # What it never does
//!
//! It touches no socket, file, thread, lock, clock or random generator, and never takes a step whose time grows with the number of members of a room, but for closing them all at a shutdown.
//! It allocates nothing without a bound that holds whatever peers do: see the constants here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::journal::{Restored, StoreEvent};
use crate::model::{Incarnation, MessageId, RoomName, Seq, SessionId, StoreToken, Timestamp, UserName};
use crate::proto::message::{ServerMessage, Status};

mod changes;
mod direct;
mod invariants;
mod invitations;
mod io;
mod limits;
mod posts;
mod presence;
mod private;
mod reading;
mod records;
mod requests;
mod rights;
mod rooms;
mod sanctions;
mod sealed;
mod sessions;
mod shutdown;
mod status;

pub use invitations::Invitation;
pub use io::{ConsoleCommand, Creation, Input, LogEvent, Output, Settings};
pub use records::Record;

use changes::Changing;
use posts::Pending;
use reading::Reading;
use rooms::Room;
use sanctions::Sanctions;
use sealed::KeyReading;
use sessions::{Session, User};
use shutdown::Phase;

/// Most bytes of messages in one answer to a join or history request; the first is sent whatever its length.
pub const PAGE_BYTES: usize = 256 << 10;
/// Most bytes of a room's messages kept in memory; the last one is, whatever its length.
pub const WINDOW_BYTES: usize = PAGE_BYTES;
/// Most posts of one user, over all of the user's sessions, that wait for the store; more are refused.
pub const UNACKNOWLEDGED: u32 = 256;
/// Most people named in the answer to a people request, and lines about users on the operator's terminal.
pub const PEOPLE: usize = 1000;
/// Rooms with more users than this send no presence events.
pub const PRESENCE_USERS: usize = 500;
/// Rooms that a user may be a member of, beside those that everyone is in.
pub const ROOMS_PER_USER: usize = 48;
/// How long changes of presence are gathered before they are sent together.
pub const PRESENCE_DELAY: Duration = Duration::from_millis(250);
/// How long a shutdown waits for the store to take what was posted, before it closes the sessions regardless.
pub const DRAIN: Duration = Duration::from_secs(2);

/// When an input is handled: by the clock that never goes back, and by the one on the wall.
#[derive(Debug, Clone, Copy)]
struct At {
    now: Instant,
    wall: Timestamp,
}

/// The state machine; see the [module](self) for its contract.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
    incarnation: Incarnation,
    users: HashMap<UserName, User>,
    /// Users with sessions.
    online: BTreeSet<UserName>,
    sessions: HashMap<SessionId, Session>,
    /// Sessions that were told to close and are not gone yet.
    closing: HashSet<SessionId>,
    rooms: HashMap<RoomName, Room>,
    /// The rooms of which each user is a member, whether registered or not; those that everyone is in not counted.
    memberships: HashMap<UserName, BTreeSet<RoomName>>,
    /// The direct rooms of each user, registered or not.
    directs: HashMap<UserName, BTreeSet<RoomName>>,
    /// Who may not come to the server.
    banned: Sanctions,
    /// What users say of themselves, registered or not; nothing for those who are simply online.
    statuses: HashMap<UserName, Status>,
    /// When that ends, and when the first of it is looked at.
    status_ends: BTreeSet<(Timestamp, UserName)>,
    status_due: Option<Instant>,
    /// What the store has not answered yet, in the order in which it was asked.
    pending: BTreeMap<StoreToken, Pending>,
    /// Changes that the store has not written yet.
    changing: BTreeMap<StoreToken, Changing>,
    /// Pages that the store has not given yet.
    readings: BTreeMap<StoreToken, Reading>,
    key_readings: BTreeMap<StoreToken, KeyReading>,
    /// Finds in `pending` what is under way already when it is posted again.
    in_flight: HashMap<(UserName, MessageId), StoreToken>,
    store_failing: bool,
    phase: Phase,
    /// When the gathered changes of presence are sent, and for which rooms there are some.
    presence_due: Option<Instant>,
    presence_rooms: BTreeSet<RoomName>,
    next_token: u64,
    /// How many sessions were ever opened: orders a user's sessions by age.
    opened: u64,
    outputs: VecDeque<Output>,
    steps: u64,
}

impl Hub {
    /// A server without users, which remembers what was said before. Users come as [`Input::Registered`].
    #[must_use]
    pub fn new(settings: Settings, restored: Restored) -> Self {
        // A direct room in which nothing was said is none; there may be a sender key for it.
        let begun = restored.rooms.into_iter().filter(|room| !room.room.is_direct() || room.last > Seq(0));
        let mut rooms: HashMap<RoomName, Room> =
            begun.map(|room| (room.room, Room::restore(room, settings.history_limit))).collect();
        for name in &settings.default_rooms {
            let room = rooms.entry(*name).or_default();
            room.is_everyones = true;
            // From the time when it was another one's.
            room.members.clear();
        }
        let statuses: HashMap<UserName, Status> = restored
            .statuses
            .iter()
            .filter_map(|(user, status)| Some((*user, Status::from_cbor(status).ok()?)))
            .collect();
        let status_ends = statuses.iter().filter_map(|(user, status)| Some((status.until?, *user))).collect();
        let mut memberships: HashMap<UserName, BTreeSet<RoomName>> = HashMap::new();
        let mut directs: HashMap<UserName, BTreeSet<RoomName>> = HashMap::new();
        for (name, room) in &rooms {
            let of = if room.is_direct { &mut directs } else { &mut memberships };
            for user in &room.members {
                of.entry(*user).or_default().insert(*name);
            }
        }
        Self {
            settings,
            incarnation: restored.incarnation,
            users: HashMap::new(),
            online: BTreeSet::new(),
            sessions: HashMap::new(),
            closing: HashSet::new(),
            rooms,
            memberships,
            directs,
            banned: Sanctions::restore(restored.banned),
            statuses,
            status_ends,
            status_due: None,
            pending: BTreeMap::new(),
            changing: BTreeMap::new(),
            readings: BTreeMap::new(),
            key_readings: BTreeMap::new(),
            in_flight: HashMap::new(),
            store_failing: false,
            phase: Phase::Running,
            presence_due: None,
            presence_rooms: BTreeSet::new(),
            next_token: 0,
            opened: 0,
            outputs: VecDeque::new(),
            steps: 0,
        }
    }

    /// Takes one input. Fetch the outputs with [`Hub::poll`] afterwards, and look at [`Hub::poll_timeout`] anew.
    pub fn handle(&mut self, input: Input, now: Instant, wall: Timestamp) {
        if self.phase == Phase::Stopped {
            return;
        }
        let at = At { now, wall };
        if self.status_due.is_none_or(|due| due <= now) {
            self.status_timer(at);
        }
        self.presence_timer(at);
        match input {
            Input::Registered { user, fingerprint, spki } => self.registered(user, fingerprint, spki, at),
            Input::Unregistered { user } => self.unregistered(user, at),
            Input::Opened { session, user, fingerprint, client } => {
                self.opened(session, user, fingerprint, &client, at);
            }
            Input::Request { session, id, request } => self.request(session, id, request, at),
            Input::Invited(invitation, token) => self.invited(&invitation, token, at),
            Input::Gone { session } => self.gone(session, at),
            Input::Store(StoreEvent::Stored { tokens }) => self.stored(&tokens, at),
            Input::Store(StoreEvent::Found { token, place }) => self.found(token, place, at),
            Input::Store(StoreEvent::Page { token, records, more }) => self.page(token, records, more, at),
            Input::Store(StoreEvent::Keys { token, keys }) => self.kept_keys(token, keys, at),
            Input::Store(StoreEvent::Roster { token, statements }) => self.kept_roster(token, statements, at),
            Input::Store(StoreEvent::Failing { text }) => self.store_fails(text),
            Input::Store(StoreEvent::Recovered) => self.store_recovers(),
            Input::Console(command) => self.console(&command, at),
            Input::Shutdown { reason } => self.begin_shutdown(reason, at),
            Input::Tick => {}
        }
        self.proceed_with_shutdown(at);
        self.debug_check();
    }

    /// The next thing to do, or `None` until the next input.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Tick`] is due, if at all.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let presence = self.presence_due.filter(|_| self.phase != Phase::Stopped);
        let status = self.status_due.filter(|_| self.phase == Phase::Running);
        [presence, status, self.phase.timeout()].into_iter().flatten().min()
    }

    fn send(&mut self, session: SessionId, message: &ServerMessage) {
        self.send_bytes(session, message.encode());
    }

    fn send_bytes(&mut self, session: SessionId, bytes: Vec<u8>) {
        self.outputs.push_back(Output::To { session, bytes: Arc::from(bytes) });
    }

    fn log(&mut self, event: LogEvent) {
        self.outputs.push_back(Output::Log(event));
    }

    /// Checks what must hold between inputs; its cost grows with all that the hub knows, so that a crowded hub is
    /// checked less often.
    fn debug_check(&mut self) {
        if cfg!(debug_assertions) {
            self.steps = self.steps.wrapping_add(1);
            let size = self.users.len() + self.sessions.len() + self.pending.len();
            if self.steps.is_multiple_of(1 + size as u64 / 64) {
                let checked = self.check_invariants();
                debug_assert_eq!(checked, Ok(()));
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
