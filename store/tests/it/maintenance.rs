//! Merging chunks: nothing is lost or doubled, whoever reads or writes meanwhile.

use crate::{Rig, append, samples};
use std::sync::atomic::{AtomicBool, Ordering};
use store::{DeviceId, Keep, RangeQuery, Retention, Store, TimeRange};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// The start of a day.
const START: i64 = 20_779 * DAY;

/// Nothing goes while these tests run.
const FOR_LONG: Retention = Retention {
    raw: Keep::days(10_000),
    five_minutes: Keep::days(10_000),
    hour: Keep::days(10_000),
    logs: Keep::days(10_000),
    events: Keep::days(10_000),
};

fn count(store: &Store, device: DeviceId, points: u32) -> u64 {
    let query = RangeQuery {
        devices: vec![device],
        metrics: vec!["*".into()],
        range: TimeRange::new(START, START + 2 * DAY).unwrap(),
        points,
    };
    store.query(&query).unwrap().series.iter().flat_map(|s| &s.buckets).map(|b| b.count).sum()
}

/// Chunks of each tier.
fn chunks(store: &Store) -> Vec<u64> {
    store.storage().tiers.iter().map(|t| t.chunks).collect()
}

/// A generation of ten minutes with a sample each ten seconds; its last row comes again in the next with another value.
fn generation(rig: &Rig, number: i64) {
    let from = START + number * 600_000;
    let rows: Vec<(i64, f64)> = (0..=60).map(|i| (from + i * 10_000, (number * 100 + i) as f64)).collect();
    append(&rig.store, samples(rig.device, START, "load1", &rows)).unwrap();
    rig.store.seal().unwrap();
}

#[test]
fn a_finished_day_becomes_one_chunk_a_tier_and_answers_the_same() {
    let rig = Rig::with(FOR_LONG, START);
    for number in 0..7 {
        generation(&rig, number);
    }
    let rows = 7 * 60 + 1;
    assert_eq!((chunks(&rig.store)[0], count(&rig.store, rig.device, 5_000)), (7, rows));
    rig.store.maintain(START + DAY).unwrap();
    assert_eq!(chunks(&rig.store)[0], 7, "the day is not over");
    rig.store.maintain(START + 400 * DAY).unwrap();
    assert_eq!(chunks(&rig.store), [1, 1, 1]);
    for points in [5_000, 50, 4] {
        assert_eq!(count(&rig.store, rig.device, points), rows, "{points} points");
    }
    assert_eq!(rig.store.storage().samples, rows, "overlaps are settled");
    let rig = rig.reopen(START);
    assert_eq!(count(&rig.store, rig.device, 5_000), rows);
    assert_eq!(rig.store.device(rig.device).unwrap().latest, [("load1".into(), 660.0)]);
}

#[test]
fn a_day_that_is_not_over_is_merged_now_and_then() {
    let rig = Rig::with(FOR_LONG, START);
    for number in 0..20 {
        generation(&rig, number);
        rig.store.maintain(START + HOUR).unwrap();
    }
    assert!(chunks(&rig.store).iter().all(|&n| n <= 10), "{:?}", chunks(&rig.store));
    assert_eq!(count(&rig.store, rig.device, 5_000), 20 * 60 + 1);
}

#[test]
fn a_value_that_comes_after_the_merge_wins() {
    let rig = Rig::with(FOR_LONG, START);
    generation(&rig, 0);
    generation(&rig, 1);
    rig.store.maintain(START + 400 * DAY).unwrap();
    append(&rig.store, samples(rig.device, START, "load1", &[(START, 7_000.0)])).unwrap();
    rig.store.seal().unwrap();
    let max = |points| {
        let query = RangeQuery {
            devices: vec![rig.device],
            metrics: vec!["load1".into()],
            range: TimeRange::new(START, START + DAY).unwrap(),
            points,
        };
        let answer = rig.store.query(&query).unwrap();
        answer.series[0].buckets.iter().filter(|b| b.count > 0).map(|b| b.max).fold(0.0, f64::max)
    };
    for _ in 0..2 {
        assert_eq!((max(5_000), max(200), max(4)), (7_000.0, 7_000.0, 7_000.0));
        rig.store.maintain(START + 400 * DAY).unwrap();
    }
    assert_eq!(chunks(&rig.store), [1, 1, 1]);
}

#[test]
fn a_reader_never_misses_a_row_while_chunks_are_merged() {
    let rig = Rig::with(FOR_LONG, START);
    // Two days in turn: while the one is merged, the other gets its small chunks.
    for number in 0..12 {
        generation(&rig, number);
    }
    let rows = 12 * 60 + 1;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = [5_000, 4]
            .into_iter()
            .map(|points| {
                let (store, done, device) = (&rig.store, &done, rig.device);
                scope.spawn(move || {
                    while !done.load(Ordering::Acquire) {
                        let found = count(store, device, points);
                        assert_eq!(found, rows, "{points} points");
                    }
                })
            })
            .collect();
        for _ in 0..40 {
            // A row that is there already: a new chunk over the old ones, nothing new to count.
            append(&rig.store, samples(rig.device, START, "load1", &[(START, 1.0)])).unwrap();
            rig.store.seal().unwrap();
            rig.store.maintain(START + 400 * DAY).unwrap();
        }
        done.store(true, Ordering::Release);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}
