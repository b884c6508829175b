//! What is past its time goes, and nothing else.

use crate::{Rig, append, batch, samples};
use store::{
    Column, EventQuery, Keep, Kind, Level, LogLine, LogQuery, Options, Presence, RangeAnswer, RangeQuery,
    Retention, Rows, Store, Tier, TimeRange,
};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// The start of a day.
const START: i64 = 20_779 * DAY;

/// A sample each ten minutes from `from` to `to`, hours since the start.
fn fill(rig: &Rig, from: i64, to: i64) {
    let rows: Vec<(i64, f64)> = (from * 6..to * 6).map(|i| (START + i * HOUR / 6, (i % 97) as f64)).collect();
    append(&rig.store, samples(rig.device, START, "load1", &rows)).unwrap();
    rig.store.seal().unwrap();
}

fn query(rig: &Rig, from: i64, to: i64, points: u32) -> RangeAnswer {
    let query = RangeQuery {
        devices: vec![rig.device],
        metrics: vec!["load1".into()],
        range: TimeRange::new(START + from * HOUR, START + to * HOUR).unwrap(),
        points,
    };
    rig.store.query(&query).unwrap()
}

fn count(answer: &RangeAnswer) -> u64 {
    answer.series.iter().flat_map(|s| &s.buckets).map(|b| b.count).sum()
}

fn chunks(store: &Store) -> Vec<u64> {
    store.storage().tiers.iter().map(|t| t.chunks).collect()
}

#[test]
fn each_tier_goes_at_its_own_age_and_the_coarser_one_answers() {
    let rig = Rig::new(START);
    for day in 0..4 {
        fill(&rig, day * 24, day * 24 + 24);
    }
    assert_eq!(query(&rig, 0, 24, 1_000).tier, Tier::Raw);
    // Two days of raw are past.
    rig.store.maintain(START + (2 + 30) * DAY + 6 * HOUR).unwrap();
    assert_eq!(rig.store.storage().tiers[0].oldest_ms, Some(START + 2 * DAY));
    let answer = query(&rig, 0, 24, 1_000);
    assert_eq!((answer.tier, count(&answer)), (Tier::FiveMinutes, 144), "raw is gone, five minutes are not");
    let answer = query(&rig, 47, 49, 1_000);
    assert_eq!((answer.tier, count(&answer)), (Tier::FiveMinutes, 12), "half of it is gone");
    let answer = query(&rig, 48, 72, 1_000);
    assert_eq!((answer.tier, count(&answer)), (Tier::Raw, 144));

    rig.store.maintain(START + 500 * DAY).unwrap();
    assert_eq!(chunks(&rig.store), [0, 0, 1]);
    let answer = query(&rig, 0, 96, 1_000);
    assert_eq!((answer.tier, count(&answer)), (Tier::Hour, 4 * 144));
    let rig = rig.reopen(START);
    assert_eq!(query(&rig, 0, 96, 1_000), answer);

    rig.store.maintain(START + 6 * 365 * DAY).unwrap();
    assert_eq!(chunks(&rig.store), [0, 0, 0]);
    assert_eq!(rig.store.storage().tiers[2].oldest_ms, None);
}

#[test]
fn a_chunk_stays_until_its_newest_row_is_past() {
    let rig = Rig::new(START);
    fill(&rig, 0, 24);
    let spare = 4 * HOUR;
    let newest = START + 24 * HOUR - HOUR / 6;
    rig.store.maintain(newest + spare + 30 * DAY).unwrap();
    assert_eq!(chunks(&rig.store)[0], 1);
    rig.store.maintain(newest + spare + 30 * DAY + 1).unwrap();
    assert_eq!(chunks(&rig.store)[0], 0);
}

#[test]
fn rollups_of_dropped_rows_are_not_made_again_from_what_is_left() {
    let rig = Rig::new(START);
    fill(&rig, 0, 24);
    rig.store.maintain(START + 32 * DAY).unwrap();
    assert_eq!(chunks(&rig.store)[0], 0);
    let before = query(&rig, 0, 24, 100);
    assert_eq!(count(&before), 144);
    // Late rows in the last hour that was dropped, and in the next, of which nothing was dropped.
    for (hour, value) in [(23, 1_000.0), (24, 2_000.0)] {
        let late = samples(rig.device, START, "load1", &[(START + hour * HOUR + 1, value)]);
        append(&rig.store, late).unwrap();
    }
    for sealed in [false, true] {
        if sealed {
            rig.store.seal().unwrap();
        }
        assert_eq!(query(&rig, 0, 24, 100), before, "sealed: {sealed}");
        assert_eq!(count(&query(&rig, 0, 25, 100)), 145, "sealed: {sealed}");
    }
}

