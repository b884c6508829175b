//! This device's clock: times of samples that go on whatever somebody does to it, and how far it is
//! from the server's.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A clock that was set back further than this was wrong by more than the server accepts of the future:
/// then the new time counts at once, and the order of samples breaks this once.
pub const STEP_BACK_MAX_MS: i64 = 600_000;

/// Times of samples. They follow the device's clock, each later than the one before: after that was
/// set back they go on at half speed until it has caught up.
#[derive(Clone, Debug, Default)]
pub struct SampleClock {
    last: Option<(Instant, i64)>,
}

impl SampleClock {
    /// The time of a sample taken at `now`, when the device's clock says `wall_ms`.
    pub fn time(&mut self, now: Instant, wall_ms: i64) -> i64 {
        let t_ms = match self.last {
            None => wall_ms,
            Some((_, last_ms)) if wall_ms < last_ms.saturating_sub(STEP_BACK_MAX_MS) => wall_ms,
            Some((then, last_ms)) => {
                let elapsed_ms = now.saturating_duration_since(then).as_millis();
                let half_ms = i64::try_from(elapsed_ms / 2).unwrap_or(i64::MAX).max(1);
                wall_ms.max(last_ms.saturating_add(half_ms))
            }
        };
        self.last = Some((now, t_ms));
        t_ms
    }
}

/// Answers that the offset is taken from.
const ANSWERS_MAX: usize = 64;
/// For how long an answer counts: clocks drift apart by some milliseconds meanwhile.
const ANSWERS_FOR: Duration = Duration::from_secs(900);

/// How far the server's clock is from this one.
///
/// An answer says the second in which the server wrote it, and it was written between the request and
/// its arrival: that bounds the offset from both sides, to a second and the round trip. What all
/// answers agree on is narrower with each of them, because they fall on different parts of a second
/// (K. Marzullo, *Maintaining the Time in a Distributed System*, 1984). Where they agree on nothing a
/// clock was set, and the older ones are forgotten.
#[derive(Clone, Debug, Default)]
pub struct Offset {
    answers: VecDeque<Bounds>,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    at: Instant,
    low_ms: i64,
    high_ms: i64,
}

impl Offset {
    /// An answer of the server's second `date_s`, to a request that was sent when this clock said
    /// `sent_ms` and took so long; `now` is when it arrived.
    pub fn observe(&mut self, date_s: i64, sent_ms: i64, took: Duration, now: Instant) {
        let took_ms = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        let date_ms = date_s.saturating_mul(1_000);
        let bounds = Bounds {
            at: now,
            low_ms: date_ms.saturating_sub(sent_ms).saturating_sub(took_ms),
            high_ms: date_ms.saturating_add(1_000).saturating_sub(sent_ms),
        };
        self.answers.push_back(bounds);
        let old = |first: &Bounds| now.saturating_duration_since(first.at) > ANSWERS_FOR;
        while self.answers.len() > ANSWERS_MAX
            || self.answers.front().is_some_and(old)
            || self.agreed().is_some_and(|(low, high)| low > high)
        {
            self.answers.pop_front();
        }
    }

    fn agreed(&self) -> Option<(i64, i64)> {
        let low = self.answers.iter().map(|bounds| bounds.low_ms).max()?;
        let high = self.answers.iter().map(|bounds| bounds.high_ms).min()?;
        Some((low, high))
    }

    /// The server's time less this device's in milliseconds, and by how much that may be wrong.
    pub fn ms(&self) -> Option<(i64, i64)> {
        let (low, high) = self.agreed()?;
        let half = high.saturating_sub(low) / 2;
        Some((low.saturating_add(half), half))
    }
}

/// An [`Offset`] that threads share.
#[derive(Clone, Debug, Default)]
pub struct ServerClock(Arc<Mutex<Offset>>);

