//! Events in words: how messages and notices look, on a terminal and in a pipe.
//!
//! Every remote text passes the sanitiser here, and nowhere else on its way to the screen. Nothing here writes anything.

use jiff::Timestamp as Time;
use jiff::tz::TimeZone;

use crate::client::session::{Answer, Arrival, Ask, Event};
use crate::model::{Fingerprint, Timestamp, UserName};
use crate::proto::message::{Body, Refused, Stored};
use crate::term::{Look, Paint, sanitise, sanitise_lines};

/// A piece of output, of one line or several, without the last line's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// What people say.
    Chat(String),
    /// What is to be known about it.
    Notice(String),
    /// A ring.
    Bell,
}

/// Puts events into words, for one user.
#[derive(Debug)]
pub struct Renderer {
    me: UserName,
    paint: Paint,
    zone: TimeZone,
    // The day of the last message shown, so that a new one is announced.
    day: Option<jiff::civil::Date>,
}

impl Renderer {
    /// For `me`, in this time zone.
    #[must_use]
    pub fn new(me: UserName, paint: Paint, zone: TimeZone) -> Self {
        Self { me, paint, zone, day: None }
    }

    /// An event in words; nothing for one that is not worth a line. Messages are [`message`](Self::message)'s.
    pub fn event(&mut self, event: &Event) -> Vec<Piece> {
        match event {
            Event::Offline { reason, retry_in, failures } => match failures {
                0 => vec![self.notice(&format!("connection lost: {}", sanitise(reason)))],
                1 => vec![self.notice(&format!("no connection ({}), trying on", sanitise(reason)))],
                // It has been said; a long wait is worth saying again.
                failures if failures % 10 == 0 => {
                    let wait = retry_in.as_secs();
                    vec![self.notice(&format!("still no connection ({}), next try in {wait} s", sanitise(reason)))]
                }
                _ => Vec::new(),
            },
            Event::Entered { room, again: true } => vec![self.notice(&format!("back in {room}"))],
            Event::NotEntered { room, refused } => vec![self.refusal(&format!("can't enter {room}"), refused)],
            Event::Message { message, arrival, .. } => self.message(message, *arrival),
            Event::Delayed { refused, retry_in, .. } => {
                let wait = retry_in.as_secs().max(1);
                vec![self.refusal(&format!("not stored yet, trying again in {wait} s"), refused)]
            }
            Event::Refused { body, refused, .. } => {
                let text = sanitise_lines(body.text(), INDENT).into_owned();
                vec![self.refusal("not sent", refused), self.notice(&format!("it was: {text}"))]
            }
            Event::Withdrawn { messages, .. } => self.withdrawn(messages),
            Event::Missed { gone, .. } => {
                let were = if *gone == 1 { "message was" } else { "messages were" };
                vec![self.notice(&format!("{gone} earlier {were} said while you were away, and are gone"))]
            }
            Event::Presence(presence) => {
                let mut pieces = Vec::new();
                for (users, verb) in [(&presence.came, "came"), (&presence.left, "left")] {
                    let users: Vec<&UserName> = users.iter().filter(|user| **user != self.me).collect();
                    if !users.is_empty() {
                        pieces.push(self.notice(&format!("{} {verb}", names(&users))));
                    }
                }
                pieces
            }
            Event::Answered { ask, answer: Err(refused) } => {
                let what = match ask {
                    Ask::History { .. } => "/history",
                    Ask::People { .. } => "/list",
                    Ask::Whois { .. } => "/whois",
                    Ask::Shutdown => "/shutdown",
                };
                vec![self.refusal(what, refused)]
            }
            Event::Answered { answer: Ok(answer), .. } => self.answer(answer),
            Event::Notice(text) => vec![self.notice(&sanitise(text))],
            Event::Online(_) | Event::Entered { again: false, .. } | Event::Pending { .. } | Event::Accepted { .. } => {
                Vec::new()
            }
        }
    }

    /// A message as everyone sees it.
    pub fn message(&mut self, message: &Stored, arrival: Arrival) -> Vec<Piece> {
        let mut pieces = self.new_day(message.time);
        let body = message.body.as_ref();
        let line = self.said(message.time, message.sender, body, arrival == Arrival::Live);
        pieces.push(Piece::Chat(line));
        pieces
    }

    /// A message of the user's own, as everyone sees it.
    pub fn own(&mut self, time: Timestamp, body: &Body) -> Vec<Piece> {
        let mut pieces = self.new_day(time);
        pieces.push(Piece::Chat(self.said(time, self.me, Some(body), false)));
        pieces
    }

    /// A message of the user's own that the server does not have yet.
    #[must_use]
    pub fn pending(&self, body: &Body) -> Piece {
        let text = sanitise_lines(body.text(), INDENT);
        Piece::Notice(self.paint.with(Look::Dim, &format!("  ... {text} (not on the server's disk yet)")))
    }

    /// Whether a message mentions the user.
    #[must_use]
    pub fn mentions(&self, message: &Stored) -> bool {
        message.sender != self.me && message.body.as_ref().is_some_and(|body| mentions(body.text(), self.me))
    }

