//! The report: what was played, what was found, and whether that is as it should be.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::fleet::Counts;
use crate::people::Seen;
use crate::server::Look;
use crate::verify::Found;

/// A stop may take so long.
const STOP_MAX: Duration = Duration::from_secs(10);
/// Memory of a calm hour may grow by this share of what it is: more is a leak.
const GROWTH_MAX: f64 = 0.5;
/// Less than this may be the server's cache of unpacked chunks, which may hold so much and is not full for the first half
/// hour after a start, whatever an hour of it would be. A leak that is slower than that shows in a longer run.
const GROWTH_NOISE_BYTES: f64 = (32 << 20) as f64;
/// Bytes of a sealed sample with its rollups at most: such data takes about 1 in chunks of hours, more in the small ones
/// that a short run makes.
const SAMPLE_BYTES_MAX: f64 = 4.0;
/// With fewer samples the chunks are too small to say anything.
const SAMPLES_MIN: u64 = 1_000_000;

/// What the server says of its storage.
#[derive(Debug)]
pub struct Storage {
    pub sealed_samples: u64,
    pub sealed_bytes: u64,
    pub head_samples: u64,
}

impl Storage {
    pub fn of(answer: &Value) -> Result<Storage> {
        let tiers = answer["tiers"].as_array().context("there are no tiers in the answer")?;
        let of_raw = tiers.iter().find(|tier| tier["tier"] == "raw").context("there is no raw tier")?;
        Ok(Storage {
            sealed_samples: of_raw["samples"].as_u64().context("the raw tier has no number of samples")?,
            sealed_bytes: tiers.iter().filter_map(|tier| tier["bytes"].as_u64()).sum(),
            head_samples: answer["head_samples"]
                .as_u64()
                .context("there is no number of samples in memory")?,
        })
    }
}

/// See the module.
pub struct Report {
    pub devices: u32,
    pub interval: Duration,
    pub seed: u64,
    pub took: Duration,
    /// From when on nothing was restarted.
    pub calm_from: Duration,
    pub sent: Counts,
    pub found: Found,
    pub people: Seen,
    pub starts: Vec<Duration>,
    pub stops: Vec<Duration>,
    pub kills: u32,
    pub looks: Vec<Look>,
    pub files: BTreeMap<String, u64>,
    pub checked: String,
    pub storage: Storage,
}

impl Report {
    /// What is not as it should be.
    pub fn faults(&self) -> Vec<String> {
        let Found { rows_lost, rows_unknown, rows_changed, sums_wrong, .. } = self.found;
        let mut faults = Vec::new();
        let mut fault = |wrong: bool, text: String| {
            if wrong {
                faults.push(text);
            }
        };
        fault(rows_lost > 0, format!("{rows_lost} acknowledged rows are gone"));
        fault(rows_unknown > 0, format!("{rows_unknown} rows were never sent"));
        fault(rows_changed > 0, format!("{rows_changed} rows are not as they were sent"));
        fault(
            sums_wrong > 0,
            format!("{sums_wrong} devices have other log lines or tokens than acknowledged"),
        );
        fault(!self.people.odd.is_empty(), format!("odd answers: {}", self.people.odd.join(", ")));
        let slowest = self.stops.iter().max().copied().unwrap_or_default();
        fault(slowest > STOP_MAX, format!("a stop took {slowest:?}"));
        if let Some(memory) = self.calm_memory() {
            fault(
                !memory.is_flat(),
                format!("memory grows by {:.1} MiB an hour", mib_f(memory.growth_per_hour)),
            );
        }
        let logs: u64 =
            self.files.iter().filter(|(name, _)| name.ends_with("-wal")).map(|(_, bytes)| bytes).sum();
        fault(logs > 0, format!("{logs} bytes of logs are left after a clean stop"));
        let per_sample = self.bytes_per_sample();
        let large = self.storage.sealed_samples >= SAMPLES_MIN && per_sample > SAMPLE_BYTES_MAX;
        fault(large, format!("a sealed sample takes {per_sample:.2} bytes"));
        faults
    }

