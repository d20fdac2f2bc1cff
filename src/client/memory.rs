//! What a client remembers from one session to the next: whose keys are trusted, what was
//! read, and what its user does without. In a database of its user's, one for each
//! server and key, in which every value is sealed: with a key that is itself encrypted to the user's RSA key, and signed
//! by it, so that nobody else can read it or put another one in its place.
//!
//! Several clients of one user may have it open at once: who writes reads first what another one has written.
//!
//! It does not notice if somebody who can write to the user's files takes an entry out, or puts an earlier one back.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use minicbor::{Decode, Encode};
use rand::CryptoRng;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::session::{Known, Pin, Preference};
use crate::crypto::aead::{Key, NONCE_BYTES, TAG_BYTES};
use crate::crypto::kdf;
use crate::crypto::rsa::{Label, OperationError, OwnKey};
use crate::crypto::secret::Secret;
use crate::e2e::Head;
use crate::model::{Fingerprint, RoomName, UserName};
use crate::proto::message::Position;

/// "RSAM", in the header of our databases.
const APPLICATION_ID: u32 = 0x5253_414d;
const FORMAT: u32 = 2;
const SCHEMA: &str = "
    CREATE TABLE seal (
        id        INTEGER PRIMARY KEY CHECK (id = 0),
        -- The key of everything else, encrypted to the user's; and a signature over that.
        wrapped   BLOB NOT NULL,
        signature BLOB NOT NULL
    ) STRICT;
    CREATE TABLE entry (
        -- SHA-256 over the key and what the entry is about
        id     BLOB PRIMARY KEY,
        -- nonce (12) | AES-256-GCM(CBOR) | tag (16), with the id as associated data
        sealed BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;";
/// How long to wait for another client that writes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why nothing can be remembered. The text says what is wrong.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The operating system refuses.
    #[error("can't open {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database refuses.
    #[error("{}: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The user's own key was needed, and did not do its part.
    #[error(transparent)]
    Key(#[from] OperationError),
    /// It is not what this user has written.
    #[error("{} is not what you have written: {what}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// What is kept.
#[derive(Encode, Decode)]
enum Entry {
    /// Of a user's key.
    #[n(0)]
    Pin {
        #[n(0)]
        user: UserName,
        #[n(1)]
        key: Fingerprint,
        #[n(2)]
        verified: bool,
        #[n(3)]
        earlier: Vec<Fingerprint>,
    },
    /// Of a room: what was read, up to here.
    #[n(1)]
    Read {
        #[n(0)]
        room: RoomName,
        #[n(1)]
        position: Position,
    },
    /// What this user says is not shown.
    #[n(2)]
    Ignored {
        #[n(0)]
        user: UserName,
    },
    /// What is said in this room is not announced.
    #[n(3)]
    Hushed {
        #[n(0)]
        room: RoomName,
    },
    /// A private room's roster was seen up to this statement.
    #[n(4)]
    Roster {
        #[n(0)]
        room: RoomName,
        #[n(1)]
        head: Head,
    },
}

impl Entry {
    fn pin(user: UserName, pin: &Pin) -> Self {
        Self::Pin { user, key: pin.key, verified: pin.verified, earlier: pin.earlier.clone() }
    }

    fn subject(&self) -> Subject {
        match self {
            Self::Pin { user, .. } => Subject::Pin(*user),
            Self::Read { room, .. } => Subject::Read(*room),
            Self::Ignored { user } => Subject::Ignored(*user),
            Self::Hushed { room } => Subject::Hushed(*room),
            Self::Roster { room, .. } => Subject::Roster(*room),
        }
    }
}

/// What an entry is about.
enum Subject {
    Pin(UserName),
    Read(RoomName),
    Ignored(UserName),
    Hushed(RoomName),
    Roster(RoomName),
}

/// The open database.
pub struct Memory {
    path: PathBuf,
    connection: Connection,
    key: Key,
    secret: Secret,
    // What SQLite counts when another client has written.
    version: i64,
}

impl Memory {
    /// Opens what is remembered, or begins to remember; and tells it.
    ///
    /// # Errors
    /// [`MemoryError`] if the file can't be used, or is not this user's.
    pub fn open(path: &Path, identity: &dyn OwnKey, rng: &mut dyn CryptoRng) -> Result<(Self, Known), MemoryError> {
        let io = |source| MemoryError::Io { path: path.to_owned(), source };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(io)?;
        }
        // Its owner's alone, from the first moment.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(io(error)),
            _ => {}
        }
        let database = |source| MemoryError::Database { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(database)?;
        let secret = unlock(&mut connection, path, identity, rng)?;
        let version = data_version(&connection).map_err(database)?;
        let memory = Self { path: path.to_owned(), connection, key: Key::new(&secret), secret, version };
        let known = memory.known()?;
        Ok((memory, known))
    }

    /// Tells what is remembered, if that can be done at once: without a change to the file, which has to be there, and
    /// without waiting for who writes.
    ///
    /// # Errors
    /// [`MemoryError`], as [`Memory::open`].
    pub fn look(path: &Path, identity: &dyn OwnKey, rng: &mut dyn CryptoRng) -> Result<Known, MemoryError> {
        let database = |source| MemoryError::Database { path: path.to_owned(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(database)?;
        connection.busy_timeout(Duration::ZERO).map_err(database)?;
        let secret = unseal_key(&connection, path, identity, rng)?;
        Self { path: path.to_owned(), connection, key: Key::new(&secret), secret, version: 0 }.known()
    }

    /// Remembers what the user has decided of another one's key.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn decide(&mut self, user: UserName, pin: &Pin, rng: &mut dyn CryptoRng) -> Result<(), MemoryError> {
        self.put(&Entry::pin(user, pin), rng)
    }

    /// Remembers the first key of a user that was seen. If another client was there before, gives what that one has
    /// remembered.
    ///
    /// # Errors
    /// If it can't be written or read.
    pub fn meet(&mut self, user: UserName, pin: &Pin, rng: &mut dyn CryptoRng) -> Result<Option<Pin>, MemoryError> {
        let (id, sealed) = self.seal(&Entry::pin(user, pin), rng);
        let inserted = self
            .connection
            .execute("INSERT INTO entry VALUES (?1, ?2) ON CONFLICT DO NOTHING", params![id, sealed])
            .map_err(|source| self.database(source))?;
        if inserted > 0 {
            return Ok(None);
        }
        Ok(self.known()?.pin(user).cloned())
    }

    /// Remembers up to where rooms were read, unless another client has read further.
    ///
    /// # Errors
    /// If it can't be written or read.
    pub fn has_read(
        &mut self,
        rooms: &BTreeMap<RoomName, Position>,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), MemoryError> {
        let database = |source| self.database(source);
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate).map_err(database)?;
        for (room, position) in rooms {
            let (id, sealed) = self.seal(&Entry::Read { room: *room, position: *position }, rng);
            let before: Option<Vec<u8>> = transaction
                .query_row("SELECT sealed FROM entry WHERE id = ?1", [id], |row| row.get(0))
                .optional()
                .map_err(database)?;
            match before.map(|before| self.unseal(&id, &before)).transpose()? {
                Some(Entry::Read { position: before, .. }) if before >= *position => {}
                _ => self.insert(&id, &sealed)?,
            }
        }
        transaction.commit().map_err(database)
    }

    /// Forgets up to where a room was read.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn forget_read(&mut self, room: RoomName) -> Result<(), MemoryError> {
        self.remove(&Subject::Read(room)).map(drop)
    }

    /// Everything that is remembered, if another client has written since this was last asked.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn news(&mut self) -> Result<Option<Known>, MemoryError> {
        let version = data_version(&self.connection).map_err(|source| self.database(source))?;
        if std::mem::replace(&mut self.version, version) == version {
            return Ok(None);
        }
        self.known().map(Some)
    }

    /// Everything that is remembered.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn known(&self) -> Result<Known, MemoryError> {
        let database = |source| self.database(source);
        let mut select = self.connection.prepare("SELECT id, sealed FROM entry").map_err(database)?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(database)?;
        let mut known = Known::default();
        for row in rows {
            let (id, sealed): (Vec<u8>, Vec<u8>) = row.map_err(database)?;
            match self.unseal(&id, &sealed)? {
                Entry::Pin { user, key, verified, earlier } => known.recall(user, Pin { key, verified, earlier }),
                Entry::Read { room, position } => known.has_read(room, position),
                Entry::Ignored { user } => known.prefer(Preference::Ignore(user, true)),
                Entry::Hushed { room } => known.prefer(Preference::Hush(room, true)),
                Entry::Roster { room, head } => known.has_roster(room, head),
            }
        }
        Ok(known)
    }

    /// Forgets a user's key. Whether there was one.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn forget(&mut self, user: UserName) -> Result<bool, MemoryError> {
        self.remove(&Subject::Pin(user))
    }

    /// Remembers what the user does without, or forgets it.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn prefer(&mut self, preference: Preference, rng: &mut dyn CryptoRng) -> Result<(), MemoryError> {
        match preference {
            Preference::Ignore(user, true) => self.put(&Entry::Ignored { user }, rng),
            Preference::Hush(room, true) => self.put(&Entry::Hushed { room }, rng),
            Preference::Ignore(user, false) => self.remove(&Subject::Ignored(user)).map(drop),
            Preference::Hush(room, false) => self.remove(&Subject::Hushed(room)).map(drop),
        }
    }

    /// Remembers up to where a private room's roster was seen, or forgets it.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn has_roster(
        &mut self,
        room: RoomName,
        head: Option<Head>,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), MemoryError> {
        match head {
            Some(head) => self.put(&Entry::Roster { room, head }, rng),
            None => self.remove(&Subject::Roster(room)).map(drop),
        }
    }

    fn remove(&self, subject: &Subject) -> Result<bool, MemoryError> {
        let deleted = self.connection.execute("DELETE FROM entry WHERE id = ?1", [self.id(subject)]);
        Ok(deleted.map_err(|source| self.database(source))? > 0)
    }

    fn put(&mut self, entry: &Entry, rng: &mut dyn CryptoRng) -> Result<(), MemoryError> {
        let (id, sealed) = self.seal(entry, rng);
        self.insert(&id, &sealed)
    }

    fn insert(&self, id: &[u8], sealed: &[u8]) -> Result<(), MemoryError> {
        let upsert = "INSERT INTO entry VALUES (?1, ?2) ON CONFLICT DO UPDATE SET sealed = excluded.sealed";
        self.connection.execute(upsert, params![id, sealed]).map_err(|source| self.database(source))?;
        Ok(())
    }

    fn id(&self, subject: &Subject) -> [u8; 32] {
        let text = match subject {
            Subject::Pin(user) => format!("pin {user}"),
            Subject::Read(room) => format!("read {}", room.as_str()),
            Subject::Ignored(user) => format!("ignored {user}"),
            Subject::Hushed(room) => format!("hushed {}", room.as_str()),
            Subject::Roster(room) => format!("roster {}", room.as_str()),
        };
        kdf::digest(&[self.secret.expose(), text.as_bytes()].concat())
    }

    fn seal(&self, entry: &Entry, rng: &mut dyn CryptoRng) -> ([u8; 32], Vec<u8>) {
        let id = self.id(&entry.subject());
        let mut nonce = [0; NONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        let mut text = Vec::new();
        // Writing into a Vec can't fail.
        let _ = minicbor::encode(entry, &mut text);
        let tag = self.key.seal(&nonce, &id, &mut text);
        (id, [&nonce[..], &text, &tag].concat())
    }

    fn unseal(&self, id: &[u8], sealed: &[u8]) -> Result<Entry, MemoryError> {
        let foreign = || self.foreign("an entry was changed");
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or_else(foreign)?;
        let (text, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or_else(foreign)?;
        let mut text = text.to_vec();
        self.key.open(nonce, id, &mut text, tag).map_err(|_| foreign())?;
        minicbor::decode(&text).map_err(|_| foreign())
    }

    fn database(&self, source: rusqlite::Error) -> MemoryError {
        MemoryError::Database { path: self.path.clone(), source }
    }

    fn foreign(&self, what: &'static str) -> MemoryError {
        MemoryError::Foreign { path: self.path.clone(), what }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("path", &self.path).finish_non_exhaustive()
    }
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "data_version", |row| row.get(0))
}

