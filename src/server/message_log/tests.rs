use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::file::{LogFile, OpenError, Rotation};
use super::line::Line;
use super::*;
use crate::model::{MessageId, RoomName, SenderKeyId, Seq, SessionId, UserName};
use crate::proto::message::{Act, Availability, Body, Encoded, Status, Stored};

const NEVER: Rotation = Rotation { bytes: None, kept: 4 };
const TIME: Timestamp = Timestamp(1_700_000_000_123);

fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

fn room(name: &str) -> RoomName {
    name.parse().unwrap()
}

fn said(room: RoomName, body: Body) -> Record {
    let message = MessageId([7; 16]);
    let stored = Stored { room, seq: Seq(5), time: TIME, sender: user("alice"), message, body: Some(body) };
    Record::Said(Encoded::new(&stored).event().clone())
}

fn text(text: &str) -> Body {
    Body::Text { text: text.to_owned() }
}

/// The line of a record, as an object.
fn object(record: &Record) -> Value {
    let mut line = Vec::new();
    Line::of(TIME, record).append(&mut line);
    let line = str::from_utf8(&line).unwrap().strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'));
    serde_json::from_str(line).unwrap()
}

#[test]
fn every_record_is_an_object_on_a_line() {
    let (time, ops, alice, bob) = ("2023-11-14T22:13:20.123Z", room("#ops"), user("alice"), user("bob"));
    let id = "07070707070707070707070707070707";
    let decided = |act| Record::Decided { room: Some(ops), by: alice, act };
    let reason = Some("too \"loud\"\n".to_owned());
    let cases = [
        (
            said(room("#common"), text("hi\n\u{1b}[1m")),
            json!({"event": "message", "room": "#common", "user": "alice", "seq": 5, "id": id, "text": "hi\n\u{1b}[1m"}),
        ),
        (
            said(room("#common"), Body::Action { text: "waves".to_owned() }),
            json!({"event": "action", "room": "#common", "user": "alice", "seq": 5, "id": id, "text": "waves"}),
        ),
        (
            said(
                RoomName::direct(alice, bob).unwrap(),
                Body::Sealed { key: SenderKeyId([1; 32]), sealed: b"abc".to_vec().into() },
            ),
            json!({
                "event": "sealed", "room": "@alice@bob", "user": "alice", "seq": 5, "id": id,
                // SHA-256 of "abc": FIPS 180-2, appendix B.1.
                "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            }),
        ),
        (
            Record::Connected { session: SessionId(3), user: alice, client: "rsachat/1".into() },
            json!({"event": "connect", "user": "alice", "session": 3, "client": "rsachat/1"}),
        ),
        (
            Record::Disconnected { session: SessionId(3), user: alice },
            json!({"event": "disconnect", "user": "alice", "session": 3}),
        ),
        (
            Record::Made { room: ops, by: alice, private: true },
            json!({"event": "create", "room": "#ops", "user": "alice", "private": true}),
        ),
        (Record::Joined { room: ops, user: bob }, json!({"event": "join", "room": "#ops", "user": "bob"})),
        (Record::Left { room: ops, user: bob }, json!({"event": "leave", "room": "#ops", "user": "bob"})),
        (
            decided(Act::Kicked { user: bob, reason: reason.clone() }),
            json!({"event": "kick", "room": "#ops", "user": "alice", "target": "bob", "text": "too \"loud\"\n"}),
        ),
        (
            Record::Decided { room: None, by: alice, act: Act::Banned { user: bob, until: Some(TIME), reason } },
            json!({"event": "ban", "user": "alice", "target": "bob", "until": time, "text": "too \"loud\"\n"}),
        ),
        (
            decided(Act::Topic { topic: "x".to_owned() }),
            json!({"event": "topic", "room": "#ops", "user": "alice", "text": "x"}),
        ),
        (
            decided(Act::Muted { user: bob, until: None }),
            json!({"event": "mute", "room": "#ops", "user": "alice", "target": "bob"}),
        ),
        (
            decided(Act::Invited { user: bob }),
            json!({"event": "invite", "room": "#ops", "user": "alice", "target": "bob"}),
        ),
        (
            decided(Act::Unbanned { user: bob }),
            json!({"event": "unban", "room": "#ops", "user": "alice", "target": "bob"}),
        ),
        (
            decided(Act::Unmuted { user: bob }),
            json!({"event": "unmute", "room": "#ops", "user": "alice", "target": "bob"}),
        ),
        (
            decided(Act::HandedOver { user: bob }),
            json!({"event": "owner", "room": "#ops", "user": "alice", "target": "bob"}),
        ),
        (decided(Act::Left {}), json!({"event": "leave", "room": "#ops", "user": "alice"})),
        (
            Record::Status {
                user: bob,
                status: Status {
                    availability: Availability::DoNotDisturb,
                    text: Some("on call".to_owned()),
                    until: Some(TIME),
                },
            },
            json!({"event": "status", "user": "bob", "status": "dnd", "text": "on call", "until": time}),
        ),
    ];
    for (record, mut expected) in cases {
        let event = expected["event"].as_str().unwrap();
        let page = include_str!("../../../man/rsachat-config.5");
        assert!(page.lines().any(|line| line.starts_with("\\fB") && line.contains(event)), "{event} is in no entry");
        expected["time"] = json!(time);
        assert_eq!(object(&record), expected);
    }
}

#[test]
fn a_log_is_its_owners_alone_and_goes_on_where_it_was() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("log");
    LogFile::open(&path, NEVER).unwrap().write(b"{1\n").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // What a crash of the machine has cut off.
    fs::write(&path, b"{1\ntwo\n{\"ti").unwrap();
    LogFile::open(&path, NEVER).unwrap().write(b"three\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{1\ntwo\nthree\n");
    fs::write(&path, vec![b'{'; 200_000]).unwrap();
    LogFile::open(&path, NEVER).unwrap().write(b"four\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "four\n");
}

#[test]
fn a_log_makes_room_before_it_is_too_long() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("log");
    let mut log = LogFile::open(&path, Rotation { bytes: Some(10), kept: 2 }).unwrap();
    for line in ["first\n", "2nd\n", "third\n", "a line that is longer than that\n", "{ifth\n"] {
        log.write(line.as_bytes()).unwrap();
    }
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).ok();
    let found = [read("log"), read("log.1"), read("log.2"), read("log.3")];
    let expected = ["{ifth\n", "a line that is longer than that\n", "third\n"].map(|text| Some(text.to_owned()));
    assert_eq!((&found[..3], &found[3]), (&expected[..], &None));
    let mut log = LogFile::open(&path, Rotation { bytes: Some(10), kept: 0 }).unwrap();
    log.write(b"sixth\n").unwrap();
    assert_eq!((read("log"), read("log.1")), (Some("sixth\n".to_owned()), expected[1].clone()));
}

