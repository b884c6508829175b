//! Rows with their columns, put in order: what stands between the head, or chunks that are read, and new chunks.

use crate::chunk::{CHUNK_ROWS_MAX, Chunk, ColumnIn, ColumnKey, Field};
use crate::error::Result;
use crate::head::Buffer;
use crate::types::{Kind, Presence, TimeRange, Timestamp, set_bits};
use std::borrow::Cow;
use std::collections::HashMap;

/// Rows with their columns, each as long as the times. After [`settle`] the times ascend and none comes twice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layer {
    pub t_ms: Vec<Timestamp>,
    pub columns: Vec<ColumnIn>,
}

impl Layer {
    /// The rows of a buffer as they came.
    pub fn of_buffer(buffer: &Buffer) -> Layer {
        let rows = buffer.t_ms.len();
        let columns = buffer.columns.iter().map(|c| {
            let (values, present) = c.rows(rows);
            let key = ColumnKey { metric: c.metric, field: Field::Value };
            ColumnIn { key, kind: c.kind, values, present }
        });
        Layer { t_ms: buffer.t_ms.clone(), columns: columns.collect() }
    }

    /// The rows of a chunk that `wanted` says yes to.
    pub fn of_chunk(chunk: &Chunk, wanted: impl Fn(Timestamp) -> bool) -> Result<Layer> {
        let mut t_ms = chunk.times()?;
        let rows: Vec<usize> = (0..t_ms.len()).filter(|&i| wanted(t_ms[i])).collect();
        let all = rows.len() == t_ms.len();
        let mut columns = Vec::with_capacity(chunk.columns().len());
        for (key, kind) in chunk.columns() {
            let Some((values, present)) = chunk.column(key)? else { continue };
            let (mut values, mut present) = (spread(values, present, t_ms.len()), present.clone());
            if !all {
                values = rows.iter().map(|&i| values[i]).collect();
                present = Presence::from_flags(rows.iter().map(|&i| present.has(i)));
            }
            columns.push(ColumnIn { key, kind, values, present });
        }
        if !all {
            t_ms = rows.iter().map(|&i| t_ms[i]).collect();
        }
        Ok(Layer { t_ms, columns })
    }

    /// Those of its rows, which are settled, that lie within a range; without columns that have no value there.
    pub fn within(&self, range: TimeRange) -> Layer {
        let from = self.t_ms.partition_point(|t| *t < range.start());
        let to = self.t_ms.partition_point(|t| *t < range.end());
        Layer { t_ms: self.t_ms[from..to].to_vec(), columns: self.piece(from, to).into_owned() }
    }

    /// The settled rows as pieces that fit a chunk each and do not reach over a border of windows of this length.
    pub fn pieces(&self, window_ms: i64) -> Vec<(&[Timestamp], Cow<'_, [ColumnIn]>)> {
        let mut pieces = Vec::new();
        let mut from = 0;
        while from < self.t_ms.len() {
            let window = self.t_ms[from].div_euclid(window_ms);
            let inside = self.t_ms[from..].partition_point(|t| t.div_euclid(window_ms) == window);
            let to = from + inside.min(CHUNK_ROWS_MAX);
            pieces.push((&self.t_ms[from..to], self.piece(from, to)));
            from = to;
        }
        pieces
    }

    /// The columns that have a value in these rows.
    fn piece(&self, from: usize, to: usize) -> Cow<'_, [ColumnIn]> {
        let is_all = from == 0 && to == self.t_ms.len();
        if is_all && self.columns.iter().all(|c| c.present.count(to) > 0) {
            return Cow::Borrowed(&self.columns);
        }
        let cut = self.columns.iter().filter_map(|c| {
            let present = c.present.slice(from, to);
            let ColumnIn { key, kind, .. } = *c;
            (present.count(to - from) > 0).then(|| ColumnIn {
                key,
                kind,
                values: c.values[from..to].to_vec(),
                present,
            })
        });
        Cow::Owned(cut.collect())
    }
}

/// One value per row; what stands where there is none is of no meaning.
fn spread(values: Vec<f64>, present: &Presence, rows: usize) -> Vec<f64> {
    if *present == Presence::All {
        return values;
    }
    let mut values = values.into_iter();
    (0..rows).map(|i| if present.has(i) { values.next().unwrap_or_default() } else { 0.0 }).collect()
}

