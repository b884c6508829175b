//! Accounts: list, add, change, delete; one's own password.

use front::{ApiError, Response, json};
use http::StatusCode;
use serde::Serialize;
use store::{Error, Timestamp, UserView};
use utoipa::ToSchema;

use super::{check_password, check_username, parse_role};
use crate::call::Call;
use crate::secret::Hashed;

#[derive(Serialize, ToSchema)]
pub(crate) struct UserList<'a> {
    users: Vec<UserBody<'a>>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct OneUser<'a> {
    user: UserBody<'a>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = User)]
struct UserBody<'a> {
    id: i64,
    username: &'a str,
    /// `admin` or `reader`.
    role: &'static str,
    created_ms: Timestamp,
    /// The last use of a session that still lasts; `null`: there is none.
    seen_ms: Option<Timestamp>,
}

impl<'a> From<&'a UserView> for UserBody<'a> {
    fn from(user: &'a UserView) -> UserBody<'a> {
        UserBody {
            id: user.id,
            username: &user.username,
            role: user.role.as_str(),
            created_ms: user.created_ms,
            seen_ms: user.seen_ms,
        }
    }
}

/// A further account.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; it is read field by field, so that faults name the field")]
pub(crate) struct NewUser {
    /// Unique.
    #[schema(min_length = 1, max_length = 64)]
    username: String,
    #[schema(min_length = 10, max_length = 128)]
    password: String,
    /// `reader` sees everything and changes nothing.
    #[schema(pattern = "^(reader|admin)$")]
    role: String,
}

/// Any of these; what is not there stays.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; it is read field by field, so that faults name the field")]
pub(crate) struct UserEdit {
    #[schema(nullable = false, pattern = "^(reader|admin)$")]
    role: Option<String>,
    /// Ends all sessions of the account.
    #[schema(nullable = false, min_length = 10, max_length = 128)]
    password: Option<String>,
}

/// One's own password.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; it is read field by field, so that faults name the field")]
pub(crate) struct PasswordChange {
    current_password: String,
    #[schema(min_length = 10, max_length = 128)]
    new_password: String,
}

/// All accounts, by name.
#[utoipa::path(get, path = "/api/v1/users", operation_id = "list_users", tag = "accounts",
    responses((status = 200, body = UserList)))]
pub(crate) async fn list(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let now = call.now;
    let users = call.app.light(move |store| store.users(now)).await?;
    Ok(json(StatusCode::OK, &UserList { users: users.iter().map(UserBody::from).collect() }))
}

/// Adds an account.
#[utoipa::path(post, path = "/api/v1/users", operation_id = "add_user", tag = "accounts", request_body = NewUser,
    responses((status = 201, body = OneUser), (status = 409, body = crate::openapi::ErrorBody,
        description = "There is an account with that name, or there are as many as there may be.")))]
pub(crate) async fn add(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let by = call.who()?.user.username.clone();
    let (mut fields, call) = call.fields().await?;
    let username = fields.required_text("username")?;
    let password = fields.required_text("password")?;
    let role = parse_role("role", &fields.required_text("role")?)?;
    fields.finish()?;
    check_username(&username)?;
    check_password("password", &password)?;
    let hash = call.app.accounts.passwords.hash(password).await?;
    let now = call.now;
    let user = call.app.light(move |store| store.add_user(&username, role, &hash, now)).await?;
    tracing::info!(user = ?user.username, role = role.as_str(), ?by, "an account was added");
    Ok(json(StatusCode::CREATED, &OneUser { user: (&user).into() }))
}

/// Changes an account's role, its password, or both. A new password ends all its sessions, live sockets included; that of
/// one's own account is changed with `POST /api/v1/password`.
#[utoipa::path(patch, path = "/api/v1/users/{id}", operation_id = "edit_user", tag = "accounts", params(("id" = i64, Path)),
    request_body = UserEdit,
    responses((status = 200, body = OneUser), (status = 409, body = crate::openapi::ErrorBody,
        description = "Nobody would be left who may administer.")))]
pub(crate) async fn edit(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let id = call.number("account")?;
    let (own, by) = (call.who()?.user.id == id, call.who()?.user.username.clone());
    let (mut fields, call) = call.fields().await?;
    let role = fields.text("role")?.map(|word| parse_role("role", &word)).transpose()?;
    let password = fields.text("password")?;
    fields.finish()?;
    if own && password.is_some() {
        let message = "Change your own password with the current one.";
        return Err(ApiError::invalid("password", message));
    }
    let hash = match password {
        None => None,
        Some(password) => {
            check_password("password", &password)?;
            Some(call.app.accounts.passwords.hash(password).await?)
        }
    };
    let (now, app) = (call.now, call.app.clone());
    let changed = hash.is_some();
    let user = call.app.light(move |store| {
        // The one that may be refused first.
        if let Some(role) = role {
            store.set_role(id, role)?;
        }
        if let Some(hash) = hash {
            // In here: the client may leave once the sessions are over.
            store.set_password(id, &hash, None)?.into_iter().for_each(|ended| app.live.end(Hashed(ended)));
        }
        let user = store.users(now)?.into_iter().find(|user| user.id == id);
        user.ok_or(Error::NotFound { what: "account" })
    });
    let user = user.await?;
    tracing::info!(user = ?user.username, role = user.role.as_str(), password = changed, ?by, "an account was changed");
    Ok(json(StatusCode::OK, &OneUser { user: (&user).into() }))
}

/// Deletes an account with its sessions and API tokens; what is open under them closes at once.
#[utoipa::path(delete, path = "/api/v1/users/{id}", operation_id = "delete_user", tag = "accounts", params(("id" = i64, Path)),
    responses((status = 204), (status = 409, body = crate::openapi::ErrorBody,
        description = "Nobody would be left who may administer.")))]
pub(crate) async fn delete(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let (id, app, by) = (call.number("account")?, call.app.clone(), call.who()?.user.username.clone());
    let deleted = call.app.light(move |store| {
        store.delete_user(id)?.into_iter().for_each(|ended| app.live.end(Hashed(ended)));
        Ok(())
    });
    deleted.await?;
    tracing::info!(user = id, ?by, "an account was deleted");
    Ok(front::empty(StatusCode::NO_CONTENT))
}

/// Changes one's own password. All other sessions of the account end, live sockets included; this one and the API tokens
/// stay.
#[utoipa::path(post, path = "/api/v1/password", operation_id = "change_password", tag = "accounts", request_body = PasswordChange,
    responses((status = 204)))]
pub(crate) async fn change_password(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let who = call.who()?.clone();
    let (mut fields, call) = call.fields().await?;
    let current = fields.required_text("current_password")?;
    let new = fields.required_text("new_password")?;
    fields.finish()?;
    check_password("new_password", &new)?;

    let accounts = &call.app.accounts;
    // Whoever finds an open page must not be able to guess the password with it.
    accounts.begin_by_account(&who.user.username, call.now)?;
    if !accounts.passwords.verify(current, Some(who.user.password_hash)).await? {
        return Err(ApiError::invalid("current_password", "The current password is wrong."));
    }
    accounts.succeeded(call.peer, &who.user.username);
    let hash = accounts.passwords.hash(new).await?;
    let (id, keep, app) = (who.user.id, who.credential.0, call.app.clone());
    let changed = call.app.light(move |store| {
        let ended = store.set_password(id, &hash, Some(keep))?;
        ended.into_iter().for_each(|ended| app.live.end(Hashed(ended)));
        Ok(())
    });
    changed.await?;
    tracing::info!(user = ?who.user.username, "somebody changed their password");
    Ok(front::empty(StatusCode::NO_CONTENT))
}
