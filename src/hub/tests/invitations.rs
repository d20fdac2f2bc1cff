//! Who may let somebody into the server.

use super::rooms::town::Town;
use super::*;
use crate::crypto::invite::InviteToken;
use crate::proto::message::{InviteUser, Invited};

const DAY: u32 = 24 * 3600;

fn invite(user: &str, seconds: Option<u32>) -> Request {
    Request::InviteUser(InviteUser { user: name(user), seconds })
}

fn ask(town: &mut Town, session: SessionId, request: Request) -> RequestId {
    town.next += 1;
    let id = town.next;
    town.handle(Input::Request { session, id, request });
    id
}

/// The answer to the last request, if it has come.
fn answer(town: &mut Town, session: SessionId) -> Option<(RequestId, Reply)> {
    town.inbox(session).into_iter().find_map(|message| match message {
        ServerMessage::Reply(id, reply) => Some((id, reply)),
        _ => None,
    })
}

#[test]
fn an_admin_gets_what_was_made_for_him() {
    let mut town = Town::new();
    let admin = town.comes("admin");
    for (seconds, lasts) in [(None, DAY), (Some(60), 60), (Some(365 * DAY), 365 * DAY)] {
        let id = ask(&mut town, admin, invite("dave", seconds));
        assert_eq!(answer(&mut town, admin), None);
        let invitation = town.invitations.pop_front().unwrap();
        let until = Timestamp(town.wall.0 + u64::from(lasts) * 1000);
        assert_eq!((invitation.user, invitation.by, invitation.until), (name("dave"), name("admin"), until));
        let token = InviteToken::from_bytes([7; 16]);
        town.handle(Input::Invited(invitation, Ok(token.clone())));
        let invited = Invited { user: name("dave"), token, until };
        assert_eq!(answer(&mut town, admin), Some((id, Reply::Invited(invited))));
    }
}

#[test]
fn nobody_else_invites_and_nobody_is_invited_who_is_here() {
    let mut town = Town::new();
    let (admin, alice) = (town.comes("admin"), town.comes("alice"));
    town.refused(alice, invite("dave", None), ErrorCode::Forbidden, "only admins may invite to the server");
    town.refused(admin, invite("bob", None), ErrorCode::Conflict, "bob is registered already");
    for seconds in [0, 365 * DAY + 1] {
        let text = "an invitation is good for a year at most";
        town.refused(admin, invite("dave", Some(seconds)), ErrorCode::Malformed, text);
    }
    assert_eq!(town.invitations, []);
}

#[test]
fn one_is_made_after_the_other_and_what_could_not_be_made_is_told() {
    let mut town = Town::new();
    let admin = town.comes("admin");
    let id = ask(&mut town, admin, invite("dave", None));
    town.refused(admin, invite("erin", None), ErrorCode::RateLimited, "one invitation after the other");
    let invitation = town.invitations.pop_front().unwrap();
    town.handle(Input::Invited(invitation, Err("no space".to_owned())));
    let Some((answered, Reply::Error(refused))) = answer(&mut town, admin) else { panic!("no refusal") };
    assert_eq!((answered, refused.code), (id, ErrorCode::StorageUnavailable));
    assert_eq!(refused.text, "the server can't make an invitation: no space");
    ask(&mut town, admin, invite("erin", None));
    assert_eq!(town.invitations.len(), 1);
}

#[test]
fn who_asked_and_is_gone_gets_nothing() {
    let mut town = Town::new();
    let admin = town.comes("admin");
    ask(&mut town, admin, invite("dave", None));
    let invitation = town.invitations.pop_front().unwrap();
    town.handle(Input::Gone { session: admin });
    let _ = town.inbox(admin);
    town.handle(Input::Invited(invitation, Ok(InviteToken::from_bytes([7; 16]))));
    assert_eq!(town.inbox(admin), []);
}
