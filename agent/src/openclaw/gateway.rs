//! One gateway: asks its port, follows its process, remembers what it was doing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use super::View;
use super::boots::Boots;
use super::concerns::{Concerns, ConcernsWatch};
use super::config_file;
use super::json5;
use super::judge::{Gateway, Port, Process, Seen, judge};
use super::lock::{self, Lock};
use super::probe::{self, Answer, Startup};
use super::process::{Finder, Follower};
use crate::config::OpenClawPlaces;
use crate::run::unix_ms;

/// The gateway's port when nobody says another.
pub const PORT_DEFAULT: u16 = 18_789;

/// What a gateway is looked at with.
pub struct Surroundings<'a> {
    /// Where OpenClaw is.
    pub places: &'a OpenClawPlaces,
    /// Looks through all processes.
    pub finder: &'a mut Finder,
    /// Processes that are known to be gateways, and their ports.
    pub known: Vec<(u32, Option<u16>)>,
    /// When.
    pub now: Instant,
}

/// One gateway.
pub struct GatewayWatch {
    state_dir: Option<PathBuf>,
    follower: Follower,
    config: Option<(PathBuf, SystemTime, GatewayConfig)>,
    boots: Boots,
    concerns: ConcernsWatch,
    /// What the gateway said last; it holds while the gateway is down.
    version: Option<String>,
    /// The process it had last.
    pid: Option<u32>,
    restarts: u64,
    /// When its port was seen open last.
    open: Option<Instant>,
    was_ever: bool,
}

impl GatewayWatch {
    /// The gateway of a state folder; without one, whichever is found.
    pub fn new(state_dir: Option<&Path>) -> Result<GatewayWatch, sysinfo::Error> {
        Ok(GatewayWatch {
            state_dir: state_dir.map(Path::to_path_buf),
            follower: Follower::new()?,
            config: None,
            boots: Boots::default(),
            concerns: ConcernsWatch::default(),
            version: None,
            pid: None,
            restarts: 0,
            open: None,
            was_ever: false,
        })
    }

    /// Its state folder.
    pub fn state_dir(&self) -> Option<&Path> {
        self.state_dir.as_deref()
    }

    /// Whether there was any sign of it yet: a process, a lock, a note about a start.
    pub fn was_ever(&self) -> bool {
        self.was_ever
    }

    /// The lock whose process is there and wrote it.
    pub fn alive(&mut self, locks: &[Lock]) -> Option<Lock> {
        let mut same = locks.iter().filter(|lock| lock::is_same_process(lock));
        same.find(|lock| self.follower.read(lock.pid).is_some()).cloned()
    }

    /// Looks once. `first` is whether it is the one that the environment speaks of.
    pub fn look(
        &mut self,
        around: &mut Surroundings<'_>,
        locks: &[Lock],
        alive: Option<Lock>,
        first: bool,
    ) -> View {
        let now = around.now;
        let config = self.config(around.places.config_path.as_deref().filter(|_| first));
        let env = around.places.port.filter(|_| first);
        let port = port(env, alive.as_ref().and_then(|lock| lock.port), &config, self.profile());
        // Somebody else's gateway would answer for this one.
        let asked_port = port;
        let taken = alive.is_none() && around.known.iter().any(|(_, known)| *known == Some(port));
        let (port, asked) =
            if taken { (Port::Refused, Asked::default()) } else { self.ask(port, config.tls) };
        let locked = alive.is_some();
        let pid = alive.map(|lock| lock.pid).or_else(|| {
            let other = |pid| around.known.iter().any(|(known, _)| *known == pid);
            around.finder.find(now, self.state_dir.is_some()).filter(|pid| first && !other(*pid))
        });
        let process = pid.and_then(|pid| self.follower.read(pid));
        self.count_restart(pid.filter(|_| process.is_some()));
        if !matches!(port, Port::Refused) {
            self.open = Some(now);
        } else if process.is_none() {
            self.open = None;
        }
        let end = match (&self.state_dir, process) {
            (Some(state_dir), None) => self.boots.end(state_dir),
            _ => None,
        };
        let seen = Seen {
            port,
            ready: asked.ready,
            process: process.map(|figures| Process { age: figures.age, locked }),
            closed_for: self.open.map(|open| now.saturating_duration_since(open)),
            lock_left: !locked && !locks.is_empty(),
            end,
            installed: self.state_dir.is_some(),
            on_loopback: config.on_loopback,
        };
        let (gateway, up) = judge(&seen);
        self.was_ever |= up == Some(true) || locked || !locks.is_empty() || end.is_some();
        if self.version.is_none() && process.is_some() && around.finder.version().is_none() {
            // Known by its lock, so nobody has searched yet for the package it runs from.
            around.finder.find(now, true);
        }
        View {
            gateway,
            up,
            ready: asked.ready,
            failing: asked.failing.filter(|_| gateway == Gateway::Degraded),
            end: end.filter(|_| matches!(gateway, Gateway::Stopped | Gateway::Crashed)),
            process,
            restarts: self.restarts,
            version: self.version.clone().or_else(|| around.finder.version().filter(|_| first)),
            concerns: match &self.state_dir {
                Some(state_dir) => self.concerns.look(state_dir, now, unix_ms()),
                None => Concerns::default(),
            },
            ports: if taken { Vec::new() } else { vec![asked_port] },
            count: (1, u32::from(gateway == Gateway::Running)),
        }
    }

