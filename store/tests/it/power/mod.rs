//! Power fails between any two effects on the files, and writes and syncs fail: SQLite runs on a layer that knows what
//! was synced. What comes back is what was synced and any part of what was not.
//!
//! `OPENCLAW_WATCH_CRASHES=5000` cuts power more often, `OPENCLAW_WATCH_SEED=7` draws other moments.

mod disk;
mod failures;
mod law;
pub mod vfs;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use store::{DeviceId, Options, Store};
use tempfile::TempDir;

use crate::profile;
pub use disk::Disk;
use disk::Left;
use law::{Device, assert_holds, report};

/// The start of a day, and the devices' first row.
const START: i64 = 20_779 * 86_400_000;
const HOUR_MS: i64 = 3_600_000;
/// Crashes when nothing else is asked for.
const CRASHES: u64 = 40;
/// Steps of a round at most.
const STEPS_MAX: u64 = 120;
/// After so many reports of the kept devices new ones take their place, so that looking through them stays quick.
const REPORTS_MAX: usize = 800;

/// Numbers that look random and follow from one another (SplitMix64).
pub fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// The seed asked for, or a new one.
fn seed() -> u64 {
    number("OPENCLAW_WATCH_SEED").unwrap_or_else(|| mix(u64::from(std::process::id())) % 1_000_000)
}

/// A variable of the environment.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Numbers drawn from a seed.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    pub fn below(&mut self, of: u64) -> u64 {
        self.0 = mix(self.0);
        self.0 % of
    }
}

/// A fleet over many lives of its store.
struct Fleet {
    rng: Rng,
    now: i64,
    devices: Vec<Device>,
    /// Their deletion was told to be done.
    deleted: Vec<DeviceId>,
    /// Their deletion was begun, and power failed before it was told to be done.
    dying: Vec<DeviceId>,
    /// Power failed before it was told that they were added: they may be there, or another may get their number.
    unborn: Vec<DeviceId>,
    added: u64,
    next: u64,
    /// The files were made, and the store opened, while power was on.
    made: bool,
}

#[test]
fn what_was_acknowledged_outlives_a_loss_of_power_at_any_moment() {
    let crashes = number("OPENCLAW_WATCH_CRASHES").unwrap_or(CRASHES);
    let seed = seed();
    println!("{crashes} losses of power, seed {seed}");
    let mut folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet {
        rng: Rng(seed),
        now: START,
        devices: Vec::new(),
        deleted: Vec::new(),
        dying: Vec::new(),
        unborn: Vec::new(),
        added: 0,
        next: 0,
        made: false,
    };
    // A round has about as many operations as the one before.
    let mut operations = 50;
    for crash in 0..crashes {
        let told = format!("seed {seed}, crash {crash}");
        let off_at = 1 + fleet.rng.below(operations * 5 / 4);
        let disk = Disk::insert(folder.path(), off_at, None, fleet.rng.below(u64::MAX));
        let store = Store::open(Options::new(folder.path()), fleet.now).unwrap();
        fleet.made |= !disk.is_off();
        fleet.live(&store, &disk);
        drop(store);
        vfs::remove(folder.path());
        operations = disk.operations().clamp(200, 4_000);
        folder = restored(&disk.left());
        fleet.verify(&disk.left(), &told);
    }
}

fn restored(left: &Left) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in left {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    std::fs::write(folder.path().join("lock"), "").unwrap();
    folder
}

/// Sends a report; it counts as acknowledged only if power was on when its reply came.
fn submit(store: &Store, disk: &Arc<Disk>, device: &mut Device, n: u64, now: i64, done: &mpsc::Sender<()>) {
    device.sent.insert(n);
    let (acknowledged, disk, done) = (device.acknowledged.clone(), disk.clone(), done.clone());
    let reply = move |result: Result<_, _>| {
        if result.is_ok() && !disk.is_off() {
            acknowledged.lock().unwrap().insert(n);
        }
        drop(done);
    };
    // Refused as overload: not acknowledged.
    let _ = store.submit(report(device.id, n, now), Box::new(reply));
}

