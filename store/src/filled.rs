//! Which rows arrived much later than their time: a device kept them while it could not be heard, and a chart shows now
//! what nobody could see then.

use crate::presence::silence_allowed_ms;
use crate::types::{DeviceId, TimeRange, Timestamp};

/// The metric in which an agent says how far the server's clock is from its own, milliseconds.
pub const CLOCK_OFFSET_METRIC: &str = "clock_offset_ms";

/// The state by which an agent says that its clock is wrong and that its rows have the server's time.
pub const CLOCK_STATE: &str = "clock";

/// Rows that are younger than this when they arrive are never late, milliseconds.
pub const LATE_MS_MIN: i64 = 60_000;

/// Late rows of a report, or of several that fill one range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    pub device: DeviceId,
    /// From the first late row to one interval after the last.
    pub range: TimeRange,
    pub rows: u64,
    /// Ranges that are no farther apart than this belong together: between two rows nothing is missing. Milliseconds.
    pub slack_ms: i64,
    /// When the first of the reports came, and the last.
    pub from_received_ms: Timestamp,
    pub received_ms: Timestamp,
}

impl Filled {
    /// Takes in what a later report of the same device filled in, if there is nothing missing between the two.
    pub fn join(&mut self, later: &Filled) -> bool {
        if self.device != later.device {
            return false;
        }
        let (mine, other) = (self.range, later.range);
        let touches = mine.start() <= other.end().saturating_add(later.slack_ms)
            && mine.end() >= other.start().saturating_sub(later.slack_ms);
        let joined = TimeRange::new(mine.start().min(other.start()), mine.end().max(other.end()));
        match joined {
            Some(range) if touches => {
                let rows = self.rows.saturating_add(later.rows);
                *self = Filled { range, rows, from_received_ms: self.from_received_ms, ..*later };
                true
            }
            _ => false,
        }
    }
}

/// What rows are late by.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// When the device was added.
    pub added_ms: Timestamp,
    /// When it could be heard again.
    pub heard_from_ms: Timestamp,
    /// How far the server's clock is from the device's, milliseconds.
    pub offset_ms: i64,
}

/// The late ones of a report's rows: those that are old for this device, and those of a time in which nobody could hear
/// it, however short ago that was. Not those of before it was added: that is history that it brings along, and nobody
/// missed it.
pub fn filled(
    device: DeviceId,
    t_ms: &[Timestamp],
    received_ms: Timestamp,
    interval_ms: u32,
    times: Times,
) -> Option<Filled> {
    let Times { added_ms, heard_from_ms, offset_ms } = times;
    // As long as a device may be silent without being offline, its rows may take that long.
    let slack_ms = silence_allowed_ms(interval_ms);
    // The first report of a device that is heard again holds rows of one interval, as any report does.
    let unheard = heard_from_ms.saturating_sub(i64::from(interval_ms));
    let before = received_ms.saturating_sub(slack_ms.max(LATE_MS_MIN)).max(unheard).saturating_sub(offset_ms);
    let late = || t_ms.iter().copied().filter(|t| (added_ms.saturating_sub(offset_ms)..before).contains(t));
    let (first, last) = (late().min()?, late().max()?);
    let range = TimeRange::new(first, last.saturating_add(i64::from(interval_ms.max(1))))?;
    Some(Filled {
        device,
        range,
        rows: late().count() as u64,
        slack_ms,
        from_received_ms: received_ms,
        received_ms,
    })
}

