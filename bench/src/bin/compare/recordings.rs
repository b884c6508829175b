//! Recordings of real machines as CSV: the first line names the columns, the first column is the time.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use wire::Kind;

/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Files of one folder.
const FILES_MAX: usize = 100;
/// Columns that count; all others go up and down.
const COUNTERS: [&str; 1] = ["ctx_switches"];

/// One device with a column a metric; its last row is moved to just before `end_ms`.
pub fn wide(path: &Path, end_ms: i64) -> Result<wire::Rows> {
    parse(&read(path)?, end_ms).with_context(|| path.display().to_string())
}

/// The files of a folder, each one a series of its own that ends at `end_ms`.
pub fn series(folder: &Path, end_ms: i64) -> Result<Vec<wire::Rows>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
    paths.sort_unstable();
    ensure!(paths.len() <= FILES_MAX, "{} has more than {FILES_MAX} recordings", folder.display());
    paths.iter().map(|path| wide(path, end_ms)).collect()
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    ensure!(bytes <= FILE_BYTES_MAX, "{} is too large to be a recording", path.display());
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn parse(text: &str, end_ms: i64) -> Result<wire::Rows> {
    let mut lines = text.lines();
    let (_, names) = lines.next().and_then(|line| line.split_once(',')).context("it names no columns")?;
    let mut columns: Vec<wire::Column> = names
        .split(',')
        .map(|name| wire::Column {
            name: name.to_string(),
            kind: if COUNTERS.contains(&name) { Kind::Counter } else { Kind::Gauge },
            values: Vec::new(),
            present: wire::Presence::All,
        })
        .collect();
    let mut t_ms = Vec::new();
    for (i, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
        let fault = || format!("line {}: {line}", i + 2);
        let mut fields = line.split(',');
        t_ms.push(fields.next().and_then(time).with_context(fault)?);
        for column in &mut columns {
            column.values.push(fields.next().and_then(|field| field.parse().ok()).with_context(fault)?);
        }
        ensure!(fields.next().is_none(), fault());
    }
    let newest = t_ms.iter().max().context("it has no rows")?;
    // Just before the end, as ranges are half-open; by whole seconds, so that grids stay grids.
    let moved = (end_ms - newest - 1).div_euclid(1_000) * 1_000;
    t_ms.iter_mut().for_each(|t| *t += moved);
    Ok(wire::Rows { t_ms, columns })
}

/// Unix milliseconds, or a date and time, taken for UTC.
fn time(text: &str) -> Option<i64> {
    let dated = || {
        let time: jiff::civil::DateTime = text.parse().ok()?;
        Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
    };
    text.parse().ok().or_else(dated)
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: i64 = 1_800_057_600_000;

    #[test]
    fn both_kinds_of_times_are_read_and_moved_to_the_end() {
        let wide =
            parse("ts_ms,cpu,ctx_switches\n1795344766133,52.5,100\n1795344767133,1e3,105\n", END).unwrap();
        assert_eq!(wide.t_ms, [END - 1_867, END - 867]);
        assert_eq!(wide.columns[0].values, [52.5, 1_000.0]);
        assert_eq!((wide.columns[0].kind, wide.columns[1].kind), (Kind::Gauge, Kind::Counter));
        let dated = parse("timestamp,value\n2014-04-10 23:59:00,1.5\n2014-04-11 00:04:00,2\n", END).unwrap();
        assert_eq!(dated.t_ms, [END - 301_000, END - 1_000]);
    }

    #[test]
    fn what_is_no_recording_is_told_with_its_line() {
        for text in ["", "t\n1", "t,a\n", "t,a\nyesterday,1\n", "t,a\n1,2,3\n", "t,a\n1\n", "t,a\n1,x\n"] {
            assert!(parse(text, END).is_err(), "{text:?}");
        }
        let error = parse("t,a\n1,2\n3,x\n", END).unwrap_err().to_string();
        assert_eq!(error, "line 3: 3,x");
    }
}
