//! From samples to reports.

use wire::bounds::{FACT_BYTES_MAX, FRAME_BYTES_MAX};
use wire::{AgentInfo, BootId, Facts, Report, RowsBuilder};

use crate::collect::Sample;
use crate::openclaw::View;
use crate::openclaw::usage::State;

/// Values after which a report is made before its time: a frame then fits even if nothing about it
/// can be compressed.
pub const CELLS_MAX: usize = 60_000;
const _: () = assert!(CELLS_MAX * size_of::<f64>() <= FRAME_BYTES_MAX / 2);
/// Rows after which a report is made before its time.
pub const ROWS_MAX: usize = 1_000;
const _: () = assert!(ROWS_MAX <= wire::bounds::ROWS_MAX);

/// The rows of the report to come.
#[derive(Debug, Default)]
pub struct Pending {
    rows: RowsBuilder,
}

impl Pending {
    /// Adds what was read at `t_ms`.
    pub fn push(&mut self, t_ms: i64, sample: &Sample) {
        self.rows.push(t_ms, sample.values());
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the next row may be one too many.
    pub fn is_full(&self) -> bool {
        let rows = self.rows.len() + 1;
        rows > ROWS_MAX || rows * self.rows.columns() > CELLS_MAX
    }

    /// The report with all rows so far; it has no number yet. Counting starts again.
    /// `usage` is how reading OpenClaw's transcripts goes.
    pub fn take(&mut self, facts: &Facts, openclaw: &View, usage: Option<State>, interval_s: u32) -> Report {
        let mut facts = facts.clone();
        facts.openclaw_version = openclaw.version.clone();
        shorten(&mut facts);
        Report {
            agent: agent_info(interval_s),
            facts,
            rows: std::mem::take(&mut self.rows).finish(),
            states: openclaw
                .states()
                .into_iter()
                .chain(usage.into_iter().flat_map(State::states))
                .map(|(name, state)| (name.to_string(), state))
                .collect(),
            usage: Vec::new(),
            logs: Vec::new(),
        }
    }
}

/// What an agent with this interval says about itself in a report that has no number yet.
pub fn agent_info(interval_s: u32) -> AgentInfo {
    AgentInfo { version: env!("CARGO_PKG_VERSION").into(), boot: None, interval_s: Some(interval_s) }
}

/// Whatever a device calls itself must not make its reports invalid.
fn shorten(facts: &mut Facts) {
    let Facts { hostname, os, arch, kernel, cpu_model, cores: _, openclaw_version, public_ip } = facts;
    for fact in [hostname, os, arch, kernel, cpu_model, openclaw_version, public_ip].into_iter().flatten() {
        while fact.len() > FACT_BYTES_MAX {
            fact.pop();
        }
    }
}

/// Identifies this run of the agent.
pub fn boot_id() -> anyhow::Result<BootId> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|error| anyhow::anyhow!("no random numbers from this system: {error}"))?;
    // Version 4, variant 1: what says "random" in a UUID.
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    Ok(BootId(id))
}

/// The two halves of a report, by rows; what is not a row stays with the first. Nothing if it has
/// too few rows to be halved.
pub fn split(report: Report) -> Option<[Report; 2]> {
    let middle = report.rows.len() / 2;
    if middle == 0 {
        return None;
    }
    let half = |range: std::ops::Range<usize>| {
        let mut rows = RowsBuilder::default();
        for row in range {
            let values =
                report.rows.row(row).map(|(column, value)| (column.name.as_str(), column.kind, value));
            rows.push(report.rows.t_ms[row], values);
        }
        rows.finish()
    };
    let (first, second) = (half(0..middle), half(middle..report.rows.len()));
    let rest = Report {
        agent: report.agent.clone(),
        facts: report.facts.clone(),
        states: report.states.clone(),
        rows: second,
        ..Report::default()
    };
    Some([Report { rows: first, ..report }, rest])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(figures: usize) -> Sample {
        let mut sample = Sample::default();
        for i in 0..figures {
            sample.gauge(format!("m{i}"), i as f64);
        }
        sample
    }

    #[test]
    fn a_full_report_fits_a_frame() {
        let mut pending = Pending::default();
        let mut t_ms = 0;
        while !pending.is_full() {
            pending.push(t_ms, &sample(700));
            t_ms += 1;
        }
        assert_eq!(t_ms, 85, "85 rows of 700 figures are 59,500 values");
        let report = pending.take(&Facts::default(), &View::default(), None, 10);
        assert!(wire::frame::encode(&report).is_ok());
        assert!(pending.is_empty() && !pending.is_full());
    }

    #[test]
    fn a_report_says_what_was_seen() {
        let mut pending = Pending::default();
        pending.push(5, &sample(1));
        let facts = Facts { cpu_model: Some("é".repeat(2_000)), ..Facts::default() };
        let view = View { version: Some("2026.9.6".into()), ..View::default() };
        let report = pending.take(&facts, &view, Some(State::Ok), 30);
        assert_eq!(report.agent.interval_s, Some(30));
        assert_eq!(report.facts.openclaw_version.as_deref(), Some("2026.9.6"));
        assert_eq!(report.facts.cpu_model.as_ref().map(String::len), Some(1_024));
        let states: Vec<_> = report.states.iter().map(|(name, state)| format!("{name}={state}")).collect();
        assert_eq!(states, ["gateway=unknown", "usage=ok"]);
        assert_eq!(report.rows.t_ms, [5]);
    }

    #[test]
    fn halves_together_are_the_whole() {
        let mut pending = Pending::default();
        for t_ms in 0..5 {
            pending.push(t_ms, &sample(t_ms as usize));
        }
        let whole = pending.take(&Facts::default(), &View::default(), None, 10);
        let [first, second] = split(whole.clone()).unwrap();
        assert_eq!((first.rows.t_ms.as_slice(), second.rows.t_ms.as_slice()), (&[0, 1][..], &[2, 3, 4][..]));
        for row in 0..5 {
            let values = |report: &Report, row| -> Vec<(String, f64)> {
                report.rows.row(row).map(|(column, value)| (column.name.clone(), value)).collect()
            };
            let half = if row < 2 { values(&first, row) } else { values(&second, row - 2) };
            assert_eq!(half, values(&whole, row));
        }
        assert_eq!((&first.states, &second.states), (&whole.states, &whole.states));
        assert_eq!(split(split(first).unwrap()[0].clone()), None, "one row is not halved");
    }

    #[test]
    fn each_run_has_its_own_uuid() {
        let (a, b) = (boot_id().unwrap(), boot_id().unwrap());
        assert_ne!(a, b);
        assert_eq!(a.to_string().as_bytes()[14], b'4');
    }
}
