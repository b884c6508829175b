//! Reports that are not acknowledged yet: in the spool, or in memory where that cannot be used.
//!
//! The newest report goes first, once: whoever looks at the device sees how it is now. The others
//! follow oldest first.
//!
//! The usage events of a report count as delivered when the server has it, and not when the spool has:
//! what is on disk may still be lost, to a power cut or for want of room.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use wire::BootId;

use crate::openclaw::usage::Ticket;
use crate::spool::Spool;
use crate::spool::record::Key;

/// Bytes of reports that are kept in memory while neither the server nor the spool takes them: some
/// days of an ordinary device.
pub const QUEUE_BYTES_MAX: usize = 16 << 20;
const _: () = assert!(QUEUE_BYTES_MAX >= 2 * wire::bounds::FRAME_BYTES_MAX);

/// What a waiting report costs besides its bytes.
const OVERHEAD_BYTES: usize = 64;
/// Reports that move from memory into a spool that works again, with each new one: a disk that was
/// full must not hold up a sample.
const MOVES_MAX: usize = 16;

/// Waiting reports, bounded by their bytes.
#[derive(Debug)]
pub struct Queue {
    boot: BootId,
    next_seq: u64,
    /// The newest report, until it was tried. It waits below as well.
    fresh: Option<Waiting>,
    spool: Option<Spool>,
    memory: VecDeque<Waiting>,
    bytes: usize,
    bytes_max: usize,
    dropped: u64,
    /// Which waiting reports of this run hold usage events.
    usage: Vec<(Key, Ticket)>,
    /// Events of reports that were lost.
    lost: Vec<Ticket>,
    trouble: Option<Trouble>,
    news: Vec<String>,
}

/// One report that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its number, which stays with it: the server may have it already.
    pub key: Key,
    /// Its frame.
    pub frame: Arc<[u8]>,
    /// Whether it is the newest one, tried for the first time.
    pub fresh: bool,
}

/// What is wrong with the spool. Said once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Write,
    Read,
}

impl Queue {
    /// A queue of at most `bytes_max` in memory, what it takes to keep the reports included.
    pub fn new(boot: BootId, spool: Option<Spool>, bytes_max: usize) -> Queue {
        let mut queue = Queue {
            boot,
            next_seq: 0,
            fresh: None,
            spool,
            memory: VecDeque::new(),
            bytes: 0,
            bytes_max,
            dropped: 0,
            usage: Vec::new(),
            lost: Vec::new(),
            trouble: None,
            news: Vec::new(),
        };
        queue.count_losses();
        queue
    }

    /// The number of the next report.
    pub fn number(&mut self) -> Key {
        let key = Key { boot: self.boot, seq: self.next_seq };
        self.next_seq += 1;
        key
    }

    /// Adds the newest report, and drops the oldest ones if it would be too much.
    pub fn push(&mut self, key: Key, frame: Vec<u8>, usage: Option<Ticket>) {
        self.usage.extend(usage.map(|ticket| (key, ticket)));
        let waiting = Waiting { key, frame: frame.into(), fresh: false };
        self.keep(waiting.clone());
        self.fresh = Some(Waiting { fresh: true, ..waiting });
    }

    /// Adds a report that takes its turn: nobody waits to see it.
    pub fn add(&mut self, key: Key, frame: Vec<u8>, usage: Option<Ticket>) {
        self.usage.extend(usage.map(|ticket| (key, ticket)));
        self.keep(Waiting { key, frame: frame.into(), fresh: false });
    }

    fn keep(&mut self, waiting: Waiting) {
        match self.write(&waiting) {
            Some(Ok(())) => {
                for _ in 0..MOVES_MAX {
                    let Some(front) = self.memory.front().cloned() else { break };
                    if !matches!(self.write(&front), Some(Ok(()))) {
                        break;
                    }
                    self.pop();
                }
                if self.trouble.take_if(|trouble| *trouble == Trouble::Write).is_some() {
                    self.news.push("reports are kept on disk again".into());
                }
            }
            failed => {
                if let Some(Err(error)) = failed
                    && self.trouble.replace(Trouble::Write) != Some(Trouble::Write)
                {
                    self.news.push(format!("reports are kept in memory only, the spool fails: {error}"));
                }
                self.bytes += waiting.frame.len() + OVERHEAD_BYTES;
                self.memory.push_back(waiting);
                // The newest one always stays: a single frame is smaller than any sensible bound.
                let before = self.memory.len();
                while self.bytes > self.bytes_max && self.memory.len() > 1 {
                    self.pop();
                }
                self.count_dropped((before - self.memory.len()) as u64, "memory");
            }
        }
        self.count_losses();
    }

