//! Files of earlier versions come forward with all that is in them.

use super::*;
use crate::db::File;
use crate::types::{DeviceId, TimeRange};
use crate::usage::{UsageQuery, UsageSum};
use crate::{Cost, LogQuery, Tokens};

const HOUR: i64 = 3_600_000;

/// A file of an earlier version with these rows, and the store's view of it today.
fn brought_forward(version: usize, rows: &str) -> (tempfile::TempDir, Meta) {
    let dir = tempfile::tempdir().unwrap();
    let older = File { migrations: &FILE.migrations[..version], ..FILE };
    older.open(dir.path()).unwrap().execute_batch(rows).unwrap();
    let meta = Meta::open(dir.path()).unwrap();
    (dir, meta)
}

#[test]
fn usage_of_version_2_is_summed_anew_with_what_has_no_price_apart() {
    // Two slots of one day, and one before 1970.
    let (_dir, meta) = brought_forward(
        2,
        "INSERT INTO usage_event VALUES
           (1, 'a', 900000, 'main', 'p', 'm', 10, 1, 2, 3, 0.5, 'reported'),
           (1, 'b', 900001, 'main', 'p', 'm', 20, 1, 2, 3, NULL, 'unknown'),
           (1, 'c', 1800000, 'main', 'p', 'm', 40, 0, 0, 0, 9.0, 'price_table'),
           (2, 'a', -1, 'main', 'p', 'm', 80, 0, 0, 0, NULL, 'unknown');
         INSERT INTO usage_slot VALUES (900000, 1, 'main', 'p', 'm', 2, 30, 2, 4, 6, 0.5);",
    );
    let sum = |start: i64, end: i64| {
        let range = TimeRange::new(start, end).unwrap();
        let rows = meta.usage(&UsageQuery { ranges: vec![range], ..UsageQuery::default() }).unwrap();
        rows.into_values().next().unwrap_or_default()
    };
    let price = |tokens: f64| tokens / 1e6;
    let of_slot = UsageSum {
        messages: 2,
        tokens: Tokens { input: 30, output: 2, cache_read: 4, cache_write: 6 },
        cost: Cost { reported_usd: 0.5, default_usd: price(26.0), ..Cost::default() },
    };
    let found = sum(0, 1_800_000);
    assert_eq!((found.messages, found.tokens), (of_slot.messages, of_slot.tokens));
    assert_eq!(found.cost.reported_usd, 0.5);
    assert!((found.cost.default_usd - of_slot.cost.default_usd).abs() < 1e-15);
    // From the days, and from both tables at once.
    let all = sum(0, 24 * HOUR);
    assert_eq!((all.messages, all.tokens.input), (3, 70));
    assert!((all.cost.default_usd - price(66.0)).abs() < 1e-15);
    assert_eq!(sum(-HOUR, 24 * HOUR).tokens.input, 150);
    assert_eq!(meta.usage_since().unwrap(), Some(-900_000));
    assert_eq!(meta.usage(&UsageQuery::default()).unwrap().len(), 0);
    let by_device = UsageQuery {
        ranges: vec![TimeRange::new(-24 * HOUR, 24 * HOUR).unwrap()],
        by_device: true,
        ..UsageQuery::default()
    };
    let devices: Vec<_> = meta.usage(&by_device).unwrap().into_keys().map(|key| key.device).collect();
    assert_eq!(devices, [Some(DeviceId(1)), Some(DeviceId(2))]);
}

#[test]
fn log_lines_of_version_2_are_found_by_text_and_grouped() {
    let (_dir, meta) = brought_forward(
        2,
        "INSERT INTO log (device, t_ms, level, source, message) VALUES
           (1, 10, 2, 'gateway', 'request 17 failed'), (1, 20, 3, 'gateway', 'request 18 failed'),
           (2, 30, 3, 'gateway', '网关崩溃了');
         UPDATE state SET log_bytes = 999;",
    );
    let query = |text: &str| LogQuery { text: Some(text.into()), limit: 10, ..LogQuery::default() };
    assert_eq!(meta.logs(&query("quest 18")).unwrap().entries.len(), 1);
    assert_eq!(meta.logs(&query("关崩溃")).unwrap().entries.len(), 1);
    let groups = meta.log_groups(&LogQuery { limit: 10, ..LogQuery::default() }).unwrap().groups;
    let found: Vec<(&str, u64)> = groups.iter().map(|g| (g.template.as_str(), g.count)).collect();
    assert_eq!(found, [("request <num> failed", 2), ("网关崩溃了", 1)]);
    // Two texts of 7 + 17 bytes, one of 7 + 15.
    assert_eq!(meta.log_bytes().unwrap(), 2 * (24 + 24 + 22) + 3 * 128);
    // A line of today joins its group.
    let line = crate::LogLine {
        t_ms: 40,
        level: crate::Level::Fatal,
        source: "gateway".into(),
        message: "request 19 failed".into(),
    };
    let record = Record { logs: vec![(DeviceId(2), line)], ..Record::default() };
    let added = meta.record(&record, |_| true).unwrap();
    assert_eq!(added[0].group, groups[0].id);
    assert_eq!(meta.logs(&query("quest 19")).unwrap().entries, added);
}
