//! What a handshake costs one core, at each end. The server's side is its job and the client's finish; the client's is
//! its hello and its finish. Neither counts the other's time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a bench ends where something is not as it should be"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rsachat::crypto::rsa::{Bits, Label, PrivateKey, PublicKey};
use rsachat::crypto::secret::Secret;
use rsachat::model::{Timestamp, UserName};
use rsachat::proto::handshake::client::{self, Answer, Resumption};
use rsachat::proto::handshake::server::{self, Context, Directory};
use rsachat::proto::ticket::TicketKeys;

struct One(PublicKey);

impl Directory for One {
    fn find(&self, _: &UserName) -> Option<PublicKey> {
        Some(self.0.clone())
    }
}

struct Setting {
    context: Context,
    identity: PrivateKey,
}

impl Setting {
    fn new(bits: Bits) -> Self {
        let mut rng = rand::rng();
        let [server, identity] = [(), ()].map(|()| PrivateKey::generate(bits, &mut rng).unwrap());
        let context = Context {
            key: Arc::new(server),
            directory: Arc::new(One(identity.public().clone())),
            tickets: Arc::new(TicketKeys::generate(Timestamp(0), &mut rng)),
            now: Timestamp(0),
        };
        Self { context, identity }
    }

    fn first(&self) -> client::Job {
        client::Job::Hello { server: self.context.key.public().clone(), user: "alice".parse().unwrap() }
    }

    /// One handshake: the time of the client, the time of the server, and what is needed to resume.
    fn shake(&self, first: client::Job) -> (Duration, Duration, Resumption) {
        let mut rng = rand::rng();
        let resuming = matches!(first, client::Job::Resume(_));
        let start = Instant::now();
        let Ok(Answer::Hello(hello, expect)) = first.run(&self.identity, &mut rng) else { panic!("no hello") };
        let hello_done = Instant::now();
        let job = if resuming { server::Job::Resume(hello) } else { server::Job::Full(hello) };
        let accepted = job.run(&self.context, &mut rng).unwrap();
        let accepted_done = Instant::now();
        let finish = client::Job::Finish(expect, accepted.hello);
        let Ok(Answer::Finish(frame, finished)) = finish.run(&self.identity, &mut rng) else { panic!("no finish") };
        let finish_done = Instant::now();
        let authenticated = accepted.expect.finish(&frame).unwrap();
        let done = Instant::now();
        (
            (hello_done - start) + (finish_done - accepted_done),
            (accepted_done - hello_done) + (done - finish_done),
            Resumption { ticket: authenticated.ticket, secret: finished.resumption },
        )
    }
}

/// The server's one private-key operation.
fn decrypt(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handshake/decrypt");
    group.throughput(Throughput::Elements(1)).sample_size(50);
    for (bits, size) in [(2048, Bits::B2048), (3072, Bits::B3072), (4096, Bits::B4096)] {
        let mut rng = rand::rng();
        let key = PrivateKey::generate(size, &mut rng).unwrap();
        let secret = Secret::random(&mut rng);
        let ciphertext = key.public().encrypt(Label::ServerHandshake, &secret, &mut rng);
        group.bench_function(format!("RSA {bits}"), |bencher| {
            bencher.iter(|| key.decrypt(Label::ServerHandshake, black_box(&ciphertext), &mut rng));
        });
    }
}

fn handshake(criterion: &mut Criterion) {
    for (bits, size) in [(2048, Bits::B2048), (3072, Bits::B3072), (4096, Bits::B4096)] {
        let setting = Setting::new(size);
        let mut group = criterion.benchmark_group(format!("handshake/full, RSA {bits}"));
        group.throughput(Throughput::Elements(1)).sample_size(50);
        group.bench_function("client", |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| setting.shake(setting.first()).0).sum());
        });
        group.bench_function("server", |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| setting.shake(setting.first()).1).sum());
        });
    }
}

fn resumed(criterion: &mut Criterion) {
    let setting = Setting::new(Bits::B2048);
    let mut group = criterion.benchmark_group("handshake/resumed");
    group.throughput(Throughput::Elements(1));
    let (_, _, mut resumption) = setting.shake(setting.first());
    let mut shake = |times: u64| {
        let mut total = (Duration::ZERO, Duration::ZERO);
        for _ in 0..times {
            let again = Resumption { ticket: resumption.ticket.clone(), secret: resumption.secret.duplicate() };
            let (client, server, next) = setting.shake(client::Job::Resume(again));
            total = (total.0 + client, total.1 + server);
            resumption = next;
        }
        total
    };
    group.bench_function("client", |bencher| bencher.iter_custom(|times| shake(times).0));
    group.bench_function("server", |bencher| bencher.iter_custom(|times| shake(times).1));
}

criterion_group!(benches, decrypt, handshake, resumed);
criterion_main!(benches);
