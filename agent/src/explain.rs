//! `explain`: what is read, who is talked to, and the next report as it is.
//!
//! The list of what is opened is made of the same places that the agent looks at. Whoever doubts it can
//! compare it with what the system saw (`strace -f -e trace=openat,connect,execve`).

use std::fmt;
use std::path::Path;

use crate::config::{Config, OpenClawPlaces, Surroundings};
use crate::logs::LogPlaces;
use crate::logs::files::{configured, plain};
use crate::openclaw::View;
use crate::openclaw::usage::sources::state_database;

/// Files that are opened: a path, where `*` stands for any name, and what is taken from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The path.
    pub path: String,
    /// What for.
    pub what: &'static str,
}

/// Everything but the report.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// What is read.
    pub reads: Vec<Access>,
    /// What is written.
    pub writes: Vec<Access>,
    /// Who is talked to, and about what.
    pub talks: Vec<Access>,
}

impl Explanation {
    /// What an agent with these settings does; `view` is what it sees of OpenClaw.
    pub fn new(config: &Config, surroundings: &Surroundings, view: &View) -> Explanation {
        let mut explanation = Explanation::default();
        explanation.settings(config, surroundings);
        explanation.device();
        explanation.openclaw(&config.openclaw);
        if config.log_level.is_some() {
            explanation.logs(&config.openclaw);
        }
        explanation.own(config);
        explanation.talks(config, view);
        explanation
    }

    fn reads(&mut self, path: impl AsRef<Path>, what: &'static str) {
        self.reads.push(Access { path: path.as_ref().display().to_string(), what });
    }

    fn settings(&mut self, config: &Config, surroundings: &Surroundings) {
        match &config.env_file {
            Some(path) => self.reads(path, "settings of this agent"),
            None => {
                for path in &surroundings.env_files {
                    self.reads(path, "settings of this agent, if it is there");
                }
            }
        }
    }

    fn device(&mut self) {
        #[cfg(target_os = "linux")]
        for (path, what) in [
            (
                "/proc",
                "processors, memory, load, uptime, disks, number of processes; names and arguments of processes, to find OpenClaw's",
            ),
            (
                "/sys",
                "network interfaces, sensors, processors, which disks there are, limits of this container",
            ),
            ("/dev/disk/by-id", "names of disks"),
            ("/etc/os-release", "name and version of the system"),
            ("/dev/urandom", "random numbers"),
            ("/etc/resolv.conf", "where names of servers are looked up"),
            ("/etc/hosts", "names of servers"),
            ("/etc/nsswitch.conf", "how names are looked up"),
            ("/etc/host.conf", "how names are looked up"),
            ("/etc/gai.conf", "how names are looked up"),
            ("/etc/ld.so.cache", "where the system's libraries are"),
            ("/lib", "the system's libraries"),
            ("/usr/lib", "the system's libraries"),
        ] {
            self.reads(path, what);
        }
        #[cfg(not(target_os = "linux"))]
        self.reads("system interfaces", "processors, memory, network, disks, sensors and processes");
        self.reads("mounted file systems", "how full each is; none of its files");
    }

    fn openclaw(&mut self, places: &OpenClawPlaces) {
        if let Some(home) = places.home.as_deref().filter(|_| places.asked.is_empty()) {
            self.reads(home, "names in it, to find OpenClaw's state folders");
        }
        if let Some(config) = &places.config_path {
            self.reads(config, "port, bind, TLS of the gateway, and its log file");
        }
        for state in places.transcripts() {
            for name in ["openclaw.json", "clawdbot.json"] {
                self.reads(state.join(name), "port, bind, TLS of the gateway, and its log file");
            }
            self.reads(state.join("tmp"), "names in it, to find lock files");
            self.reads(state.join("tmp/openclaw*"), "names in it, to find lock files");
            self.reads(state.join("tmp/openclaw*/gateway.*.lock"), "process, port and start of the gateway");
            self.database(&state_database(&state), "how the gateway started and ended, where agents' databases are, times of runs; counts of scheduled jobs, pairings, approvals and messages that need somebody");
            self.reads(state.join("agents"), "names of agents");
            self.database(
                &state.join("agents/*/agent/openclaw-agent.sqlite"),
                "of answers: id, time, model, provider, tokens and cost; of all rows: id, time and role",
            );
            for folder in [
                "agents/*/sessions",
                "agents/*/sessions/cold",
                "agents/*/session-sqlite-import-archive",
                "sessions",
            ] {
                self.reads(state.join(folder), "names of transcripts");
                self.reads(
                    state.join(folder).join("*.jsonl*"),
                    "of answers: id, time, model, provider, tokens and cost",
                );
            }
        }
        self.reads(&places.temp_dir, "names in it, to find OpenClaw's lock and log folders");
        self.reads(
            places.temp_dir.join("openclaw*/gateway.*.lock"),
            "process, port and start of an older gateway",
        );
        self.reads("*/openclaw/package.json", "version of the OpenClaw that runs");
    }

    fn database(&mut self, path: &Path, what: &'static str) {
        // The log and its index, in which the newest rows are, have the same name and more.
        self.reads(format!("{}*", path.display()), what);
    }

    fn logs(&mut self, places: &OpenClawPlaces) {
        for folder in LogPlaces::of(places).folders {
            self.reads(&folder, "names of log files");
            self.reads(format!("{}-*", folder.display()), "the same, where that one is not safe");
            self.reads(
                folder.join("openclaw-*.log"),
                "lines of the level that is reported, redacted before they are sent",
            );
        }
        for path in configured(places) {
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { continue };
            self.reads(folder, "names of log files");
            // A dated name has another date each day.
            let name = name.to_string_lossy();
            let start = name.find(|char: char| char.is_ascii_digit()).unwrap_or(name.len());
            self.reads(
                folder.join(format!("{}*", &name[..start])),
                "lines of the level that is reported, redacted before they are sent",
            );
        }
        for folder in plain(&places.gateways(), places.home.as_deref()) {
            self.reads(&folder, "names of log files");
            self.reads(folder.join("gateway*.log"), "the same, of versions without those");
        }
    }

    fn own(&mut self, config: &Config) {
        let Some(folder) = config.state_dir.path() else { return };
        self.writes.push(Access { path: folder.display().to_string(), what: "the agent's own folder" });
        for (name, what) in [
            ("lock", "that there is one agent at a time"),
            ("spool", "where the following are"),
            ("spool/*.spool", "reports that the server has not acknowledged"),
            ("usage-cursors.json*", "how far OpenClaw's transcripts were read"),
            ("logs.json*", "how far its logs were read"),
        ] {
            self.writes.push(Access { path: folder.join(name).display().to_string(), what });
        }
    }

    fn talks(&mut self, config: &Config, view: &View) {
        if let Some(to) = &config.destination {
            self.talks.push(Access { path: to.server.report_url(), what: "the reports, one at a time" });
        }
        for port in &view.ports {
            let path = format!("http://127.0.0.1:{port}/startupz, /readyz, /healthz");
            self.talks.push(Access { path, what: "how OpenClaw's gateway on this device is" });
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("Reads", &self.reads), ("Writes", &self.writes), ("Talks to", &self.talks)];
        for (title, accesses) in parts {
            writeln!(f, "{title}")?;
            if accesses.is_empty() {
                writeln!(f, "  nothing")?;
            }
            for Access { path, what } in accesses {
                writeln!(f, "  {path}\n      {what}")?;
            }
        }
        writeln!(f, "Runs\n  nothing, whatever the server answers")
    }
}
