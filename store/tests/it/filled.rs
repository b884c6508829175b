//! Rows that arrive much later than their time are told from those that were seen when they were made.

use crate::{Rig, append, profile, samples};
use store::{Batch, DeviceState, Event, EventQuery, Gap, GapCause, TimeRange};

const NOW: i64 = 1_795_343_922_420;
const MINUTE: i64 = 60_000;

/// A report of one row, made at `t` and received at `at`.
fn report(rig: &Rig, t: i64, at: i64) {
    let batch = samples(rig.device, at, "load1", &[(t, 1.0)]);
    append(&rig.store, Batch { interval_ms: Some(10_000), ..batch }).unwrap();
}

/// A device that was heard once and is offline a minute later.
fn gone_offline() -> Rig {
    let rig = Rig::new(NOW);
    let other = rig.store.add_device(profile("two"), [2; 32], NOW).unwrap();
    report(&rig, NOW, NOW);
    rig.store.tick(NOW + MINUTE);
    // A reply comes after the tick.
    append(&rig.store, samples(other, NOW + MINUTE, "load1", &[])).unwrap();
    rig
}

/// The stretches of the first hour in minutes since `NOW`, those of seconds as well, but not when the rig's own restart
/// was.
fn gaps(rig: &Rig) -> Vec<(i64, i64, GapCause)> {
    gaps_with_restarts(rig).into_iter().filter(|(.., cause)| *cause != GapCause::ServerDown).collect()
}

fn gaps_with_restarts(rig: &Rig) -> Vec<(i64, i64, GapCause)> {
    let range = TimeRange::new(NOW, NOW + 60 * MINUTE).unwrap();
    let minutes = |t: i64| (t - NOW + MINUTE / 2) / MINUTE;
    let gap = |g: Gap| (minutes(g.from_ms), minutes(g.to_ms), g.cause);
    rig.store.gaps(&[rig.device], range).unwrap().into_iter().map(gap).collect()
}

fn back_fills(rig: &Rig) -> Vec<Event> {
    let query = EventQuery { device: Some(rig.device), limit: 100, ..EventQuery::default() };
    let mut events = rig.store.events(&query).unwrap().entries;
    events.retain(|event| event.kind == "back_fill");
    events
}

#[test]
fn an_outage_that_is_filled_in_is_one_range_and_one_event() {
    let rig = gone_offline();
    // Back after ten minutes: live rows and, beside them, what was kept, every ten seconds of it.
    let back = NOW + 10 * MINUTE;
    for i in 1..60 {
        report(&rig, NOW + i * 10_000, back + i * 100);
        report(&rig, back + i * 100, back + i * 100);
    }
    let rig = rig.reopen(back + 2 * MINUTE);
    let found = gaps(&rig);
    assert_eq!(found, [(0, 10, GapCause::FilledIn)]);
    let events = back_fills(&rig);
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].t_ms, &events[0].detail["rows"]), (back + 100, &59.into()));
    assert_eq!(events[0].detail["from_ms"], NOW + 10_000);
}

#[test]
fn a_restart_that_is_filled_in_leaves_no_sliver() {
    let rig = Rig::new(NOW);
    report(&rig, NOW, NOW);
    // The server is away for ten minutes. What it knows of itself and of the device's last report ends some seconds
    // before the first row that was kept.
    let back = NOW + 10 * MINUTE;
    let rig = rig.reopen(back);
    for i in 1..60 {
        report(&rig, NOW + i * 10_000, back + 1_000 + i * 100);
    }
    report(&rig, back, back + 8_000);
    let rig = rig.reopen(back + 9_000);
    assert_eq!(gaps_with_restarts(&rig), [(0, 10, GapCause::FilledIn)]);
}

#[test]
fn a_server_that_was_killed_was_there_until_the_last_report() {
    let rig = Rig::new(NOW);
    // Without a tick nothing is noted that the server does at its end.
    report(&rig, NOW + 50_000, NOW + 50_100);
    let rig = rig.reopen(NOW + 10 * MINUTE);
    let events = rig.store.events(&EventQuery { limit: 100, ..EventQuery::default() }).unwrap().entries;
    let start = events.iter().find(|event| event.kind == "server_start").unwrap();
    assert_eq!((start.t_ms, &start.detail["down_from_ms"]), (NOW + 10 * MINUTE, &(NOW + 50_100).into()));
}

