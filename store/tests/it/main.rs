//! The store as its callers see it.
// Helpers of tests are outside of what clippy knows as tests.
#![allow(missing_docs, clippy::unwrap_used)]

mod accounts;
mod backup;
mod check;
mod clock;
mod damage;
mod devices;
mod disk_full;
mod durability;
mod enroll;
mod filled;
mod flips;
mod ledger;
mod limits;
mod logs;
mod maintenance;
mod model;
mod power;
mod retention;
mod upgrade;

use std::sync::mpsc;
use store::{
    Batch, Column, DeviceId, DeviceProfile, Kind, Options, Origin, Presence, Receipt, Rejected, Retention,
    Rows, Store,
};
use tempfile::TempDir;

/// A store in a folder of its own, with one device.
pub struct Rig {
    pub store: Store,
    pub device: DeviceId,
    pub dir: TempDir,
}

impl Rig {
    pub fn new(now: i64) -> Rig {
        Rig::with(Retention::default(), now)
    }

    pub fn with(retention: Retention, now: i64) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Options { retention, ..Options::new(dir.path()) }, now).unwrap();
        let device = store.add_device(profile("one"), [1; 32], now).unwrap();
        Rig { store, device, dir }
    }

    /// Ends the store and opens it again, as after a restart.
    pub fn reopen(self, now: i64) -> Rig {
        let Rig { store, device, dir } = self;
        drop(store);
        let store = Store::open(Options::new(dir.path()), now).unwrap();
        Rig { store, device, dir }
    }
}

pub fn profile(name: &str) -> DeviceProfile {
    DeviceProfile { name: name.into(), device_type: "server".into(), ..DeviceProfile::default() }
}

/// A batch without rows.
pub fn batch(device: DeviceId, now: i64) -> Batch {
    Batch::new(device, now)
}

/// A batch with one gauge.
pub fn samples(device: DeviceId, now: i64, metric: &str, samples: &[(i64, f64)]) -> Batch {
    let column = Column {
        metric: metric.into(),
        kind: Kind::Gauge,
        values: samples.iter().map(|s| s.1).collect(),
        present: Presence::All,
    };
    let rows = Rows { t_ms: samples.iter().map(|s| s.0).collect(), columns: vec![column] };
    Batch { rows, ..batch(device, now) }
}

pub fn origin(boot: u8, seq: u64) -> Option<Origin> {
    Some(Origin { boot_id: [boot; 16], seq })
}

/// Submits and waits for the reply.
pub fn append(store: &Store, batch: Batch) -> Result<Receipt, Rejected> {
    let (sender, receiver) = mpsc::channel();
    store.submit(batch, Box::new(move |result| sender.send(result).unwrap()))?;
    receiver.recv().unwrap()
}
