//! The table that is printed.

use std::fmt::Write;
use std::time::Duration;

use crate::engine::Query;

/// What one engine needed.
pub struct Measured {
    pub samples: u64,
    pub batch_cpu: Duration,
    pub single_reports: u64,
    pub single_cpu: Duration,
    pub bytes: u64,
    pub folder_bytes: u64,
    pub rss_peak_bytes: u64,
    pub rss_bytes: u64,
    pub queries: Vec<(Query, Duration)>,
    pub first_answer: Duration,
    pub probes: usize,
    pub probes_lost: usize,
}

/// Both, side by side, as Markdown.
pub fn markdown(ours: &Measured, victoria: &Measured) -> String {
    let mut text = String::from("| | OpenClaw Watch | VictoriaMetrics |\n| --- | ---: | ---: |\n");
    let mut row = |name: &str, value: &dyn Fn(&Measured) -> String| {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "| {name} | {} | {} |", value(ours), value(victoria));
    };
    row("samples per CPU second, big batches", &|m| {
        format!("{:.2} M", m.samples as f64 / m.batch_cpu.as_secs_f64().max(0.001) / 1e6)
    });
    row("requests per CPU second, one row each", &|m| {
        format!("{:.0}", m.single_reports as f64 / m.single_cpu.as_secs_f64().max(0.001))
    });
    row("bytes per sample, all tiers, with the file's overhead", &|m| {
        format!("{:.3}", m.bytes as f64 / m.samples as f64)
    });
    row("whole data folder after a clean stop", &|m| format!("{:.1} MiB", mib(m.folder_bytes)));
    row("peak memory while loading", &|m| format!("{:.0} MiB", mib(m.rss_peak_bytes)));
    row("memory after the queries", &|m| format!("{:.0} MiB", mib(m.rss_bytes)));
    for query in Query::ALL {
        row(query.name(), &|m| {
            let time = m.queries.iter().find(|(asked, _)| *asked == query).map_or(Duration::ZERO, |q| q.1);
            format!("{:.2} ms", time.as_secs_f64() * 1e3)
        });
    }
    row("first answer after a restart, 24 h", &|m| format!("{:.1} ms", m.first_answer.as_secs_f64() * 1e3));
    row("acknowledged reports lost at kill -9", &|m| format!("{} of {}", m.probes_lost, m.probes));
    text
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stands_for_each_query_and_figures_are_per_sample() {
        let measured = |bytes| Measured {
            samples: 1_000_000,
            batch_cpu: Duration::from_millis(500),
            single_reports: 100,
            single_cpu: Duration::ZERO,
            bytes,
            folder_bytes: 0,
            rss_peak_bytes: 0,
            rss_bytes: 0,
            queries: vec![(Query::Latest, Duration::from_micros(1_500))],
            first_answer: Duration::ZERO,
            probes: 10,
            probes_lost: 3,
        };
        let text = markdown(&measured(1_250_000), &measured(2_000_000));
        assert!(text.contains("big batches | 2.00 M | 2.00 M |"), "{text}");
        assert!(text.contains("overhead | 1.250 | 2.000 |"), "{text}");
        assert!(text.contains("latest of everything | 1.50 ms | 1.50 ms |"), "{text}");
        assert!(Query::ALL.iter().all(|query| text.contains(query.name())), "{text}");
        assert!(text.contains("3 of 10"), "{text}");
    }
}
