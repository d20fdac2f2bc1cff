use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::crypto::rsa::test_keys::{alice, server};

fn name(host: &str) -> ServerName {
    ServerName::new(host, 5000).unwrap()
}

fn line(host: &str) -> String {
    let key = server().public();
    format!("{host}:5000 {} {}", key.fingerprint(), Base64::encode_string(key.spki_der()))
}

#[test]
fn a_server_has_one_spelling() {
    assert_eq!(name("Chat.Example.org").to_string(), "chat.example.org:5000");
    assert_eq!(name("chat.example.org."), name("chat.example.org"));
    assert_eq!(name("::1").to_string(), "[::1]:5000");
    assert_eq!(ServerName::parse("[::1]:5000"), Some(name("::1")));
    assert_eq!(ServerName::parse("a:5000"), Some(name("a")));
    for bad in ["", "a b", "a\n", "#a", "[::1]", "\u{7f}", "it's", "a\\", "a/b", "\u{e4}"] {
        assert_eq!(ServerName::new(bad, 1), None, "{bad:?}");
    }
    for bad in ["a", "a:", "a:70000", ":1"] {
        assert_eq!(ServerName::parse(bad), None, "{bad:?}");
    }
}

#[test]
fn a_pinned_key_is_known_and_another_is_a_mismatch() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("known_servers");
    fs::write(&path, "# mine\n\n# no end of line").unwrap();
    let mut known = KnownServers::load(&path).unwrap();
    assert_eq!(known.check(&name("a"), server().public()), Verdict::Unknown);
    known.pin(&name("a"), server().public()).unwrap();
    known.pin(&name("a"), server().public()).unwrap();
    known.pin(&name("b"), alice().public()).unwrap();
    for known in [known, KnownServers::load(&path).unwrap()] {
        assert_eq!(known.check(&name("A"), server().public()), Verdict::Trusted);
        let pinned = server().public().fingerprint();
        assert_eq!(known.check(&name("a"), alice().public()), Verdict::Mismatch { pinned, line: 4 });
        assert_eq!(known.find(&name("b")).unwrap().line, 5);
        assert_eq!(known.check(&name("c"), alice().public()), Verdict::Unknown);
    }
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(fs::read_to_string(&path).unwrap().starts_with("# mine\n\n# no end of line\na:5000 SHA256:"));
}

#[test]
fn pins_of_another_client_are_kept_and_obeyed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("known_servers");
    let mut first = KnownServers::load(&path).unwrap();
    let mut second = KnownServers::load(&path).unwrap();
    first.pin(&name("a"), server().public()).unwrap();
    second.pin(&name("b"), server().public()).unwrap();
    let error = second.pin(&name("a"), alice().public()).unwrap_err();
    assert!(matches!(error.problem, Problem::Pinned { line: 1 }));
    assert_eq!(KnownServers::load(&path).unwrap().pins.len(), 2);
}

#[test]
fn a_garbled_line_is_an_error_with_its_number() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("known_servers");
    let good = line("a");
    let spki = Base64::encode_string(alice().public().spki_der());
    let tampered = format!("a:5000 {} {spki}", server().public().fingerprint());
    for (bad, message) in [
        ("a:5000".to_owned(), "line 3: HOST:PORT SHA256:... KEY is expected"),
        (format!("{good} more"), "line 3: HOST:PORT SHA256:... KEY is expected"),
        (good.replace("a:5000", "a"), "line 3: \"a\" is not HOST:PORT"),
        (format!("{good}!"), "line 3: the key is not base64"),
        (tampered, "line 3: the fingerprint is not the key's"),
        (
            good.replace(good.split(' ').next_back().unwrap(), "AAAA"),
            "line 3: the key is not acceptable: its contents are not a well-formed RSA public key",
        ),
        (line("B"), "line 3: line 2 is for the same server"),
    ] {
        fs::write(&path, format!("# servers\n{}\n{bad}\n", line("b"))).unwrap();
        let error = KnownServers::load(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("{}: {message}", path.display()));
    }
    fs::write(&path, b"\xff").unwrap();
    assert!(matches!(KnownServers::load(&path).unwrap_err().problem, Problem::NotText));
}

#[test]
fn clients_that_pin_at_once_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("known_servers");
    let key = alice().public();
    let name = |number: u16| ServerName::new("chat.example.org", number).unwrap();
    std::thread::scope(|scope| {
        for number in 1..=16 {
            let path = &path;
            scope.spawn(move || KnownServers::load(path).unwrap().pin(&name(number), key).unwrap());
        }
    });
    let known = KnownServers::load(&path).unwrap();
    assert!((1..=16).all(|number| known.check(&name(number), key) == Verdict::Trusted));
}
