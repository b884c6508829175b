//! Range queries over a day of ten devices, sealed but for the last hour.

use std::hint::black_box;

use bench::mix::{Device, store_rows};
use criterion::{Criterion, criterion_group, criterion_main};
use store::{Batch, DeviceId, DeviceProfile, RangeQuery, Rejected, Store, TimeRange};

const NOW: i64 = 1_800_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const DEVICES: usize = 10;
const METRICS: usize = 20;
const STEP_MS: i64 = 10_000;
/// Rows of one batch.
const ROWS: i64 = 360;

/// Ten devices: 23 hours in chunks, the last one in the head.
fn filled(dir: &std::path::Path) -> (Store, Vec<DeviceId>) {
    let store = Store::open(store::Options::new(dir), NOW).expect("an empty folder");
    let mut devices: Vec<(DeviceId, Device)> = (0..DEVICES)
        .map(|number| {
            let profile = DeviceProfile { name: format!("d{number}"), ..DeviceProfile::default() };
            let id = store.add_device(profile, [number as u8; 32], NOW).expect("a new name");
            (id, Device::new(1, number as u64, METRICS))
        })
        .collect();
    let begin = NOW - 24 * HOUR_MS;
    for hour in 0..24 {
        if hour == 23 {
            store.seal().expect("there are rows to seal");
        }
        for (id, device) in &mut devices {
            let from_ms = begin + hour * HOUR_MS;
            append(&store, *id, store_rows(device.rows(from_ms, STEP_MS, ROWS as usize)));
        }
    }
    (store, devices.into_iter().map(|(id, _)| id).collect())
}

fn append(store: &Store, device: DeviceId, rows: store::Rows) {
    let (done, receipt) = std::sync::mpsc::channel();
    let batch = Batch {
        device,
        received_ms: NOW,
        origin: None,
        interval_ms: None,
        agent_version: None,
        facts: Vec::new(),
        states: Vec::new(),
        rows,
        usage: Vec::new(),
        logs: Vec::new(),
    };
    let reply = Box::new(move |result: Result<_, Rejected>| {
        let _ = done.send(result.is_ok());
    });
    store.submit(batch, reply).expect("one batch fits the queue");
    assert_eq!(receipt.recv(), Ok(true), "the batch is stored");
}

fn query(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (store, devices) = filled(dir.path());
    let one = &devices[..1];
    let ask = |devices: &[DeviceId], metric: &str, hours: i64, points: u32| RangeQuery {
        devices: devices.to_vec(),
        metrics: vec![metric.to_string()],
        range: TimeRange::new(NOW - hours * HOUR_MS, NOW).expect("a positive number of hours"),
        points,
    };
    let mut group = c.benchmark_group("query");
    for (name, query) in [
        (
            "30 min raw, head only",
            RangeQuery {
                range: TimeRange::new(NOW - HOUR_MS / 2, NOW).expect("half an hour"),
                ..ask(one, "cpu_percent", 1, 600)
            },
        ),
        ("1 h raw, 1 series", ask(one, "cpu_percent", 1, 600)),
        ("6 h at 600 points, 1 series", ask(one, "cpu_percent", 6, 600)),
        ("24 h at 5 min, 1 series", ask(one, "cpu_percent", 24, 288)),
        ("24 h at 5 min, 10 devices", ask(&devices, "cpu_percent", 24, 288)),
        ("24 h at 5 min, every metric of 1 device", ask(one, "*", 24, 288)),
    ] {
        let answer = store.query(&query).expect("a query within its budget");
        assert!(!answer.series.is_empty() && !answer.t_ms.is_empty(), "{name}: nothing was found");
        group.bench_function(name, |b| {
            b.iter(|| store.query(black_box(&query)).expect("a query within its budget"))
        });
    }
    group.finish();

    c.bench_function("devices: latest of 10 x 20", |b| b.iter(|| store.devices().len()));
}

criterion_group!(benches, query);
criterion_main!(benches);
