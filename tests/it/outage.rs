//! The server and an agent, both as processes, through an outage.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::server::{PATIENCE, Person, Server};

/// The agent as built beside the server, which `cargo test --workspace` does.
fn agent(home: &Path) -> Command {
    let server = PathBuf::from(env!("CARGO_BIN_EXE_openclaw-watch"));
    let agent = server.with_file_name(format!("openclaw-watch-agent{}", std::env::consts::EXE_SUFFIX));
    assert!(agent.is_file(), "{} is missing: `cargo build -p agent` makes it", agent.display());
    let mut command = Command::new(agent);
    command.env_clear().env("HOME", home).env("OPENCLAW_GATEWAY_PORT", "1").current_dir(home);
    command.arg("--state-dir").arg(home.join("state"));
    command
}

/// Killed with SIGKILL when dropped: it has no part in its end.
struct Agent(Child);

impl Agent {
    fn start(home: &Path, server: &Server, key: &str) -> Agent {
        let mut command = agent(home);
        command.args(["--server", &format!("http://{}", server.ingest), "--interval", "1"]);
        command.env("OPENCLAW_WATCH_API_KEY", key).stdout(Stdio::null()).stderr(Stdio::null());
        Agent(command.spawn().expect("the agent starts"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many reports the agent keeps on disk, as it tells a person who asks.
fn spooled(home: &Path) -> usize {
    let output = agent(home).arg("status").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("reports")).unwrap_or(" all sent").trim();
    line.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Looks until there is something to see.
fn poll<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Rows of a device, each with how many reports waited when it was made, and the answer they are from.
fn rows(person: &Person, server: &Server, device: u64, from_ms: i64) -> (Vec<(i64, i64)>, Value) {
    let to_ms = now_ms() + 1;
    let answer = person.get(
        server,
        &format!(
            "/api/v1/query?device={device}&metric=reports_waiting&from_ms={from_ms}&to_ms={to_ms}&points=5000"
        ),
    );
    assert_eq!(answer["step_ms"], 0, "the rows themselves");
    let times = answer["t_ms"].as_array().unwrap().iter().map(|t| t.as_i64().unwrap());
    let waiting = answer["series"][0]["avg"].as_array().cloned().unwrap_or_default();
    let rows = times.zip(waiting.iter().map(|value| value.as_f64().unwrap() as i64)).collect();
    (rows, answer)
}

#[test]
fn every_second_of_an_outage_is_there_once_and_marked_as_filled_in() {
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let begun_ms = now_ms();
    let mut server = Server::start(folder.path());
    let person = server.set_up();
    let (device, key) = person.add_device(&server, "nas");
    let first = Agent::start(home.path(), &server, &key);
    poll("rows", || (rows(&person, &server, device, begun_ms).0.len() >= 3).then_some(()));

    server.kill();
    let killed_ms = now_ms();
    poll("reports on disk", || (spooled(home.path()) >= 4).then_some(()));
    drop(first);
    let _second = Agent::start(home.path(), &server, &key);
    // Past ten seconds an absence of the server is a gap, unless it is filled in.
    poll("reports of both on disk", || (spooled(home.path()) >= 12).then_some(()));
    let back_ms = now_ms();
    let server = server.start_again(folder.path());

    poll("an empty spool", || {
        let (rows, _) = rows(&person, &server, device, back_ms);
        (rows.last().is_some_and(|(_, waiting)| *waiting == 0) && spooled(home.path()) == 0).then_some(())
    });
    let (all, answer) = rows(&person, &server, device, begun_ms);
    assert!(all.is_sorted_by(|a, b| a.0 < b.0), "{all:?}");
    // Each row of the outage was one report more that waited: none is missing, whichever of the agents made it and
    // however long it took for it.
    let outage: Vec<_> = all.iter().filter(|(t, _)| (killed_ms..back_ms).contains(t)).collect();
    assert!(outage.len() >= 12 && outage[0].1 <= 1, "{outage:?}");
    assert!(outage.windows(2).all(|pair| pair[1].1 == pair[0].1 + 1), "{outage:?}");

    let [gap] = answer["gaps"].as_array().unwrap().as_slice() else { panic!("{}", answer["gaps"]) };
    assert_eq!(gap["cause"], "filled_in");
    let (from_ms, to_ms) = (gap["from_ms"].as_i64().unwrap(), gap["to_ms"].as_i64().unwrap());
    assert!(from_ms <= outage[0].0 && from_ms > killed_ms - 3_000, "{gap} of {outage:?}");
    assert!((back_ms - 3_000..=now_ms()).contains(&to_ms), "{gap} until {back_ms}");
    let back_fill = poll("the event", || {
        let events = person.get(&server, &format!("/api/v1/events?device={device}"));
        let events = events["events"].as_array().unwrap().iter();
        let mut found: Vec<_> = events.filter(|event| event["kind"] == "back_fill").cloned().collect();
        assert!(found.len() <= 1, "{found:?}");
        found.pop()
    });
    let late = all.iter().filter(|(t, _)| (from_ms..=to_ms - 1_000).contains(t)).count();
    assert_eq!(back_fill["detail"]["rows"], late, "each once: {back_fill} {all:?}");
    let devices = person.get(&server, "/api/v1/devices");
    assert_eq!(devices["devices"][0]["state"], "online");
}
