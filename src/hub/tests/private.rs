//! Private rooms: who knows of them, who decides over them, and what is kept of their rosters.

use super::rooms::town::{Town, room};
use super::*;
use crate::model::{Epoch, SenderKeyId};
use crate::proto::message::{
    Act, Acted, AddSenderKey, Ban, Create, HandOver, Invite, Kick, Leave, Mute, People, Recipient, Rooms, Roster,
    RosterEntry, RosterPage, SetTopic,
};

const OPS: &str = "#ops";

#[expect(clippy::unnecessary_wraps, reason = "requests take it so")]
fn entry(number: u64) -> Option<RosterEntry> {
    Some(RosterEntry { number, statement: statement(number).into() })
}

fn statement(number: u64) -> Vec<u8> {
    vec![u8::try_from(number).unwrap(); 10]
}

fn create(roster: Option<RosterEntry>) -> Request {
    Request::Create(Create { room: room(OPS), roster })
}

fn invite(user: &str, roster: Option<RosterEntry>) -> Request {
    Request::Invite(Invite { room: room(OPS), user: name(user), roster })
}

fn kick(user: &str, roster: Option<RosterEntry>) -> Request {
    Request::Kick(Box::new(Kick { room: room(OPS), user: name(user), reason: None, roster }))
}

fn hand_over(user: &str, roster: Option<RosterEntry>) -> Request {
    Request::HandOver(HandOver { room: room(OPS), user: name(user), roster })
}

fn join() -> Request {
    Request::Join(Join { room: room(OPS), after: None, backlog: false })
}

fn post(number: u8, body: Body) -> Request {
    let message = MessageId([number; 16]);
    Request::Post(Post { room: room(OPS), message, body, retry: false, after: None, urgent: false })
}

fn sealed() -> Body {
    Body::Sealed { key: SenderKeyId([1; 32]), sealed: vec![1; 300].into() }
}

fn page(town: &mut Town, session: SessionId, after: u64) -> RosterPage {
    match town.ask(session, Request::Roster(Roster { room: room(OPS), after })) {
        Ok(Reply::Roster(page)) => page,
        other => panic!("{other:?}"),
    }
}

/// Bob's room, which he and carol are in; alice is an admin, and isn't.
fn ops() -> (Town, SessionId, SessionId, SessionId) {
    let mut town = Town::new();
    let (alice, bob, carol) = (town.comes("alice"), town.comes("bob"), town.comes("carol"));
    town.done(bob, create(entry(1)));
    town.join(bob, OPS);
    town.done(bob, invite("carol", entry(2)));
    town.join(carol, OPS);
    for session in [alice, bob, carol] {
        town.inbox(session);
    }
    (town, alice, bob, carol)
}

#[test]
fn nobody_but_its_members_can_tell_it_from_a_room_that_does_not_exist() {
    let (mut town, alice, ..) = ops();
    let nowhere: RoomName = "#nowhere".parse().unwrap();
    let requests = |room: RoomName| {
        let (user, topic, roster) = (name("carol"), "x".to_owned(), entry(3));
        [
            Request::Join(Join { room, after: None, backlog: false }),
            Request::History(History { room, before: None, limit: 10 }),
            Request::People(People { room }),
            Request::SetTopic(SetTopic { room, topic }),
            Request::Leave(Leave { room }),
            Request::Invite(Invite { room, user, roster: roster.clone() }),
            Request::Kick(Box::new(Kick { room, user, reason: None, roster: roster.clone() })),
            Request::Ban(Box::new(Ban { room: Some(room), user, seconds: None, reason: None })),
            Request::Mute(Mute { room, user, seconds: None }),
            Request::HandOver(HandOver { room, user, roster }),
            Request::Roster(Roster { room, after: 0 }),
            Request::Post(Post {
                room,
                message: MessageId([9; 16]),
                body: sealed(),
                retry: false,
                after: None,
                urgent: false,
            }),
        ]
    };
    for (here, there) in requests(room(OPS)).into_iter().zip(requests(nowhere)) {
        let what = format!("{here:?}");
        let (here, there) = (town.ask(alice, here).expect_err(&what), town.ask(alice, there).unwrap_err());
        let text = there.text.replace("nowhere", "ops");
        assert_eq!((here.code, here.text, here.hint), (there.code, text, there.hint), "{what}");
    }
    assert!(!town.rooms(alice).iter().any(|info| info.room == room(OPS)));
    assert_eq!(town.inbox(alice), []);
}

