//! Log lines on their way to the server.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Stdio;
use std::time::Instant;

use wire::BootId;

use crate::server::{Running, Server, boot, poll};
use crate::{PATIENCE, agent};

/// A line of the gateway's log.
fn log_line(message: &str) -> String {
    format!("{{\"0\":\"x\",\"_meta\":{{\"logLevelName\":\"ERROR\"}},\"message\":\"{message}\"}}\n")
}

/// Messages of this test's gateway, until the last one comes. Another may run on this machine. Like a
/// server it counts a report once that comes again under its number.
fn messages_until(server: &Server, seen: &mut BTreeSet<(BootId, u64)>, last: &str) -> Vec<String> {
    let mut messages = Vec::new();
    let begun = Instant::now();
    while messages.last().is_none_or(|message| message != last) {
        assert!(begun.elapsed() < PATIENCE, "{last:?} is missing: {messages:?}");
        let report = server.report();
        if !seen.insert(boot(&report)) {
            continue;
        }
        let logs = report.logs.into_iter().map(|line| line.message);
        messages.extend(logs.filter(|message| message.starts_with("test ")));
    }
    messages
}

#[test]
fn log_lines_come_redacted_and_once_across_a_kill() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let mut seen = BTreeSet::new();
    let (state, temp) = (home.path().join("state"), home.path().join("tmp"));
    std::fs::create_dir_all(home.path().join(".openclaw")).unwrap();
    std::fs::create_dir_all(temp.join("openclaw")).unwrap();
    let path = temp.join("openclaw").join("openclaw-2026-11-22.log");
    let append = |text: &str| {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        file.unwrap().write_all(text.as_bytes()).unwrap();
    };
    let run = || {
        let mut command = agent(home.path());
        command.args(["--server", &server.url, "--interval", "1", "--state-dir"]).arg(&state);
        command.env("API_KEY", "ocw_test").env("TMPDIR", &temp).env("TEMP", &temp);
        Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the agent starts"))
    };
    append(&log_line("test before password=hunter2"));
    let first = run();
    assert_eq!(
        messages_until(&server, &mut seen, "test before password=[redacted]"),
        ["test before password=[redacted]"]
    );
    append(&log_line("test during"));
    assert_eq!(messages_until(&server, &mut seen, "test during"), ["test during"]);
    let len = std::fs::metadata(&path).unwrap().len();
    poll("the place in the log to be noted", || {
        let text = std::fs::read_to_string(state.join("logs.json")).ok()?;
        text.contains(&format!("\"offset\":{len},")).then_some(())
    });
    drop(first);
    append(&log_line("test while away"));
    let _second = run();
    append(&log_line("test after"));
    assert_eq!(messages_until(&server, &mut seen, "test after"), ["test while away", "test after"]);
}
