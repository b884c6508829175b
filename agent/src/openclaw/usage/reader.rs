//! Reads what is new, one portion at a time.
//!
//! A portion moves nothing: whoever has brought it to where it is safe says so with
//! [`Reader::accept`], and only then are its events not read again. Whoever loses it reads it again.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wire::Usage;

use super::cursors::{Advance, Cursors};
use super::database::{Database, Fault};
use super::faults::Faults;
use super::lines::{FileId, Lines};
use super::record::{Found, shorten};
use super::sources::{self, Overview, Sources, Stamp};
use super::{State, Why};
use crate::config::OpenClawPlaces;
pub use portion::Portion;
use portion::{Done, Recent};

mod portion;

/// What an event costs besides its texts.
const EVENT_BYTES: usize = 96;
/// What a row or line costs besides its bytes.
const RECORD_BYTES: u64 = 64;
/// Faults of a database after which the rest of it is left for the next time.
const FAULTS_MAX: usize = 8;
/// Time between two looks at all sessions of a database, in case it does not tell which have changed.
const ALL_SESSIONS_EVERY: Duration = Duration::from_secs(600);
/// Time between two looks at what OpenClaw itself says about runs and databases.
const OVERVIEW_EVERY: Duration = Duration::from_secs(60);
/// Sessions that changed this much before the newest one are looked at again: their rows may have
/// become visible later.
const CHANGED_MARGIN_MS: i64 = 60_000;
/// For how long it is shown that something made no sense.
const PARTIAL_FOR: Duration = Duration::from_secs(3_600);
/// User's messages without any usage after which something must be wrong.
pub const QUIET_PROMPTS: u64 = 20;
/// Runs that ended well after the newest usage, with the same meaning.
pub const QUIET_RUNS: usize = 5;

/// One look into a database.
struct Look<'a> {
    agent: &'a str,
    path: &'a Path,
    database: &'a Database,
    /// As it was before it was opened.
    stamp: Stamp,
    /// When all its sessions were looked at, if that holds yet.
    looked: Option<Instant>,
    now: Instant,
}

/// Reads the usage of this device's OpenClaw.
pub struct Reader {
    places: OpenClawPlaces,
    cursors: Cursors,
    done: HashMap<PathBuf, Done>,
    overviews: HashMap<PathBuf, (Instant, Overview)>,
    recent: Recent,
    faults: Faults,
    /// Time of the newest event that was read, accepted or not.
    newest_ms: i64,
    /// A database is of a newer version than any that was seen.
    newer_schema: bool,
    installed: bool,
    gone: bool,
    catching_up: bool,
    prompts: u64,
    faulty_since: Option<Instant>,
    /// Whether the cursors are others than when this was last asked.
    moved: bool,
}

impl Reader {
    /// Goes on from these cursors.
    pub fn new(places: OpenClawPlaces, cursors: Cursors) -> Reader {
        Reader {
            places,
            done: HashMap::new(),
            overviews: HashMap::new(),
            recent: Recent::default(),
            faults: Faults::default(),
            newest_ms: cursors.newest_ms,
            newer_schema: false,
            cursors,
            installed: false,
            gone: false,
            catching_up: false,
            prompts: 0,
            faulty_since: None,
            moved: false,
        }
    }

    /// How far everything was read and accepted.
    pub fn cursors(&self) -> &Cursors {
        &self.cursors
    }

