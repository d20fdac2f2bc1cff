//! The end of the server, with a thousand clients of which a hundred read nothing.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use expectrl::process::unix::WaitStatus;
use expectrl::{Expect as _, Session};
use rsachat::model::{MessageId, RoomName};
use rsachat::proto::close::CloseCode;
use rsachat::proto::link::Ended;
use rsachat::proto::message::{ErrorCode, Join, Reply, Request, RequestId, ServerMessage, Shutdown};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::client::{Client, Conn, Login, Origin, duplicate, message_id, post};
use crate::support::crowd::Crowd;
use crate::support::data_dir::{DataDir, alice, bob};
use crate::support::server::{Server, serve, stored};
use crate::support::{PATIENCE, alone};

/// How long the end may take.
const IN_TIME: Duration = Duration::from_secs(5);

/// Of those who read, so many also say something, all the time.
const POSTERS: usize = 10;
/// Of those who don't read, so many have more waiting for them than their sockets hold.
const CHOKED: usize = 3;

fn roomy() -> DataDir {
    DataDir::new(json!({
        "max_connections_per_address": 0, "max_connections_per_user": 2000, "message_rate": 100_000, "message_burst": 100_000,
        "outbound_queue_bytes": 1 << 28, "history_limit": 1000, "join_backlog": 1,
    }))
}

/// Clients in the room.
struct Members {
    /// They read what comes. The first [`POSTERS`] also say something, all the time.
    readers: Crowd,
    /// They read nothing.
    deaf: Crowd,
    /// Nor do they, and their sockets are full.
    choked: Crowd,
    /// What they have asked, by who and under which id.
    asked: HashMap<(usize, RequestId), MessageId>,
    accepted: HashSet<MessageId>,
}

impl Members {
    fn enter(server: &Server, readers: usize, deaf: usize) -> Self {
        let mut first = Client::member(server.address, bob());
        first.post("the first word");
        let ticket = first.resumption();
        let crowd = |count, origin| {
            let conn = |_| Conn::new(server.address, origin, Login::Resume(bob(), duplicate(&ticket)));
            let mut crowd = Crowd::new((0..count).map(conn));
            crowd.enter();
            crowd.ask(&Request::Join(Join { room: RoomName::lobby(), after: None, backlog: false }));
            crowd
        };
        let mut choked = crowd(CHOKED, Origin { receive_buffer: Some(4096), ..Origin::default() });
        choked.conns.iter_mut().for_each(|conn| conn.reading = false);
        // More than the sockets of both ends hold.
        for _ in 0..450 {
            first.post(&"much to read ".repeat(600));
        }
        first.post("the last word");
        let mut deaf = crowd(deaf - CHOKED, Origin::default());
        deaf.conns.iter_mut().for_each(|conn| conn.reading = false);
        let mut readers = crowd(readers, Origin::default());
        for (number, conn) in readers.conns.iter_mut().enumerate() {
            conn.inbox.clear();
            conn.keeping = number < POSTERS;
        }
        Self { readers, deaf, choked, asked: HashMap::new(), accepted: HashSet::new() }
    }

    /// Lets the posters post until `until`, or until everybody is out.
    fn talk(&mut self, mut until: impl FnMut(&HashSet<MessageId>) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !until(&self.accepted) && self.readers.conns.iter().any(|conn| conn.ended.is_none()) {
            assert!(Instant::now() < deadline, "the server does not end");
            for (number, conn) in self.readers.conns.iter_mut().enumerate().take(POSTERS) {
                for message in conn.inbox.drain(..) {
                    if let ServerMessage::Reply(id, reply) = message {
                        let message = self.asked.remove(&(number, id));
                        match (message, reply) {
                            (Some(message), Reply::Accepted(_)) => drop(self.accepted.insert(message)),
                            (_, Reply::Error(refused)) => assert_eq!(refused.code, ErrorCode::ShuttingDown),
                            (_, Reply::Done) => {}
                            (_, reply) => panic!("{reply:?}"),
                        }
                    }
                }
                if conn.ended.is_none() && self.asked.keys().filter(|(poster, _)| *poster == number).count() < 2 {
                    let message = message_id();
                    self.asked.insert((number, conn.send(&post(message, "a word", false))), message);
                    conn.advance();
                }
            }
            self.readers.turn(Duration::from_millis(100));
        }
    }

    /// Checks what everyone noticed of the end, and that nothing acknowledged is lost.
    fn check(self, dir: &DataDir) {
        for conn in &self.readers.conns {
            assert!(conn.closed_with(CloseCode::Shutdown), "{:?}", conn.ended);
        }
        let stored = stored(dir);
        assert!(!self.accepted.is_empty());
        let ids: HashSet<MessageId> = stored.iter().copied().collect();
        assert_eq!(ids.len(), stored.len(), "something is stored twice");
        assert!(self.accepted.is_subset(&ids), "something acknowledged is not stored");
        // They had their sockets open to the end.
        drop((self.deaf, self.choked));
    }
}

