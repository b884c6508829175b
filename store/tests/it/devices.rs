//! Devices: their state, their deletion, what the live feed hears of them.

use crate::{Rig, append, batch, profile, samples};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::{DeviceProfile, DeviceState, Error, EventQuery, Rejected, Store};

const NOW: i64 = 1_795_343_922_420;

/// Waits until the writer has done everything that was asked before: it does one thing after the other.
fn settle(store: &Store, device: store::DeviceId, now: i64) {
    append(store, batch(device, now)).unwrap();
}

fn kinds(store: &Store, device: store::DeviceId) -> Vec<String> {
    let query = EventQuery { device: Some(device), limit: 100, ..EventQuery::default() };
    let mut kinds: Vec<String> = store.events(&query).unwrap().entries.into_iter().map(|e| e.kind).collect();
    kinds.reverse();
    kinds
}

#[test]
fn a_silent_device_is_offline_after_three_intervals_and_comes_back() {
    let mut rig = Rig::new(NOW);
    let other = rig.store.add_device(profile("two"), [2; 32], NOW).unwrap();
    assert_eq!(rig.store.device(rig.device).unwrap().state, DeviceState::New);
    let report = |now| store::Batch { interval_ms: Some(5_000), ..batch(rig.device, now) };
    append(&rig.store, report(NOW)).unwrap();
    assert_eq!(rig.store.device(rig.device).unwrap().state, DeviceState::Online);

    rig.store.tick(NOW + 14_999);
    settle(&rig.store, other, NOW + 14_999);
    assert_eq!(rig.store.device(rig.device).unwrap().state, DeviceState::Online);
    rig.store.tick(NOW + 15_000);
    settle(&rig.store, other, NOW + 15_000);
    let view = rig.store.device(rig.device).unwrap();
    assert_eq!((view.state, view.since_ms), (DeviceState::Offline, Some(NOW)));
    assert_eq!(view.reason.as_deref(), Some("no_report"));

    append(&rig.store, report(NOW + 60_000)).unwrap();
    assert_eq!(rig.store.device(rig.device).unwrap().state, DeviceState::Online);
    // The recorder may still have the last event before it; after a restart everything is there.
    rig = rig.reopen(NOW + 60_001);
    assert_eq!(kinds(&rig.store, rig.device), ["device_added", "online", "offline", "online"]);
    let range = store::TimeRange::new(NOW - 1, NOW + 100_000).unwrap();
    let mut gaps = rig.store.gaps(&[rig.device], range).unwrap();
    gaps.retain(|g| g.cause == store::GapCause::DeviceOffline);
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].from_ms, gaps[0].to_ms), (NOW, NOW + 60_000));
}

#[test]
fn a_restarted_server_gives_every_device_its_three_intervals() {
    let rig = Rig::new(NOW);
    append(&rig.store, store::Batch { interval_ms: Some(60_000), ..batch(rig.device, NOW) }).unwrap();
    let later = NOW + 3_600_000;
    let rig = rig.reopen(later);
    let other = rig.store.add_device(profile("two"), [2; 32], later).unwrap();
    rig.store.tick(later + 179_999);
    settle(&rig.store, other, later);
    assert_eq!(rig.store.device(rig.device).unwrap().state, DeviceState::Online);
    rig.store.tick(later + 180_000);
    settle(&rig.store, other, later);
    assert_eq!(rig.store.device(rig.device).unwrap().state, DeviceState::Offline);
}

