use std::sync::mpsc::{Receiver, channel};

use tempfile::TempDir;

use super::*;
use crate::crypto::rsa::PrivateKey;
use crate::crypto::rsa::test_keys::{alice, bob};

const FAST: Timing = Timing {
    quiet: Duration::from_millis(20),
    patience: Duration::from_millis(500),
    settle: Duration::from_millis(300),
    look: Duration::from_millis(50),
};

/// A timer that never comes, where a test is to see that the system's events suffice.
const NEVER: Duration = Duration::from_secs(600);

struct Scene {
    root: TempDir,
    updates: Receiver<Update>,
    watch: Option<Watch>,
}

impl Scene {
    /// A watched directory with a file for alice.
    fn new(timing: Timing) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("keys")).unwrap();
        let (send, updates) = channel();
        let mut scene = Self { root, updates, watch: None };
        scene.put("key_alice.pem", pem_of(alice()));
        let loaded = registry::load(&scene.directory(), &Registry::default());
        let watch = Watch::start_timed(&scene.directory(), &loaded, timing, move |update| send.send(update).unwrap());
        scene.watch = Some(watch.unwrap());
        scene
    }

    fn directory(&self) -> PathBuf {
        self.root.path().join("keys")
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.directory().join(name), text).unwrap();
    }

    fn update(&self) -> Update {
        self.updates.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    fn changes(&self) -> Vec<Change> {
        let update = self.update();
        assert_eq!(update.refusals, []);
        update.changes
    }
}

fn pem_of(key: &PrivateKey) -> String {
    key.public().to_pem()
}

fn added(user: &str, key: &PrivateKey) -> Change {
    Change::Added { user: user.parse().unwrap(), key: key.public().clone() }
}

fn removed(user: &str) -> Change {
    Change::Removed { user: user.parse().unwrap() }
}

fn replaced(user: &str, key: &PrivateKey) -> Change {
    Change::Replaced { user: user.parse().unwrap(), key: key.public().clone() }
}

#[test]
fn the_systems_events_bring_every_change() {
    let scene = Scene::new(Timing { look: NEVER, ..FAST });
    scene.put("key_bob.pem", pem_of(bob()));
    let update = scene.update();
    assert_eq!((update.changes, update.registry.len()), (vec![added("bob", bob())], 2));
    fs::remove_file(scene.directory().join("key_bob.pem")).unwrap();
    assert_eq!(scene.changes(), [removed("bob")]);
    let aside = scene.root.path().join("aside");
    fs::write(&aside, pem_of(bob())).unwrap();
    fs::rename(&aside, scene.directory().join("key_alice.pem")).unwrap();
    assert_eq!(scene.changes(), [replaced("alice", bob())]);
}

#[test]
fn what_changed_before_the_watch_began_is_noticed() {
    let root = tempfile::tempdir().unwrap();
    let (send, updates) = channel();
    fs::write(root.path().join("key_alice.pem"), pem_of(alice())).unwrap();
    let timing = Timing { look: NEVER, ..FAST };
    let _watch = Watch::start_timed(root.path(), &Loaded::default(), timing, move |update| send.send(update).unwrap());
    let update = updates.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(update.changes, [added("alice", alice())]);
}

#[test]
fn a_file_being_rewritten_puts_nobody_out() {
    let scene = Scene::new(Timing { settle: NEVER, ..FAST });
    let pem = pem_of(bob());
    for end in [0, 10, 100, pem.len() - 3] {
        scene.put("key_alice.pem", pem.get(..end).unwrap());
    }
    scene.put("key_alice.pem", &pem);
    assert_eq!(scene.changes(), [replaced("alice", bob())]);
}

#[test]
fn a_file_that_stays_unfinished_is_reported_late_and_once() {
    let scene = Scene::new(FAST);
    let start = Instant::now();
    scene.put("key_alice.pem", "-----BEGIN PUBLIC KEY-----\n");
    let update = scene.update();
    assert!(start.elapsed() >= FAST.settle);
    assert_eq!(update.changes, []);
    assert_eq!(update.registry.len(), 1);
    let file = scene.directory().join("key_alice.pem");
    let reason = update.refusals.first().unwrap();
    assert_eq!(reason.to_string(), format!("{}: it ends before the END line of its PEM block", file.display()));
    // The next update tells of bob, and not of that file again.
    scene.put("key_bob.pem", pem_of(bob()));
    assert_eq!(scene.changes(), [added("bob", bob())]);
}