/// Ends a server with so many clients, of which a tenth reads nothing.
fn end(dir: &DataDir, server: Server, clients: usize, stop: impl FnOnce(&Server)) -> String {
    let mut members = Members::enter(&server, clients - clients / 10, clients / 10);
    members.talk(|accepted| accepted.len() >= 20);
    let start = Instant::now();
    stop(&server);
    members.talk(|_| false);
    let told = start.elapsed();
    let ended = server.wait();
    let took = start.elapsed();
    eprintln!("told all after {told:?}, ended after {took:?}, {} accepted", members.accepted.len());
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    assert!(took < IN_TIME, "it took {took:?}");
    members.check(dir);
    ended.err
}

#[test]
fn sigterm_ends_it_in_order_with_a_thousand_clients() {
    let _alone = alone();
    let dir = roomy();
    let log = end(&dir, Server::start(&dir), 1000, |server| server.signal(Signal::TERM));
    assert!(log.contains("shutting down by=\"SIGTERM\""), "{log}");
}

#[test]
fn an_interrupt_ends_it_in_order() {
    let dir = roomy();
    let log = end(&dir, Server::start(&dir), 50, |server| server.signal(Signal::INT));
    assert!(log.contains("shutting down by=\"an interrupt\""), "{log}");
}

#[test]
fn an_admin_ends_it_in_order_and_nobody_else() {
    let dir = roomy();
    let server = Server::start(&dir);
    let Reply::Error(refused) = Client::login(server.address, bob()).shut_down() else { panic!("not refused") };
    assert_eq!(refused.code, ErrorCode::Forbidden);
    assert!(refused.hint.unwrap().contains("admins"));
    server.err.line(&["request refused", "user=bob", "Forbidden"]);

    let mut admin = Client::login(server.address, alice());
    let log = end(&dir, server, 50, |_| {
        let id = admin.conn.send(&Request::Shutdown(Shutdown {}));
        let reply = admin.wait("the answer", |conn| conn.take_reply(id)).1;
        assert_eq!(reply, Reply::Done);
        assert_eq!(admin.wait_close().code, CloseCode::Shutdown);
    });
    assert!(log.contains("shutting down by=\"by alice\""), "{log}");
}

#[test]
fn the_operator_ends_it_from_the_console() {
    let dir = DataDir::new(json!({}));
    let mut console = Session::spawn(serve(dir.path())).unwrap();
    console.set_expect_timeout(Some(PATIENCE));
    let found = console.expect(expectrl::Regex("listening at ([0-9.:]+)\r\n")).unwrap();
    let address = String::from_utf8_lossy(found.get(1).unwrap()).parse().unwrap();
    console.expect("console commands: /list, /kick USER, /shutdown").unwrap();

    let mut bob = Client::member(address, bob());
    let mut alice = Client::member(address, alice());
    // What is no text is no command, and does no harm.
    console.send(b"/kick \xff\xfe\n").unwrap();
    console.expect("a name has only letters").unwrap();
    console.send_line("/list").unwrap();
    console.expect("alice").unwrap();
    console.expect("bob").unwrap();
    console.expect("2 users, 2 connections").unwrap();
    console.send_line("/kick bob").unwrap();
    console.expect("bob is out: 1 connection closed").unwrap();
    assert_eq!(bob.wait_close().code, CloseCode::Kicked);
    console.send_line("/kick bob").unwrap();
    console.expect("bob is not connected").unwrap();
    console.send_line("/nonsense").unwrap();
    console.expect("console commands").unwrap();

    let accepted = alice.post("the last word");
    console.send_line("/shutdown").unwrap();
    assert_eq!(alice.wait_close().code, CloseCode::Shutdown);
    drop(alice);
    console.expect(expectrl::Eof).unwrap();
    let status = console.get_process().wait().unwrap();
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
    assert_eq!(stored(&dir).len(), usize::try_from(accepted.seq.0).unwrap());
}

#[test]
fn a_second_interrupt_ends_it_at_once() {
    let dir = DataDir::new(json!({}));
    let server = Server::start(&dir);
    let mut deaf = Client::member(server.address, alice());
    deaf.conn.reading = false;
    server.signal(Signal::INT);
    server.err.line(&["shutting down"]);
    let start = Instant::now();
    server.signal(Signal::INT);
    let ended = server.wait();
    assert_eq!(ended.status.code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(1), "it took {:?}", start.elapsed());
}

#[test]
fn whoever_comes_while_it_ends_is_told() {
    let dir = DataDir::new(json!({}));
    let server = Server::start(&dir);
    // Keeps the server waiting for two seconds.
    let mut deaf = Client::member(server.address, alice());
    deaf.conn.reading = false;
    server.signal(Signal::TERM);
    server.err.line(&["shutting down"]);
    let late = Client::try_enter(Conn::new(server.address, Origin::default(), Login::Full(bob())));
    match late {
        Err(Ended::Closed(reason)) => assert_eq!(reason.code, CloseCode::Shutdown),
        Err(ended) => panic!("{ended:?}"),
        Ok(_) => panic!("let in"),
    }
    assert_eq!(server.wait().status.code(), Some(0));
}

#[test]
fn signals_in_the_first_moment_are_heard() {
    let dir = DataDir::new(json!({}));
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::start(&dir);
        kill_process(Pid::from_raw(server.pid().cast_signed()).unwrap(), signal).unwrap();
        assert_eq!(server.wait().status.code(), Some(0), "{signal:?}");
    }
}
