//! Examples with their bytes; what is encoded decodes; what is accepted is what was meant; nothing panics.

mod tree;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use self::tree::{Tree, any_tree};
use super::*;
use minicbor::bytes::ByteVec;

use crate::crypto::invite::InviteToken;
use crate::model::{
    Choices, Epoch, Fingerprint, Incarnation, MessageId, QuestionHash, RoomName, SenderKeyId, Seq, Timestamp, UserName,
};

fn name() -> impl Strategy<Value = UserName> {
    "[a-z0-9][a-z0-9._-]{0,31}".prop_map(|text| UserName::from_wire(&text).unwrap())
}

fn room() -> impl Strategy<Value = RoomName> {
    let shared = name().prop_map(|name| RoomName::from_wire(name.as_str()).unwrap());
    let direct = (name(), name()).prop_map(|(one, other)| RoomName::direct(one, other).unwrap_or_else(RoomName::lobby));
    prop_oneof![3 => shared, 1 => direct]
}

fn seq() -> impl Strategy<Value = Seq> {
    any::<u64>().prop_map(Seq)
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp)
}

fn message() -> impl Strategy<Value = MessageId> {
    any::<[u8; 16]>().prop_map(MessageId)
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        any::<String>().prop_map(|text| Body::Text { text }),
        any::<String>().prop_map(|text| Body::Action { text }),
        any::<String>().prop_map(|text| Body::Code { text }),
        (any::<String>(), choices()).prop_map(|(text, choices)| Body::Question { text, choices }),
        (message(), any::<[u8; 32]>(), choices()).prop_map(|(question, asked, choices)| Body::Answer {
            question,
            asked: Box::new(QuestionHash(asked)),
            choice: choices.iter().next().unwrap().clone(),
        }),
        (key(), bytes()).prop_map(|(key, sealed)| Body::Sealed { key, sealed }),
    ]
}

fn choices() -> impl Strategy<Value = Choices> {
    proptest::collection::btree_set("[a-z]([ a-zé]{0,20}[a-z])?", 2..=9)
        .prop_map(|texts| Choices::new(texts.iter().map(|text| text.parse().unwrap()).collect()).unwrap())
}

fn bytes() -> impl Strategy<Value = ByteVec> {
    vec(any::<u8>(), 0..300).prop_map(ByteVec::from)
}

fn key() -> impl Strategy<Value = SenderKeyId> {
    any::<[u8; 32]>().prop_map(SenderKeyId)
}

fn fingerprint() -> impl Strategy<Value = Fingerprint> {
    any::<[u8; 32]>().prop_map(Fingerprint)
}

fn receipt() -> impl Strategy<Value = Receipt> {
    (room(), name(), seq(), seq()).prop_map(|(room, user, delivered, read)| Receipt { room, user, delivered, read })
}

fn waiting() -> impl Strategy<Value = Waiting> {
    (room(), seq()).prop_map(|(room, last)| Waiting { room, last })
}

fn of_sealed_rooms() -> impl Strategy<Value = Request> {
    let recipient = || (fingerprint(), bytes()).prop_map(|(member, part)| Recipient { member, part });
    prop_oneof![
        vec(name(), 0..4).prop_map(|users| Request::Keys(Keys { users })),
        (room(), key(), any::<[u8; 32]>(), bytes(), vec(recipient(), 0..3)).prop_map(
            |(room, id, epoch, head, recipients)| {
                Request::AddSenderKey(Box::new(AddSenderKey { room, id, epoch: Epoch(epoch), head, recipients }))
            }
        ),
        (room(), vec(key(), 0..3)).prop_map(|(room, ids)| Request::SenderKeys(SenderKeys { room, ids })),
        (room(), any::<u64>()).prop_map(|(room, after)| Request::Roster(Roster { room, after })),
        (name(), option::of(any::<u32>()))
            .prop_map(|(user, seconds)| Request::InviteUser(InviteUser { user, seconds })),
        (room(), seq(), option::of(seq())).prop_map(|(room, delivered, read)| Request::Seen(Seen {
            room,
            delivered,
            read
        })),
    ]
}

