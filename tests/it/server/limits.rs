//! Every limit of the configuration, at its edge.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rsachat::model::{RoomName, Seq};
use rsachat::proto::close::CloseCode;
use rsachat::proto::frame::{HEADER_BYTES, Header, Kind, frame};
use rsachat::proto::handshake::client::key_request;
use rsachat::proto::handshake::wire::{Refusal, RefusalCode};
use rsachat::proto::link::Ended;
use rsachat::proto::message::{ErrorCode, Position, ServerMessage, Stored};
use serde_json::json;

use crate::support::PATIENCE;
use crate::support::client::{Client, Conn, Login, Origin, refusal};
use crate::support::data_dir::{DataDir, Identity, alice, bob};
use crate::support::server::Server;

fn from(server: &Server, host: u8, identity: &'static Identity) -> Result<Client, Ended> {
    Client::try_enter(Conn::new(server.address, Origin::loopback(host), Login::Full(identity)))
}

/// Until the server hangs up: what it said.
fn hear_out(mut stream: TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = Vec::new();
    // A reset ends it, too.
    match stream.read_to_end(&mut heard) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("{error}"),
        _ => heard,
    }
}

fn write(mut stream: &TcpStream, bytes: &[u8]) {
    std::io::Write::write_all(&mut stream, bytes).unwrap();
}

#[test]
fn connections_in_all() {
    let dir = DataDir::new(json!({ "max_connections": 3 }));
    let server = Server::start(&dir);
    let mut clients: Vec<Client> = (1..=3).map(|host| from(&server, host, alice()).ok().unwrap()).collect();
    assert_eq!(refusal(from(&server, 4, bob())), RefusalCode::Busy);
    server.err.line(&["connection refused", "127.0.0.4", "too many connections"]);
    // Those who are in go on, and a place that becomes free can be taken.
    clients[0].join(None);
    clients[0].post("still here");
    drop(clients.pop());
    server.err.line(&["session ended"]);
    assert!(from(&server, 4, bob()).is_ok());
}

#[test]
fn connections_from_one_address() {
    let dir = DataDir::new(json!({ "max_connections_per_address": 2 }));
    let server = Server::start(&dir);
    let mut clients: Vec<Client> = (0..2).map(|_| from(&server, 1, alice()).ok().unwrap()).collect();
    assert_eq!(refusal(from(&server, 1, bob())), RefusalCode::Busy);
    server.err.line(&["connection refused", "127.0.0.1", "from this address"]);
    assert!(from(&server, 2, bob()).is_ok());
    drop(clients.pop());
    // The place is free when the connection is gone, a little after its session has ended.
    let ended = server.err.line(&["session ended", "alice"]);
    let session = ended.split(' ').find(|word| word.starts_with("session=")).unwrap();
    server.err.line(&["disconnected", session]);
    assert!(from(&server, 1, bob()).is_ok());
}

#[test]
fn handshakes_from_one_address() {
    let dir = DataDir::new(json!({ "handshakes_per_second_per_address": 1, "handshake_burst_per_address": 3 }));
    let server = Server::start(&dir);
    let start = Instant::now();
    let clients: Vec<Client> = (0..3).map(|_| from(&server, 1, alice()).ok().unwrap()).collect();
    let refused = from(&server, 1, alice());
    if start.elapsed() < Duration::from_secs(1) {
        let Err(Ended::Refused(refusal)) = refused else { panic!("let in") };
        assert_eq!((refusal.code, refusal.retry_after_s), (RefusalCode::Busy, 1));
        server.err.line(&["handshake put off", "127.0.0.1", "retry_after_s=1"]);
    }
    // Others, and those who resume, don't wait.
    assert!(from(&server, 2, bob()).is_ok());
    for _ in 0..5 {
        let login = Login::Resume(alice(), clients[0].resumption());
        assert!(Client::try_enter(Conn::new(server.address, Origin::loopback(1), login)).is_ok());
    }
}

#[test]
fn bytes_of_a_handshake() {
    let dir = DataDir::new(json!({ "handshake_bytes": 4096 }));
    let server = Server::start(&dir);
    let refused = Refusal::new(RefusalCode::Malformed).frame();
    // A frame that would be too long is refused before it has come.
    let stream = TcpStream::connect(server.address).unwrap();
    write(&stream, &Header { kind: Kind::ClientHello, length: 5000 }.bytes());
    write(&stream, &[0; 100]);
    assert_eq!(hear_out(stream), refused);
    // So is what is too long together.
    let stream = TcpStream::connect(server.address).unwrap();
    write(&stream, &key_request());
    write(&stream, &Header { kind: Kind::ClientHello, length: 4096 - 4 - HEADER_BYTES }.bytes());
    let heard = hear_out(stream);
    assert!(heard.starts_with(&[Kind::KeyReply.number()]) && heard.ends_with(&refused), "{heard:?}");
    // And an honest one is let in.
    assert!(from(&server, 1, alice()).is_ok());
}

#[test]
fn seconds_of_a_handshake() {
    let dir = DataDir::new(json!({ "handshake_seconds": 1 }));
    let server = Server::start(&dir);
    let [silent, slow] = [(); 2].map(|()| TcpStream::connect(server.address).unwrap());
    write(&slow, &frame(Kind::ClientHello, &[0; 2000])[..1000]);
    let start = Instant::now();
    assert!(hear_out(silent).is_empty());
    assert!(hear_out(slow).is_empty());
    assert!(start.elapsed() >= Duration::from_millis(900));
    assert!(from(&server, 1, alice()).is_ok());
}

