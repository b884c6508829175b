//! What a line of a gateway's log says, without I/O.

use serde::Deserialize;
use serde_json::Value;
use wire::Log;
use wire::bounds::{FACT_BYTES_MAX, LOG_BYTES_MAX};

use super::redact::redact;
use crate::calendar::timestamp;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Details.
    Debug,
    /// As it should be.
    Info,
    /// Somebody may have to look.
    Warn,
    /// Something failed.
    Error,
    /// The gateway ends, or does not start.
    Fatal,
}

impl Level {
    /// The level as reports have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
            Level::Fatal => "fatal",
        }
    }

    /// The level of a name, in either case.
    pub fn parse(name: &str) -> Option<Level> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "trace" | "debug" | "silly" => Level::Debug,
            "info" | "log" => Level::Info,
            "warn" | "warning" => Level::Warn,
            "error" => Level::Error,
            "fatal" => Level::Fatal,
            _ => return None,
        })
    }
}

/// Texts of a gateway that ends or does not start, whatever level it gives them.
const FATAL_TEXTS: [&str; 12] = [
    "FATAL unhandled rejection:",
    "Unhandled promise rejection:",
    "CONFIGURATION ERROR - requires fix:",
    "OpenClaw hit an unexpected runtime error.",
    "Gateway failed to start:",
    "GatewayLockError",
    "another gateway instance is already listening",
    "giving up after 10 restart attempts",
    "gateway requires state migration",
    "JavaScript heap out of memory",
    "FATAL ERROR:",
    "Uncaught Exception",
];
/// Texts of something that failed and did not end the gateway.
const ERROR_TEXTS: [&str; 1] = ["Non-fatal uncaught exception (continuing)"];
/// What is told of a structured record besides its message: names and numbers, no texts of a model or
/// a person.
const FIELDS: [&str; 14] = [
    "event",
    "decision",
    "reason",
    "failoverReason",
    "status",
    "code",
    "provider",
    "model",
    "candidateProvider",
    "candidateModel",
    "fallbackStepFinalOutcome",
    "providerRuntimeFailureKind",
    "runId",
    "durationMs",
];
/// Bytes of one such value.
const FIELD_BYTES_MAX: usize = 120;

/// One record of a log: a line, or a line and the stack below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When, in Unix milliseconds, if it says so.
    pub t_ms: Option<i64>,
    /// How bad it is.
    pub level: Level,
    /// Which part of the gateway wrote it.
    pub source: String,
    /// The text, not redacted yet.
    pub message: String,
    /// Whether lines that are indented belong to it.
    pub open: bool,
}

impl Record {
    /// Adds a line of a stack.
    pub fn join(&mut self, line: &str) {
        if self.message.len() + line.len() < LOG_BYTES_MAX {
            self.message.push('\n');
            self.message.push_str(line);
            self.level = self.level.max(level_of_text(line, Level::Debug));
        }
    }

    /// The record as it leaves the device.
    pub fn into_log(self, now_ms: i64) -> Log {
        let (mut source, mut message) = (redact(&self.source), redact(&self.message));
        truncate(&mut source, FACT_BYTES_MAX);
        truncate(&mut message, LOG_BYTES_MAX);
        Log { t_ms: self.t_ms.unwrap_or(now_ms), level: self.level.as_str().into(), source, message }
    }
}

/// Whether a line goes on with the record before it.
pub fn continues(line: &str) -> bool {
    line.starts_with([' ', '\t', '}', ']']) || line.starts_with("Caused by") || line.starts_with("[cause]")
}

/// What a line says. `usual` is the level of a plain line that names none; `cut` is whether the line
/// goes on beyond what was read. Nothing for an empty line and for one that should be JSON and is not:
/// how private it is cannot be told.
pub fn parse(line: &str, usual: Level, cut: bool) -> Option<Record> {
    let line = line.trim_end();
    if line.trim_start().is_empty() {
        return None;
    }
    if line.starts_with('{') {
        return if cut { Some(too_long()) } else { serde_json::from_str(line).ok().and_then(from_json) };
    }
    let mut message = line.to_string();
    if cut {
        // Half a secret does not look like one.
        let end = message.rfind(char::is_whitespace)?;
        message.truncate(end);
        message.push_str(" …");
    }
    let (t_ms, rest) = match line.split_once(' ') {
        Some((first, rest)) if timestamp(first).is_some() => (timestamp(first), rest),
        _ => (None, line),
    };
    let source = rest.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let source = source.map_or("gateway", |(source, _)| source).to_string();
    Some(Record { t_ms, level: level_of_text(&message, usual), source, message, open: true })
}

