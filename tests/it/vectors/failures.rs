//! failures.json: what a server and a client must refuse, and how each is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::TryRng as _;
use rsachat::crypto::rsa::Label;
use rsachat::crypto::secret::Secret;
use rsachat::model::Fingerprint;
use rsachat::proto::frame::{Header, Kind};
use rsachat::proto::handshake::client::{self, ClientError};
use rsachat::proto::handshake::wire::{Refusal, RefusalCode};
use rsachat::proto::link::{Client, Ended, Input, Limits, Link, Output, Violation};
use serde::Serialize;
use x_wing::kem::{Decapsulator as _, KeyExport as _};

use super::handshake::Made;
use super::reference::{self, Transcript, ZERO};
use super::{ALICE, Fixed, compare, context, hex, key, seed};

#[derive(Serialize)]
struct Vectors {
    at_the_server: Vec<Failure>,
    at_the_client: Vec<Failure>,
}

#[derive(Serialize)]
struct Failure {
    name: &'static str,
    /// Sent one after the other.
    frames: Vec<String>,
    /// The kinds of frames that come back.
    answers: Vec<u8>,
    outcome: String,
}

fn limits() -> Arc<Limits> {
    Arc::new(Limits {
        handshake_bytes: 16384,
        handshake: Duration::from_secs(10),
        message_bytes: 8704,
        ping: Duration::from_secs(30),
        idle: Duration::from_secs(50),
        linger: Duration::from_secs(2),
    })
}

