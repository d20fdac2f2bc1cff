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
    // The room that the editor shows.
    shown: Mutex<RoomName>,
    // Whether the editor was told to end because of that, and has not done so yet.
    interrupted: AtomicBool,
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
            shown: Mutex::new(room),
            interrupted: AtomicBool::new(false),
            elsewhere: Mutex::default(),
            typed: Mutex::default(),
            touched: Mutex::new(Instant::now()),
            idle: AtomicBool::new(false),
            news,
        }))
    }

    /// What the editor is to show from now on.
    pub(super) fn text(&self) -> String {
        let room = self.room();
        *self.0.shown.lock().unwrap_or_else(PoisonError::into_inner) = room;
        format!("[{}] {}> ", room.seen_by(self.0.user), self.0.user)
    }

    /// Another room is looked at from now on. Until the editor has begun anew nothing is to be given to its printer, which
    /// would keep that behind what comes later.
    pub(super) fn set(&self, room: RoomName) {
        *self.0.room.lock().unwrap_or_else(PoisonError::into_inner) = room;
        self.interrupt();
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

    /// The room that is looked at.
    pub(super) fn room(&self) -> RoomName {
        *self.0.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The editor takes the signal for Ctrl-C. Between two lines it does not have it, and it comes as everybody's. One at a
    /// time: two could become one, or be noticed as one, and the other would be taken for somebody else's.
    fn interrupt(&self) {
        if !self.0.interrupted.swap(true, Ordering::AcqRel) {
            let _ = signal_hook::low_level::raise(signal_hook::consts::SIGINT);
        }
    }

    /// Whether the editor is about to end because of us.
    pub(super) fn is_interrupted(&self) -> bool {
        self.0.interrupted.load(Ordering::Acquire)
    }

    /// The editor has ended, and is about to begin anew.
    pub(super) fn goes_on(&self) {
        self.0.interrupted.store(false, Ordering::Release);
        // Nobody listens any more once the chat has ended.
        let _ = self.0.news.send(News::GoesOn);
    }

    /// The signal has missed the editor, which may have begun to show what is no longer so.
    pub(super) fn catch_up(&self) {
        self.0.interrupted.store(false, Ordering::Release);
        if *self.0.shown.lock().unwrap_or_else(PoisonError::into_inner) != self.room() {
            self.interrupt();
        }
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
