//! Transcripts that are files of lines: found by their name, read from where they were left, however
//! long a line is.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::record::{self, Found};

/// Bytes of a line that are held at once; a longer one is read piece by piece.
pub const LINE_HELD_BYTES_MAX: usize = 64 << 10;
/// Files of a folder that are looked at.
pub const FILES_MAX: usize = 50_000;
/// Bytes that tell a file from others: its first line has the session's id and the time it began.
const HEAD_BYTES_MAX: usize = 256;
/// Bytes before a position that tell whether a file was only added to since.
const TAIL_BYTES: u64 = 64;
/// Memory that unpacking may take, as a power of two: OpenClaw's packed files need 2 MiB.
const WINDOW_LOG_MAX: u32 = 23;
/// What marks a user's message, for counting those that nobody answers.
const PROMPT_MARK: &str = "\"role\":\"user\"";

/// Which file, whatever its name is now: files are renamed, packed and moved, and keep their beginning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileId(String);

/// How far a file was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCursor {
    /// Bytes of complete lines, after unpacking.
    pub offset: u64,
    /// Fingerprint of the last bytes before that.
    tail: String,
}

/// The files with transcripts in a folder, in the order of their names.
pub fn find(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries.take(FILES_MAX) {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_transcript) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a file of this name holds messages that were sent to a model: the session's own file, and
/// what is left of it after a reset, a deletion, packing or the move into a database. Trajectories,
/// checkpoints and backups are copies in other shapes.
fn is_transcript(name: &str) -> bool {
    let Some((session, rest)) = name.split_once(".jsonl") else { return false };
    let rest = rest.strip_suffix(".zst").unwrap_or(rest);
    let known = rest.is_empty()
        || [".reset.", ".deleted.", ".imported-"].iter().any(|suffix| rest.starts_with(suffix));
    known && !session.is_empty() && !session.ends_with(".trajectory") && !session.contains(".checkpoint.")
}

/// A file of lines, open at the first line that was not read yet.
pub struct Lines {
    reader: BufReader<Box<dyn Read>>,
    id: FileId,
    offset: u64,
    /// The last bytes that were read, at most [`TAIL_BYTES`].
    tail: Vec<u8>,
    held: Vec<u8>,
}

/// What a line was.
#[derive(Debug, PartialEq)]
pub struct Line {
    /// What was in it.
    pub found: Found,
    /// Its bytes.
    pub bytes: u64,
    /// Whether it is a user's message.
    pub prompt: bool,
}

impl Lines {
    /// Opens a file. `cursor` is asked how far it was read before; a file that is not the continuation
    /// of what was read then is read from its beginning. Nothing if there is no complete line yet.
    pub fn open(
        path: &Path,
        cursor: impl FnOnce(&FileId) -> Option<FileCursor>,
    ) -> io::Result<Option<Lines>> {
        // To open something else may wait for somebody to write into it.
        if !fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        let mut file = File::open(path)?;
        let packed = path.extension().is_some_and(|extension| extension == "zst");
        let mut head = Vec::with_capacity(HEAD_BYTES_MAX);
        unpack(&file, packed)?.take(HEAD_BYTES_MAX as u64).read_to_end(&mut head)?;
        match head.iter().position(|byte| *byte == b'\n') {
            Some(end) => head.truncate(end),
            None if head.len() < HEAD_BYTES_MAX => return Ok(None),
            None => {}
        }
        let id = FileId(fingerprint(&head));
        let cursor = cursor(&id).unwrap_or_default();
        let start = cursor.offset.saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(if packed { 0 } else { start }))?;
        let mut reader = BufReader::with_capacity(LINE_HELD_BYTES_MAX, unpack(&file, packed)?);
        if packed {
            io::copy(&mut (&mut reader).take(start), &mut io::sink())?;
        }
        let mut tail = Vec::new();
        (&mut reader).take(cursor.offset - start).read_to_end(&mut tail)?;
        let mut lines = Lines { reader, id, offset: cursor.offset, tail, held: Vec::new() };
        if lines.offset > 0 && fingerprint(&lines.tail) != cursor.tail {
            // Shortened or rewritten.
            file.seek(SeekFrom::Start(0))?;
            lines.reader = BufReader::with_capacity(LINE_HELD_BYTES_MAX, unpack(&file, packed)?);
            (lines.offset, lines.tail) = (0, Vec::new());
        }
        Ok(Some(lines))
    }

    /// Which file it is.
    pub fn id(&self) -> &FileId {
        &self.id
    }

    /// How far it is read now.
    pub fn cursor(&self) -> FileCursor {
        FileCursor { offset: self.offset, tail: fingerprint(&self.tail) }
    }

    /// The next complete line; nothing at the end, and where the last line is still being written.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        self.held.clear();
        let mut prompt = false;
        loop {
            let chunk = self.reader.fill_buf()?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(chunk.len(), |end| end + 1);
            self.held.extend_from_slice(&chunk[..taken]);
            self.reader.consume(taken);
            if end.is_some() {
                let text = &self.held[..self.held.len() - 1];
                let found =
                    if contains(text, record::MARK) { record::parse_slice(text) } else { Found::Nothing };
                prompt |= contains(text, PROMPT_MARK);
                return Ok(Some(self.read_line(found, self.held.len() as u64, prompt)));
            }
            if self.held.len() >= LINE_HELD_BYTES_MAX {
                break;
            }
        }
        prompt |= contains(&self.held, PROMPT_MARK);
        let held = std::mem::take(&mut self.held);
        let mut rest =
            Rest { reader: &mut self.reader, bytes: 0, tail: Vec::new(), ended: false, error: None };
        let found = record::parse_reader((&held[..]).chain(&mut rest));
        // The parser stops where it is satisfied or at a loss, the line goes on to its end.
        let drained = io::copy(&mut rest, &mut io::sink());
        let Rest { bytes, tail, ended, error, .. } = rest;
        if let Some(error) = error {
            return Err(error);
        }
        drained?;
        if !ended {
            return Ok(None);
        }
        let bytes = held.len() as u64 + bytes;
        self.held = held;
        self.held.extend_from_slice(&tail);
        Ok(Some(self.read_line(found, bytes, prompt)))
    }

    /// Moves behind a line whose last bytes are held.
    fn read_line(&mut self, found: Found, bytes: u64, prompt: bool) -> Line {
        self.offset += bytes;
        self.tail.extend_from_slice(&self.held);
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES as usize);
        self.tail.drain(..surplus);
        Line { found, bytes, prompt }
    }
}

