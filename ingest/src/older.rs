//! The two paths of the older Python agent: flat JSON, with the key in the body or in a header.
//!
//! It repeats nothing and numbers nothing, so what it sends has no origin, and its one row is of the moment it came.

use bytes::Bytes;
use front::{ApiError, Limits, Peer, Request, Response};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use store::{Batch, Column, DeviceId, Kind, Level, LogLine, Presence, Rows, Timestamp};

use crate::admit::{MESSAGE_BYTES_MAX, SOURCE_BYTES_MAX, clean, fact, is_word};
use crate::key;
use crate::serve::Ingest;

/// A body may have to be read before anybody knows whose it is, so it may not be large.
const BODY_BYTES_MAX: usize = 128 << 10;

// A message and a stack trace of usual size fit, whatever else is said.
const _: () = assert!(BODY_BYTES_MAX > MESSAGE_BYTES_MAX);

/// Field of the older agent → metric. Its `total_tokens` is a sum of context sizes, which can fall: a gauge, and
/// no usage.
const METRICS: [(&str, &str); 11] = [
    ("cpu_percent", "cpu_percent"),
    ("memory_percent", "memory_percent"),
    ("memory_total", "memory_total"),
    ("memory_used", "memory_used"),
    ("disk_percent", "disk_percent"),
    ("disk_total", "disk_total"),
    ("disk_used", "disk_used"),
    ("upload_speed", "net_tx_rate"),
    ("download_speed", "net_rx_rate"),
    ("context_tokens", "context_tokens"),
    ("total_tokens", "session_tokens"),
];

const FACTS: [&str; 5] = ["openclaw_version", "public_ip", "runtime", "model", "thinking"];

/// `POST /api/report/status`
pub(crate) async fn status(ingest: &Ingest, request: Request, peer: Peer) -> Result<Response, ApiError> {
    take(ingest, request, peer, |device, now, body| Ok(status_batch(device, now, body)), "Status received")
        .await
}

/// `POST /api/report/error`
pub(crate) async fn error(ingest: &Ingest, request: Request, peer: Peer) -> Result<Response, ApiError> {
    take(ingest, request, peer, error_batch, "Error logged").await
}

type Flat = Map<String, Value>;

async fn take(
    ingest: &Ingest,
    request: Request,
    peer: Peer,
    batch: impl FnOnce(DeviceId, Timestamp, &Flat) -> Result<Batch, ApiError>,
    message: &str,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    check_media_type(&parts.headers)?;
    let limits = Limits {
        body_bytes_max: BODY_BYTES_MAX,
        decoded_bytes_max: BODY_BYTES_MAX,
        ..ingest.options.limits.clone()
    };
    // A key in a header is judged before the body is read.
    let known = match key::from_headers(&parts.headers) {
        Some(key) => Some(ingest.authenticate(Some(key), peer)?),
        None => None,
    };
    let ticket = known.map(|device| ingest.begin(device)).transpose()?;
    let body = front::read_body(&parts.headers, body, &limits).await.and_then(|body| parse(&body));
    let body = match known {
        Some(device) => ingest.judged(device, body)?,
        None => body?,
    };
    let device = match known {
        Some(device) => device,
        None => ingest.authenticate(body.get("api_key").and_then(Value::as_str).map(str::as_bytes), peer)?,
    };
    let _ticket = match ticket {
        Some(ticket) => ticket,
        None => ingest.begin(device)?,
    };
    let batch = ingest.judged(device, batch(device, ingest.now(), &body))?;
    ingest.submit(batch, None).await?;
    Ok(front::json(StatusCode::OK, &json!({ "message": message })))
}

/// The older agent always says JSON; scripts made after it may say nothing.
fn check_media_type(headers: &HeaderMap) -> Result<(), ApiError> {
    match front::media_type(headers) {
        None => Ok(()),
        Some(name) if name.eq_ignore_ascii_case(wire::JSON_CONTENT_TYPE) => Ok(()),
        Some(_) => Err(ApiError::unsupported_media_type("This path takes application/json.")),
    }
}

fn parse(body: &Bytes) -> Result<Flat, ApiError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request(format!("Broken JSON at line {}, column {}.", error.line(), error.column()))
    })?;
    match value {
        Value::Object(flat) => Ok(flat),
        _ => Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            "The report is not a JSON object.",
        )),
    }
}

/// What a status report of the older agent says, as one row of this moment.
pub fn status_batch(device: DeviceId, now: Timestamp, body: &Flat) -> Batch {
    let columns: Vec<Column> = METRICS
        .iter()
        .filter_map(|(field, metric)| {
            let value = number(body.get(*field)?)?;
            Some(Column {
                metric: (*metric).to_string(),
                kind: Kind::Gauge,
                values: vec![value],
                present: Presence::All,
            })
        })
        .collect();
    let t_ms = if columns.is_empty() { Vec::new() } else { vec![now] };
    let facts = FACTS.iter().filter_map(|name| fact(name, &text(body.get(*name)?)?)).collect();
    let gateway = body.get("openclaw_status").and_then(Value::as_str).map(|status| {
        let word = status.trim().to_ascii_lowercase();
        if is_word(&word) { word } else { "unknown".to_string() }
    });
    Batch {
        facts,
        states: gateway.map(|state| ("gateway".to_string(), state)).into_iter().collect(),
        rows: Rows { t_ms, columns },
        ..Batch::new(device, now)
    }
}

