//! What a command says when it can't do what was asked: what went wrong, what to type next, and the exit code.
//!
//! Library modules have errors of their own, typed, without advice; a command turns them into an [`Error`] here,
//! because only it knows what its user was about to do. This module never prints: [`crate::term`] does.

use std::fmt;
use std::process::ExitCode;

/// How the program ends, for scripts. The numbers are part of its interface and don't change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: did what was asked.
    Done,
    /// 1: a failure that none of the others describes.
    Failure,
    /// 2: the command line or a configuration file is wrong.
    Usage,
    /// 3: no connection, or no answer in time.
    Network,
    /// 4: the server or the user could not be authenticated, or a key could not be unlocked.
    Authentication,
    /// 5: a key is not the one that was trusted before.
    PinMismatch,
    /// 6: the server refused a request, or something was not delivered.
    Refused,
    /// 7: there is no such user.
    NoUser,
    /// 8: the user is not a member of the room.
    NoMember,
    /// 9: the other one does not want to be disturbed.
    DoNotDisturb,
    /// 10: it is stored, and was not delivered or read in time.
    TimedOut,
    /// 20 and this: somebody has answered with this choice, counted from 0; never the first.
    Choice(u8),
    /// 130: ended by SIGINT (Ctrl-C).
    Interrupted,
    /// 143: ended by SIGTERM.
    Terminated,
}

impl Exit {
    /// The number the operating system sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Network => 3,
            Self::Authentication => 4,
            Self::PinMismatch => 5,
            Self::Refused => 6,
            Self::NoUser => 7,
            Self::NoMember => 8,
            Self::DoNotDisturb => 9,
            Self::TimedOut => 10,
            Self::Choice(number) => 20 + number,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// A failure as its user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What went wrong, without a full stop. Nothing to say if empty.
    pub message: String,
    /// What to do about it, best as a line to type.
    pub hint: Option<String>,
    /// How the program ends if this error ends it.
    pub exit: Exit,
}

impl Error {
    /// An error that ends the program with `exit`.
    #[must_use]
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), hint: None, exit }
    }

    /// [`Exit::Failure`].
    #[must_use]
    pub fn failure(message: impl fmt::Display) -> Self {
        Self::new(Exit::Failure, message)
    }

    /// [`Exit::Usage`].
    #[must_use]
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// [`Exit::Network`].
    #[must_use]
    pub fn network(message: impl fmt::Display) -> Self {
        Self::new(Exit::Network, message)
    }

    /// [`Exit::Authentication`].
    #[must_use]
    pub fn authentication(message: impl fmt::Display) -> Self {
        Self::new(Exit::Authentication, message)
    }

    /// [`Exit::PinMismatch`].
    #[must_use]
    pub fn pin_mismatch(message: impl fmt::Display) -> Self {
        Self::new(Exit::PinMismatch, message)
    }

    /// [`Exit::Refused`].
    #[must_use]
    pub fn refused(message: impl fmt::Display) -> Self {
        Self::new(Exit::Refused, message)
    }

    /// An end without a word: the user pressed Ctrl-C, or nobody reads the output any more.
    #[must_use]
    pub fn quiet(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// The same error with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// The same error, preceded by what was being done: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Turns the error of a library module into a command's, saying what was being done.
pub trait Context<T> {
    /// [`Error::failure`] with the message `context: error`; the context, a file's path as a rule, is made only if it
    /// is needed.
    ///
    /// # Errors
    /// Those it is called on.
    fn context<C: fmt::Display>(self, context: impl FnOnce() -> C) -> Result<T, Error>;
}

impl<T, E: std::error::Error> Context<T> for Result<T, E> {
    fn context<C: fmt::Display>(self, context: impl FnOnce() -> C) -> Result<T, Error> {
        self.map_err(|error| Error::failure(describe(&error)).context(context()))
    }
}

/// An error and its causes in one line. A cause that the error's own text already has is not repeated.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("can't read the key")]
    struct Outer(#[source] io::Error);

    #[test]
    fn context_stands_before_and_causes_after() {
        let result: Result<(), Outer> = Err(Outer(io::Error::other("disk on fire")));
        let error = result.context(|| "key_a.pem").unwrap_err().hint("buy a new disk");
        assert_eq!(error.to_string(), "key_a.pem: can't read the key: disk on fire");
        assert_eq!(error.hint.as_deref(), Some("buy a new disk"));
        assert_eq!(error.exit, Exit::Failure);
    }

    #[test]
    fn exit_codes_are_as_documented() {
        let all = [
            (Exit::Done, 0),
            (Exit::Failure, 1),
            (Exit::Usage, 2),
            (Exit::Network, 3),
            (Exit::Authentication, 4),
            (Exit::PinMismatch, 5),
            (Exit::Refused, 6),
            (Exit::NoUser, 7),
            (Exit::NoMember, 8),
            (Exit::DoNotDisturb, 9),
            (Exit::TimedOut, 10),
            (Exit::Interrupted, 130),
            (Exit::Terminated, 143),
        ];
        for (exit, code) in all {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }
}
