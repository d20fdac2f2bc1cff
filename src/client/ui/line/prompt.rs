//! What stands before the line that is being typed: the room that is looked at. It changes while the editor reads, which
//! knows one prompt for each line; so it is told to end, and reads on with what was typed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use unicode_width::UnicodeWidthStr as _;

use crate::client::ui::News;
use crate::model::{RoomName, UserName};

/// A prompt that can change.
#[derive(Debug, Clone)]
pub(super) struct Prompt(Arc<State>);

#[derive(Debug)]
struct State {
    user: UserName,
    room: Mutex<RoomName>,
    // Whether the editor was told to end because of that.
    changed: AtomicBool,
    // What was not seen in other rooms.
    elsewhere: Mutex<String>,
    // What is typed, in front of the cursor and behind it, and since when.
    typed: Mutex<(String, String)>,
    touched: Mutex<Instant>,
    // Whether somebody waits for that.
    idle: AtomicBool,
    news: Sender<News>,
}

impl Prompt {
    pub(super) fn new(user: UserName, room: RoomName, news: Sender<News>) -> Self {
        Self(Arc::new(State {
            user,
            room: Mutex::new(room),
            changed: AtomicBool::new(false),
            elsewhere: Mutex::default(),
            typed: Mutex::default(),
            touched: Mutex::new(Instant::now()),
            idle: AtomicBool::new(false),
            news,
        }))
    }

    pub(super) fn text(&self) -> String {
        let room = *self.0.room.lock().unwrap_or_else(PoisonError::into_inner);
        format!("[{}] {}> ", room.seen_by(self.0.user), self.0.user)
    }

    /// Another room is looked at from now on.
    pub(super) fn set(&self, room: RoomName) {
        let before = std::mem::replace(&mut *self.0.room.lock().unwrap_or_else(PoisonError::into_inner), room);
        if before != room {
            self.0.changed.store(true, Ordering::Release);
            // The editor takes it for Ctrl-C, now or when it reads next.
            let _ = signal_hook::low_level::raise(signal_hook::consts::SIGINT);
        }
    }

    /// What was not seen in other rooms, for behind the prompt. Returns whether it has changed.
    pub(super) fn set_elsewhere(&self, text: String) -> bool {
        let mut elsewhere = self.0.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *elsewhere, text) != *elsewhere
    }

    pub(super) fn elsewhere(&self) -> String {
        self.0.elsewhere.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Rows of a terminal of this width that the prompt and what is typed take.
    pub(super) fn rows(&self, prompt: &str, columns: usize) -> usize {
        let (left, right) = self.typed();
        let text = format!("{prompt}{left}{right}");
        text.split('\n').map(|row| row.width() / columns.max(1) + 1).sum()
    }

    /// Whether the editor ended for a change. Asked once for each.
    pub(super) fn has_changed(&self) -> bool {
        self.0.changed.swap(false, Ordering::Acquire)
    }

    /// Notes what is typed.
    pub(super) fn note(&self, line: &str, position: usize) {
        let (left, right) = line.split_at_checked(position).unwrap_or((line, ""));
        let mut typed = self.0.typed.lock().unwrap_or_else(PoisonError::into_inner);
        // The line is drawn for what others say, too.
        if (&*typed.0, &*typed.1) == (left, right) {
            return;
        }
        *self.0.touched.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        if self.0.idle.swap(false, Ordering::AcqRel) {
            // Nobody listens any more once the chat has ended.
            let _ = self.0.news.send(News::Back);
        }
        left.clone_into(&mut typed.0);
        right.clone_into(&mut typed.1);
    }

    /// Since when nothing was typed.
    pub(super) fn touched(&self) -> Instant {
        *self.0.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody seems to be there. When something is typed, there is [`News::Back`].
    pub(super) fn wait_for_typing(&self) {
        self.0.idle.store(true, Ordering::Release);
    }

    /// What is typed.
    pub(super) fn typed(&self) -> (String, String) {
        self.0.typed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
