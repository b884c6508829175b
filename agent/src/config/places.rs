//! Where OpenClaw is on this device.

use std::fs;
use std::path::{Path, PathBuf};

/// State folders that are looked at.
pub const STATE_DIRS_MAX: usize = 64;
/// Entries of a home folder that are looked at.
const ENTRIES_MAX: usize = 10_000;
/// What the state folder was called, newest name first. OpenClaw takes the first that exists.
const NAMES: [&str; 4] = [".openclaw", ".clawdbot", ".moltbot", ".moldbot"];
const PROFILE_PREFIX: &str = ".openclaw-";

/// Where OpenClaw may be on this device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenClawPlaces {
    /// The state folders that somebody named; without any they are looked for.
    pub asked: Vec<PathBuf>,
    /// Where they are looked for.
    pub home: Option<PathBuf>,
    /// Its configuration file where that is not in the state folder.
    pub config_path: Option<PathBuf>,
    /// The gateway's port if the environment names it.
    pub port: Option<u16>,
    /// Where programs put temporary files: older versions lock there.
    pub temp_dir: PathBuf,
}

impl OpenClawPlaces {
    /// The state folders of gateways that exist now, that of no profile first: each may have a gateway
    /// of its own.
    pub fn gateways(&self) -> Vec<PathBuf> {
        let Some(home) = self.home.as_deref().filter(|_| self.asked.is_empty()) else {
            return each_once(self.asked.iter().cloned());
        };
        let own = NAMES.iter().map(|name| home.join(name)).find(|path| path.is_dir());
        each_once(own.into_iter().chain(profiles(home)))
    }

    /// The state folders with transcripts that exist now: those of gateways, and what older versions
    /// left behind.
    pub fn transcripts(&self) -> Vec<PathBuf> {
        let Some(home) = self.home.as_deref().filter(|_| self.asked.is_empty()) else {
            return self.gateways();
        };
        each_once(NAMES.iter().map(|name| home.join(name)).chain(profiles(home)))
    }
}

/// The state folders of profiles in a home folder.
fn profiles(home: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(home) else { return Vec::new() };
    let entries = entries.take(ENTRIES_MAX).flatten();
    let named = entries.filter(|entry| {
        let name = entry.file_name();
        name.to_str().and_then(|name| name.strip_prefix(PROFILE_PREFIX)).is_some_and(is_profile)
    });
    let mut profiles: Vec<PathBuf> = named.map(|entry| entry.path()).collect();
    profiles.sort();
    profiles
}

/// Whether a profile can have this name.
fn is_profile(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|char: char| char.is_ascii_alphanumeric())
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_' || char == '-')
}

/// Those of the folders that exist. An older name is often a link to the newer one.
fn each_once(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut seen = Vec::new();
    let mut once = |path: &PathBuf| {
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        let new = !seen.contains(&real);
        seen.push(real);
        new
    };
    paths.filter(|path| path.is_dir()).filter(|path| once(path)).take(STATE_DIRS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_folders_are_found_by_the_names_they_may_have() {
        let home = tempfile::tempdir().unwrap();
        let places = OpenClawPlaces { home: Some(home.path().into()), ..OpenClawPlaces::default() };
        let show = |paths: Vec<PathBuf>| -> String {
            let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_string();
            paths.iter().map(name).collect::<Vec<_>>().join(" ")
        };
        let folder = |name: &str| fs::create_dir(home.path().join(name)).unwrap();
        assert_eq!(show(places.gateways()), "");
        folder(".moltbot");
        assert_eq!(show(places.gateways()), ".moltbot");
        for name in [".openclaw-work", ".openclaw-dev", ".openclaw-_x", ".openclaw-", ".openclaw", "openclaw"]
        {
            folder(name);
        }
        fs::write(home.path().join(".openclaw-file"), "").unwrap();
        assert_eq!(show(places.gateways()), ".openclaw .openclaw-dev .openclaw-work");
        assert_eq!(show(places.transcripts()), ".openclaw .moltbot .openclaw-dev .openclaw-work");
        let asked =
            OpenClawPlaces { asked: vec![home.path().join(".openclaw-dev"), "/none".into()], ..places };
        assert_eq!(show(asked.gateways()), ".openclaw-dev");
        assert_eq!(show(asked.transcripts()), ".openclaw-dev");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_with_two_names_is_one() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".openclaw")).unwrap();
        std::os::unix::fs::symlink(home.path().join(".openclaw"), home.path().join(".clawdbot")).unwrap();
        let places = OpenClawPlaces { home: Some(home.path().into()), ..OpenClawPlaces::default() };
        assert_eq!(places.transcripts(), [home.path().join(".openclaw")]);
    }
}
