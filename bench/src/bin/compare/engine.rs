//! What both engines must be able to do, and how their processes are started and ended.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench::process::Usage;

/// A program that does not do what was asked within this time has failed.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The metric that the kill test sends.
pub const PROBE: &str = "kill_probe";

/// A question that a dashboard asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// One hour of one series as it came.
    HourOfOneSeries,
    /// A day of one series in steps of five minutes.
    DayOfOneSeries,
    /// The same of every device.
    DayOfEveryDevice,
    /// The newest value of every metric of every device.
    Latest,
}

impl Query {
    /// All of them.
    pub const ALL: [Query; 4] =
        [Query::HourOfOneSeries, Query::DayOfOneSeries, Query::DayOfEveryDevice, Query::Latest];

    /// As in the table.
    pub fn name(self) -> &'static str {
        match self {
            Query::HourOfOneSeries => "1 h raw, 1 series",
            Query::DayOfOneSeries => "24 h at 5 min, 1 series",
            Query::DayOfEveryDevice => "24 h at 5 min, every device",
            Query::Latest => "latest of everything",
        }
    }
}

/// The metric that the queries ask for.
pub const ASKED: &str = "cpu_percent";

/// An engine under measurement.
pub trait Engine {
    /// As in the table.
    const NAME: &'static str;
    /// Starts it; the devices are made on the first start. Returns its process.
    async fn start(&mut self, devices: u32) -> Result<u32>;
    /// Its data folder.
    fn folder(&self) -> &Path;
    /// Many rows of one device.
    async fn send_batch(&mut self, device: usize, rows: &wire::Rows) -> Result<()>;
    /// One row of one device.
    async fn send_single(&mut self, device: usize, rows: &wire::Rows) -> Result<()>;
    /// Everything that was sent by `send_single` is acknowledged.
    async fn finish_singles(&mut self) -> Result<()>;
    /// Brings what was sent into its final form and waits for that.
    async fn settle(&mut self) -> Result<()>;
    /// Bytes of the samples in their final form.
    async fn stored_bytes(&mut self) -> Result<u64>;
    /// Asks, and reads the whole answer.
    async fn ask(&mut self, query: Query, range: (i64, i64)) -> Result<()>;
    /// One sample of [`PROBE`], acknowledged.
    async fn send_probe(&mut self, t_ms: i64) -> Result<()>;
    /// How many samples of [`PROBE`] there are.
    async fn count_probes(&mut self, range: (i64, i64)) -> Result<usize>;
    /// Ends it as an operator would.
    async fn stop(&mut self) -> Result<()>;
    /// Ends it as a crash would.
    async fn kill(&mut self) -> Result<()>;
}

/// A running program, ended when dropped.
pub struct Running(Child);

impl Running {
    /// Starts it; its standard output can be read with [`Running::lines_until`].
    pub fn start(command: &mut Command) -> Result<Running> {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        Ok(Running(child.with_context(|| format!("cannot start {command:?}"))?))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The lines it prints, up to and with the first that begins like this.
    pub fn lines_until(&mut self, beginning: &str) -> Result<Vec<String>> {
        let stdout = self.0.stdout.take().context("its output was read already")?;
        let mut lines = Vec::new();
        for line in BufReader::new(stdout).lines() {
            lines.push(line?);
            if lines.last().is_some_and(|line| line.starts_with(beginning)) {
                return Ok(lines);
            }
        }
        anyhow::bail!("it ended before it was ready: {}", lines.join(" | "))
    }

    /// Waits until it uses no CPU for a second.
    pub async fn wait_until_idle(&self) -> Result<()> {
        let begun = Instant::now();
        let mut before = Usage::of(self.pid())?.cpu;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = Usage::of(self.pid())?.cpu;
            // A hundredth of a second is what its housekeeping takes.
            if now.saturating_sub(before) <= Duration::from_millis(20) {
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "it is still busy after {PATIENCE:?}");
            before = now;
        }
    }

    /// Asks it to end, and waits.
    pub fn stop(mut self) -> Result<()> {
        let asked = Command::new("kill").arg(self.pid().to_string()).status()?;
        ensure!(asked.success(), "it had ended already");
        self.0.wait()?;
        Ok(())
    }

    /// Ends it at once.
    pub fn kill(mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended when it was stopped properly.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
