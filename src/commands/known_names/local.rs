//! The names that are known on this machine: from the user's settings, from his cursors, from what his client remembers, if his
//! key can be used without asking anybody for a passphrase; and from a server's directory, if that is here.
//!
//! Whatever can't be read is as if it were not there. Only names come out, and only such as are valid.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::Wanted;
use crate::agent::client;
use crate::client::follow::cursor;
use crate::client::memory::Memory;
use crate::client::session::Known;
use crate::commands::link;
use crate::config::{ClientConfig, ClientPaths, ServerPaths};
use crate::crypto::rsa::OwnKey;
use crate::keys::identity::KeyFile;
use crate::keys::invites::Invites;
use crate::keys::registry;
use crate::model::{RoomName, UserName};

/// Finds names, and tells them as they are found: those that take longest last. `given` are the options that were typed.
pub(super) fn find(wanted: Wanted, given: &BTreeMap<String, String>, tell: impl Fn(Vec<String>)) {
    let paths = ClientPaths::here();
    match wanted {
        Wanted::Cursors => tell(cursor::list(&paths.cursors()).map(|found| found.name.to_string()).collect()),
        Wanted::Registered => tell(names(registered(&server(given)).chain(invited(&server(given))))),
        Wanted::Invited => tell(names(invited(&server(given)))),
        Wanted::Places | Wanted::Whom | Wanted::Users | Wanted::Pinned => {
            let config = link::config(&paths).unwrap_or_default();
            let Some(me) =
                given.get("user").or(given.get("own_name")).map_or(config.username, |user| user.parse().ok())
            else {
                return tell(
                    Places { rooms: [RoomName::lobby(), config.room].into(), ..Places::default() }.names(wanted),
                );
            };
            tell(Places::of_files(&paths, &config, me).names(wanted));
            for known in remembered(&paths, &config, me, given.get("identity").map(Path::new)) {
                tell(Places::remembered(&known, me).names(wanted));
            }
        }
    }
}

/// Where something can be said, and to whom.
#[derive(Debug, Default)]
struct Places {
    rooms: BTreeSet<RoomName>,
    users: BTreeSet<UserName>,
    pinned: BTreeSet<UserName>,
}

impl Places {
    /// What the user's settings and cursors name.
    fn of_files(paths: &ClientPaths, config: &ClientConfig, me: UserName) -> Self {
        let cursors = cursor::list(&paths.cursors()).filter(|cursor| cursor.user == Some(me));
        Self::of_rooms(cursors.flat_map(|cursor| cursor.rooms).chain([RoomName::lobby(), config.room]), me)
    }

    /// What the client remembers.
    fn remembered(known: &Known, me: UserName) -> Self {
        let pinned: BTreeSet<UserName> = known.pins().map(|(user, _)| user).filter(|user| *user != me).collect();
        let mut places = Self::of_rooms(known.rooms(), me);
        places.users.extend(&pinned);
        Self { pinned, ..places }
    }

    fn of_rooms(rooms: impl Iterator<Item = RoomName>, me: UserName) -> Self {
        let (direct, rooms): (BTreeSet<_>, BTreeSet<_>) = rooms.partition(RoomName::is_direct);
        let users = direct.into_iter().filter_map(|room| room.partner(me)).collect();
        Self { rooms, users, pinned: BTreeSet::new() }
    }

    fn names(&self, wanted: Wanted) -> Vec<String> {
        let rooms = self.rooms.iter().map(ToString::to_string);
        match wanted {
            Wanted::Places => rooms.chain(self.users.iter().map(|user| format!("@{user}"))).collect(),
            Wanted::Whom => rooms.chain(self.users.iter().map(ToString::to_string)).collect(),
            Wanted::Users => names(self.users.iter().copied()),
            Wanted::Pinned => names(self.pinned.iter().copied()),
            Wanted::Cursors | Wanted::Registered | Wanted::Invited => Vec::new(),
        }
    }
}