#[test]
fn its_name_is_taken_all_the_same() {
    let (mut town, alice, ..) = ops();
    let hint_at = town.ask(alice, create(None)).unwrap_err();
    assert_eq!((hint_at.code, &*hint_at.text), (ErrorCode::Conflict, "there is a room #ops already"));
}

#[test]
fn what_is_said_in_it_is_sealed_and_reaches_its_members() {
    let (mut town, alice, bob, carol) = ops();
    let plain = post(1, Body::Text { text: "hi".to_owned() });
    assert_eq!(town.ask(bob, plain).unwrap_err().code, ErrorCode::Malformed);
    assert!(matches!(town.ask(bob, post(2, sealed())), Ok(Reply::Accepted(_))));
    for session in [bob, carol] {
        assert!(matches!(&town.inbox(session)[..], [ServerMessage::Message(stored)] if stored.body == Some(sealed())));
    }
    assert_eq!(town.inbox(alice), []);
    let info = town.rooms(carol).into_iter().find(|info| info.room == room(OPS)).unwrap();
    assert_eq!((info.sealed, info.roster, info.members), (true, 2, 2));
}

#[test]
fn its_roster_is_kept_and_given_to_its_members() {
    let (mut town, _, bob, carol) = ops();
    let members = vec![name("bob"), name("carol")];
    let whole =
        RosterPage { statements: vec![statement(1).into(), statement(2).into()], length: 2, members: members.clone() };
    assert_eq!(page(&mut town, carol, 0), whole);
    assert_eq!(page(&mut town, carol, 2), RosterPage { statements: Vec::new(), length: 2, members });
    town.done(bob, kick("carol", entry(3)));
    assert_eq!(page(&mut town, bob, 2).statements, [statement(3).into()]);
    let mut town = town.restart();
    let bob = town.comes("bob");
    assert_eq!(town.welcomed_to(bob), ["#common", "#ops"]);
    town.join(bob, OPS);
    assert_eq!((page(&mut town, bob, 0).length, page(&mut town, bob, 0).statements.len()), (3, 3));
    let carol = town.comes("carol");
    assert_eq!(town.welcomed_to(carol), ["#common"]);
}

#[test]
fn what_changes_who_is_in_it_goes_with_the_next_statement_and_no_other() {
    let (mut town, _, bob, _) = ops();
    for (request, code) in [
        (invite("alice", None), ErrorCode::Malformed),
        (kick("carol", None), ErrorCode::Malformed),
        (hand_over("carol", None), ErrorCode::Malformed),
        (invite("alice", entry(2)), ErrorCode::Conflict),
        (invite("alice", entry(4)), ErrorCode::Conflict),
        (invite("alice", Some(RosterEntry { number: 3, statement: vec![0; 5000].into() })), ErrorCode::Malformed),
    ] {
        let what = format!("{request:?}");
        assert_eq!(town.ask(bob, request).expect_err(&what).code, code, "{what}");
    }
    assert_eq!(page(&mut town, bob, 0).length, 2);
    // Nor has an open room such a thing.
    town.done(bob, Request::Create(Create { room: room("#open"), roster: None }));
    let open = Request::Invite(Invite { room: room("#open"), user: name("alice"), roster: entry(1) });
    assert_eq!(town.ask(bob, open).unwrap_err().code, ErrorCode::Malformed);
    let roster = Request::Roster(Roster { room: room("#open"), after: 0 });
    assert_eq!(town.ask(bob, roster).unwrap_err().code, ErrorCode::Conflict);
    let first = Request::Create(Create { room: room("#other"), roster: entry(2) });
    assert_eq!(town.ask(bob, first).unwrap_err().code, ErrorCode::Conflict);
}

