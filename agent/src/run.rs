//! The agent's life: what its commands do, and what its threads share.

use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{TryRecvError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use wire::{Ack, BootId, Report};

use crate::clock::{SampleClock, ServerClock};
use crate::collect::disks::{DiskCollector, DiskThread};
use crate::collect::{Collector, SETTLE, Sample};
use crate::config::{Config, Destination, OpenClawPlaces, Surroundings};
use crate::explain::Explanation;
use crate::logs::{Lines, LogPlaces, follow::Follower, position, position::Position};
use crate::openclaw::usage::{self, Cursors, Feed, Portion, Reader, Ticket};
use crate::openclaw::{Latest, View, Watcher};
use crate::queue::{QUEUE_BYTES_MAX, Queue, Waiting};
use crate::report::{Pending, boot_id};
use crate::spool::{Spool, disk::Folder, record::Key};
use crate::state_dir::Held;
use crate::uplink::http::Http;
use crate::uplink::{Outcome, REQUEST_MAX};
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
    let (watcher, latest) = (Watcher::new(config.openclaw.clone())?, openclaw.clone());
    let interval = config.interval();
    spawn("openclaw", move || openclaw::watch(watcher, latest, interval, &openclaw_stopped))?;
    let state_dir = held.as_ref().map(Held::path);
    let cursors = cursors(state_dir, Some(destination));
    let reader = Reader::new(config.openclaw.clone(), cursors);
    let (usage_ends, usage_ended) = channel::<()>();
    let (feed, folder) = (shared.usage.clone(), state_dir.map(Path::to_path_buf));
    spawn("usage", move || {
        let _ends = usage_ends;
        usage::read(reader, &feed, folder);
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
        uplink::send(&to, &http, &server);
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
        pending.push(times.time(now, unix_ms()), &sample);
        // A report that is due at the same moment as a sample holds that sample.
        let due = now >= reports.next;
        if due {
            reports.advance(now);
        }
        if due || shared.is_live() || pending.is_full() || logs.is_full() {
            let report = pending.take(&facts, &view, shared.usage.state(), config.interval_s);
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
        Outcome::Failed(error) => bail!("{} cannot be reached: {error}", destination.server),
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
    let mut watcher = Watcher::new(config.openclaw.clone())?;
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

/// How far usage was read for this destination, or for any, as the agent's folder says.
fn cursors(folder: Option<&Path>, destination: Option<&Destination>) -> Cursors {
    let destination = destination.map(|to| format!("{}\n{}", to.server, to.key));
    match folder {
        Some(folder) => Cursors::load(folder, destination.as_deref()),
        None => Cursors::new(&destination.unwrap_or_default()),
    }
}

fn destination(config: &Config) -> anyhow::Result<&Destination> {
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

/// What the threads share: the queue, and who waits for what.
#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// OpenClaw's usage, on its way into the queue.
    usage: Feed,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    live: bool,
    /// A stop was asked for: no more samples.
    stop: bool,
    /// The last report is in the queue, and until when it may be sent.
    closing: Option<Instant>,
}

impl Shared {
    fn new(queue: Queue) -> Shared {
        let state = State { queue, live: false, stop: false, closing: None };
        Shared { state: Mutex::new(state), changed: Condvar::new(), usage: Feed::default() }
    }

    /// Asks for a stop.
    pub fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    /// No more reports come; those that are there may be sent until `deadline`.
    fn close(&self, deadline: Instant) {
        self.lock().closing = Some(deadline);
        self.changed.notify_all();
    }

    /// Waits for a moment. False as soon as a stop is asked for.
    fn wait_until(&self, moment: Instant) -> bool {
        self.wait(moment.saturating_duration_since(Instant::now()), |state| state.stop);
        !self.lock().stop
    }

    /// Waits before the next try; not longer than until closing.
    pub(crate) fn pause(&self, wait: Duration) {
        self.wait(wait, |state| state.closing.is_some());
    }

    /// Lets live reports and other devices go first: not longer than until a new report or closing.
    pub(crate) fn rest(&self, wait: Duration) {
        self.wait(wait, |state| state.closing.is_some() || state.queue.has_fresh());
    }

    fn wait(&self, wait: Duration, until: impl Fn(&State) -> bool) {
        if !wait.is_zero() {
            let waited = self.changed.wait_timeout_while(self.lock(), wait, |state| !until(state));
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// The report to send and, when closing, until when it may be sent. Waits for one; nothing when
    /// closing and there is none left.
    pub(crate) fn next(&self) -> Option<(Waiting, Option<Instant>)> {
        let mut state = self.lock();
        let next = loop {
            match (state.queue.pick(), state.closing) {
                (Some(waiting), closing) => break Some((waiting, closing)),
                (None, Some(_)) => break None,
                (None, None) => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        };
        self.tell(state);
        next
    }

    pub(crate) fn number(&self) -> Key {
        self.lock().queue.number()
    }

    fn push(&self, key: Key, frame: Vec<u8>, usage: Option<Ticket>) {
        let mut state = self.lock();
        state.queue.push(key, frame, usage);
        self.tell(state);
        self.changed.notify_all();
    }

    /// Nothing is left to do about this report: the server has it, or it is given up.
    pub(crate) fn forget(&self, key: Key, safe: bool) {
        let mut state = self.lock();
        let usage = state.queue.forget(key);
        self.tell(state);
        self.settle(usage, safe);
    }

    /// The usage events of a report are safe with the server, or they are lost. A report that is on disk
    /// may be lost yet: a power cut takes it, or a newer one its room.
    fn settle(&self, usage: Option<Ticket>, safe: bool) {
        if let Some(ticket) = usage {
            self.usage.settle(ticket, safe);
        }
    }

    /// Says what is new about the queue, once nobody has to wait for that.
    fn tell(&self, mut state: MutexGuard<'_, State>) {
        let (news, lost) = (state.queue.take_news(), state.queue.take_lost());
        drop(state);
        lost.into_iter().for_each(|ticket| self.settle(Some(ticket), false));
        news.iter().for_each(log::warn);
    }

    /// How the queue is, as figures.
    fn sample(&self) -> Sample {
        let mut sample = Sample::default();
        let state = self.lock();
        sample.gauge("reports_waiting", state.queue.len() as f64);
        sample.counter("reports_dropped_total", state.queue.dropped());
        sample.gauge("spool_bytes", state.queue.spool_bytes() as f64);
        sample
    }

    /// Reports on disk, and in all.
    fn left(&self) -> (usize, usize) {
        let state = self.lock();
        (state.queue.on_disk(), state.queue.len())
    }

    pub(crate) fn with_queue(&self, change: impl FnOnce(&mut Queue)) {
        let mut state = self.lock();
        change(&mut state.queue);
        self.tell(state);
    }

    pub(crate) fn queued(&self) -> usize {
        self.lock().queue.len()
    }

    pub(crate) fn set_live(&self, live: bool) {
        self.lock().live = live;
    }

    fn is_live(&self) -> bool {
        self.lock().live
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements: a thread that died leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> Shared {
        Shared::new(Queue::new(BootId([1; 16]), None, QUEUE_BYTES_MAX))
    }

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

    #[test]
    fn a_stop_ends_the_wait_for_the_next_sample() {
        let shared = shared();
        assert!(shared.wait_until(Instant::now()));
        shared.stop();
        assert!(!shared.wait_until(Instant::now() + Duration::from_secs(3_600)));
    }

    #[test]
    fn closing_ends_a_pause_and_then_the_queue() {
        let shared = shared();
        shared.push(shared.number(), vec![1], None);
        let deadline = Instant::now() + CLOSE_MAX;
        shared.close(deadline);
        shared.pause(Duration::from_secs(3_600));
        let (waiting, closing) = shared.next().unwrap();
        assert_eq!((&waiting.frame[..], closing), (&[1][..], Some(deadline)));
        shared.forget(waiting.key, true);
        assert_eq!(shared.next(), None);
    }
}
