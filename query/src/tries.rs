//! Failed tries to sign in, by address and by account: after some free ones each has to wait longer than the last.

use std::collections::HashMap;
use std::hash::Hash;

use store::Timestamp;

/// How tries are slowed down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// Failures in a row that cost nothing: people mistype.
    pub free: u32,
    /// The wait after the first failure past those; it doubles with each further one.
    pub first_wait_ms: i64,
    /// The longest wait.
    pub wait_ms_max: i64,
    /// After this long without a try the failures are forgotten.
    pub forget_ms: i64,
    /// Keys remembered at most; past it the one that was quiet longest is forgotten.
    pub keys_max: usize,
}

/// By address. Several people may share one.
pub(crate) const BY_ADDRESS: Policy =
    Policy { free: 10, first_wait_ms: 1_000, wait_ms_max: 300_000, forget_ms: 3_600_000, keys_max: 8_192 };

/// By account. The longest wait is short, or anybody could keep its owner out by failing on purpose.
pub(crate) const BY_ACCOUNT: Policy =
    Policy { free: 5, first_wait_ms: 1_000, wait_ms_max: 60_000, forget_ms: 3_600_000, keys_max: 8_192 };

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last_ms: Timestamp,
}

/// The table of one kind of key.
#[derive(Debug)]
pub(crate) struct Tries<K> {
    policy: Policy,
    failures: HashMap<K, Failures>,
}

impl<K: Eq + Hash + Clone> Tries<K> {
    pub(crate) fn new(policy: Policy) -> Tries<K> {
        Tries { policy, failures: HashMap::new() }
    }

    /// Begins a try, counted as failed until [`Tries::succeeded`] says otherwise: many at once gain nothing.
    /// `Err` holds the seconds to wait; such a try is not counted.
    pub(crate) fn begin(&mut self, key: &K, now: Timestamp) -> Result<(), u32> {
        let before = self.failures.get(key).filter(|f| now.saturating_sub(f.last_ms) < self.policy.forget_ms);
        if let Some(failures) = before {
            let passed_ms = now.saturating_sub(failures.last_ms).max(0);
            let missing_ms = self.wait_ms(failures.count) - passed_ms;
            if missing_ms > 0 {
                return Err(u32::try_from(missing_ms.unsigned_abs().div_ceil(1_000)).unwrap_or(u32::MAX));
            }
        }
        let count = before.map_or(0, |f| f.count).saturating_add(1);
        if !self.failures.contains_key(key) && self.failures.len() >= self.policy.keys_max {
            self.forget_some(now);
        }
        self.failures.insert(key.clone(), Failures { count, last_ms: now });
        Ok(())
    }

    /// The try was a good one: its key starts anew.
    pub(crate) fn succeeded(&mut self, key: &K) {
        self.failures.remove(key);
    }

    /// How long after the last of `count` failures the next try may come.
    fn wait_ms(&self, count: u32) -> i64 {
        let Some(past) = count.checked_sub(self.policy.free) else { return 0 };
        let doubled = self.policy.first_wait_ms.saturating_mul(1_i64 << past.min(40));
        doubled.min(self.policy.wait_ms_max)
    }

    /// Makes room for many at once, so that a flood of new keys does not come back here with each of them.
    fn forget_some(&mut self, now: Timestamp) {
        let forget_ms = self.policy.forget_ms;
        self.failures.retain(|_, f| now.saturating_sub(f.last_ms) < forget_ms);
        let keep = self.policy.keys_max - self.policy.keys_max.div_ceil(16);
        if self.failures.len() > keep {
            let mut by_age: Vec<(Timestamp, K)> =
                self.failures.iter().map(|(key, f)| (f.last_ms, key.clone())).collect();
            by_age.sort_unstable_by_key(|(last_ms, _)| std::cmp::Reverse(*last_ms));
            for (_, key) in &by_age[keep..] {
                self.failures.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Policy =
        Policy { free: 3, first_wait_ms: 1_000, wait_ms_max: 10_000, forget_ms: 60_000, keys_max: 20 };

    /// Tries at these moments; what each was told.
    #[track_caller]
    fn check(times: &[Timestamp], expected: &[Result<(), u32>]) {
        let mut tries = Tries::new(SMALL);
        let got: Vec<_> = times.iter().map(|&now| tries.begin(&1, now)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        check(&[0, 0, 0], &[Ok(()), Ok(()), Ok(())]);
        check(&[0, 0, 0, 0, 999, 1_000], &[Ok(()), Ok(()), Ok(()), Err(1), Err(1), Ok(())]);
        check(&[0, 0, 0, 1_000, 1_001, 3_000], &[Ok(()), Ok(()), Ok(()), Ok(()), Err(2), Ok(())]);
        let mut tries = Tries::new(SMALL);
        let mut now = 0;
        for _ in 0..50 {
            now += 10_000;
            assert_eq!(tries.begin(&1, now), Ok(()), "never longer than the bound");
        }
    }

    #[test]
    fn a_refused_try_does_not_prolong_the_wait() {
        check(&[0, 0, 0, 500, 900, 1_000], &[Ok(()), Ok(()), Ok(()), Err(1), Err(1), Ok(())]);
    }

    #[test]
    fn success_and_time_start_anew() {
        let mut tries = Tries::new(SMALL);
        for _ in 0..3 {
            tries.begin(&1, 0).unwrap();
        }
        assert!(tries.begin(&1, 0).is_err());
        assert!(tries.begin(&2, 0).is_ok(), "another key is not concerned");
        tries.succeeded(&1);
        assert!(tries.begin(&1, 0).is_ok());
        check(&[0, 0, 0, 60_000, 60_000, 60_000], &[Ok(()); 6]);
    }

    #[test]
    fn a_clock_that_goes_back_neither_frees_nor_locks_for_ever() {
        check(&[5_000, 5_000, 5_000, 0], &[Ok(()), Ok(()), Ok(()), Err(1)]);
    }

    #[test]
    fn a_flood_of_keys_does_not_grow_the_table() {
        let mut tries = Tries::new(SMALL);
        for key in 0..1_000 {
            let _ = tries.begin(&key, i64::from(key));
        }
        assert!(tries.failures.len() <= SMALL.keys_max);
        assert!(tries.failures.contains_key(&999));
    }
}
