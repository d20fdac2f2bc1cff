//! Direct rooms: who sees them, what waits, who is left alone; and the keys of what is sealed.

use super::rooms::town::Town;
use super::*;
use crate::model::{Epoch, SenderKeyId};
use crate::proto::message::{
    AddSenderKey, Availability, Create, KeyChanged, Keys, Kick, Leave, Receipt, Recipient, Rooms, Seen, SenderKeys,
    SetStatus, Waiting,
};

const KEY: SenderKeyId = SenderKeyId([1; 32]);

fn between(one: &str, other: &str) -> RoomName {
    RoomName::direct(name(one), name(other)).unwrap()
}

fn sealed(number: u8) -> Body {
    Body::Sealed { key: KEY, sealed: vec![number; 300].into() }
}

fn join(room: RoomName) -> Request {
    Request::Join(Join { room, after: None, backlog: false })
}

fn post(room: RoomName, number: u8) -> Post {
    let message = MessageId([number; 16]);
    Post { room, message, body: sealed(number), retry: false, after: None, urgent: false }
}

fn refusal(answer: Result<Reply, Refused>) -> ErrorCode {
    answer.expect_err("not refused").code
}

/// Two people, and their room, which the first one is in.
fn two() -> (Town, SessionId, SessionId, RoomName) {
    let mut town = Town::new();
    let (alice, bob) = (town.comes("alice"), town.comes("bob"));
    let room = between("alice", "bob");
    town.ask(alice, join(room)).unwrap();
    town.inbox(alice);
    town.inbox(bob);
    (town, alice, bob, room)
}

fn bodies(inbox: &[ServerMessage]) -> Vec<(u64, Option<Body>)> {
    let stored = inbox.iter().filter_map(|message| match message {
        ServerMessage::Message(stored) | ServerMessage::Part(_, stored) => Some((stored.seq.0, stored.body.clone())),
        _ => None,
    });
    stored.collect()
}

#[test]
fn who_is_not_in_the_room_is_told_and_gets_it_on_joining() {
    let (mut town, alice, bob, room) = two();
    assert!(matches!(town.ask(alice, Request::Post(post(room, 1))), Ok(Reply::Accepted(_))));
    assert_eq!(bodies(&town.inbox(alice)), [(1, Some(sealed(1)))]);
    assert_eq!(town.inbox(bob), [ServerMessage::Waiting(Waiting { room, last: Seq(1) })]);
    town.ask(bob, join(room)).unwrap();
    assert_eq!(bodies(&town.inbox(bob)), [(1, Some(sealed(1)))]);
    town.ask(alice, Request::Post(post(room, 2))).unwrap();
    assert_eq!(bodies(&town.inbox(bob)), [(2, Some(sealed(2)))]);
}

#[test]
fn a_users_other_sessions_hear_of_it_too() {
    let (mut town, alice, _, room) = two();
    let other = town.comes("alice");
    town.inbox(other);
    town.ask(alice, Request::Post(post(room, 1))).unwrap();
    assert_eq!(town.inbox(other), [ServerMessage::Waiting(Waiting { room, last: Seq(1) })]);
}

#[test]
fn for_others_the_room_is_not_there() {
    let (mut town, alice, _, room) = two();
    town.ask(alice, Request::Post(post(room, 1))).unwrap();
    for stranger in ["carol", "admin"] {
        let stranger = town.comes(stranger);
        town.inbox(stranger);
        for request in [
            join(room),
            Request::History(History { room, before: None, limit: 10 }),
            Request::People(People { room }),
            Request::Post(post(room, 2)),
            Request::Leave(Leave { room }),
            Request::Seen(Seen { room, delivered: Seq(1), read: None }),
            Request::SenderKeys(SenderKeys { room, ids: vec![KEY] }),
            Request::Kick(Box::new(Kick { room, user: name("alice"), reason: None, roster: None })),
        ] {
            assert_eq!(refusal(town.ask(stranger, request.clone())), ErrorCode::NotFound, "{request:?}");
        }
        let Ok(Reply::Rooms(list)) = town.ask(stranger, Request::Rooms(Rooms { people: true })) else { panic!() };
        assert!(list.rooms.iter().all(|info| !info.room.is_direct()), "{list:?}");
        assert_eq!(town.inbox(stranger), []);
    }
    let own = town.rooms(alice).into_iter().find(|info| info.room == room).unwrap();
    assert!(own.sealed && own.joined);
    assert_eq!((own.members, own.last), (2, Seq(1)));
}

