//! Loading the past: rows of many days, as devices send them that come back with a full spool.
//!
//! What is sent follows from the arguments alone, the numbers of the reports too: after a break the same command goes
//! on where it stopped, because what the server has already counts once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench::client::{Client, Server};
use bench::mix::{Device, METRICS_MAX};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method};
use jiff::Timestamp;
use tokio::task::JoinSet;
use wire::{Ack, AgentInfo, BootId, Report};

use crate::connect::Connect;
use crate::summary;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Rows times metrics of a report: far below what a report may have, so that many are under way.
const CELLS_MAX: usize = 1 << 17;
const ROWS_MAX: usize = 5_000;
/// A report that was refused so often, each time for a second at least, is given up.
const TRIES_MAX: u32 = 300;
/// How often the progress is told.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// What has spikes, how high they are, how far apart, and how far from the end the last one is: each is one sample.
const SPIKED: &str = "load1";
const SPIKE: f64 = 64.0;
const SPIKE_EVERY_MS: i64 = 7 * DAY_MS;
const SPIKE_BEFORE_END_MS: i64 = 20 * 60_000;
/// With fewer metrics there is no [`SPIKED`].
const METRICS_MIN: i64 = 4;

/// What to load.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// Number of devices
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    devices: u32,
    /// Metrics of each device
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(METRICS_MIN..=METRICS_MAX as i64))]
    metrics: u32,
    /// Time between two rows of a device, such as 500ms, 1s or 2m
    #[arg(long, default_value = "10s", value_parser = bench::duration)]
    interval: Duration,
    /// How many days; the server's retention_raw_days has to be more
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// When the last day ends, like 2026-06-01T12:00:00Z; by default the last full hour
    #[arg(long)]
    to: Option<Timestamp>,
    /// Reports under way at the same time; those of a device come one after the other
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    connections: u32,
    /// The values of all devices follow from this number
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Loads everything and says what that cost.
pub async fn run(args: Args) -> Result<()> {
    let server = args.connect.server()?;
    let to = args.to.unwrap_or_else(Timestamp::now).as_millisecond();
    // Also the given one: rows are at whole hours and steps from there.
    let past = Past {
        from_ms: to - to.rem_euclid(HOUR_MS) - i64::from(args.days) * DAY_MS,
        to_ms: to - to.rem_euclid(HOUR_MS),
        step_ms: args.interval.as_millis() as i64,
        metrics: args.metrics as usize,
        seed: args.seed,
    };
    let (mut web, keys) = args.connect.keys(args.devices).await?;
    println!(
        "{} devices x {} metrics every {:?} for {} days over {} connections, seed {}; after a break go on with --to {}",
        args.devices,
        args.metrics,
        args.interval,
        args.days,
        args.connections,
        args.seed,
        at(past.to_ms)
    );
    let newest: Vec<String> = past.spikes().rev().take(3).map(at).collect();
    println!("{SPIKED} is {SPIKE} for one sample every 7 days, newest first: {}, …", newest.join(", "));
    let before = args.connect.look()?;
    let begin = Instant::now();
    let rows = load(server, &past, keys, args.connections as usize).await?;
    let took = begin.elapsed();
    let after = args.connect.look()?;
    let samples = rows * u64::from(args.metrics);
    print!(
        "{}",
        summary::loaded(took, samples, before.usage.zip(after.usage), before.bytes.zip(after.bytes))
    );
    if let (Some(web), true) = (&mut web, args.connect.cleanup) {
        let deleted = web.delete_devices().await?;
        println!("{deleted} devices deleted");
    }
    Ok(())
}

/// The past of every device.
#[derive(Debug, Clone, Copy)]
struct Past {
    from_ms: i64,
    /// Exclusive.
    to_ms: i64,
    step_ms: i64,
    metrics: usize,
    seed: u64,
}

impl Past {
    /// The times of the rows with a spike.
    fn spikes(&self) -> impl DoubleEndedIterator<Item = i64> + use<> {
        let Past { from_ms, to_ms, step_ms, .. } = *self;
        let newest = to_ms - SPIKE_BEFORE_END_MS;
        let count = (newest - from_ms).div_euclid(SPIKE_EVERY_MS) + 1;
        // The row at that time or the last before it.
        let row = move |t: i64| t - (t - from_ms).rem_euclid(step_ms);
        (0..count.max(0)).rev().map(move |back| row(newest - back * SPIKE_EVERY_MS))
    }

