//! Events in words: how messages and notices look, on a terminal and in a pipe.
//!
//! Every remote text passes the sanitiser here, and nowhere else on its way to the screen. Nothing here writes anything.

mod rooms;
mod said;
mod wrap;

pub use self::rooms::Mark;
pub use self::said::Questions;

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use self::wrap::Breaks;
use crate::client::address::Address;
use crate::client::commands::Mistake;
use crate::client::session::{Answer, Arrival, Ask, Event, Preference, Trust, Until, Visit};
use crate::model::{Fingerprint, RoomName, Timestamp, UserName};
use crate::proto::message::{Availability, Changed, ErrorCode, Refused, Status};
use crate::term::{Look, Paint, sanitise};
use crate::time;

/// A piece of output, of one line or several, without the last line's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// What people say.
    Chat(String),
    /// The program's own lines of what the user asked for.
    Answer(String),
    /// What is to be known about it.
    Notice(String),
    /// A ring.
    Bell,
}

/// Where the words go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// To a terminal: times without days, which are announced, and rows that fit.
    Screen,
    /// To a pipe or a file: every message begins with its day and time, and is broken only where its sender broke it.
    Lines,
}

/// Puts events into words, for one user.
#[derive(Debug)]
pub struct Renderer {
    me: UserName,
    paint: Paint,
    zone: TimeZone,
    form: Form,
    // Columns of the terminal.
    width: usize,
    // The day of the last message shown, so that a new one is announced.
    day: Option<jiff::civil::Date>,
    // Where the last message shown was nothing new.
    backlog: Option<RoomName>,
    // It has been said that the server stores nothing.
    delayed: bool,
    // What these say is not shown.
    ignored: BTreeSet<UserName>,
    // Who comes and goes is shown.
    presence: bool,
    address: Option<Address>,
    // The preferences that were remembered are no news.
    online: bool,
    questions: Questions,
}

impl Renderer {
    /// For `me`, in this time zone.
    #[must_use]
    pub fn new(me: UserName, paint: Paint, zone: TimeZone, form: Form) -> Self {
        Self {
            me,
            paint,
            zone,
            form,
            width: 80,
            day: None,
            backlog: None,
            delayed: false,
            ignored: BTreeSet::new(),
            presence: true,
            address: None,
            online: false,
            questions: Questions::default(),
        }
    }

    /// Shows who comes and goes, or doesn't.
    #[must_use]
    pub fn with_presence(self, presence: bool) -> Self {
        Self { presence, ..self }
    }

    /// Where the server is, for who is invited.
    #[must_use]
    pub fn with_address(self, address: Address) -> Self {
        Self { address: Some(address), ..self }
    }

    /// The terminal has so many columns now.
    pub fn set_width(&mut self, columns: usize) {
        self.width = columns;
    }

    /// Whether the user may want to hear a ring for this.
    #[must_use]
    pub fn rings(&self, event: &Event) -> bool {
        match event {
            Event::Message { message, arrival: Arrival::Live, .. } => {
                self.mentions(message) && !self.ignores(message.sender)
            }
            _ => false,
        }
    }

