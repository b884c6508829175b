//! The report as JSON: what scripts send, and what an agent shows when asked what it would send.
//!
//! [`parse`] is lenient where leniency loses nothing: unknown fields are ignored, everything but a
//! row's time may be absent, and `null` is the same as absent. What is wrong about one row, usage
//! event or log line is a [`Fault`] beside the good ones.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::answer::Fault;
use crate::bounds::{
    self, BoundFault, CELLS_MAX, COLUMNS_MAX, LOGS_MAX, NAME_BYTES_MAX, REPORT_BYTES_MAX, ROWS_MAX,
    STATES_MAX, USAGE_MAX,
};
use crate::report::{AgentInfo, BootId, Facts, Kind, Log, Report, Rows, RowsBuilder, Usage};

mod print;
mod raw;

pub use print::{to_json, to_json_pretty};
use raw::{Row, array, fields, object, value};

/// The code of a [`Fault`] about a row that has no usable time.
pub const FAULT_TIME: &str = "invalid_time";
/// The code of a [`Fault`] about a value that is not a number.
pub const FAULT_VALUE: &str = "invalid_value";
/// The code of a [`Fault`] about a metric name that is too long.
pub const FAULT_NAME: &str = "invalid_name";
/// The code of a [`Fault`] about anything else that has the wrong shape.
pub const FAULT_SHAPE: &str = "invalid";

/// Why a text is no report at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON.
    #[error("broken JSON at line {line}, column {column}: {message}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
        /// What was found.
        message: String,
    },
    /// JSON of another shape.
    #[error("{}: {message}", if .field.is_empty() { "the report" } else { .field.as_str() })]
    Shape {
        /// Where, such as `agent.boot_id`; empty for the report itself.
        field: String,
        /// What is wrong there.
        message: String,
    },
    /// Over one of the [`bounds`].
    #[error("{field}: {len} where at most {max} are allowed")]
    TooLarge {
        /// What there is too much of.
        field: String,
        /// How much.
        len: usize,
        /// How much there may be.
        max: usize,
    },
}

/// The report in `text`, and what in it could not be taken.
///
/// Python writes numbers that are not finite as `NaN` and `Infinity`, which is not JSON. A text
/// that is broken only by such words is read as if the value were not a number.
///
/// The rows of the report are those without a fault: [`original_row`] gives their numbers in `text`.
pub fn parse(text: &[u8]) -> Result<(Report, Vec<Fault>), JsonError> {
    if text.len() > REPORT_BYTES_MAX {
        return Err(JsonError::TooLarge {
            field: "the report's bytes".into(),
            len: text.len(),
            max: REPORT_BYTES_MAX,
        });
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        let before = &text[..error.valid_up_to()];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        JsonError::Syntax {
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
            column: 1 + before.len() - line_start,
            message: "a byte that is not UTF-8".into(),
        }
    })?;
    match parse_strict(text) {
        Err(error @ JsonError::Syntax { .. }) => match raw::without_non_finite(text) {
            Some(text) => parse_strict(&text),
            None => Err(error),
        },
        result => result,
    }
}

/// The number that row `row` of a parsed report has in its text, given the faults of parsing.
pub fn original_row(row: u32, faults: &[Fault]) -> u32 {
    // Faults come in the order of their rows, one per row.
    let mut original = row;
    for gone in faults.iter().filter_map(|fault| fault.row) {
        if gone > original {
            break;
        }
        original += 1;
    }
    original
}

fn parse_strict(text: &str) -> Result<(Report, Vec<Fault>), JsonError> {
    let names = ["agent", "facts", "rows", "counters", "states", "usage", "logs"];
    let [agent, facts, rows, counters, states, usage, logs] =
        raw::top(text, names).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => {
                JsonError::Shape { field: String::new(), message: raw::message(&error) }
            }
            _ => JsonError::Syntax {
                line: error.line(),
                column: error.column(),
                message: raw::message(&error),
            },
        })?;
    let mut faults = Vec::new();
    let report = Report {
        agent: agent.map_or(Ok(AgentInfo::default()), parse_agent)?,
        facts: facts.map_or(Ok(Facts::default()), parse_facts)?,
        rows: parse_rows(rows, counters, &mut faults)?,
        states: states.map_or(Ok(Vec::new()), parse_states)?,
        usage: parse_list("usage", usage, USAGE_MAX, parse_usage, bounds::check_usage, &mut faults)?,
        logs: parse_list("logs", logs, LOGS_MAX, parse_log, bounds::check_log, &mut faults)?,
    };
    bounds::check(&report).map_err(|fault| match fault {
        BoundFault::TooLarge { field, len, max, .. } => JsonError::TooLarge { field, len, max },
        BoundFault::Inconsistent { field, message } => JsonError::Shape { field, message },
    })?;
    Ok((report, faults))
}

