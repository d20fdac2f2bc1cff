//! `rsachat send`: says something, and leaves when the server has it on its disk, or the other one has it.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use unicode_segmentation::UnicodeSegmentation as _;

use super::link;
use super::party::Party;
use crate::cli::{SendArgs, Wait};
use crate::client::driver::{Handle, Told};
use crate::client::gate::Gate;
use crate::client::session::{Command, Event, Outcome, Purpose, Settings};
use crate::config::ClientConfig;
use crate::error::{Context as _, Error, Exit};
use crate::model::{RoomName, Seq, UserName};
use crate::proto::message::{Body, ErrorCode, Receipt, Refused};
use crate::term::{Term, sanitise};

/// Most of standard input that is taken for one message, bytes: what a session lets wait.
const INPUT_BYTES: u64 = 8 << 20;
/// Most messages that are not acknowledged.
const UNANSWERED: usize = 256;
/// A server that takes less than that at once is not sent it in parts, but asked in vain.
const SHORTEST: usize = 256;
/// Lines that were read and not sent; with more, no more is read.
const LINES: usize = 64;
/// How long a connection may take to end when all is done.
const GOODBYE: Duration = Duration::from_secs(2);

/// What there is to say.
enum Words {
    One(String),
    /// Each line of standard input.
    Lines,
}

/// What happens.
#[expect(clippy::large_enum_variant, reason = "few wait at a time")]
enum News {
    Told(Told),
    Line(String),
    /// There are no more lines, for this reason if it is not their end.
    NoMore(Option<Error>),
}

pub(super) fn run(term: &Term, args: &SendArgs) -> Result<(), Error> {
    let check = |user, config: &ClientConfig| room(args, user, config.room);
    let (party, mut means, room) = Party::find(term, &args.talk, check)?;
    // Behind the passphrase, which may come from there, too.
    let words = words(args)?;
    means.settings = Settings { room, purpose: Purpose::Speak, give_up: Some(args.timeout), ..means.settings };
    let (sender, news) = channel();
    let tell = sender.clone();
    let driver = party.start(means, move |told| {
        // Nobody listens any more where it has failed.
        let _ = tell.send(News::Told(told));
    })?;
    let sending = Sending {
        term,
        args,
        user: party.user,
        room,
        handle: driver.handle(),
        sender,
        lines: Arc::new(Gate::new(LINES)),
        read: 0,
        message_bytes: usize::MAX,
        waiting: VecDeque::new(),
        open: 0,
        complete: false,
        last: None,
        came: Seq(0),
        until: None,
        other_key: false,
        failed: None,
        unknown: 0,
        leaving: false,
    };
    let Ended { outcome, failed, unknown } = sending.run(words, &news)?;
    driver.join();
    let unknown = (unknown > 0).then(|| format!("whether the server has {}, it has not said", messages(unknown)));
    match (outcome, failed, unknown) {
        // It was told.
        (_, Some(exit), _) => Err(Error::quiet(exit)),
        (Outcome::Left, None, None) => Ok(()),
        (Outcome::Left, None, Some(unknown)) => Err(Error::refused(unknown)),
        (outcome, None, unknown) => {
            let error = party.ended(outcome);
            Err(unknown.into_iter().fold(error, Error::hint))
        }
    }
}

fn messages(count: usize) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

/// Where it is said.
fn room(args: &SendArgs, me: UserName, usual: RoomName) -> Result<RoomName, Error> {
    let room = match (args.to, args.room) {
        (Some(to), _) => RoomName::direct(me, to).ok_or_else(|| Error::usage(format_args!("--to: {to} is you")))?,
        (None, Some(place)) => place.room(me).ok_or_else(|| Error::usage(format_args!("--room: {me} is you")))?,
        (None, None) => usual,
    };
    if args.wait.is_some() && !room.is_direct() {
        let error =
            Error::usage("--wait is for what is said to a user alone: of rooms nobody is told who has read them");
        return Err(error.hint("--to USER"));
    }
    Ok(room)
}

fn words(args: &SendArgs) -> Result<Words, Error> {
    let from_input = args.message.is_empty() || args.message == ["-"];
    if from_input && args.message.is_empty() && io::stdin().is_terminal() {
        return Err(Error::usage("there is nothing to say").hint("rsachat send 'something', or pipe it in"));
    }
    if args.lines {
        return Ok(Words::Lines);
    }
    let text = if from_input {
        let mut bytes = Vec::new();
        io::stdin().lock().take(INPUT_BYTES + 1).read_to_end(&mut bytes).context(|| "can't read standard input")?;
        if bytes.len() as u64 > INPUT_BYTES {
            return Err(Error::usage(format_args!("more than {} MiB at once", INPUT_BYTES >> 20)));
        }
        String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned()
    } else {
        args.message.join(" ")
    };
    if text.trim().is_empty() {
        return Err(Error::usage("there is nothing to say: it is empty"));
    }
    Ok(Words::One(text))
}

