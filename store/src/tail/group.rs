//! The body of a group: the batches of one commit, as they came where that is possible.
//!
//! ```text
//! 0  4  CRC-32 of the rest
//! 4     bincode 2 `standard()`: format 1 a list of batches, format 2 a list of entries
//! ```
//!
//! An entry is a batch with its metrics by number, or the frame that a device sent, its bytes as they came: small, since
//! it is compressed already, and not encoded a second time.

use crate::error::{Error, Result};
use crate::metrics::Dictionary;
use crate::types::{Batch, Column, DeviceId, Kind, LogLine, Origin, Presence, Timestamp, UsageEvent};
use bincode::{BorrowDecode, Decode, Encode};
use bytes::Bytes;
use std::sync::Arc;

/// The format that is written.
pub const FORMAT: i64 = 2;

/// Bytes of a group at most.
pub const GROUP_BYTES_MAX: usize = 256 << 20;

// A count that is not true must not make room for what is not there: what a body may take is bounded by its size, in
// steps, because bincode's limit is a constant.
/// Bytes of the body of most groups, and of a large one.
const SMALL_BYTES_MAX: usize = 256 << 10;
const LARGE_BYTES_MAX: usize = 8 << 20;
/// How many times larger than its bytes a body may get: an empty log line takes 4 bytes here and 80 in memory.
const MEMORY_FACTOR: usize = 64;
const _: () = assert!(MEMORY_FACTOR * LARGE_BYTES_MAX <= 4 * GROUP_BYTES_MAX);
const _: () = assert!(size_of::<StoredBatch>() + size_of::<LogLine>() < 16 * MEMORY_FACTOR);

/// Reads a frame that was handed over with [`crate::Store::submit_frame`] again: whose it is, when it was received, and
/// its bytes. Must give the batch that was handed over with it. An error says why it cannot.
pub type FrameReader =
    Arc<dyn Fn(DeviceId, Timestamp, &[u8]) -> std::result::Result<Batch, String> + Send + Sync>;

/// A batch as it is kept: metrics by number.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct StoredBatch {
    pub device: DeviceId,
    pub received_ms: Timestamp,
    pub origin: Option<Origin>,
    pub interval_ms: Option<u32>,
    pub agent_version: Option<String>,
    pub facts: Vec<(String, String)>,
    pub states: Vec<(String, String)>,
    pub t_ms: Vec<Timestamp>,
    pub columns: Vec<StoredColumn>,
    pub usage: Vec<UsageEvent>,
    pub logs: Vec<LogLine>,
}

/// A column as it is kept.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct StoredColumn {
    pub metric: u32,
    pub kind: Kind,
    pub present: Presence,
    pub values: Vec<f64>,
}

impl StoredBatch {
    /// A batch with its metrics by number; columns for which there is none are left out.
    pub fn of(batch: Batch, mut number: impl FnMut(&Column) -> Option<u32>) -> StoredBatch {
        let columns = batch.rows.columns.into_iter().filter_map(|column| {
            let metric = number(&column)?;
            Some(StoredColumn { metric, kind: column.kind, present: column.present, values: column.values })
        });
        StoredBatch {
            device: batch.device,
            received_ms: batch.received_ms,
            origin: batch.origin,
            interval_ms: batch.interval_ms,
            agent_version: batch.agent_version,
            facts: batch.facts,
            states: batch.states,
            t_ms: batch.rows.t_ms,
            columns: columns.collect(),
            usage: batch.usage,
            logs: batch.logs,
        }
    }
}

