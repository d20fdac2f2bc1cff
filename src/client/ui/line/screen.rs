//! What stands above the line that is being typed.

use std::time::Instant;

use rustyline::ExternalPrinter;

use super::complete::Names;
use super::flow::{Flow, Shown};
use crate::client::commands::Mistake;
use crate::client::session::Event;
use crate::client::ui::render::{Piece, Renderer};

/// Empties the screen and goes to its upper left corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Shows things in their order.
pub(super) struct Screen<P> {
    printer: P,
    renderer: Renderer,
    names: Names,
    bell: bool,
    pub(super) flow: Flow,
    // What is not printed yet.
    text: String,
}

impl<P: ExternalPrinter> Screen<P> {
    pub(super) fn new(printer: P, renderer: Renderer, names: Names, bell: bool) -> Self {
        Self { printer, renderer, names, bell, flow: Flow::default(), text: String::new() }
    }

    pub(super) fn event(&mut self, event: Event, now: Instant) {
        self.names.see(&event);
        self.flow.push(event, now);
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

    /// Prints all that can be shown now.
    pub(super) fn show(&mut self, now: Instant) {
        let (_, columns) = console::Term::stdout().size();
        self.renderer.set_width(usize::from(columns));
        while let Some(shown) = self.flow.poll(now) {
            let mut pieces = match shown {
                Shown::Event(event) => {
                    let mut pieces = self.renderer.event(&event);
                    if self.bell && self.renderer.rings(&event) {
                        pieces.push(Piece::Bell);
                    }
                    pieces
                }
                Shown::Own(time, body) => self.renderer.own(time, &body),
                Shown::Pending(body) => vec![self.renderer.pending(&body)],
            };
            self.add(pieces.drain(..));
        }
        if !self.text.is_empty() {
            // A terminal that is gone ends the line editor, and so the chat.
            let _ = self.printer.print(std::mem::take(&mut self.text));
        }
    }

    /// Waits until the editor has taken what was printed last: the signal that ends it would come before that.
    pub(super) fn settle(&mut self) {
        // The printer holds one text, and takes the next when the editor has taken that one. This one shows nothing.
        let _ = self.printer.print("\x1b[A\n".to_owned());
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
