//! The sealed samples: chunks of all tiers in `chunks.db`.

mod cache;
mod change;
mod quarantine;
mod read;

pub use cache::Column;
pub use quarantine::SetAside;
pub use read::{LazyChunk, Snapshot, look_at};

use crate::TierStats;
use crate::db::{File, Readers, Writer};
use crate::error::Result;
use crate::metrics::Dictionary;
use crate::types::{DeviceId, Kind, Tier, Timestamp};
use cache::Cache;
use parking_lot::Mutex;
use rusqlite::{Connection, params};
use std::path::Path;

/// The file. A plain rowid table: `WITHOUT ROWID` made it up to three times as large. The index covers all that a plan
/// needs, so that planning reads no blob.
pub const FILE: File = File {
    name: "chunks.db",
    page_bytes: 2_048,
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
    ", "
    -- Every row of the stream and tier at or after `from_ms` is still here; what was before may have been dropped.
    CREATE TABLE kept (
        stream INTEGER NOT NULL,
        tier INTEGER NOT NULL,
        from_ms INTEGER NOT NULL,
        PRIMARY KEY (stream, tier)
    ) STRICT, WITHOUT ROWID;
    ", "
    -- Chunks that do not decode, as they were found.
    CREATE TABLE quarantine (
        id INTEGER PRIMARY KEY,
        stream INTEGER NOT NULL,
        tier INTEGER NOT NULL,
        start_ms INTEGER NOT NULL,
        end_ms INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        samples INTEGER NOT NULL,
        blob BLOB NOT NULL,
        why TEXT NOT NULL
    ) STRICT;
    CREATE INDEX quarantine_place ON quarantine (stream, tier, end_ms, start_ms);
    "],
};

/// The windows of a tier, the short ones first, milliseconds. A new chunk reaches over no border of the first, so what a
/// late row makes necessary stays within one; what is put together later reaches over none of the last. A window of
/// rollups is what fits a chunk: 8,064 rows. Raw rows are so few in a day, when they come every minute or less often, that
/// what a chunk costs beside its rows counts: 1.5 of 4.4 bytes a sample for one metric every five minutes.
pub fn windows_ms(tier: Tier) -> &'static [i64] {
    match tier {
        Tier::Raw => &[24 * 3_600_000, 8 * 24 * 3_600_000],
        Tier::FiveMinutes => &[8_064 * 5 * 60_000],
        Tier::Hour => &[8_064 * 3_600_000],
    }
}

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
    /// Where two chunks of a stream and tier overlap, the larger number wins. Never given twice while the store is open.
    pub id: i64,
    pub stream: DeviceId,
    pub tier: Tier,
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
    cache: Cache,
    readers: Readers,
    totals: Mutex<[TierStats; 3]>,
    numbers: Mutex<Numbers>,
}

struct Numbers {
    next_chunk: i64,
    metrics_kept: usize,
}

impl ChunkTable {
    /// Opens it.
    pub fn open(dir: &Path) -> Result<ChunkTable> {
        let db = FILE.open(dir)?;
        let totals = totals(&db)?;
        let newest: i64 = db.query_row("SELECT coalesce(max(id), 0) FROM chunk", [], |row| row.get(0))?;
        Ok(ChunkTable {
            writer: Writer::new(db),
            cache: Cache::default(),
            readers: FILE.readers(dir),
            totals: Mutex::new(totals),
            numbers: Mutex::new(Numbers { next_chunk: newest + 1, metrics_kept: 0 }),
        })
    }

    /// The newest generation whose chunks are here: everything of it and before it.
    pub fn sealed_generation(&self) -> Result<i64> {
        Ok(self.writer.lock().query_row("SELECT sealed_generation FROM state", [], |row| row.get(0))?)
    }

    /// The names of metrics kept here, by number.
    pub fn load_metrics(&self, dictionary: &Dictionary) -> Result<()> {
        read::load_metrics(&self.writer.lock(), dictionary)?;
        self.numbers.lock().metrics_kept = dictionary.len();
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
        let mut numbers = self.numbers.lock();
        let new_metrics = dictionary.from(numbers.metrics_kept);
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
        for (chunk, id) in kept.iter().zip(numbers.next_chunk..) {
            insert(&tx, id, chunk)?;
        }
        tx.execute("UPDATE state SET sealed_generation = ?1", [sealed.generation])?;
        tx.commit()?;
        numbers.metrics_kept += new_metrics.len();
        numbers.next_chunk += kept.len() as i64;
        self.count_new(&kept);
        Ok(())
    }

    fn count_new(&self, chunks: &[&NewChunk]) {
        let mut totals = self.totals.lock();
        for chunk in chunks {
            let total = &mut totals[tier_number(chunk.tier) as usize];
            total.chunks += 1;
            total.bytes += chunk.blob.len() as u64;
            total.samples += chunk.samples as u64;
            total.oldest_ms = Some(total.oldest_ms.map_or(chunk.start_ms, |o| o.min(chunk.start_ms)));
        }
    }

