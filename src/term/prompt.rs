//! Questions to the person at the terminal. Each names the flag that answers it where nobody is there.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use dialoguer::{Confirm, Input, Password};
use zeroize::Zeroizing;

use super::{Term, sanitise};
use crate::error::{Context as _, Error, Exit};

/// A passphrase file is read up to here; more is a mistaken file.
const PASSPHRASE_BYTES: u64 = 1024;

impl Term {
    /// Asks yes or no; Enter alone means `default`. `flag` is what answers without a terminal, as `--force`.
    ///
    /// # Errors
    /// [`Exit::Usage`] if there is nobody to ask; a quiet [`Exit::Interrupted`] on Ctrl-C.
    pub fn confirm(&self, question: &str, default: bool, flag: &str) -> Result<bool, Error> {
        self.must_ask(question, flag)?;
        Confirm::new()
            .with_prompt(sanitise(question))
            .default(default)
            .wait_for_newline(true)
            .interact()
            .map_err(failed)
    }

    /// Asks for a line; Enter alone means `default`, if there is one.
    ///
    /// # Errors
    /// As [`Term::confirm`].
    pub fn input(&self, question: &str, default: Option<&str>, flag: &str) -> Result<String, Error> {
        self.must_ask(question, flag)?;
        let input = Input::new().with_prompt(sanitise(question));
        let input = match default {
            Some(default) => input.default(default.to_owned()),
            None => input,
        };
        input.interact_text().map_err(failed)
    }

    /// Asks for a secret, without echo. May be empty.
    ///
    /// # Errors
    /// As [`Term::confirm`].
    pub fn password(&self, question: &str, flag: &str) -> Result<Zeroizing<String>, Error> {
        self.must_ask(question, flag)?;
        let password = Password::new().with_prompt(sanitise(question)).allow_empty_password(true).report(false);
        password.interact().map(Zeroizing::new).map_err(failed)
    }

    /// Asks for a new secret twice, without echo, until both are the same and not empty.
    ///
    /// # Errors
    /// As [`Term::confirm`].
    pub fn new_password(&self, question: &str, flag: &str) -> Result<Zeroizing<String>, Error> {
        loop {
            let first = self.password(question, flag)?;
            if first.is_empty() {
                self.warn(format_args!("the passphrase is empty; try again, or use {flag}"));
            } else if *first == *self.password("The same again", flag)? {
                return Ok(first);
            } else {
                self.warn("they differ; try again");
            }
        }
    }

    fn must_ask(&self, question: &str, flag: &str) -> Result<(), Error> {
        if self.asks {
            return Ok(());
        }
        let question = question.trim_end_matches(['?', ':']);
        Err(Error::usage(format!("can't ask without a terminal: {question}")).hint(format!("use {flag}")))
    }
}

/// The passphrase in `file`, or on standard input if that is `-`: its first line, without the line's end.
///
/// # Errors
/// What can't be read, is no text, or is over 1 KiB.
pub fn passphrase_file(file: &Path) -> Result<Zeroizing<String>, Error> {
    let stdin = file == Path::new("-");
    let name = || if stdin { "standard input".into() } else { file.display().to_string() };
    // No more than the line is taken from standard input: what follows may be for somebody else.
    let source: Box<dyn BufRead> = if stdin {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(file).context(|| format!("can't read the passphrase in {}", file.display()))?;
        Box::new(BufReader::new(file))
    };
    let mut line = Zeroizing::new(String::with_capacity(usize::try_from(PASSPHRASE_BYTES).unwrap_or(0) + 1));
    source
        .take(PASSPHRASE_BYTES + 1)
        .read_line(&mut line)
        .context(|| format!("can't read the passphrase in {}", name()))?;
    let length = line.trim_end_matches(['\n', '\r']).len();
    if u64::try_from(line.len()).is_ok_and(|length| length > PASSPHRASE_BYTES) {
        return Err(Error::failure(format!("the first line of {} is too long for a passphrase", name())));
    }
    line.truncate(length);
    Ok(line)
}

fn failed(error: dialoguer::Error) -> Error {
    let dialoguer::Error::IO(error) = error;
    match error.kind() {
        io::ErrorKind::Interrupted => Error::quiet(Exit::Interrupted),
        _ => Error::failure(error).context("can't ask"),
    }
}
