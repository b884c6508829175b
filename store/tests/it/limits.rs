//! Limits: what is past one is refused, counted and said; the rest is kept.

use crate::{append, batch, profile, samples};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use store::{
    Batch, Error, Level, Limits, LogLine, LogQuery, Options, RangeQuery, Rejected, Store, TimeRange,
};
use tempfile::TempDir;

const NOW: i64 = 1_795_343_922_420;

fn store(limits: Limits) -> (Store, store::DeviceId, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Options { limits, ..Options::new(dir.path()) }, NOW).unwrap();
    let device = store.add_device(profile("one"), [1; 32], NOW).unwrap();
    (store, device, dir)
}

fn fill(store: &Store, device: store::DeviceId, rows: i64) {
    let rows: Vec<(i64, f64)> = (0..rows).map(|i| (NOW + i, i as f64)).collect();
    append(store, samples(device, NOW, "load1", &rows)).unwrap();
}

fn query(store: &Store, device: store::DeviceId) -> store::Result<u64> {
    let query = RangeQuery {
        devices: vec![device],
        metrics: vec!["*".into()],
        range: TimeRange::new(NOW - 1_000_000, NOW + 1_000_000).unwrap(),
        points: 1,
    };
    let answer = store.query(&query)?;
    Ok(answer.series.iter().flat_map(|s| &s.buckets).map(|b| b.count).sum())
}

#[test]
fn metrics_past_the_limit_are_left_out_and_the_rest_is_kept() {
    let (store, device, _dir) = store(Limits { metrics_per_device: 100, ..Limits::default() });
    let column = |i: usize| store::Column {
        metric: format!("m{i}"),
        kind: store::Kind::Gauge,
        values: vec![1.0],
        present: store::Presence::All,
    };
    let wide = |range: std::ops::Range<usize>| store::Batch {
        rows: store::Rows { t_ms: vec![NOW], columns: range.map(column).collect() },
        ..batch(device, NOW)
    };
    assert_eq!(append(&store, wide(0..90)).unwrap().columns_refused, 0);
    assert_eq!(append(&store, wide(80..120)).unwrap().columns_refused, 20);
    assert_eq!(append(&store, wide(0..100)).unwrap().columns_refused, 0);
    assert_eq!(store.storage().columns_refused, 20);
    assert_eq!(query(&store, device).unwrap(), 100);
}

#[test]
fn a_query_that_reads_too_much_is_refused_and_counted() {
    let (store, device, _dir) = store(Limits { query_samples: 1_000, ..Limits::default() });
    fill(&store, device, 900);
    assert_eq!(query(&store, device).unwrap(), 900);
    store.seal().unwrap();
    fill(&store, device, 1_100);
    let error = query(&store, device).unwrap_err();
    assert!(matches!(error, Error::TooMuch { limit: 1_000 }), "{error}");
    assert_eq!(store.storage().queries_refused, 1);
}

#[test]
fn a_query_that_takes_too_long_is_refused_and_counted() {
    let (store, device, _dir) = store(Limits { query_time: Duration::ZERO, ..Limits::default() });
    fill(&store, device, 10);
    let error = query(&store, device).unwrap_err();
    assert!(matches!(error, Error::TooLong { limit_ms: 0 }), "{error}");
    assert_eq!(store.storage().queries_refused, 1);
}

#[test]
fn a_search_in_logs_that_takes_too_long_is_broken_off_and_counted() {
    let (store, device, dir) = store(Limits { query_time: Duration::ZERO, ..Limits::default() });
    let lines = (0..2_000).map(|i| LogLine {
        t_ms: NOW + i,
        level: Level::Warn,
        source: "gateway".into(),
        message: format!("line {i} of many"),
    });
    append(&store, Batch { logs: lines.collect(), ..batch(device, NOW) }).unwrap();
    drop(store);
    let open = |query_time| {
        let limits = Limits { query_time, ..Limits::default() };
        Store::open(Options { limits, ..Options::new(dir.path()) }, NOW).unwrap()
    };
    // Two letters are in no index: every line is looked at.
    let search = LogQuery { text: Some("zz".into()), limit: 10, ..LogQuery::default() };
    let hasty = open(Duration::ZERO);
    for refused in 1..=2 {
        let error = hasty.logs(&search).unwrap_err();
        assert!(matches!(error, Error::SearchTooLong { limit_ms: 0 }), "{error}");
        assert_eq!(hasty.storage().queries_refused, refused);
    }
    drop(hasty);
    let patient = open(Duration::from_secs(60));
    assert_eq!(patient.logs(&search).unwrap().entries, []);
    assert_eq!(patient.storage().queries_refused, 0);
}

