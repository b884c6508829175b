//! The port against a real store: what is answered, and what is stored then.
#![allow(clippy::unwrap_used)]

mod enroll;
mod rig;

use std::io::Write;
use std::num::NonZeroU32;

use ingest::Rate;
use rig::{NOW, Rig, report_of};
use serde_json::{Value, json};
use store::{Health, Level};

const JSON: &str = "content-type: application/json\r\n";
const FRAME: &str = "content-type: application/vnd.openclaw-watch.frame\r\n";

#[tokio::test]
async fn a_json_report_is_stored_and_its_faults_are_named() {
    let rig = Rig::start().await;
    let body = json!({
        "agent": {"version": "0.1.0", "interval_s": 7},
        "facts": {"hostname": "nas", "cores": 8},
        "states": {"gateway": "running"},
        "counters": ["net_tx_bytes_total"],
        "rows": [
            {"t_ms": NOW, "v": {"cpu_percent": 12.5, "net_tx_bytes_total": 1000}},
            {"t_ms": NOW + 20 * 60_000, "v": {"cpu_percent": 1}},
            {"t_ms": NOW + 1000, "v": {"Bad Name": 1}},
            {"t_ms": NOW + 2000, "v": {"cpu_percent": 14.5}},
        ],
        "logs": [{"t_ms": NOW, "level": "error", "source": "gateway", "message": "it broke"}],
    });
    let answer = rig.report(&body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let ack = answer.json();
    assert_eq!((&ack["accepted"], &ack["rejected"]), (&json!(2), &json!(2)));
    assert_eq!((&ack["interval_s"], &ack["live"]), (&json!(7), &json!(false)));
    assert_eq!((&ack["faults"][0]["row"], &ack["faults"][0]["code"]), (&json!(1), &json!("invalid_time")));
    assert_eq!((&ack["faults"][1]["row"], &ack["faults"][1]["code"]), (&json!(2), &json!("invalid_name")));

    assert_eq!(rig.values("cpu_percent"), [(NOW, 12.5), (NOW + 2000, 14.5)]);
    assert_eq!(rig.values("net_tx_bytes_total"), [(NOW, 1000.0)]);
    let device = rig.store.device(rig.device).unwrap();
    assert_eq!(device.agent_version.as_deref(), Some("0.1.0"));
    assert!(device.facts.contains(&("hostname".into(), "nas".into())));
    assert!(device.states.contains(&("gateway".into(), "running".into())));
    let logs = rig.logs_of(rig.device, 1).await;
    assert_eq!(logs.len(), 1);
    assert_eq!((logs[0].line.level, logs[0].line.message.as_str()), (Level::Error, "it broke"));
}

#[tokio::test]
async fn a_compressed_report_is_stored_too() {
    let rig = Rig::start().await;
    for (encoding, t_ms) in [("gzip", NOW), ("zstd", NOW + 1)] {
        let plain = report_of(t_ms, "cpu_percent", 5.0).to_string().into_bytes();
        let sent = if encoding == "gzip" {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&plain).unwrap();
            encoder.finish().unwrap()
        } else {
            zstd::bulk::compress(&plain, 3).unwrap()
        };
        let headers = format!("{JSON}content-encoding: {encoding}\r\n");
        let answer = rig.post("/api/v1/report", &rig.with_key(&headers), &sent).await;
        assert_eq!(answer.status, 200, "{encoding}: {}", answer.body);
    }
    assert_eq!(rig.values("cpu_percent").len(), 2);
}

