//! The rooms of a chat on a terminal: one is looked at, the others gather what is said in them.

use std::collections::BTreeSet;
use std::time::Instant;

use super::flow::Flow;
use crate::client::session::{Arrival, Event};
use crate::client::ui::room_of;
use crate::model::{RoomName, Seq};
use crate::proto::message::Receipt;

/// Most events that a room gathers while nobody looks, and most bytes of text in them; older messages are in the history.
const GATHERED: usize = 200;
const GATHERED_BYTES: usize = 128 << 10;

/// A room that the user is in.
#[derive(Debug)]
pub(super) struct Tab {
    pub(super) room: RoomName,
    /// What it is about.
    pub(super) topic: String,
    /// How many messages came while nobody looked.
    pub(super) unread: usize,
    pub(super) flow: Flow,
    // Of a direct room: the user's last message, if nothing was said after it; and what has come to the other one.
    last_own: Option<Seq>,
    delivered: Seq,
    read: Seq,
}

impl Tab {
    fn new(room: RoomName) -> Self {
        let (topic, flow) = (String::new(), Flow::default());
        Self { room, topic, unread: 0, flow, last_own: None, delivered: Seq(0), read: Seq(0) }
    }

    /// How far the user's last message has come, where there is one and nothing was said after it.
    pub(super) fn how_far(&self) -> Option<&'static str> {
        let last = self.last_own?;
        Some(match () {
            () if self.read >= last => "read",
            () if self.delivered >= last => "delivered",
            () => "stored",
        })
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Tabs {
    /// The one that is looked at, whether the user was let into it or not.
    pub(super) current: Tab,
    // The others, with the places that all have in the order of their coming: a room keeps its number while others are
    // looked at.
    others: Vec<Tab>,
    order: Vec<RoomName>,
    // Where nothing is announced.
    hushed: BTreeSet<RoomName>,
}

impl Tabs {
    pub(super) fn new(room: RoomName) -> Self {
        Self { current: Tab::new(room), others: Vec::new(), order: vec![room], hushed: BTreeSet::new() }
    }

    /// What is said in a room is not announced, or again.
    pub(super) fn hush(&mut self, room: RoomName, on: bool) {
        if on {
            self.hushed.insert(room);
            self.others.iter_mut().filter(|tab| tab.room == room).for_each(|tab| tab.unread = 0);
        } else {
            self.hushed.remove(&room);
        }
    }

    /// Whether what is said in a room is not announced.
    pub(super) fn is_hushed(&self, room: RoomName) -> bool {
        self.hushed.contains(&room)
    }

    /// All such rooms.
    pub(super) fn hushed(&self) -> impl Iterator<Item = &RoomName> {
        self.hushed.iter()
    }

    /// The rooms, with what was not seen in them, in their order.
    pub(super) fn list(&self) -> impl Iterator<Item = (RoomName, usize)> {
        self.order.iter().map(|room| {
            let unread = self.others.iter().find(|tab| tab.room == *room).map_or(0, |tab| tab.unread);
            (*room, unread)
        })
    }

    /// The room of this number, from 1.
    pub(super) fn numbered(&self, number: usize) -> Option<RoomName> {
        self.order.get(number.checked_sub(1)?).copied()
    }

    /// The number of a room, from 1.
    pub(super) fn number(&self, room: RoomName) -> Option<usize> {
        self.order.iter().position(|known| *known == room).map(|at| at + 1)
    }

    fn tab(&mut self, room: RoomName) -> Option<&mut Tab> {
        if self.current.room == room {
            return Some(&mut self.current);
        }
        self.others.iter_mut().find(|tab| tab.room == room)
    }

    /// The user was let into a room.
    pub(super) fn enter(&mut self, room: RoomName, topic: &str) {
        if self.tab(room).is_none() {
            self.others.push(Tab::new(room));
            self.order.push(room);
        }
        self.set_topic(room, topic);
    }

    /// What was said in a direct room has come to the other one.
    pub(super) fn receipt(&mut self, receipt: &Receipt) {
        if let Some(tab) = self.tab(receipt.room) {
            (tab.delivered, tab.read) = (receipt.delivered, receipt.read);
        }
    }

    /// How many messages of a room were not seen.
    pub(super) fn unread(&self, room: RoomName) -> usize {
        self.others.iter().find(|tab| tab.room == room).map_or(0, |tab| tab.unread)
    }

    pub(super) fn set_topic(&mut self, room: RoomName, topic: &str) {
        if let Some(tab) = self.tab(room) {
            topic.clone_into(&mut tab.topic);
        }
    }

