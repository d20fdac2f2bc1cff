//! Somebody who has nothing but a line that was sent to him.

use rsachat::crypto::rsa::PublicKey;

use super::*;
use crate::support::terminal::type_secret;

/// What is between the quotes of the line to type.
fn link(line: &str) -> String {
    line.strip_prefix("rsachat connect '").unwrap().trim_end().strip_suffix('\'').unwrap().to_owned()
}

impl World {
    /// The operator invites somebody; also the rest of what is typed.
    fn invite(&self, arguments: &[&str]) -> (String, String, i32) {
        let mut command = self.command("server", PROGRAM);
        let output = command.arg("invite").args(arguments).output().unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (out, err, output.status.code().unwrap())
    }

    /// A new user, who has a directory and nothing in it.
    fn newcomer(&self, user: &str) {
        fs::create_dir(self.path(user)).unwrap();
        fs::write(self.path(user).join("passphrase"), "correct horse\n").unwrap();
    }

    fn pipe_by(&self, user: &str, link: &str, more: &[&str]) -> Pipe {
        let mut arguments = vec!["connect".to_owned(), link.to_owned()];
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        self.pipe_of(user, &arguments)
    }
}

#[test]
fn one_line_makes_a_key_pins_the_server_and_lets_in() {
    let world = World::new();
    let (line, err, code) = world.invite(&["carol", "--address", &world.address()]);
    assert!(code == 0 && err.contains("good once, until "), "{err}");
    world.newcomer("carol");
    let unlock = ["--passphrase-file", "passphrase"];
    let mut alice = world.pipe("alice");
    let mut carol = world.pipe_by("carol", &link(&line), &unlock);
    carol.say("hello from carol");
    alice.hears("<carol> hello from carol");
    let (_, err, status) = carol.end();
    assert!(status.success(), "{err}");
    assert!(err.contains("there is no private key for carol here: making one"), "{err}");
    let key = world.path("home/.local/share/rsachat/key_carol.private.pem");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&key).unwrap().contains("BEGIN ENCRYPTED PRIVATE KEY"));
    // From now on without the invitation, and with any way to name the server.
    for address in [link(&line), format!("rsachat://carol@{}/", world.address()), world.address()] {
        let mut carol = world.pipe_by("carol", &address, &["--user", "carol", unlock[0], unlock[1]]);
        carol.say("again");
        carol.hears("<carol> again");
        let (_, err, status) = carol.end();
        assert!(status.success() && err.is_empty(), "{address}: {err}");
    }
}

#[test]
fn a_link_that_is_not_good_is_one_clear_error() {
    let world = World::new();
    let (ended, ..) = world.invite(&["carol", "--address", &world.address(), "--expires", "1s"]);
    let (replaced, ..) = world.invite(&["carol", "--address", &world.address()]);
    world.invite(&["carol", "--address", &world.address()]);
    world.newcomer("carol");
    for line in [ended, replaced] {
        let (lines, err, status) = world.pipe_by("carol", &link(&line), &["--passphrase-file", "passphrase"]).end();
        assert_eq!((lines.len(), status.code()), (0, Some(4)), "{err}");
        let why = "the invitation has expired, was used, or is not the last one made for carol";
        assert!(err.contains(why) && err.contains("hint: ask an admin for another one"), "{err}");
    }
}

#[test]
fn a_link_to_another_server_is_refused_before_anything_is_told_to_it() {
    let world = World::new();
    let (line, ..) = world.invite(&["carol", "--address", &world.address()]);
    let fingerprint = |file| {
        let key = PublicKey::from_pem(&fs::read_to_string(data(file)).unwrap()).unwrap();
        key.fingerprint().to_string()
    };
    let false_server = link(&line).replace(&fingerprint("test_server.pem"), &fingerprint("test_bob.pem"));
    world.newcomer("carol");
    let (_, err, status) = world.pipe_by("carol", &false_server, &["--passphrase-file", "passphrase"]).end();
    assert_eq!(status.code(), Some(5), "{err}");
    assert!(err.contains("THE SERVER'S KEY IS NOT THE ONE THAT IS TRUSTED"), "{err}");
    assert!(world.path("server/invites/invite_carol.json").exists());
}

#[test]
fn who_can_be_asked_for_nothing_is_told_what_to_do() {
    let world = World::new();
    let (line, ..) = world.invite(&["carol", "--address", &world.address()]);
    world.newcomer("carol");
    let (_, err, status) = world.pipe_by("carol", &link(&line), &[]).end();
    assert_eq!(status.code(), Some(2), "{err}");
    assert!(err.contains("--passphrase-file FILE, or before this: rsachat keygen carol --no-passphrase"), "{err}");
    // Which is then used.
    let mut keygen = world.command("carol", PROGRAM);
    assert!(keygen.args(["keygen", "carol", "--no-passphrase"]).output().unwrap().status.success());
    let mut carol = world.pipe_by("carol", &link(&line), &[]);
    carol.say("with a key of my own");
    carol.hears("<carol> with a key of my own");
    assert!(carol.end().2.success());
}

#[test]
fn an_admin_invites_from_the_chat_and_somebody_comes_in_at_a_terminal() {
    let world = World::new();
    let mut alice = world.pipe("alice");
    alice.say("/invite-user dave");
    alice.say("/invite-user carol 1h");
    let line = alice.lines.iter().find(|line| line.starts_with("rsachat connect 'rsachat://carol@")).unwrap();
    assert!(alice.end().2.success());
    world.newcomer("carol");
    let mut carol = world.terminal("carol", &["connect".to_owned(), link(&line)]);
    carol.expect("Keep server and name in").unwrap();
    carol.send("y\r").unwrap();
    type_secret(&mut carol, "New passphrase for", "correct horse");
    type_secret(&mut carol, "again", "correct horse");
    carol.expect("you are in #common").unwrap();
    carol.send("/exit\r").unwrap();
    assert_eq!(end(carol).1, 0);
    // All that is asked for from now on is the passphrase.
    let mut carol = world.terminal("carol", &["connect".to_owned()]);
    type_secret(&mut carol, "Passphrase of", "correct horse");
    carol.expect("you are in #common").unwrap();
    carol.send("/exit\r").unwrap();
    assert_eq!(end(carol).1, 0);
}

#[test]
fn an_address_without_a_port_has_the_servers() {
    let world = World::new();
    let invited = |config: &str, address: &str| {
        fs::write(world.path("server/config.json"), config).unwrap();
        let (line, err, code) = world.invite(&["carol", "--address", address]);
        assert_eq!(code, 0, "{err}");
        line
    };
    let config = r#"{"server_ip": "127.0.0.1", "server_port": 5001}"#;
    assert!(invited(config, "chat.example.org").contains("@chat.example.org:5001/"));
    assert!(invited(config, "chat.example.org:443").contains("@chat.example.org:443/"));
    let any = r#"{"server_ip": "127.0.0.1", "server_port": 0}"#;
    assert!(invited(any, "chat.example.org").contains("@chat.example.org:5000/"));
}
