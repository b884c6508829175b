//! Settings that people change on the page.
//!
//! What the configuration gives (file, environment or flag) is fixed and wins; then comes what was chosen on the page;
//! then the default. A choice that the configuration hides is kept, and counts again when the configuration gives the
//! setting up.

use crate::retention::{DAY_MS, Retention};
use std::collections::BTreeMap;

/// The zone in which days begin, when nobody asks for another.
pub const TIME_ZONE: &str = "time_zone";

/// All of them, with the names they have in the configuration.
pub const SETTINGS: [&str; 10] = [
    TIME_ZONE,
    "retention_raw_days",
    "retention_raw_bytes",
    "retention_5m_days",
    "retention_5m_bytes",
    "retention_1h_days",
    "retention_1h_bytes",
    "retention_logs_days",
    "retention_logs_bytes",
    "retention_events_days",
];

/// What is in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// An IANA name; `None`: UTC.
    pub time_zone: Option<String>,
    /// How long everything is kept.
    pub retention: Retention,
    /// What holds for a setting of retention that nobody chose.
    pub configured: Retention,
    /// Names of the settings that the configuration gives: they cannot be changed here.
    pub fixed: Vec<&'static str>,
}

impl Settings {
    /// What is in force of what was configured and chosen; a choice that cannot be read counts as none.
    pub fn of(
        configured: Retention,
        fixed: Vec<&'static str>,
        chosen: &BTreeMap<String, String>,
    ) -> Settings {
        let mut settings = Settings { time_zone: None, retention: configured, configured, fixed };
        for name in SETTINGS.iter().copied().filter(|name| !settings.fixed.contains(name)) {
            let Some(value) = chosen.get(name) else { continue };
            if name == TIME_ZONE {
                settings.time_zone = Some(value.clone());
            } else if let Some(number) = value.parse::<u64>().ok().filter(|number| *number > 0) {
                set(&mut settings.retention, name, number);
            }
        }
        settings
    }
}

fn set(retention: &mut Retention, name: &str, number: u64) {
    let keep = match name {
        "retention_raw_days" | "retention_raw_bytes" => &mut retention.raw,
        "retention_5m_days" | "retention_5m_bytes" => &mut retention.five_minutes,
        "retention_1h_days" | "retention_1h_bytes" => &mut retention.hour,
        "retention_logs_days" | "retention_logs_bytes" => &mut retention.logs,
        "retention_events_days" => &mut retention.events,
        _ => return,
    };
    if name.ends_with("_days") {
        keep.age_ms = i64::try_from(number).unwrap_or(i64::MAX).saturating_mul(DAY_MS);
    } else {
        keep.bytes = Some(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::Keep;

    #[test]
    fn the_configuration_wins_over_the_page_and_the_page_over_the_default() {
        let configured = Retention { raw: Keep::days(7), ..Retention::default() };
        let chosen: BTreeMap<String, String> = [
            ("retention_raw_days", "60"),
            ("retention_raw_bytes", "5000000"),
            ("retention_logs_days", "14"),
            ("retention_1h_days", "many"),
            ("time_zone", "Europe/Berlin"),
            ("unknown", "1"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
        let settings = Settings::of(configured, vec!["retention_raw_days"], &chosen);
        let expected = Retention {
            raw: Keep { bytes: Some(5_000_000), ..Keep::days(7) },
            logs: Keep::days(14),
            ..configured
        };
        assert_eq!(settings.retention, expected);
        assert_eq!(settings.time_zone.as_deref(), Some("Europe/Berlin"));
        assert_eq!(Settings::of(configured, vec!["time_zone"], &chosen).time_zone, None);
    }

    #[test]
    fn every_setting_of_retention_does_something() {
        for name in SETTINGS.iter().filter(|name| **name != TIME_ZONE) {
            let mut retention = Retention::default();
            set(&mut retention, name, 1_234_567);
            assert_ne!(retention, Retention::default(), "{name}");
        }
    }
}
