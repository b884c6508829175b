//! `openclaw-watch import`: the database of the older Python server, with all its history, into the data folder.
//!
//! Devices keep their keys, so agents go on reporting without a change. Rows that are there already are stored again in
//! their place, log lines are left out: importing twice changes nothing, and importing again later adds what is new.

mod older;
mod times;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};
use store::{Batch, DeviceId, DeviceProfile, Level, LogQuery, Origin, Receipt, Rejected, Store, Timestamp};

use crate::backup::Progress;
use older::{Older, OlderDevice, Record};

/// Rows of the older table that are read together; each device's rows of a block are stored at once.
const BLOCK_ROWS: i64 = 4_096;
/// What a device is called in the number of a block that was stored.
const ORIGIN: &str = "openclaw-watch import";
/// Batches on their way to the disk.
const PENDING_MAX: usize = 64;
/// Log lines of one moment that are compared with a new one.
const SAME_MOMENT_MAX: u32 = 500;

/// What was found and done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    devices: u64,
    devices_new: u64,
    rows: u64,
    rows_skipped: u64,
    first_ms: Option<Timestamp>,
    last_ms: Option<Timestamp>,
    logs: u64,
    logs_new: u64,
    logs_skipped: u64,
}

/// Imports `from` into a store that no server has open, and says what it did. `zone` is the IANA zone of times that
/// are written without one.
pub fn run(options: store::Options, from: &Path, zone: &str, now: Timestamp) -> anyhow::Result<()> {
    let older = Older::open(from, zone)?;
    let store = Store::open(options, now)?;
    let mut progress = Progress::new();
    let imported = Import { older: &older, store: &store, now, done: Imported::default() }.run(&mut progress);
    progress.end();
    // Also after an error: what was stored so far is whole.
    store.close();
    println!("{}", told(&imported?));
    Ok(())
}

fn told(done: &Imported) -> String {
    let mut text = format!("Devices: {}, of them new: {}\n", done.devices, done.devices_new);
    let day = |ms: Option<Timestamp>| ms.map(times::day).unwrap_or_default();
    text += &format!("Rows: {}", done.rows);
    if done.rows > 0 {
        text += &format!(", from {} to {}", day(done.first_ms), day(done.last_ms));
    }
    text += &format!("\nLog lines: {}, of them new: {}", done.logs, done.logs_new);
    if done.rows_skipped + done.logs_skipped > 0 {
        text += &format!(
            "\nLeft out, because they have no time, no known device or nothing in them: {} rows, {} log lines",
            done.rows_skipped, done.logs_skipped
        );
    }
    text
}

struct Import<'a> {
    older: &'a Older,
    store: &'a Store,
    now: Timestamp,
    done: Imported,
}

