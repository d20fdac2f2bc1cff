//! What handshakes are answered with: the server's key, the registered users and the ticket keys as they are now.
//!
//! The registry and the ticket keys are snapshots that are replaced whole; whoever works with one keeps it to the end.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::enrolment::Enrolment;
use crate::crypto::invite::InviteToken;
use crate::crypto::rsa::{PrivateKey, PublicKey};
use crate::keys::file::{self, Access, Existing, ReadError};
use crate::keys::registry::Registry;
use crate::model::{Timestamp, UserName};
use crate::proto::handshake::server::{Context, Directory};
use crate::proto::ticket::TicketKeys;

const TICKET_FILE_BYTES: u64 = 4096;

/// The registered users, replaceable while the server runs, and how others become some.
pub(super) struct Registered {
    registry: RwLock<Arc<Registry>>,
    pub(super) enrolment: Enrolment,
}

impl Registered {
    fn current(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Directory for Registered {
    fn find(&self, user: &UserName) -> Option<PublicKey> {
        self.current().find(user).cloned()
    }

    fn enrol(&self, user: &UserName, token: &InviteToken, key: &PublicKey) {
        self.enrolment.enrol(user, token, key, || self.current());
    }
}

/// Gives each handshake its context.
pub(super) struct Contexts {
    key: Arc<PrivateKey>,
    pub(super) registered: Arc<Registered>,
    tickets: RwLock<Arc<TicketKeys>>,
    ticket_file: PathBuf,
}

impl Contexts {
    /// Ticket keys are taken from `ticket_file`, or made and kept there.
    pub(super) fn new(key: PrivateKey, registry: Arc<Registry>, enrolment: Enrolment, ticket_file: &Path) -> Self {
        let tickets = Self::load(ticket_file).unwrap_or_else(|| {
            let made = TicketKeys::generate(Timestamp::now(), &mut rand::rng());
            Self::keep(ticket_file, &made);
            made
        });
        Self {
            key: Arc::new(key),
            registered: Arc::new(Registered { registry: RwLock::new(registry), enrolment }),
            tickets: RwLock::new(Arc::new(tickets)),
            ticket_file: ticket_file.to_owned(),
        }
    }

    /// Without its ticket keys a server still lets everybody in, at the price of full handshakes: so nothing that is
    /// wrong with the file stops it.
    fn load(path: &Path) -> Option<TicketKeys> {
        match file::read(path, TICKET_FILE_BYTES) {
            Ok(contents) if contents.mode & 0o077 != 0 => {
                tracing::warn!(file = %path.display(), "others could read the ticket keys: making new ones");
            }
            Ok(contents) => match TicketKeys::from_bytes(&contents.bytes) {
                Ok(keys) => return Some(keys),
                Err(error) => tracing::warn!(%error, file = %path.display(), "making new ticket keys"),
            },
            Err(ReadError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, file = %path.display(), "making new ticket keys"),
        }
        None
    }

    fn keep(path: &Path, keys: &TicketKeys) {
        if let Err(error) = file::write(path, &keys.to_bytes(), Access::Owner, Existing::Replace) {
            tracing::warn!(%error, file = %path.display(), "ticket keys could not be kept: a restart will cost full handshakes");
        }
    }

    /// The server's public key.
    pub(super) fn public_key(&self) -> &PublicKey {
        self.key.public()
    }

    /// What a handshake that is answered now works with.
    pub(super) fn current(&self) -> Context {
        Context {
            key: Arc::clone(&self.key),
            directory: Arc::clone(&self.registered) as Arc<dyn Directory>,
            tickets: Arc::clone(&self.tickets.read().unwrap_or_else(PoisonError::into_inner)),
            now: Timestamp::now(),
        }
    }

    /// Other users are registered from now on.
    pub(super) fn register(&self, registry: Arc<Registry>) {
        *self.registered.registry.write().unwrap_or_else(PoisonError::into_inner) = registry;
    }

    /// Moves to new ticket keys, if the time has come.
    pub(super) fn rotate_tickets(&self) {
        self.change_tickets(|current| current.rotated(Timestamp::now(), &mut rand::rng()));
    }

    /// No ticket that was issued before is good any more. Everybody's, because a list of those that are not would have to
    /// be kept for a day; the price is a full handshake for each client, when it comes back.
    pub(super) fn revoke_tickets(&self) {
        self.change_tickets(|_| Some(TicketKeys::generate(Timestamp::now(), &mut rand::rng())));
    }

    fn change_tickets(&self, change: impl FnOnce(&TicketKeys) -> Option<TicketKeys>) {
        // Locked to the end, so that a rotation can't bring back what was revoked meanwhile.
        let mut tickets = self.tickets.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = change(&tickets) {
            Self::keep(&self.ticket_file, &next);
            *tickets = Arc::new(next);
        }
    }
}
