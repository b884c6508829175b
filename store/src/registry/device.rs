//! One device in memory: what a report changes in it, and when its state becomes another.

use super::{DeviceRecord, DeviceStatus, FACTS_MAX, Happening};
use crate::filled::{CLOCK_OFFSET_METRIC, CLOCK_STATE, Filled, Times, filled};
use crate::metrics::Dictionary;
use crate::presence::{self, Interval};
use crate::spark::{SPARK_METRIC, Spark};
use crate::tail::StoredBatch;
use crate::types::{Kind, Timestamp};
use crate::{DeviceState, DeviceView};
use foldhash::fast::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A device in memory.
pub struct Device {
    pub(super) record: DeviceRecord,
    pub(super) interval: Interval,
    pub(super) series: HashMap<u32, Series, RandomState>,
    pub(super) latest_ms: Option<Timestamp>,
    /// When a row came that was newer than all before.
    pub(super) advanced_ms: Timestamp,
    /// When it was heard again after it had been offline.
    pub(super) back_ms: Timestamp,
    pub(super) spark: Spark,
    pub(super) watched_until: Timestamp,
    pub(super) version: u64,
    /// The status has changed since it was last kept.
    pub(super) unkept: bool,
}

/// A metric of a device.
pub struct Series {
    pub(super) kind: Kind,
    /// The newest value, when one is known.
    pub(super) latest: Option<(Timestamp, f64)>,
}

impl Series {
    pub(super) fn new(kind: Kind) -> Series {
        Series { kind, latest: None }
    }

    fn note(&mut self, t: Timestamp, value: f64) {
        if self.latest.is_none_or(|latest| t >= latest.0) {
            self.latest = Some((t, value));
        }
    }
}

/// Numbers of the metrics that mean something here; `None`: nobody has sent one yet.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    spark: Option<u32>,
    clock_offset: Option<u32>,
}

impl Names {
    pub(super) fn of(dictionary: &Dictionary) -> Names {
        let found = dictionary.numbers([SPARK_METRIC, CLOCK_OFFSET_METRIC].into_iter());
        Names { spark: found[0], clock_offset: found[1] }
    }
}

impl Device {
    pub(super) fn of(record: DeviceRecord) -> Device {
        Device {
            interval: Interval::restored(record.status.interval_ms),
            record,
            series: HashMap::default(),
            latest_ms: None,
            advanced_ms: Timestamp::MIN,
            back_ms: Timestamp::MIN,
            spark: Spark::default(),
            watched_until: Timestamp::MIN,
            version: 0,
            unkept: false,
        }
    }

    /// Also says which of the rows arrived much later than their time.
    pub(super) fn apply(
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
        let offset = names.clock_offset.and_then(|metric| self.series.get(&metric)?.latest);
        let offset_ms = offset.filter(|_| !clock_is_right).map_or(0, |(_, ms)| ms as i64);
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
        let times = Times { added_ms: self.record.created_ms, heard_from_ms, offset_ms };
        filled(batch.device, &batch.t_ms, now, self.interval.ms(), times)
    }

    /// What a batch says, without judging it.
    pub(super) fn note(&mut self, batch: &StoredBatch, names: Names) {
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
            let newest = last
                .filter(|&i| column.present.has(i))
                .or_else(|| (0..times.len()).filter(|&i| column.present.has(i)).max_by_key(|&i| times[i]));
            let series = self.series.entry(column.metric).or_insert(Series::new(column.kind));
            series.kind = column.kind;
            if let Some(i) = newest {
                series.note(times[i], column.values[i]);
                self.latest_ms = self.latest_ms.max(Some(times[i]));
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

    /// A value of a metric that it has.
    pub(super) fn note_value(&mut self, metric: u32, t: Timestamp, value: f64) {
        if let Some(series) = self.series.get_mut(&metric) {
            series.note(t, value);
            self.latest_ms = self.latest_ms.max(Some(t));
        }
    }

    pub(super) fn enter(
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

    pub(super) fn status_to_keep(&self) -> DeviceStatus {
        DeviceStatus { interval_ms: Some(self.interval.ms()), ..self.record.status.clone() }
    }

    pub(super) fn view(&self, dictionary: &Dictionary) -> DeviceView {
        let status = &self.record.status;
        let mut latest: Vec<(Arc<str>, f64)> =
            self.series.iter().filter_map(|(m, s)| Some((dictionary.name(*m)?, s.latest?.1))).collect();
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
