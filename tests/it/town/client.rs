//! A client: its session, what its user remembers, and what he does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rsachat::client::session::{
    Ask, Attempt, Command, Event, Input, Known, Network, Output, Purpose, Session, Settings, Until, WorkId,
};
use rsachat::e2e;
use rsachat::model::{RoomName, Seq, UserName};
use rsachat::proto::handshake::client::Job;
use rsachat::proto::message::{
    Ban, Body, HandOver, Invite, Kick, Leave, Membership, Mute, Request, SetTopic, Unban, Unmute,
};

use super::server::Line;
use super::truth::Screen;
use super::world::{Town, pick};

/// What a session waits for.
#[derive(Debug)]
pub(super) enum Errand {
    Connect(Attempt),
    Job(Attempt, Job),
    Work(WorkId, e2e::Job),
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) user: UserName,
    pub(super) alive: Option<Alive>,
}

#[derive(Debug)]
pub(super) struct Alive {
    pub(super) session: Session,
    pub(super) attempt: Attempt,
    pub(super) line: Option<Line>,
    pub(super) errands: VecDeque<Errand>,
    pub(super) screen: Screen,
    pub(super) online: bool,
    /// What it remembers itself: of what another client of the user learns meanwhile, it is not told.
    pub(super) known: Known,
    /// The rooms that it is in.
    pub(super) inside: BTreeSet<RoomName>,
    pub(super) asked: usize,
    /// The last message of each room that its user has not read.
    unread: BTreeMap<RoomName, Seq>,
    /// The last answer about each room's history.
    pub(super) history: Vec<(RoomName, Vec<rsachat::client::session::Said>)>,
}

fn room(number: usize) -> RoomName {
    ["#a", "#b", "#c"][number].parse().unwrap()
}

impl Town {
    pub(super) fn start_client(&mut self, number: usize) {
        let user = self.clients[number].user;
        let own = &self.keys[&user];
        let settings = Settings {
            server: self.server_key.public().clone(),
            user,
            invite: None,
            own: own.public().clone(),
            known: self.known[&user].clone(),
            receipts: true,
            room: RoomName::lobby(),
            purpose: Purpose::Chat,
            give_up: None,
        };
        let session = Session::new(settings, StdRng::seed_from_u64(self.rng.random()), self.now, self.wall());
        self.clients[number].alive = Some(Alive {
            session,
            attempt: Attempt::default(),
            line: None,
            errands: VecDeque::new(),
            screen: Screen::default(),
            online: false,
            known: self.known[&user].clone(),
            inside: BTreeSet::new(),
            asked: 0,
            unread: BTreeMap::new(),
            history: Vec::new(),
        });
        self.tell(|| format!("client {number} of {user} starts"));
        self.pump(number);
    }

    pub(super) fn kill_client(&mut self, number: usize) {
        self.tell(|| format!("client {number} is killed"));
        self.cut(number);
        self.clients[number].alive = None;
    }

    pub(super) fn input(&mut self, number: usize, input: Input<'_>) {
        let now = self.now;
        if let Some(alive) = &mut self.clients[number].alive {
            alive.session.handle(input, now);
            self.pump(number);
        }
    }

    /// Does what a session wants done, or notes it.
    fn pump(&mut self, number: usize) {
        let user = self.clients[number].user;
        while let Some(alive) = &mut self.clients[number].alive
            && let Some(output) = alive.session.poll()
        {
            let known = self.known.get_mut(&user).unwrap();
            match output {
                Output::Connect(attempt) => {
                    alive.attempt = attempt;
                    alive.errands.push_back(Errand::Connect(attempt));
                }
                Output::Transmit(bytes) => {
                    if let Some(line) = &mut alive.line {
                        line.up.push_back(bytes);
                    }
                }
                Output::Job(attempt, job) => alive.errands.push_back(Errand::Job(attempt, job)),
                Output::Work(id, job) => alive.errands.push_back(Errand::Work(id, job)),
                Output::Meet(other, pin) | Output::Decide(other, pin) => known.recall(other, pin),
                Output::HasRead(room, Some(position)) => known.has_read(room, position),
                Output::HasRead(room, None) => known.forget_read(room),
                Output::Prefer(preference) => known.prefer(preference),
                Output::HasRoster(room, Some(head)) => {
                    known.has_roster(room, head);
                    alive.known.has_roster(room, head);
                }
                Output::HasRoster(room, None) => {
                    known.forget_roster(room);
                    alive.known.forget_roster(room);
                }
                // A later session of the user's is another client: each comes by its key.
                Output::Ticket(_) => {}
                Output::Disconnect => self.cut(number),
                Output::Event(event) => self.see(number, event),
                Output::Over { outcome, .. } => panic!("client {number} ends: {outcome:?}"),
            }
        }
    }

