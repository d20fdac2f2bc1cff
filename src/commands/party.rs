//! Who talks to which server, and all that he needs for it: for the commands that are no conversation with a person. None of
//! them takes up an invitation, nor makes a key.

use super::key_files::own_key;
use super::link;
use super::server_key::{self, Trusted};
use crate::cli::TalkArgs;
use crate::client::address::{Address, Server};
use crate::client::driver::{Driver, Kept, Told};
use crate::client::memory::Memory;
use crate::client::session::{Outcome, Purpose, Settings};
use crate::client::ui::{About, Audience};
use crate::config::{ClientConfig, ClientPaths};
use crate::crypto::rsa::{OwnKey, PublicKey};
use crate::error::{Context as _, Error};
use crate::model::{RoomName, UserName};
use crate::term::Term;

/// The two sides.
pub(super) struct Party {
    pub(super) user: UserName,
    pub(super) own: PublicKey,
    pub(super) paths: ClientPaths,
    pub(super) trusted: Trusted,
    server: Server,
}

/// What a session is made of.
pub(super) struct Means {
    /// What it is to do; to be changed as needed.
    pub(super) settings: Settings,
    key: Box<dyn OwnKey>,
    kept: Kept,
}

impl Party {
    /// Finds everything: on the command line, in the files here, and from the person at the terminal, if there is one.
    /// `check` looks at the rest of the command line, for this user, before anybody is asked for a passphrase.
    pub(super) fn find<T>(
        term: &Term,
        TalkArgs { server, link: args }: &TalkArgs,
        check: impl FnOnce(UserName, &ClientConfig) -> Result<T, Error>,
    ) -> Result<(Self, Means, T), Error> {
        let paths = ClientPaths::here();
        let config = link::config(&paths)?;
        let (Address { server, fingerprint, invite, .. }, user) =
            link::settings(term, server.as_deref(), args, &config, &paths)?;
        if invite.is_some() {
            return Err(Error::usage("an invitation is taken up by rsachat connect").hint("that first, then this"));
        }
        let checked = check(user, &config)?;
        let file = link::identity(args.identity.as_deref(), &config, &paths, user);
        let file = file.ok_or_else(|| link::no_identity(user, &paths))?;
        let key = own_key(term, &paths, &file, args.passphrase_file.as_deref())?;
        let trusted = server_key::find(term, args.server_key.as_deref(), fingerprint, &config, &paths, &server)?;
        let own = key.public().clone();
        let theirs = trusted.key.fingerprint();
        let file = paths.known_users(&user, own.fingerprint(), theirs);
        let (memory, known) = Memory::open(&file, &*key, &mut rand::rng())?;
        let tickets = link::tickets(&config, &paths, user, own.fingerprint(), theirs);
        let settings = Settings {
            server: trusted.key.clone(),
            user,
            own: own.clone(),
            invite: None,
            known,
            receipts: false,
            room: config.room,
            purpose: Purpose::Chat,
            give_up: None,
        };
        let means = Means { settings, key, kept: Kept { memory: Some(memory), tickets } };
        Ok((Self { user, own, paths, trusted, server }, means, checked))
    }

    /// What a face knows of a session in this room.
    pub(super) fn about(&self, room: RoomName) -> About {
        About {
            audience: Audience::Programs,
            me: self.user,
            room,
            address: self.server.clone().into(),
            server: self.trusted.key.fingerprint(),
            own: self.own.fingerprint(),
            bell: false,
            presence: false,
            away: None,
        }
    }

    /// Starts the session.
    pub(super) fn start(&self, means: Means, tell: impl FnMut(Told) + Send + 'static) -> Result<Driver, Error> {
        let Means { settings, key, kept } = means;
        Driver::start(settings, self.server.target.clone(), key, kept, tell)
            .context(|| "can't start the connection's thread")
    }

    /// Why a session ended that was not left, in words and an exit code.
    pub(super) fn ended(&self, outcome: Outcome) -> Error {
        link::ended(outcome, self.user, self.own.fingerprint(), &self.server, &self.trusted)
    }
}
