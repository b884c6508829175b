//! The settings of limits: whole numbers, each within what works.

use std::ops::RangeInclusive;
use std::time::Duration;

use store::Limits;

/// Puts them together. `look_up` finds a setting by its name and checks its range; `None`: it has a fault, which is told.
pub fn limits(
    mut look_up: impl FnMut(&'static str, RangeInclusive<usize>) -> Option<usize>,
) -> Option<Limits> {
    // All are looked up, so that every fault is told.
    let metrics_per_device = look_up("limit_metrics_per_device", 1..=100_000);
    let query_samples = look_up("limit_query_samples", 1_000..=10_000_000_000);
    let query_seconds = look_up("limit_query_seconds", 1..=3_600);
    // Chunks of fewer samples would cost more than they hold.
    let head_samples = look_up("limit_head_samples", 1_000..=1_000_000_000);
    let queue_batches = look_up("limit_queue_reports", 1..=1_000_000);
    Some(Limits {
        metrics_per_device: metrics_per_device?,
        query_samples: query_samples?,
        query_time: Duration::from_secs(query_seconds? as u64),
        head_samples: head_samples?,
        queue_batches: queue_batches?,
    })
}

/// A whole number within a range.
pub fn number(text: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_and_within_their_range() {
        assert_eq!(number("7", 1..=10), Ok(7));
        for odd in ["", "0", "11", "-1", "1.5", "7k", "99999999999999999999"] {
            let why = number(odd, 1..=10).unwrap_err();
            assert_eq!(why, "must be a whole number from 1 to 10", "{odd}");
        }
    }
}
