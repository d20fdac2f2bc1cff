//! `rsachat connect`: finds out who talks to whom with which keys, then chats.
//!
//! What the command line doesn't say comes from `user_config.json`, what that doesn't say from the person at the
//! terminal, if there is one.

mod server_key;

use std::path::PathBuf;
use std::time::Duration;

use self::server_key::Trusted;
use super::key_files::unlock;
use super::keygen::{self, Made};
use crate::cli::{ConnectArgs, KeygenArgs};
use crate::client::address::{Address, Server};
use crate::client::driver::{FirstContactError, fetch_server_key};
use crate::client::memory::Memory;
use crate::client::session::{Outcome, Settings};
use crate::client::ui::{self, About, Ended};
use crate::config::{ClientConfig, ClientPaths};
use crate::crypto::rsa::{Bits, PrivateKey};
use crate::error::{Error, Exit};
use crate::keys::registry;
use crate::model::UserName;
use crate::proto::close::CloseCode;
use crate::proto::handshake::wire::VERSION;
use crate::term::{Term, sanitise};

/// Where nobody waits: how long to go on without a connection.
const GIVE_UP: Duration = Duration::from_secs(30);
/// How long a server may take to say which key it has.
const FIRST_CONTACT: Duration = Duration::from_secs(10);

/// Chats until the user leaves or nothing more can be done.
pub(super) fn run(term: &Term, args: &ConnectArgs) -> Result<(), Error> {
    let paths = ClientPaths::here();
    let config = match paths.user_config() {
        Some(file) => ClientConfig::load(&file)?,
        None => ClientConfig::default(),
    };
    let (Address { server, fingerprint, invite, .. }, user) = settings(term, args, &config, &paths)?;
    let room = match args.room {
        Some(place) => place.room(user).ok_or_else(|| Error::usage(format_args!("--room: {user} is you")))?,
        None => config.room,
    };
    let identity = args.identity.clone().or_else(|| config.identity.clone()).or_else(|| paths.identity(&user));
    let key = match identity {
        Some(file) => unlock(term, &file, args.passphrase_file.as_deref())?,
        None if invite.is_some() => make_own(term, &paths, user, args.passphrase_file.clone())?,
        None => return offer_key(term, &paths, user),
    };
    let trusted = server_key::find(term, args.server_key.as_deref(), fingerprint, &config, &paths, &server)?;
    let about = About {
        me: user,
        room,
        address: server.clone().into(),
        server: trusted.key.fingerprint(),
        own: key.public().fingerprint(),
        bell: config.bell,
        presence: config.presence,
        away: config.away,
    };
    let give_up = (!term.chats()).then_some(GIVE_UP);
    let file = paths.known_users(&user, about.own, about.server);
    let (memory, known) = Memory::open(&file, &key, &mut rand::rng())?;
    let settings = Settings {
        server: trusted.key.clone(),
        user,
        own: key.public().clone(),
        invite,
        known,
        receipts: config.read_receipts,
        room: about.room,
        give_up,
    };
    let ended = ui::chat(term, &about, settings, server.target.clone(), key, Some(memory))?;
    judge(ended, &about, &server, &trusted)
}

/// The server, how to know it, and the user's name. What a person had to be asked for, or got with an invitation, can be
/// saved.
fn settings(
    term: &Term,
    args: &ConnectArgs,
    config: &ClientConfig,
    paths: &ClientPaths,
) -> Result<(Address, UserName), Error> {
    let mut asked = false;
    let mut address = match (&args.server, &config.server_ip) {
        (Some(text), _) => Address::parse(text)?,
        (None, Some(host)) => Server::new(host, config.server_port)?.into(),
        (None, None) => {
            asked = true;
            ask(term, "Server (HOST or HOST:PORT)", "HOST[:PORT], or server_ip in user_config.json", |text| {
                Address::parse(text)
            })?
        }
    };
    let contradicts = |flag: &str| Error::usage(format_args!("{flag} says something else than the address"));
    match (args.user, address.user) {
        (Some(flag), Some(user)) if flag != user => return Err(contradicts("--user").hint("leave it out")),
        _ => {}
    }
    match address.fingerprint {
        Some(_) if args.server_key.is_some() => {
            return Err(contradicts("--server-key").hint("leave it out: the address says which key the server has"));
        }
        Some(given) if args.fingerprint.is_some_and(|flag| flag != given) => {
            return Err(contradicts("--fingerprint").hint("leave it out"));
        }
        _ => address.fingerprint = address.fingerprint.or(args.fingerprint),
    }
    asked |= address.invite.is_some() && paths.user_config().is_none() && term.asks();
    let user = if let Some(user) = args.user.or(address.user).or(config.username) {
        user
    } else {
        asked = true;
        ask(term, "Your name on the server", "--user NAME, or username in user_config.json", |text| {
            text.parse().map_err(|error| Error::usage(format_args!("{text}: {error}")))
        })?
    };
    if asked {
        let file = paths.user_config_to_save();
        if term.confirm(&format!("Save the server and your name in {}?", file.display()), true, "--no-input")? {
            let config = ClientConfig {
                username: Some(user),
                server_ip: Some(address.server.target.host.clone()),
                server_port: address.server.target.port,
                ..config.clone()
            };
            config.save(&file)?;
        }
    }
    Ok((address, user))
}

