//! A server's directory, and the users of the tests.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rsachat::crypto::rsa::{PrivateKey, PublicKey};
use rsachat::model::UserName;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A user and the user's key.
pub(crate) struct Identity {
    pub(crate) user: UserName,
    pub(crate) key: PrivateKey,
}

macro_rules! identity {
    ($name:ident, $doc:literal) => {
        #[doc = $doc]
        pub(crate) fn $name() -> &'static Identity {
            static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity {
                user: stringify!($name).parse().unwrap(),
                key: PrivateKey::from_pem(&pem(concat!("test_", stringify!($name), ".private.pem")), None).unwrap(),
            });
            &IDENTITY
        }
    };
}

identity!(alice, "An honest user, and an admin.");
identity!(bob, "An honest user.");
identity!(mallory, "A user who means harm.");

/// Someone who is not registered at first; has the server's key pair, to have one that nobody else has.
pub(crate) fn carol() -> &'static Identity {
    static IDENTITY: LazyLock<Identity> = LazyLock::new(|| other_key("carol"));
    &IDENTITY
}

/// Bob, with another key.
pub(crate) fn new_bob() -> &'static Identity {
    static IDENTITY: LazyLock<Identity> = LazyLock::new(|| other_key("bob"));
    &IDENTITY
}

fn other_key(user: &str) -> Identity {
    let key = PrivateKey::from_pem(&pem("test_server.private.pem"), None).unwrap();
    Identity { user: user.parse().unwrap(), key }
}

/// The server's public key.
pub(crate) fn server_key() -> &'static PublicKey {
    static KEY: LazyLock<PublicKey> = LazyLock::new(|| PublicKey::from_pem(&pem("test_server.pem")).unwrap());
    &KEY
}

pub(crate) fn pem(file: &str) -> String {
    fs::read_to_string(test_keys().join(file)).unwrap()
}

pub(crate) fn test_keys() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keys")
}

/// A directory with the server's key pair, a configuration, and alice, bob and mallory registered. Gone when dropped.
pub(crate) struct DataDir(TempDir);

impl DataDir {
    /// With these settings beside those that every test needs: any port on loopback, alice an admin.
    pub(crate) fn new(settings: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), settings);
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The file in which a user's key is registered.
    pub(crate) fn key_file(&self, user: &str) -> PathBuf {
        self.0.path().join(format!("keys/key_{user}.pem"))
    }
}

/// Puts into an existing directory what [`DataDir::new`] puts into its own.
pub(crate) fn fill(dir: &Path, settings: Value) {
    let keys = test_keys();
    fs::create_dir(dir.join("keys")).unwrap();
    for user in ["alice", "bob", "mallory"] {
        fs::copy(keys.join(format!("test_{user}.pem")), dir.join(format!("keys/key_{user}.pem"))).unwrap();
    }
    let private = dir.join("server_private_key.pem");
    fs::copy(keys.join("test_server.private.pem"), &private).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o600)).unwrap();
    fs::copy(keys.join("test_server.pem"), dir.join("server_public_key.pem")).unwrap();
    let mut config = json!({ "server_ip": "127.0.0.1", "server_port": 0, "admins": ["alice"] });
    let Value::Object(settings) = settings else { panic!("settings are an object") };
    config.as_object_mut().unwrap().extend(settings);
    fs::write(dir.join("config.json"), config.to_string()).unwrap();
}
