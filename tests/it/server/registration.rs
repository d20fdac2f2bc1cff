//! The keys directory of a running server: who is added is let in at once, who is removed is out at once, and nothing
//! else changes anything.

use std::fs;
use std::os::unix::fs::symlink;

use rsachat::proto::close::CloseCode;
use rsachat::proto::handshake::wire::RefusalCode;
use rsachat::proto::link::Ended;
use serde_json::json;

use crate::support::PATIENCE;
use crate::support::client::{Client, Conn, Login, Origin, duplicate, refusal};
use crate::support::data_dir::{DataDir, Identity, alice, bob, carol, new_bob, pem, test_keys};
use crate::support::server::Server;

fn try_login(server: &Server, identity: &'static Identity) -> Result<Client, Ended> {
    Client::try_enter(Conn::new(server.address, Origin::default(), Login::Full(identity)))
}

#[test]
fn who_is_added_is_let_in_and_who_is_removed_is_out() {
    let dir = DataDir::new(json!({}));
    let server = Server::start(&dir);
    let mut alice = Client::member(server.address, alice());
    assert_eq!(refusal(try_login(&server, carol())), RefusalCode::AuthenticationFailed);
    server.err.line(&["handshake refused", "authentication failed"]);

    fs::write(dir.key_file("carol"), pem("test_server.pem")).unwrap();
    server.err.line(&["user registered", "user=carol", &carol().key.public().fingerprint().to_string()]);
    let mut carols = [(); 2].map(|()| Client::member(server.address, carol()));
    carols[0].post("here I am");
    assert_eq!(alice.next_message().sender, carol().user);
    assert_eq!(alice.whois(carol().user).unwrap().sessions, 2);
    let resumption = carols[0].resumption();
    let resume = || {
        let login = Login::Resume(carol(), duplicate(&resumption));
        Client::try_enter(Conn::new(server.address, Origin::default(), login))
    };

    fs::remove_file(dir.key_file("carol")).unwrap();
    for carol in &mut carols {
        assert_eq!(carol.wait_close().code, CloseCode::KeyRemoved);
    }
    server.err.line(&["user removed", "user=carol"]);
    server.err.line(&["key removed", "user=carol", "sessions=2"]);
    assert_eq!(refusal(resume()), RefusalCode::TicketRefused);
    assert_eq!(refusal(try_login(&server, carol())), RefusalCode::AuthenticationFailed);
    // What was said stays, and the others notice nothing.
    assert_eq!(alice.history().len(), 1);
    assert!(alice.whois(carol().user).is_err());
    // The same key may come back; what it had before does not.
    fs::write(dir.key_file("carol"), pem("test_server.pem")).unwrap();
    server.err.wait_for(PATIENCE, |text| text.text.matches("user registered").count() == 2);
    assert_eq!(refusal(resume()), RefusalCode::TicketRefused);
    assert!(try_login(&server, carol()).is_ok());
}

#[test]
fn a_replaced_key_ends_the_old_ones_sessions() {
    let dir = DataDir::new(json!({}));
    let server = Server::start(&dir);
    let mut old = Client::member(server.address, bob());
    let resumption = old.resumption();
    fs::write(dir.key_file("bob"), pem("test_server.pem")).unwrap();
    assert_eq!(old.wait_close().code, CloseCode::KeyRemoved);
    server.err.line(&["key replaced", "user=bob"]);
    let resumed = Conn::new(server.address, Origin::default(), Login::Resume(bob(), resumption));
    assert_eq!(refusal(Client::try_enter(resumed)), RefusalCode::TicketRefused);
    assert_eq!(refusal(try_login(&server, bob())), RefusalCode::AuthenticationFailed);
    assert!(try_login(&server, new_bob()).is_ok());
}

#[test]
fn half_a_file_is_no_event() {
    let dir = DataDir::new(json!({}));
    let server = Server::start(&dir);
    let mut bob = Client::member(server.address, bob());
    let whole = pem("test_server.pem");
    let half = whole.get(..whole.len() / 2).unwrap();
    fs::write(dir.key_file("carol"), half).unwrap();
    fs::write(dir.key_file("bob"), half).unwrap();
    // That it stays so is worth a line, no more.
    server.err.line(&["key file refused", "key_carol.pem"]);
    server.err.line(&["key file refused", "key_bob.pem"]);
    bob.people();
    assert_eq!(refusal(try_login(&server, carol())), RefusalCode::AuthenticationFailed);
    // Bob's new key would be carol's, too: his old one is put back.
    fs::write(dir.key_file("bob"), pem("test_bob.pem")).unwrap();
    fs::write(dir.key_file("carol"), &whole).unwrap();
    server.err.line(&["user registered", "user=carol"]);
    assert!(try_login(&server, carol()).is_ok());
    bob.people();
}

#[test]
fn bad_files_are_reported_and_change_nothing() {
    let dir = DataDir::new(json!({}));
    let server = Server::start(&dir);
    let mut bob = Client::member(server.address, bob());
    let keys = dir.file("keys");
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("key.pem"), pem("test_server.pem")).unwrap();
    let files = [
        ("key_a.pem", pem("test_server.private.pem"), "private key"),
        ("key_b.pem", pem("test_1024_bits.pem"), "1024"),
        ("key_c.pem", pem("test_exponent_3.pem"), "exponent"),
        ("key_d.pem", pem("test_alice.pem"), "alice has the same key"),
        ("key_e.pem", "x".repeat(65 * 1024), "64 KiB"),
        ("key_b!d.pem", pem("test_server.pem"), "does not name a user"),
        ("carol.pem", pem("test_server.pem"), "not key_USER.pem"),
        ("key_bob.pem", pem("test_bob.private.pem"), "private key"),
    ];
    for (name, text, _) in &files {
        fs::write(keys.join(name), text).unwrap();
    }
    symlink(outside.path().join("key.pem"), keys.join("key_f.pem")).unwrap();
    fs::create_dir(keys.join("key_g.pem")).unwrap();
    for (name, _, reason) in &files {
        server.err.line(&["key file refused", name, reason]);
    }
    server.err.line(&["key file refused", "key_f.pem", "outside"]);
    server.err.line(&["key file refused", "key_g.pem", "not a regular file"]);
    assert!(!server.err.text().contains("user registered") && !server.err.text().contains("user removed"));
    // Bob's bad file leaves his good key in force.
    bob.people();
    assert!(try_login(&server, crate::support::data_dir::bob()).is_ok());
    assert_eq!(refusal(try_login(&server, carol())), RefusalCode::AuthenticationFailed);
}

#[test]
fn a_directory_that_goes_and_comes_back() {
    let dir = DataDir::new(json!({}));
    let server = Server::start(&dir);
    let mut bob = Client::member(server.address, bob());
    let (keys, elsewhere) = (dir.file("keys"), dir.file("elsewhere"));
    fs::rename(&keys, &elsewhere).unwrap();
    assert_eq!(bob.wait_close().code, CloseCode::KeyRemoved);
    assert_eq!(refusal(try_login(&server, alice())), RefusalCode::AuthenticationFailed);
    // Another directory in its place is watched as well.
    fs::create_dir(&keys).unwrap();
    fs::copy(test_keys().join("test_alice.pem"), dir.key_file("alice")).unwrap();
    server.err.line(&["user registered", "user=alice"]);
    assert!(try_login(&server, alice()).is_ok());
    fs::copy(test_keys().join("test_bob.pem"), dir.key_file("bob")).unwrap();
    server.err.line(&["user registered", "user=bob"]);
    assert!(try_login(&server, crate::support::data_dir::bob()).is_ok());
}
