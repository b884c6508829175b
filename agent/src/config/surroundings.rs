//! What settings may come from besides the command line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::said;

const ENV_FILE_NAME: &str = "openclaw_watch.env";
/// The env file of a whole device.
pub const SYSTEM_ENV_FILE: &str = "/etc/openclaw-watch/openclaw_watch.env";

/// Everything about the process that settings may come from.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Environment variables that are text.
    pub env: BTreeMap<String, String>,
    /// Environment variables that are not.
    pub env_not_text: Vec<String>,
    /// Where to look for the env file, in this order.
    pub env_files: Vec<PathBuf>,
    /// Where programs put temporary files.
    pub temp_dir: PathBuf,
}

impl Surroundings {
    /// Those of this process.
    pub fn real() -> Surroundings {
        let mut surroundings = Surroundings { temp_dir: std::env::temp_dir(), ..Surroundings::default() };
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match OsString::into_string(value) {
                Ok(value) => drop(surroundings.env.insert(name, value)),
                Err(_) => surroundings.env_not_text.push(name),
            }
        }
        surroundings.env_files.push(PathBuf::from(ENV_FILE_NAME));
        if let Some(folder) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
            surroundings.env_files.push(folder.join(ENV_FILE_NAME));
        }
        if cfg!(unix) {
            surroundings.env_files.push(PathBuf::from(SYSTEM_ENV_FILE));
        }
        if let Some(home) = surroundings.home() {
            surroundings.env_files.push(home.join(".config").join("openclaw-watch").join(ENV_FILE_NAME));
        }
        surroundings
    }

    /// The file that settings are written to: the one that they are read from, else that of the whole
    /// device for its administrator and the user's own for anybody else. Nothing without a home folder.
    pub fn env_file(&self, asked: Option<&Path>) -> Option<PathBuf> {
        if let Some(asked) = asked {
            return Some(asked.to_path_buf());
        }
        let own = || self.home().map(|home| home.join(".config").join("openclaw-watch").join(ENV_FILE_NAME));
        let usual = || if is_root() { Some(PathBuf::from(SYSTEM_ENV_FILE)) } else { own() };
        self.env_files.iter().find(|path| path.exists()).cloned().or_else(usual)
    }

    /// The user's home folder.
    pub fn home(&self) -> Option<PathBuf> {
        ["HOME", "USERPROFILE"].iter().find_map(|name| self.env.get(*name)).and_then(said).map(PathBuf::from)
    }
}

/// Whether this is the device's administrator, who may write where everybody reads.
pub fn is_root() -> bool {
    #[cfg(unix)]
    return nix::unistd::Uid::effective().is_root();
    #[cfg(not(unix))]
    return false;
}
