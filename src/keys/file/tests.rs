use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_written_file_is_whole_private_and_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pem");
    write(&path, b"one", Access::Owner, Existing::Keep).unwrap();
    let contents = read(&path, 3).unwrap();
    assert_eq!((contents.bytes.as_slice(), contents.mode), (&b"one"[..], 0o600));
    assert_eq!(names(directory.path()), ["a.pem"]);
}

#[test]
fn an_existing_file_is_replaced_only_if_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pem");
    write(&path, b"one", Access::Owner, Existing::Keep).unwrap();
    let error = write(&path, b"two", Access::Owner, Existing::Keep).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(*read(&path, 9).unwrap().bytes, b"one");
    write(&path, b"two", Access::Everyone, Existing::Replace).unwrap();
    assert_eq!(*read(&path, 9).unwrap().bytes, b"two");
    assert_eq!(names(directory.path()), ["a.pem"]);
}

#[test]
fn a_link_is_replaced_and_what_it_names_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (other, link) = (directory.path().join("other"), directory.path().join("link"));
    fs::write(&other, "keep me").unwrap();
    symlink(&other, &link).unwrap();
    assert!(write(&link, b"new", Access::Owner, Existing::Keep).is_err());
    write(&link, b"new", Access::Owner, Existing::Replace).unwrap();
    assert_eq!(fs::read_to_string(&other).unwrap(), "keep me");
    assert_eq!(fs::read_to_string(&link).unwrap(), "new");
}

#[test]
fn nothing_is_left_where_writing_failed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("b"), "").unwrap();
    assert!(write(&path, b"new", Access::Owner, Existing::Replace).is_err());
    assert_eq!(names(directory.path()), ["a"]);
    assert!(write(&directory.path().join("no/such"), b"new", Access::Owner, Existing::Keep).is_err());
}

#[test]
fn only_regular_files_within_the_limit_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    fs::write(&path, [0; 1025]).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(read(&path, 1025).unwrap().mode, 0o640);
    assert_eq!(read(&path, 1024).unwrap_err().to_string(), "it is larger than 1 KiB");
    assert!(matches!(read(directory.path(), 9), Err(ReadError::NotRegular)));
    assert!(matches!(read(Path::new("/dev/zero"), 9), Err(ReadError::NotRegular)));
    let pipe = directory.path().join("pipe");
    let status = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(status.success());
    assert!(matches!(read(&pipe, 9), Err(ReadError::NotRegular)));
    assert!(matches!(read(&directory.path().join("none"), 9), Err(ReadError::Io(_))));
}

#[test]
fn a_private_directory_is_made_or_refused_if_others_may_look_into_it() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("run/inner");
    private_dir(&path).unwrap();
    for made in [&path, path.parent().unwrap()] {
        assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
    }
    private_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    assert_eq!(private_dir(&path).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
}
