//! What the user said in a room and the server has not acknowledged.
//!
//! It is sent in batches: as many messages, from the oldest on, as one record holds; the next batch goes when each of
//! the last one is answered. Each names the one before it: if a server refuses that one for now, it refuses this one
//! too. And it looks for retries before it posts them, so a batch has only retries or none. So nobody ever sees the
//! user's messages in another order than they were said.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::sealed::Sealed;
use crate::model::{MessageId, RoomName};
use crate::proto::frame::RECORD_BYTES;
use crate::proto::message::{Accepted, Body, ErrorCode, Post, Refused, Request, RequestId};

/// Most messages in a batch.
const BATCH: usize = 64;
/// Most that wait: what is said beyond that is refused here.
const QUEUE: usize = 1024;
/// Most bytes that wait.
const QUEUE_BYTES: usize = 8 << 20;
/// When to try again, if the server doesn't say.
const RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Posts {
    queue: VecDeque<Outstanding>,
    bytes: usize,
    // Nothing is sent before.
    not_before: Option<Instant>,
    // Most messages in the next batch: after a refusal for now the server takes one at a time, and then more again.
    window: usize,
}

impl Default for Posts {
    fn default() -> Self {
        Self { queue: VecDeque::new(), bytes: 0, not_before: None, window: BATCH }
    }
}

#[derive(Debug)]
struct Outstanding {
    id: MessageId,
    body: Body,
    urgent: bool,
    // Among everything that the user has said and asked for.
    order: u64,
    // As it is sent to a sealed room: sealed once, so that what is sent again is the same.
    sealed: Option<Body>,
    asked: Option<RequestId>,
    // It was under way when a connection broke: the server may have it.
    retry: bool,
    refused_since: Option<Instant>,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Accepted(MessageId, Accepted),
    Refused(MessageId, Body, Refused),
    Delayed(MessageId, Refused, Duration),
    // It was sent, and the answer will not be waited for: the server may have it.
    Unknown(MessageId, Body),
}

/// Requests to send together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) requests: Vec<RequestId>,
}