/// How it ended.
struct Ended {
    outcome: Outcome,
    /// How it failed first. That was told.
    failed: Option<Exit>,
    /// Of so many messages the server has not said whether it has them.
    unknown: usize,
}

/// What was said, and what became of it.
struct Sending<'a> {
    term: &'a Term,
    args: &'a SendArgs,
    user: UserName,
    room: RoomName,
    handle: Handle,
    sender: Sender<News>,
    /// Lets so many lines in; of those, so many have come.
    lines: Arc<Gate>,
    read: usize,
    /// The longest message, once the server has said so.
    message_bytes: usize,
    /// What is to be said yet; so many are under way.
    waiting: VecDeque<String>,
    open: usize,
    /// Nothing more will come.
    complete: bool,
    /// The last message that is stored; and up to where the other one has, as far as that is waited for.
    last: Option<Seq>,
    came: Seq,
    /// When the other one should have it.
    until: Option<Instant>,
    /// The server says that somebody has another key than the trusted one.
    other_key: bool,
    failed: Option<Exit>,
    unknown: usize,
    leaving: bool,
}

impl Sending<'_> {
    fn run(mut self, words: Words, news: &Receiver<News>) -> Result<Ended, Error> {
        let mut words = Some(words);
        loop {
            let next = match self.until.filter(|_| !self.leaving) {
                Some(until) => news.recv_timeout(until.saturating_duration_since(Instant::now())),
                None => news.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(News::Told(Told::Over { outcome, .. })) => {
                    return Ok(Ended { outcome, failed: self.failed, unknown: self.unknown });
                }
                Ok(News::Told(Told::Event(Event::Online(welcome)))) => {
                    self.message_bytes = usize::try_from(welcome.message_bytes).unwrap_or(usize::MAX).max(SHORTEST);
                    match words.take() {
                        Some(Words::One(text)) => {
                            self.say(&text);
                            self.complete = true;
                        }
                        Some(Words::Lines) => self.read_lines(),
                        None => {}
                    }
                }
                Ok(News::Told(Told::Event(event))) => self.heard(event),
                Ok(News::Line(line)) => {
                    self.read += 1;
                    self.say(&line);
                }
                Ok(News::NoMore(error)) => {
                    if let Some(error) = error {
                        self.fail(&error);
                    }
                    self.complete = true;
                }
                Err(RecvTimeoutError::Timeout) => {
                    let what = if self.args.wait == Some(Wait::Read) { "read" } else { "delivered" };
                    let text = format!("stored, but not {what} within {} s", self.args.timeout.as_secs_f32());
                    self.fail(&Error::new(Exit::TimedOut, text));
                    self.leave();
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Error::failure("the connection's thread has ended")),
            }
            self.go_on();
        }
    }

    /// Reads lines, in a thread of their own: that may block for ever.
    fn read_lines(&self) {
        let (sender, gate) = (self.sender.clone(), Arc::clone(&self.lines));
        std::thread::spawn(move || {
            let mut input = io::stdin().lock();
            let mut line = Vec::new();
            let end = loop {
                line.clear();
                match (&mut input).take(INPUT_BYTES).read_until(b'\n', &mut line) {
                    Ok(0) => break None,
                    Ok(_) => {}
                    Err(error) => break Some(Error::failure(error).context("can't read standard input")),
                }
                gate.enter(1);
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
                if sender.send(News::Line(text)).is_err() {
                    return;
                }
            };
            // Nobody listens any more where it has failed.
            let _ = sender.send(News::NoMore(end));
        });
    }

    /// Queues a text, in parts if it is too long for one message.
    fn say(&mut self, text: &str) {
        let parts = split(text, self.message_bytes);
        if parts.len() > 1 {
            let count = parts.len();
            self.term.note(format_args!("{} bytes are too long for one message: said in {count}", text.len()));
        }
        self.waiting.extend(parts.into_iter().map(str::to_owned));
    }

    fn heard(&mut self, event: Event) {
        match event {
            Event::Accepted { seq, .. } => {
                self.last = self.last.max(Some(seq));
                self.open = self.open.saturating_sub(1);
            }
            Event::Refused { refused, .. } => {
                self.fail(&self.error(&refused));
                self.open = self.open.saturating_sub(1);
            }
            Event::Undelivered { .. } => {
                self.unknown += 1;
                self.open = self.open.saturating_sub(1);
            }
            Event::NotEntered { refused, .. } => {
                let error = match refused.code {
                    ErrorCode::NotFound | ErrorCode::Forbidden if !self.room.is_direct() => {
                        link::no_member(self.room, &refused.text)
                    }
                    _ => self.error(&refused),
                };
                self.fail(&error);
                self.leave();
            }
            Event::KeyChanged { .. } => self.other_key = true,
            Event::Entered { info, .. } => info.receipts.iter().for_each(|receipt| self.came_to(receipt)),
            Event::Receipt(receipt) => self.came_to(&receipt),
            Event::BadRoster { why, .. } => self.term.warn(why),
            Event::Notice(text) => self.term.note(sanitise(&text)),
            _ => {}
        }
    }

    fn came_to(&mut self, receipt: &Receipt) {
        if receipt.user != self.user {
            self.came = if self.args.wait == Some(Wait::Read) { receipt.read } else { receipt.delivered };
        }
    }

    /// Says what can be said now; leaves, if everything is done.
    fn go_on(&mut self) {
        if self.leaving {
            return;
        }
        while self.open < UNANSWERED
            && let Some(text) = self.waiting.pop_front()
        {
            self.open += 1;
            let body = if self.args.code { Body::Code { text } } else { Body::Text { text } };
            self.handle.send(Command::Post { room: self.room, body, urgent: self.args.urgent });
        }
        if !self.waiting.is_empty() {
            return;
        }
        self.lines.leave(std::mem::take(&mut self.read));
        if !self.complete || self.open > 0 {
            return;
        }
        match (self.args.wait, self.last) {
            (Some(_), Some(last)) if self.came < last && self.failed.is_none() => {
                self.until.get_or_insert_with(|| Instant::now() + self.args.timeout);
            }
            _ => self.leave(),
        }
    }

    fn leave(&mut self) {
        self.leaving = true;
        self.handle.send(Command::Leave { patience: GOODBYE });
    }

    /// Tells what has failed. A message of which a part has failed is not said any further.
    fn fail(&mut self, error: &Error) {
        if self.leaving || self.failed.is_some() && !self.args.lines {
            return;
        }
        self.term.report(error);
        self.failed.get_or_insert(error.exit);
        if !self.args.lines {
            self.waiting.clear();
        }
    }

    fn error(&self, refused: &Refused) -> Error {
        let exit = match refused.code {
            _ if self.other_key => Exit::PinMismatch,
            ErrorCode::NotFound if self.room.is_direct() => Exit::NoUser,
            ErrorCode::DoNotDisturb => Exit::DoNotDisturb,
            _ => Exit::Refused,
        };
        link::refusal(exit, refused)
    }
}

