//! The simulated disk, and what the store keeps on it: what `src/store` does, without SQLite. That it does the same is
//! a test of its own, in [`super::likeness`].

use std::collections::{HashMap, VecDeque};

use rsachat::journal::{Restored, RestoredRoom, Span, StoreCommand, StoreEvent};
use rsachat::model::{Incarnation, MessageId, RoomName, Seq, StoreToken, StoredRecord, Timestamp, UserName};

/// What survives a crash of the server.
#[derive(Debug, Default)]
pub(super) struct Disk {
    incarnation: Incarnation,
    last: Seq,
    kept: VecDeque<StoredRecord>,
    starts: Vec<(Incarnation, Seq)>,
    posted: HashMap<(UserName, MessageId), (Seq, Timestamp)>,
    /// Whether it takes nothing.
    pub(super) full: bool,
    /// All that was ever committed, and by whom, for the checks: the store itself keeps less.
    pub(super) log: Vec<(Incarnation, StoredRecord)>,
}

impl Disk {
    /// A server starts.
    pub(super) fn open(&mut self, wall: Timestamp, window: u32) -> Restored {
        let by_clock = Incarnation((wall.0 / 1000).max(1));
        self.incarnation = by_clock.max(Incarnation(self.incarnation.0 + 1));
        let first = self.kept.len().saturating_sub(window as usize);
        let room = (self.last > Seq(0)).then(|| RestoredRoom {
            last: self.last,
            window: self.kept.range(first..).cloned().collect(),
            starts: self.starts.clone(),
            ..RestoredRoom::new(RoomName::lobby())
        });
        Restored { incarnation: self.incarnation, rooms: room.into_iter().collect(), ..Restored::default() }
    }

    /// Carries out a batch in one transaction, and gives the answers.
    pub(super) fn commit(&mut self, batch: &[StoreCommand], keep: u64) -> Vec<StoreEvent> {
        assert!(!self.full);
        let mut answers = Vec::new();
        for command in batch {
            match command {
                StoreCommand::Append { token, record, .. } => {
                    self.append(record, keep);
                    match answers.last_mut() {
                        Some(StoreEvent::Stored { tokens }) => tokens.push(*token),
                        _ => answers.push(StoreEvent::Stored { tokens: vec![*token] }),
                    }
                }
                StoreCommand::Lookup { token, user, message } => {
                    answers.push(StoreEvent::Found { token: *token, place: self.find(*user, *message) });
                }
                StoreCommand::Read { token, span } => answers.push(self.read(*token, span)),
                StoreCommand::Change { .. } | StoreCommand::ReadKeys { .. } | StoreCommand::ReadRoster { .. } => {
                    panic!("nobody decides anything")
                }
            }
        }
        answers
    }

    fn append(&mut self, record: &StoredRecord, keep: u64) {
        if self.starts.last().is_none_or(|(newest, _)| *newest < self.incarnation) {
            self.starts.push((self.incarnation, record.seq));
        }
        self.last = record.seq;
        self.kept.push_back(record.clone());
        while self.kept.len() as u64 > keep {
            self.kept.pop_front();
        }
        self.posted.entry((record.sender, record.message)).or_insert((record.seq, record.time));
        self.log.push((self.incarnation, record.clone()));
    }

    /// The answer to a reading.
    pub(super) fn read(&self, token: StoreToken, span: &Span) -> StoreEvent {
        let within = |record: &&StoredRecord| record.seq > span.after && record.seq < span.before;
        let mut records: Vec<StoredRecord> = self.kept.iter().filter(within).cloned().collect();
        if span.latest {
            records.reverse();
        }
        let (mut bytes, mut given) = (0, 0);
        for record in &records {
            bytes += record.body.len();
            if given == span.limit || (given > 0 && bytes > span.bytes) {
                break;
            }
            given += 1;
        }
        let more = records.len() > given as usize;
        records.truncate(given as usize);
        if span.latest {
            records.reverse();
        }
        StoreEvent::Page { token, records, more }
    }

    /// Where a message is or was.
    pub(super) fn find(&self, user: UserName, message: MessageId) -> Option<(Seq, Timestamp)> {
        self.posted.get(&(user, message)).copied()
    }

    /// What was committed under this number.
    pub(super) fn at(&self, seq: Seq) -> Option<(Incarnation, &StoredRecord)> {
        let (by, record) = self.log.get(usize::try_from(seq.0).unwrap().checked_sub(1)?)?;
        Some((*by, record))
    }
}
