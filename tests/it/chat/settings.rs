//! Who talks to whom, asked for and remembered.

use super::*;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn an_unknown_server_is_asked_about_once_and_a_changed_key_is_refused() {
    let mut world = World::new();
    let address = world.address();
    let connect = words(&format!("connect {address} --user alice"));
    let mut alice = world.terminal("alice", &connect);
    alice.expect("has not been seen before").unwrap();
    alice.expect("SHA256:").unwrap();
    alice.expect("Is it the same?").unwrap();
    alice.send("n\r").unwrap();
    let (text, code) = end(alice);
    assert_eq!(code, 4, "{text}");

    let mut alice = world.terminal("alice", &connect);
    alice.expect("Is it the same?").unwrap();
    alice.send("y\r").unwrap();
    alice.expect("you are in #common").unwrap();
    alice.send("\x04").unwrap();
    assert_eq!(end(alice).1, 0);

    let mut alice = world.terminal("alice", &connect);
    let before = alice.expect("you are in #common").unwrap();
    assert!(!String::from_utf8_lossy(before.as_bytes()).contains("Is it the same?"));
    alice.send("\x04").unwrap();
    assert_eq!(end(alice).1, 0);

    world.kill_server();
    copy_private(&data("test_bob.private.pem"), &world.path("server/server_private_key.pem"));
    // The server writes it anew if it is not there.
    let _ = fs::remove_file(world.path("server/server_public_key.pem"));
    world.start_server();
    let (text, code) = end(world.terminal("alice", &connect));
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("THE SERVER'S KEY IS NOT THE ONE THAT IS TRUSTED"), "{text}");
    assert!(text.contains("delete line 1 of"), "{text}");
}

#[test]
fn missing_settings_are_asked_for_and_saved() {
    let world = World::new();
    fs::copy(data("test_server.pem"), world.path("alice/server_public_key.pem")).unwrap();
    let mut alice = world.terminal("alice", &words("connect"));
    alice.expect("Server (HOST or HOST:PORT)").unwrap();
    alice.send("not a server\r").unwrap();
    alice.expect("is not the name or address of a server").unwrap();
    alice.send(format!("{}\r", world.address())).unwrap();
    alice.expect("Your name on the server").unwrap();
    alice.send("Alice\r").unwrap();
    alice.expect("Keep server and name in").unwrap();
    alice.send("y\r").unwrap();
    alice.expect("you are in #common").unwrap();
    alice.send("\x04").unwrap();
    assert_eq!(end(alice).1, 0);

    let mut alice = world.terminal("alice", &words("connect"));
    alice.expect("you are in #common").unwrap();
    alice.send("\x04").unwrap();
    assert_eq!(end(alice).1, 0);
}

#[test]
fn a_missing_key_can_be_made_and_is_good_once_the_admin_has_it() {
    let world = World::new();
    fs::create_dir(world.path("carol")).unwrap();
    fs::copy(data("test_server.pem"), world.path("carol/server_public_key.pem")).unwrap();
    let connect = words(&format!("connect {} --user carol", world.address()));
    let mut carol = world.terminal("carol", &connect);
    carol.expect("There is no private key for carol. Make one?").unwrap();
    carol.send("y\r").unwrap();
    for question in ["New passphrase", "The same again"] {
        carol.expect(question).unwrap();
        let pid = carol.get_process().pid().as_raw().to_string();
        // What is typed before the echo is off is thrown away.
        until(|| {
            let tty = format!("/proc/{pid}/fd/0");
            let output = Command::new("stty").args(["-F", &tty, "-a"]).output().unwrap();
            String::from_utf8_lossy(&output.stdout).contains("-echo ")
        });
        carol.send("battery\r").unwrap();
    }
    let (text, code) = end(carol);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("to the server's admin: rsachat keys add key_carol.pem"), "{text}");

    let made = world.path("home/.local/share/rsachat/key_carol.pem");
    let added = world.command("server", PROGRAM).args(["keys", "add", made.to_str().unwrap()]).output().unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    fs::write(world.path("carol/passphrase"), "battery\n").unwrap();
    // The server notices by itself.
    until(|| {
        let mut command = world.command("carol", PROGRAM);
        let output = command.args(&connect).args(["--passphrase-file", "passphrase"]).stdin(Stdio::null()).output();
        output.unwrap().status.success()
    });
    // The passphrase may come before the messages.
    let mut command = world.command("carol", PROGRAM);
    command.args(&connect).args(["--passphrase-file", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"battery\nhello\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("<carol> hello"));
}