/// What an error report of the older agent says, as a log line of this moment; `None` when it says nothing.
pub fn error_line(device: DeviceId, now: Timestamp, body: &Flat) -> Option<Batch> {
    error_batch(device, now, body).ok()
}

fn error_batch(device: DeviceId, now: Timestamp, body: &Flat) -> Result<Batch, ApiError> {
    let field = |name: &str| body.get(name).and_then(text).unwrap_or_default();
    let mut message = field("message");
    let trace = field("stack_trace");
    if message.trim().is_empty() && trace.trim().is_empty() {
        return Err(ApiError::invalid("message", "The report has no message."));
    }
    if !trace.trim().is_empty() {
        message.push('\n');
        message.push_str(&trace);
    }
    let line = LogLine {
        t_ms: now,
        // What is posted here is an error unless it says otherwise in a word that is known.
        level: Level::parse(&field("level")).unwrap_or(Level::Error),
        source: clean(&field("source"), SOURCE_BYTES_MAX),
        message: clean(message.trim(), MESSAGE_BYTES_MAX),
    };
    Ok(Batch { logs: vec![line], ..Batch::new(device, now) })
}

/// A number, also one written as text; whatever else there is counts as absent.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = 1_800_000_000_000;

    fn flat(json: &str) -> Flat {
        parse(&Bytes::copy_from_slice(json.as_bytes())).unwrap()
    }

    #[track_caller]
    fn check_status(json: &str, expected: &str) {
        let batch = status_batch(DeviceId(1), NOW, &flat(json));
        let mut parts: Vec<String> = batch
            .rows
            .columns
            .iter()
            .map(|column| format!("{}={}", column.metric, column.values[0]))
            .collect();
        parts.extend(batch.states.iter().chain(&batch.facts).map(|(name, text)| format!("{name}:{text}")));
        assert_eq!(parts.join(" "), expected);
        let rows = usize::from(!batch.rows.columns.is_empty());
        assert_eq!(batch.rows.t_ms, vec![NOW; rows]);
        assert_eq!(batch.origin, None);
        assert!(batch.usage.is_empty());
    }

    #[test]
    fn fields_become_metrics_states_and_facts() {
        check_status(
            r#"{"api_key": "k", "cpu_percent": 12.5, "memory_percent": 40, "memory_total": 8000, "memory_used": 3200,
                "disk_percent": 55.5, "disk_total": 100, "disk_used": 55, "upload_speed": 1000, "download_speed": 2000,
                "context_tokens": 5, "total_tokens": 7, "openclaw_status": "running", "openclaw_version": "2026.9.6",
                "public_ip": "192.0.2.1", "runtime": "node", "model": "m", "thinking": "low"}"#,
            "cpu_percent=12.5 memory_percent=40 memory_total=8000 memory_used=3200 disk_percent=55.5 disk_total=100 \
             disk_used=55 net_tx_rate=1000 net_rx_rate=2000 context_tokens=5 session_tokens=7 gateway:running \
             openclaw_version:2026.9.6 public_ip:192.0.2.1 runtime:node model:m thinking:low",
        );
    }

    #[test]
    fn a_bad_field_is_skipped_and_the_others_are_kept() {
        check_status(
            r#"{"cpu_percent": "12.5", "memory_used": null, "disk_used": "much"}"#,
            "cpu_percent=12.5",
        );
        check_status(r#"{"cpu_percent": "NaN", "memory_used": "inf", "disk_used": [1]}"#, "");
        check_status(r#"{"cpu_percent": true, "model": "", "thinking": false}"#, "thinking:false");
        check_status(r#"{"openclaw_status": "Stopped "}"#, "gateway:stopped");
        check_status(r#"{"openclaw_status": "<b>!</b>"}"#, "gateway:unknown");
        check_status("{}", "");
    }

    #[track_caller]
    fn check_error(json: &str, expected: Option<(Level, &str, &str)>) {
        let batch = error_batch(DeviceId(1), NOW, &flat(json)).ok();
        let line = batch.as_ref().map(|batch| &batch.logs[0]);
        assert_eq!(line.map(|l| (l.level, l.source.as_str(), l.message.as_str())), expected);
    }

    #[test]
    fn an_error_becomes_a_log_line() {
        check_error(r#"{"level": "warning", "message": "m", "source": "s"}"#, Some((Level::Warn, "s", "m")));
        check_error(r#"{"message": "m", "stack_trace": "a\nb"}"#, Some((Level::Error, "", "m\na\nb")));
        check_error(
            r#"{"level": "odd", "message": "m", "stack_trace": null}"#,
            Some((Level::Error, "", "m")),
        );
        check_error(r#"{"level": "error"}"#, None);
        check_error(r#"{"message": " "}"#, None);
    }

    #[test]
    fn a_message_of_any_size_is_cut() {
        let json = format!(r#"{{"message": "{}"}}"#, "ä".repeat(MESSAGE_BYTES_MAX));
        let batch = error_batch(DeviceId(1), NOW, &flat(&json)).unwrap();
        assert_eq!(batch.logs[0].message.len(), MESSAGE_BYTES_MAX);
    }
}
