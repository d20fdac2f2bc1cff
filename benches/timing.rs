//! Whether the time of an answer tells if an RSA-OAEP ciphertext was well-formed (RUSTSEC-2023-0071, "Marvin").
//!
//! Ciphertexts of several classes are sent in hellos to a real server on loopback, and given to the private key in this
//! process; the class is drawn at random for each. All are refused alike: the well-formed ones open to a secret, under
//! which the sealed identity then doesn't open either. So the time is all that an attacker could compare. He wants to
//! tell the well-formed class from any of the others.
//!
//! The classes are compared with Welch's t-test, after the slowest samples have been cropped at several percentiles, as
//! in Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?" (DATE 2017): what slows a sample down a lot is
//! the machine, not the arithmetic. Above 4.5 is called a difference there.
//!
//! `RSACHAT_TIMING_SAMPLES` is the number of samples for each of the two places; 100000 if it is not set, which takes
//! up to ten minutes.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bench, with helpers of the tests of which it needs a few"
)]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pkcs8::DecodePublicKey as _;
use rand::{Rng as _, RngExt as _};
use rsa::traits::PublicKeyParts as _;
use rsa::{BoxedUint, RsaPublicKey};
use rsachat::crypto::aead::TAG_BYTES;
use rsachat::crypto::kem::EphemeralKey;
use rsachat::crypto::rsa::{Label, PrivateKey};
use rsachat::proto::handshake::wire::{ClientHello, Refusal, RefusalCode, SHORT_BLOCK};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use support::PATIENCE;
use support::data_dir::{DataDir, pem, server_key};
use support::server::Server;

/// Bytes of the modulus of the tests' server.
const SIZE: usize = 256;
/// Different ciphertexts of a class, so that nothing depends on a single one.
const POOL: usize = 2000;
/// Hellos under way at once: few enough for the server's workers to keep up, so that most answers leave on the first
/// tick.
const AT_ONCE: usize = 4;
/// Parts of the samples that are kept, percent.
const KEPT: [usize; 6] = [100, 99, 95, 90, 75, 50];
/// The bound of |t|.
const DIFFERENT: f64 = 4.5;

/// What is wrong with a ciphertext.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Valid,
    /// A random number below the modulus.
    Random,
    /// As valid, but the encoded message begins with 1, not with 0: what Manger's attack asks for.
    FirstByte,
    /// For another purpose.
    OtherLabel,
    /// A message of 33 bytes.
    Longer,
    /// Not below the modulus: refused before any arithmetic, as whoever sends it knows. It is no secret, but shows what a
    /// difference looks like, and how much of one the server hides.
    Control,
}

impl Class {
    const ALL: [Self; 6] = [Self::Valid, Self::Random, Self::FirstByte, Self::OtherLabel, Self::Longer, Self::Control];
    /// What an attacker wants to tell from a valid one.
    const MALFORMED: [Self; 4] = [Self::Random, Self::FirstByte, Self::OtherLabel, Self::Longer];

