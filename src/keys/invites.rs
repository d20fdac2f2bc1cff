//! The invitations of a server: a file `invite_USER.json` each, in its `invites/` directory, with when it ends and a digest
//! by which its token is known again. Who reads the directory can let nobody in by it.
//!
//! A user has one invitation at most: another one takes its place. Nothing here knows who is registered: who decides by that
//! holds the [`Lock`] meanwhile, so that no program undoes what another one has just said.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64ct::{Base64Unpadded, Encoding as _};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};

use super::file::{self, Access, Existing, ReadError};
use crate::crypto::invite::InviteToken;
use crate::model::{Timestamp, UserName};
use crate::time;

/// How long an invitation that has ended is listed.
const FORGOTTEN: Duration = Duration::from_secs(7 * 24 * 3600);
/// Longest file that is read.
const FILE_BYTES: u64 = 4096;

/// The directory.
#[derive(Debug, Clone)]
pub struct Invites {
    directory: PathBuf,
}

/// The right to change them.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "closing the file gives the right back")] fs::File);

/// What is in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    token_sha256: String,
    expires: String,
}

/// Why an invitation lets nobody in.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// There is none for this user.
    #[error("there is none")]
    Missing,
    /// Another one is.
    #[error("it has another token")]
    Wrong,
    /// It was good until then.
    #[error("it ended at {}", time::rfc_3339(*.0))]
    Expired(Timestamp),
    /// The file is not as this program writes it.
    #[error("{} is damaged", .0.display())]
    Damaged(PathBuf),
    /// The file can't be read.
    #[error("{} can't be read: {}", .0.display(), .1)]
    Unreadable(PathBuf, ReadError),
}

