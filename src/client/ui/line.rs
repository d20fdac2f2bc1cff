//! The client on a terminal: a line editor at the bottom, the chat above it.
//!
//! The editor reads for as long as the chat lasts, so that the line that is being typed stays whole whatever arrives
//! (rustyline's external printer). What is typed disappears from where it was typed, and appears as everyone sees it
//! once it is on the server's disk. One thread edits, another shows; the session ends the first one by the
//! signal that it takes for Ctrl-C.

mod complete;
mod flow;
mod keys;
mod prompt;
mod recall;
mod screen;
mod tabs;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::{Duration, Instant};

use rustyline::error::ReadlineError;
use rustyline::{ColorMode, Config, Editor, ExternalPrinter};

use self::complete::{Completion, Names};
use self::prompt::Prompt;
use self::recall::Recall;
use self::screen::Screen;
use super::render::Form;
use super::{About, Ended, News, PATIENCE, Stage, choose, commands, oneself};
use crate::client::commands::{self as typed, Action, Mistake};
use crate::client::driver::Told;
use crate::client::session::{Answer, Ask, Command, Event};
use crate::client::verification::code;
use crate::error::{Error, Exit};
use crate::model::{Fingerprint, RoomName, Seq, UserName};
use crate::proto::message::{Request, SetIdle};
use crate::term::{Term, sanitise};

/// News shown together, at most.
const BATCH: usize = 256;
/// How often the editor is told to end until it has.
const AGAIN: Duration = Duration::from_millis(20);

/// Chats until the user leaves, or the session ends.
///
/// # Errors
/// What the terminal meets.
pub(super) fn run(term: &Term, about: &About, stage: Stage) -> Result<Ended, Error> {
    let (names, recall, prompt) =
        (Names::default(), Recall::default(), Prompt::new(about.me, about.room, stage.sender.clone()));
    // Without it, nothing behind the prompt would be drawn anew. It adds no colours of its own.
    let config = Config::builder().bracketed_paste(true).color_mode(ColorMode::Forced).build();
    let mut editor = Editor::with_history(config, recall.clone()).map_err(terminal)?;
    editor.set_helper(Some(Completion { paint: term.out_paint(), names: names.clone(), prompt: prompt.clone() }));
    keys::bind(&mut editor, &stage.sender, &recall);
    let renderer = about.renderer(term.out_paint(), Form::Screen);
    // Kept to the end: without any printer the editor waits for keys alone, and no signal wakes it.
    let printer = editor.create_external_printer().map_err(terminal)?;
    let screen = Screen::new(editor.create_external_printer().map_err(terminal)?, renderer, names, about);
    let sender = stage.sender.clone();
    let (done, result) = channel();
    let (reading, read) = channel();
    let face = Face {
        about: about.clone(),
        stage,
        screen,
        prompt: prompt.clone(),
        wanted: None,
        greeted: false,
        idle: false,
        unread: BTreeMap::new(),
        verifying: None,
        signal: None,
    };
    std::thread::spawn(move || {
        let _end = EndEditor(read);
        // Nobody waits where the terminal was taken away.
        let _ = done.send(face.run());
    });
    let mut typed = (String::new(), String::new());
    let ended = loop {
        let text = prompt.text();
        let read = editor.readline_with_initial(&text, (&typed.0, &typed.1));
        typed = <(String, String)>::default();
        match result.try_recv() {
            Ok(ended) => break ended,
            Err(TryRecvError::Disconnected) => break Err(Error::failure("the screen's thread has ended")),
            Err(TryRecvError::Empty) => {}
        }
        match read {
            Err(ReadlineError::Interrupted) if prompt.is_interrupted() => {
                typed = prompt.typed();
                // The editor has left its rows behind, and gone to the next.
                let screen = console::Term::stdout();
                let _ = screen.clear_last_lines(prompt.rows(&text, screen.size().1.into()));
                prompt.goes_on();
            }
            // Somebody else's signal.
            Err(ReadlineError::Interrupted) => drop(sender.send(News::Signal(Exit::Interrupted))),
            // The keys take every line out before the editor sees it.
            Ok(_) | Err(ReadlineError::Signal(_)) => {}
            Err(error) => {
                // Nothing is typed any more, or nothing can be.
                let (last, failure) = match error {
                    ReadlineError::Eof => (News::Typed(Action::Leave), None),
                    error => (News::Signal(Exit::Terminated), Some(terminal(error))),
                };
                let _ = sender.send(last);
                prompt.goes_on();
                // The printer may be waiting for the editor to take its text: without an editor it waits no more.
                drop(editor);
                let ended = result.recv_timeout(2 * PATIENCE).map_err(|_| Error::quiet(Exit::Terminated));
                break failure.map_or(ended.flatten(), Err);
            }
        }
    };
    // From here on nothing is in raw mode, and the printer writes straight to the terminal.
    drop((printer, reading));
    ended
}

fn terminal(error: impl std::fmt::Display) -> Error {
    Error::failure(format_args!("the terminal can't be used: {error}"))
}

