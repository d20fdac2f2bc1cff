//! What is said on a connection after its handshake: what the server says, and what is asked of it.

use std::collections::BTreeSet;
use std::time::Instant;

use super::asks::Answered;
use super::posts::{Fate, here};
use super::room::{Broken, Entry, Room};
use super::sealed::Held;
use super::{Answer, Arrival, Ask, Asked, Asker, Event, Output, Phase, Purpose, Seal, Session, Trust, Visit};
use crate::model::{RoomName, Seq};
use crate::proto::message::{
    Act, ErrorCode, Joined, Membership, Position, Refused, Reply, Request, RequestId, Rooms, ServerMessage, Stored,
    Welcome,
};

/// Most rooms that we are in.
const ROOMS: usize = 64;

impl Session {
    pub(super) fn message(&mut self, message: ServerMessage, now: Instant) -> Result<(), Broken> {
        let Phase::Linked(connection) = &mut self.phase else { return Ok(()) };
        if connection.bye {
            return Ok(());
        }
        let incarnation = match (&connection.welcome, &message) {
            (_, ServerMessage::Ticket(_) | ServerMessage::Unknown(_)) | (None, ServerMessage::Welcome(_)) => None,
            (Some((welcome, _)), _) => Some(welcome.incarnation),
            (None, _) => return Err(Broken("no welcome")),
        };
        match (message, incarnation) {
            (ServerMessage::Ticket(ticket), _) => {
                self.take_ticket(&ticket, now);
                Ok(())
            }
            (ServerMessage::Welcome(welcome), None) => self.welcome(welcome, now),
            (ServerMessage::Welcome(_), Some(_)) => Err(Broken("a second welcome")),
            (ServerMessage::Part(id, part), _) => match self.requests.get(&id).map(|asked| asked.by) {
                Some(Asker::Join(name)) => match self.rooms.get_mut(&name).map(|room| &mut room.entry) {
                    Some(Entry::Asked(asked, parts)) if *asked == id && part.room == name => parts.push(part),
                    // We have left it meanwhile.
                    _ if part.room == name => Ok(()),
                    _ => Err(Broken("a message of another room")),
                },
                Some(Asker::User) => self.asks.part(id, part),
                _ => Err(Broken("a message that nobody asked for")),
            },
            (ServerMessage::Reply(id, reply), _) => self.reply(id, reply, now),
            (ServerMessage::Message(message), Some(incarnation)) => {
                let Some(room) = self.rooms.get_mut(&message.room) else { return Ok(()) };
                let name = message.room;
                if room.said(&message, incarnation)? && self.listens() {
                    let held = self.live(message);
                    self.tell_in(name, held);
                }
                self.check_held(name)
            }
            (ServerMessage::Presence(presence), _) => {
                if self.rooms.contains_key(&presence.room) {
                    self.event(Event::Presence(presence));
                }
                Ok(())
            }
            (ServerMessage::Acted(acted), _) => {
                if self.rooms.contains_key(&acted.room) {
                    if let Some(Act::Invited { .. } | Act::Kicked { .. } | Act::HandedOver { .. }) = acted.act {
                        self.heard_of_statement(acted.room);
                    }
                    self.roster_grows(acted.room);
                    self.event(Event::Acted(acted));
                }
                Ok(())
            }
            (ServerMessage::Membership(membership), _) => {
                self.membership(membership);
                Ok(())
            }
            (ServerMessage::Waiting(waiting), _) => {
                self.waits(&waiting);
                Ok(())
            }
            (ServerMessage::Receipt(receipt), _) => {
                self.receipt(receipt);
                Ok(())
            }
            (ServerMessage::KeyChanged(changed), _) => {
                self.key_changed(changed.user);
                Ok(())
            }
            (ServerMessage::Unknown(_) | ServerMessage::Message(_), _) => Ok(()),
        }
    }

    /// We are in a room now, or no longer, whoever brought that about.
    fn membership(&mut self, membership: Membership) {
        if membership.member {
            if self.is_about(membership.room) && self.may_join(membership.room) {
                self.know(membership.room);
                self.event(Event::Membership(membership));
            }
        } else {
            let text = "you are not in this room any more";
            self.forget(membership.room, &here(ErrorCode::Forbidden, text));
            self.event(Event::Membership(membership));
        }
    }

    /// Is in a room from now on, as soon as the server lets us.
    pub(super) fn know(&mut self, name: RoomName) {
        self.hopes.remove(&name);
        let room = self.rooms.entry(name).or_insert_with(|| Room::new(name, &self.known));
        if let Entry::Refused = room.entry {
            room.settled = false;
            room.entry = Entry::Outside(None);
        }
    }

