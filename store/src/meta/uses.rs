//! When sessions and API tokens were last used.
//!
//! A use is noted in memory and written with the next sign of life, within a minute: written at once it made the first
//! request of each minute wait for the disk. Whoever looks at what is written has it written first.

use super::Meta;
use crate::error::Result;
use crate::types::Timestamp;
use parking_lot::Mutex;
use rusqlite::params;
use std::collections::HashMap;

/// A use is noted only when the last one noted is older than this, so that a page's requests do not write each time.
const USE_NOTED_MS: i64 = 60_000;

/// What is used, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Used {
    Session(i64),
    ApiToken(i64),
}

/// Uses that are not written yet: at most one of each session and token there is.
#[derive(Default)]
pub struct Uses(Mutex<HashMap<Used, Timestamp>>);

impl Uses {
    /// When it was last used, if that is not written yet.
    pub fn noted(&self, used: Used) -> Option<Timestamp> {
        self.0.lock().get(&used).copied()
    }

    /// Notes a use at `now` of what was last used at `written_ms` as far as is written.
    pub fn note(&self, used: Used, written_ms: Option<Timestamp>, now: Timestamp) {
        let mut uses = self.0.lock();
        let before = written_ms.max(uses.get(&used).copied());
        if before.is_none_or(|before| now - before > USE_NOTED_MS) {
            uses.insert(used, now);
        }
    }
}

impl Meta {
    /// Writes what was noted. What cannot be written, on a full disk say, stays noted.
    pub fn write_uses(&self) -> Result<()> {
        let mut db = self.writer.lock();
        let uses = self.uses.0.lock().clone();
        if uses.is_empty() {
            return Ok(());
        }
        let tx = db.transaction()?;
        for (used, used_ms) in &uses {
            let (sql, id) = match used {
                Used::Session(id) => ("UPDATE session SET used_ms = max(used_ms, ?2) WHERE id = ?1", id),
                Used::ApiToken(id) => {
                    ("UPDATE api_token SET used_ms = max(coalesce(used_ms, ?2), ?2) WHERE id = ?1", id)
                }
            };
            tx.prepare_cached(sql)?.execute(params![id, used_ms])?;
        }
        tx.commit()?;
        self.uses.0.lock().retain(|used, used_ms| uses.get(used) != Some(used_ms));
        Ok(())
    }

    /// The same for who only looks: also on a full disk people can go on looking.
    pub fn try_write_uses(&self) {
        if let Err(error) = self.write_uses() {
            tracing::warn!("the use of sessions and tokens could not be noted: {error}");
        }
    }
}
