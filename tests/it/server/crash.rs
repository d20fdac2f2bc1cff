//! kill -9 of the server, again and again, under load and on one directory. What a client saw acknowledged is in the
//! history exactly once afterwards, and all clients end up with the same messages in the same order.

use std::collections::{HashMap, HashSet, VecDeque};
use std::env;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rsachat::model::{MessageId, RoomName, Seq, Timestamp};
use rsachat::proto::handshake::client::Resumption;
use rsachat::proto::message::{
    Accepted, ErrorCode, Join, Joined, Position, Reply, Request, RequestId, ServerMessage, Stored,
};
use rustix::process::Signal;
use serde_json::json;

use crate::support::PATIENCE;
use crate::support::client::{Client, Conn, Login, Origin, duplicate, message_id, post};
use crate::support::crowd::Crowd;
use crate::support::data_dir::{DataDir, Identity, alice, bob};
use crate::support::process::Process;
use crate::support::server::{Server, serve, stored};

const ROUNDS: u32 = 20;
/// Posts under way of each client.
const UNDER_WAY: usize = 32;
/// A round ends after so many posts at the latest, so that the server is never killed idle, and the history holds all.
const MESSAGES_A_ROUND: usize = 450;

/// A client that lives through all crashes, as a good client does it: resumes, withdraws what was never stored, posts
/// again what was not acknowledged, in order, before anything new.
struct Live {
    identity: &'static Identity,
    resumption: Option<Resumption>,
    view: Vec<Stored>,
    position: Option<Position>,
    /// Not acknowledged yet, in the order of posting.
    unacknowledged: VecDeque<(MessageId, String)>,
    acknowledged: HashMap<MessageId, (Seq, Timestamp)>,
    said: usize,
    withdrawn: usize,
    repeated: usize,
    // Of the connection.
    joining: Option<RequestId>,
    parts: Vec<Stored>,
    entered: bool,
    asked: HashMap<RequestId, MessageId>,
    repeating: bool,
}

impl Live {
    fn new(identity: &'static Identity) -> Self {
        Self {
            identity,
            resumption: None,
            view: Vec::new(),
            position: None,
            unacknowledged: VecDeque::new(),
            acknowledged: HashMap::new(),
            said: 0,
            withdrawn: 0,
            repeated: 0,
            joining: None,
            parts: Vec::new(),
            entered: false,
            asked: HashMap::new(),
            repeating: false,
        }
    }

    fn connect(&mut self, server: &Server) -> Conn {
        (self.joining, self.entered, self.repeating) = (None, false, false);
        self.parts.clear();
        self.asked.clear();
        let login = match &self.resumption {
            Some(resumption) => Login::Resume(self.identity, duplicate(resumption)),
            None => Login::Full(self.identity),
        };
        Conn::new(server.address, Origin::default(), login)
    }

    /// Takes what came, and says more as long as there is `more` to say.
    fn step(&mut self, conn: &mut Conn, more: bool) {
        if let Some(resumption) = &conn.resumption {
            self.resumption = Some(duplicate(resumption));
        }
        let Some(welcome) = &conn.welcome else { return };
        let incarnation = welcome.incarnation;
        if !self.entered && self.joining.is_none() {
            self.join(conn);
        }
        while let Some(message) = conn.inbox.pop_front() {
            match message {
                ServerMessage::Part(_, part) => self.parts.push(part),
                ServerMessage::Reply(id, Reply::Joined(joined)) if self.joining == Some(id) => {
                    self.joined(&joined);
                    self.position = self.view.last().map(|last| Position { incarnation, seq: last.seq });
                    if joined.caught_up {
                        self.entered = true;
                        self.repeating = !self.unacknowledged.is_empty();
                        for (message, text) in &self.unacknowledged {
                            self.asked.insert(conn.send(&post(*message, text, true)), *message);
                            self.repeated += 1;
                        }
                    } else {
                        self.join(conn);
                    }
                }
                ServerMessage::Reply(id, Reply::Accepted(Accepted { seq, time })) => {
                    let message = self.asked.remove(&id).unwrap();
                    assert_eq!(self.acknowledged.insert(message, (seq, time)), None, "acknowledged twice");
                    // In the order in which they were posted.
                    assert_eq!(self.unacknowledged.pop_front().unwrap().0, message);
                    self.repeating &= !self.asked.is_empty();
                }
                ServerMessage::Message(message) => {
                    self.position = Some(Position { incarnation, seq: message.seq });
                    self.append(message);
                }
                ServerMessage::Presence(_) => {}
                other => panic!("{other:?}"),
            }
        }
        while self.entered && !self.repeating && more && self.unacknowledged.len() < UNDER_WAY {
            self.said += 1;
            let (message, text) = (message_id(), format!("{} {}", self.identity.user, self.said));
            self.asked.insert(conn.send(&post(message, &text, false)), message);
            self.unacknowledged.push_back((message, text));
        }
        conn.advance();
    }

    fn join(&mut self, conn: &mut Conn) {
        self.joining =
            Some(conn.send(&Request::Join(Join { room: RoomName::lobby(), after: self.position, backlog: false })));
    }

