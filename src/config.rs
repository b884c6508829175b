//! The configuration: file, then environment, then flags, each over the one before; checked whole, reported whole.

mod address;
mod command;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use query::Proxies;
use store::{Limits, Retention};
use tracing::level_filters::LevelFilter;

use address::{address, url};

use crate::keys::{KEYS, Key, nearest};
use crate::tls::Files;
use crate::{limits, plan, retention};

/// Read when it is there, unless another is named.
const FILE: &str = "openclaw-watch.toml";
const FILE_VARIABLE: &str = "OPENCLAW_WATCH_CONFIG";

/// The effective configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where the web port listens.
    pub web_listen: SocketAddr,
    /// Where the ingest port listens.
    pub ingest_listen: SocketAddr,
    /// What people type, without a path.
    pub public_url: Option<String>,
    /// What agents report to, without a path.
    pub public_ingest_url: Option<String>,
    /// Where the agents are that devices are set up with.
    pub agents_dir: Option<PathBuf>,
    /// With TLS.
    pub tls: Option<Files>,
    /// Who is believed to ask for others.
    pub trusted_proxies: Proxies,
    /// How long what is stored is kept.
    pub retention: Retention,
    /// Settings that are given here and cannot be changed on the page.
    pub fixed: Vec<&'static str>,
    /// What devices, queries and memory may take.
    pub limits: Limits,
    /// What is logged.
    pub log_level: LevelFilter,
    /// How it is logged.
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Task {
    /// Run the server.
    Serve(Config),
    /// Ask a running server whether it is ready.
    Healthcheck(Config),
    /// Look through the data folder while no server has it open.
    Check(Config),
    /// Copy the data folder into this file, while a server runs on it or not.
    Backup(Config, PathBuf),
    /// Fill the data folder from this file.
    Restore(Config, PathBuf),
    /// Give the account of this name, or the only administrator, another password.
    ResetPassword(Config, Option<String>),
    /// Take over this database of the older server, whose times without a zone are of this one.
    Import(Config, PathBuf, String),
    /// Say what a fleet needs.
    Plan(Config, plan::Question),
    /// Print this and be done.
    Print(String),
}

/// All that is wrong, for a person.
#[derive(Debug, PartialEq, Eq)]
pub struct Faults(Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "openclaw-watch: {one}"),
            all => {
                write!(f, "openclaw-watch: the configuration has {} faults:", all.len())?;
                all.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

/// What the configuration is read from; tests put their own in.
pub struct Sources<'a> {
    /// The command line, program name first.
    pub args: &'a [OsString],
    /// A variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// A file's text.
    pub read: &'a dyn Fn(&Path) -> std::io::Result<String>,
}

impl Sources<'_> {
    /// A variable that is set; an empty one is how a compose file says "not set".
    fn set(&self, name: &str, faults: &mut Vec<String>) -> Option<String> {
        let value = (self.variable)(name).filter(|value| !value.is_empty())?;
        let fault = |value| faults.push(format!("{name} must be UTF-8; it is {value:?}"));
        value.into_string().map_err(fault).ok()
    }
}

/// [`load`] from this process.
///
/// # Errors
/// The configuration cannot be used. Ends the process where the command line cannot be read or asks for help.
pub fn from_process() -> Result<Task, Faults> {
    let args: Vec<_> = std::env::args_os().collect();
    let sources = Sources {
        args: &args,
        variable: &|name| std::env::var_os(name),
        read: &|path| std::fs::read_to_string(path),
    };
    let matches = command::command().try_get_matches_from(sources.args).unwrap_or_else(|error| error.exit());
    load(&matches, &sources)
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Default,
    File(PathBuf),
    Environment(String),
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => write!(f, "default"),
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Environment(name) => write!(f, "{name}"),
            Source::Flag(name) => write!(f, "--{name}"),
        }
    }
}

fn load(matches: &ArgMatches, sources: &Sources<'_>) -> Result<Task, Faults> {
    let mut faults = Vec::new();
    let file = read_file(matches, sources, &mut faults);
    let mut values = Values { found: Vec::new(), faults };
    for key in &KEYS {
        let flag = matches.get_one::<String>(key.name).map(|text| (text.clone(), Source::Flag(key.flag)));
        let variable = || {
            let text = sources.set(&key.variable(), &mut values.faults)?;
            Some((text, Source::Environment(key.variable())))
        };
        let filed = || file.get(key.name);
        let default = || key.default.map(|text| (text.to_string(), Source::Default));
        values.found.push((key, flag.or_else(variable).or_else(filed).or_else(default)));
    }
    let config = values.check()?;
    if matches.get_flag("print_config") {
        return Ok(Task::Print(values.print()));
    }
    Ok(command::task(matches, config))
}

/// What the file says, by key.
#[derive(Default)]
struct Filed {
    path: PathBuf,
    table: toml::Table,
}

impl Filed {
    fn get(&self, name: &str) -> Option<(String, Source)> {
        let text = self.table.get(name)?.as_str()?;
        Some((text.to_string(), Source::File(self.path.clone())))
    }
}

