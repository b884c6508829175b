//! A disk without space: refused with a reason, reads go on, and it heals by itself.

use crate::{append, batch, profile, samples};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use store::{Health, Level, LogLine, NewSession, Options, RangeQuery, Rejected, Store, TimeRange, Trouble};

const NOW: i64 = 1_795_343_922_420;
const DISK_BYTES: u64 = 12 << 20;
/// A file that somebody else has on the disk, and deletes.
const BALLAST_BYTES: usize = 5 << 20;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A file system in memory; unmounted when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Disk {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={DISK_BYTES}");
        let mount = ["-t", "tmpfs", "-o", &size, "none"];
        let mounted = Command::new("mount").args(mount).arg(folder.path()).output().unwrap();
        assert!(mounted.status.success(), "{mounted:?}");
        Disk(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn rows(store: &Store, device: store::DeviceId) -> Vec<i64> {
    let query = RangeQuery {
        devices: vec![device],
        metrics: vec!["load1".into()],
        range: TimeRange::new(NOW - 1, NOW + 10_000_000).unwrap(),
        points: 1_000_000,
    };
    store.query(&query).unwrap().t_ms
}

/// The same with a bound on the database's pages is a test of the store itself, which runs everywhere.
#[test]
#[ignore = "mounts a file system, which not every user may; .ci/run looks for it"]
fn a_full_disk_refuses_reads_on_and_heals() {
    let disk = Disk::new();
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![7; BALLAST_BYTES]).unwrap();
    let data = disk.path().join("data");
    let store = Store::open(Options::new(&data), NOW).unwrap();
    let device = store.add_device(profile("one"), [1; 32], NOW).unwrap();
    let user = store.add_first_user("ada", "hash", NOW).unwrap();
    let session = NewSession { token_hash: [9; 32], user: user.id, ..NewSession::default() };
    store.add_session(&session, NOW).unwrap();
    let report = |i: i64| {
        let message = format!("{i} {}", "x".repeat(20_000));
        let logs = vec![LogLine { t_ms: NOW + i, level: Level::Info, source: "gateway".into(), message }];
        store::Batch { logs, ..samples(device, NOW, "load1", &[(NOW + i, i as f64)]) }
    };
    let mut stored = Vec::new();
    for round in 0..3 {
        let from = 100_000 * round;
        let mut refused = None;
        let patience = Instant::now() + PATIENCE;
        for i in from..from + 2_000 {
            // The recorder may be behind: then it is sent again, as a device does.
            let answer = loop {
                match append(&store, report(i)) {
                    Err(Rejected::Overloaded { .. }) if Instant::now() < patience => std::thread::yield_now(),
                    answer => break answer,
                }
            };
            match answer {
                Ok(_) => stored.push(NOW + i),
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        assert!(matches!(refused, Some(Rejected::Unavailable { .. })), "{refused:?}");
        assert!(matches!(store.health(), Health::ReadOnly(Trouble::DiskFull)), "{:?}", store.health());
        assert_eq!(rows(&store, device), stored, "reads go on");
        assert!(
            store.session(&[9; 32], NOW + 3_600_000 * (round + 1)).unwrap().is_some(),
            "people stay signed in"
        );
        store.tick(NOW + from);
        if round == 2 {
            break;
        }
        // Somebody makes room: first a little, then all of the ballast.
        let file = std::fs::File::options().write(true).open(&ballast).unwrap();
        file.set_len(if round == 0 { (BALLAST_BYTES / 2) as u64 } else { 0 }).unwrap();
        // The recorder looks once a second whether there is room.
        let patience = Instant::now() + PATIENCE;
        while let Err(error) = append(&store, samples(device, NOW, "load1", &[(NOW + from + 50_000, 1.0)])) {
            assert!(Instant::now() < patience, "{error}");
            std::thread::yield_now();
        }
        stored.push(NOW + from + 50_000);
        // What could not be recorded meanwhile may need more room than there is.
        let health = store.health();
        assert!(matches!(health, Health::Ready | Health::Failing(Trouble::DiskFull)), "{health:?}");
    }
    // Full once more, and ended: what was acknowledged is there in a larger place.
    drop(store);
    let place = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), place.path().join(entry.file_name())).unwrap();
    }
    assert_eq!(store::check(place.path()).unwrap().faults, Vec::<String>::new());
    let store = Store::open(Options::new(place.path()), NOW).unwrap();
    store.seal().unwrap();
    append(&store, batch(device, NOW)).unwrap();
    assert_eq!(rows(&store, device), stored);
}
