use super::*;
use crate::retention::Keep;

const HOUR: i64 = 3_600_000;

/// Hours and minutes since the epoch.
fn parse_time(text: &str) -> Timestamp {
    let (hours, minutes) = text.split_once(':').unwrap();
    hours.parse::<i64>().unwrap() * HOUR + minutes.parse::<i64>().unwrap() * 60_000
}

/// `raw 00:00..02:00 #1 x720`, rows not said: 10; the end is not included.
fn parse_chunk(text: &str) -> ChunkMeta {
    let words: Vec<&str> = text.split_whitespace().collect();
    let tier = Tier::ALL.into_iter().find(|t| t.as_str() == words[0]).unwrap();
    let (start, end) = words[1].split_once("..").unwrap();
    let rows = words.get(3).map_or(10, |w| w[1..].parse().unwrap());
    ChunkMeta {
        id: words[2][1..].parse().unwrap(),
        stream: DeviceId(1),
        tier,
        start_ms: parse_time(start),
        last_ms: parse_time(end) - 1,
        rows,
        samples: rows,
    }
}

fn small() -> Policy {
    let retention = Retention {
        raw: Keep { age_ms: 1_000 * HOUR, bytes: Some(100) },
        five_minutes: Keep::days(1_000_000),
        hour: Keep::days(1_000_000),
        ..Retention::default()
    };
    Policy {
        retention,
        rows_max: 100,
        sparse_rows_max: 50,
        samples_max: 200,
        fan_in: 4,
        settle_ms: HOUR,
        is_filling: false,
    }
}

#[track_caller]
fn check(chunks: &str, now: &str, expected: &str) {
    check_with(&small(), chunks, now, expected);
}

#[track_caller]
fn check_filling(chunks: &str, now: &str, expected: &str) {
    check_with(&Policy { is_filling: true, ..small() }, chunks, now, expected);
}

#[track_caller]
fn check_with(policy: &Policy, chunks: &str, now: &str, expected: &str) {
    let chunks: Vec<ChunkMeta> =
        chunks.split(',').filter(|c| !c.trim().is_empty()).map(parse_chunk).collect();
    let work = choose(&chunks, policy, parse_time(now));
    assert_eq!(work.map_or("nothing".to_string(), |w| w.to_string()), expected);
}

#[test]
fn nothing_is_chosen_from_nothing() {
    check("", "99:00", "nothing");
    check("raw 00:00..02:00 #1", "99:00", "nothing");
}

#[test]
fn neighbours_of_a_finished_day_merge() {
    check("raw 00:00..02:00 #1, raw 02:00..04:00 #2", "25:00", "merge #1 #2 in raw");
}

#[test]
fn a_day_is_not_finished_before_its_last_generation_is_sealed() {
    check("raw 00:00..02:00 #1, raw 02:00..04:00 #2", "24:59", "nothing");
}

#[test]
fn days_stay_apart() {
    check("raw 22:00..24:00 #1, raw 24:00..26:00 #2", "99:00", "nothing");
    check("raw 22:00..24:00 #1, raw 24:00..26:00 #2, raw 26:00..28:00 #3", "99:00", "merge #2 #3 in raw");
}

#[test]
fn a_finished_day_that_is_being_filled_merges_when_a_chunk_is_full() {
    let two = "raw 00:00..02:00 #1 x40, raw 02:00..04:00 #2 x40";
    check_filling(two, "99:00", "nothing");
    check_filling(&format!("{two}, raw 04:00..06:00 #3 x20"), "99:00", "nothing");
    check_filling(&format!("{two}, raw 04:00..06:00 #3 x21"), "99:00", "merge #1 #2 in raw");
    check_filling("raw 00:00..02:00 #1 x90, raw 02:00..04:00 #2 x20", "99:00", "nothing");
}

#[test]
fn a_finished_day_that_is_being_filled_merges_when_many_small_ones_have_come() {
    let four = "raw 00:00..01:00 #1, raw 01:00..02:00 #2, raw 02:00..03:00 #3, raw 03:00..04:00 #4";
    check_filling(four, "99:00", "merge #1 #2 #3 #4 in raw");
}

#[test]
fn days_of_few_rows_merge_when_eight_of_them_are_over() {
    let two = "raw 00:00..24:00 #1 x20, raw 24:00..48:00 #2 x30";
    check(two, "192:59", "nothing");
    check(two, "193:00", "merge #1 #2 in raw within 192 h");
    check("raw 00:00..24:00 #1 x20, raw 24:00..48:00 #2 x31", "999:00", "nothing");
    check("raw 168:00..192:00 #1 x1, raw 192:00..216:00 #2 x1", "999:00", "nothing");
}

#[test]
fn a_late_row_goes_into_the_days_that_were_merged() {
    let days = "raw 10:00..150:00 #7 x40";
    check(&format!("{days}, raw 60:00..60:01 #8 x1"), "999:00", "merge #7 #8 in raw within 192 h");
    check(&format!("{days}, raw 05:00..05:01 #8 x1"), "999:00", "merge #7 #8 in raw within 192 h");
    check(&format!("{days}, raw 160:00..160:01 #8 x1"), "999:00", "merge #7 #8 in raw within 192 h");
    check(&format!("{days}, raw 160:00..160:01 #8 x11"), "999:00", "nothing");
    check("raw 10:00..150:00 #7 x50, raw 60:00..60:01 #8 x1", "999:00", "merge #7 #8 in raw within 192 h");
}

