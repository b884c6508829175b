//! What an overview draws of every device: when it was there in the last day, and its last hour of one metric.

use crate::error::Result;
use crate::shared::Shared;
use crate::types::{DeviceId, TimeRange, Timestamp};
use crate::{DeviceState, Event};
use std::collections::HashMap;

/// Slots of a day.
pub const AVAILABILITY_SLOTS: usize = 96;

/// Length of a slot, milliseconds.
pub const AVAILABILITY_SLOT_MS: i64 = 15 * 60_000;

/// Events of all devices in a day that are looked at, the newest; a fleet that has more flaps all the time.
pub const DAY_EVENTS_MAX: u32 = 200_000;

/// How a device was within a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Availability {
    /// Nothing is known: it was not there yet, or this server was not running.
    Unknown,
    /// All the time that is known.
    Online,
    /// Something was wrong on it for a part.
    Degraded,
    /// It was silent for less than half of the time that is known.
    Interrupted,
    /// It was silent for half of it or more.
    Offline,
}

/// What is drawn of one device.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    /// Whose it is.
    pub device: DeviceId,
    /// The last [`AVAILABILITY_SLOTS`] slots, the oldest first; the last one holds `now`.
    pub availability: Vec<Availability>,
    /// How much of the known time it was not silent, 0 to 1; `None`: nothing is known.
    pub online: Option<f64>,
    /// Means of [`crate::SPARK_METRIC`] by minute, the oldest first; the last one holds `now`.
    pub spark: Vec<Option<f32>>,
}

/// What the registry knows of a device.
pub struct Known {
    pub device: DeviceId,
    pub created_ms: Timestamp,
    pub state: DeviceState,
    pub spark: Vec<Option<f32>>,
}

/// See [`crate::Store::activity`].
pub fn activity(shared: &Shared, now: Timestamp) -> Result<Vec<Activity>> {
    let range = day_before(now);
    let (mut by_device, mut server) = (HashMap::<DeviceId, Vec<Event>>::new(), Vec::new());
    for event in shared.meta.state_events(range.start())? {
        match event.device {
            Some(device) => by_device.entry(device).or_default().push(event),
            None => server.push(event),
        }
    }
    let down = down(&server);
    let none = Vec::new();
    // After the events: what happens in between is in the state, and its event is not missed.
    let known = shared.registry.known(now);
    Ok(known
        .into_iter()
        .map(|known| {
            let events = by_device.get(&known.device).unwrap_or(&none);
            let spans = spans(known.state, known.created_ms, events, range.start(), now);
            let (availability, online) = slots(&spans, &down, range);
            Activity { device: known.device, availability, online, spark: known.spark }
        })
        .collect())
}

/// The slots up to the one of `now`.
pub fn day_before(now: Timestamp) -> TimeRange {
    let end = now - now.rem_euclid(AVAILABILITY_SLOT_MS) + AVAILABILITY_SLOT_MS;
    let start = end - AVAILABILITY_SLOTS as i64 * AVAILABILITY_SLOT_MS;
    TimeRange::new(start, end).expect("a day is not empty")
}

type Span = (Timestamp, Timestamp, DeviceState);

/// The states of a device from `from` to `now`, told by what happened and the state that came of it.
fn spans(
    state: DeviceState,
    created_ms: Timestamp,
    events: &[Event],
    from: Timestamp,
    now: Timestamp,
) -> Vec<Span> {
    let mut changes: Vec<(Timestamp, DeviceState, DeviceState)> = events.iter().filter_map(change).collect();
    // A silence begins with the last report, which may be before an event that was written down earlier.
    changes.sort_by_key(|(t, ..)| *t);
    let first = changes.first().map_or(state, |(_, before, _)| *before);
    let mut spans = Vec::with_capacity(changes.len() + 1);
    let (mut since, mut current) = (from.max(created_ms), first);
    for (t, _, after) in changes {
        if t > since {
            spans.push((since, t, current));
            since = t;
        }
        current = after;
    }
    if now > since {
        spans.push((since, now, current));
    }
    spans
}

/// When an event changed the state, from what and to what.
fn change(event: &Event) -> Option<(Timestamp, DeviceState, DeviceState)> {
    use DeviceState::{Degraded, New, Offline, Online};
    let well = || if event.detail["reason"].is_null() { Online } else { Degraded };
    Some(match event.kind.as_str() {
        "online" if event.detail["offline_ms"].is_null() => (event.t_ms, New, well()),
        "online" => (event.t_ms, Offline, well()),
        "offline" => (event.detail["last_seen_ms"].as_i64().unwrap_or(event.t_ms), Online, Offline),
        "degraded" => (event.t_ms, Online, Degraded),
        "recovered" => (event.t_ms, Degraded, Online),
        _ => return None,
    })
}

/// When the server was not running.
fn down(starts: &[Event]) -> Vec<(Timestamp, Timestamp)> {
    starts.iter().filter_map(|event| Some((event.detail["down_from_ms"].as_i64()?, event.t_ms))).collect()
}

