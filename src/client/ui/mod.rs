//! Faces of the client: what a person or a script sees of a session, which they know by its events and commands alone.
//!
//! [`mod@line`] is for a terminal, [`plain`] for pipes and files; both say things in the words of [`render`].

pub mod line;
pub mod plain;
pub mod render;

use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use crate::client::commands::Action;
use crate::client::driver::{Driver, Target};
use crate::client::session::{Ask, Command, Outcome, Settings};
use crate::crypto::rsa::PrivateKey;
use crate::error::Error;
use crate::model::{Fingerprint, RoomName, UserName};
use crate::term::{Paint, Term};

/// Events that wait for a face that is slow to show them; with more, no more is read from the server.
const WAITING: usize = 1024;

/// Runs a session with the face that fits: [`mod@line`] on a terminal, [`plain`] elsewhere. Returns how it ended, and how
/// many messages were said and never acknowledged.
///
/// # Errors
/// What the terminal or the pipe meets.
pub fn chat(
    term: &Term,
    about: &About,
    settings: Settings,
    target: Target,
    identity: PrivateKey,
) -> Result<(Outcome, usize), Error> {
    let (tell, told) = sync_channel(WAITING);
    let driver = Driver::start(settings, target, identity, move |news| {
        // A face that is gone needs to know nothing.
        let _ = tell.send(news);
    })
    .map_err(|error| Error::failure(error).context("can't start the connection's thread"))?;
    let handle = driver.handle();
    let result =
        if term.chats() { line::run(term, about, &handle, told) } else { plain::run(term, about, &handle, &told) };
    if result.is_err() {
        handle.send(Command::Leave { patience: Duration::ZERO });
    }
    driver.join();
    result
}

/// What a face knows of the session that it shows.
#[derive(Debug, Clone)]
pub struct About {
    /// The user.
    pub me: UserName,
    /// The room that what is typed goes to.
    pub room: RoomName,
    /// Of the server's key.
    pub server: Fingerprint,
    /// Of the user's key.
    pub own: Fingerprint,
    /// Whether to ring when the user is mentioned.
    pub bell: bool,
    /// Where lines that were typed are kept for the next time.
    pub typed_lines: Option<PathBuf>,
}

impl About {
    /// What puts events into words for this user.
    #[must_use]
    pub fn renderer(&self, paint: Paint) -> render::Renderer {
        render::Renderer::new(self.me, paint, jiff::tz::TimeZone::system())
    }
}

/// Writes the chat to stdout, and what is to be known about it to stderr.
///
/// # Errors
/// What writing to standard output meets.
pub fn show(term: &Term, pieces: Vec<render::Piece>) -> Result<(), Error> {
    for piece in pieces {
        match piece {
            render::Piece::Chat(text) => term.out(text)?,
            render::Piece::Notice(text) => term.note(text),
            render::Piece::Bell => {}
        }
    }
    Ok(())
}

/// The session's part of what was typed; nothing if a face does it by itself.
fn command(action: &Action, room: RoomName) -> Option<Command> {
    Some(match action {
        Action::Say(body) => Command::Post { room, body: body.clone() },
        Action::History(limit) => Command::Ask(Ask::History { room, before: None, limit: *limit }),
        Action::People => Command::Ask(Ask::People { room }),
        Action::Whois(user) => Command::Ask(Ask::Whois { user: *user }),
        Action::ShutDown => Command::Ask(Ask::Shutdown),
        Action::Nothing | Action::Leave | Action::Fingerprint | Action::Clear | Action::Manual(_) => return None,
    })
}
