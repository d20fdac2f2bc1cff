//! Where files are: the one place that knows.

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::{Fingerprint, UserName};

/// The client's configuration.
const USER_CONFIG: &str = "user_config.json";
/// The server's public key, as it comes from its operator.
const SERVER_PUBLIC_KEY: &str = "server_public_key.pem";

/// The server's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPaths {
    /// The server's directory.
    pub directory: PathBuf,
    /// The configuration.
    pub config: PathBuf,
    /// Whether the configuration's path was asked for, and so has to exist.
    pub config_given: bool,
    /// The directory of the registered keys.
    pub keys: PathBuf,
    /// The directory of the invitations.
    pub invites: PathBuf,
    /// The server's private key.
    pub private_key: PathBuf,
    /// The server's public key, for users.
    pub public_key: PathBuf,
    /// The messages.
    pub database: PathBuf,
    /// The keys of resumption tickets.
    pub ticket_keys: PathBuf,
}

impl ServerPaths {
    /// The files of a server in `data_dir`, with its configuration elsewhere if `config` says so.
    #[must_use]
    pub fn new(data_dir: &Path, config: Option<&Path>) -> Self {
        let file = |name| if data_dir == Path::new(".") { PathBuf::from(name) } else { data_dir.join(name) };
        Self {
            directory: data_dir.to_owned(),
            config: config.map_or_else(|| file("config.json"), Path::to_owned),
            config_given: config.is_some(),
            keys: file("keys"),
            invites: file("invites"),
            private_key: file("server_private_key.pem"),
            public_key: file(SERVER_PUBLIC_KEY),
            database: file("rsachat.db"),
            ticket_keys: file("ticket_keys"),
        }
    }
}

/// The client's directories: the one it was started in, and those the system keeps for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPaths {
    working: PathBuf,
    config: Option<PathBuf>,
    data: Option<PathBuf>,
    runtime: Option<PathBuf>,
}

impl ClientPaths {
    /// Those of this user, started here. A user without a home has only the working directory.
    #[must_use]
    pub fn here() -> Self {
        let dirs = directories::ProjectDirs::from("", "", "rsachat");
        let dirs = dirs.as_ref();
        Self {
            working: PathBuf::new(),
            config: dirs.map(|dirs| dirs.config_dir().to_owned()),
            data: dirs.map(|dirs| dirs.data_dir().to_owned()),
            runtime: dirs.and_then(directories::ProjectDirs::runtime_dir).map(Path::to_owned).or_else(|| {
                let usual = PathBuf::from(format!("/run/user/{}", rustix::process::getuid().as_raw()));
                usual.is_dir().then(|| usual.join("rsachat"))
            }),
        }
    }

    /// `user_config.json`, if there is one: in the working directory, else in the configuration directory.
    #[must_use]
    pub fn user_config(&self) -> Option<PathBuf> {
        first_existing([Some(self.working.join(USER_CONFIG)), self.config.as_ref().map(|dir| dir.join(USER_CONFIG))])
    }

    /// Where to save `user_config.json`: where it is, else in the configuration directory.
    #[must_use]
    pub fn user_config_to_save(&self) -> PathBuf {
        let place = self.config.as_ref().unwrap_or(&self.working);
        self.user_config().unwrap_or_else(|| place.join(USER_CONFIG))
    }

    /// The user's private key, if there is one: `client_private_key.pem`, else `key_USER.private.pem`; both in the
    /// working directory, else in the data directory.
    #[must_use]
    pub fn identity(&self, user: &UserName) -> Option<PathBuf> {
        let own = format!("key_{user}.private.pem");
        let names = |dir: &PathBuf| [dir.join("client_private_key.pem"), dir.join(&own)];
        let places = [Some(&self.working), self.data.as_ref()];
        first_existing(places.into_iter().flatten().flat_map(names).map(Some))
    }

    /// Where a key made for the user belongs: the data directory.
    #[must_use]
    pub fn new_identity_dir(&self) -> &Path {
        self.data.as_ref().unwrap_or(&self.working)
    }

    /// The server's public key, if there is one: in the working directory, else in the data directory.
    #[must_use]
    pub fn server_key(&self) -> Option<PathBuf> {
        let data = self.data.as_ref().map(|dir| dir.join(SERVER_PUBLIC_KEY));
        first_existing([Some(self.working.join(SERVER_PUBLIC_KEY)), data])
    }

    /// The servers' keys that were trusted.
    #[must_use]
    pub fn known_servers(&self) -> PathBuf {
        self.data.as_ref().unwrap_or(&self.working).join("known_servers")
    }

