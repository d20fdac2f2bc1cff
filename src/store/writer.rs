//! Transactions: a batch of commands is carried out whole, or not at all.

use std::collections::HashMap;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::open::name;
use super::{Keep, Settings, changes, read, sender_keys};
use crate::journal::{StoreCommand, StoreEvent};
use crate::model::{Incarnation, RoomName, SenderKeyId, Seq, StoreToken, StoredRecord, Timestamp};

/// How long the identifiers of posts are kept, milliseconds.
const POSTED_KEPT: u64 = 7 * DAY;
pub(super) const DAY: u64 = 24 * 60 * 60 * 1000;
/// Bits of a message's place that are its number; those above are its room.
const SEQ_BITS: u32 = 40;
/// Above every message of a room.
pub(super) const LAST: Seq = Seq((1 << SEQ_BITS) - 1);

/// How long messages are kept.
#[derive(Debug, Clone, Copy)]
struct Retention {
    shared: Keep,
    direct: Keep,
}

impl Retention {
    fn of(self, room: RoomName) -> Keep {
        if room.is_direct() { self.direct } else { self.shared }
    }
}

/// A database that was opened, and is not running yet.
#[derive(Debug)]
pub struct Store {
    pub(super) connection: Connection,
    retention: Retention,
    incarnation: Incarnation,
    /// The identifiers of rooms in which this incarnation has said something: known only when committed.
    rooms: HashMap<RoomName, i64>,
}

impl Store {
    pub(super) fn new(connection: Connection, settings: &Settings, incarnation: Incarnation) -> Self {
        let retention = Retention { shared: settings.keep, direct: Keep::Days(settings.direct_days) };
        Self { connection, retention, incarnation, rooms: HashMap::new() }
    }

    /// Carries out a batch and commits it; returns the answers. After an error nothing of it is done.
    pub(super) fn carry_out(&mut self, batch: &[StoreCommand]) -> rusqlite::Result<Vec<StoreEvent>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut work = Work::begin(&transaction, self.incarnation, &self.rooms)?;
        let mut events = Vec::new();
        for command in batch {
            match command {
                StoreCommand::Append { token, record, key } => {
                    work.append(record, *key)?;
                    stored(&mut events, *token);
                }
                StoreCommand::Change { token, changes } => {
                    changes.iter().try_for_each(|change| changes::apply(&transaction, change))?;
                    stored(&mut events, *token);
                }
                StoreCommand::Read { token, span } => events.push(read::page(&transaction, *token, *span)?),
                StoreCommand::ReadKeys { token, room, ids, member } => {
                    events.push(sender_keys::read(&transaction, *token, *room, ids, *member)?);
                }
                StoreCommand::ReadRoster { token, room, after, bytes } => {
                    events.push(read::roster(&transaction, *token, *room, *after, *bytes)?);
                }
                StoreCommand::Lookup { token, user, message } => {
                    let mut find =
                        transaction.prepare_cached("SELECT seq, time FROM posted WHERE sender = ?1 AND id = ?2")?;
                    let place = find
                        .query_row(params![user.as_str(), message.0], |row| {
                            Ok((Seq(row.get(0)?), Timestamp(row.get(1)?)))
                        })
                        .optional()?;
                    events.push(StoreEvent::Found { token: *token, place });
                }
            }
        }
        let used = work.finish(self.retention)?;
        transaction.commit()?;
        self.rooms.extend(used.into_iter().map(|(name, (room, _))| (name, room)));
        Ok(events)
    }

    /// Answers those of a batch that only read, and says which are left. For when the others can't be carried out.
    pub(super) fn carry_out_readings(&self, batch: &mut Vec<StoreCommand>) -> Vec<StoreEvent> {
        let mut events = Vec::new();
        batch.retain(|command| {
            let read = match command {
                StoreCommand::Read { token, span } => read::page(&self.connection, *token, *span),
                StoreCommand::ReadKeys { token, room, ids, member } => {
                    sender_keys::read(&self.connection, *token, *room, ids, *member)
                }
                StoreCommand::ReadRoster { token, room, after, bytes } => {
                    read::roster(&self.connection, *token, *room, *after, *bytes)
                }
                _ => return true,
            };
            match read {
                Ok(event) => {
                    events.push(event);
                    false
                }
                Err(_) => true,
            }
        });
        events
    }

    /// Removes what is no longer kept, in every room.
    pub(super) fn prune_all(&self, wall: Timestamp) -> rusqlite::Result<()> {
        let mut rooms = self.connection.prepare_cached("SELECT id, name, last FROM room")?;
        let rooms = rooms
            .query_map([], |row| Ok((row.get(0)?, name(row, 1, RoomName::from_wire)?, Seq(row.get(2)?))))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        for (id, room, last) in rooms {
            prune(&self.connection, self.retention.of(room), id, last, wall)?;
            sender_keys::prune(&self.connection, id, last, wall)?;
        }
        prune_posted(&self.connection, wall)
    }
}

fn stored(events: &mut Vec<StoreEvent>, token: StoreToken) {
    if let Some(StoreEvent::Stored { tokens }) = events.last_mut() {
        tokens.push(token);
    } else {
        events.push(StoreEvent::Stored { tokens: vec![token] });
    }
}

