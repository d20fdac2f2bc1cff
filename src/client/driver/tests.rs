//! The driver against a real server, and against what is none.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream as StdStream};
use std::path::Path;

use super::*;
use crate::client::session::{Answer, Ask};
use crate::client::session::{Known, Purpose, Visit};
use crate::config::ServerFlags;
use crate::config::{ServerConfig, ServerPaths};
use crate::crypto::rsa::{PrivateKey, test_keys};
use crate::keys::registry::{self, Registry};
use crate::model::RoomName;
use crate::proto::frame::{Kind, frame};
use crate::proto::message::Body;
use crate::server::{Options, Server};

const PATIENCE: Duration = Duration::from_secs(20);

fn key_copy(name: &str) -> PrivateKey {
    let path = format!("{}/tests/data/keys/test_{name}.private.pem", env!("CARGO_MANIFEST_DIR"));
    PrivateKey::from_pem(&std::fs::read_to_string(path).unwrap(), None).unwrap()
}

fn server(dir: &Path) -> Server {
    let keys = dir.join("keys");
    std::fs::create_dir_all(&keys).unwrap();
    for user in ["alice", "bob"] {
        let from = format!("{}/tests/data/keys/test_{user}.pem", env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(from, keys.join(format!("key_{user}.pem"))).unwrap();
    }
    let paths = ServerPaths::new(dir, None);
    std::fs::write(&paths.config, r#"{"server_ip": "127.0.0.1", "server_port": 0}"#).unwrap();
    let config = ServerConfig::load(&paths, &ServerFlags::default()).unwrap();
    Server::start(Options {
        config: &config,
        key: key_copy("server"),
        registered: registry::load(&keys, &Registry::default()),
        keys: &keys,
        database: &dir.join("rsachat.db"),
        invites: &dir.join("invites"),
        ticket_keys: &dir.join("ticket_keys"),
        directory: dir,
    })
    .unwrap()
}

struct User {
    driver: Driver,
    told: Receiver<Told>,
}

impl User {
    fn new(name: &str, target: Target, give_up: Option<Duration>) -> Self {
        let settings = Settings {
            server: test_keys::server().public().clone(),
            user: name.parse().unwrap(),
            own: key_copy(name).public().clone(),
            known: Known::default(),
            invite: None,
            receipts: true,
            room: RoomName::lobby(),
            purpose: Purpose::Chat,
            give_up,
        };
        let (sender, told) = mpsc::channel();
        let tell = move |what| drop(sender.send(what));
        Self { driver: Driver::start(settings, target, Box::new(key_copy(name)), Kept::default(), tell).unwrap(), told }
    }

    /// What comes next of which `wanted` holds.
    fn wait<T>(&self, wanted: impl Fn(Told) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let told = self.told.recv_timeout(until.saturating_duration_since(Instant::now())).unwrap();
            if let Some(found) = wanted(told) {
                return found;
            }
        }
    }

    fn entered(&self) -> Visit {
        self.wait(|told| match told {
            Told::Event(Event::Entered { visit, .. }) => Some(visit),
            _ => None,
        })
    }

    fn say(&self, text: &str) {
        let body = Body::Text { text: text.to_owned() };
        self.driver.handle().send(Command::Post { room: RoomName::lobby(), body, urgent: false });
    }

    fn hears(&self, text: &str) {
        self.wait(|told| match told {
            Told::Event(Event::Message { message, .. }) => (message.body?.text() == text).then_some(()),
            _ => None,
        });
    }

    fn accepted(&self) {
        self.wait(|told| matches!(told, Told::Event(Event::Accepted { .. })).then_some(()));
    }

    fn over(self) -> (Outcome, usize) {
        let over = self.wait(|told| match told {
            Told::Over { outcome, undelivered } => Some((outcome, undelivered)),
            Told::Event(_) => None,
        });
        self.driver.join();
        over
    }

    fn leave(self) -> (Outcome, usize) {
        self.driver.handle().send(Command::Leave { patience: PATIENCE });
        self.over()
    }
}

fn target(port: u16) -> Target {
    Target { host: "127.0.0.1".to_owned(), port }
}

#[test]
fn two_users_talk_and_leave() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    let port = server.addresses()[0].port();
    assert_eq!(&fetch_server_key(&target(port), PATIENCE).unwrap(), test_keys::server().public());

    let alice = User::new("alice", Target { host: "localhost".to_owned(), port }, None);
    let bob = User::new("bob", target(port), None);
    assert_eq!([alice.entered(), bob.entered()], [Visit::First; 2]);
    alice.say("hello");
    bob.hears("hello");
    alice.accepted();
    let long = "x".repeat(8000);
    for _ in 0..5 {
        bob.say(&long);
        alice.hears(&long);
    }
    alice.driver.handle().send(Command::Ask(Ask::People { room: RoomName::lobby() }));
    let people = alice.wait(|told| match told {
        Told::Event(Event::Answered { answer: Ok(Answer::People(list)), .. }) => Some(list.total),
        _ => None,
    });
    assert_eq!(people, 2);
    assert_eq!(alice.leave(), (Outcome::Left, 0));
    assert_eq!(bob.leave(), (Outcome::Left, 0));
    server.end();
}

