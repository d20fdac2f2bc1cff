//! What a reactor is about to send: what rooms said since it last sent, once for all of their members, and for each
//! connection what is for that one alone.
//!
//! A message to a room costs the same however many are in it: its bytes are appended to the room's text, which each
//! member's record then takes in one piece. Only who gets other messages between them, or can't be written to, has them
//! one by one. An idle room owns no buffers, and so does an idle connection.

use std::collections::HashMap;
use std::sync::Arc;

use slab::Slab;

use crate::model::RoomName;

/// Buffers kept for rooms that will speak next.
const SPARE: usize = 16;
const NONE: u32 = u32::MAX;

/// What is about to be sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    by_name: HashMap<RoomName, usize>,
    rooms: Slab<Room>,
    // The rooms that said something.
    speaking: Vec<usize>,
    spare: Vec<Chapter>,
    personal: Vec<Personal>,
    // How many messages there ever were: orders them, whomever they are for.
    order: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Room {
    name: RoomName,
    // Slots of connections.
    members: Vec<usize>,
    chapter: Option<Chapter>,
}

/// What a room said.
#[derive(Debug, Default)]
struct Chapter {
    text: Vec<u8>,
    messages: Vec<Said>,
}

#[derive(Debug)]
struct Said {
    order: u64,
    // Where it begins in the text.
    start: usize,
    bytes: Arc<[u8]>,
}

#[derive(Debug)]
struct Personal {
    order: u64,
    bytes: Arc<[u8]>,
    next: u32,
}

/// Messages for one connection alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    first: u32,
    last: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

/// A connection's place in a room: it gets what is said from then on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Membership {
    room: usize,
    since: u64,
}

/// Where a connection is with what is sent.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Its rooms.
    pub(super) memberships: Vec<Membership>,
    list: List,
    // It has all messages before this one.
    taken: u64,
}

/// What there is for a connection.
#[derive(Debug)]
pub(super) enum Pending<'a> {
    /// Nothing.
    Nothing,
    /// What one room said, and nothing else.
    Passage(Passage<'a>),
    /// Messages from several sources, in order.
    Messages(Vec<&'a Arc<[u8]>>),
}

/// The end of what a room said.
#[derive(Debug)]
pub(super) struct Passage<'a> {
    /// All of it.
    pub(super) text: &'a [u8],
    messages: &'a [Said],
}

impl<'a> Passage<'a> {
    /// The messages one by one.
    pub(super) fn messages(&self) -> impl Iterator<Item = &'a Arc<[u8]>> {
        self.messages.iter().map(|said| &said.bytes)
    }
}

impl Outbox {
    /// Everybody in a room is to get this.
    pub(super) fn say(&mut self, room: &RoomName, bytes: &Arc<[u8]>) {
        let Some(&index) = self.by_name.get(room) else { return };
        let Some(room) = self.rooms.get_mut(index) else { return };
        let chapter = room.chapter.get_or_insert_with(|| {
            self.speaking.push(index);
            self.spare.pop().unwrap_or_default()
        });
        chapter.messages.push(Said { order: self.order, start: chapter.text.len(), bytes: Arc::clone(bytes) });
        chapter.text.extend_from_slice(bytes);
        self.order += 1;
        self.bytes += bytes.len();
    }

    /// One connection is to get this.
    pub(super) fn tell(&mut self, reader: &mut Reader, bytes: Arc<[u8]>) {
        let index = u32::try_from(self.personal.len()).unwrap_or(NONE);
        self.bytes += bytes.len();
        self.personal.push(Personal { order: self.order, bytes, next: NONE });
        self.order += 1;
        match self.personal.get_mut(reader.list.last as usize) {
            Some(last) => last.next = index,
            None => reader.list.first = index,
        }
        reader.list.last = index;
    }

