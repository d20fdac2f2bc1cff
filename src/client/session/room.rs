//! A room as a client sees it: what it has of it, and how it comes to have the rest.

use std::collections::VecDeque;
use std::time::Instant;

use super::io::Seen;
use super::posts::Posts;
use super::sealed::Sealed;
use super::trust::Known;
use crate::model::{Incarnation, RoomName, Seq};
use crate::proto::message::{Body, Join, Joined, Position, Refused, Request, RequestId, Stored};

/// Most messages remembered, to be able to say what is withdrawn.
const SEEN: usize = 256;
/// How much of each.
const SEEN_CHARS: usize = 80;
/// Most messages in one answer, and most bytes of text in them; a server sends 256 KiB at once.
pub(super) const PARTS: usize = 20_000;
pub(super) const PARTS_BYTES: usize = 2 << 20;

#[derive(Debug)]
pub(super) struct Room {
    /// What was shown, up to here: in this session, or in an earlier one.
    have: Option<Position>,
    /// Nothing was shown in this session.
    fresh: bool,
    seen: VecDeque<Seen>,
    pub(super) entry: Entry,
    /// Whether the room was entered, or entering it was refused, at least once.
    pub(super) settled: bool,
    /// Entered at least once.
    pub(super) visited: bool,
    pub(super) posts: Posts,
    /// What it has beside any other, if what is said in it is sealed.
    pub(super) sealed: Option<Box<Sealed>>,
}

/// Where a session stands with a room on the present connection.
#[derive(Debug)]
pub(super) enum Entry {
    /// To be entered, not before this time.
    Outside(Option<Instant>),
    /// The server was asked.
    Asked(RequestId, Parts),
    /// Its messages come as they are said.
    Inside,
    /// The server said no.
    Refused,
}

/// Messages of an answer that is not complete.
#[derive(Debug, Default)]
pub(super) struct Parts {
    messages: Vec<Stored>,
    bytes: usize,
}

impl Parts {
    pub(super) fn push(&mut self, message: Stored) -> Result<(), Broken> {
        self.bytes += message.body.as_ref().map_or(0, Body::size);
        self.messages.push(message);
        if self.messages.len() > PARTS || self.bytes > PARTS_BYTES { Err(Broken("an endless answer")) } else { Ok(()) }
    }

    pub(super) fn last(&self) -> Option<Seq> {
        self.messages.last().map(|message| message.seq)
    }

    pub(super) fn take(&mut self) -> Vec<Stored> {
        self.bytes = 0;
        std::mem::take(&mut self.messages)
    }
}

/// The server did what no server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken(pub(super) &'static str);

/// What an answer to a join means.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// These were shown and never stored: all after this one.
    pub(super) withdrawn: Option<(Seq, Vec<Seen>)>,
    pub(super) gone: u64,
    pub(super) messages: Vec<Stored>,
    pub(super) caught_up: bool,
}

impl Room {
    /// A room of which nothing is known but what is remembered from other sessions.
    pub(super) fn new(name: RoomName, known: &Known) -> Self {
        let is_private = known.roster(name).is_some();
        let sealed = if is_private { Some(Sealed::private(name)) } else { name.is_direct().then(Sealed::default) };
        Self {
            sealed: sealed.map(Box::new),
            have: known.read(name),
            fresh: true,
            seen: VecDeque::new(),
            entry: Entry::Outside(None),
            settled: false,
            visited: false,
            posts: Posts::default(),
        }
    }

    /// The request that enters the room; `reads` is whether somebody is shown what was said there. Who only speaks there takes
    /// nothing of what was said: what the server has comes before the position that is given then, in the present incarnation.
    pub(super) fn join(
        &mut self,
        room: RoomName,
        id: RequestId,
        reads: bool,
        speaks_only: Option<Incarnation>,
    ) -> Vec<u8> {
        self.entry = Entry::Asked(id, Parts::default());
        if let Some(incarnation) = speaks_only.filter(|_| self.fresh) {
            self.have = Some(Position { incarnation, seq: Seq(u64::MAX) });
        }
        let backlog = self.fresh && self.have.is_some() && reads;
        Request::Join(Join { room, after: self.have, backlog }).encode(id)
    }

    /// Where a message stands that was shown, if it was.
    pub(super) fn position(&self, seq: Seq) -> Option<Position> {
        self.have.map(|have| Position { seq: seq.min(have.seq), ..have })
    }

