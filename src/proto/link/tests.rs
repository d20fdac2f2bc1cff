mod invited;
mod properties;

use std::sync::{Mutex, OnceLock};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::crypto::invite::InviteToken;
use crate::crypto::rsa::{PrivateKey, PublicKey};
use crate::model::{Timestamp, UserName};
use crate::proto::handshake::client::{self, Resumption};
use crate::proto::handshake::server::{self, Context, Directory};
use crate::proto::message::{People, Request, ServerMessage};
use crate::proto::ticket::TicketKeys;

fn key(name: &str) -> PrivateKey {
    let path = format!("{}/tests/data/keys/test_{name}.private.pem", env!("CARGO_MANIFEST_DIR"));
    PrivateKey::from_pem(&std::fs::read_to_string(path).unwrap(), None).unwrap()
}

struct Registered(Mutex<Vec<(UserName, PublicKey)>>);

/// The invitation of everybody who is not registered.
fn token() -> InviteToken {
    InviteToken::from_bytes([7; 16])
}

impl Directory for Registered {
    fn find(&self, user: &UserName) -> Option<PublicKey> {
        self.0.lock().unwrap().iter().find(|(name, _)| name == user).map(|(_, key)| key.clone())
    }

    fn enrol(&self, user: &UserName, given: &InviteToken, key: &PublicKey) {
        if self.find(user).is_none() && *given == token() {
            self.0.lock().unwrap().push((*user, key.clone()));
        }
    }
}

fn context() -> Context {
    static KEYS: OnceLock<(Arc<PrivateKey>, PublicKey)> = OnceLock::new();
    let (server, alice) = KEYS.get_or_init(|| (Arc::new(key("server")), key("alice").public().clone()));
    Context {
        key: Arc::clone(server),
        directory: Arc::new(Registered(Mutex::new(vec![("alice".parse().unwrap(), alice.clone())]))),
        tickets: Arc::new(TicketKeys::generate(Timestamp(0), &mut StdRng::seed_from_u64(1))),
        now: Timestamp(0),
    }
}

fn limits() -> Arc<Limits> {
    Arc::new(Limits {
        handshake_bytes: 16 * 1024,
        handshake: Duration::from_secs(10),
        message_bytes: 40_000,
        ping: Duration::from_secs(20),
        idle: Duration::from_secs(50),
        linger: Duration::from_secs(2),
    })
}

/// A client and a server joined by a wire that can be meddled with.
struct Pair {
    client: Link<Client>,
    server: Link<Server>,
    context: Context,
    identity: PrivateKey,
    rng: StdRng,
    now: Instant,
    // Applied to what the client sends, then to what the server sends.
    meddle: [fn(&mut Vec<u8>); 2],
    // Bytes handed over at once; 0 for all.
    chunk: usize,
    seen: Seen,
}

#[derive(Default)]
struct Seen {
    peer: Option<Peer>,
    resumption: Option<Secret>,
    requests: Vec<(u64, Request)>,
    messages: Vec<ServerMessage>,
    client_ended: Option<Ended>,
    server_ended: Option<Ended>,
    server_jobs: Vec<&'static str>,
}

use crate::crypto::secret::Secret;

fn hello(user: &str) -> client::Job {
    client::Job::Hello { server: key("server").public().clone(), user: user.parse().unwrap() }
}

impl Pair {
    fn new(first: client::Job, identity: &str) -> Self {
        let now = Instant::now();
        let context = context();
        let public: Arc<[u8]> = context.key.public().spki_der().into();
        Self {
            client: Link::client(first, limits(), now),
            server: Link::server(public, limits(), now),
            context,
            identity: key(identity),
            rng: StdRng::seed_from_u64(2),
            now,
            meddle: [|_| (), |_| ()],
            chunk: 0,
            seen: Seen::default(),
        }
    }

    fn alice() -> Self {
        Self::new(hello("alice"), "alice")
    }

    fn run(mut self) -> Self {
        self.turn();
        self
    }

