//! Peers that mean harm, against the real server: honest clients keep their round trips, memory stays bounded, and
//! nothing is left when they are gone.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use rand::RngExt as _;
use rsachat::model::RoomName;
use rsachat::proto::frame::{Header, Kind};
use rsachat::proto::handshake::client::Resumption;
use rsachat::proto::message::{Join, Request, Whois};
use serde_json::json;

use crate::support::client::{Client, Conn, Login, Origin, duplicate, history, message_id, people, post};
use crate::support::crowd::Crowd;
use crate::support::data_dir::{DataDir, alice, mallory};
use crate::support::impostor;
use crate::support::meter::RoundTrips;
use crate::support::server::Server;
use crate::support::{PATIENCE, alone};

/// What 99 of 100 round trips of an honest client stay below, in a debug build on two cores that others keep busy.
const BOUND: Duration = Duration::from_secs(2);
/// What the server's memory stays below, KiB.
const MEMORY: u64 = 128 * 1024;
const ROUNDS: usize = 100;

/// Told to the peers when they may go, and how they say that they are at it.
struct Signals {
    over: Receiver<()>,
    at_it: Sender<()>,
}

impl Signals {
    fn at_it(&self) {
        let _ = self.at_it.send(());
    }

    /// Whether to go on, after a pause.
    fn go_on(&self, pause: Duration) -> bool {
        self.over.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
    }
}

/// A server, an honest client of it, and what it costs.
struct Siege {
    server: Server,
    files: usize,
    ticket: Resumption,
    honest_ticket: Resumption,
    _dir: DataDir,
}

impl Siege {
    fn new() -> Self {
        let dir = DataDir::new(json!({
            "message_rate": 1000, "message_burst": 1000, "max_connections_per_address": 500, "max_connections_per_user": 500,
        }));
        let server = Server::start(&dir);
        let mut honest = Client::member(server.address, alice());
        // A history that costs something to read.
        for _ in 0..40 {
            honest.post(&"much to read ".repeat(600));
        }
        let ticket = Client::login(server.address, mallory()).resumption();
        Self { files: server.files().len(), server, ticket, honest_ticket: honest.resumption(), _dir: dir }
    }

    /// Comes back by ticket: after a flood of full handshakes the server may be too busy for one more.
    fn honest(&self) -> Client {
        let login = Login::Resume(alice(), duplicate(&self.honest_ticket));
        let mut honest = Client::enter(Conn::new(self.server.address, Origin::default(), login));
        honest.join(None);
        honest
    }

    /// Mallory, let in, from an address of his own.
    fn mallory(&self, host: u8) -> Conn {
        let origin = Origin { receive_buffer: Some(4096), ..Origin::loopback(host) };
        Conn::new(self.server.address, origin, Login::Resume(mallory(), duplicate(&self.ticket)))
    }

    fn mallories(&self, count: usize) -> Crowd {
        let mut crowd = Crowd::new((0..count).map(|_| self.mallory(2)));
        crowd.enter();
        crowd.ask(&Request::Join(Join { room: RoomName::lobby(), after: None, backlog: false }));
        crowd.conns.iter_mut().for_each(|conn| conn.keeping = false);
        crowd
    }

    /// Measures an honest client while `attack` goes on, and checks that nothing of it is left.
    fn endure(&mut self, name: &str, attack: impl FnOnce(&Self, &Signals) + Send) {
        let _alone = alone();
        let mut honest = self.honest();
        let (end, over) = channel::<()>();
        let (at_it, begun) = channel();
        let mut trips = RoundTrips::default();
        let mut memory = 0;
        let this = &*self;
        thread::scope(|scope| {
            scope.spawn(move || attack(this, &Signals { over, at_it }));
            begun.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{name} has not begun"));
            for _ in 0..10 {
                trips.measure(&mut honest, ROUNDS / 10);
                memory = memory.max(this.server.memory());
            }
            drop(end);
        });
        let files = self.calm(&mut honest);
        eprintln!("{name}: {trips}; {} MiB", memory / 1024);
        assert!(files.len() <= self.files, "{name} leaves open files, before it were {}: {files:?}", self.files);
        self.files = files.len();
        for kind in [&trips.post, &trips.people] {
            assert!(kind.per_mille(990) < BOUND, "{name} keeps honest clients waiting: {trips}");
        }
        assert!(memory < MEMORY, "{name} makes the server use {memory} KiB");
    }

