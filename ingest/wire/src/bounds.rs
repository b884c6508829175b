//! How large anything may be, for frames and JSON alike, and the check of it.

use std::collections::HashSet;

use crate::report::{Column, Facts, Log, Presence, Report, Rows, Usage};

/// Bytes of a frame as it is sent, header included.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Bytes of a report after decompression, as bincode or as JSON.
pub const REPORT_BYTES_MAX: usize = 16 << 20;
/// Rows of a report.
pub const ROWS_MAX: usize = 10_000;
/// Columns of a report.
pub const COLUMNS_MAX: usize = 1_000;
/// Rows times columns of a report: a few sparse rows could otherwise unfold to a lot of memory.
pub const CELLS_MAX: usize = 1 << 20;
/// Bytes of a metric's name with its labels.
pub const NAME_BYTES_MAX: usize = 256;
/// Log lines of a report.
pub const LOGS_MAX: usize = 1_000;
/// Bytes of one log line's message.
pub const LOG_BYTES_MAX: usize = 64 << 10;
/// Token usage events of a report.
pub const USAGE_MAX: usize = 10_000;
/// Tokens of one kind in one usage event: far past any model's.
pub const TOKENS_MAX: u64 = 10_000_000_000;
/// Named conditions of a report.
pub const STATES_MAX: usize = 64;
/// Bytes of any other text: a fact, a state, a model's name, a log line's source.
pub const FACT_BYTES_MAX: usize = 1 << 10;
/// Faults in an answer; how many there were in all is counted beside them.
pub const FAULTS_MAX: usize = 20;

/// What decoding may take in memory. bincode counts the decoded size, which is more than the encoded
/// one: a small number takes one byte on the wire and eight in memory.
pub(crate) const DECODE_BYTES_MAX: usize = REPORT_BYTES_MAX + (8 << 20);

const _: () = assert!(FRAME_BYTES_MAX <= REPORT_BYTES_MAX);
const _: () = assert!(CELLS_MAX * size_of::<f64>() <= REPORT_BYTES_MAX);
const _: () = assert!(ROWS_MAX <= CELLS_MAX && COLUMNS_MAX <= CELLS_MAX);
// The lengths in a frame's header are 32 bits wide.
const _: () = assert!(REPORT_BYTES_MAX <= u32::MAX as usize);
// A report with the most of everything, but no text and no value, still decodes.
const _: () = assert!(
    ROWS_MAX * size_of::<i64>()
        + COLUMNS_MAX * (size_of::<Column>() + ROWS_MAX.div_ceil(64) * size_of::<u64>())
        + USAGE_MAX * size_of::<Usage>()
        + LOGS_MAX * size_of::<Log>()
        + STATES_MAX * size_of::<(String, String)>()
        <= DECODE_BYTES_MAX - REPORT_BYTES_MAX
);

/// Why a report is not acceptable as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoundFault {
    /// There is too much of something.
    #[error("{field}: {len} {unit} where at most {max} are allowed")]
    TooLarge {
        /// Where in the report, such as `rows` or `logs[3].message`.
        field: String,
        /// What is counted.
        unit: &'static str,
        /// How many there are.
        len: usize,
        /// How many there may be.
        max: usize,
    },
    /// The parts do not fit together.
    #[error("{field}: {message}")]
    Inconsistent {
        /// Where in the report.
        field: String,
        /// What is wrong.
        message: String,
    },
}

/// Checks every bound above, and that the columns of [`Rows`] fit together.
pub fn check(report: &Report) -> Result<(), BoundFault> {
    let Report { agent, facts, rows, states, usage, logs } = report;
    text(|| "agent.version".into(), &agent.version, FACT_BYTES_MAX)?;
    check_facts(facts)?;
    check_rows(rows)?;
    count("states", states.len(), STATES_MAX)?;
    for (i, (name, state)) in states.iter().enumerate() {
        text(|| format!("states[{i}]"), name, FACT_BYTES_MAX)?;
        text(|| format!("states[{i}]"), state, FACT_BYTES_MAX)?;
    }
    count("usage", usage.len(), USAGE_MAX)?;
    usage.iter().enumerate().try_for_each(|(i, event)| check_usage(i, event))?;
    count("logs", logs.len(), LOGS_MAX)?;
    logs.iter().enumerate().try_for_each(|(i, log)| check_log(i, log))
}

