//! Range queries, lists and figures over real data.

use serde_json::{Value, json};
use store::Level;

use crate::http::send;
use crate::server::{START_MS, Server, logs};

#[tokio::test]
async fn few_rows_come_back_as_they_are() {
    let (server, admin) = Server::signed_in().await;
    admin.add_device("nas").await;
    let values = [("cpu_percent", 1.5), ("net_tx_bytes_total", 100.0)];
    server.report(1, START_MS, &values).await;
    server.report(1, START_MS + 2_000, &[("cpu_percent", 2.5)]).await;
    server.report(1, START_MS + 4_000, &[("net_tx_bytes_total", 300.0)]).await;
    let query = format!(
        "/api/v1/query?device=1&metric=cpu*&metric=net_tx_bytes_total&from_ms={START_MS}&to_ms={}&agg=last,rate",
        START_MS + 10_000
    );
    let answer = admin.get(&query).await.expect(200);
    assert_eq!(
        answer,
        json!({"tier": "raw", "step_ms": 0, "from_ms": START_MS, "to_ms": START_MS + 10_000,
            "t_ms": [START_MS, START_MS + 2_000, START_MS + 4_000],
            "series": [
                {"device": 1, "metric": "cpu_percent", "last": [1.5, 2.5, null], "rate": [null, null, null]},
                {"device": 1, "metric": "net_tx_bytes_total", "last": [100, null, 300], "rate": [null, null, 50]}],
            "gaps": []})
    );
}

#[tokio::test]
async fn many_rows_are_joined_into_steps() {
    let (server, admin) = Server::signed_in().await;
    admin.send("POST", "/api/v1/devices", &json!({"name": "nas", "tags": ["home"]})).await.expect(201);
    let start = START_MS - START_MS % 60_000;
    for second in 0..60 {
        server.report(1, start + second * 1_000, &[("cpu_percent", second as f64)]).await;
    }
    let query = format!(
        "/api/v1/query?tag=home&metric=cpu_percent&from_ms={start}&to_ms={}&points=10",
        start + 60_000
    );
    let answer = admin.get(&query).await.expect(200);
    let step = answer["step_ms"].as_i64().unwrap();
    let times: Vec<i64> = answer["t_ms"].as_array().unwrap().iter().map(|t| t.as_i64().unwrap()).collect();
    assert!(step >= 6_000 && times.len() <= 10 && times.iter().all(|t| t % step == 0), "{answer}");
    let series = &answer["series"][0];
    let column = |name: &str| -> Vec<f64> {
        series[name].as_array().unwrap().iter().filter_map(Value::as_f64).collect()
    };
    assert_eq!(column("min")[0], 0.0);
    assert_eq!(column("max").last(), Some(&59.0));
    assert_eq!(column("avg").len(), times.len());
}

#[tokio::test]
async fn a_wrong_query_is_refused_with_its_field() {
    let (_server, admin) = Server::signed_in().await;
    for (query, field) in [
        ("metric=m&from_ms=1&to_ms=2", "device"),
        ("device=1&metric=m&from_ms=2&to_ms=1", "to_ms"),
        ("device=1&metric=m&from_ms=1&to_ms=2&agg=p99", "agg"),
        ("device=1&metric=m&from_ms=1&to_ms=2&points=0", "points"),
        ("device=1&metric=m&from_ms=1&to_ms=2&nonsense=1", "nonsense"),
    ] {
        let answer = admin.get(&format!("/api/v1/query?{query}")).await;
        assert_eq!(answer.error(), (422, "invalid".into(), Some(field.into())));
    }
}

#[tokio::test]
async fn devices_and_metrics_that_are_not_there_answer_nothing() {
    let (_server, admin) = Server::signed_in().await;
    for who in ["device=7", "tag=nothing"] {
        let path = format!("/api/v1/query?{who}&metric=m&from_ms=1&to_ms=2000");
        assert_eq!(admin.get(&path).await.expect(200)["series"], json!([]));
    }
}

#[tokio::test]
async fn logs_come_page_by_page_newest_first() {
    let (server, admin) = Server::signed_in().await;
    admin.add_device("nas").await;
    for n in 0..5 {
        let level = if n % 2 == 0 { Level::Error } else { Level::Info };
        server.log(1, START_MS + n, level, &format!("line {n} 100%")).await;
    }
    admin.until("/api/v1/logs", logs(5)).await;
    let page = async |query: &str| {
        let page = admin.get(&format!("/api/v1/logs?{query}")).await.expect(200);
        let message = |log: &Value| log["message"].as_str().unwrap()[5..6].to_string();
        let lines = page["logs"].as_array().unwrap().iter().map(message).collect::<Vec<_>>().join(" ");
        (lines, page["next"].as_str().map(str::to_string))
    };
    let (first, next) = page("limit=2").await;
    let (second, next) = page(&format!("limit=2&before={}", next.unwrap())).await;
    let (third, end) = page(&format!("limit=2&before={}", next.unwrap())).await;
    assert_eq!((first.as_str(), second.as_str(), third.as_str(), end), ("4 3", "2 1", "0", None));
    assert_eq!(page("level=warn").await.0, "4 2 0");
    assert_eq!(page("q=LINE+3").await.0, "3");
    assert_eq!(page("q=100%25").await.0, "4 3 2 1 0");
    assert_eq!(page(&format!("from_ms={}&to_ms={}", START_MS + 1, START_MS + 3)).await.0, "2 1");
    assert_eq!(page("device=2").await.0, "");
}