    /// Leaves nothing in the files of what was deleted: in pages that are free, and in the write-ahead log. `false`: somebody
    /// reads at present, and it is to be tried again.
    pub fn scrub(&self) -> Result<bool> {
        while self.shrink()? {}
        self.readers.empty_log()
    }

    /// Bytes of a tier's chunks.
    pub fn bytes(&self, tier: Tier) -> u64 {
        self.totals.lock()[tier_number(tier) as usize].bytes
    }

    /// Copies the write-ahead log into the file, as far as nobody still reads from it: only then does the file shrink.
    pub fn checkpoint(&self) -> Result<()> {
        self.readers.checkpoint()
    }

    /// What is here, by tier.
    pub fn tiers(&self) -> Vec<TierStats> {
        self.totals.lock().to_vec()
    }
}

/// What is in the table, by tier. In one pass: it looks at every row, since no index says how long a blob is.
fn totals(db: &Connection) -> Result<[TierStats; 3]> {
    let of_tier = |tier| {
        let only = format!("FILTER (WHERE tier = {})", tier_number(tier));
        format!(
            "count(*) {only}, coalesce(sum(length(blob)) {only}, 0), coalesce(sum(samples) {only}, 0), min(start_ms) {only}"
        )
    };
    let sql = format!("SELECT {} FROM chunk", Tier::ALL.map(of_tier).join(", "));
    let mut totals =
        Tier::ALL.map(|tier| TierStats { tier, chunks: 0, bytes: 0, samples: 0, oldest_ms: None });
    db.query_row(&sql, [], |row| {
        for (total, at) in totals.iter_mut().zip((0..).step_by(4)) {
            total.chunks = row.get::<_, i64>(at)? as u64;
            total.bytes = row.get::<_, i64>(at + 1)? as u64;
            total.samples = row.get::<_, i64>(at + 2)? as u64;
            total.oldest_ms = row.get(at + 3)?;
        }
        Ok(())
    })?;
    Ok(totals)
}

fn tier_number(tier: Tier) -> i64 {
    match tier {
        Tier::Raw => 0,
        Tier::FiveMinutes => 1,
        Tier::Hour => 2,
    }
}

fn insert(db: &Connection, id: i64, chunk: &NewChunk) -> Result<()> {
    let mut statement = db.prepare_cached(
        "INSERT INTO chunk (id, stream, tier, start_ms, end_ms, rows, samples, blob)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    statement.execute(params![
        id,
        chunk.stream.0,
        tier_number(chunk.tier),
        chunk.start_ms,
        chunk.last_ms,
        chunk.rows as i64,
        chunk.samples as i64,
        chunk.blob
    ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TimeRange;

    #[test]
    fn the_totals_are_found_again_when_it_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let table = ChunkTable::open(dir.path()).unwrap();
        assert_eq!(table.tiers().iter().map(|total| total.oldest_ms).collect::<Vec<_>>(), [None; 3]);
        let chunk = |tier, start_ms: i64, bytes| NewChunk {
            stream: DeviceId(1),
            tier,
            start_ms,
            last_ms: start_ms + 10,
            rows: 2,
            samples: 7,
            blob: vec![0; bytes],
        };
        let chunks = vec![
            chunk(Tier::Raw, 500, 5_000),
            chunk(Tier::Raw, 300, 3),
            chunk(Tier::Raw, 400, 1),
            chunk(Tier::Hour, 200, 2_000),
        ];
        let sealed = Sealed { generation: 1, chunks, series: Vec::new() };
        table.commit(&sealed, &Dictionary::default(), |_| true).unwrap();
        let counted = table.tiers();
        let of = |total: &TierStats| (total.chunks, total.bytes, total.samples, total.oldest_ms);
        let expected = [(3, 5_004, 21, Some(300)), (0, 0, 0, None), (1, 2_000, 7, Some(200))];
        assert_eq!(counted.iter().map(of).collect::<Vec<_>>(), expected);
        drop(table);
        assert_eq!(ChunkTable::open(dir.path()).unwrap().tiers(), counted);
    }

    #[test]
    fn a_file_of_version_1_is_brought_forward_with_its_chunks() {
        let dir = tempfile::tempdir().unwrap();
        let first = File { migrations: &FILE.migrations[..1], ..FILE };
        let blob = crate::chunk::encode(&[5, 7], &[]);
        first
            .open(dir.path())
            .unwrap()
            .execute("INSERT INTO chunk VALUES (9, 1, 0, 5, 7, 2, 0, ?1)", [&blob])
            .unwrap();
        let table = ChunkTable::open(dir.path()).unwrap();
        let times = table.snapshot(|view| {
            let metas = view.overlapping(DeviceId(1), Tier::Raw, TimeRange::new(0, 10).unwrap())?;
            metas.iter().map(|m| view.read(m.id)?.times()).collect::<Result<Vec<_>>>()
        });
        assert_eq!(times.unwrap(), [[5, 7]]);
        assert_eq!((table.damaged().unwrap(), table.tiers()[0].chunks), ((0, 0), 1));
        assert!(!table.set_aside(9).unwrap(), "a sound chunk was set aside");
        let version: i64 =
            table.writer.lock().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, FILE.migrations.len() as i64);
    }
}