fn position() -> impl Strategy<Value = Position> {
    (any::<u64>(), seq()).prop_map(|(incarnation, seq)| Position { incarnation: Incarnation(incarnation), seq })
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        (room(), option::of(position()), any::<bool>()).prop_map(|(room, after, backlog)| Request::Join(Join {
            room,
            after,
            backlog
        })),
        (room(), message(), body(), any::<[bool; 2]>(), option::of(message())).prop_map(
            |(room, message, body, [retry, urgent], after)| {
                Request::Post(Post { room, message, body, retry, after, urgent })
            }
        ),
        (room(), option::of(seq()), any::<u32>()).prop_map(|(room, before, limit)| Request::History(History {
            room,
            before,
            limit
        })),
        room().prop_map(|room| Request::People(People { room })),
        name().prop_map(|user| Request::Whois(Whois { user })),
        Just(Request::Shutdown(Shutdown {})),
        decision(),
        of_sealed_rooms(),
        (26..32_u64).prop_map(Request::Unknown),
    ]
}

fn decision() -> impl Strategy<Value = Request> {
    let text = || any::<String>();
    let seconds = || option::of(any::<u32>());
    prop_oneof![
        (room(), entry()).prop_map(|(room, roster)| Request::Create(Create { room, roster })),
        room().prop_map(|room| Request::Leave(Leave { room })),
        any::<bool>().prop_map(|people| Request::Rooms(Rooms { people })),
        (room(), text()).prop_map(|(room, topic)| Request::SetTopic(SetTopic { room, topic })),
        (room(), name(), entry()).prop_map(|(room, user, roster)| Request::Invite(Invite { room, user, roster })),
        (room(), name(), option::of(text()), entry())
            .prop_map(|(room, user, reason, roster)| Request::Kick(Box::new(Kick { room, user, reason, roster }))),
        (option::of(room()), name(), seconds(), option::of(text()))
            .prop_map(|(room, user, seconds, reason)| Request::Ban(Box::new(Ban { room, user, seconds, reason }))),
        (option::of(room()), name()).prop_map(|(room, user)| Request::Unban(Unban { room, user })),
        (room(), name(), seconds()).prop_map(|(room, user, seconds)| Request::Mute(Mute { room, user, seconds })),
        (room(), name()).prop_map(|(room, user)| Request::Unmute(Unmute { room, user })),
        (room(), name(), entry()).prop_map(|(room, user, roster)| Request::HandOver(HandOver { room, user, roster })),
        (availability(), option::of(text()), seconds()).prop_map(|(availability, text, seconds)| {
            Request::SetStatus(SetStatus { availability, text, seconds })
        }),
        any::<bool>().prop_map(|idle| Request::SetIdle(SetIdle { idle })),
    ]
}

fn entry() -> impl Strategy<Value = Option<RosterEntry>> {
    let entry = (any::<u64>(), vec(any::<u8>(), 0..40));
    option::of(entry.prop_map(|(number, statement)| RosterEntry { number, statement: statement.into() }))
}

fn stored() -> impl Strategy<Value = Stored> {
    (room(), seq(), time(), name(), message(), option::of(body()))
        .prop_map(|(room, seq, time, sender, message, body)| Stored { room, seq, time, sender, message, body })
}

fn error_code() -> impl Strategy<Value = ErrorCode> {
    use ErrorCode::{
        Conflict, DoNotDisturb, Forbidden, Malformed, NotFound, Other, RateLimited, ShuttingDown, StorageUnavailable,
        TooLarge, UnknownRequest,
    };
    let known = [
        Malformed,
        UnknownRequest,
        Forbidden,
        NotFound,
        TooLarge,
        RateLimited,
        StorageUnavailable,
        ShuttingDown,
        Conflict,
        DoNotDisturb,
    ];
    prop_oneof![proptest::sample::select(known.to_vec()), (11..u64::MAX).prop_map(Other), Just(Other(0))]
}

fn info() -> impl Strategy<Value = RoomInfo> {
    let numbers = (any::<u64>(), any::<u64>(), seq(), any::<u64>());
    let lists = (vec(name(), 0..3), vec(receipt(), 0..2));
    (room(), any::<String>(), option::of(name()), numbers, any::<[bool; 2]>(), lists).prop_map(
        |(room, topic, owner, (members, present, last, roster), [joined, sealed], (people, receipts))| RoomInfo {
            room,
            topic,
            owner,
            members,
            present,
            joined,
            last,
            people,
            sealed,
            receipts,
            roster,
        },
    )
}

fn availability() -> impl Strategy<Value = Availability> {
    use Availability::{Away, DoNotDisturb, Online, Other};
    prop_oneof![Just(Online), Just(Away), Just(DoNotDisturb), (3..u64::MAX).prop_map(Other)]
}