    /// Waits until the server has noticed who is gone, and returns which files it has open.
    fn calm(&self, honest: &mut Client) -> Vec<PathBuf> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let files = self.server.files();
            // Some may come late, of those who have gone already: what is left open stays open.
            if files.len() <= self.files || Instant::now() >= deadline {
                return files;
            }
            honest.people();
        }
    }

    fn connect(&self, host: u8) -> TcpStream {
        Origin::loopback(host).connect(self.server.address).unwrap()
    }
}

/// As much as the socket takes; an error is the server's good right.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    stream.write(bytes).unwrap_or(0)
}

fn is_open(stream: &mut TcpStream) -> bool {
    loop {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn hostile_peers_keep_nobody_waiting() {
    let mut siege = Siege::new();
    siege.endure("nobody", |_, signals| signals.at_it());
    siege.endure("silent connections", silent);
    siege.endure("a byte at a time", byte_by_byte);
    siege.endure("garbage", garbage);
    siege.endure("oversized frames", oversized);
    siege.endure("valid, then garbage", valid_then_garbage);
    siege.endure("never reading", never_reading);
    siege.endure("floods of requests", request_floods);
    siege.endure("floods of tiny records", tiny_records);
    siege.endure("a thousand half-open handshakes", half_open);
    siege.endure("floods of hellos", hello_floods);
    siege.endure("more connections than allowed", too_many);
    // And it is still whole.
    let mut honest = siege.honest();
    assert_eq!(honest.people().total, 1);
    honest.post("that was that");
}

fn silent(siege: &Siege, signals: &Signals) {
    let _silent: Vec<TcpStream> = (0..400).map(|_| siege.connect(2)).collect();
    signals.at_it();
    while signals.go_on(PATIENCE) {}
}

fn byte_by_byte(siege: &Siege, signals: &Signals) {
    let hello = impostor::hello(mallory()).frame;
    let mut streams: Vec<TcpStream> = (0..100).map(|_| siege.connect(2)).collect();
    signals.at_it();
    for byte in hello.iter().cycle() {
        for stream in &mut streams {
            write(stream, &[*byte]);
        }
        if !signals.go_on(Duration::from_millis(10)) {
            return;
        }
    }
}

fn garbage(siege: &Siege, signals: &Signals) {
    let mut bytes = vec![0; 32 * 1024];
    signals.at_it();
    while signals.go_on(Duration::ZERO) {
        rand::rng().fill(&mut bytes[..]);
        let mut streams: Vec<TcpStream> = (0..50).map(|_| siege.connect(2)).collect();
        for stream in &mut streams {
            write(stream, &bytes);
        }
    }
}

fn oversized(siege: &Siege, signals: &Signals) {
    let much = vec![0; 64 * 1024];
    let kinds = [1_u8, 3, 4, 7, 16, 17, 18, 19];
    signals.at_it();
    while signals.go_on(Duration::ZERO) {
        for kind in kinds {
            let mut stream = siege.connect(2);
            write(&mut stream, &[kind, 0xff, 0xff, 0xff]);
            write(&mut stream, &much);
        }
        // The largest that are allowed, and never whole.
        let mut streams: Vec<TcpStream> = (0..50).map(|_| siege.connect(2)).collect();
        let header = Header { kind: Kind::ClientHello, length: 16 * 1024 }.bytes();
        for stream in &mut streams {
            write(stream, &header);
            write(stream, &much[..16 * 1024 - 1]);
        }
    }
}

fn valid_then_garbage(siege: &Siege, signals: &Signals) {
    signals.at_it();
    let mut crowd = Crowd::new([]);
    let mut bytes = [0; 8 * 1024];
    while signals.go_on(Duration::ZERO) {
        crowd = Crowd::new((0..10).map(|_| siege.mallory(2)));
        crowd.enter();
        for (number, conn) in crowd.conns.iter_mut().enumerate() {
            match number % 4 {
                // A record that doesn't open.
                0 => {
                    rand::rng().fill(&mut bytes[..]);
                    bytes[..4].copy_from_slice(&Header { kind: Kind::Data, length: 4000 }.bytes());
                    conn.send_bytes(&bytes);
                }
                // A message longer than the server takes.
                1 => conn.send_record(&[0xff; 100]),
                // A message that is none.
                2 => conn.send_record(&[0, 0, 4, 0x83, 0xff, 0xff, 0xff]),
                // A handshake, again.
                _ => conn.send_bytes(&impostor::hello(mallory()).frame),
            }
            conn.advance();
        }
        crowd.wait("the end of all", |conns| conns.iter().all(|conn| conn.ended.is_some()));
    }
    drop(crowd);
}

/// Many requests in one record.
fn many(requests: &[Request], count: usize) -> Vec<u8> {
    requests.iter().cycle().take(count).zip(1..).flat_map(|(request, id)| request.encode(id)).collect()
}

fn never_reading(siege: &Siege, signals: &Signals) {
    let mut crowd = siege.mallories(15);
    let requests = many(&[history(100)], 50);
    signals.at_it();
    while signals.go_on(Duration::from_millis(1)) {
        for conn in &mut crowd.conns {
            conn.reading = false;
            if conn.backlog() == 0 {
                conn.send_record(&requests);
            }
            conn.advance();
        }
    }
}

fn request_floods(siege: &Siege, signals: &Signals) {
    let mut crowd = siege.mallories(8);
    let requests = [people(), history(1), Request::Whois(Whois { user: alice().user }), Request::Unknown(31)];
    let requests = many(&requests, 400);
    signals.at_it();
    while signals.go_on(Duration::ZERO) {
        for conn in &mut crowd.conns {
            if conn.backlog() == 0 {
                conn.send_record(&requests);
                conn.send(&post(message_id(), "flood", false));
            }
        }
        crowd.conns.iter_mut().for_each(Conn::advance);
        crowd.turn(Duration::from_millis(1));
    }
}

fn tiny_records(siege: &Siege, signals: &Signals) {
    let mut crowd = siege.mallories(8);
    let request = people().encode(1);
    signals.at_it();
    while signals.go_on(Duration::ZERO) {
        for conn in &mut crowd.conns {
            if conn.backlog() < 16 * 1024 {
                for byte in request.iter().cycle().take(request.len() * 20) {
                    conn.send_record(&[*byte]);
                    conn.send_record(&[]);
                }
            }
        }
        crowd.conns.iter_mut().for_each(Conn::advance);
        crowd.turn(Duration::from_millis(1));
    }
}

fn half_open(siege: &Siege, signals: &Signals) {
    let hello = impostor::hello(mallory()).frame;
    let mut streams = Vec::new();
    for host in 2..7 {
        for number in 0..200 {
            let mut stream = siege.connect(host);
            // Some are whole, and the server answers them; some lack their end.
            let bytes = if number % 2 == 0 { &hello[..] } else { &hello[..hello.len() - 1] };
            write(&mut stream, bytes);
            streams.push(stream);
        }
    }
    signals.at_it();
    while signals.go_on(PATIENCE) {}
}

fn hello_floods(siege: &Siege, signals: &Signals) {
    let hello = impostor::hello(mallory()).frame;
    let mut streams = VecDeque::new();
    signals.at_it();
    let mut host = 0;
    while signals.go_on(Duration::from_millis(1)) {
        for _ in 0..10 {
            host = host % 20 + 1;
            let mut stream = siege.connect(10 + host);
            write(&mut stream, &hello);
            streams.push_back(stream);
        }
        if streams.len() > 400 {
            streams.drain(..10);
        }
    }
}

fn too_many(siege: &Siege, signals: &Signals) {
    let mut streams: Vec<TcpStream> = (0..700).map(|_| siege.connect(2)).collect();
    signals.at_it();
    while signals.go_on(Duration::ZERO) {
        streams.retain_mut(is_open);
        while streams.len() < 700 {
            streams.push(siege.connect(2));
        }
    }
}