/// A transaction under way.
struct Work<'a> {
    transaction: &'a Transaction<'a>,
    incarnation: Incarnation,
    known: &'a HashMap<RoomName, i64>,
    /// The rooms that the batch writes to, with the number of the last message.
    used: HashMap<RoomName, (i64, Seq)>,
    newest: Timestamp,
    // Used for every message, and therefore not looked up for each.
    insert_message: CachedStatement<'a>,
    insert_posted: CachedStatement<'a>,
}

impl<'a> Work<'a> {
    fn begin(
        transaction: &'a Transaction<'a>,
        incarnation: Incarnation,
        known: &'a HashMap<RoomName, i64>,
    ) -> rusqlite::Result<Self> {
        let insert_message = transaction
            .prepare_cached("INSERT INTO message (place, time, sender, id, body) VALUES (?1, ?2, ?3, ?4, ?5)")?;
        // A client that posts two messages under one identifier, without a word that it retries, has both said; a later
        // retry finds the first.
        let insert_posted = transaction.prepare_cached(
            "INSERT INTO posted (sender, id, seq, time) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )?;
        let (used, newest) = (HashMap::new(), Timestamp(0));
        Ok(Self { transaction, incarnation, known, used, newest, insert_message, insert_posted })
    }

    fn append(&mut self, record: &StoredRecord, key: Option<SenderKeyId>) -> rusqlite::Result<()> {
        let StoredRecord { room, seq, time, sender, message, body } = record;
        let id = if let Some((id, last)) = self.used.get_mut(room) {
            *last = *seq;
            *id
        } else {
            let id = match self.known.get(room) {
                Some(id) => *id,
                None => self.begin_room(*room, *seq)?,
            };
            self.used.insert(*room, (id, *seq));
            id
        };
        self.insert_message.execute(params![place(id, *seq)?, time.0, sender.as_str(), message.0, body])?;
        self.insert_posted.execute(params![sender.as_str(), message.0, seq.0, time.0])?;
        self.newest = self.newest.max(*time);
        key.map_or(Ok(()), |key| sender_keys::mark_used(self.transaction, id, key, *seq))
    }

    /// The first message of this incarnation in a room.
    fn begin_room(&self, room: RoomName, first: Seq) -> rusqlite::Result<i64> {
        let id = changes::room_id(self.transaction, room)?;
        let mut insert =
            self.transaction.prepare_cached("INSERT INTO start (room, incarnation, first) VALUES (?1, ?2, ?3)")?;
        insert.execute(params![id, self.incarnation.0, first.0])?;
        Ok(id)
    }

    fn finish(self, retention: Retention) -> rusqlite::Result<HashMap<RoomName, (i64, Seq)>> {
        for (name, &(room, last)) in &self.used {
            let mut update = self.transaction.prepare_cached("UPDATE room SET last = ?2 WHERE id = ?1")?;
            update.execute(params![room, last.0])?;
            prune(self.transaction, retention.of(*name), room, last, self.newest)?;
        }
        if !self.used.is_empty() {
            prune_posted(self.transaction, self.newest)?;
        }
        Ok(self.used)
    }
}

/// Where a message stands in its table, by the room's identifier and the message's number: one tree, which grows at the end
/// of each room, and no index beside it.
///
/// # Errors
/// Past 2^23 rooms and 2^40 messages in one, so that no room runs into the next.
pub(super) fn place(room: i64, seq: Seq) -> rusqlite::Result<i64> {
    let number = i64::try_from(seq.0).unwrap_or(i64::MAX);
    if !(0..1 << (63 - SEQ_BITS)).contains(&room) || !(0..1 << SEQ_BITS).contains(&number) {
        return Err(rusqlite::Error::IntegralValueOutOfRange(0, number));
    }
    Ok(room << SEQ_BITS | number)
}

/// Removes what is no longer kept from the beginning of a room. Looks at nothing but that and one message more.
fn prune(connection: &Connection, keep: Keep, room: i64, last: Seq, now: Timestamp) -> rusqlite::Result<()> {
    match keep {
        Keep::Count(count) => connection
            .prepare_cached("DELETE FROM message WHERE place BETWEEN ?1 AND ?2")?
            .execute([place(room, Seq(0))?, place(room, Seq(last.0.saturating_sub(count)))?])?,
        Keep::Days(days) => connection
            .prepare_cached(
                "DELETE FROM message WHERE place >= ?1 AND place < coalesce(
                     (SELECT place FROM message WHERE place BETWEEN ?1 AND ?2 AND time >= ?3 ORDER BY place LIMIT 1),
                     ?2 + 1)",
            )?
            .execute(params![place(room, Seq(0))?, place(room, last)?, now.0.saturating_sub(u64::from(days) * DAY)])?,
    };
    Ok(())
}

fn prune_posted(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM posted WHERE place <
                 (SELECT place FROM posted WHERE time >= ?1 ORDER BY place LIMIT 1)",
        )?
        .execute([now.0.saturating_sub(POSTED_KEPT)])?;
    Ok(())
}
