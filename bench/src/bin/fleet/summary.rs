//! The lines printed at the end.

use std::fmt::Write;
use std::time::Duration;

use crate::play::Played;
use bench::process::Usage;

/// What is printed. Usage and bytes are those before and after the play.
pub fn text(played: &Played, usage: Option<(Usage, Usage)>, bytes: Option<(u64, u64)>) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{name:<28}{value}");
    };
    let seconds = played.took.as_secs_f64().max(f64::MIN_POSITIVE);
    let samples = played.rows_accepted * played.metrics;
    let answered = played.latencies_us.len();
    line("samples/s", format!("{:.0}", samples as f64 / seconds));
    line("requests/s", format!("{:.1}", answered as f64 / seconds));
    line("samples", samples.to_string());
    for (status, count) in &played.by_status {
        match status {
            0 => line("without an answer", count.to_string()),
            status => line(&format!("answered {status}"), count.to_string()),
        }
    }
    line(
        "errors",
        (played.by_status.iter().filter(|(s, _)| **s != 200).map(|(_, n)| n).sum::<u64>()).to_string(),
    );
    if played.given_up > 0 {
        line("given up", played.given_up.to_string());
    }
    if played.rows_rejected > 0 {
        line("rows rejected", played.rows_rejected.to_string());
    }
    if let Some(error) = &played.first_error {
        line("first error", error.clone());
    }
    line("bytes sent per sample", per(played.bytes_sent as f64, samples, 2));
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
        let ms = quantile_us(&played.latencies_us, share).map(|us| f64::from(us) / 1_000.0);
        line(&format!("acknowledged, {name}"), ms.map_or("-".into(), |ms| format!("{ms:.2} ms")));
    }
    // Rows are sealed into chunks only after hours: a short play sees the tail and the databases' logs.
    used(&mut line, samples, usage, bytes, "not sealed yet");
    out
}

/// What is printed after loading the past.
pub fn loaded(
    took: Duration,
    samples: u64,
    usage: Option<(Usage, Usage)>,
    bytes: Option<(u64, u64)>,
) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<28}{value}");
    };
    line("samples", samples.to_string());
    line("took", format!("{:.1} s", took.as_secs_f64()));
    line("samples/s", format!("{:.0}", samples as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE)));
    used(&mut line, samples, usage, bytes, "not merged yet");
    out
}

fn used(
    line: &mut impl FnMut(&str, String),
    samples: u64,
    usage: Option<(Usage, Usage)>,
    bytes: Option<(u64, u64)>,
    state: &str,
) {
    if let Some((before, after)) = usage {
        let cpu_s = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        line("server CPU", format!("{cpu_s:.2} s"));
        line("server CPU per M samples", format!("{} s", per(cpu_s * 1e6, samples, 3)));
        line("server memory", format!("{:.1} MiB", mib(after.rss_bytes)));
        line("server memory, peak", format!("{:.1} MiB", mib(after.rss_peak_bytes)));
    }
    if let Some((before, after)) = bytes {
        let grown = after as f64 - before as f64;
        line("data folder", format!("{:.1} MiB, {:+.1} MiB", mib(after), grown / (1 << 20) as f64));
        line("bytes on disk per sample", format!("{} ({state})", per(grown, samples, 2)));
    }
}

/// The value that `share` of all sorted values do not exceed.
fn quantile_us(sorted: &[u32], share: f64) -> Option<u32> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

fn per(amount: f64, samples: u64, decimals: usize) -> String {
    if samples == 0 { "-".into() } else { format!("{:.decimals$}", amount / samples as f64) }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let sorted: Vec<u32> = (1..=1_000).collect();
        assert_eq!(quantile_us(&sorted, 0.5), Some(500));
        assert_eq!(quantile_us(&sorted, 0.99), Some(990));
        assert_eq!(quantile_us(&sorted, 1.0), Some(1_000));
        assert_eq!(quantile_us(&[7], 0.5), Some(7));
        assert_eq!(quantile_us(&[], 0.5), None);
    }

    #[test]
    fn figures_are_of_what_was_accepted() {
        let played = Played {
            took: Duration::from_secs(10),
            by_status: BTreeMap::from([(0, 1), (200, 100), (503, 2)]),
            rows_accepted: 100,
            metrics: 20,
            bytes_sent: 10_000,
            latencies_us: vec![1_000; 100],
            first_error: Some("cut off".into()),
            ..Played::default()
        };
        let usage =
            |cpu_s, rss| Usage { cpu: Duration::from_secs(cpu_s), rss_bytes: rss, rss_peak_bytes: rss };
        let text = text(&played, Some((usage(1, 0), usage(3, 1 << 20))), Some((0, 4_000)));
        for expected in [
            "samples/s                   200\n",
            "requests/s                  10.0\n",
            "without an answer           1\n",
            "answered 503                2\n",
            "errors                      3\n",
            "bytes sent per sample       5.00\n",
            "acknowledged, p99           1.00 ms\n",
            "server CPU per M samples    1000.000 s\n",
            "server memory, peak         1.0 MiB\n",
            "bytes on disk per sample    2.00 (not sealed yet)\n",
        ] {
            assert!(text.contains(expected), "{expected:?} is not in\n{text}");
        }
        assert!(!played.is_clean());
    }

    #[test]
    fn what_was_loaded_is_told_with_its_rate() {
        let text = loaded(Duration::from_secs(10), 1_000_000, None, Some((500, 2_000_500)));
        for expected in ["samples/s                   100000\n", "2.00 (not merged yet)\n", "10.0 s\n"] {
            assert!(text.contains(expected), "{expected:?} is not in\n{text}");
        }
    }

    #[test]
    fn nothing_played_is_shown_without_nonsense() {
        let text = text(&Played::default(), None, None);
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}