#[test]
fn its_owner_decides_and_no_admin() {
    let (mut town, alice, bob, carol) = ops();
    let text = "only the owner of #ops, bob, may invite";
    town.refused(carol, invite("alice", entry(3)), ErrorCode::Forbidden, text);
    town.done(bob, invite("alice", entry(3)));
    town.ask(alice, join()).unwrap();
    town.refused(alice, kick("carol", entry(4)), ErrorCode::Forbidden, "only the owner of #ops, bob, may kick");
    town.done(bob, hand_over("carol", entry(4)));
    town.refused(bob, kick("alice", entry(5)), ErrorCode::Forbidden, "only the owner of #ops, carol, may kick");
    town.done(carol, kick("alice", entry(5)));
    assert_eq!(page(&mut town, carol, 0).length, 5);
    assert_eq!(town.ask(alice, join()).unwrap_err().code, ErrorCode::NotFound);
    // There is nothing to ban from.
    let ban = Request::Ban(Box::new(Ban { room: Some(room(OPS)), user: name("bob"), seconds: None, reason: None }));
    assert_eq!(town.ask(carol, ban).unwrap_err().code, ErrorCode::Conflict);
}

#[test]
fn who_leaves_it_is_in_its_roster_still_and_no_member() {
    let (mut town, _, bob, carol) = ops();
    town.done(carol, Request::Leave(Leave { room: room(OPS) }));
    let left = Acted { room: room(OPS), by: name("carol"), act: Some(Act::Left {}) };
    assert_eq!(town.inbox(bob), [ServerMessage::Acted(left)]);
    let RosterPage { length, members, .. } = page(&mut town, bob, 0);
    assert_eq!((length, members), (2, vec![name("bob")]));
    assert_eq!(town.ask(carol, join()).unwrap_err().code, ErrorCode::NotFound);
    // Put out for good, or let in again.
    town.done(bob, kick("carol", entry(3)));
    town.done(bob, invite("carol", entry(4)));
    town.join(carol, OPS);
}

#[test]
fn its_owner_stays_as_long_as_others_do() {
    let (mut town, _, bob, carol) = ops();
    let leave = || Request::Leave(Leave { room: room(OPS) });
    town.refused(bob, leave(), ErrorCode::Conflict, "you own #ops: hand it on to somebody");
    town.done(bob, hand_over("carol", entry(3)));
    town.done(bob, leave());
    town.done(carol, leave());
}

#[test]
fn sender_keys_are_kept_for_the_keys_of_its_members_alone() {
    let (mut town, _, bob, _) = ops();
    let add = |user: &str| {
        let recipients = vec![Recipient { member: key(name(user)), part: vec![1; 10].into() }];
        let (id, epoch) = (SenderKeyId([1; 32]), Epoch([2; 32]));
        Request::AddSenderKey(Box::new(AddSenderKey {
            room: room(OPS),
            id,
            epoch,
            head: vec![0; 10].into(),
            recipients,
        }))
    };
    town.done(bob, add("carol"));
    assert_eq!(town.ask(bob, add("alice")).unwrap_err().code, ErrorCode::Conflict);
}

#[test]
fn what_rooms_there_are_is_told_with_who_is_in_them_to_members_alone() {
    let (mut town, alice, bob, _) = ops();
    let named = |town: &mut Town, session| match town.ask(session, Request::Rooms(Rooms { people: true })) {
        Ok(Reply::Rooms(list)) => {
            list.rooms.into_iter().map(|info| (info.room.to_string(), info.people.len())).collect()
        }
        other => panic!("{other:?}"),
    };
    let (of_bob, of_alice): (Vec<_>, Vec<_>) = (named(&mut town, bob), named(&mut town, alice));
    assert!(of_bob.contains(&("#ops".to_owned(), 2)), "{of_bob:?}");
    assert!(of_alice.iter().all(|(room, _)| room != "#ops"), "{of_alice:?}");
}
