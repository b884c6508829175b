//! The devices: each keeps what it sent until it is acknowledged, goes away now and then, and comes back restarted.

use std::iter::Sum;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use bench::client::{Client, Server};
use bench::mix::Device;
use bench::rng::Rng;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use tokio::sync::watch;
use tokio::task::JoinSet;
use wire::{Ack, AgentInfo, BootId, Log, Report, Usage};

use crate::server::Place;

const METRICS: usize = 20;
/// A device goes away once in so many reports, for up to [`AWAY_MAX_S`].
const AWAY_ONCE_IN: u64 = 60;
const AWAY_MAX_S: u64 = 60;
/// A burst of log lines comes once in so many reports.
const BURST_ONCE_IN: u64 = 90;
const BURST_LINES: u64 = 200;
/// How long a device waits before it sends again what was not acknowledged.
const RETRY_WAIT: Duration = Duration::from_millis(250);
/// After the end, how long what is on its way may still be sent again.
const OVERTIME: Duration = Duration::from_secs(30);

/// What a device sent, and what of it was acknowledged.
#[derive(Debug, Default)]
pub struct Sent {
    pub device: u64,
    /// Time of each row, its first value's bits, and whether it was acknowledged.
    pub rows: Vec<(i64, u64, bool)>,
    /// Log lines acknowledged.
    pub lines: u64,
    /// Input tokens acknowledged.
    pub tokens: u64,
    /// Of the last report, which was never acknowledged.
    pub in_doubt: Option<(u64, u64)>,
    pub refused: u64,
    pub unanswered: u64,
    pub away: u64,
    /// From when a report was due to its acknowledgement, of those that were answered the first time; microseconds.
    pub latencies_us: Vec<u32>,
}

/// Sums over all devices.
#[derive(Debug, Default)]
pub struct Counts {
    pub rows: u64,
    pub lines: u64,
    pub tokens: u64,
    pub refused: u64,
    pub unanswered: u64,
    pub away: u64,
    pub latencies_us: Vec<u32>,
}

impl Sent {
    pub fn counts(&self) -> Counts {
        Counts {
            rows: self.rows.iter().filter(|(_, _, acknowledged)| *acknowledged).count() as u64,
            lines: self.lines,
            tokens: self.tokens,
            refused: self.refused,
            unanswered: self.unanswered,
            away: self.away,
            latencies_us: self.latencies_us.clone(),
        }
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Counts>>(all: I) -> Counts {
        let mut sum = all.fold(Counts::default(), |mut sum, one| {
            sum.rows += one.rows;
            sum.lines += one.lines;
            sum.tokens += one.tokens;
            sum.refused += one.refused;
            sum.unanswered += one.unanswered;
            sum.away += one.away;
            sum.latencies_us.extend(one.latencies_us);
            sum
        });
        sum.latencies_us.sort_unstable();
        sum
    }
}

/// All devices at work.
pub struct Fleet(JoinSet<Result<Sent>>);

impl Fleet {
    pub fn start(
        place: &Arc<Place>,
        devices: Vec<(u64, String)>,
        interval: Duration,
        seed: u64,
        stopped: &watch::Receiver<bool>,
    ) -> Fleet {
        let mut tasks = JoinSet::new();
        let count = devices.len();
        for (number, (device, key)) in devices.into_iter().enumerate() {
            let (place, stopped) = (place.clone(), stopped.clone());
            tasks.spawn(async move {
                // Spread over the interval, as devices that know nothing of each other are.
                tokio::time::sleep(interval.mul_f64(number as f64 / count as f64)).await;
                let player = Player::new(&place, device, &key, number as u64, seed)?;
                player.play(interval, stopped).await
            });
        }
        Fleet(tasks)
    }

