//! Reading back what was said: from memory as far as that goes, and from the store beyond it.

use std::time::Duration;

use super::requests::{no_room, refused_for};
use super::rooms::Resume;
use super::{At, Hub, Output, PAGE_BYTES};
use crate::journal::{Span, StoreCommand};
use crate::model::{RoomName, Seq, SessionId, StoreToken, StoredRecord, UserName};
use crate::proto::message::{Encoded, ErrorCode, History, HistoryEnd, Join, Joined, Refused, Reply, RequestId};

/// Most pages that one user waits for, over all of the user's sessions.
const READS: u32 = 8;
/// When to ask again, if there are more.
const RETRY: Duration = Duration::from_millis(100);

/// A page that the store has not given yet.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) user: UserName,
    session: SessionId,
    id: RequestId,
    span: Span,
    then: Then,
}

/// What the page is for.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// The session enters the room, as soon as it has what was said.
    Enter(Resume),
    /// The session gets it.
    History,
}

impl Hub {
    /// Lets a session of a member into a room, as soon as it has what was said.
    pub(super) fn enter(&mut self, session: SessionId, id: RequestId, join: &Join, at: At) -> Result<(), Refused> {
        self.may_read(session, at)?;
        let (room, user) = self.room_of_member(session, join.room)?;
        let resume = room.resume(user, join, self.incarnation, &self.settings);
        self.let_in(session, id, join.room, resume, Vec::new(), at)
    }

    fn room_of_member(&self, session: SessionId, name: RoomName) -> Result<(&super::rooms::Room, UserName), Refused> {
        let user = self.asking(session)?;
        let room = self.rooms.get(&name).filter(|room| room.has_member(user)).ok_or_else(|| no_room(name))?;
        Ok((room, user))
    }

    /// Gives a session what it has not got of a room, and lets it in if that is all. `records` come first, up to where
    /// `resume` begins.
    fn let_in(
        &mut self,
        session: SessionId,
        id: RequestId,
        name: RoomName,
        resume: Resume,
        records: Vec<StoredRecord>,
        at: At,
    ) -> Result<(), Refused> {
        let (room, user) = self.room_of_member(session, name)?;
        if let Some(before) = room.not_in_memory(resume.from).filter(|_| records.is_empty()) {
            let span = Span {
                room: name,
                after: resume.from,
                before,
                latest: false,
                limit: self.settings.history_limit,
                bytes: PAGE_BYTES,
            };
            return self.read(session, id, span, Then::Enter(resume));
        }
        let mut parts = Vec::new();
        for record in records {
            Encoded::from(record).append_part(id, &mut parts);
        }
        // What is between is asked for next.
        let has_gap = room.not_in_memory(resume.from).is_some();
        let (last, caught_up) =
            if has_gap { (resume.from, false) } else { room.page_after(resume.from, id, &mut parts) };
        let enters = caught_up && self.become_present(session, name, at);
        let Some(room) = self.rooms.get(&name) else { return Ok(()) };
        let info = self.info(name, room, user);
        let joined = Joined { info, caught_up, last, gone: resume.gone, withdrawn_after: resume.withdrawn_after };
        self.answer(session, id, parts, Reply::Joined(joined), at);
        if enters {
            self.outputs.push_back(Output::Enter { session, room: name });
        }
        Ok(())
    }

    pub(super) fn history(
        &mut self,
        session: SessionId,
        id: RequestId,
        history: &History,
        at: At,
    ) -> Result<(), Refused> {
        self.may_read(session, at)?;
        let room = self.room_to_see(session, history.room, at)?;
        let limit = history.limit.min(self.settings.history_limit);
        let end = room.last.next();
        let before = history.before.map_or(end, |before| before.min(end));
        let latest = room.latest_before(before, limit);
        let first = Seq(before.0.saturating_sub(latest.len() as u64));
        // What is in memory is enough of an answer: who wants more asks for what is before it.
        if limit == 0 || !latest.is_empty() || first <= Seq(1) {
            self.give_history(session, id, history.room, &latest, first > Seq(1), at);
            return Ok(());
        }
        let span = Span { room: history.room, after: Seq(0), before: first, latest: true, limit, bytes: PAGE_BYTES };
        self.read(session, id, span, Then::History)
    }

    fn give_history(
        &mut self,
        session: SessionId,
        id: RequestId,
        room: RoomName,
        messages: &[Encoded],
        more: bool,
        at: At,
    ) {
        let mut parts = Vec::new();
        for message in messages {
            message.append_part(id, &mut parts);
        }
        self.answer(session, id, parts, Reply::HistoryEnd(HistoryEnd { room, more }), at);
    }

    fn read(&mut self, session: SessionId, id: RequestId, span: Span, then: Then) -> Result<(), Refused> {
        let user = self.asking(session)?;
        let Some(known) = self.users.get_mut(&user) else { return Ok(()) };
        if known.reads >= READS {
            let text = format!("{READS} of your readings wait for the server's disk");
            return Err(refused_for(RETRY, ErrorCode::RateLimited, text));
        }
        known.reads += 1;
        let token = self.next_token();
        self.readings.insert(token, Reading { user, session, id, span, then });
        self.outputs.push_back(Output::Store(StoreCommand::Read { token, span }));
        Ok(())
    }

    /// The store gives a page.
    pub(super) fn page(&mut self, token: StoreToken, records: Vec<StoredRecord>, more: bool, at: At) {
        let Some(Reading { user, session, id, span, then }) = self.readings.remove(&token) else { return };
        if let Some(user) = self.users.get_mut(&user) {
            user.reads = user.reads.saturating_sub(1);
        }
        if !self.sessions.contains_key(&session) {
            return;
        }
        let given = if self.is_unwritten_in(&span) {
            Err(super::posts::storage_unavailable())
        } else {
            self.give_page(session, id, &span, then, records, more, at)
        };
        if let Err(refusal) = given {
            self.refuse(session, id, refusal, at);
        }
    }

    /// Whether the store fails to write what belongs into a span: then a page of it has gaps.
    fn is_unwritten_in(&self, span: &Span) -> bool {
        self.store_failing
            && self.pending.values().any(|pending| {
                pending.room == span.room && pending.seq().is_some_and(|seq| seq > span.after && seq < span.before)
            })
    }

    #[expect(clippy::too_many_arguments, reason = "what was asked, and its answer")]
    fn give_page(
        &mut self,
        session: SessionId,
        id: RequestId,
        span: &Span,
        then: Then,
        records: Vec<StoredRecord>,
        more: bool,
        at: At,
    ) -> Result<(), Refused> {
        match then {
            Then::Enter(mut resume) => {
                let end = Seq(span.before.0.saturating_sub(1));
                // What is not there any more was at the beginning.
                let first = records.first().map_or(span.before, |record| record.seq);
                if let Some(has) = resume.has {
                    resume.gone = first.0.saturating_sub(has.next().0);
                }
                resume.from = records.last().filter(|_| more).map_or(end, |record| record.seq);
                self.let_in(session, id, span.room, resume, records, at)
            }
            Then::History => {
                self.room_to_see(session, span.room, at)?;
                let messages: Vec<Encoded> = records.into_iter().map(Encoded::from).collect();
                self.give_history(session, id, span.room, &messages, more, at);
                Ok(())
            }
        }
    }
}
