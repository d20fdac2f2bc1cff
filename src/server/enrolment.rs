//! How somebody who was invited becomes a user: his key is put into the keys directory, and the invitation is gone.
//!
//! From then on he is a user like all others, and what is known of users comes from that directory alone. Done by the
//! workers, since files are read and written. Never tells a stranger why an invitation is not good.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::crypto::invite::InviteToken;
use crate::crypto::rsa::PublicKey;
use crate::keys::file::Existing;
use crate::keys::identity;
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
    /// Whoever changes the invitations or the keys holds it.
    changing: Mutex<()>,
    looker: OnceLock<Looker>,
}

impl Enrolment {
    pub(super) fn new(invites: &Path, keys: &Path) -> Self {
        let invites = Invites::new(invites);
        Self { invites, keys: keys.to_owned(), changing: Mutex::default(), looker: OnceLock::new() }
    }

    /// Takes back the invitations of those who are registered: the server's end came between the two.
    pub(super) fn forget_used(&self, registered: &Registry) {
        let invited = self.invites.list().unwrap_or_default();
        for (user, _) in invited.iter().filter(|(user, _)| registered.find(user).is_some()) {
            self.withdraw(user);
        }
    }

    /// Who notices new keys. Until it is known, nobody is enrolled.
    pub(super) fn noticed_by(&self, looker: Looker) {
        let _ = self.looker.set(looker);
    }

    /// Makes an invitation, as an admin wants it.
    pub(super) fn invite(&self, user: &UserName, expires: Timestamp) -> std::io::Result<InviteToken> {
        let _held = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.invites.issue(user, expires, &mut rand::rng())
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
        let _held = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(looker) = self.looker.get() else { return };
        // Who comes back with his link, because the first answer never reached him, needs no invitation.
        if registered().as_ref().find(user).is_some() {
            return;
        }
        match self.invites.check(user, token, Timestamp::now()) {
            Ok(()) => {}
            // Anybody may try.
            Err(reason @ (Invalid::Missing | Invalid::Wrong)) => {
                return tracing::debug!(%user, %reason, "invitation refused");
            }
            Err(reason) => return tracing::warn!(%user, %reason, "invitation refused"),
        }
        if let Some(holder) = registered().as_ref().find_fingerprint(&key.fingerprint()) {
            return tracing::warn!(%user, %holder, "invitation refused: another user has this key");
        }
        if let Err(error) = self.register(user, key) {
            return tracing::error!(%user, %error, "somebody who was invited could not be registered");
        }
        if !looker.look(NOTICE) {
            tracing::warn!(%user, "somebody who was invited is registered, but not noticed yet");
        }
    }

    /// The key first: if the machine ends in between, he is registered, and the invitation is of no use as long as he is.
    fn register(&self, user: &UserName, key: &PublicKey) -> Result<(), identity::IdentityError> {
        let file = registry::file_of(&self.keys, user);
        identity::write_public(&file, key, Existing::Keep)?;
        self.withdraw(user);
        Ok(())
    }

    fn withdraw(&self, user: &UserName) {
        if let Err(error) = self.invites.withdraw(user) {
            tracing::error!(%user, %error, "a used invitation can't be removed: it is good again once the key is removed");
        }
    }
}