/// One layer whose times ascend, each once. Where several rows have the same time, the values of the later row of
/// the later layer win, column by column; of rollups metric by metric, because their columns belong together.
pub fn settle(mut layers: Vec<Layer>) -> Layer {
    layers.retain(|layer| !layer.t_ms.is_empty());
    if !layers.iter().all(|layer| layer.t_ms.is_sorted_by(|a, b| a < b)) {
        return interleave(&layers);
    }
    if layers.len() == 1 {
        return layers.remove(0);
    }
    let mut by_time: Vec<&Layer> = layers.iter().collect();
    by_time.sort_by_key(|layer| layer.t_ms[0]);
    // Where each ends before the next begins nothing comes twice.
    if by_time.is_sorted_by(|a, b| a.t_ms.last() < b.t_ms.first()) {
        return concatenate(&by_time);
    }
    interleave(&layers)
}

/// Layers one after the other.
fn concatenate(layers: &[&Layer]) -> Layer {
    let mut out = Merged::new(layers.iter().flat_map(|layer| layer.t_ms.iter().copied()).collect());
    let mut from = 0;
    for layer in layers {
        let rows = layer.t_ms.len();
        for column in &layer.columns {
            let into = out.column(column.key, column.kind);
            into.values[from..from + rows].copy_from_slice(&column.values);
            match &column.present {
                Presence::All => set_bits(&mut into.present, from, from + rows),
                Presence::Bits(_) => {
                    (0..rows).filter(|&row| column.present.has(row)).for_each(|row| into.set(from + row));
                }
            }
        }
        from += rows;
    }
    out.finish()
}

/// Layers row by row.
fn interleave(layers: &[Layer]) -> Layer {
    let mut order: Vec<(Timestamp, usize, usize)> = layers
        .iter()
        .enumerate()
        .flat_map(|(l, layer)| layer.t_ms.iter().enumerate().map(move |(row, &t)| (t, l, row)))
        .collect();
    order.sort_unstable();
    let mut t_ms: Vec<Timestamp> = Vec::with_capacity(order.len());
    // Place of each input row in the output.
    let mut places: Vec<Vec<usize>> = layers.iter().map(|l| vec![0; l.t_ms.len()]).collect();
    for &(t, layer, row) in &order {
        if t_ms.last() != Some(&t) {
            t_ms.push(t);
        }
        places[layer][row] = t_ms.len() - 1;
    }
    let mut out = Merged::new(t_ms);
    for (layer, places) in layers.iter().zip(&places) {
        let present = |column: &ColumnIn, row: usize| column.present.has(row);
        for count in layer.columns.iter().filter(|c| c.key.field == Field::Count) {
            for older in out.columns.iter_mut().filter(|c| c.key.metric == count.key.metric) {
                (0..places.len()).filter(|&row| present(count, row)).for_each(|row| older.unset(places[row]));
            }
        }
        for column in &layer.columns {
            let into = out.column(column.key, column.kind);
            for row in (0..places.len()).filter(|&row| present(column, row)) {
                into.values[places[row]] = column.values[row];
                into.set(places[row]);
            }
        }
    }
    out.finish()
}

/// A layer that several are written into.
struct Merged {
    t_ms: Vec<Timestamp>,
    columns: Vec<MergedColumn>,
    places: HashMap<ColumnKey, usize>,
}

struct MergedColumn {
    key: ColumnKey,
    kind: Kind,
    values: Vec<f64>,
    present: Vec<u64>,
}

impl Merged {
    fn new(t_ms: Vec<Timestamp>) -> Merged {
        Merged { t_ms, columns: Vec::new(), places: HashMap::new() }
    }

    fn column(&mut self, key: ColumnKey, kind: Kind) -> &mut MergedColumn {
        let rows = self.t_ms.len();
        let place = *self.places.entry(key).or_insert_with(|| {
            let (values, present) = (vec![0.0; rows], vec![0; rows.div_ceil(64)]);
            self.columns.push(MergedColumn { key, kind, values, present });
            self.columns.len() - 1
        });
        self.columns[place].kind = kind;
        &mut self.columns[place]
    }

    fn finish(self) -> Layer {
        let rows = self.t_ms.len();
        let columns = self.columns.into_iter().map(|c| {
            let present = Presence::of_words(c.present, rows);
            ColumnIn { key: c.key, kind: c.kind, values: c.values, present }
        });
        Layer { columns: columns.collect(), t_ms: self.t_ms }
    }
}

impl MergedColumn {
    fn set(&mut self, row: usize) {
        self.present[row / 64] |= 1 << (row % 64);
    }

