//! `POST /api/v1/enroll`: a one-time code from the page becomes a device with a key of its own.

use front::{ApiError, Limits, Peer, Request, Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use store::plain_enroll_code;

use crate::admit::clean;
use crate::key::new_key;
use crate::serve::Ingest;

/// A code, a name and what else an agent says of itself.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Characters of a device's name, as on the page.
const NAME_CHARS_MAX: usize = 64;

#[derive(Serialize)]
struct Enrolled<'a> {
    device_id: u32,
    api_key: &'a str,
}

pub(crate) async fn enroll(ingest: &Ingest, request: Request, peer: Peer) -> Result<Response, ApiError> {
    // Before anything is read: who guesses codes is held up by what guessing costs them.
    ingest.begin_enrolling(peer)?;
    let (parts, body) = request.into_parts();
    let json = front::media_type(&parts.headers)
        .is_some_and(|media| media.eq_ignore_ascii_case(wire::JSON_CONTENT_TYPE));
    if !json {
        return Err(ApiError::unsupported_media_type("The body must be `application/json`."));
    }
    let limits = Limits {
        body_bytes_max: BODY_BYTES_MAX,
        decoded_bytes_max: BODY_BYTES_MAX,
        ..ingest.options.limits.clone()
    };
    let body = front::read_body(&parts.headers, body, &limits).await?;
    let body: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|_| ApiError::bad_request("The body must be a JSON object."))?;
    let code = text(&body, "code")?;
    let name = name(text(&body, "name")?)?;
    // What cannot be a code is answered like one that is not there: nobody learns what codes look like.
    let code = plain_enroll_code(code).ok_or_else(no_such_code)?;

    let key = new_key().map_err(|error| {
        tracing::error!(%error, "the system gave no random numbers");
        ApiError::internal()
    })?;
    let (code_hash, key_hash) =
        (Sha256::digest(code.as_bytes()).into(), Sha256::digest(key.as_bytes()).into());
    let (store, now) = (ingest.store.clone(), ingest.now());
    let made = tokio::task::spawn_blocking(move || store.enroll(code_hash, &name, key_hash, now)).await;
    match made.map_err(|_| ApiError::internal())? {
        Ok(Some(device)) => {
            tracing::info!(device = device.0, address = %peer.addr.ip(), "a device enrolled itself");
            Ok(front::json(StatusCode::CREATED, &Enrolled { device_id: device.0, api_key: &key }))
        }
        Ok(None) => {
            tracing::warn!(address = %peer.addr.ip(), "somebody tried to enroll with a code that is not valid");
            Err(no_such_code())
        }
        Err(error) => {
            tracing::error!(%error, "a device could not be enrolled");
            Err(ApiError::unavailable("The server cannot add a device at present.", 10))
        }
    }
}

fn no_such_code() -> ApiError {
    let message = "This code is not valid: it was used already, is older than 60 minutes, or was mistyped. Make a \
                   new one under Add device.";
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
}

fn text<'a>(body: &'a Map<String, Value>, field: &str) -> Result<&'a str, ApiError> {
    let text = body.get(field).and_then(Value::as_str);
    text.ok_or_else(|| ApiError::invalid(field, format!("`{field}` must be a text.")))
}

/// A hostname may be anything; a device's name is one line.
fn name(text: &str) -> Result<String, ApiError> {
    let line = clean(text, usize::MAX).replace(['\n', '\t'], " ");
    let name: String = line.trim().chars().take(NAME_CHARS_MAX).collect();
    let name = name.trim_end();
    if name.is_empty() {
        return Err(ApiError::invalid("name", "The device needs a name."));
    }
    Ok(name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_of_bounded_length() {
        assert_eq!(name(" nas\n1\u{7} ").unwrap(), "nas 1");
        assert_eq!(name(&"密".repeat(100)).unwrap().chars().count(), 64);
        assert_eq!(name(" \n").unwrap_err().field.as_deref(), Some("name"));
    }
}
