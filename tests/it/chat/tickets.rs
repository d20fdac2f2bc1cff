//! Tickets that one session leaves to the next one.

use serde_json::Value;

use super::send::Sent;
use super::*;

impl World {
    /// The server's log. It may come a little later than what it tells of.
    fn log(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.path("server/log")).unwrap();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// How each of so many connections of this user was let in: whether by a ticket.
    fn resumed(&self, user: &str, count: usize) -> Vec<bool> {
        let mut resumed = Vec::new();
        until(|| {
            let log = self.log();
            let let_in = log.iter().filter(|event| event["message"] == "authenticated" && event["user"] == user);
            resumed = let_in.map(|event| event["resumed"].as_bool().unwrap()).collect();
            resumed.len() >= count
        });
        resumed
    }

    fn tickets(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.path("run/rsachat/tickets")).into_iter().flatten();
        files.map(|file| file.unwrap().path()).collect()
    }

    /// Says something that is stored, without a word about anything.
    fn sends(&self, text: &str) {
        self.send("alice", &[text]).is(0, &[]);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_second_one_comes_in_by_the_ticket_of_the_first() {
    let mut world = World::new();
    world.sends("one");
    let first = world.tickets();
    assert_eq!(first.len(), 1);
    assert_eq!(mode(&first[0]), 0o600);
    assert_eq!(mode(&world.path("run/rsachat/tickets")), 0o700);
    world.sends("two");
    assert_eq!(world.resumed("alice", 2), [false, true]);
    let second = world.tickets();
    assert_eq!(second.len(), 1);
    assert_ne!(first, second);
    // What chats does the same, and a server that was started anew has kept its keys of tickets.
    world.kill_server();
    world.start_server();
    let (.., status) = world.pipe("alice").end();
    assert!(status.success());
    world.sends("three");
    assert_eq!(world.resumed("alice", 4), [false, true, true, true]);
    // Another user has nothing of it.
    world.send("bob", &["mine"]).is(0, &[]);
    assert_eq!(world.resumed("bob", 1), [false]);
    assert_eq!(world.tickets().len(), 2);
}

#[test]
fn without_the_setting_nothing_is_kept() {
    let world = World::new();
    fs::write(world.path("alice/user_config.json"), r#"{"tickets": false}"#).unwrap();
    world.sends("one");
    world.sends("two");
    assert!(world.pipe("alice").end().2.success());
    assert_eq!(world.resumed("alice", 3), [false; 3]);
    assert!(!world.path("run/rsachat").exists());
}

#[test]
fn what_is_no_ticket_is_in_nobodys_way() {
    let world = World::new();
    world.sends("one");
    let spoilt = world.tickets();
    fs::write(&spoilt[0], "rubbish").unwrap();
    world.sends("two");
    let readable = world.tickets();
    assert!(readable.len() == 1 && readable != spoilt);
    fs::set_permissions(&readable[0], fs::Permissions::from_mode(0o644)).unwrap();
    world.sends("three");
    assert!(world.tickets().len() == 1 && world.tickets() != readable);
    assert_eq!(world.resumed("alice", 3), [false; 3]);
    // A ticket that the server knows nothing of.
    let mut changed = fs::read(&world.tickets()[0]).unwrap();
    changed[100] ^= 1;
    fs::write(&world.tickets()[0], changed).unwrap();
    world.sends("four");
    // A directory that others can look into is not used.
    fs::set_permissions(world.path("run/rsachat/tickets"), fs::Permissions::from_mode(0o755)).unwrap();
    world.sends("five");
    assert_eq!(world.resumed("alice", 5), [false; 5]);
    assert_eq!(world.tickets().len(), 1);
}

#[test]
fn fifty_at_once_share_what_tickets_there_are() {
    let world = World::new();
    world.sends("first");
    let children: Vec<Child> =
        (0..50).map(|number| world.sender("alice", &[&format!("number {number}")]).spawn().unwrap()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let resumed = world.resumed("alice", 51);
    assert_eq!(resumed.len(), 51);
    assert!(resumed.contains(&true));
    assert!((1..=8).contains(&world.tickets().len()), "{:?}", world.tickets());
}

#[test]
fn a_ticket_lets_nobody_in_whose_key_was_removed() {
    let world = World::new();
    world.sends("one");
    assert_eq!(world.tickets().len(), 1);
    let key = world.path("server/keys/key_alice.pem");
    fs::rename(&key, world.path("key_alice.pem")).unwrap();
    let refused = |sent: &Sent| sent.code != Some(0);
    until(|| refused(&world.send("alice", &["still there"])));
    world.send("alice", &["no more"]).is(4, &["does not let alice in"]);
    // Who comes back comes by the key.
    fs::rename(world.path("key_alice.pem"), &key).unwrap();
    until(|| !refused(&world.send("alice", &["again"])));
    let first = || {
        let log = world.log();
        let back = log.iter().rposition(|event| event["message"] == "user registered")?;
        log[back..].iter().find(|event| event["message"] == "authenticated").cloned()
    };
    until(|| first().is_some());
    assert_eq!(first().unwrap()["resumed"], false);
}

#[test]
fn a_ticket_hides_no_change_of_the_servers_key() {
    let mut world = World::new();
    world.sends("one");
    assert_eq!(world.tickets().len(), 1);
    world.kill_server();
    copy_private(&data("test_bob.private.pem"), &world.path("server/server_private_key.pem"));
    let _ = fs::remove_file(world.path("server/server_public_key.pem"));
    assert!(world.path("server/ticket_keys").exists(), "it keeps all but its key");
    world.start_server();
    world.send("alice", &["two"]).is(5, &["THE SERVER'S KEY IS NOT THE ONE THAT IS TRUSTED"]);
}
