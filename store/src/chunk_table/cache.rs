//! Chunks that were unpacked lately: most queries ask again for what was just asked.
//!
//! A chunk never changes and its number is never given twice, so nothing here can be out of date.

use crate::chunk::Chunk;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Memory of the unpacked chunks that are kept, at most.
pub const CACHE_BYTES_MAX: usize = 32 << 20;

/// A chunk that takes more is not kept: it would push out all others.
const CHUNK_BYTES_MAX: usize = CACHE_BYTES_MAX / 8;

/// Unpacked chunks by number.
#[derive(Default)]
pub struct Cache(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    chunks: HashMap<i64, Kept>,
    bytes: usize,
    /// Counts the uses.
    clock: u64,
}

struct Kept {
    chunk: Arc<Chunk>,
    bytes: usize,
    used: u64,
}

impl Cache {
    /// The chunk, if it is kept.
    pub fn get(&self, id: i64) -> Option<Arc<Chunk>> {
        let mut inner = self.0.lock();
        inner.clock += 1;
        let used = inner.clock;
        let kept = inner.chunks.get_mut(&id)?;
        kept.used = used;
        Some(kept.chunk.clone())
    }

    /// Keeps a chunk, in the place of those that were not used for the longest time.
    pub fn put(&self, id: i64, chunk: &Arc<Chunk>) {
        let bytes = chunk.memory_bytes();
        if bytes > CHUNK_BYTES_MAX {
            return;
        }
        let mut inner = self.0.lock();
        inner.clock += 1;
        let kept = Kept { chunk: chunk.clone(), bytes, used: inner.clock };
        let before = inner.chunks.insert(id, kept).map_or(0, |before| before.bytes);
        inner.bytes = inner.bytes + bytes - before;
        if inner.bytes > CACHE_BYTES_MAX {
            inner.make_room();
        }
    }

    /// Forgets everything, as when a device is deleted.
    pub fn clear(&self) {
        *self.0.lock() = Inner::default();
    }
}

impl Inner {
    /// Frees a quarter at once, so that this is done seldom.
    fn make_room(&mut self) {
        let mut by_use: Vec<(u64, i64)> = self.chunks.iter().map(|(id, kept)| (kept.used, *id)).collect();
        by_use.sort_unstable();
        for (_, id) in by_use {
            if self.bytes <= CACHE_BYTES_MAX / 4 * 3 {
                return;
            }
            self.bytes -= self.chunks.remove(&id).map_or(0, |kept| kept.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{ColumnIn, ColumnKey, Field, encode};
    use crate::types::{Kind, Presence};

    fn chunk(rows: usize) -> Arc<Chunk> {
        let values = (0..rows).map(|i| (i as f64).sqrt()).collect();
        let key = ColumnKey { metric: 1, field: Field::Value };
        let column = ColumnIn { key, kind: Kind::Gauge, values, present: Presence::All };
        let times: Vec<i64> = (0..rows as i64).collect();
        Arc::new(Chunk::open(&encode(&times, &[column])).unwrap())
    }

    #[test]
    fn the_memory_has_a_bound_and_what_is_used_stays() {
        let cache = Cache::default();
        let large = chunk(8_000);
        let fit = CACHE_BYTES_MAX / large.memory_bytes();
        assert!(fit > 10, "{fit}");
        for id in 0..3 * fit as i64 {
            cache.put(id, &large);
            assert!(cache.get(0).is_some(), "used all the time, gone at {id}");
            let inner = cache.0.lock();
            assert!(inner.bytes <= CACHE_BYTES_MAX);
            assert_eq!(inner.bytes, inner.chunks.values().map(|kept| kept.bytes).sum::<usize>());
        }
        assert!(cache.get(1).is_none(), "the longest unused is still there");
        cache.clear();
        assert!(cache.get(0).is_none());
    }

    #[test]
    fn a_chunk_that_comes_twice_counts_once() {
        let cache = Cache::default();
        let one = chunk(100);
        cache.put(1, &one);
        cache.put(1, &one);
        assert_eq!(cache.0.lock().bytes, one.memory_bytes());
    }
}
