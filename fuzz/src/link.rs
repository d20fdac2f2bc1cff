//! Both ends of a link, with a peer that sends anything, and with each other in any order of events.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rsachat::crypto::rsa::{PrivateKey, PublicKey};
use rsachat::crypto::secret::Secret;
use rsachat::model::{RoomName, Seq, Timestamp, UserName};
use rsachat::proto::close::{CloseCode, CloseReason};
use rsachat::proto::frame::{HEADER_BYTES, Header};
use rsachat::proto::handshake::client::{self, ClientError, Resumption};
use rsachat::proto::handshake::server::{Context, Directory};
use rsachat::proto::handshake::wire::RefusalCode;
use rsachat::proto::link::{Client, Ended, Input, Limits, Link, Output, Reader, Role, Server};
use rsachat::proto::message::{Joined, People, Reply, Request, RoomInfo, ServerMessage};
use rsachat::proto::ticket::{Contents, TicketKeys};

static ALICE: LazyLock<PrivateKey> =
    LazyLock::new(|| read(include_str!("../../tests/data/keys/test_alice.private.pem")));

static CONTEXT: LazyLock<Context> = LazyLock::new(|| Context {
    key: Arc::new(read(include_str!("../../tests/data/keys/test_server.private.pem"))),
    directory: Arc::new(OnlyAlice),
    tickets: Arc::new(TicketKeys::generate(Timestamp(0), &mut StdRng::seed_from_u64(0))),
    now: Timestamp(0),
});

fn read(pem: &str) -> PrivateKey {
    PrivateKey::from_pem(pem, None).unwrap()
}

struct OnlyAlice;

impl Directory for OnlyAlice {
    fn find(&self, user: &UserName) -> Option<PublicKey> {
        (user.as_str() == "alice").then(|| ALICE.public().clone())
    }
}

fn limits() -> Arc<Limits> {
    Arc::new(Limits {
        handshake_bytes: 16 * 1024,
        handshake: Duration::from_secs(10),
        message_bytes: 8704,
        ping: Duration::from_secs(30),
        idle: Duration::from_secs(50),
        linger: Duration::from_secs(2),
    })
}

/// One end, its random numbers, and what it has done.
struct End<R: Role> {
    link: Link<R>,
    rng: StdRng,
    sent: VecDeque<u8>,
    messages: Vec<<R::Reader as Reader>::Message>,
    open: bool,
    ended: Option<Ended>,
    run: fn(R::Job, &mut StdRng) -> R::Answer,
}

fn server(now: Instant) -> End<Server> {
    let link = Link::server(CONTEXT.key.public().spki_der().into(), limits(), now);
    End::new(link, |job, rng| job.run(&CONTEXT, rng))
}

fn client(first: client::Job, now: Instant) -> End<Client> {
    End::new(Link::client(first, limits(), now), |job, rng| job.run(&*ALICE, rng))
}

impl<R: Role> End<R> {
    fn new(link: Link<R>, run: fn(R::Job, &mut StdRng) -> R::Answer) -> Self {
        let rng = StdRng::seed_from_u64(1);
        let mut end = Self { link, rng, sent: VecDeque::new(), messages: Vec::new(), open: false, ended: None, run };
        end.follow(0, Instant::now());
        end
    }

    /// Hands an input in, and carries out what follows.
    fn handle(&mut self, input: Input<'_, R>, now: Instant) {
        let bytes = if let Input::Received(bytes) = &input { bytes.len() } else { 0 };
        self.link.handle(input, now);
        self.follow(bytes, now);
    }

