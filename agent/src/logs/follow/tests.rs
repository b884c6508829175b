use std::fs;
use std::io::Write;
use std::path::PathBuf;

use super::*;
use crate::config::OpenClawPlaces;

/// A device with a state folder and a folder of logs.
struct Device {
    folder: tempfile::TempDir,
    follower: Follower,
    lines: Lines,
    now: Instant,
}

const LOG: &str = "openclaw-2026-11-22.log";

impl Device {
    fn new() -> Device {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("state/logs")).unwrap();
        fs::create_dir(folder.path().join("openclaw")).unwrap();
        let now = Instant::now();
        let follower = Follower::new(places(folder.path()), Level::Warn, Some(Vec::new()), now);
        Device { folder, follower, lines: Lines::default(), now }
    }

    fn path(&self, name: &str) -> PathBuf {
        let (folder, name) = name.split_once('/').unwrap_or(("openclaw", name));
        self.folder.path().join(folder).join(name)
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let file = fs::OpenOptions::new().create(true).append(true).open(self.path(name));
        file.unwrap().write_all(text.as_ref()).unwrap();
    }

    /// The agent ends and starts again with these positions.
    fn restart(&mut self, positions: Option<Vec<Position>>) {
        self.follower = Follower::new(places(self.folder.path()), Level::Warn, positions, self.now);
        self.lines = Lines::default();
    }

    /// What one look finds, and the positions after it.
    fn look_with_positions(&mut self) -> (String, Option<Vec<Position>>) {
        self.follower.look(&self.lines, self.now, 0);
        let (lines, positions) = self.lines.take();
        let lines: Vec<_> = lines.into_iter().map(|line| line.message).collect();
        (lines.join("|"), positions)
    }

    fn look(&mut self) -> String {
        self.look_with_positions().0
    }
}

fn places(folder: &Path) -> LogPlaces {
    let openclaw = OpenClawPlaces { asked: vec![folder.join("state")], ..OpenClawPlaces::default() };
    LogPlaces { openclaw, folders: vec![folder.join("openclaw")] }
}

fn json(level: &str, message: &str) -> String {
    let message = serde_json::to_string(message).unwrap();
    format!("{{\"0\":\"x\",\"_meta\":{{\"logLevelName\":\"{level}\"}},\"message\":{message}}}\n")
}

fn warn(message: &str) -> String {
    json("WARN", message)
}

#[test]
fn new_lines_of_the_level_come_once_and_whole() {
    let mut device = Device::new();
    assert_eq!(device.look(), "");
    device.append(LOG, json("INFO", "ready") + &warn("a") + &json("ERROR", "b") + &json("DEBUG", "x"));
    assert_eq!(device.look(), "a|b");
    assert_eq!(device.look(), "");
    let line = warn("c");
    let (first, rest) = line.split_at(20);
    device.append(LOG, first);
    assert_eq!(device.look(), "", "half a line");
    device.append(LOG, rest);
    assert_eq!(device.look(), "c");
}

#[test]
fn rotation_by_size_and_by_date_loses_nothing() {
    let mut device = Device::new();
    device.append(LOG, warn("a"));
    assert_eq!(device.look(), "a");
    // By size: what was written last is in the file that was moved away.
    device.append(LOG, warn("b"));
    fs::rename(device.path(LOG), device.path("openclaw-2026-11-22.1.log")).unwrap();
    device.append(LOG, warn("c"));
    assert_eq!(device.look(), "b|c");
    device.append(LOG, warn("d"));
    device.append("openclaw-2026-11-23.log", warn("e"));
    device.append("openclaw-work-2026-11-23.log", warn("profile"));
    let found = device.look();
    let mut found: Vec<_> = found.split('|').collect();
    found.sort();
    assert_eq!(found, ["d", "e", "profile"]);
    fs::remove_file(device.path("openclaw-2026-11-22.1.log")).unwrap();
    assert_eq!(device.look(), "", "pruned");
    assert_eq!(device.follower.files.len(), 3);
}

