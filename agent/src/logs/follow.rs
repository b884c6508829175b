//! Follows log files: which there are, and what is new in each.

use std::fs::{self, File, Metadata};
use std::io::{self, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use wire::Log;

use super::limit::{Limit, PER_MINUTE};
use super::lines::{self, Read};
use super::position::{self, Identity, Position};
use super::record::{self, Level, Record};
use super::{Lines, LogPlaces};
use crate::log;
use crate::openclaw::json5;

/// Files that are followed.
const FILES_MAX: usize = 64;
/// Entries of a folder that are looked at.
const ENTRIES_MAX: usize = 2_000;
/// Bytes of a file that are read in one look.
const READ_BYTES_MAX: u64 = 8 << 20;
/// Bytes before the end of a file at which a first start begins, so that the latest errors are seen.
pub const FIRST_BYTES: u64 = 64 << 10;
/// A file that was not written to for so long is over: OpenClaw deletes its own after a day.
const OLD: Duration = Duration::from_secs(24 * 3_600);
/// Time between two looks for folders of logs. Those that are known are looked into each time.
const FOLDERS_EVERY: Duration = Duration::from_secs(30);
/// Bytes of a configuration that are read.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Where the agent's own lines come from.
const SOURCE: &str = "openclaw-watch-agent";

/// Follows the log files of a device's gateways.
#[derive(Debug)]
pub struct Follower {
    places: LogPlaces,
    level: Level,
    limit: Limit,
    files: Vec<Tail>,
    /// There are no positions of an earlier run: whatever is in the files may be old.
    first: bool,
    /// It was said that a file cannot be read.
    complained: bool,
    /// Where logs are, and when that was looked up.
    folders: Option<(Instant, Folders)>,
}

/// Where logs are now.
#[derive(Debug)]
struct Folders {
    state_dirs: Vec<PathBuf>,
    /// Of JSON logs.
    json: Vec<PathBuf>,
    /// Files that configurations name.
    configured: Vec<PathBuf>,
}

impl Folders {
    fn find(places: &LogPlaces) -> Folders {
        let state_dirs = places.openclaw.gateways();
        let home = places.openclaw.home.as_deref();
        let configured = state_dirs.iter().filter_map(|state_dir| configured(state_dir, home)).collect();
        Folders { json: folders(&places.folders), configured, state_dirs }
    }
}

/// One file that is followed.
#[derive(Debug)]
struct Tail {
    position: Position,
    /// Level of its plain lines.
    usual: Level,
    /// A record that may go on in the next line, and where it ends so far.
    held: Option<(Record, u64)>,
}

/// A file that may be followed.
#[derive(Debug)]
struct Candidate {
    path: PathBuf,
    metadata: Metadata,
    modified: SystemTime,
    usual: Level,
    /// Whether it is a log of the older kind, which is not begun anew each day.
    older: bool,
}

/// No more lines can be taken now.
struct Full;

impl Follower {
    /// Follows from `positions` on, where there are any.
    pub fn new(places: LogPlaces, level: Level, positions: Option<Vec<Position>>, now: Instant) -> Follower {
        let first = positions.is_none();
        let tail = |position| Tail { position, usual: Level::Info, held: None };
        let files = positions.unwrap_or_default().into_iter().take(FILES_MAX).map(tail).collect();
        Follower { places, level, limit: Limit::new(now), files, first, complained: false, folders: None }
    }

    /// Reads what is new and puts it into `lines`, as far as there is room.
    pub fn look(&mut self, lines: &Lines, now: Instant, now_ms: i64) {
        let before: Vec<_> = self.files.iter().map(|tail| tail.position.clone()).collect();
        // Where nothing was found it costs little to look again.
        let known = self.folders.take().filter(|(then, folders)| {
            !folders.state_dirs.is_empty() && now.saturating_duration_since(*then) < FOLDERS_EVERY
        });
        let known = known.unwrap_or_else(|| (now, Folders::find(&self.places)));
        let candidates = candidates(&known.1, SystemTime::now());
        self.folders = Some(known);
        let mut seen = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            // One that vanishes or cannot be read now is looked at again with the next look.
            let at = match self.find(&candidate) {
                Ok(Some(at)) => at,
                Ok(None) => continue,
                Err(error) => {
                    let news = error.kind() == io::ErrorKind::PermissionDenied && !self.complained;
                    if news {
                        self.complained = true;
                        log::warn(format_args!("cannot read {}: {error}", candidate.path.display()));
                    }
                    continue;
                }
            };
            seen.push(self.files[at].position.path.clone());
            let (level, limit) = (self.level, &mut self.limit);
            let mut emit = |record: Record| {
                if lines.is_full() {
                    return Err((record, Full));
                }
                if record.level >= level && limit.admits(record.level == Level::Fatal, now) {
                    lines.push(record.into_log(now_ms));
                }
                Ok(())
            };
            let _ = self.files[at].read(candidate.metadata.len(), &mut emit);
        }
        // One that could not be read this time, or is not of interest while another is there, is still
        // known when it comes back.
        let crowded = self.files.len() > FILES_MAX / 2;
        self.files
            .retain(|tail| seen.contains(&tail.position.path) || (!crowded && tail.position.path.exists()));
        self.first = false;
        if let Some(count) = self.limit.left_out(now) {
            lines.push(Log {
                t_ms: now_ms,
                level: Level::Warn.as_str().into(),
                source: SOURCE.into(),
                message: format!("{count} log lines were left out: more than {PER_MINUTE} a minute came"),
            });
        }
        let positions: Vec<_> = self.files.iter().map(|tail| tail.position.clone()).collect();
        if positions != before {
            lines.set_positions(positions);
        }
    }

    /// Which of the followed files this is; a new one is followed from now on.
    fn find(&mut self, candidate: &Candidate) -> io::Result<Option<usize>> {
        let number = position::number(&candidate.metadata);
        let len = candidate.metadata.len();
        let known = self.files.iter().position(|tail| match number {
            Some(_) => tail.position.identity.number == number,
            None => tail.position.path == candidate.path,
        });
        // What did not grow is not opened.
        if let Some(at) = known
            && self.files[at].position.offset == len
            && self.files[at].position.path == candidate.path
        {
            self.files[at].usual = candidate.usual;
            return Ok(Some(at));
        }
        let mut file = open(&candidate.path, &candidate.metadata)?;
        let mut found = None;
        for at in 0..self.files.len() {
            let Position { identity, offset, path, .. } = &self.files[at].position;
            // Two short files without numbers may begin alike.
            let sure = identity.number.is_some() || !identity.is_short() || *path == candidate.path;
            if *offset <= len && sure && identity.is(&mut file)? {
                found = Some(at);
                break;
            }
        }
        let identity = Identity::read(&mut file)?;
        if let Some(at) = found {
            let tail = &mut self.files[at];
            if tail.position.identity.is_short() {
                tail.position.identity = identity;
            }
            tail.position.path = candidate.path.clone();
            tail.usual = candidate.usual;
            return Ok(Some(at));
        }
        let offset = if self.first || candidate.older { len.saturating_sub(FIRST_BYTES) } else { 0 };
        // That is most likely in the middle of a line.
        let position = Position { path: candidate.path.clone(), identity, offset, skip: offset > 0 };
        let tail = Tail { position, usual: candidate.usual, held: None };
        // The same file, written anew, or another one under its number.
        if let Some(at) = known {
            self.files[at] = tail;
            return Ok(Some(at));
        }
        if self.files.len() == FILES_MAX {
            return Ok(None);
        }
        self.files.push(tail);
        Ok(Some(self.files.len() - 1))
    }
}

