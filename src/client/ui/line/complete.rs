//! What the Tab key completes: commands, and the names of those who were seen.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hint, Hinter};
use rustyline::validate::Validator;
use rustyline::{Context, Helper};
use unicode_width::UnicodeWidthStr as _;

use super::prompt::Prompt;
use crate::client::commands::{self, TABLE};
use crate::client::session::{Answer, Event};
use crate::model::UserName;
use crate::term::{Look, Paint};

/// Enough for any room that one reads.
const NAMES: usize = 10_000;

/// The names of those who were seen.
#[derive(Clone, Default)]
pub(super) struct Names(Arc<Mutex<BTreeSet<UserName>>>);

impl Names {
    /// Keeps the names in an event.
    pub(super) fn see(&self, event: &Event) {
        match event {
            Event::Message { message, .. } => self.extend([message.sender]),
            Event::Presence(presence) => self.extend(presence.came.iter().copied()),
            Event::Answered { answer: Ok(Answer::People(list)), .. } => {
                self.extend(list.people.iter().map(|person| person.user));
            }
            _ => {}
        }
    }

    fn extend(&self, users: impl IntoIterator<Item = UserName>) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for user in users {
            if names.len() < NAMES {
                names.insert(user);
            }
        }
    }
}

pub(super) struct Completion {
    pub(super) paint: Paint,
    pub(super) names: Names,
    pub(super) prompt: Prompt,
}

impl Completion {
    /// Where what is completed begins, and what it may become. Nothing is offered for an empty word.
    fn candidates(&self, line: &str, position: usize) -> (usize, Vec<String>) {
        let typed = line.get(..position).unwrap_or_default();
        let start = typed.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let word = typed.get(start..).unwrap_or_default();
        if let (0, Some(command)) = (start, word.strip_prefix('/')) {
            let names = TABLE.iter().flat_map(commands::Entry::names).filter(|name| name.starts_with(command));
            return (0, names.map(|name| format!("/{name} ")).collect());
        }
        let (mark, prefix) = word.strip_prefix('@').map_or(("", word), |rest| ("@", rest));
        if word.is_empty() {
            return (position, Vec::new());
        }
        // At the beginning of a line a name is an address.
        let after = if start == 0 && mark.is_empty() { ": " } else { " " };
        let prefix = prefix.to_ascii_lowercase();
        let names = self.names.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = names.iter().filter(|name| name.as_str().starts_with(&prefix));
        (start, fitting.map(|name| format!("{mark}{name}{after}")).collect())
    }
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(line, position))
    }
}

impl Helper for Completion {}
impl Hinter for Completion {
    type Hint = Elsewhere;

    // Called whenever the line changes.
    fn hint(&self, line: &str, position: usize, _: &Context<'_>) -> Option<Elsewhere> {
        self.prompt.note(line, position);
        let columns = usize::from(console::Term::stdout().size().1);
        let room = columns.saturating_sub(self.prompt.text().width() + 1).min(ELSEWHERE);
        line.is_empty().then(|| Elsewhere(" ".repeat(room)))
    }
}

/// Most columns of what stands behind a prompt at which nothing is typed.
const ELSEWHERE: usize = 50;

/// Room for what was not seen in other rooms, behind a prompt at which nothing is typed. The editor asks for it when the
/// line changes; what fills it is asked for whenever the line is drawn.
pub(super) struct Elsewhere(String);

impl Hint for Elsewhere {
    fn display(&self) -> &str {
        &self.0
    }

    // It is nothing that one could type.
    fn completion(&self) -> Option<&str> {
        None
    }
}
impl Highlighter for Completion {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        let columns = hint.len();
        // Names and numbers: a byte is a column.
        let text: String = self.prompt.elsewhere().chars().take(columns).collect();
        let text = format!("{text:columns$}");
        Cow::Owned(self.paint.with(Look::Dim, &text))
    }
}
impl Validator for Completion {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_names_are_completed_where_they_can_stand() {
        let names = Names::default();
        names.extend(["alice", "bob", "bodo"].map(|name| name.parse().unwrap()));
        let (news, _) = std::sync::mpsc::channel();
        let prompt = Prompt::new("alice".parse().unwrap(), crate::model::RoomName::lobby(), news);
        let completion = Completion { paint: Paint::new(false), names, prompt };
        let complete = |line: &str| completion.candidates(line, line.len());
        assert_eq!(complete("/hi"), (0, vec!["/history ".to_owned()]));
        assert_eq!(complete("/q"), (0, vec!["/quit ".to_owned()]));
        assert_eq!(complete("al"), (0, vec!["alice: ".to_owned()]));
        assert_eq!(complete("hi Al"), (3, vec!["alice ".to_owned()]));
        assert_eq!(complete("hi @bo"), (3, vec!["@bob ".to_owned(), "@bodo ".to_owned()]));
        assert_eq!(complete("/whois al"), (7, vec!["alice ".to_owned()]));
        assert_eq!(complete("hi "), (3, vec![]));
        assert_eq!(complete(""), (0, vec![]));
    }
}