    fn turn(&mut self) {
        loop {
            let mut to_server = Vec::new();
            let mut to_client = Vec::new();
            let mut busy = false;
            while let Some(output) = self.client.poll() {
                busy = true;
                match output {
                    Output::Transmit(bytes) => to_server.extend(bytes),
                    Output::Job(job) => {
                        let answer = job.run(&self.identity, &mut self.rng);
                        self.client.handle(Input::Answer(answer), self.now);
                    }
                    Output::Opened(secret) => self.seen.resumption = Some(secret),
                    Output::Message(message) => self.seen.messages.push(message),
                    Output::Ended(ended) => self.seen.client_ended = Some(ended),
                }
            }
            while let Some(output) = self.server.poll() {
                busy = true;
                match output {
                    Output::Transmit(bytes) => to_client.extend(bytes),
                    Output::Job(job) => {
                        self.seen.server_jobs.push(match job {
                            server::Job::Full(_) => "full",
                            server::Job::Resume(_) => "resume",
                        });
                        let answer = job.run(&self.context, &mut self.rng);
                        self.server.handle(Input::Answer(answer), self.now);
                    }
                    Output::Opened(peer) => self.seen.peer = Some(peer),
                    Output::Message(message) => self.seen.requests.push(message),
                    Output::Ended(ended) => self.seen.server_ended = Some(ended),
                }
            }
            if !busy {
                return;
            }
            if !to_server.is_empty() {
                self.meddle[0](&mut to_server);
                let chunk = if self.chunk == 0 { to_server.len().max(1) } else { self.chunk };
                to_server.chunks_mut(chunk).for_each(|bytes| self.server.handle(Input::Received(bytes), self.now));
            }
            if !to_client.is_empty() {
                self.meddle[1](&mut to_client);
                let chunk = if self.chunk == 0 { to_client.len().max(1) } else { self.chunk };
                to_client.chunks_mut(chunk).for_each(|bytes| self.client.handle(Input::Received(bytes), self.now));
            }
        }
    }

    fn client_says(&mut self, stream: &[u8]) {
        let mut bytes = Vec::new();
        self.client.seal(&mut bytes, |out| out.extend_from_slice(stream));
        self.server.handle(Input::Received(&mut bytes), self.now);
        self.turn();
    }
}

fn people() -> Request {
    Request::People(People { room: crate::model::RoomName::lobby() })
}

