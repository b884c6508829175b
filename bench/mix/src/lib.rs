//! The agent mix: constants, totals that grow in bursts, walks rounded as psutil rounds them, and rates.
//!
//! What a value looks like decides what it costs: numbers drawn evenly would compress to nothing like real ones.

pub mod rig;
pub mod rng;

use wire::Kind;

use rng::Rng;

/// The most metrics a device of the mix can have.
pub const METRICS_MAX: usize = 1_000;

/// The metrics every device has first; further ones are cores.
const BASE: [(&str, Kind); 20] = [
    ("cpu_percent", Kind::Gauge),
    ("memory_used", Kind::Gauge),
    ("memory_percent", Kind::Gauge),
    ("load1", Kind::Gauge),
    ("net_tx_rate", Kind::Gauge),
    ("net_rx_rate", Kind::Gauge),
    ("disk_used", Kind::Gauge),
    ("disk_percent", Kind::Gauge),
    ("net_tx_bytes_total", Kind::Counter),
    ("net_rx_bytes_total", Kind::Counter),
    ("memory_total", Kind::Gauge),
    ("disk_total", Kind::Gauge),
    ("swap_total", Kind::Gauge),
    ("swap_used", Kind::Gauge),
    ("load5", Kind::Gauge),
    ("load15", Kind::Gauge),
    ("disk_read_rate", Kind::Gauge),
    ("disk_write_rate", Kind::Gauge),
    ("uptime_s", Kind::Gauge),
    ("processes", Kind::Gauge),
];

/// How bytes per second are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rates {
    /// As whole numbers: what this project's agent sends.
    Whole,
    /// As the quotient of bytes and of seconds measured to the nanosecond: what most agents send. Nearly every bit of
    /// such a number is chance.
    Full,
}

/// A device that exists only here. Its values depend on the seed, its number and the times it is asked for.
#[derive(Debug, Clone)]
pub struct Device {
    rng: Rng,
    metrics: Vec<(String, Kind)>,
    last_ms: Option<i64>,
    busy: f64,
    cores: Vec<f64>,
    memory_total: f64,
    memory_used: f64,
    disk_total: f64,
    disk_used: f64,
    load: [f64; 3],
    tx_total: f64,
    rx_total: f64,
    booted_ms: i64,
    processes: f64,
    rates: Rates,
    /// Of its own, so that the other values are the same whatever the rates.
    clock: Rng,
}

const GIB: f64 = 1_073_741_824.0;
const PAGE: f64 = 4096.0;

impl Device {
    /// Device `number` of the fleet of `seed`, with `metrics` metrics (at least 1, at most [`METRICS_MAX`]).
    pub fn new(seed: u64, number: u64, metrics: usize) -> Device {
        let mut rng = Rng::new(seed, number);
        let count = metrics.clamp(1, METRICS_MAX);
        let cores = count.saturating_sub(BASE.len());
        let base = BASE.iter().take(count).map(|(name, kind)| ((*name).to_string(), *kind));
        let core = |i: usize| (wire::name::labelled("cpu_core_percent", "core", &i.to_string()), Kind::Gauge);
        let memory_total = (4 << (rng.next() % 5)) as f64 * GIB - (rng.next() % 512) as f64 * PAGE;
        let disk_total = (64 << (rng.next() % 6)) as f64 * GIB;
        Device {
            metrics: base.chain((0..cores).map(core)).collect(),
            last_ms: None,
            busy: 5.0 + rng.unit() * 20.0,
            cores: vec![10.0; cores],
            memory_total,
            memory_used: whole_pages(memory_total * (0.2 + 0.5 * rng.unit())),
            disk_total,
            disk_used: whole_pages(disk_total * (0.1 + 0.7 * rng.unit())),
            load: [0.5; 3],
            tx_total: (rng.next() % (1 << 36)) as f64,
            rx_total: (rng.next() % (1 << 38)) as f64,
            booted_ms: -((rng.next() % (30 * 86_400_000)) as i64),
            processes: 80.0 + (rng.next() % 300) as f64,
            rates: Rates::Whole,
            clock: Rng::new(seed, !number),
            rng,
        }
    }

    /// The same device with other rates; at first they are whole.
    pub fn with_rates(self, rates: Rates) -> Device {
        Device { rates, ..self }
    }

