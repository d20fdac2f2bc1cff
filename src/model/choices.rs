//! What a question can be answered with.

use std::fmt;
use std::str::FromStr;

use super::HexError;

/// Most choices of a question: a person reads them all.
pub const CHOICES: usize = 9;
/// Longest choice, bytes.
pub const CHOICE_BYTES: usize = 64;

/// One of the answers that a question allows: 1 to [`CHOICE_BYTES`] bytes, without control characters, and without spaces
/// around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice(String);

/// 2 to [`CHOICES`] different ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choices(Vec<Choice>);

/// What is wrong with a question's choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChoicesError {
    /// Too few or too many.
    #[error("a question has 2 to {CHOICES} choices")]
    Count,
    /// Two are the same.
    #[error("a choice is there twice")]
    Twice,
    /// One is not to be read, or typed.
    #[error("a choice has 1 to {CHOICE_BYTES} bytes, and no control characters")]
    Choice,
}

impl Choice {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a choice as a peer sends it.
    #[must_use]
    pub fn from_wire(text: &str) -> Option<Self> {
        let fits = (1..=CHOICE_BYTES).contains(&text.len()) && text.trim() == text && !text.contains(char::is_control);
        fits.then(|| Self(text.to_owned()))
    }
}

impl FromStr for Choice {
    type Err = ChoicesError;
    fn from_str(text: &str) -> Result<Self, ChoicesError> {
        Self::from_wire(text.trim()).ok_or(ChoicesError::Choice)
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Choices {
    /// # Errors
    /// If they are too few or too many, or one is there twice.
    pub fn new(choices: Vec<Choice>) -> Result<Self, ChoicesError> {
        if !(2..=CHOICES).contains(&choices.len()) {
            return Err(ChoicesError::Count);
        }
        let is_repeated = |(at, choice)| choices.iter().take(at).any(|before| before == choice);
        if choices.iter().enumerate().any(is_repeated) {
            return Err(ChoicesError::Twice);
        }
        Ok(Self(choices))
    }

    /// Each, in the order of the question.
    pub fn iter(&self) -> std::slice::Iter<'_, Choice> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Choices {
    type Item = &'a Choice;
    type IntoIter = std::slice::Iter<'a, Choice>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// As they are typed: with commas in between.
impl FromStr for Choices {
    type Err = ChoicesError;
    fn from_str(text: &str) -> Result<Self, ChoicesError> {
        let choices: Result<Vec<Choice>, ChoicesError> = text.split(',').map(str::parse).collect();
        Self::new(choices?)
    }
}

/// A question with its choices: SHA-256 over the body that asks it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QuestionHash(pub [u8; 32]);

impl fmt::Display for QuestionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for QuestionHash {
    type Err = HexError;
    fn from_str(text: &str) -> Result<Self, HexError> {
        super::from_hex(text).map(Self)
    }
}

impl fmt::Debug for QuestionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QuestionHash({:02x?}..)", self.0.first_chunk::<4>().unwrap_or(&[0; 4]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_few_different_and_readable() {
        let texts = |text: &str| {
            let choices: Result<Choices, ChoicesError> = text.parse();
            choices.map(|choices| choices.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(texts("yes,no"), Ok(vec!["yes".to_owned(), "no".to_owned()]));
        assert_eq!(texts(" roll back , go on"), Ok(vec!["roll back".to_owned(), "go on".to_owned()]));
        assert_eq!(texts("yes"), Err(ChoicesError::Count));
        assert_eq!(texts("1,2,3,4,5,6,7,8,9").map(|all| all.len()), Ok(9));
        assert_eq!(texts("1,2,3,4,5,6,7,8,9,10"), Err(ChoicesError::Count));
        assert_eq!(texts("yes,no,yes"), Err(ChoicesError::Twice));
        assert_eq!(texts("yes,"), Err(ChoicesError::Choice));
        assert_eq!(texts("yes,n\u{7}o"), Err(ChoicesError::Choice));
        assert_eq!(texts(&format!("yes,{}", "x".repeat(CHOICE_BYTES + 1))), Err(ChoicesError::Choice));
        assert_eq!(Choice::from_wire(" yes"), None);
    }
}
