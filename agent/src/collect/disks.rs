//! Space and speed of the disks, read on a thread of their own.
//!
//! A file system whose far end is gone (a dead FUSE or network mount) blocks whoever asks for its
//! free space, for minutes. That must not make the device look offline: the thread named `disks` is
//! given a moment per sample, and when it is stuck the sample goes without.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use sysinfo::{DiskRefreshKind, Disks};
use wire::name::labelled;

use super::Sample;
use super::rate::Rate;

/// Disks that are reported.
pub const DISKS_MAX: usize = 64;
/// How long a sample waits for the disks. Reading them takes a few milliseconds.
const WAIT: Duration = Duration::from_millis(300);

/// The disks, read by a thread that may get stuck.
pub struct DiskThread {
    ask: SyncSender<Instant>,
    answer: Receiver<Sample>,
    asked: bool,
}

impl DiskThread {
    /// Starts the thread. It ends when this is dropped, unless a file system holds it: then it ends
    /// with the process.
    pub fn start() -> anyhow::Result<DiskThread> {
        let (ask, asked) = sync_channel(1);
        let (tell, answer) = sync_channel(1);
        std::thread::Builder::new().name("disks".into()).spawn(move || {
            let Ok(mut disks) = DiskCollector::new() else { return };
            for now in asked {
                if tell.send(disks.sample(now)).is_err() {
                    return;
                }
            }
        })?;
        Ok(DiskThread { ask, answer, asked: false })
    }

    /// The disks' figures, or none while they cannot be had.
    pub fn sample(&mut self, now: Instant) -> Sample {
        if self.asked {
            // What was asked for an earlier sample: it comes late, and is not of this time.
            self.asked = self.answer.try_recv().is_err();
        }
        if self.asked || self.ask.try_send(now).is_err() {
            return Sample::default();
        }
        let answer = self.answer.recv_timeout(WAIT);
        self.asked = answer.is_err();
        answer.unwrap_or_default()
    }
}

/// Reads the disks.
pub struct DiskCollector {
    disks: Disks,
    read: Rate,
    written: Rate,
}

impl DiskCollector {
    /// Takes the first reading that later ones are compared with.
    pub fn new() -> Result<DiskCollector, sysinfo::Error> {
        let mut collector =
            DiskCollector { disks: Disks::new()?, read: Rate::default(), written: Rate::default() };
        collector.sample(Instant::now());
        Ok(collector)
    }

    /// The disks' figures.
    pub fn sample(&mut self, now: Instant) -> Sample {
        self.disks.refresh_specifics(true, DiskRefreshKind::nothing().with_storage().with_io_usage());
        let mut sample = Sample::default();
        let mounts: Vec<Mount> = self.disks.iter().map(Mount::from).collect();
        for (i, mount) in choose(&mounts).into_iter().enumerate().take(DISKS_MAX) {
            let names = ["disk_total", "disk_used", "disk_percent"];
            let names =
                names.map(|name| if i == 0 { name.into() } else { labelled(name, "mount", &mount.path) });
            let [total, used, percent] = names;
            sample.gauge(total, mount.total as f64);
            sample.gauge(used, mount.used as f64);
            sample.percent(percent, mount.percent());
        }
        if let Some((read, written)) = self.bytes_moved() {
            for (name, rate, bytes) in
                [("disk_read_rate", &mut self.read, read), ("disk_write_rate", &mut self.written, written)]
            {
                if let Some(rate) = rate.per_second(now, bytes) {
                    sample.gauge(name, rate);
                }
            }
        }
        sample
    }

    /// Bytes read from and written to all disks since the device started.
    fn bytes_moved(&self) -> Option<(u64, u64)> {
        #[cfg(target_os = "linux")]
        if let Some(moved) = std::fs::read_to_string("/proc/diskstats").ok().and_then(|text| {
            diskstats(&text, |name| std::path::Path::new("/sys/block").join(name).join("device").exists())
        }) {
            return Some(moved);
        }
        let mut seen = HashSet::new();
        let (mut read, mut written) = (0u64, 0u64);
        for disk in self.disks.iter().filter(|disk| seen.insert(disk.name())) {
            let usage = disk.usage();
            read = read.saturating_add(usage.total_read_bytes);
            written = written.saturating_add(usage.total_written_bytes);
        }
        (read > 0 || written > 0).then_some((read, written))
    }
}

