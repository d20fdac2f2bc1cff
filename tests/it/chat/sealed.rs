//! What is said to one alone, and in private rooms: with clients and a server as they are.

use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;

/// Said to one alone, and in a private room; and in the open, to see that the search finds what is there.
const SECRET: &str = "xyzzy-only-for-bob-plugh";
const OPEN: &str = "xyzzy-for-everybody-plugh";

fn says(lines: &[String], end: &str) -> bool {
    lines.iter().any(|line| line.ends_with(end))
}

#[test]
fn who_is_away_finds_what_was_said_to_him_alone_and_opens_it_with_his_key_and_nothing_else() {
    let mut world = World::new();
    let mut alice = world.pipe("alice");
    alice.say("/msg bob are you there?");
    alice.say("/join @bob");
    alice.say("/me waits");
    let (lines, errors, status) = alice.end();
    assert!(status.success(), "{errors}");
    assert!(says(&lines, "* alice waits"), "{lines:?}");
    world.kill_server();
    world.start_server();
    let mut bob = world.pipe("bob");
    bob.say("/join @alice");
    bob.hears("<alice> are you there?");
    bob.hears("* alice waits");
    bob.say("I am");
    assert!(bob.end().2.success());
    // Another machine of bob's: his key, and nothing that the first one has remembered.
    fs::remove_dir_all(world.path("home")).unwrap();
    fs::create_dir(world.path("home")).unwrap();
    let mut bob = world.pipe("bob");
    bob.say("/join @alice");
    bob.say("/history");
    let (lines, errors, status) = bob.end();
    assert!(status.success(), "{errors}");
    for text in ["<alice> are you there?", "* alice waits", "<bob> I am"] {
        assert!(says(&lines, text), "{text}: {lines:?}");
    }
}

#[test]
fn another_key_of_hers_is_not_written_to_until_that_is_accepted() {
    let world = World::new();
    let mut bob = world.pipe("bob");
    bob.say("/msg alice hello");
    assert!(bob.end().2.success());
    // The server says that alice has another key. It has seen that when it puts her out.
    let mut alice = world.pipe("alice");
    alice.say("here");
    alice.hears("<alice> here");
    fs::copy(data("test_server.pem"), world.path("server/keys/key_alice.pem")).unwrap();
    assert!(alice.lines.iter().count() < 10);
    assert_eq!(alice.child.wait().unwrap().code(), Some(4));
    let mut bob = world.pipe("bob");
    bob.say("/msg alice hello?");
    let (_, errors, status) = bob.end();
    assert_eq!(status.code(), Some(6), "{errors}");
    assert!(errors.contains("alice has another key than before"), "{errors}");
    let mut bob = world.pipe("bob");
    bob.say("/trust alice");
    bob.say("/msg alice hello again");
    let (_, errors, status) = bob.end();
    assert!(status.success(), "{errors}");
    assert!(errors.contains("alice's key is trusted from now on"), "{errors}");
    let listed = |what: &[&str]| {
        let mut command = world.command("bob", PROGRAM);
        let output = command.arg("trust").args(what).args(["--user", "bob"]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr))
    };
    let (code, text) = listed(&["list"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("  alice            trusted   SHA256:uN+OZrWYMLMsKebiY4iANWQoEXy+BMD+1wry3qyRm9A\n"),
        "{text}"
    );
    // It is remembered.
    let mut bob = world.pipe("bob");
    bob.say("/msg alice and again");
    let (_, errors, status) = bob.end();
    assert!(status.success(), "{errors}");
    let (code, text) = listed(&["remove", "alice"]);
    assert!(code == Some(0) && text.contains("alice's key is forgotten"), "{text}");
    let (code, text) = listed(&["remove", "alice"]);
    assert!(code == Some(1) && text.contains("no key of alice is remembered"), "{text}");
}

