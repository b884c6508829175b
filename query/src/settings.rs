//! Settings that administrators change on the page: the zone of the days, and how long things are kept.

use front::{ApiError, Response, json};
use http::StatusCode;
use serde::Serialize;
use store::{Keep, Settings, Store, TIME_ZONE, Timestamp};
use utoipa::ToSchema;

use crate::call::Call;
use crate::days::zone_of;
use crate::params::Fields;
use crate::storage::KeepCost;

/// Days that something may be kept: a century.
const DAYS_MAX: i64 = 36_500;
/// Bytes that a bound may not be below: less holds nothing worth keeping. Above is a petabyte.
const BYTES_MIN: i64 = 1_000_000;
const BYTES_MAX: i64 = 1_000_000_000_000_000;

/// What is kept for a time of its own: its word here, its settings' names, and whether bytes can bound it.
const KEPT: [(&str, &str, Option<&str>); 5] = [
    ("raw", "retention_raw_days", Some("retention_raw_bytes")),
    ("5m", "retention_5m_days", Some("retention_5m_bytes")),
    ("1h", "retention_1h_days", Some("retention_1h_bytes")),
    ("logs", "retention_logs_days", Some("retention_logs_bytes")),
    ("events", "retention_events_days", None),
];

/// What is in force, and what may be changed. What the configuration (file, environment or flag) gives is fixed; then
/// counts what was chosen here; then the default.
#[derive(Serialize, ToSchema)]
pub(crate) struct SettingsBody {
    /// IANA zone in which days begin when a request names none.
    time_zone: String,
    /// Was it chosen? Else it is UTC, and a page may take its own.
    time_zone_chosen: bool,
    /// `raw`, `5m`, `1h`, `logs` and `events`.
    retention: Vec<RetentionBody>,
}

/// How long something is kept.
#[derive(Serialize, ToSchema)]
#[schema(as = Retention)]
struct RetentionBody {
    /// `raw`, `5m`, `1h`, `logs` or `events`.
    kind: &'static str,
    #[serde(flatten)]
    cost: KeepCost,
    /// What holds when nobody chose.
    default_days: i64,
    /// The configuration gives the days: they cannot be changed here.
    days_fixed: bool,
    /// The configuration gives the bytes: they cannot be changed here.
    bytes_fixed: bool,
    /// What it takes now; 0 for events, which are few.
    bytes: u64,
    oldest_ms: Option<Timestamp>,
}

/// Any of these; what is not there stays, `null` takes a choice back.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; it is read field by field, so that faults name the field")]
pub(crate) struct SettingsEdit {
    /// IANA zone, like `Europe/Berlin`.
    time_zone: Option<String>,
    #[schema(nullable = false)]
    retention: Option<RetentionEdit>,
}

/// Any of these.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; it is read field by field, so that faults name the field")]
pub(crate) struct RetentionEdit {
    #[schema(nullable = false)]
    raw: Option<KeepEdit>,
    #[schema(nullable = false, rename = "5m")]
    five_minutes: Option<KeepEdit>,
    #[schema(nullable = false, rename = "1h")]
    hour: Option<KeepEdit>,
    #[schema(nullable = false)]
    logs: Option<KeepEdit>,
    #[schema(nullable = false)]
    events: Option<KeepDaysEdit>,
}

/// Any of these; `null` takes a choice back.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; it is read field by field, so that faults name the field")]
pub(crate) struct KeepEdit {
    #[schema(minimum = 1, maximum = 36500)]
    days: Option<i64>,
    #[schema(minimum = 1000000, maximum = 1000000000000000_i64)]
    bytes: Option<i64>,
}

/// `null` takes the choice back.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; it is read field by field, so that faults name the field")]
pub(crate) struct KeepDaysEdit {
    #[schema(minimum = 1, maximum = 36500)]
    days: Option<i64>,
}

/// The settings that are in force.
#[utoipa::path(get, path = "/api/v1/settings", operation_id = "get_settings", tag = "settings",
    responses((status = 200, body = SettingsBody)))]
pub(crate) async fn get(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let now = call.now;
    let settings = call.app.heavy(move |store| Ok(body(store, now))).await?;
    Ok(json(StatusCode::OK, &settings))
}

/// Changes settings. What is kept for less time from now on goes soon after.
#[utoipa::path(patch, path = "/api/v1/settings", operation_id = "edit_settings", tag = "settings",
    request_body = SettingsEdit,
    responses((status = 200, body = SettingsBody), (status = 409, body = crate::openapi::ErrorBody,
        description = "The configuration gives this setting.")))]
pub(crate) async fn edit(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let (mut fields, call) = call.fields().await?;
    let choices = choices(&mut fields, &call.app.store.settings())?;
    fields.finish()?;
    let now = call.now;
    let work = move |store: &Store| {
        // Nothing chosen is nothing that happened.
        if !choices.is_empty() {
            store.choose_settings(&choices, now)?;
        }
        Ok(body(store, now))
    };
    let settings = call.app.heavy(work).await?;
    Ok(json(StatusCode::OK, &settings))
}

