//! Opening the SQLite files: one way for all, with their schema's version checked.

use crate::error::{Error, Result};
use parking_lot::{Mutex, MutexGuard};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a statement waits for another process (a backup, a person with a shell) to let go of a file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Steps of SQLite's machine after which the time is looked at: some tenths of a millisecond.
const STEPS_UNWATCHED: i32 = 10_000;

/// Read connections kept open per file.
const READERS_MAX: usize = 4;

#[cfg(test)]
thread_local! {
    /// Pages that a file opened for writing on this thread may have: to SQLite more is a full disk.
    pub static PAGES_MAX: std::cell::Cell<Option<u32>> = const { std::cell::Cell::new(None) };
}

/// One of the store's files.
pub struct File {
    /// Its name in the data folder.
    pub name: &'static str,
    /// Bytes of a page of one that is made; one that is there keeps its own.
    pub page_bytes: u32,
    /// The steps that make its schema; step `i` leads from version `i` to `i + 1`. Never changed, only added to.
    pub migrations: &'static [&'static str],
}

impl File {
    /// Opens it for writing, made when missing, brought to the newest schema.
    pub fn open(&self, dir: &Path) -> Result<Connection> {
        let path = dir.join(self.name);
        let mut db = Connection::open(&path)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        let known = self.migrations.len() as i64;
        let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        // Before anything is set: a file of a newer version stays as it is.
        if found > known {
            return Err(Error::Newer { file: self.name, found, known });
        }
        if found == 0 {
            // Both must come before the first table; incremental vacuum lets the file shrink without a long lock.
            db.pragma_update(None, "page_size", self.page_bytes)?;
            db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        }
        db.pragma_update(None, "journal_mode", "WAL")?;
        // FULL: a commit that returned survives power loss.
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "journal_size_limit", 4 << 20)?;
        // What is deleted is overwritten: else it would last in the unused ends of pages that others take over.
        db.pragma_update(None, "secure_delete", "ON")?;
        keep_plans(&db)?;
        // A transaction that reads first and asks for the right to write later is refused at once, not after the busy
        // timeout, when a log was emptied in between.
        db.set_transaction_behavior(TransactionBehavior::Immediate);
        db.set_prepared_statement_cache_capacity(64);
        #[cfg(test)]
        if let Some(pages) = PAGES_MAX.get() {
            db.pragma_update(None, "max_page_count", pages)?;
        }
        if found < known {
            let tx = db.transaction()?;
            for step in &self.migrations[found.max(0) as usize..] {
                tx.execute_batch(step)?;
            }
            tx.pragma_update(None, "user_version", known)?;
            tx.commit()?;
        }
        Ok(db)
    }

    /// Opens it for writing while a server may have it open: only when it has the newest schema already.
    pub fn open_as_it_is(&self, dir: &Path) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(dir.join(self.name), flags)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        let known = self.migrations.len() as i64;
        match db.pragma_query_value(None, "user_version", |row| row.get(0))? {
            found if found > known => Err(Error::Newer { file: self.name, found, known }),
            found if found < known => Err(Error::Older { file: self.name }),
            _ => {
                db.pragma_update(None, "secure_delete", "ON")?;
                Ok(db)
            }
        }
    }

    /// A connection for reading.
    pub fn reader(&self, dir: &Path) -> Result<Connection> {
        reader(&dir.join(self.name))
    }

    /// What a file that nobody has open says of itself: nothing when it is sound and of the newest schema. Nothing is
    /// written.
    pub fn check(&self, dir: &Path) -> Result<Vec<String>> {
        if !dir.join(self.name).is_file() {
            return Ok(vec![format!("{} is missing", self.name)]);
        }
        match self.ask(dir) {
            // The power failed while the file was being made. To see what it holds it would have to be written to.
            Err(Error::Sqlite(e)) if is_cut_off(&e) => {
                let what = "was being made when it was cut off; start the server once, which finishes it";
                Ok(vec![format!("{} {what}", self.name)])
            }
            other => other,
        }
    }

    fn ask(&self, dir: &Path) -> Result<Vec<String>> {
        self.readers(dir).with(|db| {
            let known = self.migrations.len() as i64;
            let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
            if found > known {
                return Err(Error::Newer { file: self.name, found, known });
            }
            if found < known {
                let what = "was written by an older version; start the server once, which brings it forward";
                return Ok(vec![format!("{} {what}", self.name)]);
            }
            let mut statement = db.prepare("PRAGMA integrity_check")?;
            let said = statement.query_map([], |row| row.get::<_, String>(0))?;
            let said = said.collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(said.into_iter().filter(|line| line != "ok").map(|l| format!("{}: {l}", self.name)).collect())
        })
    }

    /// A few connections for reading.
    pub fn readers(&self, dir: &Path) -> Readers {
        Readers { path: dir.join(self.name), idle: Mutex::new(Vec::new()) }
    }

    /// Bytes on disk, with the write-ahead log.
    pub fn bytes(&self, dir: &Path) -> u64 {
        ["", "-wal"]
            .iter()
            .filter_map(|suffix| std::fs::metadata(dir.join(format!("{}{suffix}", self.name))).ok())
            .map(|m| m.len())
            .sum()
    }
}

