//! Looking through a data folder that no server has open: is everything that is stored sound? Nothing is written.

use crate::chunk::{Chunk, ColumnIn, Field};
use crate::chunk_table::{self, ChunkMeta, Snapshot};
use crate::error::{Error, Result};
use crate::layer::{Layer, settle};
use crate::metrics::Dictionary;
use crate::rollup::{rolled_up, step_start, touched};
use crate::types::{DeviceId, Tier, TimeRange, Timestamp};
use crate::{meta, open, tail};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// Faults that are told one by one; further ones are only counted.
pub const FAULTS_MAX: usize = 200;

/// Rollups are recomputed from this much of raw at a time: a day, …
const SPAN_MS: i64 = 24 * 3_600_000;

/// … or an hour, when a day has more samples than this: about 48 bytes of memory each.
const SPAN_SAMPLES_MAX: usize = 4_000_000;

/// Rollup chunks span many days: those needed last stay unpacked, so that not every day unpacks them again. So many, …
const KEPT_CHUNKS_MAX: usize = 4;

/// … unless one has more values than this, 8 bytes each.
const KEPT_SAMPLES_MAX: usize = 2_000_000;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Sound chunks of all tiers.
    pub chunks: u64,
    /// Values in them.
    pub samples: u64,
    /// Rollup rows that are what their raw rows say.
    pub rollups: u64,
    /// Sound groups of the tail.
    pub groups: u64,
    /// Names of metrics.
    pub metrics: u64,
    /// Chunks and groups that were set aside before because they are damaged.
    pub set_aside: u64,
    /// What is wrong, for a person; the first [`FAULTS_MAX`].
    pub faults: Vec<String>,
    /// How many faults there are in all.
    pub faults_total: u64,
}

impl Checked {
    fn fault(&mut self, what: String) {
        self.faults_total += 1;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(what);
        }
    }
}

/// Checks the data folder.
///
/// # Errors
/// There is no data folder there, a server has it open, a newer version wrote it, or a file cannot be read at all.
pub fn check(dir: &Path) -> Result<Checked> {
    let _lock = open::lock_for_reading(dir)?;
    let mut checked = Checked::default();
    for file in [&chunk_table::FILE, &tail::FILE, &meta::FILE] {
        file.check(dir)?.into_iter().for_each(|fault| checked.fault(fault));
    }
    // What is in a file that is not whole cannot be told from what is not.
    if checked.faults_total > 0 {
        return Ok(checked);
    }
    let dictionary = Dictionary::default();
    chunk_table::look_at(dir, |view| {
        if let Err(error) = view.load_metrics(&dictionary) {
            checked.fault(error.to_string());
        }
        for stream in view.streams()? {
            let kept = Vec::new();
            Stream { view, stream, checked: &mut checked, dictionary: &dictionary, kept }.check()?;
        }
        checked.set_aside = view.damaged()?;
        Ok(())
    })?;
    let (groups, set_aside) = tail::check(dir, &dictionary, |fault| checked.fault(fault))?;
    checked.groups = groups;
    checked.set_aside += set_aside;
    checked.metrics = dictionary.len() as u64;
    Ok(checked)
}

struct Stream<'a> {
    view: &'a Snapshot<'a>,
    stream: DeviceId,
    checked: &'a mut Checked,
    dictionary: &'a Dictionary,
    /// Rollup chunks by number, the latest one last.
    kept: Vec<(i64, Layer)>,
}

/// The chunks of a stream by tier, and what they and those that were set aside span of what cannot be read.
struct Readable {
    chunks: [Vec<ChunkMeta>; 3],
    damaged: [Vec<TimeRange>; 3],
    kept_from: [Timestamp; 3],
}

/// A rollup row's values by metric and aggregate, as bits.
type Values = BTreeMap<(u32, Field), u64>;