fn refused(ended: Option<Ended>) -> RefusalCode {
    match ended {
        Some(Ended::Refused(refusal)) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn both_ends_authenticate_and_messages_travel() {
    let mut pair = Pair::alice().run();
    let peer = pair.seen.peer.as_ref().unwrap();
    assert_eq!(peer.user, "alice".parse().unwrap());
    assert_eq!(peer.fingerprint, pair.identity.public().fingerprint());
    assert!(peer.client.starts_with("rsachat/"));
    assert!(pair.client.is_open() && pair.server.is_open());
    pair.client_says(&people().encode(7));
    assert_eq!(pair.seen.requests, [(7, people())]);
}

#[test]
fn bytes_may_come_one_at_a_time() {
    let mut pair = Pair::alice();
    pair.chunk = 1;
    let mut pair = pair.run();
    assert!(pair.server.is_open());
    let stream = [people().encode(1), people().encode(2)].concat();
    let mut bytes = Vec::new();
    for piece in stream.chunks(5) {
        pair.client.seal(&mut bytes, |out| out.extend_from_slice(piece));
    }
    bytes.chunks_mut(3).for_each(|bytes| pair.server.handle(Input::Received(bytes), pair.now));
    pair.turn();
    assert_eq!(pair.seen.requests, [(1, people()), (2, people())]);
    assert_eq!((pair.server.frame.capacity(), pair.server.message.capacity()), (0, 0), "a buffer was kept");
}

#[test]
fn a_session_resumes_without_rsa_and_again() {
    let first = Pair::alice().run();
    let mut ticket = first.seen.peer.unwrap().ticket;
    let mut secret = first.seen.resumption.unwrap();
    for _ in 0..2 {
        let resumption = Resumption { ticket, secret };
        // Another key: no RSA operation takes place that could notice.
        let mut pair = Pair::new(client::Job::Resume(resumption), "bob").run();
        assert_eq!(pair.seen.server_jobs, ["resume"]);
        assert_eq!(pair.seen.peer.as_ref().unwrap().user, "alice".parse().unwrap());
        pair.client_says(&people().encode(1));
        assert_eq!(pair.seen.requests.len(), 1);
        ticket = pair.seen.peer.unwrap().ticket;
        secret = pair.seen.resumption.unwrap();
    }
}

#[test]
fn who_comes_back_every_day_proves_his_key_once_a_week() {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let first = Pair::alice().run();
    let mut ticket = first.seen.peer.unwrap().ticket;
    let mut secret = first.seen.resumption.unwrap();
    for day in 1..=8 {
        let mut pair = Pair::new(client::Job::Resume(Resumption { ticket, secret }), "alice");
        pair.context.now = Timestamp(day * DAY_MS);
        let pair = pair.run();
        if day == 8 {
            assert_eq!(refused(pair.seen.client_ended), RefusalCode::TicketRefused);
            return;
        }
        ticket = pair.seen.peer.unwrap_or_else(|| panic!("day {day}")).ticket;
        secret = pair.seen.resumption.unwrap();
    }
}

#[test]
fn whoever_is_not_who_he_says_fails_in_one_way() {
    for (user, identity) in [("alice", "bob"), ("bob", "bob"), ("nobody", "alice")] {
        let pair = Pair::new(hello(user), identity).run();
        assert_eq!(refused(pair.seen.client_ended), RefusalCode::AuthenticationFailed, "{user} with {identity}'s key");
        assert_eq!(refused(pair.seen.server_ended), RefusalCode::AuthenticationFailed);
        assert!(pair.seen.peer.is_none());
    }
}

#[test]
fn a_ticket_ends_with_its_registration_and_with_its_secret() {
    let first = Pair::alice().run();
    let ticket = first.seen.peer.unwrap().ticket;
    let secret = first.seen.resumption.unwrap();

    let resumption = Resumption { ticket: ticket.clone(), secret: Secret::filled_by(|_| ()) };
    let pair = Pair::new(client::Job::Resume(resumption), "alice").run();
    assert_eq!(refused(pair.seen.client_ended), RefusalCode::TicketRefused, "another secret");

    for users in [vec![], vec![("alice".parse().unwrap(), key("bob").public().clone())]] {
        let resumption = Resumption { ticket: ticket.clone(), secret: secret.duplicate() };
        let mut pair = Pair::new(client::Job::Resume(resumption), "alice");
        pair.context.directory = Arc::new(Registered(users.into()));
        let pair = pair.run();
        assert_eq!(refused(pair.seen.client_ended), RefusalCode::TicketRefused, "no longer registered");
    }
}

#[test]
fn a_changed_byte_of_any_handshake_message_is_noticed_by_one_end() {
    // The offsets reach every field of each message.
    for direction in [0, 1] {
        for at in [4, 5, 6, 9, 10, 40, 50, 1200, 1250, 1262, 1400, 1600, 1650] {
            thread_local!(static AT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });
            AT.set(at);
            let mut pair = Pair::alice();
            pair.meddle[direction] = |bytes| {
                if let Some(byte) = bytes.get_mut(AT.get()) {
                    *byte ^= 1;
                }
            };
            let pair = pair.run();
            let ended = pair.seen.client_ended.is_some() || pair.seen.server_ended.is_some();
            assert!(ended && pair.seen.peer.is_none(), "direction {direction}, byte {at}");
        }
    }
}

#[test]
fn versions_are_refused_in_both_directions() {
    for (version, max) in [(2, 2), (0, 0), (0, 1), (0, 9), (1, 0)] {
        thread_local!(static VERSIONS: std::cell::Cell<(u8, u8)> = const { std::cell::Cell::new((0, 0)) });
        VERSIONS.set((version, max));
        let mut pair = Pair::alice();
        pair.meddle[0] = |bytes| (bytes[8], bytes[9]) = VERSIONS.get();
        let pair = pair.run();
        let Some(Ended::Refused(refusal)) = pair.seen.client_ended else { panic!("not refused") };
        assert_eq!(refusal.code, RefusalCode::UnsupportedVersion);
        assert_eq!((refusal.min_version, refusal.max_version), (1, 1));
        assert!(pair.seen.server_jobs.is_empty(), "work was spent on a version that is not spoken");
    }
    let mut pair = Pair::alice();
    pair.meddle[1] = |bytes| bytes[4] = 2;
    let pair = pair.run();
    assert_eq!(pair.seen.client_ended, Some(Ended::Violation(Violation::Server(LayoutError("server hello").into()))));
}

#[test]
fn a_server_that_lacks_its_private_key_is_noticed() {
    let mut pair = Pair::alice();
    pair.meddle[1] = |bytes| {
        if bytes[0] == Kind::ServerHello.number() {
            bytes.truncate(4 + 1 + 1120);
            bytes.extend_from_slice(&[0; 514 + 16]);
        }
    };
    let pair = pair.run();
    assert_eq!(pair.seen.client_ended, Some(Ended::Violation(Violation::Server(ClientError::NotTheServer))));
}

#[test]
fn another_server_key_is_refused_before_any_rsa_operation() {
    let job = client::Job::Hello { server: key("bob").public().clone(), user: "alice".parse().unwrap() };
    let pair = Pair::new(job, "alice").run();
    assert_eq!(refused(pair.seen.client_ended), RefusalCode::UnknownServerKey);
}

#[test]
fn a_busy_server_says_when_to_come_back() {
    let mut pair = Pair::alice();
    pair.server.handle(Input::Busy(3), pair.now);
    let pair = pair.run();
    assert_eq!(pair.seen.client_ended, Some(Ended::Refused(Refusal::busy(3))));
}

#[test]
fn a_close_is_told_and_a_cut_is_told_apart() {
    let mut pair = Pair::alice().run();
    pair.server.handle(Input::Close(CloseReason::new(CloseCode::Kicked, "by bob")), pair.now);
    pair.turn();
    assert_eq!(pair.seen.client_ended, Some(Ended::Closed(CloseReason::new(CloseCode::Kicked, "by bob"))));
    assert_eq!(pair.seen.server_ended, None, "the server lingers until the client hangs up");
    pair.server.handle(Input::Eof, pair.now);
    pair.turn();
    assert_eq!(pair.seen.server_ended, Some(Ended::Here));

    let mut pair = Pair::alice().run();
    pair.client.handle(Input::Eof, pair.now);
    pair.turn();
    assert_eq!(pair.seen.client_ended, Some(Ended::Truncated));
}

#[test]
fn silence_is_asked_about_and_then_ends_the_link() {
    let mut pair = Pair::alice().run();
    let start = pair.now;
    assert_eq!(pair.client.poll_timeout(), Some(start + limits().ping));
    pair.now = start + limits().ping;
    pair.client.handle(Input::Tick, pair.now);
    pair.turn();
    assert_eq!(pair.client.poll_timeout(), Some(pair.now + limits().ping), "a pong is a sign of life");
    assert_eq!(pair.server.poll_timeout(), Some(pair.now + limits().ping), "so is a ping");

    let heard = pair.now;
    pair.now = heard + limits().ping;
    pair.server.handle(Input::Tick, pair.now);
    while pair.server.poll().is_some() {}
    assert_eq!(pair.server.poll_timeout(), Some(heard + limits().idle));
    pair.now = heard + limits().idle;
    pair.server.handle(Input::Tick, pair.now);
    pair.turn();
    assert_eq!(pair.seen.server_ended, Some(Ended::TimedOut));
}

#[test]
fn a_silent_handshake_ends_at_its_deadline_and_a_long_one_by_its_size() {
    let mut pair = Pair::alice();
    pair.now += limits().handshake;
    pair.server.handle(Input::Tick, pair.now);
    assert!(matches!(pair.server.poll(), Some(Output::Ended(Ended::TimedOut))));

    let mut link =
        Link::server(Arc::new([]), Arc::new(Limits { handshake_bytes: 100, ..(*limits()).clone() }), pair.now);
    // The header says it all: the payload is not waited for.
    link.handle(Input::Received(&mut super::super::frame::frame(Kind::ClientHello, &[0; 97])[..4]), pair.now);
    assert!(matches!(link.poll(), Some(Output::Transmit(_))));
    assert!(matches!(link.poll(), Some(Output::Ended(Ended::Violation(Violation::HandshakeTooLong)))));
}

#[test]
fn a_bad_header_is_judged_with_its_last_byte() {
    for cut in 1..4 {
        let now = Instant::now();
        let mut link = Link::server(Arc::new([]), limits(), now);
        let mut header = [0xee, 0, 0, 0];
        let (first, rest) = header.split_at_mut(cut);
        link.handle(Input::Received(first), now);
        assert!(link.poll().is_none());
        link.handle(Input::Received(rest), now);
        assert!(matches!(link.poll(), Some(Output::Transmit(_))));
        assert!(matches!(link.poll(), Some(Output::Ended(Ended::Violation(Violation::Frame(_))))));
    }
}

#[test]
fn a_server_gives_its_public_key_once_and_then_shakes_hands() {
    let mut pair = Pair::alice();
    pair.server.handle(Input::Received(&mut client::key_request()), pair.now);
    let Some(Output::Transmit(reply)) = pair.server.poll() else { panic!("no key") };
    let public = PublicKey::from_spki_der(client::key_reply(&reply[4..]).unwrap()).unwrap();
    assert_eq!(public.fingerprint(), pair.context.key.public().fingerprint());
    let mut pair = pair.run();
    assert!(pair.server.is_open());
    pair.server.handle(Input::Received(&mut client::key_request()), pair.now);
    pair.turn();
    assert!(matches!(pair.seen.server_ended, Some(Ended::Violation(Violation::Unexpected(Kind::KeyRequest)))));
}

#[test]
fn a_key_request_has_nothing_after_its_versions() {
    let mut pair = Pair::alice();
    let mut request = super::super::frame::frame(Kind::KeyRequest, &[&client::key_request()[4..], &[0]].concat());
    pair.server.handle(Input::Received(&mut request), pair.now);
    assert_eq!(refused(pair.run().seen.server_ended), RefusalCode::Malformed);
}

#[test]
fn an_empty_message_ends_the_link_wherever_it_is_cut() {
    for records in [&[&[0, 0, 0][..]][..], &[&[0, 0, 0, 1]], &[&[0], &[0, 0, 1]], &[&[0, 0], &[0]]] {
        let mut pair = Pair::alice().run();
        for record in records {
            pair.client_says(record);
        }
        assert!(matches!(pair.seen.server_ended, Some(Ended::Violation(Violation::Message(_)))), "{records:?}");
    }
}

#[test]
fn a_message_longer_than_the_limit_ends_the_link_by_its_prefix() {
    let mut pair = Pair::alice().run();
    pair.client_says(&[0x01, 0, 0]);
    assert_eq!(pair.seen.server_ended, Some(Ended::Violation(Violation::MessageTooLong(0x1_0000))));
    let Some(Ended::Closed(reason)) = pair.seen.client_ended else { panic!("no reason given") };
    assert_eq!(reason.code, CloseCode::ProtocolError);
}

#[test]
fn a_late_answer_is_ignored() {
    let mut pair = Pair::alice().run();
    pair.server.handle(Input::Answer(Err(RefusalCode::Busy)), pair.now);
    assert!(pair.server.poll().is_none() && pair.server.is_open());
}
