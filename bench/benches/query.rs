//! Questions to a store of a hundred devices with a day each, one of them with a month, sealed but for the last hour.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use bench::mix::rig::{Rig, number_hash};
use criterion::{Criterion, criterion_group, criterion_main};
use store::{DeviceId, RangeQuery, TimeRange};

const NOW: i64 = 1_800_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const METRICS: usize = 20;
const STEP_MS: i64 = 10_000;
/// Rows of an hour.
const ROWS: usize = 360;

/// How much there is: less where it is only tried whether it works.
struct Size {
    devices: u64,
    days: i64,
}

fn filled(dir: &Path, size: &Size) -> Rig {
    let mut rig = Rig::new(dir, size.devices, METRICS, number_hash, NOW).expect("an empty folder");
    let begin = NOW - DAY_MS;
    for hour in 0..(size.days - 1) * 24 {
        let from_ms = begin - (size.days - 1) * DAY_MS + hour * HOUR_MS;
        let batches = rig.rows_of(1, from_ms, STEP_MS, ROWS);
        rig.append(batches).expect("one batch fits the queue");
    }
    for hour in 0..24 {
        if hour == 23 {
            rig.store.seal().expect("the store is open");
        }
        let batches = rig.rows(begin + hour * HOUR_MS, STEP_MS, ROWS);
        rig.append(batches).expect("the queue holds more than one batch of each device");
    }
    rig.store.maintain(NOW).expect("the store is open");
    rig
}

fn ask(devices: &[DeviceId], metric: &str, range_ms: i64, points: u32) -> RangeQuery {
    RangeQuery {
        devices: devices.to_vec(),
        metrics: vec![metric.to_string()],
        range: TimeRange::new(NOW - range_ms, NOW).expect("a positive length"),
        points,
    }
}

fn query(c: &mut Criterion) {
    let size = match bench::is_measuring() {
        true => Size { devices: 100, days: 30 },
        false => Size { devices: 3, days: 2 },
    };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let Rig { store, devices } = filled(dir.path(), &size);
    let devices: Vec<DeviceId> = devices.into_iter().map(|(id, _)| id).collect();
    let one = &devices[..1];
    let day = ask(one, "cpu_percent", DAY_MS, 288);
    let mut group = c.benchmark_group("query");
    for (name, query) in [
        ("30 min raw, head only", ask(one, "cpu_percent", HOUR_MS / 2, 600)),
        ("1 h raw, 1 series", ask(one, "cpu_percent", HOUR_MS, 600)),
        ("6 h at 600 points, 1 series", ask(one, "cpu_percent", 6 * HOUR_MS, 600)),
        ("24 h at 5 min, 1 series", day.clone()),
        ("24 h at 5 min, every device", ask(&devices, "cpu_percent", DAY_MS, 288)),
        ("24 h at 5 min, every metric of 1 device", ask(one, "*", DAY_MS, 288)),
        ("30 days at 1,000 points, 1 series", ask(one, "cpu_percent", size.days * DAY_MS, 1_000)),
    ] {
        let answer = store.query(&query).expect("a query within its budget");
        assert!(!answer.series.is_empty() && !answer.t_ms.is_empty(), "{name}: nothing was found");
        group.bench_function(name, |b| {
            b.iter(|| store.query(black_box(&query)).expect("a query within its budget"))
        });
    }
    group.bench_function("latest of every metric of every device", |b| b.iter(|| store.devices().len()));
    // Each start replays the last hour.
    store.close();
    group.sample_size(10);
    group.bench_function("24 h at 5 min, 1 series, first after a start", |b| {
        b.iter_custom(|rounds| {
            let mut took = Duration::ZERO;
            for _ in 0..rounds {
                let store = Rig::open(dir.path(), NOW).expect("a sound folder");
                let begin = Instant::now();
                let answer = store.query(black_box(&day)).expect("a query within its budget");
                took += begin.elapsed();
                assert!(!answer.t_ms.is_empty());
            }
            took
        });
    });
    group.finish();
}

criterion_group!(benches, query);
criterion_main!(benches);