/// What is left of `start..end` without the ranges, which are in order and apart.
pub fn without(start: Timestamp, end: Timestamp, ranges: &[TimeRange]) -> Vec<(Timestamp, Timestamp)> {
    let mut left = Vec::new();
    let mut from = start;
    for range in ranges.iter().filter(|range| range.start() < end && range.end() > start) {
        if range.start() > from {
            left.push((from, range.start()));
        }
        from = from.max(range.end());
    }
    if from < end {
        left.push((from, end));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000_000;

    #[track_caller]
    fn check(ages_s: &[i64], interval_s: u32, offset_ms: i64, expected: Option<(i64, i64, u64)>) {
        check_heard(3_600, ages_s, interval_s, offset_ms, expected);
    }

    /// Of a device that has been heard for so many seconds.
    #[track_caller]
    fn check_heard(
        heard_s: i64,
        ages_s: &[i64],
        interval_s: u32,
        offset_ms: i64,
        expected: Option<(i64, i64, u64)>,
    ) {
        let times = Times { added_ms: NOW - 1_000_000, heard_from_ms: NOW - heard_s * 1_000, offset_ms };
        let t_ms: Vec<i64> = ages_s.iter().map(|age| NOW - age * 1_000 - offset_ms).collect();
        let found = filled(DeviceId(1), &t_ms, NOW, interval_s * 1_000, times);
        let age_s = |t: i64| (NOW - offset_ms - t) / 1_000;
        assert_eq!(found.map(|f| (age_s(f.range.start()), age_s(f.range.end()), f.rows)), expected);
    }

    #[test]
    fn rows_are_late_when_their_device_would_have_been_offline_meanwhile() {
        check(&[0, 30, 59], 10, 0, None);
        check(&[0, 61, 600], 10, 0, Some((600, 51, 2)));
        check(&[600, 900, 901], 300, 0, Some((901, 601, 1)));
        check(&[], 10, 0, None);
    }

    #[test]
    fn what_one_device_filled_in_without_a_hole_is_joined() {
        let filled = |device, start, end, received_ms| Filled {
            device: DeviceId(device),
            range: TimeRange::new(start, end).unwrap(),
            rows: 2,
            slack_ms: 10,
            from_received_ms: received_ms,
            received_ms,
        };
        let mut joined = filled(1, 100, 200, 1_000);
        assert!(joined.join(&filled(1, 210, 300, 1_001)), "as far apart as rows may be");
        assert!(joined.join(&filled(1, 150, 160, 1_002)), "inside");
        let expected = Filled { rows: 6, from_received_ms: 1_000, ..filled(1, 100, 300, 1_002) };
        assert_eq!(joined, expected);
        assert!(!joined.join(&filled(2, 300, 400, 1_003)), "another device");
        assert!(!joined.join(&filled(1, 311, 400, 1_003)), "something is missing in between");
        assert!(!joined.join(&filled(1, 20, 89, 1_003)), "something is missing in between");
    }

    #[test]
    fn rows_of_an_outage_are_late_up_to_its_end() {
        check_heard(0, &[0, 5, 10], 10, 0, None);
        check_heard(0, &[0, 5, 11, 30], 10, 0, Some((30, 1, 2)));
        check_heard(20, &[0, 25, 31], 10, 0, Some((31, 21, 1)));
        check_heard(0, &[30], 10, 600_000, Some((30, 20, 1)));
    }

    #[test]
    fn history_of_before_the_device_was_added_is_not_late() {
        check(&[0, 1_001, 9_000], 10, 0, None);
        check(&[900, 1_000, 1_001], 10, 0, Some((1_000, 890, 2)));
        check(&[1_000, 1_001], 10, 600_000, Some((1_000, 990, 1)));
        check(&[1_000, 1_001], 10, -600_000, Some((1_000, 990, 1)));
    }

    #[test]
    fn a_wrong_clock_makes_no_row_late() {
        check(&[0, 30], 10, 600_000, None);
        check(&[0, 30], 10, -600_000, None);
        check(&[300], 10, 600_000, Some((300, 290, 1)));
    }

    #[test]
    fn ranges_are_cut_out() {
        let range = |start, end| TimeRange::new(start, end).unwrap();
        assert_eq!(without(0, 10, &[]), [(0, 10)]);
        assert_eq!(without(0, 10, &[range(2, 4), range(6, 12)]), [(0, 2), (4, 6)]);
        assert_eq!(without(0, 10, &[range(-5, 3), range(10, 12)]), [(3, 10)]);
        assert_eq!(without(0, 10, &[range(-5, 30)]), []);
    }
}
