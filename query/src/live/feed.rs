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
mod tests {
    use serde_json::{Value, json};
    use store::{DeviceProfile, DeviceState, Level, LogLine};

    use super::*;

    fn view(id: u32, latest_ms: i64, cpu: f64) -> DeviceView {
        DeviceView {
            id: DeviceId(id),
            profile: DeviceProfile { name: format!("d{id}"), ..DeviceProfile::default() },
            created_ms: 0,
            state: DeviceState::Online,
            reason: None,
            since_ms: Some(1),
            last_seen_ms: Some(latest_ms),
            interval_ms: 1_000,
            agent_version: None,
            facts: Vec::new(),
            states: Vec::new(),
            latest_ms: Some(latest_ms),
            latest: vec![("cpu_percent".into(), cpu), ("disk_used".into(), 7.0), ("load1".into(), 0.5)],
        }
    }

    fn log(id: i64, device: u32) -> LogEntry {
        let (source, message) = ("gateway".to_string(), format!("line {id}"));
        LogEntry {
            id,
            device: DeviceId(device),
            group: 7,
            line: LogLine { t_ms: id, level: Level::Error, source, message },
        }
    }

    fn feed(subscription: Value) -> Feed {
        Feed::new(serde_json::from_value::<Subscribe>(subscription).unwrap().subscribe).unwrap()
    }

    fn begun(subscription: Value) -> Feed {
        let mut feed = feed(subscription);
        let views = vec![view(1, 10, 1.0), view(2, 10, 2.0)];
        feed.snapshot(&Now { version: 5, t_ms: 10, views, logs: vec![log(3, 1)] }, &Names::new()).unwrap();
        feed
    }

    fn changes(devices: Vec<DeviceView>, logs: Vec<LogEntry>, devices_edited: bool) -> Changes {
        Changes { version: 9, devices_edited, devices, logs }
    }

    /// What a client is told, without the times.
    #[track_caller]
    fn check(feed: &mut Feed, changes: &Changes, expected: Value) {
        let names = Names::from([(DeviceId(1), Some("d1".to_string()))]);
        let got = feed.update(11, changes, &names, |_| true).map(|text| {
            let update: Value = serde_json::from_str(&text.unwrap()).unwrap();
            let states: Vec<&String> = update["states"].as_object().unwrap().keys().collect();
            let logs: Vec<&Value> = update["logs"].as_array().unwrap().iter().map(|log| &log["id"]).collect();
            json!({ "rows": update["rows"], "states": states, "logs": logs, "edited": update["devices_changed"] })
        });
        assert_eq!(got.unwrap_or(Value::Null), expected);
        assert_eq!(feed.version(), 9);
    }

    #[test]
    fn a_snapshot_holds_what_is_wanted() {
        let mut feed = feed(json!({"subscribe": {"devices": [1, 9], "metrics": ["cpu_percent", "disk*"]}}));
        let now = Now {
            version: 5,
            t_ms: 10,
            views: vec![view(1, 10, 1.5), view(2, 10, 2.0)],
            logs: vec![log(3, 1), log(2, 2)],
        };
        let names = Names::from([(DeviceId(1), Some("<script>".to_string()))]);
        let text = feed.snapshot(&now, &names).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            json!({"snapshot": {
                "t_ms": 10,
                "rows": {"1": {"cpu_percent": 1.5, "disk_used": 7}},
                "states": {"1": {"state": "online", "reason": null, "since_ms": 1, "last_seen_ms": 10, "latest_ms": 10}},
                "logs": [{"id": 3, "device": 1, "device_name": "<script>", "t_ms": 3, "level": "error",
                    "source": "gateway", "message": "line 3", "group": "0000000000000007"}]
            }})
        );
        assert_eq!(feed.version(), 5);
    }

    #[test]
    fn only_what_changed_is_told() {
        let mut feed = begun(json!({"subscribe": {"devices": "all", "metrics": ["cpu_percent"]}}));
        // Device 2 changed its state but sent no row.
        let told =
            changes(vec![view(1, 11, 1.0), view(2, 10, 2.0)], vec![log(3, 1), log(4, 1), log(5, 2)], false);
        check(
            &mut feed,
            &told,
            json!({"rows": {"1": {"cpu_percent": 1}}, "states": ["1", "2"], "logs": [5, 4], "edited": null}),
        );
        check(&mut feed, &changes(vec![], vec![log(5, 2)], false), Value::Null);
        check(
            &mut feed,
            &changes(vec![], vec![], true),
            json!({"rows": {}, "states": [], "logs": [], "edited": true}),
        );
    }

    #[test]
    fn what_was_not_asked_for_is_not_told() {
        let mut feed = begun(json!({"subscribe": {"devices": [1], "metrics": null, "focus": true}}));
        check(&mut feed, &changes(vec![view(2, 11, 3.0)], vec![log(4, 2)], false), Value::Null);
        let one = json!({"cpu_percent": 3, "disk_used": 7, "load1": 0.5});
        check(
            &mut feed,
            &changes(vec![view(1, 12, 3.0)], vec![], false),
            json!({"rows": {"1": one}, "states": ["1"], "logs": [], "edited": null}),
        );
    }

    #[test]
    fn a_deleted_device_is_forgotten() {
        let mut feed = begun(json!({"subscribe": {"devices": "all"}}));
        assert_eq!(feed.sent.len(), 2);
        feed.update(11, &changes(vec![], vec![], true), &Names::new(), |id| id == DeviceId(1))
            .unwrap()
            .unwrap();
        assert_eq!(feed.sent.len(), 1);
    }

    #[test]
    fn focus_is_on_one_device_alone() {
        let focused = |devices: Value| feed(json!({"subscribe": {"devices": devices, "focus": true}}));
        assert_eq!(
            (focused(json!([7])).focus(), focused(json!([7])).joined()),
            (Some(DeviceId(7)), JOINED_IN_FOCUS)
        );
        assert_eq!((focused(json!([7, 8])).focus(), focused(json!([7, 8])).joined()), (None, JOINED));
        assert_eq!(focused(json!("all")).focus(), None);
        assert_eq!(feed(json!({"subscribe": {"devices": [7]}})).focus(), None);
    }

    #[test]
    fn an_odd_subscription_is_refused() {
        for odd in [
            json!({"subscribe": {"devices": "some"}}),
            json!({"subscribe": {"devices": [-1]}}),
            json!({"subscribe": {}}),
            json!({"subscribe": {"devices": [], "what": 1}}),
            json!({"unsubscribe": {}}),
            json!([]),
        ] {
            assert!(serde_json::from_value::<Subscribe>(odd.clone()).is_err(), "{odd}");
        }
        let many: Vec<String> = (0..257).map(|n| format!("m{n}")).collect();
        let many: Subscribe =
            serde_json::from_value(json!({"subscribe": {"devices": "all", "metrics": many}})).unwrap();
        assert!(Feed::new(many.subscribe).is_err());
    }
}
