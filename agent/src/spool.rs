//! The spool: reports that are not acknowledged yet, on disk, in a bounded ring of segments.
//!
//! A report is written before it is sent, in one write, and keeps its number: after the agent was
//! killed the next one sends it again under the same number, which the server counts once. What is
//! acknowledged is noted behind it. A segment is deleted when nothing in it is left to send and no
//! older one is there: the notes about older segments are in it.
//!
//! A write is not waited for until it is on the disk (`fsync`). A process that is killed loses
//! nothing that way; a power cut costs what the system still held, some seconds. Waiting would cost a
//! small device's flash far more than these seconds are worth. A finished segment is waited for.

use std::collections::BTreeMap;
use std::io;

use wire::BootId;
use wire::bounds::FRAME_BYTES_MAX;

use disk::{Disk, SegmentId};
use record::{Entry, Found, HEADER_BYTES, Key, RECORD_BYTES_MAX, Records};

pub mod disk;
pub mod record;

/// Bytes of a segment: what is lost at once when the spool is full.
pub const SEGMENT_BYTES_MAX: u64 = 4 << 20;
const _: () = assert!(RECORD_BYTES_MAX as u64 <= SEGMENT_BYTES_MAX);
/// The smallest spool that is any use.
pub const SPOOL_BYTES_MIN: u64 = 8 << 20;
const _: () = assert!(SPOOL_BYTES_MIN >= 2 * SEGMENT_BYTES_MAX);
/// Reports whose places are kept in memory: some 40 bytes each.
pub const PENDING_MAX: usize = 100_000;
/// Bytes of a segment in which nothing is left to send, after which it is deleted. Below that it goes on
/// growing: a file of its own for every report would be more work.
const IDLE_BYTES_MAX: u64 = 64 << 10;
/// Tries to read a report or a segment before it is given up: one may fail for want of a file handle.
const READ_TRIES_MAX: u32 = 3;

/// The spool.
#[derive(Debug)]
pub struct Spool {
    disk: Box<dyn Disk>,
    bytes_max: u64,
    pending_max: usize,
    segments: BTreeMap<SegmentId, Segment>,
    /// The segment that grows.
    current: Option<SegmentId>,
    /// Runs of the agent in their order, each once.
    boots: Vec<BootId>,
    /// Which of them is this run.
    boot: usize,
    /// What is left to send, by run and number: the oldest first.
    pending: BTreeMap<(usize, u64), Place>,
    read_failures: u32,
    dropped: u64,
    damaged: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Segment {
    bytes: u64,
    pending: usize,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    segment: SegmentId,
    offset: u32,
}

impl Spool {
    /// Takes up what is there. `boot` is this run of the agent.
    pub fn open(disk: Box<dyn Disk>, bytes_max: u64, boot: BootId) -> io::Result<Spool> {
        let mut spool = Spool {
            disk,
            bytes_max: bytes_max.max(SPOOL_BYTES_MIN),
            pending_max: PENDING_MAX,
            segments: BTreeMap::new(),
            current: None,
            boots: Vec::new(),
            boot: 0,
            pending: BTreeMap::new(),
            read_failures: 0,
            dropped: 0,
            damaged: 0,
        };
        for segment in spool.disk.list()? {
            spool.take_up(segment);
        }
        spool.boot = spool.boot_number(boot);
        spool.remove_finished()?;
        while spool.bytes() > spool.bytes_max {
            spool.drop_oldest()?;
        }
        Ok(spool)
    }

