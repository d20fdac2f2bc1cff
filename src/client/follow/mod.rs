//! Following rooms: what is said from some place on, each message once and in the order of its room.
//!
//! [`Follower`] decides what is to be handed out, from the events of a session whose purpose that is. It does no input or
//! output; [`cursor`] keeps the place from one run to the next.
//!
//! Messages of a room are numbered without gaps. So whatever the session brings that is not the next one is not kept but asked
//! for, page by page, from the place on: nothing has to be remembered meanwhile, however much there is.

pub mod cursor;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::client::session::{Answer, Ask, Event, Said, Seal, Unreadable, Until};
use crate::model::{Incarnation, RoomName, Seq, Timestamp};
use crate::proto::message::{Membership, Position, Refused};

/// Questions to the server that are not answered, at most.
const ASKED: usize = 8;

/// Where to begin in a room of which nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the last ones of what the server had before the first connection: so many.
    Last(u32),
    /// With what the server got so long before the first connection, or after that.
    Ago(Duration),
    /// With what the server got at this time, or after it.
    Since(Timestamp),
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Hand this out; its place.
    Hand(Said, Position),
    /// A room's place is this, without anything to hand out.
    Begin(RoomName, Position),
    /// The server has lost what came after this place.
    Withdraw(RoomName, Position),
    /// Ask the server.
    Ask(Ask),
    /// The server does not let the user follow there, or no longer.
    Refused(RoomName, Option<Refused>),
    /// Tell that: nothing is handed out for it.
    Tell(Event),
}

/// Follows rooms.
#[derive(Debug)]
pub struct Follower {
    start: Start,
    /// What the start means, by the server's clock: known from the first connection on.
    since: Timestamp,
    incarnation: Incarnation,
    /// How many messages the server gives at once.
    page: u64,
    rooms: BTreeMap<RoomName, Place>,
    asked: usize,
    /// Rooms of which there is more to ask.
    waiting: VecDeque<RoomName>,
}

/// Where it is in a room.
#[derive(Debug)]
enum Place {
    /// All up to here was handed out, or is of no interest.
    Following { last: Seq },
    /// There is more, up to here, and it is asked for.
    Behind { last: Seq, until: Seq },
    /// The first message of interest is looked for between these, by its time: it is behind `low`, and at `high` or before
    /// that; and all up to `until` is there.
    Searching { low: Seq, high: Seq, until: Seq },
}

impl Follower {
    /// Follows from these places on, and begins at `start` in other rooms.
    #[must_use]
    pub fn new(from: &BTreeMap<RoomName, Position>, start: Start) -> Self {
        let rooms = from.iter().map(|(room, position)| (*room, Place::Following { last: position.seq }));
        Self {
            start,
            since: Timestamp(u64::MAX),
            incarnation: Incarnation(0),
            page: 1,
            rooms: rooms.collect(),
            asked: 0,
            waiting: VecDeque::new(),
        }
    }

