//! The store's face: what callers may do.

use crate::activity::{self, Activity};
use crate::enroll::EnrollCode;
use crate::error::{Error, Result};
use crate::health::{Health, Trouble, Work};
use crate::maintain::Ask;
use crate::open::Options;
use crate::prices::Prices;
use crate::registry::Happening;
use crate::retention::Retention;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::types::*;
use crate::usage::*;
use crate::views::*;
use crate::writer::{Command, RETRY_AFTER_MS};
use crate::{chunk_table, gaps, meta, open, read, tail, workers};
use bytes::Bytes;
use crossbeam_channel::{Sender, TrySendError, bounded};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;

/// The devices' states and the server's sign of life are kept this often, milliseconds.
const KEEP_EVERY_MS: i64 = 60_000;

/// The store's threads, and the folder's lock, which must outlive them.
pub struct Threads {
    pub threads: Vec<JoinHandle<()>>,
    pub lock: File,
}

/// What the threads are told through; they end when it is gone.
#[derive(Clone)]
pub struct Senders {
    pub commands: Sender<Command>,
    pub to_maintain: Sender<Ask>,
}

/// The store: one per data folder and process.
pub struct Store {
    dir: PathBuf,
    pub(crate) shared: Arc<Shared>,
    senders: RwLock<Option<Senders>>,
    threads: Mutex<Option<Threads>>,
    kept_ms: AtomicI64,
    now_ms: AtomicI64,
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

impl Store {
    pub(crate) fn new(dir: PathBuf, shared: Arc<Shared>, senders: Senders, threads: Threads) -> Store {
        Store {
            dir,
            shared,
            senders: RwLock::new(Some(senders)),
            threads: Mutex::new(Some(threads)),
            kept_ms: AtomicI64::new(0),
            now_ms: AtomicI64::new(0),
        }
    }

    /// Opens or makes the data folder, recovers what was acknowledged, starts the threads.
    ///
    /// # Errors
    /// The folder is in use, unusable or written by a newer version.
    pub fn open(options: Options, now: Timestamp) -> Result<Store> {
        open::open(options, now)
    }

    /// Ends the threads; what is acknowledged stays. Further calls to `submit` are refused. Idempotent.
    pub fn close(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        // Writer and maintain end when the last sender is gone, the others when the writer is gone.
        drop(self.senders.write().take());
        let Some(threads) = self.threads.lock().take() else { return };
        for thread in threads.threads {
            // A panic in it was noted where it was caught.
            let _ = thread.join();
        }
        let now = self.now_ms.load(Ordering::Relaxed);
        let kept = workers::keep_statuses(&self.shared);
        // Without a tick the time is not known; then the last sign of life stays.
        let alive = if now > 0 { self.shared.meta.note_alive(now).map(|_| ()) } else { Ok(()) };
        if let Err(error) = kept.and(alive) {
            tracing::warn!("the devices' states could not be kept: {error}");
        }
        // The next start then has no log to read through.
        for file in [&tail::FILE, &chunk_table::FILE, &meta::FILE] {
            if let Err(error) = file.readers(&self.dir).empty_log() {
                tracing::debug!("the log of {} could not be emptied: {error}", file.name);
            }
        }
        drop(threads.lock);
    }

    /// To be called about once a second: judges who is offline, closes an old generation.
    pub fn tick(&self, now: Timestamp) {
        self.now_ms.store(now, Ordering::Relaxed);
        if let Some(senders) = &*self.senders.read() {
            // Full: they have enough to do, and the next tick is a second away.
            let _ = senders.commands.try_send(Command::Tick(now));
            let _ = senders.to_maintain.try_send(Ask::Tick(now));
        }
        let kept = self.kept_ms.load(Ordering::Relaxed);
        // Also when the clock went back.
        if (now - kept).abs() >= KEEP_EVERY_MS {
            self.kept_ms.store(now, Ordering::Relaxed);
            let kept = workers::keep_statuses(&self.shared);
            if let Err(error) = kept.and_then(|()| self.shared.meta.note_alive(now)) {
                tracing::warn!("the devices' states could not be kept: {error}");
            }
        }
    }

