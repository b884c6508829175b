//! `POST /api/v1/report`: one report as a frame or as JSON.

use bytes::Bytes;
use front::{ApiError, Peer, Request, Response};
use http::{HeaderMap, StatusCode};
use store::{Batch, DeviceId, Origin, Receipt, Timestamp};
use wire::bounds::FAULTS_MAX;
use wire::frame::FrameError;
use wire::json::JsonError;
use wire::{Ack, AgentInfo, Fault};

use crate::admit::{self, Admitted, Policy, admit};
use crate::serve::Ingest;

/// Bodies larger than this are decoded off the async threads.
const INLINE_DECODE_BYTES_MAX: usize = 64 << 10;

/// Frames up to this size are copied out of their connection's buffer.
const COPY_BYTES_MAX: usize = 4 << 10;

/// Code of the [`Fault`] that says that columns were left out.
const FAULT_TOO_MANY_METRICS: &str = "too_many_metrics";

pub(crate) async fn report(ingest: &Ingest, request: Request, peer: Peer) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let device = ingest.authenticate_headers(&parts.headers, peer)?;
    let _ticket = ingest.begin(device)?;
    let answer = of_device(ingest, device, &parts.headers, body).await;
    ingest.judged(device, answer)
}

async fn of_device(
    ingest: &Ingest,
    device: DeviceId,
    headers: &HeaderMap,
    body: hyper::body::Incoming,
) -> Result<Response, ApiError> {
    let format = Format::of(headers)?;
    let body = front::read_body(headers, body, &ingest.options.limits).await?;
    let now = ingest.now();
    let policy = ingest.policy();
    let taken = if body.len() <= INLINE_DECODE_BYTES_MAX {
        take(format, &body, device, now, &policy)?
    } else {
        let body = body.clone();
        tokio::task::spawn_blocking(move || take(format, &body, device, now, &policy))
            .await
            .map_err(|_| ApiError::internal())??
    };
    let stated_ms = taken.batch.interval_ms;
    let mut ack = taken.ack;
    // Nothing of it was left out, so the frame says the same and is kept as it came.
    let frame = (format == Format::Frame && ack.rejected == 0 && ack.faults.is_empty()).then(|| kept(body));
    let receipt = ingest.submit(taken.batch, frame).await?;
    note_refused(&mut ack, &receipt);
    // What the device says of its interval is not overruled; one that says nothing learns what it is judged by.
    ack.interval_s = stated_ms
        .or_else(|| ingest.store.interval_ms(device))
        .unwrap_or(store::INTERVAL_DEFAULT_MS)
        .div_ceil(1_000);
    ack.live = ingest.store.is_watched(device, now);
    Ok(front::json(StatusCode::OK, &ack))
}

/// A frame that outlives its request. A short one is a piece of its connection's buffer, which takes in the next request
/// when nobody holds a piece of it any more, and is made anew otherwise.
fn kept(frame: Bytes) -> Bytes {
    if frame.len() <= COPY_BYTES_MAX { Bytes::copy_from_slice(&frame) } else { frame }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Frame,
    Json,
}

impl Format {
    fn of(headers: &HeaderMap) -> Result<Format, ApiError> {
        match front::media_type(headers) {
            Some(name) if name.eq_ignore_ascii_case(wire::FRAME_CONTENT_TYPE) => Ok(Format::Frame),
            Some(name) if name.eq_ignore_ascii_case(wire::JSON_CONTENT_TYPE) => Ok(Format::Json),
            _ => Err(ApiError::unsupported_media_type(format!(
                "This Content-Type is not supported; use {} or {}.",
                wire::JSON_CONTENT_TYPE,
                wire::FRAME_CONTENT_TYPE
            ))),
        }
    }
}

/// What goes to the store, and what is answered once it is there.
struct Taken {
    batch: Batch,
    ack: Ack,
}

fn take(
    format: Format,
    body: &[u8],
    device: DeviceId,
    now: Timestamp,
    policy: &Policy,
) -> Result<Taken, ApiError> {
    let (mut report, faults) = match format {
        Format::Frame => (wire::frame::decode(body).map_err(frame_error)?, Vec::new()),
        Format::Json => wire::json::parse(body).map_err(json_error)?,
    };
    let agent = std::mem::take(&mut report.agent);
    Ok(assemble(device, now, agent, admit(report, faults, now, policy)))
}

