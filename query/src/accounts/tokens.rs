//! API tokens: what scripts come with instead of a session.

use front::{ApiError, Response, json};
use http::StatusCode;
use serde::Serialize;
use store::{ApiToken, Role, Timestamp};
use utoipa::ToSchema;

use super::reach;
use crate::call::Call;
use crate::params::TIMES_MS;
use crate::secret::{self, API_TOKEN_PREFIX, Hashed};

/// Characters of a token's name.
const NAME_CHARS_MAX: usize = 64;

#[derive(Serialize, ToSchema)]
pub(crate) struct TokenList<'a> {
    tokens: Vec<TokenBody<'a>>,
    /// The server's clock, to tell what expired.
    now_ms: Timestamp,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ApiToken)]
struct TokenBody<'a> {
    id: i64,
    name: &'a str,
    /// `read`, or `admin`: as far as its owner may.
    scope: &'static str,
    /// Who made it.
    username: &'a str,
    created_ms: Timestamp,
    /// From when on it is of no use; `null`: it has no end.
    expires_ms: Option<Timestamp>,
    /// When it was last used, to within a minute; `null`: never.
    used_ms: Option<Timestamp>,
}

impl<'a> From<&'a ApiToken> for TokenBody<'a> {
    fn from(token: &'a ApiToken) -> TokenBody<'a> {
        TokenBody {
            id: token.id,
            name: &token.name,
            scope: if token.scope == Role::Admin { "admin" } else { "read" },
            username: &token.username,
            created_ms: token.created_ms,
            expires_ms: token.expires_ms,
            used_ms: token.used_ms,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct MadeToken<'a> {
    /// Shown this once: only its hash is kept. Send it as `Authorization: Bearer …`.
    token: &'a str,
    api_token: TokenBody<'a>,
}

/// What makes an API token.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; it is read field by field, so that faults name the field")]
pub(crate) struct NewToken {
    /// What it is for.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// `admin` only for administrators.
    #[schema(pattern = "^(read|admin)$")]
    scope: String,
    /// From when on it is of no use, Unix milliseconds; without it, it has no end.
    #[schema(nullable = false, maximum = 253402300799999_i64)]
    expires_ms: Option<i64>,
}

/// API tokens, newest first, expired ones too: an administrator sees all, a reader their own.
#[utoipa::path(get, path = "/api/v1/tokens", operation_id = "list_api_tokens", tag = "accounts",
    responses((status = 200, body = TokenList)))]
pub(crate) async fn list(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let of = reach(call.who()?);
    let tokens = call.app.light(move |store| store.api_tokens(of)).await?;
    let tokens = tokens.iter().map(TokenBody::from).collect();
    Ok(json(StatusCode::OK, &TokenList { tokens, now_ms: call.now }))
}

/// Makes an API token of one's own.
#[utoipa::path(post, path = "/api/v1/tokens", operation_id = "make_api_token", tag = "accounts", request_body = NewToken,
    responses((status = 201, body = MadeToken), (status = 409, body = crate::openapi::ErrorBody,
        description = "The account has as many as it may have.")))]
pub(crate) async fn make(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let who = call.who()?.clone();
    let (mut fields, call) = call.fields().await?;
    let name = fields.required_text("name")?;
    let scope = fields.required_text("scope")?;
    let expires_ms = fields.whole("expires_ms", TIMES_MS)?;
    fields.finish()?;
    let chars = name.chars().count();
    if chars == 0 || chars > NAME_CHARS_MAX || name.trim() != name || name.chars().any(char::is_control) {
        let message =
            format!("The name must have 1 to {NAME_CHARS_MAX} characters and no blank at its ends.");
        return Err(ApiError::invalid("name", message));
    }
    let scope = match scope.as_str() {
        "read" => Role::Reader,
        "admin" if who.role == Role::Admin => Role::Admin,
        "admin" => {
            return Err(ApiError::forbidden("Only an administrator may make a token of scope `admin`."));
        }
        _ => return Err(ApiError::invalid("scope", "`scope` must be `read` or `admin`.")),
    };
    if expires_ms.is_some_and(|expires_ms| expires_ms <= call.now) {
        return Err(ApiError::invalid("expires_ms", "`expires_ms` must be in the future."));
    }

    let token = secret::token().map(|bits| format!("{API_TOKEN_PREFIX}{bits}"))?;
    let (hashed, now) = (Hashed::of(&token), call.now);
    let made = call
        .app
        .light(move |store| store.add_api_token(&hashed.0, who.user.id, &name, scope, expires_ms, now));
    let made = made.await?;
    tracing::info!(token = made.id, user = ?made.username, "an API token was made");
    Ok(json(StatusCode::CREATED, &MadeToken { token: &token, api_token: (&made).into() }))
}

/// Revokes an API token; what is open under it closes at once. A reader may revoke their own.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", operation_id = "revoke_api_token", tag = "accounts", params(("id" = i64, Path)),
    responses((status = 204)))]
pub(crate) async fn revoke(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let (id, of, app) = (call.number("API token")?, reach(call.who()?), call.app.clone());
    let revoked = call.app.light(move |store| {
        // In here: the client may leave once the token is of no use.
        store.revoke_api_token(id, of).map(|credential| app.live.end(Hashed(credential)))
    });
    revoked.await?;
    tracing::info!(token = id, "an API token was revoked");
    Ok(front::empty(StatusCode::NO_CONTENT))
}