#[test]
fn the_head_is_sealed_when_it_has_as_many_samples_as_it_may() {
    let (store, device, _dir) = store(Limits { head_samples: 1_000, ..Limits::default() });
    fill(&store, device, 999);
    assert_eq!(store.storage().head_samples, 999);
    fill(&store, device, 1);
    // Waits for the seal that the last row began, and for one of nothing.
    store.seal().unwrap();
    let stats = store.storage();
    assert_eq!((stats.head_samples, stats.tiers[0].chunks), (0, 1));
}

#[test]
fn threads_say_when_they_have_let_go_of_what_a_seal_and_the_merges_took() {
    static RESTED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    fn rested() {
        RESTED.lock().unwrap().extend(std::thread::current().name().map(String::from));
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Options { on_rest: Some(rested), ..Options::new(dir.path()) }, NOW).unwrap();
    let device = store.add_device(profile("one"), [1; 32], NOW).unwrap();
    fill(&store, device, 10);
    store.seal().unwrap();
    assert_eq!(*RESTED.lock().unwrap(), ["sealer"]);
    store.maintain(NOW).unwrap();
    assert_eq!(*RESTED.lock().unwrap(), ["sealer", "maintain"]);
}

#[test]
fn a_head_that_filled_while_another_was_sealed_is_sealed_by_itself() {
    let (store, device, dir) = store(Limits { head_samples: 100, ..Limits::default() });
    // The first seal waits for this.
    let holding = rusqlite::Connection::open(dir.path().join("chunks.db")).unwrap();
    holding.execute_batch("BEGIN IMMEDIATE").unwrap();
    let report = |i: i64| samples(device, NOW, "load1", &[(NOW + i, i as f64), (NOW - i, i as f64)]);
    let mut stored = 1;
    let refused = loop {
        match append(&store, report(stored)) {
            Ok(_) => stored += 1,
            Err(why) => break why,
        }
    };
    assert!(matches!(refused, Rejected::Overloaded { .. } | Rejected::Unavailable { .. }), "{refused}");
    assert_eq!(store.storage().head_samples, 100 + 300);
    holding.execute_batch("ROLLBACK").unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    while let Err(why) = append(&store, report(stored)) {
        assert!(Instant::now() < patience, "{why}");
        std::thread::yield_now();
    }
}

#[test]
fn a_head_that_is_full_because_it_cannot_be_sealed_is_refused_with_the_reason() {
    let (store, device, dir) = store(Limits { head_samples: 100, ..Limits::default() });
    let other = rusqlite::Connection::open(dir.path().join("chunks.db")).unwrap();
    other.execute_batch("ALTER TABLE chunk RENAME TO hidden").unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    let mut stored = 0;
    let reason = loop {
        match append(&store, samples(device, NOW, "load1", &[(NOW + stored, 1.0)])) {
            Ok(_) => stored += 1,
            // The head is full before the seal has failed.
            Err(Rejected::Overloaded { .. }) => std::thread::yield_now(),
            Err(Rejected::Unavailable { reason }) => break reason,
            Err(other) => panic!("{other}"),
        }
        assert!(Instant::now() < patience, "nobody said why");
    };
    assert!(reason.contains("cannot be put into chunks"), "{reason}");
    other.execute_batch("ALTER TABLE hidden RENAME TO chunk").unwrap();
    while let Err(why) = append(&store, samples(device, NOW, "load1", &[(NOW + stored, 1.0)])) {
        assert!(Instant::now() < patience, "{why}");
        std::thread::yield_now();
    }
}

#[test]
fn reports_past_the_queue_are_refused_at_once_and_counted() {
    let (store, device, _dir) = store(Limits { queue_batches: 1, ..Limits::default() });
    // The writer waits in the reply to the first until it may go on.
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let (arrived, in_reply) = std::sync::mpsc::channel();
    let first = samples(device, NOW, "load1", &[(NOW, 1.0)]);
    let hold = move |_| {
        arrived.send(()).unwrap();
        wait.recv().unwrap();
    };
    store.submit(first, Box::new(hold)).unwrap();
    in_reply.recv().unwrap();
    let second = || samples(device, NOW, "load1", &[(NOW + 1, 1.0)]);
    let (stored, is_stored) = std::sync::mpsc::channel();
    store.submit(second(), Box::new(move |result| stored.send(result).unwrap())).unwrap();
    let refused = store.submit(second(), Box::new(|_| ()));
    assert!(matches!(refused, Err(Rejected::Overloaded { .. })), "{refused:?}");
    assert_eq!(store.storage().batches_refused, 1);
    go_on.send(()).unwrap();
    is_stored.recv().unwrap().unwrap();
    append(&store, samples(device, NOW, "load1", &[(NOW + 2, 1.0)])).unwrap();
}
