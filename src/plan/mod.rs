//! `openclaw-watch plan`: how much of a machine a fleet needs, and what limits it first.

mod answer;
mod calibrate;
mod costs;
mod forecast;
mod load;
mod machine;

use std::io::Write as _;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::Config;
use answer::Answer;
use forecast::{Fleet, Forecast};

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    devices: u32,
    metrics: u32,
    interval: Duration,
    /// Instead of the retention of raw rows that is set.
    raw_days: Option<u32>,
    /// Measure the costs on this machine first.
    calibrate: bool,
    json: bool,
}

/// The command line of it.
pub fn command() -> Command {
    let number = |name: &'static str, default: &'static str, most: i64, help: &'static str| {
        let parser = clap::value_parser!(u32).range(1..=most);
        Arg::new(name)
            .long(name)
            .value_name("NUMBER")
            .default_value(default)
            .allow_hyphen_values(true)
            .value_parser(parser)
            .help(help)
    };
    Command::new("plan")
        .about("Say how much of a machine a fleet needs, and what limits it first")
        .arg(number("devices", "100", 10_000_000, "Devices of the fleet"))
        .arg(number("metrics", "20", 100_000, "Metrics of each device"))
        .arg(
            Arg::new("interval")
                .long("interval")
                .value_name("TIME")
                .allow_hyphen_values(true)
                .default_value("10s")
                .value_parser(interval)
                .help("Time between two reports of a device, like 500ms, 1s or 5m"),
        )
        .arg(
            Arg::new("raw_days")
                .long("raw-days")
                .value_name("DAYS")
                .allow_hyphen_values(true)
                .value_parser(clap::value_parser!(u32).range(1..=36_500))
                .help("Days that rows are kept as they came, instead of the setting retention_raw_days"),
        )
        .arg(flag(
            "calibrate",
            "Measure first what a report and a sample cost on this machine, in well under a minute, and keep that in the data \
             folder for the next plan",
        ))
        .arg(flag("json", "Answer as JSON"))
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn interval(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ms = match &text[digits.len()..] {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let ms = unit_ms.and_then(|unit| digits.parse::<u64>().ok()?.checked_mul(unit));
    let ms = ms.filter(|ms| (10..=86_400_000).contains(ms));
    ms.map(Duration::from_millis).ok_or_else(|| "must be from 10ms to 24h, like 500ms, 1s or 5m".into())
}

impl Question {
    /// From what [`command`] matched.
    pub fn of(matches: &ArgMatches) -> Question {
        let number = |name: &str| matches.get_one::<u32>(name).copied();
        Question {
            devices: number("devices").expect("it has a default"),
            metrics: number("metrics").expect("it has a default"),
            interval: *matches.get_one::<Duration>("interval").expect("it has a default"),
            raw_days: number("raw_days"),
            calibrate: matches.get_flag("calibrate"),
            json: matches.get_flag("json"),
        }
    }

    fn fleet(&self, config: &Config) -> Fleet {
        let tiers = store::Tier::ALL.map(|tier| config.retention.tier(tier));
        let mut days = tiers.map(|keep| keep.age_ms as f64 / 86_400_000.0);
        if let Some(raw_days) = self.raw_days {
            days[0] = f64::from(raw_days);
        }
        Fleet {
            devices: f64::from(self.devices),
            metrics: f64::from(self.metrics),
            interval_s: self.interval.as_secs_f64(),
            days,
            bytes_max: tiers.map(|keep| keep.bytes.map(|bytes| bytes as f64)),
            head_samples: config.limits.head_samples as f64,
        }
    }
}

/// Prints the answer. Retention, limits and the data folder are those of the configuration.
pub fn run(config: &Config, question: &Question) -> anyhow::Result<()> {
    if question.calibrate {
        calibrate(config)?;
    }
    let origin = costs::load(&config.data_dir)?;
    let fleet = question.fleet(config);
    let forecast = Forecast::of(&fleet, &origin.costs);
    let answer = Answer { forecast, machine: machine::this_one(&config.data_dir), fleet, origin };
    let text = if question.json { format!("{:#}\n", answer.json()) } else { answer.text() };
    // Nobody reads it any more when this fails.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}

/// Measures, and keeps what was measured. On standard error, so that the answer stays JSON.
fn calibrate(config: &Config) -> anyhow::Result<()> {
    eprintln!("Measuring for about half a minute; it tells the truth when nothing else runs …");
    let measured = calibrate::measure(&config.data_dir)?;
    let now = jiff::Timestamp::now().round(jiff::Unit::Second)?;
    let path = costs::keep(&config.data_dir, &measured, &now.to_string())?;
    eprintln!("Kept in {}; delete that file to go back to the built-in figures.", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_a_unit_and_bounds() {
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("5m"), Ok(Duration::from_secs(300)));
        for odd in ["", "5", "s", "0s", "1ms", "25h", "-1s", "1.5s", "99999999999999999999h", "1é"] {
            assert!(interval(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_flag_and_what_it_takes() {
        for (args, why) in [
            ("--devices 0", "--devices <NUMBER>': 0 is not in 1..=10000000"),
            ("--devices many", "invalid digit"),
            ("--metrics 100001", "100001 is not in 1..=100000"),
            ("--raw-days 0", "--raw-days <DAYS>': 0 is not in 1..=36500"),
            ("--interval 5", "--interval <TIME>': must be from 10ms to 24h, like 500ms, 1s or 5m"),
            ("--interval -1s", "--interval <TIME>': must be from 10ms to 24h, like 500ms, 1s or 5m"),
            ("--metrics -5", "--metrics <NUMBER>': -5 is not in 1..=100000"),
            ("--days 5", "unexpected argument '--days'"),
            ("30", "unexpected argument '30'"),
        ] {
            let error =
                command().try_get_matches_from(["plan"].into_iter().chain(args.split(' '))).unwrap_err();
            assert!(error.to_string().contains(why), "{args}: {error}");
        }
    }

    #[test]
    fn without_flags_it_is_a_fleet_of_agents_as_they_come() {
        let question = Question::of(&command().get_matches_from(["plan"]));
        assert_eq!(
            question,
            Question {
                devices: 100,
                metrics: 20,
                interval: Duration::from_secs(10),
                raw_days: None,
                calibrate: false,
                json: false,
            }
        );
    }
}