    /// The user is in a room no longer. If it was looked at, another one is now; the last one stays.
    pub(super) fn leave(&mut self, room: RoomName) {
        if self.current.room == room
            && let Some(first) = self.order.iter().copied().find(|other| *other != room)
        {
            self.look_at(first);
        }
        if self.current.room != room {
            self.others.retain(|tab| tab.room != room);
            self.order.retain(|other| *other != room);
        }
    }

    /// Looks at a room, if the user is in it. Returns whether that is so.
    pub(super) fn look_at(&mut self, room: RoomName) -> bool {
        if let Some(at) = self.others.iter().position(|tab| tab.room == room) {
            let mut tab = self.others.swap_remove(at);
            tab.unread = 0;
            self.others.push(std::mem::replace(&mut self.current, tab));
        }
        self.current.room == room
    }

    /// Gives an event to its room, or, if it is of none, to the one that is looked at.
    pub(super) fn push(&mut self, event: Event, now: Instant) {
        let room = room_of(&event).unwrap_or(self.current.room);
        if room.is_direct()
            && let Some(tab) = self.tab(room)
        {
            match &event {
                Event::Message { message, own, .. } => tab.last_own = own.then_some(message.seq),
                Event::Accepted { seq, .. } => tab.last_own = tab.last_own.max(Some(*seq)),
                // It is shown by the prompt.
                Event::Receipt(_) => return,
                _ => {}
            }
        }
        if room == self.current.room {
            return self.current.flow.push(event, now);
        }
        if let Event::Message { .. } | Event::Missed { .. } | Event::BeforeYou { .. } = event
            && self.tab(room).is_none()
        {
            // What was said before is told before the user is in.
            self.enter(room, "");
        }
        let counts = !self.is_hushed(room);
        let Some(tab) = self.others.iter_mut().find(|tab| tab.room == room) else {
            // What became of something in a room that the user has left.
            return self.current.flow.push(event, now);
        };
        match &event {
            // What was said before the user came is nothing that he has missed.
            Event::Message { own: false, arrival: Arrival::Live | Arrival::Missed, .. } if counts => tab.unread += 1,
            // Who looks later has no use for who was there meanwhile.
            Event::Presence(_) | Event::Entered { .. } => return,
            // The room may be gone before he looks.
            Event::Refused { id, .. } | Event::Undelivered { id, .. } => {
                tab.flow.forget(*id);
                return self.current.flow.push(event, now);
            }
            _ => {}
        }
        tab.flow.push(event, now);
        tab.flow.keep(GATHERED, GATHERED_BYTES);
    }

