//! The gateway as a process.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

use crate::collect::decimal;

/// Bytes of a `package.json` that are read.
const PACKAGE_BYTES_MAX: u64 = 256 << 10;
/// Workers of the gateway that keep their arguments, while the gateway itself renames its process.
const WORKERS: [&str; 2] =
    ["dist/process/spawn-broker/worker.js", "dist/infra/sqlite-readonly-location.worker.js"];

/// The gateway's figures as a process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// How long it has been running.
    pub age: Duration,
    /// Resident memory in bytes.
    pub rss: u64,
    /// Its share of all processors, 0 to 100; nothing at the first reading.
    pub cpu_percent: Option<f64>,
}

/// A gateway found among all processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its process.
    pub pid: Option<u32>,
    /// Version of the package that it, or a worker of it, runs from.
    pub version: Option<String>,
}

/// Time between two searches through all processes.
const SEARCH_EVERY: Duration = Duration::from_secs(30);
/// The same where OpenClaw is not installed: one in a container may still be found.
const SEARCH_EVERY_ABSENT: Duration = Duration::from_secs(120);

/// Searches for a gateway among all processes, now and then.
#[derive(Debug, Default)]
pub struct Finder {
    found: Found,
    searched: Option<Instant>,
}

impl Finder {
    /// A gateway's process. It may be gone since the last search.
    pub fn find(&mut self, now: Instant, installed: bool) -> Option<u32> {
        let every = if installed { SEARCH_EVERY } else { SEARCH_EVERY_ABSENT };
        // One that was there and is gone may just have replaced itself, as it does while starting.
        let lost = self.found.pid.is_some_and(|pid| !exists(pid));
        if lost || self.searched.is_none_or(|then| now.saturating_duration_since(then) >= every) {
            self.searched = Some(now);
            let found = find();
            self.found = Found { version: found.version.or(self.found.version.take()), ..found };
        }
        self.found.pid
    }

    /// The version of the package that the gateway, or a worker of it, was found to run from.
    pub fn version(&self) -> Option<String> {
        self.found.version.clone()
    }

    /// Searches no more for a while.
    #[cfg(test)]
    pub fn rest(&mut self, now: Instant) {
        self.searched = Some(now);
    }
}

fn exists(pid: u32) -> bool {
    Follower::new().is_ok_and(|mut follower| follower.read(pid).is_some())
}

/// Follows one process.
pub struct Follower {
    system: System,
    cores: usize,
    last: Option<(u32, u64)>,
}

impl Follower {
    /// Follows nobody yet.
    pub fn new() -> Result<Follower, sysinfo::Error> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Follower { system: System::new()?, cores, last: None })
    }

    /// The process's figures; nothing if there is no such process.
    pub fn read(&mut self, pid: u32) -> Option<Figures> {
        let kind = ProcessRefreshKind::nothing().without_tasks().with_cpu().with_memory();
        let key = Pid::from_u32(pid);
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[key]), true, kind);
        let process = self.system.process(key).filter(|process| is_alive(process))?;
        // The first reading of a process has nothing to compare with.
        let seen = self.last.replace((pid, process.start_time())) == self.last;
        let share = f64::from(process.cpu_usage()) / self.cores as f64;
        Some(Figures {
            age: Duration::from_secs(process.run_time()),
            rss: process.memory(),
            cpu_percent: seen.then_some(decimal(share.clamp(0.0, 100.0))),
        })
    }
}

/// Looks through all processes. Costs some milliseconds.
pub fn find() -> Found {
    let Ok(mut system) = System::new() else { return Found::default() };
    let kind = ProcessRefreshKind::nothing().without_tasks().with_cmd(UpdateKind::OnlyIfNotSet);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
    let mut best: Option<(u8, u32)> = None;
    let mut package = None;
    for (pid, process) in system.processes().iter().filter(|(_, process)| is_alive(process)) {
        let args: Vec<String> = process.cmd().iter().map(lossy).collect();
        if let Some(rank) = rank(&process.name().to_string_lossy(), &args) {
            best = best.min(Some((rank, pid.as_u32()))).or(Some((rank, pid.as_u32())));
            package = package.or_else(|| args.iter().find_map(|arg| package_of(arg)));
        }
        package = package.or_else(|| args.iter().find_map(|arg| worker_package(arg)));
    }
    Found { pid: best.map(|(_, pid)| pid), version: package.as_deref().and_then(version) }
}

/// A process that was killed stays in the list until its parent has asked how it ended, which some
/// parents never do.
fn is_alive(process: &Process) -> bool {
    !matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead)
}

fn lossy(text: &OsString) -> String {
    text.to_string_lossy().into_owned()
}

