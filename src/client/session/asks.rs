//! Questions to the server, from being asked by the user to being answered.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::io::{Answer, Ask, Until};
use super::posts::{here, may_pass, retry_after};
use super::room::{Broken, PARTS, PARTS_BYTES, Parts};
use super::signing::decides_over;
use crate::model::{RoomName, Seq};
use crate::proto::message::{
    Body, Create, ErrorCode, History, People, Refused, Reply, Request, RequestId, Rooms, Stored, Whois,
};

/// Most questions at once.
const ASKS: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Asks {
    open: VecDeque<Open>,
    // With which message the last answer about a room began.
    read_back_to: BTreeMap<RoomName, Seq>,
}

#[derive(Debug)]
struct Open {
    ask: Ask,
    asked: Option<RequestId>,
    not_before: Option<Instant>,
    parts: Parts,
    // Of an answer in several pages, those that came, the latest page first; before what, and how many there may be in all.
    history: VecDeque<Stored>,
    until: Option<Seq>,
    most: u32,
    bytes: usize,
    // Of what has to be signed by the user before it is asked.
    signature: Signature,
    // Among everything that the user has said and asked for.
    order: u64,
}

/// Whether a question has to be signed.
#[derive(Debug, PartialEq, Eq)]
enum Signature {
    Undecided,
    No,
    Missing,
    // The request, with it.
    There(Request),
}

/// A question with its answer.
pub(super) enum Answered {
    Plain(Ask, Result<Answer, Refused>),
    /// Of something that was signed, with the request.
    Signed(Ask, Request, Result<Answer, Refused>),
    /// Messages, which may have to be opened first.
    Messages(Ask, Vec<Stored>, bool),
}

impl Asks {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The first time at which something can be asked again.
    pub(super) fn not_before(&self) -> Option<Instant> {
        let reading = self.is_reading();
        self.open.iter().filter(|open| !(reading && open.is_history())).filter_map(|open| open.not_before).min()
    }

    /// Whether earlier messages are on their way. They are asked for one after the other: those answers are the longest
    /// there are, and a server that can't send all that was asked of it at once hangs up, each time we come back and ask
    /// for all of it again.
    fn is_reading(&self) -> bool {
        self.open.iter().any(|open| open.asked.is_some() && open.is_history())
    }

    /// A room is forgotten.
    pub(super) fn forget(&mut self, room: RoomName) {
        self.read_back_to.remove(&room);
    }

    /// Takes a question, or says why not.
    pub(super) fn push(&mut self, ask: Ask, order: u64) -> Option<(Ask, Refused)> {
        if self.open.len() >= ASKS {
            return Some((ask, here(ErrorCode::RateLimited, "too many questions wait for an answer")));
        }
        let parts = Parts::default();
        self.open.push_back(Open {
            ask,
            asked: None,
            not_before: None,
            parts,
            history: VecDeque::new(),
            until: None,
            most: 0,
            bytes: 0,
            signature: Signature::Undecided,
            order,
        });
        None
    }

    /// Decides which questions have to be signed, where that is known.
    pub(super) fn decide(&mut self, has_to_be_signed: impl Fn(&Ask) -> Option<bool>) {
        for open in self.open.iter_mut().filter(|open| open.signature == Signature::Undecided) {
            open.signature = match has_to_be_signed(&open.ask) {
                Some(true) => Signature::Missing,
                Some(false) => Signature::No,
                None => Signature::Undecided,
            };
        }
    }

    /// The first question that has to be signed, and isn't; and where it stands among all that the user has said and asked.
    pub(super) fn unsigned(&self) -> Option<(&Ask, u64)> {
        self.open.iter().find(|open| open.signature == Signature::Missing).map(|open| (&open.ask, open.order))
    }

    /// What is said in a room has to come before this: the first decision over it that is not answered.
    pub(super) fn first_decision(&self, room: RoomName) -> u64 {
        let decisions = self.open.iter().filter(|open| open.signature != Signature::No);
        let over = |ask: &Ask| matches!(ask, Ask::Do(request) if decides_over(request) == Some(room));
        decisions.filter(|open| over(&open.ask)).map(|open| open.order).min().unwrap_or(u64::MAX)
    }

    /// Whether this room was to be made already, before that.
    fn makes(&self, order: u64, room: RoomName) -> bool {
        let mut earlier = self.open.iter().take_while(|open| open.order < order);
        earlier.any(|open| matches!(open.ask, Ask::Create { room: made, .. } if made == room))
    }

    /// Whether what is done to a room has to wait for something that was to be done to it before: that it is made, and what
    /// takes a while to be signed.
    fn waits(&self, order: u64, room: RoomName) -> bool {
        self.open.iter().take_while(|open| open.order < order).any(|open| match &open.ask {
            Ask::Create { room: made, .. } => *made == room,
            Ask::Do(request) => open.asked.is_none() && over(request) == Some(room),
            _ => false,
        })
    }

    /// The rooms that are on their way to be made.
    pub(super) fn making(&self) -> impl Iterator<Item = RoomName> {
        self.open.iter().filter_map(|open| match open.ask {
            Ask::Create { room, .. } => Some(room),
            _ => None,
        })
    }

