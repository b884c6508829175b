//! Reading chunks. What belongs together is read from one snapshot: a chunk that maintenance replaces in the meantime
//! is still there in it, so that no row is missing from an answer and none counts twice.

use super::cache::{Column, Found};
use super::quarantine::verify;
use super::{ChunkMeta, ChunkTable, FILE, tier_number};
use crate::chunk::{Chunk, ColumnKey};
use crate::error::{Error, Result};
use crate::metrics::Dictionary;
use crate::types::{DeviceId, Tier, TimeRange, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use std::cell::OnceCell;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// The table as it was at one moment.
pub struct Snapshot<'a> {
    db: &'a Connection,
    /// Whether any chunk was set aside, once that was asked: mostly none was, and then no device need be looked at.
    damaged: OnceCell<bool>,
}

impl<'a> Snapshot<'a> {
    fn of(db: &'a Connection) -> Snapshot<'a> {
        Snapshot { db, damaged: OnceCell::new() }
    }
}

impl ChunkTable {
    /// Looks at the table as it is now, whatever is changed meanwhile. Nothing is held up by it but the shortening of
    /// the write-ahead log, so it should not last.
    pub fn snapshot<T>(&self, look: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        self.readers.snapshot(|db| look(&Snapshot::of(db)))
    }

    /// One chunk of a snapshot, of which no more is read than what is asked for and was not read lately.
    pub fn lazy<'a>(&'a self, view: &'a Snapshot<'a>, meta: ChunkMeta) -> LazyChunk<'a> {
        LazyChunk { table: self, view, meta, chunk: OnceCell::new() }
    }
}

/// See [`ChunkTable::lazy`].
pub struct LazyChunk<'a> {
    table: &'a ChunkTable,
    view: &'a Snapshot<'a>,
    meta: ChunkMeta,
    chunk: OnceCell<Arc<Chunk>>,
}

impl LazyChunk<'_> {
    /// The times of its rows.
    pub fn times(&self) -> Result<Arc<[Timestamp]>> {
        let cache = &self.table.cache;
        if let Some(times) = cache.times(self.meta.id) {
            return Ok(times);
        }
        let times = self.chunk()?.times()?.into();
        cache.put_times(self.meta.id, &times);
        Ok(times)
    }

    /// One column.
    pub fn column(&self, key: ColumnKey) -> Result<Found> {
        let cache = &self.table.cache;
        if let Some(column) = cache.column(self.meta.id, key) {
            return Ok(column);
        }
        let found = self.chunk()?.column(key)?;
        let column = found.map(|(values, present)| Arc::new(Column { values, present: present.clone() }));
        cache.put_column(self.meta.id, key, &column);
        Ok(column)
    }

    fn chunk(&self) -> Result<&Chunk> {
        if let Some(chunk) = self.chunk.get() {
            return Ok(chunk);
        }
        let id = self.meta.id;
        let chunk = match self.table.cache.chunk(id) {
            Some(chunk) => chunk,
            None => {
                let chunk = Arc::new(self.view.read_placed(&self.meta)?);
                self.table.cache.put_chunk(id, &chunk);
                chunk
            }
        };
        Ok(self.chunk.get_or_init(|| chunk))
    }
}

/// Looks at a table that nobody has open, without writing to it.
pub fn look_at<T>(dir: &Path, look: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
    FILE.readers(dir).snapshot(|db| look(&Snapshot::of(db)))
}

