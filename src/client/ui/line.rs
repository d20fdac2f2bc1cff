//! The client on a terminal: a line editor at the bottom, the chat above it.
//!
//! The line that is being typed stays whole while messages arrive (rustyline's external printer). What is typed
//! disappears from where it was typed, and appears as everyone sees it, in the order in which everyone does, once it is on
//! the server's disk; if that takes longer than a moment, it is shown as pending meanwhile.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustyline::completion::Completer;
use rustyline::config::Configurer as _;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Editor, ExternalPrinter, Helper};
use unicode_width::UnicodeWidthStr as _;

use super::render::{INDENT, Piece, Renderer};
use super::{About, command};
use crate::client::commands::{self, Action, TABLE};
use crate::client::driver::{Handle, Told};
use crate::client::session::{Arrival, Command, Event, Outcome};
use crate::error::Error;
use crate::model::{MessageId, UserName};
use crate::proto::message::Body;
use crate::term::Term;

/// What was said may take so long to be stored before it is shown as pending.
const PENDING: Duration = Duration::from_millis(400);
/// How long leaving waits for what was said to be stored.
const PATIENCE: Duration = Duration::from_secs(5);
/// On narrower terminals rows are left to the terminal.
const MIN_COLUMNS: usize = 20;
/// Events shown together, at most.
const BATCH: usize = 256;

/// Chats until the user leaves, or the session ends.
///
/// # Errors
/// What the terminal meets.
pub fn run(term: &Term, about: &About, handle: &Handle, told: Receiver<Told>) -> Result<(Outcome, usize), Error> {
    let names = Arc::new(Mutex::new(BTreeSet::from([about.me])));
    let mut editor: Editor<Completion, DefaultHistory> = Editor::new().map_err(terminal)?;
    editor.set_helper(Some(Completion { names: Arc::clone(&names) }));
    editor.set_auto_add_history(true);
    editor.enable_bracketed_paste(true);
    if let Some(file) = &about.typed_lines {
        // There is none the first time.
        let _ = editor.load_history(file);
    }
    let printer = editor.create_external_printer().map_err(terminal)?;
    let over = Arc::new(Mutex::new(None));
    // The end of the session interrupts the line editor, which is there for that only while a line is read.
    signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::default()).map_err(terminal)?;
    let screen = Screen {
        printer,
        renderer: about.renderer(term.out_paint()),
        names,
        bell: about.bell,
        pending: Vec::new(),
        held: VecDeque::new(),
        over: Arc::clone(&over),
    };
    let shown = std::thread::spawn(move || screen.run(&told));
    let prompt = format!("[{}] {}> ", about.room, about.me);
    let typist = Typist { term, about, handle, prompt: &prompt };
    let ended = || over.lock().unwrap_or_else(PoisonError::into_inner).is_some();
    while !ended() {
        match editor.readline(&prompt) {
            Ok(line) => {
                if !typist.take(&line)? {
                    break;
                }
            }
            // Ctrl-C empties the line, as in a shell; on an empty one it says how to leave.
            Err(ReadlineError::Interrupted) => term.note("Ctrl-D or /exit leaves"),
            Err(ReadlineError::Eof) => break,
            Err(ReadlineError::Signal(_)) => {}
            Err(error) => return Err(terminal(error)),
        }
    }
    handle.send(Command::Leave { patience: PATIENCE });
    // From here on nothing is in raw mode, and the printer writes straight to the terminal.
    let _ = shown.join();
    if let Some(file) = &about.typed_lines {
        keep_typed_lines(&mut editor, file);
    }
    let outcome = over.lock().unwrap_or_else(PoisonError::into_inner).take();
    outcome.ok_or_else(|| Error::failure("the connection's thread has ended"))
}

fn terminal(error: impl std::fmt::Display) -> Error {
    Error::failure(format_args!("the terminal can't be used: {error}"))
}

fn keep_typed_lines(editor: &mut Editor<Completion, DefaultHistory>, file: &PathBuf) {
    if let Some(directory) = file.parent() {
        let _ = std::fs::create_dir_all(directory);
    }
    // Not worth an error at the end of a chat. rustyline writes it with mode 0600.
    let _ = editor.save_history(file);
}

/// Does what is typed.
struct Typist<'a> {
    term: &'a Term,
    about: &'a About,
    handle: &'a Handle,
    prompt: &'a str,
}