    /// Where each report begins and how many rows it has.
    fn reports(&self) -> impl Iterator<Item = (i64, usize)> + use<> {
        let Past { from_ms, to_ms, step_ms, metrics, .. } = *self;
        let rows = ((to_ms - from_ms + step_ms - 1) / step_ms) as usize;
        let most = (CELLS_MAX / metrics).clamp(1, ROWS_MAX);
        (0..rows).step_by(most).map(move |at| (from_ms + at as i64 * step_ms, most.min(rows - at)))
    }

    /// The same for every run with the same past.
    fn boot(&self, number: usize) -> BootId {
        let mut boot = [0; 16];
        boot[..6].copy_from_slice(&self.to_ms.to_be_bytes()[2..]);
        boot[6..10].copy_from_slice(&(number as u32).to_be_bytes());
        boot[10..14].copy_from_slice(&(self.step_ms as u32).to_be_bytes());
        boot[14..].copy_from_slice(&(self.seed as u16 ^ (self.from_ms / DAY_MS) as u16).to_be_bytes());
        BootId(boot)
    }

    /// A report's rows.
    fn rows(&self, device: &mut Device, from_ms: i64, count: usize) -> wire::Rows {
        let mut rows = device.rows(from_ms, self.step_ms, count);
        let end_ms = from_ms + count as i64 * self.step_ms;
        for spike_ms in self.spikes().filter(|t| (from_ms..end_ms).contains(t)) {
            let row = ((spike_ms - from_ms) / self.step_ms) as usize;
            for column in rows.columns.iter_mut().filter(|column| column.name == SPIKED) {
                column.values[row] = SPIKE;
            }
        }
        rows
    }
}

/// Loads the past of the device of each key; returns how many rows the server has of it then.
async fn load(server: Server, past: &Past, keys: Vec<String>, connections: usize) -> Result<u64> {
    let loaded = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    let connections = connections.min(keys.len()).max(1);
    for connection in 0..connections {
        let numbers = (connection..keys.len()).step_by(connections);
        let mut spools =
            numbers.map(|number| Spool::new(past, number, &keys[number])).collect::<Result<Vec<_>>>()?;
        let (past, loaded, mut client) = (*past, loaded.clone(), Client::new(server));
        tasks.spawn(async move {
            // Time goes on evenly for all devices.
            for (seq, (from_ms, rows)) in past.reports().enumerate() {
                for spool in &mut spools {
                    let body = spool.report(&past, seq as u64, from_ms, rows)?;
                    spool.send(&mut client, body, rows as u32).await?;
                    loaded.fetch_add(rows as u64, Ordering::Relaxed);
                }
            }
            anyhow::Ok(())
        });
    }
    let all = past.reports().map(|(_, rows)| rows as u64).sum::<u64>() * keys.len() as u64;
    let mut telling = tokio::time::interval(TOLD_EVERY);
    telling.tick().await;
    let mut before = 0;
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                None => return Ok(loaded.load(Ordering::Relaxed)),
                Some(ended) => ended.context("a connection's task ended badly")??,
            },
            _ = telling.tick() => {
                let rows = loaded.load(Ordering::Relaxed);
                let rate = (rows - before) as f64 * past.metrics as f64 / TOLD_EVERY.as_secs_f64();
                println!("{:.1} %, {:.2} M samples/s", rows as f64 * 100.0 / all as f64, rate / 1e6);
                before = rows;
            }
        }
    }
}

/// One device and what it has still to send.
struct Spool {
    device: Device,
    headers: HeaderMap,
    boot: BootId,
}

