//! Everything that is not a sample, in `meta.db`: devices, accounts, usage, logs, events.

mod api_tokens;
mod devices;
mod forget;
mod journal;
mod sessions;
mod users;

pub use journal::Record;

use crate::db::{File, Readers, Writer, give_back_pages};
use crate::error::{Error, Result};
use crate::types::Timestamp;
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// The file. `AUTOINCREMENT` where a number must never be given twice.
pub const FILE: File = File {
    name: "meta.db",
    migrations: &["
    CREATE TABLE device (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        device_type TEXT NOT NULL,
        tags TEXT NOT NULL,
        notes TEXT NOT NULL,
        key_hash BLOB NOT NULL UNIQUE,
        created_ms INTEGER NOT NULL,
        last_seen_ms INTEGER,
        interval_ms INTEGER,
        agent_version TEXT,
        facts TEXT NOT NULL DEFAULT '{}',
        states TEXT NOT NULL DEFAULT '{}',
        state TEXT NOT NULL DEFAULT 'new',
        reason TEXT,
        since_ms INTEGER
    ) STRICT;
    CREATE TABLE user (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        username TEXT NOT NULL UNIQUE,
        role TEXT NOT NULL,
        password_hash TEXT NOT NULL,
        created_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE session (
        token_hash BLOB PRIMARY KEY,
        user INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
        csrf_token TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        used_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE log (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        device INTEGER NOT NULL,
        t_ms INTEGER NOT NULL,
        level INTEGER NOT NULL,
        source TEXT NOT NULL,
        message TEXT NOT NULL
    ) STRICT;
    CREATE INDEX log_by_time ON log (t_ms, id, level);
    CREATE INDEX log_by_device ON log (device, t_ms, id, level);
    CREATE TABLE event (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        device INTEGER,
        t_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT;
    CREATE INDEX event_by_time ON event (t_ms, id);
    CREATE INDEX event_by_device ON event (device, t_ms, id);
    CREATE TABLE usage_event (
        device INTEGER NOT NULL,
        event_id TEXT NOT NULL,
        t_ms INTEGER NOT NULL,
        agent TEXT NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        input INTEGER NOT NULL,
        output INTEGER NOT NULL,
        cache_read INTEGER NOT NULL,
        cache_write INTEGER NOT NULL,
        cost_usd REAL,
        cost_basis TEXT NOT NULL,
        PRIMARY KEY (device, event_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE usage_slot (
        slot_ms INTEGER NOT NULL,
        device INTEGER NOT NULL,
        agent TEXT NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        messages INTEGER NOT NULL,
        input INTEGER NOT NULL,
        output INTEGER NOT NULL,
        cache_read INTEGER NOT NULL,
        cache_write INTEGER NOT NULL,
        cost_usd REAL NOT NULL,
        PRIMARY KEY (slot_ms, device, agent, provider, model)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE state (recorded_group INTEGER NOT NULL, alive_ms INTEGER) STRICT;
    INSERT INTO state VALUES (0, NULL);
    ", "
    -- Of all lines: their texts and 64 for each.
    ALTER TABLE state ADD COLUMN log_bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE state SET log_bytes = (SELECT coalesce(sum(octet_length(source) + octet_length(message) + 64), 0) FROM log);
    ", "
    -- A session gets a number, so that it can be listed and ended, and says where it was begun.
    ALTER TABLE session RENAME TO session_before;
    CREATE TABLE session (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        token_hash BLOB NOT NULL UNIQUE,
        user INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
        csrf_token TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        used_ms INTEGER NOT NULL,
        address TEXT NOT NULL,
        client TEXT NOT NULL
    ) STRICT;
    INSERT INTO session (token_hash, user, csrf_token, created_ms, used_ms, address, client)
        SELECT token_hash, user, csrf_token, created_ms, used_ms, '', '' FROM session_before ORDER BY created_ms;
    DROP TABLE session_before;
    CREATE INDEX session_by_user ON session (user);
    CREATE TABLE api_token (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        token_hash BLOB NOT NULL UNIQUE,
        user INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
        name TEXT NOT NULL,
        scope TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER,
        used_ms INTEGER
    ) STRICT;
    CREATE INDEX api_token_by_user ON api_token (user);
    "],
};

/// Length of a usage slot, milliseconds. Every zone's offset is a multiple of it, so the sums of slots are the sums of
/// days in every zone.
pub const USAGE_SLOT_MS: i64 = 15 * 60 * 1000;

/// The file's connections.
pub struct Meta {
    writer: Writer,
    readers: Readers,
    dir: PathBuf,
}

impl Meta {
    /// Opens it.
    pub fn open(dir: &Path) -> Result<Meta> {
        let db = FILE.open(dir)?;
        db.pragma_update(None, "foreign_keys", true)?;
        Ok(Meta { writer: Writer::new(db), readers: FILE.readers(dir), dir: dir.to_path_buf() })
    }

    /// Number of the newest group of the tail whose usage, logs and events are here.
    pub fn recorded_group(&self) -> Result<i64> {
        Ok(self.writer.lock().query_row("SELECT recorded_group FROM state", [], |row| row.get(0))?)
    }

    /// When the server last said that it runs; notes that it does at `now`.
    pub fn note_alive(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        let db = self.writer.lock();
        let before = db.query_row("SELECT alive_ms FROM state", [], |row| row.get(0))?;
        db.execute("UPDATE state SET alive_ms = ?1", [now])?;
        Ok(before)
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        FILE.bytes(&self.dir)
    }

    /// Gives some of the pages that became free back to the file system; returns whether there are more.
    pub fn shrink(&self) -> Result<bool> {
        give_back_pages(&self.writer.lock())
    }

    /// As `ChunkTable::scrub`.
    pub fn scrub(&self) -> Result<bool> {
        while self.shrink()? {}
        self.readers.empty_log()
    }

    /// See [`Readers::checkpoint`].
    pub fn checkpoint(&self) -> Result<()> {
        self.readers.checkpoint()
    }

    fn read<T>(&self, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.readers.with(f)
    }
}

/// A unique index said no.
fn conflict(error: rusqlite::Error, what: &'static str) -> Error {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => Error::Conflict { what },
        _ => error.into(),
    }
}