/// Bytes read and written according to `/proc/diskstats`, over whole disks: partitions, mappings and
/// loops are what a disk moves, counted again. Nothing if no disk is there.
#[cfg(any(target_os = "linux", test))]
fn diskstats(text: &str, is_disk: impl Fn(&str) -> bool) -> Option<(u64, u64)> {
    // Of this size in every kernel, whatever the disk's own sectors are.
    const SECTOR_BYTES: u64 = 512;
    let mut sum = None;
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace().skip(2);
        let Some(name) = fields.next() else { continue };
        // After the name: reads, merged, sectors read, ms, writes, merged, sectors written.
        let sectors_read = fields.nth(2).and_then(|field| field.parse::<u64>().ok());
        let sectors_written = fields.nth(3).and_then(|field| field.parse::<u64>().ok());
        if let (Some(read), Some(written)) = (sectors_read, sectors_written)
            && is_disk(name)
        {
            let (all_read, all_written) = sum.unwrap_or((0u64, 0u64));
            sum = Some((
                all_read.saturating_add(read.saturating_mul(SECTOR_BYTES)),
                all_written.saturating_add(written.saturating_mul(SECTOR_BYTES)),
            ));
        }
    }
    sum
}

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    device: String,
    id: Option<u64>,
    file_system: String,
    path: String,
    is_folder: bool,
    total: u64,
    used: u64,
    available: u64,
}

impl From<&sysinfo::Disk> for Mount {
    fn from(disk: &sysinfo::Disk) -> Mount {
        Mount {
            device: disk.name().to_string_lossy().into_owned(),
            id: disk.id(),
            file_system: disk.file_system().to_string_lossy().into_owned(),
            path: disk.mount_point().to_string_lossy().into_owned(),
            is_folder: disk.mount_point().is_dir(),
            total: disk.total_space(),
            used: used(disk),
            available: disk.available_space(),
        }
    }
}

impl Mount {
    /// How full it is for whoever is not root, as `df` has it: what is reserved for root is neither
    /// used nor available.
    fn percent(&self) -> f64 {
        self.used as f64 / self.used.saturating_add(self.available).max(1) as f64 * 100.0
    }
}

/// Bytes in use. What is not available is more than that: some file systems keep a part for root.
// Blocks are counted in 64 bits on Linux and in 32 on some other systems.
#[allow(clippy::unnecessary_cast)]
fn used(disk: &sysinfo::Disk) -> u64 {
    #[cfg(unix)]
    if let Ok(stat) = nix::sys::statvfs::statvfs(disk.mount_point()) {
        let blocks = stat.blocks().saturating_sub(stat.blocks_free());
        return (blocks as u64).saturating_mul(stat.fragment_size() as u64);
    }
    disk.total_space().saturating_sub(disk.available_space())
}

/// Of all mounts those that are disks, each once: the main one first, the others by path.
fn choose(mounts: &[Mount]) -> Vec<&Mount> {
    // Not storage, or storage that another mount shows already: layers of containers, snap images.
    let pseudo =
        ["tmpfs", "ramfs", "devtmpfs", "overlay", "squashfs", "efivarfs", "nsfs", "tracefs", "debugfs"];
    let mut disks: Vec<&Mount> = mounts
        .iter()
        .filter(|mount| mount.total > 0 && mount.is_folder)
        // Inside a container the root is an overlay and all the disk there is.
        .filter(|mount| is_main(&mount.path) || !pseudo.contains(&mount.file_system.as_str()))
        .filter(|mount| !mount.path.starts_with("/System/Volumes/"))
        .collect();
    // The main one first and shorter paths before longer ones: of bind mounts the original stays.
    disks.sort_by_key(|mount| (!is_main(&mount.path), mount.path.len(), &mount.path));
    let mut devices = HashSet::new();
    let mut ids = HashSet::new();
    disks.retain(|mount| {
        // btrfs gives each subvolume an id of its own, so the device's name counts as well.
        let named = mount.device.starts_with("/dev/") && !devices.insert(&mount.device);
        let known = mount.id.is_some_and(|id| !ids.insert(id));
        !named && !known
    });
    disks
}

