//! Who may use the server: accounts, the sessions they opened, the API tokens they made.
//!
//! Of passwords, sessions and tokens only hashes get here. What ends a session or a token returns its hash, so that
//! whoever holds something open under it can close it.

use crate::error::Result;
use crate::store::Store;
use crate::types::Timestamp;

/// The SHA-256 of a session's or an API token's secret.
pub type Credential = [u8; 32];

/// What an account may do; the later one includes the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See everything, change nothing.
    Reader,
    /// Everything.
    Admin,
}

impl Role {
    /// The word used in JSON and on disk.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Reader => "reader",
            Role::Admin => "admin",
        }
    }

    /// The reverse of [`Role::as_str`].
    pub fn parse(word: &str) -> Option<Role> {
        match word {
            "reader" => Some(Role::Reader),
            "admin" => Some(Role::Admin),
            _ => None,
        }
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub id: i64,
    /// What is typed to sign in.
    pub username: String,
    /// What it may do.
    pub role: Role,
    /// PHC string of the password.
    pub password_hash: String,
}

/// An account in the list of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserView {
    /// Its number.
    pub id: i64,
    /// What is typed to sign in.
    pub username: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_ms: Timestamp,
    /// The last use of its sessions that still last; `None`: there is none.
    pub seen_ms: Option<Timestamp>,
}

/// A session that begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewSession {
    /// The hash of its secret.
    pub token_hash: Credential,
    /// Whose it is.
    pub user: i64,
    /// What state-changing requests must repeat.
    pub csrf_token: String,
    /// Where from it was begun.
    pub address: String,
    /// What the browser calls itself.
    pub client: String,
}

/// Somebody signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its number.
    pub id: i64,
    /// Who.
    pub user: User,
    /// What state-changing requests must repeat.
    pub csrf_token: String,
    /// When they signed in.
    pub created_ms: Timestamp,
    /// When the session was last used, to within a minute.
    pub used_ms: Timestamp,
}

/// A session in the list of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// Its number.
    pub id: i64,
    /// Whose it is.
    pub username: String,
    /// When it was begun.
    pub created_ms: Timestamp,
    /// When it was last used, to within a minute.
    pub used_ms: Timestamp,
    /// Where from it was begun; empty where that is not known.
    pub address: String,
    /// What the browser calls itself.
    pub client: String,
}

/// An API token in the list of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Its number.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// What it may do, as far as its owner may.
    pub scope: Role,
    /// Who made it.
    pub username: String,
    /// When it was made.
    pub created_ms: Timestamp,
    /// From when on it is of no use; `None`: it has no end.
    pub expires_ms: Option<Timestamp>,
    /// When it was last used, to within a minute; `None`: never.
    pub used_ms: Option<Timestamp>,
}

/// Who comes with an API token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The token's number.
    pub id: i64,
    /// Who made it.
    pub user: User,
    /// What the token was made for; what its owner may bounds it.
    pub scope: Role,
}

/// # Errors
/// Of all of these: the database's, beside those named.
impl Store {
    /// Is there an account already?
    pub fn has_user(&self) -> Result<bool> {
        self.shared.meta.has_user()
    }

    /// Makes the first account, an administrator.
    ///
    /// # Errors
    /// `Conflict` when there is an account already.
    pub fn add_first_user(&self, username: &str, password_hash: &str, now: Timestamp) -> Result<User> {
        self.shared.meta.add_first_user(username, password_hash, now)
    }

    /// Makes a further account.
    ///
    /// # Errors
    /// `Conflict` when the name is taken, `Full` when there are too many.
    pub fn add_user(
        &self,
        username: &str,
        role: Role,
        password_hash: &str,
        now: Timestamp,
    ) -> Result<UserView> {
        self.shared.meta.add_user(username, role, password_hash, now)
    }

    /// The account of that name.
    pub fn user(&self, username: &str) -> Result<Option<User>> {
        self.shared.meta.user(username)
    }

    /// All accounts, by name.
    pub fn users(&self, now: Timestamp) -> Result<Vec<UserView>> {
        self.shared.meta.users(now)
    }

    /// Gives an account another role.
    ///
    /// # Errors
    /// `NotFound`; `LastAdmin` when nobody would be left who may administer.
    pub fn set_role(&self, user: i64, role: Role) -> Result<()> {
        self.shared.meta.set_role(user, role)
    }

    /// Gives an account another password and ends its sessions but `keep`. Returns those that ended.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn set_password(
        &self,
        user: i64,
        password_hash: &str,
        keep: Option<Credential>,
    ) -> Result<Vec<Credential>> {
        self.shared.meta.set_password(user, password_hash, keep)
    }

    /// Deletes an account with its sessions and tokens; returns those.
    ///
    /// # Errors
    /// `NotFound`; `LastAdmin`.
    pub fn delete_user(&self, user: i64) -> Result<Vec<Credential>> {
        self.shared.meta.delete_user(user)
    }

    /// Keeps a session that begins. Past the bound of an account its oldest ends: returns those that did.
    pub fn add_session(&self, session: &NewSession, now: Timestamp) -> Result<Vec<Credential>> {
        self.shared.meta.add_session(session, now)
    }

    /// The session of that secret, unless it ended: 12 h without use, or 14 days old. Notes the use.
    pub fn session(&self, token_hash: &Credential, now: Timestamp) -> Result<Option<Session>> {
        self.shared.meta.session(token_hash, now)
    }

    /// Ends a session.
    pub fn end_session(&self, token_hash: &Credential) -> Result<()> {
        self.shared.meta.end_session(token_hash)
    }

    /// The sessions that last, newest use first; of one account, or of all.
    pub fn sessions(&self, of: Option<i64>, now: Timestamp) -> Result<Vec<SessionView>> {
        self.shared.meta.sessions(of, now)
    }

    /// Ends the session of that number, if it is one of `of`.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn end_session_by_id(&self, id: i64, of: Option<i64>) -> Result<Credential> {
        self.shared.meta.end_session_by_id(id, of)
    }

    /// Keeps an API token.
    ///
    /// # Errors
    /// `Full` when the account has too many.
    pub fn add_api_token(
        &self,
        token_hash: &Credential,
        user: i64,
        name: &str,
        scope: Role,
        expires_ms: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<ApiToken> {
        self.shared.meta.add_api_token(token_hash, user, name, scope, expires_ms, now)
    }

    /// Whose API token it is, unless it expired. Notes the use.
    pub fn bearer(&self, token_hash: &Credential, now: Timestamp) -> Result<Option<Bearer>> {
        self.shared.meta.bearer(token_hash, now)
    }

    /// API tokens, newest first, expired ones too; of one account, or of all.
    pub fn api_tokens(&self, of: Option<i64>) -> Result<Vec<ApiToken>> {
        self.shared.meta.api_tokens(of)
    }

    /// Revokes the API token of that number, if it is one of `of`.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn revoke_api_token(&self, id: i64, of: Option<i64>) -> Result<Credential> {
        self.shared.meta.revoke_api_token(id, of)
    }
}
