//! From a count that grows to how fast it grows.

use std::time::{Duration, Instant};

/// Below this, clock and counter steps would make most of the figure.
const SPAN_MIN: Duration = Duration::from_millis(50);

/// The last reading of a count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    last: Option<(Instant, u64)>,
}

impl Rate {
    /// Units per second since the last reading, whole. Nothing the first time, and nothing when the
    /// count fell: then it started anew, and how much came before is not known.
    pub fn per_second(&mut self, now: Instant, count: u64) -> Option<f64> {
        let Some((then, before)) = self.last else {
            self.last = Some((now, count));
            return None;
        };
        let span = now.saturating_duration_since(then);
        if span < SPAN_MIN {
            return None;
        }
        self.last = Some((now, count));
        let more = count.checked_sub(before)?;
        Some((more as f64 / span.as_secs_f64()).round())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second_and_skip_restarts() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(at(0), 1_000), None);
        assert_eq!(rate.per_second(at(2_000), 4_000), Some(1_500.0));
        assert_eq!(rate.per_second(at(2_010), 9_000), None, "too soon: not a reading");
        assert_eq!(rate.per_second(at(3_000), 5_000), Some(1_000.0));
        assert_eq!(rate.per_second(at(4_000), 10), None, "started anew");
        assert_eq!(rate.per_second(at(5_000), 10), Some(0.0));
    }
}
