//! handshake.json: a full handshake, the one that resumes it, and a request for the server's key.

use rsachat::crypto::invite::InviteToken;
use rsachat::crypto::secret::Secret;
use rsachat::proto::handshake::client::{self, Answer, Resumption, SOFTWARE};
use rsachat::proto::handshake::server;
use serde::Serialize;

use super::reference::{self, Direction, Transcript, ZERO};
use super::{ALICE, Fixed, compare, context, hex, key, pem, seed};

#[derive(Serialize)]
struct Vectors {
    keys: Keys,
    key_request: KeyRequest,
    full: Handshake,
    resumed: Handshake,
    invited: Handshake,
}

#[derive(Serialize)]
struct Keys {
    server: Key,
    client: Key,
}

#[derive(Serialize)]
struct Key {
    private_key_file: String,
    public_key_spki: String,
    fingerprint: String,
    fingerprint_shown: String,
}

#[derive(Serialize)]
struct KeyRequest {
    request_frame: String,
    reply_frame: String,
}

#[derive(Serialize)]
struct Handshake {
    client_hello: Hello,
    server_hello: ServerHello,
    resumption_transcript_hash: String,
    resumption_secret: String,
    client_finish: Finish,
    final_transcript_hash: String,
    client_to_server: Traffic,
    server_to_client: Traffic,
}

#[derive(Serialize)]
struct Hello {
    #[serde(skip_serializing_if = "Option::is_none")]
    k_s: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket_secret: Option<String>,
    xwing_private_seed: String,
    xwing_public_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    oaep_ciphertext: Option<String>,
    early_secret: String,
    content: String,
    block: String,
    transcript_hash: String,
    aead_key: String,
    frame: String,
}

#[derive(Serialize)]
struct ServerHello {
    xwing_ciphertext: String,
    xwing_secret: String,
    hello_secret: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    k_c: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oaep_ciphertext: Option<String>,
    block: String,
    transcript_hash: String,
    aead_key: String,
    frame: String,
}

#[derive(Serialize)]
struct Finish {
    auth_secret: String,
    content: String,
    block: String,
    transcript_hash: String,
    aead_key: String,
    frame: String,
}

#[derive(Serialize)]
struct Traffic {
    secret: String,
    key: String,
    iv: String,
    first_record: Record,
}

#[derive(Serialize)]
struct Record {
    kind: u8,
    plaintext: String,
    frame: String,
}

/// What a client in these vectors says last; its own software and version would change them with every release.
pub(super) const FINISH: &[u8] = b"\xa2\x00\x69example/1\x01\x80";

/// How a handshake begins.
enum First {
    Full,
    Invited,
    Resumed { ticket: Vec<u8>, secret: [u8; 32] },
}

/// A handshake that has been made and understood.
pub(super) struct Made {
    vectors: Handshake,
    pub(super) ticket: Vec<u8>,
    pub(super) resumption: [u8; 32],
    pub(super) frames: [Vec<u8>; 3],
}

impl Made {
    pub(super) fn full() -> Self {
        make(&First::Full, "client, full", "server, full")
    }

    /// By somebody who is registered already: nothing else is different.
    fn invited() -> Self {
        make(&First::Invited, "client, invited", "server, invited")
    }

    pub(super) fn resumed(full: &Self) -> Self {
        let first = First::Resumed { ticket: full.ticket.clone(), secret: full.resumption };
        make(&first, "client, resumed", "server, resumed")
    }
}