    fn write(&mut self, waiting: &Waiting) -> Option<io::Result<()>> {
        Some(self.spool.as_mut()?.append(waiting.key.seq, &waiting.frame))
    }

    /// The report to send now. It waits on until it is forgotten.
    pub fn pick(&mut self) -> Option<Waiting> {
        if let Some(fresh) = self.fresh.take() {
            return Some(fresh);
        }
        let in_memory = self.memory.front();
        let spooled = self.spool.as_ref().and_then(Spool::oldest);
        // What is in memory is of this run; a spool may hold reports of earlier ones.
        let memory_first = match (in_memory, spooled) {
            (Some(waiting), Some(key)) => key.boot == self.boot && waiting.key.seq < key.seq,
            (in_memory, _) => in_memory.is_some(),
        };
        let read = match &mut self.spool {
            Some(spool) if !memory_first => spool.read_oldest(),
            _ => Ok(None),
        };
        self.count_losses();
        match read {
            Ok(Some((key, frame))) => return Some(Waiting { key, frame: frame.into(), fresh: false }),
            Ok(None) => {}
            Err(error) => {
                if self.trouble.replace(Trouble::Read) != Some(Trouble::Read) {
                    self.news.push(format!("the spool cannot be read: {error}"));
                }
            }
        }
        self.memory.front().cloned()
    }

    /// Nothing is left to do about this report. Gives the usage events in it, unless they were lost
    /// before.
    pub fn forget(&mut self, key: Key) -> Option<Ticket> {
        self.fresh.take_if(|fresh| fresh.key == key);
        if let Some(at) = self.memory.iter().position(|waiting| waiting.key == key) {
            if let Some(waiting) = self.memory.remove(at) {
                self.bytes -= waiting.frame.len() + OVERHEAD_BYTES;
            }
        } else if let Some(spool) = &mut self.spool {
            spool.forget(key);
        }
        self.take_usage(key)
    }

    /// Puts reports into the place of one. They are kept before that one is forgotten: if the agent
    /// is killed in between, rows are sent twice rather than never. Its usage events are in the first.
    pub fn replace(&mut self, key: Key, parts: impl IntoIterator<Item = (Key, Vec<u8>)>) {
        let mut usage = self.take_usage(key);
        for (key, frame) in parts {
            self.usage.extend(usage.take().map(|ticket| (key, ticket)));
            self.keep(Waiting { key, frame: frame.into(), fresh: false });
        }
        self.forget(key);
    }

    /// How many reports wait.
    pub fn len(&self) -> usize {
        self.memory.len() + self.on_disk()
    }

    /// How many of them survive the agent.
    pub fn on_disk(&self) -> usize {
        self.spool.as_ref().map_or(0, Spool::len)
    }

    /// Bytes that the spool takes on the disk.
    pub fn spool_bytes(&self) -> u64 {
        self.spool.as_ref().map_or(0, Spool::bytes)
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the newest report was not tried yet.
    pub fn has_fresh(&self) -> bool {
        self.fresh.is_some()
    }

    /// How many reports were lost since the agent started: for want of room or to a bad disk.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What to tell the person who reads the log, since this was last asked.
    pub fn take_news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// The usage events of reports that were lost since this was last asked.
    pub fn take_lost(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.lost)
    }

    fn take_usage(&mut self, key: Key) -> Option<Ticket> {
        let at = self.usage.iter().position(|(of, _)| *of == key)?;
        Some(self.usage.swap_remove(at).1)
    }

    fn holds(&self, key: Key) -> bool {
        self.spool.as_ref().is_some_and(|spool| spool.contains(key))
            || self.memory.iter().any(|waiting| waiting.key == key)
    }

    fn count_losses(&mut self) {
        for (key, ticket) in std::mem::take(&mut self.usage) {
            if self.holds(key) {
                self.usage.push((key, ticket));
            } else {
                self.lost.push(ticket);
            }
        }
        let Some(spool) = &mut self.spool else { return };
        let (dropped, damaged) = (spool.take_dropped(), spool.take_damaged());
        self.count_dropped(dropped, "the spool");
        if damaged > 0 {
            self.dropped += damaged;
            self.news.push(format!("{damaged} damaged places of the spool are passed over"));
        }
    }

    fn count_dropped(&mut self, dropped: u64, full: &str) {
        if dropped > 0 {
            self.dropped += dropped;
            self.news.push(format!("{dropped} of the oldest reports are dropped: {full} is full"));
        }
    }