impl Typist<'_> {
    /// Says whether to go on.
    fn take(&self, line: &str) -> Result<bool, Error> {
        let action = match commands::parse(line) {
            Ok(action) => action,
            Err(mistake) => {
                self.term.warn(&mistake);
                self.term.hint(&mistake.hint);
                return Ok(true);
            }
        };
        if let Action::Say(_) = action {
            self.erase(line);
        }
        if let Some(command) = command(&action, self.about.room) {
            self.handle.send(command);
            return Ok(true);
        }
        match action {
            Action::Leave => return Ok(false),
            Action::Fingerprint => {
                self.term.out(format_args!("   server  {}", self.about.server))?;
                self.term.out(format_args!("   you     {}", self.about.own))?;
            }
            Action::Clear => {
                // A terminal that can't be cleared keeps what it shows.
                let _ = console::Term::stdout().clear_screen();
            }
            Action::Manual(entry) => {
                let lines = entry.map_or_else(commands::manual, commands::Entry::manual);
                for line in lines {
                    self.term.out(format_args!("   {line}"))?;
                }
            }
            _ => {}
        }
        Ok(true)
    }

    /// Takes what was typed off the screen: it comes back as everyone sees it.
    fn erase(&self, line: &str) {
        let terminal = console::Term::stdout();
        let columns = usize::from(terminal.size().1).max(1);
        let rows: usize = line
            .split('\n')
            .enumerate()
            .map(|(index, text)| {
                let before = if index == 0 { self.prompt.width() } else { 0 };
                // A row that is exactly full has the cursor on the next one.
                (before + text.width()) / columns + 1
            })
            .sum();
        // Scrolled away is as good.
        let _ = terminal.clear_last_lines(rows.min(usize::from(terminal.size().0)));
    }
}

/// Shows events above the line that is being typed.
struct Screen<P> {
    printer: P,
    renderer: Renderer,
    names: Arc<Mutex<BTreeSet<UserName>>>,
    bell: bool,
    pending: Vec<Pending>,
    // What came after a message of the user's own that is not acknowledged: it waits, so that answers don't come before
    // what they answer.
    held: VecDeque<Event>,
    over: Arc<Mutex<Option<(Outcome, usize)>>>,
}

/// Something said here that the server has not acknowledged.
struct Pending {
    id: MessageId,
    body: Body,
    since: Instant,
    shown: bool,
}

impl<P: ExternalPrinter> Screen<P> {
    fn run(mut self, told: &Receiver<Told>) {
        loop {
            let first = match self.patience() {
                None => told.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(patience) => told.recv_timeout(patience),
            };
            let mut pieces = Vec::new();
            let outcome = match first {
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => None,
                Ok(first) => std::iter::once(first)
                    .chain(std::iter::from_fn(|| told.try_recv().ok()))
                    .take(BATCH)
                    .find_map(|told| self.take(told, &mut pieces)),
            };
            self.remind(&mut pieces);
            self.print(pieces);
            if let Some(outcome) = outcome {
                *self.over.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                // Whoever waits for a line is told by the signal that ends the waiting.
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT);
                return;
            }
        }
    }

    fn take(&mut self, told: Told, pieces: &mut Vec<Piece>) -> Option<(Outcome, usize)> {
        let event = match told {
            Told::Event(event) => event,
            Told::Over { outcome, undelivered } => return Some((outcome, undelivered)),
        };
        self.remember(&event);
        match event {
            Event::Pending { id, body, .. } => {
                self.pending.push(Pending { id, body, since: Instant::now(), shown: false });
                return None;
            }
            Event::Accepted { id, time, .. } => {
                if let Some(at) = self.pending.iter().position(|own| own.id == id) {
                    let own = self.pending.remove(at);
                    let held = |event: &Event| matches!(event, Event::Message { message, .. } if message.message == id);
                    if !self.held.iter().any(held) {
                        pieces.extend(self.renderer.own(time, &own.body));
                    }
                }
            }
            event => {
                if let Event::Refused { id, .. } = &event {
                    self.pending.retain(|own| own.id != *id);
                }
                self.held.push_back(event);
            }
        }
        self.release(pieces);
        None
    }

    /// Shows what is held, up to the first message of the user's own that is not acknowledged.
    fn release(&mut self, pieces: &mut Vec<Piece>) {
        while let Some(event) = self.held.pop_front() {
            if let Event::Message { message, .. } = &event
                && let Some(own) = self.pending.iter().find(|own| own.id == message.message)
            {
                if own.shown {
                    // As pending; it comes when it is acknowledged.
                    continue;
                }
                self.held.push_front(event);
                return;
            }
            pieces.extend(self.renderer.event(&event));
            if let Event::Message { message, arrival: Arrival::Live, .. } = &event
                && self.bell
                && self.renderer.mentions(message)
            {
                pieces.push(Piece::Bell);
            }
        }
    }

    /// Keeps the names that can be completed.
    fn remember(&self, event: &Event) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        // Enough for any room that one reads.
        if names.len() > 10_000 {
            return;
        }
        match event {
            Event::Message { message, .. } => {
                names.insert(message.sender);
            }
            Event::Presence(presence) => names.extend(&presence.came),
            _ => {}
        }
    }

    fn patience(&self) -> Option<Duration> {
        let first = self.pending.iter().find(|own| !own.shown)?;
        Some((first.since + PENDING).saturating_duration_since(Instant::now()))
    }

    /// Shows what has been pending for longer than a moment.
    fn remind(&mut self, pieces: &mut Vec<Piece>) {
        for own in self.pending.iter_mut().filter(|own| !own.shown && own.since.elapsed() >= PENDING) {
            own.shown = true;
            pieces.push(self.renderer.pending(&own.body));
        }
        self.release(pieces);
    }

    fn print(&mut self, pieces: Vec<Piece>) {
        let mut text = String::new();
        let columns = usize::from(console::Term::stdout().size().1);
        for piece in pieces {
            match piece {
                Piece::Chat(line) | Piece::Notice(line) => {
                    text.push_str(&wrap(&line, columns));
                    text.push('\n');
                }
                // First: the printer wants the text to end with the end of a line.
                Piece::Bell => text.insert(0, '\x07'),
            }
        }
        if !text.is_empty() {
            // A terminal that is gone ends the line editor, and so the chat.
            let _ = self.printer.print(text);
        }
    }
}

