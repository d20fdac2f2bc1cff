//! Keys of users and sender keys of sealed rooms: handed on, and never looked into.

use std::sync::Arc;
use std::time::Duration;

use super::changes::Then;
use super::requests::{ending, no_room, refused, refused_for, refused_with_hint};
use super::rooms::Room;
use super::{At, Hub, Output};
use crate::journal::{Change, KeptKey, StoreCommand};
use crate::model::{Fingerprint, RoomName, SessionId, StoreToken, UserName};
use crate::proto::message::{
    AddSenderKey, ErrorCode, KeptSenderKey, KeyChanged, KeyList, Keys, Refused, Reply, RequestId, SenderKeyList,
    SenderKeys, ServerMessage, UserKey,
};

/// Most users whose keys are asked for at once.
const USERS: usize = 64;
/// Most sender keys that are asked for at once.
const SENDER_KEYS: usize = 32;
/// Most bytes of what all members get of a sender key, and of what one gets besides.
const HEAD_BYTES: usize = 4 << 10;
const PART_BYTES: usize = 1 << 10;
/// Most members' parts in one request; others follow in further ones.
const PARTS: usize = 16;
/// Most readings of sender keys that one user waits for, and when to ask for more.
const READS: u32 = 8;
const RETRY: Duration = Duration::from_millis(100);

/// Sender keys, or a roster, that the store has not given yet.
#[derive(Debug)]
pub(super) struct KeyReading {
    pub(super) user: UserName,
    pub(super) session: SessionId,
    pub(super) id: RequestId,
    pub(super) room: RoomName,
    /// Of a roster, how many statements it has.
    pub(super) length: u64,
}

impl Hub {
    pub(super) fn keys(&mut self, session: SessionId, id: RequestId, keys: &Keys, at: At) -> Result<(), Refused> {
        self.may_read(session, at)?;
        if keys.users.len() > USERS {
            return Err(refused(ErrorCode::Malformed, format!("at most {USERS} keys can be asked for at once")));
        }
        let known = keys.users.iter().filter_map(|name| {
            let user = self.users.get(name).filter(|user| user.key.is_some())?;
            Some(UserKey { user: *name, key: user.spki.to_vec().into() })
        });
        let list = KeyList { keys: known.collect() };
        self.answer(session, id, Vec::new(), Reply::Keys(list), at);
        Ok(())
    }

    pub(super) fn add_sender_key(
        &mut self,
        session: SessionId,
        id: RequestId,
        add: AddSenderKey,
        at: At,
    ) -> Result<(), Refused> {
        let user = self.asking(session)?;
        let room = self.sealed_room(user, add.room)?;
        let too_long = add.head.len() > HEAD_BYTES || add.recipients.iter().any(|one| one.part.len() > PART_BYTES);
        if too_long || add.recipients.len() > PARTS {
            return Err(refused(ErrorCode::Malformed, "a sender key is not that long"));
        }
        let keys: Vec<Fingerprint> =
            room.members.iter().filter_map(|member| self.users.get(member).and_then(|member| member.key)).collect();
        if !add.recipients.iter().all(|one| keys.contains(&one.member)) {
            let text = format!("somebody in {} has another key than the one that this is sealed to", add.room);
            return Err(refused_with_hint(ErrorCode::Conflict, text, "ask for the members' keys again"));
        }
        self.admit_change(user, at)?;
        let AddSenderKey { room, id: key, epoch, head, recipients } = add;
        let parts = recipients.into_iter().map(|one| (one.member, one.part.into())).collect();
        let change = Change::SenderKey { room, id: key, epoch, sender: user, head: head.into(), parts, time: at.wall };
        self.commit(session, id, user, vec![change], Then::Done);
        Ok(())
    }

    pub(super) fn sender_keys(
        &mut self,
        session: SessionId,
        id: RequestId,
        keys: SenderKeys,
        at: At,
    ) -> Result<(), Refused> {
        self.may_read(session, at)?;
        let user = self.asking(session)?;
        self.sealed_room(user, keys.room)?;
        if keys.ids.len() > SENDER_KEYS {
            return Err(refused(ErrorCode::Malformed, format!("at most {SENDER_KEYS} keys can be asked for at once")));
        }
        let Some(member) = self.users.get(&user).and_then(|user| user.key) else { return Ok(()) };
        let SenderKeys { room, ids } = keys;
        let token = self.begin_key_reading(KeyReading { user, session, id, room, length: 0 })?;
        self.outputs.push_back(Output::Store(StoreCommand::ReadKeys { token, room, ids, member }));
        Ok(())
    }

    /// Counts a reading as under way, or says why not.
    pub(super) fn begin_key_reading(&mut self, reading: KeyReading) -> Result<StoreToken, Refused> {
        let Some(user) = self.users.get_mut(&reading.user) else { return Err(ending()) };
        if user.reads >= READS {
            return Err(refused_for(RETRY, ErrorCode::RateLimited, "you ask for too much at once"));
        }
        user.reads += 1;
        let token = self.next_token();
        self.key_readings.insert(token, reading);
        Ok(token)
    }

    /// Ends the wait for a reading. Nothing if nobody is there to have it.
    pub(super) fn end_key_reading(&mut self, token: StoreToken) -> Option<KeyReading> {
        let reading = self.key_readings.remove(&token)?;
        if let Some(user) = self.users.get_mut(&reading.user) {
            user.reads = user.reads.saturating_sub(1);
        }
        self.sessions.contains_key(&reading.session).then_some(reading)
    }

    /// A sealed room of which the user is a member.
    pub(super) fn sealed_room(&self, user: UserName, name: RoomName) -> Result<&Room, Refused> {
        let room = self.rooms.get(&name).filter(|room| room.has_member(user)).ok_or_else(|| no_room(name))?;
        if room.is_sealed() {
            return Ok(room);
        }
        Err(refused(ErrorCode::Conflict, format!("what is said in {name} is not sealed")))
    }

    /// The store gives sender keys.
    pub(super) fn kept_keys(&mut self, token: StoreToken, keys: Vec<KeptKey>, at: At) {
        let Some(KeyReading { session, id, .. }) = self.end_key_reading(token) else { return };
        let kept = keys.into_iter().map(|key| KeptSenderKey {
            id: key.id,
            epoch: key.epoch,
            sender: key.sender,
            head: key.head.into(),
            part: key.part.map(Into::into),
        });
        let list = SenderKeyList { keys: kept.collect() };
        self.answer(session, id, Vec::new(), Reply::SenderKeys(list), at);
    }

    /// A user has a key, perhaps another one than before: those who are in a sealed room with him have to seal to that one.
    pub(super) fn tell_key_changed(&mut self, user: UserName) {
        let bytes: Arc<[u8]> = Arc::from(ServerMessage::KeyChanged(KeyChanged { user }).encode());
        let rooms = self.directs.get(&user).into_iter().chain(self.memberships.get(&user)).flatten().copied();
        for room in rooms {
            if self.rooms.get(&room).is_none_or(|room| !room.is_sealed() || room.present.is_empty()) {
                continue;
            }
            self.outputs.push_back(Output::ToRoom { room, bytes: Arc::clone(&bytes) });
        }
    }
}