/// Ends the editor when it is dropped, however its thread ends. The editor waits for a key; it ends for SIGINT, and
/// restores the terminal.
struct EndEditor(Receiver<Infallible>);

impl Drop for EndEditor {
    fn drop(&mut self) {
        loop {
            // Caught by us where the editor doesn't.
            let _ = signal_hook::low_level::raise(signal_hook::consts::SIGINT);
            // It may have been about to begin.
            if self.0.recv_timeout(AGAIN) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }
}

/// The thread that shows.
struct Face<P> {
    about: About,
    stage: Stage,
    screen: Screen<P>,
    prompt: Prompt,
    // Where the user wants to be, as soon as that room is entered.
    wanted: Option<RoomName>,
    greeted: bool,
    // The server was told that nobody is here.
    idle: bool,
    // What was shown in each room, and perhaps not seen.
    unread: BTreeMap<RoomName, Seq>,
    // Whose key is to be compared; and which it is, when the user was shown what to compare.
    verifying: Option<(UserName, Option<Fingerprint>)>,
    signal: Option<Exit>,
}

impl<P: ExternalPrinter> Face<P> {
    fn run(mut self) -> Result<Ended, Error> {
        let mut ended = None;
        let result = loop {
            let idle_from = self.about.away.filter(|_| !self.idle).map(|away| self.prompt.touched() + away);
            let due = [self.screen.tabs.current.flow.poll_timeout(), idle_from].into_iter().flatten().min();
            // What is not shown before the editor goes on is not waited for.
            let first = match due.filter(|_| !self.prompt.is_interrupted()) {
                None => self.stage.news.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => self.stage.news.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            let first = match first {
                Ok(news) => Some(news),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => {
                    break Err(Error::failure("the connection's thread has ended"));
                }
            };
            let news: Vec<News> = first.into_iter().chain(self.stage.news.try_iter().take(BATCH)).collect();
            for news in news {
                self.stage.seen(&news);
                ended = self.take(news).or(ended);
            }
            self.be_idle(Instant::now());
            if self.prompt.is_interrupted() {
                continue;
            }
            let elsewhere_changed = self.prompt.set_elsewhere(self.screen.elsewhere());
            self.screen.show(Instant::now(), elsewhere_changed);
            self.tell_read();
            if let Some(ended) = ended {
                break ended;
            }
            if self.prompt.room() != self.screen.tabs.current.room {
                self.screen.settle();
                self.prompt.set(self.screen.tabs.current.room);
            }
        };
        self.screen.settle();
        result
    }

    fn take(&mut self, news: News) -> Option<Result<Ended, Error>> {
        match news {
            News::Told(Told::Over { outcome, undelivered }) => {
                return Some(Ok(Ended { outcome, undelivered, refused: 0, signal: self.signal }));
            }
            News::Told(Told::Event(event)) => self.told(event, Instant::now()),
            // Whoever insists does not wait.
            News::Signal(Exit::Interrupted) if self.prompt.is_interrupted() => self.prompt.catch_up(),
            News::Signal(exit) if self.signal.is_some() => return Some(Err(Error::quiet(exit))),
            News::Signal(exit) => {
                self.signal = Some(exit);
                self.stage.handle.send(Command::Leave { patience: Duration::ZERO });
            }
            News::Typed(action) => self.typed(&action),
            // What comes after this sees it.
            News::GoesOn | News::LooksAt(_) => {}
            News::Back => {
                self.idle = false;
                self.tell_idle();
            }
            News::Mistyped(mistake) => self.screen.mistake(&mistake),
        }
        None
    }

    /// Tells what was read, as far as somebody is there to read it.
    fn tell_read(&mut self) {
        self.unread.append(&mut self.screen.take_read());
        if !self.idle {
            for (room, seq) in std::mem::take(&mut self.unread) {
                self.stage.handle.send(Command::Read { room, seq });
            }
        }
    }

    /// Shows what to compare with a user, or notes that it is the same.
    fn verify(&mut self, user: UserName, compared: bool) {
        match self.verifying {
            Some((verified, Some(key))) if compared && verified == user => {
                self.verifying = None;
                self.stage.handle.send(Command::Trust { user, key: Some(key), verified: true });
            }
            _ if compared => self.screen.mistake(&Mistake {
                text: format!("there is nothing yet that you could have compared with {user}"),
                hint: format!("/verify {user} shows it"),
            }),
            _ => {
                self.verifying = Some((user, None));
                self.stage.handle.send(Command::Ask(Ask::Whois { user }));
            }
        }
    }

    /// Tells the server when nobody has typed for long.
    fn be_idle(&mut self, now: Instant) {
        let is_due = self.about.away.is_some_and(|away| now >= self.prompt.touched() + away);
        if is_due && !self.idle {
            self.idle = true;
            self.prompt.wait_for_typing();
            self.tell_idle();
        }
    }

    fn tell_idle(&self) {
        self.stage.handle.send(Command::Ask(Ask::Do(Request::SetIdle(SetIdle { idle: self.idle }))));
    }

    fn told(&mut self, event: Event, now: Instant) {
        match event {
            Event::Entered { ref info, .. } => {
                let (room, topic) = (info.room, info.topic.clone());
                self.screen.event(event, now);
                if self.wanted == Some(room) {
                    self.wanted = None;
                    self.screen.look_at(room, now);
                } else if room == self.screen.tabs.current.room && !self.greeted {
                    self.greeted = true;
                    let topic = if topic.is_empty() { String::new() } else { format!(": {topic}") };
                    let place = room.seen_by(self.about.me);
                    let greeting = format!("you are in {place}{topic}; /help lists the commands, /exit leaves");
                    self.screen.event(Event::Notice(greeting), now);
                }
            }
            Event::Answered { ask: Ask::Whois { user }, answer: Ok(Answer::User(info, _)) }
                if self.verifying == Some((user, None)) =>
            {
                self.verifying = Some((user, Some(info.fingerprint)));
                let [digits, words] = code((self.about.me, self.about.own), (user, info.fingerprint));
                self.screen.lines([
                    format!("what {user} sees for /verify {} is to be the same; ask him by phone:", self.about.me),
                    format!("   {digits}"),
                    format!("   {words}"),
                    format!("if it is the same: /verify {user} yes"),
                ]);
            }
            // A new connection is one at which somebody is, as far as the server knows.
            Event::Online(_) if self.idle => self.tell_idle(),
            // Nobody has asked for it.
            Event::Answered { ask: Ask::Do(Request::SetIdle(_)), .. } => {}
            // Who is brought into that room some day is not to be taken there.
            Event::Answered { ask: Ask::Create { .. }, answer: Err(_) } => {
                self.wanted = None;
                self.screen.event(event, now);
            }
            Event::Answered { answer: Ok(Answer::Rooms(list)), .. } => self.screen.rooms(&list),
            // It would be told in the room that is forgotten.
            Event::Left { room } => {
                self.screen.leave(room, now);
                self.screen.event(event, now);
            }
            Event::Membership(ref membership) if !membership.member => {
                self.screen.leave(membership.room, now);
                self.screen.event(event, now);
            }
            Event::NotEntered { room, .. } => {
                self.wanted = self.wanted.filter(|wanted| *wanted != room);
                self.screen.leave(room, now);
                self.screen.event(event, now);
            }
            event => self.screen.event(event, now),
        }
    }

    fn typed(&mut self, action: &Action) {
        let now = Instant::now();
        if let Some(mistake) = oneself(action, self.about.me) {
            return self.screen.mistake(&mistake);
        }
        match action {
            Action::Join(place) => {
                self.wanted = place.room(self.about.me);
                if self.wanted.is_some_and(|room| self.screen.look_at(room, now)) {
                    self.wanted = None;
                    return;
                }
            }
            Action::Create(room, _) => self.wanted = Some(*room),
            // Said from elsewhere: what becomes of it is told there.
            Action::Tell { user, body, .. } => self.screen.tell(*user, body),
            _ => {}
        }
        if let Some(commands) = commands(action, self.screen.tabs.current.room, self.about.me) {
            for command in commands {
                self.stage.handle.send(command);
            }
            return;
        }
        match action {
            Action::Leave => {
                if self.screen.tabs.unstored() > 0 {
                    self.screen.notice("waiting for what you said to be stored; Ctrl-C leaves at once");
                }
                self.stage.handle.send(Command::Leave { patience: PATIENCE });
            }
            Action::Fingerprint => {
                let About { server, own, .. } = self.about;
                self.screen.lines([format!("server  {server}"), format!("you     {own}")]);
            }
            Action::Switch(number) => match self.screen.tabs.numbered(*number) {
                Some(room) => {
                    self.screen.look_at(room, now);
                }
                None => self.screen.notice(&format!("you are in no room {number}; /rooms shows which there are")),
            },
            Action::Topic => {
                let tab = &self.screen.tabs.current;
                let text = match sanitise(&tab.topic) {
                    topic if topic.is_empty() => format!("{} has no topic", tab.room.seen_by(self.about.me)),
                    topic => format!("{}: {topic}", tab.room),
                };
                self.screen.notice(&text);
            }
            Action::Answer(body) => match self.screen.partner {
                Some(user) => self.typed(&Action::Tell { user, body: body.clone(), urgent: false }),
                None => self.screen.mistake(&Mistake {
                    text: "nobody has said anything to you alone".to_owned(),
                    hint: "/msg USER TEXT".to_owned(),
                }),
            },
            Action::Choose(number) => match choose(&self.screen.questions(), *number) {
                Ok(action) => self.typed(&action),
                Err(mistake) => self.screen.mistake(&mistake),
            },
            Action::Preferences => {
                let lines = self.screen.preferences();
                self.screen.lines(lines);
            }
            Action::Verify { user, compared } => self.verify(*user, *compared),
            Action::Clear => self.screen.clear(),
            Action::Manual(entry) => {
                self.screen.lines(entry.map_or_else(typed::manual, typed::Entry::manual));
            }
            _ => {}
        }
    }
}
