//! The client in pipes and files: each line of standard input is a message or a command, messages come out on standard
//! output in the order of the room, everything else on standard error.
//!
//! The end of the input waits until everything said is acknowledged and everything asked is answered, then leaves. A
//! reader that has gone away ends it quietly.

use std::io::BufRead as _;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::{About, command, show};
use crate::client::commands::{self, Action};
use crate::client::driver::{Handle, Told};
use crate::client::session::{Command, Outcome};
use crate::error::Error;
use crate::term::Term;

/// How long the end of the input waits for acknowledgements and answers.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of one line of input, at most; the server takes less.
const LINE_BYTES: u64 = 1 << 20;

/// Chats until the input ends, or the session.
///
/// # Errors
/// What writing to standard output meets.
pub fn run(term: &Term, about: &About, handle: &Handle, told: &Receiver<Told>) -> Result<(Outcome, usize), Error> {
    let mut renderer = about.renderer(term.out_paint());
    let (input, feeder) = (handle.clone(), Feeder { term: term.clone(), about: about.clone() });
    // Reading may block for ever, and so it never holds up the end of the program.
    std::thread::spawn(move || feeder.feed(&input));
    loop {
        match told.recv() {
            Ok(Told::Event(event)) => show(term, renderer.event(&event))?,
            Ok(Told::Over { outcome, undelivered }) => return Ok((outcome, undelivered)),
            Err(_) => return Err(Error::failure("the connection's thread has ended")),
        }
    }
}

/// Reads the input.
struct Feeder {
    term: Term,
    about: About,
}

impl Feeder {
    fn feed(&self, handle: &Handle) {
        let mut input = std::io::stdin().lock();
        let mut line = Vec::new();
        loop {
            line.clear();
            match std::io::Read::take(&mut input, LINE_BYTES).read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    self.term.warn(format_args!("can't read standard input: {error}"));
                    break;
                }
            }
            if !self.take(handle, String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n'])) {
                break;
            }
        }
        handle.send(Command::Leave { patience: PATIENCE });
    }

    /// Does what a line asks for; says whether to go on.
    fn take(&self, handle: &Handle, line: &str) -> bool {
        let action = match commands::parse(line) {
            Ok(action) => action,
            Err(mistake) => {
                self.term.warn(&mistake);
                self.term.hint(&mistake.hint);
                return true;
            }
        };
        if let Some(command) = command(&action, self.about.room) {
            handle.send(command);
            return true;
        }
        match action {
            Action::Leave => return false,
            Action::Fingerprint => {
                self.term.note(format_args!("server {}", self.about.server));
                self.term.note(format_args!("you {}", self.about.own));
            }
            Action::Manual(entry) => {
                let lines = entry.map_or_else(commands::manual, commands::Entry::manual);
                for line in lines {
                    self.term.note(line);
                }
            }
            _ => {}
        }
        true
    }
}
