//! Sends reports, one at a time: the newest first, then the oldest ones at a measured pace.
//!
//! [`Uplink`] decides what an outcome means, without I/O; [`send`] is the thread that does it.

use std::fmt;
use std::net::ToSocketAddrs;
use std::time::{Duration, Instant};

use wire::{Ack, ErrorBody};

use crate::config::server::{Server, is_public};
use crate::queue::Waiting;
use crate::shared::Shared;
use crate::{log, report};
use http::Http;

pub mod http;

/// The longest wait between two tries when nothing else is said.
pub const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// The shortest.
pub const BACKOFF_MIN: Duration = Duration::from_millis(250);
/// The longest wait between two looks for a server that is not there is one report interval, but no shorter than
/// this: when it comes back it gets no more of them than it gets reports.
pub const ABSENT_MIN: Duration = Duration::from_secs(5);
/// The longest wait that a server can ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// The wait when trying again soon cannot help: a wrong key, a wrong address.
pub const BACKOFF_WRONG: Duration = Duration::from_secs(60);
/// How long one request may take.
pub const REQUEST_MAX: Duration = Duration::from_secs(30);
/// The shortest rest between two old reports.
pub const REST_MIN: Duration = Duration::from_millis(20);
/// The longest.
pub const REST_MAX: Duration = Duration::from_secs(1);
/// Characters of a server's message that are repeated.
const MESSAGE_CHARS_MAX: usize = 200;

/// How a try to send ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was an answer.
    Answered {
        /// Status code.
        status: u16,
        /// `Retry-After`, if there was one.
        retry_after: Option<Duration>,
        /// The body as far as it was read.
        body: Vec<u8>,
    },
    /// There was none.
    Failed(String),
    /// There was nobody who could have given one: the name is not known, there is no way to it, nothing listens, or
    /// no connection came about. To try again costs a server next to nothing.
    Nobody(String),
}

/// What becomes of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is on the server's disk.
    Forget,
    /// It is sent again.
    Keep,
    /// It would never be accepted.
    Drop,
    /// It is sent again in two parts.
    Split,
}

/// What to do after a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of the report.
    pub fate: Fate,
    /// How long to wait before the next try.
    pub wait: Duration,
    /// Whether somebody is looking at this device.
    pub live: bool,
    /// What to tell the person who reads the log.
    pub say: Option<String>,
}

/// Why reports do not get through. Said once when it begins, and when it becomes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Unreachable,
    Key,
    Busy,
    NotTheServer,
}

/// How the waits between tries grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// The server may be overloaded, or will not get better soon.
    Slower,
    /// There is no server at the moment. How long it is away says nothing about how busy it will be.
    Steady,
}

/// Decides, and remembers what it takes to decide.
#[derive(Clone, Debug)]
pub struct Uplink {
    /// The longest wait while nobody is there.
    absent_max: Duration,
    /// Tries in a row that found nobody.
    absences: u32,
    /// Tries that failed otherwise since the last that did not.
    failures: u32,
    trouble: Option<Trouble>,
    connected: bool,
    last_fault: Option<String>,
}

impl Uplink {
    /// Of a device that reports so often.
    pub fn new(interval: Duration) -> Uplink {
        Uplink {
            absent_max: interval.clamp(ABSENT_MIN, BACKOFF_MAX),
            absences: 0,
            failures: 0,
            trouble: None,
            connected: false,
            last_fault: None,
        }
    }

