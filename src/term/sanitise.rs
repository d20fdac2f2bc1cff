//! Makes text from elsewhere safe to show.
//!
//! What a peer, a file or a key says must not move the cursor, change colours, set a title, write the clipboard, or
//! reorder, hide or fake other text. So whatever is not a visible character is shown escaped (`\x1b`, `\u{202e}`),
//! never obeyed and never dropped in silence:
//!
//! - control characters: C0, DEL, C1 (U+0080 to U+009F, which many terminals take for escape sequences);
//! - everything that changes the direction of text: U+202A to U+202E, U+2066 to U+2069, U+200E, U+200F, U+061C;
//! - line and paragraph separators;
//! - characters that show nothing: zero-width spaces, fillers, soft hyphens, tags, noncharacters. Text that hides in
//!   them, or two names that differ by one of them, look alike.
//!
//! Some invisible characters are part of writing, and stay where they do that and nothing else: joiners between letters
//! of scripts that use them (Persian, the scripts of India) and in emoji sequences; one variation selector after a
//! character; the tags of the three flags that are spelled with them. Marks above and below a letter stay up to
//! [`MARKS`]; what is stacked higher is cut, and the cut shown as `…`. A mark without a letter gets a dotted circle,
//! lest it stand on somebody else's letter.
//!
//! Text in Arabic or Hebrew is not isolated from its surroundings: that would take the very characters that are kept
//! out here. This module never wraps lines; whoever shows long text does.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

/// How many marks may stand on one letter. No writing system needs more; Hebrew with vowels and cantillation comes
/// closest.
const MARKS: usize = 6;

/// Shown where marks were cut.
const CUT: char = '…';

/// Stands for the end of an escaped character: any ASCII character that is no digit would do.
const ESCAPE_END: char = '}';

/// Carries a mark that has no letter.
const DOTTED_CIRCLE: char = '◌';

/// Text for one line: names, reasons, file names, titles, log lines. Line ends and tabs are escaped as well.
///
/// Borrows text that is clean. Sanitising twice changes nothing more. Every character of the result takes part in the
/// line: none is a control character, none invisible, none changes its direction.
#[must_use]
pub fn sanitise(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut out = Writer { text: String::with_capacity(text.len().saturating_add(16)), last: None, marks: 0 };
    out.push_line(text);
    if out.text == text { Cow::Borrowed(text) } else { Cow::Owned(out.text) }
}

/// Text of several lines: what someone says. Line ends are kept, but for those at the end, and each further line starts
/// with `indent`, so that none can pass for a message of its own. A tab becomes four spaces.
///
/// `indent` is ours and not sanitised.
#[must_use]
pub fn sanitise_lines<'a>(text: &'a str, indent: &str) -> Cow<'a, str> {
    if !text.contains(['\n', '\t']) {
        return sanitise(text);
    }
    let mut out = String::with_capacity(text.len().saturating_add(16));
    for (number, line) in text.trim_end_matches(['\n', '\r']).split('\n').enumerate() {
        if number > 0 {
            out.push('\n');
            out.push_str(indent);
        }
        let line = line.strip_suffix('\r').unwrap_or(line).replace('\t', "    ");
        out.push_str(&sanitise(&line));
    }
    Cow::Owned(out)
}

/// Whether a terminal would obey a character, or not show it.
#[must_use]
pub fn is_hidden(char: char) -> bool {
    matches!(class(char), Class::Hidden)
}

struct Writer {
    text: String,
    // The last character written, and how many characters without width end the text. Decisions look at what was
    // written rather than at what was read, so that sanitising the result finds nothing to do.
    last: Option<char>,
    marks: usize,
}