impl Fleet {
    /// Works until power goes off or it is enough.
    fn live(&mut self, store: &Store, disk: &Arc<Disk>) {
        self.settle_devices(store, disk);
        for _ in 0..STEPS_MAX {
            if disk.is_off() {
                return;
            }
            match self.rng.below(20) {
                0..14 => self.send(store, disk),
                14..16 => store.seal().unwrap(),
                16 => store.maintain(self.now).unwrap(),
                17 => {
                    // The server's clock jumps either way.
                    self.now = START + self.rng.below(20 * HOUR_MS as u64) as i64;
                    store.tick(self.now);
                }
                18 => store.tick(self.now),
                _ => self.delete_one(store, disk),
            }
        }
    }

    /// Some reports at once, so that they are committed together or not; among them some that were not acknowledged.
    fn send(&mut self, store: &Store, disk: &Arc<Disk>) {
        let (done, all) = mpsc::channel();
        for _ in 0..1 + self.rng.below(4) {
            let at = self.rng.below(self.devices.len() as u64) as usize;
            let open = self.devices[at].open();
            let n = match self.rng.below(3) {
                0 if !open.is_empty() => open[self.rng.below(open.len() as u64) as usize],
                1 if !self.devices[at].sent.is_empty() && self.rng.below(4) == 0 => {
                    *self.devices[at].sent.last().unwrap()
                }
                _ => {
                    self.next += 1;
                    self.next
                }
            };
            submit(store, disk, &mut self.devices[at], n, self.now, &done);
        }
        drop(done);
        // Ends when every reply was given.
        assert!(all.recv().is_err());
    }

    fn delete_one(&mut self, store: &Store, disk: &Arc<Disk>) {
        if self.devices.len() < 3 {
            return;
        }
        let device = self.devices.remove(self.rng.below(self.devices.len() as u64) as usize);
        store.delete_device(device.id).unwrap();
        if disk.is_off() { &mut self.dying } else { &mut self.deleted }.push(device.id);
    }

    /// There are devices, and none that is half deleted.
    fn settle_devices(&mut self, store: &Store, disk: &Arc<Disk>) {
        for id in std::mem::take(&mut self.unborn) {
            if store.device(id).is_some() {
                self.dying.push(id);
            }
        }
        for id in std::mem::take(&mut self.dying) {
            if store.device(id).is_some() {
                store.delete_device(id).unwrap();
            }
            if disk.is_off() { &mut self.dying } else { &mut self.deleted }.push(id);
        }
        let full = |device: &Device| device.sent.len() > REPORTS_MAX;
        while let Some(at) = self.devices.iter().position(full) {
            let device = self.devices.remove(at);
            store.delete_device(device.id).unwrap();
            if disk.is_off() { &mut self.dying } else { &mut self.deleted }.push(device.id);
        }
        while self.devices.len() < 4 {
            self.added += 1;
            let mut key = [0; 32];
            key[..8].copy_from_slice(&self.added.to_le_bytes());
            let id = store.add_device(profile(&format!("d{}", self.added)), key, self.now).unwrap();
            if disk.is_off() {
                self.unborn.push(id);
                return;
            }
            self.devices.push(Device::new(id));
        }
    }

    /// The folder is sound, and the law holds when it is recovered, and when everything is sealed and merged.
    fn verify(&self, left: &Left, told: &str) {
        let folder = restored(left);
        // Nothing is gained by waiting for the real disk.
        Disk::insert(folder.path(), 0, None, 0);
        // Files that were being made are finished when the store is opened; until then a check says what they lack.
        if self.made {
            assert_sound(folder.path(), told);
        }
        let store = Store::open(Options::new(folder.path()), self.now).unwrap();
        self.assert_holds(&store, &format!("{told}, recovered"));
        store.seal().unwrap();
        store.maintain(self.now).unwrap();
        self.assert_holds(&store, &format!("{told}, sealed"));
        drop(store);
        assert_sound(folder.path(), &format!("{told}, sealed"));
        vfs::remove(folder.path());
    }

    fn assert_holds(&self, store: &Store, told: &str) {
        for device in &self.devices {
            assert_holds(store, device, told);
        }
        for id in &self.deleted {
            assert!(store.device(*id).is_none(), "{told}: device {id} came back");
        }
    }
}

fn assert_sound(folder: &Path, told: &str) {
    let checked = store::check(folder).unwrap();
    assert_eq!((checked.faults, checked.set_aside), (Vec::new(), 0), "{told}");
}