type Choice = (&'static str, Option<String>);

fn choices(fields: &mut Fields, settings: &Settings) -> Result<Vec<Choice>, ApiError> {
    let mut choices: Vec<Choice> = Vec::new();
    let mut choose = |field: String, name: &'static str, value: Option<String>| {
        if settings.fixed.contains(&name) {
            let message =
                format!("`{field}` is given by the server's configuration (`{name}`); change it there.");
            return Err(ApiError { field: Some(field), ..ApiError::conflict(message) });
        }
        choices.push((name, value));
        Ok(())
    };
    if let Some(zone) = fields.nullable_text("time_zone")? {
        if zone.as_deref().is_some_and(|zone| zone_of(zone).is_none()) {
            return Err(
                fields.invalid("time_zone", "must be the name of an IANA time zone, like `Europe/Berlin`")
            );
        }
        choose("time_zone".into(), TIME_ZONE, zone)?;
    }
    if let Some(mut retention) = fields.object("retention")? {
        for (kind, days_name, bytes_name) in KEPT {
            let Some(mut keep) = retention.object(kind)? else { continue };
            if let Some(days) = keep.nullable_whole("days", 1..=DAYS_MAX)? {
                choose(format!("retention.{kind}.days"), days_name, days.map(|days| days.to_string()))?;
            }
            if let Some(bytes_name) = bytes_name
                && let Some(bytes) = keep.nullable_whole("bytes", BYTES_MIN..=BYTES_MAX)?
            {
                choose(format!("retention.{kind}.bytes"), bytes_name, bytes.map(|bytes| bytes.to_string()))?;
            }
            keep.finish()?;
        }
        retention.finish()?;
    }
    Ok(choices)
}

fn body(store: &Store, now: Timestamp) -> SettingsBody {
    let (settings, stats) = (store.settings(), store.storage());
    let kept = |retention: &store::Retention, kind: &str| -> Keep {
        match kind {
            "raw" => retention.raw,
            "5m" => retention.five_minutes,
            "1h" => retention.hour,
            "logs" => retention.logs,
            _ => retention.events,
        }
    };
    let stored = |kind: &str| match kind {
        "logs" => (stats.log_bytes, stats.log_oldest_ms),
        kind => {
            let tier = stats.tiers.iter().find(|tier| tier.tier.as_str() == kind);
            tier.map_or((0, None), |tier| (tier.bytes, tier.oldest_ms))
        }
    };
    let retention = KEPT.iter().map(|(kind, days_name, bytes_name)| {
        let (bytes, oldest_ms) = stored(kind);
        let fixed = |name: &str| settings.fixed.contains(&name);
        RetentionBody {
            kind,
            cost: KeepCost::of(&kept(&settings.retention, kind), bytes, oldest_ms, now),
            default_days: KeepCost::of(&kept(&settings.configured, kind), 0, None, now).keep_days,
            days_fixed: fixed(days_name),
            bytes_fixed: bytes_name.is_none_or(fixed),
            bytes,
            oldest_ms,
        }
    });
    SettingsBody {
        time_zone_chosen: settings.time_zone.is_some(),
        time_zone: settings.time_zone.clone().unwrap_or_else(|| "UTC".into()),
        retention: retention.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn parse(body: &str, fixed: &[&'static str]) -> Result<Vec<Choice>, ApiError> {
        let settings = Settings::of(store::Retention::default(), fixed.to_vec(), &BTreeMap::new());
        let mut fields = Fields::parse(body.as_bytes()).unwrap();
        let choices = choices(&mut fields, &settings)?;
        fields.finish()?;
        Ok(choices)
    }

    #[test]
    fn choices_are_made_and_taken_back() {
        let body = r#"{"time_zone": "Asia/Shanghai", "retention": {"raw": {"days": 60, "bytes": null}, "5m": {},
            "events": {"days": null}}}"#;
        let expected: Vec<Choice> = vec![
            ("time_zone", Some("Asia/Shanghai".into())),
            ("retention_raw_days", Some("60".into())),
            ("retention_raw_bytes", None),
            ("retention_events_days", None),
        ];
        assert_eq!(parse(body, &[]).unwrap(), expected);
        assert_eq!(parse(r#"{"time_zone": null}"#, &[]).unwrap(), [("time_zone", None)]);
        assert_eq!(parse("{}", &[]).unwrap(), []);
    }

    #[track_caller]
    fn refused(body: &str, status: u16, field: &str) {
        let error = parse(body, &["retention_raw_days"]).unwrap_err();
        assert_eq!((error.status.as_u16(), error.field.as_deref()), (status, Some(field)), "{body}");
    }

    #[test]
    fn a_wrong_setting_is_named_with_its_place() {
        refused(r#"{"time_zone": "Mars"}"#, 422, "time_zone");
        refused(r#"{"time_zone": 1}"#, 422, "time_zone");
        refused(r#"{"retention": []}"#, 422, "retention");
        refused(r#"{"retention": {"5m": {"days": 0}}}"#, 422, "retention.5m.days");
        refused(r#"{"retention": {"5m": {"days": 1.5}}}"#, 422, "retention.5m.days");
        refused(r#"{"retention": {"5m": {"bytes": 999}}}"#, 422, "retention.5m.bytes");
        refused(r#"{"retention": {"events": {"bytes": 5000000}}}"#, 422, "retention.events.bytes");
        refused(r#"{"retention": {"2h": {}}}"#, 422, "retention.2h");
        refused(r#"{"retention": {"raw": {"days": 30}}}"#, 409, "retention.raw.days");
        refused(r#"{"zone": 1}"#, 422, "zone");
    }
}
