//! Usage on its way to the server: each event once, and none lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Instant;

use wire::Report;

use crate::server::{EACH_SECOND, Server, boot, poll, spooled_frames, start};
use crate::{PATIENCE, agent, output, text};

/// A transcript with one message of so many tokens.
pub fn transcript(home: &Path, session: &str, tokens: u32) {
    let folder = home.join(".openclaw/agents/main/sessions");
    std::fs::create_dir_all(&folder).unwrap();
    let text = format!(
        "{{\"type\":\"session\",\"id\":\"{session}\"}}\n{{\"id\":\"{session}\",\"message\":{{\"role\":\"assistant\",\
         \"content\":\"a secret\",\"timestamp\":5,\"usage\":{{\"input\":{tokens}}}}}}}\n"
    );
    std::fs::write(folder.join(format!("{session}.jsonl")), text).unwrap();
}

/// Tokens in of the next reports' events, until there are so many.
fn tokens(server: &Server, count: usize) -> Vec<u64> {
    let mut tokens = Vec::new();
    while tokens.len() < count {
        tokens.extend(server.report().usage.iter().map(|event| event.input));
    }
    tokens
}

fn printed(home: &Path) -> Report {
    let output = output(agent(home).args(["once", "--print"]));
    assert!(!text(&output.stdout).contains("secret"));
    wire::json::parse(&output.stdout).unwrap().0
}

#[cfg(unix)]
#[test]
fn usage_is_sent_until_it_is_acknowledged_and_then_no_more() {
    let home = tempfile::tempdir().unwrap();
    let in_memory = [&EACH_SECOND[..], &["--spool-mb", "0"]].concat();
    transcript(home.path(), "a", 10);
    transcript(home.path(), "b", 20);
    let report = printed(home.path());
    assert_eq!(report.usage.iter().map(|event| event.input).collect::<Vec<_>>(), [10, 20]);
    assert!(report.states.contains(&("usage".to_string(), "ok".to_string())), "{:?}", report.states);
    assert_eq!(printed(home.path()).usage, report.usage, "printing moves nothing");

    // Nothing is acknowledged before the agent is killed: the next one sends it again.
    let server = Server::start(&["503 Busy\r\nRetry-After: 60\r\n\r\n", "503 Busy\r\n\r\n"]);
    let mut killed = start(home.path(), &server.url, &in_memory);
    server.report();
    killed.0.kill().unwrap();
    killed.0.wait().unwrap();
    assert_eq!(printed(home.path()).usage, report.usage);

    let server = Server::start(&[]);
    let mut agent = start(home.path(), &server.url, &in_memory);
    assert_eq!(tokens(&server, 2), [10, 20]);
    // The next report is on its way only after the last one was acknowledged.
    assert_eq!(server.report().usage, []);
    let pid = agent.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(agent.0.wait().unwrap().code(), Some(0));
    assert_eq!(printed(home.path()).usage, []);
    transcript(home.path(), "c", 30);
    let server = Server::start(&[]);
    let _agent = start(home.path(), &server.url, &in_memory);
    assert_eq!(
        tokens(&server, 3),
        [10, 20, 30],
        "another address may be another server, which has nothing yet"
    );
}

#[cfg(unix)]
#[test]
fn usage_on_disk_is_read_again_until_the_server_has_it_and_then_no_more() {
    let home = tempfile::tempdir().unwrap();
    transcript(home.path(), "a", 10);
    transcript(home.path(), "b", 20);
    let server = Server::start(&[]);
    server.up.store(false, Ordering::SeqCst);
    let state = home.path().join("state");
    let flags = ["--interval", "1", "--state-dir", state.to_str().unwrap()];
    let killed = start(home.path(), &server.url, &flags);
    poll("usage on disk", || {
        let frames = spooled_frames(&state).into_values();
        frames.map(|frame| wire::frame::decode(&frame).unwrap()).find(|report| !report.usage.is_empty())
    });
    drop(killed);

    // A power cut could have taken the spool: the next run reads the same events again. Both reports
    // come, and the server counts an event once by its id.
    server.up.store(true, Ordering::SeqCst);
    let mut agent = start(home.path(), &server.url, &flags);
    let mut copies = BTreeMap::new();
    let begun = Instant::now();
    while copies.len() < 2 {
        assert!(begun.elapsed() < PATIENCE, "{} copies came", copies.len());
        let report = server.report();
        if !report.usage.is_empty() {
            let twice = copies.insert(boot(&report).0, report.usage);
            assert!(twice.is_none(), "one run sends them once");
        }
    }
    let copies: Vec<_> = copies.into_values().collect();
    assert_eq!(copies[0].iter().map(|event| event.input).collect::<Vec<_>>(), [10, 20]);
    assert_eq!(copies[0], copies[1]);
    // The next report is on its way only after the last one was acknowledged.
    assert_eq!(server.report().usage, []);
    let pid = agent.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(agent.0.wait().unwrap().code(), Some(0));
    let _agent = start(home.path(), &server.url, &flags);
    for _ in 0..4 {
        assert_eq!(server.report().usage, [], "the server has it");
    }
}

#[test]
fn a_long_history_arrives_without_waiting_for_the_next_report() {
    const ANSWERS: u32 = 5_000;
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".openclaw/agents/main/sessions");
    std::fs::create_dir_all(&folder).unwrap();
    let line = |i| {
        format!(
            "{{\"id\":\"a{i}\",\"message\":{{\"role\":\"assistant\",\"timestamp\":{i},\"usage\":{{\"input\":1}}}}}}\n"
        )
    };
    std::fs::write(folder.join("a.jsonl"), (0..ANSWERS).map(line).collect::<String>()).unwrap();
    let server = Server::start(&[]);
    // The second report of figures would be due long after this test has failed.
    let _agent = start(home.path(), &server.url, &["--interval", "3600"]);
    let (mut events, mut with_rows) = (BTreeSet::new(), 0);
    while events.len() < ANSWERS as usize {
        let report = server.report();
        with_rows += usize::from(!report.rows.is_empty());
        events.extend(report.usage.into_iter().map(|event| event.event_id));
    }
    assert!(with_rows <= 1, "{with_rows}");
}

#[test]
fn one_report_at_a_time_goes_on_where_the_last_one_ended() {
    let home = tempfile::tempdir().unwrap();
    transcript(home.path(), "a", 10);
    let server = Server::start(&[]);
    let once = || {
        let flags = ["once", "--server", &server.url, "--api-key", "ocw_test"];
        let output = output(agent(home.path()).args(flags));
        assert!(output.status.success(), "{}", text(&output.stderr));
        server.report().usage.iter().map(|event| event.input).collect::<Vec<_>>()
    };
    assert_eq!(once(), [10]);
    assert_eq!(once(), Vec::<u64>::new());
    transcript(home.path(), "b", 20);
    assert_eq!(once(), [20]);
}
