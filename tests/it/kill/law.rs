//! The law: acknowledged ⊆ recovered ⊆ sent, each report whole, nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use store::{DeviceId, LogQuery, RangeQuery, Store, TimeRange, UsageQuery};

use wire::Report;

use super::agents::{Device, ROWS_MAX, STEP_MS};

/// What is known of a device besides what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// All that was acknowledged must be there.
    Kept,
    /// Its rows and logs were past their time in some round: only what was sent may be there.
    Aged,
    /// Its deletion was asked for, and no answer came: it is there as if nobody had asked, or gone.
    Dying,
    /// Its deletion was acknowledged.
    Deleted,
}

/// The folder is sound, as `openclaw-watch check` says.
pub fn assert_sound(folder: &Path, told: &str) {
    let checked = store::check(folder).unwrap();
    assert_eq!((checked.faults, checked.set_aside), (Vec::new(), 0), "{told}");
}

/// What the store has of the devices is what it must have.
pub fn assert_holds(store: &Store, devices: &[(Fate, &Device)], told: &str) {
    let mut tokens: BTreeMap<DeviceId, u64> = BTreeMap::new();
    let by_device = UsageQuery { ranges: vec![TimeRange::ALL], by_device: true, ..UsageQuery::default() };
    for (key, sum) in store.usage(&by_device).unwrap() {
        tokens.extend(key.device.map(|device| (device, sum.tokens.total())));
    }
    for (fate, device) in devices {
        let told = format!("{told}, device {} ({fate:?})", device.id);
        let id = DeviceId(device.id);
        let (sent, acknowledged) = device.sent_and_acknowledged();
        let rows = rows(store, device);
        let logs = logs(store, id);
        let found: BTreeSet<u64> = rows.keys().map(|(n, _)| *n).collect();
        assert!(found.is_subset(&sent), "{told}: never sent: {:?}", found.difference(&sent));
        let reports: BTreeMap<u64, Report> = found.iter().map(|n| (*n, device.report(*n))).collect();
        for ((n, i), values) in &rows {
            let (columns, i) = (&reports[n].rows.columns, *i as usize);
            let expected = columns.iter().map(|c| c.present.has(i).then(|| c.values[i].to_bits()));
            assert!(
                expected.eq(values.iter().copied()),
                "{told}: row {i} of report {n} is not as it was sent: {values:?}"
            );
        }
        // Once a deletion is begun it is finished, if need be at the next start.
        let fate = match fate {
            Fate::Dying if store.device(id).is_none() => Fate::Deleted,
            Fate::Dying => Fate::Kept,
            known => *known,
        };
        match fate {
            Fate::Deleted => {
                assert!(store.device(id).is_none(), "{told}: came back");
                assert!(rows.is_empty() && logs.is_empty(), "{told}: left something behind");
            }
            Fate::Dying => unreachable!("settled above"),
            Fate::Aged => {}
            Fate::Kept => {
                let missing: Vec<_> = acknowledged.difference(&found).collect();
                assert!(missing.is_empty(), "{told}: acknowledged but gone: {missing:?}");
                let whole: usize = reports.values().map(|report| report.rows.t_ms.len()).sum();
                assert_eq!(rows.len(), whole, "{told}: a report is there in part");
                let lines = reports.values().flat_map(|report| &report.logs);
                let mut expected: Vec<&str> = lines.map(|line| line.message.as_str()).collect();
                expected.sort_unstable();
                assert_eq!(logs, expected, "{told}: logs");
                let usage = reports.values().flat_map(|report| &report.usage);
                let expected: u64 = usage.map(|usage| usage.input).sum();
                assert_eq!(tokens.get(&id).copied().unwrap_or_default(), expected, "{told}: tokens");
            }
        }
    }
}

/// Each row by the number of its report and its place in it: the bits of its values.
type Found = BTreeMap<(u64, u64), Vec<Option<u64>>>;

fn rows(store: &Store, device: &Device) -> Found {
    let query = RangeQuery {
        devices: vec![DeviceId(device.id)],
        metrics: ["number", "exact", "seldom"].map(String::from).to_vec(),
        range: TimeRange::new(device.start_ms, device.start_ms + 24 * 3_600_000).unwrap(),
        points: u32::MAX,
    };
    let answer = store.query(&query).unwrap();
    let mut rows = BTreeMap::new();
    // Where rows were dropped, rollups answer for them.
    if answer.step_ms != 0 {
        return rows;
    }
    let column = |name: &str| answer.series.iter().find(|s| s.metric == name);
    let columns = ["number", "exact", "seldom"].map(column);
    for (at, t_ms) in answer.t_ms.iter().enumerate() {
        let place = ((t_ms - device.start_ms) / STEP_MS) as u64;
        let value = |s: &store::Series| (s.buckets[at].count > 0).then(|| s.buckets[at].last.to_bits());
        let values = columns.iter().map(|column| column.and_then(value)).collect();
        let before = rows.insert((place / ROWS_MAX, place % ROWS_MAX), values);
        assert!(before.is_none(), "a row is there twice");
        assert!(columns.iter().flatten().all(|s| s.buckets[at].count <= 1), "a sample counts twice");
    }
    rows
}

fn logs(store: &Store, device: DeviceId) -> Vec<String> {
    let mut query = LogQuery { device: Some(device), limit: 5_000, ..LogQuery::default() };
    let mut found = Vec::new();
    loop {
        let page = store.logs(&query).unwrap();
        found.extend(page.entries.into_iter().map(|entry| entry.line.message));
        match page.next {
            Some(next) => query.before = Some(next),
            None => break,
        }
    }
    found.sort();
    found
}