#[test]
fn the_oldest_go_when_a_tier_takes_too_much() {
    let mut rig = Rig::new(START);
    for day in 0..4 {
        fill(&rig, day * 24, day * 24 + 24);
    }
    let day_bytes = rig.store.storage().tiers[0].bytes / 4;
    rig.store.close();
    let keep = Keep { bytes: Some(2 * day_bytes + day_bytes / 2), ..Keep::days(30) };
    let retention = Retention { raw: keep, ..Retention::default() };
    rig.store = Store::open(Options { retention, ..Options::new(rig.dir.path()) }, START).unwrap();
    rig.store.maintain(START + 5 * DAY).unwrap();
    let raw = rig.store.storage().tiers[0];
    assert_eq!((raw.chunks, raw.oldest_ms), (2, Some(START + 2 * DAY)));
    assert_eq!(count(&query(&rig, 0, 96, 200)), 4 * 144, "the rollups are all there");
}

#[test]
fn the_file_shrinks_when_chunks_go() {
    let rig = Rig::new(START);
    let mut seed = 1u64;
    let mut noise = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from_bits(seed >> 2)
    };
    for day in 0..2 {
        let t_ms: Vec<i64> = (0..5_000).map(|i| START + day * DAY + i * 10_000).collect();
        let columns = (0..20)
            .map(|m| Column {
                metric: format!("m{m}"),
                kind: Kind::Gauge,
                values: t_ms.iter().map(|_| noise()).collect(),
                present: Presence::All,
            })
            .collect();
        let rows = Rows { t_ms, columns };
        append(&rig.store, store::Batch { rows, ..batch(rig.device, START) }).unwrap();
        rig.store.seal().unwrap();
    }
    let size = || std::fs::metadata(rig.dir.path().join("chunks.db")).unwrap().len();
    rig.store.maintain(START).unwrap();
    let before = rig.store.storage().tiers[0].bytes;
    assert!(before > 1_000_000, "{before}");
    rig.store.maintain(START + 32 * DAY).unwrap();
    let after = rig.store.storage().tiers[0].bytes;
    assert!(after < before / 2 + 1_000, "{after}");
    let limit: u64 = rig.store.storage().tiers.iter().map(|t| t.bytes).sum::<u64>() * 5 / 4 + 200_000;
    assert!(size() < limit, "{} bytes for {limit}", size());
}

fn line(t_ms: i64) -> LogLine {
    LogLine { t_ms, level: Level::Info, source: "gateway".into(), message: format!("line {t_ms:0>29}") }
}

fn log_times(store: &Store) -> Vec<i64> {
    let page = store.logs(&LogQuery { limit: 1_000, ..LogQuery::default() }).unwrap();
    page.entries.iter().map(|e| e.line.t_ms).collect()
}

#[test]
fn logs_and_events_go_by_age_and_logs_by_bytes() {
    let rig = Rig::new(START);
    let logs = (0..5).map(|day| line(START + day * DAY)).collect();
    append(&rig.store, store::Batch { logs, ..batch(rig.device, START) }).unwrap();
    // 7 bytes of source, 34 of message, twice, 128 for the line; reopening waits until they are recorded.
    let rig = rig.reopen(START + DAY);
    assert_eq!(rig.store.storage().log_bytes, 5 * 210);
    rig.store.maintain(START + 91 * DAY).unwrap();
    assert_eq!(log_times(&rig.store).len(), 4);
    assert_eq!(rig.store.storage().log_bytes, 4 * 210);

    rig.store.close();
    let logs = Keep { bytes: Some(2 * 210), ..Keep::days(90) };
    let retention = Retention { logs, events: Keep::days(1), ..Retention::default() };
    let options = Options { retention, ..Options::new(rig.dir.path()) };
    let store = Store::open(options, START + 2 * DAY).unwrap();
    store.maintain(START + 2 * DAY).unwrap();
    assert_eq!(log_times(&store), [START + 4 * DAY, START + 3 * DAY]);
    let events = store.events(&EventQuery { limit: 100, ..EventQuery::default() }).unwrap().entries;
    assert!(events.iter().all(|e| e.t_ms >= START + DAY) && events.len() == 2, "{events:?}");
    store.delete_device(rig.device).unwrap();
    assert_eq!(store.storage().log_bytes, 0);
}
