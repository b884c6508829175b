//! What the agent says about itself: one line each, on standard error.

use std::fmt;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::calendar;

/// Something that happened and is as it should be.
pub fn info(message: impl fmt::Display) {
    line("info", &message);
}

/// Something a person may have to look at.
pub fn warn(message: impl fmt::Display) {
    line("warn", &message);
}

fn line(level: &str, message: &dyn fmt::Display) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // A text from outside must not be able to write a line of its own or move the cursor.
    let message = message.to_string().replace(char::is_control, " ");
    // Where this cannot be written, as to a file on a full disk, the agent has more to do than to say so.
    let _ = writeln!(std::io::stderr(), "{} {level} {message}", timestamp(now));
}

/// `2026-11-22T13:20:05Z` of Unix seconds.
fn timestamp(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = calendar::civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_the_calendar_s() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_795_353_605, "2026-11-22T13:20:05Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp(seconds), text);
        }
    }
}