    /// What to do after `outcome`. `random` is evenly spread over its range.
    pub fn on_outcome(&mut self, outcome: &Outcome, random: u32) -> Decision {
        let (status, retry_after, body) = match outcome {
            Outcome::Nobody(error) => {
                let say = || format!("the server cannot be reached: {error}");
                return self.retry(Trouble::Unreachable, Pace::Steady, None, random, say);
            }
            Outcome::Failed(error) => {
                let say = || format!("the server cannot be reached: {error}");
                return self.retry(Trouble::Unreachable, Pace::Slower, None, random, say);
            }
            Outcome::Answered { status, retry_after, body } => (*status, *retry_after, body.as_slice()),
        };
        match status {
            200 => match serde_json::from_slice::<Ack>(body) {
                Ok(ack) => self.acknowledged(&ack),
                Err(_) => self.retry(Trouble::NotTheServer, Pace::Slower, Some(BACKOFF_WRONG), random, || {
                    "the answer is not an OpenClaw Watch server's; is the address right?".into()
                }),
            },
            400 | 422 => self.settled(Fate::Drop, Some(format!("{}; this report is dropped", refusal(status, body)))),
            413 => self.settled(Fate::Split, None),
            401 => self.retry(Trouble::Key, Pace::Slower, Some(BACKOFF_WRONG), random, || {
                "the server does not know this device key (401); set the key that the page shows for this \
                 device. Reports are kept and tried again"
                    .into()
            }),
            // A proxy that finds no server behind it.
            502 => self.retry(Trouble::Busy, Pace::Steady, retry_after, random, || refusal(status, body)),
            408 | 429 | 500..=599 => {
                self.retry(Trouble::Busy, Pace::Slower, retry_after, random, || refusal(status, body))
            }
            300..=399 => self.retry(Trouble::NotTheServer, Pace::Slower, Some(BACKOFF_WRONG), random, || {
                format!("the server points to another address ({status}), which is not followed: set the right one")
            }),
            _ => self.retry(Trouble::NotTheServer, Pace::Slower, Some(BACKOFF_WRONG), random, || {
                format!("{}; is the address an OpenClaw Watch server's?", refusal(status, body))
            }),
        }
    }

    fn acknowledged(&mut self, ack: &Ack) -> Decision {
        let back = self.trouble.is_some();
        let first = !std::mem::replace(&mut self.connected, true);
        let fault = (ack.rejected > 0).then(|| {
            let why = ack.faults.first().map_or("it does not say why", |fault| fault.message.as_str());
            format!("the server did not take {} rows of a report: {}", ack.rejected, shorten(why))
        });
        let news = fault.clone().filter(|fault| self.last_fault.as_ref() != Some(fault));
        self.last_fault = fault;
        let going = (back || first).then(|| "the server takes the reports".to_string());
        Decision { live: ack.live, ..self.settled(Fate::Forget, news.or(going)) }
    }

    /// The server has decided about this report: the next one can follow.
    fn settled(&mut self, fate: Fate, say: Option<String>) -> Decision {
        (self.absences, self.failures) = (0, 0);
        self.trouble = None;
        Decision { fate, wait: Duration::ZERO, live: false, say }
    }

    fn retry(
        &mut self,
        trouble: Trouble,
        pace: Pace,
        at_least: Option<Duration>,
        random: u32,
        say: impl FnOnce() -> String,
    ) -> Decision {
        let (tries, longest) = match pace {
            Pace::Slower => (&mut self.failures, BACKOFF_MAX),
            Pace::Steady => (&mut self.absences, self.absent_max),
        };
        let wait = backoff(*tries, longest, random).max(at_least.unwrap_or_default().min(RETRY_AFTER_MAX));
        *tries = tries.saturating_add(1);
        if pace == Pace::Slower {
            self.absences = 0;
        }
        let news = self.trouble.replace(trouble) != Some(trouble);
        Decision { fate: Fate::Keep, wait, live: false, say: news.then(say) }
    }
}

/// Between [`BACKOFF_MIN`] and a ceiling that doubles with each failure up to `longest`. The whole span is used,
/// so that a fleet that lost its server at one moment does not come back at one moment.
pub fn backoff(failures: u32, longest: Duration, random: u32) -> Duration {
    let ceiling = Duration::from_secs(1).saturating_mul(1 << failures.min(16)).min(longest);
    ceiling.mul_f64(f64::from(random) / f64::from(u32::MAX)).max(BACKOFF_MIN)
}