    fn unset(&mut self, row: usize) {
        self.present[row / 64] &= !(1 << (row % 64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn column(key: ColumnKey, kind: Kind, values: &[Option<f64>]) -> ColumnIn {
        let present = Presence::from_flags(values.iter().map(Option::is_some));
        ColumnIn { key, kind, values: values.iter().map(|v| v.unwrap_or_default()).collect(), present }
    }

    fn layer(rows: &[(i64, Option<f64>)]) -> Layer {
        let values: Vec<_> = rows.iter().map(|r| r.1).collect();
        let key = ColumnKey { metric: 1, field: Field::Value };
        Layer { t_ms: rows.iter().map(|r| r.0).collect(), columns: vec![column(key, Kind::Gauge, &values)] }
    }

    #[test]
    fn the_last_write_wins_and_absence_wins_nothing() {
        let settled = settle(vec![
            layer(&[(3, Some(30.0)), (1, Some(10.0)), (1, Some(11.0))]),
            layer(&[(3, None), (2, Some(20.0))]),
        ]);
        assert_eq!(settled, layer(&[(1, Some(11.0)), (2, Some(20.0)), (3, Some(30.0))]));
        let later_begins_earlier =
            vec![layer(&[(5, Some(1.0)), (6, Some(2.0))]), layer(&[(4, Some(3.0)), (5, Some(4.0))])];
        assert_eq!(settle(later_begins_earlier), layer(&[(4, Some(3.0)), (5, Some(4.0)), (6, Some(2.0))]));
    }

    #[test]
    fn a_rollup_row_is_replaced_metric_by_metric() {
        let row = |fields: &[(Field, f64)]| Layer {
            t_ms: vec![0],
            columns: fields
                .iter()
                .map(|&(field, v)| column(ColumnKey { metric: 1, field }, Kind::Counter, &[Some(v)]))
                .collect(),
        };
        let settled =
            settle(vec![row(&[(Field::Count, 5.0), (Field::Increase, 9.0)]), row(&[(Field::Count, 6.0)])]);
        let values: Vec<_> =
            settled.columns.iter().map(|c| (c.key.field, c.present.has(0).then_some(c.values[0]))).collect();
        assert_eq!(values, [(Field::Count, Some(6.0)), (Field::Increase, None)]);
    }

    #[test]
    fn rows_within_a_range_begin_with_its_start_and_end_before_its_end() {
        let whole = layer(&[(1, Some(1.0)), (2, None), (3, Some(3.0)), (4, Some(4.0))]);
        let within = |from, to| whole.within(TimeRange::new(from, to).unwrap());
        assert_eq!(within(3, 4), layer(&[(3, Some(3.0))]));
        assert_eq!(within(0, 9), whole);
        assert_eq!(within(2, 4), layer(&[(2, None), (3, Some(3.0))]));
        assert_eq!(within(2, 3), Layer { t_ms: vec![2], columns: Vec::new() }, "nothing is said of it");
        assert_eq!(within(5, 9), Layer::default());
    }

    #[test]
    fn pieces_end_where_a_window_ends_and_leave_out_what_has_no_value() {
        let layer = layer(&[(-1, Some(1.0)), (0, None), (9, Some(2.0)), (10, Some(3.0)), (35, None)]);
        let pieces: Vec<_> = layer.pieces(10).into_iter().map(|(t, c)| (t.to_vec(), c.len())).collect();
        assert_eq!(pieces, [(vec![-1], 1), (vec![0, 9], 1), (vec![10], 1), (vec![35], 0)]);
        let second = &layer.pieces(10)[1].1[0];
        assert_eq!((second.present.has(0), second.present.has(1), second.values[1]), (false, true, 2.0));
    }

    proptest! {
        #[test]
        fn layers_that_follow_each_other_are_joined_as_those_that_overlap(
            rows in proptest::collection::vec((1i64..5, proptest::option::of(0u8..9)), 1..200),
            cuts in proptest::collection::vec(0usize..200, 0..4)
        ) {
            let mut t = 0;
            let rows: Vec<(i64, Option<f64>)> = rows.into_iter().map(|(rise, v)| {
                t += rise;
                (t, v.map(f64::from))
            }).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|&c| c < rows.len()).chain([0, rows.len()]).collect();
            cuts.sort_unstable();
            let mut layers: Vec<Layer> = cuts.windows(2).map(|w| layer(&rows[w[0]..w[1]])).collect();
            layers.reverse();
            prop_assert_eq!(settle(layers.clone()), interleave(&layers));
        }
    }
}