fn make(first: &First, client_name: &'static str, server_name: &'static str) -> Made {
    let (mut at_client, mut at_server) = (Fixed::new(client_name), Fixed::new(server_name));
    let context = context();
    let job = match first {
        First::Full => client::Job::Hello { server: context.key.public().clone(), user: "alice".parse().unwrap() },
        First::Invited => client::Job::InvitedHello {
            server: context.key.public().clone(),
            user: "alice".parse().unwrap(),
            token: InviteToken::from_bytes(*b"a token, 16 byte"),
        },
        First::Resumed { ticket, secret } => client::Job::Resume(Resumption {
            ticket: ticket.clone(),
            secret: Secret::filled_by(|bytes| *bytes = *secret),
        }),
    };
    let Ok(Answer::Hello(hello, expect)) = job.run(&*ALICE, &mut at_client) else { panic!("no hello") };
    let job = match first {
        First::Full | First::Invited => server::Job::Full(hello.clone()),
        First::Resumed { .. } => server::Job::Resume(hello.clone()),
    };
    let accepted = job.run(&context, &mut at_server).unwrap();
    let mut transcript = Transcript::new();

    // The hello, as somebody reads it who has the private keys.
    let full = !matches!(first, First::Resumed { .. });
    let sealed = match first {
        First::Full => 128 + 16,
        First::Invited => 768 + 16,
        First::Resumed { .. } => 16,
    };
    let (secret, oaep, xwing_at, label) = match first {
        First::Full | First::Invited => {
            let oaep = hello[4 + 1256..4 + 1256 + 256].to_vec();
            let k_s = reference::oaep(&pem("server"), "RSAC1 handshake server", &oaep);
            assert_eq!(k_s, at_client.drawn(0));
            (k_s, Some(oaep), 4 + 38, "rsac1 identity")
        }
        First::Resumed { secret, .. } => (*secret, None, 4 + 6, "rsac1 binder"),
    };
    let xwing_seed = at_client.drawn(usize::from(full));
    let early = reference::extract(&ZERO, &secret);
    let opened = transcript.open(&early, label, &hello, sealed);
    let content = if full { reference::content(&opened.block) } else { &[] };
    let client_hello = Hello {
        k_s: full.then(|| hex(&secret)),
        ticket: match first {
            First::Full | First::Invited => None,
            First::Resumed { ticket, .. } => Some(hex(ticket)),
        },
        ticket_secret: (!full).then(|| hex(&secret)),
        xwing_private_seed: hex(&xwing_seed),
        xwing_public_key: hex(&hello[xwing_at..xwing_at + 1216]),
        oaep_ciphertext: oaep.as_deref().map(hex),
        early_secret: hex(&early),
        content: hex(content),
        block: hex(&opened.block),
        transcript_hash: hex(&opened.hash),
        aead_key: hex(&opened.key),
        frame: hex(&hello),
    };

    let ciphertext = &accepted.hello[5..5 + 1120];
    let xwing_secret = reference::xwing(xwing_seed, ciphertext);
    let hello_secret = reference::mix(&early, &xwing_secret);
    let opened = transcript.open(&hello_secret, "rsac1 server hello", &accepted.hello, if full { 530 } else { 16 });
    let k_c = full.then(|| reference::oaep(&pem("alice"), "RSAC1 handshake client", reference::content(&opened.block)));
    let server_hello = ServerHello {
        xwing_ciphertext: hex(ciphertext),
        xwing_secret: hex(&xwing_secret),
        hello_secret: hex(&hello_secret),
        k_c: k_c.map(|k_c| hex(&k_c)),
        oaep_ciphertext: full.then(|| hex(reference::content(&opened.block))),
        block: hex(&opened.block),
        transcript_hash: hex(&opened.hash),
        aead_key: hex(&opened.key),
        frame: hex(&accepted.hello),
    };

    let auth = reference::mix(&hello_secret, &k_c.unwrap_or(ZERO));
    let resumption_hash = transcript.hash();
    let resumption = reference::expand(&auth, "rsac1 resumption", &resumption_hash);

    // This program's own finish is read, and has another content only.
    let Ok(Answer::Finish(finish, finished)) =
        client::Job::Finish(expect, accepted.hello.clone()).run(&*ALICE, &mut at_client)
    else {
        panic!("no finish")
    };
    let opened = transcript.clone().open(&auth, "rsac1 client finish", &finish, 144);
    let software = [&[0xa2, 0, 0x60 + u8::try_from(SOFTWARE.len()).unwrap()], SOFTWARE.as_bytes(), &[1, 0x80]].concat();
    assert_eq!((reference::content(&opened.block), opened.block.len()), (&software[..], 128));
    assert_eq!(finished.resumption.expose(), &resumption);

    let block = reference::block(FINISH, 128);
    let finish = transcript.seal(&auth, "rsac1 client finish", 3, &[], &block);
    let (hello_frame, server_hello_frame) = (hello, accepted.hello);
    let mut authenticated = accepted.expect.finish(&finish).unwrap();
    assert_eq!((authenticated.user.as_str(), &*authenticated.client), ("alice", "example/1"));
    let client_finish = Finish {
        auth_secret: hex(&auth),
        content: hex(FINISH),
        block: hex(&block),
        transcript_hash: hex(&opened.hash),
        aead_key: hex(&opened.key),
        frame: hex(&finish),
    };

    let final_hash = transcript.hash();
    let from_client = reference::expand(&auth, "rsac1 client traffic", &final_hash);
    let from_server = reference::expand(&auth, "rsac1 server traffic", &final_hash);
    // What the client seals by the page, this program's server opens, and the other way round.
    let request = b"\x00\x00\x0c\x83\x04\x07\xa1\x00\x66common";
    let record = Direction::new(&from_client).seal(0, 16, request);
    let header = rsachat::proto::frame::Header::read(&record).unwrap().unwrap();
    let opened = authenticated.traffic.receive.open(header, &mut record[4..].to_vec()).map(|text| text.to_vec());
    assert_eq!(opened.unwrap(), request);
    let client_to_server = traffic(&from_client, request, &record);
    let mut record = Vec::new();
    let reply = b"\x00\x00\x11\x83\x18\x24\x07\xa3\x00\x66common\x01\x80\x02\x00";
    authenticated.traffic.send.seal(rsachat::proto::frame::Kind::Data, &mut record, |out| out.extend_from_slice(reply));
    assert_eq!(Direction::new(&from_server).open(0, &record).unwrap(), reply);
    let server_to_client = traffic(&from_server, reply, &record);

    Made {
        vectors: Handshake {
            client_hello,
            server_hello,
            resumption_transcript_hash: hex(&resumption_hash),
            resumption_secret: hex(&resumption),
            client_finish,
            final_transcript_hash: hex(&final_hash),
            client_to_server,
            server_to_client,
        },
        ticket: authenticated.ticket,
        resumption,
        frames: [hello_frame, server_hello_frame, finish],
    }
}

