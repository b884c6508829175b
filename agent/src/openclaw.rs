//! How is the OpenClaw on this device?
//!
//! A thread of its own asks the gateway on loopback and looks for its process; a sample takes the
//! latest [`View`]. What is seen and what it means are apart: [`judge`] decides, without I/O.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::collect::Sample;
use crate::config::OpenClawPlaces;
use probe::{Answer, Startup};
use process::{Figures, Follower};

pub mod json5;
pub mod lock;
pub mod probe;
pub mod process;
pub mod usage;

/// The gateway's port when nobody says another.
pub const PORT_DEFAULT: u16 = 18_789;
/// Time between two looks at a gateway.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Time between two looks where OpenClaw is not installed.
const LOOK_EVERY_ABSENT: Duration = Duration::from_secs(10);
/// Time between two searches through all processes.
const SEARCH_EVERY: Duration = Duration::from_secs(30);
/// The same where OpenClaw is not installed: one in a container may still be found.
const SEARCH_EVERY_ABSENT: Duration = Duration::from_secs(120);
/// How long a gateway may take to open its port. Usual are 7 to 15 s.
const START_MAX: Duration = Duration::from_secs(60);
/// Bytes of a configuration that are read.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// What the gateway is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gateway {
    /// It answers and is ready, or does not say that it is not.
    Running,
    /// It is coming up.
    Starting,
    /// It runs, but not as it should: some part is failing, it is going down, or it hangs.
    NotReady,
    /// It is installed and does not run.
    Stopped,
    /// There is no OpenClaw here.
    NotInstalled,
    /// It cannot be seen from here.
    #[default]
    Unknown,
}

impl Gateway {
    /// The state as reports have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Gateway::Running => "running",
            Gateway::Starting => "starting",
            Gateway::NotReady => "not_ready",
            Gateway::Stopped => "stopped",
            Gateway::NotInstalled => "not_installed",
            Gateway::Unknown => "unknown",
        }
    }
}

/// What is known about OpenClaw now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// What the gateway is doing.
    pub gateway: Gateway,
    /// Whether it answers; nothing where it is not installed or cannot be seen.
    pub up: Option<bool>,
    /// Whether it says that it is ready; nothing where it does not say.
    pub ready: Option<bool>,
    /// Its process, where one is found.
    pub process: Option<Figures>,
    /// OpenClaw's version, where known.
    pub version: Option<String>,
}

impl View {
    /// The view as states.
    pub fn states(&self) -> Vec<(&'static str, String)> {
        vec![("gateway", self.gateway.as_str().to_string())]
    }

    /// The view as figures.
    pub fn sample(&self) -> Sample {
        let mut sample = Sample::default();
        for (name, value) in [("gateway_up", self.up), ("gateway_ready", self.ready)] {
            if let Some(value) = value {
                sample.gauge(name, f64::from(u8::from(value)));
            }
        }
        if let Some(process) = self.process {
            sample.gauge("gateway_rss", process.rss as f64);
            if let Some(percent) = process.cpu_percent {
                sample.percent("gateway_cpu_percent", percent);
            }
        }
        sample
    }
}

/// What was seen, before it is known what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// What the gateway's port said.
    pub port: Port,
    /// What `/readyz` said, if it was asked and answered.
    pub ready: Option<bool>,
    /// For how long the gateway's process has been running, if there is one.
    pub process: Option<Duration>,
    /// Whether there is a state folder.
    pub installed: bool,
    /// Whether the gateway can be reached over loopback at all.
    pub on_loopback: bool,
}

/// What the gateway's port said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// Nobody listens.
    Refused,
    /// Somebody listens and gave no answer that is HTTP.
    Silent,
    /// Somebody listens who was not asked, because the gateway speaks TLS.
    Open,
    /// Somebody speaks HTTP who may or may not be the gateway.
    Other,
    /// The gateway, alive.
    Live,
    /// The gateway, coming up.
    Starting,
    /// The gateway, going down.
    Draining,
}

