//! What is acknowledged stays.

use crate::{Rig, append, origin, samples};
use store::{Error, Health, Options, RangeQuery, Rejected, Store, TimeRange};

const NOW: i64 = 1_795_343_922_420;

fn count(store: &Store, device: store::DeviceId) -> u64 {
    let query = RangeQuery {
        devices: vec![device],
        metrics: vec!["*".into()],
        range: TimeRange::new(NOW - 1_000_000, NOW + 1_000_000).unwrap(),
        points: 1,
    };
    store.query(&query).unwrap().series.iter().flat_map(|s| &s.buckets).map(|b| b.count).sum()
}

#[test]
fn a_report_that_is_sent_again_counts_once_also_after_seal_and_restart() {
    let mut rig = Rig::new(NOW);
    let report =
        || store::Batch { origin: origin(9, 4), ..samples(rig_device(), NOW, "load1", &[(NOW, 1.0)]) };
    fn rig_device() -> store::DeviceId {
        store::DeviceId(1)
    }
    assert!(!append(&rig.store, report()).unwrap().duplicate);
    assert!(append(&rig.store, report()).unwrap().duplicate);
    rig.store.seal().unwrap();
    assert!(append(&rig.store, report()).unwrap().duplicate);
    rig = rig.reopen(NOW + 1);
    assert!(append(&rig.store, report()).unwrap().duplicate);
    // Twice more, so that the tail's own knowledge was dropped and read back.
    rig.store.seal().unwrap();
    rig = rig.reopen(NOW + 2);
    assert!(append(&rig.store, report()).unwrap().duplicate);
    assert_eq!(count(&rig.store, rig.device), 1);
}

#[test]
fn a_clean_stop_leaves_short_files_and_no_logs() {
    let rig = Rig::new(NOW);
    let many: Vec<(i64, f64)> = (0..5_000).map(|i| (NOW + i, f64::from(i as i32).sqrt())).collect();
    for part in many.chunks(100) {
        append(&rig.store, samples(rig.device, NOW, "load1", part)).unwrap();
    }
    rig.store.seal().unwrap();
    // What is sealed is forgotten at the next tick.
    rig.store.tick(NOW + 1_000);
    rig.store.close();
    let bytes = |name: &str| std::fs::metadata(rig.dir.path().join(name)).map_or(0, |m| m.len());
    for name in ["tail.db-wal", "chunks.db-wal", "meta.db-wal"] {
        assert_eq!(bytes(name), 0, "{name}");
    }
    assert!(bytes("tail.db") < 40_000, "{}", bytes("tail.db"));
    let rig = rig.reopen(NOW + 2_000);
    assert_eq!(count(&rig.store, rig.device), 5_000);
}

#[test]
fn a_second_server_on_the_folder_is_refused_with_a_sentence() {
    let rig = Rig::new(NOW);
    let error = Store::open(Options::new(rig.dir.path()), NOW).err().unwrap();
    assert!(matches!(error, Error::Locked { .. }));
    assert!(error.to_string().contains("in use by another server"), "{error}");
}

#[test]
fn a_file_where_the_folder_should_be_is_refused_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = Store::open(Options::new(file.join("data")), NOW).err().unwrap();
    assert!(error.to_string().contains("cannot be used"), "{error}");
    // The sentence has the cause already: whoever prints causes as well must not say it twice.
    assert!(std::error::Error::source(&error).is_none());
}

#[test]
fn a_closed_store_refuses_and_still_answers() {
    let rig = Rig::new(NOW);
    append(&rig.store, samples(rig.device, NOW, "load1", &[(NOW, 1.0)])).unwrap();
    rig.store.close();
    rig.store.close();
    let refused = append(&rig.store, samples(rig.device, NOW, "load1", &[(NOW, 1.0)]));
    assert!(matches!(refused, Err(Rejected::Unavailable { .. })));
    assert!(matches!(rig.store.health(), Health::ReadOnly(_)));
    assert_eq!(count(&rig.store, rig.device), 1);
}

#[test]
fn a_sealed_generation_leaves_the_tail() {
    let rig = Rig::new(NOW);
    let values: Vec<(i64, f64)> = (0..20_000).map(|i| (NOW + i, (i * i) as f64 / 7.0)).collect();
    for piece in values.chunks(500) {
        append(&rig.store, samples(rig.device, NOW, "load1", piece)).unwrap();
    }
    rig.store.seal().unwrap();
    assert_eq!(rig.store.storage().head_samples, 0);
    assert_eq!(rig.store.storage().samples, 20_000);
    let rig = rig.reopen(NOW);
    assert_eq!(rig.store.storage().head_samples, 0, "the tail was replayed although it is sealed");
    assert_eq!(count(&rig.store, rig.device), 20_000);
}
