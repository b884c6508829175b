//! One-time codes: a code becomes a device, and guessing is held up.

use std::num::NonZeroU32;

use ingest::Rate;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::DeviceProfile;

use crate::JSON;
use crate::rig::{NOW, Rig, report_of};

#[tokio::test]
async fn a_one_time_code_becomes_a_device_with_a_key_of_its_own() {
    let rig = Rig::start().await;
    let code_hash = Sha256::digest(b"01ABCDEFGHJKMNPQ").into();
    rig.store.add_enroll_code(code_hash, DeviceProfile::default(), NOW).unwrap();
    let enroll = async |body: Value| rig.post("/api/v1/enroll", JSON, body.to_string().as_bytes()).await;
    let wrong =
        enroll(json!({"code": "01AB-CDEF-GHJK-MNPR", "name": "box", "platform": "linux/x86_64"})).await;
    assert_eq!((wrong.status, &wrong.json()["error"]["code"]), (401, &json!("unauthorized")));
    let nameless = enroll(json!({"code": "01AB-CDEF-GHJK-MNPQ", "name": " "})).await;
    assert_eq!((nameless.status, &nameless.json()["error"]["field"]), (422, &json!("name")));

    // As a person may have typed it.
    let made = enroll(json!({"code": "oiab cdef-ghjkmnpq", "name": "box", "platform": "linux/x86_64"})).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let key = made.json()["api_key"].as_str().unwrap().to_string();
    assert!(key.starts_with("ocw_") && key.len() == 68, "{key}");
    let device = rig.store.devices().pop().unwrap();
    assert_eq!(
        (device.profile.name.as_str(), made.json()["device_id"].as_u64()),
        ("box", Some(device.id.0.into()))
    );
    let headers = format!("{JSON}authorization: Bearer {key}\r\n");
    let report = report_of(NOW, "cpu_percent", 1.0).to_string();
    assert_eq!(rig.post("/api/v1/report", &headers, report.as_bytes()).await.status, 200);

    let again = enroll(json!({"code": "01AB-CDEF-GHJK-MNPQ", "name": "nas"})).await;
    assert_eq!((again.status, again.body), (401, wrong.body));
}

#[tokio::test]
async fn whoever_guesses_codes_is_held_up() {
    let burst = NonZeroU32::new(2).unwrap();
    let rig = Rig::with(|options| options.enrolling = Rate { per_second: 0.1, burst }).await;
    let guess = json!({"code": "01AB-CDEF-GHJK-MNPQ", "name": "x"}).to_string();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(rig.post("/api/v1/enroll", JSON, guess.as_bytes()).await.status);
    }
    assert_eq!(statuses, [401, 401, 429, 429]);
    let refused = rig.post("/api/v1/enroll", JSON, guess.as_bytes()).await;
    assert_eq!(refused.header("retry-after"), Some("10"));
    // Devices that report are not concerned.
    assert_eq!(rig.report(&report_of(NOW, "cpu_percent", 1.0)).await.status, 200);
}