    /// Once all have stopped: what they sent.
    pub async fn join(mut self) -> Result<Vec<Sent>> {
        let mut all = Vec::new();
        while let Some(sent) = self.0.join_next().await {
            all.push(sent.context("a device's task ended badly")??);
        }
        all.sort_unstable_by_key(|sent| sent.device);
        Ok(all)
    }
}

struct Player {
    client: Client,
    headers: HeaderMap,
    device: Device,
    rng: Rng,
    boot: (BootId, u64),
    sent: Sent,
}

impl Player {
    fn new(place: &Place, device: u64, key: &str, number: u64, seed: u64) -> Result<Player> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(wire::FRAME_CONTENT_TYPE));
        headers.insert(AUTHORIZATION, format!("Bearer {key}").parse()?);
        let mut rng = Rng::new(seed, number);
        Ok(Player {
            client: Client::new(Server::parse(&place.ingest)?),
            headers,
            device: Device::new(seed, number, METRICS),
            boot: (boot_id(&mut rng), 0),
            rng,
            sent: Sent { device, ..Sent::default() },
        })
    }

    async fn play(mut self, interval: Duration, stopped: watch::Receiver<bool>) -> Result<Sent> {
        let mut due = Instant::now();
        let mut last_ms = 0;
        while !*stopped.borrow() {
            if self.rng.once_in(AWAY_ONCE_IN) {
                self.sent.away += 1;
                // A device that comes back was started anew: another boot, numbers from the beginning.
                self.boot = (boot_id(&mut self.rng), 0);
                self.client.hang_up();
                due = Instant::now() + Duration::from_secs(self.rng.next() % AWAY_MAX_S);
            }
            while Instant::now() < due && !*stopped.borrow() {
                let wait = due.saturating_duration_since(Instant::now()).min(Duration::from_millis(500));
                tokio::time::sleep(wait).await;
            }
            let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
            last_ms = now_ms.max(last_ms + 1);
            let report = self.report(last_ms, interval);
            self.deliver(&report, last_ms, due, &stopped).await?;
            // What was late is not made up for: the agent samples when it samples.
            due = (due + interval).max(Instant::now());
        }
        Ok(self.sent)
    }

    fn report(&mut self, t_ms: i64, interval: Duration) -> Report {
        self.boot.1 += 1;
        let lines = if self.rng.once_in(BURST_ONCE_IN) { BURST_LINES } else { self.rng.next() % 2 };
        let line = |n| Log {
            t_ms,
            level: if n % 10 == 0 { "error" } else { "warn" }.into(),
            source: "gateway".into(),
            message: format!("channel {n} did not answer within {} ms 通道无响应", 100 + n),
        };
        let rows = self.device.rows(t_ms, 1, 1);
        Report {
            agent: AgentInfo {
                version: "soak".into(),
                boot: Some(self.boot),
                interval_s: u32::try_from(interval.as_secs().max(1)).ok(),
            },
            rows,
            usage: vec![Usage {
                event_id: format!("{t_ms}"),
                t_ms,
                agent: "main".into(),
                provider: "acme".into(),
                model: "large".into(),
                input: 1 + self.rng.next() % 10_000,
                ..Usage::default()
            }],
            logs: (0..lines).map(line).collect(),
            ..Report::default()
        }
    }

    /// Sends it until it is acknowledged.
    async fn deliver(
        &mut self,
        report: &Report,
        t_ms: i64,
        due: Instant,
        stopped: &watch::Receiver<bool>,
    ) -> Result<()> {
        let body = Bytes::from(wire::frame::encode(report)?);
        self.sent.rows.push((t_ms, report.rows.columns[0].values[0].to_bits(), false));
        let (lines, tokens) = (report.logs.len() as u64, report.usage[0].input);
        let mut ended: Option<Instant> = None;
        for attempt in 0.. {
            let answer = self.client.send(Method::POST, "/api/v1/report", &self.headers, body.clone()).await;
            match answer {
                Ok(answer) if answer.status == 200 => {
                    let ack: Ack = serde_json::from_slice(&answer.body)?;
                    anyhow::ensure!((ack.accepted, ack.rejected) == (1, 0), "not as it was sent: {ack:?}");
                    if attempt == 0 {
                        self.sent.latencies_us.push(due.elapsed().as_micros() as u32);
                    }
                    if let Some(row) = self.sent.rows.last_mut() {
                        row.2 = true;
                    }
                    self.sent.lines += lines;
                    self.sent.tokens += tokens;
                    return Ok(());
                }
                Ok(answer) => {
                    let status = answer.status.as_u16();
                    anyhow::ensure!(status == 503 || status == 429, "a report was answered {status}");
                    self.sent.refused += 1;
                }
                Err(_) => self.sent.unanswered += 1,
            }
            if *stopped.borrow() && ended.get_or_insert_with(Instant::now).elapsed() > OVERTIME {
                self.sent.in_doubt = Some((lines, tokens));
                return Ok(());
            }
            tokio::time::sleep(RETRY_WAIT).await;
        }
        Ok(())
    }
}

fn boot_id(rng: &mut Rng) -> BootId {
    let (a, b) = (rng.next().to_be_bytes(), rng.next().to_be_bytes());
    BootId(std::array::from_fn(|i| if i < 8 { a[i] } else { b[i - 8] }))
}
