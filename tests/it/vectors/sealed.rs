//! sealed.json: a sender key, what it seals, and what does not open; and the messages that carry them, for messages.json.

use minicbor::Decoder;
use minicbor::bytes::ByteVec;
use rsachat::crypto::aead::Key;
use rsachat::crypto::rsa::{Label, PublicKey};
use rsachat::e2e::{Context, Member, Membership, OpenedKey, Package, SenderKey};
use rsachat::model::{Epoch, Fingerprint, MessageId, RoomName, SenderKeyId, Seq, UserName};
use rsachat::proto::message::{
    self, Act, Acted, AddSenderKey, Body, Create, HandOver, Invite, KeptSenderKey, KeyChanged, KeyList, Keys, Kick,
    Post, Receipt, Recipient, Reply, Request, RoomInfo, RoomList, RosterEntry, RosterPage, Seen, SenderKeyList,
    SenderKeys, ServerMessage, UserKey, Waiting,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Fixed, compare, hex, key, seed};

const KEY: SenderKeyId = SenderKeyId([0x5e; 32]);
const EPOCH: Epoch = Epoch([0xe0; 32]);

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

fn id(number: u8) -> MessageId {
    MessageId([number; 16])
}

pub(super) fn direct() -> RoomName {
    RoomName::direct(name("alice"), name("bob")).unwrap()
}

fn ops() -> RoomName {
    "#ops".parse().unwrap()
}

pub(super) fn requests() -> Vec<(&'static str, u64, Request)> {
    let room = direct();
    let body = Body::Sealed { key: KEY, sealed: vec![0x5a; 10].into() };
    let post = |urgent| Post { room, message: id(1), body: body.clone(), retry: false, after: None, urgent };
    let recipient = |number| Recipient { member: Fingerprint([number; 32]), part: vec![number; 5].into() };
    let add = |recipients| {
        let head = vec![0x84, 0x43].into();
        Request::AddSenderKey(Box::new(AddSenderKey { room, id: KEY, epoch: EPOCH, head, recipients }))
    };
    vec![
        ("something sealed", 25, Request::Post(post(false))),
        ("something sealed and urgent", 25, Request::Post(post(true))),
        ("users' keys", 26, Request::Keys(Keys { users: vec![name("alice"), name("bob")] })),
        ("a sender key", 27, add(vec![recipient(1), recipient(2)])),
        ("a sender key without recipients", 27, add(Vec::new())),
        ("sender keys", 28, Request::SenderKeys(SenderKeys { room, ids: vec![KEY] })),
        ("what has come", 29, Request::Seen(Seen { room, delivered: Seq(7), read: None })),
        ("what has come and what was read", 29, Request::Seen(Seen { room, delivered: Seq(7), read: Some(Seq(5)) })),
        ("a private room is made", 30, Request::Create(Create { room: ops(), roster: Some(entry(1)) })),
        (
            "somebody is let into it",
            31,
            Request::Invite(Invite { room: ops(), user: name("bob"), roster: Some(entry(2)) }),
        ),
        (
            "somebody is put out of it",
            32,
            Request::Kick(Box::new(Kick { room: ops(), user: name("bob"), reason: None, roster: Some(entry(3)) })),
        ),
        ("it is handed on", 33, Request::HandOver(HandOver { room: ops(), user: name("bob"), roster: Some(entry(3)) })),
        ("its roster", 34, Request::Roster(message::Roster { room: ops(), after: 2 })),
    ]
}

fn entry(number: u64) -> RosterEntry {
    RosterEntry { number, statement: vec![0x84, 0x59].into() }
}

