//! What the machine may refuse: ports, directories, room on the disk, files; and databases that are not ours.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rsachat::proto::message::{ErrorCode, Reply};
use rusqlite::Connection;
use rustix::process::{Pid, Resource, Rlimit, Signal, Uid, getuid, prlimit};
use rustix::thread::set_thread_uid;
use serde_json::json;

use crate::support::client::{Client, Conn, Login, Origin, message_id, post};
use crate::support::data_dir::{DataDir, alice, bob, fill, pem};
use crate::support::process::Ended;
use crate::support::server::{Server, run, serve, stored, wrapped};

/// Runs a server that can't start, and checks what it says.
fn refused(command: Command, parts: &[&str]) -> Ended {
    let ended = run(command);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.err);
    assert!(ended.err.contains("rsachat: error: ") && ended.err.contains("rsachat: hint: "), "{}", ended.err);
    assert!(!ended.out.contains("listening"), "{}", ended.out);
    for part in parts {
        assert!(ended.err.contains(part), "no {part:?} in: {}", ended.err);
    }
    ended
}

/// Nobody in particular, even if the tests are run by root.
const NOBODY: u32 = 65534;

/// The server, run by somebody who has no privileges, in a directory of his.
fn unprivileged(dir: &Path) -> Command {
    if !getuid().is_root() {
        return serve(dir);
    }
    // The program may be where only root gets.
    let program = dir.join("rsachat");
    fs::copy(env!("CARGO_BIN_EXE_rsachat"), &program).unwrap();
    for path in ["", "config.json", "keys", "server_private_key.pem", "server_public_key.pem"] {
        chown(dir.join(path), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let mut command = Command::new(program);
    command.args(["serve", "--data-dir"]).arg(dir).uid(NOBODY).gid(NOBODY);
    command
}

/// Whether the machine refuses a port to who has no privileges. Some containers refuse none, whatever they say.
fn is_privileged(port: u16) -> bool {
    let bind = move || {
        if getuid().is_root() {
            set_thread_uid(Uid::from_raw(NOBODY)).unwrap();
        }
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    };
    // The user is the thread's alone.
    std::thread::spawn(bind).join().unwrap()
}

#[test]
fn a_port_that_is_taken() {
    let [dir, other] = [(); 2].map(|()| DataDir::new(json!({})));
    let server = Server::start(&dir);
    let port = server.address.port().to_string();
    let mut command = serve(other.path());
    command.args(["--server-port", &port]);
    refused(command, &["can't listen at 127.0.0.1:", &port, "in use", "--server-port"]);
    assert!(!other.file("rsachat.db").exists());
}

#[test]
fn an_address_that_is_not_ours() {
    let dir = DataDir::new(json!({ "server_ip": "192.0.2.1" }));
    refused(serve(dir.path()), &["can't listen at 192.0.2.1:0", "--server-ip"]);
}

#[test]
fn a_port_that_needs_a_privilege() {
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let Some(port) = first.trim().parse::<u16>().unwrap().checked_sub(1).filter(|port| *port > 0) else { return };
    if !is_privileged(port) {
        return;
    }
    let dir = DataDir::new(json!({ "server_port": port }));
    refused(unprivileged(dir.path()), &["ermission denied", "--server-port 5000"]);
}

#[test]
fn a_directory_that_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = serve(&dir.path().join("nowhere"));
    command.args(["--server-ip", "127.0.0.1", "--server-port", "0"]);
    refused(command, &["nowhere", "--data-dir"]);
}

#[test]
fn a_directory_that_is_read_only() {
    let dir = DataDir::new(json!({}));
    let command = unprivileged(dir.path());
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    refused(command, &["rsachat.db", "ermission denied", "must be able to write"]);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(!dir.file("rsachat.db").exists());
}

#[test]
fn a_private_key_that_others_can_read() {
    let dir = DataDir::new(json!({}));
    fs::set_permissions(dir.file("server_private_key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let ended = run(serve(dir.path()));
    assert_ne!(ended.status.code(), Some(0));
    assert!(ended.err.contains("chmod 600") && ended.err.contains("server_private_key.pem"), "{}", ended.err);
}

#[test]
fn a_second_server_in_the_same_directory() {
    let dir = DataDir::new(json!({}));
    let server = Server::start(&dir);
    let mut client = Client::member(server.address, alice());
    client.post("before");
    refused(serve(dir.path()), &["rsachat.db is in use by another server", "--data-dir"]);
    // The first one has not noticed.
    client.post("after");
    server.signal(Signal::TERM);
    server.wait();
    assert_eq!(stored(&dir).len(), 2);
}

/// Posts that the disk has no room for wait, or are refused; everything else goes on. When the disk takes them again, so
/// does the server, by itself.
fn disk_fails_and_recovers(server: &Server, fail: impl FnOnce(), recover: impl FnOnce()) {
    let mut client = Client::member(server.address, alice());
    let mut other = Client::member(server.address, bob());
    client.post("while all is well");
    other.next_message();
    fail();
    // The first ones may still find room.
    let mut asked = Vec::new();
    while !server.err.text().contains("messages can't be stored") {
        asked.push(client.conn.send(&post(message_id(), &"to no avail ".repeat(300), false)));
        client.people();
        assert!(asked.len() < 2000, "the disk never fails");
    }
    let log = server.err.line(&["messages can't be stored"]);
    assert!(log.contains("ERROR"), "{log}");
    let refusal = client.try_post("no room").unwrap_err();
    assert_eq!(refusal.code, ErrorCode::StorageUnavailable, "{refusal:?}");
    assert!(refusal.hint.is_some() && refusal.retry_after_ms.is_some());
    // Who is here can read, and others can come.
    assert_eq!(other.people().total, 2);
    assert!(!Client::member(server.address, bob()).history().is_empty());
    recover();
    server.err.line(&["messages can be stored again"]);
    let mut accepted = 0;
    let mut late = 0;
    for id in asked {
        match client.wait("the late answer", |conn| conn.take_reply(id)).1 {
            Reply::Accepted(place) => {
                accepted += 1;
                late = place.seq.0;
            }
            Reply::Error(refused) => assert_eq!(refused.code, ErrorCode::StorageUnavailable),
            reply => panic!("{reply:?}"),
        }
    }
    assert!(accepted > 0);
    // What was refused has no number, what was accepted has one each.
    assert_eq!(late, accepted + 1);
    assert_eq!(client.post("all is well again").seq.0, accepted + 2);
}

/// A disk of two megabytes, in a mount namespace of the server's own. This needs the right to mount: root with
/// `CAP_SYS_ADMIN`, or user namespaces. Where neither is to be had the test fails, rather than pass untried; a container
/// gets the first by `--cap-add SYS_ADMIN`.
#[test]
fn a_disk_that_is_full() {
    let files = tempfile::tempdir().unwrap();
    fill(files.path(), json!({ "message_rate": 10_000, "message_burst": 10_000 }));
    let disk = tempfile::tempdir().unwrap();
    let script =
        "mount -t tmpfs -o size=2m tmpfs \"$2\" && cp -r \"$1\"/. \"$2\" && exec \"$3\" serve --data-dir \"$2\"";
    let mut command = Command::new("unshare");
    command.arg(if getuid().is_root() { "-m" } else { "-rm" }).args(["sh", "-c", script, "sh"]);
    command.args([files.path(), disk.path()]).arg(env!("CARGO_BIN_EXE_rsachat"));
    let server = Server::launch(command);
    let inside = Path::new("/proc").join(server.pid().to_string()).join("root");
    let filler = inside.join(disk.path().strip_prefix("/").unwrap()).join("filler");
    let fail = || {
        let mut file = fs::File::create(&filler).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    };
    disk_fails_and_recovers(&server, fail, || fs::remove_file(&filler).unwrap());
    server.err.line(&["no room left on the disk"]);
}

/// As when a disk becomes read-only under the server: every write fails, until none does. (A file system with open files
/// can't be remounted read-only by anybody but the kernel. To SQLite an error of a write is the same, whatever it is
/// called: here EFBIG by the limit of file sizes.)
#[test]
fn a_disk_that_takes_no_writes() {
    let dir = DataDir::new(json!({ "message_rate": 10_000, "message_burst": 10_000 }));
    let server = Server::launch(wrapped("trap '' XFSZ;", dir.path()));
    let pid = Pid::from_raw(server.pid().cast_signed());
    let limit = |current| {
        prlimit(pid, Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
    };
    disk_fails_and_recovers(&server, || limit(Some(0)), || limit(None));
    server.err.line(&["the disk fails"]);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().status.code(), Some(0));
}

#[test]
fn a_disk_that_never_recovers_does_not_keep_the_server() {
    let dir = DataDir::new(json!({}));
    let server = Server::launch(wrapped("trap '' XFSZ;", dir.path()));
    let mut client = Client::member(server.address, alice());
    client.post("kept");
    let pid = Pid::from_raw(server.pid().cast_signed());
    prlimit(pid, Resource::Fsize, Rlimit { current: Some(0), maximum: None }).unwrap();
    client.conn.send(&post(message_id(), "never acknowledged", false));
    client.conn.advance();
    server.err.line(&["messages can't be stored"]);
    server.signal(Signal::TERM);
    assert_eq!(client.wait_close().code, rsachat::proto::close::CloseCode::Shutdown);
    drop(client);
    let ended = server.wait();
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.err.contains("what was not acknowledged is lost"), "{}", ended.err);
    // What was acknowledged is there.
    let server = Server::start(&dir);
    assert_eq!(Client::member(server.address, alice()).history().len(), 1);
}

#[test]
fn too_many_open_files() {
    let dir = DataDir::new(json!({}));
    let server = Server::launch(wrapped("ulimit -n 64;", dir.path()));
    server.err.line(&["fewer open files", "allowed=64"]);
    let mut client = Client::member(server.address, alice());
    let mut silent: Vec<TcpStream> = Vec::new();
    while !server.err.text().contains("no more connections can be taken") {
        silent.push(TcpStream::connect(server.address).unwrap());
        client.people();
        assert!(silent.len() < 200);
    }
    // Who is here is served, to the disk.
    client.post("still here");
    // Who comes waits, and is let in when there is room.
    let mut late = Client::new(Conn::new(server.address, Origin::default(), Login::Full(bob())));
    late.conn.advance();
    client.post("still here");
    assert!(late.conn.welcome.is_none());
    silent.clear();
    late.wait("the welcome", |conn| conn.welcome.is_some().then_some(()));
    late.join(None);
    late.post("in at last");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().status.code(), Some(0));
    assert_eq!(stored(&dir).len(), 3);
}

/// A directory with a database in which something was said.
fn used() -> DataDir {
    let dir = DataDir::new(json!({}));
    let server = Server::start(&dir);
    let mut client = Client::member(server.address, alice());
    for _ in 0..100 {
        client.post(&"something ".repeat(100));
    }
    drop(client);
    server.signal(Signal::TERM);
    server.wait();
    dir
}

/// Every file of the database, with what is in it.
fn database(dir: &DataDir) -> Vec<(String, Vec<u8>, i64)> {
    let mut files: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("rsachat.db"))
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap(), entry.metadata().unwrap().mtime_nsec())
        })
        .collect();
    files.sort();
    files
}

