//! Accounts as they are kept.

use super::sessions::{SESSION_AGE_MAX_MS, SESSION_IDLE_MS};
use super::{Meta, conflict};
use crate::accounts::{Credential, Role, User, UserView};
use crate::error::{Error, Result};
use crate::types::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Accounts of one server.
pub const USERS_MAX: u32 = 1_000;

impl ToSql for Role {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for Role {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Role> {
        Role::parse(value.as_str()?).ok_or(FromSqlError::InvalidType)
    }
}

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
                 SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM user)",
                params![username, Role::Admin, password_hash, now],
            )
            .map_err(|e| conflict(e, "an account"))?;
        if added == 0 {
            return Err(Error::Conflict { what: "an account" });
        }
        let id = db.last_insert_rowid();
        Ok(User { id, username: username.into(), role: Role::Admin, password_hash: password_hash.into() })
    }

    pub fn add_user(
        &self,
        username: &str,
        role: Role,
        password_hash: &str,
        now: Timestamp,
    ) -> Result<UserView> {
        let db = self.writer.lock();
        let added = db
            .execute(
                "INSERT INTO user (username, role, password_hash, created_ms)
                 SELECT ?1, ?2, ?3, ?4 WHERE (SELECT count(*) FROM user) < ?5",
                params![username, role, password_hash, now, USERS_MAX],
            )
            .map_err(|e| conflict(e, "an account of that name"))?;
        if added == 0 {
            return Err(Error::Full { what: "accounts", limit: USERS_MAX });
        }
        let id = db.last_insert_rowid();
        Ok(UserView { id, username: username.into(), role, created_ms: now, seen_ms: None })
    }

    pub fn user(&self, username: &str) -> Result<Option<User>> {
        self.read(|db| {
            let mut statement =
                db.prepare_cached("SELECT id, username, role, password_hash FROM user WHERE username = ?1")?;
            Ok(statement.query_row([username], |row| user(row, 0)).optional()?)
        })
    }

    pub fn users(&self, now: Timestamp) -> Result<Vec<UserView>> {
        self.try_write_uses();
        self.read(|db| {
            let mut statement = db.prepare_cached(
                "SELECT id, username, role, created_ms, (SELECT max(used_ms) FROM session
                    WHERE session.user = user.id AND used_ms > ?1 AND session.created_ms > ?2)
                 FROM user ORDER BY username",
            )?;
            let users =
                statement.query_map(params![now - SESSION_IDLE_MS, now - SESSION_AGE_MAX_MS], |row| {
                    Ok(UserView {
                        id: row.get(0)?,
                        username: row.get(1)?,
                        role: row.get(2)?,
                        created_ms: row.get(3)?,
                        seen_ms: row.get(4)?,
                    })
                })?;
            Ok(users.collect::<rusqlite::Result<_>>()?)
        })
    }

    pub fn set_role(&self, id: i64, role: Role) -> Result<()> {
        let mut db = self.writer.lock();
        let tx = db.transaction()?;
        if tx.execute("UPDATE user SET role = ?2 WHERE id = ?1", params![id, role])? == 0 {
            return Err(Error::NotFound { what: "account" });
        }
        admin_is_left(&tx)?;
        Ok(tx.commit()?)
    }

    pub fn set_password(
        &self,
        id: i64,
        password_hash: &str,
        keep: Option<Credential>,
    ) -> Result<Vec<Credential>> {
        let mut db = self.writer.lock();
        let tx = db.transaction()?;
        if tx.execute("UPDATE user SET password_hash = ?2 WHERE id = ?1", params![id, password_hash])? == 0 {
            return Err(Error::NotFound { what: "account" });
        }
        let ended = {
            let mut statement = tx.prepare_cached(
                "DELETE FROM session WHERE user = ?1 AND token_hash IS NOT ?2 RETURNING token_hash",
            )?;
            let ended = statement.query_map(params![id, keep], |row| row.get(0))?;
            ended.collect::<rusqlite::Result<_>>()?
        };
        tx.commit()?;
        Ok(ended)
    }

    pub fn delete_user(&self, id: i64) -> Result<Vec<Credential>> {
        let mut db = self.writer.lock();
        let tx = db.transaction()?;
        let ended = {
            let mut statement = tx.prepare_cached(
                "SELECT token_hash FROM session WHERE user = ?1
                 UNION ALL SELECT token_hash FROM api_token WHERE user = ?1",
            )?;
            let ended = statement.query_map([id], |row| row.get(0))?;
            ended.collect::<rusqlite::Result<_>>()?
        };
        // Sessions and tokens go with it: `ON DELETE CASCADE`.
        if tx.execute("DELETE FROM user WHERE id = ?1", [id])? == 0 {
            return Err(Error::NotFound { what: "account" });
        }
        admin_is_left(&tx)?;
        tx.commit()?;
        Ok(ended)
    }
}

fn admin_is_left(db: &Connection) -> Result<()> {
    let sql = "SELECT EXISTS (SELECT 1 FROM user WHERE role = ?1)";
    if db.query_row(sql, [Role::Admin], |row| row.get(0))? { Ok(()) } else { Err(Error::LastAdmin) }
}

/// `id, username, role, password_hash`, from column `at` on.
pub fn user(row: &Row<'_>, at: usize) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get(at)?,
        username: row.get(at + 1)?,
        role: row.get(at + 2)?,
        password_hash: row.get(at + 3)?,
    })
}
