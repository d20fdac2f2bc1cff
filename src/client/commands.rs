//! The slash commands: one table, from which parsing, help, completion and the man page come.
//!
//! A line that starts with a slash is a command or a mistake, never a message; `//` sends a line that starts with one.
//! This module does nothing but read what was typed.

use crate::model::UserName;
use crate::proto::message::Body;

/// Who may use a command. The server decides; this is for the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Whoever is registered.
    Everyone,
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
    /// Show who is here.
    People,
    /// Show who this is.
    Whois(UserName),
    /// Show the fingerprints of the server and of the user.
    Fingerprint,
    /// Empty the screen.
    Clear,
    /// End the server.
    ShutDown,
    /// Explain all commands, or one.
    Manual(Option<&'static Entry>),
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

/// All commands, in the order of the manual.
pub const TABLE: &[Entry] = &[
    Entry {
        name: "history",
        aliases: &[],
        arguments: "[N]",
        help: "show the last N messages of this room",
        details: "Without N, as many as the server keeps for reading back: 100, unless its operator decided otherwise.",
        role: Role::Everyone,
        parse: |arguments| match arguments {
            "" => Ok(Action::History(None)),
            count => match count.parse() {
                Ok(count) if count > 0 => Ok(Action::History(Some(count))),
                _ => Err(format!("{count} is not a number of messages")),
            },
        },
    },
    Entry {
        name: "list",
        aliases: &["who", "names"],
        arguments: "",
        help: "show who is here",
        details: "",
        role: Role::Everyone,
        parse: |arguments| none(arguments, Action::People),
    },
    Entry {
        name: "whois",
        aliases: &[],
        arguments: "USER",
        help: "show a user's key and whether the user is here",
        details: "The fingerprint is that of the key that the server has registered for the user.",
        role: Role::Everyone,
        parse: |arguments| match arguments.strip_prefix('@').unwrap_or(arguments) {
            "" => Err("whose?".to_owned()),
            user => user.parse().map(Action::Whois).map_err(|error| format!("{user}: {error}")),
        },
    },
    Entry {
        name: "me",
        aliases: &[],
        arguments: "TEXT",
        help: "say what you do: /me waves",
        details: "",
        role: Role::Everyone,
        parse: |arguments| match arguments {
            "" => Err("what do you do?".to_owned()),
            text => Ok(Action::Say(Body::Action { text: text.to_owned() })),
        },
    },
    Entry {
        name: "fingerprint",
        aliases: &[],
        arguments: "",
        help: "show the fingerprints of the server's key and of yours",
        details: "Compare the server's with what its operator tells you over another channel.",
        role: Role::Everyone,
        parse: |arguments| none(arguments, Action::Fingerprint),
    },
    Entry {
        name: "clear",
        aliases: &[],
        arguments: "",
        help: "empty the screen",
        details: "",
        role: Role::Everyone,
        parse: |arguments| none(arguments, Action::Clear),
    },
    Entry {
        name: "manual",
        aliases: &["help"],
        arguments: "[COMMAND]",
        help: "explain the commands, or one of them",
        details: "",
        role: Role::Everyone,
        parse: |arguments| match arguments.strip_prefix('/').unwrap_or(arguments) {
            "" => Ok(Action::Manual(None)),
            name => find(name).map(|entry| Action::Manual(Some(entry))).ok_or_else(|| format!("no command {name}")),
        },
    },
    Entry {
        name: "shutdown",
        aliases: &[],
        arguments: "",
        help: "end the server",
        details: "Everybody is told, and everything that was accepted is kept.",
        role: Role::Admin,
        parse: |arguments| none(arguments, Action::ShutDown),
    },
    Entry {
        name: "exit",
        aliases: &["quit"],
        arguments: "",
        help: "leave, as Ctrl-D does",
        details: "Waits a moment for what you said to be stored.",
        role: Role::Everyone,
        parse: |arguments| none(arguments, Action::Leave),
    },
];

fn none(arguments: &str, action: Action) -> Result<Action, String> {
    if arguments.is_empty() { Ok(action) } else { Err("nothing comes after it".to_owned()) }
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
        if self.role == Role::Admin {
            lines.push("    for admins of the server".to_owned());
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
            let admins = if entry.role == Role::Admin { " (admins)" } else { "" };
            format!("{:width$}  {}{also}{admins}", entry.usage(), entry.help)
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
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lower_case() {
        let mut names: Vec<_> = TABLE.iter().flat_map(Entry::names).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase())));
    }

    #[test]
    fn lines_are_messages_or_commands() {
        let say = |text: &str| Ok(Action::Say(Body::Text { text: text.to_owned() }));
        assert_eq!(parse(""), Ok(Action::Nothing));
        assert_eq!(parse("  \n "), Ok(Action::Nothing));
        assert_eq!(parse("hello"), say("hello"));
        assert_eq!(parse(" /exit"), say(" /exit"));
        assert_eq!(parse("//etc/passwd"), say("/etc/passwd"));
        assert_eq!(parse("/me  waves"), Ok(Action::Say(Body::Action { text: "waves".to_owned() })));
        assert_eq!(parse("/EXIT"), Ok(Action::Leave));
        assert_eq!(parse("/quit "), Ok(Action::Leave));
        assert_eq!(parse("/history"), Ok(Action::History(None)));
        assert_eq!(parse("/history 5"), Ok(Action::History(Some(5))));
        assert_eq!(parse("/who"), Ok(Action::People));
        assert_eq!(parse("/whois @Bob"), Ok(Action::Whois("bob".parse().unwrap())));
        assert!(matches!(parse("/help /exit"), Ok(Action::Manual(Some(entry))) if entry.name == "exit"));
    }

    #[test]
    fn mistakes_name_the_next_thing_to_type() {
        for (line, text, hint) in [
            ("/shutdwon", "there is no command /shutdwon", "/shutdown, or //shutdwon to say it"),
            ("/hlep", "there is no command /hlep", "/help [COMMAND], or //hlep to say it"),
            ("/xyzzy", "there is no command /xyzzy", "/help lists the commands; //xyzzy says it"),
            ("/", "there is no command /", "/help lists the commands; // says it"),
            ("/history many", "/history: many is not a number of messages", "/history [N]"),
            ("/history 0", "/history: 0 is not a number of messages", "/history [N]"),
            ("/whois", "/whois: whose?", "/whois USER"),
            ("/exit now", "/exit: nothing comes after it", "/exit"),
        ] {
            assert_eq!(parse(line), Err(Mistake { text: text.to_owned(), hint: hint.to_owned() }), "{line}");
        }
    }

    #[test]
    fn every_command_is_in_the_manual_in_a_line_and_in_full() {
        let lines = manual();
        assert_eq!(lines.len(), TABLE.len());
        for (entry, line) in TABLE.iter().zip(lines) {
            assert!(line.starts_with(&entry.usage()) && line.contains(entry.help));
            assert!(line.len() <= 78, "too long for a terminal: {line}");
            assert!(entry.manual()[0].contains(entry.help));
        }
    }
}