    /// How many of the user's messages are not stored, in all rooms.
    pub(super) fn unstored(&self) -> usize {
        self.others.iter().chain([&self.current]).map(|tab| tab.flow.unstored()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::session::Seal;
    use crate::client::ui::line::flow::Shown;
    use crate::model::{MessageId, Seq, Timestamp};
    use crate::proto::message::{Body, Stored};

    fn room(name: &str) -> RoomName {
        name.parse().unwrap()
    }

    fn message(name: &str, seq: u64) -> Event {
        long_message(name, seq, "hello")
    }

    fn long_message(name: &str, seq: u64, text: &str) -> Event {
        let message = Stored {
            room: room(name),
            seq: Seq(seq),
            time: Timestamp(5),
            sender: "bob".parse().unwrap(),
            message: MessageId(u128::from(seq).to_be_bytes()),
            body: Some(Body::Text { text: text.to_owned() }),
        };
        Event::Message { message, arrival: Arrival::Live, own: false, seal: Seal::Open }
    }

    fn shown(tabs: &mut Tabs, now: Instant) -> Vec<Shown> {
        std::iter::from_fn(|| tabs.current.flow.poll(now)).collect()
    }

    #[test]
    fn what_is_said_elsewhere_is_counted_and_shown_when_it_is_looked_at() {
        let (mut tabs, now) = (Tabs::new(room("#common")), Instant::now());
        tabs.enter(room("#dev"), "work");
        for event in [message("#common", 1), message("#dev", 1), message("#dev", 2)] {
            tabs.push(event, now);
        }
        assert_eq!(tabs.list().collect::<Vec<_>>(), [(room("#common"), 0), (room("#dev"), 2)]);
        assert_eq!(shown(&mut tabs, now), [Shown::Event(message("#common", 1))]);
        assert!(tabs.look_at(room("#dev")) && !tabs.look_at(room("#ops")));
        assert_eq!(tabs.current.topic, "work");
        assert_eq!(shown(&mut tabs, now), [Shown::Event(message("#dev", 1)), Shown::Event(message("#dev", 2))]);
        assert_eq!(tabs.list().collect::<Vec<_>>(), [(room("#common"), 0), (room("#dev"), 0)]);
    }

    #[test]
    fn what_is_said_in_a_hushed_room_is_not_counted_and_can_be_looked_at() {
        let (mut tabs, now) = (Tabs::new(room("#common")), Instant::now());
        tabs.enter(room("#dev"), "");
        tabs.push(message("#dev", 1), now);
        tabs.hush(room("#dev"), true);
        tabs.push(message("#dev", 2), now);
        assert_eq!(tabs.list().collect::<Vec<_>>(), [(room("#common"), 0), (room("#dev"), 0)]);
        tabs.hush(room("#dev"), false);
        tabs.push(message("#dev", 3), now);
        assert_eq!(tabs.unread(room("#dev")), 1);
        tabs.look_at(room("#dev"));
        assert_eq!(shown(&mut tabs, now).len(), 3);
    }

    #[test]
    fn what_was_said_before_a_room_is_entered_waits_in_that_room() {
        for first in [message("#dev", 1), Event::BeforeYou { room: room("#dev"), count: 3 }] {
            let (mut tabs, now) = (Tabs::new(room("#common")), Instant::now());
            tabs.push(first.clone(), now);
            tabs.enter(room("#dev"), "work");
            assert_eq!(shown(&mut tabs, now), []);
            tabs.look_at(room("#dev"));
            assert_eq!(tabs.current.topic, "work");
            assert_eq!(shown(&mut tabs, now), [Shown::Event(first)]);
        }
    }

    #[test]
    fn what_came_to_nothing_elsewhere_is_told_where_one_looks() {
        let (mut tabs, now) = (Tabs::new(room("#common")), Instant::now());
        tabs.enter(room("#dev"), "");
        tabs.look_at(room("#dev"));
        let (id, body) = (MessageId([9; 16]), Body::Text { text: "mine".to_owned() });
        tabs.push(Event::Pending { id, room: room("#dev"), body: body.clone() }, now);
        tabs.look_at(room("#common"));
        let lost = Event::Undelivered { id, room: room("#dev"), body };
        tabs.push(lost.clone(), now);
        tabs.leave(room("#dev"));
        assert_eq!((shown(&mut tabs, now), tabs.unstored()), (vec![Shown::Event(lost)], 0));
    }

    #[test]
    fn rooms_keep_their_numbers_until_one_is_left() {
        let mut tabs = Tabs::new(room("#common"));
        tabs.enter(room("#dev"), "");
        tabs.enter(room("#ops"), "");
        tabs.look_at(room("#ops"));
        assert_eq!((tabs.numbered(2), tabs.number(room("#ops"))), (Some(room("#dev")), Some(3)));
        assert_eq!((tabs.numbered(0), tabs.numbered(4)), (None, None));
        tabs.leave(room("#ops"));
        assert_eq!(tabs.current.room, room("#common"));
        tabs.leave(room("#common"));
        assert_eq!((tabs.current.room, tabs.numbered(1)), (room("#dev"), Some(room("#dev"))));
        // The last one stays, to have something to look at.
        tabs.leave(room("#dev"));
        assert_eq!(tabs.current.room, room("#dev"));
    }

    #[test]
    fn a_room_that_nobody_looks_at_gathers_only_so_much() {
        let (mut tabs, now) = (Tabs::new(room("#common")), Instant::now());
        tabs.enter(room("#dev"), "");
        for seq in 1..=300 {
            tabs.push(message("#dev", seq), now);
        }
        tabs.look_at(room("#dev"));
        let shown = shown(&mut tabs, now);
        assert_eq!(shown.len(), GATHERED + 1);
        assert_eq!(shown.first(), Some(&Shown::Skipped(100)));
        assert_eq!(shown.last(), Some(&Shown::Event(message("#dev", 300))));
        tabs.look_at(room("#common"));
        let long = "x".repeat(GATHERED_BYTES / 10);
        for seq in 301..=320 {
            tabs.push(long_message("#dev", seq, &long), now);
        }
        tabs.look_at(room("#dev"));
        let shown = self::shown(&mut tabs, now);
        assert_eq!((shown.len(), shown.first()), (11, Some(&Shown::Skipped(10))));
    }
}
