//! Admission: what of a report may be stored, and what is wrong with the rest. Pure: time is an argument.

use std::borrow::Cow;
use std::collections::HashMap;

use store::{CostBasis, Level, LogLine, Timestamp, UsageEvent};
use wire::bounds::{FAULTS_MAX, TOKENS_MAX};
use wire::json::{FAULT_NAME, FAULT_SHAPE, FAULT_TIME, FAULT_VALUE, original_row};
use wire::{Fault, Report};

use crate::names::canonical;

/// Code of a [`Fault`] about a row that has no value at all.
const FAULT_EMPTY: &str = "empty";

/// Bytes of a fact or of an agent's version; what is longer is cut.
pub(crate) const FACT_BYTES_MAX: usize = 256;
/// Bytes of a state's word.
pub(crate) const STATE_BYTES_MAX: usize = 64;
/// Bytes of a log line's source; what is longer is cut.
pub(crate) const SOURCE_BYTES_MAX: usize = 128;
/// Bytes of a log line's message; what is longer is cut.
pub(crate) const MESSAGE_BYTES_MAX: usize = wire::bounds::LOG_BYTES_MAX;
/// Bytes of each text of a usage event; a longer one is a fault, because cutting an id could join two events.
pub(crate) const USAGE_TEXT_BYTES_MAX: usize = 256;
/// US dollars of one usage event.
pub(crate) const COST_USD_MAX: f64 = 1e6;
/// The longest reporting interval that is believed, seconds.
pub(crate) const INTERVAL_S_MAX: u32 = 3600;

// What is taken counts in full.
const _: () = assert!(TOKENS_MAX <= store::USAGE_TOKENS_MAX);
const _: () = assert!(FACT_BYTES_MAX <= wire::bounds::FACT_BYTES_MAX);

/// Which times are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How far in the future a row may be: clocks differ. Milliseconds.
    pub future_ms_max: i64,
    /// How old a row or log line may be: raw retention. Milliseconds.
    pub age_ms_max: i64,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { future_ms_max: 10 * 60 * 1000, age_ms_max: 30 * 24 * 60 * 60 * 1000 }
    }
}

/// What may be stored, and what is said about the rest.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Admitted {
    pub rows: store::Rows,
    pub usage: Vec<UsageEvent>,
    pub logs: Vec<LogLine>,
    pub states: Vec<(String, String)>,
    pub facts: Vec<(String, String)>,
    /// Rows among `rows`.
    pub accepted: u32,
    /// Rows left out, by parsing or here.
    pub rejected: u32,
    /// The first [`FAULTS_MAX`]: those about rows in the order of the rows, then the others.
    pub faults: Vec<Fault>,
}

/// Judges a report that was parsed with `parse_faults` (frames have none).
pub(crate) fn admit(report: Report, parse_faults: Vec<Fault>, now: Timestamp, policy: &Policy) -> Admitted {
    let mut admitted = Admitted::default();
    let (mut faults, mut others): (Vec<Fault>, Vec<Fault>) =
        parse_faults.into_iter().partition(|fault| fault.row.is_some());
    admitted.rejected = faults.len() as u32;

    let as_sent =
        report.rows.columns.iter().all(|column| matches!(canonical(&column.name), Ok(Cow::Borrowed(_))));
    let verdicts = judge_rows(&report.rows, as_sent, now, policy);
    let bad = verdicts.iter().enumerate().filter_map(|(row, verdict)| Some((row as u32, (*verdict)?)));
    let mut found: Vec<Fault> = bad
        .clone()
        .take(FAULTS_MAX)
        .map(|(row, verdict)| {
            let row = original_row(row, &faults);
            verdict.fault(row, &report.rows)
        })
        .collect();
    let left_out = bad.count() as u32;
    admitted.rejected += left_out;
    admitted.accepted = verdicts.len() as u32 - left_out;
    faults.append(&mut found);
    faults.sort_by_key(|fault| fault.row);

    admitted.rows = keep_rows(report.rows, as_sent, &verdicts);
    admitted.usage = admit_each(report.usage, "usage", &mut others, |event| usage(event, now, policy));
    admitted.logs = admit_each(report.logs, "logs", &mut others, |line| log(line, now, policy));
    admitted.states = states(report.states, &mut others);
    admitted.facts = facts(report.facts);
    faults.append(&mut others);
    faults.truncate(FAULTS_MAX);
    admitted.faults = faults;
    admitted
}

/// What is wrong with a row; columns are given by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Future,
    Old,
    Name { column: usize },
    Value { column: usize },
    Empty,
}

impl Verdict {
    fn fault(self, row: u32, rows: &wire::Rows) -> Fault {
        let (code, column, message) = match self {
            Verdict::Future => (FAULT_TIME, None, "the row's time is in the future".to_string()),
            Verdict::Old => (FAULT_TIME, None, "the row is older than raw rows are kept".to_string()),
            Verdict::Empty => (FAULT_EMPTY, None, "the row has no values".to_string()),
            Verdict::Value { column } => {
                (FAULT_VALUE, Some(column), "the value is not a finite number".to_string())
            }
            Verdict::Name { column } => {
                let why = canonical(&rows.columns[column].name).err().map(|fault| fault.to_string());
                (FAULT_NAME, Some(column), format!("not a metric's name: {}", why.unwrap_or_default()))
            }
        };
        let field = match column {
            Some(column) => Some(clean(&rows.columns[column].name, 80)),
            None if code == FAULT_TIME => Some("t_ms".to_string()),
            None => None,
        };
        Fault { row: Some(row), field, code: code.to_string(), message }
    }
}

