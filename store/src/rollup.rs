//! Putting rows in order and rolling them up.
//!
//! A rollup row is always computed from all raw rows of its step: a step that was rolled up before and gets more rows
//! (the border of two generations, a late report) is computed again and the newer row replaces the older. So a rollup
//! equals recomputation from raw, bit for bit.

use crate::chunk::{CHUNK_ROWS_MAX, Chunk, ColumnIn, ColumnKey, Field};
use crate::error::Result;
use crate::head::Buffer;
use crate::types::{Bucket, Kind, Presence, TimeRange, Timestamp};
use std::collections::HashMap;

/// Rows with their columns. After [`settle`] the times ascend and none comes twice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layer {
    pub t_ms: Vec<Timestamp>,
    pub columns: Vec<LayerColumn>,
}

/// One column's values in a layer, one per row.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerColumn {
    pub key: ColumnKey,
    pub kind: Kind,
    pub values: Vec<Option<f64>>,
}

impl Layer {
    /// The rows of a buffer as they came.
    pub fn of_buffer(buffer: &Buffer) -> Layer {
        let rows = buffer.t_ms.len();
        let columns = buffer
            .columns
            .iter()
            .map(|c| LayerColumn {
                key: ColumnKey { metric: c.metric, field: Field::Value },
                kind: c.kind,
                values: (0..rows).map(|i| c.get(i)).collect(),
            })
            .collect();
        Layer { t_ms: buffer.t_ms.clone(), columns }
    }

    /// The rows of a chunk that `wanted` says yes to.
    pub fn of_chunk(chunk: &Chunk, wanted: impl Fn(Timestamp) -> bool) -> Result<Layer> {
        let times = chunk.times()?;
        let rows: Vec<usize> = (0..times.len()).filter(|&i| wanted(times[i])).collect();
        let mut columns = Vec::new();
        for (key, kind) in chunk.columns() {
            let Some((values, present)) = chunk.column(key)? else { continue };
            let spread = spread(&values, present, times.len());
            columns.push(LayerColumn { key, kind, values: rows.iter().map(|&i| spread[i]).collect() });
        }
        Ok(Layer { t_ms: rows.iter().map(|&i| times[i]).collect(), columns })
    }

    /// The settled rows as pieces that fit a chunk each and do not reach over a border of windows of this length.
    pub fn pieces(&self, window_ms: i64) -> Vec<(&[Timestamp], Vec<ColumnIn>)> {
        let mut pieces = Vec::new();
        let mut from = 0;
        while from < self.t_ms.len() {
            let window = self.t_ms[from].div_euclid(window_ms);
            let inside = self.t_ms[from..].partition_point(|t| t.div_euclid(window_ms) == window);
            let to = from + inside.min(CHUNK_ROWS_MAX);
            let columns = self.columns.iter().filter_map(|c| column_in(c, from, to));
            pieces.push((&self.t_ms[from..to], columns.collect()));
            from = to;
        }
        pieces
    }
}

/// One value per row, `None` where there is none.
pub fn spread(values: &[f64], present: &Presence, rows: usize) -> Vec<Option<f64>> {
    let mut values = values.iter();
    (0..rows).map(|i| if present.has(i) { values.next().copied() } else { None }).collect()
}

/// One layer whose times ascend, each once. Where several rows have the same time, the values of the later row of
/// the later layer win, column by column; of rollups metric by metric, because their columns belong together.
pub fn settle(mut layers: Vec<Layer>) -> Layer {
    if layers.len() == 1 && layers[0].t_ms.is_sorted_by(|a, b| a < b) {
        return layers.remove(0);
    }
    let mut order: Vec<(Timestamp, usize, usize)> = layers
        .iter()
        .enumerate()
        .flat_map(|(l, layer)| layer.t_ms.iter().enumerate().map(move |(row, &t)| (t, l, row)))
        .collect();
    order.sort_unstable();
    let mut out = Layer::default();
    // Place of each input row in the output.
    let mut places: Vec<Vec<usize>> = layers.iter().map(|l| vec![0; l.t_ms.len()]).collect();
    for &(t, layer, row) in &order {
        if out.t_ms.last() != Some(&t) {
            out.t_ms.push(t);
        }
        places[layer][row] = out.t_ms.len() - 1;
    }
    let mut known: HashMap<ColumnKey, usize> = HashMap::new();
    for (layer, places) in layers.iter().zip(&places) {
        for count in layer.columns.iter().filter(|c| c.key.field == Field::Count) {
            for older in out.columns.iter_mut().filter(|c| c.key.metric == count.key.metric) {
                for (_, &place) in count.values.iter().zip(places).filter(|(count, _)| count.is_some()) {
                    older.values[place] = None;
                }
            }
        }
        for column in &layer.columns {
            let at = *known.entry(column.key).or_insert_with(|| {
                let values = vec![None; out.t_ms.len()];
                out.columns.push(LayerColumn { key: column.key, kind: column.kind, values });
                out.columns.len() - 1
            });
            let into = &mut out.columns[at];
            into.kind = column.kind;
            for (value, &place) in column.values.iter().zip(places) {
                if value.is_some() {
                    into.values[place] = *value;
                }
            }
        }
    }
    out
}

