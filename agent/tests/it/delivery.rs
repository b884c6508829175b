//! What becomes of reports: whatever the server answers, and however often either of the two is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Instant;

use agent::spool::Spool;
use agent::spool::disk::Folder;
use agent::spool::record::Key;
use wire::{BootId, Report};

use crate::server::{EACH_SECOND, OK, Running, Server, boot, poll, spooled, start};
use crate::{PATIENCE, agent};

#[test]
fn what_was_not_acknowledged_is_sent_again_as_the_same_bytes() {
    let home = tempfile::tempdir().unwrap();
    // No answer at all, an overloaded server, and one that is not ours: none of them is a receipt.
    let server = Server::start(&["", "503 Busy\r\nRetry-After: 1\r\n\r\n", OK]);
    let agent = start(home.path(), &server.url, &EACH_SECOND);
    let first = server.request();
    assert!(first.head.starts_with("POST /api/v1/report HTTP/1.1\r\n"), "{}", first.head);
    let head = first.head.to_lowercase();
    assert!(head.contains("authorization: bearer ocw_test\r\n"), "{head}");
    assert!(head.contains(&format!("content-type: {}\r\n", wire::FRAME_CONTENT_TYPE)), "{head}");
    let report = wire::frame::decode(&first.frame).unwrap();
    let (boot_id, seq) = boot(&report);
    assert_eq!(seq, 0);
    let mut times = BTreeMap::from([(0, report.rows.t_ms[0])]);
    let (mut frames, mut requests) = (BTreeMap::from([(0, first.frame)]), 1);
    let begun = Instant::now();
    while times.len() < 5 || requests < times.len() + 2 {
        assert!(begun.elapsed() < PATIENCE, "{requests} requests: {times:?}");
        let request = server.request();
        requests += 1;
        let report = wire::frame::decode(&request.frame).unwrap();
        assert_eq!(boot(&report).0, boot_id);
        times.insert(boot(&report).1, report.rows.t_ms[0]);
        let before = frames.insert(boot(&report).1, request.frame.clone());
        assert!(before.is_none_or(|before| before == request.frame), "the same bytes again");
    }
    assert_eq!(requests, times.len() + 2, "the two that were not acknowledged, and no other, came twice");
    assert!(times.keys().copied().eq(0..times.len() as u64), "{times:?}");
    assert!(times.values().is_sorted_by(|a, b| a < b), "time goes on");
    drop(agent);
}

#[test]
fn whatever_a_server_answers_every_report_arrives_in_the_end() {
    let home = tempfile::tempdir().unwrap();
    // Each is followed by a good one, so that the waits stay short.
    let server = Server::start(&[
        "429 Slow\r\nRetry-After: 1\r\n\r\n",
        OK,
        "500 Broken\r\n\r\n<html>",
        OK,
        "\x00\x01 garbage\r\n\x7f",
        OK,
        "200 OK\r\nContent-Length: 900\r\n\r\n{\"accepted\":1",
    ]);
    let agent = start(home.path(), &server.url, &EACH_SECOND);
    let (mut times, mut requests) = (BTreeMap::new(), 0);
    let begun = Instant::now();
    // The last of these answers is no server's of ours and has its reporter wait for a minute; that it
    // waits is what is tested elsewhere.
    while requests < 7 {
        assert!(begun.elapsed() < PATIENCE, "{requests} requests: {times:?}");
        let report = server.report();
        requests += 1;
        times.insert(boot(&report).1, report.rows.t_ms[0]);
    }
    assert!(times.keys().copied().eq(0..times.len() as u64), "no number is missing: {times:?}");
    assert!(times.values().is_sorted_by(|a, b| a < b), "time goes on: {times:?}");
    drop(agent);
}

#[test]
fn every_second_of_an_outage_arrives_once_however_often_the_agent_is_killed() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    server.up.store(false, Ordering::SeqCst);
    let state = home.path().join("state");
    let flags = ["--interval", "1", "--state-dir", state.to_str().unwrap()];
    let mut expected = BTreeSet::new();
    for _ in 0..2 {
        let before = expected.len();
        let agent = start(home.path(), &server.url, &flags);
        poll("reports on disk", || (spooled(&state).len() >= before + 3).then_some(()));
        // SIGKILL: the agent has no part in its end.
        drop(agent);
        let now = spooled(&state);
        assert!(now.is_superset(&expected), "{now:?} {expected:?}");
        expected = now;
    }
    assert!(server.requests.try_recv().is_err(), "nothing arrived yet");

    server.up.store(true, Ordering::SeqCst);
    let _agent = start(home.path(), &server.url, &flags);
    let mut rows: BTreeMap<BootId, BTreeMap<u64, Vec<i64>>> = BTreeMap::new();
    let begun = Instant::now();
    // The newest goes first: on a slow machine one before it may still be on its way.
    let whole = |run: &BTreeMap<u64, Vec<i64>>| run.keys().copied().eq(0..run.len() as u64);
    while !expected.is_empty() || rows.len() < 3 || !rows.values().all(whole) {
        assert!(begun.elapsed() < PATIENCE, "these are missing: {expected:?}, or of these: {rows:?}");
        let report = server.report();
        let (boot, seq) = boot(&report);
        expected.remove(&Key { boot, seq });
        let twice = rows.entry(boot).or_default().insert(seq, report.rows.t_ms);
        assert_eq!(twice, None, "report {seq} of {boot} came twice");
    }
    for run in rows.values() {
        assert!(run.values().is_sorted_by(|a, b| a < b), "{run:?}");
    }
    let mut times: Vec<_> = rows.values().flat_map(|run| run.values().flatten()).collect();
    let all = times.len();
    times.sort();
    times.dedup();
    assert_eq!(times.len(), all, "no second is there twice");
}

