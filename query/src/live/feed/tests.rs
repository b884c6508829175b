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
    feed.update(11, &changes(vec![], vec![], true), &Names::new(), |id| id == DeviceId(1)).unwrap().unwrap();
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
