//! Transactions: a batch of commands is carried out whole, or not at all.

use std::collections::HashMap;

use rusqlite::{CachedStatement, Connection, Transaction, TransactionBehavior, params};

use super::posted::{self, Posted, Posts, Run};
use super::{DAY, Keep};
use crate::journal::{StoreCommand, StoreEvent};
use crate::model::{Incarnation, MessageId, RoomName, Seq, StoredRecord, Timestamp, UserName};

/// A database that was opened, and is not running yet.
#[derive(Debug)]
pub struct Store {
    pub(super) connection: Connection,
    keep: Keep,
    incarnation: Incarnation,
    /// The identifiers of rooms in which this incarnation has said something: known only when committed.
    rooms: HashMap<RoomName, i64>,
    /// Likewise.
    posts: Posts,
}

impl Store {
    pub(super) fn new(connection: Connection, keep: Keep, incarnation: Incarnation, posts: Posts) -> Self {
        Self { connection, keep, incarnation, rooms: HashMap::new(), posts }
    }

    /// Carries out a batch and commits it; returns the answers. After an error nothing of it is done.
    pub(super) fn carry_out(&mut self, batch: &[StoreCommand]) -> rusqlite::Result<Vec<StoreEvent>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut work = Work::begin(&transaction, self.incarnation, &self.rooms, &self.posts)?;
        let mut events = Vec::new();
        for command in batch {
            match command {
                StoreCommand::Append { token, record } => {
                    work.append(record)?;
                    if let Some(StoreEvent::Stored { tokens }) = events.last_mut() {
                        tokens.push(*token);
                    } else {
                        events.push(StoreEvent::Stored { tokens: vec![*token] });
                    }
                }
                StoreCommand::Lookup { token, user, message } => {
                    events.push(StoreEvent::Found { token: *token, place: work.find(*user, *message)? });
                }
            }
        }
        let Done { used, posted, run, newest } = work.finish(self.keep)?;
        transaction.commit()?;
        self.rooms.extend(used.into_iter().map(|(name, (room, _))| (name, room)));
        if let Some(run) = run {
            self.posts.close(run);
            self.posts.forget(newest);
        } else {
            self.posts.extend(posted);
        }
        Ok(events)
    }

    /// Removes what is no longer kept, in every room.
    pub(super) fn prune_all(&mut self, wall: Timestamp) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut rooms = transaction.prepare_cached("SELECT id, last FROM room")?;
            let mut rooms = rooms.query([])?;
            while let Some(room) = rooms.next()? {
                prune(&transaction, self.keep, room.get(0)?, Seq(room.get(1)?), wall)?;
            }
        }
        let run = self.posts.make_run(&transaction, &[], wall)?;
        posted::prune(&transaction, wall)?;
        transaction.commit()?;
        if let Some(run) = run {
            self.posts.close(run);
        }
        self.posts.forget(wall);
        Ok(())
    }
}

/// A transaction under way.
struct Work<'a> {
    transaction: &'a Transaction<'a>,
    incarnation: Incarnation,
    known: &'a HashMap<RoomName, i64>,
    posts: &'a Posts,
    /// The rooms that the batch writes to, with the number of the last message.
    used: HashMap<RoomName, (i64, Seq)>,
    /// What the batch adds to the posts.
    posted: Vec<Posted>,
    newest: Timestamp,
    // Used for every message, and therefore not looked up for each.
    insert_message: CachedStatement<'a>,
    insert_recent: CachedStatement<'a>,
}

/// What is known when a transaction is committed.
struct Done {
    used: HashMap<RoomName, (i64, Seq)>,
    posted: Vec<Posted>,
    run: Option<Run>,
    newest: Timestamp,
}

impl<'a> Work<'a> {
    fn begin(
        transaction: &'a Transaction<'a>,
        incarnation: Incarnation,
        known: &'a HashMap<RoomName, i64>,
        posts: &'a Posts,
    ) -> rusqlite::Result<Self> {
        let insert_message = transaction.prepare_cached(
            "INSERT INTO message (room, seq, time, sender, id, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let insert_recent =
            transaction.prepare_cached("INSERT INTO recent (sender, id, seq, time) VALUES (?1, ?2, ?3, ?4)")?;
        let (used, posted, newest) = (HashMap::new(), Vec::new(), Timestamp(0));
        Ok(Self { transaction, incarnation, known, posts, used, posted, newest, insert_message, insert_recent })
    }

    fn append(&mut self, record: &StoredRecord) -> rusqlite::Result<()> {
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
        self.insert_message.execute(params![id, seq.0, time.0, sender.as_str(), message.0, body])?;
        self.insert_recent.execute(params![sender.as_str(), message.0, seq.0, time.0])?;
        self.posted.push(((*sender, *message), (*seq, *time)));
        self.newest = self.newest.max(*time);
        Ok(())
    }

    fn find(&self, user: UserName, message: MessageId) -> rusqlite::Result<Option<(Seq, Timestamp)>> {
        let before = self.posts.find(self.transaction, user, message)?;
        let just_now = || self.posted.iter().find(|(post, _)| *post == (user, message)).map(|(_, place)| *place);
        Ok(before.or_else(just_now))
    }

    /// The first message of this incarnation in a room.
    fn begin_room(&self, room: RoomName, first: Seq) -> rusqlite::Result<i64> {
        let statement = |sql| self.transaction.prepare_cached(sql);
        statement("INSERT INTO room (name, last) VALUES (?1, 0) ON CONFLICT DO NOTHING")?.execute([room.as_str()])?;
        let id = statement("SELECT id FROM room WHERE name = ?1")?.query_row([room.as_str()], |row| row.get(0))?;
        statement("INSERT INTO start (room, incarnation, first) VALUES (?1, ?2, ?3)")?.execute(params![
            id,
            self.incarnation.0,
            first.0
        ])?;
        Ok(id)
    }

    fn finish(self, keep: Keep) -> rusqlite::Result<Done> {
        for &(room, last) in self.used.values() {
            self.transaction
                .prepare_cached("UPDATE room SET last = ?2 WHERE id = ?1")?
                .execute(params![room, last.0])?;
            prune(self.transaction, keep, room, last, self.newest)?;
        }
        let run = self.posts.make_run(self.transaction, &self.posted, self.newest)?;
        if run.is_some() {
            posted::prune(self.transaction, self.newest)?;
        }
        Ok(Done { used: self.used, posted: self.posted, run, newest: self.newest })
    }
}

/// Removes what is no longer kept from the beginning of a room. Looks at nothing but that and one message more.
fn prune(connection: &Connection, keep: Keep, room: i64, last: Seq, now: Timestamp) -> rusqlite::Result<()> {
    match keep {
        Keep::Count(count) => connection
            .prepare_cached("DELETE FROM message WHERE room = ?1 AND seq <= ?2")?
            .execute(params![room, last.0.saturating_sub(count)])?,
        Keep::Days(days) => connection
            .prepare_cached(
                "DELETE FROM message WHERE room = ?1 AND seq < coalesce(
                     (SELECT seq FROM message WHERE room = ?1 AND time >= ?2 ORDER BY seq LIMIT 1), ?3 + 1)",
            )?
            .execute(params![room, now.0.saturating_sub(u64::from(days) * DAY), last.0])?,
    };
    Ok(())
}
