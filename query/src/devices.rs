//! Devices: list, add, edit, delete, rotate the key.

use front::{ApiError, Response, json};
use http::StatusCode;
use serde::Serialize;
use store::{DeviceId, DeviceProfile, DeviceView, Store, Timestamp, UsageOverview};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::call::{Call, no_such_device};
use crate::days::{overview, zone};
use crate::install::Install;
use crate::model::{DeviceBody, json_text, parse_state, to_json};
use crate::params::Fields;
use crate::secret::{self, DEVICE_KEY_PREFIX, Hashed};

/// What a device may be.
pub(crate) const DEVICE_TYPES: [&str; 6] = ["laptop", "desktop", "server", "nas", "vps", "other"];
const NAME_CHARS_MAX: usize = 64;
const TAGS_MAX: usize = 16;
const TAG_CHARS_MAX: usize = 32;
const NOTES_CHARS_MAX: usize = 2_000;

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the parameters; they are read one by one, so that faults name them")]
pub(crate) struct ListParams {
    /// Only devices with this tag.
    tag: Option<String>,
    /// Only devices in this state: `online`, `degraded`, `offline` or `new`.
    #[param(pattern = "^(online|degraded|offline|new)$")]
    state: Option<String>,
    /// IANA zone of the days of `usage`, like `Europe/Berlin`; by default the one in the settings.
    tz: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the parameters; they are read one by one, so that faults name them")]
pub(crate) struct OneParams {
    /// IANA zone of the days of `usage`, like `Europe/Berlin`; by default the one in the settings.
    tz: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DeviceList<'a> {
    devices: Vec<DeviceBody<'a>>,
    /// The server's clock, to tell ages by.
    now_ms: Timestamp,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct OneDevice<'a> {
    device: DeviceBody<'a>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Added<'a> {
    device: DeviceBody<'a>,
    /// Shown this once: only its hash is kept.
    api_key: &'a str,
    install: Install,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct NewKey<'a> {
    /// Shown this once: only its hash is kept.
    api_key: &'a str,
    install: Install,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DeletedBody {
    deleted: DeletedCounts,
}

#[derive(Serialize, ToSchema)]
struct DeletedCounts {
    chunks: u64,
    bytes: u64,
    logs: u64,
    events: u64,
}

/// What the user says of a device.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; it is read field by field, so that faults name the field")]
pub(crate) struct NewDevice {
    /// Unique, without control characters.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// `laptop`, `desktop`, `server`, `nas`, `vps` or `other`, which is the default.
    #[schema(nullable = false, pattern = "^(laptop|desktop|server|nas|vps|other)$")]
    device_type: Option<String>,
    #[schema(nullable = false, max_items = 16)]
    tags: Option<Vec<String>>,
    #[schema(nullable = false, max_length = 2000)]
    notes: Option<String>,
}

/// Any of these; what is not there stays.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; it is read field by field, so that faults name the field")]
pub(crate) struct DeviceEdit {
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    name: Option<String>,
    #[schema(nullable = false, pattern = "^(laptop|desktop|server|nas|vps|other)$")]
    device_type: Option<String>,
    #[schema(nullable = false, max_items = 16)]
    tags: Option<Vec<String>>,
    #[schema(nullable = false, max_length = 2000)]
    notes: Option<String>,
}

/// All devices, with state and newest values.
#[utoipa::path(get, path = "/api/v1/devices", operation_id = "list_devices", tag = "devices", params(ListParams),
    responses((status = 200, body = DeviceList)))]
pub(crate) async fn list(call: Call) -> Result<Response, ApiError> {
    let mut params = call.params()?;
    let tag = params.one("tag")?;
    let state = params.one("state")?;
    let tz = zone(&mut params, call.app.store.settings().time_zone.as_deref())?;
    params.finish()?;
    let state = match state {
        None => None,
        Some(word) => Some(parse_state(&word).ok_or_else(|| {
            ApiError::invalid("state", "`state` must be `online`, `degraded`, `offline` or `new`.")
        })?),
    };

    let (now_ms, days) = (call.now, overview(&tz, call.now)?);
    let work = move |store: &Store| {
        let usage = store.usage_overview(&days)?;
        let mut views = store.devices();
        views.retain(|view| state.is_none_or(|state| view.state == state));
        views.retain(|view| tag.as_ref().is_none_or(|tag| view.profile.tags.contains(tag)));
        let nothing = UsageOverview::default();
        let devices =
            views.iter().map(|view| DeviceBody::of(view, usage.get(&view.id).unwrap_or(&nothing))).collect();
        // Written here: a large fleet's list would hold up every other request of an async thread.
        Ok(to_json(&DeviceList { devices, now_ms }))
    };
    Ok(json_text(call.app.light(work).await??))
}

/// One device.
#[utoipa::path(get, path = "/api/v1/devices/{id}", operation_id = "get_device", tag = "devices", params(("id" = u32, Path), OneParams),
    responses((status = 200, body = OneDevice)))]
