//! Invitations to the server, for those who have no key there: who may make them, and for how long. Tokens are made, and kept,
//! outside: nothing here ever sees one but on its way to who asked.

use super::requests::{refused, refused_with_hint};
use super::rights::Right;
use super::{At, Hub, Output, Record};
use crate::crypto::invite::InviteToken;
use crate::model::{SessionId, Timestamp, UserName};
use crate::proto::message::{Act, ErrorCode, InviteUser, Invited, Refused, Reply, RequestId, ServerMessage};

/// How long an invitation is good if nobody says, seconds.
const DAY_S: u32 = 24 * 3600;
/// And at most.
const LONGEST_S: u32 = 365 * DAY_S;

/// An invitation that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Whose request it is.
    pub session: SessionId,
    /// Which of his.
    pub id: RequestId,
    /// Who invites.
    pub by: UserName,
    /// Whom.
    pub user: UserName,
    /// Good until then.
    pub until: Timestamp,
}

impl Hub {
    pub(super) fn invite_user(
        &mut self,
        session: SessionId,
        id: RequestId,
        invite: &InviteUser,
        at: At,
    ) -> Result<(), Refused> {
        let by = self.may(session, Right::InviteToServer)?;
        let user = invite.user;
        if self.users.get(&user).is_some_and(|user| user.key.is_some()) {
            let hint = format!("/invite {user} brings {user} into a room");
            return Err(refused_with_hint(ErrorCode::Conflict, format!("{user} is registered already"), hint));
        }
        let seconds = invite.seconds.unwrap_or(DAY_S);
        if !(1..=LONGEST_S).contains(&seconds) {
            return Err(refused(ErrorCode::Malformed, "an invitation is good for a year at most"));
        }
        let Some(asking) = self.sessions.get_mut(&session) else { return Ok(()) };
        // Each is a file: so nobody has more of them written than he waits for.
        if std::mem::replace(&mut asking.inviting, true) {
            return Err(refused(ErrorCode::RateLimited, "one invitation after the other"));
        }
        let until = Timestamp(at.wall.0.saturating_add(u64::from(seconds) * 1000));
        self.outputs.push_back(Output::Invite(Invitation { session, id, by, user, until }));
        Ok(())
    }

    /// It is made, or can't be, for this reason.
    pub(super) fn invited(&mut self, invitation: &Invitation, token: Result<InviteToken, String>, at: At) {
        let Invitation { session, id, by, user, until } = *invitation;
        if token.is_ok() {
            self.record(|| Record::Decided { room: None, by, act: Act::Invited { user } });
        }
        let Some(asking) = self.sessions.get_mut(&session) else { return };
        asking.inviting = false;
        match token {
            Ok(token) => {
                self.send(session, &ServerMessage::Reply(id, Reply::Invited(Invited { user, token, until })));
            }
            Err(why) => {
                let text = format!("the server can't make an invitation: {why}");
                self.refuse(session, id, refused(ErrorCode::StorageUnavailable, text), at);
            }
        }
    }
}
