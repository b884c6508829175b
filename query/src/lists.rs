//! Pages of a list, newest first; and the list of events.

use std::collections::HashMap;

use front::{ApiError, Response, json};
use http::StatusCode;
use serde::Serialize;
use store::{DeviceId, EventQuery, Store, Timestamp};
use utoipa::{IntoParams, ToSchema};

use crate::call::Call;
use crate::params::{Params, cursor_text};

/// Entries of a page at most, and when nothing is asked for.
pub(crate) const PAGE_MAX: u32 = 500;
const PAGE_DEFAULT: u32 = 100;

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
    /// `online`, `offline`, `degraded`, `recovered`, `server_start`, `key_rotated`, `device_added`, `version_change`,
    /// `back_fill` (`detail`: `from_ms`, `to_ms`, `rows`, and `until_ms`, when the last of them arrived) or
    /// `settings_changed`.
    kind: &'a str,
    /// More about it, by kind.
    detail: &'a serde_json::Value,
}

/// What every list asks for.
pub(crate) struct Window {
    pub(crate) device: Option<DeviceId>,
    pub(crate) from_ms: Option<Timestamp>,
    pub(crate) to_ms: Option<Timestamp>,
    pub(crate) before: Option<store::Cursor>,
    pub(crate) limit: u32,
}

impl Window {
    pub(crate) fn take(params: &mut Params) -> Result<Window, ApiError> {
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
