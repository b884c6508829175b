//! The head: rows not sealed yet, as columns per stream.
//!
//! Rows may come late and out of order; they are kept as they come and put in order when they are read or sealed.
//! A generation that is closed goes on being read until its chunks are committed.

use crate::tail::StoredBatch;
use crate::tail::group::StoredColumn;
use crate::types::{DeviceId, Kind, Presence, TimeRange, Timestamp, set_bits};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// Rows that a stream's memory is made for at most before they come: so many fill a chunk well enough.
const ROWS_EXPECTED_MAX: usize = 4_096;

/// The rows that came between two seals.
#[derive(Debug, Default)]
pub struct Generation {
    /// Its number; counts up.
    pub number: i64,
    /// When its first batch arrived, by the server's clock.
    pub opened_ms: Option<Timestamp>,
    /// Values in it.
    pub samples: usize,
    /// The rows by stream.
    pub streams: HashMap<DeviceId, Buffer, foldhash::fast::RandomState>,
}

/// The rows of one stream, in the order they came.
#[derive(Debug, Default, Clone)]
pub struct Buffer {
    /// Their times.
    pub t_ms: Vec<Timestamp>,
    /// Their columns; a shorter one has no value in the rows past its end.
    pub columns: Vec<BufferColumn>,
    places: HashMap<u32, usize, foldhash::fast::RandomState>,
    /// How many rows there is room for from the beginning.
    rows_expected: usize,
}

/// One metric's values in a buffer.
#[derive(Debug, Clone)]
pub struct BufferColumn {
    pub metric: u32,
    pub kind: Kind,
    values: Vec<f64>,
    /// Which of them are there; mostly all are, and no words are kept.
    present: Presence,
}

impl BufferColumn {
    /// The value in row `i`, if there is one.
    pub fn get(&self, i: usize) -> Option<f64> {
        self.values.get(i).copied().filter(|_| self.present.has(i))
    }

    /// One value per row of `rows`, and which of them are there.
    pub fn rows(&self, rows: usize) -> (Vec<f64>, Presence) {
        let mut values = Vec::with_capacity(rows);
        values.extend_from_slice(&self.values);
        values.resize(rows, 0.0);
        if self.values.len() == rows && self.present == Presence::All {
            return (values, Presence::All);
        }
        let mut words = words(self.present.clone(), self.values.len());
        words.resize(rows.div_ceil(64), 0);
        (values, Presence::of_words(words, rows))
    }

    /// How many values it has.
    fn samples(&self) -> usize {
        self.present.count(self.values.len())
    }

    fn push(&mut self, at: usize, values: &[f64], present: &Presence) {
        if self.values.len() < at || *present != Presence::All || self.present != Presence::All {
            self.note_present(at, values.len(), present);
        }
        self.values.resize(at, 0.0);
        self.values.extend_from_slice(values);
    }

    /// Notes which of so many values from row `at` on are there, one by one.
    fn note_present(&mut self, at: usize, rows: usize, present: &Presence) {
        let mut words = words(std::mem::replace(&mut self.present, Presence::All), self.values.len());
        words.resize((at + rows).div_ceil(64), 0);
        match present {
            Presence::All => set_bits(&mut words, at, at + rows),
            Presence::Bits(_) => {
                for i in (0..rows).filter(|&i| present.has(i)) {
                    words[(at + i) / 64] |= 1 << ((at + i) % 64);
                }
            }
        }
        self.present = Presence::Bits(words);
    }
}

/// The presence of so many rows as words.
fn words(present: Presence, rows: usize) -> Vec<u64> {
    match present {
        Presence::Bits(words) => words,
        Presence::All => {
            let mut words = vec![0; rows.div_ceil(64)];
            set_bits(&mut words, 0, rows);
            words
        }
    }
}

impl Buffer {
    /// One that will probably have about so many rows: it need not be moved to larger and larger memory. What is not used of
    /// it is memory only by name.
    fn expecting(rows: usize) -> Buffer {
        let rows_expected = (rows + rows / 8).min(ROWS_EXPECTED_MAX);
        Buffer { t_ms: Vec::with_capacity(rows_expected), rows_expected, ..Buffer::default() }
    }

    /// The column of a metric.
    pub fn column(&self, metric: u32) -> Option<&BufferColumn> {
        self.places.get(&metric).map(|&at| &self.columns[at])
    }

    fn push(&mut self, batch: &StoredBatch) {
        let at = self.t_ms.len();
        self.t_ms.extend_from_slice(&batch.t_ms);
        for (i, column) in batch.columns.iter().enumerate() {
            // Mostly a device says the same metrics in the same order.
            let same_place = self.columns.get(i).is_some_and(|kept| kept.metric == column.metric);
            let place = if same_place { i } else { self.place(column) };
            let kept = &mut self.columns[place];
            kept.kind = column.kind;
            kept.push(at, &column.values, &column.present);
        }
    }

    /// The place of a column, a new one if need be.
    fn place(&mut self, column: &StoredColumn) -> usize {
        *self.places.entry(column.metric).or_insert_with(|| {
            self.columns.push(BufferColumn {
                metric: column.metric,
                kind: column.kind,
                values: Vec::with_capacity(self.rows_expected),
                present: Presence::All,
            });
            self.columns.len() - 1
        })
    }

