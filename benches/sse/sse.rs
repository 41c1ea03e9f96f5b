//! Criterion over every corpus, feed and subject.
//!
//! `cargo bench --manifest-path benches/sse/Cargo.toml -- 'agent/whole'` for some of them.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sse_benches::corpus::{self, Feed};
use sse_benches::subjects::{FLOOR, OURS, PAYLOADS, PEERS, TYPE};

fn every_subject(criterion: &mut Criterion) {
    for corpus in corpus::all() {
        let with_types = corpus.type_bytes() > 0;
        let (events, bytes) = (corpus.payloads.len() as u64, corpus.stream.len() as u64);
        let stream: &'static [u8] = corpus.stream.leak();
        for feed in Feed::ALL {
            let reads = feed.cut(stream);
            let mut group = criterion.benchmark_group(format!("{}/{}", corpus.name, feed.name()));
            group.throughput(Throughput::ElementsAndBytes { elements: events, bytes });
            let payloads = PAYLOADS.iter().chain([&TYPE]).filter(|_| with_types && feed == Feed::Reads(1400));
            let subjects = [OURS, FLOOR].iter().chain(&PEERS).chain(payloads).copied().collect::<Vec<_>>();
            for subject in subjects.iter().filter(|subject| subject.can_bear(feed)) {
                group.bench_function(BenchmarkId::from_parameter(subject.name), |bencher| {
                    bencher.iter(|| (subject.run)(&reads));
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, every_subject);
criterion_main!(benches);
