//! Log lines, newest first, and in groups that say the same.

use std::collections::HashMap;

use front::{ApiError, Response, json};
use http::StatusCode;
use serde::Serialize;
use store::{DeviceId, Level, LogGroup, LogQuery, TimeRange, Timestamp};
use utoipa::{IntoParams, ToSchema};

use crate::call::Call;
use crate::lists::{Window, name, names};
use crate::model::{LogBody, group_text};
use crate::params::{Params, cursor_text, required};

/// Characters of a searched text.
const SEARCH_CHARS_MAX: usize = 200;
/// Steps in which lines are counted.
const COUNT_POINTS_MAX: i64 = 1_000;
const COUNT_POINTS_DEFAULT: i64 = 100;

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the parameters; they are read one by one, so that faults name them")]
pub(crate) struct LogParams {
    /// Only this device.
    device: Option<u32>,
    /// At least this bad: `debug`, `info`, `warn`, `error` or `fatal`.
    #[param(pattern = "^(debug|info|warn|error|fatal)$")]
    level: Option<String>,
    /// Containing this text, of any length and in any language; the case of ASCII letters does not count.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Only lines of this group.
    #[param(pattern = "^[0-9a-f]{16}$")]
    group: Option<String>,
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
pub(crate) struct GroupParams {
    /// Only this device.
    device: Option<u32>,
    /// Only lines at least this bad: `debug`, `info`, `warn`, `error` or `fatal`.
    #[param(pattern = "^(debug|info|warn|error|fatal)$")]
    level: Option<String>,
    /// Only lines containing this text.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Only lines not before.
    #[param(minimum = 0, maximum = 253402300799999_i64)]
    from_ms: Option<i64>,
    /// Only lines before.
    #[param(minimum = 0, maximum = 253402300799999_i64)]
    to_ms: Option<i64>,
    /// Groups, 1 to 500, 100 by default.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the parameters; they are read one by one, so that faults name them")]
pub(crate) struct CountParams {
    /// Only this device.
    device: Option<u32>,
    /// At least this bad: `debug`, `info`, `warn`, `error` or `fatal`; by default all.
    #[param(pattern = "^(debug|info|warn|error|fatal)$")]
    level: Option<String>,
    #[param(minimum = 0, maximum = 253402300799999_i64)]
    from_ms: i64,
    #[param(minimum = 0, maximum = 253402300799999_i64)]
    to_ms: i64,
    /// Steps of the range, 1 to 1000, 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    points: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct LogCounts {
    /// The beginning of the first step.
    from_ms: Timestamp,
    step_ms: i64,
    /// Lines in each step.
    counts: Vec<u64>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct LogPage<'a> {
    logs: Vec<LogBody<'a>>,
    /// Give this as `before` for the next page; `null`: this was the last.
    next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct LogGroupList<'a> {
    /// The largest first.
    groups: Vec<LogGroupBody<'a>>,
    /// How many there are, also those past `limit`.
    groups_total: u64,
    /// Lines in all of them.
    lines_total: u64,
}

/// Lines that say the same: of one source, and equal but for what varies.
///
/// What varies is masked in the first line that is not blank: texts in quotes (`<str>`), URLs (`<url>`), paths
/// (`<path>`), UUIDs (`<uuid>`), hexadecimal words (`<hex>`), long words of letters and digits (`<id>`), and numbers
/// (`<num>`).
#[derive(Serialize, ToSchema)]
#[schema(as = LogGroup)]
struct LogGroupBody<'a> {
    /// The fingerprint of source and template.
    id: String,
    source: &'a str,
    /// The message with what varies masked.
    template: &'a str,
    count: u64,
    first_ms: Timestamp,
    last_ms: Timestamp,
    /// The worst of the lines' levels.
    level: &'static str,
    /// Those with the most lines, at most 20.
    devices: Vec<LogGroupDevice<'a>>,
    /// How many devices there are.
    devices_total: u64,
    /// The newest line's message.
    example: &'a str,
}

#[derive(Serialize, ToSchema)]
struct LogGroupDevice<'a> {
    device: u32,
    /// `null` when the device was deleted meanwhile.
    device_name: Option<&'a str>,
    count: u64,
}

/// Log lines, newest first.
#[utoipa::path(get, path = "/api/v1/logs", operation_id = "list_logs", tag = "logs", params(LogParams),
    responses((status = 200, body = LogPage)))]
pub(crate) async fn logs(call: Call) -> Result<Response, ApiError> {
    let mut params = call.params()?;
    let group = params.one("group")?.map(|text| group(&text)).transpose()?;
    let query = LogQuery { group, ..log_query(params)? };
    // A text may have to be looked for in all lines.
    let page = match query.text {
        Some(_) => call.app.heavy(move |store| store.logs(&query)).await?,
        None => call.app.light(move |store| store.logs(&query)).await?,
    };
    let names = names(&call.app.store, page.entries.iter().map(|entry| entry.device));
    let logs = page.entries.iter().map(|entry| LogBody::of(entry, name(&names, entry.device))).collect();
    Ok(json(StatusCode::OK, &LogPage { logs, next: page.next.map(cursor_text) }))
}

/// The lines in groups that say the same, the largest first.
#[utoipa::path(get, path = "/api/v1/logs/groups", operation_id = "list_log_groups", tag = "logs", params(GroupParams),
    responses((status = 200, body = LogGroupList)))]
