//! Reading series from head and chunks.
//!
//! The head is looked at first and the chunks after it: a generation that is sealed in between is then found twice, never
//! not at all, and what is found twice is settled by time, the newer source winning.

use super::{Points, Samples};
use crate::chunk::{ColumnKey, Field};
use crate::chunk_table::{Column, LazyChunk, Snapshot};
use crate::error::{Error, Result};
use crate::rollup::{roll_up, step_start, touched};
use crate::shared::Shared;
use crate::types::{Bucket, DeviceId, Figures, Kind, Presence, Tier, TimeRange, Timestamp};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What the head has of some metrics. Taken before the snapshot of the chunks.
struct Fresh {
    t_ms: Vec<Timestamp>,
    /// By metric, in the order they came.
    samples: Vec<Samples>,
}

/// Reads for one query, within its budget; on several threads where it asks for many devices.
pub struct Gather<'a> {
    shared: &'a Shared,
    figures: Figures,
    /// Samples that may still be read.
    budget: AtomicUsize,
    until: Instant,
    damaged: Mutex<Vec<i64>>,
}

impl<'a> Gather<'a> {
    /// Reads as much as a query may, and no longer than `until`.
    pub fn new(shared: &'a Shared, figures: Figures, until: Instant) -> Gather<'a> {
        let budget = AtomicUsize::new(shared.limits.query_samples);
        Gather { shared, figures, budget, until, damaged: Mutex::default() }
    }

    /// Sets the damaged chunks aside that were met; returns whether there were any: the answer then lacks more than it must.
    pub fn set_damaged_aside(&self) -> bool {
        let mut set_aside = false;
        for &id in &*self.damaged.lock() {
            match self.shared.chunks.set_aside(id) {
                Ok(done) => set_aside |= done,
                // It stays where it is, and is left out of answers as it is now.
                Err(error) => tracing::error!("chunk {id} is damaged and could not be set aside: {error}"),
            }
        }
        set_aside
    }

    /// How many rows there are within a range at least; counting ends soon after `enough`.
    pub fn rows_at_least(&self, device: DeviceId, range: TimeRange, enough: usize) -> Result<usize> {
        let mut rows = self.shared.head.with(device, |buffers| {
            buffers.iter().flat_map(|b| &b.t_ms).filter(|&&t| range.contains(t)).take(enough + 1).count()
        });
        let chunks = self.shared.chunks.snapshot(|view| view.overlapping(device, Tier::Raw, range))?;
        for meta in chunks {
            if rows > enough {
                break;
            }
            // Rows that are also in the head count twice here: at most the answer comes in steps instead of rows.
            if range.contains(meta.start_ms) && range.contains(meta.last_ms) {
                rows += meta.rows;
            }
        }
        Ok(rows)
    }

    /// The samples of some metrics.
    pub fn raw(&self, device: DeviceId, metrics: &[(u32, Kind)], range: TimeRange) -> Result<Vec<Samples>> {
        let fresh = self.fresh(device, metrics, range);
        let shared = self.shared;
        shared.chunks.snapshot(|view| self.samples(view, device, metrics, range, &fresh))
    }

    /// The rollups of some metrics, those of rows not sealed yet computed from raw.
    pub fn rolled_up(
        &self,
        device: DeviceId,
        metrics: &[(u32, Kind)],
        tier: Tier,
        range: TimeRange,
    ) -> Result<Vec<Points>> {
        let step_ms = tier.step_ms();
        // Whole steps, also at the end: a step that is cut would not be a rollup.
        let end = step_start(range.end().saturating_sub(1), step_ms).saturating_add(step_ms);
        let range = TimeRange::new(step_start(range.start(), step_ms), end).unwrap_or(range);
        let fresh = self.fresh(device, metrics, range);
        let mut found: Vec<Points> = metrics.iter().map(|_| Vec::new()).collect();
        let (shared, figures) = (self.shared, self.figures);
        shared.chunks.snapshot(|view| {
            self.each_chunk(view, device, tier, range, metrics.len(), |chunk, times| {
                for ((metric, kind), points) in metrics.iter().zip(&mut found) {
                    append_rollups(chunk, *metric, *kind, figures, times, range, points)?;
                }
                Ok(())
            })?;
            // As when it is sealed.
            let times = view.with_whole_steps(device, &fresh.t_ms, step_ms)?;
            for span in touched(&times, step_ms) {
                let samples = self.samples(view, device, metrics, span, &fresh)?;
                for (((_, kind), points), samples) in metrics.iter().zip(&mut found).zip(samples) {
                    points.extend(roll_up(&samples, step_ms, *kind));
                }
            }
            Ok(())
        })?;
        for points in &mut found {
            settle(points);
        }
        Ok(found)
    }

    fn fresh(&self, device: DeviceId, metrics: &[(u32, Kind)], range: TimeRange) -> Fresh {
        self.shared.head.with(device, |buffers| {
            let t_ms = buffers.iter().flat_map(|b| &b.t_ms).copied().filter(|&t| range.contains(t)).collect();
            let of_metric = |(metric, _): &(u32, Kind)| {
                let mut samples = Vec::new();
                buffers.iter().for_each(|buffer| buffer.read(*metric, range, &mut samples));
                samples
            };
            Fresh { t_ms, samples: metrics.iter().map(of_metric).collect() }
        })
    }

    /// Samples in ascending order, each time once.
    fn samples(
        &self,
        view: &Snapshot<'_>,
        device: DeviceId,
        metrics: &[(u32, Kind)],
        range: TimeRange,
        fresh: &Fresh,
    ) -> Result<Vec<Samples>> {
        let mut found: Vec<Samples> = metrics.iter().map(|_| Vec::new()).collect();
        self.each_chunk(view, device, Tier::Raw, range, metrics.len(), |chunk, times| {
            for ((metric, _), samples) in metrics.iter().zip(&mut found) {
                let key = ColumnKey { metric: *metric, field: Field::Value };
                append_samples(chunk, key, times, range, samples)?;
            }
            Ok(())
        })?;
        for (samples, fresh) in found.iter_mut().zip(&fresh.samples) {
            self.spend(fresh.len())?;
            samples.extend(fresh.iter().filter(|(t, _)| range.contains(*t)));
            settle(samples);
        }
        Ok(found)
    }

    /// Each chunk of a tier that overlaps a range with its times, oldest first; `columns` of each are paid for. A damaged
    /// chunk leaves a hole; the rest of the range is answered.
    fn each_chunk(
        &self,
        view: &Snapshot<'_>,
        device: DeviceId,
        tier: Tier,
        range: TimeRange,
        columns: usize,
        mut each: impl FnMut(&LazyChunk<'_>, &[Timestamp]) -> Result<()>,
    ) -> Result<()> {
        for meta in view.overlapping(device, tier, range)? {
            let chunk = self.shared.chunks.lazy(view, meta);
            let read = chunk.times().and_then(|times| {
                self.spend(times.len().saturating_mul(columns))?;
                each(&chunk, &times)
            });
            match read {
                Err(Error::Corrupt { .. }) => self.damaged.lock().push(meta.id),
                other => other?,
            }
        }
        Ok(())
    }

    /// Called before the columns of each chunk are unpacked, so that a query past its time ends within one chunk of it.
    fn spend(&self, samples: usize) -> Result<()> {
        let limits = &self.shared.limits;
        if Instant::now() >= self.until {
            return Err(Error::TooLong { limit_ms: limits.query_time.as_millis() as u64 });
        }
        let less = |left: usize| left.checked_sub(samples);
        match self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::TooMuch { limit: limits.query_samples }),
        }
    }
}

