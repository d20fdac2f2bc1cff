//! Records: frames whose payload is sealed with AES-256-GCM under the traffic key of their direction.
//!
//! The nonce is the direction's static IV with the record counter xored into its last 8 bytes (RFC 8446, section 5.3);
//! the counter never travels, so a record that is dropped, repeated or moved fails to open. The header is associated
//! data. After [`RATCHET_RECORDS`] records a direction moves to its next secret and counts from 0 again: at 16 KiB a
//! record that is 1 GiB, where the confidentiality limit of GCM (2^24.5 records, RFC 8446, section 5.5) is far away, and
//! no counter can run out.
//!
//! This module never decides which kind of record may come when.

use crate::crypto::aead::{Key, NONCE_BYTES, OpenError, TAG_BYTES};
use crate::crypto::kdf::{Label, expand};
use crate::crypto::secret::Secret;
use crate::proto::frame::{HEADER_BYTES, Header, Kind};

/// Records under one key.
pub const RATCHET_RECORDS: u64 = 1 << 16;

/// The keys of one direction of a connection.
#[derive(Debug)]
pub struct Direction {
    secret: Secret,
    key: Key,
    iv: [u8; NONCE_BYTES],
    counter: u64,
}

impl Direction {
    /// Starts from a traffic secret.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        let key = Key::new(&expand(&secret, Label::Key, &[0; 32]));
        let mut iv = [0; NONCE_BYTES];
        for (slot, byte) in iv.iter_mut().zip(expand(&secret, Label::Iv, &[0; 32]).expose()) {
            *slot = *byte;
        }
        Self { secret, key, iv, counter: 0 }
    }

    /// Appends a record to `out`: `write` appends its plaintext, at most
    /// [`RECORD_BYTES`](crate::proto::frame::RECORD_BYTES), which is then sealed where it stands.
    pub fn seal(&mut self, kind: Kind, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_BYTES]);
        write(out);
        let length = out.len().saturating_sub(start + HEADER_BYTES) + TAG_BYTES;
        let header = Header { kind, length }.bytes();
        let tag = match out.get_mut(start..).and_then(|record| record.split_first_chunk_mut::<HEADER_BYTES>()) {
            Some((slot, plaintext)) => {
                *slot = header;
                self.key.seal(&self.nonce(), &header, plaintext)
            }
            // Only reached if `write` took bytes away; the record then can't open, and nothing leaks.
            None => [0; TAG_BYTES],
        };
        out.extend_from_slice(&tag);
        self.advance();
    }

    /// Opens a record in place and returns its plaintext. The counter moves only if that succeeds.
    ///
    /// # Errors
    /// [`OpenError`] if it is not the peer's next record.
    pub fn open<'a>(&mut self, header: Header, payload: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
        let (plaintext, tag) = payload.split_last_chunk_mut::<TAG_BYTES>().ok_or(OpenError)?;
        self.key.open(&self.nonce(), &header.bytes(), plaintext, tag)?;
        self.advance();
        Ok(plaintext)
    }

    fn nonce(&self) -> [u8; NONCE_BYTES] {
        let mut nonce = self.iv;
        for (byte, count) in nonce.iter_mut().skip(NONCE_BYTES - 8).zip(self.counter.to_be_bytes()) {
            *byte ^= count;
        }
        nonce
    }

    fn advance(&mut self) {
        self.counter += 1;
        if self.counter == RATCHET_RECORDS {
            *self = Self::new(expand(&self.secret, Label::Ratchet, &[0; 32]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pair() -> (Direction, Direction) {
        let direction = || Direction::new(Secret::filled_by(|b| b.fill(5)));
        (direction(), direction())
    }

    fn seal(direction: &mut Direction, kind: Kind, plaintext: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        direction.seal(kind, &mut out, |out| out.extend_from_slice(plaintext));
        out
    }

    fn open(direction: &mut Direction, record: &[u8]) -> Result<(Kind, Vec<u8>), OpenError> {
        let header = Header::read(record).unwrap().unwrap();
        let mut payload = record[HEADER_BYTES..].to_vec();
        direction.open(header, &mut payload).map(|plaintext| (header.kind, plaintext.to_vec()))
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(plaintexts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..5)) {
            let (mut from, mut to) = pair();
            for plaintext in plaintexts {
                let record = seal(&mut from, Kind::Data, &plaintext);
                prop_assert_eq!(open(&mut to, &record), Ok((Kind::Data, plaintext)));
            }
        }

        #[test]
        fn a_changed_bit_anywhere_is_noticed(plaintext in proptest::collection::vec(any::<u8>(), 1..50), at: prop::sample::Index, bit in 0..8_u8) {
            let (mut from, mut to) = pair();
            let record = seal(&mut from, Kind::Data, &plaintext);
            let mut changed = record.clone();
            let at = at.index(changed.len());
            changed[at] ^= 1_u8 << bit;
            if let Ok(Some(header)) = Header::read(&changed) {
                let mut payload = changed[HEADER_BYTES..].to_vec();
                prop_assert!(to.open(header, &mut payload).is_err());
            }
            // The failure changed nothing: the true record still opens.
            prop_assert!(open(&mut to, &record).is_ok());
        }
    }

    #[test]
    fn dropped_repeated_and_reordered_records_do_not_open() {
        let (mut from, mut to) = pair();
        let records: Vec<_> = (0..3).map(|n| seal(&mut from, Kind::Data, &[n])).collect();
        assert!(open(&mut to, &records[1]).is_err(), "a dropped record");
        assert!(open(&mut to, &records[0]).is_ok());
        assert!(open(&mut to, &records[0]).is_err(), "a repeated record");
        assert!(open(&mut to, &records[2]).is_err(), "records in another order");
        assert!(open(&mut to, &records[1]).is_ok());
    }

    #[test]
    fn a_direction_ratchets_and_both_ends_follow() {
        let (mut from, mut to) = pair();
        let first = from.nonce();
        for _ in 0..RATCHET_RECORDS {
            let record = seal(&mut from, Kind::Ping, b"");
            assert!(open(&mut to, &record).is_ok());
        }
        assert_eq!((from.counter, to.counter), (0, 0));
        assert_ne!(from.nonce(), first, "the same nonce came back under a kept IV");
        let record = seal(&mut from, Kind::Data, b"after");
        assert_eq!(open(&mut to, &record), Ok((Kind::Data, b"after".to_vec())));
    }
}
