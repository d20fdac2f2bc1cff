//! A direct room of alice, whose session this is, with bob; and a server that does what it should, or what it likes.

use super::*;
use crate::crypto::rsa::PublicKey;
use crate::e2e::{Context as Place, Member, Membership, OpenedKey, Package, SenderKey};
use crate::model::{Fingerprint, SenderKeyId};
use crate::proto::message::{
    ErrorCode, Join, KeyChanged, KeyList, Keys, Receipt, Seen as HasSeen, SenderKeys, UserKey, Waiting,
};

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

fn room() -> RoomName {
    RoomName::direct(name("alice"), name("bob")).unwrap()
}

fn joined_room(id: RequestId, last: u64) -> ServerMessage {
    let joined =
        Joined { info: RoomInfo::new(room()), caught_up: true, last: Seq(last), gone: 0, withdrawn_after: None };
    ServerMessage::Reply(id, Reply::Joined(joined))
}

/// Alice's session, in the lobby and in her room with bob.
fn in_room_with(settings: Settings) -> World {
    let mut world = World::with(settings);
    world.run();
    world.let_in(0);
    world.command(Command::Join { room: room() });
    let (id, request) = world.request();
    assert_eq!(request, Request::Join(Join { room: room(), after: None, backlog: false }));
    world.tell(&[joined_room(id, 0)]);
    world.events();
    world
}

fn in_room() -> World {
    in_room_with(settings())
}

fn pinned(key: &PublicKey) -> Known {
    let mut known = Known::default();
    known.trust(name("bob"), key.fingerprint(), false);
    known
}

/// Somebody who speaks as bob, with a key that is his or not.
struct Speaker {
    key: SenderKey,
    package: Package,
}

fn speaker(identity: &PrivateKey) -> Speaker {
    speaker_in(room(), identity)
}

fn speaker_in(room: RoomName, identity: &PrivateKey) -> Speaker {
    let partner = room.partner(name("bob")).unwrap();
    let alice = test_keys::alice().public();
    let member = |user, key: &PublicKey| Member { user, key: key.fingerprint() };
    let membership = Membership::direct(room, member(partner, alice), member(name("bob"), identity.public())).unwrap();
    let recipients = [alice.clone(), identity.public().clone()];
    let (key, package) =
        SenderKey::make(room, name("bob"), &membership, &recipients, identity, &mut rand::rng()).unwrap();
    Speaker { key, package }
}

impl Speaker {
    fn body(&mut self, number: u8, what: &str) -> Body {
        let sealed = self.key.seal(MessageId([number; 16]), &text(what).to_cbor()).unwrap();
        Body::Sealed { key: self.key.id(), sealed: sealed.into() }
    }

    fn says(&mut self, number: u8, what: &str) -> ServerMessage {
        said(number, number.into(), self.body(number, what))
    }

    fn kept(&self) -> KeptSenderKey {
        let own = test_keys::alice().public().fingerprint();
        let part = self.package.recipients.iter().find(|(member, _)| *member == own);
        KeptSenderKey {
            id: self.key.id(),
            epoch: self.key.context().epoch,
            sender: name("bob"),
            head: self.package.head.clone().into(),
            part: part.map(|(_, part)| part.clone().into()),
        }
    }
}

fn said(id: u8, seq: u64, body: Body) -> ServerMessage {
    let (sender, message) = (name("bob"), MessageId([id; 16]));
    ServerMessage::Message(Stored {
        room: room(),
        seq: Seq(seq),
        time: Timestamp(seq),
        sender,
        message,
        body: Some(body),
    })
}

impl World {
    /// The server tells bob's key.
    fn tell_key(&mut self, key: &PublicKey) {
        let (id, request) = self.take(|request| matches!(request, Request::Keys(_)));
        assert_eq!(request, Request::Keys(Keys { users: vec![name("bob")] }));
        let keys = vec![UserKey { user: name("bob"), key: key.spki_der().to_vec().into() }];
        self.tell(&[ServerMessage::Reply(id, Reply::Keys(KeyList { keys }))]);
    }

