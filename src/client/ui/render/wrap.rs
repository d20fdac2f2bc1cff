//! Breaks text into rows, so that no terminal does it: what a terminal breaks begins at its left edge, where messages
//! begin, and could pass for one.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// Rows narrower than this are of no use; a terminal that is narrower breaks them by itself.
const NARROWEST: usize = 6;

/// Where rows break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breaks {
    /// At spaces, where there are some.
    AtSpaces,
    /// Between any two characters.
    Anywhere,
}

/// `text`, already safe to show, in rows: the first of at most `first` columns, all others of at most `rest`, and these
/// after `indent`. If the first row is too
/// narrow for anything, it stays empty.
pub(super) fn wrap(text: &str, first: usize, rest: usize, indent: &str, breaks: Breaks) -> String {
    let mut out = String::with_capacity(text.len());
    let rest = rest.max(NARROWEST);
    let mut room = first;
    if first < NARROWEST && text.width() > first {
        out.push('\n');
        out.push_str(indent);
        room = rest;
    }
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            out.push('\n');
            out.push_str(indent);
            room = rest;
        }
        // Spaces at the end would only make empty rows.
        let mut line = line.trim_end_matches(' ');
        while let Some((row, next)) = split(line, room, breaks) {
            out.push_str(row);
            out.push('\n');
            out.push_str(indent);
            line = next;
            room = rest;
        }
        out.push_str(line);
    }
    out
}

/// The first row of a line that is wider than `room`, and what comes after it.
fn split(line: &str, room: usize, breaks: Breaks) -> Option<(&str, &str)> {
    // No character has fewer bytes than columns.
    if line.len() <= room {
        return None;
    }
    let mut width = 0;
    let mut space = None;
    for (at, grapheme) in line.grapheme_indices(true) {
        if breaks == Breaks::AtSpaces && grapheme == " " && at > 0 {
            space = Some(at);
        }
        width += grapheme.width();
        if width > room {
            let (row, next) = match space {
                Some(space) => (line.get(..space)?, line.get(space + 1..)?),
                // Something wider than a row stands alone on it.
                None if at == 0 => line.split_at_checked(grapheme.len())?,
                None => line.split_at_checked(at)?,
            };
            return Some((row, next));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_break_at_spaces_or_else_anywhere() {
        assert_eq!(wrap("short", 20, 20, "> ", Breaks::AtSpaces), "short");
        assert_eq!(wrap("one two three four", 12, 12, "> ", Breaks::AtSpaces), "one two\n> three four");
        assert_eq!(wrap("one two three four", 13, 20, "> ", Breaks::AtSpaces), "one two three\n> four");
        assert_eq!(
            wrap("abcdefghijklmnopqrstuvwxyz", 12, 13, "> ", Breaks::AtSpaces),
            "abcdefghijkl\n> mnopqrstuvwxy\n> z"
        );
        assert_eq!(wrap("a\nb c", 12, 12, "> ", Breaks::AtSpaces), "a\n> b c");
        // Two columns each.
        assert_eq!(wrap("漢字漢字漢字漢", 12, 12, "> ", Breaks::AtSpaces), "漢字漢字漢字\n> 漢");
        assert_eq!(wrap(&" ".repeat(30), 12, 12, "> ", Breaks::AtSpaces), "");
        assert_eq!(wrap("word", 3, 12, "> ", Breaks::AtSpaces), "\n> word");
        assert_eq!(wrap("", 0, 12, "> ", Breaks::AtSpaces), "");
    }

    proptest! {
        #[test]
        fn no_row_is_too_wide_and_nothing_but_spaces_is_lost(text in "[a-z \u{4e00}-\u{4e10}\n]{0,200}", room in 12usize..40) {
            let wrapped = wrap(&text, room, room, "", Breaks::AtSpaces);
            for row in wrapped.split('\n') {
                prop_assert!(row.width() <= room, "{:?} in {}", row, room);
            }
            let squeeze = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(squeeze(&wrapped), squeeze(&text));
        }
    }
}