    /// An event in words; nothing for one that is not worth a line. Messages are [`message`](Self::message)'s.
    pub fn event(&mut self, event: &Event) -> Vec<Piece> {
        match event {
            Event::Offline { reason, retry_in, failures } => match failures {
                0 => vec![self.notice(&format!("connection lost ({}), trying on", sanitise(reason)))],
                1 => vec![self.notice(&format!("no connection ({}), trying on", sanitise(reason)))],
                // It has been said; a long wait is worth saying again.
                failures if failures % 10 == 0 => {
                    let wait = retry_in.as_secs();
                    vec![self.notice(&format!("still no connection ({}), next try in {wait} s", sanitise(reason)))]
                }
                _ => Vec::new(),
            },
            Event::Entered { info, visit: Visit::Again } => {
                vec![self.notice(&format!("back in {}", info.room.seen_by(self.me)))]
            }
            Event::NotEntered { room, refused } => {
                vec![self.refusal(&format!("can't enter {}", room.seen_by(self.me)), refused)]
            }
            Event::Message { message, .. } if self.ignores(message.sender) => Vec::new(),
            Event::Message { message, arrival, seal, .. } => {
                let backlog = std::mem::replace(&mut self.backlog, (*arrival == Arrival::Backlog).then_some(message.room));
                let is_first_new = self.form == Form::Screen && *arrival == Arrival::Missed && backlog == Some(message.room);
                let new = is_first_new.then(|| self.notice("new since you were here"));
                new.into_iter().chain(self.message(message, *seal)).collect()
            }
            Event::Preferred(preference) => self.preferred(*preference).into_iter().collect(),
            Event::Withheld { sender, count: missing, .. } => {
                let missing = count(*missing, "message");
                vec![self.warning(&format!("before this, {missing} of {sender} did not come: refused, or withheld"))]
            }
            Event::Repeated { sender, .. } => {
                vec![self.warning(&format!("the server sent an earlier message of {sender} once more: not shown"))]
            }
            Event::BeforeYou { count: before, .. } => {
                let before = count(*before, "message");
                vec![self.notice(&format!("before this, {before} from when you were not in the room"))]
            }
            Event::ShutOut { room, user } => vec![self.warning(&format!(
                "{user} has another key than when he came to {room}, and can't read what is said from now on; the owner can \
                 /invite {user} again"
            ))],
            Event::BadRoster { room, why } => {
                vec![self.warning(&format!("{room}: {why}. Nothing is sent there, and nothing shown"))]
            }
            Event::KeyChanged { user, key, known } => self.key_changed(*user, *key, *known),
            Event::Trusted { user, pin } => {
                let how = if pin.verified { "verified" } else { "trusted" };
                vec![self.notice(&format!("{user}'s key is {how} from now on: {}", pin.key))]
            }
            // A limit of the rate passes by itself, and soon.
            Event::Delayed { refused, .. } if refused.code != ErrorCode::RateLimited => {
                if std::mem::replace(&mut self.delayed, true) {
                    return Vec::new();
                }
                vec![self.refusal("not stored yet, trying on", refused)]
            }
            Event::Refused { body, refused, .. } => {
                let text = self.words(body);
                vec![self.refusal("not sent", refused), self.notice(&format!("it was: {text}"))]
            }
            Event::Undelivered { body, .. } => {
                let text = self.words(body);
                vec![self.notice(&format!("not acknowledged: {text}"))]
            }
            Event::Withdrawn { messages, .. } => self.withdrawn(messages),
            Event::Missed { gone, .. } => {
                let (were, are, them) =
                    if *gone == 1 { ("message was", "is", "it") } else { ("messages were", "are", "them") };
                vec![self.notice(&format!(
                    "{gone} earlier {were} said while you were away, and {are} gone unless /older finds {them}"
                ))]
            }
            Event::Presence(_) if !self.presence => Vec::new(),
            Event::Presence(presence) => {
                let mut pieces = Vec::new();
                for (users, verb) in [(&presence.came, "came"), (&presence.left, "left")] {
                    let users: Vec<&UserName> = users.iter().filter(|user| **user != self.me).collect();
                    if !users.is_empty() {
                        pieces.push(self.notice(&format!("{} {verb}", names(&users))));
                    }
                }
                for Changed { user, status } in &presence.changed {
                    let who = if *user == self.me { "you are".to_owned() } else { format!("{user} is") };
                    pieces.push(self.notice(&format!("{who} {}", self.status(status))));
                }
                pieces
            }
            Event::Answered { ask, answer: Err(refused) } => {
                vec![self.refusal(rooms::command(ask), refused)]
            }
            Event::Answered { ask, answer: Ok(answer) } => self.answer(ask, answer),
            Event::Acted(acted) => self.acted(acted).into_iter().collect(),
            Event::Membership(membership) => vec![self.membership(membership)],
            Event::Left { room } => vec![self.notice(&format!("you have left {}", room.seen_by(self.me)))],
            Event::Notice(text) => vec![self.notice(&sanitise(text))],
            // Faces with room for it show how far it has come.
            Event::Online(_) => {
                self.online = true;
                Vec::new()
            }
            Event::Entered { .. }
            | Event::Pending { .. }
            | Event::Receipt(_)
            | Event::Delayed { .. }
            | Event::Accepted { .. } => Vec::new(),
        }
    }