    /// The server keeps alice's sender key. What bob makes of it.
    fn keep_key(&mut self) -> OpenedKey {
        let (id, request) = self.take(|request| matches!(request, Request::AddSenderKey(_)));
        let Request::AddSenderKey(add) = request else { panic!() };
        assert_eq!((add.room, add.recipients.len()), (room(), 2));
        self.tell(&[ServerMessage::Reply(id, Reply::Done)]);
        let bob = test_keys::bob();
        let own = bob.public().fingerprint();
        let part = &add.recipients.iter().find(|recipient| recipient.member == own).unwrap().part;
        let place = Place { room: room(), epoch: add.epoch, sender: name("alice") };
        OpenedKey::open(add.id, place, (&add.head, part), bob, &mut rand::rng()).unwrap().unwrap()
    }

    /// The post that was sent.
    fn sent(&mut self) -> (RequestId, crate::proto::message::Post) {
        match self.take(|request| matches!(request, Request::Post(_))) {
            (id, Request::Post(post)) => (id, post),
            other => panic!("{other:?}"),
        }
    }

    /// What was shown: the number, the text, and what is known of it.
    fn opened(&mut self) -> Vec<(u64, String, Seal)> {
        let opened = self.events().into_iter().filter_map(|event| match event {
            Event::Message { message, seal, .. } => {
                Some((message.seq.0, message.body.map(|body| body.text().to_owned()).unwrap_or_default(), seal))
            }
            _ => None,
        });
        opened.collect()
    }

    fn write(&mut self, what: &str) {
        self.command(Command::Post { room: room(), body: text(what), urgent: false });
    }
}

fn read(key: &OpenedKey, post: &crate::proto::message::Post) -> (u64, Body) {
    let Body::Sealed { key: id, sealed } = &post.body else { panic!("it is not sealed: {post:?}") };
    assert_eq!(*id, key.id());
    let (index, payload) = key.open_message(post.message, sealed).unwrap();
    (index, Body::from_cbor(&payload).unwrap())
}

fn trusted(trust: Trust) -> Seal {
    Seal::Sealed(trust)
}

#[test]
fn what_is_said_is_sealed_to_the_partner_and_sent_when_the_server_has_what_opens_it() {
    let mut world = in_room();
    world.write("one");
    world.write("two");
    world.tell_key(test_keys::bob().public());
    assert!(!world.requests.iter().any(|(_, request)| matches!(request, Request::Post(_))), "too early");
    let bob = world.keep_key();
    assert_eq!(bob.signer(), test_keys::alice().public());
    let (first, second) = (world.sent(), world.sent());
    assert_eq!([read(&bob, &first.1), read(&bob, &second.1)], [(0, text("one")), (1, text("two"))]);
    assert_eq!(world.remembered[0].0, name("bob"));
    // It comes back, and is alice's own.
    let (_, post) = first;
    let own = Stored {
        room: room(),
        seq: Seq(1),
        time: Timestamp(0),
        sender: name("alice"),
        message: post.message,
        body: Some(post.body),
    };
    world.tell(&[ServerMessage::Message(own)]);
    assert_eq!(world.opened(), [(1, "one".to_owned(), trusted(Trust::Own))]);
}

#[test]
fn what_is_sent_again_is_the_same_and_what_is_new_goes_under_the_same_key() {
    let mut world = in_room();
    world.write("one");
    world.tell_key(test_keys::bob().public());
    let bob = world.keep_key();
    let (_, first) = world.sent();
    world.rooms.push(room());
    world.come_back();
    for _ in 0..2 {
        let (id, request) = world.take(|request| matches!(request, Request::Join(_)));
        let Request::Join(join) = request else { panic!() };
        world.tell(&[if join.room == room() { joined_room(id, 0) } else { joined(id, 0) }]);
    }
    let (id, again) = world.sent();
    assert_eq!((again.body, again.message, again.retry), (first.body, first.message, true));
    world.accept(id, 1);
    // The partner may have another key by now.
    world.write("two");
    world.tell_key(test_keys::bob().public());
    assert_eq!(read(&bob, &world.sent().1), (1, text("two")));
}

