//! What the store's threads and its callers share.

use crate::chunk_table::ChunkTable;
use crate::error::{Error, Result};
use crate::head::Head;
use crate::health::Troubles;
use crate::limits::Limits;
use crate::maintain::Policy;
use crate::meta::{self, Meta};
use crate::metrics::Dictionary;
use crate::registry::{Applied, Registry};
use crate::retention::Retention;
use crate::settings::Settings;
use crate::tail::StoredBatch;
use crate::types::DeviceId;
use crate::{Deleted, LIVE_LOGS_MAX, LogEntry};
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// Called when there is something new for the live feed.
type Hook = Box<dyn Fn() + Send + Sync>;

/// See the module.
pub struct Shared {
    pub dictionary: Dictionary,
    pub registry: Registry,
    pub head: Head,
    pub chunks: ChunkTable,
    pub meta: Meta,
    /// What people chose on the page, over what is configured.
    settings: RwLock<Settings>,
    /// What devices, queries and memory may take.
    pub limits: Limits,
    /// See [`crate::Options::on_rest`].
    pub on_rest: Option<fn()>,
    /// Everything up to this generation is in `chunks.db`.
    pub sealed_generation: AtomicI64,
    /// Everything up to this group of the tail is in `meta.db`.
    pub recorded_group: AtomicI64,
    /// Batches refused.
    pub refused: AtomicU64,
    /// Columns refused.
    pub columns_refused: AtomicU64,
    /// Queries refused.
    pub queries_refused: AtomicU64,
    /// Groups of the tail that were set aside because they are damaged.
    pub damaged_groups: u64,
    /// The threads shall end.
    pub stopping: AtomicBool,
    /// Something was deleted of which bytes may be left in the files.
    pub unscrubbed: AtomicBool,
    pub troubles: Troubles,
    live_logs: RwLock<VecDeque<(u64, LogEntry)>>,
    hook: RwLock<Option<Hook>>,
    deleted: Mutex<Vec<DeviceId>>,
}

impl Shared {
    /// See the fields.
    #[allow(clippy::too_many_arguments, reason = "called once, by the one who makes them all")]
    pub fn new(
        dictionary: Dictionary,
        registry: Registry,
        head: Head,
        chunks: ChunkTable,
        meta: Meta,
        settings: Settings,
        sealed_generation: i64,
        recorded_group: i64,
    ) -> Shared {
        Shared {
            dictionary,
            registry,
            head,
            chunks,
            meta,
            settings: RwLock::new(settings),
            limits: Limits::default(),
            on_rest: None,
            sealed_generation: AtomicI64::new(sealed_generation),
            recorded_group: AtomicI64::new(recorded_group),
            refused: AtomicU64::new(0),
            columns_refused: AtomicU64::new(0),
            queries_refused: AtomicU64::new(0),
            damaged_groups: 0,
            stopping: AtomicBool::new(false),
            unscrubbed: AtomicBool::new(false),
            troubles: Troubles::default(),
            live_logs: RwLock::default(),
            hook: RwLock::default(),
            deleted: Mutex::default(),
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> Settings {
        self.settings.read().clone()
    }

    /// How long everything is kept.
    pub fn retention(&self) -> Retention {
        self.settings.read().retention
    }

    /// How chunks are merged, and how long everything is kept.
    pub fn policy(&self) -> Policy {
        Policy { retention: self.retention(), ..Policy::default() }
    }

    /// Keeps choices and puts them in force.
    pub fn choose_settings(&self, choices: &[(&'static str, Option<String>)]) -> Result<()> {
        // Held meanwhile: of two people who choose at once the later one's choice is kept and in force.
        let mut settings = self.settings.write();
        if choices.iter().any(|(name, _)| settings.fixed.contains(name)) {
            return Err(Error::Conflict { what: "a setting of the configuration" });
        }
        self.meta.choose_settings(choices)?;
        *settings = Settings::of(settings.configured, settings.fixed.clone(), &self.meta.chosen_settings()?);
        Ok(())
    }

    /// Takes batches that are on disk into the registry; what is to be recorded of them comes back.
    pub fn apply(&self, group: Option<i64>, batches: Vec<StoredBatch>) -> meta::Record {
        let Applied { happenings, filled } = self.registry.apply(&batches, &self.dictionary);
        let mut record = meta::Record { group, happenings, filled, ..Default::default() };
        for batch in batches {
            record.logs.extend(batch.logs.into_iter().map(|l| (batch.device, l)));
            record.usage.extend(batch.usage.into_iter().map(|u| (batch.device, u)));
        }
        record
    }

    /// To be called by a thread of the store at the end of work that took much memory.
    pub fn rest(&self) {
        if let Some(on_rest) = self.on_rest {
            on_rest();
        }
    }

    /// Log lines for the live feed.
    pub fn publish_logs(&self, entries: Vec<LogEntry>) {
        if entries.is_empty() {
            return;
        }
        let mut logs = self.live_logs.write();
        let version = self.registry.next_version();
        for entry in entries {
            if logs.len() == LIVE_LOGS_MAX {
                logs.pop_front();
            }
            logs.push_back((version, entry));
        }
    }

    /// The lines published after a version and up to another, oldest first.
    pub fn live_logs(&self, after: u64, up_to: u64) -> Vec<LogEntry> {
        self.live_logs.read().iter().filter(|l| after < l.0 && l.0 <= up_to).map(|l| l.1.clone()).collect()
    }

    /// A deleted device's lines leave the live feed as well.
    pub fn forget_live_logs(&self, device: DeviceId) {
        self.live_logs.write().retain(|l| l.1.device != device);
    }

    /// Sets who is told of changes.
    pub fn set_hook(&self, hook: Hook) {
        *self.hook.write() = Some(hook);
    }

    /// Tells of a change.
    pub fn notify(&self) {
        if let Some(hook) = &*self.hook.read() {
            hook();
        }
    }

    /// Deletes what is kept of a device that is not in the registry any more.
    pub fn delete_kept(&self, id: DeviceId) -> Result<Deleted> {
        let (chunks, chunk_bytes) = self.chunks.delete_stream(id)?;
        let (logs, events, text_bytes) = self.meta.delete_device(id)?;
        self.unscrubbed.store(true, Ordering::Release);
        Ok(Deleted { chunks, bytes: chunk_bytes + text_bytes, logs, events })
    }

    /// Leaves nothing in `chunks.db` and `meta.db` of what was deleted; what is held up is tried again by maintenance.
    pub fn scrub(&self) -> Result<()> {
        if self.unscrubbed.swap(false, Ordering::AcqRel) {
            let done = self.chunks.scrub().and_then(|done| Ok(self.meta.scrub()? && done));
            if !matches!(done, Ok(true)) {
                self.unscrubbed.store(true, Ordering::Release);
            }
            done?;
        }
        Ok(())
    }

    /// For the writer, who forgets which of its reports were stored.
    pub fn note_deleted(&self, device: DeviceId) {
        self.deleted.lock().push(device);
    }

    /// See `note_deleted`.
    pub fn take_deleted(&self) -> Vec<DeviceId> {
        std::mem::take(&mut *self.deleted.lock())
    }
}
