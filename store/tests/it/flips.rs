//! Bits of the files turn over: nothing panics, and no answer has a number that was not sent.
//!
//! `OPENCLAW_WATCH_FLIPS=2000` turns more bits of each file over, `OPENCLAW_WATCH_SEED=7` others.

use crate::power::{Disk, Rng, mix, number, vfs};
use crate::{append, batch, profile, samples};
use std::collections::BTreeMap;
use std::path::Path;
use store::{Batch, DeviceId, Level, LogLine, LogQuery, Options, RangeQuery, Store, TimeRange};
use tempfile::TempDir;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// The start of a day.
const START: i64 = 20_779 * DAY;
const STEP: i64 = 60_000;
/// Bits of each file when nothing else is asked for.
const FLIPS: u64 = 30;
/// The files' pages, bytes.
const PAGE: usize = 2_048;

/// The value of a device's metric at a time: none twice, and with noise, so that chunks are of some size.
fn value(device: DeviceId, t_ms: i64) -> f64 {
    let minute = (t_ms - START) / STEP;
    let noise = mix(minute as u64 * 2 + u64::from(device.0)) as f64 / 2f64.powi(64);
    (minute * 10) as f64 + noise
}

fn rows(device: DeviceId, hours: std::ops::Range<i64>) -> Batch {
    let times = (hours.start * 60..hours.end * 60).map(|minute| START + minute * STEP);
    let rows: Vec<(i64, f64)> = times.map(|t| (t, value(device, t))).collect();
    let line = LogLine { t_ms: rows[0].0, level: Level::Warn, source: "s".into(), message: "a line".into() };
    Batch { logs: vec![line], ..samples(device, START, "load1", &rows) }
}

/// Two days of two devices: the first day sealed and merged, the second sealed hour by hour, its end in the tail.
fn fill(folder: &Path) {
    let store = Store::open(Options::new(folder), START).unwrap();
    let devices = ["one", "two"].map(|name| {
        store.add_device(profile(name), [name.len() as u8 + name.as_bytes()[0]; 32], START).unwrap()
    });
    for hour in 0..48 {
        for device in devices {
            append(&store, rows(device, hour..hour + 1)).unwrap();
        }
        if hour < 44 {
            store.seal().unwrap();
        }
        if hour == 30 {
            store.maintain(START + 30 * HOUR).unwrap();
        }
    }
    append(&store, batch(devices[0], START)).unwrap();
}

/// The number of samples that are found; each must be what was sent.
fn read(store: &Store) -> u64 {
    let mut found = 0;
    for device in [DeviceId(1), DeviceId(2)] {
        let ask = |metric: &str, hours: i64, points: u32| {
            store.query(&RangeQuery {
                devices: vec![device],
                metrics: vec![metric.into()],
                range: TimeRange::new(START, START + hours * HOUR).unwrap(),
                points,
            })
        };
        // An error is an answer, too: it is told, and nothing false with it.
        if let Ok(answer) = ask("load1", 48, 1_000_000)
            && answer.step_ms == 0
        {
            let buckets = answer.series.iter().flat_map(|s| &s.buckets).filter(|b| b.count > 0);
            for (t_ms, bucket) in answer.t_ms.iter().zip(buckets) {
                assert_eq!(
                    (bucket.count, bucket.last),
                    (1, value(device, *t_ms)),
                    "device {device} at {t_ms}"
                );
                found += 1;
            }
        }
        for points in [400, 40] {
            let Ok(answer) = ask("*", 48, points) else { continue };
            for series in &answer.series {
                for (t_ms, bucket) in answer.t_ms.iter().zip(&series.buckets).filter(|(_, b)| b.count > 0) {
                    let step_ms = answer.step_ms.max(STEP);
                    let told = format!("device {device} at {t_ms}, {points} points: {bucket:?}");
                    assert!(bucket.count as i64 <= step_ms / STEP, "{told}");
                    let (low, high) = (value(device, *t_ms), value(device, t_ms + step_ms - STEP));
                    assert!(low <= bucket.min && bucket.max <= high, "{told}");
                    if bucket.count as i64 == step_ms / STEP {
                        let sum: f64 = (0..step_ms / STEP).map(|i| value(device, t_ms + i * STEP)).sum();
                        assert!((bucket.sum - sum).abs() < 1e-9 * sum.abs().max(1.0), "{told}, not {sum}");
                    }
                }
            }
        }
        let _ = store.gaps(&[device], TimeRange::new(START, START + 2 * DAY).unwrap());
    }
    let _ = store.logs(&LogQuery { limit: 1_000, ..LogQuery::default() });
    found
}

#[test]
fn a_bit_that_turns_over_anywhere_is_told_or_costs_what_it_hit_never_a_wrong_number() {
    let flips = number("OPENCLAW_WATCH_FLIPS").unwrap_or(FLIPS);
    let seed = number("OPENCLAW_WATCH_SEED").unwrap_or(u64::from(std::process::id()));
    println!("seed {seed}");
    let mut rng = Rng::new(seed);
    let whole = tempfile::tempdir().unwrap();
    fill(whole.path());
    let files: BTreeMap<String, Vec<u8>> = std::fs::read_dir(whole.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    for name in ["chunks.db", "tail.db"] {
        let pages = (files[name].len() / PAGE) as u64;
        assert!(pages >= 8, "{name} has {pages} pages: too few to tell anything");
        let (mut told, mut unharmed, mut refused) = (0, 0, 0);
        for flip in 0..flips {
            // Every page has its turn, when there are enough flips.
            let page = flip * (pages / flips).max(1) % pages;
            let at = page as usize * PAGE + rng.below(PAGE as u64) as usize;
            let folder = damaged(&files, name, at, 1 << rng.below(8));
            told += u64::from(!store::check(folder.path()).is_ok_and(|checked| checked.faults_total == 0));
            match Store::open(Options::new(folder.path()), START + 2 * DAY) {
                Ok(store) => {
                    unharmed += u64::from(read(&store) == 2 * 48 * 60);
                    // Sealing and merging meet it as well.
                    let _ = append(&store, rows(DeviceId(1), 47..48)).map(|_| store.seal());
                    let _ = store.maintain(START + 3 * DAY);
                    read(&store);
                }
                Err(_) => refused += 1,
            }
            vfs::remove(folder.path());
        }
        println!(
            "{name}: of {flips} bits check told {told}, {unharmed} cost nothing, {refused} kept it from opening"
        );
        assert!(told > 0 && unharmed > 0, "the flips hit nothing, or everything");
    }
}

/// A copy of the folder with one bit turned over.
fn damaged(files: &BTreeMap<String, Vec<u8>>, name: &str, at: usize, bit: u8) -> TempDir {
    // Shown when it fails.
    println!("{name}, byte {at}, bit {bit}");
    let folder = tempfile::tempdir().unwrap();
    for (file, bytes) in files {
        let mut bytes = bytes.clone();
        if file == name {
            bytes[at] ^= bit;
        }
        std::fs::write(folder.path().join(file), bytes).unwrap();
    }
    // Nothing is gained by waiting for the real disk.
    Disk::insert(folder.path(), 0, None, 0);
    folder
}