fn read_file(matches: &ArgMatches, sources: &Sources<'_>, faults: &mut Vec<String>) -> Filed {
    let named = matches.get_one::<String>("config").cloned();
    let named = named.or_else(|| sources.set(FILE_VARIABLE, faults));
    let path = PathBuf::from(named.as_deref().unwrap_or(FILE));
    let text = match (sources.read)(&path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            return Filed::default();
        }
        Err(error) => {
            faults.push(format!("{}: cannot be read: {error}", path.display()));
            return Filed::default();
        }
    };
    let table = match text.parse::<toml::Table>() {
        Ok(table) => table,
        Err(error) => {
            faults.push(format!("{}: is not TOML: {}", path.display(), error.to_string().trim_end()));
            return Filed::default();
        }
    };
    for (name, value) in &table {
        if !KEYS.iter().any(|key| key.name == name) {
            let nearest = nearest(name);
            faults.push(format!("{}: there is no key `{name}`; did you mean `{nearest}`?", path.display()));
        } else if !value.is_str() {
            faults.push(format!("{}: `{name}` must be a text in quotes", path.display()));
        }
    }
    Filed { path, table }
}

/// What was found, and what is wrong with it.
struct Values {
    found: Vec<(&'static Key, Option<(String, Source)>)>,
    faults: Vec<String>,
}

impl Values {
    fn check(&mut self) -> Result<Config, Faults> {
        let data_dir = self.required("data_dir", |text| match text {
            "" => Err("must name a folder".into()),
            text => Ok(PathBuf::from(text)),
        });
        let web_listen = self.required("web_listen", address);
        let ingest_listen = self.required("ingest_listen", address);
        let public_url = self.optional("public_url", url);
        let public_ingest_url = self.optional("public_ingest_url", url);
        let agents_dir = self.optional("agents_dir", |text| match text {
            "" => Err("must name a folder".into()),
            text => Ok(PathBuf::from(text)),
        });
        let tls = self.tls();
        let trusted_proxies = self.optional("trusted_proxies", |text| {
            text.parse().map_err(|why| format!("is not a list of networks: {why}"))
        });
        let values = std::cell::RefCell::new(&mut *self);
        let retention = retention::retention(
            |name| values.borrow_mut().required(name, retention::days),
            |name| values.borrow_mut().optional(name, retention::bytes),
        );
        let limits = limits::limits(|name, range| self.required(name, |text| limits::number(text, range)));
        let log_level = self.required("log_level", |text| match text {
            "error" => Ok(LevelFilter::ERROR),
            "warn" => Ok(LevelFilter::WARN),
            "info" => Ok(LevelFilter::INFO),
            "debug" => Ok(LevelFilter::DEBUG),
            "trace" => Ok(LevelFilter::TRACE),
            _ => Err("must be error, warn, info, debug or trace".into()),
        });
        let log_format = self.required("log_format", |text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("must be text or json".into()),
        });
        if web_listen.is_some() && web_listen == ingest_listen && web_listen.is_some_and(|a| a.port() != 0) {
            self.faults.push("`web_listen` and `ingest_listen` must not be the same address".into());
        }
        let fixed = self.given().filter(|name| store::SETTINGS.contains(name)).collect();
        // `None` where something is missing, which is a fault that was told.
        let config = || {
            Some(Config {
                data_dir: data_dir?,
                web_listen: web_listen?,
                ingest_listen: ingest_listen?,
                public_url,
                public_ingest_url,
                agents_dir,
                tls,
                trusted_proxies: trusted_proxies.unwrap_or_default(),
                retention: retention?,
                fixed,
                limits: limits?,
                log_level: log_level?,
                log_format: log_format?,
            })
        };
        match config() {
            Some(config) if self.faults.is_empty() => Ok(config),
            _ => Err(Faults(std::mem::take(&mut self.faults))),
        }
    }

    /// Names of the settings that somebody gave.
    fn given(&self) -> impl Iterator<Item = &'static str> {
        let given = |found: &Option<(String, Source)>| {
            found.as_ref().is_some_and(|(_, source)| *source != Source::Default)
        };
        self.found.iter().filter(move |(_, found)| given(found)).map(|(key, _)| key.name)
    }

    /// Both files or none.
    fn tls(&mut self) -> Option<Files> {
        let file = |text: &str| match text {
            "" => Err("must name a file".to_string()),
            text => Ok(PathBuf::from(text)),
        };
        match (self.optional("tls_cert", file), self.optional("tls_key", file)) {
            (Some(certificate), Some(key)) => Some(Files { certificate, key }),
            (None, None) => None,
            _ => {
                self.faults.push("`tls_cert` and `tls_key` belong together: set both or none".into());
                None
            }
        }
    }

    fn required<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let value = self.optional(name, parse);
        // Each key with `required` has a default, so a missing value was a fault in itself.
        debug_assert!(value.is_some() || !self.faults.is_empty(), "bug: {name} has no default");
        value
    }

    fn optional<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let (_, found) = self.found.iter().find(|(key, _)| key.name == name)?;
        let (text, source) = found.as_ref()?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.faults.push(format!("`{name}` (from {source}) {why}; it is {text:?}"));
                None
            }
        }
    }

    /// The effective configuration as a file that could be used again. No setting is a secret.
    fn print(&self) -> String {
        let line = |(key, found): &(&Key, Option<(String, Source)>)| match found {
            Some((text, source)) => {
                format!("{} = {}  # {source}\n", key.name, toml::Value::String(text.clone()))
            }
            None => format!("# {} is not set\n", key.name),
        };
        self.found.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests;