    fn bytes_per_sample(&self) -> f64 {
        self.storage.sealed_bytes as f64 / self.storage.sealed_samples.max(1) as f64
    }

    fn calm_memory(&self) -> Option<Memory> {
        // The first minute is that of caches.
        let from = self.calm_from + Duration::from_secs(60);
        Memory::of(self.looks.iter().filter(|look| look.at >= from))
    }

    /// The whole of it.
    pub fn markdown(&self) -> String {
        let Report { sent, found, people, .. } = self;
        let mut out = String::from("| | |\n| --- | ---: |\n");
        let mut line = |name: &str, value: String| {
            // Writing to a string does not fail.
            let _ = writeln!(out, "| {name} | {value} |");
        };
        line("devices, reports", format!("{}, one each {:?}", self.devices, self.interval));
        line("played", format!("{:.0} min, seed {}", self.took.as_secs_f64() / 60.0, self.seed));
        line("killed with `kill -9`, stopped", format!("{}, {}", self.kills, self.stops.len()));
        line("ready again after", format!("{} at most", seconds(self.starts.iter().max())));
        line("stopped within", format!("{} at most", seconds(self.stops.iter().max())));
        line("devices that went away and came back", sent.away.to_string());
        line("rows acknowledged / lost / never sent / changed", {
            format!("{} / {} / {} / {}", sent.rows, found.rows_lost, found.rows_unknown, found.rows_changed)
        });
        line("log lines acknowledged / found", format!("{} / {}", sent.lines, found.lines));
        line("tokens acknowledged / found", format!("{} / {}", sent.tokens, found.tokens));
        line("acknowledged, p50 / p99 / p99.9", {
            let at = |share| milliseconds(&sent.latencies_us, share);
            format!("{} / {} / {}", at(0.5), at(0.99), at(0.999))
        });
        line("reports sent again", (sent.refused + sent.unanswered).to_string());
        line("questions answered, p50 / p99", {
            let at = |share| milliseconds(&people.latencies_us, share);
            format!("{}, {} / {}", people.latencies_us.len(), at(0.5), at(0.99))
        });
        line("answers other than 200, 201, 503", people.odd.len().to_string());
        line("live feeds opened, messages", format!("{}, {}", people.feeds_opened, people.feed_messages));
        line("devices added and deleted again", people.guests.to_string());
        let peak = self.looks.iter().map(|look| look.rss_bytes).max().unwrap_or_default();
        line("memory, most", format!("{:.0} MiB", mib(peak)));
        if let Some(memory) = self.calm_memory() {
            line("memory of the calm part, first / last minute", {
                format!("{:.0} / {:.0} MiB", mib_f(memory.first), mib_f(memory.last))
            });
        }
        line(
            "open files, most",
            self.looks.iter().map(|look| look.files_open).max().unwrap_or(0).to_string(),
        );
        for (name, bytes) in self.files.iter().filter(|(_, bytes)| **bytes >= 64 << 10) {
            line(&format!("`{name}` after a stop"), format!("{:.1} MiB", mib(*bytes)));
        }
        line(
            "samples sealed, in memory",
            format!("{}, {}", self.storage.sealed_samples, self.storage.head_samples),
        );
        line("bytes per sealed sample, rollups included", format!("{:.2}", self.bytes_per_sample()));
        line("`openclaw-watch check`", self.checked.clone());
        out
    }
}

/// Memory over a time in which nothing was restarted.
#[derive(Debug)]
struct Memory {
    /// Means of its first and last minute.
    first: f64,
    last: f64,
    /// Between the two, as if it went on for an hour.
    growth_per_hour: f64,
}