    /// Whether what a user says is not shown.
    #[must_use]
    pub fn ignores(&self, user: UserName) -> bool {
        self.ignored.contains(&user)
    }

    /// Those whose words are not shown.
    pub fn ignored(&self) -> impl Iterator<Item = &UserName> {
        self.ignored.iter()
    }

    fn preferred(&mut self, preference: Preference) -> Option<Piece> {
        let text = match preference {
            Preference::Ignore(user, true) => {
                self.ignored.insert(user);
                format!("what {user} says is not shown any more; /unignore {user} ends that")
            }
            Preference::Ignore(user, false) => {
                self.ignored.remove(&user);
                format!("what {user} says is shown again")
            }
            Preference::Hush(room, true) => {
                format!("what is said in {} is not announced any more; /unhush ends that", room.seen_by(self.me))
            }
            Preference::Hush(room, false) => format!("what is said in {} is announced again", room.seen_by(self.me)),
        };
        self.online.then(|| self.notice(&text))
    }

    /// A line of the program's own. `text` is safe to show.
    #[must_use]
    pub fn notice(&self, text: &str) -> Piece {
        Piece::Notice(self.dim(text))
    }

    /// A line that makes no sense, and what to type instead.
    #[must_use]
    pub fn mistake(&self, mistake: &Mistake) -> Vec<Piece> {
        let text = self.rows(&sanitise(&mistake.text), 3);
        vec![
            Piece::Notice(self.paint.with(Look::Warning, &format!("-- {text}"))),
            self.notice(&sanitise(&mistake.hint)),
        ]
    }

    fn dim(&self, text: &str) -> String {
        self.paint.with(Look::Dim, &format!("-- {}", self.rows(text, 3)))
    }

    /// `text` in rows that fit, the first one behind `before` columns.
    fn rows(&self, text: &str, before: usize) -> String {
        match self.form {
            Form::Lines => text.replace('\n', &format!("\n{INDENT}")),
            Form::Screen => {
                // The last column stays free: some terminals go on to the next row when it is full, others don't.
                let room = self.width.saturating_sub(1);
                wrap::wrap(
                    text,
                    room.saturating_sub(before),
                    room.saturating_sub(INDENT.len()),
                    INDENT,
                    Breaks::AtSpaces,
                )
            }
        }
    }

    fn new_day(&mut self, time: Timestamp) -> Vec<Piece> {
        if self.form == Form::Lines {
            return Vec::new();
        }
        let day = self.local(time).date();
        if self.day.replace(day) == Some(day) {
            return Vec::new();
        }
        vec![self.notice(&day.strftime("%A, %-d %B %Y").to_string())]
    }

    fn local(&self, time: Timestamp) -> jiff::Zoned {
        time::at(time).to_zoned(self.zone.clone())
    }

    fn withdrawn(&self, messages: &[crate::client::session::Seen]) -> Vec<Piece> {
        let what = if messages.is_empty() { "what you read last here" } else { "the following" };
        let mut pieces =
            vec![self.notice(&format!(
                "the server was restarted before it had stored {what}; whoever said it sends it again"
            ))];
        for seen in messages {
            pieces.push(self.notice(&format!("withdrawn: <{}> {}", seen.sender, sanitise(&seen.text))));
        }
        pieces
    }