    fn take_up(&mut self, id: SegmentId) {
        let read = (1..=READ_TRIES_MAX).find_map(|_| self.disk.read(id, SEGMENT_BYTES_MAX).ok());
        let Some(bytes) = read else {
            // As it is on a worn flash card: the other segments are as good as before. It counts as full and is
            // deleted in its turn.
            self.damaged += 1;
            self.segments.insert(id, Segment { bytes: SEGMENT_BYTES_MAX, pending: 0 });
            self.current = None;
            return;
        };
        let (mut damaged_end, mut end) = (false, 0);
        self.segments.insert(id, Segment { bytes: bytes.len() as u64, pending: 0 });
        for found in Records::new(&bytes) {
            damaged_end = found == Found::Damaged;
            let Found::Record { offset, key, entry } = found else {
                self.damaged += 1;
                continue;
            };
            match entry {
                Entry::Frame(frame) => {
                    end = offset + HEADER_BYTES + frame.len();
                    let boot = self.boot_number(key.boot);
                    // Smaller than a segment.
                    let place = Place { segment: id, offset: offset as u32 };
                    self.take(boot, key.seq);
                    self.pending.insert((boot, key.seq), place);
                    self.segments.entry(id).or_default().pending += 1;
                }
                Entry::Done => {
                    end = offset + HEADER_BYTES;
                    let boot = self.boot_number(key.boot);
                    self.take(boot, key.seq);
                }
            }
        }
        // The last segment goes on growing, behind its last whole record. If its torn end cannot be cut
        // off, a new one is begun.
        if !damaged_end || self.disk.truncate(id, end as u64).is_ok() {
            self.segments.entry(id).or_default().bytes = end as u64;
            self.current = Some(id);
        } else {
            self.current = None;
        }
    }

    /// Writes the newest report of this run. The oldest segments make room for it.
    pub fn append(&mut self, seq: u64, frame: &[u8]) -> io::Result<()> {
        if frame.len() > FRAME_BYTES_MAX {
            return Err(io::Error::other("the report is too large"));
        }
        let boot = self.boot;
        let record = record::encode(Key { boot: self.boots[boot], seq }, Entry::Frame(frame));
        // Room is kept for the notes that these reports are done with.
        let room = |spool: &Spool| {
            let notes = (spool.pending.len() + 1) * HEADER_BYTES;
            spool.bytes() + (record.len() + notes) as u64 <= spool.bytes_max
        };
        while !self.segments.is_empty() && (!room(self) || self.pending.len() >= self.pending_max) {
            self.drop_oldest()?;
        }
        let place = self.write(&record)?;
        self.pending.insert((boot, seq), place);
        self.segments.entry(place.segment).or_default().pending += 1;
        Ok(())
    }

    fn write(&mut self, record: &[u8]) -> io::Result<Place> {
        let fits = |id: &SegmentId| {
            self.segments.get(id).is_some_and(|s| s.bytes + record.len() as u64 <= SEGMENT_BYTES_MAX)
        };
        let segment = match self.current {
            Some(segment) if fits(&segment) => segment,
            full => {
                if let Some(full) = full {
                    // If this fails, the file is still all there is, and written as far as a process can.
                    let _ = self.disk.sync(full);
                }
                self.segments.last_key_value().map_or(0, |(last, _)| last.wrapping_add(1))
            }
        };
        let bytes = self.segments.get(&segment).map_or(0, |segment| segment.bytes);
        if let Err(error) = self.disk.append(segment, record) {
            // What was written of it is cut off, or else ends this segment: readers pass over it.
            self.current = None;
            if self.disk.truncate(segment, bytes).is_ok() {
                self.current = self.segments.contains_key(&segment).then_some(segment);
            } else {
                let torn = self.segments.entry(segment).or_default();
                torn.bytes += record.len() as u64;
            }
            return Err(error);
        }
        self.current = Some(segment);
        self.segments.entry(segment).or_default().bytes += record.len() as u64;
        // Smaller than a segment.
        Ok(Place { segment, offset: bytes as u32 })
    }

    /// Which report is the oldest.
    pub fn oldest(&self) -> Option<Key> {
        let ((boot, seq), _) = self.pending.first_key_value()?;
        Some(Key { boot: self.boots[*boot], seq: *seq })
    }