impl Tail {
    /// Reads on to the end, or as far as records are taken.
    fn read(
        &mut self,
        len: u64,
        emit: &mut impl FnMut(Record) -> Result<(), (Record, Full)>,
    ) -> io::Result<()> {
        let mut at = self.held.as_ref().map_or(self.position.offset, |(_, end)| *end);
        if at >= len {
            // Nothing came after it since the last look: it is whole.
            self.release(emit);
            return Ok(());
        }
        let mut file = File::open(&self.position.path)?;
        file.seek(SeekFrom::Start(at))?;
        let mut file = BufReader::with_capacity(lines::LINE_BYTES_MAX, file);
        let from = at;
        while at - from < READ_BYTES_MAX {
            if self.position.skip {
                let (skipped, ended) = lines::skip(&mut file, READ_BYTES_MAX)?;
                at += skipped;
                self.position.offset = at;
                self.position.skip = !ended;
                if !ended {
                    break;
                }
                continue;
            }
            let (text, bytes, cut) = match lines::read(&mut file)? {
                Read::Line { text, bytes } => (text, bytes, false),
                Read::Cut { text, bytes } => (text, bytes, true),
                Read::End => break,
            };
            if let Some((held, end)) = &mut self.held
                && !cut
                && held.open
                && record::continues(&text)
            {
                held.join(&text);
                at += bytes;
                *end = at;
                continue;
            }
            if !self.release(emit) {
                return Ok(());
            }
            at += bytes;
            match record::parse(&text, self.usual, cut) {
                Some(record) => self.held = Some((record, at)),
                None => self.position.offset = at,
            }
            if cut {
                if !self.release(emit) {
                    // It is read and cut once more when there is room.
                    self.held = None;
                    return Ok(());
                }
                self.position.skip = true;
            }
        }
        // A line of JSON is whole; a plain one may have a stack below it that is not written yet, unless
        // nothing but a part of a line came since the last look.
        if self.held.as_ref().is_some_and(|(record, _)| !record.open || at == from) {
            self.release(emit);
        }
        Ok(())
    }

