//! What people say: checked, numbered, delivered, handed to the store, acknowledged when it is on disk.

use std::time::Duration;

use super::requests::{ending, no_room, refused, refused_for, refused_with_hint};
use super::shutdown::Phase;
use super::{At, Hub, LogEvent, Output, Record, UNACKNOWLEDGED};
use crate::journal::StoreCommand;
use crate::model::{MessageId, RoomName, Seq, SessionId, StoreToken, StoredRecord, Timestamp, UserName};
use crate::proto::message::{
    Accepted, Body, Encoded, ErrorCode, Post, Refused, Reply, RequestId, ServerMessage, Stored, sealed_bytes,
};

/// When to post again what the store could not take.
const STORE_RETRY: Duration = Duration::from_secs(2);
/// When to post again after [`UNACKNOWLEDGED`] posts: about the time of a slow commit.
const ACKNOWLEDGE_RETRY: Duration = Duration::from_millis(100);

/// Something that the store has not answered yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) user: UserName,
    pub(super) message: MessageId,
    pub(super) room: RoomName,
    pub(super) stage: Stage,
    /// Who is told how it ended.
    pub(super) waiters: Waiters,
}

impl Pending {
    /// The message's number, if it has one.
    pub(super) fn seq(&self) -> Option<Seq> {
        match self.stage {
            Stage::Looking { .. } => None,
            Stage::Writing(seq, _) => Some(seq),
        }
    }
}

/// What the store was asked.
#[derive(Debug)]
pub(super) enum Stage {
    /// To look whether the message is stored; if not, it is posted then, unless the one before it was refused.
    Looking { body: Body, after: Option<MessageId>, urgent: bool },
    /// To write it, under this number.
    Writing(Seq, Timestamp),
}

/// The requests that posted a message: one, and more if it is posted again while it is under way.
#[derive(Debug)]
pub(super) struct Waiters {
    pub(super) first: (SessionId, RequestId),
    pub(super) more: Vec<(SessionId, RequestId)>,
}

impl Waiters {
    pub(super) fn iter(&self) -> impl Iterator<Item = (SessionId, RequestId)> {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.more.len()).unwrap_or(u32::MAX).saturating_add(1)
    }
}

impl Hub {
    pub(super) fn post(&mut self, session: SessionId, id: RequestId, post: Post, at: At) -> Result<(), Refused> {
        let (room, message) = (post.room, post.message);
        let answered =
            if self.is_behind(session, room, post.after) { Err(behind()) } else { self.take(session, id, post, at) };
        if answered.as_ref().is_err_and(passes) {
            self.put_off(session, room, message);
        }
        answered
    }

    /// Whether a post comes behind one that was refused for now.
    fn is_behind(&self, session: SessionId, room: RoomName, after: Option<MessageId>) -> bool {
        after.is_some_and(|after| {
            self.sessions.get(&session).is_some_and(|session| session.put_off.contains(&(room, after)))
        })
    }

