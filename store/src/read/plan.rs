//! Which tier and step answer a range. Decided from the range and from how far back each tier reaches.

use crate::types::{Tier, TimeRange, Timestamp};

/// Finest step, milliseconds. What needs a finer one holds few enough rows to be answered by themselves.
const STEP_MIN_MS: i64 = 10;

/// The tier to read, and the step in milliseconds: the finest with at most `points` steps, or that of a tier when this
/// gives up no more than a fifth of them.
pub fn tier_and_step(range: TimeRange, points: usize) -> (Tier, i64) {
    // One step more than the length says: the first begins before the range.
    let room = (points as i64 - 1).max(1);
    let needed = range.length_ms().div_euclid(room) + i64::from(range.length_ms() % room > 0);
    let reaches = |step: i64| needed > step / 5 * 4;
    let five_minutes = Tier::FiveMinutes.step_ms();
    let hour = Tier::Hour.step_ms();
    if reaches(hour) {
        (Tier::Hour, round_up(needed, hour))
    } else if reaches(five_minutes) {
        (Tier::FiveMinutes, round_up(needed, five_minutes))
    } else if needed > 500 {
        (Tier::Raw, round_up(needed, 1_000))
    } else {
        (Tier::Raw, round_up(needed.max(1), STEP_MIN_MS))
    }
}

/// From when on every row of a tier is there: raw, 5 min, 1 h.
pub type KeptFrom = [Timestamp; 3];

/// Of a tier and the coarser ones the finest that reaches back as far as any of them within the range.
pub fn reaching_back(tier: Tier, step_ms: i64, range: TimeRange, kept_from: KeptFrom) -> (Tier, i64) {
    let candidates = Tier::ALL.into_iter().zip(kept_from).filter(|c| c.0 >= tier);
    let furthest = candidates.min_by_key(|c| c.1.max(range.start()));
    let tier = furthest.map_or(tier, |c| c.0);
    (tier, if tier == Tier::Raw { step_ms } else { round_up(step_ms, tier.step_ms()) })
}

fn round_up(value: i64, to: i64) -> i64 {
    value.saturating_add(to - 1) / to * to
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;

    #[track_caller]
    fn check(length: i64, points: usize, expected: &str) {
        let start = 1_795_343_922_420;
        let range = TimeRange::new(start, start + length).unwrap();
        let (tier, step) = tier_and_step(range, points);
        assert_eq!(format!("{} {} s", tier.as_str(), step as f64 / 1000.0), expected);
        let first = crate::rollup::step_start(start, step);
        let steps = (start + length - first + step - 1) / step;
        assert!(steps as usize <= points.max(2), "{steps} steps for {points} points");
    }

    #[track_caller]
    fn check_reach(tier: Tier, from_day: i64, kept_from_days: [i64; 3], expected: &str) {
        let range = TimeRange::new(from_day * DAY, 1_000 * DAY).unwrap();
        let (tier, step) = reaching_back(tier, 145_000, range, kept_from_days.map(|d| d * DAY));
        assert_eq!(format!("{} {} s", tier.as_str(), step / 1000), expected);
    }

    #[test]
    fn a_tier_that_does_not_reach_back_gives_way_to_one_that_does() {
        check_reach(Tier::Raw, 970, [970, 600, 0], "raw 145 s");
        check_reach(Tier::Raw, 969, [970, 600, 0], "5m 300 s");
        check_reach(Tier::Raw, 599, [970, 600, 0], "1h 3600 s");
        check_reach(Tier::Hour, 999, [970, 600, 0], "1h 3600 s");
    }

    #[test]
    fn where_no_tier_reaches_back_the_furthest_answers() {
        check_reach(Tier::Raw, 1, [970, 600, 500], "1h 3600 s");
        check_reach(Tier::Raw, 1, [970, 970, 970], "raw 145 s");
    }

    #[test]
    fn a_quarter_of_an_hour_is_read_by_seconds() {
        check(15 * MINUTE, 600, "raw 2 s");
    }

    #[test]
    fn a_day_is_read_from_raw() {
        check(DAY, 600, "raw 145 s");
    }

    #[test]
    fn a_day_in_steps_of_five_minutes_is_read_from_these() {
        check(DAY, 289, "5m 300 s");
        check(DAY, 290, "5m 300 s");
        check(DAY, 350, "5m 300 s");
        check(DAY, 370, "raw 235 s");
        check(30 * DAY, 721, "1h 3600 s");
    }

    #[test]
    fn a_week_is_read_from_five_minutes() {
        check(7 * DAY, 600, "5m 1200 s");
    }

    #[test]
    fn a_year_is_read_from_hours() {
        check(365 * DAY, 600, "1h 54000 s");
    }

    #[test]
    fn fractions_of_a_second_are_possible() {
        check(3_000, 600, "raw 0.01 s");
    }

    #[test]
    fn one_point_is_possible() {
        check(DAY, 1, "1h 86400 s");
    }

    #[test]
    fn all_of_time_is_possible() {
        let range = TimeRange::new(i64::MIN, i64::MAX).unwrap();
        assert_eq!(tier_and_step(range, 600).0, Tier::Hour);
    }
}
