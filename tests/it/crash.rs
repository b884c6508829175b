//! The law of acknowledgement: whatever was answered with 200 is there after a kill, once, and nothing else is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::server::{PATIENCE, Person, Server, agent, command};

/// Connections at once; each has a device of its own.
const CONNECTIONS: u64 = 8;
/// Reports of each device.
const REPORTS: u64 = 400;
/// The server is killed when so many reports of a round were acknowledged; others are on their way then.
const KILL_AFTER: [u64; 3] = [1, 400, 1_100];

/// What one connection sends.
struct Sender {
    id: u64,
    key: String,
    /// The next report to send; all before it were acknowledged.
    next: u64,
}

fn start_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    now - 3_600_000
}

fn report(sender: &Sender, seq: u64, start_ms: i64) -> String {
    json!({
        "agent": {"version": "1.0.0", "boot_id": format!("00000000-0000-4000-8000-{:012}", sender.id), "seq": seq},
        "rows": [{"t_ms": start_ms + seq as i64 * 1_000, "v": {"n": seq, "half": seq as f64 / 2.0}}],
    })
    .to_string()
}

/// Sends what is left until everything is acknowledged or the server is gone.
fn send(sender: &mut Sender, ingest: &str, start_ms: i64, acknowledged: impl Fn()) {
    let agent = agent();
    while sender.next < REPORTS {
        let answer = agent
            .post(format!("http://{ingest}/api/v1/report"))
            .header("authorization", format!("Bearer {}", sender.key))
            .header("content-type", "application/json")
            .send(report(sender, sender.next, start_ms));
        match answer {
            Ok(mut answer) => match answer.body_mut().read_to_string() {
                Ok(text) => {
                    assert_eq!(answer.status().as_u16(), 200, "{text}");
                    sender.next += 1;
                    acknowledged();
                }
                // Killed between the head and the body of its answer: the head says that it is on disk.
                Err(_) if answer.status().as_u16() == 200 => {
                    sender.next += 1;
                    return;
                }
                Err(_) => return,
            },
            Err(_) => return,
        }
    }
}

/// The stored rows of a device, by number of their report.
fn stored(admin: &Person, server: &Server, sender: &Sender, start_ms: i64) -> BTreeMap<u64, u64> {
    let path = format!(
        "/api/v1/query?device={}&metric=n&metric=half&from_ms={start_ms}&to_ms={}&points=5000&agg=last",
        sender.id,
        start_ms + REPORTS as i64 * 1_000
    );
    let answer = admin.get(server, &path);
    assert_eq!(answer["step_ms"], 0, "{answer}");
    let mut rows = BTreeMap::new();
    let empty = Vec::new();
    let column = |metric: &str| -> Vec<f64> {
        let series = answer["series"].as_array().unwrap().iter().find(|series| series["metric"] == metric);
        let values = series.and_then(|series| series["last"].as_array()).unwrap_or(&empty);
        values.iter().map(|value| value.as_f64().unwrap()).collect()
    };
    let (n, half) = (column("n"), column("half"));
    let times: Vec<i64> = answer["t_ms"].as_array().unwrap().iter().filter_map(Value::as_i64).collect();
    assert_eq!((n.len(), half.len()), (times.len(), times.len()), "a row is stored whole");
    for ((t_ms, n), half) in times.iter().zip(&n).zip(&half) {
        let seq = ((t_ms - start_ms) / 1_000) as u64;
        assert_eq!(
            (*n, *half, (t_ms - start_ms) % 1_000),
            (seq as f64, seq as f64 / 2.0, 0),
            "as it was sent"
        );
        *rows.entry(seq).or_default() += 1;
    }
    rows
}

#[test]
fn every_acknowledged_report_is_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let start_ms = start_ms();
    let mut server = Server::start(folder.path());
    let admin = server.set_up();
    let mut senders: Vec<Sender> = (0..CONNECTIONS)
        .map(|n| {
            let (id, key) = admin.add_device(&server, &format!("device {n}"));
            Sender { id, key, next: 0 }
        })
        .collect();

    for kill_after in KILL_AFTER {
        let count = AtomicU64::new(0);
        let (reached, wait) = mpsc::channel();
        let ingest = server.ingest.clone();
        std::thread::scope(|scope| {
            for sender in &mut senders {
                let (count, reached, ingest) = (&count, reached.clone(), &ingest);
                scope.spawn(move || {
                    send(sender, ingest, start_ms, || {
                        if count.fetch_add(1, Ordering::SeqCst) + 1 == kill_after {
                            // Nobody listens any more only when the test has failed already.
                            let _ = reached.send(());
                        }
                    });
                });
            }
            wait.recv_timeout(PATIENCE).expect("enough acknowledgements in time");
            server.kill();
        });
        let sent_all = senders.iter().all(|sender| sender.next == REPORTS);
        assert!(!sent_all, "the kill came in the middle");

        let checked = command(folder.path()).arg("check").output().unwrap();
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
        server = Server::start(folder.path());
        for sender in &senders {
            let rows = stored(&admin, &server, sender, start_ms);
            let missing: Vec<u64> = (0..sender.next).filter(|seq| !rows.contains_key(seq)).collect();
            assert!(missing.is_empty(), "device {}: acknowledged but gone: {missing:?}", sender.id);
            // The report that was on its way may be there or not; none after it was ever sent.
            assert!(rows.keys().all(|seq| *seq <= sender.next), "device {}: never sent: {rows:?}", sender.id);
            assert!(rows.values().all(|count| *count == 1), "device {}: more than once: {rows:?}", sender.id);
        }
    }

    // What was on its way is sent again, and counts once.
    let ingest = server.ingest.clone();
    std::thread::scope(|scope| {
        for sender in &mut senders {
            let ingest = &ingest;
            scope.spawn(move || send(sender, ingest, start_ms, || {}));
        }
    });
    for sender in &senders {
        assert_eq!(sender.next, REPORTS);
        let rows = stored(&admin, &server, sender, start_ms);
        let all: BTreeMap<u64, u64> = (0..REPORTS).map(|seq| (seq, 1)).collect();
        assert_eq!(rows, all, "device {}", sender.id);
    }
    let samples = admin.get(&server, "/api/v1/summary")["storage"]["samples"].as_u64();
    assert_eq!(samples, Some(CONNECTIONS * REPORTS * 2));
}
