//! OpenClaw's own configuration as a file. What is looked for in its text is a matter of whoever asks.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a configuration that are read.
const BYTES_MAX: u64 = 1 << 20;
/// Its names in a state folder.
const NAMES: [&str; 2] = ["openclaw.json", "clawdbot.json"];

/// The files that may be the configuration of a state folder's gateway; the first that is there is. `elsewhere` is the
/// file that the environment names, for the gateway that it is about.
pub fn candidates(state_dir: Option<&Path>, elsewhere: Option<&Path>) -> Vec<PathBuf> {
    match (elsewhere, state_dir) {
        (Some(path), _) => vec![path.to_path_buf()],
        (None, Some(folder)) => NAMES.iter().map(|name| folder.join(name)).collect(),
        (None, None) => Vec::new(),
    }
}

/// The text of a configuration.
pub fn read(path: &Path) -> Option<String> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(BYTES_MAX).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}
