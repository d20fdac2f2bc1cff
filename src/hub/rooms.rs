//! A room: who is in it, its numbers, and its last messages.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::direct::Progress;
use super::sanctions::Sanctions;
use super::{PAGE_BYTES, PRESENCE_USERS, Settings, WINDOW_BYTES};
use crate::journal::RestoredRoom;
use crate::model::{Incarnation, Seq, UserName};
use crate::proto::message::{Encoded, Join, RequestId, Status};

#[derive(Debug, Default)]
pub(super) struct Room {
    /// The number of the last message, on disk or on its way.
    pub(super) last: Seq,
    /// The last messages, oldest first, up to `last`: at most `history_limit`, and [`WINDOW_BYTES`].
    pub(super) window: VecDeque<(Seq, Encoded)>,
    pub(super) window_bytes: usize,
    /// The first number that each incarnation gave here, oldest first.
    pub(super) starts: Vec<(Incarnation, Seq)>,
    /// What it is about; empty if nobody has said.
    pub(super) topic: String,
    /// Who decides over it, whether a member or not; only admins, if nobody does.
    pub(super) owner: Option<UserName>,
    /// Whether every registered user is a member.
    pub(super) is_everyones: bool,
    /// Who is a member, where not everyone is.
    pub(super) members: BTreeSet<UserName>,
    /// Whether it is that of two users.
    pub(super) is_direct: bool,
    /// Of a private room, how many statements its roster has; 0 of others.
    pub(super) roster: u64,
    /// Of a direct room, how far its messages have come with whom.
    pub(super) progress: BTreeMap<UserName, Progress>,
    /// Who may not become one.
    pub(super) banned: Sanctions,
    /// Who may not speak.
    pub(super) muted: Sanctions,
    /// Which members are here, with how many sessions.
    pub(super) present: BTreeMap<UserName, u32>,
    /// Who came or left since the last presence event, with whether the user was here before.
    pub(super) changes: BTreeMap<UserName, bool>,
    /// Whose status may have changed since then.
    pub(super) statuses: BTreeSet<UserName>,
    /// What was told of those who are here; nothing of who is simply online.
    pub(super) told: BTreeMap<UserName, Status>,
    /// More came or left than a presence event tells.
    pub(super) too_many_changes: bool,
}

/// Where a client that comes back goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resume {
    /// It gets what is after this.
    pub(super) from: Seq,
    /// So many before that it does not get, although it was here before.
    pub(super) gone: u64,
    /// What it has, if it was here before.
    pub(super) has: Option<Seq>,
    /// What it has beyond this was never stored.
    pub(super) withdrawn_after: Option<Seq>,
}

impl Room {
    pub(super) fn restore(restored: RestoredRoom, history_limit: u32) -> Self {
        let mut room = Self {
            last: restored.last,
            starts: restored.starts,
            topic: restored.topic,
            owner: restored.owner,
            members: restored
                .room
                .pair()
                .map_or_else(|| restored.members.into_iter().collect(), |(first, second)| [first, second].into()),
            is_direct: restored.room.is_direct(),
            roster: restored.roster,
            progress: restored
                .progress
                .into_iter()
                // What was told of messages that a crash has taken is told no more.
                .map(|(user, delivered, read)| {
                    (user, Progress { delivered: delivered.min(restored.last), read: read.min(restored.last) })
                })
                .collect(),
            banned: Sanctions::restore(restored.banned),
            muted: Sanctions::restore(restored.muted),
            ..Self::default()
        };
        // From the newest backwards, as far as there is no gap.
        let mut expected = restored.last;
        for record in restored.window.into_iter().rev().take(history_limit as usize) {
            if record.seq != expected || expected == Seq(0) {
                break;
            }
            let encoded = Encoded::from(record);
            if room.window_bytes + encoded.event().len() > WINDOW_BYTES && !room.window.is_empty() {
                break;
            }
            expected = Seq(expected.0 - 1);
            room.window_bytes += encoded.event().len();
            room.window.push_front((Seq(expected.0 + 1), encoded));
        }
        room
    }

    /// Adds the next message, under number `last.next()`.
    pub(super) fn append(&mut self, encoded: Encoded, incarnation: Incarnation, history_limit: u32) {
        self.last = self.last.next();
        if self.starts.last().is_none_or(|&(newest, _)| newest < incarnation) {
            self.starts.push((incarnation, self.last));
        }
        self.window_bytes += encoded.event().len();
        self.window.push_back((self.last, encoded));
        self.shorten(history_limit);
    }

    /// Forgets the first messages that are more than may be kept in memory.
    fn shorten(&mut self, history_limit: u32) {
        while self.window.len() > history_limit as usize || (self.window_bytes > WINDOW_BYTES && self.window.len() > 1)
        {
            let Some((_, first)) = self.window.pop_front() else { return };
            self.window_bytes -= first.event().len();
        }
    }