    /// Appends the values of one metric within a range, in the order they came.
    pub fn read(&self, metric: u32, range: TimeRange, into: &mut Vec<(Timestamp, f64)>) {
        let Some(column) = self.column(metric) else { return };
        for (i, &t) in self.t_ms.iter().enumerate() {
            if range.contains(t)
                && let Some(value) = column.get(i)
            {
                into.push((t, value));
            }
        }
    }
}

/// The open generation and the one being sealed.
pub struct Head(RwLock<State>);

struct State {
    open: Generation,
    sealing: Option<Arc<Generation>>,
    /// How many rows each stream had in the generation before: in the next it will have about as many.
    rows_before: HashMap<DeviceId, usize, foldhash::fast::RandomState>,
}

impl Head {
    /// An empty one whose open generation has this number.
    pub fn new(number: i64) -> Head {
        let open = Generation { number, ..Generation::default() };
        Head(RwLock::new(State { open, sealing: None, rows_before: HashMap::default() }))
    }

    /// Takes in batches that are on disk.
    pub fn push(&self, batches: &[StoredBatch]) {
        let State { open, rows_before, .. } = &mut *self.0.write();
        for batch in batches {
            // Also without rows: its group leaves the tail only with its generation.
            open.opened_ms.get_or_insert(batch.received_ms);
            if batch.t_ms.is_empty() {
                continue;
            }
            open.samples += batch.columns.iter().map(|c| c.present.count(c.values.len())).sum::<usize>();
            let expected = || rows_before.get(&batch.device).copied().unwrap_or_default();
            let buffer = open.streams.entry(batch.device).or_insert_with(|| Buffer::expecting(expected()));
            buffer.push(batch);
        }
    }

    /// Number, first arrival and samples of the open generation, and whether another is being sealed.
    pub fn open_generation(&self) -> (i64, Option<Timestamp>, usize, bool) {
        let state = self.0.read();
        (state.open.number, state.open.opened_ms, state.open.samples, state.sealing.is_some())
    }

    /// Closes the open generation and begins the next. `None` while another is being sealed.
    pub fn close_generation(&self) -> Option<Arc<Generation>> {
        let mut state = self.0.write();
        if state.sealing.is_some() {
            return None;
        }
        let next = Generation { number: state.open.number + 1, ..Generation::default() };
        let closed = Arc::new(std::mem::replace(&mut state.open, next));
        state.rows_before = closed.streams.iter().map(|(id, buffer)| (*id, buffer.t_ms.len())).collect();
        state.sealing = Some(closed.clone());
        Some(closed)
    }

    /// The chunks of the closed generation are committed.
    pub fn sealed(&self) {
        self.0.write().sealing = None;
    }

    /// Forgets a deleted device's rows, except those being sealed, which the seal drops itself.
    pub fn forget(&self, device: DeviceId) {
        let mut state = self.0.write();
        if let Some(buffer) = state.open.streams.remove(&device) {
            let gone: usize = buffer.columns.iter().map(BufferColumn::samples).sum();
            state.open.samples = state.open.samples.saturating_sub(gone);
        }
    }

    /// Samples held.
    pub fn samples(&self) -> usize {
        let state = self.0.read();
        state.open.samples + state.sealing.as_ref().map_or(0, |g| g.samples)
    }

    /// Looks at a stream's buffers, the older first.
    pub fn with<T>(&self, stream: DeviceId, look: impl FnOnce(&[&Buffer]) -> T) -> T {
        let state = self.0.read();
        let sealing = state.sealing.as_ref().and_then(|g| g.streams.get(&stream));
        let buffers: Vec<&Buffer> = sealing.into_iter().chain(state.open.streams.get(&stream)).collect();
        look(&buffers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_column_gives_back_what_was_pushed_wherever_it_was_absent(
            pushes in proptest::collection::vec((0usize..70, proptest::collection::vec(any::<bool>(), 1..70), any::<bool>()), 0..6)
        ) {
            let mut column =
                BufferColumn { metric: 1, kind: Kind::Gauge, values: Vec::new(), present: Presence::All };
            let mut model: Vec<Option<f64>> = Vec::new();
            for (gap, flags, all) in pushes {
                let gap = if all { 0 } else { gap };
                model.resize(model.len() + gap, None);
                let at = model.len();
                let flags: Vec<bool> = flags.into_iter().map(|there| there || all).collect();
                let values: Vec<f64> = (at..at + flags.len()).map(|i| i as f64).collect();
                column.push(at, &values, &Presence::from_flags(flags.iter().copied()));
                model.extend(flags.iter().zip(&values).map(|(there, v)| there.then_some(*v)));
            }
            for rows in [model.len(), model.len() + 1, model.len() + 65] {
                let (values, present) = column.rows(rows);
                prop_assert_eq!(values.len(), rows);
                for (i, value) in values.into_iter().enumerate() {
                    let wanted = model.get(i).copied().flatten();
                    prop_assert_eq!(column.get(i), wanted);
                    prop_assert_eq!(present.has(i).then_some(value), wanted);
                }
            }
            prop_assert_eq!(column.samples(), model.iter().flatten().count());
        }
    }
}
