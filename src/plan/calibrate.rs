//! Measures on this machine what a report and a sample cost: stores and an ingest port of this process, in a folder that is
//! gone afterwards, on the disk of the data folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mix::rig::{Rig, number_hash};
use store::{Tier, Timestamp};

use super::costs::{Costs, RAW_INTERVALS_S, ROLLUP_INTERVALS_S};
use super::load::{self, Cost, Load};

/// The start of a window of hours and so of all the others, in October 2026.
pub const START: Timestamp = 62 * 336 * DAY_MS;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Metrics of a device, and of one with many: the difference tells what a metric costs.
const METRICS: usize = 20;
const METRICS_MANY: usize = 200;
/// Every window that began by then is over: what can be merged is merged.
const LATER_MS: i64 = 1_000 * DAY_MS;

/// How much is measured.
struct Effort {
    /// For each of the three loads.
    load: Duration,
    /// Devices, of each of which a report is in memory, and rows that some of them have more.
    devices: u64,
    rows: usize,
    /// Generations of one device, merged when all is over: at each of [`RAW_INTERVALS_S`].
    pieces: [i64; 3],
    /// Devices that are sealed often, and how often.
    often: (u64, i64),
}

/// Measures.
///
/// # Errors
/// This system does not tell CPU times of threads, or the folder cannot be used.
pub fn measure(data_dir: &Path) -> Result<Costs> {
    make(data_dir).with_context(|| format!("{} cannot be used", data_dir.display()))?;
    with(
        data_dir,
        &Effort {
            load: Duration::from_secs(4),
            devices: 500,
            rows: 1_000,
            // Two days, eight weeks and a window of hours.
            pieces: [24, 56 * 12, 336],
            often: (20, 90),
        },
    )
}

fn make(dir: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    // As the store makes it: nobody else may look into it.
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir)
}

fn with(data_dir: &Path, effort: &Effort) -> Result<Costs> {
    let folder = tempfile::Builder::new().prefix("plan-").tempdir_in(data_dir);
    let folder = folder.with_context(|| format!("{} cannot be used", data_dir.display()))?;
    let below = |name: &str| -> Result<PathBuf> {
        let path = folder.path().join(name);
        std::fs::create_dir(&path)?;
        Ok(path)
    };
    let mut costs = in_memory(&below("memory")?, effort)?;
    let many_devices = Load { devices: 32, metrics: METRICS, lasts: effort.load, pause: None };
    let alone = Load { devices: 1, pause: Some(Duration::from_millis(5)), ..many_devices };
    let alone = load::run(&below("alone")?, alone)?;
    let few = load::run(&below("few")?, many_devices)?;
    let many = load::run(&below("many")?, Load { metrics: METRICS_MANY, ..many_devices })?;
    of_reports(&alone, &few, &many, &mut costs);

    let mut cpu_ns = 0.0;
    for (at, (pieces, interval_s)) in effort.pieces.into_iter().zip(RAW_INTERVALS_S).enumerate() {
        let step_ms = (interval_s * 1e3) as i64;
        // As old as a generation gets; days where two hours have few rows: once they are merged it is the same.
        let piece_ms = (2 * HOUR_MS).max(288 * step_ms);
        let dir = below(&format!("every-{interval_s}-s"))?;
        let sealed = sealed(&dir, 1, step_ms, (piece_ms / step_ms) as usize, pieces)?;
        costs.raw_bytes[at] = sealed.bytes[0];
        if let Some(rollup) = ROLLUP_INTERVALS_S.iter().position(|of| *of == interval_s) {
            costs.five_minutes_bytes[rollup] = sealed.bytes[1];
            costs.hour_bytes[rollup] = sealed.bytes[2];
        }
        if interval_s == 10.0 {
            cpu_ns = sealed.cpu_ns;
        }
    }
    let (devices, pieces) = effort.often;
    const OFTEN_ROWS: usize = 40;
    let often = sealed(&below("often")?, devices, 1_000, OFTEN_ROWS, pieces)?;
    // Both are what a sample costs and what a metric costs each time, shared by the rows of a piece.
    let rows = (2 * HOUR_MS / 10_000) as f64;
    let series_ns = ((often.cpu_ns - cpu_ns) / (1.0 / OFTEN_ROWS as f64 - 1.0 / rows)).max(0.0);
    costs.seal_series_cpu_us = series_ns / 1e3;
    costs.seal_sample_cpu_ns = (cpu_ns - series_ns / rows).max(0.0);
    Ok(costs)
}

