//! Devices as they are kept.

use super::forget::add_log_bytes;
use super::ledger::forget_in_overviews;
use super::logs::{bytes_of, forget_templates};
use super::{Meta, conflict};
use crate::error::{Error, Result};
use crate::registry::{DeviceRecord, DeviceStatus};
use crate::types::{DeviceId, Timestamp};
use crate::{DeviceProfile, DeviceState};
use rusqlite::{Connection, Row, params};
use std::collections::BTreeMap;

/// Rows deleted in one transaction, so that the recorder never waits long.
const DELETE_ROWS_MAX: u32 = 2_000;

impl Meta {
    /// All devices.
    pub fn devices(&self) -> Result<Vec<DeviceRecord>> {
        self.read(|db| {
            let mut statement = db.prepare(
                "SELECT id, name, device_type, tags, notes, key_hash, created_ms, last_seen_ms, interval_ms,
                 agent_version, facts, states, state, reason, since_ms FROM device
                 WHERE id NOT IN (SELECT device FROM deletion) ORDER BY id",
            )?;
            let records = statement.query_map([], record)?;
            Ok(records.collect::<rusqlite::Result<Vec<_>>>()?)
        })
    }

    /// Adds a device.
    pub fn add_device(
        &self,
        profile: &DeviceProfile,
        key_hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<DeviceRecord> {
        insert_device(&self.writer.lock(), profile, key_hash, now)
    }

    /// Changes what the user says of a device, and its key.
    pub fn edit_device(&self, id: DeviceId, profile: &DeviceProfile, key_hash: &[u8; 32]) -> Result<()> {
        let changed = self
            .writer
            .lock()
            .prepare_cached(
                "UPDATE device SET name = ?2, device_type = ?3, tags = ?4, notes = ?5, key_hash = ?6 WHERE id = ?1",
            )?
            .execute(params![
                id.0,
                profile.name,
                profile.device_type,
                to_json(&profile.tags),
                profile.notes,
                key_hash
            ])
            .map_err(|e| conflict(e, "a device of that name"))?;
        if changed == 0 { Err(Error::NotFound { what: "device" }) } else { Ok(()) }
    }

    /// Keeps the status of devices.
    pub fn keep_statuses(&self, statuses: &[(DeviceId, DeviceStatus)]) -> Result<()> {
        if statuses.is_empty() {
            return Ok(());
        }
        let mut db = self.writer.lock();
        let tx = db.transaction()?;
        {
            let mut update = tx.prepare_cached(
                "UPDATE device SET last_seen_ms = ?2, interval_ms = ?3, agent_version = ?4, facts = ?5, states = ?6,
                 state = ?7, reason = ?8, since_ms = ?9 WHERE id = ?1",
            )?;
            for (id, status) in statuses {
                update.execute(params![
                    id.0,
                    status.last_seen_ms,
                    status.interval_ms,
                    status.agent_version,
                    to_json(&status.facts),
                    to_json(&status.states),
                    status.state.as_str(),
                    status.reason,
                    status.since_ms
                ])?;
            }
        }
        Ok(tx.commit()?)
    }

    /// Marks a device as one to be deleted: from here on it is not among [`Meta::devices`], and whatever becomes of this
    /// process, [`Meta::deletions`] has it until [`Meta::delete_device`] is done.
    pub fn begin_deletion(&self, id: DeviceId) -> Result<()> {
        // Of two at once the later may find it gone.
        let mark = "INSERT OR IGNORE INTO deletion SELECT id FROM device WHERE id = ?1";
        self.writer.lock().execute(mark, [id.0])?;
        Ok(())
    }

    /// Devices whose deletion was begun and not finished.
    pub fn deletions(&self) -> Result<Vec<DeviceId>> {
        self.read(|db| {
            let mut statement = db.prepare("SELECT device FROM deletion ORDER BY device")?;
            let ids = statement.query_map([], |row| row.get(0).map(DeviceId))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Deletes a device with its logs, events and usage; nothing new of it may come any more. Returns how many logs, events
    /// and bytes of text.
    pub fn delete_device(&self, id: DeviceId) -> Result<(u64, u64, u64)> {
        let (mut logs, mut bytes) = (0, 0);
        loop {
            let mut db = self.writer.lock();
            let tx = db.transaction()?;
            let lengths = tx
                .prepare_cached(
                    "DELETE FROM log WHERE id IN (SELECT id FROM log WHERE device = ?1 LIMIT ?2)
                     RETURNING octet_length(source), octet_length(message)",
                )?
                .query_map(params![id.0, DELETE_ROWS_MAX], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<Vec<(i64, i64)>>>()?;
            add_log_bytes(&tx, -lengths.iter().map(|(s, m)| bytes_of(*s, *m)).sum::<i64>())?;
            tx.commit()?;
            logs += lengths.len() as u64;
            bytes += lengths.iter().map(|(source, message)| (source + message) as u64).sum::<u64>();
            if lengths.is_empty() {
                break;
            }
        }
        let mut overviews = self.overviews.lock();
        let mut db = self.writer.lock();
        let db = db.transaction()?;
        let events = db.execute("DELETE FROM event WHERE device = ?1", [id.0])? as u64;
        for table in ["usage_event", "usage_slot", "usage_day", "filled"] {
            db.execute(&format!("DELETE FROM {table} WHERE device = ?1"), [id.0])?;
        }
        forget_in_overviews(&mut overviews, id);
        // What no other device says must not stay either.
        forget_templates(&db)?;
        db.execute("DELETE FROM device WHERE id = ?1", [id.0])?;
        db.execute("DELETE FROM deletion WHERE device = ?1", [id.0])?;
        db.commit()?;
        Ok((logs, events, bytes))
    }
}

/// Adds a device; the connection is the one for writing, perhaps within a transaction.
pub fn insert_device(
    db: &Connection,
    profile: &DeviceProfile,
    key_hash: &[u8; 32],
    now: Timestamp,
) -> Result<DeviceRecord> {
    db.prepare_cached(
        "INSERT INTO device (name, device_type, tags, notes, key_hash, created_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![profile.name, profile.device_type, to_json(&profile.tags), profile.notes, key_hash, now])
    .map_err(|e| conflict(e, "a device of that name"))?;
    let id = db.last_insert_rowid();
    let mut statement = db.prepare_cached(
        "SELECT id, name, device_type, tags, notes, key_hash, created_ms, last_seen_ms, interval_ms,
         agent_version, facts, states, state, reason, since_ms FROM device WHERE id = ?1",
    )?;
    Ok(statement.query_row([id], record)?)
}

fn record(row: &Row<'_>) -> rusqlite::Result<DeviceRecord> {
    let state = match row.get_ref(12)?.as_str()? {
        "online" => DeviceState::Online,
        "degraded" => DeviceState::Degraded,
        "offline" => DeviceState::Offline,
        _ => DeviceState::New,
    };
    Ok(DeviceRecord {
        id: DeviceId(row.get(0)?),
        profile: DeviceProfile {
            name: row.get(1)?,
            device_type: row.get(2)?,
            tags: from_json(row.get_ref(3)?.as_str()?),
            notes: row.get(4)?,
        },
        key_hash: row.get(5)?,
        created_ms: row.get(6)?,
        status: DeviceStatus {
            last_seen_ms: row.get(7)?,
            interval_ms: row.get(8)?,
            agent_version: row.get(9)?,
            facts: from_json::<BTreeMap<String, String>>(row.get_ref(10)?.as_str()?),
            states: from_json::<BTreeMap<String, String>>(row.get_ref(11)?.as_str()?),
            state,
            reason: row.get(13)?,
            since_ms: row.get(14)?,
        },
    })
}

pub fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("plain strings become JSON")
}

/// What somebody edited by hand into something else counts as empty.
pub fn from_json<T: serde::de::DeserializeOwned + Default>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_default()
}