    /// Seals what came so far and waits for it. Blocks.
    ///
    /// # Errors
    /// `Closed` when the store closes, `Failing` when it cannot be done at present: it is tried again.
    pub fn seal(&self) -> Result<()> {
        let (closed, sealed) = bounded::<()>(1);
        let senders = self.senders.read().clone().ok_or(Error::Closed)?;
        senders.commands.send(Command::CloseGeneration(closed)).map_err(|_| Error::Closed)?;
        drop(senders);
        // Nothing is ever sent: the sender is dropped when it is done, or when the threads end without.
        let _ = sealed.recv();
        if self.shared.stopping.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        self.shared.troubles.of(Work::Sealing).map_or(Ok(()), |trouble| Err(Error::Failing(trouble)))
    }

    /// Does the maintenance that is due at `now` and waits for it. Blocks. Without it the same is done from time to time.
    ///
    /// # Errors
    /// `Closed` when the store closes.
    pub fn maintain(&self, now: Timestamp) -> Result<()> {
        let (working, done) = bounded::<()>(1);
        let senders = self.senders.read().clone().ok_or(Error::Closed)?;
        senders.to_maintain.send(Ask::All(now, working)).map_err(|_| Error::Closed)?;
        drop(senders);
        let _ = done.recv();
        if self.shared.stopping.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Can batches be taken?
    pub fn health(&self) -> Health {
        match self.shared.troubles.health() {
            Health::ReadOnly(trouble) => Health::ReadOnly(trouble),
            _ if self.senders.read().is_none() => Health::ReadOnly(Trouble::Stopping),
            other => other,
        }
    }

    /// Hands a batch to the writer. `reply` is called once, after the batch is on disk or was refused.
    /// Once this returns `Ok`, dropping whatever waits for the reply loses only the reply. Never blocks.
    ///
    /// # Errors
    /// At once when the queue is full or the store is closed; `reply` is not called then.
    pub fn submit(&self, batch: Batch, reply: Reply) -> std::result::Result<(), Rejected> {
        self.append(batch, None, reply)
    }

    /// As [`Store::submit`], for a batch that says what `frame` says, all of it: until it is sealed it is kept as these
    /// bytes, which [`Options::frames`] reads again after a crash.
    ///
    /// # Errors
    /// As [`Store::submit`].
    pub fn submit_frame(
        &self,
        batch: Batch,
        frame: Bytes,
        reply: Reply,
    ) -> std::result::Result<(), Rejected> {
        self.append(batch, Some(frame), reply)
    }

    fn append(&self, batch: Batch, frame: Option<Bytes>, reply: Reply) -> std::result::Result<(), Rejected> {
        let guard = self.senders.read();
        let Some(Senders { commands, .. }) = &*guard else {
            return Err(Rejected::Unavailable { reason: "the server is stopping".into() });
        };
        match commands.try_send(Command::Append(Box::new(batch), frame, reply)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                Err(Rejected::Overloaded { retry_after_ms: RETRY_AFTER_MS })
            }
            Err(TrySendError::Disconnected(_)) => {
                Err(Rejected::Unavailable { reason: "the writer has ended".into() })
            }
        }
    }

    /// Which device has this key (its SHA-256)? Lock-free.
    pub fn device_by_key(&self, key_hash: &[u8; 32]) -> Option<DeviceId> {
        self.shared.registry.by_key(key_hash)
    }

    /// How often a device is judged to report, milliseconds; `None` when there is no such device.
    pub fn interval_ms(&self, device: DeviceId) -> Option<u32> {
        self.shared.registry.interval_ms(device)
    }

    /// Says that somebody looks at this device until `until`; see [`Store::is_watched`].
    pub fn watch(&self, device: DeviceId, until: Timestamp) {
        self.shared.registry.watch(device, until);
    }

    /// Does somebody look at this device right now?
    pub fn is_watched(&self, device: DeviceId, now: Timestamp) -> bool {
        self.shared.registry.is_watched(device, now)
    }

    /// All devices, by number.
    pub fn devices(&self) -> Vec<DeviceView> {
        self.shared.registry.views(&self.shared.dictionary)
    }

