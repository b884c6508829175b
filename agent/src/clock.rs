//! This device's clock: times of samples that go on whatever somebody does to it, how far it is from the
//! server's, and the server's time for samples where it is plainly wrong.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::log;

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

/// From how far on a clock counts as wrong: samples then get the server's time, which would otherwise refuse
/// those of the future and show the others where nobody looks.
pub const WRONG_MS: i64 = 60_000;
/// A clock that was wrong is right again when it is nearer than this.
const RIGHT_MS: i64 = 30_000;
/// A clock that went on by so much more or less than time did was set, or the device slept.
const STEP_MS: i64 = 2_000;
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
    seen: Option<(Instant, i64)>,
    wrong: bool,
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

    /// The time that a sample of now gets, when this device's clock says `wall_ms`: that, or the server's
    /// where it is further off than [`WRONG_MS`] for certain.
    pub fn time(&mut self, now: Instant, wall_ms: i64) -> i64 {
        if let Some((then, then_ms)) = self.seen.replace((now, wall_ms)) {
            let elapsed = now.saturating_duration_since(then).as_millis();
            let expected_ms = then_ms.saturating_add(i64::try_from(elapsed).unwrap_or(i64::MAX));
            if wall_ms.saturating_sub(expected_ms).saturating_abs() > STEP_MS {
                // The answers are about another time; the next one is believed again.
                self.answers.clear();
            }
        }
        let Some((ms, error_ms)) = self.ms() else {
            self.wrong = false;
            return wall_ms;
        };
        let limit_ms = if self.wrong { RIGHT_MS } else { WRONG_MS };
        self.wrong = ms.saturating_abs().saturating_sub(error_ms) > limit_ms;
        if self.wrong { wall_ms.saturating_add(ms) } else { wall_ms }
    }

    /// How this clock is wrong, as reports have it; nothing if it is right, or not known to be wrong.
    pub fn wrong(&self) -> Option<&'static str> {
        let (ms, _) = self.ms().filter(|_| self.wrong)?;
        Some(if ms > 0 { "behind" } else { "ahead" })
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

    /// As [`Offset::time`]. A clock that is found wrong, or right again, is said.
    pub fn time(&self, now: Instant, wall_ms: i64) -> i64 {
        let mut offset = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = offset.wrong();
        let t_ms = offset.time(now, wall_ms);
        match offset.wrong() {
            after if after == before => {}
            Some(word) => log::warn(format_args!(
                "this device's clock is {} s {word} of the server's: samples get the server's time; set the clock, \
                 or let the network set it (`timedatectl set-ntp true`)",
                t_ms.abs_diff(wall_ms) / 1_000,
            )),
            None if offset.ms().is_some() => log::info("this device's clock is right again"),
            None => {}
        }
        t_ms
    }

    /// As [`Offset::wrong`].
    pub fn wrong(&self) -> Option<&'static str> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wrong()
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
    fn a_clock_that_is_plainly_wrong_lends_samples_the_servers_time() {
        let start = Instant::now();
        let check = |true_ms: i64, wrong: Option<&str>| {
            let mut offset = Offset::default();
            let wall = |elapsed: i64| 1_795_531_503_210 + elapsed;
            let at = |elapsed: i64| start + Duration::from_millis(elapsed as u64);
            assert_eq!(
                (offset.time(at(0), wall(0)), offset.wrong()),
                (wall(0), None),
                "nothing is known yet"
            );
            observed(&mut offset, start, true_ms, 9, 10_137);
            let (ms, error_ms) = offset.ms().unwrap();
            let expected = wall(100_000) + if wrong.is_some() { ms } else { 0 };
            assert_eq!(
                (offset.time(at(100_000), wall(100_000)), offset.wrong()),
                (expected, wrong),
                "{true_ms}"
            );
            assert!(wrong.is_none() || (expected - wall(100_000) - true_ms).abs() <= error_ms);
            // Somebody sets the clock: until the next answer nobody knows better than it.
            let set = wall(105_000) + true_ms;
            if true_ms.abs() > STEP_MS {
                assert_eq!((offset.time(at(105_000), set), offset.wrong()), (set, None), "{true_ms}");
            }
        };
        for right in [0, -2_500, 59_000, -59_000] {
            check(right, None);
        }
        check(-3_600_000, Some("ahead"));
        check(86_400_000 * 365, Some("behind"));
    }

    #[test]
    fn a_clock_on_the_border_does_not_flutter() {
        let (mut offset, start) = (Offset::default(), Instant::now());
        let wall = 1_795_531_503_210;
        for (true_ms, wrong) in
            [(59_000, false), (63_000, true), (45_000, true), (28_000, false), (59_000, false)]
        {
            offset.answers.clear();
            observed(&mut offset, start, true_ms, 1, 1);
            offset.time(start, wall);
            assert_eq!(offset.wrong().is_some(), wrong, "{true_ms}");
        }
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
