use std::fs;
use std::time::Duration;

use clap::{Args as _, Command, FromArgMatches as _};
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::error::Exit;
use crate::store::Keep;

/// A server's directory with this configuration.
fn dir(config: &str) -> (TempDir, ServerPaths) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), config).unwrap();
    let paths = ServerPaths::new(dir.path(), None);
    (dir, paths)
}

fn flags(arguments: &[&str]) -> ServerFlags {
    let command = ServerFlags::augment_args(Command::new("serve").no_binary_name(true));
    ServerFlags::from_arg_matches(&command.get_matches_from(arguments)).unwrap()
}

fn load(config: &str, arguments: &[&str]) -> Result<ServerConfig, String> {
    let (dir, paths) = dir(config);
    let place = format!("{}/", dir.path().display());
    ServerConfig::load(&paths, &flags(arguments)).map_err(|error| error.to_string().replace(&place, ""))
}

const MINIMAL: &str = r#"{"server_ip": "::", "server_port": 5000}"#;

#[test]
fn address_and_port_are_enough() {
    let config = load(MINIMAL, &[]).unwrap();
    assert_eq!(config.server_port, 5000);
    assert_eq!(config.history_limit, 100);
    assert_eq!(config.history_keep, Keep::Count(100));
    assert_eq!(config.join_backlog, 10);
    assert_eq!(config.idle_time, Duration::from_secs(50));
    assert_eq!(config.outbound_queue_bytes, 1 << 20);
    assert_eq!(config.reactors, None);
    assert!(config.admins.is_empty());
}

#[test]
fn the_example_has_every_field_with_its_default_or_its_example() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.json"));
    let fields = read_fields(path).unwrap().0;
    let expected: Vec<(String, Value)> =
        ServerConfig::settings().iter().map(|setting| (setting.name.to_owned(), setting.example())).collect();
    assert_eq!(fields, expected);
    let paths = ServerPaths::new(Path::new("."), Some(path));
    let config = ServerConfig::load(&paths, &ServerFlags::default()).unwrap();
    assert!(config.admins.contains(&"alice".parse().unwrap()));
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let file = r#"{"server_ip": "127.0.0.1", "server_port": 1, "history_limit": 7, "message_rate": 3}"#;
    let config = load(
        file,
        &[
            "--server-ip",
            "::1,0.0.0.0",
            "--server-port=0",
            "--message-rate",
            "9",
            "--admins",
            "bob,Carol",
            "--history-keep",
            "30d",
            "--reactors",
            "2",
        ],
    )
    .unwrap();
    assert_eq!(config.server_ip, ["::1".parse::<std::net::IpAddr>().unwrap(), "0.0.0.0".parse().unwrap()]);
    assert_eq!(config.server_port, 0);
    assert_eq!(config.message_rate.get(), 9);
    assert_eq!(config.history_limit, 7);
    assert_eq!(config.join_backlog, 7, "no more than there is");
    assert_eq!(config.history_keep, Keep::Days(30));
    assert_eq!(config.admins.len(), 2);
    assert_eq!(config.reactors.unwrap().get(), 2);
    assert_eq!(
        load(r#"{"server_ip": "::", "server_port": 1, "history_keep": 500}"#, &[]).unwrap().history_keep,
        Keep::Count(500)
    );
}

#[test]
fn zero_lifts_the_limits_per_address() {
    let arguments = ["--max-connections-per-address", "0", "--handshakes-per-second-per-address", "0"];
    let config = load(MINIMAL, &arguments).unwrap();
    assert_eq!((config.max_connections_per_address, config.handshakes_per_second_per_address), (None, None));
}