/// Is there a rollback journal to be rolled back first?
fn is_cut_off(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_READONLY_ROLLBACK)
}

/// Read-only connections, made when needed, a bounded number kept.
pub struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Runs `f` on a connection of its own.
    pub fn with<T>(&self, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let db = self.take()?;
        let result = f(&db);
        self.keep(db);
        result
    }

    /// The same for what may take long: it is broken off when the time is over.
    ///
    /// # Errors
    /// `SearchTooLong` then.
    pub fn within<T>(&self, time: Duration, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let until = Instant::now() + time;
        let mut db = self.take()?;
        db.progress_handler(STEPS_UNWATCHED, Some(move || Instant::now() >= until))?;
        let result = f(&db);
        db.progress_handler(0, None::<fn() -> bool>)?;
        self.keep(db);
        match result {
            Err(Error::Sqlite(e)) if e.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                Err(Error::SearchTooLong { limit_ms: time.as_millis() as u64 })
            }
            other => other,
        }
    }

    /// Runs `f` on one state of the file, whatever is written meanwhile.
    pub fn snapshot<T>(&self, f: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.with(|db| {
            // Prepared once: a query takes hundreds of snapshots, and reading these words took a tenth of its time.
            db.prepare_cached("BEGIN")?.execute([])?;
            let result = f(db);
            db.prepare_cached("ROLLBACK")?.execute([])?;
            result
        })
    }

    fn take(&self) -> Result<Connection> {
        let idle = self.idle.lock().pop();
        idle.map_or_else(|| reader(&self.path), Ok)
    }

    fn keep(&self, db: Connection) {
        let mut idle = self.idle.lock();
        // One whose snapshot could not be ended is of no more use.
        if idle.len() < READERS_MAX && db.is_autocommit() {
            idle.push(db);
        }
    }

    /// Copies the whole write-ahead log into the file and empties it, so that nothing that was deleted is left in it;
    /// `false`: somebody reads or writes at present.
    pub fn empty_log(&self) -> Result<bool> {
        let db = Connection::open(&self.path)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        empty_log(&db)
    }

    /// Copies the write-ahead log into the file, as far as nobody reads from it; nobody waits for it, also no writer.
    pub fn checkpoint(&self) -> Result<()> {
        let db = Connection::open(&self.path)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        Ok(db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
    }
}

fn reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    keep_plans(&db)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// Makes a new name in the folder of `path` survive power loss.
pub fn sync_folder(path: &Path) -> std::io::Result<()> {
    // Only Unix has this, and only there it is needed.
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// A statement is planned once. Otherwise SQLite plans many of them anew for each value that is bound, which took a tenth
/// of a query's time.
fn keep_plans(db: &Connection) -> Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// See [`Readers::empty_log`].
pub fn empty_log(db: &Connection) -> Result<bool> {
    let busy: i64 = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}

/// Free pages given back to the file system in one step, so that nobody waits long.
const VACUUM_PAGES_MAX: u32 = 512;

/// Gives some free pages back to the file system; returns whether there are more.
pub fn give_back_pages(db: &Connection) -> Result<bool> {
    let mut statement = db.prepare_cached(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES_MAX})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    let left: i64 = db.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    Ok(left > 0)
}

