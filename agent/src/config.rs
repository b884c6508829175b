//! Settings: flags before environment before env file, checked as a whole.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::tls::{Certificate, PemItem, parse_pem};

use crate::args::Args;
use crate::logs::record::Level;
use server::Server;

pub use places::OpenClawPlaces;
pub use surroundings::{SYSTEM_ENV_FILE, Surroundings, is_root};

pub mod env_file;
pub mod places;
pub mod server;
pub mod surroundings;

/// Seconds between reports.
pub const INTERVAL_S: std::ops::RangeInclusive<u32> = 1..=3_600;
/// Seconds between samples.
pub const SAMPLE_INTERVAL_S: std::ops::RangeInclusive<u32> = 1..=30;
/// Seconds between reports when nothing else is said.
pub const INTERVAL_DEFAULT_S: u32 = 10;
/// Seconds between samples when nothing else is said and the interval is not shorter.
pub const SAMPLE_INTERVAL_DEFAULT_S: u32 = 5;
/// Megabytes of the spool; 0 is none. More would not be filled by the reports it may hold.
pub const SPOOL_MB: std::ops::RangeInclusive<u32> = 8..=1_024;
/// Megabytes of the spool when nothing else is said: a week or more of an ordinary device.
pub const SPOOL_DEFAULT_MB: u32 = 64;
/// Bytes of a certificate file that are read.
pub const CA_FILE_BYTES_MAX: u64 = 4 << 20;
/// Bytes of a device key.
pub const KEY_BYTES_MAX: usize = 256;

/// What the agent does, complete and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where reports go; nothing when none is to be sent.
    pub destination: Option<Destination>,
    /// Time between reports.
    pub interval_s: u32,
    /// Time between samples.
    pub sample_interval_s: u32,
    /// The agent's own folder.
    pub state_dir: StateDir,
    /// Bytes of reports kept on disk; 0 for none.
    pub spool_bytes: u64,
    /// Least level of the gateway's log lines that are reported; nothing for no lines at all.
    pub log_level: Option<Level>,
    /// Where OpenClaw may be.
    pub openclaw: OpenClawPlaces,
    /// The file that settings were read from.
    pub env_file: Option<PathBuf>,
}

/// Where reports go and as whom.
#[derive(Clone)]
pub struct Destination {
    /// The server.
    pub server: Server,
    /// The device key. [`fmt::Debug`] hides it.
    pub key: String,
    /// Certificates to trust instead of the built-in ones.
    pub ca: Option<Vec<Certificate<'static>>>,
}

/// The agent's own folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateDir {
    /// Somebody asked for this one: without it the agent does not start.
    Asked(PathBuf),
    /// The usual place: better than none, but not worth failing for.
    Usual(PathBuf),
    /// There is no usual place here.
    None,
}

impl StateDir {
    /// The folder, whether it exists or not.
    pub fn path(&self) -> Option<&Path> {
        match self {
            StateDir::Asked(path) | StateDir::Usual(path) => Some(path),
            StateDir::None => None,
        }
    }
}

impl Config {
    /// The settings, or one sentence for each that cannot work. `sends` is whether a server and a key
    /// are needed.
    pub fn read(args: &Args, surroundings: &Surroundings, sends: bool) -> Result<Config, Vec<String>> {
        let mut faults = Vec::new();
        let (env_file, file) = read_env_file(args, surroundings, &mut faults);
        let settings = Settings { env: &surroundings.env, file: &file };
        for name in &surroundings.env_not_text {
            if KNOWN.contains(&name.as_str()) {
                faults.push(format!("{name}: the value is not UTF-8 text"));
            }
        }
        let destination = if sends { destination(args, &settings, &mut faults) } else { None };
        let (interval_s, sample_interval_s) = intervals(args, &settings, &mut faults);
        let spool_bytes = spool_bytes(args, &settings, &mut faults);
        let log_level = log_level(args, &settings, &mut faults);
        let config = Config {
            destination,
            interval_s,
            sample_interval_s,
            state_dir: state_dir(args, &settings, surroundings),
            spool_bytes,
            log_level,
            openclaw: openclaw_places(args, &settings, surroundings),
            env_file,
        };
        if faults.is_empty() { Ok(config) } else { Err(faults) }
    }

    /// Time between samples.
    pub fn sample_interval(&self) -> Duration {
        Duration::from_secs(self.sample_interval_s.into())
    }

    /// Time between reports.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(self.interval_s.into())
    }
}

/// Every name that a setting may have outside the command line.
const KNOWN: [&str; 15] = [
    "OPENCLAW_WATCH_SERVER",
    "NAS_URL",
    "OPENCLAW_WATCH_API_KEY",
    "API_KEY",
    "OPENCLAW_WATCH_INTERVAL",
    "REPORT_INTERVAL",
    "OPENCLAW_WATCH_SAMPLE_INTERVAL",
    "OPENCLAW_WATCH_STATE_DIR",
    "OPENCLAW_WATCH_SPOOL_MB",
    "OPENCLAW_WATCH_LOG_LEVEL",
    "OPENCLAW_WATCH_CA_FILE",
    "OPENCLAW_STATE_DIR",
    "OPENCLAW_CONFIG_PATH",
    "OPENCLAW_GATEWAY_PORT",
    "OPENCLAW_HOME",
];

