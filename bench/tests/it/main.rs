//! `fleet` as a program, against the ingest port with a store behind it.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};
use store::{DeviceId, DeviceProfile, RangeQuery, Store, TimeRange};
use tokio::sync::watch;

const DEVICES: usize = 3;

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn key(number: usize) -> String {
    format!("ocw_{number}")
}

/// Runs `fleet` with these arguments against a new server that knows the first keys; gives the store as well.
async fn fleet(dir: &Path, known: usize, arguments: &str) -> (Output, Arc<Store>) {
    let data = dir.join("data");
    let store = Arc::new(Store::open(store::Options::new(&data), now_ms()).unwrap());
    for number in 0..known {
        let profile = DeviceProfile { name: key(number), ..DeviceProfile::default() };
        store.add_device(profile, Sha256::digest(key(number)).into(), now_ms()).unwrap();
    }
    let keys = dir.join("keys");
    std::fs::write(&keys, (0..DEVICES).map(|number| key(number) + "\n").collect::<String>()).unwrap();

    let listener = ingest::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = watch::channel(false);
    let port =
        tokio::spawn(ingest::run(listener, store.clone(), ingest::Options::new(Arc::new(now_ms)), stopped));
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
    command.args(["--server", &server, "--devices", &DEVICES.to_string(), "--seed", "7"]);
    command.args(["--server-pid", &std::process::id().to_string()]);
    command.arg("--keys").arg(&keys).arg("--data-dir").arg(&data).args(arguments.split(' '));
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    stop.send(true).unwrap();
    port.await.unwrap();
    (output, store)
}

fn stored_rows(store: &Store) -> usize {
    let query = RangeQuery {
        devices: (1..=DEVICES as u32).map(DeviceId).collect(),
        metrics: vec!["cpu_percent".into()],
        range: TimeRange::new(now_ms() - 600_000, now_ms() + 600_000).unwrap(),
        points: 5_000,
    };
    let answer = store.query(&query).unwrap();
    answer.series.iter().flat_map(|series| &series.buckets).filter(|bucket| bucket.count > 0).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_report_of_the_plan_is_stored_and_counted() {
    for (format, connections) in [("frame", 64), ("json", 1)] {
        let dir = tempfile::tempdir().unwrap();
        let arguments = format!(
            "--metrics 4 --rows 5 --interval 100ms --duration 500ms --format {format} --connections {connections}"
        );
        let (output, store) = fleet(dir.path(), DEVICES, &arguments).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        // 3 devices, 5 reports each, 5 rows a report, 4 metrics a row.
        for line in [
            "samples                     300\n",
            "answered 200                15\n",
            "errors                      0\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
        for name in ["seed 7", "acknowledged, p99", "server CPU per M samples", "bytes on disk per sample"] {
            assert!(text.contains(name), "{name:?} is not in\n{text}");
        }
        assert_eq!(stored_rows(&store), 75);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_shown_and_fails() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = "--metrics 4 --interval 100ms --duration 200ms";
    let (output, store) = fleet(dir.path(), DEVICES - 1, arguments).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("answered 401                2\n"), "{text}");
    assert_eq!(stored_rows(&store), 4);
}

#[test]
fn another_machine_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_fleet"))
        .args(["--server", "http://192.0.2.1:38889", "--keys", "none"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("not a loopback address"));
}
