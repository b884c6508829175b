//! What the server uses: CPU time and memory from `/proc`, bytes of its data folder.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// Linux shows CPU times in hundredths of a second, whatever the kernel's own tick is.
const TICKS_PER_SECOND: u64 = 100;
/// Files and folders of a data folder that are looked at.
const ENTRIES_MAX: usize = 100_000;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Of all its threads, in the kernel too.
    pub cpu: Duration,
    /// Memory now.
    pub rss_bytes: u64,
    /// The most memory it ever had.
    pub rss_peak_bytes: u64,
}

impl Usage {
    /// Of a running process.
    pub fn of(pid: u32) -> Result<Usage> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            fs::read_to_string(&path)
                .with_context(|| format!("cannot read {path}; is {pid} the server's process?"))
        };
        Usage::parse(&read("stat")?, &read("status")?).with_context(|| format!("process {pid}"))
    }

    fn parse(stat: &str, status: &str) -> Result<Usage> {
        // The second field is the program's name in parentheses and may hold anything, blanks and ')' too.
        let (_, rest) = stat.rsplit_once(") ").context("stat has no name")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).context("stat has no times")?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        };
        Ok(Usage {
            cpu: Duration::from_millis((user + system) * 1_000 / TICKS_PER_SECOND),
            rss_bytes: kib("VmRSS").context("status has no VmRSS")? * 1_024,
            rss_peak_bytes: kib("VmHWM").context("status has no VmHWM")? * 1_024,
        })
    }
}

/// Bytes of all files in a folder and below it.
pub fn folder_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    let mut entries = 0;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            entries += 1;
            anyhow::ensure!(
                entries <= ENTRIES_MAX,
                "{} has too many files to be a data folder",
                folder.display()
            );
            // A file may go away while we look: the server is at work.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                bytes += metadata.len();
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_memory_are_found_whatever_the_program_is_called() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 100 1 2 3";
        let status = "Name:\ta) b (c\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let usage = Usage::parse(stat, status).unwrap();
        assert_eq!(usage.cpu, Duration::from_secs(3));
        assert_eq!((usage.rss_bytes, usage.rss_peak_bytes), (1 << 20, 2 << 20));
        assert!(Usage::parse("42", status).is_err());
        assert!(Usage::parse(stat, "").is_err());
    }

    #[test]
    fn a_folder_counts_what_is_below_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("below")).unwrap();
        fs::write(folder.path().join("a"), [0; 100]).unwrap();
        fs::write(folder.path().join("below/b"), [0; 11]).unwrap();
        assert_eq!(folder_bytes(folder.path()).unwrap(), 111);
        assert!(folder_bytes(&folder.path().join("none")).is_err());
    }
}
