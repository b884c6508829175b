//! API tokens as they are kept.

use super::Meta;
use super::users::user;
use super::uses::Used;
use crate::accounts::{ApiToken, Bearer, Credential, Role};
use crate::error::{Error, Result};
use crate::types::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

/// API tokens of one account, expired ones included.
pub const TOKENS_PER_USER_MAX: u32 = 100;

const COLUMNS: &str = "api_token.id, name, scope, username, api_token.created_ms, expires_ms, used_ms";

impl Meta {
    pub fn add_api_token(
        &self,
        token_hash: &Credential,
        user: i64,
        name: &str,
        scope: Role,
        expires_ms: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<ApiToken> {
        let db = self.writer.lock();
        let added = db.execute(
            "INSERT INTO api_token (token_hash, user, name, scope, created_ms, expires_ms)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE (SELECT count(*) FROM api_token WHERE user = ?2) < ?7",
            params![token_hash, user, name, scope, now, expires_ms, TOKENS_PER_USER_MAX],
        )?;
        if added == 0 {
            return Err(Error::Full { what: "API tokens of this account", limit: TOKENS_PER_USER_MAX });
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM api_token JOIN user ON user.id = api_token.user WHERE token_hash = ?1"
        );
        Ok(db.query_row(&sql, [token_hash], api_token)?)
    }

    pub fn bearer(&self, token_hash: &Credential, now: Timestamp) -> Result<Option<Bearer>> {
        let found = self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT user.id, username, role, password_hash, api_token.id, scope, used_ms
                 FROM api_token JOIN user ON user.id = api_token.user
                 WHERE token_hash = ?1 AND (expires_ms IS NULL OR expires_ms > ?2)",
            )?;
            let found = statement.query_row(params![token_hash, now], |row| {
                let bearer = Bearer { user: user(row, 0)?, id: row.get(4)?, scope: row.get(5)? };
                Ok((bearer, row.get::<_, Option<Timestamp>>(6)?))
            });
            Ok(found.optional()?)
        })?;
        let Some((bearer, used_ms)) = found else { return Ok(None) };
        self.uses.note(Used::ApiToken(bearer.id), used_ms, now);
        Ok(Some(bearer))
    }

    pub fn api_tokens(&self, of: Option<i64>) -> Result<Vec<ApiToken>> {
        self.try_write_uses();
        self.read(|db| {
            let mut statement = db.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM api_token JOIN user ON user.id = api_token.user
                 WHERE ?1 IS NULL OR user.id = ?1 ORDER BY api_token.id DESC"
            ))?;
            let tokens = statement.query_map([of], api_token)?;
            Ok(tokens.collect::<rusqlite::Result<_>>()?)
        })
    }

    pub fn revoke_api_token(&self, id: i64, of: Option<i64>) -> Result<Credential> {
        let sql = "DELETE FROM api_token WHERE id = ?1 AND (?2 IS NULL OR user = ?2) RETURNING token_hash";
        let revoked = self.writer.lock().query_row(sql, params![id, of], |row| row.get(0)).optional()?;
        revoked.ok_or(Error::NotFound { what: "API token" })
    }
}

fn api_token(row: &Row<'_>) -> rusqlite::Result<ApiToken> {
    Ok(ApiToken {
        id: row.get(0)?,
        name: row.get(1)?,
        scope: row.get(2)?,
        username: row.get(3)?,
        created_ms: row.get(4)?,
        expires_ms: row.get(5)?,
        used_ms: row.get(6)?,
    })
}
