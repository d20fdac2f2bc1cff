//! What one turn of a reactor's loop delivers: each message once, and for each connection the list of those it gets.
//!
//! The lists are links in one vector that the reactor reuses, so that a delivery costs eight bytes and no allocation,
//! and a connection that gets nothing owns nothing.

use std::sync::Arc;

const NONE: u32 = u32::MAX;

/// The messages of a turn.
#[derive(Debug, Default)]
pub(super) struct Turn {
    messages: Vec<Arc<[u8]>>,
    links: Vec<Link>,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    message: u32,
    next: u32,
}

/// A connection's list in a [`Turn`].
#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    first: u32,
    last: u32,
    bytes: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { first: NONE, last: NONE, bytes: 0 }
    }
}

/// A message of a turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    index: u32,
    bytes: u32,
}

impl Turn {
    /// Adds a message that nobody gets yet.
    pub(super) fn add(&mut self, bytes: Arc<[u8]>) -> Message {
        let number = |count: usize| u32::try_from(count).unwrap_or(NONE);
        let message = Message { index: number(self.messages.len()), bytes: number(bytes.len()) };
        self.messages.push(bytes);
        message
    }

    /// Puts a message at the end of a list.
    pub(super) fn push(&mut self, list: &mut List, message: Message) {
        let link = u32::try_from(self.links.len()).unwrap_or(NONE);
        self.links.push(Link { message: message.index, next: NONE });
        match self.links.get_mut(list.last as usize) {
            Some(last) => last.next = link,
            None => list.first = link,
        }
        list.last = link;
        list.bytes = list.bytes.saturating_add(message.bytes);
    }

    /// The messages of a list, in order.
    pub(super) fn iter(&self, list: List) -> impl Iterator<Item = &Arc<[u8]>> {
        let mut next = list.first;
        std::iter::from_fn(move || {
            let link = self.links.get(next as usize)?;
            next = link.next;
            self.messages.get(link.message as usize)
        })
    }

    /// Forgets everything; lists of this turn must not be used any more.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.links.clear();
    }
}

impl List {
    pub(super) fn is_empty(self) -> bool {
        self.first == NONE
    }

    /// Bytes of its messages.
    pub(super) fn bytes(self) -> usize {
        self.bytes as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_list_has_its_messages_in_order() {
        let mut turn = Turn::default();
        let mut lists = [List::default(); 3];
        for (text, to) in [("one", &[0, 1][..]), ("two", &[1]), ("three", &[0, 1])] {
            let message = turn.add(text.as_bytes().into());
            for &list in to {
                turn.push(&mut lists[list], message);
            }
        }
        let texts = |list| turn.iter(list).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).collect::<Vec<_>>();
        assert_eq!(texts(lists[0]), ["one", "three"]);
        assert_eq!(texts(lists[1]), ["one", "two", "three"]);
        assert_eq!(lists[1].bytes(), 11);
        assert!(lists[2].is_empty() && texts(lists[2]).is_empty());
    }
}
