//! Accounts: who a request comes from, and what signing in needs to remember.

pub(crate) mod sessions;
pub(crate) mod tokens;
pub(crate) mod users;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use front::{ApiError, Peer};
use http::{HeaderMap, header};
use parking_lot::Mutex;
use store::{Role, Store, Timestamp};

use crate::StartError;
use crate::app::App;
use crate::call::{By, Who};
use crate::password::Passwords;
use crate::secret::Hashed;
use crate::tries::{BY_ACCOUNT, BY_ADDRESS, Tries};

/// Characters of a password when it is chosen.
const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 10..=128;
/// Characters of a username.
const USERNAME_CHARS: std::ops::RangeInclusive<usize> = 1..=64;

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
            passwords: Passwords::new(),
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

/// Whom a request comes from: by its API token when it carries one, else by its cookie; `None`: a stranger.
pub(crate) async fn who(
    app: &App,
    headers: &HeaderMap,
    peer: Peer,
    now: Timestamp,
) -> Result<Option<Who>, ApiError> {
    if let Some(authorization) = headers.get(header::AUTHORIZATION) {
        // Never both: a request that brings a token is judged by it alone.
        let Some(token) = authorization.to_str().ok().and_then(bearer) else { return Ok(None) };
        return by_token(app, Hashed::of(token), now).await;
    }
    match sessions::cookie_of(headers, app.origins.is_https(peer)) {
        Some(token) => by_session(app, Hashed::of(&token), now).await,
        None => Ok(None),
    }
}

/// Is what somebody came with still good? For what stays open: asked from time to time.
pub(crate) async fn again(app: &App, who: &Who, now: Timestamp) -> Result<Option<Who>, ApiError> {
    match who.by {
        By::Token => by_token(app, who.credential, now).await,
        By::Session { .. } => by_session(app, who.credential, now).await,
    }
}

async fn by_token(app: &App, credential: Hashed, now: Timestamp) -> Result<Option<Who>, ApiError> {
    let bearer = app.light(move |store| store.bearer(&credential.0, now)).await?;
    Ok(bearer.map(|bearer| {
        // A token never may more than its owner: who loses a role takes it from their tokens too.
        let role = bearer.scope.min(bearer.user.role);
        Who { user: bearer.user, role, by: By::Token, credential }
    }))
}

async fn by_session(app: &App, credential: Hashed, now: Timestamp) -> Result<Option<Who>, ApiError> {
    let session = app.light(move |store| store.session(&credential.0, now)).await?;
    Ok(session.map(|session| {
        let by = By::Session { id: session.id, csrf_token: session.csrf_token };
        Who { role: session.user.role, user: session.user, by, credential }
    }))
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whose sessions and tokens somebody may see and end: an administrator everybody's, a reader their own.
fn reach(who: &Who) -> Option<i64> {
    if who.role == Role::Admin { None } else { Some(who.user.id) }
}

fn parse_role(field: &str, word: &str) -> Result<Role, ApiError> {
    let role = Role::parse(word);
    role.ok_or_else(|| ApiError::invalid(field, format!("`{field}` must be `reader` or `admin`.")))
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

pub(crate) fn check_password(field: &str, password: &str) -> Result<(), ApiError> {
    if !PASSWORD_CHARS.contains(&password.chars().count()) {
        let (low, high) = (PASSWORD_CHARS.start(), PASSWORD_CHARS.end());
        return Err(ApiError::invalid(field, format!("The password must have {low} to {high} characters.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_counted_in_characters() {
        let password = |text: &str| check_password("password", text);
        assert!(password("1234567890").is_ok() && password(&"密".repeat(128)).is_ok());
        assert!(password("123456789").is_err() && password(&"a".repeat(129)).is_err());
        assert!(check_username("a").is_ok() && check_username(&"密".repeat(64)).is_ok());
        for odd in ["", " a", "a\n", &"a".repeat(65)] {
            assert!(check_username(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_token_comes_as_bearer_only() {
        assert_eq!(bearer("Bearer owt_1"), Some("owt_1"));
        assert_eq!(bearer("bearer  owt_1 "), Some("owt_1"));
        for odd in ["", "Bearer", "owt_1", "Basic b3d0XzE6", "Bearerowt_1"] {
            assert_eq!(bearer(odd), None, "{odd}");
        }
    }
}
