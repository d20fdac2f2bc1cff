//! A named place in the rooms that a program follows, on disk: what was handed out and taken is not handed out again, and
//! nothing is left out, whenever the program is killed.
//!
//! The file is written before something is handed out and after it was taken. What was handed out and perhaps not taken is
//! handed out again, and marked as such. One program at a time has a cursor; the lock goes on to the commands that it
//! starts, so that the next one waits for a command that has outlived the one before.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::keys::file::{self, Access, Existing, ReadError};
use crate::model::{Fingerprint, MessageId, NameError, RoomName, Timestamp, UserName};
use crate::proto::message::{Position, Stored};
use crate::time::{parse_rfc_3339, rfc_3339};

const VERSION: u32 = 1;
/// The longest file: a place takes some 100 bytes.
const FILE_BYTES: u64 = 4 << 20;
/// Messages that are known again by their names: a server that ends before it has stored what it has told gets it again
/// from whoever said it. That is what was said within some milliseconds.
const RECENT: usize = 64;
/// Messages that were handed out and not taken, at most: more than are handed out at once.
const HANDED: usize = 4096;

/// A message, whatever its number: an identifier is its sender's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Named(MessageId, UserName);

impl Named {
    fn of(message: &Stored) -> Self {
        Self(message.message, message.sender)
    }

    fn read(text: &str) -> Option<Self> {
        let (sender, id) = text.split_once(' ')?;
        Some(Self(id.parse().ok()?, UserName::from_wire(sender)?))
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.1, self.0)
    }
}

/// The name of a cursor: as a user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorName(UserName);

impl FromStr for CursorName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for CursorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What can be seen of a cursor that one does not have.
#[derive(Debug)]
pub struct Seen {
    /// Its name.
    pub name: CursorName,
    /// Whose it is, if it can be read.
    pub user: Option<UserName>,
    /// The rooms in which it has a place.
    pub rooms: Vec<RoomName>,
}

/// The cursors in a directory. Nobody is waited for, and nothing is changed.
pub fn list(directory: &Path) -> impl Iterator<Item = Seen> + use<> {
    let files = fs::read_dir(directory).into_iter().flatten().map_while(Result::ok);
    files.filter_map(|file| {
        let name = file.file_name().to_str()?.strip_suffix(".json")?.parse().ok()?;
        let bytes = file::read(&file.path(), FILE_BYTES).map(|contents| contents.bytes).unwrap_or_default();
        let contents: Option<Contents> = serde_json::from_slice(&bytes).ok();
        let user = contents.as_ref().and_then(|contents| contents.user.parse().ok());
        let rooms = contents.into_iter().flat_map(|contents| contents.rooms.into_keys());
        Some(Seen { name, user, rooms: rooms.filter_map(|room| RoomName::from_wire(&room)).collect() })
    })
}

/// Why a cursor can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    /// What the system says.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is another user's, or of another server.
    #[error("{} is of {what}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Of what.
        what: String,
    },
    /// It is none.
    #[error("{}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    user: String,
    key: String,
    server: String,
    /// What was said before this, in rooms that are not here, is of no interest; by the server's clock.
    made: Option<String>,
    /// Up to where what was said was taken.
    rooms: BTreeMap<String, String>,
    /// What was taken last.
    recent: VecDeque<String>,
    /// What was handed out, and perhaps not taken.
    handed: Vec<String>,
}

/// A named place, which nobody else has.
#[derive(Debug)]
pub struct Cursor {
    path: PathBuf,
    whose: [String; 3],
    made: Option<Timestamp>,
    rooms: BTreeMap<RoomName, Position>,
    recent: VecDeque<Named>,
    handed: BTreeSet<Named>,
    // Of those, what an earlier run has handed out.
    unsure: BTreeSet<Named>,
    // Held for as long as it is open, here or by a command.
    _lock: File,
}

/// Takes the lock of a cursor. `wait` is told if somebody has it.
fn lock(path: &Path, wait: impl FnOnce()) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            wait();
            file.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // A command keeps it, should it outlive the program.
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty())?;
    Ok(file)
}

