//! Moments as the older server wrote them: with or without a zone, as text or as a number.

use anyhow::Context;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rusqlite::types::ValueRef;
use store::Timestamp;

/// Numbers below this are seconds: as milliseconds they would be of 1970.
const SECONDS_MAX: f64 = 1e11;
/// The end of the year 9999.
const MS_MAX: f64 = 253_402_300_799_999.0;

/// The zone of times that are written without one.
pub fn zone(name: &str) -> anyhow::Result<TimeZone> {
    TimeZone::get(name).with_context(|| format!("{name:?} is no IANA time zone like UTC or Asia/Shanghai"))
}

/// Unix milliseconds; `None` for what is no moment.
pub fn read(value: ValueRef<'_>, zone: &TimeZone) -> Option<Timestamp> {
    match value {
        ValueRef::Integer(number) => of_number(number as f64),
        ValueRef::Real(number) => of_number(number),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).ok()?.trim();
            of_text(text, zone).or_else(|| of_number(text.parse().ok()?))
        }
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

/// `2026-11-24`, in UTC.
pub fn day(t_ms: Timestamp) -> String {
    let moment = jiff::Timestamp::from_millisecond(t_ms);
    moment.map(|moment| moment.to_zoned(TimeZone::UTC).date().to_string()).unwrap_or_default()
}

fn of_number(number: f64) -> Option<Timestamp> {
    let ms = if number < SECONDS_MAX { number * 1_000.0 } else { number };
    (ms > 0.0 && ms <= MS_MAX).then_some(ms.round() as Timestamp)
}

fn of_text(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(moment.as_millisecond()).filter(|ms| *ms > 0);
    }
    let local: DateTime = text.parse().ok()?;
    let moment = local.to_zoned(zone.clone()).ok()?.timestamp();
    Some(moment.as_millisecond()).filter(|ms| *ms > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, zone_name: &str, expected: Option<&str>) {
        let read = read(ValueRef::Text(text.as_bytes()), &zone(zone_name).unwrap());
        let expected = expected.map(|text| text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn a_moment_is_read_however_it_was_written() {
        let utc = Some("2026-01-02T03:04:05Z");
        check("2026-01-02 03:04:05", "UTC", utc);
        check("2026-01-02T03:04:05", "UTC", utc);
        check("2026-01-02T03:04:05Z", "Asia/Shanghai", utc);
        check("2026-01-02T03:04:05.000000+00:00", "Asia/Shanghai", utc);
        check("2026-01-02 11:04:05", "Asia/Shanghai", utc);
        check("2026-01-02 03:04:05.250", "UTC", Some("2026-01-02T03:04:05.250Z"));
        check("2026-01-02", "UTC", Some("2026-01-02T00:00:00Z"));
        check("1767323045", "UTC", utc);
        for odd in ["", "soon", "2026-13-01 00:00:00", "1969-01-01 00:00:00", "-5"] {
            check(odd, "UTC", None);
        }
    }

    #[test]
    fn numbers_are_seconds_or_milliseconds() {
        let read = |value| read(value, &TimeZone::UTC);
        assert_eq!(read(ValueRef::Integer(1_767_323_045)), Some(1_767_323_045_000));
        assert_eq!(read(ValueRef::Real(1_767_323_045.5)), Some(1_767_323_045_500));
        assert_eq!(read(ValueRef::Integer(1_767_323_045_123)), Some(1_767_323_045_123));
        for odd in
            [ValueRef::Integer(0), ValueRef::Integer(i64::MAX), ValueRef::Real(f64::NAN), ValueRef::Null]
        {
            assert_eq!(read(odd), None);
        }
    }
}
