//! The agent as a process: what it prints, what it sends, when it refuses.

// Clippy knows test functions, but not what they call.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use server::{EACH_SECOND, Server, start};

mod commands;
mod delivery;
mod doctor;
mod explain;
mod logs;
mod server;
mod stub;
mod usage;

/// Longer than anything here can take on a busy machine: whoever waits this long waits in vain.
const PATIENCE: Duration = Duration::from_secs(60);

/// The agent in an environment with nothing in it but a home folder.
fn agent(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openclaw-watch-agent"));
    command.env_clear().env("HOME", home).env("OPENCLAW_GATEWAY_PORT", "1").current_dir(home);
    command
}

/// The file of settings in that folder.
fn settings(home: &Path) -> PathBuf {
    home.join("openclaw_watch.env")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn output(command: &mut Command) -> Output {
    command.output().expect("the agent starts")
}

#[test]
fn once_print_is_a_report_without_faults() {
    let home = tempfile::tempdir().unwrap();
    let output = output(agent(home.path()).args(["once", "--print", "--interval", "30"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let (report, faults) = wire::json::parse(&output.stdout).expect("it is a report");
    assert_eq!(faults, []);
    assert_eq!(report.agent.interval_s, Some(30));
    assert_eq!(report.agent.version, env!("CARGO_PKG_VERSION"));
    // A gateway of somebody else on this device is seen as well.
    assert!(report.states.iter().all(|(name, _)| name != "usage"), "there is no state folder to read");
    assert_eq!(report.states[0].0, "gateway");
    assert_eq!(report.rows.len(), 1);
    for column in &report.rows.columns {
        assert_eq!(wire::name::check(&column.name), Ok(()));
    }
    for name in ["cpu_percent", "memory_percent", "net_rx_rate", "net_rx_bytes_total"] {
        assert!(report.rows.columns.iter().any(|column| column.name == name), "{name}");
    }
}

#[test]
fn settings_that_cannot_work_are_all_named_before_anything_happens() {
    let home = tempfile::tempdir().unwrap();
    let output =
        output(agent(home.path()).args(["--interval", "0", "--server", "nas", "--api-key", "top secret"]));
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    assert_eq!(stderr.lines().count(), 3, "{stderr}");
    assert!(stderr.lines().all(|line| line.starts_with("openclaw-watch-agent: ")), "{stderr}");
    assert!(!stderr.contains("secret"), "{stderr}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn a_second_agent_with_the_same_state_folder_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&[]);
    let _first = start(home.path(), &server.url, &EACH_SECOND);
    server.report();
    let mut second = agent(home.path());
    let second = output(second.args(["--server", &server.url, "--api-key", "ocw_test"]));
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("another agent"), "{}", text(&second.stderr));
}
