//! What the server's shell does around the hub: reads, steps, carries out, flushes.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use rsachat::crypto::rsa::PublicKey;
use rsachat::hub::{Creation, Hub, Input, Output, Settings};
use rsachat::model::{RoomName, Seq, SessionId, UserName};
use rsachat::proto::close::{CloseCode, CloseReason};
use rsachat::proto::handshake::server::{Context, Directory, Job};
use rsachat::proto::link::{self, Ended, Limits, Link, Peer};
use rsachat::proto::message::{ServerMessage, Ticket, longest_request};
use rsachat::proto::ticket;

use super::judge::Judge;
use super::plan::up_to;
use super::process::{Process, Reactor, Served, Serving, StoreThread};
use super::wire::{Arrived, Way, WireId};
use super::world::{Happening, World};

const LINGER: Duration = Duration::from_secs(2);
/// How long a server that ends may take.
const END: Duration = Duration::from_secs(5);

/// The keys directory at one moment.
struct Snapshot(Vec<(UserName, PublicKey)>);

impl Directory for Snapshot {
    fn find(&self, user: &UserName) -> Option<PublicKey> {
        self.0.iter().find(|(name, _)| name == user).map(|(_, key)| key.clone())
    }
}

impl World {
    pub(super) fn server_limits(&self) -> Arc<Limits> {
        Arc::new(Limits {
            handshake_bytes: 16 * 1024,
            handshake: Duration::from_secs(10),
            message_bytes: longest_request(self.plan.message_bytes as usize),
            ping: Duration::from_secs(36),
            idle: Duration::from_secs(60),
            linger: LINGER,
        })
    }

    pub(super) fn start_server(&mut self) {
        let wall = self.wall();
        let restored = self.disk.open(wall, self.plan.history_limit);
        self.runs += 1;
        let incarnation = restored.incarnation;
        let last = restored.rooms.first().map_or(Seq(0), |room| room.last);
        self.say(|| format!("the server starts, incarnation {}, last {last}", incarnation.0));
        assert_eq!(last.0, self.disk.log.len() as u64);
        let settings = Settings {
            server: "rsachat/simulation".to_owned(),
            message_bytes: self.plan.message_bytes,
            message_rate: self.plan.message_rate,
            message_burst: self.plan.message_burst,
            history_limit: self.plan.history_limit,
            connections_per_user: 64,
            join_backlog: self.plan.join_backlog,
            default_rooms: vec![RoomName::lobby()],
            records: false,
            creation: Creation::Everyone,
            max_rooms: 20,
            max_rooms_per_user: 3,
            direct_quota: 5,
            admins: std::iter::empty().collect(),
        };
        self.process = Some(Process {
            run: self.runs,
            hub: Hub::new(settings, restored),
            connections: std::iter::empty().collect(),
            next_session: 0,
            reactors: (0..self.plan.reactors).map(|_| Reactor::default()).collect(),
            store: StoreThread::default(),
            ending: None,
            stopped: false,
            judge: Judge::new(incarnation, last, self.now),
        });
        let users: Vec<Input> = self.keys_directory.iter().map(|(user, key)| registered(*user, key.public())).collect();
        self.step(None, users);
        self.at_in(Duration::from_secs(1), Happening::Sweep { run: self.runs });
    }

    /// Tells the hub what happened, and queues what follows for the reactors; `own` looks at its part by itself.
    pub(super) fn step(&mut self, own: Option<usize>, inputs: Vec<Input>) {
        let (now, wall) = (self.now, self.wall());
        for input in inputs {
            let Some(process) = &mut self.process else { return };
            self.trace.say(now, || format!("    hub <- {}", brief(&input)));
            process.judge.before(&input, now, process.hub.poll_timeout().is_some_and(|due| due <= now));
            process.hub.handle(input, now, wall);
            assert_eq!(process.hub.check_invariants(), Ok(()));
            while let Some(process) = &mut self.process
                && let Some(output) = process.hub.poll()
            {
                let index = process.judge.output(&output, &self.disk, &mut self.said, &mut self.seen);
                self.route(index, output);
            }
            if let Some(process) = &mut self.process {
                process.judge.after(process.hub.poll_timeout().is_none());
            }
        }
        let Some(process) = &mut self.process else { return };
        let run = process.run;
        let mut wake = Vec::new();
        for (number, reactor) in process.reactors.iter_mut().enumerate() {
            if own != Some(number) && !reactor.mail.is_empty() && !std::mem::replace(&mut reactor.woken, true) {
                let late = up_to(&mut self.rng, Duration::from_millis(3));
                wake.push((reactor.paused.map_or(now + late, |until| until.max(now + late)), number));
            }
        }
        for (due, reactor) in wake {
            self.at(due, Happening::Mail { run, reactor });
        }
    }

