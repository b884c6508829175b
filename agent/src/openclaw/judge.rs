//! From what is seen of a gateway to what it means. Without I/O.

use std::time::Duration;

/// How long a gateway may take to open its port. Usual are 7 to 15 s.
pub const START_MAX: Duration = Duration::from_secs(60);
/// How long a gateway that goes down may be there without its port. Usual are 7 s.
pub const DRAIN_MAX: Duration = Duration::from_secs(30);

/// What a gateway is doing. The later in this list, the more a person should know of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gateway {
    /// There is no OpenClaw here.
    NotInstalled,
    /// It answers and is ready, or does not say that it is not.
    Running,
    /// It cannot be seen from here.
    #[default]
    Unknown,
    /// It is coming up.
    Starting,
    /// It is going down.
    Draining,
    /// It is installed, does not run, and was ended in an orderly way as far as can be told.
    Stopped,
    /// It runs, and some part of it says that it fails.
    Degraded,
    /// Its process is there, and nobody answers.
    Stuck,
    /// It does not run, and nobody ended it.
    Crashed,
}

impl Gateway {
    /// The state as reports have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Gateway::Running => "running",
            Gateway::Starting => "starting",
            Gateway::Draining => "draining",
            Gateway::Degraded => "degraded",
            Gateway::Stuck => "stuck",
            Gateway::Stopped => "stopped",
            Gateway::Crashed => "crashed",
            Gateway::NotInstalled => "not_installed",
            Gateway::Unknown => "unknown",
        }
    }
}

/// What was seen, before it is known what it means.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// What the gateway's port said.
    pub port: Port,
    /// What `/readyz` said, if it was asked and answered.
    pub ready: Option<bool>,
    /// Its process, if there is one.
    pub process: Option<Process>,
    /// For how long the process's port has been closed; nothing if it was never seen open.
    pub closed_for: Option<Duration>,
    /// Whether a lock is there whose process is gone.
    pub lock_left: bool,
    /// How the gateway ended last, as it noted itself.
    pub end: Option<End>,
    /// Whether there is a state folder.
    pub installed: bool,
    /// Whether the gateway can be reached over loopback at all.
    pub on_loopback: bool,
}

/// A gateway's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// For how long it has been running.
    pub age: Duration,
    /// Whether a lock says that it is this gateway's; else it only looks like one.
    pub locked: bool,
}

/// What the gateway's port said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Port {
    /// Nobody listens.
    #[default]
    Refused,
    /// Somebody listens and gave no answer that is HTTP.
    Silent,
    /// Somebody listens who was not asked, because the gateway speaks TLS.
    Open,
    /// Somebody speaks HTTP who may or may not be the gateway.
    Other,
    /// The gateway, alive.
    Live,
    /// The gateway, coming up.
    Starting,
    /// The gateway, going down.
    Draining,
}

/// How a gateway ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Somebody stopped it.
    Clean,
    /// Somebody stopped it, and it had to be cut off.
    Forced,
    /// It could not start.
    StartFailed,
    /// It could not note how.
    Killed,
}

impl End {
    /// How it ended, as reports have it.
    pub fn as_str(self) -> &'static str {
        match self {
            End::Clean => "clean_stop",
            End::Forced => "forced_stop",
            End::StartFailed => "start_failed",
            End::Killed => "killed",
        }
    }
}