/// The steps that have a row, as spans without gaps between neighbours.
pub fn touched(times: &[Timestamp], step_ms: i64) -> Vec<TimeRange> {
    let mut starts: Vec<Timestamp> = times.iter().map(|&t| step_start(t, step_ms)).collect();
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
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        self.last = later.last;
    }
}

/// By how much a counter grew from one sample to the next.
pub fn growth(before: f64, after: f64) -> f64 {
    if after >= before { after - before } else { after }
}

/// The rollup of the steps within `spans`, each of which begins and ends a step.
pub fn rolled_up(layer: &Layer, step_ms: i64, spans: &[TimeRange]) -> Layer {
    let starts: Vec<Timestamp> =
        spans.iter().flat_map(|s| (s.start()..s.end()).step_by(step_ms as usize)).collect();
    let mut columns = Vec::new();
    for column in &layer.columns {
        let samples: Vec<(Timestamp, f64)> =
            layer.t_ms.iter().zip(&column.values).filter_map(|(&t, v)| v.map(|v| (t, v))).collect();
        let mut buckets = vec![Bucket::EMPTY; starts.len()];
        for (start, bucket) in roll_up(&samples, step_ms, column.kind) {
            if let Ok(at) = starts.binary_search(&start) {
                buckets[at] = bucket;
            }
        }
        let mut field = |field, get: fn(&Bucket) -> f64| {
            let values = buckets.iter().map(|b| (b.count > 0).then(|| get(b))).collect();
            let key = ColumnKey { metric: column.key.metric, field };
            columns.push(LayerColumn { key, kind: column.kind, values });
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

/// Some rows of a column; `None` when none of them has a value.
fn column_in(column: &LayerColumn, from: usize, to: usize) -> Option<ColumnIn> {
    let values = &column.values[from..to];
    if !values.iter().any(Option::is_some) {
        return None;
    }
    let present = Presence::from_flags(values.iter().map(Option::is_some));
    let values = values.iter().map(|v| v.unwrap_or_default()).collect();
    Some(ColumnIn { key: column.key, kind: column.kind, values, present })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(rows: &[(i64, Option<f64>)]) -> Layer {
        Layer {
            t_ms: rows.iter().map(|r| r.0).collect(),
            columns: vec![LayerColumn {
                key: ColumnKey { metric: 1, field: Field::Value },
                kind: Kind::Gauge,
                values: rows.iter().map(|r| r.1).collect(),
            }],
        }
    }

    #[test]
    fn the_last_write_wins_and_absence_wins_nothing() {
        let settled = settle(vec![
            layer(&[(3, Some(30.0)), (1, Some(10.0)), (1, Some(11.0))]),
            layer(&[(3, None), (2, Some(20.0))]),
        ]);
        assert_eq!(settled, layer(&[(1, Some(11.0)), (2, Some(20.0)), (3, Some(30.0))]));
    }

    #[test]
    fn a_rollup_row_is_replaced_metric_by_metric() {
        let row = |fields: &[(Field, f64)]| Layer {
            t_ms: vec![0],
            columns: fields
                .iter()
                .map(|&(field, v)| LayerColumn {
                    key: ColumnKey { metric: 1, field },
                    kind: Kind::Counter,
                    values: vec![Some(v)],
                })
                .collect(),
        };
        let settled =
            settle(vec![row(&[(Field::Count, 5.0), (Field::Increase, 9.0)]), row(&[(Field::Count, 6.0)])]);
        let values: Vec<_> = settled.columns.iter().map(|c| (c.key.field, c.values[0])).collect();
        assert_eq!(values, [(Field::Count, Some(6.0)), (Field::Increase, None)]);
    }

    #[test]
    fn pieces_end_where_a_window_ends() {
        let layer = layer(&[(-1, Some(1.0)), (0, None), (9, Some(2.0)), (10, Some(3.0)), (35, None)]);
        let pieces: Vec<_> = layer.pieces(10).into_iter().map(|(t, c)| (t.to_vec(), c.len())).collect();
        assert_eq!(pieces, [(vec![-1], 1), (vec![0, 9], 1), (vec![10], 1), (vec![35], 0)]);
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