    fn route(&mut self, index: u64, output: Output) {
        let Some(process) = &mut self.process else { return };
        match output {
            Output::ToRoom { .. } => {
                process.reactors.iter_mut().for_each(|reactor| reactor.mail.push_back((index, output.clone())));
            }
            Output::To { session, .. }
            | Output::Enter { session, .. }
            | Output::Exit { session, .. }
            | Output::Close { session, .. } => {
                let reactor = process.reactor_of(session);
                process.reactors[reactor].mail.push_back((index, output));
            }
            Output::Store(command) => {
                process.store.waiting.push_back(command);
                self.wake_store();
            }
            Output::Invite(_) => panic!("nobody invites"),
            Output::Stopped => process.stopped = true,
            Output::Console(_) | Output::Log(_) | Output::Record(_) => {}
        }
    }

    /// A reactor does all that there is to do.
    pub(super) fn turn(&mut self, number: usize) {
        loop {
            let Some(reactor) = self.process.as_mut().map(|process| &mut process.reactors[number]) else { return };
            let inputs = std::mem::take(&mut reactor.inputs);
            let mail = std::mem::take(&mut reactor.mail);
            let dirty = std::mem::take(&mut reactor.dirty);
            if inputs.is_empty() && mail.is_empty() && dirty.is_empty() {
                break;
            }
            self.step(Some(number), inputs);
            for (index, output) in mail {
                self.carry_out(number, index, &output);
            }
            for session in dirty {
                self.flush(session);
            }
        }
        self.end_if_stopped();
    }

    fn carry_out(&mut self, number: usize, index: u64, output: &Output) {
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        let dirty = &mut process.reactors[number].dirty;
        match output {
            Output::ToRoom { bytes, .. } => {
                let here = process.connections.iter_mut().filter(|(_, served)| served.reactor == number);
                for (session, served) in here.filter(|(_, served)| served.in_room) {
                    process.judge.delivered(*session, index);
                    served.deliver(bytes);
                    dirty.insert(*session);
                }
            }
            Output::To { session, bytes } => {
                if let Some(served) = process.connections.get_mut(session).filter(|served| served.is_serving()) {
                    served.deliver(bytes);
                    dirty.insert(*session);
                }
            }
            Output::Enter { session, .. } => {
                if let Some(served) = process.connections.get_mut(session).filter(|served| served.is_serving()) {
                    served.in_room = true;
                }
            }
            Output::Exit { session, .. } => {
                if let Some(served) = process.connections.get_mut(session) {
                    served.in_room = false;
                }
            }
            Output::Close { session, reason } => {
                if let Some(served) = process.connections.get_mut(session) {
                    served.in_room = false;
                    if served.is_serving() {
                        served.serving = Serving::Draining(reason.clone(), now + LINGER);
                        dirty.insert(*session);
                    }
                }
            }
            Output::Store(_)
            | Output::Invite(_)
            | Output::Console(_)
            | Output::Log(_)
            | Output::Record(_)
            | Output::Stopped => {}
        }
    }

