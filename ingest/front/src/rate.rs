//! Token buckets by key, in a table that cannot grow past its bound.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// In the long run, per second; more than 0.
    pub per_second: f64,
    /// At once, after a time of quiet.
    pub burst: NonZeroU32,
}

/// One token bucket a key. Thread-safe; time is an argument.
///
/// A key nobody used for as long as its bucket takes to fill is the same as a new one, so such keys are forgotten
/// when the table is full. If none is, the emptiest need their memory more: the fullest is forgotten.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    keys_max: usize,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at_ms: i64,
}

impl Bucket {
    /// A clock that went back fills nothing and takes nothing away.
    fn filled(self, rate: Rate, now_ms: i64) -> f64 {
        let passed_ms = now_ms.saturating_sub(self.at_ms).max(0);
        (self.tokens + passed_ms as f64 / 1000.0 * rate.per_second).min(f64::from(rate.burst.get()))
    }
}

impl<K: Eq + Hash + Copy> Buckets<K> {
    /// Full buckets for every key, and memory for `keys_max` of them (at least one).
    pub fn new(rate: Rate, keys_max: usize) -> Buckets<K> {
        Buckets { rate, keys_max: keys_max.max(1), buckets: Mutex::default() }
    }

    /// Takes one token; when there is none, says in how many seconds (at least 1) there will be.
    ///
    /// # Errors
    /// The bucket is empty.
    pub fn take(&self, key: K, now_ms: i64) -> Result<(), u32> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = self.level(&buckets, &key, now_ms);
        if tokens < 1.0 {
            return Err(self.wait_s(tokens));
        }
        if !buckets.contains_key(&key) && buckets.len() >= self.keys_max {
            self.forget_some(&mut buckets, now_ms);
        }
        buckets.insert(key, Bucket { tokens: tokens - 1.0, at_ms: now_ms });
        Ok(())
    }

    /// Like [`Buckets::take`], but takes nothing.
    ///
    /// # Errors
    /// The bucket is empty.
    pub fn check(&self, key: K, now_ms: i64) -> Result<(), u32> {
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = self.level(&buckets, &key, now_ms);
        if tokens < 1.0 { Err(self.wait_s(tokens)) } else { Ok(()) }
    }

    fn level(&self, buckets: &HashMap<K, Bucket>, key: &K, now_ms: i64) -> f64 {
        buckets.get(key).map_or(f64::from(self.rate.burst.get()), |bucket| bucket.filled(self.rate, now_ms))
    }

    fn wait_s(&self, tokens: f64) -> u32 {
        // `as` saturates: a rate of nearly nothing waits for u32::MAX seconds.
        ((1.0 - tokens) / self.rate.per_second).ceil().max(1.0) as u32
    }

    fn forget_some(&self, buckets: &mut HashMap<K, Bucket>, now_ms: i64) {
        let burst = f64::from(self.rate.burst.get());
        buckets.retain(|_, bucket| bucket.filled(self.rate, now_ms) < burst);
        // A flood of new keys would come back here with each of them: make room for many at once.
        let keep = self.keys_max - self.keys_max.div_ceil(16);
        if buckets.len() > keep {
            let mut levels: Vec<(f64, K)> =
                buckets.iter().map(|(key, bucket)| (bucket.filled(self.rate, now_ms), *key)).collect();
            levels.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            for (_, key) in &levels[keep..] {
                buckets.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(per_second: f64, burst: u32, keys_max: usize) -> Buckets<u32> {
        Buckets::new(Rate { per_second, burst: NonZeroU32::new(burst).unwrap() }, keys_max)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let b = buckets(0.5, 3, 10);
        for _ in 0..3 {
            b.take(1, 0).unwrap();
        }
        assert_eq!(b.take(1, 0), Err(2));
        assert_eq!(b.check(1, 1000), Err(1));
        b.take(1, 2000).unwrap();
        assert_eq!(b.take(1, 2000), Err(2));
        b.take(2, 2000).unwrap();
    }

    #[test]
    fn a_check_takes_nothing() {
        let b = buckets(1.0, 1, 10);
        for _ in 0..5 {
            b.check(1, 0).unwrap();
        }
        b.take(1, 0).unwrap();
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_away() {
        let b = buckets(1.0, 1, 10);
        b.take(1, 1_000_000).unwrap();
        assert_eq!(b.take(1, 0), Err(1));
        assert_eq!(b.take(1, i64::MIN), Err(1));
        b.take(1, i64::MAX).unwrap();
    }

    #[test]
    fn a_flood_of_keys_neither_grows_the_table_nor_frees_an_empty_bucket() {
        let b = buckets(0.001, 5, 100);
        for _ in 0..5 {
            b.take(7, 0).unwrap();
        }
        for key in 1000..5000 {
            b.take(key, 1).unwrap();
        }
        assert!(b.buckets.lock().unwrap().len() <= 100);
        assert!(b.take(7, 2).is_err());
    }
}
