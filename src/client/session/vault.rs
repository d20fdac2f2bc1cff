//! The sender keys that open what is said in a sealed room: asked for when something comes that needs them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::e2e::{OpenedKey, Unusable};
use crate::model::{MessageId, SenderKeyId, UserName};
use crate::proto::message::{Body, RequestId};

/// Most sender keys of a room that are held; what else is needed is asked for again.
const HELD: usize = 8192;
/// Most that something is known of: more than the messages that wait for keys can name.
const NAMED: usize = 32_768;
/// Most that are asked for at once.
const ASKED: usize = 32;

/// Sender keys by their names.
#[derive(Debug, Default)]
pub(super) struct Vault {
    slots: BTreeMap<SenderKeyId, Slot>,
}

#[derive(Debug)]
enum Slot {
    Wanted,
    Asked(RequestId),
    Opening,
    /// With the number of the last message that it has opened in the order of the room.
    Open(Arc<OpenedKey>, Option<u64>),
    Unusable(Unreadable),
}

/// Why a message can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The server has no sender key for it.
    #[error("the server has no key for it any more")]
    NoKey,
    /// The sender key is of no use.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The message is not what was sealed, or comes from another one than the server says.
    #[error("it is not what its sender has sealed")]
    NotSealedSo,
    /// It was not sealed to the user: of a private room.
    #[error("it was said while you were not in the room")]
    NotThen,
    /// Its sender was put out before it came.
    #[error("its sender is not in the room any more")]
    PutOut,
    /// It came to a private room whose roster is not what it should be.
    #[error("it is not certain who is in the room")]
    Doubtful,
    /// It is not sealed at all, where everything is.
    #[error("it was not sealed: its sender did not send it so")]
    Unsealed,
    /// What was sealed is of a kind that this version doesn't know.
    #[error("it is of a kind that this version does not know")]
    UnknownKind,
}

/// What is known of a message's key.
pub(super) enum Look<'a> {
    /// It has to be waited for.
    Missing,
    Open(&'a Arc<OpenedKey>),
    Unusable(Unreadable),
}

/// A message that was opened.
pub(super) struct Opened {
    pub(super) body: Body,
    /// So many messages of this sender that should have come before it did not.
    pub(super) missing: u64,
    /// It came before.
    pub(super) repeated: bool,
}

impl Vault {
    /// The sender key of this name, which is asked for if it isn't known.
    pub(super) fn look(&mut self, id: SenderKeyId) -> Look<'_> {
        if self.slots.len() >= NAMED && !self.slots.contains_key(&id) {
            self.forget_down_to(NAMED);
        }
        match self.slots.entry(id).or_insert(Slot::Wanted) {
            Slot::Wanted | Slot::Asked(_) | Slot::Opening => Look::Missing,
            Slot::Open(key, _) => Look::Open(key),
            Slot::Unusable(why) => Look::Unusable(*why),
        }
    }

    /// Opens a message in the order of the room.
    pub(super) fn open(
        &mut self,
        id: SenderKeyId,
        sender: UserName,
        message: MessageId,
        sealed: &[u8],
    ) -> Result<Opened, Unreadable> {
        let Some(Slot::Open(key, last)) = self.slots.get_mut(&id) else { return Err(Unreadable::NoKey) };
        let (index, body) = open(key, sender, message, sealed)?;
        let (missing, repeated) = match *last {
            Some(last) if index <= last => (0, true),
            Some(last) => (index - last - 1, false),
            None => (0, false),
        };
        if !repeated {
            *last = Some(index);
        }
        Ok(Opened { body, missing, repeated })
    }

    /// A sender key of one's own, or one that was opened.
    pub(super) fn hold(&mut self, key: Arc<OpenedKey>) {
        self.forget_down_to(HELD);
        self.slots.insert(key.id(), Slot::Open(key, None));
    }

    /// Forgets keys that can be asked for again, until there is one less than this.
    fn forget_down_to(&mut self, most: usize) {
        while self.slots.len() >= most {
            let Some(first) = self.slots.iter().find(|(_, slot)| slot.is_settled()).map(|(id, _)| *id) else { return };
            self.slots.remove(&first);
        }
    }

    pub(super) fn is_unusable(&mut self, id: SenderKeyId, why: Unreadable) {
        self.slots.insert(id, Slot::Unusable(why));
    }

    /// Those to ask for now.
    pub(super) fn wanted(&mut self) -> Vec<SenderKeyId> {
        self.slots.iter().filter(|(_, slot)| matches!(slot, Slot::Wanted)).map(|(id, _)| *id).take(ASKED).collect()
    }

    pub(super) fn asked(&mut self, ids: &[SenderKeyId], request: RequestId) {
        for id in ids {
            self.slots.insert(*id, Slot::Asked(request));
        }
    }

    /// Those that were asked for with a request that is answered now.
    pub(super) fn asked_with(&self, request: RequestId) -> Vec<SenderKeyId> {
        let asked = self.slots.iter().filter(|(_, slot)| matches!(slot, Slot::Asked(asked) if *asked == request));
        asked.map(|(id, _)| *id).collect()
    }

    pub(super) fn opening(&mut self, id: SenderKeyId) {
        self.slots.insert(id, Slot::Opening);
    }

    pub(super) fn want(&mut self, id: SenderKeyId) {
        self.slots.insert(id, Slot::Wanted);
    }

    /// The connection broke: what was asked is asked again.
    pub(super) fn disconnected(&mut self) {
        for slot in self.slots.values_mut() {
            if let Slot::Asked(_) = slot {
                *slot = Slot::Wanted;
            }
        }
    }

    /// From here on, the numbers of messages are followed anew.
    pub(super) fn follow_anew(&mut self) {
        for slot in self.slots.values_mut() {
            if let Slot::Open(_, last) = slot {
                *last = None;
            }
        }
    }
}

impl Slot {
    fn is_settled(&self) -> bool {
        matches!(self, Self::Open(..) | Self::Unusable(_))
    }
}

/// Opens a message, wherever it stands: its number, and what it says.
pub(super) fn open(
    key: &OpenedKey,
    sender: UserName,
    message: MessageId,
    sealed: &[u8],
) -> Result<(u64, Body), Unreadable> {
    if key.context().sender != sender {
        return Err(Unreadable::NotSealedSo);
    }
    let (index, payload) = key.open_message(message, sealed).map_err(|_| Unreadable::NotSealedSo)?;
    match Body::from_cbor(&payload) {
        Ok(Body::Sealed { .. }) => Err(Unreadable::NotSealedSo),
        Ok(body) => Ok((index, body)),
        Err(_) => Err(Unreadable::UnknownKind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_of_no_use_are_forgotten_where_there_are_too_many() {
        let mut vault = Vault::default();
        let id = |number: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            SenderKeyId(id)
        };
        for number in 0..NAMED + 10 {
            assert!(matches!(vault.look(id(number)), Look::Missing));
            vault.is_unusable(id(number), Unreadable::NoKey);
        }
        assert_eq!(vault.slots.len(), NAMED);
        // Those that are waited for are not.
        let mut vault = Vault::default();
        for number in 0..NAMED + 10 {
            vault.look(id(number));
        }
        assert_eq!(vault.slots.len(), NAMED + 10);
    }
}
