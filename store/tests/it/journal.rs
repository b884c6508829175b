//! Logs, events and usage.

use crate::{Rig, append, batch};
use store::{CostBasis, Cursor, Level, LogLine, LogQuery, TimeRange, USAGE_SLOT_MS, UsageEvent, UsageSum};

const NOW: i64 = 1_795_343_922_420;

fn line(t_ms: i64, level: Level, message: &str) -> LogLine {
    LogLine { t_ms, level, source: "gateway".into(), message: message.into() }
}

fn usage(event_id: &str, t_ms: i64, tokens: u64) -> UsageEvent {
    UsageEvent {
        event_id: event_id.into(),
        t_ms,
        agent: "main".into(),
        provider: "p".into(),
        model: "m".into(),
        input: tokens,
        output: 1,
        cache_read: 2,
        cache_write: 3,
        cost_usd: Some(0.5),
        cost_basis: CostBasis::Reported,
    }
}

#[track_caller]
fn found(rig: &Rig, query: LogQuery) -> Vec<String> {
    let page = rig.store.logs(&LogQuery { limit: 100, ..query }).unwrap();
    page.entries.into_iter().map(|e| e.line.message).collect()
}

#[test]
fn logs_are_found_by_level_text_and_time() {
    let rig = Rig::new(NOW);
    let logs = vec![
        line(NOW, Level::Warn, "100% of the disk_a is full"),
        line(NOW + 1, Level::Error, "网关崩溃了"),
        line(NOW + 2, Level::Info, "100 of the disk-a is full"),
    ];
    append(&rig.store, store::Batch { logs, ..batch(rig.device, NOW) }).unwrap();
    let rig = rig.reopen(NOW);
    let text = |text: &str| LogQuery { text: Some(text.into()), ..LogQuery::default() };
    assert_eq!(found(&rig, LogQuery::default()).len(), 3);
    assert_eq!(found(&rig, text("崩溃")), ["网关崩溃了"]);
    assert_eq!(found(&rig, text("100%")), ["100% of the disk_a is full"]);
    assert_eq!(found(&rig, text("DISK_A")), ["100% of the disk_a is full"]);
    assert_eq!(found(&rig, LogQuery { level: Some(Level::Error), ..LogQuery::default() }), ["网关崩溃了"]);
    assert_eq!(found(&rig, LogQuery { from_ms: Some(NOW + 2), ..LogQuery::default() }).len(), 1);
    assert_eq!(found(&rig, LogQuery { to_ms: Some(NOW + 1), ..LogQuery::default() }).len(), 1);
    assert_eq!(rig.store.count_logs(Level::Warn, NOW).unwrap(), 2);
}

#[test]
fn pages_follow_one_another_without_loss_or_repetition() {
    let rig = Rig::new(NOW);
    // Many lines of one moment: time alone would not tell where a page ended.
    let logs = (0..25).map(|i| line(NOW + i / 10, Level::Info, &format!("line {i}"))).collect();
    append(&rig.store, store::Batch { logs, ..batch(rig.device, NOW) }).unwrap();
    let rig = rig.reopen(NOW);
    let mut messages = Vec::new();
    let mut before: Option<Cursor> = None;
    loop {
        let page = rig.store.logs(&LogQuery { before, limit: 7, ..LogQuery::default() }).unwrap();
        messages.extend(page.entries.into_iter().map(|e| e.line.message));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..25).rev().map(|i| format!("line {i}")).collect();
    assert_eq!(messages, expected);
}

#[test]
fn a_usage_event_counts_once_whichever_report_brings_it() {
    let rig = Rig::new(NOW);
    let slot = NOW - NOW.rem_euclid(USAGE_SLOT_MS);
    for (boot, events) in
        [(1, vec![usage("a", NOW, 10)]), (2, vec![usage("a", NOW, 10), usage("b", NOW, 20)])]
    {
        let report = store::Batch { usage: events, origin: crate::origin(boot, 1), ..batch(rig.device, NOW) };
        append(&rig.store, report).unwrap();
    }
    let rig = rig.reopen(NOW);
    let all = [(rig.device, UsageSum { tokens: 10 + 6 + 20 + 6, cost_usd: 1.0 })];
    assert_eq!(rig.store.usage_by_device(None).unwrap(), all);
    let range = |from, to| Some(TimeRange::new(from, to).unwrap());
    assert_eq!(rig.store.usage_by_device(range(slot, slot + USAGE_SLOT_MS)).unwrap(), all);
    assert_eq!(rig.store.usage_by_device(range(slot - USAGE_SLOT_MS, slot)).unwrap(), []);
}

#[test]
fn huge_token_counts_do_not_break_the_sums() {
    let rig = Rig::new(NOW);
    let events = (0..20).map(|i| usage(&i.to_string(), NOW, u64::MAX)).collect();
    append(&rig.store, store::Batch { usage: events, ..batch(rig.device, NOW) }).unwrap();
    let rig = rig.reopen(NOW);
    assert!(rig.store.usage_by_device(None).unwrap()[0].1.tokens >= 20_000_000_000_000);
}
