//! What the spool does to a disk, as a seam: tests put faults there.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Segments are numbered in the order in which they were begun.
pub type SegmentId = u32;

/// The ending of a segment's file.
const ENDING: &str = ".spool";

/// Segments, by number.
pub trait Disk: fmt::Debug + Send {
    /// All segments, in ascending order.
    fn list(&mut self) -> io::Result<Vec<SegmentId>>;
    /// A segment's bytes, at most `max`.
    fn read(&mut self, segment: SegmentId, max: u64) -> io::Result<Vec<u8>>;
    /// Fills `bytes` from `offset` on.
    fn read_at(&mut self, segment: SegmentId, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
    /// Adds bytes at the end of a segment, which is made if there is none. After an error any part of
    /// them may be there.
    fn append(&mut self, segment: SegmentId, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a segment.
    fn truncate(&mut self, segment: SegmentId, len: u64) -> io::Result<()>;
    /// Deletes a segment.
    fn remove(&mut self, segment: SegmentId) -> io::Result<()>;
    /// Waits until a segment's bytes are on the disk.
    fn sync(&mut self, segment: SegmentId) -> io::Result<()>;
}

/// Segments as files of a folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The segment that grows, kept open.
    open: Option<(SegmentId, File)>,
}

impl Folder {
    /// Makes the folder if it is not there.
    pub fn open(path: &Path) -> io::Result<Folder> {
        make(path)?;
        Ok(Folder { path: path.to_path_buf(), open: None })
    }

    fn file(&self, segment: SegmentId) -> PathBuf {
        self.path.join(format!("{segment:08x}{ENDING}"))
    }

    fn close(&mut self, segment: SegmentId) {
        self.open.take_if(|(open, _)| *open == segment);
    }
}

fn make(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

impl Disk for Folder {
    fn list(&mut self) -> io::Result<Vec<SegmentId>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(ENDING));
            segments.extend(number.and_then(|number| SegmentId::from_str_radix(number, 16).ok()));
        }
        segments.sort_unstable();
        Ok(segments)
    }

    fn read(&mut self, segment: SegmentId, max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.file(segment))?.take(max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn read_at(&mut self, segment: SegmentId, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut file = File::open(self.file(segment))?;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)
    }

    fn append(&mut self, segment: SegmentId, bytes: &[u8]) -> io::Result<()> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != segment) {
            let mut options = OpenOptions::new();
            options.create(true).append(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let path = self.file(segment);
            let file = options.open(&path).or_else(|_| {
                // Somebody may have deleted the folder.
                make(&self.path)?;
                options.open(&path)
            })?;
            self.open = Some((segment, file));
        }
        let Some((_, file)) = &mut self.open else { return Err(io::ErrorKind::NotFound.into()) };
        #[cfg(unix)]
        if std::os::unix::fs::MetadataExt::nlink(&file.metadata()?) == 0 {
            // Or the file: what is written to it now is nowhere.
            self.open = None;
            return Err(io::ErrorKind::NotFound.into());
        }
        file.write_all(bytes)
    }

    fn truncate(&mut self, segment: SegmentId, len: u64) -> io::Result<()> {
        self.close(segment);
        OpenOptions::new().write(true).open(self.file(segment))?.set_len(len)
    }

    fn remove(&mut self, segment: SegmentId) -> io::Result<()> {
        self.close(segment);
        match fs::remove_file(self.file(segment)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn sync(&mut self, segment: SegmentId) -> io::Result<()> {
        match &self.open {
            Some((open, file)) if *open == segment => file.sync_data(),
            _ => OpenOptions::new().write(true).open(self.file(segment))?.sync_data(),
        }
    }
}
