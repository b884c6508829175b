//! A copy of the whole data folder in one file, taken while a server runs on it, and the way back.
//!
//! ```text
//! OCWBAK01 │ zstd: ( name length u16 │ name │ bytes u64 │ the file │ CRC-32 u32 )… │ 0 u16
//! ```
//! Numbers are little-endian; the zstd stream has a checksum of its own.
//!
//! The three files are read as they were at one moment each, the tail first. What is sealed or recorded after that
//! moment is in the others *and* in the tail, and a restart skips it there by its number, as after a crash. The other
//! way round it would be forgotten by the tail and not yet in the others.

use crate::db::{File, sync_folder};
use crate::error::{Error, Result};
use crate::{check, chunk_table, meta, open, tail};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// What a backup begins with: its kind and version.
const MAGIC: &[u8; 8] = b"OCWBAK01";
/// The files, in the order they are read.
const FILES: [&File; 3] = [&tail::FILE, &meta::FILE, &chunk_table::FILE];
/// Pages copied at a time.
const STEP_PAGES: i32 = 2_048;
/// Chunks are compressed already: more effort would find nothing in them.
const ZSTD_LEVEL: i32 = 1;
/// As a bound of what one file may claim to be.
const FILE_BYTES_MAX: u64 = 1 << 44;
/// How often the moments are taken anew because a device was added or deleted between them.
const TRIES_MAX: usize = 100;

/// What a backup holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackedUp {
    /// Bytes of the files in it.
    pub data_bytes: u64,
    /// Bytes of the backup.
    pub file_bytes: u64,
}

/// Writes a backup of the data folder `dir` to `to`, which must not be there yet. A server may run on the folder:
/// it goes on, and everything it acknowledged before this began is in the backup. `progress` is told the share done,
/// 0 to 1. Needs room beside `to` for the largest of the files.
///
/// # Errors
/// There is no data folder there, a newer version wrote it, `to` is there already or cannot be written.
pub fn backup(dir: &Path, to: &Path, mut progress: impl FnMut(f64)) -> Result<BackedUp> {
    let failed = |cause| Error::Backup { path: to.to_path_buf(), cause };
    if to.exists() {
        return Err(failed(io::ErrorKind::AlreadyExists.into()));
    }
    let moments = Moments::take(dir)?;
    let total: u64 = moments.0.iter().map(|(file, _)| file.bytes(dir)).sum::<u64>().max(1);
    let partial = Partial::new(to, "partial");
    let out = open::private_file(&partial.0).map_err(failed)?;
    let mut packed = zstd::Encoder::new(BufWriter::new(out), ZSTD_LEVEL).map_err(failed)?;
    packed.include_checksum(true).map_err(failed)?;
    packed.get_mut().write_all(MAGIC).map_err(failed)?;
    let mut done = BackedUp::default();
    for (file, moment) in moments.0 {
        let copy = Partial::new(to, file.name);
        drop(open::private_file(&copy.0).map_err(failed)?);
        copy_pages(&moment, &copy.0, |share| {
            progress((done.data_bytes as f64 + share * file.bytes(dir) as f64) / total as f64);
        })?;
        // Its log may be emptied from here on.
        drop(moment);
        done.data_bytes += append(&mut packed, file.name, &copy.0).map_err(failed)?;
    }
    packed.write_all(&0_u16.to_le_bytes()).map_err(failed)?;
    let out = packed.finish().and_then(|out| Ok(out.into_inner()?)).map_err(failed)?;
    out.sync_all().map_err(failed)?;
    done.file_bytes = out.metadata().map_err(failed)?.len();
    std::fs::rename(&partial.0, to).map_err(failed)?;
    sync_folder(to).map_err(failed)?;
    progress(1.0);
    Ok(done)
}

