//! Signing up, in and out; the sessions that last.

use std::sync::atomic::Ordering;

use cookie::{Cookie, SameSite};
use front::{ApiError, Peer, Response, json};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use store::{NewSession, SessionView, Timestamp, User};
use utoipa::ToSchema;

use super::{check_password, check_username, reach};
use crate::app::App;
use crate::call::{By, Call, Rest};
use crate::secret::{self, Hashed};

/// How long a browser keeps the cookie: as long as the store keeps a session at most.
const COOKIE_DAYS: i64 = 14;
/// What is kept of the name a browser gives itself.
const CLIENT_CHARS_MAX: usize = 200;

/// Who is signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionBody<'a> {
    user: UserBody<'a>,
    /// Repeat this in `X-CSRF-Token` with every request that changes something.
    csrf_token: &'a str,
    /// How what is typed here gets to the server: `tls`; `loopback`: it stays on the server's machine; `plain`: readable
    /// for everybody on the way.
    #[schema(pattern = "^(tls|loopback|plain)$")]
    transport: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SignedInUser)]
struct UserBody<'a> {
    id: i64,
    username: &'a str,
    /// `admin` or `reader`.
    role: &'static str,
}

impl<'a> SessionBody<'a> {
    fn of(user: &'a User, csrf_token: &'a str, transport: &'static str) -> SessionBody<'a> {
        let user = UserBody { id: user.id, username: &user.username, role: user.role.as_str() };
        SessionBody { user, csrf_token, transport }
    }
}

/// What makes the first account.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; it is read field by field, so that faults name the field")]
pub(crate) struct SetUpBody {
    /// From the one-time link on the server's standard output.
    token: String,
    #[schema(min_length = 1, max_length = 64)]
    username: String,
    #[schema(min_length = 10, max_length = 128)]
    password: String,
}

/// What signs in.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; it is read field by field, so that faults name the field")]
pub(crate) struct SignInBody {
    username: String,
    password: String,
}

/// Makes the first account and signs it in.
#[utoipa::path(post, path = "/api/v1/setup", operation_id = "make_first_account", tag = "session", request_body = SetUpBody,
    responses((status = 201, body = SessionBody), (status = 403, body = crate::openapi::ErrorBody,
        description = "The token is wrong."), (status = 409, body = crate::openapi::ErrorBody,
        description = "There is an account already.")))]
pub(crate) async fn set_up(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let exists = || ApiError::conflict("There is an account already. Sign in with it.");
    if call.app.accounts.exist() {
        return Err(exists());
    }
    let (mut fields, call) = call.fields().await?;
    let token = fields.required_text("token")?;
    let username = fields.required_text("username")?;
    let password = fields.required_text("password")?;
    fields.finish()?;

    let accounts = &call.app.accounts;
    accounts.begin_by_address(call.peer, call.now)?;
    if !accounts.sign_up.as_ref().is_some_and(|hashed| hashed.matches(&token)) {
        return Err(ApiError::forbidden(
            "This sign-up link is not valid. Use the one the server printed last.",
        ));
    }
    // Whoever has the link need not wait for having chosen too short a password.
    accounts.succeeded(call.peer, &username);
    check_username(&username)?;
    check_password("password", &password)?;

    let hash = accounts.passwords.hash(password).await?;
    let (name, now, app) = (username.clone(), call.now, call.app.clone());
    let made = call.app.light(move |store| {
        let made = store.add_first_user(&name, &hash, now);
        // In here: the client may leave, and with it the rest of this function, once the account is there.
        if matches!(made, Ok(_) | Err(store::Error::Conflict { .. })) {
            app.accounts.exist.store(true, Ordering::Release);
        }
        made
    });
    let user =
        made.await.map_err(|error| if error.status == StatusCode::CONFLICT { exists() } else { error })?;
    tracing::info!(address = %call.peer.addr.ip(), "the first account was made");
    begin_session(&call, &user, StatusCode::CREATED).await
}

/// Signs in.
#[utoipa::path(post, path = "/api/v1/session", operation_id = "sign_in", tag = "session", request_body = SignInBody,
    responses((status = 200, body = SessionBody), (status = 401, body = crate::openapi::ErrorBody,
        description = "The username or the password is wrong.")))]
pub(crate) async fn sign_in(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let (mut fields, call) = call.fields().await?;
    let username = fields.required_text("username")?;
    let password = fields.required_text("password")?;
    fields.finish()?;

    let accounts = &call.app.accounts;
    accounts.begin_by_address(call.peer, call.now)?;
    accounts.begin_by_account(&username, call.now)?;
    let name = username.clone();
    let user = call.app.light(move |store| store.user(&name)).await?;
    let stored = user.as_ref().map(|user| user.password_hash.clone());
    let right = accounts.passwords.verify(password, stored).await?;
    let Some(user) = user.filter(|_| right) else {
        tracing::warn!(address = %call.peer.addr.ip(), "somebody failed to sign in");
        return Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "The username or the password is wrong.",
        ));
    };
    accounts.succeeded(call.peer, &username);
    begin_session(&call, &user, StatusCode::OK).await
}

/// Who is signed in?
#[utoipa::path(get, path = "/api/v1/session", operation_id = "get_session", tag = "session", responses((status = 200, body = SessionBody)))]
pub(crate) async fn current(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let who = call.who()?;
    let By::Session { csrf_token, .. } = &who.by else { return Err(ApiError::unauthorized()) };
    let transport = transport(&call.app, call.peer);
    Ok(json(StatusCode::OK, &SessionBody::of(&who.user, csrf_token, transport)))
}