#[test]
fn nobody_makes_or_rules_one() {
    let (mut town, alice, _, room) = two();
    assert_eq!(refusal(town.ask(alice, Request::Create(Create { room, roster: None }))), ErrorCode::Malformed);
    let kick = Request::Kick(Box::new(Kick { room, user: name("bob"), reason: None, roster: None }));
    assert_eq!(refusal(town.ask(alice, kick)), ErrorCode::NotFound);
    assert_eq!(refusal(town.ask(alice, join(between("alice", "nobody")))), ErrorCode::NotFound);
}

#[test]
fn what_is_said_is_sealed_there_and_nowhere_else() {
    let (mut town, alice, _, room) = two();
    let open = Post { body: text("hello"), ..post(room, 1) };
    assert_eq!(refusal(town.ask(alice, Request::Post(open))), ErrorCode::Malformed);
    town.ask(alice, join(RoomName::lobby())).unwrap();
    assert_eq!(refusal(town.ask(alice, Request::Post(post(RoomName::lobby(), 1)))), ErrorCode::Malformed);
    let long = Body::Sealed { key: KEY, sealed: vec![0; crate::proto::message::sealed_bytes(8192) + 1].into() };
    assert_eq!(refusal(town.ask(alice, Request::Post(Post { body: long, ..post(room, 1) }))), ErrorCode::TooLarge);
}

#[test]
fn a_message_waits_for_who_is_away_until_he_has_got_it() {
    let mut town = Town::new();
    let alice = town.comes("alice");
    let room = between("alice", "bob");
    town.ask(alice, join(room)).unwrap();
    town.ask(alice, Request::Post(post(room, 1))).unwrap();
    let mut town = town.restart();
    let waiting = |town: &mut Town, user: &str| {
        let session = town.comes(user);
        let welcome = town.inboxes[&session].iter().find_map(|message| match message {
            ServerMessage::Welcome(welcome) => Some(welcome.waiting.clone()),
            _ => None,
        });
        (session, welcome.unwrap())
    };
    let (bob, for_bob) = waiting(&mut town, "bob");
    assert_eq!(for_bob, [Waiting { room, last: Seq(1) }]);
    // Who said it has it.
    assert_eq!(waiting(&mut town, "alice").1, []);
    town.ask(bob, join(room)).unwrap();
    town.ask(bob, Request::Seen(Seen { room, delivered: Seq(1), read: None })).unwrap();
    assert_eq!(waiting(&mut town, "bob").1, []);
    assert_eq!(waiting(&mut town.restart(), "bob").1, []);
}

#[test]
fn the_sender_sees_how_far_it_has_come() {
    let (mut town, alice, bob, room) = two();
    for number in 1..=2 {
        town.ask(alice, Request::Post(post(room, number))).unwrap();
    }
    town.ask(bob, join(room)).unwrap();
    town.inbox(alice);
    let receipt = |delivered, read| Receipt { room, user: name("bob"), delivered: Seq(delivered), read: Seq(read) };
    for (delivered, read, told) in [
        (1, None, Some((1, 0))),
        (2, Some(1), Some((2, 1))),
        // Nothing goes back, and nothing goes beyond what was said.
        (1, Some(0), None),
        (9, Some(9), Some((2, 2))),
    ] {
        town.ask(bob, Request::Seen(Seen { room, delivered: Seq(delivered), read: read.map(Seq) })).unwrap();
        let expected = told.map(|(delivered, read)| ServerMessage::Receipt(receipt(delivered, read)));
        assert_eq!(town.inbox(alice), Vec::from_iter(expected));
    }
    let mut town = town.restart();
    let alice = town.comes("alice");
    let Ok(Reply::Joined(joined)) = town.ask(alice, join(room)) else { panic!() };
    assert!(joined.info.receipts.contains(&receipt(2, 2)), "{joined:?}");
}

