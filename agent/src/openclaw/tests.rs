use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;

const YOUNG: Option<Duration> = Some(Duration::from_secs(5));
const OLD: Option<Duration> = Some(Duration::from_secs(500));

#[track_caller]
fn judged(
    port: Port,
    ready: Option<bool>,
    process: Option<Duration>,
    installed: bool,
) -> (&'static str, Option<bool>) {
    let (gateway, up) = judge(&Seen { port, ready, process, installed, on_loopback: true });
    (gateway.as_str(), up)
}

#[test]
fn what_is_seen_means_one_state() {
    let (yes, no) = (Some(true), Some(false));
    for (port, ready, process, installed, expected) in [
        (Port::Live, yes, OLD, true, ("running", yes)),
        (Port::Live, None, None, false, ("running", yes)),
        (Port::Live, no, OLD, true, ("not_ready", yes)),
        (Port::Starting, None, YOUNG, true, ("starting", yes)),
        (Port::Draining, no, OLD, true, ("not_ready", yes)),
        (Port::Other, None, OLD, true, ("running", yes)),
        (Port::Other, None, None, true, ("unknown", None)),
        (Port::Other, None, None, false, ("not_installed", None)),
        (Port::Open, None, OLD, true, ("running", yes)),
        (Port::Silent, None, OLD, true, ("not_ready", no)),
        (Port::Silent, None, None, true, ("unknown", None)),
        (Port::Refused, None, YOUNG, true, ("starting", no)),
        (Port::Refused, None, OLD, true, ("not_ready", no)),
        (Port::Refused, None, None, true, ("stopped", no)),
        (Port::Refused, None, None, false, ("not_installed", None)),
    ] {
        assert_eq!(
            judged(port.clone(), ready, process, installed),
            expected,
            "{port:?} {process:?} {installed}"
        );
    }
    let elsewhere =
        Seen { port: Port::Refused, ready: None, process: OLD, installed: true, on_loopback: false };
    assert_eq!(judge(&elsewhere), (Gateway::Running, None), "bound to an address that is not asked");
}

#[test]
fn the_port_is_the_one_in_use() {
    let config = |text: &str| GatewayConfig::parse(text);
    let with_port = config("{gateway:{port:19000}}");
    assert_eq!(port(None, None, &config("")), 18_789);
    assert_eq!(port(None, None, &with_port), 19_000);
    assert_eq!(port(None, Some(20_000), &with_port), 20_000);
    assert_eq!(port(Some(21_000), Some(20_000), &with_port), 21_000);
    for text in
        ["{gateway:{port:'${PORT}'}}", "{gateway:{port:0}}", "{gateway:{port:99999}}", "{gateway:{port:1.5}}"]
    {
        assert_eq!(config(text).port, None, "{text}");
    }
    assert!(config("{gateway:{tls:{enabled:true}}}").tls);
    assert!(!config("{gateway:{tls:{enabled:false}}}").tls);
    assert!(config("{gateway:{bind:'lan'}}").on_loopback);
    assert!(!config("{gateway:{bind:'tailnet'}}").on_loopback);
}

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

/// What a watcher sees of a gateway that has no process and no lock of this state folder.
fn look(port: u16, state_dir: &Path) -> View {
    let places = OpenClawPlaces {
        asked: vec![state_dir.to_path_buf()],
        port: Some(port),
        temp_dir: state_dir.join("tmp"),
        ..OpenClawPlaces::default()
    };
    let mut watcher = Watcher::new(places).unwrap();
    // Whatever else runs on this device is not this gateway.
    watcher.searched = Some(Instant::now());
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
    assert_eq!((view.gateway, view.up, view.ready), (Gateway::NotReady, Some(true), Some(false)));
    assert_eq!(view.version.as_deref(), Some("2026.9.6"));
    let values: Vec<_> = view.sample().values().map(|(name, _, value)| format!("{name}={value}")).collect();
    assert_eq!(values, ["gateway_up=1", "gateway_ready=0"]);
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
    assert_eq!(view, View { gateway: Gateway::NotInstalled, ..View::default() });
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
    let mut watcher = Watcher::new(places).unwrap();
    watcher.searched = Some(Instant::now());
    // This test is the gateway's process.
    write(std::process::id());
    let view = watcher.look(Instant::now());
    assert_eq!(view.gateway, Gateway::Running);
    assert!(view.process.is_some_and(|process| process.rss > 0));
    // A lock that a dead process left behind says nothing: port 1 of the configuration is asked.
    write(u32::MAX - 1);
    let view = watcher.look(Instant::now());
    assert_eq!((view.gateway, view.process), (Gateway::Stopped, None));
    assert_eq!(view.version.as_deref(), Some("2026.9.6"), "the version it had stays known");
}
