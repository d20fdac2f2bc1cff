//! How somebody who was invited becomes a user: his key is put into the keys directory, and the invitation is gone.
//!
//! From then on he is a user like all others, and what is known of users comes from that directory alone. Done by the
//! workers, since files are read and written. Never tells a stranger why an invitation is not good.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use crate::crypto::invite::InviteToken;
use crate::crypto::rsa::PublicKey;
use crate::keys::file::Existing;
use crate::keys::identity::{self, IdentityError};
use crate::keys::invites::{Invalid, Invites};
use crate::keys::registry::{self, Registry};
use crate::keys::watch::Looker;
use crate::model::{Timestamp, UserName};

/// How long the server may take to notice the key of somebody new: below a client's patience.
const NOTICE: Duration = Duration::from_secs(5);

/// The invitations, and where keys go.
pub(super) struct Enrolment {
    invites: Invites,
    keys: PathBuf,
    looker: OnceLock<Looker>,
}

/// Why somebody with an invitation is not registered by it.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the invitation is not good: {0}")]
    Invalid(#[from] Invalid),
    #[error("another user has this key: {0}")]
    SameKey(UserName),
    #[error(transparent)]
    Key(#[from] IdentityError),
    #[error("the invitations can't be changed: {0}")]
    Io(#[from] io::Error),
}

impl Enrolment {
    pub(super) fn new(invites: &Path, keys: &Path) -> Self {
        Self { invites: Invites::new(invites), keys: keys.to_owned(), looker: OnceLock::new() }
    }

    /// Takes back the invitation of somebody who is registered, however that came about: else it would bring him back when he
    /// is removed.
    pub(super) fn is_registered(&self, user: &UserName) {
        if let Err(error) = self.invites.withdraw(user) {
            tracing::error!(%user, %error, "an invitation can't be removed: it is good again once the key is removed");
        }
    }

    /// The same for all, at the start.
    pub(super) fn are_registered(&self, registered: &Registry) {
        let invited = self.invites.list().unwrap_or_default();
        for (user, _) in invited.iter().filter(|(user, _)| registered.find(user).is_some()) {
            self.is_registered(user);
        }
    }

    /// Who notices new keys. Until it is known, nobody is enrolled.
    pub(super) fn noticed_by(&self, looker: Looker) {
        let _ = self.looker.set(looker);
    }

    /// Makes an invitation, as an admin wants it.
    pub(super) fn invite(&self, user: &UserName, expires: Timestamp) -> io::Result<InviteToken> {
        let lock = self.invites.lock()?;
        if registry::file_of(&self.keys, user).exists() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{user} has just been registered")));
        }
        self.invites.issue(&lock, user, expires, &mut rand::rng())
    }

    /// Registers a user who has an invitation, and waits until that is known everywhere. `registered` tells who is
    /// registered, at the moment when it is called.
    pub(super) fn enrol<R: AsRef<Registry>>(
        &self,
        user: &UserName,
        token: &InviteToken,
        key: &PublicKey,
        registered: impl Fn() -> R,
    ) {
        let Some(looker) = self.looker.get() else { return };
        // Who comes back with his link, because the first answer never reached him, needs no invitation.
        if registered().as_ref().find(user).is_some_and(|known| known == key) {
            return;
        }
        if let Err(reason) = self.invites.check(user, token, Timestamp::now()) {
            return match reason {
                // Anybody may try.
                Invalid::Missing | Invalid::Wrong => tracing::debug!(%user, %reason, "invitation refused"),
                reason => tracing::warn!(%user, %reason, "invitation refused"),
            };
        }
        // What was changed in the keys directory a moment ago counts, too.
        let _ = looker.look(NOTICE);
        if registered().as_ref().find(user).is_some() {
            return;
        }
        match self.register(user, token, key, registered().as_ref()) {
            Ok(()) if looker.look(NOTICE) => {}
            Ok(()) => tracing::warn!(%user, "somebody who was invited is registered, but not noticed yet"),
            Err(reason @ (Refused::Invalid(_) | Refused::SameKey(_))) => {
                tracing::warn!(%user, %reason, "invitation refused");
            }
            Err(error) => tracing::error!(%user, %error, "somebody who was invited could not be registered"),
        }
    }

    /// The key first: if the machine ends in between, he is registered, and the invitation is of no use as long as he is.
    fn register(
        &self,
        user: &UserName,
        token: &InviteToken,
        key: &PublicKey,
        registered: &Registry,
    ) -> Result<(), Refused> {
        let _held = self.invites.lock()?;
        self.invites.check(user, token, Timestamp::now())?;
        if let Some(holder) = registered.find_fingerprint(&key.fingerprint()) {
            return Err(Refused::SameKey(holder));
        }
        identity::write_public(&registry::file_of(&self.keys, user), key, Existing::Keep)?;
        self.is_registered(user);
        Ok(())
    }
}