#[test]
fn a_private_room_is_read_by_those_who_were_in_it_when_something_was_said() {
    let mut world = World::new();
    let mut bob = world.pipe("bob");
    bob.say("/join #ops");
    let (_, errors, _) = bob.end();
    assert!(errors.contains("there is no room #ops"), "{errors}");
    let mut alice = world.pipe("alice");
    for line in ["/create #ops --private", "/join #ops", "before he came", "/invite bob", "while he is there"] {
        alice.say(line);
    }
    alice.hears("<alice> while he is there");
    let mut bob = world.pipe("bob");
    bob.say("/join #ops");
    bob.hears("<alice> while he is there");
    bob.say("thanks");
    alice.hears("<bob> thanks");
    alice.say("/kick bob");
    alice.say("when he is gone");
    alice.hears("<alice> when he is gone");
    alice.say("/invite bob");
    alice.say("when he is back");
    assert!(alice.end().2.success() && bob.end().2.success());
    world.kill_server();
    world.start_server();
    // On another machine of his, with nothing but his key.
    fs::remove_dir_all(world.path("home")).unwrap();
    fs::create_dir(world.path("home")).unwrap();
    let mut bob = world.pipe_with("bob", &["--room", "#ops"]);
    bob.hears("<alice> when he is back");
    bob.say("/history");
    let (lines, errors, status) = bob.end();
    assert!(status.success(), "{errors}");
    let said = |line: &String| Some(line.split_once('<')?.1.split_once("> ")?.1.to_owned());
    let history: Vec<String> = lines.iter().filter_map(said).collect();
    let not_then = "(can't be read: it was said while you were not in the room)";
    assert_eq!(history, [not_then, "while he is there", "thanks", not_then, "when he is back"]);
}

#[test]
fn two_compare_their_keys_on_their_terminals() {
    let world = World::new();
    let (mut alice, mut bob) = (world.chatting("alice"), world.chatting("bob"));
    alice.send("/msg bob psst\r").unwrap();
    bob.expect("alice says something to you alone").unwrap();
    bob.send("/r what?\r").unwrap();
    alice.expect("bob says something to you alone").unwrap();
    alice.send("/2\r").unwrap();
    alice.expect("<bob> what?").unwrap();
    alice.expect("[@bob] alice> ").unwrap();
    let code = |terminal: &mut OsSession, other: &str| {
        terminal.send(format!("/verify {other}\r")).unwrap();
        terminal.expect("ask him by phone:").unwrap();
        let shown = terminal.expect("if it is the same").unwrap();
        let shown = String::from_utf8_lossy(shown.before()).into_owned();
        shown.split_whitespace().map(str::to_owned).collect::<Vec<String>>()
    };
    let codes = (code(&mut alice, "bob"), code(&mut bob, "alice"));
    assert_eq!(codes.0, codes.1);
    assert_eq!(codes.0.len(), 6 + 9, "{codes:?}");
    alice.send("/verify bob yes\r").unwrap();
    alice.expect("bob's key is verified").unwrap();
    bob.send("/r now you know\r").unwrap();
    alice.expect("<bob+> now you know").unwrap();
    for mut terminal in [alice, bob] {
        terminal.send("/exit\r").unwrap();
        assert_eq!(end(terminal).1, 0);
    }
}

/// Passes bytes on between clients and the server, and keeps a copy.
fn wiretap(server: String, copy: &Arc<Mutex<Vec<u8>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let copy = Arc::clone(copy);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(&server).unwrap();
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (from, to, copy) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&copy));
                std::thread::spawn(move || pass(from, to, &copy));
            }
        }
    });
    port
}