fn outcome(ended: &Ended) -> String {
    match ended {
        Ended::Refused(Refusal { code, retry_after_s: 0, .. }) => format!("refused: {code:?}"),
        Ended::Refused(Refusal { code, retry_after_s, .. }) => {
            format!("refused: {code:?}, retry after {retry_after_s} s")
        }
        Ended::Violation(Violation::Server(ClientError::NotTheServer)) => "not the server".to_owned(),
        Ended::Violation(Violation::Server(ClientError::Layout(_)) | Violation::Layout(_) | Violation::Frame(_)) => {
            "malformed".to_owned()
        }
        Ended::Violation(Violation::Unexpected(_)) => "unexpected".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Replays `frames` to a server that knows alice alone.
fn at_the_server(name: &'static str, frames: &[Vec<u8>], wanted: RefusalCode, hello_first: bool) -> Failure {
    let (context, now) = (context(), Instant::now());
    let mut rng = Fixed::new("server, full");
    let mut link = Link::server(context.key.public().spki_der().into(), limits(), now);
    let (mut answers, mut ended) = (Vec::new(), None);
    let mut refusal = None;
    for frame in frames {
        link.handle(Input::Received(&mut frame.clone()), now);
        while let Some(output) = link.poll() {
            match output {
                Output::Transmit(bytes) => {
                    answers.push(bytes[0]);
                    refusal = (bytes[0] == 6).then(|| Refusal::parse(&bytes[4..]).unwrap());
                }
                Output::Job(job) => link.handle(Input::Answer(job.run(&context, &mut rng)), now),
                Output::Ended(reason) => ended = Some(reason),
                Output::Opened(_) | Output::Message(_) => panic!("{name}: the server goes on"),
            }
        }
    }
    assert!(ended.is_some(), "{name}: the server waits");
    assert_eq!(refusal, Some(Refusal::new(wanted)), "{name}");
    assert_eq!(answers.contains(&2), hello_first, "{name}: a server hello");
    seed("link-server", name, &frames.concat());
    let outcome = outcome(&Ended::Refused(Refusal::new(wanted)));
    Failure { name, frames: frames.iter().map(|frame| hex(frame)).collect(), answers, outcome }
}

/// Replays `frame` to the client of the full handshake in handshake.json, which has sent its hello.
fn at_the_client(name: &'static str, frame: &[u8], wanted: &str) -> Failure {
    let now = Instant::now();
    let mut rng = Fixed::new("client, full");
    let hello = client::Job::Hello { server: context().key.public().clone(), user: "alice".parse().unwrap() };
    let mut link: Link<Client> = Link::client(hello, limits(), now);
    let (mut answers, mut ended, mut opened) = (Vec::new(), None, false);
    let mut frame_to_send = Some(frame.to_vec());
    loop {
        match link.poll() {
            Some(Output::Transmit(bytes)) => answers.push(bytes[0]),
            Some(Output::Job(job)) => link.handle(Input::Answer(job.run(&*ALICE, &mut rng)), now),
            Some(Output::Ended(reason)) => ended = Some(outcome(&reason)),
            Some(Output::Opened(_)) => opened = true,
            Some(Output::Message(_)) => panic!("{name}: a message"),
            None => match frame_to_send.take() {
                Some(mut frame) => link.handle(Input::Received(&mut frame), now),
                None => break,
            },
        }
    }
    let ended = ended.or_else(|| opened.then(|| "goes on, with a random k_c".to_owned()));
    assert_eq!(ended.as_deref(), Some(wanted), "{name}");
    assert_eq!(answers.remove(0), 1);
    seed("link-client", name, frame);
    if frame.len() >= 4 {
        seed("frame-header", name, &frame[..4]);
    }
    Failure { name, frames: vec![hex(frame)], answers, outcome: wanted.to_owned() }
}

/// A client hello that can be wrong in its parts, and right in all that follows from them.
#[derive(Clone)]
struct Hello {
    versions: [u8; 6],
    key_id: [u8; 32],
    oaep_label: Label,
    oaep_cut: usize,
    xwing_key: Vec<u8>,
    block: Vec<u8>,
    tail: Vec<u8>,
}

impl Hello {
    fn right() -> Self {
        Self {
            versions: *b"RSAC\x01\x01",
            key_id: context().key.public().fingerprint().0,
            oaep_label: Label::ServerHandshake,
            oaep_cut: 0,
            xwing_key: x_wing::DecapsulationKey::from([7; 32]).encapsulation_key().to_bytes().to_vec(),
            block: reference::block(&identity("alice", ALICE.public().fingerprint()), 128),
            tail: Vec::new(),
        }
    }

    fn with(change: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut hello = Self::right();
        change(&mut hello);
        hello.frame()
    }

    fn frame(&self) -> Vec<u8> {
        let k_s = [0x6b; 32];
        let secret = Secret::filled_by(|bytes| *bytes = k_s);
        let mut oaep = context().key.public().encrypt(self.oaep_label, &secret, &mut Fixed::new("oaep"));
        oaep.truncate(oaep.len() - self.oaep_cut);
        let length = u16::try_from(oaep.len()).unwrap().to_be_bytes();
        let payload = [&self.versions[..], &self.key_id, &self.xwing_key, &length, &oaep].concat();
        let early = reference::extract(&ZERO, &k_s);
        let mut frame = Transcript::new().seal(&early, "rsac1 identity", 1, &payload, &self.block);
        frame.extend_from_slice(&self.tail);
        let header = reference::header(1, frame.len() - 4);
        frame[..4].copy_from_slice(&header);
        frame
    }
}

fn identity(user: &str, fingerprint: Fingerprint) -> Vec<u8> {
    let head = [0xa2, 0, 0x60 + u8::try_from(user.len()).unwrap()];
    [&head[..], user.as_bytes(), &[1, 0x58, 32], &fingerprint.0].concat()
}

fn changed(frame: &[u8], at: usize) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at] ^= 1;
    frame
}

/// The frame with its payload cut or lengthened, and a header that says so.
fn resized(frame: &[u8], change: isize) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame.resize(frame.len().checked_add_signed(change).unwrap(), 0);
    let header = reference::header(frame[0], frame.len() - 4);
    frame[..4].copy_from_slice(&header);
    frame
}