pub(crate) async fn one(call: Call) -> Result<Response, ApiError> {
    let mut params = call.params()?;
    let tz = zone(&mut params, call.app.store.settings().time_zone.as_deref())?;
    params.finish()?;
    let id = call.device()?;
    let usage = usage_of(&call.app, id, &tz, call.now).await?;
    let view = view(&call.app, id)?;
    Ok(json(StatusCode::OK, &OneDevice { device: DeviceBody::of(&view, &usage) }))
}

/// Adds a device and makes its key.
#[utoipa::path(post, path = "/api/v1/devices", operation_id = "add_device", tag = "devices", request_body = NewDevice,
    responses((status = 201, body = Added), (status = 409, body = crate::openapi::ErrorBody,
        description = "There is a device with that name.")))]
pub(crate) async fn add(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let (mut fields, call) = call.fields().await?;
    let name = fields.required_text("name")?;
    let profile =
        edited(DeviceProfile { device_type: "other".into(), ..DeviceProfile::default() }, &mut fields)?;
    fields.finish()?;
    let profile = DeviceProfile { name: checked_name(name)?, ..profile };

    let key = new_key()?;
    let (hashed, now) = (Hashed::of(&key), call.now);
    let id =
        call.app.light(move |store| store.add_device(profile, hashed.0, now)).await.map_err(name_taken)?;
    let view = view(&call.app, id)?;
    let install = Install::with_key(&call.app, &call.parts.headers, &key);
    Ok(json(
        StatusCode::CREATED,
        &Added { device: DeviceBody::of(&view, &UsageOverview::default()), api_key: &key, install },
    ))
}

/// Changes what the user says of a device.
#[utoipa::path(patch, path = "/api/v1/devices/{id}", operation_id = "edit_device", tag = "devices", params(("id" = u32, Path), OneParams),
    request_body = DeviceEdit,
    responses((status = 200, body = OneDevice), (status = 409, body = crate::openapi::ErrorBody,
        description = "There is a device with that name.")))]
pub(crate) async fn edit(call: Call) -> Result<Response, ApiError> {
    let mut params = call.params()?;
    let tz = zone(&mut params, call.app.store.settings().time_zone.as_deref())?;
    params.finish()?;
    let id = call.device()?;
    let before = view(&call.app, id)?.profile;
    let (mut fields, call) = call.fields().await?;
    let name = fields.text("name")?.map(checked_name).transpose()?;
    let profile = edited(before, &mut fields)?;
    fields.finish()?;
    let profile = DeviceProfile { name: name.unwrap_or_else(|| profile.name.clone()), ..profile };

    call.app.light(move |store| store.edit_device(id, profile)).await.map_err(name_taken)?;
    let usage = usage_of(&call.app, id, &tz, call.now).await?;
    let view = view(&call.app, id)?;
    Ok(json(StatusCode::OK, &OneDevice { device: DeviceBody::of(&view, &usage) }))
}

/// Deletes a device and all that is kept of it.
#[utoipa::path(delete, path = "/api/v1/devices/{id}", operation_id = "delete_device", tag = "devices", params(("id" = u32, Path)),
    responses((status = 200, body = DeletedBody)))]
pub(crate) async fn delete(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let id = call.device()?;
    let deleted = call.app.light(move |store| store.delete_device(id)).await?;
    let deleted = DeletedCounts {
        chunks: deleted.chunks,
        bytes: deleted.bytes,
        logs: deleted.logs,
        events: deleted.events,
    };
    Ok(json(StatusCode::OK, &DeletedBody { deleted }))
}

/// Gives a device a new key; the old one stops at once.
#[utoipa::path(post, path = "/api/v1/devices/{id}/rotate-key", operation_id = "rotate_device_key", tag = "devices", params(("id" = u32, Path)),
    responses((status = 200, body = NewKey)))]
pub(crate) async fn rotate_key(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let id = call.device()?;
    let key = new_key()?;
    let (hashed, now) = (Hashed::of(&key), call.now);
    call.app.light(move |store| store.rotate_key(id, hashed.0, now)).await?;
    let install = Install::with_key(&call.app, &call.parts.headers, &key);
    Ok(json(StatusCode::OK, &NewKey { api_key: &key, install }))
}

fn view(app: &App, id: DeviceId) -> Result<DeviceView, ApiError> {
    app.store.device(id).ok_or_else(no_such_device)
}

fn name_taken(error: ApiError) -> ApiError {
    if error.status == StatusCode::CONFLICT {
        return ApiError {
            field: Some("name".into()),
            ..ApiError::conflict("There is a device with that name.")
        };
    }
    error
}

