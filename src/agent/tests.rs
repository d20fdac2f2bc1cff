//! An agent, and those who ask it: as they should, as they should not, and who should not at all.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use minicbor::bytes::ByteSlice;
use rustix::process::{Uid, geteuid};
use tempfile::TempDir;

use super::client::{self, AskError, RemoteKey};
use super::keyring::{Keyring, MOST_KEYS};
use super::place::{Place, PlaceError};
use super::server::{Agent, Ended};
use super::wire::{self, Answer, CONTENT_BYTES, Malformed, Purpose, Refusal, Request, VERSION};
use super::*;
use crate::client::memory::{Memory, MemoryError};
use crate::crypto::rsa::{Label, OperationError, OwnKey, PrivateKey, test_keys};
use crate::crypto::secret::Secret;
use crate::e2e::{Change, Member, Membership, OpenedKey, Roster, SenderKey};
use crate::model::{Fingerprint, RoomName, Timestamp};

/// Who else may be on a machine.
const NOBODY: u32 = 65534;
/// Longer than any test.
const LONG: Duration = Duration::from_secs(600);
const FILE: [u8; 32] = [7; 32];

fn copy_of(name: &str) -> PrivateKey {
    let path = format!("{}/tests/data/keys/test_{name}.private.pem", env!("CARGO_MANIFEST_DIR"));
    PrivateKey::from_pem(&fs::read_to_string(path).unwrap(), None).unwrap()
}

fn keyring() -> Keyring {
    let until = Timestamp(Timestamp::now().0 + 600_000);
    Keyring::new(vec![([1; 32], copy_of("bob")), (FILE, copy_of("alice"))], until).unwrap()
}

/// An agent with the keys of alice and bob.
struct Running {
    socket: PathBuf,
    thread: Option<JoinHandle<Ended>>,
    directory: TempDir,
}

impl Running {
    fn start(keyring: Keyring, lifetime: Duration) -> Self {
        let directory = TempDir::new().unwrap();
        let socket = directory.path().join("run/agent.sock");
        let agent = Agent::start(Place::take(&socket).unwrap(), keyring, lifetime).unwrap();
        Self { socket, thread: Some(std::thread::spawn(|| agent.run())), directory }
    }

    fn new() -> Self {
        Self::start(keyring(), LONG)
    }

    fn key(&self) -> RemoteKey {
        client::find(&self.socket, FILE).unwrap().unwrap()
    }

    fn says(&self, bytes: &[u8]) -> UnixStream {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    }