/// What it means, and whether the gateway answers.
pub fn judge(seen: &Seen) -> (Gateway, Option<bool>) {
    let absent = match (seen.installed, seen.end) {
        (false, _) => (Gateway::NotInstalled, None),
        (true, Some(End::StartFailed | End::Killed)) => (Gateway::Crashed, Some(false)),
        (true, Some(End::Clean | End::Forced)) => (Gateway::Stopped, Some(false)),
        (true, None) if seen.lock_left => (Gateway::Crashed, Some(false)),
        (true, None) => (Gateway::Stopped, Some(false)),
    };
    let unseen = if seen.installed { Gateway::Unknown } else { Gateway::NotInstalled };
    match (seen.port, seen.process) {
        (Port::Live, _) if seen.ready == Some(false) => (Gateway::Degraded, Some(true)),
        (Port::Live, _) => (Gateway::Running, Some(true)),
        (Port::Starting, _) => (Gateway::Starting, Some(true)),
        (Port::Draining, _) => (Gateway::Draining, Some(true)),
        // Some releases answer their probes with an error while everything else works.
        (Port::Other | Port::Open, Some(_)) => (Gateway::Running, Some(true)),
        // Whoever holds the port now, a gateway that left its lock or its end is not running.
        (_, None) if absent.0 == Gateway::Crashed => absent,
        (Port::Other | Port::Open | Port::Silent, None) => (unseen, None),
        (Port::Silent, Some(_)) => (Gateway::Stuck, Some(false)),
        (Port::Refused, None) => absent,
        (Port::Refused, Some(_)) if !seen.on_loopback => (Gateway::Running, None),
        (Port::Refused, Some(process)) => match seen.closed_for {
            // A gateway closes its port first when it goes down, and may hang after that.
            Some(closed_for) if closed_for < DRAIN_MAX => (Gateway::Draining, Some(false)),
            None if process.age < START_MAX => (Gateway::Starting, Some(false)),
            _ if process.locked => (Gateway::Stuck, Some(false)),
            // It may be in a container, or somebody else's.
            _ => (Gateway::Unknown, None),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YES: Option<bool> = Some(true);
    const NO: Option<bool> = Some(false);

    fn process(age_s: u64, locked: bool) -> Option<Process> {
        Some(Process { age: Duration::from_secs(age_s), locked })
    }

    fn seen(port: Port, process: Option<Process>) -> Seen {
        Seen { port, process, installed: true, on_loopback: true, ..Seen::default() }
    }

    #[track_caller]
    fn check(seen: Seen, state: &str, up: Option<bool>) {
        let (gateway, is_up) = judge(&seen);
        assert_eq!((gateway.as_str(), is_up), (state, up), "{seen:?}");
    }

    #[test]
    fn what_the_port_says_comes_first() {
        let (none, old) = (None, process(500, true));
        check(seen(Port::Live, old), "running", YES);
        check(seen(Port::Live, none), "running", YES);
        check(Seen { ready: YES, ..seen(Port::Live, old) }, "running", YES);
        check(Seen { ready: NO, ..seen(Port::Live, old) }, "degraded", YES);
        check(Seen { lock_left: true, ..seen(Port::Live, none) }, "running", YES);
        check(seen(Port::Starting, process(5, true)), "starting", YES);
        check(seen(Port::Draining, old), "draining", YES);
        check(seen(Port::Other, old), "running", YES);
        check(seen(Port::Open, old), "running", YES);
        check(seen(Port::Other, none), "unknown", None);
        check(Seen { installed: false, ..seen(Port::Other, none) }, "not_installed", None);
        check(Seen { installed: false, ..seen(Port::Live, none) }, "running", YES);
    }

    #[test]
    fn a_process_without_an_answer_starts_goes_down_or_is_stuck() {
        let closed = |seconds| Some(Duration::from_secs(seconds));
        check(seen(Port::Refused, process(5, true)), "starting", NO);
        check(seen(Port::Refused, process(5, false)), "starting", NO);
        check(seen(Port::Refused, process(500, true)), "stuck", NO);
        check(seen(Port::Silent, process(500, true)), "stuck", NO);
        check(seen(Port::Silent, None), "unknown", None);
        check(Seen { closed_for: closed(8), ..seen(Port::Refused, process(500, true)) }, "draining", NO);
        check(Seen { closed_for: closed(8), ..seen(Port::Refused, process(20, true)) }, "draining", NO);
        check(Seen { closed_for: closed(31), ..seen(Port::Refused, process(40, true)) }, "stuck", NO);
        let elsewhere = Seen { on_loopback: false, ..seen(Port::Refused, process(500, true)) };
        check(elsewhere, "running", None);
        check(seen(Port::Refused, process(500, false)), "unknown", None);
    }

    #[test]
    fn one_that_is_gone_was_stopped_or_crashed() {
        let gone = seen(Port::Refused, None);
        check(gone.clone(), "stopped", NO);
        check(Seen { lock_left: true, ..gone.clone() }, "crashed", NO);
        for (end, state) in [
            (End::Clean, "stopped"),
            (End::Forced, "stopped"),
            (End::StartFailed, "crashed"),
            (End::Killed, "crashed"),
        ] {
            check(Seen { end: Some(end), ..gone.clone() }, state, NO);
        }
        check(Seen { end: Some(End::Clean), lock_left: true, ..gone.clone() }, "stopped", NO);
        check(Seen { end: Some(End::Killed), ..seen(Port::Other, None) }, "crashed", NO);
        check(Seen { installed: false, lock_left: true, ..gone }, "not_installed", None);
    }
}
