//! `rsachat tail`: follows what is said, and hands out each message once.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use signal_hook::consts::SIGINT;

use super::link;
use super::party::Party;
use crate::cli::{Since, TailArgs};
use crate::client::driver::{Handle, Told};
use crate::client::follow::cursor::{Cursor, CursorError};
use crate::client::follow::{Follower, Start, Step};
use crate::client::gate::Gate;
use crate::client::json::event::Lines;
use crate::client::json::line::{Line, MessageLine};
use crate::client::json::to_line;
use crate::client::session::{Command, Event, Outcome, Purpose, Said, Settings};
use crate::client::signals;
use crate::client::ui::render::{Form, Piece, Renderer};
use crate::client::ui::{self, weight};
use crate::config::ClientConfig;
use crate::error::{Context as _, Error, Exit};
use crate::model::{RoomName, UserName};
use crate::proto::message::{ErrorCode, Position, Refused};
use crate::term::Term;

/// Bytes of events that wait for a slow reader; with more, no more is read from the server.
const WAITING: usize = 4 << 20;
/// What is written at once, at most: so many events of the session.
const BATCH: usize = 128;

/// What happens.
#[expect(clippy::large_enum_variant, reason = "few wait at a time")]
enum News {
    Told(Told),
    Signal(Exit),
}

pub(super) fn run(term: &Term, args: &TailArgs) -> Result<(), Error> {
    let check = |user, _: &ClientConfig| rooms(args, user);
    let (party, mut means, rooms) = Party::find(term, &args.talk, check)?;
    let cursor = args.cursor.map(|name| {
        let wait = || {
            term.note("waiting for another rsachat tail with this cursor, or for a command that one has left behind");
        };
        let who = (party.user, party.own.fingerprint());
        Cursor::open(&party.paths.cursors(), name, who, party.trusted.key.fingerprint(), wait)
    });
    let mut cursor = cursor.transpose()?;
    let mut places = cursor.as_ref().map(|cursor| cursor.places().clone()).unwrap_or_default();
    if let (Some(Since::Position(position)), Some(room), true) = (args.since, rooms.first(), places.is_empty()) {
        places.insert(*room, position);
        if let Some(cursor) = &mut cursor {
            cursor.set(*room, position);
        }
    }
    let begun = cursor.as_ref().and_then(Cursor::made);
    let start = begun.map_or_else(|| start(args.since), Start::Since);
    let follower = Follower::new(&places, start);
    means.settings = Settings {
        room: rooms.first().copied().unwrap_or(means.settings.room),
        purpose: Purpose::Follow { rooms: rooms.clone(), from: places },
        ..means.settings
    };
    let about = party.about(means.settings.room);
    let (sender, news) = channel();
    let told = Arc::new(Gate::new(WAITING));
    let (tell, gate) = (sender.clone(), Arc::clone(&told));
    let driver = party.start(means, move |told| {
        gate.enter(weight(&told));
        // Nobody listens any more where it has failed.
        let _ = tell.send(News::Told(told));
    })?;
    // Nobody listens any more where it has failed.
    let stop = signals::watch(false, move |exit| drop(sender.send(News::Signal(exit))))?;
    let tail = Tail {
        term,
        args,
        rooms,
        handle: driver.handle(),
        renderer: about.renderer(term.out_paint(), Form::Lines),
        lines: Lines::new(&about),
        follower,
        cursor,
        stop,
        failed: None,
        signal: None,
    };
    let result = tail.run(&news, &told);
    driver.handle().send(Command::Leave { patience: Duration::ZERO });
    told.open();
    driver.join();
    match result? {
        // It was told.
        Ended { signal: Some(exit), .. } | Ended { failed: Some(exit), .. } => Err(Error::quiet(exit)),
        Ended { outcome: Outcome::Left | Outcome::ServerEnded, .. } => Ok(()),
        Ended { outcome, .. } => Err(party.ended(outcome)),
    }
}

/// The rooms to follow; none for all of the user's.
fn rooms(args: &TailArgs, me: UserName) -> Result<BTreeSet<RoomName>, Error> {
    let room = |place: &crate::client::commands::Place| {
        place.room(me).ok_or_else(|| Error::usage(format_args!("--room: {me} is you")))
    };
    let rooms: BTreeSet<RoomName> = args.rooms.iter().map(room).collect::<Result<_, _>>()?;
    if matches!(args.since, Some(Since::Position(_))) && rooms.len() != 1 {
        return Err(Error::usage("a message's cursor is a place in one room").hint("--room '#ROOM'"));
    }
    Ok(rooms)
}

fn start(since: Option<Since>) -> Start {
    match since {
        None | Some(Since::Position(_)) => Start::Ago(Duration::ZERO),
        Some(Since::Last(count)) => Start::Last(count),
        Some(Since::Time(time)) => Start::Since(time),
        Some(Since::Ago(time)) => Start::Ago(time),
    }
}

