//! A store and devices that report to it: what the benches and the planner measure.

use std::path::Path;
use std::sync::mpsc;

use store::{Batch, DeviceId, DeviceProfile, Limits, Options, Rejected, Retention, Rows, Store, Timestamp};

use crate::{Device, store_rows};

/// A store of its own folder, in which nothing is sealed but where it is asked for, and nothing is ever too old.
pub struct Rig {
    /// The store.
    pub store: Store,
    /// Its devices.
    pub devices: Vec<(DeviceId, Device)>,
}

impl Rig {
    /// Opens the folder and adds `devices` devices of `metrics` metrics. `key_hash` makes the SHA-256 of the key of each
    /// device's number.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn new(
        dir: &Path,
        devices: u64,
        metrics: usize,
        key_hash: impl Fn(u64) -> [u8; 32],
        now: Timestamp,
    ) -> store::Result<Rig> {
        let store = Rig::open(dir, now)?;
        let add = |number: u64| {
            let profile = DeviceProfile { name: format!("d{number}"), ..DeviceProfile::default() };
            let id = store.add_device(profile, key_hash(number), now)?;
            Ok((id, Device::new(1, number, metrics)))
        };
        let devices = (0..devices).map(add).collect::<store::Result<_>>()?;
        Ok(Rig { store, devices })
    }

    /// Opens the folder alone.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open(dir: &Path, now: Timestamp) -> store::Result<Store> {
        let limits = Limits { head_samples: usize::MAX / 8, ..Limits::default() };
        let forever = store::Keep::days(36_500);
        let retention =
            Retention { raw: forever, five_minutes: forever, hour: forever, ..Retention::default() };
        Store::open(Options { limits, retention, ..Options::new(dir) }, now)
    }

    /// The next rows of each device.
    pub fn rows(&mut self, from_ms: Timestamp, step_ms: i64, count: usize) -> Vec<(DeviceId, Rows)> {
        self.rows_of(usize::MAX, from_ms, step_ms, count)
    }

    /// The next rows of the first `devices` devices.
    pub fn rows_of(
        &mut self,
        devices: usize,
        from_ms: Timestamp,
        step_ms: i64,
        count: usize,
    ) -> Vec<(DeviceId, Rows)> {
        let of =
            |(id, device): &mut (DeviceId, Device)| (*id, store_rows(device.rows(from_ms, step_ms, count)));
        self.devices.iter_mut().take(devices).map(of).collect()
    }

    /// Submits one batch for each and waits until all are on disk.
    ///
    /// # Errors
    /// The first refusal.
    pub fn append(&self, rows: Vec<(DeviceId, Rows)>) -> Result<(), Rejected> {
        let (done, answers) = mpsc::channel();
        let count = rows.len();
        for (device, rows) in rows {
            let done = done.clone();
            // Nobody waits any more when this fails.
            let reply = Box::new(move |result| drop(done.send(result)));
            self.store.submit(batch(device, rows), reply)?;
        }
        answers.iter().take(count).try_for_each(|answer| answer.map(|_| ()))
    }
}

/// A batch of nothing but rows.
pub fn batch(device: DeviceId, rows: Rows) -> Batch {
    let received_ms = rows.t_ms.last().copied().unwrap_or_default();
    Batch { rows, ..Batch::new(device, received_ms) }
}

/// A key's hash for those who send no keys: the number.
pub fn number_hash(number: u64) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_le_bytes());
    hash
}
