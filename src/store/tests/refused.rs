//! Databases that are not opened, and stay as they were.

use super::*;

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let foreign = Connection::open(&settings.path).unwrap();
    foreign.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").unwrap();
    foreign.close().unwrap();
    let database = fs::read(&settings.path).unwrap();
    for content in [&database[..], b"{}", &[0; 4096], &database[..50]] {
        fs::write(&settings.path, content).unwrap();
        let before = bytes(directory.path());
        let error = refused(&settings);
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        assert_eq!(bytes(directory.path()), before);
    }
}

#[test]
fn damage_that_sqlite_does_not_see_is_refused_and_left_alone() {
    for damage in [
        "UPDATE message SET sender = 'b b' WHERE place & 0xffffffffff = 4",
        "UPDATE room SET last = 9223372036854775807",
        "UPDATE room SET last = 3",
        "DELETE FROM message; UPDATE room SET last = 9223372036854775807",
        "UPDATE start SET first = -1",
    ] {
        let directory = TempDir::new().unwrap();
        let settings = Settings { keep: Keep::Count(2), ..filled(&directory, 5) };
        let damaged = Connection::open(&settings.path).unwrap();
        damaged.execute_batch(damage).unwrap();
        damaged.close().unwrap();
        let before = bytes(directory.path());
        let error = refused(&settings);
        assert!(matches!(error, OpenError::Corrupted { .. }), "{damage}: {error}");
        assert_eq!(bytes(directory.path()), before, "{damage}");
    }
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let directory = TempDir::new().unwrap();
    let settings = filled(&directory, 5);
    let newer = Connection::open(&settings.path).unwrap();
    newer.pragma_update(None, "user_version", 6).unwrap();
    newer.close().unwrap();
    let before = bytes(directory.path());
    let error = refused(&settings);
    assert!(matches!(error, OpenError::Newer { found: 6, .. }), "{error}");
    assert_eq!(bytes(directory.path()), before);
}

#[test]
fn a_newer_format_that_is_only_in_the_log_is_refused_and_left_alone() {
    let directory = TempDir::new().unwrap();
    let settings = filled(&directory, 5);
    let copies = TempDir::new().unwrap();
    let newer = Connection::open(&settings.path).unwrap();
    newer.pragma_update(None, "user_version", 6).unwrap();
    // As after a crash: the change is in the log and not yet in the file.
    for file in ["rsachat.db", "rsachat.db-wal"] {
        fs::copy(directory.path().join(file), copies.path().join(file)).unwrap();
    }
    let before = bytes(copies.path());
    assert_eq!(before["rsachat.db"][60..64], [0, 0, 0, 5]);
    let error = refused(&Settings { path: copies.path().join("rsachat.db"), ..settings });
    assert!(matches!(error, OpenError::Newer { found: 6, .. }), "{error}");
    assert_eq!(bytes(copies.path()), before);
}

#[test]
fn a_damaged_database_is_refused_and_left_alone() {
    let directory = TempDir::new().unwrap();
    let settings = Settings { keep: Keep::Count(1000), ..settings(&directory) };
    let (mut store, _) = open(&settings);
    store.carry_out(&(1..=500).map(append).collect::<Vec<_>>()).unwrap();
    drop(store);
    let sound = fs::read(&settings.path).unwrap();
    let damage = [
        ("a page of nonsense", (|bytes| bytes[20_480..24_576].fill(0xa5)) as fn(&mut Vec<u8>)),
        ("cut off", |bytes| bytes.truncate(bytes.len() - 8192)),
        ("the tables' names", |bytes| bytes[100..4096].fill(0)),
        ("an impossible page size", |bytes| bytes[16] = 0xff),
    ];
    for (what, damage) in damage {
        let mut content = sound.clone();
        damage(&mut content);
        fs::write(&settings.path, &content).unwrap();
        let before = bytes(directory.path());
        let error = refused(&settings);
        assert!(matches!(error, OpenError::Corrupted { .. }), "{what}: {error}");
        assert!(bytes(directory.path()) == before, "{what}: changed");
    }
}

#[test]
fn a_second_server_is_refused() {
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory);
    let (store, _) = open(&settings);
    let error = refused(&settings);
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    drop(store);
    open(&settings);
}

#[test]
fn a_path_that_can_not_be_is_refused() {
    let directory = TempDir::new().unwrap();
    let nowhere = Settings { path: directory.path().join("none/rsachat.db"), ..settings(&directory) };
    let is_directory = Settings { path: directory.path().to_owned(), ..settings(&directory) };
    for settings in [nowhere, is_directory] {
        let error = refused(&settings);
        assert!(matches!(error, OpenError::Io { .. }), "{error}");
    }
}
