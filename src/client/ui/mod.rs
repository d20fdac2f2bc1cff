//! Faces of the client: what a person or a script sees of a session, which they know by its events and commands alone.
//!
//! [`mod@line`] is for a terminal, [`plain`] for pipes and files; both say things in the words of [`render`]. `json` is for
//! programs.

mod input;
mod json;
pub mod line;
pub mod plain;
pub mod render;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use self::render::{Form, Piece, Questions, Renderer};
use crate::client::address::Address;
use crate::client::commands::{self, Action, Mistake, Place};
use crate::client::driver::{Driver, Handle, Kept, Target, Told};
use crate::client::gate::Gate;
use crate::client::session::{Answer, Ask, Command, Event, Outcome, Preference, Settings, Until};
use crate::client::signals;
use crate::crypto::rsa::OwnKey;
use crate::error::{Error, Exit};
use crate::model::{Fingerprint, RoomName, UserName};
use crate::proto::message::{self, Receipt, Request, Shutdown, Stored};
use crate::term::{Paint, Term};

/// Bytes of events that wait for a face that is slow to show them; with more, no more is read from the server.
const WAITING: usize = 4 << 20;
/// How long what was said has to be stored after the face has gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// For whom a chat is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// People: [`mod@line`] on a terminal, [`plain`] elsewhere.
    People,
    /// Programs.
    Programs,
}

/// How a chat ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Why.
    pub outcome: Outcome,
    /// How many messages were said and never acknowledged.
    pub undelivered: usize,
    /// How many lines of the input came to nothing: refused by the server, or no command. Only counted where nobody sees
    /// them.
    pub refused: usize,
    /// Set if a signal ended it.
    pub signal: Option<Exit>,
}

/// What a face waits for.
enum News {
    /// The session tells something.
    Told(Told),
    /// The user has typed something. Only from a terminal.
    Typed(Action),
    /// The user has typed what makes no sense. Only from a terminal.
    Mistyped(Mistake),
    /// Something is typed again after a long silence. Only from a terminal.
    Back,
    /// The line editor begins anew. Only from a terminal.
    GoesOn,
    /// From now on this room is looked at. Only without a terminal.
    LooksAt(RoomName),
    /// The program is to end.
    Signal(Exit),
}

/// A running session, and what comes from it and from elsewhere.
struct Stage {
    handle: Handle,
    sender: Sender<News>,
    news: Receiver<News>,
    // What the session told and nobody has looked at.
    told: Arc<Gate>,
}

impl Stage {
    /// What comes next.
    fn next(&self) -> Option<News> {
        self.news.recv().ok().inspect(|news| self.seen(news))
    }

    fn seen(&self, news: &News) {
        if let News::Told(told) = news {
            self.told.leave(weight(told));
        }
    }
}

/// Runs a session with the face that fits.
///
/// # Errors
/// What the terminal or the pipe meets.
pub fn chat(
    term: &Term,
    about: &About,
    settings: Settings,
    target: Target,
    identity: Box<dyn OwnKey>,
    kept: Kept,
) -> Result<Ended, Error> {
    let (sender, news) = channel();
    let told = Arc::new(Gate::new(WAITING));
    let (tell, gate) = (sender.clone(), Arc::clone(&told));
    let driver = Driver::start(settings, target, identity, kept, move |news| {
        gate.enter(weight(&news));
        // A face that is gone needs to know nothing.
        let _ = tell.send(News::Told(news));
    })
    .map_err(|error| Error::failure(error).context("can't start the connection's thread"))?;
    let stage = Stage { handle: driver.handle(), sender, news, told: Arc::clone(&told) };
    let on_terminal = about.audience == Audience::People && term.chats();
    let signals = stage.sender.clone();
    // Nobody listens any more once the chat has ended.
    let watching = signals::watch(on_terminal, move |exit| drop(signals.send(News::Signal(exit))));
    let result = watching.and_then(|_| match about.audience {
        Audience::People if on_terminal => line::run(term, about, stage),
        Audience::People => plain::run(term, about, &stage),
        Audience::Programs => json::run(term, about, &stage),
    });
    if result.is_err() {
        driver.handle().send(Command::Leave { patience: PATIENCE });
    }
    told.open();
    driver.join();
    result
}

