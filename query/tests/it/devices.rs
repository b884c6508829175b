//! The life of a device, as its owner sees it.

use serde_json::{Value, json};
use store::Level;

use crate::server::{START_MS, Server, logs};

#[tokio::test]
async fn a_device_is_added_seen_edited_and_deleted() {
    let (server, admin) = Server::signed_in().await;
    let new = json!({"name": "nas", "device_type": "nas", "tags": ["home"], "notes": "in the cellar"});
    let added = admin.send("POST", "/api/v1/devices", &new).await.expect(201);
    let key = added["api_key"].as_str().unwrap();
    assert!(key.starts_with("ocw_") && key.len() == 68, "{key}");
    let linux = added["install"]["linux"].as_str().unwrap();
    assert!(linux.contains("'http://127.0.0.1:38889'") && linux.contains(key), "{linux}");
    let nothing = json!({"tokens": 0, "cost_usd": 0, "basis": []});
    assert_eq!(
        added["device"],
        json!({"id": 1, "name": "nas", "device_type": "nas", "tags": ["home"], "notes": "in the cellar",
            "state": "new", "reason": null, "since_ms": null, "created_ms": START_MS, "last_seen_ms": null,
            "interval_s": 30, "agent_version": null, "facts": {}, "states": {}, "latest_ms": null, "latest": {},
            "tokens_today": 0,
            "usage": {"today": nothing, "yesterday": nothing, "month": nothing, "total": nothing}})
    );

    server.report(1, START_MS, &[("cpu_percent", 12.5), ("disk_used{mount=\"/data\"}", 1.0)]).await;
    let device = admin.get("/api/v1/devices/1").await.expect(200)["device"].clone();
    assert_eq!(device["state"], "online");
    assert_eq!(device["latest"], json!({"cpu_percent": 12.5, "disk_used{mount=\"/data\"}": 1}));
    assert_eq!(device["states"], json!({"gateway": "running"}));
    assert_eq!(device["last_seen_ms"], START_MS);

    let edit = json!({"name": "vault", "tags": ["home", "big"]});
    let edited = admin.send("PATCH", "/api/v1/devices/1", &edit).await.expect(200)["device"].clone();
    assert_eq!((&edited["name"], &edited["notes"]), (&json!("vault"), &json!("in the cellar")));
    assert_eq!(edited["tags"], json!(["home", "big"]));

    server.log(1, START_MS, Level::Error, "oops").await;
    admin.until("/api/v1/logs", logs(1)).await;
    let deleted = admin.send("DELETE", "/api/v1/devices/1", &Value::Null).await.expect(200);
    assert!(deleted["deleted"]["events"].as_u64().is_some_and(|events| events > 0), "{deleted}");
    assert_eq!(deleted["deleted"]["logs"], 1);
    admin.until("/api/v1/logs", logs(0)).await;
    assert_eq!(admin.get("/api/v1/devices/1").await.error(), (404, "not_found".into(), None));
    assert_eq!(admin.get("/api/v1/devices").await.expect(200)["devices"], json!([]));
    assert_eq!(admin.send("DELETE", "/api/v1/devices/1", &Value::Null).await.status, 404);
}

#[tokio::test]
async fn the_key_is_shown_once_and_the_old_one_stops() {
    let (server, admin) = Server::signed_in().await;
    let (id, key) = admin.add_device("nas").await;
    let rotated =
        admin.send("POST", &format!("/api/v1/devices/{id}/rotate-key"), &Value::Null).await.expect(200);
    let new = rotated["api_key"].as_str().unwrap();
    assert_ne!(new, key);
    assert!(rotated["install"]["windows"].as_str().unwrap().contains(new));
    for path in ["/api/v1/devices", "/api/v1/devices/1", "/api/v1/events", "/api/v1/storage"] {
        let text = admin.get(path).await.text().to_string();
        assert!(!text.contains("ocw_") && !text.contains(&key[4..]) && !text.contains(&new[4..]), "{text}");
    }
    let kinds =
        |page: &Value| page["events"].as_array().unwrap().iter().any(|event| event["kind"] == "key_rotated");
    admin.until("/api/v1/events?device=1", kinds).await;
    assert_eq!(admin.send("POST", "/api/v1/devices/7/rotate-key", &Value::Null).await.status, 404);
    drop(server);
}

