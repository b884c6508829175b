//! How many lines may leave the device.

use std::time::{Duration, Instant};

/// Lines at once.
pub const BURST: u32 = 500;
/// Lines in the long run.
pub const PER_MINUTE: u32 = 200;
/// Crash lines at once, beside the others: a flood must not hide why it came.
pub const FATAL_BURST: u32 = 50;
/// Crash lines in the long run.
pub const FATAL_PER_MINUTE: u32 = 20;
/// How often it is said how many lines were left out while that goes on.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Counts lines.
#[derive(Clone, Debug)]
pub struct Limit {
    ordinary: Bucket,
    fatal: Bucket,
    left_out: u64,
    left_out_before: u64,
    said: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Bucket {
    lines: f64,
    burst: u32,
    per_minute: u32,
    filled: Instant,
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        let minutes = now.saturating_duration_since(self.filled).as_secs_f64() / 60.0;
        self.filled = self.filled.max(now);
        self.lines = (self.lines + minutes * f64::from(self.per_minute)).min(self.burst.into());
        let allowed = self.lines >= 1.0;
        self.lines -= f64::from(u8::from(allowed));
        allowed
    }
}

impl Limit {
    /// Nothing was sent yet.
    pub fn new(now: Instant) -> Limit {
        let bucket = |burst: u32, per_minute| Bucket { lines: burst.into(), burst, per_minute, filled: now };
        Limit {
            ordinary: bucket(BURST, PER_MINUTE),
            fatal: bucket(FATAL_BURST, FATAL_PER_MINUTE),
            left_out: 0,
            left_out_before: 0,
            said: None,
        }
    }

    /// Whether this line may be sent. It is counted if not.
    pub fn admits(&mut self, fatal: bool, now: Instant) -> bool {
        let allowed = if fatal { self.fatal.take(now) } else { self.ordinary.take(now) };
        self.left_out += u64::from(!allowed);
        allowed
    }

    /// How many lines were left out, when it is time to say so: once no more are, or each minute.
    pub fn left_out(&mut self, now: Instant) -> Option<u64> {
        let quiet = self.left_out == std::mem::replace(&mut self.left_out_before, self.left_out);
        let due = self.said.is_none_or(|said| now.saturating_duration_since(said) >= SAY_EVERY);
        if self.left_out == 0 || !(quiet || due) {
            return None;
        }
        self.said = Some(now);
        self.left_out_before = 0;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_cut_and_counted_and_the_rate_holds() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let mut admitted = |lines: u32, after_s: u64| {
            let now = start + Duration::from_secs(after_s);
            let admitted = (0..lines).filter(|_| limit.admits(false, now)).count();
            (admitted, limit.left_out(now))
        };
        assert_eq!(admitted(100_000, 0), (500, Some(99_500)));
        assert_eq!(admitted(1_000, 30), (100, None), "more to come");
        assert_eq!(admitted(0, 31), (0, Some(900)), "no more came");
        assert_eq!(admitted(0, 200), (0, None));
        assert_eq!(admitted(1_000, 3_600), (500, Some(500)), "never more than a burst");
        assert_eq!(admitted(1, 3_590), (0, None), "a clock that goes back adds nothing");
    }

    #[test]
    fn a_flood_leaves_room_for_crashes() {
        let now = Instant::now();
        let mut limit = Limit::new(now);
        assert_eq!((0..10_000).filter(|_| limit.admits(false, now)).count(), 500);
        assert_eq!((0..1_000).filter(|_| limit.admits(true, now)).count(), 50);
    }
}
