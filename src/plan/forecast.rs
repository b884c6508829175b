//! What a fleet needs: plain arithmetic on what a report and a sample cost.

use super::costs::{Costs, RAW_INTERVALS_S, ROLLUP_INTERVALS_S};

/// A generation is sealed at this age at the latest, seconds.
const HEAD_AGE_S: f64 = 7_200.0;
/// Unpacked chunks that are remembered and pages of the databases, when they are full: bytes.
const CACHES_BYTES: f64 = 48e6;
/// Merging takes up a day of one device, at most so many samples at so many bytes.
const MERGE_SAMPLES_MAX: f64 = 4e6;
const MERGE_SAMPLE_BYTES: f64 = 32.0;
/// The tail holds what is sealed a little longer, until it was forgotten.
const TAIL_FACTOR: f64 = 1.5;
/// Logs of the databases, accounts, and what a fresh data folder has: bytes.
const FOLDER_BYTES: f64 = 16e6;
const DAY_S: f64 = 86_400.0;

/// What is planned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fleet {
    pub devices: f64,
    /// Of each device.
    pub metrics: f64,
    /// Between two reports of a device, which bring one row each.
    pub interval_s: f64,
    /// How long raw rows, five minutes and hours are kept, and how many bytes they may take.
    pub days: [f64; 3],
    pub bytes_max: [Option<f64>; 3],
    /// Samples in memory at which they are sealed.
    pub head_samples: f64,
}

/// What it needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    pub reports_per_s: f64,
    pub samples_per_s: f64,
    /// Kept busy, of the kind that the costs were measured on.
    pub cores: f64,
    pub memory_bytes: f64,
    /// Raw rows, five minutes and hours, once they are kept for their full time.
    pub tier_bytes: [f64; 3],
    /// What is not sealed yet, and what the databases take for themselves.
    pub tail_bytes: f64,
    pub in_bytes_per_s: f64,
    pub out_bytes_per_s: f64,
}

impl Forecast {
    pub fn of(fleet: &Fleet, costs: &Costs) -> Forecast {
        let interval_s = fleet.interval_s;
        let reports_per_s = fleet.devices / interval_s;
        let samples_per_s = reports_per_s * fleet.metrics;
        let series = fleet.devices * fleet.metrics;
        // A device that reports less often than a step has fewer rows than steps.
        let rows_a_day = |step_s: f64| DAY_S / step_s.max(interval_s);
        let head = (samples_per_s * HEAD_AGE_S).min(fleet.head_samples);
        // One sample more than there is room for closes the generation too.
        let seals_per_s = (1.0 / HEAD_AGE_S).max(samples_per_s / fleet.head_samples);
        let merge = (rows_a_day(0.0) * fleet.metrics).min(MERGE_SAMPLES_MAX) * MERGE_SAMPLE_BYTES;
        let raw = between(interval_s, &RAW_INTERVALS_S, &costs.raw_bytes);
        let five_minutes = between(interval_s, &ROLLUP_INTERVALS_S, &costs.five_minutes_bytes);
        let hour = between(interval_s, &ROLLUP_INTERVALS_S, &costs.hour_bytes);
        let tier = |at: usize, step_s: f64, bytes: f64| {
            let bytes = series * rows_a_day(step_s) * fleet.days[at] * bytes;
            fleet.bytes_max[at].map_or(bytes, |most| bytes.min(most))
        };
        let tail = head / fleet.metrics * costs.tail_report_bytes + head * costs.tail_sample_bytes;
        Forecast {
            reports_per_s,
            samples_per_s,
            cores: reports_per_s.min(costs.commits_per_s) * costs.commit_cpu_us / 1e6
                + reports_per_s * costs.report_cpu_us / 1e6
                + samples_per_s * (costs.sample_cpu_ns + costs.seal_sample_cpu_ns) / 1e9
                + seals_per_s * series * costs.seal_series_cpu_us / 1e6,
            memory_bytes: costs.base_bytes
                + CACHES_BYTES
                + series * costs.series_bytes
                + head * costs.head_sample_bytes
                + merge,
            tier_bytes: [tier(0, 0.0, raw), tier(1, 300.0, five_minutes), tier(2, 3_600.0, hour)],
            tail_bytes: FOLDER_BYTES + tail * TAIL_FACTOR,
            in_bytes_per_s: reports_per_s * costs.report_in_bytes + samples_per_s * costs.sample_in_bytes,
            out_bytes_per_s: reports_per_s * costs.report_out_bytes,
        }
    }

    /// All that is on disk.
    pub fn disk_bytes(&self) -> f64 {
        self.tier_bytes.iter().sum::<f64>() + self.tail_bytes
    }
}

/// The value at `interval_s` of what was measured at some ascending intervals, straight over the logarithm of the interval;
/// outside of them that of the nearest.
fn between(interval_s: f64, measured_at_s: &[f64], values: &[f64]) -> f64 {
    let after = measured_at_s.partition_point(|at| *at <= interval_s);
    if after == 0 {
        return values[0];
    }
    if after == measured_at_s.len() {
        return values[after - 1];
    }
    let (low, high) = (measured_at_s[after - 1], measured_at_s[after]);
    let share = (interval_s / low).ln() / (high / low).ln();
    values[after - 1] + (values[after] - values[after - 1]) * share
}

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Machine {
    pub cores: f64,
    /// `None`: this system does not say.
    pub memory_bytes: Option<f64>,
    /// Free where the data folder is, and what is in it already.
    pub disk_bytes: Option<f64>,
}

/// How much of something is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    pub what: &'static str,
    /// 1: all of it.
    pub share: f64,
}

