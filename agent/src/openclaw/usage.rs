//! What OpenClaw's models cost, read from its own transcripts: one event per message, however many
//! copies of it there are.
//!
//! A thread of its own reads a portion and hands it to whoever makes the reports, then waits until the
//! server has it. Only then does it remember on disk how far it came: a report that is lost is made up
//! for by reading again, and what the server gets twice counts once, by the event's id.
//!
//! New events go with the next report. While there is a past to catch up with, portions are reports of
//! their own, one after the other, each behind the live ones: years of usage then arrive in minutes.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wire::Usage;

use crate::log;
pub use cursors::Cursors;
pub use reader::{Portion, Reader};

pub mod cursors;
pub mod database;
pub mod faults;
pub mod lines;
pub mod reader;
pub mod record;
pub mod sources;

/// Time between two looks for something new.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The same while there is more to read: a first start reads years, and the device has other things to
/// do.
const LOOK_EVERY_MORE: Duration = Duration::from_secs(1);
/// Time between two times that the cursors are written. What is lost of them is read again, and they
/// may be hundreds of kilobytes on a memory card.
const SAVE_EVERY: Duration = Duration::from_secs(300);
/// The longest wait before events are tried again that the server refused.
const RETRY_MAX: Duration = Duration::from_secs(3_600);

/// How reading goes, as reports have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All that is there was read.
    Ok,
    /// There is more to read, as after a first start.
    CatchingUp,
    /// Some records made no sense and count as nothing.
    Partial,
    /// There is nothing to read: no transcripts, or none with usage.
    None,
    /// Users write and no usage comes: OpenClaw may keep it elsewhere now.
    Quiet,
    /// Something that has to be read cannot be.
    Unreadable(Why),
    /// A database is of a version that this version does not understand.
    UnknownSchema,
}

impl State {
    /// The state as reports have it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::CatchingUp => "catching_up",
            State::Partial => "partial",
            State::None => "none",
            State::Quiet => "quiet",
            State::Unreadable(_) => "unreadable",
            State::UnknownSchema => "unknown_schema",
        }
    }

    /// The states that a report has of it: how reading goes and, where something cannot be read, why.
    pub fn states(self) -> impl Iterator<Item = (&'static str, String)> {
        let why = match self {
            State::Unreadable(why) => Some(("usage_why", why.as_str().to_string())),
            _ => None,
        };
        [("usage", self.as_str().to_string())].into_iter().chain(why)
    }
}

/// Why something cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The agent's user may not.
    Denied,
    /// What is in it is not what it should be.
    Damaged,
    /// OpenClaw's folder was there and is gone.
    Gone,
    /// Somebody writes and lets nobody read.
    Locked,
    /// The disk or the system, or the part of the agent that reads.
    Failed,
}

impl Why {
    /// The reason as reports have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Denied => "denied",
            Why::Damaged => "damaged",
            Why::Gone => "gone",
            Why::Locked => "locked",
            Why::Failed => "failed",
        }
    }

    /// What a person does about it.
    pub fn fix(self) -> &'static str {
        match self {
            Why::Denied => "the agent has to run as the user that OpenClaw runs as, or as root",
            Why::Damaged => "`openclaw doctor` looks at OpenClaw's files; those beside it are read",
            Why::Gone => "is the disk with OpenClaw's folder mounted?",
            Why::Locked => "a program holds it: it is read as soon as that lets go",
            Why::Failed => "the system's log may say what is wrong with the disk",
        }
    }
}

impl From<&io::Error> for Why {
    fn from(error: &io::Error) -> Why {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Why::Denied,
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Why::Damaged,
            // Zstandard has no kind of its own for a frame that is none.
            io::ErrorKind::Other if error.raw_os_error().is_none() => Why::Damaged,
            _ => Why::Failed,
        }
    }
}

/// Names the events that are on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticket(u64);

/// Hands events from the thread that reads them to the one that makes reports, and word back of what
/// became of them. There is one portion on its way at a time.
#[derive(Clone, Debug, Default)]
pub struct Feed(Arc<(Mutex<Slot>, Condvar)>);

#[derive(Debug, Default)]
struct Slot {
    stage: Stage,
    ticket: u64,
    state: Option<State>,
    closed: bool,
}

#[derive(Debug, Default, PartialEq)]
enum Stage {
    #[default]
    Empty,
    Ready(Vec<Usage>),
    Sent,
    Settled {
        safe: bool,
    },
}

impl Feed {
    /// The events for the next report, if some are ready.
    pub fn take(&self) -> Option<(Ticket, Vec<Usage>)> {
        let mut slot = self.lock();
        let Stage::Ready(events) = &mut slot.stage else { return None };
        let events = std::mem::take(events);
        slot.stage = Stage::Sent;
        Some((Ticket(slot.ticket), events))
    }

    /// The events are safe with the server, or they are lost.
    pub fn settle(&self, ticket: Ticket, safe: bool) {
        let mut slot = self.lock();
        if slot.ticket == ticket.0 && slot.stage == Stage::Sent {
            slot.stage = Stage::Settled { safe };
            self.0.1.notify_all();
        }
    }

    /// How reading goes.
    pub fn state(&self) -> Option<State> {
        self.lock().state
    }

    /// No more reports are made or sent.
    pub fn close(&self) {
        self.lock().closed = true;
        self.0.1.notify_all();
    }

