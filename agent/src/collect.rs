//! Reads this device's figures: one [`Sample`] each time it is asked.
//!
//! Percentages have one decimal and rates are whole, so that equal figures stay equal and pack well.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use sysinfo::{Components, CpuRefreshKind, MemoryRefreshKind, Networks, RefreshKind, System};
use wire::{Facts, Kind};

use rate::Rate;

pub mod disks;
pub mod network;
pub mod rate;

/// How long after [`Collector::new`] the first sample may be taken: sysinfo ignores a reading of the
/// processors that comes sooner, and its first one is the average since the device started.
pub const SETTLE: Duration = Duration::from_millis(250);
const _: () = assert!(SETTLE.as_millis() > sysinfo::MINIMUM_CPU_UPDATE_INTERVAL.as_millis());

/// Processors that get a figure of their own. With disks and sensors this stays far below the
/// columns that a report may have.
pub const CORES_MAX: usize = 512;
/// Temperature sensors that are reported.
pub const SENSORS_MAX: usize = 64;
const _: () = assert!(CORES_MAX + SENSORS_MAX + 3 * disks::DISKS_MAX + 64 <= wire::bounds::COLUMNS_MAX);

/// Temperatures outside are a sensor's way to say that it has none.
const CELSIUS: std::ops::RangeInclusive<f32> = -60.0..=200.0;

/// Figures read at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    values: Vec<(String, Kind, f64)>,
}

impl Sample {
    /// Adds a figure that goes up and down. What is not finite is left out.
    pub fn gauge(&mut self, name: impl Into<String>, value: f64) {
        self.push(name.into(), Kind::Gauge, value);
    }

    /// Adds a count that only grows.
    pub fn counter(&mut self, name: impl Into<String>, value: u64) {
        // Above 2^53 bytes (nine petabytes) the last digits are lost, which no rate will show.
        self.push(name.into(), Kind::Counter, value as f64);
    }

    /// Adds a percentage with one decimal.
    pub fn percent(&mut self, name: impl Into<String>, value: f64) {
        self.gauge(name, decimal(value.clamp(0.0, 100.0)));
    }

    /// Adds total, used and percent under these names.
    fn share(&mut self, used: u64, total: u64, names: [String; 3]) {
        let [total_name, used_name, percent_name] = names;
        self.gauge(total_name, total as f64);
        self.gauge(used_name, used as f64);
        if total > 0 {
            self.percent(percent_name, used as f64 / total as f64 * 100.0);
        }
    }

    fn push(&mut self, name: String, kind: Kind, value: f64) {
        if value.is_finite() {
            self.values.push((name, kind, value));
        }
    }

    /// Adds all figures of another sample.
    pub fn extend(&mut self, other: Sample) {
        self.values.extend(other.values);
    }

    /// The figures.
    pub fn values(&self) -> impl Iterator<Item = (&str, Kind, f64)> {
        self.values.iter().map(|(name, kind, value)| (name.as_str(), *kind, *value))
    }

