//! The devices in memory: who they are, their newest values, their state, and what changed since when.

use crate::activity::Known;
use crate::filled::{CLOCK_OFFSET_METRIC, CLOCK_STATE, Filled, filled};
use crate::metrics::Dictionary;
use crate::presence::{self, Interval};
use crate::spark::{SPARK_METRIC, Spark};
use crate::tail::StoredBatch;
use crate::types::{DeviceId, Kind, Timestamp};
use crate::{DeviceProfile, DeviceState, DeviceView};
use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
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

struct Device {
    record: DeviceRecord,
    interval: Interval,
    series: HashMap<u32, Kind, RandomState>,
    latest_ms: Option<Timestamp>,
    /// When a row came that was newer than all before.
    advanced_ms: Timestamp,
    /// When it was heard again after it had been offline.
    back_ms: Timestamp,
    latest: HashMap<u32, (Timestamp, f64), RandomState>,
    spark: Spark,
    watched_until: Timestamp,
    version: u64,
    /// The status has changed since it was last kept.
    unkept: bool,
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

/// Numbers of the metrics that mean something here; `None`: nobody has sent one yet.
#[derive(Debug, Clone, Copy)]
struct Names {
    spark: Option<u32>,
    clock_offset: Option<u32>,
}

impl Names {
    fn of(dictionary: &Dictionary) -> Names {
        let found = dictionary.numbers([SPARK_METRIC, CLOCK_OFFSET_METRIC].into_iter());
        Names { spark: found[0], clock_offset: found[1] }
    }
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
            .map(|d| d.series.iter().map(|(m, k)| (*m, *k)).collect())
            .unwrap_or_default()
    }