/// Bytes that what a session tells keeps, about.
pub(crate) fn weight(told: &Told) -> usize {
    match told {
        Told::Event(event) => event_weight(event),
        Told::Over { .. } => 0,
    }
}

/// Bytes that an event keeps, about.
fn event_weight(event: &Event) -> usize {
    /// Of an event or a message, whatever is in it.
    const EACH: usize = 256;
    EACH + match event {
        Event::Message { message, .. } => text_bytes(message),
        Event::Answered { answer: Ok(Answer::History { messages, .. }), .. } => {
            messages.iter().map(|said| EACH + text_bytes(&said.message)).sum()
        }
        Event::Answered { answer: Ok(Answer::People(list)), .. } => list.people.len() * EACH,
        Event::Answered { answer: Ok(Answer::Rooms(list)), .. } => {
            list.rooms.iter().map(|info| EACH + info.topic.len() + info.people.len() * size_of::<UserName>()).sum()
        }
        Event::Presence(presence) => {
            (presence.came.len() + presence.left.len()) * size_of::<UserName>() + presence.changed.len() * EACH
        }
        _ => 0,
    }
}

fn text_bytes(message: &Stored) -> usize {
    message.body.as_ref().map_or(0, |body| body.text().len())
}

/// What a face knows of the session that it shows.
#[derive(Debug, Clone)]
pub struct About {
    /// For whom it is shown.
    pub audience: Audience,
    /// The user.
    pub me: UserName,
    /// The room that what is typed goes to.
    pub room: RoomName,
    /// How the user reaches the server.
    pub address: Address,
    /// Of the server's key.
    pub server: Fingerprint,
    /// Of the user's key.
    pub own: Fingerprint,
    /// Whether to ring when the user is mentioned.
    pub bell: bool,
    /// Whether to show who comes and goes, and what people say of themselves.
    pub presence: bool,
    /// Who types nothing for so long is away.
    pub away: Option<Duration>,
}

impl About {
    /// What puts events into words for this user.
    #[must_use]
    pub fn renderer(&self, paint: Paint, form: Form) -> Renderer {
        Renderer::new(self.me, paint, jiff::tz::TimeZone::system(), form)
            .with_presence(self.presence)
            .with_address(Address { fingerprint: Some(self.server), ..self.address.clone() })
    }
}

/// Writes the chat and the answers to stdout, and what is to be known about them to stderr.
///
/// # Errors
/// What writing to standard output meets.
pub fn show(term: &Term, pieces: Vec<Piece>) -> Result<(), Error> {
    for piece in pieces {
        match piece {
            Piece::Chat(text) | Piece::Answer(text) => term.out(text)?,
            Piece::Notice(text) => term.note(text),
            Piece::Bell => {}
        }
    }
    Ok(())
}

