//! What maintenance has to do. Decided from what there is, the policy and the time alone.

use crate::chunk::CHUNK_ROWS_MAX;
use crate::chunk_table::{ChunkMeta, windows_ms};
use crate::retention::Retention;
use crate::types::{DeviceId, Tier, Timestamp};
use std::fmt;

/// Chunks dropped in one piece of work at most, so that a seal waits briefly.
const DROP_MAX: usize = 256;

/// One piece of work, small enough that what waits for it waits briefly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Put these chunks, oldest number first, together.
    Merge {
        /// Whose they are.
        stream: DeviceId,
        /// Of which tier.
        tier: Tier,
        /// Their numbers.
        from: Vec<i64>,
        /// What comes of them reaches over no border of windows of this length, milliseconds.
        window_ms: i64,
    },
    /// Drop these chunks: their time is over.
    Drop {
        /// Of which tier.
        tier: Tier,
        /// Their numbers.
        chunks: Vec<i64>,
    },
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, tier, ids) = match self {
            Work::Merge { tier, from, .. } => ("merge", tier, from),
            Work::Drop { tier, chunks } => ("drop", tier, chunks),
        };
        write!(f, "{word}")?;
        ids.iter().try_for_each(|id| write!(f, " #{id}"))?;
        write!(f, " in {}", tier.as_str())?;
        match self {
            Work::Merge { tier, window_ms, .. } if *window_ms != windows_ms(*tier)[0] => {
                write!(f, " within {} h", window_ms / 3_600_000)
            }
            _ => Ok(()),
        }
    }
}

/// Raw rows are kept for this much longer than they are taken in: a row that was taken in on its last day is rolled up
/// with its whole hour when its generation is sealed. Milliseconds.
const RAW_SPARE_MS: i64 = 4 * 3_600_000;
const _: () = assert!(RAW_SPARE_MS > crate::writer::GENERATION_AGE_MAX_MS + 3_600_000);

/// What is younger than this is never dropped for its bytes, milliseconds: its hours are still being rolled up.
const BYTES_AGE_MIN_MS: i64 = 24 * 3_600_000;

/// What is kept how.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How long.
    pub retention: Retention,
    /// Rows that a merged chunk should not have more of.
    pub rows_max: usize,
    /// The same for one that reaches over several of its tier's short windows: with more rows than this, longer chunks
    /// are not smaller, and whoever asks for an hour would unpack more.
    pub sparse_rows_max: usize,
    /// Samples that are taken up in one piece of work at most: about 32 bytes of memory each.
    pub samples_max: usize,
    /// Chunks of an unfinished window that are put together at least.
    pub fan_in: usize,
    /// How long after its end a window is taken for finished, milliseconds: its last generation is sealed by then.
    pub settle_ms: i64,
    /// Are generations sealed one after the other? Then more of a finished window may be on its way, from devices that
    /// come back with what they kept: it would be put together again with each of them.
    pub is_filling: bool,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            retention: Retention::default(),
            rows_max: CHUNK_ROWS_MAX,
            sparse_rows_max: CHUNK_ROWS_MAX / 2,
            samples_max: 4_000_000,
            fan_in: 8,
            settle_ms: 3 * 3_600_000,
            is_filling: false,
        }
    }
}

/// The next piece of work among all chunks of one stream; `None`: nothing to do at present.
pub fn choose(chunks: &[ChunkMeta], policy: &Policy, now: Timestamp) -> Option<Work> {
    Tier::ALL.into_iter().find_map(|tier| {
        let mut chunks: Vec<ChunkMeta> = chunks.iter().filter(|c| c.tier == tier).copied().collect();
        let old: Vec<i64> =
            chunks.iter().filter(|c| is_old(c, policy, now)).map(|c| c.id).take(DROP_MAX).collect();
        if !old.is_empty() {
            return Some(Work::Drop { tier, chunks: old });
        }
        chunks.sort_unstable_by_key(|c| (c.start_ms, c.id));
        let from = merge(&chunks, windows_ms(tier), policy, now)?;
        let window_ms = window_of(&from, windows_ms(tier));
        let mut ids: Vec<i64> = from.iter().map(|c| c.id).collect();
        ids.sort_unstable();
        Some(Work::Merge { stream: from.first()?.stream, tier, from: ids, window_ms })
    })
}

/// What to drop of a tier that takes `bytes`, given its oldest chunks with the bytes of each.
pub fn choose_for_bytes(
    tier: Tier,
    bytes: u64,
    oldest: &[(ChunkMeta, u64)],
    policy: &Policy,
    now: Timestamp,
) -> Option<Work> {
    let mut excess = bytes.checked_sub(policy.retention.tier(tier).bytes?)?;
    let mut chunks = Vec::new();
    for (chunk, bytes) in oldest.iter().take(DROP_MAX) {
        if excess == 0 || chunk.last_ms >= now.saturating_sub(BYTES_AGE_MIN_MS) {
            break;
        }
        chunks.push(chunk.id);
        excess = excess.saturating_sub(*bytes);
    }
    (!chunks.is_empty()).then_some(Work::Drop { tier, chunks })
}

