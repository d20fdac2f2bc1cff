//! Invitations: who has one is let in at once, once, and nobody else.

use std::fs;
use std::time::{Duration, Instant};

use rsachat::crypto::invite::InviteToken;
use rsachat::crypto::rsa::PrivateKey;
use rsachat::keys::invites::Invites;
use rsachat::model::{Timestamp, UserName};
use rsachat::proto::close::CloseCode;
use rsachat::proto::handshake::wire::RefusalCode;
use rsachat::proto::link::Ended;
use rsachat::proto::message::{ErrorCode, InviteUser, Reply, Request};
use rustix::process::Signal;
use serde_json::json;

use crate::support::PATIENCE;
use crate::support::client::{Client, Conn, Login, Origin, refusal};
use crate::support::data_dir::{DataDir, Identity, alice, bob, carol, pem};
use crate::support::server::Server;

const HOUR: Duration = Duration::from_secs(3600);

fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

/// As `rsachat invite` does it.
fn invite(dir: &DataDir, name: &str, good: Duration) -> InviteToken {
    let until = Timestamp::now().after(good);
    let invites = Invites::new(&dir.path().join("invites"));
    invites.issue(&invites.lock().unwrap(), &user(name), until, &mut rand::rng()).unwrap()
}

fn comes(server: &Server, identity: &'static Identity, token: &InviteToken) -> Result<Client, Ended> {
    Client::try_enter(Conn::new(server.address, Origin::default(), Login::Invited(identity, token.clone())))
}

/// Somebody of this name, with a key that may be another's.
fn with_key(name: &str, file: &str) -> &'static Identity {
    Box::leak(Box::new(Identity { user: user(name), key: PrivateKey::from_pem(&pem(file), None).unwrap() }))
}

#[test]
fn who_is_invited_is_let_in_once_and_a_user_like_all_others() {
    let dir = DataDir::new(json!({}));
    let server = Server::start(&dir);
    let mut alice = Client::member(server.address, alice());
    let token = invite(&dir, "carol", HOUR);
    let mut first = comes(&server, carol(), &token).unwrap();
    first.join(None);
    first.post("here I am");
    assert_eq!(alice.next_message().sender, carol().user);
    assert_eq!(alice.whois(carol().user).unwrap().fingerprint, carol().key.public().fingerprint());
    assert_eq!(fs::read_to_string(dir.key_file("carol")).unwrap(), carol().key.public().to_pem());
    assert!(!dir.path().join("invites/invite_carol.json").exists());
    // The same link again, and without it.
    assert!(comes(&server, carol(), &token).is_ok());
    Client::login(server.address, carol());
    // Whoever finds the link has another key.
    let finder = with_key("carol", "test_bob.private.pem");
    assert_eq!(refusal(comes(&server, finder, &token)), RefusalCode::AuthenticationFailed);
    // And once she is out, it brings nobody back.
    fs::remove_file(dir.key_file("carol")).unwrap();
    assert_eq!(first.wait_close().code, CloseCode::KeyRemoved);
    assert_eq!(refusal(comes(&server, carol(), &token)), RefusalCode::AuthenticationFailed);
}

#[test]
fn what_is_no_invitation_lets_nobody_in_and_spoils_none() {
    let dir = DataDir::new(json!({}));
    let server = Server::start(&dir);
    let ended = invite(&dir, "carol", Duration::ZERO);
    assert_eq!(refusal(comes(&server, carol(), &ended)), RefusalCode::AuthenticationFailed);
    server.err.line(&["invitation refused", "user=carol", "it ended at"]);
    let good = invite(&dir, "carol", HOUR);
    let daves = invite(&dir, "dave", HOUR);
    for wrong in [ended, daves.clone(), InviteToken::random(&mut rand::rng())] {
        assert_eq!(refusal(comes(&server, carol(), &wrong)), RefusalCode::AuthenticationFailed);
    }
    // A key is one user's.
    let twice = with_key("dave", "test_bob.private.pem");
    assert_eq!(refusal(comes(&server, twice, &daves)), RefusalCode::AuthenticationFailed);
    server.err.line(&["invitation refused", "user=dave", "another user has this key: bob"]);
    // Nor does one replace a key.
    let alices = invite(&dir, "alice", HOUR);
    let false_alice = with_key("alice", "test_server.private.pem");
    assert_eq!(refusal(comes(&server, false_alice, &alices)), RefusalCode::AuthenticationFailed);
    assert!(comes(&server, carol(), &good).is_ok());
}

