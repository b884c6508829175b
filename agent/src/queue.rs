//! Reports that are not acknowledged yet, in memory, oldest first.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::openclaw::usage::Ticket;

/// Bytes of reports that are kept while the server is away: some days of an ordinary device.
pub const QUEUE_BYTES_MAX: usize = 16 << 20;
const _: () = assert!(QUEUE_BYTES_MAX >= 2 * wire::bounds::FRAME_BYTES_MAX);

/// What a waiting report costs besides its bytes.
const OVERHEAD_BYTES: usize = 64;

/// Waiting reports, bounded by their bytes.
#[derive(Debug)]
pub struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    bytes_max: usize,
    next_id: u64,
    dropped: u64,
    /// Events of reports that were dropped.
    lost: Vec<Ticket>,
}

/// One report that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Tells it from every other report of this queue.
    pub id: u64,
    /// Its frame.
    pub frame: Arc<[u8]>,
    /// Its number, once it was sent for the first time: the server may have it already, so the number
    /// stays.
    pub seq: Option<u64>,
    /// The usage events in it.
    pub usage: Option<Ticket>,
}

impl Queue {
    /// A queue of at most `bytes_max`, what it takes to keep the reports included.
    pub fn new(bytes_max: usize) -> Queue {
        Queue { waiting: VecDeque::new(), bytes: 0, bytes_max, next_id: 0, dropped: 0, lost: Vec::new() }
    }

    /// Adds the newest report, and drops the oldest ones if it would be too much.
    pub fn push(&mut self, frame: Vec<u8>, usage: Option<Ticket>) {
        self.bytes += frame.len() + OVERHEAD_BYTES;
        self.waiting.push_back(Waiting { id: self.next_id, frame: frame.into(), seq: None, usage });
        self.next_id += 1;
        // The newest one always stays: a single frame is smaller than any sensible bound.
        while self.bytes > self.bytes_max && self.waiting.len() > 1 {
            let oldest = self.pop();
            self.lost.extend(oldest.and_then(|waiting| waiting.usage));
            self.dropped += 1;
        }
    }

    /// The oldest report.
    pub fn front(&self) -> Option<Waiting> {
        self.waiting.front().cloned()
    }

    /// The oldest report, if it is still the one with this id, now has this frame and number.
    pub fn number(&mut self, id: u64, frame: Arc<[u8]>, seq: u64) {
        if let Some(front) = self.waiting.front_mut().filter(|front| front.id == id) {
            self.bytes = self.bytes - front.frame.len() + frame.len();
            (front.frame, front.seq) = (frame, Some(seq));
        }
    }

    /// Takes the report with this id out, if it is still the oldest one: it may have been dropped
    /// while it was on its way.
    pub fn forget(&mut self, id: u64) {
        if self.waiting.front().is_some_and(|front| front.id == id) {
            self.pop();
        }
    }

    /// Puts reports, the first of them foremost, in the place of the oldest one. Its usage events are in
    /// the first.
    pub fn replace(&mut self, id: u64, frames: impl DoubleEndedIterator<Item = Vec<u8>>) {
        if self.waiting.front().is_none_or(|front| front.id != id) {
            return;
        }
        let usage = self.pop().and_then(|waiting| waiting.usage);
        for frame in frames.rev() {
            self.bytes += frame.len() + OVERHEAD_BYTES;
            self.waiting.push_front(Waiting {
                id: self.next_id,
                frame: frame.into(),
                seq: None,
                usage: None,
            });
            self.next_id += 1;
        }
        if let Some(first) = self.waiting.front_mut() {
            first.usage = usage;
        }
    }

    /// How many reports wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many were dropped since this was last asked.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// The usage events of reports that were dropped since this was last asked.
    pub fn take_lost(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.lost)
    }

    fn pop(&mut self) -> Option<Waiting> {
        let front = self.waiting.pop_front()?;
        self.bytes -= front.frame.len() + OVERHEAD_BYTES;
        Some(front)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: usize = 100;
    const ROOM: usize = FRAME + OVERHEAD_BYTES;

    /// First byte of each waiting frame.
    fn show(queue: &Queue) -> String {
        queue.waiting.iter().map(|waiting| char::from(waiting.frame[0])).collect()
    }

    fn frame(letter: char) -> Vec<u8> {
        vec![letter as u8; FRAME]
    }

    fn queue(letters: &str) -> Queue {
        let mut queue = Queue::new(3 * ROOM);
        letters.chars().for_each(|letter| queue.push(frame(letter), None));
        queue
    }

    #[test]
    fn the_oldest_are_dropped_and_counted() {
        let mut queue = queue("abc");
        assert_eq!((show(&queue).as_str(), queue.take_dropped()), ("abc", 0));
        queue.push(frame('d'), None);
        queue.push(frame('e'), None);
        assert_eq!((show(&queue).as_str(), queue.take_dropped()), ("cde", 2));
        assert_eq!(queue.take_dropped(), 0);
        queue.push(vec![b'X'; 10 * ROOM], None);
        assert_eq!((show(&queue).as_str(), queue.take_dropped()), ("X", 3));
        queue.push(frame('f'), None);
        assert_eq!(show(&queue), "f");
        assert_eq!(queue.bytes, ROOM);
    }

    #[test]
    fn an_acknowledgement_is_only_for_the_report_it_was_meant_for() {
        let mut queue = queue("abc");
        let sent = queue.front().unwrap();
        queue.push(frame('d'), None);
        assert_eq!(show(&queue), "bcd", "a was dropped while it was on its way");
        queue.forget(sent.id);
        queue.number(sent.id, frame('z').into(), 7);
        queue.replace(sent.id, [frame('y')].into_iter());
        assert_eq!(show(&queue), "bcd");
        queue.forget(queue.front().unwrap().id);
        assert_eq!(show(&queue), "cd");
    }

    #[test]
    fn a_number_stays_with_its_report() {
        let mut queue = queue("ab");
        let front = queue.front().unwrap();
        assert_eq!(front.seq, None);
        queue.number(front.id, vec![b'A'; FRAME + 5].into(), 7);
        let front = queue.front().unwrap();
        assert_eq!((front.seq, front.frame[0]), (Some(7), b'A'));
        assert_eq!(queue.bytes, 2 * ROOM + 5);
        queue.forget(front.id);
        queue.forget(queue.front().unwrap().id);
        assert_eq!((queue.bytes, queue.len(), queue.is_empty()), (0, 0, true));
    }

    #[test]
    fn parts_take_the_place_of_the_whole() {
        let mut queue = queue("ab");
        let front = queue.front().unwrap();
        queue.replace(front.id, [frame('1'), frame('2')].into_iter());
        assert_eq!(show(&queue), "12b");
        assert_eq!(queue.bytes, 3 * ROOM);
        assert_ne!(queue.front().unwrap().id, front.id);
    }

    #[test]
    fn usage_stays_with_its_report_or_is_said_to_be_lost() {
        let mut queue = Queue::new(3 * ROOM);
        let ticket = Some(Ticket::default());
        queue.push(frame('a'), ticket);
        queue.push(frame('b'), None);
        queue.replace(queue.front().unwrap().id, [frame('1'), frame('2')].into_iter());
        let usage: Vec<_> = queue.waiting.iter().map(|waiting| waiting.usage).collect();
        assert_eq!(usage, [ticket, None, None]);
        assert_eq!(queue.take_lost(), []);
        queue.push(frame('c'), None);
        assert_eq!(queue.take_lost(), [Ticket::default()]);
        assert_eq!(queue.take_lost(), []);
    }
}