    fn see(&mut self, number: usize, event: Event) {
        self.tell(|| format!("client {number} sees {event:?}"));
        self.seen.saw(&event);
        if self.liar.is_none()
            && let Event::Repeated { .. } | Event::BadRoster { .. } | Event::KeyChanged { .. } | Event::ShutOut { .. } =
                event
        {
            panic!("client {number} finds out what is not so: {event:?}");
        }
        let Client { user, alive: Some(alive) } = &mut self.clients[number] else { return };
        match &event {
            Event::Online(_) => alive.online = true,
            Event::Offline { .. } => alive.online = false,
            Event::Answered { .. } => alive.asked -= 1,
            Event::Message { message, .. } => drop(alive.unread.insert(message.room, message.seq)),
            Event::Entered { info, .. } => drop(alive.inside.insert(info.room)),
            Event::Left { room }
            | Event::NotEntered { room, .. }
            | Event::Membership(Membership { room, member: false, .. }) => drop(alive.inside.remove(room)),
            _ => {}
        }
        self.truth.sees(number, *user, &mut alive.screen, &alive.known, &event);
        if let Event::Answered { ask: Ask::History { room, .. }, answer } = event
            && let Ok(rsachat::client::session::Answer::History { messages, .. }) = answer
        {
            alive.history.push((room, messages));
        }
    }

    /// Runs the next thing that a session has waited for.
    pub(super) fn errand(&mut self, number: usize) {
        let Client { user, alive: Some(alive) } = &mut self.clients[number] else { return };
        let key = &self.keys[user];
        match alive.errands.pop_front() {
            Some(Errand::Connect(attempt)) if attempt == alive.attempt => self.connect(number, attempt),
            Some(Errand::Job(attempt, job)) => {
                let answer = job.run(key, &mut self.rng);
                self.input(number, Input::Network(attempt, Network::Answer(answer)));
            }
            Some(Errand::Work(id, job)) => {
                let answer = job.run(key, &mut self.rng);
                self.input(number, Input::Worked(id, answer));
            }
            Some(Errand::Connect(_)) | None => {}
        }
    }

    pub(super) fn ask(&mut self, number: usize, ask: Ask) {
        let Client { user, alive: Some(alive) } = &mut self.clients[number] else { return };
        alive.asked += 1;
        self.truth.asked(*user, &ask);
        self.tell(|| format!("client {number} asks {ask:?}"));
        self.input(number, Input::Command(Command::Ask(ask)));
    }

    /// A user reads what was shown.
    fn read(&mut self, number: usize) {
        let unread = self.clients[number].alive.as_mut().map(|alive| std::mem::take(&mut alive.unread));
        for (room, seq) in unread.unwrap_or_default() {
            self.input(number, Input::Command(Command::Read { room, seq }));
        }
    }

    /// A user does something.
    pub(super) fn act(&mut self, number: usize) {
        if self.rng.random_bool(0.3) {
            self.read(number);
        }
        let me = self.clients[number].user;
        let others: Vec<UserName> = self.keys.keys().copied().filter(|user| *user != me).collect();
        let user = pick(&mut self.rng, &others);
        let some = room(self.rng.random_range(0..3));
        let act = self.rng.random_range(0..100);
        let decision = match act {
            0..8 => Ask::Create { room: some, private: self.rng.random_bool(0.7) },
            8..20 => return self.input(number, Input::Command(Command::Join { room: some })),
            20..34 => Ask::Do(Request::Invite(Invite { room: some, user, roster: None })),
            34..40 => Ask::Do(Request::Kick(Box::new(Kick { room: some, user, reason: None, roster: None }))),
            40..42 => Ask::Do(Request::HandOver(HandOver { room: some, user, roster: None })),
            42..44 => Ask::Do(Request::Leave(Leave { room: some })),
            44..46 => Ask::Do(Request::SetTopic(SetTopic { room: some, topic: "on call".to_owned() })),
            46..48 => Ask::Do(Request::Mute(Mute { room: some, user, seconds: Some(1) })),
            48 => Ask::Do(Request::Unmute(Unmute { room: some, user })),
            49 => Ask::Do(Request::Ban(Box::new(Ban { room: Some(some), user, seconds: Some(1), reason: None }))),
            50 => Ask::Do(Request::Unban(Unban { room: Some(some), user })),
            51..54 => {
                let room = if self.rng.random() { some } else { RoomName::direct(me, user).unwrap() };
                Ask::History { room, until: Until::Latest, limit: None }
            }
            _ => {
                let direct = self.rng.random_bool(0.3);
                let room = if direct { RoomName::direct(me, user).unwrap() } else { some };
                if direct {
                    self.input(number, Input::Command(Command::Join { room }));
                }
                self.lines += 1;
                let text = format!("line {}", self.lines);
                let body = if self.rng.random_bool(0.9) { Body::Text { text } } else { Body::Action { text } };
                return self.input(number, Input::Command(Command::Post { room, body, urgent: false }));
            }
        };
        self.ask(number, decision);
    }

    /// Why a client is not at rest.
    pub(super) fn unsettled(&self, number: usize) -> Option<String> {
        let alive = self.clients[number].alive.as_ref()?;
        let why = if !alive.online {
            "is not online"
        } else if alive.session.outstanding() > 0 {
            "waits for acknowledgements"
        } else if alive.asked > 0 {
            "waits for answers"
        } else {
            return None;
        };
        Some(format!("client {number} {why}"))
    }

    pub(super) fn tick(&mut self, number: usize) {
        let due = self.clients[number].alive.as_ref().and_then(|alive| alive.session.poll_timeout());
        if due.is_some_and(|due| due <= self.now) {
            self.input(number, Input::Tick);
        }
    }
}
