//! Which log files there are.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::LogPlaces;
use super::record::Level;
use crate::config::OpenClawPlaces;
use crate::openclaw::{config_file, json5};

/// Files that are followed.
pub const FILES_MAX: usize = 64;
/// Entries of a folder that are looked at.
const ENTRIES_MAX: usize = 2_000;
/// A file that was not written to for so long is over: OpenClaw deletes its own after a day.
const OLD: Duration = Duration::from_secs(24 * 3_600);
/// What a gateway of an older version wrote to its standard error.
const ERRORS: &str = "gateway.err.log";
/// Logs with a like name that are no gateway's output, or are read otherwise.
const PLAIN_NOT: [&str; 2] = [ERRORS, "gateway-restart.log"];

/// Where logs are now.
#[derive(Debug)]
pub struct Folders {
    /// State folders of gateways.
    pub state_dirs: Vec<PathBuf>,
    /// Of JSON logs.
    pub json: Vec<PathBuf>,
    /// Of what the gateway writes to its standard output where it is a service, and of older versions.
    plain: Vec<PathBuf>,
    /// Files that configurations name.
    pub configured: Vec<PathBuf>,
}

impl Folders {
    /// Looks for them.
    pub fn find(places: &LogPlaces) -> Folders {
        let state_dirs = places.openclaw.gateways();
        let plain = plain(&state_dirs, places.openclaw.home.as_deref());
        Folders {
            json: folders(&places.folders),
            plain,
            configured: configured(&places.openclaw),
            state_dirs,
        }
    }
}

/// A file that may be followed.
#[derive(Debug)]
pub struct Candidate {
    /// Where it is.
    pub path: PathBuf,
    /// As it was looked at.
    pub metadata: Metadata,
    /// When it was written to.
    pub modified: SystemTime,
    /// Level of its plain lines that name none.
    pub usual: Level,
    /// Whether it is a log of the older kind, which is not begun anew each day.
    pub older: bool,
}

/// The files to follow, the longest unchanged first: after a rotation the older one comes first.
pub fn candidates(folders: &Folders, now: SystemTime) -> Vec<Candidate> {
    let Folders { state_dirs, json, plain, configured } = folders;
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
        for folder in plain {
            let is_log = |name: &str| name.starts_with("gateway") && name.ends_with(".log");
            add(&mut found, folder, Level::Info, &|name| is_log(name) && !PLAIN_NOT.contains(&name));
            add(&mut found, folder, Level::Warn, &|name| name == ERRORS);
        }
        found.iter_mut().for_each(|candidate| candidate.older = true);
    }
    found.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
    found.dedup_by(|a, b| a.path == b.path);
    // The latest are the ones that matter.
    found.drain(..found.len().saturating_sub(FILES_MAX));
    found
}

/// Folders of plain logs.
pub fn plain(state_dirs: &[PathBuf], home: Option<&Path>) -> Vec<PathBuf> {
    let mut folders: Vec<_> = state_dirs.iter().map(|state_dir| state_dir.join("logs")).collect();
    if cfg!(target_os = "macos") {
        folders.extend(home.map(|home| home.join("Library/Logs/openclaw")));
    }
    folders
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

/// The log files that configurations of gateways name.
pub fn configured(places: &OpenClawPlaces) -> Vec<PathBuf> {
    let named = |(i, state_dir): (usize, PathBuf)| {
        // What an environment says about one gateway is about the first.
        let elsewhere = places.config_path.as_deref().filter(|_| i == 0);
        let candidates = config_file::candidates(Some(&state_dir), elsewhere);
        let text = candidates.iter().find_map(|path| config_file::read(path))?;
        let path = json5::lookup(&text, &["logging", "file"])?;
        let path = match (path.strip_prefix("~/"), &places.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(path),
        };
        path.is_absolute().then_some(path)
    };
    places.gateways().into_iter().enumerate().filter_map(named).collect()
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
