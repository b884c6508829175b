//! The sealed samples: chunks of all tiers in `chunks.db`.

use crate::chunk::Chunk;
use crate::db::{File, Readers, Writer};
use crate::error::{Error, Result};
use crate::metrics::Dictionary;
use crate::types::{DeviceId, Kind, Tier, TimeRange, Timestamp};
use crate::{StorageStats, TierStats};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;

/// The file. A plain rowid table: `WITHOUT ROWID` made it up to three times as large. The index covers all that a plan
/// needs, so that planning reads no blob.
pub const FILE: File = File {
    name: "chunks.db",
    migrations: &["
    CREATE TABLE chunk (
        id INTEGER PRIMARY KEY,
        stream INTEGER NOT NULL,
        tier INTEGER NOT NULL,
        start_ms INTEGER NOT NULL,
        end_ms INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        samples INTEGER NOT NULL,
        blob BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX chunk_place ON chunk (stream, tier, end_ms, start_ms, id, rows, samples);
    CREATE TABLE metric (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE series (
        stream INTEGER NOT NULL,
        metric INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        PRIMARY KEY (stream, metric)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE state (sealed_generation INTEGER NOT NULL) STRICT;
    INSERT INTO state VALUES (0);
    "],
};

/// Chunks deleted in one transaction, so that a seal never waits long.
const DELETE_CHUNKS_MAX: u32 = 256;

/// Free pages given back to the file system in one step.
const VACUUM_PAGES_MAX: u32 = 2_048;

/// A chunk to be stored.
pub struct NewChunk {
    pub stream: DeviceId,
    pub tier: Tier,
    /// Time of the earliest row.
    pub start_ms: Timestamp,
    /// Time of the latest row.
    pub last_ms: Timestamp,
    pub rows: usize,
    pub samples: usize,
    pub blob: Vec<u8>,
}

/// Where a chunk is and what it spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkMeta {
    /// Newer chunks have larger numbers.
    pub id: i64,
    pub start_ms: Timestamp,
    /// Time of the latest row.
    pub last_ms: Timestamp,
    pub rows: usize,
    pub samples: usize,
}

/// What a sealed generation leaves behind; committed at once.
pub struct Sealed {
    pub generation: i64,
    pub chunks: Vec<NewChunk>,
    pub series: Vec<(DeviceId, u32, Kind)>,
}

/// The chunks of all streams.
pub struct ChunkTable {
    writer: Writer,
    readers: Readers,
    totals: Mutex<[TierStats; 3]>,
    metrics_kept: Mutex<usize>,
}

impl ChunkTable {
    /// Opens it.
    pub fn open(dir: &Path) -> Result<ChunkTable> {
        let db = FILE.open(dir)?;
        let mut totals =
            Tier::ALL.map(|tier| TierStats { tier, chunks: 0, bytes: 0, samples: 0, oldest_ms: None });
        for total in &mut totals {
            *total = db.query_row(
                "SELECT count(*), coalesce(sum(length(blob)), 0), coalesce(sum(samples), 0), min(start_ms)
                 FROM chunk WHERE tier = ?1",
                [tier_number(total.tier)],
                |row| {
                    Ok(TierStats {
                        tier: total.tier,
                        chunks: row.get::<_, i64>(0)? as u64,
                        bytes: row.get::<_, i64>(1)? as u64,
                        samples: row.get::<_, i64>(2)? as u64,
                        oldest_ms: row.get(3)?,
                    })
                },
            )?;
        }
        Ok(ChunkTable {
            writer: Writer::new(db),
            readers: FILE.readers(dir),
            totals: Mutex::new(totals),
            metrics_kept: Mutex::new(0),
        })
    }

    /// The newest generation whose chunks are here: everything of it and before it.
    pub fn sealed_generation(&self) -> Result<i64> {
        Ok(self.writer.lock().query_row("SELECT sealed_generation FROM state", [], |row| row.get(0))?)
    }

    /// The names of metrics kept here, by number.
    pub fn load_metrics(&self, dictionary: &Dictionary) -> Result<()> {
        let db = self.writer.lock();
        let mut statement = db.prepare("SELECT id, name FROM metric ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            dictionary.restore(row.get(0)?, &row.get::<_, String>(1)?)?;
        }
        *self.metrics_kept.lock() = dictionary.len();
        Ok(())
    }

    /// Which metrics each stream has.
    pub fn load_series(&self, mut each: impl FnMut(DeviceId, u32, Kind)) -> Result<()> {
        let db = self.writer.lock();
        let mut statement = db.prepare("SELECT stream, metric, kind FROM series")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let kind = if row.get::<_, i64>(2)? == 1 { Kind::Counter } else { Kind::Gauge };
            each(DeviceId(row.get(0)?), row.get(1)?, kind);
        }
        Ok(())
    }

    /// Commits a sealed generation. `exists` is asked under the lock that a deletion takes too, so that no chunk of a
    /// deleted device comes in after its deletion.
    pub fn commit(
        &self,
        sealed: &Sealed,
        dictionary: &Dictionary,
        exists: impl Fn(DeviceId) -> bool,
    ) -> Result<()> {
        let mut db = self.writer.lock();
        let mut metrics_kept = self.metrics_kept.lock();
        let new_metrics = dictionary.from(*metrics_kept);
        let tx = db.transaction()?;
        for (id, name) in &new_metrics {
            tx.prepare_cached("INSERT INTO metric (id, name) VALUES (?1, ?2)")?
                .execute(params![id, &**name])?;
        }
        for (stream, metric, kind) in sealed.series.iter().filter(|s| exists(s.0)) {
            tx.prepare_cached("INSERT OR REPLACE INTO series (stream, metric, kind) VALUES (?1, ?2, ?3)")?
                .execute(params![stream.0, metric, (*kind == Kind::Counter) as i64])?;
        }
        let kept: Vec<&NewChunk> = sealed.chunks.iter().filter(|c| exists(c.stream)).collect();
        for chunk in &kept {
            tx.prepare_cached(
                "INSERT INTO chunk (stream, tier, start_ms, end_ms, rows, samples, blob)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                chunk.stream.0,
                tier_number(chunk.tier),
                chunk.start_ms,
                chunk.last_ms,
                chunk.rows as i64,
                chunk.samples as i64,
                chunk.blob
            ])?;
        }
        tx.execute("UPDATE state SET sealed_generation = ?1", [sealed.generation])?;
        tx.commit()?;
        *metrics_kept += new_metrics.len();
        let mut totals = self.totals.lock();
        for chunk in kept {
            let total = &mut totals[tier_number(chunk.tier) as usize];
            total.chunks += 1;
            total.bytes += chunk.blob.len() as u64;
            total.samples += chunk.samples as u64;
            total.oldest_ms = Some(total.oldest_ms.map_or(chunk.start_ms, |o| o.min(chunk.start_ms)));
        }
        Ok(())
    }

    /// The chunks of a stream that have rows within a range, oldest number first.
    pub fn overlapping(&self, stream: DeviceId, tier: Tier, range: TimeRange) -> Result<Vec<ChunkMeta>> {
        self.readers.with(|db| {
            let mut statement = db.prepare_cached(
                "SELECT id, start_ms, end_ms, rows, samples FROM chunk
                 WHERE stream = ?1 AND tier = ?2 AND end_ms >= ?3 AND start_ms < ?4",
            )?;
            let metas = statement.query_map(
                params![stream.0, tier_number(tier), range.start(), range.end()],
                |row| {
                    Ok(ChunkMeta {
                        id: row.get(0)?,
                        start_ms: row.get(1)?,
                        last_ms: row.get(2)?,
                        rows: row.get::<_, i64>(3)? as usize,
                        samples: row.get::<_, i64>(4)? as usize,
                    })
                },
            )?;
            let mut metas = metas.collect::<rusqlite::Result<Vec<_>>>()?;
            metas.sort_unstable_by_key(|m| m.id);
            Ok(metas)
        })
    }

    /// Reads one chunk. `None`: it was deleted since.
    pub fn read(&self, id: i64) -> Result<Option<Chunk>> {
        self.readers.with(|db| {
            let chunk = db
                .prepare_cached("SELECT blob FROM chunk WHERE id = ?1")?
                .query_row([id], |row| Ok(Chunk::open(row.get_ref(0)?.as_blob()?)))
                .optional()?;
            chunk.transpose().map_err(|e| name_damage(e, id))
        })
    }

    /// The raw chunk with the latest row of a stream.
    pub fn newest_raw(&self, stream: DeviceId) -> Result<Option<Chunk>> {
        let id: Option<i64> = self.readers.with(|db| {
            Ok(db
                .prepare_cached(
                    "SELECT id FROM chunk WHERE stream = ?1 AND tier = 0 ORDER BY end_ms DESC LIMIT 1",
                )?
                .query_row([stream.0], |row| row.get(0))
                .optional()?)
        })?;
        id.map_or(Ok(None), |id| self.read(id))
    }

    /// Is there a rollup of some stream within a range from before that stream's earliest raw row there?
    pub fn reaches_further_back(
        &self,
        range: TimeRange,
        streams: impl Iterator<Item = DeviceId>,
    ) -> Result<bool> {
        for stream in streams {
            let raw = self.overlapping(stream, Tier::Raw, range)?.iter().map(|m| m.start_ms).min();
            for tier in [Tier::FiveMinutes, Tier::Hour] {
                let rolled_up = self.overlapping(stream, tier, range)?.iter().map(|m| m.start_ms).min();
                // A rollup row stands at the start of its step: less than a step earlier is no further back.
                let further =
                    rolled_up.is_some_and(|r| raw.is_none_or(|raw| r.saturating_add(tier.step_ms()) <= raw));
                if further {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Deletes everything of a stream; returns how many chunks and bytes.
    pub fn delete_stream(&self, stream: DeviceId) -> Result<(u64, u64)> {
        let (mut chunks, mut bytes) = (0, 0);
        loop {
            let db = self.writer.lock();
            let mut gone = 0;
            let mut statement = db.prepare_cached(
                "DELETE FROM chunk WHERE id IN (SELECT id FROM chunk WHERE stream = ?1 LIMIT ?2)
                 RETURNING tier, length(blob), samples",
            )?;
            let mut rows = statement.query(params![stream.0, DELETE_CHUNKS_MAX])?;
            let mut totals = self.totals.lock();
            while let Some(row) = rows.next()? {
                let (tier, length, samples): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                if let Some(total) = totals.get_mut(tier as usize) {
                    total.chunks = total.chunks.saturating_sub(1);
                    total.bytes = total.bytes.saturating_sub(length as u64);
                    total.samples = total.samples.saturating_sub(samples as u64);
                }
                gone += 1;
                bytes += length as u64;
            }
            chunks += gone;
            if gone == 0 {
                break;
            }
        }
        let db = self.writer.lock();
        db.execute("DELETE FROM series WHERE stream = ?1", [stream.0])?;
        let oldest: Vec<(i64, Option<i64>)> = db
            .prepare("SELECT tier, min(start_ms) FROM chunk GROUP BY tier")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut totals = self.totals.lock();
        for total in totals.iter_mut() {
            total.oldest_ms = oldest.iter().find(|o| o.0 == tier_number(total.tier)).and_then(|o| o.1);
        }
        drop(totals);
        give_back_pages(&db)?;
        Ok((chunks, bytes))
    }

    /// What is here, by tier.
    pub fn stats(&self) -> StorageStats {
        StorageStats { tiers: self.totals.lock().to_vec(), ..StorageStats::default() }
    }
}

/// Gives free pages back to the file system.
pub fn give_back_pages(db: &Connection) -> Result<()> {
    let mut statement = db.prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES_MAX})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

fn tier_number(tier: Tier) -> i64 {
    match tier {
        Tier::Raw => 0,
        Tier::FiveMinutes => 1,
        Tier::Hour => 2,
    }
}

fn name_damage(error: Error, id: i64) -> Error {
    match error {
        Error::Corrupt { why, .. } => Error::Corrupt { what: format!("chunk {id} of chunks.db"), why },
        other => other,
    }
}
