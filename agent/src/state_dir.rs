//! The agent's own folder, held by one agent at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::config::StateDir;
use crate::log;

/// Holds the folder until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct Held {
    _lock: File,
    path: PathBuf,
}

impl Held {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes the folder and takes its lock. A second agent on the same folder is refused. A folder that
/// cannot be made is an error only if it was asked for.
pub fn hold(state_dir: &StateDir) -> anyhow::Result<Option<Held>> {
    match state_dir {
        StateDir::Asked(path) => open(path)
            .with_context(|| format!("state folder {}", path.display()))
            .and_then(|lock| take(lock, path))
            .map(Some),
        StateDir::Usual(path) => match open(path) {
            Ok(lock) => take(lock, path).map(Some),
            Err(error) => {
                log::warn(format_args!("going on without a state folder: {}: {error}", path.display()));
                Ok(None)
            }
        },
        StateDir::None => Ok(None),
    }
}

/// The process of the agent that holds this folder, as far as it says; nothing if none does.
pub fn holder(path: &Path) -> Option<String> {
    let mut lock = File::open(path.join("lock")).ok()?;
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(pid(&mut lock)),
        _ => None,
    }
}

/// What a held lock says about its holder.
fn pid(lock: &mut File) -> String {
    let mut pid = String::new();
    // On Windows a locked file cannot be read.
    let _ = lock.take(20).read_to_string(&mut pid);
    let pid = pid.trim();
    if pid.is_empty() { "?".into() } else { pid.into() }
}

/// Whether there is room for what the agent writes into the folder.
pub fn try_to_write(path: &Path) -> std::io::Result<()> {
    let file = path.join("room");
    let written = fs::write(&file, [0; 4096]);
    let _ = fs::remove_file(&file);
    written
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    let lock = path.join("lock");
    let mut options = OpenOptions::new();
    match options.read(true).write(true).create(true).truncate(false).open(&lock) {
        // What is there can be sent all the same, and a disk that cannot be written to is worth a report.
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => File::open(&lock).map_err(|_| error),
        lock => lock,
    }
}

fn take(mut lock: File, path: &Path) -> anyhow::Result<Held> {
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!(
                "another agent (process {}) is running with the state folder {}; stop it or use --state-dir",
                pid(&mut lock),
                path.display()
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.join("lock").display()));
        }
    }
    // For people who look for it. On a full disk there is no room for it, and an agent all the same.
    let _ =
        lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| writeln!(lock, "{}", std::process::id()));
    Ok(Held { _lock: lock, path: path.to_path_buf() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_agent_at_a_time_holds_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("er");
        let asked = StateDir::Asked(path.clone());
        let held = hold(&asked).unwrap();
        let error = hold(&asked).unwrap_err().to_string();
        assert!(error.starts_with("another agent"), "{error}");
        assert!(hold(&StateDir::Usual(path.clone())).is_err(), "a usual folder is held as well");
        assert_eq!(holder(&path), Some(std::process::id().to_string()));
        drop(held);
        assert_eq!(holder(&path), None);
        assert!(hold(&asked).unwrap().is_some());
    }

    #[test]
    fn whether_there_is_room_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        assert!(try_to_write(folder.path()).is_ok());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(try_to_write(&folder.path().join("none")).is_err());
    }

    #[test]
    fn only_a_folder_that_was_asked_for_has_to_exist() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().join("below a file");
        assert!(hold(&StateDir::Asked(path.clone())).is_err());
        assert!(hold(&StateDir::Usual(path)).unwrap().is_none());
        assert!(hold(&StateDir::None).unwrap().is_none());
    }
}
