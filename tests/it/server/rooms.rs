//! Rooms of a real server: what was decided is there after a kill -9, and nobody gets what is not his.

use rsachat::model::{MessageId, RoomName};
use rsachat::proto::close::CloseCode;
use rsachat::proto::message::{
    Act, Ban, Body, Create, ErrorCode, HandOver, Invite, Join, Joined, Kick, Post, Reply, Request, RoomInfo, RoomList,
    Rooms, ServerMessage, SetTopic,
};
use serde_json::json;

use crate::support::client::{Client, Conn, Login, Origin, message_id};
use crate::support::data_dir::{DataDir, alice, bob};
use crate::support::server::Server;

fn dev() -> RoomName {
    "#dev".parse().unwrap()
}

fn done(client: &mut Client, request: &Request) {
    assert_eq!(client.call(request).1, Reply::Done, "{request:?}");
}

fn join(client: &mut Client, room: RoomName) -> Joined {
    match client.call(&Request::Join(Join { room, after: None, backlog: false })).1 {
        Reply::Joined(joined) => joined,
        other => panic!("{other:?}"),
    }
}

fn say(client: &mut Client, room: RoomName, text: &str) -> MessageId {
    let message = message_id();
    let body = Body::Text { text: text.to_owned() };
    let (_, reply) =
        client.call(&Request::Post(Post { room, message, body, retry: false, after: None, urgent: false }));
    assert!(matches!(reply, Reply::Accepted(_)), "{reply:?}");
    message
}

fn dev_in(client: &mut Client) -> RoomInfo {
    match client.call(&Request::Rooms(Rooms { people: true })).1 {
        Reply::Rooms(RoomList { rooms }) => rooms.into_iter().find(|info| info.room == dev()).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_decided_is_there_after_a_kill() {
    let dir = DataDir::new(json!({ "admins": ["alice"], "default_rooms": ["#common", "#news"], "reactors": 2 }));
    let server = Server::start(&dir);
    let mut first = Client::login(server.address, alice());
    let mut second = Client::login(server.address, bob());
    let (alice_name, bob_name) = (alice().user, bob().user);
    done(&mut first, &Request::Create(Create { room: dev(), roster: None }));
    done(&mut first, &Request::SetTopic(SetTopic { room: dev(), topic: "work".to_owned() }));
    join(&mut first, dev());
    join(&mut second, dev());
    done(&mut first, &Request::HandOver(HandOver { room: dev(), user: bob_name, roster: None }));
    say(&mut second, dev(), "kept");
    let ban = |seconds| {
        Request::Ban(Box::new(Ban { room: None, user: bob_name, seconds, reason: Some("because".to_owned()) }))
    };
    done(&mut first, &ban(None));
    let reason = second.wait_close();
    assert_eq!((reason.code, &*reason.text), (CloseCode::Kicked, "alice banned you from this server: because"));
    server.kill();

    let server = Server::start(&dir);
    let mut again = Client::login(server.address, alice());
    let welcomed = again.conn.welcome.as_ref().unwrap().rooms.clone();
    assert_eq!(welcomed, [RoomName::lobby(), "#news".parse().unwrap(), dev()]);
    let info = dev_in(&mut again);
    assert_eq!((&*info.topic, info.owner, info.members, info.last.0), ("work", Some(bob_name), 2, 1));
    assert_eq!(join(&mut again, dev()).last.0, 1);
    assert_eq!(dev_in(&mut again).people, [alice_name]);
    let mut banned = Client::new(Conn::new(server.address, Origin::default(), Login::Full(bob())));
    assert_eq!(banned.wait_close().text, "you are banned from this server until somebody lifts that");
}

#[test]
fn who_is_put_out_gets_all_before_and_nothing_after() {
    let dir = DataDir::new(json!({ "message_rate": 1000, "message_burst": 10_000, "reactors": 2 }));
    let server = Server::start(&dir);
    let mut owner = Client::login(server.address, alice());
    let mut other = Client::login(server.address, bob());
    let user = bob().user;
    done(&mut owner, &Request::Create(Create { room: dev(), roster: None }));
    join(&mut owner, dev());
    for round in 0..20 {
        if round % 2 == 0 {
            join(&mut other, dev());
        } else {
            done(&mut owner, &Request::Invite(Invite { room: dev(), user, roster: None }));
            join(&mut other, dev());
        }
        let mut expected: Vec<MessageId> = (0..10).map(|_| say(&mut owner, dev(), "inside")).collect();
        done(&mut owner, &Request::Kick(Box::new(Kick { room: dev(), user, reason: None, roster: None })));
        for _ in 0..5 {
            say(&mut owner, dev(), "behind his back");
        }
        // The lobby shows that all of it has arrived.
        join(&mut other, RoomName::lobby());
        join(&mut owner, RoomName::lobby());
        expected.push(say(&mut owner, RoomName::lobby(), "to everyone"));
        let mut heard = Vec::new();
        let mut told = Vec::new();
        other.wait("the end of the round", |conn| {
            for message in conn.inbox.drain(..) {
                match message {
                    ServerMessage::Message(stored) => heard.push(stored.message),
                    ServerMessage::Acted(acted) => told.extend(acted.act),
                    ServerMessage::Membership(membership) if !membership.member => told.push(Act::Invited { user }),
                    _ => {}
                }
            }
            (heard.last() == expected.last()).then_some(())
        });
        assert_eq!(heard, expected, "round {round}");
        // First that he was put out, then that he is no member.
        let kicked = Act::Kicked { user, reason: None };
        assert_eq!(told, [kicked, Act::Invited { user }], "round {round}");
    }
    let (_, reply) = other.call(&Request::SetTopic(SetTopic { room: dev(), topic: "mine".to_owned() }));
    assert!(matches!(reply, Reply::Error(refused) if refused.code == ErrorCode::Forbidden));
}
