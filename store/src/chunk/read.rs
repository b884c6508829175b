//! A chunk that was read back: checked and unpacked, its columns not yet decoded.
//!
//! Of a column only its place is kept, and what the head says of it is read again when it is asked for: as structs the
//! heads of 500 rollup chunks with 122 columns each took 20 MiB, and a third of the time of the answer that read them.

use super::column::Values;
use super::head::{InHead as _, Reader};
use super::header::{self, HEADER_BYTES, damaged};
use super::presence::Stored;
use super::sequence::{Place, Source};
use super::times::Times;
use super::{
    CHUNK_BYTES_MAX, CHUNK_COLUMNS_MAX, CHUNK_ROWS_MAX, ColumnKey, HEAD_BYTES_MAX, StoredColumn, bits, blocks,
};
use crate::error::{Error, Result};
use crate::types::{Kind, Presence, Timestamp};
use std::cell::RefCell;
use zstd::zstd_safe::DCtx;

/// See the module.
pub struct Chunk {
    rows: usize,
    times: Times,
    columns: Vec<OpenColumn>,
    /// "Every row" first.
    presences: Vec<OpenPresence>,
    /// Head, symbols and raw bits, with padding behind them.
    body: Vec<u8>,
    /// Where the symbols and the raw bits begin in it.
    symbols_at: usize,
    raw_at: usize,
}

struct OpenColumn {
    key: ColumnKey,
    kind: Kind,
    /// Is it one that repeats another?
    repeats: bool,
    presence: u32,
    /// Where it stands in the head.
    at: u32,
    /// Where its streams begin.
    place: Place,
}

const _: () = assert!(CHUNK_BYTES_MAX <= u32::MAX as usize);

struct OpenPresence {
    present: Presence,
    /// How many rows hold a value.
    count: usize,
}

impl Chunk {
    /// Checks and unpacks a blob.
    ///
    /// # Errors
    /// `Corrupt` with what is wrong; never a panic, never memory past [`CHUNK_BYTES_MAX`] nor past 32,768 times the
    /// blob.
    pub fn open(blob: &[u8]) -> Result<Chunk> {
        thread_local! {
            static CONTEXT: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
        }
        let header = header::read(blob)?;
        if header.plain_bytes > CHUNK_BYTES_MAX {
            return Err(damaged("it claims to be too large"));
        }
        let body = CONTEXT.with_borrow_mut(|context| {
            blocks::decompress(context, &blob[HEADER_BYTES..], header.plain_bytes, bits::PADDING)
        });
        Chunk::of_body(body.ok_or_else(|| damaged("it does not decompress"))?)
    }

    fn of_body(mut body: Vec<u8>) -> Result<Chunk> {
        let mut at = 0;
        let rows: u32 = take(&body, &mut at)?;
        let times: Times = take(&body, &mut at)?;
        let presences: Vec<Stored> = take(&body, &mut at)?;
        // A list is its length and its elements.
        let columns: u64 = take(&body, &mut at)?;
        let rows = rows as usize;
        if rows > CHUNK_ROWS_MAX || columns > CHUNK_COLUMNS_MAX as u64 {
            return Err(damaged("it has too many rows or columns"));
        }
        if presences.len() as u64 > columns {
            return Err(damaged("it has more presences than columns"));
        }
        let mut stored = Vec::with_capacity(columns as usize);
        for _ in 0..columns {
            let mut reader = Reader::new(&body, at);
            let column =
                StoredColumn::read(&mut reader).ok_or_else(|| damaged("a column does not decode"))?;
            stored.push((at as u32, column));
            at = reader.at();
        }
        let symbols: u32 = take(&body, &mut at)?;
        if symbols as usize > body.len() - at {
            return Err(damaged("its streams are not there"));
        }
        let end = body.len();
        body.extend_from_slice(&[0; bits::PADDING]);
        let mut chunk = Chunk {
            rows,
            times,
            columns: Vec::with_capacity(columns as usize),
            presences: open_presences(&presences, rows)
                .ok_or_else(|| damaged("a column's presence is of other rows"))?,
            body,
            symbols_at: at,
            raw_at: at + symbols as usize,
        };
        let reached = chunk.find_columns(&stored).ok_or_else(|| damaged("its columns do not add up"))?;
        if reached.symbol != symbols as usize || reached.bit.div_ceil(8) != end - chunk.raw_at {
            return Err(damaged("its streams have another length"));
        }
        Ok(chunk)
    }