/// Signs out; live sockets of the session close at once.
#[utoipa::path(delete, path = "/api/v1/session", operation_id = "sign_out", tag = "session", responses((status = 204)))]
pub(crate) async fn sign_out(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let credential = call.who()?.credential;
    let app = call.app.clone();
    let ended = call.app.light(move |store| {
        store.end_session(&credential.0)?;
        // In here: the client may leave, and with it the rest of this function, once the session is over.
        app.live.end(credential);
        Ok(())
    });
    ended.await?;
    let mut response = front::empty(StatusCode::NO_CONTENT);
    set_cookie(&mut response, call.app.origins.is_https(call.peer), "", 0);
    Ok(response)
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SessionList {
    sessions: Vec<ListedSession>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ListedSession)]
struct ListedSession {
    id: i64,
    username: String,
    /// When it was begun.
    created_ms: Timestamp,
    /// When it was last used, to within a minute.
    used_ms: Timestamp,
    /// Where from it was begun; empty where that is not known.
    address: String,
    /// What the browser calls itself.
    client: String,
    /// Is it the one this request belongs to?
    current: bool,
}

/// The sessions that last, last used first: an administrator sees all, a reader their own.
#[utoipa::path(get, path = "/api/v1/sessions", operation_id = "list_sessions", tag = "accounts",
    responses((status = 200, body = SessionList)))]
pub(crate) async fn list(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let who = call.who()?;
    let (of, now) = (reach(who), call.now);
    let own = if let By::Session { id, .. } = who.by { Some(id) } else { None };
    let sessions = call.app.light(move |store| store.sessions(of, now)).await?;
    let listed = |session: SessionView| ListedSession {
        current: own == Some(session.id),
        id: session.id,
        username: session.username,
        created_ms: session.created_ms,
        used_ms: session.used_ms,
        address: session.address,
        client: session.client,
    };
    Ok(json(StatusCode::OK, &SessionList { sessions: sessions.into_iter().map(listed).collect() }))
}

/// Ends a session; its live sockets close at once. A reader may end their own.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", operation_id = "end_session", tag = "accounts", params(("id" = i64, Path)),
    responses((status = 204)))]
pub(crate) async fn end(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let (id, of, app) = (call.number("session")?, reach(call.who()?), call.app.clone());
    let ended = call.app.light(move |store| {
        // In here: the client may leave once the session is over.
        store.end_session_by_id(id, of).map(|credential| app.live.end(Hashed(credential)))
    });
    ended.await?;
    Ok(front::empty(StatusCode::NO_CONTENT))
}

async fn begin_session(call: &Rest, user: &User, status: StatusCode) -> Result<Response, ApiError> {
    let token = secret::token()?;
    let csrf_token = secret::token()?;
    let session = NewSession {
        token_hash: Hashed::of(&token).0,
        user: user.id,
        csrf_token: csrf_token.clone(),
        address: call.peer.addr.ip().to_canonical().to_string(),
        client: client(&call.parts.headers),
    };
    let (now, app) = (call.now, call.app.clone());
    let begun = call.app.light(move |store| {
        store.add_session(&session, now)?.into_iter().for_each(|ended| app.live.end(Hashed(ended)));
        Ok(())
    });
    begun.await?;
    let transport = transport(&call.app, call.peer);
    let mut response = json(status, &SessionBody::of(user, &csrf_token, transport));
    set_cookie(&mut response, call.app.origins.is_https(call.peer), &token, COOKIE_DAYS);
    Ok(response)
}

/// What a browser calls itself, as plain text of a bounded length.
fn client(headers: &HeaderMap) -> String {
    let name = headers.get(header::USER_AGENT).and_then(|name| name.to_str().ok()).unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).take(CLIENT_CHARS_MAX).collect()
}

fn transport(app: &App, peer: Peer) -> &'static str {
    if app.origins.is_https(peer) {
        "tls"
    } else if peer.addr.ip().to_canonical().is_loopback() {
        "loopback"
    } else {
        "plain"
    }
}

/// `__Host-` makes a browser take the cookie by TLS only, so a plain http server needs the other name.
fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-ocw_session" } else { "ocw_session" }
}

pub(crate) fn cookie_of(headers: &HeaderMap, https: bool) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|text| Cookie::split_parse(text.to_string()))
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == cookie_name(https))
        .map(|cookie| cookie.value().to_string())
}

fn set_cookie(response: &mut Response, https: bool, token: &str, days: i64) {
    let cookie = Cookie::build((cookie_name(https), token))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(https)
        .max_age(cookie::time::Duration::days(days))
        .build();
    if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_strict_and_secure_behind_tls() {
        let mut response = front::empty(StatusCode::OK);
        set_cookie(&mut response, false, "t", 14);
        assert_eq!(
            response.headers()["set-cookie"],
            "ocw_session=t; HttpOnly; SameSite=Strict; Path=/; Max-Age=1209600"
        );
        set_cookie(&mut response, true, "t", 14);
        assert_eq!(
            response.headers()["set-cookie"],
            "__Host-ocw_session=t; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=1209600"
        );
    }

    #[test]
    fn only_the_cookie_of_the_right_name_counts() {
        let mut headers = HeaderMap::new();
        headers.append("cookie", "a=1; ocw_session=t; b".parse().unwrap());
        headers.append("cookie", "__Host-ocw_session=s".parse().unwrap());
        assert_eq!(cookie_of(&headers, false).as_deref(), Some("t"));
        assert_eq!(cookie_of(&headers, true).as_deref(), Some("s"));
        headers.clear();
        assert_eq!(cookie_of(&headers, false), None);
    }
}
