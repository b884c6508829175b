//! The server: started on the same ports each time, killed and stopped, and looked at.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench::running::Running;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Where it is and how it is started.
pub struct Place {
    program: PathBuf,
    folder: PathBuf,
    head_samples: u32,
    /// `http://127.0.0.1:PORT` of the web port.
    pub web: String,
    /// The same of the ingest port.
    pub ingest: String,
}

impl Place {
    /// Two free ports of 127.0.0.1, which every start uses: clients find the server again.
    pub fn new(program: &Path, folder: &Path, head_samples: u32) -> Result<Place> {
        // Both are held until both are known, so that they differ.
        let held = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let [web, ingest] = held.map(|held| held.local_addr().map(|addr| format!("http://{addr}")));
        Ok(Place { program: program.into(), folder: folder.into(), head_samples, web: web?, ingest: ingest? })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--data-dir")
            .arg(&self.folder)
            .args(["--limit-head-samples", &self.head_samples.to_string()]);
        let addr = |url: &str| url.trim_start_matches("http://").to_string();
        command.args(["--web-listen", &addr(&self.web), "--ingest-listen", &addr(&self.ingest)]);
        command
    }

    /// What `check` says of the folder, while no server runs.
    pub fn check(&self) -> Result<String> {
        let output = self.command().arg("check").output()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
        ensure!(output.status.success(), "check: {text} {}", String::from_utf8_lossy(&output.stderr));
        Ok(text.lines().last().unwrap_or_default().to_string())
    }
}

/// What a look saw.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Since the beginning.
    pub at: Duration,
    pub rss_bytes: u64,
    pub files_open: usize,
}

/// The server and what is known of its life so far.
pub struct Soaked {
    place: Arc<Place>,
    running: Option<Running>,
    looked: Option<Instant>,
    pub looks: Vec<Look>,
    /// How long each start took until it was ready.
    pub starts: Vec<Duration>,
    /// How long each stop took.
    pub stops: Vec<Duration>,
    pub kills: u32,
}

/// What a start printed.
pub struct Started {
    /// While there is no account.
    pub sign_up_token: Option<String>,
}

impl Soaked {
    pub fn new(place: Arc<Place>) -> Soaked {
        Soaked {
            place,
            running: None,
            looked: None,
            looks: Vec::new(),
            starts: Vec::new(),
            stops: Vec::new(),
            kills: 0,
        }
    }

    pub fn start(&mut self) -> Result<Started> {
        let begun = Instant::now();
        let mut running = Running::start(&mut self.place.command())?;
        let lines = running.lines_until("Ready: ")?;
        self.starts.push(begun.elapsed());
        self.running = Some(running);
        let token =
            lines.iter().find_map(|line| line.split_once("token=")).map(|(_, token)| token.to_string());
        Ok(Started { sign_up_token: token })
    }

    /// Kills it, or asks it to stop; then it has `stops` one more.
    pub fn restart(&mut self, kill: bool) -> Result<()> {
        let took = self.end(kill)?;
        if kill {
            self.kills += 1;
        } else {
            self.stops.push(took);
        }
        self.start().map(drop)
    }

    /// Ends it; how long that took.
    pub fn end(&mut self, kill: bool) -> Result<Duration> {
        let begun = Instant::now();
        let running = self.running.take().context("it does not run")?;
        if kill {
            running.kill()?
        } else {
            running.stop()?
        }
        Ok(begun.elapsed())
    }

    /// Notes its memory, now and then.
    pub fn look(&mut self, at: Duration) -> Result<()> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        let running = self.running.as_ref().context("it does not run")?;
        let rss_bytes = running.usage()?.rss_bytes;
        let files_open = std::fs::read_dir(format!("/proc/{}/fd", running.pid()))?.count();
        self.looks.push(Look { at, rss_bytes, files_open });
        Ok(())
    }
}

/// Bytes of each file of a data folder.
pub fn files(folder: &Path) -> Result<BTreeMap<String, u64>> {
    let file = |entry: std::io::Result<std::fs::DirEntry>| -> Result<(String, u64)> {
        let entry = entry?;
        Ok((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()))
    };
    std::fs::read_dir(folder)?.map(file).collect()
}