#[tokio::test]
async fn the_overview_counts() {
    let (server, admin) = Server::signed_in().await;
    admin.add_device("a").await;
    admin.add_device("b").await;
    server.report(1, START_MS, &[("load1", 1.0)]).await;
    server.log(1, START_MS, Level::Error, "oops").await;
    server.log(1, START_MS, Level::Fatal, "dead").await;
    server.log(1, START_MS, Level::Info, "fine").await;
    admin.until("/api/v1/logs", logs(3)).await;
    let summary = admin.get("/api/v1/summary?tz=Europe/Berlin").await.expect(200);
    assert_eq!(summary["devices"], json!({"online": 1, "degraded": 0, "offline": 0, "new": 1, "total": 2}));
    assert_eq!((&summary["errors_24h"], &summary["storage"]["samples"]), (&json!(2), &json!(1)));
    assert_eq!(summary["tokens"], json!({"today": 0, "yesterday": 0, "month": 0, "total": 0}));
    assert_eq!(summary["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(admin.get("/api/v1/summary?tz=Mars/Olympus").await.error().2, Some("tz".into()));

    let storage = admin.get("/api/v1/storage").await.expect(200);
    let tiers: Vec<&str> =
        storage["tiers"].as_array().unwrap().iter().map(|t| t["tier"].as_str().unwrap()).collect();
    assert_eq!((tiers, &storage["head_samples"]), (vec!["raw", "5m", "1h"], &json!(1)));
}

#[tokio::test]
async fn a_device_that_falls_silent_is_offline_with_an_event() {
    let (server, admin) = Server::signed_in().await;
    admin.add_device("nas").await;
    server.report(1, START_MS, &[("load1", 1.0)]).await;
    server.move_clock(60_000);
    server.store.tick(server.now());
    // The store judges on a thread of its own.
    let silent = |page: &Value| page["device"]["state"] == "offline";
    admin.until("/api/v1/devices/1", silent).await;
    let device = admin.get("/api/v1/devices/1").await.expect(200)["device"].clone();
    assert_eq!((&device["state"], &device["reason"]), (&json!("offline"), &json!("no_report")));
    assert_eq!(device["latest"], json!({"load1": 1}));
    let newest = |page: &Value| page["events"][0]["kind"] == "offline" && page["next"].is_string();
    admin.until("/api/v1/events?device=1&limit=1", newest).await;
}

#[tokio::test]
async fn history_comes_as_csv_too() {
    let (server, admin) = Server::signed_in().await;
    admin.add_device("nas").await;
    server.report(1, START_MS, &[("cpu_percent", 1.5), ("net_tx_bytes_total", 100.0)]).await;
    server.report(1, START_MS + 2_000, &[("net_tx_bytes_total", 300.0)]).await;
    let query = format!(
        "/api/v1/query?device=1&metric=cpu_percent&metric=net_tx_bytes_total&from_ms={START_MS}&to_ms={}&agg=last,rate",
        START_MS + 10_000
    );
    let answer = admin.get(&format!("{query}&format=csv")).await;
    let expected = format!(
        "time,t_ms,nas: cpu_percent last,nas: cpu_percent rate,nas: net_tx_bytes_total last,nas: net_tx_bytes_total rate\r\n\
         2026-11-22T10:38:42.42Z,{START_MS},1.5,,100,\r\n2026-11-22T10:38:44.42Z,{},,,300,100\r\n",
        START_MS + 2_000
    );
    assert_eq!((answer.status, answer.text()), (200, expected.as_str()));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"history.csv\""));
}

#[tokio::test]
async fn a_day_and_an_hour_of_every_device_come_at_once_and_compressed() {
    let (server, admin) = Server::signed_in().await;
    for n in 0..40 {
        admin.add_device(&format!("d{n}")).await;
    }
    for minute in [0, 1, 59] {
        server.report(3, START_MS - minute * 60_000, &[("cpu_percent", minute as f64 + 0.04)]).await;
    }
    let answer = admin.get("/api/v1/activity").await.expect(200);
    assert_eq!((&answer["spark"]["metric"], &answer["spark"]["points"]), (&json!("cpu_percent"), &json!(60)));
    let device = &answer["devices"][2];
    let spark = device["spark"].as_array().unwrap();
    assert_eq!((&spark[0], &spark[58], &spark[59]), (&json!(59), &json!(1), &json!(0)));
    assert_eq!(spark[1], Value::Null);
    let availability = device["availability"].as_str().unwrap();
    assert_eq!((availability.len(), device["online_percent"].clone()), (96, Value::Null));
    server.move_clock(10 * 60_000);
    let later = admin.get("/api/v1/activity").await.expect(200);
    let availability = later["devices"][2]["availability"].as_str().unwrap();
    assert!(availability.ends_with('o') && availability.starts_with("-----"), "{availability}");
    assert_eq!(later["devices"][2]["online_percent"], 100);
    assert_eq!(later["devices"][0]["availability"], "-".repeat(96));

    let headers = [("cookie", admin.cookie.as_str()), ("accept-encoding", "gzip")];
    let packed = send(server.addr, "GET", "/api/v1/activity", &headers, b"").await;
    assert_eq!(
        (packed.header("content-encoding"), packed.header("vary")),
        (Some("gzip"), Some("accept-encoding"))
    );
    let mut plain = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&packed.body[..]), &mut plain).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&plain).unwrap(), later);
    assert!(packed.body.len() * 4 < plain.len(), "{} of {}", packed.body.len(), plain.len());
}
