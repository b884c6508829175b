//! What the gateway logs, from its log files into the reports.
//!
//! The thread `logs` follows the files ([`follow`]), keeps records of the wanted level, and puts them,
//! redacted, into [`Lines`]. A report takes them from there. A place in a file counts as read once the
//! report with its lines is in the queue and thereby on disk: a restart goes on behind the last line
//! that was taken. If the agent is killed in the moment between these two writes, the lines of that
//! one report come twice; none is missing.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wire::Log;

use crate::config::OpenClawPlaces;
use crate::run::unix_ms;
use follow::Follower;
use position::Position;

pub mod files;
pub mod follow;
pub mod limit;
pub mod lines;
pub mod position;
pub mod record;
pub mod redact;

/// Time between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Lines that wait for a report.
pub const LINES_MAX: usize = 600;
const _: () = assert!(LINES_MAX <= wire::bounds::LOGS_MAX);
/// Their bytes: with them a report's frame still fits, even if they cannot be compressed.
pub const LINES_BYTES_MAX: usize = 256 << 10;
const _: () = assert!(LINES_BYTES_MAX + wire::bounds::LOG_BYTES_MAX <= wire::bounds::FRAME_BYTES_MAX / 2);

/// Where a gateway's logs may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPlaces {
    /// State folders of gateways; the logs have to belong to the owner of one of them.
    pub openclaw: OpenClawPlaces,
    /// Folders of JSON logs.
    pub folders: Vec<PathBuf>,
}

impl LogPlaces {
    /// Those that go with these places of OpenClaw.
    pub fn of(places: &OpenClawPlaces) -> LogPlaces {
        let mut folders = Vec::new();
        if cfg!(unix) {
            folders.push(PathBuf::from("/tmp/openclaw"));
        }
        folders.push(places.temp_dir.join("openclaw"));
        folders.dedup();
        LogPlaces { openclaw: places.clone(), folders }
    }
}

/// Lines on their way into a report, shared with the thread that finds them.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<Buffer>>);

#[derive(Debug, Default)]
struct Buffer {
    lines: Vec<Log>,
    bytes: usize,
    /// How far the files are read with these lines.
    positions: Option<Vec<Position>>,
}

impl Lines {
    /// Takes all lines, and the places behind them: to be kept once the lines are.
    pub fn take(&self) -> (Vec<Log>, Option<Vec<Position>>) {
        let mut buffer = self.lock();
        buffer.bytes = 0;
        (std::mem::take(&mut buffer.lines), buffer.positions.take())
    }

    /// Whether a report should be made before its time.
    pub fn is_full(&self) -> bool {
        let buffer = self.lock();
        buffer.lines.len() >= LINES_MAX || buffer.bytes >= LINES_BYTES_MAX
    }

    fn push(&self, line: Log) {
        let mut buffer = self.lock();
        buffer.bytes += line.message.len() + line.source.len();
        buffer.lines.push(line);
    }

    fn set_positions(&self, positions: Vec<Position>) {
        self.lock().positions = Some(positions);
    }

    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows the logs until `stop` is dropped: the body of the thread `logs`.
pub fn watch(mut follower: Follower, lines: &Lines, stop: &Receiver<()>) {
    loop {
        follower.look(lines, Instant::now(), unix_ms());
        if stop.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}