pub(super) fn from_the_server() -> Vec<(&'static str, ServerMessage)> {
    let room = direct();
    let kept =
        |part| KeptSenderKey { id: KEY, epoch: EPOCH, sender: name("alice"), head: vec![0x84, 0x43].into(), part };
    let keys = KeyList { keys: vec![UserKey { user: name("bob"), key: vec![0x30, 0x82].into() }] };
    let sender_keys = SenderKeyList { keys: vec![kept(Some(vec![1; 5].into())), kept(None)] };
    vec![
        ("keys", ServerMessage::Reply(26, Reply::Keys(keys))),
        ("sender keys", ServerMessage::Reply(28, Reply::SenderKeys(sender_keys))),
        ("no sender keys", ServerMessage::Reply(28, Reply::SenderKeys(SenderKeyList { keys: Vec::new() }))),
        ("something waits", ServerMessage::Waiting(Waiting { room, last: Seq(8) })),
        (
            "how far it has come",
            ServerMessage::Receipt(Receipt { room, user: name("bob"), delivered: Seq(7), read: Seq(5) }),
        ),
        ("another key", ServerMessage::KeyChanged(KeyChanged { user: name("bob") })),
        (
            "a roster",
            ServerMessage::Reply(
                34,
                Reply::Roster(RosterPage {
                    statements: vec![vec![0x84, 0x59].into()],
                    length: 3,
                    members: vec![name("alice")],
                }),
            ),
        ),
        (
            "a private room",
            ServerMessage::Reply(
                35,
                Reply::Rooms(RoomList { rooms: vec![RoomInfo { sealed: true, roster: 3, ..RoomInfo::new(ops()) }] }),
            ),
        ),
        ("somebody has left it", ServerMessage::Acted(Acted { room: ops(), by: name("bob"), act: Some(Act::Left {}) })),
    ]
}

#[derive(Serialize)]
struct Vectors {
    room: &'static str,
    sender: &'static str,
    first: Party,
    second: Party,
    epoch: String,
    sender_key: Parts,
    /// The COSE_Sign1 in it.
    statement: String,
    messages: Vec<Opening>,
    sender_keys_that_do_not_open: Vec<BadKey>,
    messages_that_do_not_open: Vec<BadMessage>,
}

#[derive(Serialize)]
struct Party {
    user: &'static str,
    private_key: String,
    fingerprint: String,
}

#[derive(Serialize, Clone)]
struct Parts {
    id: String,
    head: String,
    recipients: Vec<Part>,
}

#[derive(Serialize, Clone)]
struct Part {
    member: String,
    part: String,
}

#[derive(Serialize)]
struct Opening {
    name: &'static str,
    message_id: String,
    index: u64,
    body: String,
    sealed: String,
}

#[derive(Serialize)]
struct BadKey {
    name: &'static str,
    room: String,
    epoch: String,
    sender: String,
    id: String,
    head: String,
    part_for_bob: String,
}

#[derive(Serialize)]
struct BadMessage {
    name: &'static str,
    message_id: String,
    sealed: String,
}

fn party(user: &'static str) -> Party {
    let private_key = format!("tests/data/keys/test_{user}.private.pem");
    Party { user, private_key, fingerprint: hex(&key(user).public().fingerprint().0) }
}

fn parts(package: &Package) -> Parts {
    let part = |(member, part): &(Fingerprint, Vec<u8>)| Part { member: hex(&member.0), part: hex(part) };
    let recipients = package.recipients.iter().map(part).collect();
    Parts { id: hex(&package.id.0), head: hex(&package.head), recipients }
}

fn made(random: &'static str) -> (SenderKey, Package) {
    let (alice, bob) = (key("alice"), key("bob"));
    let member = |user: &str, key: &PublicKey| Member { user: name(user), key: key.fingerprint() };
    let membership =
        Membership::direct(direct(), member("alice", alice.public()), member("bob", bob.public())).unwrap();
    let recipients = [alice.public().clone(), bob.public().clone()];
    SenderKey::make(direct(), name("alice"), &membership, &recipients, &alice, &mut Fixed::new(random)).unwrap()
}

