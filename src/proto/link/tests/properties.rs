//! Any bytes, in any pieces: no end holds more memory than its limits, and what was sent arrives.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::crypto::rsa::test_keys::alice;
use crate::model::RoomName;
use crate::proto::frame::{HANDSHAKE_BYTES, RECORD_BYTES};
use crate::proto::message::{Body, Post};
use crate::proto::ticket::Contents;

/// What a vector that grew to `bytes` may have allocated.
const fn grown(bytes: usize) -> usize {
    2 * bytes
}

/// Both ends of an open link, by a resumed handshake.
fn opened(now: Instant) -> (Link<Client>, Link<Server>) {
    let (context, mut rng) = (context(), StdRng::seed_from_u64(3));
    let contents = Contents {
        user: "alice".parse().unwrap(),
        fingerprint: alice().public().fingerprint(),
        secret: Secret::random(&mut rng),
        issued: Timestamp(0),
        proved: Timestamp(0),
    };
    let ticket = context.tickets.seal(&contents, context.key.public().fingerprint(), &mut rng).unwrap();
    let mut client: Link<Client> =
        Link::client(client::Job::Resume(Resumption { ticket, secret: contents.secret }), limits(), now);
    let mut server = Link::server(Arc::new([]), limits(), now);
    for _ in 0..3 {
        while let Some(output) = client.poll() {
            match output {
                Output::Transmit(mut bytes) => server.handle(Input::Received(&mut bytes), now),
                Output::Job(job) => client.handle(Input::Answer(job.run(alice(), &mut rng)), now),
                _ => {}
            }
        }
        while let Some(output) = server.poll() {
            match output {
                Output::Transmit(mut bytes) => client.handle(Input::Received(&mut bytes), now),
                Output::Job(job) => server.handle(Input::Answer(job.run(&context, &mut rng)), now),
                _ => {}
            }
        }
    }
    assert!(client.is_open() && server.is_open());
    (client, server)
}

fn post(text: String) -> Request {
    let body = Body::Text { text };
    Request::Post(Post {
        room: RoomName::lobby(),
        message: crate::model::MessageId([7; 16]),
        body,
        retry: false,
        after: None,
        urgent: false,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_server_that_knows_nobody_yet_holds_one_frame_at_most(
        header in (0..9_u8, any::<u16>()), bytes in vec(any::<u8>(), 0..40_000), piece in 1..5000_usize
    ) {
        let now = Instant::now();
        let mut link = Link::server(Arc::new([]), limits(), now);
        let [high, low] = header.1.to_be_bytes();
        let mut bytes = [&[header.0, 0, high, low][..], &bytes].concat();
        for piece in bytes.chunks_mut(piece) {
            link.handle(Input::Received(piece), now);
            prop_assert!(link.frame.capacity() <= grown(HANDSHAKE_BYTES + HEADER_BYTES));
            prop_assert_eq!(link.message.capacity(), 0);
            prop_assert!(link.outputs.len() <= 4);
        }
    }

    #[test]
    fn an_open_server_holds_one_record_and_one_message_at_most(
        plaintexts in vec((0..3_u8, vec(any::<u8>(), 0..RECORD_BYTES)), 1..6), piece in 1..5000_usize
    ) {
        let now = Instant::now();
        let (mut client, mut server) = opened(now);
        let mut wire = Vec::new();
        for (small, plaintext) in plaintexts {
            // Mostly a prefix that is within the limit.
            let mut plaintext = [&[0, 0x9c, 0x40][..small.into()], &plaintext].concat();
            plaintext.truncate(RECORD_BYTES);
            client.seal(&mut wire, |out| out.extend_from_slice(&plaintext));
        }
        for piece in wire.chunks_mut(piece) {
            server.handle(Input::Received(piece), now);
            prop_assert!(server.frame.capacity() <= grown(RECORD_BYTES + 16 + HEADER_BYTES));
            prop_assert!(server.message.capacity() <= grown(limits().message_bytes + PREFIX_BYTES));
        }
        if !server.is_open() {
            prop_assert_eq!((server.frame.capacity(), server.message.capacity()), (0, 0), "the end keeps memory");
        }
    }

    #[test]
    fn a_stream_arrives_however_it_is_cut_into_records_and_pieces(
        texts in vec("[a-zä ]{0,60}", 1..12), cuts in vec(any::<prop::sample::Index>(), 0..12), piece in 1..200_usize
    ) {
        let now = Instant::now();
        let (mut client, mut server) = opened(now);
        let requests: Vec<(u64, Request)> = (1..).zip(texts.into_iter().map(post)).collect();
        let stream: Vec<u8> = requests.iter().flat_map(|(id, request)| request.encode(*id)).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let mut wire = Vec::new();
        for cut in cuts.windows(2) {
            client.seal(&mut wire, |out| out.extend_from_slice(&stream[cut[0]..cut[1]]));
        }
        let mut arrived = Vec::new();
        for piece in wire.chunks_mut(piece) {
            server.handle(Input::Received(piece), now);
            while let Some(output) = server.poll() {
                let Output::Message(request) = output else { panic!("{output:?}") };
                arrived.push(request);
            }
        }
        prop_assert_eq!(arrived, requests);
        prop_assert_eq!((server.frame.capacity(), server.message.capacity(), server.outputs.capacity()), (0, 0, 0));
    }
}
