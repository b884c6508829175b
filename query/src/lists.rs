//! Pages of log lines and events, newest first.

use std::collections::HashMap;

use front::{ApiError, Response, json};
use http::StatusCode;
use serde::Serialize;
use store::{DeviceId, EventQuery, Level, LogQuery, Store, Timestamp};
use utoipa::{IntoParams, ToSchema};

use crate::call::Call;
use crate::model::LogBody;
use crate::params::{Params, cursor_text};

/// Entries of a page at most, and when nothing is asked for.
const PAGE_MAX: u32 = 500;
const PAGE_DEFAULT: u32 = 100;
/// Characters of a searched text.
const SEARCH_CHARS_MAX: usize = 200;

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the parameters; they are read one by one, so that faults name them")]
pub(crate) struct LogParams {
    /// Only this device.
    device: Option<u32>,
    /// At least this bad: `debug`, `info`, `warn`, `error` or `fatal`.
    #[param(pattern = "^(debug|info|warn|error|fatal)$")]
    level: Option<String>,
    /// Containing this text.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Not before.
    #[param(minimum = 0, maximum = 253402300799999_i64)]
    from_ms: Option<i64>,
    /// Before.
    #[param(minimum = 0, maximum = 253402300799999_i64)]
    to_ms: Option<i64>,
    /// `next` of the page before.
    #[param(pattern = "^-?[0-9]+\\.-?[0-9]+$")]
    before: Option<String>,
    /// 1 to 500, 100 by default.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the parameters; they are read one by one, so that faults name them")]
pub(crate) struct EventParams {
    /// Only this device; by default all and the server's own.
    device: Option<u32>,
    /// Not before.
    #[param(minimum = 0, maximum = 253402300799999_i64)]
    from_ms: Option<i64>,
    /// Before.
    #[param(minimum = 0, maximum = 253402300799999_i64)]
    to_ms: Option<i64>,
    /// `next` of the page before.
    #[param(pattern = "^-?[0-9]+\\.-?[0-9]+$")]
    before: Option<String>,
    /// 1 to 500, 100 by default.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct LogPage<'a> {
    logs: Vec<LogBody<'a>>,
    /// Give this as `before` for the next page; `null`: this was the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct EventPage<'a> {
    events: Vec<EventBody<'a>>,
    /// Give this as `before` for the next page; `null`: this was the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
struct EventBody<'a> {
    id: i64,
    /// `null`: the server itself.
    device: Option<u32>,
    device_name: Option<&'a str>,
    t_ms: Timestamp,
    /// `online`, `offline`, `server_start`, `key_rotated`, `device_added`, `version_change`.
    kind: &'a str,
    /// More about it, by kind.
    detail: &'a serde_json::Value,
}

/// What both lists ask for.
struct Window {
    device: Option<DeviceId>,
    from_ms: Option<Timestamp>,
    to_ms: Option<Timestamp>,
    before: Option<store::Cursor>,
    limit: u32,
}

impl Window {
    fn take(params: &mut Params) -> Result<Window, ApiError> {
        let window = Window {
            device: params.number("device", 0..=u32::MAX)?.map(DeviceId),
            from_ms: params.time_ms("from_ms")?,
            to_ms: params.time_ms("to_ms")?,
            before: params.cursor("before")?,
            limit: params.number("limit", 1..=PAGE_MAX)?.unwrap_or(PAGE_DEFAULT),
        };
        match (window.from_ms, window.to_ms) {
            (Some(from), Some(to)) if from >= to => {
                Err(ApiError::invalid("to_ms", "`to_ms` must be after `from_ms`."))
            }
            _ => Ok(window),
        }
    }
}

/// Log lines, newest first.
#[utoipa::path(get, path = "/api/v1/logs", operation_id = "list_logs", tag = "logs", params(LogParams),
    responses((status = 200, body = LogPage)))]