fn is_main(path: &str) -> bool {
    matches!(path, "/" | "C:\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `device id file-system path` per line.
    fn mounts(text: &str) -> Vec<Mount> {
        let mount = |line: &str| {
            let fields: Vec<_> = line.split_whitespace().collect();
            Mount {
                device: fields[0].into(),
                id: fields[1].parse().ok(),
                file_system: fields[2].into(),
                path: fields[3].into(),
                is_folder: !fields[3].starts_with("/etc/"),
                total: if fields[0] == "empty" { 0 } else { 100 },
                used: 57,
                available: 38,
            }
        };
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(mount).collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let mounts = mounts(text);
        let paths: Vec<_> = choose(&mounts).into_iter().map(|mount| mount.path.as_str()).collect();
        assert_eq!(paths, expected);
    }

    #[test]
    fn the_main_disk_comes_first_and_each_disk_once() {
        check(
            "/dev/sdb1 2 ext4 /data
             /dev/sda1 3 vfat /boot/efi
             /dev/sda2 1 ext4 /
             /dev/sda2 1 ext4 /var/lib/bind
             tmpfs 4 tmpfs /dev/shm
             overlay 5 overlay /var/lib/docker/overlay2/x/merged
             /dev/loop0 6 squashfs /snap/core
             empty 7 ext4 /empty",
            &["/", "/data", "/boot/efi"],
        );
    }

    #[test]
    fn subvolumes_of_one_device_are_one_disk() {
        check("/dev/sda2 31 btrfs /home\n/dev/sda2 30 btrfs /", &["/"]);
    }

    #[test]
    fn in_a_container_the_overlay_is_the_disk() {
        check("overlay 9 overlay /\n/dev/sda1 1 ext4 /etc/hosts\n/dev/sda1 1 ext4 /data", &["/", "/data"]);
    }

    #[test]
    fn windows_drives_are_disks() {
        check("\\\\?\\V2 - NTFS D:\\\n\\\\?\\V1 - NTFS C:\\", &["C:\\", "D:\\"]);
    }

    #[test]
    fn what_is_reserved_is_neither_used_nor_available() {
        let full = mounts("/dev/sda2 1 ext4 /").remove(0);
        assert_eq!(full.percent(), 60.0);
        assert_eq!(Mount { used: 0, available: 0, ..full }.percent(), 0.0);
    }

    #[test]
    fn only_whole_disks_are_summed() {
        let text = " 8 0 sda 100 1 2000 5 50 1 1000 5 0 5 10
 8 1 sda1 100 1 2000 5 50 1 1000 5 0 5 10
 253 0 dm-0 100 1 2000 5 50 1 1000 5 0 5 10
 8 16 sdb 1 0 8 5 1 0 16 5 0 5 10
 8 32 sdc broken";
        let is_disk = |name: &str| name.len() == 3;
        assert_eq!(diskstats(text, is_disk), Some((2008 * 512, 1016 * 512)));
        assert_eq!(diskstats(text, |_| false), None);
        assert_eq!(diskstats("", is_disk), None);
    }

    #[test]
    fn the_thread_answers() {
        let mut disks = DiskThread::start().unwrap();
        let names: Vec<_> =
            disks.sample(Instant::now()).values().map(|(name, ..)| name.to_string()).collect();
        for name in &names {
            assert_eq!(wire::name::check(name), Ok(()));
        }
    }

    #[test]
    fn a_stuck_thread_costs_a_sample_its_disks_and_nothing_else() {
        let (ask, asked) = sync_channel(1);
        let (tell, answer) = sync_channel(1);
        let mut disks = DiskThread { ask, answer, asked: false };
        let now = Instant::now();
        assert!(disks.sample(now).is_empty(), "nobody answers");
        assert!(disks.sample(now).is_empty());
        assert_eq!(asked.try_iter().count(), 1, "a thread that is stuck is not asked again");
        let mut late = Sample::default();
        late.gauge("disk_total", 1.0);
        tell.send(late).unwrap();
        // The late answer is of another time: it frees the thread and is not used.
        assert!(disks.sample(now).is_empty());
        assert_eq!(asked.try_iter().count(), 1);
    }
}
