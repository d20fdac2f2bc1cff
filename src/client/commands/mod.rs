//! The slash commands: one table, from which parsing, help, completion and the man page come.
//!
//! A line that starts with a slash is a command or a mistake, never a message; `//` sends a line that starts with one.
//! This module does nothing but read what was typed.

mod arguments;
mod table;

use std::str::FromStr;
use std::time::Duration;

use crate::client::session::Preference;
use crate::model::{RoomName, UserName};
use crate::proto::message::{Ban, Body, HandOver, Invite, Kick, Mute, Request, SetStatus, SetTopic, Unban, Unmute};

use self::arguments::none;
pub use self::table::TABLE;

/// Who may use a command. The server decides; this is for the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Whoever is registered.
    Everyone,
    /// The owner of a room, in it, and admins.
    Owner,
    /// The server's admins.
    Admin,
}

/// A command.
#[derive(Debug)]
pub struct Entry {
    /// Its name, without the slash.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// What is typed after it.
    pub arguments: &'static str,
    /// What it does, in a line.
    pub help: &'static str,
    /// The rest of what there is to say.
    pub details: &'static str,
    /// Who may use it.
    pub role: Role,
    parse: fn(&str) -> Result<Action, String>,
}

// Names are unique.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Entry {}

/// What a typed line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing: an empty line.
    Nothing,
    /// Say this.
    Say(Body),
    /// Leave.
    Leave,
    /// Show the last messages: so many, or as many as the server gives.
    History(Option<u32>),
    /// Show those before the ones that were shown last.
    Older(Option<u32>),
    /// Show who is here.
    People,
    /// Be in this room, and look at it.
    Join(Place),
    /// Say this to somebody alone.
    Tell {
        /// To whom.
        user: UserName,
        /// What.
        body: Body,
        /// Even if he does not want to be disturbed.
        urgent: bool,
    },
    /// Do without something, or no longer.
    Prefer(Preference),
    /// Show who is ignored, and which rooms are hushed.
    Preferences,
    /// Not to be told of what is said in this room, or again.
    Hush(bool),
    /// Say this to who has last said something to the user alone.
    Answer(Body),
    /// Answer a question: the number that was shown with the choice.
    Choose(usize),
    /// Trust the key that a user has now.
    Trust(UserName),
    /// Show what to compare with a user, to know his key; or, if it was compared, note that.
    Verify {
        /// Whose.
        user: UserName,
        /// It was compared, and is the same.
        compared: bool,
    },
    /// Look at the room of this number.
    Switch(usize),
    /// Make a room, private or not, and be in it.
    Create(RoomName, bool),
    /// Be in this room no longer, or in the one that is looked at.
    Part(Option<RoomName>),
    /// Show the rooms; with who is in them, or without.
    Rooms {
        /// With.
        people: bool,
    },
    /// Show what this room is about.
    Topic,
    /// Decide something over this room.
    Decide(Decision),
    /// Say whether one wants to be talked to.
    Status(SetStatus),
    /// Show who this is.
    Whois(UserName),
    /// Show the fingerprints of the server and of the user.
    Fingerprint,
    /// Empty the screen.
    Clear,
    /// Make an invitation to the server for a user, for so long.
    InviteUser(UserName, Option<Duration>),
    /// End the server.
    ShutDown,
    /// Explain all commands, or one.
    Manual(Option<&'static Entry>),
}

/// Where something can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a room.
    Room(RoomName),
    /// To a user.
    User(UserName),
}

impl FromStr for Place {
    type Err = String;

    /// Reads `#ROOM` or `@USER`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix('@') {
            Some(name) => name.parse().map(Self::User),
            None => text.parse().map(Self::Room),
        }
        .map_err(|error| format!("{text}: {error}"))
    }
}

impl Place {
    /// The room, for this user; nothing if the place is the user himself.
    #[must_use]
    pub fn room(self, me: UserName) -> Option<RoomName> {
        match self {
            Self::Room(room) => Some(room),
            Self::User(user) => RoomName::direct(me, user),
        }
    }
}

/// Something that owners and admins decide over a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// What it is about.
    Topic(String),
    /// Who is in it.
    Invite(UserName),
    /// Who is in it no longer.
    Kick(UserName, Option<String>),
    /// Who may not come back: to the room, or to the server.
    Ban {
        /// Who.
        user: UserName,
        /// To the server.
        server: bool,
        /// For how long; until it is lifted, without.
        time: Option<Duration>,
        /// Why.
        reason: Option<String>,
    },
    /// Who may come back.
    Unban {
        /// Who.
        user: UserName,
        /// To the server.
        server: bool,
    },
    /// Who may not speak, and for how long.
    Mute(UserName, Option<Duration>),
    /// Who may speak again.
    Unmute(UserName),
    /// Who decides from now on.
    HandOver(UserName),
}

