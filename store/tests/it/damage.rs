//! Damaged bytes on disk: they are set aside and shown, and the rest goes on.

use crate::{Rig, append, samples};
use rusqlite::{Connection, params};
use store::{Gap, GapCause, RangeQuery, StorageStats, TimeRange};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// The start of a day.
const START: i64 = 20_779 * DAY;

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
fn a_merge_sets_a_damaged_chunk_aside_and_goes_on() {
    let rig = three_days();
    let more = [(START + DAY + 1, 1.0), (START + 2 * DAY + 1, 1.0)];
    append(&rig.store, samples(rig.device, START, "load1", &more)).unwrap();
    rig.store.seal().unwrap();
    damage(&rig, 0, 1);
    rig.store.maintain(START + 20 * DAY).unwrap();
    let stats = rig.store.storage();
    // The small one of the day whose large one is damaged stays for itself.
    assert_eq!((stats.damaged_chunks, stats.tiers[0].chunks), (1, 3));
    assert_eq!(count(&rig, range(0, 3), 5_000), 2 * 144 + 2);
    // It goes when its time is over.
    rig.store.maintain(START + 40 * DAY).unwrap();
    assert_eq!(damaged(&rig.store.storage()), (0, 0, 0));
    assert_eq!(damaged_gaps(&rig, range(0, 3)), []);
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