/// The session's part of what was typed, in `room`; nothing if a face does it by itself.
fn commands(action: &Action, room: RoomName, me: UserName) -> Option<Vec<Command>> {
    let command = match action {
        Action::Tell { user, body, urgent } => {
            let room = RoomName::direct(me, *user)?;
            let post = Command::Post { room, body: body.clone(), urgent: *urgent };
            return Some(vec![Command::Join { room }, post]);
        }
        Action::Prefer(preference) => Command::Prefer(*preference),
        Action::Hush(on) => Command::Prefer(Preference::Hush(room, *on)),
        Action::Trust(user) => Command::Trust { user: *user, key: None, verified: false },
        Action::Say(body) => Command::Post { room, body: body.clone(), urgent: false },
        Action::History(limit) => Command::Ask(Ask::History { room, until: Until::Latest, limit: *limit }),
        Action::Older(limit) => Command::Ask(Ask::History { room, until: Until::Older, limit: *limit }),
        Action::People => Command::Ask(Ask::People { room }),
        Action::Whois(user) => Command::Ask(Ask::Whois { user: *user }),
        Action::Join(place) => Command::Join { room: place.room(me)? },
        Action::Create(room, private) => Command::Ask(Ask::Create { room: *room, private: *private }),
        Action::Part(other) => Command::Ask(Ask::Do(Request::Leave(message::Leave { room: other.unwrap_or(room) }))),
        Action::Rooms { people } => Command::Ask(Ask::Rooms { people: *people }),
        Action::Status(status) => Command::Ask(Ask::Do(Request::SetStatus(status.clone()))),
        Action::Decide(decision) => Command::Ask(Ask::Do(decision.clone().request(room))),
        Action::InviteUser(user, time) => Command::Ask(Ask::Do(Request::InviteUser(message::InviteUser {
            user: *user,
            seconds: time.map(commands::seconds),
        }))),
        Action::ShutDown => Command::Ask(Ask::Do(Request::Shutdown(Shutdown {}))),
        Action::Nothing
        | Action::Choose(_)
        | Action::Answer(_)
        | Action::Verify { .. }
        | Action::Preferences
        | Action::Leave
        | Action::Switch(_)
        | Action::Topic
        | Action::Fingerprint
        | Action::Clear
        | Action::Manual(_) => return None,
    };
    Some(vec![command])
}

/// Whether something is said in the room that is looked at, asked of it or done to it.
fn is_about_the_room(action: &Action) -> bool {
    matches!(
        action,
        Action::Say(_)
            | Action::History(_)
            | Action::Older(_)
            | Action::People
            | Action::Hush(_)
            | Action::Part(None)
            | Action::Decide(_)
    )
}

/// The answer that a number stands for, to whom it is said.
fn choose(questions: &Questions, number: usize) -> Result<Action, Mistake> {
    match questions.answer(number) {
        Some((user, body)) => Ok(Action::Tell { user, body, urgent: false }),
        None => Err(Mistake {
            text: format!("no question was shown here that /answer {number} answers"),
            hint: "what can be answered stands below each question".to_owned(),
        }),
    }
}

/// What is wrong with talking to oneself.
fn oneself(action: &Action, me: UserName) -> Option<Mistake> {
    match action {
        Action::Tell { user, .. }
        | Action::Join(Place::User(user))
        | Action::Verify { user, .. }
        | Action::Prefer(Preference::Ignore(user, true))
            if *user == me =>
        {
            Some(Mistake { text: format!("{user} is you"), hint: "/list shows who else is here".to_owned() })
        }
        _ => None,
    }
}

/// The room that an event is about, where only those who look at it have a use for it.
fn room_of(event: &Event) -> Option<RoomName> {
    match event {
        Event::Message { message, .. } => Some(message.room),
        Event::Entered { info, .. } => Some(info.room),
        Event::Presence(presence) => Some(presence.room),
        Event::Acted(acted) => Some(acted.room),
        Event::Pending { room, .. }
        | Event::Delayed { room, .. }
        | Event::Accepted { room, .. }
        | Event::Refused { room, .. }
        | Event::Undelivered { room, .. }
        | Event::Withdrawn { room, .. }
        | Event::Withheld { room, .. }
        | Event::Repeated { room, .. }
        | Event::BeforeYou { room, .. }
        | Event::ShutOut { room, .. }
        | Event::BadRoster { room, .. }
        | Event::Receipt(Receipt { room, .. })
        | Event::Missed { room, .. } => Some(*room),
        Event::Online(_)
        | Event::Offline { .. }
        | Event::NotEntered { .. }
        | Event::Membership(_)
        | Event::Left { .. }
        | Event::KeyChanged { .. }
        | Event::Trusted { .. }
        | Event::Preferred(_)
        | Event::Answered { .. }
        | Event::Notice(_) => None,
    }
}
