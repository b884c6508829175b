//! What a report and a sample cost: measured once for everybody, or anew on the machine in question. The benches `append`,
//! `stages` and `chunk` measure the same stages one by one.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

/// Where costs that were measured anew are kept, in the data folder.
const FILE: &str = "plan.toml";

/// Intervals at which bytes were measured, seconds: rows close together look alike, rows far apart do not.
pub const RAW_INTERVALS_S: [f64; 3] = [1.0, 10.0, 300.0];
/// The same of rollups, whose rows look alike while there are many rows in a step.
pub const ROLLUP_INTERVALS_S: [f64; 2] = [10.0, 300.0];

/// Measured with an agent's usual metrics.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Costs {
    /// CPU of the server for a synced commit, which reports share that come at the same time.
    pub commit_cpu_us: f64,
    /// CPU for a report, whatever is in it: connection, HTTP, key, answer.
    pub report_cpu_us: f64,
    /// CPU for each sample on top: decoding, tail, head.
    pub sample_cpu_ns: f64,
    /// CPU for each sample until it is merged: sealing, rollups, merging.
    pub seal_sample_cpu_ns: f64,
    /// CPU for each metric of each device each time that it is sealed.
    pub seal_series_cpu_us: f64,
    /// Commits when more reports come than can be answered.
    pub commits_per_s: f64,
    /// Bytes on disk of a raw sample once it is merged, with what SQLite adds; at [`RAW_INTERVALS_S`].
    pub raw_bytes: [f64; 3],
    /// The same of one metric in a step of five minutes and in one of an hour; at [`ROLLUP_INTERVALS_S`].
    pub five_minutes_bytes: [f64; 2],
    pub hour_bytes: [f64; 2],
    /// The same of a report that is not sealed yet, and of each sample in it.
    pub tail_report_bytes: f64,
    pub tail_sample_bytes: f64,
    /// Memory of a sample that is not sealed yet, of a metric of a device, and of the server without either.
    pub head_sample_bytes: f64,
    pub series_bytes: f64,
    pub base_bytes: f64,
    /// Network: a report's head, each sample in it, and the answer.
    pub report_in_bytes: f64,
    pub sample_in_bytes: f64,
    pub report_out_bytes: f64,
}

/// As `openclaw-watch plan --calibrate` measured it, see [`MEASURED_ON`].
pub const MEASURED: Costs = Costs {
    commit_cpu_us: 471.0,
    report_cpu_us: 21.6,
    sample_cpu_ns: 228.0,
    seal_sample_cpu_ns: 40.9,
    seal_series_cpu_us: 44.0,
    commits_per_s: 295.0,
    raw_bytes: [0.402, 0.560, 0.716],
    five_minutes_bytes: [4.39, 0.706],
    hour_bytes: [5.61, 4.44],
    tail_report_bytes: 271.0,
    tail_sample_bytes: 5.70,
    head_sample_bytes: 20.5,
    series_bytes: 517.0,
    base_bytes: 12.7e6,
    report_in_bytes: 372.0,
    sample_in_bytes: 5.74,
    report_out_bytes: 249.0,
};

/// Where and when: the median of three runs.
pub const MEASURED_ON: &str = "two AMD EPYC cores and an ext4 disk, November 2026";

/// Costs and where they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    pub costs: Costs,
    /// For a person.
    pub measured_on: String,
    /// Measured on this machine.
    pub is_ours: bool,
}

impl Costs {
    /// Each with its name, which ends with its unit.
    pub fn named(&self) -> Vec<(&'static str, f64)> {
        let mut copy = *self;
        copy.fields().into_iter().map(|(name, value)| (name, *value)).collect()
    }