fn parse_agent(raw: &RawValue) -> Result<AgentInfo, JsonError> {
    let [version, boot_id, seq, interval_s] =
        fields(raw, ["version", "boot_id", "seq", "interval_s"]).map_err(shape("agent"))?;
    let boot = match (boot_id, seq) {
        (None, None) => None,
        (Some(boot_id), Some(seq)) => {
            let text: Cow<'_, str> = value("agent.boot_id", boot_id)?;
            let boot_id: BootId = text.parse().map_err(shape("agent.boot_id"))?;
            Some((boot_id, value("agent.seq", seq)?))
        }
        (boot_id, _) => {
            let missing = if boot_id.is_none() { "agent.boot_id" } else { "agent.seq" };
            return Err(shape(missing)("boot_id and seq come together or not at all"));
        }
    };
    Ok(AgentInfo {
        version: version.map_or(Ok(String::new()), |raw| value("agent.version", raw))?,
        boot,
        interval_s: interval_s.map(|raw| value("agent.interval_s", raw)).transpose()?,
    })
}

fn parse_facts(raw: &RawValue) -> Result<Facts, JsonError> {
    let names = ["hostname", "os", "arch", "kernel", "cpu_model", "cores", "openclaw_version", "public_ip"];
    let found = fields(raw, names).map_err(shape("facts"))?;
    let text = |i: usize| -> Result<Option<String>, JsonError> {
        found[i].map(|raw| value(&format!("facts.{}", names[i]), raw)).transpose()
    };
    Ok(Facts {
        hostname: text(0)?,
        os: text(1)?,
        arch: text(2)?,
        kernel: text(3)?,
        cpu_model: text(4)?,
        cores: found[5].map(|raw| value("facts.cores", raw)).transpose()?,
        openclaw_version: text(6)?,
        public_ip: text(7)?,
    })
}

fn parse_states(raw: &RawValue) -> Result<Vec<(String, String)>, JsonError> {
    let (states, len) = object(raw, STATES_MAX).map_err(shape("states"))?;
    check_count("states", len, STATES_MAX)?;
    states
        .into_iter()
        .map(|(name, raw)| {
            let state = value(&format!("states.{}", shorten(&name)), raw)?;
            Ok((name.into_owned(), state))
        })
        .collect()
}

fn parse_rows(
    rows: Option<&RawValue>,
    counters: Option<&RawValue>,
    faults: &mut Vec<Fault>,
) -> Result<Rows, JsonError> {
    let (counters, counters_len) =
        counters.map_or(Ok((Vec::new(), 0)), |raw| array(raw, COLUMNS_MAX)).map_err(shape("counters"))?;
    check_count("counters", counters_len, COLUMNS_MAX)?;
    let counters = counters
        .into_iter()
        .enumerate()
        .map(|(i, raw)| value(&format!("counters[{i}]"), raw))
        .collect::<Result<HashSet<Cow<'_, str>>, _>>()?;
    let (rows, len) = rows.map_or(Ok((Vec::new(), 0)), |raw| array(raw, ROWS_MAX)).map_err(shape("rows"))?;
    check_count("rows", len, ROWS_MAX)?;

    let mut builder = RowsBuilder::default();
    for (i, raw) in rows.iter().enumerate() {
        match parse_row(raw) {
            Ok((t_ms, values)) => {
                let kind = |name: &str| if counters.contains(name) { Kind::Counter } else { Kind::Gauge };
                builder.push_of(t_ms, values.iter().map(|(name, value)| (&**name, *value)), kind);
                check_count("rows: different metrics", builder.columns(), COLUMNS_MAX)?;
                check_count("rows times metrics", builder.columns() * rows.len(), CELLS_MAX)?;
            }
            Err(fault) => faults.push(Fault { row: Some(i as u32), ..fault }),
        }
    }
    Ok(builder.finish())
}

fn parse_row(raw: &RawValue) -> Result<Row<'_>, Fault> {
    // Mostly there is nothing to say about a row: then it is read once, not once for each level.
    match raw::plain_row(raw, COLUMNS_MAX, NAME_BYTES_MAX) {
        Some(row) => Ok(row),
        None => parse_parts(raw),
    }
}

