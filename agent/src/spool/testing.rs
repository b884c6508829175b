//! A disk for tests.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::disk::{Disk, SegmentId};

/// A disk in memory with faults. Clones are the same disk, so that it outlives a spool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(crate) struct State {
    pub files: BTreeMap<SegmentId, Vec<u8>>,
    /// Bytes that still fit; all if nothing is said.
    pub room: Option<usize>,
    pub no_truncate: bool,
    pub read_errors: usize,
    /// A segment no byte of which can be read.
    pub unreadable: Option<SegmentId>,
}

impl Memory {
    pub fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    pub fn set_room(&self, room: Option<usize>) {
        self.with(|state| state.room = room);
    }

    pub fn set_read_errors(&self, errors: usize) {
        self.with(|state| state.read_errors = errors);
    }

    pub fn bytes(&self) -> usize {
        self.with(|state| state.files.values().map(Vec::len).sum())
    }
}

impl Disk for Memory {
    fn list(&mut self) -> io::Result<Vec<SegmentId>> {
        Ok(self.with(|state| state.files.keys().copied().collect()))
    }

    fn read(&mut self, segment: SegmentId, max: u64) -> io::Result<Vec<u8>> {
        if self.with(|state| state.unreadable == Some(segment)) {
            return Err(io::Error::other("a bad sector"));
        }
        let file = self.with(|state| state.files.get(&segment).cloned());
        file.map(|bytes| bytes[..bytes.len().min(max as usize)].to_vec())
            .ok_or(io::ErrorKind::NotFound.into())
    }

    fn read_at(&mut self, segment: SegmentId, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.with(|state| {
            if state.read_errors > 0 {
                state.read_errors -= 1;
                return Err(io::Error::other("no file handle"));
            }
            let file = state.files.get(&segment).ok_or(io::ErrorKind::NotFound)?;
            let from = file.get(offset as usize..).and_then(|from| from.get(..bytes.len()));
            bytes.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn append(&mut self, segment: SegmentId, bytes: &[u8]) -> io::Result<()> {
        self.with(|state| {
            let fit = state.room.map_or(bytes.len(), |room| room.min(bytes.len()));
            state.room = state.room.map(|room| room - fit);
            state.files.entry(segment).or_default().extend(&bytes[..fit]);
            if fit == bytes.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
        })
    }

    fn truncate(&mut self, segment: SegmentId, len: u64) -> io::Result<()> {
        self.with(|state| match state.files.get_mut(&segment) {
            Some(file) if !state.no_truncate => {
                file.truncate(len as usize);
                Ok(())
            }
            _ => Err(io::ErrorKind::PermissionDenied.into()),
        })
    }

    fn remove(&mut self, segment: SegmentId) -> io::Result<()> {
        self.with(|state| state.files.remove(&segment));
        Ok(())
    }

    fn sync(&mut self, _: SegmentId) -> io::Result<()> {
        Ok(())
    }
}