/// What it means.
pub fn judge(seen: &Seen) -> (Gateway, Option<bool>) {
    let absent = if seen.installed { Gateway::Stopped } else { Gateway::NotInstalled };
    let unseen = if seen.installed { Gateway::Unknown } else { Gateway::NotInstalled };
    match (&seen.port, seen.process) {
        (Port::Live, _) if seen.ready == Some(false) => (Gateway::NotReady, Some(true)),
        (Port::Live, _) => (Gateway::Running, Some(true)),
        (Port::Starting, _) => (Gateway::Starting, Some(true)),
        (Port::Draining, _) => (Gateway::NotReady, Some(true)),
        // Some releases answer their probes with an error while everything else works.
        (Port::Other | Port::Open, Some(_)) => (Gateway::Running, Some(true)),
        (Port::Other | Port::Open, None) => (unseen, None),
        (Port::Silent, Some(_)) => (Gateway::NotReady, Some(false)),
        (Port::Silent, None) => (unseen, None),
        (Port::Refused, Some(_)) if !seen.on_loopback => (Gateway::Running, None),
        (Port::Refused, Some(age)) if age < START_MAX => (Gateway::Starting, Some(false)),
        // A gateway whose shutdown hangs closes its port first and may stay for minutes.
        (Port::Refused, Some(_)) => (Gateway::NotReady, Some(false)),
        (Port::Refused, None) => (absent, seen.installed.then_some(false)),
    }
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

/// Looks at the OpenClaw of this device.
pub struct Watcher {
    places: OpenClawPlaces,
    follower: Follower,
    config: Option<(PathBuf, SystemTime, GatewayConfig)>,
    found: process::Found,
    searched: Option<Instant>,
    /// What the gateway said last; it holds while the gateway is down.
    version: Option<String>,
}

impl Watcher {
    /// Nothing is looked at yet.
    pub fn new(places: OpenClawPlaces) -> anyhow::Result<Watcher> {
        Ok(Watcher {
            places,
            follower: Follower::new()?,
            config: None,
            found: process::Found::default(),
            searched: None,
            version: None,
        })
    }

    /// Looks once. Takes milliseconds, or a few seconds when the gateway hangs.
    pub fn look(&mut self, now: Instant) -> View {
        let state_dir = self.places.gateways().into_iter().next();
        let locks = state_dir.as_deref().map_or(Vec::new(), |dir| lock::find(dir, &self.places.temp_dir));
        let locked = locks.into_iter().filter(lock::is_same_process).find_map(|lock| {
            let figures = self.follower.read(lock.pid)?;
            Some((lock, figures))
        });
        let config = self.config(state_dir.as_deref());
        let port = port(self.places.port, locked.as_ref().and_then(|(lock, _)| lock.port), &config);
        let (port_state, ready) = self.ask(port, config.tls);
        let process = match locked {
            Some((_, figures)) => Some(figures),
            None => self.search(now, state_dir.is_some()),
        };
        let seen = Seen {
            port: port_state,
            ready,
            process: process.map(|figures| figures.age),
            installed: state_dir.is_some(),
            on_loopback: config.on_loopback,
        };
        let (gateway, up) = judge(&seen);
        if self.version.is_none() && process.is_some() && self.found.version.is_none() {
            // Known by its lock, so nobody has searched yet for the package it runs from.
            self.search(now, true);
        }
        View { gateway, up, ready, process, version: self.version.clone().or(self.found.version.clone()) }
    }

    fn ask(&mut self, port: u16, tls: bool) -> (Port, Option<bool>) {
        if tls {
            // Its certificate is its own, and a handshake is not worth a line in its log every time.
            return (if probe::is_open(port) { Port::Open } else { Port::Refused }, None);
        }
        let answer = probe::get(port, "/startupz");
        let state = match probe::startup(&answer) {
            Some(Startup::Started { version }) => {
                self.version = version.or(self.version.take());
                Port::Live
            }
            Some(Startup::Starting) => return (Port::Starting, None),
            Some(Startup::Draining) => return (Port::Draining, Some(false)),
            None => match answer {
                Answer::Refused => return (Port::Refused, None),
                Answer::Silent => return (Port::Silent, None),
                Answer::Http { .. } if probe::is_live(&probe::get(port, "/healthz")) => Port::Live,
                Answer::Http { .. } => return (Port::Other, None),
            },
        };
        (state, probe::ready(&probe::get(port, "/readyz")))
    }

    /// The gateway's process by search, which is done now and then.
    fn search(&mut self, now: Instant, installed: bool) -> Option<Figures> {
        if let Some(figures) = self.found.pid.and_then(|pid| self.follower.read(pid)) {
            return Some(figures);
        }
        let every = if installed { SEARCH_EVERY } else { SEARCH_EVERY_ABSENT };
        // One that was there and is gone may just have replaced itself, as it does while starting.
        let lost = self.found.pid.take().is_some();
        if lost || self.searched.is_none_or(|then| now.saturating_duration_since(then) >= every) {
            self.searched = Some(now);
            let found = process::find();
            self.found = process::Found { version: found.version.or(self.found.version.take()), ..found };
        }
        self.follower.read(self.found.pid?)
    }

    fn config(&mut self, state_dir: Option<&Path>) -> GatewayConfig {
        let in_state_dir = |name: &str| state_dir.map(|dir| dir.join(name));
        let candidates = match &self.places.config_path {
            Some(path) => vec![path.clone()],
            None => ["openclaw.json", "clawdbot.json"].iter().filter_map(|name| in_state_dir(name)).collect(),
        };
        for path in candidates {
            let Ok(changed) = fs::metadata(&path).and_then(|metadata| metadata.modified()) else { continue };
            if let Some((known, then, config)) = &self.config
                && *known == path
                && *then == changed
            {
                return config.clone();
            }
            let Some(text) = read_config(&path) else { continue };
            let config = GatewayConfig::parse(&text);
            self.config = Some((path, changed, config.clone()));
            return config;
        }
        GatewayConfig::parse("")
    }
}

fn read_config(path: &Path) -> Option<String> {
    use std::io::Read;
    let mut text = Vec::new();
    fs::File::open(path).ok()?.take(CONFIG_BYTES_MAX).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The gateway's port. A lock of a live process comes before the configuration: the port may have been
/// given on its command line.
fn port(env: Option<u16>, locked: Option<u16>, config: &GatewayConfig) -> u16 {
    env.or(locked).or(config.port).unwrap_or(PORT_DEFAULT)
}

/// The latest view, shared with the thread that keeps it.
#[derive(Clone, Debug, Default)]
pub struct Latest(Arc<Mutex<View>>);

impl Latest {
    /// The latest view.
    pub fn get(&self) -> View {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, view: View) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = view;
    }
}

/// Looks until `stop` is dropped: the body of the thread `openclaw`.
pub fn watch(mut watcher: Watcher, latest: Latest, stop: &Receiver<()>) {
    loop {
        let view = watcher.look(Instant::now());
        let absent = view.gateway == Gateway::NotInstalled;
        latest.set(view);
        let wait = if absent { LOOK_EVERY_ABSENT } else { LOOK_EVERY };
        if stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
