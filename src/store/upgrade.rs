//! Databases of earlier formats, brought to the one that this version reads: in the transaction that opens them, so that a
//! database is of one format or of the other, and as it was if it is refused.

use rusqlite::Connection;

/// From format 1, in which messages had an index beside their table, and identifiers were ordered by their senders.
pub(super) fn from_1(connection: &Connection, schema: &str) -> rusqlite::Result<()> {
    // Those that refer to others first: they are the first to be dropped.
    let tables = ["message", "start", "posted", "room", "meta"];
    for table in tables {
        connection.execute_batch(&format!("ALTER TABLE {table} RENAME TO old_{table}"))?;
    }
    connection.execute_batch(schema)?;
    connection.execute_batch(
        "INSERT INTO meta SELECT key, value FROM old_meta;
         INSERT INTO room (id, name, last) SELECT id, name, last FROM old_room;
         INSERT INTO start SELECT room, incarnation, first FROM old_start;
         INSERT INTO posted SELECT place, sender, id, seq, time FROM old_posted ORDER BY place;
         INSERT INTO message SELECT room << 40 | seq, time, sender, id, body FROM old_message ORDER BY room, seq;",
    )?;
    tables.iter().try_for_each(|table| connection.execute_batch(&format!("DROP TABLE old_{table}")))
}

/// From format 2, in which rooms had nothing but names.
pub(super) fn from_2(connection: &Connection, schema: &str) -> rusqlite::Result<()> {
    connection.execute_batch(
        "ALTER TABLE room ADD COLUMN topic TEXT NOT NULL DEFAULT '';
         ALTER TABLE room ADD COLUMN owner TEXT;",
    )?;
    from_3(connection, schema)
}

/// From format 3, in which nothing was sealed, and from format 4, in which no room was private.
pub(super) fn from_3(connection: &Connection, schema: &str) -> rusqlite::Result<()> {
    // The other tables are as they were.
    connection.execute_batch(&schema.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS"))
}