impl ServerClock {
    /// As [`Offset::observe`].
    pub fn observe(&self, date_s: i64, sent_ms: i64, took: Duration, now: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).observe(date_s, sent_ms, took, now);
    }

    /// As [`Offset::ms`].
    pub fn ms(&self) -> Option<(i64, i64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times of samples 5 s apart, in seconds after the first, where the clock is set by so many
    /// seconds before the third one.
    fn times(set_s: i64, samples: usize) -> Vec<f64> {
        let (start, first_ms) = (Instant::now(), 1_795_531_503_000);
        let mut clock = SampleClock::default();
        let mut time = |i: usize| {
            let elapsed_s = 5 * i as i64;
            let set_s = if i < 2 { 0 } else { set_s };
            let now = start + Duration::from_secs(elapsed_s as u64);
            (clock.time(now, first_ms + (elapsed_s + set_s) * 1_000) - first_ms) as f64 / 1_000.0
        };
        (0..samples).map(&mut time).collect()
    }

    #[test]
    fn samples_keep_their_order_when_the_clock_is_set() {
        assert_eq!(times(0, 4), [0.0, 5.0, 10.0, 15.0]);
        assert_eq!(times(3_600, 4), [0.0, 5.0, 3_610.0, 3_615.0], "it was slow, or the device slept");
        assert_eq!(times(-2, 4), [0.0, 5.0, 8.0, 13.0], "still later than the one before");
        assert_eq!(times(-12, 8), [0.0, 5.0, 7.5, 10.0, 12.5, 15.0, 18.0, 23.0], "at half speed");
        let back = times(-599, 300);
        assert!(back.is_sorted_by(|a, b| a < b), "{back:?}");
        assert_eq!(back[299], 5.0 * 299.0 - 599.0, "it has caught up");
        assert_eq!(times(-3_600, 4), [0.0, 5.0, -3_590.0, -3_585.0], "the old time was wrong by far");
    }

    #[test]
    fn two_samples_of_one_moment_are_apart() {
        let (mut clock, now) = (SampleClock::default(), Instant::now());
        assert_eq!([clock.time(now, 7), clock.time(now, 7), clock.time(now, 7)], [7, 8, 9]);
    }

    /// What answers say about a server whose clock is `true_ms` ahead: one every `every_ms`, with a
    /// round trip of 40 ms of which the way there takes 30.
    fn observed(
        offset: &mut Offset,
        start: Instant,
        true_ms: i64,
        answers: i64,
        every_ms: i64,
    ) -> (i64, i64) {
        for i in 0..answers {
            let sent_ms = 1_795_531_503_210 + i * every_ms;
            let date_s = (sent_ms + 30 + true_ms).div_euclid(1_000);
            let now = start + Duration::from_millis((i * every_ms) as u64 + 40);
            offset.observe(date_s, sent_ms, Duration::from_millis(40), now);
        }
        offset.ms().unwrap()
    }

    #[test]
    fn the_offset_is_within_its_bounds_and_they_narrow() {
        for true_ms in [0, 1, -1, 999, -86_400_000, 3_600_123] {
            let (ms, error) = observed(&mut Offset::default(), Instant::now(), true_ms, 1, 1);
            assert!((ms - true_ms).abs() <= error && error <= 520, "{true_ms}: {ms} ± {error}");
            let (ms, error) = observed(&mut Offset::default(), Instant::now(), true_ms, 64, 10_007);
            assert!((ms - true_ms).abs() <= error && error < 400, "{true_ms}: {ms} ± {error}");
            let (ms, error) = observed(&mut Offset::default(), Instant::now(), true_ms, 64, 10_137);
            assert!((ms - true_ms).abs() <= error && error < 60, "{true_ms}: {ms} ± {error}");
        }
        assert_eq!(Offset::default().ms(), None);
    }

    #[test]
    fn a_clock_that_was_set_is_believed_with_the_next_answer() {
        let (mut offset, start) = (Offset::default(), Instant::now());
        observed(&mut offset, start, 0, 20, 10_137);
        let later = start + Duration::from_secs(300);
        let (ms, error) = observed(&mut offset, later, -7_200_000, 1, 1);
        assert!((ms + 7_200_000).abs() <= error && error <= 520, "{ms} ± {error}");
    }
}
