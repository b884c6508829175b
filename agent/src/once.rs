//! One report, made at once: to be sent, written down or explained.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use wire::{Ack, Report};

use crate::clock::ServerClock;
use crate::collect::disks::DiskCollector;
use crate::collect::{Collector, SETTLE};
use crate::config::{Config, OpenClawPlaces, Surroundings};
use crate::explain::Explanation;
use crate::logs::{Lines, LogPlaces, follow::Follower, position, position::Position};
use crate::openclaw::usage::{Portion, Reader};
use crate::openclaw::{View, Watcher};
use crate::report::{Pending, boot_id};
use crate::run::{cursors, destination, unix_ms};
use crate::state_dir::Held;
use crate::uplink::http::Http;
use crate::uplink::{Outcome, REQUEST_MAX};
use crate::{log, state_dir};

/// Writes one report as JSON to standard output, sends nothing and moves nothing.
pub fn print(config: &Config) -> anyhow::Result<()> {
    let made = one_report(config, config.state_dir.path(), config.openclaw.clone())?;
    let mut output = std::io::stdout().lock();
    writeln!(output, "{}", wire::json::to_json_pretty(&made.report))
        .context("cannot write to standard output")
}

/// Says what the agent opens and whom it talks to, and writes the next report; sends nothing.
pub fn explain(config: &Config, surroundings: &Surroundings) -> anyhow::Result<()> {
    let made = one_report(config, config.state_dir.path(), config.openclaw.clone())?;
    let explanation = Explanation::new(config, surroundings, &made.view);
    let mut output = std::io::stdout().lock();
    let json = wire::json::to_json_pretty(&made.report);
    write!(output, "{explanation}\nThe next report\n{json}\n").context("cannot write to standard output")
}

/// Makes one report and sends it.
pub fn send_once(config: &Config) -> anyhow::Result<()> {
    let destination = destination(config)?;
    let held = state_dir::hold(&config.state_dir);
    let folder = held.as_ref().ok().and_then(Option::as_ref).map(Held::path);
    // Without a place to note how far it came, the same first events would be sent every time; and
    // where another agent runs, that one sends them.
    let places = if folder.is_some() { config.openclaw.clone() } else { OpenClawPlaces::default() };
    let made = one_report(config, folder, places)?;
    let frame = wire::frame::encode(&made.report)?;
    match Http::new(destination, ServerClock::default()).post(&frame, REQUEST_MAX) {
        Outcome::Nobody(error) | Outcome::Failed(error) => {
            bail!("{} cannot be reached: {error}", destination.server)
        }
        Outcome::Answered { status: 200, body, .. } => {
            let ack: Ack = serde_json::from_slice(&body)
                .with_context(|| format!("{} is not an OpenClaw Watch server", destination.server))?;
            for fault in &ack.faults {
                log::warn(&fault.message);
            }
            let mut reader = made.reader;
            reader.accept(made.portion);
            if let Some(folder) = folder {
                let save = || {
                    reader.cursors().save(folder)?;
                    made.positions.iter().try_for_each(|positions| position::save(folder, positions))
                };
                save().with_context(|| format!("state folder {}", folder.display()))?;
            }
            log::info(format_args!("sent: {} rows stored, {} refused", ack.accepted, ack.rejected));
            Ok(())
        }
        Outcome::Answered { status, body, .. } => {
            let body: Option<wire::ErrorBody> = serde_json::from_slice(&body).ok();
            let message = body.map_or(String::new(), |body| format!(": {}", body.error.message));
            bail!("{} answers {status}{message}", destination.server)
        }
    }
}

/// A report, and what it takes to go on from there.
struct Made {
    report: Report,
    /// What was seen of OpenClaw.
    view: View,
    reader: Reader,
    portion: Portion,
    /// How far logs are read with it.
    positions: Option<Vec<Position>>,
}

/// A report of now. `folder` says how far everything was read, and `places` where transcripts and logs
/// are.
fn one_report(config: &Config, folder: Option<&Path>, places: OpenClawPlaces) -> anyhow::Result<Made> {
    let mut collector = Collector::new()?;
    let mut disks = DiskCollector::new()?;
    let mut watcher = Watcher::new(config.openclaw.clone());
    // Rates and processor shares need two readings with time between them.
    watcher.look(Instant::now());
    std::thread::sleep(SETTLE);
    let (now, view): (_, View) = (Instant::now(), watcher.look(Instant::now()));
    let mut sample = collector.sample(now);
    sample.extend(disks.sample(now));
    sample.extend(view.sample());
    let mut pending = Pending::default();
    pending.push(unix_ms(), &sample);
    let mut reader = Reader::new(places.clone(), cursors(folder, config.destination.as_ref()));
    let mut portion = reader.read(now);
    let (logs, positions) = lines(config, folder, &places, now);
    let mut report = pending.take(&collector.facts(), &view, reader.state(now), config.interval_s);
    report.usage = std::mem::take(&mut portion.events);
    report.logs = logs;
    report.agent.boot = Some((boot_id()?, 0));
    Ok(Made { report, view, reader, portion, positions })
}

/// What is new in the logs, and how far they are read with it.
fn lines(
    config: &Config,
    folder: Option<&Path>,
    places: &OpenClawPlaces,
    now: Instant,
) -> (Vec<wire::Log>, Option<Vec<Position>>) {
    let Some(level) = config.log_level else { return (Vec::new(), None) };
    let positions = folder.and_then(position::load);
    let mut follower = Follower::new(LogPlaces::of(places), level, positions, now);
    let lines = Lines::default();
    // A record that may go on in a next line is given away when a second look finds none.
    for _ in 0..2 {
        follower.look(&lines, now, unix_ms());
    }
    lines.take()
}
