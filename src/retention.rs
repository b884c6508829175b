//! The settings of retention: days and bytes.

use store::{Keep, Retention};

/// A century: more is a slip of the finger.
const DAYS_MAX: i64 = 36_500;

/// Less than this holds nothing worth keeping.
const BYTES_MIN: u64 = 1_000_000;

/// Puts it together. `days` and `bytes` look a setting up by its name; `None` from `days`: it has a fault, which is told.
pub fn retention(
    mut days: impl FnMut(&'static str) -> Option<i64>,
    mut bytes: impl FnMut(&'static str) -> Option<u64>,
) -> Option<Retention> {
    // All are looked up, so that every fault is told.
    let raw = (days("retention_raw_days"), bytes("retention_raw_bytes"));
    let five_minutes = (days("retention_5m_days"), bytes("retention_5m_bytes"));
    let hour = (days("retention_1h_days"), bytes("retention_1h_bytes"));
    let logs = (days("retention_logs_days"), bytes("retention_logs_bytes"));
    let events = (days("retention_events_days"), None);
    let keep = |(days, bytes): (Option<i64>, Option<u64>)| Some(Keep { bytes, ..Keep::days(days?) });
    Some(Retention {
        raw: keep(raw)?,
        five_minutes: keep(five_minutes)?,
        hour: keep(hour)?,
        logs: keep(logs)?,
        events: keep(events)?,
    })
}

/// `30`: at least 1.
pub fn days(text: &str) -> Result<i64, String> {
    let days = text.parse().ok().filter(|days| (1..=DAYS_MAX).contains(days));
    days.ok_or_else(|| format!("must be a whole number of days from 1 to {DAYS_MAX}"))
}

/// `500MB`, `20GB`, `1TB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: u64 = match &text[digits.len()..] {
        "" => 1,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => 0,
    };
    let bytes = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).filter(|n| *n >= BYTES_MIN);
    bytes.ok_or_else(|| "must be at least 1MB and look like 500MB, 20GB or 1TB".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_a_whole_number_of_at_least_one() {
        assert_eq!(days("30"), Ok(30));
        for odd in ["", "0", "-1", "1.5", "30d", "36501", "99999999999999999999"] {
            assert!(days(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn bytes_have_a_unit() {
        assert_eq!(bytes("20GB"), Ok(20_000_000_000));
        assert_eq!(bytes("500MB"), Ok(500_000_000));
        assert_eq!(bytes("1500000"), Ok(1_500_000));
        for odd in ["", "GB", "0GB", "20", "20 GB", "20gb", "-1GB", "1.5GB", "99999999999TB", "20GBx", "2é"]
        {
            assert!(bytes(odd).is_err(), "{odd}");
        }
    }
}
