//! `rsachat demo`: a server, a user and a companion on this machine, all of them real, and nothing left behind.
//!
//! On a terminal the user is whoever sits there. Without one, the user plays a short conversation.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::throwaway;
use crate::cli::DemoArgs;
use crate::client::address;
use crate::client::driver::{Driver, Handle, Kept, Target, Told};
use crate::client::session::{Arrival, Command, Event, Known, Outcome, Purpose, Seal, Settings};
use crate::client::ui::render::Form;
use crate::client::ui::{self, About, Audience};
use crate::config::{ServerConfig, ServerFlags, ServerPaths};
use crate::crypto::rsa::{PrivateKey, PublicKey};
use crate::error::Error;
use crate::keys::file::Existing;
use crate::keys::identity;
use crate::keys::registry::{self, Registry};
use crate::model::{RoomName, UserName};
use crate::proto::message::{Body, Stored};
use crate::server::{self, Options, Server};
use crate::term::Term;

/// How long anything in the demo may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the companion says first, and then to each thing that is said to it.
const GREETING: &str = "Hello alice! I am bob, a program at the other end of a second connection.";
const ANSWERS: [&str; 3] = [
    "That came through the server, encrypted on both connections, and it was on disk before you were told so.",
    "/list shows who is here, /whois bob my key, /history what was said.",
    "/help lists all there is. Ctrl-D leaves, and nothing of this stays behind.",
];

/// What the user says where nobody sits at a terminal.
const SCRIPT: [&str; 3] = ["Hello bob. Does this work without a terminal?", "What can I type?", "Thanks, that is all."];

/// Plays the demo.
pub(super) fn run(term: &Term, _: &DemoArgs) -> Result<(), Error> {
    // First what takes long: up to here there is nothing to leave behind.
    let keys = throwaway::keys(term, 3)?;
    let directory = tempfile::Builder::new()
        .prefix("rsachat-demo-")
        .tempdir()
        .map_err(|error| Error::failure(error).context("can't make a temporary directory"))?;
    if !term.chats() {
        // Where no chat waits for signals.
        let directory = directory.path().to_owned();
        throwaway::at_signals(move || drop(fs::remove_dir_all(directory)))?;
    }
    let keys = keys.try_into().map_err(|_| Error::failure("a key is missing"))?;
    let (stage, alice) = Stage::set(directory, keys)?;
    let port = stage.target.port;
    term.note("made keys for a server, for you (alice) and for a companion (bob)");
    term.note(format_args!("started a server at 127.0.0.1:{port} that admits these two keys"));
    term.note("bob is connected; you are next: talk, try /help, leave with Ctrl-D");
    let result = stage.play(term, alice);
    stage.strike();
    result
}

/// The server, and who is on it.
struct Stage {
    server: Server,
    public: PublicKey,
    target: Target,
    companion: Driver,
    // Removed with everything in it.
    _directory: TempDir,
}

impl Stage {
    /// With alice's key, for whoever plays her.
    fn set(directory: TempDir, [server_key, alice, bob]: [PrivateKey; 3]) -> Result<(Self, PrivateKey), Error> {
        let paths = ServerPaths::new(directory.path(), None);
        write(&paths.config, r#"{"server_ip": "127.0.0.1", "server_port": 0}"#)?;
        fs::create_dir(&paths.keys).map_err(|error| Error::failure(error).context(paths.keys.display()))?;
        for (name, key) in [("alice", &alice), ("bob", &bob)] {
            let file = registry::file_of(&paths.keys, &user(name)?);
            identity::write_public(&file, key.public(), Existing::Keep)?;
        }
        let config = ServerConfig::load(&paths, &ServerFlags::default())?;
        let public = server_key.public().clone();
        let server = Server::start(Options {
            config: &config,
            key: server_key,
            keys: &paths.keys,
            registered: registry::load(&paths.keys, &Registry::default()),
            database: &paths.database,
            invites: &paths.invites,
            ticket_keys: &paths.ticket_keys,
            directory: &paths.directory,
        })
        .map_err(super::serve::start_error)?;
        let address = server.addresses().first().ok_or_else(|| Error::failure("the server has no address"))?;
        let target = Target { host: address.ip().to_string(), port: address.port() };
        let companion = companion(settings(&public, bob.public(), "bob")?, target.clone(), bob)?;
        Ok((Self { server, public, target, companion, _directory: directory }, alice))
    }

    fn play(&self, term: &Term, alice: PrivateKey) -> Result<(), Error> {
        let settings = settings(&self.public, alice.public(), "alice")?;
        let about = About {
            audience: Audience::People,
            me: settings.user,
            room: settings.room,
            address: address::Server::new(&self.target.host, self.target.port)?.into(),
            server: self.public.fingerprint(),
            own: alice.public().fingerprint(),
            bell: true,
            presence: true,
            away: None,
        };
        if term.chats() {
            ui::chat(term, &about, settings, self.target.clone(), Box::new(alice), Kept::default()).map(|_| ())
        } else {
            script(term, &about, settings, self.target.clone(), alice)
        }
    }

    /// Ends everybody and everything.
    fn strike(self) {
        self.companion.handle().send(Command::Leave { patience: Duration::ZERO });
        self.companion.join();
        self.server.control().shut_down("the end of the demo");
        let deadline = Instant::now() + PATIENCE;
        while let Some(event) = self.server.next_event(deadline.saturating_duration_since(Instant::now())) {
            if matches!(event, server::Event::Stopped) {
                break;
            }
        }
        self.server.end();
    }
}

fn user(name: &str) -> Result<UserName, Error> {
    name.parse().map_err(Error::failure)
}

fn settings(server: &PublicKey, own: &PublicKey, name: &str) -> Result<Settings, Error> {
    let (server, own, room) = (server.clone(), own.clone(), RoomName::lobby());
    Ok(Settings {
        server,
        user: user(name)?,
        own,
        known: Known::default(),
        invite: None,
        receipts: true,
        room,
        purpose: Purpose::Chat,
        give_up: Some(PATIENCE),
    })
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|error| Error::failure(error).context(path.display()))
}