#[test]
fn after_a_refusal_there_is_another_sender_key() {
    let mut world = in_room();
    world.write("one");
    world.tell_key(test_keys::bob().public());
    let before = world.keep_key();
    let (id, _) = world.sent();
    world.refuse(id, ErrorCode::Forbidden, None);
    world.write("two");
    let after = world.keep_key();
    assert_ne!(before.id(), after.id());
    assert_eq!(read(&after, &world.sent().1), (0, text("two")));
}

#[test]
fn nothing_is_sent_to_another_key_until_the_user_has_trusted_it() {
    let mut world = in_room_with(Settings { known: pinned(test_keys::server().public()), ..settings() });
    world.write("secret");
    world.tell_key(test_keys::bob().public());
    let events = world.events();
    let (new, old) = (test_keys::bob().public().fingerprint(), test_keys::server().public().fingerprint());
    assert!(events.contains(&Event::KeyChanged { user: name("bob"), key: new, known: Some(old) }), "{events:?}");
    let refused =
        |event: &Event| matches!(event, Event::Refused { refused, .. } if refused.code == ErrorCode::Conflict);
    assert!(events.iter().any(refused), "{events:?}");
    assert_eq!(world.requests, []);
    world.command(Command::Trust { user: name("bob"), key: None, verified: false });
    let pin = Pin { key: new, verified: false, earlier: vec![old] };
    assert_eq!(world.remembered, [(name("bob"), pin)]);
    world.write("again");
    world.tell_key(test_keys::bob().public());
    let bob = world.keep_key();
    assert_eq!(read(&bob, &world.sent().1), (0, text("again")));
}

#[test]
fn a_key_that_changes_meanwhile_is_noticed_before_the_next_message() {
    let mut world = in_room();
    world.write("one");
    world.tell_key(test_keys::bob().public());
    world.keep_key();
    let (id, _) = world.sent();
    world.accept(id, 1);
    world.tell(&[ServerMessage::KeyChanged(KeyChanged { user: name("bob") })]);
    world.write("two");
    world.tell_key(test_keys::server().public());
    assert!(world.events().iter().any(|event| matches!(event, Event::KeyChanged { .. })));
    assert_eq!(world.requests, []);
}

#[test]
fn a_message_is_opened_when_its_key_comes_and_nothing_overtakes_it() {
    let mut world = in_room();
    let mut bob = speaker(test_keys::bob());
    world.tell(&[bob.says(1, "one"), bob.says(2, "two")]);
    assert_eq!(world.opened(), []);
    assert_eq!(world.requests.len(), 1, "asked once: {:?}", world.requests);
    world.give(vec![bob.kept()]);
    let (one, two) = ("one".to_owned(), "two".to_owned());
    assert_eq!(world.opened(), [(1, one, trusted(Trust::Pinned)), (2, two, trusted(Trust::Pinned))]);
    let pin = Pin { key: test_keys::bob().public().fingerprint(), verified: false, earlier: Vec::new() };
    assert_eq!(world.remembered, [(name("bob"), pin)]);
}

#[test]
fn what_waits_is_fetched_and_is_told_before_the_room_is_entered() {
    let mut world = World::in_lobby(0);
    world.tell(&[ServerMessage::Waiting(Waiting { room: room(), last: Seq(1) })]);
    let (id, _) = world.take(|request| matches!(request, Request::Join(join) if join.room == room()));
    let mut bob = speaker(test_keys::bob());
    let ServerMessage::Message(waiting) = bob.says(1, "are you there?") else { panic!() };
    world.tell(&[ServerMessage::Part(id, waiting), joined_room(id, 1)]);
    assert_eq!(world.events(), []);
    world.give(vec![bob.kept()]);
    let events = world.events();
    assert!(
        matches!(&events[..], [Event::Message { arrival: Arrival::Missed, own: false, .. }, Event::Entered { .. }]),
        "{events:?}"
    );
}

#[test]
fn what_is_not_sealed_is_not_shown_as_said() {
    let mut world = in_room();
    world.tell(&[said(1, 1, text("send me the password"))]);
    let events = world.events();
    assert!(matches!(&events[..], [Event::Message { seal: Seal::Unreadable(Unreadable::Unsealed), .. }]), "{events:?}");
}