fn messages(sender_key: &mut SenderKey) -> Vec<Opening> {
    let question = Body::Question { text: "deploy?".to_owned(), choices: "yes,no".parse().unwrap() };
    let bodies = [
        ("something said", Body::Text { text: "hi".to_owned() }),
        ("something done", Body::Action { text: "waves".to_owned() }),
        ("a program's output", Body::Code { text: "  a\n\tb".to_owned() }),
        ("a question", question.clone()),
        (
            "its answer",
            Body::Answer { question: id(3), asked: Box::new(question.hash()), choice: "yes".parse().unwrap() },
        ),
        ("as long as the least padding", Body::Text { text: "x".repeat(121) }),
        ("a byte longer", Body::Text { text: "x".repeat(122) }),
        ("something long", Body::Text { text: "long ".repeat(200) }),
    ];
    let messages = (0..).zip(bodies).map(|(number, (name, body))| {
        let sealed = sender_key.seal(id(number), &body.to_cbor()).unwrap();
        let opened = sender_key.opened().open_message(id(number), &sealed);
        assert_eq!(opened, Ok((u64::from(number), body.to_cbor())), "{name}");
        seed("sealed-message", name, &[&id(number).0[..], &sealed].concat());
        let (message_id, index) = (hex(&id(number).0), u64::from(number));
        Opening { name, message_id, index, body: hex(&body.to_cbor()), sealed: hex(&sealed) }
    });
    messages.collect()
}

fn bad_keys(sender_key: &SenderKey, package: &Package) -> Vec<BadKey> {
    let bob = key("bob");
    let of = |user: &str| {
        let fingerprint = key(user).public().fingerprint();
        package.recipients.iter().find(|(member, _)| *member == fingerprint).unwrap().1.clone()
    };
    let (context, part) = (sender_key.context(), of("bob"));
    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    let carol = RoomName::direct(name("alice"), name("carol")).unwrap();
    let cases = [
        ("in another room", carol, context.epoch, context.sender, package.id, package.head.clone(), part.clone()),
        ("in another epoch", context.room, EPOCH, context.sender, package.id, package.head.clone(), part.clone()),
        ("of another sender", context.room, context.epoch, name("bob"), package.id, package.head.clone(), part.clone()),
        ("under another name", context.room, context.epoch, context.sender, KEY, package.head.clone(), part.clone()),
        (
            "with another one's part",
            context.room,
            context.epoch,
            context.sender,
            package.id,
            package.head.clone(),
            of("alice"),
        ),
        (
            "with a bit of its end changed",
            context.room,
            context.epoch,
            context.sender,
            package.id,
            flipped(&package.head, package.head.len() - 1),
            part.clone(),
        ),
        (
            "with a bit of the content key changed",
            context.room,
            context.epoch,
            context.sender,
            package.id,
            package.head.clone(),
            flipped(&part, part.len() - 1),
        ),
        ("cut", context.room, context.epoch, context.sender, package.id, package.head[..100].to_vec(), part.clone()),
    ];
    let bad = cases.into_iter().map(|(name, room, epoch, sender, id, head, part)| {
        let context = Context { room, epoch, sender };
        assert!(OpenedKey::open(id, context, (&head, &part), &bob, &mut rand::rng()).unwrap().is_err(), "{name}");
        BadKey {
            name,
            room: room.as_str().to_owned(),
            epoch: hex(&epoch.0),
            sender: sender.to_string(),
            id: hex(&id.0),
            head: hex(&head),
            part_for_bob: hex(&part),
        }
    });
    bad.collect()
}

fn bad_messages(sender_key: &mut SenderKey) -> Vec<BadMessage> {
    let payload = Body::Text { text: "hi".to_owned() }.to_cbor();
    let sealed = sender_key.seal(id(8), &payload).unwrap();
    // Its number is its name here, as that of all others: by that the fuzz target knows them, should it mend one of these.
    assert_eq!(sender_key.opened().open_message(id(8), &sealed), Ok((8, payload.clone())));
    let elsewhere = made("another sender key").0.seal(id(8), &payload).unwrap();
    // [protected, {6: partial IV of 8 bytes}, ciphertext]
    let partial_iv = sealed.windows(3).position(|window| window == [0xa1, 0x06, 0x48]).unwrap() + 3;
    let changed = |at: usize| {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        changed
    };
    let cases = [
        ("under another id", id(9), sealed.clone()),
        ("with another number", id(8), changed(partial_iv + 7)),
        ("with a bit of its end changed", id(8), changed(sealed.len() - 1)),
        ("cut", id(8), sealed[..sealed.len() - 1].to_vec()),
        ("with a byte behind it", id(8), [&sealed[..], &[0]].concat()),
        ("of another sender key", id(8), elsewhere),
        ("nothing", id(8), Vec::new()),
    ];
    let bad = cases.into_iter().map(|(name, message, sealed)| {
        assert!(sender_key.opened().open_message(message, &sealed).is_err(), "{name}");
        seed("sealed-message", name, &[&message.0[..], &sealed].concat());
        BadMessage { name, message_id: hex(&message.0), sealed: hex(&sealed) }
    });
    bad.collect()
}