    fn is_inviting(&self) -> bool {
        let invites = |open: &Open| matches!(open.ask, Ask::Do(Request::InviteUser(_)));
        self.open.iter().any(|open| invites(open) && open.asked.is_some())
    }

    pub(super) fn is_making(&self, name: RoomName) -> bool {
        self.making().any(|room| room == name)
    }

    /// Whether this room is on its way to be made, and to be private.
    pub(super) fn is_making_private(&self, name: RoomName) -> bool {
        self.open.iter().any(|open| matches!(open.ask, Ask::Create { room, private: true } if room == name))
    }

    /// Whether the server was asked to let us out of this room, and has not answered.
    pub(super) fn is_leaving(&self, name: RoomName) -> bool {
        let leaves = |open: &Open| matches!(&open.ask, Ask::Do(Request::Leave(leave)) if leave.room == name);
        self.open.iter().any(|open| leaves(open) && open.asked.is_some())
    }

    /// Whether the user wants to be let out of this room, whether the server was asked or not.
    pub(super) fn leaves(&self, name: RoomName) -> bool {
        self.open.iter().any(|open| matches!(&open.ask, Ask::Do(Request::Leave(leave)) if leave.room == name))
    }

    /// The question that has to be signed and stands there, as long as it isn't.
    pub(super) fn unsigned_at(&self, order: u64) -> Option<&Ask> {
        self.open.iter().find(|open| open.is_unsigned(order)).map(|open| &open.ask)
    }

    /// It is signed now: this is the request.
    pub(super) fn sign(&mut self, order: u64, request: Request) {
        if let Some(open) = self.open.iter_mut().find(|open| open.is_unsigned(order)) {
            open.signature = Signature::There(request);
        }
    }

    /// It will not be signed, and not be asked.
    pub(super) fn refuse_unsigned(&mut self, order: u64) -> Option<Ask> {
        let at = self.open.iter().position(|open| open.is_unsigned(order))?;
        self.open.remove(at).map(|open| open.ask)
    }

    /// The connection broke. Questions are asked again; what is none is reported, and must not be done twice.
    pub(super) fn disconnected(&mut self) -> Vec<(Ask, Refused)> {
        let mut lost = Vec::new();
        self.open.retain_mut(|open| {
            open.not_before = None;
            open.parts.take();
            open.history.clear();
            open.bytes = 0;
            if open.asked.take().is_some() && open.is_act() {
                let text = "the connection broke before the server answered";
                lost.push((open.ask.clone(), here(ErrorCode::ShuttingDown, text)));
                return false;
            }
            true
        });
        lost
    }

    /// Takes out a question about a room for which `may` does not hold, and which was not asked yet: it would wait for ever.
    pub(super) fn outside(&mut self, may: impl Fn(&RoomName) -> bool) -> Option<(Ask, RoomName)> {
        let (at, room) = self.open.iter().enumerate().find_map(|(at, open)| match open.ask {
            Ask::History { room, .. } | Ask::People { room } if open.asked.is_none() && !may(&room) => Some((at, room)),
            _ => None,
        })?;
        self.open.remove(at).map(|open| (open.ask, room))
    }

    /// What can be asked now, encoded. Of rooms only what `inside` holds for, and of their messages at most so many at once; to
    /// leave a room, not while what was said there before this is `under_way`.
    pub(super) fn next(
        &mut self,
        now: Instant,
        inside: impl Fn(&RoomName) -> bool,
        under_way: impl Fn(RoomName, u64) -> bool,
        history_limit: u32,
        next_id: impl FnOnce() -> RequestId,
    ) -> Option<(RequestId, Vec<u8>)> {
        let reading = self.is_reading();
        let at = self.open.iter().position(|open| {
            let room = match &open.ask {
                Ask::History { .. } if reading => false,
                Ask::History { room, .. } | Ask::People { room } => inside(room),
                // A server makes one after the other.
                Ask::Do(Request::InviteUser(_)) => !self.is_inviting(),
                Ask::Do(Request::Leave(leave)) if under_way(leave.room, open.order) => false,
                Ask::Do(request) => over(request).is_none_or(|room| !self.waits(open.order, room)),
                // One that is to be private takes a while: no open one of this name may come before it.
                Ask::Create { room, .. } => !self.makes(open.order, *room),
                Ask::Whois { .. } | Ask::Rooms { .. } => true,
            };
            let signed = matches!(open.signature, Signature::No | Signature::There(_));
            room && signed && open.asked.is_none() && open.not_before.is_none_or(|due| due <= now)
        })?;
        let open = self.open.get_mut(at)?;
        let id = next_id();
        open.asked = Some(id);
        open.not_before = None;
        if let Ask::History { room, until, limit } = open.ask {
            open.until = match until {
                Until::Latest => None,
                Until::Before(seq) => Some(seq),
                Until::Older => self.read_back_to.get(&room).copied(),
            };
            open.most = limit.unwrap_or(u32::MAX).min(history_limit);
        }
        Some((id, open.request().encode(id)))
    }

