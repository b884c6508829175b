//! `status`: whether the agent runs, and what it has not sent yet.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::installed;
use crate::args::Args;
use crate::config::{Config, Surroundings};
use crate::spool::SEGMENT_BYTES_MAX;
use crate::spool::record::{Entry, Found, Key, Records};
use crate::state_dir;

/// Where the agent of a service of the whole device keeps its files.
const SYSTEM_STATE_DIR: &str = "/var/lib/openclaw-watch-agent";

/// What there is to say, and whether an agent runs.
pub fn status(args: &Args, surroundings: &Surroundings) -> (String, bool) {
    let mut text = String::new();
    let services = installed(surroundings);
    for (whose, state) in &services {
        let _ = writeln!(text, "{:<10} {state} ({whose})", "service");
    }
    if services.is_empty() {
        let _ = writeln!(text, "{:<10} not installed; `openclaw-watch-agent install` does", "service");
    }
    let config = Config::read(args, surroundings, false);
    let own = config.as_ref().ok().and_then(|config| config.state_dir.path().map(Path::to_path_buf));
    let folders = own.into_iter().chain(cfg!(unix).then(|| SYSTEM_STATE_DIR.into()));
    let mut runs = false;
    for folder in folders.filter(|folder| folder.is_dir()) {
        let holder = state_dir::holder(&folder);
        runs |= holder.is_some();
        let state = holder.map_or("not running".to_string(), |pid| format!("running (process {pid})"));
        let _ = writeln!(text, "{:<10} {state}, its files are in {}", "agent", folder.display());
        let reports = match waiting(&folder.join("spool")) {
            (0, _) => "all sent".to_string(),
            (reports, bytes) => format!("{reports} wait to be sent, {} KiB", bytes.div_ceil(1024)),
        };
        let _ = writeln!(text, "{:<10} {reports}", "reports");
    }
    let runs = runs || services.iter().any(|(_, state)| self::runs(state));
    match Config::read(args, surroundings, true) {
        Ok(Config { destination: Some(to), env_file, .. }) => {
            let from =
                env_file.map_or("flags and environment".to_string(), |path| path.display().to_string());
            let _ = writeln!(text, "{:<10} {} (settings: {from})", "server", to.server);
        }
        Ok(_) => {}
        Err(faults) => {
            for fault in faults {
                let _ = writeln!(text, "{:<10} {fault}", "settings");
            }
        }
    }
    (text, runs)
}

/// Whether a service runs that is so.
pub fn runs(state: &str) -> bool {
    state == "active" || state == "activating"
}

/// How many reports wait in a spool, and their bytes. The agent may write to it meanwhile.
fn waiting(folder: &Path) -> (usize, usize) {
    let mut segments: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    segments.sort();
    let mut reports: Vec<(Key, usize)> = Vec::new();
    for path in segments.iter().filter(|path| path.extension().is_some_and(|ending| ending == "spool")) {
        let mut bytes = Vec::new();
        let Ok(file) = File::open(path) else { continue };
        if file.take(SEGMENT_BYTES_MAX).read_to_end(&mut bytes).is_err() {
            continue;
        }
        for found in Records::new(&bytes) {
            match found {
                Found::Record { key, entry: Entry::Frame(frame), .. } => reports.push((key, frame.len())),
                Found::Record { key, entry: Entry::Done, .. } => reports.retain(|(known, _)| *known != key),
                Found::Damaged => {}
            }
        }
    }
    (reports.len(), reports.iter().map(|(_, bytes)| bytes).sum())
}