    /// Whether the cursors moved since this was last asked.
    pub fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// The next portion; without events when there is nothing new, or nothing yet.
    pub fn read(&mut self, now: Instant) -> Portion {
        let state_dirs = self.places.transcripts();
        // A folder that was there and is not any more is somebody's loss, and not a device without OpenClaw.
        self.gone = state_dirs.is_empty() && (self.installed || self.gone);
        self.installed = !state_dirs.is_empty();
        let (mut databases, mut files, mut faults) = (Vec::new(), Vec::new(), HashMap::new());
        for state_dir in &state_dirs {
            let found = self.sources(state_dir, now);
            databases.extend(found.databases);
            files.extend(found.files);
            faults.extend(found.faults);
            let overview = self.overviews.get(state_dir).and_then(|(_, overview)| overview.fault.clone());
            faults.extend(overview.map(|fault| (sources::state_database(state_dir), fault)));
        }
        self.done.retain(|path, _| databases.iter().chain(&files).any(|(_, known)| known == path));

        let mut portion = Portion { prompts: self.prompts, ..Portion::default() };
        for (agent, path) in &databases {
            // One that is gone was removed meanwhile.
            if let Err(fault) = self.read_database(agent, path, now, &mut portion)
                && path.exists()
            {
                faults.insert(path.clone(), fault);
            }
        }
        for (agent, path) in &files {
            // A file that is gone was renamed or pruned meanwhile.
            match self.read_file(agent, path, &mut portion) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    faults.insert(path.clone(), error.into());
                }
                _ => {}
            }
        }
        if !portion.more && faults.is_empty() && !files.is_empty() {
            self.forget_gone_files(&files, &mut portion);
        }
        self.faults.replace(faults, now);
        self.catching_up = portion.more;
        self.newest_ms = self.newest_ms.max(portion.newest_ms);
        self.newer_schema |= portion.newer_schema;
        if portion.faulty > 0 {
            self.faulty_since = Some(now);
        }
        portion
    }

    /// The portion is safe: its events are not read again.
    pub fn accept(&mut self, portion: Portion) {
        self.prompts = portion.prompts;
        self.moved |= !portion.steps.is_empty();
        self.cursors.advance(Advance::Newest(portion.newest_ms));
        portion.steps.into_iter().for_each(|step| self.cursors.advance(step));
        self.done.extend(portion.done);
        portion.ids.into_iter().for_each(|id| self.recent.insert(id));
    }

    /// How it is going; nothing where there is no OpenClaw.
    pub fn state(&self, now: Instant) -> Option<State> {
        Some(match self.faults.state(now) {
            _ if self.gone => State::Unreadable(Why::Gone),
            _ if !self.installed => return None,
            Some(state) => state,
            // What is locked for the moment is read soon.
            None if self.catching_up || !self.faults.is_empty() => State::CatchingUp,
            None if self.is_quiet() && self.newer_schema => State::UnknownSchema,
            None if self.is_quiet() => State::Quiet,
            None if self
                .faulty_since
                .is_some_and(|then| now.saturating_duration_since(then) < PARTIAL_FOR) =>
            {
                State::Partial
            }
            None if self.newest_ms == 0 => State::None,
            None => State::Ok,
        })
    }

    /// What could not be read, and why.
    pub fn faults(&self) -> Vec<(&Path, &Fault)> {
        self.faults.list()
    }

    fn is_quiet(&self) -> bool {
        let runs = self.overviews.values().flat_map(|(_, overview)| &overview.runs_ms);
        self.prompts >= QUIET_PROMPTS || runs.filter(|began| **began > self.newest_ms).count() >= QUIET_RUNS
    }

    fn sources(&mut self, state_dir: &Path, now: Instant) -> Sources {
        let fresh = |(then, _): &&(Instant, Overview)| now.saturating_duration_since(*then) < OVERVIEW_EVERY;
        if self.overviews.get(state_dir).filter(fresh).is_none() {
            let overview = sources::overview(state_dir, self.newest_ms);
            self.overviews.insert(state_dir.to_path_buf(), (now, overview));
        }
        let listed = self.overviews.get(state_dir).map_or(&[][..], |(_, overview)| &overview.databases);
        sources::find(state_dir, listed)
    }

    fn read_database(
        &self,
        agent: &str,
        path: &Path,
        now: Instant,
        portion: &mut Portion,
    ) -> Result<(), Fault> {
        let stamp = Stamp::of_database(path);
        let done = self.done.get(path);
        let looked = done.and_then(|done| done.all_sessions);
        let looked = looked.filter(|then| now.saturating_duration_since(*then) < ALL_SESSIONS_EVERY);
        let complete = |done: &Done| !done.only_changed || looked.is_some();
        if done.is_some_and(|done| done.stamp == stamp && complete(done)) || portion.is_full() {
            return Ok(());
        }
        let Some(database) = Database::open(path)? else {
            portion.done.push((path.to_path_buf(), Done::new(stamp)));
            return Ok(());
        };
        let before = portion.mark();
        let look = Look { agent, path, database: &database, stamp, looked, now };
        let result = self.read_rows(&look, portion);
        if !database.is_sound() {
            // The gateway started meanwhile: the next look reads it beside its log.
            portion.rewind(before);
            return Ok(());
        }
        result
    }

    fn read_rows(&self, look: &Look<'_>, portion: &mut Portion) -> Result<(), Fault> {
        let Look { agent, path, database, stamp, looked, now } = *look;
        let done = self.done.get(path);
        portion.newer_schema |= database.is_newer();
        let key = path.to_string_lossy();
        let changed_ms = database.changed_ms()?;
        let since = looked.and(done).and_then(|done| done.changed_ms).map(|since| since - CHANGED_MARGIN_MS);
        let sessions = database.sessions(since)?;
        let mut faults = Vec::new();
        for session in &sessions {
            // One page that is damaged costs its session, not the others.
            if let Err(fault) = self.read_session(agent, database, &key, session, portion) {
                faults.push(fault);
            }
            if faults.len() == FAULTS_MAX {
                break;
            }
        }
        if let Some(fault) = faults.into_iter().next() {
            return Err(fault);
        }
        if portion.more {
            return Ok(());
        }
        let all_sessions = if since.is_none() { Some(now) } else { looked };
        if since.is_none() {
            portion.steps.push(Advance::Sessions(key.to_string(), sessions));
        }
        let done = Done { changed_ms, all_sessions, only_changed: since.is_some(), ..Done::new(stamp) };
        portion.done.push((path.to_path_buf(), done));
        Ok(())
    }

    fn read_session(
        &self,
        agent: &str,
        database: &Database,
        key: &str,
        session: &str,
        portion: &mut Portion,
    ) -> Result<(), Fault> {
        let mut cursor = self.cursors.row(key, session);
        while !portion.is_full() {
            let rows = database.page(session, cursor)?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                if portion.is_full() {
                    break;
                }
                cursor = Some(row.cursor);
                portion.read_bytes += row.bytes + RECORD_BYTES;
                self.take(row.found, row.prompt, agent, row.cursor.created_at, portion);
            }
            if let Some(cursor) = cursor {
                portion.steps.push(Advance::Row(key.to_string(), session.to_string(), cursor));
            }
        }
        Ok(())
    }

    fn read_file(&self, agent: &str, path: &Path, portion: &mut Portion) -> std::io::Result<()> {
        let stamp = Stamp::of_file(path);
        if self.done.get(path).is_some_and(|done| done.stamp == stamp) || portion.is_full() {
            return Ok(());
        }
        // A copy of a file that was read for this very portion goes on from where that one ended.
        let ahead = |id: &FileId, portion: &Portion| {
            portion.steps.iter().rev().find_map(|step| match step {
                Advance::File(known, cursor) if known == id => Some(cursor.clone()),
                _ => None,
            })
        };
        let cursor = |id: &FileId| ahead(id, portion).or_else(|| self.cursors.file(id));
        let Some(mut lines) = Lines::open(path, cursor)? else { return Ok(()) };
        let before = lines.cursor();
        while !portion.is_full() {
            let Some(line) = lines.next_line()? else {
                let done = Done { file: Some(lines.id().clone()), ..Done::new(stamp) };
                portion.done.push((path.to_path_buf(), done));
                break;
            };
            portion.read_bytes += line.bytes + RECORD_BYTES;
            self.take(line.found, line.prompt, agent, stamp.modified_ms(), portion);
        }
        if lines.cursor() != before {
            portion.steps.push(Advance::File(lines.id().clone(), lines.cursor()));
        }
        Ok(())
    }

    /// Adds what was found. `otherwise_ms` is its time if it does not say one.
    fn take(&self, found: Found, prompt: bool, agent: &str, otherwise_ms: i64, portion: &mut Portion) {
        portion.prompts += u64::from(prompt);
        let spent = match found {
            Found::Nothing => return,
            Found::Faulty => {
                portion.faulty += 1;
                return;
            }
            Found::Usage(spent, bad) => {
                portion.faulty += u64::from(bad);
                spent
            }
        };
        let t_ms = spent.t_ms.unwrap_or(otherwise_ms).max(0);
        (portion.prompts, portion.newest_ms) = (0, portion.newest_ms.max(t_ms));
        if self.recent.contains(spent.id) || !portion.ids.insert(spent.id) {
            return;
        }
        let event = Usage {
            event_id: spent.id.to_string(),
            t_ms,
            agent: shorten(agent),
            provider: spent.provider,
            model: spent.model,
            input: spent.input,
            output: spent.output,
            cache_read: spent.cache_read,
            cache_write: spent.cache_write,
            cost_basis: spent.cost_usd.map_or("", |_| "reported").into(),
            cost_usd: spent.cost_usd,
        };
        portion.bytes += EVENT_BYTES + event.agent.len() + event.provider.len() + event.model.len();
        portion.events.push(event);
    }

    fn forget_gone_files(&self, files: &[(String, PathBuf)], portion: &mut Portion) {
        let known: HashMap<&Path, &FileId> = self
            .done
            .iter()
            .chain(portion.done.iter().map(|(path, done)| (path, done)))
            .filter_map(|(path, done)| Some((path.as_path(), done.file.as_ref()?)))
            .collect();
        let ids: HashSet<FileId> =
            files.iter().filter_map(|(_, path)| known.get(path.as_path()).copied().cloned()).collect();
        portion.steps.push(Advance::Files(ids));
    }
}

#[cfg(test)]
mod tests;
