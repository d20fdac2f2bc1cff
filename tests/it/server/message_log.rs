//! The message log of a real server: what is in it, how it makes room, and that the chat never waits for it.

use std::fs;
use std::path::Path;

use rsachat::model::{RoomName, SenderKeyId};
use rsachat::proto::close::{CloseCode, CloseReason};
use rsachat::proto::message::{Body, Create, Invite, Join, Kick, Leave, Post, Reply, Request};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::client::{Client, message_id};
use crate::support::data_dir::{DataDir, alice, bob};
use crate::support::server::{Server, run, serve};

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// What a line is about, in short.
fn short(line: &Value) -> String {
    let words = ["event", "room", "user", "target", "text"].iter().filter_map(|key| line[key].as_str());
    words.collect::<Vec<_>>().join(" ")
}

fn done(client: &mut Client, request: &Request) {
    assert_eq!(client.call(request).1, Reply::Done, "{request:?}");
}

#[test]
fn what_happens_is_in_the_log_when_the_server_has_ended() {
    let dir = DataDir::new(json!({ "admins": ["alice"], "message_log": "messageslog.json" }));
    let server = Server::start(&dir);
    let mut first = Client::member(server.address, alice());
    first.post("hello");
    let mut second = Client::member(server.address, bob());
    let dev: RoomName = "#dev".parse().unwrap();
    done(&mut first, &Request::Create(Create { room: dev, roster: None }));
    done(&mut first, &Request::Invite(Invite { room: dev, user: bob().user, roster: None }));
    let reason = Some("too loud".to_owned());
    done(&mut first, &Request::Kick(Box::new(Kick { room: dev, user: bob().user, reason, roster: None })));
    done(&mut first, &Request::Leave(Leave { room: dev }));
    let direct = RoomName::direct(alice().user, bob().user).unwrap();
    first.call(&Request::Join(Join { room: direct, after: None, backlog: false }));
    let sealed = Body::Sealed { key: SenderKeyId([1; 32]), sealed: b"nobody can read this".to_vec().into() };
    let post = Post { room: direct, message: message_id(), body: sealed, retry: false, after: None, urgent: false };
    assert!(matches!(first.call(&Request::Post(post)).1, Reply::Accepted(_)));
    second.conn.close(CloseReason::new(CloseCode::Bye, ""));
    while first.whois(bob().user).unwrap().sessions > 0 {}
    server.signal(Signal::TERM);
    assert!(server.wait().status.success());
    let lines = lines(&dir.file("messageslog.json"));
    let said: Vec<String> = lines.iter().map(short).collect();
    assert_eq!(
        said,
        [
            "connect alice",
            "message #common alice hello",
            "connect bob",
            "create #dev alice",
            "invite #dev alice bob",
            "kick #dev alice bob too loud",
            "leave #dev alice",
            "sealed @alice@bob alice",
            "disconnect bob",
            "disconnect alice",
        ]
    );
    // printf 'nobody can read this' | openssl dgst -sha256
    assert_eq!(lines[7]["sha256"], "43815c640d4c0c9295c46125cb683121fe596bbb9740225e4c77b8aa8bc9be91");
}

#[test]
fn after_sighup_it_goes_on_in_a_new_file() {
    let dir = DataDir::new(json!({ "message_log": "log" }));
    let server = Server::start(&dir);
    let mut client = Client::member(server.address, alice());
    client.post("before");
    let (log, moved) = (dir.file("log"), dir.file("moved"));
    // It is written when there is time for it: the signal does not wait for what is to be written before it.
    while !fs::read_to_string(&log).unwrap().contains("before") {
        client.post("meanwhile");
    }
    fs::rename(&log, &moved).unwrap();
    server.signal(Signal::HUP);
    while !log.exists() {
        client.post("meanwhile");
    }
    client.post("after");
    server.signal(Signal::TERM);
    assert!(server.wait().status.success());
    let (old, new) = (lines(&moved), lines(&log));
    assert_eq!(old[1]["text"], "before");
    assert!(new.iter().any(|line| line["text"] == "after") && !new.iter().any(|line| line["text"] == "before"));
}

#[test]
fn a_full_disk_does_not_stop_the_chat() {
    let dir = DataDir::new(json!({ "message_log": "/dev/full" }));
    let server = Server::start(&dir);
    let mut client = Client::member(server.address, alice());
    for number in 0..50 {
        client.post(&number.to_string());
    }
    server.err.line(&["the message log can't be written", "No space left"]);
    server.signal(Signal::TERM);
    let ended = server.wait();
    assert!(ended.status.success());
    assert_eq!(ended.err.matches("can't be written").count(), 1, "{}", ended.err);
}

#[test]
fn what_is_no_file_is_refused_at_the_start() {
    let dir = DataDir::new(json!({ "message_log": "keys" }));
    let ended = run(serve(dir.path()));
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.err.contains("the message log") && ended.err.contains("is no file"), "{}", ended.err);
}
