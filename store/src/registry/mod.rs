//! The devices in memory: who they are, their newest values, their state, and what changed since when.

mod device;

use crate::activity::Known;
use crate::filled::Filled;
use crate::metrics::Dictionary;
use crate::presence;
use crate::tail::StoredBatch;
use crate::types::{DeviceId, Kind, Timestamp};
use crate::{DeviceProfile, DeviceState, DeviceView};
use arc_swap::ArcSwap;
use device::{Device, Names, Series};
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Facts and states kept per device; a new name past it is left out.
pub const FACTS_MAX: usize = 64;

/// What `meta.db` keeps of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceRecord {
    pub id: DeviceId,
    pub profile: DeviceProfile,
    pub key_hash: [u8; 32],
    pub created_ms: Timestamp,
    pub status: DeviceStatus,
}

/// The part of it that reports change.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceStatus {
    pub last_seen_ms: Option<Timestamp>,
    pub interval_ms: Option<u32>,
    pub agent_version: Option<String>,
    pub facts: BTreeMap<String, String>,
    pub states: BTreeMap<String, String>,
    pub state: DeviceState,
    pub reason: Option<String>,
    pub since_ms: Option<Timestamp>,
}

/// Something that happened to a device and is to be remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct Happening {
    pub device: Option<DeviceId>,
    pub t_ms: Timestamp,
    pub kind: &'static str,
    pub detail: serde_json::Value,
}

/// What came of batches.
#[derive(Debug, Default)]
pub struct Applied {
    pub happenings: Vec<Happening>,
    pub filled: Vec<Filled>,
}

/// All devices.
pub struct Registry {
    devices: RwLock<BTreeMap<DeviceId, Device>>,
    keys: ArcSwap<HashMap<[u8; 32], DeviceId>>,
    version: AtomicU64,
    edited_version: AtomicU64,
    started_ms: AtomicI64,
}

impl Registry {
    /// The devices as they were kept.
    pub fn new(records: Vec<DeviceRecord>, now: Timestamp) -> Registry {
        let keys = records.iter().map(|r| (r.key_hash, r.id)).collect();
        let devices = records.into_iter().map(|r| (r.id, Device::of(r))).collect();
        Registry {
            devices: RwLock::new(devices),
            keys: ArcSwap::from_pointee(keys),
            version: AtomicU64::new(1),
            edited_version: AtomicU64::new(0),
            started_ms: AtomicI64::new(now),
        }
    }

    /// Which device has this key?
    pub fn by_key(&self, key_hash: &[u8; 32]) -> Option<DeviceId> {
        self.keys.load().get(key_hash).copied()
    }

    /// Is there such a device?
    pub fn exists(&self, id: DeviceId) -> bool {
        self.devices.read().contains_key(&id)
    }

    /// See [`crate::Store::interval_ms`].
    pub fn interval_ms(&self, id: DeviceId) -> Option<u32> {
        self.devices.read().get(&id).map(|d| d.interval.ms())
    }

    /// See [`crate::Store::watch`].
    pub fn watch(&self, id: DeviceId, until: Timestamp) {
        if let Some(device) = self.devices.write().get_mut(&id) {
            device.watched_until = until;
        }
    }

    /// See [`crate::Store::is_watched`].
    pub fn is_watched(&self, id: DeviceId, now: Timestamp) -> bool {
        self.devices.read().get(&id).is_some_and(|d| d.watched_until > now)
    }

    /// Adds or replaces what the user says of a device, and its key.
    pub fn put(&self, record: DeviceRecord) {
        let mut devices = self.devices.write();
        let (id, version) = (record.id, self.next_version());
        match devices.get_mut(&id) {
            Some(device) => {
                device.record.profile = record.profile;
                device.record.key_hash = record.key_hash;
                device.version = version;
            }
            None => {
                let mut device = Device::of(record);
                device.version = version;
                devices.insert(id, device);
            }
        }
        self.edited(&devices, version);
    }

