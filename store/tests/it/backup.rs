//! Backups: taken under load, whole or refused, the same data when restored.

use crate::{Rig, append, batch, origin, samples};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use store::{
    Error, Level, LogLine, LogQuery, NewSession, Options, RangeAnswer, RangeQuery, Rejected, Role, Store,
    TimeRange,
};

const NOW: i64 = 1_795_343_922_420;

fn answer(store: &Store, rig: &Rig, to_ms: i64) -> RangeAnswer {
    store.query(&query(rig, to_ms)).unwrap()
}

#[test]
fn a_backup_under_load_holds_everything_acknowledged_before() {
    let rig = Rig::new(NOW);
    let (acknowledged, stop) = (AtomicI64::new(0), AtomicBool::new(false));
    let elsewhere = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let (rig, acknowledged, stop) = (&rig, &acknowledged, &stop);
        let writer = scope.spawn(move || {
            for n in 0.. {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                let line =
                    LogLine { t_ms: NOW + n, level: Level::Warn, source: "s".into(), message: n.to_string() };
                let rows = samples(rig.device, NOW + n, "load1", &[(NOW + n * 1_000, n as f64)]);
                let report = store::Batch { origin: origin(1, n as u64), logs: vec![line], ..rows };
                // A machine that is busy with other things may not keep up with so much sealing: as a device would.
                while let Err(rejected) = append(&rig.store, report.clone()) {
                    assert!(matches!(rejected, Rejected::Overloaded { .. }), "{rejected}");
                    std::thread::yield_now();
                }
                acknowledged.store(n + 1, Ordering::Release);
            }
        });
        let sealer = scope.spawn(move || {
            while !stop.load(Ordering::Acquire) {
                rig.store.seal().unwrap();
                rig.store.maintain(NOW).unwrap();
            }
        });
        for round in 0..4 {
            while acknowledged.load(Ordering::Acquire) < (round + 1) * 200 {
                assert!(!writer.is_finished(), "nothing is written any more");
                std::thread::yield_now();
            }
            let before = acknowledged.load(Ordering::Acquire);
            let file = elsewhere.path().join(format!("{round}.backup"));
            let mut share = 0.0;
            let done = store::backup(rig.dir.path(), &file, |now| share = now).unwrap();
            assert!(done.data_bytes > done.file_bytes && done.file_bytes > 0 && share == 1.0, "{done:?}");
            let dir = elsewhere.path().join(format!("{round}"));
            assert_eq!(store::restore(&file, &dir).unwrap(), done);
            let restored = Store::open(Options::new(&dir), NOW).unwrap();
            let to_ms = NOW + before * 1_000;
            assert_eq!(
                format!("{:?}", answer(&restored, rig, to_ms)),
                format!("{:?}", answer(&rig.store, rig, to_ms)),
                "round {round}"
            );
            let logs = restored.logs(&LogQuery { limit: 500, ..LogQuery::default() }).unwrap();
            let newest: i64 = logs.entries[0].line.message.parse().unwrap();
            assert!(newest + 1 >= before, "round {round}: {newest} of {before}");
            // What was acknowledged counts once, also when it is sent again to the restored server.
            let again =
                store::Batch { origin: origin(1, 0), ..samples(rig.device, NOW, "load1", &[(NOW, 5.0)]) };
            assert!(append(&restored, again).unwrap().duplicate);
            restored.close();
            assert_eq!(store::check(&dir).unwrap().faults, [""; 0], "round {round}");
        }
        stop.store(true, Ordering::Release);
        writer.join().unwrap();
        sealer.join().unwrap();
    });
}

fn query(rig: &Rig, to_ms: i64) -> RangeQuery {
    RangeQuery {
        devices: vec![rig.device],
        metrics: vec!["load1".into()],
        range: TimeRange::new(NOW, to_ms).unwrap(),
        points: 5_000,
    }
}

/// A folder with one of everything, closed.
fn sample() -> (tempfile::TempDir, std::path::PathBuf) {
    let rig = Rig::new(NOW);
    append(&rig.store, samples(rig.device, NOW, "load1", &[(NOW, 1.0)])).unwrap();
    rig.store.seal().unwrap();
    append(&rig.store, samples(rig.device, NOW, "load1", &[(NOW + 1, 1.0)])).unwrap();
    rig.store.close();
    let file = rig.dir.path().join("backup");
    store::backup(rig.dir.path(), &file, |_| ()).unwrap();
    (rig.dir, file)
}

#[test]
fn a_backup_is_for_its_owner_and_overwrites_nothing() {
    let (dir, file) = sample();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let before = std::fs::read(&file).unwrap();
    assert!(matches!(store::backup(dir.path(), &file, |_| ()), Err(Error::Backup { .. })));
    assert!(std::fs::read(&file).unwrap() == before);
    let error = store::restore(&file, dir.path()).unwrap_err().to_string();
    assert!(error.contains("there is data in it (tail.db)"), "{error}");
    let nothing = tempfile::tempdir().unwrap();
    let error = store::backup(nothing.path(), &dir.path().join("b"), |_| ()).unwrap_err().to_string();
    assert!(error.contains("there is no tail.db in it"), "{error}");
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("partial")), "{left:?}");
}