#[tokio::test]
async fn a_frame_sent_twice_counts_once_and_is_answered_alike() {
    let rig = Rig::start().await;
    let frame = rig::frame(7, NOW, 3);
    let first = rig.post("/api/v1/report", &rig.with_key(FRAME), &frame).await;
    let second = rig.post("/api/v1/report", &rig.with_key(FRAME), &frame).await;
    assert_eq!((first.status, second.status), (200, 200), "{}", first.body);
    assert_eq!(first.json()["accepted"], json!(3));
    assert_eq!(first.body, second.body);
    assert_eq!(rig.values("cpu_percent").len(), 3);
    let next = rig.post("/api/v1/report", &rig.with_key(FRAME), &rig::frame(8, NOW + 10_000, 3)).await;
    assert_eq!(next.status, 200);
    assert_eq!(rig.values("cpu_percent").len(), 6);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_key_the_answer_is_the_same() {
    let rig = Rig::start().await;
    let wrong = [
        String::new(),
        "authorization: Bearer ocw_wrong\r\n".to_string(),
        "authorization: Bearer \r\n".to_string(),
        "authorization: Basic dXNlcjpwYXNz\r\n".to_string(),
        "x-api-key: ocw_wrong\r\n".to_string(),
        format!("x-api-key: {}\r\n", "x".repeat(5_000)),
        format!("x-api-key: {}x\r\n", rig.key),
    ];
    for headers in wrong {
        let answer = rig.post("/api/v1/report", &format!("{JSON}{headers}"), b"{}").await;
        assert_eq!(answer.status, 401, "{headers:.60}");
        assert_eq!(
            answer.json(),
            json!({"error": {"code": "unauthorized", "message": "The credentials are missing or not valid."}}),
        );
    }
    for body in [json!({}), json!({"api_key": "wrong"}), json!({"api_key": 5}), json!({"api_key": null})] {
        let answer = rig.post("/api/report/status", JSON, body.to_string().as_bytes()).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (401, &json!("unauthorized")));
    }
    let with_header = rig.post("/api/v1/report", &format!("{JSON}x-api-key: {}\r\n", rig.key), b"{}").await;
    assert_eq!(with_header.status, 200);
}

#[tokio::test]
async fn a_key_is_judged_before_the_body_is_read() {
    let rig = Rig::start().await;
    // The body is announced and never sent.
    let head = format!("POST /api/v1/report HTTP/1.1\r\nhost: x\r\n{JSON}content-length: 100000\r\n\r\n");
    let answer = rig.send(head.as_bytes()).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn many_wrong_keys_are_429_and_a_right_key_still_works() {
    let slow = Rate { per_second: 0.001, burst: NonZeroU32::new(3).unwrap() };
    let rig = Rig::with(|options| options.failures = slow).await;
    for _ in 0..3 {
        assert_eq!(rig.post("/api/v1/report", JSON, b"{}").await.status, 401);
    }
    let answer = rig.post("/api/v1/report", JSON, b"{}").await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1000")));
    assert_eq!(rig.post("/api/report/status", JSON, b"{}").await.status, 429);
    assert_eq!(rig.report(&json!({})).await.status, 200);
}

#[tokio::test]
async fn a_device_that_reports_too_often_is_429_and_others_are_not() {
    let slow = Rate { per_second: 0.5, burst: NonZeroU32::new(2).unwrap() };
    let rig = Rig::with(|options| options.reports = slow).await;
    for _ in 0..2 {
        assert_eq!(rig.report(&json!({})).await.status, 200);
    }
    let answer = rig.report(&json!({})).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("2")));
    let other = rig.add_device("other", "ocw_other");
    let answer = rig.post("/api/v1/report", &format!("{JSON}x-api-key: ocw_other\r\n"), b"{}").await;
    assert_eq!(answer.status, 200);
    assert_ne!(other, rig.device);
    rig.clock.advance(2_000);
    assert_eq!(rig.report(&json!({})).await.status, 200);
}

#[tokio::test]
async fn a_device_that_sends_what_cannot_be_read_is_held_up_before_the_next_body_is_read() {
    let rig = Rig::with(|options| {
        options.unreadable = Rate { per_second: 0.5, burst: NonZeroU32::new(4).unwrap() };
    })
    .await;
    let bomb = zstd::bulk::compress(&vec![0; 4 << 20], 3).unwrap();
    let packed = rig.with_key(&format!("{JSON}content-encoding: zstd\r\n"));
    assert_eq!(rig.post("/api/v1/report", &packed, &bomb).await.status, 413);
    assert_eq!(rig.post("/api/v1/report", &rig.with_key(JSON), b"{").await.status, 400);
    assert_eq!(
        rig.post("/api/v1/report", &rig.with_key("content-type: text/plain\r\n"), b"x").await.status,
        415
    );
    // What is refused for its key is nobody's fault here.
    assert_eq!(rig.post("/api/v1/report", JSON, b"{").await.status, 401);
    assert_eq!(rig.post("/api/report/error", &rig.with_key(JSON), b"[1]").await.status, 422);
    // Now whatever comes is not looked at: its body never arrives, and the answer does not wait for it.
    let announced = format!(
        "POST /api/v1/report HTTP/1.1\r\nhost: x\r\n{}content-length: 100000\r\n\r\n",
        rig.with_key(JSON)
    );
    let answer = rig.send(announced.as_bytes()).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("2")), "{}", answer.body);
    assert_eq!(rig.report(&json!({})).await.status, 429);
    let other = rig.add_device("other", "ocw_other");
    let answer = rig.post("/api/v1/report", &format!("{JSON}x-api-key: ocw_other\r\n"), b"{}").await;
    assert_eq!((answer.status, other == rig.device), (200, false));
    rig.clock.advance(2_000);
    assert_eq!(rig.report(&json!({})).await.status, 200);
}