#[test]
fn who_does_not_want_to_be_disturbed_is_not_unless_it_is_urgent_and_from_somebody_who_may() {
    let (mut town, alice, bob, room) = two();
    let dnd =
        SetStatus { availability: Availability::DoNotDisturb, text: Some("on call".to_owned()), seconds: Some(60) };
    town.ask(bob, Request::SetStatus(dnd)).unwrap();
    let refused = town.ask(alice, Request::Post(post(room, 1))).unwrap_err();
    assert_eq!(refused.code, ErrorCode::DoNotDisturb);
    assert_eq!(refused.text, "bob does not want to be disturbed: on call");
    let urgent = |room, number| Request::Post(Post { urgent: true, ..post(room, number) });
    assert_eq!(refusal(town.ask(alice, urgent(room, 1))), ErrorCode::DoNotDisturb);
    // An admin.
    let (admin, office) = (town.comes("admin"), between("admin", "bob"));
    town.ask(admin, join(office)).unwrap();
    assert_eq!(refusal(town.ask(admin, Request::Post(post(office, 2)))), ErrorCode::DoNotDisturb);
    assert!(town.ask(admin, urgent(office, 2)).is_ok());
    // The owner of a room that both are in.
    let dev: RoomName = "#dev".parse().unwrap();
    town.ask(alice, Request::Create(Create { room: dev, roster: None })).unwrap();
    assert_eq!(refusal(town.ask(alice, urgent(room, 1))), ErrorCode::DoNotDisturb);
    town.ask(bob, join(dev)).unwrap();
    assert!(town.ask(alice, urgent(room, 1)).is_ok());
    // It passes.
    town.pass(Duration::from_secs(60));
    assert!(town.ask(alice, Request::Post(post(room, 3))).is_ok());
}

#[test]
fn only_so_much_waits_for_one_who_is_away() {
    let (mut town, alice, bob, room) = two();
    for number in 1..=5 {
        town.ask(alice, Request::Post(post(room, number))).unwrap();
    }
    assert_eq!(refusal(town.ask(alice, Request::Post(post(room, 6)))), ErrorCode::Conflict);
    town.ask(bob, join(room)).unwrap();
    town.ask(bob, Request::Seen(Seen { room, delivered: Seq(1), read: None })).unwrap();
    assert!(town.ask(alice, Request::Post(post(room, 6))).is_ok());
}

#[test]
fn who_is_not_registered_any_more_gets_nothing_and_leaves_his_history() {
    let (mut town, alice, _, room) = two();
    town.ask(alice, Request::Post(post(room, 1))).unwrap();
    town.handle(Input::Unregistered { user: name("bob") });
    assert_eq!(refusal(town.ask(alice, Request::Post(post(room, 2)))), ErrorCode::NotFound);
    town.inbox(alice);
    town.ask(alice, Request::History(History { room, before: None, limit: 10 })).unwrap();
    assert_eq!(bodies(&town.inbox(alice)), [(1, Some(sealed(1)))]);
}

#[test]
fn a_session_that_leaves_is_told_when_there_is_something_new() {
    let (mut town, alice, bob, room) = two();
    town.ask(bob, join(room)).unwrap();
    town.ask(bob, Request::Leave(Leave { room })).unwrap();
    town.inbox(bob);
    town.ask(alice, Request::Post(post(room, 1))).unwrap();
    assert_eq!(town.inbox(bob), [ServerMessage::Waiting(Waiting { room, last: Seq(1) })]);
}