    /// Notes that a post was refused for now. Of each room the last one is enough: what comes behind it names it.
    fn put_off(&mut self, session: SessionId, room: RoomName, message: MessageId) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.put_off.retain(|(other, _)| *other != room);
            session.put_off.push((room, message));
        }
    }

    fn take(&mut self, session: SessionId, id: RequestId, post: Post, at: At) -> Result<(), Refused> {
        let Some(asking) = self.sessions.get(&session) else { return Ok(()) };
        let (user, opened) = (asking.user, asking.opened);
        if !asking.rooms.contains(&post.room) {
            let visible = self.rooms.get(&post.room).is_some_and(|room| room.is_visible_to(user));
            return Err(if visible { not_in(post.room) } else { no_room(post.room) });
        }
        if let Some(how_long) = self.rooms.get(&post.room).and_then(|room| room.muted.in_force(user, at.wall)) {
            return Err(refused(ErrorCode::Forbidden, format!("you are muted in {} {how_long}", post.room)));
        }
        self.check_sealed(post.room, &post.body)?;
        self.check_body(&post.body)?;
        // What may be stored already is looked for first.
        if !self.may_be_posted_already(user, opened, post.retry) {
            self.check_partner(user, post.room, post.urgent, at)?;
        }
        if self.store_failing {
            return Err(storage_unavailable());
        }
        self.admit(user, post.retry, at)?;
        if let Some(token) = self.in_flight.get(&(user, post.message)).copied()
            && !self.forget_if_abandoned(token)
            && let Some(pending) = self.pending.get_mut(&token)
        {
            // Posted again while the first one is still under way: they end together.
            pending.waiters.more.push((session, id));
            return Ok(());
        }
        let waiters = Waiters { first: (session, id), more: Vec::new() };
        if self.may_be_posted_already(user, opened, post.retry) {
            let Post { room, message, body, after, urgent, .. } = post;
            let stage = Stage::Looking { body, after, urgent };
            let token = self.wait_for_store(Pending { user, message, room, stage, waiters });
            self.outputs.push_back(Output::Store(StoreCommand::Lookup { token, user, message }));
        } else {
            self.publish(user, post.room, post.message, post.body, waiters, at);
        }
        Ok(())
    }

    pub(super) fn is_in(&self, session: SessionId, room: RoomName) -> bool {
        self.sessions.get(&session).is_some_and(|session| session.rooms.contains(&room))
    }

    /// Forgets a lookup whose answer nobody waits for any more, and returns whether it was one. Who joined it now would
    /// overtake what he posted before it, if the answer to that came in between, when nobody waited for it either.
    fn forget_if_abandoned(&mut self, token: StoreToken) -> bool {
        let is_abandoned = self.pending.get(&token).is_some_and(|pending| {
            matches!(pending.stage, Stage::Looking { .. })
                && !pending.waiters.iter().any(|(session, _)| self.sessions.contains_key(&session))
        });
        if is_abandoned && let Some(pending) = self.settle(token, |_| true) {
            self.release(pending.user, pending.waiters.count());
        }
        is_abandoned
    }

    /// Whether the store has to be asked before this is posted: because it is a retry, or because it comes on an older
    /// connection than one with retries. A client that has come back may have posted it there meanwhile, while what it
    /// had sent on the connection that broke for it was still on its way.
    fn may_be_posted_already(&mut self, user: UserName, opened: u64, retry: bool) -> bool {
        let Some(user) = self.users.get_mut(&user) else { return retry };
        if retry {
            user.retried = user.retried.max(opened);
        }
        retry || opened < user.retried
    }

    fn check_body(&self, body: &Body) -> Result<(), Refused> {
        let limit = self.settings.message_bytes as usize;
        if let Body::Sealed { sealed, .. } = body {
            let most = sealed_bytes(limit);
            let text = || format!("the message has {} bytes when it is sealed, the server takes {most}", sealed.len());
            return if sealed.len() <= most { Ok(()) } else { Err(refused(ErrorCode::TooLarge, text())) };
        }
        let text = body.text();
        if text.len() > limit {
            return Err(refused_with_hint(
                ErrorCode::TooLarge,
                format!("the message has {} bytes, the server takes {limit}", text.len()),
                "send it in parts",
            ));
        }
        if text.contains('\0') {
            return Err(refused(ErrorCode::Malformed, "a message can't contain the character NUL"));
        }
        if text.trim().is_empty() {
            return Err(refused(ErrorCode::Malformed, "the message is empty"));
        }
        Ok(())
    }

    /// Charges a user as for a post, for something that is neither kept nor counted.
    pub(super) fn charge(&mut self, user: UserName, at: At) -> Result<(), Refused> {
        self.admit(user, false, at)?;
        self.release(user, 1);
        Ok(())
    }

    /// Charges a user for a change as for a post, and counts it as under way; or says why not.
    pub(super) fn admit_change(&mut self, user: UserName, at: At) -> Result<(), Refused> {
        if self.store_failing {
            return Err(storage_unavailable());
        }
        self.admit(user, false, at)
    }

    /// Charges a user for a post, and counts it as under way; or says why not.
    fn admit(&mut self, user: UserName, retry: bool, at: At) -> Result<(), Refused> {
        let Some(user) = self.users.get_mut(&user) else { return Err(ending()) };
        if user.unacknowledged >= UNACKNOWLEDGED {
            let text = format!("{UNACKNOWLEDGED} of your messages wait for the server's disk");
            return Err(refused_for(ACKNOWLEDGE_RETRY, ErrorCode::RateLimited, text));
        }
        let cost = Duration::from_secs(1) / self.settings.message_rate.get();
        let mut capacity = cost.saturating_mul(self.settings.message_burst.get());
        if retry {
            // What a client posts again after a broken connection was within the limits before, and a refusal in its
            // midst would break its order. So it may overdraw; what is posted next waits for that.
            capacity = capacity.saturating_add(cost.saturating_mul(UNACKNOWLEDGED));
        }
        let wait = user.posting.wait(cost, capacity, at.now);
        if !wait.is_zero() {
            let text = "you send too many messages in too short a time";
            return Err(refused_for(wait, ErrorCode::RateLimited, text));
        }
        user.posting.take(cost, at.now);
        user.unacknowledged += 1;
        Ok(())
    }

    /// Gives a message its number, delivers it, and hands it to the store.
    fn publish(&mut self, user: UserName, name: RoomName, message: MessageId, body: Body, waiters: Waiters, at: At) {
        let Some(room) = self.rooms.get_mut(&name) else { return };
        let (seq, time) = (room.last.next(), at.wall);
        let bytes = body.to_cbor();
        let key = if let Body::Sealed { key, .. } = &body { Some(*key) } else { None };
        let encoded = Encoded::new(&Stored { room: name, seq, time, sender: user, message, body: Some(body) });
        self.outputs.push_back(Output::ToRoom { room: name, bytes: encoded.event().clone() });
        let event = self.settings.records.then(|| encoded.event().clone());
        let is_direct = room.is_direct;
        room.append(encoded, self.incarnation, self.settings.history_limit);
        let stage = Stage::Writing(seq, time);
        let token = self.wait_for_store(Pending { user, message, room: name, stage, waiters });
        let record = StoredRecord { room: name, seq, time, sender: user, message, body: bytes };
        self.outputs.push_back(Output::Store(StoreCommand::Append { token, record, key }));
        self.outputs.extend(event.map(|event| Output::Record(Record::Said(event))));
        if is_direct {
            self.announce_direct(name, user);
        }
    }

    fn wait_for_store(&mut self, pending: Pending) -> StoreToken {
        let token = self.next_token();
        self.in_flight.insert((pending.user, pending.message), token);
        self.pending.insert(token, pending);
        token
    }

    pub(super) fn next_token(&mut self) -> StoreToken {
        let token = StoreToken(self.next_token);
        self.next_token += 1;
        token
    }

    /// Ends the wait for an answer of the store, or `None` if this one is not waited for.
    fn settle(&mut self, token: StoreToken, is_answer: impl FnOnce(&Stage) -> bool) -> Option<Pending> {
        if !is_answer(&self.pending.get(&token)?.stage) {
            return None;
        }
        let pending = self.pending.remove(&token)?;
        self.in_flight.remove(&(pending.user, pending.message));
        Some(pending)
    }

    pub(super) fn stored(&mut self, commits: &[StoreToken], at: At) {
        for token in commits {
            if self.changed(*token, at) {
                continue;
            }
            let settled = self.settle(*token, |stage| matches!(stage, Stage::Writing(..)));
            if let Some(Pending { user, stage: Stage::Writing(seq, time), waiters, .. }) = settled {
                self.acknowledge(user, &waiters, &Reply::Accepted(Accepted { seq, time }));
            }
        }
    }

    pub(super) fn found(&mut self, token: StoreToken, place: Option<(Seq, Timestamp)>, at: At) {
        let settled = self.settle(token, |stage| matches!(stage, Stage::Looking { .. }));
        let Some(Pending { user, message, room, stage: Stage::Looking { body, after, urgent }, waiters }) = settled
        else {
            return;
        };
        if let Some((seq, time)) = place {
            self.acknowledge(user, &waiters, &Reply::Accepted(Accepted { seq, time }));
        } else if self.phase != Phase::Running {
            self.acknowledge(user, &waiters, &Reply::Error(ending()));
        } else if self.store_failing || waiters.iter().any(|(session, _)| self.is_behind(session, room, after)) {
            waiters.iter().for_each(|(session, _)| self.put_off(session, room, message));
            let refusal = if self.store_failing { storage_unavailable() } else { behind() };
            self.acknowledge(user, &waiters, &Reply::Error(refusal));
        } else if waiters.iter().any(|(session, _)| self.is_in(session, room)) {
            match self.check_partner(user, room, urgent, at) {
                Ok(()) => self.publish(user, room, message, body, waiters, at),
                Err(refusal) => self.acknowledge(user, &waiters, &Reply::Error(refusal)),
            }
        } else if waiters.iter().any(|(session, _)| self.sessions.contains_key(&session)) {
            // Who was put out while it was looked for does not speak there any more.
            self.acknowledge(user, &waiters, &Reply::Error(not_in(room)));
        } else {
            // Nobody is there to hear that it is stored: who posted it will do so again.
            self.release(user, waiters.count());
        }
    }

    fn acknowledge(&mut self, user: UserName, waiters: &Waiters, reply: &Reply) {
        for (session, id) in waiters.iter() {
            if self.sessions.contains_key(&session) {
                self.send(session, &ServerMessage::Reply(id, reply.clone()));
            }
        }
        self.release(user, waiters.count());
    }

    pub(super) fn release(&mut self, user: UserName, count: u32) {
        let Some(known) = self.users.get_mut(&user) else { return };
        known.unacknowledged = known.unacknowledged.saturating_sub(count);
        if known.key.is_none() {
            self.forget_if_idle(user);
        }
    }

    pub(super) fn store_fails(&mut self, text: String) {
        self.store_failing = true;
        self.log(LogEvent::StoreFailing { text });
    }

    pub(super) fn store_recovers(&mut self) {
        if std::mem::take(&mut self.store_failing) {
            self.log(LogEvent::StoreRecovered);
        }
    }
}

/// Whether the same post may be taken later.
fn passes(refusal: &Refused) -> bool {
    matches!(refusal.code, ErrorCode::RateLimited | ErrorCode::StorageUnavailable | ErrorCode::ShuttingDown)
}

pub(super) fn not_in(room: RoomName) -> Refused {
    refused_with_hint(ErrorCode::Forbidden, format!("you are not in {room}"), format!("join {room} first"))
}

fn behind() -> Refused {
    refused_for(ACKNOWLEDGE_RETRY, ErrorCode::RateLimited, "the message before this one was refused for now")
}

pub(super) fn storage_unavailable() -> Refused {
    let text = "the server can't write to its disk";
    let refusal = refused_for(STORE_RETRY, ErrorCode::StorageUnavailable, text);
    Refused { hint: Some("the server tries again by itself: send the message later".to_owned()), ..refusal }
}
