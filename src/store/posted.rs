//! Which posts were stored in the last days, so that a retry is recognised.
//!
//! Identifiers are random: in an index over all of them, nearly every message would have a page of its own written, and
//! that would be most of what a commit costs. So the latest posts are written in the order of posting, and are found in
//! memory; and so many at a time are sorted into a run, which goes behind the runs before it and is removed as a whole.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::DAY;
use super::open::name;
use crate::model::{MessageId, Seq, Timestamp, UserName};

/// Posts in a run. With more, the commit that makes a run takes longer (about 10 ms with these).
pub(super) const RUN: usize = 8192;
/// Posts of so long make a run, too, however few they are.
const RUN_LASTS: u64 = DAY;
/// How long a run is kept after its last post, milliseconds.
const KEPT: u64 = 7 * DAY;
/// 16 bits for each post of a run, four of which are set: one in 400 posts that are not there is looked for in vain.
const FILTER_BITS: usize = 16 * RUN;

/// A post, and where it is.
pub(super) type Posted = ((UserName, MessageId), (Seq, Timestamp));

/// What is known of the posts on disk without looking.
#[derive(Debug, Default)]
pub(super) struct Posts {
    /// Oldest first.
    runs: Vec<Run>,
    /// Those that are in no run yet.
    recent: HashMap<(UserName, MessageId), (Seq, Timestamp)>,
    /// How many these are, those with an identifier that was there before included.
    count: usize,
    /// The time of the first of them.
    since: Option<Timestamp>,
}

#[derive(Debug)]
pub(super) struct Run {
    id: i64,
    newest: Timestamp,
    filter: Filter,
}

/// Which identifiers may be in a run (a Bloom filter). They are random, so that they need no hashing; who makes others
/// has more looked for in vain.
#[derive(Debug)]
struct Filter(Vec<u64>);

impl Posts {
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut posts = Self::default();
        let mut statement = connection.prepare("SELECT id, newest FROM run ORDER BY id")?;
        let mut identifiers = connection.prepare("SELECT id FROM posted WHERE run = ?1")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let mut run = Run { id: row.get(0)?, newest: Timestamp(row.get(1)?), filter: Filter::new() };
            let mut rows = identifiers.query([run.id])?;
            while let Some(row) = rows.next()? {
                run.filter.add(MessageId(row.get(0)?));
            }
            posts.runs.push(run);
        }
        let mut statement = connection.prepare("SELECT sender, id, seq, time FROM recent ORDER BY place")?;
        let recent = statement.query_map([], |row| {
            let post = (name(row, 0, UserName::from_wire)?, MessageId(row.get(1)?));
            Ok((post, (Seq(row.get(2)?), Timestamp(row.get(3)?))))
        })?;
        posts.extend(recent.collect::<rusqlite::Result<_>>()?);
        Ok(posts)
    }

    /// Adds what was posted, but for what has an identifier that is there already: a client that posts two messages under
    /// one identifier, without a word that it retries, has both said; a later retry finds the first.
    pub(super) fn extend(&mut self, posts: Vec<Posted>) {
        self.count += posts.len();
        self.since = self.since.or(time_of_first(&posts));
        for (post, place) in posts {
            self.recent.entry(post).or_insert(place);
        }
    }

    pub(super) fn find(
        &self,
        connection: &Connection,
        sender: UserName,
        message: MessageId,
    ) -> rusqlite::Result<Option<(Seq, Timestamp)>> {
        for run in self.runs.iter().filter(|run| run.filter.may_have(message)) {
            let place = connection
                .prepare_cached("SELECT seq, time FROM posted WHERE run = ?1 AND sender = ?2 AND id = ?3")?
                .query_row(params![run.id, sender.as_str(), message.0], |row| {
                    Ok((Seq(row.get(0)?), Timestamp(row.get(1)?)))
                })
                .optional()?;
            if place.is_some() {
                return Ok(place);
            }
        }
        Ok(self.recent.get(&(sender, message)).copied())
    }

    /// Makes a run of all that is in none and of the `later` posts, if it is time. What it returns is for
    /// [`Posts::close`], when that is committed.
    pub(super) fn make_run(
        &self,
        connection: &Connection,
        later: &[Posted],
        now: Timestamp,
    ) -> rusqlite::Result<Option<Run>> {
        let since = self.since.or(time_of_first(later));
        let is_due = since.is_some_and(|since| since.0.saturating_add(RUN_LASTS) <= now.0);
        if self.count + later.len() < RUN && !is_due {
            return Ok(None);
        }
        let mut filter = Filter::new();
        self.recent.keys().chain(later.iter().map(|(post, _)| post)).for_each(|(_, message)| filter.add(*message));
        let (id, newest) = connection
            .prepare_cached("INSERT INTO run (newest) SELECT max(time) FROM recent RETURNING id, newest")?
            .query_row([], |row| Ok((row.get(0)?, Timestamp(row.get(1)?))))?;
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO posted
                 SELECT ?1, sender, id, seq, time FROM recent ORDER BY sender, id, place",
            )?
            .execute([id])?;
        connection.prepare_cached("DELETE FROM recent")?.execute([])?;
        Ok(Some(Run { id, newest, filter }))
    }

    /// What was in no run is in this one.
    pub(super) fn close(&mut self, run: Run) {
        self.runs.push(run);
        self.recent.clear();
        self.count = 0;
        self.since = None;
    }

    /// The runs that are too old are removed, by [`prune`].
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.runs.retain(|run| run.newest >= oldest_kept(now));
    }
}

impl Filter {
    fn new() -> Self {
        Self(vec![0; FILTER_BITS / 64])
    }

    /// The bits of an identifier: in which words, and which there.
    fn bits(message: MessageId) -> [(usize, u64); 4] {
        let number = u128::from_be_bytes(message.0);
        [0, 32, 64, 96].map(|shift| {
            let bit = (number >> shift) as usize % FILTER_BITS;
            (bit / 64, 1 << (bit % 64))
        })
    }

    fn add(&mut self, message: MessageId) {
        for (word, bit) in Self::bits(message) {
            if let Some(word) = self.0.get_mut(word) {
                *word |= bit;
            }
        }
    }

    fn may_have(&self, message: MessageId) -> bool {
        Self::bits(message).into_iter().all(|(word, bit)| self.0.get(word).is_some_and(|word| word & bit != 0))
    }
}

/// Removes the runs that are too old.
pub(super) fn prune(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let oldest = oldest_kept(now).0;
    connection
        .prepare_cached("DELETE FROM posted WHERE run IN (SELECT id FROM run WHERE newest < ?1)")?
        .execute([oldest])?;
    connection.prepare_cached("DELETE FROM run WHERE newest < ?1")?.execute([oldest])?;
    Ok(())
}

fn oldest_kept(now: Timestamp) -> Timestamp {
    Timestamp(now.0.saturating_sub(KEPT))
}

fn time_of_first(posts: &[Posted]) -> Option<Timestamp> {
    posts.first().map(|(_, (_, time))| *time)
}
