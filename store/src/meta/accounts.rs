//! Accounts and who is signed in.

use super::{Meta, conflict};
use crate::error::{Error, Result};
use crate::types::Timestamp;
use crate::{Session, User};
use rusqlite::{OptionalExtension, Row, params};

/// A session ends after this long without use, milliseconds.
pub const SESSION_IDLE_MS: i64 = 12 * 3_600_000;

/// … and in any case at this age, milliseconds.
pub const SESSION_AGE_MAX_MS: i64 = 14 * 24 * 3_600_000;

/// A use is noted only when the last one noted is older than this, so that a page's requests do not write each time.
const USE_NOTED_MS: i64 = 60_000;

impl Meta {
    pub fn has_user(&self) -> Result<bool> {
        self.read(|db| Ok(db.query_row("SELECT EXISTS (SELECT 1 FROM user)", [], |row| row.get(0))?))
    }

    pub fn add_first_user(&self, username: &str, password_hash: &str, now: Timestamp) -> Result<User> {
        let db = self.writer.lock();
        // One statement: of two people with the link only one becomes the admin.
        let added = db
            .execute(
                "INSERT INTO user (username, role, password_hash, created_ms)
                 SELECT ?1, 'admin', ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM user)",
                params![username, password_hash, now],
            )
            .map_err(|e| conflict(e, "an account"))?;
        if added == 0 {
            return Err(Error::Conflict { what: "an account" });
        }
        let id = db.last_insert_rowid();
        Ok(User { id, username: username.into(), role: "admin".into(), password_hash: password_hash.into() })
    }

    pub fn user(&self, username: &str) -> Result<Option<User>> {
        self.read(|db| {
            let mut statement =
                db.prepare_cached("SELECT id, username, role, password_hash FROM user WHERE username = ?1")?;
            Ok(statement.query_row([username], |row| user(row, 0)).optional()?)
        })
    }

    pub fn add_session(
        &self,
        token_hash: &[u8; 32],
        user: i64,
        csrf_token: &str,
        now: Timestamp,
    ) -> Result<()> {
        let db = self.writer.lock();
        db.execute(
            "DELETE FROM session WHERE used_ms <= ?1 OR created_ms <= ?2",
            params![now - SESSION_IDLE_MS, now - SESSION_AGE_MAX_MS],
        )?;
        db.execute(
            "INSERT INTO session (token_hash, user, csrf_token, created_ms, used_ms) VALUES (?1, ?2, ?3, ?4, ?4)",
            params![token_hash, user, csrf_token, now],
        )?;
        Ok(())
    }

    pub fn session(&self, token_hash: &[u8; 32], now: Timestamp) -> Result<Option<Session>> {
        let session = self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT user.id, username, role, password_hash, csrf_token, session.created_ms, used_ms
                 FROM session JOIN user ON user.id = session.user
                 WHERE token_hash = ?1 AND used_ms > ?2 AND session.created_ms > ?3",
            )?;
            let found = statement.query_row(
                params![token_hash, now - SESSION_IDLE_MS, now - SESSION_AGE_MAX_MS],
                |row| {
                    Ok(Session {
                        user: user(row, 0)?,
                        csrf_token: row.get(4)?,
                        created_ms: row.get(5)?,
                        used_ms: row.get(6)?,
                    })
                },
            );
            Ok(found.optional()?)
        })?;
        if let Some(session) = &session
            && now - session.used_ms > USE_NOTED_MS
        {
            let sql = "UPDATE session SET used_ms = ?2 WHERE token_hash = ?1";
            // Also on a full disk people can go on looking.
            if let Err(error) = self.writer.lock().execute(sql, params![token_hash, now]) {
                tracing::warn!("the use of a session could not be noted: {error}");
            }
        }
        Ok(session)
    }

    pub fn end_session(&self, token_hash: &[u8; 32]) -> Result<()> {
        self.writer.lock().execute("DELETE FROM session WHERE token_hash = ?1", [token_hash])?;
        Ok(())
    }
}

fn user(row: &Row<'_>, at: usize) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get(at)?,
        username: row.get(at + 1)?,
        role: row.get(at + 2)?,
        password_hash: row.get(at + 3)?,
    })
}
