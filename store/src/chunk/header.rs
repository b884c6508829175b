//! The header in front of the frame: what a blob is, how long, and whether it is whole.

use crate::error::{Error, Result};

const MAGIC: &[u8; 4] = b"OCWC";
const FORMAT: u8 = 1;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 20;

/// What the header says about the frame behind it.
#[derive(Debug, PartialEq)]
pub struct Header {
    /// Bytes of the frame when unpacked.
    pub plain_bytes: usize,
}

/// Fills the first [`HEADER_BYTES`] bytes of a blob, whose frame stands behind them already.
pub fn write(blob: &mut [u8], plain_bytes: usize) {
    let packed_bytes = blob.len() - HEADER_BYTES;
    blob[..4].copy_from_slice(MAGIC);
    blob[4..8].copy_from_slice(&[FORMAT, 0, 0, 0]);
    blob[8..12].copy_from_slice(&(plain_bytes as u32).to_le_bytes());
    blob[12..16].copy_from_slice(&(packed_bytes as u32).to_le_bytes());
    let crc = checksum(blob);
    blob[16..20].copy_from_slice(&crc.to_le_bytes());
}

/// Checks a blob and reads its header.
pub fn read(blob: &[u8]) -> Result<Header> {
    if blob.len() < HEADER_BYTES || &blob[..4] != MAGIC {
        return Err(damaged("it does not begin as a chunk"));
    }
    if blob[4] != FORMAT {
        return Err(damaged(&format!("format {} is unknown", blob[4])));
    }
    let word = |at: usize| u32::from_le_bytes([blob[at], blob[at + 1], blob[at + 2], blob[at + 3]]);
    if word(12) as usize != blob.len() - HEADER_BYTES {
        return Err(damaged("its length is not what it says"));
    }
    if word(16) != checksum(blob) {
        return Err(damaged("its checksum does not fit"));
    }
    Ok(Header { plain_bytes: word(8) as usize })
}

/// A chunk is not as it was written.
pub fn damaged(why: &str) -> Error {
    Error::Corrupt { what: "a chunk".into(), why: why.into() }
}

/// CRC-32 of everything but the checksum itself.
fn checksum(blob: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&blob[..16]);
    hasher.update(&blob[HEADER_BYTES..]);
    hasher.finalize()
}