    /// Something is said in a room before it is known whether the user is in it: the server has not told yet, or is making it.
    pub(super) fn hope_for(&mut self, room: RoomName) {
        let may_be = !self.was_online || self.asks.is_making(room);
        let is_strange = self.rooms.get(&room).is_none_or(|room| matches!(room.entry, Entry::Refused));
        if may_be && self.is_about(room) && is_strange && self.may_join(room) {
            self.know(room);
            if !room.is_direct() {
                self.hopes.insert(room);
            }
        }
    }

    /// Refuses what was said in rooms that the user turns out not to be in.
    pub(super) fn give_up_hope(&mut self) {
        let lost: Vec<RoomName> = self.hopes.iter().copied().filter(|room| !self.asks.is_making(*room)).collect();
        for room in lost {
            self.hopes.remove(&room);
            self.is_no_member(room);
        }
    }

    /// Whether there is room for one more, or it is known.
    pub(super) fn may_join(&self, room: RoomName) -> bool {
        self.rooms.contains_key(&room) || self.rooms.len() < ROOMS
    }

    /// Forgets a room, and tells what becomes of that which was said there and not acknowledged.
    pub(super) fn forget(&mut self, name: RoomName, why: &Refused) {
        self.tell_held(name, why);
        if !name.is_direct() {
            // Who comes again some day, comes anew.
            self.forget_read(name);
        }
        let Some(mut room) = self.rooms.remove(&name) else { return };
        self.asks.forget(name);
        for fate in room.posts.refuse_all(why) {
            self.tell(name, fate);
        }
    }

    pub(super) fn show(&mut self, message: Stored, arrival: Arrival, seal: Seal) {
        let own = message.sender == self.settings.user;
        self.event(Event::Message { message, arrival, own, seal });
    }

    pub(super) fn welcome(&mut self, welcome: Welcome, now: Instant) -> Result<(), Broken> {
        if welcome.user != self.settings.user {
            return Err(Broken("it takes us for somebody else"));
        }
        let Phase::Linked(connection) = &mut self.phase else { return Ok(()) };
        connection.welcome_by = None;
        // He is registered.
        self.settings.invite = None;
        connection.welcome = Some((welcome.clone(), now));
        self.offline = None;
        self.was_online = true;
        self.forget_unnamed(&welcome.rooms);
        for room in welcome.rooms.clone() {
            if self.is_about(room) && self.may_join(room) {
                self.know(room);
            }
        }
        let named = match &self.settings.purpose {
            Purpose::Chat => BTreeSet::new(),
            Purpose::Follow { rooms, .. } => rooms.clone(),
            Purpose::Speak => BTreeSet::from([self.settings.room]),
        };
        let strange = named.into_iter().filter(|room| !room.is_direct() && !welcome.rooms.contains(room));
        let strange: Vec<RoomName> = strange.collect();
        let waiting = welcome.waiting.clone();
        self.event(Event::Online(welcome));
        if self.listens() && (self.known.has_directs() || self.follows()) {
            // What came to another client of the user's, or to an earlier one, does not wait at the server.
            self.request(&Request::Rooms(Rooms { people: false }), Asker::Directs, now);
        }
        for room in strange {
            self.is_no_member(room);
        }
        for waiting in &waiting {
            self.waits(waiting);
        }
        Ok(())
    }

    /// We are members of some rooms no longer, since our absence: to join them would make us members again.
    fn forget_unnamed(&mut self, named: &[RoomName]) {
        let unnamed =
            self.rooms.iter().filter(|(name, room)| room.visited && !name.is_direct() && !named.contains(name));
        let unnamed: Vec<RoomName> = unnamed.map(|(name, _)| *name).collect();
        for room in unnamed {
            let refused = here(ErrorCode::Forbidden, "you are not in this room any more");
            self.forget(room, &refused);
            self.event(Event::NotEntered { room, refused });
        }
    }

    /// A room that the session is for is none of the user's: to join it would make it one.
    fn is_no_member(&mut self, room: RoomName) {
        if self.rooms.contains_key(&room) {
            let refused = here(ErrorCode::Forbidden, format!("you are not in {room}"));
            self.forget(room, &refused);
            self.event(Event::NotEntered { room, refused });
        }
    }

