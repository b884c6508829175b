//! What is played: the agent mix, integer CPU metrics, and recordings where there are some.

use std::path::{Path, PathBuf};

use anyhow::Result;
use bench::mix::{Device, Rates};

use crate::recordings;

/// Rows of one device in one batch: an hour at 10 s.
pub const BATCH_ROWS: usize = 360;
/// Distance of two rows, milliseconds.
pub const STEP_MS: i64 = 10_000;
/// How far a row is from its place, milliseconds: real agents are never exact.
pub const JITTER_MS: i64 = 20;

const HOUR_MS: i64 = 3_600_000;
/// How long ago the newest row is at least, milliseconds: by then nothing new is expected for its day, and it is put
/// into its final form.
const AGE_MS_MIN: i64 = 4 * HOUR_MS;

/// Batches that can be sent in any order: at most one of each device.
pub type Round = Vec<(usize, wire::Rows)>;

/// Samples of a round.
pub fn samples(round: &Round) -> u64 {
    round.iter().map(|(_, rows)| rows.columns.len() as u64 * rows.len() as u64).sum()
}

/// Where the newest day ends that both engines have closed: midnight, at least some hours ago.
pub fn end_of_history(now_ms: i64) -> i64 {
    let day_ms = 24 * HOUR_MS;
    (now_ms - AGE_MS_MIN).div_euclid(day_ms) * day_ms
}

/// The agent mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    pub seed: u64,
    pub metrics: usize,
    pub rates: Rates,
    pub jitter_ms: i64,
}

impl Mix {
    /// As in the table.
    pub fn name(&self) -> String {
        let rates = match self.rates {
            Rates::Full => "full-precision",
            Rates::Whole => "whole-number",
        };
        let jitter = if self.jitter_ms == 0 { "without jitter" } else { "with jitter" };
        format!("agent mix {jitter}, {rates} rates")
    }
}

/// Devices that report the mix together.
pub struct Fleet {
    devices: Vec<(usize, Device)>,
    jitter_ms: i64,
    next_ms: i64,
}

impl Fleet {
    /// The devices of these numbers, whose first row is `from_ms`.
    pub fn new(mix: Mix, numbers: std::ops::Range<usize>, from_ms: i64) -> Fleet {
        let device = |n| (n, Device::new(mix.seed, n as u64, mix.metrics).with_rates(mix.rates));
        Fleet { devices: numbers.map(device).collect(), jitter_ms: mix.jitter_ms, next_ms: from_ms }
    }

    /// The next rows of each.
    pub fn round(&mut self, rows: usize, step_ms: i64) -> Round {
        let from_ms = self.next_ms;
        self.next_ms += rows as i64 * step_ms;
        let jitter_ms = self.jitter_ms;
        let time = |i: usize, n: usize| {
            let t_ms = from_ms + i as i64 * step_ms;
            t_ms + jitter(t_ms, n, jitter_ms)
        };
        let devices = self.devices.iter_mut();
        devices.map(|(n, device)| (*n, device.rows_at((0..rows).map(|i| time(i, *n)).collect()))).collect()
    }

    /// Batches until this many rows of each were made.
    pub fn rounds(mut self, rows: usize) -> impl Iterator<Item = Round> {
        let batches = (0..rows).step_by(BATCH_ROWS).map(move |at| BATCH_ROWS.min(rows - at));
        batches.map(move |rows| self.round(rows, STEP_MS))
    }
}

/// The same in every run.
fn jitter(t_ms: i64, device: usize, most_ms: i64) -> i64 {
    // A few bits of a multiplicative hash are jitter enough.
    let hash = (t_ms + device as i64).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64);
    (hash >> 40).rem_euclid(2 * most_ms + 1) - most_ms
}

/// Something whose size is measured.
#[derive(Debug, Clone)]
pub enum Set {
    /// The mix.
    Mix(Mix),
    /// Ten integer metrics at exact times.
    CpuOnly { seed: u64 },
    /// One machine's own metrics once a second.
    RealHost(PathBuf),
    /// Several series of a folder, each alone.
    Series(PathBuf),
}

impl Set {
    /// All there are.
    pub fn all(seed: u64, metrics: usize, recordings: Option<&Path>) -> Vec<Set> {
        let mix = |rates, jitter_ms| Set::Mix(Mix { seed, metrics, rates, jitter_ms });
        let mut sets = vec![
            mix(Rates::Full, JITTER_MS),
            mix(Rates::Whole, JITTER_MS),
            mix(Rates::Full, 0),
            mix(Rates::Whole, 0),
            Set::CpuOnly { seed },
        ];
        if let Some(folder) = recordings {
            let of = |name, set: fn(PathBuf) -> Set| Some(folder.join(name)).filter(|p| p.exists()).map(set);
            sets.extend(of("real-host-1s.csv", Set::RealHost));
            sets.extend(of("nab", Set::Series));
        }
        sets
    }

