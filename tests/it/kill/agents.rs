//! Agents whose every report follows from its number, so that what is found again can be told to be what was sent.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use wire::{AgentInfo, BootId, Column, Kind, Log, Presence, Report, Rows, Usage};

use crate::server::agent;

/// Reports of one start of the agent; then it has another boot id.
const REPORTS_PER_BOOT: u64 = 97;
/// Rows of a report at most, and the time between two rows.
pub const ROWS_MAX: u64 = 32;
pub const STEP_MS: i64 = 10;
/// A lane sends again one of its last reports that were acknowledged, as a spool does that missed the answer.
const AGAIN_AMONG: u64 = 20;

/// Numbers that look random and follow from one another (SplitMix64).
pub fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// A device and what was sent for it.
pub struct Device {
    pub id: u32,
    pub key: String,
    /// Time of its first row.
    pub start_ms: i64,
    pub lanes: Vec<Mutex<Lane>>,
}

/// One connection of a device: sends every so-manieth report.
pub struct Lane {
    /// The next report to send: all of this lane before it were acknowledged.
    next: u64,
    step: u64,
    /// Reports of this lane that were begun to be sent, and those that were acknowledged.
    pub sent: BTreeSet<u64>,
    pub acknowledged: BTreeSet<u64>,
}

impl Device {
    pub fn new((id, key): (u64, String), start_ms: i64, lanes: u64) -> Device {
        let lane = |next| Lane { next, step: lanes, sent: BTreeSet::new(), acknowledged: BTreeSet::new() };
        let lanes = (0..lanes).map(|next| Mutex::new(lane(next))).collect();
        Device { id: u32::try_from(id).unwrap(), key, start_ms, lanes }
    }

    /// Reports that were begun to be sent, and those that were acknowledged.
    pub fn sent_and_acknowledged(&self) -> (BTreeSet<u64>, BTreeSet<u64>) {
        let (mut sent, mut acknowledged) = (BTreeSet::new(), BTreeSet::new());
        for lane in &self.lanes {
            let lane = lane.lock().unwrap();
            sent.extend(&lane.sent);
            acknowledged.extend(&lane.acknowledged);
        }
        (sent, acknowledged)
    }

    /// Report `n`.
    pub fn report(&self, n: u64) -> Report {
        let draw = |what: u64| mix(mix(u64::from(self.id) << 40 | n).wrapping_add(what));
        let rows = 1 + draw(1) % ROWS_MAX;
        let t_ms: Vec<i64> =
            (0..rows).map(|i| self.start_ms + ((n * ROWS_MAX + i) as i64) * STEP_MS).collect();
        let column = |name: &str, kind, value: &dyn Fn(u64) -> f64, present| Column {
            name: name.into(),
            kind,
            values: (0..rows).map(value).collect(),
            present,
        };
        let columns = vec![
            column("number", Kind::Counter, &|i| (n * ROWS_MAX + i) as f64, Presence::All),
            column("exact", Kind::Gauge, &|i| 1.0 / (1 + draw(100 + i) % 1_000_003) as f64, Presence::All),
            // The first row always has it, so that no report has an empty column.
            column(
                "seldom",
                Kind::Gauge,
                &|i| i as f64,
                Presence::Bits(vec![1 | draw(2) & ((1 << rows) - 1)]),
            ),
        ];
        let usage = (draw(3) % 3 > 0).then(|| Usage {
            event_id: format!("e{n}"),
            t_ms: t_ms[0],
            agent: "main".into(),
            provider: "p".into(),
            model: "m".into(),
            input: draw(4) % 1_000_000_007,
            ..Usage::default()
        });
        let first_ms = t_ms[0];
        let log = |i: u64| Log {
            t_ms: first_ms,
            level: "info".into(),
            source: "gateway".into(),
            message: format!("{n}/{i}"),
        };
        let mut boot = [0; 16];
        boot[..4].copy_from_slice(&self.id.to_be_bytes());
        boot[8..].copy_from_slice(&(n / REPORTS_PER_BOOT).to_be_bytes());
        Report {
            agent: AgentInfo {
                version: "1.0.0".into(),
                boot: Some((BootId(boot), n % REPORTS_PER_BOOT)),
                interval_s: Some(10),
            },
            rows: Rows { t_ms, columns },
            usage: usage.into_iter().collect(),
            logs: (0..draw(5) % 3).map(log).collect(),
            ..Report::default()
        }
    }
}

/// Sends reports on one lane until `stop`, an error, or so many were acknowledged; `acknowledged` is told of each.
pub fn send(
    device: &Device,
    lane: &Mutex<Lane>,
    ingest: &str,
    most: u64,
    stop: &AtomicBool,
    acknowledged: &AtomicU64,
) {
    let client = agent();
    let mut lane = lane.lock().unwrap();
    for _ in 0..most {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let n = lane.next;
        let again = mix(n).is_multiple_of(7) && !lane.acknowledged.is_empty();
        if again {
            let back = lane.step * (1 + mix(n + 1) % AGAIN_AMONG);
            let n = lane.acknowledged.range(n.saturating_sub(back)..).next().copied();
            // An answer that does not come says nothing new of it.
            if let Some(n) = n
                && post(&client, device, n, ingest) == Outcome::Gone
            {
                return;
            }
        }
        lane.sent.insert(n);
        match post(&client, device, n, ingest) {
            Outcome::Stored => {
                lane.acknowledged.insert(n);
                lane.next += lane.step;
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            Outcome::Refused => std::thread::yield_now(),
            Outcome::Gone => return,
        }
    }
}

#[derive(PartialEq)]
enum Outcome {
    /// Acknowledged.
    Stored,
    /// Overloaded: to be sent again.
    Refused,
    /// The server or the device is gone.
    Gone,
}

/// Every other report is a frame, the others are JSON.
fn post(client: &ureq::Agent, device: &Device, n: u64, ingest: &str) -> Outcome {
    let report = device.report(n);
    let (kind, body) = match n.is_multiple_of(2) {
        true => (wire::FRAME_CONTENT_TYPE, wire::frame::encode(&report).unwrap()),
        false => (wire::JSON_CONTENT_TYPE, wire::json::to_json(&report).into_bytes()),
    };
    let answer = client
        .post(format!("http://{ingest}/api/v1/report"))
        .header("authorization", format!("Bearer {}", device.key))
        .header("content-type", kind)
        .send(body);
    let Ok(mut answer) = answer else { return Outcome::Gone };
    match answer.status().as_u16() {
        // Killed between the head and the body of its answer: the head says that it is on disk.
        200 => {
            if let Ok(text) = answer.body_mut().read_to_string() {
                let ack: wire::Ack = serde_json::from_str(&text).unwrap();
                assert_eq!((ack.accepted as usize, ack.rejected), (report.rows.t_ms.len(), 0), "{text}");
            }
            Outcome::Stored
        }
        503 => Outcome::Refused,
        401 => Outcome::Gone,
        other => panic!("{other}: {:?}", answer.body_mut().read_to_string()),
    }
}

/// Asks for something that may be cut off by the kill: the status, if there was an answer.
pub fn ask(request: ureq::http::Request<()>) -> Option<u16> {
    agent().run(request).ok().map(|answer| answer.status().as_u16())
}
