//! The server's log: what it has to say, and what it must never say.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use rsachat::model::MessageId;
use rsachat::proto::close::{CloseCode, CloseReason};
use rsachat::proto::frame::{HEADER_BYTES, Header};
use rsachat::proto::handshake::client::Resumption;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::client::Client;
use crate::support::data_dir::{DataDir, Identity, alice, bob, mallory, pem};
use crate::support::impostor;
use crate::support::server::{Server, serve};

/// Something that would forge a line, colour a terminal, set its title, and turn its text around.
const HOSTILE: &str = "evil\r\n2026-01-01T00:00:00Z  INFO forged\n\x1b]0;t\x07\x1b[31m\u{9b}2J\u{202e}\u{7f}";
const SECRET: &str = "a-word-that-is-in-no-log";

/// Logs in with a client that calls itself `software`, and hangs up when the server has said something.
fn enter_as(server: SocketAddr, identity: &Identity, software: &str) {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let hello = impostor::hello(identity);
    stream.write_all(&hello.frame).unwrap();
    let answer = frame(&mut stream);
    stream.write_all(&hello.finish(&answer, identity, software)).unwrap();
    frame(&mut stream);
}

fn frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut frame = vec![0; HEADER_BYTES];
    stream.read_exact(&mut frame).unwrap();
    let header = Header::read(&frame).unwrap().unwrap();
    frame.resize(HEADER_BYTES + header.length, 0);
    stream.read_exact(&mut frame[HEADER_BYTES..]).unwrap();
    frame
}

/// Has everything happen that is worth a line. Returns the log, and the tickets that were given.
fn eventful(format: &str) -> (String, Vec<Resumption>) {
    let dir = DataDir::new(json!({ "message_bytes": 1000 }));
    let mut command = serve(dir.path());
    command.args(["--log-format", format]);
    let server = Server::launch(command);
    let mut tickets = Vec::new();
    let mut client = Client::member(server.address, alice());
    client.post(SECRET);
    client.try_post(&SECRET.repeat(50)).unwrap_err();
    client.history();
    tickets.push(client.resumption());
    client.conn.close(CloseReason::new(CloseCode::Bye, HOSTILE));
    server.err.line(&["session ended", "alice", "evil"]);

    enter_as(server.address, mallory(), HOSTILE);
    server.err.line(&["authenticated", "mallory", "evil"]);
    // One who is not who he says he is.
    let stranger = impostor::hello_of("nobody".parse().unwrap(), mallory().key.public());
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(&stranger.frame).unwrap();
    frame(&mut stream);
    stream.write_all(&[3, 0, 0, 1, 0]).unwrap();
    server.err.line(&["handshake refused", "authentication failed"]);
    // A record that is not what it should be.
    let mut broken = Client::member(server.address, bob());
    broken.conn.send_record(&[&[0, 0, 5][..], b"\x83\x0a\x01\x00!"].concat());
    broken.wait_close();
    server.err.line(&["session ended", "bob", "protocol violation"]);

    let mut gone = Client::member(server.address, bob());
    fs::remove_file(dir.key_file("bob")).unwrap();
    gone.wait_close();
    server.err.line(&["key removed", "bob"]);
    tickets.push(gone.resumption());
    let mut admin = Client::login(server.address, alice());
    admin.shut_down();
    drop(admin);
    let ended = server.wait();
    assert_eq!(ended.status.code(), Some(0));
    (ended.err, tickets)
}

/// What holds for both formats.
fn check(log: &str, tickets: &[Resumption]) {
    assert!(log.ends_with('\n'));
    let strange = log.chars().find(|&char| char.is_control() && char != '\n' || char == '\u{202e}');
    assert_eq!(strange, None, "{log:?}");
    assert!(!log.contains(SECRET), "{log}");
    for file in ["test_server.private.pem", "test_alice.pem", "test_alice.private.pem"] {
        for line in pem(file).lines().filter(|line| !line.starts_with("--")) {
            assert!(!log.contains(line), "a piece of {file}");
        }
    }
    for Resumption { ticket, secret } in tickets {
        for bytes in [&ticket[..16], &ticket[ticket.len() - 16..], &secret.expose()[..16]] {
            let hex = MessageId(bytes.try_into().unwrap()).to_string();
            let list = bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
            assert!(!log.contains(&hex) && !log.contains(&list));
        }
    }
}

const TOLD: [&str; 8] = [
    "authenticated",
    "request refused",
    "session ended",
    "handshake refused",
    "user removed",
    "key removed",
    "shutting down",
    "stopped",
];

#[test]
fn text_is_one_line_an_event() {
    let (log, tickets) = eventful("text");
    check(&log, &tickets);
    for line in log.lines() {
        let mut words = line.split_whitespace();
        let time = words.next().unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z') && time.contains('T'), "{line:?}");
        assert!(matches!(words.next(), Some("INFO" | "WARN" | "ERROR")), "{line:?}");
        assert_ne!(words.next(), Some("forged"), "{line:?}");
    }
    for told in TOLD.iter().filter(|told| **told != "request refused") {
        assert!(log.contains(told), "nothing about {told:?} in {log}");
    }
}

#[test]
fn json_is_one_object_an_event() {
    let (log, tickets) = eventful("json");
    check(&log, &tickets);
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for event in &events {
        for field in ["timestamp", "level", "message"] {
            assert!(event[field].is_string(), "no {field} in {event}");
        }
    }
    let find = |message: &str, user: &str| {
        let found = events.iter().find(|event| event["message"] == message && event["user"] == user);
        found.unwrap_or_else(|| panic!("nothing about {message:?} of {user} in {log}"))
    };
    assert_eq!(find("authenticated", "alice")["address"], "127.0.0.1");
    assert!(find("authenticated", "alice")["client"].as_str().unwrap().starts_with("rsachat/"));
    assert!(find("key removed", "bob")["sessions"].is_u64());
    find("user removed", "bob");
    find("session ended", "bob");
    assert!(events.iter().any(|event| event["message"] == "shutting down" && event["by"] == "by alice"));
    assert!(events.iter().any(|event| event["message"] == "handshake refused"));
}

#[test]
fn strangers_get_few_lines() {
    let dir = DataDir::new(json!({ "max_connections_per_address": 1 }));
    let server = Server::start(&dir);
    let mut client = Client::member(server.address, alice());
    for _ in 0..1000 {
        drop(TcpStream::connect(server.address).unwrap());
        client.people();
    }
    server.err.line(&["more came from peers that were not let in", "untold="]);
    assert!(server.err.text().lines().count() < 700, "{}", server.err.text());
    server.signal(Signal::TERM);
}