#[tokio::test]
async fn paths_and_methods_and_media_types_have_their_answers() {
    let rig = Rig::start().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let health = rig.send(get("/healthz").as_bytes()).await;
    assert_eq!((health.status, health.json()), (200, json!({"status": "ok"})));
    let head = rig.send(b"HEAD /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    for (path, allow) in
        [("/api/v1/report", "POST"), ("/api/v1/enroll", "POST"), ("/api/report/error", "POST")]
    {
        let answer = rig.send(get(path).as_bytes()).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{path}");
    }
    assert_eq!(rig.post("/healthz", JSON, b"{}").await.status, 405);
    for path in
        ["/", "/api/v1/devices", "/api/v1/query", "/api/v1/enroll-codes", "/api/v1/report/", "/..%2fhealthz"]
    {
        assert_eq!(rig.send(get(path).as_bytes()).await.status, 404, "{path}");
    }
    for headers in ["", "content-type: text/plain\r\n", "content-type: application/x-www-form-urlencoded\r\n"]
    {
        let answer = rig.post("/api/v1/report", &rig.with_key(headers), b"{}").await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (415, &json!("unsupported_media_type")));
    }
    let answer =
        rig.post("/api/v1/report", &rig.with_key(&format!("{JSON}content-encoding: br\r\n")), b"{}").await;
    assert_eq!(answer.status, 415);
    let charset = "content-type: application/json; charset=utf-8\r\n";
    assert_eq!(rig.post("/api/v1/report", &rig.with_key(charset), b"{}").await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_nothing_is_stored() {
    let rig = Rig::start().await;
    let broken = br#"{"rows": [{"t_ms": 1800000000000, "v": {"cpu_percent": 1}}], "#;
    let answer = rig.post("/api/v1/report", &rig.with_key(JSON), broken).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("line 1, column"), "{}", answer.body);
    let answer = rig.post("/api/v1/report", &rig.with_key(JSON), br#"{"rows": 5}"#).await;
    assert_eq!((answer.status, &answer.json()["error"]["field"]), (422, &json!("rows")));
    let mut frame = rig::frame(1, NOW, 3);
    frame.truncate(frame.len() - 1);
    let answer = rig.post("/api/v1/report", &rig.with_key(FRAME), &frame).await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    let answer = rig.post("/api/v1/report", &rig.with_key(JSON), &vec![b' '; 2 << 20]).await;
    assert_eq!(answer.status, 413);
    let bomb = zstd::bulk::compress(&vec![b' '; 64 << 20], 3).unwrap();
    let answer =
        rig.post("/api/v1/report", &rig.with_key(&format!("{JSON}content-encoding: zstd\r\n")), &bomb).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (413, &json!("too_large")));
    assert_eq!(rig.values("cpu_percent"), []);
    let device = rig.store.device(rig.device).unwrap();
    assert_eq!(device.last_seen_ms, None, "a refused report is no sign of life");
}

#[tokio::test]
async fn the_older_agent_is_understood() {
    let rig = Rig::start().await;
    let body = json!({
        "api_key": rig.key, "openclaw_status": "running", "openclaw_version": "2026.9.6", "runtime": "node v24",
        "cpu_percent": 12.5, "memory_percent": "40.5", "disk_used": null, "upload_speed": 1000, "total_tokens": 900,
    });
    let answer = rig.post("/api/report/status", JSON, body.to_string().as_bytes()).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"message": "Status received"})));
    let device = rig.store.device(rig.device).unwrap();
    let latest: Vec<(&str, f64)> = device.latest.iter().map(|(name, value)| (&**name, *value)).collect();
    for expected in
        [("cpu_percent", 12.5), ("memory_percent", 40.5), ("net_tx_rate", 1000.0), ("session_tokens", 900.0)]
    {
        assert!(latest.contains(&expected), "{expected:?} not in {latest:?}");
    }
    assert_eq!(device.latest_ms, Some(NOW));
    assert_eq!(device.states, [("gateway".to_string(), "running".to_string())]);
    assert!(rig.store.usage_since().unwrap().is_none());

    // The key in a header, as its later versions have it.
    let body = json!({"level": "critical", "message": "it broke", "source": "cron", "stack_trace": "at x"});
    let answer = rig.post("/api/report/error", &rig.with_key(JSON), body.to_string().as_bytes()).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"message": "Error logged"})));
    let logs = rig.logs_of(rig.device, 1).await;
    assert_eq!(logs.len(), 1);
    let line = &logs[0].line;
    assert_eq!(
        (line.t_ms, line.level, line.source.as_str(), line.message.as_str()),
        (NOW, Level::Fatal, "cron", "it broke\nat x")
    );
}

