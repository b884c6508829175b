//! Who is online? Decided from times only, by the server's clock.

use crate::DeviceState;
use crate::types::Timestamp;
use std::collections::{BTreeMap, VecDeque};

/// A device is offline after this many of its intervals without a report.
pub const MISSED_INTERVALS: i64 = 3;

/// … but never sooner than this, milliseconds.
pub const SILENCE_MIN_MS: i64 = 10_000;

/// After its own start the server waits at least this long for a device that was there before: an agent whose tries were
/// not answered rests for up to a minute between two. Milliseconds.
pub const RECONNECT_MS: i64 = 60_000;

/// What is assumed of a device that does not say how often it reports, until it was seen often enough. Milliseconds.
pub const INTERVAL_DEFAULT_MS: u32 = 30_000;

/// Longest interval that is believed, milliseconds.
pub const INTERVAL_MAX_MS: u32 = 3_600_000;

/// Distances between reports that are remembered to learn from.
const DISTANCES_MAX: usize = 8;

/// Distances needed before they are trusted.
const DISTANCES_MIN: usize = 3;

/// How often a device reports: as it says, or as learned.
#[derive(Debug, Clone, Default)]
pub struct Interval {
    declared_ms: Option<u32>,
    restored_ms: Option<u32>,
    distances_ms: VecDeque<u32>,
}

impl Interval {
    /// As it was known before the server's restart: believed until the device says or shows otherwise.
    pub fn restored(ms: Option<u32>) -> Interval {
        Interval { restored_ms: ms, ..Interval::default() }
    }

    /// A report arrived.
    pub fn note(&mut self, declared_ms: Option<u32>, last: Option<Timestamp>, now: Timestamp) {
        if let Some(ms) = declared_ms {
            self.declared_ms = Some(ms.clamp(1_000, INTERVAL_MAX_MS));
            return;
        }
        let Some(last) = last else { return };
        // Several reports at once (a script catching up) say nothing about the rhythm.
        let distance = now.saturating_sub(last);
        if distance >= 500 {
            if self.distances_ms.len() == DISTANCES_MAX {
                self.distances_ms.pop_front();
            }
            self.distances_ms.push_back(distance.min(i64::from(INTERVAL_MAX_MS)) as u32);
        }
    }

    /// In milliseconds; the median of the last distances when the device does not say.
    pub fn ms(&self) -> u32 {
        if let Some(ms) = self.declared_ms {
            return ms;
        }
        if self.distances_ms.len() < DISTANCES_MIN {
            return self.restored_ms.unwrap_or(INTERVAL_DEFAULT_MS);
        }
        let mut sorted: Vec<u32> = self.distances_ms.iter().copied().collect();
        sorted.sort_unstable();
        sorted[sorted.len() / 2].max(1_000)
    }
}

/// For how long a device may be silent before it is offline, milliseconds.
pub fn silence_allowed_ms(interval_ms: u32) -> i64 {
    (MISSED_INTERVALS * i64::from(interval_ms)).max(SILENCE_MIN_MS)
}

/// State and reason of a device. `heard_ms` is its last report, or the server's start if that was later: the server
/// could not hear it before.
pub fn judge(
    last_seen_ms: Option<Timestamp>,
    heard_ms: Timestamp,
    interval_ms: u32,
    states: &BTreeMap<String, String>,
    now: Timestamp,
) -> (DeviceState, Option<String>) {
    if last_seen_ms.is_none() {
        return (DeviceState::New, None);
    }
    if now.saturating_sub(heard_ms) >= silence_allowed_ms(interval_ms) {
        return (DeviceState::Offline, Some("no_report".into()));
    }
    let trouble = trouble(states);
    let state = if trouble.is_some() { DeviceState::Degraded } else { DeviceState::Online };
    (state, trouble)
}

/// What is wrong with a device that reports, as a word: the gateway first, because it explains the others.
fn trouble(states: &BTreeMap<String, String>) -> Option<String> {
    let state = |name: &str| states.get(name).map(String::as_str);
    match state("gateway") {
        None | Some("running" | "starting" | "not_installed" | "unknown") => {}
        Some(other) => return Some(format!("gateway_{other}")),
    }
    match state("usage") {
        // Tokens that nobody counts would look like a day without any.
        Some(bad @ ("quiet" | "unreadable" | "unknown_schema")) => Some(format!("usage_{bad}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(last_seen: Option<i64>, heard: i64, interval: u32, states: &str, now: i64, expected: &str) {
        // Each "gateway", or "name=state".
        let pair = |text: &str| {
            let (name, state) = text.split_once('=').unwrap_or(("gateway", text));
            (name.to_string(), state.to_string())
        };
        let states = states.split_whitespace().map(pair).collect();
        let (state, reason) = judge(last_seen, heard, interval, &states, now);
        let found = format!("{}{}", state.as_str(), reason.map_or(String::new(), |r| format!(": {r}")));
        assert_eq!(found, expected);
    }

    #[test]
    fn three_intervals_of_silence_are_offline() {
        check(Some(0), 0, 10_000, "", 29_999, "online");
        check(Some(0), 0, 10_000, "", 30_000, "offline: no_report");
    }

    #[test]
    fn short_intervals_get_ten_seconds() {
        check(Some(0), 0, 1_000, "", 9_999, "online");
        check(Some(0), 0, 1_000, "", 10_000, "offline: no_report");
    }

    #[test]
    fn a_restarted_server_waits_before_it_judges() {
        check(Some(0), 1_000_000, 10_000, "", 1_029_999, "online");
        check(Some(0), 1_000_000, 10_000, "", 1_030_000, "offline: no_report");
    }

    #[test]
    fn a_device_that_never_reported_is_new() {
        check(None, 0, 10_000, "", 1_000_000, "new");
    }

    #[test]
    fn a_gateway_in_trouble_is_degraded() {
        check(Some(0), 0, 10_000, "running", 1, "online");
        check(Some(0), 0, 10_000, "not_installed", 1, "online");
        check(Some(0), 0, 10_000, "stopped", 1, "degraded: gateway_stopped");
    }

    #[test]
    fn tokens_that_nobody_can_count_are_no_silent_zero() {
        for fine in ["ok", "catching_up", "partial", "none"] {
            check(Some(0), 0, 10_000, &format!("running usage={fine}"), 1, "online");
        }
        for bad in ["quiet", "unreadable", "unknown_schema"] {
            let expected = format!("degraded: usage_{bad}");
            check(Some(0), 0, 10_000, &format!("running usage={bad}"), 1, &expected);
            check(Some(0), 0, 10_000, &format!("usage={bad}"), 1, &expected);
        }
        check(Some(0), 0, 10_000, "crashed usage=unreadable", 1, "degraded: gateway_crashed");
        check(Some(0), 0, 10_000, "running usage=quiet", 30_000, "offline: no_report");
    }

    #[test]
    fn a_clock_that_went_back_makes_nobody_offline() {
        check(Some(1_000_000), 1_000_000, 10_000, "", 0, "online");
    }

    #[test]
    fn the_interval_is_learned_from_what_arrives() {
        let mut interval = Interval::default();
        let mut last = None;
        for now in [0, 60_000, 120_000, 120_010, 180_000] {
            interval.note(None, last, now);
            last = Some(now);
        }
        assert_eq!(interval.ms(), 60_000);
        interval.note(Some(5_000), last, 240_000);
        assert_eq!(interval.ms(), 5_000);
    }
}