impl Posts {
    /// How many messages wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// When something can be sent again, if nothing but time is waited for.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.not_before.filter(|_| !self.is_under_way())
    }

    /// Whether a batch is not answered yet.
    fn is_under_way(&self) -> bool {
        self.queue.iter().take(BATCH).any(|post| post.asked.is_some())
    }

    /// Takes a message, or says why not.
    pub(super) fn push(&mut self, id: MessageId, body: Body, urgent: bool, order: u64) -> Option<Fate> {
        let bytes = body.text().len();
        if self.queue.len() >= QUEUE || self.bytes + bytes > QUEUE_BYTES {
            return Some(Fate::Refused(id, body, here(ErrorCode::RateLimited, "too many messages wait to be sent")));
        }
        self.bytes += bytes;
        self.queue.push_back(Outstanding {
            id,
            body,
            urgent,
            order,
            sealed: None,
            asked: None,
            retry: false,
            refused_since: None,
        });
        None
    }

    /// Nothing will be sent: the server doesn't let us into the room.
    pub(super) fn refuse_all(&mut self, refused: &Refused) -> Vec<Fate> {
        self.bytes = 0;
        let fate = |post: Outstanding| {
            if post.asked.is_some() || post.retry {
                Fate::Unknown(post.id, post.body)
            } else {
                Fate::Refused(post.id, post.body, refused.clone())
            }
        };
        self.queue.drain(..).map(fate).collect()
    }

    /// The session ends.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (MessageId, Body)> {
        self.bytes = 0;
        self.queue.drain(..).map(|post| (post.id, post.body))
    }

    /// The connection broke.
    pub(super) fn disconnected(&mut self) {
        for post in &mut self.queue {
            post.retry |= post.asked.take().is_some();
        }
        self.not_before = None;
    }

    /// What a server that takes texts of `message_bytes` would only hang up on.
    pub(super) fn too_long(&mut self, message_bytes: usize) -> Option<Fate> {
        let at = self.queue.iter().take(BATCH).position(|post| post.body.text().len() > message_bytes)?;
        let post = self.remove(at)?;
        let text = format!("the message has {} bytes, the server takes {message_bytes}", post.body.text().len());
        let refused = Refused { hint: Some("send it in parts".to_owned()), ..here(ErrorCode::TooLarge, text) };
        Some(Fate::Refused(post.id, post.body, refused))
    }

    /// Whether something that the user has said before this is not acknowledged.
    pub(super) fn has_unanswered(&self, before: u64) -> bool {
        self.queue.iter().any(|post| post.order < before)
    }

    /// Whether something is to be sent that is not sealed yet, and comes before this in what the user has said and asked for.
    pub(super) fn waits_for_sealing(&self, before: u64) -> bool {
        self.queue.iter().any(|post| post.sealed.is_none() && post.order < before)
    }

    /// The next batch, if it is time for one; of a sealed room, with what can be sealed, and comes before what the user has
    /// decided there and the server has not answered. `next_id` numbers the requests.
    pub(super) fn batch(
        &mut self,
        room: RoomName,
        now: Instant,
        mut sealed: Option<(&mut Sealed, u64)>,
        mut next_id: impl FnMut() -> RequestId,
    ) -> Option<Batch> {
        if self.not_before.is_some_and(|due| due > now) || self.is_under_way() {
            return None;
        }
        self.not_before = None;
        let mut batch = Batch::default();
        let retry = self.queue.front()?.retry;
        let window = self.window;
        self.window = (window * 2).min(BATCH);
        let mut after = None;
        for post in self.queue.iter_mut().take(window).take_while(|post| post.retry == retry) {
            if let (Some((sealed, before)), None) = (&mut sealed, &post.sealed) {
                let due = post.order < *before;
                let Some(body) = due.then(|| sealed.seal(post.id, &post.body)).flatten() else { break };
                post.sealed = Some(body);
            }
            let body = post.sealed.as_ref().unwrap_or(&post.body).clone();
            let id = next_id();
            let request = Post { room, message: post.id, body, retry: post.retry, after, urgent: post.urgent };
            let bytes = Request::Post(request).encode(id);
            if !batch.bytes.is_empty() && batch.bytes.len() + bytes.len() > RECORD_BYTES {
                break;
            }
            batch.bytes.extend_from_slice(&bytes);
            batch.requests.push(id);
            post.asked = Some(id);
            after = Some(post.id);
        }
        (!batch.requests.is_empty()).then_some(batch)
    }

    pub(super) fn accepted(&mut self, request: RequestId, accepted: Accepted) -> Option<Fate> {
        let post = self.remove(self.find(request)?)?;
        Some(Fate::Accepted(post.id, accepted))
    }

    /// The server refused a message. If that may change it is sent again, but with `give_up` no longer than that.
    pub(super) fn refused(
        &mut self,
        request: RequestId,
        refused: Refused,
        give_up: Option<Duration>,
        now: Instant,
    ) -> Option<Fate> {
        let at = self.find(request)?;
        let post = self.queue.get_mut(at)?;
        post.asked = None;
        let since = *post.refused_since.get_or_insert(now);
        let patient = give_up.is_none_or(|most| now.saturating_duration_since(since) < most);
        // A rate limit passes by itself.
        if may_pass(&refused) && (patient || refused.code == ErrorCode::RateLimited) {
            self.window = 1;
            let wait = retry_after(&refused);
            let due = now + wait;
            self.not_before = Some(self.not_before.map_or(due, |other| other.max(due)));
            return Some(Fate::Delayed(post.id, refused, wait));
        }
        let post = self.remove(at)?;
        Some(Fate::Refused(post.id, post.body, refused))
    }

    fn find(&self, request: RequestId) -> Option<usize> {
        self.queue.iter().take(BATCH).position(|post| post.asked == Some(request))
    }

    fn remove(&mut self, at: usize) -> Option<Outstanding> {
        let post = self.queue.remove(at)?;
        self.bytes = self.bytes.saturating_sub(post.body.text().len());
        Some(post)
    }
}

/// Whether the same request may be granted later.
pub(super) fn may_pass(refused: &Refused) -> bool {
    match refused.code {
        ErrorCode::RateLimited | ErrorCode::StorageUnavailable | ErrorCode::ShuttingDown => true,
        ErrorCode::Malformed
        | ErrorCode::UnknownRequest
        | ErrorCode::Forbidden
        | ErrorCode::NotFound
        | ErrorCode::TooLarge
        | ErrorCode::Conflict
        | ErrorCode::DoNotDisturb => false,
        ErrorCode::Other(_) => refused.retry_after_ms.is_some(),
    }
}

/// When to make the same request again.
pub(super) fn retry_after(refused: &Refused) -> Duration {
    refused.retry_after_ms.map_or(RETRY, Duration::from_millis).clamp(Duration::from_millis(10), LONGEST_RETRY)
}

/// A refusal on this side.
pub(super) fn here(code: ErrorCode, text: impl Into<String>) -> Refused {
    Refused { code, text: text.into(), hint: None, retry_after_ms: None }
}