    fn joined(&mut self, joined: &Joined) {
        self.joining = None;
        assert_eq!(joined.gone, 0);
        if let Some(last) = joined.withdrawn_after {
            let before = self.view.len();
            self.view.retain(|message| message.seq <= last);
            self.withdrawn += before - self.view.len();
        }
        for part in std::mem::take(&mut self.parts) {
            self.append(part);
        }
    }

    fn append(&mut self, message: Stored) {
        let last = self.view.last().map_or(Seq(0), |last| last.seq);
        assert_eq!(message.seq, last.next(), "{} has a gap or a repetition", self.identity.user);
        self.view.push(message);
    }
}

fn said(lives: &[Live]) -> usize {
    lives.iter().map(|live| live.said).sum()
}

#[test]
fn nothing_acknowledged_is_lost_at_any_kill() {
    let seed = env::var("RSACHAT_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    eprintln!("RSACHAT_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let dir = DataDir::new(json!({
        "history_limit": 10_000, "join_backlog": 10_000, "message_rate": 100_000, "message_burst": 100_000,
        "handshakes_per_second_per_address": 0,
    }));
    let mut lives = [Live::new(alice()), Live::new(bob())];
    for _ in 0..ROUNDS {
        if rng.random_bool(0.3) {
            // Killed while it starts.
            let process = Process::start(&mut serve(dir.path()));
            process.out.wait_for(Duration::from_millis(rng.random_range(0..20)), |text| text.text.contains("connect"));
            process.signal(Signal::KILL);
            process.wait();
        }
        let server = Server::start(&dir);
        let mut crowd = Crowd::new(lives.iter_mut().map(|live| live.connect(&server)));
        let mut kill_at = Some(Instant::now() + Duration::from_millis(rng.random_range(0..250)));
        let enough = said(&lives) + rng.random_range(0..MESSAGES_A_ROUND);
        while kill_at.is_some() || crowd.conns.iter().any(|conn| conn.ended.is_none()) {
            if kill_at.is_some_and(|at| at <= Instant::now() || said(&lives) > enough) {
                server.signal(Signal::KILL);
                kill_at = None;
            }
            let left = kill_at.map_or(PATIENCE, |at| at.saturating_duration_since(Instant::now()));
            crowd.turn(left);
            for (live, conn) in lives.iter_mut().zip(&mut crowd.conns) {
                live.step(conn, kill_at.is_some());
            }
        }
        server.wait();
    }

    let server = Server::start(&dir);
    let mut crowd = Crowd::new(lives.iter_mut().map(|live| live.connect(&server)));
    let quiet = |live: &Live| live.entered && live.unacknowledged.is_empty();
    let deadline = Instant::now() + PATIENCE;
    while !lives.iter().all(quiet) || lives[0].view.len() != lives[1].view.len() {
        assert!(Instant::now() < deadline, "the clients don't come to rest");
        crowd.turn(Duration::from_millis(100));
        for (live, conn) in lives.iter_mut().zip(&mut crowd.conns) {
            live.step(conn, false);
        }
    }
    let history = Client::member(server.address, alice()).history();
    let mut acknowledged = 0;
    for live in &lives {
        assert_eq!(live.said, live.acknowledged.len());
        assert_eq!(live.view, history, "{} sees something else than the history", live.identity.user);
        for (message, place) in &live.acknowledged {
            let found: Vec<&Stored> = history.iter().filter(|stored| stored.message == *message).collect();
            assert_eq!(found.len(), 1, "{message} is in the history {} times", found.len());
            assert_eq!((found[0].seq, found[0].time), *place);
            assert_eq!(found[0].sender, live.identity.user);
        }
        acknowledged += live.acknowledged.len();
    }
    assert_eq!(acknowledged, history.len());
    server.signal(Signal::TERM);
    assert_eq!(server.wait().status.code(), Some(0));
    let ids = stored(&dir);
    assert_eq!(ids, history.iter().map(|stored| stored.message).collect::<Vec<_>>());
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    let [a, b] = &lives;
    let (withdrawn, repeated) = (a.withdrawn + b.withdrawn, a.repeated + b.repeated);
    eprintln!("{acknowledged} acknowledged, {repeated} posted again, {withdrawn} withdrawn, in {ROUNDS} kills");
    assert!(acknowledged > 100 && repeated > 10, "there was no load");
}

#[test]
fn a_retry_finds_what_was_stored_before_the_kill() {
    let dir = DataDir::new(json!({}));
    let server = Server::start(&dir);
    let mut client = Client::member(server.address, alice());
    let id = message_id();
    let Reply::Accepted(first) = client.call(&post(id, "once", false)).1 else { panic!("refused") };
    let resumption = client.resumption();
    server.kill();

    let server = Server::start(&dir);
    // The ticket keys outlive the kill, too.
    let mut client = Client::enter(Conn::new(server.address, Origin::default(), Login::Resume(alice(), resumption)));
    let Reply::Error(refused) = client.call(&post(id, "once", true)).1 else { panic!("not in the room yet") };
    assert_eq!(refused.code, ErrorCode::Forbidden);
    client.join(None);
    assert_eq!(client.call(&post(id, "once", true)).1, Reply::Accepted(first));
    assert_eq!(client.history().len(), 1);
}