/// The one connection of a file that writes, shared by the threads that do.
pub struct Writer(Mutex<Connection>);

impl Writer {
    /// Takes it over.
    pub fn new(db: Connection) -> Writer {
        Writer(Mutex::new(db))
    }

    /// Waits for its turn.
    pub fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: File =
        File { name: "x.db", page_bytes: 2_048, migrations: &["CREATE TABLE a (b INTEGER) STRICT"] };
    const TWO: File = File {
        name: "x.db",
        page_bytes: 2_048,
        migrations: &["CREATE TABLE a (b INTEGER) STRICT", "ALTER TABLE a ADD COLUMN c INTEGER"],
    };

    #[test]
    fn a_file_that_was_cut_off_while_it_was_made_is_told_and_opens() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("left");
        std::fs::create_dir(&place).unwrap();
        let db = Connection::open(dir.path().join("x.db")).unwrap();
        db.pragma_update(None, "cache_size", 1).unwrap();
        // More than the cache holds: part of it goes to the file, with what undoes it in the journal.
        db.execute_batch("CREATE TABLE a (b INTEGER) STRICT; BEGIN").unwrap();
        for i in 0..20_000 {
            db.execute("INSERT INTO a VALUES (?1)", [i]).unwrap();
        }
        for name in ["x.db", "x.db-journal"] {
            std::fs::copy(dir.path().join(name), place.join(name)).unwrap();
        }
        let said = ONE.check(&place).unwrap();
        assert!(said.len() == 1 && said[0].contains("start the server once"), "{said:?}");
        let db = Connection::open(place.join("x.db")).unwrap();
        assert_eq!(db.query_row("SELECT count(*) FROM a", [], |r| r.get::<_, i64>(0)).unwrap(), 0);
    }

    #[test]
    fn every_connection_plans_a_statement_once() {
        let dir = tempfile::tempdir().unwrap();
        let plans_once = |db: &Connection| db.db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG).unwrap();
        assert!(plans_once(&ONE.open(dir.path()).unwrap()));
        assert!(ONE.readers(dir.path()).with(|db| Ok(plans_once(db))).unwrap());
    }

    #[test]
    fn a_snapshot_sees_one_state_and_ends_also_after_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let db = ONE.open(dir.path()).unwrap();
        let readers = ONE.readers(dir.path());
        let count = |db: &Connection| -> Result<i64> {
            Ok(db.query_row("SELECT count(*) FROM a", [], |row| row.get(0))?)
        };
        let seen = readers.snapshot(|view| {
            let before = count(view)?;
            db.execute("INSERT INTO a VALUES (1)", [])?;
            Ok((before, count(view)?))
        });
        assert_eq!(seen.unwrap(), (0, 0));
        assert!(readers.snapshot(|_| Err::<(), _>(Error::Closed)).is_err());
        assert_eq!(readers.snapshot(count).unwrap(), 1);
        assert_eq!(readers.idle.lock().len(), 1, "connections that are kept");
    }

    #[test]
    fn an_older_file_is_brought_forward_and_a_newer_one_refused_untouched() {
        let dir = tempfile::tempdir().unwrap();
        ONE.open(dir.path()).unwrap().execute("INSERT INTO a VALUES (1)", []).unwrap();
        let db = TWO.open(dir.path()).unwrap();
        assert_eq!(
            db.query_row("SELECT count(*) FROM a WHERE c IS NULL", [], |r| r.get::<_, i64>(0)).unwrap(),
            1
        );
        drop(db);
        let before = std::fs::read(dir.path().join("x.db")).unwrap();
        let error = ONE.open(dir.path()).unwrap_err();
        assert!(matches!(error, Error::Newer { found: 2, known: 1, .. }), "{error}");
        assert!(std::fs::read(dir.path().join("x.db")).unwrap() == before, "the file was changed");
    }
}
