//! The agent as a process: what it prints, what it sends, when it refuses.

// Clippy knows test functions, but not what they call.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use agent::spool::Spool;
use agent::spool::disk::Folder;
use agent::spool::record::{Entry, Found, Key, Records};
use wire::{BootId, Report};

mod commands;
mod explain;

/// Longer than anything here can take on a busy machine: whoever waits this long waits in vain.
const PATIENCE: Duration = Duration::from_secs(60);

/// The agent in an environment with nothing in it but a home folder.
fn agent(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openclaw-watch-agent"));
    command.env_clear().env("HOME", home).env("OPENCLAW_GATEWAY_PORT", "1").current_dir(home);
    command
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

/// A server that answers each request with the next of these and then with `200`.
struct Server {
    url: String,
    requests: Receiver<Request>,
    /// Whether it answers; otherwise it hangs up.
    up: Arc<AtomicBool>,
}

struct Request {
    head: String,
    frame: Vec<u8>,
}

impl Server {
    fn start(answers: &'static [&'static str]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, requests) = channel();
        let up = Arc::new(AtomicBool::new(true));
        let answers_now = up.clone();
        std::thread::spawn(move || {
            let mut answers = answers.iter();
            for stream in listener.incoming() {
                if !answers_now.load(Ordering::SeqCst) {
                    continue;
                }
                let answer = answers.next().copied().unwrap_or(OK);
                if let Some(request) = serve(stream.unwrap(), answer)
                    && tell.send(request).is_err()
                {
                    return;
                }
            }
        });
        Server { url, requests, up }
    }

    fn request(&self) -> Request {
        self.requests.recv_timeout(PATIENCE).expect("a report comes")
    }

    fn report(&self) -> Report {
        wire::frame::decode(&self.request().frame).expect("it is a frame")
    }
}

const OK: &str =
    "200 OK\r\n\r\n{\"accepted\":1,\"rejected\":0,\"faults\":[],\"interval_s\":1,\"live\":false}";

fn serve(stream: TcpStream, answer: &str) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse().ok())?
    })?;
    let mut frame = vec![0; length];
    reader.read_exact(&mut frame).ok()?;
    let (status, rest) = answer.split_once("\r\n").unwrap_or((answer, "\r\n"));
    let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{rest}");
    reader.get_mut().write_all(answer.as_bytes()).ok()?;
    Some(Request { head, frame })
}

/// Kills its process when the test ends in whatever way.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(home: &Path, url: &str, flags: &[&str]) -> Running {
    let mut command = agent(home);
    command.args(["--server", url]).args(flags).env("API_KEY", "ocw_test");
    Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the agent starts"))
}

const EACH_SECOND: [&str; 2] = ["--interval", "1"];

fn boot(report: &Report) -> (BootId, u64) {
    report.agent.boot.expect("a report has a number")
}

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

/// The reports that an agent with this folder has on disk.
fn spooled(state_dir: &Path) -> BTreeSet<Key> {
    spooled_frames(state_dir).into_keys().collect()
}

fn spooled_frames(state_dir: &Path) -> BTreeMap<Key, Vec<u8>> {
    let mut frames = BTreeMap::new();
    let Ok(segments) = std::fs::read_dir(state_dir.join("spool")) else { return frames };
    let mut paths: Vec<_> = segments.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        for found in Records::new(&std::fs::read(path).unwrap()) {
            match found {
                Found::Record { key, entry: Entry::Frame(frame), .. } => frames.insert(key, frame.to_vec()),
                Found::Record { key, entry: Entry::Done, .. } => frames.remove(&key),
                // The agent is writing there.
                Found::Damaged => None,
            };
        }
    }
    frames
}

/// Looks until there is something to see.
fn poll<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
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

/// A transcript with one message of so many tokens.
fn transcript(home: &Path, session: &str, tokens: u32) {
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
