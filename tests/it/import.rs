//! The older Python server's database, taken over whole.

use std::path::Path;
use std::process::Output;

use rusqlite::Connection;
use serde_json::json;

use crate::server::{Server, agent, command};

const DAY_MS: i64 = 86_400_000;

fn now_ms() -> i64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64
}

fn run(folder: &Path, from: &Path, more: &[&str]) -> Output {
    command(folder).arg("import").arg(from).args(more).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Two devices, an hourly row of each for 60 days, a few errors, and what cannot be used.
fn older(path: &Path, first_ms: i64) -> Connection {
    let db = Connection::open(path).unwrap();
    db.execute_batch(
        "BEGIN;
         CREATE TABLE devices (id TEXT PRIMARY KEY, name TEXT, device_type TEXT, api_key TEXT, created_at TIMESTAMP);
         CREATE TABLE device_status (id INTEGER PRIMARY KEY AUTOINCREMENT, device_id TEXT, openclaw_version TEXT,
            openclaw_status TEXT, cpu_percent REAL, memory_used INTEGER, total_tokens INTEGER, timestamp TEXT);
         CREATE TABLE error_logs (id INTEGER PRIMARY KEY, device_id TEXT, level TEXT, message TEXT, stack_trace TEXT,
            created_at TEXT);
         INSERT INTO devices VALUES ('a1', 'nas', 'nas', 'key-of-nas', '2026-01-01 00:00:00');
         INSERT INTO devices VALUES ('b2', 'laptop', 'toaster', 'key-of-laptop', NULL);
         INSERT INTO device_status (device_id, cpu_percent, timestamp) VALUES ('gone', 1, '2026-01-01 00:00:00');
         INSERT INTO device_status (device_id, cpu_percent, timestamp) VALUES ('a1', 1, 'soon');
         INSERT INTO error_logs VALUES (1, 'a1', 'error', NULL, NULL, '2026-01-01 00:00:00');",
    )
    .unwrap();
    let text = "strftime('%Y-%m-%d %H:%M:%f', ?2 / 1000.0, 'unixepoch')";
    for hour in 0..60 * 24 {
        for device in ["a1", "b2"] {
            let sql = format!(
                "INSERT INTO device_status (device_id, openclaw_version, openclaw_status, cpu_percent, memory_used, timestamp)
                 VALUES (?1, '2026.9.6', 'running', ?3, NULL, {text})"
            );
            db.execute(&sql, (device, first_ms + hour * 3_600_000, hour as f64)).unwrap();
        }
    }
    for n in 0..5 {
        let sql = format!(
            "INSERT INTO error_logs (device_id, level, message, stack_trace, created_at)
            VALUES (?1, 'warning', ?3, 'at line 1', {text})"
        );
        db.execute(&sql, ("a1", first_ms + DAY_MS * (n + 1), format!("it failed {n}"))).unwrap();
    }
    db.execute_batch("COMMIT").unwrap();
    db
}

#[test]
fn charts_go_back_to_the_first_day_and_a_second_import_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // A whole hour, so that each row begins a step.
    let first_ms = (now_ms() - 61 * DAY_MS) / 3_600_000 * 3_600_000;
    let path = folder.path().join("older.db");
    let db = older(&path, first_ms);
    let first = run(folder.path(), &path, &[]);
    let text = said(&first);
    assert!(first.status.success(), "{text}");
    for line in [
        "Devices: 2, of them new: 2",
        "Rows: 2880, from ",
        "Log lines: 5, of them new: 5",
        ": 2 rows, 1 log lines",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }

    let ask = |more_ms: i64| {
        let server = Server::start(folder.path());
        let admin = server.set_up_or_sign_in();
        let get = |path: &str| admin.get(&server, path);
        let devices = get("/api/v1/devices");
        let device = &devices["devices"][0];
        let query = format!(
            "/api/v1/query?device=1&metric=cpu_percent&from_ms={first_ms}&to_ms={}&points=5000&agg=avg",
            first_ms + 60 * DAY_MS + more_ms
        );
        let (history, logs) = (get(&query), get("/api/v1/logs?limit=500"));
        let told = (
            device["name"].clone(),
            device["device_type"].clone(),
            history["series"].clone(),
            history["t_ms"].clone(),
            logs["logs"].clone(),
        );
        // The old key still reports.
        let answer = agent()
            .post(format!("http://{}/api/report/status", server.ingest))
            .header("content-type", "application/json")
            .send(json!({"api_key": "key-of-laptop"}).to_string());
        assert_eq!(answer.unwrap().status(), 200);
        assert_eq!(server.terminate().0, Some(0));
        told
    };
    let (name, kind, series, t_ms, logs) = ask(0);
    assert_eq!((name, kind), (json!("nas"), json!("nas")));
    let values = series[0]["avg"].as_array().unwrap();
    let times = t_ms.as_array().unwrap();
    let filled: Vec<(i64, f64)> = times
        .iter()
        .zip(values)
        .filter_map(|(t_ms, value)| Some((t_ms.as_i64()?, value.as_f64()?)))
        .collect();
    assert_eq!(filled.first(), Some(&(first_ms, 0.0)), "the first day");
    assert_eq!(filled.len(), 60 * 24);
    assert_eq!(filled.last().unwrap().1, 1_439.0);
    let logs_of: Vec<&str> =
        logs.as_array().unwrap().iter().map(|log| log["message"].as_str().unwrap()).collect();
    assert_eq!((logs_of.len(), logs_of[0]), (5, "it failed 4\nat line 1"));
    assert_eq!(logs[0]["level"], "warn");

    let again = run(folder.path(), &path, &[]);
    assert!(said(&again).contains("of them new: 0\nRows: 2880"), "{}", said(&again));
    assert!(said(&again).contains("Log lines: 5, of them new: 0"), "{}", said(&again));
    let (.., series_again, t_again, logs_again) = ask(0);
    assert!((series_again, t_again, logs_again) == (series, t_ms, logs));
    let checked = command(folder.path()).arg("check").output().unwrap();
    assert!(checked.status.success(), "{}", said(&checked));

    // What came since is added.
    db.execute(
        "INSERT INTO device_status (device_id, cpu_percent, timestamp) VALUES ('a1', 77, ?1)",
        [first_ms + 60 * DAY_MS],
    )
    .unwrap();
    assert!(said(&run(folder.path(), &path, &[])).contains("Rows: 2881"));
    let (_, _, series, ..) = ask(1);
    assert!(series[0]["avg"].as_array().unwrap().contains(&json!(77)), "{series}");
}

#[test]
fn what_is_not_the_older_database_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let refused = |expected: &str, more: &[&str]| {
        let output = run(folder.path(), &path, more);
        assert!(output.status.code() == Some(1) && said(&output).contains(expected), "{}", said(&output));
        assert!(!folder.path().join("data").exists());
    };
    refused("cannot be read as a SQLite database", &[]);
    std::fs::write(&path, "no database, whatever its name says").unwrap();
    refused("cannot be read as a SQLite database", &[]);
    std::fs::remove_file(&path).unwrap();
    let db = Connection::open(&path).unwrap();
    db.execute_batch("CREATE TABLE other (id INTEGER)").unwrap();
    refused("has no table `devices`", &[]);
    db.execute_batch("CREATE TABLE devices (id INTEGER, name TEXT, api_key TEXT)").unwrap();
    refused("is no IANA time zone", &["--tz", "Nowhere"]);

    let _server = Server::start(folder.path());
    let output = run(folder.path(), &path, &[]);
    assert!(said(&output).contains("in use by another server"), "{}", said(&output));
}
