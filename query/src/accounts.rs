//! Accounts: the first one by a one-time link, signing in and out, and who a request's cookie stands for.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cookie::{Cookie, SameSite};
use front::{ApiError, Peer, Response, json};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use serde::Serialize;
use store::{Store, Timestamp, User};
use utoipa::ToSchema;

use crate::StartError;
use crate::app::App;
use crate::call::{Call, SignedIn};
use crate::password::Passwords;
use crate::secret::{self, Hashed};
use crate::tries::{BY_ACCOUNT, BY_ADDRESS, Tries};

/// Characters of a password when it is chosen.
const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 10..=128;
/// Characters of a username.
const USERNAME_CHARS: std::ops::RangeInclusive<usize> = 1..=64;
/// How long a browser keeps the cookie: as long as the store keeps a session at most.
const COOKIE_DAYS: i64 = 14;

/// What signing in needs to remember.
pub(crate) struct Accounts {
    exist: AtomicBool,
    sign_up: Option<Hashed>,
    passwords: Passwords,
    by_address: Mutex<Tries<IpAddr>>,
    /// By the hash of the name: what a stranger types as a name must not take up memory.
    by_account: Mutex<Tries<Hashed>>,
}

impl Accounts {
    /// Blocks: call it off the async threads.
    pub(crate) fn new(store: Arc<Store>, sign_up_token: Option<String>) -> Result<Accounts, StartError> {
        Ok(Accounts {
            exist: AtomicBool::new(store.has_user()?),
            sign_up: sign_up_token.as_deref().map(Hashed::of),
            passwords: Passwords::new()?,
            by_address: Mutex::new(Tries::new(BY_ADDRESS)),
            by_account: Mutex::new(Tries::new(BY_ACCOUNT)),
        })
    }

    /// Is there an account? Until then nothing but making the first one is answered.
    pub(crate) fn exist(&self) -> bool {
        self.exist.load(Ordering::Acquire)
    }

    fn begin_by_address(&self, peer: Peer, now: Timestamp) -> Result<(), ApiError> {
        self.by_address.lock().begin(&peer.key(), now).map_err(too_many)
    }

    fn begin_by_account(&self, username: &str, now: Timestamp) -> Result<(), ApiError> {
        self.by_account.lock().begin(&Hashed::of(username), now).map_err(too_many)
    }

    fn succeeded(&self, peer: Peer, username: &str) {
        self.by_address.lock().succeeded(&peer.key());
        self.by_account.lock().succeeded(&Hashed::of(username));
    }
}

fn too_many(wait_s: u32) -> ApiError {
    ApiError::too_many_tries(format!("There were too many tries. Try again in {wait_s} seconds."), wait_s)
}

/// Who is signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionBody<'a> {
    user: UserBody<'a>,
    /// Repeat this in `X-CSRF-Token` with every request that changes something.
    csrf_token: &'a str,
}

#[derive(Serialize, ToSchema)]
struct UserBody<'a> {
    username: &'a str,
    /// `admin` or `reader`.
    role: &'a str,
}

impl<'a> SessionBody<'a> {
    fn of(user: &'a User, csrf_token: &'a str) -> SessionBody<'a> {
        SessionBody { user: UserBody { username: &user.username, role: &user.role }, csrf_token }
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
    check_password(&password)?;

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
    begin_session(&call.app, &user, call.now, StatusCode::CREATED).await
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
    begin_session(&call.app, &user, call.now, StatusCode::OK).await
}

/// Who is signed in?
#[utoipa::path(get, path = "/api/v1/session", operation_id = "get_session", tag = "session", responses((status = 200, body = SessionBody)))]
pub(crate) async fn current(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let session = &call.who()?.session;
    Ok(json(StatusCode::OK, &SessionBody::of(&session.user, &session.csrf_token)))
}

/// Signs out; live sockets of the session close at once.
#[utoipa::path(delete, path = "/api/v1/session", operation_id = "sign_out", tag = "session", responses((status = 204)))]
pub(crate) async fn sign_out(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let token = call.who()?.token;
    let app = call.app.clone();
    let ended = call.app.light(move |store| {
        store.end_session(&token.0)?;
        // In here: the client may leave, and with it the rest of this function, once the session is over.
        app.live.end_session(token);
        Ok(())
    });
    ended.await?;
    let mut response = front::empty(StatusCode::NO_CONTENT);
    set_cookie(&mut response, call.app.origins.is_https(), "", 0);
    Ok(response)
}

async fn begin_session(
    app: &App,
    user: &User,
    now: Timestamp,
    status: StatusCode,
) -> Result<Response, ApiError> {
    let token = secret::token()?;
    let csrf_token = secret::token()?;
    let (hashed, id, csrf) = (Hashed::of(&token), user.id, csrf_token.clone());
    app.light(move |store| store.add_session(hashed.0, id, &csrf, now)).await?;
    let mut response = json(status, &SessionBody::of(user, &csrf_token));
    set_cookie(&mut response, app.origins.is_https(), &token, COOKIE_DAYS);
    Ok(response)
}

/// The session that a request's cookie stands for, if it still lasts.
pub(crate) async fn session_of(
    app: &App,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Option<SignedIn>, ApiError> {
    let Some(token) = cookie_of(headers, app.origins.is_https()) else { return Ok(None) };
    let token = Hashed::of(&token);
    let session = app.light(move |store| store.session(&token.0, now)).await?;
    Ok(session.map(|session| SignedIn { session, token }))
}

/// `__Host-` makes a browser take the cookie by TLS only, so a plain http server needs the other name.
fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-ocw_session" } else { "ocw_session" }
}

fn cookie_of(headers: &HeaderMap, https: bool) -> Option<String> {
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

fn check_username(username: &str) -> Result<(), ApiError> {
    let chars = username.chars().count();
    if !USERNAME_CHARS.contains(&chars)
        || username.chars().any(char::is_control)
        || username.trim() != username
    {
        let (low, high) = (USERNAME_CHARS.start(), USERNAME_CHARS.end());
        return Err(ApiError::invalid(
            "username",
            format!("The username must have {low} to {high} characters and no blank at its ends."),
        ));
    }
    Ok(())
}

fn check_password(password: &str) -> Result<(), ApiError> {
    if !PASSWORD_CHARS.contains(&password.chars().count()) {
        let (low, high) = (PASSWORD_CHARS.start(), PASSWORD_CHARS.end());
        return Err(ApiError::invalid(
            "password",
            format!("The password must have {low} to {high} characters."),
        ));
    }
    Ok(())
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

    #[test]
    fn lengths_are_counted_in_characters() {
        assert!(check_password("1234567890").is_ok() && check_password(&"密".repeat(128)).is_ok());
        assert!(check_password("123456789").is_err() && check_password(&"a".repeat(129)).is_err());
        assert!(check_username("a").is_ok() && check_username(&"密".repeat(64)).is_ok());
        for odd in ["", " a", "a\n", &"a".repeat(65)] {
            assert!(check_username(odd).is_err(), "{odd}");
        }
    }
}