    /// One device.
    pub fn device(&self, id: DeviceId) -> Option<DeviceView> {
        self.shared.registry.view(id, &self.shared.dictionary)
    }

    /// The last day's availability and the last hour of [`crate::SPARK_METRIC`] of all devices, by number.
    ///
    /// # Errors
    /// Database errors.
    pub fn activity(&self, now: Timestamp) -> Result<Vec<Activity>> {
        activity::activity(&self.shared, now)
    }

    /// Adds a device.
    ///
    /// # Errors
    /// `Conflict` when the name is taken.
    pub fn add_device(&self, profile: DeviceProfile, key_hash: [u8; 32], now: Timestamp) -> Result<DeviceId> {
        let record = self.shared.meta.add_device(&profile, &key_hash, now)?;
        let id = record.id;
        let name = record.profile.name.clone();
        self.shared.registry.put(record);
        self.remember(id, now, "device_added", serde_json::json!({ "name": name }))?;
        Ok(id)
    }

    /// Makes a one-time code, kept as the SHA-256 of what [`crate::plain_enroll_code`] makes of it. With an empty name the
    /// device brings its own.
    ///
    /// # Errors
    /// `Conflict` when [`crate::ENROLL_CODES_MAX`] codes can be used already.
    pub fn add_enroll_code(
        &self,
        code_hash: [u8; 32],
        profile: DeviceProfile,
        now: Timestamp,
    ) -> Result<EnrollCode> {
        self.shared.meta.add_enroll_code(&code_hash, &profile, now)
    }

    /// The codes of the last hours, newest first.
    ///
    /// # Errors
    /// Database errors.
    pub fn enroll_codes(&self) -> Result<Vec<EnrollCode>> {
        self.shared.meta.enroll_codes()
    }

    /// Withdraws a code.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn delete_enroll_code(&self, id: i64) -> Result<()> {
        self.shared.meta.delete_enroll_code(id)
    }

    /// Uses a code up for a new device with this key; `None`: there is no such code, or it is of no use any more. A number
    /// is added to a name that is taken.
    ///
    /// # Errors
    /// Database errors.
    pub fn enroll(
        &self,
        code_hash: [u8; 32],
        name: &str,
        key_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<DeviceId>> {
        let Some(record) = self.shared.meta.enroll(&code_hash, name, &key_hash, now)? else {
            return Ok(None);
        };
        let (id, name) = (record.id, record.profile.name.clone());
        self.shared.registry.put(record);
        self.remember(id, now, "device_added", serde_json::json!({ "name": name, "enrolled": true }))?;
        Ok(Some(id))
    }

    /// Changes what the user says of a device.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when the name is taken.
    pub fn edit_device(&self, id: DeviceId, profile: DeviceProfile) -> Result<()> {
        let mut record = self.shared.registry.record(id).ok_or(Error::NotFound { what: "device" })?;
        self.shared.meta.edit_device(id, &profile, &record.key_hash)?;
        record.profile = profile;
        self.shared.registry.put(record);
        self.shared.notify();
        Ok(())
    }

    /// Gives a device a new key; the old one stops at once.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn rotate_key(&self, id: DeviceId, key_hash: [u8; 32], now: Timestamp) -> Result<()> {
        let mut record = self.shared.registry.record(id).ok_or(Error::NotFound { what: "device" })?;
        self.shared.meta.edit_device(id, &record.profile, &key_hash)?;
        record.key_hash = key_hash;
        self.shared.registry.put(record);
        self.remember(id, now, "key_rotated", serde_json::json!({}))
    }