    /// Removes a device: from now on nothing of it is taken in.
    pub fn remove(&self, id: DeviceId) -> bool {
        let mut devices = self.devices.write();
        let was_there = devices.remove(&id).is_some();
        if was_there {
            self.edited(&devices, self.next_version());
        }
        was_there
    }

    fn edited(&self, devices: &BTreeMap<DeviceId, Device>, version: u64) {
        self.keys.store(Arc::new(devices.values().map(|d| (d.record.key_hash, d.record.id)).collect()));
        self.edited_version.store(version, Ordering::Release);
    }

    /// What the user says of a device, and its key.
    pub fn record(&self, id: DeviceId) -> Option<DeviceRecord> {
        self.devices.read().get(&id).map(|d| d.record.clone())
    }

    /// Marks which columns would be past the device's bound of `most` metrics, a new metric having no number yet; `None`:
    /// no such device.
    pub fn refused_columns(&self, id: DeviceId, metrics: &[Option<u32>], most: usize) -> Option<Vec<bool>> {
        let devices = self.devices.read();
        let device = devices.get(&id)?;
        let mut room = most.saturating_sub(device.series.len());
        let refuse = |metric: &Option<u32>| {
            if metric.is_some_and(|metric| device.series.contains_key(&metric)) {
                return false;
            }
            let full = room == 0;
            room = room.saturating_sub(1);
            full
        };
        Some(metrics.iter().map(refuse).collect())
    }

    /// The metrics of a device.
    pub fn series(&self, id: DeviceId) -> Vec<(u32, Kind)> {
        self.devices
            .read()
            .get(&id)
            .map(|d| d.series.iter().map(|(metric, series)| (*metric, series.kind)).collect())
            .unwrap_or_default()
    }

    /// Takes in what is known of a device's metrics from the chunks.
    pub fn restore_series(&self, id: DeviceId, metric: u32, kind: Kind) {
        if let Some(device) = self.devices.write().get_mut(&id) {
            device.series.insert(metric, Series::new(kind));
        }
    }

    /// Takes in samples of [`SPARK_METRIC`] that are sealed already.
    pub fn restore_spark(&self, id: DeviceId, samples: &[(Timestamp, f64)]) {
        if let Some(device) = self.devices.write().get_mut(&id) {
            samples.iter().for_each(|(t, value)| device.spark.add(*t, *value));
        }
    }

    /// Takes in values that were newest when they were sealed.
    pub fn restore_latest(&self, id: DeviceId, metric: u32, t: Timestamp, value: f64) {
        if let Some(device) = self.devices.write().get_mut(&id) {
            device.note_value(metric, t, value);
        }
    }

    /// Takes in batches that are on disk. Returns what happened, to be remembered.
    pub fn apply(&self, batches: &[StoredBatch], dictionary: &Dictionary) -> Applied {
        let names = Names::of(dictionary);
        let mut applied = Applied::default();
        let started_ms = self.started_ms.load(Ordering::Relaxed);
        let mut devices = self.devices.write();
        let version = self.next_version();
        for batch in batches {
            if let Some(device) = devices.get_mut(&batch.device) {
                let filled = device.apply(batch, names, started_ms, &mut applied.happenings);
                applied.filled.extend(filled);
                device.version = version;
            }
        }
        applied
    }

    /// Takes in batches whose happenings were remembered before a restart: what became of the device's state since
    /// is kept already and stays.
    pub fn apply_again(&self, batches: &[StoredBatch], dictionary: &Dictionary) {
        let names = Names::of(dictionary);
        let mut devices = self.devices.write();
        for batch in batches {
            if let Some(device) = devices.get_mut(&batch.device) {
                device.note(batch, names);
            }
        }
    }