#[test]
fn a_restarted_server_waits_until_agents_have_tried_again() {
    let rig = Rig::new(NOW);
    append(&rig.store, store::Batch { interval_ms: Some(1_000), ..batch(rig.device, NOW) }).unwrap();
    let later = NOW + 600_000;
    let rig = rig.reopen(later);
    let other = rig.store.add_device(profile("two"), [2; 32], later).unwrap();
    for (after_ms, state) in [(59_999, DeviceState::Online), (60_000, DeviceState::Offline)] {
        rig.store.tick(later + after_ms);
        settle(&rig.store, other, later);
        assert_eq!(rig.store.device(rig.device).unwrap().state, state, "{after_ms} ms after its start");
    }
    // One that was heard since is judged as ever.
    append(&rig.store, store::Batch { interval_ms: Some(1_000), ..batch(rig.device, later + 61_000) })
        .unwrap();
    rig.store.tick(later + 71_000);
    settle(&rig.store, other, later);
    assert_eq!(rig.store.device(rig.device).unwrap().state, DeviceState::Offline);
}

#[test]
fn latest_values_facts_and_state_survive_a_restart() {
    for sealed in [false, true] {
        let rig = Rig::new(NOW);
        let report = store::Batch {
            facts: vec![("hostname".into(), "nas".into())],
            states: vec![("gateway".into(), "stopped".into())],
            agent_version: Some("1.2.3".into()),
            ..samples(rig.device, NOW, "load1", &[(NOW - 10, 7.0), (NOW, 8.0), (NOW - 5, 9.0)])
        };
        append(&rig.store, report).unwrap();
        if sealed {
            rig.store.seal().unwrap();
        }
        let before = rig.store.device(rig.device).unwrap();
        assert_eq!(before.state, DeviceState::Degraded);
        assert_eq!(before.reason.as_deref(), Some("gateway_stopped"));
        assert_eq!(before.latest, [("load1".into(), 8.0)]);
        let rig = rig.reopen(NOW + 1);
        assert_eq!(rig.store.device(rig.device).unwrap(), before, "sealed: {sealed}");
    }
}

#[test]
fn the_newest_of_several_chunks_survives_a_restart() {
    const MINUTE: i64 = 60_000;
    let rig = Rig::new(NOW);
    let add = |metric: &str, rows: &[(i64, f64)]| {
        let rows: Vec<_> = rows.iter().map(|(minutes, value)| (NOW - minutes * MINUTE, *value)).collect();
        append(&rig.store, samples(rig.device, NOW, metric, &rows)).unwrap();
    };
    // The last rows of the newest chunk are the newest of one metric only.
    add("cpu_percent", &[(90, 1.0), (50, 2.0), (11, 3.0)]);
    add("seldom", &[(40, 4.0)]);
    add("late", &[(30, 5.0), (10, 6.0)]);
    rig.store.seal().unwrap();
    add("cpu_percent", &[(5, 7.0), (0, 8.0)]);
    add("late", &[(20, 9.0)]);
    rig.store.seal().unwrap();
    let told = |rig: &Rig| {
        let activity = rig.store.activity(NOW).unwrap();
        (rig.store.device(rig.device).unwrap().latest, activity[0].spark.clone())
    };
    let before = told(&rig);
    assert_eq!(before.0, [("cpu_percent".into(), 8.0), ("late".into(), 6.0), ("seldom".into(), 4.0)]);
    assert_eq!(before.1.iter().flatten().copied().collect::<Vec<f32>>(), [2.0, 3.0, 7.0, 8.0]);
    let rig = rig.reopen(NOW);
    assert_eq!(told(&rig), before);
}

#[test]
fn names_are_unique_and_keys_rotate_at_once() {
    let rig = Rig::new(NOW);
    let twice = rig.store.add_device(profile("one"), [2; 32], NOW);
    assert!(matches!(twice, Err(Error::Conflict { .. })));
    let two = rig.store.add_device(profile("two"), [2; 32], NOW).unwrap();
    assert!(matches!(rig.store.edit_device(two, profile("one")), Err(Error::Conflict { .. })));
    assert_eq!(rig.store.device(two).unwrap().profile.name, "two");
    rig.store.rotate_key(two, [3; 32], NOW).unwrap();
    assert_eq!(rig.store.device_by_key(&[2; 32]), None);
    assert_eq!(rig.store.device_by_key(&[3; 32]), Some(two));
    let rig = rig.reopen(NOW);
    assert_eq!(rig.store.device_by_key(&[3; 32]), Some(two));
}

