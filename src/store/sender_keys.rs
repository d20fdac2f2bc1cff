//! Sender keys on disk: what opens sealed messages, for as long as there are some that it opens.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::changes::find_room;
use super::open::name;
use super::writer::{DAY, place};
use crate::journal::{KeptKey, StoreEvent};
use crate::model::{Epoch, Fingerprint, RoomName, SenderKeyId, Seq, StoreToken, Timestamp, UserName};

/// Sender keys of one sender in one room that no message needs; older ones make room for new ones.
const UNUSED: u32 = 16;
/// How long they are kept, milliseconds.
const UNUSED_KEPT: u64 = 7 * DAY;

/// Keeps a sender key, or more members' parts of one that is kept and the sender's own.
pub(super) fn add(
    connection: &Connection,
    room: i64,
    id: SenderKeyId,
    (epoch, sender, head, time): (Epoch, UserName, &[u8], Timestamp),
    parts: &[(Fingerprint, Vec<u8>)],
) -> rusqlite::Result<()> {
    let statement = |sql| connection.prepare_cached(sql);
    let made = statement("INSERT INTO sender_key VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0) ON CONFLICT DO NOTHING")?
        .execute(params![room, id.0, epoch.0, sender.as_str(), head, time.0])?;
    let owner: String = statement("SELECT sender FROM sender_key WHERE room = ?1 AND id = ?2")?
        .query_row(params![room, id.0], |row| row.get(0))?;
    if owner != sender.as_str() {
        // Its name is a hash over what its sender said: nobody else comes to have it by chance.
        return Ok(());
    }
    let mut insert = statement("INSERT INTO sender_key_part VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")?;
    for (member, part) in parts {
        insert.execute(params![room, id.0, member.0, part])?;
    }
    if made > 0 {
        statement(
            "DELETE FROM sender_key WHERE room = ?1 AND id IN (
                 SELECT id FROM sender_key WHERE room = ?1 AND sender = ?2 AND used = 0
                 ORDER BY time DESC, id LIMIT -1 OFFSET ?3)",
        )?
        .execute(params![room, sender.as_str(), UNUSED])?;
    }
    Ok(())
}

/// A message is kept that a sender key opens.
pub(super) fn mark_used(connection: &Connection, room: i64, id: SenderKeyId, seq: Seq) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached("UPDATE sender_key SET used = ?3 WHERE room = ?1 AND id = ?2")?;
    update.execute(params![room, id.0, seq.0])?;
    Ok(())
}

/// The answer to a reading of sender keys.
pub(super) fn read(
    connection: &Connection,
    token: StoreToken,
    room: RoomName,
    ids: &[SenderKeyId],
    member: Fingerprint,
) -> rusqlite::Result<StoreEvent> {
    let mut keys = Vec::new();
    if let Some(room) = find_room(connection, room)? {
        let mut select = connection.prepare_cached(
            "SELECT epoch, sender, head, part FROM sender_key
             LEFT JOIN sender_key_part AS p ON p.room = sender_key.room AND p.id = sender_key.id AND p.member = ?3
             WHERE sender_key.room = ?1 AND sender_key.id = ?2",
        )?;
        for id in ids {
            let key = select.query_row(params![room, id.0, member.0], |row| {
                Ok(KeptKey {
                    id: *id,
                    epoch: Epoch(row.get(0)?),
                    sender: name(row, 1, UserName::from_wire)?,
                    head: row.get(2)?,
                    part: row.get(3)?,
                })
            });
            keys.extend(key.optional()?);
        }
    }
    Ok(StoreEvent::Keys { token, keys })
}

/// Removes those of a room that open nothing that is kept.
pub(super) fn prune(connection: &Connection, room: i64, last: Seq, now: Timestamp) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM sender_key WHERE room = ?1 AND CASE used
             WHEN 0 THEN time < ?4
             ELSE used < coalesce(
                 (SELECT place - ?2 FROM message WHERE place BETWEEN ?2 AND ?3 ORDER BY place LIMIT 1), ?5)
         END",
    )?;
    let (first, end) = (place(room, Seq(0))?, place(room, last)?);
    delete.execute(params![room, first, end, now.0.saturating_sub(UNUSED_KEPT), last.next().0])?;
    Ok(())
}