    /// Deletes a device and all that is kept of it. When this returns, nothing finds it any more; its bytes are gone from the
    /// files then or, what was not sealed yet, soon after. Names of its metrics stay in the dictionary.
    ///
    /// # Errors
    /// `NotFound`. Database errors; unless it was the first step that failed, the device is gone all the same, and what
    /// is left of it goes when the folder is opened again.
    pub fn delete_device(&self, id: DeviceId) -> Result<Deleted> {
        if !self.shared.registry.exists(id) {
            return Err(Error::NotFound { what: "device" });
        }
        // A mark before anything goes: a deletion that is cut short is finished at the next start.
        self.shared.meta.begin_deletion(id)?;
        // Then out of the registry: from here on nothing of it is taken in, sealed or recorded.
        if !self.shared.registry.remove(id) {
            return Err(Error::NotFound { what: "device" });
        }
        self.shared.head.forget(id);
        // The writer closes the generation for it, so that the tail soon forgets it as well.
        self.shared.note_deleted(id);
        self.shared.forget_live_logs(id);
        self.shared.notify();
        let deleted = self.shared.delete_kept(id)?;
        if let Err(error) = self.shared.scrub() {
            // It is deleted, and maintenance tries again.
            tracing::warn!("the files could not be scrubbed, will be tried again: {error}");
        }
        Ok(deleted)
    }

    /// `hook` is called (from a thread of the store, must not block) whenever `changes_since` has something new.
    pub fn on_change(&self, hook: Box<dyn Fn() + Send + Sync>) {
        self.shared.set_hook(hook);
    }

    /// The newest version, to begin with.
    pub fn version(&self) -> u64 {
        self.shared.registry.version()
    }

    /// What happened after `version`.
    pub fn changes_since(&self, version: u64) -> Changes {
        let (newest, devices_edited, devices) =
            self.shared.registry.changes_since(version, &self.shared.dictionary);
        Changes { version: newest, devices_edited, devices, logs: self.shared.live_logs(version, newest) }
    }

    /// Answers a range query from the tier that suits it. Blocks: call it off the async threads.
    ///
    /// # Errors
    /// `TooMuch` past the budget; database errors.
    pub fn query(&self, query: &RangeQuery) -> Result<RangeAnswer> {
        self.query_figures(query, Figures::ALL)
    }

    /// The same with some figures of each step only: [`Bucket::count`] and these are right, the others mean nothing.
    ///
    /// # Errors
    /// As [`Store::query`].
    pub fn query_figures(&self, query: &RangeQuery, figures: Figures) -> Result<RangeAnswer> {
        read::answer(&self.shared, query, figures)
    }

    /// The gaps of some devices within a range.
    ///
    /// # Errors
    /// Database errors.
    pub fn gaps(&self, devices: &[DeviceId], range: TimeRange) -> Result<Vec<Gap>> {
        gaps::gaps(&self.shared, devices, range)
    }

    /// Log lines, newest first.
    ///
    /// # Errors
    /// Database errors.
    pub fn logs(&self, query: &LogQuery) -> Result<Page<LogEntry>> {
        self.counted(self.shared.meta.logs(query))
    }

    /// The lines that [`Store::logs`] would find, in groups that say the same; `limit` counts groups, the largest first.
    ///
    /// # Errors
    /// Database errors.
    pub fn log_groups(&self, query: &LogQuery) -> Result<LogGroups> {
        self.counted(self.shared.meta.log_groups(query))
    }

