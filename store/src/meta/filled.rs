//! The ranges that were filled in later, joined, and the event that tells of each.

use super::View;
use crate::error::Result;
use crate::filled::Filled;
use crate::types::{DeviceId, TimeRange};
use rusqlite::{Connection, params};

/// Ranges of one device within one question at most; what is past them shows as it was.
const RANGES_MAX: u32 = 1_000;

/// Joins a range with those it touches; the event of the oldest of them tells of all.
pub fn add_filled(tx: &Connection, filled: &Filled) -> Result<()> {
    let (device, slack_ms) = (filled.device.0, filled.slack_ms);
    let (mut from_ms, mut to_ms, mut rows) = (filled.range.start(), filled.range.end(), filled.rows as i64);
    let touched: Vec<(i64, i64, i64, i64)> = tx
        .prepare_cached(
            "SELECT from_ms, to_ms, rows, event FROM filled
             WHERE device = ?1 AND from_ms <= ?2 AND to_ms >= ?3 ORDER BY event",
        )?
        .query_map(params![device, to_ms + slack_ms, from_ms - slack_ms], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (from, to, some, _) in &touched {
        (from_ms, to_ms, rows) = (from_ms.min(*from), to_ms.max(*to), rows.saturating_add(*some));
        tx.prepare_cached("DELETE FROM filled WHERE device = ?1 AND from_ms = ?2")?
            .execute(params![device, from])?;
    }
    let detail = serde_json::json!({
        "from_ms": from_ms, "to_ms": to_ms, "rows": rows, "until_ms": filled.received_ms,
    });
    let event = match touched.first() {
        Some((.., event)) => {
            for (.., other) in &touched[1..] {
                tx.prepare_cached("DELETE FROM event WHERE id = ?1")?.execute([other])?;
            }
            tx.prepare_cached("UPDATE event SET detail = ?2 WHERE id = ?1")?
                .execute(params![event, detail.to_string()])?;
            *event
        }
        None => tx
            .prepare_cached(
                "INSERT INTO event (device, t_ms, kind, detail) VALUES (?1, ?2, 'back_fill', ?3) RETURNING id",
            )?
            .query_row(params![device, filled.from_received_ms, detail.to_string()], |row| row.get(0))?,
    };
    tx.prepare_cached("INSERT INTO filled VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![device, from_ms, to_ms, rows, event])?;
    Ok(())
}

impl View<'_> {
    /// The ranges of a device that were filled in later and reach into `range`, in order and apart.
    pub fn filled(&self, device: DeviceId, range: TimeRange) -> Result<Vec<TimeRange>> {
        let mut statement = self.0.prepare_cached(
            "SELECT from_ms, to_ms FROM filled WHERE device = ?1 AND from_ms < ?2 AND to_ms > ?3
             ORDER BY from_ms LIMIT ?4",
        )?;
        let ranges = statement
            .query_map(params![device.0, range.end(), range.start(), RANGES_MAX], |row| {
                Ok(TimeRange::new(row.get(0)?, row.get(1)?))
            })?;
        Ok(ranges.filter_map(|range| range.transpose()).collect::<rusqlite::Result<Vec<_>>>()?)
    }
}