    /// Sends what the connection takes.
    pub(super) fn flush(&mut self, session: SessionId) {
        let now = self.now;
        loop {
            let Some(served) = self.process.as_mut().and_then(|process| process.connections.get_mut(&session)) else {
                return;
            };
            let Some(wire) = self.wires.get(&served.wire) else { return };
            let free = self.plan.capacity.saturating_sub(wire.down.bytes);
            if served.unsent.is_empty() && served.has_queued() {
                served.seal();
            }
            let taken: Vec<u8> = served.unsent.drain(..served.unsent.len().min(free)).collect();
            let id = served.wire;
            let drained = served.unsent.is_empty() && !served.has_queued();
            let blocked = !served.unsent.is_empty();
            if !drained && !blocked {
                self.transmit(id, Way::Down, taken);
                continue;
            }
            let reason = match &served.serving {
                Serving::Yes if served.waiting() > self.plan.outbound_queue_bytes => {
                    served.drop_queue();
                    self.seen.too_slow += 1;
                    Some((CloseReason::new(CloseCode::TooSlow, "you read too slowly"), now + LINGER))
                }
                Serving::Draining(reason, deadline) if drained => Some((reason.clone(), *deadline)),
                Serving::Leaving(_) if drained => {
                    self.transmit(id, Way::Down, taken);
                    self.shut(id, Way::Down);
                    return;
                }
                _ => None,
            };
            let Some((reason, deadline)) = reason else {
                self.transmit(id, Way::Down, taken);
                return;
            };
            served.serving = Serving::Leaving(deadline);
            served.in_room = false;
            served.link.handle(link::Input::Close(reason), now);
            while let Some(output) = served.link.poll() {
                if let link::Output::Transmit(bytes) = output {
                    served.unsent.extend(bytes);
                }
            }
            self.transmit(id, Way::Down, taken);
        }
    }

    /// A client's connection reaches the server.
    pub(super) fn accept(&mut self, wire: WireId) -> Option<(u64, SessionId)> {
        let limits = self.server_limits();
        let key = self.keys.server.public().spki_der().into();
        let process = self.process.as_mut().filter(|process| !process.stopped)?;
        process.next_session += 1;
        let session = SessionId(process.next_session);
        let reactor = process.reactor_of(session);
        process.connections.insert(session, Served::new(wire, reactor, Link::server(key, limits, self.now)));
        Some((process.run, session))
    }

    /// Bytes of a client reach its reactor.
    pub(super) fn received(&mut self, run: u64, session: SessionId, arrived: Arrived) {
        let now = self.now;
        let Some(process) = self.process.as_mut().filter(|process| process.run == run) else { return };
        let Some(reactor) = process.connections.get(&session).map(|served| served.reactor) else { return };
        for mut piece in arrived.pieces {
            let process = self.process.as_mut();
            let served = process.and_then(|process| process.connections.get_mut(&session));
            if let Some(served) = served.filter(|served| served.is_serving()) {
                served.link.handle(link::Input::Received(&mut piece), now);
                self.follow(session);
            }
        }
        if arrived.eof {
            let process = self.process.as_mut();
            match process.and_then(|process| process.connections.get_mut(&session)) {
                Some(served) if served.is_serving() => {
                    served.link.handle(link::Input::Eof, now);
                    self.follow(session);
                }
                _ => self.remove(session),
            }
        }
        self.turn(reactor);
    }

    /// Does what a connection's link wants done.
    pub(super) fn follow(&mut self, session: SessionId) {
        loop {
            let Some(process) = &mut self.process else { return };
            let Some(served) = process.connections.get_mut(&session) else { return };
            let reactor = &mut process.reactors[served.reactor];
            let Some(output) = served.link.poll() else { return };
            reactor.dirty.insert(session);
            match output {
                link::Output::Transmit(bytes) => served.unsent.extend(bytes),
                link::Output::Job(job) => {
                    let run = process.run;
                    self.seen.resumed += u32::from(matches!(job, Job::Resume(_)));
                    let late = up_to(&mut self.rng, Duration::from_millis(40));
                    self.at_in(late, Happening::ServerJob { run, session, job });
                }
                link::Output::Opened(peer) => {
                    let Peer { user, fingerprint, client, ticket, .. } = peer;
                    served.user = Some(user);
                    let ticket = Ticket { ticket: ticket.into(), lifetime_s: ticket::LIFETIME_S };
                    served.deliver(&ServerMessage::Ticket(ticket).encode().into());
                    reactor.inputs.push(Input::Opened { session, user, fingerprint, client });
                }
                link::Output::Message((id, request)) => reactor.inputs.push(Input::Request { session, id, request }),
                link::Output::Ended(ended) => {
                    self.ended(session, &ended);
                    return;
                }
            }
        }
    }

    fn ended(&mut self, session: SessionId, ended: &Ended) {
        let now = self.now;
        self.trace.say(now, || format!("    {session:?}: {ended}"));
        let Some(served) = self.process.as_mut().and_then(|process| process.connections.get_mut(&session)) else {
            return;
        };
        served.in_room = false;
        match ended {
            Ended::Closed(reason) => {
                let honest = reason.code != CloseCode::ProtocolError || reason.text == "no welcome";
                assert!(honest, "the client says: {}", reason.text);
                self.remove(session);
            }
            Ended::Truncated | Ended::TimedOut | Ended::Here => self.remove(session),
            Ended::Violation(violation) => panic!("{session:?} broke the protocol: {violation}"),
            Ended::Refused(_) => {
                served.drop_queue();
                served.serving = Serving::Leaving(now + LINGER);
            }
        }
    }