/// What the user's client remembers, for each server that he was on.
fn remembered(
    paths: &ClientPaths,
    config: &ClientConfig,
    me: UserName,
    identity: Option<&Path>,
) -> impl Iterator<Item = Known> {
    let key = link::identity(identity, config, paths, me).and_then(|file| own_key(paths, &file));
    let files = key.iter().flat_map(|key| paths.all_known_users(&me, key.public().fingerprint()));
    let files: Vec<PathBuf> = files.map(|(_, file)| file).collect();
    files.into_iter().filter_map(move |file| Memory::look(&file, &**key.as_ref()?, &mut rand::rng()).ok())
}

/// The user's own key, if it takes no passphrase or an agent holds it.
fn own_key(paths: &ClientPaths, file: &Path) -> Option<Box<dyn OwnKey>> {
    let file = KeyFile::read(file).ok()?;
    if file.is_encrypted() {
        return Some(Box::new(client::find(&paths.agent_socket(), file.digest()).ok()??));
    }
    Some(Box::new(file.open(None).ok()?))
}

fn server(given: &BTreeMap<String, String>) -> ServerPaths {
    ServerPaths::new(Path::new(given.get("data_dir").map_or(".", String::as_str)), None)
}

fn registered(server: &ServerPaths) -> impl Iterator<Item = UserName> {
    let files = fs::read_dir(&server.keys).into_iter().flatten().map_while(Result::ok);
    files.filter_map(|file| registry::user_of(&file.file_name()).ok())
}

fn invited(server: &ServerPaths) -> impl Iterator<Item = UserName> {
    Invites::new(&server.invites).list().unwrap_or_default().into_iter().map(|(user, _)| user)
}

fn names(users: impl Iterator<Item = UserName>) -> Vec<String> {
    users.map(|user| user.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::session::Pin;
    use crate::model::{Fingerprint, Incarnation, Seq};
    use crate::proto::message::Position;

    fn user(name: &str) -> UserName {
        name.parse().unwrap()
    }

    #[test]
    fn what_is_remembered_has_the_names_that_each_argument_takes() {
        let (alice, at) = (user("alice"), Position { incarnation: Incarnation(1), seq: Seq(1) });
        let mut known = Known::default();
        for room in [RoomName::lobby(), "#ops".parse().unwrap(), RoomName::direct(alice, user("carol")).unwrap()] {
            known.has_read(room, at);
        }
        for name in ["alice", "bob"] {
            known.recall(user(name), Pin { key: Fingerprint([1; 32]), verified: false, earlier: vec![] });
        }
        let places = Places::remembered(&known, alice);
        assert_eq!(places.names(Wanted::Places), ["#common", "#ops", "@bob", "@carol"]);
        assert_eq!(places.names(Wanted::Whom), ["#common", "#ops", "bob", "carol"]);
        assert_eq!(places.names(Wanted::Users), ["bob", "carol"]);
        assert_eq!(places.names(Wanted::Pinned), ["bob"]);
    }

    #[test]
    fn a_servers_directory_has_its_users_and_whom_it_has_invited() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ServerPaths::new(directory.path(), None);
        let given = [("data_dir".to_owned(), directory.path().to_str().unwrap().to_owned())].into();
        let found = |wanted| {
            let all = std::cell::RefCell::new(Vec::new());
            find(wanted, &given, |names| all.borrow_mut().extend(names));
            all.into_inner()
        };
        assert_eq!(found(Wanted::Registered), Vec::<String>::new());
        fs::create_dir(&paths.keys).unwrap();
        for file in ["key_bob.pem", "key_\u{1b}[2J.pem", "key_alice.private.pem", "notes"] {
            fs::write(paths.keys.join(file), "").unwrap();
        }
        let invites = Invites::new(&paths.invites);
        let lock = invites.lock().unwrap();
        invites.issue(&lock, &user("carol"), crate::model::Timestamp(u64::MAX >> 12), &mut rand::rng()).unwrap();
        assert_eq!(found(Wanted::Invited), ["carol"]);
        let registered = found(Wanted::Registered);
        assert!(registered.contains(&"bob".to_owned()) && registered.contains(&"carol".to_owned()), "{registered:?}");
        assert!(registered.iter().all(|name| name.parse::<UserName>().is_ok()), "{registered:?}");
    }
}