/// Passes bytes on between clients and a server, until it is told to cut.
struct Relay {
    port: u16,
    streams: Arc<std::sync::Mutex<Vec<StdStream>>>,
}

impl Relay {
    fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let streams = Arc::new(std::sync::Mutex::new(Vec::new()));
        let shared = Arc::clone(&streams);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = StdStream::connect(("127.0.0.1", port)) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                shared.lock().unwrap().extend([client, server]);
            }
        });
        Self { port: own, streams }
    }

    fn cut(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn a_cut_is_survived_with_nothing_lost() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    let port = server.addresses()[0].port();
    let relay = Relay::to(port);
    let (alice, bob) = (User::new("alice", target(relay.port), None), User::new("bob", target(port), None));
    alice.entered();
    bob.entered();
    relay.cut();
    alice.wait(|told| matches!(told, Told::Event(Event::Offline { failures: 0, .. })).then_some(()));
    bob.say("missed");
    alice.say("kept");
    assert_eq!(alice.entered(), Visit::Again);
    alice.accepted();
    bob.hears("missed");
    bob.hears("kept");
    // It passed on what it was given before it was cut, once.
    assert_eq!(alice.leave(), (Outcome::Left, 0));
    assert_eq!(bob.leave(), (Outcome::Left, 0));
    server.end();
}

#[test]
fn a_wrong_user_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path());
    let port = server.addresses()[0].port();
    let settings = Settings {
        server: test_keys::server().public().clone(),
        user: "alice".parse().unwrap(),
        own: test_keys::bob().public().clone(),
        known: Known::default(),
        invite: None,
        receipts: true,
        room: RoomName::lobby(),
        purpose: Purpose::Chat,
        give_up: None,
    };
    let (sender, told) = mpsc::channel();
    let driver = Driver::start(settings, target(port), Box::new(key_copy("bob")), Kept::default(), move |what| {
        drop(sender.send(what));
    })
    .unwrap();
    let over = User { driver, told }.over();
    assert_eq!(over, (Outcome::AuthenticationFailed { invited: false }, 0));
    server.end();
}

#[test]
fn no_server_is_given_up_on_with_the_reason() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    match User::new("alice", target(port), Some(Duration::from_millis(300))).over() {
        (Outcome::GaveUp { reason }, 0) => {
            assert_eq!(reason, format!("can't connect to 127.0.0.1:{port}: connection refused"));
        }
        other => panic!("{other:?}"),
    }
    let nowhere = Target { host: "no-such-host.invalid".to_owned(), port };
    let error = fetch_server_key(&nowhere, PATIENCE).unwrap_err();
    assert!(matches!(error, FirstContactError::Resolve { .. }), "{error}");
    match User::new("alice", nowhere, Some(Duration::from_secs(2))).over() {
        (Outcome::GaveUp { reason }, 0) => assert!(
            reason.starts_with("can't find no-such-host.invalid: ") || reason == "not connected yet",
            "{reason}"
        ),
        other => panic!("{other:?}"),
    }
}

/// A server that says `bytes` to whoever comes, and reads what comes.
fn says(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(3) {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(bytes);
            let _ = stream.read(&mut [0; 64]);
        }
    });
    port
}

#[test]
fn what_is_no_server_is_told_apart() {
    let port = says(b"SSH-2.0-OpenSSH_9.6\r\n");
    let error = fetch_server_key(&target(port), PATIENCE).unwrap_err();
    assert!(matches!(error, FirstContactError::Frame(_)), "{error}");

    let version: &[u8] = frame(Kind::Refusal, &[1, 0, 0, 2, 3]).leak();
    let error = fetch_server_key(&target(says(version)), PATIENCE).unwrap_err();
    assert!(matches!(error, FirstContactError::Version { min: 2, max: 3 }), "{error}");
    let over = User::new("alice", target(says(version)), None).over();
    assert_eq!(over, (Outcome::Version { min: 2, max: 3 }, 0));

    let error = fetch_server_key(&target(says(b"")), Duration::from_millis(200)).unwrap_err();
    assert!(matches!(error, FirstContactError::TimedOut | FirstContactError::Connection(_)), "{error}");
    let key: &[u8] = frame(Kind::KeyReply, b"\x01nonsense").leak();
    let error = fetch_server_key(&target(says(key)), PATIENCE).unwrap_err();
    assert!(matches!(error, FirstContactError::Key(_)), "{error}");
}
