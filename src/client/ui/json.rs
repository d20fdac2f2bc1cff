//! The client for programs: a JSON object a line on standard input and output (rsachat-json(5)). All rooms are shown, each
//! line says which one it is about.
//!
//! Every command is answered by one line, which has what the command was named by. A reader that is slow is waited for, and
//! one that has gone away ends it quietly. The end of the input waits until everything is answered, then leaves.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::input::{LINE_BYTES, Line as Input, UNANSWERED, read_line};
use super::{About, Ended, News, Stage};
use crate::client::driver::{Handle, Told};
use crate::client::gate::Gate;
use crate::client::json::command::{Asked, Bad, Wish, read};
use crate::client::json::event::Lines;
use crate::client::json::line::{ErrorLine, Key, Line, Name, Ref};
use crate::client::json::to_line;
use crate::client::session::{Answer, Ask, Command, Event};
use crate::client::verification::code;
use crate::error::Error;
use crate::model::{MessageId, RoomName, UserName};
use crate::proto::message::{Membership, Request};
use crate::term::Term;

/// How long what was asked may take to be answered after the end of the input.
const PATIENCE: Duration = Duration::from_secs(30);

/// Chats until the input ends, or the session.
///
/// # Errors
/// What writing to standard output meets.
pub(super) fn run(term: &Term, about: &About, stage: &Stage) -> Result<Ended, Error> {
    let mut face = Face { term, about, lines: Lines::new(about), open: Open::default() };
    face.write(&face.lines.hello(about))?;
    let unanswered = Arc::new(Gate::new(UNANSWERED));
    let feeder = Feeder {
        term: term.clone(),
        about: about.clone(),
        handle: stage.handle.clone(),
        open: face.open.clone(),
        unanswered: Arc::clone(&unanswered),
    };
    // Reading may block for ever, and so it never holds up the end of the program.
    std::thread::spawn(move || feeder.feed());
    let mut signal = None;
    while let Some(news) = stage.next() {
        match news {
            News::Told(Told::Over { outcome, undelivered }) => {
                face.close()?;
                face.write(&Lines::end(&outcome, undelivered))?;
                // Of what was refused, the program was told.
                return Ok(Ended { outcome, undelivered, refused: 0, signal });
            }
            News::Told(Told::Event(event)) => {
                if is_answer(&event) {
                    unanswered.leave(1);
                }
                face.show(event)?;
            }
            News::Signal(exit) => {
                signal = Some(exit);
                stage.handle.send(Command::Leave { patience: Duration::ZERO });
            }
            // Those come from a terminal, or from the other face without one.
            News::Typed(_) | News::Mistyped(_) | News::Back | News::GoesOn | News::LooksAt(_) => {}
        }
    }
    Err(Error::failure("the connection's thread has ended"))
}

/// Whether nothing more comes of what was said or asked.
fn is_answer(event: &Event) -> bool {
    matches!(event, Event::Accepted { .. } | Event::Refused { .. } | Event::Undelivered { .. } | Event::Answered { .. })
}

struct Face<'a> {
    term: &'a Term,
    about: &'a About,
    lines: Lines,
    open: Open,
}

impl Face<'_> {
    fn write(&self, line: &Line) -> Result<(), Error> {
        self.term.write_out(&to_line(line))
    }

    /// The session has ended: what it has not answered is answered here.
    fn close(&self) -> Result<(), Error> {
        for reference in self.open.lock().close() {
            let message = "the session has ended".to_owned();
            let error = ErrorLine { code: "shutting_down", message, hint: None };
            self.write(&Line::Error { error, line: None, reference: Some(reference) })?;
        }
        Ok(())
    }

    fn show(&mut self, event: Event) -> Result<(), Error> {
        let Answers { reference, verifies, joined } = self.open.lock().answered(&event);
        let line = match event {
            Event::Answered { answer: Ok(Answer::User(user, _)), .. } if verifies => {
                let [digits, words] = code((self.about.me, self.about.own), (user.user, user.fingerprint));
                let (user, key) = (Name(user.user), Key(user.fingerprint));
                Some(Line::Verification { user, key, digits, words, reference })
            }
            event => self.lines.event(event, reference),
        };
        let Some(line) = line else { return Ok(()) };
        self.write(&line)?;
        for reference in joined {
            let answer = match &line {
                Line::NotEntered { error, .. } => Line::Error { error: error.clone(), line: None, reference },
                _ => Line::Done { reference },
            };
            self.write(&answer)?;
        }
        Ok(())
    }
}

/// The commands that are not answered yet, and how they are named. One thread reads them, another one answers.
#[derive(Debug, Clone, Default)]
struct Open(Arc<Mutex<Commands>>);

#[derive(Debug, Default)]
struct Commands {
    /// What is to be said and has no name of its own yet, in its order.
    said: VecDeque<Option<Ref>>,
    posts: BTreeMap<MessageId, Option<Ref>>,
    asks: VecDeque<(Ask, Purpose)>,
    joins: Vec<(RoomName, Option<Ref>)>,
    /// The rooms that the user is in.
    rooms: BTreeSet<RoomName>,
}

#[derive(Debug, Default)]
struct Purpose {
    reference: Option<Ref>,
    /// What to compare with the user is to be told.
    verifies: bool,
}

