//! Questions and colours on a real (pseudo-)terminal.

use std::fs;
use std::path::Path;
use std::process::Command;

use expectrl::process::unix::WaitStatus;
use expectrl::session::OsSession;
use expectrl::{Eof, Expect as _, Session};

use crate::support::PATIENCE;
use crate::support::terminal::type_secret;

fn rsachat(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    // The pseudo-terminal comes without echo; with it, one can see when the program turns it off.
    command.args(["-c", "stty echo && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_rsachat")]);
    command.args(arguments).current_dir(dir).env("TERM", "xterm").env_remove("NO_COLOR");
    command
}

fn start(command: Command) -> OsSession {
    let mut session = Session::spawn(command).unwrap();
    session.set_expect_timeout(Some(PATIENCE));
    session
}

/// The rest of what it prints, and how it ends.
fn end(mut session: OsSession) -> (String, i32) {
    let rest = session.expect(Eof).unwrap();
    let text = String::from_utf8_lossy(rest.as_bytes()).into_owned();
    match session.get_process().wait().unwrap() {
        WaitStatus::Exited(_, code) => (text, code),
        status => panic!("{status:?} after {text:?}"),
    }
}

#[test]
fn an_empty_passphrase_is_asked_again_with_what_makes_a_key_without_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut session = start(rsachat(dir.path(), &["keygen", "alice", "--bits", "2048"]));
    type_secret(&mut session, "New passphrase for key_alice.private.pem", "");
    session.expect("the passphrase is empty").unwrap();
    session.expect("--no-passphrase").unwrap();
    type_secret(&mut session, "New passphrase for key_alice.private.pem", "battery");
    type_secret(&mut session, "The same again", "battery");
    let (text, code) = end(session);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_new_passphrase_is_asked_twice_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let mut session = start(rsachat(dir.path(), &["keygen", "alice", "--bits", "2048"]));
    type_secret(&mut session, "New passphrase for key_alice.private.pem", "correct horse");
    type_secret(&mut session, "The same again", "correct house");
    session.expect("they differ; try again").unwrap();
    type_secret(&mut session, "New passphrase for key_alice.private.pem", "battery");
    type_secret(&mut session, "The same again", "battery");
    let (text, code) = end(session);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("SHA256:"), "{text}");
    assert!(!text.contains("horse") && !text.contains("battery"), "{text}");

    // And it opens the key.
    let key = ["key", "public", "key_alice.private.pem"];
    let mut session = start(rsachat(dir.path(), &key));
    type_secret(&mut session, "Passphrase of key_alice.private.pem", "wrong");
    session.expect("not its passphrase").unwrap();
    type_secret(&mut session, "Passphrase of key_alice.private.pem", "battery");
    let (text, code) = end(session);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("BEGIN PUBLIC KEY"), "{text}");
}

#[test]
fn three_wrong_passphrases_are_enough() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("passphrase"), "battery").unwrap();
    let keygen = ["keygen", "alice", "--bits", "2048", "--passphrase-file", "passphrase"];
    let (text, code) = end(start(rsachat(dir.path(), &keygen)));
    assert_eq!(code, 0, "{text}");
    let mut session = start(rsachat(dir.path(), &["key", "show", "key_alice.private.pem"]));
    for _ in 0..3 {
        type_secret(&mut session, "Passphrase of key_alice.private.pem", "guess");
    }
    let (text, code) = end(session);
    assert_eq!(code, 4, "{text}");
    assert!(text.contains("the passphrase is wrong"), "{text}");
}

#[test]
fn a_file_is_replaced_only_after_a_yes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key_alice.pem");
    fs::write(&file, "precious").unwrap();
    for (answer, code, kept) in [("n", 1, true), ("", 1, true), ("y", 0, false)] {
        let keygen = ["keygen", "alice", "--bits", "2048", "--no-passphrase"];
        let mut session = start(rsachat(dir.path(), &keygen));
        session.expect("Replace it?").unwrap();
        session.send_line(answer).unwrap();
        let (text, status) = end(session);
        assert_eq!(status, code, "{answer:?}: {text}");
        assert_eq!(fs::read_to_string(&file).unwrap() == "precious", kept, "{answer:?}");
    }
}

#[test]
fn no_input_asks_nothing_even_on_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let (text, code) = end(start(rsachat(dir.path(), &["keygen", "alice", "--no-input"])));
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("--passphrase-file"), "{text}");
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let dir = tempfile::tempdir().unwrap();
    let coloured = |adjust: fn(&mut Command) -> &mut Command| {
        let mut command = rsachat(dir.path(), &["key", "show", "nothing.pem"]);
        adjust(&mut command);
        let (text, code) = end(start(command));
        assert_eq!(code, 1);
        assert!(text.contains("nothing.pem"), "{text:?}");
        text.contains("\x1b[")
    };
    assert!(coloured(|command| command));
    assert!(coloured(|command| command.env("NO_COLOR", "")));
    assert!(!coloured(|command| command.env("NO_COLOR", "1")));
    assert!(!coloured(|command| command.env("TERM", "dumb")));
    assert!(!coloured(|command| command.args(["--color", "never"])));
    assert!(coloured(|command| command.env("NO_COLOR", "1").args(["--color", "always"])));
}