    fn name(self) -> &'static str {
        ["well-formed", "random number", "wrong first byte", "wrong label", "wrong length", "control"][self as usize]
    }

    /// Any class; the one that all others are compared with twice as often, which is about best for as many comparisons.
    fn draw() -> Self {
        Self::ALL[rand::rng().random_range(0..=Self::ALL.len()).saturating_sub(1)]
    }

    fn ciphertext(self, key: &RsaPublicKey) -> Vec<u8> {
        let (right, other) = (&b"RSAC1 handshake server"[..], &b"RSAC1 handshake client"[..]);
        let encoded = match self {
            Self::Random => {
                let mut number = random::<SIZE>();
                // Below the modulus, which has its highest bit set.
                number[0] &= 0x7f;
                return number.to_vec();
            }
            Self::Control => return vec![0xff; SIZE],
            Self::Valid => oaep(0, right, &random::<32>()),
            Self::FirstByte => oaep(1, right, &random::<32>()),
            Self::OtherLabel => oaep(0, other, &random::<32>()),
            Self::Longer => oaep(0, right, &random::<33>()),
        };
        encrypt(key, &encoded)
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// EME-OAEP (RFC 8017, 7.1.1), but for the first byte.
fn oaep(first: u8, label: &[u8], message: &[u8]) -> Vec<u8> {
    let mut seed = random::<32>().to_vec();
    let padding = vec![0; SIZE - 2 * 32 - 2 - message.len()];
    let mut block = [&Sha256::digest(label)[..], &padding, &[1], message].concat();
    mask(&mut block, &seed);
    mask(&mut seed, &block);
    [&[first], &seed[..], &block].concat()
}

/// Xors MGF1 of `seed` into `out` (RFC 8017, B.2.1).
fn mask(out: &mut [u8], seed: &[u8]) {
    for (counter, chunk) in (0_u32..).zip(out.chunks_mut(32)) {
        let hash = Sha256::new().chain_update(seed).chain_update(counter.to_be_bytes()).finalize();
        chunk.iter_mut().zip(hash).for_each(|(byte, mask)| *byte ^= mask);
    }
}

/// RSAEP (RFC 8017, 5.1.1), without any padding.
fn encrypt(key: &RsaPublicKey, encoded: &[u8]) -> Vec<u8> {
    let number = BoxedUint::from_be_slice_vartime(encoded);
    let power = (0..16).fold(number.clone(), |power, _| power.square_mod_vartime(key.n()));
    power.mul_mod(&number, key.n()).to_be_bytes().to_vec()
}

/// Ciphertexts by class.
struct Ciphertexts(Vec<Vec<Vec<u8>>>);

impl Ciphertexts {
    fn new(private: &PrivateKey) -> Self {
        let key = RsaPublicKey::from_public_key_pem(&pem("test_server.pem")).unwrap();
        assert_eq!((key.size(), key.e()), (SIZE, &BoxedUint::from(65537_u32)));
        let pool = |class: &Class| (0..POOL).map(|_| class.ciphertext(&key)).collect::<Vec<_>>();
        let all = Self(Class::ALL.iter().map(pool).collect());
        for class in Class::ALL {
            // Only what is well-formed gives the same secret twice.
            let ciphertext = all.pick(class);
            let twice = [(); 2].map(|()| private.decrypt(Label::ServerHandshake, ciphertext, &mut rand::rng()));
            assert_eq!(twice[0].expose() == twice[1].expose(), class == Class::Valid, "{}", class.name());
        }
        all
    }

    fn pick(&self, class: Class) -> &[u8] {
        &self.0[class as usize][rand::rng().random_range(0..POOL)]
    }
}

struct Sample {
    class: Class,
    nanoseconds: f64,
}

/// The operation alone.
fn in_process(key: &PrivateKey, ciphertexts: &Ciphertexts, count: usize) -> Vec<Sample> {
    let mut rng = rand::rng();
    let mut ciphertext = [0; SIZE];
    let once = |_| {
        let class = Class::draw();
        // To one place: where it comes from must not matter.
        ciphertext.copy_from_slice(ciphertexts.pick(class));
        let start = Instant::now();
        black_box(key.decrypt(Label::ServerHandshake, black_box(&ciphertext), &mut rng));
        Sample { class, nanoseconds: start.elapsed().as_nanos() as f64 }
    };
    (0..count).map(once).collect()
}

/// The whole server, seen from outside.
fn over_loopback(ciphertexts: &Ciphertexts, count: usize) -> Vec<Sample> {
    let dir = DataDir::new(json!({
        "handshakes_per_second_per_address": 0, "max_connections_per_address": 0,
    }));
    let server = Server::start(&dir);
    let (address, asked) = (server.address, AtomicUsize::new(0));
    let kem_key = EphemeralKey::generate(&mut rand::rng()).public();
    let ask_all = || {
        let mut samples = Vec::new();
        while asked.fetch_add(1, Ordering::Relaxed) < count {
            let class = Class::draw();
            let sealed = [0x5a; SHORT_BLOCK + TAG_BYTES];
            let fingerprint = server_key().fingerprint().0;
            let head = ClientHello::head(&fingerprint, &kem_key, ciphertexts.pick(class), sealed.len());
            samples.push(Sample { class, nanoseconds: ask(address, &[&head[..], &sealed].concat()) });
        }
        samples
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(ask_all)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// The time from a hello to the refusal.
fn ask(server: SocketAddr, hello: &[u8]) -> f64 {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The server has taken the connection before the hello comes: that is not to be measured.
    thread::sleep(Duration::from_millis(1));
    let mut answer = [0; 64];
    let start = Instant::now();
    stream.write_all(hello).unwrap();
    let count = stream.read(&mut answer).unwrap();
    let nanoseconds = start.elapsed().as_nanos() as f64;
    assert_eq!(answer[..count], Refusal::new(RefusalCode::AuthenticationFailed).frame(), "refused in another way");
    nanoseconds
}

/// Mean and variance of a class.
struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Self { count, mean, variance }
    }
}

/// The difference of two means, and its standard error without the assumption that variances are equal: their ratio is
/// the t of B. L. Welch, "The generalization of 'Student's' problem when several different population variances are
/// involved" (Biometrika 34, 1947). With thousands of samples it is normally distributed.
fn welch(left: &Moments, right: &Moments) -> (f64, f64) {
    (left.mean - right.mean, (left.variance / left.count + right.variance / right.count).sqrt())
}

/// Compares well-formed ciphertexts with those of `others`, and returns the largest |t|.
fn compare(samples: &[Sample], name: &str, others: &[Class]) -> f64 {
    let of = |classes: &[Class]| -> Vec<f64> {
        samples.iter().filter(|sample| classes.contains(&sample.class)).map(|sample| sample.nanoseconds).collect()
    };
    let (valid, other) = (of(&[Class::Valid]), of(others));
    let mut all = [&valid[..], &other].concat();
    all.sort_by(f64::total_cmp);
    let mut largest: f64 = 0.0;
    for kept in KEPT {
        let limit = all[(all.len() - 1) * kept / 100];
        let crop = |values: &[f64]| -> Vec<f64> { values.iter().copied().filter(|value| *value <= limit).collect() };
        let (valid, other) = (crop(&valid), crop(&other));
        let (left, right) = (Moments::of(&valid), Moments::of(&other));
        let (difference, error) = welch(&left, &right);
        let t = difference / error;
        // What would exceed the bound nine times in ten.
        let detectable = (DIFFERENT + 1.28) * error / 1000.0;
        println!(
            "{name:<18} {kept:>4} % {:>7} {:>7} {:>12.3} {:>12.3} {:>+9.3} {detectable:>9.3} {t:>+7.2}",
            valid.len(),
            other.len(),
            left.mean / 1000.0,
            right.mean / 1000.0,
            difference / 1000.0,
        );
        largest = largest.max(t.abs());
    }
    largest
}

fn report(place: &str, samples: &[Sample]) {
    let backend = if cfg!(feature = "aws-lc") { "AWS-LC" } else { "RustCrypto" };
    println!("\n{place}, {backend}, RSA {}, {} samples, times in microseconds", SIZE * 8, samples.len());
    println!("well-formed against  kept  samples  others         mean       others     apart detectable      t");
    compare(samples, Class::Control.name(), &[Class::Control]);
    let mut largest = compare(samples, "all malformed", &Class::MALFORMED);
    for other in Class::MALFORMED {
        largest = largest.max(compare(samples, other.name(), &[other]));
    }
    let verdict = if largest > DIFFERENT { "a difference" } else { "no difference found" };
    println!("largest |t| but for the control {largest:.2}: {verdict}");
}

fn main() {
    // `cargo test --benches` runs this too, and means none of it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let count = std::env::var("RSACHAT_TIMING_SAMPLES").map_or(100_000, |count| count.parse().unwrap());
    let key = PrivateKey::from_pem(&pem("test_server.private.pem"), None).unwrap();
    let ciphertexts = Ciphertexts::new(&key);
    report("PrivateKey::decrypt, in process", &in_process(&key, &ciphertexts, count));
    report("hello to refusal, over loopback", &over_loopback(&ciphertexts, count));
}