#[tokio::test]
async fn two_devices_cannot_have_one_name() {
    let (_server, admin) = Server::signed_in().await;
    admin.add_device("nas").await;
    admin.add_device("vps").await;
    let taken = (409, "conflict".to_string(), Some("name".to_string()));
    assert_eq!(admin.send("POST", "/api/v1/devices", &json!({"name": "nas"})).await.error(), taken);
    assert_eq!(admin.send("PATCH", "/api/v1/devices/2", &json!({"name": "nas"})).await.error(), taken);
    admin.send("PATCH", "/api/v1/devices/2", &json!({"name": "vps"})).await.expect(200);
}

#[tokio::test]
async fn hostile_names_are_text_everywhere() {
    let (server, admin) = Server::signed_in().await;
    let name = "<img src=x onerror=alert(1)>\"'&\u{202e}";
    let (id, _) = admin.add_device(name).await;
    server.log(id, START_MS, Level::Error, "</script><script>alert(2)</script>\n\u{1b}[31m").await;
    let list = admin.get("/api/v1/devices").await;
    assert_eq!(list.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(list.expect(200)["devices"][0]["name"], name);
    let log = admin.until("/api/v1/logs", logs(1)).await["logs"][0].clone();
    assert_eq!(log["device_name"], name);
    assert_eq!(log["message"], "</script><script>alert(2)</script>\n\u{1b}[31m");
}

#[tokio::test]
async fn the_list_is_filtered() {
    let (server, admin) = Server::signed_in().await;
    for (name, tags) in [("a", json!(["home"])), ("b", json!(["home", "big"])), ("c", json!([]))] {
        admin.send("POST", "/api/v1/devices", &json!({"name": name, "tags": tags})).await.expect(201);
    }
    server.report(2, START_MS, &[("load1", 1.0)]).await;
    let names = async |query: &str| {
        let list = admin.get(&format!("/api/v1/devices{query}")).await.expect(200);
        let name = |device: &Value| device["name"].as_str().unwrap().to_string();
        list["devices"].as_array().unwrap().iter().map(name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names("").await, "a b c");
    assert_eq!(names("?tag=home").await, "a b");
    assert_eq!(names("?tag=home&state=online").await, "b");
    assert_eq!(names("?state=new&tag=").await, "a c");
    assert_eq!(names("?tag=nothing").await, "");
    let refused = |query: &str, field: &str| (format!("/api/v1/devices{query}"), Some(field.to_string()));
    for (path, field) in
        [refused("?state=on", "state"), refused("?tags=x", "tags"), refused("?tz=Mars", "tz")]
    {
        assert_eq!(admin.get(&path).await.error(), (422, "invalid".into(), field));
    }
}

#[tokio::test]
async fn an_odd_device_number_is_no_device() {
    let (_server, admin) = Server::signed_in().await;
    admin.add_device("nas").await;
    for id in ["0", "2", "01", "+1", "-1", "1.0", "x", "99999999999", "%31%20"] {
        assert_eq!(
            admin.get(&format!("/api/v1/devices/{id}")).await.error(),
            (404, "not_found".into(), None),
            "{id}"
        );
    }
}

#[tokio::test]
async fn commands_name_the_server_as_it_is_configured() {
    let server = Server::with(|options| options.ingest_url = Some("https://in.watch.example".into())).await;
    let admin = server.set_up().await;
    let added = admin.send("POST", "/api/v1/devices", &json!({"name": "nas"})).await.expect(201);
    assert!(added["install"]["macos"].as_str().unwrap().contains("'https://in.watch.example'"));
}
