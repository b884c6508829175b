//! Log lines by text and in groups, as people and scripts ask for them.

use serde_json::json;
use store::Level;

use crate::server::{START_MS, Server, logs};

#[tokio::test]
async fn lines_are_found_by_text_and_counted_in_groups() {
    let (server, admin) = Server::signed_in().await;
    admin.add_device("nas").await;
    admin.add_device("vps").await;
    server.log(1, START_MS, Level::Error, "request 17 failed").await;
    server.log(2, START_MS + 1, Level::Warn, "request 18 failed").await;
    server.log(2, START_MS + 2, Level::Error, "网关崩溃了").await;
    admin.until("/api/v1/logs", logs(3)).await;

    let groups = admin.get("/api/v1/logs/groups").await.expect(200);
    assert_eq!((&groups["groups_total"], &groups["lines_total"]), (&json!(2), &json!(3)));
    let id = groups["groups"][0]["id"].as_str().unwrap();
    assert_eq!(
        groups["groups"][0],
        json!({"id": id, "source": "gateway", "template": "request <num> failed", "count": 2,
            "first_ms": START_MS, "last_ms": START_MS + 1, "level": "error", "devices_total": 2,
            "devices": [{"device": 1, "device_name": "nas", "count": 1}, {"device": 2, "device_name": "vps", "count": 1}],
            "example": "request 18 failed"})
    );
    let lines = admin.get(&format!("/api/v1/logs?group={id}")).await.expect(200);
    assert_eq!(
        (&lines["logs"][0]["message"], &lines["logs"][0]["group"]),
        (&json!("request 18 failed"), &json!(id))
    );
    assert_eq!(lines["logs"].as_array().unwrap().len(), 2);

    for (query, count) in [
        ("q=quest+18", 1),
        ("q=%E7%BD%91%E5%85%B3%E5%B4%A9", 1),
        ("q=%E5%B4%A9", 1),
        ("q=17", 1),
        ("q=FAILED&device=2", 1),
        ("q=nowhere", 0),
    ] {
        let found = admin.get(&format!("/api/v1/logs?{query}")).await.expect(200);
        assert_eq!(found["logs"].as_array().unwrap().len(), count, "{query}");
        let groups = admin.get(&format!("/api/v1/logs/groups?{query}")).await.expect(200);
        assert_eq!(groups["lines_total"], count, "{query}");
    }
    let query = format!("level=warn&from_ms={START_MS}&to_ms={}&points=3", START_MS + 3);
    let counted = admin.get(&format!("/api/v1/logs/counts?{query}")).await.expect(200);
    assert_eq!(counted, json!({"from_ms": START_MS, "step_ms": 1, "counts": [1, 1, 1]}));
    let counted = admin.get(&format!("/api/v1/logs/counts?{query}&device=2")).await.expect(200);
    assert_eq!(counted["counts"], json!([0, 1, 1]));
    for (query, field) in
        [("logs?group=17", "group"), ("logs/groups?before=1.1", "before"), ("logs/groups?group=x", "group")]
    {
        let error = admin.get(&format!("/api/v1/{query}")).await.error();
        assert_eq!(error, (422, "invalid".into(), Some(field.into())));
    }
}
