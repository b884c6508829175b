//! Damaged chunks are set aside: they are kept as they were found, and nothing reads them any more.

use super::change::{complete_from, delete, note_kept_from};
use super::{ChunkMeta, ChunkTable, NewChunk, Snapshot, tier_number};
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::rollup::step_start;
use crate::types::{DeviceId, Tier, TimeRange, Timestamp};
use rusqlite::{OptionalExtension, params};

/// The chunk, if it is what its row in the table says and every column decodes.
///
/// # Errors
/// `Corrupt` with what is wrong.
pub(super) fn verify(blob: &[u8], meta: &ChunkMeta) -> Result<Chunk> {
    let damaged =
        |why: &str| Error::Corrupt { what: format!("chunk {} of chunks.db", meta.id), why: why.into() };
    let chunk = Chunk::open(blob)?;
    let times = chunk.times()?;
    let span = (times.iter().min(), times.iter().max());
    if chunk.rows() != meta.rows || span != (Some(&meta.start_ms), Some(&meta.last_ms)) {
        return Err(damaged("its rows are not those that the table says"));
    }
    let keys: Vec<_> = chunk.columns().map(|(key, _)| key).collect();
    let mut samples = 0;
    for key in keys {
        samples += chunk.column(key)?.map_or(0, |(values, _)| values.len());
    }
    if samples != meta.samples {
        return Err(damaged("its samples are not as many as the table says"));
    }
    Ok(chunk)
}

/// A rollup chunk that was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetAside {
    /// Its number in the quarantine.
    id: i64,
    pub stream: DeviceId,
    pub tier: Tier,
    pub start_ms: Timestamp,
    /// Time of its latest row that is still missing.
    pub last_ms: Timestamp,
}

/// Rollup chunks that are looked at in one go to be made again.
const ASIDE_MAX: u32 = 1_000;

