//! A write or a sync fails, once: what that costs, and that it costs nothing that was acknowledged.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use store::{Error, Health, Options, Rejected, Store, Trouble};

use super::disk::{Disk, Fault, What};
use super::law::{Device, assert_holds, assert_rows_hold, report};
use super::{HOUR_MS, START, assert_sound, number, restored, vfs};
use crate::{append, profile};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

const FILES: [&str; 6] = ["tail.db", "tail.db-wal", "chunks.db", "chunks.db-wal", "meta.db", "meta.db-wal"];
const KINDS: [What; 4] = [What::Sync, What::Write, What::TornWrite, What::FullWrite];

/// Works with one fault, with seals and maintenance or without, loses power, and recovers: the refused reports, and
/// whether the fault was met.
fn outcome(fault: Fault, seals: bool, seed: u64) -> (BTreeSet<u64>, bool) {
    let told = format!("{fault:?}, seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Options::new(folder.path()), START).unwrap();
    let mut device = Device::new(store.add_device(profile("one"), [1; 32], START).unwrap());
    drop(store);
    let disk = Disk::insert(folder.path(), 0, Some(fault), seed);
    let mut refused = BTreeSet::new();
    // The folder could not be opened: then nothing was taken, and it opens the next time.
    if let Ok(store) = Store::open(Options::new(folder.path()), START) {
        for n in 0..40 {
            device.sent.insert(n);
            match append(&store, report(device.id, n, START)) {
                Ok(_) => {
                    device.acknowledged.lock().unwrap().insert(n);
                }
                Err(Rejected::Unavailable { reason }) => {
                    assert!(reason.contains("disk"), "{told}: {reason}");
                    refused.insert(n);
                }
                Err(other) => panic!("{told}: {other}"),
            }
            if seals && n % 8 == 7 {
                sealed(&store, &told);
                store.maintain(START + n as i64).unwrap();
                store.tick(START + n as i64 * HOUR_MS);
            }
        }
        // Reading goes on, and nothing that was refused shows.
        let shown =
            Device { sent: device.sent.difference(&refused).copied().collect(), ..Device::new(device.id) };
        shown.acknowledged.lock().unwrap().extend(device.acknowledged.lock().unwrap().iter());
        assert_rows_hold(&store, &shown, &format!("{told}, before the end"));
        match store.health() {
            Health::Ready => assert!(refused.len() <= 1, "{told}: {refused:?}"),
            Health::ReadOnly(trouble) => assert_eq!(trouble, Trouble::WriteFailed, "{told}"),
            // The fault comes once: the next try succeeds, a second later.
            Health::Failing(trouble) => assert!(refused.len() <= 1, "{told}: {trouble}"),
        }
    }
    vfs::remove(folder.path());
    let folder = restored(&disk.left());
    assert_sound(folder.path(), &told);
    let store = Store::open(Options::new(folder.path()), START).unwrap();
    assert_holds(&store, &device, &format!("{told}, recovered"));
    store.seal().unwrap();
    store.maintain(START).unwrap();
    assert_holds(&store, &device, &format!("{told}, sealed"));
    // What was refused is taken now, once.
    for n in &refused {
        append(&store, report(device.id, *n, START)).unwrap();
    }
    device.acknowledged.lock().unwrap().extend(&refused);
    // Then everything is recorded.
    store.close();
    assert_holds(&store, &device, &format!("{told}, sent again"));
    (refused, disk.faults_met() > 0)
}

/// Seals; when the fault is met meanwhile it is tried again a second later.
fn sealed(store: &Store, told: &str) {
    let patience = Instant::now() + PATIENCE;
    loop {
        match store.seal() {
            Ok(()) => return,
            Err(Error::Failing(Trouble::Sealing | Trouble::DiskFull)) if Instant::now() < patience => {
                std::thread::yield_now();
            }
            Err(other) => panic!("{told}: {other}"),
        }
    }
}

#[test]
fn a_seal_that_fails_is_told_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(Options::new(folder.path()), START).unwrap());
    let fault = Fault { file: "chunks.db-wal", what: What::Write, after: 2 };
    let disk = Disk::insert(folder.path(), 0, Some(fault), 1);
    let store = Store::open(Options::new(folder.path()), START).unwrap();
    let mut device = Device::new(store.add_device(profile("one"), [1; 32], START).unwrap());
    append(&store, report(device.id, 1, START)).unwrap();
    device.sent.insert(1);
    device.acknowledged.lock().unwrap().insert(1);
    let answer = store.seal();
    assert!(matches!(answer, Err(Error::Failing(Trouble::Sealing))), "{answer:?}");
    assert_eq!(store.health(), Health::Failing(Trouble::Sealing));
    assert_eq!(disk.faults_met(), 1);
    append(&store, report(device.id, 2, START)).unwrap();
    device.sent.insert(2);
    device.acknowledged.lock().unwrap().insert(2);
    assert_holds(&store, &device, "while it fails");
    sealed(&store, "again");
    assert_eq!(store.health(), Health::Ready);
    assert_holds(&store, &device, "sealed");
    drop(store);
    vfs::remove(folder.path());
}

#[test]
fn a_failed_write_or_sync_costs_nothing_that_was_acknowledged() {
    let rounds = number("OPENCLAW_WATCH_FAILURES").unwrap_or(1);
    let seed = super::seed();
    println!("seed {seed}");
    let mut met = 0;
    for round in 0..rounds {
        for file in FILES {
            for what in KINDS {
                let draw = super::mix(seed ^ super::mix(round) ^ super::mix(u64::from(what as u8)));
                let after = draw % if round % 2 == 0 { 12 } else { 200 };
                met += u64::from(outcome(Fault { file, what, after }, true, draw).1);
            }
        }
    }
    assert!(met >= rounds * 6, "only {met} faults were met");
}

#[test]
fn after_a_failed_sync_of_the_tail_reports_are_refused_until_a_restart() {
    let fault = Fault { file: "tail.db-wal", what: What::Sync, after: 20 };
    let (refused, met) = outcome(fault, false, 1);
    assert!(met && refused.len() > 1, "{refused:?}");
    let (first, last) = (refused.first().unwrap(), refused.last().unwrap());
    assert_eq!((refused.len() as u64, *last), (last - first + 1, 39), "none was taken after it: {refused:?}");
}

#[test]
fn a_full_disk_refuses_one_report_and_takes_the_next_when_there_is_space() {
    let fault = Fault { file: "tail.db-wal", what: What::FullWrite, after: 20 };
    let (refused, met) = outcome(fault, false, 1);
    assert!(met && refused.len() == 1, "{refused:?}");
}
