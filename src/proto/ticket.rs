//! Resumption tickets: what a server needs to know of a client that comes back, sealed by a key of its own, so that it
//! keeps no state for those who are away.
//!
//! ```text
//! key id (4) | nonce (12) | AES-256-GCM( CBOR {0: user, 1: fingerprint, 2: secret, 3: issued, 4: proved},
//!     padded ) | tag (16)
//!                           associated data: key id (4) | fingerprint of the server's RSA key (32)
//! ```
//!
//! Who resumes is not shown the server's RSA key. So a ticket is good only with the one that the server had when it issued
//! it: when that key is replaced, and the ticket keys are not, every client makes a full handshake, and notices.
//!
//! The nonce is random: at one key a day, 2^32 tickets of one key are out of reach. Whoever has the ticket keys can
//! resume as any user whose ticket he has recorded, and pose as the server to a client that presents one, but can't read
//! what was recorded: every resumption mixes in a fresh key exchange. Only the server reads tickets; the layout is no part of the protocol.

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use rand::CryptoRng;
use zeroize::Zeroizing;

use crate::crypto::aead::{Key, NONCE_BYTES, TAG_BYTES};
use crate::crypto::secret::Secret;
use crate::model::{Fingerprint, Timestamp, UserName};
use crate::proto::handshake::wire;
use crate::proto::message::decode_whole;

/// How long a ticket is good, seconds.
pub const LIFETIME_S: u32 = 24 * 60 * 60;
// A key seals for one lifetime and opens for one more.
const ROTATE_MS: u64 = LIFETIME_S as u64 * 1000;
// Each ticket brings another: without this, whoever gets hold of one could come back for ever.
const PROVED_MS: u64 = 7 * ROTATE_MS;
const BLOCK: usize = 160;
const KEY_ID_BYTES: usize = 4;

/// What a ticket says.
#[derive(Debug)]
pub struct Contents {
    /// Whom it was issued to.
    pub user: UserName,
    /// The key that user had.
    pub fingerprint: Fingerprint,
    /// The secret that the client has too.
    pub secret: Secret,
    /// When.
    pub issued: Timestamp,
    /// When the user has last proved to have that key.
    pub proved: Timestamp,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Inside {
    #[n(0)]
    user: UserName,
    #[n(1)]
    fingerprint: Fingerprint,
    #[n(2)]
    #[cbor(with = "secret_bytes")]
    secret: Secret,
    #[n(3)]
    issued: Timestamp,
    #[n(4)]
    proved: Timestamp,
}

/// A ticket that this server did not issue, or not lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a ticket of this server, or too old")]
pub struct BadTicket;

/// Bytes that are not the ticket keys that a server kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a file of ticket keys")]
pub struct BadKeys;

/// The keys that seal and open tickets: the newest seals.
#[derive(Debug)]
pub struct TicketKeys {
    // Newest first; never empty.
    newest: TicketKey,
    previous: Option<TicketKey>,
}

#[derive(Debug)]
struct TicketKey {
    id: [u8; KEY_ID_BYTES],
    secret: Secret,
    key: Key,
    made: Timestamp,
}

impl TicketKey {
    fn new(id: [u8; KEY_ID_BYTES], secret: Secret, made: Timestamp) -> Self {
        Self { id, key: Key::new(&secret), secret, made }
    }

    fn generate(now: Timestamp, rng: &mut dyn CryptoRng) -> Self {
        let mut id = [0; KEY_ID_BYTES];
        rng.fill_bytes(&mut id);
        Self::new(id, Secret::random(rng), now)
    }

    fn is_due(&self, now: Timestamp) -> bool {
        // A clock that was set back must not keep a key for ever.
        now.0.abs_diff(self.made.0) >= ROTATE_MS
    }
}

impl TicketKeys {
    /// Keys for a server that has none.
    #[must_use]
    pub fn generate(now: Timestamp, rng: &mut dyn CryptoRng) -> Self {
        Self { newest: TicketKey::generate(now, rng), previous: None }
    }

    /// The keys to go on with, if the newest has sealed long enough.
    #[must_use]
    pub fn rotated(&self, now: Timestamp, rng: &mut dyn CryptoRng) -> Option<Self> {
        let old = &self.newest;
        old.is_due(now).then(|| Self {
            newest: TicketKey::generate(now, rng),
            previous: Some(TicketKey::new(old.id, old.secret.duplicate(), old.made)),
        })
    }