    fn pop(&mut self) {
        if let Some(front) = self.memory.pop_front() {
            self.bytes -= front.frame.len() + OVERHEAD_BYTES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::testing::Memory;

    const FRAME: usize = 100;
    const ROOM: usize = FRAME + OVERHEAD_BYTES;
    const BOOT: BootId = BootId([1; 16]);

    fn frame(letter: char) -> Vec<u8> {
        vec![letter as u8; FRAME]
    }

    fn push(queue: &mut Queue, letters: &str) {
        for letter in letters.chars() {
            let key = queue.number();
            queue.push(key, frame(letter), None);
        }
    }

    fn queue(letters: &str) -> Queue {
        let mut queue = Queue::new(BOOT, None, 3 * ROOM);
        push(&mut queue, letters);
        queue
    }

    fn spooled(disk: &Memory, boot: BootId) -> Queue {
        let spool = Spool::open(Box::new(disk.clone()), 0, boot).unwrap();
        Queue::new(boot, Some(spool), 3 * ROOM)
    }

    fn letter(waiting: &Waiting) -> char {
        char::from(waiting.frame[0])
    }

    /// First byte of each frame in the order of sending when every one is acknowledged.
    fn drain(queue: &mut Queue) -> String {
        let mut letters = String::new();
        while let Some(waiting) = queue.pick() {
            letters.push(letter(&waiting));
            queue.forget(waiting.key);
        }
        assert_eq!((queue.bytes, queue.len(), queue.is_empty()), (0, 0, true));
        letters
    }

    #[test]
    fn without_a_spool_the_oldest_are_dropped_and_counted() {
        let mut queue = queue("abc");
        assert_eq!((queue.len(), queue.dropped()), (3, 0));
        push(&mut queue, "de");
        assert_eq!((queue.len(), queue.dropped(), queue.take_news().len()), (3, 2, 2));
        let key = queue.number();
        queue.push(key, vec![b'X'; 10 * ROOM], None);
        assert_eq!((queue.len(), queue.dropped()), (1, 5));
        push(&mut queue, "f");
        assert_eq!(drain(&mut queue), "f");
    }

    #[test]
    fn the_newest_goes_first_once_and_then_the_oldest() {
        for mut queue in [queue("abc"), {
            let mut queue = spooled(&Memory::default(), BOOT);
            push(&mut queue, "abc");
            queue
        }] {
            let newest = queue.pick().unwrap();
            assert_eq!((letter(&newest), newest.fresh, newest.key.seq), ('c', true, 2));
            // It was not acknowledged.
            let oldest = queue.pick().unwrap();
            assert_eq!((letter(&oldest), oldest.fresh), ('a', false));
            queue.forget(oldest.key);
            push(&mut queue, "d");
            assert!(queue.has_fresh());
            assert_eq!(drain(&mut queue), "dbc");
        }
    }

    #[test]
    fn a_report_that_takes_its_turn_is_no_newest_one() {
        let mut queue = queue("ab");
        let key = queue.number();
        queue.add(key, frame('u'), Some(Ticket::default()));
        assert_eq!(letter(&queue.pick().unwrap()), 'b', "the newest");
        for expected in "abu".chars() {
            let waiting = queue.pick().unwrap();
            assert_eq!(letter(&waiting), expected);
            assert_eq!(
                queue.forget(waiting.key).is_some(),
                expected == 'u',
                "its events are delivered with it"
            );
        }
    }

    #[test]
    fn an_acknowledgement_is_only_for_the_report_it_was_meant_for() {
        let mut queue = queue("abc");
        queue.pick();
        let sent = queue.pick().unwrap();
        assert_eq!(letter(&sent), 'a');
        push(&mut queue, "d");
        assert_eq!(queue.len(), 3, "a was dropped while it was on its way");
        queue.forget(sent.key);
        assert_eq!(drain(&mut queue), "dbc");
    }

    #[test]
    fn parts_take_the_place_of_the_whole() {
        let mut queue = queue("a");
        let whole = queue.pick().unwrap();
        let parts = [(queue.number(), frame('1')), (queue.number(), frame('2'))];
        queue.replace(whole.key, parts);
        assert_eq!(drain(&mut queue), "12");
    }

    #[test]
    fn a_full_disk_is_said_once_and_the_memory_goes_on() {
        let disk = Memory::default();
        let mut queue = spooled(&disk, BOOT);
        push(&mut queue, "a");
        disk.set_room(Some(0));
        push(&mut queue, "bc");
        let news = queue.take_news();
        assert!(news.len() == 1 && news[0].contains("in memory only"), "{news:?}");
        assert_eq!((queue.on_disk(), queue.len()), (1, 3));
        disk.set_room(None);
        push(&mut queue, "d");
        assert_eq!(queue.take_news(), ["reports are kept on disk again"]);
        assert_eq!((queue.on_disk(), queue.len()), (4, 4), "what was in memory has moved");
        assert_eq!(drain(&mut queue), "dabc");
    }

    #[test]
    fn reports_of_an_earlier_run_are_older_than_all_of_this_one() {
        let disk = Memory::default();
        push(&mut spooled(&disk, BOOT), "abc");
        let mut queue = spooled(&disk, BootId([2; 16]));
        disk.set_room(Some(0));
        push(&mut queue, "d");
        assert_eq!(drain(&mut queue), "dabc");
    }

    #[test]
    fn a_spool_that_cannot_be_read_is_said_once_and_the_memory_goes_on() {
        let disk = Memory::default();
        let mut queue = spooled(&disk, BOOT);
        push(&mut queue, "a");
        disk.set_room(Some(0));
        push(&mut queue, "b");
        queue.take_news();
        disk.set_read_errors(2);
        assert_eq!(letter(&queue.pick().unwrap()), 'b', "the newest");
        assert_eq!(letter(&queue.pick().unwrap()), 'b', "a cannot be read now");
        assert_eq!(letter(&queue.pick().unwrap()), 'b');
        assert_eq!(queue.take_news().len(), 1);
        assert_eq!(drain(&mut queue), "ab");
    }

    fn push_usage(queue: &mut Queue, letter: char) -> Key {
        let key = queue.number();
        queue.push(key, frame(letter), Some(Ticket::default()));
        key
    }

    #[test]
    fn usage_stays_with_its_report_until_that_is_forgotten() {
        for mut queue in [queue(""), spooled(&Memory::default(), BOOT)] {
            let whole = push_usage(&mut queue, 'a');
            push(&mut queue, "b");
            let parts = [(queue.number(), frame('1')), (queue.number(), frame('2'))];
            let [first, second] = [parts[0].0, parts[1].0];
            queue.replace(whole, parts);
            assert_eq!(queue.forget(whole), None);
            assert_eq!(queue.forget(second), None);
            assert_eq!(queue.forget(first), Some(Ticket::default()));
            assert_eq!(queue.forget(first), None);
            assert_eq!(queue.take_lost(), []);
        }
    }

    #[test]
    fn usage_in_a_report_that_is_dropped_from_memory_is_lost() {
        let mut queue = queue("");
        let key = push_usage(&mut queue, 'a');
        push(&mut queue, "bc");
        assert_eq!(queue.take_lost(), []);
        push(&mut queue, "d");
        assert_eq!(queue.take_lost(), [Ticket::default()]);
        assert_eq!(queue.take_lost(), []);
        assert_eq!(queue.forget(key), None, "it was acknowledged too late");
    }

    #[test]
    fn usage_in_a_report_that_the_spool_drops_is_lost() {
        let mut queue = spooled(&Memory::default(), BOOT);
        let key = push_usage(&mut queue, 'a');
        let mut pushed = 0;
        while queue.dropped() == 0 {
            assert_eq!(queue.take_lost(), []);
            assert!(pushed < 20, "the spool is bounded");
            let key = queue.number();
            queue.push(key, vec![b'X'; wire::bounds::FRAME_BYTES_MAX], None);
            pushed += 1;
        }
        assert_eq!(queue.take_lost(), [Ticket::default()]);
        assert_eq!(queue.forget(key), None);
    }

    #[test]
    fn usage_in_a_report_that_cannot_be_read_any_more_is_lost() {
        let disk = Memory::default();
        let mut queue = spooled(&disk, BOOT);
        push_usage(&mut queue, 'a');
        push(&mut queue, "b");
        assert_eq!(queue.pick().map(|newest| letter(&newest)), Some('b'));
        disk.set_read_errors(3);
        while queue.take_lost().is_empty() {
            assert!(queue.len() == 2, "it is not given up before it is lost");
            queue.pick();
        }
        assert_eq!(drain(&mut queue), "b");
    }

    #[test]
    fn usage_moves_with_its_report_from_memory_to_disk_and_not_to_another_run() {
        let disk = Memory::default();
        let mut queue = spooled(&disk, BOOT);
        disk.set_room(Some(0));
        let key = push_usage(&mut queue, 'a');
        disk.set_room(None);
        push(&mut queue, "b");
        assert_eq!((queue.on_disk(), queue.take_lost().len()), (2, 0));
        let mut next = spooled(&disk, BootId([2; 16]));
        assert_eq!((next.len(), next.forget(key)), (2, None), "its reader starts where the cursors are");
        assert_eq!(queue.forget(key), Some(Ticket::default()));
    }
}
