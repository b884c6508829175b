//! The tail: batches that are acknowledged and not yet sealed and recorded, in `tail.db`.
//!
//! One row per group of batches that were committed together. The tail is the log of everything a report brings:
//! the samples, which end in chunks, and usage, logs and events, which end in `meta.db`. A group is forgotten when
//! both have it.

pub(crate) mod group;

pub use group::{FrameReader, StoredBatch};

use crate::db::{File, empty_log, give_back_pages};
use crate::error::{Error, Result};
use crate::metrics::Dictionary;
use crate::seen::Seen;
use crate::types::DeviceId;
use bytes::Bytes;
use group::{Entries, damaged};
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;

/// Memory that the body of a group took and that is kept for the next, at most.
const BODY_KEPT_BYTES_MAX: usize = 1 << 20;

/// Groups forgotten in one transaction, so that the next commit never waits long.
const FORGET_GROUPS_MAX: u32 = 64;

/// The file.
pub const FILE: File = File {
    name: "tail.db",
    page_bytes: 4_096,
    migrations: &[
        "
    CREATE TABLE batch_group (
        id INTEGER PRIMARY KEY,
        generation INTEGER NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    CREATE TABLE metric (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE seen (
        device INTEGER NOT NULL,
        boot_id BLOB NOT NULL,
        ranges BLOB NOT NULL,
        used_ms INTEGER NOT NULL,
        PRIMARY KEY (device, boot_id)
    ) STRICT, WITHOUT ROWID;
    ",
        "
    -- Groups that do not decode, as they were found.
    CREATE TABLE quarantine (
        id INTEGER PRIMARY KEY,
        batch_group INTEGER NOT NULL,
        generation INTEGER NOT NULL,
        body BLOB NOT NULL,
        why TEXT NOT NULL
    ) STRICT;
    ",
        "
    -- How the body is written; `FORMAT.md` has both ways.
    ALTER TABLE batch_group ADD COLUMN format INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE quarantine ADD COLUMN format INTEGER NOT NULL DEFAULT 1;
    ",
    ],
};

/// A group that was read back.
pub struct Group {
    pub id: i64,
    pub generation: i64,
    pub batches: Vec<StoredBatch>,
}

/// The writer's own connection to the tail.
pub struct Tail {
    db: Connection,
    next_id: i64,
    metrics_kept: usize,
    /// Every group up to this number is in the table `seen`.
    seen_kept_to: i64,
    /// The body of a group; its memory serves again for the next.
    body: Vec<u8>,
}

impl Tail {
    /// Opens it. Group numbers go on above `above`, the newest number that `meta.db` knows: a number is never used
    /// twice, also when every group was forgotten.
    pub fn open(dir: &Path, above: i64) -> Result<Tail> {
        let db = FILE.open(dir)?;
        // All that comes in is deleted again soon: overwriting it would double what is written.
        db.pragma_update(None, "secure_delete", "FAST")?;
        let newest: i64 =
            db.query_row("SELECT coalesce(max(id), 0) FROM batch_group", [], |row| row.get(0))?;
        Ok(Tail { db, next_id: newest.max(above) + 1, metrics_kept: 0, seen_kept_to: 0, body: Vec::new() })
    }

    /// The names of metrics kept here, by number.
    pub fn load_metrics(&mut self, dictionary: &Dictionary) -> Result<()> {
        load_metrics(&self.db, dictionary)?;
        self.metrics_kept = dictionary.len();
        Ok(())
    }

    /// The reports known to be stored, as of the last time that groups were forgotten.
    pub fn load_seen(&self) -> Result<Seen> {
        let mut seen = Seen::default();
        let mut statement = self.db.prepare("SELECT device, boot_id, ranges, used_ms FROM seen")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (boot_id, ranges): ([u8; 16], Vec<u8>) = (row.get(1)?, row.get(2)?);
            seen.restore(DeviceId(row.get(0)?), boot_id, &ranges, row.get(3)?);
        }
        Ok(seen)
    }

    /// The newest generation that has a group here; 0 when there is none.
    pub fn newest_generation(&self) -> Result<i64> {
        Ok(self.db.query_row("SELECT coalesce(max(generation), 0) FROM batch_group", [], |row| row.get(0))?)
    }

    /// How many groups there are at most: by the first and the last number, without reading them.
    pub fn groups_max(&self) -> Result<u64> {
        let sql =
            "SELECT coalesce((SELECT max(id) FROM batch_group) - (SELECT min(id) FROM batch_group) + 1, 0)";
        Ok(self.db.query_row(sql, [], |row| row.get::<_, i64>(0))? as u64)
    }

    /// Each group, oldest first. One that does not decode is left out, and set aside unless all of it is sealed and
    /// recorded; returns how many are set aside in all.
    pub fn replay(
        &mut self,
        (sealed, recorded): (i64, i64),
        frames: Option<&FrameReader>,
        dictionary: &Dictionary,
        mut each: impl FnMut(Group) -> Result<()>,
    ) -> Result<u64> {
        let mut damaged = Vec::new();
        {
            let sql = "SELECT id, generation, format, body FROM batch_group ORDER BY id";
            let mut statement = self.db.prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (id, generation) = (row.get(0)?, row.get(1)?);
                let entries = Entries::open(id, row.get(2)?, blob(row, 3)?);
                match entries.and_then(|entries| entries.batches(frames, dictionary)) {
                    Ok(batches) => each(Group { id, generation, batches })?,
                    Err(Error::Corrupt { what, why }) if generation > sealed || id > recorded => {
                        tracing::error!("{what} is damaged: {why}; set aside: its reports are lost");
                        damaged.push((id, why));
                    }
                    Err(error @ Error::Corrupt { .. }) => tracing::warn!("{error}; nothing is lost by it"),
                    Err(other) => return Err(other),
                }
            }
        }
        let tx = self.db.transaction()?;
        for (id, why) in damaged {
            tx.execute(
                "INSERT INTO quarantine (batch_group, generation, format, body, why)
                 SELECT id, generation, format, body, ?2 FROM batch_group WHERE id = ?1",
                params![id, why],
            )?;
            tx.execute("DELETE FROM batch_group WHERE id = ?1", [id])?;
        }
        tx.commit()?;
        Ok(self.db.query_row("SELECT count(*) FROM quarantine", [], |row| row.get::<_, i64>(0))? as u64)
    }

    /// Commits a group, with the names of metrics that are new; returns its number. Of a batch that has a frame this is
    /// kept, and read again by the [`FrameReader`] after a crash. On an error nothing of the group is kept.
    pub fn append(
        &mut self,
        generation: i64,
        batches: &[StoredBatch],
        frames: &[Option<Bytes>],
        dictionary: &Dictionary,
    ) -> Result<i64> {
        group::encode(batches, frames, &mut self.body);
        if self.body.len() > group::GROUP_BYTES_MAX {
            return Err(damaged(self.next_id, "it is larger than a group may be"));
        }
        let new_metrics = dictionary.from(self.metrics_kept);
        let tx = self.db.transaction()?;
        for (id, name) in &new_metrics {
            tx.prepare_cached("INSERT INTO metric (id, name) VALUES (?1, ?2)")?
                .execute(params![id, &**name])?;
        }
        tx.prepare_cached("INSERT INTO batch_group (id, generation, format, body) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![self.next_id, generation, group::FORMAT, self.body])?;
        tx.commit()?;
        if self.body.capacity() > BODY_KEPT_BYTES_MAX {
            self.body = Vec::new();
        }
        self.metrics_kept += new_metrics.len();
        self.next_id += 1;
        Ok(self.next_id - 1)
    }

    /// Forgets some of the groups that are sealed (generation) and recorded (number). Returns whether there may be
    /// more.
    pub fn forget(&mut self, sealed: i64, recorded: i64, seen: &Seen) -> Result<bool> {
        // Groups stand in the order of their generations: the oldest tells, however many wait behind it.
        let Some((oldest, generation)) = self.oldest()? else { return Ok(false) };
        if generation > sealed || oldest > recorded {
            return Ok(false);
        }
        if oldest > self.seen_kept_to {
            self.keep_seen(seen)?;
        }
        let gone = self
            .db
            .prepare_cached(
                "DELETE FROM batch_group WHERE generation <= ?1 AND id IN
                 (SELECT id FROM batch_group WHERE id <= ?2 ORDER BY id LIMIT ?3)",
            )?
            .execute(params![sealed, recorded.min(self.seen_kept_to), FORGET_GROUPS_MAX])?;
        Ok(gone > 0)
    }

    /// Number and generation of the oldest group that is here.
    pub fn oldest(&self) -> Result<Option<(i64, i64)>> {
        let sql = "SELECT id, generation FROM batch_group ORDER BY id LIMIT 1";
        let both = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        Ok(self.db.prepare_cached(sql)?.query_row([], both).optional()?)
    }

    /// From now on what is deleted is overwritten. Returns up to which number groups may have bytes of something that was
    /// deleted before, for [`Tail::scrub`].
    pub fn begin_scrub(&mut self) -> Result<i64> {
        self.db.pragma_update(None, "secure_delete", "ON")?;
        // The next groups must not take over pages with old bytes at their unused ends.
        while give_back_pages(&self.db)? {}
        Ok(self.next_id - 1)
    }

    /// Gives some of the pages that became free back to the file system; returns whether there are more.
    pub fn shrink(&self) -> Result<bool> {
        give_back_pages(&self.db)
    }

    /// A step towards leaving nothing in the file of the groups up to a number, nor of devices that `seen` does not know:
    /// `true` when it is done. Groups that are still needed hold it up.
    pub fn scrub(&mut self, up_to: i64, seen: &Seen) -> Result<bool> {
        if self.oldest()?.is_some_and(|oldest| oldest.0 <= up_to) || give_back_pages(&self.db)? {
            return Ok(false);
        }
        self.keep_seen(seen)?;
        // Nobody can tell any more whose they were.
        self.db.execute("DELETE FROM quarantine WHERE batch_group <= ?1", [up_to])?;
        while give_back_pages(&self.db)? {}
        let done = empty_log(&self.db)?;
        if done {
            self.db.pragma_update(None, "secure_delete", "FAST")?;
        }
        Ok(done)
    }

    /// Keeps which reports are stored. Before the groups that say so are forgotten: after a crash in between both
    /// say it, which does no harm.
    fn keep_seen(&mut self, seen: &Seen) -> Result<()> {
        let tx = self.db.transaction()?;
        tx.execute("DELETE FROM seen", [])?;
        let mut insert = tx.prepare_cached("INSERT INTO seen VALUES (?1, ?2, ?3, ?4)")?;
        for (device, boot_id, ranges, used_ms) in seen.iter() {
            insert.execute(params![device.0, boot_id, ranges, used_ms])?;
        }
        drop(insert);
        tx.commit()?;
        self.seen_kept_to = self.next_id - 1;
        Ok(())
    }
}

/// What is wrong in a tail that nobody has open; groups that are sound, and those that were set aside before. Nothing is
/// written.
pub fn check(dir: &Path, dictionary: &Dictionary, mut fault: impl FnMut(String)) -> Result<(u64, u64)> {
    FILE.readers(dir).with(|db| {
        if let Err(error) = load_metrics(db, dictionary) {
            fault(error.to_string());
        }
        let mut sound = 0;
        let mut statement = db.prepare("SELECT id, format, body FROM batch_group ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(0)?;
            match Entries::open(id, row.get(1)?, blob(row, 2)?) {
                Ok(entries) => {
                    sound += 1;
                    for metric in entries.metrics().filter(|metric| dictionary.name(*metric).is_none()) {
                        fault(format!("group {id} of tail.db has metric {metric}, which has no name"));
                    }
                }
                Err(error) => fault(error.to_string()),
            }
        }
        let set_aside: i64 = db.query_row("SELECT count(*) FROM quarantine", [], |row| row.get(0))?;
        Ok((sound, set_aside as u64))
    })
}

fn load_metrics(db: &Connection, dictionary: &Dictionary) -> Result<()> {
    let mut statement = db.prepare("SELECT id, name FROM metric ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        dictionary.restore(row.get(0)?, row.get_ref(1)?.as_str().map_err(|e| damaged(0, &e.to_string()))?)?;
    }
    Ok(())
}

fn blob<'a>(row: &'a rusqlite::Row<'_>, column: usize) -> Result<&'a [u8]> {
    row.get_ref(column)?.as_blob().map_err(|e| damaged(0, &e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Batch;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A tail with a group of generation 1 and so many of generation 2.
    fn tail(dir: &Path, waiting: u32) -> Tail {
        let mut tail = Tail::open(dir, 0).unwrap();
        let batch = StoredBatch::of(Batch::new(DeviceId(1), 7), |_| None);
        for number in 0..=waiting {
            tail.append(
                1 + i64::from(number > 0),
                std::slice::from_ref(&batch),
                &[None],
                &Dictionary::default(),
            )
            .unwrap();
        }
        tail
    }

    /// Steps of SQLite's machine, in tens.
    fn steps_of(tail: &mut Tail, work: impl FnOnce(&mut Tail)) -> u32 {
        let steps = Arc::new(AtomicU32::new(0));
        let counted = steps.clone();
        let count = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            false
        };
        tail.db.progress_handler(10, Some(count)).unwrap();
        work(tail);
        steps.load(Ordering::Relaxed)
    }

    #[test]
    fn forgetting_costs_the_same_however_many_groups_wait_for_their_seal() {
        let steps = |waiting| {
            let dir = tempfile::tempdir().unwrap();
            let mut tail = tail(dir.path(), waiting);
            steps_of(&mut tail, |tail| {
                while tail.forget(1, i64::MAX, &Seen::default()).unwrap() {}
                assert_eq!(tail.oldest().unwrap(), Some((2, 2)));
                assert!(!tail.forget(1, i64::MAX, &Seen::default()).unwrap());
            })
        };
        let (few, many) = (steps(100), steps(3_000));
        assert!(many <= few + 2, "{few} and {many}");
    }
}