impl Snapshot<'_> {
    /// The names of metrics kept here, by number.
    pub fn load_metrics(&self, dictionary: &Dictionary) -> Result<()> {
        load_metrics(self.db, dictionary)
    }

    /// Which streams have chunks, by number.
    pub fn streams(&self) -> Result<Vec<DeviceId>> {
        let mut statement = self.db.prepare("SELECT DISTINCT stream FROM chunk ORDER BY stream")?;
        let streams = statement.query_map([], |row| Ok(DeviceId(row.get(0)?)))?;
        Ok(streams.collect::<rusqlite::Result<_>>()?)
    }

    /// Which metrics a stream has.
    pub fn series(&self, stream: DeviceId) -> Result<HashSet<u32>> {
        let mut statement = self.db.prepare_cached("SELECT metric FROM series WHERE stream = ?1")?;
        let metrics = statement.query_map([stream.0], |row| row.get(0))?;
        Ok(metrics.collect::<rusqlite::Result<_>>()?)
    }

    /// Reads one chunk of this snapshot after checking all of it.
    pub fn read_verified(&self, meta: &ChunkMeta) -> Result<Chunk> {
        let mut statement = self.db.prepare_cached("SELECT blob FROM chunk WHERE id = ?1")?;
        let chunk = statement.query_row([meta.id], |row| Ok(verify(row.get_ref(0)?.as_blob()?, meta)))?;
        chunk.map_err(|e| name_damage(e, meta.id))
    }

    pub(super) fn db(&self) -> &Connection {
        self.db
    }

    /// Is there a chunk that was set aside?
    pub(super) fn has_damaged(&self) -> Result<bool> {
        if let Some(&known) = self.damaged.get() {
            return Ok(known);
        }
        let mut statement = self.db.prepare_cached("SELECT EXISTS (SELECT 1 FROM quarantine)")?;
        let found = statement.query_row([], |row| row.get(0))?;
        Ok(*self.damaged.get_or_init(|| found))
    }

    /// The chunks of a stream that have rows within a range, oldest number first.
    pub fn overlapping(&self, stream: DeviceId, tier: Tier, range: TimeRange) -> Result<Vec<ChunkMeta>> {
        overlapping(self.db, stream, tier, range.start(), range.end().saturating_sub(1))
    }

    /// All chunks of a stream and tier, oldest number first.
    pub fn chunks(&self, stream: DeviceId, tier: Tier) -> Result<Vec<ChunkMeta>> {
        overlapping(self.db, stream, tier, Timestamp::MIN, Timestamp::MAX)
    }

    /// Reads one chunk of this snapshot.
    pub fn read(&self, id: i64) -> Result<Chunk> {
        let mut statement = self.db.prepare_cached("SELECT blob FROM chunk WHERE id = ?1")?;
        let chunk = statement.query_row([id], |row| Ok(Chunk::open(row.get_ref(0)?.as_blob()?)))?;
        chunk.map_err(|e| name_damage(e, id))
    }

    /// Reads one chunk of this snapshot that a plan found by the index. The index has no checksum: that both say the same
    /// tells that the rows are this stream's and no other's.
    fn read_placed(&self, meta: &ChunkMeta) -> Result<Chunk> {
        let mut statement = self.db.prepare_cached(
            "SELECT id, start_ms, end_ms, rows, samples, stream, tier, blob FROM chunk WHERE id = ?1",
        )?;
        let chunk = statement.query_row([meta.id], |row| {
            let placed = row.get::<_, i64>(6)? == tier_number(meta.tier)
                && meta_of(row, DeviceId(row.get(5)?), meta.tier)? == *meta;
            Ok(if placed { Chunk::open(row.get_ref(7)?.as_blob()?) } else { Err(misplaced()) })
        })?;
        chunk.map_err(|e| name_damage(e, meta.id))
    }

    /// From when on every row of a stream is still here, by tier; `Timestamp::MIN` when nothing was dropped yet.
    pub fn kept_from_by_tier(&self, stream: DeviceId) -> Result<[Timestamp; 3]> {
        let mut from = [Timestamp::MIN; 3];
        let mut statement = self.db.prepare_cached("SELECT tier, from_ms FROM kept WHERE stream = ?1")?;
        let mut rows = statement.query([stream.0])?;
        while let Some(row) = rows.next()? {
            if let Some(from) = usize::try_from(row.get::<_, i64>(0)?).ok().and_then(|t| from.get_mut(t)) {
                *from = row.get(1)?;
            }
        }
        Ok(from)
    }

    /// The same of one tier.
    pub fn kept_from(&self, stream: DeviceId, tier: Tier) -> Result<Timestamp> {
        let from = self
            .db
            .prepare_cached("SELECT from_ms FROM kept WHERE stream = ?1 AND tier = ?2")?
            .query_row(params![stream.0, tier_number(tier)], |row| row.get(0))
            .optional()?;
        Ok(from.unwrap_or(Timestamp::MIN))
    }

    /// The largest number of a stream's chunks; 0 when there is none.
    pub fn newest_chunk(&self, stream: DeviceId) -> Result<i64> {
        newest_chunk(self.db, stream)
    }

    /// The few raw chunks with the latest rows of a stream, the latest first: a metric that comes seldom may be missing
    /// from the very latest.
    pub fn newest_raw(&self, stream: DeviceId) -> Result<Vec<ChunkMeta>> {
        let mut statement = self.db.prepare_cached(
            "SELECT id, start_ms, end_ms, rows, samples FROM chunk
             WHERE stream = ?1 AND tier = 0 ORDER BY end_ms DESC, id DESC LIMIT 4",
        )?;
        let metas = statement.query_map([stream.0], |row| meta_of(row, stream, Tier::Raw))?;
        Ok(metas.collect::<rusqlite::Result<_>>()?)
    }
}

pub(super) fn newest_chunk(db: &Connection, stream: DeviceId) -> Result<i64> {
    let mut statement = db.prepare_cached("SELECT coalesce(max(id), 0) FROM chunk WHERE stream = ?1")?;
    Ok(statement.query_row([stream.0], |row| row.get(0))?)
}

pub(super) fn load_metrics(db: &Connection, dictionary: &Dictionary) -> Result<()> {
    let mut statement = db.prepare("SELECT id, name FROM metric ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        dictionary.restore(row.get(0)?, &row.get::<_, String>(1)?)?;
    }
    Ok(())
}

/// The chunks that have rows from `first` to `last`, both included, oldest number first.
pub(super) fn overlapping(
    db: &Connection,
    stream: DeviceId,
    tier: Tier,
    first: Timestamp,
    last: Timestamp,
) -> Result<Vec<ChunkMeta>> {
    let mut statement = db.prepare_cached(
        "SELECT id, start_ms, end_ms, rows, samples FROM chunk
         WHERE stream = ?1 AND tier = ?2 AND end_ms >= ?3 AND start_ms <= ?4",
    )?;
    let metas = statement
        .query_map(params![stream.0, tier_number(tier), first, last], |row| meta_of(row, stream, tier))?;
    let mut metas = metas.collect::<rusqlite::Result<Vec<_>>>()?;
    metas.sort_unstable_by_key(|m| m.id);
    Ok(metas)
}

/// From id, start, end, rows and samples.
pub(super) fn meta_of(row: &rusqlite::Row<'_>, stream: DeviceId, tier: Tier) -> rusqlite::Result<ChunkMeta> {
    Ok(ChunkMeta {
        id: row.get(0)?,
        stream,
        tier,
        start_ms: row.get(1)?,
        last_ms: row.get(2)?,
        rows: row.get::<_, i64>(3)? as usize,
        samples: row.get::<_, i64>(4)? as usize,
    })
}

fn misplaced() -> Error {
    Error::Corrupt {
        what: String::new(),
        why: "its row and the index say differently where it belongs".into(),
    }
}

fn name_damage(error: Error, id: i64) -> Error {
    match error {
        Error::Corrupt { why, .. } => Error::Corrupt { what: format!("chunk {id} of chunks.db"), why },
        other => other,
    }
}