fn pass(mut from: TcpStream, mut to: TcpStream, copy: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        copy.lock().unwrap().extend_from_slice(&bytes[..count]);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Everything that a process has in its memory and may be read.
fn memory(pid: u32) -> Vec<u8> {
    use std::io::{Seek as _, SeekFrom};
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut all = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        // What the kernel maps has nothing of ours, and can't be read so.
        if rights.starts_with("rw") && memory.seek(SeekFrom::Start(start)).is_ok() {
            let _ = Read::by_ref(&mut memory).take(end - start).read_to_end(&mut all);
        }
    }
    all
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn nothing_of_what_is_sealed_is_with_the_server_or_on_the_wire() {
    let mut world = World::new();
    world.kill_server();
    let config = r#"{"server_ip": "127.0.0.1", "server_port": 0, "message_log": "messageslog.json"}"#;
    fs::write(world.path("server/config.json"), config).unwrap();
    world.start_server();
    let copy = Arc::new(Mutex::new(Vec::new()));
    let port = wiretap(world.address(), &copy);
    let (mut alice, mut bob) = (world.pipe_at("alice", port), world.pipe_at("bob", port));
    bob.say("/join @alice");
    alice.say(OPEN);
    alice.hears(&format!("<alice> {OPEN}"));
    for number in 0..20 {
        alice.say(&format!("/msg bob {SECRET} {number}"));
    }
    bob.hears(&format!("<alice> {SECRET} 19"));
    bob.say(&format!("/msg alice and {SECRET} to you"));
    bob.hears(&format!("<bob> and {SECRET} to you"));
    bob.say("/history");
    bob.hears(&format!("<bob> and {SECRET} to you"));
    for line in ["/create #ops --private", "/join #ops", "/invite bob"] {
        alice.say(line);
    }
    alice.say(&format!("in private, {SECRET}"));
    alice.hears(&format!("<alice> in private, {SECRET}"));
    bob.say("/join #ops");
    bob.hears(&format!("<alice> in private, {SECRET}"));
    bob.say(&format!("in private too, {SECRET}"));
    alice.hears(&format!("<bob> in private too, {SECRET}"));
    // While everything is under way.
    let pid = world.server.as_ref().unwrap().id();
    let memory = memory(pid);
    assert!(contains(&memory, OPEN), "the search finds nothing: {} bytes", memory.len());
    assert!(!contains(&memory, SECRET), "the server has it in its memory");
    assert!(alice.end().2.success() && bob.end().2.success());
    let wire = copy.lock().unwrap();
    assert!(wire.len() > 20_000 && !contains(&wire, SECRET) && !contains(&wire, OPEN));
    let mut found = false;
    for file in fs::read_dir(world.path("server")).unwrap().map(|entry| entry.unwrap().path()) {
        if file.is_file() {
            let bytes = fs::read(&file).unwrap();
            found |= contains(&bytes, OPEN);
            assert!(!contains(&bytes, SECRET), "{} has it", file.display());
        }
    }
    assert!(found, "the search finds nothing on the disk");
    let log = fs::read_to_string(world.path("server/messageslog.json")).unwrap();
    assert!(log.contains(OPEN) && log.contains(r#""event":"sealed","room":"@alice@bob""#), "{log}");
}

#[test]
fn what_an_owner_types_in_one_go_happens_in_that_order() {
    let world = World::new();
    let mut alice = world.pipe("alice");
    for line in [
        "/create #ops --private",
        "/join #ops",
        "/invite bob",
        "/topic on call",
        "/kick bob not now",
        "/invite bob",
        "/mute bob 1h",
        "/unmute bob",
        "/owner bob",
        "/topic no more",
    ] {
        alice.say(line);
    }
    let (_, errors, status) = alice.end();
    // All but the last, since bob decides now.
    assert_eq!((errors.matches("-- /").count(), status.code()), (1, Some(6)), "{errors}");
    assert!(errors.contains("/topic: only the owner of #ops, bob, may set its topic"), "{errors}");
    let mut bob = world.pipe("bob");
    for line in ["/join #ops", "/invite alice", "it is mine"] {
        bob.say(line);
    }
    bob.hears("<bob> it is mine");
    let (_, errors, status) = bob.end();
    assert!(status.success(), "{errors}");
}

#[test]
fn one_can_begin_with_a_user_alone() {
    let world = World::new();
    let mut alice = world.pipe_with("alice", &["--room", "@bob"]);
    alice.say("from a script");
    let (lines, errors, status) = alice.end();
    assert!(status.success() && says(&lines, "<alice> from a script"), "{errors}");
    let mut bob = world.pipe_with("bob", &["--room", "@alice"]);
    bob.hears("<alice> from a script");
    assert!(bob.end().2.success());
    let (_, errors, status) = world.pipe_with("bob", &["--room", "@bob"]).end();
    assert_eq!(status.code(), Some(2), "{errors}");
    assert!(errors.contains("--room: bob is you"), "{errors}");
}

#[test]
fn what_is_said_before_one_leaves_is_said() {
    let world = World::new();
    let mut alice = world.pipe("alice");
    for line in ["/create #ops --private", "/join #ops", "/invite bob", "/owner bob", "one more thing", "/leave"] {
        alice.say(line);
    }
    let (_, errors, status) = alice.end();
    assert!(status.success(), "{errors}");
    let mut bob = world.pipe_with("bob", &["--room", "#ops"]);
    bob.hears("<alice> one more thing");
    assert!(bob.end().2.success());
}