#[test]
fn both_kinds_of_addresses_can_be_listened_at() {
    let listen = |ip: &str| {
        let config = load(&format!(r#"{{"server_ip": {ip}, "server_port": 5}}"#), &[]).unwrap();
        let texts = config.listen().into_iter().map(|listen| format!("{} {}", listen.address, listen.only_v6));
        texts.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(listen(r#""::""#), "[::]:5 false");
    assert_eq!(listen(r#"["0.0.0.0", "::"]"#), "0.0.0.0:5 true, [::]:5 true");
    assert_eq!(listen(r#"["::1", "127.0.0.1", "::1"]"#), "[::1]:5 true, 127.0.0.1:5 true");
}

#[test]
fn a_missing_file_is_fine_when_the_flags_say_all_that_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ServerPaths::new(dir.path(), None);
    let needed = flags(&["--server-ip", "::1", "--server-port", "0"]);
    assert!(ServerConfig::load(&paths, &needed).is_ok());
    assert!(matches!(ServerConfig::load(&paths, &flags(&["--server-port", "0"])), Err(ConfigError::Missing(_))));
    // But not one that was asked for.
    let paths = ServerPaths::new(dir.path(), Some(&dir.path().join("typo.json")));
    assert!(matches!(ServerConfig::load(&paths, &needed), Err(ConfigError::File { .. })));
}

#[test]
fn complaints_name_the_field_the_value_and_what_is_allowed() {
    for (config, complaint) in [
        (
            r#"{"server_ip": "::", "server_port": 5000, "histroy_limit": 5}"#,
            r#"config.json: unknown field "histroy_limit"; did you mean "history_limit"?"#,
        ),
        (
            r#"{"server_ip": "::", "server_port": 5000, "messageRate": 5, "server-ip": "::", "idle": 3}"#,
            "config.json: unknown field \"messageRate\"; did you mean \"message_rate\"?\n\
             config.json: unknown field \"server-ip\"; did you mean \"server_ip\"?\n\
             config.json: unknown field \"idle\"; did you mean \"idle_seconds\"?",
        ),
        (
            r#"{"server_ip": "::", "server_port": 5000, "history_limit": 0}"#,
            r#"config.json: "history_limit" is 0, but must be an integer from 1 to 10000"#,
        ),
        (
            r#"{"server_ip": "::", "server_port": 5000, "message_bytes": 14001, "idle_seconds": 2.5}"#,
            "config.json: \"message_bytes\" is 14001, but must be an integer from 1 to 14000\n\
             config.json: \"idle_seconds\" is 2.5, but must be an integer from 10 to 3600",
        ),
        (
            r#"{"server_ip": "localhost", "server_port": 65536}"#,
            "config.json: \"server_ip\" is \"localhost\", but must be an IPv4 or IPv6 address, or a list of them, as \
             \"0.0.0.0\", \"::\", [\"127.0.0.1\", \"::1\"]\n\
             config.json: \"server_port\" is 65536, but must be an integer from 0 to 65535",
        ),
        (
            r#"{"server_ip": "::", "server_port": "5000", "admins": ["bob", "so me"]}"#,
            "config.json: \"server_port\" is \"5000\", but must be an integer from 0 to 65535\n\
             config.json: \"admins\" is [\"bob\",\"so me\"], but must be a list of user names (1 to 32 of a-z 0-9 . _ -, \
             starting with a letter or a digit)",
        ),
        (
            r#"{"server_ip": "::", "server_port": 5000, "history_keep": 99}"#,
            r#"config.json: "history_keep" is 99, but must be null, an integer of at least history_limit, or days, as "30d""#,
        ),
        (
            r#"{"server_ip": "::", "server_port": 5000, "workers": 0}"#,
            r#"config.json: "workers" is 0, but must be null or an integer from 1 to 256"#,
        ),
        (
            r#"{"server_port": 5000}"#,
            "config.json: \"server_ip\" is missing; it must be an IPv4 or IPv6 address, or a list of them, as \
             \"0.0.0.0\", \"::\", [\"127.0.0.1\", \"::1\"]",
        ),
        ("{\"server_ip\": \"::\"\n \"server_port\": 5000}", "config.json:2:2: expected `,` or `}`"),
        ("{\"server_ip\": \"::\",\n \"server_port\": 5000,}", "config.json:2:22: trailing comma"),
        ("", "config.json:1:1: EOF while parsing a value"),
        ("[]", "config.json:1:1: invalid type: sequence, expected an object, as {\"server_port\": 5000}"),
        (r#"{"server_port": 1, "server_port": 2}"#, r#"config.json:1:36: "server_port" stands here twice"#),
    ] {
        assert_eq!(load(config, &[]).unwrap_err(), complaint, "{config}");
    }
    let long = format!(r#"{{"server_ip": "{}", "server_port": 5000}}"#, "x".repeat(5000));
    assert!(load(&long, &[]).unwrap_err().len() < 250);
}

#[test]
fn complaints_about_flags_name_the_flag() {
    let complaint = |arguments: &[&str]| load(MINIMAL, arguments).unwrap_err();
    assert_eq!(complaint(&["--history-limit", "0"]), "--history-limit is 0, but must be an integer from 1 to 10000");
    assert_eq!(complaint(&["--history-limit", "-1"]), "--history-limit is -1, but must be an integer from 1 to 10000");
    assert_eq!(
        complaint(&["--message-rate=many"]),
        "--message-rate is \"many\", but must be an integer from 1 to 100000"
    );
}

#[test]
fn errors_come_with_advice_and_exit_code_2() {
    let (_dir, paths) = dir("{");
    let error = Error::from(ServerConfig::load(&paths, &ServerFlags::default()).unwrap_err());
    assert_eq!(error.exit, Exit::Usage);
    assert!(error.hint.unwrap().contains("rsachat-config"));
    fs::remove_file(&paths.config).unwrap();
    let error = Error::from(ServerConfig::load(&paths, &ServerFlags::default()).unwrap_err());
    let hint = error.hint.unwrap();
    // What the hint says to type makes it work.
    let json = hint.strip_prefix("echo '").unwrap().split_once('\'').unwrap().0;
    assert!(load(json, &[]).is_ok(), "{hint}");
}

#[test]
fn a_byte_order_mark_does_no_harm() {
    assert!(load(&format!("\u{feff}{MINIMAL}"), &[]).is_ok());
}

#[test]
fn every_setting_explains_itself() {
    for setting in ServerConfig::settings().iter().chain(&ClientConfig::settings()) {
        assert!(setting.about.ends_with('.'), "{}", setting.name);
        assert!(!setting.about.contains("  "), "{}", setting.name);
        assert!(setting.default.is_some() || setting.example.is_some(), "{}", setting.name);
    }
}

#[test]
fn a_clients_name_and_server_are_enough() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("user_config.json");
    fs::write(&path, r#"{"username": "Alice", "server_ip": "192.0.2.1", "server_port": 5001}"#).unwrap();
    let config = ClientConfig::load(&path).unwrap();
    let expected = ClientConfig {
        username: Some("alice".parse().unwrap()),
        server_ip: Some("192.0.2.1".to_owned()),
        server_port: 5001,
        ..ClientConfig::default()
    };
    assert_eq!(config, expected);
    assert_eq!(ClientConfig::default().server_port, 5000);

    fs::write(&path, r#"{"user": "alice", "username": "a b", "server_port": 0, "bell": "yes"}"#).unwrap();
    let place = format!("{}/", dir.path().display());
    assert_eq!(
        ClientConfig::load(&path).unwrap_err().to_string().replace(&place, ""),
        "user_config.json: unknown field \"user\"; did you mean \"username\"?\n\
         user_config.json: \"username\" is \"a b\", but must be a user name (1 to 32 of a-z 0-9 . _ -, starting with a \
         letter or a digit)\n\
         user_config.json: \"server_port\" is 0, but must be an integer from 1 to 65535\n\
         user_config.json: \"bell\" is \"yes\", but must be true or false"
    );
}

#[test]
fn a_saved_client_configuration_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("not/yet/user_config.json");
    let config = ClientConfig {
        username: Some("alice".parse().unwrap()),
        server_ip: Some("chat.example.org".to_owned()),
        ..ClientConfig::default()
    };
    config.save(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(
        text,
        "{\n  \"server_ip\": \"chat.example.org\",\n  \"server_port\": 5000,\n  \"username\": \"alice\"\n}\n"
    );
    assert_eq!(ClientConfig::load(&path).unwrap(), config);

    let config = ClientConfig {
        identity: Some(dir.path().join("key.pem")),
        fingerprint: Some(crate::model::Fingerprint([3; 32])),
        room: "#ops".parse().unwrap(),
        bell: false,
        away: None,
        tickets: false,
        ..config
    };
    config.save(&path).unwrap();
    assert_eq!(ClientConfig::load(&path).unwrap(), config);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
}