/// Makes the data folder `dir` from a backup. It must not be there yet, or hold nothing of a server; what else is in it, as
/// a configuration or `lost+found`, stays. Everything is checked before it gets its name.
///
/// # Errors
/// `dir` holds data, the backup is not whole, or what is in it is not sound.
pub fn restore(from: &Path, dir: &Path) -> Result<BackedUp> {
    let of_backup = |cause| Error::Backup { path: from.to_path_buf(), cause };
    let of_folder = |cause| Error::Folder { path: dir.to_path_buf(), cause };
    let file = std::fs::File::open(from).map_err(of_backup)?;
    let file_bytes = file.metadata().map_err(of_backup)?.len();
    let mut file = BufReader::new(file);
    let mut magic = [0; MAGIC.len()];
    let known = file.read_exact(&mut magic).is_ok() && magic == *MAGIC;
    if !known {
        return Err(of_backup(io::Error::other("it is no backup of OpenClaw Watch, or of a newer version")));
    }
    let target = Target::take(dir)?;
    let mut unpacked = zstd::Decoder::with_buffer(file).map_err(of_backup)?;
    let mut done = BackedUp { data_bytes: 0, file_bytes };
    let mut missing: Vec<&str> = FILES.iter().map(|file| file.name).collect();
    while let Some(name) = next_name(&mut unpacked).map_err(of_backup)? {
        let Some(at) = missing.iter().position(|known| *known == name) else {
            return Err(of_backup(io::Error::other(format!(
                "there is a file {name:?} in it that does not belong there"
            ))));
        };
        missing.swap_remove(at);
        done.data_bytes += extract(&mut unpacked, &target.within.join(name)).map_err(of_backup)?;
    }
    // Past the end mark: only here the checksum of the whole is compared.
    if !missing.is_empty() || unpacked.read(&mut [0]).map_err(of_backup)? > 0 {
        return Err(of_backup(io::Error::other("it is not whole")));
    }
    drop(open::private_file(&target.within.join("lock")).map_err(of_folder)?);
    let checked = check(&target.within)?;
    if let Some(fault) = checked.faults.first() {
        let why = format!("what is in it is not sound: {fault}");
        return Err(of_backup(io::Error::other(why)));
    }
    target.fill().map_err(of_folder)?;
    Ok(done)
}

/// Where a restore is under way: a folder of this name in the data folder, which no server starts on meanwhile. Within it
/// and not beside it, since a data folder may be a volume, which can neither be renamed nor replaced.
const RESTORING: &str = "restoring";

/// Refuses a folder that a restore filled in part.
pub fn refuse_restoring(dir: &Path) -> Result<()> {
    if !dir.join(RESTORING).exists() {
        return Ok(());
    }
    let cause = io::Error::other(format!(
        "a restore into it goes on or was cut off; if it was, delete {RESTORING} and what there is of {} in it, and \
         restore again",
        FILES.map(|file| file.name).join(", ")
    ));
    Err(Error::Folder { path: dir.to_path_buf(), cause })
}

/// The folder that is restored to, locked. When this is dropped it is as it was, unless filling it was begun.
struct Target<'a> {
    dir: &'a Path,
    within: PathBuf,
    /// The folder was not there.
    made: bool,
    filling: bool,
    _lock: std::fs::File,
}

impl<'a> Target<'a> {
    fn take(dir: &'a Path) -> Result<Target<'a>> {
        let failed = |cause| Error::Folder { path: dir.to_path_buf(), cause };
        let there = |file: &&&File| {
            ["", "-wal", "-journal"].iter().any(|end| dir.join([file.name, end].concat()).exists())
        };
        if let Some(file) = FILES.iter().find(there) {
            refuse_restoring(dir)?;
            let name = file.name;
            let why = format!("there is data in it ({name}); move it away, or restore to another folder");
            return Err(failed(io::Error::other(why)));
        }
        let made = !dir.exists();
        open::make_folder(dir)?;
        let target =
            Target { dir, within: dir.join(RESTORING), made, filling: false, _lock: open::lock(dir)? };
        // What a restore left that was cut off before it filled anything: nobody else has the lock.
        if target.within.exists() {
            std::fs::remove_dir_all(&target.within).map_err(failed)?;
        }
        open::make_folder(&target.within)?;
        Ok(target)
    }

    /// Gives the files their names. While their folder is there, nobody takes a part of them for the whole.
    fn fill(mut self) -> io::Result<()> {
        self.filling = true;
        for file in FILES {
            std::fs::rename(self.within.join(file.name), self.dir.join(file.name))?;
        }
        sync_folder(&self.within)?;
        std::fs::remove_dir_all(&self.within)?;
        sync_folder(&self.within)?;
        sync_folder(self.dir)
    }
}

impl Drop for Target<'_> {
    fn drop(&mut self) {
        if self.filling {
            return;
        }
        // What cannot be removed is in nobody's way: the next restore tries again.
        let _ = std::fs::remove_dir_all(&self.within);
        if self.made {
            let _ = std::fs::remove_file(self.dir.join("lock"));
            let _ = std::fs::remove_dir(self.dir);
        }
    }
}

