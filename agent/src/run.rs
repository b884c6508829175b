//! The agent's life: its threads, its samples and its reports.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{TryRecvError, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use wire::{AgentInfo, BootId, Report, Usage};

use crate::clock::{SampleClock, ServerClock};
use crate::collect::disks::DiskThread;
use crate::collect::{Collector, SETTLE};
use crate::config::{Config, Destination};
use crate::logs::{Lines, LogPlaces, follow::Follower, position};
use crate::openclaw::usage::{self, Cursors, Reader, Ticket};
use crate::openclaw::{Latest, Watcher};
use crate::queue::{QUEUE_BYTES_MAX, Queue};
use crate::report::{self, Pending, boot_id};
use crate::shared::Shared;
use crate::spool::{Spool, disk::Folder};
use crate::state_dir::Held;
use crate::uplink::http::Http;
use crate::{log, logs, openclaw, state_dir, uplink};

/// How long the last reports may take after a stop was asked for.
pub const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Samples and reports until a stop is asked for: `on_stop` is given what asks for it.
pub fn run(
    config: Config,
    on_stop: impl FnOnce(Box<dyn Fn() + Send>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let destination = destination(&config)?;
    let held = state_dir::hold(&config.state_dir)?;
    let boot_id = boot_id()?;
    let spool = open_spool(held.as_ref(), config.spool_bytes, boot_id);
    let shared = Arc::new(Shared::new(Queue::new(boot_id, spool, QUEUE_BYTES_MAX)));
    let asked = shared.clone();
    on_stop(Box::new(move || asked.stop()))?;

    let mut collector = Collector::new()?;
    let mut disks = DiskThread::start().context("cannot start a thread")?;
    let openclaw = Latest::default();
    let (stop_openclaw, openclaw_stopped) = channel();
    let (watcher, latest) = (Watcher::new(config.openclaw.clone()), openclaw.clone());
    let interval = config.interval();
    spawn("openclaw", move || openclaw::watch(watcher, latest, interval, &openclaw_stopped))?;
    let state_dir = held.as_ref().map(Held::path);
    let cursors = cursors(state_dir, Some(destination));
    let reader = Reader::new(config.openclaw.clone(), cursors);
    let (usage_ends, usage_ended) = channel::<()>();
    let (to, folder, interval_s) = (shared.clone(), state_dir.map(Path::to_path_buf), config.interval_s);
    spawn("usage", move || {
        let _ends = usage_ends;
        usage::read(reader, &to.usage, folder, &|ticket, events| {
            send_usage(&to, ticket, events, interval_s);
        });
    })?;
    let logs = Lines::default();
    let (stop_logs, logs_stopped) = channel();
    if let Some(level) = config.log_level {
        let positions = state_dir.and_then(position::load);
        let follower = Follower::new(LogPlaces::of(&config.openclaw), level, positions, Instant::now());
        let lines = logs.clone();
        spawn("logs", move || logs::watch(follower, &lines, &logs_stopped))?;
    }
    let (uplink_ends, uplink_ended) = channel::<()>();
    let to = shared.clone();
    let clock = ServerClock::default();
    let (http, server) = (Http::new(destination, clock.clone()), destination.server.clone());
    spawn("uplink", move || {
        // Dropped when the thread ends in whatever way.
        let _ends = uplink_ends;
        uplink::send(&to, &http, &server, interval);
    })?;
    log::info(format_args!(
        "openclaw-watch-agent {} reports to {} every {} s, samples every {} s",
        env!("CARGO_PKG_VERSION"),
        destination.server,
        config.interval_s,
        config.sample_interval_s,
    ));

    let facts = collector.facts();
    let mut pending = Pending::default();
    let mut times = SampleClock::default();
    let mut samples = Schedule::new(Instant::now() + SETTLE, config.sample_interval());
    let mut reports = Schedule::new(Instant::now() + SETTLE, config.interval());
    while shared.wait_until(samples.next) {
        if uplink_ended.try_recv() != Err(TryRecvError::Empty) {
            bail!("the thread that sends reports ended");
        }
        let now = Instant::now();
        samples.advance(now);
        let view = openclaw.get();
        let mut sample = collector.sample(now);
        sample.extend(disks.sample(now));
        sample.extend(view.sample());
        sample.extend(shared.sample());
        if let Some((ms, _)) = clock.ms() {
            sample.gauge("clock_offset_ms", ms as f64);
        }
        pending.push(times.time(now, clock.time(now, unix_ms())), &sample);
        // A report that is due at the same moment as a sample holds that sample.
        let due = now >= reports.next;
        if due {
            reports.advance(now);
        }
        if due || shared.is_live() || pending.is_full() || logs.is_full() {
            let mut report = pending.take(&facts, &view, shared.usage.state(), config.interval_s);
            report.states.extend(clock.wrong().map(|word| ("clock".to_string(), word.to_string())));
            enqueue_with_logs(&shared, report, &logs, state_dir);
        }
    }

    log::info("stopping");
    if !pending.is_empty() {
        let report = pending.take(&facts, &openclaw.get(), shared.usage.state(), config.interval_s);
        enqueue_with_logs(&shared, report, &logs, state_dir);
    }
    shared.close(Instant::now() + CLOSE_MAX);
    // Threads that are still inside a request or a look end with the process.
    drop((stop_openclaw, stop_logs));
    // Nothing is ever sent: this waits for the thread's end.
    let _ = uplink_ended.recv_timeout(CLOSE_MAX);
    let (on_disk, left) = shared.left();
    // It writes down how far it came. If it is reading just now, that is read again.
    shared.usage.close();
    let _ = usage_ended.recv_timeout(CLOSE_MAX);
    if on_disk > 0 {
        log::info(format_args!("stopped; {on_disk} reports stay on disk until the next start"));
    }
    if left > on_disk {
        log::warn(format_args!("stopped; {} reports were not sent", left - on_disk));
    }
    Ok(())
}

/// How far usage was read for this destination, or for any, as the agent's folder says.
pub(crate) fn cursors(folder: Option<&Path>, destination: Option<&Destination>) -> Cursors {
    let destination = destination.map(|to| format!("{}\n{}", to.server, to.key));
    match folder {
        Some(folder) => Cursors::load(folder, destination.as_deref()),
        None => Cursors::new(&destination.unwrap_or_default()),
    }
}

pub(crate) fn destination(config: &Config) -> anyhow::Result<&Destination> {
    config.destination.as_ref().context("no server to report to")
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(body).context("cannot start a thread")?;
    Ok(())
}

/// The spool in the agent's folder. Without one reports are kept in memory, which is said.
fn open_spool(held: Option<&Held>, bytes: u64, boot: BootId) -> Option<Spool> {
    let folder = held.filter(|_| bytes > 0)?.path().join("spool");
    match Folder::open(&folder).and_then(|disk| Spool::open(Box::new(disk), bytes, boot)) {
        Ok(spool) => {
            if !spool.is_empty() {
                log::info(format_args!("{} reports of an earlier run are still to be sent", spool.len()));
            }
            Some(spool)
        }
        Err(error) => {
            log::warn(format_args!(
                "reports are kept in memory only, the spool {} cannot be used: {error}",
                folder.display()
            ));
            None
        }
    }
}

/// Puts a report with the log lines that wait into the queue, and then notes that those are read: the
/// other way round a kill in between would lose them.
fn enqueue_with_logs(shared: &Shared, mut report: Report, logs: &Lines, state_dir: Option<&Path>) {
    let (lines, positions) = logs.take();
    report.logs = lines;
    enqueue(shared, report);
    if let (Some(state_dir), Some(positions)) = (state_dir, positions) {
        // Lines that are sent once more after a restart are better than a log line each time.
        let _ = position::save(state_dir, &positions);
    }
}

/// Adds the usage events that are ready, and puts the report into the queue.
fn enqueue(shared: &Shared, mut report: Report) {
    let key = shared.number();
    report.agent.boot = Some((key.boot, key.seq));
    if let Some((ticket, events)) = shared.usage.take() {
        report.usage = events;
        if let Ok(frame) = wire::frame::encode(&report) {
            return shared.push(key, frame, Some(ticket));
        }
        // The rest may fit without them, and they are read again.
        report.usage.clear();
        shared.settle(Some(ticket), false);
    }
    match wire::frame::encode(&report) {
        Ok(frame) => shared.push(key, frame, None),
        Err(error) => log::warn(format_args!("a report is dropped: {error}")),
    }
}

/// Puts usage events into the queue, as a report of their own.
fn send_usage(shared: &Shared, ticket: Ticket, events: Vec<Usage>, interval_s: u32) {
    let key = shared.number();
    let report = Report {
        agent: AgentInfo { boot: Some((key.boot, key.seq)), ..report::agent_info(interval_s) },
        usage: events,
        ..Report::default()
    };
    match wire::frame::encode(&report) {
        Ok(frame) => shared.add(key, frame, Some(ticket)),
        Err(error) => {
            log::warn(format_args!("usage cannot be sent: {error}"));
            shared.settle(Some(ticket), false);
        }
    }
}

/// Now, in Unix milliseconds.
pub(crate) fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Moments at a fixed distance, none of them moved by how long anything takes.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The next moment.
    pub next: Instant,
    every: Duration,
}

impl Schedule {
    /// From `first` on.
    pub fn new(first: Instant, every: Duration) -> Schedule {
        Schedule { next: first, every }
    }

    /// To the first moment after `now`. Those that were missed, while the device slept for instance,
    /// are not made up for.
    pub fn advance(&mut self, now: Instant) {
        let late = now.saturating_duration_since(self.next);
        let missed = late.as_nanos() / self.every.as_nanos().max(1);
        let steps = u32::try_from(missed + 1).unwrap_or(u32::MAX);
        self.next += self.every.saturating_mul(steps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_do_not_drift_and_missed_ones_are_skipped() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, Duration::from_secs(5));
        let mut next = |now_ms: u64| {
            schedule.advance(start + Duration::from_millis(now_ms));
            (schedule.next - start).as_millis()
        };
        assert_eq!(next(3), 5_000);
        assert_eq!(next(5_900), 10_000);
        assert_eq!(next(10_000), 15_000);
        assert_eq!(next(3_600_001), 3_605_000, "the device slept");
    }
}