/// Connects bob, who greets whoever comes and answers what is said, and waits until he is there.
fn companion(settings: Settings, target: Target, key: PrivateKey) -> Result<Driver, Error> {
    let me = settings.user;
    let room = settings.room;
    let (tell, told) = channel();
    let driver = start(settings, target, key, tell)?;
    await_event(&told, |event| matches!(event, Event::Entered { .. }).then_some(()))?;
    let handle = driver.handle();
    let mut answers = ANSWERS.iter().cycle();
    std::thread::spawn(move || {
        for news in told {
            let text = match news {
                Told::Event(Event::Presence(presence)) if presence.came.iter().any(|user| *user != me) => GREETING,
                Told::Event(Event::Message { message, arrival: Arrival::Live, .. }) if message.sender != me => {
                    answers.next().copied().unwrap_or_default()
                }
                _ => continue,
            };
            say(&handle, room, text);
        }
    });
    Ok(driver)
}

fn start(settings: Settings, target: Target, key: PrivateKey, tell: Sender<Told>) -> Result<Driver, Error> {
    Driver::start(settings, target, Box::new(key), Kept::default(), move |news| {
        // Whoever listened may have left already.
        let _ = tell.send(news);
    })
    .map_err(|error| Error::failure(error).context("can't start the connection's thread"))
}

fn say(handle: &Handle, room: RoomName, text: &str) {
    handle.send(Command::Post { room, body: Body::Text { text: text.to_owned() }, urgent: false });
}

/// Waits for the event that `wanted` knows.
fn await_event<T>(told: &Receiver<Told>, mut wanted: impl FnMut(Event) -> Option<T>) -> Result<T, Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Told::Event(event)) => {
                if let Some(found) = wanted(event) {
                    return Ok(found);
                }
            }
            Ok(Told::Over { outcome, .. }) => {
                return Err(Error::failure(format_args!("the demo has ended too early: {outcome:?}")));
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Err(Error::network("the demo's server did not answer in time"));
            }
        }
    }
}

/// Alice's part without a terminal: waits for bob, says a line, waits for his answer, and so on.
fn script(term: &Term, about: &About, settings: Settings, target: Target, key: PrivateKey) -> Result<(), Error> {
    let (tell, told) = channel();
    let driver = start(settings, target, key, tell)?;
    let mut renderer = about.renderer(term.out_paint(), Form::Lines);
    let mut hear = |who: &dyn Fn(&Stored) -> bool| -> Result<(), Error> {
        let message = await_event(&told, |event| match event {
            Event::Message { message, .. } if who(&message) => Some(message),
            _ => None,
        })?;
        ui::show(term, renderer.message(&message, Seal::Open))
    };
    let mut talk = || -> Result<(), Error> {
        hear(&|message| message.sender != about.me)?;
        for line in SCRIPT {
            say(&driver.handle(), about.room, line);
            hear(&|message| message.sender == about.me)?;
            hear(&|message| message.sender != about.me)?;
        }
        Ok(())
    };
    let result = talk();
    driver.handle().send(Command::Leave { patience: PATIENCE });
    driver.join();
    result?;
    match told.try_iter().find_map(|news| match news {
        Told::Over { outcome, undelivered } => Some((outcome, undelivered)),
        Told::Event(_) => None,
    }) {
        Some((Outcome::Left, 0)) => Ok(()),
        other => Err(Error::failure(format_args!("the demo has not ended well: {other:?}"))),
    }
}