/// `as_sent`: every column's name is canonical as it is.
fn judge_rows(rows: &wire::Rows, as_sent: bool, now: Timestamp, policy: &Policy) -> Vec<Option<Verdict>> {
    let newest = now.saturating_add(policy.future_ms_max);
    let oldest = now.saturating_sub(policy.age_ms_max);
    // Mostly nothing is wrong, which is seen faster by whole columns than by rows.
    if rows.t_ms.iter().all(|t| (oldest..=newest).contains(t))
        && rows.columns.iter().any(|column| column.present == wire::Presence::All)
        && as_sent
        && rows.columns.iter().all(|column| column.values.iter().all(|value| value.is_finite()))
    {
        return vec![None; rows.len()];
    }
    let mut verdicts: Vec<Option<Verdict>> = rows
        .t_ms
        .iter()
        .map(|&t_ms| match t_ms {
            t if t > newest => Some(Verdict::Future),
            t if t < oldest => Some(Verdict::Old),
            _ => None,
        })
        .collect();
    let mut empty = vec![true; verdicts.len()];
    for (number, column) in rows.columns.iter().enumerate() {
        let name_is_good = canonical(&column.name).is_ok();
        for (row, verdict) in verdicts.iter_mut().enumerate() {
            let Some(value) = column.get(row) else { continue };
            empty[row] = false;
            if verdict.is_none() && !name_is_good {
                *verdict = Some(Verdict::Name { column: number });
            } else if verdict.is_none() && !value.is_finite() {
                *verdict = Some(Verdict::Value { column: number });
            }
        }
    }
    for (verdict, empty) in verdicts.iter_mut().zip(empty) {
        if verdict.is_none() && empty {
            *verdict = Some(Verdict::Empty);
        }
    }
    verdicts
}

/// The rows without a verdict, under canonical names. Of two spellings of one name the later value counts.
fn keep_rows(rows: wire::Rows, as_sent: bool, verdicts: &[Option<Verdict>]) -> store::Rows {
    let kept: Vec<usize> = (0..verdicts.len()).filter(|&row| verdicts[row].is_none()).collect();
    let all = kept.len() == verdicts.len();
    let mut out = store::Rows::default();
    // As they were sent no two names are the same; only one that is spelt anew can meet another.
    let mut numbers: Option<HashMap<String, usize>> = (!as_sent).then(HashMap::new);
    for mut column in rows.columns {
        if !as_sent {
            match canonical(&column.name) {
                Ok(Cow::Borrowed(_)) => {}
                Ok(Cow::Owned(respelt)) => column.name = respelt,
                Err(_) => continue,
            }
        }
        let kind = match column.kind {
            wire::Kind::Gauge => store::Kind::Gauge,
            wire::Kind::Counter => store::Kind::Counter,
        };
        let (values, present) = if all {
            (column.values, present(column.present))
        } else {
            let flags = kept.iter().map(|&row| column.present.has(row));
            let present = store::Presence::from_flags(flags);
            (kept.iter().map(|&row| column.values[row]).collect(), present)
        };
        if present.count(kept.len()) == 0 {
            continue;
        }
        let column = store::Column { metric: column.name, kind, values, present };
        if let Some(numbers) = &mut numbers {
            if let Some(&number) = numbers.get(&column.metric) {
                join(&mut out.columns[number], column);
                continue;
            }
            numbers.insert(column.metric.clone(), out.columns.len());
        }
        out.columns.push(column);
    }
    out.t_ms = if all { rows.t_ms } else { kept.iter().map(|&row| rows.t_ms[row]).collect() };
    out
}

fn present(presence: wire::Presence) -> store::Presence {
    match presence {
        wire::Presence::All => store::Presence::All,
        wire::Presence::Bits(words) => store::Presence::Bits(words),
    }
}

fn join(into: &mut store::Column, from: store::Column) {
    let rows = into.values.len();
    for row in (0..rows).filter(|&row| from.present.has(row)) {
        into.values[row] = from.values[row];
    }
    let flags: Vec<bool> = (0..rows).map(|row| into.present.has(row) || from.present.has(row)).collect();
    into.present = store::Presence::from_flags(flags.into_iter());
}

/// What is wrong with one element of a list: its field and a sentence.
type Wrong = (&'static str, &'static str, String);

fn admit_each<T, U>(
    elements: Vec<T>,
    list: &str,
    faults: &mut Vec<Fault>,
    judge: impl Fn(T) -> Result<U, Wrong>,
) -> Vec<U> {
    let mut good = Vec::with_capacity(elements.len());
    for (i, element) in elements.into_iter().enumerate() {
        match judge(element) {
            Ok(element) => good.push(element),
            Err((field, code, message)) => {
                let field = Some(format!("{list}[{i}].{field}"));
                faults.push(Fault { row: None, field, code: code.to_string(), message });
            }
        }
    }
    good
}

