//! The chat for programs: a JSON object a line, both ways. rsachat-json(5) and its schema describe them; [`VERSION`] counts
//! what would break a program that was written by them.
//!
//! Every event of a session is a line, so is the answer to every command. Nothing here reads or writes anything.

pub(crate) mod command;
pub(crate) mod event;
pub(crate) mod line;

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

use crate::term::is_hidden;

/// Of the lines. A new kind of line or field does not change it: programs skip what they don't know.
pub(crate) const VERSION: u32 = 1;

/// An object as a line, with its end. Characters that a terminal would obey, or not show, are escaped, so that it can be
/// looked at as it is.
pub(crate) fn to_line(object: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    // Writing into a Vec can't fail, and no line here has what JSON has not.
    let _ = object.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Visible));
    out.push(b'\n');
    out
}

struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, char)) = rest.char_indices().find(|(_, char)| is_hidden(*char)) {
            let (visible, hidden) = rest.split_at(at);
            writer.write_all(visible.as_bytes())?;
            for unit in char.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = hidden.get(char.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        CompactFormatter.write_char_escape(writer, escape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_means_the_same() {
        let text = "ä\u{1b}[2J\u{9b}2J \u{202e}abc\u{e0041}\u{7f}\n👋";
        let line = String::from_utf8(to_line(&text)).unwrap();
        assert_eq!(line, "\"ä\\u001b[2J\\u009b2J \\u202eabc\\udb40\\udc41\\u007f\\n👋\"\n");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }
}