fn parse_parts(raw: &RawValue) -> Result<Row<'_>, Fault> {
    let fault = |field: Option<&str>, code: &str, message: String| Fault {
        row: None,
        field: field.map(shorten),
        code: code.into(),
        message,
    };
    let [t_ms, v] = fields(raw, ["t_ms", "v"])
        .map_err(|error| fault(None, FAULT_SHAPE, format!("the row: {}", raw::message(&error))))?;
    let Some(t_ms) = t_ms else {
        return Err(fault(Some("t_ms"), FAULT_TIME, "the row has no t_ms".into()));
    };
    let Some(t_ms) = raw::time(t_ms) else {
        let message = "t_ms is not a number of milliseconds since 1970".into();
        return Err(fault(Some("t_ms"), FAULT_TIME, message));
    };
    let (found, len) = v
        .map_or(Ok((Vec::new(), 0)), |raw| object(raw, COLUMNS_MAX))
        .map_err(|error| fault(Some("v"), FAULT_SHAPE, raw::message(&error)))?;
    if len > COLUMNS_MAX {
        let message = format!("{len} values where at most {COLUMNS_MAX} are allowed");
        return Err(fault(Some("v"), FAULT_SHAPE, message));
    }
    let mut values = Vec::with_capacity(found.len());
    for (name, raw) in found {
        if name.len() > NAME_BYTES_MAX {
            let message = format!("the metric's name is longer than {NAME_BYTES_MAX} bytes");
            return Err(fault(Some(&name), FAULT_NAME, message));
        }
        match serde_json::from_str::<f64>(raw.get()) {
            Ok(value) => values.push((name, value)),
            Err(_) => {
                // An empty text also stands for a NaN that was blanked out.
                let said = if raw.get() == "\"\"" { "the value".into() } else { shorten(raw.get()) };
                let message = format!("{said} is not a finite number");
                return Err(fault(Some(&name), FAULT_VALUE, message));
            }
        }
    }
    Ok((t_ms, values))
}

/// The elements of `field` that are good; the others become faults.
fn parse_list<T>(
    field: &str,
    raw: Option<&RawValue>,
    max: usize,
    parse: fn(&str, &RawValue) -> Result<T, JsonError>,
    check: fn(usize, &T) -> Result<(), BoundFault>,
    faults: &mut Vec<Fault>,
) -> Result<Vec<T>, JsonError> {
    let (found, len) = raw.map_or(Ok((Vec::new(), 0)), |raw| array(raw, max)).map_err(shape(field))?;
    check_count(field, len, max)?;
    let mut good = Vec::with_capacity(found.len());
    for (i, raw) in found.into_iter().enumerate() {
        let at = format!("{field}[{i}]");
        let fault = match parse(&at, raw) {
            Ok(element) => match check(i, &element) {
                Ok(()) => {
                    good.push(element);
                    continue;
                }
                Err(fault) => (at, fault.to_string()),
            },
            Err(JsonError::Shape { field, message }) => (field, message),
            Err(error) => (at, error.to_string()),
        };
        let (field, message) = fault;
        faults.push(Fault { row: None, field: Some(field), code: FAULT_SHAPE.into(), message });
    }
    Ok(good)
}

fn parse_usage(at: &str, raw: &RawValue) -> Result<Usage, JsonError> {
    let names = [
        "event_id",
        "t_ms",
        "agent",
        "provider",
        "model",
        "cost_basis",
        "input",
        "output",
        "cache_read",
        "cache_write",
        "cost_usd",
    ];
    let found = fields(raw, names).map_err(shape(at))?;
    let path = |i: usize| format!("{at}.{}", names[i]);
    let text = |i: usize| found[i].map_or(Ok(String::new()), |raw| value(&path(i), raw));
    let tokens = |i: usize| found[i].map_or(Ok(0), |raw| value(&path(i), raw));
    let (Some(event_id), Some(t_ms)) = (found[0], found[1]) else {
        return Err(shape(at)("a usage event needs event_id and t_ms"));
    };
    Ok(Usage {
        event_id: value(&path(0), event_id)?,
        t_ms: raw::time(t_ms).ok_or_else(|| shape(&path(1))("not a number of milliseconds since 1970"))?,
        agent: text(2)?,
        provider: text(3)?,
        model: text(4)?,
        cost_basis: text(5)?,
        input: tokens(6)?,
        output: tokens(7)?,
        cache_read: tokens(8)?,
        cache_write: tokens(9)?,
        cost_usd: found[10].map(|raw| value(&path(10), raw)).transpose()?,
    })
}

fn parse_log(at: &str, raw: &RawValue) -> Result<Log, JsonError> {
    let names = ["t_ms", "message", "level", "source"];
    let found = fields(raw, names).map_err(shape(at))?;
    let path = |i: usize| format!("{at}.{}", names[i]);
    let text = |i: usize| found[i].map_or(Ok(String::new()), |raw| value(&path(i), raw));
    let (Some(t_ms), Some(message)) = (found[0], found[1]) else {
        return Err(shape(at)("a log line needs t_ms and message"));
    };
    Ok(Log {
        t_ms: raw::time(t_ms).ok_or_else(|| shape(&path(0))("not a number of milliseconds since 1970"))?,
        message: value(&path(1), message)?,
        level: text(2)?,
        source: text(3)?,
    })
}

fn check_count(field: &str, len: usize, max: usize) -> Result<(), JsonError> {
    if len <= max { Ok(()) } else { Err(JsonError::TooLarge { field: field.into(), len, max }) }
}

fn shape<E: ToString>(field: &str) -> impl FnOnce(E) -> JsonError {
    move |error| JsonError::Shape {
        field: field.to_string(),
        message: raw::without_position(&error.to_string()).to_string(),
    }
}

/// Enough of a text from outside to recognise it by.
fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests;