fn new_key() -> Result<String, ApiError> {
    Ok(format!("{DEVICE_KEY_PREFIX}{}", secret::token()?))
}

async fn usage_of(
    app: &App,
    id: DeviceId,
    tz: &jiff::tz::TimeZone,
    now: Timestamp,
) -> Result<UsageOverview, ApiError> {
    let days = overview(tz, now)?;
    let usage = app.light(move |store| store.usage_overview(&days)).await?;
    Ok(usage.get(&id).copied().unwrap_or_default())
}

pub(crate) fn checked_name(name: String) -> Result<String, ApiError> {
    let name = name.trim().to_string();
    let chars = name.chars().count();
    if chars == 0 || chars > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(ApiError::invalid(
            "name",
            format!("The name must have 1 to {NAME_CHARS_MAX} characters, none of them a control character."),
        ));
    }
    Ok(name)
}

/// `profile` with what `fields` says of type, tags and notes.
pub(crate) fn edited(mut profile: DeviceProfile, fields: &mut Fields) -> Result<DeviceProfile, ApiError> {
    if let Some(device_type) = fields.text("device_type")? {
        if !DEVICE_TYPES.contains(&device_type.as_str()) {
            let types = DEVICE_TYPES.join(", ");
            return Err(ApiError::invalid("device_type", format!("`device_type` must be one of {types}.")));
        }
        profile.device_type = device_type;
    }
    if let Some(tags) = fields.texts("tags")? {
        profile.tags = checked_tags(tags)?;
    }
    if let Some(notes) = fields.text("notes")? {
        if notes.chars().count() > NOTES_CHARS_MAX {
            return Err(ApiError::invalid(
                "notes",
                format!("The notes have {NOTES_CHARS_MAX} characters at most."),
            ));
        }
        profile.notes = notes;
    }
    Ok(profile)
}

fn checked_tags(tags: Vec<String>) -> Result<Vec<String>, ApiError> {
    let wrong = || {
        let message = format!("There may be {TAGS_MAX} tags of 1 to {TAG_CHARS_MAX} characters each.");
        ApiError::invalid("tags", message)
    };
    if tags.len() > TAGS_MAX {
        return Err(wrong());
    }
    let mut checked: Vec<String> = Vec::with_capacity(tags.len());
    for tag in tags {
        let tag = tag.trim();
        let chars = tag.chars().count();
        if chars == 0 || chars > TAG_CHARS_MAX || tag.chars().any(char::is_control) {
            return Err(wrong());
        }
        if !checked.iter().any(|other| other == tag) {
            checked.push(tag.to_string());
        }
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Result<&str, &str>) {
        let mut fields = Fields::parse(body.as_bytes()).unwrap();
        let result =
            edited(DeviceProfile { tags: vec!["kept".into()], ..DeviceProfile::default() }, &mut fields);
        match (result, expected) {
            (Ok(profile), Ok(text)) => {
                assert_eq!(format!("{} {:?} {}", profile.device_type, profile.tags, profile.notes), text);
            }
            (Err(error), Err(field)) => assert_eq!(error.field.as_deref(), Some(field)),
            (result, _) => panic!("{body}: {result:?}"),
        }
    }

    #[test]
    fn a_profile_is_checked_field_by_field() {
        check(
            r#"{"device_type": "nas", "tags": [" a ", "b", "a"], "notes": "n\n"}"#,
            Ok("nas [\"a\", \"b\"] n\n"),
        );
        check("{}", Ok(" [\"kept\"] "));
        check(r#"{"tags": []}"#, Ok(" [] "));
        check(r#"{"device_type": "toaster"}"#, Err("device_type"));
        check(r#"{"tags": [""]}"#, Err("tags"));
        check(r#"{"tags": ["a\u0007"]}"#, Err("tags"));
        check(&format!(r#"{{"tags": ["{}"]}}"#, "x".repeat(33)), Err("tags"));
        check(&format!(r#"{{"notes": "{}"}}"#, "x".repeat(2001)), Err("notes"));
        let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
        check(&serde_json::json!({ "tags": many }).to_string(), Err("tags"));
    }

    #[test]
    fn a_name_is_text_within_bounds() {
        assert_eq!(checked_name(" <script>alert(1)</script> ".into()).unwrap(), "<script>alert(1)</script>");
        assert_eq!(checked_name("密".repeat(64)).unwrap().chars().count(), 64);
        for odd in ["", "  ", "a\u{0}b", "a\nb", &"x".repeat(65)] {
            assert_eq!(checked_name(odd.into()).unwrap_err().field.as_deref(), Some("name"), "{odd:?}");
        }
    }
}
