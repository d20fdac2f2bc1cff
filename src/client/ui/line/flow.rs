//! In which order things appear on a terminal, and when.
//!
//! Everyone sees messages in the order of the room. The user's own one is shown when it is on the server's disk, which
//! is a moment after others could see it; what comes behind it waits for that. If it takes longer than a moment, the
//! message is shown as pending, what waits goes on, and it is shown again when it is stored.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::client::session::Event;
use crate::model::{MessageId, Timestamp};
use crate::proto::message::Body;

/// What was said may take so long to be stored before it is shown as pending.
const MOMENT: Duration = Duration::from_millis(400);
/// Most events that wait for that.
const WAITING: usize = 1024;

/// Something to show.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Event(Event),
    /// The user's own message, stored after it was shown as pending, or not delivered here in the usual way.
    Own(Timestamp, Body),
    /// The user's own message, not stored yet.
    Pending(Body),
    /// So many came that only the history has the first of them.
    Skipped(usize),
}

#[derive(Debug, Default)]
pub(super) struct Flow {
    waiting: VecDeque<Shown>,
    skipped: usize,
    own: Vec<Own>,
}

/// A message of the user's that is not stored.
#[derive(Debug)]
struct Own {
    id: MessageId,
    body: Body,
    since: Instant,
    // It was shown as pending.
    shown: bool,
}

impl Flow {
    /// How many of the user's messages are not stored.
    pub(super) fn unstored(&self) -> usize {
        self.own.len()
    }

    pub(super) fn push(&mut self, event: Event, now: Instant) {
        match event {
            Event::Pending { id, body, .. } => self.own.push(Own { id, body, since: now, shown: false }),
            Event::Accepted { id, time, .. } => {
                if let Some(at) = self.own.iter().position(|own| own.id == id) {
                    let own = self.own.remove(at);
                    let waits = self.waiting.iter().any(|shown| is_message(shown, id));
                    if !waits {
                        self.waiting.push_back(Shown::Own(time, own.body));
                    }
                }
            }
            Event::Message { ref message, .. } if self.find(message.message).is_some_and(|own| own.shown) => {}
            event => {
                if let Event::Refused { id, .. } | Event::Undelivered { id, .. } = &event {
                    self.forget(*id);
                }
                self.waiting.push_back(Shown::Event(event));
            }
        }
    }

    /// A message of the user's will not be stored.
    pub(super) fn forget(&mut self, id: MessageId) {
        self.own.retain(|own| own.id != id);
    }

    /// Keeps only the latest of those that wait: so many, and so many bytes of text in them.
    pub(super) fn keep(&mut self, most: usize, bytes: usize) {
        let mut sum = 0;
        let fits = |shown: &&Shown| {
            sum += text_bytes(shown);
            sum <= bytes
        };
        let kept = self.waiting.iter().rev().take(most).take_while(fits).count();
        let skipped = self.waiting.len() - kept;
        self.waiting.drain(..skipped);
        self.skipped += skipped;
    }

    /// The next thing to show now.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Shown> {
        let full = self.waiting.len() > WAITING;
        let due = |own: &Own| !own.shown && (full || own.since + MOMENT <= now);
        if let Some(own) = self.own.iter_mut().find(|own| due(own)) {
            own.shown = true;
            let (id, body) = (own.id, own.body.clone());
            self.waiting.retain(|shown| !is_message(shown, id));
            return Some(Shown::Pending(body));
        }
        if self.skipped > 0 {
            return Some(Shown::Skipped(std::mem::take(&mut self.skipped)));
        }
        match self.waiting.front()? {
            Shown::Event(Event::Message { message, .. }) if self.find(message.message).is_some() => None,
            _ => self.waiting.pop_front(),
        }
    }

    /// When to poll again, if nothing happens before.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.own.iter().filter(|own| !own.shown).map(|own| own.since + MOMENT).min()
    }

    fn find(&self, id: MessageId) -> Option<&Own> {
        self.own.iter().find(|own| own.id == id)
    }
}

fn text_bytes(shown: &Shown) -> usize {
    match shown {
        Shown::Event(Event::Message { message, .. }) => message.body.as_ref().map_or(0, |body| body.text().len()),
        Shown::Event(_) | Shown::Skipped(_) => 0,
        Shown::Own(_, body) | Shown::Pending(body) => body.text().len(),
    }
}

