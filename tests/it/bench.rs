//! The load tool: that its counts are right, that it tells of what goes wrong, and that nothing of it stays behind.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::support::PATIENCE;
use super::support::data_dir::{DataDir, alice, bob};
use super::support::server::Server;

fn bench(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rsachat"))
        .arg("bench")
        .args(arguments)
        .current_dir(dir)
        .env("TMPDIR", dir)
        .output()
        .unwrap()
}

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn entries(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[test]
fn fan_out_follows_each_message_to_each_connection() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["fan-out", "--spawn", "--clients", "20", "--senders", "3", "--count", "200", "--json"];
    let report = report(&bench(dir.path(), &arguments));
    assert_eq!((&report["clients"], &report["senders"]), (&20.into(), &3.into()));
    assert_eq!(report["delivery"]["count"], 200 * 20);
    assert_eq!(report["acceptance"]["count"], 200);
    assert!(report["delivery"]["p50_ms"].as_f64().unwrap() > 0.0);
    for fault in ["lost", "duplicated", "disordered", "refused", "unacknowledged", "disconnected"] {
        assert_eq!(report["faults"][fault], 0, "{fault}");
    }
    if cfg!(target_os = "linux") {
        assert!(report["cpu_s_per_million"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(entries(dir.path()), 0, "something stayed behind");
}

#[test]
fn a_rate_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["fan-out", "--spawn", "--clients", "5", "--rate", "50", "--count", "50", "--json"];
    let report = report(&bench(dir.path(), &arguments));
    // The last of 50 messages is due 0.98 s after the first.
    assert!(report["seconds"].as_f64().unwrap() >= 0.98, "{report}");
    assert_eq!(report["acceptance"]["count"], 50);
}

#[test]
fn refusals_are_counted_and_make_the_exit_code_6() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("small.json");
    fs::write(&config, r#"{"server_ip": "127.0.0.1", "server_port": 0, "message_bytes": 10}"#).unwrap();
    let arguments = [
        "fan-out",
        "--spawn",
        "--config",
        "small.json",
        "--clients",
        "5",
        "--size",
        "11",
        "--rate",
        "20",
        "--count",
        "9",
    ];
    let output = bench(dir.path(), &arguments);
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(" refused: the message has 11 bytes, the server takes 10"), "{said}");
    assert_eq!(entries(dir.path()), 1, "something stayed behind");
}

#[test]
fn storms_and_idle_connections_are_measured() {
    let dir = tempfile::tempdir().unwrap();
    let full = report(&bench(dir.path(), &["storm", "--spawn", "--clients", "10", "--json"]));
    assert_eq!((&full["connections"], &full["entering"]["count"]), (&10.into(), &10.into()));
    let resumed = report(&bench(dir.path(), &["storm", "--spawn", "--clients", "50", "--resumed", "--json"]));
    assert_eq!(resumed["entering"]["count"], 50);
    let idle = report(&bench(dir.path(), &["idle", "--spawn", "--clients", "50", "--duration", "200ms", "--json"]));
    assert_eq!((&idle["connections"], &idle["disconnected"]), (&50.into(), &0.into()));
}

#[test]
fn all_come_back_after_a_fall_of_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let report = report(&bench(dir.path(), &["storm", "--spawn", "--clients", "50", "--restart", "--json"]));
    assert_eq!(report["entering"]["count"], 50);
    assert!(report["attempts"].as_u64().unwrap() >= 50);
    assert_eq!(entries(dir.path()), 0, "something stayed behind");
}

#[test]
fn a_signal_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_rsachat"))
        .args(["bench", "idle", "--spawn", "--clients", "5", "--duration", "10m"])
        .env("TMPDIR", dir.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let database = || fs::read_dir(dir.path()).unwrap().next().map(|entry| entry.unwrap().path().join("rsachat.db"));
    let start = Instant::now();
    while !database().is_some_and(|file| file.exists()) {
        assert!(start.elapsed() < PATIENCE, "no server has started");
        std::thread::yield_now();
    }
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(entries(dir.path()), 0, "something stayed behind");
}

#[test]
fn a_server_of_ones_own_can_be_measured_by_its_users() {
    let dir = DataDir::new(serde_json::json!({ "join_backlog": 0 }));
    let server = Server::start(&dir);
    let identities = tempfile::tempdir().unwrap();
    for identity in [alice(), bob()] {
        let path = identities.path().join(format!("key_{}.private.pem", identity.user));
        let key = identity.key.to_pem().unwrap();
        rsachat::keys::file::write(
            &path,
            key.as_bytes(),
            rsachat::keys::file::Access::Owner,
            rsachat::keys::file::Existing::Keep,
        )
        .unwrap();
    }
    let key = dir.path().join("server_public_key.pem");
    let (address, pid) = (server.address.to_string(), server.pid().to_string());
    let arguments = |identities: &Path| {
        let identities = identities.to_str().unwrap();
        let arguments = ["fan-out", &address, "--identities", identities, "--server-key", key.to_str().unwrap()];
        let more = ["--pid", &pid, "--clients", "5", "--rate", "50", "--count", "20", "--json"];
        bench(dir.path(), &[&arguments[..], &more[..]].concat())
    };
    let report = report(&arguments(identities.path()));
    assert_eq!(report["delivery"]["count"], 100);
    assert!(report["server"]["rss_bytes"].as_u64().unwrap() > 0);

    // Somebody whom the server doesn't know.
    let strangers = tempfile::tempdir().unwrap();
    fs::rename(identities.path().join("key_alice.private.pem"), strangers.path().join("key_carol.private.pem"))
        .unwrap();
    let output = arguments(strangers.path());
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let output = arguments(&dir.path().join("keys"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}
