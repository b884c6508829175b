//! What of OpenClaw's transcripts cannot be read: said once in the log, shown as long as it lasts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::database::Fault;
use super::{State, Why};
use crate::log;

/// For how long a database may be locked before that is more than a moment of work on it.
pub const LOCKED_FOR: Duration = Duration::from_secs(60);

/// The faults of the last look, each by its path.
#[derive(Debug, Default)]
pub struct Faults(HashMap<PathBuf, Trouble>);

/// A fault, and since when it is there.
#[derive(Debug)]
struct Trouble {
    fault: Fault,
    since: Instant,
    said: bool,
}

impl Trouble {
    fn counts(&self, now: Instant) -> bool {
        let locked = matches!(self.fault, Fault::Unreadable(Why::Locked, _));
        !locked || now.saturating_duration_since(self.since) >= LOCKED_FOR
    }
}

impl Faults {
    /// Those of another look.
    pub fn replace(&mut self, faults: HashMap<PathBuf, Fault>, now: Instant) {
        let mut before = std::mem::take(&mut self.0);
        for (path, fault) in faults {
            let known = before.remove(&path).filter(|known| known.fault == fault);
            let mut trouble = known.unwrap_or(Trouble { fault, since: now, said: false });
            if trouble.counts(now) && !std::mem::replace(&mut trouble.said, true) {
                let (shown, fault) = (path.display(), &trouble.fault);
                log::warn(format_args!("usage in {shown} cannot be read: {fault}; {}", fault.fix()));
            }
            self.0.insert(path, trouble);
        }
        for (path, _) in before.into_iter().filter(|(_, trouble)| trouble.said) {
            log::info(format_args!("usage in {} can be read again, or is gone", path.display()));
        }
    }

    /// What they mean for the whole, if they are more than a moment's.
    pub fn state(&self, now: Instant) -> Option<State> {
        let faults = self.0.values().filter(|trouble| trouble.counts(now)).map(|trouble| &trouble.fault);
        let states = faults.map(|fault| match fault {
            Fault::UnknownSchema(_) => (None, State::UnknownSchema),
            Fault::Unreadable(why, _) => (Some(*why), State::Unreadable(*why)),
        });
        // Of several the one that says most about what to do.
        states.min_by_key(|(why, _)| *why).map(|(_, state)| state)
    }

    /// Whether there are none, not even for the moment.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What could not be read, and why.
    pub fn list(&self) -> Vec<(&Path, &Fault)> {
        let faults = self.0.iter().map(|(path, trouble)| (path.as_path(), &trouble.fault));
        let mut faults: Vec<_> = faults.collect();
        faults.sort_by_key(|(path, _)| *path);
        faults
    }
}