fn server_failures(full: &Made, resumed: &Made) -> Vec<Failure> {
    use RefusalCode::{AuthenticationFailed, Malformed, TicketRefused, UnknownServerKey, UnsupportedVersion};
    let own = ALICE.public().fingerprint();
    let bob = key("bob").public().fingerprint();
    let hello = Hello::right().frame();
    let last = hello.len() - 1;
    let guess = reference::frame(3, &[0; 144]);
    let as_user =
        |user, fingerprint| Hello::with(|hello| hello.block = reference::block(&identity(user, fingerprint), 128));
    let block = |block: Vec<u8>| Hello::with(|hello| hello.block = block);
    let padded = |at: usize, byte| {
        let mut block = Hello::right().block;
        block[at] = byte;
        block
    };
    let [resume_hello, _, _] = &resumed.frames;
    let [true_hello, _, true_finish] = &full.frames;
    let late = [
        ("a user that is not registered", vec![as_user("mallory", own), guess.clone()]),
        ("a registered user with another key", vec![as_user("alice", bob), guess.clone()]),
        ("a registered user without the private key", vec![hello.clone(), guess.clone()]),
        ("a finish with a changed tag", vec![true_hello.clone(), changed(true_finish, 4 + 143)]),
        ("a finish that is too short", vec![true_hello.clone(), resized(true_finish, -1)]),
    ];
    let early = [
        ("a changed tag", AuthenticationFailed, vec![changed(&hello, last)]),
        ("a changed OAEP ciphertext", AuthenticationFailed, vec![changed(&hello, 4 + 1256 + 100)]),
        ("a changed X-Wing key", AuthenticationFailed, vec![changed(&hello, 4 + 38 + 1190)]),
        ("an OAEP ciphertext that is too short", AuthenticationFailed, vec![Hello::with(|hello| hello.oaep_cut = 1)]),
        (
            "an OAEP ciphertext with the other label",
            AuthenticationFailed,
            vec![Hello::with(|hello| hello.oaep_label = Label::ClientHandshake)],
        ),
        ("padding that is not zero", AuthenticationFailed, vec![block(padded(127, 1))]),
        ("a content that runs over its block", AuthenticationFailed, vec![block(padded(1, 127))]),
        (
            "a byte after the content's CBOR",
            AuthenticationFailed,
            vec![block(reference::block(&[&identity("alice", own)[..], &[0]].concat(), 128))],
        ),
        ("a name with upper case", AuthenticationFailed, vec![as_user("Alice", own)]),
        ("an empty name", AuthenticationFailed, vec![as_user("", own)]),
        ("a server key id that is not the server's", UnknownServerKey, vec![Hello::with(|hello| hello.key_id = bob.0)]),
        ("version 2", UnsupportedVersion, vec![Hello::with(|hello| hello.versions = *b"RSAC\x02\x02")]),
        ("version 0 of at most 1", UnsupportedVersion, vec![Hello::with(|hello| hello.versions = *b"RSAC\x00\x01")]),
        ("version 1 of at most 0", UnsupportedVersion, vec![Hello::with(|hello| hello.versions = *b"RSAC\x01\x00")]),
        ("another protocol", Malformed, vec![Hello::with(|hello| hello.versions = *b"RSAD\x01\x01")]),
        ("a hello with a byte too few", Malformed, vec![resized(&hello, -1)]),
        ("a hello with a byte too many", Malformed, vec![Hello::with(|hello| hello.tail = vec![0])]),
        ("a hello of its versions alone", Malformed, vec![reference::frame(1, b"RSAC\x01\x01")]),
        ("an empty hello", Malformed, vec![reference::frame(1, b"")]),
        ("a block of another size", Malformed, vec![block(reference::block(&identity("alice", own), 127))]),
        ("an X-Wing key that is none", Malformed, vec![Hello::with(|hello| hello.xwing_key = vec![0xff; 1216])]),
        ("a payload over the limit, by its header", Malformed, vec![reference::header(1, 16385).to_vec()]),
        ("a kind that does not exist, by its header", Malformed, vec![vec![8, 0, 0, 0]]),
        ("a record before the handshake", Malformed, vec![reference::frame(16, &[0; 40])]),
        ("a finish before the hello", Malformed, vec![true_finish.clone()]),
        ("a key request with a byte too many", Malformed, vec![reference::frame(4, b"RSAC\x01\x01\x00")]),
        ("a ticket that the server did not issue", TicketRefused, vec![changed(resume_hello, 4 + 1224 + 50)]),
        ("a binder that does not fit", TicketRefused, vec![changed(resume_hello, resume_hello.len() - 1)]),
        ("a resuming hello with a byte too many", Malformed, vec![resized(resume_hello, 1)]),
    ];
    let early = early.into_iter().map(|(name, wanted, frames)| at_the_server(name, &frames, wanted, false));
    let late = late.into_iter().map(|(name, frames)| at_the_server(name, &frames, AuthenticationFailed, true));
    let request = client::key_request();
    let twice = at_the_server("a key request after another", &[request.clone(), request], Malformed, false);
    early.chain(late).chain([twice]).collect()
}

