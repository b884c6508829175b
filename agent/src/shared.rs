//! What the threads share: the queue of reports, and who waits for what.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::collect::Sample;
use crate::log;
use crate::openclaw::usage::{Feed, Ticket};
use crate::queue::{Queue, Waiting};
use crate::spool::record::Key;

/// What the threads share: the queue, and who waits for what.
#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// OpenClaw's usage, on its way into the queue.
    pub(crate) usage: Feed,
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
    pub(crate) fn new(queue: Queue) -> Shared {
        let state = State { queue, live: false, stop: false, closing: None };
        Shared { state: Mutex::new(state), changed: Condvar::new(), usage: Feed::default() }
    }

    /// Asks for a stop.
    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    /// No more reports come; those that are there may be sent until `deadline`.
    pub(crate) fn close(&self, deadline: Instant) {
        self.lock().closing = Some(deadline);
        self.changed.notify_all();
    }

    /// Waits for a moment. False as soon as a stop is asked for.
    pub(crate) fn wait_until(&self, moment: Instant) -> bool {
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

    pub(crate) fn push(&self, key: Key, frame: Vec<u8>, usage: Option<Ticket>) {
        let mut state = self.lock();
        state.queue.push(key, frame, usage);
        self.tell(state);
        self.changed.notify_all();
    }

    /// Adds a report that takes its turn, behind those that wait and behind any newer live one.
    pub(crate) fn add(&self, key: Key, frame: Vec<u8>, usage: Option<Ticket>) {
        let mut state = self.lock();
        state.queue.add(key, frame, usage);
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
    pub(crate) fn settle(&self, usage: Option<Ticket>, safe: bool) {
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
    pub(crate) fn sample(&self) -> Sample {
        let mut sample = Sample::default();
        let state = self.lock();
        sample.gauge("reports_waiting", state.queue.len() as f64);
        sample.counter("reports_dropped_total", state.queue.dropped());
        sample.gauge("spool_bytes", state.queue.spool_bytes() as f64);
        sample
    }

    /// Reports on disk, and in all.
    pub(crate) fn left(&self) -> (usize, usize) {
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

    pub(crate) fn is_live(&self) -> bool {
        self.lock().live
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements: a thread that died leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use wire::BootId;

    use super::*;
    use crate::queue::QUEUE_BYTES_MAX;
    use crate::run::CLOSE_MAX;

    fn shared() -> Shared {
        Shared::new(Queue::new(BootId([1; 16]), None, QUEUE_BYTES_MAX))
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