struct Settings<'a> {
    env: &'a BTreeMap<String, String>,
    file: &'a BTreeMap<String, String>,
}

impl<'a> Settings<'a> {
    /// The first of `names` that is set, and its value: the environment before the file.
    fn get(&self, names: &[&'static str]) -> Option<(&'static str, &'a str)> {
        [self.env, self.file].into_iter().find_map(|from| {
            names.iter().find_map(|name| {
                let value = from.get(*name)?.trim();
                (!value.is_empty()).then_some((*name, value))
            })
        })
    }

    /// A path, with `~` for the home folder.
    fn path(&self, name: &'static str, home: Option<&Path>) -> Option<PathBuf> {
        let (_, value) = self.get(&[name])?;
        let value = said(value)?;
        Some(match (value.strip_prefix('~'), home) {
            (Some(""), Some(home)) => home.to_path_buf(),
            (Some(rest), Some(home)) if rest.starts_with(['/', '\\']) => home.join(&rest[1..]),
            _ => PathBuf::from(value),
        })
    }
}

/// Shells and service files turn a missing value into these words.
fn said<T: AsRef<str> + ?Sized>(value: &T) -> Option<&str> {
    Some(value.as_ref().trim()).filter(|value| !matches!(*value, "" | "undefined" | "null"))
}

fn read_env_file(
    args: &Args,
    surroundings: &Surroundings,
    faults: &mut Vec<String>,
) -> (Option<PathBuf>, BTreeMap<String, String>) {
    let candidates = args.env_file.as_slice();
    let asked = !candidates.is_empty();
    for path in if asked { candidates } else { &surroundings.env_files } {
        let text = match read_text(path, env_file::ENV_FILE_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if !asked && error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                faults.push(format!("env file {}: {error}", path.display()));
                break;
            }
        };
        let (settings, file_faults) = env_file::parse(&text);
        faults.extend(file_faults.iter().map(|fault| format!("env file {}, {fault}", path.display())));
        return (Some(path.clone()), settings);
    }
    (None, BTreeMap::new())
}

fn read_text(path: &Path, bytes_max: u64) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(bytes_max + 1).read_to_string(&mut text)?;
    if text.len() as u64 > bytes_max {
        return Err(std::io::Error::other(format!("larger than {bytes_max} bytes")));
    }
    Ok(text)
}

fn destination(args: &Args, settings: &Settings<'_>, faults: &mut Vec<String>) -> Option<Destination> {
    let server = match (&args.server, settings.get(&["OPENCLAW_WATCH_SERVER", "NAS_URL"])) {
        (Some(url), _) => Server::parse(url).map_err(|error| format!("--server: {error}")),
        (None, Some(("NAS_URL", url))) => {
            Server::parse_older(url).map_err(|error| format!("NAS_URL: {error}"))
        }
        (None, Some((name, url))) => Server::parse(url).map_err(|error| format!("{name}: {error}")),
        (None, None) => {
            Err("no server: set --server or OPENCLAW_WATCH_SERVER, such as https://nas:38889".into())
        }
    };
    let key = match (&args.api_key, settings.get(&["OPENCLAW_WATCH_API_KEY", "API_KEY"])) {
        (Some(key), _) => check_key("--api-key", key.trim()),
        (None, Some((name, key))) => check_key(name, key),
        (None, None) => {
            Err("no device key: set OPENCLAW_WATCH_API_KEY or --api-key to the key the page showed".into())
        }
    };
    let ca_path = args.ca_file.clone();
    let ca_path = ca_path.or_else(|| settings.get(&["OPENCLAW_WATCH_CA_FILE"]).map(|(_, path)| path.into()));
    let ca = ca_path.map(|path| read_ca(&path)).transpose();
    let mut good = |fault| faults.push(fault);
    let (server, key, ca) =
        (server.map_err(&mut good).ok(), key.map_err(&mut good).ok(), ca.map_err(&mut good).ok());
    Some(Destination { server: server?, key: key?, ca: ca? })
}

/// The key, if it can be one; `name` is where it is from.
pub fn check_key(name: &str, key: &str) -> Result<String, String> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "{name}: a device key has 1 to {KEY_BYTES_MAX} letters, digits and signs, without spaces"
        ));
    }
    Ok(key.to_string())
}

/// The certificates in a file.
pub fn read_ca(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let fault = |what: &dyn fmt::Display| format!("certificate file {}: {what}", path.display());
    let text = read_text(path, CA_FILE_BYTES_MAX).map_err(|error| fault(&error))?;
    let mut certificates = Vec::new();
    for item in parse_pem(text.as_bytes()) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(fault(&error)),
        }
    }
    if certificates.is_empty() {
        return Err(fault(&"no certificate in it; it has to be in PEM form"));
    }
    Ok(certificates)
}

