//! Retention of logs and events.

use super::Meta;
use super::logs::{bytes_of, forget_templates};
use crate::error::Result;
use crate::retention::Keep;
use crate::types::Timestamp;
use rusqlite::{Connection, params};

/// Rows deleted in one transaction, so that the recorder never waits long.
const FORGET_ROWS_MAX: u32 = 2_000;

impl Meta {
    /// Bytes of all log lines.
    pub fn log_bytes(&self) -> Result<u64> {
        self.read(|db| Ok(log_bytes(db)? as u64))
    }

    /// Time of the oldest log line.
    pub fn log_oldest_ms(&self) -> Result<Option<Timestamp>> {
        self.read(|db| Ok(db.query_row("SELECT min(t_ms) FROM log", [], |row| row.get(0))?))
    }

    /// Drops some of the lines that are past their time or too many, the oldest first; returns whether there may be more.
    pub fn drop_old_logs(&self, keep: &Keep, now: Timestamp) -> Result<bool> {
        let mut db = self.writer.lock();
        let tx = db.transaction()?;
        let before = keep.from_ms(now);
        let mut excess = match keep.bytes {
            Some(most) => log_bytes(&tx)?.saturating_sub_unsigned(most),
            None => 0,
        };
        let oldest: Vec<(i64, Timestamp, i64, i64)> = tx
            .prepare_cached(
                "SELECT id, t_ms, octet_length(source), octet_length(message) FROM log
                 ORDER BY t_ms, id LIMIT ?1",
            )?
            .query_map([FORGET_ROWS_MAX], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut gone = 0;
        for (id, t_ms, source, message) in oldest {
            let bytes = bytes_of(source, message);
            if t_ms >= before && excess <= 0 {
                break;
            }
            tx.prepare_cached("DELETE FROM log WHERE id = ?1")?.execute([id])?;
            excess -= bytes;
            gone += bytes;
        }
        add_log_bytes(&tx, -gone)?;
        tx.commit()?;
        Ok(gone > 0)
    }

    /// Forgets the templates that no line has any more.
    pub fn drop_unused_templates(&self) -> Result<()> {
        forget_templates(&self.writer.lock())
    }

    /// Drops some of the events before a time; returns whether there may be more.
    pub fn drop_old_events(&self, before: Timestamp) -> Result<bool> {
        let db = self.writer.lock();
        db.prepare_cached("DELETE FROM filled WHERE to_ms < ?1")?.execute([before])?;
        let gone = db
            .prepare_cached("DELETE FROM event WHERE id IN (SELECT id FROM event WHERE t_ms < ?1 LIMIT ?2)")?
            .execute(params![before, FORGET_ROWS_MAX])?;
        Ok(gone > 0)
    }
}

fn log_bytes(db: &Connection) -> Result<i64> {
    Ok(db.prepare_cached("SELECT log_bytes FROM state")?.query_row([], |row| row.get(0))?)
}

/// Within the transaction that adds or deletes the lines.
pub fn add_log_bytes(db: &Connection, bytes: i64) -> Result<()> {
    if bytes != 0 {
        db.prepare_cached("UPDATE state SET log_bytes = log_bytes + ?1")?.execute([bytes])?;
    }
    Ok(())
}
