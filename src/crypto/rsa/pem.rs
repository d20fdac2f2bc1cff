//! What kind of key file a text is, told before anything is decoded, so that an error can name it.

/// A key file by its outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Armor<'a> {
    /// Nothing but white space.
    Empty,
    /// Begins a block that it does not end: truncated, or still being written.
    Unfinished,
    /// A public key in one of ssh's own formats.
    OpenSshPublic,
    /// One whole PEM block; the label between `BEGIN ` and the dashes.
    Block(&'a str),
    /// Something else.
    Unknown,
}

impl<'a> Armor<'a> {
    /// Looks at the first block of `text`, which may have explanatory text before it (RFC 7468, 2).
    pub(super) fn of(text: &'a str) -> Self {
        let text = text.trim();
        if text.is_empty() {
            return Self::Empty;
        }
        if text.starts_with("ssh-") || text.starts_with("---- BEGIN SSH2 PUBLIC KEY ----") {
            return Self::OpenSshPublic;
        }
        let Some((_, after_begin)) = text.split_once("-----BEGIN ") else {
            // A file that is cut within its first line begins as the line does.
            return if "-----BEGIN ".starts_with(text) { Self::Unfinished } else { Self::Unknown };
        };
        match after_begin.split_once("-----") {
            Some((label, body)) if body.contains(&format!("-----END {label}-----")) => Self::Block(label),
            _ => Self::Unfinished,
        }
    }
}
