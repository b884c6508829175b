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
mod tests;
