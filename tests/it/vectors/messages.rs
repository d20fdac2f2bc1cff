//! messages.json and close.json: a message of every type, and what is none.

use rsachat::crypto::invite::InviteToken;
use rsachat::model::{Fingerprint, Incarnation, MessageId, RoomName, Seq, Timestamp, UserName};
use rsachat::proto::close::{CloseCode, CloseReason};
use rsachat::proto::message::{
    Accepted, Act, Acted, Availability, Ban, Body, Changed, Create, ErrorCode, HandOver, History, HistoryEnd, Invite,
    InviteUser, Invited, Join, Joined, Kick, Leave, Membership, Mute, People, PeopleList, Person, Position, Post,
    Presence, Refused, Reply, Request, RoomInfo, RoomList, Rooms, ServerMessage, SetIdle, SetStatus, SetTopic,
    Shutdown, Status, Stored, Ticket, Unban, Unmute, UserInfo, Waiting, Welcome, Whois,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{compare, hex, sealed, seed};

#[derive(Serialize)]
struct Vectors {
    from_the_client: Vec<Message>,
    from_the_server: Vec<Message>,
    accepted_though_not_as_sent: Vec<Lenient>,
    malformed_from_the_client: Vec<Bad>,
    malformed_from_the_server: Vec<Bad>,
}

#[derive(Serialize)]
struct Message {
    name: &'static str,
    #[serde(rename = "type")]
    kind: u64,
    request_id: u64,
    /// The body: keys are those of the map, byte strings are {"bytes": hex}.
    body: Value,
    #[serde(rename = "message")]
    bytes: String,
}

#[derive(Serialize)]
struct Lenient {
    name: &'static str,
    message: String,
    means: String,
}

#[derive(Serialize)]
struct Bad {
    name: &'static str,
    message: String,
}

const TIME: Timestamp = Timestamp(1_756_000_000_123);

fn lobby() -> RoomName {
    RoomName::lobby()
}

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

fn id() -> MessageId {
    MessageId(std::array::from_fn(|n| u8::try_from(n).unwrap()))
}

fn text(text: &str) -> Body {
    Body::Text { text: text.to_owned() }
}

/// Takes the prefix away.
fn bare(bytes: &[u8]) -> &[u8] {
    let (prefix, message) = bytes.split_first_chunk::<3>().unwrap();
    assert_eq!(*prefix, super::reference::header(0, message.len())[1..]);
    message
}

/// A CBOR item of the kinds that occur, as JSON.
fn body(bytes: &[u8]) -> Value {
    fn item(d: &mut minicbor::Decoder<'_>) -> Value {
        use minicbor::data::Type;
        match d.datatype().unwrap() {
            Type::Map => {
                let entries = (0..d.map().unwrap().unwrap()).map(|_| (d.u64().unwrap().to_string(), item(d)));
                Value::Object(entries.collect())
            }
            Type::Array => (0..d.array().unwrap().unwrap()).map(|_| item(d)).collect(),
            Type::Bytes => json!({ "bytes": hex(d.bytes().unwrap()) }),
            Type::String => d.str().unwrap().into(),
            Type::Bool => d.bool().unwrap().into(),
            _ => d.u64().unwrap().into(),
        }
    }
    item(&mut minicbor::Decoder::new(bytes))
}

fn message(name: &'static str, bytes: &[u8]) -> Message {
    let bytes = bare(bytes);
    let mut decoder = minicbor::Decoder::new(bytes);
    assert_eq!(decoder.array().unwrap(), Some(3));
    let (kind, request_id) = (decoder.u64().unwrap(), decoder.u64().unwrap());
    Message { name, kind, request_id, body: body(&bytes[decoder.position()..]), bytes: hex(bytes) }
}

/// What owners and admins ask for.
fn decisions() -> Vec<(&'static str, u64, Request)> {
    let room: RoomName = "#dev".parse().unwrap();
    let (bob, reason) = (name("bob"), Some("too loud".to_owned()));
    vec![
        ("a room is made", 11, Request::Create(Create { room, roster: None })),
        ("a room is left", 12, Request::Leave(Leave { room })),
        ("which rooms there are", 13, Request::Rooms(Rooms { people: false })),
        ("who is in which room", 14, Request::Rooms(Rooms { people: true })),
        ("a topic", 15, Request::SetTopic(SetTopic { room, topic: "on call: bob".to_owned() })),
        ("no topic", 15, Request::SetTopic(SetTopic { room, topic: String::new() })),
        ("somebody is brought in", 16, Request::Invite(Invite { room, user: bob, roster: None })),
        (
            "somebody is put out",
            17,
            Request::Kick(Box::new(Kick { room, user: bob, reason: reason.clone(), roster: None })),
        ),
        (
            "somebody is put out, without a word",
            17,
            Request::Kick(Box::new(Kick { room, user: bob, reason: None, roster: None })),
        ),
        (
            "a ban from a room",
            18,
            Request::Ban(Box::new(Ban { room: Some(room), user: bob, seconds: Some(3600), reason })),
        ),
        (
            "a ban from the server",
            18,
            Request::Ban(Box::new(Ban { room: None, user: bob, seconds: None, reason: None })),
        ),
        ("the end of a ban", 19, Request::Unban(Unban { room: Some(room), user: bob })),
        ("the end of a ban from the server", 19, Request::Unban(Unban { room: None, user: bob })),
        ("silence", 20, Request::Mute(Mute { room, user: bob, seconds: Some(60) })),
        ("silence for ever", 20, Request::Mute(Mute { room, user: bob, seconds: None })),
        ("the end of silence", 21, Request::Unmute(Unmute { room, user: bob })),
        ("another owner", 22, Request::HandOver(HandOver { room, user: bob, roster: None })),
        (
            "not to be disturbed for a time",
            23,
            Request::SetStatus(SetStatus {
                availability: Availability::DoNotDisturb,
                text: Some("on call".to_owned()),
                seconds: Some(7200),
            }),
        ),
        (
            "to be talked to",
            23,
            Request::SetStatus(SetStatus { availability: Availability::Online, text: None, seconds: None }),
        ),
        ("nobody is there", 24, Request::SetIdle(SetIdle { idle: true })),
        ("an invitation", 35, Request::InviteUser(InviteUser { user: bob, seconds: None })),
        ("an invitation for a time", 35, Request::InviteUser(InviteUser { user: bob, seconds: Some(60) })),
        ("somebody is there again", 24, Request::SetIdle(SetIdle { idle: false })),
    ]
}

/// What is told of decisions, and of rooms.
fn of_rooms() -> Vec<(&'static str, ServerMessage)> {
    let room: RoomName = "#dev".parse().unwrap();
    let (by, user, reason) = (name("alice"), name("bob"), Some("too loud".to_owned()));
    let acted = |act| ServerMessage::Acted(Acted { room, by, act: Some(act) });
    let membership = |member, reason| ServerMessage::Membership(Membership { room, member, by, reason });
    let info = RoomInfo {
        topic: "work".to_owned(),
        owner: Some(by),
        members: 300,
        present: 2,
        joined: true,
        last: Seq(7),
        people: vec![by, user],
        ..RoomInfo::new(room)
    };
    let common = RoomInfo { members: 400, joined: true, last: Seq(90), ..RoomInfo::new(lobby()) };
    let rooms = RoomList { rooms: vec![common, info] };
    vec![
        ("rooms", ServerMessage::Reply(14, Reply::Rooms(rooms))),
        ("a topic is set", acted(Act::Topic { topic: "work".to_owned() })),
        ("somebody is brought in", acted(Act::Invited { user })),
        ("somebody is put out", acted(Act::Kicked { user, reason: reason.clone() })),
        ("somebody is banned for a time", acted(Act::Banned { user, until: Some(TIME), reason: reason.clone() })),
        ("somebody is banned", acted(Act::Banned { user, until: None, reason: None })),
        ("somebody may come back", acted(Act::Unbanned { user })),
        ("somebody may not speak for a time", acted(Act::Muted { user, until: Some(TIME) })),
        ("somebody may not speak", acted(Act::Muted { user, until: None })),
        ("somebody may speak again", acted(Act::Unmuted { user })),
        ("somebody else owns the room", acted(Act::HandedOver { user })),
        ("a decision of a kind that does not exist", ServerMessage::Acted(Acted { room, by, act: None })),
        ("you are in a room", membership(true, None)),
        ("you are in a room no longer", membership(false, reason)),
    ]
}

fn question() -> Body {
    Body::Question { text: "deploy?".to_owned(), choices: "yes,no".parse().unwrap() }
}

fn answer() -> Body {
    Body::Answer { question: id(), asked: Box::new(question().hash()), choice: "yes".parse().unwrap() }
}

fn requests() -> Vec<Message> {
    let position = Position { incarnation: Incarnation(3), seq: Seq(41) };
    let post =
        |body, retry| Request::Post(Post { room: lobby(), message: id(), body, retry, after: None, urgent: false });
    let cases = [
        ("a first visit", 1, Request::Join(Join { room: lobby(), after: None, backlog: false })),
        ("coming back", 2, Request::Join(Join { room: lobby(), after: Some(position), backlog: false })),
        ("a new session", 3, Request::Join(Join { room: lobby(), after: Some(position), backlog: true })),
        ("something said", 1, post(text("hi"), false)),
        ("something said again, in all of Unicode", 65_536, post(text("Grüße, 世界 👋"), true)),
        ("something done", 24, post(Body::Action { text: "waves".to_owned() }, false)),
        ("a program's output", 25, post(Body::Code { text: "  a\n\tb".to_owned() }, false)),
        ("a question", 26, post(question(), false)),
        ("the answer to a question", 27, post(answer(), false)),
        ("the latest messages", 5, Request::History(History { room: lobby(), before: None, limit: 20 })),
        ("those before them", 6, Request::History(History { room: lobby(), before: Some(Seq(1000)), limit: u32::MAX })),
        ("who is here", 7, Request::People(People { room: lobby() })),
        ("who is bob", 8, Request::Whois(Whois { user: name("bob") })),
        ("the longest name", 9, Request::Whois(Whois { user: name(&"a".repeat(32)) })),
        ("the end", u64::MAX, Request::Shutdown(Shutdown {})),
        ("a type that does not exist", 10, Request::Unknown(31)),
    ];
    let messages = cases.into_iter().chain(decisions()).chain(sealed::requests()).map(|(name, id, request)| {
        let bytes = request.encode(id);
        assert_eq!(Request::decode(bare(&bytes)), Ok((id, request)), "{name}");
        seed("request", name, bare(&bytes));
        message(name, &bytes)
    });
    messages.collect()
}

fn replies() -> Vec<(&'static str, ServerMessage)> {
    let stored =
        |seq, body| Stored { room: lobby(), seq: Seq(seq), time: TIME, sender: name("bob"), message: id(), body };
    let joined = |caught_up, last, gone, withdrawn_after| {
        let info = RoomInfo { members: 2, present: 1, joined: true, last: Seq(last), ..RoomInfo::new(lobby()) };
        Reply::Joined(Joined { info, caught_up, last: Seq(last), gone, withdrawn_after })
    };
    let refused = |code, hint: Option<&str>, retry_after_ms| {
        Reply::Error(Refused { code, text: "why".to_owned(), hint: hint.map(str::to_owned), retry_after_ms })
    };
    let away = Status { availability: Availability::Away, text: Some("lunch".to_owned()), until: Some(TIME) };
    let person = |user, sessions, status| Person { user: name(user), since: TIME, sessions, status };
    let user = |since, sessions, status| {
        let (user, fingerprint) = (name("alice"), Fingerprint(std::array::from_fn(|n| u8::try_from(n).unwrap())));
        Reply::User(UserInfo { user, fingerprint, admin: true, since, sessions, status })
    };
    let people = PeopleList {
        room: lobby(),
        people: vec![person("alice", 1, Status::ONLINE), person("bob", 300, away.clone())],
        total: 2,
    };
    let nobody = PeopleList { room: lobby(), people: Vec::new(), total: 0 };
    [
        ("done", 6, Reply::Done),
        ("caught up", 1, joined(true, 7, 0, None)),
        ("not caught up, with a gap", 2, joined(false, 500, 12, None)),
        ("messages are withdrawn", 3, joined(true, 105, 0, Some(Seq(100)))),
        ("all messages are withdrawn", 3, joined(true, 0, 0, Some(Seq(0)))),
        ("accepted", 1, Reply::Accepted(Accepted { seq: Seq(5), time: TIME })),
        ("no more history", 5, Reply::HistoryEnd(HistoryEnd { room: lobby(), more: false })),
        ("more history", 5, Reply::HistoryEnd(HistoryEnd { room: lobby(), more: true })),
        ("people", 7, Reply::People(people)),
        ("nobody", 7, Reply::People(nobody)),
        ("a connected user", 8, user(Some(TIME), 2, Status::ONLINE)),
        ("a user who is not connected", 8, user(None, 0, away)),
        (
            "an invitation",
            35,
            Reply::Invited(Invited {
                user: name("bob"),
                token: InviteToken::from_bytes(*b"a token, 16 byte"),
                until: TIME,
            }),
        ),
        ("an error", 9, refused(ErrorCode::NotFound, None, None)),
        ("an error with advice", 9, refused(ErrorCode::RateLimited, Some("what to do"), Some(1500))),
        ("a name that is taken", 9, refused(ErrorCode::Conflict, None, None)),
        ("an error of a later version", 9, refused(ErrorCode::Other(99), None, None)),
    ]
    .into_iter()
    .map(|(name, id, reply)| (name, ServerMessage::Reply(id, reply)))
    .chain([
        ("a part of an answer", ServerMessage::Part(2, stored(42, Some(text("hi"))))),
        ("a ticket", ServerMessage::Ticket(Ticket { ticket: vec![0xa5; 40].into(), lifetime_s: 86_400 })),
        (
            "welcome",
            ServerMessage::Welcome(Welcome {
                server: "rsachat/0.1.0".to_owned(),
                user: name("alice"),
                admin: false,
                incarnation: Incarnation(3),
                time: TIME,
                message_bytes: 8192,
                history_limit: 100,
                rooms: vec![lobby()],
                waiting: vec![Waiting { room: sealed::direct(), last: Seq(3) }],
            }),
        ),
        ("something said", ServerMessage::Message(stored(43, Some(text("hello"))))),
        ("something done", ServerMessage::Message(stored(44, Some(Body::Action { text: "waves".to_owned() })))),
        ("a question from bob", ServerMessage::Message(stored(46, Some(question())))),
        ("something of a kind that the server does not know", ServerMessage::Message(stored(45, None))),
        (
            "people come and go",
            ServerMessage::Presence(Presence {
                room: lobby(),
                came: vec![name("carol")],
                left: vec![name("dave"), name("eve")],
                changed: Vec::new(),
            }),
        ),
        (
            "people say whether they want to be talked to",
            ServerMessage::Presence(Presence {
                room: lobby(),
                came: Vec::new(),
                left: Vec::new(),
                changed: vec![
                    Changed { user: name("alice"), status: Status::ONLINE },
                    Changed {
                        user: name("bob"),
                        status: Status {
                            availability: Availability::DoNotDisturb,
                            text: Some("on call".to_owned()),
                            until: Some(TIME),
                        },
                    },
                    Changed {
                        user: name("carol"),
                        status: Status { availability: Availability::Other(9), text: None, until: None },
                    },
                ],
            }),
        ),
        ("an event that does not exist", ServerMessage::Unknown(1000)),
    ])
    .chain(of_rooms())
    .chain(sealed::from_the_server())
    .collect()
}

fn from_the_server() -> Vec<Message> {
    let messages = replies().into_iter().map(|(name, sent)| {
        let bytes = sent.encode();
        assert_eq!(ServerMessage::decode(bare(&bytes)), Ok(sent), "{name}");
        seed("server-message", name, bare(&bytes));
        message(name, &bytes)
    });
    messages.collect()
}

fn accepted() -> Vec<Lenient> {
    let head = b"\x83\x04\x07";
    let people = [&head[..], b"\xa1\x00\x66common"].concat();
    let first_visit = b"\x83\x01\x01\xa1\x00\x66common";
    let cases = [
        ("an unknown key", [&head[..], b"\xa2\x00\x66common\x09\x82\x01\xa1\x61x\xf6"].concat(), &people[..]),
        (
            "an unknown key with a tag and a float",
            [&head[..], b"\xa2\x00\x66common\x18\x64\xc1\xf9\x3c\x00"].concat(),
            &people,
        ),
        ("keys in another order", b"\x83\x01\x01\xa2\x01\xf6\x00\x66common".to_vec(), first_visit),
        ("null for what is absent", b"\x83\x01\x01\xa2\x00\x66common\x01\xf6".to_vec(), first_visit),
        (
            "a number in a longer form",
            b"\x83\x18\x04\x1b\x00\x00\x00\x00\x00\x00\x00\x07\xa1\x00\x66common".to_vec(),
            &people,
        ),
        (
            "an unknown type with anything in it",
            b"\x83\x18\x1f\x01\xa1\x00\x83\x01\x02\x03".to_vec(),
            b"\x83\x18\x1f\x01\xa0",
        ),
    ];
    let lenient = cases.into_iter().map(|(name, message, means)| {
        assert_eq!(Request::decode(&message), Request::decode(means), "{name}");
        assert!(Request::decode(means).is_ok(), "{name}");
        seed("request", name, &message);
        Lenient { name, message: hex(&message), means: hex(means) }
    });
    lenient.collect()
}

fn malformed() -> [Vec<Bad>; 2] {
    let post = |rest: &[u8]| [&b"\x83\x02\x01\xa3\x00\x66common"[..], rest].concat();
    let both: Vec<(&'static str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("not an array", b"\xa0".to_vec()),
        ("an array of two", b"\x82\x06\x01".to_vec()),
        ("an array of four", b"\x84\x06\x01\xa0\xa0".to_vec()),
        ("an array of indefinite length", b"\x9f\x06\x01\xa0\xff".to_vec()),
        ("a body of indefinite length", b"\x83\x06\x01\xbf\xff".to_vec()),
        ("a body that is no map", b"\x83\x06\x01\x80".to_vec()),
        ("a byte after it", b"\x83\x06\x01\xa0\x00".to_vec()),
        ("a type below 0", b"\x83\x25\x01\xa0".to_vec()),
        ("a type over 64 bits", b"\x83\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\xa0".to_vec()),
        ("cut", b"\x83\x06\x01\xa1\x00".to_vec()),
    ];
    let said = |body: &[u8]| post(&[&b"\x01\x50"[..], &[7; 16], b"\x02", body].concat());
    let client = vec![
        ("a missing key", b"\x83\x04\x01\xa0".to_vec()),
        ("text as bytes", b"\x83\x04\x01\xa1\x00\x46common".to_vec()),
        ("text that is not UTF-8", b"\x83\x04\x01\xa1\x00\x62\xc3\x28".to_vec()),
        ("an empty name", b"\x83\x04\x01\xa1\x00\x60".to_vec()),
        ("a name of 33 characters", [&b"\x83\x05\x01\xa1\x00\x78\x21"[..], &[b'a'; 33]].concat()),
        ("a name with upper case", b"\x83\x05\x01\xa1\x00\x63Bob".to_vec()),
        ("a name that begins with a dot", b"\x83\x05\x01\xa1\x00\x64.bob".to_vec()),
        ("a room with its #", b"\x83\x04\x01\xa1\x00\x67#common".to_vec()),
        ("a message id of 15 bytes", post(&[&b"\x01\x4f"[..], &[7; 15], b"\x02\x82\x00\xa1\x00\x62hi"].concat())),
        ("a message id of 17 bytes", post(&[&b"\x01\x51"[..], &[7; 17], b"\x02\x82\x00\xa1\x00\x62hi"].concat())),
        ("a kind that does not exist", said(b"\x82\x18\x1f\xa1\x00\x62hi")),
        ("a question with one choice", said(b"\x82\x04\xa2\x00\x62hi\x01\x81\x63yes")),
        (
            "a question with ten choices",
            said(b"\x82\x04\xa2\x00\x62hi\x01\x8a\x610\x611\x612\x613\x614\x615\x616\x617\x618\x619"),
        ),
        ("a question with a choice twice", said(b"\x82\x04\xa2\x00\x62hi\x01\x82\x63yes\x63yes")),
        ("a choice of nothing", said(b"\x82\x04\xa2\x00\x62hi\x01\x82\x63yes\x60")),
        ("a choice with a line's end", said(b"\x82\x04\xa2\x00\x62hi\x01\x82\x63yes\x63n\no")),
        ("a choice with a space before it", said(b"\x82\x04\xa2\x00\x62hi\x01\x82\x63yes\x63 no")),
        ("a choice of 65 bytes", said(&[&b"\x82\x04\xa2\x00\x62hi\x01\x82\x63yes\x78\x41"[..], &[b'n'; 65]].concat())),
        (
            "an answer to a hash of 31 bytes",
            said(&[&b"\x82\x05\xa3\x00\x50"[..], &[7; 16], b"\x01\x58\x1f", &[7; 31], b"\x02\x63yes"].concat()),
        ),
        ("a kind without its text", post(&[&b"\x01\x50"[..], &[7; 16], b"\x02\x82\x00\xa0"].concat())),
        ("a limit over 32 bits", b"\x83\x03\x01\xa2\x00\x66common\x02\x1b\x00\x00\x00\x01\x00\x00\x00\x00".to_vec()),
    ];
    let server = vec![
        ("a missing key", b"\x83\x18\x22\x01\xa1\x00\x05".to_vec()),
        ("an event with the id of a request", b"\x83\x18\x43\x01\xa3\x00\x66common\x01\x80\x02\x80".to_vec()),
        (
            "a fingerprint of 31 bytes",
            [&b"\x83\x18\x25\x01\xa4\x00\x63bob\x01\x58\x1f"[..], &[7; 31], b"\x02\xf4\x04\x00"].concat(),
        ),
        ("a number for a truth value", b"\x83\x18\x23\x01\xa2\x00\x66common\x01\x01".to_vec()),
    ];
    let bad = |target: &str, cases: &[(&'static str, Vec<u8>)], is_error: fn(&[u8]) -> bool| -> Vec<Bad> {
        let bad = both.iter().chain(cases).map(|(name, message)| {
            assert!(is_error(message), "{name}");
            seed(target, name, message);
            Bad { name, message: hex(message) }
        });
        bad.collect()
    };
    [
        bad("request", &client, |bytes| Request::decode(bytes).is_err()),
        bad("server-message", &server, |bytes| ServerMessage::decode(bytes).is_err()),
    ]
}

#[test]
fn messages() {
    let [malformed_from_the_client, malformed_from_the_server] = malformed();
    compare(
        "messages.json",
        &Vectors {
            from_the_client: requests(),
            from_the_server: from_the_server(),
            accepted_though_not_as_sent: accepted(),
            malformed_from_the_client,
            malformed_from_the_server,
        },
    );
}

#[derive(Serialize)]
struct Closes {
    reasons: Vec<Close>,
    malformed: Vec<Bad>,
}

#[derive(Serialize)]
struct Close {
    code: u64,
    text: String,
    plaintext: String,
}

#[test]
fn close() {
    use CloseCode::{Bye, IdleTimeout, KeyRemoved, Kicked, Other, ProtocolError, Shutdown, TooSlow};
    let codes =
        [Bye, Shutdown, KeyRemoved, Kicked, TooSlow, ProtocolError, IdleTimeout, Other(7), Other(8), Other(1 << 40)];
    let mut reasons: Vec<(CloseCode, String)> = codes.into_iter().map(|code| (code, "why".to_owned())).collect();
    reasons.extend([(Bye, String::new()), (Kicked, "ä".repeat(256))]);
    let reasons = reasons.into_iter().enumerate().map(|(n, (code, text))| {
        let reason = CloseReason::new(code, text.clone());
        let plaintext = reason.encode();
        assert_eq!(CloseReason::decode(&plaintext), Ok(reason));
        seed("close", &format!("reason {n}"), &plaintext);
        let code = body(&plaintext)["0"].as_u64().unwrap();
        Close { code, text, plaintext: hex(&plaintext) }
    });
    let malformed = [
        ("nothing", vec![]),
        ("no text", b"\xa1\x00\x00".to_vec()),
        ("a text of 513 bytes", [&b"\xa2\x00\x00\x01\x79\x02\x01"[..], &[b'a'; 513]].concat()),
        ("a byte after it", b"\xa2\x00\x00\x01\x60\x00".to_vec()),
        ("a code below 0", b"\xa2\x00\x20\x01\x60".to_vec()),
        ("a length before it, as messages have", b"\x00\x00\x05\xa2\x00\x00\x01\x60".to_vec()),
    ];
    let malformed = malformed.into_iter().map(|(name, plaintext)| {
        assert!(CloseReason::decode(&plaintext).is_err(), "{name}");
        seed("close", name, &plaintext);
        Bad { name, message: hex(&plaintext) }
    });
    compare("close.json", &Closes { reasons: reasons.collect(), malformed: malformed.collect() });
}
