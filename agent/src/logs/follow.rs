//! Follows log files: what is new in each.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use wire::Log;

use super::files::{Candidate, FILES_MAX, Folders, candidates};
use super::limit::{Limit, PER_MINUTE};
use super::lines::{self, Read};
use super::position::{self, Identity, Position};
use super::record::{self, Level, Record};
use super::{Lines, LogPlaces};
use crate::log;

/// Bytes of a file that are read in one look.
const READ_BYTES_MAX: u64 = 8 << 20;
/// Bytes before the end of a file at which a first start begins, so that the latest errors are seen.
pub const FIRST_BYTES: u64 = 64 << 10;
/// Time between two looks for folders of logs. Those that are known are looked into each time.
const FOLDERS_EVERY: Duration = Duration::from_secs(30);
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

/// One file that is followed.
#[derive(Debug)]
struct Tail {
    position: Position,
    /// Level of its plain lines.
    usual: Level,
    /// A record that may go on in the next line, and where it ends so far.
    held: Option<(Record, u64)>,
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

/// Opens the file that was looked at, and no other that took its place meanwhile.
fn open(path: &Path, looked_at: &Metadata) -> io::Result<File> {
    let file = File::open(path)?;
    if position::number(&file.metadata()?) != position::number(looked_at) {
        return Err(io::Error::other("another file took its place"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
