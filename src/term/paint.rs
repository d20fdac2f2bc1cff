//! Colour, where it is on.

use crate::model::UserName;

/// How a piece of text looks where colour is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Something went wrong.
    Error,
    /// Something may be wrong.
    Warning,
    /// What to type next.
    Hint,
    /// Stands out.
    Strong,
    /// Stands back.
    Dim,
}

impl Look {
    fn codes(self) -> &'static str {
        match self {
            Self::Error => "1;31",
            Self::Warning => "1;33",
            Self::Hint => "1;36",
            Self::Strong => "1",
            Self::Dim => "2",
        }
    }
}

/// Colours text, or leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Colour, or none.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self { on }
    }

    /// Whether there is colour.
    #[must_use]
    pub fn is_on(self) -> bool {
        self.on
    }

    /// `text` with a look.
    #[must_use]
    pub fn with(self, look: Look, text: &str) -> String {
        self.codes(look.codes(), text)
    }

    /// A user's name in the colour that it has everywhere and always: one of the twelve that are readable on light and
    /// on dark ground and are not red, which is for errors.
    #[must_use]
    pub fn name(self, user: UserName) -> String {
        const COLOURS: [&str; 12] = [
            "32", "33", "34", "35", "36", "38;5;30", "38;5;64", "38;5;97", "38;5;131", "38;5;136", "38;5;167",
            "38;5;168",
        ];
        // FNV-1a: any function that spreads short names will do, as long as it stays the same.
        let hash = user
            .as_str()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let index = usize::try_from(hash % COLOURS.len() as u64).unwrap_or_default();
        self.codes(COLOURS.get(index).copied().unwrap_or_default(), user.as_str())
    }

    fn codes(self, codes: &str, text: &str) -> String {
        if self.on { format!("\x1b[{codes}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_on_or_off_and_a_name_keeps_its_own() {
        let alice = "alice".parse().unwrap();
        assert_eq!(Paint::new(false).name(alice), "alice");
        assert_eq!(Paint::new(false).with(Look::Error, "x"), "x");
        assert_eq!(Paint::new(true).with(Look::Error, "x"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(Paint::new(true).name(alice), Paint::new(true).name(alice));
        assert!(Paint::new(true).name(alice).contains("alice"));
    }
}
