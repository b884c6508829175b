//! Appending to a real store on disk, from `submit` to the last receipt: synced, as the server does it.
//!
//! "commit" is one batch that has a synced commit for itself; in "append" many batches share commits.

use std::time::{Duration, Instant};

use bench::mix::rig::{Rig, number_hash};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const NOW: i64 = 1_800_000_000_000;
const METRICS: usize = 20;
const STEP_MS: i64 = 1_000;

/// Each measurement has a store of its own; only `append` is timed.
fn measure(c: &mut Criterion, group: &str, name: &str, devices: u64) {
    let mut group = c.benchmark_group(group);
    group.sample_size(10);
    for rows in [1, 10] {
        group.throughput(Throughput::Elements(devices * (METRICS * rows) as u64));
        group.bench_with_input(BenchmarkId::new(name, rows), &rows, |b, &rows| {
            b.iter_custom(|rounds| {
                let dir = tempfile::tempdir().expect("a temporary folder");
                let mut rig =
                    Rig::new(dir.path(), devices, METRICS, number_hash, NOW).expect("an empty folder");
                let mut took = Duration::ZERO;
                for round in 0..rounds as i64 {
                    let batches = rig.rows(NOW + round * rows as i64 * STEP_MS, STEP_MS, rows);
                    let begin = Instant::now();
                    rig.append(batches).expect("the queue holds more than one batch of each device");
                    took += begin.elapsed();
                }
                took
            });
        });
    }
    group.finish();
}

fn append(c: &mut Criterion) {
    measure(c, "commit", "1 batch of rows x 20 metrics", 1);
    measure(c, "append", "200 batches of rows x 20 metrics", 200);
}

criterion_group!(benches, append);
criterion_main!(benches);