/// Reads a frame again that was stored as it came; see [`store::FrameReader`].
///
/// # Errors
/// Why these bytes are no frame.
pub fn read_frame(device: DeviceId, received_ms: Timestamp, bytes: &[u8]) -> Result<Batch, String> {
    // What was stored was admitted at its time: its age by now is no reason to leave anything out.
    let policy = Policy { age_ms_max: i64::MAX, ..Policy::default() };
    take(Format::Frame, bytes, device, received_ms, &policy)
        .map(|taken| taken.batch)
        .map_err(|error| error.message)
}

fn assemble(device: DeviceId, now: Timestamp, agent: AgentInfo, admitted: Admitted) -> Taken {
    let Admitted { rows, usage, logs, states, facts, accepted, rejected, faults } = admitted;
    let ack = Ack { accepted, rejected, faults, ..Ack::default() };
    let batch = Batch {
        device,
        received_ms: now,
        origin: agent.boot.map(|(boot_id, seq)| Origin { boot_id: boot_id.0, seq }),
        interval_ms: agent.interval_s.map(|s| s.clamp(1, admit::INTERVAL_S_MAX) * 1_000),
        agent_version: admit::fact("version", &agent.version).map(|(_, version)| version),
        facts,
        states,
        rows,
        usage,
        logs,
    };
    Taken { batch, ack }
}

fn note_refused(ack: &mut Ack, receipt: &Receipt) {
    if receipt.columns_refused == 0 {
        return;
    }
    let message = format!(
        "{} metrics were left out: the device has as many metrics as are allowed",
        receipt.columns_refused
    );
    // This says more than any one row's fault, so it is not the one that is left off.
    ack.faults.truncate(FAULTS_MAX - 1);
    ack.faults.push(Fault { row: None, field: None, code: FAULT_TOO_MANY_METRICS.into(), message });
}

fn frame_error(error: FrameError) -> ApiError {
    if error.is_too_large() {
        return ApiError::too_large(sentence(&error.to_string()));
    }
    ApiError::bad_request(sentence(&error.to_string()))
}

fn json_error(error: JsonError) -> ApiError {
    let message = sentence(&error.to_string());
    match error {
        JsonError::Syntax { .. } => ApiError::bad_request(message),
        JsonError::TooLarge { .. } => ApiError::too_large(message),
        JsonError::Shape { field, .. } if field.is_empty() => {
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message)
        }
        JsonError::Shape { field, .. } => ApiError::invalid(field, message),
    }
}

