//! Where an agent listens: a socket, in a directory that is its user's alone.
//!
//! A lock beside the socket says whether somebody listens, whatever became of him, and goes away with him. So a socket that
//! a killed agent has left behind is known for what it is, and of two that start at once one gives way. The lock's file
//! stays: who removed it would pull it away under another one.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::keys::file::private_dir;

/// Why an agent can't listen.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The directory is not to be had.
    #[error("{}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another agent listens there.
    #[error("an agent runs already, at {}", .0.display())]
    Taken(PathBuf),
    /// The socket is not to be had.
    #[error("can't listen at {}: {source}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A place that is taken: nobody else listens there. Given up when dropped.
#[derive(Debug)]
pub struct Place {
    socket: PathBuf,
    // Held by the open file.
    _lock: File,
}

impl Place {
    /// Takes the place, with the directory that it is in. Nobody can connect yet.
    ///
    /// # Errors
    /// [`PlaceError`]
    pub fn take(socket: &Path) -> Result<Self, PlaceError> {
        let directory = socket.parent().unwrap_or(Path::new("."));
        let failed = |source| PlaceError::Directory { path: directory.to_owned(), source };
        private_dir(directory).map_err(failed)?;
        let lock = socket.with_extension("lock");
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(lock).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { socket: socket.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(PlaceError::Taken(socket.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// The socket's path.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Makes the socket, in the place of one that was left behind.
    ///
    /// # Errors
    /// [`PlaceError::Socket`]
    pub fn listen(&self) -> Result<UnixListener, PlaceError> {
        let make = || {
            match fs::remove_file(&self.socket) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(&self.socket)?;
            // Until now the directory alone keeps others away.
            fs::set_permissions(&self.socket, Permissions::from_mode(0o600))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        make().map_err(|source| PlaceError::Socket { path: self.socket.clone(), source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // There is none if nobody has listened. The lock goes after it.
        let _ = fs::remove_file(&self.socket);
    }
}