/// What an event answers.
#[derive(Debug, Default)]
struct Answers {
    reference: Option<Ref>,
    verifies: bool,
    /// Commands to join the room that the event is about.
    joined: Vec<Option<Ref>>,
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, Commands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Commands {
    fn answered(&mut self, event: &Event) -> Answers {
        let mut answers = Answers::default();
        match event {
            Event::Pending { id, .. } => {
                let reference = self.said.pop_front().flatten();
                self.posts.insert(*id, reference.clone());
                answers.reference = reference;
            }
            Event::Accepted { id, .. } | Event::Refused { id, .. } | Event::Undelivered { id, .. } => {
                answers.reference = self.posts.remove(id).flatten();
            }
            Event::Answered { ask, answer } => {
                if let (Ask::Do(Request::Leave(leave)), Err(_)) = (ask, answer) {
                    self.rooms.insert(leave.room);
                    answers.joined = self.joins(leave.room);
                }
                let at = self.asks.iter().position(|(asked, _)| asked == ask);
                let purpose = at.and_then(|at| self.asks.remove(at)).map(|(_, purpose)| purpose).unwrap_or_default();
                (answers.reference, answers.verifies) = (purpose.reference, purpose.verifies);
            }
            Event::Entered { info, .. } => {
                self.rooms.insert(info.room);
                answers.joined = self.joins(info.room);
            }
            Event::NotEntered { room, .. } => {
                self.rooms.remove(room);
                answers.joined = self.joins(*room);
            }
            Event::Left { room } | Event::Membership(Membership { room, member: false, .. }) => {
                self.rooms.remove(room);
            }
            _ => {}
        }
        answers
    }

    /// The names of all that is not answered.
    fn close(&mut self) -> Vec<Ref> {
        let said = std::mem::take(&mut self.said).into_iter().chain(std::mem::take(&mut self.posts).into_values());
        let asks = std::mem::take(&mut self.asks).into_iter().map(|(_, purpose)| purpose.reference);
        let joins = std::mem::take(&mut self.joins).into_iter().map(|(_, reference)| reference);
        said.chain(asks).chain(joins).flatten().collect()
    }

    fn joins(&mut self, room: RoomName) -> Vec<Option<Ref>> {
        self.joins.extract_if(.., |(joins, _)| *joins == room).map(|(_, reference)| reference).collect()
    }
}

/// Reads the input.
struct Feeder {
    term: Term,
    about: About,
    handle: Handle,
    open: Open,
    unanswered: Arc<Gate>,
}

impl Feeder {
    fn feed(&self) {
        let mut input = std::io::stdin().lock();
        let mut text = Vec::new();
        for number in 1.. {
            text.clear();
            let asked = match read_line(&mut input, &mut text) {
                Ok(Input::End) => break,
                Ok(Input::Whole) if text.trim_ascii().is_empty() => continue,
                Ok(Input::Whole) => read(&text, self.about.me, self.about.room),
                Ok(Input::TooLong) => {
                    let message = format!("more than {LINE_BYTES} bytes in a line");
                    Err(Bad { reference: None, code: "bad_json", message })
                }
                Err(error) => {
                    self.term.report(&Error::failure(error).context("can't read standard input"));
                    break;
                }
            };
            let written = match asked {
                Ok(Asked { wish: Wish::Exit, reference }) => {
                    // Whoever reads no more needs no answer.
                    let _ = self.done(reference);
                    break;
                }
                Ok(asked) => self.take(asked),
                Err(Bad { reference, code, message }) => {
                    let error = ErrorLine { code, message, hint: None };
                    self.write(&Line::Error { error, line: Some(number), reference })
                }
            };
            // The reader of the answers has gone away: the session ends when it says so, or something else does.
            if let Err(error) = written {
                self.term.report(&error);
                break;
            }
        }
        self.handle.send(Command::Leave { patience: PATIENCE });
    }

    fn take(&self, Asked { reference, wish }: Asked) -> Result<(), Error> {
        match wish {
            Wish::Session(commands) => self.carry_out(commands, reference),
            Wish::Verify(user) => {
                self.ask_whois(user, reference);
                Ok(())
            }
            Wish::Join(room) => {
                let mut open = self.open.lock();
                if open.rooms.contains(&room) {
                    drop(open);
                    return self.done(reference);
                }
                open.joins.push((room, reference));
                self.handle.send(Command::Join { room });
                Ok(())
            }
            Wish::Exit => Ok(()),
        }
    }

    fn ask_whois(&self, user: UserName, reference: Option<Ref>) {
        self.unanswered.enter(1);
        let ask = Ask::Whois { user };
        // Under the lock, so that answers come in the order in which the commands are here.
        let mut open = self.open.lock();
        open.asks.push_back((ask.clone(), Purpose { reference, verifies: true }));
        self.handle.send(Command::Ask(ask));
    }

    fn carry_out(&self, commands: Vec<Command>, mut reference: Option<Ref>) -> Result<(), Error> {
        let mut answered = false;
        for command in commands {
            if let Command::Post { .. } | Command::Ask(_) = command {
                self.unanswered.enter(1);
            }
            let mut open = self.open.lock();
            match &command {
                Command::Post { .. } => open.said.push_back(reference.take()),
                Command::Ask(ask) => {
                    if let Ask::Do(Request::Leave(leave)) = ask {
                        // Whoever joins it after this has to be let in anew.
                        open.rooms.remove(&leave.room);
                    }
                    let purpose = Purpose { reference: reference.take(), verifies: false };
                    open.asks.push_back((ask.clone(), purpose));
                }
                _ => {}
            }
            answered |= matches!(command, Command::Post { .. } | Command::Ask(_));
            self.handle.send(command);
        }
        // Of the others the session says nothing, or only what has become of them.
        if answered { Ok(()) } else { self.done(reference) }
    }

    fn done(&self, reference: Option<Ref>) -> Result<(), Error> {
        self.write(&Line::Done { reference })
    }

    fn write(&self, line: &Line) -> Result<(), Error> {
        self.term.write_out(&to_line(line))
    }
}
