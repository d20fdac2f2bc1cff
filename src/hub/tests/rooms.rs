//! Rooms that come and go, who is in them, and who may do what.

pub(super) mod town;

use self::town::{Town, room};
use super::*;
use crate::proto::message::{
    Act, Acted, Ban, Create, HandOver, Invite, Kick, Leave, Membership, Mute, Rooms, SetTopic, Unban, Unmute,
};

fn create(name: &str) -> Request {
    Request::Create(Create { room: room(name), roster: None })
}

fn topic(text: &str) -> Request {
    Request::SetTopic(SetTopic { room: room("#dev"), topic: text.to_owned() })
}

fn invite(user: &str) -> Request {
    Request::Invite(Invite { room: room("#dev"), user: name(user), roster: None })
}

fn kick(user: &str) -> Request {
    Request::Kick(Box::new(Kick {
        room: room("#dev"),
        user: name(user),
        reason: Some("loud".to_owned()),
        roster: None,
    }))
}

fn ban(from: Option<&str>, user: &str, seconds: Option<u32>) -> Request {
    Request::Ban(Box::new(Ban { room: from.map(room), user: name(user), seconds, reason: None }))
}

fn unban(from: Option<&str>, user: &str) -> Request {
    Request::Unban(Unban { room: from.map(room), user: name(user) })
}

fn mute(user: &str, seconds: Option<u32>) -> Request {
    Request::Mute(Mute { room: room("#dev"), user: name(user), seconds })
}

fn unmute(user: &str) -> Request {
    Request::Unmute(Unmute { room: room("#dev"), user: name(user) })
}

fn hand_over(user: &str) -> Request {
    Request::HandOver(HandOver { room: room("#dev"), user: name(user), roster: None })
}

fn leave(name: &str) -> Request {
    Request::Leave(Leave { room: room(name) })
}

#[test]
fn a_room_is_made_joined_and_heard_by_those_who_are_in_it_alone() {
    let mut town = Town::new();
    let alice = town.in_dev("alice");
    let (bob, carol) = (town.in_dev("bob"), town.comes("carol"));
    town.join(carol, "#common");
    for session in [alice, bob, carol] {
        town.inbox(session);
    }
    assert!(town.post(alice, "#dev").is_ok());
    assert_eq!(town.inbox(bob).len(), 1);
    assert_eq!(town.inbox(carol), []);
    let refused = town.post(carol, "#dev").unwrap_err();
    assert_eq!((refused.code, refused.hint.as_deref()), (ErrorCode::Forbidden, Some("join #dev first")));
    let rooms = town.rooms(carol);
    let seen: Vec<_> =
        rooms.iter().map(|info| (info.room.as_str(), info.members, info.joined, info.people.len())).collect();
    assert_eq!(seen, [("common", 4, true, 1), ("dev", 2, false, 2)]);
    assert_eq!(rooms[1].owner, Some(name("alice")));
}

#[test]
fn a_change_is_answered_when_it_is_on_disk_and_not_before() {
    let mut town = Town::new();
    let alice = town.comes("alice");
    let id = town.begin(alice, create("#dev"));
    assert_eq!(town.answer(alice, id), None);
    town.commit();
    assert_eq!(town.answer(alice, id), Some(Ok(Reply::Done)));
    let bob = town.comes("bob");
    let id = town.begin(bob, Request::Join(Join { room: room("#dev"), after: None, backlog: false }));
    assert!(town.answer(bob, id).is_none() && !town.inside.contains(&(room("#dev"), bob)));
    town.commit();
    assert!(matches!(town.answer(bob, id), Some(Ok(Reply::Joined(_)))));
}

