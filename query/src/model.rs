//! JSON of what several answers share.

use std::sync::Arc;

use bytes::Bytes;
use front::{ApiError, Response};
use http::{HeaderValue, StatusCode, header};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use store::{DeviceState, DeviceView, LogEntry, Timestamp, UsageOverview};
use utoipa::ToSchema;

use crate::usage::SpentDays;

/// A figure: whole ones without a fraction, and `null` where JSON has no number for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number(pub(crate) f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Up to here a double holds every whole number.
        const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
        let value = self.0;
        if !value.is_finite() {
            serializer.serialize_none()
        } else if value.fract() == 0.0 && value.abs() < WHOLE_MAX {
            serializer.serialize_i64(value as i64)
        } else {
            serializer.serialize_f64(value)
        }
    }
}

/// Newest value of each metric, as a map.
pub(crate) struct Latest<'a>(pub(crate) &'a [(Arc<str>, f64)]);

impl Serialize for Latest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (&**name, Number(*value))))
    }
}

/// Names and texts, as a map; `cores` is a number.
struct Facts<'a>(&'a [(String, String)]);

impl Serialize for Facts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            match value.parse::<u32>() {
                Ok(cores) if name == "cores" => map.serialize_entry(name, &cores)?,
                _ => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

struct Texts<'a>(&'a [(String, String)]);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// A device and all that is known of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Device)]
pub(crate) struct DeviceBody<'a> {
    id: u32,
    name: &'a str,
    /// `laptop`, `desktop`, `server`, `nas`, `vps` or `other`.
    device_type: &'a str,
    tags: &'a [String],
    notes: &'a str,
    /// `online`, `degraded`, `offline`, or `new`: it has never reported.
    state: &'static str,
    /// Why it is not well: `no_report`; `gateway_` with the gateway's state; `usage_quiet`, `usage_unreadable` or
    /// `usage_unknown_schema` where its tokens cannot be counted.
    reason: Option<&'a str>,
    /// When this state began.
    since_ms: Option<Timestamp>,
    created_ms: Timestamp,
    /// When its last report arrived.
    last_seen_ms: Option<Timestamp>,
    /// How often it reports, as judged.
    interval_s: u32,
    agent_version: Option<&'a str>,
    /// What it says of itself: `hostname`, `os`, `arch`, `kernel`, `cpu_model`, `cores`, …
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    facts: Facts<'a>,
    /// Words that it says about itself. `gateway`: `running`, `starting`, `draining`, `degraded`, `stuck`, `stopped`,
    /// `crashed`, `not_installed` or `unknown`; of several the worst, and `gateways` says how many run
    /// (`1_of_2_running`). `gateway_failing`: the part that a degraded one names. `gateway_end`: how one that is gone
    /// ended, `clean_stop`, `forced_stop`, `start_failed` or `killed`. `usage`: how reading its transcripts goes, `ok`,
    /// `catching_up`, `partial`, `none`, `quiet` (users write and no usage comes), `unreadable` or `unknown_schema`.
    /// `usage_why`: why they are unreadable, `denied`, `damaged`, `gone`, `locked` or `failed`. `clock`:
    /// `ahead` or `behind` where its clock is so wrong that its samples get the server's time. A newer agent may say
    /// more.
    #[schema(value_type = BTreeMap<String, String>)]
    states: Texts<'a>,
    /// Time of its newest row.
    latest_ms: Option<Timestamp>,
    /// Newest value of each metric.
    #[schema(value_type = BTreeMap<String, f64>)]
    latest: Latest<'a>,
    /// Since midnight of the asked zone; `usage` says more.
    tokens_today: u64,
    usage: SpentDays,
}

impl<'a> DeviceBody<'a> {
    pub(crate) fn of(view: &'a DeviceView, usage: &UsageOverview) -> DeviceBody<'a> {
        DeviceBody {
            id: view.id.0,
            name: &view.profile.name,
            device_type: &view.profile.device_type,
            tags: &view.profile.tags,
            notes: &view.profile.notes,
            state: view.state.as_str(),
            reason: view.reason.as_deref(),
            since_ms: view.since_ms,
            created_ms: view.created_ms,
            last_seen_ms: view.last_seen_ms,
            interval_s: view.interval_ms.div_ceil(1_000),
            agent_version: view.agent_version.as_deref(),
            facts: Facts(&view.facts),
            states: Texts(&view.states),
            latest_ms: view.latest_ms,
            latest: Latest(&view.latest),
            tokens_today: usage.today.tokens.total(),
            usage: SpentDays::of(usage),
        }
    }
}

/// A line of a device's log.
#[derive(Serialize, ToSchema)]
#[schema(as = Log)]
pub(crate) struct LogBody<'a> {
    id: i64,
    device: u32,
    /// `null` when the device was deleted meanwhile.
    device_name: Option<&'a str>,
    t_ms: Timestamp,
    /// `debug`, `info`, `warn`, `error` or `fatal`.
    level: &'static str,
    source: &'a str,
    message: &'a str,
    /// The group of lines that say the same: see `/api/v1/logs/groups`.
    group: String,
}

/// A group's number as it is written: 16 hexadecimal digits, because JavaScript has no such numbers.
pub(crate) fn group_text(group: i64) -> String {
    format!("{:016x}", group as u64)
}

impl<'a> LogBody<'a> {
    pub(crate) fn of(entry: &'a LogEntry, device_name: Option<&'a str>) -> LogBody<'a> {
        LogBody {
            id: entry.id,
            device: entry.device.0,
            device_name,
            t_ms: entry.line.t_ms,
            level: entry.line.level.as_str(),
            source: &entry.line.source,
            message: &entry.line.message,
            group: group_text(entry.group),
        }
    }
}

/// The state a word means; the reverse of [`DeviceState::as_str`].
pub(crate) fn parse_state(word: &str) -> Option<DeviceState> {
    [DeviceState::Online, DeviceState::Degraded, DeviceState::Offline, DeviceState::New]
        .into_iter()
        .find(|state| state.as_str() == word)
}

/// Text that is JSON already, as an answer no cache keeps.
pub(crate) fn json_text(text: Vec<u8>) -> Response {
    text_answer(text, "application/json; charset=utf-8")
}

/// Text of this media type, as an answer no cache keeps.
pub(crate) fn text_answer(text: Vec<u8>, media_type: &'static str) -> Response {
    let mut response = Response::new(front::Body::new(Bytes::from(text)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *response.status_mut() = StatusCode::OK;
    response
}

/// Writes an answer that may be large; to be called on the blocking pool.
pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        ApiError::internal()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_nan() {
        let numbers = [1.0, -3.0, 12.5, 4_238_622_720.0, 0.1 + 0.2, 1e300, f64::NAN, f64::INFINITY, -0.0];
        assert_eq!(
            serde_json::to_string(&numbers.map(Number)).unwrap(),
            "[1,-3,12.5,4238622720,0.30000000000000004,1e+300,null,null,0]"
        );
    }

    #[test]
    fn hostile_names_are_text() {
        let facts = [("cores".to_string(), "8".to_string()), ("os".to_string(), "<script>\"\n".to_string())];
        assert_eq!(serde_json::to_string(&Facts(&facts)).unwrap(), r#"{"cores":8,"os":"<script>\"\n"}"#);
        let odd = [("cores".to_string(), "many".to_string())];
        assert_eq!(serde_json::to_string(&Facts(&odd)).unwrap(), r#"{"cores":"many"}"#);
    }

    #[test]
    fn state_words_come_back() {
        assert_eq!(parse_state("degraded"), Some(DeviceState::Degraded));
        assert_eq!(parse_state("Online"), None);
    }
}
