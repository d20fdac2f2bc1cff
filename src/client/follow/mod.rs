//! Following rooms: what is said from some place on, each message once and in the order of its room.
//!
//! [`Follower`] decides what is to be handed out, from the events of a session whose purpose that is. It does no input or
//! output; [`cursor`] keeps the place from one run to the next.

pub mod cursor;

use std::collections::BTreeMap;

use crate::client::session::{Answer, Arrival, Ask, Event, Said, Until, Visit};
use crate::model::{Incarnation, RoomName, Seq, Timestamp};
use crate::proto::message::{Position, Refused};

/// Most messages from before the start, of one room, and most bytes of text in them.
const BEFORE: usize = 100_000;
const BEFORE_BYTES: usize = 64 << 20;

/// Where to begin in a room of which nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what is said from now on.
    Now,
    /// With the last ones: so many.
    Last(u32),
    /// With what the server got at this time, or after it.
    Since(Timestamp),
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Hand this out.
    Hand(Said),
    /// A room's place is this, without anything to hand out.
    Begin(RoomName, Position),
    /// The server has lost what came after this place.
    Withdraw(RoomName, Position),
    /// Ask the server.
    Ask(Ask),
    /// The server does not let the user follow there.
    Refused(RoomName, Refused),
    /// More was said in a room than can be kept at once.
    TooMuch(RoomName),
    /// Tell that: nothing is handed out for it.
    Tell(Event),
}

/// Follows rooms.
#[derive(Debug)]
pub struct Follower {
    start: Start,
    incarnation: Option<Incarnation>,
    rooms: BTreeMap<RoomName, Place>,
}

/// Where it is in a room.
#[derive(Debug)]
enum Place {
    /// All that comes is new.
    Following,
    /// What was said since the start is asked for, page by page, backwards.
    Before {
        /// The latest page first.
        pages: Vec<Vec<Said>>,
        count: usize,
        bytes: usize,
        /// What is said meanwhile.
        live: Vec<Said>,
    },
}

impl Follower {
    /// Follows from these places on, and begins at `start` in other rooms.
    #[must_use]
    pub fn new(from: &BTreeMap<RoomName, Position>, start: Start) -> Self {
        Self { start, incarnation: None, rooms: from.keys().map(|room| (*room, Place::Following)).collect() }
    }

    /// The place of a message, for whoever comes back.
    #[must_use]
    pub fn position(&self, seq: Seq) -> Option<Position> {
        self.incarnation.map(|incarnation| Position { incarnation, seq })
    }

    /// What follows from an event.
    pub fn event(&mut self, event: Event) -> Vec<Step> {
        match event {
            Event::Online(welcome) => {
                self.incarnation = Some(welcome.incarnation);
                Vec::new()
            }
            Event::Message { message, arrival, seal, .. } => {
                let said = Said { message, seal };
                match self.rooms.get_mut(&said.message.room) {
                    Some(Place::Following) if arrival != Arrival::Backlog => vec![Step::Hand(said)],
                    Some(Place::Before { live, .. }) => {
                        live.push(said);
                        Vec::new()
                    }
                    // What was said before a room is entered for the first time is asked for then.
                    Some(Place::Following) | None => Vec::new(),
                }
            }
            Event::Entered { info, visit: Visit::First } => self.enter(info.room, info.last),
            Event::Entered { info, visit: Visit::Return } if !self.rooms.contains_key(&info.room) => {
                self.enter(info.room, info.last)
            }
            Event::Answered { ask: Ask::History { room, .. }, answer } => match answer {
                Ok(Answer::History { messages, more }) => self.page(room, messages, more),
                Ok(_) => Vec::new(),
                Err(refused) => vec![Step::Refused(room, refused)],
            },
            Event::Withdrawn { room, after, .. } => {
                let back = self.position(after).map(|position| Step::Withdraw(room, position));
                back.into_iter().chain([Step::Tell(event)]).collect()
            }
            Event::NotEntered { room, refused } => {
                self.rooms.remove(&room);
                vec![Step::Refused(room, refused)]
            }
            Event::Left { room } => {
                self.rooms.remove(&room);
                Vec::new()
            }
            Event::Membership(ref membership) => {
                if !membership.member {
                    self.rooms.remove(&membership.room);
                }
                vec![Step::Tell(event)]
            }
            Event::Entered { .. }
            | Event::Presence(_)
            | Event::Acted(_)
            | Event::Receipt(_)
            | Event::Preferred(_)
            | Event::Pending { .. }
            | Event::Accepted { .. }
            | Event::Delayed { .. }
            | Event::Refused { .. }
            | Event::Undelivered { .. }
            | Event::Answered { .. } => Vec::new(),
            Event::Offline { .. }
            | Event::Withheld { .. }
            | Event::Repeated { .. }
            | Event::KeyChanged { .. }
            | Event::Trusted { .. }
            | Event::Missed { .. }
            | Event::BeforeYou { .. }
            | Event::ShutOut { .. }
            | Event::BadRoster { .. }
            | Event::Notice(_) => vec![Step::Tell(event)],
        }
    }

    /// A room is entered of which nothing is known.
    fn enter(&mut self, room: RoomName, last: Seq) -> Vec<Step> {
        let limit = match self.start {
            Start::Now => {
                self.rooms.insert(room, Place::Following);
                return self.position(last).map(|position| Step::Begin(room, position)).into_iter().collect();
            }
            Start::Last(count) => Some(count),
            Start::Since(_) => None,
        };
        self.rooms.insert(room, Place::Before { pages: Vec::new(), count: 0, bytes: 0, live: Vec::new() });
        vec![Step::Ask(Ask::History { room, until: Until::Latest, limit })]
    }

    /// Earlier messages of a room, oldest first.
    fn page(&mut self, room: RoomName, messages: Vec<Said>, more: bool) -> Vec<Step> {
        let Some(Place::Before { pages, count, bytes, .. }) = self.rooms.get_mut(&room) else { return Vec::new() };
        *count += messages.len();
        *bytes += messages.iter().filter_map(|said| Some(said.message.body.as_ref()?.size())).sum::<usize>();
        let first = messages.first().map(|said| (said.message.seq, said.message.time));
        pages.push(messages);
        let (is_enough, limit) = match self.start {
            Start::Now => (true, None),
            Start::Last(wanted) => {
                let missing = usize::try_from(wanted).unwrap_or(usize::MAX).saturating_sub(*count);
                (missing == 0, u32::try_from(missing).ok())
            }
            Start::Since(since) => (first.is_none_or(|(_, time)| time < since), None),
        };
        if let Some((seq, _)) = first.filter(|_| more && !is_enough) {
            if *count > BEFORE || *bytes > BEFORE_BYTES {
                return vec![Step::TooMuch(room)];
            }
            return vec![Step::Ask(Ask::History { room, until: Until::Before(seq), limit })];
        }
        let Some(Place::Before { pages, live, .. }) = self.rooms.insert(room, Place::Following) else {
            return Vec::new();
        };
        let is_due = |said: &Said| match self.start {
            Start::Since(since) => said.message.time >= since,
            Start::Now | Start::Last(_) => true,
        };
        let before = pages.into_iter().rev().flatten().filter(is_due);
        let mut last = Seq(0);
        let mut steps = Vec::new();
        for said in before.chain(live) {
            if said.message.seq > last {
                last = said.message.seq;
                steps.push(Step::Hand(said));
            }
        }
        steps
    }
}

#[cfg(test)]
mod tests;