fn status() -> impl Strategy<Value = Status> {
    (availability(), option::of(any::<String>()), option::of(time())).prop_map(|(availability, text, until)| Status {
        availability,
        text,
        until,
    })
}

fn act() -> impl Strategy<Value = Act> {
    let (until, reason) = (option::of(time()), option::of(any::<String>()));
    (0..8_u8, name(), until, reason, any::<String>()).prop_map(|(kind, user, until, reason, topic)| match kind {
        0 => Act::Topic { topic },
        1 => Act::Invited { user },
        2 => Act::Kicked { user, reason },
        3 => Act::Banned { user, until, reason },
        4 => Act::Unbanned { user },
        5 => Act::Muted { user, until },
        6 => Act::Unmuted { user },
        _ => Act::HandedOver { user },
    })
}

fn reply() -> impl Strategy<Value = Reply> {
    let person = (name(), time(), any::<u32>(), status()).prop_map(|(user, since, sessions, status)| Person {
        user,
        since,
        sessions,
        status,
    });
    prop_oneof![
        Just(Reply::Done),
        (info(), any::<bool>(), seq(), any::<u64>(), option::of(seq())).prop_map(
            |(info, caught_up, last, gone, withdrawn_after)| {
                Reply::Joined(Joined { info, caught_up, last, gone, withdrawn_after })
            }
        ),
        vec(info(), 0..3).prop_map(|rooms| Reply::Rooms(RoomList { rooms })),
        (seq(), time()).prop_map(|(seq, time)| Reply::Accepted(Accepted { seq, time })),
        (room(), any::<bool>()).prop_map(|(room, more)| Reply::HistoryEnd(HistoryEnd { room, more })),
        (room(), vec(person, 0..5), any::<u64>()).prop_map(|(room, people, total)| Reply::People(PeopleList {
            room,
            people,
            total
        })),
        (name(), any::<[u8; 32]>(), any::<bool>(), option::of(time()), any::<u32>(), status()).prop_map(
            |(user, fingerprint, admin, since, sessions, status)| {
                Reply::User(UserInfo { user, fingerprint: Fingerprint(fingerprint), admin, since, sessions, status })
            }
        ),
        vec((name(), bytes()), 0..3).prop_map(|keys| {
            Reply::Keys(KeyList { keys: keys.into_iter().map(|(user, key)| UserKey { user, key }).collect() })
        }),
        vec((key(), any::<[u8; 32]>(), name(), bytes(), option::of(bytes())), 0..3).prop_map(|keys| {
            let kept = |(id, epoch, sender, head, part)| KeptSenderKey { id, epoch: Epoch(epoch), sender, head, part };
            Reply::SenderKeys(SenderKeyList { keys: keys.into_iter().map(kept).collect() })
        }),
        (vec(bytes(), 0..3), any::<u64>(), vec(name(), 0..3))
            .prop_map(|(statements, length, members)| { Reply::Roster(RosterPage { statements, length, members }) }),
        (name(), any::<[u8; 16]>(), time()).prop_map(|(user, token, until)| {
            Reply::Invited(Invited { user, token: InviteToken::from_bytes(token), until })
        }),
        (error_code(), any::<String>(), option::of(any::<String>()), option::of(any::<u64>()))
            .prop_map(|(code, text, hint, retry_after_ms)| Reply::Error(Refused { code, text, hint, retry_after_ms })),
    ]
}

fn welcome() -> impl Strategy<Value = Welcome> {
    (
        any::<String>(),
        name(),
        any::<bool>(),
        any::<u64>(),
        time(),
        any::<[u32; 2]>(),
        vec(room(), 0..4),
        vec(waiting(), 0..3),
    )
        .prop_map(|(server, user, admin, incarnation, time, [message_bytes, history_limit], rooms, waiting)| {
            Welcome {
                server,
                user,
                admin,
                incarnation: Incarnation(incarnation),
                time,
                message_bytes,
                history_limit,
                rooms,
                waiting,
            }
        })
}