    /// Its metrics, in the order of the values of [`Device::row`].
    pub fn metrics(&self) -> &[(String, Kind)] {
        &self.metrics
    }

    /// Appends the values at `t_ms` to `values`, one a metric. Times are to ascend.
    pub fn row(&mut self, t_ms: i64, values: &mut Vec<f64>) {
        let passed_s = match self.last_ms {
            Some(last_ms) => (t_ms - last_ms).clamp(1, 3_600_000) as f64 / 1_000.0,
            None => {
                self.booted_ms += t_ms;
                1.0
            }
        };
        self.last_ms = Some(t_ms);
        self.advance(passed_s);
        let (tx, rx) = (self.traffic(passed_s, 2_000.0), self.traffic(passed_s, 8_000.0));
        self.tx_total += tx;
        self.rx_total += rx;
        let rates = [self.rate(tx, passed_s), self.rate(rx, passed_s), self.disk_rate(40), self.disk_rate(4)];
        for i in 0..self.metrics.len() {
            values.push(match i {
                0 => one_decimal(self.busy),
                1 => self.memory_used,
                2 => one_decimal(100.0 * self.memory_used / self.memory_total),
                3 => two_decimals(self.load[0]),
                4 => rates[0],
                5 => rates[1],
                6 => self.disk_used,
                7 => one_decimal(100.0 * self.disk_used / self.disk_total),
                8 => self.tx_total,
                9 => self.rx_total,
                10 => self.memory_total,
                11 => self.disk_total,
                12 | 13 => 0.0,
                14 => two_decimals(self.load[1]),
                15 => two_decimals(self.load[2]),
                16 => rates[2],
                17 => rates[3],
                18 => ((t_ms - self.booted_ms) / 1_000) as f64,
                19 => self.processes,
                core => one_decimal(self.cores[core - BASE.len()]),
            });
        }
    }

    /// `count` rows from `from_ms` on, `step_ms` apart.
    pub fn rows(&mut self, from_ms: i64, step_ms: i64, count: usize) -> wire::Rows {
        self.rows_at((0..count as i64).map(|i| from_ms + i * step_ms).collect())
    }

    /// Rows at these times, which are to ascend.
    pub fn rows_at(&mut self, t_ms: Vec<i64>) -> wire::Rows {
        let mut columns: Vec<Vec<f64>> = vec![Vec::with_capacity(t_ms.len()); self.metrics.len()];
        let mut row = Vec::with_capacity(self.metrics.len());
        for t in &t_ms {
            row.clear();
            self.row(*t, &mut row);
            columns.iter_mut().zip(&row).for_each(|(column, value)| column.push(*value));
        }
        let columns = self.metrics.iter().zip(columns).map(|((name, kind), values)| wire::Column {
            name: name.clone(),
            kind: *kind,
            values,
            present: wire::Presence::All,
        });
        wire::Rows { t_ms, columns: columns.collect() }
    }

    fn advance(&mut self, passed_s: f64) {
        let rng = &mut self.rng;
        let size = passed_s.sqrt().min(5.0);
        // A job starts or ends now and then; in between the load wanders.
        if rng.once_in(120) {
            self.busy = rng.unit() * rng.unit() * 100.0;
        }
        self.busy = (self.busy + rng.step(3.0 * size)).clamp(0.2, 100.0);
        for core in &mut self.cores {
            *core = (self.busy + rng.step(15.0)).clamp(0.0, 100.0);
        }
        let moved = rng.step(4.0 * size).round() * 64.0 * PAGE;
        self.memory_used = (self.memory_used + moved).clamp(GIB, self.memory_total);
        if rng.once_in(8) {
            let written = (rng.next() % 200) as f64 * PAGE;
            self.disk_used = (self.disk_used + written).min(self.disk_total);
        }
        if rng.once_in(2_000) {
            self.disk_used *= 0.98;
            self.disk_used = whole_pages(self.disk_used);
        }
        let target = self.busy / 100.0 * 4.0;
        for (load, minutes) in self.load.iter_mut().zip([1.0, 5.0, 15.0]) {
            *load += (target - *load) * (1.0 - (-passed_s / (minutes * 60.0)).exp());
        }
        if rng.once_in(5) {
            self.processes = (self.processes + rng.step(3.0).round()).max(20.0);
        }
    }

