//! Changing what is stored: merged chunks in the place of smaller ones, and deletion.

use super::read::{meta_of, overlapping};
use super::{ChunkMeta, ChunkTable, NewChunk, insert, tier_number};
use crate::db::give_back_pages;
use crate::error::Result;
use crate::rollup::step_start;
use crate::types::{DeviceId, Tier, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

/// Chunks deleted in one transaction, so that a seal never waits long.
const DELETE_CHUNKS_MAX: u32 = 256;

impl ChunkTable {
    /// Puts chunks in the place of others that hold the same rows, at once. The new ones are newer than everything that
    /// is there, so this is done only when nothing newer overlaps the old ones: `false` when something does by now, or
    /// when one of them is gone, or when the stream was deleted.
    pub fn replace(
        &self,
        stream: DeviceId,
        tier: Tier,
        old: &[i64],
        new: &[NewChunk],
        exists: impl Fn(DeviceId) -> bool,
    ) -> Result<bool> {
        let mut db = self.writer.lock();
        let mut numbers = self.numbers.lock();
        if !exists(stream) {
            return Ok(false);
        }
        let tx = db.transaction()?;
        if !is_newest(&tx, stream, tier, old)? {
            return Ok(false);
        }
        let mut gone = Vec::new();
        for id in old {
            gone.extend(delete(&tx, *id)?);
        }
        for (chunk, id) in new.iter().zip(numbers.next_chunk..) {
            insert(&tx, id, chunk)?;
        }
        tx.commit()?;
        numbers.next_chunk += new.len() as i64;
        self.count_gone(&db, &gone)?;
        self.count_new(&new.iter().collect::<Vec<_>>());
        Ok(true)
    }

    /// Drops chunks that are past their time, at once, and notes from when on their streams are complete.
    pub fn drop_chunks(&self, ids: &[i64]) -> Result<()> {
        let mut db = self.writer.lock();
        let tx = db.transaction()?;
        let mut gone = Vec::new();
        for id in ids {
            let Some(chunk) = delete(&tx, *id)? else { continue };
            tx.prepare_cached(
                "INSERT INTO kept VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET from_ms = max(from_ms, excluded.from_ms)",
            )?
            .execute(params![
                chunk.stream,
                chunk.tier,
                complete_from(chunk.tier, chunk.last_ms)
            ])?;
            gone.push(chunk);
        }
        tx.commit()?;
        self.count_gone(&db, &gone)
    }

    /// The oldest chunks of a tier with their bytes, at most as many as one transaction drops.
    pub fn oldest(&self, tier: Tier) -> Result<Vec<(ChunkMeta, u64)>> {
        self.readers.with(|db| {
            let mut statement = db.prepare_cached(
                "SELECT id, start_ms, end_ms, rows, samples, length(blob), stream FROM chunk WHERE id IN
                 (SELECT id FROM chunk WHERE tier = ?1 ORDER BY end_ms LIMIT ?2) ORDER BY end_ms",
            )?;
            let found = statement.query_map(params![tier_number(tier), DELETE_CHUNKS_MAX], |row| {
                let stream = DeviceId(row.get(6)?);
                Ok((meta_of(row, stream, tier)?, row.get::<_, i64>(5)? as u64))
            })?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Gives some of the pages that became free back to the file system; returns whether there are more.
    pub fn shrink(&self) -> Result<bool> {
        give_back_pages(&self.writer.lock())
    }

    /// Deletes everything of a stream; returns how many chunks and bytes.
    pub fn delete_stream(&self, stream: DeviceId) -> Result<(u64, u64)> {
        let (mut chunks, mut bytes) = (0, 0);
        loop {
            let mut db = self.writer.lock();
            let tx = db.transaction()?;
            let ids: Vec<i64> = tx
                .prepare_cached("SELECT id FROM chunk WHERE stream = ?1 LIMIT ?2")?
                .query_map(params![stream.0, DELETE_CHUNKS_MAX], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let mut gone = Vec::new();
            for id in ids {
                gone.extend(delete(&tx, id)?);
            }
            tx.commit()?;
            chunks += gone.len() as u64;
            bytes += gone.iter().map(|g| g.bytes).sum::<u64>();
            self.count_gone(&db, &gone)?;
            if gone.is_empty() {
                break;
            }
        }
        self.cache.clear();
        let db = self.writer.lock();
        db.execute("DELETE FROM series WHERE stream = ?1", [stream.0])?;
        db.execute("DELETE FROM kept WHERE stream = ?1", [stream.0])?;
        db.execute("DELETE FROM quarantine WHERE stream = ?1", [stream.0])?;
        Ok((chunks, bytes))
    }

    pub(super) fn count_gone(&self, db: &Connection, gone: &[Gone]) -> Result<()> {
        let mut totals = self.totals.lock();
        for total in totals.iter_mut() {
            let mut oldest_gone = false;
            for gone in gone.iter().filter(|g| g.tier == tier_number(total.tier)) {
                total.chunks = total.chunks.saturating_sub(1);
                total.bytes = total.bytes.saturating_sub(gone.bytes);
                total.samples = total.samples.saturating_sub(gone.samples);
                oldest_gone |= total.oldest_ms.is_none_or(|oldest| gone.start_ms <= oldest);
            }
            if oldest_gone {
                total.oldest_ms = db
                    .prepare_cached("SELECT min(start_ms) FROM chunk WHERE tier = ?1")?
                    .query_row([tier_number(total.tier)], |row| row.get(0))?;
            }
        }
        Ok(())
    }
}

pub(super) fn note_kept_from(db: &Connection, stream: u32, tier: i64, from_ms: Timestamp) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO kept VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET from_ms = max(from_ms, excluded.from_ms)",
    )?
    .execute(params![stream, tier, from_ms])?;
    Ok(())
}

/// From when on nothing is missing when a chunk with this last row was dropped: whole hours in raw, because an hour's
/// rollup needs all of its rows.
pub(super) fn complete_from(tier: i64, last_ms: Timestamp) -> Timestamp {
    let step_ms =
        if tier == tier_number(Tier::FiveMinutes) { Tier::FiveMinutes } else { Tier::Hour }.step_ms();
    step_start(last_ms, step_ms).saturating_add(step_ms)
}

/// A chunk that was deleted.
pub(super) struct Gone {
    stream: u32,
    tier: i64,
    start_ms: i64,
    last_ms: i64,
    bytes: u64,
    samples: u64,
}

pub(super) fn delete(db: &Connection, id: i64) -> Result<Option<Gone>> {
    // Asked before: `RETURNING` would read the blob to tell its length.
    let mut statement = db.prepare_cached(
        "SELECT stream, tier, start_ms, end_ms, length(blob), samples FROM chunk WHERE id = ?1",
    )?;
    let gone = statement.query_row([id], |row| {
        Ok(Gone {
            stream: row.get(0)?,
            tier: row.get(1)?,
            start_ms: row.get(2)?,
            last_ms: row.get(3)?,
            bytes: row.get::<_, i64>(4)? as u64,
            samples: row.get::<_, i64>(5)? as u64,
        })
    });
    let gone = gone.optional()?;
    db.prepare_cached("DELETE FROM chunk WHERE id = ?1")?.execute([id])?;
    Ok(gone)
}

/// Are all of them there, and does nothing overlap them that is newer than the oldest of them?
fn is_newest(db: &Connection, stream: DeviceId, tier: Tier, ids: &[i64]) -> Result<bool> {
    let mut span: Option<(i64, i64)> = None;
    for id in ids {
        let found: Option<(i64, i64)> = db
            .prepare_cached("SELECT start_ms, end_ms FROM chunk WHERE id = ?1 AND stream = ?2 AND tier = ?3")?
            .query_row(params![id, stream.0, tier_number(tier)], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((start, last)) = found else { return Ok(false) };
        span = Some(span.map_or((start, last), |(s, l)| (s.min(start), l.max(last))));
    }
    let (Some((start, last)), Some(oldest)) = (span, ids.iter().min()) else { return Ok(false) };
    let there = overlapping(db, stream, tier, start, last)?;
    Ok(there.iter().all(|meta| meta.id < *oldest || ids.contains(&meta.id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk_table::Sealed;
    use crate::metrics::Dictionary;
    use crate::types::TimeRange;

    const STREAM: DeviceId = DeviceId(1);

    fn chunk(start_ms: i64, last_ms: i64) -> NewChunk {
        let blob = crate::chunk::encode(&[start_ms, last_ms], &[]);
        NewChunk { stream: STREAM, tier: Tier::Raw, start_ms, last_ms, rows: 2, samples: 0, blob }
    }

    fn seal(table: &ChunkTable, chunks: Vec<NewChunk>) {
        let sealed = Sealed { generation: 1, chunks, series: Vec::new() };
        table.commit(&sealed, &Dictionary::default(), |_| true).unwrap();
    }

    /// Start and number of each chunk.
    fn there(table: &ChunkTable) -> Vec<(i64, i64)> {
        let metas = table.snapshot(|view| view.chunks(STREAM, Tier::Raw)).unwrap();
        metas.iter().map(|m| (m.start_ms, m.id)).collect()
    }

    #[track_caller]
    fn replace(table: &ChunkTable, old: &[i64], new: NewChunk, expected: bool) {
        assert_eq!(table.replace(STREAM, Tier::Raw, old, &[new], |_| true).unwrap(), expected);
    }

    #[test]
    fn what_was_planned_is_read_although_it_was_replaced_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let table = ChunkTable::open(dir.path()).unwrap();
        seal(&table, vec![chunk(0, 10), chunk(20, 30)]);
        let range = TimeRange::new(0, 100).unwrap();
        let times = table.snapshot(|view| {
            let plan = view.overlapping(STREAM, Tier::Raw, range)?;
            replace(&table, &[1, 2], chunk(0, 30), true);
            plan.iter().map(|m| view.read(m.id)?.times()).collect::<Result<Vec<_>>>()
        });
        assert_eq!(times.unwrap(), [[0, 10], [20, 30]]);
        assert_eq!(there(&table), [(0, 3)]);
    }

    #[test]
    fn what_a_seal_put_over_them_meanwhile_stays_the_newer() {
        let dir = tempfile::tempdir().unwrap();
        let table = ChunkTable::open(dir.path()).unwrap();
        seal(&table, vec![chunk(0, 10), chunk(20, 30)]);
        seal(&table, vec![chunk(5, 25)]);
        replace(&table, &[1, 2], chunk(0, 30), false);
        replace(&table, &[2, 3], chunk(5, 30), true);
        assert_eq!(there(&table), [(0, 1), (5, 4)], "the older one may lie below");
    }

    #[test]
    fn what_is_gone_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let table = ChunkTable::open(dir.path()).unwrap();
        seal(&table, vec![chunk(0, 10)]);
        replace(&table, &[1, 9], chunk(0, 10), false);
        let deleted = table.replace(STREAM, Tier::Raw, &[1], &[chunk(0, 10)], |_| false).unwrap();
        assert!(!deleted, "a deleted device came back");
        assert_eq!(there(&table), [(0, 1)]);
    }

    #[test]
    fn a_number_is_not_given_again_after_its_chunk_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let table = ChunkTable::open(dir.path()).unwrap();
        seal(&table, vec![chunk(0, 10), chunk(20, 30)]);
        assert_eq!(table.delete_stream(STREAM).unwrap().0, 2);
        assert_eq!(table.tiers()[0].oldest_ms, None);
        seal(&table, vec![chunk(0, 10)]);
        assert_eq!(there(&table), [(0, 3)]);
    }
}
