//! What this machine has.

use std::path::Path;

use super::forecast::Machine;

/// Its cores, its memory, and what is free where the data folder is or will be.
pub fn this_one(data_dir: &Path) -> Machine {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Machine { cores: cores as f64, memory_bytes: memory(), disk_bytes: free(data_dir) }
}

/// That of the machine, or of the container when it may have less.
fn memory() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total = line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1_024.0;
    let bound = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    // "max" when there is no bound.
    let bound = bound.and_then(|text| text.trim().parse::<f64>().ok());
    Some(bound.map_or(total, |bound| bound.min(total)))
}

/// With what the folder takes by now: a plan is for all that will be in it.
#[cfg(unix)]
fn free(data_dir: &Path) -> Option<f64> {
    let absolute = std::path::absolute(data_dir).ok()?;
    let there = absolute.ancestors().find(|folder| folder.is_dir())?;
    let disk = nix::sys::statvfs::statvfs(there).ok()?;
    #[allow(clippy::unnecessary_cast, reason = "how wide these are depends on the system")]
    let free = disk.blocks_available() as f64 * disk.fragment_size() as f64;
    let entries = std::fs::read_dir(data_dir).into_iter().flatten().flatten();
    let taken: u64 = entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum();
    Some(free + taken as f64)
}

#[cfg(not(unix))]
fn free(_data_dir: &Path) -> Option<f64> {
    None
}
