//! What the benches, the load generator and the comparison share: devices whose values look like those of real agents,
//! and a client for a server on this machine.

pub mod client;
pub mod cpu_only;
pub mod devices;
pub mod process;
pub mod running;

use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub use mix;
pub use mix::rng;

/// Does this bench measure? Else it runs once, as a smoke test, and should be done soon.
pub fn is_measuring() -> bool {
    std::env::args().any(|arg| arg == "--bench")
}

/// A length of time from an argument such as `500ms`, `1s`, `2m` or `1h`, from a millisecond to a week.
pub fn duration(text: &str) -> Result<Duration> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let number: f64 = digits.parse().context("write it like 500ms, 1s, 2m or 1h")?;
    let unit_s = match &text[digits.len()..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => anyhow::bail!("write it with its unit, like 500ms, 1s, 2m or 1h"),
    };
    let seconds = number * unit_s;
    ensure!((0.001..=7.0 * 86_400.0).contains(&seconds), "from 1ms to 168h are possible");
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_bounds() {
        assert_eq!(duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(duration("1.5s").unwrap(), Duration::from_millis(1_500));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        for text in ["", "5", "s", "0s", "-1s", "1d", "1000h", "NaNs", "infs"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
