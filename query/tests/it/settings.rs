//! Settings and storage, as people and scripts ask for them.

use serde_json::{Value, json};

use crate::server::{START_MS, Server};

fn kept(settings: &Value, kind: &str) -> Value {
    let all = settings["retention"].as_array().unwrap();
    all.iter().find(|kept| kept["kind"] == kind).unwrap().clone()
}

#[tokio::test]
async fn settings_are_chosen_taken_back_and_in_force_at_once() {
    let (server, admin) = Server::signed_in().await;
    let before = admin.get("/api/v1/settings").await.expect(200);
    assert_eq!((&before["time_zone"], &before["time_zone_chosen"]), (&json!("UTC"), &json!(false)));
    assert_eq!(kept(&before, "raw")["keep_days"], 30);

    let choice =
        json!({"time_zone": "Asia/Shanghai", "retention": {"raw": {"days": 60, "bytes": 5_000_000}}});
    let after = admin.send("PATCH", "/api/v1/settings", &choice).await.expect(200);
    let raw = kept(&after, "raw");
    assert_eq!(
        (&raw["keep_days"], &raw["keep_bytes"], &raw["default_days"]),
        (&json!(60), &json!(5_000_000), &json!(30))
    );
    assert_eq!(server.store.retention().raw.age_ms, 60 * 24 * 3_600_000);
    // The days of a question that names no zone are those of the settings.
    assert_eq!(admin.get("/api/v1/usage").await.expect(200)["tz"], "Asia/Shanghai");
    assert_eq!(admin.get("/api/v1/usage?tz=UTC").await.expect(200)["tz"], "UTC");
    let events = admin.get("/api/v1/events").await.expect(200);
    assert_eq!(events["events"][0]["kind"], "settings_changed");
    admin.send("PATCH", "/api/v1/settings", &json!({"retention": {"raw": {}}})).await.expect(200);
    assert_eq!(admin.get("/api/v1/events").await.expect(200), events, "nothing was chosen");

    let back = json!({"time_zone": null, "retention": {"raw": {"days": null, "bytes": null}}});
    let again = admin.send("PATCH", "/api/v1/settings", &back).await.expect(200);
    assert_eq!(again, before);
    let wrong = admin.send("PATCH", "/api/v1/settings", &json!({"retention": {"raw": {"days": 0}}})).await;
    assert_eq!(wrong.error(), (422, "invalid".into(), Some("retention.raw.days".into())));
}

#[tokio::test]
async fn storage_says_what_a_day_costs() {
    let (server, admin) = Server::signed_in().await;
    admin.add_device("nas").await;
    for hour in 0..10 {
        let t_ms = START_MS - hour * 3_600_000;
        server.report(1, t_ms, &[("cpu_percent", hour as f64), ("load1", 1.5)]).await;
    }
    let store = server.store.clone();
    tokio::task::spawn_blocking(move || store.seal().unwrap()).await.unwrap();
    let storage = admin.get("/api/v1/storage").await.expect(200);
    let raw = &storage["tiers"][0];
    let bytes = raw["bytes"].as_u64().unwrap();
    assert_eq!((&raw["samples"], &raw["oldest_ms"]), (&json!(20), &json!(START_MS - 9 * 3_600_000)));
    assert_eq!(raw["bytes_per_sample"], storage["bytes_per_sample"]);
    let per_day = bytes * 24 / 9;
    assert_eq!((raw["bytes_per_day"].as_u64(), raw["keep_days"].as_i64()), (Some(per_day), Some(30)));
    assert!(
        raw["forecast_bytes"].as_u64().is_some_and(|forecast| forecast.abs_diff(per_day * 30) < 60),
        "{raw}"
    );
    assert!(storage["forecast_bytes"].as_u64() > raw["forecast_bytes"].as_u64(), "{storage}");
    let settings = admin.get("/api/v1/settings").await.expect(200);
    assert_eq!(kept(&settings, "raw")["bytes_per_day"], raw["bytes_per_day"]);
}
