//! `compare`: plays the same agent mix into this server and into VictoriaMetrics, one after the other on loopback, and
//! prints what each of them needed.
//!
//! CPU is the server's own, from `/proc`, from the first report until everything is on disk in its final form. Both
//! run with their defaults; reports go to VictoriaMetrics in the form that is cheapest for it (JSON columns for long
//! batches, line protocol for single rows).

mod engine;
mod ours;
mod table;
mod victoria;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bench::mix::Device;
use bench::process::{Usage, folder_bytes};
use clap::Parser;

use engine::{Engine, Query};
use table::Measured;

/// Rows of one device in one big batch: an hour at 10 s.
const BATCH_ROWS: usize = 360;
/// Distance of two rows, milliseconds.
const STEP_MS: i64 = 10_000;
/// How far a row is from its place, milliseconds: real agents are never exact.
const JITTER_MS: i64 = 20;
/// How long the kill test sends before the kill.
const KILL_AFTER: Duration = Duration::from_secs(3);
/// Reports of the kill test at most, so that one query can count them.
const KILL_REPORTS_MAX: usize = 4_500;

/// Compares this server with VictoriaMetrics on this machine.
#[derive(Parser, Debug)]
#[command(name = "compare", version)]
struct Args {
    /// This server's program
    #[arg(long, default_value = "target/release/openclaw-watch")]
    server: PathBuf,
    /// VictoriaMetrics' program, as in Debian's package victoria-metrics
    #[arg(long, default_value = "/usr/bin/victoria-metrics")]
    victoria: PathBuf,
    /// Devices
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    devices: u32,
    /// Metrics of each
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    metrics: u32,
    /// Rows of each, 10 s apart; 8,640 are a day
    #[arg(long, default_value_t = 8_640, value_parser = clap::value_parser!(u32).range(360..=250_000))]
    rows: u32,
    /// Single reports of one row after that
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    single: u32,
    /// How often each query is repeated
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repeat: u32,
    /// Seed of the values
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    for program in [&args.server, &args.victoria] {
        ensure!(program.is_file(), "there is no program {}", program.display());
    }
    println!(
        "{} devices x {} metrics x {} rows, {} ms apart with {} ms of jitter, seed {}\n",
        args.devices, args.metrics, args.rows, STEP_MS, JITTER_MS, args.seed
    );
    let folder = tempfile::tempdir()?;
    let ours = measure(ours::Ours::new(&args.server, &folder.path().join("ours")), &args).await;
    let ours = ours.context("this server")?;
    let victoria = victoria::Victoria::new(&args.victoria, &folder.path().join("victoria"));
    let victoria = measure(victoria, &args).await.context("VictoriaMetrics")?;
    print!("{}", table::markdown(&ours, &victoria));
    Ok(())
}

async fn measure<E: Engine>(mut engine: E, args: &Args) -> Result<Measured> {
    eprintln!("{}: loading", E::NAME);
    let pid = engine.start(args.devices).await?;
    let end_ms = now_ms() - 60_000;
    let mut devices: Vec<Device> =
        (0..args.devices).map(|n| Device::new(args.seed, u64::from(n), args.metrics as usize)).collect();
    let start_ms = end_ms - i64::from(args.rows) * STEP_MS;

    let before = Usage::of(pid)?;
    let mut at = 0;
    while at < args.rows as usize {
        let count = BATCH_ROWS.min(args.rows as usize - at);
        for (n, device) in devices.iter_mut().enumerate() {
            let rows = jittered(device, start_ms + at as i64 * STEP_MS, count, n as i64);
            engine.send_batch(n, &rows).await?;
        }
        at += count;
    }
    engine.settle().await?;
    let loaded = Usage::of(pid)?;
    let samples = u64::from(args.devices) * u64::from(args.metrics) * u64::from(args.rows);
    let bytes = engine.stored_bytes().await?;

    eprintln!("{}: asking", E::NAME);
    let range = (start_ms, end_ms);
    let mut queries = Vec::new();
    for query in Query::ALL {
        let mut times = Vec::new();
        for _ in 0..args.repeat {
            let begun = Instant::now();
            engine.ask(query, range).await?;
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        queries.push((query, times[times.len() / 2]));
    }
    let at_rest = Usage::of(pid)?;

    eprintln!("{}: single reports", E::NAME);
    let before_single = Usage::of(pid)?;
    for i in 0..args.single as usize {
        let n = i % devices.len();
        let rows = jittered(&mut devices[n], end_ms + (i / args.devices as usize) as i64, 1, 0);
        engine.send_single(n, &rows).await?;
    }
    engine.finish_singles().await?;
    let after_single = Usage::of(pid)?;

    eprintln!("{}: restarting", E::NAME);
    engine.stop().await?;
    let folder = folder_bytes(engine.folder())?;
    engine.start(args.devices).await?;
    let begun = Instant::now();
    engine.ask(Query::DayOfOneSeries, range).await?;
    let first_answer = begun.elapsed();

    eprintln!("{}: killing", E::NAME);
    let begun = Instant::now();
    let mut acknowledged = 0;
    let probe_ms = now_ms() - 1_000_000;
    while begun.elapsed() < KILL_AFTER && acknowledged < KILL_REPORTS_MAX {
        engine.send_probe(probe_ms + acknowledged as i64).await?;
        acknowledged += 1;
    }
    engine.kill().await?;
    engine.start(args.devices).await?;
    let found = engine.count_probes((probe_ms, probe_ms + KILL_REPORTS_MAX as i64)).await?;
    engine.stop().await?;
    Ok(Measured {
        samples,
        batch_cpu: loaded.cpu.saturating_sub(before.cpu),
        single_reports: u64::from(args.single),
        single_cpu: after_single.cpu.saturating_sub(before_single.cpu),
        bytes,
        folder_bytes: folder,
        rss_peak_bytes: loaded.rss_peak_bytes,
        rss_bytes: at_rest.rss_bytes,
        queries,
        first_answer,
        probes: acknowledged,
        probes_lost: acknowledged.saturating_sub(found),
    })
}

fn jittered(device: &mut Device, from_ms: i64, count: usize, salt: i64) -> wire::Rows {
    let mut rows = device.rows(from_ms, STEP_MS, count);
    for t_ms in &mut rows.t_ms {
        // A few bits of a multiplicative hash are jitter enough, and the same in every run.
        let hash = (*t_ms + salt).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64);
        *t_ms += (hash >> 40).rem_euclid(2 * JITTER_MS + 1) - JITTER_MS;
    }
    rows
}

fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_1970.as_millis() as i64
}
