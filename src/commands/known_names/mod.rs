//! `rsachat known-names`: what a word that is being typed may become, where it is the name of a room, a user or a cursor that is
//! known on this machine. For the completion scripts of the shells, which have all else in them.
//!
//! It never asks anybody anything, neither a person nor a server, writes no file, and is done within a moment. Whatever is in
//! its way, it says nothing of it: then there is nothing to offer.

mod local;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use clap::{Arg, Command, CommandFactory as _};

use crate::cli::{Cli, KnownNamesArgs};
use crate::error::Error;
use crate::term::Term;

/// How long a person waits for it at most. An agent that was stopped, for one, does not answer.
const PATIENCE: Duration = Duration::from_millis(300);

/// What can be completed: by its command, and the name that the argument has in [`crate::cli`].
const KNOWN: [(&str, &str, Wanted); 10] = [
    ("connect", "room", Wanted::Places),
    ("send", "room", Wanted::Places),
    ("send", "to", Wanted::Users),
    ("tail", "rooms", Wanted::Places),
    ("tail", "cursor", Wanted::Cursors),
    ("ask", "whom", Wanted::Whom),
    ("ask", "from", Wanted::Users),
    ("trust remove", "user", Wanted::Pinned),
    ("keys remove", "user", Wanted::Registered),
    ("invite", "user", Wanted::Invited),
];

/// Which names are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Rooms, and users with an `@`.
    Places,
    /// Rooms, and users.
    Whom,
    Users,
    /// Users whose keys are trusted.
    Pinned,
    Cursors,
    /// Who is registered on a server, or invited.
    Registered,
    /// Who is invited, and may be invited anew.
    Invited,
}

/// Prints what the last word may become, a line each.
pub(super) fn run(term: &Term, args: &KnownNamesArgs) -> Result<(), Error> {
    let words: Vec<String> = args.words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut root = Cli::command();
    // Only then commands have the options that all of them share.
    root.build();
    let Some(typed) = Typed::read(&root, &words) else { return Ok(()) };
    let known = KNOWN.iter().find(|(command, id, _)| *command == typed.command && *id == typed.argument.get_id());
    let Some((.., wanted)) = known else { return Ok(()) };
    let (sender, found) = channel();
    let given = typed.given;
    // Left alone when it takes too long.
    std::thread::spawn(move || local::find(*wanted, &given, |names| drop(sender.send(names))));
    let until = Instant::now() + PATIENCE;
    let mut all = BTreeSet::new();
    while let Ok(names) = found.recv_timeout(until.saturating_duration_since(Instant::now())) {
        all.extend(names);
    }
    let fits = all.iter().filter(|name| name.starts_with(typed.begun));
    term.write_out(fits.flat_map(|name| [typed.before, name, "\n"]).collect::<String>().as_bytes())
}

/// A command line up to a word that is being typed, which is, or ends with, the value of an argument.
#[derive(Debug)]
struct Typed<'a> {
    /// The names of the commands, as `trust remove`.
    command: String,
    argument: &'a Arg,
    /// The value, as far as it is typed; of several in one word the last, and what stands before it.
    begun: &'a str,
    before: &'a str,
    /// The values of the options before it, by the names of the options.
    given: BTreeMap<String, String>,
}