/// Memory of the server without devices, of a metric of a device, and of a sample that is not sealed yet.
fn in_memory(dir: &Path, effort: &Effort) -> Result<Costs> {
    let mut rig = Rig::new(dir, effort.devices, METRICS, number_hash, START)?;
    let base = memory()?;
    let first = rig.rows(START, 10_000, 1);
    rig.append(first)?;
    let with_series = memory()?;
    rig.devices.truncate(100);
    const ROWS: usize = 100;
    for rows in 0..effort.rows / ROWS {
        let from_ms = START + (1 + (rows * ROWS) as i64) * 10_000;
        let next = rig.rows(from_ms, 10_000, ROWS);
        rig.append(next)?;
    }
    let samples = rig.store.storage().head_samples as f64 - (effort.devices as usize * METRICS) as f64;
    let with_samples = memory()?;
    Ok(Costs {
        base_bytes: base,
        series_bytes: (with_series - base).max(0.0) / (effort.devices as usize * METRICS) as f64,
        head_sample_bytes: (with_samples - with_series).max(0.0) / samples.max(1.0),
        ..Costs::default()
    })
}

/// Splits what three loads cost: one whose reports come alone, one whose reports share commits, and one with more samples in
/// each report.
fn of_reports(alone: &Cost, few: &Cost, many: &Cost, costs: &mut Costs) {
    let per_report = |of: fn(&Cost) -> f64, cost: &Cost| of(cost) / cost.reports;
    // Of two kinds of reports what a metric costs, and what is left for the report itself.
    let split = |few: f64, many: f64| {
        let each = ((many - few) / (METRICS_MANY - METRICS) as f64).max(0.0);
        ((few - each * METRICS as f64).max(0.0), each)
    };
    let commits = |cost: &Cost| per_report(|c| c.commits, cost);
    let cpu = |cost: &Cost| per_report(|c| c.cpu_s, cost);
    let saved = (commits(alone) - commits(few)).max(f64::EPSILON);
    let commit_s = ((cpu(alone) - cpu(few)) / saved).max(0.0);
    let without = |cost: &Cost| (cpu(cost) - commit_s * commits(cost)).max(0.0);
    let (report_s, sample_s) = split(without(few), without(many));
    costs.commit_cpu_us = commit_s * 1e6;
    costs.report_cpu_us = report_s * 1e6;
    costs.sample_cpu_ns = sample_s * 1e9;
    costs.commits_per_s = (few.commits / few.took_s).max(1.0);
    let part = |of: fn(&Cost) -> f64| split(per_report(of, few), per_report(of, many));
    (costs.report_in_bytes, costs.sample_in_bytes) = part(|c| c.in_bytes);
    (costs.tail_report_bytes, costs.tail_sample_bytes) = part(|c| c.tail_bytes);
    costs.report_out_bytes = per_report(|c| c.out_bytes, few);
}

/// Of one sample, and of one metric in a step of each tier.
struct Sealed {
    cpu_ns: f64,
    bytes: [f64; 3],
}

/// Some devices, sealed after each piece of so many rows, and merged when all is over.
fn sealed(dir: &Path, devices: u64, step_ms: i64, rows: usize, pieces: i64) -> Result<Sealed> {
    let mut rig = Rig::new(dir, devices, METRICS, number_hash, START)?;
    let threads = ["sealer", "maintain"];
    let before = cpu_of(&threads)?;
    let piece_ms = rows as i64 * step_ms;
    for piece in 0..pieces {
        let next = rig.rows(START + piece * piece_ms, step_ms, rows);
        rig.append(next)?;
        rig.store.seal()?;
    }
    rig.store.maintain(START + pieces * piece_ms + LATER_MS)?;
    let cpu = cpu_of(&threads)? - before;
    let tiers = rig.store.storage().tiers;
    rig.store.close();
    let file = std::fs::metadata(dir.join("chunks.db"))?.len() as f64;
    let overhead = file / tiers.iter().map(|tier| tier.bytes).sum::<u64>().max(1) as f64;
    let series = devices as f64 * METRICS as f64;
    let bytes = Tier::ALL.map(|tier| {
        let steps = (pieces * piece_ms) as f64 / tier.step_ms().max(step_ms) as f64;
        let bytes = tiers.iter().find(|of| of.tier == tier).map_or(0, |of| of.bytes);
        bytes as f64 * overhead / (steps * series)
    });
    Ok(Sealed { cpu_ns: cpu.as_nanos() as f64 / (series * (rows as i64 * pieces) as f64), bytes })
}