impl Writer {
    fn push_line(&mut self, text: &str) {
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            match class(char) {
                Class::Selector if self.selects(char) => self.mark(char),
                Class::Joiner if self.joins(char, chars.clone().next()) => self.mark(char),
                Class::Hidden | Class::Selector | Class::Joiner => self.escape(char),
                Class::Mark if self.marks < MARKS => {
                    if self.last.is_none() {
                        self.visible(DOTTED_CIRCLE);
                    }
                    self.mark(char);
                }
                Class::Mark => self.cut(),
                Class::Visible => self.visible(char),
                Class::BlackFlag => {
                    self.visible(char);
                    let rest = chars.as_str();
                    if let Some(tags) = FLAG_TAGS.iter().find(|tags| rest.starts_with(**tags)) {
                        self.text.push_str(tags);
                        chars = rest.strip_prefix(*tags).unwrap_or_default().chars();
                    }
                }
            }
        }
    }

    fn visible(&mut self, char: char) {
        self.text.push(char);
        self.last = Some(char);
        self.marks = 0;
    }

    fn mark(&mut self, char: char) {
        self.text.push(char);
        self.last = Some(char);
        self.marks += 1;
    }

    fn cut(&mut self) {
        // Only the first mark too many finds something else at the end.
        if self.last != Some(CUT) {
            self.text.push(CUT);
            self.last = Some(CUT);
        }
    }

    fn escape(&mut self, char: char) {
        // Writing into a String can't fail.
        let _ = match char {
            '\t' => self.text.write_str("\\t"),
            '\n' => self.text.write_str("\\n"),
            '\r' => self.text.write_str("\\r"),
            '\0'..='\u{ff}' => write!(self.text, "\\x{:02x}", u32::from(char)),
            _ => write!(self.text, "\\u{{{:x}}}", u32::from(char)),
        };
        self.last = Some(ESCAPE_END);
        self.marks = 0;
    }

    /// Whether a variation selector has something to select: no ASCII character has variants, but for the keycaps.
    fn selects(&self, selector: char) -> bool {
        self.marks == 0
            && self.last.is_some_and(|last| match last {
                '0'..='9' | '#' | '*' => matches!(selector, TEXT_STYLE | EMOJI_STYLE),
                last => !last.is_ascii(),
            })
    }

    /// Whether a joiner does here what it is for.
    fn joins(&self, joiner: char, next: Option<char>) -> bool {
        let (Some(last), Some(next)) = (self.last, next) else { return false };
        // The next character has to be one that stays.
        let room = if next.width() == Some(0) { self.marks + 2 <= MARKS } else { self.marks < MARKS };
        let letters = needs_joiners(last) && needs_joiners(next);
        let emoji = joiner == ZWJ && (is_pictograph(last) || last == EMOJI_STYLE) && is_pictograph(next);
        room && (letters || emoji)
    }
}

const ZWNJ: char = '\u{200c}';
const ZWJ: char = '\u{200d}';
const TEXT_STYLE: char = '\u{fe0e}';
const EMOJI_STYLE: char = '\u{fe0f}';

/// What follows U+1F3F4 in the flags of England, Scotland and Wales.
const FLAG_TAGS: [&str; 3] = [
    "\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}",
];

enum Class {
    Visible,
    BlackFlag,
    Mark,
    Joiner,
    Selector,
    Hidden,
}

fn class(char: char) -> Class {
    match char {
        ' '..='~' => Class::Visible,
        // C0, DEL and C1 controls.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Soft hyphen, grapheme joiner, Arabic letter mark.
        | '\u{ad}' | '\u{34f}' | '\u{61c}'
        // Fillers of Hangul, vowels of Khmer that don't show, the Mongolian vowel separator.
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
        // Zero-width space, marks of direction.
        | '\u{200b}' | '\u{200e}' | '\u{200f}'
        // Line and paragraph separators, embeddings and overrides of direction.
        | '\u{2028}'..='\u{202e}'
        // Word joiner, invisible mathematics, isolates, deprecated formatting.
        | '\u{2060}'..='\u{206f}'
        // Byte order mark, interlinear annotation and its unassigned neighbours.
        | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
        // Formatting of shorthand and of music.
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        // Noncharacters inside the basic plane.
        | '\u{fdd0}'..='\u{fdef}' => Class::Hidden,
        ZWNJ | ZWJ => Class::Joiner,
        '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => Class::Selector,
        // Tags, and what is reserved for characters that don't show.
        '\u{e0000}'..='\u{e0fff}' => Class::Hidden,
        '\u{1f3f4}' => Class::BlackFlag,
        // The last two of every plane are noncharacters.
        _ if u32::from(char) & 0xfffe == 0xfffe => Class::Hidden,
        _ if char.width() == Some(0) => Class::Mark,
        _ => Class::Visible,
    }
}

/// Letters and marks of scripts whose spelling uses joiners: Arabic and its kin, those of South and South-East Asia,
/// Mongolian. By block, because a joiner does no harm between any two of their characters.
fn needs_joiners(char: char) -> bool {
    matches!(char,
        '\u{600}'..='\u{dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{18af}' | '\u{1900}'..='\u{1cff}'
        | '\u{a800}'..='\u{abff}' | '\u{fb50}'..='\u{fdcf}' | '\u{fe70}'..='\u{fefc}' | '\u{10a00}'..='\u{11fff}')
        && !matches!(class(char), Class::Hidden | Class::Selector)
}

/// Characters that emoji sequences are made of.
fn is_pictograph(char: char) -> bool {
    matches!(char,
        '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2190}'..='\u{2bff}'
        | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests;
