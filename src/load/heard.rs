//! What a connection hears of the server's messages, and how an event that all connections get is decoded only once.
//!
//! An event is the same bytes for everyone in the room. Whoever gets it first decodes it, the others compare: decoding
//! each would cost this side almost as much as the delivery costs the server. What isn't recognised is decoded; nothing
//! is taken to be right because it was expected.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::model::Seq;
use crate::proto::link::Reader;
use crate::proto::message::{Malformed, ServerMessage, Sighting};

/// How many events are remembered: more than connections are ever apart from each other, unless one of them stalls.
const REMEMBERED: usize = 4096;

/// What a connection takes of the server's messages: of the many that people say, no more than is counted.
#[derive(Debug)]
pub(super) enum Heard {
    Said(Sighting),
    Else(Box<ServerMessage>),
}

/// The beginnings of a room's latest events, up to where they tell which message it is.
#[derive(Debug, Default)]
pub(super) struct Seen {
    // Of messages with consecutive numbers, the latest last.
    heads: VecDeque<(Box<[u8]>, Sighting)>,
}

impl Seen {
    /// The sighting of the message with this number, if it was seen and `bytes` are its event.
    fn recognise(&self, seq: Seq, bytes: &[u8]) -> Option<Sighting> {
        let (_, oldest) = self.heads.front()?;
        let place = usize::try_from(seq.0.checked_sub(oldest.seq.0)?).ok()?;
        let (head, sighting) = self.heads.get(place)?;
        bytes.starts_with(head).then_some(*sighting)
    }

    fn remember(&mut self, sighting: Sighting, head: &[u8]) {
        match self.heads.back() {
            Some((_, latest)) if sighting.seq <= latest.seq => return,
            Some((_, latest)) if sighting.seq != latest.seq.next() => self.heads.clear(),
            _ => {}
        }
        if self.heads.len() == REMEMBERED {
            self.heads.pop_front();
        }
        self.heads.push_back((head.into(), sighting));
    }
}

/// Reads what the server says to one of the connections that share what was seen.
#[derive(Debug)]
pub(super) struct Ear {
    seen: Rc<RefCell<Seen>>,
    last: Seq,
}

impl Ear {
    pub(super) fn new(seen: Rc<RefCell<Seen>>) -> Self {
        Self { seen, last: Seq(0) }
    }
}

impl Reader for Ear {
    type Message = Heard;

    fn read(&mut self, bytes: &[u8]) -> Result<Heard, Malformed> {
        let recognised = self.seen.borrow().recognise(self.last.next(), bytes);
        let sighting = if let Some(sighting) = recognised {
            sighting
        } else {
            let Some((sighting, length)) = Sighting::decode(bytes)? else {
                return ServerMessage::decode(bytes).map(|message| Heard::Else(Box::new(message)));
            };
            self.seen.borrow_mut().remember(sighting, bytes.get(..length).unwrap_or(bytes));
            sighting
        };
        self.last = sighting.seq;
        Ok(Heard::Said(sighting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MessageId, RoomName, Timestamp};
    use crate::proto::message::{Body, PREFIX_BYTES, Reply, Stored};

    fn event(seq: u64, id: u8) -> Vec<u8> {
        let message = Stored {
            room: RoomName::lobby(),
            seq: Seq(seq),
            time: Timestamp(1_700_000_000_000),
            sender: "alice".parse().unwrap(),
            message: MessageId([id; 16]),
            body: Some(Body::Text { text: "hello".to_owned() }),
        };
        ServerMessage::Message(message).encode().split_off(PREFIX_BYTES)
    }

    fn sighting(heard: Heard) -> (u64, u8) {
        match heard {
            Heard::Said(Sighting { seq, message }) => (seq.0, message.0[0]),
            Heard::Else(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn whether_an_event_is_recognised_or_decoded_it_is_the_same_sighting() {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let (mut first, mut second) = (Ear::new(Rc::clone(&seen)), Ear::new(Rc::clone(&seen)));
        for seq in 7..10 {
            assert_eq!(sighting(first.read(&event(seq, 1)).unwrap()), (seq, 1));
        }
        assert_eq!(seen.borrow().heads.len(), 3);
        for seq in 7..10 {
            assert_eq!(sighting(second.read(&event(seq, 1)).unwrap()), (seq, 1));
        }
        assert_eq!(second.last, Seq(9));
    }

    #[test]
    fn an_event_that_is_not_the_one_that_others_got_is_told_as_what_it_is() {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let (mut first, mut second) = (Ear::new(Rc::clone(&seen)), Ear::new(Rc::clone(&seen)));
        first.read(&event(1, 1)).unwrap();
        first.read(&event(2, 2)).unwrap();
        // Another message under the number, a gap, the same once more, one cut off.
        assert_eq!(sighting(second.read(&event(1, 9)).unwrap()), (1, 9));
        assert_eq!(sighting(second.read(&event(3, 3)).unwrap()), (3, 3));
        assert_eq!(sighting(second.read(&event(3, 3)).unwrap()), (3, 3));
        assert!(second.read(&event(4, 4)[..20]).is_err());
    }

    #[test]
    fn no_more_is_remembered_than_the_latest_without_a_gap() {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let mut ear = Ear::new(Rc::clone(&seen));
        for seq in 1..=REMEMBERED as u64 + 5 {
            ear.read(&event(seq, 1)).unwrap();
        }
        assert_eq!(seen.borrow().heads.len(), REMEMBERED);
        ear.read(&event(9_000, 1)).unwrap();
        assert_eq!(seen.borrow().heads.len(), 1);
    }

    #[test]
    fn an_answer_is_read_whole() {
        let mut ear = Ear::new(Rc::default());
        let done = ServerMessage::Reply(5, Reply::Done);
        match ear.read(&done.encode()[PREFIX_BYTES..]).unwrap() {
            Heard::Else(message) => assert_eq!(*message, done),
            Heard::Said(sighting) => panic!("{sighting:?}"),
        }
    }
}