#[test]
fn bytes_of_a_message() {
    let dir = DataDir::new(json!({ "message_bytes": 1000 }));
    let server = Server::start(&dir);
    let mut client = Client::member(server.address, alice());
    assert_eq!(client.conn.welcome.as_ref().unwrap().message_bytes, 1000);
    client.post(&"a".repeat(1000));
    // In bytes, not in characters.
    client.post(&"ä".repeat(500));
    let refused = client.try_post(&"ä".repeat(501)).unwrap_err();
    assert_eq!(refused.code, ErrorCode::TooLarge);
    assert!(refused.text.contains("1002 bytes") && refused.text.contains("1000"), "{}", refused.text);
    // What is far too long is not read at all.
    client.conn.send_record(&[0, 0x60, 1, 0x83]);
    let reason = client.wait_close();
    assert_eq!(reason.code, CloseCode::ProtocolError);
    assert_eq!(Client::login(server.address, alice()).history().len(), 2);
}

#[test]
fn messages_a_second_of_one_user() {
    let dir = DataDir::new(json!({ "message_rate": 1, "message_burst": 5 }));
    let server = Server::start(&dir);
    let mut clients = [(); 2].map(|()| Client::member(server.address, alice()));
    let start = Instant::now();
    // Over all of the user's connections.
    for number in 0..5 {
        clients[number % 2].post("one of five");
    }
    let refused = clients[0].try_post("one too many");
    if start.elapsed() < Duration::from_secs(1) {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code, ErrorCode::RateLimited);
        let wait = refused.retry_after_ms.unwrap();
        assert!((1..=1000).contains(&wait), "{wait}");
        server.err.line(&["request refused", "alice", "RateLimited"]);
    }
    Client::member(server.address, bob()).post("somebody else may");
}

#[test]
fn silence() {
    let dir = DataDir::new(json!({ "idle_seconds": 10 }));
    let server = Server::start(&dir);
    let mut dead = Client::member(server.address, bob());
    dead.conn.reading = false;
    let mut alive = Client::member(server.address, alice());
    let start = Instant::now();
    // It answers pings, and says nothing else.
    let line = alive.wait("the end of the other", |_| {
        let log = server.err.text();
        let line = log.lines().find(|line| line.contains("session ended")).map(str::to_owned);
        line.or_else(|| (start.elapsed() > Duration::from_secs(15)).then(|| panic!("not noticed: {log}")))
    });
    assert!(line.contains("user=bob") && line.contains("does not answer"), "{line}");
    assert!(start.elapsed() >= Duration::from_secs(9), "{:?}", start.elapsed());
    dead.conn.reading = true;
    assert_eq!(dead.wait_close().code, CloseCode::IdleTimeout);
    alive.post("still here");
}

#[test]
fn bytes_that_wait_for_a_slow_reader() {
    let dir = DataDir::new(json!({
        "outbound_queue_bytes": 1 << 19, "message_rate": 100_000, "message_burst": 100_000, "history_limit": 10_000,
    }));
    let server = Server::start(&dir);
    let mut talker = Client::member(server.address, alice());
    let tight = Origin { receive_buffer: Some(4096), ..Origin::default() };
    let mut slow = Client::enter(Conn::new(server.address, tight, Login::Full(bob())));
    slow.join(None);
    let incarnation = slow.conn.welcome.as_ref().unwrap().incarnation;
    slow.conn.reading = false;
    let mut said = 0;
    while !server.err.text().contains("reads too slowly") {
        said = talker.post(&"too much ".repeat(800)).seq.0;
        assert!(said < 5000, "nothing is too much");
    }
    eprintln!("too slow after {said} messages of 7200 bytes; {} MiB", server.memory() / 1024);
    // What was sent before comes, in order; then the reason.
    slow.conn.reading = true;
    let resumption = slow.resumption();
    assert_eq!(slow.wait_close().code, CloseCode::TooSlow);
    let got: Vec<Stored> = slow.conn.inbox.into_iter().filter_map(message).collect();
    assert!(!got.is_empty() && got.len() < usize::try_from(said).unwrap());
    assert!(got.iter().zip(1..).all(|(stored, number)| stored.seq == Seq(number)));

    // Back again, it fetches exactly what it missed, in pages.
    let mut position = Position { incarnation, seq: got.last().unwrap().seq };
    let login = Login::Resume(bob(), resumption);
    let mut back = Client::enter(Conn::new(server.address, Origin::default(), login));
    loop {
        let (parts, joined) = back.join(Some(position));
        assert_eq!((joined.gone, joined.withdrawn_after, joined.info.room), (0, None, RoomName::lobby()));
        for part in parts {
            assert_eq!(part.seq, position.seq.next());
            position.seq = part.seq;
        }
        if joined.caught_up {
            break;
        }
    }
    assert_eq!(position.seq, Seq(said));
}

fn message(message: ServerMessage) -> Option<Stored> {
    match message {
        ServerMessage::Message(stored) => Some(stored),
        _ => None,
    }
}
