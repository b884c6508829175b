//! How far reading back has come, for a person at a terminal: one line that is written over.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use store::{OnReplay, Replay};

/// What is read back sooner needs no line; then the line changes this often. Milliseconds.
const EVERY_MS: u64 = 300;

/// Shows it on standard error; `None` where that is no terminal: there the log has its one line at the end.
pub fn on_terminal() -> Option<OnReplay> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let (begin, shown_ms) = (Instant::now(), AtomicU64::new(0));
    Some(Arc::new(move |replay| {
        let passed_ms = begin.elapsed().as_millis() as u64;
        if passed_ms >= shown_ms.load(Ordering::Relaxed) + EVERY_MS {
            shown_ms.store(passed_ms, Ordering::Relaxed);
            // Nobody sees it when this fails.
            let _ = write!(std::io::stderr(), "\r\x1b[K{}\r", line(replay));
        }
    }))
}

fn line(replay: Replay) -> String {
    let percent = replay.groups.min(replay.groups_max) * 100 / replay.groups_max.max(1);
    format!("Reading back what was not sealed yet: {percent} %, {} samples", replay.samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_never_says_more_than_all() {
        let line = |groups| line(Replay { groups, groups_max: 200, samples: 5 });
        assert_eq!(line(50), "Reading back what was not sealed yet: 25 %, 5 samples");
        assert_eq!(line(300), "Reading back what was not sealed yet: 100 %, 5 samples");
    }
}