/// A text in parts of at most so many bytes: whole lines where that goes, else whole characters. Empty ones are left out.
fn split(text: &str, most: usize) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while rest.len() > most {
        let boundary = (0..=most).rev().find(|at| rest.is_char_boundary(*at)).unwrap_or_default();
        let start = rest.get(..boundary).unwrap_or_default();
        // The end of a line may be the first that does not fit any more.
        let line = if rest.as_bytes().get(boundary) == Some(&b'\n') { Some(boundary) } else { start.rfind('\n') };
        let cluster = || rest.grapheme_indices(true).map(|(at, _)| at).take_while(|at| *at <= most).last();
        let first = rest.chars().next().map_or(rest.len(), char::len_utf8);
        let cut = line.or_else(|| cluster().filter(|at| *at > 0)).unwrap_or(boundary.max(first));
        let (part, next) = rest.split_at(cut);
        parts.push(part.trim_matches('\n'));
        rest = if line.is_some() { next.get(1..).unwrap_or_default() } else { next };
    }
    parts.push(rest.trim_matches('\n'));
    parts.retain(|part| !part.trim().is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_lines_else_between_characters() {
        for (text, most, parts) in [
            ("short", 10, vec!["short"]),
            ("one\ntwo\nthree", 9, vec!["one\ntwo", "three"]),
            ("one\ntwo\nthree", 7, vec!["one\ntwo", "three"]),
            ("one\n\n\ntwo", 4, vec!["one", "two"]),
            ("abcdefgh", 3, vec!["abc", "def", "gh"]),
            ("aäöü", 4, vec!["aä", "öü"]),
            // A letter and its accent stay together.
            ("abe\u{301}c", 4, vec!["ab", "e\u{301}c"]),
            // Where a cluster alone is too long, characters do.
            ("e\u{301}\u{301}\u{301}", 4, vec!["e\u{301}", "\u{301}\u{301}"]),
            ("\n\n", 1, vec![]),
        ] {
            assert_eq!(split(text, most), parts, "{text:?} by {most}");
        }
    }
}