#[test]
fn a_file_that_is_cut_or_rewritten_is_read_from_its_start() {
    let mut device = Device::new();
    device.append(LOG, warn("aaaa") + &warn("b"));
    assert_eq!(device.look(), "aaaa|b");
    fs::write(device.path(LOG), warn("c")).unwrap();
    assert_eq!(device.look(), "c");
    fs::write(device.path(LOG), warn("d") + &warn("e") + &warn("f") + &warn("g")).unwrap();
    assert_eq!(device.look(), "d|e|f|g", "longer than before, but another");
}

#[test]
fn a_restart_goes_on_behind_the_last_line_that_was_taken() {
    let mut device = Device::new();
    device.append(LOG, warn("a"));
    let (_, positions) = device.look_with_positions();
    device.append(LOG, warn("b"));
    assert_eq!(device.look(), "b", "taken, but not noted any more");
    fs::rename(device.path(LOG), device.path("openclaw-2026-11-22.1.log")).unwrap();
    device.append(LOG, warn("c"));
    device.restart(positions);
    let (found, positions) = device.look_with_positions();
    assert_eq!(found, "b|c");
    device.restart(positions);
    assert_eq!(device.look(), "");
}

#[test]
fn a_first_start_shows_the_latest_lines_only() {
    let mut device = Device::new();
    for i in 0..5_000 {
        device.append(LOG, warn(&format!("{i}")));
    }
    device.restart(None);
    let found = device.look();
    let found: Vec<_> = found.split('|').collect();
    assert!(found.len() > 100 && found.len() <= 501, "{}", found.len());
    let first: usize = found[0].parse().expect("a whole line");
    assert!(first > 3_500, "{first}");
    assert_eq!(device.follower.files[0].position.offset, fs::metadata(device.path(LOG)).unwrap().len());
}

#[test]
fn a_burst_is_cut_counted_and_takes_no_room() {
    let mut device = Device::new();
    let burst: String = (0..100_000).map(|i| warn(&format!("line {i}"))).collect();
    device.append(LOG, burst);
    let mut found = Vec::new();
    for _ in 0..8 {
        device.follower.look(&device.lines, device.now, 0);
        let lines = device.lines.take().0;
        assert!(lines.len() <= super::super::LINES_MAX + 1);
        found.extend(lines);
    }
    assert_eq!(found.len(), 501, "a burst, and how many were left out");
    let left_out: usize =
        found.iter().filter_map(|line| line.message.split_once(" log lines")?.0.parse::<usize>().ok()).sum();
    assert_eq!(left_out, 99_500);
}

#[test]
fn a_full_buffer_stops_the_reading_and_loses_nothing() {
    let mut device = Device::new();
    let long = "x ".repeat(20_000);
    let text: String = (0..20).map(|i| warn(&format!("{i} {long}"))).collect();
    device.append(LOG, text);
    let mut found = Vec::new();
    for _ in 0..10 {
        device.follower.look(&device.lines, device.now, 0);
        let (lines, positions) = device.lines.take();
        assert!(lines.iter().map(|line| line.message.len()).sum::<usize>() < 512 << 10);
        found
            .extend(lines.iter().map(|line| line.message.split(' ').next().unwrap().parse::<u32>().unwrap()));
        if let Some(positions) = positions {
            device.restart(Some(positions));
        }
    }
    assert!(found.iter().copied().eq(0..20), "{found:?}");
}

#[test]
fn a_huge_line_is_passed_over() {
    let mut device = Device::new();
    device.append(LOG, warn("a"));
    let mut file = fs::OpenOptions::new().append(true).open(device.path(LOG)).unwrap();
    file.write_all(b"{\"message\":\"").unwrap();
    io::copy(&mut io::Read::take(io::repeat(b'x'), 200 << 20), &mut file).unwrap();
    file.write_all(b"\xff\"}\n").unwrap();
    device.append(LOG, warn("b"));
    let mut found = Vec::new();
    for _ in 0..30 {
        let (lines, positions) = device.look_with_positions();
        found.extend(Some(lines).filter(|lines| !lines.is_empty()));
        if let Some(positions) = positions {
            device.restart(Some(positions));
        }
    }
    assert_eq!(found.join("|"), "a|a log line of more than 64 KiB was left out|b");
}