#[test]
fn a_device_stays_where_it_is() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("log");
    symlink("/dev/null", &path).unwrap();
    let mut log = LogFile::open(&path, Rotation { bytes: Some(10), kept: 2 }).unwrap();
    for _ in 0..3 {
        log.write(b"longer than that\n").unwrap();
    }
    log.sync().unwrap();
    assert!(path.is_symlink());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn what_would_make_the_chat_wait_is_refused() {
    let directory = TempDir::new().unwrap();
    let pipe = directory.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(matches!(LogFile::open(&pipe, NEVER), Err(OpenError::Io { .. })));
    assert!(matches!(LogFile::open(directory.path(), NEVER), Err(OpenError::Io { .. })));
    assert!(matches!(LogFile::open(&directory.path().join("no/log"), NEVER), Err(OpenError::Io { .. })));
}

#[test]
fn what_is_something_else_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("rsachat.db");
    fs::write(&path, b"SQLite format 3").unwrap();
    assert!(matches!(LogFile::open(&path, NEVER), Err(OpenError::Io { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"SQLite format 3");
}

#[test]
fn a_log_that_can_make_no_room_gets_longer() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("log");
    fs::create_dir_all(directory.path().join("log.1/held")).unwrap();
    let mut log = LogFile::open(&path, Rotation { bytes: Some(10), kept: 1 }).unwrap();
    for line in ["{first}\n", "{second}\n", "{third}\n"] {
        log.write(line.as_bytes()).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "{first}\n{second}\n{third}\n");
}

#[test]
fn what_a_full_disk_takes_no_more_is_counted_and_told_when_there_is_room_again() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("log");
    symlink("/dev/full", &path).unwrap();
    let settings = MessageLog { path: PathBuf::from("log"), bytes: None, files: 4 };
    let running = Running::start(&settings, directory.path(), ()).unwrap();
    let recorder = running.recorder();
    for _ in 0..3 {
        recorder.write(TIME, said(room("#common"), text("lost")));
    }
    fs::remove_file(&path).unwrap();
    recorder.reopen();
    recorder.write(TIME, said(room("#common"), text("found")));
    running.stop();
    let lines: Vec<Value> =
        fs::read_to_string(&path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // How many were written before the file was removed is the thread's affair; none is in both.
    let lost = lines.iter().find(|line| line["event"] == "lost").map(|line| line["count"].as_u64().unwrap());
    let kept = lines.iter().filter(|line| line["text"] == "lost").count() as u64;
    assert_eq!(lost.unwrap_or(0) + kept, 3, "{lines:?}");
    assert_eq!(lines.last().unwrap()["text"], "found");
}

#[test]
fn what_waits_for_a_disk_is_bounded_by_its_bytes_too() {
    let (tasks, received) = sync_channel(WAITING);
    let recorder = Recorder { tasks, shared: Arc::default() };
    let event: Arc<[u8]> = vec![0; WAITING_BYTES / 4].into();
    for _ in 0..6 {
        recorder.write(Timestamp(0), Record::Said(Arc::clone(&event)));
    }
    let left = Record::Left { room: room("#dev"), user: user("alice") };
    recorder.write(Timestamp(0), left);
    assert_eq!((recorder.shared.lost.load(Ordering::Relaxed), received.try_iter().count()), (2, 5));
}

#[test]
fn what_was_written_waits_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let settings = MessageLog { path: "log".into(), bytes: None, files: 1 };
    let running = Running::start(&settings, directory.path(), ()).unwrap();
    let recorder = running.recorder();
    for _ in 0..100 {
        recorder.write(Timestamp(0), said(room("#dev"), text("hello")));
    }
    running.stop();
    assert_eq!(recorder.shared.bytes.load(Ordering::Relaxed), 0);
}
