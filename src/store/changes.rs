//! What rooms are, who is in them and who may do what, on disk.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::sender_keys;
use crate::journal::{Change, Sanction};
use crate::model::{RoomName, UserName};

/// Stands for the server where rooms have their identifiers.
pub(super) const SERVER: i64 = 0;

/// What somebody may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Come in.
    Ban = 0,
    /// Speak.
    Mute = 1,
}

/// Carries a change out.
pub(super) fn apply(connection: &Connection, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::Room { room, topic, owner } => {
            let id = room_id(connection, *room)?;
            let mut update = connection.prepare_cached("UPDATE room SET topic = ?2, owner = ?3 WHERE id = ?1")?;
            update.execute(params![id, topic, owner.as_ref().map(UserName::as_str)])?;
        }
        Change::Member { room, user } => {
            let id = room_id(connection, *room)?;
            let mut insert = connection.prepare_cached("INSERT INTO member VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
            insert.execute(params![id, user.as_str()])?;
        }
        Change::NoMember { room, user } => {
            let id = room_id(connection, *room)?;
            let mut delete = connection.prepare_cached("DELETE FROM member WHERE room = ?1 AND user = ?2")?;
            delete.execute(params![id, user.as_str()])?;
        }
        Change::Ban { room, sanction } => impose(connection, *room, Kind::Ban, *sanction)?,
        Change::Unban { room, user } => lift(connection, *room, Kind::Ban, *user)?,
        Change::Mute { room, sanction } => impose(connection, Some(*room), Kind::Mute, *sanction)?,
        Change::Unmute { room, user } => lift(connection, Some(*room), Kind::Mute, *user)?,
        Change::Progress { room, user, delivered, read } => {
            let id = room_id(connection, *room)?;
            let mut insert = connection.prepare_cached(
                "INSERT INTO progress VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET delivered = excluded.delivered, read = excluded.read",
            )?;
            insert.execute(params![id, user.as_str(), delivered.0, read.0])?;
        }
        Change::SenderKey { room, id, epoch, sender, head, parts, time } => {
            let room = room_id(connection, *room)?;
            sender_keys::add(connection, room, *id, (*epoch, *sender, head, *time), parts)?;
        }
        Change::Roster { room, number, statement } => {
            let id = room_id(connection, *room)?;
            let mut insert = connection.prepare_cached("INSERT INTO roster VALUES (?1, ?2, ?3)")?;
            insert.execute(params![id, number, statement])?;
        }
        Change::Status { user, status: Some(status) } => {
            let mut insert = connection.prepare_cached(
                "INSERT INTO status VALUES (?1, ?2) ON CONFLICT DO UPDATE SET status = excluded.status",
            )?;
            insert.execute(params![user.as_str(), status])?;
        }
        Change::Status { user, status: None } => {
            connection.prepare_cached("DELETE FROM status WHERE user = ?1")?.execute([user.as_str()])?;
        }
    }
    Ok(())
}

/// A room's identifier, if there is such a room.
pub(super) fn find_room(connection: &Connection, room: RoomName) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM room WHERE name = ?1")?
        .query_row([room.as_str()], |row| row.get(0))
        .optional()
}

/// A room's identifier; the room is made if there is none.
pub(super) fn room_id(connection: &Connection, room: RoomName) -> rusqlite::Result<i64> {
    let statement = |sql| connection.prepare_cached(sql);
    statement("INSERT INTO room (name, last) VALUES (?1, 0) ON CONFLICT DO NOTHING")?.execute([room.as_str()])?;
    statement("SELECT id FROM room WHERE name = ?1")?.query_row([room.as_str()], |row| row.get(0))
}

fn place_of(connection: &Connection, room: Option<RoomName>) -> rusqlite::Result<i64> {
    room.map_or(Ok(SERVER), |room| room_id(connection, room))
}

fn impose(connection: &Connection, room: Option<RoomName>, kind: Kind, sanction: Sanction) -> rusqlite::Result<()> {
    let id = place_of(connection, room)?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO sanction VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET until = excluded.until",
    )?;
    let until = sanction.until.map(|until| until.0);
    insert.execute(params![id, sanction.user.as_str(), kind as i64, until])?;
    Ok(())
}

fn lift(connection: &Connection, room: Option<RoomName>, kind: Kind, user: UserName) -> rusqlite::Result<()> {
    let id = place_of(connection, room)?;
    let mut delete = connection.prepare_cached("DELETE FROM sanction WHERE room = ?1 AND user = ?2 AND kind = ?3")?;
    delete.execute(params![id, user.as_str(), kind as i64])?;
    Ok(())
}
