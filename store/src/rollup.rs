//! Rolling rows up.
//!
//! A rollup row is always computed from all raw rows of its step: a step that was rolled up before and gets more rows
//! (the border of two generations, a late report) is computed again and the newer row replaces the older. So a rollup
//! equals recomputation from raw, bit for bit.

use crate::chunk::{ColumnIn, ColumnKey, Field};
use crate::layer::Layer;
use crate::types::{Bucket, Kind, Presence, TimeRange, Timestamp};
use std::ops::Range;

/// The steps that have a row, as spans without gaps between neighbours.
pub fn touched(times: &[Timestamp], step_ms: i64) -> Vec<TimeRange> {
    let mut starts: Vec<Timestamp> = Vec::new();
    for &t in times {
        // Mostly the time before was in the same step.
        let is_in = |start: &Timestamp| t >= *start && t.wrapping_sub(*start) < step_ms;
        if !starts.last().is_some_and(is_in) {
            starts.push(step_start(t, step_ms));
        }
    }
    starts.sort_unstable();
    starts.dedup();
    let mut spans: Vec<TimeRange> = Vec::new();
    for start in starts {
        let end = start.saturating_add(step_ms);
        match spans.last_mut() {
            Some(last) if last.end() == start => {
                *last = TimeRange::new(last.start(), end).unwrap_or(*last);
            }
            _ => spans.extend(TimeRange::new(start, end)),
        }
    }
    spans
}

/// The start of the step that `t` is in.
pub fn step_start(t: Timestamp, step_ms: i64) -> Timestamp {
    t - t.rem_euclid(step_ms)
}

/// Rolls ascending samples up. `increase` is the growth within the step: that from the step before is added by the
/// reader, who knows both.
pub fn roll_up(samples: &[(Timestamp, f64)], step_ms: i64, kind: Kind) -> Vec<(Timestamp, Bucket)> {
    let mut out: Vec<(Timestamp, Bucket)> = Vec::new();
    for &(t, v) in samples {
        let start = step_start(t, step_ms);
        match out.last_mut() {
            Some((last, bucket)) if *last == start => bucket.add(&Bucket::of(v), kind),
            _ => out.push((start, Bucket::of(v))),
        }
    }
    out
}

impl Bucket {
    /// Nothing.
    pub const EMPTY: Bucket =
        Bucket { count: 0, sum: 0.0, min: 0.0, max: 0.0, first: 0.0, last: 0.0, increase: 0.0 };

    /// One sample.
    pub fn of(v: f64) -> Bucket {
        Bucket { count: 1, sum: v, min: v, max: v, first: v, last: v, increase: 0.0 }
    }

    /// Adds what comes later in time. For a counter the growth between the two counts as well; a fall is a reset, after
    /// which it began from zero.
    pub fn add(&mut self, later: &Bucket, kind: Kind) {
        if later.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *later;
            return;
        }
        if kind == Kind::Counter {
            self.increase += growth(self.last, later.first) + later.increase;
        }
        self.count += later.count;
        self.sum += later.sum;
        self.min = lesser(self.min, later.min);
        self.max = greater(self.max, later.max);
        self.last = later.last;
    }
}

// Of two zeros the first counts, whatever their signs, and a number before what is none: `f64::min` does not say which zero
// it takes.
fn lesser(first: f64, second: f64) -> f64 {
    if second < first || first.is_nan() { second } else { first }
}

fn greater(first: f64, second: f64) -> f64 {
    if second > first || first.is_nan() { second } else { first }
}

/// By how much a counter grew from one sample to the next.
pub fn growth(before: f64, after: f64) -> f64 {
    if after >= before { after - before } else { after }
}

/// The rollup of the steps within `spans`, each of which begins and ends a step; the layer is settled.
pub fn rolled_up(layer: &Layer, step_ms: i64, spans: &[TimeRange]) -> Layer {
    let starts: Vec<Timestamp> =
        spans.iter().flat_map(|s| (s.start()..s.end()).step_by(step_ms as usize)).collect();
    let rows: Vec<Range<usize>> = starts
        .iter()
        .map(|&start| {
            let from = layer.t_ms.partition_point(|&t| t < start);
            from..from + layer.t_ms[from..].partition_point(|&t| t - start < step_ms)
        })
        .collect();
    let mut columns = Vec::with_capacity(layer.columns.len() * 7);
    let mut buckets = Vec::with_capacity(starts.len());
    for column in &layer.columns {
        buckets.clear();
        buckets.extend(rows.iter().map(|rows| bucket_of(column, rows.clone())));
        let present = Presence::from_flags(buckets.iter().map(|b: &Bucket| b.count > 0));
        let mut field = |field, get: fn(&Bucket) -> f64| {
            let key = ColumnKey { metric: column.key.metric, field };
            let values = buckets.iter().map(get).collect();
            columns.push(ColumnIn { key, kind: column.kind, values, present: present.clone() });
        };
        field(Field::Count, |b| b.count as f64);
        field(Field::Sum, |b| b.sum);
        field(Field::Min, |b| b.min);
        field(Field::Max, |b| b.max);
        field(Field::First, |b| b.first);
        field(Field::Last, |b| b.last);
        if column.kind == Kind::Counter {
            field(Field::Increase, |b| b.increase);
        }
    }
    Layer { t_ms: starts, columns }
}

