//! What stands above the line that is being typed.

use std::collections::BTreeMap;
use std::time::Instant;

use rustyline::ExternalPrinter;

use super::complete::Names;
use super::flow::Shown;
use super::tabs::Tabs;
use crate::client::commands::Mistake;
use crate::client::session::{Arrival, Event, Preference, Visit};
use crate::client::ui::About;
use crate::client::ui::render::{Mark, Piece, Questions, Renderer};
use crate::model::{RoomName, Seq, UserName};
use crate::proto::message::{Act, Body, RoomList};

/// A text that shows nothing: the printer ends one without a line's end with one.
const NOTHING: &str = "\x1b[A\n";
/// Empties the screen and goes to its upper left corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Shows things in their order.
pub(super) struct Screen<P> {
    printer: P,
    renderer: Renderer,
    names: Names,
    bell: bool,
    me: UserName,
    pub(super) tabs: Tabs,
    /// Who has last said something to the user alone.
    pub(super) partner: Option<UserName>,
    // The last message of each room that was shown, or is nothing new to the user.
    read: BTreeMap<RoomName, Seq>,
    // What is not printed yet.
    text: String,
}

impl<P: ExternalPrinter> Screen<P> {
    pub(super) fn new(printer: P, renderer: Renderer, names: Names, about: &About) -> Self {
        let (bell, me, tabs) = (about.bell, about.me, Tabs::new(about.room));
        Self { printer, renderer, names, bell, me, tabs, partner: None, read: BTreeMap::new(), text: String::new() }
    }

    pub(super) fn event(&mut self, event: Event, now: Instant) {
        self.names.see(&event);
        if let Event::Message { message, .. } = &event
            && self.renderer.ignores(message.sender)
        {
            return;
        }
        match &event {
            Event::Entered { info, visit } => {
                self.tabs.enter(info.room, &info.topic);
                if *visit == Visit::First && !info.room.is_direct() {
                    self.read.insert(info.room, info.last);
                }
                info.receipts
                    .iter()
                    .filter(|receipt| receipt.user != self.me)
                    .for_each(|receipt| self.tabs.receipt(receipt));
            }
            Event::Receipt(receipt) => self.tabs.receipt(receipt),
            Event::Preferred(Preference::Hush(room, on)) => self.tabs.hush(*room, *on),
            Event::Message { message, own: false, arrival: Arrival::Live | Arrival::Missed, .. }
                if message.room.is_direct() =>
            {
                self.partner = Some(message.sender);
                self.announce(message.room, message.sender);
            }
            Event::Acted(acted) => {
                if let Some(Act::Topic { topic }) = &acted.act {
                    self.tabs.set_topic(acted.room, topic);
                }
            }
            Event::Message { message, .. } if self.is_quiet(message.room) => {}
            Event::Message { message, .. } if message.room != self.tabs.current.room && self.renderer.rings(&event) => {
                let place = self.tabs.number(message.room).map(|number| format!("; /{number} goes there"));
                let text = format!("{} mentioned you in {}{}", message.sender, message.room, place.unwrap_or_default());
                self.notice(&text);
                self.ring();
            }
            _ => {}
        }
        self.tabs.push(event, now);
    }

    /// Whether what is said in a room is not announced: nobody looks there, and nobody wants to know.
    fn is_quiet(&self, room: RoomName) -> bool {
        room != self.tabs.current.room && self.tabs.is_hushed(room)
    }

    /// Who is ignored, and which rooms are hushed.
    pub(super) fn preferences(&self) -> Vec<String> {
        let ignored = self.renderer.ignored().map(|user| format!("{user} is ignored"));
        let hushed = self.tabs.hushed().map(|room| format!("{} is hushed", room.seen_by(self.me)));
        let lines: Vec<String> = ignored.chain(hushed).collect();
        if lines.is_empty() { vec!["nobody is ignored, and no room is hushed".to_owned()] } else { lines }
    }

    /// Somebody says something to the user alone, for the first time since that was looked at.
    fn announce(&mut self, room: RoomName, sender: UserName) {
        if room == self.tabs.current.room || self.tabs.unread(room) > 0 || self.tabs.is_hushed(room) {
            return;
        }
        self.tabs.enter(room, "");
        let place = self.tabs.number(room).map(|number| format!(", /{number} goes there")).unwrap_or_default();
        self.notice(&format!("{sender} says something to you alone: /r answers{place}"));
        self.ring();
    }

    /// The user says something to somebody alone, wherever he is.
    pub(super) fn tell(&mut self, user: UserName, body: &Body) {
        let Some(room) = RoomName::direct(self.me, user) else { return };
        self.tabs.enter(room, "");
        if room != self.tabs.current.room {
            let words = self.renderer.words(body);
            self.notice(&format!("to @{user}: {words}"));
        }
    }

    /// The questions that were shown.
    pub(super) fn questions(&self) -> Questions {
        self.renderer.questions()
    }

