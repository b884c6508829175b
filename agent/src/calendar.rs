//! Days, and times as JavaScript and HTTP write them.

/// Days from 1970-01-01 to a day of the Gregorian calendar, before it for years from 0 on.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years are counted from March, so that the leap day is the last one: then the length of every
    // earlier month is fixed, and 153 days are always five months.
    const DAYS_TO_1970: i64 = 719_468;
    let (year, month_from_march) = (year - i64::from(month < 3), (month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - DAYS_TO_1970
}

/// Year, month and day of a day counted from 1970-01-01.
pub fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468;
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days + DAYS_TO_1970;
    let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day_of_month)
}

/// Unix seconds of `Sun, 06 Nov 1994 08:49:37 GMT`, the form that HTTP demands of whoever writes one
/// (RFC 9110, 5.6.7).
pub fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.trim().split_once(", ")?;
    let mut parts = rest.split(' ');
    let mut next = || parts.next();
    let (day, month, year, time) = (number(next()?)?, next()?, number(next()?)?, next()?);
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let mut clock = time.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let good = (1970..=9999).contains(&year)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61
        && next() == Some("GMT");
    good.then(|| ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Unix milliseconds of `2026-11-22T10:39:42.627+01:00`, with or without the fraction (RFC 3339).
pub fn timestamp(text: &str) -> Option<i64> {
    let signs = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if signs.iter().any(|(at, sign)| text.as_bytes().get(*at) != Some(sign)) {
        return None;
    }
    let part = |range: std::ops::Range<usize>| number(text.get(range)?);
    let (year, month, day) = (part(0..4)?, part(5..7)?, part(8..10)?);
    let (hour, minute, second) = (part(11..13)?, part(14..16)?, part(17..19)?);
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
        None => ("000", rest),
    };
    let ms = number(format!("{fraction:0<3}").get(..3)?)?;
    let offset = match zone.as_bytes() {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let minutes = number(zone.get(1..3)?)? * 60 + number(zone.get(4..6)?)?;
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    let good = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    good.then(|| (((days(year, month, day) * 24 + hour) * 60 + minute - offset) * 60 + second) * 1_000 + ms)
}

fn number(digits: &str) -> Option<i64> {
    let good = !digits.is_empty() && digits.len() <= 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_each_other_s_reverse() {
        for (day, date) in [
            (0, (1970, 1, 1)),
            (11_016, (2000, 2, 29)),
            (19_782, (2024, 2, 29)),
            (20_088, (2024, 12, 31)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(civil(day), date);
            let (year, month, of_month) = (date.0 as i64, date.1 as i64, date.2 as i64);
            assert_eq!(days(year, month, of_month), day as i64);
        }
    }

    #[test]
    fn dates_are_read_as_http_writes_them() {
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Tue, 24 Nov 2026 14:45:03 GMT", Some(1_795_531_503)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37 +01", None),
            ("Sun, 06 Nov 1994 24:00:00 GMT", None),
            ("Sun, 32 Nov 1994 08:00:00 GMT", None),
            ("120", None),
            ("", None),
        ] {
            assert_eq!(http_date(text), expected, "{text}");
        }
    }

    #[test]
    fn times_are_the_calendar_s() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-28T23:59:59.000Z", Some(951_782_399_000)),
            ("2000-02-29T00:00:00.001Z", Some(951_782_400_001)),
            ("2000-02-29T00:00:00.5Z", Some(951_782_400_500)),
            ("2100-03-01T00:00:00.000Z", Some(4_107_542_400_000)),
            ("2026-11-22T14:20:05.123456+01:00", Some(1_795_353_605_123)),
            ("2026-11-22T07:50:05-05:30", Some(1_795_353_605_000)),
            ("2026-11-22", None),
            ("2026-11-22T13:20:05", None),
            ("2026-11-22T13:20:05.5", None),
            ("2026-11-22T24:00:00Z", None),
            ("2026-11-22 13:20:05Z", None),
            ("2026-13-22T00:00:00Z", None),
            ("2026-11-22T1é:20:05Z", None),
            ("2026-11-22T00:00:00é", None),
            ("+026-11-22T00:00:00Z", None),
        ] {
            assert_eq!(timestamp(text), expected, "{text}");
        }
    }
}