    /// A connection gets what is said in a room from now on.
    pub(super) fn enter(&mut self, room: RoomName, slot: usize, reader: &mut Reader) {
        let Self { by_name, rooms, order, .. } = self;
        let new = || rooms.insert(Room { name: room, members: Vec::new(), chapter: None });
        let index = *by_name.entry(room).or_insert_with(new);
        let is_member = reader.memberships.iter().any(|membership| membership.room == index);
        if let Some(room) = rooms.get_mut(index).filter(|_| !is_member) {
            room.members.push(slot);
            reader.memberships.push(Membership { room: index, since: *order });
        }
    }

    /// A connection gets nothing more of any room, not even what it has not taken yet.
    pub(super) fn leave_all(&mut self, slot: usize, reader: &mut Reader) {
        for membership in std::mem::take(&mut reader.memberships) {
            self.forget(slot, membership.room);
        }
    }

    /// A connection gets nothing more of a room, not even what it has not taken yet.
    pub(super) fn leave(&mut self, room: RoomName, slot: usize, reader: &mut Reader) {
        let Some(&index) = self.by_name.get(&room) else { return };
        if let Some(at) = reader.memberships.iter().position(|membership| membership.room == index) {
            reader.memberships.swap_remove(at);
            self.forget(slot, index);
        }
    }

    fn forget(&mut self, slot: usize, index: usize) {
        let Some(room) = self.rooms.get_mut(index) else { return };
        if let Some(at) = room.members.iter().position(|&other| other == slot) {
            room.members.swap_remove(at);
        }
        // One that said something stays until that is sent.
        if room.members.is_empty() && room.chapter.is_none() {
            self.by_name.remove(&room.name);
            self.rooms.remove(index);
        }
    }

    /// Bytes of all messages.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether rooms said something.
    pub(super) fn has_rooms(&self) -> bool {
        !self.speaking.is_empty()
    }

    /// Appends the slots of those who are to get what rooms said. Who is in several of them is there several times.
    pub(super) fn recipients(&self, slots: &mut Vec<usize>) {
        for room in self.speaking.iter().filter_map(|&index| self.rooms.get(index)) {
            slots.extend_from_slice(&room.members);
        }
    }

