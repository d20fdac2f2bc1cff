//! What happened, line by line; only if somebody wants to know.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

/// Collects lines, prints them, or does neither.
#[derive(Debug, Clone)]
pub(super) struct Trace(Option<Rc<Story>>);

#[derive(Debug)]
struct Story {
    print: bool,
    beginning: Cell<Option<Instant>>,
    lines: RefCell<Vec<String>>,
}

impl Trace {
    pub(super) fn off() -> Self {
        Self(None)
    }

    /// Keeps every line, and prints it if `print` is set.
    pub(super) fn on(print: bool) -> Self {
        Self(Some(Rc::new(Story { print, beginning: Cell::new(None), lines: RefCell::new(Vec::new()) })))
    }

    pub(super) fn begin(&self, beginning: Instant) {
        if let Some(story) = &self.0 {
            story.beginning.set(Some(beginning));
        }
    }

    pub(super) fn say(&self, now: Instant, what: impl FnOnce() -> String) {
        let Some(story) = &self.0 else { return };
        let since = now - story.beginning.get().unwrap_or(now);
        let line = format!("{:>12.6} {}", since.as_secs_f64(), what());
        if story.print {
            println!("{line}");
        }
        story.lines.borrow_mut().push(line);
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.0.as_ref().map(|story| story.lines.borrow().clone()).unwrap_or_default()
    }
}
