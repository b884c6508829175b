//! How far everything was read and acknowledged, on disk.
//!
//! Losing it does no harm: everything is read again, and events that the server has count once.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::lines::{FileCursor, FileId};

/// Bytes of the file: tens of thousands of sessions.
pub const FILE_BYTES_MAX: u64 = 64 << 20;
const FILE_NAME: &str = "usage-cursors.json";
const VERSION: u32 = 1;

/// How far everything was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cursors {
    version: u32,
    /// Whom the events went to: another server has none of them.
    destination: String,
    /// By database, named by its path, and session.
    databases: BTreeMap<String, BTreeMap<String, RowCursor>>,
    files: BTreeMap<FileId, FileCursor>,
    /// Time of the newest event, Unix milliseconds.
    pub newest_ms: i64,
}

/// The last row of a session that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCursor {
    /// Its number.
    pub seq: i64,
    /// When it was written: another row may have its number some day.
    pub created_at: i64,
}

/// One step forward.
#[derive(Clone, Debug, PartialEq)]
pub enum Advance {
    /// In a session of a database.
    Row(String, String, RowCursor),
    /// In a file.
    File(FileId, FileCursor),
    /// These are all sessions of a database: the others are gone.
    Sessions(String, Vec<String>),
    /// These are all files: the others are gone.
    Files(HashSet<FileId>),
    /// An event of this time was read.
    Newest(i64),
}

impl Cursors {
    /// Nothing was read for this destination.
    pub fn new(destination: &str) -> Cursors {
        Cursors { version: VERSION, destination: fingerprint(destination.as_bytes()), ..Cursors::default() }
    }

    /// What is in the agent's folder for this destination, or for any; from the beginning if there is
    /// nothing, if it was for another one, or if it cannot be read.
    pub fn load(folder: &Path, destination: Option<&str>) -> Cursors {
        let new = Cursors::new(destination.unwrap_or_default());
        let known = read(&folder.join(FILE_NAME)).ok().and_then(|text| parse(&text));
        let same = |known: &Cursors| destination.is_none() || known.destination == new.destination;
        known.filter(|known| known.version == VERSION && same(known)).unwrap_or(new)
    }

    /// Writes it into the agent's folder; whatever happens meanwhile, the old or the new one is there.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        let body = serde_json::to_vec(self)?;
        let path = folder.join(FILE_NAME);
        let beside = path.with_extension("json.new");
        let mut file = File::create(&beside)?;
        writeln!(file, "{}", fingerprint(&body))?;
        file.write_all(&body)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&beside, &path)
    }

    /// The last row that was read of a session.
    pub fn row(&self, database: &str, session: &str) -> Option<RowCursor> {
        self.databases.get(database)?.get(session).copied()
    }

    /// How far a file was read.
    pub fn file(&self, id: &FileId) -> Option<FileCursor> {
        self.files.get(id).cloned()
    }

    /// Takes a step.
    pub fn advance(&mut self, step: Advance) {
        match step {
            Advance::Row(database, session, row) => {
                self.databases.entry(database).or_default().insert(session, row);
            }
            Advance::File(id, cursor) => drop(self.files.insert(id, cursor)),
            Advance::Sessions(database, mut sessions) => {
                sessions.sort();
                let known = self.databases.entry(database).or_default();
                known.retain(|session, _| sessions.binary_search(session).is_ok());
            }
            Advance::Files(files) => self.files.retain(|id, _| files.contains(id)),
            Advance::Newest(t_ms) => self.newest_ms = self.newest_ms.max(t_ms),
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(text)
}

fn parse(text: &[u8]) -> Option<Cursors> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let (said, body) = (&text[..end], &text[end + 1..]);
    (said == fingerprint(body).as_bytes()).then(|| serde_json::from_slice(body).ok())?
}

fn fingerprint(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursors(destination: &str) -> Cursors {
        let mut cursors = Cursors::new(destination);
        let row = RowCursor { seq: 7, created_at: 99 };
        cursors.advance(Advance::Row("/d".into(), "s".into(), row));
        cursors.advance(Advance::Row("/d".into(), "gone".into(), row));
        cursors.advance(Advance::Sessions("/d".into(), vec!["t".into(), "s".into()]));
        cursors.advance(Advance::Newest(5));
        cursors.advance(Advance::Newest(3));
        cursors
    }

    #[test]
    fn what_is_saved_is_loaded_again_for_the_same_destination() {
        let folder = tempfile::tempdir().unwrap();
        let saved = cursors("server key");
        saved.save(folder.path()).unwrap();
        let loaded = Cursors::load(folder.path(), Some("server key"));
        assert_eq!(loaded, saved);
        assert_eq!(loaded.row("/d", "s"), Some(RowCursor { seq: 7, created_at: 99 }));
        assert_eq!((loaded.row("/d", "gone"), loaded.newest_ms), (None, 5));
        assert_eq!(Cursors::load(folder.path(), Some("other")), Cursors::new("other"));
        assert_eq!(Cursors::load(folder.path(), None), saved);
        let text = String::from_utf8(read(&folder.path().join(FILE_NAME)).unwrap()).unwrap();
        assert!(!text.contains("key"), "{text}");
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        cursors("x").save(folder.path()).unwrap();
        let path = folder.path().join(FILE_NAME);
        let text = read(&path).unwrap();
        for cut in [0, 10, 33, text.len() - 1] {
            fs::write(&path, &text[..cut]).unwrap();
            assert_eq!(Cursors::load(folder.path(), Some("x")), Cursors::new("x"), "{cut} bytes");
        }
        let mut changed = text.clone();
        let seven = changed.iter().rposition(|byte| *byte == b'7').unwrap();
        changed[seven] = b'8';
        fs::write(&path, &changed).unwrap();
        assert_eq!(Cursors::load(folder.path(), Some("x")), Cursors::new("x"));
        fs::write(&path, &text).unwrap();
        assert_eq!(Cursors::load(folder.path(), Some("x")), cursors("x"));
    }
}