    pub(super) fn reply(&mut self, id: RequestId, reply: Reply, now: Instant) -> Result<(), Broken> {
        const BROKEN: Broken = Broken("an answer to another question");
        match self.requests.remove(&id).map(|asked| asked.by) {
            None => Err(Broken("an answer that nobody asked for")),
            Some(Asker::User) => {
                match self.asks.reply(id, reply, now)? {
                    Some(Answered::Plain(ask, answer)) => self.answered(ask, answer),
                    Some(Answered::Signed(ask, request, answer)) => {
                        if answer.is_ok() {
                            self.decided(request);
                        }
                        self.answered(ask, answer);
                    }
                    Some(Answered::Messages(ask, messages, more)) => {
                        let Ask::History { room, .. } = ask else { return Err(BROKEN) };
                        self.tell_in(room, Held::History { ask, messages, more });
                    }
                    None => {}
                }
                Ok(())
            }
            Some(Asker::Post(name)) => {
                // A room that we have left meanwhile: what was said there was refused here then.
                let Some(room) = self.rooms.get_mut(&name) else { return Ok(()) };
                let fate = match reply {
                    Reply::Accepted(accepted) => room.posts.accepted(id, accepted),
                    Reply::Error(refused) => room.posts.refused(id, refused, self.settings.give_up, now),
                    _ => return Err(BROKEN),
                };
                let fate = fate.ok_or(BROKEN)?;
                if let (Fate::Refused(..), Some(sealed)) = (&fate, &mut room.sealed) {
                    sealed.retire();
                }
                self.tell(name, fate);
                Ok(())
            }
            Some(
                by @ (Asker::Trust(_)
                | Asker::Keys(_)
                | Asker::KeepKey(_)
                | Asker::SenderKeys(_)
                | Asker::Seen(_)
                | Asker::Roster(_)
                | Asker::Invited(..)
                | Asker::Directs),
            ) => self.keys_replied(by, id, reply, now),
            Some(Asker::Join(name)) => {
                // We may have left it meanwhile.
                let Some(room) = self.rooms.get_mut(&name).filter(|room| room.awaits(id)) else { return Ok(()) };
                match reply {
                    Reply::Joined(joined) if joined.info.room == name => self.joined(name, joined),
                    Reply::Error(refused) => {
                        room.not_joined(&refused, now);
                        if let Entry::Refused = room.entry {
                            let fates = room.posts.refuse_all(&refused);
                            self.tell_held(name, &refused);
                            self.event(Event::NotEntered { room: name, refused });
                            for fate in fates {
                                self.tell(name, fate);
                            }
                        }
                        Ok(())
                    }
                    _ => Err(BROKEN),
                }
            }
        }
    }

    /// A question is answered: what follows from that here, before the user is told.
    fn answered(&mut self, ask: Ask, mut answer: Result<Answer, Refused>) {
        if let Ok(Answer::User(user, trust)) = &mut answer {
            let own = user.user == self.settings.user;
            *trust = if own { Some(Trust::Own) } else { self.known.judge(user.user, user.fingerprint) };
        }
        if let Ok(Answer::Rooms(list)) = &mut answer {
            // Whether what the user says there is sealed, is for this client to know.
            for info in &mut list.rooms {
                info.sealed = self.rooms.get(&info.room).map_or(info.room.is_direct(), |room| room.sealed.is_some());
            }
        }
        let mut left = None;
        if let (Ask::Create { room, .. }, Ok(_)) = (&ask, &answer)
            && self.may_join(*room)
        {
            self.know(*room);
        }
        if let (Ask::Do(request), Ok(_)) = (&ask, &answer) {
            match request {
                Request::Shutdown(_) => self.ended_server = true,
                Request::Leave(leave) => {
                    self.forget(leave.room, &here(ErrorCode::Forbidden, "you have left this room"));
                    self.forget_roster(leave.room);
                    left = Some(leave.room);
                }
                _ => {}
            }
        }
        let is_left = if let Ask::Do(Request::Leave(leave)) = &ask { Some(leave.room) } else { None };
        self.event(Event::Answered { ask, answer });
        if let Some(room) = left {
            self.event(Event::Left { room });
        }
        if let Some(room) = is_left.filter(|room| self.rejoin.remove(room))
            && self.may_join(room)
        {
            self.know(room);
        }
    }

