//! `check` finds what is wrong, says nothing of what is not, and leaves everything as it is.

use crate::{Rig, append, profile, samples};
use rusqlite::Connection;
use std::collections::BTreeMap;
use store::{Checked, Error, check};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// The start of a day.
const START: i64 = 20_779 * DAY;

/// Two devices with two days, the second of which came late and in pieces, and a row that is not sealed.
fn closed() -> Rig {
    let rig = Rig::new(START);
    let other = rig.store.add_device(profile("two"), [2; 32], START).unwrap();
    for (device, factor) in [(rig.device, 1.0), (other, 2.0)] {
        let rows = |day: i64, from: i64, step: usize| -> Vec<(i64, f64)> {
            let times = (from..144).step_by(step);
            times.map(|i| (START + day * DAY + i * HOUR / 6, factor * i as f64)).collect()
        };
        for rows in [rows(0, 0, 1), rows(1, 1, 2), rows(1, 0, 2), rows(1, 0, 7)] {
            append(&rig.store, samples(device, START, "load1", &rows)).unwrap();
            rig.store.seal().unwrap();
        }
    }
    append(&rig.store, samples(rig.device, START, "load5", &[(START + 2 * DAY, 1.0)])).unwrap();
    rig.store.close();
    rig
}

#[track_caller]
fn faults(rig: &Rig) -> Vec<String> {
    let before = files(rig);
    let checked = check(rig.dir.path()).unwrap();
    assert!(files(rig) == before, "check changed a file");
    assert_eq!(checked.faults_total, checked.faults.len() as u64);
    checked.faults
}

/// The bytes of what the store keeps; the index of a write-ahead log is made anew at every opening.
fn files(rig: &Rig) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(rig.dir.path()).unwrap().map(|e| e.unwrap());
    let files = entries.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap()));
    files
        .filter(|(name, bytes)| !(name.ends_with("-shm") || name.ends_with("-wal") && bytes.is_empty()))
        .collect()
}

fn sql(rig: &Rig, file: &str, sql: &str) {
    Connection::open(rig.dir.path().join(file)).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_sound_folder_has_no_faults() {
    let rig = closed();
    let checked = check(rig.dir.path()).unwrap();
    // 5 min and 1 h, two devices, two days.
    let rollups = 2 * 2 * (144 + 24);
    let expected = Checked {
        chunks: checked.chunks,
        samples: checked.samples,
        rollups,
        groups: checked.groups,
        metrics: 2,
        ..Checked::default()
    };
    assert_eq!(checked, expected);
    assert!(checked.chunks >= 12 && checked.groups >= 1);
    assert_eq!(faults(&rig), Vec::<String>::new());

    // Merged, and with nothing but rollups of the first day.
    let rig = rig.reopen(START);
    rig.store.maintain(START + 3 * DAY).unwrap();
    rig.store.maintain(START + 31 * DAY + 5 * HOUR).unwrap();
    assert_eq!(rig.store.storage().tiers[0].oldest_ms, Some(START + DAY));
    rig.store.close();
    let checked = check(rig.dir.path()).unwrap();
    assert_eq!((checked.faults_total, checked.rollups), (0, rollups / 2));
}

#[test]
fn rollup_chunks_of_several_days_are_compared_day_by_day() {
    let rig = Rig::new(START);
    let rows: Vec<(i64, f64)> = (0..6 * 144).map(|i| (START + i * HOUR / 6, i as f64)).collect();
    append(&rig.store, samples(rig.device, START, "load1", &rows)).unwrap();
    rig.store.seal().unwrap();
    rig.store.close();
    let checked = check(rig.dir.path()).unwrap();
    assert_eq!((checked.faults_total, checked.rollups), (0, 6 * (144 + 24)));
    let day = START + 3 * DAY;
    sql(
        &rig,
        "chunks.db",
        &format!("DELETE FROM chunk WHERE tier = 0 AND start_ms >= {day} AND end_ms < {day} + {DAY}"),
    );
    let found = faults(&rig);
    assert_eq!(found.len(), 144 + 24);
    assert!(found.iter().all(|fault| fault.ends_with("has no raw rows")), "{found:?}");
    assert!(found[0].contains(&format!("row of {day} ")), "{found:?}");
}

#[test]
fn a_folder_that_is_not_one_or_is_in_use_is_refused_with_a_sentence() {
    let rig = Rig::new(START);
    assert!(matches!(check(rig.dir.path()), Err(Error::Locked { .. })));
    let nothing = tempfile::tempdir().unwrap();
    let error = check(&nothing.path().join("data")).unwrap_err();
    assert!(error.to_string().contains("cannot be used"), "{error}");
    assert!(check(nothing.path()).is_err());
    assert_eq!(std::fs::read_dir(nothing.path()).unwrap().count(), 0, "something was made there");
}

#[test]
fn what_is_wrong_is_named() {
    let rig = closed();
    let of = |tier: i64, stream: i64| {
        format!("tier = {tier} AND stream = {stream} AND start_ms < {}", START + DAY)
    };

    // A rollup that decodes but is another device's.
    let (one, two) = (of(2, 1), of(2, 2));
    let swap = format!("UPDATE chunk SET blob = (SELECT blob FROM chunk WHERE {two}) WHERE {one}");
    sql(&rig, "chunks.db", &swap);
    let found = faults(&rig);
    assert_eq!(found.len(), 24, "{found:?}");
    assert!(
        found[0].starts_with("device 1: the 1h row of") && found[0].ends_with("is not what its raw rows say")
    );

    let rig = closed();
    sql(&rig, "chunks.db", &format!("DELETE FROM chunk WHERE {}", of(1, 2)));
    let found = faults(&rig);
    assert_eq!(found.len(), 144);
    assert!(found[0].starts_with("device 2: the 5m row of") && found[0].ends_with("is missing"), "{found:?}");

    let rig = closed();
    sql(&rig, "chunks.db", &format!("DELETE FROM chunk WHERE {}", of(0, 1)));
    let found = faults(&rig);
    assert_eq!(found.len(), 144 + 24);
    assert!(found[0].ends_with("has no raw rows"), "{found:?}");

    let rig = closed();
    sql(&rig, "chunks.db", &format!("UPDATE chunk SET blob = zeroblob(length(blob)) WHERE {}", of(0, 1)));
    let found = faults(&rig);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("(raw) is damaged"), "{found:?}");

    let rig = closed();
    sql(&rig, "chunks.db", &format!("UPDATE chunk SET samples = samples + 1 WHERE {}", of(0, 1)));
    assert!(faults(&rig)[0].ends_with("its samples are not as many as the table says"));

    let rig = closed();
    sql(
        &rig,
        "tail.db",
        "UPDATE batch_group SET body = zeroblob(length(body)) WHERE id = (SELECT max(id) FROM batch_group)",
    );
    assert!(faults(&rig)[0].ends_with("its checksum does not fit"));

    let rig = closed();
    sql(&rig, "tail.db", "UPDATE metric SET name = 'other' WHERE id = 1");
    assert!(faults(&rig)[0].contains("the dictionary of metrics at number 1"));

    let rig = closed();
    sql(&rig, "chunks.db", "PRAGMA user_version = 2");
    assert!(faults(&rig)[0].contains("older version"));
}