/// How long to rest after an old report that took this long to send. A server is busy with one device's
/// past at most half of the time, and a slow one is asked less often.
pub fn rest(took: Duration) -> Duration {
    took.clamp(REST_MIN, REST_MAX)
}

/// A status that is no success, with what the server says about it.
fn refusal(status: u16, body: &[u8]) -> String {
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) => format!("the server answers {status}: {}", shorten(&body.error.message)),
        Err(_) => format!("the server answers {status}"),
    }
}

fn shorten(text: &str) -> &str {
    text.char_indices().nth(MESSAGE_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

/// Sends what is in the queue until it is closed, then what is left while there is time: the body of
/// the thread `uplink`.
pub fn send(shared: &Shared, http: &Http, server: &Server, interval: Duration) {
    let mut sender = Sender { shared, http, uplink: Uplink::new(interval) };
    let mut warned = false;
    while let Some((waiting, closing)) = shared.next() {
        if !warned {
            warned = warn_if_readable(server);
        }
        let timeout = match closing {
            None => REQUEST_MAX,
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
        };
        if timeout.is_zero() {
            return;
        }
        let kept = sender.send_one(waiting, timeout);
        if kept && closing.is_some() {
            return;
        }
    }
}

struct Sender<'a> {
    shared: &'a Shared,
    http: &'a Http,
    uplink: Uplink,
}

impl Sender<'_> {
    /// Tries once. Whether the report has to be sent again.
    fn send_one(&mut self, waiting: Waiting, timeout: Duration) -> bool {
        let begun = Instant::now();
        let outcome = self.http.post(&waiting.frame, timeout);
        let took = begun.elapsed();
        let random = getrandom::u32().unwrap_or(u32::MAX / 2);
        let decision = self.uplink.on_outcome(&outcome, random);
        if let Some(say) = decision.say {
            let queued = self.shared.queued();
            match decision.fate {
                Fate::Forget => log::info(format_args!("{say} ({} waiting)", queued.saturating_sub(1))),
                _ => log::warn(format_args!("{say} ({queued} waiting)")),
            }
        }
        self.shared.set_live(decision.live);
        match decision.fate {
            Fate::Keep => {}
            Fate::Forget => self.shared.forget(waiting.key, true),
            Fate::Drop => self.shared.forget(waiting.key, false),
            Fate::Split => self.split(&waiting),
        }
        self.shared.pause(decision.wait);
        if decision.wait.is_zero() && !waiting.fresh {
            self.shared.rest(rest(took));
        }
        decision.fate == Fate::Keep
    }

    fn split(&mut self, waiting: &Waiting) {
        let halves = match wire::frame::decode(&waiting.frame) {
            Ok(report) => report::split(report),
            Err(error) => return self.drop_one(waiting, &error),
        };
        let Some(halves) = halves else {
            return self.drop_one(waiting, &"the server says that a single row is too large (413)");
        };
        let numbered = halves.map(|mut half| {
            let key = self.shared.number();
            half.agent.boot = Some((key.boot, key.seq));
            wire::frame::encode(&half).map(|frame| (key, frame))
        });
        match numbered.into_iter().collect::<Result<Vec<_>, _>>() {
            Ok(parts) => self.shared.with_queue(|queue| queue.replace(waiting.key, parts)),
            Err(error) => self.drop_one(waiting, &error),
        }
    }

    fn drop_one(&self, waiting: &Waiting, why: &dyn fmt::Display) {
        log::warn(format_args!("a report is dropped: {why}"));
        self.shared.forget(waiting.key, false);
    }
}

/// Says so if the device key crosses somebody else's network in the clear. False if that cannot be
/// told yet.
pub fn warn_if_readable(server: &Server) -> bool {
    if server.is_https() {
        return true;
    }
    let Ok(mut addresses) = server.host_and_port().to_socket_addrs() else { return false };
    if addresses.any(|address| is_public(address.ip())) {
        log::warn(format_args!(
            "{server} is a public address without TLS: the device key and all reports can be read on the \
             way; use https://"
        ));
    }
    true
}

#[cfg(test)]
mod tests;