impl<'a> Typed<'a> {
    /// Reads the words after the program's name.
    fn read(root: &'a Command, words: &'a [String]) -> Option<Self> {
        let (last, earlier) = words.split_last()?;
        let (mut command, mut names) = (root, Vec::new());
        let mut given = BTreeMap::new();
        let (mut option, mut positionals, mut escaped) = (None::<&Arg>, 0, false);
        for word in earlier {
            let unquoted = || word.trim_matches(['"', '\'']).to_owned();
            if let Some(option) = option.take() {
                given.insert(option.get_id().to_string(), unquoted());
            } else if escaped || !word.starts_with('-') || word == "-" {
                match command.find_subcommand(word).filter(|_| positionals == 0 && !escaped) {
                    Some(subcommand) => {
                        names.push(word.as_str());
                        command = subcommand;
                    }
                    None => positionals += 1,
                }
            } else if word == "--" {
                escaped = true;
            } else if let Some((option, value)) = word.split_once('=') {
                let value = value.trim_matches(['"', '\'']).to_owned();
                given.extend(long(command, option).map(|option| (option.get_id().to_string(), value)));
            } else {
                option = long(command, word);
            }
        }
        let inline = last.split_once('=').filter(|(option, _)| !escaped && option.starts_with("--"));
        let (argument, value) = match (option, inline) {
            (Some(option), _) => (option, last.as_str()),
            (None, Some((option, value))) => (long(command, option)?, value),
            (None, None) => (command.get_positionals().nth(positionals)?, last.as_str()),
        };
        let cut = argument.get_value_delimiter().and_then(|delimiter| value.rfind(delimiter).map(|at| at + 1));
        let (before, begun) = value.split_at_checked(cut.unwrap_or_default())?;
        Some(Self { command: names.join(" "), argument, begun, before, given })
    }
}

/// The option that is spelt so, if it takes a value.
fn long<'a>(command: &'a Command, spelling: &str) -> Option<&'a Arg> {
    let name = spelling.strip_prefix("--")?;
    command.get_arguments().find(|arg| arg.get_long() == Some(name)).filter(|arg| arg.get_action().takes_values())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Command {
        let mut root = Cli::command();
        root.build();
        root
    }

    #[test]
    fn everything_that_is_known_can_be_typed() {
        let root = root();
        for (name, argument, _) in KNOWN {
            let mut command = &root;
            for word in name.split(' ') {
                command = command.find_subcommand(word).unwrap_or_else(|| panic!("there is no {name}"));
            }
            assert!(command.get_arguments().any(|arg| arg.get_id() == argument), "{name} has no {argument}");
        }
    }

    #[test]
    fn the_argument_that_is_typed_is_found() {
        let root = root();
        for (line, command, argument, before, begun) in [
            ("send --room #o", "send", "room", "", "#o"),
            ("send --room=#o", "send", "room", "", "#o"),
            ("send --no-input --timeout 5s --to ", "send", "to", "", ""),
            ("tail --room #ops --room #d", "tail", "rooms", "", "#d"),
            ("ask bob", "ask", "whom", "", "bob"),
            ("ask --timeout 5m --choices=yes,no b", "ask", "whom", "", "b"),
            ("ask bob what --from bob,ca", "ask", "from", "bob,", "ca"),
            ("ask #ops what --from=bob,carol,", "ask", "from", "bob,carol,", ""),
            ("trust remove --user alice b", "trust remove", "user", "", "b"),
            ("trust --color never remove b", "trust remove", "user", "", "b"),
            ("keys --data-dir /srv/chat remove a", "keys remove", "user", "", "a"),
            ("send -- --room", "send", "message", "", "--room"),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let typed = Typed::read(&root, &words).unwrap_or_else(|| panic!("nothing is found in {line}"));
            let found = (typed.command.as_str(), typed.argument.get_id().as_str(), typed.before, typed.begun);
            assert_eq!(found, (command, argument, before, begun), "{line}");
        }
        for line in ["", "se", "--no-inp", "send --no-input=", "trust rem", "trust remove bob carol"] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert!(Typed::read(&root, &words).is_none(), "{line}");
        }
        assert!(Typed::read(&root, &[]).is_none());
        let words = ["invite", "--data-dir=/srv/chat", "--expires", "'7d'", "b"].map(str::to_owned);
        let given = Typed::read(&root, &words).map(|typed| typed.given).unwrap_or_default();
        assert_eq!(
            given,
            [("data_dir", "/srv/chat"), ("expires", "7d")].map(|(id, value)| (id.into(), value.into())).into()
        );
    }
}