/// A server hello to the client of the full handshake, with `block` in it, right in all else.
fn server_hello(full: &Made, block: &[u8]) -> Vec<u8> {
    let [hello, server_hello, _] = &full.frames;
    let mut rng = Fixed::new("client, full");
    let Ok(()) = rng.try_fill_bytes(&mut [0; 64]);
    let (k_s, xwing_seed) = (rng.drawn(0), rng.drawn(1));
    let early = reference::extract(&ZERO, &k_s);
    let secret = reference::mix(&early, &reference::xwing(xwing_seed, &server_hello[5..1125]));
    let mut transcript = Transcript::new();
    transcript.0.extend_from_slice(hello);
    transcript.seal(&secret, "rsac1 server hello", 2, &server_hello[4..1125], block)
}

fn client_failures(full: &Made) -> Vec<Failure> {
    let [_, hello, _] = &full.frames;
    let last = hello.len() - 1;
    let oaep = |label| {
        let secret = Secret::filled_by(|bytes| bytes.fill(0x63));
        ALICE.public().encrypt(label, &secret, &mut Fixed::new("oaep"))
    };
    let right = reference::block(&oaep(Label::ClientHandshake), 514);
    let mut padded = right.clone();
    padded[513] = 1;
    let mut over = right.clone();
    over[0] = 3;
    let refusal = |payload: &[u8]| reference::frame(6, payload);
    let mut failures = vec![
        at_the_client("a changed tag", &changed(hello, last), "not the server"),
        at_the_client("a changed X-Wing ciphertext", &changed(hello, 100), "not the server"),
        at_the_client("version 2", &server_hello_of_version_2(hello), "malformed"),
        at_the_client("a hello with a byte too few", &resized(hello, -1), "malformed"),
        at_the_client("a hello with a byte too many", &resized(hello, 1), "malformed"),
        at_the_client("the hello of a resumed handshake", &server_hello(full, &[]), "malformed"),
        at_the_client("an empty hello", &reference::frame(2, &[]), "malformed"),
        at_the_client("padding that is not zero", &server_hello(full, &padded), "malformed"),
        at_the_client("a content that runs over its block", &server_hello(full, &over), "malformed"),
        at_the_client(
            "an OAEP ciphertext with the other label",
            &server_hello(full, &reference::block(&oaep(Label::ServerHandshake), 514)),
            "goes on, with a random k_c",
        ),
        at_the_client(
            "an OAEP ciphertext that is too short",
            &server_hello(full, &reference::block(&[1; 255], 514)),
            "goes on, with a random k_c",
        ),
        at_the_client("the server's key, which was not asked for", &reference::frame(5, &[1, 2, 3]), "unexpected"),
        at_the_client("a record before the handshake", &reference::frame(16, &[0; 40]), "unexpected"),
        at_the_client("a client's frame", &reference::frame(3, &[0; 144]), "unexpected"),
        at_the_client("a payload over the limit, by its header", &reference::header(2, 16385), "malformed"),
        at_the_client("a kind that does not exist, by its header", &[0, 0, 0, 0], "malformed"),
        at_the_client("a refusal that is too short", &refusal(&[3, 0, 0, 1]), "malformed"),
        at_the_client("busy, for a while", &refusal(&[4, 0, 3, 1, 1]), "refused: Busy, retry after 3 s"),
        at_the_client("a refusal of a later version", &refusal(&[9, 0, 0, 1, 2, 7, 7]), "refused: Other(9)"),
    ];
    for (code, name, wanted) in [
        (1, "no version in common", "refused: UnsupportedVersion"),
        (2, "another server key", "refused: UnknownServerKey"),
        (3, "not who it says", "refused: AuthenticationFailed"),
        (5, "a ticket that is no good", "refused: TicketRefused"),
        (6, "bytes that make no sense", "refused: Malformed"),
    ] {
        failures.push(at_the_client(name, &refusal(&[code, 0, 0, 1, 1]), wanted));
        seed("refusal", name, &[code, 0, 0, 1, 1]);
    }
    seed("refusal", "of a later version", &[9, 0, 0, 1, 2, 7, 7]);
    failures
}

fn server_hello_of_version_2(hello: &[u8]) -> Vec<u8> {
    let mut hello = hello.to_vec();
    hello[4] = 2;
    hello
}

#[test]
fn failures() {
    let full = Made::full();
    let resumed = Made::resumed(&full);
    assert_eq!(Header::read(&full.frames[0]).unwrap().unwrap().kind, Kind::ClientHello);
    compare(
        "failures.json",
        &Vectors { at_the_server: server_failures(&full, &resumed), at_the_client: client_failures(&full) },
    );
}
