//! The file of a log: lines are added whole or not at all, and when it is long enough it makes room for another one.

use std::ffi::OsString;
use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// When a file makes room, and how many older ones are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rotation {
    /// When it would be longer than this; never if nothing.
    pub(super) bytes: Option<u64>,
    pub(super) kept: u32,
}

/// Why there can be no log.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refuses.
    #[error("can't open the message log {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no thread for it.
    #[error("the system gives the message log no thread: {source}")]
    Thread {
        /// Why.
        source: io::Error,
    },
}

/// A file that lines are added to.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    /// Nothing if it could not be opened the last time.
    open: Option<Open>,
    /// It can't make room for another one, and that was told.
    stuck: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// A device has none, and never makes room for another one.
    length: Option<u64>,
}

impl LogFile {
    /// Opens the file, or makes it, readable for its owner alone.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(super) fn open(path: &Path, rotation: Rotation) -> Result<Self, OpenError> {
        let open = open(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), rotation, open: Some(open), stuck: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Goes on in what its name stands for now.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.open = None;
        self.open = Some(open(&self.path)?);
        Ok(())
    }

    /// Adds lines. After an error none of them is in the file, as far as that can be brought about.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let most = self.rotation.bytes.unwrap_or(u64::MAX);
        let length = self.open.as_ref().and_then(|open| open.length).unwrap_or(0);
        if length > 0 && length + lines.len() as u64 > most {
            // If that can't be, it gets longer: better than to lose what happens.
            let rotated = self.rotate();
            if let Err(error) = &rotated
                && !self.stuck
            {
                tracing::warn!(%error, file = %self.path.display(), "the message log can't be rotated");
            }
            self.stuck = rotated.is_err();
        }
        if self.open.is_none() {
            self.reopen()?;
        }
        let Some(Open { file, length }) = &mut self.open else { return Ok(()) };
        let written = file.write_all(lines);
        match (&written, &mut *length) {
            (Ok(()), Some(length)) => *length += lines.len() as u64,
            (Err(_), Some(length)) => {
                // Half a line would spoil the next one.
                let _ = file.set_len(*length);
            }
            (_, None) => {}
        }
        if written.is_err() {
            self.open = None;
        }
        written
    }

    /// Has it all on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        match &self.open {
            Some(Open { file, length: Some(_) }) => file.sync_all(),
            _ => Ok(()),
        }
    }

    /// What is there becomes FILE.1, that FILE.2, and so on; the last one goes.
    fn rotate(&mut self) -> io::Result<()> {
        self.open = None;
        for number in (1..self.rotation.kept).rev() {
            let (from, to) = (self.older(number), self.older(number + 1));
            match std::fs::rename(from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.rotation.kept == 0 {
            std::fs::remove_file(&self.path)
        } else {
            std::fs::rename(&self.path, self.older(1))
        }
    }

    fn older(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

fn open(path: &Path) -> io::Result<Open> {
    // Opening a pipe would wait for somebody at its other end, and writing to it for as long as he likes.
    let waits = |kind: FileType| kind.is_fifo() || kind.is_socket() || kind.is_dir();
    if std::fs::metadata(path).is_ok_and(|found| waits(found.file_type())) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Ok(Open { file, length: None });
    }
    // Nothing is cut off that is something else.
    let mut first = [0];
    if found.len() > 0 && (file.read_exact(&mut first).is_err() || first != *b"{") {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is something else than a message log"));
    }
    let length = whole_lines(&mut file, found.len())?;
    if length < found.len() {
        file.set_len(length)?;
    }
    Ok(Open { file, length: Some(length) })
}

/// How long it is without the rest of a line that the machine's end has cut.
fn whole_lines(file: &mut File, length: u64) -> io::Result<u64> {
    const STEP: u64 = 64 << 10;
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(STEP);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        Read::by_ref(file).take(end - start).read_to_end(&mut bytes)?;
        if let Some(at) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
