//! Reports that follow from their numbers, and the law: acknowledged ⊆ recovered ⊆ sent, whole, nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use store::{
    Batch, Column, CostBasis, DeviceId, Kind, Level, LogLine, LogQuery, Origin, Presence, RangeQuery, Rows,
    Store, TimeRange, UsageEvent, UsageQuery,
};

use super::{START, mix};
use crate::batch;

const ROWS_MAX: u64 = 24;
const STEP_MS: i64 = 25;
const HOUR_MS: i64 = 3_600_000;

/// A device and what became of its reports.
pub struct Device {
    pub id: DeviceId,
    pub sent: BTreeSet<u64>,
    pub acknowledged: Arc<Mutex<BTreeSet<u64>>>,
}

impl Device {
    pub fn new(id: DeviceId) -> Device {
        Device { id, sent: BTreeSet::new(), acknowledged: Arc::default() }
    }

    /// Reports without an acknowledgement.
    pub fn open(&self) -> Vec<u64> {
        self.sent.difference(&self.acknowledged.lock().unwrap()).copied().collect()
    }
}

/// Report `n` of a device whose clock jumps by hours; no two of its rows ever have the same time.
pub fn report(device: DeviceId, n: u64, now: i64) -> Batch {
    let draw = |what: u64| mix(mix(u64::from(device.0) << 32 | n).wrapping_add(what));
    let rows = 1 + draw(1) % ROWS_MAX;
    let clock_ms = (draw(2) % 5) as i64 * HOUR_MS;
    let t_ms: Vec<i64> =
        (0..rows).map(|i| START + clock_ms + ((n * ROWS_MAX + i) as i64) * STEP_MS).collect();
    let column = |metric: &str, kind, values: Vec<f64>| Column {
        metric: metric.into(),
        kind,
        values,
        present: Presence::All,
    };
    let number = (0..rows).map(|i| (n * ROWS_MAX + i) as f64).collect();
    let exact = (0..rows).map(|i| 1.0 / (1 + draw(100 + i) % 1_000_003) as f64).collect();
    // Names come up now and then, so that the dictionary grows while power fails.
    let rare = format!("rare{}", n / 40);
    let columns = vec![
        column("number", Kind::Counter, number),
        column("exact", Kind::Gauge, exact),
        column(&rare, Kind::Gauge, vec![1.0; rows as usize]),
    ];
    let usage = UsageEvent {
        event_id: format!("e{n}"),
        t_ms: t_ms[0],
        agent: "main".into(),
        provider: "p".into(),
        model: "m".into(),
        input: draw(4) % 1_000_000_007,
        output: 0,
        cache_read: 0,
        cache_write: 0,
        cost_usd: None,
        cost_basis: CostBasis::Unknown,
    };
    let line =
        LogLine { t_ms: t_ms[0], level: Level::Info, source: "gateway".into(), message: format!("{n}") };
    Batch {
        origin: Some(Origin { boot_id: [device.0 as u8; 16], seq: n }),
        rows: Rows { t_ms, columns },
        usage: if draw(3).is_multiple_of(2) { vec![usage] } else { Vec::new() },
        logs: if draw(5).is_multiple_of(2) { vec![line] } else { Vec::new() },
        ..batch(device, now)
    }
}

/// What the store has of a device is what it must have.
pub fn assert_holds(store: &Store, device: &Device, told: &str) {
    let reports = assert_rows_hold(store, device, told);
    let query = LogQuery { device: Some(device.id), limit: 1_000_000, ..LogQuery::default() };
    let page = store.logs(&query).unwrap();
    let mut logs: Vec<String> = page.entries.into_iter().map(|entry| entry.line.message).collect();
    let mut sent: Vec<String> =
        reports.iter().flat_map(|r| &r.logs).map(|line| line.message.clone()).collect();
    logs.sort_unstable();
    sent.sort_unstable();
    assert_eq!(logs, sent, "{told}, device {}: logs", device.id);
    let query = UsageQuery { ranges: vec![TimeRange::ALL], by_device: true, ..UsageQuery::default() };
    let usage = store.usage(&query).unwrap();
    let tokens =
        usage.iter().find(|sum| sum.0.device == Some(device.id)).map_or(0, |sum| sum.1.tokens.total());
    let sent: u64 = reports.iter().flat_map(|r| &r.usage).map(|usage| usage.input).sum();
    assert_eq!(tokens, sent, "{told}, device {}: tokens", device.id);
}

/// The same of its rows; returns the reports they belong to.
pub fn assert_rows_hold(store: &Store, device: &Device, told: &str) -> Vec<Batch> {
    let told = format!("{told}, device {}", device.id);
    let query = RangeQuery {
        devices: vec![device.id],
        metrics: vec!["number".into(), "exact".into()],
        range: TimeRange::new(START - 24 * HOUR_MS, START + 48 * HOUR_MS).unwrap(),
        points: u32::MAX,
    };
    let answer = store.query(&query).unwrap();
    assert_eq!(answer.step_ms, 0, "{told}");
    let column = |name: &str| -> Vec<Option<u64>> {
        let found = answer.series.iter().find(|s| s.metric == name);
        let bits = |b: &store::Bucket| (b.count > 0).then(|| b.last.to_bits());
        found.map_or(Vec::new(), |s| {
            assert!(s.buckets.iter().all(|b| b.count <= 1), "{told}: a sample counts twice");
            s.buckets.iter().map(bits).collect()
        })
    };
    let (number, exact) = (column("number"), column("exact"));
    let mut rows: BTreeMap<i64, (Option<u64>, Option<u64>)> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for (at, t_ms) in answer.t_ms.iter().enumerate() {
        let value =
            number[at].map(f64::from_bits).unwrap_or_else(|| panic!("{told}: a row is there in part"));
        found.insert(value as u64 / ROWS_MAX);
        rows.insert(*t_ms, (number[at], exact[at]));
    }
    let acknowledged = device.acknowledged.lock().unwrap();
    let missing: Vec<_> = acknowledged.difference(&found).collect();
    assert!(missing.is_empty(), "{told}: acknowledged but gone: {missing:?}");
    let invented: Vec<_> = found.difference(&device.sent).collect();
    assert!(invented.is_empty(), "{told}: never sent: {invented:?}");
    let reports: Vec<Batch> = found.iter().map(|n| report(device.id, *n, START)).collect();
    let mut expected = BTreeMap::new();
    for report in &reports {
        for (i, t_ms) in report.rows.t_ms.iter().enumerate() {
            let bits = |column: &Column| Some(column.values[i].to_bits());
            let before =
                expected.insert(*t_ms, (bits(&report.rows.columns[0]), bits(&report.rows.columns[1])));
            assert_eq!(before, None, "two rows of the test have the same time");
        }
    }
    assert!(rows == expected, "{told}: rows are not as they were sent");
    reports
}
