//! Answers: JSON, and the one shape every error has.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::{Body, Response};

/// An error answer: `{"error": {"code", "message", "field"?}}`. What it says is for the client to read, so
/// nothing internal belongs into it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {message}")]
pub struct ApiError {
    /// Status of the answer.
    pub status: StatusCode,
    /// A word in `snake_case` for programs.
    pub code: &'static str,
    /// One sentence for a person.
    pub message: String,
    /// Which field of the request is meant.
    pub field: Option<String>,
    /// `Retry-After`, seconds.
    pub retry_after_s: Option<u32>,
    /// `Allow`: the methods the path has.
    pub allow: Option<&'static str>,
}

impl ApiError {
    /// An error with nothing but these; the other constructors name the usual ones.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { status, code, message: message.into(), field: None, retry_after_s: None, allow: None }
    }

    /// 400: the request cannot be read.
    pub fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 401, always with the same text: it does not say which part was wrong.
    pub fn unauthorized() -> ApiError {
        ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", "The credentials are missing or not valid.")
    }

    /// 403.
    pub fn forbidden(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 405; `allow` lists the methods the path has, as in `"GET, POST"`.
    pub fn method_not_allowed(allow: &'static str) -> ApiError {
        let message = format!("This path does not have that method; it has {allow}.");
        ApiError {
            allow: Some(allow),
            ..ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        }
    }

    /// 408: the client took too long; the connection is closed after it.
    pub fn timeout(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    }

    /// 409.
    pub fn conflict(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// 413.
    pub fn too_large(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 415.
    pub fn unsupported_media_type(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    }

    /// 422: the request can be read, but `field` is not as it must be.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> ApiError {
        ApiError {
            field: Some(field.into()),
            ..ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message)
        }
    }

    /// 429.
    pub fn too_many_tries(message: impl Into<String>, retry_after_s: u32) -> ApiError {
        ApiError {
            retry_after_s: Some(retry_after_s),
            ..ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tries", message)
        }
    }

    /// 500. Says nothing about the cause: that belongs into the server's log.
    pub fn internal() -> ApiError {
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The server failed to answer this request.",
        )
    }

    /// 503.
    pub fn unavailable(message: impl Into<String>, retry_after_s: u32) -> ApiError {
        ApiError {
            retry_after_s: Some(retry_after_s),
            ..ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
        }
    }

    /// The answer.
    pub fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Outer<'a> {
            error: Inner<'a>,
        }
        #[derive(Serialize)]
        struct Inner<'a> {
            code: &'a str,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            field: Option<&'a str>,
        }
        let error = Inner { code: self.code, message: &self.message, field: self.field.as_deref() };
        let mut response = json(self.status, &Outer { error });
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        // The rest of the body may still be on its way; nothing on this connection could be understood after it.
        if matches!(self.status, StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<ApiError> for Response {
    fn from(error: ApiError) -> Response {
        error.into_response()
    }
}

/// A JSON answer that no cache keeps. A value that cannot be JSON (a map with keys that are no strings) becomes 500.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut response = Response::new(Body::new(Bytes::from(bytes)));
            *response.status_mut() = status;
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            response
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// An answer without a body, for 204 and the like.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: ApiError, status: u16, header: Option<(&str, &str)>, body: &str) {
        let response = error.into_response();
        assert_eq!(response.status().as_u16(), status);
        if let Some((name, value)) = header {
            assert_eq!(response.headers().get(name).map(|v| v.to_str().unwrap()), Some(value));
        }
        assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        let bytes = futures_body(response);
        assert_eq!(String::from_utf8(bytes).unwrap(), body);
    }

    fn futures_body(response: Response) -> Vec<u8> {
        use http_body_util::BodyExt;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { response.into_body().collect().await.unwrap().to_bytes().to_vec() })
    }

    #[test]
    fn errors_have_one_shape() {
        check(
            ApiError::not_found("There is no such device."),
            404,
            None,
            r#"{"error":{"code":"not_found","message":"There is no such device."}}"#,
        );
        check(
            ApiError::invalid("name", "Too long."),
            422,
            None,
            r#"{"error":{"code":"invalid","message":"Too long.","field":"name"}}"#,
        );
        check(
            ApiError::unavailable("Full.", 2),
            503,
            Some(("retry-after", "2")),
            r#"{"error":{"code":"unavailable","message":"Full."}}"#,
        );
        check(
            ApiError::too_large("Too much."),
            413,
            Some(("connection", "close")),
            r#"{"error":{"code":"too_large","message":"Too much."}}"#,
        );
        check(
            ApiError::method_not_allowed("GET, POST"),
            405,
            Some(("allow", "GET, POST")),
            r#"{"error":{"code":"method_not_allowed","message":"This path does not have that method; it has GET, POST."}}"#,
        );
    }
}