pub(crate) async fn logs(call: Call) -> Result<Response, ApiError> {
    let query = log_query(call.params()?)?;
    let page = call.app.light(move |store| store.logs(&query)).await?;
    let names = names(&call.app.store, page.entries.iter().map(|entry| entry.device));
    let logs = page.entries.iter().map(|entry| LogBody::of(entry, name(&names, entry.device))).collect();
    Ok(json(StatusCode::OK, &LogPage { logs, next: page.next.map(cursor_text) }))
}

/// What happened, newest first.
#[utoipa::path(get, path = "/api/v1/events", operation_id = "list_events", tag = "events", params(EventParams),
    responses((status = 200, body = EventPage)))]
pub(crate) async fn events(call: Call) -> Result<Response, ApiError> {
    let mut params = call.params()?;
    let Window { device, from_ms, to_ms, before, limit } = Window::take(&mut params)?;
    params.finish()?;
    let query = EventQuery { device, from_ms, to_ms, before, limit };
    let page = call.app.light(move |store| store.events(&query)).await?;
    let names = names(&call.app.store, page.entries.iter().filter_map(|event| event.device));
    let events = page.entries.iter().map(|event| EventBody {
        id: event.id,
        device: event.device.map(|id| id.0),
        device_name: event.device.and_then(|id| name(&names, id)),
        t_ms: event.t_ms,
        kind: &event.kind,
        detail: &event.detail,
    });
    Ok(json(StatusCode::OK, &EventPage { events: events.collect(), next: page.next.map(cursor_text) }))
}

fn log_query(mut params: Params) -> Result<LogQuery, ApiError> {
    let Window { device, from_ms, to_ms, before, limit } = Window::take(&mut params)?;
    let level = params.one("level")?;
    let text = params.one("q")?;
    params.finish()?;
    let level = match level {
        None => None,
        Some(word) => Some(exact_level(&word).ok_or_else(|| {
            ApiError::invalid("level", "`level` must be `debug`, `info`, `warn`, `error` or `fatal`.")
        })?),
    };
    if text.as_ref().is_some_and(|text| text.chars().count() > SEARCH_CHARS_MAX) {
        return Err(ApiError::invalid("q", format!("A search has {SEARCH_CHARS_MAX} characters at most.")));
    }
    Ok(LogQuery { device, level, text, from_ms, to_ms, before, limit })
}

fn exact_level(word: &str) -> Option<Level> {
    Level::parse(word).filter(|level| level.as_str() == word)
}

/// Names of the devices that occur, each looked up once.
pub(crate) fn names(
    store: &Store,
    devices: impl Iterator<Item = DeviceId>,
) -> HashMap<DeviceId, Option<String>> {
    let mut names = HashMap::new();
    for device in devices {
        names.entry(device).or_insert_with(|| store.device(device).map(|view| view.profile.name));
    }
    names
}

/// The name in what [`names`] found.
pub(crate) fn name(names: &HashMap<DeviceId, Option<String>>, device: DeviceId) -> Option<&str> {
    names.get(&device)?.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<LogQuery, ApiError> {
        log_query(Params::parse(Some(query)).unwrap())
    }

    #[test]
    fn a_log_query_is_read_whole() {
        let query = parse("device=3&level=error&q=disk+full&from_ms=1&to_ms=2&before=5.7&limit=500").unwrap();
        assert_eq!(
            (query.device, query.level, query.text.as_deref(), query.from_ms, query.to_ms, query.limit),
            (Some(DeviceId(3)), Some(Level::Error), Some("disk full"), Some(1), Some(2), 500)
        );
        let all = parse("").unwrap();
        assert_eq!((all.device, all.level, all.limit), (None, None, PAGE_DEFAULT));
    }

    #[track_caller]
    fn refused(query: &str, field: &str) {
        let error = parse(query).unwrap_err();
        assert_eq!((error.status.as_u16(), error.field.as_deref()), (422, Some(field)));
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        refused("level=loud", "level");
        refused("level=ERROR", "level");
        refused("device=nas", "device");
        refused("limit=501", "limit");
        refused("from_ms=2&to_ms=2", "to_ms");
        refused("devices=1", "devices");
        refused(&format!("q={}", "x".repeat(201)), "q");
    }
}
