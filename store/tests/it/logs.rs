//! Log lines: found by text, time and level, and grouped by what they say.

use crate::{Rig, append, batch, profile};
use proptest::prelude::*;
use store::{Cursor, Keep, Level, LogLine, LogQuery, Retention, TimeRange};

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
fn lines_are_counted_step_by_step() {
    let rig = Rig::new(NOW);
    let other = rig.store.add_device(profile("other"), [7; 32], NOW).unwrap();
    let at = |t_ms, level| line(t_ms, level, "x");
    let logs = vec![
        at(NOW - 1, Level::Error),
        at(NOW, Level::Error),
        at(NOW + 9, Level::Fatal),
        at(NOW + 10, Level::Warn),
    ];
    append(&rig.store, store::Batch { logs, ..batch(rig.device, NOW) }).unwrap();
    let logs = vec![at(NOW + 29, Level::Error), at(NOW + 30, Level::Error)];
    append(&rig.store, store::Batch { logs, ..batch(other, NOW) }).unwrap();
    let rig = rig.reopen(NOW);
    let count = |device, level, end, step| {
        rig.store.count_logs_in_steps(device, level, TimeRange::new(NOW, end).unwrap(), step).unwrap()
    };
    assert_eq!(count(None, Level::Error, NOW + 30, 10), [2, 0, 1]);
    assert_eq!(count(Some(rig.device), Level::Error, NOW + 30, 10), [2, 0, 0]);
    assert_eq!(count(Some(rig.device), Level::Warn, NOW + 30, 10), [2, 1, 0]);
    assert_eq!(count(None, Level::Debug, NOW + 31, 10), [2, 1, 1, 1]);
    assert_eq!(count(None, Level::Fatal, NOW + 5, 10), [0]);
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

/// `template xCOUNT devices worst-level`, the largest first.
fn groups(rig: &Rig, query: LogQuery) -> Vec<String> {
    let found = rig.store.log_groups(&LogQuery { limit: 100, ..query }).unwrap();
    assert_eq!(found.groups_total, found.groups.len() as u64);
    assert_eq!(found.lines_total, found.groups.iter().map(|g| g.count).sum::<u64>());
    let devices = |devices: &[(store::DeviceId, u64)]| {
        devices.iter().map(|(id, count)| format!("{id}:{count}")).collect::<Vec<_>>().join(" ")
    };
    let text = |g: &store::LogGroup| {
        format!("{} x{} {} {}", g.template, g.count, devices(&g.devices), g.level.as_str())
    };
    found.groups.iter().map(text).collect()
}

#[test]
fn lines_that_say_the_same_are_one_group() {
    let rig = Rig::new(NOW);
    let other = rig.store.add_device(profile("two"), [2; 32], NOW).unwrap();
    let one = vec![
        line(NOW, Level::Warn, "request 17 timed out after 12 ms"),
        line(NOW + 1, Level::Error, "request 18 timed out after 9 ms"),
        line(NOW + 2, Level::Info, "ready"),
    ];
    append(&rig.store, store::Batch { logs: one, ..batch(rig.device, NOW) }).unwrap();
    let two = vec![line(NOW + 3, Level::Warn, "request 19 timed out after 1.5 ms")];
    append(&rig.store, store::Batch { logs: two, ..batch(other, NOW) }).unwrap();
    let rig = rig.reopen(NOW);
    let timeouts = "request <num> timed out after <num> ms";
    assert_eq!(
        groups(&rig, LogQuery::default()),
        [format!("{timeouts} x3 1:2 2:1 error"), "ready x1 1:1 info".into()]
    );
    let found = rig.store.log_groups(&LogQuery { limit: 1, ..LogQuery::default() }).unwrap();
    let group = &found.groups[0];
    assert_eq!((found.groups_total, found.lines_total, found.groups.len()), (2, 4, 1));
    assert_eq!((group.first_ms, group.last_ms, group.devices_total), (NOW, NOW + 3, 2));
    assert_eq!(
        (group.source.as_str(), group.example.as_str()),
        ("gateway", "request 19 timed out after 1.5 ms")
    );

    let of_group = LogQuery { group: Some(group.id), ..LogQuery::default() };
    assert_eq!(crate::logs::found(&rig, of_group.clone()).len(), 3);
    let of_device = LogQuery { device: Some(other), ..LogQuery::default() };
    assert_eq!(groups(&rig, of_device), [format!("{timeouts} x1 2:1 warn")]);
    let of_time =
        LogQuery { from_ms: Some(NOW + 1), to_ms: Some(NOW + 3), level: Some(Level::Warn), ..of_group };
    assert_eq!(groups(&rig, of_time), [format!("{timeouts} x1 1:1 error")]);
    let text = |text: &str| LogQuery { text: Some(text.into()), ..LogQuery::default() };
    assert_eq!(groups(&rig, text("timed OUT")), [format!("{timeouts} x3 1:2 2:1 error")]);
    assert_eq!(groups(&rig, text("18")), [format!("{timeouts} x1 1:1 error")]);
    assert!(groups(&rig, text("nowhere")).is_empty());
}

#[test]
fn what_is_gone_counts_in_no_group() {
    let day = 24 * 3_600_000;
    let retention = Retention { logs: Keep::days(2), ..Retention::default() };
    let rig = Rig::with(retention, NOW);
    let other = rig.store.add_device(profile("two"), [2; 32], NOW).unwrap();
    let old = vec![line(NOW, Level::Warn, "old secretword"), line(NOW, Level::Warn, "disk 1 full")];
    append(&rig.store, store::Batch { logs: old, ..batch(rig.device, NOW) }).unwrap();
    let new = vec![line(NOW + day, Level::Warn, "disk 2 full"), line(NOW + day, Level::Warn, "mine alone")];
    append(&rig.store, store::Batch { logs: new, ..batch(other, NOW) }).unwrap();
    let rig = rig.reopen(NOW);
    assert_eq!(groups(&rig, LogQuery::default()).len(), 3);
    let store = {
        let Rig { store, dir, .. } = rig;
        store.close();
        drop(store);
        let store =
            store::Store::open(store::Options { retention, ..store::Options::new(dir.path()) }, NOW).unwrap();
        Rig { store, device: other, dir }
    };
    store.store.maintain(NOW + 2 * day + 1).unwrap();
    assert_eq!(
        groups(&store, LogQuery::default()),
        ["disk <num> full x1 2:1 warn", "mine alone x1 2:1 warn"]
    );
    assert!(found(&store, LogQuery { text: Some("secretword".into()), ..LogQuery::default() }).is_empty());
    store.store.delete_device(other).unwrap();
    assert!(groups(&store, LogQuery::default()).is_empty());
    store.store.close();
    // Neither a line nor what several lines had in common is left in the file.
    let bytes = std::fs::read(store.dir.path().join("meta.db")).unwrap();
    for word in ["secretword", "mine alone", "disk <num>"] {
        assert!(!bytes.windows(word.len()).any(|w| w == word.as_bytes()), "{word}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    /// The law: the index finds what looking at every line finds, for texts of any length and letters.
    #[test]
    fn every_text_is_found_that_a_line_contains(
        lines in proptest::collection::vec("[ab网关%_\\\"' ]{0,12}", 1..40),
        texts in proptest::collection::vec("[ab网关%_\\\"' ]{1,6}", 1..20),
    ) {
        let rig = Rig::new(NOW);
        let logs = lines.iter().enumerate().map(|(i, l)| line(NOW + i as i64, Level::Warn, l)).collect();
        append(&rig.store, store::Batch { logs, ..batch(rig.device, NOW) }).unwrap();
        let rig = rig.reopen(NOW);
        for text in texts {
            let mut expected: Vec<String> = lines.iter().filter(|l| l.contains(&text)).cloned().collect();
            expected.reverse();
            let query = LogQuery { text: Some(text), ..LogQuery::default() };
            prop_assert_eq!(found(&rig, query.clone()), expected.clone());
            let found = rig.store.log_groups(&LogQuery { limit: 100, ..query }).unwrap();
            prop_assert_eq!(found.lines_total, expected.len() as u64);
        }
    }
}