    /// Whether this report waits.
    pub fn contains(&self, key: Key) -> bool {
        let boot = self.boots.iter().position(|boot| *boot == key.boot);
        boot.is_some_and(|boot| self.pending.contains_key(&(boot, key.seq)))
    }

    /// The frame of the oldest report. One that is damaged is passed over and counted; an error is
    /// about the disk, and asking later may help.
    pub fn read_oldest(&mut self) -> io::Result<Option<(Key, Vec<u8>)>> {
        while let Some(key) = self.oldest() {
            match self.read_first(key) {
                Ok(Some(frame)) => {
                    self.read_failures = 0;
                    return Ok(Some((key, frame)));
                }
                Err(error) if self.read_failures + 1 < READ_TRIES_MAX && !is_loss(&error) => {
                    self.read_failures += 1;
                    return Err(error);
                }
                Ok(None) | Err(_) => {
                    self.read_failures = 0;
                    self.damaged += 1;
                    self.forget(key);
                }
            }
        }
        Ok(None)
    }

    fn read_first(&mut self, key: Key) -> io::Result<Option<Vec<u8>>> {
        let Some((_, place)) = self.pending.first_key_value() else { return Ok(None) };
        let (segment, offset) = (place.segment, u64::from(place.offset));
        let mut record = vec![0; HEADER_BYTES];
        self.disk.read_at(segment, offset, &mut record)?;
        let Some(len) = record::body_len(&record) else { return Ok(None) };
        record.resize(HEADER_BYTES + len, 0);
        self.disk.read_at(segment, offset + HEADER_BYTES as u64, &mut record[HEADER_BYTES..])?;
        match record::decode(&record) {
            Some((_, found, Entry::Frame(_))) if found == key => Ok(Some(record.split_off(HEADER_BYTES))),
            _ => Ok(None),
        }
    }

    /// Nothing is left to do about this report.
    pub fn forget(&mut self, key: Key) {
        let boot = self.boot_number(key.boot);
        if !self.take(boot, key.seq) {
            return;
        }
        let idle = self.pending.is_empty() && self.bytes() > IDLE_BYTES_MAX;
        if idle {
            self.current = None;
        } else {
            // Without this note the report is sent once more after a restart, which the server notices.
            let _ = self.write(&record::encode(key, Entry::Done));
        }
        // What cannot be deleted now is the first to go when room is needed.
        let _ = self.remove_finished();
    }

    fn boot_number(&mut self, boot: BootId) -> usize {
        self.boots.iter().position(|known| *known == boot).unwrap_or_else(|| {
            self.boots.push(boot);
            self.boots.len() - 1
        })
    }

    /// Takes a report out of what is left to send. Whether it was there.
    fn take(&mut self, boot: usize, seq: u64) -> bool {
        let Some(place) = self.pending.remove(&(boot, seq)) else { return false };
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.pending -= 1;
        }
        true
    }

    fn remove_finished(&mut self) -> io::Result<()> {
        while let Some((&id, segment)) = self.segments.first_key_value()
            && segment.pending == 0
            && self.current != Some(id)
        {
            self.disk.remove(id)?;
            self.segments.remove(&id);
        }
        Ok(())
    }

    fn drop_oldest(&mut self) -> io::Result<()> {
        let Some((&id, _)) = self.segments.first_key_value() else { return Ok(()) };
        self.disk.remove(id)?;
        self.current.take_if(|current| *current == id);
        self.segments.remove(&id);
        let before = self.pending.len();
        self.pending.retain(|_, place| place.segment != id);
        self.dropped += (before - self.pending.len()) as u64;
        self.remove_finished()
    }

    /// Bytes that it takes on the disk.
    pub fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes).sum()
    }

    /// How many reports wait.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// How many reports were dropped for want of room since this was last asked.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// How many damaged places were passed over since this was last asked.
    pub fn take_damaged(&mut self) -> u64 {
        std::mem::take(&mut self.damaged)
    }
}

/// Whether a reading error says that the bytes are gone.
fn is_loss(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