impl Spool {
    fn new(past: &Past, number: usize, key: &str) -> Result<Spool> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(wire::FRAME_CONTENT_TYPE));
        let mut key: HeaderValue = format!("Bearer {key}").parse().context("a key is not valid")?;
        key.set_sensitive(true);
        headers.insert(AUTHORIZATION, key);
        let device = Device::new(past.seed, number as u64, past.metrics);
        Ok(Spool { device, headers, boot: past.boot(number) })
    }

    fn report(&mut self, past: &Past, seq: u64, from_ms: i64, rows: usize) -> Result<bytes::Bytes> {
        let report = Report {
            agent: AgentInfo {
                version: concat!("fleet ", env!("CARGO_PKG_VERSION")).to_string(),
                boot: Some((self.boot, seq)),
                interval_s: Some(u32::try_from(past.step_ms / 1_000).unwrap_or(u32::MAX).max(1)),
            },
            rows: past.rows(&mut self.device, from_ms, rows),
            ..Report::default()
        };
        Ok(wire::frame::encode(&report)?.into())
    }

    /// Until the server has it.
    async fn send(&self, client: &mut Client, body: bytes::Bytes, rows: u32) -> Result<()> {
        for _ in 0..TRIES_MAX {
            let answer = client.send(Method::POST, "/api/v1/report", &self.headers, body.clone()).await?;
            if matches!(answer.status.as_u16(), 429 | 503) {
                let seconds = answer.headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
                tokio::time::sleep(Duration::from_secs(seconds.unwrap_or(1).clamp(1, 60))).await;
                continue;
            }
            ensure!(
                answer.status == 200,
                "a report was answered {}: {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            );
            let ack: Ack = serde_json::from_slice(&answer.body).context("200 without an acknowledgement")?;
            let why = ack.faults.first().map_or("no reason given", |fault| fault.message.as_str());
            ensure!(
                ack.accepted == rows,
                "{} of {rows} rows were refused: {why}. Is retention_raw_days of the server longer than the past?",
                ack.rejected
            );
            return Ok(());
        }
        anyhow::bail!("the server refused a report {TRIES_MAX} times as too busy")
    }
}

fn at(t_ms: i64) -> String {
    Timestamp::from_millisecond(t_ms).map_or_else(|_| t_ms.to_string(), |t| t.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAST: Past = Past { from_ms: 0, to_ms: 30 * DAY_MS, step_ms: 10_000, metrics: 20, seed: 1 };

    #[test]
    fn every_row_is_in_one_report_and_the_same_in_every_run() {
        let mut next = PAST.from_ms;
        for (from_ms, rows) in PAST.reports() {
            assert_eq!(from_ms, next);
            assert!(rows > 0 && rows * PAST.metrics <= CELLS_MAX && rows <= ROWS_MAX);
            next += rows as i64 * PAST.step_ms;
        }
        assert_eq!(next, PAST.to_ms);
        let bodies = || {
            let mut spool = Spool::new(&PAST, 3, "k").unwrap();
            let reports = PAST.reports().take(3).enumerate();
            reports
                .map(|(seq, (at, rows))| spool.report(&PAST, seq as u64, at, rows).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(bodies(), bodies());
        let others = [
            Past { to_ms: PAST.to_ms + HOUR_MS, ..PAST },
            Past { from_ms: DAY_MS, ..PAST },
            Past { step_ms: 1_000, ..PAST },
            Past { seed: 2, ..PAST },
        ];
        assert!(others.iter().all(|other| other.boot(3) != PAST.boot(3)) && PAST.boot(4) != PAST.boot(3));
    }

    #[test]
    fn a_spike_is_one_sample_a_week() {
        let mut device = Device::new(PAST.seed, 0, PAST.metrics);
        let mut found = Vec::new();
        for (from_ms, rows) in PAST.reports() {
            let rows = PAST.rows(&mut device, from_ms, rows);
            let load = rows.columns.iter().find(|column| column.name == SPIKED).unwrap();
            found.extend(rows.t_ms.iter().zip(&load.values).filter(|(_, v)| **v == SPIKE).map(|(t, _)| *t));
        }
        let last = PAST.to_ms - SPIKE_BEFORE_END_MS;
        assert_eq!(found, (0..5).rev().map(|weeks| last - weeks * SPIKE_EVERY_MS).collect::<Vec<_>>());
        assert_eq!(found, PAST.spikes().collect::<Vec<_>>());
        // Also where no row is at that time.
        let odd = Past { step_ms: 7_000, ..PAST };
        assert!(odd.spikes().all(|t| t % 7_000 == 0) && odd.spikes().count() == 5);
        assert_eq!(Past { from_ms: PAST.to_ms - DAY_MS / 100, ..PAST }.spikes().count(), 0);
    }
}