#[test]
fn tiers_stay_apart() {
    check("raw 00:00..02:00 #1, 5m 00:00..02:00 #2, 1h 00:00..02:00 #3", "999:00", "nothing");
}

#[test]
fn an_unfinished_day_merges_when_many_small_ones_have_come() {
    let three = "raw 00:00..01:00 #1, raw 01:00..02:00 #2, raw 02:00..03:00 #3";
    check(three, "04:00", "nothing");
    check(&format!("{three}, raw 03:00..04:00 #4"), "04:00", "merge #1 #2 #3 #4 in raw");
}

#[test]
fn a_large_one_waits_until_those_after_it_are_as_large() {
    let four = "raw 01:00..02:00 #2, raw 02:00..03:00 #3, raw 03:00..04:00 #4, raw 04:00..05:00 #5";
    check(&format!("raw 00:00..01:00 #1 x41, {four}"), "06:00", "merge #2 #3 #4 #5 in raw");
    check(&format!("raw 00:00..01:00 #1 x40, {four}"), "06:00", "merge #1 #2 #3 #4 #5 in raw");
}

#[test]
fn a_merged_chunk_has_no_more_rows_than_a_chunk_may() {
    check(
        "raw 00:00..02:00 #1 x60, raw 02:00..04:00 #2 x40, raw 04:00..06:00 #3 x1",
        "99:00",
        "merge #1 #2 in raw",
    );
    check("raw 00:00..02:00 #1 x60, raw 02:00..04:00 #2 x41", "99:00", "nothing");
    check(
        "raw 00:00..02:00 #1 x60, raw 02:00..04:00 #2 x41, raw 04:00..06:00 #3 x1",
        "99:00",
        "merge #2 #3 in raw",
    );
}

#[test]
fn overlapping_chunks_merge_however_many_rows_they_have() {
    check("raw 00:00..02:00 #1 x60, raw 01:59..04:00 #2 x60", "99:00", "merge #1 #2 in raw");
}

#[test]
fn what_is_newer_and_overlaps_goes_along() {
    // A late report lies over the first two; without it their merged chunk would win over it.
    check(
        "raw 00:00..02:00 #1 x30, raw 02:00..04:00 #2 x30, raw 01:00..03:00 #3 x90",
        "99:00",
        "merge #1 #2 #3 in raw",
    );
}

#[test]
fn what_is_older_and_overlaps_may_stay_behind() {
    check(
        "raw 00:00..02:00 #1 x41, raw 01:59..02:30 #2, raw 02:30..03:00 #3, raw 03:00..03:30 #4,
         raw 03:30..04:00 #5",
        "05:00",
        "merge #2 #3 #4 #5 in raw",
    );
}

#[test]
fn what_would_take_too_much_memory_is_left_alone() {
    check("raw 00:00..02:00 #1 x150, raw 01:00..03:00 #2 x51", "99:00", "nothing");
    check(
        "raw 00:00..02:00 #1 x150, raw 01:00..03:00 #2 x51, raw 04:00..05:00 #3, raw 05:00..06:00 #4",
        "99:00",
        "merge #2 #3 #4 in raw",
    );
}

#[test]
fn rollups_merge_in_windows_of_weeks() {
    let chunks = "5m 00:00..02:00 #1, 5m 600:00..602:00 #2, 1h 00:00..02:00 #3, 1h 600:00..602:00 #4";
    check(chunks, "700:00", "merge #1 #2 in 5m");
    check("1h 00:00..02:00 #3, 1h 600:00..602:00 #4", "700:00", "nothing");
    check("1h 00:00..02:00 #3, 1h 600:00..602:00 #4", "8065:00", "merge #3 #4 in 1h");
}

#[test]
fn what_is_past_its_time_is_dropped_with_its_newest_row() {
    let chunks = "raw 00:00..02:00 #1 x60, raw 02:00..03:00 #2 x60";
    check(chunks, "1005:59", "nothing");
    check(chunks, "1006:00", "drop #1 in raw");
    check(chunks, "1007:00", "drop #1 #2 in raw");
}

#[track_caller]
fn check_bytes(bytes: u64, oldest: &str, now: &str, expected: &str) {
    // Every chunk has as many bytes as rows.
    let oldest: Vec<_> = oldest.split(',').map(parse_chunk).map(|c| (c, c.rows as u64)).collect();
    let work = choose_for_bytes(Tier::Raw, bytes, &oldest, &small(), parse_time(now));
    assert_eq!(work.map_or("nothing".to_string(), |w| w.to_string()), expected);
}

#[test]
fn the_oldest_go_until_the_rest_has_room() {
    let oldest = "raw 00:00..02:00 #1 x10, raw 01:00..03:00 #5 x10, raw 03:00..04:00 #2 x10";
    check_bytes(100, oldest, "99:00", "nothing");
    check_bytes(101, oldest, "99:00", "drop #1 in raw");
    check_bytes(111, oldest, "99:00", "drop #1 #5 in raw");
    check_bytes(1_000, oldest, "99:00", "drop #1 #5 #2 in raw");
}

#[test]
fn the_last_day_is_never_dropped_for_its_bytes() {
    let oldest = "raw 00:00..02:00 #1 x10, raw 01:00..03:00 #5 x10";
    check_bytes(1_000, oldest, "26:00", "drop #1 in raw");
    check_bytes(1_000, oldest, "25:59", "nothing");
}

#[test]
fn times_before_1970_have_days_too() {
    check("raw -3:00..-2:00 #1, raw -2:00..-1:00 #2", "1:00", "merge #1 #2 in raw");
}
