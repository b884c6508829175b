//! What the doctor finds wrong, and what it says to do.

use std::fs;
use std::net::TcpListener;

use crate::stub::{Stub, as_a_server_does};
use crate::{agent, output, settings, text};

/// What the doctor says about a server, and its exit code.
fn doctor(url: &str, flags: &[&str]) -> (String, Option<i32>) {
    let home = tempfile::tempdir().unwrap();
    let output =
        output(agent(home.path()).env("API_KEY", "ocw_1").args(["doctor", "--server", url]).args(flags));
    let said = text(&output.stdout);
    assert!(!said.contains("ocw_1"), "{said}");
    (said, output.status.code())
}

#[track_caller]
fn check_doctor(url: &str, code: i32, line: &str, fix: &str) {
    let (said, found) = doctor(url, &[]);
    assert!(said.contains(line) && said.contains(fix), "{line} / {fix}: {said}");
    assert_eq!(found, Some(code), "{said}");
}

#[test]
fn the_doctor_says_what_is_wrong_and_what_to_do() {
    let good = Stub::start(|head, body| as_a_server_does(head, body, "ocw_1", 0));
    check_doctor(&good.url, 0, "ok    key       the server knows this device", "ok    clock     0");
    assert!(good.requests().iter().all(|(_, body)| body.is_empty()), "nothing was reported");
    let other_key = Stub::start(|head, body| as_a_server_does(head, body, "ocw_2", 0));
    check_doctor(&other_key.url, 1, "FAIL  key       the server does not know this device key", "New key");
    let ahead = Stub::start(|head, body| as_a_server_does(head, body, "ocw_1", -7_200));
    check_doctor(&ahead.url, 1, "FAIL  clock     7", "set this device's clock");
    let behind = Stub::start(|head, body| as_a_server_does(head, body, "ocw_1", 30));
    check_doctor(&behind.url, 0, "note  clock     ", "behind the server's");
    let hotel = Stub::start(|_, _| "200 OK\n<html>".into());
    check_doctor(&hotel.url, 1, "FAIL  server", "port 38889");
    let nobody = format!(
        "http://127.0.0.1:{}",
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    );
    check_doctor(&nobody, 1, "FAIL  port      127.0.0.1:", "is the server running");
    check_doctor("http://no-such-name.invalid:38889", 1, "FAIL  name      no-such-name.invalid", "DNS");
    check_doctor(
        &good.url.replace("http:", "https:"),
        1,
        "FAIL  tls",
        "does the server speak TLS on this port?",
    );
    check_doctor("nas", 1, "FAIL  settings  --server", "enroll URL CODE");
}

#[test]
fn the_doctor_looks_at_the_files_too() {
    let home = tempfile::tempdir().unwrap();
    fs::write(settings(home.path()), "NAS_URL=http://127.0.0.1:1\nAPI_KEY=ocw_1\n").unwrap();
    let sessions = home.path().join(".openclaw/agents/main/sessions");
    fs::create_dir_all(&sessions).unwrap();
    fs::write(sessions.join("a.jsonl.zst"), "no frame").unwrap();
    fs::write(home.path().join("file"), "").unwrap();
    let output = output(agent(home.path()).args(["doctor", "--state-dir", "file/x"]));
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("FAIL  folder    state folder file/x: "), "{said}");
    assert!(said.contains("FAIL  usage     "), "{said}");
    assert!(said.contains("a.jsonl.zst: "), "{said}");
    #[cfg(unix)]
    assert!(said.contains("chmod 600 "), "{said}");
}
