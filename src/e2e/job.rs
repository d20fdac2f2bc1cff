//! The expensive parts, for those who have the private key: some milliseconds each.

use rand::CryptoRng;

use super::{Context, Draft, Membership, OpenedKey, Package, SenderKey, Unusable};
use crate::crypto::rsa::{OperationError, OwnKey, PublicKey};
use crate::model::{RoomName, SenderKeyId, UserName};

/// Work that needs the user's private key.
#[derive(Debug)]
pub enum Job {
    /// Make a sender key.
    Make {
        /// For this room.
        room: RoomName,
        /// Who will send.
        sender: UserName,
        /// Who is to read.
        membership: Membership,
        /// Their keys, the sender's among them.
        recipients: Vec<PublicKey>,
    },
    /// Sign a statement of a roster.
    Sign {
        /// What to sign.
        draft: Draft,
    },
    /// Open a sender key that came from the server.
    Open {
        /// Its name.
        id: SenderKeyId,
        /// Where it belongs, as the server says.
        context: Context,
        /// What all members get.
        head: Vec<u8>,
        /// What this one gets besides.
        part: Vec<u8>,
    },
}

/// What comes of a [`Job`].
#[derive(Debug)]
pub enum Answer {
    /// A sender key, and what the members get of it.
    Made(Box<SenderKey>, Package),
    /// A statement.
    Signed(Vec<u8>),
    /// A sender key, or why it is of no use.
    Opened(Result<Box<OpenedKey>, Unusable>),
}

impl Job {
    /// Does the work.
    ///
    /// # Errors
    /// If the private key does not do its part.
    pub fn run(self, identity: &dyn OwnKey, rng: &mut dyn CryptoRng) -> Result<Answer, OperationError> {
        Ok(match self {
            Self::Make { room, sender, membership, recipients } => {
                let (key, package) = SenderKey::make(room, sender, &membership, &recipients, identity, rng)?;
                Answer::Made(Box::new(key), package)
            }
            Self::Sign { draft } => Answer::Signed(draft.sign(identity, rng)?),
            Self::Open { id, context, head, part } => {
                Answer::Opened(OpenedKey::open(id, context, (&head, &part), identity, rng)?.map(Box::new))
            }
        })
    }
}
