//! How is the OpenClaw on this device?
//!
//! A thread of its own asks each gateway on loopback and looks for its process; a sample takes the
//! latest [`View`]. What is seen and what it means are apart: [`judge`](judge::judge) decides, without
//! I/O.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::collect::Sample;
use crate::config::OpenClawPlaces;
use concerns::Concerns;
use gateway::{GatewayWatch, Surroundings};
use judge::{End, Gateway};
use lock::Lock;
use process::{Figures, Finder};

pub mod boots;
pub mod concerns;
pub mod config_file;
pub mod gateway;
pub mod json5;
pub mod judge;
pub mod lock;
pub mod probe;
pub mod process;
pub mod sqlite;
pub mod usage;

/// Time between two looks at a gateway.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Time between two looks where OpenClaw is not installed.
const LOOK_EVERY_ABSENT: Duration = Duration::from_secs(10);

/// What is known about OpenClaw now: of a gateway, or of all of this device together, where the one
/// that is worst off says the state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// What the gateway is doing.
    pub gateway: Gateway,
    /// Whether it answers; nothing where it is not installed or cannot be seen.
    pub up: Option<bool>,
    /// Whether it says that it is ready; nothing where it does not say.
    pub ready: Option<bool>,
    /// What it says is failing.
    pub failing: Option<String>,
    /// How it ended last, where it does not run and noted it.
    pub end: Option<End>,
    /// Its process, where one is found.
    pub process: Option<Figures>,
    /// How often another process took its place, since the agent started.
    pub restarts: u64,
    /// OpenClaw's version, where known.
    pub version: Option<String>,
    /// What goes wrong quietly there, or waits for a person.
    pub concerns: Concerns,
    /// Ports of this device that were asked.
    pub ports: Vec<u16>,
    /// How many gateways this is about, and how many of them run as they should.
    pub count: (u32, u32),
}

impl View {
    /// The view as states.
    pub fn states(&self) -> Vec<(&'static str, String)> {
        let mut states = vec![("gateway", self.gateway.as_str().to_string())];
        states.extend(self.failing.clone().map(|part| ("gateway_failing", part)));
        states.extend(self.end.map(|end| ("gateway_end", end.as_str().to_string())));
        let (all, running) = self.count;
        if all > 1 {
            states.push(("gateways", format!("{running}_of_{all}_running")));
        }
        states
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
            sample.gauge("gateway_uptime_s", process.age.as_secs() as f64);
            if let Some(percent) = process.cpu_percent {
                sample.percent("gateway_cpu_percent", percent);
            }
        }
        if self.gateway != Gateway::NotInstalled {
            sample.counter("gateway_restarts_total", self.restarts);
        }
        self.concerns.sample(&mut sample);
        sample
    }
}

/// All gateways of a device as one: the worst state, everything else together.
fn together(views: Vec<View>) -> View {
    let all = |value: fn(&View) -> Option<bool>| views.iter().filter_map(value).reduce(|all, one| all && one);
    let figures = views.iter().filter_map(|view| view.process).reduce(|sum, one| Figures {
        // Of several the youngest: it is the one that was restarted.
        age: sum.age.min(one.age),
        rss: sum.rss.saturating_add(one.rss),
        cpu_percent: sum.cpu_percent.zip(one.cpu_percent).map(|(a, b)| a + b),
    });
    let running = views.iter().filter(|view| view.gateway == Gateway::Running).count();
    let (up, ready) = (all(|view| view.up), all(|view| view.ready));
    let restarts = views.iter().map(|view| view.restarts).sum();
    let concerns = views.iter().fold(Concerns::default(), |sum, view| sum.and(view.concerns));
    let ports = views.iter().flat_map(|view| view.ports.iter().copied()).collect();
    let count = (views.len() as u32, running as u32);
    let version = views.iter().find_map(|view| view.version.clone());
    // Of equals the first.
    let worst = views.into_iter().rev().max_by_key(|view| view.gateway).unwrap_or_default();
    let version = worst.version.clone().or(version);
    View { up, ready, process: figures, restarts, version, concerns, ports, count, ..worst }
}

