//! Rows that arrive much later than their time are told from those that were seen when they were made.

use crate::{Rig, append, profile, samples};
use store::{Batch, Event, EventQuery, Gap, GapCause, TimeRange};

const NOW: i64 = 1_795_343_922_420;
const MINUTE: i64 = 60_000;

/// A report of one row, made at `t` and received at `at`.
fn report(rig: &Rig, t: i64, at: i64) {
    let batch = samples(rig.device, at, "load1", &[(t, 1.0)]);
    append(&rig.store, Batch { interval_ms: Some(10_000), ..batch }).unwrap();
}

/// The stretches of the first hour in minutes since `NOW`; not those of seconds, and not when the rig's own restart
/// was.
fn gaps(rig: &Rig) -> Vec<(i64, i64, GapCause)> {
    let range = TimeRange::new(NOW, NOW + 60 * MINUTE).unwrap();
    let minutes = |t: i64| (t - NOW + MINUTE / 2) / MINUTE;
    let gap = |g: Gap| (minutes(g.from_ms), minutes(g.to_ms), g.cause);
    let gaps = rig.store.gaps(&[rig.device], range).unwrap().into_iter().map(gap);
    gaps.filter(|(from, to, cause)| from < to && *cause != GapCause::ServerDown).collect()
}

fn back_fills(rig: &Rig) -> Vec<Event> {
    let query = EventQuery { device: Some(rig.device), limit: 100, ..EventQuery::default() };
    let mut events = rig.store.events(&query).unwrap().entries;
    events.retain(|event| event.kind == "back_fill");
    events
}

#[test]
fn an_outage_that_is_filled_in_is_one_range_and_one_event() {
    let rig = Rig::new(NOW);
    let other = rig.store.add_device(profile("two"), [2; 32], NOW).unwrap();
    report(&rig, NOW, NOW);
    rig.store.tick(NOW + MINUTE);
    append(&rig.store, samples(other, NOW + MINUTE, "load1", &[])).unwrap();
    // Back after ten minutes: live rows and, beside them, what was kept, every ten seconds of it.
    let back = NOW + 10 * MINUTE;
    for i in 1..60 {
        report(&rig, NOW + i * 10_000, back + i * 100);
        report(&rig, back + i * 100, back + i * 100);
    }
    let rig = rig.reopen(back + 2 * MINUTE);
    let found = gaps(&rig);
    // The last minute before it was back is not late, and nobody has told yet that it is missing.
    assert_eq!(found, [(0, 9, GapCause::FilledIn), (9, 10, GapCause::DeviceOffline)]);
    let events = back_fills(&rig);
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].t_ms, &events[0].detail["rows"]), (back + 100, &54.into()));
    assert_eq!(events[0].detail["from_ms"], NOW + 10_000);
}

#[test]
fn what_was_not_filled_in_keeps_its_cause() {
    let rig = Rig::new(NOW);
    let other = rig.store.add_device(profile("two"), [2; 32], NOW).unwrap();
    report(&rig, NOW, NOW);
    rig.store.tick(NOW + MINUTE);
    append(&rig.store, samples(other, NOW + MINUTE, "load1", &[])).unwrap();
    // Only the five minutes in the middle were kept; they come in the wrong order.
    let back = NOW + 20 * MINUTE;
    for i in (0..30).rev() {
        report(&rig, NOW + 5 * MINUTE + i * 10_000, back);
    }
    report(&rig, back, back);
    let rig = rig.reopen(back);
    let causes: Vec<_> = gaps(&rig).into_iter().filter(|gap| gap.0 < 20).collect();
    let offline = GapCause::DeviceOffline;
    assert_eq!(causes, [(0, 5, offline), (5, 10, GapCause::FilledIn), (10, 20, offline)]);
    assert_eq!(back_fills(&rig).len(), 1);
}

#[test]
fn two_ranges_that_grow_together_become_one() {
    let rig = Rig::new(NOW);
    let back = NOW + 30 * MINUTE;
    for minute in [5, 15] {
        report(&rig, NOW + minute * MINUTE, back);
    }
    let rig = rig.reopen(back);
    assert_eq!(back_fills(&rig).len(), 2);
    for minute in 6..15 {
        report(&rig, NOW + minute * MINUTE, back + 1);
    }
    let rig = rig.reopen(back);
    let events = back_fills(&rig);
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0].detail["rows"], &events[0].detail["until_ms"]), (&11.into(), &(back + 1).into()));
    rig.store.delete_device(rig.device).unwrap();
    assert!(gaps(&rig).iter().all(|gap| gap.2 != GapCause::FilledIn));
}

#[test]
fn a_device_with_a_wrong_clock_fills_nothing_in() {
    let rig = Rig::new(NOW);
    for i in 0..20 {
        let at = NOW + 30 * MINUTE + i * 10_000;
        // Twenty minutes slow, and it says so.
        let mut batch = samples(rig.device, at, "clock_offset_ms", &[(at - 20 * MINUTE, 1_200_000.0)]);
        batch.interval_ms = Some(10_000);
        append(&rig.store, batch).unwrap();
    }
    let rig = rig.reopen(NOW + 40 * MINUTE);
    assert!(back_fills(&rig).is_empty());
}