/// A device whose clock is ahead writes times in the future: its lines and events happened now at the latest.
fn not_in_future(t_ms: Timestamp, now: Timestamp, policy: &Policy) -> Timestamp {
    if t_ms > now.saturating_add(policy.future_ms_max) { now } else { t_ms }
}

fn log(line: wire::Log, now: Timestamp, policy: &Policy) -> Result<LogLine, Wrong> {
    if line.t_ms < now.saturating_sub(policy.age_ms_max) {
        return Err(("t_ms", FAULT_TIME, "the line is older than lines are kept".into()));
    }
    Ok(LogLine {
        t_ms: not_in_future(line.t_ms, now, policy),
        // A word no logger uses says nothing about how bad the line is; the line is worth keeping.
        level: Level::parse(&line.level).unwrap_or(Level::Info),
        source: clean(&line.source, SOURCE_BYTES_MAX),
        message: clean(&line.message, MESSAGE_BYTES_MAX),
    })
}

fn usage(event: wire::Usage, now: Timestamp, policy: &Policy) -> Result<UsageEvent, Wrong> {
    if event.event_id.is_empty() {
        return Err(("event_id", FAULT_SHAPE, "the event has no id, so it could count twice".into()));
    }
    for (field, text) in [
        ("event_id", &event.event_id),
        ("agent", &event.agent),
        ("provider", &event.provider),
        ("model", &event.model),
    ] {
        if text.len() > USAGE_TEXT_BYTES_MAX {
            return Err((field, FAULT_SHAPE, format!("more than {USAGE_TEXT_BYTES_MAX} bytes")));
        }
    }
    // The ledger is kept for good and a first report brings what was used before, so any past time will do.
    if event.t_ms < 0 {
        return Err(("t_ms", FAULT_TIME, "the time is before 1970".into()));
    }
    for (field, tokens) in [
        ("input", event.input),
        ("output", event.output),
        ("cache_read", event.cache_read),
        ("cache_write", event.cache_write),
    ] {
        if tokens > TOKENS_MAX {
            return Err((field, FAULT_VALUE, format!("more than {TOKENS_MAX} tokens")));
        }
    }
    if event.cost_usd.is_some_and(|cost| !(0.0..=COST_USD_MAX).contains(&cost)) {
        return Err(("cost_usd", FAULT_VALUE, format!("not a price from 0 to {COST_USD_MAX} US dollars")));
    }
    Ok(UsageEvent {
        t_ms: not_in_future(event.t_ms, now, policy),
        event_id: event.event_id,
        agent: event.agent,
        provider: event.provider,
        model: event.model,
        input: event.input,
        output: event.output,
        cache_read: event.cache_read,
        cache_write: event.cache_write,
        cost_basis: match event.cost_usd {
            Some(_) => CostBasis::parse(&event.cost_basis),
            None => CostBasis::Unknown,
        },
        cost_usd: event.cost_usd,
    })
}

fn states(states: Vec<(String, String)>, faults: &mut Vec<Fault>) -> Vec<(String, String)> {
    let mut good = Vec::with_capacity(states.len());
    for (name, state) in states {
        if is_word(&name) && is_word(&state) {
            good.push((name, state));
        } else {
            let field = Some(format!("states.{}", clean(&name, STATE_BYTES_MAX)));
            let message =
                format!("a state's name and its state are words of a-z, 0-9 and _, up to {STATE_BYTES_MAX}");
            faults.push(Fault { row: None, field, code: FAULT_SHAPE.into(), message });
        }
    }
    good
}

/// Is `text` a word for programs?
pub(crate) fn is_word(text: &str) -> bool {
    (1..=STATE_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn facts(facts: wire::Facts) -> Vec<(String, String)> {
    let wire::Facts { hostname, os, arch, kernel, cpu_model, cores, openclaw_version, public_ip } = facts;
    [
        ("hostname", hostname),
        ("os", os),
        ("arch", arch),
        ("kernel", kernel),
        ("cpu_model", cpu_model),
        ("cores", cores.map(|cores| cores.to_string())),
        ("openclaw_version", openclaw_version),
        ("public_ip", public_ip),
    ]
    .into_iter()
    .filter_map(|(name, text)| fact(name, &text?))
    .collect()
}

/// A fact as it is kept; `None` when it says nothing.
pub(crate) fn fact(name: &str, text: &str) -> Option<(String, String)> {
    let text = clean(text, FACT_BYTES_MAX);
    let text = text.trim();
    (!text.is_empty()).then(|| (name.to_string(), text.to_string()))
}

/// `text` without control characters other than line breaks and tabs, and at most `bytes_max` long.
pub(crate) fn clean(text: &str, bytes_max: usize) -> String {
    let mut out: String =
        text.chars().filter(|char| !char.is_control() || matches!(char, '\n' | '\t')).collect();
    out.truncate(out.floor_char_boundary(bytes_max));
    out
}

#[cfg(test)]
mod tests;