    /// Keeps no message in memory.
    pub(super) fn forget_window(&mut self) {
        self.window.clear();
        self.window.shrink_to_fit();
        self.window_bytes = 0;
    }

    /// Where a client goes on that has what is up to a position, or is here for the first time.
    pub(super) fn resume(&self, user: UserName, join: &Join, current: Incarnation, settings: &Settings) -> Resume {
        let last = |count: u32| Seq(self.last.0.saturating_sub(count.into()));
        let oldest = last(settings.history_limit);
        let backlog = last(settings.join_backlog).max(oldest);
        let Some(after) = join.after else {
            // In a direct room, what the user has not got from anywhere, too.
            let got = self.progress.get(&user).map_or(Seq(0), |progress| progress.delivered);
            let wanted = if self.is_direct { got } else { self.last };
            return Resume { from: backlog.min(wanted).max(oldest), gone: 0, has: None, withdrawn_after: None };
        };
        let valid = self.valid_up_to(after.incarnation, current);
        let has = after.seq.min(valid);
        let missed = has.max(oldest);
        // If something is gone, that is all there is.
        let from = if join.backlog { missed.min(backlog) } else { missed };
        let withdrawn_after = (after.seq > valid).then_some(valid);
        Resume { from, gone: missed.0 - has.0, has: Some(has), withdrawn_after }
    }

    /// The first message in memory, if there are some between it and `from` that are not.
    pub(super) fn not_in_memory(&self, from: Seq) -> Option<Seq> {
        let first = self.window.front().map_or(self.last.next(), |&(seq, _)| seq);
        (from.next() < first).then_some(first)
    }

    /// The last number that still means what it meant to who got it from `incarnation`: the last one that was on disk
    /// when that ended.
    fn valid_up_to(&self, incarnation: Incarnation, current: Incarnation) -> Seq {
        if incarnation > current {
            // The database is older than what the client saw of it, by an unknown number of messages.
            return Seq(0);
        }
        let later = self.starts.get(self.starts.partition_point(|&(start, _)| start <= incarnation));
        later.map_or(self.last, |&(_, first)| Seq(first.0.saturating_sub(1)))
    }

    /// Appends the messages after `from` as parts of an answer, as many as fit in a page. Returns the number of the last
    /// one, and whether it is the room's last.
    pub(super) fn page_after(&self, from: Seq, id: RequestId, out: &mut Vec<u8>) -> (Seq, bool) {
        let mut last = from;
        for (seq, encoded) in self.window.range(self.window.partition_point(|&(seq, _)| seq <= from)..) {
            if !out.is_empty() && out.len() + encoded.event().len() > PAGE_BYTES {
                return (last, false);
            }
            encoded.append_part(id, out);
            last = *seq;
        }
        (self.last, true)
    }

    /// The latest messages before `before` that are in memory, oldest first, at most `limit` and a page.
    pub(super) fn latest_before(&self, before: Seq, limit: u32) -> Vec<Encoded> {
        let end = self.window.partition_point(|&(seq, _)| seq < before);
        let (mut latest, mut bytes) = (Vec::new(), 0);
        for (_, encoded) in self.window.range(..end).rev().take(limit as usize) {
            bytes += encoded.event().len();
            if !latest.is_empty() && bytes > PAGE_BYTES {
                break;
            }
            latest.push(encoded.clone());
        }
        latest.reverse();
        latest
    }

    /// Whether only those whom its owner lets in know of it.
    pub(super) fn is_private(&self) -> bool {
        self.roster > 0
    }

    /// Whether what is said in it is sealed.
    pub(super) fn is_sealed(&self) -> bool {
        self.is_direct || self.is_private()
    }

    /// Whether a user may know that it is there.
    pub(super) fn is_visible_to(&self, user: UserName) -> bool {
        !self.is_sealed() || self.has_member(user)
    }

    /// Whether a user is a member, here or not.
    pub(super) fn has_member(&self, user: UserName) -> bool {
        self.is_everyones || self.members.contains(&user)
    }

    /// One more session of a user is here.
    pub(super) fn enter(&mut self, user: UserName) {
        let sessions = self.present.entry(user).or_insert(0);
        *sessions += 1;
        if *sessions == 1 {
            self.note_change(user, false);
        }
    }

    /// One session of a user is no longer here.
    pub(super) fn leave(&mut self, user: UserName) {
        let Some(sessions) = self.present.get_mut(&user) else { return };
        *sessions = sessions.saturating_sub(1);
        if *sessions == 0 {
            self.present.remove(&user);
            self.note_change(user, true);
        }
    }

    fn note_change(&mut self, user: UserName, was_here: bool) {
        if self.too_many_changes || self.is_direct {
            return;
        }
        self.changes.entry(user).or_insert(was_here);
        if self.changes.len() > PRESENCE_USERS {
            self.changes.clear();
            self.too_many_changes = true;
        }
    }
}
