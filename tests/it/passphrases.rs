//! What a person at a terminal is asked about keys, and what shows there.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use expectrl::process::Termios as _;
use expectrl::session::OsSession;
use expectrl::{Eof, Expect as _, Session};

/// Runs the program on a terminal of its own, which shows what is typed, as terminals do: expectrl's would not.
fn start(directory: &Path, arguments: &[&str]) -> OsSession {
    let mut command = Command::new("sh");
    command.args(["-c", "stty echo && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_rsachat")]);
    command.args(arguments).current_dir(directory).env("TERM", "xterm").env("NO_COLOR", "1");
    let mut session = Session::spawn(command).unwrap();
    session.set_expect_timeout(Some(Duration::from_secs(60)));
    session
}

/// Waits for a question and answers it.
fn answer(session: &mut OsSession, question: &str, text: &str) {
    session.expect(question).unwrap();
    session.send_line(text).unwrap();
}

/// Waits for a question whose answer must not show, and answers it once nothing shows; what the terminal showed until
/// then.
fn answer_hidden(session: &mut OsSession, question: &str, text: &str) -> String {
    let shown = session.expect(question).unwrap();
    while session.is_echo().unwrap() {
        std::thread::yield_now();
    }
    session.send_line(text).unwrap();
    String::from_utf8_lossy(shown.as_bytes()).into_owned()
}

/// Waits for the end; what the terminal showed until then, and the exit code.
fn finish(mut session: OsSession) -> (String, i32) {
    use expectrl::process::unix::WaitStatus;
    let shown = String::from_utf8_lossy(session.expect(Eof).unwrap().as_bytes()).into_owned();
    match session.get_process().wait().unwrap() {
        WaitStatus::Exited(_, code) => (shown, code),
        status => panic!("{status:?}"),
    }
}

#[test]
fn a_new_passphrase_is_asked_for_twice_and_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let mut session = start(directory.path(), &["keygen", "alice", "--bits", "2048"]);
    let mut shown = answer_hidden(&mut session, "New passphrase for key_alice.private.pem", "one-secret");
    shown += &answer_hidden(&mut session, "The same again", "other-secret");
    // They differ, so it is asked for anew. An empty one is refused.
    shown += &answer_hidden(&mut session, "New passphrase", "");
    let (rest, code) = finish(session);
    shown += &rest;
    assert!(shown.contains("they differ") && shown.contains("the passphrase is empty"), "{shown}");
    assert_eq!(code, 2, "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
    assert!(!directory.path().join("key_alice.private.pem").exists());

    let mut session = start(directory.path(), &["keygen", "alice", "--bits", "2048"]);
    let mut shown = answer_hidden(&mut session, "New passphrase for key_alice.private.pem", "one-secret");
    shown += &answer_hidden(&mut session, "The same again", "one-secret");
    let (rest, code) = finish(session);
    shown += &rest;
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains("secret"), "{shown}");

    // Three tries to unlock it.
    let mut session = start(directory.path(), &["key", "show", "key_alice.private.pem"]);
    answer_hidden(&mut session, "Passphrase of key_alice.private.pem", "guess");
    answer_hidden(&mut session, "try again", "one-secret");
    let (rest, code) = finish(session);
    assert_eq!(code, 0, "{rest}");
    assert!(rest.contains("2048 SHA256:"), "{rest}");
    let mut session = start(directory.path(), &["key", "show", "key_alice.private.pem"]);
    answer_hidden(&mut session, "Passphrase of key_alice.private.pem", "guess");
    answer_hidden(&mut session, "try again", "guess");
    answer_hidden(&mut session, "try again", "guess");
    let (rest, code) = finish(session);
    assert_eq!(code, 4, "{rest}");
    assert!(rest.contains("the passphrase is wrong"), "{rest}");
}

#[test]
fn overwriting_is_asked_about() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key_alice.private.pem");
    std::fs::write(&path, "precious").unwrap();
    let arguments = ["keygen", "alice", "--bits", "2048", "--no-passphrase"];
    let mut session = start(directory.path(), &arguments);
    answer(&mut session, "key_alice.private.pem exists already. Replace it?", "n");
    let (rest, code) = finish(session);
    assert_eq!(code, 1, "{rest}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    let mut session = start(directory.path(), &arguments);
    answer(&mut session, "Replace it?", "y");
    let (rest, code) = finish(session);
    assert_eq!(code, 0, "{rest}");
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));
}
