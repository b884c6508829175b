//! What the gateway noted about its own starts and ends, in OpenClaw's database.

use std::path::Path;

use super::judge::End;
use super::sqlite::Reading;
use super::usage::sources::{Stamp, state_database};

/// Reads the notes, when they may have changed.
#[derive(Debug, Default)]
pub struct Boots {
    last: Option<(Stamp, Option<End>)>,
}

impl Boots {
    /// How the gateway ended that started last, given that none is running. Nothing if it does not say:
    /// its notes are kept for a day, and older versions make none.
    pub fn end(&mut self, state_dir: &Path) -> Option<End> {
        let path = state_database(state_dir);
        let stamp = Stamp::of_database(&path);
        if let Some((then, end)) = self.last
            && then == stamp
        {
            return end;
        }
        match read(&path) {
            Ok(end) => {
                self.last = Some((stamp, end));
                end
            }
            // Asked again at the next look.
            Err(_) => None,
        }
    }
}

fn read(path: &Path) -> rusqlite::Result<Option<End>> {
    const LAST: &str = "SELECT outcome FROM gateway_boot_lifecycle ORDER BY started_at_ms DESC LIMIT 1";
    let reading = Reading::open(path)?;
    let outcome = reading.connection().query_row(LAST, [], |row| row.get::<_, Option<String>>(0));
    match outcome {
        Ok(outcome) => Ok(match outcome.as_deref() {
            None => Some(End::Killed),
            Some("clean_stop" | "planned_restart") => Some(End::Clean),
            Some("forced_stop") => Some(End::Forced),
            Some("startup_failed") => Some(End::StartFailed),
            Some(_) => None,
        }),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn the_last_start_tells_how_it_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut boots = Boots::default();
        assert_eq!(boots.end(folder.path()), None, "no database");
        std::fs::create_dir(folder.path().join("state")).unwrap();
        let writer = Connection::open(folder.path().join("state/openclaw.sqlite")).unwrap();
        writer.pragma_update(None, "journal_mode", "wal").unwrap();
        assert_eq!(boots.end(folder.path()), None, "no table");
        let table = "CREATE TABLE gateway_boot_lifecycle (started_at_ms INTEGER, outcome TEXT)";
        writer.execute(table, []).unwrap();
        assert_eq!(boots.end(folder.path()), None, "no row");
        for (started_at_ms, outcome, expected) in [
            (10, Some("clean_stop"), Some(End::Clean)),
            (20, None, Some(End::Killed)),
            (15, Some("clean_stop"), Some(End::Killed)),
            (30, Some("startup_failed"), Some(End::StartFailed)),
            (40, Some("forced_stop"), Some(End::Forced)),
            (50, Some("planned_restart"), Some(End::Clean)),
            (60, Some("a word of later"), None),
        ] {
            let sql = "INSERT INTO gateway_boot_lifecycle VALUES (?1, ?2)";
            writer.execute(sql, rusqlite::params![started_at_ms, outcome]).unwrap();
            assert_eq!(boots.end(folder.path()), expected, "{outcome:?}");
        }
    }
}