    fn count_restart(&mut self, pid: Option<u32>) {
        if let Some(pid) = pid
            && self.pid.replace(pid).is_some_and(|before| before != pid)
        {
            self.restarts += 1;
            // What the port did was the other's.
            self.open = None;
        }
    }

    fn ask(&mut self, port: u16, tls: bool) -> (Port, Asked) {
        let nothing = Asked::default();
        if tls {
            // Its certificate is its own, and a handshake is not worth a line in its log every time.
            return (if probe::is_open(port) { Port::Open } else { Port::Refused }, nothing);
        }
        let answer = probe::get(port, "/startupz");
        let state = match probe::startup(&answer) {
            Some(Startup::Started { version }) => {
                self.version = version.or(self.version.take());
                Port::Live
            }
            Some(Startup::Starting) => return (Port::Starting, nothing),
            Some(Startup::Draining) => return (Port::Draining, Asked { ready: Some(false), ..nothing }),
            None => match answer {
                Answer::Refused => return (Port::Refused, nothing),
                Answer::Silent => return (Port::Silent, nothing),
                Answer::Http { .. } if probe::is_live(&probe::get(port, "/healthz")) => Port::Live,
                Answer::Http { .. } => return (Port::Other, nothing),
            },
        };
        let answer = probe::get(port, "/readyz");
        (state, Asked { ready: probe::ready(&answer), failing: probe::failing(&answer) })
    }

    /// The profile that its state folder is named after.
    fn profile(&self) -> Option<&str> {
        self.state_dir.as_deref()?.file_name()?.to_str()?.strip_prefix(".openclaw-")
    }

    fn config(&mut self, elsewhere: Option<&Path>) -> GatewayConfig {
        for path in config_file::candidates(self.state_dir.as_deref(), elsewhere) {
            let Ok(changed) = fs::metadata(&path).and_then(|metadata| metadata.modified()) else { continue };
            if let Some((known, then, config)) = &self.config
                && *known == path
                && *then == changed
            {
                return config.clone();
            }
            let Some(text) = config_file::read(&path) else { continue };
            let config = GatewayConfig::parse(&text);
            self.config = Some((path, changed, config.clone()));
            return config;
        }
        GatewayConfig::parse("")
    }
}

/// What `/readyz` said.
#[derive(Debug, Default)]
struct Asked {
    ready: Option<bool>,
    failing: Option<String>,
}

/// What OpenClaw's configuration says about the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
struct GatewayConfig {
    port: Option<u16>,
    tls: bool,
    on_loopback: bool,
}

impl GatewayConfig {
    fn parse(text: &str) -> GatewayConfig {
        let bind = json5::lookup(text, &["gateway", "bind"]);
        GatewayConfig {
            port: json5::lookup(text, &["gateway", "port"])
                .and_then(|port| port.parse().ok())
                .filter(|port| *port != 0),
            tls: json5::lookup(text, &["gateway", "tls", "enabled"]).as_deref() == Some("true"),
            on_loopback: !matches!(bind.as_deref(), Some("tailnet" | "custom")),
        }
    }
}

/// The gateway's port. A lock of a live process comes before the configuration: the port may have been
/// given on its command line.
fn port(env: Option<u16>, locked: Option<u16>, config: &GatewayConfig, profile: Option<&str>) -> u16 {
    let usual = || profile.map_or(PORT_DEFAULT, profile_port);
    env.or(locked).or(config.port).unwrap_or_else(usual)
}

/// The port of a profile's gateway when nobody says another, as OpenClaw makes it from the name.
fn profile_port(profile: &str) -> u16 {
    const BASE: u16 = 20_000;
    const PORTS: u32 = 40_000;
    // FNV-1a.
    let hash = profile
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // Below 2^16: less than 40,000.
    BASE + (hash % PORTS) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_the_one_in_use() {
        let config = |text: &str| GatewayConfig::parse(text);
        let with_port = config("{gateway:{port:19000}}");
        assert_eq!(port(None, None, &config(""), None), 18_789);
        assert_eq!(port(None, None, &with_port, None), 19_000);
        assert_eq!(port(None, Some(20_000), &with_port, None), 20_000);
        assert_eq!(port(Some(21_000), Some(20_000), &with_port, None), 21_000);
        assert_eq!(port(None, None, &with_port, Some("work")), 19_000);
        // FNV-1a of "a" is 0xe40c292c.
        assert_eq!(port(None, None, &config(""), Some("a")), 20_000 + (0xe40c_292c_u32 % 40_000) as u16);
        for text in [
            "{gateway:{port:'${PORT}'}}",
            "{gateway:{port:0}}",
            "{gateway:{port:99999}}",
            "{gateway:{port:1.5}}",
        ] {
            assert_eq!(config(text).port, None, "{text}");
        }
        assert!(config("{gateway:{tls:{enabled:true}}}").tls);
        assert!(!config("{gateway:{tls:{enabled:false}}}").tls);
        assert!(config("{gateway:{bind:'lan'}}").on_loopback);
        assert!(!config("{gateway:{bind:'tailnet'}}").on_loopback);
    }
}