#[test]
fn what_is_decided_outlives_the_server() {
    let mut town = Town::new();
    let alice = town.in_dev("alice");
    let (bob, carol, admin) = (town.in_dev("bob"), town.in_dev("carol"), town.comes("admin"));
    town.done(alice, topic("work"));
    town.done(alice, mute("bob", None));
    town.done(alice, ban(Some("#dev"), "carol", None));
    town.done(alice, hand_over("bob"));
    town.done(admin, ban(None, "carol", None));
    assert!(town.closed.contains_key(&carol) && !town.closed.contains_key(&bob));
    let mut town = town.restart();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|user| town.comes(user));
    assert_eq!(town.closed[&carol].text, "you are banned from this server until somebody lifts that");
    assert_eq!(town.welcomed_to(bob), ["#common", "#dev"]);
    town.join(bob, "#dev");
    town.join(alice, "#dev");
    let info = town.rooms(alice).remove(1);
    assert_eq!((&*info.topic, info.owner, info.members), ("work", Some(name("bob")), 2));
    let refused = town.post(bob, "#dev").unwrap_err();
    assert_eq!(refused.text, "you are muted in #dev until somebody lifts that");
    let admin = town.comes("admin");
    town.done(admin, unban(None, "carol"));
    let carol = town.comes("carol");
    let join = Request::Join(Join { room: room("#dev"), after: None, backlog: false });
    town.refused(carol, join, ErrorCode::Forbidden, "you are banned from #dev until somebody lifts that");
}

#[test]
fn each_may_do_what_belongs_to_his_standing() {
    let decisions = || {
        [topic("x"), invite("bob"), kick("bob"), mute("bob", None), unmute("bob"), ban(Some("#dev"), "bob", None)]
            .into_iter()
            .chain([unban(Some("#dev"), "bob"), hand_over("carol")])
    };
    for (user, allowed) in [("alice", true), ("admin", true), ("carol", false)] {
        let mut town = Town::new();
        town.in_dev("alice");
        town.in_dev("carol");
        let session = town.comes(user);
        for decision in decisions() {
            match town.ask(session, decision.clone()) {
                Ok(reply) => assert!(allowed && reply == Reply::Done, "{user}: {decision:?}"),
                Err(refused) => assert!(!allowed && refused.code == ErrorCode::Forbidden, "{user}: {refused:?}"),
            }
        }
    }
    let mut town = Town::new();
    let alice = town.in_dev("alice");
    town.in_dev("admin");
    let text = "only the owner of #dev, alice, and admins may set its topic";
    let bob = town.comes("bob");
    town.refused(bob, topic("x"), ErrorCode::Forbidden, text);
    town.refused(alice, ban(None, "bob", None), ErrorCode::Forbidden, "only admins may ban from the server");
    town.refused(alice, kick("admin"), ErrorCode::Forbidden, "admin is an admin");
    town.refused(alice, mute("alice", None), ErrorCode::Conflict, "that is you");
}

#[test]
fn only_admins_make_rooms_where_it_is_so_decided() {
    let mut town = Town::start(Settings { creation: Creation::Admins, ..settings() }, Restored::default());
    let (alice, admin) = (town.comes("alice"), town.comes("admin"));
    town.refused(alice, create("#dev"), ErrorCode::Forbidden, "only admins may make rooms");
    town.done(admin, create("#dev"));
}

#[test]
fn who_is_kicked_hears_why_and_nothing_more_and_may_come_back() {
    let mut town = Town::new();
    let alice = town.in_dev("alice");
    let bobs = [town.in_dev("bob"), town.in_dev("bob")];
    for bob in bobs {
        town.inbox(bob);
    }
    town.done(alice, kick("bob"));
    let reason = Some("loud".to_owned());
    let acted = Acted { room: room("#dev"), by: name("alice"), act: Some(Act::Kicked { user: name("bob"), reason }) };
    let reason = Some("loud".to_owned());
    let out = Membership { room: room("#dev"), member: false, by: name("alice"), reason };
    town.post(alice, "#dev").unwrap();
    for bob in bobs {
        assert_eq!(town.inbox(bob), [ServerMessage::Acted(acted.clone()), ServerMessage::Membership(out.clone())]);
    }
    town.join(bobs[0], "#dev");
    assert_eq!(town.inbox(bobs[1]).len(), 1, "his other session is told that he is back");
}

#[test]
fn a_ban_ends_by_itself_or_is_lifted() {
    let mut town = Town::new();
    let (alice, bob) = (town.in_dev("alice"), town.in_dev("bob"));
    let join = || Request::Join(Join { room: room("#dev"), after: None, backlog: false });
    town.done(alice, ban(Some("#dev"), "bob", Some(7200)));
    let history = Request::History(History { room: room("#dev"), before: None, limit: 10 });
    for request in [join(), history, Request::People(People { room: room("#dev") })] {
        town.refused(bob, request, ErrorCode::Forbidden, "you are banned from #dev for another 2 h");
    }
    town.refused(alice, invite("bob"), ErrorCode::Conflict, "bob is banned from #dev");
    town.wall.0 += 7_200_000;
    town.join(bob, "#dev");
    town.refused(alice, unban(Some("#dev"), "bob"), ErrorCode::Conflict, "bob is not banned");
    town.done(alice, ban(Some("#dev"), "bob", None));
    town.done(alice, unban(Some("#dev"), "bob"));
    town.join(bob, "#dev");
}

