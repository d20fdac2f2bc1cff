//! The voice of the program. Nothing else writes to stdout or stderr, or reads an answer from a person.
//!
//! The policy:
//!
//! - stdout is the answer to what was asked (a key, a list, the chat), and nothing else, so that it can be piped.
//! - stderr is everything about it: `rsachat: ...` for what is going on, `rsachat: warning: ...`, and for what ends the
//!   program `rsachat: error: ...`, then `rsachat: hint: ...` with the next thing to type.
//! - Colour is for people: on a terminal, unless NO_COLOR is set, TERM is dumb, or `--color` says otherwise. No meaning
//!   is in colour alone.
//! - Questions are asked on stderr and only of a terminal. Without one, or with `--no-input`, the program fails and
//!   names the flag that answers.
//! - A reader that has gone away (`rsachat ... | head`) ends the program quietly.
//! - Text from elsewhere passes [`fn@sanitise`] first.
//!
//! This module never decides anything for a command, and never ends the program.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use crate::error::{Error, Exit};

mod paint;
mod prompt;
mod sanitise;

pub use paint::{Look, Paint};
pub use prompt::passphrase_file;
pub use sanitise::{is_hidden, sanitise, sanitise_lines};

/// Whether to use colour: the value of `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    #[default]
    Auto,
    /// In pipes and files too
    Always,
    /// Nowhere
    Never,
}

impl Colour {
    fn on(self, terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
                terminal && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }
}

/// What the program writes to and asks through.
#[derive(Debug, Clone)]
pub struct Term {
    out: Paint,
    err: Paint,
    no_input: bool,
    asks: bool,
}

impl Term {
    /// The terminal, pipes or files that the program was started with. `no_input` is the flag of that name.
    #[must_use]
    pub fn new(colour: Colour, no_input: bool) -> Self {
        let err_terminal = io::stderr().is_terminal();
        Self {
            out: Paint::new(colour.on(io::stdout().is_terminal())),
            err: Paint::new(colour.on(err_terminal)),
            no_input,
            asks: !no_input && err_terminal && io::stdin().is_terminal(),
        }
    }

    /// Whether there is somebody to answer questions.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.asks
    }

    /// Whether somebody may type commands while the program runs: not into what runs in the background, which the
    /// system would stop for reading.
    #[must_use]
    pub fn commands(&self) -> bool {
        let foreground =
            || rustix::termios::tcgetpgrp(io::stdin()).is_ok_and(|group| group == rustix::process::getpgrp());
        !self.no_input && io::stdin().is_terminal() && foreground()
    }

    /// Whether a line can be edited while other lines appear: on a terminal that is not a dumb one.
    #[must_use]
    pub fn chats(&self) -> bool {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        io::stdin().is_terminal() && io::stdout().is_terminal() && !dumb
    }

    /// The colours of stdout, for those who draw there themselves.
    #[must_use]
    pub fn out_paint(&self) -> Paint {
        self.out
    }

    /// The colours of stderr, likewise.
    #[must_use]
    pub fn err_paint(&self) -> Paint {
        self.err
    }

    /// Writes a line of the answer to stdout.
    ///
    /// # Errors
    /// A quiet one, exit code 0, if nobody reads any more; else what the system says (a full disk).
    pub fn out(&self, line: impl fmt::Display) -> Result<(), Error> {
        self.write_out(format!("{line}\n").as_bytes())
    }

    /// Writes bytes of the answer to stdout as they are, and flushes.
    ///
    /// # Errors
    /// As [`Term::out`].
    pub fn write_out(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Error::quiet(Exit::Done),
            _ => Error::failure(error).context("can't write to standard output"),
        })
    }

    /// Says on stderr what is going on.
    pub fn note(&self, text: impl fmt::Display) {
        say("", &text.to_string());
    }

    /// Says on stderr what may be wrong.
    pub fn warn(&self, text: impl fmt::Display) {
        say(&format!("{}: ", self.err.with(Look::Warning, "warning")), &text.to_string());
    }

    /// Says on stderr what to do next.
    pub fn hint(&self, text: impl fmt::Display) {
        say(&format!("{}: ", self.err.with(Look::Hint, "hint")), &text.to_string());
    }

    /// Says on stderr what went wrong and what to do about it; nothing for a quiet error.
    pub fn report(&self, error: &Error) {
        if !error.message.is_empty() {
            say(&format!("{}: ", self.err.with(Look::Error, "error")), &error.message);
        }
        if let Some(hint) = &error.hint {
            self.hint(hint);
        }
    }

    /// A bar on stderr until it is dropped; nothing where stderr is no terminal.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let bar = indicatif::ProgressBar::new(1000);
        let template = if self.err.is_on() { "{msg} {bar:40.cyan} {percent} %" } else { "{msg} {bar:40} {percent} %" };
        if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress(bar)
    }

    /// A spinner with `text` on stderr until it is dropped; nothing where stderr is no terminal.
    #[must_use]
    pub fn spinner(&self, text: &str) -> Spinner {
        // indicatif hides it by itself where stderr is no terminal.
        let bar = indicatif::ProgressBar::new_spinner();
        let template = if self.err.is_on() { "{spinner:.cyan} {msg} {elapsed}" } else { "{spinner} {msg} {elapsed}" };
        if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(sanitise(text).into_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Spinner(bar)
    }
}

/// Shows how far something is that is going on; goes away when dropped.
#[derive(Debug)]
pub struct Progress(indicatif::ProgressBar);

impl Progress {
    /// It is this that is going on, and so much of it is done, from 0 to 1.
    pub fn set(&self, text: &'static str, done: f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float is cut to the range")]
        self.0.set_position((done.clamp(0.0, 1.0) * 1000.0) as u64);
        self.0.set_message(text);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

// One write for all, lest lines of several threads mix. There is nobody to tell that stderr is gone.
fn say(label: &str, text: &str) {
    let mut lines = String::new();
    for line in text.lines() {
        lines.push_str("rsachat: ");
        lines.push_str(label);
        lines.push_str(&sanitise(line));
        lines.push('\n');
    }
    let _ = io::stderr().lock().write_all(lines.as_bytes());
}

/// Shows that something takes its time; goes away when dropped.
#[derive(Debug)]
pub struct Spinner(indicatif::ProgressBar);

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
