//! One-time codes with which a device makes itself known: made here, used on the ingest port.

use front::{ApiError, Response, json};
use http::StatusCode;
use serde::Serialize;
use store::{DeviceProfile, ENROLL_CODE_LETTERS, ENROLL_LETTERS, EnrollCode, Timestamp};
use utoipa::ToSchema;

use crate::call::Call;
use crate::devices::{checked_name, edited};
use crate::install::Install;
use crate::secret::Hashed;

/// What the device will be; all of it optional.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; it is read field by field, so that faults name the field")]
pub(crate) struct NewEnrollCode {
    /// Without it the device brings its own; a number is added to one that is taken.
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    name: Option<String>,
    /// `laptop`, `desktop`, `server`, `nas`, `vps` or `other`, which is the default.
    #[schema(nullable = false, pattern = "^(laptop|desktop|server|nas|vps|other)$")]
    device_type: Option<String>,
    #[schema(nullable = false, max_items = 16)]
    tags: Option<Vec<String>>,
    #[schema(nullable = false, max_length = 2000)]
    notes: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = EnrollCode)]
struct CodeBody {
    id: i64,
    /// Empty: the device brings its own.
    name: String,
    device_type: String,
    tags: Vec<String>,
    notes: String,
    created_ms: Timestamp,
    /// From then on it is of no use.
    expires_ms: Timestamp,
    /// When it was used; `null`: not yet.
    used_ms: Option<Timestamp>,
    /// The device that came of it; `null`: none yet, or it was deleted.
    device: Option<u32>,
}

impl From<EnrollCode> for CodeBody {
    fn from(code: EnrollCode) -> CodeBody {
        let DeviceProfile { name, device_type, tags, notes } = code.profile;
        CodeBody {
            id: code.id,
            name,
            device_type,
            tags,
            notes,
            created_ms: code.created_ms,
            expires_ms: code.expires_ms,
            used_ms: code.used_ms,
            device: code.device.map(|id| id.0),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct MadeEnrollCode<'a> {
    /// Shown this once: only its hash is kept. It works once, for 60 minutes.
    code: &'a str,
    enroll_code: CodeBody,
    install: Install,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct EnrollCodeList {
    enroll_codes: Vec<CodeBody>,
    /// The server's clock, to tell what expired.
    now_ms: Timestamp,
}

/// The codes of the last hours, newest first, also those that were used.
#[utoipa::path(get, path = "/api/v1/enroll-codes", operation_id = "list_enroll_codes", tag = "devices",
    responses((status = 200, body = EnrollCodeList)))]
pub(crate) async fn list(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let codes = call.app.light(|store| store.enroll_codes()).await?;
    let enroll_codes = codes.into_iter().map(CodeBody::from).collect();
    Ok(json(StatusCode::OK, &EnrollCodeList { enroll_codes, now_ms: call.now }))
}

/// Makes a one-time code for `openclaw-watch-agent enroll`.
#[utoipa::path(post, path = "/api/v1/enroll-codes", operation_id = "make_enroll_code", tag = "devices",
    request_body = NewEnrollCode,
    responses((status = 201, body = MadeEnrollCode), (status = 409, body = crate::openapi::ErrorBody,
        description = "There are 100 codes that were not used yet.")))]
pub(crate) async fn make(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let (mut fields, call) = call.fields().await?;
    let name = fields.text("name")?.map(checked_name).transpose()?.unwrap_or_default();
    let profile = DeviceProfile { device_type: "other".into(), ..DeviceProfile::default() };
    let profile = DeviceProfile { name, ..edited(profile, &mut fields)? };
    fields.finish()?;

    let code = new_code().map_err(|error| {
        tracing::error!(%error, "the system gave no random numbers");
        ApiError::internal()
    })?;
    let (hashed, now) = (Hashed::of(&code.replace('-', "")), call.now);
    let made = call.app.light(move |store| store.add_enroll_code(hashed.0, profile, now)).await;
    let made = made.map_err(|error| {
        if error.status == StatusCode::CONFLICT {
            return ApiError::conflict(
                "There are too many codes that were not used yet. Withdraw some of them.",
            );
        }
        error
    })?;
    let install = Install::with_code(&call.app, &call.parts.headers, &code);
    Ok(json(StatusCode::CREATED, &MadeEnrollCode { code: &code, enroll_code: made.into(), install }))
}

/// Withdraws a code.
#[utoipa::path(delete, path = "/api/v1/enroll-codes/{id}", operation_id = "delete_enroll_code", tag = "devices",
    params(("id" = i64, Path)), responses((status = 204)))]
pub(crate) async fn delete(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let id = call.number("enrolment code")?;
    call.app.light(move |store| store.delete_enroll_code(id)).await?;
    Ok(front::empty(StatusCode::NO_CONTENT))
}

/// Letters and digits that people can type, in groups of four: `7KQ2-…`.
fn new_code() -> std::io::Result<String> {
    let mut bytes = [0_u8; ENROLL_CODE_LETTERS];
    getrandom::fill(&mut bytes)?;
    // 256 is a multiple of 32: every letter is as likely as another.
    let letters: Vec<u8> = bytes.iter().map(|byte| ENROLL_LETTERS[usize::from(byte % 32)]).collect();
    let groups: Vec<&str> =
        letters.chunks(4).map(|four| std::str::from_utf8(four).unwrap_or_default()).collect();
    Ok(groups.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_typed_in_groups_and_read_back() {
        let code = new_code().unwrap();
        assert_eq!((code.len(), code.matches('-').count()), (19, 3), "{code}");
        assert_eq!(store::plain_enroll_code(&code.to_lowercase()), Some(code.replace('-', "")));
        assert_ne!(code, new_code().unwrap());
    }
}