impl Memory {
    fn of<'a>(looks: impl Iterator<Item = &'a Look>) -> Option<Memory> {
        const MINUTE: Duration = Duration::from_secs(60);
        let looks: Vec<&Look> = looks.collect();
        let (begin, end) = (looks.first()?.at, looks.last()?.at);
        let mean = |from: Duration, to: Duration| {
            let within = looks.iter().filter(|look| (from..=to).contains(&look.at));
            let (sum, count) = within.fold((0, 0), |(sum, count), look| (sum + look.rss_bytes, count + 1));
            sum as f64 / f64::from(count.max(1))
        };
        let (first, last) = (mean(begin, begin + MINUTE), mean(end.saturating_sub(MINUTE), end));
        // From the middle of one minute to that of the other.
        let hours = end.checked_sub(begin + MINUTE).filter(|time| *time > MINUTE)?.as_secs_f64() / 3_600.0;
        Some(Memory { first, last, growth_per_hour: (last - first) / hours })
    }

    fn is_flat(&self) -> bool {
        self.last - self.first < GROWTH_NOISE_BYTES || self.growth_per_hour < GROWTH_MAX * self.first
    }
}

fn seconds(time: Option<&Duration>) -> String {
    format!("{:.2} s", time.copied().unwrap_or_default().as_secs_f64())
}

fn milliseconds(sorted_us: &[u32], share: f64) -> String {
    let at = (sorted_us.len() as f64 * share) as usize;
    match sorted_us.get(at.min(sorted_us.len().saturating_sub(1))) {
        Some(us) => format!("{:.1} ms", f64::from(*us) / 1_000.0),
        None => "-".into(),
    }
}

fn mib(bytes: u64) -> f64 {
    mib_f(bytes as f64)
}

fn mib_f(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(mib_at_minute: impl Fn(u64) -> u64) -> Memory {
        let look = |second: u64| Look {
            at: Duration::from_secs(second),
            rss_bytes: mib_at_minute(second / 60) << 20,
            files_open: 9,
        };
        let looks: Vec<Look> = (0..20 * 60).step_by(5).map(look).collect();
        Memory::of(looks.iter()).unwrap()
    }

    #[test]
    fn memory_that_only_grows_is_not_flat() {
        assert!(memory(|_| 80).is_flat());
        assert!(memory(|minute| 80 + minute % 5).is_flat());
        assert!(!memory(|minute| 80 + 2 * minute).is_flat());
        assert!(Memory::of([].iter()).is_none());
    }

    fn report() -> Report {
        Report {
            devices: 2,
            interval: Duration::from_secs(1),
            seed: 1,
            took: Duration::from_secs(60),
            calm_from: Duration::from_secs(30),
            sent: Counts { rows: 7, ..Counts::default() },
            found: Found { rows: 7, ..Found::default() },
            people: Seen::default(),
            starts: vec![Duration::from_millis(20)],
            stops: vec![Duration::from_millis(30)],
            kills: 1,
            looks: Vec::new(),
            files: BTreeMap::from([("tail.db".into(), 1 << 20)]),
            checked: "sound".into(),
            storage: Storage { sealed_samples: 100, sealed_bytes: 150, head_samples: 0 },
        }
    }

    #[test]
    fn each_thing_that_is_not_as_it_should_be_is_said() {
        assert_eq!(report().faults(), Vec::<String>::new());
        let lost = Report { found: Found { rows_lost: 1, sums_wrong: 2, ..Found::default() }, ..report() };
        assert_eq!(lost.faults().len(), 2, "{:?}", lost.faults());
        let slow = Report { stops: vec![Duration::from_secs(11)], ..report() };
        assert!(slow.faults()[0].contains("11s"), "{:?}", slow.faults());
        let logs = Report { files: BTreeMap::from([("meta.db-wal".into(), 5)]), ..report() };
        assert!(logs.faults()[0].contains("5 bytes of logs"), "{:?}", logs.faults());
        let large = Report {
            storage: Storage { sealed_samples: 1_000_000, sealed_bytes: 9_000_000, head_samples: 0 },
            ..report()
        };
        let few = Storage { sealed_samples: 100, sealed_bytes: 900, head_samples: 0 };
        assert_eq!(Report { storage: few, ..report() }.faults(), Vec::<String>::new());
        assert!(large.faults()[0].contains("9.00 bytes"), "{:?}", large.faults());
    }

    #[test]
    fn the_report_is_a_table() {
        let text = report().markdown();
        assert!(text.lines().all(|line| line.starts_with('|') && line.ends_with('|')), "{text}");
        assert!(text.contains("| 7 / 0 / 0 / 0 |"), "{text}");
    }
}