#[test]
fn a_report_that_is_too_large_arrives_in_parts_and_a_bad_one_is_given_up() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&[OK, "413 Large\r\n\r\n", "400 Bad\r\n\r\n"]);
    let _agent = start(home.path(), &server.url, &["--interval", "2", "--sample-interval", "1"]);
    let first = server.report();
    assert_eq!((boot(&first).1, first.rows.len()), (0, 1), "the first sample does not wait");
    let whole = server.report();
    assert_eq!((boot(&whole).1, whole.rows.len()), (1, 2));
    // The answer to the first half is 400: the second one comes all the same.
    for (half, seq) in [(0, 2), (1, 3)] {
        let report = server.report();
        assert_eq!((boot(&report).1, &report.rows.t_ms[..]), (seq, &whole.rows.t_ms[half..half + 1]));
    }
    assert_eq!(boot(&server.report()).1, 4);
}

/// An agent none of whose files may grow: to whoever writes it is as on a full disk.
#[cfg(unix)]
fn start_on_a_full_disk(home: &Path, url: &str, log: Stdio) -> Running {
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(agent(home).get_program()).args(["--server", url]).args(EACH_SECOND);
    command.env_clear().env("HOME", home).env("API_KEY", "ocw_test").current_dir(home);
    Running(command.stderr(log).spawn().unwrap())
}

#[cfg(unix)]
#[test]
fn a_full_disk_keeps_no_report_from_the_server() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let mut agent = start_on_a_full_disk(home.path(), &server.url, Stdio::piped());
    for seq in 0..3 {
        assert_eq!(boot(&server.report()).1, seq);
    }
    agent.0.kill().unwrap();
    let mut log = String::new();
    agent.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(log.matches("reports are kept in memory only").count(), 1, "{log}");
}

#[cfg(unix)]
#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let (home, log) = (tempfile::tempdir().unwrap(), tempfile::tempfile().unwrap());
    let server = Server::start(&[]);
    let _agent = start_on_a_full_disk(home.path(), &server.url, log.into());
    for seq in 0..3 {
        assert_eq!(boot(&server.report()).1, seq);
    }
}

#[cfg(unix)]
#[test]
fn a_stop_signal_sends_what_is_there_and_ends_well() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let mut agent = start(home.path(), &server.url, &EACH_SECOND);
    server.report();
    let pid = agent.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(agent.0.wait().unwrap().code(), Some(0));
    let mut log = String::new();
    agent.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains(" info stopping"), "{log}");
    assert!(!log.contains("ocw_test"), "{log}");
}

#[test]
fn live_reports_do_not_wait_for_the_old_ones() {
    const OLD: u64 = 300;
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let old_run = BootId([7; 16]);
    let disk = Folder::open(&state.join("spool")).unwrap();
    let mut spool = Spool::open(Box::new(disk), 0, old_run).unwrap();
    for seq in 0..OLD {
        let agent = wire::AgentInfo { boot: Some((old_run, seq)), ..Default::default() };
        let frame = wire::frame::encode(&Report { agent, ..Report::default() }).unwrap();
        spool.append(seq, &frame).unwrap();
    }
    drop(spool);
    let server = Server::start(&[]);
    let _agent =
        start(home.path(), &server.url, &["--interval", "1", "--state-dir", state.to_str().unwrap()]);
    let (mut old, mut live) = (0, 0);
    let begun = Instant::now();
    while old < OLD {
        assert!(begun.elapsed() < PATIENCE, "{old} came");
        let (boot, seq) = boot(&server.report());
        let next = if boot == old_run { &mut old } else { &mut live };
        assert_eq!(seq, *next, "each kind comes in its order");
        *next += 1;
    }
    // The old ones rest at least 6 s between them, in which at least 3 live ones are made.
    assert!(live >= 3, "{live}");
}