    fn follow(&mut self, received: usize, now: Instant) {
        let mut outputs = 0;
        while let Some(output) = self.link.poll() {
            assert!(self.ended.is_none(), "something follows the end");
            outputs += 1;
            match output {
                Output::Transmit(bytes) => self.sent.extend(bytes),
                Output::Job(job) => {
                    let answer = (self.run)(job, &mut self.rng);
                    self.link.handle(Input::Answer(answer), now);
                }
                Output::Opened(_) => {
                    assert!(!self.open, "opened twice");
                    self.open = true;
                }
                Output::Message(message) => {
                    assert!(self.open, "a message before the link is open");
                    self.messages.push(message);
                }
                Output::Ended(ended) => self.ended = Some(ended),
            }
        }
        // The smallest message has seven bytes, and may have come in part before; a record has twenty.
        assert!(outputs <= 6 + received / 7, "{outputs} outputs from {received} bytes");
        assert_eq!(self.link.poll_timeout().is_none(), self.ended.is_some(), "a link without an end in sight");
        assert!(!self.link.is_open() || (self.open && self.ended.is_none()));
    }

    /// Everything, as one who asks sees it.
    fn outcome(&self) -> (Vec<u8>, bool, Option<&Ended>, String) {
        (self.sent.iter().copied().collect(), self.open, self.ended.as_ref(), format!("{:?}", self.messages))
    }
}

/// Cuts bytes where frames end, as far as they are frames.
fn frames(mut data: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Ok(Some(header)) = Header::read(data)
        && let Some((frame, rest)) = data.split_at_checked(HEADER_BYTES + header.length)
    {
        frames.push(frame);
        data = rest;
    }
    frames.push(data);
    frames
}

/// Frames whole, byte by byte, and in larger pieces: all must come to the same. All frames at once need not: what comes
/// while a job is out comes too early.
fn whole_and_in_pieces<R: Role>(data: &[u8], new: impl Fn(Instant) -> End<R>) {
    let now = Instant::now();
    new(now).handle(Input::Received(&mut data.to_vec()), now);
    let [whole, single, pieces] = [usize::MAX, 1, 23].map(|size| {
        let mut end = new(now);
        for frame in frames(data) {
            for piece in frame.to_vec().chunks_mut(size) {
                end.handle(Input::Received(piece), now);
            }
        }
        end
    });
    assert_eq!(whole.outcome(), single.outcome());
    assert_eq!(whole.outcome(), pieces.outcome());
}

/// A server and what it gets before it knows anybody. Nobody authenticates without a private key.
pub fn link_server(data: &[u8]) {
    whole_and_in_pieces(data, |now| {
        let end = server(now);
        assert!(!end.open);
        end
    });
}

/// A client that has said hello, and what comes back.
pub fn link_client(data: &[u8]) {
    whole_and_in_pieces(data, |now| {
        let user = "alice".parse().unwrap();
        client(client::Job::Hello { server: CONTEXT.key.public().clone(), user }, now)
    });
}

/// A connection that is open at both ends, by a resumed handshake: a full one takes too long for so many.
fn opened(now: Instant) -> (End<Client>, End<Server>) {
    let mut rng = StdRng::seed_from_u64(2);
    let contents = Contents {
        user: "alice".parse().unwrap(),
        fingerprint: ALICE.public().fingerprint(),
        secret: Secret::random(&mut rng),
        issued: Timestamp(0),
        proved: Timestamp(0),
    };
    let ticket = CONTEXT.tickets.seal(&contents, CONTEXT.key.public().fingerprint(), &mut rng).unwrap();
    let mut client = client(client::Job::Resume(Resumption { ticket, secret: contents.secret }), now);
    let mut server = server(now);
    for _ in 0..2 {
        deliver(&mut client, &mut server, usize::MAX, now);
        deliver(&mut server, &mut client, usize::MAX, now);
    }
    assert!(client.link.is_open() && server.link.is_open());
    (client, server)
}

fn deliver<A: Role, B: Role>(from: &mut End<A>, to: &mut End<B>, count: usize, now: Instant) {
    let count = count.min(from.sent.len());
    let mut bytes: Vec<u8> = from.sent.drain(..count).collect();
    to.handle(Input::Received(&mut bytes), now);
}

