//! Which posts were stored in the last days, so that a retry is recognised.
//!
//! Identifiers are random: in an index over all of them, nearly every message would have a page of its own written, and
//! that would be most of what a commit costs. So the latest posts are written in the order of posting, and are found in
//! memory; and so many at a time are sorted into a run, which goes behind the runs before it and is removed as a whole.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::open::name;
use crate::model::{MessageId, Seq, Timestamp, UserName};

/// Posts in a run. With more, the commit that makes a run takes longer (10 ms with these); with fewer, a lookup does,
/// because it looks into each run.
pub(super) const RUN: usize = 8192;
/// Posts of so long make a run, too, however few they are.
const RUN_LASTS: u64 = super::DAY;
/// How long a run is kept after its last post, milliseconds.
const KEPT: u64 = 7 * super::DAY;

/// A post, and where it is.
pub(super) type Posted = ((UserName, MessageId), (Seq, Timestamp));

/// Posts that are in no run yet.
#[derive(Debug, Default)]
pub(super) struct Recent {
    places: HashMap<(UserName, MessageId), (Seq, Timestamp)>,
    /// How many they are, those with an identifier that was there before included.
    count: usize,
    /// The time of the first.
    since: Option<Timestamp>,
}

impl Recent {
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut recent = Self::default();
        let mut statement = connection.prepare("SELECT sender, id, seq, time FROM recent ORDER BY place")?;
        let posts = statement.query_map([], |row| {
            let post = (name(row, 0, UserName::from_wire)?, MessageId(row.get(1)?));
            Ok((post, (Seq(row.get(2)?), Timestamp(row.get(3)?))))
        })?;
        recent.extend(posts.collect::<rusqlite::Result<Vec<Posted>>>()?);
        Ok(recent)
    }

    /// Adds what was posted, but for what has an identifier that is there already: a client that posts two messages under
    /// one identifier, without a word that it retries, has both said; a later retry finds the first.
    pub(super) fn extend(&mut self, posts: Vec<Posted>) {
        self.count += posts.len();
        self.since = self.since.or(time_of_first(&posts));
        for (post, place) in posts {
            self.places.entry(post).or_insert(place);
        }
    }

    /// When they are in a run.
    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.count = 0;
        self.since = None;
    }

    pub(super) fn find(&self, sender: UserName, message: MessageId) -> Option<(Seq, Timestamp)> {
        self.places.get(&(sender, message)).copied()
    }

    /// Whether these and the `later` ones are to become a run.
    pub(super) fn make_a_run(&self, later: &[Posted], now: Timestamp) -> bool {
        self.count + later.len() >= RUN
            || self.since.or(time_of_first(later)).is_some_and(|since| since.0.saturating_add(RUN_LASTS) <= now.0)
    }
}

fn time_of_first(posts: &[Posted]) -> Option<Timestamp> {
    posts.first().map(|(_, (_, time))| *time)
}

/// Looks for a post in all runs. Those before are older than all of [`Recent`].
pub(super) fn find_in_runs(
    connection: &Connection,
    sender: UserName,
    message: MessageId,
) -> rusqlite::Result<Option<(Seq, Timestamp)>> {
    connection
        .prepare_cached(
            "SELECT posted.seq, posted.time FROM run CROSS JOIN posted ON posted.run = run.id
             WHERE posted.sender = ?1 AND posted.id = ?2 ORDER BY run.id LIMIT 1",
        )?
        .query_row(params![sender.as_str(), message.0], |row| Ok((Seq(row.get(0)?), Timestamp(row.get(1)?))))
        .optional()
}

/// Makes a run of all that is in none, and removes the runs that are too old.
pub(super) fn make_run(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    connection.prepare_cached("INSERT INTO run (newest) SELECT max(time) FROM recent")?.execute([])?;
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO posted
             SELECT ?1, sender, id, seq, time FROM recent ORDER BY sender, id, place",
        )?
        .execute([connection.last_insert_rowid()])?;
    connection.prepare_cached("DELETE FROM recent")?.execute([])?;
    prune(connection, now)
}

/// Removes the runs that are too old.
pub(super) fn prune(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let oldest = now.0.saturating_sub(KEPT);
    connection
        .prepare_cached("DELETE FROM posted WHERE run IN (SELECT id FROM run WHERE newest < ?1)")?
        .execute([oldest])?;
    connection.prepare_cached("DELETE FROM run WHERE newest < ?1")?.execute([oldest])?;
    Ok(())
}
