//! Records of the spool's segments, without I/O.
//!
//! ```text
//! 0   4  "OCWR"
//! 4   4  bytes of the body, little endian like all that follows
//! 8   4  CRC-32 of everything but these and the first four bytes
//! 12  1  kind: 1 = a frame, 2 = the frame with this number is done with
//! 13  16 boot id
//! 29  8  number of the report
//! 37     body: the frame, or nothing
//! ```

use wire::BootId;
use wire::bounds::FRAME_BYTES_MAX;

/// The first bytes of a record.
pub const MAGIC: [u8; 4] = *b"OCWR";
/// Bytes before the body.
pub const HEADER_BYTES: usize = 37;
/// Bytes of the largest record.
pub const RECORD_BYTES_MAX: usize = HEADER_BYTES + FRAME_BYTES_MAX;

const KIND_FRAME: u8 = 1;
const KIND_DONE: u8 = 2;

/// What a report is known by, here and to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Which run of an agent made it.
    pub boot: BootId,
    /// Its number in that run.
    pub seq: u64,
}

/// What a record says about a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// Its frame, to be sent.
    Frame(&'a [u8]),
    /// Nothing is left to do about it.
    Done,
}

/// What is found in a segment, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A whole record.
    Record {
        /// Where it starts in the segment.
        offset: usize,
        /// Which report it is about.
        key: Key,
        /// What it says.
        entry: Entry<'a>,
    },
    /// Bytes that are no record, up to the next one or the end.
    Damaged,
}

/// The bytes of a record.
pub fn encode(key: Key, entry: Entry<'_>) -> Vec<u8> {
    let (kind, body) = match entry {
        Entry::Frame(frame) => (KIND_FRAME, frame),
        Entry::Done => (KIND_DONE, &[][..]),
    };
    let mut record = Vec::with_capacity(HEADER_BYTES + body.len());
    record.extend(MAGIC);
    // A frame is at most one mebibyte; a longer body would be refused by every reader.
    record.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    record.extend([0; 4]);
    record.push(kind);
    record.extend(key.boot.0);
    record.extend(key.seq.to_le_bytes());
    record.extend(body);
    let crc = checksum(&record);
    record[8..12].copy_from_slice(&crc.to_le_bytes());
    record
}

/// The record that `bytes` start with and its length; nothing if there is no whole one.
pub fn decode(bytes: &[u8]) -> Option<(usize, Key, Entry<'_>)> {
    let header = bytes.get(..HEADER_BYTES)?;
    let len = body_len(header)?;
    let record = bytes.get(..HEADER_BYTES + len)?;
    if number(&header[8..12]) != checksum(record) {
        return None;
    }
    let boot = BootId(header[13..29].try_into().ok()?);
    let key = Key { boot, seq: u64::from_le_bytes(header[29..37].try_into().ok()?) };
    match header[12] {
        KIND_FRAME => Some((record.len(), key, Entry::Frame(&record[HEADER_BYTES..]))),
        KIND_DONE if len == 0 => Some((record.len(), key, Entry::Done)),
        _ => None,
    }
}

/// Bytes of the body after this header, if it looks like one.
pub fn body_len(header: &[u8]) -> Option<usize> {
    let len = number(header.strip_prefix(&MAGIC)?.get(..4)?) as usize;
    (len <= FRAME_BYTES_MAX).then_some(len)
}

fn checksum(record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&record[4..8]);
    hasher.update(&record[12..]);
    hasher.finalize()
}

fn number(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_le_bytes)
}

/// What is in a segment. Damage costs the record it is in: reading goes on at the next one.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    /// Of a segment's bytes.
    pub fn new(bytes: &'a [u8]) -> Records<'a> {
        Records { bytes, at: 0 }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let offset = self.at;
        let rest = self.bytes.get(offset..).filter(|rest| !rest.is_empty())?;
        if let Some((len, key, entry)) = decode(rest) {
            self.at += len;
            return Some(Found::Record { offset, key, entry });
        }
        let starts = rest.windows(MAGIC.len()).enumerate().skip(1).filter(|(_, bytes)| **bytes == MAGIC);
        let next = starts.map(|(at, _)| at).find(|at| decode(&rest[*at..]).is_some());
        self.at += next.unwrap_or(rest.len());
        Some(Found::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seq: u64) -> Key {
        Key { boot: BootId([7; 16]), seq }
    }

    fn segment() -> Vec<u8> {
        // The second frame holds what looks like a record's start.
        let frames = [&b"first"[..], b"OCWR second", b"third"];
        let mut bytes = Vec::new();
        for (seq, frame) in frames.iter().enumerate() {
            bytes.extend(encode(key(seq as u64), Entry::Frame(frame)));
        }
        bytes.extend(encode(key(1), Entry::Done));
        bytes
    }

    /// Numbers of frames, `!` before one that is done with, `x` for damage.
    fn show(bytes: &[u8]) -> String {
        let show = |found| match found {
            Found::Record { key, entry: Entry::Frame(_), .. } => key.seq.to_string(),
            Found::Record { key, entry: Entry::Done, .. } => format!("!{}", key.seq),
            Found::Damaged => "x".into(),
        };
        Records::new(bytes).map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn records_read_back() {
        assert_eq!(show(&segment()), "0 1 2 !1");
        assert_eq!(show(b""), "");
        let bytes = encode(key(u64::MAX), Entry::Frame(b"abc"));
        assert_eq!(decode(&bytes), Some((HEADER_BYTES + 3, key(u64::MAX), Entry::Frame(&b"abc"[..]))));
    }

    #[test]
    fn any_flipped_bit_costs_only_its_record() {
        let whole = segment();
        let ends = [42, 42 + 48, 42 + 48 + 42, whole.len()];
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            let hit = ends.iter().position(|end| at < *end).unwrap();
            let mut expected = ["0", "1", "2", "!1"];
            expected[hit] = "x";
            assert_eq!(show(&bytes), expected.join(" "), "byte {at}");
        }
    }

    #[test]
    fn a_torn_end_costs_only_the_last_record() {
        let whole = segment();
        for len in 132..=whole.len() {
            let expected = match len {
                132 => "0 1 2",
                len if len == whole.len() => "0 1 2 !1",
                _ => "0 1 2 x",
            };
            assert_eq!(show(&whole[..len]), expected, "{len} bytes");
        }
        let mut zeros = whole;
        zeros.extend([0; 5_000]);
        assert_eq!(show(&zeros), "0 1 2 !1 x");
    }

    #[test]
    fn what_is_no_record_is_damage() {
        let mut long = encode(key(0), Entry::Frame(b""));
        long[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(show(&long), "x");
        let mut other = encode(key(0), Entry::Frame(b""));
        other[12] = 9;
        let crc = checksum(&other).to_le_bytes();
        other[8..12].copy_from_slice(&crc);
        assert_eq!(show(&other), "x", "a kind nobody writes");
        assert_eq!(show(&MAGIC.repeat(1_000)), "x");
    }
}