    pub(super) fn part(&mut self, id: RequestId, message: Stored) -> Result<(), Broken> {
        match self.find(id).and_then(|at| self.open.get_mut(at)) {
            // Ascending, and before what was asked for: else the pages would never come to an end.
            Some(open) if open.is_history() => {
                let too_late = open.before().is_some_and(|before| message.seq >= before);
                if too_late || open.parts.last().is_some_and(|last| message.seq <= last) {
                    return Err(Broken("messages in another order"));
                }
                open.parts.push(message)
            }
            _ => Err(Broken("a message that nobody asked for")),
        }
    }

    /// The server answered. Nothing comes of it if the question has to be asked again, for its rest or later.
    pub(super) fn reply(&mut self, id: RequestId, reply: Reply, now: Instant) -> Result<Option<Answered>, Broken> {
        const BROKEN: Broken = Broken("an answer to another question");
        let at = self.find(id).ok_or(BROKEN)?;
        let open = self.open.get_mut(at).ok_or(BROKEN)?;
        let answer = match (&open.ask, reply) {
            (_, Reply::Error(refused)) if may_pass(&refused) && !open.is_act() => {
                open.asked = None;
                open.parts.take();
                open.not_before = Some(now + retry_after(&refused));
                return Ok(None);
            }
            (_, Reply::Error(refused)) => Err(refused),
            (Ask::History { room, .. }, Reply::HistoryEnd(end)) => {
                let room = *room;
                if !open.page(end.more) {
                    return Ok(None);
                }
                let messages: Vec<Stored> = std::mem::take(&mut open.history).into();
                if let Some(first) = messages.first() {
                    self.read_back_to.insert(room, first.seq);
                }
                let ask = self.open.remove(at).ok_or(BROKEN)?.ask;
                return Ok(Some(Answered::Messages(ask, messages, end.more)));
            }
            (Ask::People { .. }, Reply::People(list)) => Ok(Answer::People(list)),
            (Ask::Whois { .. }, Reply::User(user)) => Ok(Answer::User(Box::new(user), None)),
            (Ask::Rooms { .. }, Reply::Rooms(list)) => Ok(Answer::Rooms(list)),
            (Ask::Do(Request::InviteUser(asked)), Reply::Invited(invited)) if asked.user == invited.user => {
                Ok(Answer::Invited(invited))
            }
            (Ask::Do(Request::InviteUser(_)), Reply::Done) => return Err(BROKEN),
            (Ask::Do(_) | Ask::Create { .. }, Reply::Done) => Ok(Answer::Done),
            _ => return Err(BROKEN),
        };
        Ok(self.open.remove(at).map(|open| match open.signature {
            Signature::There(request) => Answered::Signed(open.ask, request, answer),
            _ => Answered::Plain(open.ask, answer),
        }))
    }

    fn find(&self, id: RequestId) -> Option<usize> {
        self.open.iter().position(|open| open.asked == Some(id))
    }
}

/// The room to which something is done.
fn over(request: &Request) -> Option<RoomName> {
    match request {
        Request::Leave(leave) => Some(leave.room),
        Request::SetTopic(set) => Some(set.room),
        Request::Ban(ban) => ban.room,
        Request::Unban(unban) => unban.room,
        Request::Mute(mute) => Some(mute.room),
        Request::Unmute(unmute) => Some(unmute.room),
        request => decides_over(request),
    }
}

impl Open {
    fn is_unsigned(&self, order: u64) -> bool {
        self.order == order && self.signature == Signature::Missing
    }

    /// Whether it is to be done once, and never twice.
    fn is_act(&self) -> bool {
        matches!(self.ask, Ask::Do(_) | Ask::Create { .. })
    }

    fn request(&self) -> Request {
        if let Signature::There(request) = &self.signature {
            return request.clone();
        }
        match &self.ask {
            &Ask::History { room, .. } => {
                Request::History(History { room, before: self.before(), limit: self.most.saturating_sub(self.count()) })
            }
            &Ask::People { room } => Request::People(People { room }),
            &Ask::Whois { user } => Request::Whois(Whois { user }),
            &Ask::Rooms { people } => Request::Rooms(Rooms { people }),
            Ask::Do(request) => request.clone(),
            &Ask::Create { room, .. } => Request::Create(Create { room, roster: None }),
        }
    }

    /// The messages that are asked for come before this one.
    fn before(&self) -> Option<Seq> {
        self.history.front().map(|first| first.seq).or(self.until)
    }

    fn is_history(&self) -> bool {
        matches!(self.ask, Ask::History { .. })
    }

    fn count(&self) -> u32 {
        u32::try_from(self.history.len()).unwrap_or(u32::MAX)
    }

    /// A page is complete. Whether the answer is; if not, the page before this one is to be asked for.
    fn page(&mut self, more: bool) -> bool {
        let page = self.parts.take();
        let empty = page.is_empty();
        for message in page.into_iter().rev() {
            self.bytes += message.body.as_ref().map_or(0, Body::size);
            self.history.push_front(message);
        }
        self.asked = None;
        !more || empty || self.count() >= self.most || self.history.len() >= PARTS || self.bytes >= PARTS_BYTES
    }
}
