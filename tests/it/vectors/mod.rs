//! The test vectors in tests/vectors: made by this program from fixed random numbers, checked against a second, separate
//! reading of rsachat-protocol(7), and compared with what is committed. `RSACHAT_BLESS=1 cargo test vectors` writes them
//! anew, and the fuzz targets' first corpora with them.

mod failures;
mod handshake;
mod messages;
mod records;
mod reference;
mod roster;
mod sealed;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use rand::{TryCryptoRng, TryRng};
use rsachat::crypto::rsa::{PrivateKey, PublicKey};
use rsachat::model::{Timestamp, UserName};
use rsachat::proto::handshake::server::{Context, Directory};
use rsachat::proto::ticket::TicketKeys;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Random numbers that are the same every time: SHA-256 over a name and a counter.
struct Fixed {
    name: &'static str,
    blocks: u64,
    ready: Vec<u8>,
    drawn: Vec<u8>,
}

impl Fixed {
    fn new(name: &'static str) -> Self {
        Self { name, blocks: 0, ready: Vec::new(), drawn: Vec::new() }
    }

    /// Draw number `index` of 32 bytes.
    fn drawn(&self, index: usize) -> [u8; 32] {
        self.drawn[32 * index..32 * (index + 1)].try_into().unwrap()
    }
}

impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        while self.ready.len() < out.len() {
            let block = Sha256::new().chain_update(self.name).chain_update(self.blocks.to_be_bytes()).finalize();
            self.ready.extend_from_slice(&block);
            self.blocks += 1;
        }
        out.copy_from_slice(&self.ready[..out.len()]);
        self.ready.drain(..out.len());
        self.drawn.extend_from_slice(out);
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

/// Bytes as the vectors show them.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn pem(name: &str) -> String {
    std::fs::read_to_string(root().join(format!("tests/data/keys/test_{name}.private.pem"))).unwrap()
}

/// The fixed key of `server`, `alice` or `bob`.
fn key(name: &str) -> PrivateKey {
    PrivateKey::from_pem(&pem(name), None).unwrap()
}

static ALICE: LazyLock<PrivateKey> = LazyLock::new(|| key("alice"));

struct OnlyAlice;

impl Directory for OnlyAlice {
    fn find(&self, user: &UserName) -> Option<PublicKey> {
        (user.as_str() == "alice").then(|| ALICE.public().clone())
    }
}

/// What the server of the vectors knows: one user, alice.
fn context() -> Context {
    static SERVER: LazyLock<Arc<PrivateKey>> = LazyLock::new(|| Arc::new(key("server")));
    Context {
        key: Arc::clone(&SERVER),
        directory: Arc::new(OnlyAlice),
        tickets: Arc::new(TicketKeys::generate(Timestamp(0), &mut Fixed::new("ticket keys"))),
        now: Timestamp(0),
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn blessing() -> bool {
    std::env::var_os("RSACHAT_BLESS").is_some()
}

/// Compares `vectors` with the committed file, or writes that.
fn compare<T: Serialize>(file: &str, vectors: &T) {
    let path = root().join("tests/vectors").join(file);
    let made = serde_json::to_string_pretty(vectors).unwrap() + "\n";
    if blessing() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = made.lines().zip(committed.lines()).position(|(made, committed)| made != committed);
    assert!(
        made == committed,
        "{file} is not what this program makes, from line {} on: if that is meant, RSACHAT_BLESS=1 cargo test vectors",
        differing.map_or(0, |line| line + 1)
    );
}

/// Gives a fuzz target something to begin with.
fn seed(target: &str, name: &str, bytes: &[u8]) {
    if blessing() {
        let directory: PathBuf = root().join("fuzz/corpus").join(target);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")), bytes).unwrap();
    }
}
