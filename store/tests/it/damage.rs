//! Damaged bytes on disk: they are set aside and shown, and the rest goes on.

use crate::{Rig, append, samples};
use rusqlite::{Connection, params};
use store::{Gap, GapCause, RangeQuery, StorageStats, TimeRange};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// The start of the last of eight days: its raw rows are never put together with those of the next day.
const START: i64 = 20_783 * DAY;

/// Three days with a sample each ten minutes, each a chunk.
fn three_days() -> Rig {
    let rig = Rig::new(START);
    for day in 0..3 {
        let rows: Vec<(i64, f64)> = (0..144).map(|i| (START + day * DAY + i * HOUR / 6, i as f64)).collect();
        append(&rig.store, samples(rig.device, START, "load1", &rows)).unwrap();
        rig.store.seal().unwrap();
    }
    rig
}

/// Turns a bit over in the body of the only chunk of a tier that begins on a day.
fn damage(rig: &Rig, tier: i64, day: i64) {
    let db = Connection::open(rig.dir.path().join("chunks.db")).unwrap();
    let span = [START + day * DAY, START + day * DAY + 1];
    let (id, mut blob): (i64, Vec<u8>) = db
        .query_row(
            "SELECT id, blob FROM chunk WHERE tier = ?1 AND start_ms >= ?2 AND start_ms < ?3",
            params![tier, span[0], span[1]],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    let middle = blob.len() / 2;
    blob[middle] ^= 4;
    db.execute("UPDATE chunk SET blob = ?2 WHERE id = ?1", params![id, blob]).unwrap();
}

fn range(from_day: i64, to_day: i64) -> TimeRange {
    TimeRange::new(START + from_day * DAY, START + to_day * DAY).unwrap()
}

fn count(rig: &Rig, range: TimeRange, points: u32) -> u64 {
    let query = RangeQuery { devices: vec![rig.device], metrics: vec!["*".into()], range, points };
    rig.store.query(&query).unwrap().series.iter().flat_map(|s| &s.buckets).map(|b| b.count).sum()
}

fn damaged_gaps(rig: &Rig, range: TimeRange) -> Vec<Gap> {
    let mut gaps = rig.store.gaps(&[rig.device], range).unwrap();
    gaps.retain(|gap| gap.cause == GapCause::Damaged);
    gaps
}

fn damaged(stats: &StorageStats) -> (u64, u64, u64) {
    (stats.damaged_chunks, stats.damaged_groups, stats.tiers[0].chunks)
}

#[test]
fn a_damaged_chunk_leaves_a_gap_and_the_rest_is_answered() {
    let mut rig = three_days();
    damage(&rig, 0, 1);
    assert_eq!(damaged(&rig.store.storage()), (0, 0, 3));
    for restarted in [false, true] {
        if restarted {
            rig = rig.reopen(START);
        }
        assert_eq!(count(&rig, range(0, 3), 5_000), 2 * 144);
        assert_eq!(count(&rig, range(0, 3), 5), 3 * 144, "the rollups were made before");
        assert_eq!(damaged(&rig.store.storage()), (1, 0, 2));
        let gap = Gap {
            device: rig.device,
            from_ms: START + DAY,
            to_ms: START + 2 * DAY - HOUR / 6 + 1,
            cause: GapCause::Damaged,
        };
        assert_eq!(damaged_gaps(&rig, range(0, 3)), [gap]);
        assert_eq!(damaged_gaps(&rig, range(2, 3)), []);
    }
    rig.store.delete_device(rig.device).unwrap();
    assert_eq!(damaged(&rig.store.storage()), (0, 0, 0), "what was set aside belonged to the device");
}

#[test]
fn a_rollup_is_not_made_again_without_the_damaged_rows() {
    let rig = three_days();
    let before = count(&rig, range(1, 2), 100);
    damage(&rig, 0, 1);
    // Into the damaged day, and one after it.
    let late = [(START + DAY + 1, 9.0), (START + 3 * DAY, 9.0)];
    append(&rig.store, samples(rig.device, START, "load1", &late)).unwrap();
    for sealed in [false, true] {
        if sealed {
            rig.store.seal().unwrap();
        }
        for points in [100, 10] {
            assert_eq!(count(&rig, range(1, 2), points), before, "{points} points, sealed: {sealed}");
        }
        assert_eq!(count(&rig, range(3, 4), 100), 1, "sealed: {sealed}");
    }
    assert_eq!(rig.store.storage().damaged_chunks, 1);
}

#[test]
fn a_damaged_rollup_is_set_aside_too() {
    let rig = three_days();
    damage(&rig, 1, 1);
    assert_eq!(count(&rig, range(0, 3), 400), 2 * 144);
    assert_eq!(rig.store.storage().damaged_chunks, 1);
    assert_eq!(count(&rig, range(0, 3), 5_000), 3 * 144, "the rows themselves are sound");
    assert_eq!(damaged_gaps(&rig, range(0, 3)).len(), 1);
}

#[test]
fn a_damaged_rollup_is_made_again_from_its_raw_rows() {
    let ask = |rig: &Rig, points| {
        let (devices, metrics) = (vec![rig.device], vec!["*".into()]);
        rig.store.query(&RangeQuery { devices, metrics, range: range(0, 3), points }).unwrap()
    };
    let mut rig = three_days();
    let before = [ask(&rig, 400), ask(&rig, 40)];
    // Chunks that were read a moment ago are remembered.
    rig = rig.reopen(START);
    damage(&rig, 1, 1);
    damage(&rig, 2, 1);
    assert_eq!([count(&rig, range(0, 3), 400), count(&rig, range(0, 3), 40)], [2 * 144; 2]);
    assert_eq!(rig.store.storage().damaged_chunks, 2);
    rig.store.maintain(START + 4 * DAY).unwrap();
    assert_eq!([ask(&rig, 400), ask(&rig, 40)], before);
    assert_eq!((damaged_gaps(&rig, range(0, 3)), rig.store.storage().damaged_chunks), (vec![], 0));
    rig.store.close();
    assert_eq!(store::check(rig.dir.path()).unwrap().faults, Vec::<String>::new());
}

#[test]
fn a_damaged_rollup_is_made_again_only_as_far_as_its_raw_rows_are_there() {
    let rig = three_days();
    // All three days in one chunk.
    rig.store.maintain(START + 30 * DAY - HOUR).unwrap();
    let tiers = rig.store.storage().tiers;
    assert_eq!(tiers[1].chunks, 1, "{tiers:?}");
    damage(&rig, 1, 0);
    assert_eq!(count(&rig, range(0, 3), 400), 0);
    // The first day's raw rows are dropped by then.
    rig.store.maintain(START + 31 * DAY + 5 * HOUR).unwrap();
    assert_eq!(rig.store.storage().tiers[0].chunks, 1);
    assert_eq!(count(&rig, range(1, 3), 400), 2 * 144);
    assert_eq!(rig.store.storage().damaged_chunks, 1);
    let gaps = damaged_gaps(&rig, range(0, 3));
    assert!(gaps.len() == 1 && gaps[0].to_ms <= START + DAY, "{gaps:?}");
    assert_eq!(count(&rig, range(0, 3), 40), 3 * 144, "the hours are sound");
}

#[test]
fn a_merge_sets_a_damaged_chunk_aside_and_goes_on() {
    let rig = three_days();
    let more = [(START + DAY + 1, 1.0), (START + 2 * DAY + 1, 1.0)];
    append(&rig.store, samples(rig.device, START, "load1", &more)).unwrap();
    rig.store.seal().unwrap();
    damage(&rig, 0, 1);
    rig.store.maintain(START + 20 * DAY).unwrap();
    let stats = rig.store.storage();
    // The small one of the day whose large one is damaged goes with the next day's.
    assert_eq!((stats.damaged_chunks, stats.tiers[0].chunks), (1, 2));
    assert_eq!(count(&rig, range(0, 3), 5_000), 2 * 144 + 2);
    // It goes when its time is over.
    rig.store.maintain(START + 40 * DAY).unwrap();
    assert_eq!(damaged(&rig.store.storage()), (0, 0, 0));
    assert_eq!(damaged_gaps(&rig, range(0, 3)), []);
}

/// Changes the row of a chunk and leaves the index as it was, as a bit that turns over does.
fn misplace(rig: &Rig, change: &str) {
    let open = || Connection::open(rig.dir.path().join("chunks.db")).unwrap();
    let db = open();
    let (root, sql): (i64, String) = db
        .query_row("SELECT rootpage, sql FROM sqlite_schema WHERE name = 'chunk_place'", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    db.execute_batch("PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'chunk_place'")
        .unwrap();
    drop(db);
    open().execute_batch(change).unwrap();
    let db = open();
    db.pragma_update(None, "writable_schema", true).unwrap();
    db.execute(
        "INSERT INTO sqlite_schema VALUES ('index', 'chunk_place', 'chunk', ?1, ?2)",
        params![root, sql],
    )
    .unwrap();
}

#[test]
fn a_chunk_whose_row_and_index_differ_answers_for_nobody() {
    let mut rig = three_days();
    let other = rig.store.add_device(crate::profile("two"), [2; 32], START).unwrap();
    append(&rig.store, samples(other, START, "load1", &[(START + 3 * DAY, 1.0)])).unwrap();
    rig.store.close();
    misplace(
        &rig,
        &format!("UPDATE chunk SET stream = {other} WHERE tier = 0 AND start_ms = {}", START + DAY),
    );
    let checked = store::check(rig.dir.path()).unwrap();
    assert!(checked.faults.iter().any(|fault| fault.contains("chunk_place")), "{checked:?}");
    rig = rig.reopen(START);
    assert_eq!(count(&rig, range(0, 3), 5_000), 2 * 144);
    rig.device = other;
    assert_eq!(count(&rig, range(0, 3), 5_000), 0, "another device's rows");
}

#[test]
fn a_damaged_group_of_the_tail_is_set_aside_and_the_others_come_back() {
    let mut rig = Rig::new(START);
    for i in 0..3 {
        append(&rig.store, samples(rig.device, START, "load1", &[(START + i, 1.0)])).unwrap();
    }
    rig.store.close();
    let db = Connection::open(rig.dir.path().join("tail.db")).unwrap();
    let (id, mut body): (i64, Vec<u8>) = db
        .query_row("SELECT id, body FROM batch_group ORDER BY id LIMIT 1 OFFSET 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    let middle = body.len() / 2;
    body[middle] ^= 1;
    db.execute("UPDATE batch_group SET body = ?2 WHERE id = ?1", params![id, body]).unwrap();
    drop(db);
    for _ in 0..2 {
        rig = rig.reopen(START);
        assert_eq!(count(&rig, range(0, 1), 10), 2);
        assert_eq!(damaged(&rig.store.storage()), (0, 1, 0));
    }
    rig.store.seal().unwrap();
    assert_eq!(count(&rig, range(0, 1), 10), 2);
}
