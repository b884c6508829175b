//! What one client is told: its subscription, and what of the store's changes concerns it. No I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use store::{Changes, DeviceId, DeviceView, LogEntry, Timestamp};
use utoipa::ToSchema;

use crate::lists::name;
use crate::model::{LogBody, Number};

/// Shortest time between two messages.
const JOINED: Duration = Duration::from_secs(1);
/// The same with one device in focus.
const JOINED_IN_FOCUS: Duration = Duration::from_millis(50);
/// Metrics of a subscription.
const METRICS_MAX: usize = 256;
/// Log lines in a snapshot.
pub(super) const SNAPSHOT_LOGS: u32 = 100;

/// What a client sends, as often as it likes; the last one counts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subscribe {
    pub(super) subscribe: Subscription,
}

/// What a client wants to be told.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscription {
    devices: Devices,
    /// Names of metrics; one that ends in `*` means all that begin so; `null`: all.
    #[serde(default)]
    metrics: Option<Vec<String>>,
    /// With one device: up to 20 messages a second, and the device is asked to report live.
    #[serde(default)]
    focus: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
enum Devices {
    Every(Every),
    Some(BTreeSet<u32>),
}

#[derive(Debug, Deserialize, ToSchema)]
enum Every {
    #[serde(rename = "all")]
    All,
}

/// The first answer to a subscription: how everything is now.
#[derive(Serialize, ToSchema)]
pub(crate) struct Snapshot<'a> {
    snapshot: Update<'a>,
}

/// What changed. Only what did is in it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Update<'a> {
    /// The server's clock.
    t_ms: Timestamp,
    /// Newest value of each metric, by device.
    #[schema(value_type = BTreeMap<String, BTreeMap<String, f64>>)]
    rows: BTreeMap<u32, Row<'a>>,
    /// By device.
    #[schema(value_type = BTreeMap<String, LiveState>)]
    states: BTreeMap<u32, LiveState<'a>>,
    /// Newest first.
    logs: Vec<LogBody<'a>>,
    /// The list of devices was edited: fetch it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    devices_changed: Option<bool>,
}

#[derive(Serialize, ToSchema)]
struct LiveState<'a> {
    state: &'static str,
    reason: Option<&'a str>,
    since_ms: Option<Timestamp>,
    last_seen_ms: Option<Timestamp>,
    latest_ms: Option<Timestamp>,
}

/// The wanted ones of a device's newest values.
struct Row<'a> {
    latest: &'a [(Arc<str>, f64)],
    wanted: &'a Subscription,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (metric, value) in self.latest.iter().filter(|(metric, _)| self.wanted.wants_metric(metric)) {
            map.serialize_entry(&**metric, &Number(*value))?;
        }
        map.end()
    }
}

impl Subscription {
    fn wants_device(&self, id: DeviceId) -> bool {
        match &self.devices {
            Devices::Every(Every::All) => true,
            Devices::Some(ids) => ids.contains(&id.0),
        }
    }

    fn wants_metric(&self, metric: &str) -> bool {
        let Some(wanted) = &self.metrics else { return true };
        wanted.iter().any(|name| match name.strip_suffix('*') {
            Some(beginning) => metric.starts_with(beginning),
            None => metric == name,
        })
    }

    /// The device this client looks at, if it is one alone.
    fn focus(&self) -> Option<DeviceId> {
        match &self.devices {
            Devices::Some(ids) if self.focus && ids.len() == 1 => ids.first().copied().map(DeviceId),
            _ => None,
        }
    }
}

/// One client's subscription and what it was told last.
pub(super) struct Feed {
    wanted: Subscription,
    /// To ask the store with next.
    version: u64,
    /// What was sent of each device's row, as a hash; one entry a device of the fleet at most.
    sent: HashMap<DeviceId, u64>,
    /// Number of the newest log line that was sent or seen.
    last_log: i64,
}

/// How the store was when a client subscribed.
pub(super) struct Now {
    /// Taken before the rest, so that nothing falls between this and the first update.
    pub(super) version: u64,
    pub(super) t_ms: Timestamp,
    pub(super) views: Vec<DeviceView>,
    /// Newest first.
    pub(super) logs: Vec<LogEntry>,
}

/// Names of devices, for log lines.
pub(super) type Names = HashMap<DeviceId, Option<String>>;

