//! Opening a database: made if it isn't there, refused if it isn't ours or isn't sound, and in that case left alone.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, TransactionBehavior, params};

use super::changes::{Kind, SERVER};
use super::writer::{LAST, Store, place};
use super::{Settings, read, upgrade};
use crate::journal::{Restored, RestoredRoom, Sanction, Span};
use crate::model::{Incarnation, RoomName, Seq, Timestamp, UserName};

/// "RSAC", in the header of our databases.
const APPLICATION_ID: u32 = 0x5253_4143;
/// The format that this version writes; earlier ones it brings to this one.
const FORMAT: u32 = 5;
const SCHEMA: &str = include_str!("schema.sql");

/// Why a database was not opened. The text says what is wrong, [`OpenError::hint`] what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not a database, or another program's.
    #[error("{} is not a database of rsachat", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Written by a newer version of this program.
    #[error("{} was written by a newer rsachat (format {found}; this one knows {FORMAT})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It doesn't hold together.
    #[error("{} is damaged: {detail}", path.display())]
    Corrupted {
        /// The file.
        path: PathBuf,
        /// What SQLite found first.
        detail: String,
    },
    /// Another process has it open.
    #[error("{} is in use by another server", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refuses.
    #[error("can't open {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It can be read, but not written.
    #[error("can't write to {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

impl OpenError {
    /// The next thing to do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Foreign { path } => {
                format!(
                    "nothing was changed; move {} away, or choose another directory with --data-dir",
                    path.display()
                )
            }
            Self::Newer { .. } => {
                "nothing was changed; run the newer version, or restore a backup from before it".to_owned()
            }
            Self::Corrupted { path, .. } => {
                let path = path.display();
                format!(
                    "nothing was changed; copy {path} and {path}-wal to a safe place, then restore a backup, or save what \
                     is left with `sqlite3 {path} .recover`, or move both away to begin without history"
                )
            }
            Self::InUse { .. } => "stop that server first, or choose another directory with --data-dir".to_owned(),
            Self::Io { .. } | Self::Unwritable { .. } => {
                "the server's user must be able to write to the file and its directory, and the disk must have room"
                    .to_owned()
            }
        }
    }

    fn of(path: &Path, error: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupted { path, detail: error.to_string() }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse { path },
            // Tables or values that are not ours.
            Some(ErrorCode::Unknown) | None => Self::Corrupted { path, detail: error.to_string() },
            Some(_) => Self::Unwritable { path, source: error },
        }
    }
}

impl Store {
    /// Opens a database, or makes it, readable for its owner only; begins a new incarnation; and loads what the hub
    /// needs. `wall` is the time now. A process must not open a file that it has open: that would end its lock on it for
    /// other processes (a peculiarity of POSIX locks).
    ///
    /// # Errors
    /// [`OpenError`] if the file isn't ours, isn't sound, isn't writable, or is in use. It is then as it was before.
    pub fn open(settings: &Settings, wall: Timestamp) -> Result<(Self, Restored), OpenError> {
        let path = &settings.path;
        let is_new = prepare(path)?;
        let wal = wal_path(path);
        let had_wal = wal.exists();
        let opened = connect(path, is_new)
            .and_then(|connection| begin(connection, settings, wall).map_err(|error| OpenError::of(path, error)));
        if opened.is_err() && !had_wal && std::fs::metadata(&wal).is_ok_and(|file| file.len() == 0) {
            // SQLite makes it to look whether there is something in it.
            let _ = std::fs::remove_file(&wal);
        }
        opened
    }
}

fn wal_path(path: &Path) -> PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}

/// Makes the file if there is none, else looks whether it is ours, without SQLite: that may write when it opens a file.
/// Returns whether the file is empty.
fn prepare(path: &Path) -> Result<bool, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => return Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io(error)),
    }
    // Opening a pipe would wait for somebody at its other end.
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(io(std::io::Error::other("it is not a regular file")));
    }
    let mut header = Vec::with_capacity(100);
    File::open(path).and_then(|file| file.take(100).read_to_end(&mut header)).map_err(io)?;
    if header.is_empty() {
        return Ok(true);
    }
    // https://www.sqlite.org/fileformat.html, section 1.3
    let number = |at| header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
    let is_ours = header.starts_with(b"SQLite format 3\0") && number(68) == APPLICATION_ID;
    check_format(path, is_ours, number(60))?;
    Ok(false)
}

fn check_format(path: &Path, is_ours: bool, format: u32) -> Result<(), OpenError> {
    match format {
        _ if !is_ours => Err(OpenError::Foreign { path: path.to_owned() }),
        1..=FORMAT => Ok(()),
        found => Err(OpenError::Newer { path: path.to_owned(), found }),
    }
}

/// Opens the file for us alone, and checks it without changing it.
fn connect(path: &Path, is_new: bool) -> Result<Connection, OpenError> {
    let sqlite = |error| OpenError::of(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    connection.busy_timeout(Duration::ZERO).map_err(sqlite)?;
    // Until it is accepted, closing it must not move the write-ahead log into it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(sqlite)?;
    let _: String = connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |row| row.get(0)).map_err(sqlite)?;
    if !is_new {
        // What the header said may be outdated by the write-ahead log.
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0)).map_err(sqlite);
        check_format(path, pragma("application_id")? == APPLICATION_ID, pragma("user_version")?)?;
        let detail: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(sqlite)?;
        if detail != "ok" {
            return Err(OpenError::Corrupted { path: path.to_owned(), detail });
        }
    }
    Ok(connection)
}

