//! The stages between a report and its chunk at rest: sealing with its rollups, merging, dropping what is past its time,
//! and reading back after a kill. Appending is in `append`, chunks alone are in `chunk`.

use std::time::{Duration, Instant};

use bench::mix::rig::{Rig, number_hash};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// The start of a window of every tier.
const START: i64 = 62 * 336 * DAY_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
const HOUR_MS: i64 = 3_600_000;
const METRICS: usize = 20;
const STEP_MS: i64 = 10_000;
/// Rows of two hours: what a generation has at its age.
const ROWS: usize = 720;

fn rig(dir: &tempfile::TempDir, devices: u64) -> Rig {
    Rig::new(dir.path(), devices, METRICS, number_hash, START).expect("an empty folder")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Rows of `rig`'s devices become chunks and rollups, and are on disk.
fn seal_pieces(rig: &mut Rig, rounds: i64, step_ms: i64, rows: usize) -> Duration {
    let mut took = Duration::ZERO;
    for round in 0..rounds {
        let batches = rig.rows(START + round * rows as i64 * step_ms, step_ms, rows);
        rig.append(batches).expect("the queue holds more than one batch of each device");
        let begin = Instant::now();
        rig.store.seal().expect("the store is open");
        took += begin.elapsed();
    }
    took
}

/// A generation of 50 devices: two hours at 10 s, and 40 seconds at 1 s, whose hour is rolled up again each time.
fn seal(c: &mut Criterion) {
    const DEVICES: u64 = 50;
    let mut group = c.benchmark_group("seal");
    group.sample_size(10);
    for (name, step_ms, rows) in [("2 h at 10 s", STEP_MS, ROWS), ("40 s at 1 s", 1_000, 40)] {
        group.throughput(Throughput::Elements(DEVICES * (rows * METRICS) as u64));
        group.bench_function(format!("50 devices x 20 metrics x {name}, with rollups"), |b| {
            b.iter_custom(|rounds| {
                let dir = folder();
                seal_pieces(&mut rig(&dir, DEVICES), rounds as i64, step_ms, rows)
            });
        });
    }
    group.finish();
}

/// Days of some devices that were sealed every two hours.
fn days_in_pieces(devices: u64, days: i64) -> (Rig, tempfile::TempDir) {
    let dir = folder();
    let mut rig = rig(&dir, devices);
    seal_pieces(&mut rig, days * 12, STEP_MS, ROWS);
    (rig, dir)
}

/// A day of five devices that was sealed every two hours becomes one or two chunks each; then half of it is deleted.
fn merge(c: &mut Criterion) {
    const DEVICES: u64 = 5;
    let mut group = c.benchmark_group("merge");
    group.sample_size(10).throughput(Throughput::Elements(DEVICES * (12 * ROWS * METRICS) as u64));
    group.bench_function("5 devices x 20 metrics x a day in 12 pieces", |b| {
        b.iter_batched(
            || days_in_pieces(DEVICES, 1),
            |(rig, dir)| {
                rig.store.maintain(START + 2 * DAY_MS).expect("the store is open");
                (rig, dir)
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("deleting one of 5 devices with a day of 20 metrics", |b| {
        b.iter_batched(
            || {
                let (rig, dir) = days_in_pieces(DEVICES, 1);
                rig.store.maintain(START + 2 * DAY_MS).expect("the store is open");
                (rig, dir)
            },
            |(rig, dir)| {
                rig.store.delete_device(rig.devices[0].0).expect("it is there");
                (rig, dir)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// A folder whose rows are all in the tail is opened, as after a kill: reports of ten rows, and of one.
fn recovery(c: &mut Criterion) {
    const DEVICES: u64 = 100;
    let samples = if bench::is_measuring() { 1_000_000 } else { 20_000 };
    let mut group = c.benchmark_group("recovery");
    group.sample_size(10).throughput(Throughput::Elements(samples as u64));
    for rows in [10, 1] {
        let dir = folder();
        let mut rig = rig(&dir, DEVICES);
        for batch in 0..samples / (DEVICES as usize * rows * METRICS) {
            let batches = rig.rows(START + (batch * rows) as i64 * STEP_MS, STEP_MS, rows);
            rig.append(batches).expect("the queue holds more than one batch of each device");
        }
        rig.store.close();
        group.bench_function(format!("1 M samples in reports of rows/{rows}"), |b| {
            b.iter_custom(|rounds| {
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    let begin = Instant::now();
                    let store = Rig::open(dir.path(), START).expect("a sound folder");
                    took += begin.elapsed();
                    assert_eq!(store.storage().head_samples, samples as u64);
                }
                took
            });
        });
    }
    group.finish();
}

criterion_group!(benches, seal, merge, recovery);
criterion_main!(benches);