/// Looks at the OpenClaw of this device.
pub struct Watcher {
    places: OpenClawPlaces,
    finder: Finder,
    /// One for each state folder; one without where there is none.
    gateways: Vec<GatewayWatch>,
}

impl Watcher {
    /// Nothing is looked at yet.
    pub fn new(places: OpenClawPlaces) -> Watcher {
        Watcher { places, finder: Finder::default(), gateways: Vec::new() }
    }

    /// Looks once. Takes milliseconds, or a few seconds when a gateway hangs.
    pub fn look(&mut self, now: Instant) -> View {
        let state_dirs = self.places.gateways();
        if let Err(error) = self.follow(&state_dirs) {
            crate::log::warn(format_args!("cannot look at processes: {error}"));
            return View::default();
        }
        let locks: Vec<Vec<Lock>> =
            self.gateways.iter().map(|gateway| self.locks(gateway.state_dir())).collect();
        let alive: Vec<Option<Lock>> =
            self.gateways.iter_mut().zip(&locks).map(|(gateway, locks)| gateway.alive(locks)).collect();
        let known = alive.iter().flatten().map(|lock| (lock.pid, lock.port)).collect();
        let mut around = Surroundings { places: &self.places, finder: &mut self.finder, known, now };
        let mut views: Vec<(bool, View)> = Vec::new();
        for ((gateway, locks), alive) in self.gateways.iter_mut().zip(&locks).zip(alive) {
            // What an environment says about one gateway is about the first.
            let first = views.is_empty();
            let view = gateway.look(&mut around, locks, alive, first);
            views.push((gateway.was_ever(), view));
        }
        // A state folder in which no gateway was ever seen may be there for other commands only.
        let any = views.iter().any(|(was_ever, _)| *was_ever);
        let asked = !self.places.asked.is_empty();
        let counts = |(i, was_ever): (usize, bool)| asked || was_ever || (!any && i == 0);
        let views = views.into_iter().enumerate();
        together(
            views.filter(|(i, (was_ever, _))| counts((*i, *was_ever))).map(|(_, (_, view))| view).collect(),
        )
    }

    /// Follows the gateways of these state folders, those that were followed already as before.
    fn follow(&mut self, state_dirs: &[PathBuf]) -> Result<(), sysinfo::Error> {
        let wanted: Vec<Option<&Path>> = match state_dirs {
            [] => vec![None],
            some => some.iter().map(|path| Some(path.as_path())).collect(),
        };
        let mut before = std::mem::take(&mut self.gateways);
        for state_dir in wanted {
            let known = before.iter().position(|gateway| gateway.state_dir() == state_dir);
            self.gateways.push(match known {
                Some(at) => before.swap_remove(at),
                None => GatewayWatch::new(state_dir)?,
            });
        }
        Ok(())
    }

    fn locks(&self, state_dir: Option<&Path>) -> Vec<Lock> {
        state_dir.map_or(Vec::new(), |dir| lock::find(dir, &self.places.temp_dir))
    }
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

/// Looks until `stop` is dropped, at least once per report: the body of the thread `openclaw`.
pub fn watch(mut watcher: Watcher, latest: Latest, report_every: Duration, stop: &Receiver<()>) {
    keep(&latest, |latest| {
        loop {
            let view = watcher.look(Instant::now());
            let absent = view.gateway == Gateway::NotInstalled;
            latest.set(view);
            let wait = if absent { LOOK_EVERY_ABSENT } else { LOOK_EVERY.min(report_every) };
            if stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    });
}

/// Lets `body` keep the latest view. Where it panics nothing is known any more: what was seen last would be told as
/// seen now for as long as the agent runs.
fn keep(latest: &Latest, body: impl FnOnce(&Latest)) {
    struct Forget<'a>(&'a Latest);
    impl Drop for Forget<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.set(View::default());
            }
        }
    }
    let forget = Forget(latest);
    body(forget.0);
}

#[cfg(test)]
mod tests;
