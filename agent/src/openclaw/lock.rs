//! The gateway's lock file: process and port without asking anybody.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Bytes of a lock file that are read.
const LOCK_BYTES_MAX: u64 = 64 << 10;
/// Entries of a folder that are looked at.
const ENTRIES_MAX: usize = 1_000;

/// What a lock file says. It survives a crash: whether the process is alive is another question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    /// The gateway's process.
    pub pid: u32,
    /// The gateway's port.
    #[serde(default)]
    pub port: Option<u16>,
    /// When the process started; on Linux in clock ticks since the device started.
    #[serde(default)]
    pub start_time: Option<u64>,
    /// The state folder it belongs to. Older versions do not say.
    #[serde(default)]
    pub state_dir: Option<PathBuf>,
    /// The configuration it belongs to.
    #[serde(default)]
    pub config_path: Option<PathBuf>,
}

/// The locks of the gateway with this state folder.
pub fn find(state_dir: &Path, temp_dir: &Path) -> Vec<Lock> {
    let mut locks = Vec::new();
    let own = state_dir.join("tmp");
    // Newer versions lock inside the state folder, older ones where all programs put temporary files
    // and where anybody may write: there the file has to belong to the state folder's owner.
    for (folder, shared) in [(own.as_path(), false), (temp_dir, true)] {
        for folder in entries(folder, is_lock_folder) {
            for file in entries(&folder, |name| name.starts_with("gateway.") && name.ends_with(".lock")) {
                if shared && !same_owner(&file, state_dir) {
                    continue;
                }
                let lock = read(&file).filter(|lock| !shared || is_of(lock, state_dir));
                locks.extend(lock);
            }
        }
    }
    locks
}

/// Named after the program, and the user's number where users have one.
fn is_lock_folder(name: &str) -> bool {
    let number = name.strip_prefix("openclaw").map(|rest| rest.strip_prefix('-').unwrap_or(rest));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn entries(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let entries = entries.take(ENTRIES_MAX).flatten();
    let wanted = entries.filter(|entry| entry.file_name().to_str().is_some_and(&wanted));
    wanted.map(|entry| entry.path()).collect()
}

fn read(path: &Path) -> Option<Lock> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(LOCK_BYTES_MAX).read_to_end(&mut text).ok()?;
    parse(&text)
}

/// The object that the text starts with; newer versions write more after it.
fn parse(text: &[u8]) -> Option<Lock> {
    serde_json::Deserializer::from_slice(text).into_iter::<Lock>().next()?.ok()
}

fn is_of(lock: &Lock, state_dir: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let state_dir = real(state_dir);
    match (&lock.state_dir, &lock.config_path) {
        (Some(path), _) => real(path) == state_dir,
        (None, Some(path)) => real(path).starts_with(&state_dir),
        (None, None) => false,
    }
}

#[cfg(unix)]
fn same_owner(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    // Of a link the link's own owner: it could point at anybody's file.
    let owner = |path: &Path| fs::symlink_metadata(path).map(|metadata| metadata.uid());
    matches!((owner(a), fs::metadata(b).map(|metadata| metadata.uid())), (Ok(a), Ok(b)) if a == b)
}

#[cfg(not(unix))]
fn same_owner(_: &Path, _: &Path) -> bool {
    // There the temporary folder is the user's own.
    true
}

/// Whether the process of a lock is the one that wrote it, as far as this system tells without asking
/// further: a process number is given again, together with a start time it is not.
pub fn is_same_process(lock: &Lock) -> bool {
    match (lock.start_time, start_ticks(lock.pid)) {
        (Some(said), Some(is)) => said == is,
        _ => true,
    }
}

#[cfg(target_os = "linux")]
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold spaces and brackets itself: fields are counted after the last one.
    // The first there is field 3, the start time is field 22.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
fn start_ticks(_: u32) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_the_object_at_the_start() {
        let newer = br#"{"pid":4711,"ownerId":"3f","createdAt":"2026-11-22T08:00:00.100Z","configPath":"/h/.openclaw/openclaw.json","stateDir":"/h/.openclaw","port":18789,"startTime":336857}  "#;
        let lock = parse(newer).unwrap();
        assert_eq!((lock.pid, lock.port, lock.start_time), (4711, Some(18789), Some(336857)));
        assert_eq!(lock.state_dir, Some("/h/.openclaw".into()));
        assert!(parse(&[&newer[..], b"\t\t  \n \t"].concat()).is_some());
        let older = parse(br#"{"pid":1,"configPath":"/c","port":1}"#).unwrap();
        assert_eq!(older.state_dir, None);
        for text in [&b""[..], b"{}", b"4711", b"{\"pid\":-1}", b"{\"pid\":1"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn locks_are_found_where_each_version_puts_them() {
        let folder = tempfile::tempdir().unwrap();
        let (state, temp) = (folder.path().join(".openclaw"), folder.path().join("tmp"));
        let write = |path: PathBuf, text: String| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        fs::create_dir_all(&temp).unwrap();
        assert_eq!(find(&state, &temp), []);
        write(state.join("tmp/openclaw-1000/gateway.state.lock"), r#"{"pid":1,"port":10}"#.into());
        write(state.join("tmp/openclaw-1000/other.lock"), r#"{"pid":9}"#.into());
        write(state.join("tmp/openclaw-watch/gateway.x.lock"), r#"{"pid":8}"#.into());
        let config = serde_json::to_string(&state.join("openclaw.json")).unwrap();
        write(temp.join("openclaw-0/gateway.2b859f12.lock"), format!(r#"{{"pid":2,"configPath":{config}}}"#));
        write(
            temp.join("openclaw-0/gateway.other.lock"),
            r#"{"pid":3,"configPath":"/other/openclaw.json"}"#.into(),
        );
        write(temp.join("openclaw-0/gateway.nobody.lock"), r#"{"pid":4}"#.into());
        let pids: Vec<_> = find(&state, &temp).iter().map(|lock| lock.pid).collect();
        assert_eq!(pids, [1, 2]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_number_given_again_is_another_process() {
        let pid = std::process::id();
        let lock = |start_time| Lock { pid, start_time, ..Lock::default() };
        let ticks = start_ticks(pid).unwrap();
        assert!(is_same_process(&lock(Some(ticks))));
        assert!(!is_same_process(&lock(Some(ticks + 1))));
        assert!(is_same_process(&lock(None)));
    }
}
