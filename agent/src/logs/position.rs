//! How far each log file was read, kept across restarts.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Bytes at the start of a file that tell it from others. A log's first line has a time in it.
const PRINT_BYTES: usize = 256;
/// Bytes of the file of positions that are read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Its name in the agent's folder.
pub const FILE_NAME: &str = "logs.json";

/// How far one file was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Where it was last seen.
    pub path: PathBuf,
    /// Which file it is.
    pub identity: Identity,
    /// Bytes that are done with.
    pub offset: u64,
    /// Whether that is in the middle of a line whose rest is passed over.
    pub skip: bool,
}

/// Tells a file from others, under whatever name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Device and number, where files have them.
    pub number: Option<(u64, u64)>,
    /// Checksum of its first bytes: a number is given again.
    pub print: u32,
    /// How many bytes that is of: a file is short before it is long.
    pub print_bytes: usize,
}

impl Identity {
    /// Of an open file. The file is at its start afterwards or somewhere behind.
    pub fn read(file: &mut File) -> io::Result<Identity> {
        let number = number(&file.metadata()?);
        let start = start(file, PRINT_BYTES)?;
        Ok(Identity { number, print: crc32fast::hash(&start), print_bytes: start.len() })
    }

    /// Whether an open file is the one this was read of, as it was then or longer.
    pub fn is(&self, file: &mut File) -> io::Result<bool> {
        if number(&file.metadata()?) != self.number {
            return Ok(false);
        }
        let start = start(file, self.print_bytes.min(PRINT_BYTES))?;
        Ok(start.len() == self.print_bytes && crc32fast::hash(&start) == self.print)
    }

    /// Whether a longer beginning would say more.
    pub fn is_short(&self) -> bool {
        self.print_bytes < PRINT_BYTES
    }
}

fn start(file: &mut File, bytes: usize) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(bytes);
    file.rewind()?;
    file.take(bytes as u64).read_to_end(&mut start)?;
    Ok(start)
}

/// Device and number of a file, where files have them.
#[cfg(unix)]
pub fn number(metadata: &fs::Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

/// Device and number of a file, where files have them.
#[cfg(not(unix))]
pub fn number(_: &fs::Metadata) -> Option<(u64, u64)> {
    None
}

/// The positions in the agent's folder. Nothing if there are none yet or they cannot be understood.
pub fn load(state_dir: &Path) -> Option<Vec<Position>> {
    let mut text = Vec::new();
    File::open(state_dir.join(FILE_NAME)).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Keeps the positions. A reader finds these or the ones before, never half of them.
pub fn save(state_dir: &Path, positions: &[Position]) -> io::Result<()> {
    let temporary = state_dir.join(format!("{FILE_NAME}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(positions)?)?;
    drop(file);
    fs::rename(&temporary, state_dir.join(FILE_NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stays_itself_while_it_grows_and_is_another_when_rewritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        fs::write(&path, "first\n").unwrap();
        let identity = Identity::read(&mut File::open(&path).unwrap()).unwrap();
        assert!(identity.is_short());
        let is = || identity.is(&mut File::open(&path).unwrap()).unwrap();
        assert!(is());
        fs::write(&path, "first\nsecond\n").unwrap();
        assert!(is());
        fs::write(&path, "other\nsecond\n").unwrap();
        assert!(!is());
        fs::write(&path, "fir").unwrap();
        assert!(!is());
    }

    #[test]
    fn positions_read_back_and_garbage_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()), None);
        let position = Position { path: "/x".into(), identity: Identity::default(), offset: 7, skip: true };
        save(folder.path(), std::slice::from_ref(&position)).unwrap();
        assert_eq!(load(folder.path()), Some(vec![position]));
        fs::write(folder.path().join(FILE_NAME), "[{").unwrap();
        assert_eq!(load(folder.path()), None);
    }
}