impl Feed {
    /// Checks a subscription; the error is one sentence for its author.
    pub(super) fn new(wanted: Subscription) -> Result<Feed, String> {
        if wanted.metrics.as_ref().is_some_and(|metrics| metrics.len() > METRICS_MAX) {
            return Err(format!("A subscription has {METRICS_MAX} metrics at most."));
        }
        Ok(Feed { wanted, version: 0, sent: HashMap::new(), last_log: 0 })
    }

    /// Shortest time between two messages.
    pub(super) fn joined(&self) -> Duration {
        if self.wanted.focus().is_some() { JOINED_IN_FOCUS } else { JOINED }
    }

    /// See [`Subscription::focus`].
    pub(super) fn focus(&self) -> Option<DeviceId> {
        self.wanted.focus()
    }

    /// The only device wanted, to look up its log lines by.
    pub(super) fn only_device(&self) -> Option<DeviceId> {
        match &self.wanted.devices {
            Devices::Some(ids) if ids.len() == 1 => ids.first().copied().map(DeviceId),
            _ => None,
        }
    }

    /// To ask the store with.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The snapshot, and from here on only changes after it.
    pub(super) fn snapshot(&mut self, now: &Now, names: &Names) -> serde_json::Result<String> {
        self.version = now.version;
        self.sent.clear();
        self.last_log = now.logs.iter().map(|entry| entry.id).max().unwrap_or(self.last_log);
        let views: Vec<&DeviceView> =
            now.views.iter().filter(|view| self.wanted.wants_device(view.id)).collect();
        for view in &views {
            self.sent.insert(view.id, fingerprint(view));
        }
        let logs = now.logs.iter().filter(|entry| self.wanted.wants_device(entry.device));
        serde_json::to_string(&Snapshot {
            snapshot: Update {
                t_ms: now.t_ms,
                rows: views.iter().map(|view| (view.id.0, self.row(view))).collect(),
                states: views.iter().map(|view| (view.id.0, state(view))).collect(),
                logs: logs.map(|entry| LogBody::of(entry, name(names, entry.device))).collect(),
                devices_changed: None,
            },
        })
    }

    /// What of `changes` concerns this client; `None`: nothing. `exists` tells which devices there still are.
    pub(super) fn update(
        &mut self,
        t_ms: Timestamp,
        changes: &Changes,
        names: &Names,
        exists: impl Fn(DeviceId) -> bool,
    ) -> Option<serde_json::Result<String>> {
        self.version = changes.version;
        if changes.devices_edited {
            self.sent.retain(|id, _| exists(*id));
        }
        let views: Vec<&DeviceView> =
            changes.devices.iter().filter(|view| self.wanted.wants_device(view.id)).collect();
        let moved: Vec<&DeviceView> = views
            .iter()
            .copied()
            .filter(|view| self.sent.insert(view.id, fingerprint(view)) != Some(fingerprint(view)))
            .collect();
        let last_log = self.last_log;
        let logs: Vec<LogBody> = changes
            .logs
            .iter()
            .rev()
            .filter(|entry| entry.id > last_log && self.wanted.wants_device(entry.device))
            .map(|entry| LogBody::of(entry, name(names, entry.device)))
            .collect();
        self.last_log = changes.logs.iter().map(|entry| entry.id).fold(last_log, i64::max);
        if views.is_empty() && logs.is_empty() && !changes.devices_edited {
            return None;
        }
        Some(serde_json::to_string(&Update {
            t_ms,
            rows: moved.iter().map(|view| (view.id.0, self.row(view))).collect(),
            states: views.iter().map(|view| (view.id.0, state(view))).collect(),
            logs,
            devices_changed: changes.devices_edited.then_some(true),
        }))
    }

    fn row<'a>(&'a self, view: &'a DeviceView) -> Row<'a> {
        Row { latest: &view.latest, wanted: &self.wanted }
    }
}

fn state(view: &DeviceView) -> LiveState<'_> {
    LiveState {
        state: view.state.as_str(),
        reason: view.reason.as_deref(),
        since_ms: view.since_ms,
        last_seen_ms: view.last_seen_ms,
        latest_ms: view.latest_ms,
    }
}

/// Differs when a device's row does. A row with the values of the one before but a newer time is another row.
fn fingerprint(view: &DeviceView) -> u64 {
    let mut hasher = DefaultHasher::new();
    view.latest_ms.hash(&mut hasher);
    for (metric, value) in &view.latest {
        metric.hash(&mut hasher);
        value.to_bits().hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