    /// Steps over the streams of all columns, each with its place in the head; gives where the last ends.
    fn find_columns(&mut self, stored: &[(u32, StoredColumn)]) -> Option<Place> {
        let mut place = Place::default();
        self.times.skip(self.rows, self.source(), &mut place)?;
        let mut metric = 0u32;
        for (at, stored) in stored {
            metric = metric.checked_add(stored.metric_rise)?;
            let key = ColumnKey { metric, field: stored.field };
            let column = self.open_column(key, *at, place, stored)?;
            stored.values.skip(self.count(column.presence)?, self.source(), &mut place)?;
            self.columns.push(column);
        }
        Some(place)
    }

    fn open_column(
        &self,
        key: ColumnKey,
        at: u32,
        place: Place,
        stored: &StoredColumn,
    ) -> Option<OpenColumn> {
        if self.columns.last().is_some_and(|last| last.key >= key) {
            return None;
        }
        let other = stored.values.other();
        if let Some(other) = other {
            let other = self.columns.get(other as usize)?;
            if other.repeats || self.count(other.presence)? != self.count(stored.presence)? {
                return None;
            }
        }
        let (kind, presence) = (stored.kind, stored.presence);
        Some(OpenColumn { key, kind, repeats: other.is_some(), presence, at, place })
    }

    fn count(&self, presence: u32) -> Option<usize> {
        Some(self.presences.get(presence as usize)?.count)
    }

    fn source(&self) -> Source<'_> {
        Source { symbols: &self.body[self.symbols_at..self.raw_at], raw: &self.body[self.raw_at..] }
    }

    /// About how much memory it takes.
    pub fn memory_bytes(&self) -> usize {
        let presences = self.presences.len() * (size_of::<OpenPresence>() + self.rows.div_ceil(8));
        self.body.capacity() + self.columns.len() * size_of::<OpenColumn>() + presences
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The rows' times, in the order they were given.
    ///
    /// # Errors
    /// `Corrupt` when they do not decode.
    pub fn times(&self) -> Result<Vec<Timestamp>> {
        self.times.take(self.rows, self.source()).ok_or_else(|| Error::Corrupt {
            what: "a chunk's times".into(),
            why: "they do not decode".into(),
        })
    }

    /// Which columns there are, in ascending order.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = (ColumnKey, Kind)> + '_ {
        self.columns.iter().map(|c| (c.key, c.kind))
    }

    /// One column: its values, one per row that has one, and which rows those are. `None`: no such column.
    ///
    /// # Errors
    /// `Corrupt` when it does not decode.
    pub fn column(&self, key: ColumnKey) -> Result<Option<(Vec<f64>, &Presence)>> {
        let Ok(at) = self.columns.binary_search_by_key(&key, |c| c.key) else { return Ok(None) };
        let column = &self.columns[at];
        let values = self.values(column).ok_or_else(|| Error::Corrupt {
            what: format!("column {key:?} of a chunk"),
            why: "it does not decode".into(),
        })?;
        Ok(Some((values, &self.presences[column.presence as usize].present)))
    }

    fn values(&self, column: &OpenColumn) -> Option<Vec<f64>> {
        let stored = self.stored(column)?;
        let count = self.count(column.presence)?;
        // The other has values of its own: one step is enough.
        let other = match stored.other() {
            Some(other) => {
                let other = self.columns.get(other as usize)?;
                self.stored(other)?.take(count, Vec::new(), self.source(), other.place)?
            }
            None => Vec::new(),
        };
        stored.take(count, other, self.source(), column.place)
    }

    fn stored(&self, column: &OpenColumn) -> Option<Values> {
        Some(StoredColumn::read(&mut Reader::new(&self.body, column.at as usize))?.values)
    }
}

/// Decodes what stands at `at` in the head, and goes behind it.
fn take<T: bincode::Decode<()>>(body: &[u8], at: &mut usize) -> Result<T> {
    let config = bincode::config::standard().with_limit::<HEAD_BYTES_MAX>();
    let (found, used) = bincode::decode_from_slice(&body[*at..], config)
        .map_err(|e| damaged(&format!("its structure does not decode: {e}")))?;
    *at += used;
    Ok(found)
}

fn open_presences(stored: &[Stored], rows: usize) -> Option<Vec<OpenPresence>> {
    let every_row = OpenPresence { present: Presence::All, count: rows };
    let others = stored.iter().map(|stored| {
        let present = stored.open(rows)?;
        Some(OpenPresence { count: present.count(rows), present })
    });
    [Some(every_row)].into_iter().chain(others).collect()
}