#[derive(Encode)]
enum EntryOut<'a> {
    Batch(&'a StoredBatch),
    Frame { device: DeviceId, received_ms: Timestamp, bytes: &'a [u8] },
}

#[derive(BorrowDecode)]
enum Entry<'a> {
    Batch(StoredBatch),
    Frame { device: DeviceId, received_ms: Timestamp, bytes: &'a [u8] },
}

/// Writes a group into `body`, in the place of what was in it. There is a frame, or none, for each batch.
pub fn encode(batches: &[StoredBatch], frames: &[Option<Bytes>], body: &mut Vec<u8>) {
    let entries = batches.iter().zip(frames).map(|(batch, frame)| match frame {
        None => EntryOut::Batch(batch),
        Some(bytes) => EntryOut::Frame { device: batch.device, received_ms: batch.received_ms, bytes },
    });
    let entries: Vec<EntryOut<'_>> = entries.collect();
    body.clear();
    body.extend([0; 4]);
    bincode::encode_into_std_write(&entries, body, bincode::config::standard())
        .expect("encoding plain vectors into memory cannot fail");
    let crc = crc32fast::hash(&body[4..]);
    body[..4].copy_from_slice(&crc.to_le_bytes());
}

type Decoded<'a> = std::result::Result<(Vec<Entry<'a>>, usize), bincode::error::DecodeError>;

/// The entries of a body in that format, and how many bytes they took; `None`: there is no such format.
fn decode<const MEMORY_MAX: usize>(format: i64, body: &[u8]) -> Option<Decoded<'_>> {
    let config = bincode::config::standard().with_limit::<MEMORY_MAX>();
    match format {
        1 => Some(
            bincode::borrow_decode_from_slice::<Vec<StoredBatch>, _>(body, config)
                .map(|(batches, used)| (batches.into_iter().map(Entry::Batch).collect(), used)),
        ),
        FORMAT => Some(bincode::borrow_decode_from_slice(body, config)),
        _ => None,
    }
}

/// A group that was opened: whole, its frames not yet read.
pub struct Entries<'a> {
    group: i64,
    entries: Vec<Entry<'a>>,
}

impl<'a> Entries<'a> {
    /// Checks the body of group `id`, which is in this format.
    pub fn open(id: i64, format: i64, body: &'a [u8]) -> Result<Entries<'a>> {
        let (crc, rest) = body.split_first_chunk::<4>().ok_or_else(|| damaged(id, "it is too short"))?;
        if crc32fast::hash(rest) != u32::from_le_bytes(*crc) {
            return Err(damaged(id, "its checksum does not fit"));
        }
        let decoded = match rest.len() {
            0..SMALL_BYTES_MAX => decode::<{ MEMORY_FACTOR * SMALL_BYTES_MAX }>(format, rest),
            SMALL_BYTES_MAX..LARGE_BYTES_MAX => decode::<{ MEMORY_FACTOR * LARGE_BYTES_MAX }>(format, rest),
            _ => decode::<{ 4 * GROUP_BYTES_MAX }>(format, rest),
        };
        let (entries, used) = match decoded {
            Some(decoded) => {
                decoded.map_err(|e| damaged(id, &format!("its structure does not decode: {e}")))?
            }
            None => return Err(damaged(id, &format!("there is no format {format}"))),
        };
        if used != rest.len() {
            return Err(damaged(id, "bytes are left over"));
        }
        for entry in &entries {
            if let Entry::Batch(batch) = entry {
                check(id, batch)?;
            }
        }
        Ok(Entries { group: id, entries })
    }

    /// The metrics that it has by number.
    pub fn metrics(&self) -> impl Iterator<Item = u32> + '_ {
        self.entries
            .iter()
            .flat_map(|entry| match entry {
                Entry::Batch(batch) => batch.columns.as_slice(),
                Entry::Frame { .. } => &[],
            })
            .map(|column| column.metric)
    }

    /// The batches, frames among them read.
    pub fn batches(self, frames: Option<&FrameReader>, dictionary: &Dictionary) -> Result<Vec<StoredBatch>> {
        let group = self.group;
        let read = |entry| match entry {
            Entry::Batch(batch) => Ok(batch),
            Entry::Frame { device, received_ms, bytes } => {
                let read = frames.ok_or(Error::NoFrameReader)?;
                let batch = read(device, received_ms, bytes)
                    .map_err(|why| damaged(group, &format!("a frame of it cannot be read: {why}")))?;
                let batch = StoredBatch::of(batch, |column| Some(dictionary.intern(&column.metric)));
                check(group, &batch)?;
                Ok(batch)
            }
        };
        self.entries.into_iter().map(read).collect()
    }
}