/// The names in a folder, sorted.
fn names(dir: &std::path::Path) -> Vec<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = std::fs::read_dir(dir).unwrap().map(name).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_folder_without_data_is_filled_and_what_else_is_in_it_stays() {
    let (_dir, file) = sample();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path();
    std::fs::create_dir(to.join("lost+found")).unwrap();
    std::fs::write(to.join("plan.toml"), "measured").unwrap();
    // A volume cannot be replaced or renamed: the folder must stay the one it is.
    let opened = std::fs::File::open(to).unwrap();
    let before = std::fs::read(&file).unwrap();
    let broken = to.join("broken");
    std::fs::write(&broken, &before[..before.len() / 2]).unwrap();
    assert!(matches!(store::restore(&broken, to), Err(Error::Backup { .. })));
    assert_eq!(names(to), ["broken", "lock", "lost+found", "plan.toml"]);
    store::restore(&file, to).unwrap();
    let expected = ["broken", "chunks.db", "lock", "lost+found", "meta.db", "plan.toml", "tail.db"];
    assert_eq!(names(to), expected);
    assert_eq!(std::fs::read(to.join("plan.toml")).unwrap(), b"measured");
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        assert_eq!(opened.metadata().unwrap().ino(), std::fs::metadata(to).unwrap().ino());
    }
    drop(opened);
    Store::open(Options::new(to), NOW).unwrap();
}

#[test]
fn a_restore_that_was_cut_off_is_noticed_and_can_be_done_again() {
    let (_dir, file) = sample();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path();
    store::restore(&file, to).unwrap();
    // As it is between two of the files.
    std::fs::create_dir(to.join("restoring")).unwrap();
    std::fs::rename(to.join("meta.db"), to.join("restoring/meta.db")).unwrap();
    let opened = Store::open(Options::new(to), NOW).err().unwrap().to_string();
    let restored = store::restore(&file, to).unwrap_err().to_string();
    for error in [opened, restored] {
        assert!(
            error.contains("delete restoring and what there is of tail.db, meta.db, chunks.db"),
            "{error}"
        );
    }
    assert!(!to.join("meta.db").exists());
    // As it is before the first of them.
    for name in ["tail.db", "chunks.db"] {
        std::fs::remove_file(to.join(name)).unwrap();
    }
    store::restore(&file, to).unwrap();
    assert_eq!(names(to), ["chunks.db", "lock", "meta.db", "tail.db"]);
}

#[test]
fn a_folder_that_is_in_use_is_not_restored_to() {
    let (_dir, file) = sample();
    let folder = tempfile::tempdir().unwrap();
    let lock = std::fs::File::create(folder.path().join("lock")).unwrap();
    lock.lock().unwrap();
    assert!(matches!(store::restore(&file, folder.path()), Err(Error::Locked { .. })));
}

#[test]
fn a_backup_that_is_not_whole_makes_no_folder() {
    let (dir, file) = sample();
    let whole = std::fs::read(&file).unwrap();
    let to = dir.path().join("restored");
    let refused = |bytes: &[u8], what: &str| {
        let broken = dir.path().join("broken");
        std::fs::write(&broken, bytes).unwrap();
        assert!(matches!(store::restore(&broken, &to), Err(Error::Backup { .. })), "{what}");
        assert!(!to.exists(), "{what}");
    };
    refused(b"", "nothing");
    refused(b"something else entirely", "another file");
    for cut in [8, 20, whole.len() / 2, whole.len() - 1] {
        refused(&whole[..cut], &format!("cut at {cut}"));
    }
    let files = |folder: &std::path::Path| {
        let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
        ["tail.db", "chunks.db", "meta.db"].map(read)
    };
    let sound = dir.path().join("sound");
    store::restore(&file, &sound).unwrap();
    let mut noticed = 0;
    for at in (8..whole.len()).step_by(whole.len() / 40) {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        let broken = dir.path().join("broken");
        std::fs::write(&broken, &changed).unwrap();
        match store::restore(&broken, &to) {
            Err(Error::Backup { .. }) => noticed += 1,
            // Not every bit of a packed file means something.
            Ok(_) if files(&to) == files(&sound) => std::fs::remove_dir_all(&to).unwrap(),
            other => panic!("changed at {at}: {other:?}"),
        }
        assert!(!to.exists(), "changed at {at}");
    }
    assert!(noticed > 30, "{noticed}");
}

#[test]
fn a_password_is_reset_while_a_server_runs_and_its_sessions_end() {
    let rig = Rig::new(NOW);
    let user = rig.store.add_first_user("ada", "old", NOW).unwrap();
    let session = NewSession { token_hash: [7; 32], user: user.id, ..NewSession::default() };
    rig.store.add_session(&session, NOW).unwrap();
    assert_eq!(store::usernames(rig.dir.path()).unwrap(), [("ada".to_string(), Role::Admin)]);
    assert!(matches!(store::reset_password(rig.dir.path(), "eve", "new"), Err(Error::NotFound { .. })));
    assert_eq!(store::reset_password(rig.dir.path(), "ada", "new").unwrap(), 1);
    assert_eq!(rig.store.user("ada").unwrap().unwrap().password_hash, "new");
    assert!(rig.store.session(&[7; 32], NOW).unwrap().is_none());
    append(&rig.store, batch(rig.device, NOW)).unwrap();
}
