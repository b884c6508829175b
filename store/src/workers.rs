//! The other threads: the sealer turns closed generations into chunks, the recorder puts usage, logs and events into
//! `meta.db`. Both try again until it works or the store closes: the tail keeps what they have not done.

use crate::error::Result;
use crate::head::Generation;
use crate::health::Work;
use crate::meta::Record;
use crate::seal;
use crate::shared::Shared;
use crate::writer::ToSeal;
use crossbeam_channel::{Receiver, TryRecvError};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Records waiting for the recorder at most; then the writer waits.
pub const RECORDS_MAX: usize = 256;

/// A record of so many bytes is not joined with another one: what waits for its transaction waits briefly, and a disk
/// that is nearly full has room for some of what waits.
const RECORD_BYTES_FULL: usize = 256 << 10;

/// The time from one commit of the recorder to the next at least: each syncs the disk, and nobody waits for it.
const RECORD_WINDOW: Duration = Duration::from_millis(20);

/// The same where nothing but filled-in ranges is to be written down: when devices send what they kept, each report
/// lengthens a range, and a range takes as long to write however much longer it became.
const FILLED_WINDOW: Duration = Duration::from_millis(200);

/// Pause before a failed step is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Runs until there is no sender.
pub fn run_sealer(shared: &Shared, generations: &Receiver<ToSeal>) {
    while let Ok(ToSeal { generation, mut waiting }) = generations.recv() {
        let step = || {
            let result = seal_one(shared, &generation);
            shared.troubles.note(Work::Sealing, &result);
            if result.is_err() {
                // Who waits for it is told that it fails: it may take until somebody acts.
                waiting.clear();
            }
            result
        };
        if !until_done(shared, "sealing", step) {
            return;
        }
        drop(generation);
        shared.rest();
        drop(waiting);
    }
}

fn seal_one(shared: &Shared, generation: &Generation) -> Result<()> {
    let exists = |id| shared.registry.exists(id);
    let sealed = seal::seal(generation, &shared.chunks, exists)?;
    // What the reports said of their devices must be kept before the groups that say it are forgotten.
    keep_statuses(shared)?;
    shared.chunks.commit(&sealed, &shared.dictionary, exists)?;
    shared.sealed_generation.store(generation.number, Ordering::Release);
    // After the commit: a reader looks at the head first, so in between it finds the rows twice, never not at all.
    shared.head.sealed();
    Ok(())
}

/// Runs until there is no sender.
pub fn run_recorder(shared: &Shared, records: &Receiver<Record>) {
    let mut recorded: Option<Instant> = None;
    while let Ok(mut record) = records.recv() {
        // What comes meanwhile takes one commit together, and so one sync.
        while record.bytes() < RECORD_BYTES_FULL {
            match records.try_recv() {
                Ok(later) => {
                    record.append(later);
                    continue;
                }
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {}
            }
            // The first after a pause at once; what comes one after the other waits for company.
            let since = recorded.map_or(FILLED_WINDOW, |at| at.elapsed());
            let left = window(&record).saturating_sub(since);
            if left.is_zero() {
                break;
            }
            // Often enough to empty the queue, which has room for some.
            std::thread::sleep(left.min(RECORD_WINDOW));
        }
        let step = || {
            let result = record_one(shared, &record);
            shared.troubles.note(Work::Recording, &result);
            result
        };
        if !until_done(shared, "recording", step) {
            return;
        }
        if !record.is_empty() {
            recorded = Some(Instant::now());
        }
    }
}

/// How long a record waits for company.
fn window(record: &Record) -> Duration {
    if record.is_empty() {
        Duration::ZERO
    } else if record.is_of_the_past() {
        FILLED_WINDOW
    } else {
        RECORD_WINDOW
    }
}

fn record_one(shared: &Shared, record: &Record) -> Result<()> {
    // A group of samples alone leaves nothing in `meta.db`. Its number need not be kept: recorded again it leaves
    // nothing again.
    if !record.is_empty() {
        let entries = shared.meta.record(record, |id| shared.registry.exists(id))?;
        if !record.happenings.is_empty()
            && let Err(error) = keep_statuses(shared)
        {
            // Not an error of the record, which must not be recorded twice.
            tracing::warn!("the devices' states could not be kept, will be tried again: {error}");
        }
        shared.publish_logs(entries);
        shared.notify();
    }
    if let Some(group) = record.group {
        shared.recorded_group.store(group, Ordering::Release);
    }
    Ok(())
}

/// Keeps the status of the devices whose status changed.
pub fn keep_statuses(shared: &Shared) -> Result<()> {
    let statuses = shared.registry.take_unkept();
    shared.meta.keep_statuses(&statuses).inspect_err(|_| shared.registry.mark_unkept(&statuses))
}

/// `false`: the store closes before it could be done.
fn until_done(shared: &Shared, what: &str, mut step: impl FnMut() -> Result<()>) -> bool {
    loop {
        match step() {
            Ok(()) => return true,
            Err(error) => tracing::error!("{what} failed, will be tried again: {error}"),
        }
        if shared.stopping.load(Ordering::Acquire) {
            return false;
        }
        std::thread::sleep(RETRY);
    }
}