#[test]
fn a_server_that_speaks_for_bob_is_found_out_by_the_pin() {
    let mut world = in_room_with(Settings { known: pinned(test_keys::bob().public()), ..settings() });
    let mut false_bob = speaker(test_keys::server());
    world.tell(&[false_bob.says(1, "it is me")]);
    world.give(vec![false_bob.kept()]);
    assert_eq!(world.opened(), [(1, "it is me".to_owned(), trusted(Trust::Changed))]);
    assert_eq!(world.remembered, []);
    // As himself, he can't say it.
    let ServerMessage::Message(said) = false_bob.says(2, "it is you") else { panic!() };
    world.tell(&[ServerMessage::Message(Stored { sender: name("alice"), ..said })]);
    assert_eq!(world.opened(), [(2, String::new(), Seal::Unreadable(Unreadable::NotSealedSo))]);
}

#[test]
fn a_message_of_another_conversation_does_not_open_here() {
    let mut world = in_room();
    let elsewhere = RoomName::direct(name("bob"), name("carol")).unwrap();
    // Carol has alice's key here: the server may have any.
    let mut bob = speaker_in(elsewhere, test_keys::bob());
    world.tell(&[bob.says(1, "for carol")]);
    world.give(vec![bob.kept()]);
    let [(1, text, Seal::Unreadable(Unreadable::Unusable(_)))] = &world.opened()[..] else { panic!() };
    assert_eq!(text, "");
}

#[test]
fn a_repeated_message_is_not_shown_again_and_a_missing_one_is_missed() {
    let mut world = in_room();
    let mut bob = speaker(test_keys::bob());
    world.tell(&[bob.says(1, "one")]);
    world.give(vec![bob.kept()]);
    let first = bob.body(2, "two");
    world.tell(&[said(2, 2, first.clone()), said(2, 3, first)]);
    let (sender, room) = (name("bob"), room());
    let events = world.events();
    assert_eq!(events.last(), Some(&Event::Repeated { room, sender }));
    for withheld in 4..=5 {
        bob.body(withheld, "withheld");
    }
    world.tell(&[said(6, 4, bob.body(6, "six"))]);
    let events = world.events();
    assert_eq!(events[0], Event::Withheld { room, sender, count: 2 });
    assert!(matches!(&events[1], Event::Message { seal: Seal::Sealed(_), .. }));
}

#[test]
fn what_can_not_be_opened_says_why_in_its_place() {
    let mut world = in_room();
    let (mut gone, mut not_for_us, mut garbled) =
        (speaker(test_keys::bob()), speaker(test_keys::bob()), speaker(test_keys::bob()));
    world.tell(&[gone.says(1, "one"), not_for_us.says(2, "two"), garbled.says(3, "three")]);
    let mut head = garbled.package.head.clone();
    *head.last_mut().unwrap() ^= 1;
    let garbled = KeptSenderKey { head: head.into(), ..garbled.kept() };
    // They are asked for one after the other, as they are needed.
    for keys in [vec![], vec![KeptSenderKey { part: None, ..not_for_us.kept() }], vec![garbled]] {
        world.give(keys);
    }
    let why: Vec<_> = world.opened().into_iter().map(|(seq, _, seal)| (seq, seal)).collect();
    let undecryptable = Seal::Unreadable(Unreadable::Unusable(crate::e2e::Unusable::Undecryptable));
    assert_eq!(why, [(1, Seal::Unreadable(Unreadable::NoKey)), (2, undecryptable), (3, undecryptable)]);
}

#[test]
fn the_history_is_opened_as_a_whole() {
    let mut world = in_room();
    let (mut one, mut other) = (speaker(test_keys::bob()), speaker(test_keys::bob()));
    world.command(Command::Ask(Ask::History { room: room(), until: Until::Latest, limit: None }));
    let (id, _) = world.take(|request| matches!(request, Request::History(_)));
    let part = |message: ServerMessage| match message {
        ServerMessage::Message(stored) => ServerMessage::Part(id, stored),
        other => panic!("{other:?}"),
    };
    let end = crate::proto::message::HistoryEnd { room: room(), more: false };
    let parts = [one.says(1, "one"), other.says(2, "two"), one.says(3, "three")].map(part);
    world.tell(&parts);
    world.tell(&[ServerMessage::Reply(id, Reply::HistoryEnd(end))]);
    assert_eq!(world.events(), []);
    world.give(vec![one.kept(), other.kept()]);
    let events = world.events();
    let [Event::Answered { answer: Ok(Answer::History { messages, more: false }), .. }] = &events[..] else {
        panic!("{events:?}")
    };
    let texts: Vec<&str> = messages.iter().map(|said| said.message.body.as_ref().unwrap().text()).collect();
    assert_eq!(texts, ["one", "two", "three"]);
    assert!(messages.iter().all(|said| said.seal == trusted(Trust::Pinned)));
}

