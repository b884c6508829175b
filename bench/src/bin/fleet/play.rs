//! The play itself: every connection has its devices and sends their reports when they are due.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bench::mix::Device;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use tokio::task::JoinSet;
use tokio::time::Instant;
use wire::{Ack, AgentInfo, BootId, Report};

use crate::Format;
use bench::client::{Client, Server};

/// Time to connect everything before the first report is due.
const LEAD: Duration = Duration::from_millis(500);
/// How long after the end reports that were due before it are still sent; what is left then is given up.
const OVERTIME: Duration = Duration::from_secs(30);

/// What to play.
pub struct Plan {
    pub server: Server,
    /// One a device.
    pub keys: Vec<String>,
    pub metrics: usize,
    pub interval: Duration,
    pub rows: u32,
    pub duration: Duration,
    pub format: Format,
    pub connections: u32,
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Played {
    /// From the first moment a report was due to the last answer.
    pub took: Duration,
    /// Reports answered, by status; 0 stands for those that got no answer.
    pub by_status: BTreeMap<u16, u64>,
    /// Reports that were due and never sent, because those before them took too long.
    pub given_up: u64,
    /// Rows the server said it stored, and rows it did not.
    pub rows_accepted: u64,
    pub rows_rejected: u64,
    pub metrics: u64,
    /// Bytes of the bodies sent.
    pub bytes_sent: u64,
    /// Of every report that was answered 200, from the moment it was due; microseconds.
    pub latencies_us: Vec<u32>,
    /// What the first report without an answer failed with.
    pub first_error: Option<String>,
}

impl Played {
    /// Was every report accepted, and every row in it?
    pub fn is_clean(&self) -> bool {
        self.given_up == 0 && self.rows_rejected == 0 && self.by_status.keys().all(|status| *status == 200)
    }

    fn add(&mut self, other: Played) {
        self.took = self.took.max(other.took);
        for (status, count) in other.by_status {
            *self.by_status.entry(status).or_default() += count;
        }
        self.given_up += other.given_up;
        self.rows_accepted += other.rows_accepted;
        self.rows_rejected += other.rows_rejected;
        self.bytes_sent += other.bytes_sent;
        self.latencies_us.extend(other.latencies_us);
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

/// Plays the whole plan.
pub async fn play(plan: Plan) -> Result<Played> {
    let begin = Instant::now() + LEAD;
    let begin_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64 + LEAD.as_millis() as i64;
    let connections = (plan.connections as usize).min(plan.keys.len()).max(1);
    let mut tasks = JoinSet::new();
    for connection in 0..connections {
        let numbers = (connection..plan.keys.len()).step_by(connections);
        let players = numbers.map(|number| Player::new(&plan, number, begin_ms)).collect::<Result<_>>()?;
        let stage = Stage { begin, begin_ms, duration: plan.duration, players };
        tasks.spawn(stage.play(Client::new(plan.server)));
    }
    let mut played = Played { metrics: plan.metrics as u64, ..Played::default() };
    while let Some(part) = tasks.join_next().await {
        played.add(part.context("a connection's task ended badly")??);
    }
    played.latencies_us.sort_unstable();
    Ok(played)
}

/// One connection and its devices.
struct Stage {
    begin: Instant,
    begin_ms: i64,
    duration: Duration,
    players: Vec<Player>,
}

impl Stage {
    async fn play(mut self, mut client: Client) -> Result<Played> {
        client.connect().await?;
        let mut played = Played::default();
        while let Some(at) = self.next() {
            let due_after = self.players[at].due;
            let due = self.begin + due_after;
            if Instant::now() > self.begin + self.duration + OVERTIME {
                played.given_up += 1;
                self.players[at].skip();
                continue;
            }
            // Made before it is due: the time this takes is ours, not the server's.
            let player = &mut self.players[at];
            let body = player.report(self.begin_ms)?;
            played.bytes_sent += body.len() as u64;
            tokio::time::sleep_until(due).await;
            let answer = client.send(Method::POST, "/api/v1/report", &player.headers, body).await;
            let took = due.elapsed();
            played.took = self.begin.elapsed();
            let status = match answer {
                Ok(answer) if answer.status.as_u16() == 200 => {
                    let ack: Ack =
                        serde_json::from_slice(&answer.body).context("200 without an acknowledgement")?;
                    played.rows_accepted += u64::from(ack.accepted);
                    played.rows_rejected += u64::from(ack.rejected);
                    played.latencies_us.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
                    200
                }
                Ok(answer) => answer.status.as_u16(),
                Err(error) => {
                    played.first_error.get_or_insert_with(|| format!("{error:#}"));
                    0
                }
            };
            *played.by_status.entry(status).or_default() += 1;
        }
        Ok(played)
    }

    /// The device whose report is due next, if one is due before the end.
    fn next(&self) -> Option<usize> {
        let next = self.players.iter().enumerate().min_by_key(|(_, player)| player.due)?;
        (next.1.due < self.duration).then_some(next.0)
    }
}

/// One device, and when its next report is due.
struct Player {
    device: Device,
    headers: HeaderMap,
    agent: AgentInfo,
    format: Format,
    interval: Duration,
    rows: u32,
    /// After the beginning.
    due: Duration,
}

impl Player {
    fn new(plan: &Plan, number: usize, begin_ms: i64) -> Result<Player> {
        let mut headers = HeaderMap::new();
        let content_type = match plan.format {
            Format::Frame => wire::FRAME_CONTENT_TYPE,
            Format::Json => wire::JSON_CONTENT_TYPE,
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let mut key: HeaderValue =
            format!("Bearer {}", plan.keys[number]).parse().context("a key is not valid")?;
        key.set_sensitive(true);
        headers.insert(AUTHORIZATION, key);
        // Another one for each run, or the reports of a second run would count as sent again.
        let mut boot_id = [0; 16];
        boot_id[..8].copy_from_slice(&begin_ms.to_be_bytes());
        boot_id[8..].copy_from_slice(&(number as u64).to_be_bytes());
        let interval_s = u32::try_from(plan.interval.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX);
        Ok(Player {
            device: Device::new(plan.seed, number as u64, plan.metrics),
            headers,
            agent: AgentInfo {
                version: concat!("fleet ", env!("CARGO_PKG_VERSION")).to_string(),
                boot: Some((BootId(boot_id), 0)),
                interval_s: Some(interval_s),
            },
            format: plan.format,
            interval: plan.interval,
            rows: plan.rows,
            // Spread over the interval, as devices that know nothing of each other are.
            due: plan.interval.mul_f64(number as f64 / plan.keys.len() as f64),
        })
    }

    fn skip(&mut self) {
        self.due += self.interval;
    }

    /// The report that is due, whose newest row is of that moment; the next one is due an interval later.
    fn report(&mut self, begin_ms: i64) -> Result<Bytes> {
        let step_ms = (self.interval.as_millis() as i64 / i64::from(self.rows)).max(1);
        let newest_ms = begin_ms + self.due.as_millis() as i64;
        let oldest_ms = newest_ms - step_ms * (i64::from(self.rows) - 1);
        self.due += self.interval;
        if let Some((_, seq)) = &mut self.agent.boot {
            *seq += 1;
        }
        let report = Report {
            agent: self.agent.clone(),
            rows: self.device.rows(oldest_ms, step_ms, self.rows as usize),
            ..Report::default()
        };
        Ok(match self.format {
            Format::Frame => wire::frame::encode(&report)?.into(),
            Format::Json => wire::json::to_json(&report).into(),
        })
    }
}
