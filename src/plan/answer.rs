//! How the answer is told, to people and to programs.

use std::fmt::Write as _;

use serde_json::json;

use super::costs::Origin;
use super::forecast::{Fleet, Forecast, Machine, Share, shares};

/// How much of what limits first may be taken: the rest is for queries, merging and bad days.
const SHARE_MAX: f64 = 0.7;

/// Everything that is told.
pub struct Answer {
    pub fleet: Fleet,
    pub origin: Origin,
    pub forecast: Forecast,
    pub machine: Machine,
}

/// As in the text, and as in JSON.
const TIERS: [(&str, &str); 3] = [("raw rows", "raw"), ("5 minutes", "5m"), ("1 hour", "1h")];

impl Answer {
    fn shares(&self) -> Vec<Share> {
        shares(&self.forecast, &self.machine)
    }

    /// How many devices of this kind fit on this machine.
    fn devices_max(&self) -> f64 {
        let share = |devices: f64| {
            let fleet = Fleet { devices, ..self.fleet };
            shares(&Forecast::of(&fleet, &self.origin.costs), &self.machine)[0].share
        };
        // Every share grows with the devices.
        let (mut low, mut high) = (0.0, 1e9);
        while high - low > 1.0 {
            let middle = ((low + high) / 2.0_f64).floor();
            if share(middle) <= SHARE_MAX { low = middle } else { high = middle }
        }
        low
    }

    /// For people.
    pub fn text(&self) -> String {
        let (fleet, forecast, machine) = (&self.fleet, &self.forecast, &self.machine);
        let mut text = format!(
            "{} devices x {} metrics every {} s: {} reports and {} samples a second\n\n",
            whole(fleet.devices),
            whole(fleet.metrics),
            fleet.interval_s,
            whole(forecast.reports_per_s),
            whole(forecast.samples_per_s)
        );
        let mut line = |what: &str, needed: String, here: String| {
            let line = format!("{what:<24}{needed:>12}{here:>12}");
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}", line.trim_end());
        };
        let of = |have: Option<f64>| have.map_or("unknown".to_string(), bytes);
        line("", "needed".into(), "here".into());
        line("cores", format!("{:.3}", forecast.cores), format!("{}", machine.cores));
        line("memory", bytes(forecast.memory_bytes), of(machine.memory_bytes));
        line("disk", bytes(forecast.disk_bytes()), of(machine.disk_bytes));
        for (at, (name, _)) in TIERS.iter().enumerate() {
            let days = if fleet.days[at] == 1.0 { "day" } else { "days" };
            let name = format!("  {name}, {} {days}", whole(fleet.days[at]));
            line(&name, bytes(forecast.tier_bytes[at]), String::new());
        }
        line("  tail, logs of files", bytes(forecast.tail_bytes), String::new());
        line("network in", format!("{}/s", bytes(forecast.in_bytes_per_s)), String::new());
        line("network out", format!("{}/s", bytes(forecast.out_bytes_per_s)), String::new());
        let (first, most) = (self.shares()[0], self.devices_max());
        let _ = write!(
            text,
            "\nLimits first: {}, {:.0} % of what is here. {} such devices take 70 % of it.\n\
             Not counted: log lines, token usage, queries, TLS. Sizes are of an agent's usual metrics; a value with all its \
             digits, such as a quotient, takes up to 7 bytes.\n\nCosts, measured on {}",
            first.what,
            first.share * 100.0,
            whole(most),
            self.origin.measured_on
        );
        text += if self.origin.is_ours { ":\n" } else { " (--calibrate measures this machine):\n" };
        for (name, value) in self.origin.costs.named() {
            let (name, unit) = match name.strip_suffix("_per_s") {
                Some(name) => (name, "/s"),
                None => name.rsplit_once('_').unwrap_or((name, "")),
            };
            let _ = writeln!(text, "  {:<28}{value:>14.2} {unit}", name.replace('_', " "));
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        let (fleet, forecast, machine) = (&self.fleet, &self.forecast, &self.machine);
        let by_tier = |values: [f64; 3]| -> serde_json::Map<String, serde_json::Value> {
            TIERS.iter().zip(values).map(|((_, name), value)| ((*name).to_string(), json!(value))).collect()
        };
        let shares: serde_json::Map<_, _> =
            self.shares().iter().map(|share| (share.what.to_string(), json!(share.share))).collect();
        let costs: serde_json::Map<_, _> = self
            .origin
            .costs
            .named()
            .into_iter()
            .map(|(name, value)| (name.to_string(), json!(value)))
            .collect();
        json!({
            "devices": fleet.devices,
            "metrics": fleet.metrics,
            "interval_s": fleet.interval_s,
            "days": by_tier(fleet.days),
            "reports_per_s": forecast.reports_per_s,
            "samples_per_s": forecast.samples_per_s,
            "needed": {
                "cores": forecast.cores,
                "memory_bytes": forecast.memory_bytes,
                "disk_bytes": forecast.disk_bytes(),
                "tier_bytes": by_tier(forecast.tier_bytes),
                "tail_bytes": forecast.tail_bytes,
                "network_in_bytes_per_s": forecast.in_bytes_per_s,
                "network_out_bytes_per_s": forecast.out_bytes_per_s,
            },
            "here": {
                "cores": machine.cores,
                "memory_bytes": machine.memory_bytes,
                "disk_bytes": machine.disk_bytes,
            },
            "limits_first": self.shares()[0].what,
            "shares": shares,
            "devices_max": self.devices_max(),
            "costs": costs,
            "measured_on": self.origin.measured_on,
        })
    }
}

