//! Why a chart has a hole.

use crate::error::Result;
use crate::filled::without;
use crate::presence::{INTERVAL_DEFAULT_MS, silence_allowed_ms};
use crate::registry::Registry;
use crate::shared::Shared;
use crate::types::{DeviceId, Tier, TimeRange, Timestamp};
use crate::{Event, Gap, GapCause, chunk_table, meta};

/// A server that was away for less than this left no hole worth showing, milliseconds.
const SERVER_DOWN_MIN_MS: i64 = 10_000;

/// The gaps of some devices within a range, by device and time.
pub fn gaps(shared: &Shared, devices: &[DeviceId], range: TimeRange) -> Result<Vec<Gap>> {
    let registry = &shared.registry;
    shared
        .meta
        .view(|journal| shared.chunks.snapshot(|chunks| gaps_of(registry, journal, chunks, devices, range)))
}

fn gaps_of(
    registry: &Registry,
    journal: &meta::View<'_>,
    chunks: &chunk_table::Snapshot<'_>,
    devices: &[DeviceId],
    range: TimeRange,
) -> Result<Vec<Gap>> {
    let down = down_spans(&journal.events_from(None, &["server_start"], range.start())?);
    let mut gaps = Vec::new();
    for &device in devices {
        let events = journal.events_from(Some(device), &["offline", "online"], range.start())?;
        let filled = journal.filled(device, range)?;
        let rest_ms_min = silence_allowed_ms(registry.interval_ms(device).unwrap_or(INTERVAL_DEFAULT_MS));
        let left = |spans, cause| {
            unfilled(spans, &filled, rest_ms_min).into_iter().map(move |(from, to)| (from, to, cause))
        };
        let silent = left(offline_spans(&events), GapCause::DeviceOffline);
        let down = left(down.clone(), GapCause::ServerDown);
        let late = filled.iter().map(|span| (span.start(), span.end(), GapCause::FilledIn));
        let damaged = damaged_spans(chunks, device, range)?;
        let damaged = damaged.iter().map(|span| (span.start(), span.end(), GapCause::Damaged));
        let mut own: Vec<Gap> = silent
            .chain(down)
            .chain(damaged)
            .chain(late)
            .filter_map(|(from, to, cause)| {
                let (from_ms, to_ms) = (from.max(range.start()), to.min(range.end()));
                (from_ms < to_ms).then_some(Gap { device, from_ms, to_ms, cause })
            })
            .collect();
        own.sort_by_key(|g| g.from_ms);
        gaps.append(&mut own);
    }
    Ok(gaps)
}

/// What was filled in is no hole any more. Neither is what is left beside it, from the last row that came in time to the
/// first that was kept, if it is shorter than `rest_ms_min`: as long as a device may be silent, nothing is missing.
fn unfilled(
    spans: Vec<(Timestamp, Timestamp)>,
    filled: &[TimeRange],
    rest_ms_min: i64,
) -> Vec<(Timestamp, Timestamp)> {
    let mut holes = Vec::new();
    for span in spans {
        let is_hole =
            |rest: &(Timestamp, Timestamp)| *rest == span || rest.1.saturating_sub(rest.0) >= rest_ms_min;
        holes.extend(without(span.0, span.1, filled).into_iter().filter(is_hole));
    }
    holes
}

fn damaged_spans(
    chunks: &chunk_table::Snapshot<'_>,
    device: DeviceId,
    range: TimeRange,
) -> Result<Vec<TimeRange>> {
    let mut spans = Vec::new();
    for tier in Tier::ALL {
        spans.extend(chunks.damaged_spans(device, tier, range)?);
    }
    Ok(spans)
}

/// From the last report before each silence to the first after it.
fn offline_spans(events: &[Event]) -> Vec<(Timestamp, Timestamp)> {
    let mut spans = Vec::new();
    let mut since = None;
    for event in events {
        if event.kind == "offline" {
            since.get_or_insert(event.detail["last_seen_ms"].as_i64().unwrap_or(event.t_ms));
        } else if let Some(since) = since.take() {
            spans.push((since, event.t_ms));
        }
    }
    spans.extend(since.map(|since| (since, Timestamp::MAX)));
    spans
}

fn down_spans(starts: &[Event]) -> Vec<(Timestamp, Timestamp)> {
    let span = |e: &Event| Some((e.detail["down_from_ms"].as_i64()?, e.t_ms));
    starts.iter().filter_map(span).filter(|(from, to)| to - from >= SERVER_DOWN_MIN_MS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, t_ms: i64, last_seen_ms: i64) -> Event {
        let detail = serde_json::json!({ "last_seen_ms": last_seen_ms });
        Event { id: t_ms, device: Some(DeviceId(1)), t_ms, kind: kind.into(), detail }
    }

    #[test]
    fn a_silence_begins_with_the_last_report_and_may_still_last() {
        let events = [
            event("online", 5, 0),
            event("offline", 40, 10),
            event("online", 60, 0),
            event("offline", 99, 70),
        ];
        assert_eq!(offline_spans(&events), [(10, 60), (70, i64::MAX)]);
    }

    #[test]
    fn beside_what_was_filled_in_only_a_silence_is_left() {
        let range = |start, end| TimeRange::new(start, end).unwrap();
        let left = |filled: &[TimeRange]| unfilled(vec![(0, 100), (200, 209)], filled, 10);
        assert_eq!(left(&[]), [(0, 100), (200, 209)]);
        assert_eq!(left(&[range(9, 91)]), [(200, 209)]);
        assert_eq!(left(&[range(10, 40), range(49, 90)]), [(0, 10), (90, 100), (200, 209)]);
        assert_eq!(left(&[range(208, 209)]), [(0, 100)]);
    }
}
