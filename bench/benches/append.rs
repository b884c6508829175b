//! Appending to a real store on disk, from `submit` to the last receipt: synced, as the server does it.

use std::time::{Duration, Instant};

use bench::mix::{Device, store_rows};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use store::{Batch, DeviceId, DeviceProfile, Rejected, Rows, Store};

const NOW: i64 = 1_800_000_000_000;
const DEVICES: usize = 200;
const METRICS: usize = 20;
const STEP_MS: i64 = 1_000;

/// A store in a folder of its own, with devices.
struct Rig {
    store: Store,
    devices: Vec<(DeviceId, Device)>,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Rig {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(store::Options::new(dir.path()), NOW).expect("an empty folder");
        let devices = (0..DEVICES)
            .map(|number| {
                let profile = DeviceProfile { name: format!("d{number}"), ..DeviceProfile::default() };
                let mut key_hash = [0; 32];
                key_hash[..8].copy_from_slice(&(number as u64).to_le_bytes());
                let id = store.add_device(profile, key_hash, NOW).expect("a new name");
                (id, Device::new(1, number as u64, METRICS))
            })
            .collect();
        Rig { store, devices, _dir: dir }
    }

    /// One batch of `rows` rows of each of the devices.
    fn batches(&mut self, from_ms: i64, rows: usize) -> Vec<Batch> {
        let of = |(id, device): &mut (DeviceId, Device)| {
            batch(*id, store_rows(device.rows(from_ms, STEP_MS, rows)), from_ms)
        };
        self.devices.iter_mut().map(of).collect()
    }

    /// From the first `submit` until the last batch is on disk.
    fn append(&self, batches: Vec<Batch>) -> Duration {
        let count = batches.len();
        let (done, receipts) = std::sync::mpsc::channel();
        let begin = Instant::now();
        for batch in batches {
            let done = done.clone();
            let reply = Box::new(move |result: Result<_, Rejected>| {
                let _ = done.send(result.is_ok());
            });
            self.store.submit(batch, reply).expect("the queue holds more than one batch of each device");
        }
        let stored = receipts.iter().take(count).filter(|stored| *stored).count();
        let took = begin.elapsed();
        assert_eq!(stored, count, "every batch is stored");
        took
    }
}

fn batch(device: DeviceId, rows: Rows, received_ms: i64) -> Batch {
    Batch {
        device,
        received_ms,
        origin: None,
        interval_ms: Some(STEP_MS as u32),
        agent_version: None,
        facts: Vec::new(),
        states: Vec::new(),
        rows,
        usage: Vec::new(),
        logs: Vec::new(),
    }
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    group.sample_size(10);
    for rows in [1, 10] {
        group.throughput(Throughput::Elements((DEVICES * METRICS * rows) as u64));
        group.bench_with_input(
            BenchmarkId::new("200 batches of rows x 20 metrics", rows),
            &rows,
            |b, &rows| {
                b.iter_custom(|rounds| {
                    // A store of its own for each measurement: none meets the seal of another's rows.
                    let mut rig = Rig::new();
                    (0..rounds as i64)
                        .map(|round| {
                            let batches = rig.batches(NOW + round * rows as i64 * STEP_MS, rows);
                            rig.append(batches)
                        })
                        .sum()
                });
            },
        );
    }
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
