//! Lines of standard input, where no terminal edits them.

use std::io::{self, BufRead, Read as _};

/// Messages and commands that are not answered; with more, no more is read from the input.
pub(super) const UNANSWERED: usize = 24;
/// Bytes of one line of input, at most; servers take less.
pub(super) const LINE_BYTES: usize = 1 << 20;

/// What reading a line gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Whole,
    /// It was skipped.
    TooLong,
    End,
}

/// Reads a line with its end, if it has one, behind what is in `line`.
pub(super) fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    let most = u64::try_from(LINE_BYTES).unwrap_or(u64::MAX);
    if input.by_ref().take(most).read_until(b'\n', line)? == 0 {
        return Ok(Line::End);
    }
    if line.len() < LINE_BYTES || line.ends_with(b"\n") {
        return Ok(Line::Whole);
    }
    input.skip_until(b'\n')?;
    Ok(Line::TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_skipped_whole() {
        let text = format!("one\n{}\ntwo\n{}\nthree", "x".repeat(3 * LINE_BYTES), "y".repeat(LINE_BYTES - 1));
        let mut input = text.as_bytes();
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            match read_line(&mut input, &mut line).unwrap() {
                Line::End => break,
                Line::Whole => lines.push(line.len()),
                Line::TooLong => lines.push(0),
            }
        }
        assert_eq!(lines, [4, 0, 4, LINE_BYTES, 5]);
    }
}
