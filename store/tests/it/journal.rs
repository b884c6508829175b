//! Logs and events.

use crate::{Rig, append, batch};
use store::{Cursor, Level, LogLine, LogQuery};

const NOW: i64 = 1_795_343_922_420;

fn line(t_ms: i64, level: Level, message: &str) -> LogLine {
    LogLine { t_ms, level, source: "gateway".into(), message: message.into() }
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
