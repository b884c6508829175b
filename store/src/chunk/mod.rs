//! The chunk: an immutable, compressed run of rows of one stream.
//!
//! ```text
//! header   magic, format, lengths, CRC-32                           header
//! frame    one zstd frame, its blocks cut where statistics change   blocks
//!   head     bincode: rows, times, presences, columns               mod, times, presence, column
//!   symbols  tokens and byte planes of all sequences                sequence, tokens, planes
//!   raw      lower bits of the tokens                               bits
//! ```
//!
//! A column of doubles becomes integers (`column`, `decimal`), those a few sequences (`integers`, `sequence`), each in
//! the form that is shortest by estimate (`choose`, `cost`); `likeness` finds columns that repeat another.
//! `FORMAT.md` has it byte by byte.
//!
//! A chunk gives back every f64 bit for bit. One column is decoded without the others.

mod bits;
mod blocks;
mod choose;
mod column;
mod cost;
mod decimal;
mod divisor;
mod head;
mod header;
mod integers;
mod likeness;
mod planes;
mod presence;
mod read;
mod sequence;
#[cfg(test)]
mod tests;
mod times;
mod tokens;

pub use read::Chunk;

use crate::types::{Kind, Presence, Timestamp};
use bincode::{Decode, Encode};
use blocks::Compressor;
use column::{Plan, Scratch, Values};
use header::HEADER_BYTES;
use likeness::{Recent, Samples};
use presence::Stored;
use sequence::Streams;
use std::cell::RefCell;
use times::Times;

/// Rows in one chunk at most.
pub const CHUNK_ROWS_MAX: usize = 8_192;

/// Columns in one chunk at most: 1,000 metrics with seven aggregates each fit.
pub const CHUNK_COLUMNS_MAX: usize = 8_192;

/// Bytes of a body before compression at most; a blob that claims more is damaged.
pub const CHUNK_BYTES_MAX: usize = 1 << 30;

/// Memory that one chunk took and that is kept for the next, at most.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Memory that the head of a chunk may take when it is decoded.
const HEAD_BYTES_MAX: usize = 32 << 20;

/// A number takes no more than a token and 62 bits.
const _: () = assert!(CHUNK_ROWS_MAX * CHUNK_COLUMNS_MAX * 9 + HEAD_BYTES_MAX <= CHUNK_BYTES_MAX);

/// What a column holds of its metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub enum Field {
    /// The samples themselves (raw tier).
    Value,
    /// Number of samples in the step.
    Count,
    /// Their sum.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The earliest.
    First,
    /// The latest.
    Last,
    /// Growth of a counter from the step's first sample to its last.
    Increase,
}

/// Which column: an aggregate of a metric, by the metric's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct ColumnKey {
    /// The metric's number in the dictionary.
    pub metric: u32,
    /// What of it.
    pub field: Field,
}

/// A column as it goes in.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnIn {
    /// Which.
    pub key: ColumnKey,
    /// Gauge or counter.
    pub kind: Kind,
    /// One per row; what stands at a row without a value is not kept.
    pub values: Vec<f64>,
    /// Which rows hold a value.
    pub present: Presence,
}

/// What stands in front of the symbols.
#[derive(Encode, Decode)]
struct Head {
    rows: u32,
    times: Times,
    /// Presences other than "every row", each once.
    presences: Vec<Stored>,
    columns: Vec<StoredColumn>,
    symbols: u32,
}

#[derive(Encode, Decode)]
struct StoredColumn {
    /// The metric's number less that of the column before; the columns ascend.
    metric_rise: u32,
    field: Field,
    kind: Kind,
    /// 0: every row. Otherwise the place among the presences, counted from 1.
    presence: u32,
    values: Values,
}

impl head::InHead for StoredColumn {
    fn read(from: &mut head::Reader<'_>) -> Option<StoredColumn> {
        const FIELDS: [Field; 8] = [
            Field::Value,
            Field::Count,
            Field::Sum,
            Field::Min,
            Field::Max,
            Field::First,
            Field::Last,
            Field::Increase,
        ];
        Some(StoredColumn {
            metric_rise: from.u32()?,
            field: *FIELDS.get(from.u32()? as usize)?,
            kind: *[Kind::Gauge, Kind::Counter].get(from.u32()? as usize)?,
            presence: from.u32()?,
            values: Values::read(from)?,
        })
    }
}

/// Makes chunks; its memory serves again for the next.
#[derive(Default)]
pub struct Encoder {
    compressor: Compressor,
    streams: Streams,
    scratch: Scratch,
    gathered: Vec<f64>,
    plain: Vec<u8>,
    recent: Recent,
}

