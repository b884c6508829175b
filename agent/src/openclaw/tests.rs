use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;

/// A gateway on loopback: `answers` is path, status and body. It lives as long as the test.
fn gateway(answers: &'static [(&'static str, u16, &'static str)]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), answers);
        }
    });
    port
}

fn answer(mut stream: TcpStream, answers: &[(&str, u16, &str)]) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let page = (path, 200, "<!doctype html><title>Control</title>");
    let (_, status, body) = answers.iter().find(|(known, ..)| *known == path).unwrap_or(&page);
    let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
}

fn states(view: &View) -> String {
    view.states().iter().map(|(name, state)| format!("{name}={state}")).collect::<Vec<_>>().join(" ")
}

/// What a watcher sees of a gateway that has no process and no lock of this state folder.
fn look(port: u16, state_dir: &Path) -> View {
    let places = OpenClawPlaces {
        asked: vec![state_dir.to_path_buf()],
        port: Some(port),
        temp_dir: state_dir.join("tmp"),
        ..OpenClawPlaces::default()
    };
    let mut watcher = Watcher::new(places);
    // Whatever else runs on this device is not this gateway.
    watcher.finder.rest(Instant::now());
    watcher.look(Instant::now())
}

#[test]
fn a_new_gateway_says_version_and_readiness() {
    let folder = tempfile::tempdir().unwrap();
    let port = gateway(&[
        ("/startupz", 200, r#"{"ok":true,"status":"started","version":"2026.9.6","uptimeMs":9226}"#),
        ("/healthz", 200, r#"{"ok":true,"status":"live"}"#),
        ("/readyz", 503, r#"{"ready":false,"failing":["telegram"]}"#),
    ]);
    let view = look(port, folder.path());
    assert_eq!(states(&view), "gateway=degraded gateway_failing=telegram");
    assert_eq!((view.gateway, view.up, view.ready), (Gateway::Degraded, Some(true), Some(false)));
    assert_eq!(view.version.as_deref(), Some("2026.9.6"));
    let values: Vec<_> = view.sample().values().map(|(name, _, value)| format!("{name}={value}")).collect();
    assert_eq!(values, ["gateway_up=1", "gateway_ready=0", "gateway_restarts_total=0"]);
}

#[test]
fn an_older_gateway_that_sends_its_page_at_startupz_is_running() {
    let folder = tempfile::tempdir().unwrap();
    let port = gateway(&[
        ("/healthz", 200, r#"{"ok":true,"status":"live"}"#),
        ("/readyz", 200, r#"{"ready":true,"failing":[]}"#),
    ]);
    let view = look(port, folder.path());
    assert_eq!((view.gateway, view.up, view.ready), (Gateway::Running, Some(true), Some(true)));
    assert_eq!(view.version, None);
}

#[test]
fn another_program_on_the_port_is_no_gateway() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(look(gateway(&[]), folder.path()).gateway, Gateway::Unknown);
    assert_eq!(look(gateway(&[]), &folder.path().join("none")).gateway, Gateway::NotInstalled);
}

#[test]
fn a_starting_gateway_is_asked_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let port = gateway(&[("/startupz", 503, r#"{"ok":false,"status":"starting"}"#)]);
    let view = look(port, folder.path());
    assert_eq!((view.gateway, view.up, view.ready), (Gateway::Starting, Some(true), None));
}

#[test]
fn a_closed_port_is_a_stopped_gateway_if_there_is_a_state_folder() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_eq!(look(port, folder.path()).gateway, Gateway::Stopped);
    let view = look(port, &folder.path().join("none"));
    let expected =
        View { gateway: Gateway::NotInstalled, ports: vec![port], count: (1, 0), ..View::default() };
    assert_eq!(view, expected);
    assert!(view.sample().is_empty());
}

#[test]
fn a_live_lock_gives_process_and_port() {
    let folder = tempfile::tempdir().unwrap();
    let locks = folder.path().join("tmp/openclaw-1000");
    std::fs::create_dir_all(&locks).unwrap();
    let port = gateway(&[
        ("/startupz", 200, r#"{"ok":true,"status":"started","version":"2026.9.6"}"#),
        ("/readyz", 200, r#"{"ready":true}"#),
    ]);
    let write = |pid: u32| {
        std::fs::write(locks.join("gateway.state.lock"), format!(r#"{{"pid":{pid},"port":{port}}}   "#))
            .unwrap();
    };
    let places = OpenClawPlaces {
        asked: vec![folder.path().to_path_buf()],
        temp_dir: folder.path().join("none"),
        ..OpenClawPlaces::default()
    };
    std::fs::write(folder.path().join("openclaw.json"), "{ gateway: { port: 1 } }").unwrap();
    let mut watcher = Watcher::new(places);
    watcher.finder.rest(Instant::now());
    // This test is the gateway's process.
    write(std::process::id());
    let view = watcher.look(Instant::now());
    assert_eq!(view.gateway, Gateway::Running);
    assert!(view.process.is_some_and(|process| process.rss > 0));
    // Of a lock that a dead process left behind the port does not count: that of the configuration is asked.
    write(u32::MAX - 1);
    let view = watcher.look(Instant::now());
    assert_eq!((view.gateway, view.process), (Gateway::Crashed, None));
    assert_eq!(view.version.as_deref(), Some("2026.9.6"), "the version it had stays known");
}

fn write_lock(state_dir: &Path, pid: u32, port: u16) {
    let locks = state_dir.join("tmp/openclaw-1000");
    std::fs::create_dir_all(&locks).unwrap();
    std::fs::write(locks.join("gateway.state.lock"), format!(r#"{{"pid":{pid},"port":{port}}}"#)).unwrap();
}

fn watcher(home: &Path) -> Watcher {
    let places =
        OpenClawPlaces { home: Some(home.into()), temp_dir: home.join("none"), ..OpenClawPlaces::default() };
    let mut watcher = Watcher::new(places);
    watcher.finder.rest(Instant::now());
    watcher
}

const LIVE: &[(&str, u16, &str)] = &[
    ("/startupz", 200, r#"{"ok":true,"status":"started","version":"2026.9.6"}"#),
    ("/readyz", 200, r#"{"ready":true}"#),
];

#[test]
fn of_several_gateways_the_worst_counts() {
    let home = tempfile::tempdir().unwrap();
    let folder = |name: &str| {
        let path = home.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let (own, work) = (folder(".openclaw"), folder(".openclaw-work"));
    let mut watcher = watcher(home.path());
    let port = gateway(LIVE);
    write_lock(&own, std::process::id(), port);
    assert_eq!(
        states(&watcher.look(Instant::now())),
        "gateway=running",
        "a folder without any sign of a gateway"
    );
    write_lock(&work, u32::MAX - 1, port);
    let view = watcher.look(Instant::now());
    assert_eq!(states(&view), "gateway=crashed gateways=1_of_2_running");
    assert_eq!((view.up, view.version.as_deref()), (Some(false), Some("2026.9.6")));
    write_lock(&work, std::process::id(), port);
    assert_eq!(states(&watcher.look(Instant::now())), "gateway=running gateways=2_of_2_running");
    std::fs::remove_dir_all(work).unwrap();
    assert_eq!(states(&watcher.look(Instant::now())), "gateway=running");
}

#[test]
fn a_stopped_gateway_that_noted_nothing_wrong_is_told_from_one_that_failed_to_start() {
    let home = tempfile::tempdir().unwrap();
    let own = home.path().join(".openclaw");
    std::fs::create_dir_all(own.join("state")).unwrap();
    std::fs::write(own.join("openclaw.json"), "{gateway:{port:1}}").unwrap();
    let mut watcher = watcher(home.path());
    assert_eq!(states(&watcher.look(Instant::now())), "gateway=stopped");
    let notes = rusqlite::Connection::open(own.join("state/openclaw.sqlite")).unwrap();
    let table = "CREATE TABLE gateway_boot_lifecycle (started_at_ms INTEGER, outcome TEXT)";
    notes.execute(table, []).unwrap();
    for (started_at_ms, outcome, expected) in [
        (1, Some("clean_stop"), "gateway=stopped gateway_end=clean_stop"),
        (2, Some("startup_failed"), "gateway=crashed gateway_end=start_failed"),
        (3, None, "gateway=crashed gateway_end=killed"),
    ] {
        let sql = "INSERT INTO gateway_boot_lifecycle VALUES (?1, ?2)";
        notes.execute(sql, rusqlite::params![started_at_ms, outcome]).unwrap();
        assert_eq!(states(&watcher.look(Instant::now())), expected);
    }
}

#[cfg(unix)]
#[test]
fn another_process_in_its_place_is_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let own = home.path().join(".openclaw");
    std::fs::create_dir(&own).unwrap();
    let mut watcher = watcher(home.path());
    let port = gateway(LIVE);
    let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    write_lock(&own, child.id(), port);
    assert_eq!(watcher.look(Instant::now()).restarts, 0);
    assert_eq!(watcher.look(Instant::now()).restarts, 0);
    write_lock(&own, std::process::id(), port);
    assert_eq!(watcher.look(Instant::now()).restarts, 1);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_port_that_closes_under_a_process_means_going_down_and_then_stuck() {
    let home = tempfile::tempdir().unwrap();
    let own = home.path().join(".openclaw");
    std::fs::create_dir(&own).unwrap();
    let mut watcher = watcher(home.path());
    write_lock(&own, std::process::id(), gateway(LIVE));
    let now = Instant::now();
    assert_eq!(watcher.look(now).gateway, Gateway::Running);
    write_lock(&own, std::process::id(), 1);
    assert_eq!(watcher.look(now + Duration::from_secs(5)).gateway, Gateway::Draining);
    assert_eq!(watcher.look(now + judge::DRAIN_MAX).gateway, Gateway::Stuck);
}

#[test]
fn what_was_seen_is_not_told_for_ever_where_looking_panics() {
    let latest = Latest::default();
    let running = || View { gateway: Gateway::Running, ..View::default() };
    keep(&latest, |latest| latest.set(running()));
    assert_eq!(latest.get(), running(), "an end that was asked for changes nothing");
    let held = latest.clone();
    let thread = std::thread::spawn(move || {
        keep(&held, |latest| {
            latest.set(running());
            panic!("as asked");
        });
    });
    assert!(thread.join().is_err());
    assert_eq!(latest.get(), View::default());
}
