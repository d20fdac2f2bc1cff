//! The operator's terminal: a command a line.

use std::io::BufRead as _;

use crate::hub::ConsoleCommand;
use crate::server::Control;
use crate::term::Term;

const HELP: &str = "console commands: /list, /kick USER, /shutdown";

/// Reads commands until the terminal is gone.
pub(super) fn start(term: &Term, control: Control) {
    let term = term.clone();
    // Who doesn't read it can do without.
    let _ = term.out(HELP);
    std::thread::spawn(move || {
        // Whatever bytes a line has.
        for line in std::io::stdin().lock().split(b'\n').map_while(Result::ok) {
            match parse(&String::from_utf8_lossy(&line)) {
                Ok(Some(command)) => control.console(command),
                Ok(None) => {}
                Err(text) => drop(term.out(text)),
            }
        }
    });
}

fn parse(line: &str) -> Result<Option<ConsoleCommand>, String> {
    let mut words = line.split_whitespace();
    let command = match (words.next(), words.next(), words.next()) {
        (None, ..) => return Ok(None),
        (Some("/list"), None, _) => ConsoleCommand::List,
        (Some("/shutdown"), None, _) => ConsoleCommand::Shutdown,
        (Some("/kick"), Some(user), None) => {
            ConsoleCommand::Kick(user.parse().map_err(|error| format!("{user}: {error}"))?)
        }
        _ => return Err(HELP.to_owned()),
    };
    Ok(Some(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_commands_or_say_what_is_one() {
        assert_eq!(parse("  "), Ok(None));
        assert_eq!(parse("/list"), Ok(Some(ConsoleCommand::List)));
        assert_eq!(parse(" /kick  Bob "), Ok(Some(ConsoleCommand::Kick("bob".parse().unwrap()))));
        assert_eq!(parse("/shutdown"), Ok(Some(ConsoleCommand::Shutdown)));
        for line in ["hello", "/kick", "/kick a b", "/list all"] {
            assert_eq!(parse(line), Err(HELP.to_owned()), "{line}");
        }
        assert!(parse("/kick b!b").unwrap_err().starts_with("b!b: "));
    }
}