impl Invites {
    /// The invitations in a directory, which need not exist.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Keeps other programs, and other threads, from changing invitations, and what they lead to, until it is dropped.
    ///
    /// # Errors
    /// What the system says.
    pub fn lock(&self) -> io::Result<Lock> {
        match fs::create_dir(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => self.give_to_server(&self.directory)?,
        }
        let path = self.directory.join(".lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        self.give_to_server(&path)?;
        file.lock()?;
        Ok(Lock(file))
    }

    /// What the superuser makes has to be the server's, which may be another user: the one to whom its directory belongs.
    fn give_to_server(&self, path: &Path) -> io::Result<()> {
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let data = match self.directory.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let owner = fs::metadata(data)?;
        chown(path, Some(owner.uid()), Some(owner.gid()))
    }

    /// Makes an invitation for a user, instead of the one he may have. Removes those that have ended long ago.
    ///
    /// # Errors
    /// What the system says; there is no other invitation then than before.
    pub fn issue(
        &self,
        _: &Lock,
        user: &UserName,
        expires: Timestamp,
        rng: &mut dyn CryptoRng,
    ) -> io::Result<InviteToken> {
        let token = InviteToken::random(rng);
        let token_sha256 = Base64Unpadded::encode_string(&token.digest());
        let kept = Kept { token_sha256, expires: time::rfc_3339(expires) };
        for (other, ended) in self.list()? {
            if ended.after(FORGOTTEN) < Timestamp::now() {
                self.withdraw(&other)?;
            }
        }
        let text = serde_json::to_vec(&kept)?;
        file::write(&self.file_of(user), &text, Access::Owner, Existing::Replace)?;
        self.give_to_server(&self.file_of(user))?;
        Ok(token)
    }

    /// Judges the token of somebody who says that he is a user.
    ///
    /// # Errors
    /// [`Invalid`], without a difference in time that would tell how much of a token is right.
    pub fn check(&self, user: &UserName, token: &InviteToken, now: Timestamp) -> Result<(), Invalid> {
        let (digest, expires) = self.read(user)?;
        match () {
            // Of digests: what a comparison takes tells nothing of the token.
            () if digest != Base64Unpadded::encode_string(&token.digest()) => Err(Invalid::Wrong),
            () if expires <= now => Err(Invalid::Expired(expires)),
            () => Ok(()),
        }
    }

    /// Takes a user's invitation back, durably. Says whether there was one.
    ///
    /// # Errors
    /// What the system says.
    pub fn withdraw(&self, user: &UserName) -> io::Result<bool> {
        match fs::remove_file(self.file_of(user)) {
            Ok(()) => fs::File::open(&self.directory)?.sync_all().map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Who is invited, and until when, in the order of names. What is no invitation is left out.
    ///
    /// # Errors
    /// What the system says of the directory, unless there is none.
    pub fn list(&self) -> io::Result<Vec<(UserName, Timestamp)>> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut invited = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let user = name.to_str().and_then(|name| name.strip_prefix("invite_")?.strip_suffix(".json")?.parse().ok());
            if let Some(user) = user
                && let Ok((_, expires)) = self.read(&user)
            {
                invited.push((user, expires));
            }
        }
        invited.sort_unstable();
        Ok(invited)
    }

    fn read(&self, user: &UserName) -> Result<(String, Timestamp), Invalid> {
        let path = self.file_of(user);
        let contents = match file::read(&path, FILE_BYTES) {
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Err(Invalid::Missing),
            Err(error) => return Err(Invalid::Unreadable(path, error)),
            Ok(contents) => contents,
        };
        let kept: Option<Kept> = serde_json::from_slice(&contents.bytes).ok();
        let read = kept.and_then(|kept| Some((kept.token_sha256, time::parse_rfc_3339(&kept.expires)?)));
        read.ok_or(Invalid::Damaged(path))
    }

    fn file_of(&self, user: &UserName) -> PathBuf {
        self.directory.join(format!("invite_{user}.json"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const LATER: Timestamp = Timestamp(NOW.0 + 1000);

    fn user(name: &str) -> UserName {
        name.parse().unwrap()
    }

    #[test]
    fn an_invitation_is_good_for_its_user_and_token_until_it_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("invites");
        let invites = Invites::new(&path);
        let bob = user("bob");
        let rng = &mut rand::rng();
        let some = InviteToken::random(rng);
        assert!(matches!(invites.check(&bob, &some, NOW), Err(Invalid::Missing)));
        let first = invites.issue(&invites.lock().unwrap(), &bob, LATER, rng).unwrap();
        assert!(invites.check(&bob, &first, NOW).is_ok());
        assert!(matches!(invites.check(&bob, &first, LATER), Err(Invalid::Expired(LATER))));
        assert!(matches!(invites.check(&bob, &some, NOW), Err(Invalid::Wrong)));
        assert!(matches!(invites.check(&user("alice"), &first, NOW), Err(Invalid::Missing)));
        let second = invites.issue(&invites.lock().unwrap(), &bob, LATER, rng).unwrap();
        assert!(matches!(invites.check(&bob, &first, NOW), Err(Invalid::Wrong)));
        assert!(invites.check(&bob, &second, NOW).is_ok());
        assert!(invites.withdraw(&bob).unwrap());
        assert!(!invites.withdraw(&bob).unwrap());
        assert!(matches!(invites.check(&bob, &second, NOW), Err(Invalid::Missing)));
    }

    #[test]
    fn the_file_does_not_tell_the_token_and_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let invites = Invites::new(directory.path());
        let token = invites.issue(&invites.lock().unwrap(), &user("bob"), LATER, &mut rand::rng()).unwrap();
        let path = directory.path().join("invite_bob.json");
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&*token.to_text()) && text.contains("2027-01-15T08:00:01.000Z"), "{text}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_the_superuser_makes_is_the_servers() {
        let data = tempfile::tempdir().unwrap();
        if rustix::process::geteuid().is_root() {
            chown(data.path(), Some(12_345), Some(12_345)).unwrap();
        }
        let server = fs::metadata(data.path()).unwrap().uid();
        let invites = Invites::new(&data.path().join("invites"));
        invites.issue(&invites.lock().unwrap(), &user("bob"), LATER, &mut rand::rng()).unwrap();
        for path in ["invites", "invites/.lock", "invites/invite_bob.json"] {
            assert_eq!(fs::metadata(data.path().join(path)).unwrap().uid(), server, "{path}");
        }
    }

    #[test]
    fn what_is_no_invitation_is_not_listed_and_lets_nobody_in() {
        let directory = tempfile::tempdir().unwrap();
        let invites = Invites::new(directory.path());
        let token = invites.issue(&invites.lock().unwrap(), &user("bob"), LATER, &mut rand::rng()).unwrap();
        invites.issue(&invites.lock().unwrap(), &user("alice"), NOW, &mut rand::rng()).unwrap();
        for name in ["invite_carol.json", "invite_.json", "invite_dave", "notes.txt"] {
            fs::write(directory.path().join(name), "{}").unwrap();
        }
        assert_eq!(invites.list().unwrap(), [(user("alice"), NOW), (user("bob"), LATER)]);
        assert!(matches!(invites.check(&user("carol"), &token, NOW), Err(Invalid::Damaged(_))));
        assert_eq!(Invites::new(&directory.path().join("none")).list().unwrap(), []);
    }
}
