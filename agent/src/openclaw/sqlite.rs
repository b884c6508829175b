//! OpenClaw's databases, opened so that nothing about them changes.
//!
//! Beside a running gateway there is a write-ahead log, and SQLite reads both. After a clean stop there
//! is none, and opening the database in the ordinary way would make the log's files anew: in a folder
//! that belongs to somebody else, and in vain where the agent may only read there. Such a database is
//! opened as one that does not change, and whoever has read from it asks afterwards whether that was
//! true.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::usage::sources::Stamp;

/// How long a reader waits for a writer.
const BUSY_MAX: Duration = Duration::from_millis(200);

/// A database, open for one look.
pub struct Reading {
    connection: Connection,
    /// How it was, where it is read as one that does not change.
    still: Option<(PathBuf, Stamp)>,
}

impl Reading {
    /// Opens a database for reading.
    pub fn open(path: &Path) -> rusqlite::Result<Reading> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let still =
            (has_log_mode(path) && is_still(path)).then(|| (path.to_path_buf(), Stamp::of_database(path)));
        let connection = match &still {
            Some(_) => Connection::open_with_flags(immutable(path), flags | OpenFlags::SQLITE_OPEN_URI)?,
            None => Connection::open_with_flags(path, flags)?,
        };
        connection.busy_timeout(BUSY_MAX)?;
        // What is in the file runs nothing.
        connection.pragma_update(None, "trusted_schema", false)?;
        Ok(Reading { connection, still })
    }

    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether what was read so far was there at one time. If not, somebody began to write meanwhile,
    /// and it has to be read again.
    pub fn is_sound(&self) -> bool {
        self.still.as_ref().is_none_or(|(path, stamp)| is_still(path) && Stamp::of_database(path) == *stamp)
    }
}

/// Whether the database is one that is written through a log. Others are locked while they are written.
fn has_log_mode(path: &Path) -> bool {
    // The file format's write and read version: 2 is a write-ahead log.
    let mut header = [0; 20];
    File::open(path).and_then(|mut file| file.read_exact(&mut header)).is_ok() && header[18..] == [2, 2]
}

/// Whether nobody has the database open for writing: whoever does makes one of these files first.
fn is_still(path: &Path) -> bool {
    ["-wal", "-journal"].iter().all(|ending| {
        let mut beside = path.as_os_str().to_owned();
        beside.push(ending);
        !Path::new(&beside).exists()
    })
}

/// The path as an address that SQLite takes for a database that does not change.
fn immutable(path: &Path) -> PathBuf {
    let text = path.to_string_lossy().replace('\\', "/");
    let drive = path.is_absolute() && !text.starts_with('/');
    let mut uri = String::from(if drive { "file:/" } else { "file:" });
    for char in text.chars() {
        match char {
            '%' => uri.push_str("%25"),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            other => uri.push(other),
        }
    }
    uri.push_str("?immutable=1");
    PathBuf::from(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn count(reading: &Reading) -> i64 {
        reading.connection().query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
    }

    /// A database with a log, as OpenClaw has it, and a name that an address has to escape.
    fn database(folder: &Path) -> (PathBuf, Connection) {
        let path = folder.join("a?b #1%41.sqlite");
        let writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "wal").unwrap();
        writer.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1);").unwrap();
        (path, writer)
    }

    #[test]
    fn a_database_that_was_closed_is_read_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let (path, writer) = database(folder.path());
        drop(writer);
        let reading = Reading::open(&path).unwrap();
        assert_eq!((count(&reading), reading.is_sound()), (1, true));
        assert_eq!(names(folder.path()), ["a?b #1%41.sqlite"], "no file was made beside it");
    }

    #[test]
    fn what_is_in_the_log_only_is_read_too() {
        let folder = tempfile::tempdir().unwrap();
        let (path, writer) = database(folder.path());
        let reading = Reading::open(&path).unwrap();
        assert_eq!(count(&reading), 1);
        writer.execute("INSERT INTO t VALUES (2)", []).unwrap();
        assert_eq!((count(&reading), reading.is_sound()), (2, true));
    }

    #[test]
    fn a_writer_that_came_meanwhile_makes_it_unsound() {
        let folder = tempfile::tempdir().unwrap();
        let (path, writer) = database(folder.path());
        drop(writer);
        let reading = Reading::open(&path).unwrap();
        let writer = Connection::open(&path).unwrap();
        writer.execute("INSERT INTO t VALUES (2)", []).unwrap();
        assert!(!reading.is_sound());
        drop(writer);
        assert!(!reading.is_sound(), "its log is gone again, and the file is another one");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_cannot_be_written_to_is_enough() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (path, writer) = database(folder.path());
        drop(writer);
        let mode = |mode| std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).unwrap();
        mode(0o500);
        let count = Reading::open(&path).map(|reading| count(&reading));
        mode(0o700);
        assert_eq!(count.unwrap(), 1);
    }

    #[test]
    fn what_is_no_database_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sqlite");
        assert!(Reading::open(&path).is_err(), "there is none");
        std::fs::write(&path, "not a database, whatever its name says").unwrap();
        let read = Reading::open(&path).map(|reading| {
            reading.connection().query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).is_ok()
        });
        assert!(!read.unwrap_or(false));
    }
}