    /// As in the table.
    pub fn name(&self) -> String {
        match self {
            Set::Mix(mix) => mix.name(),
            Set::CpuOnly { .. } => "ten integer CPU metrics, aligned".to_string(),
            Set::RealHost(_) => "real host at 1 s (recorded)".to_string(),
            Set::Series(_) => "NAB series, mostly at 5 min (recorded)".to_string(),
        }
    }

    /// Its rounds in the order of time, up to `end_ms`. Recordings are moved there: neither engine takes rows of
    /// any age. The generated ones have this many devices and rows.
    pub fn rounds(&self, devices: usize, rows: usize, end_ms: i64) -> Result<Vec<Round>> {
        let from_ms = first_row(end_ms, rows);
        match self {
            Set::Mix(mix) => Ok(Fleet::new(*mix, 0..devices, from_ms).rounds(rows).collect()),
            Set::CpuOnly { seed } => {
                // Aligned as the suite's are: to whole steps.
                let from_ms = from_ms.div_euclid(STEP_MS) * STEP_MS;
                let host = |n| (n, bench::cpu_only::rows(*seed, n as u64, from_ms, STEP_MS, rows));
                Ok(batches((0..devices).map(host).collect()))
            }
            Set::RealHost(path) => Ok(batches(vec![(0, recordings::wide(path, end_ms)?)])),
            Set::Series(folder) => {
                Ok(batches(recordings::series(folder, end_ms)?.into_iter().enumerate().collect()))
            }
        }
    }
}

/// Where the first of so many rows is, so that all are before the end and none is close to midnight.
pub fn first_row(end_ms: i64, rows: usize) -> i64 {
    end_ms - rows as i64 * STEP_MS + STEP_MS / 2
}

/// Rows of each device cut into batches.
fn batches(whole: Round) -> Vec<Round> {
    let most = whole.iter().map(|(_, rows)| rows.len()).max().unwrap_or_default();
    let cut = |at: usize| {
        let devices = whole.iter().filter(|(_, rows)| at < rows.len());
        devices.map(|(n, rows)| (*n, slice(rows, at, BATCH_ROWS.min(rows.len() - at)))).collect()
    };
    (0..most).step_by(BATCH_ROWS).map(cut).collect()
}

fn slice(rows: &wire::Rows, at: usize, count: usize) -> wire::Rows {
    let columns = rows.columns.iter().map(|column| wire::Column {
        name: column.name.clone(),
        kind: column.kind,
        values: column.values[at..at + count].to_vec(),
        present: wire::Presence::All,
    });
    wire::Rows { t_ms: rows.t_ms[at..at + count].to_vec(), columns: columns.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIX: Mix = Mix { seed: 1, metrics: 20, rates: Rates::Full, jitter_ms: JITTER_MS };

    #[test]
    fn history_ends_at_midnight_some_hours_ago() {
        let midnight = 1_800_057_600_000;
        for (now, end) in [(3, -1), (4, 0), (23, 0), (27, 0), (28, 1)] {
            assert_eq!(end_of_history(midnight + now * HOUR_MS), midnight + end * 24 * HOUR_MS, "{now}");
        }
    }

    #[test]
    fn rows_are_near_their_place_before_the_end_and_the_same_in_every_run() {
        let end_ms = end_of_history(1_800_000_000_000);
        let rounds = Set::Mix(MIX).rounds(3, 800, end_ms).unwrap();
        assert_eq!(rounds, Set::Mix(MIX).rounds(3, 800, end_ms).unwrap());
        assert_eq!(rounds.iter().map(|round| round[0].1.len()).collect::<Vec<_>>(), [360, 360, 80]);
        assert_eq!(rounds.iter().map(samples).sum::<u64>(), 3 * 800 * 20);
        let times = |n: usize| rounds.iter().flat_map(move |round| round[n].1.t_ms.clone());
        for (i, t_ms) in times(1).enumerate() {
            let place = first_row(end_ms, 800) + i as i64 * STEP_MS;
            assert!((t_ms - place).abs() <= JITTER_MS && t_ms < end_ms, "{i}: {t_ms}");
        }
        assert!(times(1).ne(times(2)), "each device has its own jitter");
        let exact = Set::Mix(Mix { jitter_ms: 0, ..MIX }).rounds(1, 10, end_ms).unwrap();
        assert!(exact[0][0].1.t_ms.windows(2).all(|two| two[1] - two[0] == STEP_MS));
    }

    #[test]
    fn shorter_devices_are_done_earlier_and_nothing_is_left_out() {
        let rows = |count| bench::cpu_only::rows(1, 1, 0, STEP_MS, count);
        let rounds = batches(vec![(0, rows(700)), (1, rows(100))]);
        let sizes = |round: &Round| round.iter().map(|(n, rows)| (*n, rows.len())).collect::<Vec<_>>();
        assert_eq!(rounds.iter().map(sizes).collect::<Vec<_>>(), [vec![(0, 360), (1, 100)], vec![(0, 340)]]);
        assert_eq!(rounds[1][0].1.t_ms, rows(700).t_ms[360..]);
        assert_eq!(rounds[1][0].1.columns[9].values, rows(700).columns[9].values[360..]);
    }
}
