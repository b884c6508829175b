//! Settings as they were chosen on the page.

use super::Meta;
use crate::error::Result;
use rusqlite::params;
use std::collections::BTreeMap;

impl Meta {
    /// All choices by name.
    pub fn chosen_settings(&self) -> Result<BTreeMap<String, String>> {
        self.read(|db| {
            let mut statement = db.prepare("SELECT name, value FROM setting")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Keeps choices, all or none; `None` takes one back.
    pub fn choose_settings(&self, choices: &[(&'static str, Option<String>)]) -> Result<()> {
        let mut db = self.writer.lock();
        let tx = db.transaction()?;
        for (name, value) in choices {
            match value {
                Some(value) => tx.execute(
                    "INSERT INTO setting VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2",
                    params![name, value],
                )?,
                None => tx.execute("DELETE FROM setting WHERE name = ?1", [name])?,
            };
        }
        Ok(tx.commit()?)
    }
}