/// The shares of a machine that a fleet takes, the largest first: that one limits.
pub fn shares(forecast: &Forecast, machine: &Machine) -> Vec<Share> {
    let share = |what, need: f64, have: Option<f64>| Some(Share { what, share: need / have?.max(1.0) });
    let mut shares: Vec<Share> = [
        share("cores", forecast.cores, Some(machine.cores)),
        share("memory", forecast.memory_bytes, machine.memory_bytes),
        share("disk", forecast.disk_bytes(), machine.disk_bytes),
    ]
    .into_iter()
    .flatten()
    .collect();
    shares.sort_by(|a, b| b.share.total_cmp(&a.share));
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: Costs = Costs {
        commit_cpu_us: 300.0,
        report_cpu_us: 50.0,
        sample_cpu_ns: 100.0,
        seal_sample_cpu_ns: 60.0,
        seal_series_cpu_us: 5.0,
        commits_per_s: 250.0,
        raw_bytes: [1.0, 2.0, 4.0],
        five_minutes_bytes: [10.0, 5.0],
        hour_bytes: [20.0, 15.0],
        tail_report_bytes: 100.0,
        tail_sample_bytes: 20.0,
        head_sample_bytes: 10.0,
        series_bytes: 100.0,
        base_bytes: 1e6,
        report_in_bytes: 500.0,
        sample_in_bytes: 5.0,
        report_out_bytes: 200.0,
    };
    const FLEET: Fleet = Fleet {
        devices: 100.0,
        metrics: 20.0,
        interval_s: 10.0,
        days: [30.0, 400.0, 1_825.0],
        bytes_max: [None; 3],
        head_samples: 4e6,
    };

    #[track_caller]
    fn about(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-9, "{found}, not {expected}");
    }

    #[test]
    fn everything_follows_from_reports_and_samples() {
        let forecast = Forecast::of(&FLEET, &COSTS);
        about(forecast.reports_per_s, 10.0);
        about(forecast.samples_per_s, 200.0);
        about(forecast.cores, 10.0 * 350e-6 + 200.0 * 160e-9 + 2_000.0 / 7_200.0 * 5e-6);
        about(forecast.in_bytes_per_s, 10.0 * 500.0 + 200.0 * 5.0);
        about(forecast.out_bytes_per_s, 2_000.0);
        about(forecast.tier_bytes[0], 200.0 * 86_400.0 * 30.0 * 2.0);
        about(forecast.tier_bytes[1], 2_000.0 * 288.0 * 400.0 * 10.0);
        about(forecast.tier_bytes[2], 2_000.0 * 24.0 * 1_825.0 * 20.0);
        about(forecast.tail_bytes, 16e6 + 200.0 * 7_200.0 * (100.0 / 20.0 + 20.0) * 1.5);
        about(forecast.disk_bytes(), forecast.tier_bytes.iter().sum::<f64>() + forecast.tail_bytes);
        let head = 200.0 * 7_200.0;
        about(forecast.memory_bytes, 1e6 + 48e6 + 2_000.0 * 100.0 + head * 10.0 + 8_640.0 * 20.0 * 32.0);
    }

    #[test]
    fn the_head_ends_at_its_limit_and_is_sealed_more_often_then() {
        let fast = Forecast::of(&Fleet { devices: 5_000.0, interval_s: 1.0, ..FLEET }, &COSTS);
        about(fast.tail_bytes, 16e6 + 4e6 * 25.0 * 1.5);
        // 100,000 samples a second: a seal every 40 seconds; no more commits than there can be.
        about(fast.cores, 250.0 * 300e-6 + 5_000.0 * 50e-6 + 1e5 * 160e-9 + 1e5 / 40.0 * 5e-6);
    }

    #[test]
    fn a_rollup_has_no_more_rows_than_reports() {
        let slow = Forecast::of(&Fleet { interval_s: 1_800.0, ..FLEET }, &COSTS);
        about(slow.tier_bytes[1], 2_000.0 * 48.0 * 400.0 * 5.0);
        about(slow.tier_bytes[2], 2_000.0 * 24.0 * 1_825.0 * 15.0);
        let slowest = Forecast::of(&Fleet { interval_s: 7_200.0, ..FLEET }, &COSTS);
        about(slowest.tier_bytes[2], 2_000.0 * 12.0 * 1_825.0 * 15.0);
    }

    #[test]
    fn a_tier_takes_no_more_than_it_may() {
        let bytes_max = [Some(1e6), None, Some(1e18)];
        let (bound, free) =
            (Forecast::of(&Fleet { bytes_max, ..FLEET }, &COSTS), Forecast::of(&FLEET, &COSTS));
        assert_eq!(bound.tier_bytes, [1e6, free.tier_bytes[1], free.tier_bytes[2]]);
    }

    #[test]
    fn bytes_between_two_measured_intervals_lie_between() {
        let at = |interval_s| between(interval_s, &[1.0, 10.0, 300.0], &[1.0, 2.0, 4.0]);
        assert_eq!([at(0.1), at(1.0), at(10.0), at(300.0), at(1e6)], [1.0, 1.0, 2.0, 4.0, 4.0]);
        about(at(10.0_f64.sqrt()), 1.5);
        about(at(3_000.0_f64.sqrt()), 3.0);
    }

    #[test]
    fn what_takes_the_largest_share_limits_first() {
        let forecast = Forecast::of(&FLEET, &COSTS);
        let machine = Machine { cores: 2.0, memory_bytes: Some(8e9), disk_bytes: Some(1e9) };
        let order: Vec<&str> = shares(&forecast, &machine).iter().map(|share| share.what).collect();
        assert_eq!(order, ["disk", "memory", "cores"]);
        let unknown = Machine { cores: 2.0, memory_bytes: None, disk_bytes: None };
        assert_eq!(shares(&forecast, &unknown).len(), 1);
    }
}