fn is_message(shown: &Shown, id: MessageId) -> bool {
    matches!(shown, Shown::Event(Event::Message { message, .. }) if message.message == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::session::{Arrival, Seal};
    use crate::model::{RoomName, Seq};
    use crate::proto::message::Stored;

    fn text(text: &str) -> Body {
        Body::Text { text: text.to_owned() }
    }

    fn id(number: u8) -> MessageId {
        MessageId([number; 16])
    }

    fn pending(number: u8) -> Event {
        Event::Pending { id: id(number), room: RoomName::lobby(), body: text("mine") }
    }

    fn accepted(number: u8) -> Event {
        Event::Accepted { id: id(number), room: RoomName::lobby(), seq: Seq(1), time: Timestamp(5) }
    }

    fn message(number: u8) -> Event {
        let message = Stored {
            room: RoomName::lobby(),
            seq: Seq(u64::from(number)),
            time: Timestamp(5),
            sender: "alice".parse().unwrap(),
            message: id(number),
            body: Some(text("mine")),
        };
        Event::Message { message, arrival: Arrival::Live, own: true, seal: Seal::Open }
    }

    fn all(flow: &mut Flow, now: Instant) -> Vec<Shown> {
        std::iter::from_fn(|| flow.poll(now)).collect()
    }

    #[test]
    fn what_comes_behind_an_own_message_waits_until_that_is_stored() {
        let (mut flow, now) = (Flow::default(), Instant::now());
        for event in [pending(1), message(1), message(2)] {
            flow.push(event, now);
        }
        assert_eq!(all(&mut flow, now), []);
        assert_eq!(flow.poll_timeout(), Some(now + MOMENT));
        flow.push(accepted(1), now);
        assert_eq!(all(&mut flow, now), [Shown::Event(message(1)), Shown::Event(message(2))]);
        assert_eq!((flow.poll_timeout(), flow.unstored()), (None, 0));
    }

    #[test]
    fn after_a_moment_it_is_pending_and_the_rest_goes_on() {
        let (mut flow, now) = (Flow::default(), Instant::now());
        for event in [pending(1), message(1), message(2)] {
            flow.push(event, now);
        }
        let later = now + MOMENT;
        assert_eq!(all(&mut flow, later), [Shown::Pending(text("mine")), Shown::Event(message(2))]);
        flow.push(accepted(1), later);
        assert_eq!(all(&mut flow, later), [Shown::Own(Timestamp(5), text("mine"))]);
    }

    #[test]
    fn a_message_that_is_typed_without_a_connection_is_shown_once_as_pending_and_once_as_stored() {
        let (mut flow, now) = (Flow::default(), Instant::now());
        flow.push(pending(1), now);
        let later = now + MOMENT;
        assert_eq!(all(&mut flow, later), [Shown::Pending(text("mine"))]);
        flow.push(message(1), later);
        assert_eq!(all(&mut flow, later), []);
        flow.push(accepted(1), later);
        assert_eq!(all(&mut flow, later), [Shown::Own(Timestamp(5), text("mine"))]);
    }

    #[test]
    fn messages_of_other_sessions_and_refused_ones_wait_for_nothing() {
        let (mut flow, now) = (Flow::default(), Instant::now());
        flow.push(message(7), now);
        assert_eq!(all(&mut flow, now), [Shown::Event(message(7))]);
        flow.push(pending(1), now);
        let refused = crate::proto::message::Refused {
            code: crate::proto::message::ErrorCode::Forbidden,
            text: String::new(),
            hint: None,
            retry_after_ms: None,
        };
        let refused = Event::Refused { id: id(1), room: RoomName::lobby(), body: text("mine"), refused };
        flow.push(refused.clone(), now);
        assert_eq!(all(&mut flow, now), [Shown::Event(refused)]);
        assert_eq!(flow.unstored(), 0);
    }

    #[test]
    fn a_flood_does_not_wait() {
        let (mut flow, now) = (Flow::default(), Instant::now());
        flow.push(pending(0), now);
        flow.push(message(0), now);
        for _ in 0..=WAITING {
            flow.push(message(9), now);
        }
        assert!(all(&mut flow, now).len() > WAITING);
    }
}