    /// What there is for a connection.
    pub(super) fn pending(&self, reader: &Reader) -> Pending<'_> {
        if reader.taken == self.order {
            return Pending::Nothing;
        }
        let mut passages = reader.memberships.iter().filter_map(|membership| self.passage(*membership, reader.taken));
        let (first, second) = (passages.next(), passages.next());
        match (first, second, reader.list.first) {
            (None, _, NONE) => Pending::Nothing,
            (Some(passage), None, NONE) => Pending::Passage(passage),
            (first, second, _) => {
                let said = first.into_iter().chain(second).chain(passages).flat_map(|passage| passage.messages);
                let mut messages: Vec<(u64, &Arc<[u8]>)> = said.map(|said| (said.order, &said.bytes)).collect();
                messages.extend(self.personal(reader.list));
                messages.sort_unstable_by_key(|&(order, _)| order);
                Pending::Messages(messages.into_iter().map(|(_, bytes)| bytes).collect())
            }
        }
    }

    /// A connection has taken what there was.
    pub(super) fn taken(&self, reader: &mut Reader) {
        reader.taken = self.order;
        reader.list = List::default();
    }

    fn passage(&self, membership: Membership, taken: u64) -> Option<Passage<'_>> {
        let chapter = self.rooms.get(membership.room)?.chapter.as_ref()?;
        let from = chapter.messages.partition_point(|said| said.order < membership.since.max(taken));
        let messages = chapter.messages.get(from..)?;
        Some(Passage { text: chapter.text.get(messages.first()?.start..)?, messages })
    }

    fn personal(&self, list: List) -> impl Iterator<Item = (u64, &Arc<[u8]>)> {
        let mut next = list.first;
        std::iter::from_fn(move || {
            let Personal { order, bytes, next: after } = self.personal.get(next as usize)?;
            next = *after;
            Some((*order, bytes))
        })
    }

    /// Forgets all messages. Every connection that had some pending has taken them.
    pub(super) fn clear(&mut self) {
        for index in self.speaking.drain(..) {
            let Some(room) = self.rooms.get_mut(index) else { continue };
            if let Some(mut chapter) = room.chapter.take().filter(|_| self.spare.len() < SPARE) {
                chapter.text.clear();
                chapter.messages.clear();
                self.spare.push(chapter);
            }
            if room.members.is_empty() {
                self.by_name.remove(&room.name);
                self.rooms.remove(index);
            }
        }
        self.personal.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str) -> RoomName {
        format!("#{name}").parse().unwrap()
    }

    fn bytes(text: &str) -> Arc<[u8]> {
        text.as_bytes().into()
    }

    /// What a connection gets, and whether it is one room's text.
    fn take(outbox: &Outbox, reader: &mut Reader) -> (String, bool) {
        let string = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let taken = match outbox.pending(reader) {
            Pending::Nothing => (String::new(), false),
            Pending::Passage(passage) => {
                let parts: String = passage.messages().map(|bytes| string(bytes)).collect();
                assert_eq!(string(passage.text), parts);
                (parts, true)
            }
            Pending::Messages(messages) => (messages.iter().map(|bytes| string(bytes)).collect(), false),
        };
        outbox.taken(reader);
        taken
    }

    #[test]
    fn each_gets_his_messages_in_order_once() {
        let mut outbox = Outbox::default();
        let [mut a, mut b, mut c] = [(); 3].map(|()| Reader::default());
        outbox.enter(room("x"), 0, &mut a);
        outbox.enter(room("x"), 1, &mut b);
        outbox.enter(room("y"), 1, &mut b);
        outbox.say(&room("x"), &bytes("1"));
        outbox.tell(&mut a, bytes("2"));
        outbox.say(&room("y"), &bytes("3"));
        outbox.say(&room("z"), &bytes("nobody is there"));
        // He came after the first message.
        outbox.enter(room("x"), 2, &mut c);
        outbox.enter(room("x"), 2, &mut c);
        outbox.say(&room("x"), &bytes("4"));
        outbox.tell(&mut a, bytes("5"));
        let mut slots = Vec::new();
        outbox.recipients(&mut slots);
        assert_eq!(slots, [0, 1, 2, 1]);
        assert_eq!(take(&outbox, &mut a), ("1245".to_owned(), false));
        assert_eq!(take(&outbox, &mut c), ("4".to_owned(), true));
        assert_eq!(take(&outbox, &mut c), (String::new(), false));
        outbox.say(&room("x"), &bytes("6"));
        assert_eq!(take(&outbox, &mut a), ("6".to_owned(), true));
        assert_eq!(take(&outbox, &mut b), ("1346".to_owned(), false));
        assert_eq!(take(&outbox, &mut c), ("6".to_owned(), true));
        outbox.clear();
        assert!(outbox.bytes() == 0 && !outbox.has_rooms());
        outbox.say(&room("x"), &bytes("7"));
        assert_eq!(take(&outbox, &mut c), ("7".to_owned(), true));
    }

    #[test]
    fn rooms_without_members_are_forgotten() {
        let mut outbox = Outbox::default();
        let mut reader = Reader::default();
        outbox.enter(room("x"), 0, &mut reader);
        outbox.leave_all(0, &mut reader);
        assert!(outbox.rooms.is_empty() && outbox.by_name.is_empty());
        outbox.enter(room("x"), 0, &mut reader);
        outbox.say(&room("x"), &bytes("1"));
        outbox.leave_all(0, &mut reader);
        assert!(take(&outbox, &mut reader).0.is_empty());
        outbox.clear();
        assert!(outbox.rooms.is_empty() && outbox.by_name.is_empty());
    }
}
