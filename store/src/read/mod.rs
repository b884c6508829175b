//! Answering range queries: plan the tier and step, read head and chunks, merge, fold into steps.

mod gather;
mod plan;

use crate::error::{Error, Result};
use crate::shared::Shared;
use crate::spread::spread;
use crate::types::{
    Bucket, DeviceId, Figures, Kind, RangeAnswer, RangeQuery, Series, Tier, TimeRange, Timestamp,
};
use gather::Gather;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Series that one query may answer.
pub const QUERY_SERIES_MAX: usize = 2_000;

/// What was found of one series in a tier: steps and what happened within each; ascending.
type Points = Vec<(Timestamp, Bucket)>;

/// The samples of one series; ascending.
type Samples = Vec<(Timestamp, f64)>;

/// Times that are looked at: from 1970 to the year 9999.
const TIMES: std::ops::Range<Timestamp> = 0..253_402_300_800_000;

/// Answers a query with these figures.
pub fn answer(shared: &Shared, query: &RangeQuery, figures: Figures) -> Result<RangeAnswer> {
    let until = Instant::now() + shared.limits.query_time;
    // Each round sets every damaged chunk aside that it meets; what is left then decodes.
    loop {
        let gather = Gather::new(shared, figures, until);
        let answer = answer_once(shared, &gather, query);
        if gather.set_damaged_aside() {
            continue;
        }
        if matches!(answer, Err(Error::TooMuch { .. } | Error::TooManySeries { .. } | Error::TooLong { .. }))
        {
            shared.queries_refused.fetch_add(1, Ordering::Relaxed);
        }
        return answer;
    }
}

fn answer_once(shared: &Shared, gather: &Gather<'_>, query: &RangeQuery) -> Result<RangeAnswer> {
    let (start, end) = (query.range.start().max(TIMES.start), query.range.end().min(TIMES.end));
    let Some(range) = TimeRange::new(start, end) else {
        return Ok(RangeAnswer { tier: Tier::Raw, step_ms: 0, t_ms: Vec::new(), series: Vec::new() });
    };
    let wanted = wanted_series(shared, query)?;
    let (kept_from, damaged) = reach(shared, &wanted, range)?;
    let points = query.points.max(1) as usize;
    // What is older than raw rows reach must not look empty, nor what is damaged where a rollup of it is asked for.
    if !damaged
        && plan::reaching_back(Tier::Raw, 0, range, kept_from).0 == Tier::Raw
        && let Some(rows) = read_rows(gather, &wanted, range, points)?
    {
        return Ok(rows);
    }
    let (tier, step_ms) = plan::tier_and_step(range, points);
    let (tier, step_ms) = plan::reaching_back(tier, step_ms, range, kept_from);
    // From the start of a step, so that the first is not cut.
    let start = crate::rollup::step_start(range.start(), step_ms);
    let range = TimeRange::new(start, range.end()).unwrap_or(range);
    let steps = ((range.length_ms() + step_ms - 1) / step_ms) as usize;
    let series = spread(&wanted, |(device, metrics)| {
        let kinds: Vec<(u32, Kind)> = metrics.iter().map(|m| (m.0, m.1)).collect();
        let found: Vec<Vec<Bucket>> = match tier {
            Tier::Raw => {
                let points = |s: Samples| s.into_iter().map(|(t, v)| (t, Bucket::of(v)));
                let found = gather.raw(*device, &kinds, range)?.into_iter().zip(&kinds);
                found.map(|(samples, kind)| fold(points(samples), start, step_ms, steps, kind.1)).collect()
            }
            tier => {
                let found = gather.rolled_up(*device, &kinds, tier, range)?.into_iter().zip(&kinds);
                found.map(|(points, kind)| fold(points.into_iter(), start, step_ms, steps, kind.1)).collect()
            }
        };
        let series = metrics.iter().zip(found).map(|((_, kind, name), buckets)| Series {
            device: *device,
            metric: name.to_string(),
            kind: *kind,
            buckets,
        });
        Ok(series.collect::<Vec<_>>())
    })?;
    let series = series.into_iter().flatten().collect();
    let t_ms = (0..steps as i64).map(|i| start + i * step_ms).collect();
    Ok(RangeAnswer { tier, step_ms, t_ms, series })
}

/// Metrics of one device that a query asks for: number, kind, name.
type Wanted = Vec<(u32, Kind, Arc<str>)>;