impl ChunkTable {
    /// Rollups that were set aside, some of the oldest.
    pub fn damaged_rollups(&self) -> Result<Vec<SetAside>> {
        self.readers.with(|db| {
            let mut statement = db.prepare_cached(
                "SELECT id, stream, tier, start_ms, end_ms FROM quarantine WHERE tier > 0 ORDER BY id LIMIT ?1",
            )?;
            let asides = statement.query_map([ASIDE_MAX], |row| {
                let tier = usize::try_from(row.get::<_, i64>(2)?).ok().and_then(|t| Tier::ALL.get(t).copied());
                let Some(tier) = tier else { return Ok(None) };
                let stream = DeviceId(row.get(1)?);
                Ok(Some(SetAside { id: row.get(0)?, stream, tier, start_ms: row.get(3)?, last_ms: row.get(4)? }))
            })?;
            Ok(asides.filter_map(std::result::Result::transpose).collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Puts rows that were made again in place of the part of a rollup from `from_ms` on; what is before it stays set
    /// aside. `false`: the stream has newer chunks than `newest` by now, which were not looked at, or was deleted.
    pub fn rebuilt(
        &self,
        aside: &SetAside,
        from_ms: Timestamp,
        chunks: &[NewChunk],
        newest: i64,
        exists: impl Fn(DeviceId) -> bool,
    ) -> Result<bool> {
        let mut db = self.writer.lock();
        let mut numbers = self.numbers.lock();
        if !exists(aside.stream) {
            return Ok(false);
        }
        let tx = db.transaction()?;
        if super::read::newest_chunk(&tx, aside.stream)? > newest {
            return Ok(false);
        }
        for (chunk, id) in chunks.iter().zip(numbers.next_chunk..) {
            super::insert(&tx, id, chunk)?;
        }
        if from_ms <= step_start(aside.start_ms, aside.tier.step_ms()) {
            tx.execute("DELETE FROM quarantine WHERE id = ?1", [aside.id])?;
        } else {
            let last_ms = from_ms - aside.tier.step_ms();
            tx.execute("UPDATE quarantine SET end_ms = ?2 WHERE id = ?1", params![aside.id, last_ms])?;
        }
        tx.commit()?;
        numbers.next_chunk += chunks.len() as i64;
        self.count_new(&chunks.iter().collect::<Vec<_>>());
        Ok(true)
    }

    /// Sets a chunk aside if it is really damaged, which is looked at once more: a reader may have had bad luck that is
    /// over. Returns whether it was set aside.
    pub fn set_aside(&self, id: i64) -> Result<bool> {
        let mut db = self.writer.lock();
        let tx = db.transaction()?;
        let found = tx
            .prepare_cached(
                "SELECT id, start_ms, end_ms, rows, samples, stream, tier, blob FROM chunk WHERE id = ?1",
            )?
            .query_row([id], |row| {
                let tier =
                    usize::try_from(row.get::<_, i64>(6)?).ok().and_then(|t| Tier::ALL.get(t).copied());
                let meta = super::read::meta_of(row, DeviceId(row.get(5)?), tier.unwrap_or(Tier::Raw))?;
                Ok((meta, verify(row.get_ref(7)?.as_blob()?, &meta).map(|_| ())))
            })
            .optional()?;
        let Some((meta, Err(error))) = found else { return Ok(false) };
        let why = match error {
            Error::Corrupt { why, .. } => why,
            other => return Err(other),
        };
        tx.execute(
            "INSERT INTO quarantine (stream, tier, start_ms, end_ms, rows, samples, blob, why)
             SELECT stream, tier, start_ms, end_ms, rows, samples, blob, ?2 FROM chunk WHERE id = ?1",
            params![id, why],
        )?;
        let gone = delete(&tx, id)?;
        tx.commit()?;
        self.count_gone(&db, gone.as_slice())?;
        let tier = meta.tier.as_str();
        tracing::error!(
            "chunk {id} of chunks.db is damaged: {why}; set aside: device {} misses {} rows of tier {tier} from {} to {}",
            meta.stream,
            meta.rows,
            meta.start_ms,
            meta.last_ms
        );
        Ok(true)
    }

    /// Number and bytes of the chunks that were set aside.
    pub fn damaged(&self) -> Result<(u64, u64)> {
        self.readers.with(|db| {
            let sql = "SELECT count(*), coalesce(sum(length(blob)), 0) FROM quarantine";
            let count =
                |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64));
            Ok(db.prepare_cached(sql)?.query_row([], count)?)
        })
    }

    /// Drops what was set aside and would be past its time by now.
    pub fn drop_damaged(&self, tier: Tier, before: Timestamp) -> Result<()> {
        let mut db = self.writer.lock();
        let tx = db.transaction()?;
        let gone: Vec<(u32, Timestamp)> = tx
            .prepare_cached(
                "DELETE FROM quarantine WHERE tier = ?1 AND end_ms < ?2 RETURNING stream, end_ms",
            )?
            .query_map(params![tier_number(tier), before], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (stream, last_ms) in gone {
            note_kept_from(&tx, stream, tier_number(tier), complete_from(tier_number(tier), last_ms))?;
        }
        Ok(tx.commit()?)
    }
}

impl Snapshot<'_> {
    /// How many chunks were set aside.
    pub fn damaged(&self) -> Result<u64> {
        let count = self.db().query_row("SELECT count(*) FROM quarantine", [], |row| row.get::<_, i64>(0))?;
        Ok(count as u64)
    }

    /// What a stream misses within a range because a chunk is damaged, by start.
    pub fn damaged_spans(&self, stream: DeviceId, tier: Tier, range: TimeRange) -> Result<Vec<TimeRange>> {
        if !self.has_damaged()? {
            return Ok(Vec::new());
        }
        let mut statement = self.db().prepare_cached(
            "SELECT start_ms, end_ms FROM quarantine WHERE stream = ?1 AND tier = ?2 AND end_ms >= ?3
             ORDER BY start_ms",
        )?;
        let length_ms = tier.step_ms().max(1);
        let earliest = range.start().saturating_sub(length_ms);
        let spans = statement.query_map(params![stream.0, tier_number(tier), earliest], |row| {
            let (start, last): (Timestamp, Timestamp) = (row.get(0)?, row.get(1)?);
            Ok(TimeRange::new(start, last.saturating_add(length_ms)))
        })?;
        let mut spans: Vec<TimeRange> =
            spans.filter_map(std::result::Result::transpose).collect::<rusqlite::Result<_>>()?;
        spans.retain(|span| span.start() < range.end() && span.end() > range.start());
        Ok(spans)
    }

    /// Those of some times whose step has all of its raw rows here: none was dropped and none is damaged. The other
    /// steps stay as they were rolled up when the rows were there.
    pub fn with_whole_steps(
        &self,
        stream: DeviceId,
        times: &[Timestamp],
        step_ms: i64,
    ) -> Result<Vec<Timestamp>> {
        let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else {
            return Ok(Vec::new());
        };
        let kept_from = self.kept_from(stream, Tier::Raw)?;
        let start = step_start(*first, step_ms);
        let end = step_start(*last, step_ms).saturating_add(step_ms);
        let damaged = match TimeRange::new(start, end) {
            Some(range) => self.damaged_spans(stream, Tier::Raw, range)?,
            None => Vec::new(),
        };
        if damaged.is_empty() && kept_from <= *first {
            return Ok(times.to_vec());
        }
        let is_whole = |t: Timestamp| {
            let start = step_start(t, step_ms);
            let end = start.saturating_add(step_ms);
            t >= kept_from && !damaged.iter().any(|span| span.start() < end && span.end() > start)
        };
        Ok(times.iter().copied().filter(|&t| is_whole(t)).collect())
    }
}
