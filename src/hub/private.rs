//! Private rooms: nobody but their members knows of them. Who is one, their owners have signed, in a roster that the server
//! keeps and hands on without looking inside: it could neither write it nor read what is said there.

use super::requests::{no_room, refused, refused_with_hint};
use super::rooms::Room;
use super::sealed::KeyReading;
use super::{At, Hub, Output, PAGE_BYTES};
use crate::journal::{Change, StoreCommand};
use crate::model::{LONGEST_ROSTER, PRIVATE_MEMBERS, RoomName, STATEMENT_BYTES, SessionId, StoreToken, UserName};
use crate::proto::message::{ErrorCode, Refused, Reply, RequestId, Roster, RosterEntry, RosterPage};

impl Hub {
    pub(super) fn is_private(&self, name: RoomName) -> bool {
        self.rooms.get(&name).is_some_and(Room::is_private)
    }

    /// What is to be kept of the statement that goes with a change of who is in a room, whose roster has `length`.
    pub(super) fn check_entry(
        name: RoomName,
        length: u64,
        is_private: bool,
        entry: Option<RosterEntry>,
    ) -> Result<Option<Change>, Refused> {
        let Some(RosterEntry { number, statement }) = entry else {
            let text = || format!("what changes who is in {name} has to be signed by its owner");
            return if is_private { Err(refused(ErrorCode::Malformed, text())) } else { Ok(None) };
        };
        if !is_private {
            return Err(refused(ErrorCode::Malformed, format!("{name} is not private: it has no roster")));
        }
        if statement.len() > STATEMENT_BYTES {
            return Err(refused(ErrorCode::Malformed, "a statement of a roster is not that long"));
        }
        if number != length + 1 {
            let text = format!("the roster of {name} has changed meanwhile");
            return Err(refused_with_hint(ErrorCode::Conflict, text, "ask for it again"));
        }
        if number > LONGEST_ROSTER {
            let text = format!("who is in {name} has changed {LONGEST_ROSTER} times: it can't change any more");
            return Err(refused_with_hint(ErrorCode::Conflict, text, "make another room"));
        }
        Ok(Some(Change::Roster { room: name, number, statement: statement.into() }))
    }

    /// Admits a change of who is in a room, with the statement that says so if the room is private.
    pub(super) fn sign_on(
        &mut self,
        name: RoomName,
        entry: Option<RosterEntry>,
        at: At,
        by: UserName,
    ) -> Result<Option<Change>, Refused> {
        let room = self.rooms.get(&name).ok_or_else(|| no_room(name))?;
        let signed = Self::check_entry(name, room.roster, room.is_private(), entry)?;
        self.admit_change(by, at)?;
        if let Some(room) = self.rooms.get_mut(&name).filter(|_| signed.is_some()) {
            room.roster += 1;
        }
        Ok(signed)
    }

    pub(super) fn must_have_room(name: RoomName, room: &Room) -> Result<(), Refused> {
        if room.is_private() && room.members.len() >= PRIVATE_MEMBERS {
            let text = format!("{name} has {PRIVATE_MEMBERS} members, and a private room can't have more");
            return Err(refused(ErrorCode::Conflict, text));
        }
        Ok(())
    }

    /// Who is out of a private room comes back only if its owner lets him in: there is nothing more to forbid.
    pub(super) fn must_not_be_private(&self, name: RoomName) -> Result<(), Refused> {
        if self.is_private(name) {
            let text = format!("{name} is private: nobody comes back there by himself");
            return Err(refused_with_hint(ErrorCode::Conflict, text, "/kick puts somebody out"));
        }
        Ok(())
    }

    pub(super) fn roster(&mut self, session: SessionId, id: RequestId, asked: &Roster, at: At) -> Result<(), Refused> {
        self.may_read(session, at)?;
        let user = self.asking(session)?;
        let Roster { room, after } = *asked;
        // As long as it is when it is read, whatever is added before that is answered.
        let length = self.sealed_room(user, room)?.roster;
        if length == 0 {
            return Err(refused(ErrorCode::Conflict, format!("{room} is not private: it has no roster")));
        }
        let token = self.begin_key_reading(KeyReading { user, session, id, room, length })?;
        let after = after.min(LONGEST_ROSTER);
        self.outputs.push_back(Output::Store(StoreCommand::ReadRoster { token, room, after, bytes: PAGE_BYTES }));
        Ok(())
    }

    /// The store gives statements of a roster.
    pub(super) fn kept_roster(&mut self, token: StoreToken, statements: Vec<Vec<u8>>, at: At) {
        let Some(KeyReading { user, session, id, room: name, length }) = self.end_key_reading(token) else { return };
        let statements = statements.into_iter().map(Into::into).collect();
        match self.rooms.get(&name).filter(|room| room.has_member(user)) {
            Some(room) => {
                let members = room.members.iter().copied().collect();
                let page = RosterPage { statements, length, members };
                self.answer(session, id, Vec::new(), Reply::Roster(page), at);
            }
            None => self.refuse(session, id, no_room(name), at),
        }
    }
}