fn wanted_series(shared: &Shared, query: &RangeQuery) -> Result<Vec<(DeviceId, Wanted)>> {
    let mut total = 0;
    let mut wanted = Vec::new();
    let mut devices = query.devices.clone();
    devices.sort_unstable();
    devices.dedup();
    for device in devices {
        let mut metrics: Wanted = shared
            .registry
            .series(device)
            .into_iter()
            .filter_map(|(metric, kind)| Some((metric, kind, shared.dictionary.name(metric)?)))
            .filter(|m| query.metrics.iter().any(|pattern| matches(pattern, &m.2)))
            .collect();
        metrics.sort_unstable_by(|a, b| a.2.cmp(&b.2));
        total += metrics.len();
        if total > QUERY_SERIES_MAX {
            return Err(Error::TooManySeries { limit: QUERY_SERIES_MAX });
        }
        wanted.push((device, metrics));
    }
    Ok(wanted)
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

/// From when on the tiers of all these streams are complete, and whether raw rows of one are damaged within the range.
fn reach(shared: &Shared, wanted: &[(DeviceId, Wanted)], range: TimeRange) -> Result<(plan::KeptFrom, bool)> {
    shared.chunks.snapshot(|view| {
        let (mut kept_from, mut damaged) = ([Timestamp::MIN; 3], false);
        for (device, _) in wanted {
            for (own, kept_from) in view.kept_from_by_tier(*device)?.into_iter().zip(&mut kept_from) {
                *kept_from = own.max(*kept_from);
            }
            damaged |= !view.damaged_spans(*device, Tier::Raw, range)?.is_empty();
        }
        Ok((kept_from, damaged))
    })
}

/// The rows themselves, when there are no more than `points`.
fn read_rows(
    gather: &Gather<'_>,
    wanted: &[(DeviceId, Wanted)],
    range: TimeRange,
    points: usize,
) -> Result<Option<RangeAnswer>> {
    for (device, metrics) in wanted {
        if !metrics.is_empty() && gather.rows_at_least(*device, range, points)? > points {
            return Ok(None);
        }
    }
    let mut found = Vec::new();
    let mut t_ms: Vec<Timestamp> = Vec::new();
    for (device, metrics) in wanted {
        let kinds: Vec<(u32, Kind)> = metrics.iter().map(|m| (m.0, m.1)).collect();
        let points_found = gather.raw(*device, &kinds, range)?;
        t_ms.extend(points_found.iter().flatten().map(|p| p.0));
        t_ms.sort_unstable();
        t_ms.dedup();
        if t_ms.len() > points {
            return Ok(None);
        }
        found.push((*device, points_found));
    }
    let mut series = Vec::new();
    for ((_, metrics), (device, points_found)) in wanted.iter().zip(found) {
        for ((_, kind, name), points) in metrics.iter().zip(points_found) {
            let mut buckets = vec![Bucket::EMPTY; t_ms.len()];
            let mut before: Option<f64> = None;
            for (t, value) in points {
                let mut bucket = Bucket::of(value);
                if let (Kind::Counter, Some(before)) = (kind, before) {
                    bucket.increase = crate::rollup::growth(before, bucket.first);
                }
                before = Some(bucket.last);
                if let Ok(at) = t_ms.binary_search(&t) {
                    buckets[at] = bucket;
                }
            }
            series.push(Series { device, metric: name.to_string(), kind: *kind, buckets });
        }
    }
    Ok(Some(RangeAnswer { tier: Tier::Raw, step_ms: 0, t_ms, series }))
}

/// Folds ascending points into `steps` steps from `start` on. A counter's growth from the last sample of one step to the
/// first of the next counts for the next.
fn fold(
    points: impl Iterator<Item = (Timestamp, Bucket)>,
    start: Timestamp,
    step_ms: i64,
    steps: usize,
    kind: Kind,
) -> Vec<Bucket> {
    let mut out = vec![Bucket::EMPTY; steps];
    let mut before: Option<f64> = None;
    // The step that the points have reached, and its end: most points are in the same one as the point before.
    let (mut at, mut end) = (0usize, start.saturating_add(step_ms));
    for (t, point) in points {
        if t >= end {
            at = usize::try_from((t - start).div_euclid(step_ms)).unwrap_or(usize::MAX);
            end = t - (t - start).rem_euclid(step_ms) + step_ms;
        }
        if t >= start
            && let Some(bucket) = out.get_mut(at)
        {
            let opens = bucket.count == 0;
            bucket.add(&point, kind);
            if let (true, Kind::Counter, Some(before)) = (opens, kind, before) {
                bucket.increase += crate::rollup::growth(before, point.first);
            }
        }
        before = Some(point.last);
    }
    out
}