fn check_facts(facts: &Facts) -> Result<(), BoundFault> {
    let Facts { hostname, os, arch, kernel, cpu_model, cores: _, openclaw_version, public_ip } = facts;
    for (field, value) in [
        ("facts.hostname", hostname),
        ("facts.os", os),
        ("facts.arch", arch),
        ("facts.kernel", kernel),
        ("facts.cpu_model", cpu_model),
        ("facts.openclaw_version", openclaw_version),
        ("facts.public_ip", public_ip),
    ] {
        text(|| field.into(), value.as_deref().unwrap_or_default(), FACT_BYTES_MAX)?;
    }
    Ok(())
}

fn check_rows(rows: &Rows) -> Result<(), BoundFault> {
    count("rows", rows.t_ms.len(), ROWS_MAX)?;
    count("rows.columns", rows.columns.len(), COLUMNS_MAX)?;
    count("rows.cells", rows.t_ms.len() * rows.columns.len(), CELLS_MAX)?;
    let mut names =
        HashSet::with_capacity_and_hasher(rows.columns.len(), foldhash::fast::RandomState::default());
    for (i, column) in rows.columns.iter().enumerate() {
        let wrong =
            |message: String| Err(BoundFault::Inconsistent { field: format!("rows.columns[{i}]"), message });
        text(|| format!("rows.columns[{i}].name"), &column.name, NAME_BYTES_MAX)?;
        if !names.insert(column.name.as_str()) {
            return wrong("the same name as an earlier column".into());
        }
        if column.values.len() != rows.t_ms.len() {
            return wrong(format!("{} values for {} rows", column.values.len(), rows.t_ms.len()));
        }
        if let Presence::Bits(words) = &column.present {
            if words.len() != rows.t_ms.len().div_ceil(64) {
                return wrong(format!("{} presence words for {} rows", words.len(), rows.t_ms.len()));
            }
            let tail = rows.t_ms.len() % 64;
            if tail != 0 && words.last().is_some_and(|word| word >> tail != 0) {
                return wrong("presence bits past the last row".into());
            }
        }
    }
    Ok(())
}

pub(crate) fn check_usage(i: usize, event: &Usage) -> Result<(), BoundFault> {
    let Usage { event_id, agent, provider, model, cost_basis, .. } = event;
    for (field, value) in [
        ("event_id", event_id),
        ("agent", agent),
        ("provider", provider),
        ("model", model),
        ("cost_basis", cost_basis),
    ] {
        text(|| format!("usage[{i}].{field}"), value, FACT_BYTES_MAX)?;
    }
    Ok(())
}

pub(crate) fn check_log(i: usize, log: &Log) -> Result<(), BoundFault> {
    text(|| format!("logs[{i}].level"), &log.level, FACT_BYTES_MAX)?;
    text(|| format!("logs[{i}].source"), &log.source, FACT_BYTES_MAX)?;
    text(|| format!("logs[{i}].message"), &log.message, LOG_BYTES_MAX)
}

pub(crate) fn count(field: &str, len: usize, max: usize) -> Result<(), BoundFault> {
    if len <= max {
        return Ok(());
    }
    Err(BoundFault::TooLarge { field: field.into(), unit: "elements", len, max })
}

fn text(field: impl FnOnce() -> String, text: &str, max: usize) -> Result<(), BoundFault> {
    if text.len() <= max {
        return Ok(());
    }
    Err(BoundFault::TooLarge { field: field(), unit: "bytes", len: text.len(), max })
}