impl Encoder {
    /// Rows as a blob. The columns come back in the order of their keys.
    ///
    /// # Panics
    /// On rows or columns past the bounds, columns of another length than `t`, or two of one key: the caller's fault.
    pub fn encode(&mut self, t: &[Timestamp], columns: &[ColumnIn]) -> Vec<u8> {
        assert!(t.len() <= CHUNK_ROWS_MAX, "bug: a chunk of {} rows", t.len());
        assert!(columns.len() <= CHUNK_COLUMNS_MAX, "bug: a chunk of {} columns", columns.len());
        let mut order: Vec<&ColumnIn> = columns.iter().collect();
        order.sort_unstable_by_key(|column| column.key);
        assert!(order.is_sorted_by(|a, b| a.key < b.key), "bug: two columns of one key");
        self.streams.clear();
        self.recent.clear();
        let times = times::put(t, &mut self.streams);
        let mut presences = Presences::default();
        let mut previous = 0;
        let mut stored: Vec<StoredColumn> = Vec::with_capacity(order.len());
        for (number, column) in order.iter().enumerate() {
            assert_eq!(column.values.len(), t.len(), "bug: a column of another length than its chunk");
            stored.push(StoredColumn {
                metric_rise: column.key.metric - previous,
                field: column.key.field,
                kind: column.kind,
                presence: presences.number(&column.present, t.len()),
                values: self.put_values(number, &order),
            });
            previous = column.key.metric;
        }
        let head = Head {
            rows: t.len() as u32,
            times,
            presences: presences.stored,
            columns: stored,
            symbols: self.streams.symbols.len() as u32,
        };
        self.pack(&head)
    }

    fn put_values(&mut self, number: usize, columns: &[&ColumnIn]) -> Values {
        let values = columns[number].present_values(&mut self.gathered);
        let samples = Samples::of(values);
        let mut others = Vec::new();
        if let Some(earlier) = self.recent.equal(&samples)
            && same_bits(values, columns[earlier as usize].present_values(&mut others))
        {
            self.recent.note(earlier, samples);
            return Values::Same(earlier);
        }
        let mut plan = column::plan(values, &mut self.scratch);
        if let Some(earlier) = self.recent.like(&samples)
            && let others = columns[earlier as usize].present_values(&mut others)
            && let Some(like) = column::plan_like(earlier, values, others)
            && like.bits() < plan.bits()
        {
            plan = like;
        }
        if !matches!(plan, Plan::Constant(_) | Plan::Like(..)) {
            self.recent.note(number as u32, samples);
        }
        plan.put(&self.scratch, &mut self.streams)
    }

    fn pack(&mut self, head: &Head) -> Vec<u8> {
        let Encoder { compressor, streams, plain, .. } = self;
        plain.clear();
        bincode::encode_into_std_write(head, plain, bincode::config::standard())
            .expect("encoding plain structs into memory cannot fail");
        let symbols_at = plain.len();
        plain.extend_from_slice(&streams.symbols);
        plain.extend_from_slice(streams.raw.finish());
        streams.borders.iter_mut().for_each(|border| *border += symbols_at);
        streams.borders.insert(0, symbols_at);
        let mut blob = vec![0; HEADER_BYTES];
        compressor.compress(plain, &streams.borders, &mut blob);
        header::write(&mut blob, plain.len());
        if plain.capacity() > KEPT_BYTES_MAX {
            (*plain, *streams) = (Vec::new(), Streams::default());
        }
        blob
    }
}

/// Rows as a blob, for sealing: as [`Encoder::encode`], with an encoder that each thread keeps.
///
/// # Panics
/// As [`Encoder::encode`].
pub fn encode(t: &[Timestamp], columns: &[ColumnIn]) -> Vec<u8> {
    thread_local! {
        static ENCODER: RefCell<Encoder> = RefCell::new(Encoder::default());
    }
    ENCODER.with_borrow_mut(|encoder| encoder.encode(t, columns))
}

/// The distinct presences of a chunk's columns.
#[derive(Default)]
struct Presences<'a> {
    given: Vec<&'a Presence>,
    stored: Vec<Stored>,
}

impl<'a> Presences<'a> {
    /// The number that stands for a presence. Neighbouring columns mostly share theirs: the last ones are tried.
    fn number(&mut self, present: &'a Presence, rows: usize) -> u32 {
        const TRIED: usize = 8;
        if *present == Presence::All {
            return 0;
        }
        let from = self.given.len().saturating_sub(TRIED);
        if let Some(at) = self.given[from..].iter().position(|other| *other == present) {
            return (from + at + 1) as u32;
        }
        self.given.push(present);
        self.stored.push(Stored::of(present, rows));
        self.stored.len() as u32
    }
}

impl ColumnIn {
    /// The values of the rows that have one; put into `gathered` when there are others.
    pub fn present_values<'a>(&'a self, gathered: &'a mut Vec<f64>) -> &'a [f64] {
        if self.present == Presence::All {
            return &self.values;
        }
        gathered.clear();
        gathered
            .extend(self.values.iter().enumerate().filter(|(i, _)| self.present.has(*i)).map(|(_, v)| *v));
        gathered
    }
}

/// Are these the same doubles, bit for bit?
pub fn same_bits(a: &[f64], b: &[f64]) -> bool {
    // Without a way out of the loop it takes several at a time.
    let differing = a.iter().zip(b).fold(0, |differing, (a, b)| differing | (a.to_bits() ^ b.to_bits()));
    a.len() == b.len() && differing == 0
}
