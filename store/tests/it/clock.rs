//! The server's clock is set, by hours either way: nothing is lost, doubled or held up by it.

use crate::{Rig, append, batch, samples};
use store::{DeviceState, RangeQuery, TimeRange};

const NOW: i64 = 1_795_343_922_420;
const HOUR: i64 = 3_600_000;

fn values(rig: &Rig) -> Vec<(i64, f64)> {
    let query = RangeQuery {
        devices: vec![rig.device],
        metrics: vec!["load1".into()],
        range: TimeRange::new(NOW - 48 * HOUR, NOW + 48 * HOUR).unwrap(),
        points: 1_000_000,
    };
    let answer = rig.store.query(&query).unwrap();
    answer.t_ms.iter().zip(answer.series.iter().flat_map(|s| &s.buckets)).map(|(t, b)| (*t, b.last)).collect()
}

#[test]
fn rows_taken_in_under_a_clock_that_jumps_are_all_there() {
    let mut rig = Rig::new(NOW);
    let mut expected = Vec::new();
    for (i, hours) in [0, 5, -7, 11, -20, 0, 1].into_iter().enumerate() {
        let now = NOW + hours * HOUR;
        let row = (NOW + i as i64, i as f64);
        append(&rig.store, samples(rig.device, now, "load1", &[row])).unwrap();
        expected.push(row);
        rig.store.tick(now);
        if i % 2 == 1 {
            rig.store.seal().unwrap();
            rig.store.maintain(now).unwrap();
        }
        if i % 3 == 2 {
            rig = rig.reopen(now);
        }
        assert_eq!(values(&rig), expected, "{hours} h");
    }
    rig.store.close();
    assert_eq!(store::check(rig.dir.path()).unwrap().faults, Vec::<String>::new());
}

#[test]
fn a_generation_that_was_opened_under_a_clock_far_ahead_is_sealed_all_the_same() {
    let rig = Rig::new(NOW);
    append(&rig.store, samples(rig.device, NOW + 10 * HOUR, "load1", &[(NOW, 1.0)])).unwrap();
    rig.store.tick(NOW + 9 * HOUR);
    // It is answered after what the tick made the writer do.
    append(&rig.store, batch(rig.device, NOW + 9 * HOUR)).unwrap();
    assert_eq!(rig.store.storage().head_samples, 1, "an hour back is within its age");
    rig.store.tick(NOW);
    // Waits for the seal that the tick began, and for one of nothing.
    rig.store.seal().unwrap();
    let stats = rig.store.storage();
    assert_eq!((stats.head_samples, stats.tiers[0].chunks), (0, 1));
}

#[test]
fn a_device_that_falls_silent_is_offline_in_time_although_the_clock_went_back() {
    let mut rig = Rig::new(NOW);
    let ahead = NOW + 10 * HOUR;
    let report = store::Batch { interval_ms: Some(10_000), ..batch(rig.device, ahead) };
    append(&rig.store, report).unwrap();
    let judged = |rig: &Rig, now: i64| {
        rig.store.tick(now);
        append(&rig.store, batch(store::DeviceId(9_999), now)).unwrap_err();
        let device = rig.store.device(rig.device).unwrap();
        (device.state, device.last_seen_ms.unwrap())
    };
    assert_eq!(judged(&rig, ahead + 1_000), (DeviceState::Online, ahead));
    assert_eq!(judged(&rig, ahead - 1_000), (DeviceState::Online, ahead), "a second is nothing");
    assert_eq!(judged(&rig, NOW), (DeviceState::Online, NOW), "heard until now, as far as is known");
    assert_eq!(judged(&rig, NOW + 29_000).0, DeviceState::Online);
    assert_eq!(judged(&rig, NOW + 30_000), (DeviceState::Offline, NOW));
    // Also when the server was started under the clock that was ahead.
    rig = rig.reopen(NOW + 20 * HOUR);
    append(&rig.store, batch(rig.device, NOW + 20 * HOUR)).unwrap();
    assert_eq!(judged(&rig, NOW + HOUR).0, DeviceState::Online);
    assert_eq!(judged(&rig, NOW + HOUR + 30_000).0, DeviceState::Offline);
}
