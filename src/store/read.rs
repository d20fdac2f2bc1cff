//! Reading messages back, a page at a time.

use rusqlite::{Connection, Row, params};

use super::changes::find_room;
use super::open::name;
use super::writer::{LAST, place};
use crate::journal::{Span, StoreEvent};
use crate::model::{MessageId, RoomName, Seq, StoreToken, StoredRecord, Timestamp, UserName};

/// The answer to a reading.
pub(super) fn page(connection: &Connection, token: StoreToken, span: Span) -> rusqlite::Result<StoreEvent> {
    let (records, more) = match find_room(connection, span.room)? {
        Some(id) => records(connection, id, span)?,
        None => (Vec::new(), false),
    };
    Ok(StoreEvent::Page { token, records, more })
}

/// The messages of a span of the room with this identifier, oldest first, and whether there are others in it.
pub(super) fn records(connection: &Connection, id: i64, span: Span) -> rusqlite::Result<(Vec<StoredRecord>, bool)> {
    let Some(last) = span.before.0.checked_sub(1).map(Seq) else { return Ok((Vec::new(), false)) };
    let (first, last) = (span.after.next().min(LAST), last.min(LAST));
    let order = if span.latest { "DESC" } else { "ASC" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT place - ?1, time, sender, id, body FROM message WHERE place BETWEEN ?2 AND ?3 ORDER BY place {order}"
    ))?;
    let mut rows = statement.query(params![place(id, Seq(0))?, place(id, first)?, place(id, last)?])?;
    let (mut records, mut bytes, mut more) = (Vec::new(), 0, false);
    while let Some(row) = rows.next()? {
        let record = record(row, span.room)?;
        bytes += record.body.len();
        if records.len() >= span.limit as usize || (!records.is_empty() && bytes > span.bytes) {
            more = true;
            break;
        }
        records.push(record);
    }
    if span.latest {
        records.reverse();
    }
    Ok((records, more))
}

/// The answer to a reading of a roster.
pub(super) fn roster(
    connection: &Connection,
    token: StoreToken,
    room: RoomName,
    after: u64,
    bytes: usize,
) -> rusqlite::Result<StoreEvent> {
    let (mut statements, mut read) = (Vec::new(), 0);
    if let Some(id) = find_room(connection, room)? {
        let mut select = connection
            .prepare_cached("SELECT statement FROM roster WHERE room = ?1 AND number > ?2 ORDER BY number")?;
        let mut rows = select.query(params![id, after])?;
        while let Some(row) = rows.next()? {
            let statement: Vec<u8> = row.get(0)?;
            read += statement.len();
            if read > bytes && !statements.is_empty() {
                break;
            }
            statements.push(statement);
        }
    }
    Ok(StoreEvent::Roster { token, statements })
}

fn record(row: &Row<'_>, room: RoomName) -> rusqlite::Result<StoredRecord> {
    Ok(StoredRecord {
        room,
        seq: Seq(row.get(0)?),
        time: Timestamp(row.get(1)?),
        sender: name(row, 2, UserName::from_wire)?,
        message: MessageId(row.get(3)?),
        body: row.get(4)?,
    })
}
