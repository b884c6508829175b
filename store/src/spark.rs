//! The last hour of one metric of each device, as means of a minute, in memory: what an overview draws of every device at
//! once, without reading a thousand chunks.

use crate::types::Timestamp;

/// The metric.
pub const SPARK_METRIC: &str = "cpu_percent";

/// Minutes that are kept.
pub const SPARK_MINUTES: usize = 60;

const MINUTE_MS: i64 = 60_000;

/// The minutes of one device.
#[derive(Debug, Clone)]
pub struct Spark {
    /// Number of the newest minute since 1970; minute `m` is at `m % 60`.
    newest: i64,
    sums: [f32; SPARK_MINUTES],
    counts: [u16; SPARK_MINUTES],
}

impl Default for Spark {
    fn default() -> Spark {
        Spark { newest: i64::MIN / MINUTE_MS, sums: [0.0; SPARK_MINUTES], counts: [0; SPARK_MINUTES] }
    }
}

impl Spark {
    /// Takes a sample in; one older than the hour before the newest is left out.
    pub fn add(&mut self, t: Timestamp, value: f64) {
        let minute = t.div_euclid(MINUTE_MS);
        if minute > self.newest {
            let passed = minute.saturating_sub(self.newest).min(SPARK_MINUTES as i64);
            for minute in minute - passed + 1..=minute {
                self.counts[slot(minute)] = 0;
                self.sums[slot(minute)] = 0.0;
            }
            self.newest = minute;
        }
        if value.is_finite() && minute > self.newest - SPARK_MINUTES as i64 {
            let at = slot(minute);
            self.sums[at] += value as f32;
            self.counts[at] = self.counts[at].saturating_add(1);
        }
    }

    /// The means of the hour that ends with the minute of `now`, the oldest first; `None` where nothing came.
    pub fn last_hour(&self, now: Timestamp) -> [Option<f32>; SPARK_MINUTES] {
        let last = now.div_euclid(MINUTE_MS);
        let first = last - SPARK_MINUTES as i64 + 1;
        let kept = self.newest - SPARK_MINUTES as i64 + 1..=self.newest;
        std::array::from_fn(|i| {
            let minute = first + i as i64;
            let count = if kept.contains(&minute) { self.counts[slot(minute)] } else { 0 };
            (count > 0).then(|| self.sums[slot(minute)] / f32::from(count))
        })
    }
}

fn slot(minute: i64) -> usize {
    minute.rem_euclid(SPARK_MINUTES as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_is_the_means_of_the_last_hour(
            samples in proptest::collection::vec((0i64..200, 0u8..100), 0..60),
            ahead in 0i64..90,
        ) {
            let mut spark = Spark::default();
            let mut model: BTreeMap<i64, Vec<f32>> = BTreeMap::new();
            let mut newest = i64::MIN;
            for (minute, value) in &samples {
                spark.add(minute * MINUTE_MS + 17, f64::from(*value));
                newest = newest.max(*minute);
                // What is too old when it comes is left out, and so is what became too old.
                if *minute > newest - 60 {
                    model.entry(*minute).or_default().push(f32::from(*value));
                }
                model.retain(|minute, _| *minute > newest - 60);
            }
            let now = newest.max(0) + ahead;
            let expected: Vec<Option<f32>> = (now - 59..=now)
                .map(|m| model.get(&m).map(|v| v.iter().sum::<f32>() / v.len() as f32))
                .collect();
            prop_assert_eq!(spark.last_hour(now * MINUTE_MS + 59_999).to_vec(), expected);
        }
    }

    #[test]
    fn odd_samples_change_nothing() {
        let mut spark = Spark::default();
        spark.add(0, f64::NAN);
        spark.add(i64::MIN, 1.0);
        assert!(spark.last_hour(0).iter().all(Option::is_none));
        spark.add(i64::MAX, 1.0);
        assert_eq!(spark.last_hour(i64::MAX)[59], Some(1.0));
    }
}
