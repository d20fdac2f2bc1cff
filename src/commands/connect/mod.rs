//! `rsachat connect`: finds out who talks to whom with which keys, then chats.
//!
//! What the command line doesn't say comes from `user_config.json`, what that doesn't say from the person at the
//! terminal, if there is one.

mod server_key;

use std::path::PathBuf;
use std::time::Duration;

use self::server_key::Trusted;
use super::address::Server;
use super::key_files::unlock;
use super::keygen;
use crate::cli::{ConnectArgs, KeygenArgs};
use crate::client::driver::{FirstContactError, fetch_server_key};
use crate::client::memory::Memory;
use crate::client::session::{Outcome, Settings};
use crate::client::ui::{self, About, Ended};
use crate::config::{ClientConfig, ClientPaths};
use crate::crypto::rsa::Bits;
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
    let (server, user) = settings(term, args, &config, &paths)?;
    let Some(identity) = args.identity.clone().or_else(|| config.identity.clone()).or_else(|| paths.identity(&user))
    else {
        return make_key(term, &paths, user);
    };
    let key = unlock(term, &identity, args.passphrase_file.as_deref())?;
    let trusted = server_key::find(term, args, &config, &paths, &server)?;
    let about = About {
        me: user,
        room: args.room.unwrap_or(config.room),
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
        known,
        receipts: config.read_receipts,
        room: about.room,
        give_up,
    };
    let ended = ui::chat(term, &about, settings, server.target.clone(), key, Some(memory))?;
    judge(ended, &about, &server, &trusted)
}

/// The server and the user's name. What a person had to be asked for can be saved.
fn settings(
    term: &Term,
    args: &ConnectArgs,
    config: &ClientConfig,
    paths: &ClientPaths,
) -> Result<(Server, UserName), Error> {
    let mut asked = false;
    let server = match (&args.server, &config.server_ip) {
        (Some(text), _) => Server::parse(text)?,
        (None, Some(host)) => Server::new(host, config.server_port)?,
        (None, None) => {
            asked = true;
            ask(term, "Server (HOST or HOST:PORT)", "HOST[:PORT], or server_ip in user_config.json", |text| {
                Server::parse(text)
            })?
        }
    };
    let user = if let Some(user) = args.user.or(config.username) {
        user
    } else {
        asked = true;
        ask(term, "Your name on the server", "--user NAME, or username in user_config.json", |text| {
            text.parse().map_err(|error| Error::usage(format_args!("{text}: {error}")))
        })?
    };
    if asked {
        let file = paths.user_config_to_save();
        if term.confirm(&format!("Save this in {}?", file.display()), true, "--no-input")? {
            let config = ClientConfig {
                username: Some(user),
                server_ip: Some(server.target.host.clone()),
                server_port: server.target.port,
                ..config.clone()
            };
            config.save(&file)?;
        }
    }
    Ok((server, user))
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

/// There is no private key: offers to make one. It is of no use before the server's admin has its public half.
fn make_key(term: &Term, paths: &ClientPaths, user: UserName) -> Result<(), Error> {
    if !term.asks() {
        let error = Error::usage(format_args!("there is no private key for {user}"));
        return Err(error.hint(format_args!("--identity FILE names one; rsachat keygen {user} makes one")));
    }
    let dir = paths.new_identity_dir();
    if !term.confirm(&format!("There is no private key for {user}. Make one?"), true, "--identity FILE")? {
        return Err(Error::failure("without a private key nobody gets in").hint("--identity FILE names one"));
    }
    let args = KeygenArgs {
        user: Some(user),
        server: false,
        bits: Bits::B3072,
        out_dir: dir.to_owned(),
        passphrase_file: None,
        no_passphrase: false,
        force: false,
    };
    // Ends with what to hand to the admin.
    keygen::run(term, &args)?;
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
        Outcome::AuthenticationFailed => {
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
