//! The lines that were typed, to be called back until the chat ends. They are never written to a disk: what is said
//! travels sealed, and must not lie about in the clear.
//!
//! The line editor's own way of walking through them knows only lines that came before it began to read; here it reads
//! for as long as the chat lasts. So the arrow keys walk with [`Recall::back`] and [`Recall::forth`], and the editor
//! itself only searches.

use std::borrow::Cow;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustyline::Result;
use rustyline::history::{History, MemHistory, SearchDirection, SearchResult};

/// The lines, shared by the editor and its keys.
#[derive(Clone, Default)]
pub(super) struct Recall(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lines: MemHistory,
    // Which line is called back; as many as there are for none.
    at: usize,
    // What was typed before the first one was called back.
    draft: String,
}

impl Recall {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line was entered.
    pub(super) fn entered(&self, line: &str) {
        let mut state = self.state();
        // In memory that can't fail.
        let _ = state.lines.add(line);
        state.at = state.lines.len();
    }

    /// The line before the one that is called back, or the last one; `typed` is what stands in the editor.
    pub(super) fn back(&self, typed: &str) -> Option<String> {
        let mut state = self.state();
        if state.at >= state.lines.len() {
            typed.clone_into(&mut state.draft);
        }
        let at = state.at.min(state.lines.len()).checked_sub(1)?;
        state.at = at;
        state.line(at)
    }

    /// The line after the one that is called back, or what was typed before that.
    pub(super) fn forth(&self) -> Option<String> {
        let mut state = self.state();
        if state.at >= state.lines.len() {
            return None;
        }
        state.at += 1;
        let at = state.at;
        if at < state.lines.len() { state.line(at) } else { Some(std::mem::take(&mut state.draft)) }
    }
}

impl State {
    fn line(&self, at: usize) -> Option<String> {
        let found = self.lines.get(at, SearchDirection::Forward).ok().flatten()?;
        Some(found.entry.into_owned())
    }
}

fn owned(found: Option<SearchResult<'_>>) -> Option<SearchResult<'static>> {
    found.map(|SearchResult { entry, idx, pos }| SearchResult { entry: Cow::Owned(entry.into_owned()), idx, pos })
}

impl History for Recall {
    fn get(&self, index: usize, direction: SearchDirection) -> Result<Option<SearchResult<'_>>> {
        self.state().lines.get(index, direction).map(owned)
    }

    fn add(&mut self, line: &str) -> Result<bool> {
        self.state().lines.add(line)
    }

    fn add_owned(&mut self, line: String) -> Result<bool> {
        self.state().lines.add_owned(line)
    }

    fn len(&self) -> usize {
        self.state().lines.len()
    }

    fn is_empty(&self) -> bool {
        self.state().lines.is_empty()
    }

    fn set_max_len(&mut self, len: usize) -> Result<()> {
        self.state().lines.set_max_len(len)
    }

    fn ignore_dups(&mut self, yes: bool) -> Result<()> {
        self.state().lines.ignore_dups(yes)
    }

    fn ignore_space(&mut self, yes: bool) {
        self.state().lines.ignore_space(yes);
    }

    fn save(&mut self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn append(&mut self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn load(&mut self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn clear(&mut self) -> Result<()> {
        self.state().lines.clear()
    }

    fn search(&self, term: &str, start: usize, direction: SearchDirection) -> Result<Option<SearchResult<'_>>> {
        self.state().lines.search(term, start, direction).map(owned)
    }

    fn starts_with(&self, term: &str, start: usize, direction: SearchDirection) -> Result<Option<SearchResult<'_>>> {
        self.state().lines.starts_with(term, start, direction).map(owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arrow_keys_walk_through_lines_and_back_to_what_was_typed() {
        let recall = Recall::default();
        assert_eq!(recall.back("half"), None);
        assert_eq!(recall.forth(), None);
        for line in ["one", "two"] {
            recall.entered(line);
        }
        assert_eq!(recall.back("half").as_deref(), Some("two"));
        assert_eq!(recall.back("two").as_deref(), Some("one"));
        assert_eq!(recall.back("one"), None);
        assert_eq!(recall.forth().as_deref(), Some("two"));
        assert_eq!(recall.forth().as_deref(), Some("half"));
        assert_eq!(recall.forth(), None);
        // A line that was called back and entered again is the last one from then on.
        recall.back("");
        recall.back("");
        recall.entered("one");
        assert_eq!(recall.back("").as_deref(), Some("one"));
    }
}
