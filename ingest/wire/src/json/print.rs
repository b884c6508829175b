//! A report written as JSON.

use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use crate::report::{Column, Kind, Log, Report, Rows, Usage};

/// Above this, not every whole number has an `f64` of its own.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// The report on one line. [`parse`](super::parse) reads the same report from it: bit for bit where
/// values are finite. JSON has no words for the others: they are written as `null`, which is a fault
/// of their row.
pub fn to_json(report: &Report) -> String {
    serde_json::to_string(&Doc::from(report)).expect("every key is a text and nothing here fails")
}

/// The report for reading, over many lines.
pub fn to_json_pretty(report: &Report) -> String {
    serde_json::to_string_pretty(&Doc::from(report)).expect("every key is a text and nothing here fails")
}

#[derive(Serialize)]
struct Doc<'a> {
    agent: AgentDoc<'a>,
    facts: FactsDoc<'a>,
    rows: RowsDoc<'a>,
    counters: Vec<&'a str>,
    states: StatesDoc<'a>,
    usage: Vec<UsageDoc<'a>>,
    logs: Vec<LogDoc<'a>>,
}

impl<'a> From<&'a Report> for Doc<'a> {
    fn from(report: &'a Report) -> Self {
        let Report { agent, facts, rows, states, usage, logs } = report;
        let counters = rows.columns.iter().filter(|column| column.kind == Kind::Counter);
        Doc {
            agent: AgentDoc {
                version: &agent.version,
                boot_id: agent.boot.map(|(boot_id, _)| boot_id.to_string()),
                seq: agent.boot.map(|(_, seq)| seq),
                interval_s: agent.interval_s,
            },
            facts: FactsDoc {
                hostname: facts.hostname.as_deref(),
                os: facts.os.as_deref(),
                arch: facts.arch.as_deref(),
                kernel: facts.kernel.as_deref(),
                cpu_model: facts.cpu_model.as_deref(),
                cores: facts.cores,
                openclaw_version: facts.openclaw_version.as_deref(),
                public_ip: facts.public_ip.as_deref(),
            },
            rows: RowsDoc(rows),
            counters: counters.map(|column| column.name.as_str()).collect(),
            states: StatesDoc(states),
            usage: usage.iter().map(UsageDoc::from).collect(),
            logs: logs.iter().map(LogDoc::from).collect(),
        }
    }
}

#[derive(Serialize)]
struct AgentDoc<'a> {
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_s: Option<u32>,
}

#[derive(Serialize)]
struct FactsDoc<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    os: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cores: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    openclaw_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_ip: Option<&'a str>,
}

struct RowsDoc<'a>(&'a Rows);

impl Serialize for RowsDoc<'_> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let mut rows = output.serialize_seq(Some(self.0.len()))?;
        for row in 0..self.0.len() {
            rows.serialize_element(&RowDoc { t_ms: self.0.t_ms[row], v: ValuesDoc(self.0, row) })?;
        }
        rows.end()
    }
}

#[derive(Serialize)]
struct RowDoc<'a> {
    t_ms: i64,
    v: ValuesDoc<'a>,
}

struct ValuesDoc<'a>(&'a Rows, usize);

impl Serialize for ValuesDoc<'_> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.collect_map(
            self.0.row(self.1).map(|(Column { name, .. }, value)| (name.as_str(), NumberDoc(value))),
        )
    }
}

/// A number, without `.0` where it is whole. Negative zero is not written as a whole one: its sign
/// would be lost.
struct NumberDoc(f64);

impl Serialize for NumberDoc {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let value = self.0;
        if value.trunc() == value && value.abs() <= WHOLE_MAX && (value != 0.0 || value.is_sign_positive()) {
            output.serialize_i64(value as i64)
        } else {
            output.serialize_f64(value)
        }
    }
}

struct StatesDoc<'a>(&'a [(String, String)]);

impl Serialize for StatesDoc<'_> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let mut states = output.serialize_map(Some(self.0.len()))?;
        for (name, state) in self.0 {
            states.serialize_entry(name, state)?;
        }
        states.end()
    }
}

#[derive(Serialize)]
struct UsageDoc<'a> {
    event_id: &'a str,
    t_ms: i64,
    agent: &'a str,
    provider: &'a str,
    model: &'a str,
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write: u64,
    cost_usd: Option<NumberDoc>,
    cost_basis: &'a str,
}

impl<'a> From<&'a Usage> for UsageDoc<'a> {
    fn from(usage: &'a Usage) -> Self {
        UsageDoc {
            event_id: &usage.event_id,
            t_ms: usage.t_ms,
            agent: &usage.agent,
            provider: &usage.provider,
            model: &usage.model,
            input: usage.input,
            output: usage.output,
            cache_read: usage.cache_read,
            cache_write: usage.cache_write,
            cost_usd: usage.cost_usd.map(NumberDoc),
            cost_basis: &usage.cost_basis,
        }
    }
}

#[derive(Serialize)]
struct LogDoc<'a> {
    t_ms: i64,
    level: &'a str,
    source: &'a str,
    message: &'a str,
}

impl<'a> From<&'a Log> for LogDoc<'a> {
    fn from(log: &'a Log) -> Self {
        LogDoc { t_ms: log.t_ms, level: &log.level, source: &log.source, message: &log.message }
    }
}