    /// Whether this is the request that is to enter the room; not one of an earlier stay.
    pub(super) fn awaits(&self, id: RequestId) -> bool {
        matches!(self.entry, Entry::Asked(asked, _) if asked == id)
    }

    pub(super) fn disconnected(&mut self) {
        self.entry = Entry::Outside(None);
        self.posts.disconnected();
        if let Some(sealed) = &mut self.sealed {
            sealed.disconnected();
        }
    }

    pub(super) fn is_inside(&self) -> bool {
        matches!(self.entry, Entry::Inside)
    }

    /// Whether it was entered, or that was refused, and everything that came was told.
    pub(super) fn is_settled(&self) -> bool {
        self.settled && self.sealed.as_ref().is_none_or(|sealed| sealed.is_settled())
    }

    pub(super) fn not_joined(&mut self, refused: &Refused, now: Instant) {
        self.entry = if super::posts::may_pass(refused) {
            Entry::Outside(Some(now + super::posts::retry_after(refused)))
        } else {
            self.settled = true;
            Entry::Refused
        };
    }

    /// The answer to a join is complete. If it fits to nothing that was shown, that is forgotten, so that the next join
    /// begins anew.
    pub(super) fn joined(&mut self, answer: &Joined, incarnation: Incarnation) -> Result<Arrived, Broken> {
        let Entry::Asked(_, parts) = &mut self.entry else { return Err(Broken("an answer that nobody asked for")) };
        let messages = parts.take();
        let arrived = self.arrive(messages, answer, incarnation);
        if arrived.is_err() {
            self.have = None;
        }
        arrived
    }

    fn arrive(&mut self, messages: Vec<Stored>, answer: &Joined, incarnation: Incarnation) -> Result<Arrived, Broken> {
        let mut arrived = Arrived { caught_up: answer.caught_up, ..Arrived::default() };
        let mut from = match (self.have, answer.withdrawn_after) {
            (None, _) => None,
            (Some(have), None) => Some(have.seq),
            (Some(have), Some(after)) => {
                if have.seq > after {
                    arrived.withdrawn = Some((after, self.withdraw(after)));
                }
                Some(have.seq.min(after))
            }
        };
        if let Some(from) = &mut from {
            *from = Seq(from.0.saturating_add(answer.gone));
            arrived.gone = answer.gone;
        }
        if self.fresh
            && answer.gone == 0
            && let (Some(from), Some(first)) = (&mut from, messages.first())
        {
            // What was said last may begin before what was missed.
            *from = (*from).min(Seq(first.seq.0.saturating_sub(1)));
        }
        for message in &messages {
            if from.is_some_and(|from| message.seq != from.next()) {
                return Err(Broken("messages are missing from an answer"));
            }
            from = Some(message.seq);
        }
        if from.is_some_and(|from| from != answer.last) {
            return Err(Broken("the last messages are missing from an answer"));
        }
        if messages.is_empty() && !answer.caught_up {
            return Err(Broken("an answer that leads nowhere"));
        }
        self.have = Some(Position { incarnation, seq: answer.last });
        self.fresh = false;
        for message in &messages {
            self.remember(message);
        }
        arrived.messages = messages;
        self.entry = if answer.caught_up { Entry::Inside } else { Entry::Outside(None) };
        self.settled |= answer.caught_up;
        Ok(arrived)
    }

    /// A message as it is said. Whether it is a new one; or an error if some before it are missing.
    pub(super) fn said(&mut self, message: &Stored, incarnation: Incarnation) -> Result<bool, Broken> {
        let Entry::Inside = self.entry else { return Ok(false) };
        let have = self.have.map_or(Seq(0), |have| have.seq);
        if message.seq <= have {
            return Ok(false);
        }
        if message.seq != have.next() {
            return Err(Broken("messages are missing"));
        }
        self.have = Some(Position { incarnation, seq: message.seq });
        self.remember(message);
        Ok(true)
    }

    fn remember(&mut self, message: &Stored) {
        if self.seen.len() == SEEN {
            self.seen.pop_front();
        }
        let text = message.body.as_ref().map_or("", |body| body.text()).chars().take(SEEN_CHARS).collect();
        self.seen.push_back(Seen { seq: message.seq, message: message.message, sender: message.sender, text });
    }

    fn withdraw(&mut self, after: Seq) -> Vec<Seen> {
        let at = self.seen.partition_point(|seen| seen.seq <= after);
        self.seen.split_off(at).into()
    }
}