/// Each file as it is at one moment, for as long as its connection lives.
struct Moments(Vec<(&'static File, Connection)>);

impl Moments {
    fn take(dir: &Path) -> Result<Moments> {
        for file in FILES {
            if !dir.join(file.name).is_file() {
                let cause = io::Error::other(format!("there is no {} in it", file.name));
                return Err(Error::Folder { path: dir.to_path_buf(), cause });
            }
        }
        for _ in 0..TRIES_MAX {
            let moments: Vec<_> =
                FILES.into_iter().map(|file| Ok((file, moment(file, dir)?))).collect::<Result<_>>()?;
            // Else there could be chunks of a device that the accounts of devices do not have.
            if devices(&moments[1].1)? == devices(&meta::FILE.reader(dir)?)? {
                return Ok(Moments(moments));
            }
        }
        let cause = io::Error::other("devices are added and deleted all the time; try again later");
        Err(Error::Folder { path: dir.to_path_buf(), cause })
    }
}

/// A connection that sees a file as it is now, whatever is written to it.
fn moment(file: &File, dir: &Path) -> Result<Connection> {
    let db = file.reader(dir)?;
    let known = file.migrations.len() as i64;
    db.execute_batch("BEGIN")?;
    // The first read takes the moment.
    let found: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let _: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if found > known { Err(Error::Newer { file: file.name, found, known }) } else { Ok(db) }
}

/// Those that nobody has begun to delete.
fn devices(db: &Connection) -> Result<Vec<i64>> {
    // A folder that no server of this version has opened yet has no such table.
    let marks = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'deletion')";
    let known = db.query_row(marks, [], |row| row.get::<_, bool>(0))?;
    let there = if known { "WHERE id NOT IN (SELECT device FROM deletion)" } else { "" };
    let mut statement = db.prepare(&format!("SELECT id FROM device {there} ORDER BY id"))?;
    let ids = statement.query_map([], |row| row.get(0))?;
    Ok(ids.collect::<rusqlite::Result<_>>()?)
}

fn copy_pages(moment: &Connection, to: &Path, mut progress: impl FnMut(f64)) -> Result<()> {
    let mut copy = Connection::open(to)?;
    // It is thrown away when anything fails.
    copy.pragma_update(None, "synchronous", "OFF")?;
    let backup = Backup::new(moment, &mut copy)?;
    loop {
        let step = backup.step(STEP_PAGES)?;
        let now = backup.progress();
        progress(1.0 - f64::from(now.remaining) / f64::from(now.pagecount.max(1)));
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ => return Err(Error::Corrupt { what: "a copy".into(), why: "its file is in use".into() }),
        }
    }
}

fn append(packed: &mut impl Write, name: &str, path: &Path) -> io::Result<u64> {
    let mut file = std::fs::File::open(path)?;
    let bytes = file.metadata()?.len();
    packed.write_all(&(name.len() as u16).to_le_bytes())?;
    packed.write_all(name.as_bytes())?;
    packed.write_all(&bytes.to_le_bytes())?;
    let mut counted = Counted { inner: packed, crc: crc32fast::Hasher::new() };
    if io::copy(&mut file, &mut counted)? != bytes {
        return Err(io::Error::other("a copy changed while it was read"));
    }
    let crc = counted.crc.finalize();
    packed.write_all(&crc.to_le_bytes())?;
    Ok(bytes)
}

/// The name of the file that comes next; `None` at the end.
fn next_name(unpacked: &mut impl Read) -> io::Result<Option<String>> {
    let mut length = [0; 2];
    unpacked.read_exact(&mut length)?;
    let length = u16::from_le_bytes(length);
    if length == 0 {
        return Ok(None);
    }
    if usize::from(length) > 64 {
        return Err(io::Error::other("it is not whole"));
    }
    let mut name = vec![0; length.into()];
    unpacked.read_exact(&mut name)?;
    String::from_utf8(name).map(Some).map_err(|_| io::Error::other("it is not whole"))
}

fn extract(unpacked: &mut impl Read, to: &Path) -> io::Result<u64> {
    let mut bytes = [0; 8];
    unpacked.read_exact(&mut bytes)?;
    let bytes = u64::from_le_bytes(bytes);
    if bytes > FILE_BYTES_MAX {
        return Err(io::Error::other("it is not whole"));
    }
    let mut file = open::private_file(to)?;
    let mut counted = Counted { inner: &mut file, crc: crc32fast::Hasher::new() };
    let copied = io::copy(&mut unpacked.by_ref().take(bytes), &mut counted)?;
    let expected = counted.crc.finalize();
    let mut crc = [0; 4];
    unpacked.read_exact(&mut crc)?;
    if copied != bytes || u32::from_le_bytes(crc) != expected {
        return Err(io::Error::other("it is not whole"));
    }
    file.sync_all()?;
    Ok(bytes)
}

/// Counts what goes through it.
struct Counted<'a, W> {
    inner: &'a mut W,
    crc: crc32fast::Hasher,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.crc.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A file beside another that is not done yet; gone when this is, unless it got its name.
struct Partial(PathBuf);

impl Partial {
    fn new(beside: &Path, what: &str) -> Partial {
        let mut name = beside.as_os_str().to_os_string();
        name.push(format!(".{what}-{}", std::process::id()));
        Partial(PathBuf::from(name))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // What is not there any more needs nothing.
        let _ = std::fs::remove_file(&self.0);
    }
}
