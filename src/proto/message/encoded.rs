//! Messages that go to many: encoded once, and told apart without being read.

use std::sync::Arc;

use super::{Body, Malformed, PREFIX_BYTES, RequestId, Stored, append, encode, envelope, kind};
use crate::model::{MessageId, Seq, StoredRecord};

/// A stored message encoded once, for everyone who gets it: as an event as it stands, as part of an answer under that
/// request's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded(Arc<[u8]>);

impl Encoded {
    // [array of 3, type 66 in two bytes, id 0]: what precedes the body in an event.
    const HEAD: usize = PREFIX_BYTES + 4;

    /// Encodes it, as event 66.
    #[must_use]
    pub fn new(message: &Stored) -> Self {
        Self(encode(kind::MESSAGE, 0, message).into())
    }

    /// The event on the wire, with its prefix.
    #[must_use]
    pub fn event(&self) -> &Arc<[u8]> {
        &self.0
    }

    /// Appends the message as a part of the answer to request `id`, with its prefix.
    pub fn append_part(&self, id: RequestId, out: &mut Vec<u8>) {
        let body = self.0.get(Self::HEAD..).unwrap_or_default();
        append(kind::PART, id, |out| out.extend_from_slice(body), out);
    }
}

/// Which message an event brings: a [`Stored`] without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// Its number in the room.
    pub seq: Seq,
    /// The sender's identifier for it.
    pub message: MessageId,
}

impl Sighting {
    /// Reads an event 66, without its prefix, up to where both are known: the text behind them costs nothing. Gives how
    /// many bytes told it, too: what begins with the same is the same sighting. Nothing for another kind of message.
    ///
    /// # Errors
    /// [`Malformed`] if there is no number and no identifier, or what comes before them is not well-formed.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let (kind, _, mut body) = envelope(bytes)?;
        if kind != kind::MESSAGE {
            return Ok(None);
        }
        let (mut seq, mut message) = (None, None);
        for _ in 0..body.map()?.unwrap_or_default() {
            match body.u64()? {
                1 => seq = Some(body.decode()?),
                4 => message = Some(body.decode()?),
                _ => body.skip()?,
            }
            if let (Some(seq), Some(message)) = (seq, message) {
                return Ok(Some((Self { seq, message }, body.position())));
            }
        }
        Err(Malformed("a message without number or identifier".to_owned()))
    }
}

impl From<StoredRecord> for Encoded {
    /// A body of a kind that this version doesn't know is left out.
    fn from(record: StoredRecord) -> Self {
        let StoredRecord { room, seq, time, sender, message, body } = record;
        Self::new(&Stored { room, seq, time, sender, message, body: Body::from_cbor(&body).ok() })
    }
}
