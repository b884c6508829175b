//! A write or a sync fails, once: what that costs, and that it costs nothing that was acknowledged.

use std::collections::BTreeSet;

use store::{Health, Options, Rejected, Store};

use super::disk::{Disk, Fault, What};
use super::law::{Device, assert_holds, assert_rows_hold, report};
use super::{HOUR_MS, START, assert_sound, number, restored, vfs};
use crate::{append, profile};

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
                store.seal().unwrap();
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
            Health::ReadOnly(why) => assert!(why.contains("start the server again"), "{told}: {why}"),
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
