//! Who is signed in.

use super::Meta;
use super::users::user;
use super::uses::Used;
use crate::accounts::{Credential, NewSession, Session, SessionView};
use crate::error::{Error, Result};
use crate::types::Timestamp;
use rusqlite::{OptionalExtension, params};

/// A session ends after this long without use, milliseconds.
pub const SESSION_IDLE_MS: i64 = 12 * 3_600_000;

/// … and in any case at this age, milliseconds.
pub const SESSION_AGE_MAX_MS: i64 = 14 * 24 * 3_600_000;

/// Sessions of one account at a time; past it the one that was not used longest ends.
pub const SESSIONS_PER_USER_MAX: u32 = 100;

impl Meta {
    pub fn add_session(&self, session: &NewSession, now: Timestamp) -> Result<Vec<Credential>> {
        // What was used a moment ago is not what ends now.
        self.write_uses()?;
        let mut db = self.writer.lock();
        let tx = db.transaction()?;
        tx.execute(
            "DELETE FROM session WHERE used_ms <= ?1 OR created_ms <= ?2",
            params![now - SESSION_IDLE_MS, now - SESSION_AGE_MAX_MS],
        )?;
        tx.execute(
            "INSERT INTO session (token_hash, user, csrf_token, created_ms, used_ms, address, client)
             VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6)",
            params![
                session.token_hash,
                session.user,
                session.csrf_token,
                now,
                session.address,
                session.client
            ],
        )?;
        let ended = {
            let mut statement = tx.prepare_cached(
                "DELETE FROM session WHERE id IN (SELECT id FROM session WHERE user = ?1
                    ORDER BY used_ms DESC, id DESC LIMIT -1 OFFSET ?2) RETURNING token_hash",
            )?;
            let ended =
                statement.query_map(params![session.user, SESSIONS_PER_USER_MAX], |row| row.get(0))?;
            ended.collect::<rusqlite::Result<_>>()?
        };
        tx.commit()?;
        Ok(ended)
    }

    pub fn session(&self, token_hash: &Credential, now: Timestamp) -> Result<Option<Session>> {
        let session = self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT user.id, username, role, password_hash, csrf_token, session.created_ms, used_ms, session.id
                 FROM session JOIN user ON user.id = session.user
                 WHERE token_hash = ?1 AND session.created_ms > ?2",
            )?;
            let found = statement.query_row(params![token_hash, now - SESSION_AGE_MAX_MS], |row| {
                Ok(Session {
                    user: user(row, 0)?,
                    csrf_token: row.get(4)?,
                    created_ms: row.get(5)?,
                    used_ms: row.get(6)?,
                    id: row.get(7)?,
                })
            });
            Ok(found.optional()?)
        })?;
        let lasts = |session: &Session| {
            let before = self.uses.noted(Used::Session(session.id)).max(Some(session.used_ms));
            before.is_some_and(|before| before > now - SESSION_IDLE_MS)
        };
        let session = session.filter(lasts);
        if let Some(session) = &session {
            self.uses.note(Used::Session(session.id), Some(session.used_ms), now);
        }
        Ok(session)
    }

    pub fn end_session(&self, token_hash: &Credential) -> Result<()> {
        self.writer.lock().execute("DELETE FROM session WHERE token_hash = ?1", [token_hash])?;
        Ok(())
    }

    pub fn sessions(&self, of: Option<i64>, now: Timestamp) -> Result<Vec<SessionView>> {
        self.try_write_uses();
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT session.id, username, session.created_ms, used_ms, address, client
                 FROM session JOIN user ON user.id = session.user
                 WHERE used_ms > ?1 AND session.created_ms > ?2 AND (?3 IS NULL OR user.id = ?3)
                 ORDER BY used_ms DESC, session.id DESC",
            )?;
            let sessions =
                statement.query_map(params![now - SESSION_IDLE_MS, now - SESSION_AGE_MAX_MS, of], |row| {
                    Ok(SessionView {
                        id: row.get(0)?,
                        username: row.get(1)?,
                        created_ms: row.get(2)?,
                        used_ms: row.get(3)?,
                        address: row.get(4)?,
                        client: row.get(5)?,
                    })
                })?;
            Ok(sessions.collect::<rusqlite::Result<_>>()?)
        })
    }

    pub fn end_session_by_id(&self, id: i64, of: Option<i64>) -> Result<Credential> {
        let sql = "DELETE FROM session WHERE id = ?1 AND (?2 IS NULL OR user = ?2) RETURNING token_hash";
        let ended = self.writer.lock().query_row(sql, params![id, of], |row| row.get(0)).optional()?;
        ended.ok_or(Error::NotFound { what: "session" })
    }
}