#[test]
fn a_bad_file_is_reported_at_once_and_changes_nothing() {
    let scene = Scene::new(Timing { settle: NEVER, ..FAST });
    scene.put("key_alice.pem", alice().to_pem().unwrap().as_bytes());
    let update = scene.update();
    assert_eq!(update.changes, []);
    assert_eq!(update.refusals.len(), 1);
    assert_eq!(update.registry.len(), 1);
}

#[test]
fn a_directory_put_in_its_place_is_watched_instead() {
    let scene = Scene::new(FAST);
    let next = scene.root.path().join("next");
    fs::create_dir(&next).unwrap();
    fs::write(next.join("key_alice.pem"), pem_of(bob())).unwrap();
    fs::rename(scene.directory(), scene.root.path().join("old")).unwrap();
    fs::rename(&next, scene.directory()).unwrap();
    // Between the two renames nobody is registered; whether that is seen depends on the moment.
    let mut changes = scene.update().changes;
    if changes == [removed("alice")] {
        changes = scene.changes();
        assert_eq!(changes, [added("alice", bob())]);
    } else {
        assert_eq!(changes, [replaced("alice", bob())]);
    }
    scene.put("key_carol.pem", pem_of(alice()));
    assert_eq!(scene.changes(), [added("carol", alice())]);
}

#[test]
fn a_directory_that_comes_back_is_watched_again() {
    let scene = Scene::new(FAST);
    fs::remove_dir_all(scene.directory()).unwrap();
    let mut update = scene.update();
    assert_eq!(update.changes, [removed("alice")]);
    if update.refusals.is_empty() {
        // The file's removal was seen before the directory's.
        update = scene.update();
    }
    assert_eq!(update.refusals.first().unwrap().path, scene.directory());
    fs::create_dir(scene.directory()).unwrap();
    scene.put("key_alice.pem", pem_of(alice()));
    assert_eq!(scene.changes(), [added("alice", alice())]);
    scene.put("key_bob.pem", pem_of(bob()));
    assert_eq!(scene.changes(), [added("bob", bob())]);
}

#[test]
fn what_could_not_be_read_is_looked_at_again() {
    let scene = Scene::new(FAST);
    let below = scene.directory().join("below");
    fs::create_dir(&below).unwrap();
    // A link to itself can't be opened, and nothing that happens below the directory is told.
    std::os::unix::fs::symlink("x.pem", below.join("x.pem")).unwrap();
    std::os::unix::fs::symlink("below/x.pem", scene.directory().join("key_bob.pem")).unwrap();
    let update = scene.update();
    assert!(matches!(update.refusals[..], [Refusal { reason: Reason::Unreadable(_), .. }]), "{update:?}");
    fs::remove_file(below.join("x.pem")).unwrap();
    fs::write(below.join("x.pem"), pem_of(bob())).unwrap();
    assert_eq!(scene.changes(), [added("bob", bob())]);
}

#[test]
fn reading_stirs_nothing() {
    let event = |kind| Ok(notify::Event::new(kind));
    assert!(!stirs(&event(EventKind::Access(AccessKind::Open(AccessMode::Any)))));
    assert!(!stirs(&event(EventKind::Access(AccessKind::Close(AccessMode::Read)))));
    assert!(stirs(&event(EventKind::Access(AccessKind::Close(AccessMode::Write)))));
    assert!(stirs(&event(EventKind::Other)));
    assert!(stirs(&Err(notify::Error::generic("lost"))));
}

#[test]
fn who_asks_for_a_look_waits_until_what_is_new_was_told() {
    // So slow that nothing is noticed but by asking.
    let scene = Scene::new(Timing { quiet: NEVER, patience: NEVER, look: NEVER, ..FAST });
    let looker = scene.watch.as_ref().unwrap().looker();
    scene.put("key_bob.pem", pem_of(bob()));
    assert!(looker.look(Duration::from_secs(20)));
    // Told already.
    assert_eq!(scene.updates.try_recv().unwrap().changes, [added("bob", bob())]);
    assert!(looker.look(Duration::from_secs(20)));
    drop(scene);
    assert!(!looker.look(NEVER), "nobody looks any more");
}

#[test]
fn dropping_ends_the_thread() {
    let mut scene = Scene::new(Timing { look: NEVER, ..FAST });
    scene.watch = None;
    assert!(scene.updates.recv().is_err());
}