fn too_long() -> Record {
    Record {
        t_ms: None,
        level: Level::Warn,
        source: "openclaw-watch-agent".into(),
        message: format!("a log line of more than {} KiB was left out", super::lines::LINE_BYTES_MAX >> 10),
        open: false,
    }
}

#[derive(Deserialize)]
struct Json {
    #[serde(rename = "0")]
    zero: Option<Value>,
    #[serde(rename = "1")]
    one: Option<Value>,
    #[serde(rename = "2")]
    two: Option<Value>,
    #[serde(rename = "_meta")]
    meta: Option<Meta>,
    time: Option<Value>,
    message: Option<Value>,
    dropped: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    log_level_name: Option<Value>,
    date: Option<Value>,
    name: Option<Value>,
}

fn from_json(json: Json) -> Option<Record> {
    let Json { zero, one, two, meta, time, message, dropped } = json;
    let meta = meta.unwrap_or_default();
    let text = |value: &Option<Value>| value.as_ref().and_then(Value::as_str).map(str::to_string);
    let subsystem = [&zero, &meta.name].into_iter().find_map(|value| {
        let name = serde_json::from_str::<Value>(value.as_ref()?.as_str()?).ok()?;
        name.get("subsystem").or_else(|| name.get("module"))?.as_str().map(str::to_string)
    });
    // A plain console line has its text in "0".
    let first = if subsystem.is_none() { text(&zero) } else { None };
    let mut message =
        text(&message).or(first).or_else(|| text(&one)).or_else(|| text(&two)).unwrap_or_default();
    for name in FIELDS {
        match one.as_ref().and_then(|one| one.get(name)) {
            Some(Value::String(value)) if value.len() <= FIELD_BYTES_MAX => {
                message.push_str(&format!(" {name}={value}"));
            }
            Some(value @ (Value::Number(_) | Value::Bool(_))) => {
                message.push_str(&format!(" {name}={value}"))
            }
            _ => {}
        }
    }
    if let Some(dropped) = dropped.as_ref().and_then(Value::as_u64) {
        message.push_str(&format!(" dropped={dropped}"));
    }
    let level = text(&meta.log_level_name).and_then(|name| Level::parse(&name)).unwrap_or(Level::Info);
    let t_ms = [&meta.date, &time].into_iter().find_map(|value| timestamp(value.as_ref()?.as_str()?));
    (!message.is_empty()).then(|| Record {
        t_ms,
        level: level.max(level_of_crash(&message).unwrap_or(level)),
        source: subsystem.unwrap_or_else(|| "openclaw".into()),
        message,
        open: false,
    })
}

fn level_of_crash(text: &str) -> Option<Level> {
    if ERROR_TEXTS.iter().any(|known| text.contains(known)) {
        return Some(Level::Error);
    }
    FATAL_TEXTS.iter().any(|known| text.contains(known)).then_some(Level::Fatal)
}

fn level_of_text(text: &str, usual: Level) -> Level {
    let has = |words: &[&str]| {
        let mut found = text.split(|c: char| !c.is_ascii_alphanumeric());
        found.any(|word| words.contains(&word))
    };
    match level_of_crash(text) {
        Some(level) => level,
        None if has(&["FATAL"]) => Level::Fatal,
        None if has(&["ERROR", "Error", "error", "TypeError", "RangeError", "ReferenceError"]) => {
            Level::Error
        }
        None if has(&["WARN", "Warning", "warn", "warning", "WARNING"]) => Level::Warn.max(usual),
        None => usual,
    }
}