    /// A ticket with `contents`, from the `server` with this key.
    ///
    /// # Errors
    /// [`wire::LayoutError`] never, for contents of this version's size.
    pub fn seal(
        &self,
        contents: &Contents,
        server: Fingerprint,
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>, wire::LayoutError> {
        let inside = Inside {
            user: contents.user,
            fingerprint: contents.fingerprint,
            secret: contents.secret.duplicate(),
            issued: contents.issued,
            proved: contents.proved,
        };
        let mut cbor = Zeroizing::new(Vec::with_capacity(BLOCK));
        // Writing into a Vec can't fail.
        let _ = minicbor::encode(&inside, &mut *cbor);
        let mut block = Zeroizing::new(wire::pad(&cbor, BLOCK)?);
        let mut nonce = [0; NONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        let tag = self.newest.key.seal(&nonce, &associated_data(self.newest.id, server), &mut block);
        Ok([&self.newest.id[..], &nonce, &block, &tag].concat())
    }

    /// Reads a ticket, for the `server` with this key.
    ///
    /// # Errors
    /// [`BadTicket`] if it was not sealed by one of these keys, for that server, or more than [`LIFETIME_S`] ago, or if the
    /// user has not proved to have the key for a week.
    pub fn open(&self, ticket: &[u8], server: Fingerprint, now: Timestamp) -> Result<Contents, BadTicket> {
        let (id, rest) = ticket.split_first_chunk::<KEY_ID_BYTES>().ok_or(BadTicket)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(BadTicket)?;
        let (block, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(BadTicket)?;
        let key = std::iter::once(&self.newest).chain(&self.previous).find(|key| key.id == *id).ok_or(BadTicket)?;
        let mut block = Zeroizing::new(block.to_vec());
        key.key.open(nonce, &associated_data(*id, server), &mut block, tag).map_err(|_| BadTicket)?;
        let inside: Inside = decode_whole(wire::unpad(&block).map_err(|_| BadTicket)?).map_err(|_| BadTicket)?;
        if now.0.abs_diff(inside.issued.0) > ROTATE_MS || now.0.abs_diff(inside.proved.0) > PROVED_MS {
            return Err(BadTicket);
        }
        Ok(Contents {
            user: inside.user,
            fingerprint: inside.fingerprint,
            secret: inside.secret,
            issued: inside.issued,
            proved: inside.proved,
        })
    }

    /// The keys, to be kept in a private file.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let kept: Vec<Kept> = std::iter::once(&self.newest).chain(&self.previous).map(Kept::new).collect();
        let mut out = Zeroizing::new(Vec::with_capacity(128));
        let _ = minicbor::encode(&kept, &mut *out);
        out
    }

    /// The keys as they were kept.
    ///
    /// # Errors
    /// [`BadKeys`] if the bytes are not what [`TicketKeys::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadKeys> {
        let kept: Vec<Kept> = decode_whole(bytes).map_err(|_| BadKeys)?;
        let mut keys = kept.into_iter().map(Kept::key);
        let newest = keys.next().ok_or(BadKeys)?;
        Ok(Self { newest, previous: keys.next() })
    }
}

fn associated_data(id: [u8; KEY_ID_BYTES], Fingerprint(server): Fingerprint) -> [u8; KEY_ID_BYTES + 32] {
    let mut data = [0; KEY_ID_BYTES + 32];
    let (first, rest) = data.split_at_mut(KEY_ID_BYTES);
    first.copy_from_slice(&id);
    rest.copy_from_slice(&server);
    data
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Kept {
    #[n(0)]
    id: ByteArray<KEY_ID_BYTES>,
    #[n(1)]
    #[cbor(with = "secret_bytes")]
    secret: Secret,
    #[n(2)]
    made: Timestamp,
}

impl Kept {
    fn new(key: &TicketKey) -> Self {
        Self { id: ByteArray::from(key.id), secret: key.secret.duplicate(), made: key.made }
    }

    fn key(self) -> TicketKey {
        TicketKey::new(*self.id, self.secret, self.made)
    }
}

/// A secret as a byte string of CBOR.
pub(crate) mod secret_bytes {
    use minicbor::encode::Write;
    use minicbor::{Decoder, Encoder};

    use crate::crypto::secret::Secret;

    pub(crate) fn encode<C, W: Write>(
        secret: &Secret,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(secret.expose())?.ok()
    }

    pub(crate) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Secret, minicbor::decode::Error> {
        let bytes: &[u8; 32] = d.bytes()?.try_into().map_err(|_| minicbor::decode::Error::message("not 32 bytes"))?;
        Ok(Secret::filled_by(|secret| secret.copy_from_slice(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Fingerprint = Fingerprint([7; 32]);

    fn contents(issued: u64) -> Contents {
        Contents {
            user: "a".repeat(32).parse().unwrap(),
            fingerprint: Fingerprint([1; 32]),
            secret: Secret::filled_by(|bytes| bytes.fill(2)),
            issued: Timestamp(issued),
            proved: Timestamp(issued),
        }
    }

    #[test]
    fn a_ticket_opens_with_kept_keys_until_it_is_too_old() {
        let mut rng = rand::rng();
        let keys = TicketKeys::generate(Timestamp(0), &mut rng);
        let ticket = keys.seal(&contents(5), SERVER, &mut rng).unwrap();
        let kept = TicketKeys::from_bytes(&keys.to_bytes()).unwrap();
        let opened = kept.open(&ticket, SERVER, Timestamp(5 + ROTATE_MS)).unwrap();
        assert_eq!(opened.user, contents(5).user);
        assert_eq!(opened.secret.expose(), &[2; 32]);
        assert_eq!(kept.open(&ticket, SERVER, Timestamp(6 + ROTATE_MS)).unwrap_err(), BadTicket);
    }

    #[test]
    fn who_has_not_proved_his_key_for_a_week_does_it_again() {
        let mut rng = rand::rng();
        let keys = TicketKeys::generate(Timestamp(0), &mut rng);
        let renewed = Contents { proved: Timestamp(5), ..contents(6 * ROTATE_MS + 10) };
        let ticket = keys.seal(&renewed, SERVER, &mut rng).unwrap();
        assert_eq!(keys.open(&ticket, SERVER, Timestamp(5 + PROVED_MS)).unwrap().proved, Timestamp(5));
        assert_eq!(keys.open(&ticket, SERVER, Timestamp(6 + PROVED_MS)).unwrap_err(), BadTicket);
    }

    #[test]
    fn keys_rotate_once_a_lifetime_and_the_last_ones_still_open() {
        let mut rng = rand::rng();
        let first = TicketKeys::generate(Timestamp(0), &mut rng);
        assert!(first.rotated(Timestamp(ROTATE_MS - 1), &mut rng).is_none());
        let ticket = first.seal(&contents(ROTATE_MS - 1), SERVER, &mut rng).unwrap();
        let second = first.rotated(Timestamp(ROTATE_MS), &mut rng).unwrap();
        assert!(second.open(&ticket, SERVER, Timestamp(ROTATE_MS)).is_ok());
        let third = second.rotated(Timestamp(2 * ROTATE_MS), &mut rng).unwrap();
        assert_eq!(third.open(&ticket, SERVER, Timestamp(ROTATE_MS)).unwrap_err(), BadTicket);
    }

    #[test]
    fn a_server_with_another_key_takes_no_old_ticket() {
        let mut rng = rand::rng();
        let keys = TicketKeys::generate(Timestamp(0), &mut rng);
        let ticket = keys.seal(&contents(0), SERVER, &mut rng).unwrap();
        assert_eq!(keys.open(&ticket, Fingerprint([8; 32]), Timestamp(0)).unwrap_err(), BadTicket);
        assert!(keys.open(&ticket, SERVER, Timestamp(0)).is_ok());
    }

    #[test]
    fn a_changed_ticket_is_refused() {
        let mut rng = rand::rng();
        let keys = TicketKeys::generate(Timestamp(0), &mut rng);
        let ticket = keys.seal(&contents(0), SERVER, &mut rng).unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(keys.open(&changed, SERVER, Timestamp(0)).unwrap_err(), BadTicket, "byte {at}");
            assert_eq!(keys.open(&ticket[..at], SERVER, Timestamp(0)).unwrap_err(), BadTicket, "{at} bytes");
        }
        assert_eq!(TicketKeys::from_bytes(b"garbage").unwrap_err(), BadKeys);
    }
}