/// Is its newest row past its time?
fn is_old(chunk: &ChunkMeta, policy: &Policy, now: Timestamp) -> bool {
    let spare_ms = if chunk.tier == Tier::Raw { RAW_SPARE_MS } else { chunk.tier.step_ms() };
    chunk.last_ms.saturating_add(spare_ms) < policy.retention.tier(chunk.tier).from_ms(now)
}

/// Chunks to merge, among those of one tier by time: in the short windows first, which are finished first.
fn merge(
    chunks: &[ChunkMeta],
    windows_ms: &[i64],
    policy: &Policy,
    now: Timestamp,
) -> Option<Vec<ChunkMeta>> {
    windows_ms.iter().enumerate().find_map(|(at, window_ms)| {
        let is_short = at == 0;
        let rows_max = if is_short { policy.rows_max } else { policy.sparse_rows_max };
        let window = |c: &ChunkMeta| c.start_ms.div_euclid(*window_ms);
        chunks.chunk_by(|a, b| window(a) == window(b)).find_map(|inside| {
            let end = (window(&inside[0]) + 1).saturating_mul(*window_ms);
            let finished = now.saturating_sub(policy.settle_ms) >= end;
            let packed = if finished { pack(inside, chunks, rows_max, policy) } else { None };
            let is_open = is_short && (!finished || policy.is_filling);
            packed.or_else(|| if is_open { newest(inside, chunks, policy) } else { None })
        })
    })
}

/// The shortest windows that none of these chunks reaches over a border of, together.
fn window_of(from: &[ChunkMeta], windows_ms: &[i64]) -> i64 {
    let (start, last) = from
        .iter()
        .fold((i64::MAX, i64::MIN), |(start, last), c| (start.min(c.start_ms), last.max(c.last_ms)));
    let holds = |window_ms: &&i64| start.div_euclid(**window_ms) == last.div_euclid(**window_ms);
    *windows_ms.iter().find(holds).unwrap_or(&windows_ms[windows_ms.len() - 1])
}

/// In a finished window: the first neighbours that fit one chunk together, or that overlap; while it is being filled
/// only as many as fill a chunk.
fn pack(inside: &[ChunkMeta], all: &[ChunkMeta], rows_max: usize, policy: &Policy) -> Option<Vec<ChunkMeta>> {
    (0..inside.len()).find_map(|first| {
        let mut set = closed(vec![inside[first]], all);
        let mut is_whole = !policy.is_filling;
        for next in &inside[first + 1..] {
            if set.contains(next) {
                continue;
            }
            let mut larger = set.clone();
            larger.push(*next);
            let larger = closed(larger, all);
            if rows(&larger) > rows_max || samples(&larger) > policy.samples_max {
                is_whole = true;
                break;
            }
            set = larger;
        }
        (is_whole && set.len() >= 2 && samples(&set) <= policy.samples_max).then_some(set)
    })
}

/// In any other window: the newest chunks, each older one only when those after it are as large together, so that
/// a row is written again about as often as its chunk doubles.
fn newest(inside: &[ChunkMeta], all: &[ChunkMeta], policy: &Policy) -> Option<Vec<ChunkMeta>> {
    let mut set: Vec<ChunkMeta> = Vec::new();
    for next in inside.iter().rev() {
        if !set.is_empty() && next.rows > rows(&set) {
            break;
        }
        set.push(*next);
    }
    let set = closed(set, all);
    let fits = rows(&set) <= policy.rows_max && samples(&set) <= policy.samples_max;
    (set.len() >= policy.fan_in && fits).then_some(set)
}

/// With every chunk that overlaps what the merged one will span and is newer than the oldest of them: the merged chunk
/// is newer than all there is, so what should win over one of them must go into it.
fn closed(mut set: Vec<ChunkMeta>, all: &[ChunkMeta]) -> Vec<ChunkMeta> {
    loop {
        let (Some(start), Some(last), Some(oldest)) = (
            set.iter().map(|c| c.start_ms).min(),
            set.iter().map(|c| c.last_ms).max(),
            set.iter().map(|c| c.id).min(),
        ) else {
            return set;
        };
        let before = set.len();
        for chunk in all.iter().filter(|c| c.start_ms <= last && c.last_ms >= start && c.id > oldest) {
            if !set.contains(chunk) {
                set.push(*chunk);
            }
        }
        if set.len() == before {
            return set;
        }
    }
}

fn rows(set: &[ChunkMeta]) -> usize {
    set.iter().map(|c| c.rows).sum()
}

fn samples(set: &[ChunkMeta]) -> usize {
    set.iter().map(|c| c.samples).sum()
}

#[cfg(test)]
mod tests {
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
        check(
            "raw 10:00..150:00 #7 x50, raw 60:00..60:01 #8 x1",
            "999:00",
            "merge #7 #8 in raw within 192 h",
        );
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
}