#[tokio::test]
async fn the_answer_says_whether_somebody_looks() {
    let rig = Rig::start().await;
    assert_eq!(rig.report(&json!({})).await.json()["live"], json!(false));
    rig.store.watch(rig.device, NOW + 60_000);
    assert_eq!(rig.report(&json!({})).await.json()["live"], json!(true));
}

#[tokio::test]
async fn what_was_answered_200_is_there_after_a_restart() {
    let rig = Rig::start().await;
    let sends = (0..100).map(|i| {
        let rig = &rig;
        async move {
            let answer = rig.report(&report_of(NOW + i, "cpu_percent", i as f64)).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
    });
    futures_join(sends).await;
    let rig = rig.restart_store().await;
    let expected: Vec<(i64, f64)> = (0..100).map(|i| (NOW + i, i as f64)).collect();
    assert_eq!(rig.values("cpu_percent"), expected);
}

#[tokio::test]
async fn frames_that_are_kept_as_they_came_are_there_after_a_restart_and_count_once() {
    let rig = Rig::start().await;
    let headers = rig.with_key(FRAME);
    // One is kept as it came; of the other a row is left out, so it is not.
    let future = rig::frame(2, NOW + 598_000, 5);
    for (bytes, accepted) in [(rig::frame(1, NOW, 3), 3), (future.clone(), 3)] {
        let answer = rig.post("/api/v1/report", &headers, &bytes).await;
        assert_eq!((answer.status, &answer.json()["accepted"]), (200, &json!(accepted)), "{}", answer.body);
    }
    let before = rig.values("cpu_percent");
    assert_eq!(before.len(), 6);
    let rig = rig.restart_store().await;
    assert_eq!(rig.values("cpu_percent"), before);
    for bytes in [rig::frame(1, NOW + 50_000, 3), future] {
        assert_eq!(rig.post("/api/v1/report", &headers, &bytes).await.status, 200);
    }
    assert_eq!(rig.values("cpu_percent"), before);
}

/// Runs all of them at once.
async fn futures_join(futures: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut pending: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        pending.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn a_store_that_takes_nothing_is_503_with_a_time() {
    let rig = Rig::start().await;
    assert_eq!(rig.store.health(), Health::Ready);
    rig.store.close();
    let answer = rig.report(&report_of(NOW, "cpu_percent", 1.0)).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!("unavailable")));
    assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().unwrap() > 0));
}

#[tokio::test]
async fn more_metrics_than_a_device_may_have_are_named_in_the_answer() {
    let rig = Rig::start().await;
    // Many reports with ever new names; at some point the device has as many as are allowed.
    for round in 0..100 {
        let values: serde_json::Map<String, Value> =
            (0..900).map(|i| (format!("m{round}_{i}"), json!(1))).collect();
        let answer = rig.report(&json!({"rows": [{"t_ms": NOW + round, "v": values}]})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let ack = answer.json();
        if ack["faults"][0]["code"] == json!("too_many_metrics") {
            return;
        }
    }
    panic!("90,000 metrics were taken");
}

#[tokio::test]
async fn logs_of_a_device_are_not_those_of_another() {
    let rig = Rig::start().await;
    let other = rig.add_device("other", "ocw_other");
    let body = json!({"api_key": "ocw_other", "message": "mine"});
    assert_eq!(rig.post("/api/report/error", JSON, body.to_string().as_bytes()).await.status, 200);
    assert_eq!(rig.logs_of(other, 1).await.len(), 1);
    assert_eq!(rig.logs_of(rig.device, 0).await, []);
}
