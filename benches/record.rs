//! Sealing and opening records: what every byte on a connection costs one core.
#![allow(missing_docs, reason = "what criterion's macros make has none")]

mod common;

use std::hint::black_box;

use common::direction;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rsachat::proto::frame::{HEADER_BYTES, Header, Kind};

const SIZES: [usize; 3] = [64, 1024, 16 * 1024];

fn seal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record/seal");
    for size in SIZES {
        let plaintext = vec![7; size];
        let mut direction = direction();
        let mut out = Vec::with_capacity(size + 64);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("{size} B"), |bencher| {
            bencher.iter(|| {
                out.clear();
                direction.seal(Kind::Data, &mut out, |out| out.extend_from_slice(black_box(&plaintext)));
                black_box(&out);
            });
        });
    }
}

fn open(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record/open");
    for size in SIZES {
        let plaintext = vec![7; size];
        let (mut from, mut to) = (direction(), direction());
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("{size} B"), |bencher| {
            let sealed = || {
                let mut out = Vec::new();
                from.seal(Kind::Data, &mut out, |out| out.extend_from_slice(&plaintext));
                out
            };
            // Records are opened in the order in which they were sealed: each is the next one.
            let open = |record: &mut Vec<u8>| {
                let header = Header { kind: Kind::Data, length: size + 16 };
                assert!(to.open(header, black_box(record.split_at_mut(HEADER_BYTES).1)).is_ok());
            };
            bencher.iter_batched_ref(sealed, open, BatchSize::LargeInput);
        });
    }
}

criterion_group!(benches, seal, open);
criterion_main!(benches);
