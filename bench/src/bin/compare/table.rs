//! The table that is printed.

use std::fmt::Write;
use std::time::Duration;

use crate::engine::Query;

/// A load of big batches.
#[derive(Debug, Clone)]
pub struct Load {
    /// The form of the batches.
    pub form: &'static str,
    pub samples: u64,
    /// Of the server, until all is in its final form.
    pub cpu: Duration,
}

/// The server's memory while it loaded, and when all was in its final form.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    pub peak_bytes: u64,
    pub rest_bytes: u64,
}

/// What a set of data takes on disk.
#[derive(Debug, Clone)]
pub struct Size {
    /// Its name.
    pub set: String,
    pub samples: u64,
    /// With the overhead of the files, and with rollups.
    pub bytes: u64,
    /// Of them rollups.
    pub rollup_bytes: u64,
}

/// What one engine needed; what was not measured is empty.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    pub engine: &'static str,
    pub promise: &'static str,
    /// The first form first, then the others.
    pub loads: Vec<Load>,
    pub memory: Option<Memory>,
    /// Memory after the questions.
    pub asked_bytes: Option<u64>,
    pub folder_bytes: Option<u64>,
    pub sizes: Vec<Size>,
    pub warm: Vec<(Query, Duration)>,
    pub cold: Vec<(Query, Duration)>,
    /// Values that did not come back bit for bit, of how many.
    pub inexact: Option<(usize, usize)>,
    /// Reports, and the server's CPU.
    pub singles: Option<(u64, Duration)>,
    /// Acknowledged reports that were not there after kill -9, of how many.
    pub lost: Option<(usize, usize)>,
}

impl Measured {
    /// With nothing measured yet.
    pub fn new(engine: &'static str, promise: &'static str) -> Measured {
        Measured { engine, promise, ..Measured::default() }
    }
}

/// Side by side, as Markdown. A row of which nothing was measured is left out.
pub fn markdown(engines: &[Measured]) -> String {
    let mut text = String::from("| |");
    engines.iter().for_each(|m| text.push_str(&format!(" {} |", m.engine)));
    text.push_str("\n| --- |");
    engines.iter().for_each(|_| text.push_str(" ---: |"));
    text.push('\n');
    let mut row = |name: &str, cell: &dyn Fn(&Measured) -> Option<String>| {
        let cells: Vec<Option<String>> = engines.iter().map(cell).collect();
        if cells.iter().any(Option::is_some) {
            let cells: Vec<String> =
                cells.into_iter().map(|cell| cell.unwrap_or_else(|| "-".into())).collect();
            // Writing into a string cannot fail.
            let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
        }
    };
    row("samples per CPU second, big batches", &|m| {
        let cells: Vec<String> = m.loads.iter().map(load).collect();
        (!cells.is_empty()).then(|| cells.join(", "))
    });
    row("requests per CPU second, one row each", &|m| {
        let (reports, cpu) = m.singles?;
        Some(format!("{:.0}, {}", per_second(reports, cpu), m.promise))
    });
    row("acknowledged reports lost at kill -9", &|m| m.lost.map(of));
    row("full-precision rates that do not come back bit for bit", &|m| m.inexact.map(of));
    let mut sets: Vec<&str> = Vec::new();
    for size in engines.iter().flat_map(|m| &m.sizes) {
        if !sets.contains(&size.set.as_str()) {
            sets.push(&size.set);
        }
    }
    for set in sets {
        row(&format!("bytes per sample, {set}"), &|m| m.sizes.iter().find(|s| s.set == set).map(size));
    }
    row("whole data folder after the load", &|m| m.folder_bytes.map(mib));
    for query in Query::ALL {
        row(&format!("{}, warm / after a restart", query.name()), &|m| {
            let of =
                |times: &[(Query, Duration)]| times.iter().find(|(asked, _)| *asked == query).map(|t| t.1);
            Some(format!("{} / {}", ms(of(&m.warm)?), ms(of(&m.cold)?)))
        });
    }
    row("peak memory while loading, at rest 15 s after it", &|m| {
        m.memory.map(|memory| format!("{}, {}", mib(memory.peak_bytes), mib(memory.rest_bytes)))
    });
    row("memory 15 s after the queries", &|m| m.asked_bytes.map(mib));
    text
}

fn load(load: &Load) -> String {
    format!("{:.2} M {}", per_second(load.samples, load.cpu) / 1e6, load.form)
}

fn size(size: &Size) -> String {
    let per_sample = |bytes: u64| bytes as f64 / size.samples.max(1) as f64;
    let raw = per_sample(size.bytes.saturating_sub(size.rollup_bytes));
    if size.rollup_bytes == 0 {
        return format!("{raw:.3}");
    }
    format!("{raw:.3}, {:.3} with rollups", per_sample(size.bytes))
}

fn per_second(count: u64, cpu: Duration) -> f64 {
    // Linux counts in hundredths of a second.
    count as f64 / cpu.as_secs_f64().max(0.01)
}

fn of((some, all): (usize, usize)) -> String {
    format!("{some} of {all}")
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_per_sample_and_per_second_and_what_is_missing_is_a_dash() {
        let load = |form, samples, ms| Load { form, samples, cpu: Duration::from_millis(ms) };
        let size = |set: &str, bytes, rollup_bytes| Size {
            set: set.to_string(),
            samples: 1_000_000,
            bytes,
            rollup_bytes,
        };
        let ours = Measured {
            loads: vec![load("frames", 1_000_000, 500), load("JSON", 1_000_000, 1_000)],
            sizes: vec![size("mix", 1_250_000, 50_000)],
            warm: vec![(Query::Latest, Duration::from_micros(1_500))],
            cold: vec![(Query::Latest, Duration::from_millis(3))],
            inexact: Some((0, 8_640)),
            singles: Some((100, Duration::ZERO)),
            ..Measured::new("Ours", "synced")
        };
        let other = Measured {
            sizes: vec![size("mix", 2_000_000, 0), size("host", 1_000_000, 0)],
            lost: Some((3, 10)),
            memory: Some(Memory { peak_bytes: 3 << 20, rest_bytes: 2 << 20 }),
            ..Measured::new("Other", "not synced")
        };
        let expected = "\
| | Ours | Other |
| --- | ---: | ---: |
| samples per CPU second, big batches | 2.00 M frames, 1.00 M JSON | - |
| requests per CPU second, one row each | 10000, synced | - |
| acknowledged reports lost at kill -9 | - | 3 of 10 |
| full-precision rates that do not come back bit for bit | 0 of 8640 | - |
| bytes per sample, mix | 1.200, 1.250 with rollups | 2.000 |
| bytes per sample, host | - | 1.000 |
| latest of everything, warm / after a restart | 1.50 ms / 3.00 ms | - |
| peak memory while loading, at rest 15 s after it | - | 3 MiB, 2 MiB |
";
        assert_eq!(markdown(&[ours, other]), expected);
    }
}