    /// A worker has done a handshake's work.
    pub(super) fn server_job(&mut self, run: u64, session: SessionId, job: Job) {
        let directory = self.keys_directory.iter().map(|(user, key)| (*user, key.public().clone())).collect();
        let context = Context {
            key: Arc::clone(&self.keys.server),
            directory: Arc::new(Snapshot(directory)),
            tickets: Arc::clone(&self.tickets),
            now: self.wall(),
        };
        let Some(process) = self.process.as_mut().filter(|process| process.run == run) else { return };
        let Some(served) = process.connections.get_mut(&session) else { return };
        let reactor = served.reactor;
        if self.rng.random_bool(0.01) {
            served.link.handle(link::Input::Busy(1), self.now);
        } else {
            let answer = job.run(&context, &mut self.rng);
            served.link.handle(link::Input::Answer(answer), self.now);
        }
        self.follow(session);
        self.turn(reactor);
    }

    /// Looks whose time is up.
    pub(super) fn sweep(&mut self, run: u64) {
        let now = self.now;
        let Some(process) = self.process.as_mut().filter(|process| process.run == run) else { return };
        let mut due = Vec::new();
        for (session, served) in &process.connections {
            let time = match served.serving {
                Serving::Yes => served.link.poll_timeout(),
                Serving::Draining(_, deadline) | Serving::Leaving(deadline) => Some(deadline),
            };
            if time.is_some_and(|time| time <= now) {
                due.push((*session, served.reactor));
            }
        }
        for (session, reactor) in due {
            let process = self.process.as_mut();
            match process.and_then(|process| process.connections.get_mut(&session)) {
                Some(served) if served.is_serving() => {
                    served.link.handle(link::Input::Tick, now);
                    self.follow(session);
                }
                _ => self.remove(session),
            }
            self.turn(reactor);
        }
        self.end_if_stopped();
        self.at_in(Duration::from_secs(1), Happening::Sweep { run });
    }

    fn remove(&mut self, session: SessionId) {
        let Some(process) = &mut self.process else { return };
        let Some(served) = process.connections.remove(&session) else { return };
        if served.user.is_some() {
            process.reactors[served.reactor].inputs.push(Input::Gone { session });
        }
        self.shut(served.wire, Way::Down);
        if let Some(wire) = self.wires.get_mut(&served.wire) {
            wire.up.vanish();
        }
    }

    /// The server is told to end.
    pub(super) fn shut_down(&mut self) {
        let Some(process) = &mut self.process else { return };
        if process.ending.is_some() {
            return;
        }
        process.ending = Some(self.now + END);
        self.step(None, vec![Input::Shutdown { reason: "told to".to_owned() }]);
        self.end_if_stopped();
    }

    /// The server ends when the hub has, or when there is no more time to wait for it.
    pub(super) fn end_if_stopped(&mut self) {
        let now = self.now;
        let Some(process) = &mut self.process else { return };
        if !process.stopped && process.ending.is_none_or(|deadline| deadline > now) {
            return;
        }
        self.say(|| "the server ends".to_owned());
        self.stop_store();
        self.kill();
    }

    /// The server's process is gone, and all that it had in memory. What the system has of its connections may still
    /// arrive.
    pub(super) fn kill(&mut self) {
        let Some(process) = self.process.take() else { return };
        for served in process.connections.into_values() {
            let Some(wire) = self.wires.get_mut(&served.wire) else { continue };
            wire.up.vanish();
            if self.rng.random_bool(0.5) {
                wire.down.tear(&mut self.rng);
            }
            self.shut(served.wire, Way::Down);
        }
        let down = up_to(&mut self.rng, Duration::from_secs(4));
        self.at_in(down, Happening::Start);
    }
}

pub(super) fn registered(user: UserName, key: &PublicKey) -> Input {
    Input::Registered { user, fingerprint: key.fingerprint(), spki: key.spki_der().into() }
}

fn brief(input: &Input) -> String {
    format!("{input:?}").chars().take(160).collect()
}
