//! The chunk: an immutable, compressed run of rows of one stream.
//!
//! ```text
//! offset  bytes  what
//!      0      4  magic "OCWC"
//!      4      1  format, 1
//!      5      3  zero
//!      8      4  length of the body before compression, little endian
//!     12      4  length of the body as it stands here, little endian
//!     16      4  CRC-32 of everything but these four bytes, little endian
//!     20      …  body: one zstd frame around a bincode `Body`
//! ```
//!
//! A chunk gives back every f64 bit for bit. One column is decoded without the others.

mod column;
mod integers;

use crate::error::{Error, Result};
use crate::types::{Kind, Presence, Timestamp};
use bincode::{Decode, Encode};
use column::Encoding;

/// Rows in one chunk at most.
pub const CHUNK_ROWS_MAX: usize = 8_192;

/// Columns in one chunk at most: 1,000 metrics with seven aggregates each fit.
pub const CHUNK_COLUMNS_MAX: usize = 8_192;

/// Bytes of a body before compression at most; a blob that claims more is damaged.
pub const CHUNK_BYTES_MAX: usize = 1 << 30;

const MAGIC: &[u8; 4] = b"OCWC";
const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 20;
const ZSTD_LEVEL: i32 = 3;

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

#[derive(Encode, Decode)]
struct Body {
    rows: u32,
    t_order: u8,
    t_bytes: Vec<u8>,
    columns: Vec<StoredColumn>,
}

#[derive(Encode, Decode)]
struct StoredColumn {
    key: ColumnKey,
    kind: Kind,
    present: Presence,
    encoding: Encoding,
}

/// Rows as a blob.
///
/// # Panics
/// On rows or columns past the bounds, or columns of another length than `t`: the caller's fault.
pub fn encode(t: &[Timestamp], columns: &[ColumnIn]) -> Vec<u8> {
    assert!(t.len() <= CHUNK_ROWS_MAX, "bug: a chunk of {} rows", t.len());
    assert!(columns.len() <= CHUNK_COLUMNS_MAX, "bug: a chunk of {} columns", columns.len());
    let (t_order, t_bytes) = integers::encode(t);
    let mut present_values = Vec::with_capacity(t.len());
    let columns = columns
        .iter()
        .map(|column| {
            assert_eq!(column.values.len(), t.len(), "bug: a column of another length than its chunk");
            present_values.clear();
            present_values.extend(
                column.values.iter().enumerate().filter(|(i, _)| column.present.has(*i)).map(|(_, v)| *v),
            );
            StoredColumn {
                key: column.key,
                kind: column.kind,
                present: column.present.clone(),
                encoding: Encoding::of(&present_values),
            }
        })
        .collect();
    let body = Body { rows: t.len() as u32, t_order, t_bytes, columns };
    let plain = bincode::encode_to_vec(&body, bincode::config::standard())
        .expect("encoding plain vectors into memory cannot fail");
    let packed =
        zstd::bulk::compress(&plain, ZSTD_LEVEL).expect("compressing into a growing buffer cannot fail");
    let mut blob = Vec::with_capacity(HEADER_BYTES + packed.len());
    blob.extend_from_slice(MAGIC);
    blob.extend_from_slice(&[FORMAT, 0, 0, 0]);
    blob.extend_from_slice(&(plain.len() as u32).to_le_bytes());
    blob.extend_from_slice(&(packed.len() as u32).to_le_bytes());
    blob.extend_from_slice(&[0; 4]);
    blob.extend_from_slice(&packed);
    let crc = checksum(&blob);
    blob[16..20].copy_from_slice(&crc.to_le_bytes());
    blob
}

/// A chunk that was read back: checked and unpacked, its columns not yet decoded.
pub struct Chunk {
    body: Body,
}

impl Chunk {
    /// Checks and unpacks a blob.
    ///
    /// # Errors
    /// `Corrupt` with what is wrong; never a panic, never memory past [`CHUNK_BYTES_MAX`].
    pub fn open(blob: &[u8]) -> Result<Chunk> {
        let damaged = |why: &str| Error::Corrupt { what: "a chunk".into(), why: why.into() };
        if blob.len() < HEADER_BYTES || &blob[..4] != MAGIC {
            return Err(damaged("it does not begin as a chunk"));
        }
        if blob[4] != FORMAT {
            return Err(damaged(&format!("format {} is unknown", blob[4])));
        }
        let word = |at: usize| u32::from_le_bytes([blob[at], blob[at + 1], blob[at + 2], blob[at + 3]]);
        let (plain_bytes, packed_bytes) = (word(8) as usize, word(12) as usize);
        if packed_bytes != blob.len() - HEADER_BYTES {
            return Err(damaged("its length is not what it says"));
        }
        if word(16) != checksum(blob) {
            return Err(damaged("its checksum does not fit"));
        }
        if plain_bytes > CHUNK_BYTES_MAX {
            return Err(damaged("it claims to be too large"));
        }
        let plain = zstd::bulk::decompress(&blob[HEADER_BYTES..], plain_bytes)
            .map_err(|e| damaged(&format!("it does not decompress: {e}")))?;
        let config = bincode::config::standard().with_limit::<CHUNK_BYTES_MAX>();
        let (body, used): (Body, usize) = bincode::decode_from_slice(&plain, config)
            .map_err(|e| damaged(&format!("its structure does not decode: {e}")))?;
        if used != plain.len() {
            return Err(damaged("bytes are left over"));
        }
        let rows = body.rows as usize;
        if rows > CHUNK_ROWS_MAX || body.columns.len() > CHUNK_COLUMNS_MAX {
            return Err(damaged("it has too many rows or columns"));
        }
        for column in &body.columns {
            if let Presence::Bits(words) = &column.present
                && words.len() != rows.div_ceil(64)
            {
                return Err(damaged("a column's presence has another length"));
            }
        }
        Ok(Chunk { body })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.body.rows as usize
    }