/// How it ended.
struct Ended {
    outcome: Outcome,
    failed: Option<Exit>,
    signal: Option<Exit>,
}

struct Tail<'a> {
    term: &'a Term,
    args: &'a TailArgs,
    rooms: BTreeSet<RoomName>,
    handle: Handle,
    renderer: Renderer,
    lines: Lines,
    follower: Follower,
    cursor: Option<Cursor>,
    /// No command is to be run any more.
    stop: Arc<AtomicBool>,
    /// How it failed. That was told.
    failed: Option<Exit>,
    signal: Option<Exit>,
}

impl Tail<'_> {
    fn run(mut self, news: &Receiver<News>, told: &Gate) -> Result<Ended, Error> {
        while let Ok(first) = news.recv() {
            let mut batch = Vec::new();
            let mut over = None;
            for news in std::iter::once(first).chain(news.try_iter().take(BATCH)) {
                match news {
                    News::Told(Told::Over { outcome, .. }) => over = Some(outcome),
                    News::Told(Told::Event(event)) => {
                        let event = Told::Event(event);
                        told.leave(weight(&event));
                        if let Told::Event(event) = event {
                            self.told(event, &mut batch)?;
                        }
                    }
                    News::Signal(exit) => {
                        self.signal = Some(exit);
                        self.leave();
                    }
                }
            }
            self.hand_out(&batch)?;
            if let Some(outcome) = over {
                return Ok(Ended { outcome, failed: self.failed, signal: self.signal });
            }
        }
        Err(Error::failure("the connection's thread has ended"))
    }

    fn leave(&self) {
        self.handle.send(Command::Leave { patience: Duration::ZERO });
    }

    fn fail(&mut self, error: &Error) {
        if self.failed.is_none() {
            self.term.report(error);
            self.failed = Some(error.exit);
            self.leave();
        }
    }

    /// Gathers what is to be handed out for an event.
    fn told(&mut self, event: Event, batch: &mut Vec<Item>) -> Result<(), Error> {
        if let Event::Online(_) | Event::Preferred(_) = &event {
            ui::show(self.term, self.renderer.event(&event))?;
        }
        if let Event::Online(welcome) = &event {
            self.lines.is_online(welcome);
        }
        let is_online = matches!(event, Event::Online(_));
        let steps = self.follower.event(event);
        if let Some(cursor) = self.cursor.as_mut().filter(|_| is_online) {
            cursor.begin(self.follower.since());
        }
        for step in steps {
            match step {
                Step::Hand(said, position) => batch.push(Item::Message(said, position)),
                Step::Begin(room, position) => batch.push(Item::Place(room, position)),
                Step::Withdraw(room, position) => batch.push(Item::Lost(room, position)),
                Step::Tell(event) => batch.push(Item::Event(event)),
                Step::Ask(ask) => self.handle.send(Command::Ask(ask)),
                Step::Refused(room, refused) => self.refused(room, refused.as_ref()),
            }
        }
        Ok(())
    }

    /// A room can't be followed, or no longer.
    fn refused(&mut self, room: RoomName, refused: Option<&Refused>) {
        let error = match refused {
            None => link::no_member(room, &format!("you are in {} no longer", room.seen_by(self.lines.me()))),
            Some(refused) => match refused.code {
                ErrorCode::NotFound | ErrorCode::Forbidden if !room.is_direct() => link::no_member(room, &refused.text),
                ErrorCode::NotFound => link::refusal(Exit::NoUser, refused),
                _ => link::refusal(Exit::Refused, refused),
            },
        };
        // Of all his rooms, one that he is in no longer is none that he follows.
        if self.rooms.contains(&room) {
            self.fail(&error);
        } else if refused.is_some() {
            self.term.warn(error);
        }
    }
}

/// What is handed out, in this order.
enum Item {
    Message(Said, Position),
    /// A place that is reached without a message.
    Place(RoomName, Position),
    /// The server has lost what came after this.
    Lost(RoomName, Position),
    Event(Event),
}