impl Cursor {
    /// Opens a cursor in `directory`, or begins one. If another program has it, tells `wait`, and waits for it.
    ///
    /// # Errors
    /// [`CursorError`] if it can't be read, or is not of this user at this server.
    pub fn open(
        directory: &Path,
        CursorName(name): CursorName,
        (user, key): (UserName, Fingerprint),
        server: Fingerprint,
        wait: impl FnOnce(),
    ) -> Result<Self, CursorError> {
        let path = directory.join(format!("{name}.json"));
        let io = |source| CursorError::Io { path: path.clone(), source };
        fs::create_dir_all(directory).map_err(io)?;
        let lock = lock(&directory.join(format!("{name}.lock")), wait).map_err(io)?;
        let whose = [user.to_string(), key.to_string(), server.to_string()];
        let mut cursor = Self {
            path: path.clone(),
            whose,
            made: None,
            rooms: BTreeMap::new(),
            recent: VecDeque::new(),
            handed: BTreeSet::new(),
            unsure: BTreeSet::new(),
            _lock: lock,
        };
        match file::read(&path, FILE_BYTES) {
            Ok(contents) => cursor.load(&contents.bytes)?,
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(CursorError::Damaged { path, what: error.to_string() }),
        }
        Ok(cursor)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), CursorError> {
        let path = || self.path.clone();
        let damaged = |what: String| CursorError::Damaged { path: path(), what };
        let contents: Contents = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if contents.version != VERSION {
            return Err(damaged(format!("version {} of rsachat's cursors is not known here", contents.version)));
        }
        let found = [contents.user, contents.key, contents.server];
        let what = ["another user", "another key of yours", "another server"];
        for ((found, wanted), what) in found.iter().zip(&self.whose).zip(what) {
            if found != wanted {
                return Err(CursorError::Foreign { path: path(), what: format!("{what}: {found}") });
            }
        }
        for (name, place) in contents.rooms {
            let room = RoomName::from_wire(&name).ok_or_else(|| damaged(format!("{name} is no room")))?;
            let place = place.parse().map_err(|error| damaged(format!("{name}: {error}")))?;
            self.rooms.insert(room, place);
        }
        let named = |text: &String| Named::read(text).ok_or_else(|| damaged(format!("{text} names no message")));
        self.recent = contents.recent.iter().map(named).collect::<Result<_, _>>()?;
        self.unsure = contents.handed.iter().map(named).collect::<Result<_, _>>()?;
        self.handed.clone_from(&self.unsure);
        self.made = contents.made.as_deref().and_then(parse_rfc_3339);
        Ok(())
    }

    /// From when on it takes what is said in rooms of which it knows nothing, by the server's clock; nothing of a new one.
    #[must_use]
    pub fn made(&self) -> Option<Timestamp> {
        self.made
    }

    /// It takes what is said from then on, if it is new.
    pub fn begin(&mut self, since: Timestamp) {
        self.made.get_or_insert(since);
    }

    /// Up to where what was said was taken.
    #[must_use]
    pub fn places(&self) -> &BTreeMap<RoomName, Position> {
        &self.rooms
    }

    /// Whether an earlier run has handed it out, and nobody knows whether it was taken.
    #[must_use]
    pub fn was_handed(&self, message: &Stored) -> bool {
        self.unsure.contains(&Named::of(message))
    }

    /// Whether it was taken before, perhaps under another number.
    #[must_use]
    pub fn was_taken(&self, message: &Stored) -> bool {
        self.recent.contains(&Named::of(message))
    }

    /// It is about to be handed out; [`Cursor::save`] comes before.
    pub fn hand(&mut self, message: &Stored) {
        // Of what was never taken, as it was withdrawn for good, the oldest is forgotten.
        if self.handed.len() >= HANDED {
            self.handed.pop_first();
        }
        self.handed.insert(Named::of(message));
    }

    /// It was taken.
    pub fn take(&mut self, message: &Stored, position: Position) {
        self.set(message.room, position);
        self.handed.remove(&Named::of(message));
        self.unsure.remove(&Named::of(message));
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Named::of(message));
    }

    /// A room's place is this.
    pub fn set(&mut self, room: RoomName, position: Position) {
        self.rooms.insert(room, position);
    }

    /// The server has lost what came after this place.
    pub fn withdraw(&mut self, room: RoomName, position: Position) {
        if let Some(place) = self.rooms.get_mut(&room)
            && place.seq > position.seq
        {
            *place = position;
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// If the disk does not take it; the file is as it was before.
    pub fn save(&self) -> Result<(), CursorError> {
        let [user, key, server] = self.whose.clone();
        let contents = Contents {
            version: VERSION,
            user,
            key,
            server,
            made: self.made.map(rfc_3339),
            rooms: self.rooms.iter().map(|(room, place)| (room.as_str().to_owned(), place.to_string())).collect(),
            recent: self.recent.iter().map(ToString::to_string).collect(),
            handed: self.handed.iter().map(ToString::to_string).collect(),
        };
        let io = |source: io::Error| CursorError::Io { path: self.path.clone(), source };
        let bytes = serde_json::to_vec(&contents).map_err(|error| io(error.into()))?;
        file::write(&self.path, &bytes, Access::Owner, Existing::Replace).map_err(io)
    }
}

#[cfg(test)]
mod tests;