    /// What a user with this key remembers of others on this server.
    #[must_use]
    pub fn known_users(&self, user: &UserName, own: Fingerprint, server: Fingerprint) -> PathBuf {
        self.known_users_dir().join(format!("{user}-{}-{}.db", Self::short(own), Self::short(server)))
    }

    /// The same for all servers, by [`ClientPaths::short`] of the server's fingerprint.
    #[must_use]
    pub fn all_known_users(&self, user: &UserName, own: Fingerprint) -> Vec<(String, PathBuf)> {
        let begin = format!("{user}-{}-", Self::short(own));
        let files = fs::read_dir(self.known_users_dir()).into_iter().flatten().map_while(Result::ok);
        let mut found: Vec<(String, PathBuf)> = files
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let server = name.strip_prefix(&begin)?.strip_suffix(".db")?.to_owned();
                Some((server, entry.path()))
            })
            .collect();
        found.sort();
        found
    }

    /// Where what ends with the user's session is: a directory of his that goes away with it. cron and the like are not
    /// told which one it is, but find it where systemd puts it; where there is none, it is in the data directory.
    #[must_use]
    pub fn runtime_dir(&self) -> PathBuf {
        self.runtime.clone().unwrap_or_else(|| self.data.as_ref().unwrap_or(&self.working).join("run"))
    }

    /// What one session leaves to the next one, to be let in by.
    #[must_use]
    pub fn tickets(&self) -> PathBuf {
        self.runtime_dir().join("tickets")
    }

    /// Where the user's agent listens.
    #[must_use]
    pub fn agent_socket(&self) -> PathBuf {
        self.runtime_dir().join("agent.sock")
    }

    /// Where named places in what is followed are kept.
    #[must_use]
    pub fn cursors(&self) -> PathBuf {
        self.data.as_ref().unwrap_or(&self.working).join("cursors")
    }

    fn known_users_dir(&self) -> PathBuf {
        self.data.as_ref().unwrap_or(&self.working).join("known_users")
    }

    /// The beginning of a fingerprint, for the name of a file.
    #[must_use]
    pub fn short(Fingerprint(bytes): Fingerprint) -> String {
        bytes.iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }
}

fn first_existing(paths: impl IntoIterator<Item = Option<PathBuf>>) -> Option<PathBuf> {
    paths.into_iter().flatten().find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_looks_in_the_working_directory_first() {
        let root = tempfile::tempdir().unwrap();
        let dir = |name: &str| {
            fs::create_dir(root.path().join(name)).unwrap();
            root.path().join(name)
        };
        let (working, config, data) = (dir("working"), dir("config"), dir("data"));
        let paths = ClientPaths {
            working: working.clone(),
            config: Some(config.clone()),
            data: Some(data.clone()),
            runtime: None,
        };
        let alice: UserName = "alice".parse().unwrap();
        assert_eq!(paths.user_config(), None);
        assert_eq!(paths.identity(&alice), None);
        assert_eq!(paths.server_key(), None);
        assert_eq!(paths.user_config_to_save(), config.join("user_config.json"));
        assert_eq!(paths.known_servers(), data.join("known_servers"));
        assert_eq!(paths.runtime_dir(), data.join("run"));

        // From the last place that is looked at to the first.
        for (dir, name) in [
            (&data, "key_alice.private.pem"),
            (&data, "client_private_key.pem"),
            (&working, "key_alice.private.pem"),
            (&working, "client_private_key.pem"),
        ] {
            fs::write(dir.join(name), "").unwrap();
            assert_eq!(paths.identity(&alice), Some(dir.join(name)));
        }
        for dir in [&data, &working] {
            fs::write(dir.join("server_public_key.pem"), "").unwrap();
            assert_eq!(paths.server_key(), Some(dir.join("server_public_key.pem")));
        }
        for dir in [&config, &working] {
            fs::write(dir.join("user_config.json"), "{}").unwrap();
            assert_eq!(paths.user_config(), Some(dir.join("user_config.json")));
            assert_eq!(paths.user_config_to_save(), dir.join("user_config.json"));
        }
    }

    #[test]
    fn a_server_has_everything_in_its_directory() {
        let paths = ServerPaths::new(Path::new("/srv/chat"), None);
        assert_eq!(paths.config, Path::new("/srv/chat/config.json"));
        assert_eq!(paths.keys, Path::new("/srv/chat/keys"));
        assert!(!paths.config_given);
        let paths = ServerPaths::new(Path::new("."), Some(Path::new("/etc/chat.json")));
        assert_eq!(paths.config, Path::new("/etc/chat.json"));
        assert_eq!(paths.database, Path::new("rsachat.db"));
        assert!(paths.config_given);
    }
}