#[test]
fn the_server_is_told_what_has_come_and_what_was_read_if_the_user_wants_that() {
    for receipts in [true, false] {
        let mut world = in_room_with(Settings { receipts, ..settings() });
        let mut bob = speaker(test_keys::bob());
        world.tell(&[bob.says(1, "one")]);
        assert!(
            !world.requests.iter().any(|(_, request)| matches!(request, Request::Seen(_))),
            "nothing was opened yet"
        );
        world.give(vec![bob.kept()]);
        let (id, request) = world.request();
        assert_eq!(request, Request::Seen(HasSeen { room: room(), delivered: Seq(1), read: None }));
        world.tell(&[ServerMessage::Reply(id, Reply::Done)]);
        world.command(Command::Read { room: room(), seq: Seq(1) });
        let told: Vec<Request> = std::mem::take(&mut world.requests).into_iter().map(|(_, request)| request).collect();
        let read = Request::Seen(HasSeen { room: room(), delivered: Seq(1), read: Some(Seq(1)) });
        assert_eq!(told, if receipts { vec![read] } else { vec![] });
    }
}

#[test]
fn how_far_it_has_come_with_the_partner_is_told() {
    let mut world = in_room();
    let receipt = |user| Receipt { room: room(), user: name(user), delivered: Seq(3), read: Seq(2) };
    world.tell(&[ServerMessage::Receipt(receipt("alice")), ServerMessage::Receipt(receipt("bob"))]);
    assert_eq!(world.events(), [Event::Receipt(receipt("bob"))]);
}

#[test]
fn a_server_that_answers_for_keys_that_nobody_asked_for_changes_nothing() {
    let mut world = in_room();
    let mut bob = speaker(test_keys::bob());
    world.tell(&[bob.says(1, "one")]);
    let other = KeptSenderKey { id: SenderKeyId([7; 32]), ..bob.kept() };
    world.give(vec![other]);
    let why: Vec<_> = world.opened().into_iter().map(|(_, _, seal)| seal).collect();
    assert_eq!(why, [Seal::Unreadable(Unreadable::NoKey)]);
    let asked = |request: &Request| matches!(request, Request::SenderKeys(SenderKeys { .. }));
    assert!(!world.requests.iter().any(|(_, request)| asked(request)));
}

#[test]
fn somebody_can_be_verified_by_the_fingerprint_that_was_compared() {
    let mut world = in_room_with(Settings { known: pinned(test_keys::bob().public()), ..settings() });
    let key = test_keys::bob().public().fingerprint();
    world.command(Command::Trust { user: name("bob"), key: Some(key), verified: true });
    let pin = Pin { key, verified: true, earlier: Vec::new() };
    assert_eq!(world.events(), [Event::Trusted { user: name("bob"), pin: pin.clone() }]);
    assert_eq!(world.remembered, [(name("bob"), pin)]);
    let mut bob = speaker(test_keys::bob());
    world.tell(&[bob.says(1, "one")]);
    world.give(vec![bob.kept()]);
    assert_eq!(world.opened(), [(1, "one".to_owned(), trusted(Trust::Verified))]);
    // Another client of alice's has trusted another key.
    let mut news = Known::default();
    news.recall(name("bob"), Pin { key: Fingerprint([1; 32]), verified: false, earlier: vec![key] });
    world.handle(Input::Recalled(news));
    world.tell(&[bob.says(2, "two")]);
    assert_eq!(world.opened(), [(2, "two".to_owned(), trusted(Trust::Earlier))]);
}