#[test]
fn of_two_who_come_with_one_link_one_gets_in() {
    let dir = DataDir::new(json!({}));
    fs::remove_file(dir.key_file("mallory")).unwrap();
    let server = Server::start(&dir);
    let token = invite(&dir, "dave", HOUR);
    let two = ["test_server.private.pem", "test_mallory.private.pem"].map(|file| with_key("dave", file));
    let come = || {
        std::thread::scope(|scope| {
            let both = two.map(|identity| scope.spawn(|| comes(&server, identity, &token).is_ok()));
            both.map(|thread| thread.join().unwrap())
        })
    };
    let first = come();
    assert!(first[0] != first[1], "{first:?}");
    assert_eq!(come(), first);
}

#[test]
fn an_admin_invites_and_it_is_good_after_a_crash() {
    let dir = DataDir::new(json!({ "message_log": "log" }));
    let server = Server::start(&dir);
    let ask = |client: &mut Client, name: &str, seconds| {
        client.call(&Request::InviteUser(InviteUser { user: user(name), seconds })).1
    };
    let mut alice = Client::login(server.address, alice());
    let mut bob = Client::login(server.address, bob());
    assert!(matches!(ask(&mut bob, "carol", None), Reply::Error(refused) if refused.code == ErrorCode::Forbidden));
    assert!(matches!(ask(&mut alice, "bob", None), Reply::Error(refused) if refused.code == ErrorCode::Conflict));
    let Reply::Invited(first) = ask(&mut alice, "carol", None) else { panic!("no invitation") };
    let Reply::Invited(invited) = ask(&mut alice, "carol", Some(60)) else { panic!("no invitation") };
    assert!(invited.user == user("carol") && invited.until < first.until);
    // The log is written behind the answers, and a kill takes what is not written yet.
    let start = Instant::now();
    let is_logged = |log: String| log.contains(r#""event":"invite","user":"alice","target":"carol""#);
    while !fs::read_to_string(dir.file("log")).is_ok_and(is_logged) {
        assert!(start.elapsed() < PATIENCE, "it is not logged");
        std::thread::yield_now();
    }
    server.signal(Signal::KILL);
    server.wait();
    let server = Server::start(&dir);
    assert_eq!(refusal(comes(&server, carol(), &first.token)), RefusalCode::AuthenticationFailed);
    assert!(comes(&server, carol(), &invited.token).is_ok());
    server.signal(Signal::TERM);
    server.wait();
    let log = fs::read_to_string(dir.file("log")).unwrap();
    assert!(!log.contains(&*invited.token.to_text()));
}

#[test]
fn a_disk_that_takes_nothing_lets_nobody_in_and_loses_no_invitation() {
    let dir = DataDir::new(json!({}));
    let server = Server::start(&dir);
    let token = invite(&dir, "carol", HOUR);
    // Also a superuser can't make a file in what is none.
    let keys = dir.path().join("keys");
    fs::rename(&keys, dir.path().join("elsewhere")).unwrap();
    fs::write(&keys, "").unwrap();
    assert_eq!(refusal(comes(&server, carol(), &token)), RefusalCode::AuthenticationFailed);
    server.err.line(&["somebody who was invited could not be registered", "user=carol"]);
    fs::remove_file(&keys).unwrap();
    fs::rename(dir.path().join("elsewhere"), &keys).unwrap();
    assert!(comes(&server, carol(), &token).is_ok());
}

#[test]
fn who_is_registered_by_hand_is_invited_no_more() {
    let dir = DataDir::new(json!({}));
    let server = Server::start(&dir);
    let token = invite(&dir, "carol", HOUR);
    fs::write(dir.key_file("carol"), pem("test_server.pem")).unwrap();
    server.err.line(&["user registered", "user=carol"]);
    fs::remove_file(dir.key_file("carol")).unwrap();
    server.err.line(&["user removed", "user=carol"]);
    assert_eq!(refusal(comes(&server, carol(), &token)), RefusalCode::AuthenticationFailed);
}

#[test]
fn an_invitation_of_somebody_who_is_registered_by_hand_is_gone_at_the_next_start() {
    let dir = DataDir::new(json!({}));
    let token = invite(&dir, "carol", HOUR);
    fs::write(dir.key_file("carol"), pem("test_server.pem")).unwrap();
    let server = Server::start(&dir);
    assert!(!dir.path().join("invites/invite_carol.json").exists());
    fs::remove_file(dir.key_file("carol")).unwrap();
    server.err.line(&["user removed", "user=carol"]);
    assert_eq!(refusal(comes(&server, carol(), &token)), RefusalCode::AuthenticationFailed);
}
