//! What several benches set up: a hub with a crowd in it, a pair of links that are open, what is said.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "a bench needs some of it, and ends where it fails")]

use std::collections::HashSet;
use std::fs;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rsachat::crypto::rsa::{PrivateKey, PublicKey};
use rsachat::crypto::secret::Secret;
use rsachat::hub::{Creation, Hub, Input, Output, Settings};
use rsachat::journal::{Restored, StoreCommand, StoreEvent};
use rsachat::model::{Fingerprint, MessageId, RoomName, Seq, SessionId, Timestamp, UserName};
use rsachat::proto::handshake::client::Job;
use rsachat::proto::handshake::server::{Context, Directory};
use rsachat::proto::link::{self, Client, Limits, Link, Server};
use rsachat::proto::message::{Body, Join, Post, Request, Stored};
use rsachat::proto::record::Direction;
use rsachat::proto::ticket::TicketKeys;

pub(crate) const WALL: Timestamp = Timestamp(1_700_000_000_000);

/// One direction of a connection. All that this makes have the same keys: what one seals another opens.
pub(crate) fn direction() -> Direction {
    Direction::new(Secret::filled_by(|bytes| bytes.fill(1)))
}

/// A post of 63 bytes.
pub(crate) fn post(number: u64) -> Post {
    Post {
        room: RoomName::lobby(),
        message: MessageId(u128::from(number).to_be_bytes()),
        body: Body::Text { text: "Shall we meet at the usual place, or is it raining there, too?".to_owned() },
        retry: false,
        after: None,
        urgent: false,
    }
}

/// What becomes of it.
pub(crate) fn stored(number: u64) -> Stored {
    let Post { room, message, body, .. } = post(number);
    Stored { room, seq: Seq(number), time: WALL, sender: user("alice"), message, body: Some(body) }
}

pub(crate) fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

/// A hub with one room, which has so many members.
pub(crate) struct Crowd {
    pub(crate) hub: Hub,
    members: u64,
    posts: u64,
    now: Instant,
}

impl Crowd {
    pub(crate) fn new(members: u64) -> Self {
        let settings = Settings {
            server: "rsachat/bench".to_owned(),
            message_bytes: 8192,
            message_rate: NonZeroU32::MAX,
            message_burst: NonZeroU32::MAX,
            history_limit: 100,
            connections_per_user: 1,
            join_backlog: 10,
            default_rooms: vec![RoomName::lobby()],
            records: false,
            creation: Creation::Everyone,
            max_rooms: 20,
            max_rooms_per_user: 3,
            direct_quota: 5,
            admins: HashSet::new(),
        };
        let mut hub = Hub::new(settings, Restored::default());
        let now = Instant::now();
        let fingerprint = Fingerprint([0; 32]);
        for number in 0..members {
            let user = user(&format!("user{number}"));
            let session = SessionId(number);
            hub.handle(Input::Registered { user, fingerprint, spki: [].into() }, now, WALL);
            hub.handle(Input::Opened { session, user, fingerprint, client: String::new() }, now, WALL);
            let request = Request::Join(Join { room: RoomName::lobby(), after: None, backlog: false });
            hub.handle(Input::Request { session, id: 1, request }, now, WALL);
            while hub.poll().is_some() {}
        }
        Self { hub, members, posts: 0, now }
    }

    /// The next post, by the next member.
    pub(crate) fn next(&mut self) -> Input {
        self.posts += 1;
        let session = SessionId(self.posts % self.members);
        Input::Request { session, id: self.posts + 1, request: Request::Post(post(self.posts)) }
    }

    /// Has a post taken, numbered, delivered, stored and acknowledged.
    pub(crate) fn take(&mut self, post: Input) {
        self.hub.handle(post, self.now, WALL);
        let mut commits = Vec::new();
        while let Some(output) = self.hub.poll() {
            if let Output::Store(StoreCommand::Append { token, .. }) = black_box(output) {
                commits.push(token);
            }
        }
        self.hub.handle(Input::Store(StoreEvent::Stored { tokens: commits }), self.now, WALL);
        while let Some(output) = self.hub.poll() {
            black_box(output);
        }
    }
}

fn key(name: &str) -> PrivateKey {
    let path = format!("{}/tests/data/keys/test_{name}.private.pem", env!("CARGO_MANIFEST_DIR"));
    PrivateKey::from_pem(&fs::read_to_string(path).unwrap(), None).unwrap()
}

struct One(PublicKey);

impl Directory for One {
    fn find(&self, _: &UserName) -> Option<PublicKey> {
        Some(self.0.clone())
    }
}

/// The two ends of a connection whose handshake is done.
pub(crate) fn links() -> (Link<Client>, Link<Server>) {
    const LONG: Duration = Duration::from_secs(3600);
    let limits = Arc::new(Limits {
        handshake_bytes: 16 * 1024,
        handshake: LONG,
        message_bytes: 16 * 1024,
        ping: LONG,
        idle: LONG,
        linger: LONG,
    });
    let (mut rng, now) = (rand::rng(), Instant::now());
    let (server_key, identity) = (key("server"), key("alice"));
    let hello = Job::Hello { server: server_key.public().clone(), user: user("alice") };
    let context = Context {
        key: Arc::new(server_key),
        directory: Arc::new(One(identity.public().clone())),
        tickets: Arc::new(TicketKeys::generate(WALL, &mut rng)),
        now: WALL,
    };
    let mut client = Link::client(hello, Arc::clone(&limits), now);
    let mut server = Link::server(Arc::from([]), limits, now);
    while !(client.is_open() && server.is_open()) {
        while let Some(output) = client.poll() {
            match output {
                link::Output::Transmit(mut bytes) => server.handle(link::Input::Received(&mut bytes), now),
                link::Output::Job(job) => client.handle(link::Input::Answer(job.run(&identity, &mut rng)), now),
                link::Output::Opened(_) => {}
                output => panic!("{output:?}"),
            }
        }
        while let Some(output) = server.poll() {
            match output {
                link::Output::Transmit(mut bytes) => client.handle(link::Input::Received(&mut bytes), now),
                link::Output::Job(job) => server.handle(link::Input::Answer(job.run(&context, &mut rng)), now),
                link::Output::Opened(_) => {}
                output => panic!("{output:?}"),
            }
        }
    }
    (client, server)
}

/// One record with so many posts.
pub(crate) fn record(client: &mut Link<Client>, posts: u64) -> Vec<u8> {
    let mut record = Vec::new();
    let posts: Vec<u8> = (1..=posts).flat_map(|number| Request::Post(post(number)).encode(number)).collect();
    client.seal(&mut record, |out| out.extend_from_slice(&posts));
    record
}

/// Hands a record to a link and takes what is in it; returns how many messages that were.
pub(crate) fn receive(server: &mut Link<Server>, record: &mut [u8], now: Instant) -> usize {
    server.handle(link::Input::Received(record), now);
    let mut messages = 0;
    while let Some(output) = server.poll() {
        let link::Output::Message(message) = output else { panic!("{output:?}") };
        black_box(message);
        messages += 1;
    }
    messages
}
