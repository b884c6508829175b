//! Enrolment codes as they are kept: hashed, each good for one device.

use super::Meta;
use super::devices::{from_json, insert_device, to_json};
use crate::enroll::{ENROLL_CODE_MS, ENROLL_CODES_MAX, EnrollCode};
use crate::error::{Error, Result};
use crate::registry::DeviceRecord;
use crate::types::{DeviceId, Timestamp};
use crate::{DeviceProfile, Error::Conflict};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Numbers tried after a name that is taken: `nas`, `nas-2`, `nas-3`, …
const NAME_TRIES: u32 = 1_000;

impl Meta {
    /// Makes a code; those that ended an hour ago are forgotten.
    pub fn add_enroll_code(
        &self,
        code_hash: &[u8; 32],
        profile: &DeviceProfile,
        now: Timestamp,
    ) -> Result<EnrollCode> {
        let mut db = self.writer.lock();
        let tx = db.transaction()?;
        tx.execute("DELETE FROM enroll_code WHERE expires_ms <= ?1", [now - ENROLL_CODE_MS])?;
        let usable: i64 = tx.query_row(
            "SELECT count(*) FROM enroll_code WHERE used_ms IS NULL AND expires_ms > ?1",
            [now],
            |row| row.get(0),
        )?;
        if usable >= ENROLL_CODES_MAX as i64 {
            return Err(Conflict { what: "so many enrolment codes" });
        }
        tx.execute(
            "INSERT INTO enroll_code (code_hash, name, device_type, tags, notes, created_ms, expires_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                code_hash,
                profile.name,
                profile.device_type,
                to_json(&profile.tags),
                profile.notes,
                now,
                now + ENROLL_CODE_MS
            ],
        )?;
        let code = tx.query_row(
            &format!("SELECT {COLUMNS} FROM enroll_code WHERE code_hash = ?1"),
            [code_hash],
            code,
        )?;
        tx.commit()?;
        Ok(code)
    }

    /// The codes of the last hours, newest first.
    pub fn enroll_codes(&self) -> Result<Vec<EnrollCode>> {
        self.read(|db| {
            let mut statement =
                db.prepare_cached(&format!("SELECT {COLUMNS} FROM enroll_code ORDER BY id DESC"))?;
            let codes = statement.query_map([], code)?;
            Ok(codes.collect::<rusqlite::Result<Vec<_>>>()?)
        })
    }

    /// Makes a code that was not used yet of no use.
    pub fn delete_enroll_code(&self, id: i64) -> Result<()> {
        let gone = self.writer.lock().execute("DELETE FROM enroll_code WHERE id = ?1", [id])?;
        if gone == 0 { Err(Error::NotFound { what: "enrolment code" }) } else { Ok(()) }
    }

    /// Uses a code up for a new device with this key; `None`: there is no such code, or it is of no use any more.
    pub fn enroll(
        &self,
        code_hash: &[u8; 32],
        name: &str,
        key_hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<DeviceRecord>> {
        let mut db = self.writer.lock();
        let tx = db.transaction()?;
        // One statement under the lock: of two devices with one code one gets in.
        let used = tx
            .query_row(
                "UPDATE enroll_code SET used_ms = ?2
                 WHERE code_hash = ?1 AND used_ms IS NULL AND expires_ms > ?2
                 RETURNING id, name, device_type, tags, notes",
                params![code_hash, now],
                |row| Ok((row.get::<_, i64>(0)?, profile(row, 1)?)),
            )
            .optional()?;
        let Some((code, profile)) = used else { return Ok(None) };
        let wanted = if profile.name.is_empty() { name } else { &profile.name };
        let profile = DeviceProfile { name: free_name(&tx, wanted)?, ..profile };
        let record = insert_device(&tx, &profile, key_hash, now)?;
        tx.execute("UPDATE enroll_code SET device = ?2 WHERE id = ?1", params![code, record.id.0])?;
        tx.commit()?;
        Ok(Some(record))
    }
}

/// A name nobody has: whoever enrolls a device twice gets a second one, and not an error far from any page.
fn free_name(db: &Connection, wanted: &str) -> Result<String> {
    let mut taken = db.prepare_cached("SELECT EXISTS (SELECT 1 FROM device WHERE name = ?1)")?;
    let names = std::iter::once(wanted.to_string()).chain((2..NAME_TRIES).map(|n| format!("{wanted}-{n}")));
    for name in names {
        if !taken.query_row([&name], |row| row.get::<_, bool>(0))? {
            return Ok(name);
        }
    }
    Err(Conflict { what: "a device of that name" })
}

const COLUMNS: &str = "id, name, device_type, tags, notes, created_ms, expires_ms, used_ms,
    (SELECT id FROM device WHERE device.id = enroll_code.device)";

fn code(row: &Row<'_>) -> rusqlite::Result<EnrollCode> {
    Ok(EnrollCode {
        id: row.get(0)?,
        profile: profile(row, 1)?,
        created_ms: row.get(5)?,
        expires_ms: row.get(6)?,
        used_ms: row.get(7)?,
        device: row.get::<_, Option<u32>>(8)?.map(DeviceId),
    })
}

fn profile(row: &Row<'_>, at: usize) -> rusqlite::Result<DeviceProfile> {
    Ok(DeviceProfile {
        name: row.get(at)?,
        device_type: row.get(at + 1)?,
        tags: from_json(row.get_ref(at + 2)?.as_str()?),
        notes: row.get(at + 3)?,
    })
}
