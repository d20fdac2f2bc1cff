//! The keys that an agent holds, and what it does with them: any request in, an answer out.
//!
//! It never touches a socket, and no answer has anything of a private key in it.

use minicbor::bytes::ByteArray;
use rand::CryptoRng;

use super::wire::{Answer, HeldKey, Purpose, Refusal, Request};
use crate::client::memory;
use crate::crypto::rsa::PrivateKey;
use crate::e2e;
use crate::model::{Fingerprint, Timestamp};

/// Most keys that one agent holds: their public halves fit into one answer.
pub const MOST_KEYS: usize = 16;

/// Keys, each with SHA-256 over the file that it was read from. Wiped when dropped.
#[derive(Debug)]
pub struct Keyring {
    keys: Vec<([u8; 32], PrivateKey)>,
    until: Timestamp,
}

impl Keyring {
    /// Of these keys, which are held until then; nothing if they are more than [`MOST_KEYS`].
    #[must_use]
    pub fn new(keys: Vec<([u8; 32], PrivateKey)>, until: Timestamp) -> Option<Self> {
        (keys.len() <= MOST_KEYS).then_some(Self { keys, until })
    }

    /// The fingerprints of the keys.
    pub fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        self.keys.iter().map(|(_, key)| key.public().fingerprint())
    }

    /// When their time is over.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// Does what is asked, but for ending: that is the caller's. Some milliseconds of work.
    #[must_use]
    pub fn answer(&self, request: Request<'_>, rng: &mut dyn CryptoRng) -> Answer {
        let done = match request {
            Request::List {} => Ok(Answer::Keys { keys: self.keys.iter().map(held).collect(), until: self.until }),
            Request::Decrypt { key, purpose, ciphertext } => self.decrypt(key, purpose, ciphertext, rng),
            Request::Sign { key, message } => self.sign(key, message, rng),
            Request::Stop {} => Ok(Answer::Stopping {}),
        };
        done.unwrap_or_else(|why| Answer::Refused { why })
    }

    fn decrypt(
        &self,
        key: Fingerprint,
        purpose: Purpose,
        ciphertext: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<Answer, Refusal> {
        Ok(Answer::Secret { secret: self.key(key)?.decrypt(purpose.label(), ciphertext, rng) })
    }

    fn sign(&self, key: Fingerprint, message: &[u8], rng: &mut dyn CryptoRng) -> Result<Answer, Refusal> {
        let key = self.key(key)?;
        // The key may be somebody's for other things, too: what is signed here is worth nothing there.
        if !e2e::is_statement(message) && !memory::is_statement(message) {
            return Err(Refusal::Foreign);
        }
        let signature = key.sign(message, rng).map_err(|_| Refusal::Failed)?;
        Ok(Answer::Signature { signature: signature.into() })
    }

    fn key(&self, fingerprint: Fingerprint) -> Result<&PrivateKey, Refusal> {
        let found = self.keys.iter().find(|(_, key)| key.public().fingerprint() == fingerprint);
        found.map(|(_, key)| key).ok_or(Refusal::NotHeld)
    }
}

fn held((file, key): &([u8; 32], PrivateKey)) -> HeldKey {
    HeldKey { file: ByteArray::from(*file), public: key.public().spki_der().to_vec().into() }
}
