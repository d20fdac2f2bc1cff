use std::os::unix::fs::{PermissionsExt as _, symlink};

use tempfile::TempDir;

use super::*;
use crate::crypto::rsa::Weakness;
use crate::crypto::rsa::test_keys::{alice, bob, server};

struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.0.path().join(name)).unwrap();
    }

    fn load(&self, previous: &Registry) -> Loaded {
        load(self.0.path(), previous)
    }

    fn fresh(&self) -> Loaded {
        self.load(&Registry::default())
    }
}

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

fn pem_of(key: &crate::crypto::rsa::PrivateKey) -> String {
    key.public().to_pem()
}

fn users(loaded: &Loaded) -> Vec<(String, Fingerprint)> {
    loaded.registry.iter().map(|(user, key)| (user.to_string(), key.fingerprint())).collect()
}

fn assert_reasons(loaded: &Loaded, expected: &[(&str, &str)]) {
    let found: Vec<(&str, String)> = loaded
        .refusals
        .iter()
        .map(|refusal| (refusal.path.file_name().unwrap().to_str().unwrap(), refusal.reason.to_string()))
        .collect();
    let found: Vec<(&str, &str)> = found.iter().map(|(file, reason)| (*file, reason.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn finds_users_by_name_and_by_key() {
    let directory = Directory::new();
    directory.put("key_alice.pem", pem_of(alice()));
    directory.put("key_Bob.pem", pem_of(bob()));
    let loaded = directory.fresh();
    assert_eq!(loaded.refusals, []);
    let registry = loaded.registry;
    assert_eq!(registry.find(&name("alice")), Some(alice().public()));
    assert_eq!(registry.find(&name("bob")), Some(bob().public()));
    assert_eq!(registry.find(&name("carol")), None);
    assert_eq!(registry.find_fingerprint(&bob().public().fingerprint()), Some(name("bob")));
    assert_eq!(registry.find_fingerprint(&server().public().fingerprint()), None);
    assert_eq!((registry.len(), registry.is_empty()), (2, false));
}

#[test]
fn each_bad_file_has_its_own_reason_and_stops_nothing() {
    let directory = Directory::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("key.pem"), pem_of(bob())).unwrap();
    let root = directory.0.path();
    directory.put("key_alice.pem", pem_of(alice()));
    directory.put("key_big.pem", " ".repeat(64 * 1024 + 1));
    directory.put("key_binary.pem", b"\xff\xfe");
    directory.put("key_cut.pem", pem_of(bob()).get(..100).unwrap());
    fs::create_dir(root.join("key_dir.pem")).unwrap();
    directory.put("key_private.pem", bob().to_pem().unwrap().as_bytes());
    symlink(root.join("nowhere"), root.join("key_dangling.pem")).unwrap();
    symlink(outside.path().join("key.pem"), root.join("key_outside.pem")).unwrap();
    symlink("key_alice.pem", root.join("key_twin.pem")).unwrap();
    directory.put("key_.pem", pem_of(bob()));
    directory.put("key_no spaces.pem", pem_of(bob()));
    directory.put("bob.pem", pem_of(bob()));
    directory.put("key_ALICE.pem", pem_of(bob()));
    assert!(std::process::Command::new("mkfifo").arg(root.join("key_pipe.pem")).status().unwrap().success());
    // Ignored in silence.
    for ignored in ["README", "key_x.pem~", ".key_x.pem.swp", ".key_x.pem.0.tmp", ".hidden.pem"] {
        directory.put(ignored, "");
    }
    let loaded = directory.fresh();
    assert_eq!(users(&loaded), [("alice".to_owned(), alice().public().fingerprint())]);
    let expected = [
        ("bob.pem", "the file's name is not key_USER.pem, so it registers nobody"),
        ("key_.pem", "the file's name does not name a user: a name needs at least one character"),
        ("key_ALICE.pem", "key_alice.pem names the same user"),
        ("key_big.pem", "it is larger than 64 KiB"),
        ("key_binary.pem", "it is not a PEM file"),
        ("key_cut.pem", "it ends before the END line of its PEM block"),
        ("key_dangling.pem", "it can't be read: No such file or directory (os error 2)"),
        ("key_dir.pem", "it is not a regular file"),
        (
            "key_no spaces.pem",
            "the file's name does not name a user: a name has only letters a-z, digits, dots, underscores and hyphens",
        ),
        ("key_outside.pem", "it is a link that leads outside the directory"),
        ("key_pipe.pem", "it is not a regular file"),
        ("key_private.pem", "it holds a private key, where a public key is expected"),
        ("key_twin.pem", "alice has the same key"),
    ];
    assert_reasons(&loaded, &expected);
}

#[test]
fn a_link_to_what_was_removed_registers_nobody() {
    let directory = Directory::new();
    let below = directory.0.path().join("below");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("x.pem"), pem_of(bob())).unwrap();
    symlink("below/x.pem", directory.0.path().join("key_bob.pem")).unwrap();
    let before = directory.fresh();
    assert_eq!(before.registry.len(), 1);
    fs::remove_file(below.join("x.pem")).unwrap();
    let loaded = load(directory.0.path(), &before.registry);
    assert!(loaded.registry.is_empty() && loaded.refusals.len() == 1, "{loaded:?}");
}

#[test]
fn an_unreadable_file_is_refused() {
    let directory = Directory::new();
    directory.put("key_alice.pem", pem_of(alice()));
    let path = directory.0.path().join("key_alice.pem");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser reads everything.
    if fs::read(&path).is_err() {
        assert!(matches!(directory.fresh().refusals.first().unwrap().reason, Reason::Unreadable(_)));
    }
}

#[test]
fn a_weak_key_is_refused_by_what_is_weak() {
    let directory = Directory::new();
    directory.put("key_small.pem", include_str!("../../../tests/data/keys/test_1024_bits.pem"));
    directory.put("key_three.pem", include_str!("../../../tests/data/keys/test_exponent_3.pem"));
    let loaded = directory.fresh();
    let found: Vec<&Reason> = loaded.refusals.iter().map(|refusal| &refusal.reason).collect();
    let weak = |weakness| Reason::Key(PublicKeyError::Weak(weakness));
    let expected = [weak(Weakness::TooFewBits { bits: 1024 }), weak(Weakness::SmallExponent { exponent: 3 })];
    assert_eq!(found, expected.iter().collect::<Vec<_>>());
}

#[test]
fn a_key_goes_to_the_first_name_and_stays_with_the_one_that_had_it() {
    let directory = Directory::new();
    directory.put("key_bob.pem", pem_of(alice()));
    directory.put("key_carol.pem", pem_of(alice()));
    let before = directory.fresh();
    assert_eq!(users(&before), [("bob".to_owned(), alice().public().fingerprint())]);
    assert_reasons(&before, &[("key_carol.pem", "bob has the same key")]);
    directory.put("key_alice.pem", pem_of(alice()));
    let after = directory.load(&before.registry);
    assert_eq!(after.registry, before.registry);
    assert_reasons(&after, &[("key_alice.pem", "bob has the same key"), ("key_carol.pem", "bob has the same key")]);
    directory.remove("key_bob.pem");
    let last = directory.load(&after.registry);
    assert_eq!(users(&last), [("alice".to_owned(), alice().public().fingerprint())]);
}

#[test]
fn users_can_swap_keys() {
    let directory = Directory::new();
    directory.put("key_alice.pem", pem_of(alice()));
    directory.put("key_bob.pem", pem_of(bob()));
    let before = directory.fresh();
    directory.put("key_alice.pem", pem_of(bob()));
    directory.put("key_bob.pem", pem_of(alice()));
    let after = directory.load(&before.registry);
    assert_eq!(after.refusals, []);
    assert_eq!(after.registry.find(&name("alice")), Some(bob().public()));
    let changed: Vec<UserName> = before.registry.changes(&after.registry).iter().map(Change::user).collect();
    assert_eq!(changed, [name("alice"), name("bob")]);
}

#[test]
fn who_loses_a_key_keeps_his_old_one_and_nobody_takes_that() {
    let directory = Directory::new();
    directory.put("key_alice.pem", pem_of(alice()));
    directory.put("key_bob.pem", pem_of(bob()));
    let before = directory.fresh();
    // bob's key is now claimed by alice too, and alice's old one by aaron.
    directory.put("key_alice.pem", pem_of(bob()));
    directory.put("key_aaron.pem", pem_of(alice()));
    let after = directory.load(&before.registry);
    assert_eq!(after.registry, before.registry);
    assert_reasons(&after, &[("key_aaron.pem", "alice has the same key"), ("key_alice.pem", "bob has the same key")]);
}

#[test]
fn a_bad_file_changes_nothing_and_a_removed_one_does() {
    let directory = Directory::new();
    directory.put("key_alice.pem", pem_of(alice()));
    directory.put("key_bob.pem", pem_of(bob()));
    let before = directory.fresh();
    for bad in ["", "-----BEGIN PUBLIC KEY-----\nMII", "nonsense", &alice().to_pem().unwrap()] {
        directory.put("key_alice.pem", bad);
        let after = directory.load(&before.registry);
        assert_eq!(after.registry, before.registry);
        assert_eq!(after.refusals.len(), 1);
    }
    directory.remove("key_alice.pem");
    let after = directory.load(&before.registry);
    assert_eq!(before.registry.changes(&after.registry), [Change::Removed { user: name("alice") }]);
}

#[test]
fn changes_tell_added_removed_and_replaced() {
    let directory = Directory::new();
    directory.put("key_alice.pem", pem_of(alice()));
    directory.put("key_carol.pem", pem_of(server()));
    let before = directory.fresh().registry;
    directory.remove("key_alice.pem");
    directory.put("key_bob.pem", pem_of(alice()));
    directory.put("key_carol.pem", pem_of(bob()));
    let after = directory.load(&before).registry;
    let expected = [
        Change::Removed { user: name("alice") },
        Change::Added { user: name("bob"), key: alice().public().clone() },
        Change::Replaced { user: name("carol"), key: bob().public().clone() },
    ];
    assert_eq!(before.changes(&after), expected);
    assert_eq!(after.changes(&after), []);
}

#[test]
fn a_missing_directory_registers_nobody_and_an_unreadable_one_changes_nothing() {
    let directory = Directory::new();
    directory.put("key_alice.pem", pem_of(alice()));
    let before = directory.fresh().registry;
    let missing = load(&directory.0.path().join("missing"), &before);
    assert!(missing.registry.is_empty());
    assert!(missing.refusals.first().unwrap().path.ends_with("missing"));
    let unreadable = load(&directory.0.path().join("key_alice.pem"), &before);
    assert_eq!(unreadable.registry, before);
    assert_eq!(unreadable.refusals.len(), 1);
}

#[test]
fn the_example_registers_alice_and_bob() {
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/keys.example"));
    let loaded = load(directory, &Registry::default());
    assert_eq!(loaded.refusals, []);
    let users: Vec<String> = loaded.registry.iter().map(|(user, _)| user.to_string()).collect();
    assert_eq!(users, ["alice", "bob"]);
}