    /// How many figures there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no figure.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// One decimal.
pub fn decimal(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Reads everything but the disks, which [`disks`] reads where they cannot hold up the rest.
pub struct Collector {
    system: System,
    networks: Networks,
    components: Option<Components>,
    traffic: network::Traffic,
    tx: Rate,
    rx: Rate,
}

impl Collector {
    /// Takes the first reading that later ones are compared with.
    pub fn new() -> anyhow::Result<Collector> {
        let cpu = CpuRefreshKind::nothing().with_usage();
        let memory = MemoryRefreshKind::everything();
        let system = System::new_with_specifics(RefreshKind::nothing().with_cpu(cpu).with_memory(memory))
            .context("this system's figures cannot be read")?;
        let networks = Networks::new().context("this system's network interfaces cannot be read")?;
        let mut collector = Collector {
            system,
            networks,
            // Many devices have no sensors that a program can read.
            components: Components::new().ok(),
            traffic: network::Traffic::default(),
            tx: Rate::default(),
            rx: Rate::default(),
        };
        collector.network(Instant::now(), &mut Sample::default());
        Ok(collector)
    }

    /// What hardly ever changes about this device.
    pub fn facts(&self) -> Facts {
        let text = |text: String| Some(text.trim().to_string()).filter(|text| !text.is_empty());
        let os = match (System::name(), System::os_version()) {
            (Ok(name), Ok(version)) => text(format!("{name} {version}")),
            (Ok(name), Err(_)) => text(name),
            (Err(_), _) => None,
        };
        Facts {
            hostname: System::host_name().ok().and_then(text),
            os,
            arch: text(System::cpu_arch()),
            kernel: System::kernel_version().ok().and_then(text),
            cpu_model: self.system.cpus().first().and_then(|cpu| text(cpu.brand().to_string())),
            cores: u32::try_from(self.system.cpus().len()).ok().filter(|cores| *cores > 0),
            openclaw_version: None,
            public_ip: None,
        }
    }

    /// Reads all figures.
    pub fn sample(&mut self, now: Instant) -> Sample {
        let mut sample = Sample::default();
        self.cpu(&mut sample);
        self.memory(&mut sample);
        self.network(now, &mut sample);
        self.temperatures(&mut sample);
        if let Ok(load) = System::load_average() {
            for (name, value) in [("load1", load.one), ("load5", load.five), ("load15", load.fifteen)] {
                sample.gauge(name, (value * 100.0).round() / 100.0);
            }
        }
        if let Ok(uptime_s) = System::uptime() {
            sample.gauge("uptime_s", uptime_s as f64);
        }
        if let Some(processes) = processes(&mut self.system) {
            sample.gauge("processes", processes as f64);
        }
        sample
    }

    fn cpu(&mut self, sample: &mut Sample) {
        self.system.refresh_cpu_usage();
        sample.percent("cpu_percent", self.system.global_cpu_usage().into());
        for (i, cpu) in self.system.cpus().iter().enumerate().take(CORES_MAX) {
            sample.percent(
                wire::name::labelled("cpu_core_percent", "core", &i.to_string()),
                cpu.usage().into(),
            );
        }
    }

    fn memory(&mut self, sample: &mut Sample) {
        self.system.refresh_memory();
        let names = ["memory_total", "memory_used", "memory_percent"].map(str::to_string);
        sample.share(self.system.used_memory(), self.system.total_memory(), names);
        sample.gauge("swap_total", self.system.total_swap() as f64);
        sample.gauge("swap_used", self.system.used_swap() as f64);
    }

    fn network(&mut self, now: Instant, sample: &mut Sample) {
        self.networks.refresh(true);
        let interfaces = self.networks.iter().filter_map(|(name, data)| {
            let name = name.to_str().filter(|name| network::counts(name))?;
            if network::is_counted_elsewhere(Path::new(network::CLASS), name) {
                return None;
            }
            Some((name, network::Bytes { rx: data.total_received(), tx: data.total_transmitted() }))
        });
        let total = self.traffic.update(interfaces);
        for (name, rate, bytes) in
            [("net_tx_rate", &mut self.tx, total.tx), ("net_rx_rate", &mut self.rx, total.rx)]
        {
            if let Some(rate) = rate.per_second(now, bytes) {
                sample.gauge(name, rate);
            }
        }
        sample.counter("net_tx_bytes_total", total.tx);
        sample.counter("net_rx_bytes_total", total.rx);
    }

    fn temperatures(&mut self, sample: &mut Sample) {
        let Some(components) = &mut self.components else { return };
        components.refresh(true);
        // Two sensors may have one label, and a report each name once: the hotter one counts.
        let mut hottest: Vec<(String, f32)> = Vec::new();
        for component in components.iter() {
            let Some(celsius) = component.temperature().filter(|celsius| CELSIUS.contains(celsius)) else {
                continue;
            };
            let name = wire::name::labelled("temperature_celsius", "sensor", component.label().trim());
            if let Some((_, known)) = hottest.iter_mut().find(|(known, _)| *known == name) {
                *known = known.max(celsius);
            } else if hottest.len() < SENSORS_MAX {
                hottest.push((name, celsius));
            }
        }
        for (name, celsius) in hottest {
            sample.gauge(name, decimal(celsius.into()));
        }
    }
}

/// How many processes there are.
#[cfg(target_os = "linux")]
fn processes(_: &mut System) -> Option<usize> {
    // sysinfo would read several files for each of them.
    let entries = std::fs::read_dir("/proc").ok()?;
    let is_pid =
        |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()));
    Some(entries.flatten().filter(|entry| is_pid(&entry.file_name())).count())
}

/// How many processes there are.
#[cfg(not(target_os = "linux"))]
fn processes(system: &mut System) -> Option<usize> {
    use sysinfo::{ProcessRefreshKind, ProcessesToUpdate};
    let kind = ProcessRefreshKind::nothing().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
    Some(system.processes().len()).filter(|processes| *processes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_are_not_finite_are_left_out() {
        let mut sample = Sample::default();
        sample.gauge("a", f64::NAN);
        sample.percent("b", f64::NAN);
        sample.gauge("c", f64::INFINITY);
        sample.percent("d", 100.04);
        sample.percent("e", 33.333);
        sample.share(1, 0, ["t", "u", "p"].map(str::to_string));
        let values: Vec<_> = sample.values().map(|(name, _, value)| (name, value)).collect();
        assert_eq!(values, [("d", 100.0), ("e", 33.3), ("t", 0.0), ("u", 1.0)]);
    }

    #[test]
    fn this_device_has_figures_with_good_names() {
        let mut collector = Collector::new().unwrap();
        let start = Instant::now();
        // Later readings are told their time, so that nothing here has to wait for one.
        let sample = collector.sample(start + Duration::from_secs(1));
        let mut names: Vec<_> = sample.values().map(|(name, ..)| name.to_string()).collect();
        for name in &names {
            assert_eq!(wire::name::check(name), Ok(()), "{name}");
        }
        for name in
            ["cpu_percent", "cpu_core_percent{core=\"0\"}", "memory_total", "memory_percent", "swap_total"]
        {
            assert!(names.iter().any(|known| known == name), "{name} is not in {names:?}");
        }
        for name in ["net_tx_rate", "net_rx_bytes_total", "uptime_s", "processes"] {
            assert!(names.iter().any(|known| known == name), "{name} is not in {names:?}");
        }
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "each name once");
        let facts = collector.facts();
        assert!(facts.cores.is_some() && facts.arch.is_some());
    }
}