impl Stream<'_> {
    fn check(mut self) -> Result<()> {
        let readable = self.verify_chunks()?;
        let mut days = BTreeSet::new();
        for chunk in readable.chunks.iter().flatten() {
            let (first, last) = (chunk.start_ms.div_euclid(SPAN_MS), chunk.last_ms.div_euclid(SPAN_MS));
            days.extend(first..=last);
        }
        for day in days {
            let (start, end) = (day * SPAN_MS, (day + 1) * SPAN_MS);
            let inside = |c: &&ChunkMeta| c.start_ms < end && c.last_ms >= start;
            let samples: usize = readable.chunks[0].iter().filter(inside).map(|c| c.samples).sum();
            let length = if samples > SPAN_SAMPLES_MAX { Tier::Hour.step_ms() } else { SPAN_MS };
            for start in (start..end).step_by(length as usize) {
                if let Some(span) = TimeRange::new(start, start + length) {
                    self.compare(&readable, span)?;
                }
            }
        }
        Ok(())
    }

    fn verify_chunks(&mut self) -> Result<Readable> {
        let everything = TimeRange::new(Timestamp::MIN, Timestamp::MAX).expect("the ends differ");
        let mut readable =
            Readable { chunks: Default::default(), damaged: Default::default(), kept_from: [0; 3] };
        let series = self.view.series(self.stream)?;
        for (at, tier) in Tier::ALL.into_iter().enumerate() {
            readable.kept_from[at] = self.view.kept_from(self.stream, tier)?;
            readable.damaged[at] = self.view.damaged_spans(self.stream, tier, everything)?;
            for meta in self.view.chunks(self.stream, tier)? {
                match self.view.read_verified(&meta) {
                    Ok(chunk) => {
                        self.check_columns(&meta, &chunk, &series)?;
                        self.checked.chunks += 1;
                        self.checked.samples += meta.samples as u64;
                        readable.chunks[at].push(meta);
                    }
                    Err(Error::Corrupt { what, why }) => {
                        self.fault(format!("{what} ({}) is damaged: {why}", tier.as_str()));
                        let end = meta.last_ms.saturating_add(tier.step_ms().max(1));
                        readable.damaged[at].extend(TimeRange::new(meta.start_ms, end));
                    }
                    Err(other) => return Err(other),
                }
            }
        }
        Ok(readable)
    }

    fn check_columns(
        &mut self,
        meta: &ChunkMeta,
        chunk: &Chunk,
        series: &std::collections::HashSet<u32>,
    ) -> Result<()> {
        let (id, tier) = (meta.id, meta.tier.as_str());
        if !chunk.times()?.is_sorted_by(|a, b| a < b) {
            self.fault(format!("chunk {id} ({tier}): its times do not ascend"));
        }
        let metrics: BTreeSet<u32> = chunk.columns().map(|(key, _)| key.metric).collect();
        for metric in metrics {
            if self.dictionary.name(metric).is_none() || !series.contains(&metric) {
                self.fault(format!(
                    "chunk {id} ({tier}) has metric {metric}, which the device does not have"
                ));
            }
        }
        Ok(())
    }

    /// Are the rollups of a span what its raw rows say?
    fn compare(&mut self, readable: &Readable, span: TimeRange) -> Result<()> {
        let raw = settle(self.layers(&readable.chunks[0], span)?);
        for (at, tier) in Tier::ALL.into_iter().enumerate().skip(1) {
            let step_ms = tier.step_ms();
            let overlaps = |spans: &[TimeRange], start: Timestamp| {
                spans.iter().any(|s| s.start() < start.saturating_add(step_ms) && s.end() > start)
            };
            // Only where all raw rows are there can it be told.
            let can_be_told =
                |start: Timestamp| start >= readable.kept_from[0] && !overlaps(&readable.damaged[0], start);
            let times: Vec<Timestamp> =
                raw.t_ms.iter().copied().filter(|&t| can_be_told(step_start(t, step_ms))).collect();
            let expected = by_step(rolled_up(&raw, step_ms, &touched(&times, step_ms)));
            let mut stored = by_step(settle(self.layers(&readable.chunks[at], span)?));
            stored.retain(|&start, _| can_be_told(start));
            for (start, expected) in &expected {
                match stored.remove(start) {
                    Some(found) if same(expected, &found) => self.checked.rollups += 1,
                    Some(_) => self.rollup_fault(tier, *start, "is not what its raw rows say"),
                    // Dropped, or damaged itself, which is told already.
                    None if *start < readable.kept_from[at] || overlaps(&readable.damaged[at], *start) => {}
                    None => self.rollup_fault(tier, *start, "is missing"),
                }
            }
            for start in stored.keys() {
                self.rollup_fault(tier, *start, "has no raw rows");
            }
        }
        Ok(())
    }

    fn layers(&mut self, chunks: &[ChunkMeta], span: TimeRange) -> Result<Vec<Layer>> {
        let inside = chunks.iter().filter(|c| c.start_ms < span.end() && c.last_ms >= span.start());
        inside.map(|chunk| self.layer(chunk, span)).collect()
    }

    /// The rows of a chunk within a span.
    fn layer(&mut self, meta: &ChunkMeta, span: TimeRange) -> Result<Layer> {
        if let Some((_, layer)) = self.kept.iter().find(|(id, _)| *id == meta.id) {
            return Ok(layer.within(span));
        }
        let chunk = self.view.read(meta.id)?;
        if meta.tier == Tier::Raw || meta.samples > KEPT_SAMPLES_MAX {
            return Layer::of_chunk(&chunk, |t| span.contains(t));
        }
        let layer = Layer::of_chunk(&chunk, |_| true)?;
        if !layer.t_ms.is_sorted() {
            // Which is told already; its rows cannot be found by halving.
            return Layer::of_chunk(&chunk, |t| span.contains(t));
        }
        if self.kept.len() == KEPT_CHUNKS_MAX {
            self.kept.remove(0);
        }
        let rows = layer.within(span);
        self.kept.push((meta.id, layer));
        Ok(rows)
    }

    fn rollup_fault(&mut self, tier: Tier, start: Timestamp, what: &str) {
        self.fault(format!("the {} row of {start} {what}", tier.as_str()));
    }

    fn fault(&mut self, what: String) {
        self.checked.fault(format!("device {}: {what}", self.stream));
    }
}

/// The rows that have a value.
fn by_step(layer: Layer) -> BTreeMap<Timestamp, Values> {
    let mut rows: HashMap<usize, Values> = HashMap::new();
    for ColumnIn { key, values, present, .. } in &layer.columns {
        for (row, value) in values.iter().enumerate().filter(|(row, _)| present.has(*row)) {
            // Every "not a number" is one.
            let bits = if value.is_nan() { f64::NAN } else { *value }.to_bits();
            rows.entry(row).or_default().insert((key.metric, key.field), bits);
        }
    }
    rows.into_iter().map(|(row, values)| (layer.t_ms[row], values)).collect()
}

/// The growth is compared where both have it: a metric may have been a gauge when its rows were rolled up.
fn same(expected: &Values, found: &Values) -> bool {
    let all = |a: &Values, b: &Values| {
        a.iter().all(|(key, bits)| match b.get(key) {
            Some(other) => bits == other,
            None => key.1 == Field::Increase,
        })
    };
    all(expected, found) && all(found, expected)
}
