//! records.json: records of one direction up to and over the ratchet, the stream of messages in them, and what must not
//! open.

use rsachat::crypto::secret::Secret;
use rsachat::proto::frame::{Header, Kind};
use rsachat::proto::record;
use serde::Serialize;

use super::reference::{self, Direction, ZERO};
use super::{compare, hex, seed};

#[derive(Serialize)]
struct Vectors {
    traffic_secret: String,
    key: String,
    iv: String,
    records: Vec<Record>,
    ratcheted_secret: String,
    ratcheted_key: String,
    ratcheted_iv: String,
    ratcheted_records: Vec<Record>,
    stream: Stream,
    failures: Vec<Failure>,
}

#[derive(Serialize)]
struct Record {
    count: u64,
    kind: u8,
    plaintext: String,
    frame: String,
}

#[derive(Serialize)]
struct Stream {
    records: Vec<Record>,
    messages: Vec<String>,
}

#[derive(Serialize)]
struct Failure {
    name: &'static str,
    next_count: u64,
    frame: String,
    outcome: &'static str,
}

const SECRET: [u8; 32] = [0x5a; 32];

fn seal(direction: &mut record::Direction, kind: Kind, plaintext: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    direction.seal(kind, &mut out, |out| out.extend_from_slice(plaintext));
    out
}

fn made(secret: &[u8; 32], count: u64, kind: Kind, plaintext: &[u8], frame: &[u8]) -> Record {
    assert_eq!(frame, Direction::new(secret).seal(count, kind.number(), plaintext));
    Record { count, kind: kind.number(), plaintext: hex(plaintext), frame: hex(frame) }
}

#[test]
fn records() {
    let mut direction = record::Direction::new(Secret::filled_by(|bytes| *bytes = SECRET));
    let mut records = Vec::new();
    let close = b"\xa2\x00\x00\x01\x60";
    let plaintexts = [(Kind::Data, &b"plaintext"[..]), (Kind::Ping, b""), (Kind::Pong, b""), (Kind::Data, b"")];
    for count in 0..1 << 16 {
        let (kind, plaintext) = match plaintexts.get(usize::try_from(count).unwrap()) {
            Some(first) => *first,
            None if count == 255 || count == 256 => (Kind::Data, &b"a count of one byte, and of two"[..]),
            None if count >= 65534 => (Kind::Data, &b"the last ones under this key"[..]),
            None => (Kind::Ping, &b""[..]),
        };
        let frame = seal(&mut direction, kind, plaintext);
        if matches!(count, 0..4 | 255 | 256 | 65534..) {
            records.push(made(&SECRET, count, kind, plaintext, &frame));
        }
    }
    let ratcheted = reference::expand(&SECRET, "rsac1 ratchet", &ZERO);
    let ratcheted_records = [(Kind::Data, &b"the first one under the next key"[..]), (Kind::Close, close)];
    let ratcheted_records = (0..).zip(ratcheted_records).map(|(count, (kind, plaintext))| {
        let frame = seal(&mut direction, kind, plaintext);
        made(&ratcheted, count, kind, plaintext, &frame)
    });
    let (old, new) = (Direction::new(&SECRET), Direction::new(&ratcheted));
    compare(
        "records.json",
        &Vectors {
            traffic_secret: hex(&SECRET),
            key: hex(&old.key),
            iv: hex(&old.iv),
            records,
            ratcheted_secret: hex(&ratcheted),
            ratcheted_key: hex(&new.key),
            ratcheted_iv: hex(&new.iv),
            ratcheted_records: ratcheted_records.collect(),
            stream: stream(),
            failures: failures(),
        },
    );
}

/// Three messages in seven records, cut where it hurts, with a ping in between.
fn stream() -> Stream {
    let messages = [&b"\x83\x04\x01\xa1\x00\x66common"[..], b"\x83\x06\x02\xa0", b"\x83\x05\x03\xa1\x00\x63bob"];
    let prefixed = messages.map(|message| [&[0, 0, u8::try_from(message.len()).unwrap()], message].concat());
    let whole = prefixed.concat();
    let mut direction = record::Direction::new(Secret::filled_by(|bytes| *bytes = SECRET));
    let mut records = Vec::new();
    let mut start = 0;
    for (count, end) in (0..).zip([1, 3, 9, 16, 0, 18, whole.len()]) {
        let (kind, plaintext) = if end == 0 {
            (Kind::Ping, &[][..])
        } else {
            (Kind::Data, &whole[std::mem::replace(&mut start, end)..end])
        };
        let frame = seal(&mut direction, kind, plaintext);
        records.push(made(&SECRET, count, kind, plaintext, &frame));
    }
    Stream { records, messages: messages.iter().map(|message| hex(message)).collect() }
}

fn failures() -> Vec<Failure> {
    let direction = Direction::new(&SECRET);
    let right = direction.seal(0, 16, b"plaintext");
    let changed = |at: usize, byte: u8| {
        let mut frame = right.clone();
        frame[at] = byte;
        frame
    };
    let last = right.len() - 1;
    let shorter = [&reference::header(16, right.len() - 5)[..], &right[4..last]].concat();
    let no_open = "does not open";
    let cases = [
        ("a changed tag", 0, changed(last, right[last] ^ 1), no_open),
        ("a changed ciphertext", 0, changed(4, right[4] ^ 0x80), no_open),
        ("another kind in the header", 0, changed(0, 17), no_open),
        ("a byte cut off, and the header's length with it", 0, shorter, no_open),
        ("a record sent twice", 1, right.clone(), no_open),
        ("a record before its turn", 0, direction.seal(1, 16, b"plaintext"), no_open),
        ("the last count under the next key", 65536, direction.seal(65536, 16, b"no ratchet"), no_open),
        ("shorter than a tag", 0, reference::frame(16, &[0; 15]), no_open),
        ("empty", 0, reference::frame(18, &[]), no_open),
        ("a payload over the limit, by its header", 0, reference::header(16, 16401).to_vec(), "too long"),
        ("a kind that does not exist, by its header", 0, vec![20, 0, 0, 16], "unknown kind"),
    ];
    let failures = cases.into_iter().map(|(name, next_count, frame, outcome)| {
        let mut direction = record::Direction::new(Secret::filled_by(|bytes| *bytes = SECRET));
        for _ in 0..next_count {
            seal(&mut direction, Kind::Ping, b"");
        }
        let replayed = match Header::read(&frame) {
            Err(rsachat::proto::frame::FrameError::TooLong { .. }) => "too long",
            Err(rsachat::proto::frame::FrameError::UnknownKind(_)) => "unknown kind",
            Ok(None) => "not whole",
            Ok(Some(header)) => match direction.open(header, &mut frame[4..].to_vec()) {
                Ok(_) => "opens",
                Err(_) => no_open,
            },
        };
        assert_eq!(replayed, outcome, "{name}");
        seed("frame-header", name, &frame[..4]);
        Failure { name, next_count, frame: hex(&frame), outcome }
    });
    failures.collect()
}
