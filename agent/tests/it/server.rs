//! A server that answers as it is told to, and an agent that reports to it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use agent::spool::record::{Entry, Found, Key, Records};
use wire::{BootId, Report};

use crate::{PATIENCE, agent};

/// A server that answers each request with the next of these and then with `200`.
pub struct Server {
    pub url: String,
    pub requests: Receiver<Request>,
    /// Whether it answers; otherwise it hangs up.
    pub up: Arc<AtomicBool>,
}

pub struct Request {
    pub head: String,
    pub frame: Vec<u8>,
}

impl Server {
    pub fn start(answers: &'static [&'static str]) -> Server {
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

    pub fn request(&self) -> Request {
        self.requests.recv_timeout(PATIENCE).expect("a report comes")
    }

    pub fn report(&self) -> Report {
        wire::frame::decode(&self.request().frame).expect("it is a frame")
    }
}

pub const OK: &str =
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
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn start(home: &Path, url: &str, flags: &[&str]) -> Running {
    let mut command = agent(home);
    command.args(["--server", url]).args(flags).env("API_KEY", "ocw_test");
    Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the agent starts"))
}

pub const EACH_SECOND: [&str; 2] = ["--interval", "1"];

pub fn boot(report: &Report) -> (BootId, u64) {
    report.agent.boot.expect("a report has a number")
}

/// The reports that an agent with this folder has on disk.
pub fn spooled(state_dir: &Path) -> BTreeSet<Key> {
    spooled_frames(state_dir).into_keys().collect()
}

pub fn spooled_frames(state_dir: &Path) -> BTreeMap<Key, Vec<u8>> {
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
pub fn poll<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