fn server_message() -> impl Strategy<Value = ServerMessage> {
    prop_oneof![
        (any::<u64>(), reply()).prop_map(|(id, reply)| ServerMessage::Reply(id, reply)),
        (any::<u64>(), stored()).prop_map(|(id, part)| ServerMessage::Part(id, part)),
        (vec(any::<u8>(), 0..300), any::<u32>())
            .prop_map(|(ticket, lifetime_s)| ServerMessage::Ticket(Ticket { ticket: ticket.into(), lifetime_s })),
        welcome().prop_map(ServerMessage::Welcome),
        stored().prop_map(ServerMessage::Message),
        (room(), vec(name(), 0..4), vec(name(), 0..4), vec((name(), status()), 0..3)).prop_map(
            |(room, came, left, changed)| {
                let changed = changed.into_iter().map(|(user, status)| Changed { user, status }).collect();
                ServerMessage::Presence(Presence { room, came, left, changed })
            }
        ),
        (room(), name(), option::of(act())).prop_map(|(room, by, act)| ServerMessage::Acted(Acted { room, by, act })),
        (room(), any::<bool>(), name(), option::of(any::<String>())).prop_map(|(room, member, by, reason)| {
            ServerMessage::Membership(Membership { room, member, by, reason })
        }),
        waiting().prop_map(ServerMessage::Waiting),
        receipt().prop_map(ServerMessage::Receipt),
        name().prop_map(|user| ServerMessage::KeyChanged(KeyChanged { user })),
        (73..u64::MAX).prop_map(ServerMessage::Unknown),
    ]
}

/// A message without its prefix, which has to be right.
fn unprefixed(bytes: &[u8]) -> &[u8] {
    let (prefix, message) = bytes.split_first_chunk::<PREFIX_BYTES>().unwrap();
    let [a, b, c] = *prefix;
    assert_eq!(u32::from_be_bytes([0, a, b, c]) as usize, message.len());
    message
}

/// What was accepted, encoded again, is what was sent, but for what a reader ignores and for defaults.
fn assert_meant(sent: &[u8], again: &[u8]) {
    let Some(sent_tree) = Tree::read(sent).filter(|tree| tree.bytes() == sent) else { return };
    let again_tree = Tree::read(again).unwrap();
    assert!(sent_tree.covers(&again_tree), "{sent_tree:?} became {again_tree:?}");
    if again_tree.contains(&sent_tree) && sent_tree.contains(&again_tree) {
        assert_eq!(sent, again, "nothing was ignored, and yet the bytes changed");
    }
}

fn check_request(bytes: &[u8]) {
    if let Ok((id, request)) = Request::decode(bytes)
        && !matches!(request, Request::Unknown(_))
    {
        let again = request.encode(id);
        assert_eq!(Request::decode(unprefixed(&again)), Ok((id, request)));
        assert_meant(bytes, unprefixed(&again));
    }
}

fn check_server_message(bytes: &[u8]) {
    if let Ok(message) = ServerMessage::decode(bytes)
        && !matches!(message, ServerMessage::Unknown(_))
    {
        let again = message.encode();
        assert_eq!(ServerMessage::decode(unprefixed(&again)), Ok(message));
        assert_meant(bytes, unprefixed(&again));
    }
}

