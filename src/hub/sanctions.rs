//! What users may not do, and until when: bans and mutes.

use std::collections::BTreeMap;

use super::changes::{Then, check_line};
use super::requests::refused;
use super::rights::Right;
use super::{At, Hub, Record};
use crate::journal::{Change, Sanction};
use crate::model::{SessionId, Timestamp, UserName};
use crate::proto::close::{CloseCode, CloseReason};
use crate::proto::message::{Act, Ban, ErrorCode, Mute, Refused, RequestId, Unban, Unmute};

/// Who may not do something, until when; until it is lifted, without a time.
#[derive(Debug, Default)]
pub(super) struct Sanctions(BTreeMap<UserName, Option<Timestamp>>);

impl Sanctions {
    pub(super) fn restore(restored: Vec<Sanction>) -> Self {
        Self(restored.into_iter().map(|sanction| (sanction.user, sanction.until)).collect())
    }

    /// For how long it is still in force for a user, in words; nothing if it isn't.
    pub(super) fn in_force(&self, user: UserName, wall: Timestamp) -> Option<String> {
        match self.0.get(&user)? {
            None => Some("until somebody lifts that".to_owned()),
            Some(until) if *until > wall => Some(format!("for another {}", words(until.0.saturating_sub(wall.0)))),
            Some(_) => None,
        }
    }

    fn impose(&mut self, sanction: Sanction) {
        self.0.insert(sanction.user, sanction.until);
    }

    fn lift(&mut self, user: UserName) {
        self.0.remove(&user);
    }
}

/// A time in words, rounded up.
fn words(millis: u64) -> String {
    let seconds = millis.div_ceil(1000);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds.div_ceil(60)),
        7200..172_800 => format!("{} h", seconds.div_ceil(3600)),
        _ => format!("{} days", seconds.div_ceil(86_400)),
    }
}

impl Hub {
    pub(super) fn ban(&mut self, session: SessionId, id: RequestId, ban: Ban, at: At) -> Result<(), Refused> {
        let Ban { room, user, seconds, reason } = ban;
        let by = match room {
            Some(room) => self.may_in(session, room, Right::Ban, at)?,
            None => self.may(session, Right::BanFromServer)?,
        };
        self.may_touch(by, user, room)?;
        self.must_be_registered(user)?;
        check_line(reason.as_deref())?;
        let sanction = Sanction { user, until: until(seconds, at)? };
        if let Some(room) = room {
            self.must_not_be_everyones(room)?;
            self.must_not_be_private(room)?;
        }
        self.admit_change(by, at)?;
        let mut changes = vec![Change::Ban { room, sanction }];
        if let Some(name) = room {
            if let Some(room) = self.rooms.get_mut(&name) {
                room.banned.impose(sanction);
            }
            self.tell_room(name, by, Act::Banned { user, until: sanction.until, reason: reason.clone() });
            changes.extend(self.remove_member(name, user, None, by, reason.as_deref(), at));
        } else {
            self.banned.impose(sanction);
            let (until, said) = (sanction.until, reason.clone());
            self.record(|| Record::Decided { room: None, by, act: Act::Banned { user, until, reason: said } });
            let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            let reason = CloseReason::new(CloseCode::Kicked, format!("{by} banned you from this server{why}"));
            self.close_user(user, &reason, at);
        }
        self.commit(session, id, by, changes, Then::Done);
        Ok(())
    }

    pub(super) fn unban(&mut self, session: SessionId, id: RequestId, unban: &Unban, at: At) -> Result<(), Refused> {
        let Unban { room: name, user } = *unban;
        let by = match name {
            Some(name) => self.may_in(session, name, Right::Ban, at)?,
            None => self.may(session, Right::BanFromServer)?,
        };
        self.may_touch(by, user, name)?;
        let room = name.and_then(|name| self.rooms.get(&name));
        if room.map_or(&self.banned, |room| &room.banned).in_force(user, at.wall).is_none() {
            return Err(refused(ErrorCode::Conflict, format!("{user} is not banned")));
        }
        self.admit_change(by, at)?;
        let room = name.and_then(|name| self.rooms.get_mut(&name));
        room.map_or(&mut self.banned, |room| &mut room.banned).lift(user);
        if let Some(name) = name {
            self.tell_room(name, by, Act::Unbanned { user });
        } else {
            self.record(|| Record::Decided { room: None, by, act: Act::Unbanned { user } });
        }
        self.commit(session, id, by, vec![Change::Unban { room: name, user }], Then::Done);
        Ok(())
    }

    pub(super) fn mute(&mut self, session: SessionId, id: RequestId, mute: &Mute, at: At) -> Result<(), Refused> {
        let Mute { room: name, user, seconds } = *mute;
        let by = self.may_in(session, name, Right::Mute, at)?;
        self.may_touch(by, user, Some(name))?;
        self.must_be_registered(user)?;
        let sanction = Sanction { user, until: until(seconds, at)? };
        self.admit_change(by, at)?;
        if let Some(room) = self.rooms.get_mut(&name) {
            room.muted.impose(sanction);
        }
        self.tell_room(name, by, Act::Muted { user, until: sanction.until });
        self.commit(session, id, by, vec![Change::Mute { room: name, sanction }], Then::Done);
        Ok(())
    }

    pub(super) fn unmute(&mut self, session: SessionId, id: RequestId, unmute: &Unmute, at: At) -> Result<(), Refused> {
        let Unmute { room: name, user } = *unmute;
        let by = self.may_in(session, name, Right::Mute, at)?;
        self.may_touch(by, user, Some(name))?;
        if self.rooms.get(&name).and_then(|room| room.muted.in_force(user, at.wall)).is_none() {
            return Err(refused(ErrorCode::Conflict, format!("{user} is not muted")));
        }
        self.admit_change(by, at)?;
        if let Some(room) = self.rooms.get_mut(&name) {
            room.muted.lift(user);
        }
        self.tell_room(name, by, Act::Unmuted { user });
        self.commit(session, id, by, vec![Change::Unmute { room: name, user }], Then::Done);
        Ok(())
    }
}

/// The end of what begins now.
pub(super) fn until(seconds: Option<u32>, at: At) -> Result<Option<Timestamp>, Refused> {
    if seconds == Some(0) {
        return Err(refused(ErrorCode::Malformed, "a time of 0 seconds"));
    }
    Ok(seconds.map(|seconds| Timestamp(at.wall.0.saturating_add(u64::from(seconds) * 1000))))
}