    /// Gives the held record away. False if nobody takes it.
    fn release(&mut self, emit: &mut impl FnMut(Record) -> Result<(), (Record, Full)>) -> bool {
        let Some((record, end)) = self.held.take() else { return true };
        match emit(record) {
            Ok(()) => {
                self.position.offset = end;
                true
            }
            Err((record, Full)) => {
                self.held = Some((record, end));
                false
            }
        }
    }
}

/// The files to follow, the longest unchanged first: after a rotation the older one comes first.
fn candidates(folders: &Folders, now: SystemTime) -> Vec<Candidate> {
    let Folders { state_dirs, json, configured } = folders;
    let mut found = Vec::new();
    let owners: Vec<_> = state_dirs.iter().filter_map(|path| fs::metadata(path).ok()).collect();
    // Without a state folder there is no OpenClaw here, whatever lies in a folder for everybody.
    if owners.is_empty() {
        return found;
    }
    let is_old = |modified: SystemTime| now.duration_since(modified).is_ok_and(|age| age > OLD);
    let add = |found: &mut Vec<Candidate>, folder: &Path, usual: Level, wanted: &dyn Fn(&str) -> bool| {
        for entry in fs::read_dir(folder).into_iter().flatten().take(ENTRIES_MAX).flatten() {
            if !entry.file_name().to_str().is_some_and(wanted) {
                continue;
            }
            let Ok(metadata) = fs::symlink_metadata(entry.path()) else { continue };
            let Ok(modified) = metadata.modified() else { continue };
            let own = owners.iter().any(|owner| same_owner(owner, &metadata));
            if metadata.is_file() && own && !is_old(modified) {
                found.push(Candidate { path: entry.path(), metadata, modified, usual, older: false });
            }
        }
    };
    for folder in json {
        add(&mut found, folder, Level::Info, &|name| name.starts_with("openclaw-") && name.ends_with(".log"));
    }
    for path in configured {
        if let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) {
            add(&mut found, folder, Level::Info, &|other| same_but_for_digits(name, other));
        }
    }
    // Where there is a JSON log, these say the same once more.
    if found.is_empty() {
        for folder in state_dirs.iter().map(|state_dir| state_dir.join("logs")) {
            add(&mut found, &folder, Level::Info, &|name| name == "gateway.log");
            add(&mut found, &folder, Level::Warn, &|name| name == "gateway.err.log");
        }
        found.iter_mut().for_each(|candidate| candidate.older = true);
    }
    found.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
    found.dedup_by(|a, b| a.path == b.path);
    // The latest are the ones that matter.
    found.drain(..found.len().saturating_sub(FILES_MAX));
    found
}

/// The folders, and those beside them with a user's number in the name: one is used where the folder
/// for everybody is not safe.
fn folders(named: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders = named.to_vec();
    for path in named {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
        else {
            continue;
        };
        for entry in fs::read_dir(parent).into_iter().flatten().take(ENTRIES_MAX).flatten() {
            let file_name = entry.file_name();
            let number = file_name.to_str().and_then(|other| other.strip_prefix(name)?.strip_prefix('-'));
            if number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())) {
                folders.push(entry.path());
            }
        }
    }
    folders.sort();
    folders.dedup();
    folders
}

/// The log file that the configuration in a state folder names.
pub fn configured(state_dir: &Path, home: Option<&Path>) -> Option<PathBuf> {
    use std::io::Read;
    let mut text = Vec::new();
    let file = File::open(state_dir.join("openclaw.json")).ok()?;
    file.take(CONFIG_BYTES_MAX).read_to_end(&mut text).ok()?;
    let path = json5::lookup(&String::from_utf8_lossy(&text), &["logging", "file"])?;
    let path = match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    };
    path.is_absolute().then_some(path)
}

/// Whether two names differ in digits only: a dated log keeps rolling under its name. A number before
/// the ending is a rotation's.
fn same_but_for_digits(name: &str, other: &str) -> bool {
    let shape = |name: &str| {
        let stem = name.strip_suffix(".log").unwrap_or(name);
        let rotated =
            stem.rsplit_once('.').filter(|(_, n)| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()));
        rotated.map_or(stem, |(stem, _)| stem).replace(|c: char| c.is_ascii_digit(), "0")
    };
    shape(name) == shape(other)
}

/// Opens the file that was looked at, and no other that took its place meanwhile.
fn open(path: &Path, looked_at: &Metadata) -> io::Result<File> {
    let file = File::open(path)?;
    if position::number(&file.metadata()?) != position::number(looked_at) {
        return Err(io::Error::other("another file took its place"));
    }
    Ok(file)
}

#[cfg(unix)]
fn same_owner(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    a.uid() == b.uid()
}

#[cfg(not(unix))]
fn same_owner(_: &Metadata, _: &Metadata) -> bool {
    // There the temporary folder is the user's own.
    true
}

#[cfg(test)]
mod tests;