fn slots(
    spans: &[Span],
    down: &[(Timestamp, Timestamp)],
    range: TimeRange,
) -> (Vec<Availability>, Option<f64>) {
    #[derive(Clone, Copy, Default)]
    struct Slot {
        known_ms: i64,
        offline_ms: i64,
        degraded_ms: i64,
    }
    let mut slots = [Slot::default(); AVAILABILITY_SLOTS];
    for (start, end, state) in spans.iter().filter(|span| span.2 != DeviceState::New) {
        let (start, end) = ((*start).max(range.start()), (*end).min(range.end()));
        let mut at = start;
        while at < end {
            let slot = ((at - range.start()) / AVAILABILITY_SLOT_MS) as usize;
            let slot_end = range.start() + (slot as i64 + 1) * AVAILABILITY_SLOT_MS;
            let until = slot_end.min(end);
            let unknown: i64 = down.iter().map(|(from, to)| (until.min(*to) - at.max(*from)).max(0)).sum();
            let known = (until - at - unknown).max(0);
            slots[slot].known_ms += known;
            match state {
                DeviceState::Offline => slots[slot].offline_ms += known,
                DeviceState::Degraded => slots[slot].degraded_ms += known,
                DeviceState::Online | DeviceState::New => {}
            }
            at = until;
        }
    }
    let of_slot = |slot: &Slot| match slot {
        Slot { known_ms: 0, .. } => Availability::Unknown,
        Slot { known_ms, offline_ms, .. } if offline_ms * 2 >= *known_ms => Availability::Offline,
        Slot { offline_ms, .. } if *offline_ms > 0 => Availability::Interrupted,
        Slot { degraded_ms, .. } if *degraded_ms > 0 => Availability::Degraded,
        Slot { .. } => Availability::Online,
    };
    let known: i64 = slots.iter().map(|slot| slot.known_ms).sum();
    let offline: i64 = slots.iter().map(|slot| slot.offline_ms).sum();
    let online = (known > 0).then(|| (known - offline) as f64 / known as f64);
    (slots.iter().map(of_slot).collect(), online)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MINUTE: i64 = 60_000;
    /// The end of the last slot.
    const END: i64 = 1_000 * AVAILABILITY_SLOT_MS;

    /// `kind minutes-before-the-end`, separated by commas; the last eight slots come back, the newest last.
    #[track_caller]
    fn check(state: DeviceState, events: &str, down: &[(i64, i64)], expected: &str) {
        let at = |minutes: i64| END - minutes * MINUTE;
        let event = |text: &str| {
            let (kind, minutes) = text.trim().split_once(' ').unwrap();
            let t_ms = at(minutes.parse().unwrap());
            let detail = match kind {
                // The silence began two minutes before it was noticed.
                "offline" => json!({ "last_seen_ms": t_ms - 2 * MINUTE }),
                "online" => json!({ "offline_ms": 1, "reason": null }),
                "first" => json!({ "offline_ms": null, "reason": null }),
                _ => json!({}),
            };
            let kind = if kind == "first" { "online" } else { kind };
            Event { id: 0, device: Some(DeviceId(1)), t_ms, kind: kind.into(), detail }
        };
        let events: Vec<Event> = events.split(',').filter(|e| !e.is_empty()).map(event).collect();
        let down: Vec<(i64, i64)> = down.iter().map(|(from, to)| (at(*from), at(*to))).collect();
        // One minute before the end of the slot.
        let now = END - MINUTE;
        let range = day_before(now);
        assert_eq!(range.end(), END);
        let (slots, _) = slots(&spans(state, 0, &events, range.start(), now), &down, range);
        let letter = |a: &Availability| match a {
            Availability::Unknown => '-',
            Availability::Online => 'o',
            Availability::Degraded => 'd',
            Availability::Interrupted => 'i',
            Availability::Offline => 'x',
        };
        let text: String = slots[AVAILABILITY_SLOTS - 8..].iter().map(letter).collect();
        assert_eq!(text, expected);
    }

    #[test]
    fn a_device_without_events_was_all_day_as_it_is_now() {
        check(DeviceState::Online, "", &[], "oooooooo");
        check(DeviceState::Offline, "", &[], "xxxxxxxx");
        check(DeviceState::Degraded, "", &[], "dddddddd");
        check(DeviceState::New, "", &[], "--------");
    }

    #[test]
    fn events_tell_what_was_before_and_after_them() {
        check(DeviceState::Offline, "offline 58", &[], "ooooxxxx");
        check(DeviceState::Online, "offline 58,online 25", &[], "ooooxxio");
        check(DeviceState::Online, "degraded 50,recovered 40", &[], "ooooddoo");
        check(DeviceState::Online, "first 60", &[], "----oooo");
    }

    #[test]
    fn while_the_server_was_down_nothing_is_known() {
        check(DeviceState::Online, "", &[(60, 30)], "oooo--oo");
        check(DeviceState::Offline, "", &[(60, 50)], "xxxxxxxx");
    }

    #[test]
    fn a_device_added_today_was_unknown_before() {
        let range = day_before(END - 1);
        let spans = spans(DeviceState::Online, END - 30 * MINUTE, &[], range.start(), END - 1);
        let (slots, online) = slots(&spans, &[], range);
        assert_eq!(slots.iter().filter(|s| **s == Availability::Unknown).count(), AVAILABILITY_SLOTS - 2);
        assert_eq!(online, Some(1.0));
    }
}