    /// The last message of each room that was shown, or is nothing new to the user. Told once.
    pub(super) fn take_read(&mut self) -> BTreeMap<RoomName, Seq> {
        std::mem::take(&mut self.read)
    }

    /// Looks at a room, if the user is in it: shows what was said there meanwhile. Returns whether that is so.
    pub(super) fn look_at(&mut self, room: RoomName, now: Instant) -> bool {
        let before = self.tabs.current.room;
        let is_there = self.tabs.look_at(room);
        if is_there && before != room {
            self.arrive(now);
        }
        is_there
    }

    /// The user is in a room no longer. Another one is looked at, if it was this one.
    pub(super) fn leave(&mut self, room: RoomName, now: Instant) {
        let before = self.tabs.current.room;
        // What waits in it would be gone with it.
        self.gather(now);
        self.tabs.leave(room);
        if self.tabs.current.room != before {
            self.arrive(now);
        }
    }

    fn arrive(&mut self, now: Instant) {
        let (room, topic) = (self.tabs.current.room, crate::term::sanitise(&self.tabs.current.topic));
        let topic = if topic.is_empty() { String::new() } else { format!(": {topic}") };
        self.notice(&format!("{}{topic}", room.seen_by(self.me)));
        // It has rung for these already.
        let bell = std::mem::take(&mut self.bell);
        self.gather(now);
        self.bell = bell;
    }

    /// The rooms that there are.
    pub(super) fn rooms(&mut self, list: &RoomList) {
        let known: Vec<(RoomName, usize)> = self.tabs.list().collect();
        let mark = |room| {
            let at = known.iter().position(|(known, _)| *known == room)?;
            known.get(at).map(|(_, unread)| Mark { number: at + 1, unread: *unread })
        };
        let pieces = self.renderer.rooms(list, mark);
        self.add(pieces);
    }

    /// A line of the program's own.
    pub(super) fn notice(&mut self, text: &str) {
        let piece = self.renderer.notice(text);
        self.add([piece]);
    }

    pub(super) fn mistake(&mut self, mistake: &Mistake) {
        let pieces = self.renderer.mistake(mistake);
        self.add(pieces);
    }

    /// Lines that the user asked for, of the program's own.
    pub(super) fn lines(&mut self, lines: impl IntoIterator<Item = String>) {
        self.add(lines.into_iter().map(|line| Piece::Answer(format!("   {line}"))));
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.text.push_str(CLEAR);
    }

    /// How far has come what was said here, and what was not seen in the other rooms; empty if nothing.
    pub(super) fn elsewhere(&self) -> String {
        let unread = self.tabs.list().filter(|(_, unread)| *unread > 0);
        let unread = unread.map(|(room, unread)| format!("{} {unread}", room.seen_by(self.me)));
        self.tabs.current.how_far().map(str::to_owned).into_iter().chain(unread).collect::<Vec<_>>().join("  ")
    }

    /// Prints all that can be shown now. The line that is typed is drawn anew, if it has to be.
    pub(super) fn show(&mut self, now: Instant, draw: bool) {
        let (_, columns) = console::Term::stdout().size();
        self.renderer.set_width(usize::from(columns));
        self.gather(now);
        if draw && self.text.is_empty() {
            self.text.push_str(NOTHING);
        }
        if !self.text.is_empty() {
            // A terminal that is gone ends the line editor, and so the chat.
            let _ = self.printer.print(std::mem::take(&mut self.text));
        }
    }

    fn gather(&mut self, now: Instant) {
        while let Some(shown) = self.tabs.current.flow.poll(now) {
            let mut pieces = match shown {
                Shown::Event(event) => {
                    if let Event::Message { message, .. } = &event {
                        self.read.insert(message.room, message.seq);
                    }
                    let mut pieces = self.renderer.event(&event);
                    if self.bell && self.renderer.rings(&event) {
                        pieces.push(Piece::Bell);
                    }
                    pieces
                }
                Shown::Own(time, body) => self.renderer.own(time, &body),
                Shown::Pending(body) => vec![self.renderer.pending(&body)],
                Shown::Skipped(count) => {
                    vec![self.renderer.notice(&format!("{count} more before these; /history shows the last ones"))]
                }
            };
            self.add(pieces.drain(..));
        }
    }

    fn ring(&mut self) {
        if self.bell {
            self.add([Piece::Bell]);
        }
    }

    /// Waits until the editor has taken what was printed last: the signal that ends it would come before that.
    pub(super) fn settle(&mut self) {
        // The printer holds one text, and takes the next when the editor has taken that one.
        let _ = self.printer.print(NOTHING.to_owned());
    }

    fn add(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        for piece in pieces {
            match piece {
                Piece::Chat(text) | Piece::Notice(text) | Piece::Answer(text) => {
                    self.text.push_str(&text);
                    self.text.push('\n');
                }
                // First: the printer ends a text that doesn't end with a line's end with one more.
                Piece::Bell => self.text.insert(0, '\x07'),
            }
        }
    }
}