fn truncate(text: &mut String, max: usize) {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(line: &str) -> String {
        parse(line, Level::Info, false).map_or("nothing".into(), |record| {
            format!(
                "{} {} {}: {}",
                record.t_ms.map_or("-".into(), |t| t.to_string()),
                record.level.as_str(),
                record.source,
                record.message
            )
        })
    }

    #[test]
    fn json_lines_say_time_level_source_and_message() {
        let ready = r#"{"0":"{\"subsystem\":\"gateway\"}","1":"ready","_meta":{"date":"2026-11-22T10:39:42.627Z","logLevelId":3,"logLevelName":"INFO","name":"{\"subsystem\":\"gateway\"}"},"time":"2026-11-22T10:39:42.627+00:00","message":"ready"}"#;
        assert_eq!(show(ready), "1795343982627 info gateway: ready");
        let fallback = r#"{"0":"{\"subsystem\":\"model-fallback/decision\"}","1":{"event":"model_fallback_decision","candidateModel":"acme-large","reason":"rate_limit","status":429,"rawErrorPreview":"private","runId":"87"},"2":"model fallback decision","_meta":{"logLevelName":"WARN"},"time":"2026-11-22T11:53:20.627+01:00","message":"model fallback decision"}"#;
        assert_eq!(
            show(fallback),
            "1795344800627 warn model-fallback/decision: model fallback decision event=model_fallback_decision \
             reason=rate_limit status=429 candidateModel=acme-large runId=87"
        );
        assert_eq!(
            show(r#"{"0":"plain text","_meta":{"logLevelName":"ERROR","name":"openclaw"}}"#),
            "- error openclaw: plain text"
        );
        assert_eq!(
            show(r#"{"0":7,"_meta":{"logLevelName":4},"dropped":3,"message":"queue"}"#),
            "- info openclaw: queue dropped=3"
        );
    }

    #[test]
    fn crashes_are_fatal_whatever_their_level() {
        let line = |text: &str| format!(r#"{{"0":"[openclaw] {text} x","_meta":{{"logLevelName":"INFO"}}}}"#);
        for text in FATAL_TEXTS {
            assert!(show(&line(text)).contains(" fatal "), "{text}");
            assert!(show(text).contains(" fatal "), "{text}");
        }
        assert!(show(&line(ERROR_TEXTS[0])).contains(" error "));
    }

    #[test]
    fn plain_lines_say_what_they_can() {
        assert_eq!(
            show("2026-11-22T10:39:42.627Z [gateway/ws] Error: closed"),
            "1795343982627 error gateway/ws: 2026-11-22T10:39:42.627Z [gateway/ws] Error: closed"
        );
        assert_eq!(show("(node:1) Warning: old"), "- warn gateway: (node:1) Warning: old");
        assert_eq!(show("ready"), "- info gateway: ready");
        assert_eq!(parse("x", Level::Warn, false).unwrap().level, Level::Warn);
        for line in ["", "   ", "{\"0\":\"torn", "{}", "{\"message\":\"\"}"] {
            assert_eq!(show(line), "nothing", "{line}");
        }
    }

    #[test]
    fn of_a_line_that_is_cut_no_half_word_stays() {
        let cut = |line: &str| parse(line, Level::Info, true).map(|record| record.message);
        assert_eq!(cut("failed with password=hun").as_deref(), Some("failed with …"));
        assert_eq!(cut("aaaaaaaaaaaaa"), None);
        assert_eq!(cut(r#"{"0":"private"#).as_deref(), Some("a log line of more than 64 KiB was left out"));
    }

    #[test]
    fn a_stack_raises_its_line_and_is_bounded() {
        let mut record = parse("something went wrong", Level::Info, false).unwrap();
        record.join("    at x (TypeError)");
        assert_eq!((record.level, record.message.lines().count()), (Level::Error, 2));
        (0..100_000).for_each(|_| record.join("    at y"));
        let log = record.into_log(5);
        assert!(log.message.len() <= LOG_BYTES_MAX && log.t_ms == 5);
        assert!(continues("    at x") && continues("}") && !continues("2026 x"));
    }

    #[test]
    fn nothing_that_leaves_holds_a_secret() {
        let line = r#"{"0":"{\"subsystem\":\"password=abc\"}","1":"x","_meta":{"logLevelName":"ERROR"},"message":"login password=hunter2 failed"}"#;
        let log = parse(line, Level::Info, false).unwrap().into_log(0);
        assert_eq!(
            (log.source.as_str(), log.message.as_str()),
            ("password=[redacted]", "login password=[redacted] failed")
        );
    }
}