/// `1.5 GB`: decimal, as disks and networks are sold.
fn bytes(n: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let step = (n.max(1.0).log10() / 3.0).floor().clamp(0.0, 5.0);
    let value = n / 1_000f64.powf(step);
    let decimals = if step == 0.0 { 0 } else { 1 };
    format!("{value:.decimals$} {}", units[step as usize])
}

/// `12,345`; with its decimals below 10.
fn whole(n: f64) -> String {
    if n < 10.0 && n.fract() != 0.0 {
        return format!("{n:.2}");
    }
    let digits = format!("{n:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::costs::MEASURED;

    fn answer(devices: f64) -> Answer {
        let fleet = Fleet {
            devices,
            metrics: 20.0,
            interval_s: 1.0,
            days: [30.0, 400.0, 1_825.0],
            bytes_max: [None; 3],
            head_samples: 4e6,
        };
        Answer {
            fleet,
            origin: Origin { costs: MEASURED, measured_on: "a test".into(), is_ours: false },
            forecast: Forecast::of(&fleet, &MEASURED),
            machine: Machine { cores: 2.0, memory_bytes: Some(8e9), disk_bytes: Some(1e12) },
        }
    }

    #[test]
    fn as_many_devices_as_are_said_to_fit_take_seven_tenths_of_what_limits() {
        let max = answer(1.0).devices_max();
        let share = |devices| answer(devices).shares()[0].share;
        assert!(max > 1.0 && share(max) <= SHARE_MAX && share(max + 1.0) > SHARE_MAX, "{max}");
    }

    #[test]
    fn both_forms_say_the_same() {
        let answer = answer(5_000.0);
        let (text, json) = (answer.text(), answer.json());
        assert!(text.starts_with(
            "5,000 devices x 20 metrics every 1 s: 5,000 reports and 100,000 samples a second\n"
        ));
        let first = answer.shares()[0].what;
        assert!(text.contains(&format!("Limits first: {first}, ")), "{text}");
        assert_eq!((&json["limits_first"], &json["samples_per_s"]), (&json!(first), &json!(100_000.0)));
        for (at, (name, key)) in TIERS.iter().enumerate() {
            let bytes = bytes(answer.forecast.tier_bytes[at]);
            assert!(text.lines().any(|l| l.contains(name) && l.ends_with(&bytes)), "{text}");
            assert_eq!(json["needed"]["tier_bytes"][key], answer.forecast.tier_bytes[at]);
        }
        for (name, value) in MEASURED.named() {
            assert_eq!(json["costs"][name], value);
        }
    }

    #[test]
    fn numbers_have_a_form_that_suits_them() {
        for (n, text) in
            [(0.0, "0 B"), (999.0, "999 B"), (1_500.0, "1.5 kB"), (2e9, "2.0 GB"), (3e18, "3000.0 PB")]
        {
            assert_eq!(bytes(n), text);
        }
        for (n, text) in
            [(0.0, "0"), (0.333, "0.33"), (7.0, "7"), (123.4, "123"), (1_234.0, "1,234"), (1e6, "1,000,000")]
        {
            assert_eq!(whole(n), text);
        }
    }
}