#[test]
fn a_hole_between_what_was_filled_in_stays_one() {
    let rig = gone_offline();
    // The agent was away as well, for fifty seconds after its fourth minute.
    let back = NOW + 10 * MINUTE;
    for i in (1..60).filter(|i| !(25..29).contains(i)) {
        report(&rig, NOW + i * 10_000, back + i * 100);
    }
    let rig = rig.reopen(back + MINUTE);
    let range = TimeRange::new(NOW, back).unwrap();
    let mut gaps = rig.store.gaps(&[rig.device], range).unwrap();
    gaps.retain(|gap| gap.cause != GapCause::ServerDown);
    let found: Vec<_> =
        gaps.iter().map(|g| ((g.from_ms - NOW) / 1_000, (g.to_ms - NOW) / 1_000, g.cause)).collect();
    let expected =
        [(10, 250, GapCause::FilledIn), (250, 290, GapCause::DeviceOffline), (290, 600, GapCause::FilledIn)];
    assert_eq!(found, expected);
}

#[test]
fn what_was_not_filled_in_keeps_its_cause() {
    let rig = gone_offline();
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
    for i in 31..90 {
        report(&rig, NOW + i * 10_000, back + 1);
    }
    let rig = rig.reopen(back);
    let events = back_fills(&rig);
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0].detail["rows"], &events[0].detail["until_ms"]), (&61.into(), &(back + 1).into()));
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

/// A report that says how the gateway is, of one row made at `t`.
fn says(rig: &Rig, gateway: &str, version: &str, t: i64, at: i64) {
    let batch = samples(rig.device, at, "load1", &[(t, 1.0)]);
    let states = vec![("gateway".to_string(), gateway.to_string())];
    let agent_version = Some(version.to_string());
    append(&rig.store, Batch { interval_ms: Some(10_000), states, agent_version, ..batch }).unwrap();
}

fn kinds(rig: &Rig) -> Vec<String> {
    let query = EventQuery { device: Some(rig.device), limit: 100, ..EventQuery::default() };
    rig.store.events(&query).unwrap().entries.into_iter().map(|event| event.kind).collect()
}

#[test]
fn history_that_a_new_device_brings_along_is_no_late_data() {
    let rig = Rig::new(NOW);
    for day in (1..60).rev() {
        let at = NOW + day;
        let batch = samples(rig.device, at, "load1", &[(NOW - day * 24 * 60 * MINUTE, 1.0)]);
        append(&rig.store, Batch { interval_ms: Some(10_000), ..batch }).unwrap();
    }
    let rig = rig.reopen(NOW + MINUTE);
    assert!(back_fills(&rig).is_empty(), "{:?}", back_fills(&rig));
}

#[test]
fn what_was_kept_tells_of_then_and_not_of_now() {
    let rig = Rig::new(NOW);
    says(&rig, "running", "1", NOW, NOW);
    let back = NOW + 10 * MINUTE;
    says(&rig, "running", "2", back, back);
    for i in 1..5 {
        says(&rig, "crashed", "1", NOW + i * MINUTE, back + i);
    }
    let view = rig.store.device(rig.device).unwrap();
    assert_eq!((view.state, view.agent_version.as_deref()), (DeviceState::Online, Some("2")));
    assert_eq!(view.states, [("gateway".to_string(), "running".to_string())]);
    let rig = rig.reopen(back + MINUTE);
    let mut kinds = kinds(&rig);
    kinds.retain(|kind| kind != "back_fill");
    assert_eq!(kinds, ["version_change", "online", "device_added"]);
}

#[test]
fn a_device_whose_clock_is_set_back_is_believed_again_soon() {
    let rig = Rig::new(NOW);
    let back = NOW + 10 * MINUTE;
    says(&rig, "running", "1", back, back);
    // As long as newer rows may be live its reports are taken for kept ones.
    for i in 1..=3 {
        let at = back + i * 10_000;
        says(&rig, "stopped", "1", at - 60 * MINUTE, at);
        let state = rig.store.device(rig.device).unwrap().state;
        assert_eq!(state, if i < 3 { DeviceState::Online } else { DeviceState::Degraded });
    }
}

#[test]
fn rows_with_the_servers_time_are_not_judged_by_a_wrong_clock() {
    let rig = Rig::new(NOW);
    let at = NOW + 30 * MINUTE;
    let hour = 60.0 * 60_000.0;
    for (offset_ms, clock, old_s) in [(hour, "behind", 600), (-hour, "ahead", 610)] {
        let rows = [(at, offset_ms), (at - old_s * 1_000, offset_ms)];
        let batch = samples(rig.device, at, "clock_offset_ms", &rows);
        let states = vec![("clock".to_string(), clock.to_string())];
        append(&rig.store, Batch { interval_ms: Some(10_000), states, ..batch }).unwrap();
    }
    let rig = rig.reopen(at + MINUTE);
    let events = back_fills(&rig);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].detail["rows"], 2, "those of ten minutes ago, and none of now");
}