    /// A line of the program's own.
    #[must_use]
    pub fn notice(&self, text: &str) -> Piece {
        Piece::Notice(self.paint.with(Look::Dim, &format!("-- {text}")))
    }

    /// The two fingerprints.
    #[must_use]
    pub fn fingerprints(&self, server: Fingerprint, own: Fingerprint) -> Vec<Piece> {
        vec![self.notice(&format!("server  {server}")), self.notice(&format!("you     {own}"))]
    }

    fn said(&self, time: Timestamp, sender: UserName, body: Option<&Body>, alert: bool) -> String {
        let clock = self.paint.with(Look::Dim, &self.local(time).strftime("%H:%M").to_string());
        let name = self.paint.name(sender);
        let text = body.map(|body| sanitise_lines(body.text(), INDENT));
        let text = text.as_deref().unwrap_or("(a kind of message that this version does not know)");
        let mentioned = alert && sender != self.me && mentions(text, self.me);
        let text = if mentioned { self.paint.with(Look::Strong, text) } else { text.to_owned() };
        match body {
            Some(Body::Action { .. }) => format!("{clock} * {name} {text}"),
            _ => format!("{clock} <{name}> {text}"),
        }
    }

    fn new_day(&mut self, time: Timestamp) -> Vec<Piece> {
        let day = self.local(time).date();
        if self.day.replace(day) == Some(day) {
            return Vec::new();
        }
        vec![self.notice(&day.strftime("%A, %-d %B %Y").to_string())]
    }

    fn local(&self, time: Timestamp) -> jiff::Zoned {
        // A server's clock may say anything.
        let milliseconds = i64::try_from(time.0).unwrap_or(i64::MAX);
        Time::from_millisecond(milliseconds).unwrap_or(Time::UNIX_EPOCH).to_zoned(self.zone.clone())
    }

    fn withdrawn(&self, messages: &[crate::client::session::Seen]) -> Vec<Piece> {
        let mut pieces = vec![
            self.notice("the server was restarted before it had stored the following; whoever said it sends it again"),
        ];
        for seen in messages {
            pieces.push(self.notice(&format!("withdrawn: <{}> {}", seen.sender, sanitise(&seen.text))));
        }
        pieces
    }

    fn answer(&mut self, answer: &Answer) -> Vec<Piece> {
        match answer {
            Answer::History { messages, more } => {
                let day = self.day.take();
                let mut pieces = Vec::new();
                if messages.is_empty() {
                    pieces.push(self.notice("nothing has been said here yet"));
                } else {
                    let what = if *more { "history; there is more before it" } else { "history, from its beginning" };
                    pieces.push(self.notice(what));
                    for message in messages {
                        pieces.extend(self.message(message, Arrival::Backlog));
                    }
                    pieces.push(self.notice("end of the history"));
                }
                self.day = day;
                pieces
            }
            Answer::People(list) => {
                let mut pieces = vec![self.notice(&format!("{} in {}", count(list.total, "user"), list.room))];
                for person in &list.people {
                    let since = self.local(person.since).strftime("%Y-%m-%d %H:%M").to_string();
                    let sessions =
                        if person.sessions > 1 { format!(", {} sessions", person.sessions) } else { String::new() };
                    let name = self.paint.name(person.user);
                    let pad = " ".repeat(16_usize.saturating_sub(person.user.as_str().len()));
                    pieces.push(Piece::Notice(format!("   {name}{pad} since {since}{sessions}")));
                }
                pieces
            }
            Answer::User(user) => {
                let here = match user.since {
                    Some(since) => format!("here since {}", self.local(since).strftime("%Y-%m-%d %H:%M")),
                    None => "not here".to_owned(),
                };
                let admin = if user.admin { ", an admin" } else { "" };
                vec![
                    self.notice(&format!("{}{admin}, {here}", user.user)),
                    self.notice(&format!("key {}", user.fingerprint)),
                ]
            }
            Answer::Ending => vec![self.notice("the server is ending")],
        }
    }

    fn refusal(&self, what: &str, refused: &Refused) -> Piece {
        let hint = refused.hint.as_deref().map(|hint| format!(" ({})", sanitise(hint))).unwrap_or_default();
        Piece::Notice(self.paint.with(Look::Error, &format!("-- {what}: {}{hint}", sanitise(&refused.text))))
    }
}

/// What further lines of a message begin with: nothing that begins a message of its own.
pub(super) const INDENT: &str = "      | ";

fn names(users: &[&UserName]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = users.iter().take(SHOWN).map(|user| user.as_str()).collect();
    match users.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn count(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Whether `text` has the user's name as a word, with or without an `@`.
fn mentions(text: &str, user: UserName) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.split(|c| !part_of_name(c))
        .map(|word| word.trim_matches(['.', '-']))
        .any(|word| word.eq_ignore_ascii_case(user.as_str()))
}

#[cfg(test)]
mod tests;