    /// Whole bytes in that time: mostly little, now and then a burst.
    fn traffic(&mut self, passed_s: f64, usual: f64) -> f64 {
        let burst = if self.rng.once_in(30) { 50.0 + 400.0 * self.rng.unit() } else { 1.0 };
        (usual * passed_s * burst * (0.2 + self.rng.unit())).round()
    }

    /// Bytes a second of what was counted in that time.
    fn rate(&mut self, bytes: f64, passed_s: f64) -> f64 {
        match self.rates {
            Rates::Whole => (bytes / passed_s).round(),
            // The times of two readings are told to the millisecond and were measured to the nanosecond.
            Rates::Full => bytes / ((passed_s * 1e9 + self.clock.step(1e6)).round() / 1e9),
        }
    }

    /// Bytes a second, mostly none; larger than 0 once in `n` times.
    fn disk_rate(&mut self, n: u64) -> f64 {
        if self.rng.once_in(n) { (self.rng.next() % 5_000) as f64 * PAGE } else { 0.0 }
    }
}

fn whole_pages(bytes: f64) -> f64 {
    (bytes / PAGE).round() * PAGE
}

fn one_decimal(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn two_decimals(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The same rows as the store takes them.
pub fn store_rows(rows: wire::Rows) -> store::Rows {
    let columns = rows.columns.into_iter().map(|column| store::Column {
        metric: column.name,
        kind: match column.kind {
            Kind::Gauge => store::Kind::Gauge,
            Kind::Counter => store::Kind::Counter,
        },
        values: column.values,
        present: match column.present {
            wire::Presence::All => store::Presence::All,
            wire::Presence::Bits(words) => store::Presence::Bits(words),
        },
    });
    store::Rows { columns: columns.collect(), t_ms: rows.t_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn a_device_is_the_same_for_the_same_seed_and_another_for_another() {
        let rows = |seed, number| Device::new(seed, number, 24).rows(NOW, 1_000, 100);
        assert_eq!(rows(1, 1), rows(1, 1));
        assert_ne!(rows(1, 1), rows(1, 2));
        assert_ne!(rows(1, 1), rows(2, 1));
    }

    #[test]
    fn values_look_like_those_of_an_agent() {
        let mut device = Device::new(1, 1, 30);
        let rows = device.rows(NOW, 10_000, 5_000);
        assert_eq!(rows.columns.len(), 30);
        for column in &rows.columns {
            wire::name::check(&column.name).unwrap();
            let values = &column.values;
            assert!(values.iter().all(|v| v.is_finite() && *v >= 0.0), "{}", column.name);
            if column.name.contains("percent") {
                assert!(values.iter().all(|v| *v <= 100.0 && one_decimal(*v) == *v), "{}", column.name);
            }
            if column.name.contains("_rate") || column.name.contains("used") || column.name == "uptime_s" {
                assert!(values.iter().all(|v| v.fract() == 0.0), "{}", column.name);
            }
            if column.kind == Kind::Counter {
                assert!(values.is_sorted(), "{}", column.name);
            }
        }
        let cpu = &rows.columns[0].values;
        let (least, most) = cpu.iter().fold((f64::MAX, 0.0_f64), |(a, b), v| (a.min(*v), b.max(*v)));
        assert!(most - least > 20.0, "{least} to {most}");
    }

    #[test]
    fn full_rates_are_quotients_and_all_else_stays_the_same() {
        let rows = |rates| Device::new(1, 1, 20).with_rates(rates).rows(NOW, 10_000, 1_000);
        let (whole, full) = (rows(Rates::Whole), rows(Rates::Full));
        for (whole, full) in whole.columns.iter().zip(&full.columns) {
            if !["net_tx_rate", "net_rx_rate"].contains(&whole.name.as_str()) {
                assert_eq!(whole, full);
                continue;
            }
            for (w, f) in whole.values.iter().zip(&full.values) {
                assert!((w - f).abs() <= 0.5 + w / 1_000.0, "{}: {w} and {f}", whole.name);
            }
            // A number of few digits is there by chance at most.
            let short = full.values.iter().filter(|v| format!("{v}").len() < 12).count();
            assert!(short < 10, "{}: {short}", full.name);
        }
    }

    #[test]
    fn the_number_of_metrics_is_as_asked() {
        for (asked, got) in [(0, 1), (1, 1), (20, 20), (21, 21), (5_000, METRICS_MAX)] {
            assert_eq!(Device::new(1, 1, asked).metrics().len(), got);
        }
    }
}
