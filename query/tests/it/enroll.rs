//! One-time codes, as people make them.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::server::{START_MS, Server};

#[tokio::test]
async fn a_code_is_made_used_and_withdrawn() {
    let (server, admin) = Server::signed_in().await;
    let body = json!({"device_type": "nas", "tags": ["home"]});
    let made = admin.send("POST", "/api/v1/enroll-codes", &body).await.expect(201);
    let code = made["code"].as_str().unwrap();
    assert_eq!(made["enroll_code"]["expires_ms"], START_MS + 3_600_000);
    let linux = made["install"]["linux"].as_str().unwrap();
    let command = format!("curl -fsSL 'http://127.0.0.1:38889/install.sh' | sh -s -- '{code}'");
    assert!(linux.starts_with(&command), "{linux}");

    let plain = store::plain_enroll_code(code).unwrap();
    let enroll = |hash: [u8; 32]| server.store.enroll(hash, "box", [5; 32], START_MS).unwrap();
    let device = enroll(Sha256::digest(plain.as_bytes()).into()).unwrap();
    let list = admin.get("/api/v1/enroll-codes").await;
    assert!(!list.text().contains(code) && !list.text().contains(&plain), "{}", list.text());
    let used = list.expect(200)["enroll_codes"][0].clone();
    assert_eq!((&used["used_ms"], &used["device"]), (&json!(START_MS), &json!(device.0)));
    let seen = admin.get(&format!("/api/v1/devices/{}", device.0)).await.expect(200)["device"].clone();
    assert_eq!((&seen["name"], &seen["tags"]), (&json!("box"), &json!(["home"])));

    let second = admin.send("POST", "/api/v1/enroll-codes", &json!({"name": "vps"})).await.expect(201);
    let path = format!("/api/v1/enroll-codes/{}", second["enroll_code"]["id"]);
    assert_eq!(admin.send("DELETE", &path, &Value::Null).await.status, 204);
    assert_eq!(admin.send("DELETE", &path, &Value::Null).await.status, 404);
    let wrong = admin.send("POST", "/api/v1/enroll-codes", &json!({"device_type": "toaster"})).await;
    assert_eq!(wrong.error(), (422, "invalid".into(), Some("device_type".into())));
}