    fn fields(&mut self) -> [(&'static str, &mut f64); 21] {
        let [raw_1s, raw_10s, raw_300s] = &mut self.raw_bytes;
        let [five_minutes_10s, five_minutes_300s] = &mut self.five_minutes_bytes;
        let [hour_10s, hour_300s] = &mut self.hour_bytes;
        [
            ("commit_cpu_us", &mut self.commit_cpu_us),
            ("report_cpu_us", &mut self.report_cpu_us),
            ("sample_cpu_ns", &mut self.sample_cpu_ns),
            ("seal_sample_cpu_ns", &mut self.seal_sample_cpu_ns),
            ("seal_series_cpu_us", &mut self.seal_series_cpu_us),
            ("commits_per_s", &mut self.commits_per_s),
            ("raw_sample_at_1s_bytes", raw_1s),
            ("raw_sample_at_10s_bytes", raw_10s),
            ("raw_sample_at_300s_bytes", raw_300s),
            ("five_minutes_of_10s_bytes", five_minutes_10s),
            ("five_minutes_of_300s_bytes", five_minutes_300s),
            ("hour_of_10s_bytes", hour_10s),
            ("hour_of_300s_bytes", hour_300s),
            ("tail_report_bytes", &mut self.tail_report_bytes),
            ("tail_sample_bytes", &mut self.tail_sample_bytes),
            ("head_sample_bytes", &mut self.head_sample_bytes),
            ("series_bytes", &mut self.series_bytes),
            ("base_bytes", &mut self.base_bytes),
            ("report_in_bytes", &mut self.report_in_bytes),
            ("sample_in_bytes", &mut self.sample_in_bytes),
            ("report_out_bytes", &mut self.report_out_bytes),
        ]
    }
}

/// Those measured on this machine if there are any, else the others.
///
/// # Errors
/// The file is there and says something else.
pub fn load(data_dir: &Path) -> anyhow::Result<Origin> {
    let path = data_dir.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Origin { costs: MEASURED, measured_on: MEASURED_ON.into(), is_ours: false });
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    parse(&text).with_context(|| {
        format!("{} is not what --calibrate writes; delete it or measure again", path.display())
    })
}

fn parse(text: &str) -> anyhow::Result<Origin> {
    let table: toml::Table = text.parse()?;
    let measured = table.get("measured").and_then(toml::Value::as_str).context("`measured` is missing")?;
    let mut costs = Costs::default();
    let mut fields = costs.fields();
    for (name, field) in &mut fields {
        let value = table.get(*name).with_context(|| format!("`{name}` is missing"))?;
        let number = value.as_float().filter(|number| number.is_finite() && *number >= 0.0);
        **field = number.with_context(|| format!("`{name}` is {value}"))?;
    }
    if let Some(odd) = table.keys().find(|key| *key != "measured" && !fields.iter().any(|f| f.0 == *key)) {
        bail!("`{odd}` is unknown");
    }
    ensure!(costs.commits_per_s >= 1.0, "`commits_per_s` is less than 1");
    Ok(Origin { costs, measured_on: format!("this machine, {measured}"), is_ours: true })
}

/// Keeps what was measured on this machine; says where.
///
/// # Errors
/// It cannot be written.
pub fn keep(data_dir: &Path, costs: &Costs, measured: &str) -> anyhow::Result<PathBuf> {
    let path = data_dir.join(FILE);
    std::fs::write(&path, text(costs, measured))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn text(costs: &Costs, measured: &str) -> String {
    let mut text = format!(
        "# What a report and a sample cost on this machine: written by `openclaw-watch plan --calibrate` and read by\n\
         # `openclaw-watch plan`. Without this file built-in figures of another machine are used.\n\
         measured = \"{measured}\"\n"
    );
    for (name, value) in costs.named() {
        // `{value:?}` has a point always: to TOML, a whole number is not a float.
        let _ = writeln!(text, "{name} = {value:?}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(dir.path()).unwrap().costs, MEASURED);
        let costs = Costs { raw_bytes: [1.0, 1.0 / 3.0, 1e-9], base_bytes: 1e15, ..MEASURED };
        let path = keep(dir.path(), &costs, "2026-11-24T12:00:00Z").unwrap();
        assert!(path.starts_with(dir.path()));
        let found = load(dir.path()).unwrap();
        assert_eq!((found.costs, found.is_ours), (costs, true));
        assert_eq!(found.measured_on, "this machine, 2026-11-24T12:00:00Z");
    }

    #[test]
    fn a_file_that_says_something_else_is_named_with_what_is_wrong() {
        let good = text(&MEASURED, "today");
        assert!(parse(&good).is_ok());
        for (bad, why) in [
            ("".to_string(), "`measured` is missing"),
            (good.replace("report_cpu_us", "report_cpu"), "`report_cpu_us` is missing"),
            (format!("{good}more = 1.0\n"), "`more` is unknown"),
            (good.replace("commits_per_s = ", "commits_per_s = -"), "`commits_per_s` is -"),
            (good.replace("base_bytes = ", "base_bytes = nan # "), "`base_bytes` is nan"),
            (good.replace("measured = \"", "measured = "), "TOML parse error"),
        ] {
            let error = format!("{:#}", parse(&bad).unwrap_err());
            assert!(error.contains(why), "{why:?} is not in {error:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "x").unwrap();
        let error = format!("{:#}", load(dir.path()).unwrap_err());
        assert!(error.contains(FILE) && error.contains("delete it or measure again"), "{error}");
    }
}