#[test]
fn who_is_muted_reads_and_does_not_speak() {
    let mut town = Town::new();
    let (alice, bob) = (town.in_dev("alice"), town.in_dev("bob"));
    town.done(alice, mute("bob", Some(60)));
    assert_eq!(town.post(bob, "#dev").unwrap_err().text, "you are muted in #dev for another 60 s");
    town.inbox(bob);
    town.post(alice, "#dev").unwrap();
    assert_eq!(town.inbox(bob).len(), 1);
    town.wall.0 += 60_000;
    town.post(bob, "#dev").unwrap();
}

#[test]
fn who_leaves_leaves_with_all_sessions() {
    let mut town = Town::new();
    town.in_dev("alice");
    let bobs = [town.in_dev("bob"), town.in_dev("bob")];
    for bob in bobs {
        town.inbox(bob);
    }
    town.done(bobs[0], leave("#dev"));
    assert_eq!(town.inbox(bobs[0]), []);
    let left = Membership { room: room("#dev"), member: false, by: name("bob"), reason: None };
    assert_eq!(town.inbox(bobs[1]), [ServerMessage::Membership(left)]);
    assert_eq!(town.inside.len(), 1);
    town.refused(bobs[0], leave("#dev"), ErrorCode::Conflict, "you are not in #dev");
}

#[test]
fn nobody_leaves_a_room_that_everyone_is_in() {
    let mut town = Town::new();
    let (alice, admin) = (town.comes("alice"), town.comes("admin"));
    town.refused(alice, leave("#common"), ErrorCode::Conflict, "everyone is in #common");
    let kick = Request::Kick(Box::new(Kick { room: room("#common"), user: name("alice"), reason: None, roster: None }));
    town.refused(admin, kick, ErrorCode::Conflict, "everyone is in #common");
    town.refused(admin, ban(Some("#common"), "alice", None), ErrorCode::Conflict, "everyone is in #common");
    town.refused(
        alice,
        Request::SetTopic(SetTopic { room: room("#common"), topic: "x".to_owned() }),
        ErrorCode::Forbidden,
        "#common has no owner: only admins may set its topic",
    );
}

#[test]
fn names_numbers_and_texts_have_limits() {
    let mut town = Town::new();
    let alice = town.in_dev("alice");
    town.refused(alice, create("#dev"), ErrorCode::Conflict, "there is a room #dev already");
    town.refused(alice, create("#common"), ErrorCode::Conflict, "there is a room #common already");
    town.done(alice, create("#two"));
    town.done(alice, create("#three"));
    town.refused(alice, create("#four"), ErrorCode::Conflict, "alice owns 3 rooms, and may own no more");
    town.refused(alice, invite("nobody"), ErrorCode::NotFound, "no user nobody is registered");
    town.refused(alice, kick("bob"), ErrorCode::Conflict, "bob is not in #dev");
    town.refused(alice, hand_over("bob"), ErrorCode::Conflict, "bob is not in #dev");
    town.refused(alice, topic("two\nlines"), ErrorCode::Malformed, "it has control characters, or several lines");
    town.refused(alice, topic(&"x".repeat(257)), ErrorCode::TooLarge, "it has 257 bytes, the server takes 256");
    town.refused(alice, leave("#nowhere"), ErrorCode::NotFound, "there is no room #nowhere");
    let mut town = Town::start(Settings { max_rooms: 2, ..settings() }, Restored::default());
    let alice = town.in_dev("alice");
    town.refused(alice, create("#two"), ErrorCode::Conflict, "the server has 2 rooms, and takes no more");
}