fn check(group: i64, batch: &StoredBatch) -> Result<()> {
    let rows = batch.t_ms.len();
    for column in &batch.columns {
        let bits_fit = match &column.present {
            Presence::All => true,
            Presence::Bits(words) => words.len() == rows.div_ceil(64),
        };
        if column.values.len() != rows || !bits_fit {
            return Err(damaged(group, "a column has another length than its rows"));
        }
    }
    Ok(())
}

/// What is wrong with a group.
pub fn damaged(id: i64, why: &str) -> Error {
    Error::Corrupt { what: format!("group {id} of tail.db"), why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Rows;

    fn batch(device: u32) -> Batch {
        let column = |metric: &str, values| Column {
            metric: metric.into(),
            kind: Kind::Gauge,
            values,
            present: Presence::All,
        };
        Batch {
            device: DeviceId(device),
            received_ms: 7,
            origin: Some(Origin { boot_id: [9; 16], seq: 3 }),
            interval_ms: None,
            agent_version: None,
            facts: vec![("os".into(), "Linux".into())],
            states: Vec::new(),
            rows: Rows {
                t_ms: vec![5, 6],
                columns: vec![column("a", vec![1.5, -0.0]), column("b", vec![2.0, 3.0])],
            },
            usage: Vec::new(),
            logs: Vec::new(),
        }
    }

    fn reader() -> FrameReader {
        Arc::new(|device, _, bytes| match bytes {
            b"a frame" => Ok(batch(device.0)),
            _ => Err("it is none".into()),
        })
    }

    #[test]
    fn batches_and_frames_come_back_as_the_same() {
        let dictionary = Dictionary::default();
        let stored = |device| StoredBatch::of(batch(device), |c| Some(dictionary.intern(&c.metric)));
        let batches = [stored(1), stored(2)];
        let mut body = vec![1, 2, 3];
        encode(&batches, &[None, Some(Bytes::from_static(b"a frame"))], &mut body);
        let entries = Entries::open(1, FORMAT, &body).unwrap();
        assert_eq!(entries.metrics().collect::<Vec<_>>(), [1, 2], "those of the first batch");
        assert_eq!(entries.batches(Some(&reader()), &dictionary).unwrap(), batches);
    }

    #[test]
    fn a_group_of_format_1_is_a_list_of_batches() {
        let dictionary = Dictionary::default();
        let batches = [StoredBatch::of(batch(1), |c| Some(dictionary.intern(&c.metric)))];
        let rest = bincode::encode_to_vec(&batches[..], bincode::config::standard()).unwrap();
        let body = [&crc32fast::hash(&rest).to_le_bytes()[..], &rest].concat();
        let found = Entries::open(1, 1, &body).unwrap().batches(Some(&reader()), &dictionary).unwrap();
        assert_eq!(found, batches);
        assert!(Entries::open(1, 3, &body).is_err());
    }

    #[test]
    fn what_is_damaged_is_refused_with_the_reason() {
        let dictionary = Dictionary::default();
        let batches = [StoredBatch::of(batch(1), |c| Some(dictionary.intern(&c.metric)))];
        let mut body = Vec::new();
        encode(&batches, &[Some(Bytes::from_static(b"nonsense"))], &mut body);
        let entries = Entries::open(4, FORMAT, &body).unwrap();
        let error = entries.batches(Some(&reader()), &dictionary).unwrap_err().to_string();
        assert!(error.contains("group 4") && error.contains("it is none"), "{error}");
        let unread = Entries::open(4, FORMAT, &body).unwrap().batches(None, &dictionary);
        assert!(matches!(unread, Err(Error::NoFrameReader)), "not damaged: nobody here can read it");
        for at in 0..body.len() {
            body[at] ^= 4;
            assert!(Entries::open(4, FORMAT, &body).is_err(), "byte {at}");
            body[at] ^= 4;
        }
    }
}
