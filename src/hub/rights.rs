//! Who may do what: the one place where it is decided.

use super::requests::{banned, no_room, refused, refused_with_hint};
use super::rooms::Room;
use super::{At, Creation, Hub};
use crate::model::{RoomName, SessionId, UserName};
use crate::proto::message::{ErrorCode, Refused};

/// What not everyone may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    Create,
    Topic,
    Invite,
    Kick,
    Ban,
    Mute,
    HandOver,
    BanFromServer,
    InviteToServer,
    EndServer,
}

/// What a user is to a room, or to the server; each may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Anyone,
    Owner,
    Admin,
}

impl Right {
    /// The least standing that it needs.
    fn needs(self, creation: Creation) -> Standing {
        match self {
            Self::Create if creation == Creation::Everyone => Standing::Anyone,
            Self::Topic | Self::Invite | Self::Kick | Self::Ban | Self::Mute | Self::HandOver => Standing::Owner,
            Self::Create | Self::BanFromServer | Self::InviteToServer | Self::EndServer => Standing::Admin,
        }
    }

    /// As in "only admins may ...".
    fn words(self) -> &'static str {
        match self {
            Self::Create => "make rooms",
            Self::Topic => "set its topic",
            Self::Invite => "invite",
            Self::Kick => "kick",
            Self::Ban => "ban",
            Self::Mute => "mute",
            Self::HandOver => "hand it on",
            Self::BanFromServer => "ban from the server",
            Self::InviteToServer => "invite to the server",
            Self::EndServer => "end the server",
        }
    }
}

impl Hub {
    /// Who asks, if he may do this to the server.
    pub(super) fn may(&self, session: SessionId, right: Right) -> Result<UserName, Refused> {
        let user = self.asking(session)?;
        if self.standing(user, None) >= right.needs(self.settings.creation) {
            return Ok(user);
        }
        Err(refused_with_hint(
            ErrorCode::Forbidden,
            format!("only admins may {}", right.words()),
            "the server's operator names admins in its config.json, under \"admins\"",
        ))
    }

    /// Who asks, if he may do this in a room.
    pub(super) fn may_in(&self, session: SessionId, name: RoomName, right: Right, at: At) -> Result<UserName, Refused> {
        let user = self.asking(session)?;
        let seen = |room: &&Room| !room.is_direct && room.is_visible_to(user);
        let room = self.rooms.get(&name).filter(seen).ok_or_else(|| no_room(name))?;
        let standing = self.standing(user, Some(room));
        // An owner whom an admin has put out decides nothing, least of all that he may come back.
        if let Some(how_long) = room.banned.in_force(user, at.wall).filter(|_| standing < Standing::Admin) {
            return Err(banned(name, &how_long));
        }
        if standing >= right.needs(self.settings.creation) {
            return Ok(user);
        }
        let who = match room.owner {
            Some(owner) if room.is_private() => format!("the owner of {name}, {owner},"),
            Some(owner) => format!("the owner of {name}, {owner}, and admins"),
            None => format!("{name} has no owner: only admins"),
        };
        let text = format!("{who} may {}", right.words());
        Err(refused(ErrorCode::Forbidden, if room.owner.is_some() { format!("only {text}") } else { text }))
    }

    /// Whether `by` may put somebody out, keep him out or silence him, or end that: not oneself, nor who stands higher.
    pub(super) fn may_touch(&self, by: UserName, user: UserName, room: Option<RoomName>) -> Result<(), Refused> {
        if by == user {
            return Err(refused(ErrorCode::Conflict, "that is you"));
        }
        let room = room.and_then(|name| self.rooms.get(&name));
        if self.standing(user, room) > self.standing(by, room) {
            return Err(refused(ErrorCode::Forbidden, format!("{user} is an admin")));
        }
        Ok(())
    }

    pub(super) fn asking(&self, session: SessionId) -> Result<UserName, Refused> {
        // Requests of sessions that are gone don't come here.
        self.sessions.get(&session).map(|session| session.user).ok_or_else(super::requests::ending)
    }

    fn standing(&self, user: UserName, room: Option<&Room>) -> Standing {
        // Over a private room decides who signs its roster, and nobody else.
        let is_private = room.is_some_and(Room::is_private);
        if self.settings.admins.contains(&user) && !is_private {
            Standing::Admin
        } else if room.is_some_and(|room| room.owner == Some(user)) {
            Standing::Owner
        } else {
            Standing::Anyone
        }
    }
}
