//! What is kept is found once, and nothing else is.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Barrier;

use tempfile::TempDir;

use super::*;

const NOW: Timestamp = Timestamp(1000);
const OWN: Fingerprint = Fingerprint([1; 32]);
const SERVER: Fingerprint = Fingerprint([2; 32]);

fn alice() -> UserName {
    "alice".parse().unwrap()
}

fn kept(ticket: u8, not_after: u64) -> KeptTicket {
    let secret = Secret::filled_by(|bytes| bytes.fill(ticket));
    KeptTicket { resumption: Resumption { ticket: vec![ticket; 192], secret }, not_after: Timestamp(not_after) }
}

struct Place {
    dir: TempDir,
    tickets: Tickets,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tickets = Tickets::open(&dir.path().join("run/tickets"), alice(), OWN, SERVER).unwrap();
        Self { dir, tickets }
    }

    fn put(&self, ticket: u8, not_after: u64) {
        self.tickets.put(&kept(ticket, not_after), NOW).unwrap();
    }

    fn take(&self) -> Option<u8> {
        let KeptTicket { resumption, .. } = self.tickets.take(NOW)?;
        assert_eq!(resumption.ticket, [resumption.secret.expose()[0]; 192]);
        resumption.ticket.first().copied()
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.dir.path().join("run/tickets")).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn what_is_kept_is_taken_once_the_newest_first() {
    let place = Place::new();
    assert_eq!(place.take(), None);
    place.put(1, 5000);
    place.put(2, 7000);
    place.put(3, 6000);
    assert_eq!(place.tickets.take(NOW).unwrap().not_after, Timestamp(7000));
    assert_eq!([place.take(), place.take(), place.take()], [Some(3), Some(1), None]);
    assert_eq!(place.files().len(), 0);
}

#[test]
fn only_the_user_can_read_it() {
    let place = Place::new();
    place.put(1, 5000);
    assert_eq!(mode(&place.files()[0]), 0o600);
    let directory = place.dir.path().join("run/tickets");
    assert_eq!(mode(&directory), 0o700);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    let error = Tickets::open(&directory, alice(), OWN, SERVER).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn it_is_for_this_user_this_key_and_this_server() {
    let place = Place::new();
    place.put(1, 5000);
    let directory = place.dir.path().join("run/tickets");
    let other = Fingerprint([3; 32]);
    for (user, own, server) in [("bob", OWN, SERVER), ("alice", other, SERVER), ("alice", OWN, other)] {
        let tickets = Tickets::open(&directory, user.parse().unwrap(), own, server).unwrap();
        assert!(tickets.take(NOW).is_none());
    }
    assert_eq!(place.take(), Some(1));
}

#[test]
fn what_is_too_old_is_removed_whosever_it_is() {
    let place = Place::new();
    place.put(1, 1000);
    assert_eq!(place.files().len(), 0, "too old already");
    place.put(1, 2000);
    let bob = Tickets::open(&place.dir.path().join("run/tickets"), "bob".parse().unwrap(), OWN, SERVER).unwrap();
    bob.put(&kept(2, 3000), NOW).unwrap();
    assert!(place.tickets.take(Timestamp(2000)).is_none());
    assert_eq!(place.files().len(), 1);
    place.tickets.put(&kept(3, 4000), Timestamp(3000)).unwrap();
    assert_eq!(place.files().len(), 1);
    assert_eq!(place.take(), Some(3));
}

#[test]
fn a_few_are_kept_the_newest() {
    let place = Place::new();
    for number in 1..=20 {
        place.put(number, 2000 + u64::from(number));
    }
    assert_eq!(place.files().len(), FILES);
    let taken: Vec<u8> = std::iter::from_fn(|| place.take()).collect();
    assert_eq!(taken, [20, 19, 18, 17, 16, 15, 14, 13]);
}

#[test]
fn what_is_no_ticket_is_removed_and_ignored() {
    struct Spoilt(&'static str, fn(&Path));
    let place = Place::new();
    let all = [
        Spoilt("readable by others", |path| fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap()),
        Spoilt("empty", |path| fs::write(path, "").unwrap()),
        Spoilt("longer", |path| fs::write(path, [fs::read(path).unwrap(), vec![0]].concat()).unwrap()),
        Spoilt("cut off", |path| fs::write(path, &fs::read(path).unwrap()[..200]).unwrap()),
        Spoilt("much too long", |path| fs::write(path, vec![0; 1 << 20]).unwrap()),
        Spoilt("of another version", |path| {
            let mut bytes = fs::read(path).unwrap();
            assert_eq!(bytes[..3], [0xa3, 0, 1]);
            bytes[2] = 2;
            fs::write(path, bytes).unwrap();
        }),
    ];
    for Spoilt(what, spoil) in all {
        place.put(1, 5000);
        spoil(&place.files()[0]);
        assert_eq!(place.take(), None, "{what}");
        assert_eq!(place.files().len(), 0, "{what}");
    }
    // And is in nobody's way.
    place.put(1, 5000);
    place.put(2, 6000);
    let newest = place.files().into_iter().max().unwrap();
    fs::write(newest, "").unwrap();
    assert_eq!(place.take(), Some(1));
    // What others have put there stays.
    let foreign = place.dir.path().join("run/tickets/notes.txt");
    fs::write(&foreign, "").unwrap();
    assert_eq!(place.take(), None);
    assert!(foreign.exists());
}

#[test]
fn of_many_at_once_each_ticket_has_one() {
    let place = Place::new();
    for round in 0..50 {
        place.put(1, 5000);
        place.put(2, 5000);
        let start = Barrier::new(8);
        let mut taken: Vec<u8> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        place.take()
                    })
                })
                .collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        taken.sort_unstable();
        assert_eq!(taken, [1, 2], "round {round}");
    }
}
