//! Who talks to which server, with which keys: what every command needs that talks to one. What the command line doesn't say
//! comes from `user_config.json`, what that doesn't say from the person at the terminal, if there is one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::server_key::Trusted;
use crate::cli::LinkArgs;
use crate::client::address::{Address, Server};
use crate::client::driver::{FirstContactError, fetch_server_key};
use crate::client::session::Outcome;
use crate::client::tickets::Tickets;
use crate::config::{ClientConfig, ClientPaths};
use crate::crypto::rsa::OperationError;
use crate::error::{Error, Exit};
use crate::keys::registry;
use crate::model::{Fingerprint, RoomName, UserName};
use crate::proto::close::CloseCode;
use crate::proto::handshake::wire::VERSION;
use crate::proto::message::Refused;
use crate::term::{Term, sanitise};

/// How long a server may take to say which key it has.
pub(super) const FIRST_CONTACT: Duration = Duration::from_secs(10);

/// What the files here say of the user and his server.
pub(super) fn config(paths: &ClientPaths) -> Result<ClientConfig, Error> {
    Ok(match paths.user_config() {
        Some(file) => ClientConfig::load(&file)?,
        None => ClientConfig::default(),
    })
}

/// The server, how to know it, and the user's name. What a person had to be asked for, or got with an invitation, can be
/// saved.
pub(super) fn settings(
    term: &Term,
    server: Option<&str>,
    args: &LinkArgs,
    config: &ClientConfig,
    paths: &ClientPaths,
) -> Result<(Address, UserName), Error> {
    let mut asked = false;
    let mut address = match (server, &config.server_ip) {
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
        if term.confirm(&format!("Keep server and name in {}?", file.display()), true, "--no-input")? {
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

/// The file of the user's private key, if there is one: the `given`, or where it is found.
pub(super) fn identity(
    given: Option<&Path>,
    config: &ClientConfig,
    paths: &ClientPaths,
    user: UserName,
) -> Option<PathBuf> {
    given.map(Path::to_owned).or_else(|| config.identity.clone()).or_else(|| paths.identity(&user))
}

/// The tickets of earlier sessions, if they may be kept. Nothing depends on them, so that what is in their way is not told.
pub(super) fn tickets(
    config: &ClientConfig,
    paths: &ClientPaths,
    user: UserName,
    own: Fingerprint,
    server: Fingerprint,
) -> Option<Tickets> {
    config.tickets.then(|| Tickets::open(&paths.tickets(), user, own, server).ok()).flatten()
}

/// The user has no private key, and nobody can be asked.
pub(super) fn no_identity(user: UserName, paths: &ClientPaths) -> Error {
    let data = paths.new_identity_dir().display();
    let error = Error::usage(format_args!("there is no private key for {user}, neither here nor in {data}"));
    error.hint(format_args!("--identity FILE names one; rsachat keygen {user} makes one"))
}

/// Why a session ended that was not left, in words and an exit code.
pub(super) fn ended(outcome: Outcome, me: UserName, own: Fingerprint, server: &Server, trusted: &Trusted) -> Error {
    match outcome {
        Outcome::Left | Outcome::ServerEnded => Error::network("the server has ended"),
        Outcome::AuthenticationFailed { invited: true } => Error::authentication(format_args!(
            "the server does not let {me} in: the invitation has expired, was used, or is not the last one made for {me}"
        ))
        .hint(format_args!("ask an admin for another one: rsachat invite {me}, or /invite-user {me} in the chat")),
        Outcome::AuthenticationFailed { invited: false } => {
            let file = registry::file_of(Path::new(""), &me);
            Error::authentication(format_args!("the server does not let {me} in with the key {own}"))
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
        Outcome::KeyOutOfReach => OperationError::OutOfReach.into(),
        Outcome::Version { min, max } => version_error(min, max),
        Outcome::GaveUp { reason } => Error::network(format_args!("no connection to {}: {reason}", server.name))
            .hint("is the server running, and is this its address?"),
    }
}

/// The user is in no such room, for this reason, and is not to be made a member by this.
pub(super) fn no_member(room: RoomName, why: &str) -> Error {
    Error::new(Exit::NoMember, sanitise(why))
        .hint(format_args!("if there is such a room, this joins it: rsachat connect --room '{room}'"))
}

/// What the server has refused.
pub(super) fn refusal(exit: Exit, refused: &Refused) -> Error {
    let error = Error::new(exit, sanitise(&refused.text));
    match &refused.hint {
        Some(hint) => error.hint(sanitise(hint)),
        None => error,
    }
}

/// So many messages, as the subject of a sentence.
pub(super) fn messages(count: usize) -> String {
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
