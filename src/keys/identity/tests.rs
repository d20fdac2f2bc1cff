use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::crypto::rsa::test_keys::alice;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_key_file_opens_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key_alice.private.pem");
    let rng = &mut rand::rng();
    write_private(&path, alice(), None, Existing::Keep, rng).unwrap();
    let file = KeyFile::read(&path).unwrap();
    assert!(!file.is_encrypted());
    assert_eq!(file.open(None).unwrap().public(), alice().public());

    let exists = write_private(&path, alice(), Some("secret"), Existing::Keep, rng).unwrap_err();
    assert!(matches!(exists.problem, Problem::Exists));
    write_private(&path, alice(), Some("secret"), Existing::Replace, rng).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let file = KeyFile::read(&path).unwrap();
    assert!(file.is_encrypted());
    assert_eq!(file.open(Some("secret")).unwrap().public(), alice().public());
    let wrong = file.open(Some("guess")).unwrap_err();
    assert_eq!(wrong.to_string(), format!("{}: the passphrase is wrong", path.display()));
}

#[test]
fn a_private_key_that_others_can_read_is_refused_with_the_line_to_type() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("my key.pem");
    write_private(&path, alice(), None, Existing::Keep, &mut rand::rng()).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o644] {
        set_mode(&path, mode);
        let error = KeyFile::read(&path).err().unwrap();
        assert_eq!(error.hint().unwrap(), format!("chmod 600 '{}'", path.display()));
    }
    set_mode(&path, 0o400);
    assert!(KeyFile::read(&path).is_ok());
}

#[test]
fn what_is_no_private_key_file_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    assert!(matches!(KeyFile::read(&path).err().unwrap().problem, Problem::Missing));
    write_public(&path, alice().public(), Existing::Keep).unwrap();
    set_mode(&path, 0o644);
    let error = KeyFile::read(&path).unwrap().open(None).unwrap_err();
    assert!(matches!(error.problem, Problem::Private(PrivateKeyError::PublicKey)));
    fs::write(&path, b"-----BEGIN \xff").unwrap();
    assert!(matches!(KeyFile::read(&path).err().unwrap().problem, Problem::Private(PrivateKeyError::NotPem)));
    fs::write(&path, vec![b'a'; 64 * 1024 + 1]).unwrap();
    let error = KeyFile::read(&path).err().unwrap();
    assert_eq!(error.to_string(), format!("{}: it is larger than 64 KiB", path.display()));
}

#[test]
fn a_public_key_file_reads_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key_alice.pem");
    write_public(&path, alice().public(), Existing::Keep).unwrap();
    assert_eq!(&read_public(&path).unwrap(), alice().public());
    fs::write(&path, alice().to_pem().unwrap().as_bytes()).unwrap();
    let error = read_public(&path).unwrap_err();
    assert!(matches!(error.problem, Problem::Public(PublicKeyError::PrivateKey)));
    assert!(error.hint().unwrap().contains("rsachat key public "));
}
