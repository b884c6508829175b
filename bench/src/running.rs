//! How the programs that are measured are started, watched and ended.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::Usage;
use anyhow::{Context, Result, bail, ensure};

/// A program that does not do what was asked within this time has failed.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Less CPU than this in a second is housekeeping.
const IDLE_CPU: Duration = Duration::from_millis(20);
/// Idle for so many seconds one after the other: this server puts chunks together when nothing was sealed for ten.
const IDLE_SECONDS: u32 = 13;

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

    /// What it has used so far.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.0.id())
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
        bail!("it ended before it was ready: {}", lines.join(" | "))
    }

    /// Waits until it has nothing to do any more.
    pub async fn wait_until_idle(&self) -> Result<()> {
        let begun = Instant::now();
        let (mut before, mut idle) = (self.usage()?.cpu, 0);
        while idle < IDLE_SECONDS {
            ensure!(begun.elapsed() < PATIENCE, "it is still busy after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = self.usage()?.cpu;
            idle = if now.saturating_sub(before) <= IDLE_CPU { idle + 1 } else { 0 };
            before = now;
        }
        Ok(())
    }

    /// Asks it to end, and waits.
    pub fn stop(mut self) -> Result<()> {
        let asked = Command::new("kill").arg(self.0.id().to_string()).status()?;
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
