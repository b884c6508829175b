//! The compact form of a [`Report`]: a header, then zstd of bincode.
//!
//! ```text
//! 0   4  "OCWF"
//! 4   1  version, now 1
//! 5   1  codec, 1 = zstd of bincode 2 `standard()`
//! 6   2  reserved, 0
//! 8   4  bytes of the body after decompression, little endian like all that follows
//! 12  4  bytes of the body
//! 16  4  CRC-32 of everything but these four bytes
//! 20     body
//! ```

use std::cell::RefCell;

use zstd::bulk::Decompressor;

use crate::bounds::{self, BoundFault, DECODE_BYTES_MAX, FRAME_BYTES_MAX, REPORT_BYTES_MAX};
use crate::report::Report;

/// The first bytes of a frame.
pub const MAGIC: [u8; 4] = *b"OCWF";
/// The version written, and the newest one understood.
pub const VERSION: u8 = 1;
/// The codec byte for zstd of bincode.
pub const CODEC_ZSTD_BINCODE: u8 = 1;
/// Bytes before the body.
pub const HEADER_BYTES: usize = 20;

const CRC_AT: usize = 16;
/// A frame is made once and kept small for a slow line; level 3 costs an agent well below a millisecond.
const ZSTD_LEVEL: i32 = 3;

const _: () = assert!(HEADER_BYTES < FRAME_BYTES_MAX);

/// Why bytes are no frame, or a report cannot be made into one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Cut off inside the header.
    #[error("a frame has at least {HEADER_BYTES} bytes, these are {len}")]
    Short {
        /// Bytes there are.
        len: usize,
    },
    /// Over a limit, before or after decompression.
    #[error("{what} has {len} bytes where at most {max} are allowed")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// Its size.
        len: usize,
        /// Its limit.
        max: usize,
    },
    /// Something else altogether.
    #[error("these bytes do not start with \"OCWF\": not a frame")]
    Magic,
    /// Made by a newer agent.
    #[error("frame version {version} is newer than this server understands ({VERSION})")]
    Newer {
        /// Its version.
        version: u8,
    },
    /// A header that no agent writes.
    #[error("byte {at} of the frame's header is {value}, which means nothing")]
    Header {
        /// Which byte.
        at: usize,
        /// What it is.
        value: u8,
    },
    /// Cut off, or followed by more bytes.
    #[error("the frame's header says {said} bytes, but there are {len}")]
    Length {
        /// Header and body as the header has it.
        said: u64,
        /// Bytes there are.
        len: usize,
    },
    /// Changed on the way.
    #[error("the frame's checksum is {said:08x}, its bytes give {computed:08x}")]
    Checksum {
        /// In the header.
        said: u32,
        /// Of the bytes.
        computed: u32,
    },
    /// The checksum is right, but what was packed is not what the header says.
    #[error("the frame's body does not decompress: {message}")]
    Compression {
        /// What was found.
        message: String,
    },
    /// What came out is no report.
    #[error("the frame's content is no report: {message}")]
    Content {
        /// What was found.
        message: String,
    },
    /// A report, but one over a limit or at odds with itself.
    #[error(transparent)]
    Bound(#[from] BoundFault),
}

impl FrameError {
    /// Whether there is too much of something: a smaller report could be accepted.
    pub fn is_too_large(&self) -> bool {
        matches!(self, FrameError::TooLarge { .. } | FrameError::Bound(BoundFault::TooLarge { .. }))
    }
}

/// The frame of a report. Fails only with [`FrameError::TooLarge`] and [`FrameError::Bound`]: what
/// [`decode`] would not accept is not sent.
pub fn encode(report: &Report) -> Result<Vec<u8>, FrameError> {
    bounds::check(report)?;
    let content = bincode::encode_to_vec(report, bincode::config::standard())
        .map_err(|error| FrameError::Content { message: error.to_string() })?;
    check_size("the report", content.len(), REPORT_BYTES_MAX)?;
    let body = zstd::bulk::compress(&content, ZSTD_LEVEL)
        .map_err(|error| FrameError::Compression { message: error.to_string() })?;
    check_size("the frame", HEADER_BYTES + body.len(), FRAME_BYTES_MAX)?;
    Ok(seal(content.len() as u32, &body))
}

fn decompress(body: &[u8], content_bytes: usize) -> std::io::Result<Vec<u8>> {
    // Making a context costs more than unpacking a report of twenty values: each thread keeps one.
    thread_local!(static CONTEXT: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) });
    CONTEXT.with_borrow_mut(|context| {
        let context = match context {
            Some(context) => context,
            None => context.insert(Decompressor::new()?),
        };
        context.decompress(body, content_bytes)
    })
}

/// The report of a frame. No input makes it panic, take more than a bounded amount of memory, or
/// return a report over any of the [`bounds`].
pub fn decode(frame: &[u8]) -> Result<Report, FrameError> {
    let (content_bytes, body) = open(frame)?;
    let content = decompress(body, content_bytes)
        .map_err(|error| FrameError::Compression { message: error.to_string() })?;
    if content.len() != content_bytes {
        let message = format!("{} bytes came out, the header says {content_bytes}", content.len());
        return Err(FrameError::Compression { message });
    }
    let config = bincode::config::standard().with_limit::<DECODE_BYTES_MAX>();
    let (report, used) = bincode::decode_from_slice::<Report, _>(&content, config)
        .map_err(|error| FrameError::Content { message: error.to_string() })?;
    if used != content.len() {
        let message = format!("{} bytes are left over after it", content.len() - used);
        return Err(FrameError::Content { message });
    }
    bounds::check(&report)?;
    Ok(report)
}

/// Checks the header and gives the size of the content and the body.
fn open(frame: &[u8]) -> Result<(usize, &[u8]), FrameError> {
    check_size("the frame", frame.len(), FRAME_BYTES_MAX)?;
    let Some((header, body)) = frame.split_first_chunk::<HEADER_BYTES>() else {
        return Err(FrameError::Short { len: frame.len() });
    };
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if header[..4] != MAGIC {
        return Err(FrameError::Magic);
    }
    if header[4] > VERSION {
        return Err(FrameError::Newer { version: header[4] });
    }
    for (at, expected) in [(4, VERSION), (5, CODEC_ZSTD_BINCODE), (6, 0), (7, 0)] {
        if header[at] != expected {
            return Err(FrameError::Header { at, value: header[at] });
        }
    }
    let (content_bytes, body_bytes, crc) = (word(8), word(12), word(CRC_AT));
    if body_bytes as usize != body.len() {
        let said = HEADER_BYTES as u64 + u64::from(body_bytes);
        return Err(FrameError::Length { said, len: frame.len() });
    }
    check_size("the report", content_bytes as usize, REPORT_BYTES_MAX)?;
    let computed = checksum(&header[..CRC_AT], body);
    if computed != crc {
        return Err(FrameError::Checksum { said: crc, computed });
    }
    Ok((content_bytes as usize, body))
}

fn seal(content_bytes: u32, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&[VERSION, CODEC_ZSTD_BINCODE, 0, 0]);
    frame.extend_from_slice(&content_bytes.to_le_bytes());
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    let crc = checksum(&frame, body);
    frame.extend_from_slice(&crc.to_le_bytes());
    frame.extend_from_slice(body);
    frame
}

fn checksum(header: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(body);
    hasher.finalize()
}

fn check_size(what: &'static str, len: usize, max: usize) -> Result<(), FrameError> {
    if len > max { Err(FrameError::TooLarge { what, len, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