impl Import<'_> {
    fn run(mut self, progress: &mut Progress) -> anyhow::Result<Imported> {
        let devices = self.devices()?;
        let total = (self.older.rows_total()? + self.older.logs_total()?).max(1) as f64;
        let mut sender = Sender::new(self.store);
        let last_block = self.older.last_status_row()?.unwrap_or(0) / BLOCK_ROWS;
        let mut read = 0;
        for block in 0..=last_block {
            let records = self.older.statuses(block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS)?;
            read += records.len();
            // The last block may grow until the next import, so it is not counted as stored.
            let number = (block < last_block).then_some(block as u64);
            for batch in self.batches(records, &devices, number) {
                sender.send(batch)?;
            }
            progress.show(read as f64 / total);
        }
        let mut before = HashSet::new();
        self.older.each_log(|record| {
            read += 1;
            progress.show(read as f64 / total);
            match self.log(record, &devices, &mut before)? {
                Some(batch) => sender.send(batch),
                None => Ok(()),
            }
        })?;
        sender.finish()?;
        self.store.seal()?;
        Ok(self.done)
    }

    /// The older devices' identifiers, each with its device here.
    fn devices(&mut self) -> anyhow::Result<BTreeMap<String, DeviceId>> {
        let mut devices = BTreeMap::new();
        for older in self.older.devices()? {
            let hash = match &older.key {
                Some(key) => hash_of(key),
                // Nobody has this key: the device gets one when somebody rotates it.
                None => hash_of(&query::new_token().context("the system gave no random numbers")?),
            };
            let id = match self.known(&older, &hash) {
                Some(id) => id,
                None => {
                    let id = self.add(&older, hash)?;
                    self.done.devices_new += 1;
                    id
                }
            };
            self.done.devices += 1;
            devices.insert(older.id, id);
        }
        Ok(devices)
    }

    fn known(&self, older: &OlderDevice, hash: &[u8; 32]) -> Option<DeviceId> {
        let by_name = || {
            let devices = self.store.devices();
            devices.iter().find(|device| device.profile.name == older.name).map(|device| device.id)
        };
        // Without a key its name is all there is to know it by.
        self.store.device_by_key(hash).or_else(|| if older.key.is_none() { by_name() } else { None })
    }

    fn add(&self, older: &OlderDevice, hash: [u8; 32]) -> anyhow::Result<DeviceId> {
        // A zone that was guessed wrong would have it made in the future, and its past would be none.
        let created_ms = older.created_ms.map_or(self.now, |created_ms| created_ms.min(self.now));
        for n in 1..=1_000 {
            let name = if n == 1 { older.name.clone() } else { format!("{} ({n})", older.name) };
            let profile = DeviceProfile {
                name,
                device_type: older.device_type.clone(),
                tags: Vec::new(),
                notes: older.notes.clone(),
            };
            match self.store.add_device(profile, hash, created_ms) {
                Err(store::Error::Conflict { .. }) => {}
                other => return Ok(other?),
            }
        }
        bail!("there are too many devices called {:?}", older.name)
    }

    /// One batch for each device that has rows among these.
    fn batches(
        &mut self,
        records: Vec<Record>,
        devices: &BTreeMap<String, DeviceId>,
        block: Option<u64>,
    ) -> Vec<Batch> {
        let mut by_device: BTreeMap<DeviceId, Vec<Batch>> = BTreeMap::new();
        for record in records {
            let device = record.device.as_ref().and_then(|device| devices.get(device));
            let row = device.zip(record.t_ms.filter(|t_ms| *t_ms <= self.now)).map(|(device, t_ms)| {
                self.done.first_ms = Some(self.done.first_ms.map_or(t_ms, |first| first.min(t_ms)));
                self.done.last_ms = Some(self.done.last_ms.map_or(t_ms, |last| last.max(t_ms)));
                (*device, ingest::older_status(*device, t_ms, &record.fields))
            });
            match row {
                Some((device, batch)) => {
                    self.done.rows += 1;
                    by_device.entry(device).or_default().push(batch);
                }
                None => self.done.rows_skipped += 1,
            }
        }
        let joined = by_device.into_values().filter_map(older::joined);
        joined
            .map(|batch| Batch {
                origin: block.map(|seq| Origin { boot_id: boot_id(batch.device), seq }),
                ..batch
            })
            .collect()
    }

    fn log(
        &mut self,
        record: Record,
        devices: &BTreeMap<String, DeviceId>,
        before: &mut HashSet<(DeviceId, Timestamp, [u8; 32])>,
    ) -> anyhow::Result<Option<Batch>> {
        let device = record.device.as_ref().and_then(|device| devices.get(device));
        let batch = device
            .zip(record.t_ms.filter(|t_ms| *t_ms <= self.now))
            .and_then(|(device, t_ms)| ingest::older_error(*device, t_ms, &record.fields));
        let Some(batch) = batch else {
            self.done.logs_skipped += 1;
            return Ok(None);
        };
        self.done.logs += 1;
        let line = &batch.logs[0];
        let told = format!("{}\n{}\n{}", line.level.as_str(), line.source, line.message);
        let moment = LogQuery {
            device: Some(batch.device),
            level: Some(Level::Debug),
            from_ms: Some(line.t_ms),
            to_ms: Some(line.t_ms + 1),
            limit: SAME_MOMENT_MAX,
            ..LogQuery::default()
        };
        let known = self.store.logs(&moment)?.entries.iter().any(|entry| entry.line == *line);
        if known || !before.insert((batch.device, line.t_ms, hash_of(&told))) {
            return Ok(None);
        }
        self.done.logs_new += 1;
        Ok(Some(batch))
    }
}

fn hash_of(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// The same at each import, so that a block that was stored counts once.
fn boot_id(device: DeviceId) -> [u8; 16] {
    let hash = hash_of(&format!("{ORIGIN} {}", device.0));
    std::array::from_fn(|i| hash[i])
}

type Stored = Result<Receipt, Rejected>;

/// Hands batches to the store, a bounded number at a time.
struct Sender<'a> {
    store: &'a Store,
    reply: mpsc::Sender<Stored>,
    replies: mpsc::Receiver<Stored>,
    pending: usize,
}

impl Sender<'_> {
    fn new(store: &Store) -> Sender<'_> {
        let (reply, replies) = mpsc::channel();
        Sender { store, reply, replies, pending: 0 }
    }

    fn send(&mut self, batch: Batch) -> anyhow::Result<()> {
        if self.pending == PENDING_MAX {
            self.wait()?;
        }
        loop {
            let reply = self.reply.clone();
            // Nobody listens any more only after an error.
            let reply = Box::new(move |result| drop(reply.send(result)));
            match self.store.submit(batch.clone(), reply) {
                Ok(()) => {
                    self.pending += 1;
                    return Ok(());
                }
                // Sealing has to catch up.
                Err(Rejected::Overloaded { retry_after_ms }) => {
                    std::thread::sleep(Duration::from_millis(retry_after_ms));
                }
                Err(rejected) => bail!("the store refused rows: {rejected:?}"),
            }
        }
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        let reply = self.replies.recv().context("the store ended")?;
        self.pending -= 1;
        ensure!(reply.is_ok(), "the store could not keep rows: {reply:?}");
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        while self.pending > 0 {
            self.wait()?;
        }
        Ok(())
    }
}