fn say<R: Role>(end: &mut End<R>, stream: &[u8]) {
    let mut record = Vec::new();
    end.link.seal(&mut record, |out| out.extend_from_slice(stream));
    assert_eq!(record.is_empty(), !end.link.is_open());
    end.sent.extend(record);
}

/// What happens on an open connection, as the bytes tell it: messages, garbage, cuts, meddling, silence, ends, in any
/// order.
pub fn link_operations(data: &[u8]) {
    let mut now = Instant::now();
    let (mut client, mut server) = opened(now);
    let mut meddled = false;
    let (mut requests, mut replies) = (Vec::new(), Vec::new());
    let mut data = data.iter().copied();
    while let Some(operation) = data.next() {
        let argument = data.next().unwrap_or_default();
        let mut take = || data.by_ref().take(usize::from(argument)).collect::<Vec<u8>>();
        match operation % 20 {
            0 => {
                let request = Request::People(People { room: RoomName::lobby() });
                let bytes = request.encode(u64::from(argument) + 1);
                if client.link.is_open() {
                    requests.push((u64::from(argument) + 1, request));
                }
                // In two records, so that some begin in the middle.
                let (first, rest) = bytes.split_at(usize::from(argument) % bytes.len());
                say(&mut client, first);
                say(&mut client, rest);
            }
            1 => {
                let joined = Joined {
                    info: RoomInfo::new(RoomName::lobby()),
                    caught_up: argument.is_multiple_of(2),
                    last: Seq(1),
                    gone: argument.into(),
                    withdrawn_after: None,
                };
                let reply = ServerMessage::Reply(u64::from(argument), Reply::Joined(joined));
                if server.link.is_open() {
                    replies.push(reply.clone());
                }
                say(&mut server, &reply.encode());
            }
            2 | 3 => {
                meddled = true;
                let stream = take();
                if operation % 20 == 2 { say(&mut client, &stream) } else { say(&mut server, &stream) }
            }
            4 => deliver(&mut client, &mut server, argument.into(), now),
            5 => deliver(&mut server, &mut client, argument.into(), now),
            6 => deliver(&mut client, &mut server, usize::MAX, now),
            7 => deliver(&mut server, &mut client, usize::MAX, now),
            8 | 9 => {
                meddled = true;
                let sent = if operation % 20 == 8 { &mut client.sent } else { &mut server.sent };
                if let Some(byte) = sent.get_mut(argument.into()) {
                    *byte ^= 1 << (argument % 8);
                }
            }
            10 => {
                meddled = true;
                server.handle(Input::Received(&mut take()), now);
            }
            11 => {
                meddled = true;
                client.handle(Input::Received(&mut take()), now);
            }
            12 => {
                now += Duration::from_millis(250 * u64::from(argument));
                client.handle(Input::Tick, now);
                server.handle(Input::Tick, now);
            }
            13 => client.handle(Input::Close(CloseReason::new(CloseCode::Bye, "bye")), now),
            14 => server.handle(Input::Close(CloseReason::new(CloseCode::Kicked, "x".repeat(argument.into()))), now),
            15 => client.handle(Input::Eof, now),
            16 => server.handle(Input::Eof, now),
            17 => server.handle(Input::Busy(argument.into()), now),
            18 => server.handle(Input::Answer(Err(RefusalCode::Busy)), now),
            _ => client.handle(Input::Answer(Err(ClientError::NotTheServer)), now),
        }
    }
    if !meddled {
        // Whatever was lost was lost at the end.
        assert!(requests.starts_with(&server.messages), "{requests:?} came as {:?}", server.messages);
        assert!(replies.starts_with(&client.messages), "{replies:?} came as {:?}", client.messages);
        for ended in [&client.ended, &server.ended] {
            assert!(!matches!(ended, Some(Ended::Violation(_) | Ended::Refused(_))), "{ended:?} between honest ends");
        }
    }
}