    /// Takes in what is known of a device's metrics from the chunks.
    pub fn restore_series(&self, id: DeviceId, metric: u32, kind: Kind) {
        if let Some(device) = self.devices.write().get_mut(&id) {
            device.series.insert(metric, kind);
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
            device.note_latest(metric, t, value);
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

impl Device {
    fn of(record: DeviceRecord) -> Device {
        Device {
            interval: Interval::restored(record.status.interval_ms),
            record,
            series: HashMap::default(),
            latest_ms: None,
            advanced_ms: Timestamp::MIN,
            back_ms: Timestamp::MIN,
            latest: HashMap::default(),
            spark: Spark::default(),
            watched_until: Timestamp::MIN,
            version: 0,
            unkept: false,
        }
    }

    /// Also says which of the rows arrived much later than their time.
    fn apply(
        &mut self,
        batch: &StoredBatch,
        names: Names,
        started_ms: Timestamp,
        happenings: &mut Vec<Happening>,
    ) -> Option<Filled> {
        let now = batch.received_ms;
        let version_before = self.record.status.agent_version.clone();
        self.note(batch, names);
        // An agent that knows its clock to be wrong has put that right in the times of its rows.
        let clock_is_right = batch.states.iter().any(|(name, _)| name == CLOCK_STATE);
        let offset = names.clock_offset.and_then(|metric| self.latest.get(&metric));
        let offset_ms = offset.filter(|_| !clock_is_right).map_or(0, |(_, ms)| *ms as i64);
        let status = &self.record.status;
        if let (Some(from), Some(to)) = (version_before, &status.agent_version)
            && from != *to
        {
            happenings.push(Happening {
                device: Some(batch.device),
                t_ms: now,
                kind: "version_change",
                detail: serde_json::json!({"from": from, "to": to}),
            });
        }
        let (state, reason) = presence::judge(Some(now), now, self.interval.ms(), &status.states, now);
        if state != status.state || reason != status.reason {
            self.enter(state, reason, now, happenings);
        }
        // What is read again after a restart was heard before it.
        let heard_from_ms = if now < started_ms { self.back_ms } else { self.back_ms.max(started_ms) };
        filled(batch.device, &batch.t_ms, now, self.interval.ms(), offset_ms, heard_from_ms)
    }

    /// What a batch says, without judging it.
    fn note(&mut self, batch: &StoredBatch, names: Names) {
        self.unkept = true;
        let now = batch.received_ms;
        let status = &mut self.record.status;
        self.interval.note(batch.interval_ms, status.last_seen_ms, now);
        status.last_seen_ms = Some(status.last_seen_ms.map_or(now, |before| before.max(now)));
        // A report that was kept while the device could not be heard comes beside live ones and tells of then.
        // Not so if nothing newer came for a while: then the device's clock was set back.
        let before = self.latest_ms;
        let is_older = batch.t_ms.iter().max().zip(before).is_some_and(|(newest, latest)| *newest < latest);
        let beside_live =
            now.saturating_sub(self.advanced_ms) < presence::silence_allowed_ms(self.interval.ms());
        if !(is_older && beside_live) {
            merge(&mut status.facts, &batch.facts);
            // A report says all its states: one that it no longer says is over.
            if !batch.states.is_empty() {
                status.states.clear();
                merge(&mut status.states, &batch.states);
            }
            if batch.agent_version.is_some() {
                status.agent_version.clone_from(&batch.agent_version);
            }
        }
        // Only the newest row counts; mostly it is the last.
        let times = &batch.t_ms;
        let last = if times.is_sorted() {
            times.len().checked_sub(1)
        } else {
            (0..times.len()).max_by_key(|&i| times[i])
        };
        for column in &batch.columns {
            self.series.insert(column.metric, column.kind);
            let newest = last
                .filter(|&i| column.present.has(i))
                .or_else(|| (0..times.len()).filter(|&i| column.present.has(i)).max_by_key(|&i| times[i]));
            if let Some(i) = newest {
                self.note_latest(column.metric, times[i], column.values[i]);
            }
            if names.spark == Some(column.metric) {
                for (i, t) in times.iter().enumerate().filter(|(i, _)| column.present.has(*i)) {
                    self.spark.add(*t, column.values[i]);
                }
            }
        }
        if self.latest_ms > before {
            self.advanced_ms = now;
        }
    }

    fn note_latest(&mut self, metric: u32, t: Timestamp, value: f64) {
        self.latest_ms = Some(self.latest_ms.map_or(t, |l| l.max(t)));
        let latest = self.latest.entry(metric).or_insert((t, value));
        if t >= latest.0 {
            *latest = (t, value);
        }
    }

    fn enter(
        &mut self,
        state: DeviceState,
        reason: Option<String>,
        now: Timestamp,
        happenings: &mut Vec<Happening>,
    ) {
        self.unkept = true;
        let status = &mut self.record.status;
        let (before, since) = (status.state, status.since_ms);
        let (kind, detail) = match (before, state) {
            (_, DeviceState::Offline) => {
                ("offline", serde_json::json!({"last_seen_ms": status.last_seen_ms}))
            }
            (DeviceState::Offline | DeviceState::New, _) => {
                if before == DeviceState::Offline {
                    self.back_ms = now;
                }
                let offline_ms = since.filter(|_| before == DeviceState::Offline).map(|s| now - s);
                ("online", serde_json::json!({"offline_ms": offline_ms, "reason": reason}))
            }
            (_, DeviceState::Degraded) => ("degraded", serde_json::json!({"reason": reason})),
            _ => ("recovered", serde_json::json!({"reason": status.reason})),
        };
        happenings.push(Happening { device: Some(self.record.id), t_ms: now, kind, detail });
        // Somebody who sees "offline since" wants to know since when nothing came.
        status.since_ms =
            Some(if state == DeviceState::Offline { status.last_seen_ms.unwrap_or(now) } else { now });
        status.state = state;
        status.reason = reason;
    }

    fn status_to_keep(&self) -> DeviceStatus {
        DeviceStatus { interval_ms: Some(self.interval.ms()), ..self.record.status.clone() }
    }

    fn view(&self, dictionary: &Dictionary) -> DeviceView {
        let status = &self.record.status;
        let mut latest: Vec<(Arc<str>, f64)> =
            self.latest.iter().filter_map(|(m, (_, v))| dictionary.name(*m).map(|n| (n, *v))).collect();
        latest.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let pairs =
            |map: &BTreeMap<String, String>| map.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        DeviceView {
            id: self.record.id,
            profile: self.record.profile.clone(),
            created_ms: self.record.created_ms,
            state: status.state,
            reason: status.reason.clone(),
            since_ms: status.since_ms,
            last_seen_ms: status.last_seen_ms,
            interval_ms: self.interval.ms(),
            agent_version: status.agent_version.clone(),
            facts: pairs(&status.facts),
            states: pairs(&status.states),
            latest_ms: self.latest_ms,
            latest,
        }
    }
}

fn merge(known: &mut BTreeMap<String, String>, said: &[(String, String)]) {
    for (name, value) in said {
        if known.len() < FACTS_MAX || known.contains_key(name) {
            known.insert(name.clone(), value.clone());
        }
    }
}