/// The values of some rows. The same additions in the same order as [`roll_up`], so the same bits.
fn bucket_of(column: &ColumnIn, rows: Range<usize>) -> Bucket {
    if column.present == Presence::All {
        return bucket_of_values(&column.values[rows], column.kind);
    }
    let mut bucket = Bucket::EMPTY;
    for row in rows.filter(|&row| column.present.has(row)) {
        bucket.add(&Bucket::of(column.values[row]), column.kind);
    }
    bucket
}

fn bucket_of_values(values: &[f64], kind: Kind) -> Bucket {
    let [first, .., last] = *values else {
        return values.first().map_or(Bucket::EMPTY, |v| Bucket::of(*v));
    };
    let sum = values[1..].iter().fold(first, |sum, v| sum + v);
    let increase = match kind {
        Kind::Gauge => 0.0,
        Kind::Counter => values.windows(2).fold(0.0, |sum, pair| sum + (growth(pair[0], pair[1]) + 0.0)),
    };
    let (min, max) = if sum.is_nan() {
        // There may be values that are no numbers.
        (values.iter().copied().fold(first, lesser), values.iter().copied().fold(first, greater))
    } else {
        extremes(values)
    };
    Bucket { count: values.len() as u64, sum, min, max, first, last, increase }
}

/// The least and the greatest of some numbers, several of which are compared at a time.
fn extremes(values: &[f64]) -> (f64, f64) {
    const LANES: usize = 4;
    let (mut least, mut most) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut take = |lane: usize, v: f64| {
        least[lane] = if v < least[lane] { v } else { least[lane] };
        most[lane] = if v > most[lane] { v } else { most[lane] };
    };
    for block in blocks {
        (0..LANES).for_each(|lane| take(lane, block[lane]));
    }
    rest.iter().for_each(|v| take(0, *v));
    let (min, max) = (least.into_iter().fold(least[0], lesser), most.into_iter().fold(most[0], greater));
    // Which zero it is tells the first of them.
    let first = |extreme: f64| match extreme {
        0.0 => values.iter().copied().find(|v| *v == 0.0).unwrap_or(extreme),
        _ => extreme,
    };
    (first(min), first(max))
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    /// Any double, often one that is the same as another or a zero of either sign.
    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => any::<f64>(),
            4 => (-2i8..3).prop_map(f64::from),
            1 => Just(-0.0),
            1 => Just(f64::NAN),
        ]
    }

    proptest! {
        #[test]
        fn columns_are_rolled_up_to_the_bits_that_samples_are(
            rows in proptest::collection::vec((1i64..40, value(), any::<bool>()), 0..300),
            all in any::<bool>(),
            counter in any::<bool>(),
        ) {
            let kind = if counter { Kind::Counter } else { Kind::Gauge };
            let mut t = -500;
            let rows: Vec<(i64, f64, bool)> = rows.into_iter().map(|(rise, v, there)| {
                t += rise;
                (t, v, there || all)
            }).collect();
            let key = ColumnKey { metric: 3, field: Field::Value };
            let present = Presence::from_flags(rows.iter().map(|r| r.2));
            let column = ColumnIn { key, kind, values: rows.iter().map(|r| r.1).collect(), present };
            let layer = Layer { t_ms: rows.iter().map(|r| r.0).collect(), columns: vec![column] };
            let samples: Vec<(i64, f64)> = rows.iter().filter(|r| r.2).map(|r| (r.0, r.1)).collect();
            let spans = touched(&layer.t_ms, 100);
            let rolled = rolled_up(&layer, 100, &spans);
            let expected = roll_up(&samples, 100, kind);
            for column in &rolled.columns {
                let found = (0..rolled.t_ms.len()).filter(|&i| column.present.has(i));
                let found: Vec<(i64, u64)> = found.map(|i| (rolled.t_ms[i], column.values[i].to_bits())).collect();
                let of = |b: &Bucket| match column.key.field {
                    Field::Count => b.count as f64,
                    Field::Sum => b.sum,
                    Field::Min => b.min,
                    Field::Max => b.max,
                    Field::First => b.first,
                    Field::Last => b.last,
                    Field::Increase | Field::Value => b.increase,
                };
                let expected: Vec<(i64, u64)> = expected.iter().map(|(t, b)| (*t, of(b).to_bits())).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn neighbouring_steps_are_one_span() {
        let spans: Vec<(i64, i64)> =
            touched(&[25, 3, 14, 41, 40], 10).iter().map(|r| (r.start(), r.end())).collect();
        assert_eq!(spans, [(0, 30), (40, 50)]);
    }

    #[test]
    fn times_before_1970_fall_into_the_step_below() {
        assert_eq!(step_start(-1, 10), -10);
        assert_eq!(step_start(-10, 10), -10);
    }

    #[test]
    fn a_counter_that_was_reset_grew_by_what_it_shows_after() {
        let samples = [(0, 100.0), (1, 130.0), (2, 5.0), (3, 15.0)];
        let rolled = roll_up(&samples, 10, Kind::Counter);
        assert_eq!(rolled.len(), 1);
        assert_eq!(rolled[0].1.increase, 30.0 + 5.0 + 10.0);
        assert_eq!((rolled[0].1.first, rolled[0].1.last, rolled[0].1.min), (100.0, 15.0, 5.0));
    }
}