/// Ascending, each time once, of equal times the one that came last.
fn settle<T: Copy>(points: &mut Vec<(Timestamp, T)>) {
    if points.is_sorted_by(|a, b| a.0 < b.0) {
        return;
    }
    points.sort_by_key(|p| p.0);
    let mut kept = 0;
    for i in 0..points.len() {
        if i + 1 < points.len() && points[i + 1].0 == points[i].0 {
            continue;
        }
        points[kept] = points[i];
        kept += 1;
    }
    points.truncate(kept);
}

/// Appends what `made` makes of the values of a column within a range; says how many of its values are before. The times
/// of a chunk ascend.
fn append<T>(
    column: &Column,
    times: &[Timestamp],
    range: TimeRange,
    to: &mut Vec<(Timestamp, T)>,
    made: impl Fn(f64) -> T,
) -> usize {
    let rows = times.partition_point(|&t| t < range.start())..times.partition_point(|&t| t < range.end());
    let entry = |(t, value): (&Timestamp, &f64)| (*t, made(*value));
    if column.present == Presence::All {
        let before = rows.start;
        let values = column.values.get(before..).unwrap_or_default();
        to.extend(times[rows].iter().zip(values).map(entry));
        return before;
    }
    // The values stand one after the other, without those that are missing.
    let before = (0..rows.start).filter(|&row| column.present.has(row)).count();
    let values = column.values.get(before..).unwrap_or_default();
    let there = rows.filter(|&row| column.present.has(row)).map(|row| &times[row]);
    to.extend(there.zip(values).map(entry));
    before
}

/// Appends the samples of a column within a range.
fn append_samples(
    chunk: &LazyChunk<'_>,
    key: ColumnKey,
    times: &[Timestamp],
    range: TimeRange,
    samples: &mut Samples,
) -> Result<()> {
    if let Some(column) = chunk.column(key)? {
        append(&column, times, range, samples, |value| value);
    }
    Ok(())
}

/// Appends the rollups of a metric within a range.
fn append_rollups(
    chunk: &LazyChunk<'_>,
    metric: u32,
    kind: Kind,
    figures: Figures,
    times: &[Timestamp],
    range: TimeRange,
    points: &mut Points,
) -> Result<()> {
    let key = |field| ColumnKey { metric, field };
    let Some(counts) = chunk.column(key(Field::Count))? else { return Ok(()) };
    let from = points.len();
    let bucket = |count| Bucket { count: count as u64, ..Bucket::EMPTY };
    let before = append(&counts, times, range, points, bucket);
    let mut fill = |wanted: bool, field, set: fn(&mut Bucket, f64)| -> Result<()> {
        if wanted && let Some(column) = chunk.column(key(field))? {
            let values = column.values.get(before..).unwrap_or_default();
            points[from..].iter_mut().zip(values).for_each(|(point, value)| set(&mut point.1, *value));
        }
        Ok(())
    };
    // What a counter grew by from one step to the next is told by the last value of the one and the first of the other.
    let growth = figures.increase && kind == Kind::Counter;
    let filled = fill(figures.sum, Field::Sum, |b, v| b.sum = v)
        .and_then(|()| fill(figures.min, Field::Min, |b, v| b.min = v))
        .and_then(|()| fill(figures.max, Field::Max, |b, v| b.max = v))
        .and_then(|()| fill(growth || figures == Figures::ALL, Field::First, |b, v| b.first = v))
        .and_then(|()| fill(growth || figures.last, Field::Last, |b, v| b.last = v))
        .and_then(|()| fill(growth, Field::Increase, |b, v| b.increase = v));
    if filled.is_err() {
        // A chunk that is damaged leaves a hole, never steps of which a part is missing.
        points.truncate(from);
    }
    filled
}