/// Asks until the answer makes sense.
fn ask<T>(term: &Term, question: &str, flag: &str, parse: impl Fn(&str) -> Result<T, Error>) -> Result<T, Error> {
    loop {
        match parse(term.input(question, None, flag)?.trim()) {
            Ok(answer) => return Ok(answer),
            Err(error) => term.warn(error),
        }
    }
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
        let error = Error::usage(format_args!("there is no private key for {user}"));
        return Err(error.hint(format_args!("--identity FILE names one; rsachat keygen {user} makes one")));
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
    let me = about.me;
    let error = match outcome {
        Outcome::Left | Outcome::ServerEnded => match (signal, undelivered) {
            (None, 0) if refused == 0 => return Ok(()),
            // Each was reported.
            (None, 0) => Error::quiet(Exit::Refused),
            (None, count) => Error::refused(format_args!("{} not delivered", messages(count))),
            (Some(exit), 0) => Error::quiet(exit),
            (Some(exit), count) => Error::new(exit, format_args!("{} not delivered", messages(count))),
        },
        Outcome::AuthenticationFailed { invited: true } => Error::authentication(format_args!(
            "the server does not let {me} in: the invitation has expired, was used, or is not the last one made for {me}"
        ))
        .hint(format_args!("ask an admin for another one: rsachat invite {me}, or /invite-user {me} in the chat")),
        Outcome::AuthenticationFailed { invited: false } => {
            let file = registry::file_of(&PathBuf::new(), &me);
            Error::authentication(format_args!("the server does not let {me} in with the key {}", about.own))
                .hint(format_args!("has its admin registered the key? rsachat keys add {}", file.display()))
        }
        Outcome::PutOut(reason) => {
            let exit = match reason.code {
                CloseCode::KeyRemoved | CloseCode::Kicked => Exit::Authentication,
                _ => Exit::Failure,
            };
            Error::new(exit, format_args!("put out by the server: {}", sanitise(&reason.to_string())))
        }
        Outcome::ServerKeyChanged => {
            // Only to show it: nothing is decided by it.
            let new = fetch_server_key(&server.target, FIRST_CONTACT).ok();
            trusted.mismatch(server, new.as_ref())
        }
        Outcome::NotTheServer => trusted.mismatch(server, None),
        Outcome::Version { min, max } => version_error(min, max),
        Outcome::GaveUp { reason } => {
            Error::network(format_args!("no connection to {}: {reason}", server.name)).hint(match undelivered {
                0 => "is the server running, and is this its address?".to_owned(),
                count => format!("{} not delivered", messages(count)),
            })
        }
    };
    Err(error)
}

fn messages(count: usize) -> String {
    if count == 1 { "1 message was".to_owned() } else { format!("{count} messages were") }
}

/// The two sides have no version of the protocol in common.
fn version_error(min: u8, max: u8) -> Error {
    let theirs = if min == max { format!("version {min}") } else { format!("versions {min} to {max}") };
    let error = Error::failure(format_args!("the server speaks {theirs} of the protocol, this program {VERSION}"));
    error.hint(if min > VERSION { "upgrade this program" } else { "ask the server's operator to upgrade it" })
}

impl From<FirstContactError> for Error {
    fn from(error: FirstContactError) -> Self {
        match error {
            FirstContactError::Version { min, max } => version_error(min, max),
            FirstContactError::Resolve { .. }
            | FirstContactError::Connection(_)
            | FirstContactError::TimedOut
            | FirstContactError::Refused(_) => Self::network(error),
            FirstContactError::Frame(_) | FirstContactError::Layout(_) | FirstContactError::Unexpected(_) => {
                Self::network(error).hint("is this the server's port?")
            }
            FirstContactError::Key(_) => Self::authentication(error),
        }
    }
}