fn untouched(dir: &DataDir, parts: &[&str]) {
    let before = database(dir);
    refused(serve(dir.path()), parts);
    assert!(database(dir) == before, "the server has changed what it refused");
}

#[test]
fn a_database_of_a_newer_version() {
    let dir = used();
    let connection = Connection::open(dir.file("rsachat.db")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    connection.close().unwrap();
    untouched(&dir, &["newer rsachat", "format 99", "nothing was changed"]);
}

#[test]
fn a_database_of_another_program() {
    let dir = DataDir::new(json!({}));
    let connection = Connection::open(dir.file("rsachat.db")).unwrap();
    connection.execute_batch("CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup')").unwrap();
    connection.close().unwrap();
    untouched(&dir, &["not a database of rsachat", "nothing was changed"]);
    fs::write(dir.file("rsachat.db"), "Dear diary,\n".repeat(1000)).unwrap();
    untouched(&dir, &["not a database of rsachat", "nothing was changed"]);
}

#[test]
fn a_database_that_is_damaged() {
    let good = used();
    let file = good.file("rsachat.db");
    let whole = fs::read(&file).unwrap();
    // A page that is none, in several places; and the end cut off.
    for page in [1, 2, 5, whole.len() / 4096 - 2] {
        let mut damaged = whole.clone();
        damaged[page * 4096..(page + 1) * 4096].fill(0xa5);
        fs::write(&file, damaged).unwrap();
        untouched(&good, &["is damaged", "nothing was changed", ".recover"]);
    }
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    untouched(&good, &["is damaged", "nothing was changed"]);
    // What was refused works when it is whole again.
    fs::write(&file, &whole).unwrap();
    let server = Server::start(&good);
    assert_eq!(Client::member(server.address, alice()).history().len(), 100);
}

#[test]
fn the_public_key_beside_the_servers_is_its_own() {
    let dir = DataDir::new(json!({}));
    let public = dir.file("server_public_key.pem");
    fs::write(&public, pem("test_bob.pem")).unwrap();
    let server = Server::start(&dir);
    server.err.line(&["warning", "server_public_key.pem is not the public half"]);
    server.kill();
    assert_eq!(fs::read_to_string(&public).unwrap(), pem("test_bob.pem"));
    fs::remove_file(&public).unwrap();
    let server = Server::start(&dir);
    server.err.line(&["made", "server_public_key.pem"]);
    assert_eq!(fs::read_to_string(&public).unwrap(), pem("test_server.pem"));
}