    /// Offers events for the next report, or gives them to `at_once`, and waits for what becomes of them;
    /// nothing if the feed was closed meanwhile.
    fn offer(&self, events: Vec<Usage>, at_once: Option<&dyn Fn(Ticket, Vec<Usage>)>) -> Option<bool> {
        let mut slot = self.lock();
        slot.ticket += 1;
        match at_once {
            None => slot.stage = Stage::Ready(events),
            Some(send) => {
                slot.stage = Stage::Sent;
                let ticket = Ticket(slot.ticket);
                drop(slot);
                send(ticket, events);
                slot = self.lock();
            }
        }
        loop {
            if let Stage::Settled { safe } = slot.stage {
                slot.stage = Stage::Empty;
                return Some(safe);
            }
            if slot.closed {
                return None;
            }
            slot = self.0.1.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits; false if the feed was closed.
    fn pause(&self, wait: Duration) -> bool {
        let waited = self.0.1.wait_timeout_while(self.lock(), wait, |slot| !slot.closed);
        !waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        // The slot is whole between any two statements.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads until the feed is closed: the body of the thread `usage`. The cursors go into `folder`. `send` makes
/// events a report of their own.
pub fn read(mut reader: Reader, feed: &Feed, folder: Option<PathBuf>, send: &dyn Fn(Ticket, Vec<Usage>)) {
    let _ends = Ends(feed);
    let mut store = Store { folder, moved: false, at: Instant::now(), failed: false };
    let (mut refused, mut behind) = (0_u32, false);
    loop {
        let mut portion = reader.read(Instant::now());
        feed.lock().state = reader.state(Instant::now());
        let mut wait = if portion.more { LOOK_EVERY_MORE } else { LOOK_EVERY };
        let events = std::mem::take(&mut portion.events);
        let at_once = (portion.more || behind).then_some(send);
        behind = portion.more;
        let safe = if events.is_empty() { Some(true) } else { feed.offer(events, at_once) };
        match safe {
            Some(true) => {
                refused = 0;
                reader.accept(portion);
            }
            Some(false) => {
                wait = LOOK_EVERY.saturating_mul(1 << refused.min(16)).min(RETRY_MAX);
                refused = refused.saturating_add(1);
            }
            None => break,
        }
        store.save(&mut reader, SAVE_EVERY);
        if !feed.pause(wait) {
            break;
        }
    }
    store.save(&mut reader, Duration::ZERO);
}

/// Says that nothing is read any more, should the thread end before its time.
struct Ends<'a>(&'a Feed);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.lock().state = Some(State::Unreadable(Why::Failed));
    }
}

/// Writes the cursors when they have moved.
struct Store {
    folder: Option<PathBuf>,
    moved: bool,
    at: Instant,
    failed: bool,
}

impl Store {
    fn save(&mut self, reader: &mut Reader, every: Duration) {
        self.moved |= reader.take_moved();
        let Some(folder) = &self.folder else { return };
        if !self.moved || self.at.elapsed() < every {
            return;
        }
        self.at = Instant::now();
        match reader.cursors().save(folder) {
            Ok(()) => (self.moved, self.failed) = (false, false),
            Err(error) => {
                if !std::mem::replace(&mut self.failed, true) {
                    log::warn(format_args!(
                        "cannot write to {}: {error}; usage is read again after a restart",
                        folder.display()
                    ));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(ids: &[&str]) -> Vec<Usage> {
        ids.iter().map(|id| Usage { event_id: id.to_string(), ..Usage::default() }).collect()
    }

    #[test]
    fn events_are_handed_over_once_and_word_comes_back() {
        let feed = Feed::default();
        let offering = feed.clone();
        let thread =
            std::thread::spawn(move || ["a", "b", "c"].map(|id| offering.offer(events(&[id]), None)));
        let take = || loop {
            if let Some(taken) = feed.take() {
                break taken;
            }
            std::thread::yield_now();
        };
        let (first, taken) = take();
        assert_eq!(taken, events(&["a"]));
        assert_eq!(feed.take(), None, "it is on its way");
        feed.settle(first, true);
        let (second, taken) = take();
        assert_eq!(taken, events(&["b"]));
        feed.settle(first, true);
        feed.settle(second, false);
        // An answer that came too late was about another portion.
        assert_eq!(take().1, events(&["c"]));
        feed.close();
        assert_eq!(thread.join().unwrap(), [Some(true), Some(false), None]);
        assert!(!feed.pause(Duration::from_secs(3_600)));
    }

    #[test]
    fn events_that_do_not_wait_for_a_report_are_answered_as_well() {
        let feed = Feed::default();
        for safe in [true, false] {
            let send = |ticket, sent: Vec<Usage>| {
                assert_eq!(sent, events(&["a"]));
                assert_eq!(feed.take(), None, "they are on their way");
                feed.settle(ticket, safe);
            };
            assert_eq!(feed.offer(events(&["a"]), Some(&send)), Some(safe));
        }
    }

    #[test]
    fn a_reader_that_ends_does_not_leave_a_good_state_behind() {
        let feed = Feed::default();
        feed.close();
        let places = crate::config::OpenClawPlaces::default();
        read(Reader::new(places, Cursors::new("")), &feed, None, &|_, _| {});
        assert_eq!(feed.state(), Some(State::Unreadable(Why::Failed)));
    }
}
