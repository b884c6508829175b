//! What happens when SQLite says that the disk is full: a bound on its pages stands in for the disk.

use crate::db::PAGES_MAX;
use crate::{
    Batch, Column, DeviceId, DeviceProfile, Health, Kind, Options, Presence, RangeQuery, Receipt, Rejected,
    Rows, Store, TimeRange, Trouble,
};
use rusqlite::Connection;
use std::sync::mpsc;

const NOW: i64 = 1_795_343_922_420;
const ROWS: i64 = 1_000;

/// A report of about 16 KiB in the tail.
fn append(store: &Store, device: DeviceId, number: i64) -> Result<Receipt, Rejected> {
    let t_ms: Vec<i64> = (0..ROWS).map(|i| NOW + number * ROWS + i).collect();
    let column = Column {
        metric: "load1".into(),
        kind: Kind::Gauge,
        values: t_ms.iter().map(|&t| 1.0 / t as f64).collect(),
        present: Presence::All,
    };
    let batch = Batch { rows: Rows { t_ms, columns: vec![column] }, ..Batch::new(device, NOW) };
    let (sender, receiver) = mpsc::channel();
    store.submit(batch, Box::new(move |result| sender.send(result).unwrap()))?;
    receiver.recv().unwrap()
}

fn count(store: &Store, device: DeviceId) -> u64 {
    let query = RangeQuery {
        devices: vec![device],
        metrics: vec!["load1".into()],
        range: TimeRange::new(NOW, NOW + 1_000 * ROWS).unwrap(),
        points: 1,
    };
    store.query(&query).unwrap().series.iter().flat_map(|s| &s.buckets).map(|b| b.count).sum()
}

#[test]
fn a_full_disk_refuses_with_a_reason_reads_on_and_heals_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    PAGES_MAX.set(Some(400));
    let store = Store::open(Options::new(dir.path()), NOW).unwrap();
    PAGES_MAX.set(None);
    let device =
        store.add_device(DeviceProfile { name: "one".into(), ..Default::default() }, [1; 32], NOW).unwrap();
    let other = Connection::open(dir.path().join("tail.db")).unwrap();
    other.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    other
        .execute_batch("CREATE TABLE other (body BLOB); INSERT INTO other VALUES (zeroblob(300 * 2048));")
        .unwrap();
    let mut stored = 0;
    let refused = loop {
        match append(&store, device, stored) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 100, "the disk is never full");
    };
    assert!(
        matches!(&refused, Rejected::Unavailable { reason } if reason.contains("disk is full")),
        "{refused:?}"
    );
    assert!(matches!(store.health(), Health::ReadOnly(Trouble::DiskFull)));
    assert!(append(&store, device, stored).is_err());
    assert_eq!(store.storage().batches_refused, 2);
    assert_eq!(
        count(&store, device),
        (stored * ROWS) as u64,
        "reads go on, and nothing refused is among them"
    );

    other.execute_batch("DROP TABLE other").unwrap();
    append(&store, device, stored).unwrap();
    assert_eq!(store.health(), Health::Ready);
    drop(store);
    let store = Store::open(Options::new(dir.path()), NOW).unwrap();
    assert_eq!(count(&store, device), ((stored + 1) * ROWS) as u64);
}
