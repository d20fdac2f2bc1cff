//! How many instructions the hot paths take, counted by valgrind: figures that do not swing with the machine's mood.
//! BENCHMARKING.md says how they are judged, and how new ones are accepted.
#![allow(missing_docs, reason = "what gungraun's macros make has none")]
#![allow(clippy::unnecessary_box_returns, reason = "with AWS-LC, whose keys are elsewhere, some of it is small")]

mod common;

use std::time::Instant;

use common::{Crowd, WALL, direction, links, post, receive, record, stored};
use gungraun::{Callgrind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use rsachat::hub::Input;
use rsachat::model::Seq;
use rsachat::proto::frame::{HEADER_BYTES, Header, Kind};
use rsachat::proto::link::{Link, Server};
use rsachat::proto::message::{Accepted, Encoded, PREFIX_BYTES, Reply, Request, RequestId, ServerMessage, Stored};
use rsachat::proto::record::Direction;

/// So many are handled before one is counted: the window is full then, and every queue as long as it becomes.
const BEFORE: u64 = 256;

// Arguments are boxed and given back: neither moving nor dropping them counts.

struct Sealing {
    direction: Direction,
    plaintext: Vec<u8>,
    out: Vec<u8>,
}

fn sealing(size: usize) -> Box<Sealing> {
    Box::new(Sealing { direction: direction(), plaintext: vec![7; size], out: Vec::with_capacity(size + 64) })
}

#[library_benchmark(setup = sealing)]
#[bench::bytes_64(64)]
#[bench::bytes_1024(1024)]
#[bench::bytes_16384(16_384)]
fn seal(mut sealing: Box<Sealing>) -> Box<Sealing> {
    let Sealing { direction, plaintext, out } = &mut *sealing;
    direction.seal(Kind::Data, out, |out| out.extend_from_slice(plaintext));
    sealing
}

struct Opening {
    direction: Direction,
    record: Vec<u8>,
}

fn opening(size: usize) -> Box<Opening> {
    let mut record = Vec::new();
    direction().seal(Kind::Data, &mut record, |out| out.resize(out.len() + size, 7));
    Box::new(Opening { direction: direction(), record })
}

#[library_benchmark(setup = opening)]
#[bench::bytes_64(64)]
#[bench::bytes_1024(1024)]
#[bench::bytes_16384(16_384)]
fn open(mut opening: Box<Opening>) -> (Box<Opening>, bool) {
    let Opening { direction, record } = &mut *opening;
    let header = Header { kind: Kind::Data, length: record.len() - HEADER_BYTES };
    let opened = direction.open(header, record.split_at_mut(HEADER_BYTES).1).is_ok();
    (opening, opened)
}

fn crowd(members: u64) -> Box<(Crowd, Option<Input>)> {
    let mut crowd = Crowd::new(members);
    for _ in 0..BEFORE {
        let post = crowd.next();
        crowd.take(post);
    }
    let post = crowd.next();
    Box::new((crowd, Some(post)))
}

#[library_benchmark(setup = crowd)]
#[bench::members_1(1)]
#[bench::members_100(100)]
#[bench::members_10000(10_000)]
fn hub_post(mut crowd: Box<(Crowd, Option<Input>)>) -> Box<(Crowd, Option<Input>)> {
    if let Some(post) = crowd.1.take() {
        crowd.0.take(post);
    }
    crowd
}

/// A value on which it was run once: the first allocation of a size takes a longer way than those after it.
fn warmed<T, U>(value: T, run: impl FnOnce(&T) -> U) -> T {
    drop(run(&value));
    value
}

fn encoded_post() -> Vec<u8> {
    let encoded = Request::Post(post(1)).encode(1).split_off(PREFIX_BYTES);
    warmed(encoded, |bytes| Request::decode(bytes))
}

fn encoded_event() -> Vec<u8> {
    let encoded = Encoded::new(&stored(1)).event().to_vec().split_off(PREFIX_BYTES);
    warmed(encoded, |bytes| ServerMessage::decode(bytes))
}

fn accepted() -> Box<ServerMessage> {
    let accepted = ServerMessage::Reply(1, Reply::Accepted(Accepted { seq: Seq(1), time: WALL }));
    // On the heap before it is warmed: else it may take the very piece that encoding would have found free.
    warmed(Box::new(accepted), |reply| reply.encode())
}

#[library_benchmark]
#[bench::post(encoded_post())]
fn decode_request(bytes: Vec<u8>) -> (Vec<u8>, Option<(RequestId, Request)>) {
    let decoded = Request::decode(&bytes).ok();
    (bytes, decoded)
}

#[library_benchmark]
#[bench::message(encoded_event())]
fn decode_event(bytes: Vec<u8>) -> (Vec<u8>, Option<ServerMessage>) {
    let decoded = ServerMessage::decode(&bytes).ok();
    (bytes, decoded)
}

#[library_benchmark]
#[bench::message(warmed(Box::new(stored(1)), |stored| Encoded::new(stored)))]
fn encode_event(stored: Box<Stored>) -> (Box<Stored>, Encoded) {
    let encoded = Encoded::new(&stored);
    (stored, encoded)
}

#[library_benchmark]
#[bench::accepted(accepted())]
fn encode_reply(reply: Box<ServerMessage>) -> (Box<ServerMessage>, Vec<u8>) {
    let encoded = reply.encode();
    (reply, encoded)
}

#[library_benchmark]
#[bench::post(warmed(Box::new(Request::Post(post(1))), |request| request.encode(1)))]
fn encode_request(request: Box<Request>) -> (Box<Request>, Vec<u8>) {
    let encoded = request.encode(1);
    (request, encoded)
}

struct Receiving {
    server: Link<Server>,
    record: Vec<u8>,
    now: Instant,
}

fn receiving(posts: u64) -> Box<Receiving> {
    let (mut client, mut server) = links();
    let now = Instant::now();
    receive(&mut server, &mut record(&mut client, posts), now);
    Box::new(Receiving { server, record: record(&mut client, posts), now })
}

#[library_benchmark(setup = receiving)]
#[bench::posts_1(1)]
#[bench::posts_16(16)]
fn link_receive(mut receiving: Box<Receiving>) -> (Box<Receiving>, usize) {
    let Receiving { server, record, now } = &mut *receiving;
    let messages = receive(server, record, *now);
    (receiving, messages)
}

library_benchmark_group!(name = record_layer, benchmarks = [seal, open]);
library_benchmark_group!(name = hub, benchmarks = [hub_post]);
library_benchmark_group!(
    name = messages,
    benchmarks = [decode_request, decode_event, encode_event, encode_reply, encode_request]
);
library_benchmark_group!(name = link, benchmarks = [link_receive]);

main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = [record_layer, hub, messages, link]
);