    /// The rows' times, in the order they were given.
    ///
    /// # Errors
    /// `Corrupt` when they do not decode.
    pub fn times(&self) -> Result<Vec<Timestamp>> {
        integers::decode(self.body.t_order, &self.body.t_bytes, self.rows()).ok_or_else(|| Error::Corrupt {
            what: "a chunk's times".into(),
            why: "they do not decode".into(),
        })
    }

    /// Which columns there are.
    pub fn columns(&self) -> impl Iterator<Item = (ColumnKey, Kind)> + '_ {
        self.body.columns.iter().map(|c| (c.key, c.kind))
    }

    /// One column: its values, one per row that has one, and which rows those are. `None`: no such column.
    ///
    /// # Errors
    /// `Corrupt` when it does not decode.
    pub fn column(&self, key: ColumnKey) -> Result<Option<(Vec<f64>, &Presence)>> {
        let Some(column) = self.body.columns.iter().find(|c| c.key == key) else { return Ok(None) };
        let count = column.present.count(self.rows());
        let values = column.encoding.decode(count).ok_or_else(|| Error::Corrupt {
            what: format!("column {:?} of a chunk", key),
            why: "it does not decode".into(),
        })?;
        Ok(Some((values, &column.present)))
    }
}

fn checksum(blob: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&blob[..16]);
    hasher.update(&blob[HEADER_BYTES..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(metric: u32) -> ColumnKey {
        ColumnKey { metric, field: Field::Value }
    }

    #[track_caller]
    fn check(t: &[i64], columns: &[ColumnIn]) {
        let blob = encode(t, columns);
        let chunk = Chunk::open(&blob).unwrap();
        assert_eq!(chunk.times().unwrap(), t);
        for column in columns {
            let (values, present) = chunk.column(column.key).unwrap().unwrap();
            assert_eq!(present, &column.present);
            let expected: Vec<u64> =
                (0..t.len()).filter(|&i| column.present.has(i)).map(|i| column.values[i].to_bits()).collect();
            let found: Vec<u64> = values.iter().map(|v| v.to_bits()).collect();
            assert_eq!(found, expected, "column {:?}", column.key);
        }
    }

    fn any_value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (-10_000i64..10_000).prop_map(|m| m as f64 / 10.0),
            Just(-0.0),
            Just(f64::NAN),
            Just(f64::INFINITY),
            Just(f64::MIN_POSITIVE / 2.0),
            (0i64..1 << 60).prop_map(|m| m as f64),
        ]
    }

    proptest! {
        #[test]
        fn every_bit_pattern_comes_back(
            rows in proptest::collection::vec((any::<i64>(), any_value(), any_value(), any::<bool>()), 0..200)
        ) {
            let t: Vec<i64> = rows.iter().map(|r| r.0).collect();
            check(&t, &[
                ColumnIn { key: key(1), kind: Kind::Gauge, values: rows.iter().map(|r| r.1).collect(),
                    present: Presence::All },
                ColumnIn { key: key(2), kind: Kind::Counter, values: rows.iter().map(|r| r.2).collect(),
                    present: Presence::from_flags(rows.iter().map(|r| r.3)) },
            ]);
        }

        #[test]
        fn a_changed_byte_is_an_error_never_other_values(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let t: Vec<i64> = (0..100).map(|i| 1_000 * i).collect();
            let values: Vec<f64> = (0..100).map(|i| f64::from(i) / 10.0).collect();
            let column = ColumnIn { key: key(1), kind: Kind::Gauge, values, present: Presence::All };
            let mut blob = encode(&t, &[column]);
            let at = at.index(blob.len());
            blob[at] ^= 1 << bit;
            prop_assert!(Chunk::open(&blob).is_err());
        }

        #[test]
        fn any_bytes_are_an_error_never_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Chunk::open(&bytes);
            // With a true header the body is reached.
            let mut blob = MAGIC.to_vec();
            blob.extend_from_slice(&[FORMAT, 0, 0, 0]);
            blob.extend_from_slice(&1000u32.to_le_bytes());
            let packed = zstd::bulk::compress(&bytes, 1).unwrap();
            blob.extend_from_slice(&(packed.len() as u32).to_le_bytes());
            blob.extend_from_slice(&[0; 4]);
            blob.append(&mut packed.clone());
            let crc = checksum(&blob);
            blob[16..20].copy_from_slice(&crc.to_le_bytes());
            if let Ok(chunk) = Chunk::open(&blob) {
                let _ = chunk.times();
                let keys: Vec<ColumnKey> = chunk.columns().map(|c| c.0).collect();
                for key in keys {
                    let _ = chunk.column(key);
                }
            }
            bytes.clear();
        }
    }

    #[test]
    fn a_constant_column_costs_a_few_bytes() {
        let t: Vec<i64> = (0..720).map(|i| 10_000 * i).collect();
        let column = |metric, v| ColumnIn {
            key: key(metric),
            kind: Kind::Gauge,
            values: vec![v; t.len()],
            present: Presence::All,
        };
        let one = encode(&t, &[column(1, 17.5)]).len();
        let two = encode(&t, &[column(1, 17.5), column(2, 8.0)]).len();
        assert!(two - one <= 16, "{} bytes more", two - one);
    }
}