#[test]
fn who_is_brought_in_is_told_and_may_enter() {
    let mut town = Town::new();
    let (alice, bob) = (town.in_dev("alice"), town.comes("bob"));
    town.inbox(bob);
    town.done(alice, invite("bob"));
    let brought = Membership { room: room("#dev"), member: true, by: name("alice"), reason: None };
    assert_eq!(town.inbox(bob), [ServerMessage::Membership(brought)]);
    town.join(bob, "#dev");
    town.refused(alice, invite("bob"), ErrorCode::Conflict, "bob is in #dev already");
}

#[test]
fn a_retry_of_who_was_put_out_meanwhile_is_refused() {
    let mut town = Town::new();
    let (alice, bob) = (town.in_dev("alice"), town.in_dev("bob"));
    let post = Post {
        room: room("#dev"),
        message: MessageId([9; 16]),
        body: text("late"),
        retry: true,
        after: None,
        urgent: false,
    };
    let id = town.begin(bob, Request::Post(post));
    town.inbox(alice);
    town.begin(alice, kick("bob"));
    town.commit();
    let refused = town.answer(bob, id).unwrap().unwrap_err();
    assert_eq!((refused.code, &*refused.text), (ErrorCode::Forbidden, "you are not in #dev"));
    assert!(!town.inbox(alice).iter().any(|message| matches!(message, ServerMessage::Message(_))));
}

#[test]
fn a_failing_store_lets_nothing_be_decided() {
    let mut town = Town::new();
    let alice = town.in_dev("alice");
    town.handle(Input::Store(StoreEvent::Failing { text: "full".to_owned() }));
    town.refused(alice, topic("x"), ErrorCode::StorageUnavailable, "the server can't write to its disk");
    assert!(town.rooms(alice)[1].topic.is_empty());
    town.handle(Input::Store(StoreEvent::Recovered));
    town.done(alice, topic("x"));
}

#[test]
fn who_is_left_out_of_a_list_is_told_to_come_when_he_is_back() {
    let mut town = Town::new();
    let (alice, bob) = (town.in_dev("alice"), town.in_dev("bob"));
    // What there was to tell is told.
    town.begin(alice, Request::Rooms(Rooms { people: false }));
    town.inboxes.get_mut(&alice).unwrap().clear();
    town.handle(Input::Gone { session: bob });
    let bob = town.comes("bob");
    let id = town.next + 1;
    town.next = id;
    town.handle(Input::Request { session: alice, id, request: Request::People(People { room: room("#dev") }) });
    town.handle(Input::Request {
        session: bob,
        id: 1,
        request: Request::Join(Join { room: room("#dev"), after: None, backlog: false }),
    });
    town.now += PRESENCE_DELAY;
    town.handle(Input::Tick);
    let told: Vec<_> = town.inboxes[&alice]
        .iter()
        .map(|message| match message {
            ServerMessage::Presence(presence) => (presence.came.len(), presence.left.len(), 0),
            ServerMessage::Reply(_, Reply::People(list)) => (0, 0, list.total),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [(0, 1, 0), (0, 0, 1), (1, 0, 0)]);
}

#[test]
fn an_owner_whom_an_admin_has_put_out_decides_nothing() {
    let mut town = Town::new();
    let (alice, admin) = (town.in_dev("alice"), town.comes("admin"));
    town.done(admin, mute("alice", None));
    town.refused(alice, unmute("alice"), ErrorCode::Conflict, "that is you");
    town.done(admin, ban(Some("#dev"), "alice", None));
    let text = "you are banned from #dev until somebody lifts that";
    for decision in [unban(Some("#dev"), "alice"), topic("mine"), invite("bob"), hand_over("bob")] {
        town.refused(alice, decision, ErrorCode::Forbidden, text);
    }
    town.done(admin, unban(Some("#dev"), "alice"));
    town.done(alice, topic("mine"));
}

#[test]
fn a_room_is_handed_on_to_a_member_who_can_come() {
    let mut town = Town::new();
    let alice = town.in_dev("alice");
    town.in_dev("bob");
    town.refused(alice, hand_over("alice"), ErrorCode::Conflict, "alice owns #dev already");
    town.handle(Input::Unregistered { user: name("bob") });
    town.refused(alice, hand_over("bob"), ErrorCode::NotFound, "no user bob is registered");
    town.refused(alice, mute("carol", Some(0)), ErrorCode::Malformed, "a time of 0 seconds");
}
