//! Data folders of every earlier schema come forward with everything in them.
//!
//! `fixtures/schema/FILE-VERSION.sql` is what a server of that schema left behind, written down when it was the newest
//! and never changed since. Whoever adds a migration adds the fixture of the schema before it.

use crate::{append, origin, samples};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use store::{DeviceId, LogQuery, Options, RangeQuery, Role, Store, TimeRange, USAGE_SLOT_MS, UsageQuery};

const NOW: i64 = 1_795_343_922_420;
const FILES: [&str; 3] = ["meta", "chunks", "tail"];

fn fixture(file: &str, version: i64) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/schema/{file}-{version}.sql"))
}

fn version(dir: &Path, file: &str) -> i64 {
    let db = Connection::open(dir.join(format!("{file}.db"))).unwrap();
    db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// The versions that a new folder has.
fn newest() -> [i64; 3] {
    let dir = tempfile::tempdir().unwrap();
    Store::open(Options::new(dir.path()), NOW).unwrap().close();
    FILES.map(|file| version(dir.path(), file))
}

#[track_caller]
fn comes_forward(versions: [i64; 3]) {
    let dir = tempfile::tempdir().unwrap();
    for (file, version) in FILES.into_iter().zip(versions) {
        let path = fixture(file, version);
        let sql =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let db = Connection::open(dir.path().join(format!("{file}.db"))).unwrap();
        // Tables stand in the order of their names.
        db.pragma_update(None, "foreign_keys", false).unwrap();
        db.execute_batch(&sql).unwrap();
    }
    let store = Store::open(Options::new(dir.path()), NOW + 3_600_000).unwrap();
    let device = store.device(DeviceId(1)).unwrap();
    assert_eq!((device.profile.name.as_str(), store.device_by_key(&[1; 32])), ("nas", Some(DeviceId(1))));
    let user = store.user("ada").unwrap().unwrap();
    assert_eq!((user.role, user.password_hash.as_str()), (Role::Admin, "$argon2id$x"));
    let session = store.session(&[7; 32], NOW + 3_600_000).unwrap().unwrap();
    assert_eq!((session.user.id, session.csrf_token.as_str()), (user.id, "csrf"));
    assert_eq!(store.sessions(None, NOW + 3_600_000).unwrap().len(), 1);
    let logs = store.logs(&LogQuery { limit: 10, ..LogQuery::default() }).unwrap().entries;
    assert_eq!((logs.len(), logs[0].line.message.as_str()), (1, "it is warm"));
    let slot = NOW / USAGE_SLOT_MS * USAGE_SLOT_MS;
    let slot = TimeRange::new(slot, slot + USAGE_SLOT_MS).unwrap();
    let usage = store.usage(&UsageQuery { ranges: vec![slot], ..UsageQuery::default() }).unwrap();
    let sums: Vec<_> =
        usage.values().map(|sum| (sum.messages, sum.tokens.input, sum.tokens.output)).collect();
    assert_eq!(sums, [(1, 10, 20)]);
    assert!(store.storage().log_bytes > 0);

    let query = RangeQuery {
        devices: vec![DeviceId(1)],
        metrics: vec!["load1".into()],
        range: TimeRange::new(NOW, NOW + 3_600_000).unwrap(),
        points: 1_000,
    };
    // Ten rows are sealed, five are in the tail.
    let values = |store: &Store| -> Vec<f64> {
        let answer = store.query(&query).unwrap();
        answer.series[0].buckets.iter().filter(|bucket| bucket.count > 0).map(|bucket| bucket.last).collect()
    };
    let expected: Vec<f64> = (0..15).map(f64::from).collect();
    assert_eq!(values(&store), expected);
    // What was acknowledged is still known as stored.
    for seq in [1, 2] {
        let again =
            store::Batch { origin: origin(1, seq), ..samples(DeviceId(1), NOW, "load1", &[(NOW, 9.0)]) };
        assert!(append(&store, again).unwrap().duplicate, "report {seq}");
    }
    store.seal().unwrap();
    store.maintain(NOW + 3_600_000).unwrap();
    assert_eq!(values(&store), expected);
    store.close();
    assert_eq!(FILES.map(|file| version(dir.path(), file)), newest());
    assert_eq!(store::check(dir.path()).unwrap().faults, [""; 0]);
}

#[test]
fn a_folder_of_any_earlier_schema_comes_forward() {
    let newest = newest();
    comes_forward([1, 1, 1]);
    for (at, known) in newest.into_iter().enumerate() {
        for version in 1..known {
            let mut versions = newest.map(|known| known - 1);
            versions[at] = version;
            comes_forward(versions.map(|version| version.max(1)));
        }
    }
}