/// How what is signed of the encrypted key begins.
const STATEMENT: &[u8] = b"rsachat client memory 1\0";

/// What is signed of the encrypted key.
fn statement(wrapped: &[u8]) -> Vec<u8> {
    [STATEMENT, wrapped].concat()
}

/// Whether these bytes are what a user's key signs of a memory's key.
#[must_use]
pub fn is_statement(to_be_signed: &[u8]) -> bool {
    to_be_signed.starts_with(STATEMENT)
}

/// The key of everything else. The first client makes it.
fn unlock(
    connection: &mut Connection,
    path: &Path,
    identity: &dyn OwnKey,
    rng: &mut dyn CryptoRng,
) -> Result<Secret, MemoryError> {
    let database = |source| MemoryError::Database { path: path.to_owned(), source };
    let foreign = |what| MemoryError::Foreign { path: path.to_owned(), what };
    connection.busy_timeout(PATIENCE).map_err(database)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(database)?;
    let pragma = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, u32>(0)).map_err(database);
    match (pragma("application_id")?, pragma("user_version")?) {
        (APPLICATION_ID, FORMAT) => {}
        (APPLICATION_ID, _) => return Err(foreign("it is of another version of rsachat")),
        (0, 0) => {
            let secret = Secret::random(rng);
            let wrapped = identity.public().encrypt(Label::ClientMemory, &secret, rng);
            let signature = identity.sign(&statement(&wrapped), rng)?;
            transaction.execute_batch(SCHEMA).map_err(database)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(database)?;
            transaction.pragma_update(None, "user_version", FORMAT).map_err(database)?;
            transaction
                .execute("INSERT INTO seal VALUES (0, ?1, ?2)", params![wrapped, signature])
                .map_err(database)?;
            transaction.commit().map_err(database)?;
            return Ok(secret);
        }
        _ => return Err(foreign("it is another program's")),
    }
    unseal_key(&transaction, path, identity, rng)
}

/// The key of everything else, which some client has made.
fn unseal_key(
    connection: &Connection,
    path: &Path,
    identity: &dyn OwnKey,
    rng: &mut dyn CryptoRng,
) -> Result<Secret, MemoryError> {
    let (wrapped, signature): (Vec<u8>, Vec<u8>) = connection
        .query_row("SELECT wrapped, signature FROM seal", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(|source| MemoryError::Database { path: path.to_owned(), source })?;
    identity
        .public()
        .verify(&statement(&wrapped), &signature)
        .map_err(|_| MemoryError::Foreign { path: path.to_owned(), what: "its key is not signed by yours" })?;
    Ok(identity.decrypt(Label::ClientMemory, &wrapped, rng)?)
}

#[cfg(test)]
mod tests;
