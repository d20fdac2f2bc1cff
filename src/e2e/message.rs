//! Messages: sealed by a sender key, and opened by those who have it.

use super::cose::{self, Bad, SealedMessage, Signed};
use super::padding::{pad, unpad};
use super::sender_key::{MESSAGES_PER_KEY, OpenedKey, SenderKey};
use crate::model::MessageId;

/// A message that can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not what its sender sealed, or not where he sent it")]
pub struct Unopened;

impl SenderKey {
    /// Seals a message, under the next number. Nothing if the key has sealed as many as it may: another one is needed.
    pub fn seal(&mut self, message: MessageId, payload: &[u8]) -> Option<Vec<u8>> {
        let index = self.next;
        self.next = index.checked_add(1).filter(|next| *next <= MESSAGES_PER_KEY)?;
        let OpenedKey { id, context, key, base_iv, .. } = &*self.opened;
        let context = context.of_message(*id, index, message);
        let sign = |bytes: &[u8]| Ok::<_, std::convert::Infallible>(self.signing.sign(bytes).to_vec());
        let Ok(signed) = cose::sign(cose::message_header(), pad(payload), &context, sign);
        Some(cose::encrypt_message(key, base_iv, index, &signed, &context))
    }
}

impl OpenedKey {
    /// Opens a message: its number, and what was sealed.
    ///
    /// # Errors
    /// [`Unopened`] if it is not just what this sender sealed, under this identifier, in this room.
    pub fn open_message(&self, message: MessageId, sealed: &[u8]) -> Result<(u64, Vec<u8>), Unopened> {
        self.try_open(message, sealed).map_err(|Bad| Unopened)
    }

    fn try_open(&self, message: MessageId, sealed: &[u8]) -> Result<(u64, Vec<u8>), Bad> {
        let sealed = SealedMessage::read(sealed)?;
        let context = self.context.of_message(self.id, sealed.index, message);
        let signed = sealed.decrypt(&self.key, &self.base_iv, &context)?;
        let padded = Signed::read(&signed)?
            .check(&cose::message_header(), &context, |bytes, signature| self.verifying.verify(bytes, signature))?;
        Ok((sealed.index, unpad(&padded).ok_or(Bad)?.to_vec()))
    }
}