    fn end(&mut self) -> Ended {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.thread.is_some() {
            client::stop(&self.socket).unwrap();
            assert!(matches!(self.end(), Ended::Told));
        }
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn everything_that_a_client_does_with_its_key_it_can_do_with_the_agents() {
    let agent = Running::new();
    let key = agent.key();
    let rng = &mut rand::rng();
    assert_eq!(key.public(), test_keys::alice().public());
    // Of a handshake.
    let secret = Secret::random(rng);
    let ciphertext = key.public().encrypt(Label::ClientHandshake, &secret, rng);
    let opened = key.decrypt(Label::ClientHandshake, &ciphertext, rng).unwrap();
    assert_eq!(opened.expose(), secret.expose());
    // What is wrong with a ciphertext can't be seen: it gives a secret, too.
    let other = key.decrypt(Label::SenderKey, &ciphertext, rng).unwrap();
    assert_ne!(other.expose(), secret.expose());
    // What is a server's is not done.
    assert_eq!(key.decrypt(Label::ServerHandshake, &ciphertext, rng).unwrap_err(), OperationError::Failed);
    // Of sealed conversations.
    let [alice, bob] = ["alice", "bob"].map(|name| name.parse().unwrap());
    let me = Member { user: alice, key: key.fingerprint() };
    let other = Member { user: bob, key: test_keys::bob().public().fingerprint() };
    let room = RoomName::direct(alice, bob).unwrap();
    let membership = Membership::direct(room, me, other).unwrap();
    let (sender_key, package) = SenderKey::make(room, alice, &membership, &[key.public().clone()], &key, rng).unwrap();
    let part = (&*package.head, &*package.recipients[0].1);
    let opened = OpenedKey::open(package.id, sender_key.context(), part, &key, rng).unwrap().unwrap();
    assert_eq!(opened.signer(), key.public());
    let mut roster = Roster::new("#ops".parse().unwrap());
    let statement = roster.draft(Change::Found { owner: me }).sign(&key, rng).unwrap();
    roster.append(&statement).unwrap();
    // Of what is remembered: written with the agent's, read with the key itself.
    let memory = agent.socket.with_file_name("memory.db");
    for _ in 0..2 {
        Memory::open(&memory, &key, rng).unwrap();
    }
    Memory::open(&memory, test_keys::alice(), rng).unwrap();
}

#[test]
fn nothing_else_is_signed_and_with_no_other_key() {
    let keyring = keyring();
    let rng = &mut rand::rng();
    let alice = test_keys::alice().public().fingerprint();
    let mut sign = |key, message: &[u8]| match keyring.answer(Request::Sign { key, message: message.into() }, rng) {
        Answer::Refused { why } => Some(why),
        Answer::Signature { .. } => None,
        other => panic!("{other:?}"),
    };
    // A Sig_structure, its header and its payload of no matter.
    let structure = |kind: &str, context: &str, rest: &[u8]| {
        let mut aad = Vec::new();
        minicbor::Encoder::new(&mut aad).array(2).unwrap().str(context).unwrap().u8(0).unwrap();
        let mut bytes = Vec::new();
        let mut encoder = minicbor::Encoder::new(&mut bytes);
        encoder.array(4).unwrap().str(kind).unwrap().bytes(b"").unwrap().bytes(&aad).unwrap().bytes(b"x").unwrap();
        [&bytes, rest].concat()
    };
    let statement = structure("Signature1", "rsachat roster", b"");
    assert_eq!(sign(alice, &statement), None);
    assert_eq!(sign(alice, b"rsachat client memory 1\0..."), None);
    for other in [
        &b""[..],
        b"a contract",
        b"rsachat client memory 1",
        &[0x20; 98],
        &statement[..statement.len() - 1],
        &structure("Signature1", "rsachat roster", b"more"),
        &structure("Signature", "rsachat roster", b""),
        &structure("Signature1", "rsachat message", b""),
        &structure("Signature1", "rsachat roster and more", b""),
    ] {
        assert_eq!(sign(alice, other), Some(Refusal::Foreign), "{other:02x?}");
    }
    assert_eq!(sign(Fingerprint([0; 32]), &statement), Some(Refusal::NotHeld));
    let many = (0..=MOST_KEYS).map(|_| (FILE, copy_of("bob"))).collect();
    assert!(Keyring::new(many, Timestamp(0)).is_none());
}

#[test]
fn a_frame_reads_back_and_nothing_else_is_one() {
    let ciphertext: &ByteSlice = (&[3; 512][..]).into();
    let request = Request::Decrypt { key: Fingerprint([2; 32]), purpose: Purpose::Memory, ciphertext };
    let frame = wire::frame(&request);
    let content = wire::content(&frame).unwrap().unwrap();
    assert_eq!(wire::read::<Request<'_>>(content), Ok(request));
    for length in 0..frame.len() {
        assert_eq!(wire::content(&frame[..length]), Ok(None));
    }
    assert_eq!(wire::content(&[&frame, &[0][..]].concat()), Err(Malformed));
    assert_eq!(wire::content(&[VERSION + 1]), Err(Malformed));
    let [_, _, high, low] = u32::try_from(CONTENT_BYTES + 1).unwrap().to_be_bytes();
    assert_eq!(wire::content(&[VERSION, high, low]), Err(Malformed));
    assert_eq!(wire::read::<Request<'_>>(&[content, &[0]].concat()), Err(Malformed));
    // The largest answer has room in a frame.
    let public = minicbor::bytes::ByteVec::from(vec![1; 600]);
    let keys = vec![wire::HeldKey { file: FILE.into(), public }; MOST_KEYS];
    let frame = wire::frame(&Answer::Keys { keys, until: Timestamp(u64::MAX) });
    assert!(wire::content(&frame).unwrap().is_some());
}

#[test]
fn debug_shows_no_secret() {
    let secret = Secret::filled_by(|bytes| bytes.fill(0x41));
    assert_eq!(format!("{:?}", Answer::Secret { secret }), "Secret { secret: Secret(..) }");
    assert!(!format!("{:?}", keyring()).contains("prime"));
}

#[test]
fn whoever_says_nonsense_is_told_so_and_the_next_one_is_served() {
    let agent = Running::new();
    let good = wire::frame(&Request::List {});
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n",
        &[VERSION, 0xff, 0xff][..],
        &[VERSION, 0, 3, 0xff, 0xff, 0xff],
        &[VERSION, 0, 0],
        &[&good, &[0][..]].concat(),
    ] {
        let mut answer = Vec::new();
        agent.says(bytes).read_to_end(&mut answer).unwrap();
        let content = wire::content(&answer).unwrap().unwrap();
        assert!(matches!(wire::read(content), Ok(Answer::Refused { why: Refusal::Malformed })), "{bytes:02x?}");
        agent.key();
    }
    // Who leaves in between.
    for length in 0..good.len() {
        drop(agent.says(&good[..length]));
    }
    drop(agent.says(&good));
    agent.key();
}

#[test]
fn nobody_is_kept_waiting_for_long_by_those_who_say_nothing() {
    let agent = Running::new();
    let half = &wire::frame(&Request::List {})[..2];
    let few: Vec<UnixStream> = (0..10).map(|_| agent.says(half)).collect();
    agent.key();
    // More than there is room for: they have to go first.
    let many: Vec<UnixStream> = (0..100).map(|_| agent.says(half)).collect();
    agent.key();
    for mut stream in few {
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)), "it is still there");
    }
    drop(many);
}