fn traffic(secret: &[u8; 32], plaintext: &[u8], frame: &[u8]) -> Traffic {
    let Direction { key, iv } = Direction::new(secret);
    let first_record = Record { kind: 16, plaintext: hex(plaintext), frame: hex(frame) };
    Traffic { secret: hex(secret), key: hex(&key), iv: hex(&iv), first_record }
}

fn shown(name: &str) -> Key {
    let private = key(name);
    let public = private.public();
    Key {
        private_key_file: format!("tests/data/keys/test_{name}.private.pem"),
        public_key_spki: hex(public.spki_der()),
        fingerprint: hex(&public.fingerprint().0),
        fingerprint_shown: public.fingerprint().to_string(),
    }
}

#[test]
fn handshake() {
    let full = Made::full();
    let resumed = Made::resumed(&full);
    let invited = Made::invited();
    let reply = reference::frame(5, &[&[1], context().key.public().spki_der()].concat());
    let request = client::key_request();
    for (name, made) in [("full", &full), ("resumed", &resumed), ("invited", &invited)] {
        let [hello, server_hello, finish] = &made.frames;
        seed("link-server", name, &[hello, finish].map(|frame| &frame[..]).concat());
        seed("link-client", name, server_hello);
        seed(if name == "resumed" { "resume-hello" } else { "client-hello" }, name, &hello[4..]);
        seed("server-hello", name, &server_hello[4..]);
        seed("frame-header", name, &hello[..4]);
    }
    seed("link-server", "key-request", &request);
    seed("link-client", "key-reply", &reply);
    seed("key-reply", "the server's", &reply[4..]);
    compare(
        "handshake.json",
        &Vectors {
            keys: Keys { server: shown("server"), client: shown("alice") },
            key_request: KeyRequest { request_frame: hex(&request), reply_frame: hex(&reply) },
            full: full.vectors,
            resumed: resumed.vectors,
            invited: invited.vectors,
        },
    );
}
