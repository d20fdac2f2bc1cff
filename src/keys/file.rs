//! Reading and writing small files without surprises.
//!
//! Reading never blocks on a pipe, never follows a link that was not looked at, and never takes more than it was told
//! to. Writing is atomic: whoever looks sees the old file or the new one, whole, also after a power cut.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A directory, pipe, socket or device.
    #[error("it is not a regular file")]
    NotRegular,
    /// Longer than allowed.
    #[error("it is larger than {} KiB", limit / 1024)]
    TooLarge {
        /// The most bytes that are read.
        limit: u64,
    },
    /// What the system says.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What is in a file, and who may read it.
#[derive(Debug)]
pub struct Contents {
    /// The bytes, wiped when dropped.
    pub bytes: Zeroizing<Vec<u8>>,
    /// The permission bits.
    pub mode: u32,
}

/// Reads a regular file of at most `limit` bytes. Links are followed.
///
/// # Errors
/// If it is something else than a regular file, longer, or can't be read.
pub fn read(path: &Path, limit: u64) -> Result<Contents, ReadError> {
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::fs::OFlags;
    // Opening a device may do things. Looking first is for those; looking again at what was opened is for races.
    if !fs::metadata(path)?.is_file() {
        return Err(ReadError::NotRegular);
    }
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(ReadError::NotRegular);
    }
    let length = metadata.len();
    if length > limit {
        return Err(ReadError::TooLarge { limit });
    }
    // All the space at once: a vector that grows leaves copies of what it held.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(limit).unwrap_or_default() + 1));
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) {
        return Err(ReadError::TooLarge { limit });
    }
    Ok(Contents { bytes, mode: metadata.permissions().mode() & 0o7777 })
}

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its owner only: mode 0600.
    Owner,
    /// Everyone, as far as the umask allows: mode 0644.
    Everyone,
}

/// What to do with a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Leave it alone, and fail with [`io::ErrorKind::AlreadyExists`].
    Keep,
    /// Put the new one in its place. A link is replaced, not followed.
    Replace,
}

/// Writes a file atomically and durably: a temporary file in the same directory, synced, then renamed.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] as told by `existing`, or what the system says. Nothing has changed then.
pub fn write(path: &Path, contents: &[u8], access: Access, existing: Existing) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if existing == Existing::Keep && fs::symlink_metadata(path).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let temporary = Temporary::create(directory, name, contents, access)?;
    match existing {
        Existing::Replace => fs::rename(&temporary.0, path)?,
        // Unlike a rename, a link fails if somebody was faster.
        Existing::Keep => match fs::hard_link(&temporary.0, path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
            // The file system has no links. It has been looked at just now.
            Err(_) => fs::rename(&temporary.0, path)?,
        },
    }
    File::open(directory)?.sync_all()
}

/// Makes a directory that is its owner's alone, with those above it, or checks that it is.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] if it is somebody else's, or others may look into it; or what the system says.
pub fn private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};

    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let metadata = fs::metadata(path)?;
    let others = metadata.mode() & 0o077;
    if metadata.uid() == rustix::process::geteuid().as_raw() && others == 0 {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "the directory is not its owner's alone (chmod 700)"))
}

/// A temporary file, removed when dropped (in vain where it has been renamed).
struct Temporary(PathBuf);

impl Temporary {
    fn create(directory: &Path, name: &std::ffi::OsStr, contents: &[u8], access: Access) -> io::Result<Self> {
        // Hidden, and without the name's ending, so that nothing takes it for the file that it will be.
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{:016x}.tmp", rand::random::<u64>()));
        let path = directory.join(hidden);
        let mode = match access {
            Access::Owner => 0o600,
            Access::Everyone => 0o644,
        };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        let temporary = Self(path);
        file.write_all(contents)?;
        file.sync_all()?;
        Ok(temporary)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests;