    pub(super) fn joined(&mut self, name: RoomName, mut answer: Joined) -> Result<(), Broken> {
        let Phase::Linked(connection) = &self.phase else { return Ok(()) };
        let Some((Welcome { incarnation, .. }, _)) = connection.welcome else { return Ok(()) };
        self.is_private(name, answer.info.roster);
        let Some(room) = self.rooms.get_mut(&name) else { return Ok(()) };
        let arrived = match room.joined(&answer, incarnation) {
            Ok(arrived) => arrived,
            Err(broken) => {
                if self.listens() {
                    self.forget_read(name);
                }
                self.event(Event::Notice(format!("{name}: what the server has does not fit to what it had before")));
                return Err(broken);
            }
        };
        let visit = if room.visited {
            Visit::Again
        } else if self.known.read(name).is_some() {
            Visit::Return
        } else {
            Visit::First
        };
        room.visited |= arrived.caught_up;
        if let Some((after, messages)) = arrived.withdrawn.filter(|_| self.listens()) {
            self.lost_read(name, Position { incarnation, seq: after });
            self.tell_in(name, Held::Event(Event::Withdrawn { room: name, after, messages }));
        }
        if arrived.gone > 0 && self.listens() {
            self.tell_in(name, Held::Event(Event::Missed { room: name, gone: arrived.gone }));
        }
        if name.is_direct() && self.listens() && self.known.read(name).is_none() {
            // Nothing of this is read. The next session is to know that there is such a room.
            let first = arrived.messages.first().map(|message| Seq(message.seq.0.saturating_sub(1)));
            let position = Position { incarnation, seq: first.unwrap_or(answer.last) };
            self.known.has_read(name, position);
            self.remember_read(name, Some(position));
        }
        // What nobody has seen yet is no backlog; but what was said before the first visit, to others.
        let read = self.known.read(name).map(|read| read.seq);
        let unread_after = if name.is_direct() { Some(read.unwrap_or_default()) } else { read };
        let messages = if self.listens() { arrived.messages } else { Vec::new() };
        for message in messages {
            let backlog = visit != Visit::Again && unread_after.is_none_or(|read| message.seq <= read);
            let arrival = if backlog { Arrival::Backlog } else { Arrival::Missed };
            self.tell_in(name, Held::Message(message, arrival));
        }
        if arrived.caught_up {
            answer.info.sealed = self.rooms.get(&name).is_some_and(|room| room.sealed.is_some());
            self.tell_in(name, Held::Event(Event::Entered { info: answer.info, visit }));
        }
        self.check_held(name)
    }

    /// Nobody is told what is in rooms that he is not in, and is not about to enter.
    pub(super) fn refuse_outside(&mut self) {
        let rooms = &self.rooms;
        while let Some((ask, room)) =
            self.asks.outside(|room| rooms.get(room).is_some_and(|room| !matches!(room.entry, Entry::Refused)))
        {
            let refused = here(ErrorCode::Forbidden, format!("you are not in {room}"));
            self.outputs.push_back(Output::Event(Event::Answered { ask, answer: Err(refused) }));
        }
    }

    /// Queues every request that can be made now.
    pub(super) fn ask(&mut self, now: Instant) {
        let Phase::Linked(connection) = &mut self.phase else { return };
        let Some((welcome, _)) = &connection.welcome else { return };
        let message_bytes = usize::try_from(welcome.message_bytes).unwrap_or(usize::MAX);
        let history_limit = welcome.history_limit;
        let reads = self.settings.purpose == Purpose::Chat;
        let speaks_only = (self.settings.purpose == Purpose::Speak).then_some(welcome.incarnation);
        let requests = &mut self.requests;
        let next = &mut self.next_request;
        let mut next_id = || {
            *next += 1;
            *next
        };
        let mut fates = Vec::new();
        for (name, room) in &mut self.rooms {
            if let Entry::Outside(due) = room.entry
                && due.is_none_or(|due| due <= now)
                // Its signature takes a while. Where we are already, that may wait for what is to be known of the room.
                && (room.visited || !self.asks.is_making(*name))
            {
                let id = next_id();
                connection.outgoing.push(&room.join(*name, id, reads, speaks_only));
                requests.insert(id, Asked { by: Asker::Join(*name), at: now });
            }
            if let Entry::Inside = room.entry {
                while let Some(fate) = room.posts.too_long(message_bytes) {
                    fates.push((*name, fate));
                }
                let sealed = room.sealed.as_deref_mut().map(|sealed| (sealed, self.asks.first_decision(*name)));
                if let Some(batch) = room.posts.batch(*name, now, sealed, &mut next_id) {
                    connection.outgoing.push(&batch.bytes);
                    requests
                        .extend(batch.requests.into_iter().map(|id| (id, Asked { by: Asker::Post(*name), at: now })));
                }
            }
        }
        let rooms = &self.rooms;
        let inside = |room: &RoomName| rooms.get(room).is_some_and(Room::is_inside);
        let under_way = |room, order| rooms.get(&room).is_some_and(|room: &Room| room.posts.has_unanswered(order));
        while let Some((id, bytes)) = self.asks.next(now, inside, under_way, history_limit, &mut next_id) {
            connection.outgoing.push(&bytes);
            requests.insert(id, Asked { by: Asker::User, at: now });
        }
        for (room, fate) in fates {
            self.tell(room, fate);
        }
    }

    /// Seals what is queued.
    pub(super) fn flush(&mut self) {
        let Phase::Linked(connection) = &mut self.phase else { return };
        let mut bytes = Vec::new();
        for record in connection.outgoing.take() {
            connection.link.seal(&mut bytes, |out| out.extend_from_slice(&record));
        }
        if !bytes.is_empty() {
            self.outputs.push_back(Output::Transmit(bytes));
        }
    }
}