#[test]
fn more_than_there_is_room_for_are_all_served() {
    let agent = Running::new();
    let key = agent.key();
    let ask = || key.sign(b"rsachat client memory 1\0", &mut rand::rng()).unwrap();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..150).map(|_| scope.spawn(ask)).collect();
        for thread in threads {
            key.public().verify(b"rsachat client memory 1\0", &thread.join().unwrap()).unwrap();
        }
    });
}

#[test]
fn its_place_is_the_users_alone_and_taken_once() {
    let mut agent = Running::new();
    let socket = agent.socket.clone();
    assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o600, 0o700));
    assert!(matches!(Place::take(&socket), Err(PlaceError::Taken(path)) if path == socket));
    agent.key();
    client::stop(&socket).unwrap();
    // Whoever has told it to end finds nothing any more.
    assert!(!socket.exists());
    assert!(matches!(client::list(&socket), Err(AskError::NotRunning)));
    assert!(matches!(agent.end(), Ended::Told));
    // One that was killed has left this.
    drop(UnixListener::bind(&socket).unwrap());
    assert!(matches!(client::list(&socket), Err(AskError::NotRunning)));
    let place = Place::take(&socket).unwrap();
    let next = Agent::start(place, keyring(), LONG).unwrap();
    let stopper = next.stopper();
    let thread = std::thread::spawn(|| next.run());
    client::list(&socket).unwrap();
    stopper.stop();
    assert!(matches!(thread.join().unwrap(), Ended::Told));
    // A directory of which others may look into is none.
    fs::set_permissions(socket.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(Place::take(&socket), Err(PlaceError::Directory { .. })));
}

#[test]
fn when_its_time_is_over_nothing_is_done_with_the_key_any_more() {
    for by_the_wall in [false, true] {
        let (lifetime, millis) = if by_the_wall { (LONG, 300) } else { (Duration::from_millis(300), 600_000) };
        let until = Timestamp(Timestamp::now().0 + millis);
        let keyring = Keyring::new(vec![(FILE, copy_of("alice"))], until).unwrap();
        let mut agent = Running::start(keyring, lifetime);
        let key = agent.key();
        let rng = &mut rand::rng();
        while key.decrypt(Label::ClientMemory, &[0; 256], rng).is_ok() {}
        assert_eq!(key.decrypt(Label::ClientMemory, &[0; 256], rng).unwrap_err(), OperationError::OutOfReach);
        assert_eq!(key.sign(b"rsachat client memory 1\0", rng).unwrap_err(), OperationError::OutOfReach);
        assert!(matches!(agent.end(), Ended::Over));
        assert!(!agent.socket.exists());
        let memory = agent.socket.with_file_name("memory.db");
        assert!(matches!(Memory::open(&memory, &key, rng), Err(MemoryError::Key(OperationError::OutOfReach))));
    }
}

#[test]
fn an_agent_that_is_started_anew_serves_who_knew_the_one_before() {
    let first = Running::new();
    let (key, socket) = (first.key(), first.socket.clone());
    client::stop(&socket).unwrap();
    let second = Agent::start(Place::take(&socket).unwrap(), keyring(), LONG).unwrap();
    let stopper = second.stopper();
    let thread = std::thread::spawn(|| second.run());
    key.sign(b"rsachat client memory 1\0", &mut rand::rng()).unwrap();
    stopper.stop();
    assert!(matches!(thread.join().unwrap(), Ended::Told));
    let mut first = first;
    assert!(matches!(first.end(), Ended::Told));
}

#[test]
fn only_the_same_user_is_talked_to() {
    assert!(is_own(Some(geteuid())));
    assert!(!is_own(Some(Uid::from_raw(geteuid().as_raw() + 1))));
    assert!(!is_own(None));
    if !geteuid().is_root() {
        return;
    }
    // With a door that is open to all, which it never is.
    let agent = Running::new();
    for (path, mode) in
        [(agent.directory.path(), 0o755), (agent.socket.parent().unwrap(), 0o755), (&agent.socket, 0o666)]
    {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let socket = agent.socket.clone();
    let stranger = move || {
        rustix::thread::set_thread_uid(Uid::from_raw(NOBODY)).unwrap();
        let mut stream = UnixStream::connect(&socket).unwrap();
        // It may be gone already.
        let _ = stream.write_all(&wire::frame(&Request::List {}));
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)), "a stranger was answered");
        // Nor does the stranger ask: who listens there is another user.
        assert!(matches!(client::list(&socket), Err(AskError::Foreign(_))));
    };
    // The user is the thread's alone.
    std::thread::spawn(stranger).join().unwrap();
    agent.key();
}
