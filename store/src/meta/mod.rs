//! Everything that is not a sample, in `meta.db`: devices, accounts, usage, logs, events.

mod api_tokens;
mod devices;
mod enroll;
mod filled;
mod forget;
mod journal;
mod ledger;
mod logs;
mod pages;
mod schema;
mod sessions;
mod settings;
mod users;
mod uses;

pub use journal::Record;
pub use schema::FILE;

use crate::db::{Readers, Writer, give_back_pages};
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::prices::Prices;
use crate::types::Timestamp;
use arc_swap::ArcSwap;
use ledger::Overview;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::time::Duration;
use uses::Uses;

/// The file's connections.
pub struct Meta {
    writer: Writer,
    readers: Readers,
    dir: PathBuf,
    prices: ArcSwap<Prices>,
    /// What a search may take.
    pub search_time: Duration,
    /// Who takes this and the writer takes this first.
    overviews: Mutex<Vec<Overview>>,
    uses: Uses,
}

impl Meta {
    /// Opens it.
    pub fn open(dir: &Path) -> Result<Meta> {
        Meta::with(FILE.open(dir)?, dir)
    }

    /// As [`Meta::open`], with its connection for writing.
    pub fn with(mut db: Connection, dir: &Path) -> Result<Meta> {
        logs::complete_older(&mut db)?;
        db.pragma_update(None, "foreign_keys", true)?;
        let prices = ArcSwap::from_pointee(ledger::load_prices(&db)?);
        Ok(Meta {
            writer: Writer::new(db),
            readers: FILE.readers(dir),
            dir: dir.to_path_buf(),
            prices,
            search_time: Limits::default().query_time,
            overviews: Mutex::default(),
            uses: Uses::default(),
        })
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
        let compacted = self.compact_log_text()?;
        while self.shrink()? {}
        Ok(self.readers.empty_log()? && compacted)
    }

    /// See [`Readers::checkpoint`].
    pub fn checkpoint(&self) -> Result<()> {
        self.readers.checkpoint()
    }

    fn read<T>(&self, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.readers.with(f)
    }

    /// For what looks at as many rows as somebody asks for.
    fn search<T>(&self, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.readers.within(self.search_time, f)
    }

    /// Looks at the journal as it is now, with several questions that take a lock once.
    pub fn view<T>(&self, look: impl FnOnce(&View<'_>) -> Result<T>) -> Result<T> {
        self.readers.snapshot(|db| look(&View(db)))
    }
}

/// The journal as it was at one moment.
pub struct View<'a>(&'a Connection);

/// A unique index said no.
fn conflict(error: rusqlite::Error, what: &'static str) -> Error {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => Error::Conflict { what },
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests;