pub(crate) async fn groups(call: Call) -> Result<Response, ApiError> {
    let mut params = call.params()?;
    if params.one("before")?.is_some() {
        return Err(ApiError::invalid("before", "Groups come in one page; there is no field `before` here."));
    }
    let query = log_query(params)?;
    let found = call.app.heavy(move |store| store.log_groups(&query)).await?;
    let devices = found.groups.iter().flat_map(|group| group.devices.iter().map(|(device, _)| *device));
    let names = names(&call.app.store, devices);
    let groups = found.groups.iter().map(|group| group_body(group, &names)).collect();
    let (groups_total, lines_total) = (found.groups_total, found.lines_total);
    Ok(json(StatusCode::OK, &LogGroupList { groups, groups_total, lines_total }))
}

/// How many lines there are, step by step.
#[utoipa::path(get, path = "/api/v1/logs/counts", operation_id = "count_logs", tag = "logs", params(CountParams),
    responses((status = 200, body = LogCounts)))]
pub(crate) async fn counts(call: Call) -> Result<Response, ApiError> {
    let (device, level, range, step_ms) = count_query(call.params()?)?;
    let counted = move |store: &store::Store| store.count_logs_in_steps(device, level, range, step_ms);
    let counts = call.app.heavy(counted).await?;
    Ok(json(StatusCode::OK, &LogCounts { from_ms: range.start(), step_ms, counts }))
}

fn count_query(mut params: Params) -> Result<(Option<DeviceId>, Level, TimeRange, i64), ApiError> {
    let device = params.number("device", 0..=u32::MAX)?.map(DeviceId);
    let level = params.one("level")?;
    let from_ms = required(params.time_ms("from_ms")?, "from_ms")?;
    let to_ms = required(params.time_ms("to_ms")?, "to_ms")?;
    let points = params.number("points", 1..=COUNT_POINTS_MAX)?.unwrap_or(COUNT_POINTS_DEFAULT);
    params.finish()?;
    let Some(range) = TimeRange::new(from_ms, to_ms) else {
        return Err(ApiError::invalid("to_ms", "`to_ms` must be after `from_ms`."));
    };
    let step_ms = (to_ms - from_ms + points - 1) / points;
    Ok((device, level.map_or(Ok(Level::Debug), |word| level_of(&word))?, range, step_ms))
}

fn group_body<'a>(group: &'a LogGroup, names: &'a HashMap<DeviceId, Option<String>>) -> LogGroupBody<'a> {
    let devices = group.devices.iter().map(|(device, count)| LogGroupDevice {
        device: device.0,
        device_name: name(names, *device),
        count: *count,
    });
    LogGroupBody {
        id: group_text(group.id),
        source: &group.source,
        template: &group.template,
        count: group.count,
        first_ms: group.first_ms,
        last_ms: group.last_ms,
        level: group.level.as_str(),
        devices: devices.collect(),
        devices_total: group.devices_total,
        example: &group.example,
    }
}

fn group(text: &str) -> Result<i64, ApiError> {
    let hex = text.len() == 16 && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    let number = u64::from_str_radix(text, 16).ok().filter(|_| hex);
    let number = number.ok_or_else(|| ApiError::invalid("group", "`group` must be the `id` of a group."))?;
    Ok(number as i64)
}

pub(crate) fn log_query(mut params: Params) -> Result<LogQuery, ApiError> {
    let Window { device, from_ms, to_ms, before, limit } = Window::take(&mut params)?;
    let level = params.one("level")?;
    let text = params.one("q")?;
    params.finish()?;
    let level = level.map(|word| level_of(&word)).transpose()?;
    if text.as_ref().is_some_and(|text| text.chars().count() > SEARCH_CHARS_MAX) {
        return Err(ApiError::invalid("q", format!("A search has {SEARCH_CHARS_MAX} characters at most.")));
    }
    Ok(LogQuery { device, group: None, level, text, from_ms, to_ms, before, limit })
}

fn level_of(word: &str) -> Result<Level, ApiError> {
    let exact = Level::parse(word).filter(|level| level.as_str() == word);
    exact.ok_or_else(|| {
        ApiError::invalid("level", "`level` must be `debug`, `info`, `warn`, `error` or `fatal`.")
    })
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
        assert_eq!((all.device, all.level, all.limit), (None, None, 100));
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

    #[test]
    fn a_range_is_counted_in_steps_that_cover_it() {
        let counted = |query: &str| count_query(Params::parse(Some(query)).unwrap());
        let range = |from, to| TimeRange::new(from, to).unwrap();
        assert_eq!(counted("from_ms=5&to_ms=305"), Ok((None, Level::Debug, range(5, 305), 3)));
        let one = counted("device=3&level=error&from_ms=0&to_ms=10&points=3");
        assert_eq!(one, Ok((Some(DeviceId(3)), Level::Error, range(0, 10), 4)));
        for (query, field) in [
            ("to_ms=1", "from_ms"),
            ("from_ms=1", "to_ms"),
            ("from_ms=1&to_ms=1", "to_ms"),
            ("from_ms=0&to_ms=1&points=1001", "points"),
            ("from_ms=0&to_ms=1&level=ERROR", "level"),
            ("from_ms=0&to_ms=1&limit=1", "limit"),
        ] {
            assert_eq!(counted(query).unwrap_err().field.as_deref(), Some(field), "{query}");
        }
    }

    #[test]
    fn a_groups_number_comes_back_as_it_was_given() {
        for id in [0, 1, -1, i64::MIN, i64::MAX] {
            assert_eq!(group(&group_text(id)), Ok(id));
        }
        for odd in ["", "1", "+00000000000000f", "00000000000000FF", "0000000000000000f"] {
            assert_eq!(group(odd).unwrap_err().field.as_deref(), Some("group"), "{odd}");
        }
    }
}