impl Decision {
    /// What the server is asked, for a room.
    #[must_use]
    pub fn request(self, room: RoomName) -> Request {
        match self {
            Self::Topic(topic) => Request::SetTopic(SetTopic { room, topic }),
            Self::Invite(user) => Request::Invite(Invite { room, user, roster: None }),
            Self::Kick(user, reason) => Request::Kick(Box::new(Kick { room, user, reason, roster: None })),
            Self::Ban { user, server, time, reason } => Request::Ban(Box::new(Ban {
                room: (!server).then_some(room),
                user,
                seconds: time.map(seconds),
                reason,
            })),
            Self::Unban { user, server } => Request::Unban(Unban { room: (!server).then_some(room), user }),
            Self::Mute(user, time) => Request::Mute(Mute { room, user, seconds: time.map(seconds) }),
            Self::Unmute(user) => Request::Unmute(Unmute { room, user }),
            Self::HandOver(user) => Request::HandOver(HandOver { room, user, roster: None }),
        }
    }
}

/// In whole seconds, one at least.
#[must_use]
pub fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs().max(1)).unwrap_or(u32::MAX)
}

/// A line that is no command, and what to type instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Mistake {
    /// What is wrong.
    pub text: String,
    /// The next thing to type.
    pub hint: String,
}

/// The command of this name or alias.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.names().any(|known| known.eq_ignore_ascii_case(name)))
}

impl Entry {
    /// Its name, then its aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// How it is typed.
    #[must_use]
    pub fn usage(&self) -> String {
        self.usage_as(self.name)
    }

    /// How it is typed under one of its names.
    fn usage_as(&self, name: &str) -> String {
        format!("/{name} {}", self.arguments).trim_end().to_owned()
    }

    /// Everything about it, in lines.
    #[must_use]
    pub fn manual(&self) -> Vec<String> {
        let mut lines = vec![format!("{}  {}", self.usage(), self.help)];
        if !self.details.is_empty() {
            lines.push(format!("    {}", self.details));
        }
        if !self.aliases.is_empty() {
            let aliases: Vec<String> = self.aliases.iter().map(|alias| format!("/{alias}")).collect();
            lines.push(format!("    also: {}", aliases.join(", ")));
        }
        match self.role {
            Role::Everyone => {}
            Role::Owner => lines.push("    for the owner of a room, and admins".to_owned()),
            Role::Admin => lines.push("    for admins of the server".to_owned()),
        }
        lines
    }
}

/// The manual: a line a command.
#[must_use]
pub fn manual() -> Vec<String> {
    let width = TABLE.iter().map(|entry| entry.usage().len()).max().unwrap_or(0);
    TABLE
        .iter()
        .map(|entry| {
            let also: Vec<String> = entry.aliases.iter().map(|alias| format!("/{alias}")).collect();
            let also = if also.is_empty() { String::new() } else { format!(" (also {})", also.join(", ")) };
            let role = match entry.role {
                Role::Everyone => "",
                Role::Owner => " (owner)",
                Role::Admin => " (admins)",
            };
            format!("{:width$}  {}{also}{role}", entry.usage(), entry.help)
        })
        .collect()
}

/// Reads a typed line, of one row or several.
///
/// # Errors
/// [`Mistake`] for a line that starts with a slash and is no command.
pub fn parse(line: &str) -> Result<Action, Mistake> {
    let Some(command) = line.strip_prefix('/') else {
        let blank = line.trim().is_empty();
        return Ok(if blank { Action::Nothing } else { Action::Say(Body::Text { text: line.to_owned() }) });
    };
    if command.starts_with('/') {
        return Ok(Action::Say(Body::Text { text: command.to_owned() }));
    }
    let (name, arguments) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    if let Some(number @ 1..=9) = name.parse().ok().filter(|_| name.len() == 1) {
        return none(arguments.trim(), Action::Switch(number))
            .map_err(|text| Mistake { text: format!("/{name}: {text}"), hint: format!("/{name}") });
    }
    match find(name) {
        Some(entry) => (entry.parse)(arguments.trim())
            .map_err(|text| Mistake { text: format!("/{name}: {text}"), hint: entry.usage() }),
        None => Err(Mistake {
            text: format!("there is no command /{name}"),
            hint: match nearest(name) {
                Some((name, entry)) => format!("{}, or //{command} to say it", entry.usage_as(name)),
                None => format!("/help lists the commands; //{command} says it"),
            },
        }),
    }
}

/// The name that is most like what was typed, and its command.
fn nearest(typed: &str) -> Option<(&'static str, &'static Entry)> {
    let typed = typed.to_ascii_lowercase();
    let names = TABLE.iter().flat_map(|entry| entry.names().map(move |name| (name, entry)));
    names
        .map(|(name, entry)| (strsim::jaro_winkler(name, &typed), name, entry))
        .max_by(|(a, ..), (b, ..)| a.total_cmp(b))
        .and_then(|(likeness, name, entry)| (likeness > 0.75).then_some((name, entry)))
}

#[cfg(test)]
mod tests;