    /// From when on what is said is of interest, in rooms of which nothing is known.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.since
    }

    fn position(&self, seq: Seq) -> Position {
        Position { incarnation: self.incarnation, seq }
    }

    /// What follows from an event.
    pub fn event(&mut self, event: Event) -> Vec<Step> {
        let mut steps = self.take(event);
        while self.asked < ASKED
            && let Some(room) = self.waiting.pop_front()
        {
            if let Some(ask) = self.ask(room) {
                self.asked += 1;
                steps.push(Step::Ask(ask));
            }
        }
        steps
    }

    fn take(&mut self, event: Event) -> Vec<Step> {
        match event {
            Event::Online(welcome) => {
                self.incarnation = welcome.incarnation;
                self.page = u64::from(welcome.history_limit).max(1);
                if self.since == Timestamp(u64::MAX) {
                    self.since = match self.start {
                        Start::Last(_) => welcome.time,
                        Start::Since(time) => time,
                        Start::Ago(time) => {
                            let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                            Timestamp(welcome.time.0.saturating_sub(millis))
                        }
                    };
                }
                Vec::new()
            }
            Event::Message { message, seal, .. } => self.said(Said { message, seal }),
            Event::Entered { info, .. } => self.entered(info.room, info.last),
            Event::Answered { ask: Ask::History { room, until, .. }, answer } => {
                self.asked = self.asked.saturating_sub(1);
                match answer {
                    Ok(Answer::History { messages, more }) => self.page(room, until, messages, more),
                    Ok(_) => Vec::new(),
                    Err(refused) => vec![Step::Refused(room, Some(refused))],
                }
            }
            Event::Withdrawn { room, after, .. } => {
                if let Some(Place::Following { last } | Place::Behind { last, .. }) = self.rooms.get_mut(&room) {
                    *last = after.min(*last);
                }
                vec![Step::Withdraw(room, self.position(after)), Step::Tell(event)]
            }
            Event::NotEntered { room, refused } => vec![Step::Refused(room, Some(refused))],
            Event::Left { room } => vec![Step::Refused(room, None)],
            Event::Membership(Membership { room, member: false, .. }) => {
                vec![Step::Tell(event), Step::Refused(room, None)]
            }
            // What is really gone shows when it is asked for.
            Event::Missed { .. }
            | Event::BeforeYou { .. }
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
            | Event::Membership(_)
            | Event::Withheld { .. }
            | Event::Repeated { .. }
            | Event::KeyChanged { .. }
            | Event::Trusted { .. }
            | Event::ShutOut { .. }
            | Event::BadRoster { .. }
            | Event::Notice(_) => vec![Step::Tell(event)],
        }
    }

    fn said(&mut self, said: Said) -> Vec<Step> {
        let (room, seq) = (said.message.room, said.message.seq);
        match self.rooms.get_mut(&room) {
            Some(Place::Following { last }) if seq == last.next() => {
                *last = seq;
                return vec![Step::Hand(said, self.position(seq))];
            }
            Some(place @ Place::Following { .. }) => {
                if let Place::Following { last } = *place
                    && seq > last
                {
                    *place = Place::Behind { last, until: seq };
                    self.waiting.push_back(room);
                }
            }
            Some(Place::Behind { until, .. } | Place::Searching { until, .. }) => *until = seq.max(*until),
            // It is entered first.
            None => {}
        }
        Vec::new()
    }

    /// All that was said in a room up to now is there.
    fn entered(&mut self, room: RoomName, all: Seq) -> Vec<Step> {
        match self.rooms.get_mut(&room) {
            Some(place @ Place::Following { .. }) => {
                if let Place::Following { last } = *place
                    && all > last
                {
                    *place = Place::Behind { last, until: all };
                    self.waiting.push_back(room);
                }
                Vec::new()
            }
            Some(Place::Behind { until, .. } | Place::Searching { until, .. }) => {
                *until = all.max(*until);
                Vec::new()
            }
            None if all == Seq(0) => self.begin(room, all, all),
            // Also for the last ones: in a room that is entered later, what is new is told by its time.
            None => {
                self.rooms.insert(room, Place::Searching { low: Seq(0), high: all.next(), until: all });
                self.waiting.push_back(room);
                Vec::new()
            }
        }
    }

    /// What is of interest in a room comes behind `last`.
    fn begin(&mut self, room: RoomName, last: Seq, until: Seq) -> Vec<Step> {
        if until > last {
            self.rooms.insert(room, Place::Behind { last, until });
            self.waiting.push_back(room);
        } else {
            self.rooms.insert(room, Place::Following { last });
        }
        vec![Step::Begin(room, self.position(last))]
    }

    /// What is to be asked of a room.
    fn ask(&self, room: RoomName) -> Option<Ask> {
        let (before, limit) = match *self.rooms.get(&room)? {
            Place::Following { .. } => return None,
            // The next page, as if there were nothing behind it.
            Place::Behind { last, until } => (Seq(last.0.saturating_add(self.page).min(until.0)).next(), self.page),
            // The last one first: mostly nothing is of interest.
            Place::Searching { low: Seq(0), high, until } if high > until => (high, 1),
            Place::Searching { low, high, .. } => (Seq(low.0.midpoint(high.0)).next(), 1),
        };
        let limit = Some(u32::try_from(limit).unwrap_or(u32::MAX));
        Some(Ask::History { room, until: Until::Before(before), limit })
    }

    /// What was asked of a room.
    fn page(&mut self, room: RoomName, until: Until, messages: Vec<Said>, more: bool) -> Vec<Step> {
        let Until::Before(Seq(before)) = until else { return Vec::new() };
        let asked_to = Seq(before.saturating_sub(1));
        match self.rooms.get_mut(&room) {
            Some(Place::Searching { low, high, until }) => {
                match messages.last() {
                    Some(said) if said.message.time >= self.since => *high = said.message.seq,
                    // What is gone was before it.
                    _ => *low = asked_to,
                }
                let (low, high, until) = (*low, *high, *until);
                if low.next() >= high {
                    let before = if let Start::Last(count) = self.start { count } else { 0 };
                    return self.begin(room, Seq(high.0.saturating_sub(1).saturating_sub(before.into())), until);
                }
                self.waiting.push_back(room);
                Vec::new()
            }
            Some(Place::Behind { last, until }) => {
                let mut steps = Vec::new();
                let (before, until) = (*last, *until);
                if more && messages.first().is_some_and(|first| first.message.seq > before.next()) {
                    // They were too long to come all at once: these are the last ones of the page.
                    self.page = u64::try_from(messages.len()).unwrap_or(1);
                    self.waiting.push_back(room);
                    return steps;
                }
                let mut next = before.next();
                let mut gone = 0;
                for said in messages.into_iter().filter(|said| said.message.seq > before) {
                    let seq = said.message.seq;
                    gone += seq.0.saturating_sub(next.0);
                    next = seq.next();
                    // What was said while the user was not in the private room is nothing that he missed.
                    if said.seal == Seal::Unreadable(Unreadable::NotThen) {
                        continue;
                    }
                    if gone > 0 {
                        steps.push(Step::Tell(Event::Missed { room, gone: std::mem::take(&mut gone) }));
                    }
                    let position = Position { incarnation: self.incarnation, seq };
                    steps.push(Step::Hand(said, position));
                }
                gone += asked_to.next().0.saturating_sub(next.0);
                if gone > 0 {
                    steps.push(Step::Tell(Event::Missed { room, gone }));
                }
                *last = asked_to.max(before);
                let last = *last;
                if last >= until {
                    self.rooms.insert(room, Place::Following { last });
                } else {
                    self.waiting.push_back(room);
                }
                steps
            }
            Some(Place::Following { .. }) | None => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