    fn counted<T>(&self, answer: Result<T>) -> Result<T> {
        if matches!(answer, Err(Error::SearchTooLong { .. })) {
            self.shared.queries_refused.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    /// How many lines at least as bad as `level` there are since `from_ms`.
    ///
    /// # Errors
    /// Database errors.
    pub fn count_logs(&self, level: Level, from_ms: Timestamp) -> Result<u64> {
        self.shared.meta.count_logs(level, from_ms)
    }

    /// How many lines at least as bad as `level` there are in each step of a range: of one device, or of all. The last
    /// step may reach past the range; what is there is not counted.
    ///
    /// # Errors
    /// Database errors.
    ///
    /// # Panics
    /// If `step_ms` is not above zero.
    pub fn count_logs_in_steps(
        &self,
        device: Option<DeviceId>,
        level: Level,
        range: TimeRange,
        step_ms: i64,
    ) -> Result<Vec<u64>> {
        assert!(step_ms > 0, "bug: lines are counted in steps of no length");
        self.shared.meta.count_logs_in_steps(device, level, range, step_ms)
    }

    /// Events, newest first.
    ///
    /// # Errors
    /// Database errors.
    pub fn events(&self, query: &EventQuery) -> Result<Page<Event>> {
        self.shared.meta.events(query)
    }

    /// Token usage added up, one row for each range and what else the question tells apart.
    ///
    /// # Errors
    /// `TooMuch` past [`USAGE_ROWS_MAX`] rows; database errors.
    pub fn usage(&self, query: &UsageQuery) -> Result<BTreeMap<UsageKey, UsageSum>> {
        self.shared.meta.usage(query)
    }

    /// What each device used in some days; the same days asked again cost nothing.
    ///
    /// # Errors
    /// Database errors.
    pub fn usage_overview(&self, days: &UsageDays) -> Result<HashMap<DeviceId, UsageOverview>> {
        self.shared.meta.usage_overview(days)
    }

    /// Start of the quarter of an hour of the oldest usage.
    ///
    /// # Errors
    /// Database errors.
    pub fn usage_since(&self) -> Result<Option<Timestamp>> {
        self.shared.meta.usage_since()
    }

    /// The models that were used, those with the most tokens first.
    ///
    /// # Errors
    /// Database errors.
    pub fn used_models(&self) -> Result<Vec<UsedModel>> {
        self.shared.meta.used_models()
    }

    /// The price table.
    pub fn prices(&self) -> Arc<Prices> {
        self.shared.meta.prices()
    }

    /// Replaces the price table, also for what was used before.
    ///
    /// # Errors
    /// Database errors.
    pub fn set_prices(&self, prices: Prices) -> Result<()> {
        self.shared.meta.set_prices(prices)
    }

    /// The settings in force.
    pub fn settings(&self) -> Settings {
        self.shared.settings()
    }

    /// How long everything is kept.
    pub fn retention(&self) -> Retention {
        self.shared.retention()
    }

    /// Keeps choices of settings by name (see [`crate::SETTINGS`]) and puts them in force; `None` takes one back.
    ///
    /// # Errors
    /// `Conflict` when the configuration gives one of them.
    pub fn choose_settings(&self, choices: &[(&'static str, Option<String>)], now: Timestamp) -> Result<()> {
        self.shared.choose_settings(choices)?;
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let detail = serde_json::json!({ "settings": names });
        self.remember_of(None, now, "settings_changed", detail)
    }

    /// What is on disk.
    pub fn storage(&self) -> StorageStats {
        let head_samples = self.shared.head.samples() as u64;
        let (tail_bytes, meta_bytes) = (tail::FILE.bytes(&self.dir), self.shared.meta.bytes());
        let tiers = self.shared.chunks.tiers();
        // These are only shown: an error of a database shows elsewhere.
        let (damaged_chunks, damaged_bytes) = self.shared.chunks.damaged().unwrap_or_default();
        StorageStats {
            tail_bytes,
            meta_bytes,
            log_bytes: self.shared.meta.log_bytes().unwrap_or_default(),
            log_oldest_ms: self.shared.meta.log_oldest_ms().unwrap_or_default(),
            total_bytes: tail_bytes + meta_bytes + chunk_table::FILE.bytes(&self.dir),
            head_samples,
            samples: head_samples + tiers.first().map_or(0, |raw| raw.samples),
            tiers,
            batches_refused: self.shared.refused.load(Ordering::Relaxed),
            columns_refused: self.shared.columns_refused.load(Ordering::Relaxed),
            queries_refused: self.shared.queries_refused.load(Ordering::Relaxed),
            damaged_chunks,
            damaged_bytes,
            damaged_groups: self.shared.damaged_groups,
        }
    }

    fn remember(
        &self,
        device: DeviceId,
        now: Timestamp,
        kind: &'static str,
        detail: serde_json::Value,
    ) -> Result<()> {
        self.remember_of(Some(device), now, kind, detail)
    }

    fn remember_of(
        &self,
        device: Option<DeviceId>,
        now: Timestamp,
        kind: &'static str,
        detail: serde_json::Value,
    ) -> Result<()> {
        let happening = Happening { device, t_ms: now, kind, detail };
        let record = meta::Record { happenings: vec![happening], ..meta::Record::default() };
        self.shared.meta.record(&record, |id| self.shared.registry.exists(id))?;
        self.shared.notify();
        Ok(())
    }
}