#[test]
fn a_deleted_device_takes_everything_along_and_its_number_is_not_given_again() {
    let rig = Rig::new(NOW);
    let two = rig.store.add_device(profile("two"), [2; 32], NOW).unwrap();
    for device in [rig.device, two] {
        append(&rig.store, samples(device, NOW, "load1", &[(NOW, 1.0)])).unwrap();
    }
    rig.store.seal().unwrap();
    append(&rig.store, samples(two, NOW, "load1", &[(NOW + 1, 1.0)])).unwrap();
    let deleted = rig.store.delete_device(two).unwrap();
    assert_eq!(deleted.chunks, 3);
    assert!(deleted.bytes > 0);
    assert!(matches!(rig.store.delete_device(two), Err(Error::NotFound { .. })));
    assert_eq!(append(&rig.store, batch(two, NOW)), Err(Rejected::UnknownDevice));
    let rig = rig.reopen(NOW);
    assert_eq!(rig.store.devices().len(), 1);
    assert_eq!(rig.store.storage().samples, 1);
    assert!(rig.store.add_device(profile("two"), [2; 32], NOW).unwrap() > two);
}

/// In which files of the store these bytes are.
fn files_with(rig: &Rig, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(rig.dir.path()).unwrap() {
        let entry = entry.unwrap();
        let content = std::fs::read(entry.path()).unwrap();
        let mut starts = content.iter().enumerate().filter(|(_, byte)| **byte == bytes[0]);
        if starts.any(|(at, _)| content[at..].starts_with(bytes)) {
            found.push(entry.file_name().into_string().unwrap());
        }
    }
    found.sort();
    found
}

#[test]
fn not_a_byte_of_a_deleted_device_is_left_in_the_files() {
    const MARKER: &[u8; 8] = b"Zq7#mark";
    let text = String::from_utf8(MARKER.to_vec()).unwrap();
    let rig = Rig::new(NOW);
    let named = DeviceProfile { notes: text.clone(), tags: vec![text.clone()], ..profile(&text) };
    let two = rig.store.add_device(named, [2; 32], NOW).unwrap();
    // A value that no encoding makes smaller: its bytes stand in the tail as they are.
    let value = f64::from_le_bytes(*MARKER);
    let report = |device: store::DeviceId, text: &str, i: i64| store::Batch {
        facts: vec![("hostname".into(), text.into())],
        states: vec![("gateway".into(), text.into())],
        logs: (0..20)
            .map(|line| store::LogLine {
                t_ms: NOW + i,
                level: store::Level::Info,
                source: text.into(),
                message: format!("{text} {} {line}", "-".repeat((i * 37 % 900) as usize)),
            })
            .collect(),
        usage: vec![store::UsageEvent {
            event_id: format!("{text} {i}"),
            t_ms: NOW + i,
            agent: text.into(),
            provider: text.into(),
            model: text.into(),
            input: 1,
            output: 1,
            cache_read: 1,
            cache_write: 1,
            cost_usd: Some(if device == two { value } else { 1.0 }),
            cost_basis: store::CostBasis::Reported,
        }],
        agent_version: Some(text.into()),
        origin: crate::origin(device.0 as u8, i as u64),
        ..samples(device, NOW, "load1", &[(NOW + i, if device == two { value } else { 1.0 })])
    };
    for i in 0..60 {
        append(&rig.store, report(two, &text, i)).unwrap();
        append(&rig.store, report(rig.device, "other", i)).unwrap();
        if i % 20 == 10 {
            rig.store.seal().unwrap();
            rig.store.maintain(NOW + 10 * 86_400_000).unwrap();
        }
    }
    // Many pages that nothing else will soon take over.
    let long = store::LogLine { message: text.repeat(50_000), ..report(two, &text, 0).logs.remove(0) };
    append(&rig.store, store::Batch { logs: vec![long], ..batch(two, NOW) }).unwrap();
    assert!(!files_with(&rig, MARKER).is_empty());
    rig.store.delete_device(two).unwrap();
    let mut left = Vec::new();
    for i in 0..100 {
        // Each of them makes the writer go on with it; what others report must not hold it up.
        rig.store.tick(NOW + i);
        append(&rig.store, report(rig.device, "other", 1_000 + i)).unwrap();
        left = files_with(&rig, MARKER);
        if left.is_empty() {
            break;
        }
    }
    assert_eq!(left, Vec::<String>::new());
    let rig = rig.reopen(NOW);
    assert_eq!(files_with(&rig, MARKER), Vec::<String>::new());
    assert!(rig.store.storage().samples >= 61);
}