/// Makes the tables if need be, begins a new incarnation, and loads.
fn begin(mut connection: Connection, settings: &Settings, wall: Timestamp) -> rusqlite::Result<(Store, Restored)> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    match transaction.pragma_query_value(None, "user_version", |row| row.get(0))? {
        FORMAT => {}
        0 => transaction.execute_batch(SCHEMA)?,
        1 => upgrade::from_1(&transaction, SCHEMA)?,
        2 => upgrade::from_2(&transaction, SCHEMA)?,
        _ => upgrade::from_3(&transaction, SCHEMA)?,
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    // What may be refused is read before anything is written.
    load_rooms(&transaction, settings)?;
    // Not just counted: a database restored from a backup must not give a number that was given before.
    let incarnation = Incarnation(transaction.query_row(
        "INSERT INTO meta VALUES ('incarnation', ?1)
         ON CONFLICT DO UPDATE SET value = max(value + 1, excluded.value) RETURNING value",
        params![(wall.0 / 1000).max(1)],
        |row| row.get(0),
    )?);
    transaction.commit()?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    // The database was made with a rollback journal, so that its header is in the file itself from the first moment.
    let _: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let store = Store::new(connection, settings, incarnation);
    store.prune_all(wall)?;
    let rooms = load_rooms(&store.connection, settings)?;
    let banned = load_sanctions(&store.connection, SERVER, Kind::Ban)?;
    let statuses = load_statuses(&store.connection)?;
    Ok((store, Restored { incarnation, rooms, banned, statuses }))
}

fn load_rooms(connection: &Connection, settings: &Settings) -> rusqlite::Result<Vec<RestoredRoom>> {
    let mut statement = connection.prepare("SELECT id, name, last, topic, owner FROM room ORDER BY id")?;
    let rooms = statement.query_map([], |row| {
        let id = row.get(0)?;
        let room = name(row, 1, RoomName::from_wire)?;
        let last = Seq(row.get(2)?);
        place(id, last)?;
        let span = Span {
            room,
            after: Seq(0),
            before: LAST.next(),
            latest: true,
            limit: if room.is_direct() { 0 } else { settings.window },
            bytes: settings.window_bytes,
        };
        let (window, _) = read::records(connection, id, span)?;
        if window.last().is_some_and(|record| record.seq != last) {
            return Err(not_ours(2, format!("{last} is not the number of the last message in {room}")));
        }
        Ok(RestoredRoom {
            room,
            last,
            window,
            starts: load_starts(connection, id)?,
            topic: row.get(3)?,
            owner: name_or_none(row, 4)?,
            members: load_members(connection, id)?,
            banned: load_sanctions(connection, id, Kind::Ban)?,
            muted: load_sanctions(connection, id, Kind::Mute)?,
            progress: load_progress(connection, id)?,
            roster: load_roster_length(connection, id)?,
        })
    })?;
    rooms.collect()
}

fn load_starts(connection: &Connection, id: i64) -> rusqlite::Result<Vec<(Incarnation, Seq)>> {
    let mut statement =
        connection.prepare_cached("SELECT incarnation, first FROM start WHERE room = ?1 ORDER BY incarnation")?;
    statement.query_map([id], |row| Ok((Incarnation(row.get(0)?), Seq(row.get(1)?))))?.collect()
}

fn load_members(connection: &Connection, id: i64) -> rusqlite::Result<Vec<UserName>> {
    let mut statement = connection.prepare_cached("SELECT user FROM member WHERE room = ?1 ORDER BY user")?;
    statement.query_map([id], |row| name(row, 0, UserName::from_wire))?.collect()
}

fn load_sanctions(connection: &Connection, id: i64, kind: Kind) -> rusqlite::Result<Vec<Sanction>> {
    let mut statement =
        connection.prepare_cached("SELECT user, until FROM sanction WHERE room = ?1 AND kind = ?2 ORDER BY user")?;
    let sanctions = statement.query_map([id, kind as i64], |row| {
        let until: Option<u64> = row.get(1)?;
        Ok(Sanction { user: name(row, 0, UserName::from_wire)?, until: until.map(Timestamp) })
    })?;
    sanctions.collect()
}

fn load_progress(connection: &Connection, id: i64) -> rusqlite::Result<Vec<(UserName, Seq, Seq)>> {
    let mut statement =
        connection.prepare_cached("SELECT user, delivered, read FROM progress WHERE room = ?1 ORDER BY user")?;
    let progress = statement
        .query_map([id], |row| Ok((name(row, 0, UserName::from_wire)?, Seq(row.get(1)?), Seq(row.get(2)?))))?;
    progress.collect()
}

fn load_roster_length(connection: &Connection, id: i64) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached("SELECT coalesce(max(number), 0) FROM roster WHERE room = ?1")?;
    statement.query_row([id], |row| row.get(0))
}

fn load_statuses(connection: &Connection) -> rusqlite::Result<Vec<(UserName, Vec<u8>)>> {
    let mut statement = connection.prepare("SELECT user, status FROM status ORDER BY user")?;
    statement.query_map([], |row| Ok((name(row, 0, UserName::from_wire)?, row.get(1)?)))?.collect()
}

pub(super) fn name<T>(row: &Row<'_>, column: usize, read: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    read(&text).ok_or_else(|| not_ours(column, format!("{text:?} is not a name")))
}

fn name_or_none(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<UserName>> {
    let named: Option<String> = row.get(column)?;
    named.map(|_| name(row, column, UserName::from_wire)).transpose()
}

fn not_ours(column: usize, text: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Null, text.into())
}