/// An error's text as a sentence for a person. Where it begins with a field, the field keeps its spelling.
fn sentence(text: &str) -> String {
    let first = text.split(' ').next().unwrap_or_default();
    if !first.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return format!("{text}.");
    }
    let (initial, rest) = text.split_at(usize::from(!first.is_empty()));
    format!("{}{rest}.", initial.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use wire::Report;

    use super::*;

    const NOW: Timestamp = 1_800_000_000_000;

    fn taken(format: Format, body: &[u8]) -> Result<Taken, (u16, String)> {
        take(format, body, DeviceId(7), NOW, &Policy::default())
            .map_err(|error| (error.status.as_u16(), error.message))
    }

    #[test]
    fn a_frame_and_its_json_become_the_same_batch() {
        let mut rows = wire::RowsBuilder::default();
        rows.push(NOW, [("cpu_percent", wire::Kind::Gauge, 12.5), ("n_total", wire::Kind::Counter, 3.0)]);
        rows.push(NOW + 1_000, [("cpu_percent", wire::Kind::Gauge, 13.0)]);
        let report = Report {
            agent: AgentInfo {
                version: "0.1.0".into(),
                boot: Some((wire::BootId([3; 16]), 42)),
                interval_s: Some(10),
            },
            rows: rows.finish(),
            states: vec![("gateway".into(), "running".into())],
            ..Report::default()
        };
        let frame = taken(Format::Frame, &wire::frame::encode(&report).unwrap()).unwrap();
        let json = taken(Format::Json, wire::json::to_json(&report).as_bytes()).unwrap();
        assert_eq!(frame.batch, json.batch);
        assert_eq!(frame.ack, json.ack);
        assert_eq!((frame.ack.accepted, frame.ack.rejected), (2, 0));
        let batch = frame.batch;
        assert_eq!(batch.origin, Some(Origin { boot_id: [3; 16], seq: 42 }));
        assert_eq!((batch.received_ms, batch.interval_ms), (NOW, Some(10_000)));
        assert_eq!(batch.agent_version.as_deref(), Some("0.1.0"));
        assert_eq!(batch.rows.t_ms, [NOW, NOW + 1_000]);
        assert_eq!(batch.rows.columns[1].kind, store::Kind::Counter);
    }

    #[test]
    fn a_frame_that_is_read_again_later_gives_the_same_batch() {
        let mut rows = wire::RowsBuilder::default();
        rows.push(NOW - 29 * 86_400_000, [("cpu_percent", wire::Kind::Gauge, -0.0)]);
        rows.push(NOW + 599_000, [("n_total", wire::Kind::Counter, 3.0)]);
        let line = |t_ms, message: &str| wire::Log {
            t_ms,
            level: "error".into(),
            message: message.into(),
            ..Default::default()
        };
        let report = Report {
            rows: rows.finish(),
            facts: wire::Facts { hostname: Some(" a\u{7}b ".into()), ..Default::default() },
            states: vec![("gateway".into(), "running".into())],
            logs: vec![line(NOW + 10_000_000, "a\u{1b}[0m"), line(NOW - 1, &"x".repeat(9_000))],
            ..Report::default()
        };
        let frame = wire::frame::encode(&report).unwrap();
        let taken = taken(Format::Frame, &frame).unwrap();
        assert_eq!((taken.ack.rejected, taken.ack.faults.len()), (0, 0));
        assert_eq!(read_frame(DeviceId(7), NOW, &frame).unwrap(), taken.batch);
        assert!(read_frame(DeviceId(7), NOW, b"no frame").unwrap_err().contains("20 bytes"));
    }

    #[test]
    fn an_interval_nobody_means_is_clamped() {
        let agent = |interval_s| AgentInfo { interval_s: Some(interval_s), ..AgentInfo::default() };
        let ms = |s| assemble(DeviceId(1), NOW, agent(s), Admitted::default()).batch.interval_ms;
        assert_eq!((ms(0), ms(5), ms(u32::MAX)), (Some(1_000), Some(5_000), Some(3_600_000)));
    }

    #[track_caller]
    fn check_error(format: Format, body: &[u8], status: u16, says: &str) {
        let (got, message) = taken(format, body).map(|taken| taken.ack).unwrap_err();
        assert_eq!(got, status, "{message}");
        assert!(message.contains(says), "{message}");
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_place() {
        check_error(Format::Json, b"{\"rows\": [}\n", 400, "line 1, column 11");
        check_error(Format::Json, b"", 400, "line 1");
        check_error(Format::Json, b"[]", 422, "an object");
        check_error(Format::Json, b"{\"rows\": 5}", 422, "rows: ");
        check_error(Format::Json, b"{\"agent\": {\"boot_id\": 1, \"seq\": 1}}", 422, "boot_id");
        check_error(Format::Frame, b"hello", 400, "20 bytes");
        check_error(Format::Frame, &[b'x'; 100], 400, "OCWF");
        let mut frame = wire::frame::encode(&Report::default()).unwrap();
        *frame.last_mut().unwrap() ^= 1;
        check_error(Format::Frame, &frame, 400, "checksum");
        let logs = r#"{"t_ms": 0, "message": ""},"#.repeat(wire::bounds::LOGS_MAX + 1);
        let many = format!(r#"{{"logs": [{}]}}"#, logs.trim_end_matches(','));
        check_error(Format::Json, many.as_bytes(), 413, "logs");
    }

    #[test]
    fn refused_columns_are_named_even_beside_many_other_faults() {
        let mut ack = Ack { faults: vec![Fault::default(); FAULTS_MAX], ..Ack::default() };
        note_refused(&mut ack, &Receipt { duplicate: false, columns_refused: 3 });
        assert_eq!(ack.faults.len(), FAULTS_MAX);
        assert_eq!(ack.faults.last().unwrap().code, FAULT_TOO_MANY_METRICS);
        let mut ack = Ack::default();
        note_refused(&mut ack, &Receipt { duplicate: false, columns_refused: 0 });
        assert!(ack.faults.is_empty());
    }
}
