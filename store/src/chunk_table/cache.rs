//! What was read of chunks lately: most queries ask again for what was just asked.
//!
//! A chunk never changes and its number is never given twice, so nothing here can be out of date.

use crate::chunk::{Chunk, ColumnKey};
use crate::types::{Presence, Timestamp};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Memory of the unpacked chunks that are kept, at most.
const CHUNKS_BYTES_MAX: usize = 16 << 20;

/// Memory of the decoded columns and times that are kept, at most. Their own: a column takes a hundredth of its chunk, so
/// those of a whole fleet fit where its chunks would push each other out.
const COLUMNS_BYTES_MAX: usize = 16 << 20;

/// What stands beside the values of one that is kept, about.
const ENTRY_BYTES: usize = 128;

/// See the module.
pub struct Cache {
    chunks: Mutex<Latest<i64, Arc<Chunk>>>,
    times: Mutex<Latest<i64, Arc<[Timestamp]>>>,
    columns: Mutex<Latest<(i64, ColumnKey), Found>>,
}

/// A column; `None`: the chunk has no such column.
pub type Found = Option<Arc<Column>>;

/// A column that was decoded: its values, one for each row that has one.
pub struct Column {
    pub values: Vec<f64>,
    /// Which rows those are.
    pub present: Presence,
}

impl Default for Cache {
    fn default() -> Cache {
        Cache {
            chunks: Mutex::new(Latest::new(CHUNKS_BYTES_MAX)),
            times: Mutex::new(Latest::new(COLUMNS_BYTES_MAX / 4)),
            columns: Mutex::new(Latest::new(COLUMNS_BYTES_MAX / 4 * 3)),
        }
    }
}

impl Cache {
    /// The chunk, if it is kept.
    pub fn chunk(&self, id: i64) -> Option<Arc<Chunk>> {
        self.chunks.lock().get(&id)
    }

    /// Keeps a chunk.
    pub fn put_chunk(&self, id: i64, chunk: &Arc<Chunk>) {
        self.chunks.lock().put(id, chunk.clone(), chunk.memory_bytes());
    }

    /// The times of its rows, if they are kept.
    pub fn times(&self, id: i64) -> Option<Arc<[Timestamp]>> {
        self.times.lock().get(&id)
    }

    /// Keeps the times of its rows.
    pub fn put_times(&self, id: i64, times: &Arc<[Timestamp]>) {
        self.times.lock().put(id, times.clone(), size_of_val(&**times));
    }

    /// A column of it, if what is found there is kept.
    pub fn column(&self, id: i64, key: ColumnKey) -> Option<Found> {
        self.columns.lock().get(&(id, key))
    }

    /// Keeps what was found of a column.
    pub fn put_column(&self, id: i64, key: ColumnKey, column: &Found) {
        let bytes = column.as_ref().map_or(0, |column| column.memory_bytes());
        self.columns.lock().put((id, key), column.clone(), bytes);
    }

    /// Forgets everything, as when a device is deleted.
    pub fn clear(&self) {
        self.chunks.lock().clear();
        self.times.lock().clear();
        self.columns.lock().clear();
    }
}

impl Column {
    fn memory_bytes(&self) -> usize {
        let present = match &self.present {
            Presence::All => 0,
            Presence::Bits(words) => size_of_val(&**words),
        };
        self.values.capacity() * size_of::<f64>() + present
    }
}

/// Values that were used lately, by key, within a bound of memory.
struct Latest<K, V> {
    kept: HashMap<K, Kept<V>>,
    bytes_max: usize,
    bytes: usize,
    /// Counts the uses.
    clock: u64,
}

struct Kept<V> {
    value: V,
    bytes: usize,
    used: u64,
}

impl<K: Eq + Hash + Copy, V: Clone> Latest<K, V> {
    fn new(bytes_max: usize) -> Latest<K, V> {
        Latest { kept: HashMap::new(), bytes_max, bytes: 0, clock: 0 }
    }

    fn get(&mut self, key: &K) -> Option<V> {
        self.clock += 1;
        let kept = self.kept.get_mut(key)?;
        kept.used = self.clock;
        Some(kept.value.clone())
    }

    /// Keeps a value, in the place of those that were not used for the longest time.
    fn put(&mut self, key: K, value: V, bytes: usize) {
        let bytes = bytes + ENTRY_BYTES;
        // It would push out too many others.
        if bytes > self.bytes_max / 4 {
            return;
        }
        self.clock += 1;
        let before = self.kept.insert(key, Kept { value, bytes, used: self.clock });
        self.bytes = self.bytes + bytes - before.map_or(0, |before| before.bytes);
        if self.bytes > self.bytes_max {
            self.make_room();
        }
    }

    /// Frees a quarter at once, so that this is done seldom.
    fn make_room(&mut self) {
        let mut by_use: Vec<(u64, K)> = self.kept.iter().map(|(key, kept)| (kept.used, *key)).collect();
        by_use.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in by_use {
            if self.bytes <= self.bytes_max / 4 * 3 {
                return;
            }
            self.bytes -= self.kept.remove(&key).map_or(0, |kept| kept.bytes);
        }
    }

    fn clear(&mut self) {
        *self = Latest::new(self.bytes_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_has_a_bound_and_what_is_used_stays() {
        let mut latest = Latest::new(100 << 10);
        for key in 0..300 {
            latest.put(key, key, (1 << 10) - ENTRY_BYTES);
            assert_eq!(latest.get(&0), Some(0), "used all the time, gone at {key}");
            assert!(latest.bytes <= latest.bytes_max);
            assert_eq!(latest.bytes, latest.kept.values().map(|kept| kept.bytes).sum::<usize>());
        }
        assert_eq!(latest.get(&1), None, "the longest unused is still there");
        assert_eq!(latest.get(&299), Some(299));
        latest.put(1_000, 1_000, 26 << 10);
        assert_eq!(latest.get(&1_000), None, "one that takes more than a quarter");
        latest.clear();
        assert_eq!((latest.get(&0), latest.bytes), (None, 0));
    }

    #[test]
    fn what_comes_twice_counts_once() {
        let mut latest = Latest::new(1 << 20);
        latest.put(1, 5, 1_000);
        latest.put(1, 6, 2_000);
        assert_eq!((latest.get(&1), latest.bytes), (Some(6), 2_000 + ENTRY_BYTES));
    }
}
