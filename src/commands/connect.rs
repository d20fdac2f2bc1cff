//! `rsachat connect`: chats, until the user leaves or nothing more can be done.

use std::path::PathBuf;
use std::time::Duration;

use super::key_files::own_key;
use super::keygen::{self, Made};
use super::link::{self, messages};
use super::server_key::{self, Trusted};
use crate::cli::{ConnectArgs, KeygenArgs};
use crate::client::address::{Address, Server};
use crate::client::driver::Kept;
use crate::client::memory::Memory;
use crate::client::session::{Outcome, Purpose, Settings};
use crate::client::ui::{self, About, Audience, Ended};
use crate::config::ClientPaths;
use crate::crypto::rsa::{Bits, PrivateKey};
use crate::error::{Error, Exit};
use crate::model::UserName;
use crate::term::Term;

/// Where nobody waits: how long to go on without a connection.
const GIVE_UP: Duration = Duration::from_secs(30);

/// Chats until the user leaves or nothing more can be done.
pub(super) fn run(term: &Term, args: &ConnectArgs) -> Result<(), Error> {
    let paths = ClientPaths::here();
    let config = link::config(&paths)?;
    let (Address { server, fingerprint, invite, .. }, user) =
        link::settings(term, args.server.as_deref(), &args.link, &config, &paths)?;
    let room = match args.room {
        Some(place) => place.room(user).ok_or_else(|| Error::usage(format_args!("--room: {user} is you")))?,
        None => config.room,
    };
    let key = match link::identity(args.link.identity.as_deref(), &config, &paths, user) {
        Some(file) => own_key(term, &paths, &file, args.link.passphrase_file.as_deref())?,
        None if invite.is_some() => Box::new(make_own(term, &paths, user, args.link.passphrase_file.clone())?),
        None => return offer_key(term, &paths, user),
    };
    let server_key = args.link.server_key.as_deref();
    let trusted = server_key::find(term, server_key, fingerprint, &config, &paths, &server)?;
    let about = About {
        audience: if args.json { Audience::Programs } else { Audience::People },
        me: user,
        room,
        address: server.clone().into(),
        server: trusted.key.fingerprint(),
        own: key.public().fingerprint(),
        bell: config.bell,
        presence: config.presence,
        away: config.away,
    };
    let give_up = (!term.chats() && !args.json).then_some(GIVE_UP);
    let file = paths.known_users(&user, about.own, about.server);
    let (memory, known) = Memory::open(&file, &*key, &mut rand::rng())?;
    let settings = Settings {
        server: trusted.key.clone(),
        user,
        own: key.public().clone(),
        invite,
        known,
        receipts: config.read_receipts,
        room: about.room,
        purpose: Purpose::Chat,
        give_up,
    };
    let kept = Kept { memory: Some(memory), tickets: link::tickets(&config, &paths, user, about.own, about.server) };
    let ended = ui::chat(term, &about, settings, server.target.clone(), key, kept)?;
    judge(ended, &about, &server, &trusted)
}

/// Somebody who was invited has no private key yet: makes one, which the server will get to know.
fn make_own(
    term: &Term,
    paths: &ClientPaths,
    user: UserName,
    passphrase_file: Option<PathBuf>,
) -> Result<PrivateKey, Error> {
    term.note(format_args!("there is no private key for {user} here: making one"));
    let args = KeygenArgs { passphrase_file, ..new_key(paths, user) };
    let flags = format!("--passphrase-file FILE, or before this: rsachat keygen {user} --no-passphrase");
    let Made { key, private, .. } = keygen::make(term, &args, &flags)?;
    term.note(format_args!("made {}; nobody can replace it: keep a copy", private.display()));
    Ok(key)
}

fn new_key(paths: &ClientPaths, user: UserName) -> KeygenArgs {
    KeygenArgs {
        user: Some(user),
        server: false,
        bits: Bits::B3072,
        out_dir: paths.new_identity_dir().to_owned(),
        passphrase_file: None,
        no_passphrase: false,
        force: false,
    }
}

/// There is no private key: offers to make one. It is of no use before the server's admin has its public half.
fn offer_key(term: &Term, paths: &ClientPaths, user: UserName) -> Result<(), Error> {
    if !term.asks() {
        return Err(link::no_identity(user, paths));
    }
    if !term.confirm(&format!("There is no private key for {user}. Make one?"), true, "--identity FILE")? {
        return Err(Error::failure("without a private key nobody gets in").hint("--identity FILE names one"));
    }
    // Ends with what to hand to the admin.
    keygen::run(term, &new_key(paths, user))?;
    term.hint("when that is done: rsachat connect");
    Ok(())
}

/// Puts the end of a chat into words and an exit code.
fn judge(ended: Ended, about: &About, server: &Server, trusted: &Trusted) -> Result<(), Error> {
    let Ended { outcome, undelivered, refused, signal } = ended;
    let is_lost = matches!(outcome, Outcome::GaveUp { .. });
    Err(match (outcome, signal, undelivered) {
        (Outcome::Left | Outcome::ServerEnded, None, 0) if refused == 0 => return Ok(()),
        // Each was reported.
        (Outcome::Left | Outcome::ServerEnded, None, 0) => Error::quiet(Exit::Refused),
        (Outcome::Left | Outcome::ServerEnded, None, count) => {
            Error::refused(format_args!("{} not delivered", messages(count)))
        }
        (Outcome::Left | Outcome::ServerEnded, Some(exit), 0) => Error::quiet(exit),
        (Outcome::Left | Outcome::ServerEnded, Some(exit), count) => {
            Error::new(exit, format_args!("{} not delivered", messages(count)))
        }
        (outcome, ..) => {
            let error = link::ended(outcome, about.me, about.own, server, trusted);
            if is_lost && undelivered > 0 {
                error.hint(format_args!("{} not delivered", messages(undelivered)))
            } else {
                error
            }
        }
    })
}