#[test]
fn changes_say_what_changed_and_nothing_twice() {
    let rig = Rig::new(NOW);
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    rig.store.on_change(Box::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    let version = rig.store.version();
    assert!(rig.store.changes_since(version).devices.is_empty());
    append(&rig.store, samples(rig.device, NOW, "load1", &[(NOW, 4.5)])).unwrap();
    let changes = rig.store.changes_since(version);
    assert_eq!(changes.devices.len(), 1);
    assert!(!changes.devices_edited);
    assert_eq!(changes.devices[0].latest, [("load1".into(), 4.5)]);
    assert!(rig.store.changes_since(changes.version).devices.is_empty());
    let version = changes.version;
    rig.store.edit_device(rig.device, profile("renamed")).unwrap();
    assert!(rig.store.changes_since(version).devices_edited);
    assert!(calls.load(Ordering::SeqCst) > 0);
}

#[test]
fn a_state_that_is_no_longer_said_is_over() {
    let rig = Rig::new(NOW);
    let report = |states: &[(&str, &str)]| store::Batch {
        states: states.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        ..batch(rig.device, NOW)
    };
    append(&rig.store, report(&[("gateway", "degraded"), ("gateway_failing", "telegram")])).unwrap();
    append(&rig.store, report(&[])).unwrap();
    assert_eq!(rig.store.device(rig.device).unwrap().states.len(), 2);
    append(&rig.store, report(&[("gateway", "running")])).unwrap();
    assert_eq!(rig.store.device(rig.device).unwrap().states, [("gateway".into(), "running".into())]);
}

#[test]
fn many_devices_are_deleted_at_once_while_others_report() {
    let rig = Rig::new(NOW);
    for round in 0..4u8 {
        let devices: Vec<store::DeviceId> = (0..24u8)
            .map(|n| {
                let mut key = [n; 32];
                key[0] = 200 + round;
                let device = rig.store.add_device(profile(&format!("{round} {n}")), key, NOW).unwrap();
                append(&rig.store, samples(device, NOW, "load1", &[(NOW, f64::from(n))])).unwrap();
                device
            })
            .collect();
        std::thread::scope(|scope| {
            let store = &rig.store;
            let threads: Vec<_> =
                devices.iter().map(|&device| scope.spawn(move || store.delete_device(device))).collect();
            for i in 0..20 {
                let line = store::LogLine {
                    t_ms: NOW + i,
                    level: store::Level::Warn,
                    source: "gateway".into(),
                    message: "it goes on".into(),
                };
                let report = store::Batch { logs: vec![line], ..batch(rig.device, NOW + i) };
                append(store, report).unwrap();
            }
            for thread in threads {
                thread.join().unwrap().unwrap();
            }
        });
        assert_eq!(rig.store.devices().len(), 1);
    }
}

/// Everything a deletion has to take away: file, table, and the column that says whose a row is.
const KEPT_OF_A_DEVICE: [(&str, &str, &str); 11] = [
    ("chunks.db", "chunk", "stream"),
    ("chunks.db", "series", "stream"),
    ("chunks.db", "kept", "stream"),
    ("meta.db", "log", "device"),
    ("meta.db", "event", "device"),
    ("meta.db", "usage_event", "device"),
    ("meta.db", "usage_slot", "device"),
    ("meta.db", "usage_day", "device"),
    ("meta.db", "filled", "device"),
    ("meta.db", "device", "id"),
    ("meta.db", "deletion", "device"),
];

/// Rows of these tables that are of `device`.
fn rows_of(folder: &std::path::Path, device: store::DeviceId) -> Vec<(&'static str, i64)> {
    let count = |(file, table, column): (&str, &'static str, &str)| {
        let db = rusqlite::Connection::open(folder.join(file)).unwrap();
        let rows = format!("SELECT count(*) FROM {table} WHERE {column} = {}", device.0);
        (table, db.query_row(&rows, [], |row| row.get(0)).unwrap())
    };
    KEPT_OF_A_DEVICE.into_iter().map(count).collect()
}

#[test]
fn a_deletion_that_is_cut_short_anywhere_is_finished_at_the_next_start() {
    let mut cut = 0;
    for (file, table, column) in KEPT_OF_A_DEVICE {
        let rig = Rig::new(NOW);
        let victim = rig.store.add_device(profile("victim"), [2; 32], NOW).unwrap();
        let line =
            store::LogLine { t_ms: NOW, level: store::Level::Warn, source: "a".into(), message: "b".into() };
        let usage = store::UsageEvent {
            event_id: "e".into(),
            t_ms: NOW,
            agent: "main".into(),
            provider: "p".into(),
            model: "m".into(),
            input: 1,
            output: 1,
            cache_read: 1,
            cache_write: 1,
            cost_usd: None,
            cost_basis: store::CostBasis::Unknown,
        };
        for device in [rig.device, victim] {
            let batch = store::Batch {
                logs: vec![line.clone()],
                usage: vec![usage.clone()],
                ..samples(device, NOW, "load1", &[(NOW - 1, 7.0), (NOW, 8.0)])
            };
            append(&rig.store, batch).unwrap();
        }
        rig.store.seal().unwrap();
        // Some of it is not sealed.
        append(&rig.store, samples(victim, NOW, "load1", &[(NOW + 1, 9.0)])).unwrap();
        let rig = rig.reopen(NOW + 2);

        // As if the process ended at the first row of this table that goes.
        let db = rusqlite::Connection::open(rig.dir.path().join(file)).unwrap();
        let fault = format!(
            "CREATE TRIGGER fault BEFORE DELETE ON {table} WHEN old.{column} = {}
             BEGIN SELECT raise(ABORT, 'cut short'); END",
            victim.0
        );
        db.execute_batch(&fault).unwrap();
        let deleted = rig.store.delete_device(victim);
        assert!(rig.store.device(victim).is_none(), "{table}: nothing finds it any more");
        cut += usize::from(deleted.is_err());
        let (dir, device) = (rig.dir, rig.device);
        drop(rig.store);
        db.execute_batch("DROP TRIGGER fault").unwrap();
        drop(db);

        let store = Store::open(store::Options::new(dir.path()), NOW + 3).unwrap();
        assert!(store.device(victim).is_none(), "{table}: it came back");
        store.seal().unwrap();
        store.close();
        let left = rows_of(dir.path(), victim);
        assert!(left.iter().all(|(_, rows)| *rows == 0), "cut short at {table}: {left:?}");
        let others = rows_of(dir.path(), device);
        assert!(others.iter().any(|(table, rows)| *table == "chunk" && *rows > 0), "{others:?}");
        assert_eq!(store::check(dir.path()).unwrap().faults, [""; 0]);
    }
    assert!(cut >= 8, "the deletion was cut short {cut} times only");
}