impl Tail<'_> {
    fn hand_out(&mut self, items: &[Item]) -> Result<(), Error> {
        if items.is_empty() || self.failed.is_some() {
            return Ok(());
        }
        let result = match &self.args.exec {
            Some(command) => self.execute(items, command),
            None => self.write(items),
        };
        // Also what was done before something failed.
        result.and(self.save())
    }

    /// Writes all of it, at once.
    fn write(&mut self, items: &[Item]) -> Result<(), Error> {
        if let Some(cursor) = &mut self.cursor {
            let messages =
                items.iter().filter_map(|item| if let Item::Message(said, _) = item { Some(said) } else { None });
            messages.for_each(|said| cursor.hand(&said.message));
        }
        self.save()?;
        let mut text = Vec::new();
        for item in items {
            match item {
                Item::Message(said, _) if self.is_done(said) => {}
                Item::Message(said, position) if self.args.json => text.extend(self.line(said, *position)),
                Item::Message(said, _) => text.extend(self.words(said)),
                Item::Event(event) => text.extend(self.tell(event)),
                Item::Place(..) | Item::Lost(..) => {}
            }
        }
        self.term.write_out(&text)?;
        for item in items {
            self.is_taken(item);
        }
        Ok(())
    }

    /// Runs the command for each message, until the program is to end.
    fn execute(&mut self, items: &[Item], command: &str) -> Result<(), Error> {
        for item in items {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            match item {
                Item::Message(said, position) if !self.is_done(said) => {
                    if let Some(cursor) = &mut self.cursor {
                        cursor.hand(&said.message);
                    }
                    self.save()?;
                    if let Err(error) = run_command(command, &self.line(said, *position)) {
                        // Who ends the program ends its command, too, and first.
                        if error.exit != Exit::Failure || self.stop.load(Ordering::Relaxed) {
                            self.signal.get_or_insert(Exit::Interrupted);
                            self.leave();
                            return Ok(());
                        }
                        let place = format!("{} {}", said.message.room.seen_by(self.lines.me()), said.message.seq.0);
                        let error = error.context(format_args!("at message {place}"));
                        self.fail(&if self.cursor.is_some() {
                            error.hint("started again, it begins there")
                        } else {
                            error
                        });
                        return Ok(());
                    }
                }
                Item::Event(event) => drop(self.tell(event)),
                Item::Message(..) | Item::Place(..) | Item::Lost(..) => {}
            }
            self.is_taken(item);
        }
        Ok(())
    }

    /// Whether a message was done with, before the server lost it and got it again.
    fn is_done(&self, said: &Said) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| cursor.was_taken(&said.message))
    }

    fn is_taken(&mut self, item: &Item) {
        let Some(cursor) = &mut self.cursor else { return };
        match item {
            Item::Message(said, position) => cursor.take(&said.message, *position),
            Item::Place(room, position) => cursor.set(*room, *position),
            Item::Lost(room, position) => cursor.withdraw(*room, *position),
            Item::Event(_) => {}
        }
    }

    fn save(&self) -> Result<(), Error> {
        Ok(self.cursor.as_ref().map_or(Ok(()), Cursor::save)?)
    }

    /// A message as JSON.
    fn line(&self, said: &Said, position: Position) -> Vec<u8> {
        let again = self.cursor.as_ref().is_some_and(|cursor| cursor.was_handed(&said.message));
        to_line(&Line::Message(MessageLine {
            again,
            cursor: Some(position.to_string()),
            ..self.lines.message(&said.message, said.seal)
        }))
    }

    /// A message for people.
    fn words(&mut self, said: &Said) -> Vec<u8> {
        if self.renderer.ignores(said.message.sender) {
            return Vec::new();
        }
        let room = said.message.room.seen_by(self.lines.me());
        let room = if self.rooms.len() == 1 { String::new() } else { format!("{room} ") };
        let pieces = self.renderer.message(&said.message, said.seal).into_iter();
        let lines = pieces.filter_map(|piece| if let Piece::Chat(text) = piece { Some(text) } else { None });
        lines.flat_map(|text| format!("{room}{text}\n").into_bytes()).collect()
    }

    /// Tells something else: what concerns a program that follows, as JSON; else on standard error.
    fn tell(&mut self, event: &Event) -> Vec<u8> {
        if self.args.json
            && let Event::Missed { .. } | Event::Withheld { .. } | Event::Withdrawn { .. } = event
        {
            return self.lines.event(event.clone(), None).map(|line| to_line(&line)).unwrap_or_default();
        }
        for piece in self.renderer.event(event) {
            if let Piece::Notice(text) = piece {
                self.term.note(text);
            }
        }
        Vec::new()
    }
}

/// Runs a command of the shell with this on its standard input.
fn run_command(command: &str, input: &[u8]) -> Result<(), Error> {
    let mut child = Process::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .spawn()
        .context(|| "can't run sh for the command of --exec")?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command may read none of it.
        let _ = stdin.write_all(input);
    }
    let status = child.wait().context(|| "can't wait for the command of --exec")?;
    if status.signal() == Some(SIGINT) {
        return Err(Error::quiet(Exit::Interrupted));
    }
    if status.success() {
        Ok(())
    } else {
        Err(Error::failure(format_args!("the command of --exec has failed: {status}")))
    }
}

impl From<CursorError> for Error {
    fn from(error: CursorError) -> Self {
        let hint = match &error {
            CursorError::Foreign { .. } => Some("take another name for the cursor"),
            CursorError::Damaged { .. } => Some("remove it to begin anew"),
            CursorError::Io { .. } => None,
        };
        let error = Self::failure(error);
        hint.into_iter().fold(error, Self::hint)
    }
}