/// The statement in a sender key, by a second reading of the page.
fn statement(sender_key: &SenderKey, package: &Package) -> Vec<u8> {
    let (bob, Context { room, epoch, sender }) = (key("bob"), sender_key.context());
    let own = bob.public().fingerprint();
    let part = &package.recipients.iter().find(|(member, _)| *member == own).unwrap().1;
    let mut recipient = Decoder::new(part);
    assert_eq!(
        (recipient.array().unwrap(), recipient.bytes().unwrap(), recipient.map().unwrap()),
        (Some(3), &[][..], Some(2))
    );
    assert_eq!((recipient.u8().unwrap(), recipient.i8().unwrap(), recipient.u8().unwrap()), (1, -41, 4));
    assert_eq!(recipient.bytes().unwrap(), own.0);
    let content_key = bob.decrypt(Label::SenderKey, recipient.bytes().unwrap(), &mut rand::rng());
    let mut head = Decoder::new(&package.head);
    assert_eq!(head.array().unwrap(), Some(4));
    let protected = head.bytes().unwrap();
    assert_eq!((protected, head.map().unwrap(), head.u8().unwrap()), (&[0xa1, 1, 3][..], Some(1), 5));
    let iv: [u8; 12] = head.bytes().unwrap().try_into().unwrap();
    let sealed = head.bytes().unwrap();
    assert_eq!(head.position(), package.head.len());
    let bytes = |bytes: &[u8]| ByteVec::from(bytes.to_vec());
    let context = ("rsachat sender key", room.as_str(), bytes(&epoch.0), sender.as_str(), bytes(&package.id.0));
    let context = minicbor::to_vec(context).unwrap();
    let aad = minicbor::to_vec(("Encrypt", bytes(protected), bytes(&context))).unwrap();
    let (text, tag) = sealed.split_last_chunk().unwrap();
    let mut text = text.to_vec();
    Key::new(&content_key).open(&iv, &aad, &mut text, tag).unwrap();
    assert_eq!(SenderKeyId(Sha256::digest(&text).into()), package.id);
    text
}

#[test]
fn sealed() {
    let (mut sender_key, package) = made("a sender key");
    let statement = statement(&sender_key, &package);
    seed("statement", "signed", &statement);
    for user in ["alice", "bob"] {
        let identity = key(user);
        let own = identity.public().fingerprint();
        let part = &package.recipients.iter().find(|(member, _)| *member == own).unwrap().1;
        let opened =
            OpenedKey::open(package.id, sender_key.context(), (&package.head, part), &identity, &mut rand::rng());
        assert_eq!(opened.unwrap().unwrap().signer(), key("alice").public(), "{user}");
        let (epoch, length) = (sender_key.context().epoch.0, u16::try_from(package.head.len()).unwrap());
        let parts = [&package.id.0[..], &epoch, &length.to_be_bytes(), &package.head, part];
        seed("sender-key", user, &parts.concat());
    }
    let vectors = Vectors {
        room: "@alice@bob",
        sender: "alice",
        first: party("alice"),
        second: party("bob"),
        epoch: hex(&sender_key.context().epoch.0),
        sender_key: parts(&package),
        statement: hex(&statement),
        sender_keys_that_do_not_open: bad_keys(&sender_key, &package),
        messages: messages(&mut sender_key),
        messages_that_do_not_open: bad_messages(&mut sender_key),
    };
    compare("sealed.json", &vectors);
}
