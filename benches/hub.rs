//! What a post costs under the hub's lock: taken, numbered, delivered to a room of so many, and acknowledged.
#![allow(missing_docs, reason = "what criterion's macros make has none")]

mod common;

use common::Crowd;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn posts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hub/post");
    group.throughput(Throughput::Elements(1));
    for members in [1, 100, 10_000] {
        let mut crowd = Crowd::new(members);
        group.bench_function(BenchmarkId::from_parameter(members), |bencher| {
            bencher.iter(|| {
                let post = crowd.next();
                crowd.take(post);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, posts);
criterion_main!(benches);