#[test]
fn the_older_log_is_read_where_there_is_no_other_and_stacks_are_joined() {
    let mut device = Device::new();
    device.append("state/logs/gateway.log", "[gateway] ready\n[gateway] Error: broken\n    at a (x.js:1)\n");
    device.append("state/logs/gateway.err.log", "odd\n");
    assert_eq!(device.look(), "", "the stack may go on");
    device.append("state/logs/gateway.log", "    at b (y.js:2)\n");
    assert_eq!(device.look(), "odd");
    assert_eq!(device.look(), "[gateway] Error: broken\n    at a (x.js:1)\n    at b (y.js:2)");
    device.append("state/logs/gateway.log", "[gateway] Error: last\n[gateway] half a l");
    assert_eq!(device.look(), "");
    assert_eq!(device.look(), "[gateway] Error: last", "half a line does not hold it back");
    device.append("state/logs/gateway.log", "ine\n");
    device.append(LOG, warn("newer"));
    device.append("state/logs/gateway.log", "[gateway] Error: newer\n");
    assert_eq!(device.look(), "newer");
}

#[test]
fn a_configured_file_is_followed_as_it_rolls() {
    let mut device = Device::new();
    fs::create_dir(device.path("own/x").parent().unwrap()).unwrap();
    let path = serde_json::to_string(&device.path("own/claw-2026-11-22.log")).unwrap();
    device.append("state/openclaw.json", format!("{{ logging: {{ file: {path} }} }}"));
    device.append("own/claw-2026-11-22.log", warn("a"));
    device.append("own/claw-2026-11-22.1.log", warn("b"));
    device.append("own/claw-2026-11-23.log", warn("c"));
    device.append("own/other.log", warn("x"));
    let found = device.look();
    let mut found: Vec<_> = found.split('|').collect();
    found.sort();
    assert_eq!(found, ["a", "b", "c"]);
}

#[test]
fn a_file_is_followed_that_a_configuration_elsewhere_or_of_an_older_name_names() {
    for (config, elsewhere) in [("state/clawdbot.json", false), ("own/any.json", true)] {
        let mut device = Device::new();
        fs::create_dir(device.path("own/x").parent().unwrap()).unwrap();
        let path = serde_json::to_string(&device.path("own/claw.log")).unwrap();
        device.append(config, format!("{{ logging: {{ file: {path} }} }}"));
        device.append("own/claw.log", warn("a"));
        let mut places = places(device.folder.path());
        places.openclaw.config_path = elsewhere.then(|| device.path(config));
        device.follower = Follower::new(places, Level::Warn, Some(Vec::new()), device.now);
        assert_eq!(device.look(), "a", "{config}");
    }
}

#[test]
fn without_a_state_folder_nothing_is_read() {
    let mut device = Device::new();
    device.append(LOG, warn("somebody's"));
    fs::remove_dir_all(device.folder.path().join("state")).unwrap();
    assert_eq!(device.look(), "");
}

#[cfg(unix)]
#[test]
fn a_link_and_an_unreadable_file_are_passed_over() {
    let mut device = Device::new();
    device.append("state/private", warn("private"));
    std::os::unix::fs::symlink(device.path("state/private"), device.path("openclaw-a.log")).unwrap();
    fs::create_dir(device.path("openclaw-b.log")).unwrap();
    device.append(
        LOG,
        b"\xff\xfe\x00\n{\"0\":\n".iter().copied().chain(warn("a").into_bytes()).collect::<Vec<_>>(),
    );
    assert_eq!(device.look(), "a");
}