    /// Judges every device. Returns what happened, to be remembered.
    pub fn judge(&self, now: Timestamp) -> Vec<Happening> {
        // The clock went back: what is known of then is that the devices were heard until now. Else they would count as
        // heard for as long as the clock was ahead.
        let is_ahead = |t: Timestamp| t.saturating_sub(now) > presence::SILENCE_MIN_MS;
        if is_ahead(self.started_ms.load(Ordering::Relaxed)) {
            self.started_ms.store(now, Ordering::Relaxed);
        }
        let started_ms = self.started_ms.load(Ordering::Relaxed);
        let mut happenings = Vec::new();
        let mut devices = self.devices.write();
        for device in devices.values_mut() {
            let status = &mut device.record.status;
            if status.last_seen_ms.is_some_and(is_ahead) {
                status.last_seen_ms = Some(now);
                device.unkept = true;
            }
            let status = &device.record.status;
            let heard = match status.last_seen_ms {
                Some(last_seen_ms) if last_seen_ms >= started_ms => last_seen_ms,
                // The server could not hear it before, and it may not know yet that the server is back.
                _ => {
                    let allowed = presence::silence_allowed_ms(device.interval.ms());
                    started_ms.saturating_add((presence::RECONNECT_MS - allowed).max(0))
                }
            };
            let (state, reason) =
                presence::judge(status.last_seen_ms, heard, device.interval.ms(), &status.states, now);
            // A report brings a device back, at its time; silence alone can only take it away.
            if state == DeviceState::Offline && status.state != DeviceState::Offline {
                device.enter(state, reason, now, &mut happenings);
                device.version = self.next_version();
            }
        }
        happenings
    }

    /// The statuses that changed since they were last asked for here.
    pub fn take_unkept(&self) -> Vec<(DeviceId, DeviceStatus)> {
        let mut devices = self.devices.write();
        let take = |d: &mut Device| std::mem::take(&mut d.unkept).then(|| (d.record.id, d.status_to_keep()));
        devices.values_mut().filter_map(take).collect()
    }

    /// They could not be kept.
    pub fn mark_unkept(&self, statuses: &[(DeviceId, DeviceStatus)]) {
        let mut devices = self.devices.write();
        for (id, _) in statuses {
            if let Some(device) = devices.get_mut(id) {
                device.unkept = true;
            }
        }
    }

    /// The newest version.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Something beside the devices changed.
    pub fn next_version(&self) -> u64 {
        self.version.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The newest version, whether the list was edited after `version`, and the devices that changed after it.
    pub fn changes_since(&self, version: u64, dictionary: &Dictionary) -> (u64, bool, Vec<DeviceView>) {
        // Under the lock: a change is counted and made under it, so none can have a number up to this and come later.
        let devices = self.devices.read();
        let newest = self.version();
        let changed = devices.values().filter(|d| d.version > version).map(|d| d.view(dictionary)).collect();
        (newest, self.edited_version.load(Ordering::Acquire) > version, changed)
    }

    /// All devices.
    pub fn views(&self, dictionary: &Dictionary) -> Vec<DeviceView> {
        self.devices.read().values().map(|d| d.view(dictionary)).collect()
    }

    /// The devices with a tag.
    pub fn tagged(&self, tag: &str) -> Vec<DeviceId> {
        let devices = self.devices.read();
        let has = |device: &&Device| device.record.profile.tags.iter().any(|own| own == tag);
        devices.values().filter(has).map(|device| device.record.id).collect()
    }

    /// When any device was heard last, up to `now`.
    pub fn last_heard_ms(&self, now: Timestamp) -> Option<Timestamp> {
        let heard = self.devices.read();
        heard.values().filter_map(|d| d.record.status.last_seen_ms).filter(|t| *t <= now).max()
    }

    /// What is drawn of all devices.
    pub fn known(&self, now: Timestamp) -> Vec<Known> {
        let known = |device: &Device| Known {
            device: device.record.id,
            created_ms: device.record.created_ms,
            state: device.record.status.state,
            spark: device.spark.last_hour(now).to_vec(),
        };
        self.devices.read().values().map(known).collect()
    }

    /// One device.
    pub fn view(&self, id: DeviceId, dictionary: &Dictionary) -> Option<DeviceView> {
        self.devices.read().get(&id).map(|d| d.view(dictionary))
    }

    /// Numbers of all devices.
    pub fn ids(&self) -> Vec<DeviceId> {
        self.devices.read().keys().copied().collect()
    }
}
