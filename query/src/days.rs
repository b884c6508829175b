//! Days of a time zone: a day is from its first moment to the next day's, which may be 23 or 25 hours.

use front::ApiError;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};
use store::{TimeRange, Timestamp, USAGE_SLOT_MS, UsageDays};

use crate::params::Params;

/// Takes `tz`, an IANA zone; when it is not given, the one that was chosen in the settings, else UTC.
pub(crate) fn zone(params: &mut Params, chosen: Option<&str>) -> Result<TimeZone, ApiError> {
    let Some(name) = params.one("tz")? else {
        return Ok(chosen.and_then(zone_of).unwrap_or(TimeZone::UTC));
    };
    zone_of(&name).ok_or_else(|| {
        ApiError::invalid("tz", "`tz` must be the name of an IANA time zone, like `Europe/Berlin`.")
    })
}

/// The zone of that IANA name.
pub(crate) fn zone_of(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

/// Takes a date like `2026-11-24`.
pub(crate) fn date(params: &mut Params, name: &str) -> Result<Option<Date>, ApiError> {
    params.one(name)?.map(|text| parse_date(name, &text)).transpose()
}

/// `text` as a date of the years 1970 to 9998.
pub(crate) fn parse_date(name: &str, text: &str) -> Result<Date, ApiError> {
    let plain = text.len() == 10 && text.bytes().all(|c| c.is_ascii_digit() || c == b'-');
    let date = text.parse::<Date>().ok().filter(|date| plain && (1970..=9998).contains(&date.year()));
    date.ok_or_else(|| ApiError::invalid(name, format!("`{name}` must be a date like `2026-11-24`.")))
}

/// The date that it is in a zone.
pub(crate) fn date_at(tz: &TimeZone, now: Timestamp) -> Result<Date, ApiError> {
    let moment = jiff::Timestamp::from_millisecond(now).map_err(|_| odd_clock(now))?;
    Ok(moment.to_zoned(tz.clone()).date())
}

/// From the first moment of one day to the first moment after another. `last` is not before `first`.
pub(crate) fn days(tz: &TimeZone, first: Date, last: Date) -> Result<TimeRange, ApiError> {
    let bounds = || -> Result<(i64, i64), jiff::Error> {
        let start = first.to_zoned(tz.clone())?.start_of_day()?;
        let end = last.tomorrow()?.to_zoned(tz.clone())?.start_of_day()?;
        Ok((start.timestamp().as_millisecond(), end.timestamp().as_millisecond()))
    };
    // The ledger's slots are quarters of an hour, as are the offsets of all zones since 1972.
    let slot = |t: i64| t - t.rem_euclid(USAGE_SLOT_MS);
    let range = bounds().ok().and_then(|(start, end)| TimeRange::new(slot(start), slot(end)));
    range.ok_or_else(|| ApiError::invalid("tz", "This zone has no such day."))
}

/// The days of an overview.
pub(crate) fn overview(tz: &TimeZone, now: Timestamp) -> Result<UsageDays, ApiError> {
    let today = date_at(tz, now)?;
    let off = |span: Span| today.checked_sub(span).map_err(|_| odd_clock(now));
    let yesterday = off(1.day())?;
    Ok(UsageDays {
        today: days(tz, today, today)?,
        yesterday: days(tz, yesterday, yesterday)?,
        month: days(tz, today.first_of_month(), today.last_of_month())?,
    })
}

fn odd_clock(now: Timestamp) -> ApiError {
    tracing::error!(now, "the server's clock shows a time without a day");
    ApiError::internal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(tz: &str, now: &str, hours: f64, start: &str) {
        let now: jiff::Timestamp = now.parse().unwrap();
        let tz = TimeZone::get(tz).unwrap();
        let days = overview(&tz, now.as_millisecond()).unwrap();
        let range = days.today;
        assert!(range.contains(now.as_millisecond()));
        assert_eq!(range.length_ms() as f64 / 3_600_000.0, hours);
        assert_eq!(range.start(), start.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        assert_eq!(days.yesterday.end(), range.start());
        assert!(days.month.start() <= range.start() && days.month.end() >= range.end());
    }

    #[test]
    fn a_day_is_as_long_as_its_zone_says() {
        check("UTC", "2026-11-22T13:00:00Z", 24.0, "2026-11-22T00:00:00Z");
        check("Europe/Berlin", "2026-03-29T12:00:00Z", 23.0, "2026-03-28T23:00:00Z");
        check("Europe/Berlin", "2026-10-25T12:00:00Z", 25.0, "2026-10-24T22:00:00Z");
        check("Australia/Lord_Howe", "2026-04-05T03:00:00Z", 24.5, "2026-04-04T13:00:00Z");
        check("America/Sao_Paulo", "2018-11-04T12:00:00Z", 23.0, "2018-11-04T03:00:00Z");
        check("Asia/Kathmandu", "2026-11-22T18:20:00Z", 24.0, "2026-11-22T18:15:00Z");
    }

    #[test]
    fn the_days_of_a_month_follow_one_another_without_a_hole() {
        let tz = TimeZone::get("America/New_York").unwrap();
        let first: Date = "2026-11-01".parse().unwrap();
        let month = days(&tz, first, first.last_of_month()).unwrap();
        let mut end = month.start();
        for day in first.series(1.day()).take(30) {
            let range = days(&tz, day, day).unwrap();
            assert_eq!(range.start(), end);
            end = range.end();
        }
        assert_eq!((end, month.length_ms()), (month.end(), (30 * 24 + 1) * 3_600_000));
    }

    #[test]
    fn an_unknown_zone_is_named() {
        for odd in ["Mars/Olympus", "../etc/passwd", "%00"] {
            let mut params = Params::parse(Some(&format!("tz={odd}"))).unwrap();
            assert_eq!(zone(&mut params, Some("UTC")).unwrap_err().field.as_deref(), Some("tz"));
        }
    }

    #[test]
    fn a_date_is_written_in_one_way() {
        assert!(parse_date("from", "2026-11-24").is_ok());
        for odd in ["", "2026-11", "2026-11-31", "20261124", "2026-11-24T00", "1969-12-31", "9999-01-01"] {
            assert_eq!(parse_date("from", odd).unwrap_err().field.as_deref(), Some("from"), "{odd}");
        }
    }
}
