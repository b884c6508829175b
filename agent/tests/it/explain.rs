//! `explain` tells the truth: the report as it is, and every file that is opened.

use std::path::{Path, PathBuf};
#[cfg(target_os = "linux")]
use std::process::{Command, Stdio};

use crate::usage::transcript;
use crate::{agent, output, text};

/// The paths that `explain` names, and the report after them.
fn explained(home: &Path) -> (Vec<String>, String) {
    let output =
        output(agent(home).args(["explain", "--server", "http://127.0.0.1:1", "--api-key", "ocw_1"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(!said.contains("ocw_1") && !said.contains("a secret"), "{said}");
    let (before, report) = said.split_once("\nThe next report\n").expect("it has both parts");
    let named =
        before.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    (named.map(str::to_string).collect(), report.to_string())
}

#[test]
fn the_report_is_the_one_that_would_be_sent_logs_and_usage_included() {
    let home = tempfile::tempdir().unwrap();
    transcript(home.path(), "s", 41);
    let log = home.path().join("gateway-2026-11-22.log");
    let line = r#"{"0":"no route, Authorization: Bearer abcdefghijklmnop","_meta":{"logLevelName":"ERROR"}}"#;
    std::fs::write(&log, format!("{line}\n")).unwrap();
    let config = format!("{{logging: {{file: {:?}}}}}", log.display().to_string());
    std::fs::write(home.path().join(".openclaw/openclaw.json"), config).unwrap();
    let (named, report) = explained(home.path());
    let log = home.path().join("gateway-*").display().to_string();
    for name in [log.as_str(), "http://127.0.0.1:1/api/v1/report", "nothing, whatever the server answers"] {
        assert!(named.iter().any(|known| known == name), "{name} in {named:?}");
    }
    let (report, faults) = wire::json::parse(report.as_bytes()).expect("it is a report");
    assert_eq!(faults, []);
    assert_eq!(report.usage.iter().map(|event| event.input).collect::<Vec<_>>(), [41]);
    let messages: Vec<_> = report.logs.iter().map(|line| line.message.as_str()).collect();
    // Another gateway of this device may log something of its own.
    assert!(messages.iter().any(|message| message.contains("no route")), "{messages:?}");
    assert!(messages.iter().all(|message| !message.contains("abcdefghijklmnop")), "{messages:?}");
}

/// Whether a path is what a pattern names: `*` stands for part of a name, and a folder of the system for
/// everything in it.
fn covers(pattern: &str, path: &str) -> bool {
    const SYSTEM: [&str; 5] = ["/proc", "/sys", "/lib", "/usr/lib", "/dev/disk/by-id"];
    if SYSTEM.contains(&pattern) {
        return Path::new(path).starts_with(pattern);
    }
    let parts = |path: &str| -> Vec<String> {
        PathBuf::from(path).iter().map(|part| part.to_string_lossy().into_owned()).collect()
    };
    let (patterns, names) = (parts(pattern), parts(path));
    let anywhere = patterns.first().is_some_and(|first| first == "*");
    let names = if anywhere { &names[names.len().saturating_sub(patterns.len())..] } else { &names[..] };
    patterns.len() == names.len() && patterns.iter().zip(names).all(|(pattern, name)| matches(pattern, name))
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            (0..=name.len()).any(|at| name.get(at..).is_some_and(|end| matches(rest, end)))
        }),
    }
}

#[test]
fn patterns_cover_names_and_not_more() {
    assert!(covers("/sys", "/sys/class/net/") && !covers("/sys", "/system"));
    assert!(covers("/a/*/b*.x", "/a/q/bcd.x") && !covers("/a/*/b*.x", "/a/q/r/b.x"));
    assert!(covers("*/openclaw/package.json", "/usr/lib/node/openclaw/package.json"));
}

/// The system says what was opened.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs strace, which not every machine has or allows; .ci/run looks for it"]
fn nothing_is_opened_that_is_not_named_and_nothing_is_executed() {
    let home = tempfile::tempdir().unwrap();
    transcript(home.path(), "s", 41);
    let trace = home.path().join("trace");
    for folder in [".openclaw/tmp/openclaw-1000", ".local/state"] {
        std::fs::create_dir_all(home.path().join(folder)).unwrap();
    }
    let (named, _) = explained(home.path());
    let program = env!("CARGO_BIN_EXE_openclaw-watch-agent");
    let status = Command::new("strace")
        .args([
            "-f",
            "-e",
            "trace=execve,execveat,open,openat,openat2,creat,mkdir,rename",
            "-s",
            "4096",
            "-o",
        ])
        .args([trace.as_path(), Path::new(program)])
        .args(["once", "--server", "http://127.0.0.1:1", "--api-key", "ocw_1"])
        .env_clear()
        .env("HOME", home.path())
        .env("OPENCLAW_GATEWAY_PORT", "1")
        .current_dir(home.path())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1), "there is no server");
    let trace = std::fs::read_to_string(trace).unwrap();
    let calls = |name: &str| trace.lines().filter(|line| line.contains(name)).count();
    assert_eq!(calls("execve"), 1, "itself");
    let mut opened: Vec<&str> = trace
        .lines()
        .filter(|line| {
            ["open", "mkdir", "rename"].iter().any(|call| line.contains(call))
                && !line.contains("resumed>")
                && !line.contains("execve(")
        })
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    opened.sort_unstable();
    opened.dedup();
    assert!(opened.len() > 20, "{opened:?}");
    // Relative to a folder that is open already, and thereby named.
    let opened = opened.iter().filter(|path| path.contains('/') || path.ends_with(".env"));
    let unnamed: Vec<_> = opened.filter(|path| !named.iter().any(|named| covers(named, path))).collect();
    assert!(unnamed.is_empty(), "{unnamed:#?} are none of {named:#?}");
}