/// Whether a process is a gateway; the smaller the number the likelier.
fn rank(name: &str, args: &[String]) -> Option<u8> {
    // Linux cuts the name after 15 characters.
    if name.starts_with("openclaw-gatewa")
        || args.first().is_some_and(|title| title.starts_with("openclaw-gateway"))
    {
        return Some(0);
    }
    // Before it renames itself, and where it does not: node, the package's entry, "gateway".
    let entry = args.iter().position(|arg| {
        let arg = arg.replace('\\', "/");
        arg.contains("openclaw") && (arg.ends_with("/openclaw.mjs") || arg.ends_with("/dist/index.js"))
            || arg.ends_with("/bin/openclaw")
    })?;
    let rest = &args[entry + 1..];
    // `gateway status` and the like ask a gateway and are none.
    let runs = |arg: Option<&String>| arg.is_none_or(|arg| arg == "run" || arg.starts_with('-'));
    (rest.first().is_some_and(|arg| arg == "gateway") && runs(rest.get(1))).then_some(1)
}

/// The package that an argument is the entry of.
fn package_of(arg: &str) -> Option<PathBuf> {
    let path = Path::new(arg);
    if path.ends_with("openclaw.mjs") {
        path.parent().map(Path::to_path_buf)
    } else if path.ends_with("dist/index.js") {
        path.ancestors().nth(2).map(Path::to_path_buf)
    } else {
        None
    }
}

/// The package that an argument is a worker of.
fn worker_package(arg: &str) -> Option<PathBuf> {
    let worker = WORKERS.iter().find(|worker| Path::new(arg).ends_with(worker))?;
    Path::new(arg).ancestors().nth(Path::new(worker).components().count()).map(Path::to_path_buf)
}

/// The version of the OpenClaw package in a folder.
fn version(package: &Path) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let mut text = Vec::new();
    File::open(package.join("package.json")).ok()?.take(PACKAGE_BYTES_MAX).read_to_end(&mut text).ok()?;
    let package: Package = serde_json::from_slice(&text).ok()?;
    (package.name == "openclaw" && package.version.len() <= 64).then_some(package.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(command: &str, expected: Option<u8>) {
        let (name, args) = command.split_once(": ").unwrap();
        let args: Vec<String> = args.split_whitespace().map(str::to_string).collect();
        assert_eq!(rank(name, &args), expected, "{command}");
    }

    #[test]
    fn gateways_are_known_by_name_or_arguments() {
        check("openclaw-gatewa: openclaw-gateway", Some(0));
        check("node: openclaw-gateway", Some(0));
        check("node: node /usr/lib/node_modules/openclaw/openclaw.mjs gateway run", Some(1));
        check(
            "node: node --max-old-space-size=4096 /opt/openclaw/dist/index.js gateway --port 18789",
            Some(1),
        );
        check(r"node.exe: node.exe C:\npm\node_modules\openclaw\dist\index.js gateway", Some(1));
        check("node: node /usr/local/bin/openclaw gateway", Some(1));
    }

    #[test]
    fn other_processes_are_not_gateways() {
        check("openclaw-watch-: /usr/bin/openclaw-watch-agent run", None);
        check("openclaw-health: openclaw-health", None);
        check("node: node /usr/lib/node_modules/openclaw/openclaw.mjs gateway status --json", None);
        check("node: node /usr/lib/node_modules/openclaw/openclaw.mjs health", None);
        check("node: node /srv/app/dist/index.js gateway", None);
        check("vim: vim openclaw-gateway.md", None);
        check("kthreadd: ", None);
    }

    #[test]
    fn the_package_is_where_the_entry_or_a_worker_is() {
        let package = |arg: &str| package_of(arg).or_else(|| worker_package(arg));
        let expected = Some(PathBuf::from("/usr/lib/node_modules/openclaw"));
        assert_eq!(package("/usr/lib/node_modules/openclaw/openclaw.mjs"), expected);
        assert_eq!(package("/usr/lib/node_modules/openclaw/dist/index.js"), expected);
        assert_eq!(package("/usr/lib/node_modules/openclaw/dist/process/spawn-broker/worker.js"), expected);
        assert_eq!(package("/srv/worker.js"), None);
        assert_eq!(package("gateway"), None);
    }

    #[test]
    fn the_version_is_that_of_a_package_named_openclaw() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(folder.path().join("package.json"), text).unwrap();
        assert_eq!(version(folder.path()), None);
        write(r#"{"name":"openclaw","version":"2026.7.35","x":[]}"#);
        assert_eq!(version(folder.path()).as_deref(), Some("2026.7.35"));
        write(r#"{"name":"other","version":"1"}"#);
        assert_eq!(version(folder.path()), None);
    }

    #[test]
    fn a_process_is_followed_until_it_is_gone() {
        let mut follower = Follower::new().unwrap();
        let own = follower.read(std::process::id()).unwrap();
        assert!(own.rss > 0);
        assert_eq!(own.cpu_percent, None, "nothing to compare with yet");
        assert!(follower.read(std::process::id()).unwrap().cpu_percent.is_some());
        assert_eq!(follower.read(u32::MAX - 1), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_killed_process_is_gone_though_nobody_has_asked_how_it_ended() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let mut follower = Follower::new().unwrap();
        assert!(follower.read(child.id()).is_some());
        child.kill().unwrap();
        // The kill is on its way: it is not waited for by asking, because that would end the zombie.
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while follower.read(child.id()).is_some() {
            assert!(std::time::Instant::now() < deadline, "it still counts as running");
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }
}