    fn answer(&mut self, ask: &Ask, answer: &Answer) -> Vec<Piece> {
        match answer {
            Answer::History { messages, more } => {
                let day = self.day.take();
                let mut pieces = Vec::new();
                let older = matches!(ask, Ask::History { until: Until::Older, .. });
                if messages.is_empty() {
                    let what = if older { "there is nothing before it" } else { "nothing has been said here yet" };
                    pieces.push(self.notice(what));
                } else {
                    let what =
                        if *more { "history; /older shows what is before it" } else { "history, from its beginning" };
                    pieces.push(self.notice(what));
                    for said in messages {
                        if !self.ignores(said.message.sender) {
                            pieces.extend(self.message(&said.message, said.seal));
                        }
                    }
                    pieces.push(self.notice("end of the history"));
                }
                self.day = day;
                pieces
            }
            Answer::People(list) => {
                let room = list.room.seen_by(self.me);
                let mut pieces = vec![self.line(&format!("{} in {room}", count(list.total, "user")))];
                for person in &list.people {
                    let since = self.local(person.since).strftime("%Y-%m-%d %H:%M").to_string();
                    let sessions =
                        if person.sessions > 1 { format!(", {} sessions", person.sessions) } else { String::new() };
                    let name = self.paint.name(person.user);
                    let pad = " ".repeat(16_usize.saturating_sub(person.user.as_str().len()));
                    let status = match &person.status {
                        status if *status == Status::ONLINE => String::new(),
                        // What fits into a row: /whois says until when.
                        status => format!(", {}", self.status(&Status { until: None, ..status.clone() })),
                    };
                    pieces.push(Piece::Answer(format!("   {name}{pad} since {since}{sessions}{status}")));
                }
                pieces
            }
            Answer::User(user, trust) => {
                let here = match user.since {
                    Some(since) => format!("here since {}", self.local(since).strftime("%Y-%m-%d %H:%M")),
                    None => "not here".to_owned(),
                };
                let admin = if user.admin { ", an admin" } else { "" };
                vec![
                    self.line(&format!("{}{admin}, {here}, {}", user.user, self.status(&user.status))),
                    self.line(&format!("key {}, {}", user.fingerprint, trusted(*trust))),
                ]
            }
            Answer::Rooms(list) => self.rooms(list, |_| None),
            Answer::Invited(invited) => self.invited(invited),
            Answer::Done => self.done(ask).into_iter().collect(),
        }
    }

    fn key_changed(&self, user: UserName, key: Fingerprint, known: Option<Fingerprint>) -> Vec<Piece> {
        let mut pieces = vec![self.warning(&format!("{user} has another key than before: {key}"))];
        if let Some(known) = known {
            pieces.push(self.warning(&format!("the one that you trust is {known}")));
        }
        let text =
            format!("nothing is sent to it: ask {user} whether it is his, then /trust {user}, or /verify {user}");
        pieces.push(self.notice(&text));
        pieces
    }

    fn warning(&self, text: &str) -> Piece {
        Piece::Notice(self.paint.with(Look::Warning, &format!("-- {}", self.rows(text, 3))))
    }

    /// A status, as in "alice is ...".
    fn status(&self, status: &Status) -> String {
        let word = match status.availability {
            Availability::Online => "online",
            Availability::Away => "away",
            Availability::DoNotDisturb => "not to be disturbed",
            Availability::Other(_) => "in a state that this version does not know",
        };
        let text = status.text.as_deref().map(|text| format!(": {}", sanitise(text))).unwrap_or_default();
        let until = status.until.map(|until| format!(", until {}", self.local(until).strftime("%Y-%m-%d %H:%M")));
        format!("{word}{}{text}", until.unwrap_or_default())
    }

    /// A line of an answer.
    fn line(&self, text: &str) -> Piece {
        Piece::Answer(match self.form {
            Form::Screen => self.dim(text),
            Form::Lines => text.to_owned(),
        })
    }

    fn refusal(&self, what: &str, refused: &Refused) -> Piece {
        let hint = refused.hint.as_deref().map(|hint| format!(" ({})", sanitise(hint))).unwrap_or_default();
        let text = self.rows(&format!("{what}: {}{hint}", sanitise(&refused.text)), 3);
        Piece::Notice(self.paint.with(Look::Error, &format!("-- {text}")))
    }
}

/// What is thought of a key.
fn trusted(trust: Option<Trust>) -> &'static str {
    match trust {
        None => "never used before",
        Some(Trust::Own) => "your own",
        Some(Trust::Pinned) => "the one that you have always seen",
        Some(Trust::Verified) => "verified",
        Some(Trust::Earlier) => "NOT the one that you trust now, but an earlier one",
        Some(Trust::Changed) => "NOT the one that you trust",
    }
}

/// What further lines of a message begin with: nothing that begins a message of its own.
const INDENT: &str = "      | ";

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

#[cfg(test)]
mod tests;
