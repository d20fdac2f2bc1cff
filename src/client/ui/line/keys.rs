//! The keys that do more than edit.
//!
//! Enter takes the line out of the editor and hands it over, and the editor goes on reading: what was typed leaves no
//! trace on the screen, and messages that arrive at that very moment find the prompt where they expect it.

use std::sync::mpsc::Sender;

use rustyline::{
    Cmd, ConditionalEventHandler, Editor, Event, EventContext, EventHandler, Helper, KeyCode, KeyEvent, Modifiers,
    Movement, RepeatCount,
};

use super::recall::Recall;
use crate::client::commands::{self, Action};
use crate::client::ui::News;
use crate::error::Exit;

pub(super) fn bind<H: Helper>(editor: &mut Editor<H, Recall>, news: &Sender<News>, recall: &Recall) {
    let bindings = [
        (KeyEvent(KeyCode::Enter, Modifiers::NONE), Key::Enter),
        (KeyEvent::ctrl('J'), Key::Enter),
        (KeyEvent::ctrl('M'), Key::Enter),
        (KeyEvent(KeyCode::Up, Modifiers::NONE), Key::Back),
        (KeyEvent::ctrl('P'), Key::Back),
        (KeyEvent(KeyCode::Down, Modifiers::NONE), Key::Forth),
        (KeyEvent::ctrl('N'), Key::Forth),
        (KeyEvent::ctrl('C'), Key::Interrupt),
        (KeyEvent::ctrl('D'), Key::End),
    ];
    for (event, key) in bindings {
        let bound = Bound { key, news: news.clone(), recall: recall.clone() };
        editor.bind_sequence(event, EventHandler::Conditional(Box::new(bound)));
    }
    editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
}

#[derive(Clone, Copy)]
enum Key {
    Enter,
    Back,
    Forth,
    Interrupt,
    End,
}

struct Bound {
    key: Key,
    news: Sender<News>,
    recall: Recall,
}

impl Bound {
    fn tell(&self, news: News) {
        // Nobody listens any more once the chat has ended.
        let _ = self.news.send(news);
    }

    fn enter(&self, line: &str) -> Cmd {
        match commands::parse(line) {
            Ok(action) => {
                if action != Action::Nothing {
                    self.recall.entered(line);
                    self.tell(News::Typed(action));
                }
                Cmd::Kill(Movement::WholeBuffer)
            }
            // It stays, to be mended.
            Err(mistake) => {
                self.tell(News::Mistyped(mistake));
                Cmd::Noop
            }
        }
    }
}

impl ConditionalEventHandler for Bound {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        let line = context.line();
        let before = line.get(..context.pos()).unwrap_or_default();
        let after = line.get(context.pos()..).unwrap_or_default();
        let replace =
            |text: Option<String>| text.map_or(Cmd::Noop, |text| Cmd::Replace(Movement::WholeBuffer, Some(text)));
        Some(match self.key {
            Key::Enter => self.enter(line),
            // In a text of several lines the arrow keys move through these first.
            Key::Back if before.contains('\n') => Cmd::Move(Movement::LineUp(1)),
            Key::Back => replace(self.recall.back(line)),
            Key::Forth if after.contains('\n') => Cmd::Move(Movement::LineDown(1)),
            Key::Forth => replace(self.recall.forth()),
            // As in a shell, it empties the line; on an empty one it leaves.
            Key::Interrupt if !line.is_empty() => Cmd::Kill(Movement::WholeBuffer),
            Key::Interrupt => {
                self.tell(News::Signal(Exit::Interrupted));
                Cmd::Noop
            }
            Key::End if line.is_empty() => {
                self.tell(News::Typed(Action::Leave));
                Cmd::Noop
            }
            Key::End => return None,
        })
    }
}
