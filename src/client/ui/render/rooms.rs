//! Rooms in words: which there are, and what is decided over them.

use super::{Piece, Renderer, count};
use crate::client::address::Address;
use crate::client::session::{Ask, Until};
use crate::model::{RoomName, Timestamp, UserName};
use crate::proto::message::{Act, Acted, Invited, Membership, Request, RoomInfo, RoomList};
use crate::term::sanitise;

/// What a face knows of a room that the user is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// `/NUMBER` goes there.
    pub number: usize,
    /// Messages that the user has not seen.
    pub unread: usize,
}

impl Renderer {
    /// A list of rooms. `mark` knows those that the user is in.
    pub fn rooms(&self, list: &RoomList, mark: impl Fn(RoomName) -> Option<Mark>) -> Vec<Piece> {
        let width = list.rooms.iter().map(|info| info.room.seen_by(self.me).len()).max().unwrap_or_default();
        let mut pieces = Vec::new();
        let (direct, shared): (Vec<&RoomInfo>, Vec<&RoomInfo>) =
            list.rooms.iter().partition(|info| info.room.is_direct());
        for info in shared.into_iter().chain(direct) {
            let mark = mark(info.room);
            let number = match mark {
                Some(Mark { number, .. }) => format!("{number:>2}"),
                None if info.joined => " *".to_owned(),
                None => "  ".to_owned(),
            };
            let room = info.room.seen_by(self.me);
            let facts = self.facts(info, mark.map_or(0, |mark| mark.unread));
            let topic = if info.topic.is_empty() { String::new() } else { format!(": {}", sanitise(&info.topic)) };
            pieces.push(Piece::Answer(self.rows(&format!("{number} {room:width$}  {facts}{topic}"), 0)));
            if !info.people.is_empty() {
                let names: Vec<&str> = info.people.iter().map(UserName::as_str).collect();
                pieces.push(Piece::Answer(self.rows(&format!("   {:width$}  {}", "", names.join(", ")), 0)));
            }
        }
        pieces
    }

    fn facts(&self, info: &RoomInfo, unread: usize) -> String {
        let mut facts = Vec::new();
        if !info.room.is_direct() {
            facts.push(format!("{} of {} here", info.present, count(info.members, "member")));
        }
        facts.push(if info.sealed { "sealed" } else { "open" }.to_owned());
        match info.owner {
            Some(owner) if owner == self.me => facts.push("yours".to_owned()),
            Some(owner) => facts.push(format!("{owner}'s")),
            None => {}
        }
        if unread > 0 {
            facts.push(format!("{unread} unread"));
        }
        facts.join(", ")
    }

    pub(super) fn acted(&self, acted: &Acted) -> Option<Piece> {
        let Acted { by, act, .. } = acted;
        let text = match act.as_ref()? {
            Act::Topic { topic } if topic.is_empty() => format!("{by} took the topic away"),
            Act::Topic { topic } => format!("{by} set the topic: {}", sanitise(topic)),
            Act::Invited { user } => format!("{by} brought {user} in"),
            Act::Kicked { user, reason } => format!("{by} put {user} out{}", why(reason.as_deref())),
            Act::Banned { user, until, reason } => {
                format!("{by} banned {user}{}{}", self.until(*until), why(reason.as_deref()))
            }
            Act::Unbanned { user } => format!("{by} let {user} come back"),
            Act::Muted { user, until } => format!("{by} muted {user}{}", self.until(*until)),
            Act::Unmuted { user } => format!("{by} let {user} speak again"),
            Act::HandedOver { user } => format!("{by} made {user} the owner"),
            Act::Left {} => format!("{by} has left"),
        };
        Some(self.notice(&text))
    }

    pub(super) fn membership(&self, membership: &Membership) -> Piece {
        let Membership { room, member, by, reason } = membership;
        let text = match (member, *by == self.me) {
            (true, true) => format!("you are in {room}, by another of your sessions"),
            (true, false) => format!("{by} brought you into {room}; /join {room} goes there, /leave {room} leaves"),
            (false, true) => format!("you have left {room}, with another of your sessions"),
            (false, false) => format!("{by} put you out of {room}{}", why(reason.as_deref())),
        };
        self.notice(&text)
    }

    /// What was done, where nothing else tells.
    pub(super) fn done(&self, ask: &Ask) -> Option<Piece> {
        let Ask::Do(request) = ask else { return None };
        let text = match request {
            Request::Shutdown(_) => "the server is ending".to_owned(),
            Request::Ban(ban) if ban.room.is_none() => format!("{} is banned from the server", ban.user),
            Request::Unban(unban) if unban.room.is_none() => format!("{} may come to the server again", unban.user),
            _ => return None,
        };
        Some(self.notice(&text))
    }

    /// What somebody types to be let in, in one piece, to be copied.
    pub(super) fn invited(&self, invited: &Invited) -> Vec<Piece> {
        let Invited { user, token, until } = invited;
        let Some(address) = &self.address else { return Vec::new() };
        let address = Address { user: Some(*user), invite: Some(token.clone()), ..address.clone() };
        let about = format!("{user} gets in by typing this, once,{}:", self.until(Some(*until)));
        vec![self.line(&about), Piece::Answer(address.to_command())]
    }

    fn until(&self, until: Option<Timestamp>) -> String {
        until.map(|until| format!(" until {}", self.local(until).strftime("%Y-%m-%d %H:%M"))).unwrap_or_default()
    }
}

fn why(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {}", sanitise(reason))).unwrap_or_default()
}

/// The command that asks this.
pub(super) fn command(ask: &Ask) -> &'static str {
    match ask {
        Ask::History { until: Until::Older, .. } => "/older",
        Ask::History { .. } => "/history",
        Ask::People { .. } => "/list",
        Ask::Whois { .. } => "/whois",
        Ask::Rooms { people: false } => "/rooms",
        Ask::Rooms { people: true } => "/knowrooms",
        Ask::Create { .. } => "/create",
        Ask::Do(request) => match request {
            Request::Shutdown(_) => "/shutdown",
            Request::InviteUser(_) => "/invite-user",
            Request::Leave(_) => "/leave",
            Request::SetTopic(_) => "/topic",
            Request::Invite(_) => "/invite",
            Request::Kick(_) => "/kick",
            Request::Ban(_) => "/ban",
            Request::Unban(_) => "/unban",
            Request::Mute(_) => "/mute",
            Request::Unmute(_) => "/unmute",
            Request::HandOver(_) => "/owner",
            Request::SetStatus(_) => "/status",
            _ => "refused",
        },
    }
}