/// CPU time of the threads of these names, as far as they still run.
pub fn cpu_of(names: &[&str]) -> Result<Duration> {
    const WHY: &str = "measuring needs /proc with CPU times of threads, which only Linux has";
    let mut ns = 0;
    for entry in std::fs::read_dir("/proc/self/task").context(WHY)? {
        let path = entry?.path();
        // A thread may have ended meanwhile.
        let Ok(name) = std::fs::read_to_string(path.join("comm")) else { continue };
        if names.contains(&name.trim()) {
            let text = std::fs::read_to_string(path.join("schedstat")).context(WHY)?;
            let Some(time) = text.split(' ').next().and_then(|time| time.parse::<u64>().ok()) else {
                bail!(WHY)
            };
            ns += time;
        }
    }
    Ok(Duration::from_nanos(ns))
}

/// Memory of this process, bytes.
fn memory() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")
        .context("measuring needs /proc, which only Linux has")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    Ok(kib.context("/proc/self/status says nothing of memory")? * 1_024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn every_cost_is_measured_and_nothing_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        make(&data_dir).unwrap();
        let effort = Effort {
            load: Duration::from_millis(200),
            devices: 20,
            rows: 100,
            pieces: [1, 2, 2],
            often: (2, 3),
        };
        let costs = with(&data_dir, &effort).unwrap();
        for (name, value) in costs.named() {
            assert!(value.is_finite() && value >= 0.0, "{name}: {value}");
        }
        let bytes = [costs.raw_bytes[0], costs.raw_bytes[1], costs.raw_bytes[2], costs.tail_report_bytes];
        assert!(bytes.iter().all(|bytes| (0.1..1_000.0).contains(bytes)), "{costs:?}");
        let rollups = costs.five_minutes_bytes.into_iter().chain(costs.hour_bytes);
        assert!(rollups.into_iter().all(|bytes| (0.5..500.0).contains(&bytes)), "{costs:?}");
        assert!(costs.report_in_bytes > 100.0 && costs.report_out_bytes > 50.0, "{costs:?}");
        assert_eq!(std::fs::read_dir(&data_dir).unwrap().count(), 0);
    }

    #[test]
    fn three_loads_tell_commits_reports_and_samples_apart() {
        // A commit 300 us, a report 50 us, a sample 100 ns.
        let load = |reports: f64, commits: f64, metrics: f64| Cost {
            reports,
            commits,
            took_s: 4.0,
            cpu_s: commits * 300e-6 + reports * (50e-6 + metrics * 100e-9),
            in_bytes: reports * (500.0 + metrics * 5.0),
            out_bytes: reports * 200.0,
            tail_bytes: reports * (90.0 + metrics * 4.0),
        };
        let mut costs = Costs::default();
        let (alone, few, many) =
            (load(600.0, 600.0, 20.0), load(30_000.0, 1_500.0, 20.0), load(20_000.0, 1_100.0, 200.0));
        of_reports(&alone, &few, &many, &mut costs);
        let expected = [300.0, 50.0, 100.0, 375.0, 500.0, 5.0, 200.0, 90.0, 4.0];
        let found = [
            costs.commit_cpu_us,
            costs.report_cpu_us,
            costs.sample_cpu_ns,
            costs.commits_per_s,
            costs.report_in_bytes,
            costs.sample_in_bytes,
            costs.report_out_bytes,
            costs.tail_report_bytes,
            costs.tail_sample_bytes,
        ];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found / expected - 1.0).abs() < 1e-9, "{found}, not {expected}");
        }
    }
}