#[test]
fn people_there_are_those_who_are_connected() {
    let (mut town, alice, bob, room) = two();
    let here = |town: &mut Town| match town.ask(alice, Request::People(People { room })) {
        Ok(Reply::People(list)) => list.people.into_iter().map(|person| person.user.to_string()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(here(&mut town), ["alice", "bob"]);
    town.handle(Input::Gone { session: bob });
    assert_eq!(here(&mut town), ["alice"]);
}

fn add_key(room: RoomName, members: &[&str]) -> Request {
    let recipients =
        members.iter().map(|member| Recipient { member: key(name(member)), part: member.as_bytes().to_vec().into() });
    let (epoch, head) = (Epoch([2; 32]), b"head".to_vec().into());
    Request::AddSenderKey(Box::new(AddSenderKey { room, id: KEY, epoch, head, recipients: recipients.collect() }))
}

#[test]
fn each_member_gets_his_part_of_a_sender_key() {
    let (mut town, alice, bob, room) = two();
    assert_eq!(town.ask(alice, add_key(room, &["alice", "bob"])), Ok(Reply::Done));
    for (session, part) in [(alice, "alice"), (bob, "bob")] {
        let asked = Request::SenderKeys(SenderKeys { room, ids: vec![KEY, SenderKeyId([9; 32])] });
        let Ok(Reply::SenderKeys(list)) = town.ask(session, asked) else { panic!() };
        let [kept] = &list.keys[..] else { panic!("{list:?}") };
        assert_eq!((kept.id, kept.sender, kept.epoch), (KEY, name("alice"), Epoch([2; 32])));
        assert_eq!((&kept.head[..], kept.part.as_deref().map(Vec::as_slice)), (&b"head"[..], Some(part.as_bytes())));
    }
}

#[test]
fn a_sender_key_is_for_members_and_the_keys_that_they_have() {
    let (mut town, alice, bob, room) = two();
    assert_eq!(refusal(town.ask(alice, add_key(room, &["alice", "carol"]))), ErrorCode::Conflict);
    let lobby = RoomName::lobby();
    assert_eq!(refusal(town.ask(alice, add_key(lobby, &["alice"]))), ErrorCode::Conflict);
    town.ask(alice, Request::Post(post(room, 1))).unwrap();
    town.inbox(alice);
    let other = Fingerprint([9; 32]);
    town.handle(registered(name("bob"), other));
    assert!(town.closed.contains_key(&bob));
    assert_eq!(town.inbox(alice), [ServerMessage::KeyChanged(KeyChanged { user: name("bob") })]);
    assert_eq!(refusal(town.ask(alice, add_key(room, &["alice", "bob"]))), ErrorCode::Conflict);
}

#[test]
fn keys_of_registered_users_are_told() {
    let (mut town, alice, _, _) = two();
    let users = vec![name("bob"), name("nobody")];
    let Ok(Reply::Keys(list)) = town.ask(alice, Request::Keys(Keys { users })) else { panic!() };
    let keys: Vec<_> = list.keys.iter().map(|key| (key.user, &key.key[..])).collect();
    assert_eq!(keys, [(name("bob"), &b"bob"[..])]);
    let many = vec![name("bob"); 65];
    assert_eq!(refusal(town.ask(alice, Request::Keys(Keys { users: many }))), ErrorCode::Malformed);
}

#[test]
fn what_has_not_come_to_him_is_sent_on_a_first_visit() {
    let settings = Settings { join_backlog: 2, history_limit: 6, direct_quota: 50, ..settings() };
    let mut town = Town::start(settings, Restored::default());
    let (alice, room) = (town.comes("alice"), between("alice", "bob"));
    town.ask(alice, join(room)).unwrap();
    let numbers = |town: &mut Town| {
        let bob = town.comes("bob");
        town.ask(bob, join(room)).unwrap();
        (bob, bodies(&town.inbox(bob)).iter().map(|(seq, _)| *seq).collect::<Vec<u64>>())
    };
    for (said, comes, delivered) in [(3, 1..=3, 1), (1, 2..=4, 4), (1, 4..=5, 0), (6, 6..=11, 11), (0, 10..=11, 0)] {
        for _ in 0..said {
            let last = town.hub.rooms.get(&room).unwrap().last.0;
            town.ask(alice, Request::Post(post(room, u8::try_from(last + 1).unwrap()))).unwrap();
        }
        let (bob, came) = numbers(&mut town);
        assert_eq!(came, comes.collect::<Vec<u64>>());
        if delivered > 0 {
            town.ask(bob, Request::Seen(Seen { room, delivered: Seq(delivered), read: None })).unwrap();
        }
    }
}

#[test]
fn a_key_for_a_room_in_which_nothing_was_said_does_no_harm() {
    let (mut town, alice, _, room) = two();
    town.ask(alice, add_key(room, &["alice", "bob"])).unwrap();
    let mut town = town.restart();
    let alice = town.comes("alice");
    town.ask(alice, join(room)).unwrap();
}

#[test]
fn what_is_stored_already_is_no_new_message_to_one_who_does_not_want_to_be_disturbed() {
    let (mut town, alice, bob, room) = two();
    let dnd = SetStatus { availability: Availability::DoNotDisturb, text: None, seconds: None };
    town.ask(bob, Request::SetStatus(dnd)).unwrap();
    let retry = Request::Post(Post { retry: true, ..post(room, 1) });
    // It may be stored: it is looked for. It is not, and so it is refused.
    assert_eq!(refusal(town.ask(alice, retry.clone())), ErrorCode::DoNotDisturb);
    let id = town.begin(alice, retry);
    town.find((Seq(1), Timestamp(5)));
    assert!(matches!(town.answer(alice, id), Some(Ok(Reply::Accepted(_)))));
}

#[test]
fn who_is_registered_no_longer_or_again_has_another_key_for_those_who_are_in_the_room() {
    let (mut town, alice, bob, room) = two();
    town.ask(alice, Request::Post(post(room, 1))).unwrap();
    town.inbox(alice);
    town.inbox(bob);
    town.handle(Input::Unregistered { user: name("bob") });
    assert_eq!(town.inbox(alice), [ServerMessage::KeyChanged(KeyChanged { user: name("bob") })]);
    assert_eq!(town.inbox(bob), []);
    town.handle(registered(name("bob"), Fingerprint([9; 32])));
    assert_eq!(town.inbox(alice), [ServerMessage::KeyChanged(KeyChanged { user: name("bob") })]);
}