/// `text` in rows of so many columns. Left to the terminal, the rest of a long line would begin where a message does, and
/// could pass for one.
fn wrap(text: &str, columns: usize) -> String {
    let options = textwrap::Options::new(columns.max(MIN_COLUMNS))
        .subsequent_indent(INDENT)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(text, options)
}

/// Completes commands and names.
struct Completion {
    names: Arc<Mutex<BTreeSet<UserName>>>,
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..position).unwrap_or_default();
        let start = typed.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let word = typed.get(start..).unwrap_or_default();
        if let (0, Some(command)) = (start, word.strip_prefix('/')) {
            let names = TABLE.iter().flat_map(commands::Entry::names).filter(|name| name.starts_with(command));
            return Ok((0, names.map(|name| format!("/{name} ")).collect()));
        }
        let (mark, prefix) = word.strip_prefix('@').map_or(("", word), |rest| ("@", rest));
        if prefix.is_empty() && mark.is_empty() {
            return Ok((position, Vec::new()));
        }
        // At the beginning of a line a name is an address.
        let after = if start == 0 && mark.is_empty() { ": " } else { " " };
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = names.iter().filter(|name| name.as_str().starts_with(&prefix.to_ascii_lowercase()));
        Ok((start, fitting.map(|name| format!("{mark}{name}{after}")).collect()))
    }
}

impl Helper for Completion {}
impl Hinter for Completion {
    type Hint = String;
}
impl Highlighter for Completion {}
impl Validator for Completion {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_of_a_long_message_begins_like_a_message() {
        let padding = ".".repeat(80 - "01:46 <bob> ".len());
        for filler in [padding.as_str(), &" ".repeat(padding.len())] {
            let rows = wrap(&format!("01:46 <bob> {filler}01:47 <carol> I resign"), 80);
            let mut rows = rows.lines();
            assert!(rows.next().is_some_and(|row| row.starts_with("01:46 <bob>") && row.width() <= 80));
            assert!(rows.all(|row| row.starts_with(INDENT) && row.width() <= 80));
        }
        assert_eq!(wrap("short", 80), "short");
        assert_eq!(wrap("\x1b[2m01:46\x1b[0m <bob> x", 20), "\x1b[2m01:46\x1b[0m <bob> x", "colours have no width");
    }

    #[test]
    fn commands_and_names_are_completed() {
        let names = BTreeSet::from(["alice", "alfred", "bob"].map(|name| name.parse().unwrap()));
        let completion = Completion { names: Arc::new(Mutex::new(names)) };
        let history = DefaultHistory::new();
        let complete = |line: &str| completion.complete(line, line.len(), &Context::new(&history)).unwrap();
        assert_eq!(complete("/hi"), (0, vec!["/history ".to_owned()]));
        assert_eq!(complete("al"), (0, vec!["alfred: ".to_owned(), "alice: ".to_owned()]));
        assert_eq!(complete("hi Ali"), (3, vec!["alice ".to_owned()]));
        assert_eq!(complete("hi @b"), (3, vec!["@bob ".to_owned()]));
        assert_eq!(complete("hi "), (3, vec![]));
    }
}