fn unpack(file: &File, packed: bool) -> io::Result<Box<dyn Read>> {
    let file = file.try_clone()?;
    if !packed {
        return Ok(Box::new(file));
    }
    (&file).seek(SeekFrom::Start(0))?;
    Ok(Box::new(unpacker(BufReader::new(file))?))
}

/// What a packed text is unpacked with, in bounded memory.
pub fn unpacker<R: BufRead>(packed: R) -> io::Result<zstd::Decoder<'static, R>> {
    let mut decoder = zstd::Decoder::with_buffer(packed)?;
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// Whether the bytes contain the text.
fn contains(bytes: &[u8], text: &str) -> bool {
    let text = text.as_bytes();
    let (first, mut rest) = (text[0], bytes);
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(text) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

fn fingerprint(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// The rest of a line, up to and without its end. What comes after it stays unread.
struct Rest<'a, R> {
    reader: &'a mut R,
    bytes: u64,
    tail: Vec<u8>,
    ended: bool,
    error: Option<io::Error>,
}

impl<R: BufRead> Read for Rest<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended || self.error.is_some() || buffer.is_empty() {
            return Ok(0);
        }
        let chunk = match self.reader.fill_buf() {
            Ok(chunk) => chunk,
            // Kept: the parser would make it a fault of the text.
            Err(error) => {
                self.error = Some(error);
                return Ok(0);
            }
        };
        let chunk = &chunk[..chunk.len().min(buffer.len())];
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let (text, taken) = (end.unwrap_or(chunk.len()), end.map_or(chunk.len(), |end| end + 1));
        buffer[..text].copy_from_slice(&chunk[..text]);
        self.tail.extend_from_slice(&chunk[..taken]);
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES as usize);
        self.tail.drain(..surplus);
        self.reader.consume(taken);
        self.bytes += taken as u64;
        self.ended = end.is_some();
        if text == 0 && self.ended { Ok(0) } else { Ok(text) }
    }
}

#[cfg(test)]
mod tests;