fn intervals(args: &Args, settings: &Settings<'_>, faults: &mut Vec<String>) -> (u32, u32) {
    let mut seconds = |flag: &'static str, arg: &Option<String>, names: &[&'static str], range| {
        let (name, value) = match arg {
            Some(value) => (flag, value.as_str()),
            None => settings.get(names)?,
        };
        match parse_seconds(value, range) {
            Ok(seconds) => Some(seconds),
            Err(fault) => {
                faults.push(format!("{name}: {fault}"));
                None
            }
        }
    };
    let interval_names = ["OPENCLAW_WATCH_INTERVAL", "REPORT_INTERVAL"];
    let interval =
        seconds("--interval", &args.interval, &interval_names, INTERVAL_S).unwrap_or(INTERVAL_DEFAULT_S);
    let sample_names = ["OPENCLAW_WATCH_SAMPLE_INTERVAL"];
    let sample = seconds("--sample-interval", &args.sample_interval, &sample_names, SAMPLE_INTERVAL_S);
    if let Some(sample) = sample.filter(|sample| *sample > interval) {
        faults.push(format!(
            "the sample interval of {sample} s is longer than the report interval of {interval} s"
        ));
    }
    (interval, sample.unwrap_or(interval.min(SAMPLE_INTERVAL_DEFAULT_S)))
}

fn spool_bytes(args: &Args, settings: &Settings<'_>, faults: &mut Vec<String>) -> u64 {
    let (name, value) = match (&args.spool_mb, settings.get(&["OPENCLAW_WATCH_SPOOL_MB"])) {
        (Some(value), _) => ("--spool-mb", value.as_str()),
        (None, Some(setting)) => setting,
        (None, None) => return u64::from(SPOOL_DEFAULT_MB) << 20,
    };
    match value.trim().parse().ok().filter(|mb| *mb == 0 || SPOOL_MB.contains(mb)) {
        Some(mb) => u64::from(mb) << 20,
        None => {
            let (least, most) = (SPOOL_MB.start(), SPOOL_MB.end());
            faults.push(format!("{name}: {value:?} is not a whole number from {least} to {most}, or 0"));
            0
        }
    }
}

fn log_level(args: &Args, settings: &Settings<'_>, faults: &mut Vec<String>) -> Option<Level> {
    let (name, value) = match (&args.log_level, settings.get(&["OPENCLAW_WATCH_LOG_LEVEL"])) {
        (Some(value), _) => ("--log-level", value.as_str()),
        (None, Some(setting)) => setting,
        (None, None) => return Some(Level::Warn),
    };
    if value.trim().eq_ignore_ascii_case("off") {
        return None;
    }
    let level = Level::parse(value);
    if level.is_none() {
        faults.push(format!("{name}: {value:?} is none of debug, info, warn, error, fatal and off"));
    }
    level
}

fn parse_seconds(text: &str, range: std::ops::RangeInclusive<u32>) -> Result<u32, String> {
    let seconds = text.trim().parse().ok().filter(|seconds| range.contains(seconds));
    seconds.ok_or_else(|| {
        format!("{text:?} is not a whole number of seconds from {} to {}", range.start(), range.end())
    })
}

fn state_dir(args: &Args, settings: &Settings<'_>, surroundings: &Surroundings) -> StateDir {
    let home = surroundings.home();
    if let Some(path) = &args.state_dir {
        return StateDir::Asked(path.clone());
    }
    if let Some(path) = settings.path("OPENCLAW_WATCH_STATE_DIR", home.as_deref()) {
        return StateDir::Asked(path);
    }
    let env_path = |name: &str| surroundings.env.get(name).and_then(said).map(PathBuf::from);
    let base = if cfg!(windows) {
        env_path("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        home.map(|home| home.join("Library").join("Application Support"))
    } else {
        env_path("XDG_STATE_HOME").or_else(|| home.map(|home| home.join(".local").join("state")))
    };
    base.map_or(StateDir::None, |base| StateDir::Usual(base.join("openclaw-watch-agent")))
}

fn openclaw_places(args: &Args, settings: &Settings<'_>, surroundings: &Surroundings) -> OpenClawPlaces {
    let home = surroundings.home();
    let home = settings.path("OPENCLAW_HOME", home.as_deref()).or(home);
    let home = home.as_deref();
    let mut asked = args.openclaw_state_dir.clone();
    if asked.is_empty() {
        asked.extend(settings.path("OPENCLAW_STATE_DIR", home));
    }
    OpenClawPlaces {
        asked,
        home: home.map(Path::to_path_buf),
        config_path: settings.path("OPENCLAW_CONFIG_PATH", home),
        port: settings.get(&["OPENCLAW_GATEWAY_PORT"]).and_then(|(_, port)| parse_port(port)),
        temp_dir: surroundings.temp_dir.clone(),
    }
}

/// A port as OpenClaw takes it: alone or behind a host. Anything else it ignores too.
fn parse_port(text: &str) -> Option<u16> {
    let port = text.rsplit_once(':').map_or(text, |(_, port)| port);
    port.trim().parse().ok().filter(|port| *port != 0)
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ca = self.ca.as_ref().map(Vec::len);
        f.debug_struct("Destination").field("server", &self.server).field("ca", &ca).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