proptest! {
    #[test]
    fn a_request_decodes_to_what_was_encoded(id: u64, request in request()) {
        let bytes = request.encode(id);
        let message = unprefixed(&bytes);
        prop_assert_eq!(Request::decode(message), Ok((id, request)));
        prop_assert_eq!(Tree::read(message).unwrap().bytes(), message, "not deterministic CBOR");
    }

    #[test]
    fn a_server_message_decodes_to_what_was_encoded(message in server_message()) {
        let bytes = message.encode();
        prop_assert_eq!(Tree::read(unprefixed(&bytes)).unwrap().bytes(), unprefixed(&bytes), "not deterministic CBOR");
        prop_assert_eq!(ServerMessage::decode(unprefixed(&bytes)), Ok(message));
    }

    #[test]
    fn any_bytes_are_an_error_or_a_message(bytes in vec(any::<u8>(), 0..200)) {
        check_request(&bytes);
        check_server_message(&bytes);
    }

    #[test]
    fn changed_bytes_are_an_error_or_a_message(
        request in request(), message in server_message(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        for mut bytes in [unprefixed(&request.encode(1)).to_vec(), unprefixed(&message.encode()).to_vec()] {
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            check_request(&bytes);
            check_server_message(&bytes);
        }
    }

    #[test]
    fn messages_with_other_fields_are_an_error_or_what_was_meant(
        request in request(), message in server_message(),
        edits in vec((any::<prop::sample::Index>(), 0..12_u64, option::weighted(0.8, any_tree())), 1..4)
    ) {
        for bytes in [request.encode(1), message.encode()] {
            let mut tree = Tree::read(unprefixed(&bytes)).unwrap();
            for (at, key, value) in &edits {
                tree.edit(|maps| at.index(maps), *key, value.as_ref());
            }
            check_request(&tree.bytes());
            check_server_message(&tree.bytes());
        }
    }

    #[test]
    fn keys_that_are_not_known_are_ignored(request in request(), message in server_message(), key in 20..1_u64 << 63, value in any_tree()) {
        let mut tree = Tree::read(unprefixed(&request.encode(5))).unwrap();
        tree.edit(|_| 0, key, Some(&value));
        prop_assert_eq!(Request::decode(&tree.bytes()), Ok((5, request)));
        let mut tree = Tree::read(unprefixed(&message.encode())).unwrap();
        tree.edit(|_| 0, key, Some(&value));
        prop_assert_eq!(ServerMessage::decode(&tree.bytes()), Ok(message));
    }

    #[test]
    fn a_stored_message_is_the_same_as_an_event_and_as_a_part(stored in stored(), id: u64) {
        let encoded = Encoded::new(&stored);
        prop_assert_eq!(&encoded.event()[..], ServerMessage::Message(stored.clone()).encode());
        let mut out = b"before".to_vec();
        encoded.append_part(id, &mut out);
        prop_assert_eq!(out.strip_prefix(b"before"), Some(&ServerMessage::Part(id, stored).encode()[..]));
    }

    #[test]
    fn a_body_reads_back_as_the_database_keeps_it(body in body(), tail in 0..2_usize) {
        let mut bytes = body.to_cbor();
        bytes.extend_from_slice(&[0][..tail]);
        prop_assert_eq!(Body::from_cbor(&bytes).ok(), (tail == 0).then_some(body));
    }
}

#[test]
fn these_are_the_bytes_of_a_post_and_its_answer() {
    let message = MessageId(std::array::from_fn(|n| u8::try_from(n).unwrap()));
    let post = Post {
        room: RoomName::lobby(),
        message,
        body: Body::Text { text: "hi".to_owned() },
        retry: false,
        after: None,
        urgent: false,
    };
    assert_eq!(
        Request::Post(post).encode(1),
        b"\x00\x00\x2a\x83\x02\x01\xa5\x00\x66common\
          \x01\x50\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\
          \x02\x82\x00\xa1\x00\x62hi\x03\xf4\x05\xf4"
    );
    let accepted = Accepted { seq: Seq(5), time: Timestamp(0x0199_0000_0000) };
    assert_eq!(
        ServerMessage::Reply(1, Reply::Accepted(accepted)).encode(),
        b"\x00\x00\x11\x83\x18\x22\x01\xa2\x00\x05\x01\x1b\x00\x00\x01\x99\x00\x00\x00\x00"
    );
}

#[test]
fn what_is_left_out_has_its_default_and_null_is_absent() {
    let post = b"\x83\x02\x01\xa3\x00\x61a\x01\x50................\x02\x82\x01\xa1\x00\x61b";
    let Ok((1, Request::Post(post))) = Request::decode(post) else { panic!("not a post") };
    assert!(!post.retry);
    let join = Join { room: RoomName::from_wire("a").unwrap(), after: None, backlog: false };
    assert_eq!(Request::decode(b"\x83\x01\x01\xa2\x00\x61a\x01\xf6"), Ok((1, Request::Join(join))));
}

#[test]
fn a_kind_of_body_that_is_not_known_is_nothing_in_a_stored_message_and_refused_in_a_post() {
    for what in [&b"\x82\x18\x1f\xa1\x00\x61b"[..], b"\x82\x18\x63\x80", b"\x82\x18\x1f\x83\x01\x82\x02\x03\xa0"] {
        let stored =
            [b"\x83\x18\x42\x00\xa6\x00\x61a\x01\x01\x02\x02\x03\x61c\x04\x50................\x05", what].concat();
        let Ok(ServerMessage::Message(stored)) = ServerMessage::decode(&stored) else { panic!("{what:?}") };
        assert_eq!((stored.body, stored.seq), (None, Seq(1)));
        let post = [b"\x83\x02\x01\xa3\x00\x61a\x01\x50................\x02", what].concat();
        assert!(Request::decode(&post).is_err());
    }
}

#[test]
fn what_is_no_message_is_refused() {
    for bytes in [
        &b""[..],
        b"\x80",
        b"\x82\x06\x01",
        b"\x84\x06\x01\xa0\xa0",
        b"\x9f\x06\x01\xa0\xff",             // an indefinite array
        b"\x83\x06\x01\xbf\xff",             // an indefinite body
        b"\x83\x06\x01\x80",                 // a body that is no map
        b"\x83\x06\x01\xa0\x00",             // something after it
        b"\x83\x26\x01\xa0",                 // a negative type
        b"\x83\x06\x20\xa0",                 // a negative id
        b"\x83\x04\x01\xa0",                 // no room
        b"\x83\x04\x01\xa1\x00\x60",         // an empty name
        b"\x83\x04\x01\xa1\x00\x61A",        // upper case
        b"\x83\x04\x01\xa1\x00\x62#a",       // a room with its sign
        b"\x83\x04\x01\xa1\x00\x41a",        // bytes for text
        b"\x83\x04\x01\xa1\x00\x62\xc3\x28", // not UTF-8
        b"\x83\x04\x01\xa1\x00\x7f\x61a\xff",
        b"\x83\x02\x01\xa3\x00\x61a\x01\x4f...............\x02\x82\x00\xa1\x00\x61b", // 15 bytes of id
    ] {
        assert!(Request::decode(bytes).is_err(), "{bytes:02x?}");
        // A client skips types that it doesn't know, those of requests among them, whatever their body.
        let skipped = matches!(ServerMessage::decode(bytes), Ok(ServerMessage::Unknown(2 | 4)));
        assert!(skipped || ServerMessage::decode(bytes).is_err(), "{bytes:02x?}");
    }
    assert!(
        ServerMessage::decode(b"\x83\x18\x43\x01\xa4\x00\x61a\x01\x80\x02\x80\x03\x80").is_err(),
        "an event with an id"
    );
    assert!(ServerMessage::decode(b"\x83\x18\x43\x00\xa4\x00\x61a\x01\x80\x02\x80\x03\x80").is_ok());
}

#[test]
fn nesting_as_deep_as_a_message_is_long_is_borne() {
    // On a stack that no recursion of this depth fits.
    let deep = || {
        for unit in [&b"\x81"[..], b"\xa1\x00", b"\x9f", b"\xbf\x00", b"\xc1", b"\x82\x9f", b"\x5f", b"\x82\x00"] {
            let nested = unit.repeat((MESSAGE_BYTES - 16) / unit.len());
            for (head, tail) in [
                (&b"\x83\x04\x01\xa2\x00\x61a\x09"[..], &b""[..]),
                (b"\x83\x18\x1e\x01", b""),
                (b"\x83\x18\x63\x00\xa1\x00", b""),
                (b"\x83\x02\x01\xa3\x00\x61a\x01\x50................\x02", b"\xff"),
            ] {
                let bytes = [head, &nested, tail].concat();
                let _ = Request::decode(&bytes);
                let _ = ServerMessage::decode(&bytes);
                let _ = crate::proto::close::CloseReason::decode(&nested);
            }
        }
    };
    std::thread::Builder::new().stack_size(256 * 1024).spawn(deep).unwrap().join().unwrap();
}

#[test]
fn a_sighting_is_of_the_message_that_a_client_would_read() {
    let message = Stored {
        room: RoomName::lobby(),
        seq: Seq(300),
        time: Timestamp(1_700_000_000_000),
        sender: "alice".parse().unwrap(),
        message: MessageId([7; 16]),
        body: Some(Body::Text { text: "hello".to_owned() }),
    };
    let event = ServerMessage::Message(message.clone()).encode();
    let (sighting, length) = Sighting::decode(&event[PREFIX_BYTES..]).unwrap().unwrap();
    assert_eq!(sighting, Sighting { seq: message.seq, message: message.message });
    // What told it tells it alone, and no less does.
    let head = &event[PREFIX_BYTES..PREFIX_BYTES + length];
    assert_eq!(Sighting::decode(head), Ok(Some((sighting, length))));
    assert!(Sighting::decode(&head[..length - 1]).is_err());
    let reply = ServerMessage::Reply(1, Reply::Done).encode();
    assert_eq!(Sighting::decode(&reply[PREFIX_BYTES..]), Ok(None));
    // Without an identifier: [66, 0, {1: 300}].
    assert!(Sighting::decode(&[0x83, 0x18, 66, 0, 0xa1, 1, 0x19, 1, 44]).is_err());
}
